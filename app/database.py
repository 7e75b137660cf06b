"""Opens SQLite files: pragmas, then the newest version of their tables.

A new file is made from the tables as they are; an older one is brought there by its migrations. Only then is Alembic
imported: it takes 11 MB and a quarter of a second, which a server should not pay for what happens once in a version.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa

import cache.tables
import router.ledger.tables

LEDGER_MIGRATIONS: Final = Path(router.ledger.tables.__file__).parent / "migrations"
CACHE_MIGRATIONS: Final = Path(cache.tables.__file__).parent / "migrations"
_TABLES: Final[Mapping[Path, sa.MetaData]] = {
    LEDGER_MIGRATIONS: router.ledger.tables.metadata,
    CACHE_MIGRATIONS: cache.tables.metadata,
}
_VERSION: Final = sa.Table(
    "alembic_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), primary_key=True, nullable=False),
)
"""As Alembic makes it."""


def open_database(path: Path, migrations: Path, *, fsync: bool = False) -> sa.Engine:
    """An engine over the file with its newest tables. Without `fsync` a commit survives the death of the process, with
    it also the loss of power. Raises sqlalchemy.exc.DatabaseError for a file that is no database."""
    path.touch(mode=0o600)
    path.chmod(0o600)  # before SQLite makes its own files beside it, with the same rights
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _configure(connection, _record) -> None:  # type: ignore[no-untyped-def]
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.close()

    newest = max((migrations / "versions").glob("[0-9]*.py")).name.partition("_")[0]
    with engine.connect() as connection:
        if _version(connection) != newest and not _has_begun(connection, _TABLES[migrations], newest):
            _upgrade(connection, migrations)
    return engine


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(sa.select(_VERSION.c.version_num))


def _has_begun(connection: sa.Connection, tables: sa.MetaData, newest: str) -> bool:
    """Makes all tables in one step, if the file is empty; whether that was so."""
    connection.rollback()
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver itself begins none for definitions of tables
    is_empty = not sa.inspect(connection).get_table_names()
    if is_empty:
        tables.create_all(connection)
        _VERSION.create(connection)
        connection.execute(_VERSION.insert().values(version_num=newest))
    connection.commit()
    return is_empty


def _upgrade(connection: sa.Connection, migrations: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()
