"""Mistakes in a budget are reported with their place; what is left out has its default."""

import tomllib
from decimal import Decimal
from typing import Any

import pytest

from app.budgets import budgets_of
from app.settings import Settings, SettingsInvalid, from_mapping
from router.budgets import AUDITS, DEVELOPMENT, Budget, Step
from router.periods import Calendar


def settings_of(text: str) -> Settings:
    return from_mapping(tomllib.loads(text, parse_float=Decimal), "test", {})


def only(**fields: Any) -> dict[str, Budget]:
    """The budgets of a team with these fields, by name."""
    lines = [f"{name} = {value}" for name, value in fields.items()]
    settings = settings_of("[teams.support.budget]\nusd = 100\n" + "\n".join(lines))
    return {budget.name: budget for budget in budgets_of(settings)}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('time_zone = "Mars/Base"', 'time_zone: no time zone "Mars/Base"'),
        ('at_cap = "fallback"', "fallback_model: is missing"),
        ('fallback_model = "gpt-9"', "fallback_model: no model `gpt-9`"),
        ('at_cap = "explode"', 'at_cap: must be one of "cache-only", "block", "economy", "fallback"'),
        ("dev_share = 1.5", "dev_share: must be from 0 to 1"),
        ("overdraft_share = -0.1", "overdraft_share: must be from 0 to 1"),
        ("soft_from = 0", "soft_from: must be more than 0"),
        ("mid_from = 0.9\neconomy_from = 0.8", "needs 0 < mid_from <= economy_from"),
        ("pacing = 3", "pacing: "),
    ],
)
@pytest.mark.parametrize("owner", ["organisation", "teams.support", "teams.support.apps.faq", "keys.key_1"])
def test_a_mistake_is_reported_with_its_place(owner: str, line: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as raised:
        settings_of(f"[{owner}.budget]\nusd = 1\n{line}\n")

    assert len(raised.value.problems) == 1
    assert raised.value.problems[0].startswith(f"{owner}.budget")
    assert said in raised.value.problems[0]


def test_thresholds_that_are_left_out_rest_while_a_paced_budget_is_on_its_pace() -> None:
    ladder = only()["team:support"].ladder
    assert [ladder.soft, ladder.mid, ladder.economy] == [Step(0.8, True), Step(0.8, True), Step(0.95, True)]

    written = only(soft_from=0.5, mid_from=0.6, economy_from=0.7)["team:support"].ladder
    assert [written.soft, written.mid, written.economy] == [Step(0.5), Step(0.6), Step(0.7)]

    unpaced = only(pacing="false")["team:support"].ladder
    assert [unpaced.soft, unpaced.mid, unpaced.economy] == [Step(0.8), Step(0.8), Step(0.95)]


def test_parts_are_shares_of_the_cap_to_the_nano_dollar() -> None:
    found = only(audits_share=0.03, dev_share=0.25, period='"week"', time_zone='"Asia/Tokyo"')

    assert found["team:support" + AUDITS].cap_nano == 3 * 10**9
    assert found["team:support" + DEVELOPMENT].cap_nano == 25 * 10**9
    assert {budget.calendar for budget in found.values()} == {Calendar("week", "Asia/Tokyo")}


def test_an_overdraft_is_only_for_who_chose_economy() -> None:
    assert only(overdraft_share=0.5)["team:support"].overdraft_nano == 0
    assert only(overdraft_share=0.5, at_cap='"economy"')["team:support"].overdraft_nano == 50 * 10**9


def test_development_has_no_share_of_its_own_unless_one_is_set() -> None:
    assert "team:support" + DEVELOPMENT not in only()
