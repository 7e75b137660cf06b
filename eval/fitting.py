"""Fitting the decision's prior: every judgement of a stream with whether it would have been right, and the weights.

Streams are replayed through the same neighbourhood as production, every question stored, so that the examples are
those of a cache that has been full and of one that was empty. Beside them stand sparse scenes: a scope of few
questions, one of which looks like what is asked and is answered otherwise. Logistic regression with an L2
penalty, by Newton's method.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.decision import FEATURES, Judgement, Prior
from cache.groups import Group
from cache.neighbourhood import Neighbourhood
from cache.scope import normalised
from eval.hindsight import loosest_cuts
from eval.streams import Question, Vectors

PENALTY: Final = 1.0
BUDGETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05)
"""Wrong per hit for which kappas are found."""
HELD_SHARE: Final = 0.75
"""How much of a budget a kappa may use up on the strictest stream that it was not fitted on."""
STRICTEST: Final = 0.998
SCENES: Final = "scenes"
"""How the names of sources of sparse scenes begin."""
SCENES_COUNT: Final = 0.1
"""How much an adversarial scene weighs beside a question of a stream: traffic is not made of traps. From 0.02 to 0.4
it makes no difference to the streams; at 0.1 none of the traps on which it was fitted reaches kappa."""
_SCOPE: Final = b"evaluation"
_CONTEXTS: Final = (0, 2, 8, 30)
"""How many other questions a sparse scene has."""


class Examples(Struct, frozen=True):
    """Judgements with their outcome. `features` (n, len(FEATURES)), `is_right` and `may_serve` (n,)."""

    features: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    may_serve: NDArray[np.bool_]
    """Whether no mismatch blocked."""
    asked: int
    """Questions in all: also those without any neighbour, and exact repetitions."""
    exact: int
    """Exact repetitions with the right answer."""


class Replay:
    """One scope in memory: judges questions and takes them in."""

    def __init__(self, dim: int, prior: Prior) -> None:
        self.neighbourhood = Neighbourhood(dim, prior)
        self._known: dict[int, tuple[str, int, bool]] = {}
        self._groups: dict[str, int] = {}
        self.exact: dict[str, str] = {}

    def judge(self, text: str, vector: NDArray[np.float32]) -> Judgement:
        return self.neighbourhood.judge(_SCOPE, text, vector, self._known.get)

    def group_of(self, answer: str) -> int | None:
        return self._groups.get(answer)

    def take(self, question: Question, vector: NDArray[np.float32]) -> None:
        text = normalised(question.text)
        group = self._groups.get(question.answer)
        if group is None:
            group = self._groups[question.answer] = len(self._groups)
            self.neighbourhood.groups.add(Group(group, _SCOPE, question.answer.encode(), question.answer), None)
        anchor = len(self._known)
        self._known[anchor] = (text, group, True)
        self.neighbourhood.add(_SCOPE, anchor, group, vector)
        self.exact[text] = question.answer

    def close(self) -> None:
        self.neighbourhood.close()


def stream_examples(
    questions: Sequence[Question], vectors: Vectors, prior: Prior, on_progress: Callable[[int], None] = lambda _: None
) -> Examples:
    """Every judgement of a stream in which every question is stored."""
    replay = Replay(len(next(iter(vectors.values()))), prior)
    rows: list[tuple[tuple[float, ...], bool, bool]] = []
    exact = 0
    for place, question in enumerate(questions):
        if place % 100 == 0:
            on_progress(100)
        text = normalised(question.text)
        if text in replay.exact:
            exact += replay.exact[text] == question.answer
            continue
        if (vector := vectors.get(text)) is None:
            continue
        judgement = replay.judge(text, vector)
        if judgement.group is not None:
            rows.append(
                (
                    judgement.features,
                    judgement.group == replay.group_of(question.answer),
                    judgement.neighbour is not None,
                )
            )
        replay.take(question, vector)
    replay.close()
    return _examples(rows, len(questions), exact)


def scene_examples(
    scenes: Iterable[tuple[str, str, bool]], others: Sequence[Question], vectors: Vectors, prior: Prior, seed: int
) -> Examples:
    """Judgements in sparse scopes: (stored, asked, whether they have one answer), among 0 to 30 others."""
    rng = random.Random(seed)
    rows = []
    asked = 0
    for stored, question, is_same in scenes:
        for count in _CONTEXTS:
            replay = Replay(len(next(iter(vectors.values()))), prior)
            context = rng.sample(others, count)
            for other in [*context, Question(stored, "the stored answer")]:
                if (vector := vectors.get(normalised(other.text))) is not None:
                    replay.take(other, vector)
            text = normalised(question)
            asked += 1
            if (vector := vectors.get(text)) is not None:
                judgement = replay.judge(text, vector)
                right = is_same and judgement.group == replay.group_of("the stored answer")
                rows.append((judgement.features, right, judgement.neighbour is not None))
            replay.close()
    return _examples(rows, asked, 0)


def _examples(rows: Sequence[tuple[tuple[float, ...], bool, bool]], asked: int, exact: int) -> Examples:
    return Examples(
        features=np.array([row[0] for row in rows], np.float64).reshape(len(rows), len(FEATURES)),
        is_right=np.array([row[1] for row in rows], bool),
        may_serve=np.array([row[2] for row in rows], bool),
        asked=asked,
        exact=exact,
    )


# --- the weights ---


_LOG_GROUP: Final = FEATURES.index("log_group")


def _is_alone(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of which judgements the candidate group has one anchor."""
    found: NDArray[np.bool_] = features[:, _LOG_GROUP] < np.log(2.5)
    return found


def fit(examples: Mapping[str, Examples], fitted_on: str, penalty: float = PENALTY) -> Prior:
    """Weights from the examples of several sources; the kappas are still to be found. Sparse scenes say something
    of groups of one anchor only: their contexts were drawn at random."""
    alone = {name: each for name, each in examples.items() if _is_alone(each.features).any()}
    company = {name: each for name, each in examples.items() if not name.startswith(SCENES)}
    weights_alone = _weights(alone, True, penalty)
    weights_company = _weights(company, False, penalty)
    digest = hashlib.sha256(fitted_on.encode() + weights_alone.tobytes() + weights_company.tobytes())
    return Prior(weights_alone, weights_company, {}, digest.hexdigest()[:16])


def _weights(examples: Mapping[str, Examples], is_alone: bool, penalty: float) -> NDArray[np.float64]:
    """One set of weights, the intercept last, from what no mismatch has blocked: the rest is not served. Each source
    counts by the root of its size, so that the largest does not decide alone."""
    parts = []
    for name, each in examples.items():
        share = SCENES_COUNT if name.startswith(SCENES) else 1.0
        chosen = (_is_alone(each.features) == is_alone) & each.may_serve
        if chosen.any():
            parts.append(
                (each.features[chosen], each.is_right[chosen], np.full(chosen.sum(), share * chosen.sum() ** -0.5))
            )
    features, is_right, counted = (np.concatenate(column) for column in zip(*parts, strict=True))
    counted = counted * len(counted) / counted.sum()
    mean = np.average(features, axis=0, weights=counted)
    spread = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=counted)) + 1e-3
    scaled = np.column_stack([(features - mean) / spread, np.ones(len(features))])
    solution = _logistic(scaled, is_right.astype(np.float64), counted, penalty)
    weights = solution[:-1] / spread
    found: NDArray[np.float64] = np.round(np.append(weights, solution[-1] - weights @ mean), 4)
    return found


def _logistic(
    features: NDArray[np.float64], right: NDArray[np.float64], counted: NDArray[np.float64], penalty: float
) -> NDArray[np.float64]:
    """Minimises the penalised log loss; the last column, the intercept, is not penalised."""
    solution = np.zeros(features.shape[1])
    ridge = np.full(features.shape[1], penalty)
    ridge[-1] = 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(features @ solution, -30, 30)))
        gradient = features.T @ (counted * (p - right)) + ridge * solution
        hessian = (features * (counted * p * (1 - p))[:, None]).T @ features + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        solution -= step
        if float(np.abs(step).max()) < 1e-7:
            break
    return solution


def probabilities(prior: Prior, examples: Examples) -> NDArray[np.float64]:
    """p(correct) of each example that may serve, 0 of the others: what counts against kappa."""
    weights = np.where(_is_alone(examples.features)[:, None], prior.alone, prior.company)
    logits = np.clip((examples.features * weights[:, :-1]).sum(axis=1) + weights[:, -1], -30, 30)
    return np.where(examples.may_serve, 1 / (1 + np.exp(-logits)), 0.0)


def hindsight(p: NDArray[np.float64], examples: Examples, max_wrong: float) -> tuple[float, float]:
    """(correct hits per question, kappa) of the loosest kappa in hindsight with at most `max_wrong` wrong per hit.
    Exact repetitions count as correct hits, but not against the wrong ones."""
    possible = p > 0
    (cut,) = loosest_cuts(p[possible], examples.is_right[possible], [max_wrong])
    if cut is None:
        return examples.exact / examples.asked, 1.0
    return (cut.right + examples.exact) / examples.asked, cut.score


def prior_without(name: str | None, fitted: Mapping[str, Examples], checked: Mapping[str, Examples]) -> Prior:
    """The prior of every source in `fitted` but `name`; None leaves nothing out. Its kappas come from the streams in
    `checked`, each judged by weights that were fitted without it and without `name`: the loosest kappa that keeps
    to `HELD_SHARE` of the budget on the strictest of them. So the stream left out has no say in anything.

    Raises ValueError if nothing is left to fit on."""
    sources = {source: each for source, each in fitted.items() if source != name}
    if not any(not source.startswith(SCENES) for source in sources):
        raise ValueError(f"no stream but {name} to fit on")
    found = fit(sources, " ".join(sources))
    claims = []
    for stream, each in checked.items():
        others = {source: examples for source, examples in sources.items() if source != stream}
        if stream != name and any(not source.startswith(SCENES) for source in others):
            claims.append((probabilities(fit(others, " ".join(others)), each), each))
    if not claims:  # one stream only: it has to vouch for itself
        claims = [(probabilities(found, each), each) for source, each in sources.items()]
    kappas = {
        budget: round(min(max(hindsight(p, each, HELD_SHARE * budget)[1] for p, each in claims), STRICTEST), 4)
        for budget in BUDGETS
    }
    return msgspec.structs.replace(found, kappas=kappas)


def changes(old: Prior, new: Prior) -> list[tuple[str, float, float]]:
    """(what, before, after) for every figure of the prior that is not the same."""
    pairs = [
        (f"{kind}: {name}", before, after)
        for kind in ("alone", "company")
        for name, before, after in zip(
            (*FEATURES, "intercept"), getattr(old, kind).tolist(), getattr(new, kind).tolist(), strict=True
        )
    ]
    budgets = sorted({*old.kappas, *new.kappas})
    pairs += [
        (f"kappa at {budget}", old.kappas.get(budget, float("nan")), new.kappas.get(budget, float("nan")))
        for budget in budgets
    ]
    return [(what, before, after) for what, before, after in pairs if before != after]


def to_json(prior: Prior, fitted_on: Sequence[str], remarks: Mapping[str, Any]) -> str:
    """The file that is shipped, for a person to review."""
    return (
        json.dumps(
            {
                "what": "Weights of p(correct), see cache/decision.py; fitted by `thriftgate eval cache --fit`.",
                "fitted_on": list(fitted_on),
                "alone": dict(zip((*FEATURES, "intercept"), prior.alone.tolist(), strict=True)),
                "company": dict(zip((*FEATURES, "intercept"), prior.company.tolist(), strict=True)),
                "kappas": {str(budget): kappa for budget, kappa in prior.kappas.items()},
                "fingerprint": prior.fingerprint,
                **remarks,
            },
            indent=1,
        )
        + "\n"
    )


def blank_prior() -> Prior:
    """A prior that knows nothing; its features are what a fit starts from."""
    return Prior(np.zeros(len(FEATURES) + 1), np.zeros(len(FEATURES) + 1), {0.01: 1.0}, "blank")
