"""Ollama's own chat protocol: JSON lines, images as base64, options in a table of their own.

Pure functions over bytes and mappings. Wire facts: Ollama API reference, "Generate a chat message" (`POST /api/chat`)
and "Errors"; the last object of a stream has `done: true` and the counts.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import openai
from router.protocols.fields import left_out, unconvertible
from router.protocols.wire import (
    Wire,
    checked,
    count,
    decoded_object,
    encoded,
    object_or_none,
    rejection,
    retry_after_s,
    text_of,
)
from router.sse import MAX_BLOCK_BYTES, BlockTooLong
from router.usage import Usage

PATH: Final = "/api/chat"
STREAM_TYPE: Final = "application/x-ndjson"
DIALECT: Final = "ollama"

authorised = openai.authorised
"""A bearer token, where the server stands behind one."""

# --- what we send upstream --------------------------------------------------------------------------------

_OPTIONS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
}
"""Canonical field -> its name among the options."""
_CONVERTED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens n stop tools tool_choice "
    "response_format reasoning_effort thinking logprobs top_logprobs".split()
) | set(_OPTIONS)


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The canonical request as Ollama wants it. Raises RequestInvalid that names a field without a form there."""
    asked = request.mapping
    dropped = left_out(asked, _CONVERTED, DIALECT)
    if request.choices != 1:
        raise unconvertible("n", DIALECT)
    body: dict[str, Any] = {
        "model": deployment.upstream_model,
        "messages": _messages(request.messages),
        "stream": request.stream,
    }
    if tools := _tools(asked):
        body["tools"] = tools
    if (form := _form(asked.get("response_format"))) is not None:
        body["format"] = form
    if (think := _think(asked)) is not None:
        body["think"] = think
    body |= {name: asked[name] for name in ("logprobs", "top_logprobs") if asked.get(name)}
    options = {theirs: asked[ours] for ours, theirs in _OPTIONS.items() if asked.get(ours) is not None}
    if (limit := output_limit or request.output_limit) is not None:
        options["num_predict"] = limit
    if (stop := asked.get("stop")) is not None:
        options["stop"] = [stop] if isinstance(stop, str) else stop
    if options:
        body["options"] = options
    return Wire(PATH, encoded(body), dropped=dropped)


def _messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool results carry the tool's name instead of the call's id."""
    names = {
        call.get("id"): (call.get("function") or {}).get("name")
        for message in messages
        for call in message.get("tool_calls") or ()
    }
    return [_message(message, f"messages[{at}]", names) for at, message in enumerate(messages)]


def _message(message: Mapping[str, Any], place: str, names: Mapping[Any, Any]) -> dict[str, Any]:
    role = "system" if message["role"] == "developer" else message["role"]
    text, images = _content(message.get("content"), f"{place}.content")
    converted: dict[str, Any] = {"role": role, "content": text}
    if images:
        converted["images"] = images
    if reasoning := message.get("reasoning_content"):
        converted["thinking"] = reasoning
    if calls := message.get("tool_calls"):
        converted["tool_calls"] = [_call(call, f"{place}.tool_calls[{at}]") for at, call in enumerate(calls)]
    if role == "tool" and (name := names.get(message.get("tool_call_id"))):
        converted["tool_name"] = name
    return converted


def _content(content: Any, place: str) -> tuple[str, list[str]]:
    """The text and the pictures of a message. A picture behind a URL is refused: it is not ours to fetch."""
    if not isinstance(content, list):
        return content or "", []
    texts, images = [], []
    for at, part in enumerate(content):
        match part:
            case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith("data:"):
                images.append(_base64_of(url, f"{place}[{at}].image_url.url"))
            case {"type": "image_url"}:
                raise RequestInvalid(
                    "The provider of this model takes pictures as data URLs only, and the gateway fetches none.",
                    f"{place}[{at}].image_url.url",
                )
            case _:
                raise unconvertible(f"{place}[{at}].type", DIALECT)
    return "\n".join(texts), images


def _base64_of(url: str, place: str) -> str:
    head, _, data = url.partition(",")
    try:
        base64.b64decode(data, validate=True)
    except ValueError:
        data = ""
    if not head.endswith(";base64") or not data:
        raise RequestInvalid("A data URL is `data:<media type>;base64,<data>`.", place)
    return data


def _call(call: Mapping[str, Any], place: str) -> dict[str, Any]:
    function = call.get("function") or {}
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except msgspec.DecodeError:
        raise RequestInvalid("The arguments are not valid JSON.", f"{place}.function.arguments") from None
    return {"function": {"name": function.get("name"), "arguments": arguments}}


def _tools(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools, unless the client forbids them. Ollama lets a model choose, and cannot force it."""
    choice = asked.get("tool_choice")
    if choice not in (None, "auto", "none"):
        raise unconvertible("tool_choice", DIALECT)
    tools = asked.get("tools") or []
    for at, tool in enumerate(tools):
        if tool.get("type") != "function":
            raise unconvertible(f"tools[{at}].type", DIALECT)
    return [] if choice == "none" else [{"type": "function", "function": tool["function"]} for tool in tools]


def _form(wanted: Any) -> Any:
    """`json`, a JSON schema, or None."""
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case _:
            raise unconvertible("response_format", DIALECT)


def _think(asked: Mapping[str, Any]) -> bool | str | None:
    if isinstance(thinking := asked.get("thinking"), dict):
        return bool(thinking.get("type") == "enabled")
    effort: str | None = asked.get("reasoning_effort")
    plain: dict[str, bool | str] = {"none": False, "minimal": "low", "xhigh": "high"}
    return None if effort is None else plain.get(effort, effort)


# --- what an upstream answers -----------------------------------------------------------------------------


class _Function(Struct):
    name: str
    arguments: dict[str, Any] = {}


class _Call(Struct):
    function: _Function


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _TokenLogprob(Struct):
    token: str
    logprob: float


class _Logprob(_TokenLogprob):
    top_logprobs: list[_TokenLogprob] = []


class _Answer(Struct):
    """One object: the whole answer, or one step of it."""

    message: _Message
    model: str = ""
    created_at: str = ""
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: Annotated[int, Meta(ge=0)] | None = None
    eval_count: Annotated[int, Meta(ge=0)] | None = None
    logprobs: list[_Logprob] | None = None


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
    answer = _answer(body)
    if not answer.done:
        raise UpstreamMalformed("The provider's answer is not marked as done.", billed="unknown")
    steps = _Steps()
    data = openai.body_from_chunks([steps.chunk(answer), *steps.closing(answer)])
    return ChatEvent(kind="body", raw=body, data=data, usage=_usage(answer), dialect=DIALECT)


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """`{"error": "..."}` as ours."""
    return rejection(status, text_of(object_or_none(body), "error"), retry_after=retry_after_s(headers, now_s))


def _answer(payload: bytes) -> _Answer:
    data = decoded_object(payload)
    if data.get("error"):
        raise rejection(200, text_of(data, "error"))
    return checked(data, _Answer)


def _usage(answer: _Answer) -> Usage | None:
    given, written = count(answer.prompt_eval_count), count(answer.eval_count)
    return None if written is None else Usage(input=given or 0, output=written)


class Reader:
    """A stream's events, one JSON object on each line."""

    def __init__(self) -> None:
        self._rest = b""
        self._steps = _Steps()

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise BlockTooLong(f"a line of the stream is longer than {MAX_BLOCK_BYTES} bytes")
        for line in lines:
            if line.strip():
                yield from self._events(line)

    def end(self) -> Iterator[ChatEvent]:
        if self._rest.strip():
            try:
                yield from self._events(self._rest)
            except UpstreamMalformed:  # half a line
                pass
            else:
                return
        raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")

    def _events(self, line: bytes) -> Iterator[ChatEvent]:
        answer = _answer(line)
        yield ChatEvent(kind="chunk", raw=line + b"\n", data=self._steps.chunk(answer), dialect=DIALECT)
        if answer.done:
            for data in self._steps.closing(answer):
                usage = _usage(answer) if "usage" in data else None
                yield ChatEvent(kind="chunk", raw=b"", data=data, usage=usage, dialect=DIALECT)
            yield ChatEvent(kind="done", raw=b"", dialect=DIALECT)


class _Steps:
    """Makes canonical chunks of an answer's objects; counts the tool calls, which have no ids here."""

    def __init__(self) -> None:
        self._calls = 0
        self._has_begun = False

    def chunk(self, answer: _Answer) -> dict[str, Any]:
        delta: dict[str, Any] = {} if self._has_begun else {"role": "assistant"}
        self._has_begun = True
        said = answer.message
        if said.content:
            delta["content"] = said.content
        if said.thinking:
            delta["reasoning_content"] = said.thinking
        if said.tool_calls:
            delta["tool_calls"] = [self._call(call.function) for call in said.tool_calls]
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        if answer.logprobs:
            choice["logprobs"] = {"content": [_logprob(each) for each in answer.logprobs], "refusal": None}
        return {**_shared(answer), "choices": [choice]}

    def closing(self, answer: _Answer) -> Iterator[dict[str, Any]]:
        """The chunk with the finish reason, and the one with the usage."""
        reason = "tool_calls" if self._calls else {"length": "length"}.get(answer.done_reason or "", "stop")
        yield {**_shared(answer), "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if (usage := _usage(answer)) is not None:
            counts = {"prompt_tokens": usage.input, "completion_tokens": usage.output}
            total = {"total_tokens": usage.input + usage.output}
            yield {**_shared(answer), "choices": [], "usage": counts | total}

    def _call(self, function: _Function) -> dict[str, Any]:
        """With an id of our own: the same answer gives the same one, two calls of an answer two."""
        arguments = msgspec.json.encode(function.arguments).decode()
        made_of = f"{self._calls} {function.name} {arguments}".encode()
        call = {
            "index": self._calls,
            "id": f"call_{hashlib.sha256(made_of).hexdigest()[:24]}",
            "type": "function",
            "function": {"name": function.name, "arguments": arguments},
        }
        self._calls += 1
        return call


def _logprob(each: _Logprob) -> dict[str, Any]:
    tops = [{"token": top.token, "logprob": top.logprob, "bytes": None} for top in each.top_logprobs]
    return {"token": each.token, "logprob": each.logprob, "bytes": None, "top_logprobs": tops}


def _shared(answer: _Answer) -> dict[str, Any]:
    created = _seconds(answer.created_at)
    return {"id": f"chatcmpl-{created}", "object": "chat.completion.chunk", "created": created, "model": answer.model}


def _seconds(created_at: str) -> int:
    """Of an RFC 3339 time; 0 for none. Its fraction may be longer than Python reads."""
    try:
        return int(datetime.fromisoformat(created_at[:19]).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return 0
