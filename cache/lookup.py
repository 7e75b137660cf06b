"""The cache as its callers see it: look up, store, audit, purge. Ties scope, judgement, entries and trust together.

    text -> exact? -> in flight? -> vector -> neighbourhood -> claim >= kappa? -> hit, or a miss with a ticket
    answer of a miss -> entry -> (later) answer group -> label of what would have been served -> trust

Fails open: a fault in here is a miss with a count, never an error to the client.
"""

import asyncio
import hashlib
import random
import re
import uuid
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from cache.answers import Answers, Comparison, Encodes, WordedComparison
from cache.cacheability import Cacheability, cacheability
from cache.certificate import Certificate
from cache.decision import Judgement, Neighbour, Prior, load_prior
from cache.entries import ASKERS_AT_MOST, Anchor, Entry, EntryStore, StoredGroup
from cache.errors import TextTooLong
from cache.flights import Flight
from cache.groups import LONGEST_FOUNDER, Evidence, Group
from cache.index import Vector
from cache.lifetime import lifetime_s
from cache.neighbourhood import Neighbourhood
from cache.query import CachePolicy, Directives, Disposition, Query
from cache.sameness import Verdict
from cache.scope import Split, curated_scope, exact_key, normalised, scope_of, split, takes_curated
from cache.signals import traits
from cache.trust import Trust

Event = TypeVar("Event")
Screen = Callable[[Query, Split], Cacheability]
"""What says whether a request may be answered from the cache at all."""

_WRONG_WEIGHT: Final = 3.0
"""A wrong audited hit speaks against its group like so many labels: it has harmed somebody."""
_EQUIVALENT_AT_LEAST: Final = 0.6
"""Cosine below which two questions in flight are not even compared."""
_LABELLED_FROM: Final = 0.5
"""No route serves what is less likely, so nobody will want to know what it would have been."""
_LEARNING_AT_MOST: Final = 200
"""So many fresh answers wait to be linked and compared."""
_HITS_REMEMBERED: Final = 20_000
_CURATED_ANCHORS_AT_MOST: Final = 100
_REFRESH_AGAIN_US: Final = 60_000_000
"""A refresh that has brought nothing after this time is not waited for."""


class Fresh(Struct, frozen=True):
    """A cleanly finished answer."""

    model: str
    tier: int
    is_rationed: bool
    output_tokens: int
    text: str
    payload: bytes
    worth: int = 1
    """What one hit of it saves, in any unit."""


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
    judgement: Judgement | None = None
    """What would have been served, had it been trusted."""


class FollowUp(Struct, frozen=True):
    """What is to be done after a hit has been served: ask upstream for a fresh answer."""

    purpose: Literal["audit", "refresh"]
    ticket: Ticket
    propensity: float = 1.0
    entry_id: str = ""
    leader_key: bytes | None = None
    """Of the question whose answer was shared, where that was still being made."""


class Served(Struct, frozen=True):
    """A semantic hit, as it is remembered for feedback."""

    route: str
    policy: CachePolicy
    judgement: Judgement
    ticket: Ticket
    entry_id: str


class Lookup(Struct, Generic[Event]):
    """How the cache disposed of a request. `entry` and `payload` on a hit, `flight` on `coalesced`, `ticket`
    and `flight` on a miss that others may join or that is stored."""

    disposition: Disposition
    reason: str
    entry: Entry | None = None
    payload: bytes | None = None
    confidence: float | None = None
    """p(correct) of what was served, or of what might have been."""
    flight: Flight[Event] | None = None
    ticket: Ticket | None = None
    follow_up: FollowUp | None = None
    judgement: Judgement | None = None
    kappa: float | None = None


class Warmed(Struct, frozen=True):
    """A curated question and answer, ready to be stored."""

    question: str
    answer: str
    payload: bytes
    output_tokens: int
    source: str
    tags: tuple[str, ...] = ()
    ttl_s: int | None = None


class Cache(Generic[Event]):
    """One cache over one store. Without an encoder only exact matches are served."""

    def __init__(
        self,
        store: EntryStore,
        encoder: Encodes | None,
        now_us: Callable[[], int],
        on_fault: Callable[[Exception], None],
        *,
        prior: Prior | None = None,
        comparison: Comparison | None = None,
        chance: random.Random | None = None,
        screen: Screen = cacheability,
    ) -> None:
        self._store = store
        self._encoder = encoder
        self._now_us = now_us
        self._on_fault = on_fault
        self._screen = screen
        self.on_label: Callable[[Query, Judgement, Verdict], None] = lambda *_: None
        """Told what a fresh answer says of the stored one that was not served instead."""
        prior = prior or load_prior()
        self.trust = Trust(store, prior, chance or random.Random(), now_us)
        self._comparison = comparison or WordedComparison()
        self._neighbourhood: Neighbourhood | None = None
        self._answers: Answers | None = None
        if encoder is not None:
            self._neighbourhood = Neighbourhood(encoder.dim, prior, on_fault)
            self._answers = Answers(self._neighbourhood, encoder, self._comparison)
        self._flights: dict[bytes, Flight[Event]] = {}
        self._leaders: dict[bytes, dict[bytes, tuple[Ticket, Flight[Event]]]] = {}
        """Scope -> key -> who leads a flight there, for questions that have a vector."""
        self._curated: dict[bytes, int] = {}
        """Curated scope -> how many entries it has."""
        self._served: dict[str, Served] = {}
        self._refreshing: dict[str, int] = {}
        """Entry whose time is over -> when a fresh answer was asked for, in microseconds."""
        self._purges = 0
        self._linking = asyncio.Lock()
        self._later: set[asyncio.Task[None]] = set()

    def load(self) -> None:
        """Fills the memory from the file, at start."""
        fingerprint = self._encoder.fingerprint if self._encoder is not None else None
        anchors = list(self._store.load(fingerprint, self._now_us()))
        if self._neighbourhood is not None:
            for stored, vector in self._store.load_groups(fingerprint):
                evidence = msgspec.json.decode(stored.evidence, type=Evidence) if stored.evidence else Evidence()
                group = Group(stored.id, stored.scope, stored.identity, stored.answer, evidence)
                self._neighbourhood.groups.add(group, vector)
        for entry in {entry.id: entry for _, entry, _ in anchors if entry.is_curated}.values():
            self._curated[entry.scope] = self._curated.get(entry.scope, 0) + 1
        for anchor, entry, vector in anchors:
            if self._neighbourhood is not None and self._neighbourhood.groups.get(entry.group_id) is not None:
                self._neighbourhood.add(entry.scope, anchor.id, entry.group_id, vector)

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
        allowed = self._screen(query, parts)
        if allowed.level == "none" or parts.text is None:
            return Lookup("bypass", allowed.reason, flight=Flight(is_kept=False))
        scope = scope_of(query, parts.context)
        key = exact_key(scope, parts.text)
        text = normalised(parts.text)
        joining = _joining_key(query, key) if may_join and not query.directives.no_cache else None
        ticket = Ticket(query, scope, key, joining, text, None, self._purges)
        if query.directives.no_cache:
            return self._miss(await self._with_vector(ticket, allowed), "no-cache")
        curated = curated_scope(query) if self._curated and takes_curated(query, parts) else None
        if curated is not None and curated not in self._curated:
            curated = None

        if (hit := self._exact(ticket, curated)) is not None:
            return hit
        if (flight := self._flight(joining)) is not None:
            return Lookup("coalesced", "in-flight", flight=flight)
        if allowed.level == "exact" or self._neighbourhood is None:
            return self._miss(ticket, allowed.reason or "no-encoder")
        ticket = await self._with_vector(ticket, allowed)
        if ticket.vector is None:
            return self._miss(ticket, "long")

        # While the text was encoded, the same question may have been answered or set off.
        if (hit := self._exact(ticket, curated)) is not None:
            return hit
        kappa, vector = self.trust.kappa(query.route, query.policy), ticket.vector
        vouched_for: Judgement | None = None
        if curated is not None:
            vouched_for = self.judge(query, curated, text, vector)
            ticket = msgspec.structs.replace(ticket, judgement=vouched_for)
            if (hit := self._semantic(ticket, kappa)) is not None:
                return hit
        judgement = self.judge(query, scope, text, vector)
        ticket = msgspec.structs.replace(ticket, judgement=judgement)
        if (hit := self._semantic(ticket, kappa)) is not None:
            return hit
        if (flight := self._flight(joining)) is not None:
            return Lookup("coalesced", "in-flight", flight=flight)
        if (joined := self._equivalent(ticket, judgement, kappa)) is not None:
            return joined
        if vouched_for is not None and vouched_for.claim > judgement.claim:  # this is what the answer will label
            judgement = vouched_for
            ticket = msgspec.structs.replace(ticket, judgement=judgement)
        if judgement.neighbour is None:
            self.trust.without_candidate(query.route, query.policy)
        reason = judgement.reason if judgement.reason != "near" else self._too_little(query)
        return self._miss(ticket, reason, judgement, kappa)

    def _equivalent(self, ticket: Ticket, judgement: Judgement, kappa: float) -> Lookup[Event] | None:
        """The flight of another question of this scope whose answer will do here too, as likely as a stored one
        would have to. Decided without that answer; counted and audited as a semantic hit."""
        query, vector = ticket.query, ticket.vector
        leaders = self._leaders.get(ticket.scope)
        if not leaders or ticket.joining is None or vector is None or kappa > 1 or self._neighbourhood is None:
            return None
        near = [
            (float(vector @ leader.vector), leader, flight)
            for leader, flight in leaders.values()
            if flight.is_open and leader.vector is not None and _may_share(leader.query, query)
        ]
        if not near:
            return None
        cosine, leader, flight = max(near, key=lambda each: each[0])
        if cosine < _EQUIVALENT_AT_LEAST or leader.vector is None:
            return None
        p = self._neighbourhood.judge_pending(ticket.text, vector, judgement, ticket.scope, leader.text, leader.vector)
        if p < kappa:
            return None
        claim = msgspec.structs.replace(judgement, p=p, neighbour=Neighbour(-1, leader.text, cosine, -1), group=None)
        propensity = self.trust.draw(query.route, query.policy, claim, may_audit=query.may_audit)
        follow_up = None
        if propensity is not None:
            audited = msgspec.structs.replace(ticket, judgement=claim)
            follow_up = FollowUp("audit", audited, propensity, leader_key=leader.key)
        self._remember(Served(query.route, query.policy, claim, ticket, ""))
        return Lookup(
            "coalesced", "equivalent", flight=flight, confidence=p, follow_up=follow_up, judgement=claim, kappa=kappa
        )

    def _too_little(self, query: Query) -> str:
        state = self.trust.state(query.route, query.policy)
        return state if state in ("learning", "exact-only") else "unsure"

    async def _with_vector(self, ticket: Ticket, allowed: Cacheability) -> Ticket:
        """The ticket with the vector of its text, if it may be served semantically and is not too long."""
        if allowed.level != "semantic" or self._encoder is None:
            return ticket
        encoding = asyncio.ensure_future(self._encoder.encode(ticket.text))
        await asyncio.sleep(0)
        traits(ticket.text)  # remembered; read here while the encoder's thread is busy, it takes no time of its own
        try:
            return msgspec.structs.replace(ticket, vector=await encoding)
        except TextTooLong:
            return ticket

    def judge(self, query: Query, scope: bytes, text: str, vector: Vector) -> Judgement:
        """What the stored anchors near this text say. Those that have expired are forgotten, so that they keep
        none that is fresh from being found."""
        assert self._neighbourhood is not None
        now_us, by_anchor, may_serve = self._now_us(), self._store.by_anchor, self._may_serve
        while True:
            expired: list[Entry] = []

            def described(anchor_id: int) -> tuple[str, int, bool] | None:
                found = by_anchor(anchor_id)
                if found is None:
                    return None
                anchor, entry = found
                if entry.expires_us <= now_us:
                    expired.append(entry)  # noqa: B023  read before the next round
                is_servable = not anchor.is_quarantined and may_serve(query, entry, now_us)
                return anchor.text, entry.group_id, is_servable

            judgement = self._neighbourhood.judge(scope, text, vector, described)
            if not expired:
                return judgement
            self._forget(expired)

    def _exact(self, ticket: Ticket, curated: bytes | None) -> Lookup[Event] | None:
        for scope, key in ((curated, None), (ticket.scope, ticket.key)):
            if scope is None:
                continue
            found = self._store.by_key(key or exact_key(scope, ticket.text))
            if found is None or found[0].is_quarantined or not self._may_serve(ticket.query, found[1], self._now_us()):
                continue
            if (hit := self._hit("exact", "same-text", found[1], ticket)) is not None:
                hit.confidence = 1.0
                if ticket.query.policy.mode == "semantic":
                    self.trust.without_candidate(ticket.query.route, ticket.query.policy)
                return hit
        return None

    def _semantic(self, ticket: Ticket, kappa: float) -> Lookup[Event] | None:
        query, judgement = ticket.query, ticket.judgement
        assert judgement is not None
        if judgement.neighbour is None or judgement.claim < kappa:
            return None
        found = self._store.by_anchor(judgement.neighbour.anchor_id)
        assert found is not None
        hit = self._hit("semantic", self.trust.state(query.route, query.policy), found[1], ticket)
        if hit is None:
            return None
        hit.confidence, hit.judgement, hit.kappa = judgement.p, judgement, kappa
        propensity = self.trust.draw(query.route, query.policy, judgement, may_audit=query.may_audit)
        if propensity is not None:
            hit.follow_up = FollowUp("audit", ticket, propensity, found[1].id)
        self._remember(Served(query.route, query.policy, judgement, ticket, found[1].id))
        return hit

    def _remember(self, served: Served) -> None:
        request_id = served.ticket.query.request_id
        if not request_id:
            return
        # Without what only the lookup needed: there are many of them.
        query = msgspec.structs.replace(served.ticket.query, mapping={})
        judgement = msgspec.structs.replace(served.judgement, around=(), features=())
        ticket = msgspec.structs.replace(served.ticket, query=query, judgement=judgement)
        self._served[request_id] = msgspec.structs.replace(served, judgement=judgement, ticket=ticket)
        if len(self._served) > _HITS_REMEMBERED:
            del self._served[next(iter(self._served))]

    def _hit(self, disposition: Disposition, reason: str, entry: Entry, ticket: Ticket) -> Lookup[Event] | None:
        payload = self._store.payload(entry.id)
        if payload is None:  # its row never reached the file and memory has dropped it
            self._forget([entry])
            return None
        hit: Lookup[Event] = Lookup(disposition, reason, entry=entry, payload=payload)
        now_us = self._now_us()
        if not entry.is_curated and now_us >= entry.expires_us - ticket.query.policy.stale_s * 1_000_000:
            if disposition == "exact":  # of a semantic hit it is more important how far it can be trusted
                hit.reason = "stale-while-revalidate"
            if now_us >= self._refreshing.get(entry.id, 0) + _REFRESH_AGAIN_US:
                self._refreshing[entry.id] = now_us
                hit.follow_up = FollowUp("refresh", ticket, entry_id=entry.id)
        return hit

    def _flight(self, joining: bytes | None) -> Flight[Event] | None:
        flight = self._flights.get(joining) if joining is not None else None
        return flight if flight is not None and flight.is_open else None

    def _miss(
        self, ticket: Ticket, reason: str, judgement: Judgement | None = None, kappa: float | None = None
    ) -> Lookup[Event]:
        """A miss, which the caller leads: whoever asks the same from now on joins its flight."""
        flight: Flight[Event] = Flight(is_kept=True)
        if ticket.joining is not None and not ticket.query.directives.only_if_cached:
            self._flights[ticket.joining] = flight
            if ticket.vector is not None:
                self._leaders.setdefault(ticket.scope, {})[ticket.key] = (ticket, flight)
        confidence = judgement.p if judgement is not None and judgement.group is not None else None
        return Lookup(
            "miss", reason, confidence=confidence, flight=flight, ticket=ticket, judgement=judgement, kappa=kappa
        )

    def _may_serve(self, query: Query, entry: Entry, now_us: int) -> bool:
        """Fresh, made by a model that is acceptable now, complete within the caller's limit, and known to enough
        others if the route wants that."""
        max_age_s = query.directives.max_age_s
        if not (
            now_us < entry.expires_us
            and (max_age_s is None or now_us - entry.created_us <= max_age_s * 1_000_000)
            and (query.output_limit is None or entry.output_tokens <= query.output_limit)
        ):
            return False
        if entry.is_curated:
            return True
        wanted = query.policy.min_askers
        if wanted > 1 and len(entry.askers) < wanted and query.asker not in entry.askers:
            return False
        return query.acceptance.takes(entry.model, entry.tier, is_rationed=entry.is_rationed)

    def age_s(self, entry: Entry) -> int:
        return max(self._now_us() - entry.created_us, 0) // 1_000_000

    # --- storing ---

    def land(self, ticket: Ticket, flight: Flight[Event]) -> None:
        """The flight has ended: nobody can join it any more."""
        if ticket.joining is not None and self._flights.get(ticket.joining) is flight:
            del self._flights[ticket.joining]
        leaders = self._leaders.get(ticket.scope, {})
        if ticket.key in leaders and leaders[ticket.key][1] is flight:
            del leaders[ticket.key]
            if not leaders:
                del self._leaders[ticket.scope]

    def store(self, ticket: Ticket, fresh: Fresh) -> str | None:
        """Keeps a cleanly finished answer; returns the entry's id, or None if it is not kept: after a fault, after
        a purge that came meanwhile, if its app may not write, or if it is a rationed one where a better one is
        stored. Its answer group and the label of what would have been served follow later."""
        try:
            return self._store_fresh(ticket, fresh)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            return None

    def _store_fresh(self, ticket: Ticket, fresh: Fresh, stale: Entry | None = None) -> str | None:
        query = ticket.query
        policy = query.policy
        older = self._store.by_key(ticket.key)
        is_worse = older is not None and fresh.is_rationed and not older[1].is_rationed
        if ticket.purges != self._purges:
            return None
        if not _may_write(query) or is_worse:
            self._soon(self._label(ticket, fresh.text, None, ()))
            return None
        now_us = self._now_us()
        identity = self._comparison.identity(fresh.text)
        ttl_us = lifetime_s(policy, ticket.text) * 1_000_000
        same = self._neighbourhood.groups.of_identity(ticket.scope, identity) if self._neighbourhood else None
        group_id = same.id if same is not None else self._store.next_group_id()
        entry = Entry(
            id=uuid.uuid4().hex,
            scope=ticket.scope,
            team=query.team,
            env=query.env,
            route=query.route,
            shared=policy.shared,
            model=fresh.model,
            tier=fresh.tier,
            is_rationed=fresh.is_rationed,
            output_tokens=fresh.output_tokens,
            group_id=group_id,
            created_us=now_us,
            expires_us=now_us + ttl_us + policy.stale_s * 1_000_000,
            knowledge_version=policy.knowledge_version,
            tags=tuple(sorted(policy.tags)),
            is_curated=False,
            source=query.request_id,
            writer=query.app,
            askers=self._askers(group_id, query.asker),
            worth=fresh.worth,
        )
        if same is None:
            self._found(group_id, ticket.scope, identity, fresh.text)
        # A newer answer to exactly the same question takes the place of the older one. What that leaves to its
        # group, if both say the same, it leaves when the two have been compared.
        replaced = {each.id: each for each in (older[1] if older else None, stale) if each is not None}
        for each in replaced.values():
            for anchor in self._store.anchors_of(each.id):
                self._store.quarantine(anchor.id, True)
        self._put(entry, ticket.key, ticket.text, fresh.payload, ticket.vector, replaced=None)
        learning = self._label(ticket, fresh.text, entry if same is None else None, replaced.values())
        if not self._soon(learning):
            self._forget(replaced.values())
        return entry.id if self._store.entry(entry.id) is not None else None

    def _askers(self, group_id: int, *askers: str) -> tuple[str, ...]:
        """Who has got this answer by asking for it themselves: these, and those of the whole group."""
        known = {each for entry in self._store.entries_of_group(group_id) for each in entry.askers}
        return tuple(sorted({*known, *askers} - {""}))[:ASKERS_AT_MOST]

    def _found(self, group_id: int, scope: bytes, identity: bytes, answer: str) -> None:
        if self._neighbourhood is None:  # nothing would ever look at it, nor take it away again
            return
        founder = answer[:LONGEST_FOUNDER]
        encoder = self._encoder.fingerprint if self._encoder is not None else None
        self._store.put_group(StoredGroup(group_id, scope, identity, founder, encoder, b""), None)
        self._neighbourhood.groups.add(Group(group_id, scope, identity, founder), None)

    def _put(
        self, entry: Entry, key: bytes, text: str, payload: bytes, vector: Vector | None, replaced: Entry | None
    ) -> Anchor:
        encoder = self._encoder.fingerprint if self._encoder is not None else None
        anchor, surplus = self._store.put(entry, key, text, payload, encoder, vector)
        if self._neighbourhood is not None and self._neighbourhood.groups.get(entry.group_id) is not None:
            self._neighbourhood.add(entry.scope, anchor.id, entry.group_id, vector)
        self._forget([*([replaced] if replaced is not None else []), *surplus])
        return anchor

    # --- learning, after the client has been served ---

    def _soon(self, work: Coroutine[Any, Any, None]) -> bool:
        """Learns in the background; False if that is not possible, or too much waits already: a label less is better
        than a queue that takes memory and time from requests."""

        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # noqa: BLE001  learning must never stop serving; counted by on_fault
                self._on_fault(error)

        if self._answers is None or len(self._later) >= _LEARNING_AT_MOST:
            work.close()
            return False
        task = asyncio.get_running_loop().create_task(guarded())
        self._later.add(task)
        task.add_done_callback(self._later.discard)
        return True

    async def settle(self) -> None:
        """Waits until all fresh answers are linked and have labelled what would have been served."""
        while self._later:
            await asyncio.gather(*self._later)

    async def _label(self, ticket: Ticket, answer: str, founded: Entry | None, replaced: Collection[Entry]) -> None:
        """Links the answer with the group that says the same, if its entry founded one of its own, and forgets what
        it replaces; and says whether what would have been served was right."""
        assert self._answers is not None
        assert self._neighbourhood is not None
        try:
            vector = await self._answers.vector(answer)
            if founded is not None:
                async with self._linking:  # else two answers at once would each found a group
                    await self._link(founded, answer, vector, ticket.judgement)
        finally:
            self._forget(replaced)
        judgement = ticket.judgement
        if judgement is None or judgement.group is None:
            return
        verdict = await self._verdict(judgement.group, answer, vector)
        if verdict is None:
            return
        if judgement.neighbour is not None:
            self.trust.miss_labelled(ticket.query.route, ticket.query.policy, judgement, _LABELS[verdict])
            if judgement.claim >= _LABELLED_FROM:
                self.on_label(ticket.query, judgement, verdict)
        if verdict != "unclear":
            self._teach(ticket, judgement, is_right=verdict == "same")
        if verdict == "same" and ticket.vector is not None:
            self._extend_curated(ticket, judgement.group, ticket.vector)

    async def _link(self, entry: Entry, answer: str, vector: Vector, judgement: Judgement | None) -> None:
        assert self._answers is not None
        assert self._neighbourhood is not None
        own = self._neighbourhood.groups.get(entry.group_id)
        if own is None:  # purged meanwhile
            return
        expected, p = None, 0.0
        if judgement is not None and judgement.blocked_by is None:
            expected, p = judgement.group, judgement.p
        found = await self._answers.groups_of(entry.scope, answer, vector, expected, p)
        if self._neighbourhood.groups.get(own.id) is not own:
            return  # purged meanwhile
        found = [group for group in found if group.id != own.id]
        if not found:
            self._describe(own.id, vector)
            return
        group, *others = found
        self._merge(own, group)
        if self._answers.is_direct(group, answer, vector):
            self._neighbourhood.groups.add_wording(group.id, own.id, answer, vector)
        for other in others:
            if self._answers.may_merge(group, other):
                self._merge(other, group)

    def _merge(self, old: Group, new: Group) -> None:
        """Lets all that leads to one group lead to another; the old one goes."""
        assert self._neighbourhood is not None
        # What audits have charged either with stays charged.
        new.evidence.offset = min(new.evidence.offset, old.evidence.offset)
        entries = self._store.entries_of_group(old.id)
        askers = self._askers(new.id, *(asker for each in entries for asker in each.askers))
        for each in entries:
            self._store.replace(msgspec.structs.replace(each, group_id=new.id, askers=askers))
            for anchor in self._store.anchors_of(each.id):
                if self._neighbourhood.regroup(each.scope, anchor.id, old.id, new.id):
                    self._store.remove_group(old.id)

    def _describe(self, group_id: int, vector: Vector | None) -> None:
        """Keeps the vector of a group's founding answer, by which other answers find it."""
        group = self._neighbourhood.groups.get(group_id) if self._neighbourhood is not None else None
        if self._neighbourhood is None or self._encoder is None or group is None or vector is None:
            return
        self._neighbourhood.groups.describe(group_id, vector)
        evidence, encoder = msgspec.json.encode(group.evidence), self._encoder.fingerprint
        self._store.put_group(
            StoredGroup(group_id, group.scope, group.identity, group.answer, encoder, evidence), vector
        )

    async def _verdict(self, group_id: int, answer: str, vector: Vector) -> Verdict | None:
        """Whether a fresh answer says what the group says; None if the group has gone."""
        assert self._answers is not None
        assert self._neighbourhood is not None
        group = self._neighbourhood.groups.get(group_id)
        if group is None:
            return None
        if group.identity == self._comparison.identity(answer):
            return "same"
        known = self._neighbourhood.groups.vector(group_id)
        if known is None:  # founded this moment, or for another encoder
            known = await self._answers.vector(group.answer)
            self._describe(group_id, known)
            if self._neighbourhood.groups.get(group_id) is None:
                return None
        return self._comparison.verdict(answer, group.answer, float(known @ vector))

    def _teach(self, ticket: Ticket, judgement: Judgement, *, is_right: bool, weight: float = 1.0) -> None:
        assert self._neighbourhood is not None
        group = self._neighbourhood.learn(ticket.scope, judgement, is_right=is_right, weight=weight)
        if group is not None:
            self._store.update_group(group.id, msgspec.json.encode(group.evidence))

    def _extend_curated(self, ticket: Ticket, group_id: int, vector: Vector) -> None:
        """A fresh answer has agreed with a curated one that was near but not sure enough: its question becomes an
        anchor of the curated entry."""
        assert self._neighbourhood is not None
        entry = next((each for each in self._store.entries_of_group(group_id) if each.is_curated), None)
        key = exact_key(entry.scope, ticket.text) if entry is not None else b""
        if entry is None or self._store.by_key(key) is not None or not _may_write(ticket.query):
            return
        if len(self._store.anchors_of(entry.id)) >= _CURATED_ANCHORS_AT_MOST:  # nothing evicts them
            return
        encoder = self._encoder.fingerprint if self._encoder is not None else None
        anchor = self._store.add_anchor(entry.id, key, ticket.text, encoder, vector)
        if anchor is not None:
            self._neighbourhood.add(entry.scope, anchor.id, group_id, vector)

    # --- audits ---

    async def followed(self, follow_up: FollowUp, fresh: Fresh) -> Verdict | None:
        """The fresh answer after a hit. An audit's verdict is recorded; a wrong hit quarantines the anchor, lowers
        its group and is kept for a person to judge, and the fresh answer takes its place. Never raises: a fault is
        an audit that has failed."""
        try:
            if follow_up.purpose == "audit":
                return await self._audited(follow_up, fresh)
            stale = self._store.entry(follow_up.entry_id)
            self._refreshing.pop(follow_up.entry_id, None)
            self._store_fresh(msgspec.structs.replace(follow_up.ticket, judgement=None), fresh, stale)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            self.audit_failed(follow_up)
        return None

    async def _audited(self, follow_up: FollowUp, fresh: Fresh) -> Verdict | None:
        ticket = follow_up.ticket
        assert self._answers is not None
        judgement = ticket.judgement
        assert judgement is not None
        vector = await self._answers.vector(fresh.text)
        shared = self._store.by_key(follow_up.leader_key) if follow_up.leader_key is not None else None
        entry = shared[1] if shared is not None else self._store.entry(follow_up.entry_id)
        verdict = await self._verdict(entry.group_id, fresh.text, vector) if entry is not None else None
        if entry is None or verdict is None:  # purged meanwhile: nobody is served it any more
            self.audit_failed(follow_up)
            return None
        judgement = msgspec.structs.replace(judgement, group=entry.group_id)
        self.trust.hit_labelled(
            ticket.query.route, ticket.query.policy, judgement, follow_up.propensity, _LABELS[verdict]
        )
        if verdict != "same":
            self._doubt(entry.id, judgement, ticket, fresh.text, verdict)
        if verdict == "different":
            self._condemn(ticket, judgement)
            self.store(msgspec.structs.replace(ticket, judgement=None), fresh)
        elif verdict == "same":
            self._teach(ticket, judgement, is_right=True)
        return verdict

    def audit_failed(self, follow_up: FollowUp) -> None:
        """An audit that was drawn, or a refresh that was wanted, brought no answer."""
        ticket = follow_up.ticket
        if follow_up.purpose == "refresh":
            self._refreshing.pop(follow_up.entry_id, None)
        if follow_up.purpose == "audit" and ticket.judgement is not None:
            self.trust.hit_labelled(
                ticket.query.route, ticket.query.policy, ticket.judgement, follow_up.propensity, "failed"
            )

    def complain(self, request_id: str) -> FollowUp | None:
        """Somebody called the answer to this request wrong. If it was a semantic hit, it counts against its route
        and its group; the audit that settles it is returned. None for any other request."""
        served = self._served.pop(request_id, None)
        if served is None:
            return None
        self.trust.complained(served.route, served.policy, served.judgement.claim)
        if served.judgement.group is not None:  # else it had shared an answer that was still being made
            self._teach(served.ticket, served.judgement, is_right=False)
            self._doubt(served.entry_id, served.judgement, served.ticket, "", "unclear")
        return FollowUp("audit", served.ticket, _COMPLAINT_PROPENSITY, served.entry_id)

    def _condemn(self, ticket: Ticket, judgement: Judgement) -> None:
        self._teach(ticket, judgement, is_right=False, weight=_WRONG_WEIGHT)
        if judgement.neighbour is not None:
            self._store.quarantine(judgement.neighbour.anchor_id, True)

    def _doubt(self, entry_id: str, judgement: Judgement, ticket: Ticket, fresh: str, verdict: Verdict) -> None:
        assert self._neighbourhood is not None
        group = self._neighbourhood.groups.get(judgement.group) if judgement.group is not None else None
        neighbour = judgement.neighbour
        if group is None or neighbour is None or self._store.entry(entry_id) is None:  # purged meanwhile
            return
        self._store.add_doubt(
            at_us=self._now_us(),
            route=ticket.query.route,
            team=ticket.query.team,
            anchor_id=neighbour.anchor_id,
            entry_id=entry_id,
            group_id=group.id,
            request_id=ticket.query.request_id,
            asked=ticket.text,
            stored_question=neighbour.text,
            stored_answer=group.answer,
            fresh_answer=fresh[:LONGEST_FOUNDER],
            p=judgement.p,
            verdict="wrong" if verdict == "different" else "unclear",
        )

    def rule(self, doubt_id: int, ruling: Literal["right", "wrong"]) -> bool:
        """A person's judgement of a doubtful hit: a right one frees the anchor. False for an unknown one."""
        doubt = self._store.doubt(doubt_id)
        if doubt is None:
            return False
        self._store.rule(doubt_id, ruling)
        self._store.quarantine(doubt.anchor_id, ruling == "wrong")
        counted = doubt.ruling or ("wrong" if doubt.verdict == "wrong" else None)
        group = self._neighbourhood.groups.get(doubt.group_id) if self._neighbourhood is not None else None
        if group is not None and counted != ruling:
            if counted is not None:
                group.evidence.retract(doubt.p, is_right=counted == "right", weight=_WRONG_WEIGHT)
            group.evidence.add(doubt.p, is_right=ruling == "right", weight=_WRONG_WEIGHT)
            self._store.update_group(group.id, msgspec.json.encode(group.evidence))
        return True

    # --- warming ---

    async def warm(self, query: Query, items: Sequence[Warmed]) -> int:
        """Stores curated questions and answers for a team, route and knowledge version. One that is asked for in
        the same words already is replaced. Returns how many were stored. Raises TextTooLong for none: a question
        that is too long for the encoder is served exactly only."""
        scope = curated_scope(query)
        now_us = self._now_us()
        for item in items:
            text = normalised(item.question)
            key = exact_key(scope, text)
            vector: Vector | None = None
            if self._encoder is not None:
                try:
                    vector = await self._encoder.encode(text)
                except TextTooLong:
                    vector = None
            meaning = await self._answers.vector(item.answer) if self._answers is not None else None
            alike = None
            if self._answers is not None and meaning is not None:
                alike = await self._answers.group_of(scope, item.answer, meaning)
            # From here on nothing waits.
            identity = self._comparison.identity(item.answer)
            same = self._neighbourhood.groups.of_identity(scope, identity) if self._neighbourhood else None
            same = same or alike
            group_id = same.id if same is not None else self._store.next_group_id()
            if same is None:
                self._found(group_id, scope, identity, item.answer)
                self._describe(group_id, meaning)
            older = self._store.by_key(key)
            entry = Entry(
                id=uuid.uuid4().hex,
                scope=scope,
                team=query.team,
                env="",
                route=query.route,
                shared=query.policy.shared,
                model="curated",
                tier=0,
                is_rationed=False,
                output_tokens=item.output_tokens,
                group_id=group_id,
                created_us=now_us,
                expires_us=now_us + item.ttl_s * 1_000_000 if item.ttl_s is not None else _NEVER_US,
                knowledge_version=query.policy.knowledge_version,
                tags=tuple(sorted({*query.policy.tags, *item.tags})),
                is_curated=True,
                source=item.source,
                writer="",
                askers=(),
                worth=1,
            )
            self._put(entry, key, text, item.payload, vector, replaced=older[1] if older else None)
            self._curated[scope] = self._curated.get(scope, 0) + 1
        return len(items)

    # --- keeping ---

    def purge(self, **equal: Any) -> int:
        """Forgets every entry that matches all that is given (`id`, `team`, `env`, `route`, `shared`, `group_id`,
        `knowledge_version`, `writer`, `tag`, `is_curated`), with all its anchors; returns how many. With nothing
        given it forgets everything. Answers on their way are not stored."""
        self._purges += 1
        self._leaders.clear()
        self._flights.clear()  # whoever asks from now on gets an answer made from now on
        matching = self._store.select(**equal)
        self._forget(matching)
        is_all = all(value is None for value in equal.values())
        self._store.forget_doubts(None if is_all else matching)
        return len(matching)

    def _forget(self, entries: Iterable[Entry]) -> None:
        # As they are now: their group may have become another one meanwhile.
        gone = {each.id: now for each in entries if (now := self._store.entry(each.id)) is not None}
        for entry in gone.values():
            self._refreshing.pop(entry.id, None)
            if entry.is_curated:
                left = self._curated.pop(entry.scope, 0) - 1
                if left > 0:
                    self._curated[entry.scope] = left
        for anchor in self._store.remove(gone.values()):
            entry = gone[anchor.entry_id]
            if self._neighbourhood is not None and self._neighbourhood.remove(entry.scope, anchor.id, entry.group_id):
                self._store.remove_group(entry.group_id)

    def payload_of_group(self, group_id: int) -> bytes | None:
        """The payload of any entry of the group."""
        entries = self._store.entries_of_group(group_id)
        return self._store.payload(entries[0].id) if entries else None

    def certificates(self) -> dict[str, Certificate]:
        return self.trust.certificates()

    def statistics(self) -> dict[str, Any]:
        return {
            "entries": len(self._store),
            "bytes": self._store.bytes,
            "vectors": len(self._neighbourhood) if self._neighbourhood is not None else 0,
            "groups": len(self._neighbourhood.groups) if self._neighbourhood is not None else 0,
            "curated": sum(self._curated.values()),
            "in_flight": len(self._flights),
            "encoder": getattr(self._encoder, "model", None),
        }

    def close(self) -> None:
        self.trust.save()
        self._store.close()
        if self._neighbourhood is not None:
            self._neighbourhood.close()


_LABELS: Final[dict[Verdict, Literal["right", "wrong", "unclear"]]] = {
    "same": "right",
    "different": "wrong",
    "unclear": "unclear",
}
_COMPLAINT_PROPENSITY: Final = 1e-6
"""An audit that a complaint has brought about was not chosen by chance: it can count against a route only."""
_NEVER_US: Final = 2**62


def _may_write(query: Query) -> bool:
    return not query.policy.writers or query.app in query.policy.writers


def _may_share(leader: Query, query: Query) -> bool:
    """Whether what the leader gets would be acceptable here: same output limit, same acceptable models."""
    return leader.output_limit == query.output_limit and leader.acceptance == query.acceptance


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
