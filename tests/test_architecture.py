"""Who may import whom. Read from the source, so that no import has to happen for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import ROOT

PACKAGES = ("app", "cache", "router", "eval", "benchmarks")
OURS = frozenset({*PACKAGES, "tests"})

MEETING_POINTS = {
    "app/embeddings.py": "the way of a request for embeddings: what is known of it, and the call for the rest",
    "app/gateway.py": "the hot path: the only file that calls both",
    "app/exchange.py": "one request's record: holds what both said",
    "app/services.py": "the composition: opens both",
    "app/errors.py": "the one table of errors: describes those of both",
    "app/settings.py": "the configuration: names what both can be set to",
    "app/database.py": "opens the file of each",
    "app/replay_commands.py": "a command: names what the ledger of the one says of the decisions of the other",
    "app/filling.py": "what comes in from outside: entries of the one, in the form that the other answers in",
}
"""Files that may import both `cache` and `router`, and why."""

CACHE_ACTS = frozenset({"cache.lookup.Cache", "cache.flights.Flight", "cache.entries.EntryStore"})
ROUTER_ACTS = frozenset(
    {"router.plan.plan", "router.budgets.Budgets", "router.upstream.Upstream", "router.ledger.writer.Ledger"}
)
"""What does something, as against what says something: a file that has both can answer a request."""


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Every module that the file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""


def names(path: Path) -> set[str]:
    """Every name that the file imports from a module, with the module."""
    found = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom))
    return {f"{node.module}.{alias.name}" for node in found for alias in node.names}


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def files(package: str) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in sources(package)]


@pytest.mark.parametrize("path", files("cache"))
def test_the_cache_knows_no_other_package_of_ours_and_no_server(path: Path) -> None:
    assert roots(path) & (OURS - {"cache"}) == set()
    assert roots(path) & {"litestar", "uvicorn", "click"} == set()


@pytest.mark.parametrize("path", files("router"))
def test_the_router_knows_no_other_package_of_ours_and_no_server(path: Path) -> None:
    assert roots(path) & (OURS - {"router"}) == set()
    assert roots(path) & {"litestar", "uvicorn", "click"} == set()


@pytest.mark.parametrize("path", files("eval"))
def test_the_evaluation_knows_cache_and_router_and_no_server(path: Path) -> None:
    assert roots(path) & (OURS - {"eval", "cache", "router"}) == set()
    assert roots(path) & {"litestar", "uvicorn"} == set()


@pytest.mark.parametrize("path", files("benchmarks"))
def test_benchmarks_know_none_of_our_packages(path: Path) -> None:
    assert roots(path) & (OURS - {"benchmarks"}) == set()


def test_nothing_of_ours_imports_the_tests() -> None:
    assert [path for package in PACKAGES for path in sources(package) if "tests" in roots(path)] == []


def test_cache_and_router_meet_only_where_it_is_said_why() -> None:
    both = {str(path.relative_to(ROOT)) for path in sources("app") if {"cache", "router"} <= roots(path)}

    assert both == set(MEETING_POINTS)


def test_only_the_hot_path_and_the_composition_hold_what_acts_in_both() -> None:
    acting = {
        str(path.relative_to(ROOT)) for path in sources("app") if names(path) & CACHE_ACTS and names(path) & ROUTER_ACTS
    }

    assert acting == {"app/gateway.py", "app/services.py"}


def test_only_one_file_decides_where_a_request_goes() -> None:
    deciding = {str(path.relative_to(ROOT)) for path in sources("app") if "router.plan.plan" in names(path)}

    assert deciding == {"app/planning.py"}


@pytest.mark.parametrize("path", [*files("router"), *files("cache")])
def test_prices_are_known_in_one_module(path: Path) -> None:
    assert "genai_prices" not in roots(path) or path.name == "prices.py"


def test_every_rule_has_something_to_look_at() -> None:
    assert all(sources(package) for package in ("app", "cache", "router"))
    assert "router.money" in set(imported(ROOT / "router" / "prices.py"))
    every_name = {name for package in ("app", "cache", "router") for path in sources(package) for name in names(path)}
    assert every_name >= CACHE_ACTS | ROUTER_ACTS
