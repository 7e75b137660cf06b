"""The pacer spends a budget over its period: as much as it holds, where it does most good, by arrivals and not by the
clock."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.pacing import WINDOW, Forecast, Hourly, Pacer, Price, Profile, learned, score, solved
from router.periods import Calendar
from tests.router.samples import quick

WEEK = Calendar("week")
MONDAY = datetime(2026, 6, 15, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hours(*requests: int, since: datetime = MONDAY - timedelta(days=7)) -> list[Hourly]:
    return [Hourly(since + number * HOUR, count) for number, count in enumerate(requests) if count]


def share(profile: Profile, until: datetime, calendar: Calendar = WEEK, at: datetime = MONDAY) -> float:
    """Which part of the period's arrivals comes until then."""
    span = calendar.span(at)
    return profile.expected(calendar, span.start, until) / profile.expected(calendar, span.start, span.end)


# --- arrivals --------------------------------------------------------------------------------------------------------


def test_without_a_request_nothing_is_learned() -> None:
    assert learned([], WEEK, MONDAY) is None
    assert learned([Hourly(MONDAY, 5)], WEEK, MONDAY) is None


def test_a_week_of_office_hours_lets_expect_the_next_one() -> None:
    office = [60 if day < 5 and 8 <= hour < 18 else 0 for day in range(7) for hour in range(24)]
    profile = learned(hours(*office), WEEK, MONDAY)

    assert profile is not None
    assert profile.expected(WEEK, MONDAY, MONDAY + timedelta(days=7)) == pytest.approx(3000, rel=0.05)
    assert share(profile, MONDAY + 8 * HOUR) < 0.01
    assert share(profile, MONDAY + 18 * HOUR) == pytest.approx(0.2, abs=0.02)
    assert share(profile, MONDAY + timedelta(days=5)) > 0.98


def test_an_hour_that_was_quiet_by_chance_is_judged_by_its_neighbours() -> None:
    even = [4] * 168
    even[30] = 0
    profile = learned(hours(*even), WEEK, MONDAY)

    assert profile is not None
    assert 0.5 < profile.by_hour[30] < profile.by_hour[31]


def test_newer_weeks_count_more() -> None:
    old, new = [10] * 168, [20] * 168
    since = MONDAY - timedelta(days=14)
    profile = learned(hours(*old, *new, since=since), WEEK, MONDAY)

    assert profile is not None
    assert 15 < profile.by_hour[0] < 20


def test_the_start_of_a_month_is_told_from_its_end_once_a_month_was_seen() -> None:
    month, start = Calendar("month"), datetime(2026, 5, 1, tzinfo=UTC)
    falling = [40 if hour < 5 * 24 else 4 for hour in range(31 * 24)]
    june = datetime(2026, 6, 1, tzinfo=UTC)
    profile = learned(hours(*falling, since=start), month, june)

    assert profile is not None

    assert share(profile, june + timedelta(days=5), month, june) > 0.5  # it was 0.63, and 0.17 of the clock


def test_hours_are_those_of_the_calendars_zone() -> None:
    berlin = Calendar("week", "Europe/Berlin")
    mornings = [30 if hour % 24 == 7 else 1 for hour in range(168)]  # 9 o'clock in Berlin
    profile = learned(hours(*mornings), berlin, MONDAY)

    assert profile is not None
    assert max(range(24), key=lambda hour: profile.by_hour[hour]) == 9


def test_twice_the_usual_arrivals_let_expect_more_of_them() -> None:
    profile = Profile((10.0,) * 168, (1.0,) * 31)
    wednesday = MONDAY + timedelta(days=2)
    usual = Forecast(profile, WEEK, WEEK.span(MONDAY)).outlook(wednesday, 480)
    twice = Forecast(profile, WEEK, WEEK.span(MONDAY)).outlook(wednesday, 960)

    assert usual is not None
    assert twice is not None
    assert usual.to_come == pytest.approx(1200)
    assert 1500 < twice.to_come < 2400
    assert usual.share_over == twice.share_over == pytest.approx(2 / 7)


def test_the_forecast_goes_by_arrivals_and_not_by_the_clock() -> None:
    front = Profile(tuple(100.0 if hour < 24 else 1.0 for hour in range(168)), (1.0,) * 31)
    outlook = Forecast(front, WEEK, WEEK.span(MONDAY)).outlook(MONDAY + timedelta(days=1), 2400)

    assert outlook is not None
    assert outlook.share_over > 0.9
    assert outlook.to_come == pytest.approx(144)


def test_without_a_past_a_few_requests_say_nothing() -> None:
    forecast = Forecast(None, WEEK, WEEK.span(MONDAY))
    half = MONDAY + timedelta(days=3.5)

    assert forecast.outlook(half, 5) is None
    outlook = forecast.outlook(half, 100)
    assert outlook is not None
    assert outlook.to_come == pytest.approx(100)


@quick
@given(st.lists(st.integers(0, 50), min_size=200, max_size=400), st.integers(0, 600), st.integers(0, 600))
def test_what_is_over_and_what_is_to_come_are_the_whole(counts: list[int], one: int, other: int) -> None:
    profile = learned([*hours(*counts, 1)], WEEK, MONDAY + timedelta(days=14))
    assert profile is not None
    start, middle, end = (MONDAY + minutes * timedelta(minutes=17) for minutes in sorted((0, one, one + other)))

    parts = profile.expected(WEEK, start, middle) + profile.expected(WEEK, middle, end)
    assert parts == pytest.approx(profile.expected(WEEK, start, end))


# --- the price -------------------------------------------------------------------------------------------------------


def cost_at(quality: np.ndarray, cost: np.ndarray, price: float) -> float:
    best = [max(range(len(q)), key=lambda at: score(q[at], c[at], price)) for q, c in zip(quality, cost, strict=True)]
    return float(np.mean([c[at] for c, at in zip(cost, best, strict=True)]))


@quick
@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 3, *[st.integers(1, 10**9)] * 3), min_size=1, max_size=60),
    st.floats(0, 1),
)
def test_the_price_spends_what_there_is(options: list[tuple[float, ...]], where: float) -> None:
    quality = np.array([each[:3] for each in options])
    cost = np.array([each[3:] for each in options], dtype=float)
    least, most = float(cost.min(1).mean()), cost_at(quality, cost, 0.0)
    target = least + where * (most - least)
    price = solved(quality, cost, target)

    assert 0 <= price.low <= price.high
    assert 0 <= price.share <= 1
    spent = price.share * cost_at(quality, cost, price.low) + (1 - price.share) * cost_at(quality, cost, price.high)
    if price.high > 0 and least < target < most:
        assert spent == pytest.approx(target, rel=0.05)


def test_money_costs_nothing_while_there_is_enough_of_it() -> None:
    assert solved(np.array([[0.5, 0.9]]), np.array([[1.0, 30.0]]), 30.0) == Price()


def test_too_little_money_takes_the_cheapest_of_everything() -> None:
    quality, cost = np.array([[0.5, 0.9], [0.2, 0.3]]), np.array([[1.0, 30.0], [2.0, 5.0]])

    assert cost_at(quality, cost, solved(quality, cost, 0.5).high) == 1.5


def test_requests_that_are_all_alike_are_mixed_to_meet_the_target() -> None:
    pacer = ready(cap_nano=50_000, requests=1000)
    spent = [serve(pacer, (0.5, 0.9), (10, 90), MONDAY, 0) for _ in range(200)]

    assert 0.3 < sum(cost == 90 for cost in spent) / 200 < 0.7


# --- a pacer ---------------------------------------------------------------------------------------------------------


def ready(cap_nano: int, requests: float) -> Pacer:
    """One that expects so many requests, spread evenly over its week."""
    pacer = Pacer(WEEK, cap_nano)
    pacer.learn(Profile((requests / 168,) * 168, (1.0,) * 31), MONDAY, came=0)
    return pacer


def serve(pacer: Pacer, quality: tuple[float, ...], cost: tuple[int, ...], at: datetime, spent: float) -> int:
    """What the chosen option of a request costs."""
    pacer.saw(quality, cost, spent, at)
    price = pacer.price()
    best = max(range(len(cost)), key=lambda option: score(quality[option], cost[option], price))
    return cost[best]


@pytest.mark.parametrize("part", [0.2, 0.4, 0.8])
def test_a_week_spends_its_budget_and_where_it_does_most_good(part: float) -> None:
    chance = random.Random(5)
    cap = int(2000 * 90 * part)
    pacer, spent = ready(cap, 2000), 0
    gained: list[float] = []
    lost: list[float] = []
    for number in range(2000):
        gain = chance.random()
        cost = serve(pacer, (0.0, gain), (10, 90), MONDAY + number * timedelta(days=7) / 2000, spent)
        spent += cost
        (gained if cost == 90 else lost).append(gain)

    assert 0.97 * cap <= spent <= cap
    assert np.mean(gained) > np.mean(lost) + 0.3


def test_what_is_asked_beside_requests_takes_no_turn_of_theirs() -> None:
    alone, beside = ready(50_000, 1000), ready(50_000, 1000)
    prices: dict[Pacer, list[float]] = {alone: [], beside: []}
    for pacer, found in prices.items():
        for _ in range(60):
            pacer.saw((0.0, 0.5), (10, 90), 0, MONDAY)
            found.append(pacer.price())
            if pacer is beside:
                assert pacer.price(is_taken=False) == pacer.price(is_taken=False)

    assert prices[alone] == prices[beside]
    assert len(set(prices[alone])) > 1  # of requests that are all alike some are served by the dear model


def test_money_gets_dearer_at_once_and_cheaper_by_degrees() -> None:
    pacer = ready(10**6, 1000)
    prices = []
    for spent in (990_000, 0, 0, 0):
        for _ in range(30):
            pacer.saw((0.5, 0.9), (100, 9000), spent, MONDAY)
        prices.append(pacer.price())

    assert prices[0] > 0
    assert all(after >= before * 0.6 for before, after in pairwise(prices))
    assert prices[-1] < prices[0]


def test_costs_that_turn_out_higher_than_expected_make_money_dearer() -> None:
    fair, dear = ready(10**6, 10_000), ready(10**6, 10_000)
    for number in range(300):
        gain = number % 100 / 100
        for pacer, factor in ((fair, 1), (dear, 3)):
            pacer.settled(100, 100 * factor)
            pacer.saw((0.0, gain), (50, 150), 0, MONDAY)

    assert dear.price() > fair.price()


def test_a_new_period_forgets_how_many_have_come_but_not_what_requests_are_like() -> None:
    pacer = ready(10**5, 1000)
    for _ in range(100):
        pacer.saw((0.5, 0.9), (10, 900), 99_999, MONDAY)
    assert pacer.price() > 0
    next_week = MONDAY + timedelta(days=7)
    pacer.saw((0.5, 0.9), (10, 900), 0, next_week)

    assert pacer.share_over == 0.0
    assert pacer.price() > 0


def test_a_pacer_that_knows_nothing_asks_for_nothing() -> None:
    pacer = Pacer(WEEK, 1000)
    pacer.saw((0.5, 0.9), (10, 900), 0, MONDAY)

    assert pacer.price() == 0.0
    assert pacer.share_over is None


def test_models_that_come_later_find_their_place() -> None:
    pacer = ready(10**6, 100)
    pacer.saw((0.5,), (10,), 0, MONDAY)
    pacer.saw((0.5, 0.6, 0.9), (10, 20, 30), 0, MONDAY)
    for _ in range(2 * WINDOW):
        pacer.saw((0.5, 0.6, 0.9), (10, 20, 30), 0, MONDAY)

    assert pacer.price() == 0.0
