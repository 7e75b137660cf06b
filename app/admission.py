"""What is let in: so many requests at the same time, so many bytes of them, and no body that would hold everybody up.

Refusing must be cheap: it happens before a key is looked up, a byte of the body read or a row written. While the
process is late, requests do not come as far as this: `app/door.py` turns them away.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, ReceiveMessage, Scope, Send

from app.lateness import Lateness
from router.errors import Overloaded, RequestInvalid

FOR_CLIENTS: Final = ("/v1", "/anthropic", "/gemini")
"""Paths that cost something. Operators and probes get through whatever happens."""
_COMES_BACK_S: Final = 1.0
_TICK_S: Final = 0.05
_VALUES_AT_MOST: Final = 100_000
"""So many lists and objects decode in less than a tenth of a second; five million take three seconds."""
_QUOTES_AT_MOST: Final = 1_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.S)


class Gate:
    """Counts the requests under way, from their first byte to the last one of their answer, and closes while there are
    too many of them. Measures how late the process is."""

    def __init__(self, at_most: int, bytes_at_most: int) -> None:
        self.at_most = at_most
        self.bytes_at_most = bytes_at_most
        self.in_flight = 0
        self.body_bytes = 0
        """Of all bodies that the requests under way have sent so far."""
        self.lateness = Lateness()
        self.lag_s = 0.0
        """How long the last round of the event loop took, with all that it had to wait for."""
        self._is_measuring = False

    @contextmanager
    def passed(self) -> Iterator["Passage"]:
        """One request, while the block runs. Raises Overloaded."""
        if self.in_flight >= self.at_most:
            raise Overloaded(_COMES_BACK_S)
        self.in_flight += 1
        passage = Passage(self)
        try:
            yield passage
        finally:
            self.in_flight -= 1
            self.lateness.left()
            self.body_bytes -= passage.body_bytes

    def measure(self) -> None:
        """Takes the time of the event loop's next round, unless that is being done already."""
        if not self._is_measuring:
            self._is_measuring = True
            asyncio.get_running_loop().call_soon(self._begin_round)

    def _begin_round(self) -> None:
        # What is called soon from within a round is called in the next one.
        asyncio.get_running_loop().call_soon(self._end_round, time.monotonic(), time.thread_time())

    def _end_round(self, began: float, worked_s: float) -> None:
        self._is_measuring = False
        now = time.monotonic()
        self.lag_s = now - began
        self.lateness.took(time.thread_time() - worked_s, now)

    async def watch(self) -> None:
        """Measures also while nobody asks for anything, until it is cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            self.measure()


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
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(FOR_CLIENTS):
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
