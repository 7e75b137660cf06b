"""What is written of answers that providers keep: who may continue them, where, and until when.

Rows come with the ledger row of their answer, in the same commit (`writer.py`); this file reads them, forgets them, and
keeps them within bounds. Every method may be called from any thread. Refuses to know what an id stands for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa
from msgspec import Struct

from router.errors import LedgerUnavailable
from router.ledger import tables

_AT_ONCE: Final = 500
"""Rows are dropped in small groups, so that the ledger's own commits never wait for long."""


class Kept(Struct, frozen=True):
    """One id under which a team may refer to what a deployment keeps. `until_us` in microseconds since the epoch."""

    team: str
    id: str
    deployment: str
    until_us: int


class KeptFile:
    """The table of kept answers. `ids_at_most` bounds it: those that would be forgotten first go."""

    def __init__(self, engine: sa.Engine, ids_at_most: int = 1_000_000) -> None:
        self._engine = engine
        self._ids_at_most = ids_at_most

    def find(self, team: str, known_as: str) -> Kept | None:
        """Whatever there is of it, also if its time is over. Raises LedgerUnavailable."""
        wanted = sa.select(tables.kept).where(_is(team, known_as))
        with _available(), self._engine.connect() as connection:
            row = connection.execute(wanted).mappings().one_or_none()
        return Kept(**row) if row is not None else None

    def forget(self, team: str, known_as: str) -> None:
        """Raises LedgerUnavailable."""
        with _available(), self._engine.begin() as connection:
            connection.execute(tables.kept.delete().where(_is(team, known_as)))

    def tidy(self, now_us: int) -> int:
        """Drops what nobody may continue any more, and the oldest of what is too much; how many. Raises
        sqlalchemy.exc.SQLAlchemyError."""
        t = tables.kept.c
        with self._engine.connect() as connection:
            whole = connection.scalar(sa.select(sa.func.count()).select_from(tables.kept)) or 0
            over = connection.scalar(sa.select(sa.func.count()).where(t.until_us <= now_us)) or 0
        wanted = left = max(over, whole - self._ids_at_most)
        while left > 0:
            first = sa.select(t.team, t.id).order_by(t.until_us).limit(min(left, _AT_ONCE))
            with self._engine.begin() as connection:
                if not connection.execute(tables.kept.delete().where(sa.tuple_(t.team, t.id).in_(first))).rowcount:
                    break
            left -= _AT_ONCE
        return wanted


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise LedgerUnavailable(f"what providers keep cannot be looked up: {error}") from error


def _is(team: str, known_as: str) -> sa.ColumnElement[bool]:
    return sa.and_(tables.kept.c.team == team, tables.kept.c.id == known_as)
