"""The decision: may this stored answer serve this question? Pure, over the neighbourhood of the question.

A first rule, not certified, with constants set by hand: what speaks for an answer is added up and must reach
a threshold, and an anchor that differs in number, polarity, entity or role is never the one that serves.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final

from msgspec import Struct

from cache.signals import mismatch

NEIGHBOURS: Final = 8
"""How many anchors the decision looks at."""

ENOUGH: Final = 1.35
"""What similarity, margin and votes must add up to. With one vote and no rival near, that is a cosine of 0.80;
with four votes 0.55."""
WIDE_MARGIN: Final = 0.3
"""A wider margin over the nearest other answer says no more."""
VOTE: Final = 0.25
"""Times the root of the number of anchors that lead to the answer: each further one says less."""
DISCOUNTS: Final = {None: 0.0, "number": 0.2, "polarity": 0.1, "entity": 0.1, "role": 0.1}
"""How much less an anchor with this mismatch counts against the answer: it is near for its wording. A number
says for sure that it is another question, the other kinds only that it may be."""


class Neighbour(Struct, frozen=True):
    """An anchor near the question. `answer` is equal for anchors whose answers say the same."""

    anchor_id: int
    text: str
    similarity: float
    answer: bytes
    is_servable: bool = True
    """Whether this caller may be served its entry. One that is not still speaks for or against an answer."""


class Decision(Struct, frozen=True):
    """`neighbour` is the anchor whose entry is served, or the nearest one if nothing is."""

    serves: bool
    reason: str
    neighbour: Neighbour | None


def decide(text: str, neighbours: Sequence[Neighbour], similarity_floor: float) -> Decision:
    """Judges the neighbours, nearest first: the nearest servable one without a mismatch serves if its
    similarity, its margin over the nearest other answer and the number of anchors with its answer are enough
    together."""
    if not neighbours:
        return Decision(False, "no-neighbour", None)
    nearest = neighbours[0]
    if nearest.similarity < similarity_floor:
        return Decision(False, "too-far", nearest)
    near = (neighbour for neighbour in neighbours if neighbour.similarity >= similarity_floor)
    best = next((each for each in near if each.is_servable and mismatch(text, each.text) is None), None)
    if best is None:
        kind = mismatch(text, nearest.text)
        return Decision(False, f"{kind}-mismatch" if kind else "not-acceptable", nearest)
    friends = [neighbour for neighbour in neighbours if neighbour.answer == best.answer]
    if best.similarity + WIDE_MARGIN + VOTE * sqrt(len(friends)) < ENOUGH:  # whatever the others say
        return Decision(False, "unsure", best)
    rival = max(
        (
            other.similarity - DISCOUNTS[mismatch(text, other.text)]
            for other in neighbours
            if other.answer != best.answer
        ),
        default=0.0,
    )
    votes = sum(friend.similarity >= rival for friend in friends)
    if best.similarity + min(best.similarity - rival, WIDE_MARGIN) + VOTE * sqrt(votes) < ENOUGH:
        return Decision(False, "unsure", best)
    return Decision(True, "near", best)
