"""What budgets promise: the cap holds under every interleaving, and money is booked where it was reserved."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from router.budgets import Budget, Budgets, Ladder, Period, Reservation, period_end, period_start
from router.catalogue import Tier
from router.errors import BudgetExceeded
from tests.router.samples import AT, quick

ORGANISATION = Budget("organisation", 1_000, "month")
TEAM = Budget("team:support", 600, "week")
OTHER_TEAM = Budget("team:sales", 700, "week")
APP = Budget("team:support/app:faq", 400, "day")
NAMES = (ORGANISATION.name, TEAM.name, APP.name)


def budgets(*given: Budget) -> Budgets:
    return Budgets(given or (ORGANISATION, TEAM, OTHER_TEAM, APP))


# --- the cap -------------------------------------------------------------------------------------------------


class Spending(RuleBasedStateMachine):
    """Requests of several apps that begin and end in any order, while days, weeks and months pass."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.budgets = budgets()
        self.at = datetime(2026, 12, 30, 22, tzinfo=UTC)
        self.booked: dict[tuple[str, datetime], int] = {}
        self.set_aside: dict[tuple[str, datetime], int] = {}

    def accounts(self, names: tuple[str, ...]) -> list[tuple[str, datetime]]:
        return [(b.name, period_start(b.period, self.at)) for b in self.budgets if b.name in names]

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.at += timedelta(hours=hours)

    @rule(
        target=under_way,
        names=st.sampled_from([NAMES, NAMES[:2], (ORGANISATION.name, OTHER_TEAM.name), ("team:unbudgeted",)]),
        amount=st.integers(0, 450),
    )
    def begin(self, names: tuple[str, ...], amount: int) -> Reservation | None:
        free = self.budgets.free_nano(names, self.at)
        try:
            reservation = self.budgets.reserve(names, amount, self.at)
        except BudgetExceeded:
            assert free is not None
            assert amount > free
            return None
        assert free is None or amount <= free
        for account in self.accounts(names):
            self.set_aside[account] = self.set_aside.get(account, 0) + amount
        return reservation

    @rule(reservation=consumes(under_way), share=st.floats(0, 1))
    def end(self, reservation: Reservation | None, share: float) -> None:
        if reservation is None:
            return
        actual = int(reservation.amount_nano * share)
        self.budgets.settle(reservation, actual)
        for account in reservation.accounts:
            self.set_aside[account] -= reservation.amount_nano
            self.booked[account] = self.booked.get(account, 0) + actual

    @invariant()
    def no_cap_is_ever_broken(self) -> None:
        for budget in self.budgets:
            assert self.budgets.account(budget, self.at).committed_nano <= budget.cap_nano

    @invariant()
    def every_nano_dollar_is_in_its_own_period(self) -> None:
        for name, start in {*self.booked, *self.set_aside}:
            budget = next(b for b in self.budgets if b.name == name)
            account = self.budgets.account(budget, start)
            assert account.spent_nano == self.booked.get((name, start), 0)
            assert account.reserved_nano == self.set_aside.get((name, start), 0)


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_reservation_takes_from_every_budget_or_from_none() -> None:
    counters = budgets()

    with pytest.raises(BudgetExceeded):
        counters.reserve(NAMES, 401, AT)  # fits the organisation and the team

    assert [counters.account(budget, AT).committed_nano for budget in counters] == [0, 0, 0, 0]


def test_what_is_left_can_be_reserved_to_the_last_nano_dollar_and_not_one_more() -> None:
    counters = budgets()
    counters.reserve(NAMES, 399, AT)

    assert counters.reserve(NAMES, 1, AT).amount_nano == 1
    with pytest.raises(BudgetExceeded):
        counters.reserve(NAMES, 1, AT)


def test_a_refusal_names_the_budget_what_is_left_and_when_it_resets() -> None:
    counters = budgets()
    counters.reserve(NAMES, 300, AT)

    with pytest.raises(BudgetExceeded) as refused:
        counters.reserve(NAMES, 150, AT)

    error = refused.value
    assert (error.budget, error.needed_nano, error.free_nano) == (APP.name, 150, 100)
    assert error.resets_at == datetime(2026, 6, 18, tzinfo=UTC)
    assert APP.name in str(error)
    assert "2026-06-18" in str(error)
    assert not error.retryable


def test_one_teams_spending_leaves_another_teams_budget_alone() -> None:
    counters = budgets()
    counters.settle(counters.reserve((ORGANISATION.name, TEAM.name), 600, AT), 600)

    assert counters.free_nano((OTHER_TEAM.name,), AT) == 700
    assert counters.free_nano((ORGANISATION.name, OTHER_TEAM.name), AT) == 400


def test_a_name_without_a_budget_is_free() -> None:
    counters = budgets()

    assert counters.free_nano(("team:unbudgeted",), AT) is None
    assert not counters.has_cap(("team:unbudgeted",))
    assert counters.has_cap(("team:unbudgeted", TEAM.name))
    assert counters.reserve(("team:unbudgeted",), 10**15, AT).accounts == ()


def test_settling_gives_back_what_was_not_needed() -> None:
    counters = budgets()
    counters.settle(counters.reserve(NAMES, 400, AT), 150)

    account = counters.account(APP, AT)
    assert (account.spent_nano, account.reserved_nano) == (150, 0)
    assert counters.free_nano(NAMES, AT) == 250


def test_a_provider_that_bills_beyond_the_reservation_is_booked_as_billed() -> None:
    counters = budgets()
    counters.settle(counters.reserve(NAMES, 100, AT), 450)

    assert counters.account(APP, AT).spent_nano == 450
    assert counters.free_nano(NAMES, AT) == -50
    with pytest.raises(BudgetExceeded):
        counters.reserve(NAMES, 1, AT)


def test_an_answer_that_ends_after_midnight_is_booked_on_the_day_it_was_reserved() -> None:
    counters = budgets()
    before = datetime(2026, 6, 17, 23, 59, 59, tzinfo=UTC)
    reservation = counters.reserve((APP.name,), 400, before)
    after = before + timedelta(seconds=2)

    assert counters.free_nano((APP.name,), after) == 400
    counters.settle(reservation, 300)

    assert counters.account(APP, before).spent_nano == 300
    assert counters.account(APP, after).committed_nano == 0


def test_spending_that_the_ledger_knows_of_counts_again_after_a_restart() -> None:
    counters = budgets()
    counters.restore(TEAM.name, 500, AT)
    counters.restore(TEAM.name, 50, AT)
    counters.restore("team:gone", 50, AT)

    assert counters.account(TEAM, AT).spent_nano == 550
    with pytest.raises(BudgetExceeded):
        counters.reserve((TEAM.name,), 51, AT)


# --- the ladder ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spent", "ceiling"),
    [(0, None), (799, None), (800, Tier.MID), (949, Tier.MID), (950, Tier.ECONOMY), (2_000, Tier.ECONOMY)],
)
def test_the_ladder_lowers_the_ceiling_step_by_step(spent: int, ceiling: Tier | None) -> None:
    counters = budgets(ORGANISATION)
    counters.restore(ORGANISATION.name, spent, AT)

    assert counters.ceiling((ORGANISATION.name,), AT) is ceiling


def test_the_tightest_budgets_ladder_counts() -> None:
    counters = budgets()
    counters.restore(TEAM.name, 500, AT)  # 83 %
    counters.restore(APP.name, 390, AT)  # 98 %

    assert counters.ceiling(NAMES, AT) is Tier.ECONOMY
    assert counters.ceiling(NAMES[:2], AT) is Tier.MID
    assert counters.ceiling(NAMES[:1], AT) is None


def test_the_ladder_looks_at_what_is_spent_and_not_at_worst_cases() -> None:
    counters = budgets(ORGANISATION)
    counters.reserve((ORGANISATION.name,), 1_000, AT)

    assert counters.ceiling((ORGANISATION.name,), AT) is None


def test_a_ladder_of_one_never_rations_before_the_cap() -> None:
    counters = budgets(Budget("organisation", 1_000, "month", Ladder(mid=1.0, economy=1.0)))
    counters.restore("organisation", 999, AT)

    assert counters.ceiling(("organisation",), AT) is None


def test_a_cap_of_nothing_allows_nothing() -> None:
    counters = budgets(Budget("organisation", 0, "month"))

    assert counters.ceiling(("organisation",), AT) is Tier.ECONOMY
    with pytest.raises(BudgetExceeded):
        counters.reserve(("organisation",), 1, AT)


def test_a_new_period_begins_without_rationing() -> None:
    counters = budgets(APP)
    counters.restore(APP.name, 400, AT)

    assert counters.ceiling((APP.name,), AT + timedelta(days=1)) is None


# --- the calendar ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "at", "start", "end"),
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
def test_periods_follow_the_calendar(period: Period, at: str, start: str, end: str) -> None:
    moment = datetime.fromisoformat(at)

    assert period_start(period, moment) == datetime.fromisoformat(f"{start}T00:00:00+00:00")
    assert period_end(period, moment) == datetime.fromisoformat(f"{end}T00:00:00+00:00")


def test_periods_are_utc_wherever_the_clock_hangs() -> None:
    in_tokyo = datetime(2026, 7, 1, 3, tzinfo=timezone(timedelta(hours=9)))

    assert period_start("month", in_tokyo) == datetime(2026, 6, 1, tzinfo=UTC)


@quick
@given(
    st.sampled_from(["day", "week", "month"]),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_every_moment_is_in_exactly_one_period(period: Period, at: datetime) -> None:
    start, end = period_start(period, at), period_end(period, at)

    assert start <= at < end
    assert period_start(period, end) == end
    assert period_start(period, end - timedelta(microseconds=1)) == start
