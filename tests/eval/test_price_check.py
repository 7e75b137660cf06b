"""What the cross-check of prices promises: a difference is found, rounding is none, and a wrong file is told."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from eval.price_check import CatalogueUnreadable, Checked, SecondCatalogue, check
from router.prices import catalogue_models, catalogue_prices

AT = datetime(2026, 11, 1, tzinfo=UTC)
GPT = [("openai", "gpt-5-mini")]


def entry(**changes: Any) -> dict[str, Any]:
    """GPT-5 mini as our catalogue has it, in the second catalogue's form."""
    ours = catalogue_prices(*GPT[0], AT, 1)
    assert ours is not None
    stated = {"litellm_provider": "openai", "input_cost_per_token": ours.input, "output_cost_per_token": ours.output}
    return {name: value / 10**15 if isinstance(value, int) else value for name, value in stated.items()} | changes


def checked(file: Path, entries: dict[str, Any], models: list[tuple[str, str]] = GPT) -> Checked:
    file.write_text(json.dumps(entries), encoding="utf-8")
    return check(models, SecondCatalogue.read(file), AT)


def test_equal_prices_do_not_differ(tmp_path: Path) -> None:
    found = checked(tmp_path / "prices.json", {"gpt-5-mini": entry()})

    assert (found.compared, found.differences, found.missing) == (1, (), ())


def test_a_price_that_differs_by_more_than_half_a_percent_is_named_with_both_figures(tmp_path: Path) -> None:
    ours = catalogue_prices(*GPT[0], AT, 1)
    assert ours is not None
    found = checked(tmp_path / "prices.json", {"gpt-5-mini": entry(output_cost_per_token=ours.output * 1.01 / 10**15)})

    assert [(each.bucket, each.ours, each.theirs) for each in found.differences] == [
        ("output", ours.output, int(Decimal(str(ours.output * 1.01 / 10**15)) * 10**15))
    ]
    assert found.differences[0].share == pytest.approx(0.01)


def test_a_price_that_differs_by_less_is_the_same(tmp_path: Path) -> None:
    ours = catalogue_prices(*GPT[0], AT, 1)
    assert ours is not None
    changed = entry(output_cost_per_token=ours.output * 1.004 / 10**15)

    assert checked(tmp_path / "prices.json", {"gpt-5-mini": changed}).differences == ()


def test_a_provider_in_front_of_the_name_is_the_same_model(tmp_path: Path) -> None:
    second = {"gemini/gemini-2.5-flash": entry(litellm_provider="gemini")}
    found = checked(tmp_path / "prices.json", second, [("google", "gemini-2.5-flash")])

    assert found.compared == 1


def test_what_only_one_catalogue_has_is_missing_and_not_equal(tmp_path: Path) -> None:
    found = checked(tmp_path / "prices.json", {"gpt-5-mini": entry()}, [("openai", "gpt-unheard-of"), *GPT])

    assert (found.compared, found.missing) == (1, ("openai/gpt-unheard-of",))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"gpt-5": 3}', "\x00"])
def test_a_file_that_is_no_catalogue_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "prices.json"
    file.write_text(content, encoding="utf-8")

    with pytest.raises(CatalogueUnreadable, match=r"prices\.json"):
        SecondCatalogue.read(file)


def test_the_catalogue_lists_what_it_prices() -> None:
    assert GPT[0] in set(catalogue_models())
