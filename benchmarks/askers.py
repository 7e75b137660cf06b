"""Clients that ask through the gateway and check every answer: whose it is, whether it is whole, whether it came once.

Owns the client's side of the wire, cheaply: keep-alive connections on raw asyncio, requests as prepared bytes, answers
read only when they are complete. Says what a client saw (`Reply`) and how good that was (`Outcome`); refuses to know
upstreams and faults.
"""

import asyncio
import json
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.raw_client import prepared
from benchmarks.tokens import Stamp, flaw_of, is_beginning, question, stamp_of, token_of

PATH: Final = "/v1/chat/completions"
NOT_CACHED: Final = {"cache-control": "no-store"}
PATIENCE_S: Final = 15.0
"""After this long without an end a client gives up and calls the request lost."""
ASKING_AT_MOST: Final = 1500
_BEHIND_AT_MOST_S: Final = 0.1
Verdict = Literal["answered", "wrong", "broken off", "refused", "lost"]
"""Right and whole; something that is not the answer, called complete; a right beginning that ends in a proper error
event; a proper error body; anything else: no answer, half of one without a word, or bytes that are no HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `trouble` says how it ended before its end; then the other fields hold what had come."""

    status: int
    head: bytes
    body: bytes
    first_s: float
    """From the request to the first byte of the body."""
    total_s: float
    trouble: str = ""

    def header(self, name: str) -> str:
        """Empty where there is none."""
        field = b"\r\n" + name.encode() + b":"
        at = self.head.lower().find(field)
        return self.head[at + len(field) :].partition(b"\r\n")[0].strip().decode("latin-1") if at >= 0 else ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request and how it ended."""

    token: str
    is_stream: bool
    verdict: Verdict
    detail: str
    """What was wrong, or the status and code of an error."""
    sent_at: float
    """Monotonic seconds."""
    first_s: float
    total_s: float
    server: str = ""
    """Which upstream wrote the answer."""
    request_id: str = ""

    @property
    def latency_s(self) -> float:
        """Until the answer begins: the first event of a stream, the whole of a JSON body."""
        return self.first_s if self.is_stream else self.total_s


# --- one connection -----------------------------------------------------------------------------------------


class Line(asyncio.Protocol):
    """A keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._body_at = 0
        self._length: int | None = None
        self._first_at = 0.0
        self._ended: asyncio.Future[str] | None = None
        self.is_open = False

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._body_at and (end := self._data.find(b"\r\n\r\n")) >= 0:
            self._body_at = end + 4
            self._length = _content_length(bytes(self._data[:end]).lower())
        if self._body_at and not self._first_at and len(self._data) > self._body_at:
            self._first_at = time.perf_counter()
        if self._is_complete():
            self._end("")

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._end("closed" if exc is None else type(exc).__name__)

    # --- what others call ---

    async def send(self, request: bytes, patience_s: float = PATIENCE_S) -> Reply:
        """Sends a prepared request and waits for the end of its answer, whatever that is."""
        assert self._transport is not None
        self._data, self._body_at, self._length, self._first_at = bytearray(), 0, None, 0.0
        self._ended = asyncio.get_running_loop().create_future()
        started = time.perf_counter()
        if self.is_open:
            self._transport.write(request)
        else:
            self._end("closed")
        try:
            async with asyncio.timeout(patience_s):
                trouble = await self._ended
        except TimeoutError:
            trouble = "no end in time"
        except asyncio.CancelledError:
            self.close()
            raise
        total_s = time.perf_counter() - started
        self._ended = None
        if trouble:
            self.close()
        return self._reply(trouble, self._first_at - started if self._first_at else total_s, total_s)

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def _end(self, trouble: str) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(trouble)

    def _is_complete(self) -> bool:
        if not self._body_at:
            return False
        if self._length is not None:
            return len(self._data) >= self._body_at + self._length
        # Nothing of ours has this within a chunk: an event ends with two line feeds.
        return self._data.endswith(b"\r\n0\r\n\r\n")

    def _reply(self, trouble: str, first_s: float, total_s: float) -> Reply:
        if not self._body_at:
            return Reply(0, b"", b"", first_s, total_s, trouble or "no head")
        head, body = bytes(self._data[: self._body_at - 2]), bytes(self._data[self._body_at :])
        if self._length is None:
            body, is_whole = dechunked(body)
            trouble = trouble or ("" if is_whole else "broken chunks")
        return Reply(int(head[9:12]), head, body, first_s, total_s, trouble)


def _content_length(lower_head: bytes) -> int | None:
    _, found, rest = lower_head.partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else None


def dechunked(data: bytes) -> tuple[bytes, bool]:
    """(what the chunks hold, whether the last one was there); RFC 9112, 7.1, without trailers."""
    body, at = bytearray(), 0
    while (line_end := data.find(b"\r\n", at)) >= 0:
        try:
            size = int(data[at:line_end], 16)
        except ValueError:
            return bytes(body), False
        at = line_end + 2 + size + 2
        body += data[line_end + 2 : at - 2]
        if size == 0:
            return bytes(body), at == len(data)
    return bytes(body), False


# --- the verdict on a reply -----------------------------------------------------------------------------------


class Checker:
    """Judges replies. With `once` it remembers every serial number: an answer that comes again is wrong then. (What a
    cache answers may come again.)"""

    def __init__(self, *, once: bool = True) -> None:
        self._once = once
        self._seen: set[Stamp] = set()

    def judge(self, token: str, is_stream: bool, reply: Reply, sent_at: float = 0.0) -> Outcome:
        verdict, detail, text = (_judged_stream if is_stream else _judged_body)(token, reply)
        stamp = stamp_of(text)
        if verdict == "answered" and stamp is not None and self._once:
            if stamp in self._seen:
                verdict, detail = "wrong", "repeated"
            self._seen.add(stamp)
        return Outcome(
            token=token,
            is_stream=is_stream,
            verdict=verdict,
            detail=detail,
            sent_at=sent_at,
            first_s=reply.first_s,
            total_s=reply.total_s,
            server=stamp.server if stamp else "",
            request_id=reply.header("x-request-id"),
        )


_Judged = tuple[Verdict, str, str]
"""The verdict, its detail, the text."""


def _judged_body(token: str, reply: Reply) -> _Judged:
    if reply.trouble:
        return "lost", reply.trouble, ""
    if reply.status != 200:
        return _judged_refusal(reply)
    try:
        choice = json.loads(reply.body)["choices"][0]
        text, finish = choice["message"]["content"], choice["finish_reason"]
    except (ValueError, KeyError, TypeError, IndexError):
        return "wrong", "no answer in the body", ""
    if not isinstance(text, str) or finish != "stop":
        return "wrong", f"finish {finish}", ""
    flaw = flaw_of(token, text)
    return ("wrong", flaw, text) if flaw else ("answered", "", text)


def _judged_refusal(reply: Reply) -> _Judged:
    try:
        error = json.loads(reply.body)["error"]
        detail = f"{reply.status} {error['code'] or error['type']}"
        is_proper = isinstance(error["message"], str)
        if reply.status in (429, 503) and not reply.header("retry-after"):
            detail += " without Retry-After"
    except (ValueError, KeyError, TypeError):
        is_proper, detail = False, f"{reply.status} without a proper error"
    return "refused" if is_proper else "lost", detail, ""


def _judged_stream(token: str, reply: Reply) -> _Judged:
    if reply.status not in (0, 200):
        return _judged_body(token, reply)
    try:
        events, text, ids, finishes = _read_stream(reply.body)
    except (ValueError, KeyError, TypeError, IndexError):
        return "lost" if reply.trouble else "wrong", reply.trouble or "no proper events", ""
    last = events[-1] if events else ""
    if not is_beginning(token, text) or len(ids) > 1:
        flaw = flaw_of(token, text) if len(ids) < 2 else "foreign"
        return "wrong", flaw or "garbled", text
    if events.count("done") + events.count("error") > 1 or (last == "chunk" and {"done", "error"} & set(events)):
        return "wrong", "something after the end", text
    if last == "done":
        if reply.trouble:
            return "lost", reply.trouble, text
        flawed: str = flaw_of(token, text) or ("" if finishes == ["stop"] else "no finish")
        return "wrong" if flawed else "answered", flawed, text
    if last == "error" and not reply.trouble:
        return "broken off", "", text
    return "lost", reply.trouble or "a stream without an end", text


def _read_stream(body: bytes) -> tuple[list[str], str, set[str], list[str]]:
    """(kinds of its events, its text, the ids of its chunks, the finish reasons). Raises ValueError and others."""
    kinds, ids, finishes = [], set(), []
    text = ""
    *blocks, rest = body.split(b"\n\n")
    for block in [*blocks, *([rest] if rest else [])]:
        if block.startswith(b":"):
            continue
        payload = block.removeprefix(b"data: ")
        if payload == b"[DONE]":
            kinds.append("done")
            continue
        data = json.loads(payload)
        if "error" in data:
            if not isinstance(data["error"]["message"], str):
                raise ValueError("an error without a message")
            kinds.append("error")
            continue
        kinds.append("chunk")
        ids.add(data["id"])
        for choice in data["choices"]:
            text += choice["delta"].get("content") or ""
            if choice["finish_reason"]:
                finishes.append(choice["finish_reason"])
    return kinds, text, ids, finishes


# --- many at the same time --------------------------------------------------------------------------------------


class Askers:
    """Clients of one gateway. Each request takes an idle connection or opens one, and has these headers. `questions`
    are asked instead of some that the cache does not keep, because a number in them looks like somebody's own."""

    def __init__(
        self,
        port: int,
        checker: Checker,
        seed: int = 8080,
        headers: Mapping[str, str] = NOT_CACHED,
        questions: Iterator[str] | None = None,
    ) -> None:
        self.port = port
        self._questions = questions
        self._headers = headers
        self._checker = checker
        self._chance = random.Random(seed)
        self._idle: deque[Line] = deque()

    def question(self) -> str:
        """One that was never asked."""
        return question(self._chance.getrandbits(64)) if self._questions is None else next(self._questions)

    async def ask(
        self,
        key: str,
        model: str,
        text: str,
        *,
        is_stream: bool,
        patience_s: float = PATIENCE_S,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Asks and judges what comes. `headers` are instead of those of all requests."""
        headers = self._headers if headers is None else headers
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        request = prepared("POST", PATH, key=key, body=body | ({"stream": True} if is_stream else {}), headers=headers)
        sent_at = time.monotonic()
        reply = await self.send(request, patience_s)
        return self._checker.judge(token_of(text), is_stream, reply, sent_at)

    async def send(self, request: bytes, patience_s: float = PATIENCE_S) -> Reply:
        """Sends whatever request and returns what comes."""
        started = time.perf_counter()
        try:
            line = await self._line()
        except OSError as error:
            took_s = time.perf_counter() - started
            return Reply(0, b"", b"", took_s, took_s, type(error).__name__)
        reply = await line.send(request, patience_s)
        if line.is_open:
            self._idle.append(line)
        return reply

    async def _line(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            if line.is_open:
                return line
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(Line, "127.0.0.1", self.port)
        return line

    def close(self) -> None:
        for line in self._idle:
            line.close()
        self._idle.clear()


async def paced(
    per_s: float,
    count: int,
    ask: Callable[[int], Any],
    chance: random.Random,
    until: float = math.inf,
    at_most: int = ASKING_AT_MOST,
) -> None:
    """Starts `ask(0)`, `ask(1)`, ... (coroutines) at this rate, whether or not earlier ones have ended, and none after
    `until`; returns when all have ended. Only with `at_most` under way does the next one wait: each holds a connection,
    and a few at a time ask no more of a slow machine than it carries."""
    tasks: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    for number in range(count):
        if time.monotonic() >= until:
            break
        # What was due while this process slept is not made up for: that would be a burst, and nobody's fault.
        due = max(due, time.monotonic() - _BEHIND_AT_MOST_S) + chance.uniform(0.5, 1.5) / per_s
        if (ahead_s := due - time.monotonic()) > 0.001:
            await asyncio.sleep(ahead_s)
        if len(tasks) >= at_most:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.ensure_future(ask(number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.gather(*tasks)
