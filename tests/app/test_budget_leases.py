"""A stream that goes on for hours keeps its reservation; one whose provider and owner are silent loses it, and both end
up in the ledger as they are in the counters."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.gateway import Answer
from app.inbound import Inbound
from app.keys import Caller
from app.services import Services, open_services
from app.settings import from_mapping
from router.ledger.reader import verify
from router.surfaces import openai
from tests.app.provider import streamed
from tests.router.samples import AT

QUESTION = {"role": "user", "content": "Go on."}
BODY = json.dumps({"model": "gpt-5", "stream": True, "max_completion_tokens": 50, "messages": [QUESTION]}).encode()
PIECES = streamed(["one ", "two ", "three ", "four ", "five"])


class Dictated(httpx.AsyncBaseTransport):
    """A provider that sends the next event when it is told to."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue()

    def send(self, *events: bytes) -> None:
        for event in events:
            self._waiting.put_nowait(event)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=_Events(self._waiting))


class _Events(httpx.AsyncByteStream):
    def __init__(self, waiting: asyncio.Queue[bytes]) -> None:
        self._waiting = waiting

    async def __aiter__(self) -> AsyncIterator[bytes]:
        event = b""
        while not event.startswith(b"data: [DONE]"):
            event = await self._waiting.get()
            yield event


class Clock:
    def __init__(self) -> None:
        self.at = AT

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Dictated:
    return Dictated()


@pytest.fixture
async def services(tmp_path: Path, clock: Clock, provider: Dictated) -> AsyncIterator[Services]:
    settings = from_mapping(
        {"server": {"data_dir": str(tmp_path)}, "organisation": {"budget": {"usd": 10, "period": "day"}}}, "test", {}
    )
    async with open_services(settings, transports={"simulated": provider}, clock=clock) as services:
        yield services


async def ask(services: Services) -> Answer:
    async def never() -> None:
        await asyncio.Event().wait()

    inbound = Inbound(
        request_id="req_1",
        surface=openai,
        body=BODY,
        forwarded={},
        started_ns=time.perf_counter_ns(),
        cache_control="no-store",
        labels=None,
        conversation=None,
        end_user_key=b"key",
        disconnected=never,
    )
    return await services.gateway.answer(Caller("support", "faq", "prod", "key_1", "default"), inbound)


def spent_and_reserved(services: Services, at: datetime) -> tuple[int, int]:
    account = services.budgets.account(next(iter(services.budgets)), at)
    return account.spent_nano, account.reserved_nano


async def test_a_stream_that_goes_on_past_midnight_keeps_its_reservation_and_settles_in_its_own_day(
    services: Services, clock: Clock, provider: Dictated
) -> None:
    clock.at = AT.replace(hour=23, minute=30)
    provider.send(*PIECES[:2])
    answer = await ask(services)
    for piece in PIECES[2:-1]:
        clock.at += timedelta(minutes=10)
        provider.send(piece)
        for _ in range(100):  # until it has come through
            await asyncio.sleep(0)
        await services.upkeep.sweep()
        assert services.budgets.owners == {"req_1/1"}
    provider.send(PIECES[-1])

    async for _ in answer.events:
        pass

    assert clock.at.date() > AT.date()
    spent, reserved = spent_and_reserved(services, AT)
    assert spent > 0
    assert (reserved, services.budgets.owners) == (0, frozenset())
    assert spent_and_reserved(services, clock.at) == (0, 0)
    assert len(services.budgets.dead(clock.at + timedelta(days=9))) == 0


async def test_a_reservation_that_nobody_renews_expires_and_is_booked_in_full(
    services: Services, clock: Clock, provider: Dictated
) -> None:
    provider.send(*PIECES[:2])
    answer = await ask(services)
    await anext(answer.events)
    _, reserved = spent_and_reserved(services, AT)
    clock.at += timedelta(minutes=16)

    await services.upkeep.sweep()

    assert spent_and_reserved(services, AT) == (reserved, 0)
    assert (await services.upkeep.reconcile()).is_good
    provider.send(*PIECES[2:])
    async for _ in answer.events:  # it was alive after all: what it used is booked as well, here and in the ledger
        pass
    spent, _ = spent_and_reserved(services, AT)
    assert spent > reserved
    assert (await services.upkeep.reconcile()).is_good


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(hours=3), timedelta(hours=-3), timedelta(days=-400)])
async def test_a_clock_that_is_set_while_an_answer_comes_takes_no_reservation_and_no_money_away(
    services: Services, clock: Clock, provider: Dictated, jump: timedelta
) -> None:
    provider.send(*PIECES[:2])
    answer = await ask(services)
    await anext(answer.events)
    before = clock.at

    clock.at += jump
    services.upkeep.forgive_jump(before, 60.0)
    await services.upkeep.sweep()
    owners = services.budgets.owners
    provider.send(*PIECES[2:])
    async for _ in answer.events:
        pass

    spent, reserved = spent_and_reserved(services, before)
    assert owners == {"req_1/1"}
    assert (spent > 0, reserved, services.budgets.owners) == (True, 0, frozenset())
    assert (await services.upkeep.reconcile()).is_good
    assert verify(services.ledger_engine).problems == []


async def test_after_a_clock_was_set_and_set_back_requests_are_served_and_booked_as_ever(
    services: Services, clock: Clock, provider: Dictated
) -> None:
    for jump in (timedelta(days=3), timedelta(days=-3), timedelta(days=-40), timedelta(days=40)):
        clock.at += jump
        provider.send(*PIECES)
        async for _ in (await ask(services)).events:
            pass

    spent, reserved = spent_and_reserved(services, AT)
    assert (spent > 0, reserved) == (True, 0)
    assert (await services.upkeep.reconcile()).is_good
    assert verify(services.ledger_engine).problems == []


async def test_a_slow_minute_is_no_jump(services: Services, clock: Clock, provider: Dictated) -> None:
    provider.send(*PIECES[:2])
    answer = await ask(services)
    await anext(answer.events)
    before = clock.at
    clock.at += timedelta(minutes=16)

    services.upkeep.forgive_jump(before, 16 * 60.0 + 5)
    await services.upkeep.sweep()

    assert services.budgets.owners == frozenset()
    provider.send(*PIECES[2:])
    async for _ in answer.events:
        pass
