"""Periods follow the calendar of their time zone, whatever its clocks do."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.periods import Calendar, Unit, is_zone
from tests.router.samples import quick

ZONES: Final = sorted(zoneinfo.available_timezones())

calendars = st.builds(Calendar, st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES))
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("unit", "at", "start", "end"),
    [
        ("day", "2026-12-31T23:59:59.999999+00:00", "2026-12-31", "2027-01-01"),
        ("day", "2027-01-01T00:00:00+00:00", "2027-01-01", "2027-01-02"),
        ("week", "2026-06-14T23:59:59+00:00", "2026-06-08", "2026-06-15"),  # a Sunday
        ("week", "2026-06-15T00:00:00+00:00", "2026-06-15", "2026-06-22"),  # a Monday
        ("week", "2027-01-01T12:00:00+00:00", "2026-12-28", "2027-01-04"),
        ("month", "2026-01-31T12:00:00+00:00", "2026-01-01", "2026-02-01"),
        ("month", "2028-02-29T12:00:00+00:00", "2028-02-01", "2028-03-01"),
        ("month", "2026-12-31T23:59:59+00:00", "2026-12-01", "2027-01-01"),
        ("month", "2026-12-01T00:00:00+00:00", "2026-12-01", "2027-01-01"),
    ],
)
def test_periods_follow_the_calendar(unit: Unit, at: str, start: str, end: str) -> None:
    span = Calendar(unit).span(datetime.fromisoformat(at))

    assert span.start == datetime.fromisoformat(f"{start}T00:00:00+00:00")
    assert span.end == datetime.fromisoformat(f"{end}T00:00:00+00:00")


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("Asia/Tokyo", "2026-06-30T15:30+00:00", "2026-06-30T15:00+00:00", "2026-07-01T15:00+00:00"),
        ("America/New_York", "2026-07-01T03:59+00:00", "2026-06-30T04:00+00:00", "2026-07-01T04:00+00:00"),
        ("Asia/Kathmandu", "2026-07-01T00:00+00:00", "2026-06-30T18:15+00:00", "2026-07-01T18:15+00:00"),
        # The clocks go forward: 23 hours. They go back: 25 hours.
        ("Europe/Berlin", "2026-03-29T12:00+00:00", "2026-03-28T23:00+00:00", "2026-03-29T22:00+00:00"),
        ("Europe/Berlin", "2026-10-25T12:00+00:00", "2026-10-24T22:00+00:00", "2026-10-25T23:00+00:00"),
        # Midnight itself is skipped, or comes twice.
        ("Africa/Cairo", "2026-04-24T12:00+00:00", "2026-04-23T22:00+00:00", "2026-04-24T21:00+00:00"),
        ("America/Havana", "2026-11-01T12:00+00:00", "2026-11-01T04:00+00:00", "2026-11-02T05:00+00:00"),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "2011-12-30T11:00+00:00", "2011-12-30T10:00+00:00", "2011-12-31T10:00+00:00"),
    ],
)
def test_a_day_begins_at_midnight_of_its_zone(zone: str, at: str, start: str, end: str) -> None:
    span = Calendar("day", zone).span(datetime.fromisoformat(at))

    assert (span.start, span.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_a_month_in_a_zone_is_as_long_as_its_clocks_say() -> None:
    span = Calendar("month", "Europe/Berlin").span(datetime(2026, 3, 15, tzinfo=UTC))

    assert span.end - span.start == timedelta(days=31, hours=-1)


def test_it_does_not_matter_where_the_clock_hangs_that_says_when() -> None:
    in_tokyo = datetime(2026, 7, 1, 3, tzinfo=timezone(timedelta(hours=9)))

    assert Calendar("month").span(in_tokyo).start == datetime(2026, 6, 1, tzinfo=UTC)


@quick
@given(calendars, moments)
def test_every_moment_is_in_exactly_one_period(calendar: Calendar, at: datetime) -> None:
    span = calendar.span(at)

    assert at in span
    assert calendar.span(span.start) == span
    assert calendar.span(span.end - timedelta(microseconds=1)) == span
    assert calendar.span(span.end).start == span.end


@quick
@given(calendars, moments)
def test_periods_start_when_the_day_of_the_zone_does(calendar: Calendar, at: datetime) -> None:
    start = calendar.span(at).start

    assert calendar.local(start).date() != calendar.local(start - timedelta(hours=2)).date()
    assert start.tzinfo is UTC


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Europe/Berlin", True), ("UTC", True), ("Mars/Base", False), ("", False), ("../etc/passwd", False)],
)
def test_names_of_zones_are_known(name: str, expected: bool) -> None:
    assert is_zone(name) is expected
