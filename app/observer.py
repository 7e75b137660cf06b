"""What operators see: Prometheus metrics and structured logs. Never a prompt, an answer or a secret."""

from collections import Counter as Counts
from collections.abc import Iterable
from typing import Any, Final, get_args

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.errors import NotCached
from router.breaker import State
from router.errors import Unavailable
from router.fleet import DeploymentState, FleetEvent
from router.ledger.row import LedgerRow

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)

_CACHE: Final = {
    "entries": "Stored answers",
    "curated": "Stored answers that an operator vouches for",
    "groups": "Groups of answers that say the same",
    "vectors": "Questions that can be found by their meaning",
    "bytes": "Bytes of stored answers, questions and vectors",
    "lessons_skipped": "Fresh answers since the start that taught nothing, because too many others waited to",
}
_DEPLOYMENTS: Final = {
    "failure_share": "Share of failed calls in the breaker's window",
    "in_use": "Calls under way",
    "limit": "Calls that may be under way at this moment",
    "waiting": "Requests that wait for a turn",
    "latency_s": "Seconds to the first event, lately (peak EWMA)",
}
_ROUTES: Final = {
    "kappa": "The probability from which on the route serves; +Inf = it serves nothing semantically",
    "budget": "The share of wrong answers that the operator accepts",
    "estimate": "Estimated share of wrong answers",
    "bound": "Upper bound of the share of wrong answers",
    "bound_with_unclear": "The same with every unclear label counted wrong",
    "hits_audited": "Semantic hits with a clear label, in the evidence in force",
    "hits_unaudited": "Semantic hits without one",
    "hits_wrong": "Semantic hits that an audit found wrong",
    "hits_unclear": "Audits that said neither right nor wrong",
    "stale": "1 if too many hits were served since the last clear label, or that no audit could reach",
    "alarms": "Alarms that stand",
    "doubts_open": "Hits that wait for a person to judge them",
}


class Observer:
    """Counts what has happened. One for each app, so that tests do not share counters."""

    def __init__(self, log: Any = None) -> None:
        self._log = log or structlog.get_logger("thriftgate")
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "thriftgate_requests", "Closed requests", ["team", "disposition", "status"], registry=self._registry
        )
        self._attempts = Counter(
            "thriftgate_upstream_attempts_failed",
            "Upstream calls that failed",
            ["provider", "error"],
            registry=self._registry,
        )
        self._cost = Counter(
            "thriftgate_cost_nano_usd", "Spent, in nano-dollars", ["team", "model"], registry=self._registry
        )
        self._saved = Counter(
            "thriftgate_avoided_nano_usd",
            "Avoided, in nano-dollars (positive parts)",
            ["team", "reason"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "thriftgate_latency_seconds",
            "From arrival to the closed row",
            ["disposition"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._refused = Counter(
            "thriftgate_errors", "Requests answered with an error", ["status", "code"], registry=self._registry
        )
        self._faults = Counter(
            "thriftgate_cache_faults", "Faults inside the cache, each a miss", ["error"], registry=self._registry
        )
        self._overbilled = Counter(
            "thriftgate_billed_beyond_reservation",
            "Answers that cost more than their worst case",
            registry=self._registry,
        )
        self._fleet_events = Counter(
            "thriftgate_fleet_events",
            "Breakers that opened or closed, keys that died",
            ["deployment", "kind"],
            registry=self._registry,
        )
        self._hedges = Counter(
            "thriftgate_hedges",
            "Second deployments asked because the first was late",
            ["first"],
            registry=self._registry,
        )
        self._feedback = Counter(
            "thriftgate_feedback", "What clients said of answers", ["team", "kind"], registry=self._registry
        )
        self.cache = {
            name: Gauge(f"thriftgate_cache_{name}", said, registry=self._registry) for name, said in _CACHE.items()
        }
        self.routes = {
            name: Gauge(f"thriftgate_cache_{name}", said, ["route"], registry=self._registry)
            for name, said in _ROUTES.items()
        }
        self.route_state = Gauge(
            "thriftgate_cache_state", "1 for the state that a route is in", ["route", "state"], registry=self._registry
        )
        self._deployments = {
            name: Gauge(f"thriftgate_deployment_{name}", said, ["deployment"], registry=self._registry)
            for name, said in _DEPLOYMENTS.items()
        }
        self._in_flight = Gauge("thriftgate_in_flight", "Requests under way", registry=self._registry)
        self._lag = Gauge(
            "thriftgate_lag_seconds", "How long the last round of the event loop took", registry=self._registry
        )
        self._overload = Gauge(
            "thriftgate_overload",
            "1 while requests are turned away because the process is late",
            registry=self._registry,
        )
        self._breaker_state = Gauge(
            "thriftgate_breaker_state",
            "1 for the state that a deployment's breaker is in",
            ["deployment", "state"],
            registry=self._registry,
        )
        self._keys = Gauge(
            "thriftgate_upstream_keys",
            "Keys of a deployment: ready, resting, or dead (the provider does not accept them)",
            ["deployment", "state"],
            registry=self._registry,
        )
        self._soft_limits = Counter(
            "thriftgate_budget_soft_limits", "Soft limits that were reached", ["budget"], registry=self._registry
        )
        self._expired = Counter(
            "thriftgate_reservations_expired", "Reservations whose owner was gone", registry=self._registry
        )
        self._drift = Gauge(
            "thriftgate_budget_drift_nano_usd",
            "Counter less ledger, when they were last compared; anything but 0 is an alarm",
            ["budget"],
            registry=self._registry,
        )
        self.budget_used = Gauge(
            "thriftgate_budget_used_ratio",
            "Spent share of a budget in its period",
            ["budget"],
            registry=self._registry,
        )

    def soft_limit(self, budget: str) -> None:
        """A budget has reached its soft limit."""
        self._soft_limits.labels(budget).inc()

    def reservation_expired(self) -> None:
        """A reservation was given up, because its owner was not heard of any more."""
        self._expired.inc()

    def drift(self, budget: str, nano: int) -> None:
        """How far a budget's counter is from what the ledger says."""
        self._drift.labels(budget).set(nano)

    def closed(self, row: LedgerRow) -> None:
        """A request or an attempt has ended, and its row is on the way into the ledger."""
        if row.kind == "attempt":
            self._attempts.labels(row.provider, row.error_class).inc()
            self._log.warning(
                "upstream attempt failed",
                request_id=row.request_id,
                provider=row.provider,
                error_class=row.error_class,
            )
        elif row.kind == "request":
            self._requests.labels(row.team, row.disposition, row.status).inc()
            self._latency.labels(row.disposition).observe((row.latency_us or 0) / 1e6)
        if row.actual_nano:
            self._cost.labels(row.team, row.served_model).inc(row.actual_nano)
        for reason in ("exact", "semantic", "coalesced", "downgrade", "rationing"):
            if (avoided := getattr(row, f"avoided_{reason}_nano")) > 0:
                self._saved.labels(row.team, reason).inc(avoided)
        if row.error_class == "BilledBeyondReservation":
            self._overbilled.inc()
            self._log.error(
                "billed beyond reservation",
                request_id=row.request_id,
                reserved_nano=row.reserved_nano,
                actual_nano=row.actual_nano,
            )

    def fleet_event(self, event: FleetEvent) -> None:
        """A breaker has opened or closed, or a key has died."""
        self._fleet_events.labels(event.deployment, event.kind).inc()
        log = self._log.info if event.kind == "breaker closed" else self._log.error
        log(event.kind, deployment=event.deployment, subject=event.subject or None)

    def fleet(self, states: Iterable[DeploymentState]) -> None:
        """Brings the gauges of all deployments up to date."""
        for state in states:
            for name, gauge in self._deployments.items():
                gauge.labels(state.deployment).set(getattr(state, name))
            for breaker in get_args(State):
                self._breaker_state.labels(state.deployment, breaker).set(breaker == state.breaker)
            counts = Counts("dead" if key.is_dead else "resting" if key.rests_s else "ready" for key in state.keys)
            for name in ("ready", "resting", "dead"):
                self._keys.labels(state.deployment, name).set(counts[name])

    def gate(self, in_flight: int, lag_s: float, *, is_overload: bool) -> None:
        """Brings the gauges of the whole process up to date."""
        self._in_flight.set(in_flight)
        self._lag.set(lag_s)
        self._overload.set(is_overload)

    def unpriced(self, deployments: Iterable[str]) -> None:
        """Of these nobody knows what they cost."""
        for name in deployments:
            self._log.warning("no list price: its requests are recorded as unpriced", deployment=name)

    def reloaded(self, changed: list[str], needs_restart: list[str]) -> None:
        """A new configuration is in force."""
        self._log.info("configuration reloaded", changed=changed, needs_restart=needs_restart)

    def not_reloaded(self, error: Exception) -> None:
        """A new configuration is wrong, so the old one stays."""
        self._log.error("configuration not reloaded, the old one stays", reason=str(error))

    def hedged(self, first: str) -> None:
        """A second deployment is asked, because this one is late."""
        self._hedges.labels(first).inc()

    def failed(self, status: int, code: str | None, error: Exception, request_id: str | None) -> None:
        """A request was answered with an error."""
        self._refused.labels(status, code or "").inc()
        # Under overload a line for each would be load itself; who asks for what is stored only, has got what was asked.
        if status >= 500 and not isinstance(error, Unavailable | NotCached):
            self._log.error(
                "request failed",
                status=status,
                code=code,
                error_class=type(error).__name__,
                request_id=request_id,
            )

    def feedback(self, request_id: str, team: str, kind: str, *, is_counted: bool, has_answer: bool) -> None:
        """A client has said what it thinks of an answer."""
        self._feedback.labels(team, kind).inc()
        self._log.info(
            "feedback", request_id=request_id, team=team, kind=kind, is_counted=is_counted, has_answer=has_answer
        )

    def cache_fault(self, error: Exception) -> None:
        self._faults.labels(type(error).__name__).inc()
        # Only the database's own words: SQLAlchemy's repeat the parameters, and so the prompt.
        cause = str(getattr(error, "orig", "")) or None
        self._log.error("cache fault", error_class=type(error).__name__, cause=cause)

    def exposition(self) -> bytes:
        return generate_latest(self._registry)
