"""Messages of `application/vnd.amazon.eventstream`, as AWS writes them: what botocore's parser is fed with in tests.

Prelude (total length, length of the headers, CRC), headers (name, type 7 = text, value), payload, CRC; all big-endian.
"""

import json
import struct
from binascii import crc32
from typing import Any


def message(headers: dict[str, str], payload: bytes) -> bytes:
    written = b"".join(
        struct.pack(">B", len(name.encode()))
        + name.encode()
        + struct.pack(">BH", 7, len(value.encode()))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", len(written) + len(payload) + 16, len(written))
    prelude += struct.pack(">I", crc32(prelude))
    whole = prelude + written + payload
    return whole + struct.pack(">I", crc32(whole))


def event(kind: str, payload: Any) -> bytes:
    """One event of a ConverseStream answer."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return message(headers, json.dumps(payload, ensure_ascii=False).encode())


def exception(kind: str, said: str) -> bytes:
    """One that ends a stream, e.g. `throttlingException`."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return message(headers, json.dumps({"message": said}).encode())


def error(code: str, said: str) -> bytes:
    """One that the service's front end sends."""
    return message({":message-type": "error", ":error-code": code, ":error-message": said}, b"")


def start() -> bytes:
    return event("messageStart", {"role": "assistant", "p": "abcd"})


def text(said: str, index: int = 0) -> bytes:
    return delta({"text": said}, index)


def delta(part: dict[str, Any], index: int = 0) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": part, "p": "ab"})


def begin_call(call_id: str, name: str, index: int = 0) -> bytes:
    return event(
        "contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": call_id, "name": name}}}
    )


def block_stop(index: int = 0) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index})


def stop(reason: str = "end_turn", **fields: Any) -> bytes:
    return event("messageStop", {"stopReason": reason, **fields})


def metadata(**usage: Any) -> bytes:
    counts = {"inputTokens": 12, "outputTokens": 8, "totalTokens": 20} | usage
    return event("metadata", {"usage": counts, "metrics": {"latencyMs": 123}})
