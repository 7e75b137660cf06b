"""The port between the router and wire formats: what a protocol module offers for calls to a provider.

A protocol is a module of pure functions, and a `Reader` that turns the bytes of a stream into events. It knows no
transport, no clock and no randomness: times are passed in. Surfaces (`router/surfaces`) are the other side: what
clients speak. Both meet in the canonical form of `router/chat.py`.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamMalformed, UpstreamRejected
from router.nesting import is_too_deep

T = TypeVar("T")

# Statuses after which another attempt may succeed; 401 and 403 are about our key, so another deployment may.
_RETRYABLE_STATUS: Final = frozenset({401, 402, 403, 408, 409, 425, 429})
# Statuses whose message speaks of the caller's request; the others' may tell of our account, key or address.
_ABOUT_THE_REQUEST: Final = frozenset({400, 404, 409, 413, 415, 422})


class Wire(Struct, frozen=True):
    """One HTTP request to a provider, without credentials. `path` follows the provider's base URL."""

    path: str
    body: bytes
    headers: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Fields of the request that the provider has no form for and that cannot change the answer's sense; the client
    is told."""
    protocol: str | None = None
    """The wire format of its answer, where that is not the provider's usual one."""
    method: str = "POST"


class StreamReader(Protocol):
    """Reads one stream. Knows nothing of connections: bytes in, events out, however the bytes were cut."""

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Every event that this chunk completes. Raises UpstreamError."""
        ...

    def end(self) -> Iterator[ChatEvent]:
        """What the end of the bytes completes. Raises UpstreamCut where the answer had not ended."""
        ...


class WireFormat(Protocol):
    """What a protocol module offers."""

    STREAM_TYPE: str
    """The media type of its streams."""

    @property
    def Reader(self) -> type[StreamReader]: ...  # noqa: N802  a class of the module

    def encode(self, request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
        """The provider's request. Where the client spoke this protocol, its own mapping with named edits; else
        converted from the canonical form. Raises RequestInvalid that names a field without a form there."""
        ...

    def authorised(self, wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
        """The request's headers with credentials, for `wire` sent to `url` at this time."""
        ...

    def parse_body(self, body: bytes) -> ChatEvent:
        """A whole answer. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
        ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
        """The provider's refusal as ours. Its message is kept only where it speaks of the caller's request."""
        ...


def encoded(mapping: Mapping[str, Any]) -> bytes:
    """The mapping as JSON. Raises RequestInvalid where JSON has no form for a value (an integer beyond 64 bits)."""
    try:
        return msgspec.json.encode(mapping)
    except (OverflowError, TypeError, ValueError, RecursionError) as error:
        raise RequestInvalid(f"The request cannot be passed on: {error}.") from None


def decoded_object(payload: bytes) -> dict[str, Any]:
    """A JSON object that a provider sent. Raises UpstreamMalformed."""
    try:
        data = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamMalformed("The provider's answer is not valid JSON.", billed="unknown") from None
    if not isinstance(data, dict):
        raise UpstreamMalformed("The provider's answer is not a JSON object.", billed="unknown")
    if is_too_deep(payload, data):
        raise UpstreamMalformed("The provider's answer is nested too deeply.", billed="unknown")
    return data


def object_or_none(payload: bytes) -> dict[str, Any] | None:
    """The JSON object in an error's body, where there is one."""
    try:
        return decoded_object(payload)
    except UpstreamMalformed:
        return None


def checked(data: Mapping[str, Any], kind: type[T]) -> T:
    """The data as this type. Raises UpstreamMalformed that names the field."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UpstreamMalformed(f"The provider's answer is malformed: {error}.", billed="unknown") from None


def count(value: Any) -> int | None:
    """A token count, or None for what can be none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else None


def rejection(
    status: int,
    message: str | None,
    *,
    code: str | None = None,
    error_type: str | None = None,
    param: str | None = None,
    retry_after: float | None = None,
) -> UpstreamRejected:
    """An error status as ours: whether another attempt may help, and the message where it is about the request."""
    said = message if status in _ABOUT_THE_REQUEST else None
    return UpstreamRejected(
        said or f"The provider answered with an error (status {status}).",
        status=status,
        # A redirect, a success that carries an error and every 5xx say nothing about the request itself.
        retryable=status in _RETRYABLE_STATUS or status >= 500 or status < 400,
        code=code,
        error_type=error_type,
        param=param,
        retry_after_s=retry_after,
    )


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3: seconds or a date)."""
    if (milliseconds := number_in(headers.get("retry-after-ms", ""))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    if (seconds := number_in(value)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    # A date is in GMT; one that says "-0000" is parsed without a time zone.
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s, 0.0)


def number_in(text: str) -> float | None:
    """A number that is not below 0; None for what is none, or not a finite one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return max(value, 0.0) if math.isfinite(value) else None


def text_of(mapping: Any, name: str) -> str | None:
    """A string field of a mapping that a provider sent; None for anything else."""
    value = mapping.get(name) if isinstance(mapping, dict) else None
    return value if isinstance(value, str) else None
