"""How gateways fail in the field, one test for each: what must not happen here, whatever client API is spoken.

The cells of `test_protocol_matrix.py` hold more of them: odd line ends, calls without arguments, stop sequences,
answers cut off, `Retry-After`, bad requests asked once, keys and addresses in errors.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, SECRET, model, route, scripted
from tests.app.provider import (
    DONE,
    HANG,
    Provider,
    chat_body,
    chat_chunk,
    chat_events,
    error_reply,
    json_reply,
    stream_reply,
    usage,
)
from tests.running import RunningGateway, eventually, running_gateway

HELLO: Any = [{"role": "user", "content": "Hello"}]
SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat completions": ("/v1/chat/completions", {"model": "large", "messages": HELLO}),
    "responses": ("/v1/responses", {"model": "large", "input": "Hello"}),
    "messages": ("/v1/messages", {"model": "large", "max_tokens": 99, "messages": HELLO}),
}
EVERYWHERE = pytest.mark.parametrize(("path", "body"), SURFACES.values(), ids=SURFACES)
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: object
) -> Iterator[RunningGateway]:
    configuration = (
        scripted(upstream, first_event_timeout_s=0.5, idle_timeout_s=0.5)
        + "[providers.scripted.breaker]\nfailure_share = 2\n"
        + model("twice", "first-2025", "second-2025")
        + route("default", "large", "small", "twice", cache='mode = "off"', allow_downgrade=False)
    )
    with running_gateway(tmp_path_factory.mktemp("known"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _nothing_is_left_of_the_test_before(gateway: RunningGateway, provider: Provider) -> None:
    gateway.reset_deployments()


def ask(gateway: RunningGateway, key: str, path: str, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    return gateway.request("POST", path, json=body, headers=headers)


def told(answer: httpx.Response) -> str:
    """What an error says; it has the form of its API, and no secret."""
    body = answer.json()
    assert ("request_id" in body) == answer.request.url.path.endswith("/messages")
    for secret in (SECRET, "127.0.0.1", "Traceback", ".py"):
        assert secret not in answer.text
    return json.dumps(body["error"])


@EVERYWHERE
@STREAMS
def test_a_wrong_key_is_not_authorised(
    gateway: RunningGateway, provider: Provider, path: str, body: dict[str, Any], streams: bool
) -> None:
    answer = ask(gateway, "tg-wrong", path, **body, stream=streams)

    assert answer.status_code == 401
    assert "tg-wrong" not in told(answer)
    assert provider.calls == []


@EVERYWHERE
@STREAMS
def test_an_unknown_model_is_not_found(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool
) -> None:
    answer = ask(gateway, key, path, **{**body, "model": "gpt-0"}, stream=streams)

    assert answer.status_code == 404
    assert "gpt-0" in told(answer)
    assert provider.calls == []


@pytest.mark.parametrize(
    ("surface", "field", "value"),
    [
        *((surface, field, value) for surface in SURFACES for field, value in (("temperature", "hot"), ("model", 7))),
        ("chat completions", "messages", []),
        ("chat completions", "messages", [{"content": "Hello"}]),
        ("chat completions", "n", 0),
        ("chat completions", "max_tokens", -1),
        ("responses", "input", 7),
        ("responses", "input", [{"role": "user", "content": 7}]),
        ("responses", "max_output_tokens", 0),
        ("responses", "messages", HELLO),
        ("messages", "messages", []),
        ("messages", "messages", [{"role": "robot", "content": "Hello"}]),
        ("messages", "max_tokens", None),
        ("messages", "stop_sequences", "END"),
    ],
)
@STREAMS
def test_a_bad_body_is_refused_here_with_the_fields_name(
    gateway: RunningGateway, key: str, provider: Provider, surface: str, field: str, value: Any, streams: bool
) -> None:
    path, body = SURFACES[surface]

    answer = ask(gateway, key, path, **{**body, field: value}, stream=streams)

    assert answer.status_code == 400
    assert field in told(answer)
    assert provider.calls == []


@EVERYWHERE
@STREAMS
def test_what_the_provider_calls_a_bad_request_is_not_asked_elsewhere(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool
) -> None:
    provider.script("first-2025", error_reply(400, "Too many pictures."))
    provider.script("second-2025", error_reply(400, "Too many pictures."))

    answer = ask(gateway, key, path, **{**body, "model": "twice"}, stream=streams)

    assert answer.status_code == 400
    assert "Too many pictures." in told(answer)
    assert len(provider.calls) == 1


@EVERYWHERE
@STREAMS
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_the_provider_says_of_the_request_comes_without_its_address(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool, status: int
) -> None:
    docs = "https://platform.example.com/docs/errors"
    provider.script("large-2025", error_reply(status, f"No such thing at {provider.base_url}/internal: see {docs}"))

    answer = ask(gateway, key, path, **body, stream=streams)

    assert answer.status_code == status
    assert f"No such thing at ***: see {docs}" in told(answer)
    assert str(provider.port) not in answer.text


@EVERYWHERE
@STREAMS
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_every_error_of_a_provider_keeps_the_providers_own_id(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool, status: int
) -> None:
    provider.script("large-2025", error_reply(status, x_request_id="up_1"))

    answer = ask(gateway, key, path, **body, stream=streams)

    assert answer.status_code >= 400
    assert answer.headers["x-thriftgate-upstream-request-id"] == "up_1"
    rows = gateway.rows(request_id=answer.headers["x-request-id"])
    assert {row.kind for row in rows} == {"attempt", "request"}
    assert {row.upstream_request_id for row in rows} == {"up_1"}


@EVERYWHERE
def test_a_stream_that_fails_midway_keeps_the_providers_own_id_in_its_row(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any]
) -> None:
    events = [*chat_events(["Half"])[:2], b'data: {"error": {"message": "Overloaded"}}\n\n']
    provider.script("large-2025", stream_reply(events, x_request_id="up_1"))

    answer = ask(gateway, key, path, **body, stream=True)

    assert answer.headers["x-thriftgate-upstream-request-id"] == "up_1"
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.status, row.upstream_request_id) == ("upstream_error", "up_1")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nonsense", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/messages/batches", 404),
        ("GET", "/v1/messages", 405),
        ("GET", "/v1/models/gpt-0", 404),
    ],
)
def test_what_is_not_served_has_a_request_id_too(
    gateway: RunningGateway, key: str, method: str, path: str, status: int
) -> None:
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}

    answer = gateway.request(method, path, headers=headers)

    assert answer.status_code == status
    request_id = answer.headers["x-request-id"]
    assert request_id.startswith("req_")
    if path.startswith(("/v1/messages", "/v1/models")):  # told in Anthropic's form
        assert answer.json()["request_id"] == answer.headers["request-id"] == request_id


@EVERYWHERE
@STREAMS
def test_a_rate_limit_keeps_its_retry_after_and_every_answer_its_ids(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool
) -> None:
    limited = error_reply(429, "Slow down, org-7.", retry_after="7")
    provider.script("small-2025", limited)
    answer = ask(gateway, key, path, **{**body, "model": "small"}, stream=streams)

    assert (answer.status_code, int(answer.headers["retry-after"]) in range(1, 9)) == (429, True)
    assert "org-7" not in told(answer)
    gateway.row(request_id=answer.headers["x-request-id"], kind="request")

    provider.script("large-2025", json_reply(chat_body("Yes."), x_request_id="up_1"))
    answer = ask(gateway, key, path, **body, stream=streams)
    assert answer.headers["x-thriftgate-upstream-request-id"] == "up_1"
    assert gateway.row(request_id=answer.headers["x-request-id"]).upstream_request_id == "up_1"
    assert ("request-id" in answer.headers) == path.endswith("/messages")


@EVERYWHERE
@pytest.mark.parametrize(
    ("script", "status"),
    [([HANG], 504), (stream_reply([*chat_events(["Half"])[:2], HANG])[:-1], 200)],
    ids=["before the first event", "between two events"],
)
def test_a_streams_time_is_limited_as_an_answers_is(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], script: Any, status: int
) -> None:
    provider.script("large-2025", script)

    answer = ask(gateway, key, path, **body, stream=True)

    assert answer.status_code == status
    assert "did not answer in time" in answer.text
    assert all(ending not in answer.text for ending in ("[DONE]", "message_stop", "response.completed"))
    eventually(lambda: provider.calls[0].is_hung_up.is_set())


@EVERYWHERE
@STREAMS
def test_a_client_that_leaves_before_the_first_byte_ends_the_call(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any], streams: bool
) -> None:
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body("Too late."))])
    content = json.dumps({**body, "stream": streams})
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    with httpx.Client(trust_env=False, timeout=httpx.Timeout(10, read=0.2)) as client, pytest.raises(httpx.ReadTimeout):
        client.post(gateway.url + path, content=content, headers=headers)

    eventually(lambda: provider.calls[0].is_hung_up.is_set())
    assert eventually(lambda: [row for row in gateway.rows() if row.status == "client_closed"])
    gate.open()


@EVERYWHERE
def test_usage_that_a_provider_sends_with_a_choice_is_counted_once(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any]
) -> None:
    """Some providers put the counts into every chunk, or into the one with the finish reason."""
    events = [chat_chunk({"content": word}, usage=usage(12, at)) for at, word in enumerate(("Hel", "lo"), 1)]
    provider.script("large-2025", stream_reply([*events, chat_chunk({}, "stop", usage=usage(12, 7)), DONE]))

    answer = ask(gateway, key, path, **body, stream=True)

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (12, 7, "provider")


@EVERYWHERE
def test_an_aborted_stream_is_billed_from_what_was_seen_and_says_that_it_is_an_estimate(
    gateway: RunningGateway, key: str, provider: Provider, path: str, body: dict[str, Any]
) -> None:
    words = [f"word{number} " for number in range(200)]  # 2 tokens for each, 3 where the number is long
    provider.script("large-2025", stream_reply(chat_events(words)[:-1]))

    answer = ask(gateway, key, path, **body, stream=True)

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.status, row.usage_source) == ("upstream_cut", "estimated")
    assert row.input_tokens == 5
    assert 2 * len(words) <= row.output_tokens <= 3 * len(words) + 1
    assert row.actual_nano == row.input_tokens * 10_000 + row.output_tokens * 40_000
