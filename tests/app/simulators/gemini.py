"""Gemini's API as a scripted provider: `generateContent`, and its stream as server-sent events.

It turns away what the real one would: a request without the key in its header, and whatever the types of the official
SDK do not know.
"""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from google.genai import types
from pydantic import ValidationError

from tests.app.provider import Provider, Received, Reply, Step, json_reply, running, stream_reply

KEY: Final = "AIza-upstream-only-for-the-provider"
COUNTS: Final = {"promptTokenCount": 12, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 20}

PROJECT: Final = "a-project"
LOCATION: Final = "europe-west4"
_VERTEX_PATH: Final = re.compile(
    rf"/v1/projects/{PROJECT}/locations/{LOCATION}/(publishers/google/models/[\w.-]+|endpoints/\d+)"
    r":(generateContent|streamGenerateContent\?alt=sse)"
)

_REQUEST: Final[dict[str, Any]] = {
    "systemInstruction": types.Content,
    "generationConfig": types.GenerationConfig,
    "toolConfig": types.ToolConfig,
}
_LISTS: Final[dict[str, Any]] = {"contents": types.Content, "tools": types.Tool}


@dataclass(frozen=True)
class GeminiReceived(Received):
    """A request whose model and method stand in its path: `/v1beta/models/MODEL:METHOD`."""

    @property
    def model(self) -> str:
        return self.target.rpartition("/")[2].partition(":")[0]

    @property
    def streams(self) -> bool:
        return self.target.endswith(":streamGenerateContent?alt=sse")

    @property
    def text(self) -> str:
        return str(self.json["contents"][-1]["parts"][-1].get("text"))


class Gemini(Provider):
    """Answers `POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent?alt=sse` by script."""

    @property
    def base_url(self) -> str:
        """With the version, as the gateway wants it."""
        return f"{self.root}/v1beta"

    @property
    def root(self) -> str:
        """Without it, as the SDK wants it."""
        return f"http://127.0.0.1:{self.port}"

    def reading(self, received: Received) -> Received:
        return GeminiReceived(received.method, received.target, received.headers, received.body)

    def fault(self, received: Received) -> Reply | None:
        return self._stranger(received) or _mistake(received)

    def _stranger(self, received: Received) -> Reply | None:
        """What somebody without the key is told."""
        if received.headers.get("x-goog-api-key") == KEY and "key=" not in received.target:
            return None
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return failure(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", reason)


class Vertex(Gemini):
    """The same below a project and a location of Vertex AI, for who brings an access token that `is_good`."""

    def __init__(self, is_good: Callable[[str], bool]) -> None:
        super().__init__()
        self._is_good = is_good

    def _stranger(self, received: Received) -> Reply | None:
        token = received.headers.get("authorization", "").removeprefix("Bearer ")
        if not self._is_good(token) or "x-goog-api-key" in received.headers:
            return failure(401, f"Request had invalid authentication credentials: {token}", "UNAUTHENTICATED")
        if not _VERTEX_PATH.fullmatch(received.target):
            return failure(404, f"{received.target} was not found.", "NOT_FOUND")
        return None


def _mistake(asked: Received) -> Reply | None:
    """What the real one would refuse, whoever asks."""
    body = asked.json
    try:
        for name, value in body.items():
            if name in _REQUEST:
                _REQUEST[name].model_validate(value)
            elif name in _LISTS:
                for item in value:
                    _LISTS[name].model_validate(item)
            else:
                return failure(400, f'Invalid JSON payload received. Unknown name "{name}"', "INVALID_ARGUMENT")
    except ValidationError as error:
        return failure(400, f"Invalid JSON payload received. {error}", "INVALID_ARGUMENT")
    if not body.get("contents") or not all(content.get("parts") for content in body["contents"]):
        return failure(400, "contents are required", "INVALID_ARGUMENT")
    return None


def running_gemini() -> AbstractContextManager[Gemini]:
    return running(Gemini())


# --- replies -----------------------------------------------------------------------------------------------


def response(*parts: dict[str, Any], reason: str | None = "STOP", **fields: Any) -> dict[str, Any]:
    """One response with one candidate; without a reason it is a stream's, to be continued."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    told = {"usageMetadata": COUNTS, "modelVersion": "gemini-scripted-001", "responseId": "resp-scripted"}
    return {"candidates": [candidate], **told, **fields}


def text(said: str, **fields: Any) -> dict[str, Any]:
    return {"text": said, **fields}


def spoken(samples: str) -> dict[str, Any]:
    """Samples in base64, as the speaking models give them."""
    return {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": samples}}


def thought(said: str) -> dict[str, Any]:
    return {"text": said, "thought": True}


def called(name: str, signature: str | None = None, /, **arguments: Any) -> dict[str, Any]:
    signed = {"thoughtSignature": signature} if signature else {}
    return {"functionCall": {"name": name, "args": arguments}, **signed}


def event(payload: Any) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\r\n\r\n"


def whole(*parts: dict[str, Any], **fields: Any) -> list[Step]:
    return json_reply(response(*parts, **fields))


def streamed(*responses: dict[str, Any]) -> list[Step]:
    return stream_reply([event(one) for one in responses])


def failure(status: int, message: str, name: str, *details: dict[str, Any], **headers: str) -> list[Step]:
    """Google's error body."""
    error = {"code": status, "message": message, "status": name, "details": list(details)}
    return json_reply({"error": error}, status, **headers)
