"""Budgets of a running gateway: made from settings, restored from the ledger, and told to whoever asks."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from app.settings import BudgetSettings, Settings
from router.budgets import AUDITS, DEVELOPMENT, JUDGES, Budget, Budgets, Ladder, Step, budget_names, part_of
from router.ledger.reader import Spending, spending_between
from router.ledger.row import Kind
from router.ledger.writer import Ledger
from router.money import nano_from_usd
from router.periods import Calendar, Span

_KINDS: Final[dict[str, Kind]] = {AUDITS: "audit", JUDGES: "judge"}
"""What is spent of a part."""
_LEASE_AT_LEAST: Final = timedelta(minutes=15)
_SOFT: Final = 0.8
_MID: Final = 0.8
_ECONOMY: Final = 0.95


def budgets_of(settings: Settings) -> Budgets:
    """All configured budgets, with nothing spent."""
    budgets = (budget for name, given in named(settings) for budget in _with_parts(name, given))
    return Budgets(budgets, lease=_lease(settings))


def _lease(settings: Settings) -> timedelta:
    """Longer than a living call can be silent."""
    silences = [
        each.connect_timeout_s + each.first_event_timeout_s + each.idle_timeout_s
        for each in settings.providers.values()
    ]
    return max(_LEASE_AT_LEAST, timedelta(seconds=2 * float(max(silences, default=0))))


def named(settings: Settings) -> Iterator[tuple[str, BudgetSettings]]:
    """Every configured budget with its name."""
    found = [("organisation", settings.organisation.budget)]
    for name, team in settings.teams.items():
        found.append((f"team:{name}", team.budget))
        found += [(f"team:{name}/app:{app}", given.budget) for app, given in team.apps.items()]
    found += [(f"key:{key}", given.budget) for key, given in settings.keys.items()]
    return ((name, budget) for name, budget in found if budget is not None)


def _with_parts(name: str, given: BudgetSettings) -> Iterator[Budget]:
    """The budget, and the parts of it that audits and development keys may spend."""
    cap_nano = nano_from_usd(given.usd)
    whole = Budget(
        name=name,
        cap_nano=cap_nano,
        calendar=Calendar(given.period, given.time_zone),
        ladder=Ladder(
            soft=_step(given, given.soft_from, _SOFT),
            mid=_step(given, given.mid_from, _MID),
            economy=_step(given, given.economy_from, _ECONOMY),
        ),
        is_paced=given.pacing,
        at_cap=given.at_cap,
        overdraft_nano=int(cap_nano * given.overdraft_share) if given.at_cap == "economy" else 0,
        fallback=given.fallback_model if given.at_cap == "fallback" else None,
    )
    yield whole
    yield part_of(whole, AUDITS, int(cap_nano * given.audits_share))
    yield part_of(whole, JUDGES, int(cap_nano * given.judges_share))
    if given.dev_share < 1:
        yield part_of(whole, DEVELOPMENT, int(cap_nano * given.dev_share))


def _step(given: BudgetSettings, share: Any, default: float) -> Step:
    """What is written holds as it stands; what is not gives way while a paced budget is on its pace."""
    return Step(default, unless_on_pace=given.pacing) if share is None else Step(float(share))


def restored_budgets(settings: Settings, engine: sa.Engine, at: datetime) -> Budgets:
    """Budgets whose counters say what the ledger says of their present periods."""
    budgets = budgets_of(settings)
    for budget in budgets:
        budgets.restore(budget.name, ledger_nano(engine, budget, budgets.period(budget, at)), at)
    return budgets


async def replace_budgets(
    budgets: Budgets, settings: Settings, engine: sa.Engine, ledger: Ledger, at: datetime
) -> None:
    """Puts other budgets in force while requests run. Raises LedgerUnavailable; then nothing has changed."""
    # Between here and the end nobody else runs: what counters have settled is what the file says.
    await ledger.flushed()
    wanted = budgets_of(settings)
    budgets.replace(wanted, at, lambda budget: ledger_nano(engine, budget, wanted.period(budget, at)))


def ledger_nano(engine: sa.Engine, budget: Budget, period: Span) -> int:
    """What the ledger says that this budget has spent in this period."""
    kind = next((kind for suffix, kind in _KINDS.items() if budget.name.endswith(suffix)), None)
    since_us, until_us = (int(each.timestamp() * 1_000_000) for each in (period.start, period.end))
    found = spending_between(engine, since_us, until_us, kind)
    return sum(spent.nano for spent in found if _spends(spent, budget.name))


def _spends(spent: Spending, name: str) -> bool:
    return name.removesuffix(AUDITS).removesuffix(JUDGES) in budget_names(
        spent.team, spent.app, spent.key_id, spent.env
    )


def budget_status(budgets: Budgets, at: datetime) -> list[dict[str, Any]]:
    """Every budget, with what of it went into audits."""
    parts = {budget.name: budget for budget in budgets if budget.is_part}
    return [
        {
            "name": budget.name,
            "period": budget.calendar.unit,
            "time_zone": budget.calendar.zone,
            "cap_nano": budget.cap_nano,
            "spent_nano": budgets.account(budget, at).spent_nano,
            "reserved_nano": budgets.account(budget, at).reserved_nano,
            "audits_cap_nano": parts[budget.name + AUDITS].cap_nano,
            "audits_spent_nano": budgets.account(parts[budget.name + AUDITS], at).spent_nano,
            "arrivals_over": budgets.share_over(budget),
            "resets_at": budgets.period(budget, at).end.isoformat(),
        }
        for budget in budgets
        if not budget.is_part
    ]
