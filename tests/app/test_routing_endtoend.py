"""How `auto` is served: every control of the router that a configuration promises, through the running server."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import Provider, Received, Reply, chat_body, json_reply
from tests.running import RunningGateway, eventually, running_gateway

OFF = 'mode = "off"'
CLASSES = '[routes.classes.classes]\ncode = ["large"]\n'
WEIGHTS = "[routes.split.weights]\nlarge = 1\nsmall = 3\n"
CONFIGURATION = (
    route("plain", cache=OFF)
    + route("listed", "medium", "large", "small", cache=OFF, strategy="failover-first")
    + route("split", "large", "small", cache=OFF, strategy="weighted")
    + WEIGHTS
    + route("classes", cache=OFF)
    + CLASSES
    + route("curious", cache=OFF, explore_share=0.1)
    + route("measured", cache=OFF, holdout_share=0.1, baseline="large")
    + route("judged", cache=OFF, judge="medium", judge_share=1.0, baseline="large")
    + route("strict", cache=OFF, max_quality_loss=0.05)
    + budget("teams.poor", 10**10, judges_share=0.0)
)
REASONING = "Prove step by step that the sum of two even numbers is even, and derive the general rule."
CODE = "Write a Python function:\n```python\ndef parse(text):\n```\nthat returns a list."
numbers = count()


@pytest.fixture(scope="module")
def gateway(upstream: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("routing")
    with running_gateway(folder, scripted(upstream) + CONFIGURATION, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture
def untaught(upstream: Provider, tmp_path: Path) -> Iterator[RunningGateway]:
    """What a gateway has learned holds for all its routes, so this one is for a single test."""
    with running_gateway(tmp_path, scripted(upstream) + CONFIGURATION, ENVIRONMENT) as gateway:
        yield gateway


def ask(gateway: RunningGateway, key: str, text: str | None = None, **headers: str) -> httpx.Response:
    """Asks `auto` in a conversation of its own, unless a header names one."""
    named = {"x-thriftgate-conversation": f"c{next(numbers)}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    answer = gateway.chat(key, text or f"What is the delivery time? {next(numbers)}", model="auto", headers=named)
    assert answer.status_code == 200, answer.text
    return answer


def served(answer: httpx.Response) -> str:
    return answer.headers["x-thriftgate-model"]


# --- strategies ----------------------------------------------------------------------------------------------------


def test_failover_first_serves_the_first_model_of_the_route(gateway: RunningGateway, provider: Provider) -> None:
    assert served(ask(gateway, gateway.key(route="listed"))) == "medium"


def test_a_weighted_split_keeps_to_its_parts_and_to_the_conversation(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(route="split")
    found = Counter(served(ask(gateway, key)) for _ in range(120))

    assert set(found) == {"large", "small"}
    assert 70 <= found["small"] <= 108
    assert len({served(ask(gateway, key, x_thriftgate_conversation="one")) for _ in range(10)}) == 1


def test_a_class_of_work_goes_to_the_models_that_the_route_allows_for_it(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(route="classes")

    assert served(ask(gateway, key, CODE)) == "large"
    assert served(ask(gateway, key)) == "small"


# --- conversations -------------------------------------------------------------------------------------------------


def test_a_conversation_keeps_its_model_when_an_easy_turn_follows_a_hard_one(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(route="classes")
    first = ask(gateway, key, CODE, x_thriftgate_conversation="pair programming")
    second = ask(gateway, key, "Thanks! What is the delivery time?", x_thriftgate_conversation="pair programming")

    assert (served(first), served(second)) == ("large", "large")
    assert second.headers["x-thriftgate-route-reason"].endswith("kept for the conversation")


# --- chance ------------------------------------------------------------------------------------------------------


def test_exploring_is_told_and_its_probability_is_in_the_row(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(route="curious")
    answers = [ask(gateway, key) for _ in range(120)]

    explored = [answer for answer in answers if answer.headers["x-thriftgate-route-reason"].startswith("explored")]
    assert explored
    row = gateway.row(request_id=explored[0].headers["x-request-id"])
    assert json.loads(row.routing or "")["propensity"] == 0.05
    assert served(explored[0]) in ("large", "medium")


def test_held_out_conversations_get_the_baseline_and_the_report_measures_the_difference(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(route="measured", team="measured")
    answers = [ask(gateway, key) for _ in range(150)]

    held_out = [answer for answer in answers if answer.headers["x-thriftgate-route-reason"].startswith("holdout")]
    assert 0 < len(held_out) < 40
    assert {served(answer) for answer in held_out} == {"large"}
    told = json.loads(gateway.command("report", "holdout", "--team", "measured", "--json").stdout)
    assert told["held_out"]["requests"] == len(held_out)
    assert told["routed"]["requests"] == len(answers) - len(held_out)
    assert "held out" in gateway.command("report", "savings", "--team", "measured").stdout


# --- another configuration -----------------------------------------------------------------------------------------


def test_a_replay_says_what_another_configuration_would_have_cost(
    gateway: RunningGateway, provider: Provider, upstream: Provider, tmp_path: Path
) -> None:
    cheaper = served(ask(gateway, gateway.key(route="plain")))  # which one depends on what was asked before
    other = tmp_path / "other.toml"
    other.write_text(scripted(upstream) + route("plain", cache=OFF, strategy="pinned"), encoding="utf-8")

    found = gateway.command("replay", "--config", str(other), "--json")

    assert found.returncode == 0, found.stderr
    (compared,) = json.loads(found.stdout)["routing"]
    assert compared["recorded"]["served"] == {cheaper: 1}
    assert compared["replayed"]["served"] == {"large": 1}
    assert compared["replayed"]["cost_nano"] > compared["recorded"]["cost_nano"]


# --- the judge -----------------------------------------------------------------------------------------------------


def judging(preferred: str) -> Any:
    """A judge that prefers the answer with this text, wherever it stands; other questions get a plain answer."""

    def reply(received: Received) -> Reply:
        if "You compare two answers" not in received.body.decode():
            return json_reply(chat_body("medium says"))
        material = json.loads(received.text)
        word = "A" if material["A"] == preferred else "B"
        return json_reply(chat_body(json.dumps({"better": word})))

    return reply


def test_a_sampled_answer_is_judged_against_the_baselines_in_both_orders_and_booked(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("small-2025", json_reply(chat_body("a poor answer")))
    provider.script("large-2025", json_reply(chat_body("a good answer")))
    provider.script("medium-2025", judging("a good answer"))
    answer = ask(gateway, gateway.key(route="judged"))
    assert served(answer) == "small"

    asked = answer.headers["x-request-id"]
    rows = eventually(lambda: len(found := gateway.rows(kind="judge", refers_to=asked)) == 4 and found)

    verdict = next(row for row in rows if row.verdict is not None)
    assert (verdict.verdict, verdict.score, verdict.actual_nano) == ("worse", 0.0, 0)
    calls = [row for row in rows if row.verdict is None]
    assert sorted(row.served_model or "" for row in calls) == ["large", "medium", "medium"]
    assert all(row.overhead_nano == row.actual_nano != 0 for row in calls)
    orders = [json.loads(call.received.text) for call in provider.calls_to("medium-2025")]
    assert [(each["A"], each["B"]) for each in orders] == [
        ("a poor answer", "a good answer"),
        ("a good answer", "a poor answer"),
    ]
    assert not gateway.verification().problems


def test_a_judge_that_contradicts_itself_teaches_nothing(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("medium-2025", json_reply(chat_body('{"better": "A"}')))
    answer = ask(gateway, gateway.key(route="judged"))

    asked = answer.headers["x-request-id"]
    rows = eventually(lambda: len(found := gateway.rows(kind="judge", refers_to=asked)) == 3 and found)
    assert all(row.score is None for row in rows)


def test_judges_spend_no_more_than_their_part_of_the_budget(gateway: RunningGateway, provider: Provider) -> None:
    answer = ask(gateway, gateway.key(team="poor", route="judged"))

    asked = answer.headers["x-request-id"]
    (row,) = eventually(lambda: gateway.rows(kind="judge", refers_to=asked))
    assert (row.status, row.error_class, row.actual_nano) == ("refused", "BudgetExceeded", 0)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ('judge = "nobody"', "routes.plain.judge"),
        ("weights = { large = 1 }", "routes.plain.weights"),
        ('classes = { code = ["unheard"] }', "routes.plain"),
        ('classes = { poetry = ["large"] }', "routes.plain.classes"),
        ("explore_share = 0.5", "routes.plain.explore_share"),
        ("holdout_share = -0.1", "routes.plain.holdout_share"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    gateway: RunningGateway, upstream: Provider, tmp_path: Path, settings: str, place: str
) -> None:
    file = tmp_path / "wrong.toml"
    names = ", ".join(f'"{name}"' for name in ("large", "medium", "small"))
    file.write_text(scripted(upstream) + f"[routes.plain]\nmodels = [{names}]\n{settings}\n", encoding="utf-8")

    found = gateway.command("--config", str(file), "check")

    assert found.returncode == 2
    assert place in found.stdout + found.stderr


# --- learning -------------------------------------------------------------------------------------------------------


def test_feedback_changes_who_serves_and_is_in_the_ledger(untaught: RunningGateway, provider: Provider) -> None:
    gateway, key = untaught, untaught.key(route="strict")
    favourite = served(ask(gateway, key))
    for _ in range(30):
        answer = ask(gateway, key)
        if served(answer) != favourite:
            break
        said = gateway.request(
            "POST",
            "/v1/feedback",
            headers={"authorization": f"Bearer {key}"},
            json={"request_id": answer.headers["x-request-id"], "score": 0.0},
        )
        assert said.json()["counted"] is True

    assert served(ask(gateway, key)) != favourite
    rows = gateway.rows(kind="feedback")
    assert {row.score for row in rows} == {0.0}
    assert all(row.refers_to for row in rows)
    assert not gateway.verification().problems
