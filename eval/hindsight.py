"""The loosest cut of scores that keeps to a share of wrong ones, chosen when all is known. What it serves, it serves
with everything that is scored as high."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Cut(NamedTuple):
    """Serve if and only if the score is at least this."""

    score: float
    right: int
    """Of those that it serves."""


def loosest_cuts(scores: NDArray[np.float64], is_right: NDArray[np.bool_], levels: Sequence[float]) -> list[Cut | None]:
    """For each level of wrong ones per served one the loosest cut that holds it; None if none does. Both arrays are of
    shape (n,)."""
    if not len(scores):
        return [None] * len(levels)
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(is_right[order])
    served = np.arange(1, len(order) + 1)
    is_cut = np.append(scores[1:] < scores[:-1], True)
    found: list[Cut | None] = []
    for level in levels:
        held = np.nonzero(is_cut & (served - right <= level * served))[0]
        found.append(Cut(float(scores[held[-1]]), int(right[held[-1]])) if len(held) else None)
    return found
