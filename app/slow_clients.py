"""Clients that neither read nor send: their connection is cut, so that what they hold is free for others.

uvicorn waits for them without end: for the rest of a request, and for a client that takes no more of its answer.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class _Patience:
    """Cuts the connection, unless it is stopped in time."""

    def __init__(self, protocol: "TimedProtocol") -> None:
        self._protocol = protocol
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.stop()
        protocol = self._protocol
        self._timer = protocol.loop.call_later(protocol.slow_client_s, protocol.transport.abort)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TimedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on how long the other side may do nothing."""

    slow_client_s: float
    """Of the class that a server uses."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._reading = _Patience(self)
        self._writing = _Patience(self)
        self._is_in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reading.stop()
        self._writing.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._reading.stop()
        super().data_received(data)
        if self._is_in_request and not self.transport.is_closing():
            self._reading.start()

    def on_message_begin(self) -> None:
        self._is_in_request = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._is_in_request = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._writing.start()

    def resume_writing(self) -> None:
        self._writing.stop()
        super().resume_writing()
