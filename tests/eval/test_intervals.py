"""Bounds of a counted share, against published values, the binomial itself and each other."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.intervals import clopper_pearson, lower_bound, regularised_beta, share, upper_bound

counts = st.integers(1, 400).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


def at_least(successes: int, trials: int, chance: Fraction) -> float:
    """The exact chance of so many successes or more."""
    return float(
        sum(math.comb(trials, k) * chance**k * (1 - chance) ** (trials - k) for k in range(successes, trials + 1))
    )


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.308497),
        (1, 10, 0.002529, 0.445016),
        (5, 10, 0.187086, 0.812914),
        (10, 10, 0.691503, 1.0),
        (10, 100, 0.049005, 0.176223),
        (1, 1000, 0.0000253, 0.0055589),
        (500_000, 1_000_000, 0.499020, 0.500980),
    ],
)
def test_the_interval_is_the_published_one(successes: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-6)


def test_without_trials_everything_is_possible() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert share(0, 0).value is None


@pytest.mark.parametrize("trials", [1, 10, 299, 100_000])
def test_no_failure_in_n_trials_has_the_closed_form(trials: int) -> None:
    """The rule of three, exactly: 1 - 0.05 ** (1 / n)."""
    assert upper_bound(0, trials) == pytest.approx(-math.expm1(math.log(0.05) / trials), rel=1e-9)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (1, 0)])
def test_a_count_that_cannot_be_is_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes in"):
        clopper_pearson(successes, trials)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_a_confidence_that_is_no_fraction_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        clopper_pearson(1, 2, confidence)


@given(counts)
def test_the_interval_holds_the_share_and_lies_between_0_and_1(count: tuple[int, int]) -> None:
    found = share(*count)
    assert found.value is not None
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(counts)
def test_successes_and_failures_mirror_each_other(count: tuple[int, int]) -> None:
    successes, trials = count
    low, high = clopper_pearson(successes, trials)
    assert clopper_pearson(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(counts, st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_more_confidence_means_a_wider_interval(count: tuple[int, int], confidence: float) -> None:
    low, high = clopper_pearson(*count, confidence)
    wider_low, wider_high = clopper_pearson(*count, confidence + 0.005)
    assert wider_low <= low
    assert high <= wider_high


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_at_the_lower_bound_so_many_successes_are_just_as_unlikely_as_stated(count: tuple[int, int]) -> None:
    """The definition itself, with exact fractions."""
    successes, trials = count
    assert at_least(successes, trials, Fraction(lower_bound(successes, trials))) == pytest.approx(0.05, rel=1e-9)


@given(st.integers(0, 2**40).map(lambda parts: parts / 2**40), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_beta_function_is_symmetric(x: float, a: float, b: float) -> None:
    assert 1 - (1 - x) == x
    assert regularised_beta(x, a, b) + regularised_beta(1 - x, b, a) == pytest.approx(1, abs=1e-9)


@given(st.floats(0, 1), st.floats(0.5, 50))
def test_the_beta_function_of_one_parameter_is_a_power(x: float, a: float) -> None:
    assert regularised_beta(x, a, 1) == pytest.approx(x**a, rel=1e-9, abs=1e-12)


def test_the_beta_function_refuses_what_it_is_not_defined_for() -> None:
    with pytest.raises(ValueError, match="no regularised beta"):
        regularised_beta(1.5, 1, 1)
