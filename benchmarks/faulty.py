"""Upstream servers on loopback that speak OpenAI's chat completions and misbehave on purpose, in ways that are switched
while they run.

Each `Upstream` is one deployment: a port of its own that answers correctly (`benchmarks/tokens.py`) until `misbehave`
says how it fails from now on, and in which share of cases. It remembers which request met which fault. Owns the wire;
refuses to know the gateway and what is expected of it.

A fault of a *request* is drawn after the request was read; one of a *connection* when it is made, which is why answers
then say `connection: close`: each request needs a new one. Refusals and restarts happen in time: the port is closed for
a share of each period.
"""

import asyncio
import functools
import itertools
import json
import random
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.tokens import Stamp, answer, token_of

PERIOD_S: Final = 0.2
"""Of refusals and restarts: in each period the port is closed once."""
SLOWER: Final = 20
"""By how much latency grows where that is the fault."""
_DRIP_S: Final = 1.0
_LEAVING_S: Final = 0.05
_STATUSES: Final = (500, 502, 503, 504, 520, 529)

Level = Literal["request", "connection", "port", "key"]


class Gone(Exception):
    """The other side has hung up."""


@dataclass(slots=True)
class Met:
    """One fault as it hit one request."""

    fault: str
    hangs: bool
    after_first: bool = False
    """Whether the first event of a stream had been sent by then."""


class Wire:
    """A connection with one request read from it, to answer on. Raises Gone once nobody listens."""

    def __init__(self, upstream: "Upstream", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        self.token = ""
        self.key = ""
        self.is_stream = False
        self.fault: Met | None = None
        """What strikes this request."""
        self.has_begun = False
        """Whether the first event of a stream is on its way."""
        self.keeps_open = False

    async def send(self, data: bytes) -> None:
        if self.writer.transport.is_closing():
            raise Gone
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, content_type: str, *more: str, status: int = 200) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"content-type: {content_type}", *more]
        if self.upstream.closes_connections:
            lines.append("connection: close")
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def whole(
        self, content: bytes, *more: str, status: int = 200, content_type: str = "application/json"
    ) -> None:
        """An answer with its length."""
        await self.head(content_type, f"content-length: {len(content)}", *more, status=status)
        await self.send(content)
        self.keeps_open = not self.upstream.closes_connections

    async def begin_stream(self) -> None:
        await self.head("text/event-stream", "transfer-encoding: chunked")

    async def events(self, events: Iterable[bytes], *, ends: bool = False) -> None:
        """Each in a chunk of its own; the body's end after them if it `ends`."""
        data = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in events)
        self.has_begun = self.has_begun or bool(data)
        if self.fault is not None:
            self.fault.after_first = self.has_begun
        await self.send(data + (b"0\r\n\r\n" if ends else b""))
        self.keeps_open = ends and not self.upstream.closes_connections

    async def refuse(self, status: int, message: str, *more: str) -> None:
        """OpenAI's error body."""
        error = {"message": message, "type": "server_error", "param": None, "code": None}
        await self.whole(json.dumps({"error": error}).encode(), *more, status=status)

    async def wait(self, seconds: float) -> None:
        """Says nothing for so long. Raises Gone as soon as the other side hangs up."""
        try:
            async with asyncio.timeout(seconds):
                if await self.reader.read(1) == b"":
                    raise Gone
        except TimeoutError:
            return

    async def hang(self) -> None:
        """Says nothing more until the other side hangs up."""
        while True:
            await self.wait(3600)

    async def drip(self, data: bytes) -> None:
        """One byte a second."""
        for at in range(len(data)):
            await self.send(data[at : at + 1])
            await self.wait(_DRIP_S)

    def reset(self) -> None:
        """Ends the connection with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


# --- what a right answer looks like ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """One right answer in both of its forms."""

    serial: int
    text: str

    @property
    def _shared(self) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.serial}", "created": 1_750_000_000, "model": "chaos-1"}

    @property
    def _usage(self) -> dict[str, int]:
        written = len(self.text) // 4
        return {"prompt_tokens": 12, "completion_tokens": written, "total_tokens": 12 + written}

    def body(self) -> bytes:
        choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
        whole = {**self._shared, "object": "chat.completion", "choices": [choice], "usage": self._usage}
        return json.dumps(whole, ensure_ascii=False).encode()

    def events(self) -> list[bytes]:
        """The role, the text in pieces, the finish, the usage, `[DONE]`."""
        size = len(self.text) // 4 + 1
        pieces = [self.text[at : at + size] for at in range(0, len(self.text), size)]
        deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
        deltas += [({"content": piece}, None) for piece in pieces]
        deltas.append(({}, "stop"))
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
        ]
        chunks.append({"choices": [], "usage": self._usage})
        shared = {**self._shared, "object": "chat.completion.chunk"}
        return [_event(json.dumps({**shared, **chunk}, ensure_ascii=False).encode()) for chunk in chunks] + [DONE]


def _event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


DONE: Final = _event(b"[DONE]")
_ERROR_EVENT: Final = _event(b'{"error": {"message": "Something went wrong.", "type": "server_error", "code": null}}')
_SERIALS = itertools.count(1)


async def answer_properly(wire: Wire) -> None:
    """The right answer, after the upstream's latency."""
    upstream = wire.upstream
    await upstream.take_time(wire)
    found = upstream.write_answer(wire.token)
    if not wire.is_stream:
        await wire.whole(found.body())
        return
    events = found.events()
    await wire.begin_stream()
    await wire.events(events[:2])
    await wire.events(events[2:], ends=True)


# --- the faults ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """One way to fail. `act` is what a fault of a request does instead of answering."""

    name: str
    level: Level = "request"
    act: Callable[[Wire], Awaitable[None]] = answer_properly
    hangs: bool = False
    """Whether only a timeout ends it."""
    after_first: bool = False
    """Whether it lets a stream begin. A JSON answer has only one event, so there it strikes before it."""
    is_failure: bool = True
    """Off for what is merely slow."""
    needs_tls: bool = False


async def _reset(wire: Wire) -> None:
    wire.reset()


async def _hang_up(wire: Wire) -> None:
    wire.writer.close()


async def _hang(wire: Wire) -> None:
    await wire.hang()


async def _hang_after_head(wire: Wire) -> None:
    if wire.is_stream:
        await wire.begin_stream()
    else:
        await wire.head("application/json", "content-length: 500")
    await wire.hang()


async def _drip(wire: Wire) -> None:
    body = wire.upstream.write_answer(wire.token).body()
    await wire.drip(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + body)


async def _cut(wire: Wire) -> None:
    found = wire.upstream.write_answer(wire.token)
    if wire.is_stream:
        await wire.begin_stream()
        event = found.events()[0]
        await wire.send(b"%x\r\n%s" % (len(event), event[: len(event) // 2]))
    else:
        body = found.body()
        await wire.head("application/json", f"content-length: {len(body)}")
        await wire.send(body[: len(body) // 2])


async def _truncated_json(wire: Wire) -> None:
    """Proper HTTP around half a JSON text."""
    found = wire.upstream.write_answer(wire.token)
    if wire.is_stream:
        event = found.events()[0].rstrip()
        await wire.begin_stream()
        await wire.events([event[: len(event) // 2] + b"\n\n"], ends=True)
        return
    body = found.body()
    await wire.whole(body[: len(body) // 2])


async def _wrong_type(wire: Wire) -> None:
    page = b"<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>"
    await wire.whole(page, content_type="text/html")


async def _error_as_success(wire: Wire) -> None:
    if wire.is_stream and wire.upstream.chance.random() < 0.5:
        await wire.begin_stream()
        await wire.events([_ERROR_EVENT], ends=True)
    else:
        await wire.refuse(200, "Something went wrong.")


def _rate_limited(*more: str) -> Callable[[Wire], Awaitable[None]]:
    async def act(wire: Wire) -> None:
        await wire.refuse(429, "Rate limit reached.", *more)

    return act


async def _server_error(wire: Wire) -> None:
    await wire.refuse(wire.upstream.chance.choice(_STATUSES), "The server had an error.")


async def _key_refused(wire: Wire) -> None:
    await wire.refuse(401, "Incorrect API key provided.")


async def _slow(wire: Wire) -> None:
    await wire.wait(wire.upstream.latency_s * (SLOWER - 1))
    await answer_properly(wire)


def _midway(end: Callable[[Wire, Answered], Awaitable[None]]) -> Callable[[Wire], Awaitable[None]]:
    """Half of a stream, then this. A JSON answer is cut."""

    async def act(wire: Wire) -> None:
        if not wire.is_stream:
            await _cut(wire)
            return
        await wire.upstream.take_time(wire)
        found = wire.upstream.write_answer(wire.token)
        await wire.begin_stream()
        await wire.events(found.events()[:3])
        await end(wire, found)

    return act


async def _then_hang(wire: Wire, found: Answered) -> None:
    await wire.hang()


async def _then_drip(wire: Wire, found: Answered) -> None:
    rest = b"".join(found.events()[3:])
    await wire.drip(b"%x\r\n%s\r\n0\r\n\r\n" % (len(rest), rest))


async def _then_cut(wire: Wire, found: Answered) -> None:
    event = found.events()[3]
    await wire.send(b"%x\r\n%s" % (len(event), event[: len(event) // 2]))


async def _then_reset(wire: Wire, found: Answered) -> None:
    wire.reset()


async def _then_end(wire: Wire, found: Answered) -> None:
    """The HTTP body ends in good order; the answer does not."""
    await wire.events([], ends=True)


async def _then_error(wire: Wire, found: Answered) -> None:
    await wire.events([_ERROR_EVENT], ends=True)


async def _then_half_json(wire: Wire, found: Answered) -> None:
    event = found.events()[3].rstrip()
    await wire.events([event[: len(event) // 2] + b"\n\n", *found.events()[4:]], ends=True)


REFUSED: Final = Fault("refused connections", "port")
RESTART: Final = Fault("upstream restart", "port", after_first=True)
TLS: Final = Fault("TLS failures", "connection", needs_tls=True)
KEY_REVOKED: Final = Fault("keys revoked", "key", _key_refused)

BEFORE_FIRST: Final = (
    REFUSED,
    Fault("reset on connect", "connection"),
    Fault("reset after the request", act=_reset),
    Fault("hung up after the request", act=_hang_up),
    TLS,
    Fault("hang before headers", act=_hang, hangs=True),
    Fault("hang after headers", act=_hang_after_head, hangs=True),
    Fault("drip, a byte a second", act=_drip, hangs=True),
    Fault("cut within the first event", act=_cut),
    Fault("truncated JSON", act=_truncated_json),
    Fault("wrong content type", act=_wrong_type),
    Fault("200 with an error body", act=_error_as_success),
    Fault("429", act=_rate_limited()),
    Fault("429, Retry-After 1", act=_rate_limited("retry-after: 1")),
    Fault("429, Retry-After 30", act=_rate_limited("retry-after: 30")),
    Fault("5xx", act=_server_error),
    KEY_REVOKED,
    Fault("latency x20", act=_slow, is_failure=False),
)
AFTER_FIRST: Final = (
    RESTART,
    Fault("hang mid-stream", act=_midway(_then_hang), hangs=True, after_first=True),
    Fault("drip mid-stream", act=_midway(_then_drip), hangs=True, after_first=True),
    Fault("cut mid-stream", act=_midway(_then_cut), after_first=True),
    Fault("reset mid-stream", act=_midway(_then_reset), after_first=True),
    Fault("ended mid-stream", act=_midway(_then_end), after_first=True),
    Fault("error mid-stream", act=_midway(_then_error), after_first=True),
    Fault("truncated JSON mid-stream", act=_midway(_then_half_json), after_first=True),
)
DNS: Final = Fault("DNS failure", "port")
"""No server has it: the address of the deployment does not resolve."""
UNRESOLVABLE: Final = "http://no-such-upstream.invalid/v1"


# --- the server -----------------------------------------------------------------------------------------------------


@dataclass
class Upstream:
    """One deployment. `start` opens its port, `stop` closes everything. Rates are shares from 0 to 1."""

    name: str
    latency_s: float = 0.010
    """From a request to the first byte of its answer."""
    capacity: int | None = None
    """How many answers are made at the same time; the others wait in line. None = any number."""
    certificates: "Certificates | None" = None
    """Set for a server that speaks TLS."""
    seed: int = 8080
    keys: list[str] = field(default_factory=list)
    """Those that a share of is revoked, where that is the fault."""
    met: dict[str, list[Met]] = field(default_factory=dict)
    """Token -> the faults that its request met here, in order."""
    served: int = 0
    """Right answers that were begun."""
    under_way: int = 0
    most_under_way: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed} {self.name}")
        self.port = 0
        self._faults: Sequence[Fault] = ()
        self._rate = 0.0
        self._listener: socket.socket | None = None
        self._toggling: asyncio.Task[None] | None = None
        # Not by cancelling it, which would leave a port half closed.
        self._ends_toggling = asyncio.Event()
        self._serving: dict[asyncio.Task[None], Wire | None] = {}
        self._slots = asyncio.Semaphore(self.capacity) if self.capacity else None

    @property
    def base_url(self) -> str:
        return f"{'https' if self.certificates else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def closes_connections(self) -> bool:
        """Whether each request needs a connection of its own, for a fault to strike it."""
        return any(fault.level == "connection" for fault in self._faults)

    async def start(self) -> "Upstream":
        self._open()
        return self

    async def stop(self) -> None:
        await self.misbehave((), 0.0)
        self._close_port(drops=False)
        if self._serving:  # whose client has left ends by itself
            await asyncio.wait(list(self._serving), timeout=_LEAVING_S)
        while self._serving:
            self._drop(also_busy=True)
            await asyncio.wait(list(self._serving), timeout=1)

    async def misbehave(self, faults: Fault | Sequence[Fault], rate: float) -> None:
        """From now on this share of requests, of connections or of the time meets one of these faults."""
        self._faults, self._rate = ((faults,) if isinstance(faults, Fault) else tuple(faults)), rate
        if self._toggling is not None:
            self._ends_toggling.set()
            await self._toggling
            self._toggling = None
        self._open()
        if self.closes_connections:
            self._drop(also_busy=False)
        closing = [fault for fault in self._faults if fault.level == "port"]
        if closing and rate > 0:
            drops = RESTART in closing
            self._refuse(drops=drops)
            self._ends_toggling.clear()
            self._toggling = asyncio.create_task(self._toggle(self._share(closing[0]), drops=drops))

    async def behave(self) -> None:
        """Answers correctly again."""
        await self.misbehave((), 0.0)

    async def take_time(self, wire: Wire) -> None:
        """The latency of an answer, in line for one of the slots."""
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self._slots is None:
                await asyncio.sleep(self.latency_s)
                return
            async with self._slots:
                if wire.reader.at_eof():
                    raise Gone
                await asyncio.sleep(self.latency_s)
        finally:
            self.under_way -= 1

    def write_answer(self, token: str) -> Answered:
        """A right answer with a serial number of its own."""
        self.served += 1
        serial = next(_SERIALS)
        return Answered(serial, answer(token, Stamp(self.name, serial)))

    # --- the port ---

    def _open(self) -> None:
        if self._listener is None:
            self._listener = _bound(self.port)
            self.port = self._listener.getsockname()[1]
        self._listener.listen(1024)
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def _refuse(self, *, drops: bool) -> None:
        """Refuses connections from now on. The port stays bound, so that nobody else gets it, but nobody listens."""
        self._close_port(drops=drops)
        self._listener = _bound(self.port)

    def _close_port(self, *, drops: bool) -> None:
        """Closes idle connections, and with `drops` those in the middle of an answer."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._drop(also_busy=drops)

    def _drop(self, *, also_busy: bool) -> None:
        """Closes the connections that wait for a request, and those in the middle of one too."""
        for task, wire in list(self._serving.items()):
            if wire is None or also_busy:
                task.cancel()

    async def _toggle(self, rate: float, *, drops: bool) -> None:
        """Keeps the port, which is closed, closed for a share of each period, or until it is to end."""
        while True:
            await self._toggling_ends_within(PERIOD_S * rate if rate < 1 else None)
            self._open()
            if await self._toggling_ends_within(PERIOD_S * (1 - rate) * self.chance.uniform(0.5, 1.5)):
                return
            self._refuse(drops=drops)

    async def _toggling_ends_within(self, seconds: float | None) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._ends_toggling.wait()
        return False

    def _accept(self, listener: socket.socket) -> None:
        """All who wait. Nothing is awaited: a connection that was accepted cannot be forgotten when the port closes."""
        with suppress(BlockingIOError, ConnectionAbortedError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                task = asyncio.get_running_loop().create_task(self._serve(connection))
                self._serving[task] = None
                task.add_done_callback(functools.partial(self._served, connection))

    def _served(self, connection: socket.socket, done: asyncio.Task[None]) -> None:
        self._serving.pop(done, None)
        if done.cancelled():  # before it began: it closes its connection otherwise
            connection.close()

    # --- a connection ---

    async def _serve(self, connection: socket.socket) -> None:
        fault = next((fault for fault in self._faults if fault.level == "connection"), None)
        strikes = fault is not None and self.chance.random() < self._share(fault)
        if strikes and fault is not TLS:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return
        writer: asyncio.StreamWriter | None = None
        is_dropped = False
        try:
            with suppress(OSError, ssl.SSLError, EOFError, Gone):
                reader, writer = await self._handshake(connection, strikes)
                while await self._answer_one(reader, writer):
                    pass
        except asyncio.CancelledError:
            is_dropped = True
        finally:
            if writer is None:
                connection.close()
            elif is_dropped:
                writer.transport.abort()
            else:
                writer.close()

    async def _handshake(
        self, connection: socket.socket, fails: bool
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection, over TLS if the server has certificates: a failing one shows a wrong certificate, talks
        plain HTTP, or hangs up."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self.certificates.good if self.certificates else None
        if fails and self.certificates is not None:
            how = self.chance.randrange(3)
            if how == 0:
                await loop.sock_sendall(connection, b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            if how < 2:
                raise Gone
            context = self.certificates.wrong
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Reads one request and answers it, or does not; whether another one may come."""
        task = asyncio.current_task()
        assert task is not None
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        body = await _body(reader, head)
        wire = Wire(self, reader, writer)
        if head.startswith(b"get "):
            await self._tell_models(wire)
            return wire.keeps_open
        asked = json.loads(body)
        wire.token = token_of(asked["messages"][-1]["content"])
        wire.is_stream = bool(asked.get("stream"))
        wire.key = _field(head, b"authorization").removeprefix("bearer ")
        self._serving[task] = wire
        fault = self._drawn(wire)
        self._note(wire, fault)
        try:
            await (fault.act if fault else answer_properly)(wire)
        except asyncio.CancelledError:
            self._note(wire, RESTART)
            raise
        self._serving[task] = None
        return wire.keeps_open

    async def _tell_models(self, wire: Wire) -> None:
        """The free endpoint that shows whether a server is well: it fails as often as answers do."""
        fault = self._drawn(wire)
        if fault is None or not fault.is_failure:
            await wire.whole(b'{"object": "list", "data": []}')
        elif fault.hangs:
            await wire.hang()
        else:
            await wire.refuse(503, "Not well.")

    def _drawn(self, wire: Wire) -> Fault | None:
        """The fault that strikes this request, if any."""
        options = [fault for fault in self._faults if fault.level in ("request", "key")]
        if not options:
            return None
        fault = self.chance.choice(options)
        if fault.level == "key":
            known = [key.lower() for key in self.keys]
            revoked = known[: max(round(len(known) * self._rate), 1)]
            return fault if wire.key in revoked else None
        return fault if self.chance.random() < self._share(fault) else None

    def _share(self, fault: Fault) -> float:
        """Of those cases that a fault of this level may strike. Faults of other levels strike beside it."""
        levels = {other.level for other in self._faults}
        return self._rate if len(levels) == 1 else self._rate / len(levels)

    def _note(self, wire: Wire, fault: Fault | None) -> None:
        """Before it strikes, so that whoever sees its consequences finds it."""
        if fault is not None and fault.is_failure:
            hangs = fault.hangs and (wire.is_stream or not fault.after_first)
            wire.fault = Met(fault.name, hangs, wire.has_begun)
            self.met.setdefault(wire.token, []).append(wire.fault)


def _bound(port: int) -> socket.socket:
    """A socket that owns the port without listening on it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if length := _field(head, b"content-length"):
        return await reader.readexactly(int(length))
    body = b""
    while _field(head, b"transfer-encoding") == "chunked":
        size = int(await reader.readline(), 16)
        body += (await reader.readexactly(size + 2))[:-2]
        if size == 0:
            break
    return body


def _field(lower_head: bytes, name: bytes) -> str:
    _, found, rest = lower_head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode("latin-1") if found else ""


# --- TLS ----------------------------------------------------------------------------------------------------------


class Certificates:
    """A certificate for 127.0.0.1 that whoever trusts `trusted` accepts, and one that nobody does. Made by the
    `openssl` command in a folder of its own; valid for two days."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.trusted = folder / "trusted.pem"
        self.good = _server_context(self.trusted, folder / "trusted.key", "IP:127.0.0.1")
        self.wrong = _server_context(folder / "other.pem", folder / "other.key", "DNS:elsewhere.invalid")

    @staticmethod
    def can_be_made() -> bool:
        return shutil.which("openssl") is not None


def _server_context(certificate: Path, key: Path, name: str) -> ssl.SSLContext:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=chaos", "-addext", f"subjectAltName={name}"]
    subprocess.run(
        [*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True, timeout=30
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def every_fault() -> Iterator[Fault]:
    yield from BEFORE_FIRST
    yield DNS
    yield from AFTER_FIRST
