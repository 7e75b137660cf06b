"""Batches on their way: each makes several things at once, and whoever needs one of them joins it instead of asking.

A batch is a flight with one event, what it has made, by key. It ends early only when nobody waits for any part of it.
Refuses to know what is made, and what a key is made of.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from typing import Any, Generic, TypeVar

from cache.flights import Flight, land

Made = TypeVar("Made")


class BatchFlights(Generic[Made]):
    """All batches under way, found by the keys that others may join them for."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Flight[Mapping[bytes, Made]]] = {}
        self._under_way: set[Flight[Mapping[bytes, Made]]] = set()

    def find(self, keys: Iterable[bytes]) -> dict[bytes, Flight[Mapping[bytes, Made]]]:
        """Those of these keys that somebody is making."""
        return {key: flight for key in keys if (flight := self._by_key.get(key)) is not None}

    def start(
        self, keys: Iterable[bytes], making: Coroutine[Any, Any, Mapping[bytes, Made]]
    ) -> Flight[Mapping[bytes, Made]]:
        """Sets off what makes these; others find it until it has ended."""
        flight: Flight[Mapping[bytes, Made]] = Flight(is_kept=False)
        self._under_way.add(flight)
        self._by_key |= dict.fromkeys(keys, flight)
        flight.start(self._made(flight, making))
        return flight

    def hide(self) -> None:
        """From now on nobody finds what is under way; who waits for it gets it."""
        self._by_key = {}

    async def landed(
        self, flights: Iterable[Flight[Mapping[bytes, Made]]]
    ) -> list[Mapping[bytes, Made] | BaseException]:
        """What has come of each, in their order, once all have ended. Whoever gives up waiting leaves them all: what
        nobody else waits for is given up as well."""
        joined = list(flights)
        try:
            return await asyncio.gather(*(flight.first() for flight in joined), return_exceptions=True)
        finally:
            for flight in joined:
                flight.leave()

    async def drain(self, grace_s: float) -> None:
        """Waits for what is under way, then gives up what is left."""
        await land(list(self._under_way), grace_s)

    async def _made(
        self, flight: Flight[Mapping[bytes, Made]], making: Coroutine[Any, Any, Mapping[bytes, Made]]
    ) -> AsyncIterator[Mapping[bytes, Made]]:
        try:
            yield await making
        finally:
            self._under_way.discard(flight)
            self._by_key = {key: other for key, other in self._by_key.items() if other is not flight}
