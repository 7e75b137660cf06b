"""Compares ways to call an upstream: what a transport costs when the upstream costs next to nothing.

    python -m benchmarks.transports [--concurrency 32] [--seconds 3] [--rounds 3]

The upstream is `benchmarks/loopback.py` in a process of its own; the calls are made on uvloop, as the gateway makes
them, each reading its answer to the end: a JSON body at once, or server-sent events one by one.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version

import aiohttp
import httpx
import uvloop
from httpx_aiohttp import AiohttpTransport
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.loopback import EVENTS, running_loopback
from benchmarks.traffic import chat

HEADERS = {"content-type": "application/json", "accept-encoding": "identity", "authorization": "Bearer sk-none"}

Call = Callable[[bytes], Awaitable[bytes]]
"""Sends a body, returns the whole answer."""


class _HttpxClient:
    """httpx.AsyncClient over a transport."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._client = httpx.AsyncClient(transport=transport, timeout=60, trust_env=False)

    async def json(self, body: bytes) -> bytes:
        return (await self._client.post(self._url, content=body, headers=HEADERS)).content

    async def stream(self, body: bytes) -> bytes:
        async with self._client.stream("POST", self._url, content=body, headers=HEADERS) as response:
            return b"".join([chunk async for chunk in response.aiter_raw()])

    async def close(self) -> None:
        await self._client.aclose()


class _BareTransport:
    """An httpx transport called directly, without a client around it."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._transport = transport

    async def json(self, body: bytes) -> bytes:
        request = httpx.Request(
            "POST", self._url, content=body, headers=HEADERS, extensions={"timeout": {"connect": 5.0, "read": 60.0}}
        )
        response = await self._transport.handle_async_request(request)
        try:
            return b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
        finally:
            await response.aclose()

    stream = json

    async def close(self) -> None:
        await self._transport.aclose()


class _AiohttpSession:
    """aiohttp's own client."""

    def __init__(self, url: str) -> None:
        self._url = url
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(sock_read=60))

    async def json(self, body: bytes) -> bytes:
        async with self._session.post(self._url, data=body, headers=HEADERS) as response:
            return await response.read()

    async def stream(self, body: bytes) -> bytes:
        async with self._session.post(self._url, data=body, headers=HEADERS) as response:
            return b"".join([chunk async for chunk in response.content.iter_any()])

    async def close(self) -> None:
        await self._session.close()


Subject = _HttpxClient | _BareTransport | _AiohttpSession

_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)
SUBJECTS: dict[str, Callable[[str], Subject]] = {
    "httpx.AsyncClient, httpx's own transport": lambda url: _HttpxClient(url, httpx.AsyncHTTPTransport(limits=_LIMITS)),
    "httpx.AsyncClient, AiohttpTransport": lambda url: _HttpxClient(
        url, AiohttpTransport(limits=httpx.Limits(max_connections=0))
    ),
    "AiohttpTransport called directly": lambda url: _BareTransport(
        url, AiohttpTransport(limits=httpx.Limits(max_connections=0))
    ),
    "aiohttp.ClientSession": _AiohttpSession,
}


async def _rate(call: Call, body: bytes, is_whole: Callable[[bytes], bool], concurrency: int, seconds: float) -> float:
    """Answers per second, `concurrency` at any time."""
    count = 0
    end = time.perf_counter() + seconds

    async def keep_calling() -> None:
        nonlocal count
        while time.perf_counter() < end:
            answer = await call(body)
            if not is_whole(answer):
                raise RuntimeError(f"not the whole answer: {answer[-80:]!r}")
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*(keep_calling() for _ in range(concurrency)))
    return count / (time.perf_counter() - started)


async def _compare(
    url: str, concurrency: int, seconds: float, rounds: int, advance: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """The median over the rounds; in each round every subject takes its turn."""
    bodies = {
        "json": json.dumps(chat("How can I reset my password?")).encode(),
        "stream": json.dumps(chat("How can I reset my password?", stream=True)).encode(),
    }
    wholes: dict[str, Callable[[bytes], bool]] = {
        "json": lambda answer: answer.endswith(b"}"),
        "stream": lambda answer: answer.endswith(b"[DONE]\n\n"),
    }
    subjects = {name: make(url) for name, make in SUBJECTS.items()}
    rates: dict[str, dict[str, list[float]]] = {name: {form: [] for form in bodies} for name in subjects}
    try:
        for _ in range(rounds):
            for name, subject in subjects.items():
                for form, body in bodies.items():
                    advance(f"{name}, {form}")
                    call = subject.json if form == "json" else subject.stream
                    rates[name][form].append(await _rate(call, body, wholes[form], concurrency, seconds))
    finally:
        for subject in subjects.values():
            await subject.close()
    return {
        name: {form: statistics.median(found) for form, found in by_form.items()} for name, by_form in rates.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transports",
        description=(__doc__ or "").partition("\n")[0],
        epilog="Runs for seconds * rounds * 8. Figures are answers per second, the median over the rounds.",
    )
    parser.add_argument("--concurrency", type=int, default=32, help="calls under way at any time (default: 32)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each measurement takes (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (default: 3)")
    asked = parser.parse_args()

    out = Console(highlight=False)
    with running_loopback() as port, Progress(console=out, transient=True) as progress:
        task = progress.add_task("", total=len(SUBJECTS) * 2 * asked.rounds)

        def advance(name: str) -> None:
            progress.update(task, description=name, advance=1)

        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        rates = uvloop.run(_compare(url, asked.concurrency, asked.seconds, asked.rounds, advance))

    table = Table(title=f"Upstream transports at {asked.concurrency} concurrent calls, answers per second")
    table.add_column("transport", no_wrap=True)
    for heading in ("JSON", f"SSE, {EVENTS} events", "JSON, times the slowest"):
        table.add_column(heading, justify="right")
    slowest = min(found["json"] for found in rates.values())
    for name, found in rates.items():
        table.add_row(name, f"{found['json']:,.0f}", f"{found['stream']:,.0f}", f"{found['json'] / slowest:.1f}x")
    out.print(table)
    names = ("httpx", "httpx-aiohttp", "aiohttp", "uvloop")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    out.print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {versions}")


if __name__ == "__main__":
    main()
