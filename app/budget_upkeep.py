"""What budgets need beside requests: arrivals learned from the ledger, dead reservations closed, counters compared.

Runs beside the requests, never in their way: the ledger is read in a thread.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from msgspec import Struct

from app.budgets import ledger_nano
from app.observer import Observer
from router.budgets import Account, Budget, Budgets
from router.errors import LedgerUnavailable
from router.ledger.arrivals import Arrivals, arrivals_between, hourly
from router.ledger.writer import Closing, Ledger, unsettled
from router.pacing import Profile, learned

_HISTORY: Final = timedelta(weeks=8)
_A_WEEK: Final = timedelta(days=7)
_SWEEP_EVERY_S: Final = 60.0
_LEARN_EVERY: Final = 60
"""So many sweeps: an hour."""
_JUMP_S: Final = 30.0
"""More than a slow machine is late, and much less than a lease."""
_LOOKS: Final = 40
_LOOK_EVERY_S: Final = 0.05


class Reconciled(Struct, frozen=True):
    """One budget's counter beside what the ledger says of the same period, in nano-dollars."""

    name: str
    period_start: str
    counter_nano: int
    ledger_nano: int

    @property
    def drift_nano(self) -> int:
        return self.counter_nano - self.ledger_nano


class Comparison(Struct, frozen=True):
    """`orphans` are reservations in the file that nobody in the process holds."""

    budgets: list[Reconciled]
    orphans: list[str]

    @property
    def is_good(self) -> bool:
        return not self.orphans and not any(each.drift_nano for each in self.budgets)


class BudgetUpkeep:
    """One for each app. `start` once the ledger is open."""

    def __init__(
        self,
        budgets: Budgets,
        engine: sa.Engine,
        ledger: Ledger,
        observer: Observer,
        now: Callable[[], datetime],
        log: Any,
    ) -> None:
        self._budgets, self._engine, self._ledger = budgets, engine, ledger
        self._observer, self._now, self._log = observer, now, log
        self._arrivals: list[Arrivals] = []
        self._known_until: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Warns of soft limits that are reached, learns from the ledger, and goes on doing so every hour."""
        for budget in self._budgets:
            account = self._budgets.account(budget, self._now())
            if account.is_alerted:
                self.warn(budget, account)
        self._budgets.on_soft_limit = self.warn
        await self.learn()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def warn(self, budget: Budget, account: Account) -> None:
        """A soft limit is reached."""
        self._observer.soft_limit(budget.name)
        self._log.warning(
            "budget reached its soft limit",
            budget=budget.name,
            spent_nano=account.spent_nano,
            cap_nano=budget.cap_nano,
            resets_at=self._budgets.period(budget, self._now()).end.isoformat(),
        )

    async def _run(self) -> None:
        while True:
            for _ in range(_LEARN_EVERY):
                at, since = self._now(), time.monotonic()
                await asyncio.sleep(_SWEEP_EVERY_S)
                self.forgive_jump(at, time.monotonic() - since)
                await self._safely(self.sweep)
            await self._safely(self.learn)
            await self._safely(self.reconcile)

    async def _safely(self, what: Callable[[], Any]) -> None:
        try:
            await what()
        except (sa.exc.SQLAlchemyError, LedgerUnavailable) as error:  # a busy or full disk: the next time will do
            self._log.error("budget upkeep failed", what=what.__name__, error_class=type(error).__name__)

    # --- learning ---

    async def learn_anew(self) -> None:
        """After budgets were replaced: new ones know nothing yet."""
        self._known_until = None
        await self._safely(self.learn)

    async def learn(self) -> None:
        """Tells every pacer how requests arrive. The last hour that is known is read again: it was not over."""
        is_first, at = self._known_until is None, self._now()
        paced = [budget for budget in self._budgets if budget.is_paced]
        if not paced:
            return
        this_hour = at.replace(minute=0, second=0, microsecond=0)
        known_until = self._known_until or this_hour - _HISTORY
        news = await asyncio.to_thread(arrivals_between, self._engine, known_until, at)
        self._arrivals = [each for each in self._arrivals if this_hour - _HISTORY <= each.hour < known_until] + news
        self._known_until = this_hour
        for budget in paced:
            came = self._came(budget, at) if is_first else None
            self._budgets.learn(budget.name, self._profile(budget, at), at, came)

    def _profile(self, budget: Budget, at: datetime) -> Profile | None:
        """From what came before this period, if that was long enough to tell one hour from another; what this period
        has seen tells how it differs."""
        hours = hourly(self._arrivals, budget.name)
        if not hours:
            return None
        span = self._budgets.period(budget, at)
        before = span.start.replace(minute=0, second=0, microsecond=0)
        is_enough = hours[0].hour <= before - min(_A_WEEK, span.end - span.start) + timedelta(hours=12)
        until = before if is_enough else at.replace(minute=0, second=0, microsecond=0)
        return learned(hours, budget.calendar, until) if until - hours[0].hour >= timedelta(days=1) else None

    def _came(self, budget: Budget, at: datetime) -> int:
        start = self._budgets.period(budget, at).start
        return sum(each.requests for each in self._arrivals if each.hour >= start and budget.name in each.budgets)

    # --- dead reservations ---

    def forgive_jump(self, since: datetime, passed_s: float) -> None:
        """A clock that was set has not made anybody silent: all leases begin anew. `passed_s` is how long it really
        is since `since`."""
        jumped_s = (self._now() - since).total_seconds() - passed_s
        if abs(jumped_s) > _JUMP_S:
            self._budgets.renew_all(self._now())
            self._log.warning("the clock was set", by_s=round(jumped_s, 1))

    async def sweep(self) -> None:
        """Closes reservations whose owner is gone: at the full amount where the request may have been sent."""
        dead = self._budgets.dead(self._now())
        if not dead:
            return
        in_file = await asyncio.to_thread(self._unsettled)
        for reservation in dead:
            row = in_file.get(reservation.owner)
            if not self._budgets.expire(reservation, self._now(), reservation.amount_nano if row else 0):
                continue
            self._observer.reservation_expired()
            self._log.error(
                "reservation expired",
                reservation=reservation.owner,
                amount_nano=reservation.amount_nano,
                booked=bool(row),
            )
            if row is not None:
                await self._ledger.record(Closing(row, reservation.owner))

    def _unsettled(self) -> dict[str, Any]:
        with self._engine.connect() as connection:
            return dict(unsettled(connection, "ReservationExpired"))

    # --- counters against the ledger ---

    async def reconcile(self) -> Comparison:
        """Compares every counter with the ledger, and raises an alarm where they differ. What is being written while it
        looks makes them differ for a moment, so it looks again before it says so."""
        found = await self._compared()
        for each in found.budgets:
            self._observer.drift(each.name, each.drift_nano)
            if each.drift_nano:
                self._log.error(
                    "budget counter differs from the ledger",
                    budget=each.name,
                    counter_nano=each.counter_nano,
                    ledger_nano=each.ledger_nano,
                )
        for orphan in found.orphans:
            self._log.error("reservation without an owner", reservation=orphan)
        return found

    async def _compared(self) -> Comparison:
        """Looks until everything has agreed once, or long enough."""
        differing: dict[str, Reconciled] = {}
        agreed: dict[str, Reconciled] = {}
        orphans: set[str] = set()
        for look in range(_LOOKS):
            if look:
                await asyncio.sleep(_LOOK_EVERY_S)
            at, held = self._now(), self._budgets.owners
            before = self._counters(at)
            spent, in_file = await asyncio.to_thread(self._looked_up, at)
            after = self._counters(at)
            for budget in self._budgets:
                name, start = budget.name, self._budgets.period(budget, at).start.isoformat()
                # What was settled meanwhile may or may not be in the file yet.
                if before[name] <= spent[name] <= after[name]:
                    agreed[name] = Reconciled(name, start, spent[name], spent[name])
                else:
                    differing[name] = Reconciled(name, start, after[name], spent[name])
            unheld = in_file - held - self._budgets.owners
            orphans = unheld if not look else orphans & unheld
            if not orphans and len(agreed) == len(before):
                break
        return Comparison([agreed.get(name) or differing[name] for name in after], sorted(orphans))

    def _counters(self, at: datetime) -> dict[str, int]:
        return {budget.name: self._budgets.account(budget, at).spent_nano for budget in self._budgets}

    def _looked_up(self, at: datetime) -> tuple[dict[str, int], set[str]]:
        periods = [(budget, budget.calendar.span(at)) for budget in self._budgets]
        spent = {budget.name: ledger_nano(self._engine, budget, period) for budget, period in periods}
        return spent, set(self._unsettled())
