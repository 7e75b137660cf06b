"""Feedback through the running gateway: who may give it, and what it changes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider, chat_body, json_reply
from tests.running import RunningGateway, running_gateway

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can I reset my password?"
ANSWER = "Choose “Forgot password” on the sign-in page."
ROUTES = [f"route-{number}" for number in range(12)]
"""One for each test: what a route has learnt would change what the next test sees."""


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    text = scripted(upstream) + "".join(
        route(name, cache='start = "prior"\nmax_wrong_per_hit = 0.2') for name in ROUTES
    )
    with running_gateway(tmp_path_factory.mktemp("feedback"), text, ENVIRONMENT) as gateway:
        yield gateway


class Hit:
    """A semantic hit on a route of its own, and who got it."""

    def __init__(self, gateway: RunningGateway, route: str) -> None:
        self.gateway = gateway
        self.route = route
        self.key = gateway.key(route=route)
        first, second = [gateway.chat(self.key, text, model="large") for text in (QUESTION, PARAPHRASE)]
        assert (first.status_code, second.headers["x-thriftgate-cache"]) == (200, "semantic"), dict(second.headers)
        self.request_id = str(second.headers["x-request-id"])

    def say(self, key: str | None = None, **said: Any) -> httpx.Response:
        return say(self.gateway, key or self.key, {"request_id": self.request_id, **said})

    @property
    def complaints(self) -> int:
        found = self.gateway.admin("GET", "/admin/cache/certificates")[self.route]
        return int(found["certificate"]["complaints"])


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(ROUTES)


@pytest.fixture
def hit(gateway: RunningGateway, provider: Provider, unused: Iterator[str]) -> Hit:
    provider.script("large-2025", *[json_reply(chat_body(ANSWER))] * 3)
    return Hit(gateway, next(unused))


def say(gateway: RunningGateway, key: str, body: bytes | dict[str, Any]) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return gateway.request("POST", "/v1/feedback", content=sent, headers={"authorization": f"Bearer {key}"})


@pytest.mark.parametrize("said", [{"thumb": "down"}, {"score": 0.2}, {"preferred": "Ask the hotline."}])
def test_a_complaint_about_a_semantic_hit_counts_against_its_route(hit: Hit, said: dict[str, Any]) -> None:
    answer = hit.say(**said)

    expected = {"request_id": hit.request_id, "feedback": "wrong", "counted": True}
    assert (answer.status_code, answer.json(), hit.complaints) == (200, expected, 1)


def test_a_complaint_about_one_answer_counts_once(hit: Hit) -> None:
    counted = [hit.say(thumb="down").json()["counted"] for _ in range(3)]
    assert (counted, hit.complaints) == ([True, False, False], 1)


@pytest.mark.parametrize("said", [{"thumb": "up"}, {"score": 0.9}])
def test_praise_is_taken_note_of_and_is_no_evidence(hit: Hit, said: dict[str, Any]) -> None:
    answer = hit.say(**said)
    expected = {"request_id": hit.request_id, "feedback": "right", "counted": False}
    assert (answer.json(), hit.complaints) == (expected, 0)


def test_feedback_on_an_answer_of_a_provider_teaches_the_router(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key()
    miss = gateway.chat(key, "Where is my order ORD-48213?", model="large")
    answer = say(gateway, key, {"request_id": miss.headers["x-request-id"], "thumb": "down"})
    assert (answer.status_code, answer.json()["counted"]) == (200, True)


def test_feedback_may_come_after_a_restart(hit: Hit) -> None:
    hit.gateway.restart()
    assert hit.say(thumb="down").status_code == 200


def test_another_app_of_the_same_team_may_give_feedback(hit: Hit) -> None:
    assert hit.say(hit.gateway.key(app="console", env="dev"), thumb="down").json()["counted"] is True


def test_no_other_team_may_and_it_does_not_learn_that_there_was_a_request(hit: Hit) -> None:
    stranger, made_up = hit.gateway.key(team="sales"), f"req_{'0' * 32}"
    known = openai_error(hit.say(stranger, thumb="down"), 404, "not_found", "request_id")
    said = say(hit.gateway, stranger, {"request_id": made_up, "thumb": "down"})
    unknown = openai_error(said, 404, "not_found", "request_id")
    assert known["message"].replace(hit.request_id, "") == unknown["message"].replace(made_up, "")
    assert hit.complaints == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"{", None),
        (b"[]", None),
        ({}, "request_id"),
        ({"request_id": 5, "thumb": "up"}, "request_id"),
        ({"request_id": "req_1"}, None),
        ({"request_id": "req_1", "thumb": "sideways"}, "thumb"),
        ({"request_id": "req_1", "score": 2}, "score"),
        ({"request_id": "req_1", "score": 1, "thumb": "up"}, None),
        ({"request_id": "req_1", "preferred": ""}, "preferred"),
    ],
)
def test_feedback_that_says_nothing_is_refused(
    gateway: RunningGateway, body: bytes | dict[str, Any], param: str | None
) -> None:
    openai_error(say(gateway, gateway.key(), body), 400, param=param)


def test_feedback_is_counted_and_logged_without_its_text(hit: Hit) -> None:
    name = 'thriftgate_feedback_total{kind="wrong",team="support"}'

    def count() -> float:
        lines = hit.gateway.request("GET", "/metrics").text.splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)

    before = count()
    hit.say(preferred="Ask the zebra hotline.")

    assert count() == before + 1
    line = next(line for line in hit.gateway.log.splitlines() if '"feedback"' in line and hit.request_id in line)
    assert json.loads(line) | {"team": "support", "kind": "wrong", "has_answer": True} == json.loads(line)
    assert "zebra" not in hit.gateway.log
