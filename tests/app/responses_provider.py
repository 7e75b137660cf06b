"""Replies in the form of the Responses API, for the scripted provider: whole answers and streams of named events."""

import json
from collections.abc import Sequence
from typing import Any

from tests.app.provider import Step, json_reply, stream_reply


def message(text: str, item_id: str = "msg_up1", **part: Any) -> dict[str, Any]:
    """An output item with one text part."""
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []} | part
    return {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [content]}


def function_call(name: str, arguments: str, call_id: str = "call_up1") -> dict[str, Any]:
    return {
        "id": f"fc_{call_id}",
        "type": "function_call",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
        "status": "completed",
    }


def response(*items: dict[str, Any], response_id: str = "resp_up1", **fields: Any) -> dict[str, Any]:
    """The response object, completed, with these output items."""
    usage = {
        "input_tokens": 40,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 49,
    }
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1_750_000_000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "native-2025-01-01",
        "output": list(items),
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    } | fields


def named(kind: str, number: int, **fields: Any) -> bytes:
    """One named event."""
    data = json.dumps({"type": kind, "sequence_number": number} | fields, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def text_events(pieces: Sequence[str], **fields: Any) -> list[bytes]:
    """A whole stream of one message; `fields` are the last response's."""
    item = message("".join(pieces))
    final = response(item, **fields)
    begun = final | {"status": "in_progress", "output": [], "usage": None}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": item | {"content": [], "status": "in_progress"}}),
        ("response.content_part.added", place | {"part": empty}),
        *(("response.output_text.delta", place | {"delta": piece, "logprobs": []}) for piece in pieces),
        ("response.output_text.done", place | {"text": "".join(pieces), "logprobs": []}),
        ("response.content_part.done", place | {"part": item["content"][0]}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        (f"response.{final['status']}", {"response": final}),
    ]
    return [named(kind, number, **step) for number, (kind, step) in enumerate(steps)]


def whole(*items: dict[str, Any], **fields: Any) -> list[Step]:
    return json_reply(response(*items, **fields))


def streamed(pieces: Sequence[str], **fields: Any) -> list[Step]:
    return stream_reply(text_events(pieces, **fields))
