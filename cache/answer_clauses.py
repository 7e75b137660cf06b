"""What the clauses of one answer say beside the clauses of another: which go together, and where those that do speak
against each other.

In a long answer a single clause may say the contrary of what the other answer says, and nearly all of the words are
the same. So each clause is laid beside the one of the other answer that has most in common with it, and what differs
is looked for there. Owns that pairing; refuses to know what a difference means for the whole (`cache/sameness.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from cache import answer_words
from cache.answer_text import SYNONYMS, Quantity
from cache.answer_traits import AnswerTraits, Clause

_LIGHT_WEIGHT: Final = 0.4
_AKIN: Final = 0.35
"""So much of two clauses must be common for a difference between them to mean anything."""
_NEARLY: Final = 0.6
_NO_WORDS: Final[frozenset[str]] = frozenset()


class Beside(Struct):
    """What one answer's clauses show, each beside the nearest of the other's. Degrees are 0 to 1: how much those
    clauses have in common."""

    covered: float = 0.0
    """The share of what is said that the nearest clauses say as well."""
    turned: float = 0.0
    """The highest degree of a denied clause beside an asserted one."""
    turned_all: float = 0.0
    agreed: int = 0
    """Denied clauses beside denied ones."""
    opposed: float = 0.0
    """... of a clause with a word beside one with its opposite."""
    tied: float = 0.0
    """... of a clause with a tie beside one with the contrary tie."""
    untied: float = 0.0
    """... of a clause with a strong tie beside one without."""
    exchanged: float = 0.0
    """... of a clause with a word of the answer's own beside one with a word of the other's own."""


def beside(one: AnswerTraits, two: AnswerTraits, own_one: frozenset[str], own_two: frozenset[str]) -> Beside:
    """What the clauses of `one` show beside those of `two`; `own_...` are the words that only that answer has."""
    found = Beside()
    if not one.clauses or not two.clauses:
        return found
    said = _Index(two)
    total = covered = 0.0
    for clause in one.clauses:
        place, common = said.nearest(clause)
        weight = _weight(clause)
        total += weight
        degree = 2 * common / (weight + said.weights[place]) if common else 0.0
        covered += weight * degree
        if degree >= _AKIN:
            other = two.clauses[place]
            is_said_elsewhere = clause.is_denied != other.is_denied and said.has_like(clause, common)
            _differ(found, clause, other, degree, own_one, own_two, is_said_elsewhere=is_said_elsewhere)
    found.covered = covered / total if total else 0.0
    return found


class _Index:
    """Where in an answer each word stands, or a synonym of it."""

    def __init__(self, answer: AnswerTraits) -> None:
        self._said = answer.said
        self._clauses = answer.clauses
        self.weights = [_weight(clause) for clause in answer.clauses]
        self._places: dict[str | Quantity, list[int]] = {}
        for place, clause in enumerate(answer.clauses):
            for item in (*clause.items, *clause.light):
                self._places.setdefault(item, []).append(place)

    def nearest(self, clause: Clause) -> tuple[int, float]:
        """(place, weight of what is common) of the clause that has most in common with this one."""
        common: dict[int, float] = {}
        for weight, items in ((1.0, clause.items), (_LIGHT_WEIGHT, clause.light)):
            for item in items:
                for place in self._of(item):
                    common[place] = common.get(place, 0.0) + weight
        best, most = 0, 0.0
        for place, weight in common.items():
            degree = weight / (1 + self.weights[place])
            if degree > most or (degree == most and place < best):
                best, most = place, degree
        return best, common.get(best, 0.0)

    def has_like(self, clause: Clause, common: float) -> bool:
        """Whether a clause that is denied or asserted as this one is has nearly as much in common with it as the
        nearest, which has `common`."""
        places = [place for place, other in enumerate(self._clauses) if other.is_denied == clause.is_denied]
        found = dict.fromkeys(places, 0.0)
        for weight, items in ((1.0, clause.items), (_LIGHT_WEIGHT, clause.light)):
            for item in items:
                for place in self._of(item):
                    if place in found:
                        found[place] += weight
        return any(each >= _NEARLY * common for each in found.values())

    def _of(self, item: str | Quantity) -> list[int]:
        found = self._places.get(item)
        if found is None:
            near = None if isinstance(item, tuple) else _synonym(item, self._said)
            found = self._places[item] = [] if near is None else self._places.get(near, [])
        return found


def _weight(clause: Clause) -> float:
    return len(clause.items) + _LIGHT_WEIGHT * len(clause.light)


def _synonym(word: str, said: frozenset[str]) -> str | None:
    near = SYNONYMS.get(word, _NO_WORDS) & said
    return min(near) if near else None


def _differ(
    found: Beside,
    clause: Clause,
    other: Clause,
    degree: float,
    own_one: frozenset[str],
    own_two: frozenset[str],
    *,
    is_said_elsewhere: bool,
) -> None:
    """Takes into account how two clauses that go together differ."""
    opposed = any((pair, -side) in other.sides for pair, side in clause.sides)
    if clause.is_denied != other.is_denied:
        if not (opposed or is_said_elsewhere or clause.is_supposed or other.is_supposed):
            found.turned = max(found.turned, degree)
            found.turned_all += degree
    elif clause.is_denied:
        found.agreed += 1
    if opposed:
        found.opposed = max(found.opposed, degree)
    if clause.ties != other.ties:
        others = other.ties - clause.ties
        if any(not _CONTRARY.get(tie, _NO_WORDS).isdisjoint(others) for tie in clause.ties - other.ties):
            found.tied = max(found.tied, degree)
        if (clause.ties ^ other.ties) & _STRONG:
            found.untied = max(found.untied, degree)
    if not (clause.items.isdisjoint(own_one) or other.items.isdisjoint(own_two)):
        found.exchanged = max(found.exchanged, degree)


def _contrary(pairs: Sequence[tuple[str, str]]) -> Mapping[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for left, right in pairs:
        found[left] = found.get(left, _NO_WORDS) | {right}
        found[right] = found.get(right, _NO_WORDS) | {left}
    return found


_CONTRARY: Final = _contrary(
    (
        *answer_words.CONTRARY,
        *(("must", "optional"), ("must", "can"), ("minimum", "maximum"), ("above", "beneath"), ("before", "after")),
        *(("if", "unless"), ("only", "also"), ("always", "never"), ("all", "some"), ("both", "either")),
    )
)
_STRONG: Final = frozenset(("only", "unless", "before", "after", "never", "without", "except", "minimum", "maximum"))


# --- what is said of a word ---


def turned_words(one: AnswerTraits, two: AnswerTraits) -> tuple[int, int]:
    """(turned, alike): words that one answer only denies and the other only asserts, and words that both deny.
    Conditions and questions are left out."""
    (denied_one, asserted_one), (denied_two, asserted_two) = _stances(one), _stances(two)
    return len((denied_one & asserted_two) | (denied_two & asserted_one)), len(denied_one & denied_two)


def _stances(answer: AnswerTraits) -> tuple[set[str | Quantity], set[str | Quantity]]:
    denied: set[str | Quantity] = set()
    asserted: set[str | Quantity] = set()
    for clause in answer.clauses:
        if not clause.is_supposed:
            (denied if clause.is_denied else asserted).update(clause.items)
    return denied - asserted, asserted - denied


# --- who does what ---


def actors(one: AnswerTraits, two: AnswerTraits) -> tuple[int, int]:
    """(others, same): what is done by somebody else in the other answer, and by the same."""
    if not one.acts or not two.acts:
        return 0, 0
    mine, theirs = _by_act(one), _by_act(two)
    others = same = 0
    for act, who in mine.items():
        found = theirs.get(act)
        if found is None:
            continue
        if who.isdisjoint(found):
            others += 1
        else:
            same += 1
    return others, same


def _by_act(answer: AnswerTraits) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for who, act in answer.acts:
        found.setdefault(act, set()).add(who)
    return found
