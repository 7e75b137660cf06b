"""A refusal names what the client wrote: the path in its own request, whatever the canonical form calls it."""

import json
from typing import Any

import pytest

from router.catalogue import Deployment, Provider
from router.chat import ChatRequest
from router.errors import RequestInvalid
from router.prices import Priced
from router.protocols import wire_format
from router.protocols.fields import as_sent, client_path
from router.surfaces import anthropic, openai, responses

WEB = {"type": "url", "url": "https://pictures.invalid/a.png"}
BROKEN = {"type": "base64", "media_type": "image/png", "data": "%"}
TEXT = {"type": "text", "text": "x"}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def messages(*turns: Any, **fields: Any) -> ChatRequest:
    """An Anthropic client's request; turns alternate, the user begins."""
    roles = ("user", "assistant")
    written = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    body = {"model": "m", "max_tokens": 9, "messages": written} | fields
    return anthropic.decode_request(json.dumps(body).encode(), {})


def inputs(*items: Any, **fields: Any) -> ChatRequest:
    body = {"model": "m", "input": list(items)} | fields
    return responses.decode_request(json.dumps(body).encode(), {})


def refusal(request: ChatRequest, protocol: str) -> RequestInvalid:
    provider = Provider("here", "http://here.invalid", protocol=protocol, region="eu-west-1")
    with pytest.raises(RequestInvalid) as refused:
        wire_format(protocol).encode(request, Deployment("here/m", provider, "m", Priced("none", "m")), None)
    return as_sent(refused.value, request)


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (messages([TEXT, {"type": "image", "source": WEB}]), "messages[0].content[1].source"),
        (messages([TEXT, {"type": "image", "source": BROKEN}]), "messages[0].content[1].source"),
        # The system prompt is a message of its own in the canonical form.
        (messages([{"type": "image", "source": WEB}], system="Be kind."), "messages[0].content[0].source"),
        # So is the result of a tool, and what follows it in the same turn.
        (
            messages("x", [USE], [RESULT, TEXT, {"type": "image", "source": WEB}], tools=[TOOL]),
            "messages[2].content[2].source",
        ),
        (
            messages("x", [USE], [{**RESULT, "content": [TEXT, {"type": "image", "source": WEB}]}], tools=[TOOL]),
            "messages[2].content[0].content[1].source",
        ),
        (messages([{"type": "document", "source": WEB}]), "messages[0].content[0].source"),
        # What Anthropic alone has is kept under the client's name, and is not renamed once more.
        (messages([TEXT, {"type": "search_result", "title": "x"}], system="Be kind."), "messages[0].content[1]"),
    ],
)
def test_an_anthropic_client_is_told_of_its_own_blocks(request_: ChatRequest, path: str) -> None:
    said = refusal(request_, "bedrock")

    assert said.param == path
    assert "image_url" not in str(said)


@pytest.mark.parametrize("protocol", ["openai", "azure"])
@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (messages([{"type": "document", "source": WEB}]), "messages[0].content[0].source"),
        (
            messages([{"type": "document", "source": {**BROKEN, "media_type": "text/csv", "data": "YSxi"}}]),
            "messages[0].content[0].source",
        ),
        (
            messages("x", [USE], [{**RESULT, "content": [{"type": "document", "source": WEB}]}], tools=[TOOL]),
            "messages[2].content[0].content[0].source",
        ),
        (
            inputs({"role": "user", "content": [TEXT, {"type": "input_file", "file_url": WEB["url"]}]}),
            "input[0].content[1].file_url",
        ),
    ],
)
def test_a_client_is_told_of_its_own_document_that_no_chat_takes(
    protocol: str, request_: ChatRequest, path: str
) -> None:
    assert refusal(request_, protocol).param == path


IMAGE = {"type": "input_image", "image_url": "https://pictures.invalid/a.png"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "x"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def said_by_user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "input_text", "text": "x"}, *parts]}


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (inputs(said_by_user(IMAGE)), "input[0].content[1].image_url"),
        (inputs(said_by_user(IMAGE), instructions="Be kind."), "input[0].content[1].image_url"),
        (inputs(said_by_user(), CALL, OUTPUT, said_by_user(IMAGE), tools=[FUNCTION]), "input[3].content[1].image_url"),
        (
            inputs(said_by_user(), CALL, {**OUTPUT, "output": [IMAGE]}, tools=[FUNCTION]),
            "input[2].output[0].image_url",
        ),
        (
            inputs(said_by_user({"type": "input_file", "file_url": "https://x.invalid/a.pdf"})),
            "input[0].content[1].file_url",
        ),
        (inputs(said_by_user({"type": "input_file", "file_id": "file-1"})), "input[0].content[1].file_id"),
        (inputs(said_by_user(), CALL, {**CALL, "arguments": "[1"}, tools=[FUNCTION]), "input[2].arguments"),
        (inputs(said_by_user(), text={"format": {"type": "grammar"}}), "text.format"),
    ],
)
def test_a_client_of_responses_is_told_of_its_own_items(request_: ChatRequest, path: str) -> None:
    said = refusal(request_, "bedrock")

    assert said.param == path
    assert "messages[" not in str(said)


def test_a_client_of_chats_is_told_what_the_canonical_form_says() -> None:
    picture = {"type": "image_url", "image_url": {"url": WEB["url"]}}
    body = {"model": "m", "messages": [{"role": "user", "content": [picture]}]}

    said = refusal(openai.decode_request(json.dumps(body).encode(), {}), "bedrock")

    assert said.param == "messages[0].content[0].image_url.url"


@pytest.mark.parametrize(
    ("ours", "of_messages", "of_responses"),
    [
        ("stop", "stop_sequences", "stop"),
        ("parallel_tool_calls", "tool_choice.disable_parallel_tool_use", "parallel_tool_calls"),
        ("reasoning_effort", "output_config.effort", "reasoning.effort"),
        ("response_format.json_schema.schema", "output_config.format.schema", "text.format.json_schema.schema"),
        ("tools[2].function.parameters", "tools[2].input_schema", "tools[2].parameters"),
        ("tools[].function.strict", "tools[].strict", "tools[].strict"),
        ("max_completion_tokens", "max_tokens", "max_output_tokens"),
        ("messages[].content[].image_url.detail", "messages[].content[]", "input[].content[].detail"),
        ("messages[].reasoning_content", "messages[].thinking", "input[].reasoning"),
        ("temperature", "temperature", "temperature"),
        ("messages", "messages", "messages"),
        ("messages[9].content", "messages[9].content", "messages[9].content"),
    ],
)
def test_fields_have_the_names_of_the_clients_dialect(ours: str, of_messages: str, of_responses: str) -> None:
    assert client_path(ours, messages("x")) == of_messages
    assert client_path(ours, inputs(said_by_user())) == of_responses
