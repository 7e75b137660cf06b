"""Fits and measures `cache.sameness`: whether two answers say the same, on families of answers written by hand.

There are three sorts of families. `families-*` were made to be mistaken: many of their answers are short, and each has
texts beside it that differ in one word. `wordings-*` are answers as models give them, ever differently worded; what
they are mistaken for are the answers to neighbouring questions. `long-*` are answers as chat models give them, from one
sentence to a page, each with examples, advice and markup of its own. Owns the pairs that families make, the variations
and alterations of a text, the operating points, and the table of how often each is right. Refuses to know how evidence
is read off an answer, and how trees are grown. Weights and thresholds are chosen on development families only; the
held-back ones are measured.
"""

import argparse
import json
import math
import os
import random
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
from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.table import Table
from rich.text import Text

from cache.answer_text import split_sentences
from cache.answer_traits import answer_traits
from cache.answer_trees import Tree, Trees
from cache.encoder import Encoder
from cache.errors import TextTooLong
from cache.sameness import (
    UNSURE,
    Verdict,
    Weights,
    chunks,
    compare_audit,
    evidence,
    known_sameness,
    pooled,
    pooled_verdict,
    sameness,
    shipped_weights,
)
from eval.boosting import TREES, grow
from eval.intervals import Share, share
from eval.wording import facts_of, stated, with_another_fact

FAMILIES: Final = Path(__file__).parent.parent / "data" / "answers"
DEVELOPMENT: Final = FAMILIES / "families-dev.jsonl"
HELD_BACK: Final = FAMILIES / "families-test.jsonl"
NATURAL: Final = FAMILIES / "wordings-dev.jsonl"
NATURAL_HELD_BACK: Final = FAMILIES / "wordings-test.jsonl"
OTHERS: Final = FAMILIES / "wordings-others.jsonl"
"""Natural wordings, written by others than those of the development families, who had not seen them."""
LONG: Final = FAMILIES / "long-dev.jsonl"
LONG_HELD_BACK: Final = FAMILIES / "long-test.jsonl"
QUESTIONS: Final = FAMILIES.parent / "faq" / "questions.jsonl"
WEIGHTS: Final = FAMILIES.parent.parent / "cache" / "sameness.json"


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


def written_wordings(stream: str, families: Iterable[Family]) -> dict[str, tuple[str, ...]]:
    """Label -> wordings that were written for it: the family `bank77-card-arrival` is for the label `card_arrival` of
    banking77."""
    prefix = _PREFIXES.get(stream, f"{stream}-")
    return {
        family.id.removeprefix(prefix).replace("-", "_"): family.same
        for family in families
        if family.id.startswith(prefix)
    }


_PREFIXES: Final = {"banking77": "bank77-"}


# --- pairs ---

Relation = Literal[
    "reworded", "varied", "generated", "different", "neighbour", "altered", "another fact", "other question"
]


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
        return self.relation in ("reworded", "varied", "generated")


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


def neighbour_pairs(families: Sequence[Family], texts: Texts) -> list[Pair]:
    """Each answer with the nearest answers to other families' questions: what production may take for the same."""
    answers = [(family.id, text) for family in families for text in family.same]
    vectors = np.stack([texts.vector(text) for _, text in answers])
    names = np.array([name for name, _ in answers])
    found = []
    for (name, text), vector in zip(answers, vectors, strict=True):
        nearness = np.where(names == name, -2.0, vectors @ vector)
        nearest = np.argsort(-nearness, kind="stable")[:_NEIGHBOURS]
        found += [Pair(name, "neighbour", "neighbour", text, answers[at][1]) for at in nearest.tolist()]
    return found


_NUMBER_ALONE: Final = re.compile(r"(?<![\d.,:/#-])\b[1-9]\d{0,2}\b(?![\d.,:/-]\d|\.? ?[A-Z*])")


def altered_pairs(families: Iterable[Family]) -> Iterator[Pair]:
    """Each answer with the next one of its family in which a number was exchanged: in long answers little else tells
    them apart."""
    for family in families:
        for number, (one, two) in enumerate(pairwise((*family.same, family.same[0]))):
            places = list(_NUMBER_ALONE.finditer(two))
            if places and "`" not in two:
                at = places[number % len(places)]
                other = str(int(at[0]) + 1 + int(at[0]) // 2)
                yield Pair(family.id, "altered", "number", one, two[: at.start()] + other + two[at.end() :])


_GENERATED: Final = 6


def generated_pairs(labels: Iterable[str]) -> Iterator[Pair]:
    """Wordings as a generator makes them, whose every sentence has a few forms: of the same facts, and of facts of
    which one is another."""
    chance = random.Random(0)
    for label in labels:
        facts = facts_of(label)
        for _ in range(_GENERATED):
            one = stated(facts, chance)
            yield Pair(label, "generated", "generated", one, stated(facts, chance))
            yield Pair(label, "another fact", "another fact", one, stated(with_another_fact(facts, chance), chance))


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
_SHARES: Final = {
    "reworded": 0.22, "natural": 0.75, "varied": 0.08, "generated": 0.1, "different": 0.42, "closest": 0.12,
    "hard": 0.16, "hard closest": 0.04, "altered": 0.05, "another fact": 0.08, "neighbour": 0.12,
    "other question": 0.04, "long": 0.2, "long different": 0.2, "long neighbour": 0.1,
}  # fmt: skip
"""What each sort of pair weighs in the fit, however many there are."""
LEAST_PRECISION: Final = 0.99
"""Of a link, where half of the pairs say the same in natural wordings, and the others are as `_CONFUSIONS`."""
_REWORDED: Final = ("reworded", "natural", "long")
_CONFUSIONS: Final = {"neighbour": 0.75, "other question": 0.1, "altered": 0.08, "different": 0.07}
"""What answers are compared with that say something else: seldom with one that differs in a single word. Those of the
natural families that do (`hard`) count in the fit, but not here: no point of the scale keeps them out."""
MOST_FALSE_SAME: Final = 0.015
"""Of what says something else, to an audit. So many wrong hits may pass for right ones: a small error of a small share,
while right hits of which nobody knows make what is wrong seem several times as much."""
_FALSELY_DIFFERENT: Final = 0.001
"""What is less likely to say the same than all but this share of rewordings, of whichever sort, is different to an
audit,"""
_DOUBT: Final = 2.0
"""and with a plain contradiction what is likelier by up to this factor."""


def fit(
    families: Sequence[Family],
    natural: Sequence[Family],
    long: Sequence[Family],
    encoder: Encodes,
    faq: Path = QUESTIONS,
    trees: int = TREES,
) -> Weights:
    """Weights and thresholds from development families of all sorts, their variations, and the answers of the FAQ.
    The same input gives the same weights. Thresholds are chosen on scores of families that a fold has left out."""
    texts = Texts(encoder)
    pairs = [
        *family_pairs(families),
        *varied_pairs((family.id, text) for family in families for text in family.same),
        *faq_pairs(texts, faq),
        *family_pairs(natural),
        *neighbour_pairs(natural, texts),
        *altered_pairs(natural),
        *family_pairs(long),
        *neighbour_pairs(long, texts),
        *generated_pairs(f"{family.domain} {family.id}" for family in families),
    ]
    collected = collect(pairs, texts)
    is_open = np.isnan(collected.known)
    sort_of = {family.id: "natural" for family in natural} | {family.id: "long" for family in long}
    sorts = np.array([_sort(pair, sort_of.get(pair.family, "")) for pair in pairs])
    labels = np.array([pair.is_same for pair in pairs], dtype=float)
    scores = np.where(collected.known == UNSURE, 0.0, np.where(collected.known > UNSURE, np.inf, 0.0))
    for fold in _folds([pair.family for pair in pairs]):
        grown = _grow(collected, labels, sorts, is_open & ~fold, trees)
        scores[is_open & fold] = _log_odds(collected, grown, is_open & fold)
    by_sort = {sort: scores[sorts == sort] for sort in _SHARES}
    for sort, closest in (("different", "closest"), ("hard", "hard closest")):
        by_sort[sort] = np.concatenate([by_sort[sort], by_sort.pop(closest)])
    intercept, scale = _calibration(by_sort)
    by_sort = {sort: intercept + scale * found for sort, found in by_sort.items()}
    reworded = [by_sort[sort][is_open[sorts == sort]] for sort in _REWORDED]
    least = min(float(np.quantile(found, _FALSELY_DIFFERENT)) for found in reworded)
    return Weights(
        what="Weights of sameness(), see cache/sameness.py; fitted by eval.sameness.fit.",
        link=_link_threshold(by_sort),
        audit_same=_same_threshold(by_sort),
        audit_different=_probability(least + math.log(_DOUBT)),
        audit_improbable=_probability(least),
        intercept=round(intercept, 4),
        trees=tuple(_scaled(tree, scale) for tree in _grow(collected, labels, sorts, is_open, trees)),
    )


def _calibration(scores: Mapping[str, NDArray[np.float64]]) -> tuple[float, float]:
    """(intercept, scale) that make log-odds of `scores` by sort of pair, where half of the pairs say the same in
    natural wordings and the others are as `_CONFUSIONS`: a logistic regression, by Newton's method."""
    parts = {"natural": 1.0, **_CONFUSIONS}
    score = np.clip(np.concatenate([scores[sort] for sort in parts]), -_MOST, _MOST)
    weigh = np.concatenate([np.full(len(scores[sort]), part / len(scores[sort])) for sort, part in parts.items()])
    labels = np.repeat([1.0, 0.0], [len(scores["natural"]), len(score) - len(scores["natural"])])
    rows, found = np.stack([np.ones(len(score)), score], axis=1), np.array([0.0, 1.0])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(np.clip(-rows @ found, -_SURE, _SURE)))
        curve = (rows * (weigh * p * (1 - p))[:, None]).T @ rows + _SHRINKAGE * np.eye(2)
        slope = rows.T @ (weigh * (labels - p)) - _SHRINKAGE * (found - (0.0, 1.0))
        step = np.linalg.solve(curve, slope)
        found = found + step / max(1.0, float(np.abs(step).max()))
    return float(found[0]), float(found[1])


_MOST: Final = 8.0
_SURE: Final = 30.0
_STEPS: Final = 50
"""None is longer than 1, else they may swing ever farther."""
_SHRINKAGE: Final = 1e-3
"""Holds the scale where few families are told apart without an error."""


def _scaled(tree: Tree, scale: float) -> Tree:
    return Tree(tree.asked, tree.above, tuple(round(scale * leaf, _DIGITS_KEPT) for leaf in tree.leaves))


_DIGITS_KEPT: Final = 4


def _sort(pair: Pair, families: str) -> str:
    """What the pair counts as in the fit; `families` says of which sort its family is."""
    if families == "long":
        if pair.relation == "reworded":
            return "long"
        return "long neighbour" if pair.relation == "neighbour" or pair.kind == "topic" else "long different"
    if families == "natural" and pair.relation == "reworded":
        return "natural"
    if families == "natural" and pair.relation == "different":
        return "hard closest" if pair.is_closest else "hard"
    return "closest" if pair.is_closest else pair.relation


def _grow(
    collected: Evidence, labels: NDArray[np.float64], sorts: NDArray[np.str_], rows: NDArray[np.bool_], trees: int
) -> list[Tree]:
    return grow(collected.amounts[rows], labels[rows], _weigh(sorts[rows]), collected.names, trees)


def _log_odds(collected: Evidence, trees: Sequence[Tree], rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    summed = Trees(trees)
    amounts = (dict(zip(collected.names, row, strict=True)) for row in collected.amounts[rows].tolist())
    return np.array([summed.log_odds(each) for each in amounts])


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


def _link_threshold(scores: Mapping[str, NDArray[np.float64]]) -> float:
    """The least probability from which on links are precise enough; `scores` by sort of pair."""
    for score in np.sort(np.concatenate([scores[sort] for sort in _CONFUSIONS])):
        right = float(np.mean(scores["natural"] > score))
        if right and right / (right + _taken_for_same(scores, float(score))) >= LEAST_PRECISION:
            return max(_probability(float(score)), UNSURE + 0.001)
    return 1.0


def _same_threshold(scores: Mapping[str, NDArray[np.float64]]) -> float:
    """The least probability at which no more than MOST_FALSE_SAME of what says something else passes for the same."""
    found = np.sort(np.concatenate([scores[sort] for sort in _CONFUSIONS]))
    score = next(each for each in found if _taken_for_same(scores, float(each)) <= MOST_FALSE_SAME)
    return max(_probability(float(score)), UNSURE + 0.001)


def _taken_for_same(scores: Mapping[str, NDArray[np.float64]], score: float) -> float:
    """The share of what says something else whose score is higher."""
    return sum(part * float(np.mean(scores[sort] > score)) for sort, part in _CONFUSIONS.items())


def _probability(score: float) -> float:
    return round(float(1 / (1 + np.exp(-score))), 6)


# --- the measurement ---


class Row(Struct, frozen=True):
    """What both operating points say of one sort of pairs."""

    name: str
    is_same: bool
    linked: Share
    same: Share
    different: Share
    unclear: Share


class Links(Struct, frozen=True):
    """How often links are right, where half of the pairs say the same and half say something else."""

    against: str
    """What sort of pairs says something else."""
    precision: Share
    recall: Share
    precision_by_family: tuple[float, float]
    recall_by_family: tuple[float, float]


class Measurement(Struct, frozen=True):
    """How often the operating points are right. Pairs of a family share texts, so the exact bounds, which take pairs
    for independent, are too narrow; those "by family" resample whole families."""

    rows: tuple[Row, ...]
    kinds: tuple[Row, ...]
    """Of the different texts, by what differs."""
    links: tuple[Links, ...]
    by_family: dict[str, tuple[float, float]]
    """Name of a row -> 95 % interval of the share that is linked."""


WORDINGS: Final = 4
"""Of so many wordings an answer group mostly has, and is compared by."""


def measure(
    families: Sequence[Family],
    weights: Weights,
    encoder: Encodes,
    *,
    with_variations: bool = False,
    with_neighbours: bool = False,
    faq: Path | None = None,
) -> Measurement:
    """What the weights say of families, of variations of their answers, which are many more texts, of neighbouring
    families, of answers in which a number was exchanged, and of neighbours in the FAQ if it is given."""
    texts = Texts(encoder)
    own = [(family.id, text) for family in families for text in family.same]
    pairs = [
        *family_pairs(families),
        *(varied_pairs(own) if with_variations else ()),
        *((*neighbour_pairs(families, texts), *altered_pairs(families)) if with_neighbours else ()),
        *(faq_pairs(texts, faq) if faq else ()),
    ]
    by_sort: dict[str, list[Judged]] = defaultdict(list)
    kinds: dict[str, list[Judged]] = defaultdict(list)
    for pair in pairs:
        judged = _judge(pair, (pair.two,), texts, weights)
        by_sort[pair.relation].append(judged)
        if pair.is_closest:
            by_sort["closest different"].append(judged)
        if pair.relation == "different":
            kinds[pair.kind].append(judged)
    for pair, wordings in _against_groups(families, pairs):
        by_sort[f"{pair.relation}, {WORDINGS} wordings"].append(_judge(pair, wordings, texts, weights))
    return Measurement(
        rows=tuple(_row(name, judged) for name, judged in by_sort.items()),
        kinds=tuple(_row(kind, judged) for kind, judged in sorted(kinds.items())),
        links=tuple(_mixtures(by_sort)),
        by_family={name: _resampled(judged) for name, judged in by_sort.items()},
    )


def _judge(pair: Pair, wordings: Sequence[str], texts: Texts, weights: Weights) -> "Judged":
    """What is said of the pair's first text and a group of these wordings."""
    one = answer_traits(pair.one)
    others = [(answer_traits(text), texts.cosine(pair.one, text)) for text in wordings]
    known = [sameness(one, two, cosine, weights) for two, cosine in others]
    verdicts = [compare_audit(one, two, cosine, weights) for two, cosine in others]
    return Judged(pair, pooled(known) >= weights.link, pooled_verdict(known, verdicts, weights.audit_same))


def _against_groups(families: Iterable[Family], pairs: Iterable[Pair]) -> Iterator[tuple[Pair, tuple[str, ...]]]:
    """Each answer with other wordings of its family, each different text with wordings of the family that it resembles,
    and each answer with wordings of the neighbour that is nearest."""
    wordings = {text: family.same for family in families for text in family.same}
    for family in families:
        for text in family.same:
            others = tuple(each for each in family.same if each != text)[:WORDINGS]
            yield Pair(family.id, "reworded", "reworded", text, others[0]), others
        for different in family.different:
            others = family.same[:WORDINGS]
            yield Pair(family.id, "different", different.kind, different.text, others[0]), others
    nearest: dict[str, Pair] = {}
    for pair in pairs:
        if pair.relation == "neighbour":
            nearest.setdefault(pair.one, pair)
    for pair in nearest.values():
        others = (pair.two, *(each for each in wordings[pair.two] if each != pair.two))
        yield pair, others[:WORDINGS]


class Judged(Struct, frozen=True):
    """What the two operating points say of a pair."""

    pair: Pair
    is_linked: bool
    verdict: Verdict


MIXTURE: Final = {"neighbour": 0.8, "different": 0.2}
"""What half of the pairs is made of where the precision and recall of links are promised; the other half says the same.
"""


def _mixtures(by_sort: Mapping[str, list[Judged]]) -> Iterator[Links]:
    """Links against each sort that is like the answer, and against the mixture of them."""
    for suffix in ("", f", {WORDINGS} wordings"):
        parts = {f"{sort}{suffix}": part for sort, part in MIXTURE.items() if f"{sort}{suffix}" in by_sort}
        for sort in parts:
            yield _links(by_sort, sort, f"reworded{suffix}", {sort: 1.0})
        if len(parts) == len(MIXTURE):
            said = " and ".join(f"{100 * part:.0f} % {sort}" for sort, part in parts.items())
            yield _links(by_sort, said, f"reworded{suffix}", parts)


def _links(by_sort: Mapping[str, list[Judged]], against: str, reworded: str, parts: Mapping[str, float]) -> Links:
    same = by_sort[reworded]
    half = min(len(same), *(int(len(by_sort[sort]) / part) for sort, part in parts.items()))
    right = sum(each.is_linked for each in _spread(same, half))
    wrong = sum(each.is_linked for sort, part in parts.items() for each in _spread(by_sort[sort], round(part * half)))
    recalls = _draws(same)
    errors = sum((part * _draws(by_sort[sort]) for sort, part in parts.items()), np.zeros(_DRAWS))
    with np.errstate(invalid="ignore"):
        precisions = np.nan_to_num(recalls / (recalls + errors), nan=1.0)
    return Links(against, share(right, right + wrong), share(right, half), _middle(precisions), _middle(recalls))


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
    return _middle(_draws(judged))


def _draws(judged: Sequence[Judged]) -> NDArray[np.float64]:
    """(draws,): the share linked, each time of other families; the same draws for the same families."""
    linked: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for each in judged:
        pairs[each.pair.family] += 1
        linked[each.pair.family] += each.is_linked
    counts = np.array([[linked[family], pairs[family]] for family in sorted(pairs)])
    drawn = np.random.default_rng(0).integers(len(counts), size=(_DRAWS, len(counts)))
    shares: NDArray[np.float64] = counts[drawn, 0].sum(axis=1) / counts[drawn, 1].sum(axis=1)
    return shares


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


# --- the text ---


def to_text(measurement: Measurement, title: str) -> RenderableType:
    """Tables of a measurement for a terminal."""
    return Lines(
        _to_table(f"{title}: sorts of pairs", measurement.rows, measurement.by_family),
        _to_table(f"{title}: different pairs by what differs", measurement.kinds, {}),
        *(Text(_said(links)) for links in measurement.links),
    )


def _said(links: Links) -> str:
    (low, high), (least, most) = links.precision_by_family, links.recall_by_family
    return (
        f"Links, half of the pairs reworded and half {links.against}: precision {percent(links.precision)}, by family "
        f"{100 * low:.1f} to {100 * high:.1f}; recall {percent(links.recall)}, by family {100 * least:.1f} to "
        f"{100 * most:.1f}."
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
            percent(row.linked),
            *((f"{100 * low:.1f} to {100 * high:.1f}",) if by_family else ()),
            percent(row.same),
            percent(row.different),
            percent(row.unclear),
        )
    return table


def percent(found: Share) -> str:
    """A share with its 95 % bounds."""
    value = found.value
    return "-" if value is None else f"{100 * value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


# --- the command ---


def main() -> None:
    """`python -m eval.sameness fit` writes the weights, `measure` prints how often they are right."""
    parser = argparse.ArgumentParser(prog="python -m eval.sameness", description=main.__doc__)
    parser.add_argument("what", choices=("fit", "measure"))
    parser.add_argument("--held-back", action="store_true", help="Measure on the families nothing was chosen on.")
    parser.add_argument(
        "--encoder", type=Path, default=Path(os.environ.get("THRIFTGATE_ENCODER_DIR", ".thriftgate/encoder"))
    )
    given = parser.parse_args()
    encoder = Encoder.load(given.encoder)
    if given.what == "fit":
        weights = fit(read_families(DEVELOPMENT), read_families(NATURAL), read_families(LONG), encoder)
        WEIGHTS.write_bytes(msgspec.json.encode(weights))
    else:
        files = (NATURAL_HELD_BACK, HELD_BACK, LONG_HELD_BACK) if given.held_back else (NATURAL, DEVELOPMENT, LONG)
        natural, made, long = files
        weights, console = shipped_weights(), Console()
        found = measure(read_families(natural), weights, encoder, with_neighbours=True)
        console.print(to_text(found, "natural wordings"))
        console.print(to_text(measure(read_families(made), weights, encoder, faq=QUESTIONS), "made to be mistaken"))
        found = measure(read_families(long), weights, encoder, with_neighbours=True)
        console.print(to_text(found, "as chat models answer"))
        if given.held_back:
            console.print(
                to_text(measure(read_families(OTHERS), weights, encoder, with_neighbours=True), "by other writers")
            )
    encoder.close()


if __name__ == "__main__":
    main()
