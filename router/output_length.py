"""How many tokens a model will write, learned from what it wrote: by model and workload class, shrunken to what all
models write.

Means are of logarithms, since lengths are skewed; a smearing factor, the mean of what was written over what the
logarithms foretold, turns them into expected lengths (Duan, "Smearing estimate: a nonparametric retransformation
method", JASA 78 (1983)). Owns this estimate. Refuses to know prices, clocks and prompts beyond class and length.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from router.workload import Workload

PRIOR_TOKENS: Final[Mapping[Workload, float]] = {
    Workload.CHAT: 250,
    Workload.EXTRACTION: 120,
    Workload.CODE: 450,
    Workload.REASONING: 500,
    Workload.SUMMARISING: 220,
}
"""Typical answers before any was seen: an opinion that a few lengths overrule."""
_PRIOR_SMEARING: Final = 1.3
_PRIOR_WEIGHT: Final = 20.0
"""Lengths that the prior is worth against all models' mean, that against a model's, and that against its class's."""
_MEMORY: Final = 2000.0
"""Lengths after which the older ones fade: a model's habits change with its versions."""


class Cell(Struct):
    """Sums over one model and class; `written` and `foretold` are for the smearing factor."""

    count: float = 0.0
    excess: float = 0.0
    """Of logarithms over the prior's."""
    written: float = 0.0
    foretold: float = 0.0

    def add(self, excess: float, tokens: float, foretold: float) -> None:
        if self.count >= _MEMORY:
            self.count, self.excess, self.written, self.foretold = (
                value / 2 for value in (self.count, self.excess, self.written, self.foretold)
            )
        self.count += 1
        self.excess += excess
        self.written += tokens
        self.foretold += foretold

    def mean(self, expected: float) -> float:
        """Of the excess, shrunken to what is expected without this cell."""
        return (self.excess + _PRIOR_WEIGHT * expected) / (self.count + _PRIOR_WEIGHT)

    def smearing(self, expected: float) -> float:
        if not self.foretold:
            return expected
        own = self.written / self.foretold
        return (self.count * own + _PRIOR_WEIGHT * expected) / (self.count + _PRIOR_WEIGHT)


class Length(Struct, frozen=True):
    """How long an answer will be."""

    tokens: float
    """Expected output tokens."""
    typical: float
    """The middle: as often more as less."""
    smearing: float
    """`tokens` = `typical` times this."""
    seen: float
    """Answers of this model and class that it rests on."""


class Lengths:
    """Belongs to one thread; each call is a few additions."""

    def __init__(self) -> None:
        self._all = Cell()
        self._models: dict[str, Cell] = {}
        self._cells: dict[tuple[str, Workload], Cell] = {}

    def expect(self, model: str, workload: Workload) -> Length:
        """What this model will write for a prompt of this class."""
        of_model, of_cell = self._models.get(model, _EMPTY), self._cells.get((model, workload), _EMPTY)
        typical = PRIOR_TOKENS[workload] * math.exp(of_cell.mean(of_model.mean(self._all.mean(0.0))))
        smearing = of_cell.smearing(of_model.smearing(self._all.smearing(_PRIOR_SMEARING)))
        return Length(typical * smearing, typical, smearing, of_cell.count)

    def learn(self, model: str, workload: Workload, tokens: int) -> None:
        """One answer that ended by itself: one that was cut off says only how long it was at least."""
        if tokens <= 0:
            return
        foretold = self.expect(model, workload).typical
        excess = math.log(tokens / PRIOR_TOKENS[workload])
        cells = (
            self._all,
            self._models.setdefault(model, Cell()),
            self._cells.setdefault((model, workload), Cell()),
        )
        for cell in cells:
            cell.add(excess, tokens, foretold)

    def export(self) -> bytes:
        """What was learned, for `restore`: JSON."""
        cells = [(name, int(kind), cell) for (name, kind), cell in self._cells.items()]
        return msgspec.json.encode(_Kept(self._all, self._models, cells))

    @classmethod
    def restore(cls, content: bytes) -> "Lengths":
        """The reverse. Raises ValueError (msgspec.ValidationError) where this is no such content."""
        kept = msgspec.json.decode(content, type=_Kept)
        found = cls()
        found._all, found._models = kept.all, kept.models
        found._cells = {(name, Workload(kind)): cell for name, kind, cell in kept.cells}
        return found


class _Kept(Struct):
    all: Cell
    models: dict[str, Cell]
    cells: list[tuple[str, int, Cell]]


_EMPTY: Final = Cell()
