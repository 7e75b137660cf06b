"""The keys of one deployment: which one the next call uses, and which ones rest.

Knows no clock: the time is passed in, in monotonic seconds. A key's value is never shown; it goes by its place in the
configuration and a piece of its hash.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

_REST_AT_MOST_S: Final = 3600.0
"""However long a provider asks to be left alone: a wrong header must not cost a key for good."""
_REFUSED_OFTEN: Final = 3
"""So many refusals (403) in a row are about the key; a single one may be about what was asked."""

# First rest and longest one, in seconds, where the provider does not say how long; it doubles from time to time.
_RESTS_S: Final = {401: (10.0, 300.0), 402: (10.0, 300.0), 403: (1.0, 300.0), 429: (1.0, 60.0)}
REJECTS_KEY: Final = frozenset(_RESTS_S)
"""The statuses with which a provider turns down the key, and not the request."""


class Key(Struct, eq=False):
    """One key and how it fares. `value` is None for a provider that wants none."""

    name: str
    value: str | None
    in_use: int = 0
    taken: int = 0
    """When it was last taken, as a count of all takings."""
    rests_until: float = 0.0
    rejections: int = 0
    """In a row."""
    is_dead: bool = False
    """The provider does not accept it: an alarm, until a call with it succeeds."""

    def __repr__(self) -> str:
        return f"Key({self.name})"


class KeyState(Struct, frozen=True):
    """A key, as operators see it."""

    name: str
    in_use: int
    rests_s: float
    is_dead: bool


class KeyPool:
    """All keys of a deployment, least loaded first; among equals the one that was longest unused."""

    def __init__(self, values: Sequence[str]) -> None:
        self._keys = [Key(_name(at, value), value) for at, value in enumerate(values)] or [Key("no key", None)]
        self._taken = 0

    def take(self, now: float) -> Key | None:
        """The key for the next call; None while all rest. Give it back afterwards."""
        best = None
        for key in self._keys:
            if key.rests_until <= now and (best is None or (key.in_use, key.taken) < (best.in_use, best.taken)):
                best = key
        if best is not None:
            self._taken += 1
            best.in_use += 1
            best.taken = self._taken
        return best

    def give_back(self, key: Key) -> None:
        key.in_use -= 1

    def has_one(self, now: float) -> bool:
        return any(key.rests_until <= now for key in self._keys)

    def rests_s(self, now: float) -> float:
        """Seconds until the first key is back; 0 if one is there."""
        return max(min(key.rests_until for key in self._keys) - now, 0.0)

    def accepted(self, key: Key, now: float) -> None:
        """A call with this key has succeeded. One that rests by now had been sent before: it goes on resting."""
        if key.rejections and key.rests_until <= now:
            key.rejections = 0
            key.is_dead = False

    def rejected(self, key: Key, status: int, pause_s: float | None, now: float) -> bool:
        """The provider turned the key down, with a status of `REJECTS_KEY`; it rests for as long as the provider
        says, else longer each time. Whether this is the news of its death."""
        if key.rests_until <= now:  # else this is one of many calls that had been under way with it
            key.rejections += 1
        first_s, longest_s = _RESTS_S[status]
        rest_s = min(first_s * 2.0 ** min(max(key.rejections, 1) - 1, 16), longest_s)
        if pause_s is not None:
            rest_s = min(pause_s, _REST_AT_MOST_S) if status == 429 else max(rest_s, min(pause_s, _REST_AT_MOST_S))
        key.rests_until = max(key.rests_until, now + rest_s)
        was_dead = key.is_dead
        key.is_dead = was_dead or status in (401, 402) or (status == 403 and key.rejections >= _REFUSED_OFTEN)
        return key.is_dead and not was_dead

    def forgive(self) -> None:
        """Every key may be used at once: somebody has mended what was wrong."""
        for key in self._keys:
            key.rests_until, key.rejections, key.is_dead = 0.0, 0, False

    def states(self, now: float) -> list[KeyState]:
        return [KeyState(key.name, key.in_use, max(key.rests_until - now, 0.0), key.is_dead) for key in self._keys]


def _name(at: int, value: str) -> str:
    return f"#{at + 1} ({hashlib.sha256(value.encode()).hexdigest()[-4:]})"
