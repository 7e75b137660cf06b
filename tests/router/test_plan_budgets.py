"""How budgets bear on the plan: the price of money, the floor on lambda, and what is asked when nothing else fits."""

import pytest

from router.catalogue import Tier
from router.plan import Circumstances, plan
from tests.router.samples import AT, model, policy, request

LARGE = model("large", Tier.PREMIUM, "10", "40")
MEDIUM = model("medium", Tier.MID, "2", "8")
SMALL = model("small", Tier.ECONOMY, "1", "4")
FREE = model("free", Tier.ECONOMY, "0", "0")
DEAF = model("deaf", Tier.ECONOMY, "0", "0", takes_tools=False)
ROUTE = policy(LARGE, MEDIUM, SMALL, strategy="balanced")
QUALITY = {"large": 0.95, "medium": 0.6, "small": 0.3}


def first(**around: object) -> str:
    return plan(request(), ROUTE, None, AT, Circumstances(quality=QUALITY, **around)).candidates[0].model.name  # type: ignore[arg-type]


def test_money_that_is_dear_makes_auto_cheaper() -> None:
    models = [first(price=price, priced_by="organisation") for price in (0.0, 1e-7, 1e-3)]

    assert models[-1] == "small"
    assert [QUALITY[name] for name in models] == sorted((QUALITY[name] for name in models), reverse=True)


def test_the_reason_says_who_made_money_dear() -> None:
    paced = plan(request(), ROUTE, None, AT, Circumstances(quality=QUALITY, price=1e-3, priced_by="team:support"))

    assert "paced by team:support (lambda " in paced.reason
    assert paced.price == 1e-3


def test_a_price_below_the_routes_own_changes_nothing_and_is_not_told() -> None:
    cheap = plan(request(), ROUTE, None, AT, Circumstances(quality=QUALITY, price=1e-15, priced_by="organisation"))

    assert "paced" not in cheap.reason
    assert cheap.price > 1e-15


def test_a_model_that_was_asked_for_by_name_has_no_price() -> None:
    asked = plan(request(model="large"), ROUTE, None, AT, Circumstances(price=1e-3, priced_by="organisation"))

    assert asked.candidates[0].model.name == "large"
    assert asked.reason == "as requested"


@pytest.mark.parametrize(("least", "expected"), [(0.0, "large"), (1.0, "medium"), (9.0, "small")])
def test_a_soft_limit_is_a_floor_on_lambda(least: float, expected: str) -> None:
    gentle = policy(LARGE, MEDIUM, SMALL, strategy="balanced")
    around = Circumstances(quality={"large": 1.0, "medium": 0.45, "small": 0.3}, least_lambda=least)

    assert plan(request(), gentle, None, AT, around).candidates[0].model.name == expected


def test_a_last_resort_is_kept_apart_whether_or_not_the_route_offers_it() -> None:
    found = plan(request(), ROUTE, None, AT, Circumstances(last_resorts=(FREE,)))

    assert [candidate.model.name for candidate in found.last_resorts] == ["free"]
    assert "free" not in {candidate.model.name for candidate in found.candidates}


def test_a_last_resort_that_cannot_serve_the_request_is_none() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    found = plan(request(tools=tools), ROUTE, None, AT, Circumstances(last_resorts=(DEAF, FREE)))

    assert [candidate.model.name for candidate in found.last_resorts] == ["free"]


def test_a_candidate_is_not_its_own_last_resort() -> None:
    assert plan(request(), ROUTE, None, AT, Circumstances(last_resorts=(SMALL,))).last_resorts == ()
