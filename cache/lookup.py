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
from collections.abc import Callable, Container, Sequence
from contextlib import closing
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from cache import audits
from cache.answers import Answers, Comparison, Encodes, WordedComparison
from cache.audits import Audits, SecondOpinion
from cache.cacheability import Cacheability, cacheability
from cache.certificate import Certificate
from cache.decision import Judgement, Neighbour, Prior, load_prior
from cache.entries import Anchor, Entry, EntryStore
from cache.errors import TextTooLong
from cache.flights import Flight
from cache.holdings import Holdings
from cache.index import Vector
from cache.learning import Learning, Lesson
from cache.lifetime import expiry_under, lifetime_s
from cache.neighbourhood import Neighbourhood
from cache.query import Acceptance, CachePolicy, Directives, Disposition, Query
from cache.sameness import Verdict
from cache.scope import Split, curated_scope, exact_key, normalised, scope_of, split, takes_curated
from cache.ticket import Complaint, FollowUp, Fresh, Ticket
from cache.traits import traits
from cache.transfer import Kept, Taken
from cache.trust import Trust
from cache.vouching import Asked, Unvouched
from cache.warming import Stored, Warmed, Warming

__all__ = ["Cache", "FollowUp", "Fresh", "Lookup", "Screen", "Stored", "Ticket", "Warmed", "directives_from"]

Event = TypeVar("Event")
Screen = Callable[[Query, Split], Cacheability]
"""What says whether a request may be answered from the cache at all."""

_EQUIVALENT_AT_LEAST: Final = 0.6
"""Cosine below which two questions in flight are not even compared."""
_REFRESH_AGAIN_US: Final = 60_000_000
"""So long after a refresh was asked for, an entry that is still there asks for no other."""


class Joining(Struct, frozen=True):
    """What makes a semantic hit of an answer that is still being made for another question."""

    ticket: Ticket
    leader_key: bytes


class Lookup(Struct, Generic[Event]):
    """How the cache disposed of a request. `entry` and `payload` on a hit, `flight` on `coalesced`, `ticket`
    and `flight` on a miss that others may join or that is stored. Who hands out what is `coalesced` says `joined`."""

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
    joining: Joining | None = None
    """On `coalesced` with another question."""


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
        read: Callable[[bytes], str | None] = lambda _: None,
    ) -> None:
        """`read` gives the text of a payload, which audits compare with; what cannot be read is judged by its group."""
        self._store = store
        self._encoder = encoder
        self._now_us = now_us
        self._on_fault = on_fault
        self._screen = screen
        self._comparison = comparison or WordedComparison()
        self.on_label: Callable[[Query, Judgement, Verdict], None] = lambda *_: None
        """Told what a fresh answer says of the stored one that was not served instead."""
        self.is_busy: Callable[[], bool] = lambda: False
        """Whether requests want all of the processor, so that learning has to wait."""
        self.is_alone: Callable[[], bool] = lambda: False
        """Whether a request that is being looked up has nobody beside it whom its own work could hold up."""
        prior = prior or load_prior()
        self.trust = Trust(store, prior, chance or random.Random(), now_us)
        self._neighbourhood: Neighbourhood | None = None
        if encoder is not None:
            self._neighbourhood = Neighbourhood(encoder.dim, prior, on_fault)
        fingerprint = encoder.fingerprint if encoder is not None else None
        self._holdings = Holdings(store, self._neighbourhood, fingerprint, now_us, read)
        answers: Answers | None = None
        self._learning: Learning | None = None
        self._audits: Audits | None = None
        if self._neighbourhood is not None and encoder is not None:
            answers = Answers(self._neighbourhood, encoder, self._comparison)
            self._learning = Learning(
                self._holdings,
                answers,
                self.trust,
                on_fault,
                on_label=lambda *said: self.on_label(*said),
                is_busy=lambda: self.is_busy(),
            )
            self._audits = Audits(self._holdings, self._learning, self.trust, now_us)
        self._warming = Warming(self._holdings, answers, encoder, self._comparison, now_us)
        self._flights: dict[bytes, Flight[Event]] = {}
        self._leaders: dict[bytes, dict[bytes, tuple[Ticket, Flight[Event]]]] = {}
        """Scope -> key -> who leads a flight there, for questions that have a vector."""
        self._unvouched = Unvouched()

    def load(self) -> None:
        """Fills the memory from the file, at start."""
        self._holdings.load()

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
        joining = _joining_keys(query, key) if may_join and not query.directives.no_cache else ()
        ticket = Ticket(query, scope, key, joining, text, None, self._holdings.purges, self._now_us())
        if query.directives.no_cache:
            return self._miss(await self._with_vector(ticket, allowed), "no-cache")
        curated = curated_scope(query) if self._holdings.curated and takes_curated(query, parts) else None
        if curated is not None and curated not in self._holdings.curated:
            curated = None

        if (hit := self._exact(ticket, curated, allowed)) is not None:
            return hit
        if (flight := self._flight(joining)) is not None:
            return Lookup("coalesced", "in-flight", flight=flight)
        if allowed.level == "exact" or self._neighbourhood is None:
            return self._miss(ticket, allowed.reason or "no-encoder")
        ticket = await self._with_vector(ticket, allowed)
        if ticket.vector is None:
            return self._miss(ticket, "long")

        # While the text was encoded, the same question may have been answered or set off.
        if (hit := self._exact(ticket, curated, allowed)) is not None:
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
        would have to. Decided without that answer; counted and audited as a semantic hit once it is `joined`."""
        query, vector = ticket.query, ticket.vector
        leaders = self._leaders.get(ticket.scope)
        if not leaders or not ticket.joining or vector is None or kappa > 1 or self._neighbourhood is None:
            return None
        if query.policy.min_askers > 1:  # nobody has got that answer yet
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
        state = self.trust.state(query.route, query.policy)
        return Lookup(
            "coalesced",
            state if state == "uncertified" else "equivalent",
            flight=flight,
            confidence=p,
            judgement=claim,
            kappa=kappa,
            joining=Joining(msgspec.structs.replace(ticket, judgement=claim), leader.key),
        )

    def joined(self, lookup: Lookup[Event]) -> None:
        """What is on its way is handed out: of another question it is a semantic hit from now on, which may be audited.
        Who could not join was not served it."""
        if lookup.joining is None:
            return
        ticket, leader_key = lookup.joining.ticket, lookup.joining.leader_key
        query, judgement = ticket.query, ticket.judgement
        assert judgement is not None
        propensity = self.trust.draw(query.route, query.policy, judgement, may_audit=query.may_audit)
        if propensity is not None:
            lookup.follow_up = FollowUp("audit", ticket, propensity, leader_key=leader_key)
        assert self._audits is not None
        self._audits.remember(ticket, judgement, "", leader_key, is_audited=lookup.follow_up is not None)

    def _too_little(self, query: Query) -> str:
        state = self.trust.state(query.route, query.policy)
        return state if state in ("learning", "exact-only") else "unsure"

    async def _with_vector(self, ticket: Ticket, allowed: Cacheability) -> Ticket:
        """The ticket with the vector of its text, if it may be served semantically and is not too long."""
        if allowed.level != "semantic" or self._encoder is None:
            return ticket
        encoding = self._encoder.encode(ticket.text, here=self.is_alone())
        traits(ticket.text)  # remembered; where another thread encodes, read while that wakes up
        try:
            return msgspec.structs.replace(ticket, vector=await encoding)
        except TextTooLong:
            return ticket

    def judge(self, query: Query, scope: bytes, text: str, vector: Vector) -> Judgement:
        """What the stored anchors near this text say. Those that have expired are forgotten, so that they keep
        none that is fresh from being found."""
        assert self._neighbourhood is not None
        now_us, by_anchor = self._now_us(), self._store.by_anchor
        expires_us = expiry_under(query.policy)
        may_serve = _served_to(query, now_us, self._holdings.leaving)
        while True:
            expired: list[Entry] = []

            def described(anchor_id: int) -> tuple[str, int, bool] | None:
                found = by_anchor(anchor_id)
                if found is None:
                    return None
                anchor, entry = found
                is_served = may_serve(anchor, entry)
                if not is_served and now_us >= expires_us(entry, anchor.text):
                    expired.append(entry)  # noqa: B023  read before the next round
                return anchor.text, entry.group_id, is_served

            judgement = self._neighbourhood.judge(scope, text, vector, described)
            if not expired:
                return judgement
            self._holdings.forget(expired)

    def _exact(self, ticket: Ticket, curated: bytes | None, allowed: Cacheability) -> Lookup[Event] | None:
        for scope, key in ((curated, None), (ticket.scope, ticket.key)):
            if scope is None:
                continue
            found = self._store.by_key(key or exact_key(scope, ticket.text))
            if found is None:
                continue
            anchor, entry = found
            if entry.is_curated:
                if not self._store.is_own_question(anchor):
                    continue  # no operator has written this question: it is judged like any other
                # A model that does not know the operator's answer says `different` to a right one.
                anchor = msgspec.structs.replace(anchor, is_quarantined=False)
            if not _served_to(ticket.query, self._now_us(), self._holdings.leaving)(anchor, entry):
                continue
            if curated is not None and not entry.is_curated and allowed.level == "semantic":
                vouched_for = self._vouched_for(ticket, curated, anchor)
                if vouched_for is not None:
                    return vouched_for
            if (hit := self._hit("exact", "same-text", anchor, entry, ticket)) is not None:
                hit.confidence = 1.0
                if ticket.query.policy.mode == "semantic":
                    self.trust.without_candidate(ticket.query.route, ticket.query.policy)
                return hit
        return None

    def _vouched_for(self, ticket: Ticket, curated: bytes, anchor: Anchor) -> Lookup[Event] | None:
        """The curated answer that fits, by its meaning, a question of which a model's answer is stored: the operator's
        comes first, whichever was stored first. Judged with the stored vector, so that nothing is encoded."""
        query, now_us = ticket.query, self._now_us()
        asked = Asked(anchor.id, query.output_limit, query.directives.max_age_s)
        kappa = self.trust.kappa(query.route, query.policy)
        if self._neighbourhood is None or kappa > 1 or self._unvouched.has(asked, now_us):
            return None
        vector = self._neighbourhood.vector(ticket.scope, anchor.id)
        if vector is None:
            return None
        judgement = self.judge(query, curated, ticket.text, vector)
        hit = self._semantic(msgspec.structs.replace(ticket, vector=vector, judgement=judgement), kappa)
        if hit is None:
            self._unvouched.add(asked, now_us)
        return hit

    def _semantic(self, ticket: Ticket, kappa: float) -> Lookup[Event] | None:
        query, judgement = ticket.query, ticket.judgement
        assert judgement is not None
        if judgement.neighbour is None or judgement.claim < kappa:
            return None
        found = self._store.by_anchor(judgement.neighbour.anchor_id)
        assert found is not None
        hit = self._hit("semantic", self.trust.state(query.route, query.policy), *found, ticket)
        if hit is None:
            return None
        hit.confidence, hit.judgement, hit.kappa = judgement.p, judgement, kappa
        if hit.follow_up is None:  # else what the refresh brings is its audit
            propensity = self.trust.draw(query.route, query.policy, judgement, may_audit=query.may_audit)
            if propensity is not None:
                hit.follow_up = FollowUp("audit", ticket, propensity, found[1].id)
        assert self._audits is not None
        self._audits.remember(ticket, judgement, found[1].id, is_audited=hit.follow_up is not None)
        return hit

    def _hit(
        self, disposition: Disposition, reason: str, anchor: Anchor, entry: Entry, ticket: Ticket
    ) -> Lookup[Event] | None:
        payload = self._store.payload(entry.id)
        if payload is None:  # its row never reached the file and memory has dropped it
            self._holdings.forget([entry])
            return None
        hit: Lookup[Event] = Lookup(disposition, reason, entry=entry, payload=payload)
        now_us, policy = self._now_us(), ticket.query.policy
        if not entry.is_curated and now_us >= entry.created_us + lifetime_s(policy, anchor.text) * 1_000_000:
            if disposition == "exact":  # of a semantic hit it is more important how far it can be trusted
                hit.reason = "stale-while-revalidate"
            is_due = now_us >= self._holdings.refreshing.get(entry.id, 0) + _REFRESH_AGAIN_US
            if is_due and ticket.query.may_write:
                self._holdings.refreshing[entry.id] = now_us
                hit.follow_up = FollowUp("refresh", ticket, entry_id=entry.id)
        return hit

    def _flight(self, joining: tuple[bytes, ...]) -> Flight[Event] | None:
        found = (self._flights.get(key) for key in joining)
        return next((flight for flight in found if flight is not None and flight.is_open), None)

    def _miss(
        self, ticket: Ticket, reason: str, judgement: Judgement | None = None, kappa: float | None = None
    ) -> Lookup[Event]:
        """A miss, which the caller leads: whoever asks the same from now on joins its flight."""
        flight: Flight[Event] = Flight(is_kept=True)
        if ticket.joining and not ticket.query.directives.only_if_cached:
            self._flights[ticket.joining[-1]] = flight
            if ticket.vector is not None and ticket.query.may_write:
                self._leaders.setdefault(ticket.scope, {})[ticket.key] = (ticket, flight)
        confidence = judgement.p if judgement is not None and judgement.group is not None else None
        return Lookup(
            "miss", reason, confidence=confidence, flight=flight, ticket=ticket, judgement=judgement, kappa=kappa
        )

    def age_s(self, entry: Entry) -> int:
        return max(self._now_us() - entry.created_us, 0) // 1_000_000

    # --- storing ---

    def land(self, ticket: Ticket, flight: Flight[Event]) -> None:
        """The flight has ended: nobody can join it any more."""
        if ticket.joining and self._flights.get(ticket.joining[-1]) is flight:
            del self._flights[ticket.joining[-1]]
        leaders = self._leaders.get(ticket.scope, {})
        if ticket.key in leaders and leaders[ticket.key][1] is flight:
            del leaders[ticket.key]
            if not leaders:
                del self._leaders[ticket.scope]

    def store(self, ticket: Ticket, fresh: Fresh, *, is_labelled: bool = False) -> str | None:
        """Keeps a cleanly finished answer; returns the entry's id, or None if it is not kept: after a fault, after
        a purge that came meanwhile, if its app may not write, or if a better one may still be served. Its answer group
        and the label of what would have been served follow later; with `is_labelled` that label is known already."""
        try:
            return self._store_fresh(ticket, fresh, is_labelled)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            return None

    def _store_fresh(self, ticket: Ticket, fresh: Fresh, is_labelled: bool) -> str | None:
        query, policy, holdings = ticket.query, ticket.query.policy, self._holdings
        older = self._store.by_key(ticket.key)
        now_us = self._now_us()
        if ticket.purges != holdings.purges or holdings.leaving:
            return None
        if not query.may_write or (older is not None and self._is_better(*older, ticket, fresh)):
            self._learn(Lesson(ticket, fresh.text, is_labelled=is_labelled))
            return None
        identity = self._comparison.identity(fresh.text)
        ttl_us = lifetime_s(policy, ticket.text) * 1_000_000
        same = holdings.of_identity(ticket.scope, identity)
        group_id = same.id if same is not None else holdings.found(ticket.scope, identity, fresh.text)
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
            askers=holdings.askers(group_id, query.asker),
            worth=fresh.worth,
        )
        # A newer answer to exactly the same question takes the place of the older one. What that leaves to its
        # group, if both say the same, it leaves when the two have been compared.
        replaced = (older[1],) if older is not None else ()
        holdings.set_aside(replaced)
        holdings.put(entry, ticket.key, ticket.text, fresh.payload, ticket.vector, asked_us=ticket.asked_us)
        founded = entry if same is None else None
        if not self._learn(Lesson(ticket, fresh.text, founded, replaced, is_labelled)):
            holdings.forget(replaced)
        return entry.id if self._store.entry(entry.id) is not None else None

    def _is_better(self, anchor: Anchor, entry: Entry, ticket: Ticket, fresh: Fresh) -> bool:
        """Whether what is stored for the same text stays: it may still be served, and the fresh one is rationed while
        it is not, or was asked for before it and took longer."""
        if not _is_good(anchor, entry, ticket.query.policy, self._now_us()):
            return False
        if entry.is_rationed != fresh.is_rationed:
            return fresh.is_rationed
        return self._holdings.asked_us(entry.id) > ticket.asked_us

    def _learn(self, lesson: Lesson) -> bool:
        return self._learning is not None and self._learning.soon(lesson)

    async def settle(self, within_s: float | None = None) -> None:
        """Waits until all fresh answers are linked and have labelled what would have been served; those that have not
        been begun in time are not."""
        if self._learning is not None:
            await self._learning.settle(within_s)

    # --- after a hit ---

    async def followed(self, follow_up: FollowUp, fresh: Fresh, opinion: SecondOpinion | None = None) -> Verdict | None:
        """The fresh answer after a hit. Of a semantic hit the verdict is recorded; a wrong one quarantines the anchor,
        lowers its group and is kept for a person to judge. What a refresh brings is stored as the answer to the
        question that was asked, and so is what contradicts an audited hit. Never raises: a fault is an audit that
        has failed."""
        ticket, verdict = follow_up.ticket, None
        try:
            if ticket.judgement is not None:
                assert self._audits is not None
                verdict = await self._audits.audited(follow_up, fresh, opinion)
            if follow_up.purpose == "refresh" and ticket.vector is None:  # to find the same words took none
                allowed = self._screen(ticket.query, split(ticket.query.mapping["messages"]))
                ticket = await self._with_vector(ticket, allowed)
        except Exception as error:  # noqa: BLE001  fails open by design, counted by on_fault
            self._on_fault(error)
            self.audit_failed(follow_up)
            return None
        if verdict == "different":
            ticket = msgspec.structs.replace(ticket, judgement=None)  # it speaks for another answer
        if follow_up.purpose == "refresh" or verdict == "different":
            self.store(ticket, fresh, is_labelled=True)
        return verdict

    def audit_failed(self, follow_up: FollowUp) -> None:
        """An audit that was drawn, a refresh that was wanted or what would have settled a complaint brought no
        answer."""
        if self._audits is not None:
            self._audits.failed(follow_up)

    def unreadable(self, lookup: Lookup[Event], error: Exception) -> None:
        """What this hit hands out cannot be read: it is forgotten, and counted as a fault."""
        self._on_fault(error)
        if lookup.follow_up is not None:
            self.audit_failed(lookup.follow_up)
        if lookup.entry is not None:
            self._holdings.forget([lookup.entry])

    async def complain(self, request_id: str) -> Complaint:
        """Somebody called the answer to this request wrong: whether that counts, and the audit that would settle it.
        Until then it changes nothing. Where `followed` cannot be told a fresh answer, `audit_failed` must be told."""
        complaint = self._audits.complain(request_id) if self._audits is not None else Complaint()
        if complaint.audit is None or self._encoder is None:
            return complaint
        try:  # its vector was not remembered
            vector = await self._encoder.encode(complaint.audit.ticket.text)
        except TextTooLong:
            return complaint
        ticket = msgspec.structs.replace(complaint.audit.ticket, vector=vector)
        return msgspec.structs.replace(complaint, audit=msgspec.structs.replace(complaint.audit, ticket=ticket))

    def rule(self, doubt_id: int, ruling: Literal["right", "wrong"]) -> bool:
        """A person's judgement of a doubtful hit: a right one frees the anchor, unless another hit of it stands as
        wrong; a wrong one of which no audit could tell counts against its route. Ruling again the same way changes
        nothing. False for an unknown one."""
        return audits.rule(self._holdings, self.trust, doubt_id, ruling)

    # --- from outside ---

    async def warm(self, query: Query, items: Sequence[Warmed], since_us: int | None = None) -> Stored:
        """Stores curated questions and answers for a team, route and knowledge version. See `Warming.warm`."""
        try:
            return await self._warming.warm(query, items, since_us)
        finally:
            self._unvouched.clear()

    async def restore(self, kept: Kept, policy: CachePolicy) -> Taken:
        """Stores one exported entry with all its questions under its own id, for a route of this policy."""
        if kept.knowledge_version != policy.knowledge_version:
            return "other-version"
        if kept.shared != policy.shared:
            return "other-group"
        if self._now_us() >= expiry_under(policy)(kept, kept.anchors[0].text):
            return "expired"
        query = Query(kept.team, kept.env, kept.route, {}, None, Acceptance("", 0), policy, Directives())

        def is_semantic(text: str) -> bool:
            return self._screen(query, Split(text, [], False)).level == "semantic"

        try:
            return await self._warming.restore(kept, is_semantic=is_semantic)
        finally:
            self._unvouched.clear()

    async def unwritten(self, entry_ids: Sequence[str]) -> int:
        """How many of these are stored in memory only, since the file could not be written; waits for it."""
        written = await asyncio.to_thread(self._store.written, entry_ids)
        return sum(each not in written and self._store.entry(each) is not None for each in entry_ids)

    @property
    def evicted(self) -> int:
        """How many entries have had to make room since the start."""
        return self._holdings.evicted

    # --- keeping ---

    def purge(self, **equal: Any) -> int:
        """Forgets every entry that matches all that is given (`id`, `team`, `env`, `route`, `shared`, `group_id`,
        `knowledge_version`, `writer`, `tag`, `is_curated`), with all its anchors; returns how many. With nothing
        given it forgets everything. Answers on their way are not stored."""
        self._part_ways()
        return self._holdings.purge(**equal)

    async def purge_in_turns(self, **equal: Any) -> int:
        """As `purge`, while others are served: nothing of what is to go, from now on, and no answer that comes
        meanwhile is stored."""
        self._part_ways()
        purged = 0
        with closing(self._holdings.purging(**equal)) as parts:
            for count in parts:
                purged += count
                await asyncio.sleep(0)
        return purged

    def _part_ways(self) -> None:
        """Whoever asks from now on gets an answer made from now on."""
        self._leaders.clear()
        self._flights.clear()

    def payload_of_group(self, group_id: int) -> bytes | None:
        """The payload of any entry of the group."""
        entries = self._store.entries_of_group(group_id)
        return self._store.payload(entries[0].id) if entries else None

    def certificates(self) -> dict[str, Certificate]:
        return self.trust.certificates()

    def statistics(self) -> dict[str, Any]:
        encoder = getattr(self._encoder, "model", None)
        skipped = self._learning.skipped if self._learning is not None else 0
        return {
            **self._holdings.statistics(),
            "lessons_skipped": skipped,
            "in_flight": len(self._flights),
            "encoder": encoder,
        }

    def close(self) -> None:
        self.trust.save()
        self._holdings.close()


def _is_good(anchor: Anchor, entry: Entry, policy: CachePolicy, now_us: int) -> bool:
    """Whether anybody may still be served an entry for this anchor: not doubted, and fresh."""
    return not anchor.is_quarantined and now_us < expiry_under(policy)(entry, anchor.text)


def _served_to(query: Query, now_us: int, leaving: Container[str]) -> Callable[[Anchor, Entry], bool]:
    """Whether an entry may be served for this anchor: not doubted, not being purged, fresh, made by a model that is
    acceptable now, complete within the caller's limit, and known to enough others if the route wants that. For the many
    neighbours of one question."""
    limit, max_age_s, wanted = query.output_limit, query.directives.max_age_s, query.policy.min_askers
    oldest_us = now_us - max_age_s * 1_000_000 if max_age_s is not None else None
    expires_us = expiry_under(query.policy)
    accepted: dict[tuple[str, int, bool], bool] = {}

    def is_accepted(entry: Entry) -> bool:
        made_by = entry.model, entry.tier, entry.is_rationed
        if made_by not in accepted:
            accepted[made_by] = query.acceptance.takes(entry.model, entry.tier, is_rationed=entry.is_rationed)
        return accepted[made_by]

    def may_serve(anchor: Anchor, entry: Entry) -> bool:
        if (
            anchor.is_quarantined
            or entry.id in leaving
            or now_us >= expires_us(entry, anchor.text)
            or (oldest_us is not None and entry.created_us < oldest_us)
            or (limit is not None and entry.output_tokens > limit)
        ):
            return False
        if entry.is_curated:
            return True
        if wanted > 1 and len(entry.askers) < wanted and query.asker not in entry.askers:
            return False
        return is_accepted(entry)

    return may_serve


def _may_share(leader: Query, query: Query) -> bool:
    """Whether what the leader gets would be acceptable here: same output limit, same acceptable models, and nothing
    of the leader's own in it."""
    return _demands(leader) == _demands(query)


def _joining_keys(query: Query, key: bytes) -> tuple[bytes, ...]:
    """Under which a request finds an answer that is still being made for the same question and the same demands; it
    leads under the last one. An app whose answers are not stored is joined by itself only. Where several end users must
    have got an answer before others are served it, each joins only what the same one has asked for."""
    asker = query.asker if query.policy.min_askers > 1 else None
    groups: list[list[str]] = [[]] if query.may_write else [[], [query.team, query.app]]
    named = (msgspec.json.encode([*_demands(query), asker, group], order="deterministic") for group in groups)
    return tuple(hashlib.sha256(key + name).digest() for name in named)


def _demands(query: Query) -> list[Any]:
    """What must be equal for an answer that is still being made to be good for both: the output limit, the acceptable
    models, and what of the request comes back in the answer."""
    return [query.output_limit, query.acceptance, query.echoed]


def directives_from(header: str | None) -> Directives:
    """`Cache-Control` request directives; unknown ones and malformed numbers are ignored (RFC 9111, 5.2.3). Of several
    ages the lowest counts."""
    if not header:
        return Directives()
    pairs = [item.strip().partition("=") for item in header.lower().split(",")]
    given = [(name.strip(), value.strip().strip('"')) for name, _, value in pairs]
    ages = [int(value) for name, value in given if name == "max-age" and re.fullmatch("[0-9]{1,10}", value)]
    names = {name for name, _ in given}
    return Directives(
        no_cache="no-cache" in names,
        no_store="no-store" in names,
        max_age_s=min(ages, default=None),
        only_if_cached="only-if-cached" in names,
    )
