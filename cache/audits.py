"""What becomes of semantic hits after they were served: audits, complaints, and doubts for a person to judge.

A wrong hit quarantines the anchor that served it, lowers its group and is kept with both texts. Knows how a fresh
answer is compared (`cache.learning`), not how it is fetched.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cache.decision import Judgement
from cache.entries import Entry
from cache.groups import LONGEST_FOUNDER
from cache.holdings import Holdings
from cache.learning import LABELS, Learning
from cache.query import CachePolicy, Query
from cache.sameness import Verdict
from cache.ticket import Complaint, FollowUp, Fresh, Ticket
from cache.trust import Trust

SecondOpinion = Callable[[str, str], Awaitable[Verdict | None]]
"""Whether two answers say the same, by whoever knows better than a comparison of words; None for no opinion."""

_WRONG_WEIGHT: Final = 3.0
"""A wrong audited hit speaks against its group like so many labels: it has harmed somebody."""
_HITS_REMEMBERED: Final = 20_000


class RecentHit(Struct, frozen=True):
    """A semantic hit, as it is remembered for feedback."""

    route: str
    policy: CachePolicy
    judgement: Judgement
    ticket: Ticket
    entry_id: str
    leader_key: bytes | None = None
    is_settled: bool = False
    """Whether an audit has said if it was right."""
    is_audited: bool = False
    """Whether an audit is under way that will."""


class Audits:
    """Labels of hits. Call from one thread."""

    def __init__(self, holdings: Holdings, learning: Learning, trust: Trust, now_us: Callable[[], int]) -> None:
        self._holdings = holdings
        self._learning = learning
        self._trust = trust
        self._now_us = now_us
        self._hits: OrderedDict[str, RecentHit] = OrderedDict()
        """Request -> its hit."""
        self._waiting: dict[str, FollowUp] = {}
        """Request -> what would settle the complaint about it, did not an audit that is under way."""

    def remember(
        self,
        ticket: Ticket,
        judgement: Judgement,
        entry_id: str,
        leader_key: bytes | None = None,
        *,
        is_audited: bool,
    ) -> None:
        """A hit has been served; only one with a request id can be complained of. With `is_audited` it will be asked
        for again, and `audited` or `failed` told."""
        query = ticket.query
        if not query.request_id:
            return
        ticket = msgspec.structs.replace(ticket, judgement=judgement, vector=None).trimmed()
        assert ticket.judgement is not None
        hit = RecentHit(
            query.route, query.policy, ticket.judgement, ticket, entry_id, leader_key, is_audited=is_audited
        )
        self._hits[query.request_id] = hit
        if len(self._hits) > _HITS_REMEMBERED:
            self._hits.popitem(last=False)

    async def audited(self, follow_up: FollowUp, fresh: Fresh, opinion: SecondOpinion | None) -> Verdict | None:
        """What the fresh answer says of the hit; None if the entry has gone meanwhile. After `different` the fresh
        answer is to be stored in its place. Where the comparison of words cannot tell, a second opinion is asked."""
        ticket, store = follow_up.ticket, self._holdings.store
        judgement = ticket.judgement
        assert judgement is not None
        entry = self._entry(follow_up.entry_id, follow_up.leader_key)
        served = self._holdings.answer(entry.id) if entry is not None else None
        verdict = await self._learning.verdict(entry.group_id, fresh.text, served) if entry is not None else None
        if entry is None or verdict is None:  # purged meanwhile: nobody is served it any more
            self.failed(follow_up)
            return None
        if verdict == "unclear" and opinion is not None and (group := self._holdings.group(entry.group_id)):
            verdict = await opinion(served or group.answer, fresh.text) or verdict
            entry = store.entry(entry.id) or entry  # its group may have become another one meanwhile
        judgement = msgspec.structs.replace(judgement, group=entry.group_id)
        if follow_up.complained_by is None:
            complaint = self._concluded(ticket.query.request_id, is_settled=verdict != "unclear")
            self._trust.hit_labelled(
                ticket.query.route, ticket.query.policy, judgement, follow_up.propensity, LABELS[verdict]
            )
            if complaint is not None and verdict == "unclear":
                self._let_stand(complaint, None)
        elif verdict == "unclear":
            self._let_stand(follow_up, fresh.text)
            return verdict
        elif verdict == "different":
            self._charge(follow_up, is_settled=True)
        if verdict != "same":
            self._doubt(entry.id, judgement, ticket, fresh.text, verdict)
        if verdict == "different":
            self._learning.teach(ticket, judgement, is_right=False, weight=_WRONG_WEIGHT)
            if judgement.neighbour is not None:
                store.quarantine(judgement.neighbour.anchor_id, True)
        elif verdict == "same":
            self._learning.teach(ticket, judgement, is_right=True)
        return verdict

    def failed(self, follow_up: FollowUp) -> None:
        """An audit that was drawn brought no answer, or one that would have settled a complaint."""
        ticket = follow_up.ticket
        if follow_up.complained_by is not None:
            self._let_stand(follow_up, "")
        elif ticket.judgement is not None:
            self._trust.hit_labelled(
                ticket.query.route, ticket.query.policy, ticket.judgement, follow_up.propensity, "failed"
            )
            complaint = self._concluded(ticket.query.request_id, is_settled=False)
            if complaint is not None:
                self._let_stand(complaint, "")

    def complain(self, request_id: str) -> Complaint:
        """Somebody called the answer to this request wrong. It counts if that was a semantic hit, and the first of its
        asker about its answer group. What it changes an audit says: the one that was drawn, and may be under way, or
        one for it alone."""
        hit = self._hits.pop(request_id, None)
        if hit is None:
            return Complaint()
        by, entry = _name(hit.ticket.query), self._entry(hit.entry_id, hit.leader_key)
        group = entry.group_id if entry is not None else hit.judgement.group
        if not self._trust.complained(hit.route, hit.policy, by, -1 if group is None else group):
            return Complaint()
        if hit.is_settled:
            return Complaint(is_counted=True)
        # What comes is made from now on.
        ticket = msgspec.structs.replace(hit.ticket, purges=self._holdings.purges, asked_us=self._now_us())
        audit = FollowUp("audit", ticket, entry_id=hit.entry_id, leader_key=hit.leader_key, complained_by=by)
        if entry is None:  # gone meanwhile: there is nothing left to compare with
            self.failed(audit)
            return Complaint(is_counted=True)
        if hit.is_audited:
            self._waiting[request_id] = audit
            return Complaint(is_counted=True)
        return Complaint(is_counted=True, audit=audit)

    def _entry(self, entry_id: str, leader_key: bytes | None) -> Entry | None:
        """What was served, or what has come of the answer that was shared while it was made."""
        shared = self._holdings.store.by_key(leader_key) if leader_key is not None else None
        return shared[1] if shared is not None else self._holdings.store.entry(entry_id)

    def _concluded(self, request_id: str, *, is_settled: bool) -> FollowUp | None:
        """The audit that was drawn for a hit has ended: the complaint that has waited for it, if there is one."""
        hit = self._hits.get(request_id)
        if hit is not None:
            self._hits[request_id] = msgspec.structs.replace(hit, is_settled=is_settled, is_audited=False)
        return self._waiting.pop(request_id, None)

    def _let_stand(self, follow_up: FollowUp, fresh: str | None) -> None:
        """A complaint could not be settled: it weighs a little against its route, makes its group suspect, and is
        listed with the fresh answer, unless that is None because the hit is listed anyway."""
        self._charge(follow_up, is_settled=False)
        ticket, entry = follow_up.ticket, self._entry(follow_up.entry_id, follow_up.leader_key)
        group = self._holdings.group(entry.group_id) if entry is not None else None
        if entry is None or group is None or ticket.judgement is None:
            return
        group.evidence.add_complaint()
        self._holdings.keep_evidence(group)
        if fresh is not None:
            judgement = msgspec.structs.replace(ticket.judgement, group=group.id)
            self._doubt(entry.id, judgement, ticket, fresh, "unclear")

    def _charge(self, follow_up: FollowUp, *, is_settled: bool) -> None:
        query, judgement, by = follow_up.ticket.query, follow_up.ticket.judgement, follow_up.complained_by
        assert judgement is not None
        assert by is not None
        self._trust.complaint_stands(query.route, query.policy, judgement.claim, by, is_settled=is_settled)

    def _doubt(self, entry_id: str, judgement: Judgement, ticket: Ticket, fresh: str, verdict: Verdict) -> None:
        group = self._holdings.group(judgement.group) if judgement.group is not None else None
        neighbour = judgement.neighbour
        if group is None or neighbour is None or self._holdings.store.entry(entry_id) is None:  # purged meanwhile
            return
        self._holdings.store.add_doubt(
            at_us=self._now_us(),
            route=ticket.query.route,
            team=ticket.query.team,
            anchor_id=neighbour.anchor_id,
            entry_id=entry_id,
            group_id=group.id,
            request_id=ticket.query.request_id,
            asked=ticket.text,
            stored_question=neighbour.text,
            stored_answer=self._holdings.answer(entry_id) or group.answer,
            fresh_answer=fresh[:LONGEST_FOUNDER],
            p=judgement.p,
            verdict="wrong" if verdict == "different" else "unclear",
        )


def rule(holdings: Holdings, trust: Trust, doubt_id: int, ruling: Literal["right", "wrong"]) -> bool:
    """A person's judgement of a doubtful hit: a right one frees the anchor, unless another hit of it stands as wrong; a
    wrong one of which no audit could tell counts against its route. Ruling again the same way changes nothing. False
    for an unknown one."""
    store = holdings.store
    doubt = store.doubt(doubt_id)
    if doubt is None:
        return False
    store.rule(doubt_id, ruling)
    store.quarantine(doubt.anchor_id, store.is_condemned(doubt.anchor_id))
    if ruling == "wrong" and ruling != doubt.ruling and doubt.verdict == "unclear":
        trust.ruled_wrong(doubt.route, doubt.p, f"doubt {doubt.id}", doubt.group_id)
    counted = doubt.ruling or ("wrong" if doubt.verdict == "wrong" else None)
    entry = store.entry(doubt.entry_id)
    group = holdings.group(entry.group_id if entry is not None else doubt.group_id)
    if group is not None and counted != ruling:
        if counted is not None:
            group.evidence.retract(doubt.p, is_right=counted == "right", weight=_WRONG_WEIGHT)
        group.evidence.add(doubt.p, is_right=ruling == "right", weight=_WRONG_WEIGHT)
        holdings.keep_evidence(group)
    return True


def _name(query: Query) -> str:
    """Of who has asked, for what is remembered of complaints."""
    named = msgspec.json.encode([query.team, query.app, query.asker])
    return hashlib.sha256(named).hexdigest()[:16]
