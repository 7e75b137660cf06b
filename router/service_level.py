"""Service levels of teams: whether recent requests were as fast and as reliable as promised, and what follows if not.

Pure over the times passed in (monotonic seconds). Knows the requests that went to a provider, not why they were slow.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Final, Literal, TypeVar

from msgspec import Struct

from router.catalogue import Deployment

Action = Literal["faster-model", "other-provider", "throttle"]
"""`faster-model`: `auto` takes the fastest model. `other-provider`: the provider that broke the promise is asked last.
`throttle`: requests of keys that are not `prod` are sent away."""

WINDOW_S: Final = 300.0
REQUESTS_AT_LEAST: Final = 20
"""In the window, before anything is said to be broken."""
_REMEMBERED: Final = 2000
_LOOKED_EVERY_S: Final = 1.0

T = TypeVar("T")


class ServiceLevel(Struct, frozen=True):
    """What a team is promised, over the last five minutes."""

    action: Action
    p95_ms: float | None = None
    """Of the time until an answer begins."""
    error_rate: float | None = None
    """Share of requests whose answer failed or broke off."""


class Breach(Struct, frozen=True):
    """A promise that is broken now."""

    action: Action
    reason: str
    provider: str | None
    """The provider that broke it most often."""


class _Seen(Struct, frozen=True):
    at_s: float
    latency_ms: float
    is_failed: bool
    provider: str | None


class Watch:
    """Watches one team. The verdict is looked at once a second."""

    def __init__(self, level: ServiceLevel) -> None:
        self.level = level
        self._seen: deque[_Seen] = deque(maxlen=_REMEMBERED)
        self._looked_at_s = float("-inf")
        self._breach: Breach | None = None

    def saw(self, at_s: float, latency_ms: float, provider: str | None, *, is_failed: bool) -> None:
        """A request to a provider has ended."""
        self._seen.append(_Seen(at_s, latency_ms, is_failed, provider))

    def breach(self, at_s: float) -> Breach | None:
        """The promise that is broken at this time, if any."""
        if at_s - self._looked_at_s >= _LOOKED_EVERY_S:
            self._looked_at_s = at_s
            self._breach = self._judged([each for each in self._seen if at_s - each.at_s <= WINDOW_S])
        return self._breach

    def _judged(self, seen: list[_Seen]) -> Breach | None:
        level = self.level
        if len(seen) < REQUESTS_AT_LEAST:
            return None
        failed = [each for each in seen if each.is_failed]
        if level.error_rate is not None and len(failed) > level.error_rate * len(seen):
            share = len(failed) / len(seen)
            return Breach(level.action, f"{share:.1%} of requests fail, {level.error_rate:.1%} promised", _most(failed))
        answered = sorted(each.latency_ms for each in seen if not each.is_failed)
        if level.p95_ms is not None and answered:
            p95_ms = answered[min(int(0.95 * len(answered)), len(answered) - 1)]
            if p95_ms > level.p95_ms:
                slow = [each for each in seen if each.latency_ms > level.p95_ms]
                return Breach(level.action, f"p95 is {p95_ms:.0f} ms, {level.p95_ms:.0f} ms promised", _most(slow))
        return None


def _most(seen: Iterable[_Seen]) -> str | None:
    """The provider that is named most often."""
    counted = Counter(each.provider for each in seen if each.provider is not None)
    return counted.most_common(1)[0][0] if counted else None


def asked_last(provider: str | None, targets: Iterable[tuple[T, Deployment]]) -> Iterator[tuple[T, Deployment]]:
    """The same targets, those of this provider after all others."""
    put_off = []
    for target in targets:
        if target[1].provider.name == provider:
            put_off.append(target)
        else:
            yield target
    yield from put_off
