"""OpenAI's chat completions towards clients: the canonical form itself, so that nothing is converted.

Wire facts: OpenAI API reference, "Create chat completion", "The chat completion chunk object" and "Error codes".
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid
from router.protocols import openai
from router.sse import data_block
from router.surfaces.surface import Failure, decoded_mapping

DIALECT: Final = "openai"


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


def decode_request(body: bytes, forwarded: Mapping[str, str]) -> ChatRequest:
    """The checked request. Raises RequestInvalid that names the field."""
    mapping = decoded_mapping(body)
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
        forwarded=dict(forwarded),
    )


def body(answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> bytes:
    """The answer's canonical body is ours."""
    return msgspec.json.encode(answer)


def own_body(events: Sequence[ChatEvent]) -> None:
    """The canonical body is ours."""


def failure_body(failure: Failure) -> bytes:
    error = {"message": failure.message, "type": failure.kind, "param": failure.param, "code": failure.code}
    return msgspec.json.encode({"error": error})


def failure_frame(failure: Failure, writer: object = None) -> bytes:
    """The same body as the event that ends a stream which can no longer change its status; `[DONE]` does not follow, so
    that nobody takes the answer for complete."""
    return data_block(failure_body(failure))


class Writer:
    """Canonical events as they are; a whole answer cut into chunks."""

    def __init__(self, request: ChatRequest, request_id: str) -> None:
        self._wants_usage = request.wants_usage

    def write(self, event: ChatEvent) -> bytes:
        match event.kind:
            case "body":
                chunks = openai.chunks_from_body(event.data or {}, self._wants_usage)
                return b"".join(data_block(msgspec.json.encode(chunk)) for chunk in chunks) + openai.DONE
            case "done":
                return openai.DONE
            case "chunk" if event.data is not None and (self._wants_usage or not event.is_usage_only):
                return event.raw if event.dialect == DIALECT else data_block(msgspec.json.encode(event.data))
            case "comment" if event.dialect == DIALECT:
                return event.raw
            case _:
                return b""
