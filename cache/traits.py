"""What the rules look at in one question, read in one pass: numbers, denials, roles, names, languages, signs.

A pure function over one text. Knows no second one; `cache.signals` compares two.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from cache.languages import languages
from cache.marks import Marks, marks, without_accents
from cache.vocabulary import (
    ACTORS,
    ALL_MEMBERS,
    AUXILIARIES,
    BEFORE_A_DEED,
    BEFORE_A_VERB,
    BEFORE_AN_INFINITIVE,
    BETWEEN_NUMBER_AND_UNIT,
    CLAUSE_WORDS,
    CLOCK,
    COPULAS,
    COUNTERPARTS,
    DECADES,
    DETERMINERS,
    ENDING,
    ENDING_ALLIES,
    FIRST_PERSON,
    FORMATS,
    FRONTED,
    GREETINGS,
    HABITUAL,
    LACKING,
    LITTLE,
    MODALS,
    NATIONS,
    NEGATORS,
    NO_ADVERBS,
    NUMBER_WORDS,
    OF_QUALITIES,
    ORDINAL_ENDINGS,
    PHRASES,
    PHRASES_BY_TRIGGER,
    PICKED,
    POLES,
    PREPOSITIONS,
    PRONOUNS,
    REFUSALS,
    ROMAN,
    SEEMING,
    SEVERAL,
    SKIPPED_AFTER_SUBJECT,
    SOFT,
    SOME,
    SPECIFIC,
    STOPPERS,
    SUPERLATIVES,
    SYNONYMS,
    TO_BE,
    TRIGGERS,
    TROUBLE,
    UNITS,
    VAGUE_DEEDS,
    VERBS,
    WAITING,
    WISHED,
    stem_of,
    turns_of,
)

Number = tuple[str, str, str, int]
"""(as written, in the base unit, that unit's dimension or "", strength). Strength 2 = a difference counts even
where the other text has no number, 1 = only against another number, 0 = stands for any small number."""

_TERM: Final = re.compile(
    r"(?:([^\W\d_]{1,3})-?(?=\d))?(\d+(?:[.,:/]\d+)*)(?:([^\W\d_]{1,8}\d?(?![^\W_]))|(%))?"
    r"|([^\W\d_]+(?:'[^\W\d_]+)*'?)|([.?!,;:()]|(?<=\s)-(?=\s))"
)
_ARROW: Final = re.compile(r"[-=]+>|→")
_DEGREES: Final = re.compile(r" ?° ?([cf])(?![^\W_])")
_NAME: Final = re.compile(r"(?<=[^.!?:] )[a-z]?[A-Z]\w+")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_PARTY: Final = re.compile(r"\b(for|about|by|with) (?:(?:a|an|the|my|another|other|any|new|some) )*(\w+)")


class Traits(Struct, frozen=True, array_like=True):
    """What the rules look at in one text. All words are stems. In memory some kilobytes; see `packed`."""

    mentions: frozenset[str]
    words: tuple[str, ...]
    """Without the little words and numbers, in order, synonyms made equal."""
    numbers: tuple[Number, ...]
    """Sorted; `figures` are their values as they stand."""
    figures: tuple[str, ...]
    names: frozenset[str]
    denials: "Denials"
    has_negation: bool
    has_trouble: bool
    """Whether it reports that something went wrong, in whatever words."""
    poles: frozenset[tuple[int, bool]]
    """(pair of opposites, whether its left side), for pairs of which only one side is named and not denied."""
    opposed: frozenset[str]
    """Whatever is the opposite of a word of the text by its prefix."""
    undone: frozenset[tuple[str, frozenset[str]]]
    """(word, what it turns back): unlock and lock."""
    is_ending: bool
    """Whether to end something is named; `has_end` also counts weaker words for it, and negations."""
    has_end: bool
    members: frozenset[tuple[int, int]]
    """(group, member) of the alternatives that are mentioned."""
    slots: frozenset[tuple[str, str]]
    """(word, the preposition that governs it, or "")."""
    bare: tuple[str, ...]
    """Words that no preposition governs, in order; empty in the passive."""
    deeds: "Deeds"
    wanted: frozenset[str]
    """What is to be done, of what has an opposite."""
    parts: frozenset[tuple[int, bool]]
    """(pair of counterparts, whether its left side), for pairs of which only one side is named."""
    parties: frozenset[tuple[str, str]]
    """(preposition, word): for me, about a member."""
    languages: frozenset[str]
    marks: Marks
    asks: str
    """What kind of thing the first question is for: `when`, `where`, `often`; "" for an open one."""
    picks: frozenset[tuple[str, str]]
    """(which, of what): all photos, the first match, the cheapest way."""


def _one_sided(sides: Iterable[tuple[int, bool]]) -> frozenset[tuple[int, bool]]:
    """Without those pairs of which both sides are there."""
    found = frozenset(sides)
    return frozenset(side for side in found if (side[0], not side[1]) not in found)


def _replaced(found: re.Match[str]) -> str:
    part, hour, half_of_day = found.group(1), found.group(2), found.group(3)
    return f"{NUMBER_WORDS.get(hour, hour)}:{CLOCK[part]}{CLOCK.get(half_of_day or '', '')}"


def _plain(text: str) -> str:
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    text = text.replace("’", "'").replace("`", "'")
    if "->" in text or "=>" in text or "→" in text:
        text = _ARROW.sub(" to ", text)
    if "°" in text:
        text = _DEGREES.sub(lambda found: " celsius" if found[1] == "c" else " fahrenheit", text)
    return " ".join(text.split())


_LETTERS: Final = re.compile(r"[^\W_]+")
_SPELLED: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")


def _with_phrases(text: str) -> str:
    present = frozenset(_LETTERS.findall(text)) | frozenset(text.split())
    for place in sorted({place for word in present & TRIGGERS for place in PHRASES_BY_TRIGGER[word]}):
        _, pattern, replacement = PHRASES[place]
        text = pattern.sub(_replaced if replacement == "clock" else replacement, text)
    return text


Parts = dict[int, tuple[str, str, str]]
"""Index of a term -> (letters before, digits, letters after) of the number that it is."""


def _terms(text: str) -> tuple[list[str], Parts]:
    terms: list[str] = []
    parts: Parts = {}
    for prefix, digits, suffix, percent, word, mark in _TERM.findall(text):
        if digits and prefix + digits + suffix not in FORMATS:
            parts[len(terms)] = (prefix, digits, suffix or percent)
            terms.append(prefix + digits + suffix)
        else:
            terms.append(mark or prefix + digits + suffix or (word if word.endswith("s'") else word.removesuffix("'")))
    return terms, parts


@lru_cache(maxsize=128)
def traits(text: str) -> Traits:
    """The traits of a question. Any text has some; it costs about 8 microseconds a word."""
    names: frozenset[str] = (
        frozenset()
        if text.isupper()
        else frozenset(stem_of(without_accents(name.lower())) for name in _NAME.findall(text))
    )
    plain = _plain(text)
    spelled = frozenset(_SPELLED.findall(plain))
    spoken = _with_phrases(without_accents(plain))
    terms, parts = _terms(spoken)
    stems = [stem_of(term) if term[0].isalpha() and index not in parts else "" for index, term in enumerate(terms)]
    mentions = frozenset(stems) - {""}
    numbers, counted = _numbers(terms, parts, stems)
    said = [
        "" if not word or word in LITTLE or index in counted else SYNONYMS.get(word, word)
        for index, word in enumerate(stems)
    ]
    slots, bare = _slots(terms, stems, said)
    denied = _negations(terms, stems, said)
    deeds = _deeds(terms, stems, said, bare)
    turned = [(word, *turns_of(word)) for word in mentions]
    return Traits(
        mentions=mentions,
        words=tuple(word for word in said if word),
        numbers=tuple(sorted(numbers)),
        figures=tuple(value for value, *_ in numbers),
        names=(names & mentions) - LITTLE,  # what a phrase has replaced is no name any more
        denials=denied,
        has_negation=not NEGATORS.isdisjoint(terms),
        has_trouble=not mentions.isdisjoint(TROUBLE),
        poles=_poles_of(terms, stems, denied.places),
        opposed=frozenset[str]().union(*(opposed for _, opposed, _ in turned)),
        undone=frozenset((word, bases) for word, _, bases in turned if bases),
        is_ending=not mentions.isdisjoint(ENDING),
        has_end=bool(denied.negated) or not mentions.isdisjoint(ENDING_ALLIES) or not mentions.isdisjoint(NEGATORS),
        members=frozenset(
            member
            for index, word in enumerate(stems)
            if word in ALL_MEMBERS and index not in counted
            for member in ALL_MEMBERS[word]
        ),
        slots=slots,
        bare=()
        if _is_passive(terms)
        else tuple(word for word, is_bare in zip(said, bare, strict=True) if word and is_bare),
        deeds=deeds,
        wanted=_wanted(deeds) - denied.negated,
        parts=_one_sided(pair for word in mentions & COUNTERPARTS.keys() for pair in COUNTERPARTS[word]),
        parties=frozenset((marker, word if word == "me" else stem_of(word)) for marker, word in _PARTY.findall(spoken)),
        languages=languages(spelled, plain),
        marks=marks(text, spelled),
        asks=_asked_for(plain),
        picks=_picks(terms, said),
    )


_ASKS: Final = re.compile(
    r"\b(?:(when|where|why|who)"
    r"(?='s\b| (?:is|are|was|were|do|does|did|can|could|will|would|should|must|may|has|have|am)\b)"
    r"|how (much longer|long|often|far|much|many|big|old|soon|tall|high|wide|deep|heavy|fast|hot|late|early)\b"
    r"|(what time|what date|what day|how come)\b|(?<!\w )(who)(?= \w))"
)
_ASKED: Final = {
    "what time": "when",
    "what date": "when",
    "what day": "when",
    "how come": "why",
    "many": "much",
    "much longer": "long",
}


def _asked_for(plain: str) -> str:
    found = _ASKS.search(plain)
    if found is None:
        return ""
    word = found[found.lastindex or 0]
    return _ASKED.get(word, word)


def _picks(terms: list[str], said: list[str]) -> frozenset[tuple[str, str]]:
    found = []
    for index, term in enumerate(terms):
        which = PICKED.get(term) or SUPERLATIVES.get(term)
        if which is not None:
            of = next((word for word in said[index + 1 : index + 4] if word), None)
            if of is not None:
                found.append((which, of))
    return frozenset(found)


def packed(read: Traits) -> bytes:
    """In some hundred bytes, for texts that are kept."""
    return _PACK.encode(read)


@lru_cache(maxsize=128)
def unpacked(kept: bytes) -> Traits:
    """The reverse of `packed`, in a fifth of the time that reading the text takes; remembered for what is met often."""
    return _UNPACK.decode(kept)


def _numbers(terms: list[str], parts: Parts, stems: list[str]) -> tuple[list[Number], frozenset[int]]:
    """The numbers of the text and the places of the terms that say them."""
    found: list[Number] = []
    counted: set[int] = set()
    first = 0
    while first < len(terms):
        value, dimension, end = _number_at(terms, parts, stems, first)
        if value is not None:
            number = _with_unit(terms, first, end, value, dimension)
            found.append(number)
            counted.update(range(first, end + (number[2] != "" and not dimension)))
        first = end
    return found, frozenset(counted)


def _number_at(terms: list[str], parts: Parts, stems: list[str], index: int) -> tuple[str | None, str, int]:
    """(value, what is written with it, place after it) of the number at `index`; the value is None if there is
    none and "" for "some"."""
    term = terms[index]
    following = terms[index + 1] if index + 1 < len(terms) else ""
    if (part := parts.get(index)) is not None:
        prefix, digits, suffix = part
        if digits in HABITUAL or (digits in ("2", "3") and prefix in ("m", "cm", "km")):
            return None, "", index + 1
        value = _value(digits)
        if following in ("hundred", "thousand", "million", "billion") and value.isdecimal() and len(value) < 7:
            return str(int(value) * NUMBER_WORDS[following]), prefix, index + 2
        if suffix == "k" and value.isdecimal() and value not in ("4", "8", "401"):
            value, suffix = value + "000", ""
        if suffix in ORDINAL_ENDINGS:
            suffix = ""
        elif suffix == "s" and len(value) == 4:
            suffix = "decade"
        return value, prefix + suffix, index + 1
    if term in NUMBER_WORDS:
        is_pronoun = term == "one" and following != "of" and (not following.isalpha() or stems[index + 1] in LITTLE)
        if is_pronoun or (term in ("first", "third") and following in ("time", "party", "parties", "of", "")):
            return None, "", index + 1
        number, end = _spelled(terms, index)
        return str(number), "", end
    if term in DECADES:
        return DECADES[term], "decade", index + 1
    if term in ROMAN and index and stems[index - 1]:
        return str(ROMAN[term]), "", index + 1
    if term == "once" and following in ("a", "per", "every", "each"):
        return "1", "", index + 1
    if term in SEVERAL:
        return "", "", index + 1 + (following == "of")
    return None, "", index + 1


def _with_unit(terms: list[str], first: int, end: int, value: str, dimension: str) -> Number:
    """The number said by the terms from `first` to `end`, with the unit written with it or after it."""
    unit, base, after = end, value, ""
    if not dimension:
        unit += terms[unit : unit + 1] != [] and terms[unit] in BETWEEN_NUMBER_AND_UNIT
    named = dimension or (terms[unit] if unit < len(terms) else "")
    if named in UNITS:
        dimension, factor = UNITS[named]
        if value.replace(".", "", 1).isdecimal() and value.isascii() and len(value) < 10:
            base = f"{float(value) * factor:.9g}"
        after = terms[unit + 1] if unit + 1 < len(terms) else ""
    is_told = dimension in ("second", "month") and (
        after in ("ago", "now") or not WAITING.isdisjoint(terms[max(0, first - 2) : first])
    )
    is_weak = is_told or terms[first] in ("one", "triple") or (value in ("1", "2") and not dimension)
    return value, base, dimension, (1 if is_weak else 2) if value else 0


def _value(digits: str) -> str:
    """The number as it would be written by everyone: 1,000.00 -> 1000, 8:00 -> 8, 2,5 -> 2.5."""
    if _THOUSANDS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif digits.count(",") == 1 and "." not in digits:
        digits = digits.replace(",", ".")
    for ending in (":00", ".00", ".0"):
        digits = digits.removesuffix(ending)
    return digits.lstrip("0") or "0" if len(digits) < 6 else digits


def _spelled(terms: list[str], index: int) -> tuple[int, int]:
    """The number that the words from `index` on say, and the index after it."""
    total = -1
    while index < len(terms) and (value := NUMBER_WORDS.get(terms[index])) is not None:
        if total < 0:
            total = value
        elif value >= 100 and value > total:
            total *= value
        elif (total % 100 == 0 and total and value < 100) or (total % 10 == 0 and total % 100 >= 20 and value < 10):
            total += value
        else:
            break
        index += 1
    return total, index


class Denials(Struct, frozen=True, array_like=True):
    """What a text says no to."""

    negated: frozenset[str]
    """Words that the text denies."""
    missing: frozenset[str]
    """Words that the text reports not to have come about."""
    asserted: frozenset[str]
    """The other words, less those that a negation may reach."""
    places: frozenset[int]
    """Indexes of the terms that one of them took."""


def _negations(terms: list[str], stems: list[str], said: list[str]) -> Denials:
    """What the text denies, what it misses and what it says otherwise. A negation that only asks more politely
    ("Don't you ship abroad?") or says that one is stuck ("I can't log in") does none of this."""
    kinds: dict[int, str] = {}
    is_open = "yet" in terms and "if" not in terms
    is_start, is_question, is_specific, is_condition = True, False, False, False
    for index, term in enumerate(terms):
        if not term[0].isalnum():
            is_start, is_question, is_specific, is_condition = True, False, False, False
            continue
        if term in CLAUSE_WORDS and not (is_start and term == "when"):
            goes_on = term in ("and", "or")
            is_specific = is_specific and goes_on
            is_condition = term in ("if", "unless", "when") or (is_condition and goes_on)
            continue
        previous = terms[index - 1] if index else ""
        if term in SPECIFIC or (is_start and term in ("when", "where")):
            is_specific = True
        elif term == "that" and index and said[index - 1]:
            is_condition = True  # a relative clause, mostly
        if term in NEGATORS or (term in REFUSALS and "to" in terms[index + 1 : index + 2]):
            is_polite = (is_start and term in FRONTED) or (
                term == "not" and is_question and previous in ("it", "there", "you")
            )
            if not is_polite:
                is_soft = is_open or term in SOFT or (term == "not" and "able" in terms[index + 1 : index + 2])
                kind = (
                    "stuck"
                    if is_soft and not is_specific
                    else "negated"
                    if is_specific or is_condition or term in LACKING or (term == "no" and previous == "with")
                    else "missing"
                )
                kinds.update((place, kind) for place in _reached(terms, said, index))
            is_question = is_question or is_start
        elif stems[index] in STOPPERS:
            kinds.update((place, "negated") for place in _stopped(terms, index) if said[place])
        elif is_start and term in AUXILIARIES:
            is_question = True
        is_start = is_start and term in GREETINGS
    by_kind: dict[str, set[str]] = {"negated": set(), "missing": set(), "stuck": set(), "": set()}
    for index, word in enumerate(said):
        if word:
            by_kind[kinds.get(index, "")].add(word)
    asserted = by_kind[""]
    return Denials(
        negated=frozenset(by_kind["negated"] - asserted),
        missing=frozenset(by_kind["missing"] - asserted - SEEMING),
        asserted=frozenset(asserted - by_kind["stuck"]),
        places=frozenset(kinds),
    )


def _reached(terms: list[str], said: list[str], index: int) -> list[int]:
    """Places of the words that the negation at `index` is about: the next one; both in "isn't VAT registered";
    the last one before a preposition after "why isn't", where the subject comes first."""
    reached: list[int] = []
    previous = terms[index - 1] if index else ""
    is_inverted = previous in ("why", "how", "when", "where", "come") and terms[index] in FRONTED
    is_copula = terms[index] in COPULAS or (terms[index] == "not" and previous in ("is", "are"))
    for place in range(index + 1, len(terms)):
        term = terms[place]
        if not term[0].isalnum() or term in CLAUSE_WORDS:
            break
        if term in PRONOUNS:
            is_inverted = False
        elif is_inverted and term in PREPOSITIONS:
            break
        if said[place] and (not term.endswith("ly") or term in NO_ADVERBS):
            if is_inverted:
                reached = [place]
            else:
                reached.append(place)
                is_pair = is_copula or (terms[index] == "without" and terms[reached[0]].endswith("ing"))
                if not is_pair or len(reached) == 2:
                    break
        elif is_copula and reached:
            break
    return reached


def _stopped(terms: list[str], index: int) -> tuple[int, ...]:
    """Places of the deed that a stop at `index` is put to: stop getting bills, keep it from ringing."""
    if index + 1 < len(terms) and terms[index + 1].endswith("ing") and not terms[index].startswith("keep"):
        return (index + 1, index + 2) if index + 2 < len(terms) else (index + 1,)
    if terms[index].startswith(("avoid", "prevent")):
        place = index + 1
        while place < len(terms) and terms[place] in DETERMINERS:
            place += 1
        return (place,) if place < len(terms) else ()
    for place in range(index + 1, min(index + 7, len(terms) - 1)):
        if terms[place] == "from" and terms[place + 1].endswith("ing"):
            return (place + 1,)
    return ()


def _poles_of(terms: list[str], stems: list[str], denied: frozenset[int]) -> frozenset[tuple[int, bool]]:
    found: set[tuple[int, bool]] = set()
    for index, word in enumerate(stems):
        if word not in POLES or index in denied:
            continue
        before = terms[index - 1] if index else ""
        is_excess = before in ("too", "so")
        found.update((~number if is_excess else number, is_left) for number, is_left in POLES[word])
        is_wished = terms[index].endswith("er") and terms[index + 1 : index + 2] != ["than"]
        if before == "too" or is_wished:  # who says "too small" wishes for "bigger"
            wishes = (side for side in POLES[word] if side[0] in OF_QUALITIES)
            found.update((WISHED + number, is_left != is_excess) for number, is_left in wishes)
    return _one_sided(found)


def _slots(terms: list[str], stems: list[str], said: list[str]) -> tuple[frozenset[tuple[str, str]], list[bool]]:
    """(word, preposition) for every word, and for each term whether no preposition governs it."""
    slots: set[tuple[str, str]] = set()
    bare = [True] * len(terms)
    slot, is_filled = "", False
    for index, term in enumerate(terms):
        if term == "'" or not term[0].isalnum():
            slot, is_filled = "", False
            continue
        if (preposition := PREPOSITIONS.get(term)) is not None:
            if term == "to" and _is_infinitive(terms, index):
                slot, is_filled = "", False
            elif slot != "than" or is_filled:
                slot, is_filled = preposition, False
            continue
        if term in ("instead", "rather"):
            slot, is_filled = "than", False
            continue
        word = said[index] or ("own" if term == "own" else "")
        if term in FIRST_PERSON:
            word, slot = "self", ""
        elif term in ("me", "us", "myself"):
            word = "self"
        if not word:
            if term not in ("and", "or") and (is_filled or term not in DETERMINERS) and not (slot and term == "of"):
                slot, is_filled = "", False
            continue
        if not is_filled and term.endswith("ing") and slot in BEFORE_A_DEED:
            slots.add((word, slot))  # what follows is the object of the deed
            slot = ""
            bare[index] = False
            continue
        word = NATIONS.get(word, word)
        is_filled = True
        is_owner = term.endswith(("'s", "s'"))
        bare[index] = not slot and not is_owner
        slots.add((word, "of" if is_owner and not slot else slot))
    return frozenset(slots), bare


def _is_infinitive(terms: list[str], index: int) -> bool:
    """Whether a verb, and no place, follows the "to" at `index`."""
    previous = terms[index - 1] if index else ""
    if previous in BEFORE_AN_INFINITIVE or previous in AUXILIARIES:
        return True
    return index + 1 < len(terms) and terms[index + 1] in VERBS


def _is_passive(terms: list[str]) -> bool:
    return any(
        term in TO_BE and any(each.endswith(("ed", "en")) for each in terms[index + 1 : index + 4])
        for index, term in enumerate(terms)
    )


class Deeds(Struct, frozen=True, array_like=True):
    """Who does what in a text, as far as word order tells."""

    order: frozenset[tuple[str, str]]
    """(actor, actor): who is named before whom, the doer of a passive first."""
    acts: frozenset[str]
    """Words in a verb's place: to lock, I lock."""
    mine: frozenset[str]
    """What "I" do; `others` what someone else does; `to_me` what is done to me."""
    others: frozenset[str]
    to_me: frozenset[str]
    subjects: frozenset[str]
    """Actors that do what the text is about: the "member" in "how can a member leave", "if a member leaves"."""
    asked: frozenset[str]
    """Those of them that stand where a question has its subject."""
    is_mine: bool
    """Whether it asks what "I" may do or what becomes of me."""


def _deeds(terms: list[str], stems: list[str], said: list[str], bare: list[bool]) -> Deeds:
    """Who does what, as far as word order tells."""
    mine: set[str] = set()
    others: set[str] = set()
    to_me: set[str] = set()
    subjects: set[str] = set()
    asked: set[str] = set()
    acts: set[str] = set()
    actors: list[str] = []
    pairs: set[tuple[str, str]] = set()
    before = ""
    is_start, is_mine = True, False
    for index, term in enumerate(terms):
        if not term[0].isalnum() or term in CLAUSE_WORDS:
            _pair_up(actors, pairs)
            actors = []
            before, is_start = term, not term[0].isalnum()
            continue
        if term in FIRST_PERSON:
            is_mine = is_mine or before in AUXILIARIES
            deed, is_passive = _deed_after(terms, said, index, before in TO_BE)
            if not (
                actors and index and (said[index - 1] == actors[-1] or terms[index - 1] in ("that", "who", "whom"))
            ):
                actors.append("self")  # else it is a relative clause: the friend that I invited
            if deed:
                (to_me if is_passive else mine).add(deed)
        elif term in ("me", "us"):
            if bare[index]:
                actors.append("self")
            if index and said[index - 1]:
                to_me.add(said[index - 1])
        elif stems[index] in ACTORS and not (term == "couple" and terms[index - 1] in SOME):
            word = NATIONS.get(stems[index]) or said[index] or stems[index]
            if before in AUXILIARIES:
                asked.add(word)
            if before in AUXILIARIES or before in ("if", "when"):
                subjects.add(word)
            if not bare[index] and "by" in terms[max(0, index - 3) : index]:
                actors.insert(0, word)
            elif bare[index]:
                actors.append(word)
                if term not in ("person", "people"):  # what anyone does, I do
                    others.update(_done_by(terms, said, index))
        elif term == "who" or (said[index] and is_start and before in MODALS):
            others.update(_done_by(terms, said, index))
        elif said[index] and before in ("if", "when") and index + 1 < len(terms) and terms[index + 1].endswith("s"):
            others.add(said[index + 1])
        elif term == "to" and before == "how" and index + 1 < len(terms):
            mine.add(said[index + 1])
        if stems[index] and (not before or before in BEFORE_A_VERB or not before[0].isalnum()):
            acts.add(stems[index])
        if term not in DETERMINERS:
            is_start = is_start and (term in AUXILIARIES or term in ("hi", "hello", "hey", "please", "so"))
            before = term
    _pair_up(actors, pairs)
    return Deeds(
        order=frozenset(pair for pair in pairs if pair[::-1] not in pairs),
        acts=frozenset(acts),
        mine=frozenset(mine - {""}) - VAGUE_DEEDS,
        others=frozenset(others - {""}) - VAGUE_DEEDS,
        to_me=frozenset(to_me) - VAGUE_DEEDS,
        subjects=frozenset(subjects),
        asked=frozenset(asked),
        is_mine=is_mine,
    )


def _wanted(deeds: Deeds) -> frozenset[str]:
    """Of the deeds that somebody does or is to do, those that have an opposite."""
    acts = deeds.mine.union(SYNONYMS.get(act, act) for act in deeds.acts)
    return frozenset(act for act in acts if act in POLES)


def _done_by(terms: list[str], said: list[str], index: int) -> tuple[str, ...]:
    deed, is_passive = _deed_after(terms, said, index)
    return (deed,) if deed and not is_passive else ()


def _pair_up(actors: list[str], pairs: set[tuple[str, str]]) -> None:
    pairs.update(
        (left, right) for place, left in enumerate(actors[:5]) for right in actors[place + 1 : 5] if left != right
    )


def _deed_after(terms: list[str], said: list[str], index: int, is_passive: bool = False) -> tuple[str, bool]:
    """The first word that carries something after the subject at `index`, and whether it is done to the subject."""
    is_passive = is_passive or terms[index].endswith("'m")
    for place in range(index + 1, min(index + 8, len(terms))):
        term = terms[place]
        if said[place]:
            is_done = term.endswith(("ed", "en", "t", "n")) or terms[place - 1] == "being"
            return said[place], is_passive and is_done
        if term not in SKIPPED_AFTER_SUBJECT:
            break
        is_passive = term in TO_BE or (is_passive and term != "to")
    return "", False


_PACK: Final = msgspec.msgpack.Encoder()
_UNPACK: Final = msgspec.msgpack.Decoder(Traits)
