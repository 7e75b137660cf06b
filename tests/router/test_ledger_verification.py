"""What verifying the ledger promises: whatever was changed in the file, the row is named."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from app.database import LEDGER_MIGRATIONS, open_database
from router.ledger import tables
from router.ledger.reader import Problem, as_row, cost_faults, head, recomputed, verify
from router.ledger.row import COLUMNS, SCHEMA, LedgerRow, first_hash, price_columns, row_hash, usage_columns
from router.ledger.writer import Closing, Ledger
from router.savings import REASONS, Savings, of_call, of_hit, of_nothing
from router.usage import Usage
from tests.router.samples import ledger_row, prices, quick, unit_prices, usages

ROWS = 6


@pytest.fixture(scope="module")
def six_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    ledger = Ledger(open_database(path, LEDGER_MIGRATIONS))
    rows = [ledger_row(f"req_{at}", similarity=0.25, entry_id="e", labels="{}") for at in range(1, ROWS + 1)]

    async def fill() -> None:
        for row in rows:
            await ledger.record(Closing(row))

    ledger.start()
    asyncio.run(fill())
    ledger.stop()
    change(path, "PRAGMA wal_checkpoint(TRUNCATE)")  # so that the one file is all there is to copy
    return path


@pytest.fixture
def file(six_rows: Path, tmp_path: Path) -> Path:
    """A ledger of six rows."""
    return Path(shutil.copy(six_rows, tmp_path / "ledger.db"))


def change(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA synchronous=OFF")
        for statement in statements:
            other.execute(statement)
    other.close()


def in_file(file: Path, query: str) -> list[Any]:
    other = sqlite3.connect(file)
    try:
        return other.execute(query).fetchall()
    finally:
        other.close()


def engine_of(file: Path) -> sa.Engine:
    return sa.create_engine(f"sqlite:///{file}", poolclass=sa.pool.NullPool)


def problems(file: Path) -> list[Problem]:
    return list(verify(engine_of(file)).problems)


def named(file: Path) -> set[int]:
    return {problem.seq for problem in problems(file)}


def test_an_untouched_ledger_has_no_problem_and_every_row_is_read(file: Path) -> None:
    read: list[None] = []

    verification = verify(engine_of(file), lambda: read.append(None))

    assert (verification.problems, verification.rows, len(read)) == ([], ROWS, ROWS)


# --- the chain ------------------------------------------------------------------------------------------


def other_value(column: str) -> str:
    """SQL for a value that differs from the present one and is of the same type."""
    kind = tables.rows.c[column].type
    if isinstance(kind, sa.LargeBinary):
        return "x'" + "ab" * 32 + "'"
    if isinstance(kind, sa.Text):
        return f"coalesce({column}, '') || 'x'"
    if isinstance(kind, sa.Boolean):
        return f"1 - {column}"
    return f"coalesce({column}, 0) + 1"


@pytest.mark.parametrize("column", [*LedgerRow.__struct_fields__, "schema", "hash", "previous_hash"])
def test_a_changed_value_is_named_whichever_column_it_is_in(file: Path, column: str) -> None:
    change(file, f"UPDATE ledger SET {column} = {other_value(column)} WHERE seq = 3")

    assert 3 in named(file)
    assert named(file) <= {3, 4}  # a row whose hash was changed is not what the next one follows


@pytest.mark.parametrize("value", ["NULL", "'garbage'", "-1", "0.5", "9223372036854775807", "x'00ff'"])
def test_a_value_that_makes_no_sense_is_named_and_stops_nothing(six_rows: Path, tmp_path: Path, value: str) -> None:
    for name in LedgerRow.__struct_fields__:
        if value == "NULL" and not tables.rows.c[name].nullable:
            continue
        file = Path(shutil.copy(six_rows, tmp_path / f"{name}.db"))
        change(file, f"UPDATE ledger SET {name} = {value} WHERE seq = 3")
        before, after = (in_file(path, f"SELECT {name} FROM ledger WHERE seq = 3") for path in (six_rows, file))

        assert named(file) == ({3} if after != before else set()), name


def test_a_deleted_row_is_named_by_the_one_behind_it_and_by_no_other(file: Path) -> None:
    change(file, "DELETE FROM ledger WHERE seq = 3")

    assert named(file) == {4}
    assert any("row 3 is missing" in problem.what for problem in problems(file))


def test_a_deleted_beginning_is_named(file: Path) -> None:
    change(file, "DELETE FROM ledger WHERE seq <= 2")

    assert named(file) == {3}


def test_a_deleted_end_shows_in_the_head(file: Path) -> None:
    kept = head(engine_of(file))
    change(file, f"DELETE FROM ledger WHERE seq = {ROWS}")

    assert head(engine_of(file)) != kept
    assert verify(engine_of(file)).head != kept[1]


UNNUMBERED = ", ".join(column.name for column in tables.rows.c if column.name != "seq")


@pytest.mark.parametrize(("seq", "of"), [(ROWS + 1, 3), (ROWS + 1, ROWS), (0, 1), (-5, 1), (100, 2)])
def test_an_inserted_row_is_named(file: Path, seq: int, of: int) -> None:
    change(file, f"INSERT INTO ledger (seq, {UNNUMBERED}) SELECT {seq}, {UNNUMBERED} FROM ledger WHERE seq = {of}")

    assert seq in named(file)


def test_reordered_rows_are_named(file: Path) -> None:
    change(
        file,
        "UPDATE ledger SET seq = 99 WHERE seq = 3",
        "UPDATE ledger SET seq = 3 WHERE seq = 4",
        "UPDATE ledger SET seq = 4 WHERE seq = 99",
    )

    assert {3, 4} <= named(file)


def test_a_row_of_another_chain_is_named(file: Path) -> None:
    change(file, "UPDATE chain SET id = 'another'")

    assert named(file) == set(range(1, ROWS + 1))


# --- the money ------------------------------------------------------------------------------------------


def forge(file: Path, seq: int, **values: Any) -> None:
    """Changes a row and then every hash from there on, as someone would who knows how the chain is made."""
    with engine_of(file).begin() as connection:
        chain_id = str(connection.scalar(sa.select(tables.chain.c.id)))
        previous = first_hash(chain_id)
        for record in connection.execute(sa.select(tables.rows).order_by(tables.rows.c.seq)).mappings().all():
            row = dict(record) | (values if record["seq"] == seq else {})
            row |= {"previous_hash": previous, "hash": row_hash(chain_id, record["seq"], SCHEMA, previous, row)}
            connection.execute(tables.rows.update().where(tables.rows.c.seq == record["seq"]).values(row))
            previous = row["hash"]


def test_a_forgery_with_new_hashes_has_an_unbroken_chain_and_another_head(file: Path) -> None:
    kept = head(engine_of(file))
    forge(file, 3, team="sales")

    assert problems(file) == []
    assert head(engine_of(file)) != kept


def test_a_forgery_with_a_new_hash_for_its_own_row_is_named_by_the_next_one(file: Path) -> None:
    with engine_of(file).begin() as connection:
        chain_id = str(connection.scalar(sa.select(tables.chain.c.id)))
        is_third = tables.rows.c.seq == 3
        row = dict(connection.execute(sa.select(tables.rows).where(is_third)).mappings().one()) | {"team": "sales"}
        row["hash"] = row_hash(chain_id, 3, SCHEMA, row["previous_hash"], row)
        connection.execute(tables.rows.update().where(is_third).values(row))

    assert [(problem.seq, problem.what) for problem in problems(file)] == [(4, "does not follow the row before it")]


@pytest.mark.parametrize(
    "values",
    [
        {"actual_nano": 1},
        {"actual_nano": None},
        {"list_nano": 1},
        {"baseline_nano": 10**12},
        {"avoided_downgrade_nano": 10**12},
        {"avoided_exact_nano": 5},
        {"avoided_negotiated_rate_nano": 0},
        {"input_tokens": 5_000},
        {"output_tokens": 0},
        {"paid_input_price": 1},
        {"paid_output_price": None},
        {"baseline_output_price": 10**12},
        {"list_cache_read_price": 0},
        {"disposition": "semantic"},
        {"served_model": None},
        {"rationed": True},
        {"kind": "attempt"},
        {"pricing": "unknown"},
    ],
    ids=str,
)
def test_a_figure_that_does_not_follow_from_its_prices_is_named_though_the_hashes_are_right(
    file: Path, values: dict[str, Any]
) -> None:
    forge(file, 3, **values)

    assert named(file) == {3}


def test_a_problem_says_what_is_booked_and_what_is_due(file: Path) -> None:
    due = ledger_row().actual_nano
    forge(file, 3, actual_nano=1)

    (problem, *_) = problems(file)

    assert (problem.request_id, problem.what) == ("req_3", f"actual_nano is 1, its unit prices give {due}")


def money_columns(money: Savings) -> dict[str, Any]:
    return {
        "baseline_nano": money.baseline_nano,
        "list_nano": money.list_nano,
        "actual_nano": money.actual_nano,
        **{f"avoided_{reason}_nano": money.avoided.get(reason, 0) for reason in REASONS},
    }


@quick
@given(usages, unit_prices, unit_prices, unit_prices, st.booleans())
def test_every_calls_figures_can_be_recomputed_from_its_row_alone(
    usage: Usage, baseline: Any, listed: Any, paid: Any, rationed: bool
) -> None:
    money = of_call(usage, baseline, listed, paid, is_rationed=rationed)
    row = ledger_row(
        rationed=rationed, **usage_columns(usage), **price_columns(baseline, listed, paid), **money_columns(money)
    )

    assert list(cost_faults(row)) == []
    assert recomputed(row) == money
    assert (row.usage, row.list_prices, row.paid_prices) == (usage, listed, paid)


@quick
@given(usages, unit_prices, st.sampled_from(["exact", "semantic", "coalesced"]))
def test_every_hits_figures_can_be_recomputed_from_its_row_alone(usage: Usage, baseline: Any, disposition: Any) -> None:
    money = of_hit(disposition, usage, baseline)
    none = dict.fromkeys(price_columns(None, prices(), prices()))
    row = ledger_row(
        disposition=disposition,
        **(none | price_columns(baseline, None, None)),
        **usage_columns(usage),
        **money_columns(money),
    )

    assert list(cost_faults(row)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "unknown", "pricing": "unknown", "actual_nano": 7, "reserved_nano": 7},
        {"kind": "attempt", "actual_nano": 0, "overhead_nano": 0, **dict.fromkeys(price_columns(None, None, prices()))},
        {"kind": "attempt", "pricing": "unknown", "actual_nano": 7, "reserved_nano": 7, "overhead_nano": 7},
        {"status": "refused", "served_model": None, **money_columns(of_nothing())},
        {"status": "client_closed", "disposition": "exact", **money_columns(of_nothing())},
        {"pricing": "unpriced", **dict.fromkeys(price_columns(prices(), prices(), prices())),
         **money_columns(Savings(None, None, None, {}))},
    ],
)  # fmt: skip
def test_a_row_without_a_price_has_no_fault_where_it_says_so(fields: dict[str, Any]) -> None:
    assert list(cost_faults(ledger_row(**fields))) == []


def test_what_was_booked_as_unknown_is_its_reservation() -> None:
    row = ledger_row(status="unknown", pricing="unknown", actual_nano=6, reserved_nano=7)

    assert list(cost_faults(row)) == ["booked 6, reserved 7"]


@pytest.mark.parametrize(
    ("schema", "columns", "expected"),
    [
        (1, 64, "2be64f198458d9ead803fba6c7e258012fb11cea6385a4c49a4e82e8bec1703b"),
        (2, 68, "05f98a23bfa67b8541a7fe3a1cfd39cf3aae17591d8577c67083620c8d06f44a"),
        (3, 72, "68a7594aca94b096993967d4099dfe90c15c7986c2ef89e605ad8b06ed060db2"),
        (4, 87, "ba133e35747591cf24f5c0663bc11c50955ab26810b2cee8607f8acb379f324b"),
    ],
)
def test_the_hash_of_a_row_stays_what_it_was_when_the_schema_was_made(schema: int, columns: int, expected: str) -> None:
    """Rows are kept for years: a hash that changes means a new SCHEMA with columns of its own."""
    row = LedgerRow(
        request_id="req_1", at_us=1, team="t", app="a", key_id="k", env="prod", route="r",
        requested_model="auto", disposition="miss", similarity=0.5, labels="{}",
    )  # fmt: skip

    assert len(COLUMNS[schema]) == columns
    assert row_hash("chain", 1, schema, first_hash("chain"), msgspec.structs.asdict(row)).hex() == expected


def test_rows_are_read_back_by_name(file: Path) -> None:
    with engine_of(file).connect() as connection:
        record = connection.execute(sa.select(tables.rows).limit(1)).mappings().one()

    assert as_row(record).request_id == "req_1"
