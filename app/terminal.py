"""What all commands share: where they print, how they fail, and how they reach the data folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click
import msgspec
import sqlalchemy as sa
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.database import LEDGER_MIGRATIONS, open_database
from app.services import lock_data_folder
from app.settings import Settings, load
from router.money import usd_text

_UNBOUNDED: Final = 1000
"""Characters of a line that nobody reads on a screen."""


def console(*, stderr: bool = False) -> Console:
    """As wide as the terminal. In a pipe or a file a row is one line, for whoever searches it."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_UNBOUNDED)


out = console()
err = console(stderr=True)

AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")


_WORD: Final = 12
"""Characters of the longest word of a heading that is a word."""
_PADDING: Final = 3
"""Characters between two columns of a table."""


class Failure(click.ClickException):
    """One line, and an exit code."""

    exit_code = 2


class NotStarted(Failure):
    exit_code = 3


class SaysNo(Failure):
    exit_code = 1


def settings_of_command() -> Settings:
    """Those of the configuration file that `--config` names. Raises SettingsInvalid."""
    return load(click.get_current_context().obj)


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Holds the data folder, so that no server starts on it meanwhile. Raises DataFolderLocked."""
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_data_folder(settings.data_dir):
        yield


@contextmanager
def opened_ledger(settings: Settings, *, must_exist: bool = False) -> Iterator[sa.Engine]:
    path = settings.data_dir / "ledger.db"
    if must_exist and not path.exists():
        raise Failure(f"There is no ledger in {settings.data_dir}. `thriftgate serve` makes one.")
    if not path.exists():
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = open_database(path, LEDGER_MIGRATIONS, fsync=settings.ledger.fsync)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error; called with how much is done of how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def new_table(*columns: str) -> Table:
    """A table whose cells are folded and never cut: ids and figures are there to be copied. Words of a heading stay
    whole, unless they are long names."""
    made = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, overflow="fold", min_width=min(_WORD, max(map(len, column.split()), default=0)))
    return made


def tables_of(rows: Sequence[str], columns: Mapping[str, Sequence[str]], width: int) -> Iterator[Table]:
    """One table of named rows and columns, or several below each other where the columns do not fit `width`: then
    words stay whole."""
    room = width - max(map(len, rows)) - _PADDING
    parts: list[list[str]] = [[]]
    taken = 0
    for name, cells in columns.items():
        taken += (wide := max(map(len, (name, *cells))) + _PADDING)
        if taken > room and parts[-1]:
            parts.append([])
            taken = wide
        parts[-1].append(name)
    for part in parts:
        table = new_table("", *part)
        for place, row in enumerate(rows):
            table.add_row(row, *(columns[name][place] for name in part))
        yield table


def print_json(value: Any) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def counted(count: int, one: str, many: str) -> str:
    """A number with the words that follow it: `one` after 1, `many` after any other."""
    return f"{count:,} {one if count == 1 else many}"


def short_usd(nano: int) -> str:
    """An amount in USD: exact, without the zeros at the end."""
    return usd_text(nano).rstrip("0").rstrip(".")
