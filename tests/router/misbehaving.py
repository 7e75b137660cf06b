"""A provider that misbehaves on purpose: a raw server on loopback whose answers are scripted byte by byte.

Each script has a path of its own, `http://127.0.0.1:PORT/NAME`, and gets a `Wire`: a connection with one request
read from it. Where a script ends, its connection is closed, unless it said otherwise.
"""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Seen:
    """One request as it arrived."""

    name: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Wire:
    """The connection that a script answers on. `attempt` counts the script's requests, from 1."""

    seen: Seen
    attempt: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    may_go_on: asyncio.Event
    stays_open: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def slowly(self, data: bytes) -> None:
        """One byte at a time, each in a packet of its own."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await asyncio.sleep(0)

    async def head(self, status: int = 200, content_type: str = "application/json", *more: str) -> None:
        """The head of an answer that ends with its connection, unless `more` gives it a length."""
        lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {content_type}", *more]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, body: bytes, status: int = 200, content_type: str = "application/json", *more: str) -> None:
        """A whole answer with its length; the connection stays open for the next request."""
        await self.head(status, content_type, f"content-length: {len(body)}", *more)
        await self.send(body)
        self.stays_open = True

    async def chunked(self, *chunks: bytes, content_type: str = "text/event-stream", ends: bool = True) -> None:
        """An answer in chunks; the connection stays open for the next request if it `ends`."""
        await self.head(200, content_type, "transfer-encoding: chunked")
        for chunk in chunks:
            await self.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if ends:
            await self.send(b"0\r\n\r\n")
        self.stays_open = ends

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def go_on(self) -> None:
        """Waits until the test says so."""
        async with asyncio.timeout(10):
            await self.may_go_on.wait()

    async def hang(self) -> None:
        """Says nothing more until the other side has hung up."""
        with suppress(ConnectionError):
            while await self.reader.read(1024):
                pass


Script = Callable[[Wire], Awaitable[None]]


@dataclass
class MisbehavingProvider:
    """What the server saw. `open_connections` counts those that nobody has closed."""

    port: int
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def attempts(self, name: str) -> int:
        return Counter(seen.name for seen in self.requests)[name]

    async def until(self, is_so: Callable[["MisbehavingProvider"], bool]) -> None:
        """Waits until this is so; fails after ten seconds."""
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: is_so(self))


@asynccontextmanager
async def misbehaving(scripts: dict[str, Script]) -> AsyncIterator[MisbehavingProvider]:
    """The server, while the context lasts."""
    provider = MisbehavingProvider(0)
    tasks: set[asyncio.Task[None]] = set()

    async def note(**delta: int) -> None:
        async with provider.changed:
            for name, step in delta.items():
                setattr(provider, name, getattr(provider, name) + step)
            provider.changed.notify_all()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await note(connections=1, open_connections=1)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await answered(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writer.close()
            await note(open_connections=-1)
            tasks.discard(task)

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reads one request and lets its script answer; whether another one may come."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        name = head[0].split(" ")[1].split("/")[1]
        seen = Seen(name, headers, body)
        provider.requests.append(seen)
        await note()
        wire = Wire(seen, provider.attempts(name), reader, writer, provider.may_go_on)
        await scripts[name](wire)
        return wire.stays_open

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    try:
        yield provider
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


# --- what a well-behaved provider says -----------------------------------------------------------------------------


def body(text: str = "Hello", **fields: Any) -> bytes:
    """A JSON answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage} | fields).encode()


def chunk(text: str | None = None, finish: str | None = None, **fields: Any) -> bytes:
    """One event of a stream."""
    delta = {} if text is None else {"content": text}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    payload = {"id": "c", "object": "chat.completion.chunk", "choices": choices} | fields
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


USAGE = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
FINISH = chunk(finish="stop")
DONE = b"data: [DONE]\n\n"
STREAM = chunk("Hel") + chunk("lo 🙂 é") + FINISH + USAGE + DONE
