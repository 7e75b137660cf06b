"""Reading the ledger: what was spent, which rows match a filter, and whether every figure can be recomputed."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from router.ledger import tables
from router.ledger.row import COLUMNS, Kind, LedgerRow, first_hash, row_hash
from router.prices import cost_nano
from router.savings import REASONS, Savings, of_call, of_hit, of_nothing

_HITS: Final = ("exact", "semantic", "coalesced")


class Spending(Struct, frozen=True):
    """What one key of one app of one team spent, in nano-dollars."""

    team: str
    app: str
    key_id: str
    env: str
    nano: int


def spending_between(engine: sa.Engine, since_us: int, until_us: int, kind: Kind | None = None) -> list[Spending]:
    """Actual spending of all rows that arrived from `since_us` up to `until_us`, by key, or only of those of one kind
    and of their failed attempts. What nobody can price counts at its reservation."""
    columns = (tables.rows.c.team, tables.rows.c.app, tables.rows.c.key_id, tables.rows.c.env)
    spent = sa.func.coalesce(tables.rows.c.actual_nano, tables.rows.c.reserved_nano)
    query = (
        sa.select(*columns, sa.func.sum(spent).label("nano"))
        .where(tables.rows.c.at_us >= since_us, tables.rows.c.at_us < until_us)
        .group_by(*columns)
    )
    if kind is not None:
        query = query.where(sa.or_(tables.rows.c.kind == kind, tables.rows.c.overhead_reason == kind))
    with engine.connect() as connection:
        return [Spending(row.team, row.app, row.key_id, row.env, row.nano or 0) for row in connection.execute(query)]


class Problem(Struct, frozen=True):
    """One thing that is wrong with one row."""

    seq: int
    request_id: str
    what: str


class Verification(Struct, frozen=True):
    chain_id: str
    rows: int
    head: str
    """Hash of the last row, in hex: keep it elsewhere to notice a ledger that was cut or rewritten."""
    problems: Sequence[Problem]


def head(engine: sa.Engine) -> tuple[str, str]:
    """Chain id, and the hash of the last row in hex."""
    with engine.connect() as connection:
        chain_id = connection.scalar(sa.select(tables.chain.c.id)) or ""
        newest = connection.scalar(sa.select(tables.rows.c.hash).order_by(tables.rows.c.seq.desc()).limit(1))
    return chain_id, (newest or first_hash(chain_id)).hex()


def row_count(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.rows)) or 0


def verify(engine: sa.Engine, on_row: Any = lambda: None) -> Verification:
    """Recomputes the chain and every cost from the stored unit prices. `on_row()` is called once a row."""
    problems: list[Problem] = []
    count = last_seq = 0
    with engine.connect() as connection:
        chain_id = connection.scalar(sa.select(tables.chain.c.id)) or ""
        previous = first_hash(chain_id)
        stored = connection.execution_options(yield_per=1000).execute(
            sa.select(tables.rows).order_by(tables.rows.c.seq)
        )
        for record in stored.mappings():
            count += 1
            problems += [
                Problem(record["seq"], record["request_id"], what)
                for what in _faults(record, chain_id, last_seq + 1, previous)
            ]
            last_seq, previous = record["seq"], record["hash"]
            on_row()
    return Verification(chain_id=chain_id, rows=count, head=previous.hex(), problems=problems)


def _faults(record: Any, chain_id: str, expected_seq: int, previous: bytes) -> Iterator[str]:
    if record["seq"] != expected_seq:
        yield f"row {expected_seq} is missing before it"
    if record["previous_hash"] != previous:
        yield "does not follow the row before it"
    if record["schema"] not in COLUMNS:
        yield f"schema {record['schema']} is newer than this program"
        return
    if row_hash(chain_id, record["seq"], record["schema"], record["previous_hash"], record) != record["hash"]:
        yield "its content does not match its hash"
    row = as_row(record)
    try:
        msgspec.convert(msgspec.structs.asdict(row), LedgerRow)
    except msgspec.ValidationError as error:
        yield f"has a value that is none of its column's: {error}"
        return
    yield from cost_faults(row)


def as_row(record: Any) -> LedgerRow:
    return LedgerRow(**{name: record[name] for name in LedgerRow.__struct_fields__})


def cost_faults(row: LedgerRow) -> Iterator[str]:
    """Every money column that does not follow from the row's tokens and unit prices."""
    if row.pricing == "unknown":
        if row.actual_nano != row.reserved_nano:
            yield f"booked {row.actual_nano}, reserved {row.reserved_nano}"
        return
    if row.kind != "request":
        expected = (cost_nano(row.usage, row.paid_prices) or 0) if row.paid_prices else 0
        if row.actual_nano != expected or row.overhead_nano != expected:
            yield f"actual_nano and overhead_nano should be {expected}"
        return
    savings = recomputed(row)
    for name in ("baseline_nano", "list_nano", "actual_nano"):
        if getattr(row, name) != getattr(savings, name):
            yield f"{name} is {getattr(row, name)}, its unit prices give {getattr(savings, name)}"
    for reason in REASONS:
        booked, due = getattr(row, f"avoided_{reason}_nano"), savings.avoided.get(reason, 0)
        if booked != due:
            yield f"avoided_{reason}_nano is {booked}, its unit prices give {due}"


def recomputed(row: LedgerRow) -> Savings:
    """The row's money from its tokens and stored unit prices alone."""
    is_hit = row.disposition in _HITS
    if row.served_model is None or (is_hit and row.status != "ok"):
        return of_nothing()  # a hit that broke off has saved nothing
    if is_hit:
        return of_hit(row.disposition, row.usage, row.baseline_prices)  # type: ignore[arg-type]
    return of_call(row.usage, row.baseline_prices, row.list_prices, row.paid_prices, is_rationed=row.rationed)


def rows_between(
    engine: sa.Engine,
    since_us: int | None = None,
    until_us: int | None = None,
    **equal: str | None,
) -> Iterator[LedgerRow]:
    """Rows in order of arrival in the chain; `equal` filters columns by value (`team="support"`)."""
    query = sa.select(tables.rows).order_by(tables.rows.c.seq)
    if since_us is not None:
        query = query.where(tables.rows.c.at_us >= since_us)
    if until_us is not None:
        query = query.where(tables.rows.c.at_us < until_us)
    for name, value in equal.items():
        if value is not None:
            query = query.where(tables.rows.c[name] == value)
    with engine.connect() as connection:
        for record in connection.execution_options(yield_per=1000).execute(query).mappings():
            yield as_row(record)


def open_reservations(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(tables.reservations)) or 0
