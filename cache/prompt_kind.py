"""What kind of prompt a text is by its wording: a linear classifier over its words, signs and pairs of words.

The rules of `asker.py`, `moment.py`, `variety.py` and `context.py` know wordings that somebody has thought of; this
knows what prompts of one kind by many writers have in common. Pure. Its weights lie in `prompt_kind.json`, a line for
each word or pair, and are fitted by `python -m eval.prompt_kind fit`. Refuses to know what follows from a kind.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise, repeat
from math import exp
from typing import Final, Literal, Self

from msgspec import Struct

from cache.reading import Reading

Kind = Literal["personal", "volatile", "follow-up", "sampling"]
"""As cacheability's reasons of these names; a prompt of none of them may be cached."""
KINDS: Final[tuple[Kind, ...]] = ("personal", "volatile", "follow-up", "sampling")

_TOKEN: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[?!.,@#/:£$€-]")
_BEGIN, _END = "<", ">"
_MOST: Final = 50.0
"""Of log-odds: beyond, a probability is 1 anyway."""


def grams(reading: Reading) -> set[str]:
    """The words and signs of a text, alone and each with the next. Of a number only its length counts: up to two
    digits, four, more."""
    tokens = [_BEGIN, *[_token(word) for word in _TOKEN.findall(reading.line)], _END]
    return {*tokens, *[f"{one} {two}" for one, two in pairwise(tokens)]}


def _token(word: str) -> str:
    if not word[0].isdigit():
        return word
    return "0" if len(word) < 3 else "000" if len(word) < 5 else "00000"


class Weights(Struct, frozen=True):
    """Natural log-odds of each of `KINDS` against a prompt that may be cached. Those of a text's grams are added and
    divided by the root of the number of grams that are known."""

    of: Mapping[str, Sequence[float]]
    intercept: Sequence[float]

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError if the kinds are not ours."""
        raw = json.loads(text)
        if tuple(raw["kinds"]) != KINDS:
            raise ValueError("the weights were fitted for other kinds; fit them again: python -m eval.prompt_kind fit")
        return cls(of=raw["weights"], intercept=raw["intercept"])

    def probabilities(self, given: Iterable[str]) -> dict[Kind, float]:
        """How likely a text of these grams is of each kind; what is left to 1, that it may be cached."""
        rows = [self.of[gram] for gram in given if gram in self.of]
        scale = max(len(rows), 1) ** -0.5
        sums = map(sum, zip(*rows, strict=True)) if rows else repeat(0.0)
        odds = [exp(min(start + scale * total, _MOST)) for start, total in zip(self.intercept, sums, strict=False)]
        whole = 1 + sum(odds)
        return {kind: each / whole for kind, each in zip(KINDS, odds, strict=True)}


@lru_cache(maxsize=1)
def shipped_weights() -> Weights:
    return Weights.read(files("cache").joinpath("prompt_kind.json").read_text(encoding="utf-8"))


def likely_kinds(reading: Reading) -> dict[Kind, float]:
    """How likely an English text is of each kind; what is left to 1, that it may be cached."""
    return shipped_weights().probabilities(grams(reading))
