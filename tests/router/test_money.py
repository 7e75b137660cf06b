"""What the arithmetic of money promises: integers, one rounding for each bucket, exact text."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.money import bucket_cost_nano, nano_from_usd, usd_text
from tests.router.samples import quick


@quick
@given(st.integers(0, 10**10), st.integers(0, 10**12))
@example(1, 499_999)
@example(1, 500_000)
@example(1, 500_001)
@example(3, 500_000)
def test_a_bucket_is_rounded_once_and_half_up(tokens: int, price: int) -> None:
    exact = Decimal(tokens) * Decimal(price) / 1_000_000

    assert bucket_cost_nano(tokens, price) == int(exact.to_integral_value(rounding=ROUND_HALF_UP))


@quick
@given(st.integers(-(10**20), 10**20))
def test_the_text_of_an_amount_is_the_amount(nano: int) -> None:
    assert Decimal(usd_text(nano)) * 1_000_000_000 == nano


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (2750, "0.000002750"),
        (-1, "-0.000000001"),
        (-1_500_000_000, "-1.500000000"),
        (123_456_789_012_345_678_901, "123456789012.345678901"),
    ],
)
def test_the_text_has_nine_decimals_and_no_exponent(nano: int, text: str) -> None:
    assert usd_text(nano) == text


@pytest.mark.parametrize(
    ("usd", "nano"),
    [
        ("0", 0),
        ("0.0000000004", 0),
        ("0.0000000005", 1),
        ("0.0000000015", 2),
        ("1.25", 1_250_000_000),
        ("1E+3", 1_000_000_000_000),
    ],
)
def test_usd_become_nano_dollars_half_up(usd: str, nano: int) -> None:
    assert nano_from_usd(Decimal(usd)) == nano


@pytest.mark.parametrize("usd", ["-0.01", "NaN", "Infinity", "-Infinity"])
def test_an_amount_that_is_no_money_is_refused(usd: str) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        nano_from_usd(Decimal(usd))
