"""Which answers say the same: every fresh answer joins the group of a stored one, or founds its own.

Compares answers with answers, through an index of their own, so that two questions far apart with one answer are
linked. Works after the client has been served; nobody waits for it.
"""

import hashlib
from typing import Final, Literal, Protocol

import numpy as np

from cache import sameness
from cache.errors import TextTooLong
from cache.groups import LONGEST_FOUNDER, Group
from cache.index import Vector
from cache.neighbourhood import Neighbourhood

Verdict = Literal["same", "different", "unclear"]

CANDIDATES: Final = 12
"""So many of the nearest founding answers are compared."""


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

    def links(self, one: str, two: str, cosine: float) -> bool:
        """Whether they belong to one group."""
        ...

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        """What an audit says of them."""
        ...


class WordedComparison:
    """By `cache.sameness`: numbers, names, polarity, words and the cosine of the two."""

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(sameness.answer_traits(answer).normal.encode()).digest()[:16]

    def links(self, one: str, two: str, cosine: float) -> bool:
        return sameness.compare_link(sameness.answer_traits(one), sameness.answer_traits(two), cosine)

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return sameness.compare_audit(sameness.answer_traits(one), sameness.answer_traits(two), cosine)


class EqualComparison:
    """Answers say the same if and only if they are equal: for evaluations in which the answer is a label."""

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(answer.encode()).digest()[:16]

    def links(self, one: str, two: str, cosine: float) -> bool:
        return one == two

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return "same" if one == two else "different"


class Answers:
    """Links answers with groups. Call from one thread."""

    def __init__(self, neighbourhood: Neighbourhood, encoder: Encodes, comparison: Comparison) -> None:
        self._neighbourhood = neighbourhood
        self._encoder = encoder
        self.comparison = comparison

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

    def group_of(self, scope: bytes, answer: str, vector: Vector) -> Group | None:
        """The group whose founding answer says the same and is nearest."""
        for group, cosine in self._neighbourhood.groups.near(scope, vector, CANDIDATES):
            if self.comparison.links(answer, group.answer, cosine):
                return group
        return None
