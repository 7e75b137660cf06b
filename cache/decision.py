"""The decision: may this stored answer serve this question? Pure, over the neighbourhood of the question.

A first rule, not certified: a floor on the similarity that rises where neighbours with another answer come
close, and a block on mismatches of number, polarity, entity or role.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from cache.signals import mismatch

NEIGHBOURS: Final = 8
"""How many anchors the decision looks at."""

MARGIN: Final = 0.04
"""How much nearer the best anchor must be than the nearest one with another answer."""


class Neighbour(Struct, frozen=True):
    """An anchor near the question. `answer` is equal for anchors whose answers say the same."""

    anchor_id: int
    text: str
    similarity: float
    answer: bytes


class Decision(Struct, frozen=True):
    """`neighbour` is the anchor whose entry is served, or the nearest one if nothing is."""

    serves: bool
    reason: str
    neighbour: Neighbour | None


def decide(text: str, neighbours: Sequence[Neighbour], similarity_floor: float) -> Decision:
    """Judges the neighbours, nearest first. Serves the nearest one that differs in no number, polarity,
    entity or role, if it is near enough and no other answer is nearly as near."""
    if not neighbours:
        return Decision(False, "no-neighbour", None)
    nearest = neighbours[0]
    if nearest.similarity < similarity_floor:
        return Decision(False, "too-far", nearest)
    blocked = {neighbour.anchor_id: mismatch(text, neighbour.text) for neighbour in neighbours}
    open_ones = [neighbour for neighbour in neighbours if blocked[neighbour.anchor_id] is None]
    if not open_ones or open_ones[0].similarity < similarity_floor:
        return Decision(False, f"{blocked[nearest.anchor_id] or 'too'}-mismatch", nearest)
    best = open_ones[0]
    others = [neighbour.similarity for neighbour in open_ones if neighbour.answer != best.answer]
    if others and best.similarity - max(others) < MARGIN:
        return Decision(False, "ambiguous", best)
    return Decision(True, "near", best)
