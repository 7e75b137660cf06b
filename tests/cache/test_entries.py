"""What the store of entries keeps, what it lets go, and what it survives."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.database import CACHE_MIGRATIONS, open_database
from cache import tables
from cache.entries import Anchor, Entry, EntryStore

NOW = 1_800_000_000_000_000
VECTOR = np.array([0.6, 0.8], dtype=np.float32)
Opener = Callable[..., EntryStore]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def faults() -> list[Exception]:
    return []


@pytest.fixture
def open_store(file: Path, faults: list[Exception]) -> Iterator[Opener]:
    """Opens the store over the file, after the one before was closed."""
    with ExitStack() as present:

        def opened(max_entries: int = 100, payload_bytes: int = 1 << 20) -> EntryStore:
            present.close()
            engine = open_database(file, CACHE_MIGRATIONS)
            present.callback(engine.dispose)
            store = EntryStore(engine, max_entries, payload_bytes, faults.append)
            present.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_store: Opener) -> EntryStore:
    return open_store()


def entry(name: str, **attributes: Any) -> Entry:
    made = {
        "id": name,
        "scope": b"scope",
        "team": "support",
        "env": "prod",
        "route": "faq",
        "model": "gpt-mid",
        "tier": 2,
        "is_rationed": False,
        "output_tokens": 12,
        "answer": b"answer",
        "created_us": NOW,
        "expires_us": NOW + 1_000_000,
    }
    return Entry(**(made | attributes))


def put(store: EntryStore, name: str, *, encoder: str | None = "e1", payload: bytes = b"", **attributes: Any) -> Anchor:
    """Stores an entry under a key of its own; what must go to make room goes."""
    vector = VECTOR if encoder is not None else None
    made = entry(name, **attributes)
    anchor, surplus = store.put(made, f"key {name}".encode(), f"text {name}", payload or name.encode(), encoder, vector)
    store.remove(surplus)
    return anchor


def load(store: EntryStore, encoder: str | None = "e1", now_us: int = NOW) -> list[tuple[str, str, bool]]:
    """(entry, text, whether it has a vector) of what is in the file."""
    return [(owner.id, anchor.text, vector is not None) for anchor, owner, vector in store.load(encoder, now_us)]


def ids(store: EntryStore) -> list[str]:
    return [each.id for each in store.select()]


def rows(file: Path, table: str = "entries") -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


# --- The file -----------------------------------------------------------------------------------------------


def test_the_migrated_file_has_exactly_the_tables_that_the_code_knows(file: Path) -> None:
    engine = open_database(file, CACHE_MIGRATIONS)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_everything_about_an_entry_survives_a_restart(open_store: Opener) -> None:
    before = open_store()
    anchor = put(before, "a", payload=b"the payload", is_rationed=True, tier=3, output_tokens=7, answer=b"\x00\xff")
    after = open_store()
    ((found, owner, vector),) = list(after.load("e1", NOW))
    assert (found, owner) == (anchor, entry("a", is_rationed=True, tier=3, output_tokens=7, answer=b"\x00\xff"))
    assert vector is not None
    assert vector.tolist() == VECTOR.tolist()
    assert after.payload("a") == b"the payload"
    assert after.by_key(b"key a") == (anchor, owner)
    assert after.by_anchor(anchor.id) == (anchor, owner)
    assert after.anchors_of("a") == [anchor]


def test_a_new_anchor_after_a_restart_has_an_id_of_its_own(open_store: Opener) -> None:
    first = put(open_store(), "a")
    after = open_store()
    load(after)
    assert put(after, "b").id != first.id
    after.flush()
    assert sorted(load(open_store())) == [("a", "text a", True), ("b", "text b", True)]


def test_what_flush_waited_for_is_in_the_file(store: EntryStore, file: Path) -> None:
    for number in range(20):
        put(store, f"e{number}")
        store.flush()
        assert rows(file) == rows(file, "anchors") == number + 1


def test_close_writes_what_waits(store: EntryStore, file: Path) -> None:
    for number in range(50):
        put(store, f"e{number}")
    store.close()
    assert rows(file) == 50


def test_vectors_of_another_encoder_are_not_used_but_the_text_still_serves_exactly(open_store: Opener) -> None:
    put(open_store(), "a", encoder="e1")
    after = open_store()
    assert load(after, encoder="e2") == [("a", "text a", False)]
    assert after.by_key(b"key a") is not None


def test_without_an_encoder_no_vector_is_used(open_store: Opener) -> None:
    put(open_store(), "a", encoder="e1")
    assert load(open_store(), encoder=None) == [("a", "text a", False)]


def test_an_entry_without_a_vector_belongs_to_no_encoder(open_store: Opener, file: Path) -> None:
    before = open_store()
    put(before, "a", encoder=None)
    before.flush()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select encoder, vector from anchors").fetchall() == [(None, None)]
    assert load(open_store()) == [("a", "text a", False)]


def test_the_newest_entry_of_a_key_is_found_by_it_before_and_after_a_restart(open_store: Opener) -> None:
    before = open_store()
    for name in ("old", "new"):
        before.put(entry(name), b"key", "text", b"", "e1", VECTOR)
    found = before.by_key(b"key")
    assert found is not None
    assert found[1].id == "new"
    after = open_store()
    load(after)
    assert after.by_key(b"key") == found


# --- Expiry -------------------------------------------------------------------------------------------------


def test_at_start_expired_entries_are_deleted_from_the_file(open_store: Opener, file: Path) -> None:
    before = open_store()
    put(before, "old", expires_us=NOW)
    put(before, "fresh", expires_us=NOW + 1)
    after = open_store()
    assert load(after, now_us=NOW) == [("fresh", "text fresh", True)]
    assert (rows(file), rows(file, "anchors")) == (1, 1)
    assert after.by_key(b"key old") is None


# --- Bounds -------------------------------------------------------------------------------------------------


def test_beyond_the_bound_the_oldest_goes_first(open_store: Opener, file: Path) -> None:
    store = open_store(max_entries=3)
    for name in "abcde":
        put(store, name)
    assert ids(store) == ["c", "d", "e"]
    assert len(store) == 3
    store.flush()
    assert (rows(file), rows(file, "anchors")) == (3, 3)


def test_an_entry_that_was_served_outlives_one_that_was_not(open_store: Opener) -> None:
    store = open_store(max_entries=3)
    for name in "abc":
        put(store, name)
    store.payload("a")
    put(store, "d")
    assert sorted(ids(store)) == ["a", "c", "d"]


def test_a_lower_bound_after_a_restart_holds_from_the_next_entry_on(open_store: Opener) -> None:
    before = open_store(max_entries=10)
    for number, name in enumerate("abcde"):
        put(before, name, created_us=NOW + number)
    after = open_store(max_entries=2)
    load(after)
    put(after, "f")
    assert ids(after) == ["e", "f"]


def test_payloads_take_a_bounded_amount_of_memory_and_the_file_has_the_others(open_store: Opener, file: Path) -> None:
    store = open_store(payload_bytes=100)
    for name in "abc":
        put(store, name, payload=name.encode() * 40)
    store.flush()
    assert store.payload("a") == b"a" * 40  # from the file; that pushes "b" out of memory
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("update entries set payload = ?", (b"from the file",))
        connection.commit()
    assert store.payload("a") == b"a" * 40
    assert store.payload("c") == b"c" * 40
    assert store.payload("b") == b"from the file"


def test_a_payload_larger_than_all_memory_comes_from_the_file(open_store: Opener) -> None:
    store = open_store(payload_bytes=10)
    put(store, "a", payload=b"x" * 1000)
    store.flush()
    assert store.payload("a") == b"x" * 1000


def test_the_payload_of_the_absent_is_none(store: EntryStore) -> None:
    assert store.payload("nobody") is None


# --- Removal ------------------------------------------------------------------------------------------------


def test_removing_an_entry_removes_all_its_anchors(open_store: Opener, file: Path) -> None:
    before = open_store()
    first = put(before, "a")
    before.flush()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "insert into anchors select 7, entry_id, x'77', 'another text', encoder, vector from anchors"
        )
        connection.commit()
    store = open_store()
    assert load(store) == [("a", "text a", True), ("a", "another text", True)]
    gone = store.remove([entry("a")])
    assert [anchor.id for anchor in gone] == [first.id, 7]
    assert (store.by_key(b"key a"), store.by_key(b"\x77"), store.by_anchor(7)) == (None, None, None)
    assert store.anchors_of("a") == []
    store.flush()
    assert (rows(file), rows(file, "anchors"), store.payload("a")) == (0, 0, None)


def test_the_payload_of_a_removed_entry_is_gone_from_memory_too(store: EntryStore) -> None:
    put(store, "a")
    store.remove([entry("a")])
    store.flush()
    assert store.payload("a") is None


def test_removing_the_absent_is_no_error(store: EntryStore, faults: list[Exception]) -> None:
    assert store.remove([entry("nobody")]) == []
    store.flush()
    assert faults == []


def test_removing_an_older_entry_leaves_the_newer_one_of_its_key(store: EntryStore) -> None:
    store.put(entry("old"), b"key", "text", b"", None, None)
    store.put(entry("new"), b"key", "text", b"", None, None)
    store.remove([entry("old")])
    found = store.by_key(b"key")
    assert found is not None
    assert found[1].id == "new"


def test_entries_are_selected_by_all_that_is_given(store: EntryStore) -> None:
    put(store, "a", team="support", route="faq")
    put(store, "b", team="support", route="billing")
    put(store, "c", team="sales", route="faq")
    assert [each.id for each in store.select(team="support", route=None)] == ["a", "b"]
    assert [each.id for each in store.select(team="support", route="faq")] == ["a"]
    assert [each.id for each in store.select(id="c")] == ["c"]
    assert len(store.select()) == 3


# --- Faults -------------------------------------------------------------------------------------------------


def flush(store: EntryStore) -> None:
    """Fails instead of waiting for ever."""
    flushing = threading.Thread(target=store.flush, daemon=True)
    flushing.start()
    flushing.join(20)
    assert not flushing.is_alive()


def test_a_failing_write_is_counted_and_the_others_of_its_group_are_kept(
    store: EntryStore, file: Path, faults: list[Exception]
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute(
            "create trigger no before insert on entries when new.id = 'bad' begin select raise(abort, 'no'); end"
        )
        other.execute("begin immediate")  # while this holds the file, the writes below gather in one group
        for name in ("first", "before", "bad", "after"):
            put(store, name)
        other.execute("rollback")
    flush(store)
    assert [type(fault) for fault in faults] == [sa.exc.IntegrityError]
    assert rows(file) == rows(file, "anchors") == 3
    put(store, "later")
    flush(store)
    assert rows(file) == 4


def test_flush_returns_when_the_file_is_broken(store: EntryStore, file: Path, faults: list[Exception]) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("drop table entries")
        other.commit()
    put(store, "a")
    flush(store)
    assert [type(fault) for fault in faults] == [sa.exc.OperationalError]


def test_an_entry_that_could_not_be_written_still_serves_from_memory(store: EntryStore, file: Path) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute("drop table entries")
        other.commit()
    put(store, "a", payload=b"the payload")
    flush(store)
    assert store.by_key(b"key a") is not None
    assert store.payload("a") == b"the payload"


def test_when_the_disk_does_not_keep_up_entries_live_in_memory_and_each_is_counted(
    store: EntryStore, file: Path, faults: list[Exception]
) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        put(store, "first")
        while not store._queue.empty():  # the writer has it and waits for the file
            time.sleep(0.001)
        room = store._queue.maxsize
        for number in range(room + 5):
            store.put(entry(f"e{number}"), b"k%d" % number, "text", b"", None, None)
        assert len(faults) == 5
        other.execute("rollback")
    flush(store)
    assert rows(file) == room + 1
