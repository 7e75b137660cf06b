"""What lies near a question: the anchors of its scope and the groups that their answers form.

Holds vectors and groups of all scopes in memory; judges a question, takes anchors in and out, learns from labels.
Knows neither entries nor routes.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import numpy as np

from cache.decision import NEIGHBOURS, GroupView, Judgement, Neighbour, Prior, judge
from cache.groups import Group, Groups
from cache.index import Vector, VectorIndex
from cache.members import joined, left
from cache.scope_evidence import ScopeEvidences
from cache.traits import Traits, packed, traits, unpacked

_PENDING: Final = -1
"""Anchor and group of a question whose answer is being made."""

_TELLING: Final = 0.6
"""Labels of less likely answers say little of those that are served."""

Described = Callable[[int], tuple[str, int, bool] | None]
"""Anchor id -> (its text, its group, whether it may serve); None for one that has gone."""


class Neighbourhood:
    """Anchors and groups. Call from one thread."""

    def __init__(self, dim: int, prior: Prior, on_fault: Callable[[Exception], None] | None = None) -> None:
        self.prior = prior
        self._prompts = VectorIndex(dim, on_fault=on_fault)
        self._answers = VectorIndex(dim, on_fault=on_fault)
        self.groups = Groups(self._answers)
        self._sizes: dict[bytes, int] = {}
        self.scopes = ScopeEvidences()
        self._packed: dict[int, bytes] = {}
        """Anchor -> the traits of its text: to read the texts of six neighbours would be most of a judgement."""

    def judge(self, scope: bytes, text: str, vector: Vector, described: Described) -> Judgement:
        """The judgement of the question with this text and vector in its scope."""
        found = self._prompts.search(scope, vector, NEIGHBOURS)
        neighbours = [
            Neighbour(anchor_id, known[0], similarity, known[1], known[2])
            for anchor_id, similarity in found
            if (known := described(anchor_id)) is not None
        ]
        if not neighbours:
            return Judgement()
        vectors = self._prompts.vectors(scope, [neighbour.anchor_id for neighbour in neighbours])
        views = self.groups.views()
        size, offsets = self._sizes[scope], self.scopes.offsets(scope)
        return judge(text, vector, neighbours, vectors, views, size, self.prior, offsets, read=self._read)

    def learn(self, scope: bytes, judgement: Judgement, *, is_right: bool, weight: float = 1.0) -> Group | None:
        """Takes a label of a judgement into account, for its group and for its scope. Returns the group, unless it
        has gone."""
        group = self.groups.get(judgement.group) if judgement.group is not None else None
        if group is None:
            return None
        if judgement.blocked_by is not None:
            group.evidence.add_blocked(judgement.blocked_by, is_right=is_right)
            return group
        if judgement.p >= _TELLING:
            self.scopes.of(scope).of_group(judgement.anchors).add(judgement.p, is_right=is_right)
        group.evidence.add(judgement.p, is_right=is_right, weight=weight)
        if judgement.overruled is not None:  # in spite of a mismatch: whether that matters may change
            group.evidence.add_blocked(judgement.overruled, is_right=is_right)
        return group

    def judge_pending(
        self, text: str, vector: Vector, known: Judgement, scope: bytes, other: str, its: Vector
    ) -> float:
        """Probability that the answer to `other`, which is still being made, will be right for this question too:
        as if it were stored already, in a group of its own, beside what is known of the neighbourhood."""
        pending = Neighbour(_PENDING, other, float(vector @ its), _PENDING)
        neighbours = sorted([pending, *known.around[: NEIGHBOURS - 1]], key=lambda each: -each.similarity)
        stored = [each.anchor_id for each in neighbours if each.anchor_id != _PENDING]
        try:
            vectors = self._prompts.vectors(scope, stored)
        except KeyError:  # purged meanwhile
            return 0.0
        vectors = np.insert(vectors, neighbours.index(pending), its, axis=0)
        size = self._sizes.get(scope, 0) + 1
        views = self.groups.views()
        views[_PENDING] = GroupView()
        offsets = self.scopes.offsets(scope)
        judgement = judge(
            text, vector, neighbours, vectors, views, size, self.prior, offsets, candidate=_PENDING, read=self._read
        )
        return judgement.claim

    def _read(self, neighbour: Neighbour) -> Traits:
        known = self._packed.get(neighbour.anchor_id)
        if known is not None:
            return unpacked(known)
        read = traits(neighbour.text)
        if neighbour.anchor_id != _PENDING:
            self._keep(neighbour.anchor_id, read)
        return read

    def _keep(self, anchor_id: int, read: Traits) -> None:
        with suppress(UnicodeEncodeError):  # a text with half a character is read again each time
            self._packed[anchor_id] = packed(read)

    def add(self, scope: bytes, anchor_id: int, group_id: int, vector: Vector | None, text: str | None = None) -> None:
        """An anchor that leads to a known group. Without a vector it only keeps the group alive. Its text, which may
        be left out, is read now instead of when it is first met."""
        if vector is not None:
            if text is not None:
                self._keep(anchor_id, traits(text))
            self._prompts.add(scope, anchor_id, vector)
            self._sizes[scope] = self._sizes.get(scope, 0) + 1
        self._join(scope, anchor_id, group_id, vector)

    def remove(self, scope: bytes, anchor_id: int, group_id: int) -> bool:
        """Forgets an anchor. Returns whether its group had no other; the group then goes with it."""
        vector = self.vector(scope, anchor_id)
        self._packed.pop(anchor_id, None)
        is_empty = self._leave(anchor_id, group_id, vector)
        if vector is not None:
            self._prompts.remove(scope, anchor_id)
            self._sizes[scope] -= 1
            if not self._sizes[scope]:
                del self._sizes[scope]
        return is_empty

    def regroup(self, scope: bytes, anchor_id: int, old: int, new: int) -> bool:
        """Lets an anchor lead to another group. Returns whether the old one has gone with it."""
        vector = self.vector(scope, anchor_id)
        self._join(scope, anchor_id, new, vector)
        return self._leave(anchor_id, old, vector)

    def vector(self, scope: bytes, anchor_id: int) -> Vector | None:
        """The vector of an anchor, if it has one."""
        try:
            found: Vector = self._prompts.vectors(scope, [anchor_id])[0]
            return found
        except KeyError:
            return None

    def latest(self, group: Group, count: int) -> list[tuple[int, Vector]]:
        """The last anchors that have come to lead to a group, with their vectors."""
        ids = list(group.anchors)[-count:]
        try:
            return list(zip(ids, self._prompts.vectors(group.scope, ids), strict=True))
        except KeyError:  # some have none
            known = [(anchor_id, self.vector(group.scope, anchor_id)) for anchor_id in ids]
            return [(anchor_id, vector) for anchor_id, vector in known if vector is not None]

    def _join(self, scope: bytes, anchor_id: int, group_id: int, vector: Vector | None) -> None:
        group = self.groups[group_id]
        group.anchors = joined(group.anchors, anchor_id)
        if vector is None or len(group.anchors) == 1:
            return
        if group.total is None:
            known = [known for each in group.anchors if (known := self.vector(scope, each)) is not None]
            group.total = sum(known, vector * 0)
        else:
            group.total += vector

    def _leave(self, anchor_id: int, group_id: int, vector: Vector | None) -> bool:
        group = self.groups.get(group_id)
        if group is None:
            return False
        group.anchors = left(group.anchors, anchor_id)
        if vector is not None and group.total is not None:
            group.total -= vector
        if group.anchors:
            return False
        self.groups.remove(group_id)
        return True

    def __len__(self) -> int:
        return len(self._prompts)

    def settle(self) -> None:
        """Waits until the indexes have been built, as after loading."""
        self._prompts.settle()
        self._answers.settle()

    def close(self) -> None:
        self._prompts.close()
        self._answers.close()
