"""Stored answers: in SQLite for good, and in memory what a lookup needs.

Memory holds everything but the payloads, of which only the recently served stay. Writing happens in a
thread of its own, in groups, and nobody waits for it: what a killed process loses is a few recent entries.
Bounded in number; the least recently used entry goes first.
"""

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import numpy as np
import sqlalchemy as sa
from msgspec import Struct

from cache import tables
from cache.index import Vector

_Change = Callable[[sa.Connection], None]

_GROUP_AT_MOST: Final = 256
_QUEUE_AT_MOST: Final = 4096


class Entry(Struct, frozen=True):
    """A stored answer without its payload. Times in microseconds since the epoch."""

    id: str
    scope: bytes
    team: str
    env: str
    route: str
    model: str
    tier: int
    is_rationed: bool
    output_tokens: int
    answer: bytes
    """Equal for entries whose answers say the same."""
    created_us: int
    expires_us: int


class Anchor(Struct, frozen=True):
    """A prompt that leads to an entry."""

    id: int
    entry_id: str
    exact_key: bytes
    text: str


class EntryStore:
    """Entries and anchors of one SQLite file. Call from one thread; `close` writes what waits."""

    def __init__(
        self, engine: sa.Engine, max_entries: int, payload_bytes: int, on_error: Callable[[Exception], None]
    ) -> None:
        self._engine = engine
        self._max_entries = max_entries
        self._on_error = on_error
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._anchors: dict[int, Anchor] = {}
        self._anchors_of: dict[str, list[int]] = {}
        self._by_key: dict[bytes, int] = {}
        self._payloads = _RecentPayloads(payload_bytes)
        self._next_anchor = 1
        self._queue: queue.Queue[_Change | threading.Event | None] = queue.Queue(_QUEUE_AT_MOST)
        self._thread = threading.Thread(target=self._write_groups, name="cache-writer", daemon=True)
        self._thread.start()

    # --- reading ---

    def load(self, encoder: str | None, now_us: int) -> Iterator[tuple[Anchor, Entry, Vector | None]]:
        """Reads the file at start: every anchor that has not expired, with its vector if it is of the vector
        space that `encoder` names. Expired entries are deleted."""
        with self._engine.begin() as connection:
            connection.execute(_DELETE_ANCHORS_OF_EXPIRED, {"now": now_us})
            connection.execute(tables.entries.delete().where(tables.entries.c.expires_us <= now_us))
        columns = [column for column in tables.entries.c if column.name != "payload"]
        with self._engine.connect() as connection:
            for row in connection.execute(sa.select(*columns).order_by(tables.entries.c.created_us)).mappings():
                entry = Entry(**row)
                self._entries[entry.id] = entry
            stored = connection.execution_options(yield_per=1000).execute(
                sa.select(tables.anchors).order_by(tables.anchors.c.id)
            )
            for found in stored:
                if (owner := self._entries.get(found.entry_id)) is None:
                    continue
                anchor = Anchor(found.id, found.entry_id, found.exact_key, found.text)
                self._remember(anchor)
                is_usable = found.vector is not None and encoder is not None and found.encoder == encoder
                yield anchor, owner, np.frombuffer(found.vector, dtype="<f4") if is_usable else None

    def by_key(self, key: bytes) -> tuple[Anchor, Entry] | None:
        """The newest entry that was stored for exactly this key."""
        anchor_id = self._by_key.get(key)
        return self.by_anchor(anchor_id) if anchor_id is not None else None

    def by_anchor(self, anchor_id: int) -> tuple[Anchor, Entry] | None:
        anchor = self._anchors.get(anchor_id)
        return (anchor, self._entries[anchor.entry_id]) if anchor is not None else None

    def anchors_of(self, entry_id: str) -> list[Anchor]:
        """The prompts that lead to this entry; none for an unknown one."""
        return [self._anchors[anchor_id] for anchor_id in self._anchors_of.get(entry_id, ())]

    def payload(self, entry_id: str) -> bytes | None:
        """The payload, from memory or the file; None if it is in neither. Marks the entry as used."""
        if entry_id in self._entries:
            self._entries.move_to_end(entry_id)
        payload = self._payloads.get(entry_id)
        if payload is None:
            with self._engine.connect() as connection:
                payload = connection.scalar(_SELECT_PAYLOAD, {"wanted": entry_id})
            if payload is not None:
                self._payloads.put(entry_id, payload)
        return payload

    def __len__(self) -> int:
        return len(self._entries)

    def select(self, **equal: str | None) -> list[Entry]:
        """Entries whose attributes have these values (`team="support"`); None means any."""
        wanted = {name: value for name, value in equal.items() if value is not None}
        return [
            entry
            for entry in self._entries.values()
            if all(getattr(entry, name) == value for name, value in wanted.items())
        ]

    # --- writing ---

    def put(
        self,
        entry: Entry,
        exact_key: bytes,
        text: str,
        payload: bytes,
        encoder: str | None,
        vector: Vector | None,
    ) -> tuple[Anchor, list[Entry]]:
        """Stores an entry with its first anchor. Returns the anchor, and what had to go to make room; the
        caller `remove`s those."""
        anchor = Anchor(self._next_anchor, entry.id, exact_key, text)
        self._entries[entry.id] = entry
        self._remember(anchor)
        self._payloads.put(entry.id, payload)
        row = {name: getattr(entry, name) for name in Entry.__struct_fields__} | {"payload": payload}
        anchor_row = {
            **{name: getattr(anchor, name) for name in Anchor.__struct_fields__},
            "encoder": encoder if vector is not None else None,
            "vector": vector.astype("<f4").tobytes() if vector is not None else None,
        }
        self._write(lambda connection: _insert(connection, row, anchor_row))
        surplus = len(self._entries) - self._max_entries
        oldest = iter(self._entries.values())
        return anchor, [next(oldest) for _ in range(max(surplus, 0))]

    def remove(self, entries: Iterable[Entry]) -> list[Anchor]:
        """Deletes entries with all their anchors; returns the anchors. Absent ones are no error."""
        gone: list[Anchor] = []
        ids = []
        for entry in entries:
            if self._entries.pop(entry.id, None) is None:
                continue
            ids.append({"gone": entry.id})
            self._payloads.drop(entry.id)
            for anchor_id in self._anchors_of.pop(entry.id, ()):
                anchor = self._anchors.pop(anchor_id)
                if self._by_key.get(anchor.exact_key) == anchor_id:
                    del self._by_key[anchor.exact_key]
                gone.append(anchor)
        if ids:
            self._write(lambda connection: _delete(connection, ids))
        return gone

    def flush(self) -> None:
        """Waits until everything is in the file, or has failed and was counted."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _remember(self, anchor: Anchor) -> None:
        self._anchors[anchor.id] = anchor
        self._anchors_of.setdefault(anchor.entry_id, []).append(anchor.id)
        self._by_key[anchor.exact_key] = anchor.id
        self._next_anchor = max(self._next_anchor, anchor.id + 1)

    def _write(self, change: _Change) -> None:
        try:
            self._queue.put_nowait(change)
        except queue.Full as error:  # the disk does not keep up: the entry lives in memory only
            self._on_error(error)

    # --- in the writer's thread ---

    def _write_groups(self) -> None:
        while True:
            group = [self._queue.get()]
            while len(group) < _GROUP_AT_MOST and not self._queue.empty():
                group.append(self._queue.get())
            self._apply([item for item in group if item is not None and not isinstance(item, threading.Event)])
            for item in group:
                if isinstance(item, threading.Event):
                    item.set()
            if None in group:
                return

    def _apply(self, changes: list[_Change]) -> None:
        try:
            with self._engine.begin() as connection:
                for change in changes:
                    change(connection)
        except Exception as error:  # noqa: BLE001  a cache fault must never stop the cache; it is counted
            # One bad change must not take the others of its group along. An OperationalError is the file's.
            if len(changes) == 1 or isinstance(error, sa.exc.OperationalError):
                self._on_error(error)
                return
            for change in changes:
                self._apply([change])


class _RecentPayloads:
    """The payloads that were used last, up to so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._payloads: OrderedDict[str, bytes] = OrderedDict()

    def get(self, entry_id: str) -> bytes | None:
        payload = self._payloads.get(entry_id)
        if payload is not None:
            self._payloads.move_to_end(entry_id)
        return payload

    def put(self, entry_id: str, payload: bytes) -> None:
        self.drop(entry_id)
        self._payloads[entry_id] = payload
        self._bytes += len(payload)
        while self._bytes > self._max_bytes:
            _, dropped = self._payloads.popitem(last=False)
            self._bytes -= len(dropped)

    def drop(self, entry_id: str) -> None:
        self._bytes -= len(self._payloads.pop(entry_id, b""))


_SELECT_PAYLOAD: Final = sa.select(tables.entries.c.payload).where(tables.entries.c.id == sa.bindparam("wanted"))
_DELETE_ANCHORS_OF_EXPIRED: Final = tables.anchors.delete().where(
    tables.anchors.c.entry_id.in_(
        sa.select(tables.entries.c.id).where(tables.entries.c.expires_us <= sa.bindparam("now"))
    )
)
_DELETE_ANCHORS: Final = tables.anchors.delete().where(tables.anchors.c.entry_id == sa.bindparam("gone"))
_DELETE_ENTRIES: Final = tables.entries.delete().where(tables.entries.c.id == sa.bindparam("gone"))


def _insert(connection: sa.Connection, entry: dict[str, Any], anchor: dict[str, Any]) -> None:
    connection.execute(tables.entries.insert(), [entry])
    connection.execute(tables.anchors.insert(), [anchor])


def _delete(connection: sa.Connection, ids: list[dict[str, str]]) -> None:
    connection.execute(_DELETE_ANCHORS, ids)
    connection.execute(_DELETE_ENTRIES, ids)
