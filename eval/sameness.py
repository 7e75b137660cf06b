"""Fits and measures `cache.sameness`: whether two answers say the same, on families of answers written by hand.

Owns the pairs that families make, the variations of wording, the logistic regression, and the table of how often
each operating point is right. Refuses to know how evidence is read off an answer. Weights and thresholds are
chosen on development families only; the held-back ones are measured.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cache.answer_text import split_sentences
from cache.answer_traits import answer_traits
from cache.errors import TextTooLong
from cache.sameness import (
    UNSURE,
    Verdict,
    Weights,
    chunks,
    compare_audit,
    compare_link,
    evidence,
    known_sameness,
)
from eval.intervals import Share, share

FAMILIES: Final = Path(__file__).parent.parent / "data" / "answers"
DEVELOPMENT: Final = FAMILIES / "families-dev.jsonl"
HELD_BACK: Final = FAMILIES / "families-test.jsonl"
QUESTIONS: Final = FAMILIES.parent / "faq" / "questions.jsonl"


class Different(Struct, frozen=True):
    """A text that resembles the family's answers and says something else."""

    kind: str
    text: str


class Family(Struct, frozen=True):
    """A question, answers that say the same, and texts that do not."""

    id: str
    domain: str
    question: str
    same: tuple[str, ...]
    different: tuple[Different, ...]


class Encodes(Protocol):
    def encode_now(self, text: str) -> NDArray[np.float32]:
        """(dim,) of unit norm. Raises TextTooLong."""
        ...


def read_families(path: Path) -> list[Family]:
    return [msgspec.json.decode(line, type=Family) for line in path.read_bytes().splitlines() if line.strip()]


# --- pairs ---

Relation = Literal["reworded", "varied", "different", "other question"]


class Pair(Struct, frozen=True):
    """Two answers and what they are to each other."""

    family: str
    relation: Relation
    kind: str
    """Of a different text what differs, of a varied one how."""
    one: str
    two: str
    is_closest: bool = False
    """Of the pairs of a different text the one with the most common neighbouring words."""

    @property
    def is_same(self) -> bool:
        return self.relation in ("reworded", "varied")


def family_pairs(families: Iterable[Family]) -> Iterator[Pair]:
    """Every two answers of a family, and every different text with each of them."""
    for family in families:
        for one, two in combinations(family.same, 2):
            yield Pair(family.id, "reworded", "reworded", one, two)
        for different in family.different:
            pairs = answer_traits(different.text).pairs
            closest = max(family.same, key=lambda text: len(pairs & answer_traits(text).pairs))
            for text in family.same:
                yield Pair(family.id, "different", different.kind, text, different.text, text == closest)


_OPENINGS: Final = ("Sure! {}", "Here is what you need to know: {}", "Thanks for your question. {}", "Of course. {}")
_CLOSINGS: Final = (
    "{} Anything else?",
    "{} I hope this helps!",
    "{} Let me know if you have any other questions.",
    "{} Feel free to reach out at any time.",
)
_PADDING: Final = (
    "This is a question that we hear quite often.",
    "Let me explain how it works.",
    "We know that this matters to you, so here are the details.",
    "Many customers ask about this.",
)
_SYNONYMS: Final = {
    "buy": "purchase", "purchase": "buy", "choose": "select", "select": "choose", "press": "click", "tap": "press",
    "click": "press", "go to": "open", "open": "go to", "help": "assist", "send": "submit", "order": "request",
    "receive": "get", "begin": "start", "costs": "comes to", "shop": "store", "store": "shop", "quickly": "swiftly",
    "about": "roughly", "usually": "normally", "immediately": "at once", "via": "through", "photo": "picture",
    "picture": "photo", "charged": "billed", "enter": "type in", "is free.": "is free of charge.", "may": "can",
    "you need": "you require", "at most": "no more than", "at least": "no less than", "keep": "retain",
    "show": "display",
}  # fmt: skip
_DIGITS: Final = dict(enumerate("two three four five six seven eight nine ten eleven twelve".split(), start=2))
_LONG_FORMS: Final = {"don't": "do not", "can't": "cannot", "isn't": "is not", "you'll": "you will", "it's": "it is"}


def variations(text: str, number: int) -> Iterator[tuple[str, str]]:
    """(how, text) of the same core in other words, without judgement: courtesy, order, synonyms, number words. Texts
    that a variation leaves as they are, are left out. `number` chooses among openings and closings."""
    core = answer_traits(text).core
    gap = "\n\n" if "\n" in text else " "
    opening = _OPENINGS[number % 4].replace(" {}", gap + "{}")
    closing = _CLOSINGS[number // 4 % 4].replace("{} ", "{}" + gap)
    sentences = split_sentences(core)
    is_ordered = "\n" in text or "`" in text or bool(_ORDER.search(core))
    reordered = text if is_ordered or len(sentences) < 2 else " ".join([*sentences[1:], sentences[0]])
    synonyms = text if "`" in text else _exchanged(text, _SYNONYMS, at_most=1 + number % 3)
    ended = text if text.rstrip()[-1:] in ".!?`" or "\n" in text else f"{text.rstrip()}."
    found = {
        "opening": opening.format(text),
        "closing": closing.format(ended),
        "both": opening.format(closing.format(ended)),
        "length": f"{_PADDING[number % 4]}{gap}{closing.format(ended)}",
        "order": reordered,
        "order and courtesy": closing.format(reordered) if reordered != text else text,
        "synonyms": synonyms,
        "synonyms and courtesy": opening.format(synonyms) if synonyms != text else text,
        "number words": text if "`" in text else _NUMBER.sub(lambda at: _DIGITS[int(at[0])], text),
        "long forms": _exchanged(text, _LONG_FORMS, at_most=9),
    }
    yield from ((how, varied) for how, varied in found.items() if varied != text)


_ORDER: Final = re.compile(
    r"\b(?:then|first|next|finally|after that|afterwards|it|this|these|they|that)\b|\b[a-z]+\. [a-z0-9]", re.IGNORECASE
)
"""Words that refer to what was said before."""
_NUMBER: Final = re.compile(r"(?<![\d.,:/€$£-])\b(?:[2-9]|1[0-2])\b(?![\d.,:/%°)-]|\s?[ap]\.?m|\s?[€x])")


def _exchanged(text: str, words: Mapping[str, str], at_most: int) -> str:
    """`text` with some words exchanged; none inside code, labels and menu paths."""
    for word, other in words.items():
        if at_most and (found := re.search(rf"(?<![\w>\"`*-])(?<!> ){re.escape(word)}\b(?![\"`*]| >|-)", text)):
            text, at_most = text[: found.start()] + other + text[found.end() :], at_most - 1
    return text


def varied_pairs(texts: Iterable[tuple[str, str]]) -> Iterator[Pair]:
    """Each (family, text) with its variations, and those with each other."""
    for number, (family, text) in enumerate(texts):
        varied = list(variations(text, number))
        for how, other in varied:
            yield Pair(family, "varied", how, text, other)
        for (how, one), (_, two) in pairwise(varied):
            yield Pair(family, "varied", f"{how}, twice", one, two)


# --- vectors and evidence ---


class Texts:
    """Vectors of answers, each made once."""

    def __init__(self, encoder: Encodes) -> None:
        self._encoder = encoder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def vector(self, text: str) -> NDArray[np.float32]:
        """The mean of the vectors of the answer's chunks at unit norm, as the cache makes it."""
        if text not in self._vectors:
            parts = []
            for chunk in chunks(text):
                try:
                    parts.append(self._encoder.encode_now(chunk))
                except TextTooLong:
                    continue
            total = np.sum(parts, axis=0) if parts else np.zeros(1, np.float32)
            norm = float(np.linalg.norm(total))
            self._vectors[text] = total / norm if norm else total
        return self._vectors[text]

    def cosine(self, one: str, two: str) -> float:
        left, right = self.vector(one), self.vector(two)
        return float(left @ right) if left.shape == right.shape else 0.0


_NEIGHBOURS: Final = 8


def faq_pairs(texts: Texts, path: Path = QUESTIONS) -> list[Pair]:
    """Each answer of the FAQ with the nearest answers to its other questions: all say different things."""
    answers = [json.loads(line)["answer"] for line in path.read_text(encoding="utf-8").splitlines()]
    vectors = np.stack([texts.vector(answer) for answer in answers])
    order = np.argsort(-(vectors @ vectors.T), axis=1, kind="stable")
    return [
        Pair(f"faq {row}", "other question", "other question", answer, answers[column])
        for row, answer in enumerate(answers)
        for column in [each for each in order[row] if each != row][:_NEIGHBOURS]
    ]


class Evidence(Struct, frozen=True):
    """The evidence of some pairs as numbers."""

    names: tuple[str, ...]
    amounts: NDArray[np.float64]
    """(pairs, names)."""
    known: NDArray[np.float64]
    """(pairs,): the probability where it needs no model, else NaN."""


def collect(pairs: Sequence[Pair], texts: Texts) -> Evidence:
    rows, known = [], []
    for pair in pairs:
        one, two = answer_traits(pair.one), answer_traits(pair.two)
        rows.append(evidence(one, two, texts.cosine(pair.one, pair.two)))
        certain = known_sameness(one, two)
        known.append(float("nan") if certain is None else certain)
    names = sorted({name for row in rows for name in row})
    amounts = np.array([[float(row.get(name, 0.0)) for name in names] for row in rows])
    return Evidence(tuple(names), amounts, np.array(known))


# --- the fit ---

_FOLDS: Final = 8
_RIDGE: Final = 10.0
_STEPS: Final = 60
_SHARES: Final = {"reworded": 0.4, "varied": 0.1, "different": 0.35, "closest": 0.12, "other question": 0.03}
"""What each sort of pair weighs in the fit, however many there are."""
LEAST_PRECISION: Final = 0.99
"""Of a link, where half of the pairs say the same, half of these reworded and half varied, and of the others half
are texts made to be mistaken and half are neighbours in the FAQ."""
MOST_FALSE_SAME: Final = 0.01
"""Of different pairs, to an audit."""
MOST_DOUBTED: Final = 0.005
"""Of reworded pairs, may be so improbable that a plain contradiction makes them different to an audit."""
_DIGITS_KEPT: Final = 3


def fit(families: Sequence[Family], encoder: Encodes, faq: Path = QUESTIONS) -> Weights:
    """Weights and thresholds from development families, their variations, and the answers of the FAQ. The same input
    gives the same weights. Thresholds are chosen on scores of families that a fold has left out."""
    texts = Texts(encoder)
    pairs = [
        *family_pairs(families),
        *varied_pairs((family.id, text) for family in families for text in family.same),
        *faq_pairs(texts, faq),
    ]
    collected = collect(pairs, texts)
    is_open = np.isnan(collected.known)
    sorts = np.array(["closest" if pair.is_closest else pair.relation for pair in pairs])
    labels = np.array([pair.is_same for pair in pairs], dtype=float)
    scores = np.where(collected.known == UNSURE, 0.0, np.where(collected.known > UNSURE, np.inf, 0.0))
    for fold in _folds([pair.family for pair in pairs]):
        learning = is_open & ~fold
        weights = _regress(collected.amounts[learning], labels[learning], _weigh(sorts[learning]))
        asked = is_open & fold
        scores[asked] = collected.amounts[asked] @ weights[:-1] + weights[-1]
    weights = _regress(collected.amounts[is_open], labels[is_open], _weigh(sorts[is_open]))
    different = scores[np.isin(sorts, ("different", "closest"))]
    return Weights(
        what="Weights of sameness(), see cache/sameness.py; fitted by eval.sameness.fit.",
        intercept=round(float(weights[-1]), _DIGITS_KEPT),
        weights={
            name: round(float(weight), _DIGITS_KEPT) for name, weight in zip(collected.names, weights[:-1], strict=True)
        },
        link=_link_threshold(
            {sort: scores[sorts == sort] for sort in _SHARES if sort != "closest"} | {"different": different}
        ),
        audit_same=_probability(float(np.quantile(different, 1 - MOST_FALSE_SAME))),
        audit_different=_probability(float(np.quantile(scores[sorts == "reworded"], MOST_DOUBTED))),
    )


def _folds(names: Sequence[str]) -> Iterator[NDArray[np.bool_]]:
    """Which pairs each fold leaves out: whole families."""
    different = sorted(set(names))
    place = dict(zip(different, np.random.default_rng(0).permutation(len(different)).tolist(), strict=True))
    numbers = np.array([place[name] % _FOLDS for name in names])
    yield from (numbers == fold for fold in range(_FOLDS))


def _weigh(sorts: NDArray[np.str_]) -> NDArray[np.float64]:
    """(pairs,): adds up to their number."""
    found = np.zeros(len(sorts))
    for sort, part in _SHARES.items():
        is_sort = sorts == sort
        found[is_sort] = part / max(int(is_sort.sum()), 1)
    weighed: NDArray[np.float64] = found * len(sorts) / found.sum()
    return weighed


def _regress(
    amounts: NDArray[np.float64], labels: NDArray[np.float64], weigh: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(names + 1,): weights and intercept of a logistic regression, by Newton's method, with a penalty on the squared
    weights of the standardised amounts."""
    mean, spread = amounts.mean(axis=0), amounts.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standard = np.hstack([(amounts - mean) / spread, np.ones((len(amounts), 1))])
    penalty = np.full(standard.shape[1], _RIDGE)
    penalty[-1] = 0.0
    found = np.zeros(standard.shape[1])
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(standard @ found, -30, 30)))
        slope = standard.T @ (weigh * (chance - labels)) + penalty * found
        curve = (standard * (weigh * chance * (1 - chance))[:, None]).T @ standard + np.diag(penalty + 1e-9)
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < 1e-8:
            break
    weights: NDArray[np.float64] = found[:-1] / spread
    return np.concatenate([weights, [found[-1] - float(weights @ mean)]])


def _link_threshold(scores: Mapping[str, NDArray[np.float64]]) -> float:
    """The least probability from which on links are precise enough; `scores` by sort of pair."""
    for score in np.sort(scores["different"]):
        linked = {sort: float(np.mean(found > score)) for sort, found in scores.items()}
        right, wrong = linked["reworded"] + linked["varied"], linked["different"] + linked["other question"]
        if right and right / (right + wrong) >= LEAST_PRECISION:
            return _probability(float(score))
    return 1.0


def _probability(score: float) -> float:
    return round(float(1 / (1 + np.exp(-score))), 5)


# --- the measurement ---


class Row(Struct, frozen=True):
    """What both operating points say of one sort of pairs."""

    name: str
    is_same: bool
    linked: Share
    same: Share
    different: Share
    unclear: Share


class Measurement(Struct, frozen=True):
    """How often the operating points are right. Pairs of a family share texts, so the exact bounds, which take pairs
    for independent, are too narrow; `by_family` resamples whole families."""

    rows: tuple[Row, ...]
    kinds: tuple[Row, ...]
    """Of the different texts, by what differs."""
    precision: Share
    """Of links, where half of the pairs are same and half different."""
    recall: Share
    by_family: dict[str, tuple[float, float]]
    """Name of a row -> 95 % interval of the share that is linked."""


def measure(
    families: Sequence[Family],
    weights: Weights,
    encoder: Encodes,
    *,
    with_variations: bool = True,
    faq: Path | None = None,
) -> Measurement:
    """What the weights say of families, of variations of their answers, which are many more texts, and of neighbours
    in the FAQ if it is given."""
    texts = Texts(encoder)
    own = [(family.id, text) for family in families for text in family.same]
    pairs = [
        *family_pairs(families),
        *(varied_pairs(own) if with_variations else ()),
        *(faq_pairs(texts, faq) if faq else ()),
    ]
    by_sort: dict[str, list[Judged]] = defaultdict(list)
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for pair in pairs:
        one, two, cosine = answer_traits(pair.one), answer_traits(pair.two), texts.cosine(pair.one, pair.two)
        judged = Judged(pair, compare_link(one, two, cosine, weights), compare_audit(one, two, cosine, weights))
        by_sort[pair.relation].append(judged)
        if pair.is_closest:
            by_sort["closest different"].append(judged)
        if pair.relation == "different":
            kinds[pair.kind].append(judged)
    half = min(len(by_sort["reworded"]), len(by_sort["different"]))
    links = [sum(each.is_linked for each in _spread(by_sort[sort], half)) for sort in ("reworded", "different")]
    return Measurement(
        rows=tuple(_row(name, judged) for name, judged in by_sort.items()),
        kinds=tuple(_row(kind, judged) for kind, judged in sorted(kinds.items())),
        precision=share(links[0], sum(links)),
        recall=share(links[0], half),
        by_family={name: _resampled(judged) for name, judged in by_sort.items()},
    )


class Judged(Struct, frozen=True):
    """What the two operating points say of a pair."""

    pair: Pair
    is_linked: bool
    verdict: Verdict


def _spread(judged: Sequence[Judged], number: int) -> list[Judged]:
    """So many of them, evenly spread."""
    return [judged[int(at)] for at in np.linspace(0, len(judged) - 1, number)] if number else []


def _row(name: str, judged: Sequence[Judged]) -> Row:
    verdicts = Counter(each.verdict for each in judged)
    return Row(
        name=name,
        is_same=judged[0].pair.is_same,
        linked=share(sum(each.is_linked for each in judged), len(judged)),
        same=share(verdicts["same"], len(judged)),
        different=share(verdicts["different"], len(judged)),
        unclear=share(verdicts["unclear"], len(judged)),
    )


_DRAWS: Final = 1000


def _resampled(judged: Sequence[Judged]) -> tuple[float, float]:
    """The 95 % interval of the share linked, by the bootstrap over families."""
    linked: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for each in judged:
        pairs[each.pair.family] += 1
        linked[each.pair.family] += each.is_linked
    counts = np.array([[linked[family], pairs[family]] for family in sorted(pairs)])
    draws = np.random.default_rng(0).integers(len(counts), size=(_DRAWS, len(counts)))
    shares = counts[draws, 0].sum(axis=1) / counts[draws, 1].sum(axis=1)
    low, high = np.quantile(shares, (0.025, 0.975))
    return float(low), float(high)


# --- the text ---


def to_text(measurement: Measurement, title: str) -> RenderableType:
    """Tables of a measurement for a terminal."""
    return Lines(
        _to_table(f"{title}: sorts of pairs", measurement.rows, measurement.by_family),
        _to_table(f"{title}: different pairs by what differs", measurement.kinds, {}),
        Text(
            f"Links, half of the pairs reworded and half different: precision {_percent(measurement.precision)},"
            f" recall {_percent(measurement.recall)}."
        ),
    )


def _to_table(title: str, rows: Sequence[Row], by_family: Mapping[str, tuple[float, float]]) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    for heading in (
        "pairs",
        "number",
        "linked",
        *(("by family",) if by_family else ()),
        "audit: same",
        "different",
        "unclear",
    ):
        table.add_column(heading, justify="left" if heading == "pairs" else "right")
    for row in rows:
        low, high = by_family.get(row.name, (0.0, 0.0))
        table.add_row(
            row.name,
            str(row.linked.trials),
            _percent(row.linked),
            *((f"{100 * low:.1f} to {100 * high:.1f}",) if by_family else ()),
            _percent(row.same),
            _percent(row.different),
            _percent(row.unclear),
        )
    return table


def _percent(found: Share) -> str:
    value = found.value
    return "-" if value is None else f"{100 * value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"
