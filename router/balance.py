"""In which order the deployments of a model are tried. Pure: load, latency, health and chance are passed in.

Groups go first: what is in the route's region before what is not, lower `priority` numbers before higher ones. Within
a group the load is shared. Latency is a peak EWMA: it follows a slower answer at once and forgets it slowly (as in
Twitter's Finagle), and the better of two random picks goes first ("The Power of Two Random Choices", Mitzenmacher,
Richa and Sitaraman, 2001): always taking the best would send everybody to the same one between two measurements.
"""

import math
from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

Balance = Literal["latency", "least-busy", "weighted"]

_FORGETS_AFTER_S: Final = 10.0
_HEALTH_AT_LEAST: Final = 0.05


class Load(Struct, frozen=True):
    """What is known of one deployment at this moment."""

    priority: int
    weight: float
    is_near: bool
    """In the region that the route prefers."""
    in_use: int
    latency_s: float
    """Until the first event, lately; 0 = not known."""
    failure_share: float


class PeakEwma:
    """How long a deployment takes to its first event, lately. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._value_s = 0.0
        self._at = 0.0

    def add(self, took_s: float, now: float) -> None:
        if took_s >= self._value_s:
            self._value_s = took_s
        else:
            kept = math.exp(-max(now - self._at, 0.0) / _FORGETS_AFTER_S)
            self._value_s = self._value_s * kept + took_s * (1.0 - kept)
        self._at = now

    @property
    def value_s(self) -> float:
        """As last seen."""
        return self._value_s

    def faded_s(self, now: float) -> float:
        """As good as forgotten after a while without calls: who was slow once would never be asked again, and so never
        show that it is well."""
        return self._value_s * math.exp(-max(now - self._at, 0.0) / _FORGETS_AFTER_S)


def order(loads: Sequence[Load], balance: Balance, picks: tuple[float, float]) -> list[int]:
    """Places of `loads`, the one to try first at the front. `picks` are two random numbers from 0 to 1."""
    if len(loads) == 1:
        return [0]
    groups: dict[tuple[bool, int], list[int]] = {}
    for at, load in enumerate(loads):
        groups.setdefault((not load.is_near, load.priority), []).append(at)
    return [at for _, group in sorted(groups.items()) for at in _shared(group, loads, balance, picks)]


def _shared(group: list[int], loads: Sequence[Load], balance: Balance, picks: tuple[float, float]) -> list[int]:
    """One group: the first gets its share of the load, the others follow from the best to the worst."""
    if len(group) == 1:
        return group
    weights = [loads[at].weight for at in group]
    one = group[_picked(weights, picks[0])]
    if balance == "weighted":
        first = one
    elif balance == "least-busy":
        # Among equals the pick decides, else the first of the list would get every call of a quiet time.
        first = min(group, key=lambda at: (_busy(loads[at]), at != one))
    else:
        rest = [at for at in group if at != one]
        other = rest[_picked([loads[at].weight for at in rest], picks[1])]
        first = min(one, other, key=lambda at: (_cost(loads[at]), at != one))
    return [first, *sorted((at for at in group if at != first), key=lambda at: _cost(loads[at]))]


def _picked(weights: Sequence[float], chance: float) -> int:
    """A place, each as likely as its weight says."""
    left = chance * sum(weights)
    for at, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return at
    return len(weights) - 1


def _busy(load: Load) -> float:
    return load.in_use / load.weight if load.weight else math.inf


def _cost(load: Load) -> float:
    """Expected time until a new call is answered, for a share of the load: unhealthy and busy ones seem slower."""
    share = load.weight * max(1.0 - load.failure_share, _HEALTH_AT_LEAST)
    return load.latency_s * (load.in_use + 1) / share if share else math.inf
