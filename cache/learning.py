"""What the cache learns from fresh answers after the client has been served: which answers say the same, and whether
what would have been served was right.

    answer -> vector -> joins the group that says the same, or founds one -> label of what would have been served

One answer after the other, in small steps between which requests go first. Knows nothing of lookups.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from msgspec import Struct

from cache import fragments
from cache.answers import Answers
from cache.certificate import Label
from cache.decision import Judgement
from cache.entries import Entry
from cache.groups import LONGEST_FOUNDER, Group
from cache.holdings import Holdings
from cache.index import Vector
from cache.query import Query
from cache.sameness import Verdict
from cache.scope import exact_key
from cache.signals import difference
from cache.ticket import Ticket
from cache.traits import traits
from cache.trust import Trust

LABELS: Final[dict[Verdict, Label]] = {"same": "right", "different": "wrong", "unclear": "unclear"}

_LABELLED_FROM: Final = 0.5
"""No route serves what is less likely, so nobody will want to know what it would have been."""
_WAITING_AT_MOST: Final = 500
"""Some 5 MB."""
_STANDS_BACK_S: Final = 0.1
_CURATED_ANCHORS_AT_MOST: Final = 100
_LIKELY: Final = 0.6
"""A less likely question has perhaps only been refused in the words of a curated answer."""
_STEP_S: Final = 200e-6
"""After so much work requests go first;"""
_PATIENCE: Final = 32
"""so many rounds of the event loop a step waits for a quiet one."""
_BACKLOG: Final = 4
"""With so many answers waiting it waits for one round, and may then take as long as that: else it would get no more
than a step of each round of requests that never pause, however long their rounds are,"""
_ROUND_AT_MOST_S: Final = 0.01
"""but not so long that both take more than this."""
_QUIET_S: Final = 50e-6
"""A round that takes no longer had nothing else to do."""
_AHEAD: Final = 2
"""So many answers are with the encoder while one is compared with others."""


class Lesson(Struct, frozen=True):
    """A fresh answer from which something may be learnt."""

    ticket: Ticket
    answer: str
    founded: Entry | None = None
    """Its entry, if that founded a group of its own."""
    replaced: Collection[Entry] = ()
    """What it takes the place of. Forgotten once its group may have become the new entry's as well."""
    is_labelled: bool = False
    """Whether it is known already what it says of what was served."""


class Learning:
    """Learns from fresh answers. Call from one thread."""

    def __init__(
        self,
        holdings: Holdings,
        answers: Answers,
        trust: Trust,
        on_fault: Callable[[Exception], None],
        on_label: Callable[[Query, Judgement, Verdict], None],
        is_busy: Callable[[], bool],
    ) -> None:
        """`on_label` is told what a fresh answer says of the stored one that was not served instead. While `is_busy`
        there is too much to do for requests: what is to be learned waits."""
        assert holdings.neighbourhood is not None
        self._holdings = holdings
        self._neighbourhood = holdings.neighbourhood
        self._answers = answers
        answers.turn = self._turn
        self._trust = trust
        self._on_fault = on_fault
        self._on_label = on_label
        self._is_busy = is_busy
        self._is_settling = False
        self.skipped = 0
        """Fresh answers from which nothing was learned, because too many waited."""
        self._waiting: deque[Lesson] = deque()
        self._begun: deque[Lesson] = deque()
        """What is learned next; the encoder has the answers already."""
        self._worker: asyncio.Task[None] | None = None
        self._resumed_s = 0.0
        """When requests last went first, by this thread's processor time,"""
        self._step_s = _STEP_S
        """and how soon they do again."""

    def soon(self, lesson: Lesson) -> bool:
        """Learns in the background, once requests no longer want all of the processor; False if too much waits already:
        an answer that is linked with none is better than a queue that takes their memory."""
        if len(self._waiting) >= _WAITING_AT_MOST:
            self.skipped += 1
            return False
        self._waiting.append(msgspec.structs.replace(lesson, ticket=lesson.ticket.trimmed()))
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())
        return True

    async def settle(self, within_s: float | None = None) -> None:
        """Waits until everything that waits has been learnt; what has not been begun in time is skipped."""
        self._is_settling = True
        while self._worker is not None:
            done, _ = await asyncio.wait([self._worker], timeout=within_s)
            if not done:
                self.skipped += len(self._waiting)
                for lesson in self._waiting:
                    self._holdings.forget(lesson.replaced)
                self._waiting.clear()
                within_s = None
        self._is_settling = False

    async def _work(self) -> None:
        try:
            while self._waiting or self._begun:
                try:
                    await self._begin()
                    if self._begun:
                        await self._learn(self._begun.popleft())
                except Exception as error:  # noqa: BLE001  learning must never stop serving; counted by on_fault
                    self._on_fault(error)
        finally:
            self._worker = None

    async def _begin(self) -> None:
        """Hands answers to the encoder, so that its threads are at work while others are compared here."""
        while self._waiting and len(self._begun) <= _AHEAD:
            await self._turn()
            if not self._waiting:  # skipped meanwhile
                return
            lesson = self._waiting.popleft()
            if self._begun and lesson.founded is not None:
                self._answers.begin(lesson.answer)
            self._begun.append(lesson)

    async def _turn(self) -> None:
        """Lets requests go first, unless they just have: a step is up to a good part of a millisecond. Returns after a
        round of the event loop in which nobody else had anything to do, as while a text is encoded; or after so many
        that it cannot wait. The more answers wait, the sooner, and the longer it is until the next turn."""
        while self._is_busy() and not self._is_settling:  # noqa: ASYNC110  nobody says when that ends
            await asyncio.sleep(_STANDS_BACK_S)
        began = time.thread_time()
        if began - self._resumed_s < self._step_s:
            return
        urgency = min((len(self._waiting) + len(self._begun)) / _BACKLOG, 1.0)
        round_s = 0.0
        for _ in range(max(round(_PATIENCE * (1 - urgency)), 1)):
            await asyncio.sleep(0)
            self._resumed_s = time.thread_time()
            round_s = self._resumed_s - began
            if round_s < _QUIET_S:
                break
            began = self._resumed_s
        self._step_s = max(min(urgency * round_s, _ROUND_AT_MOST_S - round_s), _STEP_S)

    async def _learn(self, lesson: Lesson) -> None:
        """Links the answer with the group that says the same, if its entry founded one of its own, and forgets what
        it replaces; and says whether what would have been served was right."""
        ticket, answer = lesson.ticket, lesson.answer
        try:
            if lesson.founded is not None:
                await self._link(lesson.founded, answer, ticket.judgement)
                self._holdings.keep_scope(ticket.scope)
        finally:
            self._holdings.forget(lesson.replaced)
        judgement = ticket.judgement
        if judgement is None or judgement.group is None or lesson.is_labelled:
            return
        await self._turn()
        own = lesson.founded.group_id if lesson.founded is not None else None
        verdict = await self.verdict(judgement.group, answer, self._candidate(judgement), own)
        if verdict is None:
            return
        if judgement.neighbour is not None:
            self._trust.miss_labelled(ticket.query.route, ticket.query.policy, judgement, LABELS[verdict])
            if judgement.claim >= _LABELLED_FROM:
                self._on_label(ticket.query, judgement, verdict)
        if verdict != "unclear":
            self.teach(ticket, judgement, is_right=verdict == "same")
        if verdict == "same" and ticket.vector is not None and judgement.p >= _LIKELY:
            self._extend_curated(ticket, judgement.group, ticket.vector)

    # --- links ---

    async def _link(self, entry: Entry, answer: str, judgement: Judgement | None) -> None:
        vector = await self._answers.vector(answer)
        own = self._holdings.group(entry.group_id)
        if own is None:  # purged meanwhile
            return
        expected, p = None, 0.0
        if judgement is not None and judgement.group is not None and judgement.blocked_by is None:
            near = self._holdings.group(judgement.group)
            # A curated group is of another scope: it labels, and links nothing.
            if near is not None and near.scope == entry.scope:
                expected, p = near.id, judgement.p
        found = await self._answers.groups_of(entry.scope, answer, vector, expected, p)
        if self._holdings.group(own.id) is not own:
            return  # purged meanwhile
        found = [alike for alike in found if alike.group.id != own.id]
        if not found:
            self._holdings.describe(own.id, vector)
            return
        group = found[0].group
        self._holdings.merge(own, group)
        if found[0].is_wording:
            self._holdings.add_wording(group, own.id, answer, vector, found[0].strain)
        for other in (alike.group for alike in found[1:]):
            if await self._answers.may_merge(group, other) and self._are_known(group, other):
                self._merge(other, group)
        if fragments.is_due(len(group.anchors)):
            await self._join_fragments(group, answer, vector)

    async def _join_fragments(self, group: Group, answer: str, vector: Vector) -> None:
        """Makes this group one with others whose answers no comparison of words has linked with its own, where the
        same is asked of both and nothing speaks against it."""
        for other in await self._answers.unlinked(group, answer, vector):
            if not self._are_known(group, other):
                continue
            alike_from = await self._asked_alike(group, other)
            if alike_from is None or not await self._answers.may_be_fragments(group, other, alike_from):
                continue
            if self._are_known(group, other):
                self._merge(other, group, is_fragment=True)

    def _are_known(self, *groups: Group) -> bool:
        """None has gone meanwhile."""
        return all(self._holdings.group(each.id) is each for each in groups)

    async def _asked_alike(self, one: Group, two: Group) -> float | None:
        """How alike the answers of two groups have to be to make them one, if their questions lie among each other and
        ask for the same; else None. What is asked with another number, name or the opposite may be as near."""
        mixture = self._answers.mixture(one, two)
        if mixture is None or not mixture.may_be_one:
            return None
        asked = [*self._questions(one), *self._questions(two)]
        matched = 0
        for a, b in mixture.crossings:
            await self._turn()
            matched += difference(traits(asked[a]), traits(asked[b])) is None
        return mixture.alike_from if mixture.is_matched(matched) else None

    def _questions(self, group: Group) -> list[str]:
        """As they came, one for each anchor."""
        latest = self._neighbourhood.latest(group, fragments.COMPARED)
        known = [self._holdings.store.by_anchor(anchor_id) for anchor_id, _ in latest]
        return [found[0].text if found is not None else "" for found in known]

    def _merge(self, old: Group, new: Group, *, is_fragment: bool = False) -> None:
        """Makes two groups one, which is found by the wordings of both: those of a fragment remain strains of their
        own."""
        groups = self._neighbourhood.groups
        wordings = list(zip((old.id, *old.wordings), groups.wordings(old.id), strict=True))
        self._holdings.merge(old, new)
        for wording_id, wording in wordings:
            strain = new.id if wording.strain == old.id and not is_fragment else wording.strain
            self._holdings.add_wording(new, wording_id, wording.text, wording.vector, strain)

    def _extend_curated(self, ticket: Ticket, group_id: int, vector: Vector) -> None:
        """A fresh answer has agreed with a curated one that was near but not sure enough: its question becomes an
        anchor of the curated entry. That leads everybody there, so nobody does it alone where an answer is shared only
        after several have asked for it."""
        store = self._holdings.store
        entry = next((each for each in store.entries_of_group(group_id) if each.is_curated), None)
        if entry is None or not ticket.query.may_write or ticket.query.policy.min_askers > 1:
            return
        key = exact_key(entry.scope, ticket.text)
        if store.by_key(key) is None and len(store.anchors_of(entry.id)) < _CURATED_ANCHORS_AT_MOST:
            self._holdings.add_anchor(entry, key, ticket.text, vector)  # bounded, since nothing evicts them

    # --- labels ---

    def _candidate(self, judgement: Judgement) -> str | None:
        """The answer that would have been served."""
        anchor_id = judgement.neighbour.anchor_id if judgement.neighbour is not None else None
        found = self._holdings.store.by_anchor(anchor_id) if anchor_id is not None else None
        return self._holdings.answer(found[1].id) if found is not None else None

    async def verdict(self, group_id: int, answer: str, served: str | None, own: int | None = None) -> Verdict | None:
        """Whether a fresh answer, which may have founded the group `own`, says what was served of the group, or what
        the group says if that cannot be told; None if the group has gone. Groups keep the beginning of a long answer,
        which tells nothing of the rest."""
        group = self._holdings.group(group_id)
        if group is None:
            return None
        identity = self._answers.comparison.identity
        if identity(answer) == (identity(served) if served is not None else group.identity):
            self._answers.repeated(group)
            return "same"
        vector = await self._answers.vector(answer)
        if self._neighbourhood.groups.vector(group_id) is None:  # founded this moment, or for another encoder
            self._holdings.describe(group_id, await self._answers.vector(group.answer))
        if max(map(len, (answer, served or group.answer))) >= LONGEST_FOUNDER:
            verdict = await self._answers.verdict_in_full(answer, vector, served)
        else:
            verdict = await self._answers.verdict(group, answer, vector, served, own)
        return verdict if self._holdings.group(group_id) is group else None

    def teach(self, ticket: Ticket, judgement: Judgement, *, is_right: bool, weight: float = 1.0) -> None:
        """Lets the group and its scope know whether a judgement was right."""
        group = self._neighbourhood.learn(ticket.scope, judgement, is_right=is_right, weight=weight)
        self._holdings.keep_scope(ticket.scope)
        if group is not None:
            self._holdings.keep_evidence(group)
