"""Ollama's own chat API as a scripted provider: one JSON object, or a stream of JSON lines.

It turns away what the real one would not understand: whatever the types of the official SDK do not know.
"""

import base64
import json
from contextlib import AbstractContextManager
from typing import Any, Final

from ollama import ChatResponse
from ollama._types import ChatRequest, Message, Options
from pydantic import ValidationError

from tests.app.provider import Provider, Received, Reply, Step, json_reply, running, stream_reply

KEY: Final = "ollama-key-only-for-the-provider"
MODEL: Final = "qwen3:8b"
_ROLES: Final = ("system", "user", "assistant", "tool")


class Ollama(Provider):
    """Answers `POST /api/chat` by script. `KEY` is the only one it takes."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def fault(self, received: Received) -> Reply | None:
        return _fault(received)


def _fault(received: Received) -> Reply | None:
    """What the real one would refuse, or not understand."""
    if received.headers.get("authorization") != f"Bearer {KEY}":
        return failure(401, "unauthorized")
    if received.target != "/api/chat":
        return failure(404, "404 page not found")
    asked = received.json
    try:
        ChatRequest.model_validate({**asked, "messages": []})
        unknown = [*_unknown(asked, ChatRequest), *_unknown(asked.get("options", {}), Options)]
        for message in asked["messages"]:
            Message.model_validate({name: value for name, value in message.items() if name != "images"})
            unknown += _unknown(message, Message)
            for picture in message.get("images", ()):
                base64.b64decode(picture, validate=True)
            if message["role"] not in _ROLES or (message["role"] == "tool" and not message.get("tool_name")):
                return failure(400, "invalid role")
    except (ValidationError, ValueError) as error:
        return failure(400, str(error))
    return failure(400, f"unknown fields: {unknown}") if unknown else None


def _unknown(given: dict[str, Any], kind: Any) -> list[str]:
    return sorted(set(given) - set(kind.model_fields))


def running_ollama() -> AbstractContextManager[Ollama]:
    return running(Ollama())


# --- replies -----------------------------------------------------------------------------------------------


def step(said: str = "", **message: Any) -> dict[str, Any]:
    """One object of a stream."""
    return {
        "model": MODEL,
        "created_at": "2026-06-17T12:30:00.123456789Z",
        "message": {"role": "assistant", "content": said, **message},
        "done": False,
    }


def last(said: str = "", reason: str = "stop", *, given: int = 12, written: int = 7, **message: Any) -> dict[str, Any]:
    """The object that ends an answer, with its counts of tokens; or the whole answer."""
    counts = {"prompt_eval_count": given, "eval_count": written, "total_duration": 5_000_000, "load_duration": 1_000}
    return step(said, **message) | {"done": True, "done_reason": reason} | counts


def called(name: str, **arguments: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments}}


def line(payload: Any) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode() + b"\n"


def whole(said: str = "", reason: str = "stop", **fields: Any) -> list[Step]:
    answer = last(said, reason, **fields)
    ChatResponse.model_validate(answer)
    return json_reply(answer)


def streamed(*objects: Any) -> list[Step]:
    """A stream of lines; bytes are sent as they are."""
    return in_pieces([each if isinstance(each, bytes) else line(each) for each in objects])


def in_pieces(parts: list[bytes]) -> list[Step]:
    head, *rest = stream_reply(parts)
    assert isinstance(head, bytes)
    return [head.replace(b"text/event-stream", b"application/x-ndjson"), *rest]


def failure(status: int, said: str, **headers: str) -> list[Step]:
    return json_reply({"error": said}, status, **headers)
