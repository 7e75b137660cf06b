"""Ollama's own chat protocol: JSON lines, images as base64, options in a table of their own.

Pure functions over bytes and mappings. Wire facts: Ollama API reference, "Generate a chat message" (`POST /api/chat`)
and "Errors"; the last object of a stream has `done: true` and the counts.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import canonical, openai
from router.protocols.canonical import Asked, Image, Message, Refusal, Text
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

_OPTIONS: Final = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
"""Canonical fields that have the same name among the options."""
_CONVERTED: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens n stop tools tool_choice "
    "parallel_tool_calls response_format reasoning_effort thinking logprobs top_logprobs modalities".split()
) | set(_OPTIONS)
_WITHOUT_FORM: Final = ("name", "thinking_blocks", "cache_control", "extra_content", "is_error")
"""Fields of a message that steer nothing here: who spoke, what another provider signed or keeps. That a tool failed is
said by its result as well."""
_LEVELS: Final[Mapping[str, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
"""How much to think, by reasoning effort."""


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The canonical request as Ollama wants it. Raises RequestInvalid that names a field without a form there."""
    mapping = request.mapping
    dropped = list(left_out(mapping, _CONVERTED, DIALECT))
    asked = canonical.asked(mapping, DIALECT)
    if request.choices != 1:
        raise unconvertible("n", DIALECT)
    if set(asked.modalities or ()) - {"text"}:
        raise unconvertible("modalities", DIALECT)
    body: dict[str, Any] = {
        "model": deployment.upstream_model,
        "messages": _messages(request.messages, dropped),
        "stream": request.stream,
    }
    if tools := _tools(mapping, asked, dropped):
        body["tools"] = tools
    if (form := canonical.json_form(mapping, DIALECT)) is not None:
        body["format"] = "json" if form.schema is None else form.schema
        if form.description:
            dropped.append("response_format.json_schema.description")
    if (think := _think(asked, dropped)) is not None:
        body["think"] = think
    body |= {name: getattr(asked, name) for name in ("logprobs", "top_logprobs") if getattr(asked, name)}
    if options := _options(asked, output_limit or request.output_limit):
        body["options"] = options
    return Wire(PATH, encoded(body), dropped=tuple(dict.fromkeys(dropped)))


def _options(asked: Asked, limit: int | None) -> dict[str, Any]:
    given = {name: getattr(asked, name) for name in _OPTIONS}
    given |= {"num_predict": limit, "stop": asked.stops or None}
    return {name: value for name, value in given.items() if value is not None}


def _messages(messages: list[dict[str, Any]], dropped: list[str]) -> list[dict[str, Any]]:
    """Tool results carry the tool's name instead of the call's id."""
    found = []
    called: dict[str, str] = {}
    for at, raw in enumerate(messages):
        place = f"messages[{at}]"
        message = canonical.message(raw, place, DIALECT)
        dropped += message.lost(_WITHOUT_FORM)
        converted = _message(message, place, dropped)
        for number, call in enumerate(message.tool_calls or ()):
            called[call.id] = call.function.name
            if call.extra_content:
                dropped.append("messages[].tool_calls[].extra_content")
            made = canonical.arguments(call, f"{place}.tool_calls[{number}]")
            function = {"name": call.function.name, "arguments": made}
            converted.setdefault("tool_calls", []).append({"function": function})
        if message.role == "tool":
            if message.tool_call_id not in called:
                raise RequestInvalid("No earlier message has a tool call of this id.", f"{place}.tool_call_id")
            converted["tool_name"] = called[message.tool_call_id]
        found.append(converted)
    return found


def _message(message: Message, place: str, dropped: list[str]) -> dict[str, Any]:
    texts, images = _content(message, f"{place}.content", dropped)
    if message.refusal:
        texts.append(message.refusal)
    role = "system" if message.role == "developer" else message.role
    converted: dict[str, Any] = {"role": role, "content": "\n".join(texts)}
    if images:
        converted["images"] = images
    if message.reasoning_content:
        converted["thinking"] = message.reasoning_content
    return converted


def _content(message: Message, place: str, dropped: list[str]) -> tuple[list[str], list[str]]:
    """The texts and the pictures of a message. A picture behind a URL is refused: it is not ours to fetch."""
    texts, images = [], []
    for at, part in enumerate(canonical.parts(message.content, place, DIALECT)):
        if part.cache_control:
            dropped.append("messages[].cache_control")
        match part:
            case Text():
                texts.append(part.text)
            case Refusal():
                texts.append(part.refusal)
            case Image():
                if part.image_url.detail not in (None, "auto"):
                    dropped.append("messages[].content[].image_url.detail")
                images.append(_picture(part.image_url.url, f"{place}[{at}].image_url.url"))
            case _:
                raise unconvertible(f"{place}[{at}].type", DIALECT)
    return texts, images


def _picture(url: str, place: str) -> str:
    """Its bytes as base64. Raises RequestInvalid."""
    if (content := canonical.data_url(url, place)) is None:
        raise RequestInvalid(
            f"`{place}`: the provider of this model takes pictures as data URLs only, and the gateway fetches none.",
            place,
        )
    return content.data


def _tools(mapping: Mapping[str, Any], asked: Asked, dropped: list[str]) -> list[dict[str, Any]]:
    """The tools that the model may use. Ollama lets a model choose among them, and can neither force nor limit it."""
    choice = canonical.choice(mapping, DIALECT)
    tools = canonical.tools(mapping, DIALECT)
    if choice.mode == "required":
        raise unconvertible("tool_choice", DIALECT)
    if choice.mode == "none" or not tools:
        return []
    if asked.parallel_tool_calls is False:
        raise unconvertible("parallel_tool_calls", DIALECT)
    found = []
    for tool in tools:
        function = tool.function
        if choice.names is not None and function.name not in choice.names:
            continue
        if function.strict:
            dropped.append("tools[].function.strict")
        if tool.cache_control:
            dropped.append("tools[].cache_control")
        declared = {"name": function.name, "description": function.description, "parameters": function.parameters}
        found.append({"type": "function", "function": {name: value for name, value in declared.items() if value}})
    return found


def _think(asked: Asked, dropped: list[str]) -> bool | str | None:
    if asked.thinking is not None:
        if asked.thinking.budget_tokens is not None:
            dropped.append("thinking.budget_tokens")
        return asked.thinking.type != "disabled"
    if asked.reasoning_effort is None:
        return None
    if asked.reasoning_effort not in _LEVELS:
        raise unconvertible("reasoning_effort", DIALECT)
    return _LEVELS[asked.reasoning_effort]


# --- what an upstream answers -----------------------------------------------------------------------------


class _Function(Struct):
    name: str
    arguments: dict[str, Any] | None = None


class _Call(Struct):
    function: _Function
    id: str | None = None
    """Not every version of the server names its calls."""


class _Message(Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _TokenLogprob(Struct):
    token: str
    logprob: float


class _Logprob(_TokenLogprob):
    top_logprobs: list[_TokenLogprob] | None = None


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
    steps = _Steps(body)
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
        self._steps: _Steps | None = None
        self._is_done = False

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise BlockTooLong(f"a line of the stream is longer than {MAX_BLOCK_BYTES} bytes")
        for line in lines:
            if line.strip():
                yield from self._events(line)

    def end(self) -> Iterator[ChatEvent]:
        if self._rest.strip():
            with suppress(UpstreamMalformed):  # half a line
                yield from self._events(self._rest)
        if not self._is_done:
            raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")

    def _events(self, line: bytes) -> Iterator[ChatEvent]:
        answer = _answer(line)
        steps = self._steps = self._steps or _Steps(line)
        yield ChatEvent(kind="chunk", raw=line + b"\n", data=steps.chunk(answer), dialect=DIALECT)
        if answer.done:
            self._is_done = True
            for data in steps.closing(answer):
                usage = _usage(answer) if "usage" in data else None
                yield ChatEvent(kind="chunk", raw=b"", data=data, usage=usage, dialect=DIALECT)
            yield ChatEvent(kind="done", raw=b"", dialect=DIALECT)


class _Steps:
    """Makes canonical chunks of an answer's objects. Every object has a time of its own, so the answer has that of the
    first one; its id and those of its calls, which have none here, are made of what it says."""

    def __init__(self, seed: bytes) -> None:
        self._shared: dict[str, Any] = {"id": canonical.made_up_id("chatcmpl-", seed)}
        self._calls = 0
        self._has_begun = False

    def chunk(self, answer: _Answer) -> dict[str, Any]:
        if self._has_begun:
            delta: dict[str, Any] = {}
        else:
            delta = {"role": "assistant"}
            created = canonical.unix_s(answer.created_at)
            self._shared |= {"object": "chat.completion.chunk", "created": created, "model": answer.model}
        self._has_begun = True
        said = answer.message
        if said.content:
            delta["content"] = said.content
        if said.thinking:
            delta["reasoning_content"] = said.thinking
        if said.tool_calls:
            delta["tool_calls"] = [self._call(call) for call in said.tool_calls]
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
        if answer.logprobs:
            choice["logprobs"] = {"content": [_logprob(each) for each in answer.logprobs], "refusal": None}
        return {**self._shared, "choices": [choice]}

    def closing(self, answer: _Answer) -> Iterator[dict[str, Any]]:
        """The chunk with the finish reason, and the one with the usage."""
        reason = "length" if answer.done_reason == "length" else "tool_calls" if self._calls else "stop"
        yield {**self._shared, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if (usage := _usage(answer)) is not None:
            yield {**self._shared, "choices": [], "usage": canonical.usage_payload(usage)}

    def _call(self, made: _Call) -> dict[str, Any]:
        """The same answer gives the same id, two calls of an answer two."""
        arguments = msgspec.json.encode(made.function.arguments or {}).decode()
        made_of = f"{self._shared['id']} {self._calls} {made.function.name} {arguments}"
        call = {
            "index": self._calls,
            "id": made.id or canonical.made_up_id("call_", made_of),
            "type": "function",
            "function": {"name": made.function.name, "arguments": arguments},
        }
        self._calls += 1
        return call


def _logprob(each: _Logprob) -> dict[str, Any]:
    tops = [{"token": top.token, "logprob": top.logprob, "bytes": None} for top in each.top_logprobs or ()]
    return {"token": each.token, "logprob": each.logprob, "bytes": None, "top_logprobs": tops}
