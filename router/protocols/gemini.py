"""Gemini's protocol, `generateContent` and `streamGenerateContent?alt=sse`, at Google AI and at Vertex AI.

Pure functions over bytes and mappings. Key or token travel in a header, never in the URL. A stream has no closing
event: it has ended well if every candidate has said why it ended. Wire facts: Gemini API reference, "Generating
content"; Vertex AI API reference, `projects.locations.publishers.models`; Google Cloud APIs, "Errors"
(google.rpc.Status, ErrorInfo, RetryInfo).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from router.catalogue import Deployment, GoogleAccount
from router.chat import ChatEvent, ChatRequest
from router.errors import UpstreamCut, UpstreamMalformed, UpstreamRejected
from router.protocols import gemini_requests, openai
from router.protocols.gemini_answers import Steps
from router.protocols.wire import Wire, decoded_object, encoded, rejection, retry_after_s, text_of
from router.sse import Blocks, block_data

STREAM_TYPE: Final = "text/event-stream"
DIALECT: Final = gemini_requests.DIALECT

# Google says 400 of a bad key, and of an account or a place that may not call: none of it is the client's doing.
_OUR_KEY: Final = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"})
_OUR_ACCOUNT: Final = "FAILED_PRECONDITION"


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The canonical request as Gemini takes it. Raises RequestInvalid that names a field without a form there."""
    model = deployment.upstream_model
    body, dropped = gemini_requests.body(request, model, output_limit)
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return Wire(f"/{quote(_resource(deployment))}:{method}", encoded(body), dropped=dropped)


def _resource(deployment: Deployment) -> str:
    """A model's name below the provider's address; one with a slash is a whole one (`tunedModels/x`, `endpoints/1`)."""
    model = deployment.upstream_model
    if "/" in model:
        return model
    # Below a project of Vertex AI there are other publishers' models beside Google's.
    is_vertex = isinstance(deployment.provider.credentials, GoogleAccount)
    return f"publishers/google/models/{model}" if is_vertex else f"models/{model}"


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers. A key is an API key, or an OAuth access token with the word `Bearer` before it."""
    sent = {"content-type": "application/json", "accept-encoding": "identity", **wire.headers}
    if api_key is None:
        return sent
    return sent | ({"authorization": api_key} if api_key.startswith("Bearer ") else {"x-goog-api-key": api_key})


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
    steps = Steps()
    chunk = steps.chunk(_answer(body))
    if not steps.is_complete:
        raise UpstreamMalformed("The provider's answer does not say why it ended.", billed="unknown")
    data = openai.body_from_chunks([*([chunk] if chunk else []), *steps.closing()])
    return ChatEvent(kind="body", raw=body, data=data, usage=steps.usage, dialect=DIALECT)


def parse_error(status: int, headers: Mapping[str, str], body: bytes, now_s: float) -> UpstreamRejected:
    """`{"error": {"code", "message", "status", "details"}}` as ours; a stream's comes inside a list."""
    return _rejection(status, _error_in(body), retry_after_s(headers, now_s))


def _answer(payload: bytes) -> dict[str, Any]:
    data = decoded_object(payload)
    if data.get("error"):
        raise _rejection(200, data["error"], None)
    return data


def _error_in(body: bytes) -> Any:
    """The error that a body holds; None for any other body."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    data = data[0] if isinstance(data, list) and data else data
    return data.get("error") if isinstance(data, dict) else None


def _rejection(status: int, error: Any, retry_after: float | None) -> UpstreamRejected:
    said = error if isinstance(error, dict) else {}
    given = said.get("details")
    details = [detail for detail in (given if isinstance(given, list) else ()) if isinstance(detail, dict)]
    code = text_of(said, "status")
    if status < 300 and isinstance(said.get("code"), int) and 400 <= said["code"] < 600:
        status = said["code"]  # an error in the midst of a stream
    if any(text_of(detail, "reason") in _OUR_KEY for detail in details):
        status = 401
    elif status == 400 and code == _OUR_ACCOUNT:
        status = 403
    waits = [_delay_s(detail["retryDelay"]) for detail in details if "retryDelay" in detail]
    wait_s = retry_after if retry_after is not None else next((wait for wait in waits if wait is not None), None)
    return rejection(status, text_of(said, "message"), code=code, retry_after=wait_s)


def _delay_s(delay: Any) -> float | None:
    """A duration as JSON has it: `34.07s`."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay) if isinstance(delay, str) else None
    return float(found.group(1)) if found else None


class Reader:
    """A stream's events. Why a candidate ended is told at the end of the bytes, because more may follow it; likewise
    the usage, because every response carries the counts so far."""

    def __init__(self) -> None:
        self._blocks = Blocks()
        self._steps = Steps()

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        for block in self._blocks.feed(chunk):
            yield self._event(block)

    def end(self) -> Iterator[ChatEvent]:
        if (rest := self._blocks.rest()).strip():
            try:
                yield self._event(rest + b"\n\n")
            except UpstreamMalformed:
                if not self._steps.is_complete:
                    raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown") from None
        if not self._steps.is_complete:
            raise UpstreamCut("The provider's stream broke off before its end.", billed="unknown")
        for data in self._steps.closing():
            usage = self._steps.usage if "usage" in data else None
            yield ChatEvent(kind="chunk", raw=b"", data=data, usage=usage, dialect=DIALECT)
        yield ChatEvent(kind="done", raw=b"", dialect=DIALECT)

    def _event(self, block: bytes) -> ChatEvent:
        payload = block_data(block)
        if payload is None:
            # An error may come as it is, without being made an event.
            if (error := _error_in(block)) is not None:
                raise _rejection(200, error, None)
            return ChatEvent(kind="comment", raw=block, dialect=DIALECT)
        data = self._steps.chunk(_answer(payload))
        kind: Literal["chunk", "comment"] = "chunk" if data else "comment"
        return ChatEvent(kind=kind, raw=block, data=data, dialect=DIALECT, begun=self._steps.usage)
