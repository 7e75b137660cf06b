"""The live state of all deployments: which may be called now, with which key, in which order.

    order     the plan's candidates, each with its deployments: region, priority, weight, health, latency
    permit    breaker + slot + key in one synchronous step; None = out or full, go on to the next at once
    wait      nobody is free: a place in a queue, a key that is back in a moment, or a probe of what is open
    Permit    takes the outcome: what it says goes to the breaker, the limit, the key and the latency

Makes no calls and reads no settings. Times are monotonic: a clock that jumps changes nothing here.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal

from msgspec import Struct

from router.balance import Load, PeakEwma, order
from router.breaker import Breaker, State
from router.catalogue import Deployment, RoutingPolicy
from router.concurrency import AdaptiveLimit, Slots
from router.errors import Overloaded, Unavailable, UpstreamError, UpstreamRejected, UpstreamTimeout
from router.key_pool import REJECTS_KEY, KeyPool, KeyState
from router.plan import Candidate, Plan
from router.retry import WAIT_AT_MOST_S, RetryBudget

_SAMPLES: Final = 128
_SAMPLES_AT_LEAST: Final = 20
"""Fewer first events than this tell no 95th percentile."""
_OVERLOAD: Final = frozenset({429, 529})
_NO_MONEY: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
"""What OpenAI calls an account that has run dry; it says 429 with it."""
_IS_DOWN: Final = frozenset({408, 409, 425})
"""Beside 5xx: the provider could not serve the request now. Other 4xx are about the request."""

Kind = Literal["breaker opened", "breaker closed", "key died"]


class FleetEvent(Struct, frozen=True):
    """Something that operators should hear of. `subject` is a key's name, never its value."""

    kind: Kind
    deployment: str
    subject: str = ""


class DeploymentState(Struct, frozen=True):
    """A deployment, as operators see it."""

    deployment: str
    breaker: State
    opens_again_s: float
    failure_share: float
    in_use: int
    limit: int
    waiting: int
    latency_s: float
    p95_s: float | None
    keys: list[KeyState]


class Standing:
    """How one deployment fares."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.breaker = Breaker(deployment.breaker)
        self.slots = Slots(AdaptiveLimit(deployment.max_concurrency), deployment.queue, deployment.queue_s)
        self.keys = KeyPool(deployment.provider.api_keys)
        self.latency = PeakEwma()
        self.retries = RetryBudget()
        self.used_at = float("-inf")
        """When the last call was begun or the last check made."""
        self._first_events_s: deque[float] = deque(maxlen=_SAMPLES)

    def answered(self, took_s: float, now: float) -> None:
        self.latency.add(took_s, now)
        self._first_events_s.append(took_s)

    @property
    def p95_s(self) -> float | None:
        """Of the time to the first event, lately."""
        seen = sorted(self._first_events_s)
        return seen[len(seen) * 95 // 100] if len(seen) >= _SAMPLES_AT_LEAST else None

    def load(self, region: str | None, now: float) -> Load:
        deployment, is_asked = self.deployment, self.slots.in_use > 0
        return Load(
            priority=deployment.priority,
            weight=deployment.weight,
            is_near=region is None or deployment.region in (None, region),
            in_use=self.slots.in_use,
            # One call at a time finds out whether it is as slow as it was.
            latency_s=self.latency.value_s if is_asked else self.latency.faded_s(now),
            failure_share=self.breaker.failure_share(now),
        )

    def state(self, now: float) -> DeploymentState:
        return DeploymentState(
            deployment=self.deployment.name,
            breaker=self.breaker.state(now),
            opens_again_s=self.breaker.opens_again_s(now),
            failure_share=self.breaker.failure_share(now),
            in_use=self.slots.in_use,
            limit=self.slots.limit.value,
            waiting=self.slots.waiting,
            latency_s=self.latency.value_s,
            p95_s=self.p95_s,
            keys=self.keys.states(now),
        )


class Permit:
    """The right to make one call. Say how it went, and close it when the answer has ended."""

    __slots__ = ("_began", "_fleet", "_has_outcome", "_is_open", "_is_probe", "_key", "_standing", "_took_s")

    def __init__(self, fleet: "Fleet", standing: Standing, now: float) -> None:
        key = standing.keys.take(now)
        assert key is not None
        self._fleet = fleet
        self._standing = standing
        self._key = key
        self._is_probe = standing.breaker.begin()
        self._began = now
        self._is_open = True
        self._has_outcome = False
        self._took_s = 0.0
        standing.used_at = now

    @property
    def api_key(self) -> str | None:
        return self._key.value

    def answered(self) -> None:
        """The first event has come. A probe has to come to its end as well: providers also break in the middle."""
        standing, now = self._standing, self._fleet.clock()
        took_s = now - self._began
        standing.slots.limit.answered(now, took_s, standing.slots.in_use)
        standing.keys.accepted(self._key, now)
        standing.answered(took_s, now)
        if self._is_probe:
            standing.breaker.promises()
        else:
            self._has_outcome = True
            was_open = standing.breaker.state(now) != "closed"
            standing.breaker.succeeded(now, took_s, is_probe=False)
            self._fleet.tell_change(standing, was_open=was_open)
        self._took_s = took_s

    def finished(self) -> None:
        """The answer has come to its proper end."""
        if self._is_probe and not self._has_outcome:
            self._has_outcome = True
            standing, now = self._standing, self._fleet.clock()
            was_open = standing.breaker.state(now) != "closed"
            standing.breaker.succeeded(now, self._took_s, is_probe=True)
            self._fleet.tell_change(standing, was_open=was_open)

    def failed(self, error: UpstreamError) -> None:
        """The attempt, or the rest of the answer, has failed."""
        standing, now = self._standing, self._fleet.clock()
        if error.status in _OVERLOAD:
            standing.slots.limit.limited(now)
        elif isinstance(error, UpstreamTimeout):
            standing.slots.limit.answered(now, now - self._began, standing.slots.in_use)
        if error.status in REJECTS_KEY:
            status = 402 if error.code in _NO_MONEY else error.status
            if standing.keys.rejected(self._key, status, error.retry_after_s, now):
                self._fleet.tell(FleetEvent("key died", standing.deployment.name, self._key.name))
            return
        was_open = standing.breaker.state(now) != "closed"
        has_answered, self._has_outcome = self._has_outcome, True
        is_probe = self._is_probe and not has_answered
        if _is_its_fault(error):
            standing.breaker.failed(now, is_probe=is_probe, has_answered=has_answered)
        else:  # a refusal of the request is an answer as well
            standing.breaker.succeeded(now, 0.0, is_probe=is_probe)
        self._fleet.tell_change(standing, was_open=was_open)

    def close(self) -> None:
        """Gives slot and key back. Does nothing the second time."""
        if self._is_open:
            self._is_open = False
            standing = self._standing
            if not self._has_outcome:
                standing.breaker.given_up(is_probe=self._is_probe)
            standing.keys.give_back(self._key)
            standing.slots.give_back(self._fleet.clock() - self._began)


def _is_its_fault(error: UpstreamError) -> bool:
    if not isinstance(error, UpstreamRejected) or error.status is None:
        return True
    return error.status >= 500 or error.status < 400 or error.status in _IS_DOWN


class Fleet:
    """All deployments by name. `on_event` hears of breakers and keys."""

    def __init__(
        self,
        deployments: Iterable[Deployment],
        *,
        on_event: Callable[[FleetEvent], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.tell = on_event
        self._standings: dict[str, Standing] = {}
        self.replace(deployments)

    def replace(self, deployments: Iterable[Deployment]) -> None:
        """These are the deployments from now on. One that is as it was keeps its state."""
        kept = self._standings
        self._standings = {}
        for deployment in deployments:
            known = kept.get(deployment.name)
            is_same = known is not None and known.deployment == deployment
            self._standings.setdefault(deployment.name, known if known and is_same else Standing(deployment))

    # --- before a call ----------------------------------------------------------------------------------------

    def order(self, plan: Plan, policy: RoutingPolicy) -> Iterator[tuple[Candidate, Deployment]]:
        """Every deployment of every candidate, in the order in which they are tried."""
        for candidate in (*plan.candidates, *plan.brief):
            for deployment in self.order_of(candidate.deployments, policy):
                yield candidate, deployment

    def order_of(self, deployments: Sequence[Deployment], policy: RoutingPolicy) -> list[Deployment]:
        """The deployments of one candidate, in that order."""
        if len(deployments) == 1:
            return list(deployments)
        now = self.clock()
        loads = [self._standing(deployment).load(policy.region, now) for deployment in deployments]
        return [deployments[at] for at in order(loads, policy.balance, (random.random(), random.random()))]

    def permit(self, deployment: Deployment) -> Permit | None:
        """The right to call it now; None if it is out, or as busy as it may be."""
        standing, now = self._standing(deployment), self.clock()
        if not (standing.breaker.admits(now) and standing.keys.has_one(now) and standing.slots.take()):
            return None
        return Permit(self, standing, now)

    def is_free(self, deployment: Deployment) -> bool:
        """Whether `permit` would give one."""
        standing, now = self._standing(deployment), self.clock()
        has_room = standing.slots.in_use < standing.slots.limit.value and not standing.slots.waiting
        return has_room and standing.breaker.admits(now) and standing.keys.has_one(now)

    def is_saturated(self, deployments: Iterable[Deployment], rank: int) -> bool:
        """Whether every one of these is so busy that a request of this rank would be sent away."""
        return all(self._standing(deployment).slots.would_refuse(rank) for deployment in deployments)

    async def wait(self, deployments: Sequence[Deployment], rank: int, at_most_s: float) -> tuple[Deployment, Permit]:
        """The right to call one of these, none of which is free: after a turn in the queue of a full one, as soon as a
        resting key is back, or else as a probe of one whose breaker is open. A lower `rank` goes first. Raises
        Unavailable, mostly at once."""
        standings, until = [self._standing(deployment) for deployment in deployments], self.clock() + at_most_s
        refusal: Unavailable | None = None
        for standing in standings:
            if self._is_able(standing):
                try:
                    await standing.slots.wait(rank, until - self.clock())
                except Overloaded as error:
                    refusal = refusal or error
                    continue
                if self._is_able(standing):
                    return standing.deployment, Permit(self, standing, self.clock())
                standing.slots.give_back(0.0)
        permit = await self._rested(standings, until) or self._forced(standings)
        if permit is not None:
            return permit
        raise refusal or Unavailable(min((self._back_in_s(standing) for standing in standings), default=1.0))

    def _is_able(self, standing: Standing) -> bool:
        """Whether it lacks nothing but a slot."""
        now = self.clock()
        return standing.breaker.admits(now) and standing.keys.has_one(now)

    async def _rested(self, standings: Sequence[Standing], until: float) -> tuple[Deployment, Permit] | None:
        """Sleeps until the first resting key is back, if that is soon."""
        now = self.clock()
        resting = [s for s in standings if s.breaker.admits(now) and not s.keys.has_one(now)]
        if not resting:
            return None
        first = min(resting, key=lambda standing: standing.keys.rests_s(now))
        wait_s = first.keys.rests_s(now) + 0.001
        if wait_s > min(WAIT_AT_MOST_S, until - now):
            return None
        await asyncio.sleep(wait_s)
        permit = self.permit(first.deployment)
        return (first.deployment, permit) if permit is not None else None

    def _forced(self, standings: Sequence[Standing]) -> tuple[Deployment, Permit] | None:
        """A call to a deployment although its breaker is open."""
        now = self.clock()
        for standing in sorted(standings, key=lambda standing: standing.breaker.opens_again_s(now)):
            may_call = standing.breaker.may_be_forced and standing.keys.has_one(now)
            if may_call and standing.breaker.state(now) != "closed" and standing.slots.take():
                return standing.deployment, Permit(self, standing, now)
        return None

    def _back_in_s(self, standing: Standing) -> float:
        now = self.clock()
        return max(standing.breaker.opens_again_s(now), standing.keys.rests_s(now), 1.0)

    # --- again, and elsewhere -----------------------------------------------------------------------------------

    def first_attempt(self, deployment: Deployment) -> None:
        """Earns repeats: `may_repeat` allows one for every five of these."""
        self._standing(deployment).retries.earn()

    def may_repeat(self, deployment: Deployment) -> bool:
        """Whether a failed attempt may be repeated at this deployment; it counts."""
        return self._standing(deployment).retries.spend()

    def rests_s(self, deployment: Deployment) -> float:
        """Seconds until one of its keys is back; 0 if one is there."""
        return self._standing(deployment).keys.rests_s(self.clock())

    def p95_s(self, deployment: Deployment) -> float | None:
        """How long all but five of a hundred first events take; None while too few are known."""
        return self._standing(deployment).p95_s

    # --- what operators see and do ------------------------------------------------------------------------------

    def idle(self) -> list[Deployment]:
        """Deployments that want to be checked, because nobody has called them for as long as they say."""
        now = self.clock()
        return [
            standing.deployment
            for standing in self._standings.values()
            if (every_s := standing.deployment.provider.health_check_s) and now - standing.used_at >= every_s
        ]

    def checked(self, deployment: Deployment, *, is_up: bool) -> None:
        """What a free endpoint of an idle deployment has shown."""
        standing, now = self._standing(deployment), self.clock()
        was_open = standing.breaker.state(now) != "closed"
        standing.used_at = now
        if not is_up:
            standing.breaker.failed(now, is_probe=False)
        else:
            standing.breaker.recovered()
        self.tell_change(standing, was_open=was_open)

    def reset(self) -> None:
        """Closes every breaker and forgives every key: somebody has mended what was wrong."""
        for standing in self._standings.values():
            standing.breaker.close()
            standing.keys.forgive()

    def states(self) -> list[DeploymentState]:
        now = self.clock()
        return [standing.state(now) for standing in self._standings.values()]

    def tell_change(self, standing: Standing, *, was_open: bool) -> None:
        """Tells of a breaker that has opened or closed."""
        is_open = standing.breaker.state(self.clock()) != "closed"
        if is_open != was_open:
            self.tell(FleetEvent("breaker opened" if is_open else "breaker closed", standing.deployment.name))

    def _standing(self, deployment: Deployment) -> Standing:
        """Also of one that a reload has taken away while a request was on its way."""
        standing = self._standings.get(deployment.name)
        return standing if standing is not None else Standing(deployment)
