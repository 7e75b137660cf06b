"""What happens to budgets beside requests: dead reservations are closed, arrivals are learned."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from structlog.testing import CapturingLogger

from app.budget_upkeep import BudgetUpkeep
from app.database import LEDGER_MIGRATIONS, open_database
from app.observer import Observer
from router.budgets import Budget, Budgets
from router.ledger.reader import open_reservations, rows_between, verify
from router.ledger.writer import Closing, Ledger, Opening
from router.periods import Calendar
from tests.router.samples import AT, ledger_row

NAMES = ("organisation",)
LONG = timedelta(minutes=16)


class Upkeep:
    """An upkeep over real files, with a clock that tests set."""

    def __init__(self, engine: sa.Engine, ledger: Ledger, calendar: Calendar) -> None:
        self.at = AT
        self.engine, self.ledger = engine, ledger
        self.log = CapturingLogger()
        self.observer = Observer(structlog.wrap_logger(self.log, processors=[]))
        self.budgets = Budgets([Budget("organisation", 10**9, calendar, is_paced=True)])
        log = structlog.wrap_logger(self.log, processors=[])
        self.upkeep = BudgetUpkeep(self.budgets, engine, ledger, self.observer, lambda: self.at, log)

    @property
    def spent_nano(self) -> int:
        return self.budgets.account(next(iter(self.budgets)), self.at).spent_nano

    @property
    def said(self) -> list[str]:
        return [str(call.kwargs["event"]) for call in self.log.calls]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path / "ledger.db", LEDGER_MIGRATIONS)
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: sa.Engine) -> Iterator[Ledger]:
    ledger = Ledger(engine)
    ledger.start()
    yield ledger
    ledger.stop()


@pytest.fixture
def kept(engine: sa.Engine, ledger: Ledger) -> Upkeep:
    return Upkeep(engine, ledger, Calendar("day"))


# --- dead reservations -----------------------------------------------------------------------------------------------


async def test_a_reservation_whose_owner_is_gone_is_booked_in_full_with_a_row_of_its_own(kept: Upkeep) -> None:
    kept.budgets.reserve(NAMES, 500, AT, owner="req_1/1")
    draft = ledger_row(request_id="req_1", at_us=int(AT.timestamp() * 1e6), reserved_nano=500)
    await kept.ledger.open(Opening("req_1/1", 500, draft))
    kept.at += LONG

    await kept.upkeep.sweep()

    assert kept.spent_nano == 500
    assert open_reservations(kept.engine) == 0
    booked = next(rows_between(kept.engine, request_id="req_1"))
    assert (booked.status, booked.pricing, booked.actual_nano) == ("unknown", "unknown", 500)
    assert booked.error_class == "ReservationExpired"
    assert (await kept.upkeep.reconcile()).is_good
    assert verify(kept.engine).problems == []
    assert "reservation expired" in kept.said
    assert b"thriftgate_reservations_expired_total 1.0" in kept.observer.exposition()


async def test_a_dead_reservation_that_never_reached_the_file_was_never_sent_and_costs_nothing(kept: Upkeep) -> None:
    kept.budgets.reserve(NAMES, 500, AT, owner="req_1/1")
    kept.at += LONG

    await kept.upkeep.sweep()

    assert kept.spent_nano == 0
    assert kept.budgets.owners == frozenset()
    assert (await kept.upkeep.reconcile()).is_good


async def test_a_live_reservation_is_left_alone(kept: Upkeep) -> None:
    held = kept.budgets.reserve(NAMES, 500, AT, owner="req_1/1")
    kept.at += LONG
    kept.budgets.renew(held, kept.at)

    await kept.upkeep.sweep()

    assert kept.budgets.owners == {"req_1/1"}


# --- counters against the ledger -------------------------------------------------------------------------------------


async def test_drift_is_told_in_nano_dollars(kept: Upkeep) -> None:
    kept.budgets.settle(kept.budgets.reserve(NAMES, 500, AT), 500)

    found = await kept.upkeep.reconcile()

    assert not found.is_good
    assert [(each.name, each.drift_nano) for each in found.budgets] == [("organisation", 500)]
    assert "budget counter differs from the ledger" in kept.said


async def test_a_reservation_in_the_file_that_nobody_holds_is_an_orphan(kept: Upkeep) -> None:
    await kept.ledger.open(Opening("req_gone/1", 5, ledger_row(request_id="req_gone")))

    found = await kept.upkeep.reconcile()

    assert (found.orphans, found.is_good) == (["req_gone/1"], False)


# --- arrivals --------------------------------------------------------------------------------------------------------


async def came(kept: Upkeep, at: datetime, requests: int) -> None:
    for number in range(requests):
        at_us = int(at.timestamp() * 1e6) + number
        name = f"req_{at_us}"
        await kept.ledger.record(Closing(ledger_row(request_id=name, at_us=at_us, disposition="miss")))


async def test_what_came_before_a_restart_is_counted_and_the_days_before_are_the_profile(kept: Upkeep) -> None:
    midnight = datetime(2026, 6, 17, tzinfo=UTC)
    for day in (2, 1):
        await came(kept, midnight - timedelta(days=day) + timedelta(hours=9), 50)
        await came(kept, midnight - timedelta(days=day) + timedelta(hours=15), 50)
    await came(kept, midnight + timedelta(hours=9), 50)

    await kept.upkeep.learn()
    kept.budgets.saw(NAMES, (0.5, 0.9), (1, 2), AT)  # half past twelve

    over = kept.budgets.share_over(next(iter(kept.budgets)))
    assert over is not None
    assert over > 0.4  # one of two busy hours is over


async def test_what_the_cache_served_is_no_arrival(kept: Upkeep) -> None:
    at_us = int((AT - timedelta(days=2)).timestamp() * 1e6)
    for number in range(50):
        hit = ledger_row(request_id=f"req_{number}", at_us=at_us + number, disposition="exact")
        await kept.ledger.record(Closing(hit))

    await kept.upkeep.learn()
    kept.budgets.saw(NAMES, (0.5, 0.9), (1, 2), AT)

    assert kept.budgets.share_over(next(iter(kept.budgets))) is None


async def test_soft_limits_that_are_reached_at_the_start_are_told_again(kept: Upkeep) -> None:
    kept.budgets.restore("organisation", 9 * 10**8, AT)

    await kept.upkeep.start()
    await kept.upkeep.stop()

    assert kept.said.count("budget reached its soft limit") == 1
