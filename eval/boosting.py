"""Grows the trees of `cache.answer_trees`: each corrects what the ones before it say, by Newton steps on the logistic
loss, with all questions of one level the same (Friedman, "Greedy function approximation", 2001; Prokhorenkova et al.,
"CatBoost", 2018, on why such trees overfit less).

Owns the search for questions; refuses to know what the amounts mean. The same input gives the same trees.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.answer_trees import DEPTH, Tree

TREES: Final = 600
RATE: Final = 0.08
"""The share of each correction that is taken."""
_RIDGE: Final = 5.0
"""Evidence that each leaf has against it, in units of p(1-p)."""
_CUTS: Final = 20
"""At most so many places at which an amount is asked about."""
_FEATURES: Final = 0.4
"""The share of the amounts that each tree may ask about."""
_ROWS: Final = 0.8
"""The share of the rows that each tree chooses its questions by."""
_DIGITS: Final = 4

Floats = NDArray[np.float64]


def grow(amounts: Floats, labels: Floats, weights: Floats, names: Sequence[str], trees: int = TREES) -> list[Tree]:
    """Trees for `amounts` (rows, names) and `labels` in {0, 1} (rows,), each row counting as much as its weight."""
    chance = np.random.default_rng(0)
    cuts = [_cuts(column) for column in amounts.T]
    bins = np.stack([np.searchsorted(cut, column) for cut, column in zip(cuts, amounts.T, strict=True)])
    askable = np.array([place for place, cut in enumerate(cuts) if len(cut)])
    score = np.zeros(len(labels))
    found = []
    for _ in range(trees):
        p = 1 / (1 + np.exp(-score))
        slope, curve = weights * (labels - p), weights * p * (1 - p)
        rows = np.flatnonzero(chance.random(len(labels)) < _ROWS)
        places = chance.choice(askable, _count(len(askable)), replace=False)
        asked, leaf = [], np.zeros(len(labels), dtype=np.intp)
        for _ in range(DEPTH):
            place, cut = _best(bins, cuts, places, leaf, slope, curve, rows)
            asked.append((place, cut))
            leaf = 2 * leaf + (bins[place] > cut)
        size = 1 << DEPTH
        total, evidence = np.bincount(leaf, slope, size), np.bincount(leaf, curve, size)
        leaves = np.round(RATE * total / (evidence + _RIDGE), _DIGITS)
        score += leaves[leaf]
        found.append(
            Tree(
                tuple(names[place] for place, _ in asked),
                tuple(float(cuts[place][cut]) for place, cut in asked),
                tuple(leaves.tolist()),
            )
        )
    return found


def _count(askable: int) -> int:
    """How many amounts a tree may ask about."""
    return min(max(int(_FEATURES * askable), DEPTH), askable)


def _cuts(column: Floats) -> Floats:
    """Places between the values that occur, as many rows between one and the next."""
    values = np.unique(column)
    between = (values[1:] + values[:-1]) / 2
    if len(between) > _CUTS:
        between = np.unique(np.quantile(column, np.linspace(0, 1, _CUTS + 2)[1:-1], method="inverted_cdf"))
    cuts: Floats = np.round(between, _DIGITS)
    return cuts


def _best(
    bins: NDArray[np.intp], cuts: Sequence[Floats], places: NDArray[np.intp], leaf: NDArray[np.intp], slope: Floats,
    curve: Floats, rows: NDArray[np.intp],
) -> tuple[int, int]:  # fmt: skip
    """(amount, cut): the question that, asked in all leaves, lowers the loss most."""
    leaves, width = int(leaf.max()) + 1, _CUTS + 2
    base, slopes, curves = leaf[rows] * width, slope[rows], curve[rows]
    best, found = -np.inf, (int(places[0]), 0)
    for place in places.tolist():
        at = base + bins[place][rows]
        low, below = (
            np.bincount(at, of, leaves * width).reshape(leaves, width).cumsum(axis=1) for of in (slopes, curves)
        )
        high, above = low[:, -1:] - low, below[:, -1:] - below
        gain = (low**2 / (below + _RIDGE) + high**2 / (above + _RIDGE)).sum(axis=0)[: len(cuts[place])]
        cut = int(np.argmax(gain))
        if gain[cut] > best:
            best, found = float(gain[cut]), (place, cut)
    return found
