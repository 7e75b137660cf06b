"""How plainly the answers of a scope tell what is the same: counted from fresh answers, scope by scope.

Two things decide how an answer that is neither plainly the same nor plainly different is taken. Whether answers are
either alike or not moves the threshold of sameness. And where answers always come in the same words, other words say
something else. Pure counting; knows no texts.
"""

from typing import Final

from msgspec import Struct

ALIKE_FROM: Final = 0.2
"""A group whose nearest wording is less like an answer is not looked at any further, and says nothing of its scope."""
CLEAR_AT: Final = 0.6
"""In a scope whose answers are either alike or not, this sameness is enough for a link and for an audit."""
CLEAR_UP_TO: Final = 0.05
"""Such a scope: of its groups that are at all like an answer, no more than this share lies below CLEAR_AT,"""
STRICT_AT: Final = 0.985
STRICT_FROM: Final = 0.18
"""and where it is more than this, STRICT_AT is needed;"""
CLEAR_AFTER: Final = 40
"""counted over so many at least."""
VERBATIM_FROM: Final = 60
"""So many answers in the words of a stored one make a scope verbatim, whose answers are kept texts or a model's without
chance,"""
VERBATIM_BUT_FOR: Final = 0.03
"""if no more than this share of what says the same says it in other words."""
MEMORY: Final = 1000
"""All of it is counted over about so many answers lately."""
_KEPT: Final = 1 - 1 / MEMORY


class Clarity(Struct):
    """The counts of one scope."""

    clear: float = 0.0
    unclear: float = 0.0
    repeated: float = 0.0
    """Answers to another question in the words of the stored one,"""
    reworded: float = 0.0
    """and in other words that say the same."""

    def add(self, same: float) -> None:
        """Takes a group's sameness with an answer into account."""
        if same < ALIKE_FROM:
            return
        self.clear = _KEPT * self.clear + (same >= CLEAR_AT)
        self.unclear = _KEPT * self.unclear + (same < CLEAR_AT)

    def add_same(self, *, is_repeated: bool) -> None:
        """Takes an answer into account that says what is stored for another question."""
        self.repeated = _KEPT * self.repeated + is_repeated
        self.reworded = _KEPT * self.reworded + (not is_repeated)

    @property
    def is_verbatim(self) -> bool:
        """Whether answers that say the same come in the same words, but for courtesy: others say something else."""
        return self.repeated >= VERBATIM_FROM and self.reworded <= VERBATIM_BUT_FOR * (self.repeated + self.reworded)

    def at_least(self, threshold: float) -> float:
        """A threshold of sameness as it is in this scope. Where all answers say much the same in much the same words,
        as if taken from one form, it takes more to tell what is the same."""
        if self.is_verbatim:
            return max(threshold, STRICT_AT)
        count = self.clear + self.unclear
        if count < CLEAR_AFTER:
            return threshold
        if self.unclear <= CLEAR_UP_TO * count:
            return min(threshold, CLEAR_AT)
        return max(threshold, STRICT_AT) if self.unclear > STRICT_FROM * count else threshold
