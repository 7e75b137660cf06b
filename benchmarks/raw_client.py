"""A keep-alive HTTP/1.1 client on a plain blocking socket, for latencies that other clients would drown.

A request is a prepared run of bytes, sent as it is; an answer is read by `content-length` or in chunks and timed
in nanoseconds. No redirects, no compression, no TLS, one request at a time on one connection.
"""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_RECEIVE_BYTES = 65536


class Broken(Exception):
    """The server hung up or sent what is not HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. Times are nanoseconds since the first byte of the request was handed to the kernel."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    first_byte_ns: int
    """Until the first byte of the body; of a stream: the first event."""
    total_ns: int

    @property
    def cache(self) -> str:
        """How the gateway's cache disposed of the request; empty where it does not say."""
        return self.headers.get("x-thriftgate-cache", "")


def prepared(
    method: str, path: str, *, key: str | None = None, body: Any = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of a request; `body` is sent as JSON."""
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    fields = {"host": "localhost"}
    if key is not None:
        fields["authorization"] = f"Bearer {key}"
    if content:
        fields |= {"content-type": "application/json", "content-length": str(len(content))}
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in (fields | dict(headers or {})).items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Connection:
    """One connection. A context manager."""

    def __init__(self, host: str, port: int, timeout_s: float = 60.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, request: bytes) -> Reply:
        """Sends a prepared request and reads its answer. Raises Broken, OSError."""
        receive = self._socket.recv
        started_ns = time.perf_counter_ns()
        self._socket.sendall(request)
        data = bytearray()
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += receive(_RECEIVE_BYTES) or self._hung_up()
        head, body_at = data[:end].lower(), end + 4
        length = _content_length(head)
        if length is None:
            body, first_byte_ns, ended_ns = self._read_chunks(data, body_at)
        else:
            while length and len(data) == body_at:
                data += receive(_RECEIVE_BYTES) or self._hung_up()
            first_byte_ns = time.perf_counter_ns()
            while len(data) < body_at + length:
                data += receive(_RECEIVE_BYTES) or self._hung_up()
            ended_ns = time.perf_counter_ns()
            body = bytes(data[body_at : body_at + length])
        # Names in lower case for look-ups; values as they were sent.
        status, headers = _parsed_head(bytes(data[:end]))
        return Reply(status, headers, body, first_byte_ns - started_ns, ended_ns - started_ns)

    def _read_chunks(self, data: bytearray, at: int) -> tuple[bytes, int, int]:
        """(body, time of its first byte, time of its end); RFC 9112, 7.1, without trailers."""
        body = bytearray()
        first_byte_ns = 0
        while True:
            while (line_end := data.find(b"\r\n", at)) < 0:
                data += self._socket.recv(_RECEIVE_BYTES) or self._hung_up()
            try:
                size = int(data[at:line_end].partition(b";")[0], 16)
            except ValueError:
                raise Broken(f"no chunk size: {bytes(data[at:line_end])!r}") from None
            chunk_at, at = line_end + 2, line_end + 2 + size + 2
            while len(data) < at:
                data += self._socket.recv(_RECEIVE_BYTES) or self._hung_up()
            first_byte_ns = first_byte_ns or time.perf_counter_ns()
            if size == 0:
                return bytes(body), first_byte_ns, time.perf_counter_ns()
            body += data[chunk_at : chunk_at + size]

    @staticmethod
    def _hung_up() -> bytes:
        raise Broken("the server closed the connection within an answer")


def _content_length(lower_head: bytearray) -> int | None:
    """None for a chunked answer. Raises Broken where the head says neither."""
    at = lower_head.find(b"\r\ncontent-length:")
    if at >= 0:
        end = lower_head.find(b"\r\n", at + 2)
        return int(lower_head[at + 17 : end if end >= 0 else len(lower_head)])
    if b"\r\ntransfer-encoding: chunked" in lower_head:
        return None
    raise Broken("an answer without content-length and not chunked")


def _parsed_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split(" ", 2)[1]), {name.lower(): value.strip() for name, _, value in fields}
