"""Answer groups: entries whose answers say the same, and what their labels have shown.

A group is founded by one answer and compared through that answer, and through some wordings that said the same as those
before them. Other members are never compared with, so that no long chain of small differences joins what its ends say
differently.
"""

from collections.abc import Mapping
from contextlib import suppress
from math import log
from typing import Final

from msgspec import Struct

from cache.decision import GroupView
from cache.index import Vector, VectorIndex
from cache.members import Members

LONGEST_FOUNDER: Final = 4000
"""Characters of the founding answer that are kept to compare with."""
SHRINKAGE: Final = 2.0
"""How much evidence, in units of p(1-p), a group needs to move its own offset half the way."""
WORDINGS_AT_MOST: Final = 6
"""Other wordings of an answer that a group is also found and compared by, in each of its strains."""
STRAINS_AT_MOST: Final = 3
OFFSET_AT_MOST: Final = 2.0
OFFSET_AT_LEAST: Final = -6.0
OUTDATED: Final = 0.95
"""An answer that is right no more is wrong in so many cases: some ask for what has not changed."""
DOUBTED: Final = 2.7
"""A suspicion of so much keeps a group from serving: one wrong label at p = 0.95, two at 0.8, four at 0.6."""
_SUSPICION_AT_MOST: Final = 7.0
"""So that after one wrong label one right one ends it, and two after however many."""
_SUREST: Final = 0.98
"""No single label says more than it would at this p."""
_TELLING: Final = 0.6
"""Less likely answers are wrong too often to raise a suspicion."""
_COMPLAINED: Final = 0.95
"""What a complaint that nobody could settle adds to the suspicion: three keep a group from serving."""
_OVERRULES: Final = 3
"""So many right labels and no wrong one overrule a kind of mismatch; later one wrong in so many times ten."""


class Evidence(Struct):
    """What labels have shown: an offset of the logit, learnt in constant time for each label."""

    labels: int = 0
    offset: float = 0.0
    """Added to the logit: below 0 if answers were less often right than thought."""
    variance: float = 0.0
    """Sum of p(1-p): how much the labels could tell."""
    suspicion: float = 0.0
    """How much more likely the latest labels are if the answer has become wrong than if p is right: the logarithm of
    the ratio, summed up from where it is greatest (Page's CUSUM)."""
    kinds: dict[str, tuple[int, int]] = {}
    """Kind of mismatch -> (right, wrong) labels of questions that it kept from being served."""

    def add(self, p: float, *, is_right: bool, weight: float = 1.0) -> None:
        """Takes a label into account: a step of stochastic Newton on the logistic loss, shrunken towards 0."""
        if p >= _TELLING:
            likelier = log((1 - OUTDATED) / p) if is_right else _against(p)
            self.suspicion = min(max(self.suspicion + likelier, 0.0), _SUSPICION_AT_MOST)
        self.labels += 1
        self.variance += weight * p * (1 - p)
        step = weight * (is_right - p) / (self.variance + SHRINKAGE)
        self.offset = min(max(self.offset + step, OFFSET_AT_LEAST), OFFSET_AT_MOST)

    def retract(self, p: float, *, is_right: bool, weight: float) -> None:
        """Takes a label back that `add` was given with this p and weight. Of a wrong one the suspicion goes with it."""
        if p >= _TELLING and not is_right:
            self.suspicion = max(self.suspicion - _against(p), 0.0)
        step = weight * (is_right - p) / (self.variance + SHRINKAGE)
        self.offset = min(max(self.offset - step, OFFSET_AT_LEAST), OFFSET_AT_MOST)
        self.labels -= 1
        self.variance = max(self.variance - weight * p * (1 - p), 0.0)

    def add_complaint(self) -> None:
        """Takes into account that an asker called an answer wrong, and nobody could settle it. Each counts once. It is
        no label: a fresh answer that says the same ends the suspicion, and p stays what it was."""
        self.suspicion = min(self.suspicion + _COMPLAINED, _SUSPICION_AT_MOST)

    def add_blocked(self, kind: str, *, is_right: bool) -> None:
        """Takes into account what a fresh answer says of one that this kind of mismatch had blocked."""
        right, wrong = self.kinds.get(kind, (0, 0))
        self.kinds[kind] = (right + is_right, wrong + (not is_right))

    @property
    def is_doubted(self) -> bool:
        """Whether the answer is to be confirmed by a fresh one before it is served again."""
        return self.suspicion >= DOUBTED

    @property
    def overruled(self) -> frozenset[str]:
        """Kinds of mismatch that have been shown not to matter here."""
        return frozenset(
            kind
            for kind, (right, wrong) in self.kinds.items()
            if right >= _OVERRULES and wrong * 10 * _OVERRULES <= right
        )


def _against(p: float) -> float:
    """How much likelier a wrong label is of an answer that is right no more than of one that is right with p."""
    return log(OUTDATED / max(1 - p, 1 - _SUREST))


class Wording(Struct, frozen=True):
    """An answer that a group is compared by, with its vector. `strain` is equal for those of a group that a comparison
    of words has linked: another answer may say the same and be like those of one strain only. 0 for one that the group
    does not keep."""

    text: str
    vector: Vector
    strain: int = 0


class Group:
    """One answer group. There are as many as there are answers, so the founding one is kept in UTF-8: as a `str`, one
    typographic quote makes it twice as large."""

    __slots__ = ("_answer", "anchors", "evidence", "id", "identity", "scope", "strains", "total", "wordings")

    def __init__(
        self, group_id: int, scope: bytes, identity: bytes, answer: str, evidence: Evidence | None = None
    ) -> None:
        """`answer` is the founding one, `identity` its hash, normalised."""
        self.id = group_id
        self.scope = scope
        self.identity = identity
        self._answer = answer.encode("utf-8", "surrogatepass")
        self.evidence = evidence or Evidence()
        self.wordings: dict[int, str] = {}
        """Id in the index of answers -> another answer that says the same."""
        self.strains: dict[int, int] = {}
        """Id of a wording -> its strain, if that is not the founding answer's, whose number is the group's."""
        self.anchors: Members[int] = ()
        self.total: Vector | None = None
        """Sum of the anchors' vectors; not kept for a single anchor."""

    @property
    def answer(self) -> str:
        """The founding answer."""
        return self._answer.decode("utf-8", "surrogatepass")

    def to_view(self) -> GroupView:
        return GroupView(
            len(self.anchors), self.total, self.evidence.offset, self.evidence.overruled, self.evidence.is_doubted
        )


class Groups:
    """The groups of all scopes, found by identity or by the vector of the founding answer."""

    def __init__(self, answers: VectorIndex) -> None:
        self._answers = answers
        self._groups: dict[int, Group] = {}
        self._by_identity: dict[tuple[bytes, bytes], int] = {}
        self._of_wording: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, group_id: int) -> Group:
        return self._groups[group_id]

    def get(self, group_id: int) -> Group | None:
        return self._groups.get(group_id)

    def add(self, group: Group, vector: Vector | None) -> None:
        """A new group; without a vector it is found by its identity only."""
        self._groups[group.id] = group
        self._by_identity.setdefault((group.scope, group.identity), group.id)
        if vector is not None:
            self._answers.add(group.scope, group.id, vector)

    def describe(self, group_id: int, vector: Vector) -> None:
        """The founding answer's vector, once it is known; an unknown group is no error."""
        if group_id in self._groups:
            self._answers.add(self._groups[group_id].scope, group_id, vector)

    def remove(self, group_id: int) -> None:
        """Forgets a group; an unknown one is no error."""
        group = self._groups.pop(group_id, None)
        if group is None:
            return
        if self._by_identity.get((group.scope, group.identity)) == group_id:
            del self._by_identity[group.scope, group.identity]
        self._answers.remove(group.scope, group_id)
        for wording in group.wordings:
            self._answers.remove(group.scope, wording)
            del self._of_wording[wording]

    def of_identity(self, scope: bytes, identity: bytes) -> Group | None:
        group_id = self._by_identity.get((scope, identity))
        return self._groups[group_id] if group_id is not None else None

    def add_wording(
        self, group_id: int, wording_id: int, answer: str, vector: Vector, strain: int | None = None
    ) -> bool:
        """Another wording of the group's answer; False if it has enough. `wording_id` is no group's any more; `strain`
        is the founding answer's by default."""
        group = self._groups[group_id]
        strain = group_id if strain is None else strain
        known = [group.strains.get(each, group_id) for each in group.wordings]
        if known.count(strain) >= WORDINGS_AT_MOST or len({*known, group_id, strain}) > STRAINS_AT_MOST:
            return False
        group.wordings[wording_id] = answer[:LONGEST_FOUNDER]
        if strain != group_id:
            group.strains[wording_id] = strain
        self._of_wording[wording_id] = group_id
        self._answers.add(group.scope, wording_id, vector)
        return True

    def near(self, scope: bytes, vector: Vector, count: int) -> list[tuple[Group, Wording]]:
        """The groups with the nearest answers, the nearest first, with that wording of their answer; a group as often
        as it has such wordings."""
        near = [answer_id for answer_id, _ in self._answers.search(scope, vector, count)]
        known = [(self._groups.get(self._of_wording.get(answer_id, answer_id)), answer_id) for answer_id in near]
        return [
            (group, _wording(group, answer_id, group.wordings.get(answer_id, group.answer), vector))
            for (group, answer_id), vector in zip(known, self._answers.vectors(scope, near), strict=True)
            if group is not None
        ]

    def wordings(self, group_id: int) -> list[Wording]:
        """The founding answer, if its vector is known, and the other wordings in the order in which they came."""
        group = self._groups.get(group_id)
        if group is None:
            return []
        others = list(group.wordings.items())
        for wanted in ([(group_id, group.answer), *others], others):
            with suppress(KeyError):  # the founding answer's is not known yet
                vectors = self._answers.vectors(group.scope, [wording_id for wording_id, _ in wanted])
                return [_wording(group, *known, vector) for known, vector in zip(wanted, vectors, strict=True)]
        return []

    def vector(self, group_id: int) -> Vector | None:
        """The vector of the founding answer, if it is known."""
        group = self._groups.get(group_id)
        if group is None:
            return None
        try:
            found: Vector = self._answers.vectors(group.scope, [group_id])[0]
        except KeyError:
            return None
        return found

    def views(self) -> "Views":
        """Of all groups, each made when it is asked for."""
        return Views(self._groups)


def _wording(group: Group, wording_id: int, text: str, vector: Vector) -> Wording:
    return Wording(text, vector, group.strains.get(wording_id, group.id))


class Views(dict[int, GroupView]):
    """Group -> what is known of it. Raises KeyError for one that has gone."""

    def __init__(self, groups: Mapping[int, Group]) -> None:
        super().__init__()
        self._of = groups

    def __missing__(self, group_id: int) -> GroupView:
        view = self[group_id] = self._of[group_id].to_view()
        return view
