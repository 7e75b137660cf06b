"""The hot path: one request from its key to the last byte of its answer, in reading order.

    admit -> look up -> (hit: replay | in flight: join | miss: plan -> reserve -> call) -> record -> pass on

JSON and streams take the same way: an answer is an iterator of events, and its last event is held back until
the ledger row is in the file. The way upstream runs in a task of its own (`_lead`), because others may have
joined it and the cache may want its answer: a client that leaves does not end it for them.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from app.books import Books, status_of
from app.calls import Calls
from app.errors import ClientGone, NotCached, RouteUnknown
from app.exchange import Exchange, PayloadDamaged, Served, StoredAnswer, stored_answer
from app.inbound import Inbound
from app.judging import Judging
from app.keys import Caller
from app.recent_requests import RecentRequests
from cache.decision import Judgement
from cache.flights import Flight, FlightAbandoned, land
from cache.lookup import Cache, FollowUp, Fresh, Lookup, directives_from
from cache.query import Acceptance, CachePolicy, Query
from cache.sameness import Verdict
from router.budgets import Budgets
from router.catalogue import Model, RoutingPolicy, Tier
from router.chat import ChatEvent, ChatRequest
from router.errors import LedgerUnavailable, ModelUnknown, RouterError, UpstreamTimeout
from router.experience import conversation_of
from router.ledger.row import COMPLAINT, LedgerRow
from router.ledger.writer import Closing, Ledger
from router.plan import AUTO
from router.protocols import openai

_JOINS: Final = 3
"""How often a request joins others' flights before it goes its own way."""
_FOLLOW_UPS_AT_MOST: Final = 32
"""So many audits and refreshes at the same time."""
_LEARNS_ON_S: Final = 5.0
"""So long the gateway stays, at its end, to learn what fresh answers teach."""
_LIKE: Final = 4
"""Answers to one question are hardly ever so many times as long as one another,"""
_LIKE_AT_LEAST: Final = 1000
"""in tokens from here on."""


class Route(Struct, frozen=True):
    """A route's policies, ready for use."""

    routing: RoutingPolicy
    cache: CachePolicy


class Answer(Struct):
    """An answer whose first event has come. `exchange` tells the headers."""

    exchange: Exchange
    events: AsyncIterator[ChatEvent]


class Gateway:
    """Everything a request needs on its way. Built by `create_app`."""

    def __init__(
        self,
        *,
        routes: Mapping[str, Route],
        models: Mapping[str, Model],
        team_baselines: Mapping[str, str],
        budgets: Budgets,
        cache: Cache[ChatEvent],
        calls: Calls,
        books: Books,
        judging: Judging,
        ledger: Ledger,
        now: Callable[[], datetime],
    ) -> None:
        self._routes = routes
        self._models = models
        self._team_baselines = team_baselines
        self._budgets = budgets
        self._cache = cache
        self._calls = calls
        self._books = books
        self._judging = judging
        self._ledger = ledger
        self._now = now
        self._recent = RecentRequests()
        self._under_way: set[Flight[ChatEvent]] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._labelling: set[asyncio.Task[None]] = set()

    # --- one request -----------------------------------------------------------------------------------------

    async def answer(self, caller: Caller, inbound: Inbound) -> Answer:
        """The answer to one request, from its first event on. Raises RouterError, NotCached."""
        self._shed(caller)
        exchange = self._admit(caller, inbound)
        events: AsyncIterator[ChatEvent] | None = None
        joins = 0
        while events is None:  # ends: joins are counted, and what cannot be replayed is not found again
            exchange.lookup = await self._cache.lookup(exchange.query, may_join=joins < _JOINS)
            match exchange.lookup.disposition:
                case "exact" | "semantic":
                    events = self._replay(exchange)
                case "coalesced":
                    joins += 1
                    events = await self._join(exchange, inbound.disconnected)
                case _:
                    events = await self._set_off(exchange, inbound.disconnected)
        if exchange.is_hit and exchange.lookup.judgement is not None:
            self._recent.keep(exchange, inbound)
        return Answer(exchange, events)

    def forget(self, criteria: Mapping[str, Any]) -> None:
        """As `RecentRequests.forget`."""
        self._recent.forget(criteria)

    def _shed(self, caller: Caller) -> None:
        """Sends a request away before anything is done for it, where no stored answer could help and nobody is there to
        make one. Raises Overloaded."""
        route = self._routes.get(caller.route)
        if route is not None and route.cache.mode == "off":
            self._calls.shed(caller, route.routing)

    def _admit(self, caller: Caller, inbound: Inbound) -> Exchange:
        """Decodes and checks the request, and says what the cache and the ledger need to know of it."""
        request = inbound.surface.decode_request(inbound.body, inbound.forwarded)
        route = self._routes.get(caller.route)
        if route is None:
            raise RouteUnknown(caller.route)
        offered = {model.name: model for model in route.routing.models}
        if request.model != AUTO and request.model not in offered:
            raise ModelUnknown(request.model, (AUTO, *offered))
        arrived_at = self._now()
        is_auto = request.model == AUTO
        floor = route.routing.floor if is_auto else offered[request.model].tier
        baseline = self._team_baselines.get(caller.team, route.routing.baseline) if is_auto else request.model
        end_user = inbound.end_user(request.mapping.get("user"))
        query = Query(
            team=caller.team,
            env=caller.env,
            route=caller.route,
            mapping=_scoped(request),
            output_limit=request.output_limit,
            acceptance=Acceptance(request.model, floor, self._budgets.ceiling(caller.budgets, arrived_at)),
            policy=self._cache_policy(route, caller, arrived_at),
            directives=directives_from(inbound.cache_control),
            app=caller.app,
            asker=end_user or caller.key_id,
            request_id=inbound.request_id,
            headers=request.forwarded,
            echoed=request.echoed,
            may_audit=self._budgets.has_room_for_audits(caller.budgets, arrived_at),
        )
        return Exchange(
            request_id=inbound.request_id,
            caller=caller,
            request=request,
            arrived_at=arrived_at,
            started_ns=inbound.started_ns,
            baseline=self._models.get(baseline),
            end_user=end_user,
            labels=inbound.labels,
            query=query,
            conversation=conversation_of(caller.key_id, inbound.conversation, request.messages),
            deadline=inbound.deadline,
        )

    def _cache_policy(self, route: Route, caller: Caller, at: datetime) -> CachePolicy:
        """The route's; nothing is served of it to who has spent a budget that blocks."""
        if self._budgets.is_blocked(caller.budgets, at):
            return msgspec.structs.replace(route.cache, mode="off")
        return route.cache

    # --- answered from the cache --------------------------------------------------------------------------

    def _replay(self, exchange: Exchange) -> AsyncIterator[ChatEvent] | None:
        """A hit: the stored answer, under an id of its own. None if its payload is damaged: then it has gone, and the
        caller looks again."""
        entry, payload = exchange.lookup.entry, exchange.lookup.payload
        assert entry is not None
        assert payload is not None
        try:
            stored = stored_answer(payload)
        except PayloadDamaged as error:
            self._cache.unreadable(exchange.lookup, error)
            return None
        exchange.age_s = self._cache.age_s(entry)
        exchange.served = Served(entry.model, Tier.PREMIUM if entry.is_curated else Tier(entry.tier), entry.is_rationed)
        exchange.usage = stored.usage
        body = {**stored.body, "id": f"chatcmpl-{exchange.request_id.removeprefix('req_')}"}
        return self._recorded(exchange, _one(openai.event_from_body(body)))

    async def _join(
        self, exchange: Exchange, disconnected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[ChatEvent] | None:
        """Joins an answer that is being made. None if its leader failed before anything was sent here, if its budget
        has cut it short, or if its model is not acceptable here: the caller then looks again, and leads if nobody else
        does. Raises UpstreamTimeout when the client's time is over, ClientGone when it has gone. Its row is closed
        then, and also if it is cancelled."""
        flight = exchange.lookup.flight
        assert flight is not None
        try:
            async with asyncio.timeout(exchange.left_s) as patience:
                await _or_gone(flight.first(), disconnected)
                if flight.about.is_clamped:  # those who waited for it already
                    return None
                served = flight.about.served
                if not exchange.query.acceptance.takes(served.model, served.tier, is_rationed=served.is_rationed):
                    return None
                if not exchange.request.stream:  # nothing is sent before all of it is there
                    with suppress(FlightAbandoned):  # the gateway is stopping, which is no time to lead: told below
                        await _or_gone(flight.whole(), disconnected)
        except (ClientGone, asyncio.CancelledError):  # it has gone, or the server has no more time for it
            exchange.status = "client_closed"
            await self._books.record(exchange)
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and patience.expired():
                too_late = UpstreamTimeout("The time that the client gave was over before an answer came.")
                exchange.status, exchange.error_class = status_of(too_late), type(too_late).__name__
                await self._books.record(exchange)
                raise too_late from None
            if flight.is_open:
                raise
            return None  # whatever has made the flight fail is its leader's
        exchange.served = served
        self._cache.joined(exchange.lookup)
        return self._recorded(exchange, flight.follow())

    async def _recorded(self, exchange: Exchange, events: AsyncIterator[ChatEvent]) -> AsyncIterator[ChatEvent]:
        """Passes on an answer that costs nothing, its last event once the row is in the file."""
        try:
            async with aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    exchange.see(event)
                    if event.is_last:
                        await self._books.record(exchange)
                    yield event
        except FlightAbandoned:  # the gateway is stopping
            raise
        except Exception as error:
            exchange.status, exchange.error_class = status_of(error), type(error).__name__
            raise
        finally:
            if exchange.row is None:
                if exchange.status == "ok":
                    exchange.status = "client_closed"
                with anyio.CancelScope(shield=True):
                    await self._books.record(exchange)
            if (follow_up := exchange.lookup.follow_up) is not None:
                joined = exchange.lookup.flight
                if joined is None or joined.is_open:
                    self._follow(exchange, follow_up)
                else:  # there is no whole answer that a fresh one could be compared with
                    self._cache.audit_failed(follow_up)

    # --- after a hit: audits and refreshes ------------------------------------------------------------------

    def _follow(self, exchange: Exchange, follow_up: FollowUp) -> None:
        """Asks upstream after the client has been served; what cannot be done now is given up, not queued."""
        if len(self._following) >= _FOLLOW_UPS_AT_MOST:
            self._cache.audit_failed(follow_up)
            return
        task = asyncio.get_running_loop().create_task(self._ask_again(exchange, follow_up))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _ask_again(self, served: Exchange, follow_up: FollowUp) -> None:
        """The same question to the model that a miss would have used, reserved in the same budgets and booked as
        overhead in a row of its own kind."""
        reason = follow_up.purpose if follow_up.complained_by is None else COMPLAINT
        exchange = Exchange(
            request_id=f"{follow_up.purpose}_{uuid.uuid4().hex}",
            kind=follow_up.purpose,
            refers_to=served.request_id,
            caller=served.caller,
            request=served.request,
            arrived_at=self._now(),
            started_ns=time.perf_counter_ns(),
            baseline=None,
            end_user=served.end_user,
            labels=served.labels,
            query=served.query,
            conversation=served.conversation,
            lookup=Lookup("bypass", reason, ticket=follow_up.ticket),
            like_tokens=max(_LIKE * served.usage.output, _LIKE_AT_LEAST) if served.usage is not None else None,
        )
        fresh: Fresh | None = None
        try:
            call = await self._calls.open(exchange)
            async with aclosing(call.events()) as events:  # type: ignore[type-var]
                async for event in events:
                    exchange.see(event)
            fresh = self._fresh(exchange)
        except RouterError as error:
            exchange.status, exchange.error_class = status_of(error), type(error).__name__
        except asyncio.CancelledError:
            exchange.status = "client_closed"
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._conclude(served, exchange, follow_up, fresh)

    async def _conclude(self, served: Exchange, asked: Exchange, follow_up: FollowUp, fresh: Fresh | None) -> None:
        """Tells the cache what came of it and closes the row, also if whoever judges the answer is given up."""
        is_told = False
        try:
            if fresh is not None:
                asked.verdict = await self._cache.followed(follow_up, fresh, partial(self._judging.same, served))
                is_told = True
        finally:
            if not is_told:
                self._cache.audit_failed(follow_up)
            with suppress(LedgerUnavailable):
                await self._books.record(asked)

    def label(self, query: Query, judgement: Judgement, verdict: Verdict) -> None:
        """Keeps in the ledger what a fresh answer says of the stored one that was not served instead."""
        row = LedgerRow(
            kind="label",
            request_id=f"label_{uuid.uuid4().hex}",
            refers_to=query.request_id,
            at_us=int(self._now().timestamp() * 1_000_000),
            team=query.team,
            app=query.app,
            key_id="",
            env=query.env,
            route=query.route,
            requested_model=query.acceptance.model,
            disposition="miss",
            confidence=judgement.p,
            verdict=verdict,
            actual_nano=0,
        )
        task = asyncio.get_running_loop().create_task(self._record_quietly(row))
        self._labelling.add(task)
        task.add_done_callback(self._labelling.discard)

    async def _record_quietly(self, row: LedgerRow) -> None:
        with suppress(LedgerUnavailable):  # counted where requests are refused for it
            await self._ledger.record(Closing(row))

    async def complain(self, request_id: str) -> bool:
        """Somebody called the answer to this request wrong: whether that counts. It is settled by an audit like those
        that are drawn, if the request is still there and audits have money."""
        complaint = await self._cache.complain(request_id)
        if complaint.audit is None:
            return complaint.is_counted
        at = self._now()
        served = self._recent.take(request_id, at)
        if (
            served is not None
            and served.caller.route in self._routes
            and self._budgets.has_room_for_audits(served.caller.budgets, at)
        ):
            self._follow(served, complaint.audit)
        else:
            self._cache.audit_failed(complaint.audit)
        return complaint.is_counted

    # --- answered by a provider -----------------------------------------------------------------------------

    async def _set_off(
        self, exchange: Exchange, disconnected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[ChatEvent]:
        """A miss: starts the way upstream and waits for the first event, or until the client has gone."""
        flight = exchange.lookup.flight
        assert flight is not None
        if exchange.query.directives.only_if_cached:
            raise NotCached(
                "No stored answer may be served, and `Cache-Control: only-if-cached` forbids to ask for one.",
                {name: value for name, value in exchange.headers().items() if "cache" in name},
            )
        flight.about = exchange
        self._under_way.add(flight)
        flight.start(self._lead(exchange, flight))
        await _first_or_gone(flight, disconnected)
        return _followed(flight)

    async def _lead(self, exchange: Exchange, flight: Flight[ChatEvent]) -> AsyncIterator[ChatEvent]:
        """The way upstream, from the plan to the stored entry. Its row is closed however it ends."""
        try:
            call = await self._calls.open(exchange)
            if exchange.is_clamped:
                self._land(exchange, flight)
            async with aclosing(call.events()) as events:  # type: ignore[type-var]
                async for event in events:
                    exchange.see(event)
                    if event.is_last:
                        await self._books.record(exchange)
                        self._store(exchange)
                        self._judging.consider(exchange)
                    yield event
        except Exception as error:
            exchange.status, exchange.error_class = status_of(error), type(error).__name__
            raise
        except (asyncio.CancelledError, GeneratorExit):
            exchange.status = "client_closed"
            raise
        finally:
            self._under_way.discard(flight)
            self._land(exchange, flight)
            if exchange.row is None:
                if exchange.status == "ok":
                    exchange.status = "upstream_error"
                await self._books.record(exchange)

    def _land(self, exchange: Exchange, flight: Flight[ChatEvent]) -> None:
        """Nobody joins from now on."""
        if exchange.lookup.ticket is not None:
            self._cache.land(exchange.lookup.ticket, flight)

    def _store(self, exchange: Exchange) -> None:
        ticket = exchange.lookup.ticket
        if ticket is not None and (fresh := self._fresh(exchange)) is not None:
            self._cache.store(ticket, fresh)

    def _fresh(self, exchange: Exchange) -> Fresh | None:
        """The answer as the cache keeps it; None for a truncated, refused, filtered or empty one."""
        usage, source = exchange.counted()
        body = openai.body_from_events(exchange.events)
        text = openai.plain_answer(body)
        served = exchange.served
        if served is None or text is None or source != "provider":
            return None
        savings, _ = exchange.savings(usage)
        return Fresh(
            model=served.model,
            tier=served.tier,
            is_rationed=served.is_rationed,
            output_tokens=usage.output,
            text=text,
            payload=msgspec.json.encode(StoredAnswer(body, usage)),
            worth=savings.baseline_nano or savings.actual_nano or 1,
        )

    async def drain(self, grace_s: float) -> None:
        """Waits for what is under way, as long as that in all, then gives up what is left; every row is closed either
        way."""
        ends_at = time.monotonic() + grace_s
        if following := self._following | self._labelling | self._judging.under_way:
            await asyncio.wait(following, timeout=grace_s)
        self._give_up()
        await land(list(self._under_way), max(ends_at - time.monotonic(), 0.0))
        while left := self._give_up():  # what these have begun as they ended
            await asyncio.wait(left)
        await self._cache.settle(_LEARNS_ON_S)

    def _give_up(self) -> set[asyncio.Task[None]]:
        """Ends follow-ups and judges; those that still have to close their rows."""
        left = self._following | self._judging.under_way
        for task in left:
            if not task.cancelling():  # once, so that nothing keeps it from closing its row
                task.cancel()
        return left


async def _followed(flight: Flight[ChatEvent]) -> AsyncIterator[ChatEvent]:
    """The leader's own client: when it goes and nobody else wants the answer, the way upstream ends."""
    try:
        async with aclosing(flight.follow()) as events:  # type: ignore[type-var]
            async for event in events:
                yield event
    finally:
        flight.leave()


async def _first_or_gone(flight: Flight[ChatEvent], disconnected: Callable[[], Awaitable[None]]) -> None:
    """Waits for the first event. Raises ClientGone if the client goes before it; that may end the flight."""
    has_come = False
    try:
        await _or_gone(flight.first(), disconnected)
        has_come = True
    finally:
        if not has_come:
            flight.leave()


async def _or_gone(waiting: Coroutine[Any, Any, Any], disconnected: Callable[[], Awaitable[None]]) -> None:
    """Waits for this. Raises ClientGone if the client goes before."""
    wanted = asyncio.ensure_future(waiting)
    gone = asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait((wanted, gone), return_when=asyncio.FIRST_COMPLETED)
        if not wanted.done():
            raise ClientGone("the client went away before the answer came")
        wanted.result()
    finally:
        gone.cancel()
        if not wanted.done():
            wanted.cancel()
            with suppress(asyncio.CancelledError):
                await wanted


async def _one(event: ChatEvent) -> AsyncIterator[ChatEvent]:
    yield event


def _scoped(request: ChatRequest) -> dict[str, Any]:
    """What the cache sees of a request: `metadata` as the client wrote it, of which the canonical form may have a part
    elsewhere (Anthropic's `user_id` is `user`)."""
    metadata = (request.original or {}).get("metadata")
    return request.mapping if metadata is None else request.mapping | {"metadata": metadata}
