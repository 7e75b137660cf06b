"""Server-sent events as bytes: cuts a stream into blocks, however the network cut it into chunks.

Works on bytes, so that half a character at a chunk's edge or a U+2028 inside a text can do no harm: only
LF, CR LF and CR end a line (WHATWG HTML, "Server-sent events", 9.2.5).
"""

import re
from collections.abc import Iterator

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
MAX_BLOCK_BYTES = 8 * 1024 * 1024


class BlockTooLong(ValueError):
    """A block grew beyond MAX_BLOCK_BYTES without ending."""


class Blocks:
    """Feeds chunks in, gives whole blocks out, each with its closing blank line."""

    def __init__(self) -> None:
        self._rest = b""
        self._searched = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Every block that this chunk completes. Raises BlockTooLong."""
        data = self._rest + chunk
        start, searched = 0, self._searched
        while end := _blank_line_end(data, searched):
            yield data[start:end]
            start = searched = end
        self._rest = data[start:]
        # A blank line may be cut by the chunk's edge: look again at its last three bytes.
        self._searched = max(len(self._rest) - 3, 0)
        if len(self._rest) > MAX_BLOCK_BYTES:
            raise BlockTooLong(f"an event of the stream is longer than {MAX_BLOCK_BYTES} bytes")

    def rest(self) -> bytes:
        """What came after the last whole block."""
        return self._rest


def _blank_line_end(data: bytes, start: int) -> int | None:
    """Index just behind the first blank line at or after `start`."""
    found = _BLANK_LINE.search(data, start)
    if found is None:
        return None
    # A CR at the very end may be the first half of a CR LF that is still to come.
    if found.group().endswith(b"\r") and found.end() == len(data):
        return None
    return found.end()


def block_data(block: bytes) -> bytes | None:
    """The payload of a block: its `data` lines joined by LF; None for a block without data (a comment)."""
    lines = [line for line in re.split(rb"\r\n|\n|\r", block) if line.startswith(b"data")]
    values = [
        line[5:].removeprefix(b" ") if line.startswith(b"data:") else b""
        for line in lines
        if line == b"data" or line.startswith(b"data:")
    ]
    return b"\n".join(values) if values else None


def data_block(payload: bytes) -> bytes:
    """A block that carries this one-line payload."""
    return b"data: " + payload + b"\n\n"


def named_block(event: str, payload: bytes) -> bytes:
    """A block with an event name, as Anthropic's Messages and OpenAI's Responses send them."""
    return b"event: " + event.encode() + b"\n" + data_block(payload)
