"""Whether two answers of a language model say the same: a probability, and two operating points on it.

Owns the evidence for and against, read off the traits of both answers, and the model that adds it up: one point
links entries into answer groups, the other labels audits, with a third outcome between same and different.
Refuses to know questions, entries, and how vectors are made. The weights are fitted by `eval/sameness.py` and lie
in `sameness.json` beside this module.
"""

import math
import re
from collections.abc import Iterable, Sequence, Set
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from cache import answer_clauses, answer_words
from cache.answer_numbers import BARE, CLOCK, HALF_DAY, RANGE, VAGUE_CLOCK
from cache.answer_text import KNOWN, LIGHT, Quantity, Rate, root, split_sentences
from cache.answer_traits import AnswerTraits, answer_traits
from cache.answer_trees import Tree, Trees

__all__ = [
    "AnswerTraits",
    "Verdict",
    "answer_traits",
    "audit_verdict",
    "chunks",
    "compare_audit",
    "compare_link",
    "log_odds",
    "pooled",
    "pooled_verdict",
    "sameness",
    "served_verdict",
]

Verdict = Literal["same", "different", "unclear"]


# --- the model ---


class Weights(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """The fitted model, as it lies in `sameness.json`."""

    what: str
    link: float
    """At least this probability joins a group."""
    audit_same: float
    """At least this probability is `same` to an audit."""
    audit_different: float
    """Less than this probability is `different` to an audit, if there is a plain contradiction as well."""
    audit_improbable: float
    """Less than this probability is `different` to an audit."""
    intercept: float
    trees: tuple[Tree, ...]
    """What the evidence adds to the log-odds of saying the same."""

    @cached_property
    def summed(self) -> Trees:
        return Trees(self.trees)


@lru_cache(maxsize=1)
def shipped_weights() -> Weights:
    text = files("cache").joinpath("sameness.json").read_text(encoding="utf-8")
    return msgspec.json.decode(text, type=Weights)


UNSURE: Final = 0.5
"""What is said where the evidence cannot be read: neither linked, nor called the same or different."""


def sameness(one: AnswerTraits, two: AnswerTraits, similarity: float, weights: Weights | None = None) -> float:
    """The probability that both answers say the same, in [0, 1]; the same in both orders. `similarity` is the cosine
    of their vectors (see `chunks`). Without `weights` those that are shipped."""
    known = known_sameness(one, two)
    if known is not None:
        return known
    found = evidence(one, two, similarity)
    weights = weights or shipped_weights()
    p = 1 / (1 + math.exp(-weights.intercept - weights.summed.log_odds(found)))
    return min(p, UNSURE) if any(map(found.__getitem__, _BLOCKING)) else p


_BLOCKING: Final = ("code conflicts", "code on one side")
"""Whatever else speaks for it, such answers are not linked."""


def compare_link(one: AnswerTraits, two: AnswerTraits, similarity: float, weights: Weights | None = None) -> bool:
    """Whether two answers belong to one group."""
    weights = weights or shipped_weights()
    return sameness(one, two, similarity, weights) >= weights.link


def compare_audit(one: AnswerTraits, two: AnswerTraits, similarity: float, weights: Weights | None = None) -> Verdict:
    """What an audit says of a served answer and a fresh one."""
    weights = weights or shipped_weights()
    return audit_verdict(one, two, sameness(one, two, similarity, weights), weights)


def audit_verdict(one: AnswerTraits, two: AnswerTraits, p: float, weights: Weights | None = None) -> Verdict:
    """What an audit says of two answers that say the same with probability `p`."""
    weights = weights or shipped_weights()
    if p >= weights.audit_same:
        return "same"
    is_long = min(one.length, two.length) >= _LONG_ENOUGH
    if (p < weights.audit_improbable and is_long) or (p < weights.audit_different and contradict(one, two)):
        return "different"
    return "unclear"


# --- several wordings of one answer ---


def log_odds(p: float) -> float:
    """Of a probability that is neither 0 nor 1 to a millionth."""
    p = min(max(p, 1e-6), 1 - 1e-6)
    return math.log(p / (1 - p))


def pooled(probabilities: Sequence[float]) -> float:
    """The probability that an answer says what several wordings say of which each may say the same with one of these:
    the mean of the log-odds, since each wording can mislead in a way of its own. Without any it is `UNSURE`."""
    if not probabilities:
        return UNSURE
    return 1 / (1 + math.exp(-sum(map(log_odds, probabilities)) / len(probabilities)))


def pooled_verdict(probabilities: Sequence[float], verdicts: Sequence[Verdict], same_at: float) -> Verdict:
    """What an audit says of a fresh answer and several wordings of what was served: `different` only if it differs from
    most of them and is likely to say what none of them says."""
    if pooled(probabilities) >= same_at:
        return "same"
    is_different = 2 * verdicts.count("different") > len(verdicts) and max(probabilities) < UNSURE
    return "different" if is_different else "unclear"


def served_verdict(by_group: Verdict, by_served: Verdict) -> Verdict:
    """What an audit says of a fresh answer and the one that was served, by what it says of the group of that one and of
    that one alone. Several wordings tell the same more surely, but what was served may be the one that says something
    else: then the others speak neither for it nor against it."""
    if by_served == "different":
        return "different"
    return "unclear" if by_served == "same" and by_group == "different" else by_group


# --- contradictions ---

_CONTRADICTIONS: Final = (
    "numbers conflict in one place",
    "names conflict in one place",
    "names and numbers conflict",
    "other names altogether",
    "yes against no",
    "refusal",
    "clauses: opposed, opposites",
)
_LITTLE_COMMON: Final = 0.5
"""So many of the words in both answers are an answer's own, where they have little in common."""
_LONG_ENOUGH: Final = 16
"""In words: of shorter answers one may say in a word what the other spells out."""


def contradict(one: AnswerTraits, two: AnswerTraits) -> bool:
    """Whether something in one answer plainly speaks against the other."""
    found = evidence(one, two, 0.0)
    return any(found.get(name) for name in _CONTRADICTIONS)


def known_sameness(one: AnswerTraits, two: AnswerTraits) -> float | None:
    """The probability where it needs no model, else None."""
    if one.normal == two.normal:
        return 1.0
    if one.is_cut or two.is_cut:
        return UNSURE
    if one.is_refusal and two.is_refusal:
        return UNSURE  # neither says anything
    if not (one.is_english and two.is_english) or not one.normal or not two.normal:
        return UNSURE
    if one.sentences == two.sentences:
        return 0.99
    return None


# --- the evidence ---

_CONTRARY: Final[dict[str, tuple[str, ...]]] = {}
for _left, _right in answer_words.CONTRARY:
    _CONTRARY[_left] = (*_CONTRARY.get(_left, ()), _right)
    _CONTRARY[_right] = (*_CONTRARY.get(_right, ()), _left)
_STRONG: Final = frozenset(
    ("before", "after", "it before", "it after", "since", "until", "inside", "outside", "at least", "at most")
)


def evidence(one: AnswerTraits, two: AnswerTraits, similarity: float) -> dict[str, float]:
    """What speaks for and against, by name; the same in both orders. Amounts are about 0 to 2."""
    # words
    own_one, own_two = two.lacks(one.said), one.lacks(two.said)
    only_one, only_two = one.words & own_one, two.words & own_two
    light_one, light_two = one.light & own_one, two.light & own_two
    fewer, more = sorted((len(only_one), len(only_two)))
    light_fewer, light_more = sorted((len(light_one), len(light_two)))
    shared, light_shared = len(one.words & two.words), len(one.light & two.light)
    all_words = len(one.words) + len(two.words)
    smaller = min(len(one.words), len(two.words))
    pairs = len(one.pairs & two.pairs)
    near = pairs / max(len(one.pairs), len(two.pairs), 1)
    odd_one, odd_two = bool(only_one - KNOWN), bool(only_two - KNOWN)
    aligned = _aligned(one, two, only_one, only_two)
    function = [
        word
        for word in one.tokens ^ two.tokens
        if word in answer_words.FUNCTION and not (two if word in one.tokens else one).has(root(word))
    ]
    # numbers and names
    numbers_one, numbers_two = _unmatched(one, two), _unmatched(two, one)
    hard_one = [each for each in numbers_one if each[2] != "1" and (each[1] or each[2] not in one.small_counts)]
    hard_two = [each for each in numbers_two if each[2] != "1" and (each[1] or each[2] not in two.small_counts)]
    same_dimension = not {each[1] for each in numbers_one}.isdisjoint(each[1] for each in numbers_two)
    same_value = not {each[2] for each in numbers_one}.isdisjoint(each[2] for each in numbers_two)
    rates_one, rates_two = one.rates - two.rates, two.rates - one.rates
    if _is_about_a_month(rates_one) and _is_about_a_month(rates_two):
        rates_one, rates_two = frozenset(), frozenset()
    names_one, names_two = one.names & own_one, two.names & own_two
    names_conflict = bool(names_one and names_two)
    code_one, code_two = _other_code(one, two), _other_code(two, one)
    people_one, people_two = one.people & own_one, two.people & own_two
    reassigned = _reassigned(one, two)
    # polarity, conditions
    turned = ((one.denied & two.asserted) | (two.denied & one.asserted)) - LIGHT
    agreed = len((one.denied & two.denied) | (one.asserted & two.asserted))
    turned_share = len(turned) / (len(turned) + agreed) if turned else 0.0
    lead_one, lead_two = one.lead or one.opening, two.lead or two.opening
    has_other_opening = lead_one * lead_two == -1
    opposite = sum(
        (pair, -side) in two.sides and (pair, side) not in two.sides and (pair, -side) not in one.sides
        for pair, side in one.sides
    )
    contrary, strongly_contrary = _contrary(one, two)
    conditional = len(one.conditional & own_one) + len(two.conditional & own_two)
    other_member = _other_member(one, two)
    markers = one.markers ^ two.markers
    is_shuffled = one.tokens == two.tokens
    differs_a_little = bool(
        function
        or numbers_one
        or numbers_two
        or only_one
        or only_two
        or names_one
        or names_two
        or reassigned
        or turned
        or contrary
    )
    flaws = (
        bool(numbers_one and numbers_two)
        + same_dimension
        + names_conflict
        + bool(rates_one and rates_two)
        + bool(code_one or code_two)
        + (odd_one and odd_two)
        + other_member
        + (opposite > 0)
        + (one.lead * two.lead == -1)
        + (one.is_refusal != two.is_refusal)
        + bool(people_one and people_two)
        + (has_other_opening and one.lead + two.lead != 0)
        + (strongly_contrary > 0)
    )
    doubts = (
        (bool(hard_one) != bool(hard_two))
        + bool((numbers_one or numbers_two) and not hard_one and not hard_two)
        + (bool(rates_one) != bool(rates_two))
        + (bool(names_one) != bool(names_two))
        + has_other_opening
        + reassigned
        + (bool(people_one) != bool(people_two))
        + len(markers & _DOUBTFUL)
        + ((one.denials > 0) != (two.denials > 0))
        + (bool(one.code) != bool(two.code))
        + (contrary > 0)
        + (aligned > 0)
        + bool(turned)
        + (near > 0.2 and differs_a_little)
        + is_shuffled
    )
    is_sound = flaws == 0
    clauses = _clause_evidence(one, two, own_one, own_two, opposite) if flaws <= _FLAWS_LOOKED_INTO else {}
    is_clean = is_sound and doubts == 0
    residual_share = (fewer + more) / (all_words + 1)
    containment = 1 - fewer / smaller if smaller else 1.0
    found: dict[str, float] = {
        "similarity": similarity,
        "similarity over 0.6": max(similarity - 0.6, 0.0),
        "similarity over 0.8": max(similarity - 0.8, 0.0),
        "shared words": shared / (shared + fewer + more) if shared + fewer + more else 1.0,
        "containment": containment,
        "shared light words": light_shared / (light_shared + light_fewer + light_more)
        if light_shared + light_more
        else 1.0,
        "own words, fewer": min(fewer, 6) / 2,
        "own words, more": min(more, 10) / 4,
        "own words, share": residual_share,
        "own words on both sides": fewer > 0,
        "own words on no side": more == 0,
        "odd words on both sides": odd_one and odd_two,
        "odd words on one side": odd_one != odd_two,
        "words in the same place": min(aligned, 2),
        "near": near,
        "near over 0.2": max(near - 0.2, 0.0),
        "near over 0.4": max(near - 0.4, 0.0),
        "near over 0.7": max(near - 0.7, 0.0),
        "same words in another order": is_shuffled,
        "near but for something": near * differs_a_little,
        "near but for little words": near * min(len(function), 2),
        "near but for numbers": near * bool(numbers_one or numbers_two),
        "near but for words": near * (fewer > 0),
        "near but for more words": near * (fewer == 0 < more),
        "near but for light words": near * (more == 0 < light_fewer),
        "near but for more light words": near * (more == 0 == light_fewer < light_more),
        "little words": min(len(function), 4) / 2,
        "numbers conflict": bool(numbers_one and numbers_two),
        "numbers of one unit conflict": same_dimension,
        "numbers conflict in unit only": same_value,
        "numbers conflict in one place": same_dimension and _in_one_place(one, two, numbers_one, numbers_two),
        "numbers on one side": bool(hard_one) != bool(hard_two),
        "small counts differ": bool((numbers_one or numbers_two) and not hard_one and not hard_two),
        "own numbers": min(len(hard_one) + len(hard_two), 4) / 2,
        "shared numbers": min(len(one.quantities & two.quantities), 4) / 2,
        "assigned to others": reassigned,
        "rates conflict": bool(rates_one and rates_two),
        "rates on one side": bool(rates_one) != bool(rates_two),
        "names conflict": names_conflict,
        "other names altogether": names_conflict and not one.names & two.names and residual_share > _LITTLE_COMMON,
        "names and numbers conflict": names_conflict and bool(numbers_one and numbers_two),
        "names conflict in one place": _is_renamed(one, two, names_one, names_two),
        "names on one side": bool(names_one) != bool(names_two),
        "own names": min(len(names_one), len(names_two)),
        "shared names": min(len(one.names & two.names), 4) / 2,
        "code conflicts": bool(code_one and code_two),
        "code on one side": bool(code_one) != bool(code_two),
        "code in one only": bool(one.code) != bool(two.code),
        "other member of a kind": other_member,
        "opposites": min(opposite, 2),
        "contrary relations": min(contrary, 2),
        "strongly contrary relations": min(strongly_contrary, 2),
        "yes against no": one.lead * two.lead == -1,
        "no against nothing": min(one.lead, two.lead) == -1
        and max(one.lead, two.lead) == 0
        and not (one.denials and two.denials),
        "other opening": has_other_opening,
        "yes or no against the opening": has_other_opening and one.lead + two.lead != 0,
        "turned words": min(len(turned), 3),
        "turned words, share": turned_share,
        "turned words, any": bool(turned),
        "denials on one side": (one.denials > 0) != (two.denials > 0),
        "denials, difference": min(abs(one.denials - two.denials), 3),
        "own conditions": min(conditional, 4) / 2,
        "own conditions, any": conditional > 0,
        "conditions on one side": bool(one.conditional) != bool(two.conditional),
        "condition markers and own words": len(markers & _CONDITIONS) * min(more, 4) / 4,
        "refusal": one.is_refusal != two.is_refusal,
        "length": min(one.length, two.length) / max(one.length, two.length, 1),
        "shortness": 1 / (1 + min(one.length, two.length)),
        "length, shorter": min(one.length, two.length, 150) / 50,
        "length, longer": min(max(one.length, two.length), 250) / 50,
        "denials by clause": abs(_denials_by_clause(one) - _denials_by_clause(two)),
        "numbers in common": _in_common({each[:2] for each in one.quantities}, {each[:2] for each in two.quantities}),
        "names in common": _in_common(one.names, two.names),
        "code in common": _in_common(one.code, two.code),
        "opposites in common": _in_common(one.sides, two.sides),
        "kinds in common": _in_common(one.members, two.members),
        "acts in common": _in_common(one.acts, two.acts),
        "relations in common": _in_common(one.relations, two.relations),
        "flaws": flaws,
        "flaws, up to two": min(flaws, 2),
        "doubts": min(doubts, 6),
        "doubts, up to three": min(doubts, 3),
        "flaws and doubts": min(flaws * doubts, 8),
    }
    found |= clauses
    if is_sound:
        found |= {
            "sound": 1.0,
            "sound: one doubt": doubts == 1,
            "sound: two doubts": doubts == 2,
            "sound: doubts": min(doubts, 6),
            "sound: similarity": similarity,
            "sound: own words, share": residual_share,
            "sound: own words, fewer": min(fewer, 6) / 2,
            "sound: own words, more": min(more, 10) / 4,
            "sound: containment": containment,
            "sound: near": near,
            "sound: words in the same place": min(aligned, 2),
        }
    if is_clean:
        found |= {
            "clean": 1.0,
            "clean: similarity": similarity,
            "clean: own words, share": residual_share,
            "clean: own words, more": min(more, 10) / 4,
            "clean: containment": containment,
        }
    return found


_FLAWS_LOOKED_INTO: Final = 1
"""Answers with more are improbable as it is: they are not compared clause by clause, which is the dearest part."""


def _clause_evidence(
    one: AnswerTraits, two: AnswerTraits, own_one: frozenset[str], own_two: frozenset[str], opposite: int
) -> dict[str, float]:
    """What speaks against it in single clauses, wherever they stand in a long answer."""
    here = answer_clauses.beside(one, two, own_one, own_two)
    there = answer_clauses.beside(two, one, own_two, own_one)
    turned, denied_alike = answer_clauses.turned_words(one, two)
    others, same = answer_clauses.actors(one, two)
    most, least = max(here.turned, there.turned), min(here.turned, there.turned)
    is_alike = bool(denied_alike or here.agreed or there.agreed)
    return {
        "clauses: covered, less": min(here.covered, there.covered),
        "clauses: covered, more": max(here.covered, there.covered),
        "clauses: turned": most,
        "clauses: turned both ways": least,
        "clauses: turned, all": min(here.turned_all + there.turned_all, 4.0),
        "clauses: turned, none alike": 0.0 if is_alike else most,
        "clauses: denied alike": min(here.agreed, there.agreed, 3),
        "clauses: opposed": max(here.opposed, there.opposed),
        "clauses: opposed, opposites": min(opposite, 2) * (here.opposed + there.opposed > 0),
        "clauses: tied": max(here.tied, there.tied),
        "clauses: untied": max(here.untied, there.untied),
        "clauses: untied both ways": min(here.untied, there.untied),
        "clauses: exchanged": max(here.exchanged, there.exchanged),
        "clauses: exchanged both ways": min(here.exchanged, there.exchanged),
        "stances: turned": min(turned, 4),
        "stances: turned, share": turned / (turned + denied_alike) if turned else 0.0,
        "stances: denied alike": min(denied_alike, 3),
        "stances: turned in a clause": most * (turned > 0),
        "stances: turned and nothing alike": turned > 0 and not is_alike,
        "other actors": min(others, 4) / 2,
        "same actors": min(same, 4) / 2,
        "other actors, share": others / (others + same) if others else 0.0,
    }


def _in_common(here: Set[Any], there: Set[Any]) -> float:
    """How much of what the answer with less of it has is in the other, too: a long answer has examples and advice of
    its own."""
    if here and there:
        return len(here & there) / min(len(here), len(there))
    return _ON_ONE_SIDE if here or there else _ON_NO_SIDE


_ON_ONE_SIDE: Final = 0.5
_ON_NO_SIDE: Final = 0.75


def _denials_by_clause(answer: AnswerTraits) -> float:
    return answer.denials / max(len(answer.clauses), 1)


_DOUBTFUL: Final = frozenset(("only", "unless", "before", "after", "earliest", "never"))
_CONDITIONS: Final = frozenset(("only", "unless", "if", "but", "when", "also", "extra"))


def _is_about_a_month(rates: frozenset[Rate]) -> bool:
    return rates in ({("1", "month")}, {("40320", "minute")}, {("43200", "minute")})


def _unmatched(one: AnswerTraits, two: AnswerTraits) -> list[Quantity]:
    """The numbers of `one` that `two` has in no way: not without a unit, as a rate, as part of a code."""
    if not one.quantities:
        return []
    others = two.quantities
    keys = {quantity[:2] for quantity in others}
    dimensions = {dimension for _, dimension, _ in others}
    loose = {written for _, dimension, written in others if dimension in _LOOSE}
    with_unit = {written for _, dimension, written in others if dimension not in (CLOCK, VAGUE_CLOCK)}
    with_unit |= {value for value, dimension, _ in others if dimension == "month"}  # 12 instalments, a year
    hours = {written for _, dimension, written in others if dimension in (CLOCK, VAGUE_CLOCK)}
    return [
        quantity
        for quantity in one.quantities
        if quantity[:2] not in keys
        and quantity[:2] not in two.rates
        and quantity[:2] not in (("1", BARE), ("1", "times"))
        and (quantity[0] != "0" or quantity[1] in dimensions)
        and quantity[2] not in two.names
        and quantity[2] not in loose
        and not (quantity[1] == "month" and (quantity[0] in loose or quantity[2] in loose))
        and not (quantity[1] in _LOOSE and quantity[2] in with_unit)
        and not (quantity[1] == RANGE and quantity[2] in hours)
        and not (quantity[1] in (CLOCK, VAGUE_CLOCK, "minute") and _is_time_of(quantity, others))
    ]


_LOOSE: Final = frozenset((BARE, RANGE, "degree"))


def _is_time_of(quantity: Quantity, others: frozenset[Quantity]) -> bool:
    """Whether a time of day is among the others, if they are vague about the half of the day, or say 17 h."""
    value, dimension = float(quantity[0]), quantity[1]
    for other, kind, _ in others:
        if kind in (CLOCK, VAGUE_CLOCK, "minute") and kind != dimension:
            distance = abs(value - float(other))
            is_vague = VAGUE_CLOCK in (kind, dimension)
            if distance == 0 or (is_vague and distance == HALF_DAY):
                return True
    return False


def _other_code(one: AnswerTraits, two: AnswerTraits) -> bool:
    """Whether `one` has code that `two` has neither as code nor as words; False if `two` has none at all."""
    return bool(two.code) and any(token.lower() not in two.tokens for token in one.code - two.code)


def _aligned(one: AnswerTraits, two: AnswerTraits, only_one: frozenset[str], only_two: frozenset[str]) -> int:
    """How many words stand where the other answer has another word: beside the same neighbour."""
    if not only_one or not only_two:
        return 0
    places_one = [("before", left, right) for left, right in one.pairs if left in only_one]
    places_one += [("after", right, left) for left, right in one.pairs if right in only_one]
    places_two = [("before", left, right) for left, right in two.pairs if left in only_two]
    places_two += [("after", right, left) for left, right in two.pairs if right in only_two]
    common = {(side, near) for side, _, near in places_one} & {(side, near) for side, _, near in places_two}
    if not common:
        return 0
    return min(
        len({word for side, word, near in places if (side, near) in common}) for places in (places_one, places_two)
    )


_MOST_ITEMS: Final = 40


def _reassigned(one: AnswerTraits, two: AnswerTraits) -> bool:
    """Whether two numbers or names share more words with each other's parts of sentences than with their own, and more
    than one: adults 14, students 9 against students 14, adults 9."""
    items = [item for item in one.partners if item in two.partners][:_MOST_ITEMS]
    if len(items) < 2:
        return False
    mine, theirs = [one.partners[item] for item in items], [two.partners[item] for item in items]
    own = [len(here & there) for here, there in zip(mine, theirs, strict=True)]
    for at in range(len(items)):
        here, there = mine[at], theirs[at]
        for other in range(at + 1, len(items)):
            turned = len(here & theirs[other]) + len(mine[other] & there)
            if turned > 1 + own[at] + own[other] and here != mine[other] and there != theirs[other]:
                return True
    return False


def _contrary(one: AnswerTraits, two: AnswerTraits) -> tuple[int, int]:
    """How many relations have their contrary in the other answer, of the same thing: (all, strong ones)."""
    total = strong = 0
    for kind, item in one.relations - two.relations:
        for other in _CONTRARY.get(kind, ()):
            if (other, item) in two.relations and (other, item) not in one.relations:
                total += 1
                strong += kind in _STRONG
    return total, strong


def _other_member(one: AnswerTraits, two: AnswerTraits) -> bool:
    """Whether each names a thing of some kind that the other does not."""
    mine, theirs = one.members - two.members, two.members - one.members
    groups = {group for group, _ in mine} & {group for group, _ in theirs}
    if _WEEKDAYS in groups:
        # "Not on Sundays" and "Monday to Saturday" are no contradiction.
        days, others = (sum(group == _WEEKDAYS for group, _ in each) for each in (mine, theirs))
        if one.denials or two.denials or days != others:
            groups.discard(_WEEKDAYS)
    return bool(groups)


_WEEKDAYS: Final = next(
    number for number, group in enumerate(answer_words.ALTERNATIVES) if group.startswith(answer_words.WEEKDAYS[0])
)


def _is_renamed(one: AnswerTraits, two: AnswerTraits, mine: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether one name stands beside the same word as another name in the other answer, and all else is named alike."""
    if len(mine) != 1 or len(theirs) != 1:
        return False
    (left,), (right,) = mine, theirs
    no_words: frozenset[str] = frozenset()
    return not one.partners.get(left, no_words).isdisjoint(two.partners.get(right, no_words))


def _in_one_place(one: AnswerTraits, two: AnswerTraits, mine: list[Quantity], theirs: list[Quantity]) -> bool:
    """Whether two different numbers of one unit stand beside a common word, or beside none. Where one answer has more
    numbers of its own, one may have been derived from others, or not been understood."""
    return len(mine) == len(theirs) and any(
        not (one.partners[left] or two.partners[right]) or not one.partners[left].isdisjoint(two.partners[right])
        for left in mine
        if left in one.partners
        for right in theirs
        if left[1] == right[1] and right in two.partners
    )


# --- the vector of a long answer ---

MOST_TOKENS: Final = 240
_PIECES: Final = re.compile(r"[A-Za-z]+|\S")
_LETTERS_PER_TOKEN: Final = 3
_SHORT_WORD: Final = 6


def chunks(text: str, most_tokens: int = MOST_TOKENS) -> list[str]:
    """Parts of an answer that each fit an encoder with a little more than `most_tokens`, whole sentences if
    possible, without courtesy and markup. An answer's vector is the mean of its parts' vectors, brought to unit
    norm: a function of the text alone. Tokens are estimated from the letters, and rather too many."""
    core = answer_traits(text).core
    if _estimate(core) <= most_tokens:
        return [core] if core.strip() else []
    parts: list[str] = []
    open_part, size = "", 0
    for piece in _fitting(split_sentences(core), most_tokens):
        tokens = _estimate(piece)
        if open_part and size + tokens > most_tokens:
            parts.append(open_part)
            open_part, size = "", 0
        open_part, size = f"{open_part} {piece}" if open_part else piece, size + tokens
    return [*parts, open_part] if open_part else parts


def _fitting(sentences: Iterable[str], most_tokens: int) -> Iterable[str]:
    """The sentences; of one that is too long, its parts, between words if it has any."""
    for sentence in sentences:
        if _estimate(sentence) <= most_tokens:
            yield sentence
            continue
        open_part, size = "", 0
        for word in sentence.split():
            for at in range(0, len(word), most_tokens):
                part = word[at : at + most_tokens]
                tokens = _estimate(part)
                if open_part and size + tokens > most_tokens:
                    yield open_part
                    open_part, size = "", 0
                open_part, size = f"{open_part} {part}" if open_part else part, size + tokens
        yield open_part


def _estimate(text: str) -> int:
    """Tokens of a word-piece vocabulary: a short word is one, a longer one several, any other character one."""
    return sum(
        1 if len(piece) <= _SHORT_WORD else math.ceil(len(piece) / _LETTERS_PER_TOKEN)
        for piece in _PIECES.findall(text)
    )
