"""Stored embeddings: in SQLite only, found by a hash of everything that makes them, and bounded in bytes.

A vector does not age as an answer does, but it is served no longer than the route's answers. Refuses to know what a
key is made of and what a vector says. Every method may be called from any thread.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct

from cache import tables

_KEYS_AT_ONCE: Final = 500
"""SQLite takes a bounded number of parameters."""
_ROW_BYTES: Final = 200
"""Of a row beside its vector, about."""
_PURGED_BY: Final = frozenset({"team", "env", "route", "knowledge_version"})
_EVICTED_SHARE: Final = 0.1
"""So much is made room for at once, so that not every store has to."""


class StoredEmbedding(Struct, frozen=True):
    """One vector as JSON. `tokens` are those of its input, `model` is what its provider calls the model."""

    key: bytes
    team: str
    env: str
    route: str
    knowledge_version: str
    model: str
    tokens: int
    created_us: int
    vector: bytes


class EmbeddingStore:
    """The table of embeddings of the cache file."""

    def __init__(self, engine: sa.Engine, max_bytes: int) -> None:
        self._engine = engine
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = self._measured()
        self.purges = 0
        """How many there have been: what was asked for before one is not stored after it."""

    def known(self, keys: Sequence[bytes], since_us: int) -> dict[bytes, StoredEmbedding]:
        """Those of these keys that are not older. Raises sqlalchemy.exc.SQLAlchemyError."""
        t = tables.embeddings.c
        found: dict[bytes, StoredEmbedding] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                wanted = sa.and_(t.key.in_(keys[start : start + _KEYS_AT_ONCE]), t.created_us >= since_us)
                for row in connection.execute(sa.select(tables.embeddings).where(wanted)).mappings():
                    found[row["key"]] = StoredEmbedding(**row)
        return found

    def store(self, embeddings: Sequence[StoredEmbedding], purges: int | None = None) -> None:
        """Keeps these, in the place of older ones with their keys, unless something was purged since there had been so
        many `purges`. Raises sqlalchemy.exc.SQLAlchemyError."""
        rows = [_row(embedding) for embedding in embeddings]
        size = sum(len(embedding.vector) + _ROW_BYTES for embedding in embeddings)
        if not rows or size > self._max_bytes:
            return
        with self._lock:
            if purges is not None and purges != self.purges:
                return
            with self._engine.begin() as connection:
                connection.execute(tables.embeddings.insert().prefix_with("OR REPLACE"), rows)
            self._bytes += size
            if self._bytes > self._max_bytes:
                self._evict()

    def purge(self, criteria: Mapping[str, Any]) -> int:
        """Forgets those that match all that is given (`team`, `env`, `route`, `knowledge_version`), or all if nothing
        is; how many. What else entries are purged by, embeddings do not have."""
        t = tables.embeddings.c
        if not concerns_embeddings(criteria):
            return 0
        conditions = [t[name] == value for name, value in criteria.items()]
        with self._lock:
            self.purges += 1
            with self._engine.begin() as connection:
                purged = connection.execute(tables.embeddings.delete().where(sa.true(), *conditions)).rowcount
            self._bytes = self._measured()
        return purged

    def _evict(self) -> None:
        """The oldest go, until there is room again."""
        wanted = self._bytes - int(self._max_bytes * (1 - _EVICTED_SHARE))
        t = tables.embeddings.c
        with self._engine.begin() as connection:
            oldest = connection.execute(sa.select(t.created_us, _size()).order_by(t.created_us))
            until_us = _reached(oldest, wanted)
            connection.execute(tables.embeddings.delete().where(t.created_us <= until_us))
        self._bytes = self._measured()

    def _measured(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(sa.select(sa.func.sum(_size()))) or 0


def concerns_embeddings(criteria: Mapping[str, Any]) -> bool:
    """Whether a purge by these can hold for any."""
    return criteria.keys() <= _PURGED_BY


def _size() -> sa.ColumnElement[int]:
    return sa.func.length(tables.embeddings.c.vector) + _ROW_BYTES


def _reached(sizes: Iterable[Any], wanted: int) -> int:
    """The time up to which the rows, in order of time, have this size together."""
    for at_us, size in sizes:
        wanted -= size
        if wanted <= 0:
            return int(at_us)
    return 2**62


def _row(embedding: StoredEmbedding) -> dict[str, Any]:
    return {name: getattr(embedding, name) for name in StoredEmbedding.__struct_fields__}
