"""The HTTP surface for clients: thin handlers over the gateway, and the one place where errors become responses."""

import time
import uuid
from typing import Any, Final

from litestar import Response, get, post
from litestar.response import Stream
from litestar.types import ControllerRouterHandler

from app import admin
from app.errors import Described, describe
from app.feedback import Feedback
from app.handling import JSON, HttpRequest, body_of, caller_of, closing, decoded, json_answer, services_of
from app.inbound import Inbound, labels_from
from app.rendering import event_stream, json_body
from router.errors import ModelUnknown
from router.plan import AUTO
from router.surfaces import openai
from router.surfaces.surface import Surface

_FORWARDED: Final = ("anthropic-beta", "anthropic-version", "openai-beta")
"""Headers that say what the request means in its own dialect."""
_SURFACE_BY_PATH: Final[dict[str, Surface]] = {}
"""Paths below which errors have another form than OpenAI's."""


@post("/v1/chat/completions", status_code=200)
async def chat_completions(request: HttpRequest) -> Response[Any]:
    """OpenAI's chat completions."""
    return await _answered(request, openai)


async def _answered(request: HttpRequest, surface: Surface) -> Response[Any]:
    """One request of any surface through the gateway."""
    started_ns = time.perf_counter_ns()
    request.state.request_id = request_id = f"req_{uuid.uuid4().hex}"
    services = services_of(request)
    caller = caller_of(request)

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    inbound = Inbound(
        request_id=request_id,
        surface=surface,
        body=await body_of(request, services.max_body_bytes),
        forwarded={name: value for name in _FORWARDED if (value := request.headers.get(name))},
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
            closing(event_stream(answer, surface, lambda error: _described(request, error).failure(request_id))),
            media_type="text/event-stream",
            headers=exchange.headers() | {"cache-control": "no-store"},
        )
    body = await json_body(answer, surface)
    return Response(body, media_type=JSON, headers=exchange.headers())


@post("/v1/feedback", status_code=200)
async def feedback(request: HttpRequest) -> Response[Any]:
    """What a client thinks of an answer, now or later."""
    services, caller = services_of(request), caller_of(request)
    said = decoded(await body_of(request, services.max_body_bytes), Feedback)
    is_counted = await services.take_feedback(caller, said)
    return json_answer({"request_id": said.request_id, "feedback": said.kind, "counted": is_counted})


@get("/v1/models")
async def list_models(request: HttpRequest) -> Response[Any]:
    """The models of the caller's route, and `auto`."""
    names = [AUTO, *services_of(request).model_names(caller_of(request).route)]
    return json_answer({"object": "list", "data": [_model(name) for name in names]})


@get("/v1/models/{name:path}")
async def retrieve_model(request: HttpRequest) -> Response[Any]:
    """One model of the caller's route. A model's name may contain slashes."""
    name = str(request.path_params["name"]).removeprefix("/")
    names = (AUTO, *services_of(request).model_names(caller_of(request).route))
    if name not in names:
        raise ModelUnknown(name, names)
    return json_answer(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "thriftgate"}


@get("/health/live")
async def live() -> Response[Any]:
    """Whether the process answers at all."""
    return json_answer({"status": "live"})


@get("/health/ready")
async def ready(request: HttpRequest) -> Response[Any]:
    """Whether requests should be sent here."""
    services = services_of(request)
    body = {"status": "ready" if services.is_ready else "stopping", "simulating": services.settings.simulates}
    return json_answer(body, 200 if services.is_ready else 503)


@get("/metrics")
async def metrics(request: HttpRequest) -> Response[Any]:
    """Prometheus' text format."""
    services = services_of(request)
    services.observe()
    return Response(services.observer.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


HANDLERS: Final[list[ControllerRouterHandler]] = [
    chat_completions,
    feedback,
    list_models,
    retrieve_model,
    live,
    ready,
    metrics,
    *admin.HANDLERS,
]


# --- errors ----------------------------------------------------------------------------------------------------


def _described(request: HttpRequest, error: Exception) -> Described:
    """Describes the error and counts it."""
    described = describe(error, time.time())
    request_id = getattr(request.state, "request_id", None)
    services_of(request).observer.failed(described.status, described.code, error, request_id)
    return described


def on_error(request: HttpRequest, error: Exception) -> Response[Any]:
    """Every error of every handler, in one shape."""
    described = _described(request, error)
    request_id = getattr(request.state, "request_id", None)
    headers = described.headers | ({"x-request-id": request_id} if request_id else {})
    body = _surface_of(request).failure_body(described.failure(request_id))
    return Response(body, status_code=described.status, media_type=JSON, headers=headers)


def _surface_of(request: HttpRequest) -> Surface:
    """Whose errors the caller of this path understands."""
    return next((surface for path, surface in _SURFACE_BY_PATH.items() if request.url.path.startswith(path)), openai)
