"""Budgets that hold: reserve the worst case, then settle the true cost. Integers, no clock, no I/O.

All counters of a request (organisation, team, app, key) change in one synchronous step, so no other request
can come between the check and the taking. The counters are rebuilt from the ledger at start.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from router.catalogue import Tier
from router.errors import BudgetExceeded

Period = Literal["day", "week", "month"]


class Ladder(Struct, frozen=True):
    """From which used share of a budget on only cheaper tiers may serve. 1 or more = never."""

    mid: float = 0.8
    economy: float = 0.95


class Budget(Struct, frozen=True):
    """A hard cap per calendar period (UTC). `name` is `team:support`, for one."""

    name: str
    cap_nano: int
    period: Period
    ladder: Ladder = Ladder()


class Reservation(Struct, frozen=True):
    """Money set aside. It settles in the periods in which it was made, whenever it ends."""

    amount_nano: int
    accounts: tuple[tuple[str, datetime], ...]
    """Budget names with the start of the period."""


class Account(Struct):
    """One budget in one period."""

    spent_nano: int = 0
    reserved_nano: int = 0

    @property
    def committed_nano(self) -> int:
        return self.spent_nano + self.reserved_nano


AUDITS: Final = "/audits"
"""What the name of a budget's part for audits ends with."""


class Budgets:
    """The counters of every configured budget. Names without a budget are free and not counted."""

    def __init__(self, budgets: Iterable[Budget]) -> None:
        self._budgets: Mapping[str, Budget] = {budget.name: budget for budget in budgets}
        self._accounts: dict[tuple[str, datetime], Account] = {}

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._budgets.values())

    def has_cap(self, names: Iterable[str]) -> bool:
        return any(name in self._budgets for name in names)

    def account(self, budget: Budget, at: datetime) -> Account:
        return self._accounts.setdefault((budget.name, period_start(budget.period, at)), Account())

    def ceiling(self, names: Iterable[str], at: datetime) -> Tier | None:
        """The dearest tier that the ladders of these budgets still allow; None while nothing is rationed."""
        tiers = [_ceiling(budget, self.account(budget, at)) for budget in self._applying(names)]
        return min((tier for tier in tiers if tier is not None), default=None)

    def free_nano(self, names: Iterable[str], at: datetime) -> int | None:
        """What the tightest of these budgets has left; None where none applies."""
        left = (budget.cap_nano - self.account(budget, at).committed_nano for budget in self._applying(names))
        return min(left, default=None)

    def reserve(self, names: Iterable[str], amount_nano: int, at: datetime) -> Reservation:
        """Takes the amount from every budget that applies, or from none: then BudgetExceeded."""
        applying = self._applying(names)
        for budget in applying:
            free = budget.cap_nano - self.account(budget, at).committed_nano
            if amount_nano > free:
                raise BudgetExceeded(budget.name, amount_nano, free, period_end(budget.period, at))
        for budget in applying:
            self.account(budget, at).reserved_nano += amount_nano
        return Reservation(
            amount_nano=amount_nano,
            accounts=tuple((budget.name, period_start(budget.period, at)) for budget in applying),
        )

    def settle(self, reservation: Reservation, actual_nano: int) -> None:
        """Gives the reservation back and books what it really cost. Call once for each reservation."""
        for key in reservation.accounts:
            account = self._accounts[key]
            account.reserved_nano -= reservation.amount_nano
            account.spent_nano += actual_nano

    def has_room_for_audits(self, names: Iterable[str], at: datetime) -> bool:
        """Whether none of these budgets rations, and each has something left of its part for audits. Audits are the
        first thing to go without."""
        names = tuple(names)
        audits = self.free_nano([name + AUDITS for name in names], at)
        return (audits is None or audits > 0) and self.ceiling(names, at) is None

    def restore(self, name: str, spent_nano: int, at: datetime) -> None:
        """Books spending that the ledger knows of, at start."""
        if (budget := self._budgets.get(name)) is not None:
            self.account(budget, at).spent_nano += spent_nano

    def _applying(self, names: Iterable[str]) -> list[Budget]:
        return [budget for name in names if (budget := self._budgets.get(name))]


def _ceiling(budget: Budget, account: Account) -> Tier | None:
    # What is spent, not what is reserved: worst cases are many times what requests turn out to cost.
    share = account.spent_nano / budget.cap_nano if budget.cap_nano else 1.0
    if share >= budget.ladder.economy:
        return Tier.ECONOMY
    return Tier.MID if share >= budget.ladder.mid else None


def period_start(period: Period, at: datetime) -> datetime:
    """Midnight UTC that begins the day, the week (Monday) or the month of `at`."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if period == "month" else day


def period_end(period: Period, at: datetime) -> datetime:
    """When the budget resets: the start of the next period."""
    start = period_start(period, at)
    if period == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=7 if period == "week" else 1)
