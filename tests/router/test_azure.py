"""Azure is OpenAI at another address: the same bytes, a path for each deployment, and a key header of its own."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.catalogue import Deployment, Provider
from router.errors import UpstreamError
from router.prices import Priced
from router.protocols import azure, openai
from tests.router.conversations import SCALARS, conversations, declared
from tests.router.samples import AT, quick, request
from tests.router.streams import cuts, events_of, pieces


def deployment(model: str = "gpt", **fields: Any) -> Deployment:
    provider = Provider("cloud", "https://cloud.invalid", protocol="azure", **fields)
    return Deployment(f"cloud/{model}", provider, model, Priced("azure", model))


def test_the_deployment_and_the_version_stand_in_the_path() -> None:
    assert azure.encode(request(), deployment(), None).path == (
        f"/openai/deployments/gpt/chat/completions?api-version={azure.API_VERSION}"
    )
    assert azure.encode(request(), deployment(api_version="2026-01-01-preview"), None).path.endswith(
        "?api-version=2026-01-01-preview"
    )


@quick
@given(st.text(min_size=1, max_size=20).filter(lambda name: name.isprintable()))
def test_no_name_of_a_deployment_leads_anywhere_else(name: str) -> None:
    path, _, query = azure.encode(request(), deployment(name), None).path.partition("?")

    _, openai_, deployments, quoted, *rest = path.split("/")
    assert (openai_, deployments, rest) == ("openai", "deployments", ["chat", "completions"])
    assert unquote(quoted) == name
    assert query == f"api-version={azure.API_VERSION}"


@quick
@given(conversations(), SCALARS, st.booleans())
def test_the_request_is_openais_to_the_byte(
    messages: list[dict[str, Any]], settings: dict[str, Any], streams: bool
) -> None:
    asked = request(messages=messages, tools=declared(messages), stream=streams, **settings)

    theirs, ours = openai.encode(asked, deployment(), 7), azure.encode(asked, deployment(), 7)

    assert (ours.body, ours.headers, ours.dropped) == (theirs.body, theirs.headers, theirs.dropped)


@pytest.mark.parametrize(
    ("credential", "header", "value"),
    [("0a1b2c", "api-key", "0a1b2c"), ("eyJ0.e.f", "authorization", "Bearer eyJ0.e.f"), (None, None, None)],
)
def test_a_key_has_its_own_header_and_a_token_is_carried(credential: Any, header: Any, value: Any) -> None:
    wire = azure.encode(request(), deployment(), None)

    headers = azure.authorised(wire, "https://cloud.invalid" + wire.path, credential, AT)

    found = {name: headers[name] for name in ("api-key", "authorization") if name in headers}
    assert found == ({} if header is None else {header: value})
    assert "0a1b2c" not in wire.path


def chunk(**fields: Any) -> bytes:
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt", "choices": [], **fields}
    return b"data: " + json.dumps(said).encode() + b"\n\n"


def choice(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": finish, **fields}]}


STREAM = b"".join(
    [
        chunk(prompt_filter_results=[{"prompt_index": 0}], model=""),
        chunk(**choice(delta={"role": "assistant", "content": "Hel"})),
        chunk(**choice(delta={"content": "lo"})),
        # What a filter that runs beside the stream says of what came before: a choice without a delta.
        chunk(**choice(content_filter_results={}, content_filter_offsets={"check_offset": 5})),
        chunk(**choice("stop", delta={})),
        chunk(usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        b"data: [DONE]\n\n",
    ]
)


@quick
@given(cuts)
def test_what_filters_add_to_a_stream_passes_however_it_is_cut(places: list[int]) -> None:
    events = events_of(azure.Reader(), *pieces(STREAM, places))

    assert b"".join(event.raw for event in events) == STREAM
    body = openai.body_from_events(events)
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert [event.is_usage_only for event in events].count(True) == 1


def test_a_blocked_prompt_keeps_its_code_and_is_not_asked_elsewhere() -> None:
    error = {"message": "The prompt was filtered.", "type": None, "param": "prompt", "code": "content_filter"}

    failed = azure.parse_error(400, {}, json.dumps({"error": {**error, "innererror": {}}}).encode(), 0.0)

    assert (failed.status, failed.code, failed.param, failed.retryable) == (400, "content_filter", "prompt", False)


@quick
@given(st.binary(max_size=60))
def test_any_answer_is_understood_or_refused_in_our_own_words(payload: bytes) -> None:
    with suppress(UpstreamError):
        assert azure.parse_body(payload).is_last
    with suppress(UpstreamError):
        assert events_of(azure.Reader(), b"data: " + payload + b"\n\n")[-1].is_last
    assert azure.parse_error(500, {}, payload, 0.0).status == 500
