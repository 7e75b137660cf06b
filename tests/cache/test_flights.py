"""Answers on their way: who sees what, and when the work goes on or stops."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from cache.flights import Flight, FlightAbandoned


class Source:
    """Events that the test sends one by one, and what became of it."""

    def __init__(self) -> None:
        self.has_begun = False
        self.has_ended = False
        self.was_cancelled = False
        self._queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue()

    def send(self, *events: str | BaseException | None) -> None:
        """Events, an exception to fail with, None for the end."""
        for event in events:
            self._queue.put_nowait(event)

    async def events(self) -> AsyncIterator[str]:
        self.has_begun = True
        try:
            while (event := await self._queue.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        finally:
            await asyncio.sleep(0)  # a real source closes its connection here
            self.has_ended = True


@pytest.fixture
def source() -> Source:
    return Source()


def started(source: Source, *, is_kept: bool = True) -> Flight[str]:
    flight: Flight[str] = Flight(is_kept=is_kept)
    flight.start(source.events())
    return flight


async def all_of(flight: Flight[str]) -> list[str]:
    return [event async for event in flight.follow()]


async def ended(flight: Flight[str]) -> None:
    async with asyncio.timeout(10):
        await flight.join()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  what is waited for is the state of tasks, not an event of ours
            await asyncio.sleep(0)


# --- Events -------------------------------------------------------------------------------------------------


async def test_everyone_sees_every_event_in_order(source: Source) -> None:
    flight = started(source)
    followers = [asyncio.create_task(all_of(flight)) for _ in range(3)]
    for event in "abc":
        await asyncio.sleep(0)
        source.send(event)
    source.send(None)
    assert await asyncio.gather(*followers) == [["a", "b", "c"]] * 3


async def test_who_joins_late_sees_all_from_the_first_event_on(source: Source) -> None:
    flight = started(source)
    source.send("a", "b")
    assert await flight.first() == "a"
    late = asyncio.create_task(all_of(flight))
    await asyncio.sleep(0)
    source.send("c", None)
    assert await late == ["a", "b", "c"]
    assert await all_of(flight) == ["a", "b", "c"]  # even after the end


async def test_events_are_passed_on_as_they_come(source: Source) -> None:
    flight = started(source)
    events = flight.follow()
    source.send("a")
    assert await anext(events) == "a"
    source.send("b")
    assert await anext(events) == "b"
    source.send(None)
    assert [event async for event in events] == []


async def test_a_slow_follower_holds_up_nobody(source: Source) -> None:
    flight = started(source)
    slow = flight.follow()
    source.send("a")
    assert await anext(slow) == "a"
    source.send("b", "c", None)
    assert await all_of(flight) == ["a", "b", "c"]
    assert [event async for event in slow] == ["b", "c"]


async def test_whole_waits_for_the_last_event(source: Source) -> None:
    flight = started(source)
    whole = asyncio.create_task(flight.whole())
    source.send("a")
    assert await flight.first() == "a"
    await asyncio.sleep(0)
    assert not whole.done()
    source.send("b", None)
    await whole
    assert await all_of(flight) == ["a", "b"]


async def test_an_answer_without_events_has_no_first_one(source: Source) -> None:
    flight = started(source)
    source.send(None)
    with pytest.raises(RuntimeError, match="without an event"):
        await flight.first()
    assert await all_of(flight) == []


# --- Failure ------------------------------------------------------------------------------------------------


async def test_the_leaders_failure_reaches_all_after_the_events_before_it(source: Source) -> None:
    flight = started(source)
    seen: list[list[str]] = [[], []]

    async def follow(into: list[str]) -> None:
        async for event in flight.follow():
            into.append(event)

    followers = [asyncio.create_task(follow(into)) for into in seen]
    source.send("a", ConnectionError("gone"))
    outcomes = await asyncio.gather(*followers, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["gone", "gone"]
    assert seen == [["a"], ["a"]]
    with pytest.raises(ConnectionError):
        await all_of(flight)


async def test_a_failure_after_the_first_event_is_raised_by_whole(source: Source) -> None:
    flight = started(source)
    source.send("a", ConnectionError("gone"))
    with pytest.raises(ConnectionError):
        await flight.whole()


async def test_a_failure_before_the_first_event_is_raised_by_first(source: Source) -> None:
    flight = started(source)
    source.send(ConnectionError("refused"))
    with pytest.raises(ConnectionError, match="refused"):
        await flight.first()


async def test_a_flight_that_has_failed_is_not_to_be_joined(source: Source) -> None:
    flight = started(source)
    assert flight.is_open
    source.send("a", ConnectionError())
    await ended(flight)
    assert not flight.is_open


async def test_a_flight_that_has_ended_well_may_still_be_joined(source: Source) -> None:
    flight = started(source)
    source.send("a", None)
    await ended(flight)
    assert flight.is_open


# --- Leaving ------------------------------------------------------------------------------------------------


async def test_a_follower_who_is_cancelled_harms_nobody(source: Source) -> None:
    flight = started(source, is_kept=False)
    leaving, staying = (asyncio.create_task(all_of(flight)) for _ in range(2))
    source.send("a")
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    flight.leave()
    source.send("b", None)
    assert await staying == ["a", "b"]
    assert not source.was_cancelled


async def test_when_nobody_is_left_an_answer_that_is_not_kept_is_given_up(source: Source) -> None:
    flight = started(source, is_kept=False)
    follower = asyncio.create_task(all_of(flight))
    source.send("a")
    await until(lambda: source.has_begun)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    flight.leave()
    await ended(flight)
    assert source.was_cancelled
    assert source.has_ended
    assert not flight.is_open


async def test_when_nobody_is_left_an_answer_that_is_kept_is_finished(source: Source) -> None:
    flight = started(source, is_kept=True)
    follower = asyncio.create_task(all_of(flight))
    source.send("a")
    await until(lambda: source.has_begun)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    flight.leave()
    source.send("b", None)
    await ended(flight)
    assert not source.was_cancelled
    assert await all_of(flight) == ["a", "b"]


async def test_who_only_waited_for_the_first_event_is_not_counted_as_listening(source: Source) -> None:
    flight = started(source, is_kept=False)
    source.send("a")
    await flight.first()
    flight.leave()
    await ended(flight)
    assert source.was_cancelled
    assert source.has_ended


async def test_as_long_as_one_listens_leaving_changes_nothing(source: Source) -> None:
    flight = started(source, is_kept=False)
    events = flight.follow()
    source.send("a")
    await anext(events)
    flight.leave()
    source.send("b", None)
    assert [event async for event in events] == ["b"]
    assert not source.was_cancelled


async def test_leaving_after_the_end_does_no_harm(source: Source) -> None:
    flight = started(source, is_kept=False)
    source.send("a", None)
    await ended(flight)
    flight.leave()
    assert await all_of(flight) == ["a"]


async def test_cancel_ends_the_work_whoever_waits_and_tells_them(source: Source) -> None:
    flight = started(source, is_kept=True)
    follower = asyncio.create_task(all_of(flight))
    await until(lambda: source.has_begun)
    flight.cancel()
    await ended(flight)
    with pytest.raises(FlightAbandoned):
        await follower
    assert source.has_ended


async def test_a_flight_cancelled_at_once_still_closes_its_source_and_tells_its_followers(source: Source) -> None:
    flight = started(source)
    flight.cancel()
    with pytest.raises(FlightAbandoned):
        await asyncio.wait_for(flight.first(), 10)
    await ended(flight)
    assert source.has_begun
    assert source.has_ended


async def test_a_flight_that_never_started_can_be_left_cancelled_and_joined() -> None:
    flight: Flight[str] = Flight(is_kept=False)
    flight.leave()
    flight.cancel()
    await ended(flight)
    assert flight.is_open


# --- Joining the task ---------------------------------------------------------------------------------------


async def test_join_waits_for_the_end_of_the_work(source: Source) -> None:
    flight = started(source)
    joining = asyncio.create_task(flight.join())
    source.send("a")
    await flight.first()
    assert not joining.done()
    source.send(None)
    await joining
    assert source.has_ended


async def test_who_is_cancelled_while_joining_stays_cancelled_and_the_work_goes_on(source: Source) -> None:
    flight = started(source)
    joining = asyncio.create_task(flight.join())
    await until(lambda: source.has_begun)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining
    source.send("a", None)
    assert await all_of(flight) == ["a"]


async def test_no_task_is_left_behind(source: Source) -> None:
    others = asyncio.all_tasks()
    for ending in (None, ConnectionError()):
        flight = started(source)
        follower = asyncio.create_task(all_of(flight))
        source.send("a", ending)
        await asyncio.gather(follower, return_exceptions=True)
        await ended(flight)
    given_up = started(source, is_kept=False)
    source.send("a")
    await given_up.first()
    given_up.leave()
    await ended(given_up)
    await until(lambda: asyncio.all_tasks() == others)
