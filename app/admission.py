"""What is let in: so many requests at the same time, so many bytes of them, and no body that would hold everybody up.

Refusing must be cheap: it happens before a key is looked up, a byte of the body read or a row written.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from router.errors import Overloaded, RequestInvalid

_FOR_CLIENTS: Final = ("/v1", "/anthropic", "/gemini")
"""Paths that cost something. Operators and probes get through whatever happens."""
_COMES_BACK_S: Final = 1.0
_TICK_S: Final = 0.05
_RECENT: Final = 0.1
_LAG_AT_MOST_S: Final = 0.5
"""When the process is so late, those under way would only become later with every one that is let in."""
_VALUES_AT_MOST: Final = 100_000
"""So many lists and objects decode in less than a tenth of a second; five million take three seconds."""
_QUOTES_AT_MOST: Final = 1_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)


class Gate:
    """Counts the requests under way, from their first byte to the last one of their answer, and closes while there are
    too many of them or the process has too much to do."""

    def __init__(self, at_most: int, bytes_at_most: int) -> None:
        self.at_most = at_most
        self.bytes_at_most = bytes_at_most
        self.in_flight = 0
        self.body_bytes = 0
        """Of all bodies that the requests under way have sent so far."""
        self.lag_s = 0.0
        """How late this process gets to what it wants to do, lately."""

    @contextmanager
    def passed(self) -> Iterator["Passage"]:
        """One request, while the block runs. Raises Overloaded."""
        if self.in_flight >= self.at_most or self.lag_s > _LAG_AT_MOST_S:
            raise Overloaded(_COMES_BACK_S)
        self.in_flight += 1
        passage = Passage(self)
        try:
            yield passage
        finally:
            self.in_flight -= 1
            self.body_bytes -= passage.body_bytes

    def ticked(self, late_s: float) -> None:
        """Something happened this much later than it was meant to. A single delay is no overload."""
        self.lag_s += _RECENT * (late_s - self.lag_s)

    async def watch(self) -> None:
        """Measures how late the process is, until it is cancelled."""
        while True:
            due = time.monotonic() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.ticked(max(time.monotonic() - due, 0.0))


class Passage:
    """One request that was let in."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.body_bytes = 0

    def sent(self, size: int) -> None:
        """A part of its body has come. Raises Overloaded if that is too much beside all others."""
        self.body_bytes += size
        self._gate.body_bytes += size
        if self._gate.body_bytes > max(self._gate.bytes_at_most, self.body_bytes):
            raise Overloaded(_COMES_BACK_S)


def gated(app: ASGIApp) -> ASGIApp:
    """The app behind its services' gate."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(_FOR_CLIENTS):
            await app(scope, receive, send)
            return
        state: Any = scope["litestar_app"].state
        with state.services.gate.passed() as passage:

            async def counted() -> ReceiveMessage:
                message: ReceiveMessage = await receive()
                if message["type"] == "http.request":
                    passage.sent(len(message.get("body", b"")))
                return message

            await app(scope, counted, send)

    return run


def check_values(body: bytes) -> None:
    """Raises RequestInvalid for JSON of more lists and objects than anybody needs: decoding them takes the time of all
    others."""
    if _opened(body) <= _VALUES_AT_MOST:
        return
    # Those inside of strings are no values; but to look for millions of strings would itself take seconds.
    if body.count(b'"') > _QUOTES_AT_MOST or _opened(_STRING.sub(b"", body)) > _VALUES_AT_MOST:
        raise RequestInvalid(f"The body has more than {_VALUES_AT_MOST} lists and objects.")


def _opened(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")
