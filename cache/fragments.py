"""Whether two answer groups are fragments of one, by what is asked: their questions lie among each other, as those of
two answers hardly ever do. Pure, over vectors.

A comparison of words cannot tell of every rewording that it says the same, so that one answer which a model words ever
anew may found several groups. Each grows, since the questions that lead to one or the other are the same ones. Of one
set that chance has dealt out, the nearest other question is as often in the other part as the parts' sizes say; of the
questions of two answers it hardly ever is, or the two lie apart. How the answers compare speaks with it: the less
near the questions, the more alike the answers have to be.

An answer that has changed is asked for by the same questions as the one before. But from then on nothing joins the old
one, while fragments grow by turns.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.index import Vectors

LEAST: Final = 4
"""Of fewer questions nothing can be said."""
COMPARED: Final = 24
"""So many questions of each group, the latest, are compared."""
MIXED_FROM: Final = 0.9
"""How often the nearest question is one of the other group, beside how often it would be if chance had dealt them,"""
MATCHED_FROM: Final = 0.7
"""and how often it asks for the same besides, as far as words tell."""
NEAR_FROM: Final = 0.87
"""Cosine of the two groups' mean vectors."""
# Chosen on 46 merges of groups of banking77 (a support desk's answers, and once those of chat models) and 45 pairs of
# clinc150: at a nearness of 0.87 two answers that people confuse had -1 to -2, wordings of one hardly ever less than
# -1; from 0.95 on there was nothing but wordings of one, down to -3 (in a later stream two answers, once, at 0.96).
_LOG_ODDS: Final = -0.75
"""What the log-odds of the answers' sameness have to be at NEAR_FROM,"""
_LESS_BY_NEARNESS: Final = 28.0
"""and how much less for a nearness of one more."""
# Of 2,548 labels of right hits and near misses none was of groups as apart and as near as this; of 430 of wrong ones
# 115 were, 34 of which no comparison of words had recognised.
APART_UP_TO: Final = 0.3
"""Where the nearest question is no more often one of the other group, beside chance, the two ask for something else;"""
COMPARABLE_FROM: Final = 0.55
"""but one answer to questions of two kinds, whose mean vectors are less near, is as apart."""
PERHAPS_FROM: Final = 0.75
"""Where it is as often, they may be fragments;"""
FEW_NEAR_FROM: Final = 0.85
"""and of fewer questions than LEAST those that are as near: of 40 pairs of groups of two answers one was."""
TURNS: Final = 2
"""So many questions must have come to each group since the first one of the other."""
_GROWTH: Final = 1.25


def is_due(questions: int) -> bool:
    """Whether a group of so many questions is to be looked at: whenever it has grown by a quarter."""
    return questions in _SIZES


def _sizes() -> Iterator[int]:
    size = LEAST
    while size < 1_000_000:
        yield size
        size = max(size + 1, int(size * _GROWTH))


_SIZES: Final = frozenset(_sizes())


def take_turns(one: Sequence[int], two: Sequence[int]) -> bool:
    """Whether two groups have grown at the same time; of each the numbers of its questions, as they came."""
    return all(sum(each > min(others) for each in mine) >= TURNS for mine, others in ((one, two), (two, one)))


class Mixture:
    """The questions of two groups, each of shape (n, dim) and unit norm; ValueError if either is empty."""

    def __init__(self, one: Vectors, two: Vectors, *, in_turns: bool = True) -> None:
        if not len(one) or not len(two):
            raise ValueError("A group without questions is mixed with none.")
        self._count, self._other_count, self._in_turns = len(one), len(two), in_turns
        centres = one.mean(0), two.mean(0)
        norms = float(np.linalg.norm(centres[0]) * np.linalg.norm(centres[1]))
        self.nearness = float(centres[0] @ centres[1]) / max(norms, 1e-9)
        """Cosine of the two means."""
        both = np.concatenate([one, two])
        cosines = both @ both.T
        np.fill_diagonal(cosines, -2.0)
        nearest = cosines.argmax(1)
        is_other: NDArray[np.bool_] = np.arange(len(both)) >= len(one)
        crossing = np.flatnonzero(is_other != is_other[nearest])
        self.crossings: list[tuple[int, int]] = list(zip(crossing.tolist(), nearest[crossing].tolist(), strict=True))
        """Questions whose nearest one is of the other group, with that one; the second group's are numbered on."""

    @property
    def may_be_one(self) -> bool:
        """Whether they are mixed and near, as far as vectors tell."""
        is_near = self._is_telling and self.nearness >= NEAR_FROM
        return is_near and self.may_be_mixed and self._is(MIXED_FROM, len(self.crossings))

    @property
    def is_apart(self) -> bool:
        """Whether other things are asked of the two, near as these may be."""
        return self._is_telling and self.nearness >= COMPARABLE_FROM and not self._is(APART_UP_TO, len(self.crossings))

    @property
    def may_be_mixed(self) -> bool:
        """Whether chance might have dealt them out of one set, as they came. Of a few questions only that tells which
        lies far from the others."""
        if not self._is_telling:
            return self.nearness >= FEW_NEAR_FROM
        return self._in_turns and self._is(PERHAPS_FROM, len(self.crossings))

    @property
    def _is_telling(self) -> bool:
        return min(self._count, self._other_count) >= LEAST

    def is_matched(self, crossings: int) -> bool:
        """Whether so many of the crossings, of two questions that ask for the same, are enough."""
        return self._is(MATCHED_FROM, crossings)

    @property
    def alike_from(self) -> float:
        """How likely the answers of the two have to say the same, taken together."""
        return 1 / (1 + math.exp(_LESS_BY_NEARNESS * (self.nearness - NEAR_FROM) - _LOG_ODDS))

    def _is(self, share: float, crossings: int) -> bool:
        size = self._count + self._other_count
        by_chance = 2 * self._count * self._other_count / (size - 1)
        return crossings >= share * by_chance
