"""The port of a client API: what a surface module offers. Pure functions over bytes and the canonical form.

Protocols (`router/protocols`) are the other side: what providers speak.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid
from router.nesting import DEEPEST, is_too_deep

_TOO_DEEP: Final = f"The body is nested more than {DEEPEST} deep."


class Failure(Struct, frozen=True):
    """What a client is told of an error; `kind` and `code` are OpenAI's `type` and `code`."""

    status: int
    kind: str
    code: str | None
    message: str
    param: str | None = None
    request_id: str | None = None


class AnswerWriter(Protocol):
    """Writes one stream; knows what it has written so far."""

    def __init__(self, request: ChatRequest, request_id: str) -> None: ...

    def write(self, event: ChatEvent) -> bytes:
        """The bytes that this event becomes; none for what the client's API has no form for."""
        ...


class Surface(Protocol):
    """What a surface module offers."""

    DIALECT: str
    """The protocol of the same name converts nothing."""

    @property
    def Writer(self) -> "type[AnswerWriter]": ...  # noqa: N802  a class of the module

    def decode_request(self, body: bytes, forwarded: Mapping[str, str]) -> ChatRequest:
        """The checked request. `forwarded` are the headers that belong to it (`anthropic-beta`, e.g.), which the same
        protocol passes on. Raises RequestInvalid that names the field."""
        ...

    def body(self, answer: Mapping[str, Any], request: ChatRequest, request_id: str) -> bytes:
        """A whole answer for the client, from its canonical body."""
        ...

    def own_body(self, events: Sequence[ChatEvent]) -> bytes | None:
        """The whole answer that a stream of the surface's own dialect adds up to, where that says more than the
        canonical form of it; None else."""
        ...

    def failure_body(self, failure: Failure) -> bytes: ...

    def failure_frame(self, failure: Failure, writer: Any) -> bytes:
        """What ends a stream that can no longer change its status, so that nobody takes it for complete. `writer` is
        the surface's own that has written the stream so far."""
        ...


def decoded_mapping(body: bytes) -> dict[str, Any]:
    """A request's JSON object. Raises RequestInvalid."""
    try:
        mapping = msgspec.json.decode(body)
    except RecursionError:
        raise RequestInvalid(_TOO_DEEP) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestInvalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(mapping, dict):
        raise RequestInvalid("The body must be a JSON object.")
    if is_too_deep(body, mapping):
        raise RequestInvalid(_TOO_DEEP)
    return mapping
