"""Which entry goes first when there is no room: one whose time is over, else the one that saves least per byte."""

import heapq
import itertools
from collections.abc import Generator
from typing import Final

from msgspec import Struct

_MINUTE_US: Final = 60_000_000


class _Standing(Struct, gc=False):
    worth: int
    bytes: int
    stays: bool
    clock: float
    """That of the ranking when it was last used."""
    turn: int
    """Of its one valid place in the queue."""
    hits: int = 1

    @property
    def priority(self) -> float:
        return self.clock + self.hits * self.worth / max(self.bytes, 1)


class Ranking:
    """Which entry should go first: Greedy-Dual-Size-Frequency (Cherkasova, "Improving WWW Proxies Performance with
    Greedy-Dual-Size-Frequency Caching Policy", HP Labs HPL-98-69, 1998): priority = clock + hits * worth / bytes.
    The clock is the priority of what went last, so that what is no longer used falls behind by itself.

    The queue is lazy: a hit changes no place in it, only what comes up has its place corrected. Every operation takes
    O(log n), amortised. Hits are counted since the start of the process."""

    def __init__(self) -> None:
        self._standings: dict[str, _Standing] = {}
        self._queue: list[tuple[float, int, str]] = []
        self._clock = 0.0
        self._turns = itertools.count()
        self.bytes = 0
        self.staying = 0
        self.staying_bytes = 0

    def add(self, entry_id: str, worth: int, size: int, *, stays: bool) -> None:
        """One that stays is never among the `cheapest`."""
        self._standings[entry_id] = _Standing(max(worth, 1), 0, stays, self._clock, -1)
        self.staying += stays
        self.grow(entry_id, size)

    def keep(self, entry_id: str, stays: bool) -> None:
        """Whether it stays, from now on."""
        standing = self._standings[entry_id]
        if standing.stays == stays:
            return
        standing.stays = stays
        self.staying += 1 if stays else -1
        self.staying_bytes += standing.bytes if stays else -standing.bytes
        if stays:
            standing.turn = -1  # of no place in the queue
        else:
            self._push(entry_id, standing)

    def grow(self, entry_id: str, size: int) -> None:
        """So many bytes more."""
        standing = self._standings[entry_id]
        standing.bytes += size
        self.bytes += size
        if standing.stays:
            self.staying_bytes += size
        else:  # its priority falls, and places are only ever corrected upwards
            self._push(entry_id, standing)

    def hit(self, entry_id: str) -> None:
        standing = self._standings[entry_id]
        standing.hits += 1
        standing.clock = self._clock

    def drop(self, entry_id: str) -> None:
        standing = self._standings.pop(entry_id)
        self.bytes -= standing.bytes
        if standing.stays:
            self.staying -= 1
            self.staying_bytes -= standing.bytes

    def stays(self, entry_id: str) -> bool:
        return self._standings[entry_id].stays

    def bytes_of(self, entry_id: str) -> int:
        return self._standings[entry_id].bytes

    def advance(self, entry_id: str) -> None:
        """This one goes: the clock moves to its priority."""
        self._clock = max(self._clock, self._standings[entry_id].priority)

    def cheapest(self) -> Generator[str]:
        """Entries by rising priority, none of those that stay. Changes nothing; close it when done."""
        shown = []
        try:
            while self._queue:
                priority, turn, entry_id = heapq.heappop(self._queue)
                standing = self._standings.get(entry_id)
                if standing is None or standing.turn != turn:
                    continue
                if standing.priority > priority:
                    self._push(entry_id, standing)
                    continue
                shown.append((priority, turn, entry_id))
                yield entry_id
        finally:
            for place in shown:
                heapq.heappush(self._queue, place)

    def _push(self, entry_id: str, standing: _Standing) -> None:
        standing.turn = next(self._turns)
        heapq.heappush(self._queue, (standing.priority, standing.turn, entry_id))
        if len(self._queue) > 2 * len(self._standings) + 64:
            self._queue = [
                place
                for place in self._queue
                if (owner := self._standings.get(place[2])) is not None and owner.turn == place[1]
            ]
            heapq.heapify(self._queue)


class Expiries:
    """Which entries' time is over, by the minute in which it ends: a set of ids takes less memory than a place in a
    queue for each. Knows one up to a minute late."""

    def __init__(self) -> None:
        self._ending: dict[int, set[str]] = {}
        """Minute -> what ends in it; none is empty."""
        self._minutes: list[int] = []
        """A heap of them, and of some that have gone; one that has come again is there twice."""

    def add(self, entry_id: str, expires_us: int) -> None:
        minute = _minute_after(expires_us)
        if minute in self._ending:
            self._ending[minute].add(entry_id)
            return
        self._ending[minute] = {entry_id}
        heapq.heappush(self._minutes, minute)
        if len(self._minutes) > 2 * len(self._ending) + 64:
            self._minutes = list(self._ending)
            heapq.heapify(self._minutes)

    def drop(self, entry_id: str, expires_us: int) -> None:
        """`expires_us` as it was added."""
        minute = _minute_after(expires_us)
        self._ending[minute].remove(entry_id)
        if not self._ending[minute]:
            del self._ending[minute]

    def over(self, now_us: int) -> Generator[str]:
        """Entries whose time is over, the oldest first. Changes nothing; close it when done."""
        shown: list[int] = []
        try:
            while self._minutes and self._minutes[0] * _MINUTE_US <= now_us:
                minute = heapq.heappop(self._minutes)
                if minute in self._ending and minute not in shown[-1:]:
                    shown.append(minute)
                    yield from self._ending[minute]
        finally:
            for minute in shown:
                heapq.heappush(self._minutes, minute)


def _minute_after(expires_us: int) -> int:
    return -(-expires_us // _MINUTE_US)
