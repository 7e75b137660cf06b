"""Answers in Anthropic's form: a whole Message, and its named server-sent events.

What came from a provider of this dialect passes as it came. Everything else is written from the canonical form. Wire
facts: Claude API reference, "Create a Message", "Streaming Messages".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from router.chat import ChatEvent, ChatRequest
from router.errors import UpstreamMalformed
from router.protocols import openai
from router.protocols.anthropic import arguments_object
from router.protocols.anthropic_answers import STOP
from router.sse import named_block
from router.surfaces.anthropic_whole import message_of
from router.usage import Usage

DIALECT: Final = "anthropic"

Block = dict[str, Any]

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def body(answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> bytes:
    """A whole answer as a Message."""
    return msgspec.json.encode(_message(answer, request_id))


def own_body(events: Sequence[ChatEvent]) -> bytes | None:
    """The Message that Anthropic's own events add up to."""
    message = message_of(events)
    return None if message is None else msgspec.json.encode(message)


def _message(answer: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    choice = (answer.get("choices") or [{}])[0]
    said = choice.get("message") or {}
    return {
        **_head(answer, request_id),
        "content": [*_thoughts(said), *_texts(said), *_uses(said, request_id)],
        **_ended(choice, said),
        "usage": _usage(openai.parse_usage(answer.get("usage")) or Usage(), answer.get("usage")),
    }


def _head(answer: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """The provider's own id with the prefix that clients know."""
    known_as = str(answer.get("id") or request_id.removeprefix("req_"))
    named = known_as if known_as.startswith("msg_") else f"msg_{known_as.removeprefix('chatcmpl-')}"
    return {"id": named, "type": "message", "role": "assistant", "model": answer.get("model") or ""}


def _thoughts(said: Mapping[str, Any]) -> list[Block]:
    if said.get("thinking_blocks"):
        return [_without_index(block) for block in said["thinking_blocks"]]
    thought = said.get("reasoning_content")
    return [{"type": "thinking", "thinking": thought, "signature": ""}] if thought else []


def _without_index(block: Block) -> Block:
    return {name: value for name, value in block.items() if name != "index"}


def _texts(said: Mapping[str, Any]) -> list[Block]:
    texts = [said.get("content"), said.get("refusal")]
    return [{"type": "text", "text": text} for text in texts if text and isinstance(text, str)]


def _uses(said: Mapping[str, Any], request_id: str) -> list[Block]:
    calls = [(call.get("id"), call.get("function") or {}) for call in said.get("tool_calls") or ()]
    return [
        {
            "type": "tool_use",
            "id": known_as or _made_up_id(request_id, at),
            "name": function.get("name") or "",
            "input": arguments_object(function.get("arguments") or ""),
        }
        for at, (known_as, function) in enumerate(calls)
    ]


def _made_up_id(request_id: str, number: int) -> str:
    """For a call of a provider that gives none."""
    return f"toolu_{request_id.removeprefix('req_')}_{number}"


def _ended(choice: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Why the answer ended. Some providers say `stop` where they call tools; vLLM tells the stop sequence."""
    reason, sequence = choice.get("finish_reason"), choice.get("stop_reason")
    stop = _STOP_REASONS.get(reason, reason) if reason else "end_turn"
    if stop == "end_turn" and said.get("tool_calls"):
        stop = "tool_use"
    elif stop == "end_turn" and said.get("refusal"):
        stop = "refusal"
    elif stop == "end_turn" and isinstance(sequence, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": sequence}
    return {"stop_reason": stop, "stop_sequence": None}


def _usage(usage: Usage, payload: Any) -> dict[str, Any]:
    """Anthropic's counts; its own split of cache writes, where the canonical counts have kept it."""
    written = usage.cache_write_5m + usage.cache_write_1h
    details = payload.get("prompt_tokens_details") if isinstance(payload, dict) else None
    long = min((details.get("cache_write_1h_tokens") or 0) if isinstance(details, dict) else 0, written)
    found: dict[str, Any] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": written - long, "ephemeral_1h_input_tokens": long},
        "output_tokens": usage.output,
    }
    return found | ({"output_tokens_details": {"thinking_tokens": usage.reasoning}} if usage.reasoning else {})


# --- streams -------------------------------------------------------------------------------------------------

_PING: Final = named_block("ping", b'{"type":"ping"}')


class Writer:
    """Canonical events as Anthropic's. One content block is open at a time; what the answer used and why it ended is
    said in the last event but one."""

    def __init__(self, request: ChatRequest, request_id: str) -> None:
        self._request_id = request_id
        self._has_begun = False
        self._kind: str | None = None
        """Of the open block: `text`, `thinking`, or `tool` and the number of the call."""
        self._at = -1
        self._calls: set[int] = set()
        """Numbers of the calls that were begun."""
        self._waiting: dict[int, dict[str, str]] = {}
        """Calls that began beside the open one: they are held back until it has ended."""
        self._has_thoughts = False
        self._choice: dict[str, Any] = {}
        self._said: dict[str, Any] = {}
        self._usage: Any = None

    def write(self, event: ChatEvent) -> bytes:
        if event.kind == "body":
            return b"".join(self._whole(event))
        if event.dialect == DIALECT:
            return event.raw
        match event.kind:
            case "comment":
                return _PING if self._has_begun else b""
            case "done":
                return b"".join((*self._begin({}), *self._end(), STOP))
            case _:
                return b"".join(self._chunk(event.data or {}))

    def _whole(self, event: ChatEvent) -> Iterator[bytes]:
        """A whole answer cut into events."""
        message = _decoded(event.raw) if event.dialect == DIALECT else _message(event.data or {}, self._request_id)
        yield from _cut(message)

    def _chunk(self, chunk: Mapping[str, Any]) -> Iterator[bytes]:
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]
        for choice in chunk.get("choices") or ():
            if choice.get("index"):  # only one answer can be asked for
                continue
            yield from self._begin(chunk)
            yield from self._delta(choice.get("delta") or {})
            self._choice |= {name: choice[name] for name in ("finish_reason", "stop_reason") if choice.get(name)}

    def _begin(self, chunk: Mapping[str, Any]) -> Iterator[bytes]:
        if not self._has_begun:
            self._has_begun = True
            yield _start(_head(chunk, self._request_id), {"input_tokens": 0, "output_tokens": 0})

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            yield from self._open("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._piece({"type": "thinking_delta", "thinking": thought})
            self._has_thoughts = True
        for block in delta.get("thinking_blocks") or ():
            yield from self._thought(_without_index(block))
        for name in ("content", "refusal"):
            if text := delta.get(name):
                self._said[name] = True
                yield from self._open("text", {"type": "text", "text": ""})
                yield self._piece({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)

    def _thought(self, block: Block) -> Iterator[bytes]:
        """Signed reasoning, at its end. Its text has come already, or comes with it."""
        if block.get("type") == "thinking" and self._kind == "thinking":
            if block.get("signature"):
                yield self._piece({"type": "signature_delta", "signature": block["signature"]})
        elif block.get("type") != "thinking" or not self._has_thoughts:
            yield from self._close()
            self._at += 1
            yield from _block(self._at, block)
            return
        yield from self._close()

    def _call(self, call: Mapping[str, Any]) -> Iterator[bytes]:
        number = call.get("index") or 0
        function = call.get("function") or {}
        given = {"id": call.get("id"), "name": function.get("name"), "arguments": function.get("arguments")}
        if self._kind == f"tool {number}":
            yield from self._arguments(given["arguments"])
        elif number in self._calls:
            raise UpstreamMalformed("The provider's stream goes on with a tool call that had ended.")
        elif self._kind is not None and self._kind.startswith("tool"):
            held = self._waiting.setdefault(number, {"id": "", "name": "", "arguments": ""})
            held |= {name: held[name] + (given[name] or "") for name in held}
        else:
            yield from self._begin_call(number, given)

    def _begin_call(self, number: int, given: Mapping[str, str | None]) -> Iterator[bytes]:
        self._calls.add(number)
        self._said["tool_calls"] = True
        known_as = given["id"] or _made_up_id(self._request_id, number)
        use: Block = {"type": "tool_use", "id": known_as, "name": given["name"] or "", "input": {}}
        yield from self._open(f"tool {number}", use)
        yield from self._arguments(given["arguments"])

    def _arguments(self, fragment: str | None) -> Iterator[bytes]:
        if fragment:
            yield self._piece({"type": "input_json_delta", "partial_json": fragment})

    def _open(self, kind: str, block: Block) -> Iterator[bytes]:
        if self._kind != kind:
            yield from self._close()
            self._kind = kind
            self._at += 1
            yield _event("content_block_start", index=self._at, content_block=block)

    def _piece(self, delta: Block) -> bytes:
        return _event("content_block_delta", index=self._at, delta=delta)

    def _close(self) -> Iterator[bytes]:
        if self._kind is not None:
            self._kind = None
            yield _event("content_block_stop", index=self._at)
        waiting, self._waiting = self._waiting, {}
        for number, held in waiting.items():
            yield from self._begin_call(number, held)
            yield from self._close()

    def _end(self) -> Iterator[bytes]:
        yield from self._close()
        usage = openai.parse_usage(self._usage) or Usage()
        yield _event("message_delta", delta=_ended(self._choice, self._said), usage=_usage(usage, self._usage))


def _event(kind: str, **fields: Any) -> bytes:
    return named_block(kind, msgspec.json.encode({"type": kind, **fields}))


def _start(head: dict[str, Any], usage: Any) -> bytes:
    empty = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return _event("message_start", message={**head, **empty})


def _decoded(raw: bytes) -> dict[str, Any]:
    message: dict[str, Any] = msgspec.json.decode(raw)
    return message


def _cut(message: Mapping[str, Any]) -> Iterator[bytes]:
    """A Message as a stream: every block in one piece."""
    ending = ("stop_reason", "stop_sequence", "stop_details", "container")
    usage = message.get("usage") or {}
    head = {name: value for name, value in message.items() if name not in ("content", "usage", *ending)}
    yield _start(head, {**usage, "output_tokens": 0})
    for at, block in enumerate(message.get("content") or ()):
        yield from _block(at, block)
    delta = {name: message[name] for name in ending if name in message}
    yield _event("message_delta", delta=delta, usage=usage)
    yield STOP


_EMPTIED: Final[Mapping[str, Mapping[str, Any]]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
}
"""What a block has in its first event of what its deltas bring; other kinds come whole."""


def _block(at: int, block: Block) -> Iterator[bytes]:
    first = {**block, **_EMPTIED.get(block.get("type", ""), {})}
    if first.get("citations"):
        first["citations"] = []
    yield _event("content_block_start", index=at, content_block=first)
    for delta in _deltas(block):
        yield _event("content_block_delta", index=at, delta=delta)
    yield _event("content_block_stop", index=at)


def _deltas(block: Block) -> Iterator[Block]:
    match block.get("type"):
        case "text":
            yield from ({"type": "citations_delta", "citation": each} for each in block.get("citations") or ())
            yield {"type": "text_delta", "text": block.get("text", "")}
        case "thinking":
            yield {"type": "thinking_delta", "thinking": block.get("thinking", "")}
            yield {"type": "signature_delta", "signature": block.get("signature", "")}
        case "tool_use" | "server_tool_use":
            yield {"type": "input_json_delta", "partial_json": msgspec.json.encode(block.get("input") or {}).decode()}
