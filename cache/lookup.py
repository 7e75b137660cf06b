"""The cache as its callers see it: look up, store, purge. Ties scope, index, decision and entries together.

Fails open: a fault in here is a miss with a count, never an error to the client.
"""

import hashlib
import re
import uuid
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from cache.cacheability import Cacheability, cacheability
from cache.decision import NEIGHBOURS, Decision, Neighbour, decide
from cache.encoder import Encoder
from cache.entries import Entry, EntryStore
from cache.errors import TextTooLong
from cache.flights import Flight
from cache.index import Vector, VectorIndex
from cache.query import Directives, Disposition, Query
from cache.scope import exact_key, normalised, scope_of, split

Event = TypeVar("Event")

CERTIFICATE: Final = "uncertified"
"""State of every route's semantic decision: served at the shipped prior, with no measured bound."""


class Ticket(Struct, frozen=True):
    """What is needed to store the answer of a miss, and to let others join while it is being made."""

    query: Query
    scope: bytes
    key: bytes
    joining: bytes | None
    """Under which others may join while the answer is being made; None = nobody may."""
    text: str
    vector: Vector | None
    purges: int
    """How many purges there had been when the request came: an answer from before one is not stored after it."""


class Lookup(Struct, Generic[Event]):
    """How the cache disposed of a request. `entry` and `payload` on a hit, `flight` on `coalesced`, `ticket`
    and `flight` on a miss that others may join or that is stored."""

    disposition: Disposition
    reason: str
    entry: Entry | None = None
    payload: bytes | None = None
    similarity: float | None = None
    flight: Flight[Event] | None = None
    ticket: Ticket | None = None


class Cache(Generic[Event]):
    """One cache over one store. Without an encoder only exact matches are served."""

    def __init__(
        self,
        store: EntryStore,
        encoder: Encoder | None,
        now_us: Callable[[], int],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._now_us = now_us
        self._on_fault = on_fault
        self._index = VectorIndex(encoder.dim) if encoder is not None else None
        self._flights: dict[bytes, Flight[Event]] = {}
        self._purges = 0

    def load(self) -> None:
        """Fills the memory from the file, at start."""
        fingerprint = self._encoder.fingerprint if self._encoder is not None else None
        for anchor, entry, vector in self._store.load(fingerprint, self._now_us()):
            if vector is not None and self._index is not None:
                self._index.add(entry.scope, anchor.id, vector)

    # --- looking up ---

    async def lookup(self, query: Query, *, may_join: bool = True) -> Lookup[Event]:
        """How to dispose of this request. Never raises: a fault is a miss that is not stored. With `may_join`
        off the request neither joins a flight nor lets others join its own."""
        try:
            return await self._lookup(query, may_join)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            return Lookup("bypass", "cache-fault", flight=Flight(is_kept=False))

    async def _lookup(self, query: Query, may_join: bool) -> Lookup[Event]:
        parts = split(query.mapping["messages"])
        allowed = cacheability(query, parts)
        if allowed.level == "none" or parts.text is None:
            return Lookup("bypass", allowed.reason, flight=Flight(is_kept=False))
        scope = scope_of(query, parts.context)
        key = exact_key(scope, parts.text)
        text = normalised(parts.text)
        joining = _joining_key(query, key) if may_join and not query.directives.no_cache else None
        ticket = Ticket(query, scope, key, joining, text, None, self._purges)
        if query.directives.no_cache:
            return self._miss(await self._with_vector(ticket, allowed), "no-cache")

        if (hit := self._exact(query, key)) is not None:
            return hit
        if (flight := self._flight(joining)) is not None:
            return Lookup("coalesced", "in-flight", flight=flight)
        if allowed.level == "exact" or self._encoder is None:
            return self._miss(ticket, allowed.reason or "no-encoder")
        ticket = await self._with_vector(ticket, allowed)
        if ticket.vector is None:
            return self._miss(ticket, "long")

        # While the text was encoded, the same question may have been answered or set off.
        if (hit := self._exact(query, key)) is not None:
            return hit
        decision = self.neighbourhood(query, scope, text, ticket.vector)
        if (hit := self._semantic(query, decision)) is not None:
            return hit
        if (flight := self._flight(joining)) is not None:
            return Lookup("coalesced", "in-flight", flight=flight)
        reason = "route-closed" if decision.serves else decision.reason
        similarity = decision.neighbour.similarity if decision.neighbour else None
        return self._miss(ticket, reason, similarity)

    async def _with_vector(self, ticket: Ticket, allowed: Cacheability) -> Ticket:
        """The ticket with the vector of its text, if it may be served semantically and is not too long."""
        if allowed.level != "semantic" or self._encoder is None:
            return ticket
        try:
            return msgspec.structs.replace(ticket, vector=await self._encoder.encode(ticket.text))
        except TextTooLong:
            return ticket

    def neighbourhood(self, query: Query, scope: bytes, text: str, vector: Vector) -> Decision:
        """The decision over the stored anchors near this text. Those that have expired are forgotten, so that
        they keep none that is fresh from being found."""
        assert self._index is not None
        while True:
            found = [
                (*stored, similarity)
                for anchor_id, similarity in self._index.search(scope, vector, NEIGHBOURS)
                if (stored := self._store.by_anchor(anchor_id)) is not None
            ]
            expired = [entry for _, entry, _ in found if entry.expires_us <= self._now_us()]
            if not expired:
                break
            self._forget(expired)
        neighbours = [
            Neighbour(anchor.id, anchor.text, similarity, entry.answer, self._may_serve(query, entry))
            for anchor, entry, similarity in found
        ]
        return decide(text, neighbours, query.policy.similarity_floor)

    def _exact(self, query: Query, key: bytes) -> Lookup[Event] | None:
        found = self._store.by_key(key)
        if found is None or not self._may_serve(query, found[1]):
            return None
        return self._hit("exact", "same-text", found[1], 1.0)

    def _semantic(self, query: Query, decision: Decision) -> Lookup[Event] | None:
        if not decision.serves or decision.neighbour is None or query.policy.start == "closed":
            return None
        found = self._store.by_anchor(decision.neighbour.anchor_id)
        assert found is not None
        return self._hit("semantic", CERTIFICATE, found[1], decision.neighbour.similarity)

    def _hit(self, disposition: Disposition, reason: str, entry: Entry, similarity: float) -> Lookup[Event] | None:
        payload = self._store.payload(entry.id)
        if payload is None:  # its row never reached the file and memory has dropped it
            self._forget([entry])
            return None
        return Lookup(disposition, reason, entry=entry, payload=payload, similarity=similarity)

    def _flight(self, joining: bytes | None) -> Flight[Event] | None:
        flight = self._flights.get(joining) if joining is not None else None
        return flight if flight is not None and flight.is_open else None

    def _miss(self, ticket: Ticket, reason: str, similarity: float | None = None) -> Lookup[Event]:
        """A miss, which the caller leads: whoever asks the same from now on joins its flight."""
        flight: Flight[Event] = Flight(is_kept=True)
        if ticket.joining is not None and not ticket.query.directives.only_if_cached:
            self._flights[ticket.joining] = flight
        return Lookup("miss", reason, similarity=similarity, flight=flight, ticket=ticket)

    def _may_serve(self, query: Query, entry: Entry) -> bool:
        """Fresh, made by a model that is acceptable now, and complete within the caller's limit."""
        now_us = self._now_us()
        max_age_s = query.directives.max_age_s
        return (
            now_us < entry.expires_us
            and (max_age_s is None or now_us - entry.created_us <= max_age_s * 1_000_000)
            and (query.output_limit is None or entry.output_tokens <= query.output_limit)
            and query.acceptance.takes(entry.model, entry.tier, is_rationed=entry.is_rationed)
        )

    def age_s(self, entry: Entry) -> int:
        return max(self._now_us() - entry.created_us, 0) // 1_000_000

    # --- storing ---

    def land(self, ticket: Ticket, flight: Flight[Event]) -> None:
        """The flight has ended: nobody can join it any more."""
        if ticket.joining is not None and self._flights.get(ticket.joining) is flight:
            del self._flights[ticket.joining]

    def store(
        self,
        ticket: Ticket,
        *,
        model: str,
        tier: int,
        is_rationed: bool,
        output_tokens: int,
        answer_text: str,
        payload: bytes,
    ) -> str | None:
        """Keeps a cleanly finished answer; returns the entry's id, or None if it is not kept: after a fault, after
        a purge that came meanwhile, or if it is a rationed one where a better one is stored."""
        query = ticket.query
        older = self._store.by_key(ticket.key)
        if ticket.purges != self._purges or (older is not None and is_rationed and not older[1].is_rationed):
            return None
        now_us = self._now_us()
        try:
            entry = Entry(
                id=uuid.uuid4().hex,
                scope=ticket.scope,
                team=query.team,
                env=query.env,
                route=query.route,
                model=model,
                tier=tier,
                is_rationed=is_rationed,
                output_tokens=output_tokens,
                answer=hashlib.sha256(" ".join(answer_text.casefold().split()).encode()).digest()[:16],
                created_us=now_us,
                expires_us=now_us + query.policy.ttl_s * 1_000_000,
            )
            # A newer answer to exactly the same question takes the place of the older one.
            if older is not None:
                self._forget([older[1]])
            encoder = self._encoder.fingerprint if self._encoder is not None else None
            anchor, surplus = self._store.put(entry, ticket.key, ticket.text, payload, encoder, ticket.vector)
            if ticket.vector is not None and self._index is not None:
                self._index.add(entry.scope, anchor.id, ticket.vector)
            self._forget(surplus)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            return None
        return entry.id

    # --- keeping ---

    def purge(self, *, entry: str | None = None, team: str | None = None, route: str | None = None) -> int:
        """Forgets every entry that matches all that is given, with all its anchors; returns how many. With
        nothing given it forgets everything."""
        self._purges += 1
        self._flights.clear()  # whoever asks from now on gets an answer made from now on
        matching = self._store.select(id=entry, team=team, route=route)
        self._forget(matching)
        return len(matching)

    def _forget(self, entries: list[Entry]) -> None:
        scopes = {entry.id: entry.scope for entry in entries}
        for anchor in self._store.remove(entries):
            if self._index is not None:
                self._index.remove(scopes[anchor.entry_id], anchor.id)

    def statistics(self) -> dict[str, Any]:
        return {
            "entries": len(self._store),
            "vectors": len(self._index) if self._index is not None else 0,
            "in_flight": len(self._flights),
            "encoder": self._encoder.model if self._encoder is not None else None,
        }

    def close(self) -> None:
        self._store.close()
        if self._encoder is not None:
            self._encoder.close()


def _joining_key(query: Query, key: bytes) -> bytes:
    """Who may share an answer that is still being made: the same question under the same output limit, from
    callers for whom the same models are acceptable."""
    return hashlib.sha256(key + msgspec.json.encode([query.output_limit, query.acceptance])).digest()


def directives_from(header: str | None) -> Directives:
    """`Cache-Control` request directives; unknown ones and malformed numbers are ignored (RFC 9111, 5.2.3)."""
    if not header:
        return Directives()
    pairs = [item.strip().partition("=") for item in header.lower().split(",")]
    given = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
    max_age = re.fullmatch("[0-9]{1,10}", given.get("max-age", ""))
    return Directives(
        no_cache="no-cache" in given,
        no_store="no-store" in given,
        max_age_s=int(max_age.group()) if max_age else None,
        only_if_cached="only-if-cached" in given,
    )
