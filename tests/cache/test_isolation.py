"""No answer ever crosses a border: a fuzz of mixed requests, in which each stored answer says where it is from.

`fuzz` is for longer runs too: `python -m tests.cache.test_isolation 100000`.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from typing import Any, Final

import pytest
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.pool import StaticPool

from cache import tables
from cache.entries import EntryStore
from cache.flights import Flight
from cache.lookup import Cache, Fresh, Lookup, Warmed
from cache.query import Acceptance, CachePolicy, Directives, Query
from tests.cache.asking import ANSWER, PARAPHRASE, PLAIN, QUESTION, ByLabel, Clock, Compass, Kept, ask, disposed, served

REQUESTS: Final = 20_000
TOPICS: Final = ("reset a password", "ship a parcel to Norway", "paint a fence", "pay with a gift card")
WORDINGS: Final = ("How do I {}?", "How can one {}?", "In which way does one {}?", "Please explain how to {}.")
PERSONAL: Final = ("Where is my parcel?", "What did I order last week?")
TOOL: Final = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

# Each of these splits the cache; None = the field is left out. The first is the usual one.
PARAMETERS: Final[dict[str, tuple[Any, ...]]] = {
    "model": ("auto", "gpt-mid", "gpt-top"),
    "temperature": (None, 0, 0.7),
    "seed": (None, 7),
    "stop": (None, ["."], "."),
    "response_format": (None, {"type": "json_object"}),
    "logit_bias": (None, {"50256": -100}),
    "novel_field": (None, 0, False, "", {"a": None}),
}
SYSTEMS: Final[tuple[list[dict[str, Any]], ...]] = (
    [],
    [{"role": "system", "content": "Be brief."}],
    [{"role": "system", "content": "Be brief. "}],
    [{"role": "developer", "content": "Be brief."}],
    [{"role": "system", "content": "Be brief.", "name": "ann"}],
)
EARLIER: Final[tuple[list[dict[str, Any]], ...]] = (
    [],
    [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, what is it about?"}],
    [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, what about Sweden?"}],
)
TENANTS: Final = ("support", "sales", "helpdesk")
SHARED: Final = (None, "helpdesk", "support")  # the names of groups are those of teams, on purpose


class Asked(Struct):
    """One request, and what must be equal for an answer to be shared: said by the one who made it up."""

    query: Query
    topic: str
    border: str
    """All that defines a scope."""
    curated_border: str
    """What defines that of curated answers, or empty where none may serve."""
    is_first_turn: bool
    is_personal: bool


class Fuzzed(Struct):
    """What a fuzz has seen. `crossed` describes each answer that crossed a border: there must be none."""

    requests: int
    seconds: float
    served: Counter[str]
    crossed: list[str]
    faults: list[Exception]


def make_up(chance: random.Random, number: int) -> Asked:
    def usually(first: float, choices: tuple[Any, ...]) -> Any:
        return choices[0] if chance.random() < first else chance.choice(choices)

    team, env = chance.choice(TENANTS), usually(0.8, ("prod", "staging", "dev"))
    route, version = usually(0.7, ("faq", "shop")), usually(0.9, ("1", "2"))
    shared, splits_by_user = usually(0.7, SHARED), chance.random() < 0.1
    system, earlier = usually(0.8, SYSTEMS), usually(0.9, EARLIER)
    fields = {name: found for name, values in PARAMETERS.items() if (found := usually(0.97, values)) is not None}
    is_personal, has_tools = chance.random() < 0.03, chance.random() < 0.02
    topic = chance.choice(TOPICS)
    text = chance.choice(PERSONAL) if is_personal else chance.choice(WORDINGS).format(topic)
    user = chance.choice(("ann", "bob"))
    last = {"role": "user", "content": [{"type": "text", "text": text}] if chance.random() < 0.2 else text}
    mapping = fields | {"messages": [*system, *earlier, last], "user": user, "stream": chance.random() < 0.5}
    if has_tools:
        mapping["tools"] = [TOOL]
    shuffled = list(mapping.items())
    chance.shuffle(shuffled)
    policy = CachePolicy(
        start="prior",
        knowledge_version=version,
        shared=shared,
        scope_fields=("user",) if splits_by_user else (),
        ttl_s=300,
        stale_s=chance.choice((0, 100)),
        min_askers=usually(0.95, (1, 2)),
    )
    query = Query(
        team=team,
        env=env,
        route=route,
        mapping=dict(shuffled),
        output_limit=usually(0.8, (None, 10, 50, 100)),
        acceptance=Acceptance(fields["model"], usually(0.7, (2, 1, 3)), usually(0.7, (None, 1, 2, 3))),
        policy=policy,
        directives=Directives(no_cache=chance.random() < 0.02, no_store=chance.random() < 0.01),
        app=chance.choice(("bot", "site")),
        asker=user,
        request_id=f"req_{number}",
        may_audit=chance.random() < 0.3,
    )
    tenant = f"group {shared}" if shared is not None else f"team {team}"
    border = [tenant, env, route, version, system, earlier, fields, has_tools, user if splits_by_user else None]
    takes_curated = not earlier and not has_tools and "response_format" not in fields
    return Asked(
        query=query,
        topic=topic,
        border=json.dumps(border, sort_keys=True),
        curated_border=json.dumps([tenant, route, version]) if takes_curated else "",
        is_first_turn=not earlier,
        is_personal=is_personal,
    )


def offence(asked: Asked, found: Lookup[Any], token: dict[str, Any]) -> str | None:
    """Which border this answer has crossed, if any."""
    query = asked.query
    wanted = query.acceptance
    limit = query.output_limit
    if asked.is_personal or "tools" in query.mapping:
        return "served what must be asked anew each time"
    if query.directives.no_cache or query.directives.no_store:
        return "served in spite of the caller's directive"
    if limit is not None and token["output_tokens"] > limit:
        return "longer than the caller's limit"
    if token["curated"]:
        return None if token["border"] == asked.curated_border else "a curated answer of another place"
    if token["border"] != asked.border:
        return f"{token['border']} is not {asked.border}"
    if not asked.is_first_turn and found.disposition != "exact" and found.reason != "in-flight":
        return "a follow-up was matched by its meaning"
    if token["is_rationed"]:
        is_acceptable = wanted.rationed_to is not None and wanted.rationed_to <= token["tier"]
    else:
        is_acceptable = token["model"] == wanted.model or token["tier"] >= wanted.lowest_tier
    return None if is_acceptable else "made by a model that is not acceptable to this caller"


def made(asked: Asked, chance: random.Random) -> tuple[Fresh, dict[str, Any]]:
    """An answer that says where it is from."""
    token = {
        "border": asked.border,
        "curated": False,
        "model": asked.query.acceptance.model if asked.query.acceptance.model != "auto" else "gpt-any",
        "tier": chance.randint(1, 3),
        "is_rationed": asked.query.acceptance.rationed_to is not None and chance.random() < 0.7,
        "output_tokens": chance.choice((5, 30, 80, 120)),
    }
    made_by = {name: token[name] for name in ("model", "tier", "is_rationed", "output_tokens")}
    wording = chance.choice(("so", "like this", "in this way"))
    fresh = Fresh(**made_by, text=f"{asked.topic}: {wording}", payload=json.dumps(token).encode())  # type: ignore[arg-type]
    return fresh, token


def near_each_other() -> Compass:
    """Wordings of one topic lie close; topics lie apart."""
    directions: dict[str, float | None] = {}
    for at, topic in enumerate(TOPICS):
        for by, wording in enumerate(WORDINGS):
            directions[wording.format(topic)] = 80.0 * at + 4.0 * by
    return Compass(directions)


async def fuzz(requests: int, seed: int = 1) -> Fuzzed:
    """So many mixed requests through one cache, with answers that come late, audits, purges and time passing."""
    chance, clock = random.Random(seed), Clock()
    faults: list[Exception] = []
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables.metadata.create_all(engine)
    store = EntryStore(engine, max_entries=2000, max_bytes=1 << 30, payload_bytes=1 << 28, on_error=faults.append)
    cache: Cache[Any] = Cache(
        store, near_each_other(), clock, faults.append, prior=PLAIN, comparison=ByLabel(), chance=chance
    )
    await _warm_everywhere(cache, chance)
    seen: Counter[str] = Counter()
    crossed: list[str] = []
    waiting: list[tuple[Lookup[Any], Fresh]] = []
    began = time.perf_counter()
    for number in range(requests):
        clock.move_s(chance.random())
        asked = make_up(chance, number)
        found = await cache.lookup(asked.query)
        seen[found.disposition] += 1
        token: dict[str, Any] | None = None
        if found.payload is not None:
            token = json.loads(found.payload)
            seen["curated"] += token is not None and token["curated"]
        elif found.disposition == "coalesced":
            seen["in-flight" if found.judgement is None else "equivalent"] += 1
            assert found.flight is not None
            token, asked_by = found.flight.about
            if (asked_by.output_limit, asked_by.acceptance) != (asked.query.output_limit, asked.query.acceptance):
                crossed.append(f"{asked.query.request_id}: shares an answer with other demands")
            token = token | {"tier": 3, "is_rationed": False, "output_tokens": 0}  # looked at when it has been made
        elif found.ticket is not None:
            fresh, said = made(asked, chance)
            assert found.flight is not None
            found.flight.about = said, asked.query
            waiting.append((found, fresh))
        if token is not None and (said_of := offence(asked, found, token)) is not None:
            crossed.append(f"{asked.query.request_id}, {found.disposition}: {said_of}")
        if found.follow_up is not None:
            await cache.followed(found.follow_up, made(asked, chance)[0])
        while waiting and (len(waiting) > 100 or chance.random() < 0.15):
            _land(cache, *waiting.pop(chance.randrange(len(waiting))))
        if chance.random() < 0.001:
            cache.purge(**chance.choice(({"team": "sales"}, {"route": "shop"}, {"knowledge_version": "2"})))
            await _warm_everywhere(cache, chance)
        if number % 50 == 0:
            await cache.settle()
    await cache.settle()
    seconds = time.perf_counter() - began
    cache.close()
    engine.dispose()
    return Fuzzed(requests, seconds, seen, crossed, faults)


def _land(cache: Cache[Any], found: Lookup[Any], fresh: Fresh) -> None:
    assert found.ticket is not None
    assert isinstance(found.flight, Flight)
    cache.store(found.ticket, fresh)
    cache.land(found.ticket, found.flight)


async def _warm_everywhere(cache: Cache[Any], chance: random.Random) -> None:
    """Curated answers in some places, each with its own."""
    for tenant, shared in (("support", None), ("sales", None), ("helpdesk", "helpdesk")):
        for route, version in (("faq", "1"), ("shop", "2")):
            policy = CachePolicy(start="prior", shared=shared, knowledge_version=version)
            border = json.dumps([f"group {shared}" if shared else f"team {tenant}", route, version])
            token = {"border": border, "curated": True, "output_tokens": 30}
            topic = chance.choice(TOPICS)
            item = Warmed(WORDINGS[0].format(topic), f"{topic}: so", json.dumps(token).encode(), 30, "faq.csv:1")
            await cache.warm(Query(tenant, "", route, {}, None, Acceptance("", 0), policy, Directives()), [item])


async def test_in_many_mixed_requests_no_answer_crosses_a_border() -> None:
    fuzzed = await fuzz(REQUESTS)
    assert fuzzed.crossed == []
    assert fuzzed.faults == []
    # The fuzz is worth something only if much is served in each way.
    least = {"exact": 0.1, "semantic": 0.1, "in-flight": 0.001, "equivalent": 0.0005, "curated": 0.03}
    assert all(fuzzed.served[way] >= share * REQUESTS for way, share in least.items()), fuzzed.served


# --- One border at a time -------------------------------------------------------------------------------------

BORDERS: Final[dict[str, dict[str, Any]]] = {
    "team": {"team": "sales"},
    "environment": {"env": "dev"},
    "route": {"route": "shop"},
    "model": {"model": "gpt-5"},
    "temperature": {"temperature": 0.1},
    "a field of the future": {"novel": 0},
    "system prompt": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ""}]},
    "knowledge version": {"policy": CachePolicy(start="prior", knowledge_version="2")},
    "shared group": {"policy": CachePolicy(start="prior", shared="support")},
}


def elsewhere(text: str, border: dict[str, Any]) -> Query:
    if "messages" in border:
        *before, last = border["messages"]
        return ask(messages=[*before, {**last, "content": text}])
    return ask(text, **border)


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
async def test_a_stored_answer_stays_on_its_side(kept: Kept, border: dict[str, Any]) -> None:
    await kept.learn(ask())
    for text in (QUESTION, PARAPHRASE):
        assert disposed(await kept(elsewhere(text, border), may_join=False)) == ("miss", "no-neighbour")


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
async def test_a_flight_is_not_joined_from_the_other_side(kept: Kept, border: dict[str, Any]) -> None:
    leader = await kept(ask())
    for text in (QUESTION, PARAPHRASE):
        other = await kept(elsewhere(text, border), may_join=True)
        assert other.flight is not leader.flight


async def test_teams_of_a_shared_group_share(kept: Kept) -> None:
    shared = CachePolicy(start="prior", shared="helpdesk")
    await kept.learn(ask(team="support", policy=shared))
    assert served(await kept(ask(team="sales", policy=shared))) == ANSWER
    assert served(await kept(ask(PARAPHRASE, team="sales", policy=shared))) == ANSWER
    assert (await kept(ask(team="sales"))).disposition == "miss"


async def test_a_follow_up_is_served_in_the_same_conversation_only_and_by_the_same_words_only(kept: Kept) -> None:
    def turn(before: str, text: str) -> Query:
        turns = [{"role": "user", "content": before}, {"role": "assistant", "content": "Well."}]
        return ask(messages=[*turns, {"role": "user", "content": text}])

    await kept.learn(turn("About passwords", QUESTION))
    assert (await kept(turn("About passwords", QUESTION))).disposition == "exact"
    assert disposed(await kept(turn("About passwords", PARAPHRASE), may_join=False)) == ("miss", "earlier-turns")
    for text in (QUESTION, PARAPHRASE):
        assert (await kept(turn("About accounts", text), may_join=False)).disposition == "miss"
        assert (await kept(ask(text), may_join=False)).disposition == "miss"


if __name__ == "__main__":
    result = asyncio.run(fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS))
    print(f"{result.requests} requests in {result.seconds:.0f} s: {dict(result.served)}")
    print(f"{len(result.crossed)} crossed a border, {len(result.faults)} faults", *result.crossed[:10], sep="\n")
