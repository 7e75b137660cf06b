"""Exact bounds for a share that was counted: so many successes in so many independent trials.

Owns the Clopper-Pearson interval and what it needs of the incomplete beta function. For offline reports, where
every trial had the same chance of being looked at; it says nothing about figures that are watched while they grow.
"""

import math
from typing import Final

from msgspec import Struct

CONFIDENCE: Final = 0.95

_TINY: Final = 1e-300
_PRECISION: Final = 1e-15


class Share(Struct, frozen=True):
    """`successes` of `trials`, with the bounds of its Clopper-Pearson interval, all as fractions of 1."""

    successes: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """None if nothing was tried."""
        return self.successes / self.trials if self.trials else None


def share(successes: int, trials: int, confidence: float = CONFIDENCE) -> Share:
    low, high = clopper_pearson(successes, trials, confidence)
    return Share(successes, trials, low, high)


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided exact interval of a binomial share: each side misses with at most (1 - confidence) / 2.
    Without trials it is (0, 1). Raises ValueError unless 0 <= successes <= trials and 0 < confidence < 1.

    Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934); as quantiles of beta distributions e.g. in Brown, Cai, DasGupta (2001), section 4.2.1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is between 0 and 1, not {confidence}")
    tail = (1 - confidence) / 2
    return lower_bound(successes, trials, 1 - tail), upper_bound(successes, trials, 1 - tail)


def lower_bound(successes: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided exact bound: the true share is below it with at most 1 - confidence."""
    _check(successes, trials, confidence)
    if successes == 0:
        return 0.0
    return _beta_quantile(1 - confidence, successes, trials - successes + 1)


def upper_bound(successes: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided exact bound: the true share is above it with at most 1 - confidence."""
    _check(successes, trials, confidence)
    # The share of failures, seen from the other side: small tails keep their digits.
    return 1.0 - lower_bound(trials - successes, trials, confidence)


def _check(successes: int, trials: int, confidence: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is between 0 and 1, not {confidence}")


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Where the regularised incomplete beta function reaches this probability, by bisection down to neighbouring
    floats: it rises strictly, and nobody waits for an offline report's twentieth digit."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2) < high:
        if regularised_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return high


def regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) for 0 <= x <= 1 and a, b > 0: the chance that a Beta(a, b) variable is at most x. For whole a and
    n it is also the chance of at least a successes in n trials of chance x, with b = n - a + 1.

    Continued fraction of DLMF 8.17.22 (https://dlmf.nist.gov/8.17#v), by Lentz's method."""
    if not 0 <= x <= 1 or a <= 0 or b <= 0:
        raise ValueError(f"no regularised beta function of x={x}, a={a}, b={b}")
    if x in (0.0, 1.0):
        return x
    # The fraction converges fast below the mean; above it the other tail does (DLMF 8.17.4).
    if x > (a + 1) / (a + b + 2):
        return 1.0 - regularised_beta(1.0 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The modified Lentz method (Thompson and Barnett 1986) on 1 / (1 + d1 / (1 + d2 / (1 + ...)))."""
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1))
    found = d
    # Within O(sqrt(max(a, b))) steps; the limit only guards against arguments that no count has.
    for m in range(1, 100_000):
        for coefficient in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + coefficient * d)
            c = _away_from_zero(1.0 + coefficient / c)
            found *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            return found
    raise ArithmeticError(f"the continued fraction does not settle for x={x}, a={a}, b={b}")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
