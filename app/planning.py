"""Decides where a request goes: gathers what bears on the plan, and tells the pacers what there was to choose from.

The decision itself is pure (`router/plan.py`); this is where experience, budgets and service levels meet for it.
"""

import random
import time
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from app.errors import RouteUnknown
from app.exchange import Exchange
from router.budgets import Budgets, Pressure
from router.catalogue import Model, RoutingPolicy
from router.errors import Throttled
from router.experience import Experience, seen_of
from router.plan import AUTO, Circumstances, Plan, plan
from router.service_level import Breach, Watch


class Decision(Struct, frozen=True):
    """The plan, and the policy that it was made under."""

    plan: Plan
    routing: RoutingPolicy
    put_off: str | None
    """The provider that is asked last, because it breaks a service level."""


class Planning:
    """`routes` maps a route's name to its policy, `models` a model's name to what budgets may fall back to, `watches` a
    team's name to its service level."""

    def __init__(
        self,
        *,
        routes: Mapping[str, RoutingPolicy],
        models: Mapping[str, Model],
        budgets: Budgets,
        experience: Experience,
        watches: Mapping[str, Watch],
    ) -> None:
        self._routes = routes
        self._models = models
        self._budgets = budgets
        self._experience = experience
        self._watches = watches

    def decide(self, exchange: Exchange) -> Decision:
        """Makes the plan of this exchange. Raises RouteUnknown, ModelUnknown, NoCandidate, Throttled."""
        caller, at = exchange.caller, exchange.arrived_at
        routing = exchange.routing or self._routes.get(caller.route)
        if routing is None:  # taken out of the configuration a moment ago
            raise RouteUnknown(caller.route)
        pressure = self._budgets.pressure(caller.budgets, at, is_request=exchange.kind == "request")
        breach = self._breach(exchange)
        if breach is not None and breach.action == "faster-model":
            routing = msgspec.structs.replace(routing, strategy="performance-first")
        around = self._circumstances(exchange, routing, pressure)
        chosen = plan(exchange.request, routing, pressure.ceiling, at, around)
        chosen = chosen if breach is None else chosen.because(f"service level: {breach.reason}")
        exchange.plan = chosen
        self._tell_pacers(exchange, chosen)
        put_off = breach.provider if breach is not None and breach.action == "other-provider" else None
        return Decision(chosen, routing, put_off)

    def _breach(self, exchange: Exchange) -> Breach | None:
        """The team's promise that is broken now. Raises Throttled for who has to go without because of it."""
        watch = self._watches.get(exchange.caller.team)
        breach = watch.breach(time.monotonic()) if watch is not None else None
        if breach is not None and breach.action == "throttle" and exchange.caller.env != "prod":
            raise Throttled(breach.reason)
        return breach

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

    def _tell_pacers(self, exchange: Exchange, chosen: Plan) -> None:
        """A request's options bear on the price of the next ones. A client that named a model leaves none."""
        if exchange.kind != "request":
            return
        options = chosen.candidates if exchange.request.model == AUTO else chosen.candidates[:1]
        priced = [option for option in options if option.prices is not None]
        if priced:
            quality, cost = [option.quality for option in priced], [option.cost_nano for option in priced]
            self._budgets.saw(exchange.caller.budgets, quality, cost, exchange.arrived_at)
