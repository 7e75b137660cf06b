"""Batches on their way: joined by key, and given up only when nobody waits for any part."""

import asyncio
from collections.abc import Mapping

import pytest

from cache.batch_flights import BatchFlights
from cache.flights import FlightAbandoned


async def made(gate: asyncio.Event, *keys: bytes) -> Mapping[bytes, str]:
    await gate.wait()
    return {key: key.decode().upper() for key in keys}


async def failing(error: Exception) -> Mapping[bytes, str]:
    raise error


async def settled() -> None:
    """Whatever was ready to run has run."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_needs_what_is_being_made_finds_it_until_it_has_ended() -> None:
    flights: BatchFlights[str] = BatchFlights()
    gate = asyncio.Event()
    mine = flights.start([b"a", b"b"], made(gate, b"a", b"b"))

    assert flights.find([b"a", b"c"]) == {b"a": mine}
    gate.set()
    assert await flights.landed([mine]) == [{b"a": "A", b"b": "B"}]
    await settled()
    assert flights.find([b"a", b"b"]) == {}


async def test_several_are_waited_for_and_a_failure_is_told_beside_the_others() -> None:
    flights: BatchFlights[str] = BatchFlights()
    gate = asyncio.Event()
    gate.set()
    good, bad = flights.start([b"a"], made(gate, b"a")), flights.start([b"b"], failing(ValueError("no")))

    found = await flights.landed([good, bad])

    assert found[0] == {b"a": "A"}
    assert isinstance(found[1], ValueError)


async def test_it_goes_on_while_anybody_waits_and_ends_when_nobody_does() -> None:
    flights: BatchFlights[str] = BatchFlights()
    flight = flights.start([b"a"], made(asyncio.Event(), b"a"))
    first, second = (asyncio.create_task(flights.landed([flight])) for _ in range(2))
    await settled()

    first.cancel()
    await settled()
    assert flights.find([b"a"]) == {b"a": flight}

    second.cancel()
    await settled()
    assert flights.find([b"a"]) == {}


async def test_what_has_no_keys_is_found_by_nobody() -> None:
    flights: BatchFlights[str] = BatchFlights()
    gate = asyncio.Event()
    flight = flights.start([], made(gate, b"a"))

    assert flights.find([b"a"]) == {}
    gate.set()
    assert await flights.landed([flight]) == [{b"a": "A"}]


@pytest.mark.parametrize("grace_s", [0.0])
async def test_at_the_end_what_is_left_is_given_up(grace_s: float) -> None:
    flights: BatchFlights[str] = BatchFlights()
    flight = flights.start([b"a"], made(asyncio.Event(), b"a"))
    waiting = asyncio.create_task(flights.landed([flight]))
    await settled()

    await flights.drain(grace_s)

    (found,) = await waiting
    assert isinstance(found, FlightAbandoned)


async def test_what_is_hidden_comes_to_those_who_wait_and_is_found_by_nobody_else() -> None:
    flights: BatchFlights[str] = BatchFlights()
    gate = asyncio.Event()
    before = flights.start([b"a", b"b"], made(gate, b"a", b"b"))
    flights.hide()
    assert flights.find([b"a", b"b"]) == {}
    after = flights.start([b"a"], made(asyncio.Event(), b"a"))
    gate.set()
    assert await flights.landed([before]) == [{b"a": "A", b"b": "B"}]
    await settled()
    assert flights.find([b"a", b"b"]) == {b"a": after}
    await flights.drain(0)
