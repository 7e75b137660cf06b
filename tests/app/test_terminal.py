"""What commands print fits where it is read."""

import io

from rich.console import Console

from app.terminal import console, new_table, tables_of
from eval.cache_text import Sheet, as_table

ROWS = ("state", "semantic hits")
COLUMNS = {f"route-{number}": ("uncertified", "12") for number in range(9)}


def printed(width: int) -> str:
    screen = Console(file=io.StringIO(), width=width)
    for table in tables_of(ROWS, COLUMNS, screen.width):
        screen.print(table)
    return screen.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_columns_that_do_not_fit_a_terminal_follow_in_further_tables_and_no_word_is_broken() -> None:
    lines = printed(80).splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(lines).split()
    assert [word for word in words if word.startswith("route-")] == [*COLUMNS]
    assert words.count("uncertified") == len(COLUMNS)
    assert sum(line.split()[:1] == ["state"] for line in lines) > 1


def test_columns_that_fit_stand_in_one_table() -> None:
    assert sum(line.split()[:1] == ["state"] for line in printed(300).splitlines()) == 1


def test_a_column_wider_than_the_terminal_is_folded_and_never_cut() -> None:
    screen = Console(file=io.StringIO(), width=40)
    for table in tables_of(("state",), {"route-" + "x" * 60: ("certified",)}, screen.width):
        screen.print(table)
    assert screen.file.getvalue().count("x") == 60  # type: ignore[attr-defined]


def test_the_words_of_a_heading_stay_whole() -> None:
    screen = Console(file=io.StringIO(), width=30)
    table = new_table("deployment", "reserved USD")
    table.add_row("openrouter/anthropic/claude-sonnet-4", "0.000123")
    screen.print(table)
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "deployment" in said
    assert "reserved" in said


def test_the_words_of_an_evaluations_heading_stay_whole() -> None:
    screen = Console(file=io.StringIO(), width=200)
    screen.print(
        as_table(Sheet("A long title over a narrow table", "", ("Stream", "Best in hindsight %"), (("faq", "1"),)))
    )
    said = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "hindsight\u00a0%" in said
    assert "A long title over a narrow table" in said


def test_in_a_pipe_a_row_is_one_line() -> None:
    assert console().width > 500
