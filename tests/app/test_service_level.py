"""What happens when a team's service level is broken: through the running server."""

from collections.abc import Iterator

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, model, route, scripted
from tests.app.provider import Provider, chat_body, error_reply, json_reply
from tests.running import RunningGateway, eventually, running_gateway

OFF = 'mode = "off"'
CONFIGURATION = (
    model("twice", "first-2025", "second-2025")
    + route("default", cache=OFF, strategy="pinned")
    + route("twice", "twice", cache=OFF)
    + '[teams.strict.service_level]\nerror_rate = 0.1\naction = "throttle"\n'
    + '[teams.hasty.service_level]\np95_ms = 0.001\naction = "faster-model"\n'
)
ENOUGH = 22


@pytest.fixture
def gateway(upstream: Provider, tmp_path: object) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path, scripted(upstream) + CONFIGURATION, ENVIRONMENT) as gateway:  # type: ignore[arg-type]
        yield gateway


def test_when_too_many_requests_fail_development_keys_wait_and_production_is_served(
    gateway: RunningGateway, provider: Provider
) -> None:
    prod, dev = gateway.key(team="strict", env="prod"), gateway.key(team="strict", env="dev")
    provider.script("large-2025", error_reply(400))
    provider.script("medium-2025", json_reply(chat_body("fine")))
    assert gateway.chat(dev, "Before", model="medium").status_code == 200
    for number in range(ENOUGH):
        gateway.chat(prod, f"Question {number}", model="large")

    def refused() -> httpx.Response | None:
        answer = gateway.chat(dev, "After", model="medium")
        return answer if answer.status_code == 429 else None

    refusal = eventually(refused)
    assert refusal is not None
    assert refusal.json()["error"]["code"] == "throttled"
    assert int(refusal.headers["retry-after"]) > 0
    assert gateway.chat(prod, "After", model="medium").status_code == 200
    assert gateway.chat(gateway.key(team="other", env="dev"), "After", model="medium").status_code == 200


def test_when_answers_are_too_slow_auto_takes_the_fastest_and_says_why(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(team="hasty")
    first = gateway.chat(key, "Question", model="auto", headers={"x-thriftgate-conversation": "c"})
    assert first.headers["x-thriftgate-model"] == "large"
    for number in range(ENOUGH):
        gateway.chat(key, f"Question {number}", model="auto")

    def reason() -> str | None:
        said = gateway.chat(key, "After", model="auto").headers["x-thriftgate-route-reason"]
        return said if "service level: p95 is" in said else None

    assert "performance-first" in (eventually(reason) or "")
