"""Every surface before every protocol, with requests that were right until somebody dropped or spoilt something: a
request on its way, or a refusal that names a field, in the client's own words. Never anything else."""

import copy
import json
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import own_tools
from router.catalogue import Deployment, Provider
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.experience import conversation_of
from router.prices import Priced
from router.protocols import spoken, wire_format
from router.protocols.fields import as_sent, client_path
from router.surfaces import anthropic, openai, responses
from router.surfaces.surface import Failure, Surface

PNG: Final = "data:image/png;base64,iVBORw0KGgo="
SCHEMA: Final = {"type": "object", "properties": {"id": {"type": "integer"}}}
MARK: Final = {"type": "ephemeral", "ttl": "1h"}
SPOKEN: Final = {"modalities": ["text", "audio"], "audio": {"voice": "Kore", "format": "pcm16"}}

CHAT: Final[dict[str, Any]] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be kind."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "é\u2028", "cache_control": MARK},
                {"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Hm.",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        {"role": "user", "content": "Well?", "name": "jo"},
    ],
    "tools": [{"type": "function", "function": {"name": "find", "parameters": SCHEMA, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "find"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "reasoning_effort": "low",
    "stop": ["END"],
    "temperature": 0.5,
    "max_completion_tokens": 99,
    "metadata": {"a": "b"},
    "user": "u",
    **SPOKEN,
}
MESSAGES: Final[dict[str, Any]] = {
    "model": "m",
    "max_tokens": 99,
    "system": [{"type": "text", "text": "Be kind.", "cache_control": MARK}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "é\u2028", "cache_control": MARK},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                {"type": "document", "source": {"type": "url", "url": "https://x.invalid/a.pdf"}, "title": "a"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "find", "input": {"id": 7}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "found"}]},
                {"type": "text", "text": "Well?"},
            ],
        },
    ],
    "tools": [{"name": "find", "input_schema": SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low"},
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u"},
    "stream": True,
}
RESPONSES: Final[dict[str, Any]] = {
    "model": "m",
    "instructions": "Be kind.",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "é\u2028"},
                {"type": "input_image", "image_url": PNG, "detail": "auto"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
            ],
        },
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"id": 7}'},
        {"type": "function_call_output", "call_id": "c1", "output": "found"},
        {"role": "user", "content": "Well?"},
    ],
    "tools": [{"type": "function", "name": "find", "parameters": SCHEMA}, {"type": "web_search"}],
    "tool_choice": "auto",
    "text": {"format": {"type": "json_object"}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 99,
    "max_tool_calls": 3,
    "include": ["message.output_text.logprobs"],
    "metadata": {},
    "stream": True,
}
CLIENTS: Final[dict[str, tuple[Surface, dict[str, Any]]]] = {
    "chats": (openai, CHAT),
    "messages": (anthropic, MESSAGES),
    "responses": (responses, RESPONSES),
}
EVERY: Final = pytest.mark.parametrize("client", CLIENTS)
PROTOCOLS: Final = ("openai", "azure", "anthropic", "gemini", "bedrock", "ollama")
HOSTILE: Final[tuple[Any, ...]] = (
    None, True, -1, 0, 2**31, 2**64, 10**400, 1e308, -0.0, "", "x", "\x00", "\u2028", "\ud800", "data:",
    "data:x;base64,%",
    "https://x.invalid/a.png", "s3://b/a.mp3", [], {}, [None], [[]], [{}], [{"type": "x"}], {"type": None},
    {"type": "x"}, {"url": None}, {"type": "url"}, {"type": "file", "file_id": "f"}, {"type": "enabled"},
)  # fmt: skip


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def sent(surface: Surface, body: bytes) -> None:
    """Whatever becomes of a request on its way to each protocol."""
    try:
        request = surface.decode_request(body, {})
    except RequestInvalid as refused:
        _told(surface, refused)
        return
    own_tools.allowed(request.mapping)
    assert request.input_bound(1_000) >= 0
    conversation_of("key", None, request.messages)
    for protocol in PROTOCOLS:
        _encoded(surface, request, protocol)


def _encoded(surface: Surface, request: ChatRequest, protocol: str) -> None:
    provider = Provider("here", "http://here.invalid", protocol=protocol, region="eu-west-1", responses=True)
    deployment = Deployment("here/m", provider, "claude-m", Priced("none", "m"))
    for known_as in {protocol, spoken(provider, request.dialect)}:
        try:
            wire = wire_format(known_as).encode(request, deployment, None)
        except RequestInvalid as refused:
            _told(surface, as_sent(refused, request))
            continue
        json.loads(wire.body)
        assert all(isinstance(client_path(path, request), str) for path in wire.dropped)


def _told(surface: Surface, refused: RequestInvalid) -> None:
    failure = Failure(400, "invalid_request_error", None, str(refused), refused.param, "req_1")
    json.loads(surface.failure_body(failure))


@EVERY
def test_a_right_request_goes_wherever_it_has_a_form(client: str) -> None:
    surface, body = CLIENTS[client]

    sent(surface, encoded(body))


numbers = st.integers(0, 60)


def spoilt(body: dict[str, Any], places: list[int], value: Any, *, drops: bool) -> None:
    """Something deep in it is another value, or is not there."""
    within: Any = body
    for turn, place in enumerate(places):
        names: list[Any] = list(within) if isinstance(within, dict) else list(range(len(within)))
        if not names:
            return
        name = names[place % len(names)]
        if turn == len(places) - 1 or not isinstance(within[name], dict | list):
            if drops:
                del within[name]
            else:
                within[name] = copy.deepcopy(value)
            return
        within = within[name]


changes = st.lists(
    st.tuples(st.lists(numbers, min_size=1, max_size=6), st.sampled_from(HOSTILE), st.booleans()),
    min_size=1,
    max_size=3,
)


@EVERY
@settings(deadline=None, max_examples=300)
@given(changes)
def test_a_spoilt_request_is_on_its_way_or_a_field_is_named(
    client: str, changes: list[tuple[list[int], Any, bool]]
) -> None:
    surface, right = CLIENTS[client]
    body = copy.deepcopy(right)
    for places, value, drops in changes:
        spoilt(body, places, value, drops=drops)

    sent(surface, encoded(body))


@EVERY
@settings(deadline=None, max_examples=100)
@given(st.integers(0, 5_000), st.binary(max_size=6), st.integers(0, 8))
def test_bytes_that_were_changed_on_the_way_are_a_request_or_a_named_mistake(
    client: str, at: int, junk: bytes, length: int
) -> None:
    surface, right = CLIENTS[client]
    body = encoded(right)
    place = at % len(body)

    sent(surface, body[:place] + junk + body[place + length :])


@EVERY
@settings(deadline=None, max_examples=60)
@given(st.lists(numbers, min_size=1, max_size=6), st.integers(100, 20_000))
def test_what_is_nested_without_end_is_a_named_mistake(client: str, places: list[int], depth: int) -> None:
    surface, right = CLIENTS[client]
    body = copy.deepcopy(right)
    spoilt(body, places, "NESTED", drops=False)

    sent(surface, encoded(body).replace(b'"NESTED"', b"[" * depth + b"]" * depth))
