"""Azure OpenAI as a scripted provider: OpenAI's wire format at a deployment's own path.

It turns away what the real one would: another path, no version, a key that is not in its own header, and whatever the
types of the official SDK do not know.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from tests.app.provider import DONE, Provider, Received, Reply, Step, chat_chunk, json_reply, running, stream_reply
from tests.app.simulators.openai import mistake

KEY: Final = "azure-key-only-for-the-provider"
TOKEN: Final = "eyJ0eXAiOiJKV1QifQ.entra-only-for-the-provider"
VERSION: Final = "2024-10-21"
REQUEST_ID: Final = "apim-request-1"
SAFE: Final = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}


@dataclass(frozen=True)
class AzureReceived(Received):
    """A request whose deployment stands in its path: `/openai/deployments/NAME/chat/completions`."""

    @property
    def model(self) -> str:
        return unquote(urlsplit(self.target).path.split("/")[3])


class Azure(Provider):
    """Answers `POST /openai/deployments/NAME/chat/completions?api-version=...` by script."""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reading(self, received: Received) -> Received:
        return AzureReceived(received.method, received.target, received.headers, received.body)

    def fault(self, received: Received) -> Reply | None:
        return _fault(received)


def _fault(asked: Received) -> Reply | None:
    """What the real one would refuse."""
    if asked.headers.get("api-key") != KEY and asked.headers.get("authorization") != f"Bearer {TOKEN}":
        return failure(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")
    address = urlsplit(asked.target)
    parts = address.path.split("/")
    if parts[1:3] != ["openai", "deployments"] or parts[4:] != ["chat", "completions"]:
        return failure(404, "404", "Resource not found")
    if parse_qs(address.query).get("api-version") != [VERSION]:
        return failure(404, "404", "Resource not found")
    said = mistake(asked.json)
    return None if said is None else failure(400, "unknown_parameter", said)


def running_azure() -> AbstractContextManager[Azure]:
    return running(Azure())


# --- replies: OpenAI's, with what Azure adds -----------------------------------------------------------------


def whole(body: dict[str, Any]) -> list[Step]:
    """A whole answer, found harmless."""
    choices = [{**choice, "content_filter_results": SAFE} for choice in body["choices"]]
    prompt = [{"prompt_index": 0, "content_filter_results": SAFE}]
    return json_reply({**body, "choices": choices, "prompt_filter_results": prompt}, apim_request_id=REQUEST_ID)


def opening() -> bytes:
    """The first chunk of every stream: what was found in the prompt, and no choice."""
    return chat_chunk(None, model="", prompt_filter_results=[{"prompt_index": 0, "content_filter_results": SAFE}])


def streamed(events: list[bytes], *, ends: bool = True) -> list[Step]:
    return stream_reply([opening(), *events, *([DONE] if ends and DONE not in events else [])])


def failure(status: int, code: str, said: str, **headers: str) -> list[Step]:
    return json_reply({"error": {"code": code, "message": said}}, status, **headers)


def blocked_prompt() -> list[Step]:
    """What the content filter says of a prompt."""
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"violence": {"filtered": True}}}
    error = {
        "message": "The response was filtered due to the prompt triggering the content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": inner,
    }
    return json_reply({"error": error}, 400)
