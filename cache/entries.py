"""Stored answers: in SQLite for good, and in memory what a lookup needs.

Memory holds entries and anchors without payloads (of which only the recently served stay) and, of answer groups,
which entries belong to them and how large they are; their texts and vectors are in the file and with the caller.
Bounded in number and in bytes; what has expired goes first, then what saves least per byte, curated entries never, as
long as they are of their route's knowledge version.

Writing happens in a thread of its own, in groups, and nobody waits for it: what a killed process loses is what came
last. While the file cannot be written (locked, disk full), new entries live in memory only and are counted; what
takes something back (a removal, a quarantine, an earlier expiry) is kept and tried again.

Refuses to know what an answer, a certificate or an evidence says, and what a hit is worth in money.
"""

import sys
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any, Final, Literal

import msgspec
import numpy as np
import sqlalchemy as sa
from msgspec import Struct, structs

from cache import tables
from cache.index import Vector
from cache.members import Members, joined, left
from cache.query import ASKERS_AT_MOST
from cache.ranking import Expiries, Ranking
from cache.writing import OWED_AGAIN_S, PAUSES_S, Change, Rows, Writer

Verdict = Literal["wrong", "unclear"]
Ruling = Literal["right", "wrong"]

TEXT_AT_MOST: Final = 4_000
"""Characters of an answer that a group or a doubt keeps; of a question in a doubt likewise."""
DOUBTS_AT_MOST: Final = 10_000
SCOPES_AT_MOST: Final = 10_000

_EXPORTED_AT_ONCE: Final = 64
_ASKED_AT_ONCE: Final = 1000
_LEAVING_AT_ONCE: Final = 64
"""So many entries make room for one at most."""
_RULINGS_REMEMBERED: Final = 1_000


class Facts(Struct, frozen=True, gc=False):
    """What is known of a stored answer, in whichever cache it lies. Times in microseconds since the epoch."""

    id: str
    scope: bytes
    team: str
    env: str
    route: str
    shared: str | None
    """Name of the group of teams that share it; None = the team's own."""
    model: str
    tier: int
    is_rationed: bool
    output_tokens: int
    created_us: int
    expires_us: int
    knowledge_version: str
    tags: tuple[str, ...]
    """Sorted, each once; the store sees to it."""
    is_curated: bool
    source: str
    """Where it is from: a request's id, or `faq.csv:12`."""
    writer: str
    """The app that wrote it."""
    askers: tuple[str, ...]
    """Hashes of distinct end users who were given this answer by asking upstream; the first `ASKERS_AT_MOST`."""
    worth: int
    """What one hit saves, in a unit that only the caller knows."""


class Entry(Facts, frozen=True, gc=False):
    """A stored answer without its payload."""

    group_id: int
    """Equal for entries whose answers say the same."""


class Anchor(Struct, frozen=True, gc=False):
    """A prompt that leads to an entry."""

    id: int
    entry_id: str
    exact_key: bytes
    text: str
    is_quarantined: bool = False


class StoredGroup(Struct, frozen=True):
    """An answer group as the file has it, without its vector."""

    id: int
    scope: bytes
    identity: bytes
    """Hash of the founder's normalised answer."""
    answer: str
    """The first `TEXT_AT_MOST` characters of the founder's answer."""
    encoder: str | None
    """The vector space of its vector; None without one."""
    evidence: bytes


class StoredWording(Struct, frozen=True):
    """Another answer that says what a group says, as the file has it, without its vector."""

    id: int
    group_id: int
    strain: int
    answer: str
    encoder: str


class Doubt(Struct, frozen=True):
    """A hit whose audit did not say "same"."""

    id: int
    at_us: int
    route: str
    team: str
    anchor_id: int
    entry_id: str
    group_id: int
    request_id: str
    asked: str
    stored_question: str
    stored_answer: str
    fresh_answer: str
    p: float
    verdict: Verdict
    ruling: Ruling | None
    """What a person said of the hit; None while it is open."""


def matching(
    *, tag: str | None = None, is_curated: bool | None = None, **equal: str | int | None
) -> Callable[[Entry], bool]:
    """Whether an entry has this tag, and these values of its attributes; None means any."""
    wanted = {name: value for name, value in equal.items() if value is not None}
    if is_curated is not None:
        wanted["is_curated"] = is_curated

    def is_wanted(entry: Entry) -> bool:
        return (tag is None or tag in entry.tags) and all(
            getattr(entry, name) == value for name, value in wanted.items()
        )

    return is_wanted


class EntryStore:
    """What one SQLite file holds. Call from one thread; `close` writes what waits."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        max_entries: int,
        max_bytes: int,
        payload_bytes: int,
        on_error: Callable[[Exception], None],
        pauses_s: Sequence[float] = PAUSES_S,
        again_s: float = OWED_AGAIN_S,
    ) -> None:
        """`max_bytes` bounds payloads, texts and vectors in the file, `payload_bytes` the payloads in memory.
        `on_error` is called in this thread or in the writer's. `pauses_s` lie between the tries to write a group;
        what is still owed then is tried again with the next group, or after `again_s`."""
        self._engine = engine
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[str, Entry] = {}
        self._anchors: dict[int, Anchor] = {}
        self._anchors_of: dict[str, tuple[int, ...]] = {}
        self._by_key: dict[bytes, int] = {}
        self._members: dict[int, Members[str]] = {}
        self._group_bytes: dict[int, int] = {}
        self._wording_bytes: dict[int, int] = {}
        """Group -> how much its other wordings take."""
        self._groups_put_again: set[int] = set()
        """Of these an older state may be in the file while the newest one waits to be written."""
        self._all_group_bytes = 0
        self._ranking = Ranking()
        self._versions: dict[str, str] = {}
        self._expiries = Expiries()
        self._payloads = _RecentPayloads(payload_bytes)
        self._memory_only: set[str] = set()
        self._doubted = 0
        self._rulings: OrderedDict[int, Ruling] = OrderedDict()
        """What people said last, which may not be in the file yet."""
        # Ids in doubts count: what a person rules on must not have become something else by then.
        with engine.connect() as connection:
            self._next_anchor = _highest(connection, tables.anchors.c.id, tables.doubts.c.anchor_id) + 1
            groups = tables.groups.c.id, tables.entries.c.group_id, tables.doubts.c.group_id, tables.wordings.c.id
            self._next_group = _highest(connection, *groups) + 1
        self._writer = Writer(engine, on_error, pauses_s, again_s)

    # --- at start ---

    def load(self, encoder: str | None, now_us: int) -> Iterator[tuple[Anchor, Entry, Vector | None]]:
        """Reads the file at start: every anchor that has not expired, with its vector if it is of the vector
        space that `encoder` names. Expired entries are deleted."""
        with self._engine.begin() as connection:
            connection.execute(tables.entries.delete().where(tables.entries.c.expires_us <= now_us))
            connection.execute(_DELETE_ANCHORS_OF_NOTHING)
        scopes: dict[bytes, bytes] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(_SELECT_ENTRIES).mappings():
                values = dict(row)
                size = values.pop("payload_bytes")
                values["scope"] = scopes.setdefault(values["scope"], values["scope"])
                for name in ("tags", "askers"):
                    values[name] = msgspec.json.decode(values[name], type=tuple[str, ...])
                self._keep(_tidied(Entry(**values)), size)
            stored = connection.execution_options(yield_per=1000).execute(
                sa.select(tables.anchors).order_by(tables.anchors.c.id)
            )
            for found in stored:
                if (owner := self._entries.get(found.entry_id)) is None:
                    continue
                anchor = Anchor(found.id, owner.id, found.exact_key, found.text, found.is_quarantined)
                self._remember(anchor)
                self._ranking.grow(owner.id, _utf8_bytes(anchor.text) + len(found.vector or b""))
                yield anchor, owner, _vector(found.vector, found.encoder, encoder)

    def load_groups(self, encoder: str | None) -> Iterator[tuple[StoredGroup, Vector | None]]:
        """Reads, after `load`, every group that an entry still names, with its vector as in `load`; the others are
        deleted. An entry may name a group that never reached the file."""
        with self._engine.begin() as connection:
            for statement in _DELETE_EMPTY_GROUPS:
                connection.execute(statement)
        with self._engine.connect() as connection:
            stored = connection.execution_options(yield_per=1000).execute(
                sa.select(tables.groups).order_by(tables.groups.c.id)
            )
            for found in stored:
                group = StoredGroup(found.id, found.scope, found.identity, found.answer, found.encoder, found.evidence)
                self._weigh_group(group, len(found.vector or b""))
                yield group, _vector(found.vector, found.encoder, encoder)

    def load_wordings(self, encoder: str | None) -> Iterator[tuple[StoredWording, Vector]]:
        """Reads, after `load_groups`, the other wordings of all groups, in the order in which they came; those of
        another vector space stay in the file unread."""
        with self._engine.connect() as connection:
            stored = connection.execution_options(yield_per=1000).execute(
                sa.select(tables.wordings).order_by(tables.wordings.c.id)
            )
            for found in stored:
                wording = StoredWording(found.id, found.group_id, found.strain, found.answer, found.encoder)
                self._weigh_wording(wording, len(found.vector))
                vector = _vector(found.vector, found.encoder, encoder)
                if vector is not None:
                    yield wording, vector

    def load_scopes(self) -> dict[bytes, bytes]:
        """Scope -> evidence, after `load`, of the scopes that have entries, the last saved last; what is known of other
        ones is deleted."""
        used = {entry.scope for entry in self._entries.values()}
        with self._engine.begin() as connection:
            known = {row.scope: row.evidence for row in connection.execute(_SELECT_SCOPES)}
            unused = [{"gone": scope} for scope in known.keys() - used]
            if unused:
                connection.execute(_DELETE_SCOPE, unused)
        return {scope: evidence for scope, evidence in known.items() if scope in used}

    # --- reading ---

    def by_key(self, key: bytes) -> tuple[Anchor, Entry] | None:
        """The newest anchor that was stored for exactly this key, quarantined or not, and its entry."""
        anchor_id = self._by_key.get(key)
        return self.by_anchor(anchor_id) if anchor_id is not None else None

    def by_anchor(self, anchor_id: int) -> tuple[Anchor, Entry] | None:
        anchor = self._anchors.get(anchor_id)
        return (anchor, self._entries[anchor.entry_id]) if anchor is not None else None

    def entry(self, entry_id: str) -> Entry | None:
        return self._entries.get(entry_id)

    def anchors_of(self, entry_id: str) -> list[Anchor]:
        """The prompts that lead to this entry, oldest first; none for an unknown one."""
        return [self._anchors[anchor_id] for anchor_id in self._anchors_of.get(entry_id, ())]

    def entries_of_group(self, group_id: int) -> list[Entry]:
        """None for an unknown one."""
        return [self._entries[entry_id] for entry_id in self._members.get(group_id, ())]

    def payload(self, entry_id: str, *, is_hit: bool = True) -> bytes | None:
        """The payload, from memory or the file; None if it is in neither. Of a hit it marks the entry as used."""
        if entry_id not in self._entries:
            return None
        if is_hit:
            self._ranking.hit(entry_id)
        payload = self._payloads.get(entry_id)
        if payload is None:
            with self._engine.connect() as connection:
                payload = connection.scalar(_SELECT_PAYLOAD, {"wanted": entry_id})
            if payload is not None:
                self._payloads.put(entry_id, payload)
        return payload

    def select(
        self, *, tag: str | None = None, is_curated: bool | None = None, **equal: str | int | None
    ) -> list[Entry]:
        """Entries that have this tag and whose attributes have these values (`team="support"`: any of team, env,
        route, shared, id, group_id, knowledge_version, writer, source); None means any. Oldest first."""
        entry_id, group_id = equal.get("id"), equal.get("group_id")
        if isinstance(entry_id, str):
            among = [self._entries[entry_id]] if entry_id in self._entries else []
        elif isinstance(group_id, int):
            among = self.entries_of_group(group_id)
        else:
            among = list(self._entries.values())
        is_wanted = matching(tag=tag, is_curated=is_curated, **equal)
        return [entry for entry in among if is_wanted(entry)]

    def export(self) -> Iterator[dict[str, Any]]:
        """Each entry with `payload`, `answer` (its group's, None if the file lacks it) and `anchors` (text,
        exact_key, is_quarantined). Reads the file: what is not written yet is left out, so `flush` before. May be
        iterated in another thread; what is removed meanwhile is left out from then on."""
        wanted = list(self._entries)
        for start in range(0, len(wanted), _EXPORTED_AT_ONCE):
            part = wanted[start : start + _EXPORTED_AT_ONCE]
            with self._engine.connect() as connection:
                rows = {row.id: row for row in connection.execute(_SELECT_EXPORTED, {"wanted": part})}
            for entry_id in part:
                entry, row = self._entries.get(entry_id), rows.get(entry_id)
                if entry is None or row is None:
                    continue
                anchors = [
                    {"text": anchor.text, "exact_key": anchor.exact_key, "is_quarantined": anchor.is_quarantined}
                    for anchor_id in self._anchors_of.get(entry_id, ())
                    if (anchor := self._anchors.get(anchor_id)) is not None
                ]
                if anchors:  # else it goes this moment
                    yield {**structs.asdict(entry), "payload": row.payload, "answer": row.answer, "anchors": anchors}

    def __len__(self) -> int:
        return len(self._entries)

    # --- entries and anchors ---

    def put(
        self,
        entry: Entry,
        exact_key: bytes,
        text: str,
        payload: bytes,
        encoder: str | None,
        vector: Vector | None,
        now_us: int = 0,
    ) -> tuple[Anchor, list[Entry]]:
        """Stores an entry with its first anchor. Returns the anchor, and what has to go to make room, some dozens at
        most and what has expired by `now_us` before all else; the caller `remove`s those. The entry itself is among
        them only if there is no room for it beside the curated ones. Raises ValueError for an id that is stored
        already."""
        if entry.id in self._entries:
            raise ValueError(f"entry {entry.id} is stored already")
        entry = _tidied(entry)
        anchor = Anchor(self._next_anchor, entry.id, exact_key, text)
        self._keep(entry, len(payload) + _anchor_bytes(anchor, vector))
        self._remember(anchor)
        self._payloads.put(entry.id, payload)
        anchor_row = _anchor_row(anchor, encoder, vector)
        size = len(payload) + len(text) + len(anchor_row["vector"] or b"")
        is_waiting = self._writer.add(
            Change(("put", entry.id), _PUT, ([_entry_row(entry, payload)], [anchor_row]), size=size)
        )
        if not is_waiting:
            self._memory_only.add(entry.id)
        return anchor, self._surplus(entry, now_us)

    def add_anchor(
        self, entry_id: str, exact_key: bytes, text: str, encoder: str | None, vector: Vector | None
    ) -> Anchor | None:
        """Another prompt that leads to this entry; None if the entry is gone."""
        if (entry := self._entries.get(entry_id)) is None:
            return None
        anchor = Anchor(self._next_anchor, entry.id, exact_key, text)
        self._remember(anchor)
        self._ranking.grow(entry.id, _anchor_bytes(anchor, vector))
        row = _anchor_row(anchor, encoder, vector)
        size = len(text) + len(row["vector"] or b"")
        self._writer.add(Change(("put anchor", anchor.id), _PUT_ANCHOR, ([row],), size=size))
        return anchor

    def replace(self, entry: Entry) -> Entry | None:
        """Takes over tags, created_us, expires_us, source, askers and group_id; the other attributes stay as they are
        stored. Returns the entry as it is now; None if it is gone."""
        stored = self._entries.get(entry.id)
        if stored is None:
            return None
        changed = _tidied(
            structs.replace(
                stored,
                tags=entry.tags,
                created_us=entry.created_us,
                expires_us=entry.expires_us,
                source=entry.source,
                askers=entry.askers,
                group_id=entry.group_id,
            )
        )
        if changed == stored:
            return stored
        self._entries[entry.id] = changed
        if changed.group_id != stored.group_id:
            self._leave_group(stored)
            self._join_group(changed)
        self._expiries.drop(stored.id, stored.expires_us)
        self._expiries.add(changed.id, changed.expires_us)
        row = {
            "wanted": changed.id,
            "new_tags": _json(changed.tags),
            "new_created_us": changed.created_us,
            "new_expires_us": changed.expires_us,
            "new_source": changed.source,
            "new_askers": _json(changed.askers),
            "new_group_id": changed.group_id,
        }
        self._writer.add(Change(("entry", changed.id), _UPDATE_ENTRY, ([row],), is_kept=True))
        return changed

    def regroup(self, entry_id: str, group_id: int) -> Entry | None:
        """As `replace`, for the group alone."""
        stored = self._entries.get(entry_id)
        return self.replace(structs.replace(stored, group_id=group_id)) if stored is not None else None

    def quarantine(self, anchor_id: int, is_quarantined: bool) -> Anchor | None:
        """Marks the anchor, or takes the mark off. Returns it as it is now; None if it is gone."""
        stored = self._anchors.get(anchor_id)
        if stored is None or stored.is_quarantined == is_quarantined:
            return stored
        anchor = self._anchors[anchor_id] = structs.replace(stored, is_quarantined=is_quarantined)
        row = {"wanted": anchor_id, "new_is_quarantined": is_quarantined}
        self._writer.add(Change(("anchor", anchor_id), _UPDATE_ANCHOR, ([row],), is_kept=True))
        return anchor

    def is_own_question(self, anchor: Anchor) -> bool:
        """Whether its entry was stored with this prompt; what leads there besides was added later."""
        return self._anchors_of[anchor.entry_id][0] == anchor.id

    def remove_anchor(self, anchor: Anchor, vector: Vector | None) -> None:
        """Lets a prompt lead to its entry no more; the entry stays, and must have another. `vector` is the anchor's.
        An absent one is no error."""
        if self._anchors.pop(anchor.id, None) is None:
            return
        self._anchors_of[anchor.entry_id] = tuple(
            each for each in self._anchors_of[anchor.entry_id] if each != anchor.id
        )
        if self._by_key.get(anchor.exact_key) == anchor.id:
            del self._by_key[anchor.exact_key]
        self._ranking.grow(anchor.entry_id, -_anchor_bytes(anchor, vector))
        cancelled = self._writer.cancel([("put anchor", anchor.id), ("anchor", anchor.id)])
        if ("put anchor", anchor.id) not in cancelled:
            self._writer.add(Change(("no anchor", anchor.id), _DELETE_ANCHOR, ([{"gone": anchor.id}],), is_kept=True))

    def remove(self, entries: Iterable[Entry]) -> list[Anchor]:
        """Deletes entries with all their anchors; returns the anchors. Absent ones are no error. A group stays,
        also one that no entry names any more."""
        gone: list[Anchor] = []
        ids: list[str] = []
        for entry_id in [entry.id for entry in entries]:
            stored = self._entries.pop(entry_id, None)
            if stored is None:
                continue
            ids.append(entry_id)
            self._leave_group(stored)
            self._ranking.drop(entry_id)
            self._expiries.drop(entry_id, stored.expires_us)
            self._payloads.drop(entry_id)
            for anchor_id in self._anchors_of.pop(entry_id, ()):
                anchor = self._anchors.pop(anchor_id)
                if self._by_key.get(anchor.exact_key) == anchor_id:
                    del self._by_key[anchor.exact_key]
                gone.append(anchor)
        about_entries: list[Hashable] = [(what, entry_id) for what in ("put", "entry") for entry_id in ids]
        about_anchors: list[Hashable] = [(what, a.id) for what in ("put anchor", "anchor") for a in gone]
        cancelled = self._writer.cancel(about_entries + about_anchors)
        # What never reached the file need not be deleted from it: else deletes would pile up while it is locked.
        rows = [
            {"gone": entry_id}
            for entry_id in ids
            if ("put", entry_id) not in cancelled and entry_id not in self._memory_only
        ]
        self._memory_only.difference_update(ids)
        if rows:
            self._writer.add(Change(object(), _DELETE, (rows, rows), is_kept=True))
        return gone

    # --- groups ---

    def next_group_id(self) -> int:
        """An id that no group, entry or doubt has had in this file, as far as the file still tells."""
        self._next_group += 1
        return self._next_group - 1

    def put_group(self, group: StoredGroup, vector: Vector | None) -> None:
        """Stores a group, in the place of an older one of that id; its answer is cut to `TEXT_AT_MOST` characters."""
        group = structs.replace(
            group, answer=group.answer[:TEXT_AT_MOST], encoder=group.encoder if vector is not None else None
        )
        self._next_group = max(self._next_group, group.id + 1)
        row = structs.asdict(group) | {"vector": _stored(vector)}
        if group.id in self._group_bytes:
            self._groups_put_again.add(group.id)
        size = self._weigh_group(group, len(row["vector"] or b""))
        change = Change(("put group", group.id), _PUT_GROUP, ([{"gone": group.id}], [row]), size=size)
        if self._writer.add(change):
            self._writer.cancel([("group", group.id)])  # an evidence from before this one

    def update_group(self, group_id: int, evidence: bytes) -> None:
        """An absent group is no error."""
        row = {"wanted": group_id, "new_evidence": evidence}
        self._writer.add(Change(("group", group_id), _UPDATE_GROUP, ([row],), is_kept=True))

    def remove_group(self, group_id: int) -> None:
        """Deletes the group with its wordings; its entries stay. An absent one is no error."""
        wording_bytes = self._wording_bytes.pop(group_id, 0)
        self._all_group_bytes -= self._group_bytes.pop(group_id, 0) + wording_bytes
        cancelled = self._writer.cancel([("put group", group_id), ("group", group_id)])
        if wording_bytes or group_id in self._groups_put_again or ("put group", group_id) not in cancelled:
            self._groups_put_again.discard(group_id)
            rows = [{"gone": group_id}]
            self._writer.add(Change(("no group", group_id), _DELETE_GROUP, (rows, rows), is_kept=True))

    def put_wording(self, wording: StoredWording, vector: Vector) -> None:
        """Stores another wording of a group, in the place of an older one of that id."""
        row = structs.asdict(wording) | {"vector": _stored(vector)}
        size = self._weigh_wording(wording, len(row["vector"]))
        change = Change(("wording", wording.id), _PUT_WORDING, ([{"gone": wording.id}], [row]), size=size)
        self._writer.add(change)

    def save_scope(self, scope: bytes, evidence: bytes) -> None:
        """Takes the place of what was known of the scope. Only the `SCOPES_AT_MOST` that were saved last are kept."""
        rows: tuple[Rows, ...] = ([{"gone": scope}], [{"scope": scope, "evidence": evidence}], [{}])
        self._writer.add(Change(("scope", scope), _SAVE_SCOPE, rows, is_kept=True))

    def remove_empty_groups(self) -> None:
        """Deletes from the file every group that no entry in it names, with its texts: for caches that keep none in
        memory."""
        self._writer.add(Change(object(), _DELETE_EMPTY_GROUPS, ([{}], [{}]), is_kept=True))

    # --- certificates ---

    def save_certificate(self, route: str, snapshot: bytes, now_us: int) -> None:
        """Takes the place of the route's older one."""
        row = {"route": route, "snapshot": snapshot, "saved_us": now_us}
        change = Change(("certificate", route), _SAVE_CERTIFICATE, ([{"gone": route}], [row]), is_kept=True)
        self._writer.add(change)

    def load_certificates(self) -> dict[str, bytes]:
        """Route -> snapshot, from the file."""
        with self._engine.connect() as connection:
            return {row.route: row.snapshot for row in connection.execute(_SELECT_CERTIFICATES)}

    def remove_certificate(self, route: str) -> None:
        """An absent one is no error."""
        change = Change(("certificate", route), _DELETE_CERTIFICATE, ([{"gone": route}],), is_kept=True)
        self._writer.add(change)

    # --- doubts ---

    def add_doubt(
        self,
        *,
        at_us: int,
        route: str,
        team: str,
        anchor_id: int,
        entry_id: str,
        group_id: int,
        request_id: str,
        asked: str,
        stored_question: str,
        stored_answer: str,
        fresh_answer: str,
        p: float,
        verdict: Verdict,
    ) -> None:
        """Lists a hit for a person to judge. Texts are cut to `TEXT_AT_MOST` characters; the newest
        `DOUBTS_AT_MOST` doubts are kept."""
        row = {
            "at_us": at_us,
            "route": route,
            "team": team,
            "anchor_id": anchor_id,
            "entry_id": entry_id,
            "group_id": group_id,
            "request_id": request_id,
            "asked": asked[:TEXT_AT_MOST],
            "stored_question": stored_question[:TEXT_AT_MOST],
            "stored_answer": stored_answer[:TEXT_AT_MOST],
            "fresh_answer": fresh_answer[:TEXT_AT_MOST],
            "p": p,
            "verdict": verdict,
        }
        size = sum(len(text) for text in row.values() if isinstance(text, str))
        self._doubted += 1
        self._writer.add(Change(("doubt", self._doubted), _ADD_DOUBT, ([row], [{}]), size=size))

    def doubts(self, route: str | None = None, limit: int = 100, only_open: bool = True) -> list[Doubt]:
        """From the file, newest first; `only_open` = those without a ruling."""
        wanted = sa.select(tables.doubts).order_by(tables.doubts.c.id.desc()).limit(limit)
        if route is not None:
            wanted = wanted.where(tables.doubts.c.route == route)
        if only_open:
            wanted = wanted.where(tables.doubts.c.ruling.is_(None))
        with self._engine.connect() as connection:
            found = [self._ruled(Doubt(**row)) for row in connection.execute(wanted).mappings()]
        return [doubt for doubt in found if not only_open or doubt.ruling is None]

    def doubt(self, doubt_id: int) -> Doubt | None:
        """From the file, as it was ruled on since; None if there is none of that id."""
        with self._engine.connect() as connection:
            row = connection.execute(_SELECT_DOUBT, {"wanted": doubt_id}).mappings().one_or_none()
        return self._ruled(Doubt(**row)) if row is not None else None

    def is_condemned(self, anchor_id: int) -> bool:
        """Whether a hit that this prompt has served stands as wrong: by a person's word, or by an audit's that nobody
        has overruled. From the file, as it was ruled on since."""
        with self._engine.connect() as connection:
            rows = connection.execute(_SELECT_DOUBTS_OF_ANCHOR, {"wanted": anchor_id}).all()
        return any((self._rulings.get(row.id, row.ruling) or row.verdict) == "wrong" for row in rows)

    def _ruled(self, doubt: Doubt) -> Doubt:
        return structs.replace(doubt, ruling=self._rulings.get(doubt.id, doubt.ruling))

    def forget_doubts(self, entries: Iterable[Entry]) -> None:
        """Deletes the doubts about these entries, with their texts."""
        if rows := [{"gone": entry.id} for entry in entries]:
            self._writer.add(Change(object(), _DELETE_DOUBTS_ABOUT, (rows,), is_kept=True))

    def forget_doubts_of(self, team: str | None, route: str | None) -> None:
        """Deletes the doubts about hits of this team and route, whether or not what was served is still stored; None =
        of any."""
        row = {"of_team": team, "of_route": route}
        self._writer.add(Change(object(), _DELETE_DOUBTS_OF, ([row],), is_kept=True))

    def rule(self, doubt_id: int, ruling: Ruling) -> Doubt | None:
        """Writes down what a person said. Returns the doubt as it is now; None if there is none of that id."""
        doubt = self.doubt(doubt_id)
        if doubt is None:
            return None
        self._rulings[doubt_id] = ruling
        self._rulings.move_to_end(doubt_id)
        if len(self._rulings) > _RULINGS_REMEMBERED:
            self._rulings.popitem(last=False)
        change = {"wanted": doubt_id, "new_ruling": ruling}
        self._writer.add(Change(("ruling", doubt_id), _RULE, ([change],), is_kept=True))
        self._writer.hurry()
        return structs.replace(doubt, ruling=ruling)

    # --- the file ---

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be written that whoever can wait should `flush` before more is stored."""
        return self._writer.is_behind

    def flush(self) -> None:
        """Waits until everything is in the file, or has failed and was counted."""
        self._writer.flush()

    def written(self, entry_ids: Sequence[str]) -> set[str]:
        """Those of these that are in the file, after a `flush`. May be called in another thread."""
        self.flush()
        found: set[str] = set()
        with self._engine.connect() as connection:
            for start in range(0, len(entry_ids), _ASKED_AT_ONCE):
                part = entry_ids[start : start + _ASKED_AT_ONCE]
                found.update(connection.scalars(_SELECT_WRITTEN, {"wanted": part}))
        return found

    def hurry(self) -> Future[bool]:
        """Lets what waits be written at once; returns before it is. Tells then whether nothing that takes something
        back is still owed to the file."""
        return self._writer.hurry()

    @property
    def refused(self) -> int:
        """How many such changes the file has refused for good, as a broken one does."""
        return self._writer.refused

    def close(self) -> None:
        """Writes what waits. What takes something back and cannot be written is reported as `Unwritten`."""
        self._writer.close()

    # --- memory ---

    def _keep(self, entry: Entry, size: int) -> None:
        self._entries[entry.id] = entry
        self._ranking.add(entry.id, entry.worth, size, stays=self._stays(entry))
        self._expiries.add(entry.id, entry.expires_us)
        self._join_group(entry)

    def _remember(self, anchor: Anchor) -> None:
        self._anchors[anchor.id] = anchor
        self._anchors_of[anchor.entry_id] = (*self._anchors_of.get(anchor.entry_id, ()), anchor.id)
        self._by_key[anchor.exact_key] = anchor.id
        self._next_anchor = max(self._next_anchor, anchor.id + 1)

    def _join_group(self, entry: Entry) -> None:
        self._members[entry.group_id] = joined(self._members.get(entry.group_id, ()), entry.id)
        self._next_group = max(self._next_group, entry.group_id + 1)

    def _leave_group(self, entry: Entry) -> None:
        others = left(self._members[entry.group_id], entry.id)
        if others:
            self._members[entry.group_id] = others
        else:
            del self._members[entry.group_id]

    def _weigh_group(self, group: StoredGroup, vector_bytes: int) -> int:
        size = _utf8_bytes(group.answer) + vector_bytes
        self._all_group_bytes += size - self._group_bytes.get(group.id, 0)
        self._group_bytes[group.id] = size
        return size

    def _weigh_wording(self, wording: StoredWording, vector_bytes: int) -> int:
        size = _utf8_bytes(wording.answer) + vector_bytes
        self._all_group_bytes += size
        self._wording_bytes[wording.group_id] = self._wording_bytes.get(wording.group_id, 0) + size
        return size

    def bound(self, max_entries: int, max_bytes: int) -> None:
        """Other bounds, as at the beginning. What is too much leaves while the next answers are stored, some with each:
        all at once would keep requests waiting for seconds."""
        self._max_entries, self._max_bytes = max_entries, max_bytes

    def know_versions(self, versions: Mapping[str, str]) -> None:
        """Route -> its knowledge version from now on. Curated entries of another one, which nobody can find until it is
        set back, make room like any other; those of a route that is not named stay."""
        if self._versions == versions:
            return
        self._versions = dict(versions)
        for entry in self._entries.values():
            if entry.is_curated:
                self._ranking.keep(entry.id, self._stays(entry))

    def _stays(self, entry: Entry) -> bool:
        return entry.is_curated and self._versions.get(entry.route, entry.knowledge_version) == entry.knowledge_version

    def _surplus(self, newest: Entry, now_us: int) -> list[Entry]:
        """What has to go so that the bounds hold, or the first of it. The newest stays if it can: else a newcomer that
        saves little would never get the hits that show its worth."""
        over_count = len(self) - self._max_entries
        over_bytes = self.bytes - self._max_bytes
        if over_count <= 0 and over_bytes <= 0:
            return []
        leaving: dict[str, Entry] = {}
        of_group: Counter[int] = Counter()
        with closing(self._in_leaving_order(newest, now_us)) as candidates:
            for entry_id in candidates:
                if (over_count <= 0 and over_bytes <= 0) or len(leaving) == _LEAVING_AT_ONCE:
                    break
                if entry_id in leaving:
                    continue
                entry = leaving[entry_id] = self._entries[entry_id]
                of_group[entry.group_id] += 1
                over_count -= 1
                over_bytes -= self._ranking.bytes_of(entry_id)
                if of_group[entry.group_id] == len(self._members[entry.group_id]):  # the caller drops the group too
                    over_bytes -= self._group_bytes.get(entry.group_id, 0)
                    over_bytes -= self._wording_bytes.get(entry.group_id, 0)
                if entry_id != newest.id and entry.expires_us > now_us:  # what is over says nothing of what others save
                    self._ranking.advance(entry_id)
        return list(leaving.values())

    def _in_leaving_order(self, newest: Entry, now_us: int) -> Generator[str]:
        """What has expired, then what saves least; the newest last, unless those that stay leave it no room. Some may
        come twice."""
        ranking = self._ranking
        staying, staying_bytes = ranking.staying, ranking.staying_bytes
        with closing(self._expiries.over(now_us)) as over:
            for entry_id in over:
                yield entry_id
                if ranking.stays(entry_id):
                    staying -= 1
                    staying_bytes -= ranking.bytes_of(entry_id)
        has_room = staying < self._max_entries and staying_bytes + ranking.bytes_of(newest.id) <= self._max_bytes
        if not ranking.stays(newest.id) and not has_room:
            yield newest.id
        with closing(ranking.cheapest()) as cheapest:
            yield from (entry_id for entry_id in cheapest if entry_id != newest.id)
        if not ranking.stays(newest.id):
            yield newest.id

    @property
    def bytes(self) -> int:
        """Of all payloads, prompts, answers and vectors, in the file. (Last here: the name hides the type.)"""
        return self._ranking.bytes + self._all_group_bytes


# --- payloads in memory -----------------------------------------------------------------------------------------


class _RecentPayloads:
    """The payloads that were used last, packed, up to so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._packed: OrderedDict[str, bytes] = OrderedDict()
        self._first = b""
        """The beginning of the first payload. What others have in common with it is not packed again."""

    def get(self, entry_id: str) -> bytes | None:
        packed = self._packed.get(entry_id)
        if packed is None:
            return None
        self._packed.move_to_end(entry_id)
        return zlib.decompressobj(_WINDOW_BITS, self._first).decompress(packed)

    def put(self, entry_id: str, payload: bytes) -> None:
        self.drop(entry_id)
        self._first = self._first or payload[: 1 << _WINDOW_BITS - 1]
        pack = zlib.compressobj(_FAST, zlib.DEFLATED, _WINDOW_BITS, _LITTLE_MEMORY, zdict=self._first)
        packed = self._packed[entry_id] = pack.compress(payload) + pack.flush()
        self._bytes += len(packed)
        while self._bytes > self._max_bytes:
            _, dropped = self._packed.popitem(last=False)
            self._bytes -= len(dropped)

    def drop(self, entry_id: str) -> None:
        self._bytes -= len(self._packed.pop(entry_id, b""))


_FAST: Final = 1
"""Packs an answer of a kilobyte to a third of its size in 20 microseconds, and unpacks it in 5."""
_WINDOW_BITS: Final = 13
_LITTLE_MEMORY: Final = 6
"""With zlib's own window and memory, 256 kB, most of the time goes to clear them."""


# --- rows and statements ----------------------------------------------------------------------------------------


def _tidied(entry: Entry) -> Entry:
    """With sorted tags and not too many askers; what many entries have in common is in memory once."""
    return structs.replace(
        entry,
        team=sys.intern(entry.team),
        env=sys.intern(entry.env),
        route=sys.intern(entry.route),
        shared=sys.intern(entry.shared) if entry.shared is not None else None,
        model=sys.intern(entry.model),
        knowledge_version=sys.intern(entry.knowledge_version),
        tags=tuple(sys.intern(tag) for tag in sorted(set(entry.tags))),
        writer=sys.intern(entry.writer),
        askers=tuple(sys.intern(asker) for asker in dict.fromkeys(entry.askers))[:ASKERS_AT_MOST],
    )


def _entry_row(entry: Entry, payload: bytes) -> dict[str, Any]:
    given = {"tags": _json(entry.tags), "askers": _json(entry.askers), "payload": payload}
    return structs.asdict(entry) | given


def _anchor_row(anchor: Anchor, encoder: str | None, vector: Vector | None) -> dict[str, Any]:
    return structs.asdict(anchor) | {
        "encoder": encoder if vector is not None else None,
        "vector": _stored(vector),
    }


def _json(texts: tuple[str, ...]) -> str:
    return msgspec.json.encode(texts).decode()


def _stored(vector: Vector | None) -> bytes | None:
    return vector.astype("<f4").tobytes() if vector is not None else None


def _vector(stored: bytes | None, its_encoder: str | None, encoder: str | None) -> Vector | None:
    is_usable = stored is not None and encoder is not None and its_encoder == encoder
    return np.frombuffer(stored, dtype="<f4") if stored is not None and is_usable else None


def _anchor_bytes(anchor: Anchor, vector: Vector | None) -> int:
    return _utf8_bytes(anchor.text) + (vector.size * 4 if vector is not None else 0)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _highest(connection: sa.Connection, *columns: sa.Column[Any]) -> int:
    return max(connection.scalar(sa.select(sa.func.max(column))) or 0 for column in columns)


_WANTED: Final[sa.BindParameter[Any]] = sa.bindparam("wanted")
_GONE: Final[sa.BindParameter[Any]] = sa.bindparam("gone")
_OLDER_THAN_KEPT: Final = sa.select(tables.doubts.c.id).order_by(tables.doubts.c.id.desc()).limit(1)

_SELECT_ENTRIES: Final = sa.select(
    *(column for column in tables.entries.c if column.name != "payload"),
    sa.func.length(tables.entries.c.payload).label("payload_bytes"),
).order_by(tables.entries.c.created_us)
_SELECT_PAYLOAD: Final = sa.select(tables.entries.c.payload).where(tables.entries.c.id == _WANTED)
_SELECT_EXPORTED: Final = (
    sa.select(tables.entries.c.id, tables.entries.c.payload, tables.groups.c.answer)
    .outerjoin(tables.groups, tables.groups.c.id == tables.entries.c.group_id)
    .where(tables.entries.c.id.in_(sa.bindparam("wanted", expanding=True)))
)
_SELECT_WRITTEN: Final = sa.select(tables.entries.c.id).where(
    tables.entries.c.id.in_(sa.bindparam("wanted", expanding=True))
)
_SELECT_CERTIFICATES: Final = sa.select(tables.certificates.c.route, tables.certificates.c.snapshot)
_DELETE_DOUBTS_ABOUT: Final = (tables.doubts.delete().where(tables.doubts.c.entry_id == _GONE),)
_OF_TEAM: Final[sa.BindParameter[Any]] = sa.bindparam("of_team", type_=sa.Text)
_OF_ROUTE: Final[sa.BindParameter[Any]] = sa.bindparam("of_route", type_=sa.Text)
_DELETE_DOUBTS_OF: Final = (
    tables.doubts.delete().where(
        tables.doubts.c.team == sa.func.coalesce(_OF_TEAM, tables.doubts.c.team),
        tables.doubts.c.route == sa.func.coalesce(_OF_ROUTE, tables.doubts.c.route),
    ),
)
_SELECT_DOUBT: Final = sa.select(tables.doubts).where(tables.doubts.c.id == _WANTED)
_SELECT_DOUBTS_OF_ANCHOR: Final = sa.select(tables.doubts.c.id, tables.doubts.c.verdict, tables.doubts.c.ruling).where(
    tables.doubts.c.anchor_id == _WANTED
)
_DELETE_ANCHORS_OF_NOTHING: Final = tables.anchors.delete().where(
    ~sa.exists().where(tables.entries.c.id == tables.anchors.c.entry_id)
)
_DELETE_GROUPS_OF_NOTHING: Final = tables.groups.delete().where(
    ~sa.exists().where(tables.entries.c.group_id == tables.groups.c.id)
)
_DELETE_WORDINGS_OF_NOTHING: Final = tables.wordings.delete().where(
    ~sa.exists().where(tables.groups.c.id == tables.wordings.c.group_id)
)

_PUT: Final = (tables.entries.insert(), tables.anchors.insert())
_PUT_ANCHOR: Final = (tables.anchors.insert(),)
_REPLACED: Final = ("tags", "created_us", "expires_us", "source", "askers", "group_id")
_UPDATE_ENTRY: Final = (
    tables.entries.update()
    .where(tables.entries.c.id == _WANTED)
    .values({name: sa.bindparam(f"new_{name}") for name in _REPLACED}),
)
_UPDATE_ANCHOR: Final = (
    tables.anchors.update()
    .where(tables.anchors.c.id == _WANTED)
    .values(is_quarantined=sa.bindparam("new_is_quarantined")),
)
_DELETE_ANCHOR: Final = (tables.anchors.delete().where(tables.anchors.c.id == _GONE),)
_UPDATE_GROUP: Final = (
    tables.groups.update().where(tables.groups.c.id == _WANTED).values(evidence=sa.bindparam("new_evidence")),
)
_DELETE: Final = (
    tables.anchors.delete().where(tables.anchors.c.entry_id == _GONE),
    tables.entries.delete().where(tables.entries.c.id == _GONE),
)
_DELETE_GROUP: Final = (
    tables.groups.delete().where(tables.groups.c.id == _GONE),
    tables.wordings.delete().where(tables.wordings.c.group_id == _GONE),
)
_DELETE_EMPTY_GROUPS: Final = (_DELETE_GROUPS_OF_NOTHING, _DELETE_WORDINGS_OF_NOTHING)
_PUT_GROUP: Final = (tables.groups.delete().where(tables.groups.c.id == _GONE), tables.groups.insert())
_PUT_WORDING: Final = (tables.wordings.delete().where(tables.wordings.c.id == _GONE), tables.wordings.insert())
_DELETE_SCOPE: Final = tables.scopes.delete().where(tables.scopes.c.scope == _GONE)
_SAVED: Final[sa.ColumnClause[int]] = sa.literal_column("rowid")
"""Grows with each scope that is saved."""
_SELECT_SCOPES: Final = sa.select(tables.scopes).order_by(_SAVED)
_FIRST_TOO_MANY: Final = (
    sa.select(_SAVED).select_from(tables.scopes).order_by(_SAVED.desc()).limit(1).offset(SCOPES_AT_MOST)
)
_SAVE_SCOPE: Final = (
    _DELETE_SCOPE,
    tables.scopes.insert(),
    tables.scopes.delete().where(_SAVED.op("<=")(_FIRST_TOO_MANY.scalar_subquery())),
)
_DELETE_CERTIFICATE: Final = (tables.certificates.delete().where(tables.certificates.c.route == _GONE),)
_SAVE_CERTIFICATE: Final = (*_DELETE_CERTIFICATE, tables.certificates.insert())
_ADD_DOUBT: Final = (
    tables.doubts.insert(),
    tables.doubts.delete().where(tables.doubts.c.id <= _OLDER_THAN_KEPT.offset(DOUBTS_AT_MOST).scalar_subquery()),
)
_RULE: Final = (tables.doubts.update().where(tables.doubts.c.id == _WANTED).values(ruling=sa.bindparam("new_ruling")),)
