"""What the fleet promises: nobody is called who is out, outcomes count where they belong, reloads forget nothing."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from router.breaker import BreakerPolicy
from router.catalogue import Deployment, Model, Provider, Tier
from router.errors import Overloaded, Unavailable, UpstreamError, UpstreamRejected, UpstreamTimeout
from router.fleet import Fleet, FleetEvent, Permit
from router.plan import plan
from router.prices import Priced, PriceOverride
from tests.router.samples import AT, model, policy, request

POLICY = BreakerPolicy(window_s=10.0, least_calls=2, failure_share=0.5, open_s=5.0, open_at_most_s=20.0)
KEYS = ("sk-first-0001", "sk-second-0002")


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def deployment(name: str, *, keys: tuple[str, ...] = (), health_check_s: float = 0.0, **fields: Any) -> Deployment:
    provider = Provider(name, f"http://{name}.invalid/v1", api_keys=keys, health_check_s=health_check_s)
    priced = Priced("none", name, PriceOverride(input=Decimal(1), output=Decimal(4)))
    return Deployment(f"{name}/m", provider, "m", priced, **({"breaker": POLICY} | fields))


class Ground:
    """A fleet whose clock and events a test can see."""

    def __init__(self, *deployments: Deployment) -> None:
        self.clock = Clock()
        self.events: list[FleetEvent] = []
        self.fleet = Fleet(deployments, on_event=self.events.append, clock=self.clock)
        self.deployments = deployments

    def permit(self, at: int = 0) -> Permit:
        found = self.fleet.permit(self.deployments[at])
        assert found is not None
        return found

    def call(self, at: int = 0, error: UpstreamError | None = None) -> None:
        permit = self.permit(at)
        if error is None:
            permit.answered()
            permit.finished()
        else:
            permit.failed(error)
        permit.close()

    def open_breaker(self, at: int = 0) -> None:
        for _ in range(2):
            self.call(at, refused(500))

    def is_free(self, at: int = 0) -> bool:
        return self.fleet.is_free(self.deployments[at])

    async def wait(self, rank: int = 1, at_most_s: float = 60.0) -> str:
        found, _ = await self.fleet.wait(self.deployments, rank, at_most_s)
        return found.name


def refused(status: int, **fields: Any) -> UpstreamRejected:
    return UpstreamRejected("no", status=status, **fields)


def test_a_permit_is_given_for_what_is_well_and_free() -> None:
    ground = Ground(deployment("a", max_concurrency=1))
    permit = ground.permit()
    assert not ground.is_free()
    assert ground.fleet.permit(ground.deployments[0]) is None

    permit.close()
    permit.close()

    assert ground.is_free()
    assert ground.fleet.states()[0].in_use == 0


@pytest.mark.parametrize(
    "error", [refused(500), refused(529), refused(408), refused(200), UpstreamTimeout("late", billed="unknown")]
)
def test_failures_of_the_deployment_open_its_breaker(error: UpstreamError) -> None:
    ground = Ground(deployment("a"), deployment("b"))
    for _ in range(2):
        ground.call(0, error)

    assert (ground.is_free(0), ground.is_free(1)) == (False, True)
    assert ground.events == [FleetEvent("breaker opened", "a/m")]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_is_wrong_with_a_request_is_no_failure_of_the_deployment(status: int) -> None:
    ground = Ground(deployment("a"))
    for _ in range(20):
        ground.call(0, refused(status))

    assert ground.is_free()


def test_a_breaker_that_closes_is_told_as_well() -> None:
    ground = Ground(deployment("a"))
    ground.open_breaker()
    ground.clock.now += 5.0

    ground.call()

    assert [event.kind for event in ground.events] == ["breaker opened", "breaker closed"]


def test_a_probe_that_was_given_up_makes_room_for_the_next() -> None:
    ground = Ground(deployment("a"))
    ground.open_breaker()
    ground.clock.now += 5.0
    permit = ground.permit()
    assert not ground.is_free()

    permit.close()

    assert ground.is_free()


def test_a_probe_must_come_to_its_end_and_not_only_begin() -> None:
    ground = Ground(deployment("a"))
    ground.open_breaker()
    ground.clock.now += 5.0
    probe = ground.permit()
    probe.answered()
    assert not ground.is_free()

    probe.failed(UpstreamTimeout("silent", billed="unknown"))
    probe.close()

    assert ground.fleet.states()[0].opens_again_s == 10.0


async def test_while_a_probe_goes_well_those_who_have_nobody_else_may_follow_it() -> None:
    ground = Ground(deployment("a"))
    ground.open_breaker()
    ground.clock.now += 5.0
    ground.permit().answered()

    assert [await ground.wait() for _ in range(3)] == ["a/m"] * 3


def test_a_client_that_leaves_in_the_middle_of_a_probe_makes_room_for_the_next() -> None:
    ground = Ground(deployment("a"))
    ground.open_breaker()
    ground.clock.now += 5.0
    probe = ground.permit()
    probe.answered()

    probe.close()

    assert ground.is_free()
    assert ground.fleet.states()[0].breaker == "half_open"


def test_an_answer_that_breaks_off_counts_as_a_failure_too() -> None:
    ground = Ground(deployment("a"))
    for _ in range(2):
        permit = ground.permit()
        permit.answered()
        permit.failed(UpstreamTimeout("silent", billed="unknown"))
        permit.close()

    assert not ground.is_free()


def test_a_key_that_is_turned_down_rests_and_its_death_is_an_alarm_that_does_not_show_it() -> None:
    ground = Ground(deployment("a", keys=KEYS))

    first = ground.permit()
    first.failed(refused(401))
    first.close()

    assert {ground.permit().api_key for _ in range(3)} == {KEYS[1]}
    (event,) = ground.events
    assert (event.kind, event.subject[:4]) == ("key died", "#1 (")
    assert not any(key in repr((event, ground.fleet.states())) for key in KEYS)


def test_keys_that_are_turned_down_do_not_open_the_breaker_but_without_one_it_is_out() -> None:
    ground = Ground(deployment("a", keys=KEYS))
    for _ in KEYS:
        ground.call(0, refused(429, retry_after_s=7.0))
    assert not ground.is_free()
    assert ground.fleet.states()[0].breaker == "closed"
    assert ground.fleet.rests_s(ground.deployments[0]) == 7.0

    ground.clock.now += 7.0
    assert ground.is_free()


def test_an_account_without_money_rests_like_a_dead_key_even_if_it_says_429() -> None:
    ground = Ground(deployment("a", keys=KEYS[:1]))

    ground.call(0, refused(429, code="insufficient_quota"))

    assert ground.fleet.states()[0].keys[0].is_dead


# --- when nobody is free ------------------------------------------------------------------------------------------


async def test_who_finds_all_busy_waits_for_a_turn() -> None:
    ground = Ground(deployment("a", max_concurrency=1))
    permit = ground.permit()
    waiting = asyncio.create_task(ground.wait())
    await asyncio.sleep(0)

    permit.close()

    assert await asyncio.wait_for(waiting, 5) == "a/m"


async def test_where_no_place_in_a_queue_is_left_the_next_queue_is_tried() -> None:
    ground = Ground(deployment("a", max_concurrency=1, queue=0), deployment("b", max_concurrency=1))
    ground.permit(0)
    permit = ground.permit(1)
    waiting = asyncio.create_task(ground.wait())
    await asyncio.sleep(0)

    permit.close()

    assert await asyncio.wait_for(waiting, 5) == "b/m"


async def test_if_all_queues_are_full_the_request_is_refused_as_overload() -> None:
    ground = Ground(deployment("a", max_concurrency=1, queue=0))
    ground.permit()

    with pytest.raises(Overloaded):
        await ground.wait()


async def test_a_key_that_is_back_in_a_moment_is_waited_for() -> None:
    ground = Ground(deployment("a"))
    ground.call(0, refused(429, retry_after_s=0.01))
    waiting = asyncio.create_task(ground.wait())
    await asyncio.sleep(0)
    ground.clock.now += 0.01

    assert await asyncio.wait_for(waiting, 5) == "a/m"


async def test_only_when_all_are_out_one_open_breaker_is_tried_and_never_by_two_at_a_time() -> None:
    ground = Ground(deployment("a"), deployment("b"))
    ground.open_breaker(1)
    ground.clock.now += 1.0
    ground.open_breaker(0)

    assert await ground.wait() == "b/m"  # it would have been due first
    assert await ground.wait() == "a/m"
    with pytest.raises(Unavailable) as refusal:
        await ground.wait()

    assert not isinstance(refusal.value, Overloaded)
    assert refusal.value.retry_after_s == 4.0


async def test_when_all_keys_rest_for_long_the_client_hears_when_to_come_back() -> None:
    ground = Ground(deployment("a"), deployment("b"))
    ground.call(0, refused(429, retry_after_s=30.0))
    ground.call(1, refused(429, retry_after_s=20.0))

    with pytest.raises(Unavailable) as refusal:
        await ground.wait()

    assert refusal.value.retry_after_s == 20.0


# --- order --------------------------------------------------------------------------------------------------------


def twins(**second: Any) -> tuple[Model, Ground]:
    first, other = deployment("a"), deployment("b", **({"priority": 1} | second))
    return model("large", Tier.PREMIUM, deployments=(first, other)), Ground(first, other)


def names(ground: Ground, found: Model, **fields: Any) -> list[str]:
    rules = policy(found, **fields)
    return [deployment.name for _, deployment in ground.fleet.order(plan(request(), rules, None, AT), rules)]


def test_deployments_are_tried_in_the_order_of_their_priority() -> None:
    found, ground = twins()

    assert names(ground, found) == ["a/m", "b/m"]


def test_who_was_slow_once_is_asked_again_after_a_while_by_one_call_at_a_time() -> None:
    found, ground = twins(priority=0)

    def answered_after(at: int, took_s: float) -> None:
        permit = ground.permit(at)
        ground.clock.now += took_s
        permit.answered()
        permit.finished()
        permit.close()

    def firsts() -> set[str]:
        return {names(ground, found, balance="latency")[0] for _ in range(50)}

    answered_after(1, 9.0)
    answered_after(0, 0.1)
    assert firsts() == {"a/m"}

    for _ in range(60):
        answered_after(0, 0.1)
        ground.clock.now += 1.0
    assert firsts() == {"b/m"}

    trial = ground.permit(1)
    assert firsts() == {"a/m"}
    trial.close()


def test_the_routes_region_goes_first() -> None:
    found, ground = twins(region="eu")

    assert names(ground, found, region="eu") == ["a/m", "b/m"]  # no region is every region
    first = msgspec.structs.replace(found.deployments[0], region="us")
    ground.fleet.replace((first, found.deployments[1]))
    assert names(ground, found, region="eu") == ["b/m", "a/m"]


def test_of_equals_the_faster_one_is_called_more() -> None:
    found, ground = twins(priority=0)
    for at, took_s in ((0, 0.1), (1, 2.0)):
        permit = ground.permit(at)
        ground.clock.now += took_s
        permit.answered()
        permit.close()

    assert {names(ground, found)[0] for _ in range(20)} == {"a/m"}


def test_the_95th_percentile_is_known_after_twenty_calls() -> None:
    ground = Ground(deployment("a"))
    for at in range(1, 101):
        assert (ground.fleet.p95_s(ground.deployments[0]) is None) == (at <= 20)
        permit = ground.permit()
        ground.clock.now += at / 100
        permit.answered()
        permit.close()

    assert ground.fleet.p95_s(ground.deployments[0]) == pytest.approx(0.96)


# --- checks and reloads -------------------------------------------------------------------------------------------


def test_only_what_nobody_calls_is_checked() -> None:
    ground = Ground(deployment("a", health_check_s=60.0), deployment("b", health_check_s=60.0), deployment("c"))
    ground.call(0)
    assert [idle.name for idle in ground.fleet.idle()] == ["b/m"]

    ground.fleet.checked(ground.deployments[1], is_up=True)
    assert ground.fleet.idle() == []

    ground.clock.now += 60.0
    assert [idle.name for idle in ground.fleet.idle()] == ["a/m", "b/m"]


def test_checks_that_fail_open_the_breaker_and_one_that_succeeds_lets_a_client_try() -> None:
    ground = Ground(deployment("a"))
    for _ in range(2):
        ground.fleet.checked(ground.deployments[0], is_up=False)
    assert not ground.is_free()

    ground.fleet.checked(ground.deployments[0], is_up=True)

    assert ground.is_free()
    assert ground.fleet.states()[0].breaker == "half_open"


def test_a_reload_keeps_what_is_known_of_unchanged_deployments() -> None:
    ground = Ground(deployment("a"), deployment("b"))
    ground.open_breaker(0)
    ground.open_breaker(1)

    ground.fleet.replace((deployment("a"), deployment("b", max_concurrency=7), deployment("c")))

    assert [(state.deployment, state.breaker) for state in ground.fleet.states()] == [
        ("a/m", "open"),
        ("b/m", "closed"),
        ("c/m", "closed"),
    ]


def test_a_call_under_way_at_a_deployment_that_was_taken_away_ends_in_peace() -> None:
    ground = Ground(deployment("a"))
    permit = ground.permit()

    ground.fleet.replace(())
    permit.answered()
    permit.close()

    assert ground.fleet.states() == []


def test_an_operator_can_bring_everything_back() -> None:
    ground = Ground(deployment("a", keys=KEYS[:1]))
    ground.open_breaker()
    ground.clock.now += 5.0
    ground.call(0, refused(401))

    ground.fleet.reset()

    assert ground.is_free()


def test_a_clock_that_stands_still_does_no_harm() -> None:
    ground = Ground(deployment("a"))
    for _ in range(50):
        ground.call()

    assert ground.fleet.states()[0].p95_s == 0.0
    assert ground.is_free()
