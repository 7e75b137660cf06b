"""The gateway without its HTTP server: one open data folder before a provider that is a function."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from app.exchange import Exchange
from app.inbound import Inbound
from app.keys import Caller
from app.rendering import event_stream, json_body
from app.services import Services, open_services
from app.settings import from_mapping
from router.ledger.reader import rows_between
from router.ledger.row import LedgerRow
from router.surfaces import openai
from router.surfaces.surface import Failure, Surface
from tests.running import ENCODER

PRICES: Final = {"large": (10, 40), "medium": (2, 8), "small": (1, 4)}
"""USD per million tokens, so a token costs 1000 times as many nano-dollars."""
TIERS: Final = {"large": "premium", "medium": "mid", "small": "economy"}
CALLER: Final = Caller("support", "faq-bot", "prod", "key_1", "default")
Replies = Callable[[dict[str, Any]], Awaitable[httpx.Response] | httpx.Response]


class Upstream(httpx.AsyncBaseTransport):
    """Answers by `reply`, which is given the request's JSON, and remembers what it was asked."""

    def __init__(self, reply: Replies) -> None:
        self.reply = reply
        self.asked: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = json.loads(await request.aread())
        self.asked.append(asked)
        answer = self.reply(asked)
        return answer if isinstance(answer, httpx.Response) else await answer

    def asked_of(self, model: str) -> list[dict[str, Any]]:
        return [asked for asked in self.asked if asked["model"] == model]


class InProcess:
    """What a test needs of an open gateway."""

    def __init__(self, services: Services, upstream: Upstream) -> None:
        self.services = services
        self.upstream = upstream

    def rows(self, **equal: str | None) -> list[LedgerRow]:
        return list(rows_between(self.services.ledger_engine, **equal))

    async def row(self, **equal: str | None) -> LedgerRow:
        """The one row that matches, as soon as it is in the file."""
        (row,) = await soon(lambda: self.rows(**equal))
        return row

    async def ask(
        self,
        text: str,
        *,
        surface: Surface = openai,
        caller: Caller = CALLER,
        cache_control: str | None = None,
        disconnected: Callable[[], Awaitable[None]] | None = None,
        **fields: Any,
    ) -> tuple[Exchange, bytes]:
        """Asks `large`, unless told otherwise; what became of it, and the bytes of the answer."""
        asked = {"model": "large", "messages": [{"role": "user", "content": text}], **fields}
        inbound = Inbound(
            request_id=f"req_{uuid.uuid4().hex}",
            surface=surface,
            body=json.dumps(asked).encode(),
            forwarded={},
            started_ns=time.perf_counter_ns(),
            cache_control=cache_control,
            labels=None,
            conversation=None,
            end_user_key=b"key",
            disconnected=disconnected or _never,
        )
        answer = await self.services.gateway.answer(caller, inbound)
        if not answer.exchange.request.stream:
            return answer.exchange, await json_body(answer, surface)
        parts = [part async for part in event_stream(answer, surface, _failure, nullcontext())]
        return answer.exchange, b"".join(parts)


T = TypeVar("T")


async def soon(found: Callable[[], T]) -> T:
    """What this finds, as soon as that is anything."""
    async with asyncio.timeout(20):
        while not (value := found()):  # noqa: ASYNC110  nobody says when
            await asyncio.sleep(0.01)
    return value


async def _never() -> None:
    await asyncio.Event().wait()


def _failure(error: Exception) -> Failure:
    return Failure(500, "error", None, str(error))


def answered(text: str, tokens_in: int = 12, tokens_out: int = 7, **message: Any) -> httpx.Response:
    """A whole answer."""
    said = {"role": "assistant", "content": text, "refusal": None, **message}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "a-model",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }
    return httpx.Response(200, json=body)


def models(max_output_tokens: int = 1000) -> dict[str, Any]:
    """`large`, `medium` and `small`."""
    return {
        name: {
            "tier": TIERS[name],
            "max_output_tokens": max_output_tokens,
            "deployments": [
                {"provider": "scripted", "model": name, "list_price": {"input": costs[0], "output": costs[1]}}
            ],
        }
        for name, costs in PRICES.items()
    }


@asynccontextmanager
async def in_process(folder: Path, upstream: Upstream, **settings: Any) -> AsyncIterator[InProcess]:
    """Opens the gateway on this folder. `settings` are the tables of the configuration beside the usual ones."""
    usual: Mapping[str, Any] = {
        "server": {"data_dir": str(folder)},
        "encoder": {"folder": str(ENCODER)},
        "providers": {"scripted": {"base_url": "http://scripted.invalid/v1", "api_key": "env:KEY", "retries": 0}},
        "models": models(),
        "routes": {"default": {"models": list(PRICES), "cache": {"start": "prior"}}},
    }
    checked = from_mapping({**usual, **settings}, "test", {"KEY": "sk-only-for-the-provider"})
    async with open_services(checked, transports={"scripted": upstream}) as services:
        yield InProcess(services, upstream)
