"""What the cache holds: entries in the store, their anchors and groups in the neighbourhood, kept in step.

Everything that stores, forgets or regroups an entry does it through here. Knows neither requests nor what an answer
is worth; decides nothing.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

import msgspec

from cache.entries import Anchor, Entry, EntryStore, StoredGroup, StoredWording, matching
from cache.groups import LONGEST_FOUNDER, Evidence, Group
from cache.index import Vector
from cache.neighbourhood import Neighbourhood
from cache.query import ASKERS_AT_MOST

_PURGED_AT_ONCE: Final = 16
"""Some two milliseconds."""
_PURGES_REMEMBERED: Final = 1_000
_ASKED_REMEMBERED: Final = 10_000


class Holdings:
    """The entries of all scopes. Call from one thread. Without an encoder there is no neighbourhood."""

    def __init__(
        self,
        store: EntryStore,
        neighbourhood: Neighbourhood | None,
        encoder: str | None,
        now_us: Callable[[], int],
        read: Callable[[bytes], str | None],
    ) -> None:
        """`encoder` is the fingerprint of the vectors' space; `read` gives the text of a payload, if it has one."""
        self.store = store
        self.neighbourhood = neighbourhood
        self.encoder = encoder
        self._now_us = now_us
        self._read = read
        self.purges = 0
        """How many there have been: an answer from before one is not stored after it."""
        self._purged: deque[tuple[int, Callable[[Entry], bool]]] = deque(maxlen=_PURGES_REMEMBERED)
        """When there was a purge, in microseconds, and what it named."""
        self.leaving: set[str] = set()
        """Entries that a purge has named and not got to yet: nobody is served them, and while there are any, nothing
        new is stored that might be linked with them."""
        self.evicted = 0
        """How many entries have had to make room."""
        self.curated: dict[bytes, int] = {}
        """Curated scope -> how many entries it has."""
        self.refreshing: dict[str, int] = {}
        """Entry whose time is over -> when a fresh answer was last asked for, in microseconds."""
        self._asked_us: OrderedDict[str, int] = OrderedDict()
        """Entry -> when it was asked for, of those that were stored last."""

    def load(self) -> None:
        """Fills the memory from the file, at start."""
        anchors = list(self.store.load(self.encoder, self._now_us()))
        if self.neighbourhood is not None:
            for stored, vector in self.store.load_groups(self.encoder):
                evidence = msgspec.json.decode(stored.evidence, type=Evidence) if stored.evidence else Evidence()
                group = Group(stored.id, stored.scope, stored.identity, stored.answer, evidence)
                self.neighbourhood.groups.add(group, vector)
            for each, its_vector in self.store.load_wordings(self.encoder):
                if self.group(each.group_id) is not None:
                    self.neighbourhood.groups.add_wording(each.group_id, each.id, each.answer, its_vector, each.strain)
            self.neighbourhood.scopes.load(self.store.load_scopes())
        for entry in {entry.id: entry for _, entry, _ in anchors if entry.is_curated}.values():
            self._count_curated(entry)
        for anchor, entry, vector in anchors:
            if self.neighbourhood is not None and self.group(entry.group_id) is not None:
                self.neighbourhood.add(entry.scope, anchor.id, entry.group_id, vector)

    # --- groups ---

    def answer(self, entry_id: str) -> str | None:
        """The text of an entry; None if it has gone or cannot be told."""
        payload = self.store.payload(entry_id, is_hit=False)
        return self._read(payload) if payload is not None else None

    def group(self, group_id: int) -> Group | None:
        return self.neighbourhood.groups.get(group_id) if self.neighbourhood is not None else None

    def of_identity(self, scope: bytes, identity: bytes) -> Group | None:
        """The group that was founded by an answer that is equal but for case, space and punctuation."""
        return self.neighbourhood.groups.of_identity(scope, identity) if self.neighbourhood is not None else None

    def found(self, scope: bytes, identity: bytes, answer: str) -> int:
        """A new group, founded by this answer; its id."""
        group_id = self.store.next_group_id()
        if self.neighbourhood is not None:  # else nothing would ever look at it, nor take it away again
            founder = answer[:LONGEST_FOUNDER]
            self.store.put_group(StoredGroup(group_id, scope, identity, founder, self.encoder, b""), None)
            self.neighbourhood.groups.add(Group(group_id, scope, identity, founder), None)
        return group_id

    def describe(self, group_id: int, vector: Vector | None) -> None:
        """Keeps the vector of a group's founding answer, by which other answers find it. Neither an unknown group nor
        an unknown vector is an error."""
        group = self.group(group_id)
        if self.neighbourhood is None or group is None or vector is None:
            return
        self.neighbourhood.groups.describe(group_id, vector)
        evidence = msgspec.json.encode(group.evidence)
        stored = StoredGroup(group_id, group.scope, group.identity, group.answer, self.encoder, evidence)
        self.store.put_group(stored, vector)

    def add_wording(self, group: Group, wording_id: int, answer: str, vector: Vector, strain: int) -> None:
        """Another wording of what a group says, by which it is found and compared from now on, unless it has enough."""
        if self.neighbourhood is None or self.encoder is None:
            return
        if self.neighbourhood.groups.add_wording(group.id, wording_id, answer, vector, strain):
            stored = StoredWording(wording_id, group.id, strain, group.wordings[wording_id], self.encoder)
            self.store.put_wording(stored, vector)

    def merge(self, old: Group, new: Group) -> None:
        """Lets all that leads to one group lead to another; the old one goes."""
        assert self.neighbourhood is not None
        if old.evidence.offset < new.evidence.offset:  # what audits have charged either with stays charged
            new.evidence.offset = old.evidence.offset
            self.keep_evidence(new)
        entries = self.store.entries_of_group(old.id)
        askers = self.askers(new.id, *(asker for each in entries for asker in each.askers))
        for each in entries:
            self.store.replace(msgspec.structs.replace(each, group_id=new.id, askers=askers))
            for anchor in self.store.anchors_of(each.id):
                if self.neighbourhood.regroup(each.scope, anchor.id, old.id, new.id):
                    self.store.remove_group(old.id)

    def keep_evidence(self, group: Group) -> None:
        """Keeps what labels have shown of a group."""
        self.store.update_group(group.id, msgspec.json.encode(group.evidence))

    def keep_scope(self, scope: bytes) -> None:
        """Keeps what is known of a scope."""
        stored = self.neighbourhood.scopes.stored(scope) if self.neighbourhood is not None else None
        if stored is not None:
            self.store.save_scope(scope, stored)

    def askers(self, group_id: int, *askers: str) -> tuple[str, ...]:
        """Who has got this answer by asking for it themselves: these, and those of the whole group."""
        known = {each for entry in self.store.entries_of_group(group_id) for each in entry.askers}
        return tuple(sorted({*known, *askers} - {""}))[:ASKERS_AT_MOST]

    # --- entries ---

    def put(
        self,
        entry: Entry,
        key: bytes,
        text: str,
        payload: bytes,
        vector: Vector | None,
        older: tuple[Anchor, Entry] | None = None,
        *,
        asked_us: int = 0,
    ) -> Anchor:
        """Stores an entry, whose answer was asked for then, with its first anchor; what has to make room goes. Of an
        older one to which this text leads, all goes if the text is its own question, else it only loses the text."""
        if asked_us:
            self._asked_us[entry.id] = asked_us
            if len(self._asked_us) > _ASKED_REMEMBERED:
                self._asked_us.popitem(last=False)
        anchor, surplus = self.store.put(entry, key, text, payload, self.encoder, vector, self._now_us())
        if entry.is_curated:
            self._count_curated(entry)
        self._place(entry, anchor, vector)
        self.evicted += len(surplus)
        replaced: list[Entry] = []
        if older is not None and self.store.is_own_question(older[0]):
            replaced.append(older[1])
        elif older is not None:
            self._detach(*older)
        self.forget([*replaced, *surplus])
        return anchor

    def asked_us(self, entry_id: str) -> int:
        """When the answer of an entry was asked for, if it is one of those that were stored last; else 0."""
        return self._asked_us.get(entry_id, 0)

    def _detach(self, anchor: Anchor, entry: Entry) -> None:
        vector = self.neighbourhood.vector(entry.scope, anchor.id) if self.neighbourhood is not None else None
        self.store.remove_anchor(anchor, vector)
        if self.neighbourhood is not None:
            self.neighbourhood.remove(entry.scope, anchor.id, entry.group_id)

    def add_anchor(self, entry: Entry, key: bytes, text: str, vector: Vector | None) -> Anchor | None:
        """Another prompt that leads to this entry; None if the entry is gone."""
        anchor = self.store.add_anchor(entry.id, key, text, self.encoder, vector)
        if anchor is not None:
            self._place(entry, anchor, vector)
        return anchor

    def _place(self, entry: Entry, anchor: Anchor, vector: Vector | None) -> None:
        if self.neighbourhood is not None and self.group(entry.group_id) is not None:
            self.neighbourhood.add(entry.scope, anchor.id, entry.group_id, vector, anchor.text)

    def _count_curated(self, entry: Entry) -> None:
        self.curated[entry.scope] = self.curated.get(entry.scope, 0) + 1

    def set_aside(self, entries: Iterable[Entry]) -> None:
        """Nobody is served these any more; their anchors go on speaking for their group until they are forgotten."""
        for entry in entries:
            for anchor in self.store.anchors_of(entry.id):
                self.store.quarantine(anchor.id, True)

    def forget(self, entries: Iterable[Entry]) -> None:
        """Deletes entries with all their anchors, and the groups that have no other. Absent ones are no error."""
        # As they are now: their group may have become another one meanwhile.
        gone = {each.id: now for each in entries if (now := self.store.entry(each.id)) is not None}
        for entry in gone.values():
            self.refreshing.pop(entry.id, None)
            self._asked_us.pop(entry.id, None)
            if entry.is_curated:
                left = self.curated.pop(entry.scope, 0) - 1
                if left > 0:
                    self.curated[entry.scope] = left
        for anchor in self.store.remove(gone.values()):
            entry = gone[anchor.entry_id]
            if self.neighbourhood is not None and self.neighbourhood.remove(entry.scope, anchor.id, entry.group_id):
                self.store.remove_group(entry.group_id)

    def purge(self, **equal: Any) -> int:
        """Forgets every entry that matches all that is given; how many. Answers on their way are not stored."""
        return sum(self.purging(**equal))

    def purging(self, **equal: Any) -> Generator[int]:
        """As `purge`, some at a time: how many they were. From the first time on all of them are `leaving`; if it is
        closed before its end, those that are left go at once."""
        self.purges += 1
        given = {name: value for name, value in equal.items() if value is not None}
        self._purged.append((self._now_us(), matching(**given)))
        named = self.store.select(**given)
        self.leaving.update(entry.id for entry in named)
        at = 0
        try:
            while at < len(named):
                part = named[at : at + _PURGED_AT_ONCE]
                self._let_go(part)
                at += len(part)
                yield len(part)
        finally:
            self._let_go(named[at:])
            if self.neighbourhood is None:  # which would tell what groups have gone with them
                self.store.remove_empty_groups()
            if given:
                self.store.forget_doubts(named)
            if given.keys() <= {"team", "route"}:  # which doubts name too: some are about what was replaced before
                self.store.forget_doubts_of(given.get("team"), given.get("route"))
            self.store.hurry()  # what was taken back must not come again with the next start

    def named_since(self, since_us: int) -> Callable[[Entry], bool]:
        """Whether a purge after this moment has named such an entry; any, if there have been too many to remember."""
        if len(self._purged) == _PURGES_REMEMBERED and self._purged[0][0] > since_us:
            return lambda _: True
        named = [is_named for at_us, is_named in self._purged if at_us > since_us]
        return lambda entry: any(is_named(entry) for is_named in named)

    def _let_go(self, entries: list[Entry]) -> None:
        self.forget(entries)
        self.leaving.difference_update(entry.id for entry in entries)

    def statistics(self) -> dict[str, int]:
        neighbourhood = self.neighbourhood
        return {
            "entries": len(self.store),
            "bytes": self.store.bytes,
            "vectors": len(neighbourhood) if neighbourhood is not None else 0,
            "groups": len(neighbourhood.groups) if neighbourhood is not None else 0,
            "curated": sum(self.curated.values()),
        }

    def close(self) -> None:
        self.store.close()
        if self.neighbourhood is not None:
            self.neighbourhood.close()
