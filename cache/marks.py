"""What a question says with signs and letters that its words leave out: C++ and C#, -20 and 20, $ and €, ma and mà.

The default encoder cannot see most of it: it takes accents away, and scripts that it has not learned are all one to it.
Pure functions over text; knows neither words' meanings nor vectors.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

_PLAIN: Final = re.compile(r"[\w\s.,;:'\"?()!-]*", re.ASCII)
"""In such a text only a minus can say something that words do not."""
_SPACE_OR_OPENING: Final = r"(?<![^\s(\[\"'=,;:])"
_BELOW_ZERO: Final = re.compile(_SPACE_OR_OPENING + r"[-−–](?=\.?\d)")
_MONEY: Final = {
    sign: currency
    for currency, *signs in map(
        str.split,
        (
            "dollar $ usd bucks|euro € eur|pound £ gbp|yen ¥ jpy|rupee ₹ inr|rouble ₽ ruble|won ₩ krw|lira ₺|shekel ₪"
            "|dong ₫ vnd|hryvnia ₴ uah|baht ฿ thb|peso ₱|bitcoin ₿ btc|cent ¢"
        ).split("|"),
    )
    for sign in (*signs, *(() if currency in ("won", "cent") else (currency,)))
}
_MONEY_SIGN: Final = re.compile("[$€£¥₹₽₩₺₪₫₴฿₱₿¢]")
_MONEY_WORDS: Final = {
    form: currency for word, currency in _MONEY.items() if word.isalpha() for form in (word, f"{word}s")
}
_SUFFIXED: Final = re.compile(r"(?<![^\W_])[^\W\d_]{1,12}(?:\+{1,2}|#)(?![\w+#])|(?<![\w-])[A-Z]-(?=[\s?.!,;)\"']|$)")
_SPELLED_OUT: Final = frozenset("plus minus sharp positive negative below".split())
_OPERATOR: Final = re.compile(
    "|".join(
        (
            r"(?<![^\s(\[\"'`“])(?:[=<>!^~/+*-]{2,3}|[=<>^])(?=[\s)\]\"'`”?.,]|$)",  # standing alone
            *(
                rf"(?<={left}{gap})(?:{signs})(?={gap}{right})"
                for left, signs, right in (
                    (r"\d", "[-−–+*/%^×÷]", r"\d"),
                    (r"[\w)\]]", r"[=!<>]=|&&|\|\||[=<>+*^×÷]", r"[\w(\[]"),
                    (r"\b[a-zA-Z]", "[-−]", r"[a-zA-Z]\b"),
                )
                for gap in ("", " ")
            ),
        )
    )
)
_HARMLESS: Final = frozenset("!! !!! -- --- ** *** >> << ~~ // -> => <- --> ==>".split())
"""Between words these stand for "to", set them apart or stress them."""
_DATE: Final = re.compile(r"\d+(?:[-/.]\d+){2,}|\b24/7\b")
_SCALE: Final = re.compile(r"\d ?([mM])[WVAJ]\b")
"""Milli or mega. Of bits and bytes everybody writes it as he likes."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_PICTURES: Final = ("So", "Sk", "Sm")
_FOREIGN_FROM: Final = 0x370
"""Greek and whatever comes after it."""


class Marks(Struct, frozen=True, array_like=True):
    """The marks of one text; all empty for most."""

    operators: tuple[str, ...] = ()
    """In their order."""
    foreign: frozenset[str] = frozenset()
    """Words in another writing than the text's, which is Latin. Equal, or the questions are not."""
    is_below_zero: bool = False
    scales: frozenset[str] = frozenset()
    """`m` or `M` of units whose case decides."""
    money: frozenset[str] = frozenset()
    """Currencies that a sign stands for; in a text without any, those that are named."""
    pictures: frozenset[str] = frozenset()
    """Symbols that stand among the words, not behind them."""
    accented: frozenset[str] = frozenset()
    """Words with an accent."""
    suffixed: frozenset[str] = frozenset()
    """Words that end in a sign."""
    is_spelled_out: bool = False
    """Whether a word may stand for a sign."""


_NOTHING: Final = Marks()


def marks(text: str, words: frozenset[str]) -> Marks:
    """The marks of a text, of which the words are known, in lower case."""
    if _PLAIN.fullmatch(text) and "-" not in text:
        return _of_words(text, words)
    is_ascii, worded = text.isascii(), _of_words(text, words)
    text = unicodedata.normalize("NFC", text)
    letters = () if is_ascii else tuple(_WORD.findall(text.casefold()))
    operators = _OPERATOR.findall(_DATE.sub(" ", text))
    signs = frozenset(_MONEY[sign] for sign in _MONEY_SIGN.findall(text))
    return Marks(
        operators=tuple("-" if sign in "−–" else sign for sign in operators if sign not in _HARMLESS),
        foreign=_foreign(letters),
        is_below_zero=_BELOW_ZERO.search(text) is not None,
        scales=worded.scales,
        money=signs or worded.money,
        pictures=frozenset() if is_ascii else _pictures(text),
        accented=frozenset(word for word in letters if _is_latin(word) and without_accents(word) != word),
        suffixed=frozenset(word.casefold() for word in _SUFFIXED.findall(text)),
        is_spelled_out=worded.is_spelled_out,
    )


def without_accents(text: str) -> str:
    """The text in letters without marks above, below or through them."""
    if text.isascii():
        return text
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def _of_words(text: str, words: frozenset[str]) -> Marks:
    money = frozenset(map(_MONEY_WORDS.__getitem__, words & _MONEY_WORDS.keys()))
    is_spelled_out, scales = not words.isdisjoint(_SPELLED_OUT), frozenset(_SCALE.findall(text))
    if not (money or is_spelled_out or scales):
        return _NOTHING
    return Marks(money=money, is_spelled_out=is_spelled_out, scales=scales)


def _foreign(words: Sequence[str]) -> frozenset[str]:
    """None in a text that is itself in another writing."""
    found = [word for word in words if not _is_latin(word)]
    return frozenset(found) if 2 * len(found) <= len(words) else frozenset()


def _pictures(text: str) -> frozenset[str]:
    last = max((place for place, letter in enumerate(text) if letter.isalnum()), default=0)
    return frozenset(sign for sign in text[:last] if unicodedata.category(sign) in _PICTURES and not sign.isascii())


def _is_latin(word: str) -> bool:
    return all(ord(letter) < _FOREIGN_FROM or "LATIN" in unicodedata.name(letter, "") for letter in word)


def differ(one: Marks, two: Marks) -> Literal["number", "exchange"] | None:
    """What the marks of two texts set apart; None for nothing. What one text writes with a sign the other may say with
    a word. Accents and suffixes are left to those who know the words."""
    if one == two:
        return None
    is_spelled_out = one.is_spelled_out or two.is_spelled_out
    if one.is_below_zero != two.is_below_zero and not is_spelled_out:
        return "number"
    if _clash(one.money, two.money) or _clash(one.scales, two.scales):
        return "number"
    if one.operators and two.operators and one.operators != two.operators:
        return "exchange"
    return "exchange" if one.foreign != two.foreign or _clash(one.pictures, two.pictures) else None


def _clash(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    return bool(mine) and bool(theirs) and mine.isdisjoint(theirs)
