"""What the store of entries keeps, what it lets go, and what it survives."""

import asyncio
import itertools
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from app.database import CACHE_MIGRATIONS, open_database
from cache import entries as of_entries
from cache import tables
from cache import writing as of_writing
from cache.entries import SCOPES_AT_MOST, Anchor, Doubt, Entry, EntryStore, StoredGroup, StoredWording
from cache.query import ASKERS_AT_MOST
from cache.ranking import Expiries
from cache.writing import Unwritten

NOW = 1_800_000_000_000_000
MINUTE_US = 60_000_000
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
    """Opens the store over the file, after the one before was closed. `patient` = waits for a lock as the server
    does; else the file's refusal comes at once."""
    with ExitStack() as present:

        def opened(*, patient: bool = True, **given: Any) -> EntryStore:
            present.close()
            engine = open_database(file, CACHE_MIGRATIONS)
            if not patient:
                engine.dispose()
                engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 0})
            present.callback(engine.dispose)
            bounds = {"max_entries": 100, "max_bytes": 1 << 20, "payload_bytes": 1 << 20}
            store = EntryStore(engine, **(bounds | given), on_error=faults.append)  # type: ignore[arg-type]
            present.callback(store.close)
            return store

        yield opened


@pytest.fixture
def store(open_store: Opener) -> EntryStore:
    return open_store()


@pytest.fixture
def other(file: Path, store: EntryStore) -> Iterator[sqlite3.Connection]:
    """A second connection to the file, which can lock it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def entry(name: str, **attributes: Any) -> Entry:
    made = {
        "id": name,
        "scope": b"scope",
        "team": "support",
        "env": "prod",
        "route": "faq",
        "shared": None,
        "model": "gpt-mid",
        "tier": 2,
        "is_rationed": False,
        "output_tokens": 12,
        "group_id": 1,
        "created_us": NOW,
        "expires_us": NOW + 1_000_000,
        "knowledge_version": "v1",
        "tags": (),
        "is_curated": False,
        "source": f"request-{name}",
        "writer": "bot",
        "askers": (),
        "worth": 1,
    }
    return Entry(**(made | attributes))


def put(store: EntryStore, name: str, *, encoder: str | None = "e1", payload: bytes = b"", **attributes: Any) -> Anchor:
    """Stores an entry under a key of its own; what must go to make room goes."""
    vector = VECTOR if encoder is not None else None
    made = entry(name, **attributes)
    anchor, surplus = store.put(made, f"key {name}".encode(), f"text {name}", payload or name.encode(), encoder, vector)
    store.remove(surplus)
    return anchor


def put_group(store: EntryStore, *, answer: str = "the answer", encoder: str | None = "e1") -> StoredGroup:
    group = StoredGroup(store.next_group_id(), b"scope", b"identity", answer, encoder, b"evidence")
    store.put_group(group, VECTOR if encoder is not None else None)
    return group


def put_wording(store: EntryStore, group: StoredGroup, *, encoder: str = "e1", strain: int = 1) -> StoredWording:
    wording = StoredWording(store.next_group_id(), group.id, strain, "in other words", encoder)
    store.put_wording(wording, VECTOR)
    return wording


def add_doubt(store: EntryStore, **attributes: Any) -> None:
    made: dict[str, Any] = {
        "at_us": NOW,
        "route": "faq",
        "team": "support",
        "anchor_id": 1,
        "entry_id": "a",
        "group_id": 1,
        "request_id": "r1",
        "asked": "How late?",
        "stored_question": "How early?",
        "stored_answer": "At eight.",
        "fresh_answer": "At ten.",
        "p": 0.97,
        "verdict": "wrong",
    }
    store.add_doubt(**(made | attributes))


def load(store: EntryStore, encoder: str | None = "e1", now_us: int = NOW) -> list[tuple[str, str, bool]]:
    """(entry, text, whether it has a vector) of what is in the file."""
    return [(owner.id, anchor.text, vector is not None) for anchor, owner, vector in store.load(encoder, now_us)]


def loaded_groups(store: EntryStore, encoder: str | None = "e1") -> list[tuple[StoredGroup, bool]]:
    """Every group, and whether it has a vector."""
    return [(group, vector is not None) for group, vector in store.load_groups(encoder)]


def ids(store: EntryStore) -> list[str]:
    return [each.id for each in store.select()]


def rows(file: Path, table: str = "entries") -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"select count(*) from {table}").fetchone()[0])


def cells(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute(query)]


def flush(store: EntryStore) -> None:
    """Fails instead of waiting for ever."""
    flushing = threading.Thread(target=store.flush, daemon=True)
    flushing.start()
    flushing.join(60)
    assert not flushing.is_alive()


# --- The file -----------------------------------------------------------------------------------------------


def test_the_migrated_file_has_exactly_the_tables_that_the_code_knows(file: Path) -> None:
    engine = open_database(file, CACHE_MIGRATIONS)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def migrate(file: Path, version: str) -> None:
    engine = sa.create_engine(f"sqlite:///{file}")
    config = Config()
    config.set_main_option("script_location", str(CACHE_MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        connection.commit()
    engine.dispose()


def fill_first_version(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "insert into entries values ('old', x'00', 'support', 'prod', 'faq', 'gpt', 1, 0, 5, x'01', 1, 9, x'02')"
        )
        connection.execute("insert into anchors values (1, 'old', x'03', 'text', null, null)")
        connection.commit()


def test_a_file_of_the_first_version_is_upgraded_and_its_entries_are_gone(file: Path, open_store: Opener) -> None:
    migrate(file, "0001")
    fill_first_version(file)
    store = open_store()
    assert (load(store), rows(file), rows(file, "anchors")) == ([], 0, 0)
    put(store, "new")
    assert load(open_store()) == [("new", "text new", True)]
    engine = sa.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


@pytest.mark.parametrize("done", ["drop table anchors", "create table groups (id integer)", "drop table entries"])
def test_an_upgrade_that_was_killed_half_way_is_done_again(file: Path, open_store: Opener, done: str) -> None:
    migrate(file, "0001")
    fill_first_version(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(done)
        connection.commit()
    put(open_store(), "new")
    assert load(open_store()) == [("new", "text new", True)]


def test_everything_about_an_entry_survives_a_restart(open_store: Opener) -> None:
    special = {
        "is_rationed": True,
        "tier": 3,
        "output_tokens": 7,
        "group_id": 9,
        "shared": "all",
        "knowledge_version": "2024-05",
        "tags": ("prices", "refunds"),
        "is_curated": True,
        "source": "faq.csv:12",
        "writer": "importer",
        "askers": ("u2", "u1"),
        "worth": 10**12,
    }
    before = open_store()
    anchor = put(before, "a", payload=b"the payload", **special)
    after = open_store()
    ((found, owner, vector),) = list(after.load("e1", NOW))
    assert (found, owner) == (anchor, entry("a", **special))
    assert vector is not None
    assert vector.tolist() == VECTOR.tolist()
    assert after.payload("a") == b"the payload"
    assert after.by_key(b"key a") == (anchor, owner)
    assert after.by_anchor(anchor.id) == (anchor, owner)
    assert after.anchors_of("a") == [anchor]
    assert after.entry("a") == owner
    assert after.entries_of_group(9) == [owner]


def test_a_new_anchor_after_a_restart_has_an_id_of_its_own(open_store: Opener) -> None:
    first = put(open_store(), "a")
    after = open_store()
    load(after)
    assert put(after, "b").id != first.id
    after.flush()
    assert sorted(load(open_store())) == [("a", "text a", True), ("b", "text b", True)]


def test_no_id_that_a_doubt_names_is_given_again(open_store: Opener) -> None:
    before = open_store()
    add_doubt(before, anchor_id=50, group_id=70)
    after = open_store()
    assert put(after, "a").id == 51
    assert after.next_group_id() == 71


def test_what_flush_waited_for_is_in_the_file(store: EntryStore, file: Path) -> None:
    for number in range(20):
        put(store, f"e{number}")
        store.flush()
        assert rows(file) == rows(file, "anchors") == number + 1


def test_what_is_in_a_hurry_is_written_without_waiting_for_more(store: EntryStore, file: Path) -> None:
    put(store, "a")
    assert store.hurry().result(60)
    assert rows(file) == 1


def test_a_removal_that_waits_for_the_file_is_not_called_written_before_it_is(file: Path, open_store: Opener) -> None:
    store = open_store(patient=False, pauses_s=(), again_s=60)
    put(store, "a")
    flush(store)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        store.remove([entry("a")])
        assert store.hurry().result(60) is False
        assert store.hurry().result(60) is False
        other.execute("rollback")
    assert store.hurry().result(60) is True
    assert rows(file) == 0


def test_a_removal_that_the_file_will_never_take_is_counted(file: Path, store: EntryStore) -> None:
    put(store, "a")
    flush(store)
    assert store.refused == 0
    with closing(sqlite3.connect(file)) as other:
        other.execute("drop table anchors")
    store.remove([entry("a")])
    flush(store)
    assert store.refused == 1


async def test_who_stops_waiting_for_the_file_does_no_harm(store: EntryStore, file: Path) -> None:
    put(store, "a")
    waiting = asyncio.wrap_future(store.hurry())
    waiting.cancel()
    put(store, "b")
    assert await asyncio.wrap_future(store.hurry())
    assert rows(file) == 2


def test_close_writes_what_waits(store: EntryStore, file: Path) -> None:
    for number in range(50):
        put(store, f"e{number}")
    store.close()
    assert rows(file) == 50


def test_after_close_flush_returns_and_close_is_no_error(store: EntryStore) -> None:
    store.close()
    flush(store)
    store.close()


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


def test_an_id_is_stored_once(store: EntryStore, file: Path) -> None:
    put(store, "a")
    with pytest.raises(ValueError, match="a is stored already"):
        put(store, "a")
    store.flush()
    assert (rows(file), rows(file, "anchors"), len(store)) == (1, 1, 1)


def test_an_id_that_was_removed_may_be_stored_again(open_store: Opener) -> None:
    before = open_store()
    for waits in (False, True):
        put(before, "a", payload=b"first")
        if waits:
            before.flush()
        before.remove([entry("a")])
    put(before, "a", payload=b"second")
    after = open_store()
    assert load(after) == [("a", "text a", True)]
    assert after.payload("a") == b"second"


def test_what_many_entries_have_in_common_is_in_memory_once(open_store: Opener) -> None:
    def common(store: EntryStore) -> list[int]:
        names = ("team", "env", "route", "shared", "model", "knowledge_version", "writer")
        return [len({id(getattr(each, name)) for each in store.select()}) for name in names]

    def fresh(text: str) -> str:
        return "".join(list(text))  # a text of its own, as one that was read from a request

    before = open_store()
    for name in "abc":
        put(before, name, team=fresh("sales"), model=fresh("gpt-x"), shared=fresh("all"), tags=(fresh("tag"),))
    after = open_store()
    load(after)
    assert common(after) == [1] * 7
    assert len({id(each.scope) for each in after.select()}) == 1
    assert len({id(each.tags[0]) for each in after.select()}) == 1


# --- Expiry -------------------------------------------------------------------------------------------------


def test_at_start_expired_entries_are_deleted_from_the_file(open_store: Opener, file: Path) -> None:
    before = open_store()
    put(before, "old", expires_us=NOW)
    put(before, "fresh", expires_us=NOW + 1)
    after = open_store()
    assert load(after, now_us=NOW) == [("fresh", "text fresh", True)]
    assert (rows(file), rows(file, "anchors")) == (1, 1)
    assert after.by_key(b"key old") is None


def test_prompts_whose_entry_never_reached_the_file_are_deleted_at_start(open_store: Opener, file: Path) -> None:
    put(open_store(), "a")
    store = open_store()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("insert into anchors values (7, 'nobody', x'00', 'text', 0, null, null)")
        connection.commit()
    assert load(store) == [("a", "text a", True)]
    assert rows(file, "anchors") == 1


# --- Bounds -------------------------------------------------------------------------------------------------


def test_among_equals_the_oldest_goes_first(open_store: Opener, file: Path) -> None:
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


def test_what_has_expired_goes_before_what_may_still_be_served_however_much_it_saved(open_store: Opener) -> None:
    store = open_store(max_entries=4)
    put(store, "over", worth=500, expires_us=NOW)
    put(store, "curated and over", is_curated=True, expires_us=NOW)
    put(store, "alive", expires_us=NOW + 600_000_000)
    put(store, "longer", expires_us=NOW)
    store.replace(entry("longer", expires_us=NOW + 600_000_000))
    for _ in range(9):
        store.payload("over")
    now_us = NOW + 60_000_000  # after so long at the latest it is known
    for new in ("a", "b"):
        made = entry(new, expires_us=NOW + 600_000_000)
        _, surplus = store.put(made, new.encode(), new, b"x", None, None, now_us)
        store.remove(surplus)
    assert ids(store) == ["alive", "longer", "a", "b"]


def test_an_entry_that_saves_more_outlives_one_that_saves_less(open_store: Opener) -> None:
    store = open_store(max_entries=3)
    for name, worth in (("dear", 500), ("cheap", 10), ("middling", 50)):
        put(store, name, worth=worth, payload=b"x" * 100)
    put(store, "new", worth=1, payload=b"x" * 100)
    assert sorted(ids(store)) == ["dear", "middling", "new"]


def test_a_small_entry_outlives_a_large_one_of_the_same_worth(open_store: Opener) -> None:
    store = open_store(max_entries=2)
    put(store, "small", payload=b"x" * 10)
    put(store, "large", payload=b"x" * 1000)
    put(store, "new", payload=b"x" * 10)
    assert ids(store) == ["small", "new"]


def test_hits_worth_and_bytes_weigh_as_their_product_says(open_store: Opener) -> None:
    def kept(hits: int) -> list[str]:
        store = open_store(max_entries=2)
        store.remove(store.select())
        put(store, "much", worth=30, payload=b"x" * 1000)
        put(store, "used", worth=10, payload=b"x" * 1000)
        for _ in range(hits - 1):  # to be stored is the first
            store.payload("used")
        put(store, "new", worth=1, payload=b"x" * 1000)
        return sorted(ids(store))

    assert kept(hits=2) == ["much", "new"]
    assert kept(hits=4) == ["new", "used"]


def test_what_is_no_longer_used_falls_behind(open_store: Opener) -> None:
    store = open_store(max_entries=2)
    put(store, "once")
    for _ in range(5):
        store.payload("once")
    for number in range(20):
        put(store, f"new{number}")
    assert "once" not in ids(store)


def test_what_is_used_again_and_again_stays(open_store: Opener) -> None:
    store = open_store(max_entries=2)
    put(store, "always")
    for number in range(200):
        store.payload("always")
        put(store, f"new{number}")
    assert ids(store) == ["always", "new199"]


@pytest.mark.parametrize("worth", [0, -5])
def test_worth_nothing_counts_as_the_least(open_store: Opener, worth: int) -> None:
    store = open_store(max_entries=2)
    put(store, "nothing", worth=worth)
    store.payload("nothing")
    put(store, "a", worth=1)
    put(store, "b", worth=1)
    assert ids(store) == ["nothing", "b"]


def test_another_anchor_makes_an_entry_heavier(open_store: Opener) -> None:
    store = open_store(max_entries=2)
    put(store, "a", worth=2)
    put(store, "b", worth=1)
    store.add_anchor("a", b"long", "x" * 5000, None, None)
    put(store, "c", worth=1)
    assert ids(store) == ["b", "c"]


def test_bytes_are_those_of_payloads_texts_answers_and_vectors(open_store: Opener) -> None:
    before = open_store()
    group = put_group(before, answer="schön")
    assert before.bytes == 6 + 8
    put(before, "a", payload=b"x" * 100, group_id=group.id)
    assert before.bytes == 14 + 100 + len("text a") + 8
    before.add_anchor("a", b"k", "grün", "e1", None)
    assert before.bytes == 128 + 5
    after = open_store()
    load(after)
    loaded_groups(after)
    assert after.bytes == 133
    put_wording(after, group)
    assert after.bytes == 133 + len("in other words") + 8
    again = open_store()
    load(again)
    loaded_groups(again)
    assert len(list(again.load_wordings("e1"))) == 1
    assert again.bytes == after.bytes
    after.remove([entry("a")])
    assert after.bytes == 14 + 22
    after.remove_group(group.id)
    assert after.bytes == 0


def test_beyond_the_bytes_as_much_goes_as_must(open_store: Opener) -> None:
    store = open_store(max_bytes=1000)
    for name in "abcd":
        put(store, name, encoder=None, payload=b"x" * 200)
    put(store, "e", encoder=None, payload=b"x" * 400)
    assert ids(store) == ["c", "d", "e"]
    assert store.bytes <= 1000


def test_the_answer_of_a_group_goes_with_its_last_entry(open_store: Opener) -> None:
    store = open_store(max_bytes=1000)
    group = put_group(store, answer="x" * 500, encoder=None)
    put(store, "a", encoder=None, payload=b"x" * 100, group_id=group.id)
    put(store, "b", encoder=None, payload=b"x" * 100, group_id=group.id)
    put(store, "c", encoder=None, payload=b"x" * 100, group_id=99)
    _, surplus = store.put(entry("d", group_id=99), b"d", "", b"x" * 750, None, None)
    assert [each.id for each in surplus] == ["a", "b"]  # with the answer of their group that is enough


def test_an_answer_too_large_for_the_store_goes_alone(open_store: Opener) -> None:
    store = open_store(max_bytes=1000)
    put(store, "a", payload=b"x" * 100)
    _, surplus = store.put(entry("large"), b"large", "", b"x" * 1001, None, None)
    assert [each.id for each in surplus] == ["large"]


def test_a_lower_bound_after_a_restart_holds_from_the_next_entry_on(open_store: Opener) -> None:
    before = open_store(max_entries=10)
    for number, name in enumerate("abcde"):
        put(before, name, created_us=NOW + number)
    after = open_store(max_entries=2)
    load(after)
    put(after, "f")
    assert ids(after) == ["e", "f"]


def test_much_lower_bounds_are_reached_in_steps_that_keep_nobody_waiting(open_store: Opener) -> None:
    store = open_store(max_entries=1000)
    for number in range(300):
        put(store, f"old{number}")
    store.bound(10, 1 << 20)
    sizes = [len(store)]
    for number in range(10):
        put(store, f"new{number}")
        sizes.append(len(store))
    assert sizes[-1] == 10
    assert all(0 <= before - after < 100 for before, after in itertools.pairwise(sizes))


def test_surplus_that_the_caller_does_not_remove_is_named_again(open_store: Opener) -> None:
    store = open_store(max_entries=1)
    put(store, "a")
    for name, expected in (("b", ["a"]), ("c", ["a", "b"])):
        _, surplus = store.put(entry(name), name.encode(), "", name.encode(), None, None)
        assert sorted(each.id for each in surplus) == expected


def test_a_curated_entry_never_goes_and_nothing_else_has_room_beside_too_many(open_store: Opener) -> None:
    before = open_store(max_entries=2)
    put(before, "plain")
    for name in "abcd":
        put(before, name, is_curated=True, worth=0, payload=b"x" * 1000)
    assert ids(before) == ["a", "b", "c", "d"]
    put(before, "late")
    assert ids(before) == ["a", "b", "c", "d"]
    after = open_store(max_entries=1)
    load(after)
    put(after, "late")
    put(after, "e", is_curated=True)
    assert sorted(ids(after)) == ["a", "b", "c", "d", "e"]


def test_curated_entries_of_a_version_that_their_route_has_no_more_make_room_until_it_is_set_back(
    open_store: Opener,
) -> None:
    before = open_store(max_entries=3)
    for name, version in (("old", "1"), ("older", "1"), ("new", "2")):
        put(before, name, is_curated=True, knowledge_version=version)
    put(before, "elsewhere", is_curated=True, route="other", knowledge_version="1")
    assert len(before) == 4
    before.know_versions({"faq": "2"})
    put(before, "plain", worth=50)
    assert len(before) == 3
    assert {"new", "elsewhere", "plain"} == set(ids(before))

    after = open_store(max_entries=4)
    after.know_versions({"faq": "1"})
    load(after)
    put(after, "old", is_curated=True, knowledge_version="1")
    after.know_versions({"faq": "2"})
    after.know_versions({"faq": "1"})
    put(after, "late", worth=90)
    assert sorted(ids(after)) == ["elsewhere", "late", "old", "plain"]
    for number in range(3):
        put(after, f"late {number}", worth=90)
    assert {"elsewhere", "old"} < set(ids(after))


def test_curated_entries_may_fill_all_bytes(open_store: Opener) -> None:
    store = open_store(max_bytes=1000)
    put(store, "a", is_curated=True, payload=b"x" * 2000)
    put(store, "b", is_curated=True, payload=b"x" * 2000)
    put(store, "c")
    assert ids(store) == ["a", "b"]


def test_payloads_take_a_bounded_amount_of_memory_and_the_file_has_the_others(open_store: Opener, file: Path) -> None:
    store = open_store(payload_bytes=30)  # packed, each takes a dozen
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


def test_payloads_of_all_kinds_come_back_from_memory_as_they_were(open_store: Opener, file: Path) -> None:
    payloads = (b"\0", b'{"answer": "yes"}', b'{"answer": "no"}', b"x" * 100_000, bytes(range(256)))
    store = open_store(payload_bytes=1 << 20)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")  # the file has none of them
        for number, payload in enumerate(payloads):
            put(store, f"e{number}", payload=payload)
        assert [store.payload(f"e{number}") for number in range(len(payloads))] == list(payloads)
        other.execute("rollback")


def test_the_payload_of_the_absent_is_none(store: EntryStore) -> None:
    assert store.payload("nobody") is None


Step = tuple[str, int, int, int]
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["put", "put", "put", "curated"]), *[st.integers(0, n) for n in (15, 20, 120)]),
        st.tuples(st.sampled_from(["use", "remove"]), st.integers(0, 15), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), *[st.just(0)] * 3),
    ),
    max_size=40,
)


class Model:
    """The store as a reader of the paper would write it: everything is computed anew each time."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self.max_entries, self.max_bytes = max_entries, max_bytes
        self.entries: dict[str, Entry] = {}
        self.sizes: dict[str, int] = {}
        self.restart()

    def restart(self) -> None:
        self.clock = 0.0
        self.hits = dict.fromkeys(self.entries, 1)
        self.clocks = dict.fromkeys(self.entries, 0.0)

    def priority(self, name: str) -> float:
        return self.clocks[name] + self.hits[name] * max(self.entries[name].worth, 1) / max(self.sizes[name], 1)

    def put(self, made: Entry, size: int) -> None:
        self.entries[made.id], self.sizes[made.id] = made, size
        self.hits[made.id], self.clocks[made.id] = 1, self.clock

    def use(self, name: str) -> None:
        self.hits[name] += 1
        self.clocks[name] = self.clock

    def holds(self, names: set[str]) -> bool:
        return len(names) <= self.max_entries and sum(self.sizes[name] for name in names) <= self.max_bytes

    def evict(self, newest: str, gone: list[str]) -> None:
        """Checks that just these had to go, and lets them go."""
        curated = {name for name, each in self.entries.items() if each.is_curated}
        present = set(self.entries)
        left = present - set(gone)
        assert len(set(gone)) == len(gone)
        assert not curated & set(gone)
        assert self.holds(left) or left <= curated
        assert (newest in gone) == (newest not in curated and not self.holds(curated | {newest}))
        others = [name for name in gone if name != newest]
        if others:
            dearest = max(others, key=self.priority)
            assert not self.holds(left | {dearest}), "more went than had to"
            assert all(self.priority(dearest) <= self.priority(name) for name in left - curated - {newest})
            self.clock = max(self.clock, self.priority(dearest))
        for name in gone:
            del self.entries[name]


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 8), st.integers(50, 600))
def test_the_store_does_what_a_plain_model_does(steps: list[Step], max_entries: int, max_bytes: int) -> None:
    faults: list[Exception] = []
    model = Model(max_entries, max_bytes)
    payloads: dict[str, bytes] = {}
    with TemporaryDirectory() as folder, ExitStack() as present:

        def opened() -> EntryStore:
            present.close()
            engine = open_database(Path(folder) / "cache.db", CACHE_MIGRATIONS)
            present.callback(engine.dispose)
            store = EntryStore(
                engine, max_entries=max_entries, max_bytes=max_bytes, payload_bytes=200, on_error=faults.append
            )
            present.callback(store.close)
            assert {each[0] for each in load(store)} == set(model.entries)
            return store

        store = opened()
        for what, number, worth, size in [*steps, ("restart", 0, 0, 0)]:
            name = f"e{number:02}"
            if what == "restart":
                store = opened()
                model.restart()
            elif what == "remove":
                store.remove([entry(name)])
                model.entries.pop(name, None)
            elif what == "use" and name in model.entries:
                store.flush()
                assert store.payload(name) == payloads[name]
                model.use(name)
            elif what in ("put", "curated") and name not in model.entries:
                made = entry(name, worth=worth, group_id=number % 3, is_curated=what == "curated", created_us=number)
                payloads[name] = name.encode() * (size // 3)
                _, surplus = store.put(made, name.encode(), name, payloads[name], None, None)
                model.put(made, len(payloads[name]) + 3)
                model.evict(name, [each.id for each in surplus])
                store.remove(surplus)
            assert {each.id: each for each in store.select()} == model.entries
            assert store.bytes == sum(model.sizes[name] for name in model.entries)
            for group in range(3):
                wanted = {name for name, each in model.entries.items() if each.group_id == group}
                assert {each.id for each in store.entries_of_group(group)} == wanted
    assert faults == []


# --- Removal ------------------------------------------------------------------------------------------------


def test_removing_an_entry_removes_all_its_anchors(open_store: Opener, file: Path) -> None:
    before = open_store()
    first = put(before, "a")
    second = before.add_anchor("a", b"\x77", "another text", "e1", VECTOR)
    assert second is not None
    store = open_store()
    assert load(store) == [("a", "text a", True), ("a", "another text", True)]
    assert store.remove([entry("a")]) == [first, second]
    assert (store.by_key(b"key a"), store.by_key(b"\x77"), store.by_anchor(second.id)) == (None, None, None)
    assert (store.entry("a"), store.anchors_of("a"), store.entries_of_group(1)) == (None, [], [])
    store.flush()
    assert (rows(file), rows(file, "anchors"), store.payload("a")) == (0, 0, None)


def test_the_payload_of_a_removed_entry_is_gone_at_once(open_store: Opener) -> None:
    store = open_store(payload_bytes=0)
    put(store, "a")
    store.flush()
    store.remove([entry("a")])
    assert store.payload("a") is None


def test_what_is_removed_before_it_was_written_never_comes_back(open_store: Opener, file: Path) -> None:
    store = open_store()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for number in range(50):
            put(store, f"e{number}")
            store.add_anchor(f"e{number}", b"k%d" % number, "text", None, None)
        store.remove(store.select())
        other.execute("rollback")
    assert load(open_store()) == []
    assert rows(file, "anchors") == 0


def test_removing_the_absent_is_no_error(store: EntryStore, faults: list[Exception]) -> None:
    put(store, "a")
    assert len(store.remove([entry("nobody"), entry("a"), entry("a")])) == 1
    store.flush()
    assert faults == []


def test_removing_an_older_entry_leaves_the_newer_one_of_its_key(store: EntryStore) -> None:
    store.put(entry("old"), b"key", "text", b"", None, None)
    store.put(entry("new"), b"key", "text", b"", None, None)
    store.remove([entry("old")])
    found = store.by_key(b"key")
    assert found is not None
    assert found[1].id == "new"


# --- Selection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, "abc"),
        ({"team": "support", "route": None}, "ab"),
        ({"team": "support", "route": "faq"}, "a"),
        ({"env": "dev"}, "c"),
        ({"id": "c"}, "c"),
        ({"id": "nobody"}, ""),
        ({"id": "c", "team": "support"}, ""),
        ({"shared": "all"}, "b"),
        ({"group_id": 7}, "bc"),
        ({"group_id": 7, "team": "sales"}, "c"),
        ({"group_id": 8}, ""),
        ({"knowledge_version": "v2"}, "a"),
        ({"writer": "importer"}, "b"),
        ({"tag": "prices"}, "ac"),
        ({"tag": "price"}, ""),
        ({"tag": "prices", "team": "sales"}, "c"),
        ({"is_curated": True}, "b"),
        ({"is_curated": False}, "ac"),
        ({"is_curated": None}, "abc"),
    ],
)
def test_entries_are_selected_by_all_that_is_given(store: EntryStore, wanted: dict[str, Any], found: str) -> None:
    put(store, "a", tags=("prices", "old"), knowledge_version="v2")
    put(store, "b", route="billing", shared="all", writer="importer", group_id=7, is_curated=True)
    put(store, "c", team="sales", env="dev", tags=("prices",), group_id=7)
    assert [each.id for each in store.select(**wanted)] == list(found)


# --- Changes ------------------------------------------------------------------------------------------------


def test_what_may_change_of_an_entry_changes_for_good_and_nothing_else(open_store: Opener) -> None:
    before = open_store()
    put(before, "a")
    changed = entry(
        "a",
        tags=("z", "b", "z"),
        created_us=NOW + 3,
        expires_us=NOW + 9,
        source="faq.csv:2",
        askers=("u1", "u2", "u1"),
        group_id=5,
        team="thieves",
        worth=99,
    )
    kept = entry(
        "a",
        tags=("b", "z"),
        created_us=NOW + 3,
        expires_us=NOW + 9,
        source="faq.csv:2",
        askers=("u1", "u2"),
        group_id=5,
    )
    assert before.replace(changed) == kept
    assert before.entry("a") == kept
    assert (before.entries_of_group(1), before.entries_of_group(5)) == ([], [kept])
    after = open_store()
    load(after)
    assert after.select() == [kept]


def test_no_more_askers_are_kept_than_anyone_needs(store: EntryStore) -> None:
    put(store, "a", askers=tuple(str(number) for number in range(100)))
    (kept,) = store.select()
    assert kept.askers == tuple(str(number) for number in range(ASKERS_AT_MOST))


def test_an_entry_changes_its_group_for_good(open_store: Opener) -> None:
    before = open_store()
    for name in "abc":
        put(before, name)
    assert before.regroup("b", 2) == entry("b", group_id=2)
    assert [each.id for each in before.entries_of_group(1)] == ["a", "c"]
    assert before.entries_of_group(2) == [entry("b", group_id=2)]
    after = open_store()
    load(after)
    assert [each.id for each in after.entries_of_group(1)] == ["a", "c"]
    assert after.entries_of_group(2) == [entry("b", group_id=2)]


def test_another_prompt_leads_to_the_entry_for_good(open_store: Opener) -> None:
    before = open_store()
    put(before, "a")
    anchor = before.add_anchor("a", b"other key", "other text", "e1", VECTOR)
    assert anchor is not None
    assert before.by_key(b"other key") == before.by_anchor(anchor.id) == (anchor, entry("a"))
    assert [each.text for each in before.anchors_of("a")] == ["text a", "other text"]
    after = open_store()
    assert load(after) == [("a", "text a", True), ("a", "other text", True)]
    assert after.by_key(b"other key") == (anchor, entry("a"))


@pytest.mark.parametrize("is_written", [True, False])
def test_a_prompt_that_is_taken_away_leaves_the_others_for_good(open_store: Opener, *, is_written: bool) -> None:
    before = open_store()
    own = put(before, "a")
    size = before.bytes
    added = before.add_anchor("a", b"other key", "other text", "e1", VECTOR)
    assert added is not None
    if is_written:
        before.flush()
    assert [before.is_own_question(each) for each in (own, added)] == [True, False]
    before.remove_anchor(added, VECTOR)
    before.remove_anchor(added, VECTOR)
    assert (before.by_key(b"other key"), before.by_anchor(added.id), before.bytes) == (None, None, size)
    assert before.anchors_of("a") == [own]
    after = open_store()
    assert load(after) == [("a", "text a", True)]
    assert after.by_key(own.exact_key) == (own, entry("a"))


def test_a_quarantine_lasts_until_it_is_taken_off(open_store: Opener) -> None:
    store = open_store()
    anchor = put(store, "a")
    marked = structs.replace(anchor, is_quarantined=True)
    assert store.quarantine(anchor.id, True) == marked
    assert store.by_key(b"key a") == store.by_anchor(anchor.id) == (marked, entry("a"))
    assert store.anchors_of("a") == [marked]
    store = open_store()
    assert [found for found, _, _ in store.load("e1", NOW)] == [marked]
    assert store.quarantine(anchor.id, False) == anchor
    store = open_store()
    assert [found for found, _, _ in store.load("e1", NOW)] == [anchor]


def test_the_last_of_several_changes_holds(open_store: Opener, file: Path) -> None:
    before = open_store()
    anchor = put(before, "a")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for number in range(20):
            before.regroup("a", number)
            before.quarantine(anchor.id, number % 2 == 0)
            before.update_group(1, b"%d" % number)
            before.save_certificate("faq", b"%d" % number, NOW)
        other.execute("rollback")
    after = open_store()
    ((found, owner, _),) = list(after.load("e1", NOW))
    assert (owner.group_id, found.is_quarantined, after.load_certificates()) == (19, False, {"faq": b"19"})


def test_a_change_to_what_already_is_so_writes_nothing(
    store: EntryStore, other: sqlite3.Connection, faults: list[Exception]
) -> None:
    anchor = put(store, "a")
    store.flush()
    other.execute("create trigger no before update on entries begin select raise(abort, 'no'); end")
    other.execute("create trigger never before update on anchors begin select raise(abort, 'no'); end")
    assert store.replace(entry("a")) == store.regroup("a", 1) == entry("a")
    assert store.quarantine(anchor.id, False) == anchor
    store.flush()
    assert faults == []


def test_changing_the_absent_is_none_and_no_error(store: EntryStore, faults: list[Exception]) -> None:
    assert store.replace(entry("nobody")) is None
    assert store.regroup("nobody", 3) is None
    assert store.quarantine(99, True) is None
    assert store.add_anchor("nobody", b"key", "text", None, None) is None
    store.update_group(99, b"")
    store.remove_group(99)
    store.remove_certificate("nowhere")
    store.flush()
    assert faults == []
    assert store.entries_of_group(3) == []


# --- Groups -------------------------------------------------------------------------------------------------


def test_everything_about_a_group_survives_a_restart(open_store: Opener) -> None:
    before = open_store()
    group = put_group(before, answer="schön")
    bare = put_group(before, encoder=None)
    put(before, "a", group_id=group.id)
    put(before, "b", group_id=bare.id)
    after = open_store()
    load(after)
    (first, vector), (second, none) = list(after.load_groups("e1"))
    assert (first, second, none) == (group, bare, None)
    assert vector is not None
    assert vector.tolist() == VECTOR.tolist()
    assert loaded_groups(after, encoder="e2") == [(group, False), (bare, False)]
    assert loaded_groups(after, encoder=None) == [(group, False), (bare, False)]


def test_groups_that_no_entry_uses_are_deleted_at_start(open_store: Opener, file: Path) -> None:
    before = open_store()
    used, of_expired, unused = (put_group(before) for _ in range(3))
    put(before, "a", group_id=used.id)
    put(before, "b", group_id=of_expired.id, expires_us=NOW)
    assert unused.id not in (used.id, of_expired.id)
    after = open_store()
    load(after)
    assert loaded_groups(after) == [(used, True)]
    assert cells(file, "select id from groups") == [used.id]


def test_no_group_has_the_id_of_another(open_store: Opener) -> None:
    before = open_store()
    first = put_group(before)
    put(before, "a", group_id=10)
    assert (first.id, before.next_group_id(), before.next_group_id()) == (1, 11, 12)
    assert open_store().next_group_id() == 11


def test_what_a_group_has_learnt_and_that_it_is_gone_survive_a_restart(open_store: Opener) -> None:
    before = open_store()
    kept, gone = put_group(before), put_group(before)
    put(before, "a", group_id=kept.id)
    put(before, "b", group_id=gone.id)
    before.flush()
    before.update_group(kept.id, b"\x00more")
    before.remove_group(gone.id)
    after = open_store()
    load(after)
    assert loaded_groups(after) == [(structs.replace(kept, evidence=b"\x00more"), True)]
    assert [each.id for each in after.entries_of_group(gone.id)] == ["b"]


def test_the_wordings_of_a_group_survive_a_restart(open_store: Opener, file: Path) -> None:
    before = open_store()
    group, other = put_group(before), put_group(before)
    put(before, "a", group_id=group.id)
    put(before, "b", group_id=other.id)
    wordings = [put_wording(before, group), put_wording(before, other, strain=7), put_wording(before, group)]
    strange = put_wording(before, group, encoder="e2")
    before.put_group(structs.replace(group, evidence=b"more"), VECTOR)
    after = open_store()
    load(after)
    loaded_groups(after)
    found = list(after.load_wordings("e1"))
    assert [wording for wording, _ in found] == wordings
    assert all(vector.tolist() == VECTOR.tolist() for _, vector in found)
    assert [wording for wording, _ in after.load_wordings("e2")] == [strange]
    assert list(after.load_wordings(None)) == []
    assert after.next_group_id() > strange.id, "an id is never given twice"


@pytest.mark.parametrize("is_written", [True, False])
def test_the_wordings_of_a_group_go_with_it_unless_another_has_them_now(
    open_store: Opener, file: Path, *, is_written: bool
) -> None:
    before = open_store()
    kept, gone = put_group(before), put_group(before)
    put(before, "a", group_id=kept.id)
    taken, left = put_wording(before, gone), put_wording(before, gone)
    if is_written:
        before.flush()
    before.remove_group(gone.id)
    before.put_wording(structs.replace(taken, group_id=kept.id), VECTOR)
    before.flush()
    assert cells(file, "select id from wordings") == [taken.id] != [left.id]
    before.remove([entry("a")])
    before.remove_group(kept.id)
    before.flush()
    assert (before.bytes, rows(file, "wordings")) == (0, 0)


def test_wordings_whose_group_never_reached_the_file_are_deleted_at_start(open_store: Opener, file: Path) -> None:
    before = open_store()
    put_wording(before, StoredGroup(1, b"scope", b"identity", "answer", None, b""))
    after = open_store()
    load(after)
    loaded_groups(after)
    assert rows(file, "wordings") == 0


def test_what_is_known_of_scopes_survives_a_restart_while_they_have_entries(open_store: Opener, file: Path) -> None:
    before = open_store()
    put(before, "a", scope=b"used")
    put(before, "b", scope=b"used too")
    for scope, evidence in ((b"used", b"old"), (b"used too", b"other"), (b"unused", b"more"), (b"used", b"new")):
        before.save_scope(scope, evidence)
        before.flush()
    after = open_store()
    load(after)
    assert list(after.load_scopes().items()) == [(b"used too", b"other"), (b"used", b"new")]
    assert rows(file, "scopes") == 2


def test_of_many_scopes_those_that_were_saved_last_are_kept(open_store: Opener, file: Path) -> None:
    store = open_store()
    with closing(sqlite3.connect(file)) as connection:
        known = [(b"%d" % number, b"") for number in range(SCOPES_AT_MOST)]
        connection.executemany("insert into scopes values (?, ?)", known)
        connection.commit()
    store.save_scope(b"0", b"again")
    store.save_scope(b"new", b"")
    store.flush()
    assert rows(file, "scopes") == SCOPES_AT_MOST
    assert cells(file, "select scope from scopes order by rowid")[-2:] == [b"0", b"new"]
    assert b"1" not in cells(file, "select scope from scopes")


def test_of_a_group_that_is_put_twice_the_second_stays(open_store: Opener, faults: list[Exception]) -> None:
    before = open_store()
    group = StoredGroup(1, b"scope", b"identity", "first", None, b"")
    put(before, "a", encoder=None, payload=b"x")
    for answer in ("first", "first", "second"):
        before.update_group(1, b"from before")
        before.put_group(structs.replace(group, answer=answer), None)
    assert before.bytes == len("x" + "text a" + "second")
    after = open_store()
    load(after)
    assert loaded_groups(after) == [(structs.replace(group, answer="second"), False)]
    assert faults == []


def test_a_group_that_goes_before_it_was_written_never_comes_back(store: EntryStore, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for _ in range(5):
            store.remove_group(put_group(store).id)
        other.execute("rollback")
    store.flush()
    assert rows(file, "groups") == 0


def test_a_group_that_goes_while_it_is_put_a_second_time_goes_from_the_file_too(store: EntryStore, file: Path) -> None:
    group = put_group(store, encoder=None)
    store.flush()
    store.put_group(structs.replace(group, encoder="e1"), VECTOR)  # its answer's vector is known now
    store.remove_group(group.id)
    store.flush()
    assert rows(file, "groups") == 0


def test_of_a_long_answer_a_group_keeps_the_start(open_store: Opener) -> None:
    before = open_store()
    put(before, "a", group_id=put_group(before, answer="x" * 5000).id)
    after = open_store()
    load(after)
    ((group, _),) = loaded_groups(after)
    assert len(group.answer) == of_entries.TEXT_AT_MOST


# --- Certificates -------------------------------------------------------------------------------------------


def test_each_route_has_its_newest_certificate_also_after_a_restart(open_store: Opener, file: Path) -> None:
    before = open_store()
    before.save_certificate("faq", b"old", NOW)
    before.save_certificate("billing", b"\x00", NOW)
    before.flush()
    before.save_certificate("faq", b"new", NOW + 1)
    before.save_certificate("legal", b"gone", NOW)
    before.remove_certificate("legal")
    after = open_store()
    assert after.load_certificates() == {"faq": b"new", "billing": b"\x00"}
    assert cells(file, "select saved_us from certificates where route = 'faq'") == [NOW + 1]
    after.remove_certificate("billing")
    assert open_store().load_certificates() == {"faq": b"new"}


# --- Doubts -------------------------------------------------------------------------------------------------


def test_everything_about_a_doubt_survives_a_restart(open_store: Opener) -> None:
    add_doubt(open_store())
    expected = Doubt(
        id=1,
        at_us=NOW,
        route="faq",
        team="support",
        anchor_id=1,
        entry_id="a",
        group_id=1,
        request_id="r1",
        asked="How late?",
        stored_question="How early?",
        stored_answer="At eight.",
        fresh_answer="At ten.",
        p=0.97,
        verdict="wrong",
        ruling=None,
    )
    assert open_store().doubts() == [expected]


def test_doubts_come_newest_first_and_as_many_as_asked_for(store: EntryStore) -> None:
    for number in range(6):
        add_doubt(store, route="faq" if number % 2 else "billing", request_id=f"r{number}")
    store.flush()
    assert [each.request_id for each in store.doubts(limit=3)] == ["r5", "r4", "r3"]
    assert [each.request_id for each in store.doubts("faq")] == ["r5", "r3", "r1"]


def test_a_doubt_that_was_ruled_on_is_no_longer_open(open_store: Opener) -> None:
    store = open_store()
    add_doubt(store, request_id="r1")
    add_doubt(store, request_id="r2", verdict="unclear")
    store.flush()
    ruled = store.rule(2, "right")
    assert ruled is not None
    assert (ruled.request_id, ruled.verdict, ruled.ruling) == ("r2", "unclear", "right")
    store = open_store()
    assert [each.request_id for each in store.doubts()] == ["r1"]
    assert [(each.request_id, each.ruling) for each in store.doubts(only_open=False)] == [("r2", "right"), ("r1", None)]


def test_a_ruling_that_is_not_in_the_file_yet_is_known(open_store: Opener, file: Path) -> None:
    store = open_store()
    add_doubt(store, request_id="r1")
    store.flush()
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN IMMEDIATE")  # the file is locked
        store.rule(1, "right")
        found = store.doubt(1)
        assert found is not None
        assert found.ruling == "right"
        assert store.doubts() == []


def test_a_ruling_on_no_doubt_is_none(store: EntryStore) -> None:
    assert store.rule(1, "wrong") is None


def test_the_newest_doubts_are_kept_and_no_id_is_given_twice(open_store: Opener, file: Path) -> None:
    surplus = 7
    store = open_store()
    for number in range(of_entries.DOUBTS_AT_MOST + surplus):
        add_doubt(store)
        if number % 2000 == 0:
            store.flush()
    store = open_store()
    assert rows(file, "doubts") == of_entries.DOUBTS_AT_MOST
    assert cells(file, "select min(id) from doubts") == [surplus + 1]
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("delete from doubts")
        connection.commit()
    add_doubt(store)
    store.flush()
    assert cells(file, "select id from doubts") == [of_entries.DOUBTS_AT_MOST + surplus + 1]


def test_long_texts_of_a_doubt_are_cut(store: EntryStore) -> None:
    add_doubt(store, asked="x" * 9000, fresh_answer="y" * 9000)
    store.flush()
    (doubt,) = store.doubts()
    assert len(doubt.asked) == len(doubt.fresh_answer) == of_entries.TEXT_AT_MOST


def test_minutes_in_which_nothing_expires_any_more_take_no_memory() -> None:
    expiries = Expiries()
    for minute in range(10_000):
        for name in "aba":
            expiries.add(name, minute * MINUTE_US)
            expiries.drop(name, minute * MINUTE_US)
    assert len(expiries._ending) + len(expiries._minutes) < 200


def test_what_expires_in_one_minute_is_named_once_however_often_it_left_that_minute() -> None:
    expiries = Expiries()
    for name in "abab":
        expiries.add(name, MINUTE_US)
        assert list(expiries.over(MINUTE_US)) == [name]
        expiries.drop(name, MINUTE_US)
    expiries.add("c", MINUTE_US)
    expiries.add("d", 2 * MINUTE_US)
    assert list(expiries.over(MINUTE_US - 1)) == []
    for _ in range(2):
        assert list(expiries.over(2 * MINUTE_US)) == ["c", "d"]


# --- Export -------------------------------------------------------------------------------------------------


def test_an_export_has_everything_about_each_entry(open_store: Opener) -> None:
    before = open_store()
    group = put_group(before)
    first = put(before, "a", group_id=group.id, tags=("b", "a"), payload=b"the payload")
    before.add_anchor("a", b"k2", "text 2", None, None)
    before.quarantine(first.id, True)
    put(before, "b", group_id=99)
    after = open_store()
    load(after)
    exported = list(after.export())
    assert exported[0] == {
        **structs.asdict(entry("a", group_id=group.id, tags=("a", "b"))),
        "payload": b"the payload",
        "answer": "the answer",
        "anchors": [
            {"text": "text a", "exact_key": b"key a", "is_quarantined": True},
            {"text": "text 2", "exact_key": b"k2", "is_quarantined": False},
        ],
    }
    assert (exported[1]["id"], exported[1]["answer"]) == ("b", None)
    assert [each["payload"] for each in exported] == [b"the payload", b"b"]


def test_an_export_leaves_out_what_is_removed_meanwhile(open_store: Opener) -> None:
    store = open_store(max_entries=300)
    for number in range(200):
        put(store, f"e{number:03}")
    store.flush()
    export = store.export()
    seen = [next(export)["id"]]
    store.remove([each for each in store.select() if each.id > "e009"])
    seen += [each["id"] for each in export]
    assert seen == [f"e{number:03}" for number in range(10)]


class Removing(dict[Any, Any]):
    """Whatever is looked up goes from the store that moment, as by another thread."""

    def __init__(self, known: dict[Any, Any], store: EntryStore) -> None:
        super().__init__(known)
        self._store = store

    def get(self, key: Any, default: Any = None) -> Any:
        found = super().get(key, default)
        self._store.remove([entry("b")])
        return found


@pytest.mark.parametrize("looked_up", ["_entries", "_anchors_of"])
def test_an_export_leaves_out_what_is_removed_the_moment_that_it_is_read(
    store: EntryStore, monkeypatch: pytest.MonkeyPatch, looked_up: str
) -> None:
    put(store, "a")
    put(store, "b")
    store.flush()
    export = store.export()
    assert next(export)["id"] == "a"
    monkeypatch.setattr(store, looked_up, Removing(getattr(store, looked_up), store))
    assert list(export) == []


def test_an_export_does_not_count_as_use(open_store: Opener) -> None:
    store = open_store(max_entries=2)
    put(store, "a")
    put(store, "b")
    store.payload("b")
    store.flush()
    assert len(list(store.export())) == 2
    put(store, "c")
    assert ids(store) == ["b", "c"]


# --- Faults -------------------------------------------------------------------------------------------------


def test_a_failing_write_is_counted_and_the_others_of_its_group_are_kept(
    store: EntryStore, file: Path, other: sqlite3.Connection, faults: list[Exception]
) -> None:
    put(store, "purged")
    flush(store)
    other.execute("create trigger no before insert on entries when new.id = 'bad' begin select raise(abort, 'no'); end")
    other.execute("begin immediate")  # while this holds the file, the writes below gather in one group
    for name in ("first", "before", "bad", "after"):
        put(store, name)
    store.remove([entry("purged")])
    other.execute("rollback")
    flush(store)
    assert [type(fault) for fault in faults] == [sa.exc.IntegrityError]
    assert rows(file) == rows(file, "anchors") == 3
    put(store, "later")
    flush(store)
    assert rows(file) == 4


def test_flush_returns_when_the_file_is_broken(
    store: EntryStore, other: sqlite3.Connection, faults: list[Exception]
) -> None:
    other.execute("drop table entries")
    put(store, "a")
    flush(store)
    assert [type(fault) for fault in faults] == [sa.exc.OperationalError]


def test_an_entry_that_could_not_be_written_still_serves_from_memory(
    store: EntryStore, other: sqlite3.Connection
) -> None:
    other.execute("drop table entries")
    put(store, "a", payload=b"the payload")
    flush(store)
    assert store.by_key(b"key a") is not None
    assert store.payload("a") == b"the payload"


def test_what_a_lock_refused_is_written_when_it_is_gone(file: Path, open_store: Opener) -> None:
    store = open_store(patient=False, pauses_s=(0.01,) * 6000)
    refused = threading.Event()
    sa.event.listen(store._engine, "handle_error", lambda _: refused.set())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        put(store, "a")
        assert refused.wait(60)
        other.execute("rollback")
    flush(store)
    assert rows(file) == 1


def test_what_takes_something_back_survives_a_long_lock(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(patient=False, pauses_s=(0, 0))
    anchors = {name: put(store, name, group_id=put_group(store).id) for name in ("purged", "kept", "expired")}
    put_group(store)
    store.save_certificate("faq", b"loose", NOW)
    flush(store)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        store.remove([entry("purged")])
        store.quarantine(anchors["kept"].id, True)
        store.update_group(2, b"worse")
        store.replace(entry("expired", expires_us=NOW, group_id=3))
        store.save_certificate("faq", b"tight", NOW)
        put(store, "lost")
        flush(store)
        assert [type(fault) for fault in faults] == [sa.exc.OperationalError]
        put(store, "lost too")
        flush(store)
        assert len(faults) == 2
        assert rows(file) == 3
        other.execute("rollback")
    flush(store)
    store = open_store()
    found = list(store.load("e1", NOW))
    assert [(owner.id, anchor.is_quarantined) for anchor, owner, _ in found] == [("kept", True)]
    assert [(group.id, group.evidence) for group, _ in loaded_groups(store)] == [(2, b"worse")]
    assert store.load_certificates() == {"faq": b"tight"}
    assert len(faults) == 2


def test_what_was_refused_is_tried_again_without_a_new_change(file: Path, open_store: Opener) -> None:
    store = open_store(patient=False, pauses_s=(), again_s=0.01)
    put(store, "purged")
    flush(store)
    written = threading.Event()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        store.remove([entry("purged")])
        flush(store)
        sa.event.listen(store._engine, "commit", lambda _: written.set())
        other.execute("rollback")
    assert written.wait(60)  # by itself; now only that the commit has come to its end
    flush(store)
    assert rows(file) == 0


def test_a_purge_that_could_not_be_written_to_the_end_is_reported(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(patient=False, pauses_s=(60,))  # close does not wait for it
    for name in "abc":
        put(store, name)
    flush(store)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        store.remove(store.select(id="a"))
        store.remove(store.select())
        store.close()
        other.execute("rollback")
    *_, last = faults
    assert isinstance(last, Unwritten)
    assert last.changes == 3
    assert "3 removals or updates" in str(last)
    assert rows(file) == 3


def test_on_a_full_disk_a_purge_is_written_and_a_new_entry_is_counted(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(patient=False, pauses_s=(0,))
    put(store, "a")
    flush(store)
    with store._engine.connect() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()
    limit = f"pragma max_page_count={pages}"
    sa.event.listen(store._engine, "checkout", lambda raw, *_: raw.execute(limit).close())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        put(store, "large", payload=b"x" * 1_000_000)
        store.remove([entry("a")])
        other.execute("rollback")
    flush(store)
    assert rows(file) == 0
    assert {type(fault) for fault in faults} <= {sa.exc.OperationalError}
    assert faults
    assert store.payload("large") == b"x" * 1_000_000


def test_when_the_disk_does_not_keep_up_entries_live_in_memory_and_each_is_counted_but_purges_are_not_lost(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(max_entries=10_000)
    room = of_writing._WAITING_AT_MOST
    for name in ("purged", "first"):
        put(store, name)
    store.flush()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for number in range(2 * room + 5):
            store.put(entry(f"e{number}"), b"k%d" % number, "text", b"", None, None)
        lost = len(faults)
        assert lost >= 5
        assert {str(fault) for fault in faults} == {"the cache file does not keep up"}
        assert len(store) == 2 * room + 7
        store.remove([entry("purged")])
        other.execute("rollback")
    flush(store)
    assert rows(file) == 2 * room + 6 - lost
    assert cells(file, "select id from entries where id = 'purged'") == []
    assert len(faults) == lost


def test_large_answers_that_wait_take_a_bounded_amount_of_memory(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(max_bytes=1 << 40)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        payload = b"x" * (of_writing._WAITING_BYTES_AT_MOST // 4)
        for number in range(20):
            put(store, f"e{number}", payload=payload)
        assert len(faults) > 5
        store._writer.cancel([("put", f"e{number}") for number in range(20)])  # they need not be written here
        other.execute("rollback")


def test_removing_what_was_never_written_leaves_nothing_to_do(
    file: Path, open_store: Opener, faults: list[Exception]
) -> None:
    store = open_store(max_entries=100)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        for number in range(3 * of_writing._WAITING_AT_MOST):
            put(store, f"e{number}")  # each of them pushes an older one out
        assert len(store._writer._waiting) <= of_writing._WAITING_AT_MOST
        other.execute("rollback")
    flush(store)
    assert sorted(cells(file, "select id from entries")) == sorted(ids(store))
    assert faults == []


def test_json_lists_in_the_file_are_plain(store: EntryStore, file: Path) -> None:
    put(store, "a", tags=("ü", 'quo"te'), askers=("u1",))
    store.flush()
    (tags,) = cells(file, "select tags from entries")
    assert json.loads(tags) == ['quo"te', "ü"]
