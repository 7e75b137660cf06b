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

_NUMBER = re.compile(r"\d{1,12}(?:,\d{3})*(?:\.\d+)?")
_FRACTION = re.compile(r"\d\s?/\s?\d")
_PARTS: Final = frozenset("half halves third thirds quarter quarters percent".split())
_NUMBER_LINE = re.compile(r"^[ \t]*\(?(?:[A-Ja-j][.):])?[ \t]*[-$€£]?\d[\d.,/%]*[ \t]*\w{0,6}\.?[ \t]*$", re.M)
_WORD = re.compile(r"[a-z']+")
_NEGATIONS: Final = frozenset("not no never except least without cannot".split())
_RELATIONS: Final = frozenset(
    "if then than when while after before each every twice half times more less per total left remaining".split()
)
_CHOICE = re.compile(r"^\s*\(?[A-Ja-j][).:]\s", re.M)
_ROMAN = re.compile(r"\b(?:I|II|III|IV)\b")
_NUMBERS_READ: Final = 50
_CLOSING_LINES: Final = 5

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
    "negations",
    "blanks",
    "word length",
    "commas",
    "non-ASCII",
    "first person or Roman numerals",
    "different words",
    "relations",
    "sentences",
    "choices",
    "lines that are a number",
    "different numbers",
    "largest number",
    "fractions",
    "length of the closing lines",
)


def surface(text: str) -> Surface:
    """The features of one text, in the order of NAMES, of the size of about 1."""
    read = text[:READ_CHARACTERS]
    lower = read.lower()
    plain = _WORD.findall(lower)
    length = max(len(read), 1)
    words = read.split()
    count = max(len(words), 1)
    lines = read.count("\n")
    closing = "".join(read.rsplit("\n", _CLOSING_LINES)[-_CLOSING_LINES:])
    found = _NUMBER.findall(read)
    numbers = [float(number.replace(",", "")) for number in found[:_NUMBERS_READ]]
    digits, capitals, beyond = _kinds(read)
    values = (
        math.log1p(len(text)) / 8,
        math.log1p(len(words)) / 6,
        5 * digits / length,
        math.log1p(len(found)) / 3,
        10 * sum(map(read.count, "=+-*/^<>\\")) / length,
        5 * capitals / length,
        math.log1p(lines) / 3,
        min(sum(word in _NEGATIONS for word in plain) + lower.count("n't"), 10) / 2,
        float("__" in read),
        sum(map(len, words)) / count / 8,
        5 * read.count(",") / count,
        20 * beyond / length,
        float(bool(_ROMAN.search(read))),
        len(set(lower.split())) / count,
        min(sum(word in _RELATIONS for word in plain), 24) / 8,
        8 * read.count(".") / count,
        min(len(_CHOICE.findall(read)), 8) / 4,
        min(len(_NUMBER_LINE.findall(read)), 8) / 4,
        math.log1p(len(set(numbers))) / 2,
        math.log1p(max(numbers, default=0.0)) / 6,
        min(len(_FRACTION.findall(read)) + read.count("%") + sum(word in _PARTS for word in plain), 8) / 3,
        math.log1p(len(closing) / _CLOSING_LINES) / 4,
    )
    return np.array(values, np.float32)


def _kinds(text: str) -> tuple[int, int, int]:
    """How many characters are ASCII digits, ASCII capitals, and beyond ASCII. On code points: a loop over them in
    Python would cost more than all other features together."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    digits = int(np.count_nonzero((codes >= 48) & (codes <= 57)))
    capitals = int(np.count_nonzero((codes >= 65) & (codes <= 90)))
    return digits, capitals, int(np.count_nonzero(codes > 127))
