"""Whether the process is so late with what it has to do that it had better take on less. Pure: times are passed in, in
monotonic seconds.

All requests share one event loop. When more come than the processor carries, each of its rounds takes longer, and every
answer and every refusal waits for the round's end. How long a round is, is told by the processor time of its work: time
in which others had the processor cannot be won back by turning somebody away. As in CoDel (RFC 8289) one long round is
no overload: only if none was short for an interval. From then on, until all has been calm for a while,

- a request is turned away while the last round was longer than its patience, so that rounds stay about as long as that,
- and after a round that was long, hardly more come in than have left lately: what comes within one round is only felt
  in the next ones.

Who is less important has less patience and leaves more room for others, and so goes without first.
"""

from typing import Final

SHORT_S: Final = 0.020
"""A round that takes no longer keeps nobody waiting."""
_INTERVAL_S: Final = 0.5
_CALM_S: Final = 1.0
"""So long no round was long: the overload is over."""
_LEAST_S: Final = 0.025
_MORE_S: Final = 0.005
"""The patience of those who go without first, and how much more each step of importance has."""
_STEPS: Final = 6
_WINDOW_S: Final = 0.25
_MORE_THAN_LEFT: Final = 1.25
"""So that the pace can rise again; what is too much makes rounds long, and is turned away then."""
_PACE_AT_LEAST: Final = 20.0
_BURST_S: Final = 0.05
"""What was not taken of the pace may be caught up for so long."""
_KEPT_FREE: Final = 0.08
"""Of a burst, by each step of less importance, for those who are more important."""


class Lateness:
    """How long the rounds of the event loop take, and who comes in meanwhile."""

    def __init__(self) -> None:
        self.round_s = 0.0
        """The work of the last one."""
        self.is_overload = False
        self._long_since: float | None = None
        self._long_at = float("-inf")
        self._left = 0
        self._window_began = 0.0
        self._left_per_s = 0.0
        self._room = 0.0
        self._room_at = 0.0

    def took(self, round_s: float, now: float) -> None:
        """A round of the event loop has ended that was so much work."""
        self.round_s = round_s
        self._note_pace(now)
        if round_s <= SHORT_S:
            self._long_since = None
            self.is_overload = self.is_overload and now - self._long_at < _CALM_S
            return
        self._long_at = now
        if self._long_since is None:
            self._long_since = now
        elif now - self._long_since >= _INTERVAL_S:
            self.is_overload = True

    def left(self) -> None:
        """A request that had come in is done with."""
        self._left += 1

    def comes_in(self, place: int, now: float) -> bool:
        """Whether a request may come in now; it counts. 0 is the most important place of all."""
        if not self.is_overload:
            return True
        pace = max(_MORE_THAN_LEFT * self._left_per_s, _PACE_AT_LEAST)
        burst = max(pace * _BURST_S, 1.0)
        self._room = min(self._room + (now - self._room_at) * pace, burst)
        self._room_at = now
        kept_free = burst * _KEPT_FREE * min(place, _STEPS)
        is_long = self.round_s > SHORT_S
        if self.round_s > patience_s(place) or (is_long and self._room < min(1.0 + kept_free, burst)):
            return False
        self._room = max(self._room - 1.0, 0.0)
        return True

    def _note_pace(self, now: float) -> None:
        passed_s = now - self._window_began
        if passed_s >= _WINDOW_S:
            self._left_per_s = (self._left_per_s + self._left / passed_s) / 2
            self._left, self._window_began = 0, now


def patience_s(place: int) -> float:
    """How long rounds may get, before a request of this importance adds no more to them."""
    return _LEAST_S + _MORE_S * (_STEPS - min(place, _STEPS))
