"""The one writer of the ledger: a thread that orders rows, chains them and commits them in groups.

`open` and `record` return once the row is in the file: it then survives the death of the process (with
`fsync` also the loss of power). Everything that waits while a commit is under way goes into the next one.
"""

import asyncio
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec import Struct

from router.errors import LedgerUnavailable
from router.ledger import tables
from router.ledger.kept import Kept
from router.ledger.row import SCHEMA, LedgerRow, first_hash, row_hash

_GROUP_AT_MOST: Final = 512
_OWED_AT_MOST: Final = 10_000


class Opening(Struct, frozen=True):
    """A reservation that goes into the file before the request goes upstream."""

    reservation_id: str
    amount_nano: int
    draft: LedgerRow
    """The row that is booked if the process dies before the request ends."""


class Closing(Struct, frozen=True):
    """A row, and the reservation that it settles."""

    row: LedgerRow
    reservation_id: str | None = None
    kept: tuple[Kept, ...] = ()
    """By which ids its client may continue the answer, once the row is in the file."""


class _Waiting(Struct):
    change: Opening | Closing | None
    """None = nothing but to be told when everything before it is in the file."""
    loop: asyncio.AbstractEventLoop
    done: "asyncio.Future[None]"


class _Prepared:
    """A statement compiled once: SQLAlchemy's own execution costs more than the insert of a row."""

    def __init__(self, statement: sa.Insert | sa.Delete, engine: sa.Engine) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self._sql = str(compiled)
        self._names = compiled.positiontup

    def execute(self, connection: sa.Connection, values: Sequence[dict[str, Any]]) -> None:
        if self._names is None:  # a driver with named parameters
            connection.exec_driver_sql(self._sql, list(values))
        else:
            connection.exec_driver_sql(self._sql, [tuple(map(row.__getitem__, self._names)) for row in values])


class Ledger:
    """Appends to the chain in one SQLite file. Create once for each file; `start` before use."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._connection: sa.Connection | None = None
        self._insert_rows = _Prepared(tables.rows.insert(), engine)
        self._insert_reservations = _Prepared(tables.reservations.insert(), engine)
        self._delete_reservations = _Prepared(_DELETE_RESERVATION, engine)
        self._insert_kept = _Prepared(tables.kept.insert().prefix_with("OR REPLACE"), engine)
        self._owed: list[Closing] = []
        """Rows that settle a reservation and that a full or locked disk refused: the next group takes them along.
        Others are not owed: their requests cost nothing, and their clients got an error."""
        self.chain_id = ""
        self._seq = 0
        self._hash = b""

    def start(self) -> list[LedgerRow]:
        """Reads the end of the chain and books what was under way when the last process died, each at its
        reservation and flagged `unknown`. Returns those rows. Raises LedgerUnavailable."""
        try:
            with self._engine.begin() as connection:
                self._read_end(connection)
                lost = unsettled(connection, "ProcessDied")
                self._apply(connection, [Closing(row, reservation_id) for reservation_id, row in lost])
        except sa.exc.SQLAlchemyError as error:
            raise LedgerUnavailable(f"the ledger cannot be opened: {error}") from error
        self._thread.start()
        return [row for _, row in lost]

    def stop(self) -> None:
        """Writes what waits, then ends the thread."""
        self._queue.put(None)
        self._thread.join()

    async def open(self, opening: Opening) -> None:
        """Returns when the reservation is in the file. Raises LedgerUnavailable."""
        await self._submit(opening)

    async def record(self, closing: Closing) -> None:
        """Returns when the row is in the file. Raises LedgerUnavailable."""
        await self._submit(closing)

    async def flushed(self) -> None:
        """Returns when everything that was submitted before is in the file. Raises LedgerUnavailable."""
        await self._submit(None)

    def _submit(self, change: Opening | Closing | None) -> "asyncio.Future[None]":
        if not self._thread.is_alive():
            raise LedgerUnavailable("the ledger is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(change, loop, loop.create_future())
        self._queue.put(waiting)
        return waiting.done

    # --- in the writer's thread ---

    def _run(self) -> None:
        while True:
            group, is_stopping = self._next_group()
            if group or (is_stopping and self._owed):
                self._commit(group)
            if is_stopping:
                if self._connection is not None:
                    self._connection.close()
                return

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """Waits for one change, then takes what else is there."""
        group: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == _GROUP_AT_MOST or self._queue.empty():
                return group, False
            item = self._queue.get()
        return group, True

    def _commit(self, group: Sequence[_Waiting]) -> None:
        error = self._write([*self._owed, *(waiting.change for waiting in group if waiting.change is not None)])
        if error is None:
            self._owed = []
        elif _is_of_the_file(error):
            refused = [closing for waiting in group if (closing := _settling(waiting.change)) is not None]
            self._owed = (self._owed + refused)[-_OWED_AT_MOST:]
        elif self._owed or len(group) > 1:
            self._commit_one_by_one(group)
            return
        _announce(group, error)

    def _commit_one_by_one(self, group: Sequence[_Waiting]) -> None:
        """For a group with a change that can never be written: it must not fail the others, now or later."""
        owed, self._owed = self._owed, []
        one_by_one: list[tuple[Opening | Closing | None, list[_Waiting]]] = [
            *((closing, []) for closing in owed),
            *((waiting.change, [waiting]) for waiting in group),
        ]
        for change, waiters in one_by_one:
            error = self._write([change] if change is not None else [])
            if error is not None and _is_of_the_file(error) and (closing := _settling(change)) is not None:
                self._owed.append(closing)
            _announce(waiters, error)

    def _write(self, changes: Sequence[Opening | Closing]) -> Exception | None:
        """Commits these changes or none of them; what went wrong."""
        end = self._seq, self._hash
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            with self._connection.begin():
                self._apply(self._connection, changes)
        except Exception as raised:  # noqa: BLE001  whatever it is, the thread must live and the waiters must know
            self._seq, self._hash = end
            return raised
        return None

    def _apply(self, connection: sa.Connection, changes: Sequence[Opening | Closing]) -> None:
        openings = [change for change in changes if isinstance(change, Opening)]
        closings = [change for change in changes if isinstance(change, Closing)]
        if openings:
            self._insert_reservations.execute(connection, [_reservation_values(change) for change in openings])
        if closings:
            self._insert_rows.execute(connection, [self._chained(change.row) for change in closings])
        settled = [{"closed": change.reservation_id} for change in closings if change.reservation_id]
        if settled:
            self._delete_reservations.execute(connection, settled)
        if kept := [msgspec.structs.asdict(kept) for change in closings for kept in change.kept]:
            self._insert_kept.execute(connection, kept)

    def _chained(self, row: LedgerRow) -> dict[str, Any]:
        """The row's values behind the present end of the chain, which they become."""
        values = msgspec.structs.asdict(row)
        previous = self._hash
        self._seq += 1
        self._hash = row_hash(self.chain_id, self._seq, SCHEMA, previous, values)
        return {**values, "seq": self._seq, "schema": SCHEMA, "previous_hash": previous, "hash": self._hash}

    def _read_end(self, connection: sa.Connection) -> None:
        chain_id = connection.scalar(sa.select(tables.chain.c.id))
        if chain_id is None:
            chain_id = str(uuid.uuid4())
            connection.execute(tables.chain.insert().values(id=chain_id))
        self.chain_id = chain_id
        newest = sa.select(tables.rows.c.seq, tables.rows.c.hash).order_by(tables.rows.c.seq.desc()).limit(1)
        end = connection.execute(newest).one_or_none()
        self._seq, self._hash = (end.seq, end.hash) if end else (0, first_hash(chain_id))


_DELETE_RESERVATION: Final = tables.reservations.delete().where(tables.reservations.c.id == sa.bindparam("closed"))


def _reservation_values(opening: Opening) -> dict[str, Any]:
    return {
        "id": opening.reservation_id,
        "amount_nano": opening.amount_nano,
        "draft": msgspec.json.encode(opening.draft),
    }


def unsettled(connection: sa.Connection, error_class: str) -> list[tuple[str, LedgerRow]]:
    """Each open reservation's id with the row that books it at its full amount, should its owner be gone."""
    found = connection.execute(sa.select(tables.reservations).order_by(tables.reservations.c.id)).all()
    return [
        (
            reservation.id,
            _in_full(msgspec.json.decode(reservation.draft, type=LedgerRow), reservation.amount_nano, error_class),
        )
        for reservation in found
    ]


def _in_full(draft: LedgerRow, amount_nano: int, error_class: str) -> LedgerRow:
    """The row of what nobody knows the end of. Beside a client's request all of it is overhead."""
    is_beside = draft.kind != "request"
    return msgspec.structs.replace(
        draft,
        status="unknown",
        pricing="unknown",
        usage_source="reserved",
        actual_nano=amount_nano,
        overhead_nano=amount_nano if is_beside else 0,
        overhead_reason=draft.kind if is_beside else None,
        error_class=error_class,
    )


def _settling(change: Opening | Closing | None) -> Closing | None:
    return change if isinstance(change, Closing) and change.reservation_id is not None else None


def _is_of_the_file(error: Exception) -> bool:
    """Whether the file cannot be written (full, locked, damaged), whatever it is that should be written."""
    return isinstance(error, sa.exc.OperationalError) or type(error) is sa.exc.DatabaseError


def _announce(group: Sequence[_Waiting], raised: Exception | None) -> None:
    """Wakes everyone who waits, with one wake-up for each event loop."""
    error = raised and LedgerUnavailable(f"the ledger cannot be written: {type(raised).__name__}: {raised}")
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiting in group:
        by_loop.setdefault(waiting.loop, []).append(waiting.done)
    for loop, futures in by_loop.items():
        _call(loop, lambda futures=futures: _resolve(futures, error))  # type: ignore[misc]


def _call(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed: nobody waits any more, and the rows are in the file
        return


def _resolve(futures: Sequence["asyncio.Future[None]"], error: Exception | None) -> None:
    for future in futures:
        if future.done():  # its waiter was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
