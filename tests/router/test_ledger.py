"""What the ledger's writer promises: a row is in the file when `record` returns, and the chain never breaks."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from app.database import LEDGER_MIGRATIONS, open_database
from router.errors import LedgerUnavailable
from router.ledger import tables
from router.ledger.reader import head, open_reservations, row_count, rows_between, spending_between, verify
from router.ledger.row import COLUMNS, LedgerRow, first_hash, row_hash
from router.ledger.writer import Closing, Ledger, Opening
from tests.router.samples import AT, ledger_row
from tests.running import ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def engine(file: Path) -> Iterator[sa.Engine]:
    opened = open_database(file, LEDGER_MIGRATIONS)
    yield opened
    opened.dispose()


@pytest.fixture
def ledger(engine: sa.Engine) -> Iterator[Ledger]:
    writer = Ledger(engine)
    writer.start()
    yield writer
    writer.stop()


@contextmanager
def started(engine: sa.Engine) -> Iterator[tuple[Ledger, list[LedgerRow]]]:
    """Another process's ledger on the same file, and what it found to recover."""
    writer = Ledger(engine)
    recovered = writer.start()
    try:
        yield writer, recovered
    finally:
        writer.stop()


@contextmanager
def write_lock(file: Path) -> Iterator[None]:
    """Nobody else can write while this holds."""
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


def in_file(file: Path, query: str = "SELECT request_id FROM ledger ORDER BY seq") -> list[str]:
    """The first column of what another connection sees."""
    other = sqlite3.connect(file)
    try:
        return [row[0] for row in other.execute(query)]
    finally:
        other.close()


def change(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as other:
        other.execute(statement)
    other.close()


async def recorded(ledger: Ledger, *names: str) -> list[str]:
    """Records rows of these names at once; the names of those that were refused."""
    waiting = (ledger.record(Closing(ledger_row(name))) for name in names)
    async with asyncio.timeout(20):
        results = await asyncio.gather(*waiting, return_exceptions=True)
    for result in results:
        assert result is None or isinstance(result, LedgerUnavailable)
    return [name for name, result in zip(names, results, strict=True) if result is not None]


# --- in the file ---------------------------------------------------------------------------------------------------


async def test_a_row_is_in_the_file_when_record_returns(ledger: Ledger, file: Path) -> None:
    await ledger.record(Closing(ledger_row("req_1")))

    assert in_file(file) == ["req_1"]


async def test_a_reservation_is_in_the_file_when_open_returns_and_out_of_it_with_its_row(
    ledger: Ledger, file: Path
) -> None:
    await ledger.open(Opening("req_1/1", 5_000, ledger_row("req_1")))
    assert in_file(file, "SELECT id FROM reservations") == ["req_1/1"]

    await ledger.record(Closing(ledger_row("req_1"), "req_1/1"))
    assert in_file(file, "SELECT id FROM reservations") == []
    assert in_file(file) == ["req_1"]


async def test_a_row_comes_back_as_it_was_written(ledger: Ledger, engine: sa.Engine) -> None:
    row = ledger_row("req_é🙂\u2028", labels='{"case": "faq"}', similarity=0.1 + 0.2, rationed=True, end_user="\x00")
    await ledger.record(Closing(row))

    (found,) = rows_between(engine)

    assert found == row
    assert msgspec.json.decode(msgspec.json.encode(found), type=LedgerRow) == row


async def test_rows_that_come_together_share_one_commit(ledger: Ledger, engine: sa.Engine, file: Path) -> None:
    commits: list[None] = []
    sa.event.listen(engine, "commit", lambda connection: commits.append(None))
    names = [f"req_{at}" for at in range(200)]

    with write_lock(file):  # the first commit waits, the others gather behind it
        waiting = asyncio.create_task(recorded(ledger, *names))
        await asyncio.sleep(0.05)
    assert await waiting == []

    assert in_file(file) == names
    assert len(commits) <= 3
    assert verify(engine).problems == []


async def test_nobody_is_told_before_the_commit(ledger: Ledger, file: Path) -> None:
    with write_lock(file):
        waiting = asyncio.create_task(recorded(ledger, "req_1", "req_2"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert in_file(file) == []
    await waiting


async def test_a_waiter_that_was_cancelled_keeps_nobody_else_waiting(ledger: Ledger, file: Path) -> None:
    with write_lock(file):
        tasks = [asyncio.create_task(recorded(ledger, name)) for name in ("req_1", "req_2", "req_3")]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        await asyncio.sleep(0)

    assert await tasks[0] == await tasks[2] == []
    assert in_file(file) == ["req_1", "req_2", "req_3"]


async def test_a_ledger_that_stops_writes_what_waits(engine: sa.Engine, file: Path) -> None:
    with started(engine) as (ledger, _), write_lock(file):
        names = [f"req_{at}" for at in range(5)]
        waiting = [asyncio.create_task(recorded(ledger, name)) for name in names]
        await asyncio.sleep(0.05)
        stopping = asyncio.create_task(asyncio.to_thread(ledger.stop))
        await asyncio.sleep(0.05)

    await stopping
    assert await asyncio.gather(*waiting) == [[]] * 5
    assert in_file(file) == names


async def test_a_ledger_that_does_not_run_refuses_instead_of_keeping_the_caller_waiting(engine: sa.Engine) -> None:
    never_started = Ledger(engine)
    with started(engine) as (stopped, _):
        pass

    assert await recorded(never_started, "req_1") == ["req_1"]
    assert await recorded(stopped, "req_1") == ["req_1"]
    assert row_count(engine) == 0


# --- one chain ---------------------------------------------------------------------------------------------------


async def test_the_chain_goes_on_after_a_restart(engine: sa.Engine, file: Path) -> None:
    with started(engine) as (first, _):
        await recorded(first, "req_1", "req_2")
    with started(engine) as (second, _):
        await recorded(second, "req_3")
        assert second.chain_id == first.chain_id

    assert in_file(file, "SELECT seq FROM ledger ORDER BY seq") == [1, 2, 3]
    verification = verify(engine)
    assert (verification.problems, verification.rows, verification.chain_id) == ([], 3, first.chain_id)


async def test_two_ledgers_have_two_chains(tmp_path: Path) -> None:
    heads = []
    for name in ("a.db", "b.db"):
        engine = open_database(tmp_path / name, LEDGER_MIGRATIONS)
        with started(engine) as (ledger, _):
            await recorded(ledger, "req_1")
        heads.append(head(engine))

    assert heads[0][0] != heads[1][0]
    assert heads[0][1] != heads[1][1]


def test_an_empty_ledger_verifies(ledger: Ledger, engine: sa.Engine) -> None:
    verification = verify(engine)

    assert (verification.problems, verification.rows) == ([], 0)
    assert (verification.chain_id, verification.head) == head(engine)


# --- after a crash -------------------------------------------------------------------------------------------------


async def test_what_was_under_way_is_booked_as_unknown_at_its_reservation_exactly_once(engine: sa.Engine) -> None:
    draft = ledger_row("req_1", status="ok", actual_nano=None, reserved_nano=7_000)
    with started(engine) as (died, _):
        await died.open(Opening("req_1/1", 7_000, draft))
        await died.open(Opening("req_2/1", 9_000, ledger_row("req_2", reserved_nano=9_000)))
        await died.record(Closing(ledger_row("req_2"), "req_2/1"))

    with started(engine) as (_, recovered):
        (row,) = recovered
    with started(engine) as (_, again):
        assert again == []

    assert (row.request_id, row.status, row.pricing, row.usage_source) == ("req_1", "unknown", "unknown", "reserved")
    assert (row.actual_nano, row.error_class) == (7_000, "ProcessDied")
    assert [found.request_id for found in rows_between(engine)] == ["req_2", "req_1"]
    assert open_reservations(engine) == 0
    assert verify(engine).problems == []


async def test_an_audit_that_was_under_way_is_overhead_in_full_and_spent_of_the_part_for_audits(
    engine: sa.Engine,
) -> None:
    draft = ledger_row("audit_1", kind="audit", refers_to="req_1", reserved_nano=7_000)
    with started(engine) as (died, _):
        await died.open(Opening("audit_1/1", 7_000, draft))
        await died.record(Closing(ledger_row("req_2", reserved_nano=9_000)))

    with started(engine) as (_, (row,)):
        assert (row.actual_nano, row.overhead_nano, row.overhead_reason) == (7_000, 7_000, "audit")

    assert [spent.nano for spent in spending_between(engine, 0, 2**62, "audit")] == [7_000]
    assert verify(engine).problems == []


async def test_what_was_under_way_counts_in_the_period_in_which_it_was_reserved(engine: sa.Engine) -> None:
    at_us = int((AT - timedelta(days=1)).timestamp() * 1e6)
    with started(engine) as (died, _):
        await died.open(Opening("req_1/1", 7_000, ledger_row("req_1", at_us=at_us, reserved_nano=7_000)))
    with started(engine):
        pass

    assert [spent.nano for spent in spending_between(engine, at_us, at_us + 1)] == [7_000]
    assert spending_between(engine, at_us + 1, at_us + 9) == spending_between(engine, at_us - 9, at_us) == []


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from app.database import LEDGER_MIGRATIONS, open_database
from router.ledger.writer import Closing, Ledger, Opening
from tests.router.samples import ledger_row

async def main():
    ledger = Ledger(open_database(Path(sys.argv[1]), LEDGER_MIGRATIONS))
    ledger.start()
    await ledger.open(Opening("lost/1", 7_000, ledger_row("lost", reserved_nano=7_000)))
    await asyncio.gather(*(ledger.record(Closing(ledger_row(f"req_{at}"))) for at in range(20)))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def test_a_killed_process_loses_no_row_that_it_had_acknowledged(file: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(file)], cwd=ROOT, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL

    engine = open_database(file, LEDGER_MIGRATIONS)
    with started(engine) as (_, recovered):
        assert [row.request_id for row in recovered] == ["lost"]

    assert in_file(file) == [*(f"req_{at}" for at in range(20)), "lost"]
    assert verify(engine).problems == []


# --- faults --------------------------------------------------------------------------------------------------------


@contextmanager
def full_disk(file: Path) -> Iterator[None]:
    """No file of this process can grow any further."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{file}-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_refuses_everyone_who_waits_and_nobody_after_it(
    ledger: Ledger, engine: sa.Engine, file: Path
) -> None:
    assert await recorded(ledger, "before") == []

    with full_disk(file):
        assert await recorded(ledger, "late_1", "late_2") == ["late_1", "late_2"]
        assert await recorded(ledger, "late_3") == ["late_3"]
        assert in_file(file) == ["before"]

    assert await recorded(ledger, "after_1", "after_2") == []
    assert in_file(file) == ["before", "after_1", "after_2"]
    assert verify(engine).problems == []


async def test_what_a_call_cost_is_written_as_soon_as_a_full_disk_has_room_again(
    ledger: Ledger, engine: sa.Engine, file: Path
) -> None:
    await ledger.open(Opening("paid/1", 7_000, ledger_row("paid")))
    with full_disk(file):
        with pytest.raises(LedgerUnavailable):
            await ledger.record(Closing(ledger_row("paid"), "paid/1"))
        assert await recorded(ledger, "hit") == ["hit"]

    await recorded(ledger, "after")

    assert in_file(file) == ["paid", "after"]
    assert open_reservations(engine) == 0
    assert verify(engine).problems == []


async def test_a_reservation_that_a_full_disk_refused_is_none(ledger: Ledger, engine: sa.Engine, file: Path) -> None:
    await recorded(ledger, "before")
    with full_disk(file), pytest.raises(LedgerUnavailable):
        await ledger.open(Opening("lost/1", 1, ledger_row("lost")))

    await recorded(ledger, "after")

    assert open_reservations(engine) == 0


async def test_what_a_call_cost_is_written_when_the_ledger_stops_if_there_is_room_by_then(
    engine: sa.Engine, file: Path
) -> None:
    with started(engine) as (ledger, _):
        await ledger.open(Opening("paid/1", 7_000, ledger_row("paid")))
        with full_disk(file), pytest.raises(LedgerUnavailable):
            await ledger.record(Closing(ledger_row("paid"), "paid/1"))

    assert in_file(file) == ["paid"]
    assert open_reservations(engine) == 0


async def test_what_a_call_cost_is_booked_at_its_reservation_if_there_was_no_room_to_the_end(engine: sa.Engine) -> None:
    file = Path(str(engine.url.database))
    with started(engine) as (ledger, _):
        await ledger.open(Opening("paid/1", 7_000, ledger_row("paid", reserved_nano=7_000)))
        with full_disk(file):
            with pytest.raises(LedgerUnavailable):
                await ledger.record(Closing(ledger_row("paid"), "paid/1"))
            ledger.stop()

    with started(engine) as (_, recovered):
        assert [(row.request_id, row.status, row.actual_nano) for row in recovered] == [("paid", "unknown", 7_000)]


def make_impatient(engine: sa.Engine) -> None:
    """From now on a locked file is given up after 20 ms."""
    sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=20"))
    engine.dispose()  # connections that are open already keep their patience


async def test_a_file_that_stays_locked_refuses_who_waits_and_the_next_row_follows_the_last_one(
    engine: sa.Engine, file: Path
) -> None:
    make_impatient(engine)
    with started(engine) as (ledger, _):
        with write_lock(file):
            assert await recorded(ledger, "lost_1", "lost_2") == ["lost_1", "lost_2"]
        assert await recorded(ledger, "after") == []

    assert in_file(file) == ["after"]
    assert verify(engine).problems == []


@pytest.mark.parametrize("order", [["paid", "odd"], ["odd", "paid"]])
async def test_a_row_that_can_never_be_written_does_not_stop_the_ledger_though_a_lock_refused_it_at_first(
    engine: sa.Engine, file: Path, order: list[str]
) -> None:
    make_impatient(engine)
    rows = {"paid": ledger_row("paid"), "odd": ledger_row("odd", latency_us=2**63)}
    with started(engine) as (ledger, _):
        for name in order:
            await ledger.open(Opening(f"{name}/1", 7_000, ledger_row(name)))
        with write_lock(file):
            waiting = (ledger.record(Closing(rows[name], f"{name}/1")) for name in order)
            assert all(await asyncio.gather(*waiting, return_exceptions=True))
        assert await recorded(ledger, "after_1", "after_2") == []
        assert await recorded(ledger, "after_3") == []

    assert in_file(file) == ["paid", "after_1", "after_2", "after_3"]
    assert in_file(file, "SELECT id FROM reservations") == ["odd/1"]
    assert verify(engine).problems == []


async def test_a_row_that_cannot_be_written_refuses_its_own_request_and_no_other(
    ledger: Ledger, engine: sa.Engine, file: Path
) -> None:
    with write_lock(file):  # so that all of them are in one group
        fine = asyncio.create_task(recorded(ledger, "fine_1", "fine_2"))
        await asyncio.sleep(0)
        too_large = asyncio.create_task(ledger.record(Closing(ledger_row("odd", latency_us=2**63))))
        more = asyncio.create_task(recorded(ledger, "fine_3"))
        await asyncio.sleep(0.05)

    assert await fine == await more == []
    with pytest.raises(LedgerUnavailable):
        await too_large
    assert in_file(file) == ["fine_1", "fine_2", "fine_3"]
    assert verify(engine).problems == []


async def test_a_refused_row_leaves_its_reservation_open_so_that_its_money_stays_set_aside(
    ledger: Ledger, engine: sa.Engine, file: Path
) -> None:
    await ledger.open(Opening("req_1/1", 7_000, ledger_row("req_1")))
    change(file, "CREATE TRIGGER fault BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'broken'); END")

    with pytest.raises(LedgerUnavailable, match="broken"):
        await ledger.record(Closing(ledger_row("req_1"), "req_1/1"))

    assert open_reservations(engine) == 1
    change(file, "DROP TRIGGER fault")
    await ledger.record(Closing(ledger_row("req_1"), "req_1/1"))
    assert open_reservations(engine) == 0
    assert verify(engine).problems == []


def test_a_ledger_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    nowhere = sa.create_engine(f"sqlite:///{tmp_path / 'missing' / 'ledger.db'}")
    unmigrated = sa.create_engine(f"sqlite:///{tmp_path / 'empty.db'}", poolclass=sa.pool.NullPool)

    for engine in (nowhere, unmigrated):
        with pytest.raises(LedgerUnavailable) as refused:
            Ledger(engine).start()
        assert refused.value.retryable


# --- the schema -----------------------------------------------------------------------------------------------------


def test_the_migrated_schema_is_the_declared_one(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})

        assert compare_metadata(context, tables.metadata) == []


def test_rows_of_an_older_schema_still_verify_in_an_upgraded_file(file: Path) -> None:
    before = sa.create_engine(f"sqlite:///{file}", poolclass=sa.pool.NullPool)
    config = Config()
    config.set_main_option("script_location", str(LEDGER_MIGRATIONS))
    with before.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        values = {name: value for name, value in msgspec.structs.asdict(ledger_row()).items() if name in COLUMNS[3]}
        previous = first_hash("old")
        values |= {"seq": 1, "schema": 3, "previous_hash": previous, "hash": row_hash("old", 1, 3, previous, values)}
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(f":{name}" for name in values)
        connection.execute(sa.text("insert into chain values ('old')"))
        connection.execute(sa.text(f"insert into ledger ({names}) values ({marks})"), values)
        connection.commit()

    upgraded = open_database(file, LEDGER_MIGRATIONS)
    found = verify(upgraded)

    assert (found.rows, found.problems) == (1, [])
    assert next(rows_between(upgraded)) == ledger_row()


def test_opening_a_file_again_keeps_what_is_in_it(engine: sa.Engine, file: Path) -> None:
    with started(engine) as (first, _):
        chain_id = first.chain_id
    with started(open_database(file, LEDGER_MIGRATIONS)) as (second, _):
        assert second.chain_id == chain_id


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_spending_is_summed_by_key_from_a_time_on(ledger: Ledger, engine: sa.Engine) -> None:
    start_us = int(AT.timestamp() * 1e6)
    rows = [
        ledger_row("a", actual_nano=100, at_us=start_us),
        ledger_row("b", actual_nano=20, at_us=start_us + 1),
        ledger_row("c", actual_nano=3, at_us=start_us, app="other-bot", key_id="key_2"),
        ledger_row("d", actual_nano=None, at_us=start_us, team="sales"),
        ledger_row("e", actual_nano=4_000, at_us=start_us - 1),
    ]
    await asyncio.gather(*(ledger.record(Closing(row)) for row in rows))

    found = {(spent.team, spent.app, spent.key_id): spent.nano for spent in spending_between(engine, start_us, 2**62)}

    assert found == {
        ("support", "faq-bot", "key_1"): 120,
        ("support", "other-bot", "key_2"): 3,
        ("sales", "faq-bot", "key_1"): 0,
    }


async def test_rows_are_filtered_by_time_and_value(ledger: Ledger, engine: sa.Engine) -> None:
    for at, team in enumerate(["support", "sales", "support"]):
        await ledger.record(Closing(ledger_row(f"req_{at}", at_us=at, team=team)))

    def found(*between: int | None, **equal: str | None) -> list[str]:
        return [row.request_id for row in rows_between(engine, *between, **equal)]

    assert found() == ["req_0", "req_1", "req_2"]
    assert found(1) == ["req_1", "req_2"]
    assert found(None, 1) == ["req_0"]
    assert found(0, 2, team="support", app=None) == ["req_0"]
