"""When requests came that had to be asked of a model: what the ledger knows for pacing. Counts only, no money."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from msgspec import Struct

from router.budgets import budget_names
from router.ledger import tables
from router.pacing import Hourly

_HOUR_US: Final = 3_600_000_000


class Arrivals(Struct, frozen=True):
    """How many requests of one key came in the hour that begins at `hour`."""

    hour: datetime
    team: str
    app: str
    key_id: str
    env: str
    requests: int

    @property
    def budgets(self) -> tuple[str, ...]:
        return budget_names(self.team, self.app, self.key_id, self.env)


def arrivals_between(engine: sa.Engine, since: datetime, until: datetime) -> list[Arrivals]:
    """By hour and key, in the order of time. What the cache served did not cost, so it is not counted."""
    rows = tables.rows.c
    hour = (rows.at_us - rows.at_us % _HOUR_US).label("hour")
    key = (rows.team, rows.app, rows.key_id, rows.env)
    query = (
        sa.select(hour, *key, sa.func.count().label("requests"))
        .where(rows.at_us >= _us(since), rows.at_us < _us(until))
        .where(rows.kind == "request", rows.disposition.in_(("miss", "bypass")))
        .group_by(hour, *key)
        .order_by(hour)
    )
    with engine.connect() as connection:
        return [
            Arrivals(datetime.fromtimestamp(row.hour / 1e6, UTC), row.team, row.app, row.key_id, row.env, row.requests)
            for row in connection.execute(query)
        ]


def hourly(arrivals: Iterable[Arrivals], budget: str) -> list[Hourly]:
    """Those that spend from this budget."""
    counts: dict[datetime, int] = {}
    for each in arrivals:
        if budget in each.budgets:
            counts[each.hour] = counts.get(each.hour, 0) + each.requests
    return [Hourly(hour, count) for hour, count in sorted(counts.items())]


def _us(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
