"""OpenAI's Responses API towards providers, for clients that speak it too: what they sent goes up with named edits, and
what comes back passes as it is, with its sense beside it in canonical form.

Pure functions over bytes and mappings. Wire facts: OpenAI API reference, "Create a model response", "The response
object", "Streaming events"; Azure has the same API below `/openai/v1`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from router import own_tools
from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import azure, openai
from router.protocols.openai import parse_error
from router.protocols.wire import Wire, checked, count, decoded_object, encoded, rejection, text_of
from router.sse import Blocks, block_data
from router.usage import Usage

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "kept_ids", "parse_body", "parse_error"]

DIALECT: Final = "responses"
STREAM_TYPE: Final = "text/event-stream"
_PATH: Final = "/responses"
_AZURE_PATH: Final = "/openai/v1/responses"

# --- what we send upstream --------------------------------------------------------------------------------


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The client's own request with the deployment's model and, where the gateway sets one, the output limit. Raises
    RequestInvalid for a request that continues what another deployment keeps."""
    if request.continues and request.kept_by != deployment.name:
        raise elsewhere(next(iter(request.continues)))
    mapping = {**(request.original or {}), "model": deployment.upstream_model}
    if output_limit is not None:
        mapping["max_output_tokens"] = output_limit
    return Wire(path_at(deployment), encoded(mapping), headers=_forwarded(request), protocol=DIALECT)


def path_at(deployment: Deployment) -> str:
    """Where the deployment's provider has responses."""
    return _AZURE_PATH if deployment.provider.protocol == "azure" else _PATH


def elsewhere(param: str) -> RequestInvalid:
    """The refusal of a reference to what no deployment of this model keeps for the caller."""
    return RequestInvalid(
        f"`{param}` refers to what no provider of this model is known to keep for your team. Ask for the model that "
        "answered then, with `store` set, or send the whole conversation in `input`.",
        param,
    )


def _forwarded(request: ChatRequest) -> dict[str, str]:
    return {name: value for name, value in request.forwarded.items() if name == "openai-beta"}


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers with the key, where this provider wants it."""
    if wire.path.startswith(_AZURE_PATH):
        return azure.authorised(wire, url, api_key, at)
    return openai.authorised(wire, url, api_key, at)


# --- what an upstream answers -----------------------------------------------------------------------------


class _Part(Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: list[Any] | None = None


class _Item(Struct):
    type: str
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class _Incomplete(Struct):
    reason: str | None = None


class _Response(Struct):
    id: str
    status: str | None = None
    model: str | None = None
    created_at: float | None = None
    service_tier: str | None = None
    output: list[_Item] = []
    incomplete_details: _Incomplete | None = None
    usage: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, or UpstreamRejected for one that failed."""
    data = decoded_object(body)
    if data.get("status") is None and data.get("error"):
        raise _failure(data["error"])
    response = _finished(data)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for item in response.output:
        _add_item(message, item)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _logprobs(response),
        "finish_reason": _finish_reason(response, has_calls="tool_calls" in message),
    }
    usage = _usage(response)
    canonical = _shared(response, "chat.completion") | {"choices": [choice], "usage": usage}
    return ChatEvent(kind="body", raw=body, data=canonical, usage=_counted(usage, data), dialect=DIALECT)


def _counted(usage: dict[str, Any] | None, response: Mapping[str, Any]) -> Usage | None:
    """Tokens as chats count them, and the calls of the provider's own tools."""
    counted = openai.parse_usage(usage)
    return counted and msgspec.structs.replace(counted, tools=own_tools.in_response(response))


def _finished(data: Mapping[str, Any]) -> _Response:
    """A response that has ended, with an answer. Raises UpstreamMalformed, UpstreamRejected."""
    response = checked(data, _Response)
    if response.status in ("failed", "cancelled"):
        raise _failure(response.error or {})
    if response.status not in ("completed", "incomplete"):
        raise UpstreamMalformed("The provider's answer has not ended.", billed="unknown")
    return response


def _add_item(message: dict[str, Any], item: _Item) -> None:
    """What an output item adds to the canonical message."""
    match item.type:
        case "message":
            for part in item.content or ():
                _append(message, "content", part.text)
                _append(message, "refusal", part.refusal)
                if part.annotations:
                    message.setdefault("annotations", []).extend(_annotation(found) for found in part.annotations)
        case "reasoning":
            for part in item.content or item.summary or ():
                _append(message, "reasoning_content", part.text)
        case "function_call":
            function = {"name": item.name or "", "arguments": item.arguments or "{}"}
            call = {"id": item.call_id or "", "type": "function", "function": function}
            message.setdefault("tool_calls", []).append(call)
        case _:
            message.setdefault("unconverted", []).append({"type": item.type})


def _annotation(found: Mapping[str, Any]) -> dict[str, Any]:
    """In chats it lies under its type."""
    kind = str(found.get("type"))
    return {"type": kind, kind: {name: value for name, value in found.items() if name != "type"}}


def _append(message: dict[str, Any], name: str, text: str | None) -> None:
    if text:
        message[name] = (message.get(name) or "") + text


def _logprobs(response: _Response) -> dict[str, Any] | None:
    parts = (part for item in response.output if item.type == "message" for part in item.content or ())
    found = [each for part in parts for each in part.logprobs or ()]
    return {"content": found, "refusal": None} if found else None


def _finish_reason(response: _Response, *, has_calls: bool) -> str:
    if response.status == "incomplete":
        details = response.incomplete_details
        return "content_filter" if details and details.reason == "content_filter" else "length"
    return "tool_calls" if has_calls else "stop"


def _shared(response: _Response, kind: str) -> dict[str, Any]:
    """The fields that every canonical chunk of an answer has."""
    found = {"id": response.id, "object": kind, "created": int(response.created_at or 0), "model": response.model or ""}
    return found | ({"service_tier": response.service_tier} if response.service_tier else {})


def _usage(response: _Response) -> dict[str, Any] | None:
    """Token counts under the names of chats."""
    usage = response.usage or {}
    tokens_in, tokens_out = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if tokens_in is None or tokens_out is None:
        return None
    return {
        "prompt_tokens": tokens_in,
        "completion_tokens": tokens_out,
        "total_tokens": tokens_in + tokens_out,
        "prompt_tokens_details": usage.get("input_tokens_details"),
        "completion_tokens_details": usage.get("output_tokens_details"),
    }


_STATUS_BY_CODE: Final = {"rate_limit_exceeded": 429, "server_error": 500, "vector_store_timeout": 500}


def _failure(error: Any) -> UpstreamRejected:
    """Why a response failed. A code that is not the provider's own trouble is about the request."""
    code = text_of(error, "code")
    status = _STATUS_BY_CODE.get(code, 400) if code else 500
    return rejection(status, text_of(error, "message"), code=code, param=text_of(error, "param"))


def kept_ids(event: ChatEvent) -> tuple[list[str], bool]:
    """What the provider may keep of this answer, by the ids with which clients refer to it: the response, its
    conversation, its output items; and whether they are in a conversation. Nothing of what it was told not to store.
    `event` is the last one of an answer in this dialect."""
    payload = event.raw if event.kind == "body" else block_data(event.raw) or b"{}"
    data = decoded_object(payload)
    response = data.get("response", data)
    conversation = response.get("conversation")
    if response.get("store") is False and conversation is None:
        return [], False
    named = [response, conversation, *(response.get("output") or ())]
    return [found for each in named if (found := text_of(each, "id"))], conversation is not None


# --- streams ----------------------------------------------------------------------------------------------


class Reader:
    """A stream's events. Each passes on what came, and says in canonical form what it adds to the answer; a stream
    that ends before its response has ended is cut."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._shared: dict[str, Any] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        self._seen: dict[tuple[Any, ...], int] = {}
        """How many characters have come of each text, by its kind and place: its end may carry what no delta did."""
        self._calls: dict[int, int] = {}
        """Output index of a call -> its index among the calls."""

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        for block in self._blocks.feed(chunk):
            yield from self._read(block)

    def end(self) -> Iterator[ChatEvent]:
        raise UpstreamCut("The provider's stream broke off.", billed="unknown")
        yield

    def _read(self, block: bytes) -> Iterator[ChatEvent]:
        payload = block_data(block)
        if payload is None or payload.strip() == b"[DONE]":
            yield ChatEvent(kind="comment", raw=block, dialect=DIALECT)
            return
        data = decoded_object(payload)
        kind = text_of(data, "type") or ""
        match kind.removeprefix("response."):
            case "error":
                raise _failure(data.get("error") or data)
            case "failed":
                raise _failure(_table(_table(data, "response"), "error"))
            case "completed" | "incomplete":
                yield from self._finished(block, _table(data, "response"))
            case "created" | "in_progress" | "queued":
                self._begun(_table(data, "response"))
                yield ChatEvent(kind="comment", raw=block, data={**self._shared, "choices": []}, dialect=DIALECT)
            case name:
                yield self._chunk(block, self._delta(name, data))

    def _begun(self, response: Mapping[str, Any]) -> None:
        self._shared = _shared(checked(response, _Response), "chat.completion.chunk")

    def _finished(self, block: bytes, data: Mapping[str, Any]) -> Iterator[ChatEvent]:
        """The end: the finish reason, the usage, and the event itself, which carries the bytes."""
        response = _finished(data)
        self._begun(data)
        finish = _finish_reason(response, has_calls=bool(self._calls))
        yield self._chunk(b"", {}, finish)
        usage = _usage(response)
        if usage is not None:
            chunk = {**self._shared, "choices": [], "usage": usage}
            yield ChatEvent(kind="chunk", raw=b"", data=chunk, usage=_counted(usage, data), dialect=DIALECT)
        yield ChatEvent(kind="done", raw=block, dialect=DIALECT)

    def _chunk(self, block: bytes, delta: dict[str, Any] | None, finish: str | None = None) -> ChatEvent:
        if delta is None:
            return ChatEvent(kind="chunk", raw=block, dialect=DIALECT)
        logprobs = delta.pop("logprobs", None)
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return ChatEvent(kind="chunk", raw=block, data={**self._shared, "choices": [choice]}, dialect=DIALECT)

    def _delta(self, name: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
        """What an event adds to the canonical message; None for what has no place there."""
        text, _, step = name.rpartition(".")
        if text in _TEXTS and step in ("delta", "done"):
            return self._text(text, step, data)
        at = count(data.get("output_index"))
        match name:
            case "function_call_arguments.delta" | "function_call_arguments.done" if at in self._calls:
                return self._arguments(at, data, "delta" if step == "delta" else "arguments", is_whole=step == "done")
            case "output_item.done" if at in self._calls:
                return self._arguments(at, _table(data, "item"), "arguments", is_whole=True)
            case "output_item.added" | "output_item.done" if _table(data, "item").get("type") == "function_call":
                return self._call(at, _table(data, "item"))
            case "output_item.done" if _table(data, "item").get("type") not in ("message", "reasoning"):
                return {"unconverted": [{"type": text_of(data["item"], "type")}]}
            case "output_text.annotation.added":
                return {"annotations": [_annotation(_table(data, "annotation"))]}
            case _:
                return None

    def _text(self, kind: str, step: str, data: Mapping[str, Any]) -> dict[str, Any] | None:
        target, whole_name = _TEXTS[kind]
        place = (kind, *(count(data.get(name)) for name in ("output_index", "content_index", "summary_index")))
        text = self._news(place, text_of(data, "delta" if step == "delta" else whole_name), is_whole=step == "done")
        if text is None:
            return None
        logprobs = data.get("logprobs") if step == "delta" else None
        return {target: text} | ({"logprobs": {"content": logprobs, "refusal": None}} if logprobs else {})

    def _call(self, at: Any, item: Mapping[str, Any]) -> dict[str, Any] | None:
        if not isinstance(at, int) or at in self._calls:
            return None
        self._calls[at] = index = len(self._calls)
        arguments = self._news(("call", at), text_of(item, "arguments"), is_whole=False) or ""
        function = {"name": text_of(item, "name") or "", "arguments": arguments}
        call = {"index": index, "id": text_of(item, "call_id") or "", "type": "function", "function": function}
        return {"tool_calls": [call]}

    def _arguments(self, at: Any, data: Mapping[str, Any], name: str, *, is_whole: bool) -> dict[str, Any] | None:
        arguments = self._news(("call", at), text_of(data, name), is_whole=is_whole)
        if arguments is None:
            return None
        return {"tool_calls": [{"index": self._calls[at], "function": {"arguments": arguments}}]}

    def _news(self, place: tuple[Any, ...], text: str | None, *, is_whole: bool) -> str | None:
        """What this text adds to what has come of it; None for nothing."""
        seen = self._seen.get(place, 0)
        news = (text or "")[seen if is_whole else 0 :]
        self._seen[place] = seen + len(news)
        return news or None


_TEXTS: Final = {
    "output_text": ("content", "text"),
    "refusal": ("refusal", "refusal"),
    "reasoning_text": ("reasoning_content", "text"),
    "reasoning_summary_text": ("reasoning_content", "text"),
}
"""Kind of text -> where it goes in the canonical message, and its name in the event that ends it."""


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside an event. Raises UpstreamMalformed where there is none."""
    found = data.get(name)
    if not isinstance(found, dict):
        raise UpstreamMalformed(f"The provider's event has no `{name}`.", billed="unknown")
    return found
