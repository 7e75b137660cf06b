"""How often a semantic hit is wrong, with a guarantee, and from which probability on a route may serve.

Pure arithmetic over labelled observations: no clock, no chance, no I/O. It owns the wealth of bets against "the
risk is above the budget", the choice of `kappa`, and the certificate that is shown. It knows neither where a
probability comes from nor who makes an audit.

**The bound.** Each hypothesis "of the requests with p >= kappa, a share of m or more has a wrong candidate" has an
account that starts with 1. A request multiplies it by `1 + bet * rho * S * (m - W) / propensity`: `S` whether its
label was looked for, `W` 1 if wrong, `rho` the smallest propensity that the policy in force gives to any request.
Under the hypothesis no account grows on average, whenever one looks (Ville: it ever reaches 1/alpha with a
probability of at most alpha). This is the betting of Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting" (JRSS-B 2024), on the doubly robust weighted observation `m + S (W - m) / propensity`
(Waudby-Smith, Wu, Ramdas, Karampatziakis, Mineiro: "Anytime-valid off-policy inference for contextual bandits",
2024). Against plain `S W / propensity` the gain is that what was not labelled is no evidence at all, neither for
nor against: an audit that fails, waits or is paused cannot pass for a right hit. Four constant bets share one
account: one of them is always near the best, and because they are constant the statement needs no stationarity.
`1 + x <= exp(x)` gives: with probability 1 - alpha there is no moment at which an account stands at 1/alpha and
the average of the risk so far (weighted by `rho`) is m or more, however the risk may drift. `rho <= propensity`
makes every bet legal. A bet depends on the past only, never on the request's own p.

**Which kappa.** A fixed grid, tested from strict to loose as in "Learn then Test" (Angelopoulos, Bates, Candès,
Jordan, Lei 2021), from three starts that share delta: at the strictest kappas there may be too few requests, at the
loosest too many wrong ones. The starts are fixed beforehand. A segment that is rejected whole hands its share on to
the next (the fallback procedure of Wiens and Dmitrienko 2005; several starts: Bauer 1991). So the probability that
any kappa over budget is ever certified in a stretch is at most delta if each kappa's risk stays on its side of the
budget; for one kappa alone whatever the drift.

**What is recent.** Two stretches of evidence overlap by half; the older one decides. It holds between `WINDOW / 2`
and `WINDOW` labels' worth (an audit at the smallest propensity in use, or a free label while nothing is served,
counts 1), at the beginning less. The guarantee is one per stretch: over a life of many stretches a share of up to
delta of them may certify wrongly. A stretch also ends when the route closes itself, and for one kappa when it was
found to be over budget. An account is capped, so that a long good time does not hide a change: what lies above the
cap is thrown away, which is always allowed.

**A sudden change** is found by an e-detector (Shin, Ramdas, Rinaldo: "E-detectors: a nonparametric framework for
sequential change detection", 2023), the Shiryaev-Roberts sum of bets against "the risk is within the budget", for
each kappa. It needs no baseline; false alarms are at least `ALARM` labels' worth apart on average.

**Complaints** are not chosen by chance. One is worth what is known of a hit without chance, `rho` instead of 1: it
stands for itself, not for the hits that nobody looked at. It is charged when an audit has found the hit wrong; what an
audit found right is not. Where nobody could find out it weighs the least share that is ever audited, and only so many
of one asker do. One asker's complaints about one answer group count once in a stretch.

**Labels.** The order of record() should be that of the decisions. A label that comes n audits late changes nothing in
the end, since what is not labelled has no weight. "unclear" is left out in one reading and counted wrong in the
other; "failed" is left out of both. Leaving out assumes that labels fail regardless of what they would have said.
Unclear ones do not, since a wrong answer to a near question is seldom plainly different: in the estimate, by which
kappa is chosen where nothing is certified, each wrong label stands for some of them (`HIDDEN`).
"""

import zlib
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import ceil, exp, floor, inf, log, sqrt
from typing import Final, Literal, Self

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.query import Start

Floats = NDArray[np.float64]
Label = Literal["right", "wrong", "unclear", "failed"]
"""`failed`: looked for and not obtained."""
Per = Literal["hit", "request"]
State = Literal["learning", "uncertified", "certified", "tightened", "exact-only"]
Alarm = Literal["drift", "over-budget", "unclear-gap", "stale", "restarted"]

KAPPAS: Final = tuple(round(1 - 0.5 * 0.002 ** (step / 23), 4) for step in range(24))
"""0.5 to 0.999; 1 - kappa falls by a quarter from one to the next."""
STARTS: Final = {bisect_right(KAPPAS, kappa) - 1: share for kappa, share in ((0.995, 0.4), (0.97, 0.35), (0.87, 0.25))}
"""Row of the grid where a fixed sequence starts -> its share of delta. Three places, since nobody knows beforehand how
many requests will reach which kappa: what a route has seen while it was young says little of that."""

UPPER_RATIOS: Final = np.array([0.05, 0.25, 0.5, 0.75])
UPPER_WEIGHTS: Final = np.array([0.25, 0.25, 0.3, 0.2])
"""A bet is stated as the ratio mu / m of the risk for which it is the best one. The first is the best for routes
without a wrong hit; other sets of four or five differ by less than a tenth in labels needed."""
LOWER_RATIOS: Final = np.array([1.5, 2.5, 6.0, 20.0])
LOWER_WEIGHTS: Final = np.array([0.25, 0.25, 0.25, 0.25])
_UPPER: Final = len(UPPER_RATIOS)
"""Columns of upper bets; lower ones follow."""
RISKS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The risks m that have accounts, in budgets. Bounds are among them, rounded to the safe side."""
_BUDGET: Final = RISKS.index(1.0)
CAP: Final = exp(6)
"""How far above the highest threshold an account may stand. At half the budget's risk chance hardly ever takes it
from the cap to the threshold; at twice the budget some hundred labels do."""
_DUST: Final = 1e-100
"""Less is not worth having, and numbers near the smallest float are slow."""

WINDOW: Final = 20_000
ALARM: Final = 10_000.0
STALE_HITS: Final = 2_000
"""After so many hits since the last clear label of one, a certificate is stale,"""
UNAUDITABLE_SHARE: Final = 0.1
"""and while so many of the latest ones, which is this share of them in the long run, were such that no audit could
reach: what audits of others say is no evidence of them."""
UNAUDITABLE_MEMORY: Final = STALE_HITS / UNAUDITABLE_SHARE
"""In hits, after which one weighs 1/e among the latest."""
AUDITS_MISSED: Final = 3.0
"""After as many hits as have so many audits on average, without a clear label, kappa is not loosened; by the share of
audits that was in force at each hit."""
MEMORY: Final = 2_000
"""Labels' worth after which a label weighs 1/e in the estimate."""
DEMAND_MEMORY: Final = 10_000
"""Likewise, in requests, for what the model expects."""
PRIOR_WRONG: Final = 1.0
"""The model's word weighs in the estimate like so many wrong labels at the rate that it expects: a gamma prior of this
shape, for wrong labels that come as a Poisson process."""
DISTRUST: Final = 2.0
DISTRUST_WRONG: Final = 3.0
"""After an alarm the model's word is replaced by so many budgets with so much weight: only labels lead back."""
HIDDEN: Final = 0.5
"""For each wrong label so many unclear ones are taken for wrong, if there are so many. Through the gateway, with a
support desk's answers, 40 audits said wrong, 33 of them rightly, while 26 of other wrong hits were unclear, as one in 6
of right ones; with answers of chat models 9 of 29 wrong ones were, and one in 100 of the others."""
SHIPPED_AT_MOST: Final = 0.05
"""The largest budget that a kappa is shipped for."""
PRIOR_REQUESTS: Final = 200
"""That the shipped kappa is expected to spend its budget, and a stricter one less in proportion to 1 - kappa, weighs as
many requests in what the model expects of a route."""
CAUTION: Final = 0.15
"""So many standard deviations are added to an estimate,"""
AIM: Final = 0.95
"""and without a certificate it is to be at most this share of the budget then."""
BEARABLE: Final = 1.2
"""Kappa is tightened when it is more than this one: between the two nothing moves."""
MARGIN: Final = 1.5
"""A looser kappa must stand so far above its threshold; one in force is kept down to the threshold."""
HOLD: Final = 100.0
"""After evidence has tightened kappa, it is not loosened for so many labels' worth,"""
STEP: Final = 20.0
"""and an uncertified one once for each so many: to the next looser one that fits, whose risk is that of all it would
serve."""
FIRST_AUDITS: Final[Mapping[Start, int]] = {"prior": 300, "closed": 1_500}
"""Before there is a certificate that serves enough, the first hits are all audited; then so many in the number of hits,
until that is the share of those without a certificate. A closed route has only its labels to open further with."""
CONTENT: Final = 0.9
"""A certified route that serves this share of what the estimate thinks possible is audited least."""
UNSETTLED_OF_ONE: Final = 5
"""So many complaints of one asker that nobody could settle are charged in a stretch of evidence,"""
COMPLAINTS_AT_MOST: Final = 10_000
"""and so many of all are counted."""
_RETHINK: Final = 50
"""Requests without a label after which tightening is looked at,"""
_RETHINK_RIGHT: Final = 4
"""and right labels after which loosening is. A wrong label counts at once."""
_ENOUGH: Final = 200.0
"""Labels after which an estimate alone may say that a kappa is over budget."""
_MANY: Final = 1_000.0
"""Labels after which an uncertified kappa is audited half as much."""


class Observation(Struct, frozen=True, gc=False):
    """One request with a semantic candidate. ValueError if a number is out of its range.

    `p` is the calibrated probability that the candidate is right. `propensity` is the probability with which its
    label was looked for, set before the answer was known and by nothing else than p and the past: 1 if it was not
    served (the fresh answer labels it), the audit's share if it was, 0 while audits are paused. `label` None means
    that chance did not choose it; with a propensity of 1 that cannot be, so it counts as "failed".
    """

    p: float
    propensity: float
    label: Label | None
    is_served: bool

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise ValueError(f"p must be within 0 and 1, not {self.p}.")
        if not 0 <= self.propensity <= 1:
            raise ValueError(f"propensity must be within 0 and 1, not {self.propensity}.")
        if self.propensity == 0 and self.label is not None:
            raise ValueError("A label needs the propensity with which it was looked for; see charge_complaint().")


class Terms(Struct, frozen=True):
    """What the operator states for a route. ValueError if a number is out of its range."""

    max_wrong: float = 0.01
    per: Per = "hit"
    start: Start = "closed"
    prior_kappa: float = 0.95
    """Where `start = prior` begins; the next stricter one of the grid is taken."""
    delta: float = 0.05
    audit_share: float = 0.05
    """The smallest share of hits to audit. A label with a smaller propensity is taken for a complaint."""
    audit_share_uncertified: float = 0.2
    window: int = WINDOW
    """Labels' worth; see above."""

    def __post_init__(self) -> None:
        if not 0 < self.max_wrong <= 0.2:
            raise ValueError(f"max_wrong must be above 0 and at most 0.2, not {self.max_wrong}.")
        if not 0 < self.delta <= 0.5:
            raise ValueError(f"delta must be above 0 and at most 0.5, not {self.delta}.")
        if not 0 <= self.prior_kappa <= KAPPAS[-1]:
            raise ValueError(f"prior_kappa must be within 0 and {KAPPAS[-1]}, not {self.prior_kappa}.")
        if not 0 < self.audit_share <= self.audit_share_uncertified <= 1:
            raise ValueError("audit_share must be above 0, and audit_share_uncertified between it and 1.")
        if self.window < 1_000:
            raise ValueError(f"window must be at least 1000, not {self.window}.")


class Certificate(Struct, frozen=True):
    """What is known of a route. Counts are those of the stretch of evidence in force.

    `estimate`, `bound`, `bound_with_unclear` and `lower` are wrong candidates per hit (or per request) at the kappa
    in force, over all its labels; while nothing is served, at the kappa that is nearest to a certificate. Each bound
    holds by itself at any time, at the level at which its kappa is tested. They are among `RISKS` times the budget.
    """

    kappa: float | None
    """None = nothing is served."""
    state: State
    is_certified: bool
    """Whether the kappa in force is certified now: also a tightened one may be."""
    is_stale: bool
    alarms: tuple[Alarm, ...]
    reason: str
    max_wrong: float
    per: Per
    requests: int
    hits: int
    audited: int
    """Hits with a clear label; `wrong` of them were wrong, `unclear` came on top."""
    wrong: int
    unclear: int
    failed: int
    free: int
    """Clear labels of requests that were not served; `free_wrong` of them were wrong, `free_unclear` came on top."""
    free_wrong: int
    complaints: int
    """Answers that askers called wrong: each asker and answer group once."""
    estimate: float | None
    bound: float
    bound_with_unclear: float
    lower: float
    free_unclear: int = 0
    unauditable: int = 0
    """Hits that no audit could reach, because there was no money for one."""


def bets(risks: Floats) -> Floats:
    """Coefficients of shape (risks, bets): upper ones are positive and win when right, lower ones negative.

    At full weight a wrong label multiplies by the bet's ratio, a right one by 1 + coefficient * risk. Lower ratios are
    cut so that no bet can lose all.
    """
    m = risks[:, None]
    lower = np.minimum(LOWER_RATIOS, 0.5 * (1 + m) / m)
    return np.concatenate([(1 - UPPER_RATIOS) / (1 - m), (1 - lower) / (1 - m)], axis=1)


def settle(wealth: Floats, gains: Floats, cap: float) -> None:
    """Pays out one bet, in place: `wealth` of shape (..., risks, bets), `gains` its factors."""
    wealth *= gains
    np.minimum(wealth, cap, out=wealth)
    np.maximum(wealth, _DUST, out=wealth)


def upper_bound(wealth: Floats, risks: Floats, level: float) -> float:
    """The smallest of `risks` that is refuted with all above it, at level alpha; 1 if none. Shape (risks, bets)."""
    stands = np.flatnonzero(wealth[:, :_UPPER] @ UPPER_WEIGHTS < 1 / level)
    above = int(stands[-1]) + 1 if len(stands) else 0
    return float(risks[above]) if above < len(risks) else 1.0


def lower_bound(wealth: Floats, risks: Floats, level: float) -> float:
    """The largest of `risks` that is refuted with all below it, at level alpha; 0 if none. Shape (risks, bets)."""
    stands = np.flatnonzero(wealth[:, _UPPER:] @ LOWER_WEIGHTS < 1 / level)
    below = int(stands[0]) if len(stands) else len(risks)
    return float(risks[below - 1]) if below else 0.0


def fixed_sequence(
    evidence: Sequence[float], shares: Mapping[int, float], delta: float
) -> tuple[list[bool], list[float]]:
    """Which kappas are certified, and the level each is tested at. `evidence` are e-values in the grid's order,
    `shares` those of delta by the row of each start. What is stricter than the strictest start is never certified."""
    certified = [False] * len(evidence)
    levels = [delta * min(shares.values(), default=min(STARTS.values()))] * len(evidence)
    level, goes_on = 0.0, False
    for row in range(max(shares, default=-1), -1, -1):
        if row in shares:
            level = delta * shares[row] + (level if goes_on else 0.0)
            goes_on = True
        levels[row] = level
        goes_on = goes_on and evidence[row] * level >= 1
        certified[row] = goes_on
    return certified, levels


def audit_propensity(p: float, share: float, max_wrong: float) -> float:
    """The probability with which to audit a hit: `share`, up to twice as much for a doubtful one.

    In proportion to sqrt(1 - p), which for a given number of audits has the least variance if p is right. Never less
    than `share`: the bets are as small as the smallest propensity in use, so going below would cost more than it saves.
    """
    return min(1.0, share * min(2.0, max(1.0, sqrt((1 - p) / max_wrong))))


def labels_to_go(account: Floats, coefficients: Floats, budget: float, wrong: float, target: float) -> float:
    """How many more labels bring an account against "the risk is the budget or more" to its target, if this share of
    them is wrong; infinite if no number does. `account` and `coefficients` are of its upper bets; wrong labels come
    evenly, so that each bet grows by the same factor with each label."""
    right, lost = np.log1p(coefficients * budget), np.log1p(-coefficients * (1 - budget))
    growth = (1 - wrong) * right + wrong * lost
    worth = np.log(np.maximum(account * UPPER_WEIGHTS, _DUST))

    def reaches(labels: float) -> bool:
        return bool(np.logaddexp.reduce(worth + labels * growth) >= log(target))

    if reaches(0):
        return 0.0
    if growth.max() <= 0:
        return inf
    enough = 1.0
    while not reaches(enough):
        enough *= 2
    few = 0.0  # the account is convex in the number of labels, so that it comes to its target once
    while enough - few > 0.5:
        half = (few + enough) / 2
        few, enough = (few, half) if reaches(half) else (half, enough)
    return enough


def rounded(number: float, to: Callable[[float], int]) -> int:
    """With two digits that count; `to` is `floor` or `ceil`."""
    unit = int(10 ** max(len(str(ceil(number))) - 2, 0))
    return to(number / unit) * unit


_VERSION: Final = 1
_NOTHING: Final = len(KAPPAS)
"""The row in force when nothing is served."""
_REALISED: Final = 0
"""The account of what was served, whatever kappa was; those of the kappas follow."""
_COUNTS: Final = tuple(
    "requests hits audited wrong unclear failed free free_wrong complaints free_unclear unauditable".split()
)


class _Snapshot(Struct, frozen=True):
    version: int
    fingerprint: bytes
    wealth: bytes
    signal: bytes
    demand: bytes
    labels: bytes
    distrust: bytes
    counts: list[list[int]]
    numbers: dict[str, float]
    alarm: Alarm | None
    complained: list[dict[str, set[int]]] = []
    unsettled: list[dict[str, int]] = []
    unclear: bytes = b""


class Certifier:
    """The evidence of one route and the kappa that follows from it. Serve iff p >= kappa.

    A label that speaks against a kappa never loosens it, and only a right one can. `model` names whatever p comes
    from: another model's evidence is not taken over. record() costs some 30 microseconds, without a label 3.
    One caller at a time.
    """

    def __init__(self, terms: Terms, model: str = "") -> None:
        self.terms = terms
        self._fingerprint = _fingerprint(terms, model)
        budget = terms.max_wrong
        self._risks = np.array([ratio * budget for ratio in RISKS if ratio * budget < 0.9])
        self._bets = bets(self._risks)
        self._cap = CAP / (terms.delta * min(STARTS.values()))
        self._promised = min(budget, SHIPPED_AT_MOST) * (1 - np.array(KAPPAS)) / (1 - terms.prior_kappa)
        self._begin()

    def _begin(self) -> None:
        # Two readings (unclear left out, unclear counted wrong), the rows, two stretches (older, younger), risks, bets.
        self._wealth = np.ones((2, 1 + len(KAPPAS), 2, *self._bets.shape))
        self._signal = np.zeros((len(KAPPAS), len(LOWER_RATIOS)))
        self._demand = np.zeros((2, len(KAPPAS)))  # with p >= kappa: requests, and the wrong ones expected
        self._labels = np.zeros((3, len(KAPPAS)))  # with p >= kappa: weights, those of wrong ones, squared weights
        self._unclear = np.zeros(len(KAPPAS))  # with p >= kappa: weights of unclear ones
        self._distrust = np.zeros(len(KAPPAS))  # 1 where the model's word counts no more
        self._all_requests = 0.0
        self._begin_counts()
        self._since_turn = 0.0
        self._since_label = 0  # hits
        self._missed = 0.0  # audits expected of them
        self._unauditable = 0.0  # of the latest hits
        self._since_thought = 0  # requests
        self._since_loosening = 0  # right labels
        self._hold = 0.0
        self._has_unclear = False
        self._is_paused = False
        self._is_tightened = False
        self._is_certified = False
        self._is_hopeless = False
        self._alarm: Alarm | None = None
        self._at = _NOTHING
        if self.terms.start == "prior":
            self._at = next(row for row, kappa in enumerate(KAPPAS) if kappa >= self.terms.prior_kappa)
        self._guarded = self._at  # the last row in force
        self._share = self._audit_share(self._at)

    def _begin_counts(self) -> None:
        self._counts = [dict.fromkeys(_COUNTS, 0) for _ in range(2)]
        self._complained: list[dict[str, set[int]]] = [{}, {}]  # asker -> what it complained of, in each stretch
        self._unsettled: list[dict[str, int]] = [{}, {}]  # asker -> its charged complaints that nobody could settle

    @property
    def kappa(self) -> float:
        """Serve iff p is at least this. Infinite = serve nothing."""
        return KAPPAS[self._at] if self._at < _NOTHING else inf

    @property
    def is_stale(self) -> bool:
        """Whether too many hits were served since the last audit with a clear label, or that no audit could reach."""
        return self._since_label >= STALE_HITS or self._unauditable >= STALE_HITS

    @property
    def _lacks_audits(self) -> bool:
        """Whether hits had no clear label for so long that audits must be failing: the labels of what is not served
        alone never loosen kappa."""
        return self.is_stale or self._missed > AUDITS_MISSED

    @property
    def state(self) -> State:
        """`learning`: closed, not certified yet. `exact-only`: the evidence is against every kappa."""
        if self._at == _NOTHING:
            is_refuted = self._alarm in ("drift", "over-budget") or self._is_hopeless
            return "learning" if self.terms.start == "closed" and not is_refuted else "exact-only"
        if self._is_tightened:
            return "tightened"
        return "certified" if self._is_certified else "uncertified"

    def audit_propensity(self, p: float) -> float:
        """The probability with which to audit a hit now. More while not certified, or while more could be served."""
        return audit_propensity(p, self._share, self.terms.max_wrong)

    def record(self, observation: Observation) -> None:
        """Takes one request with a candidate into account."""
        p, label, is_served = observation.p, observation.label, observation.is_served
        rows = bisect_right(KAPPAS, p)
        self._count("requests")
        self._all_requests += 1 - self._all_requests / DEMAND_MEMORY
        self._demand *= 1 - 1 / DEMAND_MEMORY
        self._demand[0, :rows] += 1
        self._demand[1, :rows] += 1 - p
        if is_served:
            self._count("hits")
            self._since_label += 1
            self._missed += observation.propensity or self._share
            self._is_paused = observation.propensity == 0
            self._unauditable += self._is_paused - self._unauditable / UNAUDITABLE_MEMORY
            if self._is_paused:
                self._count("unauditable")
        elif self._at == _NOTHING:
            self._is_paused = False  # what is not served labels itself, and that is all there is
        if label is None and (observation.propensity == 1 or not (is_served or observation.propensity)):
            label = "failed"
        if label == "failed":
            self._count("failed")
        elif label == "unclear":
            self._count("unclear" if is_served else "free_unclear")
        elif label is not None and is_served:
            self._count("audited")
            self._count("wrong", int(label == "wrong"))
        elif label is not None:
            self._count("free")
            self._count("free_wrong", int(label == "wrong"))
        if self._is_paused:  # the unserved alone are another population
            self._rethink()
        elif 0 < observation.propensity < self.terms.audit_share:
            self._complain(rows if label == "wrong" else 0, 1.0)
        else:
            rho = self._share if self._at < _NOTHING else 1.0
            if self.terms.per == "request":
                self._idle(rows, rho, is_served=is_served)
            if label is None:
                self._rethink()
            else:
                # A hit of before may have a smaller propensity than is in use now; its bet is made legal.
                weight = min(1.0, rho / (observation.propensity or 1.0))
                self._learn(label, rows, weight, is_served=is_served)

    def record_request(self) -> None:
        """Takes a request without a candidate into account: part of the whole where the budget is per request."""
        self._count("requests")
        self._all_requests += 1 - self._all_requests / DEMAND_MEMORY
        self._demand *= 1 - 1 / DEMAND_MEMORY
        is_closed = self._at == _NOTHING
        if self.terms.per == "request" and (is_closed or not self._is_paused):
            self._idle(0, 1.0 if is_closed else self._share, is_served=False)
        self._rethink()

    def record_complaint(self, by: str, about: int) -> bool:
        """Takes note that an asker called an answer of this group wrong; whether that counts. What it changes is said
        once it is settled, or cannot be: see charge_complaint()."""
        if about in self._complained[0].get(by, ()) or self._counts[0]["complaints"] >= COMPLAINTS_AT_MOST:
            return False
        for complained in self._complained:
            complained.setdefault(by, set()).add(about)
        self._count("complaints")
        return True

    def charge_complaint(self, p: float, by: str, *, is_settled: bool) -> None:
        """Takes a hit into account that was called wrong, and that an audit has found wrong, or nobody could settle.
        A wrong one counts as the one hit that it is, another as little as a hit ever does. Who complains is not chosen
        by chance, so it speaks against a kappa and never for one, and raises neither the lower bound nor an alarm."""
        if not is_settled:
            if self._unsettled[0].get(by, 0) >= UNSETTLED_OF_ONE:
                return
            for unsettled in self._unsettled:
                unsettled[by] = unsettled.get(by, 0) + 1
        self._complain(bisect_right(KAPPAS, p), self._share if is_settled else self.terms.audit_share)

    def forget(self) -> None:
        """Drops all evidence, as when the knowledge behind the answers was replaced. The route starts anew."""
        self._begin()

    def certificate(self) -> Certificate:
        """What is known now."""
        evidence = self._evidence()
        _, levels = fixed_sequence(evidence, STARTS, self.terms.delta)
        row = self._at
        if row == _NOTHING:
            row = max(range(len(KAPPAS)), key=lambda each: (evidence[each] * levels[each], each))
        account, other_reading = self._wealth[0, 1 + row, 0], self._accounts()[-1, 1 + row, 0]
        bound, with_unclear = (upper_bound(each, self._risks, levels[row]) for each in (account, other_reading))
        counts = self._counts[0]
        weight, wrong, _ = self._labels[:, row].tolist()
        estimate = wrong / weight if weight and self._all_requests else None
        if estimate is not None and self.terms.per == "request":
            estimate *= float(self._demand[0, row]) / self._all_requests
        alarms = self._alarms(counts, bound, with_unclear)
        return Certificate(
            kappa=KAPPAS[self._at] if self._at < _NOTHING else None,
            state=self.state,
            is_certified=self._is_certified,
            is_stale=self.is_stale,
            alarms=alarms,
            reason=self._reason(KAPPAS[row], bound, alarms),
            max_wrong=self.terms.max_wrong,
            per=self.terms.per,
            **counts,
            estimate=estimate,
            bound=bound,
            bound_with_unclear=with_unclear,
            lower=lower_bound(account, self._risks, levels[row]),
        )

    def snapshot(self) -> bytes:
        """All that restore() needs: 2 to 100 kB, the more the more has happened."""
        state = _Snapshot(
            version=_VERSION,
            fingerprint=self._fingerprint,
            wealth=self._wealth.tobytes(),
            signal=self._signal.tobytes(),
            demand=self._demand.tobytes(),
            labels=self._labels.tobytes(),
            unclear=self._unclear.tobytes(),
            distrust=self._distrust.tobytes(),
            counts=[[counts[name] for name in _COUNTS] for counts in self._counts],
            numbers={name: float(getattr(self, name)) for name in _NUMBERS},
            alarm=self._alarm,
            complained=self._complained,
            unsettled=self._unsettled,
        )
        return zlib.compress(msgspec.msgpack.encode(state), 1)

    @classmethod
    def restore(cls, data: bytes, terms: Terms, model: str = "") -> Self:
        """The certifier of the snapshot. If that is damaged, of another version, or made for other terms or another
        model, the route starts anew and says so: old evidence says nothing about new terms."""
        certifier = cls(terms, model)
        try:
            state = msgspec.msgpack.decode(zlib.decompress(data), type=_Snapshot)
            if (state.version, state.fingerprint) != (_VERSION, certifier._fingerprint):
                raise ValueError("another version, other terms or another model")
            arrays = {
                name: np.frombuffer(getattr(state, name)).reshape(getattr(certifier, f"_{name}").shape).copy()
                for name in ("wealth", "signal", "demand", "labels", "distrust")
            }
            if state.unclear:
                arrays["unclear"] = np.frombuffer(state.unclear).copy()
            # What is counted since a later version was not counted before.
            counts = [dict.fromkeys(_COUNTS, 0) | dict(zip(_COUNTS, each, strict=False)) for each in state.counts]
            known = {"_unauditable": 0.0, "_missed": 0.0} | state.numbers
            numbers = {name: kind(known[name]) for name, kind in _NUMBERS.items()}
        except (zlib.error, msgspec.MsgspecError, ValueError, KeyError):
            certifier._alarm = "restarted"
            return certifier
        for name, array in arrays.items():
            setattr(certifier, f"_{name}", array)
        for name, number in numbers.items():
            setattr(certifier, name, number)
        certifier._counts = counts
        certifier._complained = state.complained or certifier._complained
        certifier._unsettled = state.unsettled or certifier._unsettled
        certifier._alarm = state.alarm
        return certifier

    def _count(self, name: str, by: int = 1) -> None:
        self._counts[0][name] += by
        self._counts[1][name] += by

    def _evidence(self) -> list[float]:
        """For each kappa, the account against "its risk is the budget or more"."""
        accounts: list[float] = (self._wealth[0, 1:, 0, _BUDGET, :_UPPER] @ UPPER_WEIGHTS).tolist()
        return accounts

    def _idle(self, rows: int, rho: float, *, is_served: bool) -> None:
        """Per request, a request that a kappa would not serve is surely not served wrongly."""
        gains = 1 + self._bets * (rho * self._risks[:, None])
        for reading in self._accounts():
            settle(reading[1 + rows :], gains, self._cap)
            if not is_served:
                settle(reading[_REALISED], gains, self._cap)
        self._signal[rows:] *= gains[_BUDGET, _UPPER:]

    def _learn(self, label: Label, rows: int, weight: float, *, is_served: bool) -> None:
        reach = slice(_REALISED if is_served else 1, 1 + rows)
        is_clear = label == "right" or label == "wrong"
        if is_clear:
            gains = 1 + self._bets * (weight * (self._risks[:, None] - (label == "wrong")))
            for reading in self._accounts():
                settle(reading[reach], gains, self._cap)
            self._signal[:rows] += weight
            self._signal[:rows] *= gains[_BUDGET, _UPPER:]
            self._weigh(rows, weight, is_wrong=label == "wrong")
            if is_served:
                self._since_label, self._missed = 0, 0.0
        else:
            self._leave_out(reach, weight, is_unclear=label == "unclear")
        self._since_turn += weight
        self._hold -= weight
        is_turn = self._since_turn >= self.terms.window / 2
        if is_turn:
            self._turn()
        if label == "wrong" and self._is_alarmed():
            return
        self._since_loosening += label == "right"
        if self._since_loosening >= _RETHINK_RIGHT:
            self._since_loosening = 0
            self._decide(can_loosen=True)
        elif label == "wrong" or is_turn:
            self._decide(can_loosen=False)

    def _accounts(self) -> Floats:
        """The readings that differ."""
        return self._wealth if self._has_unclear else self._wealth[:1]

    def _leave_out(self, reach: slice, weight: float, *, is_unclear: bool) -> None:
        if is_unclear and not self._has_unclear:
            self._wealth[1] = self._wealth[0]
            self._has_unclear = True
        out_of = self._accounts()[: 1 if is_unclear else 2]
        if self.terms.per == "request":
            # What is missing is charged what it would take from the sure gains of the unserved if the risk were m:
            # m over the share of requests that are hits. Per hit that share is 1, and nothing moves.
            served = self._demand[0, min(self._at, _NOTHING - 1)]
            share = np.maximum(np.concatenate([[served], self._demand[0]]) / self._all_requests, 1e-3)
            loss = np.minimum(1.0, self._risks[:, None] / share[reach, None, None, None])
            gains = 1 + self._bets * (weight * (self._risks[:, None] - loss))
            for reading in out_of:
                settle(reading[reach], gains, self._cap)
        if is_unclear:
            self._unclear[: reach.stop - 1] += weight
            settle(self._wealth[1, reach], 1 - self._bets * (weight * (1 - self._risks[:, None])), self._cap)

    def _complain(self, rows: int, weight: float) -> None:
        if rows:
            gains = (1 - self._bets * (weight * (1 - self._risks[:, None])))[:, :_UPPER]
            for reading in self._accounts():
                settle(reading[1 : 1 + rows, :, :, :_UPPER], gains, self._cap)
            self._weigh(rows, weight, is_wrong=True, of_one=1.0)
        self._decide(can_loosen=False)

    def _weigh(self, rows: int, weight: float, *, is_wrong: bool, of_one: float | None = None) -> None:
        """`of_one` is what a whole label of this kind weighs: a small one of a sample is whole, a complaint is not."""
        self._labels *= 1 - weight / MEMORY
        self._unclear *= 1 - weight / MEMORY
        self._labels[:, :rows] += np.array([[weight], [weight * is_wrong], [weight * (of_one or weight)]])

    def _open_accounts(self) -> None:
        """Both stretches begin."""
        self._wealth[:] = 1.0
        self._has_unclear = False

    def _turn(self) -> None:
        """The younger stretch takes over."""
        self._wealth[:, :, 0] = self._wealth[:, :, 1]
        self._wealth[:, :, 1] = 1.0
        self._counts = [self._counts[1], dict.fromkeys(_COUNTS, 0)]
        self._complained = [self._complained[1], {}]
        self._unsettled = [self._unsettled[1], {}]
        self._since_turn = 0.0
        self._is_tightened = False

    def _is_alarmed(self) -> bool:
        """Closes the route if what it serves has become too wrong."""
        alarmed = self._signal @ LOWER_WEIGHTS >= ALARM
        realised = float(self._wealth[0, _REALISED, 0, _BUDGET, _UPPER:] @ LOWER_WEIGHTS)
        if self._guarded < _NOTHING and alarmed[self._guarded]:
            self._close("drift")
        elif self._at < _NOTHING and realised * self.terms.delta >= 1:
            self._close("over-budget")
        else:
            # A kappa that is not in force begins its evidence anew, so that it can recover.
            self._signal[alarmed] = 0.0
            self._wealth[:, 1:][:, alarmed] = 1.0
            if self._at == _NOTHING and alarmed.any():
                self._labels[:, alarmed] = 0.0
                self._unclear[alarmed] = 0.0
                self._distrust[alarmed] = 1.0
            return False
        return True

    def _close(self, alarm: Alarm) -> None:
        """Everything known so far is of a time that is over."""
        self._open_accounts()
        self._signal[:] = 0.0
        self._labels[:] = 0.0
        self._unclear[:] = 0.0
        self._begin_counts()
        self._since_turn = self._hold = 0.0
        self._is_tightened = self._is_certified = self._is_hopeless = False
        self._distrust[:] = 1.0
        self._alarm = alarm
        self._at = self._guarded = _NOTHING
        self._since_label, self._missed, self._unauditable = 0, 0.0, 0.0

    def _rethink(self) -> None:
        self._since_thought += 1
        if self._since_thought >= _RETHINK:
            self._decide(can_loosen=False)

    def _estimates(self) -> tuple[list[float], list[float]]:
        """For each kappa the estimated risk, and a cautious one."""
        requests, expected = self._demand
        shares = np.ones(len(KAPPAS))  # of the requests that the budget is for
        if self.terms.per == "request":
            shares = (requests + PRIOR_REQUESTS) / (self._all_requests + PRIOR_REQUESTS)
        expects = (expected + PRIOR_REQUESTS * self._promised) / (requests + PRIOR_REQUESTS)
        weight, wrong, squares = self._labels
        per_weight = weight / np.maximum(squares, 1e-12)  # makes weights effective numbers of labels
        hidden = np.minimum(HIDDEN * wrong, self._unclear)
        weight, wrong = weight + hidden, wrong + hidden
        means, cautious = [], []
        error = 1.0  # by how much the model errs at the next looser kappa
        for expect, share, number, wrongs, distrust in zip(
            expects.tolist(),
            shares.tolist(),
            (weight * per_weight).tolist(),
            (wrong * per_weight).tolist(),
            self._distrust.tolist(),
            strict=True,
        ):
            believed, shape = expect * error, PRIOR_WRONG
            if distrust:
                believed, shape = max(believed, DISTRUST * self.terms.max_wrong / share), DISTRUST_WRONG
            mean = (shape + wrongs) / (shape / believed + number)
            error = max(1.0, mean / expect)
            means.append(mean * share)
            cautious.append(mean * share * (1 + CAUTION / sqrt(shape + wrongs)))
        return means, cautious

    def _decide(self, *, can_loosen: bool) -> None:
        self._since_thought = 0
        evidence = self._evidence()
        certified, levels = fixed_sequence(evidence, STARTS, self.terms.delta)
        estimates, cautious = self._estimates()
        fits = [each <= AIM * self.terms.max_wrong for each in cautious]
        before = self._at
        if before < _NOTHING and not certified[before]:
            self._at = self._fall_back(certified, fits, cautious[before])
            if self._at > before and self._labels[1, before]:  # else out of caution alone
                self._hold = HOLD
                self._is_tightened = self._at < _NOTHING
        possible = next((row for row, fit in enumerate(fits) if fit), _NOTHING)
        if can_loosen and not self._lacks_audits and self._at == before:
            sure = [
                each and value * level >= MARGIN for each, value, level in zip(certified, evidence, levels, strict=True)
            ]
            self._at = self._loosen(sure, fits, possible)
            if self._at < before:
                self._is_tightened = False
                self._alarm = None
        if self._at == _NOTHING:
            self._since_label, self._missed, self._unauditable = 0, 0.0, 0.0
            self._is_certified = False
            self._is_hopeless = self._is_refuted(estimates)
            return
        self._guarded = self._at
        self._is_certified = certified[self._at]
        if self._is_certified:
            self._distrust[:] = 0.0
        self._share = self._audit_share(possible)

    def _is_refuted(self, estimates: list[float]) -> bool:
        """Whether each kappa that something is known of is over budget, one that many requests reach among them."""
        known = ((self._labels[0] >= _ENOUGH) | (self._distrust > 0)).tolist()
        over = [estimate > self.terms.max_wrong for estimate in estimates]
        starting = min(STARTS)
        return known[starting] and over[starting] and all(over[row] for row in range(len(KAPPAS)) if known[row])

    def _fall_back(self, certified: list[bool], fits: list[bool], estimate: float) -> int:
        """The row to serve at when the one in force is not certified (any more). Never a looser one."""
        here = self._at
        stricter = range(here + 1, _NOTHING)
        best = next((row for row in stricter if certified[row]), _NOTHING)
        if self.terms.start == "closed":
            return best
        if self._is_certified and best < _NOTHING:
            return best
        if estimate <= BEARABLE * self.terms.max_wrong:
            return here
        return min(best, next((row for row in stricter if fits[row]), _NOTHING))

    def _loosen(self, sure: list[bool], fits: list[bool], possible: int) -> int:
        """The row to serve at after one more right label. Never a stricter one."""
        here = self._at
        best = next((row for row, each in enumerate(sure) if each), _NOTHING)
        if here < _NOTHING and self._hold > 0:
            return here
        if self.terms.start == "closed":
            return min(here, best)
        if best < here:
            return best
        if here == _NOTHING:
            return possible
        looser = next((row for row in range(here - 1, -1, -1) if fits[row]), here)
        if looser < here:
            self._hold = STEP
        return looser

    def _is_content(self, row: int, possible: int) -> bool:
        """Whether serving at this row serves most of what is thought possible."""
        return possible >= row or float(self._demand[0, row]) >= CONTENT * float(self._demand[0, possible])

    def _audit_share(self, possible: int) -> float:
        if self._is_certified and self._is_content(self._at, possible):
            return self.terms.audit_share
        few = self.terms.audit_share_uncertified
        if self._at < _NOTHING and self._labels[0, self._at] >= _MANY:
            return sqrt(self.terms.audit_share * few)
        return max(few, min(1.0, FIRST_AUDITS[self.terms.start] / max(self._counts[0]["hits"], 1)))

    def _alarms(self, counts: dict[str, int], bound: float, with_unclear: float) -> tuple[Alarm, ...]:
        alarms: list[Alarm] = [self._alarm] if self._alarm else []
        unclear = counts["unclear"] + counts["free_unclear"]
        labels = counts["audited"] + counts["free"] + unclear
        if bound <= self.terms.max_wrong < with_unclear or (labels >= 20 and unclear > 0.1 * labels):
            alarms.append("unclear-gap")
        if self.is_stale:
            alarms.append("stale")
        return tuple(alarms)

    def _reason(self, shown: float, bound: float, alarms: tuple[Alarm, ...]) -> str:
        budget = f"{self.terms.max_wrong:.2%} wrong per {self.terms.per}"
        prospect = self._prospect() if self.state == "learning" else ""
        said = {
            "learning": f"Nothing is served semantically until {budget} is certified; fresh answers tell meanwhile "
            f"whether stored ones would have been right.{prospect}",
            "exact-only": f"The evidence is against {budget} at any kappa; requests go upstream, and their answers are "
            "new evidence.",
            "uncertified": f"Served on an estimate from kappa {shown} on: {budget} is not certified yet.",
            "certified": f"From kappa {shown} on at most {bound:.2%} are wrong, which keeps {budget}.",
            "tightened": f"Labels spoke against a looser rule; now only kappa {shown} and above is served, "
            + ("certified." if self._is_certified else "not certified."),
        }[self.state]
        sayings = _SAYINGS if self._since_label >= STALE_HITS else {**_SAYINGS, "stale": _UNREACHED}
        return " ".join([said, *(sayings[alarm] for alarm in alarms)])

    def _prospect(self) -> str:
        """How far a closed route is from its first certificate, at the rate of wrong labels so far: at that start of
        the grid which would be reached first. Nothing, where no label has come yet."""
        weight, wrong, _ = self._labels.tolist()
        _, levels = fixed_sequence(self._evidence(), STARTS, self.terms.delta)
        prospects = []
        for row in STARTS:
            rate = wrong[row] / max(weight[row], 1.0)
            if self.terms.per == "request":  # each is evidence, also one that is below this kappa
                served, labels_each = (self._demand[0, [row, 0]] / max(self._all_requests, 1.0)).tolist()
                rate *= served
            elif weight[row] >= 1:
                labels_each = weight[0] / weight[row]
            else:
                continue
            more = self._more(row, rate, MARGIN / levels[row])
            is_endless = more * labels_each > self.terms.window / 2  # no stretch is sure to hold more
            prospects.append((is_endless, more * labels_each, more, row))
        if not prospects or weight[0] < 1:
            return ""
        is_endless, _, more, row = min(prospects)
        counted = "more requests" if self.terms.per == "request" else "more"
        at_least = f"at least {max(rounded(self._more(row, 0.0, 1 / levels[row]), floor), 1):,}"
        share = f"{wrong[row] / weight[row]:.2%} were" if wrong[row] else "none was"
        said = f" Of the latest labels at kappa {KAPPAS[row]} or above ({weight[row]:,.0f}) {share} wrong; "
        if not wrong[row]:
            return f"{said}it takes {at_least} {counted}."
        if is_endless:
            return f"{said}at this rate there is no end in sight, and it takes {at_least} {counted}."
        return f"{said}at this rate it takes about {rounded(more, ceil):,} {counted}, {at_least}."

    def _more(self, row: int, wrong: float, target: float) -> float:
        account = self._wealth[0, 1 + row, 0, _BUDGET, :_UPPER]
        return labels_to_go(account, self._bets[_BUDGET, :_UPPER], self.terms.max_wrong, wrong, target)


_SAYINGS: Final[dict[Alarm, str]] = {
    "drift": "Audits found that right answers have become wrong: all older evidence was dropped.",
    "over-budget": "More hits were wrong than allowed: all older evidence was dropped.",
    "unclear-gap": "Many labels are unclear: counted wrong, they would change the picture.",
    "stale": f"No audit has had a clear label for {STALE_HITS} hits: kappa can only become stricter.",
    "restarted": "The saved evidence was made for other terms or cannot be read: it was dropped.",
}
_UNREACHED: Final = (
    f"Of the latest hits {STALE_HITS} or more could not be audited, and audits of others say nothing of them: kappa "
    "can only become stricter."
)
_NUMBERS: Final[dict[str, type[float] | type[int] | type[bool]]] = {
    "_all_requests": float,
    "_since_turn": float,
    "_since_label": int,
    "_missed": float,
    "_unauditable": float,
    "_since_thought": int,
    "_since_loosening": int,
    "_hold": float,
    "_has_unclear": bool,
    "_is_paused": bool,
    "_is_tightened": bool,
    "_is_certified": bool,
    "_is_hopeless": bool,
    "_at": int,
    "_guarded": int,
    "_share": float,
}


def _fingerprint(terms: Terms, model: str) -> bytes:
    """Of everything that gives old accounts their meaning."""
    meaning = (terms, model, KAPPAS, STARTS, RISKS, UPPER_RATIOS.tolist(), LOWER_RATIOS.tolist())
    return blake2b(msgspec.msgpack.encode(meaning), digest_size=16).digest()
