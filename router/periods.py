"""Calendar periods of budgets: when a day, a week or a month begins and ends in a time zone.

Pure. All instants that come out are in UTC, so that accounts of one period have one key, however the clocks of
the zone are put forward or back. A period begins at the first instant of its first day there.
"""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

Unit = Literal["day", "week", "month"]


class Span(Struct, frozen=True):
    """One period: from its start up to, and without, the start of the next one."""

    start: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


class Calendar(Struct, frozen=True):
    """Periods of one length in one time zone (IANA name). Weeks begin on Monday."""

    unit: Unit = "month"
    zone: str = "UTC"

    def span(self, at: datetime) -> "Span":
        """The period of `at`."""
        # Around midnight a change of the clocks can make an instant's own date misleading: the period is the last one
        # that has begun.
        day = _first_day(self.unit, self.local(at).date())
        days = [_first_day(self.unit, day - timedelta(days=1)), day]
        for _ in range(2):
            days.append(_next_first_day(self.unit, days[-1]))
        starts = [_midnight(self.zone, each) for each in days]
        start = max(each for each in starts if each <= at)
        return Span(start, min(each for each in starts if each > at))

    def local(self, at: datetime) -> datetime:
        return at.astimezone(ZoneInfo(self.zone))


def is_zone(name: str) -> bool:
    """Whether there is a time zone of this name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _first_day(unit: Unit, day: date) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _next_first_day(unit: Unit, first: date) -> date:
    if unit == "month":
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if unit == "week" else 1)


@lru_cache(maxsize=1024)
def _midnight(zone: str, day: date) -> datetime:
    # Where the clocks skip midnight, `fold=0` reads it with the offset before the change: the instant of the change.
    # Where it comes twice, it is the first one.
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
