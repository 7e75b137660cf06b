"""A trivial HTTP server on raw asyncio: the noise floor of the client, and an upstream that costs next to nothing.

    python -m benchmarks.loopback        prints its port, serves until it is killed or its parent hangs up

`POST /v1/chat/completions` answers one prepared JSON body, or prepared server-sent events if the request says
`"stream": true`; everything else gets two bytes. Bodies are not parsed.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

_TEXT = "The reset link arrives by email within five minutes and stays valid for one hour after you ask for it. " * 3
_WORDS = _TEXT.split()
_SHARED = {"id": "chatcmpl-loopback", "created": 1_750_000_000, "model": "gpt-5-nano"}
_USAGE = {"prompt_tokens": 12, "completion_tokens": len(_WORDS), "total_tokens": 12 + len(_WORDS)}


def _answer() -> bytes:
    message = {"role": "assistant", "content": _TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({**_SHARED, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()


def _events() -> list[bytes]:
    deltas: list[tuple[dict[str, str], str | None]] = [({"content": word + " "}, None) for word in _WORDS] + [
        ({}, "stop")
    ]
    chunks = [
        {
            **_SHARED,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        for delta, reason in deltas
    ]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _head(fields: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode()


EVENTS = len(_WORDS) + 2
_JSON = _answer()
_JSON_REPLY = _head(f"content-type: application/json\r\ncontent-length: {len(_JSON)}") + _JSON
_SSE_HEAD = _head("content-type: text/event-stream\r\ntransfer-encoding: chunked")
_SSE_CHUNKS = [b"%x\r\n%s\r\n" % (len(event), event) for event in _events()] + [b"0\r\n\r\n"]
_SHORT_REPLY = _head("content-type: text/plain\r\ncontent-length: 2") + b"ok"


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            _, found, rest = head.partition(b"\r\ncontent-length:")
            size = end + 4 + (int(rest.partition(b"\r\n")[0]) if found else 0)
            if len(self._data) < size:
                return
            body, self._data = self._data[end + 4 : size], self._data[size:]
            if not head.startswith(b"post /v1/chat/completions"):
                self._transport.write(_SHORT_REPLY)
            elif b'"stream": true' in body or b'"stream":true' in body:
                # One write each, as a provider sends tokens: the reader must cope with many small pieces.
                self._transport.write(_SSE_HEAD)
                for chunk in _SSE_CHUNKS:
                    self._transport.write(chunk)
            else:
                self._transport.write(_JSON_REPLY)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The parent holds the other end of standard input: when it dies, this process ends too.
    await loop.run_in_executor(None, sys.stdin.buffer.read)
    server.close()


@contextmanager
def running_loopback() -> Iterator[int]:
    """The port of such a server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.loopback"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(timeout=10)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


if __name__ == "__main__":
    uvloop.run(_serve())
