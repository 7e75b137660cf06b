"""Calls at providers on behalf of an exchange: the plan's deployments in order, until one has sent its first event.

Whatever is sent upstream goes through here: misses, audits, refreshes, judges. Decides nothing about models
(`app/planning.py`) and nothing about money (`app/books.py`): it knows who is free, what is worth another try, and when
to give up. Knows no cache and no HTTP server.
"""

import asyncio
import math
import random
import time
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any, Final

import anyio

from app.books import Books
from app.exchange import Exchange, Reserved
from app.keys import Caller
from app.observer import Observer
from app.planning import Planning
from router.budgets import Budgets
from router.catalogue import Deployment, RoutingPolicy
from router.errors import (
    BudgetExceeded,
    LedgerUnavailable,
    NoCandidate,
    Overloaded,
    RequestInvalid,
    RouterError,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)
from router.fleet import Fleet, Permit
from router.kept import KeptAnswers
from router.plan import Candidate
from router.protocols import spoken, wire_format
from router.protocols.fields import as_sent, client_path
from router.retry import WAIT_AT_MOST_S, is_about_account, is_about_key, wait_before_repeat_s
from router.service_level import asked_last
from router.upstream import OpenCall, Upstream

_PATIENCE_S: Final = 0.25
"""Longer than this nobody waits to ask a deployment again while another one of the model is free."""
_CANONICAL: Final = ("openai", "azure")
"""Protocols whose own refusals name paths of the canonical form."""
_AFTER_ALL_OF_PROD: Final = 3
"""Routes have so many priorities."""
_COMES_BACK_S: Final = 1.0
"""How soon who was sent away may try again."""

Target = tuple[Candidate, Deployment]


class Calls:
    """Opens calls, each with its reservation in the file before anything is sent. Built by `create_app`."""

    def __init__(
        self,
        *,
        planning: Planning,
        books: Books,
        budgets: Budgets,
        fleet: Fleet,
        upstream: Upstream,
        kept: KeptAnswers,
        observer: Observer,
    ) -> None:
        self._planning = planning
        self._books = books
        self._budgets = budgets
        self._fleet = fleet
        self._upstream = upstream
        self._kept = kept
        self._observer = observer
        self._closing: set[asyncio.Task[None]] = set()
        """Books of attempts that were given up, for which nobody waits."""

    async def settle(self) -> None:
        """Waits until every attempt is in the books."""
        await asyncio.gather(*self._closing)

    def _close_later(self, booking: Coroutine[Any, Any, None]) -> None:
        """To count what an attempt has used may take a second, and a client waits for the answer of the other one."""
        task = asyncio.create_task(_quietly(booking))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def shed(self, caller: Caller, routing: RoutingPolicy) -> None:
        """Raises Overloaded if a request of this caller would be sent away by every deployment of its route."""
        deployments = (deployment for model in routing.models for deployment in model.deployments)
        if self._fleet.is_saturated(deployments, rank_of(caller, routing)):
            raise Overloaded(_COMES_BACK_S)

    async def open(self, exchange: Exchange) -> OpenCall:
        """Tries the plan's candidates in order until one has sent its first event: first those that are free, then
        one that is worth waiting for. Raises the last failure, else the first refusal of a budget, else
        Unavailable."""
        exchange.request = await self._kept.placed(exchange.request, exchange.caller.team)
        decision = self._planning.decide(exchange)
        trial = Trial(exchange, decision.routing)
        targets = asked_last(decision.put_off, self._fleet.order(decision.plan, decision.routing))
        if exchange.kind == "audit":  # with another model's answer it would measure something else
            own = decision.plan.candidates[0].model.name
            targets = (target for target in targets if target[0].model.name == own)
        call = await self._free(trial, targets) or await self._waited_for(trial) or await self._once_more(trial)
        if call is not None:
            return call
        # What is asked beside requests falls back to nothing, and does not say that a budget has no room for them.
        if trial.too_dear and trial.failure is None and exchange.kind == "request":
            if (call := await self._last_resort(trial)) is not None:
                return call
            self._budgets.refused(min(trial.too_dear, key=lambda error: error.needed_nano), exchange.arrived_at)
        raise trial.failure or trial.refusal or trial.unfit or NoCandidate({})

    async def _free(self, trial: "Trial", targets: Iterable[Target]) -> OpenCall | None:
        """Tries in this order what may be called now; what is out or busy costs no time."""
        for target in targets:
            permit = self._fleet.permit(target[1])
            if permit is None:
                trial.passed_over.setdefault(target[1].name, target)
            elif (call := await self._at(trial, target, permit)) is not None:
                return call
        return None

    async def _waited_for(self, trial: "Trial") -> OpenCall | None:
        """Tries one of those that were out or busy, as soon as it may be called. Raises Unavailable if none will be
        soon, and the last failure if there was one."""
        if not trial.passed_over:
            return None
        deployments = [deployment for _, deployment in trial.passed_over.values()]
        patience_s = trial.left_s if trial.exchange.kind == "request" else 0.0
        try:
            found, permit = await self._fleet.wait(
                deployments, rank_of(trial.exchange.caller, trial.routing), patience_s
            )
        except Unavailable as error:
            if trial.lost:
                return None
            raise trial.failure or error from None
        return await self._at(trial, trial.passed_over[found.name], permit)

    async def _once_more(self, trial: "Trial") -> OpenCall | None:
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

    async def _last_resort(self, trial: "Trial") -> OpenCall | None:
        """What a budget falls back to, if that is free and fits."""
        assert trial.exchange.plan is not None
        for candidate in trial.exchange.plan.last_resorts:
            for deployment in candidate.deployments:
                permit = self._fleet.permit(deployment)
                if permit and (call := await self._at(trial, (candidate, deployment), permit)) is not None:
                    return call
        return None

    async def _at(self, trial: "Trial", target: Target, permit: Permit | None, repeats: int = 0) -> OpenCall | None:
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
                reserved = self._reserved(trial, candidate, deployment)
            except RouterError as error:
                permit.close()
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
            if not trial.failure.retryable and not self._is_for_another_key(trial, deployment, repeats):
                raise trial.failure
            if trial.failure.billed == "unknown":
                trial.lost.append((target, trial.failure))
            permit = await self._again(trial, target, trial.failure, repeats)
            repeats += 1
        return None

    async def _again(self, trial: "Trial", target: Target, failure: UpstreamError, repeats: int) -> Permit | None:
        """The right to ask this deployment once more, with another key or after a wait; None if others should be
        asked instead."""
        candidate, deployment = target
        if self._is_for_another_key(trial, deployment, repeats):
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

    def _is_for_another_key(self, trial: "Trial", deployment: Deployment, repeats: int) -> bool:
        """Whether another key may have more luck at the same deployment: this one was turned down, or is of an account
        that does not keep what the request continues."""
        failure = trial.failure
        assert failure is not None
        is_unknown = bool(trial.exchange.request.continues) and is_about_account(failure)
        return (is_about_key(failure) or is_unknown) and repeats < len(deployment.provider.api_keys) - 1

    def _reserved(self, trial: "Trial", candidate: Candidate, deployment: Deployment) -> Reserved:
        refused, has_failed = trial.refusal is not None, trial.has_failed
        return self._books.reserve(
            trial.exchange, trial.routing, candidate, deployment, refused=refused, has_failed=has_failed
        )

    # --- one attempt --------------------------------------------------------------------------------------------

    async def _attempt(self, trial: "Trial", reserved: Reserved, permit: Permit) -> OpenCall:
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
        except UpstreamError as error:
            exchange.upstream_request_id = error.request_id
            raise
        finally:
            exchange.upstream_ns += time.perf_counter_ns() - asked_ns

    async def _sent(self, trial: "Trial", reserved: Reserved, permit: Permit) -> OpenCall:
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
                    raise as_sent(error, request) from None
                await self._books.open(exchange, reserved)
            except RouterError:
                self._books.release(reserved)
                raise
            exchange.dropped = tuple(dict.fromkeys(client_path(path, request) for path in wire.dropped))
            left_s = trial.left_s
            try:
                call = await self._upstream.open(
                    deployment, wire, is_stream=exchange.request.stream, api_key=permit.api_key, at_most_s=left_s
                )
            except UpstreamError as error:
                if error.param and wire.protocol is None and deployment.provider.protocol in _CANONICAL:
                    error.param = client_path(error.param, request)
                # That a client gives little time is no fault of the deployment.
                if not isinstance(error, UpstreamTimeout) or left_s >= deployment.provider.first_event_timeout_s:
                    permit.failed(error)
                is_billed = error.billed == "unknown"
                name = type(error).__name__
                await self._books.record_attempt(exchange, reserved, name, error.request_id, is_billed=is_billed)
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
        call.rest = self._books.renewing(call.rest, reserved.money)
        return call

    # --- a race of two ------------------------------------------------------------------------------------------

    async def _race(self, trial: "Trial", reserved: Reserved, permit: Permit, after_s: float) -> OpenCall:
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

    def _second(self, trial: "Trial", first: Reserved) -> "_Racer | None":
        """Another deployment of the same model, if one is free and the budgets hold both."""
        candidate = trial.candidate_of(first)
        for other in self._fleet.order_of(candidate.deployments, trial.routing):
            if other != first.deployment and (permit := self._fleet.permit(other)) is not None:
                try:
                    reserved = self._reserved(trial, candidate, other)
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


class Trial:
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
        left_s = self.exchange.left_s
        return math.inf if left_s is None else left_s

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

    def __init__(self, calls: Calls, trial: Trial, reserved: Reserved, permit: Permit) -> None:
        self.reserved = reserved
        self.has_won = False
        self._exchange = trial.exchange
        self._permit = permit
        self._has_begun = False
        self.task = asyncio.create_task(self._run(calls, trial))

    async def _run(self, calls: Calls, trial: Trial) -> OpenCall:
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
                if self._has_begun:
                    calls._close_later(calls._books.record_overtaken(self._exchange, self.reserved))
                else:
                    calls._books.release(self.reserved)
            elif self.task.exception() is None:  # both answered in the same moment
                call = self.task.result()
                await call.close()
                calls._close_later(
                    calls._books.record_overtaken(self._exchange, self.reserved, call.begun, call.request_id)
                )


async def _quietly(booking: Coroutine[Any, Any, None]) -> None:
    with suppress(LedgerUnavailable):  # counted where requests are refused for it
        await booking


def rank_of(caller: Caller, routing: RoutingPolicy) -> int:
    """Who goes first when not all can be served: production, then the route's rank. From 0, the first, to 5."""
    return routing.rank + (0 if caller.env == "prod" else _AFTER_ALL_OF_PROD)
