"""OpenAI's chat completion protocol towards providers: requests, answers, streamed chunks and errors; and the two
forms of an answer in it, which are the canonical ones.

Pure functions over bytes and mappings. Wire facts: OpenAI API reference, "Create chat completion",
"The chat completion chunk object" and "Error codes"; guide "File inputs".
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router import own_tools
from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import audio, canonical
from router.protocols.compatible import CallNumbers, unify
from router.protocols.fields import left_out, typed, unconvertible
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
from router.sse import Blocks, block_data, data_block
from router.usage import Usage

PATH: Final = "/chat/completions"
STREAM_TYPE: Final = "text/event-stream"
DONE: Final = data_block(b"[DONE]")

# --- what we send upstream --------------------------------------------------------------------------------


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The upstream request: the canonical mapping with three named edits, and where the client spoke another protocol,
    without what OpenAI has no form for.

    The model is the deployment's; a stream carries usage; `output_limit`, where the gateway sets one, replaces the
    client's in the field the client used, else in the provider's `limit_field`. Raises RequestInvalid.
    """
    mapping: Mapping[str, Any] = request.mapping
    dropped: tuple[str, ...] = ()
    if request.dialect != "openai":
        mapping, dropped = _plain(mapping, deployment.provider.limit_field)
    return Wire(PATH, encoded(_edited(request, mapping, deployment, output_limit)), dropped=dropped)


def _edited(
    request: ChatRequest, mapping: Mapping[str, Any], deployment: Deployment, output_limit: int | None
) -> dict[str, Any]:
    mapping = {**mapping, "model": deployment.upstream_model}
    if request.stream:
        mapping["stream_options"] = {**(mapping.get("stream_options") or {}), "include_usage": True}
    if output_limit is not None:
        used = [name for name in ("max_completion_tokens", "max_tokens") if mapping.get(name)]
        mapping.update(dict.fromkeys(used or [deployment.provider.limit_field], output_limit))
    return mapping


_FIELDS: Final = frozenset(
    "model messages stream stream_options max_tokens max_completion_tokens n temperature top_p stop user metadata "
    "tools tool_choice parallel_tool_calls response_format reasoning_effort seed logprobs top_logprobs "
    "frequency_penalty presence_penalty logit_bias modalities audio store service_tier verbosity safety_identifier "
    "prompt_cache_key".split()
)
_EFFORT_BY_BUDGET: Final = ((2048, "low"), (8192, "medium"))
"""Thinking budgets in tokens, up to which the effort on the right is the nearest word for them."""


def _plain(mapping: Mapping[str, Any], limit_field: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The canonical request without what only other protocols know, and the fields left out. The limit has the name
    that the provider takes. Raises RequestInvalid."""
    plain = dict(mapping)
    if (limit := plain.pop("max_completion_tokens", None)) is not None:
        plain[limit_field] = limit
    thinking = plain.pop("thinking", None)
    if thinking is not None and plain.get("reasoning_effort") is None:
        plain["reasoning_effort"] = _effort(thinking)
    dropped = list(left_out(plain, _FIELDS, "openai"))
    plain["messages"] = [
        _plain_message(message, f"messages[{at}]", dropped) for at, message in enumerate(plain["messages"])
    ]
    if plain.get("tools"):
        plain["tools"] = [_without_extensions(tool, "tools[]", dropped) for tool in plain["tools"]]
    known = {name: value for name, value in plain.items() if name in _FIELDS and value is not None}
    return known, tuple(dict.fromkeys(dropped))


def _effort(thinking: Mapping[str, Any]) -> str | None:
    if thinking.get("type") != "enabled":
        return None
    budget = thinking.get("budget_tokens") or 0
    return next((effort for limit, effort in _EFFORT_BY_BUDGET if budget <= limit), "high")


_EXTENSIONS: Final = (
    "reasoning_content",
    "thinking_blocks",
    "extra_content",
    "cache_control",
    "is_error",
    "unconverted",
)
"""What other protocols have on messages: earlier reasoning is not for another model, and cache marks are hints."""


def _plain_message(message: Mapping[str, Any], place: str, dropped: list[str]) -> dict[str, Any]:
    plain = _without_extensions(message, "messages[]", dropped)
    if plain.get("tool_calls"):
        plain["tool_calls"] = [
            _without_extensions(call, "messages[].tool_calls[]", dropped) for call in plain["tool_calls"]
        ]
    if isinstance(content := plain.get("content"), list):
        parts = [_without_extensions(part, "messages[].content[]", dropped) for part in content]
        plain["content"] = [_plain_part(part, f"{place}.content[{at}]") for at, part in enumerate(parts)]
        for at, part in enumerate(plain["content"]):
            if message.get("role") == "tool" and part.get("type") != "text":  # what a tool found can only be text here
                raise unconvertible(f"{place}.content[{at}].type", "openai")
    return plain


_UNTITLED: Final = "document.pdf"
"""A file's bytes need a name."""


def _plain_part(part: dict[str, Any], place: str) -> dict[str, Any]:
    """A file as chats take it: PDF by its bytes or its id, text as text, and nothing by its address."""
    if part.get("type") != "file":
        return part
    file = typed(part.get("file"), canonical.FileSource, f"{place}.file")
    if file.file_url is not None:
        raise unconvertible(f"{place}.file.file_url", "openai")
    if file.file_data is None:
        return part
    field = f"{place}.file.file_data"
    held = canonical.data_url(file.file_data, field)
    if held is not None and held.media_type.lower() == "text/plain":
        text = base64.b64decode(held.data).decode(errors="replace")
        return {"type": "text", "text": f"{file.filename}\n\n{text}" if file.filename else text}
    if held is not None and held.media_type.lower() != "application/pdf":
        raise RequestInvalid(f"`{field}`: the provider of this model takes application/pdf and text/plain.", field)
    return {**part, "file": {**part["file"], "filename": file.filename or _UNTITLED}}


def _without_extensions(mapping: Mapping[str, Any], place: str, dropped: list[str]) -> dict[str, Any]:
    dropped += [f"{place}.{name}" for name in _EXTENSIONS if mapping.get(name)]
    return {name: value for name, value in mapping.items() if name not in _EXTENSIONS}


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers; a bearer token does not depend on the request or the time."""
    sent = {"content-type": "application/json", "accept-encoding": "identity", **wire.headers}
    return {**sent, "authorization": f"Bearer {api_key}"} if api_key else sent


# --- what an upstream answers -----------------------------------------------------------------------------


class _Written(Struct):
    """The fields of a message or a delta that we look into."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(Struct):
    index: int | None = None
    message: _Written | None = None
    delta: _Written | None = None
    finish_reason: str | None = None


class _AnswerBody(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


class _AnswerChunk(Struct):
    choices: list[_Choice] | None = None


def parse_body(body: bytes) -> ChatEvent:
    """A whole JSON answer. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
    data = _decode_object(body)
    checked(data, _AnswerBody)
    unify(data)
    usage = parse_usage(data.get("usage"))
    return ChatEvent(kind="body", raw=body, data=data, usage=_searched(usage) if _cites_the_web(data) else usage)


def _cites_the_web(data: Mapping[str, Any]) -> bool:
    """Whether an answer or a part of one cites what its provider has searched for."""
    said = [choice.get("message") or choice.get("delta") or {} for choice in data.get("choices") or ()]
    notes = [note for each in said if isinstance(found := each.get("annotations"), list) for note in found]
    return any(isinstance(note, dict) and note.get("type") == "url_citation" for note in notes)


def _searched(usage: Usage | None) -> Usage | None:
    """Chats of models that search do not count it: it is one search, where the provider tells no other number."""
    if usage is None or "web_search" in usage.tools:
        return usage
    return msgspec.structs.replace(usage, tools={**usage.tools, "web_search": 1})


def parse_block(block: bytes) -> ChatEvent:
    """One SSE block. Raises as `parse_body`."""
    payload = block_data(block)
    if payload is None:
        return ChatEvent(kind="comment", raw=block)
    if payload.strip() == b"[DONE]":
        return ChatEvent(kind="done", raw=block)
    data = _decode_object(payload)
    checked(data, _AnswerChunk)
    unify(data)
    return ChatEvent(kind="chunk", raw=block, data=data, usage=parse_usage(data.get("usage")))


def _decode_object(payload: bytes) -> dict[str, Any]:
    data = decoded_object(payload)
    if data.get("error"):
        raise _rejection(200, data["error"], None)
    return data


def parse_usage(payload: Any) -> Usage | None:
    """Disjoint buckets: OpenAI counts cached and written tokens inside `prompt_tokens`, reasoning inside
    `completion_tokens`, and audio inside both. Audio that was cached is told apart where `cached_tokens_details` does,
    or where there would be more than all input otherwise. None where the payload holds no usable counts."""
    if not isinstance(payload, dict):
        return None
    prompt, completion = count(payload.get("prompt_tokens")), count(payload.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = min(_detail(payload, "prompt_tokens_details", "cached_tokens"), prompt)
    written = min(_detail(payload, "prompt_tokens_details", "cache_write_tokens"), prompt - cached)
    uncached = prompt - cached - written
    heard = min(_detail(payload, "prompt_tokens_details", "audio_tokens"), uncached + cached)
    of_cached = _detail(payload.get("prompt_tokens_details") or {}, "cached_tokens_details", "audio_tokens")
    heard_cached = max(min(of_cached, heard, cached), heard - uncached)
    return Usage(
        input=uncached,
        cache_read=cached,
        cache_write_5m=written,
        output=completion,
        reasoning=min(_detail(payload, "completion_tokens_details", "reasoning_tokens"), completion),
        audio_input=heard - heard_cached,
        audio_cache_read=heard_cached,
        audio_output=min(_detail(payload, "completion_tokens_details", "audio_tokens"), completion),
        tools=own_tools.in_server_tool_use(payload.get("server_tool_use")),
    )


def _detail(payload: Any, group: str, name: str) -> int:
    details = payload.get(group) if isinstance(payload, dict) else None
    return (count(details.get(name)) or 0) if isinstance(details, dict) else 0


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """The provider's refusal as ours. Its message is kept only where it speaks of the caller's request."""
    return _rejection(status, (object_or_none(body) or {}).get("error"), retry_after_s(headers, now_s))


def _rejection(status: int, said: Any, retry_after: float | None) -> UpstreamRejected:
    said = {"message": said} if isinstance(said, str) else said
    return rejection(
        status,
        text_of(said, "message"),
        code=text_of(said, "code"),
        error_type=text_of(said, "type"),
        param=text_of(said, "param"),
        retry_after=retry_after,
    )


class Reader:
    """A stream's events. One that ends after a finish reason without `[DONE]` gets its end from us; one that ends
    before is cut. Half an event at the end is dropped (WHATWG HTML, "Server-sent events", 9.2.6)."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._has_finished = False
        self._has_searched = False
        self._numbers = CallNumbers()

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        for block in self._blocks.feed(chunk):
            yield self._seen(parse_block(block))

    def end(self) -> Iterator[ChatEvent]:
        if (rest := self._blocks.rest()).strip():
            with suppress(UpstreamMalformed):
                last = self._seen(parse_block(rest + b"\n\n"))
                yield last
                if last.is_last:
                    return
        if not self._has_finished:
            raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")
        yield ChatEvent(kind="done", raw=DONE)

    def _seen(self, event: ChatEvent) -> ChatEvent:
        self._has_finished = self._has_finished or bool(event.finish_reasons)
        if event.data is not None:
            self._numbers.give(event.data)
            self._has_searched = self._has_searched or _cites_the_web(event.data)
        if self._has_searched and event.usage is not None:
            return msgspec.structs.replace(event, usage=_searched(event.usage))
        return event


# --- between the two forms of an answer ------------------------------------------------------------------


_OF_ONE_CHUNK: Final = frozenset({"choices", "obfuscation"})
"""Fields whose values say nothing of the whole answer: its parts, and letters that hide how long each of them is."""


def body_from_chunks(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON answer that a stream's chunks add up to: texts and lists are joined, the rest is kept."""
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for name, value in chunk.items():
            if name not in _OF_ONE_CHUNK and (value is not None or name not in body):
                body[name] = value
        for choice in chunk.get("choices") or ():
            _merge(choices.setdefault(choice.get("index") or 0, {}), choice)
    body["object"] = "chat.completion"
    body["choices"] = [_whole_choice(index, choices[index]) for index in sorted(choices)]
    return body


def _whole_choice(index: int, merged: dict[str, Any]) -> dict[str, Any]:
    message = merged.pop("delta", None) or {}
    if isinstance(spoken := message.get("audio"), dict) and isinstance(spoken.get("data"), list):
        spoken["data"] = audio.joined(spoken["data"])
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
    return {**merged, "index": index, "message": message, "finish_reason": merged.get("finish_reason")}


def body_from_events(events: Iterable[ChatEvent]) -> dict[str, Any]:
    """The JSON answer of a finished answer, whichever form it came in."""
    chunks = []
    for event in events:
        if event.kind == "body":
            return dict(event.data or {})
        if event.kind == "chunk" and event.data is not None:
            chunks.append(event.data)
    return body_from_chunks(chunks)


def plain_answer(body: Mapping[str, Any]) -> str | None:
    """The text of an answer that ended by itself and is nothing but text; None for every other one:
    truncated, filtered, refused, empty, with tool calls, audio or citations, or several choices."""
    choices: list[Any] = body.get("choices") or []
    if len(choices) != 1 or choices[0].get("finish_reason") != "stop":
        return None
    message = choices[0].get("message") or {}
    if any(message.get(name) for name in ("refusal", "tool_calls", "function_call", "audio", "unconverted")):
        return None
    content = message.get("content")
    return content if isinstance(content, str) and content.strip() else None


_WHOLE_STRINGS: Final = frozenset({"role", "id", "type", "finish_reason", "name"})
"""Strings that a stream sends whole, so that a repetition replaces instead of extending."""


def _merge(into: dict[str, Any], part: Mapping[str, Any]) -> None:
    for name, value in part.items():
        present = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, dict):
            if not isinstance(present, dict):
                present = into[name] = {}
            if name == "audio" and isinstance(value.get("data"), str):
                present.setdefault("data", []).append(value["data"])
                value = {field: inner for field, inner in value.items() if field != "data"}
            _merge(present, value)
        elif isinstance(value, list):
            if not isinstance(present, list):
                present = into[name] = []
            _merge_list(present, value)
        elif isinstance(value, str) and isinstance(present, str) and name not in _WHOLE_STRINGS:
            into[name] = present + value
        else:
            into[name] = value


def _merge_list(into: list[Any], items: list[Any]) -> None:
    """Items with an `index` (tool calls) are merged with their namesake, others are appended."""
    for item in items:
        if not (isinstance(item, dict) and isinstance(item.get("index"), int)):
            into.append(item)
            continue
        same = next((seen for seen in into if isinstance(seen, dict) and seen.get("index") == item["index"]), None)
        if same is None:
            into.append(same := {})
        _merge(same, item)


def chunks_from_body(body: Mapping[str, Any], wants_usage: bool) -> Iterator[dict[str, Any]]:
    """A stream's chunks for a JSON answer: the text in one piece, then the finish reasons, then usage."""
    shared = {name: value for name, value in body.items() if name not in ("choices", "usage")}
    shared["object"] = "chat.completion.chunk"
    choices = body["choices"]
    for choice in choices:
        delta = dict(choice.get("message") or {})
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(delta["tool_calls"])]
        rest = {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
        yield {**shared, "choices": [{**rest, "delta": delta, "finish_reason": None}]}
    for choice in choices:
        end = {"index": choice.get("index", 0), "delta": {}, "finish_reason": choice.get("finish_reason")}
        yield {**shared, "choices": [end]}
    if wants_usage:
        yield {**shared, "choices": [], "usage": body.get("usage")}


def event_from_chunk(chunk: dict[str, Any]) -> ChatEvent:
    return ChatEvent(
        kind="chunk",
        raw=data_block(msgspec.json.encode(chunk)),
        data=chunk,
        usage=parse_usage(chunk.get("usage")),
    )


def event_from_body(body: dict[str, Any]) -> ChatEvent:
    return ChatEvent(kind="body", raw=msgspec.json.encode(body), data=body, usage=parse_usage(body.get("usage")))
