"""What all handlers share: who asks, what they send, and how they are answered."""

import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.datastructures import State

from app.errors import AdminTokenInvalid, TooLarge
from app.keys import Caller
from app.services import Services, now_us
from router.errors import RequestInvalid

HttpRequest = Request[Any, Any, State]

JSON: Final = "application/json"
_LOOPBACK: Final = ("127.0.0.1", "::1")


def services_of(request: HttpRequest) -> Services:
    found: Services = request.app.state.services
    return found


def caller_of(request: HttpRequest) -> Caller:
    """Whose key it is, from the header of either kind of client. Raises KeyInvalid."""
    host = request.client.host if request.client is not None else None
    return caller_in(services_of(request), request.headers, host)


def caller_in(services: Services, headers: Mapping[str, str], host: str | None) -> Caller:
    """The same, from the headers of a request and the address that it came from."""
    authorization = headers.get("authorization")
    if authorization is None and (key := headers.get("x-api-key")):
        authorization = f"Bearer {key}"
    return services.keys.authenticate(authorization, is_loopback=host in _LOOPBACK, now_us=now_us())


def services_for_admin(request: HttpRequest) -> Services:
    """The services, for whoever holds the admin token. Raises AdminTokenInvalid."""
    services = services_of(request)
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), services.admin_token.encode()):
        raise AdminTokenInvalid(
            "Send `Authorization: Bearer <admin token>`; it lies in the data folder as `admin-token`."
        )
    return services


async def body_of(request: HttpRequest, limit_bytes: int) -> bytes:
    """The request's body. Raises TooLarge, before reading it where its length is told."""
    if int(request.headers.get("content-length") or 0) > limit_bytes:
        raise TooLarge(limit_bytes)
    parts, size = [], 0
    async for chunk in request.stream():
        parts.append(chunk)
        size += len(chunk)
        if size > limit_bytes:
            raise TooLarge(limit_bytes)
    return b"".join(parts)


def decoded(body: bytes, kind: type[msgspec.Struct]) -> Any:
    """The body as this type. Raises RequestInvalid, which names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestInvalid(f"The body is not valid JSON: {error}.") from None


def json_answer(content: Any, status_code: int = 200) -> Response[Any]:
    return Response(msgspec.json.encode(content), media_type=JSON, status_code=status_code)


async def closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Closes the generator chain at once when the client has gone, and not at some garbage collection."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]
