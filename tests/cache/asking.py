"""Requests, answers and caches for the cache's tests."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from app.database import CACHE_MIGRATIONS, open_database
from cache.encoder import Encoder
from cache.entries import EntryStore
from cache.errors import TextTooLong
from cache.index import Vector
from cache.lookup import Cache, Lookup
from cache.query import Acceptance, CachePolicy, Directives, Query

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can one reset a password?"
ANSWER = "Choose “Forgot password” on the sign-in page."
MID, PREMIUM = 2, 3


def ask(
    text: Any = QUESTION,
    *,
    team: str = "support",
    env: str = "prod",
    route: str = "faq",
    messages: list[dict[str, Any]] | None = None,
    output_limit: int | None = None,
    lowest_tier: int = MID,
    rationed_to: int | None = None,
    policy: CachePolicy | None = None,
    directives: Directives | None = None,
    **fields: Any,
) -> Query:
    """A request as the gateway hands it to the cache; `fields` are further fields of the body."""
    mapping = {"model": "auto", "messages": messages or [{"role": "user", "content": text}], **fields}
    return Query(
        team=team,
        env=env,
        route=route,
        mapping=mapping,
        output_limit=output_limit,
        acceptance=Acceptance(mapping["model"], lowest_tier, rationed_to),
        policy=policy or CachePolicy(start="prior"),
        directives=directives or Directives(),
    )


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def move_s(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class Compass:
    """An encoder of two dimensions: the test says in which direction, in degrees, each text lies. A text without
    a direction breaks it, one with the direction None is too long for it."""

    dim = 2
    max_tokens = 256
    model = "compass"

    def __init__(self, directions: dict[str, float | None], fingerprint: str = "compass-1") -> None:
        self.directions = directions
        self.fingerprint = fingerprint
        self.encoded: list[str] = []
        self.is_closed = False

    async def encode(self, text: str) -> Vector:
        self.encoded.append(text)
        degrees = self.directions[text]
        if degrees is None:
            raise TextTooLong(300, 256)
        radians = math.radians(degrees)
        return np.array([math.cos(radians), math.sin(radians)], dtype=np.float32)

    def close(self) -> None:
        self.is_closed = True


class Kept:
    """A cache over a file, with a clock that the test moves and a list of what went wrong."""

    def __init__(self, folder: Path, encoder: Encoder | Compass | None, max_entries: int = 1000) -> None:
        self.clock = Clock()
        self.faults: list[Exception] = []
        self.engine = open_database(folder / "cache.db", CACHE_MIGRATIONS)
        self.store = EntryStore(self.engine, max_entries, 1 << 20, self.faults.append)
        self.cache: Cache[str] = Cache(self.store, encoder, self.clock, self.faults.append)
        self.cache.load()

    def close(self) -> None:
        self.cache.close()
        self.engine.dispose()

    async def __call__(self, query: Query, **options: bool) -> Lookup[str]:
        return await self.cache.lookup(query, **options)

    def answer(self, lookup: Lookup[str], text: str = ANSWER, **made_by: Any) -> str:
        """Ends the flight of a miss with this answer, which is stored; returns the entry's id."""
        entry = self.offer(lookup, text, **made_by)
        assert entry is not None
        return entry

    def offer(
        self,
        lookup: Lookup[str],
        text: str = ANSWER,
        *,
        model: str = "gpt-mid",
        tier: int = MID,
        is_rationed: bool = False,
        output_tokens: int = 12,
    ) -> str | None:
        """As `answer`, for one that the cache may not want: then None."""
        assert lookup.ticket is not None
        assert lookup.flight is not None
        entry = self.cache.store(
            lookup.ticket,
            model=model,
            tier=tier,
            is_rationed=is_rationed,
            output_tokens=output_tokens,
            answer_text=text,
            payload=text.encode(),
        )
        self.cache.land(lookup.ticket, lookup.flight)
        return entry

    async def learn(self, query: Query, text: str = ANSWER, **made_by: Any) -> str:
        """Asks, and answers what must be a miss."""
        lookup = await self(query)
        assert lookup.disposition == "miss", lookup
        return self.answer(lookup, text, **made_by)


Keep = Callable[..., Kept]
