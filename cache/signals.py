"""Mismatches between two questions that an embedding hardly sees: language, numbers, polarity, roles, entities.

Opposites ("turn on" / "turn off") lie closer in vector space than many true paraphrases; these rules name what
differs. A rule that fires in vain costs a hit, one that does not fire may cost a wrong answer where a scope holds
few questions. Compares what was read of two texts; knows neither vectors nor answers. The words it goes by are
English: other languages are told apart from it and from each other, but within one of them little more than numbers
is seen.
"""

from typing import Final

from cache.marks import differ, without_accents
from cache.traits import Number, Traits, traits
from cache.vocabulary import (
    ABOUT_A_WORD,
    ACTORS,
    ALL_MEMBERS,
    ASKED_ALIKE,
    CONVERSES,
    GENERIC,
    HOW_MUCH,
    LONG_OFTEN,
    MEASURED,
    MOTION,
    PICKED,
    PICKED_APART,
    POLES,
    SYMMETRIC,
    SYNONYMS,
    TELLING,
    TIMES,
    TROUBLE,
    stem,
    stem_of,
    stems,
    turns_of,
)


def mismatch(left: str, right: str) -> str | None:
    """What the texts differ in; see `difference`."""
    return difference(traits(left), traits(right))


def difference(one: Traits, two: Traits) -> str | None:
    """What the texts differ in: `language`, `number`, `polarity`, `role`, `exchange` or `entity`, the first of these;
    None if in none. `exchange`: the same words but for one of things that exclude each other. `entity` is the one that
    often says nothing."""
    if one.languages and two.languages and one.languages.isdisjoint(two.languages):
        return "language"
    if one.numbers != two.numbers and _count_differently(*sorted((one.numbers, two.numbers))):
        return "number"
    if one.marks != two.marks:
        if (kind := differ(one.marks, two.marks)) is not None:
            return kind
        if _write_differently(one, two) or _write_differently(two, one):
            return "exchange"
    if one.figures != two.figures and one.words == two.words and sorted(one.figures) == sorted(two.figures):
        return "number"
    if (
        one.mentions == two.mentions
        and one.asks == two.asks
        and one.picks == two.picks
        and one.slots == two.slots
        and one.bare == two.bare
        and one.deeds == two.deeds
        and one.denials == two.denials
    ):
        return None
    if _are_opposite(one, two):
        return "polarity"
    if _swap_roles(one, two):
        return "role"
    if _exchange_alternatives(one, two) or _pick_others(one, two):
        return "exchange"
    return "entity" if _name_others(one, two) else None


def _count_differently(mine: tuple[Number, ...], theirs: tuple[Number, ...]) -> bool:
    unmatched = list(theirs)
    left: list[Number] = []
    for number in mine:
        same = next((other for other in unmatched if _is_same_number(number, other)), None)
        if same is None:
            left.append(number)
        else:
            unmatched.remove(same)
    rest = [number for number in unmatched if number[3]]
    left = [number for number in left if number[3]]
    if left and rest:
        return True
    return any(
        number[3] == 2 and not any(_is_same_number(number, other) for other in others)
        for numbers, others in ((left, theirs), (rest, mine))
        for number in numbers
    )


def _is_same_number(number: Number, other: Number) -> bool:
    if not number[3] or not other[3]:
        known = number if number[3] else other
        return len(known[0]) < 2 or (not known[2] and known[0] in ("10", "12"))
    if number[2] and other[2]:
        return number[1] == other[1] and number[2] == other[2]
    return number[0] == other[0]


def _write_differently(one: Traits, two: Traits) -> bool:
    """Whether a word of one text is one of the other but for a sign at its end, or for an accent where a word is what
    it is about: elsewhere accents are left out as one likes."""
    mine, theirs = one.marks, two.marks
    if mine.accented != theirs.accented and not one.mentions.isdisjoint(ABOUT_A_WORD):
        accented = mine.accented - theirs.accented
        if any(stem_of(without_accents(word)) in two.mentions for word in accented):
            return True
    if mine.is_spelled_out or theirs.is_spelled_out:
        return False
    return any(stem_of(word.rstrip("+#-")) in two.mentions for word in mine.suffixed - theirs.suffixed)


def _are_opposite(one: Traits, two: Traits) -> bool:
    return (
        _deny(one, two)
        or _deny(two, one)
        or _use_antonyms(one, two)
        or _undoes(one, two)
        or _undoes(two, one)
        or _ends(one, two)
        or _ends(two, one)
        or _reaches_otherwise(one, two)
        or _reaches_otherwise(two, one)
    )


def _deny(one: Traits, two: Traits) -> bool:
    """Whether `one` denies what `two` says. A report that something is missing is no opposite of another question
    about it, unless nearly all other words are the same."""
    if not one.denials.negated.isdisjoint(two.denials.asserted):
        return True
    if (
        two.has_negation
        or one.denials.missing.isdisjoint(two.denials.asserted)
        or len(set(one.words) ^ set(two.words)) > 2
    ):
        return False
    return not two.has_trouble or not one.denials.missing.isdisjoint(TROUBLE)


def _use_antonyms(one: Traits, two: Traits) -> bool:
    for number, is_left in one.poles:
        if (number, not is_left) in two.poles and (
            number >= len(CONVERSES) or number < 0 or _do_both(one, two, number)
        ):
            return True
    return _opposes(one, two) or _opposes(two, one) or _want_opposites(one, two)


def _opposes(one: Traits, two: Traits) -> bool:
    """Whether a word of `one` alone has its opposite by prefix or suffix in `two` alone."""
    targets = (one.opposed & two.mentions) - one.mentions
    if not targets:
        return False
    denied = one.denials.negated | two.denials.negated
    return any(
        target in turns_of(word)[0]
        and SYNONYMS.get(word, word) not in denied
        and SYNONYMS.get(target, target) not in denied
        for word in one.mentions - two.mentions
        for target in targets
    )


def _do_both(one: Traits, two: Traits, number: int) -> bool:
    """Whether "I" am the one who does this, in both texts."""
    return all(
        any((number, is_left) in POLES[deed] for deed in text.deeds.mine & POLES.keys() for is_left in (True, False))
        for text in (one, two)
    )


def _want_opposites(one: Traits, two: Traits) -> bool:
    """Whether what one asks to have done is the opposite of what the other does, whatever else is named: how to resume
    after a pause, and how to pause."""
    if not len(one.wanted) == len(two.wanted) == 1:
        return False
    (mine,), (theirs,) = one.wanted, two.wanted
    return any(number >= len(CONVERSES) and (number, not is_left) in POLES[theirs] for number, is_left in POLES[mine])


def _undoes(one: Traits, two: Traits) -> bool:
    """Whether `one` turns back what `two` does. Where it is named in both, it must be what `two` does."""
    for word, bases in one.undone:
        if word in two.mentions or bases.isdisjoint(two.mentions):
            continue
        for base in bases & two.mentions:
            if SYNONYMS.get(base, base) in two.denials.negated or SYNONYMS.get(base, base) in two.denials.missing:
                continue
            if base not in one.mentions or base in two.deeds.acts:
                return True
    return False


def _ends(one: Traits, two: Traits) -> bool:
    return one.is_ending and not two.has_end


def _reaches_otherwise(one: Traits, two: Traits) -> bool:
    """Whether something holds until a time in `one` and from it on in `two`, or unless and if something happens."""
    mine, theirs = one.mentions, two.mentions
    if _UNLESS in mine and _UNLESS not in theirs:
        return "if" in theirs and "if" not in mine and not two.has_negation
    if mine.isdisjoint(_UNTIL) or not theirs.isdisjoint(_UNTIL) or "from" in mine:
        return False
    is_span = any(slot == "to" for _, slot in two.slots)
    return not is_span and any(slot == "from" and word in one.words for word, slot in two.slots)


def _swap_roles(one: Traits, two: Traits) -> bool:
    """Whether two things have changed places between the prepositions, two actors in the order of words, or
    what "I" do is done by someone else."""
    mine, theirs = one.deeds.order, two.deeds.order
    if mine and theirs and any((right, left) in theirs for left, right in mine) and not _are_symmetric(one, two):
        return True
    if one.slots != two.slots and _have_changed_places(one, two):
        return True
    if one.bare != two.bare and _swap_round_a_verb(one, two):
        return True
    if _has_other_doer(one, two) or _has_other_doer(two, one):
        return True
    if one.parts and two.parts and any((pair, not is_left) in two.parts for pair, is_left in one.parts):
        return True
    if one.deeds.subjects and two.deeds.subjects and one.deeds.subjects.isdisjoint(two.deeds.subjects):
        return True
    return _asks_of_another(one, two) or _asks_of_another(two, one) or _has_other_party(one, two)


def _are_symmetric(one: Traits, two: Traits) -> bool:
    return not (SYMMETRIC.isdisjoint(one.mentions) and SYMMETRIC.isdisjoint(two.mentions))


def _swap_round_a_verb(one: Traits, two: Traits) -> bool:
    """Whether "A does B" meets "B does A", all other words being the same."""
    if len(one.mentions ^ two.mentions) > 2 or _are_symmetric(one, two):
        return False
    shared = set(one.bare) & set(two.bare)
    mine = [word for word in one.bare if word in shared]
    theirs = [word for word in two.bare if word in shared]
    if len(mine) != len(theirs):
        return False
    places = [place for place, (word, other) in enumerate(zip(mine, theirs, strict=True)) if word != other]
    return len(places) == 2 and places[1] - places[0] > 1 and mine[places[0]] == theirs[places[1]]


def _have_changed_places(one: Traits, two: Traits) -> bool:
    here, its_own = one.slots - two.slots, two.slots - one.slots
    if not (here and its_own):
        return False
    there: dict[str, list[str]] = {}
    for word, slot in its_own:
        there.setdefault(word, []).append(slot)
    moves: dict[tuple[str, str], set[str]] = {}
    for word, old in here:
        for new in there.get(word, ()):
            moves.setdefault((old, new), set()).add(word)
            if "as" in (old, new):  # as passive, into a passive one
                moves.setdefault((old.replace("as", "to"), new.replace("as", "to")), set()).add(word)
    if not moves:
        return False
    shared = one.mentions & two.mentions
    for (old, new), words in moves.items():
        others = moves.get((new, old), set())
        if any(
            word != other and _matters((old, new), word, other, shared, one.names & two.names)
            for word in words
            for other in others
        ):
            return True
        if old == "than" and any(target == "than" for _, target in moves):
            return True
        if (old, new) in (("from", "to"), ("to", "from")) and shared & MOTION:
            both = one.slots | two.slots
            if any((word, "as") not in both for word in words):
                return True
    return False


def _matters(slots: tuple[str, str], word: str, other: str, shared: frozenset[str], names: frozenset[str]) -> bool:
    """Whether "A ... preposition B" is something else than "B ... preposition A"."""
    if "" not in slots or not TELLING.isdisjoint(slots):
        return True
    if (word in ACTORS and other in ACTORS) or ("of" in slots and word in names and other in names):
        return True
    return "for" in slots and not shared.isdisjoint(MOTION)


def _has_other_doer(one: Traits, two: Traits) -> bool:
    for deed in one.deeds.mine:
        if deed in two.deeds.mine or deed in one.deeds.others:
            continue
        if deed in two.deeds.others or (deed in two.deeds.to_me and deed not in one.deeds.to_me):
            return True
    return False


def _asks_of_another(one: Traits, two: Traits) -> bool:
    """Whether `one` asks about someone whom `two`, which asks about "me", only mentions, or `two` tells that what
    `one` says was done to someone was done to "me"."""
    if (
        one.deeds.asked
        and not one.deeds.is_mine
        and two.deeds.is_mine
        and not two.deeds.asked
        and one.deeds.asked <= set(two.words)
    ):
        return not _are_symmetric(one, two) or any((word, "of") in two.slots for word in one.deeds.asked)
    done = (one.deeds.others & two.deeds.others & two.deeds.to_me) - one.deeds.to_me - one.deeds.mine
    return bool(done) and any("self" not in pair for pair in one.deeds.order)


def _has_other_party(one: Traits, two: Traits) -> bool:
    if not (one.parties and two.parties):
        return False
    for preposition in ("for", "about", "by", "with"):
        mine = {party for marker, party in one.parties if marker == preposition}
        theirs = {party for marker, party in two.parties if marker == preposition}
        if ("me" in mine and "me" not in theirs and theirs & ACTORS) or (
            "me" in theirs and "me" not in mine and mine & ACTORS
        ):
            return True
    return False


def _name_others(one: Traits, two: Traits) -> bool:
    """Whether each names a name or an alternative that the other does not, or one thing was exchanged."""
    if not one.names <= two.mentions and not two.names <= one.mentions:
        return True
    if one.members and two.members:
        groups = {group for group, _ in one.members - two.members}
        if any(group in groups for group, _ in two.members - one.members):
            return True
    return _exchange_a_thing(one, two)


def _exchange_alternatives(one: Traits, two: Traits) -> bool:
    """Whether nothing but one alternative stands in the place of another: red for orange."""
    mine, theirs = one.members - two.members, two.members - one.members
    if not (mine and theirs) or {group for group, _ in mine}.isdisjoint(group for group, _ in theirs):
        return False
    return all(word in ALL_MEMBERS or word in GENERIC for word in set(one.words) ^ set(two.words))


_UNTIL: Final = stems("until till")
_UNLESS: Final = stem("unless")
_PICKED_KINDS: Final = frozenset(PICKED.values())


def _pick_others(one: Traits, two: Traits) -> bool:
    """Whether the same things are asked about, but others of them, or another thing about them."""
    if one.asks and two.asks and one.asks != two.asks and not _ask_alike(one, two):
        mine, theirs = set(one.words) - LONG_OFTEN, set(two.words) - LONG_OFTEN
        if len(mine & theirs) >= 2 and len(mine - theirs) <= 1 and len(theirs - mine) <= 1:
            return True
        if mine & theirs and mine ^ theirs <= MEASURED:
            return True
    for which, of in one.picks:
        for other, of_other in two.picks:
            if of == of_other and which != other:
                are_superlatives = which not in _PICKED_KINDS and other not in _PICKED_KINDS
                if are_superlatives or frozenset((which, other)) in PICKED_APART:
                    return True
    return False


def _ask_alike(one: Traits, two: Traits) -> bool:
    """Whether an answer to one kind of question may be one to the other."""
    asked = frozenset((one.asks, two.asks))
    if "much" in asked and asked & HOW_MUCH:
        return not TIMES.isdisjoint(one.mentions | two.mentions)
    return asked in ASKED_ALIKE


def _exchange_a_thing(one: Traits, two: Traits) -> bool:
    """Whether a few words of one text stand in the place of others, next to a word of both or after the same
    preposition."""
    here, there = set(one.words), set(two.words)
    shared = here & there
    if len(shared) < 2 and not (len(one.words) == len(two.words) == 2 and one.words[0] == two.words[0]):
        return False
    mine = [word for word in here - there if word not in GENERIC]
    theirs = [word for word in there - here if word not in GENERIC]
    if not (1 <= len(mine) <= 3 and 1 <= len(theirs) <= 3):
        return False
    if any(_are_akin(word, other) for word in mine for other in theirs):
        return False
    return not _contexts(one, mine, shared).isdisjoint(_contexts(two, theirs, shared))


def _contexts(one: Traits, places: list[str], shared: set[str]) -> set[tuple[str, int]]:
    """The shared words next to one of the places with the side on which they stand, and its prepositions."""
    found = {(slot, 0) for word, slot in one.slots if slot and slot != "to" and word in places}
    for index, word in enumerate(one.words):
        if word in places:
            if index and one.words[index - 1] in shared:
                found.add((one.words[index - 1], -1))
            if index + 1 < len(one.words) and one.words[index + 1] in shared:
                found.add((one.words[index + 1], 1))
    return found


def _are_akin(word: str, other: str) -> bool:
    """Whether they may be forms or misspellings of one word."""
    short, long = sorted((word, other), key=len)
    if len(short) < 4:
        return False
    if long.startswith(short[:-1]) and len(short) > 4 and (long.startswith(short) or len(long) - len(short) > 2):
        return True
    return len(short) > 4 and len(long) - len(short) < 3 and word[0] == other[0] and len(set(word) ^ set(other)) <= 1
