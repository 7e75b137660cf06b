"""The text of an answer, brought to tokens: without courtesy and markup, numbers, dates and times in one form.

Owns what counts as courtesy, as a sentence, as a word's root and as one token. Refuses to know what the tokens say:
that is `cache/answer_traits.py`. Word lists are in `cache/answer_words.py`.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from cache import answer_words

LONGEST_ANSWER: Final = 12_000
"""In characters. Of a longer answer only the beginning is read."""

Quantity = tuple[str, str, str]
"""(value in the dimension's base unit, dimension, value as written): ("20160", "minute", "2") is two weeks.
The dimension is "" for a number without a unit."""
Rate = tuple[str, str]
"""(value, dimension) of "every ..." and "per ...": ("3", "month") is quarterly."""


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
    aliases = [
        names.replace("/", " ") for group in answer_words.ALTERNATIVES for names in group.split() if "/" in names
    ]
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


def _phrases() -> dict[tuple[str, str], list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """First two words ("" for a single word) -> (all words, what they say), the longest first."""
    found: dict[tuple[str, str], list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for phrase, said in answer_words.PHRASES.items():
        words = tuple(phrase.split())
        found.setdefault((words[0], words[1] if len(words) > 1 else ""), []).append((words, tuple(said.split())))
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


SYNONYMS: Final = _synonyms()
SIDES: Final = _opposites()
_PHRASES: Final = _phrases()
_PHRASE_HEADS: Final = frozenset(head for head, _ in _PHRASES)
MEMBERS: Final = _alternatives()
LITTLE: Final = frozenset(answer_words.LITTLE.split())
LIGHT: Final = _roots(answer_words.LIGHT.split())
PEOPLE: Final = _roots(answer_words.PEOPLE.split())
KNOWN: Final = (
    frozenset(SYNONYMS)
    | frozenset(SIDES)
    | LIGHT
    | PEOPLE
    | _roots(LITTLE)
    | _roots(word for words in (answer_words.MARKERS, answer_words.UNITS, answer_words.NUMBERS) for word in words)
    | _roots(word for phrase in answer_words.PHRASES for word in phrase.split())
    | _roots(answer_words.DENYING_FORMS)
    | _roots(answer_words.NEGATORS)
)
"""Words of the lists. Another word may be a name, even without a capital."""


# --- courtesy, markup, code ---

_FENCE: Final = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_INLINE_CODE: Final = re.compile(r"`([^`\n]{1,200})`")
_CODE_TOKEN: Final = re.compile(r"\w+|[^\w\s]+")
_LINK: Final = re.compile(r"\[([^\]\n]{1,200})\]\((\S{1,500}?)\)")
_MARKUP: Final = re.compile(
    r"\*\*|__|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|^[ \t]*(?:#{1,6}|>|[-*•–+]|\d{1,2}[.)])[ \t]+", re.MULTILINE
)
_TYPOGRAPHY: Final = str.maketrans("’‘“”„«»–—−×\u00a0\u202f", '\'\'"""""---x  ')
_SIGNS: Final = dict.fromkeys(map(ord, "✅✔✓☑👍"), " yes ") | dict.fromkeys(map(ord, "❌✗✘✖❎👎"), " no ")

_OPENING: Final = re.compile(
    r"(?:(?:hi|hello|hey|dear \w+|good (?:morning|afternoon|evening|day)|greetings)\b[^.!,:\n]{0,30}[.!,:]"
    r"|(?:sure(?: thing)?|certainly|of course|absolutely|definitely|gladly|(?:no|not a) problem(?: at all)?"
    r"|no worries|(?:please )?don't worry(?: about (?:it|that|this))?|with pleasure|okay|ok|alright|i see"
    r"|got it|great|good|understood|my pleasure)\b(?! not)(?:[,.!:]| -)"
    r"|(?:sure|of course|certainly)\b(?=,? (?:here|you|just|i |we ))"
    r"|(?:and )?(?:many )?(?:thank you|thanks)\b[^.!:\n]{0,80}[.!:]"
    r"|(?:great|good|excellent|interesting) question[.!:,]?"
    r"|(?:i'm|i am|we're|we are|so)? ?sorry (?:to hear|about|for|that you)\b[^.!:;\n]{0,80}[.!:;]"
    r"|(?:i|we)(?: do| sincerely)? apologi[sz]e\b[^.!:;\n]{0,80}[.!:;]"
    r"|(?:my|our|please accept (?:my|our)) (?:\w+ )?apologies\b[^.!:;\n]{0,80}[.!:;]"
    r"|(?:i|we) can (?:certainly |definitely |absolutely |gladly |surely )?help(?: you)?(?: (?:with|out))?"
    r"(?: (?:that|this|it))?[.!:]"
    r"|(?:i'm |i am |i'd be |i would be |we're |we'd be )?(?:very |more than )?(?:happy|glad|pleased|delighted) to"
    r" (?:help|explain|assist|answer|clarify|hear|tell)\b[^.!:\n]{0,40}[.!:]"
    r"|(?:i|we) (?:completely |fully )?(?:understand|appreciate|know)\b[^.!:\n]{0,80}[.!]"
    r"|congratulations\b[^.!:\n]{0,80}[.!]|oh (?:no|dear)\b[^.!:\n]{0,60}[.!,]|don't panic[,.!]"
    r"|(?:how|what a) (?:wonderful|lovely|nice|exciting|annoying|frustrating|great|shame|pity)\b[^.!:\n]{0,60}[.!]"
    r"|(?:it's |that's |it is |that is )?(?:great|good|nice|lovely) (?:of you to|thing (?:that )?you|that you)"
    r"\b[^.!:\n]{0,60}[.!]"
    r"|and [^.!?:;\n\d]{0,50}!"
    r"|(?:here is|here's|here are|this is|below is|below are)\b(?=[^.!:\n]{0,60}:)[^.!:\n]{0,60}:"
    r"|(?:in short|in brief|to sum up|in summary|short answer|the short answer is|to put it simply|simply put|basically"
    r"|in a nutshell|to answer your question|as far as i know|good news|bad news|yes, sure|it's (?:quite )?(?:simple"
    r"|easy|straightforward)|that's (?:easy|simple)|\w+ing (?:something|it|one|that|this) is (?:quite |very )?easy)"
    r"[,.:!]+"
    r")[\s\"]*",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    r"(?:(?:please )?(?:just )?(?:let (?:me|us) know|feel free|do(?: not|n't) hesitate|get in touch)\b"
    r"|(?:is there )?(?:any|some) ?thing (?:else|more)\b|(?:can|could|may) i (?:help|assist)\b"
    r"|do you (?:have|need) (?:any|some|more|further)\b[^.!?]{0,30}"
    r"(?:question|help|assist|thing|detail|information|support)"
    r"|(?:would you like|do you want|(?:shall|should|may) i (?:explain|show|tell|send|walk|help|look|check|give|list"
    r"|work|outline|draft|write))\b[^.!?]{0,150}\?$"
    r"|if (?:you(?:'d| would)? (?:like|prefer|wish|want|rather)|you (?:get stuck|run into|aren't able|can't|cannot))\b"
    r"[^.!?]{0,90}\b(?:i can|i could|i'll|i will|i'd|let me know|tell me|write to me|just ask)\b"
    r"|(?:need|require) (?:any |some |more |further |other )*(?:help|assistance|details|information|thing else)\b"
    r"|reach out (?:to (?:me|us) )?(?:any ?time|if|whenever|with any)\b"
    r"|if (?:you have|you've got|there are|you need|you'd like|you want|you require|you still|anything)\b[^.!?]{0,30}"
    r"(?:question|help|assist|anything|detail|information|unclear|support)"
    r"|(?:i |we )?(?:really )?(?:hope|trust) (?:this|that|it|you|to)\b|hope(?:fully)?\b|(?:always )?(?:happy|glad) to\b"
    r"|(?:i'm|i am|we're|we are)(?: always| very)? (?:happy|glad|here|sorry)\b"
    r"|(?:i|we) (?:really |completely |fully )?(?:appreciate|understand)\b|that is all|that's (?:it|all)\b"
    r"|(?:just )?(?:ask|write|message|tell) (?:me|us)\b"
    r"|(?:have an? (?:very )?(?:nice|good|great|wonderful|lovely|pleasant|safe|fantastic|enjoyable|relaxing|happy|fun"
    r"|super|successful|smooth|splendid|sunny|restful)|have fun|enjoy|good luck|best|kind|warm|take care"
    r"|get well|stay|see you|cheers|happy \w+ing|thanks?|thank you|you're welcome|looking forward|all the best|safe|bon"
    r"|bye|sincerely|yours|wishing|wish|we look|i look|good night|sweet|your \w+ team)\b"
    r"|(?:this|that|it)(?:'s| is) (?:(?:actually|really|indeed|quite) )?(?:one of (?:our|the) |a |an )?(?:very |most )?"
    r"(?:common|commonly|frequent|frequently|often|popular|good|great|excellent|typical|usual|simple|easy"
    r"|straightforward)\b[^.!?]{0,40}(?:question|asked|ask|topic|issue|concern)"
    r"|(?:this|that|it)(?:'s| is) (?:a |an |something )(?:question|topic|matter|that)?\W*(?:that |which )?"
    r"(?:we|i|many|people|customers) |we know (?:that |how )?(?:this|it|important)\b"
    r"|(?:many|most|lots of|a lot of|plenty of|some|other) (?:of our )?(?:customers|people|users|visitors|guests"
    r"|students) (?:often )?(?:ask|wonder|want to know)\b"
    r"|(?:we|i) (?:often |frequently )?(?:get|receive|hear) (?:this|that) (?:question|one|a lot|often)"
    r"|(?:let me|let us|let's|allow me to) (?:explain|walk|go|look|take|break|clarify|summari[sz]e|show|help|see"
    r"|give)\b"
    r"|(?:i|we)(?: will|'ll| can)? (?:gladly |happily |be happy to |be glad to )?(?:explain|clarify|summari[sz]e|walk"
    r"|outline)\b"
    r"|(?:that|this)(?: should| will|'ll) (?:do|be (?:all|it)|solve|cover|answer|help|clear|only take"
    r"|take (?:just|only)? ?a)\b"
    r"|(?:and )?(?:that's|that is) (?:really |basically )?(?:all|it|everything|how)\b|you(?:'re| are) all set\b"
    r"|simple as that"
    r"|(?:our|the|my) (?:support |service |customer |whole |friendly )*(?:team|staff|colleagues|agents?)(?: is| are)"
    r" (?:always |also )?(?:happy|glad|here|pleased|ready|there)\b|(?:we|i) (?:always )?(?:value|care)\b"
    r"|we(?:'re| are) (?:always )?(?:here|there) (?:to|for)\b|your (?:satisfaction|feedback|question|request)\b"
    r"|(?:here|below|above)(?:'s| is| are)? (?:how|what|a|an|the|some|all)\b[^.!?]{0,50}(?:answer|summary|overview"
    r"|details|information|know|works?|do it|steps)\W*$|as (?:requested|always|promised)\W*$)",
    re.IGNORECASE,
)
"""How a sentence begins that says nothing; it is only dropped if nothing in it looks like a fact."""
_FACT: Final = re.compile(r"\d|>|\"|`|@|https?:|\bunless\b|\bonly\b|\bnot\b(?! hesitate)", re.IGNORECASE)
_SENTENCE_END: Final = re.compile(r"(?:(?<=[.!?])|(?<=[.!?][\"')]))\s+(?![a-z])|\n+")
_MOST_COURTESIES: Final = 4

_REFUSAL: Final = re.compile(
    r"\b(?:i|we)(?:'m| am|'re| are)?(?: (?:really|sorry|afraid|currently|unfortunately|just|still|but|that))*,? ?"
    r"(?:but )?(?:(?:i|we) )?(?:(?:am|are) )?"
    r"(?:(?:can(?:no|')t|can not|could(?:n't| not)|am unable to|unable to|not able to|not in a position to"
    r"|won't be able to)"
    r" (?:say|tell|help|answer|provide|assist|give|find|comment|advise|share|discuss|look|recommend|determine|judge)"
    r"|(?:do not|don't|did not|didn't) (?:know\b|find\b|understand\b"
    r"|have (?:any |the |that |this |such |enough |access)*(?:information|details|data|access|to|answer|idea|record"
    r"|knowledge))"
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
    kept = [each for each in split_sentences(left) if not _is_courtesy(each)]
    return "\n".join(kept) if kept else left


def _is_courtesy(sentence: str) -> bool:
    first = sentence.split(None, 1)[0].lower().rstrip(",.!?")  # spares most sentences the long expression
    if first not in _COURTEOUS or _CLOSING.match(sentence) is None:
        return False
    return _FACT.search(sentence.replace("24/7", "")) is None


_COURTEOUS: Final = frozenset(
    "please just let feel do don't get is any anything can could may if i we really hope hopefully trust always"
    " happy glad i'm we're that that's this it it's ask write message tell have enjoy good best kind warm take"
    " stay see cheers thanks thank you're you looking all safe bon bye sincerely yours wishing wish sweet your"
    " many most lots a plenty some other allow our the my and simple here here's below above as let's i'll we'll"
    " great much would need require reach something shall should".split()
)


# --- numbers as written ---

_VULGAR: Final = {"½": ".5", "¼": ".25", "¾": ".75", "⅓": ".333", "⅔": ".667"}
_VULGAR_FRACTION: Final = re.compile(r"(\d?)\s?([½¼¾⅓⅔])")
_FRACTION: Final = re.compile(r"(?<![\d/.,])(?:(\d{1,2}) )?([123])/([2348])(?![\d/.])")
_GROUPED: Final = re.compile(r"(?<!\d )(?<!\d[.,] )(?<![\d.,])(\d{1,3})((?: \d{3})+)(?![\d.,]*\d)")
_ENUMERATOR: Final = re.compile(r"\((?:\d|[a-d])\)")
_SIZE: Final = re.compile(r"(?<=\d)[xX](?=\d)")
_DATE: Final = re.compile(r"\b(?:(\d{1,2})[/.](\d{1,2})[/.](\d{4})|(\d{1,2})/(\d{4}))\b")
_SHORT_DATE: Final = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(?=[\s,;)-]|$)|\b(1[3-9]|2\d|3[01])/(\d{1,2})\b(?![/\d])")
_PER_ANNUM: Final = re.compile(r"\bp\.\s?a\.", re.IGNORECASE)
_MERIDIEM: Final = re.compile(r"\b([ap])\.\s?m\b\.?", re.IGNORECASE)
_ALWAYS_OPEN: Final = re.compile(r"\b24/7\b|\b24 ?(?:h|hours) (?:a|per|every|each) day\b", re.IGNORECASE)
_SINGLE_LETTER: Final = re.compile(r"\b([a-zA-Z])-(?=[a-zA-Z]{3})")
_SHORT_WEEKDAY: Final = re.compile(r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat)\b")


def _plain(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY).translate(_SIGNS)
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
    if "x" in text or "X" in text:
        text = _SIZE.sub(" x ", text)
    if "/" in text:
        text = _FRACTION.sub(
            lambda found: number_text(round(int(found[1] or 0) + int(found[2]) / int(found[3]), 4)), text
        )
    return _SHORT_DATE.sub(_written_day, _DATE.sub(_written_date, text))


def _joined_digits(found: re.Match[str]) -> str:
    # What begins with a zero is a telephone number.
    return found[0] if found[1][0] == "0" else found[1] + found[2].replace(" ", "")


def _written_date(found: re.Match[str]) -> str:
    month = int(found[2] or found[4])
    if not 1 <= month <= 12:
        return found[0]
    day = f"{int(found[1])} " if found[1] else ""
    return f"{day}{answer_words.MONTHS[month - 1].capitalize()} {found[3] or found[5]}"


def _written_day(found: re.Match[str]) -> str:
    day, month = int(found[1] or found[3]), int(found[2] or found[4])
    return f"{day} {answer_words.MONTHS[month - 1].capitalize()}" if 1 <= month <= 12 and 1 <= day <= 31 else found[0]


def number_text(value: float) -> str:
    return f"{value:.10g}"


# --- tokens ---


class Token(Struct):
    kind: str
    """`word`, `number`, `code` (snippets, addresses, letters with digits), `mark`; later `quantity` and `rate`."""
    text: str
    """Lower case."""
    is_name: bool = False
    quantity: Quantity | None = None
    """Of a time of day in figures, and of the kind `quantity`."""
    rate: Rate | None = None
    """Of the kind `rate`."""
    is_small: bool = False
    """Whether it is a number up to ten in words and without a unit: two things."""


_WORD: Final = r"(?P<word>[^\W\d_]\w*(?:'[^\W\d_]+)*)"
_NUMERIC: Final = (
    r"|(?P<phone>(?:\+\d|\b0\d{2,4}[\s/-])[\d\s/()-]{4,18}\d)"
    r"|(?P<iso>\b\d{4}-\d{2}-\d{2}\b)"
    r"|(?P<clock>\b\d{1,2}[:.]\d{2}\s?[ap]m\b|\b\d{1,2}:\d{2}(?:\s?h\b)?|\b\d{1,2}\.\d{2}\s?h\b|\b\d{1,2}\s?[ap]m\b"
    r"|\b\d{1,2} o'clock\b)"
    r"|(?P<number>(?<![\w.])-?\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])-\d+(?:\.\d+)?|\d+(?:[.,]\d+)*|\.\d+)"
)
_ADDRESS: Final = r"(?P<url>https?://[^\s)\"']+|www\.[^\s)\"']+|\b[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{0,64}\w)"
_MARK: Final = r"|(?P<mark>[€$£¥%‰°]|->|=>|→|[.!?;:,()\n\"/+>]|-)"
_TOKEN: Final = re.compile(_WORD + _NUMERIC + _MARK)
_ANY_TOKEN: Final = re.compile(r"(?P<snippet>`[^`\n]{1,200}`)|" + _ADDRESS + "|" + _WORD + _NUMERIC + _MARK)
"""Slower; for texts with code or addresses."""
_ARROWS: Final = frozenset(("->", "=>", "→", ">"))
_STARTS: Final = frozenset(".!?:\n")
"""After these a capital says nothing."""


def _tokens(text: str) -> list[Token]:
    """The tokens of a text in order. Hyphens and quotes are gone, phrases are one word."""
    tokens: list[Token] = []
    at_start, in_quotes, number_end, first_is_capital = True, False, -1, False
    is_rich = "`" in text or "@" in text or "://" in text or "www." in text
    for found in (_ANY_TOKEN if is_rich else _TOKEN).finditer(text):
        kind, raw = found.lastgroup, found.group()
        if kind == "word":
            if found.start() != number_end or not _joins_number(tokens, raw):
                if raw[0].isupper() and len(tokens) == 1 and tokens[0].kind == "word" and first_is_capital:
                    tokens[0].is_name = tokens[0].is_name or root(tokens[0].text) not in KNOWN  # Mara Lindqvist
                first_is_capital = not tokens and raw[0].isupper()
                tokens.append(
                    _word_token(raw, text, at_start, in_quotes or bool(tokens and tokens[-1].text in _ARROWS))
                )
            at_start = False
        elif kind == "mark":
            in_quotes = in_quotes and raw != "\n"
            if raw == '"':
                in_quotes = not in_quotes
            elif raw != "-" or _is_range(text, found.start()):
                if raw in _ARROWS and tokens and tokens[-1].kind == "word":
                    tokens[-1].is_name = True
                tokens.append(Token("mark", raw))
                at_start = at_start or raw in _STARTS
        elif kind == "number":
            tokens.append(Token("number", raw))
            at_start = False
            number_end = found.end()
        else:
            tokens += _special_tokens(kind or "", raw)
    return _with_phrases(tokens)


def _word_token(raw: str, text: str, at_start: bool, is_label: bool) -> Token:
    low = raw.lower()
    is_capital = raw[0].isupper()
    if is_capital and low in answer_words.SHORT_FORMS and (low != "sun" or _SHORT_WEEKDAY.search(text)):
        low = answer_words.SHORT_FORMS[low]
    if not low.isalpha() and any(letter.isdigit() for letter in low):
        return Token("code", low, True)
    is_name = (
        is_label
        or (is_capital and not at_start and raw != "I" and "'" not in raw)
        or (not low.startswith(raw[1:], 1) and "'" not in raw)  # a capital inside
    )
    return Token("word", low, is_name)


def _special_tokens(kind: str, raw: str) -> list[Token]:
    low = raw.lower()
    if kind == "clock":
        return [Token("number", low, quantity=_clock(low))]
    if kind == "iso":
        year, month, day = low.split("-")
        name = answer_words.MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else month
        return [Token("number", str(int(day))), Token("word", name, True), Token("number", year)]
    if kind == "phone":
        return [Token("code", "".join(filter(str.isdigit, low)), True)]
    if kind == "snippet":
        pieces = _CODE_TOKEN.findall(raw[1:-1])
        words = [piece.lower() for piece in pieces if piece[0].isalnum()]
        return [Token("code", word, True) for word in words or pieces]
    return [Token("code", low.rstrip("./"), True)]


def _clock(text: str) -> Quantity:
    digits = [int(part) for part in re.findall(r"\d+", text)]
    hour, minute = digits[0], digits[1] if len(digits) > 1 else 0
    if "p" in text and hour < 12:
        hour += 12
    elif "a" in text and hour == 12:
        hour = 0
    return number_text(60 * hour + minute), "clock", str(hour % 12 or 12)


def _is_range(text: str, at: int) -> bool:
    return text[at + 1 : at + 3].strip()[:1].isdigit() and text[max(at - 2, 0) : at].strip()[-1:].isalnum()


def _joins_number(tokens: list[Token], raw: str) -> bool:
    """Whether letters right after a number belong to it: 2nd, 2FA, 5G. A unit does not."""
    low = raw.lower()
    if low in ("st", "nd", "rd", "th"):
        return True
    if low in ("x", "am", "pm") or (low in answer_words.UNITS and raw != "G"):
        return False
    last = tokens[-1]
    is_thousands = low == "k" and last.text.replace(".", "", 1).isdigit()
    tokens[-1] = (
        Token("number", number_text(1000 * float(last.text))) if is_thousands else Token("code", last.text + low, True)
    )
    return True


def _with_phrases(tokens: list[Token]) -> list[Token]:
    joined: list[Token] = []
    texts = [token.text for token in tokens]
    at, size = 0, len(tokens)
    while at < size:
        text = texts[at]
        if text in _PHRASE_HEADS:
            following = texts[at + 1] if at + 1 < size else ""
            for words, said in (*_PHRASES.get((text, following), ()), *_PHRASES.get((text, ""), ())):
                end = at + len(words)
                if end <= size and tuple(texts[at:end]) == words:
                    is_name = all(token.is_name for token in tokens[at : at + 2])
                    joined += [Token("word", word, is_name) for word in said]
                    at = end
                    break
            else:
                joined.append(tokens[at])
                at += 1
        else:
            joined.append(tokens[at])
            at += 1
    return joined


# --- the whole ---


class Gist(Struct, frozen=True):
    """What an answer says, without the rest."""

    core: str
    """Without courtesy, markup and code blocks."""
    blocks: tuple[str, ...]
    """Code blocks, with one space between tokens."""
    is_cut: bool
    """Whether the text was longer than is read."""


class AnswerText(Gist, frozen=True):
    """An answer, read as far as its tokens."""

    snippets: tuple[str, ...]
    """All code, in line and in blocks."""
    tokens: tuple[Token, ...]


def gist(text: str) -> Gist:
    cut = text[:LONGEST_ANSWER]
    blocks = tuple(" ".join(_CODE_TOKEN.findall(block)) for block in _FENCE.findall(cut)) if "```" in cut else ()
    core = _without_courtesy(_plain(_FENCE.sub("\n", cut) if blocks else cut))
    return Gist(core, blocks, is_cut=len(cut) < len(text))


def answer_text(text: str) -> AnswerText:
    """Any text has tokens, if only none."""
    said = gist(text)
    snippets = (*said.blocks, *_INLINE_CODE.findall(text[:LONGEST_ANSWER])) if "`" in text else ()
    return AnswerText(said.core, said.blocks, said.is_cut, snippets, tuple(_tokens(_spoken(said.core))))


def code_tokens(code: str) -> list[str]:
    return _CODE_TOKEN.findall(code)


_SPEAKERS: Final = frozenset("i we ai information details data my our".split())
_UNABLE: Final = frozenset("cannot not no nothing unable ai beyond outside".split())


def is_refusal(parsed: AnswerText) -> bool:
    """Whether it says that it cannot answer."""
    texts = {token.text for token in parsed.tokens}  # spares most answers the long expression
    return bool(texts & _SPEAKERS and texts & _UNABLE) and _REFUSAL.search(parsed.core) is not None
