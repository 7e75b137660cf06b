"""What another configuration would have done with the recorded traffic: routing decided anew, tokens priced anew.

Works from the text-free decision records of the ledger: the candidates of each request with their expected quality,
the price of money at that moment, and the tokens that the answer used. The same ranking as in production reads them.
Knows no budget: the recorded price of money stands for the state that the budgets were in.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from router.catalogue import RoutingPolicy
from router.experience import split_lot
from router.ledger.row import LedgerRow
from router.plan import AUTO, Candidate, Circumstances, ranked
from router.prices import cost_nano

APPROXIMATIONS: Final = (
    "Another model would have written an answer of another length: the recorded tokens are priced as they are.",
    "Budgets are not replayed: the price of money and the rationing of each moment stand as recorded.",
    "Expected quality is what was estimated then; models that were no candidates then are not considered.",
    "A map of classes and a tolerated loss of quality are not applied anew.",
    "Latencies are not recorded: `performance-first` takes the lowest tier for the fastest.",
    "Conversations, failures and the cache are as recorded: hits stay hits.",
)


class Option(Struct, frozen=True, array_like=True):
    """A candidate as the ledger keeps it."""

    model: str
    quality: float
    cost_nano: int


class Record(Struct, frozen=True):
    """The `routing` column."""

    candidates: list[Option]
    price: float
    """At which they were ranked."""
    asked: float | None = None
    """What of that the budgets asked for; None in older rows, which cannot tell."""
    least_lambda: float = 0.0
    propensity: float = 1.0
    wanted: str = ""
    held_out: bool = False


class Side(Struct, frozen=True, kw_only=True):
    """One route, as recorded or decided anew."""

    served: dict[str, int]
    """Requests by model."""
    cost_nano: int
    expected_quality: float
    """Mean over the requests."""


class Comparison(Struct, frozen=True):
    """A route as it was, and as it would have been; `skipped` requests could not be decided anew."""

    route: str
    requests: int
    skipped: int
    recorded: Side
    replayed: Side


def replay(
    rows: Iterable[LedgerRow], policies: Mapping[str, RoutingPolicy], on_row: Callable[[], None] = lambda: None
) -> list[Comparison]:
    """Decides anew every answered request that a provider served and whose route is among `policies`."""
    tallies: dict[str, _Tally] = {}
    for row in rows:
        on_row()
        if row.kind == "request" and row.status == "ok" and row.routing and row.served_model and row.route in policies:
            tallies.setdefault(row.route, _Tally(row.route)).add(row, policies[row.route])
    return [tallies[route].compared() for route in sorted(tallies)]


def choose(row: LedgerRow, record: Record, policy: RoutingPolicy) -> Candidate | None:
    """The model that this policy would have chosen among the recorded candidates; None if it offers none of them."""
    at = datetime.fromtimestamp(row.at_us / 1e6, UTC)
    qualities = {option.model: option.quality for option in record.candidates}
    candidates = []
    for model in policy.models:
        if model.name in qualities and (row.requested_model == AUTO or model.name == row.requested_model):
            prices = model.deployments[0].priced.effective_prices(at, row.usage.all_input)
            cost = (cost_nano(row.usage, prices) or 0) if prices else 0
            candidates.append(Candidate(model, qualities[model.name], cost, prices))
    candidates = [each for each in candidates if row.requested_model != AUTO or each.model.tier >= policy.floor]
    if not candidates:
        return None
    around = Circumstances(
        price=record.price if record.asked is None else record.asked,
        least_lambda=record.least_lambda,
        lot=split_lot(row.conversation or ""),
    )
    return ranked(candidates, policy, around)[0][0]


class _Tally:
    """Adds one route's requests up."""

    def __init__(self, route: str) -> None:
        self._route = route
        self._requests = self._skipped = 0
        self._served: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self._cost_nano = [0, 0]
        self._quality = [0.0, 0.0]

    def add(self, row: LedgerRow, policy: RoutingPolicy) -> None:
        record = msgspec.json.decode(row.routing or "", type=Record)
        # Chance and the holdout do not depend on the configuration: such requests stay as they were.
        stays = record.held_out or record.propensity < 0.5
        chosen = None if stays else choose(row, record, policy)
        quality = {option.model: option.quality for option in record.candidates}.get(row.served_model or "")
        if chosen is None or quality is None:
            self._skipped += 1
            return
        self._requests += 1
        self._count(0, row.served_model or "", row.actual_nano or 0, quality)
        # What the same model costs is what was booked, unless its price has changed.
        self._count(1, chosen.model.name, chosen.cost_nano, chosen.quality)

    def _count(self, side: int, model: str, nano: int, quality: float) -> None:
        self._served[side][model] += 1
        self._cost_nano[side] += nano
        self._quality[side] += quality

    def compared(self) -> Comparison:
        recorded, replayed = (
            Side(
                served=dict(self._served[side].most_common()),
                cost_nano=self._cost_nano[side],
                expected_quality=self._quality[side] / max(self._requests, 1),
            )
            for side in (0, 1)
        )
        return Comparison(self._route, self._requests, self._skipped, recorded, replayed)
