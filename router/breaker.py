"""A circuit breaker: calls to a deployment that fails too often are not made, until a single one shows that it is back.

Knows no clock: the time is passed in, in monotonic seconds. What counts as a failure is the caller's to say.

    closed --(share of failures or slow calls in the window too high, or too many failures in a row)--> open
    open --(its time is over)--> half-open: one call, the probe
    half-open --(probe succeeds)--> closed            --(probe fails)--> open, for twice as long
"""

from typing import Final, Literal

from msgspec import Struct

State = Literal["closed", "open", "half_open"]

_BUCKETS: Final = 10


class BreakerPolicy(Struct, frozen=True):
    """When a breaker opens, and for how long."""

    window_s: float = 30.0
    least_calls: int = 5
    """Fewer calls than this in the window say nothing."""
    failure_share: float = 0.5
    """Above 1 = never opens for a share of failures."""
    failures_in_a_row: int = 10
    """So many failures, or twice as many slow calls, without a good one between them open it, whatever the window
    remembers of better times; 0 = never."""
    slow_after_s: float = 60.0
    """From so long on a first event is slow."""
    slow_share: float = 0.8
    """Above 1 = never opens for slow calls."""
    open_s: float = 5.0
    open_at_most_s: float = 30.0


class _Bucket(Struct):
    """What happened in a part of the window."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


class Breaker:
    """The breaker of one deployment. Each call begun with `begin` ends in `succeeded`, `failed` or `given_up`."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self.policy = policy
        self._width_s = policy.window_s / _BUCKETS
        self._buckets = [_Bucket() for _ in range(_BUCKETS)]
        self._sum = _Bucket()
        self._bad_in_a_row = 0
        self._at = 0
        self._open_until: float | None = None
        self._open_s = policy.open_s
        self._is_probing = False
        self._is_promising = False

    def state(self, now: float) -> State:
        if self._open_until is None:
            return "closed"
        return "half_open" if now >= self._open_until else "open"

    def admits(self, now: float) -> bool:
        """Whether a call may be made: the breaker is closed, or the probe is due."""
        return self._open_until is None or (now >= self._open_until and not self._is_probing)

    @property
    def may_be_forced(self) -> bool:
        """Whether a call may be made although it is open, because there is nothing else left: one at a time, or more
        when the probe goes well."""
        return not self._is_probing or self._is_promising

    def opens_again_s(self, now: float) -> float:
        """Seconds until the next probe is due; 0 if calls may be made."""
        return 0.0 if self._open_until is None else max(self._open_until - now, 0.0)

    def failure_share(self, now: float) -> float:
        """Of the calls in the window; 0 if there was none."""
        self._turn(now)
        # An answer that breaks off may be counted later than its call.
        return min(self._sum.failures / self._sum.calls, 1.0) if self._sum.calls else 0.0

    def begin(self) -> bool:
        """A call is made; whether it is the probe."""
        if self._open_until is None:
            return False
        self._is_probing = True
        return True

    def promises(self) -> None:
        """The probe has got its first event; whether it comes to its end is yet to be seen."""
        self._is_promising = True

    def succeeded(self, now: float, took_s: float, *, is_probe: bool) -> None:
        """The first event came after `took_s`."""
        is_slow = took_s >= self.policy.slow_after_s
        if is_probe and not is_slow:
            self.close()
        else:
            self._count(now, is_probe=is_probe, slow=is_slow)

    def failed(self, now: float, *, is_probe: bool, has_answered: bool = False) -> None:
        """The call failed; `has_answered` if it had been counted as a success and its answer broke off later."""
        self._count(now, is_probe=is_probe, calls=not has_answered, failures=True)

    def given_up(self, *, is_probe: bool) -> None:
        """The call ended without telling anything of the deployment; another may be the probe."""
        if is_probe:
            self._is_probing = self._is_promising = False

    def recovered(self) -> None:
        """Something else has shown that the deployment is there again: the probe is due at once."""
        if self._open_until is not None:
            self._open_until = 0.0

    def close(self) -> None:
        """Forgets all that was."""
        self._buckets = [_Bucket() for _ in range(_BUCKETS)]
        self._sum = _Bucket()
        self._bad_in_a_row = 0
        self._open_until, self._open_s = None, self.policy.open_s
        self._is_probing = self._is_promising = False

    def _count(
        self, now: float, *, is_probe: bool, calls: bool = True, failures: bool = False, slow: bool = False
    ) -> None:
        self._turn(now)
        for counts in (self._buckets[self._at % _BUCKETS], self._sum):
            counts.calls += calls
            counts.failures += failures
            counts.slow += slow
        self._bad_in_a_row = self._bad_in_a_row + 2 * failures + slow if failures or slow else 0
        if is_probe:
            self._is_probing = self._is_promising = False
            if failures or slow:
                self._open_s = min(self._open_s * 2, self.policy.open_at_most_s)
                self._open_until = now + self._open_s
        elif self._open_until is None and self._is_bad():
            self._open_until = now + self._open_s

    def _is_bad(self) -> bool:
        policy, seen = self.policy, self._sum
        if 0 < 2 * policy.failures_in_a_row <= self._bad_in_a_row:
            return True
        return seen.calls >= policy.least_calls and (
            seen.failures >= policy.failure_share * seen.calls or seen.slow >= policy.slow_share * seen.calls
        )

    def _turn(self, now: float) -> None:
        """Empties the buckets that have fallen out of the window."""
        at = int(now / self._width_s)
        for stale in range(max(self._at, at - _BUCKETS) + 1, at + 1):
            bucket = self._buckets[stale % _BUCKETS]
            self._sum.calls -= bucket.calls
            self._sum.failures -= bucket.failures
            self._sum.slow -= bucket.slow
            self._buckets[stale % _BUCKETS] = _Bucket()
        self._at = max(self._at, at)
