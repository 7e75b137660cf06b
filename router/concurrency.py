"""How many calls a deployment carries at once, and who waits for a turn.

The limit adapts (AIMD): it falls by a part when the provider limits our rate or grows much slower under load, and
rises by one for every few good answers. Who finds it reached waits in a bounded queue, more
important requests first; whoever would wait too long is told at once. The time is passed in, in monotonic seconds.
"""

import asyncio
import bisect
from contextlib import suppress
from typing import Final

from router.errors import Overloaded

_AT_LEAST: Final = 2
_LESS_WHEN_LIMITED: Final = 0.7
_LESS_WHEN_SLOWER: Final = 0.9
_SLOWER_BY: Final = 2.0
"""Calls that take so many times as long as usual are the sign of a queue behind the provider's door."""
_BETWEEN_CUTS_S: Final = 0.5
_AS_USUAL: Final = 1.2
_ANSWERS_FOR_ONE_MORE: Final = 10.0
"""While answers come as usual: a limit that had fallen far must be back in a minute, not in an hour."""
_RECENT, _USUAL = 0.2, 0.002
"""How much of a mean one more call makes up. What is usual must outlast an overload."""


class AdaptiveLimit:
    """The number of calls that may be under way, between 2 and `at_most`, where it begins."""

    def __init__(self, at_most: int) -> None:
        self._at_most = float(at_most)
        self._at_least = float(min(_AT_LEAST, at_most))
        self._value = self._at_most
        self._recent_s = self._usual_s = 0.0
        self._cut_at = float("-inf")

    @property
    def value(self) -> int:
        return int(self._value)

    def answered(self, now: float, took_s: float, in_use: int) -> None:
        """A call was answered after `took_s`, or given up as late, while so many were under way."""
        if not self._usual_s:
            self._recent_s = self._usual_s = took_s
        self._recent_s += _RECENT * (took_s - self._recent_s)
        self._usual_s += _USUAL * (took_s - self._usual_s)
        is_used = in_use * 2 >= self._value  # an unused limit is no cause of anything
        if is_used and self._recent_s > _SLOWER_BY * self._usual_s:
            self._cut(now, _LESS_WHEN_SLOWER, between_s=max(self._recent_s, _BETWEEN_CUTS_S))
        elif is_used and self._value < self._at_most:
            is_usual = self._recent_s <= _AS_USUAL * self._usual_s
            answers = min(self._value, _ANSWERS_FOR_ONE_MORE) if is_usual else self._value
            self._value = min(self._value + 1.0 / answers, self._at_most)

    def limited(self, now: float) -> None:
        """The provider said that it is too much. Answers to one burst count once."""
        self._cut(now, _LESS_WHEN_LIMITED, between_s=_BETWEEN_CUTS_S)

    def _cut(self, now: float, factor: float, between_s: float) -> None:
        if now - self._cut_at >= between_s:
            self._value = max(self._value * factor, self._at_least)
            self._cut_at = now


class Slots:
    """The slots of one deployment and the queue for them. A lower `rank` is more important."""

    def __init__(self, limit: AdaptiveLimit, queue: int, queue_s: float) -> None:
        self.limit = limit
        self._queue = queue
        self._queue_s = queue_s
        self.in_use = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = 0
        self._held_s = 0.0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self) -> bool:
        """Takes a free slot; False if there is none, or others have waited for it."""
        if self.in_use >= self.limit.value or self._waiting:
            return False
        self.in_use += 1
        return True

    def would_refuse(self, rank: int) -> bool:
        """Whether a request of this rank would find neither a slot nor a place in the queue."""
        if self.in_use < self.limit.value and not self._waiting:
            return False
        is_last = not self._waiting or self._waiting[-1][0] <= rank
        return (self.waiting >= self._queue and is_last) or self.expected_s(rank) > self._queue_s

    async def wait(self, rank: int, at_most_s: float) -> None:
        """Waits for a slot and takes it. Raises Overloaded at once if that would take too long or the queue is full of
        requests that are as important, and later if one that is more important needs the place."""
        expected_s = self.expected_s(rank)
        at_most_s = min(at_most_s, self._queue_s)
        if expected_s > at_most_s or (self.waiting >= self._queue and not self._displaced(rank, expected_s)):
            raise Overloaded(max(expected_s, 1.0))
        turn = asyncio.get_running_loop().create_future()
        self._arrivals += 1
        entry = (rank, self._arrivals, turn)
        bisect.insort(self._waiting, entry)
        try:
            async with asyncio.timeout(at_most_s):
                await turn
        except TimeoutError:
            if not _has_slot(turn):
                raise Overloaded(max(self.expected_s(rank), 1.0)) from None
        except asyncio.CancelledError:
            if _has_slot(turn):
                self.give_back(0.0)
            raise
        finally:
            if not _has_slot(turn):
                with suppress(ValueError):  # it may have been sent away
                    self._waiting.remove(entry)

    def expected_s(self, rank: int) -> float:
        """How long a request of this rank would wait: as long as those before it and one more hold their slots."""
        before = bisect.bisect_left(self._waiting, (rank + 1,))
        return self._held_s * (before + 1) / max(self.limit.value, 1)

    def give_back(self, held_s: float) -> None:
        """A slot is free again after `held_s`; the most important one that waits gets it. 0 = it was never used."""
        if held_s:
            self._held_s += (_RECENT if self._held_s else 1.0) * (held_s - self._held_s)
        self.in_use -= 1
        while self._waiting and self.in_use < self.limit.value:
            _, _, turn = self._waiting.pop(0)
            if not turn.done():  # else it has been given up in this very moment
                self.in_use += 1
                turn.set_result(None)

    def _displaced(self, rank: int, expected_s: float) -> bool:
        """Sends away the last one in the queue, if it is less important."""
        if not self._waiting or self._waiting[-1][0] <= rank:
            return False
        _, _, turn = self._waiting.pop()
        if not turn.done():
            turn.set_exception(Overloaded(max(expected_s, 1.0)))
        return True


def _has_slot(turn: asyncio.Future[None]) -> bool:
    return turn.done() and not turn.cancelled() and turn.exception() is None
