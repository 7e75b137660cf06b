"""The evaluation of the router: what is learned, what is decided, and the figures that come of it.

    gather     the data sets and what the estimators see of their prompts
    evaluate   curves and budgets over several splits, the classifier, the time of a decision -> RouterReport

Owns the order of these steps and the figures; `router_text` and `router_html` show them. Estimating, pacing and
booking are done by the functions of production.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.encoder import Encoder
from eval import budget_simulation
from eval.cache_report import OWN, Stages
from eval.frontier import Frontier, apgr, between, cpt, neighbours, sweep
from eval.router import (
    Bench,
    Split,
    halves,
    load_gsm8k,
    load_mmlu,
    load_paretobandit,
    read_prompts,
    split,
)
from eval.streams import embed
from eval.workload import WorkloadFigures, measure_workload, read_labelled
from router.catalogue import Tier
from router.prompt_surface import NAMES
from router.quality import REMEMBERED, Quality, Traits
from router.workload import Workload

BUDGETS: Final = (0.03, 0.10)
"""Budgets as shares of what the dearest model costs for everything."""
_COSTS: Final = 120
"""Points of a curve that is shown."""
_CONFIDENT: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t, two-sided 95 %, by the number of splits."""
_BINS: Final = 5
_TIMED_MODELS: Final = 10
_TIMED: Final = 2000


class Source(Struct, frozen=True):
    """A data set that the router is measured on."""

    name: str
    load: Callable[[Path], Bench]
    learned: int | None
    """Prompts that are learned from; None is half."""
    is_money: bool


SOURCES: Final = (
    Source("paretobandit", load_paretobandit, None, True),
    Source("MMLU", load_mmlu, 1500, False),
    Source("GSM8K", load_gsm8k, 400, False),
)


class Plan(Struct, frozen=True, kw_only=True):
    """What to evaluate. Without `data` only our own set is."""

    data: Path | None
    splits: int = 5
    has_budgets: bool = True

    @property
    def seeds(self) -> range:
        return range(1, self.splits + 1)


class Set(Struct, frozen=True):
    source: Source
    bench: Bench
    seen: Sequence[Traits]


class Interval(Struct, frozen=True):
    """A mean over splits, with its 95 % interval by Student's t."""

    value: float
    low: float
    high: float
    splits: int
    """Those that have a value at all."""


class Policy(Struct, frozen=True, kw_only=True):
    """One way to choose, over all splits."""

    name: str
    is_fixed: bool
    """A fixed choice: what it reads of a prompt is nothing."""
    apgr: Interval | None
    cpt_50: Interval | None
    cpt_80: Interval | None
    saved: Interval | None
    """Of the dearest model's cost, at that model's quality."""
    at_budgets: tuple[Interval, ...]
    """Quality at each of BUDGETS."""
    of_oracle: Interval | None
    """Share of what the oracle gains over the best static mixture, in APGR."""
    costs: tuple[float, ...]
    quality: tuple[float, ...]
    """The curve, as the mean over splits at these costs; one point of a policy that has no curve."""


class Tally(Struct, frozen=True, kw_only=True):
    """How an estimate compares with what came."""

    model: str
    bins: tuple[tuple[float, float], ...]
    """(mean estimate, mean reward) from the lowest estimates to the highest."""
    cost_ratio: float | None
    """Expected cost over what was paid."""


class SetFigures(Struct, frozen=True, kw_only=True):
    name: str
    is_money: bool
    prompts: int
    learned: int
    without_vector: int
    models: tuple[str, ...]
    means: tuple[tuple[float, float], ...]
    """(cost, quality) of each model over all prompts, cost as a share of the dearest's."""
    policies: tuple[Policy, ...]
    tallies: tuple[Tally, ...]


class Speed(Struct, frozen=True):
    """Of a decision, in microseconds."""

    models: int
    remembered: int
    median_us: float
    p95_us: float


class RouterReport(Struct, frozen=True, kw_only=True):
    plan: Plan
    encoder: str
    workload: WorkloadFigures
    speed: Speed
    sets: tuple[SetFigures, ...] = ()
    budgets: tuple[budget_simulation.Result, ...] = ()


OURS: Final = "router"
NEIGHBOURS: Final = "50 nearest, no shrinkage"
MIXTURE: Final = "best static mixture"
RANDOM: Final = "random"
ORACLE: Final = "oracle"


def gather(plan: Plan, encoder: Encoder, keep: Path | None, stages: Stages) -> list[Set]:
    """Reads the data and computes the vectors, which are kept in `keep`. Raises DataMissing."""
    if plan.data is None:
        return []
    benches = [(source, source.load(plan.data)) for source in SOURCES]
    found = []
    with stages("Vectors", sum(len(set(bench.prompts)) for _, bench in benches)) as advance:
        for source, bench in benches:
            found.append(Set(source, bench, read_prompts(bench, embed(bench.prompts, encoder, keep, advance))))
    return found


def evaluate(plan: Plan, sets: Sequence[Set], encoder: str, stages: Stages) -> RouterReport:
    with stages("Cost and quality", len(sets) * plan.splits) as advance:
        figures = tuple(_figures(each, plan, advance) for each in sets)
    return RouterReport(
        plan=plan,
        encoder=encoder,
        workload=measure_workload(read_labelled(OWN / "workload" / "prompts.jsonl")),
        speed=measure_speed(stages),
        sets=figures,
        budgets=_budgets(plan, sets, stages) if plan.has_budgets else (),
    )


def _budgets(plan: Plan, sets: Sequence[Set], stages: Stages) -> tuple[budget_simulation.Result, ...]:
    found = []
    for each in sets:
        if each.source.is_money:
            steps = len(BUDGETS) * len(budget_simulation.PATTERNS) * plan.splits
            with stages("Budgets", steps + plan.splits) as advance:
                splits = []
                for seed in plan.seeds:
                    splits.append(budget_simulation.from_bench(each.bench, each.seen, seed))
                    advance(1)
                found += budget_simulation.run(splits, BUDGETS, progress=lambda: advance(1))
    return tuple(found)


# --- curves ---


class Run(Struct, frozen=True):
    """One split: the curve of each policy, and the ends between which gaps are measured."""

    curves: dict[str, Frontier]
    fixed: dict[str, tuple[float, float]]
    cheapest: tuple[float, float]
    dearest: tuple[float, float]


def run_split(each: Set, seed: int) -> tuple[Run, Split]:
    train, test = halves(len(each.bench), seed, each.source.learned)
    found = split(each.bench, each.seen, seed, each.source.learned)
    near = neighbours(each.seen, each.bench.reward, train, test)
    costs = found.cost.mean(0) / found.cost[:, -1].mean()
    means = [(float(cost), float(quality)) for cost, quality in zip(costs, found.reward.mean(0), strict=True)]
    cheapest, dearest = means[0], means[-1]
    curves = {
        OURS: sweep(found.q, found.expected_cost, found.reward, found.cost),
        NEIGHBOURS: sweep(near, found.expected_cost, found.reward, found.cost),
        MIXTURE: between(means),
        RANDOM: Frontier(*(np.array(ends) for ends in zip(cheapest, dearest, strict=True))),
        ORACLE: sweep(found.reward, found.cost, found.reward, found.cost),
    }
    fixed = {f"always {model.rpartition('/')[2]}": mean for model, mean in zip(each.bench.models, means, strict=True)}
    return Run(curves, fixed, cheapest, dearest), found


def _figures(each: Set, plan: Plan, on_progress: Callable[[int], None]) -> SetFigures:
    runs, splits = [], []
    for seed in plan.seeds:
        run, found = run_split(each, seed)
        runs.append(run)
        splits.append(found)
        on_progress(1)
    bench = each.bench
    costs = bench.cost.mean(0) / bench.cost[:, -1].mean()
    return SetFigures(
        name=each.source.name,
        is_money=each.source.is_money,
        prompts=len(bench),
        learned=each.source.learned or len(bench) // 2,
        without_vector=sum(seen.vector is None for seen in each.seen),
        models=bench.models,
        means=tuple((float(c), float(q)) for c, q in zip(costs, bench.reward.mean(0), strict=True)),
        policies=(*(curve_policy(name, runs) for name in runs[0].curves), *_fixed_policies(runs)),
        tallies=tuple(_tally(model, column, splits, each) for column, model in enumerate(bench.models)),
    )


def curve_policy(name: str, runs: Sequence[Run]) -> Policy:
    curves = [run.curves[name] for run in runs]
    areas = {other: [apgr(run.curves[other], run.cheapest, run.dearest) for run in runs] for other in runs[0].curves}
    gains = [
        (ours - fixed) / (best - fixed)
        for ours, fixed, best in zip(areas[name], areas[MIXTURE], areas[ORACLE], strict=True)
    ]
    saved = [
        None if (cost := curve.cost_of(run.dearest[1])) is None else 1 - cost
        for curve, run in zip(curves, runs, strict=True)
    ]
    least = min(run.cheapest[0] for run in runs)
    grid = np.geomspace(least, 1.0, _COSTS) if least else np.linspace(0.0, 1.0, _COSTS)
    return Policy(
        name=name,
        is_fixed=False,
        apgr=interval(areas[name]),
        cpt_50=interval([cpt(run.curves[name], 0.5, run.cheapest, run.dearest) for run in runs]),
        cpt_80=interval([cpt(run.curves[name], 0.8, run.cheapest, run.dearest) for run in runs]),
        saved=interval(saved),
        at_budgets=tuple(_sure([curve.at(budget) for curve in curves]) for budget in BUDGETS),
        of_oracle=interval(gains) if name != RANDOM else None,
        costs=tuple(float(cost) for cost in grid),
        quality=tuple(float(np.mean([curve.at(cost) for curve in curves])) for cost in grid),
    )


def _fixed_policies(runs: Sequence[Run]) -> list[Policy]:
    """One model for everything: a point, whatever the budget."""
    found = []
    for name in runs[0].fixed:
        cost, quality = np.mean([run.fixed[name] for run in runs], axis=0)
        found.append(
            Policy(
                name=name,
                is_fixed=True,
                apgr=None,
                cpt_50=None,
                cpt_80=None,
                saved=None,
                at_budgets=(_sure([run.fixed[name][1] for run in runs]),),
                of_oracle=None,
                costs=(float(cost),),
                quality=(float(quality),),
            )
        )
    return found


def interval(values: Sequence[float | None]) -> Interval | None:
    """Of the values that there are; None if there is none."""
    found = [value for value in values if value is not None]
    return _sure(found) if found else None


def _sure(found: Sequence[float]) -> Interval:
    mean, count = float(np.mean(found)), len(found)
    if count < 2:
        return Interval(mean, mean, mean, count)
    wide = _CONFIDENT.get(count, 2.1) * float(np.std(found, ddof=1)) / count**0.5
    return Interval(mean, mean - wide, mean + wide, count)


def _tally(model: str, column: int, splits: Sequence[Split], each: Set) -> Tally:
    q = np.concatenate([found.q[:, column] for found in splits])
    reward = np.concatenate([found.reward[:, column] for found in splits])
    order: NDArray[np.intp] = np.argsort(q, kind="stable")
    paid = sum(float(found.cost[:, column].sum()) for found in splits)
    expected = sum(float(found.expected_cost[:, column].sum()) for found in splits)
    return Tally(
        model=model,
        bins=tuple((float(q[part].mean()), float(reward[part].mean())) for part in np.array_split(order, _BINS)),
        cost_ratio=expected / paid if each.source.is_money else None,
    )


# --- the time of a decision ---


def measure_speed(stages: Stages, models: int = _TIMED_MODELS, remembered: int = REMEMBERED) -> Speed:
    """One estimate of all models, of prompts with vectors, on this machine. Made prompts: time is all that counts."""
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(remembered, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    surfaces = chance.normal(size=(remembered, len(NAMES))).astype(np.float32)
    quality = Quality({f"model {number}": list(Tier)[number % len(Tier)] for number in range(models)})
    kinds = list(Workload)
    seen = [Traits(vectors[row], surfaces[row], kinds[row % len(kinds)]) for row in range(remembered)]
    with stages("Time of a decision", remembered) as advance:
        for row, each in enumerate(seen):
            quality.learn(each, f"model {row % models}", float(row % 3 > 0))
            if row % 1000 == 0:
                advance(1000)
        quality.refit()
    taken = []
    for each in seen[:_TIMED]:
        started = time.perf_counter_ns()
        quality.estimate(each)
        taken.append((time.perf_counter_ns() - started) / 1000)
    return Speed(models, remembered, float(np.median(taken)), float(np.quantile(taken, 0.95)))
