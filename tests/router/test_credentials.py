"""Credentials that expire: new ones in good time, off the event loop, once for all who ask, and never shown."""

import asyncio
import math
import threading
from collections.abc import Callable

import pytest

from router.credentials import CredentialsUnavailable, Lease, Renewed

HOUR_S = 3600.0


class Source:
    """Gives `first`, `second` and so on, each for an hour from the time it is asked, unless it is told otherwise."""

    def __init__(self) -> None:
        self.now_s = 1_750_000_000.0
        self.lasts_s = HOUR_S
        self.fetched: list[bool] = []
        self.failure: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.threads: set[int] = set()

    def fetch(self, was_turned_down: bool) -> Lease:
        self.threads.add(threading.get_ident())
        assert self.may_answer.wait(20)
        self.fetched.append(was_turned_down)
        if self.failure is not None:
            raise self.failure
        return Lease(f"secret-{len(self.fetched)}", self.now_s + self.lasts_s)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def renewed(source: Source) -> Renewed:
    return Renewed(source.fetch, lambda: source.now_s)


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110  the other side is a thread
            await asyncio.sleep(0.001)


async def test_nothing_is_fetched_before_somebody_asks_and_then_once_for_all(source: Source, renewed: Renewed) -> None:
    assert source.fetched == []

    assert await asyncio.gather(*(renewed.current() for _ in range(20))) == ["secret-1"] * 20
    source.now_s += HOUR_S / 2
    assert await renewed.current() == "secret-1"

    assert len(source.fetched) == 1
    assert threading.get_ident() not in source.threads


async def test_before_the_end_new_ones_are_fetched_while_the_old_ones_serve(source: Source, renewed: Renewed) -> None:
    await renewed.current()
    source.may_answer.clear()
    source.now_s += HOUR_S - 10 * 60

    assert [await renewed.current() for _ in range(5)] == ["secret-1"] * 5
    source.may_answer.set()
    await until(lambda: len(source.fetched) == 2)

    async with asyncio.timeout(20):
        while await renewed.current() != "secret-2":  # noqa: ASYNC110  the other side is a thread
            await asyncio.sleep(0)
    assert len(source.fetched) == 2


async def test_after_the_end_everybody_waits_for_the_same_new_ones(source: Source, renewed: Renewed) -> None:
    await renewed.current()
    source.now_s += HOUR_S

    assert await asyncio.gather(*(renewed.current() for _ in range(5))) == ["secret-2"] * 5
    assert len(source.fetched) == 2


async def test_shortly_before_the_end_they_are_not_used_any_more(source: Source, renewed: Renewed) -> None:
    await renewed.current()
    source.now_s += HOUR_S - 29

    assert await renewed.current() == "secret-2"


@pytest.mark.parametrize("lasts_s", [20.0, 0.0, -5.0])
async def test_what_lasts_for_a_moment_only_is_fetched_every_time(
    source: Source, renewed: Renewed, lasts_s: float
) -> None:
    source.lasts_s = lasts_s
    found = []
    for _ in range(3):
        found.append(await renewed.current())
        source.now_s += 1.0

    assert found[0] == "secret-1"
    assert (found[2] == "secret-3") is (lasts_s <= 0)


async def test_a_failure_is_nothing_while_the_old_ones_are_good(source: Source, renewed: Renewed) -> None:
    await renewed.current()
    source.failure = OSError("no route")
    source.now_s += HOUR_S - 10 * 60

    assert await renewed.current() == "secret-1"
    await until(lambda: len(source.fetched) == 2)
    assert await renewed.current() == "secret-1"

    source.now_s += HOUR_S
    with pytest.raises(CredentialsUnavailable):
        await renewed.current()


async def test_without_any_the_failure_is_told_by_its_name_only_and_not_provoked_again_at_once(
    source: Source, renewed: Renewed
) -> None:
    source.failure = ValueError("the file says secret-0")

    for _ in range(3):
        with pytest.raises(CredentialsUnavailable) as failed:
            await renewed.current()
        assert str(failed.value) == "ValueError"
        assert failed.value.__cause__ is None
    assert len(source.fetched) == 1

    source.failure = None
    source.now_s += 3
    assert await renewed.current() == "secret-2"


async def test_what_was_turned_down_is_fetched_anew_but_not_every_time(source: Source, renewed: Renewed) -> None:
    renewed.doubt(await renewed.current())
    assert await renewed.current() == "secret-2"
    assert source.fetched == [False, True]

    renewed.doubt("secret-1")  # a late answer to an old call
    renewed.doubt("secret-2")  # right after the first time
    assert await renewed.current() == "secret-2"

    source.now_s += 61
    renewed.doubt("secret-2")
    assert await renewed.current() == "secret-3"


async def test_whoever_stops_waiting_takes_nothing_from_the_others(source: Source, renewed: Renewed) -> None:
    source.may_answer.clear()
    leaving, staying = (asyncio.create_task(renewed.current()) for _ in range(2))
    await until(lambda: source.threads)
    leaving.cancel()
    source.may_answer.set()

    assert await staying == "secret-1"


def test_those_without_an_end_are_looked_at_again_and_none_is_shown() -> None:
    assert Lease("secret", math.inf).renewed_from_s(1000.0) == 1300.0
    assert Lease("secret", 1000.0 + HOUR_S).renewed_from_s(1000.0) == 1000.0 + HOUR_S - 14 * 60
    assert Lease("secret", 1060.0).renewed_from_s(1000.0) == 1030.0
    assert "secret" not in repr(Lease("secret", math.inf))
