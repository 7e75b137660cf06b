"""What comes into the cache from outside: answers that the operator vouches for, and entries of another cache.

Gives both the form in which the gateway stores and replays an answer.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, get_args

import msgspec

from app.exchange import StoredAnswer, answer_text
from app.gateway import Route
from app.warming import Curated
from cache import transfer
from cache.cacheability import cacheability
from cache.lookup import Cache, Stored, Warmed
from cache.query import Acceptance, CachePolicy, Directives, Query
from cache.scope import Split
from cache.transfer import Kept, TransferInvalid
from router.catalogue import Tier
from router.errors import RequestInvalid
from router.usage import Usage, estimated_tokens

CURATED: Final = "curated"
"""Stands for a model: nobody but the operator made the answer."""
_TIERS: Final = frozenset(Tier)


async def warm(
    cache: Cache[Any],
    routes: Mapping[str, Route],
    team: str,
    route: str,
    items: Sequence[Curated],
    at: datetime,
    since_us: int | None = None,
) -> Stored:
    """Stores curated answers for a team and a route, but for those that a purge has named after `since_us`. Raises
    RequestInvalid before anything is stored, for a route that would not serve them."""
    policy = routes[route].cache
    if policy.mode == "off":
        raise RequestInvalid(f"The cache of route `{route}` is off, so it would never serve them.", "route")
    query = Query(team, "", route, {}, None, Acceptance(CURATED, 0), policy, Directives())
    return await cache.warm(query, [_warmed(item, at) for item in items], since_us)


def unanswered(policy: CachePolicy, items: Iterable[Curated]) -> Iterator[tuple[Curated, str]]:
    """The questions that the cache leaves to the models whatever is stored, as personal ones, each with the reason."""
    query = Query("", "", "", {}, None, Acceptance(CURATED, 0), policy, Directives())
    for item in items:
        allowed = cacheability(query, Split(item.question, [], has_earlier_turns=False))
        if allowed.level == "none":
            yield item, allowed.reason


def _warmed(item: Curated, at: datetime) -> Warmed:
    stored = curated_answer(item.question, item.answer, at)
    return Warmed(
        question=item.question,
        answer=item.answer,
        payload=msgspec.json.encode(stored),
        output_tokens=stored.usage.output,
        source=item.source,
        tags=tuple(item.tags),
        ttl_s=item.ttl_s,
    )


def curated_answer(question: str, answer: str, at: datetime) -> StoredAnswer:
    """The answer as a provider would have given it; its usage is estimated, since nobody counted."""
    tokens_in, tokens_out = (estimated_tokens(len(text.encode())) for text in (question, answer))
    message = {"role": "assistant", "content": answer, "refusal": None}
    body = {
        "id": "chatcmpl-curated",
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": CURATED,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": tokens_in,
            "completion_tokens": tokens_out,
            "total_tokens": tokens_in + tokens_out,
        },
    }
    return StoredAnswer(body, Usage(input=tokens_in, output=tokens_out))


async def take_in(cache: Cache[Any], routes: Mapping[str, Route], content: bytes) -> dict[str, int]:
    """Stores the entries of an export; how many became what (`cache.transfer.Taken`), how many of the imported ones
    could not be written to the file (`unwritten`), and how many entries have had to make room meanwhile (`evicted`).
    Raises RequestInvalid before anything is stored."""
    try:
        entries = list(servable(content.split(b"\n")))
    except TransferInvalid as error:
        raise RequestInvalid(str(error)) from None
    policies = {name: route.cache for name, route in routes.items()}
    evicted = cache.evicted
    taken: Counter[str] = Counter()
    imported: list[str] = []
    for kept in entries:
        outcome = await transfer.restore(cache, kept, policies)
        taken[outcome] += 1
        if outcome == "imported":
            imported.append(kept.id)
    found = {outcome: taken[outcome] for outcome in get_args(transfer.Taken)}
    return found | {"unwritten": await cache.unwritten(imported), "evicted": cache.evicted - evicted}


def servable(written: Iterable[bytes]) -> Iterator[Kept]:
    """The entries of an export, all of which can be replayed. Raises TransferInvalid."""
    for kept in transfer.kept_from(written):
        answer = answer_text(kept.payload)
        if answer is None or not (kept.is_curated or kept.tier in _TIERS):
            raise TransferInvalid(f"The entry `{kept.id}` holds no answer that can be served.")
        yield transfer.with_answer(kept, answer)
