"""What a breaker promises: it opens on a bad share of calls, lets one probe through, and closes when that succeeds."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.breaker import Breaker, BreakerPolicy
from tests.router.samples import quick

POLICY = BreakerPolicy(
    window_s=10.0, least_calls=4, failure_share=0.5, slow_after_s=3.0, open_s=2.0, open_at_most_s=8.0
)


def called(breaker: Breaker, now: float, *, fails: bool = False, took_s: float = 0.1) -> None:
    is_probe = breaker.begin()
    if fails:
        breaker.failed(now, is_probe=is_probe)
    else:
        breaker.succeeded(now, took_s, is_probe=is_probe)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(POLICY)
    for _ in range(4):
        called(breaker, now, fails=True)
    return breaker


def test_it_is_closed_while_calls_succeed() -> None:
    breaker = Breaker(POLICY)
    for at in range(100):
        called(breaker, at * 0.1)

    assert (breaker.state(10.0), breaker.admits(10.0)) == ("closed", True)


def test_it_opens_when_too_many_calls_of_the_window_fail() -> None:
    breaker = Breaker(POLICY)
    for fails in (False, False, True):
        called(breaker, 0.0, fails=fails)
    assert breaker.admits(0.0)

    called(breaker, 0.0, fails=True)

    assert (breaker.state(0.0), breaker.admits(0.0)) == ("open", False)
    assert breaker.opens_again_s(0.5) == 1.5


def test_a_sudden_outage_opens_it_however_well_it_went_before() -> None:
    breaker = Breaker(BreakerPolicy(failures_in_a_row=10))
    for _ in range(500):
        called(breaker, 0.0)
    for _ in range(9):
        called(breaker, 0.1, fails=True)
    assert breaker.admits(0.1)

    called(breaker, 0.1, fails=True)

    assert breaker.state(0.1) == "open"


def test_calls_that_are_all_slow_open_it_however_fast_they_were_before() -> None:
    breaker = Breaker(BreakerPolicy(failures_in_a_row=10, slow_after_s=1.0))
    for _ in range(500):
        called(breaker, 0.0)
    for _ in range(19):
        called(breaker, 0.1, took_s=2.0)
    assert breaker.admits(0.1)

    called(breaker, 0.1, took_s=2.0)

    assert breaker.state(0.1) == "open"


def test_one_success_between_failures_shows_that_it_is_no_outage() -> None:
    breaker = Breaker(BreakerPolicy(failures_in_a_row=10))
    for _ in range(500):
        called(breaker, 0.0)
    for at in range(40):
        called(breaker, 0.1, fails=at % 8 != 0)

    assert breaker.admits(0.1)


def test_a_few_failures_of_a_quiet_time_say_nothing() -> None:
    breaker = Breaker(POLICY)
    for _ in range(3):
        called(breaker, 0.0, fails=True)

    assert breaker.admits(0.0)


def test_failures_that_have_left_the_window_no_longer_count() -> None:
    breaker = Breaker(POLICY)
    for _ in range(3):
        called(breaker, 0.0, fails=True)
    called(breaker, 11.0, fails=True)

    assert breaker.admits(11.0)
    assert breaker.failure_share(11.0) == 1.0
    assert breaker.failure_share(30.0) == 0.0


def test_it_opens_when_nearly_all_calls_are_slow() -> None:
    breaker = Breaker(POLICY)
    for took_s in (3.0, 3.5, 4.0, 3.0):
        called(breaker, 0.0, took_s=took_s)

    assert breaker.state(0.0) == "open"


def test_when_its_time_is_over_one_probe_is_let_through_and_no_other() -> None:
    breaker = opened()

    assert not breaker.admits(1.9)
    assert breaker.admits(2.0)
    assert breaker.state(2.0) == "half_open"
    assert breaker.begin()
    assert not breaker.admits(2.0)


def test_a_probe_that_succeeds_closes_it_and_all_is_forgotten() -> None:
    breaker = opened()
    called(breaker, 2.0)

    assert breaker.state(2.0) == "closed"
    called(breaker, 2.0, fails=True)
    assert breaker.admits(2.0)


def test_a_probe_that_fails_opens_it_for_twice_as_long_up_to_a_limit() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(4):
        waits.append(breaker.opens_again_s(now))
        now += waits[-1]
        called(breaker, now, fails=True)

    assert waits == [2.0, 4.0, 8.0, 8.0]


def test_a_slow_probe_is_no_recovery() -> None:
    breaker = opened()
    called(breaker, 2.0, took_s=5.0)

    assert breaker.state(2.0) == "open"


def test_a_probe_that_tells_nothing_makes_room_for_another() -> None:
    breaker = opened()
    breaker.begin()

    breaker.given_up(is_probe=True)

    assert breaker.admits(2.0)


@pytest.mark.parametrize(
    "end", [lambda b: b.failed(1.0, is_probe=False), lambda b: b.succeeded(1.0, 0.1, is_probe=False)]
)
def test_calls_from_before_it_opened_neither_close_it_nor_keep_it_open_longer(end: Callable[[Breaker], None]) -> None:
    breaker = opened()

    end(breaker)

    assert (breaker.state(1.0), breaker.opens_again_s(1.0)) == ("open", 1.0)


def test_a_sign_of_life_from_elsewhere_brings_the_probe_forward() -> None:
    breaker = opened()

    breaker.recovered()

    assert breaker.admits(0.1)
    assert breaker.state(0.1) == "half_open"


@pytest.mark.parametrize(("failure_share", "slow_share"), [(2.0, 2.0)])
def test_it_can_be_told_never_to_open(failure_share: float, slow_share: float) -> None:
    policy = BreakerPolicy(least_calls=1, failure_share=failure_share, slow_share=slow_share, failures_in_a_row=0)
    breaker = Breaker(policy)
    for _ in range(50):
        called(breaker, 0.0, fails=True)

    assert breaker.admits(0.0)


@quick
@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=80))
def test_its_share_is_that_of_the_calls_in_its_window(steps: list[tuple[float, bool]]) -> None:
    breaker, now = Breaker(BreakerPolicy(window_s=10.0, failure_share=2.0, failures_in_a_row=0)), 0.0
    seen: list[tuple[float, bool]] = []
    for step_s, fails in steps:
        now += step_s
        called(breaker, now, fails=fails)
        seen.append((now, fails))

    # The window moves in tenths: what is older than eleven of them is out, what is younger than nine is in.
    surely_in = [fails for at, fails in seen if at > now - 9.0]
    maybe_in = [fails for at, fails in seen if at > now - 11.0]
    counted = breaker.failure_share(now)
    assert sum(surely_in) / max(len(maybe_in), 1) <= counted <= sum(maybe_in) / max(len(surely_in), 1)
