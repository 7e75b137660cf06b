"""The HTTP surface: thin handlers over the gateway, and the one place where errors become responses."""

import hmac
import time
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app.errors import AdminTokenInvalid, Described, TooLarge, describe
from app.inbound import Inbound, labels_from
from app.rendering import event_stream, json_body
from app.services import Services, now_us
from router.errors import ModelUnknown, RequestInvalid
from router.plan import AUTO

HttpRequest = Request[Any, Any, State]

_JSON: Final = "application/json"
_LOOPBACK: Final = ("127.0.0.1", "::1")


@post("/v1/chat/completions", status_code=200)
async def chat_completions(request: HttpRequest) -> Response[Any]:
    """OpenAI's chat completions."""
    started_ns = time.perf_counter_ns()
    request.state.request_id = request_id = f"req_{uuid.uuid4().hex}"
    services = _services(request)
    caller = _caller(request)

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    inbound = Inbound(
        request_id=request_id,
        body=await _body(request, services.max_body_bytes),
        started_ns=started_ns,
        cache_control=request.headers.get("cache-control"),
        labels=labels_from(request.headers.get("x-thriftgate-labels")),
        end_user_key=services.end_user_key,
        disconnected=disconnected,
    )
    answer = await services.gateway.answer(caller, inbound)
    exchange = answer.exchange
    if exchange.request.stream:
        return Stream(
            _closing(event_stream(answer, lambda error: _described(request, error))),
            media_type="text/event-stream",
            headers=exchange.headers() | {"cache-control": "no-store"},
        )
    body = await json_body(answer)
    return Response(body, media_type=_JSON, headers=exchange.headers())


async def _closing(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Closes the generator chain at once when the client has gone, and not at some garbage collection."""
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]


@get("/v1/models")
async def list_models(request: HttpRequest) -> Response[Any]:
    """The models of the caller's route, and `auto`."""
    names = [AUTO, *_services(request).model_names(_caller(request).route)]
    return _json({"object": "list", "data": [_model(name) for name in names]})


@get("/v1/models/{name:path}")
async def retrieve_model(request: HttpRequest) -> Response[Any]:
    """One model of the caller's route. A model's name may contain slashes."""
    name = str(request.path_params["name"]).removeprefix("/")
    names = (AUTO, *_services(request).model_names(_caller(request).route))
    if name not in names:
        raise ModelUnknown(name, names)
    return _json(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "thriftgate"}


@get("/health/live")
async def live() -> Response[Any]:
    """Whether the process answers at all."""
    return _json({"status": "live"})


@get("/health/ready")
async def ready(request: HttpRequest) -> Response[Any]:
    """Whether requests should be sent here."""
    services = _services(request)
    body = {"status": "ready" if services.is_ready else "stopping", "simulating": services.settings.simulates}
    return _json(body, 200 if services.is_ready else 503)


@get("/metrics")
async def metrics(request: HttpRequest) -> Response[Any]:
    """Prometheus' text format."""
    services = _services(request)
    services.observe()
    return Response(services.observer.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


# --- admin ---------------------------------------------------------------------------------------------------


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/keys`."""

    team: str
    app: str
    env: str = "prod"
    route: str | None = None
    expires_us: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None
    """Microseconds since the epoch."""


class Purge(msgspec.Struct, forbid_unknown_fields=True):
    """Body of `POST /admin/cache/purge`: what matches all that is given goes."""

    entry: str | None = None
    team: str | None = None
    route: str | None = None
    all: bool = False


@get("/admin/keys")
async def list_keys(request: HttpRequest) -> Response[Any]:
    return _json(_admin(request).keys.list())


@post("/admin/keys", status_code=201)
async def create_key(request: HttpRequest) -> Response[Any]:
    services = _admin(request)
    wanted = _decoded(await _body(request, services.max_body_bytes), NewKey)
    key, secret = services.create_key(wanted.team, wanted.app, wanted.env, wanted.route, wanted.expires_us)
    return _json({"key": key, "secret": secret}, 201)


@delete("/admin/keys/{key_id:str}", status_code=200)
async def revoke_key(request: HttpRequest) -> Response[Any]:
    services, key_id = _admin(request), request.path_params["key_id"]
    if not services.keys.revoke(key_id, now_us()):
        raise RequestInvalid(f"There is no valid key `{key_id}`; `thriftgate keys list` shows them all.", "key_id")
    return _json({"revoked": key_id})


@post("/admin/cache/purge", status_code=200)
async def purge_cache(request: HttpRequest) -> Response[Any]:
    services = _admin(request)
    wanted = _decoded(await _body(request, services.max_body_bytes), Purge)
    if not wanted.all and wanted.entry is None and wanted.team is None and wanted.route is None:
        raise RequestInvalid("Say what to purge: `entry`, `team`, `route`, or `all`.")
    purged = services.purge(entry=wanted.entry, team=wanted.team, route=wanted.route)
    return _json({"purged": purged})


@get("/admin/status")
async def status(request: HttpRequest) -> Response[Any]:
    return _json(_admin(request).status())


HANDLERS: Final[list[ControllerRouterHandler]] = [
    chat_completions,
    list_models,
    retrieve_model,
    live,
    ready,
    metrics,
    list_keys,
    create_key,
    revoke_key,
    purge_cache,
    status,
]


# --- shared ---------------------------------------------------------------------------------------------------


def _services(request: HttpRequest) -> Services:
    found: Services = request.app.state.services
    return found


def _caller(request: HttpRequest) -> Any:
    is_loopback = request.client is not None and request.client.host in _LOOPBACK
    return _services(request).keys.authenticate(
        request.headers.get("authorization"), is_loopback=is_loopback, now_us=now_us()
    )


def _admin(request: HttpRequest) -> Services:
    """The services, for whoever holds the admin token. Raises AdminTokenInvalid."""
    services = _services(request)
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), services.admin_token.encode()):
        raise AdminTokenInvalid("Send `Authorization: Bearer <admin token>`; it lies in the data folder.")
    return services


async def _body(request: HttpRequest, limit_bytes: int) -> bytes:
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


def _decoded(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestInvalid(f"The body is not valid JSON: {error}.") from None


def _json(content: Any, status_code: int = 200) -> Response[Any]:
    return Response(msgspec.json.encode(content), media_type=_JSON, status_code=status_code)


def _described(request: HttpRequest, error: Exception) -> Described:
    """Describes the error and counts it."""
    described = describe(error, time.time())
    request_id = getattr(request.state, "request_id", None)
    _services(request).observer.failed(described.status, described.code, error, request_id)
    return described


def on_error(request: HttpRequest, error: Exception) -> Response[Any]:
    """Every error of every handler, in one shape."""
    described = _described(request, error)
    request_id = getattr(request.state, "request_id", None)
    headers = described.headers | ({"x-request-id": request_id} if request_id else {})
    return Response(described.body, status_code=described.status, media_type=_JSON, headers=headers)
