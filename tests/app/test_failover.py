"""Another attempt, another deployment, another model: everything that may happen before the first byte."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from router.ledger.row import LedgerRow
from tests.app.configuration import ENVIRONMENT, MAX_OUTPUT_TOKENS, budget, model, route
from tests.app.provider import (
    CUT,
    DONE,
    HANG,
    Provider,
    Received,
    Reply,
    chat_body,
    chat_chunk,
    chat_events,
    error_reply,
    event,
    json_reply,
    stream_reply,
    streamed,
    unfinished,
    usage_chunk,
)
from tests.running import RunningGateway, eventually, running_gateway

GOOD = "The second one answers."
CUT_BODY = b"".join(step for step in json_reply(chat_body("Cut.")) if isinstance(step, bytes))[:-9]


def configuration(upstream: Provider, closed_port: int) -> str:
    def provider(name: str, port: int, **settings: Any) -> str:
        lines = [f"{key} = {value}" for key, value in settings.items()]
        url = f'base_url = "http://127.0.0.1:{port}/v1"\npriced_as = "openai"\n'
        return f"[providers.{name}]\n{url}" + "\n".join(lines) + "\n"

    return (
        provider("hasty", upstream.port, retries=0, first_event_timeout_s=0.4)
        + provider("patient", upstream.port, retries=2, first_event_timeout_s=0.4)
        + provider("gone", closed_port, retries=0, connect_timeout_s=1)
        + model("large", "large-a", "large-b", provider="hasty")
        + model("small", "small-a", provider="hasty")
        + model("stubborn", "stubborn-a", "stubborn-b", provider="patient")
        + model("lost", "lost-a", provider="gone")
        + '[[models.lost.deployments]]\nprovider = "hasty"\nmodel = "lost-b"\nlist_price = { input = 1, output = 4 }\n'
        + route("default", "large", "stubborn", "lost", "small", cache="mode = 'off'")
        + route("alone", "large", "small", allow_downgrade=False, cache="mode = 'off'")
        + route("stubborn", "stubborn", cache="mode = 'off'")
        + route("best", "large", "small", strategy="pinned", cache="mode = 'off'")
        + budget("teams.support", 10**12)
    )


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        text = configuration(upstream, bound.getsockname()[1])
        with running_gateway(tmp_path_factory.mktemp("failover"), text, ENVIRONMENT) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture(autouse=True)
def balanced(gateway: RunningGateway) -> Iterator[None]:
    """After every test the budget is what the ledger says, and nothing is reserved; what one test has done to a
    deployment is forgotten before the next."""
    gateway.reset_deployments()
    yield
    eventually(lambda: gateway.budget("team:support")["reserved_nano"] == 0)
    assert gateway.budget("team:support")["spent_nano"] == sum(row.actual_nano or 0 for row in gateway.rows())


def rows_of(gateway: RunningGateway, answer: httpx.Response) -> list[LedgerRow]:
    return gateway.rows(request_id=answer.headers["x-request-id"])


def called(provider: Provider) -> list[str]:
    return [call.received.model for call in provider.calls]


def good(received: Received) -> Reply:
    return stream_reply(streamed([GOOD])) if received.streams else json_reply(chat_body(GOOD))


# What a first attempt may meet, and what its row calls it.
WHOLE: dict[str, tuple[Reply, str]] = {
    "500": (error_reply(500), "UpstreamRejected"),
    "502 that is no json": (json_reply(b"<html>bad gateway</html>", 502), "UpstreamRejected"),
    "503": (error_reply(503), "UpstreamRejected"),
    "429": (error_reply(429), "UpstreamRejected"),
    "401": (error_reply(401), "UpstreamRejected"),
    "403": (error_reply(403), "UpstreamRejected"),
    "408": (error_reply(408), "UpstreamRejected"),
    "error as a success": (json_reply({"error": {"message": "overloaded"}}), "UpstreamRejected"),
    "not json": (json_reply(b'{"choices": ['), "UpstreamMalformed"),
    "not utf-8": (json_reply(b'{"choices": [], "x": "\xff"}'), "UpstreamMalformed"),
    "not an object": (json_reply([]), "UpstreamMalformed"),
    "without choices": (json_reply({"id": "x"}), "UpstreamMalformed"),
    "with no choice": (json_reply({"choices": []}), "UpstreamMalformed"),
    "cut": ([CUT_BODY, CUT], "UpstreamCut"),
    "hung up at once": ([CUT], "UpstreamCut"),
    "silent": ([HANG], "UpstreamTimeout"),
    "silent after the head": ([b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n", HANG], "UpstreamTimeout"),
    "not http": ([b"220 mail.example ESMTP\r\n", CUT], "UpstreamCut"),
}
STREAMED: dict[str, tuple[Reply, str]] = {
    "500": (error_reply(500), "UpstreamRejected"),
    "429": (error_reply(429), "UpstreamRejected"),
    "error event": (stream_reply([event({"error": {"message": "overloaded"}})]), "UpstreamRejected"),
    "not json": (stream_reply([b"data: {not json\n\n"]), "UpstreamMalformed"),
    "no event": (stream_reply([]), "UpstreamCut"),
    "half an event": (unfinished(stream_reply([chat_chunk({"content": "Cut."})[:-9]]), CUT), "UpstreamCut"),
    "silent": ([HANG], "UpstreamTimeout"),
    "silent after the head": (unfinished(stream_reply([]), HANG), "UpstreamTimeout"),
}
MAY_HAVE_COST = ("UpstreamMalformed", "UpstreamCut", "UpstreamTimeout")


@pytest.mark.parametrize(
    ("streams", "reply", "error_class"),
    [pytest.param(False, *case, id=f"json {name}") for name, case in WHOLE.items()]
    + [pytest.param(True, *case, id=f"stream {name}") for name, case in STREAMED.items()],
)
def test_a_deployment_that_fails_before_its_first_event_is_replaced_by_the_next(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool, reply: Reply, error_class: str
) -> None:
    provider.script("large-a", reply)
    provider.script("large-b", good)

    answer = gateway.chat(key, "Who answers?", model="large", stream=streams)

    assert answer.status_code == 200, answer.text
    assert GOOD in answer.text
    assert called(provider) == ["large-a", "large-b"]
    failed, served = rows_of(gateway, answer)
    assert (failed.kind, failed.attempt, failed.status) == ("attempt", 1, "upstream_error")
    assert failed.error_class == error_class
    assert (failed.deployment, failed.served_model) == ("hasty/large-a", "large")
    assert (served.kind, served.attempt, served.status) == ("request", 2, "ok")
    assert (served.deployment, served.served_model) == ("hasty/large-b", "large")
    assert answer.headers["x-thriftgate-model"] == "large"
    # What may have been billed is booked at its worst case; what was not done is booked at nothing.
    if error_class in MAY_HAVE_COST:
        assert (failed.actual_nano, failed.pricing) == (failed.reserved_nano, "unknown")
        assert failed.reserved_nano >= MAX_OUTPUT_TOKENS * 40_000
    else:
        assert failed.actual_nano == 0


def test_a_provider_that_refuses_connections_is_passed_over(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    answer = gateway.chat(key, "Is anybody there?", model="lost")

    assert answer.status_code == 200
    failed, served = rows_of(gateway, answer)
    assert (failed.error_class, failed.actual_nano, served.deployment) == ("UpstreamUnreachable", 0, "hasty/lost-b")


def test_a_redirect_is_not_followed_with_our_key(gateway: RunningGateway, key: str, provider: Provider) -> None:
    elsewhere = f"http://127.0.0.1:{provider.port}/v1/chat/completions"
    provider.script("large-a", json_reply(b"", 307, location=elsewhere))
    provider.script("large-b", good)

    answer = gateway.chat(key, "Follow me?", model="large")

    assert GOOD in answer.text
    assert called(provider) == ["large-a", "large-b"]


def test_a_call_that_was_given_up_is_closed(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("large-a", [HANG])

    gateway.chat(key, "How long do you take?", model="large")

    eventually(lambda: provider.calls_to("large-a")[0].is_hung_up.is_set())


def test_when_all_deployments_fail_the_next_model_serves(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", error_reply(503))

    answer = gateway.chat(key, "Who is left?", model="large", stream=True)

    assert answer.status_code == 200
    assert answer.headers["x-thriftgate-model"] != "large"
    assert "x-thriftgate-rationed" not in answer.headers  # it failed; no budget forced it
    rows = rows_of(gateway, answer)
    assert [row.attempt for row in rows] == list(range(1, len(rows) + 1))
    assert [(row.kind, row.deployment) for row in rows[:2]] == [
        ("attempt", "hasty/large-a"),
        ("attempt", "hasty/large-b"),
    ]
    assert (rows[-1].kind, rows[-1].served_model) == ("request", answer.headers["x-thriftgate-model"])


def test_the_route_reason_says_that_another_model_serves_because_the_wanted_one_failed(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", error_reply(500))

    answer = gateway.chat(gateway.key(route="best"), "Who is left?", model="large")

    assert answer.headers["x-thriftgate-model"] == "small"
    assert answer.headers["x-thriftgate-route-reason"] != "as requested"


def test_a_route_that_allows_no_other_model_says_that_its_own_failed(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", error_reply(500))

    answer = gateway.chat(gateway.key(route="alone"), "Only the large one.", model="large")

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert called(provider) == ["large-a", "large-b"]
    rows = rows_of(gateway, answer)
    assert [(row.kind, row.status) for row in rows] == [
        ("attempt", "upstream_error"),
        ("attempt", "upstream_error"),
        ("request", "upstream_error"),
    ]


def test_auto_goes_on_to_the_next_model(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", error_reply(500))
    provider.script("small-a", good)

    answer = gateway.chat(gateway.key(route="best"), "Whoever can.", model="auto")

    assert answer.headers["x-thriftgate-model"] == "small"
    assert called(provider) == ["large-a", "large-b", "small-a"]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("streams", [False, True])
def test_what_is_wrong_with_the_request_itself_is_not_asked_elsewhere(
    gateway: RunningGateway, key: str, provider: Provider, status: int, streams: bool
) -> None:
    provider.script("large-a", error_reply(status, "The field `x` is odd."))

    answer = gateway.chat(key, "An odd question?", model="large", stream=streams)

    assert answer.status_code == status
    assert answer.json()["error"]["message"] == "The field `x` is odd."
    assert called(provider) == ["large-a"]
    assert [(row.kind, row.actual_nano) for row in rows_of(gateway, answer)] == [("attempt", 0), ("request", 0)]


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (error_reply(429, retry_after="7"), 429, "upstream_rate_limited"),
        (error_reply(503, retry_after="7"), 503, "upstream_unavailable"),
        (error_reply(500), 502, "upstream_failed"),
        ([HANG], 504, "upstream_timeout"),
        ([CUT], 502, "upstream_failed"),
    ],
    ids=["429", "503", "500", "silent", "cut"],
)
def test_when_nobody_is_left_the_client_hears_of_the_last_failure(
    gateway: RunningGateway, provider: Provider, reply: Reply, status: int, code: str
) -> None:
    provider.script("large-a", error_reply(500))
    provider.script("large-b", reply)

    answer = gateway.chat(gateway.key(route="alone"), "Is nobody left?", model="large")

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    if "retry" in str(reply):
        assert int(answer.headers["retry-after"]) >= 7


def test_every_attempt_has_the_providers_own_id_in_its_row_and_the_client_the_last_one(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("large-a", error_reply(500, x_request_id="up-a"))
    provider.script("large-b", error_reply(429, x_request_id="up-b"))

    answer = gateway.chat(gateway.key(route="alone"), "Which call was it?", model="large")

    assert answer.headers["x-thriftgate-upstream-request-id"] == "up-b"
    told = {(row.kind, row.deployment): row.upstream_request_id for row in rows_of(gateway, answer)}
    assert told == {
        ("attempt", "hasty/large-a"): "up-a",
        ("attempt", "hasty/large-b"): "up-b",
        ("request", None): "up-b",
    }


def test_an_answer_after_a_failure_has_its_own_id_and_not_that_of_the_failure(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", error_reply(500, x_request_id="up-a"))
    provider.script("large-b", good)

    answer = gateway.chat(key, "Whose id is this?", model="large")

    assert "x-thriftgate-upstream-request-id" not in answer.headers
    told = {row.kind: row.upstream_request_id for row in rows_of(gateway, answer)}
    assert told == {"attempt": "up-a", "request": None}


def test_what_has_begun_is_never_asked_again(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("stubborn-a", unfinished(stream_reply(chat_events(["Half "])[:-1]), CUT))

    answer = gateway.chat(key, "Begin and fail.", model="stubborn", stream=True)

    assert (answer.status_code, called(provider)) == (200, ["stubborn-a"])
    assert DONE not in answer.content


def test_a_comment_is_not_yet_an_answer(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("large-a", stream_reply([b": processing\n\n", event({"error": {"message": "overloaded"}})]))
    provider.script("large-b", good)

    answer = gateway.chat(key, "Comment, then fail.", model="large", stream=True)

    assert GOOD in answer.text
    assert called(provider) == ["large-a", "large-b"]


# --- again at the same deployment -----------------------------------------------------------------------------


def test_a_failure_that_may_pass_is_tried_again_at_the_same_deployment(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("stubborn-a", error_reply(503), error_reply(429, retry_after="0"), good)

    answer = gateway.chat(key, "Third time lucky?", model="stubborn")

    assert GOOD in answer.text
    assert called(provider) == ["stubborn-a"] * 3
    bodies = {call.received.body for call in provider.calls}
    assert len(bodies) == 1


def test_every_call_upstream_has_a_row(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("stubborn-a", error_reply(503), error_reply(503), good)

    answer = gateway.chat(key, "How often did you try?", model="stubborn")

    assert len(rows_of(gateway, answer)) == len(provider.calls) == 3


@pytest.mark.parametrize(
    "reply",
    [error_reply(429, retry_after="3600"), error_reply(401), [HANG], json_reply(b"{")],
    ids=["a long wait", "our key", "perhaps billed", "perhaps billed too"],
)
def test_a_failure_that_another_attempt_would_not_mend_goes_straight_to_the_next_deployment(
    gateway: RunningGateway, key: str, provider: Provider, reply: Reply
) -> None:
    provider.script("stubborn-a", reply)
    provider.script("stubborn-b", good)

    answer = gateway.chat(key, "Where to now?", model="stubborn")

    assert GOOD in answer.text
    assert called(provider) == ["stubborn-a", "stubborn-b"]


@pytest.mark.parametrize("lost", [[HANG], json_reply(b"{"), [CUT]], ids=["a short hang", "malformed", "cut"])
def test_an_answer_that_got_lost_is_asked_for_again_where_nobody_else_is_left(
    gateway: RunningGateway, provider: Provider, lost: Reply
) -> None:
    provider.script("stubborn-a", error_reply(401))
    provider.script("stubborn-b", lost, good)

    answer = gateway.chat(gateway.key(route="stubborn"), "Once more?", model="stubborn")

    assert GOOD in answer.text
    assert called(provider) == ["stubborn-a", "stubborn-b", "stubborn-b"]
    assert [row.kind for row in rows_of(gateway, answer)] == ["attempt", "attempt", "request"]


def test_an_answer_that_gets_lost_again_and_again_is_asked_for_once_more_and_no_further(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("stubborn-a", [CUT])
    provider.script("stubborn-b", [CUT])

    answer = gateway.chat(gateway.key(route="stubborn"), "Once more?", model="stubborn")

    assert answer.status_code == 502
    assert called(provider) == ["stubborn-a", "stubborn-b", "stubborn-a"]


# --- the client's own patience ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x-thriftgate-timeout-s", "x-stainless-read-timeout"])
@pytest.mark.parametrize("streams", [False, True])
def test_no_attempt_outlives_the_time_that_the_client_gives(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool, name: str
) -> None:
    provider.script("large-a", [HANG])

    answer = gateway.chat(key, "Quickly!", model="large", stream=streams, headers={name: "0.1"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
    assert called(provider) == ["large-a"]


def test_an_impatient_client_does_not_make_a_deployment_look_ill(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", [HANG])
    for _ in range(6):
        gateway.chat(key, "Quickly!", model="large", headers={"x-thriftgate-timeout-s": "0.02"})

    assert gateway.deployment("hasty/large-a")["breaker"] == "closed"


# --- odd answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["inf", "nan", "-5", "1e400", "soon", "Wed, 99 Foo 2025"])
def test_a_retry_after_that_makes_no_sense_does_no_harm(
    gateway: RunningGateway, provider: Provider, value: str
) -> None:
    provider.script("large-a", error_reply(429, retry_after=value))
    provider.script("large-b", error_reply(429, retry_after=value))

    answer = gateway.chat(gateway.key(route="alone"), "When may I come back?", model="large")

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "upstream_rate_limited"
    assert "retry-after" not in answer.headers or int(answer.headers["retry-after"]) >= 0


ODD: dict[str, dict[str, Any]] = {
    "message is a text": {"choices": [{"index": 0, "message": "hi", "finish_reason": "stop"}]},
    "message is missing": {"choices": [{"index": 0, "finish_reason": "stop"}]},
    "content is a number": {"choices": [{"index": 0, "message": {"content": 5}, "finish_reason": "stop"}]},
    "index is a text": {"choices": [{"index": "a", "message": {"content": "hi"}, "finish_reason": "stop"}]},
    "usage is a list": {**chat_body("hi"), "usage": [1, 2]},
    "usage is negative": {**chat_body("hi"), "usage": {"prompt_tokens": -1, "completion_tokens": -1}},
    "usage details are a list": {
        **chat_body("hi"),
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": [1]},
    },
    "usage is astronomic": {**chat_body("hi"), "usage": {"prompt_tokens": 10**30, "completion_tokens": 10**30}},
}


@pytest.fixture(scope="module")
def cached(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[Callable[..., httpx.Response]]:
    """Asks a gateway whose route stores answers."""
    text = (
        f'[providers.plain]\nbase_url = "{upstream.base_url}"\nretries = 0\n'
        + model("large", "large-a", provider="plain")
        + route("default", "large")
    )
    with running_gateway(tmp_path_factory.mktemp("odd"), text) as gateway:
        key = gateway.key()
        yield lambda *args, **fields: gateway.chat(key, *args, model="large", **fields)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("streams", [False, True])
def test_an_answer_of_an_odd_shape_is_passed_on_or_the_providers_failure_and_never_ours(
    cached: Callable[..., httpx.Response], provider: Provider, odd: dict[str, Any], streams: bool
) -> None:
    provider.script("large-a", json_reply(odd))

    answer = cached(f"What is odd about {sorted(odd)} {odd}?", stream=streams)

    assert answer.status_code in (200, 502), answer.text
    assert "internal_error" not in answer.text
    if answer.status_code == 200 and not streams:
        assert answer.json() == odd


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0, "delta": {"content": 5}},
        {"index": 0, "delta": {"content": ["a"]}},
        {"index": 0, "delta": {"tool_calls": "x"}},
        {"index": 0, "delta": {"tool_calls": [{"index": None}]}},
        {"index": 0, "delta": {"role": None}},
        {"index": "b", "delta": {"content": "b"}},
        {"delta": "text"},
        {},
    ],
    ids=str,
)
def test_a_stream_of_an_odd_shape_is_passed_on_or_the_providers_failure_and_never_ours(
    cached: Callable[..., httpx.Response], provider: Provider, choice: dict[str, Any]
) -> None:
    events = [chat_chunk({"content": "a"}), event({"choices": [choice]}), chat_chunk({}, "stop"), usage_chunk(), DONE]
    provider.script("large-a", stream_reply(events))

    answer = cached(f"Stream something odd: {choice}?", stream=True)

    whole = b"".join(events[:3]) + DONE
    assert answer.content == whole or b'"code":"upstream_failed"' in answer.content.removeprefix(events[0])


# --- afterwards ------------------------------------------------------------------------------------------------


def test_after_all_this_the_ledger_verifies(gateway: RunningGateway) -> None:
    assert gateway.verification().problems == []


def test_after_all_this_every_attempt_and_every_request_is_in_the_ledger_once(gateway: RunningGateway) -> None:
    rows = gateway.rows()

    identities = [(row.request_id, row.attempt, row.kind) for row in rows]
    assert len(set(identities)) == len(identities) > 50
    requests = [row.request_id for row in rows if row.kind == "request"]
    assert len(set(requests)) == len(requests) == len({row.request_id for row in rows})
