"""Bedrock's protocol: Converse and ConverseStream, signed with AWS credentials or carried by a bearer token.

Pure functions over bytes and mappings; the time of a signature is passed in. The signature and the parser of the binary
event stream are botocore's own, which only this module loads. Wire facts: Amazon Bedrock API reference, "Converse",
"ConverseStream", "Common errors"; AWS Signature Version 4; `application/vnd.amazon.eventstream`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from struct import error as UnpackError  # noqa: N812  the name says what it is
from typing import Any, Final
from urllib.parse import quote

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError  # type: ignore[import-untyped]

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import bedrock_answers, bedrock_requests
from router.protocols.bedrock_answers import Steps
from router.protocols.wire import Wire, decoded_object, encoded, object_or_none, rejection, retry_after_s, text_of

STREAM_TYPE: Final = "application/vnd.amazon.eventstream"
DIALECT: Final = bedrock_requests.DIALECT
_SERVICE: Final = "bedrock"
_REGION_OF_HOST: Final = re.compile(r"https?://(?:[^/]*\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.")

_STATUS: Final = {
    "AccessDeniedException": 403,
    "ExpiredTokenException": 403,
    "InternalServerException": 500,
    "ModelErrorException": 502,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 502,
    "ModelTimeoutException": 504,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 429,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnrecognizedClientException": 403,
    "ValidationException": 400,
}
"""By exception: a stream has no statuses, and 424 and 400 hide what another attempt may mend."""


class RegionalWire(Wire, frozen=True):
    """A request together with the region that its signature names."""

    region: str | None = None


# --- what we send upstream --------------------------------------------------------------------------------


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> RegionalWire:
    """The canonical request as Converse takes it. Raises RequestInvalid that names a field without a form there."""
    model = deployment.upstream_model
    body, dropped = bedrock_requests.body(request, model, output_limit)
    # The colon stays as it is: the transport would decode it, and what is signed must be what is sent.
    path = f"/model/{quote(model, safe=':')}/{'converse-stream' if request.stream else 'converse'}"
    region = deployment.provider.region or deployment.region
    return RegionalWire(path, encoded(body), dropped=dropped, region=region)


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers. A key is either a bearer token, or `ACCESS_KEY_ID:SECRET[:SESSION_TOKEN]`, which signs them."""
    sent = {"content-type": "application/json", "accept-encoding": "identity", **wire.headers}
    if api_key is None:
        return sent
    access_key, colon, rest = api_key.partition(":")
    if not colon:
        return {**sent, "authorization": f"Bearer {api_key}"}
    secret, _, token = rest.partition(":")
    return _signed(sent, wire, url, Credentials(access_key, secret, token or None), at)


def _signed(headers: dict[str, str], wire: Wire, url: str, credentials: Any, at: datetime) -> dict[str, str]:
    """As botocore's `SigV4Auth.add_auth`, which takes the time from the clock."""
    request = AWSRequest("POST", url, headers=headers, data=wire.body)
    request.context["timestamp"] = at.astimezone(UTC).strftime(SIGV4_TIMESTAMP)
    signer = SigV4Auth(credentials, _SERVICE, _region(wire, url))
    signer._modify_request_before_signing(request)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(to_sign, request))
    return {name.lower(): value for name, value in request.headers.items()}


def _region(wire: Wire, url: str) -> str:
    """The configured one, else that of the address."""
    if isinstance(wire, RegionalWire) and wire.region:
        return wire.region
    found = _REGION_OF_HOST.match(url)
    return found.group(1) if found else "us-east-1"


# --- what an upstream answers -----------------------------------------------------------------------------


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed."""
    data = decoded_object(body)
    usage = bedrock_answers.parse_usage(data.get("usage") if isinstance(data.get("usage"), dict) else None)
    return ChatEvent(kind="body", raw=body, data=bedrock_answers.body(data, body), usage=usage, dialect=DIALECT)


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """The exception as ours: its name is in a header (`ThrottlingException:http://...`) or in the body."""
    said = object_or_none(body)
    name = headers.get("x-amzn-errortype") or text_of(said, "__type") or ""
    return _rejection(status, name.partition(":")[0].rpartition("#")[2], said, retry_after_s(headers, now_s))


def _rejection(status: int, name: str, said: Any, retry_after: float | None = None) -> UpstreamRejected:
    name = name[:1].upper() + name[1:]
    message = text_of(said, "message") or text_of(said, "Message")
    return rejection(_STATUS.get(name, status), message, code=name or None, retry_after=retry_after)


class Reader:
    """A stream's events. It has ended when the message has stopped and its metadata, the usage, have come."""

    def __init__(self) -> None:
        self._buffer = EventStreamBuffer()
        self._steps: Steps | None = None
        self._is_over = False

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        self._buffer.add_data(chunk)
        while not self._is_over and (message := self._next()) is not None:
            yield from self._events(message)

    def end(self) -> Iterator[ChatEvent]:
        if self._steps is None or not self._steps.has_stopped:
            raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")
        if not self._is_over:
            yield from self._closing(self._steps)

    def _next(self) -> EventStreamMessage | None:
        try:
            return next(self._buffer, None)
        except (ParserError, UnpackError, ValueError, LookupError):
            raise UpstreamMalformed("The provider's stream is no event stream.", billed="unknown") from None

    def _events(self, message: EventStreamMessage) -> Iterator[ChatEvent]:
        steps = self._steps = self._steps or Steps(message.payload)
        data = steps.chunk(*_event(message))
        yield ChatEvent(kind="chunk" if data else "comment", raw=b"", data=data, dialect=DIALECT)
        if steps.has_stopped and steps.has_metadata:
            yield from self._closing(steps)

    def _closing(self, steps: Steps) -> Iterator[ChatEvent]:
        self._is_over = True
        for data in steps.closing():
            yield ChatEvent(kind="chunk", raw=b"", data=data, usage=steps.usage, dialect=DIALECT)
        yield ChatEvent(kind="done", raw=b"", dialect=DIALECT)


def _event(message: EventStreamMessage) -> tuple[str, dict[str, Any]]:
    """An event's type and payload. Raises UpstreamRejected for an exception, UpstreamMalformed."""
    headers = message.headers
    match headers.get(":message-type"):
        case "event":
            return str(headers.get(":event-type")), decoded_object(message.payload or b"{}")
        case "exception":
            raise _rejection(200, str(headers.get(":exception-type", "")), object_or_none(message.payload))
        case "error":
            said = {"message": headers.get(":error-message")}
            raise _rejection(200, str(headers.get(":error-code", "")), said)
        case _:
            raise UpstreamMalformed("The provider's stream has an event of no kind.", billed="unknown")
