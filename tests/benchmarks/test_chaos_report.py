"""The report of the chaos runs calls a miss a miss."""

from typing import Any

import pytest

from benchmarks.chaos_report import as_markdown, promises, summary

MACHINE = {"cores": 2, "cpu": "any", "load_before": 0.1, "load_after": 0.2, "commit": "abc", "at": "2026-01-01"}
RUN = {"command": "python -m benchmarks.chaos", "took_s": 1.0, "machine": MACHINE}


def row(**fields: Any) -> dict[str, Any]:
    """A row in which everything is as promised."""
    kept: dict[str, Any] = {
        "fault": "5xx",
        "rate": 1.0,
        "requests": 2000,
        "answered": 1990,
        "wrong": 0,
        "lost": 0,
        "broken_off": 10,
        "failed_over": 1990,
        "failover_p50_ms": 3.0,
        "failover_p99_ms": 40.0,
        "beyond_timeouts_p99_ms": 40.0,
        "open_p99_ms": 5.0,
        "back_after_s": 5.0,
        "is_back_expected": True,
        "lag_p99_ms": 1.0,
        "lag_most_ms": 9.0,
        "details": {},
    }
    return kept | fields


def load(**fields: Any) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "name": "upstream-bound",
        "peak_per_s": 80.0,
        "offered_per_s": 320.0,
        "goodput_per_s": 78.0,
        "requests": 100,
        "answered": 25,
        "refused": 75,
        "refused_otherwise": 0,
        "wrong": 0,
        "lost": 0,
        "answered_p99_ms": 900.0,
        "refused_p50_ms": 2.0,
        "refused_p99_ms": 20.0,
        "rss_before_mb": 200.0,
        "rss_most_mb": 210.0,
        "recovery_s": 1.0,
        "sent_per_s": 320.0,
        "lag_p99_ms": 2.0,
        "details": {},
    }
    return kept | fields


def killed(**fields: Any) -> dict[str, Any]:
    kept = {"times": 100, "acknowledged": 5000, "lost": 0, "doubled": 0, "wrong": 0, "healed": 300, "problems": []}
    return kept | fields


def soaked(**fields: Any) -> dict[str, Any]:
    sample = {"at_s": 0.0, "rss_mb": 200.0, "open_files": 30, "threads": 10, "tasks": None}
    kept: dict[str, Any] = {
        "minutes": 30,
        "per_s": 60.0,
        "samples": [sample] * 3,
        "verdicts": {"answered": 100_000},
        "details": {},
        "rss_slope_mb": 0.2,
        "files_slope": 0.0,
        "before": sample,
        "after": sample,
        "open_reservations": 0,
        "in_flight": 0,
        "verifies": True,
    }
    return kept | fields


def found(**parts: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "faults": {"rows": [row()]} | RUN,
        "mixed": {"row": row(fault="mixed", rate=None, requests=100_000, answered=99_990, open_p99_ms=None)} | RUN,
        "overload": {"loads": [load()]} | RUN,
        "kill": {"kills": killed()} | RUN,
        "soak": {"soak": soaked()} | RUN,
    }
    return whole | {name: part | RUN for name, part in parts.items()}


def missed(report: dict[str, Any]) -> list[str]:
    return [promise["what"] for promise in promises(report) if not promise["kept"]]


def test_what_is_as_promised_is_kept() -> None:
    assert missed(found()) == []
    assert len(promises(found())) == 13


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"answered": 1989}, "answered correctly"),
        ({"wrong": 1}, "wrong"),
        ({"beyond_timeouts_p99_ms": 1000.0}, "a failover adds"),
        ({"open_p99_ms": 50.0}, "the same in a full outage"),
        ({"back_after_s": None}, "the first deployment answers again"),
    ],
)
def test_a_single_row_misses_a_promise_for_all(change: dict[str, Any], what: str) -> None:
    report = found(faults={"rows": [row(), row(**change)]})

    assert any(promise.startswith(what) for promise in missed(report))
    assert "5xx at 100%" in summary(report).partition("## What was missed")[2]


@pytest.mark.parametrize(
    "change",
    [
        {"goodput_per_s": 71.0},
        {"refused_p99_ms": 50.0},
        {"refused": 74, "lost": 1},
        {"rss_most_mb": 400.0},
        {"recovery_s": None},
        {"recovery_s": 5.1},
    ],
)
def test_overload_misses_one_promise_at_a_time(change: dict[str, Any]) -> None:
    assert len(missed(found(overload={"loads": [load(**change)]}))) == 1


def test_what_is_only_reported_promises_nothing() -> None:
    assert missed(found(overload={"loads": [load(), load(name="CPU-bound", goodput_per_s=1.0)]})) == []


@pytest.mark.parametrize("change", [{"lost": 1}, {"doubled": 1}, {"wrong": 1}, {"problems": ["kill 3: no chain"]}])
def test_a_kill_that_costs_anything_is_a_miss(change: dict[str, Any]) -> None:
    assert len(missed(found(kill={"kills": killed(**change)}))) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"rss_slope_mb": 1.0},
        {"rss_slope_mb": None},
        {"open_reservations": 1},
        {"in_flight": 1},
        {"verifies": False},
        {"verdicts": {"lost": 1}},
        {"after": {"at_s": 0.0, "rss_mb": 200.0, "open_files": 39, "threads": 10, "tasks": None}},
    ],
)
def test_a_soak_that_leaves_anything_is_a_miss(change: dict[str, Any]) -> None:
    assert len(missed(found(soak={"soak": soaked(**change)}))) == 1


def test_a_shorter_run_says_so() -> None:
    short = found(faults={"rows": [row(requests=200, answered=190)]}, kill={"kills": killed(times=5)})

    assert "200 requests per fault instead of 2,000; 5 kills instead of 100" in as_markdown(short)
    assert "shorter" not in as_markdown(found())


def test_a_report_has_every_row_and_how_it_was_made() -> None:
    text = as_markdown(found())

    assert "| 5xx | 100% | 2,000 | 100.000% |" in text
    assert "| mixed | 0 to 100 % | 100,000 |" in text
    assert text.count("`python -m benchmarks.chaos`") == 5


def test_a_report_of_nothing_is_empty() -> None:
    assert promises({}) == []
    assert as_markdown({}).startswith("# Chaos")
