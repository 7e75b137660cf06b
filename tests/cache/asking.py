"""Requests, answers and caches for the cache's tests."""

import hashlib
import itertools
import math
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from msgspec.structs import replace

from app.database import CACHE_MIGRATIONS, open_database
from cache.answers import Comparison, Encodes, Verdict
from cache.decision import FEATURES, Judgement, Prior
from cache.entries import Doubt, EntryStore
from cache.errors import TextTooLong
from cache.index import Vector
from cache.lookup import Cache, Fresh, Lookup, Warmed
from cache.query import Acceptance, CachePolicy, Directives, Query

QUESTION = "How do I reset my password?"
PARAPHRASE = "How can one reset a password?"
FAR = "Do you ship to Norway?"
ANSWER = "forgot: Choose “Forgot password” on the sign-in page."
REWORDED = "forgot: On the page where you sign in there is “Forgot password”; choose it."
OTHER = "gear: Choose the gear."
NORWAY = "norway: Yes, within five days."
UNCLEAR = "unclear: It depends."
MID, PREMIUM = 2, 3
_request_ids = itertools.count(1)


def weights_of(**given: float) -> Any:
    """Weights of a prior: all zero but these, among them `intercept`."""
    return np.array([given.get(name, 0.0) for name in (*FEATURES, "intercept")])


_NEARNESS: Final = weights_of(best=50, other=-20, intercept=-39.25)
PLAIN: Final = Prior(_NEARNESS, _NEARNESS, {0.005: 0.99, 0.01: 0.95, 0.02: 0.9, 0.05: 0.8}, "plain")
"""Nearness speaks for an answer, a near other answer against it. Without another answer p is 0.998 at 10 degrees, 0.977
at 20, 0.89 at 25, 0.09 at 35. Another answer as near, or almost, brings it to 0. Serves from about 0.95 on."""


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
    app: str = "bot",
    asker: str = "",
    may_audit: bool = False,
    headers: dict[str, str] | None = None,
    echoed: dict[str, Any] | None = None,
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
        app=app,
        asker=asker,
        request_id=f"req_{next(_request_ids)}",
        may_audit=may_audit,
        headers=headers or {},
        echoed=echoed or {},
    )


def disposed(lookup: Lookup[str]) -> tuple[str, str]:
    return lookup.disposition, lookup.reason


def served(lookup: Lookup[str]) -> str | None:
    """The stored answer that the lookup hands out."""
    return lookup.payload.decode() if lookup.payload is not None else None


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.us

    def move_s(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class Compass:
    """An encoder of two dimensions: the test says in which direction, in degrees, each text lies. Any other text lies
    far from those between 0 and 90; one with the direction None is too long for it."""

    dim = 2
    max_tokens = 256
    model = "compass"

    def __init__(self, directions: dict[str, float | None], fingerprint: str = "compass-1") -> None:
        self.directions = directions
        self.fingerprint = fingerprint
        self.encoded: list[str] = []

    async def encode(self, text: str, *, here: bool = False) -> Vector:
        self.encoded.append(text)
        degrees = self.directions.get(text, 180 + zlib.crc32(text.encode()) % 90)
        if degrees is None:
            raise TextTooLong(300, 256)
        return pointing(degrees)


def pointing(degrees: float) -> Vector:
    """The vector of unit norm in this direction."""
    radians = math.radians(degrees)
    return np.array([math.cos(radians), math.sin(radians)], dtype=np.float32)


class ByLabel:
    """Answers are `label: wording`; those with one label say the same, and of those that begin with `unclear` nobody
    knows what they say."""

    link_at = same_at = 0.5
    near_at = -1.0

    def identity(self, answer: str) -> bytes:
        return hashlib.sha256(answer.casefold().encode()).digest()[:16]

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return float(one.partition(":")[0] == two.partition(":")[0] != "unclear")

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        labels = {one.partition(":")[0], two.partition(":")[0]}
        if "unclear" in labels:
            return "unclear"
        return "same" if len(labels) == 1 else "different"


class Kept:
    """A cache over a file, with a clock that the test moves and a list of what went wrong."""

    def __init__(
        self,
        folder: Path,
        encoder: Encodes | None,
        *,
        prior: Prior | None = PLAIN,
        comparison: Comparison | None = None,
        max_entries: int = 1000,
        max_bytes: int = 1 << 30,
        read: Callable[[bytes], str | None] = bytes.decode,
    ) -> None:
        self.clock = Clock()
        self.faults: list[Exception] = []
        self.labels: list[tuple[str, float, Verdict]] = []
        """Request, p and verdict of what would have been served."""
        self.engine = open_database(folder / "cache.db", CACHE_MIGRATIONS)
        self.store = EntryStore(
            self.engine,
            max_entries=max_entries,
            max_bytes=max_bytes,
            payload_bytes=1 << 20,
            on_error=self.faults.append,
        )
        self.cache: Cache[str] = Cache(
            self.store,
            encoder,
            self.clock,
            self.faults.append,
            prior=prior,
            comparison=comparison or ByLabel(),
            chance=random.Random(1),
            read=read,
        )
        self.cache.on_label = self._label
        self.cache.load()

    def _label(self, query: Query, judgement: Judgement, verdict: Verdict) -> None:
        self.labels.append((query.request_id, judgement.p, verdict))

    def close(self) -> None:
        self.cache.close()
        self.engine.dispose()

    async def __call__(self, query: Query, **options: bool) -> Lookup[str]:
        return await self.cache.lookup(query, **options)

    async def join(self, query: Query) -> Lookup[str]:
        """Joins an answer that is being made, and is served it."""
        lookup = await self(query)
        assert lookup.disposition == "coalesced", lookup
        self.cache.joined(lookup)
        return lookup

    def answer(self, lookup: Lookup[str], text: str = ANSWER, **made_by: Any) -> str:
        """Ends the flight of a miss with this answer, which is stored; returns the entry's id."""
        entry = self.offer(lookup, text, **made_by)
        assert entry is not None
        return entry

    def offer(self, lookup: Lookup[str], text: str = ANSWER, **made_by: Any) -> str | None:
        """As `answer`, for one that the cache may not want: then None."""
        assert lookup.ticket is not None
        assert lookup.flight is not None
        entry = self.cache.store(lookup.ticket, fresh(text, **made_by))
        self.cache.land(lookup.ticket, lookup.flight)
        return entry

    async def learn(self, query: Query, text: str = ANSWER, **made_by: Any) -> str:
        """Stores an answer, whatever would have been served; what follows from it has followed."""
        lookup = await self(replace(query, directives=Directives(no_cache=True)))
        assert lookup.disposition == "miss", lookup
        entry = self.answer(lookup, text, **made_by)
        await self.cache.settle()
        return entry

    async def audit(self, lookup: Lookup[str], text: str, **made_by: Any) -> Verdict | None:
        """What the audit of a hit says, whose fresh answer is this."""
        assert lookup.follow_up is not None
        verdict = await self.cache.followed(lookup.follow_up, fresh(text, **made_by))
        await self.cache.settle()
        return verdict

    async def warm(self, question: str, answer: str = ANSWER, query: Query | None = None, **item: Any) -> None:
        """Stores a curated answer."""
        warmed = Warmed(question, answer, answer.encode(), item.pop("output_tokens", 12), "faq.csv:1", **item)
        assert (await self.cache.warm(query or ask(), [warmed])).written == 1

    def doubts(self, *, only_open: bool = True) -> list[Doubt]:
        self.store.flush()
        return self.store.doubts(only_open=only_open)

    def count(self, name: str) -> int:
        return int(self.cache.statistics()[name])


def fresh(
    text: str = ANSWER,
    *,
    model: str = "gpt-mid",
    tier: int = MID,
    is_rationed: bool = False,
    output_tokens: int = 12,
) -> Fresh:
    return Fresh(model, tier, is_rationed, output_tokens, text, text.encode())


Keep = Callable[..., Kept]
