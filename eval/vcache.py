"""The rule of vCache, written anew from its paper, to compare with.

Schroeder et al., "vCache: Verified Semantic Prompt Caching" (https://arxiv.org/abs/2502.03771). Each stored prompt
keeps the similarities at which it was the nearest neighbour and whether its answer would have been right. Of these

    p(right | s) = L(s; t, g) = 1 / (1 + exp(-g (s - t)))                           maximum likelihood of t and g
    tau(s) = min over e in (0, 1) of  1 - delta / (1 - (1 - e) L(s; t'(e), g))      t'(e): upper 1 - e bound of t

and the cache asks upstream with probability tau ("explore"), else serves ("exploit"): an answer is then right with
at least 1 - delta, explored ones included. So delta bounds the wrong answers per request, not per hit.

What the formulas leave open is done as the authors' own program does it (https://github.com/vcache-project/vCache):
a prompt begins with the observations (0, wrong) and (1, right), explores until it has six, and a question whose
neighbour would have been right is not stored. Where right and wrong are separated the likelihood has no maximum and
its curvature says nothing: the slope is then held by a slight penalty, and the variance of t is taken as
`SEPARATED / n`, close to the simulated values of that program.
"""

from collections.abc import Sequence
from random import Random
from statistics import NormalDist
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

LEAST_OBSERVATIONS: Final = 6
FIRST_OBSERVATIONS: Final = ((0.0, False), (1.0, True))
SEPARATED: Final = 0.2
_PENALTY: Final = 1e-4
_CONFIDENCES: Final = np.linspace(1e-6, 1 - 1e-6, 50)
"""The e over which tau is minimised."""
_QUANTILES: Final = np.array([NormalDist().inv_cdf(1 - e) for e in _CONFIDENCES.tolist()])


class Boundary(Struct, frozen=True):
    """From which similarity on a stored prompt's answer is more likely right than wrong, and how sure that is."""

    threshold: float
    slope: float
    variance: float
    """Of the threshold."""


def fit_boundary(observations: Sequence[tuple[float, bool]]) -> Boundary:
    """Maximum likelihood, by Newton's method with halved steps. `observations` are (similarity, was right)."""
    similarities = np.array([each[0] for each in observations])
    right = np.array([each[1] for each in observations], np.float64)
    design = np.column_stack([np.ones(len(right)), similarities])
    ridge = np.array([0.0, _PENALTY])
    solution = np.zeros(2)
    loss = _loss(design, right, ridge, solution)
    for _ in range(60):
        p = _logistic(design @ solution)
        gradient = design.T @ (p - right) + ridge * solution
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(ridge + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-4 and (new := _loss(design, right, ridge, solution - size * step)) > loss:
            size /= 2
        if size <= 1e-4 or loss - new < 1e-10:
            break
        solution, loss = solution - size * step, new
    slope = max(float(solution[1]), 1e-6)
    threshold = min(max(-float(solution[0]) / slope, 0.0), 1.0)
    is_wrong = right == 0
    if is_wrong.all() or not is_wrong.any() or similarities[~is_wrong].min() > similarities[is_wrong].max():
        return Boundary(threshold, slope, SEPARATED / len(right))
    return Boundary(threshold, slope, _variance(design, slope, float(solution[0])))


def _logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(logits, -40, 40)))
    return found


def _loss(
    design: NDArray[np.float64], right: NDArray[np.float64], ridge: NDArray[np.float64], solution: NDArray[np.float64]
) -> float:
    logits = design @ solution
    return float((np.logaddexp(0, logits) - right * logits).sum() + 0.5 * (ridge * solution**2).sum())


def _variance(design: NDArray[np.float64], slope: float, intercept: float) -> float:
    """Of the threshold -intercept / slope, by the delta method."""
    p = _logistic(intercept + slope * design[:, 1])
    information = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
    gradient = np.array([-1 / slope, intercept / slope**2])
    return max(float(gradient @ np.linalg.solve(information, gradient)), 0.0)


def exploration(similarity: float, boundary: Boundary, delta: float) -> float:
    """tau: with which probability to ask upstream; 0 or less = never."""
    thresholds = np.clip(boundary.threshold + _QUANTILES * boundary.variance**0.5, 0.0, 1.0)
    certain = (1 - _CONFIDENCES) * _logistic(boundary.slope * (similarity - thresholds))
    return float((1 - delta / (1 - certain)).min())


class VCache:
    """The rule as one of `eval.baselines.Rule`."""

    def __init__(self, delta: float, places: int, seed: int) -> None:
        self._delta = delta
        self._chance = Random(seed)
        self._penalty = np.full(places, 2.0, np.float32)
        self._observations: dict[int, list[tuple[float, bool]]] = {}
        self._boundaries: dict[int, Boundary] = {}
        self.hits = self.wrong = 0

    def ask(self, place: int, similarities: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        if not place:
            self._store(place)
            return
        seen = similarities - self._penalty[:place]
        nearest = int(seen.argmax())
        similarity, is_right = float(seen[nearest]), bool(answers[nearest] == answers[place])
        if self._serves(nearest, similarity):
            self.hits += 1
            self.wrong += not is_right
            return
        self._observations[nearest].append((similarity, is_right))
        self._boundaries.pop(nearest, None)
        if not is_right:
            self._store(place)

    def _serves(self, nearest: int, similarity: float) -> bool:
        observations = self._observations[nearest]
        if len(observations) < LEAST_OBSERVATIONS:
            return False
        boundary = self._boundaries.get(nearest)
        if boundary is None:
            boundary = self._boundaries[nearest] = fit_boundary(observations)
        return self._chance.random() > exploration(similarity, boundary, self._delta)

    def _store(self, place: int) -> None:
        self._penalty[place] = 0.0
        self._observations[place] = list(FIRST_OBSERVATIONS)
