"""Money as integers: nano-dollars (1e-9 USD). Owns rounding and text forms; refuses floats."""

from decimal import ROUND_HALF_UP, Decimal

NANO_PER_USD = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000
"""Unit prices are integers in nano-dollars per million tokens."""
CALLS_PER_FEE = 1_000
"""Fees of tools are integers in nano-dollars per thousand calls."""


def nano_from_usd(usd: Decimal) -> int:
    """Nano-dollars for an amount in USD, half up beyond the ninth decimal.

    Raises ValueError for a negative or non-finite amount.
    """
    if not usd.is_finite() or usd < 0:
        raise ValueError(f"an amount of money is finite and not negative, got {usd}")
    return int((usd * NANO_PER_USD).to_integral_value(rounding=ROUND_HALF_UP))


def bucket_cost_nano(tokens: int, price_nano_per_mtok: int) -> int:
    """Cost of one usage bucket, rounded once, half up. A row's cost is the sum of its rounded buckets."""
    return (tokens * price_nano_per_mtok + TOKENS_PER_PRICE // 2) // TOKENS_PER_PRICE


def fee_nano(calls: int, fee_nano_per_kcall: int) -> int:
    """Cost of so many calls of one kind, rounded once, half up."""
    return (calls * fee_nano_per_kcall + CALLS_PER_FEE // 2) // CALLS_PER_FEE


def usd_text(nano: int) -> str:
    """Exact decimal text without exponent: `0.000002750`; `-` in front of negative amounts."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    return f"{sign}{whole}.{fraction:09d}"
