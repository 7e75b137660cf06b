"""The Message that a stream of Anthropic's own adds up to: for who asked for one body and is given a stream's answer.

Pure. Nothing is converted, so that citations, signatures and blocks of kinds unknown to us are what they were. Wire
facts: Claude API reference, "Streaming Messages".
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from router.chat import ChatEvent
from router.protocols.anthropic import arguments_object
from router.sse import block_data

Block = dict[str, Any]

_GROWS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Kind of delta -> the field that it extends, here and in the block."""


def message_of(events: Iterable[ChatEvent]) -> dict[str, Any] | None:
    """The Message of a whole stream, whose reader has checked its order; None where it has no beginning."""
    message: dict[str, Any] | None = None
    blocks: dict[int, Block] = {}
    written: dict[int, str] = {}
    for event in events:
        payload = block_data(event.raw) if event.raw else None
        data = msgspec.json.decode(payload) if payload is not None else {}
        match data.get("type"):
            case "message_start":
                message = dict(data["message"])
            case "content_block_start":
                blocks[data["index"]] = dict(data["content_block"])
            case "content_block_delta":
                _grow(data["index"], data["delta"], blocks, written)
            case "message_delta" if message is not None:
                message |= data["delta"]
                message["usage"] = _given(message.get("usage")) | _given(data.get("usage"))
    if message is None:
        return None
    for at, arguments in written.items():
        blocks[at]["input"] = arguments_object(arguments)
    return message | {"content": [blocks[at] for at in sorted(blocks)]}


def _grow(at: int, delta: Block, blocks: dict[int, Block], written: dict[int, str]) -> None:
    block = blocks[at]
    match delta:
        case {"type": "input_json_delta", "partial_json": str(piece)}:
            written[at] = written.get(at, "") + piece
        case {"type": "citations_delta", "citation": citation}:
            block["citations"] = [*(block.get("citations") or ()), citation]
        case {"type": str(kind)} if kind in _GROWS:
            field = _GROWS[kind]
            block[field] = (block.get(field) or "") + (delta.get(field) or "")
        case _:  # of a kind unknown to us: its fields are the block's
            block |= {name: value for name, value in delta.items() if name != "type"}


def _given(usage: Any) -> dict[str, Any]:
    """Later counts replace earlier ones, those that are left out do not."""
    return {name: value for name, value in usage.items() if value is not None} if isinstance(usage, dict) else {}
