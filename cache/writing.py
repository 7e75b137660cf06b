"""Writing changes to the cache file in a thread of its own, in groups, so that nobody waits for a disk.

While the file cannot be written, inserts are dropped and counted; what takes something back is kept and tried again.
"""

import itertools
import queue
import sqlite3
import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct

from cache.errors import CacheError

_GROUP_AT_MOST: Final = 1024
_GATHERED_S: Final = 0.1
"""So long more is waited for: what belongs to one answer comes in the time that its comparison takes, and its later
states take the place of earlier ones. What a killed process loses is a little more."""
_WAITING_AT_MOST: Final = 4096
_WAITING_BYTES_AT_MOST: Final = 32 << 20
PAUSES_S: Final = (0.05, 0.25, 1.0)
OWED_AGAIN_S: Final = 5.0


class Unwritten(CacheError):
    """The store was closed while the file could not be written: `changes` removals and updates are not in it, so
    that what was removed may be served again after the next start."""

    def __init__(self, changes: int) -> None:
        super().__init__(
            f"The cache file could not be written: {changes} removals or updates are lost. What was purged last "
            "may come back with the next start; purge it again."
        )
        self.changes = changes


Rows = list[dict[str, Any]]


class Change(Struct, frozen=True):
    """One statement or several, each with its rows; a row without values means: once, whatever the others are."""

    key: Hashable
    """What it is about. A kept change takes the place of a waiting one about the same."""
    statements: tuple[sa.Executable, ...]
    rows: tuple[Rows, ...]
    is_kept: bool = False
    """It takes something back, or says how something is now: it is never given up, and may be done twice."""
    size: int = 0


class Writer:
    """Writes changes in their order, soon after they come. Only `close` and `flush` wait for it."""

    def __init__(
        self,
        engine: sa.Engine,
        on_error: Callable[[Exception], None],
        pauses_s: Sequence[float],
        again_s: float,
    ) -> None:
        self._engine = engine
        self._on_error = on_error
        self._pauses_s = pauses_s
        self._again_s = again_s
        self._waiting: dict[Hashable, Change | Future[bool]] = {}
        self._inserts = 0
        self._bytes = 0
        self._flushes = 0
        self.refused = 0
        """How many kept changes the file has refused for good, as a broken one does."""
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._write_groups, name="cache-writer", daemon=True)
        self._thread.start()

    def add(self, change: Change) -> bool:
        """False if too much waits already; never for one that is kept."""
        with self._changed:
            is_full = self._inserts >= _WAITING_AT_MOST or self._bytes + change.size > _WAITING_BYTES_AT_MOST
            is_dropped = is_full and not change.is_kept and self._inserts > 0
            if not is_dropped:
                before = self._waiting.get(change.key)
                if isinstance(before, Change) and not before.is_kept:
                    self._inserts -= 1
                    self._bytes -= before.size
                if not change.is_kept:
                    self._inserts += 1
                    self._bytes += change.size
                self._waiting[change.key] = change
                if len(self._waiting) == 1 or self._must_hurry():
                    self._changed.notify()
        if is_dropped:  # the disk does not keep up: it lives in memory only
            self._on_error(queue.Full("the cache file does not keep up"))
        return not is_dropped

    def cancel(self, keys: Iterable[Hashable]) -> set[Hashable]:
        """Takes back what still waits of these; returns their keys."""
        with self._changed:
            found = {key for key in keys if key in self._waiting}
            for key in found:
                self._pop(key)
        return found

    @property
    def is_behind(self) -> bool:
        """Whether half of what may wait does. Whoever can wait flushes before adding more, so that none is dropped."""
        with self._changed:
            return 2 * self._inserts >= _WAITING_AT_MOST or 2 * self._bytes >= _WAITING_BYTES_AT_MOST

    def flush(self) -> None:
        self.hurry().result()

    def hurry(self) -> Future[bool]:
        """Lets what waits be written at once. Tells, when that was tried, whether nothing that takes something back is
        still owed to the file."""
        done: Future[bool] = Future()
        done.set_running_or_notify_cancel()  # who stops waiting for it does not cancel it
        with self._changed:
            if not self._thread.is_alive():
                done.set_result(False)
                return done
            self._waiting[done] = done
            self._flushes += 1
            self._changed.notify()
        return done

    def close(self) -> None:
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join()

    def _must_hurry(self) -> bool:
        is_much = len(self._waiting) >= _GROUP_AT_MOST or 2 * self._bytes >= _WAITING_BYTES_AT_MOST
        return is_much or self._flushes > 0 or self._closing.is_set()

    def _pop(self, key: Hashable) -> Change | Future[bool]:
        item = self._waiting.pop(key)
        if not isinstance(item, Change):
            self._flushes -= 1
        elif not item.is_kept:
            self._inserts -= 1
            self._bytes -= item.size
        return item

    def _take(self, timeout_s: float | None) -> tuple[list[Change | Future[bool]], bool]:
        """The next ones, all of them at the end; none after the timeout. And whether they are the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing.is_set(), timeout_s)
            if self._waiting:
                self._changed.wait_for(self._must_hurry, _GATHERED_S)
            at_most = None if self._closing.is_set() else _GROUP_AT_MOST
            taken = [self._pop(key) for key in list(itertools.islice(self._waiting, at_most))]
            return taken, self._closing.is_set() and not self._waiting

    def _write_groups(self) -> None:
        owed: list[Change] = []
        is_last = False
        while not is_last:
            taken, is_last = self._take(self._again_s if owed else None)
            owed = self._settle(owed, [item for item in taken if isinstance(item, Change)])
            for item in taken:
                if isinstance(item, Future):
                    item.set_result(not owed)
        if owed:
            self._on_error(Unwritten(sum(len(change.rows[0]) for change in owed)))

    def _settle(self, owed: list[Change], group: list[Change]) -> list[Change]:
        """Writes what is owed and the group; returns what is owed afterwards."""
        merged: dict[Hashable, Change] = {}
        for change in itertools.chain(owed, group):
            merged.pop(change.key, None)
            merged[change.key] = change
        changes = list(merged.values())
        failure: Exception | None = None
        for pause_s in (*self._pauses_s, None):
            try:
                self._write(changes)
                return []
            except Exception as error:  # noqa: BLE001  a cache fault must never stop the cache; it is counted
                if not _may_pass(error):  # one bad change must not take the others along
                    return self._write_each(changes)
                failure = error
            if pause_s is None or self._closing.wait(pause_s):
                break
        if group and failure is not None:
            self._on_error(failure)
        kept = [change for change in changes if change.is_kept]
        if len(kept) < len(changes):  # on a full disk there is room for what takes something back
            try:
                self._write(kept)
                return []
            except Exception as error:  # noqa: BLE001  as above
                if not _may_pass(error):
                    return self._write_each(kept)
        return kept

    def _write_each(self, changes: list[Change]) -> list[Change]:
        for position, change in enumerate(changes):
            try:
                self._write([change])
            except Exception as error:  # noqa: BLE001  as above
                self._on_error(error)
                if _may_pass(error):
                    return [change for change in changes[position:] if change.is_kept]
                self.refused += change.is_kept
        return []

    def _write(self, changes: list[Change]) -> None:
        """All or nothing. Neighbours with the same statements go together."""
        if not changes:
            return
        with self._engine.begin() as connection:
            for _, alike in itertools.groupby(changes, key=lambda change: id(change.statements)):
                run = list(alike)
                for place, statement in enumerate(run[0].statements):
                    rows = [row for change in run for row in change.rows[place]]
                    connection.execute(statement, rows if rows[0] else None)


def _may_pass(error: Exception) -> bool:
    """Whether the same may succeed later: the file is locked, the disk full or not there."""
    code = getattr(error.orig, "sqlite_errorcode", None) if isinstance(error, sa.exc.DBAPIError) else None
    return code is not None and code & 0xFF in _PASSING  # the lower byte is the primary result code


_PASSING: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
