"""Requests that are turned away while the process is late: at the door, as soon as their head has come.

The connection itself asks here, before there is a task, a body or a row for a request: a refusal costs some dozens of
microseconds and waits for nothing. When the process is late says `app/lateness.py`; what is let in is counted by the
gate (`app/admission.py`).
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from litestar import Litestar
from msgspec import Struct

from app.admission import FOR_CLIENTS
from app.calls import rank_of
from app.errors import KeyInvalid, describe
from app.handling import JSON, caller_in
from app.http import ids_of, new_request_id, surface_of
from app.services import Services
from app.slow_clients import TimedProtocol
from router.errors import Overloaded

_COMES_BACK_S: Final = 1.0
_NOBODY: Final = 6
"""The rank of those whose key is not known: behind everybody's."""


class Refusal(Struct, frozen=True):
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Door:
    """Of one app, whose services may not be there yet."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    def refusal(self, path: str, raw: Sequence[tuple[bytes, bytes]], host: str | None) -> Refusal | None:
        """What is answered to who is turned away; None for who may come in. The `raw` headers have names in small
        letters, `host` is where the client is."""
        services: Services | None = self._app.state.get("services")
        if services is None or not path.startswith(FOR_CLIENTS):
            return None
        services.gate.measure()
        lateness = services.gate.lateness
        if not lateness.is_overload:
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
        may_come_in = lateness.comes_in(_rank(services, headers, host), time.monotonic())
        return None if may_come_in else _refused(services, path, headers)


class GuardedProtocol(TimedProtocol):
    """uvicorn's protocol, which asks at the door before it makes a task of a request. See `guarded_protocol`."""

    door: Door

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._is_turned_away = False
        self._ends_here = False

    def on_headers_complete(self) -> None:
        # A request that comes while the one before it is under way waits for that in any case.
        is_next = self.cycle is None or self.cycle.response_complete
        path = self.url.partition(b"?")[0].decode("latin-1")
        refusal = self.door.refusal(path, self.headers, self.client and self.client[0]) if is_next else None
        if refusal is None:
            super().on_headers_complete()
        else:
            self._turn_away(refusal)

    def _turn_away(self, refusal: Refusal) -> None:
        """Answers now. The body that follows is read and forgotten; a client that waits to be asked for it (RFC 9110,
        10.1.1) will not send it, so that nobody would know where the next request begins."""
        self._is_turned_away = True
        self._ends_here = self.expect_100_continue or not self.parser.should_keep_alive()
        self.cycle = _ANSWERED
        self.transport.write(_response(refusal, ends_here=self._ends_here))
        if self.expect_100_continue:
            self.transport.close()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self._is_turned_away:
            self._is_turned_away = False
            if self._ends_here:
                self.transport.close()
            else:
                self.on_response_complete()


def guarded_protocol(slow_client_s: float, door: Door) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn, with this limit in seconds and this door."""
    return type("GuardedProtocol", (GuardedProtocol,), {"slow_client_s": slow_client_s, "door": door})


class _Answered:
    """A request that is over, as uvicorn knows one."""

    response_complete = True
    message_event = asyncio.Event()


_ANSWERED: Final[Any] = _Answered()


def _response(refusal: Refusal, *, ends_here: bool) -> bytes:
    fields = (
        refusal.headers | {"content-length": str(len(refusal.body))} | ({"connection": "close"} if ends_here else {})
    )
    lines = [f"HTTP/1.1 {refusal.status} Service Unavailable", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + refusal.body


def _rank(services: Services, headers: Mapping[str, str], host: str | None) -> int:
    try:
        caller = caller_in(services, headers, host)
    except KeyInvalid:
        return _NOBODY
    routing = services.policies.get(caller.route)
    return _NOBODY if routing is None else rank_of(caller, routing)


def _refused(services: Services, path: str, headers: Mapping[str, str]) -> Refusal:
    """As any handler would say it, and counted as if one had."""
    error, request_id, surface = Overloaded(_COMES_BACK_S), new_request_id(), surface_of(path, headers)
    described = describe(error, time.time())
    services.observer.failed(described.status, described.code, error, request_id)
    fields = described.headers | ids_of(surface, request_id) | {"content-type": JSON}
    return Refusal(described.status, fields, surface.failure_body(described.failure(request_id)))
