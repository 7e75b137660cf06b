"""What can be seen of a prompt without an encoder: lengths, digits, signs and the like, as numbers.

Owns the list of these features. Refuses to know models, scores and what the numbers are used for. Pure.
"""

import math
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

READ_CHARACTERS: Final = 8000
"""Longer texts are read up to here: the features are shares and logarithms, and more text hardly moves them."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NEGATION = re.compile(r"\b(?:not|no|never|except|least|without|cannot)\b|n't\b", re.I)
_RELATION = re.compile(
    r"\b(?:if|then|than|when|while|after|before|each|every|twice|half|times|more|less|per|total|left|remaining)\b", re.I
)
_CHOICE = re.compile(r"^\s*\(?[A-Ja-j][).:]\s", re.M)
_ROMAN = re.compile(r"\b(?:I|II|III|IV)\b")
_QUESTION_WORD = re.compile(r"\b(?:what|who|when|where|which|why|how|whose)\b", re.I)

Surface = NDArray[np.float32]
"""Shape (len(NAMES),)."""

NAMES: Final = (
    "characters",
    "words",
    "digits",
    "numbers",
    "operators",
    "capitals",
    "lines",
    "questions",
    "negations",
    "blanks",
    "word length",
    "commas",
    "non-ASCII",
    "first person or Roman numerals",
    "different words",
    "money and percent",
    "relations",
    "sentences",
    "choices",
    "question words",
)


def surface(text: str) -> Surface:
    """The features of one text, in the order of NAMES, of the size of about 1."""
    read = text[:READ_CHARACTERS]
    length = max(len(read), 1)
    words = read.split()
    count = max(len(words), 1)
    lines = read.count("\n")
    digits, capitals, beyond = _kinds(read)
    values = (
        math.log1p(len(text)) / 8,
        math.log1p(len(words)) / 6,
        5 * digits / length,
        math.log1p(len(_NUMBER.findall(read))) / 3,
        10 * sum(map(read.count, "=+-*/^<>\\")) / length,
        5 * capitals / length,
        math.log1p(lines) / 3,
        min(read.count("?"), 9) / 3,
        min(len(_NEGATION.findall(read)), 10) / 2,
        float("__" in read),
        sum(map(len, words)) / count / 8,
        5 * read.count(",") / count,
        20 * beyond / length,
        float(bool(_ROMAN.search(read))),
        len({word.lower() for word in words}) / count,
        min(sum(map(read.count, "$%€£")), 8) / 4,
        min(len(_RELATION.findall(read)), 24) / 8,
        8 * read.count(".") / count,
        min(len(_CHOICE.findall(read)), 8) / 4,
        min(len(_QUESTION_WORD.findall(read)), 8) / 4,
    )
    return np.array(values, np.float32)


def _kinds(text: str) -> tuple[int, int, int]:
    """How many characters are ASCII digits, ASCII capitals, and beyond ASCII. On code points: a loop over them in
    Python would cost more than all other features together."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    digits = np.count_nonzero((codes >= 48) & (codes <= 57))
    capitals = np.count_nonzero((codes >= 65) & (codes <= 90))
    return digits, capitals, int(np.count_nonzero(codes > 127))
