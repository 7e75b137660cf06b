"""Which answers say the same: every fresh answer joins the group of a stored one, or founds its own.

Compares answers with answers, through an index of their own, so that two questions far apart with one answer are
linked. Works after the client has been served; nobody waits for it.
"""

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import numpy as np

from cache import sameness
from cache.answer_traits import normal_form
from cache.errors import TextTooLong
from cache.groups import LONGEST_FOUNDER, Group
from cache.index import Vector
from cache.neighbourhood import Neighbourhood
from cache.sameness import Verdict

CANDIDATES: Final = 12
"""So many of the nearest founding answers are compared."""
BOTH_AT_LEAST: Final = 0.95
"""How sure questions and answers must be together to link an answer with the group that was expected."""
ANSWERS_AT_LEAST: Final = 0.6
"""However sure the questions are, answers that are less likely the same than this are not linked,"""
QUESTIONS_AT_MOST: Final = 0.95
"""and the questions say no more than this: a new answer may also mean that the right one has changed."""
MERGE_AT_LEAST: Final = 0.5
"""How alike the founding answers of two groups must be that a third answer has linked."""


class Encodes(Protocol):
    """What turns a text into a vector of unit norm."""

    dim: int
    fingerprint: str

    async def encode(self, text: str) -> Vector:
        """Raises TextTooLong."""
        ...


class Comparison(Protocol):
    """What says whether two answers say the same."""

    def identity(self, answer: str) -> bytes:
        """Equal for answers that are equal but for case, space and punctuation."""
        ...

    link_at: float
    """The sameness from which on two answers are linked, whatever was asked."""
    near_at: float
    """The cosine below which two answers are compared only if the questions speak for it."""

    def sameness(self, one: str, two: str, cosine: float) -> float:
        """The probability that they say the same."""
        ...

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        """What an audit says of them."""
        ...


class WordedComparison:
    """By `cache.sameness`: numbers, names, polarity, words and the cosine of the two."""

    near_at = 0.5
    """Of 25,000 pairs of answers over three public data sets no one of 3,300 that were less near was linked."""

    def __init__(self) -> None:
        self.link_at = sameness.shipped_weights().link

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(normal_form(answer).encode()).digest()[:16]

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return sameness.sameness(sameness.answer_traits(one), sameness.answer_traits(two), cosine)

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return sameness.compare_audit(sameness.answer_traits(one), sameness.answer_traits(two), cosine)


class EqualComparison:
    """Answers say the same if and only if they are equal: for evaluations in which the answer is a label."""

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(answer.encode()).digest()[:16]

    link_at = 1.0
    near_at = -1.0

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return float(one == two)

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return "same" if one == two else "different"


class Answers:
    """Links answers with groups. Call from one thread."""

    def __init__(self, neighbourhood: Neighbourhood, encoder: Encodes, comparison: Comparison) -> None:
        self._neighbourhood = neighbourhood
        self._encoder = encoder
        self.comparison = comparison
        self.turn: Callable[[], Awaitable[None]] = _one_round
        """Awaited before each comparison, which is a good part of a millisecond."""

    async def vector(self, answer: str) -> Vector:
        """A vector of the whole answer: the mean of its parts that fit the encoder, at unit norm. A function of
        the text alone."""
        total: Vector = np.zeros(self._encoder.dim, np.float32)
        for chunk in sameness.chunks(answer[:LONGEST_FOUNDER]):
            try:
                total += await self._encoder.encode(chunk)
            except TextTooLong:  # one sentence longer than the window, such as a table: its words count elsewhere
                continue
        norm = float(np.linalg.norm(total))
        return total / norm if norm else total

    async def groups_of(
        self, scope: bytes, answer: str, vector: Vector, expected: int | None = None, p: float = 0.0
    ) -> list[Group]:
        """The groups whose founding answers say the same, the largest first; none if none is likely enough.
        `expected` is the group that the question's neighbourhood speaks for with probability `p`: two independent
        witnesses, the questions and the answers, may together be surer than either alone."""
        groups = self._neighbourhood.groups
        near = groups.near(scope, vector, CANDIDATES)
        if expected is not None and all(group.id != expected for group, _, _ in near):
            known, founding = groups.get(expected), groups.vector(expected)
            if known is not None and founding is not None:
                near.append((known, known.answer, float(founding @ vector)))
        found: dict[int, Group] = {}
        for group, wording, cosine in near:
            is_far = cosine < self.comparison.near_at and group.id != expected
            if is_far or group.id in found:  # the latter by another of its wordings
                continue
            await self.turn()
            same = self.comparison.sameness(answer, wording, cosine)
            both = _logit(same) + _logit(min(p, QUESTIONS_AT_MOST))
            is_expected = group.id == expected and same >= ANSWERS_AT_LEAST and both >= _logit(BOTH_AT_LEAST)
            if same >= self.comparison.link_at or is_expected:
                found[group.id] = group
        # Some may have gone meanwhile.
        return sorted(
            (group for group in found.values() if groups.get(group.id) is group), key=lambda g: -len(g.anchors)
        )

    async def group_of(self, scope: bytes, answer: str, vector: Vector) -> Group | None:
        """The largest group whose founding answer says the same."""
        return next(iter(await self.groups_of(scope, answer, vector)), None)

    def is_direct(self, group: Group, answer: str, vector: Vector) -> bool:
        """Whether the answer says what the group's founding answer says, and not only what another wording does: else
        a chain of small differences would join what its ends say differently."""
        founding = self._neighbourhood.groups.vector(group.id)
        if founding is None:
            return False
        return self.comparison.sameness(answer, group.answer, float(founding @ vector)) >= self.comparison.link_at

    def may_merge(self, one: Group, two: Group) -> bool:
        """Whether two groups to both of which one answer was linked are one: unless their founders speak against it."""
        mine, other = self._neighbourhood.groups.vector(one.id), self._neighbourhood.groups.vector(two.id)
        if mine is None or other is None:
            return False
        return self.comparison.sameness(one.answer, two.answer, float(mine @ other)) >= MERGE_AT_LEAST


async def _one_round() -> None:
    await asyncio.sleep(0)


def _logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))
