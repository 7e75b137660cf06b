"""What budgets promise: the cap holds under every interleaving, and money is booked where it was reserved."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from router.budgets import (
    AUDITS,
    DEVELOPMENT,
    NO_LADDER,
    SOFT_WEIGHT,
    Account,
    Budget,
    Budgets,
    Ladder,
    Reservation,
    Step,
    budget_names,
    part_of,
)
from router.catalogue import Tier
from router.errors import BudgetExceeded
from router.pacing import Profile
from router.periods import Calendar
from tests.router.samples import AT

ORGANISATION = Budget("organisation", 1_000, Calendar("month", "Asia/Kolkata"))
TEAM = Budget("team:support", 600, Calendar("week"), at_cap="economy", overdraft_nano=60)
OTHER_TEAM = Budget("team:sales", 700, Calendar("week"))
APP = Budget("team:support/app:faq", 400, Calendar("day"))
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
        return [(b.name, b.calendar.span(self.at).start) for b in self.budgets if b.name in names]

    @rule(hours=st.integers(1, 30))
    def time_passes(self, hours: int) -> None:
        self.at += timedelta(hours=hours)

    @rule(
        target=under_way,
        names=st.sampled_from([NAMES, NAMES[:2], (ORGANISATION.name, OTHER_TEAM.name), ("team:unbudgeted",)]),
        amount=st.integers(0, 450),
        tier=st.sampled_from(Tier),
    )
    def begin(self, names: tuple[str, ...], amount: int, tier: Tier) -> Reservation | None:
        free = self.budgets.free_nano(names, self.at, tier)
        try:
            reservation = self.budgets.reserve(names, amount, self.at, tier=tier)
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

    @rule(reservation=consumes(under_way))
    def dies(self, reservation: Reservation | None) -> None:
        """Its owner is never heard of again: it is booked in full."""
        if reservation is None:
            return
        self.at += timedelta(minutes=15)
        assert reservation in self.budgets.dead(self.at)
        assert self.budgets.expire(reservation, self.at, reservation.amount_nano)
        for account in reservation.accounts:
            self.set_aside[account] -= reservation.amount_nano
            self.booked[account] = self.booked.get(account, 0) + reservation.amount_nano

    @invariant()
    def no_cap_is_ever_broken(self) -> None:
        for budget in self.budgets:
            account = self.budgets.account(budget, self.at)
            assert account.committed_nano <= budget.cap_nano + budget.overdraft_nano

    @invariant()
    def every_nano_dollar_is_in_its_own_period(self) -> None:
        for name, start in {*self.booked, *self.set_aside}:
            budget = next(b for b in self.budgets if b.name == name)
            account = self.budgets.account(budget, start)
            assert account.spent_nano == self.booked.get((name, start), 0)
            assert account.reserved_nano == self.set_aside.get((name, start), 0)


TestSpending = Spending.TestCase
TestSpending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# --- other terms while requests run ---------------------------------------------------------------------------


def nothing_spent(budget: Budget) -> int:
    return 0


def test_a_raised_cap_keeps_what_was_spent_and_is_free_at_once() -> None:
    counters = budgets(TEAM)
    counters.settle(counters.reserve([TEAM.name], 600, AT), 590)

    counters.replace(budgets(msgspec.structs.replace(TEAM, cap_nano=900)), AT, nothing_spent)

    assert counters.free_nano([TEAM.name], AT) == 310


def test_a_lowered_cap_holds_at_once_and_what_is_under_way_still_settles() -> None:
    counters = budgets(TEAM)
    under_way = counters.reserve([TEAM.name], 500, AT)
    counters.replace(budgets(msgspec.structs.replace(TEAM, cap_nano=100)), AT, nothing_spent)

    with pytest.raises(BudgetExceeded):
        counters.reserve([TEAM.name], 1, AT)
    counters.settle(under_way, 40)

    assert counters.free_nano([TEAM.name], AT) == 60


def test_a_new_budget_knows_what_was_spent_before_and_what_is_under_way() -> None:
    counters = budgets(TEAM)
    under_way = counters.reserve(NAMES, 50, AT)

    counters.replace(budgets(TEAM, APP), AT, lambda budget: 300)

    account = counters.account(APP, AT)
    assert (account.spent_nano, account.reserved_nano) == (300, 50)
    counters.settle(under_way, 20)
    assert (account.spent_nano, account.reserved_nano) == (320, 0)
    assert counters.account(TEAM, AT).spent_nano == 20


def test_a_budget_with_another_calendar_begins_with_what_its_period_has_seen() -> None:
    counters = budgets(APP)
    under_way = counters.reserve([APP.name], 50, AT)
    monthly = msgspec.structs.replace(APP, calendar=Calendar("month"))

    counters.replace(budgets(monthly), AT, lambda budget: 120)
    counters.settle(under_way, 30)

    account = counters.account(monthly, AT)
    assert (account.spent_nano, account.reserved_nano) == (150, 0)


def test_what_is_under_way_when_its_budget_is_taken_away_ends_without_a_trace() -> None:
    counters = budgets(TEAM, APP)
    under_way, dead = counters.reserve(NAMES, 50, AT), counters.reserve(NAMES, 60, AT)
    assert counters.expire(dead, AT + timedelta(hours=1), 60)
    counters.replace(budgets(TEAM), AT, nothing_spent)

    counters.renew(under_way, AT)
    counters.settle(under_way, 20)
    counters.settle(dead, 60)  # its owner was alive after all

    assert counters.account(TEAM, AT).committed_nano == 60 + 20 + 60
    assert counters.has_cap([APP.name]) is False


def test_a_changed_cap_warns_anew_of_its_soft_limit() -> None:
    warned: list[str] = []
    counters = budgets(TEAM)
    counters.on_soft_limit = lambda budget, account: warned.append(f"{budget.cap_nano}")
    counters.settle(counters.reserve([TEAM.name], 500, AT), 500)
    counters.replace(budgets(msgspec.structs.replace(TEAM, cap_nano=1_000)), AT, nothing_spent)

    counters.settle(counters.reserve([TEAM.name], 200, AT), 200)
    counters.settle(counters.reserve([TEAM.name], 200, AT), 200)

    assert warned == ["600", "1000"]


# --- single promises ------------------------------------------------------------------------------------------


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
    counters = budgets(Budget("organisation", 1_000, ladder=NO_LADDER))
    counters.restore("organisation", 999, AT)

    assert counters.ceiling(("organisation",), AT) is None


def test_a_cap_of_nothing_allows_nothing() -> None:
    counters = budgets(Budget("organisation", 0))

    assert counters.ceiling(("organisation",), AT) is Tier.ECONOMY
    with pytest.raises(BudgetExceeded):
        counters.reserve(("organisation",), 1, AT)


def test_a_new_period_begins_without_rationing() -> None:
    counters = budgets(APP)
    counters.restore(APP.name, 400, AT)

    assert counters.ceiling((APP.name,), AT + timedelta(days=1)) is None


# --- pace ------------------------------------------------------------------------------------------------------

EVEN = Profile((10.0,) * 168, (1.0,) * 31)
LENIENT = Ladder(Step(0.8, unless_on_pace=True), Step(0.8, unless_on_pace=True), Step(0.95, unless_on_pace=True))
LATE = datetime(2026, 6, 28, 12, tzinfo=UTC)
"""When 92 % of a month's even arrivals are over."""


def paced(spent: int, at: datetime, ladder: Ladder = LENIENT) -> Budgets:
    """A paced budget that has spent so much and knows how requests arrive."""
    budget = Budget("organisation", 1_000, ladder=ladder, is_paced=True)
    counters = Budgets([budget])
    counters.restore(budget.name, spent, at)
    counters.learn(budget.name, EVEN, at, came=0)
    counters.saw((budget.name,), (0.5, 0.9), (1, 30), at)
    return counters


def test_a_budget_that_is_on_its_pace_is_not_rationed_at_the_end_of_its_period() -> None:
    assert paced(930, LATE).ceiling(("organisation",), LATE) is None
    assert paced(930, LATE).pressure(("organisation",), LATE).weight == 0.0


def test_a_budget_that_is_ahead_of_its_pace_is_rationed() -> None:
    assert paced(850, AT).ceiling(("organisation",), AT) is Tier.MID
    assert paced(990, LATE).ceiling(("organisation",), LATE) is Tier.ECONOMY
    assert paced(850, AT).pressure(("organisation",), AT).weight == SOFT_WEIGHT


def test_a_threshold_that_somebody_wrote_down_holds_on_pace_or_not() -> None:
    assert paced(930, LATE, Ladder()).ceiling(("organisation",), LATE) is Tier.MID


def test_while_nothing_is_known_of_arrivals_the_ladder_holds() -> None:
    counters = Budgets([Budget("organisation", 1_000, ladder=LENIENT, is_paced=True)])
    counters.restore("organisation", 850, LATE)

    assert counters.ceiling(("organisation",), LATE) is Tier.MID


def test_money_is_dear_when_the_budget_is_short_and_free_when_it_is_not() -> None:
    short, ample = paced(900, AT), paced(0, AT)
    assert short.pressure(("organisation",), AT).price > 0
    assert short.pressure(("organisation",), AT).paced_by == "organisation"

    rich = Budgets([Budget("organisation", 10**9, is_paced=True)])
    rich.learn("organisation", EVEN, AT, came=0)
    rich.saw(("organisation",), (0.5, 0.9), (1, 30), AT)
    assert rich.pressure(("organisation",), AT).price == 0
    assert rich.pressure(("organisation",), AT).paced_by is None
    assert ample.pressure(("organisation",), AT).price > 0  # 1,000 are little for 3,000 requests


def test_the_dearest_price_of_all_budgets_holds() -> None:
    tight, wide = Budget("organisation", 10**9, is_paced=True), Budget("team:support", 1_000, is_paced=True)
    counters = Budgets([tight, wide])
    for name in ("organisation", "team:support"):
        counters.learn(name, EVEN, AT, came=0)
    counters.saw(("organisation", "team:support"), (0.5, 0.9), (1, 30), AT)

    assert counters.pressure(("organisation", "team:support"), AT).paced_by == "team:support"
    assert counters.pressure(("organisation",), AT).price == 0


def test_without_a_budget_nothing_presses() -> None:
    pressure = budgets().pressure(("team:unbudgeted",), AT)

    assert (pressure.ceiling, pressure.price, pressure.weight, pressure.fallbacks) == (None, 0.0, 0.0, ())


def test_a_budget_that_is_not_paced_sets_no_price() -> None:
    counters = budgets(ORGANISATION)
    counters.restore(ORGANISATION.name, 999, AT)
    counters.saw((ORGANISATION.name,), (0.5, 0.9), (1, 30), AT)

    assert counters.pressure((ORGANISATION.name,), AT).price == 0


# --- the soft limit ----------------------------------------------------------------------------------------------


def test_the_soft_limit_is_told_once_a_period() -> None:
    told: list[tuple[str, int]] = []

    def tell(budget: Budget, account: Account) -> None:
        told.append((budget.name, account.spent_nano))

    counters = Budgets([Budget("organisation", 1_000, Calendar("day"))], on_soft_limit=tell)
    for at in (AT, AT, AT, AT + timedelta(days=1), AT + timedelta(days=1)):
        counters.settle(counters.reserve(("organisation",), 400, at), 400 if at > AT else 300)

    assert told == [("organisation", 900), ("organisation", 800)]


def test_a_soft_limit_makes_money_dearer_and_rules_nothing_out() -> None:
    counters = budgets(Budget("organisation", 1_000, ladder=Ladder(Step(0.5), Step(0.8), Step(0.95))))
    counters.restore("organisation", 500, AT)

    pressure = counters.pressure(("organisation",), AT)
    assert (pressure.ceiling, pressure.weight) == (None, SOFT_WEIGHT)


# --- development first ---------------------------------------------------------------------------------------------

DEV = budget_names("support", "faq", "key_1", "dev")
PROD = budget_names("support", "faq", "key_1", "prod")


def test_development_keys_are_refused_at_their_share_while_production_is_served() -> None:
    counters = budgets(TEAM, part_of(TEAM, DEVELOPMENT, 150))
    counters.settle(counters.reserve(DEV, 150, AT), 150)

    with pytest.raises(BudgetExceeded) as refused:
        counters.reserve(DEV, 1, AT)
    assert refused.value.budget == "team:support/dev"
    assert counters.reserve(PROD, 450, AT).amount_nano == 450


def test_development_is_rationed_at_the_soft_limit_before_production_is() -> None:
    counters = budgets(Budget("team:support", 1_000, ladder=Ladder(Step(0.5), Step(0.8), Step(0.95))))
    counters.restore("team:support", 500, AT)

    assert counters.ceiling(DEV, AT) is Tier.ECONOMY
    assert counters.ceiling(PROD, AT) is None


def test_a_key_spends_from_its_own_budget_too() -> None:
    counters = budgets(TEAM, Budget("key:key_1", 10))

    with pytest.raises(BudgetExceeded) as refused:
        counters.reserve(PROD, 11, AT)
    assert refused.value.budget == "key:key_1"


def test_audits_end_where_anything_is_rationed() -> None:
    counters = budgets(ORGANISATION, part_of(ORGANISATION, AUDITS, 20))
    assert counters.has_room_for_audits(PROD, AT)
    counters.settle(counters.reserve((ORGANISATION.name, ORGANISATION.name + AUDITS), 20, AT), 20)
    assert not counters.has_room_for_audits(PROD, AT)


# --- at the cap ----------------------------------------------------------------------------------------------------


def test_an_overdraft_is_for_economy_models_and_has_an_end() -> None:
    counters = budgets(TEAM)
    counters.settle(counters.reserve((TEAM.name,), 600, AT), 600)

    with pytest.raises(BudgetExceeded):
        counters.reserve((TEAM.name,), 1, AT, tier=Tier.MID)
    assert counters.reserve((TEAM.name,), 60, AT, tier=Tier.ECONOMY).amount_nano == 60
    with pytest.raises(BudgetExceeded):
        counters.reserve((TEAM.name,), 1, AT, tier=Tier.ECONOMY)


def exhausted(**fields: object) -> Budgets:
    """A budget that has just refused a request altogether."""
    counters = Budgets([Budget("organisation", 1_000, **fields)])  # type: ignore[arg-type]
    counters.restore("organisation", 700, AT)
    with pytest.raises(BudgetExceeded) as refused:
        counters.reserve(("organisation",), 301, AT)
    counters.refused(refused.value, AT)
    return counters


def test_a_budget_that_blocks_is_blocked_once_it_has_refused_a_request() -> None:
    assert exhausted(at_cap="block").is_blocked(("organisation",), AT)
    assert not exhausted(at_cap="cache-only").is_blocked(("organisation",), AT)
    assert not Budgets([Budget("organisation", 0, at_cap="block")]).is_blocked(("organisation",), AT)


def test_whoever_is_refused_may_be_served_answers_of_cheaper_models() -> None:
    assert exhausted().ceiling(("organisation",), AT) is Tier.ECONOMY


def test_a_budget_that_is_free_again_is_not_exhausted_any_more() -> None:
    counters = Budgets([Budget("organisation", 1_000, at_cap="block")])
    held = counters.reserve(("organisation",), 800, AT)
    with pytest.raises(BudgetExceeded) as refused:
        counters.reserve(("organisation",), 300, AT)
    counters.refused(refused.value, AT)
    assert counters.is_blocked(("organisation",), AT)

    counters.settle(held, 100)

    assert not counters.is_blocked(("organisation",), AT)


def test_a_new_period_is_not_exhausted() -> None:
    counters = exhausted(at_cap="block", calendar=Calendar("day"))

    assert not counters.is_blocked(("organisation",), AT + timedelta(days=1))


def test_the_model_to_fall_back_to_is_named_by_the_budget() -> None:
    counters = Budgets([Budget("organisation", 1_000, fallback="local")])

    assert counters.pressure(("organisation",), AT).fallbacks == ("local",)


# --- owners ----------------------------------------------------------------------------------------------------------


def test_a_reservation_whose_owner_lives_does_not_expire() -> None:
    counters = budgets()
    held = counters.reserve(NAMES, 100, AT, owner="req_1/1")
    later = AT + timedelta(minutes=14)
    counters.renew(held, later)

    assert counters.dead(AT + timedelta(minutes=28)) == []
    assert counters.owners == {"req_1/1"}
    assert counters.dead(AT + timedelta(minutes=29)) == [held]


def test_a_dead_reservation_is_booked_as_the_ledger_books_it() -> None:
    counters = budgets()
    held = counters.reserve(NAMES, 100, AT, owner="req_1/1")
    late = AT + timedelta(minutes=15)

    assert counters.expire(held, late, 100)

    assert (counters.account(APP, AT).spent_nano, counters.account(APP, AT).reserved_nano) == (100, 0)
    assert counters.owners == frozenset()
    assert not counters.expire(held, late, 100)


def test_a_reservation_that_was_renewed_meanwhile_is_left_alone() -> None:
    counters = budgets()
    held = counters.reserve(NAMES, 100, AT)
    late = AT + timedelta(minutes=15)
    counters.renew(held, late)

    assert not counters.expire(held, late, 100)
    assert counters.account(APP, AT).reserved_nano == 100


def test_what_settles_after_it_had_expired_is_booked_once_more_and_never_given_back_twice() -> None:
    counters = budgets()
    held = counters.reserve(NAMES, 100, AT)
    counters.expire(held, AT + timedelta(minutes=15), 100)

    counters.settle(held, 30)

    assert (counters.account(APP, AT).spent_nano, counters.account(APP, AT).reserved_nano) == (130, 0)
