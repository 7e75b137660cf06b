"""A provider that is down costs clients nothing once its breaker is open, and is used again once it is back."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app.configuration import model, route
from tests.app.provider import (
    CUT,
    HANG,
    Provider,
    chat_body,
    chat_events,
    error_reply,
    json_reply,
    stream_reply,
    unfinished,
)
from tests.running import RunningGateway, eventually, running_gateway

GOOD = json_reply(chat_body("The second one answers."))
FIRST, SECOND = "first/large-a", "second/large-b"


def configuration(upstream: Provider) -> str:
    def provider(name: str, *settings: str) -> str:
        url = f'base_url = "{upstream.base_url}"\npriced_as = "openai"\nretries = 0\nfirst_event_timeout_s = 0.5\n'
        return f"[providers.{name}]\n{url}" + "\n".join(settings) + "\n"

    deployment = '[[models.large.deployments]]\nprovider = "second"\nmodel = "large-b"\n'
    return (
        provider("first", "breaker.least_calls = 3", "breaker.open_s = 0.5")
        + provider("second", "breaker.least_calls = 3", "breaker.open_s = 600")
        + model("large", "large-a", provider="first")
        + deployment
        + model("medium", "medium-a", provider="second")
        + model("small", "small-a", provider="second")
        + route("default", "large", "small", cache="mode = 'off'")
        + route("alone", "large", allow_downgrade=False, cache="mode = 'off'")
        + route("brief", "large", "small", floor="premium", short_answer_mode=True, cache="mode = 'off'")
        + route("floored", "large", "small", floor="premium", cache="mode = 'off'")
    )


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("breaker"), configuration(upstream)) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(gateway: RunningGateway) -> None:
    gateway.reset_deployments()


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key(route="alone")


def called(provider: Provider) -> list[str]:
    return [call.received.model for call in provider.calls]


def broken(gateway: RunningGateway, provider: Provider, key: str, *models: str) -> None:
    """These models fail until their breakers are open; what they were called is forgotten."""
    for name in models:
        provider.script(name, error_reply(500))
    for at in range(3):
        gateway.chat(key, f"Broken {at}?", model="large")
    provider.calls.clear()


def breaker(gateway: RunningGateway, name: str) -> str:
    return str(gateway.deployment(name)["breaker"])


@pytest.mark.parametrize(
    ("streams", "fault"),
    [
        (False, error_reply(500)),
        (False, [CUT]),
        (False, json_reply(b"{")),
        (True, error_reply(503)),
        (True, unfinished(stream_reply([]), HANG)),
    ],
    ids=["500", "cut", "malformed", "503", "silent"],
)
def test_after_a_few_failures_a_provider_is_not_even_tried(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool, fault: list[bytes]
) -> None:
    provider.script("large-a", fault)
    answers = [gateway.chat(key, f"Who answers {at}?", model="large", stream=streams) for at in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 6
    assert called(provider).count("large-b") == 6
    # A probe may fall due while the later ones are on their way.
    assert 3 <= called(provider).count("large-a") <= 4
    assert breaker(gateway, FIRST) in ("open", "half_open")


def test_faults_in_the_middle_of_answers_open_the_breaker_too(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", unfinished(stream_reply(chat_events(["Half "])[:-1]), CUT))
    for at in range(3):
        answer = gateway.chat(key, f"Begin {at}?", model="large", stream=True)
        assert b'"code":"upstream_failed"' in answer.content

    assert gateway.chat(key, "And now?", model="large", stream=True).content.endswith(b"data: [DONE]\n\n")


def test_a_provider_that_is_back_is_used_again_by_itself(gateway: RunningGateway, key: str, provider: Provider) -> None:
    broken(gateway, provider, key, "large-a")
    provider.script("large-a", json_reply(chat_body("I am back.")))

    assert eventually(lambda: "I am back." in gateway.chat(key, "Back?", model="large").text)

    assert breaker(gateway, FIRST) == "closed"
    assert set(called(provider)) == {"large-a", "large-b"}


def test_when_all_are_out_one_of_them_is_tried_before_the_client_is_refused(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    broken(gateway, provider, key, "large-a", "large-b")
    assert breaker(gateway, SECOND) == "open"
    provider.script("large-a", json_reply(chat_body("Just in time.")))

    answer = gateway.chat(key, "Is nobody there?", model="large")

    assert (answer.status_code, called(provider)) == (200, ["large-a"])


def test_when_all_are_out_and_stay_out_clients_get_a_503_that_says_when_to_come_back(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    broken(gateway, provider, key, "large-a", "large-b")
    for name in ("large-a", "large-b"):
        provider.script(name, [HANG])
    connections = [gateway.begin(key, f"I am the probe {at}.", model="large") for at in range(2)]
    eventually(lambda: len(provider.calls) == 2)

    refused = gateway.chat(key, "And I?", model="large")

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert gateway.row(request_id=refused.headers["x-request-id"]).status == "refused"
    for connection in connections:
        connection.close()


def test_the_breaker_is_seen_in_the_metrics_the_status_and_the_log(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    broken(gateway, provider, key, "large-a", "large-b")

    metrics = gateway.request("GET", "/metrics").text

    assert f'thriftgate_breaker_state{{deployment="{SECOND}",state="open"}} 1.0' in metrics
    assert f'thriftgate_breaker_state{{deployment="{SECOND}",state="closed"}} 0.0' in metrics
    assert "open" in gateway.command("status").stdout
    assert "breaker opened" in gateway.log


def test_what_an_operator_resets_is_tried_at_once(gateway: RunningGateway, key: str, provider: Provider) -> None:
    broken(gateway, provider, key, "large-a", "large-b")
    provider.script("large-b", GOOD)
    provider.script("large-a", GOOD)

    gateway.reset_deployments()

    assert gateway.chat(key, "Mended?", model="large").status_code == 200
    assert breaker(gateway, SECOND) == "closed"


def test_with_its_breakers_open_a_cheaper_model_stands_in_and_says_so(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    broken(gateway, provider, key, "large-a", "large-b")

    answer = gateway.chat(gateway.key(), "Whoever can.", model="large")

    assert answer.headers["x-thriftgate-model"] == "small"
    assert "failed" in answer.headers["x-thriftgate-route-reason"]
    assert "x-thriftgate-mode" not in answer.headers
    assert called(provider)[-1] == "small-a"


# --- short-answer mode --------------------------------------------------------------------------------------------


def limits(provider: Provider) -> list[int | None]:
    body = provider.calls[-1].received.json
    return [body.get("max_completion_tokens"), body.get("max_tokens")]


@pytest.mark.parametrize(
    "asked", [{}, {"max_tokens": 1000}, {"max_tokens": 50}], ids=["no limit", "a long one", "less"]
)
@pytest.mark.parametrize("wanted", ["large", "auto"])
def test_in_short_answer_mode_an_economy_model_answers_in_256_tokens_and_says_so(
    gateway: RunningGateway, key: str, provider: Provider, asked: dict[str, int], wanted: str
) -> None:
    broken(gateway, provider, key, "large-a", "large-b")

    answer = gateway.chat(gateway.key(route="brief"), "Briefly?", model=wanted, **asked)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-thriftgate-mode"] == "short-answer"
    assert answer.headers["x-thriftgate-model"] == "small"
    expected = {1000: [None, 256], 50: [None, 50]}.get(asked.get("max_tokens", 0), [256, None])
    assert limits(provider) == expected


def test_while_a_better_model_is_there_nothing_is_shortened(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    answer = gateway.chat(gateway.key(route="brief"), "At length?", model="large")

    assert "x-thriftgate-mode" not in answer.headers
    assert limits(provider) == [None, None]


def test_without_short_answer_mode_the_floor_holds(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", error_reply(500))

    answer: httpx.Response = gateway.chat(gateway.key(route="floored"), "Is nobody left?", model="auto")

    assert (answer.status_code, called(provider)) == (502, ["large-a", "large-b"])
