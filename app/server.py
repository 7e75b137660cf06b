"""Runs the app under uvicorn, and says on start what it serves and how to try it."""

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, TextIO

import structlog
import uvicorn
from litestar import Litestar
from rich.console import Console

from app.door import Door, guarded_protocol
from app.main import create_app
from app.reloading import reload
from app.services import Services, write_private
from app.settings import Settings, SettingsInvalid
from router.errors import LedgerUnavailable

_ACCEPTED_AT_ONCE: Final = 32
_OTHER_THREADS_WAIT_S: Final = 0.002
"""For Python's lock, while the event loop has it. The ledger's thread wants it back after every statement: at the 5 ms
that are usual, a group of rows took hundreds of milliseconds as soon as the loop was never idle."""
LEVELS = logging.getLevelNamesMapping()


class Server(uvicorn.Server):
    """uvicorn, which also leaves the address in the data folder and greets once it listens."""

    def __init__(self, config: uvicorn.Config, app: Litestar, settings: Settings) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop: readiness goes first, so that nobody sends more while open answers finish."""
        services: Services | None = self._app.state.get("services")
        if services is not None:
            services.stop()
        super().handle_exit(sig, frame)

    def reload(self) -> None:
        """A signal that the configuration file has changed."""
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        services: Services = self._app.state.services
        try:
            await reload(services)
        except (SettingsInvalid, LedgerUnavailable) as error:
            services.observer.not_reloaded(error)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        # What the start has made stays. To look through all of it for garbage takes 40 ms, in which nobody is served.
        gc.collect()
        gc.freeze()
        assert sockets
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)
        host, port = sockets[0].getsockname()[:2]
        write_private(address_file(self._settings), json.dumps({"host": host, "port": port, "pid": os.getpid()}))
        greet(self._app.state.services, f"http://{host}:{port}")


def address_file(settings: Settings) -> Path:
    """Where a running server says how to reach it."""
    return settings.data_dir / "server.json"


def serve(settings: Settings, listening: socket.socket, reread: Callable[[], Settings] | None = None) -> int:
    """Serves on this socket until a signal. `reread` reads the configuration again at a hangup signal. Returns the
    exit code."""
    configure_logging(settings.server.log_level)
    sys.setswitchinterval(_OTHER_THREADS_WAIT_S)
    app = create_app(settings, reread=reread)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=guarded_protocol(settings.server.slow_client_s, Door(app)),
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # a header must not make a client look as if it were on this machine
        timeout_graceful_shutdown=settings.server.shutdown_grace_s,
        timeout_keep_alive=75,
    )
    server = Server(config, app, settings)
    # uvicorn stops in good order at these signals, and then raises them again: that must not kill the process,
    # whose exit code would say that it failed.
    for stopping in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stopping, lambda *_: None)
    try:
        server.run(sockets=_watched(listening))
    finally:
        address_file(settings).unlink(missing_ok=True)
    return 0 if server.started else 3


def _watched(listening: socket.socket) -> list[socket.socket]:
    """The same socket several times. libuv takes one connection from each in a round of its loop (since 1.46); under
    load, when rounds are long, a storm of clients would wait for seconds to be heard at all."""
    return [listening, *(listening.dup() for _ in range(_ACCEPTED_AT_ONCE - 1))]


def configure_logging(level: str) -> None:
    """JSON lines on standard error, so that standard output stays for people."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(_Forgiving(sys.stderr)),  # type: ignore[arg-type]
    )


class _Forgiving:
    """A stream that loses what it cannot write: a full disk must not turn a log line into a failed request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def greet(services: Services, url: str) -> None:
    """What a newcomer needs: whether it simulates, a request to paste, and the next step."""
    out = Console(highlight=False)
    out.print(f"\n[bold]Thriftgate[/bold] listens on [bold]{url}[/bold]")
    if services.cache.statistics()["encoder"] is None:
        out.print("[yellow]The semantic cache is off: no encoder. Run `make encoder`, then start again.[/yellow]")
    if services.development_key is None:
        out.print("Make a key with: thriftgate keys create --team support --app faq-bot\n")
        return
    out.print(
        "[yellow]It is SIMULATING: answers are made up, no provider is called, nothing costs money.[/yellow]\n"
        "\nTry it, then ask again in other words and look at the x-thriftgate-cache header:\n",
        soft_wrap=True,
    )
    body = '{"model": "auto", "messages": [{"role": "user", "content": "How do I reset my password?"}]}'
    print(  # noqa: T201  unwrapped, so that it can be pasted
        f"curl -si {url}/v1/chat/completions \\\n"
        f'  -H "Authorization: Bearer {services.development_key}" \\\n'
        f'  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'\n"
    )
    out.print(
        "For a real provider: set OPENAI_API_KEY and start again, or copy thriftgate.example.toml to "
        "thriftgate.toml.\nThe development key then no longer works; "
        "make one with: thriftgate keys create --team support --app faq-bot\n",
        soft_wrap=True,
    )
