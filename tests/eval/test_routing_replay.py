"""What a replay of routing promises: the same configuration changes nothing, another one is priced and ranked anew."""

import json
from typing import Any

import msgspec

from eval.routing_replay import Comparison, replay
from router.catalogue import RoutingPolicy, Tier
from router.ledger.row import LedgerRow
from router.prices import cost_nano
from tests.router.samples import ledger_row, model, policy, prices

LARGE = model("large", Tier.PREMIUM, "1.25", "10")
SMALL = model("small", Tier.ECONOMY, "0.2", "1.6")
ROUTE = policy(LARGE, SMALL)


def row(number: int = 1, **fields: Any) -> LedgerRow:
    routing = {"candidates": [["small", 0.8, 1000], ["large", 0.9, 6000]], "price": 0.0, "propensity": 1.0}
    given = {"routing": json.dumps(routing | {"held_out": False, "wanted": "small"})} | fields
    return ledger_row(f"req_{number}", **given)


def replayed(route: RoutingPolicy, *rows: LedgerRow) -> Comparison:
    (found,) = replay(rows, {"default": route})
    return found


def test_the_same_configuration_changes_nothing() -> None:
    found = replayed(ROUTE, *(row(n) for n in range(5)))

    assert (found.requests, found.skipped) == (5, 0)
    assert found.recorded == found.replayed
    assert found.recorded.served == {"small": 5}


def test_another_strategy_chooses_another_model_and_pays_its_price() -> None:
    one = row()
    found = replayed(msgspec.structs.replace(ROUTE, strategy="pinned"), one)

    assert found.replayed.served == {"large": 1}
    assert found.replayed.cost_nano == cost_nano(one.usage, prices("1.25", "10"))
    assert found.replayed.expected_quality == 0.9


def test_what_the_recorded_strategy_asked_of_money_does_not_bind_another_one() -> None:
    routing = {"candidates": [["small", 0.8, 1000], ["large", 1.0, 6000]], "price": 3 / 6000, "asked": 0.0}
    frugal = row(routing=json.dumps(routing))

    gentle = msgspec.structs.replace(policy(LARGE, model("small", Tier.ECONOMY, "1.2", "9.6")), strategy="balanced")
    assert replayed(gentle, frugal).replayed.served == {"large": 1}


def test_what_budgets_asked_of_money_binds_every_strategy_that_counts_it() -> None:
    routing = {"candidates": [["small", 0.8, 1000], ["large", 1.0, 6000]], "price": 1.0, "asked": 1.0}
    alike = policy(LARGE, model("small", Tier.ECONOMY, "1.2", "9.6"))
    paced = row(routing=json.dumps(routing))
    soft = row(routing=json.dumps(routing | {"asked": 0.0, "least_lambda": 9.0}))

    assert replayed(alike, paced).replayed.served == {"small": 1}
    assert replayed(alike, soft).replayed.served == {"small": 1}


def test_a_weighted_split_gives_each_conversation_the_model_that_it_would_have_had() -> None:
    split = msgspec.structs.replace(ROUTE, strategy="weighted", weights={"large": 1.0, "small": 1.0})

    found = replayed(split, *(row(number, conversation=f"c{number}") for number in range(40)))

    assert set(found.replayed.served) == {"large", "small"}


def test_another_price_of_the_same_model_is_another_cost() -> None:
    one = row()
    found = replayed(policy(LARGE, model("small", Tier.ECONOMY, "0.1", "0.8")), one)

    assert found.recorded.cost_nano == one.actual_nano
    assert found.replayed.cost_nano == cost_nano(one.usage, prices("0.1", "0.8"))


def test_a_higher_floor_is_obeyed() -> None:
    assert replayed(msgspec.structs.replace(ROUTE, floor=Tier.MID), row()).replayed.served == {"large": 1}


def test_what_chance_had_decided_stays_as_it_was() -> None:
    held_out = json.dumps({"candidates": [["large", 0.9, 6000]], "price": 0.0, "held_out": True})
    explored = json.dumps({"candidates": [["large", 0.9, 6000]], "price": 0.0, "propensity": 0.01})
    best = msgspec.structs.replace(ROUTE, strategy="pinned")
    found = replayed(best, row(1, routing=held_out), row(2, routing=explored))

    assert (found.requests, found.skipped) == (0, 2)


def test_a_named_model_stays_the_one_that_was_named() -> None:
    named = row(requested_model="small")

    assert replayed(msgspec.structs.replace(ROUTE, strategy="pinned"), named).replayed.served == {"small": 1}


def test_hits_refusals_and_other_routes_are_not_routed_anew() -> None:
    rows = [row(1), row(2, routing=None), row(3, status="refused"), row(4, route="elsewhere"), row(5, kind="audit")]

    assert replayed(ROUTE, *rows).requests == 1
