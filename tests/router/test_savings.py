"""What savings promise: one counterfactual, parts that add up to the whole, and no good news that is none."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.prices import cost_nano
from router.savings import REASONS, of_call, of_hit, of_nothing
from router.usage import Usage
from tests.router.samples import prices, quick, unit_prices, usages

USAGE = Usage(input=1_000, cache_read=4_000, output=500)


@quick
@given(usages, unit_prices, unit_prices, unit_prices, st.booleans())
def test_the_parts_of_a_saving_sum_to_the_whole(
    usage: Usage, base: Any, listed: Any, paid: Any, rationed: bool
) -> None:
    money = of_call(usage, base, listed, paid, is_rationed=rationed)

    assert money.baseline_nano is not None
    assert money.actual_nano is not None
    assert money.baseline_nano - money.actual_nano == money.avoided_nano


@quick
@given(usages, unit_prices)
def test_a_hit_avoids_the_whole_baseline(usage: Usage, baseline: Any) -> None:
    money = of_hit("semantic", usage, baseline)

    assert money.actual_nano == 0
    assert money.avoided == {"semantic": cost_nano(usage.without_prompt_cache(), baseline)}
    assert money.baseline_nano == money.avoided_nano


def test_each_step_is_booked_under_its_own_reason() -> None:
    baseline, listed, paid = (
        prices("1", "8"),
        prices("0.5", "4", cache_read="0.1"),
        prices("0.4", "3", cache_read="0.1"),
    )

    money = of_call(USAGE, baseline, listed, paid, is_rationed=False)

    assert money.avoided == {
        "downgrade": 5_000 * 500 + 500 * 4_000,
        "provider_prompt_cache": 4_000 * 400,
        "negotiated_rate": 1_000 * 100 + 500 * 1_000,
    }


def test_a_downgrade_that_a_budget_forced_is_rationing_and_not_efficiency() -> None:
    cheap = prices("0.5", "4")

    money = of_call(USAGE, prices("1", "8"), cheap, cheap, is_rationed=True)

    assert set(money.avoided) == {"rationing"}


def test_a_model_dearer_than_the_baseline_is_a_negative_saving() -> None:
    dear = prices("2", "16")

    money = of_call(USAGE, prices("1", "8"), dear, dear, is_rationed=False)

    assert money.avoided == {"downgrade": -(5_000 * 1_000 + 500 * 8_000)}


def test_writing_a_prompt_cache_is_a_negative_saving() -> None:
    listed = prices("1", "8", cache_write_5m="1.25")

    money = of_call(Usage(cache_write_5m=1_000), listed, listed, listed, is_rationed=False)

    assert money.avoided == {"provider_prompt_cache": -250_000}


def test_the_baseline_model_at_its_list_price_saves_nothing() -> None:
    same = prices("1", "8")

    assert of_call(Usage(input=1_000, output=500), same, same, same, is_rationed=False).avoided == {}


@pytest.mark.parametrize("unknown", ["baseline", "listed", "paid"])
def test_without_a_price_nothing_is_claimed(unknown: Literal["baseline", "listed", "paid"]) -> None:
    known = {"baseline": prices("1", "8"), "listed": prices("0.5", "4"), "paid": prices("0.4", "3")}

    money = of_call(USAGE, **(known | {unknown: None}), is_rationed=False)

    assert money.avoided == {}
    nano = {"baseline": money.baseline_nano, "listed": money.list_nano, "paid": money.actual_nano}
    assert [name for name, value in nano.items() if value is None] == [unknown]


def test_a_hit_without_a_known_baseline_claims_nothing() -> None:
    money = of_hit("exact", USAGE, None)

    assert (money.baseline_nano, money.actual_nano, money.avoided) == (None, 0, {})


def test_a_request_that_was_never_answered_avoids_nothing() -> None:
    money = of_nothing()

    assert (money.baseline_nano, money.actual_nano, money.avoided_nano) == (0, 0, 0)


def test_every_reason_has_a_name_of_its_own() -> None:
    assert len(set(REASONS)) == len(REASONS)
