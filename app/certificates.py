"""What is shown of each route's certificate: to the admin API, the command line and the metrics.

Decides nothing: the certificates are made by `cache.certificate`.
"""

import math
import random
from collections.abc import Iterator, Mapping
from typing import Final, get_args

import sqlalchemy as sa
from msgspec import Struct

from app.gateway import Route
from cache import tables
from cache.certificate import Certificate, State
from cache.decision import load_prior
from cache.entries import EntryStore
from cache.query import Mode, Start
from cache.trust import Trust

STATES: Final[tuple[str, ...]] = get_args(State)


class RouteTrust(Struct, frozen=True):
    """One route. `certificate` is None where nothing is served semantically anyway."""

    mode: Mode
    start: Start
    doubts: int
    """Hits that wait for a person to judge them."""
    certificate: Certificate | None

    def figures(self) -> Iterator[tuple[str, float]]:
        """Name of a gauge and its value, as `app.observer` has them."""
        yield "doubts_open", self.doubts
        known = self.certificate
        if known is None:
            return
        yield "kappa", math.inf if known.kappa is None else known.kappa
        yield "budget", known.max_wrong
        yield "estimate", math.nan if known.estimate is None else known.estimate
        yield "bound", known.bound
        yield "bound_with_unclear", known.bound_with_unclear
        yield "hits_audited", known.audited
        yield "hits_unaudited", max(known.hits - known.audited, 0)
        yield "hits_wrong", known.wrong
        yield "hits_unclear", known.unclear
        yield "stale", known.is_stale
        yield "alarms", len(known.alarms)


def trust_of(
    routes: Mapping[str, Route], certificates: Mapping[str, Certificate], doubts: Mapping[str, int]
) -> dict[str, RouteTrust]:
    """Every configured route."""
    return {
        name: RouteTrust(
            route.cache.mode,
            route.cache.start,
            doubts.get(name, 0),
            certificates.get(name) if route.cache.mode == "semantic" else None,
        )
        for name, route in routes.items()
    }


def restored(store: EntryStore, routes: Mapping[str, Route], now_us: int) -> dict[str, Certificate]:
    """The certificates that a server on this file would start with. Writes nothing."""
    trust = Trust(store, load_prior(), random.Random(), lambda: now_us)
    for name, route in routes.items():
        if route.cache.mode == "semantic":
            trust.open(name, route.cache)
    return trust.certificates()


def open_doubts(cache_file: sa.Engine) -> dict[str, int]:
    """Route -> how many doubtful hits wait for a person."""
    open_ones = tables.doubts.c.ruling.is_(None)
    counted = sa.select(tables.doubts.c.route, sa.func.count().label("waiting")).where(open_ones)
    with cache_file.connect() as connection:
        found = connection.execute(counted.group_by(tables.doubts.c.route))
        return {row.route: row.waiting for row in found}
