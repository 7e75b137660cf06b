"""The savings report: its figures add up whatever is in the ledger, and it can be read, parsed and printed."""

import asyncio
import csv
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from app.database import LEDGER_MIGRATIONS, open_database
from eval.savings import By, Figures, FiguresDisagree, Filters, SavingsReport, check, report, report_of
from eval.savings_html import as_html, column_chart, stacked_rows, waterfall
from eval.savings_text import as_csv, as_json, as_table, dollars, inert, percent
from router.ledger.row import COMPLAINT, LedgerRow, Status, price_columns, usage_columns
from router.ledger.writer import Closing, Ledger, Opening
from router.prices import UnitPrices
from router.savings import REASONS, Savings, of_call, of_hit, of_nothing
from router.usage import Usage

MAY = datetime(2026, 5, 1, tzinfo=UTC)
DEAR = UnitPrices(10_000_000_000, 1_000_000_000, 12_500_000_000, 20_000_000_000, 30_000_000_000, "catalogue 1")
CHEAP = UnitPrices(1_000_000_001, 100_000_003, 1_250_000_007, 2_000_000_011, 3_000_000_013, "catalogue 1")
AGREED = UnitPrices(900_000_000, 90_000_000, 1_100_000_000, 1_900_000_000, 2_700_000_000, "negotiated")
ASKED = Usage(input=1000, cache_read=200, output=300)
BYS: tuple[By, ...] = get_args(By)


def us(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def row(**changes: Any) -> LedgerRow:
    """A request of team `support`, refused unless the changes say otherwise."""
    values: dict[str, Any] = {
        "request_id": "req_1",
        "at_us": us(MAY),
        "team": "support",
        "app": "faq",
        "key_id": "key_1",
        "env": "prod",
        "route": "standard",
        "requested_model": "dear",
        "disposition": "miss",
        "baseline_nano": 0,
        "list_nano": 0,
        "actual_nano": 0,
    }
    return LedgerRow(**(values | changes))


def money(savings: Savings) -> dict[str, Any]:
    return {
        "baseline_nano": savings.baseline_nano,
        "list_nano": savings.list_nano,
        "actual_nano": savings.actual_nano,
        **{f"avoided_{reason}_nano": savings.avoided.get(reason, 0) for reason in REASONS},
    }


def call(
    usage: Usage = ASKED,
    baseline: UnitPrices | None = DEAR,
    listed: UnitPrices | None = CHEAP,
    paid: UnitPrices | None = AGREED,
    **changes: Any,
) -> LedgerRow:
    """A request that a provider answered."""
    savings = of_call(usage, baseline, listed, paid, is_rationed=changes.get("rationed", False))
    is_priced = savings.baseline_nano is not None and savings.actual_nano is not None
    values = {
        "served_model": "cheap",
        "usage_source": "provider",
        "pricing": "priced" if is_priced else "unpriced",
        **usage_columns(usage),
        **price_columns(baseline, listed, paid),
        **money(savings),
    }
    return row(**(values | changes))


def hit(
    disposition: Any = "exact", usage: Usage = ASKED, baseline: UnitPrices | None = DEAR, **changes: Any
) -> LedgerRow:
    savings = of_hit(disposition, usage, baseline)
    values = {
        "served_model": "dear",
        "disposition": disposition,
        "usage_source": "entry",
        "pricing": "unpriced" if savings.baseline_nano is None else "priced",
        **usage_columns(usage),
        **price_columns(baseline, None, None),
        **money(savings),
    }
    return row(**(values | changes))


def attempt(nano: int, *, is_billed: bool = True, **changes: Any) -> LedgerRow:
    """An upstream call that failed."""
    values = {
        "kind": "attempt",
        "served_model": "cheap",
        "status": "upstream_error",
        "pricing": "unknown" if is_billed else "priced",
        "baseline_nano": None,
        "list_nano": None,
        "actual_nano": nano,
        "reserved_nano": nano,
        "overhead_nano": nano,
        "overhead_reason": "retry",
    }
    return row(**(values | changes))


def died(nano: int, **changes: Any) -> LedgerRow:
    values = {
        "served_model": "cheap",
        "status": "unknown",
        "pricing": "unknown",
        "usage_source": "reserved",
        "baseline_nano": None,
        "list_nano": None,
        "actual_nano": nano,
        "reserved_nano": nano,
    }
    return row(**(values | changes))


def paid_nano(each: LedgerRow) -> int:
    assert each.actual_nano is not None
    return each.actual_nano


def total_of(*rows: LedgerRow) -> Figures:
    return report_of(rows, Filters()).total


# --- arbitrary ledgers ---

names = st.sampled_from(["support", "sales", "=cmd", "a / b", 'quo"te', "<b>x</b>"])
tokens = st.integers(0, 2_000_000)
usages = st.builds(Usage, tokens, tokens, tokens, tokens, tokens, st.just(0))
unit_price = st.integers(0, 80_000_000_000)
unit_prices = st.none() | st.builds(
    UnitPrices,
    unit_price,
    unit_price,
    unit_price,
    unit_price,
    unit_price,
    st.sampled_from(["catalogue 1", "catalogue 2", "negotiated"]),
)
common = st.fixed_dictionaries(
    {
        "at_us": st.integers(us(MAY), us(MAY + timedelta(days=5))),
        "team": names,
        "app": names,
        "route": names,
        "requested_model": st.sampled_from(["dear", "cheap", "auto"]),
    }
)
calls = st.builds(
    lambda common, usage, baseline, listed, paid, rest: call(usage, baseline, listed, paid, **common, **rest),
    common,
    usages,
    unit_prices,
    unit_prices,
    unit_prices,
    st.fixed_dictionaries(
        {
            "rationed": st.booleans(),
            "disposition": st.sampled_from(["miss", "bypass"]),
            "status": st.sampled_from(["ok", "upstream_cut", "client_closed"]),
            "usage_source": st.sampled_from(["provider", "estimated"]),
        }
    ),
)
hits = st.builds(
    lambda common, disposition, usage, baseline, reason: hit(
        disposition, usage, baseline, **common, cache_reason=reason
    ),
    common,
    st.sampled_from(["exact", "semantic", "coalesced"]),
    usages,
    unit_prices,
    st.sampled_from([None, "uncertified", "certified"]),
)
refusals = st.builds(
    lambda common, status, pricing: row(**common, **money(of_nothing()), status=status, pricing=pricing),
    common,
    st.sampled_from(["refused", "upstream_error"]),
    st.sampled_from(["priced", "unpriced"]),
)
attempts = st.builds(
    lambda common, nano, is_billed, audit: attempt(nano if is_billed else 0, is_billed=is_billed, **common, **audit),
    common,
    st.integers(0, 10**9),
    st.booleans(),
    st.sampled_from(
        [
            {},
            {"kind": "audit", "verdict": "same"},
            {"kind": "audit", "verdict": "different"},
            {"kind": "audit", "verdict": "different", "cache_reason": COMPLAINT},
            {"kind": "audit"},
            {"kind": "judge", "verdict": "same"},
        ]
    ),
)
deaths = st.builds(lambda common, nano: died(nano, **common), common, st.integers(0, 10**9))
ledgers = st.lists(st.one_of(calls, hits, refusals, attempts, deaths), max_size=25)
groupings = st.sampled_from(BYS)


@settings(deadline=None)
@given(ledgers, groupings)
def test_the_parts_sum_to_the_whole_for_any_rows(rows: list[LedgerRow], by: By) -> None:
    made = report_of(rows, Filters(by=by))
    total = made.total
    priced = [r for r in rows if r.kind == "request" and r.pricing == "priced" and r.list_nano is not None]

    assert total.rows == len(rows)
    assert total.spend_nano == sum(r.actual_nano or 0 for r in rows)
    assert total.spend_nano == sum(total.spend.values())
    assert total.baseline_nano == sum(r.baseline_nano or 0 for r in priced)
    assert total.baseline_nano - total.spend["priced"] == total.avoided_nano == sum(total.avoided.values())
    assert total.spend_unknown_nano == sum(r.actual_nano or 0 for r in rows if r.pricing == "unknown")
    assert total.overhead_nano == sum(r.actual_nano or 0 for r in rows if r.kind != "request" and r.overhead_nano)
    assert total.net_nano == total.avoided_nano - total.overhead_nano
    assert sum(total.by_booking.values()) == len(rows)
    drawn = [r for r in rows if r.kind == "audit" and r.cache_reason != COMPLAINT]
    assert total.audited == Counter(r.verdict for r in drawn if r.verdict)
    for reason in REASONS:
        assert sum(group.figures.avoided[reason] for group in made.groups) == total.avoided[reason]


@settings(max_examples=20, deadline=None)
@given(ledgers, groupings, st.integers(1, 7))
def test_the_database_adds_up_as_single_rows_do(rows: list[LedgerRow], by: By, window_rows: int) -> None:
    filters = Filters(by=by, since=MAY + timedelta(hours=7), until=MAY + timedelta(days=4))
    with tempfile.TemporaryDirectory() as folder:
        engine = asyncio.run(ledger_of(Path(folder) / "ledger.db", rows))
        assert report(engine, filters, window_rows=window_rows) == report_of(rows, filters)


@settings(max_examples=40, deadline=None)
@given(ledgers, groupings)
def test_every_form_of_any_report_can_be_made(rows: list[LedgerRow], by: By) -> None:
    made = report_of(rows, Filters(by=by))
    assert len(list(csv.reader(io.StringIO(as_csv(made), newline="")))) == len(made.groups) + 2
    assert json.loads(as_json(made))["total"]["rows"] == len(rows)
    assert shown(made)
    Page.of(page(made))


# --- a ledger in a file ---


async def ledger_of(path: Path, rows: Iterable[LedgerRow], lost: Iterable[Opening] = ()) -> sa.Engine:
    """A ledger with these rows, whose process died while `lost` was under way."""
    engine = open_database(path, LEDGER_MIGRATIONS)
    ledger = Ledger(engine)
    ledger.start()
    for opening in lost:
        await ledger.open(opening)
    for each in rows:
        await ledger.record(Closing(each))
    ledger.stop()
    return engine


async def test_an_empty_ledger_gives_an_empty_report(tmp_path: Path) -> None:
    engine = await ledger_of(tmp_path / "ledger.db", [])
    made = report(engine, Filters())

    assert made.groups == ()
    assert made.total.rows == made.total.spend_nano == 0
    assert made.total.cost_per_1000_nano is None
    assert "No requests" in shown(made)
    assert "No requests in this period" in page(made)
    assert [line["row"] for line in csv.DictReader(io.StringIO(as_csv(made)))] == ["total"]
    assert json.loads(as_json(made))["groups"] == []


async def test_what_died_with_its_process_is_spent_at_its_reservation(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    draft = row(served_model="cheap", baseline_nano=None, list_nano=None, actual_nano=None, reserved_nano=70)
    await ledger_of(path, [call()], lost=[Opening("req_1/1", 70, draft)])
    engine = await ledger_of(path, [])
    total = report(engine, Filters()).total

    assert total.spend["died"] == total.spend_unknown_nano == 70
    assert total.spend_nano == paid_nano(call()) + 70
    assert total.by_status["unknown"] == 1
    assert (total.priced_served, total.served) == (1, 2)


async def test_progress_ends_at_the_last_row_of_the_period(tmp_path: Path) -> None:
    days = [call(at_us=us(MAY + timedelta(days=day))) for day in range(10)]
    engine = await ledger_of(tmp_path / "ledger.db", days)
    seen: list[tuple[int, int]] = []

    report(engine, Filters(), lambda done, total: seen.append((done, total)), window_rows=4)
    assert seen == [(4, 10), (8, 10), (10, 10)]

    seen.clear()
    since = Filters(since=MAY + timedelta(days=7))
    report(engine, since, lambda done, total: seen.append((done, total)), window_rows=4)
    assert seen == [(3, 3)]


# --- which rows count ---

MIXED = [
    call(team="support", app="faq", requested_model="dear"),
    hit(team="support", app="returns", requested_model="auto"),
    call(team="sales", app="faq", requested_model="dear"),
]


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(), 3),
        (Filters(team="support"), 2),
        (Filters(app="faq"), 2),
        (Filters(team="sales", app="faq"), 1),
        (Filters(model="auto"), 1),
        (Filters(team="nobody"), 0),
    ],
)
async def test_filters_choose_rows_by_team_app_and_requested_model(
    filters: Filters, count: int, tmp_path: Path
) -> None:
    engine = await ledger_of(tmp_path / "ledger.db", MIXED)
    assert report(engine, filters).total.rows == report_of(MIXED, filters).total.rows == count


async def test_since_counts_and_until_does_not(tmp_path: Path) -> None:
    instants = [MAY - timedelta(microseconds=1), MAY, MAY + timedelta(days=1)]
    rows = [call(at_us=us(at)) for at in instants]
    engine = await ledger_of(tmp_path / "ledger.db", rows)
    made = report(engine, Filters(since=MAY, until=MAY + timedelta(days=1)))

    assert made.total.rows == 1
    assert made.first_at == made.last_at == MAY


def test_the_first_and_the_last_row_are_named_in_whatever_order_they_came() -> None:
    days = [call(at_us=us(MAY + timedelta(days=day))) for day in (2, 0, 5, 1)]
    made = report_of(days, Filters(by="team"))
    assert (made.first_at, made.last_at) == (MAY, MAY + timedelta(days=5))


def test_times_in_another_zone_mean_the_same_instant() -> None:
    since = datetime.fromisoformat("2026-05-01T02:00:00+02:00")
    assert report_of([call()], Filters(since=since)).total.rows == 1


def test_times_without_a_zone_and_empty_periods_are_refused() -> None:
    with pytest.raises(ValueError, match="`since` has no time zone"):
        Filters(since=datetime(2026, 5, 1))
    with pytest.raises(ValueError, match="the period is empty"):
        Filters(since=MAY, until=MAY)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", [("2026-05-01",)]),
        ("team", [("support",), ("sales",)]),
        ("app", [("sales", "faq"), ("support", "faq"), ("support", "returns")]),
        ("model", [("dear",), ("auto",)]),
        ("route", [("standard",)]),
    ],
)
def test_groups_are_named_and_the_largest_comes_first(by: By, expected: list[tuple[str, ...]]) -> None:
    assert [group.name for group in report_of(MIXED, Filters(by=by)).groups] == expected


def test_apps_of_two_teams_with_one_name_are_two_groups() -> None:
    made = report_of(MIXED, Filters(by="app", app="faq"))
    assert {group.name for group in made.groups} == {("support", "faq"), ("sales", "faq")}


def test_days_are_utc_days_in_order() -> None:
    late = call(at_us=us(MAY + timedelta(days=1)) - 1)
    early = call(at_us=us(MAY + timedelta(days=1)))
    made = report_of([early, late], Filters(by="day"))
    assert [group.name for group in made.groups] == [("2026-05-01",), ("2026-05-02",)]


# --- what figures mean ---


def test_an_attempt_that_may_have_been_billed_is_spent_once_and_is_overhead() -> None:
    total = total_of(call(), attempt(5_000), attempt(0, is_billed=False))

    assert total.spend_nano == paid_nano(call()) + 5_000
    assert total.spend["maybe_billed"] == total.overhead_nano == total.spend_unknown_nano == 5_000
    assert total.spend["attempt"] == 0
    assert total.net_nano == total.avoided_nano - 5_000
    assert total.overhead == {"retry": 5_000}
    assert total.requests == 1


def test_an_unpriced_request_has_no_baseline_and_no_savings() -> None:
    without_baseline = call(baseline=None)
    without_price = call(listed=None, paid=None)
    total = total_of(without_baseline, without_price, call())

    assert total.baseline_nano == call().baseline_nano
    assert total.spend["unpriced"] == without_baseline.actual_nano
    assert (total.unpriced, total.uncosted) == (2, 1)
    assert (total.priced_served, total.served) == (1, 3)


def test_a_request_of_which_only_a_negotiated_price_is_known_is_not_priced() -> None:
    odd = call(listed=None)
    assert odd.pricing == "priced"
    total = total_of(odd)
    assert (total.unpriced, total.baseline_nano, total.spend["unpriced"]) == (1, 0, odd.actual_nano)


def test_rationing_is_avoided_cost_but_not_efficiency() -> None:
    total = total_of(call(rationed=True))
    assert total.avoided["downgrade"] == 0
    assert total.avoided["rationing"] > 0
    assert total.efficiency_nano == total.avoided_nano - total.avoided["rationing"]


def test_a_dearer_model_than_the_baseline_is_a_negative_part() -> None:
    total = total_of(call(baseline=CHEAP, listed=DEAR, paid=DEAR))
    assert total.avoided["downgrade"] < 0
    assert total.net_nano < 0


def test_hits_refusals_errors_and_tokens_are_counted() -> None:
    total = total_of(
        hit("exact"),
        hit("semantic", cache_reason="uncertified"),
        hit("semantic", cache_reason="certified"),
        hit("coalesced", cache_reason="in-flight"),
        hit("coalesced", cache_reason="uncertified"),
        call(),
        call(disposition="bypass", status="client_closed", usage_source="estimated"),
        row(status="refused"),
        row(status="upstream_error"),
        row(status="upstream_cut"),
    )
    assert total.by_disposition == {"bypass": 1, "coalesced": 2, "exact": 1, "miss": 4, "semantic": 2}
    assert (total.hits, total.refused, total.errored, total.estimated) == (5, 1, 2, 1)
    assert (total.uncertified, total.uncertified_coalesced) == (1, 1)
    assert total.avoided_uncertified_nano == hit("semantic").baseline_nano
    assert total.avoided_uncertified_coalesced_nano == hit("coalesced").baseline_nano
    assert (total.input_tokens, total.output_tokens) == (7 * 1200, 7 * 300)
    assert (total.served, total.priced_served) == (7, 7)


def test_cost_per_thousand_requests_is_rounded_half_up() -> None:
    assert total_of(died(1), row(), row()).cost_per_1000_nano == 333
    assert total_of(died(2), row(), row()).cost_per_1000_nano == 667


def test_the_price_versions_in_the_rows_are_named() -> None:
    versions = report_of([call(), hit()], Filters()).price_versions
    assert versions.baseline == versions.listed == ("catalogue 1",)
    assert versions.paid == ("negotiated",)


# --- figures that disagree ---


def test_one_row_whose_parts_are_not_its_difference_stops_the_report() -> None:
    wrong = msgspec.structs.replace(call(), avoided_downgrade_nano=1)
    with pytest.raises(FiguresDisagree, match="1 rows"):
        report_of([call(), wrong], Filters())


async def test_faults_that_cancel_out_still_stop_the_report(tmp_path: Path) -> None:
    right = call()
    more = msgspec.structs.replace(right, avoided_downgrade_nano=right.avoided_downgrade_nano + 1)
    less = msgspec.structs.replace(right, avoided_downgrade_nano=right.avoided_downgrade_nano - 1)
    engine = await ledger_of(tmp_path / "ledger.db", [more, less])
    with pytest.raises(FiguresDisagree, match="2 rows"):
        report(engine, Filters())


def test_savings_without_a_known_difference_stop_the_report() -> None:
    with pytest.raises(FiguresDisagree):
        report_of([died(5, avoided_exact_nano=5)], Filters())


def _without_group(made: SavingsReport) -> SavingsReport:
    return msgspec.structs.replace(made, groups=made.groups[1:])


def _with_total(**changes: Any) -> Callable[[SavingsReport], SavingsReport]:
    return lambda made: msgspec.structs.replace(made, total=msgspec.structs.replace(made.total, **changes))


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (_without_group, "the groups come to"),
        (_with_total(spend_nano=1), "spend is 1"),
        (_with_total(baseline_nano=1), "baseline minus spend"),
        (_with_total(by_status={}), "3 requests, but 0"),
    ],
)
def test_a_report_that_was_spoilt_does_not_pass_the_check(
    spoilt: Callable[[SavingsReport], SavingsReport], message: str
) -> None:
    made = report_of(MIXED, Filters(by="team"))
    check(made)
    with pytest.raises(FiguresDisagree, match=message):
        check(spoilt(made))


# --- CSV and JSON ---


def lines_of(made: SavingsReport) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(made), newline="")))


def test_csv_and_json_have_the_same_total_and_groups() -> None:
    made = report_of([*MIXED, attempt(77), died(1)], Filters(by="app"))
    *groups, total = lines_of(made)
    parsed = json.loads(as_json(made))

    for line, record in zip([*groups, total], [*parsed["groups"], parsed["total"]], strict=True):
        for name, value in record.items():
            if name != "name":
                assert line[name] == ("" if value is None else str(value))
    assert int(total["spend_nano"]) == sum(int(line["spend_nano"]) for line in groups) == made.total.spend_nano


def test_every_amount_is_an_integer_and_the_same_exact_dollars() -> None:
    (*_, total) = lines_of(report_of([*MIXED, attempt(77), died(1)], Filters()))
    amounts = [name.removesuffix("_nano") for name in total if name.endswith("_nano")]
    assert len(amounts) > 20
    for name in amounts:
        assert Decimal(total[f"{name}_usd"]) * 10**9 == int(total[f"{name}_nano"])


def test_csv_has_one_header_whatever_is_in_it() -> None:
    headers = {as_csv(report_of(rows, Filters(by=by))).split("\r\n")[0] for rows in ([], MIXED) for by in BYS}
    assert len(headers) == 1
    columns = next(csv.reader(io.StringIO(headers.pop())))
    assert columns[:6] == ["row", "by", "team", "name", "rows", "requests"]
    assert len(set(columns)) == len(columns)
    assert {f"status_{name}" for name in get_args(Status)} < set(columns)


@pytest.mark.parametrize("name", ['a,b"c', "two\r\nlines", "ünï ☃", "x;=y"])
def test_csv_takes_any_name_and_gives_it_back(name: str) -> None:
    written = as_csv(report_of([call(team=name)], Filters(by="app")))
    assert [line["team"] for line in csv.DictReader(io.StringIO(written, newline=""))] == [name, ""]
    assert written.endswith("\r\n")


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "  =1+1", "\r=1", "\ufeff=1", "＝1+1", "\x00@x"]
)
def test_no_name_is_a_formula_for_a_spreadsheet(name: str) -> None:
    line, _ = lines_of(report_of([call(team=name, app=name)], Filters(by="app")))
    assert line["team"] == line["name"] == f"'{name}"


@pytest.mark.parametrize("name", ["support", "a=b", "2026-05-01", "", "ünï"])
def test_harmless_names_stay_as_they_are(name: str) -> None:
    assert inert(name) == name


def test_negative_amounts_stay_numbers() -> None:
    line, _ = lines_of(report_of([call(baseline=CHEAP, listed=DEAR, paid=DEAR)], Filters()))
    assert int(line["net_savings_nano"]) < 0
    assert line["net_savings_usd"].startswith("-0.")
    assert float(line["net_savings_share"]) < 0


# --- the terminal ---


def shown(made: SavingsReport, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(as_table(made))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_fits_a_terminal_of_80_columns_with_large_amounts() -> None:
    rows = [call(Usage(input=10**10, output=10**9), team="a-team-with-quite-a-long-name")] * 3
    text = shown(report_of(rows, Filters(by="team")))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "$390,000.00" in text
    assert "…" not in text


def test_names_are_shown_as_they_are_and_cannot_steer_the_terminal() -> None:
    text = shown(report_of([call(team="[red]x[/red]"), call(team="\x1b[31mred")], Filters(by="team")))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("nano", "digits", "text"),
    [
        (1_234_567_890_000, 2, "$1,234.57"),
        (-70_000_000, 2, "-$0.07"),
        (-1, 2, "$0.00"),
        (5_000_000, 2, "$0.01"),
        (275_000, 6, "$0.000275"),
    ],
)
def test_dollars_are_rounded_half_up(nano: int, digits: int, text: str) -> None:
    assert dollars(nano, digits) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 3, "33.3%"), (0, 5, "0.0%"), (5, 5, "100.0%"), (99_999, 100_000, "99.9%"), (1, 0, "–")],
)
def test_a_share_that_is_not_the_whole_is_never_shown_as_100_percent(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


# --- the HTML file ---

VOID = {"meta", "rect", "line", "br"}


class Page(HTMLParser):
    """An HTML page taken apart; fails on tags that do not match."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""

    @classmethod
    def of(cls, html: str) -> "Page":
        parser = cls()
        parser.feed(html)
        parser.close()
        assert parser.open == []
        return parser

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def page(made: SavingsReport) -> str:
    return as_html(made, made_at=datetime(2026, 6, 1, 8, 15, tzinfo=UTC), head="f00d" * 16, chain_id="chain-1")


def many(count: int, **changes: Any) -> list[LedgerRow]:
    return [call(Usage(input=1000 + n, output=50), team=f"team-{n:03}", **changes) for n in range(count)]


def daily(days: Sequence[int]) -> list[LedgerRow]:
    return [call(at_us=us(MAY + timedelta(days=day))) for day in days]


@pytest.mark.parametrize("by", BYS)
def test_the_page_needs_nothing_but_itself(by: By) -> None:
    html = page(report_of([*MIXED, attempt(5), died(5)], Filters(by=by)))
    found = Page.of(html)

    assert "script" not in {tag for tag, _ in found.tags}
    attributes = {name for _, names in found.tags for name in names}
    assert not {"src", "href", "srcset", "action", "xlink:href"} & attributes
    assert "http://" not in html
    assert "https://" not in html
    assert set(re.findall(r"url\((.*?)\)", html)) == {"#hatch"}
    assert "@import" not in html


def test_names_are_text_on_the_page_wherever_they_stand() -> None:
    name = "<script>alert('x')</script>\"&"
    rows = [call(team=name, app=name, requested_model=name, route=name)]
    for by in BYS:
        filters = Filters(by=by, team=name, app=name, model=name)
        html = page(report_of(rows, filters))
        assert "<script" not in html
        assert name in Page.of(html).text


def test_the_page_says_where_its_figures_are_from() -> None:
    text = Page.of(page(report_of([*MIXED, attempt(5)], Filters(by="team", since=MAY)))).text
    for said in (
        "chain-1",
        "f00d" * 16,
        "4: 3 requests and 1 attempts",
        "catalogue 1",
        "negotiated",
        "2026-06-01 08:15:00 UTC",
        "since: 2026-05-01 00:00:00 UTC",
    ):
        assert said in text


def test_the_page_has_the_exact_sums() -> None:
    made = report_of([*MIXED, attempt(5), died(5)], Filters(by="team"))
    *_, total = lines_of(made)
    text = Page.of(page(made)).text
    for name in ("baseline", "spend", "net_savings", "spend_priced", "avoided_exact", "avoided_negotiated_rate"):
        assert f"{total[f'{name}_usd'].replace('-', '−')} USD" in text


def test_what_audits_found_is_said_wherever_the_savings_are() -> None:
    def audit(verdict: str | None, **changes: Any) -> LedgerRow:
        return attempt(5, is_billed=False, kind="audit", verdict=verdict, **changes)

    hits = [hit("semantic") for _ in range(8)]
    audits = [audit("same"), audit("same"), audit("different"), audit("unclear"), audit(None)]
    made = report_of([*hits, *audits, audit("different", cache_reason=COMPLAINT)], Filters())
    assert made.total.audited == {"different": 1, "same": 2, "unclear": 1}
    *_, total = lines_of(made)
    assert [total[f"audited_{verdict}"] for verdict in ("same", "different", "unclear")] == ["2", "1", "1"]
    said = "Of 4 semantic hits that were audited, 1 was wrong (25.0%) and 1 unclear."
    assert said in " ".join(Page.of(page(made)).text.split())
    assert said in " ".join(shown(made).split())
    unaudited = report_of(hits, Filters())
    assert "No semantic hit of this period was audited" in Page.of(page(unaudited)).text


def test_uncertified_hits_and_missing_prices_are_said_before_the_figures_are_quoted() -> None:
    hits = [hit("semantic", cache_reason="uncertified"), hit("coalesced", cache_reason="uncertified")]
    rows = [*hits, call(listed=None, paid=None), died(9_000_000)]
    text = " ".join(Page.of(page(report_of(rows, Filters()))).text.split())
    assert "The only one is uncertified" in text
    assert "1 of 1 coalesced requests joined another question, uncertified" in text
    assert "The cost of 1 request is not known at all" in text
    assert "is an upper bound" in text


@pytest.mark.parametrize(
    "rows",
    [
        daily([0]),
        daily(range(70)),
        daily([0, 400]),
        daily([0, 2000]),
        many(1),
        many(65),
        [call(baseline=CHEAP, listed=DEAR, paid=DEAR), *MIXED],
        [row(status="refused")],
        [died(5)],
    ],
    ids=["one day", "70 days", "a year", "years", "one team", "65 teams", "a loss", "refused", "died"],
)
@pytest.mark.parametrize("by", ["day", "team"])
def test_charts_stay_inside_their_frame(rows: list[LedgerRow], by: By) -> None:
    found = Page.of(page(report_of(rows, Filters(by=by))))
    bars = [names for tag, names in found.tags if tag == "rect" and "piece" in (names.get("class") or "")]
    for names in bars:
        start, width = (float((names[side] or "").removesuffix("%")) for side in ("x", "width"))
        assert start >= 0
        assert width >= 0
        assert start + width <= 100.01
        assert float(names["height"] or "") >= 0
    assert found.attributes("line", "x1")


def test_the_waterfall_leads_from_the_baseline_to_the_spend() -> None:
    total = total_of(*MIXED, call(rationed=True), attempt(5_000), died(7_000))
    steps = waterfall(total, digits=6)

    assert [step.label for step in steps if step.is_sum] == [
        "Baseline at list price",
        "Spend on priced requests",
        "Spend",
    ]
    assert steps[0].exact == "0.084000000 USD"
    assert steps[7].label == "Rationing by budget"
    for before, after in pairwise(steps):
        segment = after.segments[0]
        edges = (segment.start, segment.start + segment.width)
        assert min(abs((before.joint or 0) - edge) for edge in edges) < 0.01


def test_days_without_requests_are_gaps_in_the_chart() -> None:
    chart = column_chart(report_of(daily([0, 3]), Filters()).groups)
    assert [bool(column.blocks) for column in chart.columns] == [True, False, False, True]
    assert [column.label for column in chart.columns] == ["1 May", "2 May", "3 May", "4 May"]


@pytest.mark.parametrize(("last", "unit", "columns"), [(99, "day", 100), (100, "week", 15), (1500, "month", 50)])
def test_long_periods_are_shown_by_week_or_month(last: int, unit: str, columns: int) -> None:
    chart = column_chart(report_of(daily([0, last]), Filters()).groups)
    assert (chart.unit, len(chart.columns)) == (unit, columns)
    assert sum(bool(column.label) for column in chart.columns) <= 12


def test_small_groups_share_one_bar_and_keep_their_table_rows() -> None:
    made = report_of(many(65), Filters(by="team"))
    rows = stacked_rows(made.groups, digits=4)
    assert len(rows) == 21
    assert rows[-1].label == "45 others"
    text = Page.of(page(made)).text
    assert all(f"team-{n:03}" in text for n in range(65))


@pytest.mark.parametrize(
    ("filters", "rows", "period"),
    [
        (Filters(), MIXED, "1 May 2026"),
        (Filters(since=MAY, until=datetime(2026, 6, 1, tzinfo=UTC)), MIXED, "1 May 2026 to 31 May 2026"),
        (Filters(), [], "the whole ledger"),
        (Filters(since=MAY), [], "from 1 May 2026"),
        (Filters(until=MAY), [], "up to 30 Apr 2026"),
    ],
)
def test_the_page_names_its_period(filters: Filters, rows: list[LedgerRow], period: str) -> None:
    assert f"<title>LLM savings, {period}</title>" in page(report_of(rows, filters))
