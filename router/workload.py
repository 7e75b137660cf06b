"""What kind of work a prompt asks for: chat, extraction, code, reasoning or summarising.

Owns the cues. Pure, from the text alone; refuses to know models, prices and what follows from the class.
"""

from enum import IntEnum
from typing import Final


class Workload(IntEnum):
    """The classes, as they are stored; never renumber."""

    CHAT = 0
    EXTRACTION = 1
    CODE = 2
    REASONING = 3
    SUMMARISING = 4

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> "Workload":
        return cls[label.upper()]


READ_CHARACTERS: Final = 4000
"""Of a long text its first and its last half of this are read: instructions stand at an end."""


def workload(text: str) -> Workload:
    """The class of a prompt, CHAT where nothing speaks for another."""
    return Workload.CHAT
