"""The HTTP surface for clients: thin handlers over the gateway, and the one place where errors become responses."""

import asyncio
import time
import uuid
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from litestar import Response, delete, get, post
from litestar.response import Stream
from litestar.types import ASGIApp, ControllerRouterHandler, Receive, Scope, Send

from app import admin
from app.admission import check_values
from app.errors import Described, Stopping, describe
from app.feedback import Feedback
from app.handling import JSON, HttpRequest, body_of, caller_of, closing, decoded, json_answer, services_of
from app.inbound import Inbound, labels_from
from app.keys import Caller
from app.model_lists import anthropic_model, anthropic_page, openai_list, openai_model, page_of
from app.rendering import event_stream, json_body
from app.services import Services
from app.token_counts import counted
from router.catalogue import Model
from router.errors import ModelUnknown
from router.plan import AUTO
from router.protocols.kept_responses import Action
from router.retry import client_timeout_s
from router.surfaces import anthropic, openai, responses
from router.surfaces.surface import Surface

_FORWARDED: Final = ("anthropic-beta", "anthropic-version", "openai-beta")
"""Headers that say what the request means in its own dialect."""
_SURFACE_BY_PATH: Final[dict[str, Surface]] = {"/v1/messages": anthropic}
"""Paths below which errors have another form than OpenAI's."""
_ANTHROPIC: Final = "anthropic-version"
"""Every request of that dialect has this header: it tells which one a path of both is asked in."""


@post("/v1/chat/completions", status_code=200)
async def chat_completions(request: HttpRequest) -> Response[Any]:
    """OpenAI's chat completions."""
    return await _answered(request, openai)


@post("/v1/responses", status_code=200)
async def create_response(request: HttpRequest) -> Response[Any]:
    """OpenAI's responses."""
    return await _answered(request, responses)


@get("/v1/responses/{response_id:str}")
async def retrieve_response(request: HttpRequest) -> Response[Any]:
    """A response that its provider keeps."""
    return await _kept(request, "retrieve")


@get("/v1/responses/{response_id:str}/input_items")
async def list_input_items(request: HttpRequest) -> Response[Any]:
    """What such a response was made from."""
    return await _kept(request, "input_items")


@post("/v1/responses/{response_id:str}/cancel", status_code=200)
async def cancel_response(request: HttpRequest) -> Response[Any]:
    """Ends such a response, if it is still being made."""
    return await _kept(request, "cancel")


@delete("/v1/responses/{response_id:str}", status_code=200)
async def delete_response(request: HttpRequest) -> Response[Any]:
    """Lets its provider forget such a response."""
    return await _kept(request, "delete")


async def _kept(request: HttpRequest, action: Action) -> Response[Any]:
    """One question about a response that the caller's team has had."""
    request_id, team = _named(request), caller_of(request).team
    response_id = str(request.path_params["response_id"])
    answer = await services_of(request).kept_responses.ask(
        team, action, response_id, list(request.query_params.multi_items())
    )
    return Response(answer, media_type=JSON, headers=ids_of(openai, request_id))


@post("/v1/embeddings", status_code=200)
async def create_embeddings(request: HttpRequest) -> Response[Any]:
    """OpenAI's embeddings."""
    caller, inbound = await _inbound(request, openai)
    services = services_of(request)
    with _told_when_stopping(services):
        answer = await services.embeddings.answer(caller, inbound)
    return Response(answer.body, media_type=JSON, headers=answer.headers | ids_of(openai, inbound.request_id))


@post("/v1/messages", status_code=200)
async def create_message(request: HttpRequest) -> Response[Any]:
    """Anthropic's messages."""
    return await _answered(request, anthropic)


@post("/v1/messages/count_tokens", status_code=200)
async def count_tokens(request: HttpRequest) -> Response[Any]:
    """How many input tokens a message would have. Costs nothing, and leaves no row."""
    request_id = _named(request)
    services, models = services_of(request), _models(request)
    body = await body_of(request, services.max_body_bytes)
    check_values(body)
    asked = anthropic.decode_count_request(body, _forwarded(request))
    answer = await counted(asked, models, services.fleet, services.upstream, services.counter)
    return Response(answer, media_type=JSON, headers=ids_of(anthropic, request_id))


def _named(request: HttpRequest) -> str:
    """Gives the request an id."""
    request.state.request_id = new_request_id()
    return str(request.state.request_id)


def new_request_id() -> str:
    return f"req_{uuid.uuid4().hex}"


def _forwarded(request: HttpRequest) -> dict[str, str]:
    return {name: value for name in _FORWARDED if (value := _field(request, name))}


def _field(request: HttpRequest, name: str) -> str | None:
    """A header's value, of all lines that it has, in their order (RFC 9110, 5.3). What is said twice is said once."""
    return ", ".join(dict.fromkeys(request.headers.getall(name, []))) or None


def ids_of(surface: Surface, request_id: str | None) -> dict[str, str]:
    """The request's id, also under the name that the surface's SDKs read."""
    if request_id is None:
        return {}
    return {"x-request-id": request_id} | ({"request-id": request_id} if surface is anthropic else {})


async def _inbound(request: HttpRequest, surface: Surface) -> tuple[Caller, Inbound]:
    """Who asks, and what. Raises KeyInvalid, TooLarge, RequestInvalid."""
    started_ns = time.perf_counter_ns()
    request_id = _named(request)
    services = services_of(request)
    caller = caller_of(request)

    async def disconnected() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    inbound = Inbound(
        request_id=request_id,
        surface=surface,
        body=await body_of(request, services.max_body_bytes),
        forwarded=_forwarded(request),
        started_ns=started_ns,
        cache_control=_field(request, "cache-control"),
        labels=labels_from(_field(request, "x-thriftgate-labels")),
        conversation=request.headers.get("x-thriftgate-conversation"),
        end_user_key=services.end_user_key,
        disconnected=disconnected,
        timeout_s=client_timeout_s(request.headers),
    )
    check_values(inbound.body)
    return caller, inbound


async def _answered(request: HttpRequest, surface: Surface) -> Response[Any]:
    """One request of any surface through the gateway."""
    caller, inbound = await _inbound(request, surface)
    request_id = inbound.request_id
    services = services_of(request)
    with _told_when_stopping(services):
        answer = await services.gateway.answer(caller, inbound)
    exchange = answer.exchange
    if exchange.request.stream:
        return Stream(
            closing(
                event_stream(
                    answer,
                    surface,
                    lambda error: _described(request, error).failure(request_id),
                    _told_when_stopping(services),
                )
            ),
            media_type="text/event-stream",
            headers=exchange.headers() | ids_of(surface, request_id) | {"cache-control": "no-store"},
        )
    with _told_when_stopping(services):
        body = await json_body(answer, surface)
    return Response(body, media_type=JSON, headers=exchange.headers() | ids_of(surface, request_id))


@contextmanager
def _told_when_stopping(services: Services) -> Iterator[None]:
    """Whoever still waits when the time to stop is over is told so, like any error. Raises Stopping."""
    try:
        yield
    except asyncio.CancelledError:
        if services.is_ready:
            raise
        raise Stopping from None


def ended_in_order(app: ASGIApp) -> ASGIApp:
    """The app, in which what is given up when the time to stop is over ends like anything else: it is no fault."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["litestar_app"].state.services
        with suppress(Stopping), _told_when_stopping(services):
            await app(scope, receive, send)

    return run


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
    models = _models(request)
    if _ANTHROPIC not in request.headers:
        return json_answer(openai_list(models))
    return json_answer(anthropic_page(models, page_of(request.query_params.dict())))


@get("/v1/models/{name:path}")
async def retrieve_model(request: HttpRequest) -> Response[Any]:
    """One model of the caller's route. A model's name may contain slashes."""
    name = str(request.path_params["name"]).removeprefix("/")
    models = {model.name: model for model in _models(request)}
    if name not in (AUTO, *models):
        raise ModelUnknown(name, (AUTO, *models))
    if _ANTHROPIC in request.headers:
        return json_answer(anthropic_model(name, models.get(name)))
    return json_answer(openai_model(name))


def _models(request: HttpRequest) -> list[Model]:
    """The models of the caller's route. Raises KeyInvalid, RouteUnknown."""
    services, caller = services_of(request), caller_of(request)
    return [services.models[name] for name in services.model_names(caller.route)]


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
    # The framework adds the charset.
    return Response(services.observer.exposition(), media_type="text/plain; version=0.0.4")


HANDLERS: Final[list[ControllerRouterHandler]] = [
    chat_completions,
    create_embeddings,
    create_response,
    retrieve_response,
    list_input_items,
    cancel_response,
    delete_response,
    create_message,
    count_tokens,
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
    """Every error of every handler, in one shape. What no handler has taken in gets its id here."""
    request_id = getattr(request.state, "request_id", None) or _named(request)
    described = _described(request, error)
    surface = surface_of(request.url.path, request.headers)
    headers = described.headers | ids_of(surface, request_id)
    body = surface.failure_body(described.failure(request_id))
    return Response(body, status_code=described.status, media_type=JSON, headers=headers)


def surface_of(path: str, headers: Container[str]) -> Surface:
    """Whose errors the caller of this path understands."""
    if path.startswith("/v1/models") and _ANTHROPIC in headers:
        return anthropic
    return next((surface for start, surface in _SURFACE_BY_PATH.items() if path.startswith(start)), openai)
