"""What opening a file promises: the same tables whether it is new or was upgraded, and no dear import for a new one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from app.database import CACHE_MIGRATIONS, LEDGER_MIGRATIONS, open_database

KINDS = pytest.mark.parametrize("migrations", [LEDGER_MIGRATIONS, CACHE_MIGRATIONS], ids=["ledger", "cache"])


def upgraded(path: Path, migrations: Path) -> sa.Engine:
    """A file that has gone through every migration."""
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(migrations))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    return engine


def tables(engine: sa.Engine) -> dict[str, Any]:
    found = sa.inspect(engine)
    return {
        name: (
            {column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(name)},
            found.get_pk_constraint(name)["constrained_columns"],
            sorted((index["name"], index["column_names"], index["unique"]) for index in found.get_indexes(name)),
            found.get_foreign_keys(name),
            found.get_unique_constraints(name),
        )
        for name in found.get_table_names()
    }


@KINDS
def test_a_new_file_has_the_tables_of_one_that_went_through_all_migrations(tmp_path: Path, migrations: Path) -> None:
    new, old = open_database(tmp_path / "new.db", migrations), upgraded(tmp_path / "old.db", migrations)

    assert tables(new) == tables(old)
    with new.connect() as here, old.connect() as there:
        version = sa.text("select version_num from alembic_version")
        assert here.scalars(version).all() == there.scalars(version).all()
    new.dispose()
    old.dispose()


@KINDS
def test_a_new_file_that_was_not_finished_is_made_again(tmp_path: Path, migrations: Path) -> None:
    (tmp_path / "new.db").touch()
    for _ in range(2):
        engine = open_database(tmp_path / "new.db", migrations)
        assert len(sa.inspect(engine).get_table_names()) > 1
        engine.dispose()


def test_a_server_with_a_new_folder_does_not_import_what_only_upgrades_need(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import app.main; from app.database import *;"
        f"folder = Path({str(tmp_path)!r});"
        "[open_database(folder / each.parent.name, each) for each in (LEDGER_MIGRATIONS, CACHE_MIGRATIONS)];"
        "print('alembic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
