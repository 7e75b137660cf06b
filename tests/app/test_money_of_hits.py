"""The money of hits: what they save, and what is paid beside them, also if that fails or is given up."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.calls import Calls
from app.errors import ClientGone
from app.exchange import Exchange
from app.warming import Curated
from eval.savings import Filters, report_of
from router.chat import ChatEvent
from router.ledger.reader import open_reservations, verify
from router.upstream import OpenCall
from tests.app.in_process import CALLER, PRICES, InProcess, Upstream, answered, in_process, models, soon

WORDINGS = ("How do I reset my password?", "How can I reset a password?", "How could I reset my password?")
NEAR = "How can I reset my password?"
RIGHT = "Choose “Forgot password” on the sign-in page and follow the link that we email you within 5 minutes."
DIFFERENTLY_WORDED = (
    "Open the sign-in page, use the option for a lost password, and open the link in the message we send."
)
COST = 12 * 10_000 + 7 * 40_000
"""Of one answer of `large`."""
BRIEF = {"max_completion_tokens": 8}

pytestmark = pytest.mark.usefixtures("encoder_folder")


def audited(**given: Any) -> dict[str, Any]:
    """A route of which every semantic hit is audited."""
    return {"default": {"models": list(PRICES), "cache": {"start": "prior", "audit_share": 1.0}, **given}}


def organisation(usd: float, **given: Any) -> dict[str, Any]:
    never_rationed = {"mid_from": 2.0, "economy_from": 3.0, "pacing": False}
    return {"budget": {"usd": usd, "period": "month", **never_rationed, **given}}


async def teach(gateway: InProcess, **fields: Any) -> None:
    """Stores one answer to three wordings of a question, so that a fourth is served. Afterwards no call is noted."""
    upstream, reply = gateway.upstream, gateway.upstream.reply
    upstream.reply = lambda asked: answered(RIGHT)
    for wording in WORDINGS:
        await gateway.ask(wording, cache_control="no-cache", **fields)
    await gateway.services.cache.settle()
    upstream.reply, upstream.asked = reply, []


async def hit(gateway: InProcess, **fields: Any) -> str:
    """Asks what is served from the cache and audited; the request's id."""
    exchange, _ = await gateway.ask(NEAR, **fields)
    assert exchange.lookup.disposition == "semantic"
    return exchange.request_id


def balances(gateway: InProcess) -> None:
    """Counters are what the ledger says, its rows verify, and the report's parts add up, with all overhead in them."""
    assert verify(gateway.services.ledger_engine).problems == []
    rows = gateway.rows()
    total = report_of(rows, Filters()).total  # raises where anything disagrees
    assert total.overhead_nano == sum(row.actual_nano or 0 for row in rows if row.kind != "request")
    assert open_reservations(gateway.services.ledger_engine) == 0


# --- Calls that fail --------------------------------------------------------------------------------------------


async def test_what_a_failed_audit_may_have_cost_stays_in_the_part_for_audits_after_a_restart(tmp_path: Path) -> None:
    def late(asked: dict[str, Any]) -> httpx.Response:
        raise httpx.ReadTimeout("nobody knows whether it was billed")

    given = {"routes": audited(), "organisation": organisation(100, audits_share=0.5)}
    async with in_process(tmp_path, Upstream(late), **given) as gateway:
        await teach(gateway)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway))
        attempts = gateway.rows(kind="attempt", request_id=audit.request_id)
        paid = sum(row.actual_nano or 0 for row in attempts)
        assert paid > 0
        assert {row.overhead_reason for row in attempts} == {"audit"}
        compared = await gateway.services.upkeep.reconcile()
        assert {each.name: each.ledger_nano for each in compared.budgets}["organisation/audits"] == paid
        assert compared.is_good
        balances(gateway)

    async with in_process(tmp_path, Upstream(late), **given) as gateway:
        compared = await gateway.services.upkeep.reconcile()
        assert {each.name: each.counter_nano for each in compared.budgets}["organisation/audits"] == paid
        assert compared.is_good


async def test_an_audit_asks_no_other_model_when_its_own_fails(tmp_path: Path) -> None:
    def broken(asked: dict[str, Any]) -> httpx.Response:
        return httpx.Response(500) if asked["model"] == "large" else answered("By hand.")

    async with in_process(tmp_path, Upstream(broken), routes=audited()) as gateway:
        await teach(gateway)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway))
        assert (audit.status, audit.verdict) == ("upstream_error", None)
        assert {asked["model"] for asked in gateway.upstream.asked} == {"large"}
        balances(gateway)


@pytest.mark.parametrize(
    ("cap", "limit", "verdict"),
    [(300, None, "same"), (100, 1000, "same"), (1, None, None)],
    ids=["its part holds the longest answer", "its part holds one like it", "its part holds none"],
)
async def test_an_audit_without_a_limit_is_given_one_if_its_part_does_not_hold_the_longest_answer(
    tmp_path: Path, cap: float, limit: int | None, verdict: str | None
) -> None:
    """The longest answer costs 4 dollars, one of 1,000 tokens 4 cents."""
    given = {"models": models(max_output_tokens=100_000), "routes": audited(), "organisation": organisation(cap)}
    async with in_process(tmp_path, Upstream(lambda asked: answered(f"Sure! {RIGHT}")), **given) as gateway:
        await teach(gateway, max_completion_tokens=100)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway))
        assert audit.verdict == verdict
        assert [asked.get("max_completion_tokens") for asked in gateway.upstream.asked] == [limit] * bool(verdict)
        assert audit.error_class == (None if verdict else "BudgetExceeded")
        balances(gateway)


# --- Judges -----------------------------------------------------------------------------------------------------


def worded(judged: str) -> Callable[[dict[str, Any]], httpx.Response]:
    """Audits are answered so that words cannot tell, and `medium` is a judge that says this."""
    return lambda asked: answered(judged if asked["model"] != "large" else DIFFERENTLY_WORDED)


async def test_a_judge_that_no_budget_holds_does_not_make_the_budget_count_as_exhausted(tmp_path: Path) -> None:
    """Its worst case is more than the whole budget, which holds ten more requests like the client's."""
    given = {"models": models(max_output_tokens=2_000), "routes": audited(judge="medium")}
    budget = organisation(0.012, audits_share=1.0, judges_share=1.0, at_cap="block")
    upstream = Upstream(worded('{"same": true}'))
    async with in_process(tmp_path, upstream, **given, organisation=budget) as gateway:
        await teach(gateway, **BRIEF)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway, **BRIEF))
        assert audit.verdict == "unclear"
        assert {row.error_class for row in gateway.rows(kind="judge")} == {"BudgetExceeded"}
        again, _ = await gateway.ask(WORDINGS[0], **BRIEF)
        assert (again.lookup.disposition, gateway.services.budgets.is_blocked(CALLER.budgets, again.arrived_at)) == (
            "exact",
            False,
        )
        balances(gateway)


async def test_no_other_model_judges_in_the_place_of_one_that_is_too_dear(tmp_path: Path) -> None:
    given = {"models": models(max_output_tokens=2_000), "routes": audited(judge="medium")}
    budget = organisation(100, audits_share=0.5, judges_share=0.00012, at_cap="fallback", fallback_model="small")
    upstream = Upstream(worded('{"same": true}'))
    async with in_process(tmp_path, upstream, **given, organisation=budget) as gateway:
        await teach(gateway)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway))
        assert audit.verdict == "unclear"
        assert {asked["model"] for asked in gateway.upstream.asked} == {"large"}


@pytest.mark.parametrize("says", ["I cannot tell.", '{"same": true, "same": true}', '{"same": "yes"}{', "[" * 5000])
async def test_a_judge_without_a_word_is_asked_once_and_leaves_the_audit_unclear(tmp_path: Path, says: str) -> None:
    async with in_process(tmp_path, Upstream(worded(says)), routes=audited(judge="medium")) as gateway:
        await teach(gateway)
        audit = await gateway.row(kind="audit", refers_to=await hit(gateway))
        assert (audit.verdict, audit.status) == ("unclear", "ok")
        assert len(gateway.upstream.asked_of("medium")) == 1
        balances(gateway)


# --- Given up ---------------------------------------------------------------------------------------------------


async def test_an_audit_whose_judge_is_given_up_when_the_gateway_stops_is_booked_at_what_it_cost(
    tmp_path: Path,
) -> None:
    async def reply(asked: dict[str, Any]) -> httpx.Response:
        if asked["model"] == "medium":
            await asyncio.Event().wait()
        return answered(DIFFERENTLY_WORDED)

    async with in_process(tmp_path, Upstream(reply), routes=audited(judge="medium")) as gateway:
        await teach(gateway)
        request_id = await hit(gateway)
        await soon(lambda: gateway.upstream.asked_of("medium"))
        await gateway.services.gateway.drain(0.05)
        audit = await gateway.row(kind="audit", refers_to=request_id)
        assert (audit.actual_nano, audit.verdict) == (COST, None)
        assert (await gateway.row(kind="judge")).status == "client_closed"
        (certificate,) = gateway.services.cache.certificates().values()
        assert (certificate.hits, certificate.audited, certificate.failed) == (1, 0, 1)
        balances(gateway)


# --- Clients that leave -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_who_joins_and_leaves_before_the_answer_has_saved_nothing(tmp_path: Path, stream: bool) -> None:
    may_answer, has_gone = asyncio.Event(), asyncio.Event()

    async def slow(asked: dict[str, Any]) -> httpx.Response:
        await may_answer.wait()
        return answered(RIGHT)

    async with in_process(tmp_path, Upstream(slow), routes=audited()) as gateway:
        leader = asyncio.create_task(gateway.ask(NEAR))
        await soon(lambda: gateway.upstream.asked)
        follower = asyncio.create_task(gateway.ask(NEAR, disconnected=has_gone.wait, stream=stream))
        await asyncio.sleep(0.1)
        has_gone.set()
        with pytest.raises(ClientGone):
            await follower
        row = await gateway.row(disposition="coalesced")
        assert (row.status, row.baseline_nano, row.avoided_coalesced_nano) == ("client_closed", 0, 0)
        may_answer.set()
        exchange, _ = await leader
        assert exchange.row is not None
        assert (exchange.row.status, exchange.row.actual_nano) == ("ok", COST)
        assert len(gateway.upstream.asked) == 1
        balances(gateway)


async def test_what_a_provider_does_not_count_is_counted_alike_for_who_led_and_who_joined(tmp_path: Path) -> None:
    may_answer = asyncio.Event()

    async def uncounting(asked: dict[str, Any]) -> httpx.Response:
        await may_answer.wait()
        body = json.loads(answered(RIGHT).content)
        return httpx.Response(200, json={name: value for name, value in body.items() if name != "usage"})

    async with in_process(tmp_path, Upstream(uncounting), routes=audited()) as gateway:
        asking = [asyncio.create_task(gateway.ask(NEAR)) for _ in range(2)]
        await soon(lambda: gateway.upstream.asked)
        await asyncio.sleep(0.1)
        may_answer.set()
        await asyncio.gather(*asking)
        (led,), (joined,) = gateway.rows(disposition="miss"), gateway.rows(disposition="coalesced")
        assert joined.avoided_coalesced_nano == led.actual_nano
        assert led.usage == joined.usage
        balances(gateway)


# --- Errors that nobody foresaw ---------------------------------------------------------------------------------


class Stumbling(Calls):
    """The first call fails in a way that no part of the gateway knows, once somebody has joined it: at once, or after
    the first event."""

    def __init__(self, calls: Calls, error: Exception, *, at_once: bool) -> None:
        vars(self).update(vars(calls))
        self.error = error
        self.at_once = at_once
        self.asked = 0
        self.is_joined = asyncio.Event()

    async def open(self, exchange: Exchange) -> OpenCall:
        self.asked += 1
        if self.asked > 1:
            return await super().open(exchange)
        if self.at_once:
            await self._fail()
        call = await super().open(exchange)
        call.rest = self._broken_off()
        return call

    async def _broken_off(self) -> AsyncIterator[ChatEvent]:
        await self._fail()
        yield ChatEvent()

    async def _fail(self) -> None:
        await self.is_joined.wait()
        raise self.error


async def both(gateway: InProcess, stumbling: Stumbling, *, stream: bool) -> list[tuple[Exchange, bytes]]:
    """What becomes of two who ask the same, of whom the second has joined the first; of a failure, the error."""
    gateway.services.gateway._calls = stumbling
    leader = asyncio.create_task(gateway.ask(WORDINGS[0], stream=stream))
    await soon(lambda: stumbling.asked)
    follower = asyncio.create_task(gateway.ask(WORDINGS[0], stream=stream))
    await soon(lambda: [flight for flight in gateway.services.gateway._under_way if flight._listeners == 2])
    stumbling.is_joined.set()
    return await asyncio.gather(leader, follower, return_exceptions=True)  # type: ignore[return-value]


@pytest.mark.parametrize("error", [KeyError("a mistake"), TimeoutError("of our own")], ids=["mistake", "timeout"])
@pytest.mark.parametrize("stream", [False, True])
async def test_who_has_joined_what_fails_unforeseen_asks_for_himself(
    tmp_path: Path, stream: bool, error: Exception
) -> None:
    async with in_process(tmp_path, Upstream(lambda asked: answered(RIGHT))) as gateway:
        stumbling = Stumbling(gateway.services.gateway._calls, error, at_once=True)
        led, (exchange, answer) = await both(gateway, stumbling, stream=stream)
        assert led is error
        assert RIGHT.encode() in answer
        (row,) = gateway.rows(request_id=exchange.request_id)
        assert (row.status, row.disposition, stumbling.asked) == ("ok", "miss", 2)
        (failed,) = [row for row in gateway.rows() if row.request_id != exchange.request_id]
        assert (failed.status, failed.error_class) == ("upstream_error", type(error).__name__)
        balances(gateway)


async def test_streams_that_fail_unforeseen_say_so_to_all_who_follow_and_in_their_rows(tmp_path: Path) -> None:
    def begun(asked: dict[str, Any]) -> httpx.Response:
        chunk = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "Choose"}, "finish_reason": None}]}
        body = f"data: {json.dumps(chunk)}\n\n".encode()
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    async with in_process(tmp_path, Upstream(begun)) as gateway:
        stumbling = Stumbling(gateway.services.gateway._calls, KeyError("a mistake"), at_once=False)
        for _, answer in await both(gateway, stumbling, stream=True):
            assert b"Choose" in answer
            assert b"a mistake" in answer
        ends = {row.disposition: (row.status, row.error_class) for row in gateway.rows()}
        assert ends == {"miss": ("upstream_error", "KeyError"), "coalesced": ("upstream_error", "KeyError")}
        balances(gateway)


# --- What nobody has counted ------------------------------------------------------------------------------------


async def test_what_a_curated_answer_saves_is_an_estimate_and_the_report_counts_it_as_one(tmp_path: Path) -> None:
    async with in_process(tmp_path, Upstream(lambda asked: answered(RIGHT))) as gateway:
        await gateway.services.warm("support", "default", [Curated(WORDINGS[0], RIGHT)])
        await gateway.ask(WORDINGS[1], cache_control="no-cache")
        for text in WORDINGS[:2]:
            await gateway.ask(text)
        saved = [row.usage_source for row in gateway.rows(disposition="exact")]
        total = report_of(gateway.rows(), Filters()).total
        assert (saved, total.estimated) == (["estimated", "entry"], 1)
        assert total.avoided["exact"] > COST
        balances(gateway)


async def test_what_begins_while_the_gateway_stops_is_given_up_too(tmp_path: Path) -> None:
    """An answer that nobody waits for any more ends in time, and is compared with another one that never comes."""
    may_answer = asyncio.Event()

    async def reply(asked: dict[str, Any]) -> httpx.Response:
        if len(gateway.upstream.asked) > 1:
            await asyncio.Event().wait()
        await may_answer.wait()
        return answered(RIGHT)

    routes = audited(judge="medium", judge_share=1.0, baseline="large", floor="economy", strategy="cost-first")
    async with in_process(tmp_path, Upstream(reply), routes=routes) as gateway:
        asking = asyncio.create_task(gateway.ask(NEAR, model="auto"))
        await soon(lambda: gateway.upstream.asked)
        stopping = asyncio.create_task(gateway.services.gateway.drain(1))
        await asyncio.sleep(0.1)
        may_answer.set()
        await asking
        async with asyncio.timeout(5):
            await stopping
        assert [row.status for row in gateway.rows(kind="judge")] == ["client_closed"]
        balances(gateway)
