"""OpenAI's chat completion protocol: requests, answers, streamed chunks and errors.

Pure functions over bytes and mappings. Wire facts: OpenAI API reference, "Create chat completion",
"The chat completion chunk object" and "Error codes".
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamMalformed, UpstreamRejected
from router.sse import block_data, data_block
from router.usage import Usage

PATH: Final = "/chat/completions"
DONE: Final = data_block(b"[DONE]")

# Statuses after which another attempt may succeed; 401 and 403 are about our key, so another deployment may.
_RETRYABLE_STATUS: Final = frozenset({401, 402, 403, 408, 409, 425, 429})
# Statuses whose message speaks of the caller's request; the others' may tell of our account, key or address.
_ABOUT_THE_REQUEST: Final = frozenset({400, 404, 409, 413, 415, 422})


class _ContentPart(Struct):
    type: str


class _Message(Struct):
    role: str
    content: str | list[_ContentPart] | None = None


class _StreamOptions(Struct):
    include_usage: bool | None = None


# More than any model writes, and so little that its worst case fits a column of the ledger.
_Limit = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _ChatBody(Struct):
    """The fields that we rely on; every other field passes unchecked."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Limit | None = None
    max_completion_tokens: _Limit | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None


# --- what a client sends ---------------------------------------------------------------------------------


def decode_request(body: bytes) -> ChatRequest:
    """The checked request. Raises RequestInvalid that names the field."""
    try:
        mapping = msgspec.json.decode(body)
    except RecursionError:
        raise RequestInvalid("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(mapping, dict):
        raise RequestInvalid("The body must be a JSON object.")
    try:
        checked = msgspec.convert(mapping, _ChatBody)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error) from None
    for position, (message_, raw) in enumerate(zip(checked.messages, mapping["messages"], strict=True)):
        if message_.role == "user" and raw.get("content") is None:
            raise RequestInvalid("A user message needs content.", f"messages[{position}].content")
    options = checked.stream_options
    return ChatRequest(
        mapping=mapping,
        model=checked.model,
        stream=bool(checked.stream),
        wants_usage=bool(options and options.include_usage),
        output_limit=checked.max_completion_tokens or checked.max_tokens,
        body_bytes=len(body),
    )


# --- what we send upstream --------------------------------------------------------------------------------


def encode_request(request: ChatRequest, model: str, output_limit: int | None, limit_field: str) -> bytes:
    """The upstream request: the client's mapping with three named edits.

    The model is the deployment's; a stream carries usage; `output_limit`, where the gateway sets one,
    replaces the client's in the field the client used, else in `limit_field`.
    Raises RequestInvalid where JSON has no form for a value (an integer beyond 64 bits).
    """
    mapping = {**request.mapping, "model": model}
    if request.stream:
        mapping["stream_options"] = {**(mapping.get("stream_options") or {}), "include_usage": True}
    if output_limit is not None:
        used = [name for name in ("max_completion_tokens", "max_tokens") if mapping.get(name)]
        mapping.update(dict.fromkeys(used or [limit_field], output_limit))
    try:
        return msgspec.json.encode(mapping)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise RequestInvalid(f"The request cannot be passed on: {error}.") from None


def headers(api_key: str | None) -> dict[str, str]:
    sent = {"content-type": "application/json", "accept-encoding": "identity"}
    return {**sent, "authorization": f"Bearer {api_key}"} if api_key else sent


# --- what an upstream answers -----------------------------------------------------------------------------


class _Written(Struct):
    """The fields of a message or a delta that we look into."""

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
    _check(data, _AnswerBody)
    return ChatEvent(kind="body", raw=body, data=data, usage=parse_usage(data.get("usage")))


def parse_block(block: bytes) -> ChatEvent:
    """One SSE block. Raises as `parse_body`."""
    payload = block_data(block)
    if payload is None:
        return ChatEvent(kind="comment", raw=block)
    if payload.strip() == b"[DONE]":
        return ChatEvent(kind="done", raw=block)
    data = _decode_object(payload)
    _check(data, _AnswerChunk)
    return ChatEvent(kind="chunk", raw=block, data=data, usage=parse_usage(data.get("usage")))


def _decode_object(payload: bytes) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamMalformed("The provider's answer is not valid JSON.", billed="unknown") from None
    if not isinstance(data, dict):
        raise UpstreamMalformed("The provider's answer is not a JSON object.", billed="unknown")
    if data.get("error"):
        raise _rejection(200, data["error"], None)
    return data


def _check(data: dict[str, Any], kind: type[Struct]) -> None:
    try:
        msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UpstreamMalformed(f"The provider's answer is malformed: {error}.", billed="unknown") from None


def parse_usage(payload: Any) -> Usage | None:
    """Disjoint buckets: OpenAI counts cached and written tokens inside `prompt_tokens`, and reasoning
    inside `completion_tokens`. None where the payload holds no usable counts."""
    if not isinstance(payload, dict):
        return None
    prompt, completion = _count(payload.get("prompt_tokens")), _count(payload.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    cached = min(_detail(payload, "prompt_tokens_details", "cached_tokens"), prompt)
    written = min(_detail(payload, "prompt_tokens_details", "cache_write_tokens"), prompt - cached)
    return Usage(
        input=prompt - cached - written,
        cache_read=cached,
        cache_write_5m=written,
        output=completion,
        reasoning=min(_detail(payload, "completion_tokens_details", "reasoning_tokens"), completion),
    )


def _detail(payload: Mapping[str, Any], group: str, name: str) -> int:
    details = payload.get(group)
    return (_count(details.get(name)) or 0) if isinstance(details, dict) else 0


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else None


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """The provider's refusal as ours. Its message is kept only where it speaks of the caller's request."""
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        payload = None
    said = payload.get("error") if isinstance(payload, dict) else None
    return _rejection(status, said, retry_after_s(headers, now_s))


def _rejection(status: int, said: Any, retry_after: float | None) -> UpstreamRejected:
    said = said if isinstance(said, dict) else {"message": said if isinstance(said, str) else None}

    def text(name: str) -> str | None:
        value = said.get(name)
        return value if isinstance(value, str) else None

    return UpstreamRejected(
        (text("message") if status in _ABOUT_THE_REQUEST else None)
        or f"The provider answered with an error (status {status}).",
        status=status,
        # A redirect, a success that carries an error and every 5xx say nothing about the request itself.
        retryable=status in _RETRYABLE_STATUS or status >= 500 or status < 400,
        code=text("code"),
        error_type=text("type"),
        param=text("param"),
        retry_after_s=retry_after,
    )


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3: seconds or a date)."""
    if (milliseconds := _number(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    # A date is in GMT; one that says "-0000" is parsed without a time zone.
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s, 0.0)


def _number(text: str) -> float | None:
    """Not below 0; None for what is no number, or not a finite one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return max(value, 0.0) if math.isfinite(value) else None


# --- between the two forms of an answer ------------------------------------------------------------------


def body_from_chunks(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON answer that a stream's chunks add up to: texts and lists are joined, the rest is kept."""
    body: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for name, value in chunk.items():
            if name != "choices" and (value is not None or name not in body):
                body[name] = value
        for choice in chunk.get("choices") or ():
            _merge(choices.setdefault(choice.get("index") or 0, {}), choice)
    body["object"] = "chat.completion"
    body["choices"] = [_whole_choice(index, choices[index]) for index in sorted(choices)]
    return body


def _whole_choice(index: int, merged: dict[str, Any]) -> dict[str, Any]:
    message = merged.pop("delta", None) or {}
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
    truncated, filtered, refused, empty, with tool calls or audio, or several choices."""
    choices: list[Any] = body.get("choices") or []
    if len(choices) != 1 or choices[0].get("finish_reason") != "stop":
        return None
    message = choices[0].get("message") or {}
    if any(message.get(name) for name in ("refusal", "tool_calls", "function_call", "audio")):
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
