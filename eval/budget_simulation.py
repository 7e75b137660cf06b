"""Budgets in a simulated period: what pacing, ladders and fixed choices make of the same requests and the same cap.

Owns arrivals, the policies that are compared, and the figures with their intervals. The pacer and the budgets are
production's own. Money is in nano-dollars; estimates of quality and cost come from whoever calls.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from eval.router import TIERS, Bench, Split, estimated, halves, taught
from router.budgets import NO_LADDER, Budget, Budgets, Ladder, Step
from router.catalogue import Tier
from router.errors import BudgetExceeded
from router.money import NANO_PER_USD
from router.pacing import Hourly, learned, score
from router.periods import Calendar, Unit
from router.quality import Traits

Pattern = Literal["uniform", "front-loaded", "bursty"]
PATTERNS: Final[tuple[Pattern, ...]] = ("uniform", "front-loaded", "bursty")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NOW: Final[dict[Unit, datetime]] = {
    "day": datetime(2026, 3, 3, tzinfo=UTC),
    "week": datetime(2026, 3, 2, tzinfo=UTC),
    "month": datetime(2026, 3, 1, tzinfo=UTC),
}
_STEPS: Final = 2000
_BURSTS: Final = 6
_IN_BURSTS: Final = 0.8
_BURST_WIDTH: Final = 0.01
_RESAMPLES: Final = 2000


class Requests(Struct, frozen=True):
    """One row for each request, one column for each tier from economy to premium."""

    prompt: Ints
    """Which prompt it is: a prompt may be in the test half of several splits."""
    quality: Floats
    """As estimated, from 0 to 1; `cost_nano` likewise."""
    cost_nano: Floats
    reward: Floats
    """As judged; `charged_nano` is what it really costs."""
    charged_nano: Ints

    def __len__(self) -> int:
        return len(self.prompt)

    def shuffled(self, chance: np.random.Generator) -> "Requests":
        order = chance.permutation(len(self))
        return Requests(*(getattr(self, name)[order] for name in self.__struct_fields__))


class Outcome(Struct, frozen=True):
    """What became of one period's requests, in the order of `prompt`."""

    prompt: Ints
    reward: Floats
    """0 where refused."""
    refused: int
    spent_nano: int
    cap_nano: int
    premium: int
    """How many were answered by premium; `mid` likewise."""
    mid: int

    @property
    def spent(self) -> float:
        return self.spent_nano / self.cap_nano


# --- arrivals -----------------------------------------------------------------------------------------------------


def arrivals(
    pattern: Pattern, count: int, calendar: Calendar, at: datetime, chance: np.random.Generator
) -> list[datetime]:
    """Times of `count` requests in the period of `at`, in order, drawn from the pattern's density."""
    span = calendar.span(at)
    density = _density(pattern)
    steps = np.sort(chance.choice(_STEPS, count, p=density) + chance.random(count)) / _STEPS
    return [span.start + float(step) * (span.end - span.start) for step in steps]


def _density(pattern: Pattern) -> Floats:
    """Which part of the arrivals each of equally long steps of a period gets."""
    middle = (np.arange(_STEPS) + 0.5) / _STEPS
    if pattern == "front-loaded":
        density = np.exp(-middle / 0.25)
    elif pattern == "bursty":
        # The same bursts in every period.
        bursts = np.random.default_rng(11).random(_BURSTS) * (1 - _BURST_WIDTH)
        inside = np.any([(burst <= middle) & (middle < burst + _BURST_WIDTH) for burst in bursts], axis=0)
        density = np.where(inside, _IN_BURSTS / inside.sum(), (1 - _IN_BURSTS) / (~inside).sum())
    else:
        density = np.ones(_STEPS)
    return np.asarray(density / density.sum())


# --- policies -----------------------------------------------------------------------------------------------------

Choice = Callable[[Budgets, Requests, int, datetime], Sequence[int]]
"""Columns in the order in which they are tried, for one request that comes now."""

NAME: Final = "organisation"


class Policy(Struct, frozen=True):
    name: str
    budget: Callable[[int, Calendar], Budget]
    choice: Choice
    prepare: Callable[[Budgets, "Setting"], None] = lambda budgets, setting: None
    worst_cases: bool = True
    """Whether it must reserve the dearest answer ever seen; the others are told what the answer will cost."""


class Setting(Struct, frozen=True):
    """One simulated period and the one before it."""

    earlier: Requests
    earlier_times: Sequence[datetime]
    now: Requests
    times: Sequence[datetime]
    calendar: Calendar
    cap_nano: int
    worst_nano: Sequence[int]


def _paced(cap_nano: int, calendar: Calendar) -> Budget:
    on_pace = Ladder(*(Step(used, unless_on_pace=True) for used in (0.8, 0.8, 0.95)))
    return Budget(NAME, cap_nano, calendar, on_pace, is_paced=True)


def _capped(cap_nano: int, calendar: Calendar) -> Budget:
    return Budget(NAME, cap_nano, calendar, NO_LADDER)


def _laddered(cap_nano: int, calendar: Calendar) -> Budget:
    return Budget(NAME, cap_nano, calendar, Ladder(Step(2.0), Step(0.8), Step(0.95)))


def _by_pace(budgets: Budgets, requests: Requests, row: int, at: datetime) -> Sequence[int]:
    quality, cost = requests.quality[row], requests.cost_nano[row]
    pressure = budgets.pressure((NAME,), at)
    budgets.saw((NAME,), quality.tolist(), cost.tolist(), at)
    allowed = [column for column, tier in enumerate(TIERS) if pressure.ceiling is None or tier <= pressure.ceiling]
    return sorted(allowed, key=lambda column: -score(quality[column], cost[column], pressure.price))


def _by_ladder(budgets: Budgets, requests: Requests, row: int, at: datetime) -> Sequence[int]:
    ceiling = budgets.ceiling((NAME,), at)
    return [len(TIERS) - 1 if ceiling is None else TIERS.index(ceiling)]


def _always(column: int) -> Choice:
    return lambda budgets, requests, row, at: [column]


def _at_price(price: float) -> Choice:
    def choice(budgets: Budgets, requests: Requests, row: int, at: datetime) -> Sequence[int]:
        worth = requests.quality[row] - price * requests.cost_nano[row]
        return [int(column) for column in np.argsort(-worth, kind="stable")]

    return choice


def _has_seen_a_period(budgets: Budgets, setting: Setting) -> None:
    """Lets the pacer live through the period before, then learn its arrivals as from the ledger."""
    for row, at in enumerate(setting.earlier_times):
        budgets.saw((NAME,), setting.earlier.quality[row].tolist(), setting.earlier.cost_nano[row].tolist(), at)
    profile = learned(hourly(setting.earlier_times), setting.calendar, setting.calendar.span(setting.times[0]).start)
    budgets.learn(NAME, profile, setting.times[0])


def hourly(times: Sequence[datetime]) -> Iterator[Hourly]:
    """Arrivals as the ledger counts them."""
    counts: dict[datetime, int] = {}
    for at in times:
        hour = at.replace(minute=0, second=0, microsecond=0)
        counts[hour] = counts.get(hour, 0) + 1
    return (Hourly(hour, count) for hour, count in sorted(counts.items()))


def policies(setting: Setting) -> Iterator[Policy]:
    """Ours, and what it is compared with. All but ours are told in advance what an answer costs, so that they can
    use a cap to the end."""
    yield Policy("paced", _paced, _by_pace, _has_seen_a_period)
    yield Policy("paced, nothing seen before", _paced, _by_pace)
    yield Policy("premium, then cap", _capped, _always(2), worst_cases=False)
    yield Policy("ladder 80/95 %", _laddered, _by_ladder, worst_cases=False)
    yield Policy("always mid", _capped, _always(1), worst_cases=False)
    yield Policy("always economy", _capped, _always(0), worst_cases=False)
    for name, known in (("best static, fitted before", setting.earlier), ("best static, in hindsight", setting.now)):
        yield Policy(name, _capped, _at_price(static_price(known, setting)), worst_cases=False)


def static_price(known: Requests, setting: Setting) -> float:
    """The one price at which these requests would have spent the cap."""
    target = setting.cap_nano / len(setting.now)
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        best = np.argmax(known.quality - middle * known.cost_nano, axis=1)
        if known.charged_nano[np.arange(len(known)), best].mean() > target:
            low = middle
        else:
            high = middle
    return high


# --- one period -----------------------------------------------------------------------------------------------------


def simulate(policy: Policy, setting: Setting) -> Outcome:
    """Sends one period's requests through a budget, one after the other."""
    budgets = Budgets([policy.budget(setting.cap_nano, setting.calendar)])
    policy.prepare(budgets, setting)
    requests = setting.now
    reward, served = np.zeros(len(requests)), np.zeros(len(TIERS) + 1, dtype=np.int64)
    for row, at in enumerate(setting.times):
        served[column := _serve(policy, setting, budgets, row, at)] += 1
        if column >= 0:
            reward[row] = requests.reward[row, column]
    budget = next(iter(budgets))
    account = budgets.account(budget, setting.times[-1])
    assert account.reserved_nano == 0
    assert account.spent_nano <= budget.cap_nano
    order = np.argsort(requests.prompt)
    return Outcome(
        prompt=requests.prompt[order],
        reward=reward[order],
        refused=int(served[-1]),
        spent_nano=account.spent_nano,
        cap_nano=setting.cap_nano,
        premium=int(served[2]),
        mid=int(served[1]),
    )


def _serve(policy: Policy, setting: Setting, budgets: Budgets, row: int, at: datetime) -> int:
    """Which column answered, -1 if the request was refused."""
    requests = setting.now
    for column in policy.choice(budgets, requests, row, at):
        charged = int(requests.charged_nano[row, column])
        worst = setting.worst_nano[column] if policy.worst_cases else charged
        try:
            held = budgets.reserve((NAME,), worst, at, expected_nano=int(requests.cost_nano[row, column]))
        except BudgetExceeded:
            continue
        budgets.settle(held, charged)
        return column
    return -1


# --- real requests ----------------------------------------------------------------------------------------------------


def from_bench(bench: Bench, seen: Sequence[Traits], seed: int) -> tuple[Requests, Requests]:
    """An earlier period and the one that is simulated: two halves of the data. The later half is estimated by what was
    learned from the earlier one; of that, each half is estimated by what was learned from its other half."""
    train, test = halves(len(bench), seed)
    first, second = train[: len(train) // 2], train[len(train) // 2 :]
    earlier = [
        estimated(bench, seen, rows, taught(bench, seen, others)) for rows, others in ((first, second), (second, first))
    ]
    return _requests(*earlier), _requests(estimated(bench, seen, test, taught(bench, seen, train)))


def _requests(*parts: Split) -> Requests:
    def joined(name: str) -> Floats:
        return np.concatenate([getattr(part, name) for part in parts])

    nano = NANO_PER_USD
    return Requests(
        prompt=joined("rows").astype(np.int64),
        quality=joined("q"),
        cost_nano=joined("expected_cost") * nano,
        reward=joined("reward"),
        charged_nano=np.rint(joined("cost") * nano).astype(np.int64),
    )


# --- many periods, and what can be said of them ----------------------------------------------------------------------


class Interval(Struct, frozen=True):
    value: float
    low: float
    high: float


class Result(Struct, frozen=True):
    """One policy under one budget and one pattern, over all splits. Intervals have 95 %: prompts are drawn again."""

    policy: str
    pattern: Pattern
    budget_share: float
    quality: Interval
    over_mid: Interval
    """The paired difference to always asking mid, had that a budget that is large enough."""
    refused_share: float
    spent_least: float
    """Of the cap, in the split that spent least; `spent_most` likewise."""
    spent_mean: float
    spent_most: float
    premium_share: float
    mid_share: float


def run(
    splits: Sequence[tuple[Requests, Requests]],
    budget_shares: Sequence[float],
    patterns: Sequence[Pattern] = PATTERNS,
    unit: Unit = "week",
    growth: float = 1.0,
    progress: Callable[[], None] = lambda: None,
) -> list[Result]:
    """Every policy under every budget (as a share of what premium alone would cost) and pattern. A split is an earlier
    period's requests and those of the simulated one; the earlier period had 1 / `growth` times as many."""
    found = []
    for share in budget_shares:
        for pattern in patterns:
            outcomes: dict[str, list[Outcome]] = {}
            mids: list[Floats] = []
            for seed, (earlier, now) in enumerate(splits):
                setting = _setting(earlier, now, share, pattern, unit, growth, seed)
                mids.append(setting.now.reward[np.argsort(setting.now.prompt), TIERS.index(Tier.MID)])
                for policy in policies(setting):
                    outcomes.setdefault(policy.name, []).append(simulate(policy, setting))
                progress()
            found += [_result(name, pattern, share, each, mids) for name, each in outcomes.items()]
    return found


def _setting(
    earlier: Requests, now: Requests, share: float, pattern: Pattern, unit: Unit, growth: float, seed: int
) -> Setting:
    chance = np.random.default_rng([seed, PATTERNS.index(pattern), 5])
    calendar = Calendar(unit)
    at = _NOW[unit]
    before = calendar.span(at).start - timedelta(microseconds=1)
    earlier, now = earlier.shuffled(chance), now.shuffled(chance)
    count = round(len(earlier) / growth)
    earlier = Requests(*(getattr(earlier, name)[:count] for name in Requests.__struct_fields__))
    charged = np.concatenate([earlier.charged_nano, now.charged_nano])
    return Setting(
        earlier=earlier,
        earlier_times=arrivals(pattern, len(earlier), calendar, before, chance),
        now=now,
        times=arrivals(pattern, len(now), calendar, at, chance),
        calendar=calendar,
        cap_nano=int(share * int(now.charged_nano[:, TIERS.index(Tier.PREMIUM)].sum())),
        worst_nano=[int(worst) for worst in charged.max(0)],
    )


def _result(name: str, pattern: Pattern, share: float, outcomes: Sequence[Outcome], mids: Sequence[Floats]) -> Result:
    rewards = [outcome.reward for outcome in outcomes]
    over = [reward - mid for reward, mid in zip(rewards, mids, strict=True)]
    prompts = [outcome.prompt for outcome in outcomes]
    total = sum(map(len, rewards))
    spent = [outcome.spent for outcome in outcomes]
    return Result(
        policy=name,
        pattern=pattern,
        budget_share=share,
        quality=by_prompt(prompts, rewards),
        over_mid=by_prompt(prompts, over),
        refused_share=sum(outcome.refused for outcome in outcomes) / total,
        spent_least=min(spent),
        spent_mean=sum(spent) / len(spent),
        spent_most=max(spent),
        premium_share=sum(outcome.premium for outcome in outcomes) / total,
        mid_share=sum(outcome.mid for outcome in outcomes) / total,
    )


def by_prompt(prompts: Sequence[Ints], values: Sequence[Floats]) -> Interval:
    """The mean over all splits. Splits share prompts, so the bootstrap draws prompts, each with all its values."""
    prompt, value = np.concatenate(prompts), np.concatenate(values)
    _, index = np.unique(prompt, return_inverse=True)
    sums, counts = np.bincount(index, value), np.bincount(index).astype(float)
    chance = np.random.default_rng(3)
    drawn = chance.integers(0, len(sums), (_RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(value.mean()), float(low), float(high))
