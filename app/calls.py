"""Calls at providers on behalf of an exchange, with their books: plan -> reserve -> attempt -> settle and record.

Whatever is sent upstream goes through here: misses, audits, refreshes. Knows no cache and no HTTP server. A
reservation is in the ledger file before anything is sent, and every attempt that failed has a row of its own.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from app.exchange import Exchange, Reserved
from app.observer import Observer
from router.budgets import Budgets
from router.catalogue import Deployment, RoutingPolicy
from router.errors import BudgetExceeded, NoCandidate, RequestInvalid, RouterError, UpstreamCut, UpstreamError
from router.ledger.row import Status
from router.ledger.writer import Closing, Ledger, Opening
from router.plan import Candidate, plan
from router.prices import worst_case_nano
from router.protocols import wire_format
from router.retry import wait_before_repeat_s
from router.upstream import OpenCall, Upstream

_CLAMP_AT_LEAST_TOKENS: Final = 256
"""An answer shorter than this is not worth clamping to: a cheaper model or a refusal is better."""


class Calls:
    """Opens calls and books them. Built by `create_app`; `routes` maps a route's name to its routing policy."""

    def __init__(
        self,
        *,
        routes: Mapping[str, RoutingPolicy],
        budgets: Budgets,
        ledger: Ledger,
        upstream: Upstream,
        observer: Observer,
    ) -> None:
        self._routes = routes
        self._budgets = budgets
        self._ledger = ledger
        self._upstream = upstream
        self._observer = observer

    async def open(self, exchange: Exchange) -> OpenCall:
        """Tries the plan's candidates in order until one has sent its first event. Raises the first refusal
        of a budget if none fitted, else the last failure."""
        request, caller = exchange.request, exchange.caller
        ceiling = self._budgets.ceiling(caller.budgets, exchange.arrived_at)
        routing = self._routes[caller.route]
        exchange.plan = plan(request, routing, ceiling, exchange.arrived_at)
        refusal: RouterError | None = None
        failure: UpstreamError | None = None
        for candidate, deployment in exchange.plan.deployments():
            for repeats in itertools.count():
                try:
                    reserved = self._reserve(exchange, candidate, deployment, refusal, failure)
                except (BudgetExceeded, NoCandidate) as error:
                    if exchange.kind == "audit":  # another model's answer would measure something else
                        raise
                    refusal = refusal or error
                    break
                try:
                    return await self._attempt(exchange, reserved)
                except RequestInvalid as error:  # this provider has no form for it; another one may
                    refusal = refusal or error
                    break
                except UpstreamError as error:
                    failure = error
                if not failure.retryable:
                    raise failure
                wait_s = wait_before_repeat_s(failure, repeats, deployment.provider.retries, random.random())
                if wait_s is None:
                    break
                await asyncio.sleep(wait_s)
        raise failure or refusal or NoCandidate({})

    def _reserve(
        self,
        exchange: Exchange,
        candidate: Candidate,
        deployment: Deployment,
        refusal: RouterError | None,
        failure: UpstreamError | None,
    ) -> Reserved:
        """Takes the worst case from every budget that applies, with a shorter output if the route allows it.
        `refusal` and `failure` say what became of better candidates. Raises BudgetExceeded, or NoCandidate for a
        model without a price under a cap."""
        request, budgets, at = exchange.request, exchange.budgets, exchange.arrived_at
        routing, chosen = self._routes[exchange.caller.route], exchange.plan
        assert chosen is not None
        input_tokens = request.input_bound(candidate.model.context_tokens)
        prices = deployment.priced.effective_prices(at, input_tokens)
        if prices is None and self._budgets.has_cap(budgets):
            raise NoCandidate({candidate.model.name: "its price is unknown, so a budget cannot hold it"})

        def worst_nano(output_tokens: int) -> int:
            return worst_case_nano(input_tokens, output_tokens * request.choices, prices) if prices else 0

        output_tokens, clamped = request.output_at_most or candidate.model.max_output_tokens, None
        free_nano = self._budgets.free_nano(budgets, at)
        may_clamp = routing.clamp_output and request.output_limit is None and exchange.kind != "audit"
        if prices and prices.output and free_nano is not None and worst_nano(output_tokens) > free_nano and may_clamp:
            payable = (free_nano - worst_nano(0)) * 1_000_000 // (prices.output * request.choices) - 1
            if payable >= _CLAMP_AT_LEAST_TOKENS:
                output_tokens = clamped = payable
        money = self._budgets.reserve(budgets, worst_nano(output_tokens), at)
        exchange.attempts += 1
        return Reserved(
            id=f"{exchange.request_id}/{exchange.attempts}",
            attempt=exchange.attempts,
            money=money,
            deployment=deployment,
            model=candidate.model,
            output_limit=clamped,
            is_rationed=refusal is not None or chosen.is_rationed(candidate.model),
            route_reason=chosen.reason_for(candidate.model, refused=refusal is not None, failed=failure is not None),
        )

    async def _attempt(self, exchange: Exchange, reserved: Reserved) -> OpenCall:
        """One call at one deployment; its reservation is in the file before anything is sent. If it fails,
        its own row closes it. Raises UpstreamError, or RequestInvalid for what its protocol has no form for."""
        deployment = reserved.deployment
        exchange.reserved = reserved
        try:
            wire = wire_format(deployment.provider.protocol).encode(exchange.request, deployment, reserved.output_limit)
            await self._ledger.open(Opening(reserved.id, reserved.money.amount_nano, exchange.to_draft(reserved)))
        except RouterError:
            exchange.reserved = None
            self._budgets.settle(reserved.money, 0)
            raise
        exchange.served, exchange.deployment, exchange.dropped = reserved.served, deployment, wire.dropped
        asked_ns = time.perf_counter_ns()
        try:
            call = await self._upstream.open(deployment, wire, is_stream=exchange.request.stream)
            exchange.upstream_request_id = call.request_id
            return call
        except UpstreamError as error:
            exchange.served = exchange.deployment = exchange.reserved = None
            await self._record_attempt(exchange, reserved, error)
            raise
        finally:
            exchange.upstream_ns += time.perf_counter_ns() - asked_ns

    # --- the record -------------------------------------------------------------------------------------------

    async def record(self, exchange: Exchange) -> None:
        """Settles the budgets and writes the row; returns when it is in the file. Raises LedgerUnavailable."""
        row = exchange.to_row()
        reserved = exchange.reserved
        if reserved is not None and (row.actual_nano or 0) > reserved.money.amount_nano:
            row = msgspec.structs.replace(row, error_class="BilledBeyondReservation")
        exchange.row = row
        # Settled first: the row is on its way into the file, even if whoever waits for it here is cancelled.
        if reserved is not None:
            self._budgets.settle(reserved.money, row.actual_nano or 0)
        self._observer.closed(row)
        await self._ledger.record(Closing(row, reserved.id if reserved else None))

    async def _record_attempt(self, exchange: Exchange, reserved: Reserved, error: UpstreamError) -> None:
        row = exchange.to_attempt_row(reserved, type(error).__name__, is_billed=error.billed == "unknown")
        self._budgets.settle(reserved.money, row.actual_nano or 0)
        self._observer.closed(row)
        await self._ledger.record(Closing(row, reserved.id))


def status_of(error: RouterError) -> Status:
    """How the row calls it."""
    if isinstance(error, UpstreamCut):
        return "upstream_cut"
    return "upstream_error" if isinstance(error, UpstreamError) else "refused"
