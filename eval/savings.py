"""The savings report's figures: ledger rows added up by group and in total.

Owns what every figure means and that the figures agree with each other to the nano-dollar. Money comes from
the rows alone: this file knows no price, and neither how a report looks nor how it is asked for.

Rows that agree in everything the report tells apart (their `Traits`) are added up first (their `Sums`). The
database does that for a whole ledger, `sums_of` for single rows; every figure is then made from these slices
in one place, so that the two ways cannot differ in what a figure means.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import sqlalchemy as sa
from msgspec import Struct

from router.ledger import tables
from router.ledger.row import COMPLAINT, LedgerRow
from router.savings import REASONS, Reason

By = Literal["day", "team", "app", "model", "route"]
Booking = Literal["priced", "unpriced", "attempt", "maybe_billed", "died"]
"""Every row's money is booked in exactly one of these:

- `priced`: a request whose baseline, list and actual cost are all known.
- `unpriced`: a request that lacks one of the three; it has a cost at most.
- `attempt`: a row beside the answer (an audit, a refresh, a judge, a failed upstream call) whose cost is known.
- `maybe_billed`: such a row that the provider may have billed, also if the process died, booked at its reservation.
- `died`: a request that was under way when the process died, booked at its reservation.
"""
BOOKINGS: Final[tuple[Booking, ...]] = ("priced", "unpriced", "attempt", "maybe_billed", "died")
DISPOSITIONS: Final = ("exact", "semantic", "coalesced", "miss", "bypass")
HITS: Final = ("exact", "semantic", "coalesced")
UNCERTIFIED: Final = "uncertified"
"""How the cache marks a semantic hit of a route whose error rate has no measured bound, and who joins another question
there."""

FOOTNOTES: Final = (
    "Spend is the actual cost of every row. It has five parts that do not overlap: priced requests; unpriced "
    "requests, as far as their cost is known; audits, refreshes, judges and failed attempts whose cost is known; those "
    "of them of which nobody knows whether they were billed; and requests that were under way when the process died. "
    "The last two are booked at their reservation, an upper bound, and are together the spend that is called unknown.",
    "Baseline, avoided cost and savings are taken over priced requests only. There, baseline minus spend is the "
    "sum of the avoided parts, for each row and to the nano-dollar. A negative part is a cost, not a saving.",
    "Overhead is what was paid beside the answers: audits, refreshes, judges and failed attempts. It is in the spend "
    "already; it is subtracted from the avoided cost once, and never added to the spend a second time.",
    "Net savings = avoided cost - overhead. Rationing, a cheaper model that a budget forced, is in it and listed "
    "apart, because it is not efficiency.",
    "Hit rates are shares of all requests, refused ones included. Coverage is the share of served requests that "
    "are priced.",
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US_PER_DAY: Final = 86_400_000_000

Name = tuple[str, ...]
"""A group: its day as YYYY-MM-DD, or its name; an app's is (team, app), since teams may share app names."""


class FiguresDisagree(Exception):
    """The figures do not add up, so none of them may be shown."""


class Filters(Struct, frozen=True, kw_only=True):
    """Which rows count (None = all) and how they are grouped. Raises ValueError for times without a zone."""

    team: str | None = None
    app: str | None = None
    model: str | None = None
    """The requested model."""
    since: datetime | None = None
    until: datetime | None = None
    """`since` counts, `until` does not."""
    by: By = "day"

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            at = getattr(self, name)
            if at is not None and at.tzinfo is None:
                raise ValueError(f"`{name}` has no time zone: give UTC")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError(f"the period is empty: {self.since.isoformat()} to {self.until.isoformat()}")


class Traits(Struct, frozen=True, kw_only=True):
    """Everything by which the report tells rows apart."""

    group: Name
    kind: str
    disposition: str
    status: str
    pricing: str
    is_served: bool
    is_costed: bool
    is_complete: bool
    """A priced request with its three amounts. A row may say `priced` and lack its list price, where only a
    negotiated rate is known: its savings cannot be attributed, so here it is not priced."""
    is_even: bool
    """The avoided parts are the whole difference; and there are none where there is no difference to explain."""
    is_estimated: bool
    is_uncertified: bool
    verdict: str | None
    """Of an audit that was drawn: whether the hit was right. Complaints are no sample of the hits."""
    overhead_reason: str | None
    baseline_version: str | None
    list_version: str | None
    paid_version: str | None

    @property
    def booking(self) -> Booking:
        if self.pricing == "unknown":
            return "died" if self.kind == "request" else "maybe_billed"
        if self.kind != "request":
            return "attempt"
        return "priced" if self.is_complete else "unpriced"


class Sums(Struct, frozen=True, kw_only=True):
    """Added up over rows with equal traits. `avoided_nano` is in the order of REASONS; amounts that a row does
    not have count as 0."""

    rows: int
    first_us: int
    last_us: int
    input_tokens: int
    output_tokens: int
    baseline_nano: int
    actual_nano: int
    overhead_nano: int
    avoided_nano: tuple[int, ...]

    def plus(self, other: "Sums") -> "Sums":
        return Sums(
            rows=self.rows + other.rows,
            first_us=min(self.first_us, other.first_us),
            last_us=max(self.last_us, other.last_us),
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            baseline_nano=self.baseline_nano + other.baseline_nano,
            actual_nano=self.actual_nano + other.actual_nano,
            overhead_nano=self.overhead_nano + other.overhead_nano,
            avoided_nano=tuple(one + two for one, two in zip(self.avoided_nano, other.avoided_nano, strict=True)),
        )


Slice = tuple[Traits, Sums]


class Figures(Struct, frozen=True, kw_only=True):
    """What a group of rows, or all of them, comes to. Money in nano-dollars; the footnotes define it."""

    rows: int
    requests: int
    by_disposition: Mapping[str, int]
    """Requests by how the cache disposed of them."""
    by_status: Mapping[str, int]
    """Requests by how they ended."""
    by_booking: Mapping[Booking, int]
    """Rows, attempts included."""
    served: int
    priced_served: int
    uncosted: int
    """Unpriced requests of which not even the cost is known: they are missing from the spend."""
    estimated: int
    """Requests whose tokens are an estimate, because the answer broke off before the provider counted them, or is a
    curated one, which no provider has made."""
    uncertified: int
    """Semantic hits."""
    uncertified_coalesced: int
    """Requests that joined another question."""
    audited: Mapping[str, int]
    """Audits of semantic hits that were drawn and came to a verdict: `same`, `different`, `unclear`."""
    input_tokens: int
    """With every bucket of a provider's prompt cache."""
    output_tokens: int
    baseline_nano: int
    spend_nano: int
    spend: Mapping[Booking, int]
    avoided: Mapping[Reason, int]
    avoided_uncertified_nano: int
    """The part of `semantic` that comes from uncertified hits."""
    avoided_uncertified_coalesced_nano: int
    """The part of `coalesced` that comes from such."""
    overhead: Mapping[str, int]
    uneven: int
    """Rows whose avoided parts are not the difference of baseline and actual cost."""

    @property
    def refused(self) -> int:
        return self.by_status.get("refused", 0)

    @property
    def errored(self) -> int:
        return self.by_status.get("upstream_error", 0) + self.by_status.get("upstream_cut", 0)

    @property
    def unpriced(self) -> int:
        return self.by_booking["unpriced"]

    @property
    def hits(self) -> int:
        return sum(self.by_disposition.get(name, 0) for name in HITS)

    @property
    def spend_unknown_nano(self) -> int:
        return self.spend["maybe_billed"] + self.spend["died"]

    @property
    def avoided_nano(self) -> int:
        return sum(self.avoided.values())

    @property
    def efficiency_nano(self) -> int:
        """Avoided without rationing."""
        return self.avoided_nano - self.avoided["rationing"]

    @property
    def overhead_nano(self) -> int:
        return sum(self.overhead.values())

    @property
    def net_nano(self) -> int:
        return self.avoided_nano - self.overhead_nano

    @property
    def cost_per_1000_nano(self) -> int | None:
        """Spend per 1,000 requests, rounded half up; None without requests."""
        return (2000 * self.spend_nano + self.requests) // (2 * self.requests) if self.requests else None


class Group(Struct, frozen=True):
    name: Name
    figures: Figures


class PriceVersions(Struct, frozen=True, kw_only=True):
    """Where the unit prices in the rows are from."""

    baseline: tuple[str, ...]
    listed: tuple[str, ...]
    paid: tuple[str, ...]


class SavingsReport(Struct, frozen=True, kw_only=True):
    filters: Filters
    groups: tuple[Group, ...]
    """Days in order; else the group with the largest baseline and spend first."""
    total: Figures
    price_versions: PriceVersions
    first_at: datetime | None
    last_at: datetime | None
    """Arrival of the first and the last row that counts."""


# --- from rows ---


def report_of(rows: Iterable[LedgerRow], filters: Filters) -> SavingsReport:
    """The report over these rows. Raises FiguresDisagree."""
    counting = (row for row in rows if _counts(row, filters))
    return assembled(((traits_of(row, filters.by), sums_of(row)) for row in counting), filters)


def _counts(row: LedgerRow, filters: Filters) -> bool:
    return (
        filters.team in (None, row.team)
        and filters.app in (None, row.app)
        and filters.model in (None, row.requested_model)
        and (filters.since is None or row.at_us >= _us(filters.since))
        and (filters.until is None or row.at_us < _us(filters.until))
    )


def traits_of(row: LedgerRow, by: By) -> Traits:
    is_complete = (
        row.kind == "request"
        and row.pricing == "priced"
        and row.baseline_nano is not None
        and row.list_nano is not None
        and row.actual_nano is not None
    )
    difference = (row.baseline_nano or 0) - (row.actual_nano or 0) if is_complete else 0
    names: dict[By, Name] = {
        "day": (_day_text(row.at_us // _US_PER_DAY),),
        "team": (row.team,),
        "app": (row.team, row.app),
        "model": (row.requested_model,),
        "route": (row.route,),
    }
    return Traits(
        group=names[by],
        kind=row.kind,
        disposition=row.disposition,
        status=row.status,
        pricing=row.pricing,
        is_served=row.served_model is not None,
        is_costed=row.actual_nano is not None,
        is_complete=is_complete,
        is_even=sum(_avoided(row)) == difference,
        is_estimated=row.usage_source == "estimated",
        is_uncertified=row.disposition in ("semantic", "coalesced") and row.cache_reason == UNCERTIFIED,
        verdict=row.verdict if row.kind == "audit" and row.cache_reason != COMPLAINT else None,
        overhead_reason=row.overhead_reason,
        baseline_version=row.baseline_price_version,
        list_version=row.list_price_version,
        paid_version=row.paid_price_version,
    )


def sums_of(row: LedgerRow) -> Sums:
    return Sums(
        rows=1,
        first_us=row.at_us,
        last_us=row.at_us,
        input_tokens=row.usage.all_input,
        output_tokens=row.output_tokens,
        baseline_nano=row.baseline_nano or 0,
        actual_nano=row.actual_nano or 0,
        overhead_nano=row.overhead_nano,
        avoided_nano=_avoided(row),
    )


def _avoided(row: LedgerRow) -> tuple[int, ...]:
    return tuple(getattr(row, f"avoided_{reason}_nano") for reason in REASONS)


def _day_text(days: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


# --- from the ledger file ---


def report(
    engine: sa.Engine,
    filters: Filters,
    on_row: Callable[[int, int], None] = lambda done, total: None,
    *,
    window_rows: int = 50_000,
) -> SavingsReport:
    """The report over the ledger as it stands at the start; rows that come meanwhile do not count.

    `on_row(done, total)` is called after every window with how many of the chain's rows have been read: a
    fifth of a second or so each. Memory is bounded by the number of groups, not of rows. Raises FiguresDisagree.
    """
    return assembled(_slices(engine, filters, on_row, window_rows), filters)


def _slices(
    engine: sa.Engine, filters: Filters, on_row: Callable[[int, int], None], window_rows: int
) -> Iterator[Slice]:
    with engine.connect() as connection:
        span = _span(connection, filters)
        query = _query(filters)
        for start in span[::window_rows]:
            end = min(start + window_rows, span.stop)
            for record in connection.execute(query, {"first_seq": start, "last_seq": end - 1}).mappings():
                yield _slice(record, filters.by)
            on_row(end - span.start, len(span))


def _span(connection: sa.Connection, filters: Filters) -> range:
    """The part of the chain in which the period's rows are. Rows are never updated, so a fixed end makes
    several queries agree without holding a transaction open beside the writer."""
    seq, at_us = tables.rows.c.seq, tables.rows.c.at_us
    query = sa.select(sa.func.min(seq), sa.func.max(seq))
    if filters.since is not None:
        query = query.where(at_us >= _us(filters.since))
    if filters.until is not None:
        query = query.where(at_us < _us(filters.until))
    first, last = connection.execute(query).one()
    return range(0) if first is None else range(first, last + 1)


def _query(filters: Filters) -> sa.Select[Any]:
    """Rows between two places of the chain that count, added up by their traits. As `traits_of` and `sums_of`."""
    c = tables.rows.c
    traits = _trait_columns(filters.by)
    all_input = c.input_tokens + c.cache_read_tokens + c.cache_write_5m_tokens + c.cache_write_1h_tokens
    avoided = [c[f"avoided_{reason}_nano"] for reason in REASONS]
    query = (
        sa.select(
            *traits,
            sa.func.count().label("rows"),
            sa.func.min(c.at_us).label("first_us"),
            sa.func.max(c.at_us).label("last_us"),
            sa.func.sum(all_input).label("all_input"),
            sa.func.sum(c.output_tokens).label("all_output"),
            *(sa.func.sum(c[name]).label(f"all_{name}") for name in _AMOUNTS),
            *(sa.func.sum(column).label(f"all_{column.name}") for column in avoided),
        )
        .where(c.seq.between(sa.bindparam("first_seq"), sa.bindparam("last_seq")))
        .group_by(*(column.name for column in traits))
    )
    for column, value in ((c.team, filters.team), (c.app, filters.app), (c.requested_model, filters.model)):
        if value is not None:
            query = query.where(column == value)
    if filters.since is not None:
        query = query.where(c.at_us >= _us(filters.since))
    if filters.until is not None:
        query = query.where(c.at_us < _us(filters.until))
    return query


_AMOUNTS: Final = ("baseline_nano", "actual_nano", "overhead_nano")


def _trait_columns(by: By) -> Sequence[sa.Label[Any]]:
    c = tables.rows.c
    groups: dict[By, tuple[sa.ColumnElement[Any], ...]] = {
        "day": (c.at_us // sa.literal_column(str(_US_PER_DAY), sa.BigInteger),),
        "team": (c.team,),
        "app": (c.team, c.app),
        "model": (c.requested_model,),
        "route": (c.route,),
    }
    is_complete = sa.and_(
        c.kind == "request",
        c.pricing == "priced",
        c.baseline_nano.is_not(None),
        c.list_nano.is_not(None),
        c.actual_nano.is_not(None),
    )
    is_drawn = sa.and_(c.kind == "audit", sa.func.coalesce(c.cache_reason, "") != COMPLAINT)
    parts = sum((c[f"avoided_{reason}_nano"] for reason in REASONS[1:]), c[f"avoided_{REASONS[0]}_nano"])
    # Each label is no column's name: GROUP BY would take the column.
    return (
        *(column.label(f"group_{place}") for place, column in enumerate(groups[by])),
        c.kind.label("t_kind"),
        c.disposition.label("t_disposition"),
        c.status.label("t_status"),
        c.pricing.label("t_pricing"),
        c.served_model.is_not(None).label("is_served"),
        c.actual_nano.is_not(None).label("is_costed"),
        is_complete.label("is_complete"),
        (parts == sa.case((is_complete, c.baseline_nano - c.actual_nano), else_=0)).label("is_even"),
        (c.usage_source == "estimated").label("is_estimated"),
        (
            sa.and_(c.disposition.in_(("semantic", "coalesced")), sa.func.coalesce(c.cache_reason, "") == UNCERTIFIED)
        ).label("is_uncertified"),
        sa.case((is_drawn, c.verdict), else_=None).label("t_verdict"),
        c.overhead_reason.label("t_overhead_reason"),
        c.baseline_price_version.label("baseline_version"),
        c.list_price_version.label("list_version"),
        c.paid_price_version.label("paid_version"),
    )


def _slice(record: Mapping[Any, Any], by: By) -> Slice:
    name = tuple(record[f"group_{place}"] for place in range(2 if by == "app" else 1))
    traits = Traits(
        group=(_day_text(name[0]),) if by == "day" else name,
        kind=record["t_kind"],
        disposition=record["t_disposition"],
        status=record["t_status"],
        pricing=record["t_pricing"],
        is_served=bool(record["is_served"]),
        is_costed=bool(record["is_costed"]),
        is_complete=bool(record["is_complete"]),
        is_even=bool(record["is_even"]),
        is_estimated=bool(record["is_estimated"]),
        is_uncertified=bool(record["is_uncertified"]),
        verdict=record["t_verdict"],
        overhead_reason=record["t_overhead_reason"],
        baseline_version=record["baseline_version"],
        list_version=record["list_version"],
        paid_version=record["paid_version"],
    )
    # A sum over nulls alone is null; other databases give sums of integers as decimals.
    sums = Sums(
        rows=record["rows"],
        first_us=record["first_us"],
        last_us=record["last_us"],
        input_tokens=int(record["all_input"] or 0),
        output_tokens=int(record["all_output"] or 0),
        baseline_nano=int(record["all_baseline_nano"] or 0),
        actual_nano=int(record["all_actual_nano"] or 0),
        overhead_nano=int(record["all_overhead_nano"] or 0),
        avoided_nano=tuple(int(record[f"all_avoided_{reason}_nano"] or 0) for reason in REASONS),
    )
    return traits, sums


# --- from slices to figures ---


def assembled(slices: Iterable[Slice], filters: Filters) -> SavingsReport:
    """The report from slices in any order, of which several may have equal traits. Raises FiguresDisagree."""
    merged: dict[Traits, Sums] = {}
    for traits, sums in slices:
        known = merged.get(traits)
        merged[traits] = sums if known is None else known.plus(sums)
    by_group: dict[Name, list[Slice]] = {}
    for traits, sums in merged.items():
        by_group.setdefault(traits.group, []).append((traits, sums))
    groups = [Group(name, figures(found)) for name, found in by_group.items()]
    made = SavingsReport(
        filters=filters,
        groups=tuple(sorted(groups, key=_day if filters.by == "day" else _largest_first)),
        total=figures(list(merged.items())),
        price_versions=PriceVersions(
            baseline=_distinct(traits.baseline_version for traits in merged),
            listed=_distinct(traits.list_version for traits in merged),
            paid=_distinct(traits.paid_version for traits in merged),
        ),
        first_at=_at(min((sums.first_us for sums in merged.values()), default=None)),
        last_at=_at(max((sums.last_us for sums in merged.values()), default=None)),
    )
    check(made)
    return made


def _day(group: Group) -> Name:
    return group.name


def _largest_first(group: Group) -> tuple[int, Name]:
    return -(group.figures.baseline_nano + group.figures.spend_nano), group.name


def _distinct(versions: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({version for version in versions if version}))


def _at(us: int | None) -> datetime | None:
    return None if us is None else _EPOCH + timedelta(microseconds=us)


def figures(slices: Sequence[Slice]) -> Figures:
    requests = [(traits, sums) for traits, sums in slices if traits.kind == "request"]
    priced = [(traits, sums) for traits, sums in slices if traits.booking == "priced"]
    uncertified = [(traits, sums) for traits, sums in priced if traits.is_uncertified]
    booked = {booking: [slice_ for slice_ in slices if slice_[0].booking == booking] for booking in BOOKINGS}
    return Figures(
        rows=_rows(slices),
        requests=_rows(requests),
        by_disposition=_rows_by(requests, lambda traits: traits.disposition),
        by_status=_rows_by(requests, lambda traits: traits.status),
        by_booking={booking: _rows(found) for booking, found in booked.items()},
        served=_rows(requests, lambda traits: traits.is_served),
        priced_served=_rows(priced, lambda traits: traits.is_served),
        uncosted=_rows(booked["unpriced"], lambda traits: not traits.is_costed),
        estimated=_rows(requests, lambda traits: traits.is_estimated),
        uncertified=_rows(requests, lambda traits: traits.is_uncertified and traits.disposition == "semantic"),
        uncertified_coalesced=_rows(
            requests, lambda traits: traits.is_uncertified and traits.disposition == "coalesced"
        ),
        audited=_rows_by(
            ((traits, sums) for traits, sums in slices if traits.verdict is not None),
            lambda traits: traits.verdict or "",
        ),
        input_tokens=sum(sums.input_tokens for _, sums in slices),
        output_tokens=sum(sums.output_tokens for _, sums in slices),
        baseline_nano=sum(sums.baseline_nano for _, sums in priced),
        spend_nano=sum(sums.actual_nano for _, sums in slices),
        spend={booking: sum(sums.actual_nano for _, sums in found) for booking, found in booked.items()},
        avoided=_avoided_by_reason(priced),
        avoided_uncertified_nano=_avoided_by_reason(uncertified)["semantic"],
        avoided_uncertified_coalesced_nano=_avoided_by_reason(uncertified)["coalesced"],
        overhead=_overhead_by_reason(slices),
        uneven=_rows(slices, lambda traits: not traits.is_even),
    )


def _rows(slices: Iterable[Slice], where: Callable[[Traits], bool] = lambda traits: True) -> int:
    return sum(sums.rows for traits, sums in slices if where(traits))


def _rows_by(slices: Iterable[Slice], trait: Callable[[Traits], str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for traits, sums in slices:
        counted[trait(traits)] = counted.get(trait(traits), 0) + sums.rows
    return dict(sorted(counted.items()))


def _avoided_by_reason(slices: Sequence[Slice]) -> dict[Reason, int]:
    return {reason: sum(sums.avoided_nano[place] for _, sums in slices) for place, reason in enumerate(REASONS)}


def _overhead_by_reason(slices: Iterable[Slice]) -> dict[str, int]:
    added: dict[str, int] = {}
    for traits, sums in slices:
        if sums.overhead_nano:
            reason = traits.overhead_reason or "other"
            added[reason] = added.get(reason, 0) + sums.overhead_nano
    return dict(sorted(added.items()))


# --- the promise ---


def check(made: SavingsReport) -> None:
    """Raises FiguresDisagree unless every row, every group and the total add up to the nano-dollar."""
    for name, found in ((("total",), made.total), *((group.name, group.figures) for group in made.groups)):
        for problem in _disagreements(found):
            raise FiguresDisagree(f"{' / '.join(name)}: {problem}")
    for figure in ("rows", "requests", "baseline_nano", "spend_nano", "avoided_nano", "overhead_nano"):
        whole = getattr(made.total, figure)
        parts = sum(getattr(group.figures, figure) for group in made.groups)
        if whole != parts:
            raise FiguresDisagree(f"{figure}: the groups come to {parts}, the total is {whole}")


def _disagreements(found: Figures) -> Iterator[str]:
    if found.uneven:
        yield (
            f"the avoided parts of {found.uneven} rows are not their baseline minus their cost; "
            "verifying the ledger names them"
        )
    difference = found.baseline_nano - found.spend["priced"]
    if difference != found.avoided_nano:
        yield f"baseline minus spend is {difference}, the avoided parts come to {found.avoided_nano}"
    booked = sum(found.spend.values())
    if booked != found.spend_nano:
        yield f"spend is {found.spend_nano}, its parts come to {booked}"
    for counted in (found.by_disposition, found.by_status):
        if sum(counted.values()) != found.requests:
            yield f"{found.requests} requests, but {sum(counted.values())} in {dict(counted)}"
