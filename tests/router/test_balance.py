"""What balancing promises: groups before groups, shares within them, and less for who is slow, busy or unwell."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.balance import Balance, Load, PeakEwma, order
from tests.router.samples import quick


def load(**fields: object) -> Load:
    usual = {"priority": 0, "weight": 1.0, "is_near": True, "in_use": 0, "latency_s": 0.1, "failure_share": 0.0}
    return Load(**(usual | fields))  # type: ignore[arg-type]


def firsts(loads: list[Load], balance: Balance, times: int = 2000) -> Counter[int]:
    chance = random.Random(7)
    return Counter(order(loads, balance, (chance.random(), chance.random()))[0] for _ in range(times))


@pytest.mark.parametrize("balance", ["latency", "least-busy", "weighted"])
def test_lower_priorities_stand_in_for_higher_ones(balance: Balance) -> None:
    loads = [load(priority=2), load(priority=0, latency_s=9.0, in_use=50), load(priority=1)]

    assert order(loads, balance, (0.3, 0.6)) == [1, 2, 0]


def test_the_routes_region_goes_before_any_priority() -> None:
    loads = [load(priority=0, is_near=False), load(priority=1), load(priority=0, is_near=False), load(priority=0)]

    assert order(loads, "weighted", (0.0, 0.0)) == [3, 1, 0, 2]


def test_weights_share_the_load() -> None:
    seen = firsts([load(weight=3.0), load(weight=1.0)], "weighted")

    assert 0.70 < seen[0] / 2000 < 0.80


def test_a_weight_of_zero_is_for_when_the_others_are_out() -> None:
    loads = [load(weight=0.0), load(weight=1.0), load(weight=1.0)]

    for balance in ("weighted", "latency", "least-busy"):
        assert firsts(loads, balance)[0] == 0  # type: ignore[arg-type]
        assert order(loads, balance, (0.5, 0.5))[-1] == 0  # type: ignore[arg-type]


def test_the_better_of_two_picks_goes_first_so_that_the_slowest_of_all_never_does() -> None:
    seen = firsts([load(latency_s=0.1), load(latency_s=0.2), load(latency_s=2.0)], "latency")

    assert seen[2] == 0
    assert seen[0] > seen[1] > 0


def test_who_is_busy_seems_slower() -> None:
    assert firsts([load(latency_s=0.1, in_use=9), load(latency_s=0.2)], "latency") == {1: 2000}


def test_who_fails_seems_slower() -> None:
    assert firsts([load(latency_s=0.1, failure_share=0.9), load(latency_s=0.2)], "latency") == {1: 2000}


def test_least_busy_counts_calls_for_each_part_of_the_weight() -> None:
    assert firsts([load(in_use=5, weight=1.0), load(in_use=8, weight=2.0)], "least-busy") == {1: 2000}


def test_among_equals_all_get_calls() -> None:
    for balance in ("latency", "least-busy", "weighted"):
        seen = firsts([load(), load(), load()], balance)  # type: ignore[arg-type]
        assert min(seen.values()) > 500


def test_one_that_has_never_been_called_is_tried() -> None:
    assert firsts([load(latency_s=0.5), load(latency_s=0.0)], "latency") == {1: 2000}


def test_a_slower_answer_counts_at_once_and_is_forgotten_slowly() -> None:
    latency = PeakEwma()
    latency.add(0.1, now=0.0)
    latency.add(2.0, now=1.0)
    assert latency.value_s == 2.0

    latency.add(0.1, now=2.0)
    assert 1.7 < latency.value_s < 2.0

    latency.add(0.1, now=62.0)
    assert latency.value_s < 0.11


def test_a_latency_that_nobody_measures_any_more_is_as_good_as_forgotten() -> None:
    latency = PeakEwma()
    latency.add(9.0, now=0.0)

    assert latency.faded_s(0.0) == latency.value_s == 9.0
    assert 3.0 < latency.faded_s(10.0) < 3.5
    assert latency.faded_s(60.0) < 0.1


@quick
@given(
    st.lists(
        st.builds(
            load,
            priority=st.integers(0, 2),
            weight=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
            is_near=st.booleans(),
            in_use=st.integers(0, 5),
            latency_s=st.sampled_from([0.0, 0.1, 3.0]),
            failure_share=st.floats(0, 1),
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(["latency", "least-busy", "weighted"]),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_everyone_is_tried_once_whatever_the_loads(
    loads: list[Load], balance: Balance, picks: tuple[float, float]
) -> None:
    found = order(loads, balance, picks)

    assert sorted(found) == list(range(len(loads)))
    groups = [(not loads[at].is_near, loads[at].priority) for at in found]
    assert groups == sorted(groups)
