"""What the holdout promises: the difference of two arms, an honest interval, and silence where little is known."""

import json
import random
from typing import Any

import pytest

from eval.holdout import CONVERSATIONS_AT_LEAST, holdout, lines
from router.ledger.row import LedgerRow
from tests.router.samples import ledger_row


def routed(number: int, conversation: str, cost_nano: int, *, is_held_out: bool = False, **fields: Any) -> LedgerRow:
    routing = json.dumps({"candidates": [], "price": 0.0, "held_out": is_held_out})
    given = {"actual_nano": cost_nano, "conversation": conversation, "routing": routing} | fields
    return ledger_row(f"req_{number}", **given)


def thought(number: int, score: float) -> LedgerRow:
    return ledger_row(f"feedback_{number}", kind="feedback", refers_to=f"req_{number}", score=score, actual_nano=0)


def two_arms(conversations: int = 200, each: int = 3, seed: int = 1) -> list[LedgerRow]:
    """Held-out requests cost 1000 and score 0.9, routed ones 200 and 0.8, give or take."""
    chance, rows = random.Random(seed), []
    for conversation in range(conversations):
        is_held_out = conversation % 4 == 0
        for turn in range(each):
            number = conversation * each + turn
            cost = int((1000 if is_held_out else 200) * chance.uniform(0.5, 1.5))
            rows.append(routed(number, f"c{conversation}", cost, is_held_out=is_held_out))
            rows.append(thought(number, min((0.9 if is_held_out else 0.8) + chance.uniform(-0.1, 0.1), 1.0)))
    return rows


def test_the_effect_is_the_difference_of_the_arms_and_lies_in_its_interval() -> None:
    found = holdout(two_arms())

    assert found is not None
    assert (found.held_out.conversations, found.routed.conversations) == (50, 150)
    assert found.held_out.requests == 150
    cost, score = found.cost_per_request_nano, found.score
    assert cost is not None
    assert score is not None
    assert cost.low < -800 < cost.high
    assert cost.difference == pytest.approx(found.routed.cost_per_request_nano - found.held_out.cost_per_request_nano)
    assert score.low < -0.1 < score.high
    assert score.high < 0


def test_the_interval_covers_no_effect_where_there_is_none() -> None:
    rows = [routed(n, f"c{n}", 100 + n % 7, is_held_out=n % 3 == 0) for n in range(300)]
    found = holdout(rows)

    assert found is not None
    assert found.cost_per_request_nano is not None
    assert found.cost_per_request_nano.low < 0 < found.cost_per_request_nano.high


def test_requests_of_one_conversation_do_not_make_the_interval_narrower() -> None:
    chance = random.Random(3)
    costs = [chance.randrange(100, 2000) for _ in range(80)]
    single = holdout([routed(n, f"c{n}", costs[n], is_held_out=n % 2 == 0) for n in range(80)])
    repeated = holdout(
        [routed(n * 50 + t, f"c{n}", costs[n], is_held_out=n % 2 == 0) for n in range(80) for t in range(50)]
    )

    assert single is not None
    assert repeated is not None
    assert repeated.cost_per_request_nano == single.cost_per_request_nano


def test_with_few_conversations_no_effect_is_claimed() -> None:
    few = CONVERSATIONS_AT_LEAST - 1
    found = holdout([routed(n, f"c{n}", 100, is_held_out=n < few) for n in range(400)])

    assert found is not None
    assert found.cost_per_request_nano is None
    assert any("too few" in line for line in lines(found))


def test_without_a_holdout_there_is_nothing_to_tell() -> None:
    assert holdout([routed(n, f"c{n}", 100) for n in range(100)]) is None
    assert "not measured" in lines(None)[0]


@pytest.mark.parametrize(
    "fields", [{"requested_model": "gpt-5"}, {"status": "refused"}, {"routing": None}, {"kind": "audit"}]
)
def test_what_was_not_routed_is_in_no_arm(fields: dict[str, Any]) -> None:
    rows = two_arms()
    found = holdout([*rows, routed(10_000, "c_more", 10**12, **fields)])

    assert found == holdout(rows)
