"""What a judge model thinks of answers, asked after the client has been served and booked as overhead.

    compare   a sampled answer of `auto` against the one that the baseline gives to the same request: teaches the router
    same      two answers that our own comparison cannot tell apart: decides an audit of the cache

Each question is a call of its own, reserved in the caller's budgets and in their parts for judges, with a row of its
own kind. What fails or is unclear teaches nothing. Knows neither the cache nor HTTP.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Final, Literal

import msgspec

from app.books import Books, status_of
from app.calls import Calls
from app.exchange import Exchange
from router import judge
from router.catalogue import Model, RoutingPolicy
from router.chat import ChatRequest
from router.errors import LedgerUnavailable, RouterError
from router.experience import Experience
from router.plan import AUTO
from router.protocols.openai import body_from_events, plain_answer
from router.surfaces import openai

_AT_MOST: Final = 16
"""So many comparisons at the same time; more are not made."""


class Judging:
    """`routes` maps a route's name to its policy; a route without a judge asks none."""

    def __init__(
        self,
        *,
        calls: Calls,
        books: Books,
        routes: Mapping[str, RoutingPolicy],
        models: Mapping[str, Model],
        experience: Experience,
        now: Callable[[], datetime],
    ) -> None:
        self._calls = calls
        self._books = books
        self._routes = routes
        self._models = models
        self._experience = experience
        self._now = now
        self.under_way: set[asyncio.Task[None]] = set()

    def consider(self, served: Exchange) -> None:
        """Perhaps compares this answer of a provider, by the route's share."""
        routing, model = self._judge_of(served)
        if routing is None or model is None or served.request.model != AUTO:
            return
        if random.random() >= routing.judge_share or len(self.under_way) >= _AT_MOST:
            return
        baseline, answer = served.baseline, plain_answer(body_from_events(served.events))
        if baseline is None or served.served is None or served.served.model == baseline.name or answer is None:
            return
        task = asyncio.get_running_loop().create_task(self._compare(served, model, answer))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _compare(self, served: Exchange, judge_model: Model, answer: str) -> None:
        assert served.baseline is not None
        body = {**served.request.mapping, "model": served.baseline.name, "stream": False}
        body.pop("stream_options", None)
        reference = await self._asked(served, served.baseline, openai.decode_request(msgspec.json.encode(body), {}))
        if reference is None:
            return
        question = _question(served.request)
        requests = judge.preference_requests(judge_model, question, answer, reference)
        verdict = judge.preference(*await self._words(served, judge_model, requests, "better"))
        if verdict is not None:
            self._experience.scored(served.request_id, judge.SCORES[verdict], by="judge")
            await self._books.note(served, verdict, judge.SCORES[verdict])

    async def same(self, served: Exchange, one: str, other: str) -> judge.Sameness | None:
        """Whether two answers to the same question say the same, by the route's judge; None without one, if it is
        unclear, or if they are too long to be shown whole."""
        _, model = self._judge_of(served)
        if model is None or not judge.is_seen_whole(one, other):
            return None
        requests = judge.sameness_requests(model, _question(served.request), one, other)
        return judge.sameness(*await self._words(served, model, requests, "same"))

    def _judge_of(self, served: Exchange) -> tuple[RoutingPolicy | None, Model | None]:
        routing = self._routes.get(served.caller.route)
        return routing, self._models.get(routing.judge or "") if routing is not None else None

    async def _words(
        self, served: Exchange, model: Model, requests: tuple[bytes, bytes], name: Literal["better", "same"]
    ) -> tuple[str, str]:
        """What the judge says in both orders; empty for no word. Who has none in the first is not asked again."""
        first = await self._said(served, model, requests[0])
        return first, await self._said(served, model, requests[1]) if judge.is_word(first, name) else ""

    async def _said(self, served: Exchange, model: Model, body: bytes) -> str:
        return await self._asked(served, model, openai.decode_request(body, {})) or ""

    async def _asked(self, served: Exchange, model: Model, request: ChatRequest) -> str | None:
        """The text that this model answers; None if it fails, is truncated or a budget does not hold it."""
        exchange = Exchange(
            request_id=f"judge_{uuid.uuid4().hex}",
            kind="judge",
            refers_to=served.request_id,
            caller=served.caller,
            request=request,
            routing=_only(model),
            arrived_at=self._now(),
            started_ns=time.perf_counter_ns(),
            baseline=None,
            end_user=served.end_user,
            labels=served.labels,
            query=served.query,
            conversation=served.conversation,
        )
        try:
            call = await self._calls.open(exchange)
            async with aclosing(call.events()) as events:  # type: ignore[type-var]
                async for event in events:
                    exchange.see(event)
            return plain_answer(body_from_events(exchange.events))
        except RouterError as error:
            exchange.status, exchange.error_class = status_of(error), type(error).__name__
            return None
        except asyncio.CancelledError:
            exchange.status = "client_closed"
            raise
        finally:
            with suppress(LedgerUnavailable):
                await self._books.record(exchange)


def _only(model: Model) -> RoutingPolicy:
    """A policy that offers this model and nothing instead of it."""
    return RoutingPolicy(
        models=(model,),
        floor=model.tier,
        strategy="pinned",
        allow_downgrade=False,
        clamp_output=False,
        baseline=model.name,
    )


def _question(request: ChatRequest) -> str:
    """The conversation as the judge reads it."""
    return msgspec.json.encode(request.messages).decode()
