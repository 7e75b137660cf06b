"""The simulation of budgets: what it says of pacing, and that its own figures can be trusted."""

from datetime import UTC, datetime

import numpy as np
import pytest

from eval.budget_simulation import PATTERNS, Pattern, Requests, Result, arrivals, by_prompt, hourly, run
from router.periods import Calendar

COUNT = 400
WEEK = Calendar("week")
AT = datetime(2026, 3, 3, tzinfo=UTC)


def made(seed: int, first: int = 0) -> Requests:
    """Requests whose better answers cost twenty and five hundred times as much, and are worth it for some."""
    chance = np.random.default_rng(seed)
    hardness = chance.random(COUNT)
    reward = np.clip(np.c_[0.95 - 0.4 * hardness, 0.95 - 0.05 * hardness, 0.95 - 0.02 * hardness], 0, 1)
    cost = np.array([3e4, 5e5, 1.5e7]) * np.exp(0.3 * chance.standard_normal((COUNT, 3)))
    return Requests(
        prompt=np.arange(first, first + COUNT),
        quality=reward + 0.02 * chance.standard_normal((COUNT, 3)),
        cost_nano=cost * np.exp(0.2 * chance.standard_normal((COUNT, 3))),
        reward=reward,
        charged_nano=cost.astype(np.int64),
    )


@pytest.fixture(scope="module")
def results() -> dict[tuple[str, Pattern], Result]:
    splits = [(made(seed), made(seed + 100, first=COUNT)) for seed in (1, 2)]
    return {(each.policy, each.pattern): each for each in run(splits, [0.025])}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_pacing_spends_the_budget_and_refuses_nobody(
    results: dict[tuple[str, Pattern], Result], pattern: Pattern
) -> None:
    paced = results["paced", pattern]

    assert paced.refused_share == 0
    assert 0.9 < paced.spent_least <= paced.spent_most <= 1


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("other", ["premium, then cap", "ladder 80/95 %", "always mid", "always economy"])
def test_pacing_is_better_than_what_others_do(
    results: dict[tuple[str, Pattern], Result], pattern: Pattern, other: str
) -> None:
    assert results["paced", pattern].quality.low > results[other, pattern].quality.high


def test_no_policy_exceeds_its_cap(results: dict[tuple[str, Pattern], Result]) -> None:
    assert all(each.spent_most <= 1 for each in results.values())


def test_no_policy_is_much_better_than_the_best_price_in_hindsight(
    results: dict[tuple[str, Pattern], Result],
) -> None:
    for pattern in PATTERNS:
        best = results["best static, in hindsight", pattern].quality.value
        assert results["paced", pattern].quality.value <= best + 0.005


def test_refused_requests_count_nothing(results: dict[tuple[str, Pattern], Result]) -> None:
    capped = results["premium, then cap", "uniform"]

    assert capped.refused_share > 0.9
    assert capped.quality.value < 0.1


def test_always_mid_is_its_own_measure_while_nothing_is_refused() -> None:
    found = run([(made(1), made(2))], [0.5], patterns=["uniform"])
    mid = next(each for each in found if each.policy == "always mid")

    assert (mid.over_mid.value, mid.over_mid.low, mid.over_mid.high) == (0, 0, 0)


def test_the_same_splits_give_the_same_figures() -> None:
    splits = [(made(1), made(2))]

    assert run(splits, [0.03], patterns=["bursty"]) == run(splits, [0.03], patterns=["bursty"])


@pytest.mark.parametrize(("pattern", "in_the_first_half"), [("uniform", 0.5), ("front-loaded", 0.88)])
def test_arrivals_follow_their_pattern(pattern: Pattern, in_the_first_half: float) -> None:
    times = arrivals(pattern, 4000, WEEK, AT, np.random.default_rng(1))
    span = WEEK.span(AT)
    middle = span.start + (span.end - span.start) / 2

    assert times == sorted(times)
    assert all(at in span for at in times)
    assert sum(at < middle for at in times) / 4000 == pytest.approx(in_the_first_half, abs=0.03)


def test_bursts_come_at_the_same_times_in_every_period() -> None:
    busiest = []
    for seed in (1, 2):
        counts = {
            each.hour: each.requests for each in hourly(arrivals("bursty", 4000, WEEK, AT, np.random.default_rng(seed)))
        }
        busiest.append(set(sorted(counts, key=lambda hour: -counts[hour])[:6]))

    assert len(busiest[0] & busiest[1]) >= 4


def test_the_interval_is_over_prompts_and_not_over_their_repetitions() -> None:
    chance = np.random.default_rng(4)
    prompts, values = np.arange(300), chance.random(300)
    once = by_prompt([prompts], [values])
    five_times = by_prompt([prompts] * 5, [values] * 5)

    assert once.low < once.value < once.high
    assert five_times.high - five_times.low == pytest.approx(once.high - once.low)
