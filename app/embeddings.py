"""The way of a request for embeddings, in reading order.

    decode -> known inputs (by input) -> those that others are asking for: wait | one call for the rest -> record
        -> store -> answer

What is known of a batch costs nothing, nor does what somebody else is asking for at the moment; of the rest a call is
planned, reserved, sent and booked as every other (`app/calls.py`). A batch of which some inputs cost nothing is several
rows of the ledger, because each row has one price: the call's, and that of what was saved, which refers to it. A call
is given up when its client has gone and nobody else waits for it. A fault of the store is a miss.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final, TypeVar

import anyio
import msgspec
from msgspec import Struct

from app.books import Books, status_of
from app.calls import Calls
from app.errors import ClientGone, NotCached, RouteUnknown
from app.exchange import Exchange, Served
from app.gateway import Route
from app.inbound import Inbound
from app.keys import Caller
from cache.batch_flights import BatchFlights
from cache.embeddings import EmbeddingStore, StoredEmbedding, concerns_embeddings
from cache.lookup import Lookup, directives_from
from cache.query import Acceptance, CachePolicy, Disposition, Query
from router.budgets import Budgets
from router.catalogue import Model
from router.chat import ChatEvent, ChatRequest
from router.embeddings import (
    Embedding,
    EmbeddingRequest,
    answer_body,
    call_for,
    decode_request,
    is_in,
    key_of,
    shares,
)
from router.errors import ModelUnknown, RequestInvalid, RouterError, UpstreamMalformed
from router.money import usd_text
from router.protocols.embeddings import is_ordered, vectors_of
from router.surfaces.surface import decoded_mapping
from router.usage import Usage

T = TypeVar("T")

_JOINS: Final = 3
"""How often a request waits for what others ask for before it asks for everything itself."""


class EmbeddingAnswer(Struct, frozen=True):
    """The whole answer."""

    body: bytes
    headers: dict[str, str]


class _Asked(Struct, frozen=True):
    """An admitted request. `keys` are those of its inputs, in order; equal inputs have equal keys."""

    caller: Caller
    inbound: Inbound
    request: EmbeddingRequest
    model: Model
    query: Query
    keys: list[bytes]
    arrived_at: datetime
    purges: int
    """How many there had been when it came."""

    @property
    def reason(self) -> str:
        """Why the cache is left out; nothing if it is not."""
        if self.query.policy.mode == "off":
            return "cache-off"
        return "no-store" if self.query.directives.no_store else ""

    @property
    def shares(self) -> bool:
        """Whether it may have what somebody else asks for at the moment, and others what it asks for."""
        return not self.reason and not self.query.directives.no_cache


class _Found(Struct):
    """What has been found out for a request: inputs by key, and the calls made for it."""

    known: dict[bytes, StoredEmbedding]
    made: dict[bytes, Embedding] = {}
    joined: dict[bytes, Embedding] = {}
    calls: list[Exchange] = []

    def __getitem__(self, key: bytes) -> Embedding:
        if (stored := self.known.get(key)) is not None:
            return _embedding(stored)
        return self.made[key] if key in self.made else self.joined[key]

    @property
    def age_from_us(self) -> int | None:
        """When the oldest of what is known was made."""
        return min((stored.created_us for stored in self.known.values()), default=None)


class Embeddings:
    """Everything that such a request needs on its way. Built by `open_services`."""

    def __init__(
        self,
        *,
        routes: Mapping[str, Route],
        budgets: Budgets,
        calls: Calls,
        books: Books,
        store: EmbeddingStore,
        on_fault: Callable[[Exception], None],
        now: Callable[[], datetime],
    ) -> None:
        self._routes = routes
        self._budgets = budgets
        self._calls = calls
        self._books = books
        self._store = store
        self._on_fault = on_fault
        self._now = now
        self._flights: BatchFlights[Embedding] = BatchFlights()

    async def answer(self, caller: Caller, inbound: Inbound) -> EmbeddingAnswer:
        """The answer, once its rows are in the file. Raises RouterError, NotCached, ClientGone."""
        asked = self._admit(caller, inbound)
        working = asyncio.ensure_future(self._answered(asked))
        gone = asyncio.ensure_future(inbound.disconnected())
        try:
            await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientGone("the client went away before its embeddings came")
            return working.result()
        finally:
            gone.cancel()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def purge(self, criteria: Mapping[str, Any]) -> int:
        """As `EmbeddingStore.purge`. What is on its way is neither stored nor shared with whoever asks from now on."""
        if concerns_embeddings(criteria):
            self._flights.hide()
        return await asyncio.to_thread(self._store.purge, criteria)

    async def drain(self, grace_s: float) -> None:
        """Waits for calls under way, then gives up what is left; every row is closed either way."""
        await self._flights.drain(grace_s)

    async def _answered(self, asked: _Asked) -> EmbeddingAnswer:
        found = _Found(await self._known(asked))
        places = _places_to_ask(asked, found.known)
        for joins in range(_JOINS, -1, -1):
            if not places:
                break
            await self._find(asked, found, places, may_join=joins > 0)
            places = [at for at in places if asked.keys[at] not in found.made | found.joined]
        embeddings = [found[key] for key in asked.keys]
        exchanges = [*found.calls]
        for saved in self._saved(asked, found, embeddings):
            if exchanges:
                part = "joined" if saved.lookup.disposition == "coalesced" else "known"
                saved.request_id, saved.refers_to = f"{saved.request_id}/{part}", saved.request_id
            await self._books.record(saved)
            exchanges.append(saved)
        events = found.calls[0].events if found.calls else []
        return EmbeddingAnswer(_body(asked, events, embeddings), _headers(exchanges))

    async def _find(self, asked: _Asked, found: _Found, places: Sequence[int], *, may_join: bool) -> None:
        """One call for what nobody asks for yet, while others make the rest. What fails for them is left to be found.
        Raises RouterError, NotCached."""
        theirs = self._flights.find(asked.keys[at] for at in places) if may_join and asked.shares else {}
        ours = [at for at in places if asked.keys[at] not in theirs]
        joined = list(dict.fromkeys(theirs.values()))
        if not ours:
            flights = joined
        elif asked.query.directives.only_if_cached:
            raise NotCached("Not all inputs are stored, and `Cache-Control: only-if-cached` forbids to ask for them.")
        else:
            call = self._call_exchange(asked, found, ours)
            shared = [asked.keys[at] for at in ours] if asked.shares else []
            flights = [self._flights.start(shared, self._made(asked, call, ours)), *joined]
        for flight, made in zip(flights, await self._flights.landed(flights), strict=True):
            if isinstance(made, BaseException):
                if flight not in joined:
                    raise made
            elif flight in joined:
                found.joined |= {key: made[key] for key, leader in theirs.items() if leader is flight}
            else:
                found.made |= made

    def _admit(self, caller: Caller, inbound: Inbound) -> _Asked:
        """Decodes and checks the request. Raises RequestInvalid, ModelUnknown, RouteUnknown."""
        request = decode_request(decoded_mapping(inbound.body))
        route = self._routes.get(caller.route)
        if route is None:
            raise RouteUnknown(caller.route)
        offered = {model.name: model for model in route.routing.models}
        embedding = tuple(name for name, model in offered.items() if model.embeds)
        if request.model not in offered:
            raise ModelUnknown(request.model, embedding)
        if request.model not in embedding:
            raise RequestInvalid(f"The model `{request.model}` makes no embeddings.", "model")
        arrived_at = self._now()
        policy = route.cache
        if self._budgets.is_blocked(caller.budgets, arrived_at):
            policy = msgspec.structs.replace(policy, mode="off")
        model = offered[request.model]
        tenant = [*_tenant(caller, policy), caller.env, caller.route, policy.knowledge_version]
        return _Asked(
            caller=caller,
            inbound=inbound,
            request=request,
            model=model,
            query=_query(caller, inbound, model, policy),
            keys=[key_of(request, at, tenant) for at in range(len(request.inputs))],
            arrived_at=arrived_at,
            purges=self._store.purges,
        )

    async def _known(self, asked: _Asked) -> dict[bytes, StoredEmbedding]:
        """What is stored of the inputs and may be served."""
        directives = asked.query.directives
        if asked.reason or directives.no_cache:
            return {}
        ages_s = [asked.query.policy.ttl_s, directives.max_age_s]
        since_us = _us(asked.arrived_at) - min(age for age in ages_s if age is not None) * 1_000_000
        keys = list(dict.fromkeys(asked.keys))
        return await self._safely(asyncio.to_thread(self._store.known, keys, since_us), {})

    async def _made(self, asked: _Asked, exchange: Exchange, places: Sequence[int]) -> dict[bytes, Embedding]:
        """Embeddings for the inputs at these places, from a provider; stored where that is allowed."""
        event = await self._call(exchange, len(places))
        usage, _ = exchange.counted()
        tokens = shares(usage.input, [asked.request.inputs[at] for at in places])
        model = str((event.data or {}).get("model") or asked.request.model)
        made = {
            asked.keys[at]: Embedding(vector, count, model)
            for at, vector, count in zip(places, vectors_of(event), tokens, strict=True)
        }
        writers = asked.query.policy.writers
        if not asked.reason and (not writers or asked.caller.app in writers):
            stored = [self._to_store(asked, key, embedding) for key, embedding in made.items()]
            await self._safely(asyncio.to_thread(self._store.store, stored, asked.purges), None)
        return made

    async def _call(self, exchange: Exchange, inputs: int) -> ChatEvent:
        """The provider's answer; its row is in the file, however it ended. Raises RouterError."""
        try:
            call = await self._calls.open(exchange)
            async with aclosing(call.events()) as events:  # type: ignore[type-var]
                async for event in events:
                    exchange.see(event)
            answer = exchange.events[-1]
            if len(vectors_of(answer)) != inputs:
                raise UpstreamMalformed("The provider sent another number of embeddings.", billed="unknown")
            return answer
        except RouterError as error:
            exchange.status, exchange.error_class = status_of(error), type(error).__name__
            raise
        except asyncio.CancelledError:
            exchange.status = "client_closed"
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await self._books.record(exchange)

    def _call_exchange(self, asked: _Asked, found: _Found, places: Sequence[int]) -> Exchange:
        """An exchange for a call, kept with what was found. A second one is for what somebody else's call has failed
        to make."""
        exchange = self._exchange(asked, call_for(asked.request, places), Lookup(*_disposition(asked, found.known)))
        if found.calls:
            first = found.calls[0].request_id
            exchange.request_id, exchange.refers_to = f"{first}/again", first
        found.calls.append(exchange)
        return exchange

    def _saved(self, asked: _Asked, found: _Found, embeddings: Sequence[Embedding]) -> Iterator[Exchange]:
        """What no call of ours was made for, as exchanges of their own: what was joined, and what was known."""
        first: dict[bytes, int] = {}
        for at, key in enumerate(asked.keys):
            first.setdefault(key, at)
        called = [at for at, key in enumerate(asked.keys) if key in found.made and (asked.reason or at == first[key])]
        joined = [at for at, key in enumerate(asked.keys) if key in found.joined and at == first[key]]
        known = sorted({*range(len(asked.keys))} - {*called, *joined})
        if joined:
            yield self._saved_exchange(asked, Lookup("coalesced", "in-flight"), [embeddings[at] for at in joined])
        if known:
            exchange = self._saved_exchange(asked, Lookup("exact", "same-input"), [embeddings[at] for at in known])
            if found.age_from_us is not None:
                exchange.age_s = max(_us(self._now()) - found.age_from_us, 0) // 1_000_000
            yield exchange

    def _saved_exchange(self, asked: _Asked, lookup: Lookup[ChatEvent], embeddings: Sequence[Embedding]) -> Exchange:
        saved = self._exchange(asked, call_for(asked.request, []), lookup)
        saved.usage = Usage(input=sum(each.tokens for each in embeddings))
        saved.served = Served(asked.model.name, asked.model.tier, is_rationed=False)
        return saved

    def _exchange(self, asked: _Asked, request: ChatRequest, lookup: Lookup[ChatEvent]) -> Exchange:
        inbound = asked.inbound
        return Exchange(
            request_id=inbound.request_id,
            caller=asked.caller,
            request=request,
            arrived_at=asked.arrived_at,
            started_ns=inbound.started_ns,
            baseline=asked.model,
            end_user=inbound.end_user(asked.request.mapping.get("user")),
            labels=inbound.labels,
            query=asked.query,
            conversation=inbound.request_id,
            deadline=inbound.deadline,
            lookup=lookup,
        )

    def _to_store(self, asked: _Asked, key: bytes, embedding: Embedding) -> StoredEmbedding:
        caller = asked.caller
        return StoredEmbedding(
            key=key,
            team=caller.team,
            env=caller.env,
            route=caller.route,
            knowledge_version=asked.query.policy.knowledge_version,
            model=embedding.model,
            tokens=embedding.tokens,
            created_us=_us(asked.arrived_at),
            vector=embedding.vector,
        )

    async def _safely(self, work: Awaitable[T], otherwise: T) -> T:
        try:
            return await work
        except Exception as error:  # noqa: BLE001  the cache fails open by design, counted by on_fault
            self._on_fault(error)
            return otherwise


def _tenant(caller: Caller, policy: CachePolicy) -> tuple[str, str]:
    return ("shared", policy.shared) if policy.shared is not None else ("team", caller.team)


def _query(caller: Caller, inbound: Inbound, model: Model, policy: CachePolicy) -> Query:
    return Query(
        team=caller.team,
        env=caller.env,
        route=caller.route,
        mapping={},
        output_limit=None,
        acceptance=Acceptance(model.name, model.tier),
        policy=policy,
        directives=directives_from(inbound.cache_control),
        app=caller.app,
        request_id=inbound.request_id,
    )


def _places_to_ask(asked: _Asked, known: Mapping[bytes, StoredEmbedding]) -> list[int]:
    """The inputs that a provider must be asked for: of equal ones the first, if the cache may be used at all."""
    if asked.reason:
        return list(range(len(asked.keys)))
    first: dict[bytes, int] = {}
    for at, key in enumerate(asked.keys):
        if key not in known:
            first.setdefault(key, at)
    return list(first.values())


def _disposition(asked: _Asked, known: Mapping[bytes, StoredEmbedding]) -> tuple[Disposition, str]:
    if asked.reason:
        return "bypass", asked.reason
    if asked.query.directives.no_cache:
        return "miss", "no-cache"
    count = sum(key in known for key in asked.keys)
    return "miss", f"{count} of {len(asked.keys)} known" if count else "unknown"


def _body(asked: _Asked, events: Sequence[ChatEvent], embeddings: Sequence[Embedding]) -> bytes:
    """As the provider wrote it, if that is the answer; else put together."""
    request, last = asked.request, events[-1] if events else None
    is_all = last is not None and is_ordered(last) and len(vectors_of(last)) == len(embeddings)
    if last is not None and is_all and all(is_in(each.vector, request.encoding) for each in embeddings):
        return last.raw
    return answer_body(request, embeddings, embeddings[0].model)


def _embedding(stored: StoredEmbedding) -> Embedding:
    return Embedding(stored.vector, stored.tokens, stored.model)


def _headers(exchanges: Sequence[Exchange]) -> dict[str, str]:
    """Those of the call, or of the hit; what it cost and saved is the sum of both."""
    rows = [exchange.row for exchange in exchanges if exchange.row is not None]
    money = [(row.baseline_nano, row.actual_nano) for row in rows]
    headers = exchanges[0].headers()
    if len(money) > 1 and not any(None in amounts for amounts in money):
        saved = sum((baseline or 0) - (actual or 0) for baseline, actual in money)
        headers["x-thriftgate-saved-usd"] = usd_text(saved)
    return headers


def _us(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
