"""Errors as clients see them: one table from our error trees to status codes. The caller's surface gives them a body.

A body says what was bad and how to mend it, names the field where there is one, and never carries a secret,
an address or a stack trace.
"""

import math
from collections.abc import Mapping
from typing import Final

from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
)
from msgspec import Struct

from app.header_values import UPSTREAM_REQUEST_ID, header_value
from cache.flights import FlightAbandoned
from router.errors import (
    BudgetExceeded,
    LedgerUnavailable,
    ModelUnknown,
    NoCandidate,
    Overloaded,
    RequestInvalid,
    RouterError,
    Throttled,
    Unavailable,
    UpstreamError,
    UpstreamRejected,
    UpstreamTimeout,
)
from router.surfaces.surface import Failure


class KeyInvalid(Exception):
    """No key, an unknown one, a revoked or expired one, or a development key where it is not valid."""


class AdminTokenInvalid(Exception):
    """The admin token is missing or wrong."""


class NotFound(Exception):
    """What the caller names does not exist, or not for this caller; `param` is the field that names it."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class WebhookInvalid(Exception):
    """A webhook that was not signed with the configured secret, or not just now."""


class WebhookUnderWay(Exception):
    """A webhook that is being obeyed at this moment."""


class PurgeUnwritten(Exception):
    """What was to be purged is still in the cache file."""

    def __init__(self) -> None:
        super().__init__(
            "The cache file cannot be written, so that what was to be purged may come back. See that the data folder's "
            "disk has room and that nothing else holds the file, then purge again."
        )


class TooLarge(Exception):
    """The body is larger than the server takes."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is larger than {limit_bytes} bytes. Shorten it, or raise server.max_body_mib.")


class NotCached(Exception):
    """The caller wants an answer from the cache only, and there is none (RFC 9111, 5.2.1.7). `headers` say why."""

    def __init__(self, said: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(said)
        self.headers = dict(headers or {})


class RouteUnknown(Exception):
    """The key's route was taken out of the configuration."""

    def __init__(self, route: str) -> None:
        super().__init__(
            f"The route `{route}` of this key is not configured any more. Make a key for another route: "
            "`thriftgate keys create --route NAME`."
        )


class ClientGone(Exception):
    """Nobody is there any more to answer to."""


class Stopping(Exception):
    """The gateway stops, and its time for open answers is over."""


class Described(Struct, frozen=True):
    """What goes into a response: `kind` and `code` are OpenAI's `type` and `code`. The caller's surface gives it its
    form."""

    status: int
    kind: str
    code: str | None
    message: str
    param: str | None = None
    headers: dict[str, str] = {}

    def failure(self, request_id: str | None) -> Failure:
        return Failure(self.status, self.kind, self.code, self.message, self.param, request_id)


_REQUEST: Final = "invalid_request_error"
_SERVER: Final = "server_error"


def describe(error: Exception, now_s: float) -> Described:
    """Status and body for whatever went wrong. `now_s` is the time, for `Retry-After`."""
    said = str(error)
    match error:
        case RequestInvalid():
            return Described(400, _REQUEST, None, said, error.param)
        case KeyInvalid():
            return Described(401, _REQUEST, "invalid_api_key", said, headers={"www-authenticate": "Bearer"})
        case AdminTokenInvalid():
            return Described(401, _REQUEST, "invalid_admin_token", said, headers={"www-authenticate": "Bearer"})
        case NotFound():
            return Described(404, _REQUEST, "not_found", said, error.param)
        case WebhookInvalid():
            return Described(403, _REQUEST, "invalid_webhook_signature", said)
        case WebhookUnderWay():
            return Described(409, _REQUEST, "webhook_under_way", said, headers={"retry-after": "5"})
        case PurgeUnwritten():
            return Described(503, _SERVER, "purge_unwritten", said, headers={"retry-after": "5"})
        case Stopping() | FlightAbandoned():
            message = "The gateway is stopping and gave this answer up. Send the request again."
            return Described(503, _SERVER, "stopping", message, headers={"retry-after": "5"})
        case RouteUnknown():
            return Described(403, _REQUEST, "route_not_found", said)
        case ModelUnknown():
            return Described(404, _REQUEST, "model_not_found", said, "model")
        case TooLarge():
            return Described(413, _REQUEST, "request_too_large", said)
        case NotCached():
            return Described(504, _REQUEST, "not_cached", said, headers=error.headers)
        case ClientGone():
            return Described(499, _REQUEST, "client_closed_request", said)
        case NoCandidate():
            return Described(400, _REQUEST, "no_eligible_model", said, "model")
        case BudgetExceeded():
            wait_s = max(int(error.resets_at.timestamp() - now_s) + 1, 1)
            return Described(429, "insufficient_quota", "budget_exceeded", said, headers={"retry-after": str(wait_s)})
        case LedgerUnavailable():
            message = "The ledger cannot be written, so the request was not acknowledged. Try again later."
            return Described(503, _SERVER, "ledger_unavailable", message, headers={"retry-after": "5"})
        case Throttled():
            headers = {"retry-after": str(int(error.retry_after_s))}
            return Described(429, "rate_limit_error", "throttled", said, headers=headers)
        case Unavailable():
            code = "overloaded" if isinstance(error, Overloaded) else "unavailable"
            headers = {"retry-after": str(math.ceil(error.retry_after_s))}
            return Described(503, _SERVER, code, said, headers=headers)
        case UpstreamError():
            return _describe_upstream(error, said)
        case HTTPException():
            return _describe_http(error)
        case RouterError():
            return Described(500, _SERVER, None, said)
        case _:
            return Described(500, _SERVER, "internal_error", "The gateway failed. The log names this request's id.")


def _describe_upstream(error: UpstreamError, said: str) -> Described:
    """What the provider said of the caller's request is passed on; what concerns our key or account is not."""
    named = {} if error.request_id is None else {UPSTREAM_REQUEST_ID: header_value(error.request_id)}
    retry = named if error.retry_after_s is None else named | {"retry-after": str(int(error.retry_after_s) + 1)}
    if isinstance(error, UpstreamTimeout):
        return Described(504, _SERVER, "upstream_timeout", said, headers=named)
    if not isinstance(error, UpstreamRejected):
        return Described(502, _SERVER, "upstream_failed", said, headers=named)
    if error.status in (400, 404, 409, 413, 415, 422):
        return Described(error.status, error.error_type or _REQUEST, error.code, said, error.param, named)
    if error.status == 429:
        message = "The provider limits our rate at the moment. Try again later."
        return Described(429, "rate_limit_error", "upstream_rate_limited", message, headers=retry)
    if error.status in (503, 529):
        return Described(503, _SERVER, "upstream_unavailable", "The provider is not available.", headers=retry)
    return Described(502, _SERVER, "upstream_failed", f"The provider failed (status {error.status}).", headers=named)


def _describe_http(error: HTTPException) -> Described:
    """What Litestar itself refuses: unknown paths, wrong methods, oversize bodies, broken connections."""
    match error:
        case NotFoundException():
            message = (
                "No such path. The gateway serves POST /v1/chat/completions, /v1/responses, /v1/messages and "
                "/v1/embeddings, and GET /v1/models."
            )
            return Described(404, _REQUEST, "not_found", message)
        case MethodNotAllowedException():
            allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
            message = "This path does not take that method."
            return Described(405, _REQUEST, "method_not_allowed", message, headers=allowed)
        case ClientException() if error.status_code == 413:
            return Described(413, _REQUEST, "request_too_large", "The body is larger than server.max_body_mib.")
        case ClientException():
            return Described(error.status_code, _REQUEST, None, "The request cannot be read.")
        case _:
            return Described(error.status_code, _SERVER, None, "The gateway failed.")
