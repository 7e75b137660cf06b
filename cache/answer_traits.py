"""What one answer of a language model says, as far as it can be read off its tokens without understanding it.

Owns the reading of tokens: numbers with their units, names, words, what is denied, what is
conditional. Refuses to compare: that is `cache/sameness.py`. English word lists, in `cache/answer_words.py`; of
other languages only the structural part is right. Pure functions over text, and no text makes them raise.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from cache import answer_words
from cache.answer_numbers import with_quantities
from cache.answer_text import (
    LIGHT,
    LITTLE,
    MEMBERS,
    PEOPLE,
    SIDES,
    SYNONYMS,
    Gist,
    Quantity,
    Rate,
    Token,
    answer_text,
    code_tokens,
    gist,
    is_refusal,
    root,
)
from cache.memo import Memo

_NOTHING: Final[frozenset[str]] = frozenset()


class Clause(Struct, frozen=True, array_like=True):
    """A part of a sentence that is asserted or denied as a whole."""

    items: frozenset[str | Quantity]
    """What carries weight: words, names, numbers."""
    light: frozenset[str]
    sides: frozenset[tuple[int, int]]
    """As in `AnswerTraits`; a denied side is the other one."""
    ties: frozenset[str]
    """Kinds of relations and markers in it: before, only, must."""
    is_denied: bool
    is_supposed: bool
    """Whether it is a condition or a question: then it says nothing of what is."""


class AnswerTraits(Struct, frozen=True, array_like=True):
    """What is looked at in one answer. Words are roots; see `root`."""

    normal: str
    """Without courtesy, markup, case, spacing and punctuation: equal means that they say the same."""
    core: str
    """Without courtesy and markup: the text whose vector is compared."""
    sentences: tuple[tuple[str, ...], ...]
    """The tokens of each sentence, phrases and numbers in one form; sorted: equal means reordered."""
    tokens: frozenset[str]
    """Every word, number and piece of code in lower case."""
    code: frozenset[str]
    """Tokens of all code, in line and in blocks, as they are written."""
    quantities: frozenset[Quantity]
    small_counts: frozenset[str]
    """Numbers up to ten in words and without a unit: two things. Often left out."""
    rates: frozenset[Rate]
    partners: dict[str | Quantity, frozenset[str]]
    """Quantity, name or acting person -> the words of its parts of sentences, between commas, "and" and "but"."""
    relations: frozenset[tuple[str, str | Quantity]]
    """(before, after, inside, at most, ...; what comes next)."""
    names: frozenset[str]
    """Capitalised words, codes, labels in quotes and in menu paths."""
    words: frozenset[str]
    """What carries weight."""
    light: frozenset[str]
    """What is often reworded or left out."""
    pairs: frozenset[tuple[str, str]]
    """Neighbours among words and light words."""
    said: frozenset[str]
    """Every word, code included; see `has`."""
    denied: frozenset[str]
    """Words in denied clauses only."""
    asserted: frozenset[str]
    """Words in other clauses only."""
    conditional: frozenset[str]
    """Words in clauses with "if", "only" and the like."""
    sides: frozenset[tuple[int, int]]
    """(pair of opposites, 1 or -1)."""
    members: frozenset[tuple[int, int]]
    """(group, member) of the alternatives that are mentioned: weekdays, colours, means of payment."""
    markers: frozenset[str]
    people: frozenset[str]
    """Who may act: doctor, landlord, administrator."""
    clauses: tuple[Clause, ...]
    """Those with anything in them, in order."""
    acts: frozenset[tuple[str, str]]
    """(who, what is done), as far as word order tells: ("we", "check")."""
    lead: int
    """1 if it begins with yes, -1 with no, else 0."""
    opening: int
    """-1 if its first clause is denied, 1 if not, 0 without a clause."""
    denials: int
    is_cut: bool
    """Whether the end was too far to be read."""
    is_refusal: bool
    is_english: bool
    length: int
    """In words and numbers."""

    def has(self, word: str) -> bool:
        """Whether it has the word or a synonym: then that is no word of another answer's own."""
        return word in self.said or not SYNONYMS.get(word, _NOTHING).isdisjoint(self.said)

    def lacks(self, words: frozenset[str]) -> frozenset[str]:
        """Those of the words that it has not, nor a synonym."""
        left = words - self.said
        return left and frozenset([word for word in left if SYNONYMS.get(word, _NOTHING).isdisjoint(self.said)])


# --- reading ---

_ENDS: Final = frozenset(".!?;:,()\n")
_SOFT_ENDS: Final = frozenset(",()")
_FORWARD_DENIAL: Final = 3
"""How many words "without" denies."""


_WORDS_OF_AN_ACT: Final = 2
_MODAL: Final = frozenset(
    "can may must could might should only if also never always please not no cannot then first".split()
)
_PAID: Final = frozenset(map(root, ("pay", "paid", "cost", "charge", "fee", "bill", "commission", "price")))
_FREE: Final = root("free")
_ACTORS: Final = {"we": "we", "us": "we", "our": "we", "you": "you", "i": "we", "shop": "shop", "store": "shop"}


class _Part:
    """What is in a clause beside its words."""

    __slots__ = ("is_supposed", "items", "light", "sides", "ties")

    def __init__(self) -> None:
        self.items: set[str | Quantity] = set()
        self.light: set[str] = set()
        self.sides: set[tuple[int, int]] = set()
        self.ties: set[str] = set()
        self.is_supposed = False

    def to_clause(self, *, is_denied: bool) -> Clause:
        items, light = self.items, self.light
        if is_denied and not _PAID.isdisjoint(items | light) and not any(isinstance(item, tuple) for item in items):
            items, light, is_denied = (items - _PAID) | {_FREE}, light - _PAID, False  # "You don't pay for it"
        return Clause(
            items=frozenset(items),
            light=frozenset(light),
            sides=frozenset((pair, -side) if is_denied else (pair, side) for pair, side in self.sides),
            ties=frozenset(self.ties),
            is_denied=is_denied,
            is_supposed=self.is_supposed,
        )


class _Reading:
    """What has been found while the tokens of one answer are read, once, from left to right."""

    def __init__(self) -> None:
        self.quantities: set[Quantity] = set()
        self.small_counts: set[str] = set()
        self.rates: set[Rate] = set()
        self.relations: set[tuple[str, str | Quantity]] = set()
        self.names: set[str] = set()
        self.mentions: set[str] = set()
        self.light: set[str] = set()
        self.sequence: list[str] = []
        self.stream: list[str | Quantity] = []
        """Words, quantities and the ends of sentences ("") in order."""
        self.conditional: set[str] = set()
        self.sides: set[tuple[int, int]] = set()
        self.markers: set[str] = set()
        self.clauses: list[list[str]] = [[]]
        self.parts: list[_Part] = [_Part()]
        """Of each clause, what else is in it."""
        self.acts: set[tuple[str, str]] = set()
        self.clause_denials: list[int] = [0]
        """Of each clause; an even number of denials is none."""
        self.denied: set[str] = set()
        """What follows "without" and the like."""
        self.denials = 0
        self.length = 0
        self._carried = 0
        """Denials before a colon hold for what follows: "not included: sports courses"."""
        self._before_colon: int | None = None
        self._forward = 0
        self._is_joined = False
        """Whether "or" has come since the last denial: what is denied then is a clause of its own."""
        self._is_conditional = False
        self._since_quantity = 99
        self._last_quantity: Quantity | None = None
        self._open_relations: list[str] = []
        self._actor: str | None = None
        self._acting = _WORDS_OF_AN_ACT
        """How many more words may be what the actor does."""
        self._is_passive = False

    def read(self, tokens: Sequence[Token]) -> None:
        for token in tokens:
            self._since_quantity += 1
            if token.kind == "word":
                self._word(token)
            elif token.kind == "mark":
                self._mark(token.text)
            elif token.quantity is not None:
                self._quantity(token.quantity, token.is_small)
            elif token.rate is not None:
                self.rates.add(token.rate)
                self.length += 1
            else:
                self._code(token.text)

    def _relate(self, item: str | Quantity) -> None:
        for kind in self._open_relations:
            self.relations.add((kind, item))
        self._open_relations.clear()

    def _code(self, text: str) -> None:
        self.length += 1
        bare = root(text)
        self.mentions.add(bare)
        if not text.isdigit() or len(text) > 4:
            self.names.add(bare)
        self.sequence.append(bare)
        self.stream.append(bare)
        self.parts[-1].items.add(bare)
        self._relate(bare)

    def _quantity(self, quantity: Quantity, is_small: bool) -> None:
        self.length += 1
        self.quantities.add(quantity)
        if is_small:
            self.small_counts.add(quantity[2])
        self.stream.append(quantity)
        self.parts[-1].items.add(quantity)
        self._relate(quantity)
        self._last_quantity = quantity
        self._since_quantity = 0

    def _word(self, token: Token) -> None:
        text = token.text
        self.length += 1
        bare = root(text)
        self.mentions.add(bare)
        if text in _FUNCTIONAL:
            self._function(text)
        self._act(text, bare, token.is_name)
        if (text in LITTLE and not token.is_name) or "'" in text:
            return
        if (said := answer_words.DENYING_FORMS.get(text)) is not None:
            bare = root(said)
            self.mentions.add(bare)
            self.clause_denials[-1] += 1
        part = self.parts[-1]
        if bare in SIDES:
            self.sides.update(SIDES[bare])
            part.sides.update(SIDES[bare])
        if self._forward > 0:
            self._forward -= 1
            self.denied.add(bare)
        else:
            self.clauses[-1].append(bare)
        if self._is_conditional:
            self.conditional.add(bare)
        if token.is_name and text not in _CALENDAR:
            self.names.add(bare)
            part.items.add(bare)
        elif bare in LIGHT:
            self.light.add(bare)
            part.light.add(bare)
        else:
            part.items.add(bare)
        self.sequence.append(bare)
        self.stream.append(bare)
        if self._open_relations and text not in answer_words.RELATIONS:
            self._relate(bare)

    def _act(self, text: str, bare: str, is_name: bool) -> None:
        """Who does what: "we check", "checked by us", "Check it" (you)."""
        if (actor := _ACTORS.get(text)) is not None or bare in PEOPLE:
            actor = actor or bare
            if self._is_passive and self.sequence:
                self.acts.update((actor, done) for done in self.sequence[-2:])
            else:
                self._actor, self._acting = actor, _WORDS_OF_AN_ACT
            self._is_passive = False
        elif text == "by":
            self._is_passive = True
        elif self._acting and text not in _MODAL:
            if text in LITTLE or is_name:
                self._acting *= self._actor is not None
            else:
                self.acts.add((self._actor or "you", bare))
                self._acting -= 1

    def _function(self, text: str) -> None:
        if (marker := answer_words.MARKERS.get(text)) is not None:
            self.markers.add(marker)
            self.parts[-1].ties.add(marker)
        if (relation := answer_words.RELATIONS.get(text)) is not None:
            self._open_relations.append(relation)
            self.parts[-1].ties.add(relation)
            if self._since_quantity <= 2 and self._last_quantity is not None:
                if relation in ("before", "after"):
                    self.relations.add((f"it {relation}", self._last_quantity))  # 24 hours before arrival
                elif relation in ("at least", "at most", "earliest", "latest"):
                    self.relations.add((relation, self._last_quantity))  # 24 hours at most
        if text in _JOINTS:
            self.stream.append(_PART)
        if text in answer_words.BARRIERS or (
            self._is_joined and text in answer_words.NEGATORS and self.clause_denials[-1] > self._carried
        ):
            self._end_clause(keeps_condition=True)
        self._is_joined = text == "or" or (self._is_joined and text not in answer_words.NEGATORS)
        if text in answer_words.CONDITIONS:
            self._is_conditional = True
        if text in _SUPPOSING:
            self.parts[-1].is_supposed = True
        if text in answer_words.FORWARD_NEGATORS:
            self._forward = _FORWARD_DENIAL
            self.denials += 1
        elif text in answer_words.NEGATORS:
            self.clause_denials[-1] += 1
            self.denials += 1

    def _end_clause(self, keeps_condition: bool) -> None:
        self.clauses.append([])
        self.parts.append(_Part())
        self.clause_denials.append(self._carried)
        self._forward = 0
        self._is_joined = False
        self._is_conditional = self._is_conditional and keeps_condition

    def _mark(self, text: str) -> None:
        if text not in _ENDS:
            return
        if text == "?":
            self.parts[-1].is_supposed = True
        if text == ":":
            self._carried = self.clause_denials[-1]
            self._before_colon = len(self.clauses) - 1
        elif text not in _SOFT_ENDS:
            if self._before_colon is not None and not self.clauses[-1] and self.clause_denials[-1] > self._carried:
                self.clause_denials[self._before_colon] += 1  # "Online: no"
            self._carried, self._before_colon = 0, None
        self._end_clause(keeps_condition=text in _SOFT_ENDS or text == ":")
        if text in _SOFT_ENDS:
            self.stream.append(_PART)
            return
        self._open_relations.clear()
        self._actor, self._acting, self._is_passive = None, _WORDS_OF_AN_ACT, False
        if text != ":":
            self.stream.append("")


_CALENDAR: Final = frozenset((*answer_words.MONTHS, *answer_words.WEEKDAYS))
"""Names that are compared as alternatives."""
_JOINTS: Final = frozenset("and or but while whereas".split())
_SUPPOSING: Final = frozenset(("if", "unless", "when", "whenever", "whether", "until", "once"))
_FUNCTIONAL: Final = frozenset(
    word
    for words in (
        *(answer_words.MARKERS, answer_words.RELATIONS, answer_words.BARRIERS, answer_words.CONDITIONS),
        *(answer_words.FORWARD_NEGATORS, answer_words.NEGATORS, _JOINTS),
    )
    for word in words
)


_PART: Final = ","
_MOST_ITEMS: Final = 40
"""Of a longer list the rest is not looked at: every two are compared."""


def _partners(stream: Sequence[str | Quantity], items: frozenset[str]) -> dict[str | Quantity, frozenset[str]]:
    found: dict[str | Quantity, frozenset[str]] = {}
    words: set[str] = set()
    present: dict[str | Quantity, None] = {}
    for each in (*stream, ""):
        if each == "" or each == _PART:
            for item in present:
                found[item] = found.get(item, _NOTHING) | words - {item}
            words, present = set(), {}
            if len(found) > _MOST_ITEMS:
                break
        elif isinstance(each, tuple):
            present[each] = None
        else:
            words.add(each)
            if each in items:
                present[each] = None
    return found


# --- the whole ---

_YES: Final = re.compile(
    r"\W*(?:\w+ ){0,2}?(?:yes|yep|yeah|indeed)\b(?=\s*[,.:;!\n-]|$|,? (?:you|it|we|they|that))", re.IGNORECASE
)
_NO: Final = re.compile(
    r"\W*(?:\w+ ){0,2}?(?:(?:no|nope)(?=\s*[,.:;!\n]|\s-|$)|(?:not|no)\b(?=\s*[.!:]|\s*$)"
    r"|(?:unfortunately|afraid|sadly|sorry)\W+not?\b)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[^\W\d_]\w*")
_NORMAL: Final = re.compile(
    r"(?:(?<![^\s(\"':=])-)?\d(?:[.,:/-]?\d)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%€$£¥°+<>=#&@~^_±≤≥≠×÷√]"
)
"""What `normal` keeps: words, numbers with their signs, and symbols that mean something."""
_DIGITS: Final = {word: str(value) for word, value in answer_words.NUMBERS.items() if value != 1}
_SENTENCE_MARKS: Final = frozenset(".!?;\n")
_FOREIGN: Final = frozenset(answer_words.FOREIGN.split())


def normal_form(text: str) -> str:
    """`AnswerTraits.normal` alone, in a third of the time."""
    return _normal(text, gist(text))


def _normal(text: str, said: Gist) -> str:
    return text if said.is_cut else " ".join([*_NORMAL.findall(said.core.casefold()), *said.blocks]) or text.strip()


def answer_traits(text: str) -> AnswerTraits:
    """The traits of an answer. They cost about 5 microseconds a word, a tenth of that where they were read lately."""
    known = _AT_HAND.get(text)
    if known is not None:
        return known
    key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    packed = _PACKED.get(key)
    if packed is not None:
        found = _UNPACK.decode(packed)
    else:
        found = _read(text)
        try:
            packed = _PACK.encode(found)
        except UnicodeEncodeError:  # a text with half a character
            return found
        _PACKED.put(key, packed, len(packed))
    _AT_HAND.put(text, found, len(packed))
    return found


_PACK: Final = msgspec.msgpack.Encoder()
_UNPACK: Final = msgspec.msgpack.Decoder(AnswerTraits)
_PACKED: Final = Memo[bytes, bytes](bytes_at_most=8_000_000)
"""Some thousands of answers, each in about 8 bytes for a character: as many as a lively scope is compared with."""
_AT_HAND: Final = Memo[str, AnswerTraits](bytes_at_most=300_000)
"""Packed; unpacked they take about 6 MB."""


def _read(text: str) -> AnswerTraits:
    parsed = answer_text(text)
    core, blocks, snippets, tokens = parsed.core, parsed.blocks, parsed.snippets, parsed.tokens
    reading = _Reading()
    reading.read(with_quantities(tokens))
    denied, asserted = reading.denied, set[str]()
    opening = 0
    for clause, denials in zip(reading.clauses, reading.clause_denials, strict=True):
        (denied if denials % 2 else asserted).update(clause)
        opening = opening or (0 if not clause else -1 if denials % 2 else 1)
    said = reading.mentions.union(root(word.lower()) for snippet in snippets for word in _WORD.findall(snippet))
    spoken = {token.text for token in tokens if token.kind != "mark"}
    items = PEOPLE | reading.names
    return AnswerTraits(
        normal=_normal(text, parsed),
        core="\n".join([core, *blocks]) if blocks else core,
        sentences=tuple(sorted([*_by_sentence(tokens), *((block,) for block in blocks)])),
        tokens=frozenset(spoken),
        code=frozenset(token for snippet in snippets for token in code_tokens(snippet)),
        quantities=frozenset(reading.quantities),
        small_counts=frozenset(reading.small_counts),
        rates=frozenset(reading.rates),
        partners=_partners(reading.stream, items),
        relations=frozenset(reading.relations),
        names=frozenset(reading.names),
        words=frozenset(reading.sequence) - reading.light,
        light=frozenset(reading.light),
        pairs=frozenset(zip(reading.sequence, reading.sequence[1:], strict=False)),
        said=frozenset(said),
        denied=frozenset(denied - asserted),
        asserted=frozenset(asserted - denied),
        conditional=frozenset(reading.conditional),
        sides=frozenset(reading.sides),
        members=frozenset(member for word in reading.mentions if word in MEMBERS for member in MEMBERS[word]),
        markers=frozenset(reading.markers),
        people=frozenset(reading.mentions & PEOPLE),
        clauses=tuple(
            part.to_clause(is_denied=denials % 2 == 1)
            for part, denials in zip(reading.parts, reading.clause_denials, strict=True)
            if part.items or part.light
        ),
        acts=frozenset(reading.acts),
        lead=-1 if _NO.match(core) else 1 if _YES.match(core) else 0,
        opening=opening,
        denials=reading.denials,
        is_cut=parsed.is_cut,
        is_refusal=is_refusal(parsed),
        is_english=_is_english(core, spoken),
        length=reading.length,
    )


def _by_sentence(tokens: Sequence[Token]) -> Iterator[tuple[str, ...]]:
    sentence: list[str] = []
    for token in tokens:
        if token.kind != "mark":
            sentence.append(_DIGITS.get(token.text, token.text))
        elif token.text in _SENTENCE_MARKS and sentence:
            yield tuple(sentence)
            sentence = []
    if sentence:
        yield tuple(sentence)


def _is_english(core: str, words: set[str]) -> bool:
    """Whether the word lists fit: more English function words than foreign ones, and letters that English uses."""
    strange = 0 if core.isascii() else sum(letter.isalpha() for letter in core if ord(letter) > 0x24F)
    return len(words & _FOREIGN) <= len(words & LITTLE) and 10 * strange <= len(core)
