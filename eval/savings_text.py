"""The savings report as a terminal table, as CSV and as JSON.

Owns column names and how money, shares and names are written as text; refuses to know what a figure means.
CSV and JSON are made from one record for each group: integer nano-dollars, and the same amounts as exact
decimal US dollars. The table rounds, for reading.
"""

import csv
import io
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, get_args

import msgspec
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from eval.savings import (
    BOOKINGS,
    DISPOSITIONS,
    FOOTNOTES,
    HITS,
    Booking,
    By,
    Figures,
    Filters,
    Name,
    SavingsReport,
)
from router.ledger.row import Status
from router.money import NANO_PER_USD, usd_text
from router.savings import REASONS, Reason

OVERHEADS: Final = ("retry", "embedding", "audit", "refresh", "judge")
"""Reasons with a column of their own; what else there may be is `overhead_other`."""

REASON_LABELS: Final[dict[Reason, str]] = {
    "exact": "Exact cache hits",
    "semantic": "Semantic cache hits",
    "coalesced": "Coalesced requests",
    "downgrade": "Cheaper model",
    "rationing": "Rationing by budget",
    "provider_prompt_cache": "Provider's prompt cache",
    "negotiated_rate": "Negotiated rates",
}
BOOKING_LABELS: Final[dict[Booking, str]] = {
    "priced": "Spend on priced requests",
    "unpriced": "Unpriced requests, as far as known",
    "attempt": "Audits, refreshes, judges, failures",
    "maybe_billed": "The same, maybe billed",
    "died": "Requests cut by a crash",
}
BY_LABELS: Final[dict[By, str]] = {
    "day": "Day (UTC)",
    "team": "Team",
    "app": "Team / app",
    "model": "Requested model",
    "route": "Route",
}

Cell = int | str | None


# --- how things are written ---


def label(name: Name) -> str:
    return " / ".join(name)


def dollars(nano: int, digits: int = 2) -> str:
    """Rounded half up, for reading: `$1,234.50`, `-$0.07`."""
    rounded = (Decimal(abs(nano)) / NANO_PER_USD).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{'-' if nano < 0 and rounded else ''}${rounded:,}"


def digits_for(report: SavingsReport) -> int:
    """Decimals at which the report's amounts can be told apart: one choice for a whole report, so that its
    columns line up."""
    largest = max(abs(report.total.baseline_nano), abs(report.total.spend_nano))
    if largest >= 10 * NANO_PER_USD:
        return 2
    return 4 if largest >= NANO_PER_USD // 10 else 6


def ratio(part: int, whole: int) -> str | None:
    """A share as a decimal with six places, or None of nothing."""
    if not whole:
        return None
    return f"{(Decimal(part) / whole).quantize(Decimal('0.000001'), ROUND_HALF_UP):f}"


def percent(part: int, whole: int, digits: int = 1) -> str:
    """A share for reading: `41.3%`; a dash where there is nothing to take a share of. A share that is not
    quite the whole is never shown as 100%."""
    if not whole:
        return "–"
    share = Decimal(part) * 100 / whole
    rounded = share.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    if rounded == 100 and part < whole:
        rounded -= Decimal(1).scaleb(-digits)
    return f"{rounded:,}%"


# --- records: one shape for CSV and JSON ---


def record(figures: Figures) -> dict[str, Cell]:
    """All figures of one group. Names and order are stable: programs read them."""
    return {
        "rows": figures.rows,
        "requests": figures.requests,
        **{f"requests_{name}": figures.by_disposition.get(name, 0) for name in DISPOSITIONS},
        **{f"status_{name}": figures.by_status.get(name, 0) for name in get_args(Status)},
        "refused": figures.refused,
        "errored": figures.errored,
        "served": figures.served,
        "priced_served": figures.priced_served,
        "unpriced": figures.unpriced,
        "cost_not_known": figures.uncosted,
        "tokens_estimated": figures.estimated,
        "semantic_uncertified": figures.uncertified,
        "coalesced_uncertified": figures.uncertified_coalesced,
        **{f"audited_{verdict}": figures.audited.get(verdict, 0) for verdict in ("same", "different", "unclear")},
        **{f"rows_{booking}": figures.by_booking[booking] for booking in BOOKINGS},
        "input_tokens": figures.input_tokens,
        "output_tokens": figures.output_tokens,
        **{f"hit_rate_{name}": ratio(figures.by_disposition.get(name, 0), figures.requests) for name in HITS},
        "hit_rate": ratio(figures.hits, figures.requests),
        "coverage": ratio(figures.priced_served, figures.served),
        "net_savings_share": ratio(figures.net_nano, figures.baseline_nano),
        **_money(figures),
    }


def _money(figures: Figures) -> dict[str, Cell]:
    amounts: dict[str, int | None] = {
        "baseline": figures.baseline_nano,
        "spend": figures.spend_nano,
        **{f"spend_{booking}": figures.spend[booking] for booking in BOOKINGS},
        "spend_unknown": figures.spend_unknown_nano,
        **{f"avoided_{reason}": figures.avoided[reason] for reason in REASONS},
        "avoided": figures.avoided_nano,
        "avoided_without_rationing": figures.efficiency_nano,
        "avoided_semantic_uncertified": figures.avoided_uncertified_nano,
        "avoided_coalesced_uncertified": figures.avoided_uncertified_coalesced_nano,
        **{f"overhead_{reason}": figures.overhead.get(reason, 0) for reason in OVERHEADS},
        "overhead_other": sum(nano for reason, nano in figures.overhead.items() if reason not in OVERHEADS),
        "overhead": figures.overhead_nano,
        "net_savings": figures.net_nano,
        "cost_per_1000_requests": figures.cost_per_1000_nano,
    }
    cells: dict[str, Cell] = {}
    for name, nano in amounts.items():
        cells[f"{name}_nano"] = nano
        cells[f"{name}_usd"] = None if nano is None else usd_text(nano)
    return cells


# --- CSV ---


def as_csv(report: SavingsReport) -> str:
    """RFC 4180: a header, a line for each group, and one for the total (`row` says which)."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["row", "by", "team", "name", *record(report.total)])
    for group in report.groups:
        team, name = group.name if report.filters.by == "app" else ("", *group.name)
        writer.writerow(["group", report.filters.by, inert(team), inert(name), *_filled(record(group.figures))])
    writer.writerow(["total", report.filters.by, "", "", *_filled(record(report.total))])
    return written.getvalue()


def _filled(cells: dict[str, Cell]) -> list[int | str]:
    return ["" if cell is None else cell for cell in cells.values()]


def inert(text: str) -> str:
    """A name that no spreadsheet takes for a formula: those are marked as text with an apostrophe.

    Spreadsheets trim before they look, and some take full-width signs for the plain ones.
    Source: OWASP, "CSV Injection".
    """
    shown = next((character for character in text if character.isprintable() and not character.isspace()), "")
    return f"'{text}" if shown in _FORMULA_STARTS else text


_FORMULA_STARTS: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")


# --- JSON ---


def as_json(report: SavingsReport) -> str:
    """One object. Where numbers are read as doubles, integers of nano-dollars are exact up to nine million
    dollars; the `_usd` texts always are."""
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "filters": filters_record(report.filters),
                "first_at": report.first_at,
                "last_at": report.last_at,
                "price_versions": report.price_versions,
                "groups": [{"name": list(group.name), **record(group.figures)} for group in report.groups],
                "total": record(report.total),
                "notes": FOOTNOTES,
            }
        ),
        indent=2,
    ).decode()


def filters_record(filters: Filters) -> dict[str, Any]:
    return {name: getattr(filters, name) for name in filters.__struct_fields__}


# --- terminal ---


def as_table(report: SavingsReport) -> RenderableType:
    """The groups, how the total's money is attributed, and what to know before quoting it. Fits 80 columns."""
    if not report.total.rows:
        return Text("No requests in this period match.")
    digits = digits_for(report)
    return Lines(_groups(report, digits), _attribution(report.total, digits), *_remarks(report.total))


def _groups(report: SavingsReport, digits: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False, padding=(0, 1, 0, 0))
    total = _line(report.total, digits)
    table.add_column(BY_LABELS[report.filters.by], "Total", overflow="fold", min_width=10)
    for heading, cell in zip(("Requests", "Hits", "Baseline", "Spend", "Net saved", "Net %"), total, strict=True):
        table.add_column(heading, cell, justify="right", no_wrap=True)
    for group in report.groups:
        table.add_row(printable(label(group.name)), *_line(group.figures, digits))
    return table


def _line(figures: Figures, digits: int) -> tuple[str, ...]:
    return (
        f"{figures.requests:,}",
        percent(figures.hits, figures.requests),
        dollars(figures.baseline_nano, digits),
        dollars(figures.spend_nano, digits),
        dollars(figures.net_nano, digits),
        percent(figures.net_nano, figures.baseline_nano),
    )


def printable(text: str) -> Text:
    """A name without what could move the cursor or be taken for markup."""
    return Text("".join(character if character.isprintable() else "\ufffd" for character in text))


def _attribution(total: Figures, digits: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column()
    table.add_column(justify="right", no_wrap=True)

    def add(text: str, nano: int, *, is_sum: bool = False) -> None:
        table.add_row(text, dollars(nano, digits), style="bold" if is_sum else None, end_section=is_sum)

    add("Baseline of the priced requests, at list price", total.baseline_nano, is_sum=True)
    for reason in REASONS:
        if reason != "rationing":
            add(f"- {REASON_LABELS[reason]}", total.avoided[reason])
    add(f"- {REASON_LABELS['rationing']} (not efficiency)", total.avoided["rationing"])
    add(BOOKING_LABELS["priced"], total.spend["priced"], is_sum=True)
    for booking, text in BOOKING_LABELS.items():
        if booking != "priced" and total.spend[booking]:
            add(f"+ {text}", total.spend[booking])
    add("Spend", total.spend_nano, is_sum=True)
    add("Avoided", total.avoided_nano)
    for overhead, nano in total.overhead.items():
        add(f"- Overhead: {overhead}", nano)
    add("Net savings", total.net_nano, is_sum=True)
    add("Spend per 1,000 requests", total.cost_per_1000_nano or 0)
    return table


def audited_text(total: Figures) -> str:
    """What audits have found, for people."""
    audited = sum(total.audited.values())
    wrong, unclear = total.audited.get("different", 0), total.audited.get("unclear", 0)
    hits = "semantic hit that was" if audited == 1 else "semantic hits that were"
    return (
        f"Of {audited:,} {hits} audited, {wrong:,} {'was' if wrong == 1 else 'were'} wrong "
        f"({percent(wrong, audited)}) and {unclear:,} unclear. Doubtful hits are audited more often: "
        "thriftgate cache certify has the bound on all."
    )


def _remarks(total: Figures) -> Iterator[Text]:
    yield Text(
        f"Hit rate: exact {percent(total.by_disposition.get('exact', 0), total.requests)}, "
        f"semantic {percent(total.by_disposition.get('semantic', 0), total.requests)}, "
        f"coalesced {percent(total.by_disposition.get('coalesced', 0), total.requests)} of all requests."
    )
    yield Text(
        f"Coverage: {percent(total.priced_served, total.served)} of {total.served:,} served requests are priced; "
        f"{total.unpriced:,} unpriced, {total.refused:,} refused, {total.errored:,} errored."
    )
    if total.uncosted:
        yield Text(f"The cost of {total.uncosted:,} unpriced requests is not known and missing from the spend.")
    if total.uncertified:
        hits = "semantic hit is" if total.uncertified == 1 else "semantic hits are"
        yield Text(f"{total.uncertified:,} {hits} uncertified: no bound on how many were wrong has been shown.")
    if total.uncertified_coalesced:
        yield Text(
            f"{total.uncertified_coalesced:,} coalesced requests joined another question uncertified: no bound on how "
            "many were answered wrongly has been shown."
        )
    if total.audited:
        yield Text(audited_text(total))
    yield Text("Amounts are rounded; CSV and JSON are exact.", style="dim")
