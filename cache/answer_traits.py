"""What one answer of a language model says, as far as it can be read off the text without understanding it.

Owns the reading: courtesy and markup dropped, numbers with their units, names, words, what is denied, what is
conditional. Refuses to compare: that is `cache/sameness.py`. English word lists, in `cache/answer_words.py`; of
other languages only the structural part is right. Pure functions over text, and no text makes them raise.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from msgspec import Struct

from cache import answer_words

LONGEST_ANSWER: Final = 20_000
"""In characters. Of a longer answer only the beginning is read."""

Quantity = tuple[str, str, str]
"""(value in the dimension's base unit, dimension, value as written): ("20160", "minute", "2") is two weeks.
The dimension is "" for a number without a unit."""
Rate = tuple[str, str]
"""(value, dimension) of "every ..." and "per ...": ("3", "month") is quarterly."""


class AnswerTraits(Struct, frozen=True):
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
    neighbours: dict[str, tuple[frozenset[str], frozenset[str]]]
    """Word -> the words right before it and right after it."""
    reach: frozenset[str]
    """Every word, those of the question too, and all their synonyms: what these answers need not say again."""
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
    lead: int
    """1 if it begins with yes, -1 with no, else 0."""
    opening: int
    """-1 if its first clause is denied, 1 if not, 0 without a clause."""
    denials: int
    is_refusal: bool
    is_english: bool
    length: int
    """In words and numbers."""


# --- words ---


@lru_cache(maxsize=16_384)
def root(word: str) -> str:
    """`word` (lower case) without inflection and the commonest derivations: the same for register, registered
    and registration. Crude on purpose."""
    word = answer_words.IRREGULAR.get(word, word).removesuffix("'s")
    for suffix in _INFLECTIONS:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(suffix)
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiou":
        word = word[:-1]
    word = word[:-1] + "i" if word.endswith("y") else word.removesuffix("e")
    for suffix in _DERIVATIONS:
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            word = word.removesuffix(suffix)
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeious":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


_INFLECTIONS: Final = ("ing", "ed", "es", "s")
_DERIVATIONS: Final = tuple("ization isation ational ation ition ment ness able ible li ion er or".split())


def _roots(words: Iterable[str]) -> frozenset[str]:
    return frozenset(map(root, words))


def _synonyms() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    aliases = [names.replace("/", " ") for group in answer_words.ALTERNATIVES for names in group.split() if "/" in names]
    for group in (*answer_words.SYNONYMS, *aliases):
        roots = _roots(group.split())
        for word in roots:
            found.setdefault(word, set()).update(roots)
    return {word: frozenset(near) for word, near in found.items()}


def _opposites() -> dict[str, tuple[tuple[int, int], ...]]:
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for number, (left, right) in enumerate(answer_words.OPPOSITES):
        for sign, side in ((1, left), (-1, right)):
            for word in _roots(side.split()):
                found[word] = (*found.get(word, ()), (number, sign))
    return found


def _phrases() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    found: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for phrase, said in answer_words.PHRASES.items():
        head, *rest = phrase.split()
        found.setdefault(head, []).append((tuple(rest), tuple(said.split())))
    for phrases in found.values():
        phrases.sort(key=lambda entry: -len(entry[0]))
    return found


def _alternatives() -> dict[str, tuple[tuple[int, int], ...]]:
    found: dict[str, tuple[tuple[int, int], ...]] = {}
    for number, group in enumerate(answer_words.ALTERNATIVES):
        for member, names in enumerate(group.split()):
            for word in _roots(names.split("/")):
                found[word] = (*found.get(word, ()), (number, member))
    return found


_SYNONYMS: Final = _synonyms()
_SIDES: Final = _opposites()
_PHRASES: Final = _phrases()
_MEMBERS: Final = _alternatives()
_LITTLE: Final = frozenset(answer_words.LITTLE.split())
LIGHT: Final = _roots(answer_words.LIGHT.split())
_PEOPLE: Final = _roots(answer_words.PEOPLE.split())
KNOWN: Final = (
    frozenset(_SYNONYMS)
    | frozenset(_SIDES)
    | LIGHT
    | _PEOPLE
    | _roots(_LITTLE)
    | _roots(word for words in (answer_words.MARKERS, answer_words.UNITS, answer_words.NUMBERS) for word in words)
    | _roots(word for phrase in answer_words.PHRASES for word in phrase.split())
    | _roots(answer_words.DENYING_FORMS)
    | _roots(answer_words.NEGATORS)
)
"""Words of the lists. Another word may be a name, even without a capital."""
_NOTHING: Final[frozenset[str]] = frozenset()


# --- courtesy, markup, code ---

_FENCE: Final = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE_CODE: Final = re.compile(r"`([^`\n]{1,200})`")
_CODE_TOKEN: Final = re.compile(r"\w+|[^\w\s]+")
_LINK: Final = re.compile(r"\[([^\]\n]{1,200})\]\((\S{1,500}?)\)")
_MARKUP: Final = re.compile(
    r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|^[ \t]*(?:#{1,6}|>|[-*•–+]|\d{1,2}[.)])[ \t]+", re.MULTILINE
)
_TYPOGRAPHY: Final = str.maketrans("’‘“”„«»–—−×\u00a0\u202f", "''\"\"\"\"\"---x  ")

_OPENING: Final = re.compile(
    r"(?:(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening|day)|greetings)\b[^.!,:\n]{0,30}[.!,:]"
    r"|(?:sure(?: thing)?|certainly|of course|absolutely|definitely|gladly|no problem|with pleasure|okay|ok|alright"
    r"|great|good|understood|my pleasure)\b(?! not)(?:[,.!:]| -)"
    r"|(?:sure|of course|certainly)\b(?=,? (?:here|you|just|i |we ))"
    r"|(?:thank you|thanks)\b[^.!:\n]{0,80}[.!:]"
    r"|(?:great|good|excellent|interesting) question[.!:,]?"
    r"|(?:i'm|i am|we're|we are|so)? ?sorry (?:to hear|about|for|that you)\b[^.!:;\n]{0,80}[.!:;]"
    r"|(?:i'm |i am |i'd be |i would be |we're |we'd be )?(?:very |more than )?(?:happy|glad|pleased|delighted) to"
    r" (?:help|explain|assist|answer|clarify|hear|tell)\b[^.!:\n]{0,40}[.!:]"
    r"|(?:i|we) (?:completely |fully )?(?:understand|appreciate|know)\b[^.!:\n]{0,80}[.!]"
    r"|(?:here is|here's|here are|this is|below is|below are)\b(?=[^.!:\n]{0,60}:)[^.!:\n]{0,60}:"
    r"|(?:in short|in brief|to sum up|in summary|short answer|the short answer is|to put it simply|simply put|basically"
    r"|in a nutshell|to answer your question|as far as i know|good news|bad news|yes, sure|it's (?:quite )?(?:simple|easy"
    r"|straightforward)|that's (?:easy|simple)|\w+ing (?:something|it|one|that|this) is (?:quite |very )?easy)[,.:!]+"
    r")[\s\"]*",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"(?:(?:please )?(?:just )?(?:let (?:me|us) know|feel free|do(?: not|n't) hesitate|get in touch)\b"
    r"|(?:is there )?any ?thing else\b|(?:can|could|may) i (?:help|assist)\b"
    r"|if (?:you have|you've got|there are|you need|you'd like|you want|you require|you still|anything)\b[^.!?]{0,30}"
    r"(?:question|help|assist|anything|detail|information|unclear|support)"
    r"|(?:i |we )?(?:really )?(?:hope|trust) (?:this|that|it|you|to)\b|hope(?:fully)?\b|(?:always )?(?:happy|glad) to\b"
    r"|(?:i'm|i am|we're|we are)(?: always| very)? (?:happy|glad|here|sorry)\b"
    r"|(?:i|we) (?:really |completely |fully )?(?:appreciate|understand)\b|that is all|that's (?:it|all)\b"
    r"|(?:just )?(?:ask|write|message|tell) (?:me|us)\b|(?:have a|have fun|enjoy|good luck|best|kind|warm|take care|get well|stay"
    r"|see you|cheers|happy \w+ing|thanks?|thank you|you're welcome|looking forward|all the best|safe|bon|bye|sincerely|yours"
    r"|wishing|wish|we look|i look|good night|sweet|your \w+ team)\b"
    r"|(?:this|that|it)(?:'s| is) (?:(?:actually|really|indeed|quite) )?(?:one of (?:our|the) |a |an )?(?:very |most )?"
    r"(?:common|commonly|frequent|frequently|often|popular|good|great|excellent|typical|usual|simple|easy|straightforward)\b"
    r"[^.!?]{0,40}(?:question|asked|ask|topic|issue|concern)"
    r"|(?:this|that|it)(?:'s| is) (?:a |an |something )(?:question|topic|matter|that)?\W*(?:that |which )?(?:we|i|many|people|customers) "
    r"|we know (?:that |how )?(?:this|it|important)\b"
    r"|(?:many|most|lots of|a lot of|plenty of|some|other) (?:of our )?(?:customers|people|users|visitors|guests|students)"
    r" (?:often )?(?:ask|wonder|want to know)\b"
    r"|(?:we|i) (?:often |frequently )?(?:get|receive|hear) (?:this|that) (?:question|one|a lot|often)"
    r"|(?:let me|let us|let's|allow me to) (?:explain|walk|go|look|take|break|clarify|summari[sz]e|show|help|see|give)\b"
    r"|(?:i|we)(?: will|'ll| can)? (?:gladly |happily |be happy to |be glad to )?(?:explain|clarify|summari[sz]e|walk|outline)\b"
    r"|(?:that|this)(?: should| will|'ll) (?:do|be (?:all|it)|solve|cover|answer|help|clear|only take|take (?:just|only)? ?a)\b"
    r"|(?:and )?(?:that's|that is) (?:really |basically )?(?:all|it|everything|how)\b|you(?:'re| are) all set\b|simple as that"
    r"|(?:our|the|my) (?:support |service |customer |whole |friendly )*(?:team|staff|colleagues|agents?)(?: is| are)"
    r" (?:always |also )?(?:happy|glad|here|pleased|ready|there)\b|(?:we|i) (?:always )?(?:value|care)\b"
    r"|we(?:'re| are) (?:always )?(?:here|there) (?:to|for)\b|your (?:satisfaction|feedback|question|request)\b"
    r"|(?:here|below|above)(?:'s| is| are)? (?:how|what|a|an|the|some|all)\b[^.!?]{0,50}(?:answer|summary|overview|details|information"
    r"|know|works?|do it|steps)\W*$|as (?:requested|always|promised)\W*$)",
    re.IGNORECASE,
)
"""How a sentence begins that says nothing; it is only dropped if nothing in it looks like a fact."""
_FACT: Final = re.compile(r"\d|>|\"|`|@|https?:|\bunless\b|\bonly\b|\bnot\b(?! hesitate)", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')]))\s+(?![a-z])|\n+")
_MOST_COURTESIES: Final = 4

_REFUSAL: Final = re.compile(
    r"\b(?:i|we)(?:'m| am|'re| are)?(?: (?:really|sorry|afraid|currently|unfortunately|just|still|but|that))*,? ?"
    r"(?:but )?(?:(?:i|we) )?(?:(?:am|are) )?"
    r"(?:(?:can(?:no|')t|can not|could(?:n't| not)|am unable to|unable to|not able to|not in a position to|won't be able to)"
    r" (?:say|tell|help|answer|provide|assist|give|find|comment|advise|share|discuss|look|recommend|determine|judge)"
    r"|(?:do not|don't|did not|didn't) (?:know\b|find\b|understand\b|have (?:any |the |that |this |such |enough |access)*(?:information"
    r"|details|data|access|to|answer|idea|record|knowledge))"
    r"|(?:have|found|find) (?:no|nothing)\b (?:information|details|data|idea|record|answer|knowledge|access)"
    r"|not (?:sure|certain|aware)\b)"
    r"|\bas an ai\b|\bno (?:information|details|data)(?: is| are)? (?:available|about|on)\b"
    r"|\b(?:beyond|outside) (?:my|our) (?:knowledge|scope|area)",
    re.IGNORECASE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences and lines of `text`, without outer space; none is empty."""
    return [part for each in _SENTENCE_END.split(text) if (part := each.strip())]


def _without_courtesy(text: str) -> str:
    """`text` without openings and closings that say nothing; unchanged if nothing would be left."""
    left = text.strip()
    for _ in range(_MOST_COURTESIES):
        found = _OPENING.match(left)
        if found is None or not left[found.end() :].strip():
            break
        left = left[found.end() :]
    kept = [each for each in split_sentences(left) if not (_CLOSING.match(each) and not _FACT.search(each))]
    return "\n".join(kept) if kept else left


# --- numbers as written ---

_VULGAR: Final = {"½": ".5", "¼": ".25", "¾": ".75", "⅓": ".333", "⅔": ".667"}
_VULGAR_FRACTION: Final = re.compile(r"(\d?)\s?([½¼¾⅓⅔])")
_FRACTION: Final = re.compile(r"(?<![\d/.,])(?:(\d{1,2}) )?([123])/([2348])(?![\d/.])")
_GROUPED: Final = re.compile(r"(?<![\d.,] )(?<![\d.,])(\d{1,3})((?: \d{3})+)(?![\d.,]*\d)")
_ENUMERATOR: Final = re.compile(r"\((?:\d|[a-d])\)")
_DATE: Final = re.compile(r"\b(?:(\d{1,2})[/.](\d{1,2})[/.](\d{4})|(\d{1,2})/(\d{4}))\b")
_PER_ANNUM: Final = re.compile(r"\bp\.\s?a\.", re.IGNORECASE)
_MERIDIEM: Final = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_ALWAYS_OPEN: Final = re.compile(r"\b24/7\b|\b24 ?(?:h|hours) (?:a|per|every|each) day\b", re.IGNORECASE)
_SINGLE_LETTER: Final = re.compile(r"\b([a-zA-Z])-(?=[a-zA-Z]{3})")
_SHORT_WEEKDAY: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat)\b")


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY)
        text = _VULGAR_FRACTION.sub(lambda found: (found[1] or "0") + _VULGAR[found[2]], text)
    if "](" in text:
        text = _LINK.sub(r"\1 \2", text)
    return _MARKUP.sub("", text)


def _spoken(text: str) -> str:
    """Numbers, dates and times in one way of writing."""
    if "-" in text:
        text = _SINGLE_LETTER.sub(r"\1", text)
    if "p." in text or "P." in text or "a." in text:
        text = _MERIDIEM.sub(r"\1m", _PER_ANNUM.sub("yearly", text))
    if not any(map(text.__contains__, "0123456789")):
        return text
    text = _GROUPED.sub(_joined_digits, text)
    if "24" in text:
        text = _ALWAYS_OPEN.sub("nonstop", text)
    if "(" in text:
        text = _ENUMERATOR.sub(" ", text)
    if "/" in text:
        text = _FRACTION.sub(
            lambda found: _number(round(int(found[1] or 0) + int(found[2]) / int(found[3]), 4)), text
        )
    return _DATE.sub(_written_date, text)


def _joined_digits(found: re.Match[str]) -> str:
    # What begins with a zero is a telephone number.
    return found[0] if found[1][0] == "0" else found[1] + found[2].replace(" ", "")


def _written_date(found: re.Match[str]) -> str:
    month = int(found[2] or found[4])
    if not 1 <= month <= 12:
        return found[0]
    day = f"{int(found[1])} " if found[1] else ""
    return f"{day}{answer_words.MONTHS[month - 1].capitalize()} {found[3] or found[5]}"


def _number(value: float) -> str:
    return f"{value:.10g}"


# --- tokens ---


class _Token(Struct):
    kind: str
    """`word`, `number`, `code` (snippets, addresses, letters with digits) or `mark`."""
    text: str
    """Lower case."""
    is_name: bool = False
    clock: Quantity | None = None


_TOKEN: Final = re.compile(
    r"(?P<snippet>`[^`\n]{1,200}`)"
    r"|(?P<url>https?://[^\s)\"']+|www\.[^\s)\"']+|[\w.+-]+@[\w-]+\.[\w.-]*\w)"
    r"|(?P<phone>(?:\+\d|\b0\d{2,4}[\s/-])[\d\s/()-]{4,18}\d)"
    r"|(?P<iso>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<clock>\b\d{1,2}[:.]\d{2}\s?[ap]m\b|\b\d{1,2}:\d{2}(?:\s?h\b)?|\b\d{1,2}\s?[ap]m\b|\b\d{1,2} o'clock\b)"
    r"|(?P<number>(?<![\w.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])-\d+(?:\.\d+)?|\d+(?:[.,]\d+)*|\.\d+)"
    r"|(?P<word>[^\W\d_][\w]*(?:'[^\W\d_]+)*)"
    r"|(?P<mark>[€$£¥%‰°]|->|=>|→|[.!?;:,()\n\"/+>]|-)"
)
_ARROWS: Final = frozenset(("->", "=>", "→", ">"))
_STARTS: Final = frozenset(".!?:\n")
"""After these a capital says nothing."""


def _tokens(text: str) -> list[_Token]:
    """The tokens of a text in order. Hyphens and quotes are gone, phrases are one word."""
    tokens: list[_Token] = []
    at_start, in_quotes, number_end, first_is_capital = True, False, -1, False
    for found in _TOKEN.finditer(text):
        kind, raw = found.lastgroup, found.group()
        if kind == "word":
            if found.start() != number_end or not _joins_number(tokens, raw):
                if raw[0].isupper() and len(tokens) == 1 and tokens[0].kind == "word" and first_is_capital:
                    tokens[0].is_name = tokens[0].is_name or root(tokens[0].text) not in KNOWN  # Mara Lindqvist
                first_is_capital = not tokens and raw[0].isupper()
                tokens.append(_word_token(raw, text, at_start, in_quotes or bool(tokens and tokens[-1].text in _ARROWS)))
            at_start = False
        elif kind == "mark":
            in_quotes = in_quotes and raw != "\n"
            if raw == '"':
                in_quotes = not in_quotes
            elif raw != "-" or _is_range(text, found.start()):
                if raw in _ARROWS and tokens and tokens[-1].kind == "word":
                    tokens[-1].is_name = True
                tokens.append(_Token("mark", raw))
                at_start = at_start or raw in _STARTS
        elif kind == "number":
            tokens.append(_Token("number", raw))
            at_start = False
            number_end = found.end()
        else:
            tokens += _special_tokens(kind or "", raw)
    return _with_phrases(tokens)


def _word_token(raw: str, text: str, at_start: bool, is_label: bool) -> _Token:
    low = raw.lower()
    is_capital = raw[0].isupper()
    if is_capital and low in answer_words.SHORT_FORMS and (low != "sun" or _SHORT_WEEKDAY.search(text)):
        low = answer_words.SHORT_FORMS[low]
    if not low.isalpha() and any(letter.isdigit() for letter in low):
        return _Token("code", low, True)
    is_name = (
        is_label
        or (is_capital and not at_start and raw != "I" and "'" not in raw)
        or (not low.startswith(raw[1:], 1) and "'" not in raw)  # a capital inside
    )
    return _Token("word", low, is_name)


def _special_tokens(kind: str, raw: str) -> list[_Token]:
    low = raw.lower()
    if kind == "clock":
        return [_Token("number", low, clock=_clock(low))]
    if kind == "iso":
        year, month, day = low.split("-")
        name = answer_words.MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else month
        return [_Token("number", str(int(day))), _Token("word", name, True), _Token("number", year)]
    if kind == "phone":
        return [_Token("code", "".join(filter(str.isdigit, low)), True)]
    if kind == "snippet":
        pieces = _CODE_TOKEN.findall(raw[1:-1])
        words = [piece.lower() for piece in pieces if piece[0].isalnum()]
        return [_Token("code", word, True) for word in words or pieces]
    return [_Token("code", low.rstrip("./"), True)]


def _clock(text: str) -> Quantity:
    digits = [int(part) for part in re.findall(r"\d+", text)]
    hour, minute = digits[0], digits[1] if len(digits) > 1 else 0
    if "p" in text and hour < 12:
        hour += 12
    elif "a" in text and hour == 12:
        hour = 0
    return _number(60 * hour + minute), "clock", str(hour % 12 or 12)


def _is_range(text: str, at: int) -> bool:
    return text[at + 1 : at + 3].strip()[:1].isdigit() and text[max(at - 2, 0) : at].strip()[-1:].isalnum()


def _joins_number(tokens: list[_Token], raw: str) -> bool:
    """Whether letters right after a number belong to it: 2nd, 2FA, 5G. A unit does not."""
    low = raw.lower()
    if low in ("st", "nd", "rd", "th"):
        return True
    if low in ("x", "am", "pm") or (low in answer_words.UNITS and raw != "G"):
        return False
    last = tokens[-1]
    tokens[-1] = _Token("number", last.text + "000") if low == "k" else _Token("code", last.text + low, True)
    return True


def _with_phrases(tokens: list[_Token]) -> list[_Token]:
    joined: list[_Token] = []
    at, size = 0, len(tokens)
    while at < size:
        token = tokens[at]
        for rest, said in _PHRASES.get(token.text, ()):
            end = at + 1 + len(rest)
            if end <= size and all(tokens[at + 1 + place].text == word for place, word in enumerate(rest)):
                is_name = token.is_name and any(each.is_name for each in tokens[at + 1 : end])
                joined += [_Token("word", word, is_name) for word in said]
                at = end
                break
        else:
            joined.append(token)
            at += 1
    return joined


# --- reading ---

_SEPARATORS: Final = frozenset(("x", "by", "to", "and", "or", "-", "/", "until", "till", "through"))
_SHARES: Final = {"half": 0.5, "quarter": 0.25}
_SPECIAL_NUMBERS: Final = (
    frozenset("noon midday midnight twice thrice half quarter a an single".split()) | answer_words.ORDINALS.keys()
)
_ENDS: Final = frozenset(".!?;:,()\n")
_SOFT_ENDS: Final = frozenset(",()")
_SPANS: Final = frozenset(("minute", "month", "workday", "night"))
"""Dimensions that can be repeated."""
_FORWARD_DENIAL: Final = 3
"""How many words "without" denies."""


def _value(tokens: Sequence[_Token], at: int) -> tuple[str | float, int] | None:
    """The number that begins at `at` and the place after it. It is a text if it is no decimal number: 1.2.3, 007."""
    token = tokens[at]
    value: float
    if token.kind == "number":
        text = token.text
        at += 1
        if text.count(".") > 1 or text.count(",") > 1 or len(text) > 15 or (len(text) > 1 and text[0] == "0" and text.isdigit()):
            return text.replace(",", ""), at
        if "," in text:
            whole, _, rest = text.partition(",")
            text = whole + rest if len(rest.split(".")[0]) == 3 else f"{whole}.{rest.replace('.', '')}"
        try:
            value = float(text)
        except ValueError:  # a time of day
            return token.text, at
    elif token.text in answer_words.NUMBERS:
        value = answer_words.NUMBERS[token.text]
        at += 1
        if value >= 20 and at < len(tokens) and 0 < answer_words.NUMBERS.get(tokens[at].text, 0) < 10:
            value += answer_words.NUMBERS[tokens[at].text]
            at += 1
    elif token.text in ("hundred", "thousand") and at and tokens[at - 1].text == "a":
        value = 1
    else:
        return None
    while at < len(tokens) and tokens[at].text in answer_words.MULTIPLIERS:
        factor = answer_words.MULTIPLIERS[tokens[at].text]
        part = value % 1000 if factor == 100 and value > 1000 else value  # one thousand five hundred
        value += part * (factor - 1)
        at += 1
        if at + 1 < len(tokens) and tokens[at].text == "and" and tokens[at + 1].text in answer_words.NUMBERS:
            at += 1
        for _ in range(2):
            if at < len(tokens) and tokens[at].text in answer_words.NUMBERS:
                value += answer_words.NUMBERS[tokens[at].text]
                at += 1
    if [each.text for each in tokens[at : at + 3]] == ["and", "a", "half"]:
        value, at = value + 0.5, at + 3
    return value, at


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
        self._is_conditional = False
        self._waiting: list[float] = []
        """Numbers that take the unit of the next one: 55 x 40 x 20 cm."""
        self._shared = ""
        """The unit of the last number, for the next one: EUR 5 to 10."""
        self._since_quantity = 99
        self._last_quantity: Quantity | None = None
        self._open_relations: list[str] = []

    def read(self, tokens: Sequence[_Token]) -> None:
        at = 0
        while at < len(tokens):
            token = tokens[at]
            self._since_quantity += 1
            if token.kind == "word":
                at = self._word_or_number(tokens, at)
            elif token.kind == "mark":
                at = self._rate(tokens, at) or self._mark(tokens, at)
            elif token.kind == "number":
                at = self._quantity(tokens, at) or at + 1
            else:
                self._flush()
                self.length += 1
                bare = root(token.text)
                self.mentions.add(bare)
                if not token.text.isdigit() or len(token.text) > 4:
                    self.names.add(bare)
                self._append(bare)
                at += 1
        self._flush()

    def _append(self, item: str) -> None:
        self.sequence.append(item)
        self.stream.append(item)
        if self._open_relations:
            self._relate(item)

    def _relate(self, item: str | Quantity) -> None:
        for kind in self._open_relations:
            self.relations.add((kind, item))
        self._open_relations.clear()

    # words

    def _word_or_number(self, tokens: Sequence[_Token], at: int) -> int:
        text = tokens[at].text
        if text in answer_words.RATES or text in _EVERY:
            after = self._rate(tokens, at)
            if after is not None:
                return after
        if text in _NUMERIC:
            after = self._quantity(tokens, at)
            if after is not None:
                return after
        self._word(tokens[at])
        return at + 1

    def _word(self, token: _Token) -> None:
        text = token.text
        self.length += 1
        bare = root(text)
        self.mentions.add(bare)
        if text in _FUNCTIONAL:
            self._function(text)
        if (text in _LITTLE and not token.is_name) or "'" in text:
            return
        if (said := answer_words.DENYING_FORMS.get(text)) is not None:
            bare = root(said)
            self.mentions.add(bare)
            self.clause_denials[-1] += 1
        if bare in _SIDES:
            self.sides.update(_SIDES[bare])
        if self._forward > 0:
            self._forward -= 1
            self.denied.add(bare)
        else:
            self.clauses[-1].append(bare)
        if self._is_conditional:
            self.conditional.add(bare)
        if token.is_name and text not in _CALENDAR:
            self.names.add(bare)
        elif bare in LIGHT:
            self.light.add(bare)
        if text in answer_words.RELATIONS:
            self.sequence.append(bare)
            self.stream.append(bare)
        else:
            self._append(bare)

    def _function(self, text: str) -> None:
        if (marker := answer_words.MARKERS.get(text)) is not None:
            self.markers.add(marker)
        if (relation := answer_words.RELATIONS.get(text)) is not None:
            self._open_relations.append(relation)
            if self._since_quantity <= 2 and self._last_quantity is not None:
                if relation in ("before", "after"):
                    self.relations.add((f"it {relation}", self._last_quantity))  # 24 hours before arrival
                elif relation in ("at least", "at most", "earliest", "latest"):
                    self.relations.add((relation, self._last_quantity))  # 24 hours at most
        if text in _JOINTS:
            self.stream.append(_PART)
        if text in answer_words.BARRIERS:
            self._end_clause(keeps_condition=True)
        if text in answer_words.CONDITIONS:
            self._is_conditional = True
        if text in answer_words.FORWARD_NEGATORS:
            self._forward = _FORWARD_DENIAL
            self.denials += 1
        elif text in answer_words.NEGATORS:
            self.clause_denials[-1] += 1
            self.denials += 1

    def _end_clause(self, keeps_condition: bool) -> None:
        self.clauses.append([])
        self.clause_denials.append(self._carried)
        self._forward = 0
        self._is_conditional = self._is_conditional and keeps_condition

    def _mark(self, tokens: Sequence[_Token], at: int) -> int:
        text = tokens[at].text
        if text in _ENDS:
            if text == ":":
                self._carried = self.clause_denials[-1]
                self._before_colon = len(self.clauses) - 1
            elif text not in _SOFT_ENDS:
                if self._before_colon is not None and not self.clauses[-1] and self.clause_denials[-1] > self._carried:
                    self.clause_denials[self._before_colon] += 1  # "Online: no"
                self._carried, self._before_colon = 0, None
            self._end_clause(keeps_condition=text in _SOFT_ENDS or text == ":")
            if text not in _SOFT_ENDS:
                self._flush()
                self._open_relations.clear()
                if text != ":":
                    self.stream.append("")
            else:
                self.stream.append(_PART)
        elif text in answer_words.CURRENCIES:
            return self._quantity(tokens, at) or at + 1
        return at + 1

    # numbers

    def _flush(self) -> None:
        for value in self._waiting:
            self._add(value, "")
        self._waiting.clear()
        self._shared = ""

    def _add(self, value: str | float, unit: str) -> None:
        factor, dimension = answer_words.UNITS.get(unit, (1, unit))
        if isinstance(value, str):
            self._note((value, dimension, value))
        else:
            self._note((_number(round(value * factor, 6)), dimension, _number(value)))

    def _note(self, quantity: Quantity) -> None:
        self.quantities.add(quantity)
        self.stream.append(quantity)
        self._relate(quantity)
        self._last_quantity = quantity
        self._since_quantity = 0

    def _note_clock(self, hour: float, minutes: float = 0) -> None:
        self._note((_number(60 * hour + minutes), "clock", _number(hour % 12 or 12)))

    def _keep(self, value: str | float, unit: str, tokens: Sequence[_Token], after: int) -> int:
        """Notes a number; without a unit of its own it waits for one if a range or a list of sizes goes on."""
        self.length += 1
        goes_on = after < len(tokens) and tokens[after].text in _SEPARATORS and self._goes_on(tokens, after + 1)
        if unit:
            for waiting in self._waiting:
                self._add(waiting, unit)
            self._waiting.clear()
            self._add(value, unit)
            self._shared = unit if unit in answer_words.CURRENCIES else ""
        elif self._shared:
            self._add(value, self._shared)
        elif goes_on and not isinstance(value, str):
            self._waiting.append(value)
            return after + 1
        else:
            self._flush()
            self._add(value, "")
        if not goes_on:
            self._flush()
            return after
        return after + 1

    def _goes_on(self, tokens: Sequence[_Token], at: int) -> bool:
        """Whether a number follows, maybe after its currency or a word like "to"."""
        if at < len(tokens) and (tokens[at].text in answer_words.CURRENCIES or tokens[at].text in ("to", "up", "a")):
            at += 1
        return at < len(tokens) and (tokens[at].kind == "number" or tokens[at].text in answer_words.NUMBERS)

    def _unit(self, tokens: Sequence[_Token], at: int) -> tuple[str, int]:
        """The unit at `at` and the place after it; ("", at) if there is none."""
        for place in range(at, min(at + 2, len(tokens))):
            text = tokens[place].text.removesuffix("'s")
            after = place + 1
            if text in answer_words.UNITS:
                following = tokens[after].text if after < len(tokens) else ""
                if text in ("degree", "degrees", "°"):
                    if following in ("c", "celsius", "centigrade"):
                        return "celsius", after + 1
                    if following in ("f", "fahrenheit"):
                        return "fahrenheit", after + 1
                if text in ("kilowatt", "kw") and following in ("hour", "hours"):
                    return "kwh", after + 1
                return text, after
            if text not in answer_words.FILLERS and text != "+":
                break
        return "", at

    def _quantity(self, tokens: Sequence[_Token], at: int) -> int | None:
        """Notes the number at `at`, if there is one, and returns the place after it."""
        token = tokens[at]
        if token.clock is not None:
            return self._end_of_clock(float(token.clock[0]), at + 1)
        if token.text in _SPECIAL_NUMBERS and (after := self._special(tokens, at)) is not None:
            return after
        if token.text in answer_words.CURRENCIES:
            found = _value(tokens, at + 1) if at + 1 < len(tokens) else None
            return None if found is None else self._keep(found[0], token.text, tokens, found[1])
        found = _value(tokens, at)
        if found is None:
            return None
        value, after = found
        unit, end = self._unit(tokens, after)
        if not unit and not isinstance(value, str):
            if value <= 24 and (day_part := self._day_part(tokens, after)) is not None:
                hours, end = day_part
                if value == 12:
                    return self._end_of_clock(0 if tokens[end - 1].text == "night" else 720, end)
                return self._end_of_clock(60 * (value % 12 + hours), end)
            if token.text == "one" and value == 1 and not (self._waiting or self._shared or self._is_size(tokens, after)):
                return None  # a pronoun or an article as often as a number
            if token.kind == "word" and value <= 10:
                self.small_counts.add(_number(value))
        return self._keep(value, unit, tokens, end)

    def _is_size(self, tokens: Sequence[_Token], at: int) -> bool:
        return at < len(tokens) and tokens[at].text in ("x", "by", "-", "to") and self._goes_on(tokens, at + 1)

    def _day_part(self, tokens: Sequence[_Token], at: int) -> tuple[int, int] | None:
        """(hours to add, place after it) of pm and "in the evening" after an hour."""
        following = [each.text for each in tokens[at : at + 3]]
        if following[:1] in (["am"], ["pm"]):
            return (12 if following[0] == "pm" else 0), at + 1
        if following[:2] == ["at", "night"] or following[:1] == ["night"]:
            return 12, at + (2 if following[0] == "at" else 1)
        if following[:2] == ["in", "the"] and following[2:] and following[2] in ("morning", "afternoon", "evening"):
            return (0 if following[2] == "morning" else 12), at + 3
        return None

    def _end_of_clock(self, minutes: float, after: int) -> int:
        for hour in self._waiting:  # 2 to 7 pm
            later = hour % 12 + 12
            self._note_clock(later if minutes >= 720 and 60 * later < minutes else hour % 24)
        self._waiting.clear()
        self.length += 1
        self._note_clock(minutes // 60, minutes % 60)
        return after

    def _special(self, tokens: Sequence[_Token], at: int) -> int | None:
        """Halves, quarters, ordinals, noon, "half past six", "a week"."""
        text = tokens[at].text
        following = [each.text for each in tokens[at + 1 : at + 5]] + [""] * 4
        before = tokens[at - 1].text if at else ""
        if text in ("noon", "midday", "midnight"):
            self._note_clock(0 if text == "midnight" else 12)
            return at + 1
        if text in ("twice", "thrice"):
            self._add(2 if text == "twice" else 3, "times")
            return at + 1
        if text in answer_words.ORDINALS:
            if following[0] == "of" and before in ("a", "one") and text in ("third", "fifth", "tenth"):
                return self._keep(round(100 / answer_words.ORDINALS[text]), "%", tokens, at + 1)
            self._add(answer_words.ORDINALS[text], "")
            return at + 1
        if text in _SHARES:
            return self._share(tokens, at, following, before)
        return self._single(tokens, at, following, before)

    def _share(self, tokens: Sequence[_Token], at: int, following: list[str], before: str) -> int | None:
        text = tokens[at].text
        share = _SHARES[text]
        if following[0] in ("past", "to") and (found := _value(tokens, at + 2)) and not isinstance(found[0], str):
            minutes = 60 * found[0] + (60 * share if following[0] == "past" else -60 * share)
            return self._end_of_clock(max(minutes, 0), found[1])
        skipped = next((place for place in range(3) if following[place] not in ("a", "an", "of")), 2)
        unit = following[skipped]
        if unit in answer_words.UNITS and answer_words.UNITS[unit][1] not in ("%", "eur", "usd"):
            if skipped or text == "half":
                return self._keep(share, unit, tokens, at + 2 + skipped)
        if text == "half" or following[0] == "of" or before == "a":
            return self._keep(100 * share, "%", tokens, at + 1)
        return None

    def _single(self, tokens: Sequence[_Token], at: int, following: list[str], before: str) -> int | None:
        """ "Within a week" is a quantity, "5 euros a week" says how often."""
        skipped = 1 if following[0] == "single" else 0
        unit = following[skipped].removesuffix("'s")
        if unit in ("quarter", "second") or answer_words.UNITS.get(unit, (0, ""))[1] not in _SPANS:
            return None
        is_often = before in ("once", "times", "time") or (
            self._since_quantity <= 4 and before not in ("within", "in", "after", "for", "than", "by", ",")
        )
        if is_often and not skipped and tokens[at].text != "single":
            factor, dimension = answer_words.UNITS[unit]
            self.rates.add((_number(factor), dimension))
            return at + 2
        return self._keep(1, unit, tokens, at + 2 + skipped)

    def _rate(self, tokens: Sequence[_Token], at: int) -> int | None:
        text = tokens[at].text
        if text in answer_words.RATES:
            factor, dimension = answer_words.RATES[text]
            self.rates.add((_number(factor), dimension))
            self.length += 1
            return at + 1
        after = at + 1
        if text not in _EVERY or after >= len(tokens):
            return None
        value: float = 1
        following = tokens[after].text
        if text == "every" and following in _SHARES:
            value, after = _SHARES[following], after + 1
            while after < len(tokens) and tokens[after].text in ("a", "an", "of"):
                after += 1
            if following == "quarter" and after == at + 2:
                value, after = 1, at + 1
        elif text == "every" and (found := _value(tokens, after)) and not isinstance(found[0], str):
            value, after = found
        elif following in ("other", "single", "calendar", "new") or (text == "every" and following == "second"):
            value, after = (2 if following in ("other", "second") else 1), after + 1
        if after < len(tokens) and tokens[after].text in answer_words.UNITS:
            factor, dimension = answer_words.UNITS[tokens[after].text]
            if dimension in _SPANS:
                self.rates.add((_number(round(value * factor, 6)), dimension))
                self.length += 1
                return after + 1
        return None


_CALENDAR: Final = frozenset((*answer_words.MONTHS, *answer_words.WEEKDAYS))
"""Names that are compared as alternatives."""
_JOINTS: Final = frozenset("and or but while whereas".split())
_EVERY: Final = frozenset(("per", "every", "each", "/"))
_NUMERIC: Final = _SPECIAL_NUMBERS | answer_words.NUMBERS.keys() | answer_words.CURRENCIES | {"hundred", "thousand"}
_FUNCTIONAL: Final = frozenset(
    word
    for words in (
        *(answer_words.MARKERS, answer_words.RELATIONS, answer_words.BARRIERS, answer_words.CONDITIONS),
        *(answer_words.FORWARD_NEGATORS, answer_words.NEGATORS, _JOINTS),
    )
    for word in words
)


def _neighbours(sequence: Sequence[str]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    before = ""
    for word, after in zip(sequence, [*sequence[1:], ""], strict=False):
        befores, afters = found.get(word, (_NOTHING, _NOTHING))
        found[word] = (befores | {before}, afters | {after})
        before = word
    return found


_PART: Final = ","


def _partners(stream: Sequence[str | Quantity], items: frozenset[str]) -> dict[str | Quantity, frozenset[str]]:
    found: dict[str | Quantity, frozenset[str]] = {}
    part: list[str | Quantity] = []
    for each in (*stream, ""):
        if each == "" or each == _PART:
            for item in part:
                if isinstance(item, tuple) or item in items:
                    words = frozenset(word for word in part if isinstance(word, str) and word != item)
                    found[item] = found[item] | words if item in found else words
            part = []
        else:
            part.append(each)
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
_OUTER: Final = re.compile(r"[^\w%€$£°]+|(?<!\d)[^\w%€$£°]+|(?<=\d)[^\w%€$£°.,:]+")
_NORMAL: Final = re.compile(r"\d(?:[.,:/-]?\d)*|[^\W\d_]+(?:'[^\W\d_]+)*|[%€$£°+<>=]|_")
_DIGITS: Final = {word: str(value) for word, value in answer_words.NUMBERS.items() if value != 1}
_SENTENCE_MARKS: Final = frozenset(".!?;\n")
_FOREIGN: Final = frozenset(answer_words.FOREIGN.split())


@lru_cache(maxsize=2048)
def answer_traits(text: str, question: str = "") -> AnswerTraits:
    """The traits of an answer. What its `question` says, it need not say itself. Costs about 4 microseconds a word."""
    cut = text[:LONGEST_ANSWER]
    blocks = [" ".join(_CODE_TOKEN.findall(block)) for block in _FENCE.findall(cut)]
    snippets = [*blocks, *_INLINE_CODE.findall(cut)]
    core = _without_courtesy(_plain(_FENCE.sub("\n", cut) if blocks else cut))
    tokens = _tokens(_spoken(core))
    reading = _Reading()
    reading.read(tokens)
    denied, asserted = reading.denied, set[str]()
    opening = 0
    for clause, denials in zip(reading.clauses, reading.clause_denials, strict=True):
        (denied if denials % 2 else asserted).update(clause)
        opening = opening or (0 if not clause else -1 if denials % 2 else 1)
    said = reading.mentions.union(map(root, _WORD.findall(question.lower()))) if question else reading.mentions
    if snippets:
        said = said.union(root(word.lower()) for snippet in snippets for word in _WORD.findall(snippet))
    spoken = {token.text for token in tokens if token.kind != "mark"}
    folded = core.casefold()
    items = _PEOPLE | reading.names
    is_whole = len(cut) == len(text)
    return AnswerTraits(
        normal=" ".join([*_NORMAL.findall(folded), *blocks]) if is_whole else text,
        core="\n".join([core, *blocks]) if blocks else core,
        sentences=tuple(sorted([*_by_sentence(tokens), *((block,) for block in blocks)])),
        tokens=frozenset(spoken),
        code=frozenset(token for snippet in snippets for token in _CODE_TOKEN.findall(snippet)),
        quantities=frozenset(reading.quantities),
        small_counts=frozenset(reading.small_counts),
        rates=frozenset(reading.rates),
        partners=_partners(reading.stream, items),
        relations=frozenset(reading.relations),
        names=frozenset(reading.names),
        words=frozenset(reading.sequence) - reading.light,
        light=frozenset(reading.light),
        pairs=frozenset(zip(reading.sequence, reading.sequence[1:], strict=False)),
        neighbours=_neighbours(reading.sequence),
        reach=frozenset(said.union(*[_SYNONYMS[word] for word in said if word in _SYNONYMS])),
        denied=frozenset(denied - asserted),
        asserted=frozenset(asserted - denied),
        conditional=frozenset(reading.conditional),
        sides=frozenset(reading.sides),
        members=frozenset(member for word in reading.mentions if word in _MEMBERS for member in _MEMBERS[word]),
        markers=frozenset(reading.markers),
        people=frozenset(reading.mentions & _PEOPLE),
        lead=-1 if _NO.match(core) else 1 if _YES.match(core) else 0,
        opening=opening,
        denials=reading.denials,
        is_refusal=_REFUSAL.search(core) is not None,
        is_english=_is_english(core, spoken),
        length=reading.length,
    )


def _by_sentence(tokens: Sequence[_Token]) -> Iterator[tuple[str, ...]]:
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
    strange = sum(letter.isalpha() for letter in core if ord(letter) > 0x24F)
    return len(words & _FOREIGN) <= len(words & _LITTLE) and 10 * strange <= len(core)
