"""Budgets that hold: reserve the worst case, then settle the true cost. Integers, no clock, no I/O.

All counters of a request (organisation, team, app, key) change in one synchronous step, so no other request
can come between the check and the taking. The counters are rebuilt from the ledger at start. Before a cap is
reached, a budget presses: its pacer sets a price for money, its ladder rules dear tiers out.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
from msgspec import Struct, field

from router.catalogue import Tier
from router.errors import BudgetExceeded
from router.pacing import Pacer, Profile
from router.periods import Calendar, Span, Unit

Period = Unit
AtCap = Literal["cache-only", "block", "economy", "fallback"]
"""What happens to a request that a cap cannot hold. `cache-only`: stored answers serve, everything else is refused.
`block`: nothing serves. `economy`: economy models serve from an overdraft, then as `cache-only`. `fallback`: a model
that the budget names is asked instead, if it fits."""

AUDITS: Final = "/audits"
JUDGES: Final = "/judges"
"""What the name of a budget's part for audits ends with."""
DEVELOPMENT: Final = "/dev"
"""What the name of a budget's part for development keys ends with."""

SOFT_WEIGHT: Final = 1.0
"""The least lambda, over normalised cost, from a soft limit on."""
_ON_PACE: Final = 0.05
"""A paced budget that has used this much more than the share of arrivals that is over is ahead of its pace."""
_LEASE: Final = timedelta(minutes=15)


class Step(Struct, frozen=True):
    """From `used` (a share of the cap; 1 or more = never) on, something holds: always, or `unless_on_pace`."""

    used: float
    unless_on_pace: bool = False


class Ladder(Struct, frozen=True):
    """From `soft` on there is an alert and a floor on the price of money, from the others only cheaper tiers serve."""

    soft: Step = Step(0.8)
    mid: Step = Step(0.8)
    economy: Step = Step(0.95)


NO_LADDER: Final = Ladder(Step(2.0), Step(2.0), Step(2.0))


class Budget(Struct, frozen=True):
    """A hard cap per calendar period. `name` is `team:support`, for one."""

    name: str
    cap_nano: int
    calendar: Calendar = Calendar()
    ladder: Ladder = Ladder()
    is_paced: bool = False
    at_cap: AtCap = "cache-only"
    overdraft_nano: int = 0
    """How far economy models may go beyond the cap."""
    fallback: str | None = None
    """The model that is asked when nothing else fits."""

    def limit_nano(self, tier: Tier) -> int:
        return self.cap_nano + (self.overdraft_nano if tier is Tier.ECONOMY else 0)

    @property
    def is_part(self) -> bool:
        """Whether it limits only a part of what another one holds."""
        return self.name.endswith((AUDITS, JUDGES, DEVELOPMENT))


class Reservation(Struct, frozen=True):
    """Money set aside for its owner. It settles in the periods in which it was made, whenever it ends."""

    id: int
    owner: str
    names: tuple[str, ...]
    """All budgets that its request spends from, should there be such."""
    amount_nano: int
    expected_nano: int
    """What it is likely to cost, for pacing only."""
    accounts: tuple[tuple[str, datetime], ...]
    """Budget names with the start of the period."""


class Account(Struct):
    """One budget in one period."""

    spent_nano: int = 0
    reserved_nano: int = 0
    expected_nano: int = 0
    """What the open reservations are likely to cost."""
    least_refused_nano: int | None = None
    """The smallest request that did not fit."""
    is_alerted: bool = False

    @property
    def committed_nano(self) -> int:
        return self.spent_nano + self.reserved_nano


class Pressure(Struct, frozen=True):
    """How budgets press on the choice of a model. Nothing presses by default."""

    ceiling: Tier | None = None
    """The dearest tier that may still serve."""
    price: float = 0.0
    """Quality for one nano-dollar, of the dearest pacer."""
    weight: float = 0.0
    """The least lambda, over normalised cost."""
    fallbacks: tuple[str, ...] = ()
    """Models that may be asked when no other fits."""
    paced_by: str | None = None
    """Whose price it is."""


class _Ledgered(Struct):
    """One budget with what is known of it."""

    budget: Budget
    pacer: Pacer | None = None
    span: Span | None = None
    accounts: dict[datetime, Account] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pacer is None and self.budget.is_paced:
            self.pacer = Pacer(self.budget.calendar, self.budget.cap_nano)

    def changed(self, budget: Budget) -> "_Ledgered":
        """The same counters under other terms: what was said of the old cap no longer holds."""
        if budget == self.budget:
            return self
        changed = _Ledgered(budget, span=self.span, accounts=self.accounts)
        for account in self.accounts.values():
            account.is_alerted, account.least_refused_nano = False, None
        return changed

    def account(self, at: datetime) -> Account:
        return self.accounts.setdefault(self.period(at).start, Account())

    def period(self, at: datetime) -> Span:
        """Requests come in the order of time, so the last period is mostly the right one."""
        if self.span is None or at not in self.span:
            self.span = self.budget.calendar.span(at)
        return self.span

    def used(self, at: datetime) -> float:
        # What is spent, not what is reserved: worst cases are many times what requests turn out to cost.
        return self.account(at).spent_nano / self.budget.cap_nano if self.budget.cap_nano else 1.0

    def has_reached(self, step: Step, at: datetime) -> bool:
        used = self.used(at)
        return used >= step.used and not (step.unless_on_pace and self._is_on_pace(used))

    def _is_on_pace(self, used: float) -> bool:
        over = self.pacer.share_over if self.pacer is not None else None
        return over is not None and used <= over + _ON_PACE

    def is_exhausted(self, at: datetime) -> bool:
        account = self.account(at)
        refused = account.least_refused_nano
        return refused is not None and self.budget.cap_nano - account.committed_nano < refused

    def ceiling(self, at: datetime) -> Tier | None:
        ladder = self.budget.ladder
        if self.has_reached(ladder.economy, at) or self.is_exhausted(at):
            return Tier.ECONOMY
        return Tier.MID if self.has_reached(ladder.mid, at) else None


class Budgets:
    """The counters of every configured budget. Names without a budget are free and not counted."""

    def __init__(
        self,
        budgets: Iterable[Budget],
        lease: timedelta = _LEASE,
        on_soft_limit: Callable[[Budget, Account], None] = lambda budget, account: None,
    ) -> None:
        self._kept = {budget.name: _Ledgered(budget) for budget in budgets}
        self._lease = lease
        self._open: dict[int, tuple[Reservation, datetime]] = {}
        self._ids = itertools.count(1)
        self.on_soft_limit = on_soft_limit
        """Called once a period, when a budget reaches its soft limit."""

    def __iter__(self) -> Iterator[Budget]:
        return (kept.budget for kept in self._kept.values())

    def replace(self, wanted: "Budgets", at: datetime, spent_nano: Callable[[Budget], int]) -> None:
        """From now on the terms of `wanted` hold. A budget that keeps its calendar keeps its counters; any other begins
        with what `spent_nano` says of its period, and with the open reservations of those who spend from it."""
        before, self._lease = self._kept, wanted._lease
        same = {budget.name for budget in wanted if self._has_calendar(budget)}
        self._kept = {b.name: before[b.name].changed(b) if b.name in same else _Ledgered(b) for b in wanted}
        for number, (reservation, until) in self._open.items():
            new = [name for name in reservation.names if name in self._kept and name not in same]
            held = [(name, start) for name, start in reservation.accounts if name in same]
            held += [(name, self._kept[name].period(at).start) for name in new]
            self._open[number] = msgspec.structs.replace(reservation, accounts=tuple(held)), until
            for name in new:
                self._kept[name].account(at).reserved_nano += reservation.amount_nano
                self._kept[name].account(at).expected_nano += reservation.expected_nano
        for budget in self:
            if budget.name not in same:
                self.restore(budget.name, spent_nano(budget), at)

    def _has_calendar(self, budget: Budget) -> bool:
        known = self._kept.get(budget.name)
        return known is not None and known.budget.calendar == budget.calendar

    # --- counters ---

    def has_cap(self, names: Iterable[str]) -> bool:
        return any(name in self._kept for name in names)

    def account(self, budget: Budget, at: datetime) -> Account:
        return self._kept[budget.name].account(at)

    def period(self, budget: Budget, at: datetime) -> Span:
        return self._kept[budget.name].period(at)

    def free_nano(self, names: Iterable[str], at: datetime, tier: Tier = Tier.PREMIUM) -> int | None:
        """What the tightest of these budgets has left for this tier; None where none applies."""
        left = (kept.budget.limit_nano(tier) - kept.account(at).committed_nano for kept in self._applying(names))
        return min(left, default=None)

    def reserve(
        self,
        names: Iterable[str],
        amount_nano: int,
        at: datetime,
        *,
        owner: str = "",
        tier: Tier = Tier.PREMIUM,
        expected_nano: int = 0,
    ) -> Reservation:
        """Takes the amount from every budget that applies, or from none: then BudgetExceeded."""
        names = tuple(names)
        applying = self._applying(names)
        for kept in applying:
            free = kept.budget.limit_nano(tier) - kept.account(at).committed_nano
            if amount_nano > free:
                raise BudgetExceeded(kept.budget.name, amount_nano, free, kept.period(at).end)
        reservation = Reservation(
            id=next(self._ids),
            owner=owner,
            names=names,
            amount_nano=amount_nano,
            expected_nano=min(expected_nano, amount_nano),
            accounts=tuple((kept.budget.name, kept.period(at).start) for kept in applying),
        )
        for account in self._accounts(reservation):
            account.reserved_nano += amount_nano
            account.expected_nano += reservation.expected_nano
        self._open[reservation.id] = reservation, at + self._lease
        return reservation

    def settle(self, reservation: Reservation, actual_nano: int) -> None:
        """Gives the reservation back and books what it really cost. Call once for each reservation; one that had
        expired is booked once more, as it is in the ledger."""
        for name, start in self._release(reservation).accounts:
            kept = self._kept.get(name)
            if kept is None:  # it had expired, and the budget has been taken away since
                continue
            kept.accounts.setdefault(start, Account()).spent_nano += actual_nano
            if kept.pacer is not None and actual_nano:
                kept.pacer.settled(reservation.expected_nano, actual_nano)
            self._alert(kept, start)

    def restore(self, name: str, spent_nano: int, at: datetime) -> None:
        """Books spending that the ledger knows of, at start."""
        if (kept := self._kept.get(name)) is not None:
            kept.account(at).spent_nano += spent_nano
            self._alert(kept, kept.period(at).start)

    # --- leases ---

    def renew(self, reservation: Reservation, at: datetime) -> None:
        """Its owner is alive."""
        if reservation.id in self._open:
            held, _ = self._open[reservation.id]
            self._open[reservation.id] = held, at + self._lease

    def renew_all(self, at: datetime) -> None:
        """Nobody is silent: the clock was set."""
        self._open = {number: (held, at + self._lease) for number, (held, _) in self._open.items()}

    def dead(self, at: datetime) -> list[Reservation]:
        """Those whose owner has not been heard of for too long."""
        return [reservation for reservation, until in self._open.values() if until <= at]

    def expire(self, reservation: Reservation, at: datetime, booked_nano: int) -> bool:
        """Books a dead reservation at what the ledger books it; whether it was still dead."""
        _, until = self._open.get(reservation.id, (reservation, None))
        if until is None or until > at:
            return False
        self.settle(reservation, booked_nano)
        return True

    @property
    def owners(self) -> frozenset[str]:
        """Who holds a reservation now."""
        return frozenset(reservation.owner for reservation, _ in self._open.values())

    # --- pressure ---

    def ceiling(self, names: Iterable[str], at: datetime) -> Tier | None:
        """The dearest tier that these budgets still allow; None while nothing is rationed. Development is the first
        to be rationed: down to economy as soon as any limit of any of its budgets is reached."""
        names = tuple(names)
        applying = self._applying(names)
        tiers = [tier for kept in applying if (tier := kept.ceiling(at)) is not None]
        if _is_development(names) and (
            tiers or any(kept.has_reached(kept.budget.ladder.soft, at) for kept in applying)
        ):
            return Tier.ECONOMY
        return min(tiers, default=None)

    def pressure(self, names: Iterable[str], at: datetime, *, is_request: bool = True) -> Pressure:
        """How these budgets press on a request that comes now, or on what is asked beside requests. Ask once for each
        request: pacers keep count."""
        names = tuple(names)
        applying = self._applying(names)
        if not applying:
            return Pressure()
        paced = [(kept.pacer, kept.budget.name) for kept in applying if kept.pacer is not None]
        prices = [(pacer.price(is_taken=is_request), name) for pacer, name in paced]
        price, paced_by = max(prices, default=(0.0, None))
        is_soft = any(kept.has_reached(kept.budget.ladder.soft, at) for kept in applying)
        return Pressure(
            ceiling=self.ceiling(names, at),
            price=price,
            weight=SOFT_WEIGHT if is_soft else 0.0,
            fallbacks=tuple(kept.budget.fallback for kept in applying if kept.budget.fallback is not None),
            paced_by=paced_by if price > 0 else None,
        )

    def saw(self, names: Iterable[str], quality: Sequence[float], cost_nano: Sequence[float], at: datetime) -> None:
        """Tells the pacers what a request's options are: their estimated quality and what each is likely to cost."""
        for kept in self._applying(names):
            if kept.pacer is not None:
                account = kept.account(at)
                kept.pacer.saw(quality, cost_nano, account.spent_nano + account.expected_nano, at)

    def learn(self, name: str, profile: Profile | None, at: datetime, came: int | None = None) -> None:
        """Tells a budget's pacer how requests arrive, and, if it cannot know, how many came in this period."""
        kept = self._kept[name]
        if kept.pacer is not None:
            kept.pacer.learn(profile, at, came)

    def share_over(self, budget: Budget) -> float | None:
        """The part of this period's requests that should have come by now, as far as a pacer knows."""
        pacer = self._kept[budget.name].pacer
        return None if pacer is None else pacer.share_over

    def has_room_for_audits(self, names: Iterable[str], at: datetime) -> bool:
        """Whether none of these budgets rations, and each has something left of its part for audits. Audits are the
        first thing to go without."""
        names = tuple(names)
        audits = self.free_nano([name + AUDITS for name in names], at)
        return (audits is None or audits > 0) and self.ceiling(names, at) is None

    # --- at the cap ---

    def is_blocked(self, names: Iterable[str], at: datetime) -> bool:
        """Whether not even stored answers may serve: a budget that blocks has nothing left for a request."""
        return any(kept.budget.at_cap == "block" and kept.is_exhausted(at) for kept in self._applying(names))

    def refused(self, error: BudgetExceeded, at: datetime) -> None:
        """Takes note that a request was refused altogether, by its cheapest candidate's error: while less than that
        is left, the budget counts as exhausted."""
        account = self._kept[error.budget].account(at)
        least = account.least_refused_nano
        account.least_refused_nano = error.needed_nano if least is None else min(least, error.needed_nano)

    # --- inside ---

    def _applying(self, names: Iterable[str]) -> list[_Ledgered]:
        return [kept for name in names if (kept := self._kept.get(name))]

    def _accounts(self, reservation: Reservation) -> Iterator[Account]:
        return (self._kept[name].accounts[start] for name, start in reservation.accounts)

    def _release(self, reservation: Reservation) -> Reservation:
        """The reservation as it stands now: its budgets may have been replaced since it was made."""
        if reservation.id not in self._open:
            return reservation
        reservation, _ = self._open.pop(reservation.id)
        for account in self._accounts(reservation):
            account.reserved_nano -= reservation.amount_nano
            account.expected_nano -= reservation.expected_nano
        return reservation

    def _alert(self, kept: _Ledgered, start: datetime) -> None:
        account, budget = kept.accounts[start], kept.budget
        if budget.is_part or account.is_alerted or account.spent_nano < budget.ladder.soft.used * budget.cap_nano:
            return
        account.is_alerted = True
        self.on_soft_limit(budget, account)


def budget_names(team: str, app: str, key_id: str, env: str) -> tuple[str, ...]:
    """The names of all budgets that a request spends from, from the organisation down to the key."""
    names = ("organisation", f"team:{team}", f"team:{team}/app:{app}", f"key:{key_id}")
    return (*names, *(name + DEVELOPMENT for name in names)) if env == "dev" else names


def _is_development(names: Sequence[str]) -> bool:
    return any(name.endswith(DEVELOPMENT) for name in names)


def part_of(budget: Budget, suffix: str, cap_nano: int) -> Budget:
    """A budget for a part of what `budget` holds: a hard cap and nothing else."""
    return Budget(budget.name + suffix, cap_nano, budget.calendar, NO_LADDER)
