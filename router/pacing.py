"""Pacing: the price of money at which a budget lasts exactly as long as its period.

Whoever chooses a model pays `price` in quality for each nano-dollar: `argmax q - price * cost`. The price is solved
again and again from the options of recent requests, so that what they would cost on average is what the budget can
still pay for each of the requests that are to come. How many are to come is learned from arrivals of the past, by
hour of the week and day of the month, and scaled by what this period has seen so far; the clock alone says nothing.

Pure decisions, and one class that gathers what they need. No clock, no I/O, no randomness: whoever calls says when.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from router.periods import Calendar, Span

Floats = NDArray[np.float64]

_HOUR: Final = timedelta(hours=1)
_HOURS_A_WEEK: Final = 168
_DAYS_A_MONTH: Final = 31
_HALF_LIFE: Final = timedelta(days=14)
"""Arrivals of two weeks ago count half as much as today's."""
_SHRINKAGE: Final = 2.0
"""So many arrivals, as hour of day and day of week let expect, stand beside what an hour of the week has seen."""
_SHRINKAGE_DAYS: Final = 0.1
"""As much of an average day stands beside what a day of the month has seen."""
_A_MONTH: Final = timedelta(days=27)
_TURNS: Final = 6
_LEAST_RATE: Final = 1e-3
"""Arrivals an hour where there were none."""
_CONFIDENCE: Final = 0.2
"""The past counts as much as this part of a period when this period's level is estimated."""
_ARRIVALS_AT_LEAST: Final = 10
"""Without a past, so many arrivals say how many there will be."""

WINDOW: Final = 512
"""The options of so many recent requests are what the next ones are expected to be like."""
_SOLVED_EVERY: Final = 25
_KEPT_BACK: Final = 0.005
"""This part of a cap is not planned with: worst cases must still fit when the period ends."""
_EASED_TO: Final = 0.8
"""A price falls at most to this part of itself when it is solved again."""
_OUTCOMES: Final = 256
_OUTCOMES_AT_LEAST: Final = 30
"""So many known costs say whether requests cost what is expected of them."""
_HALVINGS: Final = 60
_CLOSE: Final = 0.01
"""Two prices that differ by so little are mixed instead of told apart."""


# --- when requests come -----------------------------------------------------------------------------------------


class Hourly(Struct, frozen=True):
    """How many requests came in the hour that begins at `hour`."""

    hour: datetime
    requests: int


class Profile(Struct, frozen=True):
    """Expected arrivals by hour of the week, with a factor for each day of the month, in the calendar's time zone."""

    by_hour: tuple[float, ...]
    by_day: tuple[float, ...]

    def expected(self, calendar: Calendar, since: datetime, until: datetime) -> float:
        """How many requests come from `since` up to `until`."""
        total, hour = 0.0, since
        while hour < until:
            local = calendar.local(hour)
            rest = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
            following = min(hour + _HOUR - rest, until)
            weight = self.by_hour[local.weekday() * 24 + local.hour] * self.by_day[local.day - 1]
            total += weight * ((following - hour) / _HOUR)
            hour = following
        return total


def learned(hours: Iterable[Hourly], calendar: Calendar, until: datetime) -> Profile | None:
    """The profile that these hours show; hours without a request may be left out. None if there was no request before
    `until`.

    Rates multiply: hour of the week times day of the month, fitted in turns (iterative proportional fitting). Each hour
    of the week is shrunk towards what its hour of day and its day of week say, so that one period's requests are
    enough; newer weeks weigh more.
    """
    requests = {each.hour: each.requests for each in hours if each.hour < until}
    if not requests:
        return None
    first = min(requests)
    seen = [first + each * _HOUR for each in range(math.ceil((until - first) / _HOUR))]
    local = [calendar.local(hour) for hour in seen]
    week = np.array([each.weekday() * 24 + each.hour for each in local])
    day = np.array([each.day - 1 for each in local])
    weight = np.array([0.5 ** ((until - hour) / _HALF_LIFE) for hour in seen])
    came = weight * np.array([requests.get(hour, 0) for hour in seen])
    by_day = np.ones(_DAYS_A_MONTH)
    by_hour = _rates(_sums(week, came, _HOURS_A_WEEK), _sums(week, weight, _HOURS_A_WEEK))
    if until - first >= _A_MONTH:
        # Before that, nothing tells the days of the month from those of the week.
        seen_of_day = _sums(day, weight, _DAYS_A_MONTH)
        was_seen = seen_of_day > 0
        a_day = _SHRINKAGE_DAYS * seen_of_day * came.sum() / weight.sum()
        for _ in range(_TURNS):
            due = _sums(day, weight * by_hour[week], _DAYS_A_MONTH)
            by_day = (_sums(day, came, _DAYS_A_MONTH) + a_day) / np.maximum(due + a_day, _LEAST_RATE)
            # The days at the end that a short month does not have are like its last one.
            by_day = np.interp(np.arange(_DAYS_A_MONTH), np.flatnonzero(was_seen), by_day[was_seen])
            by_hour = _rates(_sums(week, came, _HOURS_A_WEEK), _sums(week, weight * by_day[day], _HOURS_A_WEEK))
    return Profile(tuple(map(float, by_hour)), tuple(map(float, by_day)))


def _sums(of: NDArray[np.int64], what: Floats, size: int) -> Floats:
    return np.bincount(of, what, size).astype(np.float64)


def _rates(counts: Floats, hours: Floats) -> Floats:
    """Arrivals an hour for each hour of the week, from what came in how many of them."""
    table, seen = counts.reshape(7, 24), hours.reshape(7, 24)
    overall = table.sum() / seen.sum()
    by_day = np.where(seen.sum(1) > 0, table.sum(1) / np.maximum(seen.sum(1), 1e-9), overall)
    by_hour = np.where(seen.sum(0) > 0, table.sum(0) / np.maximum(seen.sum(0), 1e-9), overall)
    # What it would be if hour of day and day of week were independent.
    marginal = np.maximum(np.outer(by_day, by_hour).ravel() / overall, _LEAST_RATE)
    return np.asarray((counts + _SHRINKAGE) / (hours + _SHRINKAGE / marginal))


class Outlook(Struct, frozen=True):
    """What of a period's arrivals is over and what is to come."""

    to_come: float
    """Requests until the period ends."""
    share_over: float
    """The part of the period's expected requests that should have come by now: 0 to 1."""


class Forecast:
    """How many requests of one period are still to come. Walks through the profile's hours once a period."""

    def __init__(self, profile: Profile | None, calendar: Calendar, span: Span) -> None:
        flat = Profile((1.0,) * _HOURS_A_WEEK, (1.0,) * _DAYS_A_MONTH)
        self._profile, self._calendar, self._span = profile or flat, calendar, span
        self._pseudo = 0.0
        self._passed_until, self._passed = span.start, 0.0
        self._total = self._profile.expected(calendar, span.start, span.end)
        if profile is not None:
            self._pseudo = _CONFIDENCE * self._total

    def outlook(self, at: datetime, came: int) -> Outlook | None:
        """`came` requests have come until `at`. None if too few have come and there is no past to go by."""
        if at > self._passed_until:
            self._passed += self._profile.expected(self._calendar, self._passed_until, min(at, self._span.end))
            self._passed_until = at
        if not self._pseudo and came < _ARRIVALS_AT_LEAST:
            return None
        level = (self._pseudo + came) / (self._pseudo + self._passed) if self._pseudo + self._passed else 1.0
        rest = max(self._total - self._passed, 0.0)
        return Outlook(to_come=level * rest, share_over=min(self._passed / self._total, 1.0) if self._total else 1.0)


# --- what money is worth ----------------------------------------------------------------------------------------


def score(quality: float, cost_nano: float, price: float) -> float:
    """What an option is worth: its quality less what its expected cost is worth at this price for a nano-dollar."""
    return quality - price * cost_nano


class Price(Struct, frozen=True):
    """Quality for one nano-dollar. Where many requests have the same options no single price spends the right amount:
    then `share` of them go by `low` and the others by `high`."""

    low: float = 0.0
    high: float = 0.0
    share: float = 1.0


def solved(quality: Floats, cost: Floats, target_nano: float, near: float = 0.0) -> Price:
    """The price at which requests with these options cost `target_nano` on average; `near` is a guess. Rows are
    requests, columns their options, in nano-dollars; options that a request does not have are `-inf` in `quality`.

    The average cost falls with the price in steps; bisection finds two prices close around the target, and their mix
    meets it.
    """
    rows = np.arange(len(cost))

    def spent(price: float) -> float:
        return float(cost[rows, np.argmax(quality - price * cost, axis=1)].mean())

    low, most = 0.0, spent(0.0)
    if most <= target_nano:
        return Price()
    high = _steepest(quality, cost)
    least = spent(high)
    if least >= target_nano:
        return Price(high, high)
    guesses = iter((near, near / 2, near * 2))
    for _ in range(_HALVINGS):
        middle = next(guesses, math.sqrt(low * high) if low else high / 2)
        if not low < middle < high:
            continue
        if (cost_there := spent(middle)) > target_nano:
            low, most = middle, cost_there
        else:
            high, least = middle, cost_there
        if high - low <= _CLOSE * high:
            break
    return Price(low, high, (target_nano - least) / (most - least))


def _steepest(quality: Floats, cost: Floats) -> float:
    """A price at which every request takes its cheapest option."""
    offered = np.isfinite(quality)
    widest = float((np.where(offered, quality, -np.inf).max(1) - np.where(offered, quality, np.inf).min(1)).max())
    gaps = np.where(offered, cost, np.inf) - np.where(offered, cost, np.inf).min(1, keepdims=True)
    gaps = gaps[np.isfinite(gaps) & (gaps > 0)]
    return 2.0 * (widest + 1e-9) / float(gaps.min()) if gaps.size else 0.0


def _eased(before: Price, now: Price) -> Price:
    """Money becomes dearer at once, but cheaper by degrees: a lull is not the end of demand, and one dear answer takes
    the money of many cheap ones."""
    least = before.low * _EASED_TO
    return Price(max(now.low, least), max(now.high, least), now.share)


# --- one budget's pacer -----------------------------------------------------------------------------------------


class Pacer:
    """What one budget knows of its requests, and the price that follows. `saw` each request once, when its options
    are known; `settled` when it is known what it cost."""

    def __init__(self, calendar: Calendar, cap_nano: int) -> None:
        self._calendar, self._cap_nano = calendar, cap_nano
        self._profile: Profile | None = None
        self._forecast: Forecast | None = None
        self._span: Span | None = None
        self._came = 0
        self._seen = 0
        self._quality = np.full((WINDOW, 1), -np.inf)
        self._cost = np.zeros((WINDOW, 1))
        self._outcomes = np.zeros((_OUTCOMES, 2))
        self._settled = 0
        self._price = Price()
        self._until_solved = 0
        self._owed = 0.0
        self.share_over: float | None = None
        """The part of the period's requests that should have come by now; None while nothing is known of it."""

    def learn(self, profile: Profile | None, at: datetime, came: int | None = None) -> None:
        """Takes what the ledger says: how requests arrive, and how many came in the period of `at` so far, unless it
        has counted them itself."""
        self._profile = profile
        span = self._calendar.span(at)
        if came is None:
            came = self._came if span == self._span else 0
        self._begin(span, came)

    def saw(self, quality: Sequence[float], cost_nano: Sequence[float], committed_nano: float, at: datetime) -> None:
        """A request may be served by one of these options. `committed_nano` is what the period has spent, and what
        its open requests are expected to cost."""
        if self._span is None or at not in self._span:
            self._begin(self._calendar.span(at), 0)
        self._came += 1
        self._remember(quality, cost_nano)
        self._until_solved -= 1
        if self._until_solved <= 0:
            self._solve(committed_nano, at)
            # A short memory is soon out of date.
            self._until_solved = min(self._seen, _SOLVED_EVERY)

    def settled(self, expected_nano: float, actual_nano: float) -> None:
        """A request that was expected to cost so much has cost so much."""
        self._outcomes[self._settled % _OUTCOMES] = expected_nano, actual_nano
        self._settled += 1

    def price(self, *, is_taken: bool = True) -> float:
        """Quality for a nano-dollar, for the next request, which takes its turn: of two prices the lower one is for a
        share of the requests. What is asked beside requests takes none, or it would upset that share."""
        price = self._price
        owed = self._owed + price.share
        is_low = owed >= 1.0 - 1e-9
        if is_taken:
            self._owed = owed - is_low
        return price.low if is_low else price.high

    def _begin(self, span: Span, came: int) -> None:
        self._span, self._came = span, came
        self._forecast = Forecast(self._profile, self._calendar, span)
        self._until_solved = 0
        self.share_over = None

    def _remember(self, quality: Sequence[float], cost_nano: Sequence[float]) -> None:
        more = len(quality) - self._quality.shape[1]
        if more > 0:
            self._quality = np.pad(self._quality, ((0, 0), (0, more)), constant_values=-np.inf)
            self._cost = np.pad(self._cost, ((0, 0), (0, more)))
        at = self._seen % WINDOW
        self._quality[at] = -np.inf
        self._quality[at, : len(quality)] = quality
        self._cost[at, : len(cost_nano)] = cost_nano
        self._seen += 1

    def _solve(self, committed_nano: float, at: datetime) -> None:
        assert self._forecast is not None
        outlook = self._forecast.outlook(at, self._came)
        self.share_over = None if outlook is None else outlook.share_over
        if outlook is None:
            return
        left_nano = max(self._cap_nano * (1.0 - _KEPT_BACK) - committed_nano, 0.0)
        # This request is still to be served.
        target = left_nano / (outlook.to_come + 1.0) / self._excess()
        size = min(self._seen, WINDOW)
        self._price = _eased(self._price, solved(self._quality[:size], self._cost[:size], target, self._price.high))

    def _excess(self) -> float:
        """How much more requests have cost than was expected of them; 1 while little is known."""
        size = min(self._settled, _OUTCOMES)
        expected, actual = self._outcomes[:size].sum(0)
        if size < _OUTCOMES_AT_LEAST or not expected or not actual:
            return 1.0
        return float(np.clip(actual / expected, 0.1, 10.0))
