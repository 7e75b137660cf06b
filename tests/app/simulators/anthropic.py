"""A provider that speaks Anthropic's Messages: strict about what it takes, scripted in what it answers.

A request is checked against the types of the official SDK, so that what the gateway makes of other requests is held to
the vendor's own description. Without a script a model answers with `echo`.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter, ValidationError

from tests.app.provider import Call, Provider, Received, Reply, Step, json_reply, running, stream_reply
from tests.app.simulators.openai import evaluated

_FORMS: Final[dict[bool, TypeAdapter[Any]]] = {
    False: TypeAdapter(MessageCreateParamsNonStreaming),
    True: TypeAdapter(MessageCreateParamsStreaming),
}
REQUEST_ID: Final = "req_of_the_provider"
VERSIONS: Final = ("2023-06-01", "2026-10-21")
"""The newer one knows no sampling parameters, as the types of the SDK."""
COUNTED: Final = 4321
"""What every question for a count is answered."""


class AnthropicProvider(Provider):
    """Answers `POST /v1/messages` and `/v1/messages/count_tokens`. `key` is the only one it takes."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self.takes_anything = False
        """Whether fields that the SDK does not know are taken as well."""

    def reset(self) -> None:
        super().reset()
        self.takes_anything = False

    def take(self, received: Received) -> tuple[Call, Reply]:
        if received.method == "GET":
            return super().take(received)
        refusal = self._refusal(received)
        is_count = received.target.endswith("/count_tokens")
        if refusal is None and not is_count and self._scripts.get(received.model):
            return super().take(received)
        call = Call(received)
        self.calls.append(call)
        if refusal is None and is_count:
            return call, json_reply({"input_tokens": COUNTED}, request_id=REQUEST_ID)
        return call, refusal or echo(received, len(self.calls))

    def _refusal(self, received: Received) -> Reply | None:
        headers = received.headers
        if self._key not in (headers.get("x-api-key"), headers.get("authorization", "").removeprefix("Bearer ")):
            return error_reply(401, "authentication_error", "invalid x-api-key")
        if headers.get("anthropic-version") not in VERSIONS:
            return error_reply(400, "invalid_request_error", "anthropic-version: a valid one is required")
        asked = received.json
        if headers["anthropic-version"] == VERSIONS[0]:
            asked = {name: value for name, value in asked.items() if name not in ("temperature", "top_p", "top_k")}
        wrong = None if self.takes_anything else mistake(asked, has_limit=received.target == "/v1/messages")
        return error_reply(400, "invalid_request_error", wrong) if wrong else None


def running_anthropic(key: str) -> AbstractContextManager[AnthropicProvider]:
    return running(AnthropicProvider(key))


def mistake(body: dict[str, Any], *, has_limit: bool = True) -> str | None:
    """What is wrong with a request; None for a right one."""
    asked = body if has_limit else {"max_tokens": 1, **body}
    try:
        form = evaluated(_FORMS[bool(asked.get("stream"))].validate_python(asked))
    except ValidationError as error:
        return str(error)
    if form != asked:
        return f"not known: {asked} is more than {form}"
    return next(_misplaced(asked["messages"]), None)


def _misplaced(messages: list[dict[str, Any]]) -> Iterator[str]:
    """What the types cannot say: who begins, no empty text, and a result for every tool call at once."""
    if messages[0]["role"] != "user":
        yield "messages.0: the first message must be the user's"
    called: set[str] = set()
    for at, message in enumerate(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not all(block.get("text", "x") for block in blocks if block["type"] == "text"):
            yield f"messages.{at}: text content blocks must be non-empty"
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if results != called:
            yield f"messages.{at}: tool_result blocks for {results}, tool_use ids were {called}"
        called = {block["id"] for block in blocks if block["type"] == "tool_use"}


# --- replies ---------------------------------------------------------------------------------------------------


def usage(input_tokens: int = 12, output_tokens: int = 7, **more: Any) -> dict[str, Any]:
    """The counts of an answer. `more` may have `read`, `short` and `long`: cache reads, and writes for 5 min and an
    hour."""
    read, short, long = (more.pop(name, 0) for name in ("read", "short", "long"))
    return {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": short + long,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": output_tokens,
        "service_tier": "standard",
        **more,
    }


def text(words: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **fields}


def tool_use(known_as: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": known_as, "name": name, "input": arguments}


def thinking(thought: str, signature: str = "c2lnbmVk") -> dict[str, Any]:
    return {"type": "thinking", "thinking": thought, "signature": signature}


def message(*content: dict[str, Any], stop: str = "end_turn", **fields: Any) -> dict[str, Any]:
    """A whole answer."""
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": "claude-scripted-1",
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage(),
    } | fields


def named(kind: str, **fields: Any) -> bytes:
    """One event."""
    payload = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {payload}\n\n".encode()


PING: Final = named("ping")


def events(answer: dict[str, Any], size: int = 5) -> list[bytes]:
    """A whole answer as a stream, in pieces of so many characters."""
    head = {**answer, "content": [], "stop_reason": None, "usage": {**answer["usage"], "output_tokens": 1}}
    found = [named("message_start", message=head), PING]
    for at, block in enumerate(answer["content"]):
        found += _block_events(at, block, size)
    ending = {name: answer[name] for name in ("stop_reason", "stop_sequence", "stop_details") if name in answer}
    totals = ("output_tokens", "output_tokens_details", "server_tool_use")
    counts = {name: answer["usage"][name] for name in totals if name in answer["usage"]}
    return [*found, named("message_delta", delta=ending, usage=counts), named("message_stop")]


def _block_events(at: int, block: dict[str, Any], size: int) -> Iterator[bytes]:
    first, deltas = dict(block), []
    match block["type"]:
        case "text":
            first["text"] = ""
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"], size)]
            if block.get("citations"):
                first["citations"] = []
                deltas += [{"type": "citations_delta", "citation": each} for each in block["citations"]]
        case "thinking":
            first |= {"thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"], size)]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case "tool_use" | "server_tool_use":
            first["input"] = {}
            written = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            fragments = ["", *pieces(written, size)]
            deltas = [{"type": "input_json_delta", "partial_json": fragment} for fragment in fragments]
    yield named("content_block_start", index=at, content_block=first)
    yield from (named("content_block_delta", index=at, delta=delta) for delta in deltas)
    yield named("content_block_stop", index=at)


def pieces(words: str, size: int) -> list[str]:
    return [words[at : at + size] for at in range(0, len(words), size)]


def reply(answer: dict[str, Any], *, streams: bool) -> list[Step]:
    """The answer in the form that was asked for."""
    return stream_reply(events(answer)) if streams else json_reply(answer, request_id=REQUEST_ID)


def error_body(kind: str, said: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": said}, "request_id": REQUEST_ID}


def error_reply(status: int, kind: str, said: str, **headers: str) -> list[Step]:
    return json_reply(error_body(kind, said), status, request_id=REQUEST_ID, **headers)


def echo(received: Received, number: int) -> list[Step]:
    """What a question without a script is answered with: no two calls get the same answer."""
    return reply(message(text(f"Answer {number} of Claude.")), streams=received.streams)
