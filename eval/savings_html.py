"""The savings report as one HTML file that needs nothing else: to open, to print, to send on.

Owns the geometry of its charts and the order in which the report tells its story; the words and the looks are
in `templates/savings.html.j2`. Refuses to know what a figure means, and to load anything: no script, font or
image from elsewhere.

Horizontal positions are shares of the chart's width in percent, so that bars stretch with the page while text
keeps its size: the same file is legible on a phone, on a screen and on paper.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
from msgspec import Struct

from eval.savings import BOOKINGS, DISPOSITIONS, FOOTNOTES, Figures, Group, SavingsReport
from eval.savings_text import (
    BOOKING_LABELS,
    BY_LABELS,
    REASON_LABELS,
    audited_text,
    digits_for,
    dollars,
    filters_record,
    label,
    percent,
)
from router.money import NANO_PER_USD, usd_text
from router.savings import REASONS, Reason

_STACKED: Final[tuple[Reason, ...]] = (*(reason for reason in REASONS if reason != "rationing"), "rationing")
"""Rationing on top of the stack, apart from efficiency."""
_MOST_BARS: Final = 100
"""Days, then weeks, then months: the first that needs no more columns than this."""
_MOST_ROWS: Final = 20
"""Groups with a bar of their own; the rest share one. The tables list all."""
_PLOT_PX: Final = 220
_MOST_TICKS: Final = 6
_MOST_LABELS: Final = 12


class Segment(Struct, frozen=True):
    """A piece of a bar: position and width in percent of the chart."""

    series: str
    start: float
    width: float
    title: str


class BarRow(Struct, frozen=True, kw_only=True):
    """A labelled horizontal bar."""

    label: str
    amount: str
    exact: str
    """The exact amount, for who points at the bar."""
    segments: Sequence[Segment]
    is_sum: bool = False
    joint: float | None = None
    """Where the next row of a waterfall begins, in percent."""
    zero: float = 0.0


class Block(Struct, frozen=True):
    """A piece of a column: offset from the plot's top and height in pixels."""

    series: str
    top: float
    height: float
    title: str


class Column(Struct, frozen=True, kw_only=True):
    start: float
    width: float
    blocks: Sequence[Block]
    label: str
    """Empty where a label would touch its neighbour."""
    label_at: float
    anchor: str
    """Which part of the label is there: at the chart's edges it must not stick out."""
    is_minor: bool
    """Its label has room on paper and screen, but not on a phone."""


class Tick(Struct, frozen=True):
    top: float
    text: str
    is_zero: bool


class ColumnChart(Struct, frozen=True, kw_only=True):
    unit: str
    """`day`, `week` or `month`: what one column stands for."""
    columns: Sequence[Column]
    ticks: Sequence[Tick]
    height_px: int = _PLOT_PX


class Cell(Struct, frozen=True):
    text: str
    exact: str = ""


class SheetTable(Struct, frozen=True):
    """A table over the groups; the last row is the total."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Stack(Struct, frozen=True):
    """What one bar of the chart over the groups shows."""

    label: str
    spend_nano: int
    avoided: Mapping[Reason, int]

    @property
    def pieces(self) -> list[tuple[str, int]]:
        return [("spend", self.spend_nano), *((reason, self.avoided[reason]) for reason in _STACKED)]

    @property
    def above(self) -> int:
        return sum(nano for _, nano in self.pieces if nano > 0)

    @property
    def below(self) -> int:
        return sum(nano for _, nano in self.pieces if nano < 0)


SERIES_LABELS: Final[dict[str, str]] = {
    "spend": "Spend",
    **{str(reason): text for reason, text in REASON_LABELS.items()},
}


def as_html(
    report: SavingsReport,
    *,
    made_at: datetime,
    head: str,
    chain_id: str,
    routing: Sequence[str] = (),
    caution: str | None = None,
) -> str:
    """The page. `head` is the hash of the ledger's last row in hex, as a verification gives it; `routing` says what the
    held-out conversations show; `caution` is what to know before all else."""
    digits = digits_for(report)
    is_by_day = report.filters.by == "day"
    return _template().render(
        report=report,
        digits=digits,
        total=report.total,
        audited=audited_text(report.total) if report.total.audited else None,
        filters=[(name, _filter_text(value)) for name, value in filters_record(report.filters).items()],
        period=period(report),
        waterfall=waterfall(report.total, digits),
        columns=column_chart(report.groups) if is_by_day and report.groups else None,
        rows=None if is_by_day else stacked_rows(report.groups, digits),
        legend=_legend(report.total),
        money_table=_money_table(report, digits),
        attribution_table=_attribution_table(report, digits),
        traffic_table=_traffic_table(report),
        reason_labels=REASON_LABELS,
        booking_labels=BOOKING_LABELS,
        reasons=_STACKED,
        bookings=BOOKINGS,
        footnotes=FOOTNOTES,
        routing=routing,
        caution=caution,
        made_at=made_at,
        head=head,
        chain_id=chain_id,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"usd": _usd, "exact": exact, "stamp": stamp}
    environment.globals["percent"] = percent
    return environment.get_template("savings.html.j2")


@jinja2.pass_context
def _usd(context: jinja2.runtime.Context, nano: int) -> str:
    return money(nano, context["digits"])


# --- how things are written ---


def money(nano: int, digits: int) -> str:
    return dollars(nano, digits).replace("-", "−")


def exact(nano: int) -> str:
    return f"{usd_text(nano).replace('-', '−')} USD"


def stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _filter_text(value: Any) -> str:
    if value is None:
        return "any"
    return stamp(value) if isinstance(value, datetime) else str(value)


def period(report: SavingsReport) -> str:
    """`1 May 2026 to 31 May 2026`: the period asked for; where it is open, the one that has rows."""
    since, until = report.filters.since or report.first_at, report.last_at
    if report.filters.until is not None:
        # `until` itself does not count: up to midnight means up to the day before.
        until = report.filters.until - timedelta(microseconds=1)
    first, last = _long_day(since), _long_day(until)
    if first and last:
        return first if first == last else f"{first} to {last}"
    if first or last:
        return f"from {first}" if first else f"up to {last}"
    return "the whole ledger"


def _long_day(at: datetime | None) -> str:
    if at is None:
        return ""
    day = at.astimezone(UTC)
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


# --- the waterfall: from the baseline to the spend ---


def waterfall(total: Figures, digits: int) -> list[BarRow]:
    """Baseline, minus each reason, is the spend on priced requests; plus what else was paid, is the spend."""
    steps = [(SERIES_LABELS[reason], str(reason), -total.avoided[reason]) for reason in _STACKED]
    others = [
        (BOOKING_LABELS[booking], "other", total.spend[booking])
        for booking in BOOKINGS
        if booking != "priced" and total.spend[booking]
    ]
    at = total.baseline_nano
    heights = [0, at]
    for _, _, change in (*steps, *others):
        at += change
        heights.append(at)
    place = _scale(min(heights), max(heights))

    rows = [_sum_row("Baseline at list price", "baseline", total.baseline_nano, place, digits)]
    at = total.baseline_nano
    for text, series, change in steps:
        rows.append(_step_row(text, series, at, change, place, digits))
        at += change
    priced = BOOKING_LABELS["priced"] if others else "Spend"
    rows.append(_sum_row(priced, "spend", at, place, digits))
    for text, series, change in others:
        rows.append(_step_row(text, series, at, change, place, digits))
        at += change
    if others:
        rows.append(_sum_row("Spend", "spend", at, place, digits))
    return rows


def _scale(lowest: int, highest: int) -> Callable[[int], float]:
    """Nano-dollars to percent of the chart's width."""
    span = max(highest - lowest, 1)
    return lambda nano: round(100 * (nano - lowest) / span, 3)


def _sum_row(text: str, series: str, nano: int, place: Callable[[int], float], digits: int) -> BarRow:
    segment = _segment(series, 0, nano, place, f"{text}: {money(nano, digits)}")
    return BarRow(
        label=text,
        amount=money(nano, digits),
        exact=exact(nano),
        segments=[segment],
        is_sum=True,
        joint=place(nano),
        zero=place(0),
    )


def _step_row(text: str, series: str, at: int, change: int, place: Callable[[int], float], digits: int) -> BarRow:
    sign = "+" if change > 0 else ""
    return BarRow(
        label=text,
        amount=f"{sign}{money(change, digits)}",
        exact=f"{sign}{exact(change)}",
        segments=[_segment(series, at, at + change, place, f"{text}: {sign}{money(change, digits)}")],
        joint=place(at + change),
        zero=place(0),
    )


def _segment(series: str, one: int, other: int, place: Callable[[int], float], title: str) -> Segment:
    start = place(min(one, other))
    return Segment(series, start, round(place(max(one, other)) - start, 3), title)


# --- the chart over the groups ---


def stacked_rows(groups: Sequence[Group], digits: int) -> list[BarRow]:
    """One bar for each of the largest groups, one for the rest together."""
    stacks = [
        Stack(label(group.name), group.figures.spend_nano, group.figures.avoided) for group in groups[:_MOST_ROWS]
    ]
    rest = groups[_MOST_ROWS:]
    if rest:
        stacks.append(_together(f"{len(rest)} others", rest))
    lowest, highest = (stack.below for stack in stacks), (stack.above for stack in stacks)
    place = _scale(min(lowest, default=0), max(highest, default=0))
    return [_stacked_row(stack, place, digits) for stack in stacks]


def _together(text: str, groups: Sequence[Group]) -> Stack:
    avoided = {reason: sum(group.figures.avoided[reason] for group in groups) for reason in REASONS}
    return Stack(text, sum(group.figures.spend_nano for group in groups), avoided)


def _stacked_row(stack: Stack, place: Callable[[int], float], digits: int) -> BarRow:
    segments = [
        _segment(series, start, end, place, _title(stack, series, end - start, digits))
        for series, start, end in _piled(stack)
    ]
    return BarRow(
        label=stack.label,
        amount=money(stack.spend_nano, digits),
        exact=exact(stack.spend_nano),
        segments=segments,
        zero=place(0),
    )


def _title(stack: Stack, series: str, nano: int, digits: int) -> str:
    return f"{stack.label}, {SERIES_LABELS[series]}: {money(nano, digits)}"


def _piled(stack: Stack) -> list[tuple[str, int, int]]:
    """Each piece that is not nothing, from where to where: gains pile up from zero, losses pile down."""
    up = down = 0
    found = []
    for series, nano in stack.pieces:
        if nano > 0:
            found.append((series, up, up + nano))
            up += nano
        elif nano < 0:
            found.append((series, down, down + nano))
            down += nano
    return found


def column_chart(groups: Sequence[Group]) -> ColumnChart:
    """Days side by side, without gaps in time; long periods by week or month."""
    unit, stacks = _binned(groups)
    ticks = _tick_values(min(stack.below for stack in stacks), max(stack.above for stack in stacks))
    lowest, highest = ticks[0], ticks[-1]

    def top(nano: int) -> float:
        return round(_PLOT_PX * (highest - nano) / (highest - lowest), 2)

    # A single day should not fill the page.
    slot = 100 / len(stacks)
    width = min(slot * 0.8, 9.0)
    every = -(-len(stacks) // _MOST_LABELS)
    digits = _digits_of_step(ticks[1] - ticks[0])

    def column(place: int, stack: Stack) -> Column:
        middle = (place + 0.5) * slot
        anchor, label_at = _anchored(middle, width)
        return Column(
            start=round(middle - width / 2, 3),
            width=round(width, 3),
            blocks=_blocks(stack, top),
            label=stack.label if place % every == 0 else "",
            label_at=round(label_at, 3),
            anchor=anchor,
            is_minor=place // every % 2 == 1,
        )

    return ColumnChart(
        unit=unit,
        columns=[column(place, stack) for place, stack in enumerate(stacks)],
        ticks=[Tick(top(nano), money(nano, digits), nano == 0) for nano in ticks],
    )


def _anchored(middle: float, width: float) -> tuple[str, float]:
    if middle > 96:
        return "end", middle + width / 2
    if middle < 4:
        return "start", middle - width / 2
    return "middle", middle


def _blocks(stack: Stack, top: Callable[[int], float]) -> list[Block]:
    return [
        Block(
            series,
            top(max(start, end)),
            round(abs(top(start) - top(end)), 2),
            _title(stack, series, end - start, 4),
        )
        for series, start, end in _piled(stack)
    ]


def _binned(groups: Sequence[Group]) -> tuple[str, list[Stack]]:
    """The columns: every day, week or month between the first and the last day, with rows or without."""
    by_day = {date.fromisoformat(group.name[0]): group for group in groups}
    days = [min(by_day) + timedelta(days=passed) for passed in range((max(by_day) - min(by_day)).days + 1)]
    for unit, start_of in _UNITS.items():
        starts = sorted({start_of(day) for day in days})
        if len(starts) <= _MOST_BARS or unit == "month":
            break
    binned: dict[date, list[Group]] = {start: [] for start in starts}
    for day, group in by_day.items():
        binned[start_of(day)].append(group)
    return unit, [_together(_short_day(start, unit), found) for start, found in binned.items()]


_UNITS: Final[dict[str, Callable[[date], date]]] = {
    "day": lambda day: day,
    "week": lambda day: day - timedelta(days=day.weekday()),
    "month": lambda day: day.replace(day=1),
}


def _short_day(day: date, unit: str) -> str:
    month = _MONTHS[day.month - 1]
    return f"{month} {day.year}" if unit == "month" else f"{day.day} {month}"


def _tick_values(lowest: int, highest: int) -> list[int]:
    """Round amounts in even steps, from at or below the lowest to at or above the highest."""
    if lowest == highest:
        return [0, NANO_PER_USD]
    step = _step(highest - lowest)
    return list(range(lowest // step * step, -(-highest // step) * step + 1, step))


def _step(span: int) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... nano-dollars that cuts the span into few enough pieces."""
    power = 1
    while True:
        for leading in (1, 2, 5):
            if leading * power * (_MOST_TICKS - 1) >= span:
                return leading * power
        power *= 10


def _digits_of_step(step: int) -> int:
    """Decimals in which multiples of the step are written exactly."""
    return max(len(str(NANO_PER_USD)) - len(str(step)), 0)


def _legend(total: Figures) -> list[tuple[str, str]]:
    """The series that a chart shows."""
    return [
        (series, text)
        for series, text in (("spend", SERIES_LABELS["spend"]), *((r, REASON_LABELS[r]) for r in _STACKED))
        if series == "spend" or total.avoided[series]  # type: ignore[index]
    ]


# --- the tables ---


def _table(report: SavingsReport, headings: Iterable[str], line: Callable[[Figures], list[Cell]]) -> SheetTable:
    return SheetTable(
        headings=[BY_LABELS[report.filters.by], *headings],
        rows=[
            *([Cell(label(group.name)), *line(group.figures)] for group in report.groups),
            [Cell("Total"), *line(report.total)],
        ],
    )


def _money_table(report: SavingsReport, digits: int) -> SheetTable:
    def line(figures: Figures) -> list[Cell]:
        per_1000 = figures.cost_per_1000_nano
        return [
            Cell(f"{figures.requests:,}"),
            _amount(figures.baseline_nano, digits),
            _amount(figures.spend_nano, digits),
            _amount(figures.spend_unknown_nano, digits),
            _amount(figures.avoided_nano, digits),
            _amount(figures.overhead_nano, digits),
            _amount(figures.net_nano, digits),
            Cell(percent(figures.net_nano, figures.baseline_nano).replace("-", "−")),
            Cell("–") if per_1000 is None else _amount(per_1000, digits),
        ]

    headings = (
        "Requests",
        "Baseline",
        "Spend",
        "of which unknown",
        "Avoided",
        "Overhead",
        "Net savings",
        "% of baseline",
        "Spend per 1,000",
    )
    return _table(report, headings, line)


def _attribution_table(report: SavingsReport, digits: int) -> SheetTable:
    def line(figures: Figures) -> list[Cell]:
        return [
            *(_amount(figures.avoided[reason], digits) for reason in _STACKED[:-1]),
            _amount(figures.efficiency_nano, digits),
            _amount(figures.avoided["rationing"], digits),
            _amount(figures.avoided_nano, digits),
        ]

    headings = (*(REASON_LABELS[reason] for reason in _STACKED[:-1]), "Efficiency", "Rationing", "Avoided")
    return _table(report, headings, line)


def _traffic_table(report: SavingsReport) -> SheetTable:
    def line(figures: Figures) -> list[Cell]:
        counts = [
            *(figures.by_disposition.get(name, 0) for name in DISPOSITIONS),
            figures.refused,
            figures.errored,
            figures.unpriced,
        ]
        return [
            *(Cell(f"{count:,}") for count in counts),
            Cell(percent(figures.hits, figures.requests)),
            Cell(percent(figures.priced_served, figures.served)),
            Cell(f"{figures.input_tokens:,}"),
            Cell(f"{figures.output_tokens:,}"),
        ]

    headings = (
        *(name.capitalize() for name in DISPOSITIONS),
        "Refused",
        "Errors",
        "Unpriced",
        "Hit rate",
        "Coverage",
        "Input tokens",
        "Output tokens",
    )
    return _table(report, headings, line)


def _amount(nano: int, digits: int) -> Cell:
    return Cell(money(nano, digits), exact(nano))
