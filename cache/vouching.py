"""For which questions no curated answer fits, though a model's stored one has the same words: remembered for a while.

To judge whether one fits takes ten times as long as to find the same words. Decides nothing; time is passed in.
"""

from typing import Final, NamedTuple

_AGAIN_US: Final = 600_000_000
"""So long after none fitted, none is looked for again."""
_KNOWN_AT_MOST: Final = 10_000


class Asked(NamedTuple):
    """What decides, with the curated answers, whether one of them fits."""

    anchor_id: int
    """Of the model's answer."""
    output_limit: int | None
    max_age_s: int | None


class Unvouched:
    """Questions that no curated answer fits. Who stores another curated answer says `clear`: it may fit any of them."""

    def __init__(self) -> None:
        self._until_us: dict[Asked, int] = {}

    def has(self, asked: Asked, now_us: int) -> bool:
        return now_us < self._until_us.get(asked, 0)

    def add(self, asked: Asked, now_us: int) -> None:
        if len(self._until_us) >= _KNOWN_AT_MOST:
            self._until_us.clear()
        self._until_us[asked] = now_us + _AGAIN_US

    def clear(self) -> None:
        self._until_us.clear()
