"""The books of an exchange: money set aside before anything is sent, settled afterwards, and the row that says so.

What a row teaches goes from here to those who learn: the router's experience and the watch over service levels. Knows
neither the cache nor HTTP, and calls nobody.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final

import msgspec

from app.exchange import Exchange, Reserved
from app.observer import Observer
from app.token_counter import TokenCounter
from router import own_tools
from router.budgets import Budgets, Reservation
from router.catalogue import Deployment, RoutingPolicy
from router.chat import ChatEvent, ChatRequest
from router.errors import LedgerUnavailable, NoCandidate, RouterError, UpstreamCut, UpstreamError
from router.experience import Experience
from router.kept import KeptAnswers
from router.ledger.kept import Kept
from router.ledger.row import LedgerRow, Status, opinion
from router.ledger.writer import Closing, Ledger, Opening
from router.plan import Candidate
from router.prices import UnitPrices, dearest_output, worst_case_nano
from router.protocols import spoken
from router.service_level import Watch
from router.usage import Usage

_CLAMP_AT_LEAST_TOKENS: Final = 256
"""An answer shorter than this is not worth clamping to: a cheaper model or a refusal is better."""
_BRIEF_TOKENS: Final = 256
"""How long an answer in short-answer mode may be."""
_SAYS_SOMETHING: Final = ("ok", "upstream_error", "upstream_cut")
"""Ends of requests that say how well providers serve."""


class Books:
    """Reserves, settles and records. Whoever may have sent something closes what it has opened here."""

    def __init__(
        self,
        *,
        budgets: Budgets,
        ledger: Ledger,
        experience: Experience,
        watches: Mapping[str, Watch],
        kept: KeptAnswers,
        observer: Observer,
        counter: TokenCounter,
        now: Callable[[], datetime],
    ) -> None:
        self._budgets = budgets
        self._ledger = ledger
        self._experience = experience
        self._watches = watches
        self._kept = kept
        self._observer = observer
        self._counter = counter
        self._now = now

    def reserve(
        self,
        exchange: Exchange,
        routing: RoutingPolicy,
        candidate: Candidate,
        deployment: Deployment,
        *,
        refused: bool,
        has_failed: bool,
    ) -> Reserved:
        """Takes the worst case from every budget that applies, with a shorter output if the route allows it. `refused`
        and `has_failed` say what became of better candidates. Raises BudgetExceeded, or NoCandidate for a model without
        a price under a cap."""
        request, budgets, at = exchange.request, exchange.budgets, exchange.arrived_at
        chosen = exchange.plan
        assert chosen is not None
        input_tokens = request.input_bound(candidate.model.context_tokens)
        prices = deployment.priced.effective_prices(at, input_tokens)
        tools = _payable_tools(request, deployment)
        if _worst_nano(request, input_tokens, 0, prices, tools) is None and self._budgets.has_cap(budgets):
            unknown = "its price" if prices is None else "the price of its audio or of the provider's own tools"
            raise NoCandidate({candidate.model.name: f"{unknown} is unknown, so a budget cannot hold it"})

        def worst_nano(output_tokens: int) -> int:
            return _worst_nano(request, input_tokens, output_tokens, prices, tools) or 0

        output_tokens, clamped = request.output_at_most or candidate.model.max_output_tokens, None
        is_brief, is_clamped = chosen.is_brief(candidate, routing, failed=has_failed), False
        if is_brief and output_tokens > _BRIEF_TOKENS:
            output_tokens = clamped = _BRIEF_TOKENS
        free_nano = self._budgets.free_nano(budgets, at, candidate.model.tier)
        least = _CLAMP_AT_LEAST_TOKENS
        may_clamp = routing.clamp_output and request.output_limit is None
        if exchange.kind == "audit":  # a shorter answer than the one that was served would tell nothing of it
            least = exchange.like_tokens or 0
            may_clamp = request.output_limit is None and least > 0
        if prices and prices.output and free_nano is not None and worst_nano(output_tokens) > free_nano and may_clamp:
            dearest = dearest_output(prices, speaks=request.speaks)
            payable = (free_nano - worst_nano(0)) * 1_000_000 // (dearest * request.choices) - 1
            if payable >= least:
                output_tokens = clamped = least if exchange.kind == "audit" else payable
                is_clamped = True
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
            is_clamped=is_clamped,
            is_rationed=refused or chosen.is_rationed(candidate.model),
            route_reason=chosen.reason_for(candidate.model, refused=refused, failed=has_failed),
        )

    async def open(self, exchange: Exchange, reserved: Reserved) -> None:
        """Puts the reservation into the file. Raises LedgerUnavailable."""
        await self._ledger.open(Opening(reserved.id, reserved.money.amount_nano, exchange.to_draft(reserved)))

    def release(self, reserved: Reserved) -> None:
        """Gives a reservation back for which nothing was sent."""
        self._budgets.settle(reserved.money, 0)

    async def renewing(self, events: AsyncIterator[ChatEvent], money: Reservation) -> AsyncIterator[ChatEvent]:
        """The same events; each shows that the reservation's owner is alive."""
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                self._budgets.renew(money, self._now())
                yield event

    async def record(self, exchange: Exchange) -> None:
        """Settles the budgets and writes the row; returns when it is in the file. Raises LedgerUnavailable."""
        try:
            if exchange.is_uncounted:
                counts = await self._counter.count(exchange.request.mapping, exchange.written)
                exchange.estimate = Usage(input=counts[0], output=counts[1]) if counts is not None else None
        finally:  # even if whoever waits for it here is cancelled
            await self._book(exchange)

    async def _book(self, exchange: Exchange) -> None:
        row = exchange.to_row()
        reserved = exchange.reserved
        kept: tuple[Kept, ...] = ()
        if reserved is not None and row.status == "ok":
            kept = self._kept.learn(exchange.caller.team, reserved.deployment.name, exchange.events)
        if reserved is not None and (row.actual_nano or 0) > reserved.money.amount_nano:
            row = msgspec.structs.replace(row, error_class="BilledBeyondReservation")
        exchange.row = row
        # Settled first: the row is on its way into the file, even if whoever waits for it here is cancelled.
        if reserved is not None:
            self._budgets.settle(reserved.money, _spent_nano(row))
        self._observer.closed(row)
        self._learn(exchange, row)
        self._watch(exchange, row)
        await self._ledger.record(Closing(row, reserved.id if reserved else None, kept))

    def _watch(self, exchange: Exchange, row: LedgerRow) -> None:
        """Notes how fast and how well a provider has served; what was refused before a call says nothing of that."""
        watch = self._watches.get(row.team)
        if watch is None or row.kind != "request" or exchange.is_hit or row.status not in _SAYS_SOMETHING:
            return
        # Who had to be replaced cost the time, and not who came to the rescue.
        provider = exchange.failed_at or row.provider
        watch.saw(time.monotonic(), exchange.upstream_ns / 1e6, provider, is_failed=row.status != "ok")

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
            first_event_ms=exchange.upstream_ns / 1e6 if exchange.failed_at is None else None,
        )

    async def record_overtaken(
        self,
        exchange: Exchange,
        reserved: Reserved,
        events: Sequence[ChatEvent] = (),
        upstream_request_id: str | None = None,
    ) -> None:
        """Books an attempt that was hung up on because another one was faster: at what is known of it. These events had
        come."""
        counts = None
        is_counted = exchange.request.stream and all(event.usage is None for event in events)
        if is_counted and "messages" in exchange.request.mapping:
            written = "".join(event.written for event in events)
            counts = await self._counter.count(exchange.request.mapping, written)
        counted = Usage(input=counts[0], output=counts[1]) if counts is not None else None
        await self._close_attempt(exchange.to_overtaken_row(reserved, events, counted, upstream_request_id), reserved)

    async def record_attempt(
        self,
        exchange: Exchange,
        reserved: Reserved,
        error_class: str,
        upstream_request_id: str | None = None,
        *,
        is_billed: bool,
    ) -> None:
        """Books an attempt that did not serve: at its reservation, if it may have been billed."""
        row = exchange.to_attempt_row(reserved, error_class, upstream_request_id, is_billed=is_billed)
        exchange.failed_at = exchange.failed_at or row.provider
        await self._close_attempt(row, reserved)

    async def _close_attempt(self, row: LedgerRow, reserved: Reserved) -> None:
        self._budgets.settle(reserved.money, row.actual_nano or 0)
        self._observer.closed(row)
        await self._ledger.record(Closing(row, reserved.id))


def _payable_tools(request: ChatRequest, deployment: Deployment) -> dict[str, int]:
    """How often the provider's own tools may be called. Those of another API than it speaks are never sent."""
    is_understood = request.dialect in ("openai", spoken(deployment.provider, request.dialect))
    return own_tools.allowed(request.mapping) if is_understood else {}


def _worst_nano(
    request: ChatRequest, input_tokens: int, output_tokens: int, prices: UnitPrices | None, tools: Mapping[str, int]
) -> int | None:
    """What the request may cost at most with so much output for each choice; None where nobody knows."""
    if prices is None:
        return None
    # A file may hold audio, where the model hears any.
    hears = request.hears or ("file" in request.modalities and prices.audio_input is not None)
    return worst_case_nano(
        input_tokens, output_tokens * request.choices, prices, hears=hears, speaks=request.speaks, tools=tools
    )


def _spent_nano(row: LedgerRow) -> int:
    """What the budgets are charged: the reservation, where a part of the cost has no price."""
    return row.reserved_nano if row.actual_nano is None else row.actual_nano


def status_of(error: Exception) -> Status:
    """How the row calls it. What nobody has foreseen is a failure of the call."""
    if isinstance(error, UpstreamCut):
        return "upstream_cut"
    is_refusal = isinstance(error, RouterError) and not isinstance(error, UpstreamError)
    return "refused" if is_refusal else "upstream_error"
