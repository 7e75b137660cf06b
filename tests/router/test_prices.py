"""What prices promise: the official list prices, to the nano-dollar, or none at all."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices import data_snapshot
from hypothesis import example, given
from hypothesis import strategies as st

from router.money import bucket_cost_nano
from router.prices import (
    CATALOGUE_VERSION,
    Priced,
    PriceOverride,
    UnitPrices,
    catalogue_prices,
    cost_nano,
    worst_case_nano,
)
from router.usage import Usage, estimated_tokens
from tests.router.samples import AT, override, prices, quick, unit_prices, usages

KNOWN = [
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4.1-nano"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-opus-4-1"),
    ("google", "gemini-2.5-pro"),
    ("deepseek", "deepseek-chat"),
    ("mistral", "mistral-large-latest"),
    ("groq", "llama-3.3-70b-versatile"),
    ("openrouter", "qwen/qwen3.7-flash"),  # three tiers
]
SIZES = [7, 1_999, 32_001, 199_999, 200_000, 200_001, 1_000_000]


def official_nano(provider: str, model: str, usage: Usage, at: datetime = AT) -> Decimal:
    """The catalogue's own calculation, unrounded."""
    counted = genai_prices.Usage(
        input_tokens=usage.all_input,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write_5m + usage.cache_write_1h,
        cache_write_1h_tokens=usage.cache_write_1h,
        output_tokens=usage.output,
    )
    found = genai_prices.calc_price(counted, model, provider_id=provider, genai_request_timestamp=at)
    return found.total_price * 1_000_000_000


def our_nano(provider: str, model: str, usage: Usage, at: datetime = AT) -> int | None:
    found = catalogue_prices(provider, model, at, usage.all_input)
    return cost_nano(usage, found) if found is not None else None


@pytest.mark.parametrize(("provider", "model"), KNOWN)
@pytest.mark.parametrize("input_tokens", SIZES)
def test_a_cost_is_the_official_one_to_the_nano_dollar(provider: str, model: str, input_tokens: int) -> None:
    usage = Usage(input=input_tokens - 3, cache_read=2, cache_write_5m=1, output=777)

    cost = our_nano(provider, model, usage)

    # Five buckets, each rounded by at most half a nano-dollar.
    assert cost is not None
    assert abs(cost - official_nano(provider, model, usage)) <= Decimal("2.5")


def test_a_cache_write_for_an_hour_costs_what_the_official_calculation_says() -> None:
    usage = Usage(input=100, cache_write_5m=2_000, cache_write_1h=5_000, output=10)

    assert our_nano("anthropic", "claude-sonnet-4-5", usage) == official_nano("anthropic", "claude-sonnet-4-5", usage)


def test_every_price_of_the_catalogue_is_the_official_one_or_none() -> None:
    usage = Usage(input=250_000, cache_read=1_000, output=3_000)
    priced = 0

    for provider in data_snapshot.get_snapshot().providers:
        for info in provider.models:
            cost = our_nano(provider.id, info.id, usage)
            if cost is not None:
                priced += 1
                assert abs(cost - official_nano(provider.id, info.id, usage)) <= Decimal("2.5"), (provider.id, info.id)

    assert priced > 1_000


def test_the_prices_of_gpt_5_are_the_published_ones() -> None:
    found = catalogue_prices("openai", "gpt-5", AT, 1_000)

    assert found is not None
    assert (found.input, found.cache_read, found.output) == (1_250_000_000, 125_000_000, 10_000_000_000)
    assert found.version == CATALOGUE_VERSION


@pytest.mark.parametrize(
    ("input_tokens", "input_price", "output_price"),
    [
        (200_000, 1_250_000_000, 10_000_000_000),
        (200_001, 2_500_000_000, 15_000_000_000),
    ],
)
def test_a_long_prompt_prices_every_token_at_the_long_rate(
    input_tokens: int, input_price: int, output_price: int
) -> None:
    found = catalogue_prices("google", "gemini-2.5-pro", AT, input_tokens)

    assert found is not None
    assert (found.input, found.output) == (input_price, output_price)


def test_a_price_that_changed_is_the_one_of_its_time() -> None:
    before = catalogue_prices("openai", "o3", datetime(2025, 6, 1, tzinfo=UTC), 1_000)
    after = catalogue_prices("openai", "o3", datetime(2025, 6, 20, tzinfo=UTC), 1_000)

    assert before is not None
    assert after is not None
    assert before.input == 5 * after.input


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-of-next-year"),
        ("nobody", "gpt-5"),
        ("openai", ""),
        ("openai", "text-embedding-3-small"),
    ],
)
def test_what_the_catalogue_does_not_price_has_no_price(provider: str, model: str) -> None:
    assert catalogue_prices(provider, model, AT, 1_000) is None


def test_a_model_that_charges_beside_its_tokens_has_no_price() -> None:
    one_token = Usage(input=1)

    assert official_nano("perplexity", "sonar", one_token) > 1_000_000  # its fee for a request
    assert catalogue_prices("perplexity", "sonar", AT, 1) is None


def test_a_price_from_the_configuration_replaces_the_catalogues() -> None:
    priced = Priced(provider="openai", reference="gpt-5", listed=override("2", "3"))

    listed = priced.list_prices(AT, 1_000)

    assert listed is not None
    assert (listed.input, listed.output, listed.version) == (2_000_000_000, 3_000_000_000, "configuration")
    assert priced.effective_prices(AT, 1_000) == listed


def test_a_negotiated_price_is_paid_and_the_list_price_stays() -> None:
    priced = Priced(provider="openai", reference="gpt-5", negotiated=override("1", "8"))

    assert priced.list_prices(AT, 1_000) == catalogue_prices("openai", "gpt-5", AT, 1_000)
    paid = priced.effective_prices(AT, 1_000)
    assert paid is not None
    assert (paid.input, paid.output, paid.version) == (1_000_000_000, 8_000_000_000, "negotiated")


def test_a_negotiated_price_gives_an_unknown_model_no_list_price() -> None:
    priced = Priced(provider="openai", reference="gpt-of-next-year", negotiated=override("1", "8"))

    assert priced.list_prices(AT, 1_000) is None
    assert priced.effective_prices(AT, 1_000) is not None


def test_a_cache_bucket_without_its_own_price_costs_as_input() -> None:
    found = prices("2", "3", cache_read="0.2")

    assert (found.cache_read, found.cache_write_5m, found.cache_write_1h) == (200_000_000, found.input, found.input)


@pytest.mark.parametrize("fields", [{"input": "-1"}, {"output": "NaN"}, {"cache_read": "-0.1"}])
def test_a_price_from_the_configuration_is_not_negative(fields: dict[str, str]) -> None:
    usd = {"input": "1", "output": "1"} | fields
    with pytest.raises(ValueError, match="finite and not negative"):
        PriceOverride(**{name: Decimal(value) for name, value in usd.items()})


@quick
@given(usages, unit_prices)
def test_a_cost_is_the_sum_of_its_rounded_buckets(usage: Usage, unit: Any) -> None:
    buckets = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")

    assert cost_nano(usage, unit) == sum(
        bucket_cost_nano(getattr(usage, name), getattr(unit, name)) for name in buckets
    )


@quick
@given(usages, unit_prices, st.integers(0, 50_000), st.integers(0, 50_000))
@example(
    Usage(1, 1, 1, 1, 1), UnitPrices(500_000, 500_000, 500_000, 500_000, 500_000, "each bucket is rounded up"), 0, 0
)
def test_the_worst_case_is_never_below_the_cost(usage: Usage, unit: Any, more_in: int, more_out: int) -> None:
    worst = worst_case_nano(usage.all_input + more_in, usage.output + more_out, unit)

    assert cost_nano(usage, unit) <= worst


@quick
@given(usages, unit_prices)
def test_reasoning_is_not_counted_twice(usage: Usage, unit: Any) -> None:
    reasoned = Usage(input=usage.input, output=usage.output, reasoning=usage.output)

    assert cost_nano(reasoned, unit) == cost_nano(Usage(input=usage.input, output=usage.output), unit)


@quick
@given(usages)
def test_without_a_prompt_cache_no_token_is_lost(usage: Usage) -> None:
    plain = usage.without_prompt_cache()

    assert (plain.input, plain.output) == (usage.all_input, usage.output)
    assert plain.all_input == plain.input


@pytest.mark.parametrize(("text_bytes", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (4_000, 1_000)])
def test_an_estimate_is_a_token_for_four_bytes_rounded_up(text_bytes: int, tokens: int) -> None:
    assert estimated_tokens(text_bytes) == tokens
