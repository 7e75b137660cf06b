"""Pacing in the running gateway: a short budget makes `auto` choose cheaper models before anything is refused."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec

from app.database import LEDGER_MIGRATIONS, open_database
from router.ledger import tables
from router.ledger.row import SCHEMA, LedgerRow
from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import Provider, Received, Reply, chat_body, json_reply
from tests.running import RunningGateway

HARD = "Prove step by step and explain why this design and its trade-offs are optimal, then critique it: number {}."
OPEN = {"mid_from": 2.0, "economy_from": 3.0, "soft_from": 4.0}
A_LARGE_ANSWER = 40_000 * 200
"""200 tokens, in nano-dollars."""


def early_zone() -> str:
    """A time zone in which it is about six in the morning, so that most of the day is to come."""
    ahead = (6 - datetime.now(UTC).hour) % 24
    ahead = ahead if ahead <= 14 else ahead - 24
    return f"Etc/GMT{-ahead:+d}"


def two_hundred_tokens(received: Received) -> Reply:
    return json_reply(chat_body("Proved.", prompt_tokens=60, completion_tokens=200))


def ask(gateway: RunningGateway, key: str, number: int) -> httpx.Response:
    answer = gateway.chat(key, HARD.format(number), max_completion_tokens=200)
    assert answer.status_code == 200, answer.text
    return answer


def configured(provider: Provider, nano: int, **settings: Any) -> str:
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", two_hundred_tokens)
    text = scripted(provider) + route("default", cache='mode = "off"', strategy="balanced")
    text += budget("teams.support", nano, period="day", time_zone=early_zone(), **OPEN, **settings)
    return text.replace("'false'", "false")


def test_a_short_budget_is_paced_and_serves_everybody(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configured(provider, 12 * A_LARGE_ANSWER), **ENVIRONMENT)
    key = gateway.key()

    answers = [ask(gateway, key, number) for number in range(60)]

    models = [answer.headers["x-thriftgate-model"] for answer in answers]
    reasons = [answer.headers["x-thriftgate-route-reason"] for answer in answers]
    assert "paced by team:support (lambda " in reasons[-1]
    assert models[-1] == "small" != models[0]
    counters = gateway.budget("team:support")
    assert counters["spent_nano"] <= counters["cap_nano"]
    assert 0.2 < counters["arrivals_over"] < 0.35
    row = gateway.row(request_id=answers[-1].headers["x-request-id"])
    assert "paced by" in (row.route_reason or "")


def test_without_pacing_the_same_budget_is_spent_by_the_first(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configured(provider, 12 * A_LARGE_ANSWER, pacing="false"), **ENVIRONMENT)
    key = gateway.key()

    answers = [ask(gateway, key, number) for number in range(20)]

    assert "small" not in {answer.headers["x-thriftgate-model"] for answer in answers}
    assert not any("paced by" in answer.headers["x-thriftgate-route-reason"] for answer in answers)
    assert gateway.budget("team:support")["arrivals_over"] is None


def test_an_ample_budget_leaves_the_choice_as_it_is(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configured(provider, 10**6 * A_LARGE_ANSWER), **ENVIRONMENT)
    key = gateway.key()

    answers = [ask(gateway, key, number) for number in range(30)]

    assert not any("paced by" in answer.headers["x-thriftgate-route-reason"] for answer in answers)


def test_a_model_that_was_asked_for_by_name_is_never_paced(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configured(provider, 40 * A_LARGE_ANSWER), **ENVIRONMENT)
    key = gateway.key()
    for number in range(15):
        answer = gateway.chat(key, HARD.format(number), model="large", max_completion_tokens=200)

    assert answer.headers["x-thriftgate-model"] == "large"
    assert answer.headers["x-thriftgate-route-reason"] == "as requested"


def test_arrivals_of_earlier_days_are_learned_at_the_start(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    text = configured(provider, 40 * A_LARGE_ANSWER)
    gateway = start_gateway(text, **ENVIRONMENT)
    key = gateway.key()
    ask(gateway, key, 0)
    sample = gateway.rows(kind="request")[0]
    gateway.stop()
    _seed(gateway, sample, days=3, an_hour=20)

    gateway.start()
    first = ask(gateway, key, 1)
    second = ask(gateway, key, 2)

    # About 350 requests are to come, and there is money for 40 large answers: the first request says so already.
    assert "paced by team:support" in second.headers["x-thriftgate-route-reason"]
    assert second.headers["x-thriftgate-model"] == "small"
    assert first.status_code == 200
    assert 0.2 < gateway.budget("team:support")["arrivals_over"] < 0.35


def _seed(gateway: RunningGateway, sample: LedgerRow, *, days: int, an_hour: int) -> None:
    """Requests of earlier days up to now, as if they had been made then; they were free."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    values = msgspec.structs.asdict(msgspec.structs.replace(sample, actual_nano=0))
    rows = []
    for number in range(days * 24 * an_hour):
        at = hour - timedelta(hours=number // an_hour) + timedelta(seconds=number % an_hour)
        rows.append(
            {
                **values,
                "request_id": f"req_old{number}",
                "at_us": int(at.timestamp() * 1e6),
                "seq": -1 - number,
                "schema": SCHEMA,
                "previous_hash": b"",
                "hash": b"",
            }
        )
    engine = open_database(gateway.data_dir / "ledger.db", LEDGER_MIGRATIONS)
    with engine.begin() as connection:
        connection.execute(tables.rows.insert(), rows)
    engine.dispose()
