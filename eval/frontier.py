"""What a router gets for its money: the curve of cost and quality as the price of money is swept, and its figures.

A choice is argmax q - lambda * cost / cost_ref, as in production. A negative lambda pays for dear models where they are
expected to be worse: no gateway does that, but the curves of the literature end where every call is dear.

APGR and CPT are those of Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data" (2024), section 4.1, with
cost in the place of the share of strong calls; where each call of the dear model costs 1 they are the same.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from router.quality import Traits

Doubles = NDArray[np.float64]

_PRICES: Final = 400
"""Values of lambda on a curve."""
_NEIGHBOURS: Final = 50
_CHUNK: Final = 500


class Frontier(Struct, frozen=True):
    """Points of a curve from cheap to dear. Cost is a share of what the dearest model costs for all."""

    cost: Doubles
    quality: Doubles

    def at(self, cost: float) -> float:
        """Quality at this cost; between two points some requests are decided by one and some by the other."""
        return float(np.interp(cost, self.cost, self.quality))

    def cost_of(self, quality: float) -> float | None:
        """The least cost at which this quality is reached; None if it is not."""
        reached = np.nonzero(self.quality >= quality - 1e-12)[0]
        if not len(reached):
            return None
        place = int(reached[0])
        if place == 0:
            return float(self.cost[0])
        (x0, x1), (y0, y1) = self.cost[place - 1 : place + 1], self.quality[place - 1 : place + 1]
        return float(x1 if y1 == y0 else x0 + (x1 - x0) * (quality - y0) / (y1 - y0))


def sweep(q: Doubles, expected_cost: Doubles, reward: Doubles, cost: Doubles) -> Frontier:
    """The curve of a router that expects these, when these are what comes. Shapes (prompts, models), models from cheap
    to dear."""
    reference = float(expected_cost[:, -1].mean())
    dearest = float(cost[:, -1].sum())
    expected = expected_cost / reference
    rows = np.arange(len(q))
    points = []
    for price in _prices(q, expected):
        chosen = (q - price * expected).argmax(1)
        points.append((cost[rows, chosen].sum() / dearest, reward[rows, chosen].mean()))
    # All of them cheap, all of them dear.
    points = [(cost[:, 0].sum() / dearest, reward[:, 0].mean()), *points, (1.0, reward[:, -1].mean())]
    points.sort(key=lambda point: point[0])
    return Frontier(*(np.array(values, np.float64) for values in zip(*points, strict=True)))


def _prices(q: Doubles, expected: Doubles) -> Doubles:
    """Values of lambda at which decisions change, spread evenly over them."""
    gains = []
    for cheap in range(q.shape[1]):
        for dear in range(cheap + 1, q.shape[1]):
            more = expected[:, dear] - expected[:, cheap]
            gains.append(((q[:, dear] - q[:, cheap]) / more)[more > 0])
    found: Doubles = np.unique(np.quantile(np.concatenate(gains), np.linspace(0, 1, _PRICES)))
    return np.append(found, 0.0)


def between(points: Sequence[tuple[float, float]]) -> Frontier:
    """The best mixtures of fixed choices: the upper hull of their (cost, quality)."""
    hull: list[tuple[float, float]] = []
    for x, y in sorted(points):
        while len(hull) > 1 and _is_under(hull[-2], hull[-1], (x, y)):
            hull.pop()
        if not hull or y > hull[-1][1]:
            hull.append((x, y))
    return Frontier(*(np.array(values, np.float64) for values in zip(*hull, strict=True)))


def _is_under(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> bool:
    return (middle[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (middle[0] - left[0])


# --- figures ---


def recovered(quality: float, cheapest: float, dearest: float) -> float:
    """Performance gap recovered: 0 at the cheapest model's quality, 1 at the dearest's, beyond it more."""
    return (quality - cheapest) / (dearest - cheapest)


def apgr(curve: Frontier, cheapest: tuple[float, float], dearest: tuple[float, float]) -> float:
    """The mean gap recovered over all costs from the cheapest model's to the dearest's, each (cost, quality)."""
    inside = (curve.cost > cheapest[0]) & (curve.cost < dearest[0])
    costs = np.concatenate(([cheapest[0]], curve.cost[inside], [dearest[0]]))
    gaps = recovered(np.interp(costs, curve.cost, curve.quality), cheapest[1], dearest[1])  # type: ignore[arg-type]
    return float(np.trapezoid(gaps, costs) / (dearest[0] - cheapest[0]))


def cpt(curve: Frontier, share: float, cheapest: tuple[float, float], dearest: tuple[float, float]) -> float | None:
    """The least cost at which this share of the gap is recovered; None if it never is."""
    return curve.cost_of(cheapest[1] + share * (dearest[1] - cheapest[1]))


# --- what it is compared with ---


def neighbours(seen: Sequence[Traits], reward: Doubles, train: NDArray[np.intp], test: NDArray[np.intp]) -> Doubles:
    """The plain mean over the 50 nearest prompts by cosine, without shrinkage; that of all where there is no vector."""
    known = [row for row in train if seen[row].vector is not None]
    vectors = np.stack([_vector(seen[row]) for row in known])
    rewards = reward[known]
    found = np.tile(reward[train].mean(0), (len(test), 1))
    asked = [place for place, row in enumerate(test) if seen[row].vector is not None]
    for start in range(0, len(asked), _CHUNK):
        part = asked[start : start + _CHUNK]
        likeness = np.stack([_vector(seen[test[place]]) for place in part]) @ vectors.T
        nearest = np.argpartition(-likeness, min(_NEIGHBOURS, len(known)) - 1, axis=1)[:, :_NEIGHBOURS]
        found[part] = rewards[nearest].mean(1)
    return found


def _vector(seen: Traits) -> NDArray[np.float32]:
    assert seen.vector is not None
    return seen.vector
