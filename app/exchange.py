"""One request's story: gathered along the hot path, told in the response's headers and the ledger row.

Decides nothing and waits for nothing.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.header_values import UPSTREAM_REQUEST_ID, header_value
from app.keys import Caller
from cache.errors import CacheError
from cache.lookup import Lookup
from cache.query import Query
from router.budgets import AUDITS, JUDGES, Reservation
from router.catalogue import Deployment, Model, RoutingPolicy, Tier
from router.chat import ChatEvent, ChatRequest
from router.ledger.row import Kind, LedgerRow, Status, price_columns, usage_columns
from router.money import usd_text
from router.plan import Plan
from router.prices import UnitPrices, cost_nano
from router.protocols.openai import plain_answer
from router.quality import Traits, Vector
from router.savings import REASONS, Savings, of_call, of_hit, of_nothing
from router.tokens import heard_tokens, spoken_tokens
from router.usage import Usage, UsageSource, estimated_tokens

_NEAREST_KEPT: Final = 5


class StoredAnswer(Struct, frozen=True):
    """The payload of a cache entry: the answer in its canonical JSON form, and what it had used."""

    body: dict[str, Any]
    usage: Usage


_stored_decoder: Final = msgspec.json.Decoder(StoredAnswer)


class PayloadDamaged(CacheError):
    """The payload of a cache entry holds no answer that can be served."""


def stored_answer(payload: bytes) -> StoredAnswer:
    """Raises PayloadDamaged."""
    try:
        stored = _stored_decoder.decode(payload)
        is_servable = plain_answer(stored.body) is not None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError, TypeError, LookupError):
        is_servable = False
    if not is_servable:
        raise PayloadDamaged("The stored payload holds no answer that can be served.")
    return stored


def answer_text(payload: bytes) -> str | None:
    """The text of a stored answer; None of a damaged one."""
    try:
        return plain_answer(stored_answer(payload).body)
    except PayloadDamaged:
        return None


class Served(Struct, frozen=True):
    """Which model the answer is from."""

    model: str
    tier: Tier
    is_rationed: bool
    provider: str | None = None
    deployment: str | None = None


class Reserved(Struct, frozen=True):
    """What is set aside for the attempt under way."""

    id: str
    attempt: int
    money: Reservation
    deployment: Deployment
    model: Model
    output_limit: int | None
    """A limit that the gateway set: the budget was short, or all better models had failed."""
    is_brief: bool
    """Whether this is short-answer mode."""
    is_clamped: bool
    """Whether a budget has lowered the output limit."""
    is_rationed: bool
    """Whether a budget ruled a better model out."""
    route_reason: str
    """Why this model serves."""

    @property
    def served(self) -> Served:
        """What the answer will be from, if the attempt succeeds."""
        deployment = self.deployment
        return Served(self.model.name, self.model.tier, self.is_rationed, deployment.provider.name, deployment.name)


class Exchange(Struct, kw_only=True):
    """Filled in the order of the hot path's steps."""

    request_id: str
    kind: Kind = "request"
    refers_to: str | None = None
    """The request that an audit or a refresh follows."""
    caller: Caller
    request: ChatRequest
    arrived_at: datetime
    started_ns: int
    baseline: Model | None
    """The model of the counterfactual: the requested one, or the declared baseline of `auto`."""
    end_user: str | None
    labels: str | None
    query: Query
    conversation: str
    """Id of the conversation that the request belongs to."""
    like_tokens: int | None = None
    """Of an audit: so many tokens hold any answer like the one that was served."""
    routing: RoutingPolicy | None = None
    """Instead of the route's: whom a judge's question goes to."""
    deadline: float | None = None
    """When the client stops waiting for the first event, in monotonic seconds."""

    lookup: Lookup[ChatEvent] = msgspec.field(default_factory=lambda: Lookup("miss", ""))
    age_s: int | None = None
    plan: Plan | None = None
    seen: Traits | None = None
    """What the quality estimate saw of the prompt."""
    attempts: int = 0
    reserved: Reserved | None = None
    served: Served | None = None
    deployment: Deployment | None = None

    events: list[ChatEvent] = []
    usage: Usage | None = None
    """As the provider counted, or as the stored entry says."""
    begun: Usage | None = None
    """As the provider counted before the answer had ended: all of the input, and some of the output."""
    estimate: Usage | None = None
    """As counted here, where the provider has not."""
    dropped: tuple[str, ...] = ()
    """Fields of the request that the provider was not told, because its protocol has no form for them."""
    upstream_request_id: str | None = None
    """The provider's own id of the last call, where it gave one, however that ended."""
    upstream_ns: int = 0
    """Time spent waiting for providers until the first event."""
    failed_at: str | None = None
    """The provider of the first attempt that failed."""
    first_event_ns: int | None = None
    verdict: str | None = None
    """Of an audit: whether the fresh answer says what had been served."""
    status: Status = "ok"
    error_class: str | None = None
    row: LedgerRow | None = None
    """Set once: what the ledger says of this request."""

    @property
    def budgets(self) -> tuple[str, ...]:
        """The names of all budgets that this exchange spends from; an audit or a judge also from their parts for
        that."""
        names = self.caller.budgets
        part = {"audit": AUDITS, "judge": JUDGES}.get(self.kind)
        return names if part is None else (*names, *(name + part for name in names))

    @property
    def vector(self) -> Vector | None:
        """Of the last user turn, if the cache lookup made one."""
        return self.lookup.ticket.vector if self.lookup.ticket is not None else None

    @property
    def at_us(self) -> int:
        return int(self.arrived_at.timestamp() * 1_000_000)

    @property
    def route_reason(self) -> str | None:
        if self.reserved is not None:
            return self.reserved.route_reason
        return self.plan.reason if self.plan is not None else None

    @property
    def is_clamped(self) -> bool:
        """Whether the answer may end early because the caller's budget is short."""
        return self.reserved is not None and self.reserved.is_clamped

    @property
    def left_s(self) -> float | None:
        """How long the client still waits for the first event; None = as long as it takes."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    @property
    def is_hit(self) -> bool:
        return self.lookup.disposition in ("exact", "semantic", "coalesced")

    def see(self, event: ChatEvent) -> None:
        """Takes note of an event of the answer."""
        if self.first_event_ns is None:
            self.first_event_ns = time.perf_counter_ns()
        if event.usage is not None and self.lookup.entry is None:
            self.usage = event.usage
        self.begun = event.begun or self.begun
        self.events.append(event)

    # --- the ledger row ---

    @property
    def is_uncounted(self) -> bool:
        """Whether nobody has said how many tokens there were, although it matters: a provider was asked for words. Who
        has joined an answer and left has saved nothing, however long it was."""
        matters = self.served is not None and not (self.is_hit and self.status != "ok")
        return self.usage is None and matters and "messages" in self.request.mapping

    @property
    def written(self) -> str:
        """What has come of the answer."""
        return "".join(event.written for event in self.events)

    def counted(self) -> tuple[Usage, UsageSource]:
        """What the answer used, and who says so. Without the provider's last word: its count of the input where it gave
        one before, and an estimate from what was seen, a rough one where nothing was counted here either."""
        if self.usage is not None:
            if self.lookup.disposition not in ("exact", "semantic"):
                return self.usage, "provider"
            entry = self.lookup.entry
            return self.usage, "estimated" if entry is not None and entry.is_curated else "entry"
        if self.served is None:
            return Usage(), "none"
        return self._estimated(self.events, self.estimate, self.begun), "estimated"

    def _estimated(self, events: Sequence[ChatEvent], counted: Usage | None, begun: Usage | None) -> Usage:
        """What an answer has used of which this has come; `counted` here, and `begun` to be counted by the provider."""
        seen = counted
        if seen is None:
            written = sum(event.text_bytes for event in events)
            seen = Usage(input=estimated_tokens(self.request.body_bytes), output=estimated_tokens(written))
        if self.request.hears or self.request.speaks:
            spoken = spoken_tokens(sum(event.spoken_bytes for event in events))
            seen = seen.with_audio(heard_tokens(self.request.mapping), spoken)
        return seen if begun is None else begun.grown_to(seen.output)

    def savings(self, usage: Usage) -> tuple[Savings, dict[str, Any]]:
        """The money of this request, with the unit prices that it was computed from."""
        if self.served is None or (self.is_hit and self.status != "ok"):
            return of_nothing(), {}
        at, tokens = self.arrived_at, usage.all_input
        baseline = self.baseline.deployments[0].priced.list_prices(at, tokens) if self.baseline else None
        if self.kind != "request":
            _, paid = self._prices(tokens)
            cost = cost_nano(usage, paid) if paid else None
            return Savings(None, None, cost, {}), price_columns(None, None, paid, usage.tools)
        if self.is_hit:
            columns = price_columns(baseline, None, None, usage.tools)
            return of_hit(self.lookup.disposition, usage, baseline), columns  # type: ignore[arg-type]
        listed, paid = self._prices(tokens)
        money = of_call(usage, baseline, listed, paid, is_rationed=self.served.is_rationed)
        return money, price_columns(baseline, listed, paid, usage.tools)

    def _prices(self, input_tokens: int) -> tuple[UnitPrices | None, UnitPrices | None]:
        if self.deployment is None:
            return None, None
        priced = self.deployment.priced
        return (
            priced.list_prices(self.arrived_at, input_tokens),
            priced.effective_prices(self.arrived_at, input_tokens),
        )

    def to_row(self) -> LedgerRow:
        """The request's row, as things stand now."""
        usage, source = self.counted()
        money, prices = self.savings(usage)
        now_ns = time.perf_counter_ns()
        if self.kind == "request":
            is_priced = None not in (money.baseline_nano, money.list_nano, money.actual_nano)
        else:
            is_priced = money.actual_nano is not None
            money = msgspec.structs.replace(money, actual_nano=money.actual_nano or 0)
        return LedgerRow(
            **self._identity(self.kind),
            **self._serving(),
            **usage_columns(usage),
            **prices,
            **_avoided_columns(money),
            usage_source=source,
            pricing="priced" if is_priced else "unpriced",
            baseline_nano=money.baseline_nano,
            list_nano=money.list_nano,
            actual_nano=money.actual_nano,
            overhead_nano=0 if self.kind == "request" else money.actual_nano or 0,
            overhead_reason=None if self.kind == "request" else self.kind,
            verdict=self.verdict,
            reserved_nano=self.reserved.money.amount_nano if self.reserved else 0,
            latency_us=(now_ns - self.started_ns) // 1000,
            first_token_us=(self.first_event_ns - self.started_ns) // 1000 if self.first_event_ns else None,
            status=self.status,
            error_class=self.error_class,
        )

    def to_draft(self, reserved: Reserved) -> LedgerRow:
        """The row that is booked if the process dies while the attempt is under way."""
        own = {"attempt": reserved.attempt, "route_reason": reserved.route_reason, "upstream_request_id": None}
        return LedgerRow(
            **self._identity(self.kind) | own,
            **_served_columns(reserved.served),
            reserved_nano=reserved.money.amount_nano,
        )

    def to_attempt_row(
        self, reserved: Reserved, error_class: str, upstream_request_id: str | None, *, is_billed: bool
    ) -> LedgerRow:
        """An upstream call that failed. If it may have been billed, it is booked at its reservation."""
        draft = self.to_draft(reserved)
        cost_nano = reserved.money.amount_nano if is_billed else 0
        return msgspec.structs.replace(
            draft,
            kind="attempt",
            status="upstream_error",
            pricing="unknown" if is_billed else "priced",
            usage_source="reserved" if is_billed else "none",
            actual_nano=cost_nano,
            overhead_nano=cost_nano,
            overhead_reason="retry" if self.kind == "request" else self.kind,
            reserved_nano=reserved.money.amount_nano,
            error_class=error_class,
            upstream_request_id=upstream_request_id,
        )

    def to_overtaken_row(
        self,
        reserved: Reserved,
        events: Sequence[ChatEvent],
        counted: Usage | None,
        upstream_request_id: str | None,
    ) -> LedgerRow:
        """An upstream call that was hung up on because another one was faster. A stream is booked at what is known of
        it: the input, and the `events` that had come, as the provider has counted them or as they were `counted` here.
        How much of a JSON body was written when we hung up nobody knows: that is booked at its reservation."""
        told = next((event.usage for event in reversed(events) if event.usage is not None), None)
        if told is None and not self.request.stream:
            return self.to_attempt_row(reserved, "HedgeLost", upstream_request_id, is_billed=True)
        begun = next((event.begun for event in reversed(events) if event.begun is not None), None)
        usage = told or self._estimated(events, counted, begun)
        paid = reserved.deployment.priced.effective_prices(self.arrived_at, usage.all_input)
        cost = cost_nano(usage, paid) if paid else None
        return msgspec.structs.replace(
            self.to_attempt_row(reserved, "HedgeLost", upstream_request_id, is_billed=False),
            **usage_columns(usage),
            **price_columns(None, None, paid, usage.tools),
            usage_source="estimated" if told is None else "provider",
            pricing="unpriced" if cost is None else "priced",
            actual_nano=cost or 0,
            overhead_nano=cost or 0,
        )

    def _identity(self, kind: Kind) -> dict[str, Any]:
        caller, lookup = self.caller, self.lookup
        return {
            "kind": kind,
            "request_id": self.request_id,
            "attempt": max(self.attempts, 1),
            "at_us": self.at_us,
            "team": caller.team,
            "app": caller.app,
            "key_id": caller.key_id,
            "env": caller.env,
            "route": caller.route,
            "end_user": self.end_user,
            "labels": self.labels,
            "requested_model": self.request.model,
            "baseline_model": self.baseline.name if self.baseline else None,
            "disposition": lookup.disposition,
            "cache_reason": lookup.reason or None,
            "route_reason": self.route_reason,
            "refers_to": self.refers_to,
            "conversation": self.conversation,
            "routing": _routing(self.plan) if self.plan is not None else None,
            "upstream_request_id": self.upstream_request_id,
            **_decision_columns(lookup),
        }

    def _serving(self) -> dict[str, Any]:
        entry = self.lookup.entry
        return {"entry_id": entry.id if entry else None, **(_served_columns(self.served) if self.served else {})}

    # --- the response's headers ---

    def headers(self) -> dict[str, str]:
        """What is known by now; a live stream does not know its cost yet, so it leaves that out."""
        lookup = self.lookup
        found: dict[str, Any] = {
            "x-request-id": self.request_id,
            "x-thriftgate-cache": lookup.disposition,
            "x-thriftgate-cache-reason": lookup.reason or None,
            "x-thriftgate-confidence": f"{lookup.confidence:.4f}" if lookup.confidence is not None else None,
            "x-thriftgate-entry": lookup.entry.id if lookup.entry else None,
            "age": self.age_s,
            "x-thriftgate-route-reason": self.route_reason,
        }
        if self.served is not None:
            found["x-thriftgate-model"] = self.served.model
            found["x-thriftgate-tier"] = self.served.tier.label
            if self.served.is_rationed:
                found["x-thriftgate-rationed"] = "true"
        if self.dropped:
            found["x-thriftgate-warning"] = f"not passed on: {', '.join(self.dropped)}"
        if self.upstream_request_id is not None:
            found[UPSTREAM_REQUEST_ID] = self.upstream_request_id
        if self.reserved is not None and self.reserved.output_limit is not None:
            found["x-thriftgate-output-limit"] = self.reserved.output_limit
        if self.reserved is not None and self.reserved.is_brief:
            found["x-thriftgate-mode"] = "short-answer"
        row = self.row or (self.to_row() if lookup.entry is not None else None)
        if row is not None and row.actual_nano is not None:
            found["x-thriftgate-cost-usd"] = usd_text(row.actual_nano)
            if row.baseline_nano is not None:
                found["x-thriftgate-saved-usd"] = usd_text(row.baseline_nano - row.actual_nano)
            overhead_ns = time.perf_counter_ns() - self.started_ns - self.upstream_ns
            found["x-thriftgate-overhead-ms"] = f"{overhead_ns / 1e6:.3f}"
        return {name: header_value(str(value)) for name, value in found.items() if value is not None}


def _decision_columns(lookup: Lookup[ChatEvent]) -> dict[str, Any]:
    """What the cache decided, in numbers: no text, so that it may be kept and replayed with another error budget."""
    found: dict[str, Any] = {"confidence": lookup.confidence, "kappa": lookup.kappa}
    judgement = lookup.judgement
    if judgement is None or judgement.nearest is None:
        return found
    nearest = [[each.anchor_id, each.group, round(each.similarity, 4)] for each in judgement.around[:_NEAREST_KEPT]]
    decision = {"claim": round(judgement.claim, 5), "group": judgement.group, "blocked": judgement.blocked_by}
    return found | {
        "similarity": judgement.nearest.similarity,
        "decision": msgspec.json.encode({**decision, "nearest": nearest}).decode(),
    }


def _routing(chosen: Plan) -> str:
    """The decision in numbers: no text, so that it may be kept, and taken again with other prices."""
    candidates = [[each.model.name, round(each.quality, 4), each.cost_nano] for each in chosen.candidates]
    decision = {
        "candidates": candidates,
        "price": chosen.price,
        "asked": chosen.asked,
        "least_lambda": chosen.least_lambda,
        "propensity": round(chosen.propensity, 6),
        "wanted": chosen.wanted,
        "held_out": chosen.is_held_out,
    }
    return msgspec.json.encode(decision).decode()


def _avoided_columns(money: Savings) -> dict[str, Any]:
    return {f"avoided_{reason}_nano": money.avoided.get(reason, 0) for reason in REASONS}


def _served_columns(served: Served) -> dict[str, Any]:
    return {
        "served_model": served.model,
        "tier": served.tier.label,
        "rationed": served.is_rationed,
        "provider": served.provider,
        "deployment": served.deployment,
    }
