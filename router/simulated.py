"""A provider that needs no key and no network: an httpx transport that answers OpenAI chat completions and embeddings.

Deterministic: the same request gets the same answer. A model's name may script a failure:

    sim-500  sim-429  sim-401      an error status
    sim-unreachable  sim-hang      no connection; no answer
    sim-garbled  sim-cut           not JSON; breaks off half way
    sim-error-in-200               an error body with a success status
"""

import asyncio
import base64
import hashlib
import random
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import msgspec
import numpy as np

from router.catalogue import Simulation
from router.sse import data_block

_WORDS: Final = (
    "the account page shows this setting under preferences and keeps it for every device you own while "
    "changes take effect within a few minutes and can be undone at any time from the same place without "
    "losing data so support can confirm the result by email when you ask for it in a message"
).split()
_CREATED: Final = 1_750_000_000
_DIMENSIONS: Final = 1536


class SimulatedProvider(httpx.AsyncBaseTransport):
    """Answers `POST .../chat/completions` from a Simulation, and `POST .../embeddings`."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = msgspec.json.decode(request.content)
        model = str(asked["model"])
        if (failure := _scripted_failure(model)) is not None:
            return failure
        if model == "sim-unreachable":
            raise httpx.ConnectError("the simulated provider refuses the connection")
        if model == "sim-hang":
            await asyncio.sleep(3600)
        answer = _embeddings(asked) if request.url.path.endswith("/embeddings") else self._answer(asked)
        if self._simulation.first_token_ms:
            await asyncio.sleep(self._simulation.first_token_ms / 1000)
        if asked.get("stream"):
            headers = {"content-type": "text/event-stream"}
            return httpx.Response(200, headers=headers, stream=_Streamed(self._stream(asked, answer)))
        await self._spend(answer["usage"].get("completion_tokens", 0))
        body = msgspec.json.encode(answer)
        if model == "sim-cut":
            body = body[: len(body) // 2]
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)

    async def _spend(self, tokens: int) -> None:
        if self._simulation.tokens_per_s:
            await asyncio.sleep(tokens / self._simulation.tokens_per_s)

    async def _stream(self, asked: dict[str, Any], answer: dict[str, Any]) -> AsyncIterator[bytes]:
        shared = {name: answer[name] for name in ("id", "created", "model")}
        shared["object"] = "chat.completion.chunk"
        choice = answer["choices"][0]
        pieces = re.findall(r"\s*\S+|\s+", choice["message"]["content"])
        if asked["model"] == "sim-cut":
            pieces = pieces[: len(pieces) // 2]
        usage_asked = (asked.get("stream_options") or {}).get("include_usage")
        extra = {"usage": None} if usage_asked else {}

        def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return data_block(msgspec.json.encode({**shared, "choices": choices, **extra}))

        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces:
            yield chunk({"content": piece})
            await self._spend(1)
        if asked["model"] == "sim-cut":
            return
        yield chunk({}, choice["finish_reason"])
        if usage_asked:
            yield data_block(msgspec.json.encode({**shared, "choices": [], "usage": answer["usage"]}))
        yield data_block(b"[DONE]")

    def _wording(self, question: str) -> str:
        """One of the known wordings, in ever other words as models do; a made-up answer for other questions."""
        known = self._simulation.answers.get(question)
        return random.choice(known) if known else _made_up(question)

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        question = _last_text(asked["messages"])
        text = self._wording(question)
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        tokens = _tokens(text)
        finish = "stop"
        if limit and tokens > limit:
            text, tokens, finish = text[: limit * 4], limit, "length"
        prompt_tokens = sum(_tokens(_last_text([message])) + 4 for message in asked["messages"])
        return {
            "id": "chatcmpl-sim" + hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:20],
            "object": "chat.completion",
            "created": _CREATED,
            "model": asked["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": tokens,
                "total_tokens": prompt_tokens + tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        }


class _Streamed(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk


def _scripted_failure(model: str) -> httpx.Response | None:
    if found := re.fullmatch(r"sim-(\d{3})", model):
        status = int(found.group(1))
        error = {"message": f"Simulated failure {status}.", "type": "simulated_error", "code": None}
        return httpx.Response(status, json={"error": error}, headers={"retry-after": "0"})
    if model == "sim-error-in-200":
        return httpx.Response(200, json={"error": {"message": "Simulated failure.", "type": "server_error"}})
    if model == "sim-garbled":
        return httpx.Response(200, content=b'{"choices": [', headers={"content-type": "application/json"})
    return None


def _last_text(messages: list[dict[str, Any]]) -> str:
    content = messages[-1].get("content") if messages else ""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _made_up(question: str) -> str:
    """A paragraph that depends on the question alone."""
    digest = hashlib.sha256(question.encode()).digest()
    words = [_WORDS[(byte + position) % len(_WORDS)] for position, byte in enumerate(digest)]
    topic = " ".join(question.split())[:80]
    return f"(simulated) About “{topic}”: " + " ".join(words) + "."


def _embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    """Vectors of length 1, as real ones; texts that share words lie close to each other."""
    given = asked["input"]
    inputs = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    size = asked.get("dimensions") or _DIMENSIONS
    packs = asked.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": at, "embedding": _written(_vector(item, size), packs=packs)}
        for at, item in enumerate(inputs)
    ]
    tokens = sum(_tokens(item) if isinstance(item, str) else len(item) for item in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": asked["model"], "usage": usage}


def _vector(item: str | list[int], size: int) -> np.ndarray:
    """The sum of one direction for each word, which its hash gives."""
    words = item.lower().split() or [item] if isinstance(item, str) else [str(token) for token in item]
    drawn = b"".join(hashlib.shake_256(word.encode(errors="surrogatepass")).digest(size) for word in words)
    total = (np.frombuffer(drawn, np.uint8).reshape(len(words), size) - 127.5).sum(axis=0)
    return np.asarray(total / np.linalg.norm(total), "<f4")


def _written(vector: np.ndarray, *, packs: bool) -> Any:
    return base64.b64encode(vector.tobytes()).decode() if packs else vector.tolist()


def _tokens(text: str) -> int:
    return max(-(-len(text) // 4), 1)
