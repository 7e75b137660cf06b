"""What routing saves and costs, measured: conversations that the baseline served against all others.

A small random part of the conversations is held out from routing (`holdout_share`) and served by the baseline. Which
ones is a matter of a hash, so the two arms differ in nothing else, and the difference of their means is unbiased.
Intervals resample whole conversations, because the requests of one belong together (cluster bootstrap; Cameron and
Miller, "A Practitioner's Guide to Cluster-Robust Inference", 2015, section VI).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from router.ledger.row import LedgerRow
from router.plan import AUTO

CONVERSATIONS_AT_LEAST: Final = 20
"""In each arm; with fewer an interval would say more than is known."""
_RESAMPLES: Final = 2000
_SEED: Final = 1


class Arm(Struct, frozen=True):
    """The held-out conversations, or the routed ones."""

    conversations: int
    requests: int
    cost_nano: int
    scored: int
    """Answers that a client or a judge has scored."""
    mean_score: float | None

    @property
    def cost_per_request_nano(self) -> float:
        return self.cost_nano / self.requests if self.requests else 0.0


class Effect(Struct, frozen=True):
    """Routed minus held out, with its 95 % interval."""

    difference: float
    low: float
    high: float


class Holdout(Struct, frozen=True):
    """Both arms. An effect is None where an arm has too few conversations."""

    held_out: Arm
    routed: Arm
    cost_per_request_nano: Effect | None
    score: Effect | None


class _Routing(Struct, frozen=True):
    held_out: bool = False


class _Request(Struct, frozen=True):
    conversation: str
    cost_nano: int
    is_held_out: bool


def holdout(rows: Iterable[LedgerRow], on_row: Callable[[], None] = lambda: None) -> Holdout | None:
    """The measure over these rows; None if nothing was held out. Counts answered `auto` requests that a provider
    served, at what they cost."""
    requests: dict[str, _Request] = {}
    scores: dict[str, float] = {}
    for row in rows:
        on_row()
        if row.kind == "request" and row.requested_model == AUTO and row.status == "ok" and row.routing:
            is_held_out = msgspec.json.decode(row.routing, type=_Routing).held_out
            requests[row.request_id] = _Request(row.conversation or row.request_id, row.actual_nano or 0, is_held_out)
        elif row.kind in ("feedback", "judge") and row.refers_to is not None and row.score is not None:
            scores[row.refers_to] = row.score
    if not any(each.is_held_out for each in requests.values()):
        return None
    arms = [_clusters(requests, scores, is_held_out) for is_held_out in (True, False)]
    return Holdout(
        held_out=_arm(arms[0]),
        routed=_arm(arms[1]),
        cost_per_request_nano=_effect(arms[1][:, :2], arms[0][:, :2]),
        score=_effect(arms[1][:, 2:], arms[0][:, 2:]),
    )


_Clusters = NDArray[np.float64]
"""Shape (conversations, 4): cost in nano-dollars, requests, sum of the scores, how many scores."""


def _clusters(requests: Mapping[str, _Request], scores: Mapping[str, float], is_held_out: bool) -> _Clusters:
    sums: dict[str, list[float]] = {}
    for request_id, each in requests.items():
        if each.is_held_out == is_held_out:
            row = sums.setdefault(each.conversation, [0.0, 0.0, 0.0, 0.0])
            row[0] += each.cost_nano
            row[1] += 1
            if request_id in scores:
                row[2] += scores[request_id]
                row[3] += 1
    return np.array(list(sums.values()), dtype=np.float64).reshape(-1, 4)


def _arm(clusters: _Clusters) -> Arm:
    cost, requests, score, scored = clusters.sum(0)
    return Arm(len(clusters), int(requests), int(cost), int(scored), float(score / scored) if scored else None)


def _effect(routed: NDArray[np.float64], held_out: NDArray[np.float64]) -> Effect | None:
    """Of two arrays with a sum and a count for each conversation."""
    routed, held_out = routed[routed[:, 1] > 0], held_out[held_out[:, 1] > 0]
    if min(len(routed), len(held_out)) < CONVERSATIONS_AT_LEAST:
        return None
    chance = np.random.default_rng(_SEED)
    differences = _resampled(routed, chance) - _resampled(held_out, chance)
    low, high = np.quantile(differences, (0.025, 0.975))
    return Effect(_mean(routed) - _mean(held_out), float(low), float(high))


def _mean(clusters: NDArray[np.float64]) -> float:
    total, count = clusters.sum(0)
    return float(total / count)


def _resampled(clusters: NDArray[np.float64], chance: np.random.Generator) -> NDArray[np.float64]:
    """Means of resamples of whole conversations."""
    means = np.empty(_RESAMPLES)
    for at in range(_RESAMPLES):
        total, count = clusters[chance.integers(0, len(clusters), len(clusters))].sum(0)
        means[at] = total / count
    return means


def lines(found: Holdout | None) -> Sequence[str]:
    """The measure in words."""
    if found is None:
        return ["No conversation was held out from routing (holdout_share), so its effect is not measured."]
    arms = ", ".join(
        f"{name}: {arm.conversations:,} conversations, {arm.requests:,} requests, {arm.cost_per_request_nano / 1e9:.6f}"
        " USD a request" + ("" if arm.mean_score is None else f", mean score {arm.mean_score:.3f} of {arm.scored:,}")
        for name, arm in (("routed", found.routed), ("held out, served by the baseline", found.held_out))
    )
    said = [arms + "."]
    for name, effect, unit in (
        ("cost of a request", found.cost_per_request_nano, 1e9),
        ("score", found.score, 1.0),
    ):
        if effect is None:
            said.append(f"Effect of routing on the {name}: too few conversations in an arm to tell.")
        else:
            low, high = effect.low / unit, effect.high / unit
            said.append(
                f"Effect of routing on the {name}: {effect.difference / unit:+.6f} (95 %: {low:+.6f} to {high:+.6f})."
            )
    return said
