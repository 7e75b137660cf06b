"""Opens SQLite files: pragmas, then migrations up to the newest version."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import cache
import router.ledger

LEDGER_MIGRATIONS = Path(router.ledger.__file__).parent / "migrations"
CACHE_MIGRATIONS = Path(cache.__file__).parent / "migrations"


def open_database(path: Path, migrations: Path, *, fsync: bool = False) -> sa.Engine:
    """An engine over the migrated file. Without `fsync` a commit survives the death of the process, with it
    also the loss of power. Raises sqlalchemy.exc.DatabaseError for a file that is no database."""
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

    _migrate(engine, migrations)
    return engine


def _migrate(engine: sa.Engine, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations))
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        if present == ScriptDirectory.from_config(config).get_current_head():
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
