"""The composition root: settings in, a Litestar app out. Nothing happens before its lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar

from app.admission import gated
from app.http import HANDLERS, ended_in_order, on_error
from app.services import open_services
from app.settings import Settings


def create_app(settings: Settings, **overrides: Any) -> Litestar:
    """A gateway for these settings. `overrides` go to `open_services`: transports, encoder, clock, reread."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with open_services(settings, **overrides) as services:
            app.state.services = services
            yield

    return Litestar(
        route_handlers=HANDLERS,
        exception_handlers={Exception: on_error},
        lifespan=[lifespan],
        middleware=[ended_in_order, gated],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=None,
    )
