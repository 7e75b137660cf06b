"""A request as it arrived: the parts of HTTP that the hot path needs, and nothing of the server."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Struct

from router.errors import RequestInvalid
from router.surfaces.surface import Surface

_LABELS_AT_MOST_BYTES = 1024


class Inbound(Struct):
    """`disconnected` returns when the client has gone."""

    request_id: str
    surface: Surface
    """The API that the client speaks."""
    body: bytes
    forwarded: dict[str, str]
    """Headers that belong to the request in the client's dialect."""
    started_ns: int
    cache_control: str | None
    labels: str | None
    """JSON object from `x-thriftgate-labels`."""
    conversation: str | None
    """From `x-thriftgate-conversation`."""
    end_user_key: bytes
    disconnected: Callable[[], Awaitable[None]]
    timeout_s: float | None = None
    """How long the client waits for the first event of its answer."""

    @property
    def deadline(self) -> float | None:
        """The end of that, in monotonic seconds, which is the clock of `started_ns` as well."""
        return None if self.timeout_s is None else self.started_ns / 1e9 + self.timeout_s

    def end_user(self, user: Any) -> str | None:
        """A keyed hash of the client's `user` field, so that the ledger tells users apart without naming them."""
        if not isinstance(user, str):
            return None
        return hmac.new(self.end_user_key, user.encode(), hashlib.sha256).hexdigest()[:32]


def labels_from(header: str | None) -> str | None:
    """`use-case=faq, feature=search` as a JSON object. Raises RequestInvalid."""
    if not header:
        return None
    pairs = [item.partition("=") for item in header.split(",") if item.strip()]
    if len(header) > _LABELS_AT_MOST_BYTES or not all(name.strip() and equals for name, equals, _ in pairs):
        raise RequestInvalid(
            f"Labels are `name=value` pairs separated by commas, at most {_LABELS_AT_MOST_BYTES} bytes together.",
            "x-thriftgate-labels",
        )
    return msgspec.json.encode({name.strip(): value.strip() for name, _, value in pairs}, order="sorted").decode()
