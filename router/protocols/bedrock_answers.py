"""Converse's answers in canonical form: whole messages, and the events of a stream once they are parsed.

Pure, but for `Steps`, which remembers what of a stream it has seen. An answer names neither itself nor its model: its
id is made of what it says. Wire facts: Amazon Bedrock API reference, "ConverseOutput", "ConverseStreamOutput",
"TokenUsage" and "CacheDetail".
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from router.errors import UpstreamMalformed
from router.protocols.canonical import made_up_id, usage_payload
from router.protocols.wire import checked, count
from router.usage import Usage

_FINISHED: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
}
_BROKEN: Final = frozenset({"malformed_model_output", "malformed_tool_use"})
"""What came so far is no answer, and another attempt may bring one. Every other reason is a filter's."""

_Index = Annotated[int, Meta(ge=0, le=2**31)]


class _ToolUse(Struct, rename="camel"):
    tool_use_id: str
    name: str
    input: Any = None
    type: str | None = None


class _ReasoningText(Struct):
    text: str
    signature: str | None = None


class _Reasoning(Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _CitedText(Struct):
    text: str = ""


class _Cited(Struct):
    content: list[_CitedText] | None = None


class _Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None


class _Message(Struct):
    content: list[_Block] | None = None


class _Output(Struct):
    message: _Message


class _Body(Struct, rename="camel"):
    output: _Output
    stop_reason: str
    usage: dict[str, Any] | None = None
    additional_model_response_fields: Any = None


def body(data: Mapping[str, Any], seed: bytes) -> dict[str, Any]:
    """The canonical body of a whole answer. Raises UpstreamMalformed."""
    answer = checked(data, _Body)
    said: dict[str, Any] = {"role": "assistant", "content": None}
    blocks = answer.output.message.content or []
    sources = (data["output"]["message"].get("content")) or []
    for block, source in zip(blocks, sources, strict=True):
        _say(block, source, said)
    choice = {"index": 0, "message": said, **_ending(answer.stop_reason, answer.additional_model_response_fields)}
    usage = parse_usage(answer.usage)
    return {
        **_shared(seed, "chat.completion"),
        "choices": [choice],
        **({} if usage is None else {"usage": usage_payload(usage)}),
    }


def _say(block: _Block, source: Mapping[str, Any], said: dict[str, Any]) -> None:
    """Adds a block to the message."""
    text = block.text
    if block.citations_content is not None:
        text = "".join(part.text for part in block.citations_content.content or ())
        said.setdefault("unconverted", []).append(source)
    if text is not None:
        said["content"] = (said["content"] or "") + text
    elif block.tool_use is not None and block.tool_use.type is None:
        written = msgspec.json.encode({} if block.tool_use.input is None else block.tool_use.input).decode()
        called = {"name": block.tool_use.name, "arguments": written}
        said.setdefault("tool_calls", []).append(
            {"id": block.tool_use.tool_use_id, "type": "function", "function": called}
        )
    elif block.reasoning_content is not None:
        reasoning = block.reasoning_content
        thought = reasoning.reasoning_text or _ReasoningText("")
        if thought.text:
            said["reasoning_content"] = said.get("reasoning_content", "") + thought.text
        if signed := _signed(thought.text, thought.signature, reasoning.redacted_content):
            said.setdefault("thinking_blocks", []).append(signed)
    else:
        said.setdefault("unconverted", []).append(source)


def _signed(text: str, signature: str | None, redacted: str | None) -> dict[str, Any] | None:
    """A block of reasoning as Anthropic has it; None for one without a signature."""
    if redacted:
        return {"type": "redacted_thinking", "data": redacted}
    return {"type": "thinking", "thinking": text, "signature": signature} if signature else None


def _shared(seed: bytes, kind: str) -> dict[str, Any]:
    return {"id": made_up_id("chatcmpl-", seed), "object": kind, "created": 0, "model": ""}


def _ending(reason: str, fields: Any) -> dict[str, Any]:
    if reason in _BROKEN:
        raise UpstreamMalformed(f"The model's answer broke off: {reason}.", billed="unknown")
    if reason not in _FINISHED:
        return {"finish_reason": "content_filter", "native_finish_reason": reason}
    match fields:
        case {"stop_sequence": str(sequence)} if reason == "stop_sequence":
            return {"finish_reason": "stop", "stop_reason": sequence}
        case _:
            return {"finish_reason": _FINISHED[reason]}


def parse_usage(counts: Mapping[str, Any] | None) -> Usage | None:
    """Disjoint buckets, as Bedrock has them: `inputTokens` are those that no cache had and none was given. Writes that
    are kept for an hour are among all writes. None where there are no usable counts."""
    given, written = ((counts or {}).get(name) for name in ("inputTokens", "outputTokens"))
    if counts is None or count(given) is None or count(written) is None:
        return None
    writes = count(counts.get("cacheWriteInputTokens")) or 0
    details = counts.get("cacheDetails")
    mine = [item for item in (details if isinstance(details, list) else ()) if isinstance(item, dict)]
    hourly = min(sum(count(item.get("inputTokens")) or 0 for item in mine if item.get("ttl") == "1h"), writes)
    return Usage(
        input=count(given) or 0,
        cache_read=count(counts.get("cacheReadInputTokens")) or 0,
        cache_write_5m=writes - hourly,
        cache_write_1h=hourly,
        output=count(written) or 0,
    )


# --- streams ----------------------------------------------------------------------------------------------


class _Started(Struct, rename="camel"):
    tool_use: _ToolUse | None = None


class _BlockStart(Struct, rename="camel"):
    content_block_index: _Index
    start: _Started = field(default_factory=_Started)


class _Written(Struct):
    input: str = ""


class _ReasoningDelta(Struct, rename="camel"):
    text: str | None = None
    redacted_content: str | None = None
    signature: str | None = None


class _Delta(Struct, rename="camel"):
    text: str | None = None
    tool_use: _Written | None = None
    reasoning_content: _ReasoningDelta | None = None


class _BlockDelta(Struct, rename="camel"):
    content_block_index: _Index
    delta: _Delta


class _BlockStop(Struct, rename="camel"):
    content_block_index: _Index


class _MessageStop(Struct, rename="camel"):
    stop_reason: str
    additional_model_response_fields: Any = None


class _Metadata(Struct):
    usage: dict[str, Any] | None = None


class _Open(Struct):
    """A content block that is being written."""

    call: int | None = None
    """Which of the answer's tool calls it is."""
    is_foreign: bool = False
    """A call that the provider runs itself."""
    has_arguments: bool = False
    thought: str = ""
    signature: str = ""
    redacted: str = ""


class Steps:
    """Makes canonical chunks of a stream's events, in the order in which they come."""

    def __init__(self, seed: bytes) -> None:
        self._shared = _shared(seed, "chat.completion.chunk")
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._has_begun = False
        self.has_stopped = False
        self.usage: Usage | None = None
        self.has_metadata = False

    def chunk(self, event_type: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """What this event adds; None for nothing, and for events that nobody here knows. Raises UpstreamMalformed."""
        match event_type:
            case "contentBlockStart":
                return self._started(checked(data, _BlockStart))
            case "contentBlockDelta":
                return self._written(checked(data, _BlockDelta), data["delta"])
            case "contentBlockStop":
                return self._ended(checked(data, _BlockStop).content_block_index)
            case "messageStop":
                stop = checked(data, _MessageStop)
                ending = _ending(stop.stop_reason, stop.additional_model_response_fields)
                self.has_stopped = True
                return self._delta({}, **ending)
            case "metadata":
                self.usage = parse_usage(checked(data, _Metadata).usage)
                self.has_metadata = True
        return None

    def closing(self) -> Iterator[dict[str, Any]]:
        """The usage, if the provider has told it."""
        if self.usage is not None:
            yield {**self._shared, "choices": [], "usage": usage_payload(self.usage)}

    def _delta(self, delta: dict[str, Any], **ending: Any) -> dict[str, Any]:
        """The role goes with the first thing said: a stream that fails before it has not begun."""
        begun = {} if self._has_begun else {"role": "assistant"}
        self._has_begun = True
        return {**self._shared, "choices": [{"index": 0, "delta": {**begun, **delta}, "finish_reason": None, **ending}]}

    def _started(self, event: _BlockStart) -> dict[str, Any] | None:
        tool = event.start.tool_use
        if tool is None:
            self._open[event.content_block_index] = _Open()
            return None
        if tool.type is not None:
            self._open[event.content_block_index] = _Open(is_foreign=True)
            return None
        self._open[event.content_block_index] = _Open(call=self._calls)
        called = {"name": tool.name, "arguments": ""}
        call = {"index": self._calls, "id": tool.tool_use_id, "type": "function", "function": called}
        self._calls += 1
        return self._delta({"tool_calls": [call]})

    def _written(self, event: _BlockDelta, source: Mapping[str, Any]) -> dict[str, Any] | None:
        """Blocks of text and reasoning begin without a start of their own."""
        block = self._open.setdefault(event.content_block_index, _Open())
        delta = event.delta
        if delta.text is not None:
            return self._delta({"content": delta.text}) if delta.text else None
        if delta.tool_use is not None:
            return self._arguments(block, delta.tool_use.input)
        if (reasoning := delta.reasoning_content) is not None:
            block.thought += reasoning.text or ""
            block.signature += reasoning.signature or ""
            block.redacted += reasoning.redacted_content or ""
            return self._delta({"reasoning_content": reasoning.text}) if reasoning.text else None
        return self._delta({"unconverted": [dict(source)]})

    def _arguments(self, block: _Open, written: str) -> dict[str, Any] | None:
        if block.is_foreign or not written:
            return None
        if block.call is None:
            raise UpstreamMalformed("The provider's stream goes on with a call it had not begun.", billed="unknown")
        block.has_arguments = True
        return self._delta({"tool_calls": [{"index": block.call, "function": {"arguments": written}}]})

    def _ended(self, index: int) -> dict[str, Any] | None:
        """A call without arguments has an empty object of them; reasoning is signed when it ends."""
        block = self._open.pop(index, _Open())
        if block.call is not None and not block.has_arguments:
            return self._arguments(block, "{}")
        signed = _signed(block.thought, block.signature or None, block.redacted or None)
        return self._delta({"thinking_blocks": [signed]}) if signed else None
