"""Calls at providers on behalf of an exchange, with their books: plan -> reserve -> attempt -> settle and record.

Whatever is sent upstream goes through here: misses, audits, refreshes. Knows no cache and no HTTP server. A
reservation is in the ledger file before anything is sent, and every attempt that failed has a row of its own.
"""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final

import anyio
import msgspec

from app.errors import RouteUnknown
from app.exchange import Exchange, Reserved
from app.keys import Caller
from app.observer import Observer
from router.budgets import Budgets, Pressure, Reservation
from router.catalogue import Deployment, Model, RoutingPolicy
from router.chat import ChatEvent
from router.errors import (
    BudgetExceeded,
    LedgerUnavailable,
    NoCandidate,
    Overloaded,
    RequestInvalid,
    RouterError,
    Throttled,
    Unavailable,
    UpstreamCut,
    UpstreamError,
    UpstreamTimeout,
)
from router.experience import Experience, seen_of
from router.fleet import Fleet, Permit
from router.kept import KeptAnswers
from router.ledger.row import LedgerRow, Status, opinion
from router.ledger.writer import Closing, Ledger, Opening
from router.plan import AUTO, Candidate, Circumstances, plan
from router.prices import worst_case_nano
from router.protocols import spoken, wire_format
from router.protocols.fields import as_sent
from router.retry import WAIT_AT_MOST_S, is_about_key, wait_before_repeat_s
from router.service_level import Breach, Watch, asked_last
from router.upstream import OpenCall, Upstream

_CLAMP_AT_LEAST_TOKENS: Final = 256
"""An answer shorter than this is not worth clamping to: a cheaper model or a refusal is better."""
_BRIEF_TOKENS: Final = 256
"""How long an answer in short-answer mode may be."""
_PATIENCE_S: Final = 0.25
"""Longer than this nobody waits to ask a deployment again while another one of the model is free."""
_AFTER_ALL_OF_PROD: Final = 10
_COMES_BACK_S: Final = 1.0
"""How soon who was sent away may try again."""

_SAYS_SOMETHING: Final = ("ok", "upstream_error", "upstream_cut")
"""Ends of requests that say how well providers serve."""

Target = tuple[Candidate, Deployment]


class Calls:
    """Opens calls and books them. Built by `create_app`; `routes` maps a route's name to its routing policy, `models`
    a model's name to what budgets may fall back to."""

    def __init__(
        self,
        *,
        routes: Mapping[str, RoutingPolicy],
        models: Mapping[str, Model],
        budgets: Budgets,
        ledger: Ledger,
        fleet: Fleet,
        upstream: Upstream,
        kept: KeptAnswers,
        experience: Experience,
        watches: Mapping[str, Watch],
        observer: Observer,
        now: Callable[[], datetime],
    ) -> None:
        self._routes = routes
        self._models = models
        self._budgets = budgets
        self._ledger = ledger
        self._fleet = fleet
        self._upstream = upstream
        self._kept = kept
        self._experience = experience
        self._watches = watches
        self._observer = observer
        self._now = now

    def shed(self, caller: Caller, routing: RoutingPolicy) -> None:
        """Raises Overloaded if a request of this caller would be sent away by every deployment of its route."""
        deployments = (deployment for model in routing.models for deployment in model.deployments)
        if self._fleet.is_saturated(deployments, _rank(caller, routing)):
            raise Overloaded(_COMES_BACK_S)

    async def open(self, exchange: Exchange) -> OpenCall:
        """Tries the plan's candidates in order until one has sent its first event: first those that are free, then
        one that is worth waiting for. Raises the last failure, else the first refusal of a budget, else
        Unavailable."""
        caller, at = exchange.caller, exchange.arrived_at
        routing = exchange.routing or self._routes.get(caller.route)
        if routing is None:  # taken out of the configuration a moment ago
            raise RouteUnknown(caller.route)
        exchange.request = self._kept.placed(exchange.request, caller.team)
        pressure = self._budgets.pressure(caller.budgets, at)
        breach = self._breach(exchange)
        if breach is not None and breach.action == "faster-model":
            routing = msgspec.structs.replace(routing, strategy="performance-first")
        around = self._circumstances(exchange, routing, pressure)
        chosen = plan(exchange.request, routing, pressure.ceiling, at, around)
        exchange.plan = chosen if breach is None else chosen.because(f"service level: {breach.reason}")
        self._tell_pacers(exchange)
        trial = _Trial(exchange, routing)
        targets = self._fleet.order(exchange.plan, routing)
        if breach is not None and breach.action == "other-provider":
            targets = asked_last(breach.provider, targets)
        call = await self._free(trial, targets) or await self._waited_for(trial) or await self._once_more(trial)
        if call is not None:
            return call
        if trial.too_dear and trial.failure is None:
            if (call := await self._last_resort(trial)) is not None:
                return call
            self._budgets.refused(min(trial.too_dear, key=lambda error: error.needed_nano), at)
        raise trial.failure or trial.refusal or trial.unfit or NoCandidate({})

    async def _free(self, trial: "_Trial", targets: Iterable[Target]) -> OpenCall | None:
        """Tries in this order what may be called now; what is out or busy costs no time."""
        for target in targets:
            permit = self._fleet.permit(target[1])
            if permit is None:
                trial.passed_over.setdefault(target[1].name, target)
            elif (call := await self._at(trial, target, permit)) is not None:
                return call
        return None

    async def _waited_for(self, trial: "_Trial") -> OpenCall | None:
        """Tries one of those that were out or busy, as soon as it may be called. Raises Unavailable if none will be
        soon, and the last failure if there was one."""
        if not trial.passed_over:
            return None
        deployments = [deployment for _, deployment in trial.passed_over.values()]
        patience_s = trial.left_s if trial.exchange.kind == "request" else 0.0
        try:
            found, permit = await self._fleet.wait(deployments, _rank(trial.exchange.caller, trial.routing), patience_s)
        except Unavailable as error:
            if trial.lost:
                return None
            raise trial.failure or error from None
        return await self._at(trial, trial.passed_over[found.name], permit)

    async def _once_more(self, trial: "_Trial") -> OpenCall | None:
        """Asks again where an answer got lost on its way: it may have been billed, so this is for when nobody else is
        left. A timeout is only tried again if it is short."""
        if trial.exchange.kind != "request":
            return None
        for target, failure in trial.lost:
            provider = target[1].provider
            is_short = not isinstance(failure, UpstreamTimeout) or provider.first_event_timeout_s <= WAIT_AT_MOST_S
            if not (is_short and provider.retries and self._fleet.may_repeat(target[1])):
                continue
            if (permit := self._fleet.permit(target[1])) is not None:
                return await self._at(trial, target, permit, repeats=provider.retries)
        return None

    def _breach(self, exchange: Exchange) -> Breach | None:
        """The team's promise that is broken now. Raises Throttled for who has to go without because of it."""
        watch = self._watches.get(exchange.caller.team)
        breach = watch.breach(time.monotonic()) if watch is not None else None
        if breach is not None and breach.action == "throttle" and exchange.caller.env != "prod":
            raise Throttled(breach.reason)
        return breach

    async def _last_resort(self, trial: "_Trial") -> OpenCall | None:
        """What a budget falls back to, if that is free and fits."""
        assert trial.exchange.plan is not None
        for candidate in trial.exchange.plan.last_resorts:
            for deployment in candidate.deployments:
                permit = self._fleet.permit(deployment)
                if permit and (call := await self._at(trial, (candidate, deployment), permit)) is not None:
                    return call
        return None

    def _tell_pacers(self, exchange: Exchange) -> None:
        """A request's options bear on the price of the next ones. A client that named a model leaves none."""
        assert exchange.plan is not None
        if exchange.kind != "request":
            return
        options = exchange.plan.candidates if exchange.request.model == AUTO else exchange.plan.candidates[:1]
        priced = [option for option in options if option.prices is not None]
        if priced:
            quality, cost = [option.quality for option in priced], [option.cost_nano for option in priced]
            self._budgets.saw(exchange.caller.budgets, quality, cost, exchange.arrived_at)

    def _circumstances(self, exchange: Exchange, routing: RoutingPolicy, pressure: Pressure) -> Circumstances:
        """What bears on this decision. Chance is for requests only: an audit asks the model that a miss would use."""
        exchange.seen = seen_of(exchange.request, exchange.vector)
        around = self._experience.about(
            exchange.seen,
            exchange.conversation,
            routing,
            baseline=exchange.baseline.name if exchange.baseline else routing.baseline,
            price=pressure.price,
            chance=random.random() if exchange.kind == "request" else 1.0,
        )
        return msgspec.structs.replace(
            around,
            priced_by=pressure.paced_by,
            least_lambda=pressure.weight,
            last_resorts=tuple(self._models[name] for name in pressure.fallbacks if name in self._models),
        )

    async def _at(self, trial: "_Trial", target: Target, permit: Permit | None, repeats: int = 0) -> OpenCall | None:
        """Attempts at one deployment, as often as that may help; None if the next one should be tried. `repeats` is how
        many there were. Raises what no other deployment could mend."""
        exchange, (candidate, deployment) = trial.exchange, target
        if not repeats:
            self._fleet.first_attempt(deployment)
        while permit is not None:
            if trial.left_s <= 0:
                permit.close()
                raise trial.failure or UpstreamTimeout("The time that the client gave was over before an answer came.")
            try:
                reserved = self._reserve(trial, candidate, deployment)
            except RouterError as error:
                permit.close()
                # An audit with another model's answer would measure something else.
                if exchange.kind == "audit" or not isinstance(error, BudgetExceeded | NoCandidate):
                    raise
                trial.refusal = trial.refusal or error
                if isinstance(error, BudgetExceeded):
                    trial.too_dear.append(error)
                return None
            try:
                return await self._attempt(trial, reserved, permit)
            except RequestInvalid as error:  # this provider has no form for it; another one may
                trial.unfit = trial.unfit or error
                return None
            except UpstreamError as error:
                trial.failure = error
            if not trial.failure.retryable:
                raise trial.failure
            if trial.failure.billed == "unknown":
                trial.lost.append((target, trial.failure))
            permit = await self._again(trial, target, trial.failure, repeats)
            repeats += 1
        return None

    async def _again(self, trial: "_Trial", target: Target, failure: UpstreamError, repeats: int) -> Permit | None:
        """The right to ask this deployment once more, with another key or after a wait; None if others should be
        asked instead."""
        candidate, deployment = target
        if is_about_key(failure) and repeats < len(deployment.provider.api_keys) - 1:
            return self._fleet.permit(deployment)
        wait_s = wait_before_repeat_s(failure, repeats, deployment.provider.retries, random.random())
        if wait_s is None:
            return None
        wait_s = max(wait_s, self._fleet.rests_s(deployment))
        others = [other for other in candidate.deployments if other != deployment and self._fleet.is_free(other)]
        is_worth_it = wait_s <= (_PATIENCE_S if others else WAIT_AT_MOST_S) and wait_s < trial.left_s
        if not is_worth_it or not self._fleet.may_repeat(deployment):
            return None
        await asyncio.sleep(wait_s)
        return self._fleet.permit(deployment)

    def _reserve(
        self,
        trial: "_Trial",
        candidate: Candidate,
        deployment: Deployment,
    ) -> Reserved:
        """Takes the worst case from every budget that applies, with a shorter output if the route allows it. The trial
        says what became of better candidates. Raises BudgetExceeded, or NoCandidate for a model without a price under
        a cap."""
        exchange, routing, refusal, has_failed = trial.exchange, trial.routing, trial.refusal, trial.has_failed
        request, budgets, at = exchange.request, exchange.budgets, exchange.arrived_at
        chosen = exchange.plan
        assert chosen is not None
        input_tokens = request.input_bound(candidate.model.context_tokens)
        prices = deployment.priced.effective_prices(at, input_tokens)
        if prices is None and self._budgets.has_cap(budgets):
            raise NoCandidate({candidate.model.name: "its price is unknown, so a budget cannot hold it"})

        def worst_nano(output_tokens: int) -> int:
            return worst_case_nano(input_tokens, output_tokens * request.choices, prices) if prices else 0

        output_tokens, clamped = request.output_at_most or candidate.model.max_output_tokens, None
        is_brief = chosen.is_brief(candidate, routing, failed=has_failed)
        if is_brief and output_tokens > _BRIEF_TOKENS:
            output_tokens = clamped = _BRIEF_TOKENS
        free_nano = self._budgets.free_nano(budgets, at, candidate.model.tier)
        may_clamp = routing.clamp_output and request.output_limit is None and exchange.kind != "audit"
        if prices and prices.output and free_nano is not None and worst_nano(output_tokens) > free_nano and may_clamp:
            payable = (free_nano - worst_nano(0)) * 1_000_000 // (prices.output * request.choices) - 1
            if payable >= _CLAMP_AT_LEAST_TOKENS:
                output_tokens = clamped = payable
        name = f"{exchange.request_id}/{exchange.attempts + 1}"
        money = self._budgets.reserve(
            budgets,
            worst_nano(output_tokens),
            at,
            owner=name,
            tier=candidate.model.tier,
            expected_nano=candidate.cost_nano,
        )
        exchange.attempts += 1
        return Reserved(
            id=name,
            attempt=exchange.attempts,
            money=money,
            deployment=deployment,
            model=candidate.model,
            output_limit=clamped,
            is_brief=is_brief,
            is_rationed=refusal is not None or chosen.is_rationed(candidate.model),
            route_reason=chosen.reason_for(candidate.model, refused=refusal is not None, failed=has_failed),
        )

    # --- one attempt --------------------------------------------------------------------------------------------

    async def _attempt(self, trial: "_Trial", reserved: Reserved, permit: Permit) -> OpenCall:
        """One call at one deployment, or a race of two. Raises UpstreamError, or RequestInvalid for what its protocol
        has no form for."""
        exchange = trial.exchange
        asked_ns = time.perf_counter_ns()
        try:
            hedge_after_s = self._fleet.p95_s(reserved.deployment) if trial.may_hedge else None
            if hedge_after_s is not None:
                return await self._race(trial, reserved, permit, hedge_after_s)
            exchange.reserved, exchange.served, exchange.deployment = reserved, reserved.served, reserved.deployment
            try:
                call = await self._sent(trial, reserved, permit)
            except RouterError:
                exchange.served = exchange.deployment = exchange.reserved = None
                raise
            exchange.upstream_request_id = call.request_id
            return call
        finally:
            exchange.upstream_ns += time.perf_counter_ns() - asked_ns

    async def _sent(self, trial: "_Trial", reserved: Reserved, permit: Permit) -> OpenCall:
        """Sends it, once its reservation is in the file. If it fails, its own row closes it. Gives the permit back in
        the end, however it ends."""
        exchange, deployment = trial.exchange, reserved.deployment
        try:
            try:
                request = exchange.request
                protocol = wire_format(spoken(deployment.provider, request.dialect))
                try:
                    wire = protocol.encode(request, deployment, reserved.output_limit)
                except RequestInvalid as error:
                    raise as_sent(error, request.names) from None
                await self._ledger.open(Opening(reserved.id, reserved.money.amount_nano, exchange.to_draft(reserved)))
            except RouterError:
                self._budgets.settle(reserved.money, 0)
                raise
            exchange.dropped = wire.dropped
            left_s = trial.left_s
            try:
                call = await self._upstream.open(
                    deployment, wire, is_stream=exchange.request.stream, api_key=permit.api_key, at_most_s=left_s
                )
            except UpstreamError as error:
                # That a client gives little time is no fault of the deployment.
                if not isinstance(error, UpstreamTimeout) or left_s >= deployment.provider.first_event_timeout_s:
                    permit.failed(error)
                is_billed = error.billed == "unknown"
                await self._record_attempt(exchange, reserved, type(error).__name__, is_billed=is_billed)
                raise
            permit.answered()
        except BaseException:
            permit.close()
            raise

        def ended(error: UpstreamError | None, is_whole: bool) -> None:
            if error is not None:
                permit.failed(error)
            elif is_whole:
                permit.finished()
            permit.close()

        call.ended = ended
        call.rest = self._renewing(call.rest, reserved.money)
        return call

    async def _renewing(self, events: AsyncIterator[ChatEvent], money: Reservation) -> AsyncIterator[ChatEvent]:
        """The same events; each shows that the reservation's owner is alive."""
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                self._budgets.renew(money, self._now())
                yield event

    # --- a race of two ------------------------------------------------------------------------------------------

    async def _race(self, trial: "_Trial", reserved: Reserved, permit: Permit, after_s: float) -> OpenCall:
        """Asks a second deployment when the first has not answered after this time; the better one serves, the other
        is given up and booked. Raises the last failure, when both have failed."""
        racers = [_Racer(self, trial, reserved, permit)]
        try:
            await asyncio.wait([racers[0].task], timeout=min(after_s, trial.left_s))
            if not racers[0].task.done() and (second := self._second(trial, reserved)) is not None:
                racers.append(second)
            left = {racer.task: racer for racer in racers}
            while left:
                done, _ = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    racer = left.pop(task)
                    if task.exception() is None:
                        return self._won(trial.exchange, racer)
            racers[-1].task.result()
            raise AssertionError("a race without a winner has a failure")
        finally:
            for racer in racers:
                await racer.give_up(self)

    def _second(self, trial: "_Trial", first: Reserved) -> "_Racer | None":
        """Another deployment of the same model, if one is free and the budgets hold both."""
        candidate = trial.candidate_of(first)
        others = [other for other in candidate.deployments if other != first.deployment]
        for other in others:
            if (permit := self._fleet.permit(other)) is not None:
                try:
                    reserved = self._reserve(trial, candidate, other)
                except (BudgetExceeded, NoCandidate):
                    permit.close()
                    return None
                self._observer.hedged(first.deployment.name)
                return _Racer(self, trial, reserved, permit)
        return None

    def _won(self, exchange: Exchange, racer: "_Racer") -> OpenCall:
        reserved = racer.reserved
        racer.has_won = True
        exchange.reserved, exchange.served, exchange.deployment = reserved, reserved.served, reserved.deployment
        call = racer.task.result()
        exchange.upstream_request_id = call.request_id
        return call

    # --- the record -------------------------------------------------------------------------------------------

    async def record(self, exchange: Exchange) -> None:
        """Settles the budgets and writes the row; returns when it is in the file. Raises LedgerUnavailable."""
        row = exchange.to_row()
        reserved = exchange.reserved
        if reserved is not None and row.status == "ok":
            self._kept.learn(exchange.caller.team, reserved.deployment.name, exchange.events)
        if reserved is not None and (row.actual_nano or 0) > reserved.money.amount_nano:
            row = msgspec.structs.replace(row, error_class="BilledBeyondReservation")
        exchange.row = row
        # Settled first: the row is on its way into the file, even if whoever waits for it here is cancelled.
        if reserved is not None:
            self._budgets.settle(reserved.money, row.actual_nano or 0)
        self._observer.closed(row)
        self._learn(exchange, row)
        self._watch(exchange, row)
        await self._ledger.record(Closing(row, reserved.id if reserved else None))

    def _watch(self, exchange: Exchange, row: LedgerRow) -> None:
        """Notes how fast and how well a provider has served; what was refused before a call says nothing of that."""
        watch = self._watches.get(row.team)
        if watch is None or row.kind != "request" or exchange.is_hit or row.status not in _SAYS_SOMETHING:
            return
        watch.saw(time.monotonic(), exchange.upstream_ns / 1e6, row.provider, is_failed=row.status != "ok")

    async def note(self, answered: Exchange, verdict: str, score: float) -> None:
        """Keeps what a judge thinks of an answer, in a row of its own."""
        if answered.row is not None:
            row = opinion(answered.row, "judge", score, int(self._now().timestamp() * 1e6))
            with suppress(LedgerUnavailable):  # counted where requests are refused for it
                await self._ledger.record(Closing(msgspec.structs.replace(row, verdict=verdict)))

    def _learn(self, exchange: Exchange, row: LedgerRow) -> None:
        """Remembers who answered, how long and how fast; nothing of what broke off."""
        seen = exchange.seen
        if row.kind != "request" or row.status != "ok" or seen is None or row.served_model is None:
            return
        if exchange.request.dialect == "embeddings":  # nothing was written, and nothing will be continued
            return
        self._experience.answered(
            row.request_id,
            seen,
            row.served_model,
            exchange.conversation,
            prompt_tokens=row.usage.all_input,
            output_tokens=row.output_tokens,
            first_event_ms=exchange.upstream_ns / 1e6,
        )

    async def _record_attempt(
        self, exchange: Exchange, reserved: Reserved, error_class: str, *, is_billed: bool
    ) -> None:
        row = exchange.to_attempt_row(reserved, error_class, is_billed=is_billed)
        self._budgets.settle(reserved.money, row.actual_nano or 0)
        self._observer.closed(row)
        await self._ledger.record(Closing(row, reserved.id))


class _Trial:
    """What has become of a request so far."""

    def __init__(self, exchange: Exchange, routing: RoutingPolicy) -> None:
        self.exchange = exchange
        self.routing = routing
        self.may_hedge = routing.hedge and exchange.kind == "request"
        self.refusal: RouterError | None = None
        self.too_dear: list[BudgetExceeded] = []
        self.unfit: RequestInvalid | None = None
        """What the first protocol without a form for the request said."""
        self.failure: UpstreamError | None = None
        self.passed_over: dict[str, Target] = {}
        """What was out or busy, by the deployment's name."""
        self.lost: list[tuple[Target, UpstreamError]] = []
        """Where an answer got lost, with what had become of it."""

    @property
    def has_failed(self) -> bool:
        """Whether something that would have gone first could not."""
        return self.failure is not None or bool(self.passed_over)

    @property
    def left_s(self) -> float:
        """How long the client still waits for a first event."""
        deadline = self.exchange.deadline
        return math.inf if deadline is None else deadline - time.monotonic()

    def candidate_of(self, reserved: Reserved) -> Candidate:
        plan = self.exchange.plan
        assert plan is not None
        return next(
            found
            for found in (*plan.candidates, *plan.brief, *plan.last_resorts)
            if found.model.name == reserved.model.name
        )


class _Racer:
    """One of two attempts at the same time. Unlike a single one, it closes its own books if it is given up."""

    def __init__(self, calls: Calls, trial: _Trial, reserved: Reserved, permit: Permit) -> None:
        self.reserved = reserved
        self.has_won = False
        self._exchange = trial.exchange
        self._permit = permit
        self._has_begun = False
        self.task = asyncio.create_task(self._run(calls, trial))

    async def _run(self, calls: Calls, trial: _Trial) -> OpenCall:
        self._has_begun = True
        return await calls._sent(trial, self.reserved, self._permit)

    async def give_up(self, calls: Calls) -> None:
        """Hangs up, unless it has won or failed; what it may have cost is booked."""
        if self.has_won:
            return
        with anyio.CancelScope(shield=True):
            self.task.cancel()
            await asyncio.wait([self.task])
            if self.task.cancelled():
                self._permit.close()
                await calls._record_attempt(self._exchange, self.reserved, "HedgeLost", is_billed=self._has_begun)
            elif self.task.exception() is None:  # both answered in the same moment
                await self.task.result().close()
                await calls._record_attempt(self._exchange, self.reserved, "HedgeLost", is_billed=True)


def _rank(caller: Caller, routing: RoutingPolicy) -> int:
    """Who goes first when not all can be served: production, then the route's rank."""
    return routing.rank + (0 if caller.env == "prod" else _AFTER_ALL_OF_PROD)


def status_of(error: RouterError) -> Status:
    """How the row calls it."""
    if isinstance(error, UpstreamCut):
        return "upstream_cut"
    return "upstream_error" if isinstance(error, UpstreamError) else "refused"
