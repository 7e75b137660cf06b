"""Answers on their way: whoever asks the same while one is being made joins it instead of asking upstream.

The leader's work runs in a task of its own, so that its client may leave without hurting the followers.
Events are opaque here; a flight only keeps, passes on and ends.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing, suppress
from typing import Any, Generic, TypeVar

Event = TypeVar("Event")


class Flight(Generic[Event]):
    """One answer being made. Everyone who follows sees every event from the first one on."""

    def __init__(self, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        """Whether the answer is wanted even when all clients have gone (the cache will store it)."""
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._has_ended = False
        self._wake: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._listeners = 0
        self.about: Any = None
        """What the leader knows of its answer; opaque here."""

    @property
    def is_open(self) -> bool:
        """Whether joining still makes sense: it has not failed."""
        return self._error is None

    def start(self, source: AsyncIterator[Event]) -> None:
        """Begins to pull the events from `source` in a task of its own."""
        self._task = asyncio.create_task(self._pull(source))

    async def first(self) -> Event:
        """Waits for the first event. Raises what made the flight fail before it."""
        async with aclosing(self.follow()) as events:  # type: ignore[type-var]
            async for event in events:
                return event
        raise RuntimeError("a flight ended without an event and without an error")

    async def whole(self) -> None:
        """Waits until all events have come. Raises what made the flight fail."""
        async with aclosing(self.follow()) as events:  # type: ignore[type-var]
            async for _ in events:
                pass

    async def follow(self) -> AsyncIterator[Event]:
        """All events from the first one on, as they come. Raises what made the flight fail."""
        position = 0
        self._listeners += 1
        try:
            while True:
                while position < len(self._events):
                    yield self._events[position]
                    position += 1
                if self._has_ended:
                    break
                await self._woken()
            if self._error is not None:
                raise self._error
        finally:
            self._listeners -= 1

    def leave(self) -> None:
        """Says that a client has gone: if nobody else listens and the answer is not kept, upstream is closed."""
        if self._listeners == 0 and not self._is_kept and not self._has_ended:
            self.cancel()

    def cancel(self) -> None:
        """Ends the work at once, whoever waits for it."""
        if self._task is not None:
            # Not before its first step, else neither the source nor the followers would ever hear of it.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    async def join(self) -> None:
        """Waits until the work has ended, however it ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _pull(self, source: AsyncIterator[Event]) -> None:
        try:
            async for event in source:
                self._events.append(event)
                self._notify()
        except Exception as error:  # noqa: BLE001  whatever it is, those who follow must be told
            self._error = error
        except asyncio.CancelledError:
            self._error = FlightAbandoned("the answer was given up because nobody waited for it any more")
            raise
        finally:
            self._end()

    def _end(self) -> None:
        self._has_ended = True
        self._notify()

    def _notify(self) -> None:
        for future in self._wake:
            if not future.done():
                future.set_result(None)
        self._wake.clear()

    async def _woken(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._wake.add(future)
        try:
            await future
        finally:
            self._wake.discard(future)


async def land(flights: Collection[Flight[Any]], grace_s: float) -> None:
    """Waits for these to end, and ends by itself those that take longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await asyncio.gather(*(flight.join() for flight in flights))
    for flight in flights:
        flight.cancel()
    await asyncio.gather(*(flight.join() for flight in flights))


class FlightAbandoned(Exception):
    """Nobody waited for the answer any more."""
