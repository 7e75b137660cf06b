"""A scripted provider over real HTTP: sends exactly the bytes a test wants and remembers what it got.

It runs in a thread of the test process. A reply is a list of steps on the raw socket: bytes that are written
as they are, a `Gate` that waits for the test, `HANG`, `HANG_UP` and `CUT`. Knows OpenAI's wire format only in the small
functions at the end, which build replies.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

WAIT_AT_MOST_S: Final = 30.0


class Gate:
    """Holds a reply back until the test opens it. `arrived` counts the calls that have come to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = asyncio.Event()
        self.arrived = 0

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._open.set)

    async def wait(self) -> None:
        self.arrived += 1
        async with asyncio.timeout(WAIT_AT_MOST_S):
            await self._open.wait()


HANG: Final = "hang"
"""Send nothing more; wait until the gateway hangs up."""
CUT: Final = "cut"
"""Break the connection off at once, with a reset."""

HANG_UP: Final = "hang up"
"""Close the connection in good order, once all is sent."""

Step = bytes | Gate | Literal["hang", "cut", "hang up"]
Reply = Sequence[Step]


@dataclass(frozen=True)
class Received:
    """One request, as it was on the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def model(self) -> str:
        return str(self.json["model"])

    @property
    def streams(self) -> bool:
        return bool(self.json.get("stream"))

    @property
    def text(self) -> str:
        """The last message's text."""
        return str(self.json["messages"][-1]["content"])


@dataclass
class Call:
    """A request and what became of its reply."""

    received: Received
    is_answered: threading.Event = field(default_factory=threading.Event)
    """Every step of the reply was done."""
    is_hung_up: threading.Event = field(default_factory=threading.Event)
    """The gateway closed the connection before the reply was done."""

    @property
    def is_over(self) -> bool:
        """One or the other: after `[DONE]` the gateway need not wait for what is left of a stream."""
        return self.is_answered.is_set() or self.is_hung_up.is_set()


Script = Reply | Callable[[Received], Reply]


class Provider:
    """Answers `POST /v1/chat/completions` by script: the nth call to a model gets its nth reply, later ones
    the last. A model without a script is answered with `echo`."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="provider", daemon=True)
        self._server: asyncio.Server | None = None
        self._scripts: dict[str, list[Script]] = {}
        self._connections: set[_Connection] = set()
        self._faults: list[Exception] = []
        self.calls: list[Call] = []
        self.checks = 0
        """How often it was asked for its models."""
        self.check_status = 200
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def reset(self) -> None:
        """Forgets all scripts and calls."""
        self._scripts = {}
        self.calls = []
        self.checks, self.check_status = 0, 200

    def script(self, model: str, *replies: Script) -> None:
        """What the next calls to this model get."""
        self._scripts[model] = list(replies)

    def gate(self) -> Gate:
        return Gate(self._loop)

    def calls_to(self, model: str) -> list[Call]:
        return [call for call in self.calls if call.received.model == model]

    def calls_with(self, text: str) -> list[Call]:
        """Calls whose last message says this."""
        return [call for call in self.calls if call.received.text == text]

    def start(self) -> None:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(WAIT_AT_MOST_S)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(WAIT_AT_MOST_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_AT_MOST_S)
        self._loop.close()
        if self._faults:
            raise ExceptionGroup("scripts that failed", self._faults)

    async def _listen(self) -> asyncio.Server:
        return await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=1024)

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.sleep(0.01)  # who was accepted last has a connection by then, and can be hung up on
        for connection in list(self._connections):
            await connection.close()

    def reading(self, received: Received) -> Received:
        """The request, as one of this protocol says its model and its words."""
        return received

    def fault(self, received: Received) -> Reply | None:
        """What the real one would refuse, whatever the script says."""
        return None

    def take(self, received: Received) -> tuple[Call, Reply]:
        """Notes the request and picks its reply. A question that costs nothing is no call."""
        if received.method == "GET":
            self.checks += 1
            return Call(received), json_reply({"object": "list", "data": []}, self.check_status)
        received = self.reading(received)
        call = Call(received)
        self.calls.append(call)
        if (refusal := self.fault(received)) is not None:
            return call, refusal
        scripts = self._scripts.get(received.model)
        if not scripts:
            return call, echo(received, len(self.calls))
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        return call, script(received) if callable(script) else script


class _Connection(asyncio.Protocol):
    """One connection, kept alive for one request after the other."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._buffer = b""
        self._arrived = asyncio.Event()
        self._is_lost = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider._connections.add(self)
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost.set()
        self._arrived.set()
        self._may_write.set()
        self._provider._connections.discard(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # --- one request after the other ---

    async def close(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            await self._serve_all()
        except Exception as error:  # noqa: BLE001  a script's own mistake; `stop` raises it
            self._provider._faults.append(error)
            self._transport.abort()

    async def _serve_all(self) -> None:
        while (received := await self._request()) is not None:
            call, reply = self._provider.take(received)
            sending = asyncio.ensure_future(self._send(reply))
            lost = asyncio.ensure_future(self._is_lost.wait())
            try:
                await asyncio.wait((sending, lost), return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()
                    call.is_answered.set()
                else:
                    call.is_hung_up.set()
            finally:
                for task in (sending, lost):
                    task.cancel()
                await asyncio.gather(sending, lost, return_exceptions=True)

    async def _send(self, reply: Reply) -> None:
        for step in reply:
            match step:
                case Gate():
                    await step.wait()
                case "hang":
                    async with asyncio.timeout(WAIT_AT_MOST_S):
                        await asyncio.Event().wait()
                case "cut":
                    self._transport.abort()
                    return
                case "hang up":
                    self._transport.close()
                    return
                case _:
                    await self._may_write.wait()
                    self._transport.write(step)
                    await asyncio.sleep(0.001)  # so that each step travels on its own

    async def _request(self) -> Received | None:
        """The next request; None once the gateway has closed the connection."""
        head = await self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = await self._chunks()
        else:
            body = await self._exactly(int(headers.get("content-length", "0")))
        return None if body is None else Received(method, target, headers, body)

    async def _chunks(self) -> bytes | None:
        body = b""
        while (line := await self._until(b"\r\n")) is not None:
            part = await self._exactly(int(line, 16) + 2)
            if part is None:
                return None
            if part == b"\r\n":
                return body
            body += part[:-2]
        return None

    async def _until(self, end: bytes) -> bytes | None:
        while end not in self._buffer:
            if not await self._more():
                return None
        found, _, self._buffer = self._buffer.partition(end)
        return found

    async def _exactly(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            if not await self._more():
                return None
        found, self._buffer = self._buffer[:count], self._buffer[count:]
        return found

    async def _more(self) -> bool:
        if self._is_lost.is_set():
            return False
        self._arrived.clear()
        await self._arrived.wait()
        return not self._is_lost.is_set()


P = TypeVar("P", bound=Provider)


@contextmanager
def running(provider: P) -> Iterator[P]:
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()


def running_provider() -> AbstractContextManager[Provider]:
    return running(Provider())


# --- replies -----------------------------------------------------------------------------------------------


def json_reply(body: Any, status: int = 200, **headers: str) -> list[Step]:
    """A whole JSON answer; `body` may be bytes that are sent as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    fields = {"content-type": "application/json", "content-length": str(len(content))} | _fields(headers)
    return [_head(status, fields) + content]


def _fields(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def error_reply(status: int, message: str = "scripted failure", **headers: str) -> list[Step]:
    """OpenAI's error body."""
    error = {"message": message, "type": "scripted_error", "param": None, "code": "scripted"}
    return json_reply({"error": error}, status, **headers)


def stream_reply(parts: Iterable[bytes | Step], **headers: str) -> list[Step]:
    """A stream of server-sent events; each part is an HTTP chunk of its own, whatever it holds."""
    fields = {"content-type": "text/event-stream", "transfer-encoding": "chunked"} | _fields(headers)
    head = _head(200, fields)
    return [head, *(_chunk(part) if isinstance(part, bytes) else part for part in parts), b"0\r\n\r\n"]


def unfinished(reply: Reply, *then: Step) -> list[Step]:
    """The reply without its last step, followed by what happens instead."""
    return [*reply[:-1], *then]


def cut_up(data: bytes, size: int) -> list[bytes]:
    """Pieces of this many bytes, without regard to characters and events."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def event(payload: Any) -> bytes:
    """One server-sent event."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


DONE: Final = event("[DONE]")


def chat_body(
    text: str | None, *, prompt_tokens: int = 12, completion_tokens: int = 7, finish: str = "stop", **message: Any
) -> dict[str, Any]:
    """A chat completion; `message` are further fields of its message."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text, "refusal": None, **message},
        "logprobs": None,
        "finish_reason": finish,
    }
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "scripted-2025-01-01",
        "choices": [choice],
        "usage": usage(prompt_tokens, completion_tokens),
        "system_fingerprint": "fp_scripted",
    }


def usage(prompt_tokens: int = 12, completion_tokens: int = 7) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def chat_chunk(delta: dict[str, Any] | None, finish: str | None = None, **fields: Any) -> bytes:
    """One streamed event; without a delta it has no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    return event(
        {
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": 1_750_000_000,
            "model": "scripted-2025-01-01",
            "choices": choices,
            **fields,
        }
    )


def usage_chunk(prompt_tokens: int = 12, completion_tokens: int = 7) -> bytes:
    """The event that `stream_options.include_usage` asks for."""
    return chat_chunk(None, usage=usage(prompt_tokens, completion_tokens))


def chat_events(pieces: Iterable[str], finish: str = "stop") -> list[bytes]:
    """A whole streamed answer without usage: role, texts, finish reason; `DONE` is not part of it."""
    texts = [chat_chunk({"content": piece}) for piece in pieces]
    return [chat_chunk({"role": "assistant", "content": ""}), *texts, chat_chunk({}, finish)]


def streamed(pieces: Iterable[str], finish: str = "stop") -> list[bytes]:
    """A whole streamed answer with usage and its end."""
    return [*chat_events(pieces, finish), usage_chunk(), DONE]


def echo(received: Received, number: int) -> list[Step]:
    """What a question without a script is answered with: no two calls get the same answer."""
    text = f"Answer {number} to: {received.json['messages'][-1].get('content')}"
    if received.streams:
        return stream_reply(streamed(text.split(" ")))
    return json_reply(chat_body(text))


def _head(status: int, fields: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _chunk(part: bytes) -> bytes:
    return f"{len(part):x}\r\n".encode() + part + b"\r\n"
