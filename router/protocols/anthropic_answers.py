"""Anthropic's Messages protocol: what a provider answers. Whole messages, streamed events, usage and errors.

Every event keeps its bytes for clients of the same dialect, and carries what it says in canonical form beside them.
Wire facts: Claude API reference, "Create a Message", "Streaming Messages", "Errors", "Prompt caching".
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from msgspec import Struct

from router import own_tools
from router.chat import ChatEvent
from router.errors import UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols.canonical import usage_payload
from router.protocols.wire import checked, count, decoded_object, object_or_none, rejection, retry_after_s, text_of
from router.sse import Blocks, block_data, named_block
from router.usage import Usage

DIALECT: Final = "anthropic"
STREAM_TYPE: Final = "text/event-stream"
STOP: Final = named_block("message_stop", b'{"type":"message_stop"}')

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""A reason that is not here stays as it is."""

JSON_TOOL: Final[dict[str, Any]] = {
    "name": "json_object",
    "description": "Takes the answer, which is one JSON object.",
    "input_schema": {"type": "object", "additionalProperties": True},
}
"""The tool whose input is the answer where any JSON object was asked for; its calls are read as text."""

Payload = dict[str, Any]


# --- usage ---------------------------------------------------------------------------------------------------


def parse_usage(payload: Any) -> Usage | None:
    """Disjoint buckets: Anthropic counts input, cache reads and cache writes apart, and thinking inside the output;
    beside them what its own tools did. None where the payload holds no usable counts."""
    if not isinstance(payload, dict):
        return None
    uncached, output = count(payload.get("input_tokens")), count(payload.get("output_tokens"))
    if uncached is None or output is None:
        return None
    short, long = _writes(payload)
    return Usage(
        input=uncached,
        cache_read=count(payload.get("cache_read_input_tokens")) or 0,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output,
        reasoning=min(_within(payload, "output_tokens_details", "thinking_tokens") or 0, output),
        tools=own_tools.in_server_tool_use(payload.get("server_tool_use")),
    )


def _writes(payload: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens written to the cache for 5 minutes and for an hour. A total that grew beyond its parts, as in the last
    event of a stream, grew by the dearer kind if there is any of it."""
    short = _within(payload, "cache_creation", "ephemeral_5m_input_tokens") or 0
    long = _within(payload, "cache_creation", "ephemeral_1h_input_tokens") or 0
    total = count(payload.get("cache_creation_input_tokens"))
    if total is None:
        return short, long
    if not long:
        return total, 0
    return min(short, total), total - min(short, total)


def _within(payload: Mapping[str, Any], group: str, name: str) -> int | None:
    details = payload.get(group)
    return count(details.get(name)) if isinstance(details, dict) else None


def canonical_usage(usage: Usage) -> Payload:
    """The counts as OpenAI writes them, and what was written for an hour, which costs more."""
    payload = usage_payload(usage)
    if usage.cache_write_1h:
        payload["prompt_tokens_details"]["cache_write_1h_tokens"] = usage.cache_write_1h
    if usage.tools:
        payload["server_tool_use"] = own_tools.as_server_tool_use(usage.tools)
    return payload


# --- errors ----------------------------------------------------------------------------------------------------

_STATUS_BY_TYPE: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ABOUT_OUR_ACCOUNT: Final = re.compile(r"credit balance|spend(?:ing)? limit|usage limit|billing", re.I)
"""A used up account is answered 400 as well ("Errors"); that is not about the caller's request."""


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """The provider's refusal as ours. Its message is kept only where it speaks of the caller's request."""
    return _rejection(status, (object_or_none(body) or {}).get("error"), retry_after_s(headers, now_s))


def _rejection(status: int | None, said: Any, retry_after: float | None) -> UpstreamRejected:
    """Without a status of its own, as in the middle of a stream, the error's type tells it."""
    kind, message = text_of(said, "type"), text_of(said, "message")
    if status is None:
        status = _STATUS_BY_TYPE.get(kind or "", 500)
    if status == 400 and message and _ABOUT_OUR_ACCOUNT.search(message):
        status = 402
    return rejection(status, message, error_type=kind, retry_after=retry_after)


# --- whole answers ---------------------------------------------------------------------------------------------


class _Delta(Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None


class _Block(Struct):
    """The fields of a content block that we look into; each kind has some of them."""

    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: Any = None
    citations: list[Any] | None = None


class _Message(_Delta):
    content: list[dict[str, Any]] = []
    id: str | None = None
    model: str | None = None


class _WholeMessage(Struct):
    content: list[dict[str, Any]]


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
    data = _decoded(body)
    checked(data, _WholeMessage)
    usage = parse_usage(data.get("usage"))
    return ChatEvent(kind="body", raw=body, data=canonical_body(data, usage), usage=usage, dialect=DIALECT)


def _decoded(payload: bytes) -> Payload:
    data = decoded_object(payload)
    if data.get("type") == "error":
        raise _rejection(None, data.get("error"), None)
    return data


def canonical_body(data: Mapping[str, Any], usage: Usage | None) -> Payload:
    """A Message as a chat completion. Raises UpstreamMalformed."""
    message = checked(data, _Message)
    answer: Payload = {"role": "assistant", "content": None}
    for block in message.content:
        _add(answer, block, checked(block, _Block))
    choice = {"index": 0, "message": answer, "logprobs": None, **_ended(message, answer)}
    return {
        "id": message.id or "",
        "object": "chat.completion",
        "created": 0,
        "model": message.model or "",
        "choices": [choice],
        "usage": canonical_usage(usage) if usage is not None else None,
    }


def _add(answer: Payload, raw: Payload, block: _Block) -> None:
    """Adds a content block to the canonical message."""
    match block.type:
        case "text":
            answer["content"] = (answer["content"] or "") + block.text
            if block.citations:
                answer.setdefault("unconverted", []).extend(block.citations)
        case "thinking":
            answer["reasoning_content"] = answer.get("reasoning_content", "") + block.thinking
            answer.setdefault("thinking_blocks", []).append(raw)
        case "redacted_thinking":
            answer.setdefault("thinking_blocks", []).append(raw)
        case "tool_use" if block.name == JSON_TOOL["name"]:
            answer["content"] = (answer["content"] or "") + _arguments(block.input)
        case "tool_use":
            answer.setdefault("tool_calls", []).append(_call(block, _arguments(block.input)))
        case _:
            answer.setdefault("unconverted", []).append(raw)


def _call(block: _Block, arguments: str) -> Payload:
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": arguments}}


def _arguments(value: Any) -> str:
    return msgspec.json.encode(value or {}).decode()


def _ended(delta: _Delta, said: Payload) -> Payload:
    """How the answer ended. Changes `said`: a refusal is explained in the message."""
    reason = delta.stop_reason
    if reason == "refusal" and (why := text_of(delta.stop_details, "explanation")):
        said["refusal"] = why
    is_json = reason == "tool_use" and not said.get("tool_calls") and said.get("content") is not None
    finish = "stop" if is_json else FINISH_REASONS.get(reason, reason) if reason is not None else None
    return {"finish_reason": finish} | ({"stop_reason": delta.stop_sequence} if delta.stop_sequence is not None else {})


# --- streams -----------------------------------------------------------------------------------------------------


class _Start(Struct):
    message: dict[str, Any]


class _BlockStart(Struct):
    index: int
    content_block: dict[str, Any]


class _BlockDelta(Struct):
    index: int
    delta: "_Piece"


class _Piece(Struct):
    type: str
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    citation: Any = None


class _BlockStop(Struct):
    index: int


class _MessageDelta(Struct):
    delta: _Delta
    usage: dict[str, Any] | None = None


class _Open(Struct):
    """A content block under way."""

    block: _Block
    raw: Payload
    call: int | None = None
    """Which of the answer's tool calls it is."""
    has_arguments: bool = False


class Reader:
    """A stream's events. The usage comes with the event that tells why the answer ended. A stream that ends after
    that without `message_stop` gets its end from us; one that ends before is cut."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._shared: Payload | None = None
        self._usage: Payload = {}
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._has_json = False
        self._has_finished = False

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        for block in self._blocks.feed(chunk):
            yield from self._read(block)

    def end(self) -> Iterator[ChatEvent]:
        if self._blocks.rest().strip():
            with suppress(UpstreamMalformed):
                for event in self.feed(b"\n\n"):
                    yield event
                    if event.is_last:
                        return
        if not self._has_finished:
            raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")
        yield ChatEvent(kind="done", raw=STOP, dialect=DIALECT)

    def _read(self, block: bytes) -> Iterator[ChatEvent]:
        payload = block_data(block)
        if payload is None:
            yield ChatEvent(kind="comment", raw=block, dialect=DIALECT)
            return
        data = _decoded(payload)
        match data.get("type"):
            case "message_start":
                first = self._chunk(block, self._started(checked(data, _Start)))
                yield msgspec.structs.replace(first, begun=parse_usage({"output_tokens": 0} | self._usage))
            case "content_block_start":
                yield self._chunk(block, self._opened(checked(data, _BlockStart)))
            case "content_block_delta":
                yield self._chunk(block, self._grown(checked(data, _BlockDelta)))
            case "content_block_stop":
                yield self._chunk(block, self._closed(checked(data, _BlockStop)))
            case "message_delta":
                yield from self._finished(block, checked(data, _MessageDelta))
            case "message_stop":
                if not self._has_finished:
                    raise UpstreamCut("The provider's stream ended without a reason.", billed="unknown")
                yield ChatEvent(kind="done", raw=block, dialect=DIALECT)
            case _:  # pings, and events of the future
                yield ChatEvent(kind="comment", raw=block, dialect=DIALECT)

    def _chunk(self, raw: bytes, delta: Payload | None, **choice: Any) -> ChatEvent:
        if self._shared is None:
            raise UpstreamMalformed("The provider's stream does not begin with its beginning.", billed="unknown")
        choices = [{"index": 0, "delta": delta, "finish_reason": None, **choice}]
        data = None if delta is None else {**self._shared, "choices": choices}
        return ChatEvent(kind="chunk", raw=raw, data=data, dialect=DIALECT)

    def _started(self, event: _Start) -> Payload:
        message = checked(event.message, _Message)
        self._shared = {
            "id": message.id or "",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": message.model or "",
        }
        self._count(event.message.get("usage"))
        return {"role": "assistant", "content": ""}

    def _opened(self, event: _BlockStart) -> Payload | None:
        block = checked(event.content_block, _Block)
        now = self._open[event.index] = _Open(block, event.content_block)
        match block.type:
            case "text":
                return {"content": block.text} if block.text else None
            case "thinking":
                return {"reasoning_content": block.thinking} if block.thinking else None
            case "redacted_thinking":
                return {"thinking_blocks": [event.content_block]}
            case "tool_use":
                return self._opened_call(now)
            case _:
                return {"unconverted": [event.content_block]}

    def _opened_call(self, now: _Open) -> Payload | None:
        """Some servers send the whole input at once."""
        arguments = _arguments(now.block.input) if now.block.input else ""
        now.has_arguments = bool(arguments)
        if now.block.name == JSON_TOOL["name"]:
            self._has_json = True
            return {"content": arguments} if arguments else None
        now.call = self._calls
        self._calls += 1
        return {"tool_calls": [{"index": now.call, **_call(now.block, arguments)}]}

    def _grown(self, event: _BlockDelta) -> Payload | None:
        now, piece = self._at(event.index), event.delta
        match piece.type:
            case "text_delta":
                return {"content": piece.text}
            case "thinking_delta":
                now.block.thinking += piece.thinking
                return {"reasoning_content": piece.thinking}
            case "signature_delta":
                now.block.signature += piece.signature
                return None
            case "input_json_delta" if now.block.type == "tool_use" and piece.partial_json:
                now.has_arguments = True
                return self._written(now, piece.partial_json)
            case "citations_delta":
                return {"unconverted": [piece.citation]}
            case _:
                return None

    def _closed(self, event: _BlockStop) -> Payload | None:
        now = self._at(event.index)
        del self._open[event.index]
        if now.block.type == "thinking":
            signed = {"thinking": now.block.thinking, "signature": now.block.signature}
            return {"thinking_blocks": [{**now.raw, **signed}]}
        if now.block.type == "tool_use" and not now.has_arguments:
            return self._written(now, "{}")
        return None

    def _written(self, now: _Open, arguments: str) -> Payload:
        if now.call is None:
            return {"content": arguments}
        return {"tool_calls": [{"index": now.call, "function": {"arguments": arguments}}]}

    def _at(self, index: int) -> _Open:
        if index not in self._open:
            raise UpstreamMalformed("The provider's stream goes on with what it had not begun.", billed="unknown")
        return self._open[index]

    def _finished(self, block: bytes, event: _MessageDelta) -> Iterator[ChatEvent]:
        """Why the answer ended, and in a chunk of its own what it used: bytes for both are those of the first."""
        self._count(event.usage)
        if event.delta.stop_reason is None:
            yield self._chunk(block, None)
            return
        self._has_finished = True
        said: Payload = {}
        ended = _ended(event.delta, said)
        if self._has_json and not self._calls and event.delta.stop_reason == "tool_use":
            ended["finish_reason"] = "stop"
        yield self._chunk(block, said, **ended)
        usage = parse_usage(self._usage)
        if usage is not None and self._shared is not None:
            data = {**self._shared, "choices": [], "usage": canonical_usage(usage)}
            yield ChatEvent(kind="chunk", raw=b"", data=data, usage=usage, dialect=DIALECT)

    def _count(self, usage: Any) -> None:
        """Counts are totals so far: later ones replace earlier ones, except those that are left out."""
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}
