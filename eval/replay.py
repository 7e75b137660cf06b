"""What another error budget would have done: recorded decisions, decided anew.

Works from the text-free records of the ledger: for each request the probability that the stored answer was right,
what an audit or the fresh answer said of it, and what the answer cost. The same certifier as in production reads them
in order, under the other terms.

Approximate in three ways, which the report says: a changed hit history would have changed what was stored and so the
later probabilities; a request that would have been served anew has a label only if a fresh answer was compared; and of
a hit that was not audited nobody knows whether it was right, so wrong ones are estimated by 1 - p.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from cache.certificate import Certifier, Label, Observation, Terms
from router.ledger.row import COMPLAINT, LedgerRow

_LABELS: Final[Mapping[str, Label]] = {"same": "right", "different": "wrong", "unclear": "unclear"}

_COUNTED_WITHOUT_DECISION: Final = ("same-text", "stale-while-revalidate", "no-neighbour")

APPROXIMATIONS: Final = (
    "A changed hit history would have changed what was stored, and so later probabilities: not replayed.",
    "Requests without a comparison have no label; their wrong hits are estimated by 1 - p.",
    "Money is what the answers would have cost at the baseline's list price; audits are not counted.",
)


class _Decision(Struct, frozen=True):
    claim: float = 0.0


class Recorded(Struct, frozen=True):
    """One request as the ledger tells it."""

    route: str
    claim: float
    """p(correct) of what might have been served; 0 if nothing might."""
    was_served: bool
    baseline_nano: int
    label: Label | None


class Replayed(Struct, frozen=True, kw_only=True):
    """One route under one set of terms."""

    route: str
    requests: int
    hits: int
    expected_wrong: float
    """Sum of 1 - p over the hits."""
    labelled: int
    labelled_wrong: int
    avoided_nano: int
    final_kappa: float | None
    state: str


class Comparison(Struct, frozen=True):
    """A route as it was, and as it would have been."""

    recorded: Replayed
    replayed: Replayed


def recorded_requests(rows: Iterable[LedgerRow], on_row: Callable[[], None] = lambda: None) -> list[Recorded]:
    """The requests of the routes that decide semantically, in the order of the ledger, with their labels: those with a
    decision, and those that the certifier counted without one, because the same text or nothing near was stored."""
    requests: dict[str, LedgerRow] = {}
    labels: dict[str, Label] = {}
    for row in rows:
        on_row()
        if row.kind == "request" and (row.decision is not None or row.cache_reason in _COUNTED_WITHOUT_DECISION):
            requests[row.request_id] = row
        elif row.kind in ("audit", "refresh", "label") and row.refers_to is not None and row.verdict is not None:
            if row.cache_reason == COMPLAINT:
                continue  # chance had no part in it
            labels[row.refers_to] = _LABELS[row.verdict]
    deciding = {row.route for row in requests.values() if row.decision is not None}
    return [
        Recorded(
            route=row.route,
            claim=msgspec.json.decode(row.decision or "{}", type=_Decision).claim,
            was_served=row.decision is not None and row.disposition in ("semantic", "coalesced"),
            baseline_nano=row.baseline_nano or 0,
            label=labels.get(request_id),
        )
        for request_id, row in requests.items()
        if row.route in deciding
    ]


def replay(requests: Iterable[Recorded], route: str, terms: Terms, seed: int = 1) -> Comparison:
    """Decides the route's recorded requests anew under `terms`. Audits are drawn anew, with a fixed seed; one that
    is drawn for a request without a label counts as failed."""
    chance = random.Random(seed)
    certifier = Certifier(terms)
    mine = [each for each in requests if each.route == route]
    served: list[Recorded] = []
    for each in mine:
        is_hit = each.claim > 0 and each.claim >= certifier.kappa
        if not is_hit:
            if each.claim == 0:
                certifier.record_request()
            else:
                certifier.record(Observation(each.claim, 1.0, each.label or "failed", False))
            continue
        served.append(each)
        propensity = certifier.audit_propensity(each.claim)
        is_drawn = chance.random() < propensity
        label: Label | None = (each.label or "failed") if is_drawn else None
        certifier.record(Observation(each.claim, propensity, label, True))
    certificate = certifier.certificate()
    before = [each for each in mine if each.was_served]
    return Comparison(
        recorded=_figures(route, mine, before, None, "as recorded"),
        replayed=_figures(route, mine, served, certificate.kappa, certificate.state),
    )


def _figures(route: str, all_: list[Recorded], hits: list[Recorded], kappa: float | None, state: str) -> Replayed:
    labelled = [each for each in hits if each.label in ("right", "wrong")]
    return Replayed(
        route=route,
        requests=len(all_),
        hits=len(hits),
        expected_wrong=sum(1 - each.claim for each in hits),
        labelled=len(labelled),
        labelled_wrong=sum(each.label == "wrong" for each in labelled),
        avoided_nano=sum(each.baseline_nano for each in hits),
        final_kappa=kappa,
        state=state,
    )
