"""The evaluation of the cache: what is replayed, what is counted, and the figures that come of it.

    gather     questions, adversarial pairs and all vectors
    fit_priors one prior for each stream, fitted on the others
    evaluate   replays, comparisons, adversarial suites, drift -> CacheReport

Owns the order of these steps and the figures; `cache_text` and `cache_html` show them. Every decision that is
replayed is made by the functions of production.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from cache.certificate import Certifier
from cache.decision import Prior, load_prior
from cache.encoder import Encoder
from cache.sameness import shipped_weights
from cache.trust import terms_of
from eval import adversarial, conversations, drift, encoders, fitting, sameness
from eval.baselines import (
    THRESHOLDS,
    Judged,
    Nearest,
    Rule,
    Tally,
    Threshold,
    exact_only,
    frontier,
    index_stream,
    oracle,
    replay,
)
from eval.cache import Outcome, Run, policy_of, run_stream
from eval.cacheability import (
    CacheabilityReport,
    FollowUpReport,
    follow_up_report,
    measure_cacheability,
)
from eval.intervals import Share, lower_bound, share
from eval.streams import STREAMS, DataMissing, Question, Vectors, embed, load_faq, load_stream, shuffled
from eval.vcache import VCache
from eval.workers import Progress, Workers

OWN: Final = Path(__file__).parent.parent / "data"
"""Our own evaluation sets."""
FAQ: Final = "faq"
MAIN: Final[tuple[str, ...]] = ("banking77", "clinc150", "bitext", "stackfaq")
"""Streams that kappas are found on: each is large enough, and something in it can be served."""
QUICK: Final = 3000
"""Questions of a stream in a quick run."""
DELTAS: Final = (0.005, 0.01, 0.02, 0.05)
"""Error bounds that vCache is run with."""
LEVELS: Final = tuple(float(level) for level in np.geomspace(0.001, 0.1, 41))
"""Wrong per hit at which curves are drawn."""
QUIET: Final = 0.01
"""A stream of which less is served counts as left alone."""
_ADVERSARIAL_BUDGET: Final = 0.01
_FITTED_ORDER, _CHECKED_ORDER = 1, 2
_DRIFT_STREAM: Final = "banking77"
_DRIFT_QUESTIONS: Final = 8000
_DETERMINISM_TEXTS: Final = 400
_CHUNK: Final = 50

Start = Literal["prior", "closed"]
STARTS: Final[tuple[Start, ...]] = ("prior", "closed")
Stages = Callable[[str, int], AbstractContextManager[Progress]]
"""What is done, and how many steps it has; gives what takes the progress."""


class Plan(Struct, frozen=True, kw_only=True):
    """What to evaluate. Without `data` only our own sets are."""

    data: Path | None
    streams: tuple[str, ...] = tuple(STREAMS)
    seeds: int = 3
    budgets: tuple[float, ...] = (0.005, 0.01, 0.02)
    is_quick: bool = False

    @property
    def most(self) -> int | None:
        return QUICK if self.is_quick else None


class Material(Struct, frozen=True, kw_only=True):
    """Everything that is replayed, with its vectors. Sent to each process once."""

    plan: Plan
    streams: dict[str, list[Question]]
    """All that were found: those that are not tested are fitted on."""
    tested: tuple[str, ...]
    pairs: list[adversarial.Pair]
    traps: list[adversarial.Pair]
    several: list[adversarial.Pair]
    """With several wordings stored."""
    scenes: list[tuple[str, str, bool]]
    """(stored, asked, whether they have one answer), for fitting."""
    vectors: Vectors

    def order(self, name: str, seed: int) -> list[Question]:
        """The stream in the order of this seed, cut short in a quick run."""
        return shuffled(self.streams[name], seed)[: self.plan.most]


def gather(plan: Plan, encoder: Encoder, keep: Path | None, stages: Stages) -> Material:
    """Reads the data and computes the vectors; those of each set are kept in `keep`. Raises DataMissing."""
    streams = {FAQ: load_faq(OWN / "faq" / "questions.jsonl")}
    if plan.data is not None:
        for name in STREAMS:
            try:
                streams[name] = load_stream(name, plan.data)
            except DataMissing:
                if name in plan.streams:
                    raise
    path = OWN / "adversarial" / "pairs.jsonl"
    pairs = adversarial.read_adversarial(path, "test")
    development = [pair for pair in adversarial.read_adversarial(path, "dev") if pair.category != "language"]
    traps = adversarial.read_traps(OWN / "faq" / "questions.jsonl", OWN / "faq" / "traps.jsonl")
    several = adversarial.read_several(OWN / "adversarial" / "several.jsonl", "test")
    if plan.is_quick:
        pairs, traps, several = _every(pairs, 4), _every(traps, 3), _every(several, 4)
    tested = (*(name for name in STREAMS if name in streams and name in plan.streams), FAQ)
    sets = {name: [question.text for question in questions] for name, questions in streams.items()}
    tricks = (*pairs, *development, *traps, *several)
    sets["pairs"] = [text for pair in tricks for text in (pair.stored, *pair.wordings, pair.asked)]
    vectors: Vectors = {}
    with stages("Vectors", sum(map(len, sets.values()))) as advance:
        for texts in sets.values():
            vectors |= embed(texts, encoder, keep, advance)
    return Material(
        plan=plan,
        streams=streams,
        tested=tested,
        pairs=pairs,
        traps=traps,
        several=several,
        scenes=[(pair.stored, pair.asked, pair.is_same) for pair in development],
        vectors=vectors,
    )


def _every(pairs: list[adversarial.Pair], step: int) -> list[adversarial.Pair]:
    """Some of them, with neighbours kept together: both directions of a pair stand side by side."""
    return [pair for place, pair in enumerate(pairs) if place // 2 % step == 0]


# --- priors ---


class Priors(Struct, frozen=True, kw_only=True):
    """`shipped` decides the adversarial suites; `of` each stream was fitted without it. `whole` was fitted on all."""

    shipped: Prior
    of: dict[str, Prior]
    whole: Prior | None
    sources: tuple[str, ...] = ()
    checked: dict[str, fitting.Examples] = {}
    """Every judgement of each stream in another order than was fitted on."""


def fit_priors(material: Material, workers: Workers[Material], stages: Stages) -> Priors:
    """Leaves one stream out at a time. Without public data the shipped prior is all there is."""
    if material.plan.data is None:
        shipped = load_prior()
        return Priors(shipped=shipped, of={FAQ: shipped}, whole=None)
    names = list(material.streams)
    orders = (_FITTED_ORDER, _CHECKED_ORDER)
    tasks: list[Callable[[Material, Progress], fitting.Examples]] = [_scenes]
    tasks += [partial(_examples, name, seed) for name in names for seed in orders]
    total = sum(2 * len(material.order(name, 1)) for name in names) + len(material.scenes)
    with stages("Judgements to fit on", total) as advance:
        found = workers.run(tasks, advance)
    scenes, of_streams = found[0], found[1:]
    fitted = dict(zip(names, of_streams[::2], strict=True)) | {f"{fitting.SCENES} adversarial": scenes}
    checked = dict(zip(names, of_streams[1::2], strict=True))
    main = {name: checked[name] for name in MAIN if name in checked}
    with stages("Priors", len(material.tested) + 1) as advance:
        of = {}
        for name in material.tested:
            of[name] = fitting.prior_without(name, fitted, main)
            advance(1)
        whole = fitting.prior_without(None, fitted, main)
        advance(1)
    try:
        shipped = load_prior()
    except ValueError:  # fitted for other features: nothing else can be evaluated
        shipped = whole
    return Priors(shipped=shipped, of=of, whole=whole, sources=tuple(fitted), checked=checked)


def _examples(name: str, seed: int, material: Material, on_progress: Progress) -> fitting.Examples:
    return fitting.stream_examples(material.order(name, seed), material.vectors, fitting.blank_prior(), on_progress)


def _scenes(material: Material, on_progress: Progress) -> fitting.Examples:
    others = [Question(stored, stored) for stored, _, _ in material.scenes]
    found = fitting.scene_examples(material.scenes, others, material.vectors, fitting.blank_prior(), 1)
    on_progress(len(material.scenes))
    return found


# --- replays ---


class RunFigures(Struct, frozen=True, kw_only=True):
    """One replay through the cache. Shares are of all requests. `best` is what another kappa would have brought in
    hindsight, over what was judged in this replay; `late` means from the first semantic hit on."""

    stream: str
    seed: int
    start: Start
    max_wrong: float
    requests: int
    exact_right: int
    hits: int
    wrong: int
    correct: int
    audited: int
    best: float
    learning: int | None
    """Requests before the first semantic hit; None = there was none."""
    late_requests: int
    late_correct: int
    late_best: float
    kappa: float | None
    """At the end; None = nothing is served."""
    state: str
    bound: float
    faults: int
    at_budgets: tuple[float, ...]
    """Correct hits in hindsight at each budget of the plan; `curve` at `LEVELS`."""
    curve: tuple[float, ...]


class BaselineFigures(Struct, frozen=True, kw_only=True):
    """The rules that the cache is compared with, on one order of a stream."""

    stream: str
    seed: int
    exact: Tally
    oracle: Tally
    fixed: tuple[Tally, ...]
    """In the order of `THRESHOLDS`."""
    vcache: tuple[Tally, ...]
    """In the order of `DELTAS`."""
    at_budgets: tuple[float, ...]
    """Correct hits of the best threshold in hindsight, every question stored; `curve` at `LEVELS`."""
    curve: tuple[float, ...]


def run_once(
    name: str, seed: int, start: Start, max_wrong: float, prior: Prior, material: Material, on_progress: Progress
) -> RunFigures:
    """One replay through the cache."""
    run = asyncio.run(
        run_stream(
            material.order(name, seed),
            material.vectors,
            prior,
            policy_of(max_wrong, start),
            seed=seed,
            on_progress=on_progress,
        )
    )
    return run_figures(run, name, seed, start, max_wrong, material.plan.budgets)


def run_figures(run: Run, name: str, seed: int, start: Start, max_wrong: float, budgets: Sequence[float]) -> RunFigures:
    judged = judged_in(run.outcomes)
    first = next((place for place, each in enumerate(run.outcomes) if each.disposition == "semantic"), None)
    late = Run(run.outcomes[first:] if first is not None else [], None, 0)
    certificate = run.certificate
    kappa = certificate.kappa if certificate is not None else None
    return RunFigures(
        stream=name,
        seed=seed,
        start=start,
        max_wrong=max_wrong,
        requests=run.requests,
        exact_right=judged.exact_right,
        hits=run.hits,
        wrong=run.wrong,
        correct=run.correct,
        audited=run.audited,
        best=frontier(judged, [max_wrong])[0],
        learning=first,
        late_requests=late.requests,
        late_correct=late.correct,
        late_best=frontier(judged_in(late.outcomes), [max_wrong])[0] if late.requests else 0.0,
        kappa=kappa if kappa is not None and math.isfinite(kappa) else None,
        state=certificate.state if certificate is not None else "none",
        bound=certificate.bound if certificate is not None else 1.0,
        faults=run.faults,
        at_budgets=tuple(frontier(judged, budgets)),
        curve=tuple(frontier(judged, LEVELS)),
    )


def judged_in(outcomes: Sequence[Outcome]) -> Judged:
    """What could have been served, whether it was or not. Approximate: with another kappa other questions would have
    been stored."""
    candidates = [each for each in outcomes if each.disposition != "exact" and each.is_right is not None and each.p > 0]
    return Judged(
        np.array([each.p for each in candidates], np.float64),
        np.array([bool(each.is_right) for each in candidates], bool),
        len(outcomes),
        sum(each.disposition == "exact" and bool(each.is_right) for each in outcomes),
    )


def compare_once(name: str, seed: int, material: Material, on_progress: Progress) -> BaselineFigures:
    """One replay of all rules that the cache is compared with."""
    stream = index_stream(material.order(name, seed), material.vectors)
    places = len(stream.vectors)
    nearest = Nearest()
    rules: list[Rule] = [
        *(Threshold(threshold, places) for threshold in THRESHOLDS),
        *(VCache(delta, places, seed) for delta in DELTAS),
        nearest,
    ]
    tallies = replay(stream, rules, on_progress)
    judged = Judged(np.array(nearest.scores), np.array(nearest.is_right, bool), stream.asked, stream.exact_right)
    return BaselineFigures(
        stream=name,
        seed=seed,
        exact=exact_only(stream),
        oracle=oracle(stream),
        fixed=tuple(tallies[: len(THRESHOLDS)]),
        vcache=tuple(tallies[len(THRESHOLDS) : -1]),
        at_budgets=tuple(frontier(judged, material.plan.budgets)),
        curve=tuple(frontier(judged, LEVELS)),
    )


# --- figures ---


class Curve(Struct, frozen=True):
    """Correct hits at `LEVELS` of wrong per hit: mean, least and most over the seeds, as shares of all requests."""

    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Point(Struct, frozen=True):
    """A rule at a setting of its own: means over the seeds."""

    name: str
    hits: float
    correct: float
    wrong: Share
    """Wrong of the hits of all seeds. They are the same questions in other orders, so the bounds are narrow."""


class Chosen(Struct, frozen=True):
    """A rule whose cut was chosen in hindsight: correct hits at each budget, mean, least and most over the seeds."""

    name: str
    correct: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class Setting(Struct, frozen=True, kw_only=True):
    """The cache at its own setting, over all seeds. `stream` is empty where all streams are pooled."""

    stream: str
    start: Start
    max_wrong: float
    requests: int
    hits: int
    correct: int
    wrong: Share
    lowest: float
    """One-sided 95 % lower bound of wrong per hit."""
    best: float
    """Correct hits in hindsight, as a share of the requests."""
    of_best: float | None
    """Correct hits as a share of that; after the learning phase where the route starts closed. None = nothing was
    served."""
    learning: tuple[int | None, ...]
    audited: int
    kappas: tuple[float | None, ...]
    states: tuple[str, ...]
    faults: int

    @property
    def hit_share(self) -> float:
        return self.hits / self.requests if self.requests else 0.0

    @property
    def correct_share(self) -> float:
        return self.correct / self.requests if self.requests else 0.0

    @property
    def is_over(self) -> bool:
        """Whether more was wrong than the operator accepts, beyond chance."""
        return self.lowest > self.max_wrong

    @property
    def is_quiet(self) -> bool:
        return self.hit_share < QUIET


class StreamFigures(Struct, frozen=True, kw_only=True):
    name: str
    requests: int
    answers: int
    exact: float
    """Correct by the same text alone; `oracle` by whoever knows everything that is stored. Means over the seeds."""
    oracle: float
    prior: str
    is_in_view: bool
    """Whether its prior was fitted with this stream in view."""
    kappas: dict[str, float]
    chosen: tuple[Chosen, ...]
    points: tuple[Point, ...]
    cache_curve: Curve
    cosine_curve: Curve
    settings: tuple[Setting, ...]


class CacheReport(Struct, frozen=True, kw_only=True):
    plan: Plan
    encoder: str
    streams: tuple[StreamFigures, ...]
    pooled: tuple[Setting, ...]
    pairs: tuple[adversarial.CategoryFigures, ...]
    pairs_kappa: float
    several: tuple[adversarial.CategoryFigures, ...]
    """Where several wordings of the stored question are stored; at the same kappa."""
    traps: tuple[adversarial.CategoryFigures, ...]
    traps_in_full: tuple[adversarial.CategoryFigures, ...]
    traps_kappa: float
    are_traps_in_view: bool
    cacheability: CacheabilityReport
    """On prompts by the hand that wrote the rules."""
    cacheability_of_others: CacheabilityReport
    """On prompts by somebody who had never seen them."""
    follow_ups: FollowUpReport | None
    conversations: conversations.ConversationFigures | None
    answers: dict[str, sameness.Measurement]
    """Sort of answers -> what was measured on its test half; none if no weights are shipped."""
    precision: encoders.PrecisionFigures | None
    determinism: encoders.DeterminismFigures
    drift: tuple[drift.DriftFigures, ...]
    drift_stream: str
    prior_changes: tuple[tuple[str, float, float], ...]
    """(what, shipped, fitted now on all streams)."""
    fitted_on: tuple[str, ...]


def evaluate(
    material: Material, priors: Priors, encoder: Encoder, folder: Path, workers: Workers[Material], stages: Stages,
    keep: Path | None = None,
) -> CacheReport:  # fmt: skip
    """Everything but the fitting. `folder` holds the encoder and, for one comparison, its full-precision file."""
    plan = material.plan
    seeds = range(1, plan.seeds + 1)
    lengths = {name: len(material.order(name, 1)) for name in material.tested}
    comparisons = [partial(compare_once, name, seed) for name in material.tested for seed in seeds]
    with stages("Comparisons", plan.seeds * sum(lengths.values())) as advance:
        baselines = workers.run(comparisons, advance)
    # The longest first, so that no process has to wait long for the other at the end.
    settings = [
        (name, seed, start, budget)
        for name in sorted(material.tested, key=lambda name: -lengths[name])
        for seed in seeds
        for start in STARTS
        for budget in plan.budgets
    ]
    with stages("Replays", sum(lengths[name] for name, *_ in settings)) as advance:
        runs = workers.run([partial(run_once, *setting, priors.of[setting[0]]) for setting in settings], advance)
    tricks = _tricks(material, priors, workers, stages)
    streams = tuple(
        stream_figures(
            name,
            material,
            priors,
            [each for each in baselines if each.stream == name],
            [each for each in runs if each.stream == name],
        )
        for name in material.tested
    )
    follow_ups, replayed = _conversations(material, priors, encoder, stages)
    drift_stream = _DRIFT_STREAM if _DRIFT_STREAM in material.tested else material.tested[0]
    return CacheReport(
        plan=plan,
        encoder=f"{encoder.model} {encoder.fingerprint}",
        streams=streams,
        pooled=tuple(
            setting_figures("", start, budget, [run for run in runs if (run.start, run.max_wrong) == (start, budget)])
            for start in STARTS
            for budget in plan.budgets
        ),
        pairs=tuple(adversarial.by_category(tricks[0], adversarial.CATEGORIES)),
        pairs_kappa=_first_kappa(priors.shipped),
        several=tuple(adversarial.by_category(tricks[1], adversarial.SEVERAL)),
        traps=tuple(adversarial.by_category(tricks[2], adversarial.TRAPS)),
        traps_in_full=tuple(adversarial.by_category(tricks[3], adversarial.TRAPS)),
        traps_kappa=_first_kappa(priors.of[FAQ]),
        are_traps_in_view=priors.whole is None,
        cacheability=measure_cacheability(OWN / "cacheability" / "prompts.jsonl", "test"),
        cacheability_of_others=measure_cacheability(OWN / "cacheability" / "others.jsonl", "test"),
        follow_ups=follow_ups,
        conversations=replayed,
        answers=_sameness(material.plan, encoder, stages),
        precision=_precision(material, priors, folder, keep, stages),
        determinism=_determinism(material, encoder, stages),
        drift=tuple(_drift(material, drift_stream, priors, workers, stages)),
        drift_stream=drift_stream,
        prior_changes=tuple(fitting.changes(priors.shipped, priors.whole)) if priors.whole is not None else (),
        fitted_on=priors.sources,
    )


def _first_kappa(prior: Prior) -> float:
    """What the adversarial suites are served at."""
    return Certifier(terms_of(policy_of(_ADVERSARIAL_BUDGET, "prior"), prior)).kappa


def stream_figures(
    name: str,
    material: Material,
    priors: Priors,
    baselines: Sequence[BaselineFigures],
    runs: Sequence[RunFigures],
) -> StreamFigures:
    plan = material.plan
    prior = priors.of[name]
    # One history for the whole curve: that of the middle budget.
    curve_budget = sorted(plan.budgets)[len(plan.budgets) // 2]
    curve_runs = [run for run in runs if run.start == "prior" and run.max_wrong == curve_budget]
    chosen = [
        _chosen("this cache", [run.at_budgets for run in curve_runs]),
        _chosen("best cosine threshold", [each.at_budgets for each in baselines]),
        _chosen("vCache, best delta", [_best_delta(each, plan.budgets) for each in baselines]),
    ]
    if (examples := priors.checked.get(name)) is not None:
        every = Judged(
            fitting.probabilities(prior, examples)[examples.may_serve],
            examples.is_right[examples.may_serve],
            examples.asked,
            examples.exact,
        )
        chosen.insert(1, _chosen("fitted decision, nothing learnt, all stored", [frontier(every, plan.budgets)]))
    questions = material.order(name, 1)
    return StreamFigures(
        name=name,
        requests=len(questions),
        answers=len({question.answer for question in questions}),
        exact=_mean([each.exact.correct_share for each in baselines]),
        oracle=_mean([each.oracle.correct_share for each in baselines]),
        prior=prior.fingerprint,
        is_in_view=priors.whole is None,
        kappas={str(budget): round(prior.kappa(budget), 4) for budget in plan.budgets},
        chosen=tuple(chosen),
        points=(
            *(
                _point(f"cosine {threshold:.2f}", [each.fixed[place] for each in baselines])
                for place, threshold in enumerate(THRESHOLDS)
            ),
            *(
                _point(f"vCache, delta {delta:.1%}", [each.vcache[place] for each in baselines])
                for place, delta in enumerate(DELTAS)
            ),
        ),
        cache_curve=_curve([run.curve for run in curve_runs]),
        cosine_curve=_curve([each.curve for each in baselines]),
        settings=tuple(
            setting_figures(name, start, budget, [run for run in runs if (run.start, run.max_wrong) == (start, budget)])
            for start in STARTS
            for budget in plan.budgets
        ),
    )


def _best_delta(figures: BaselineFigures, budgets: Sequence[float]) -> list[float]:
    """At each budget, the most correct hits of a delta that kept it, else those of the same text alone."""
    return [
        max(
            (each.correct_share for each in figures.vcache if each.wrong_per_hit <= budget),
            default=figures.exact.correct_share,
        )
        for budget in budgets
    ]


def setting_figures(stream: str, start: Start, max_wrong: float, runs: Sequence[RunFigures]) -> Setting:
    """Adds up runs of one setting: the seeds of a stream, or of all streams."""
    hits, wrong = sum(run.hits for run in runs), sum(run.wrong for run in runs)
    requests = sum(run.requests for run in runs)
    if start == "closed":
        served, possible = sum(run.late_correct for run in runs), sum(run.late_best * run.late_requests for run in runs)
    else:
        served, possible = sum(run.correct for run in runs), sum(run.best * run.requests for run in runs)
    return Setting(
        stream=stream,
        start=start,
        max_wrong=max_wrong,
        requests=requests,
        hits=hits,
        correct=sum(run.correct for run in runs),
        wrong=share(wrong, hits),
        lowest=lower_bound(wrong, hits) if hits else 0.0,
        best=sum(run.best * run.requests for run in runs) / requests if requests else 0.0,
        of_best=served / possible if hits and possible else None,
        learning=tuple(run.learning for run in runs),
        audited=sum(run.audited for run in runs),
        kappas=tuple(run.kappa for run in runs),
        states=tuple(run.state for run in runs),
        faults=sum(run.faults for run in runs),
    )


def _point(name: str, tallies: Sequence[Tally]) -> Point:
    return Point(
        name,
        _mean([each.hits / each.asked for each in tallies]),
        _mean([each.correct_share for each in tallies]),
        share(sum(each.wrong for each in tallies), sum(each.hits for each in tallies)),
    )


def _chosen(name: str, by_seed: Sequence[Sequence[float]]) -> Chosen:
    curve = _curve(by_seed)
    return Chosen(name, curve.mean, curve.low, curve.high)


def _curve(by_seed: Sequence[Sequence[float]]) -> Curve:
    table = np.array(by_seed)
    return Curve(*(tuple(row.tolist()) for row in (table.mean(axis=0), table.min(axis=0), table.max(axis=0))))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


# --- the other measures ---


def _tricks(
    material: Material, priors: Priors, workers: Workers[Material], stages: Stages
) -> list[list[adversarial.Trial]]:
    """Adversarial pairs, the same with several wordings stored, and traps of the FAQ, all in sparse scopes; traps
    beside the whole FAQ."""
    suites = ((material.pairs, priors.shipped), (material.several, priors.shipped), (material.traps, priors.of[FAQ]))
    parts = [
        [partial(_pairs, suite[at : at + _CHUNK], FAQ, prior) for at in range(0, len(suite), _CHUNK)]
        for suite, prior in suites
    ]
    total = sum(len(suite) for suite, _ in suites) + len(material.traps)
    with stages("Adversarial pairs", total) as advance:
        in_full, *found = workers.run([partial(_in_full, priors.of[FAQ]), *itertools.chain(*parts)], advance)
    left = iter(found)
    return [[trial for _ in part for trial in next(left)] for part in parts] + [in_full]


def _pairs(
    pairs: Sequence[adversarial.Pair], others: str, prior: Prior, material: Material, on_progress: Progress
) -> list[adversarial.Trial]:
    policy = policy_of(_ADVERSARIAL_BUDGET, "prior")
    return adversarial.measure_pairs(
        pairs, material.streams[others], material.vectors, prior, policy, on_progress=on_progress
    )


def _in_full(prior: Prior, material: Material, on_progress: Progress) -> list[adversarial.Trial]:
    policy = policy_of(_ADVERSARIAL_BUDGET, "prior")
    return adversarial.measure_in_full(
        material.traps, material.streams[FAQ], material.vectors, prior, policy, on_progress
    )


def _conversations(
    material: Material, priors: Priors, encoder: Encoder, stages: Stages
) -> tuple[FollowUpReport | None, conversations.ConversationFigures | None]:
    folder = material.plan.data / "trec_cast" if material.plan.data is not None else None
    if folder is None or not folder.is_dir():
        return None, None
    found = conversations.read_folder(folder)
    if material.plan.is_quick:
        found = found[::5]
    with stages("Conversations", sum(len(each.turns) for each in found)) as advance:
        replayed = conversations.replay_conversations(
            found,
            material.vectors,
            priors.shipped,
            policy_of(_ADVERSARIAL_BUDGET, "prior"),
            encoder.encode_now,
            advance,
        )
    return follow_up_report(found), replayed


def _sameness(plan: Plan, encoder: Encoder, stages: Stages) -> dict[str, sameness.Measurement]:
    try:
        weights = shipped_weights()
    except FileNotFoundError:
        return {}
    every = 6 if plan.is_quick else 1
    with stages("Answers that say the same", 2) as advance:
        natural = sameness.measure(
            sameness.read_families(sameness.NATURAL_HELD_BACK)[::every], weights, encoder, with_neighbours=True
        )
        advance(1)
        made = sameness.measure(
            sameness.read_families(sameness.HELD_BACK)[::every],
            weights,
            encoder,
            with_variations=True,
            faq=OWN / "faq" / "questions.jsonl",
        )
        advance(1)
    return {"natural wordings": natural, "made to be mistaken": made}


def _precision(
    material: Material, priors: Priors, folder: Path, keep: Path | None, stages: Stages
) -> encoders.PrecisionFigures | None:
    encoder = encoders.full_precision(folder)
    if encoder is None:
        return None
    name = next((each for each in ("banking77", "stackfaq") if each in material.tested), material.tested[0])
    questions, budgets = material.order(name, _CHECKED_ORDER), material.plan.budgets
    with stages("Full precision", len(questions)) as advance:
        full = embed([question.text for question in questions], encoder, keep, advance)
    encoder.close()
    texts, mean, least = encoders.cosines(full, material.vectors)
    rows: list[tuple[str, str, float, float]] = []
    with stages("Decisions in full precision", 2 * len(questions)) as advance:
        by_cosine, by_cache = [], []
        for vectors in (material.vectors, full):
            stream, nearest = index_stream(questions, vectors), Nearest()
            replay(stream, [nearest])
            by_cosine.append(
                frontier(
                    Judged(
                        np.array(nearest.scores), np.array(nearest.is_right, bool), stream.asked, stream.exact_right
                    ),
                    budgets,
                )
            )
            examples = fitting.stream_examples(questions, vectors, priors.of[name], advance)
            p = fitting.probabilities(priors.of[name], examples)
            by_cache.append([fitting.hindsight(p, examples, budget)[0] for budget in budgets])
    for rule, (eight, thirty_two) in (("this cache", by_cache), ("best cosine threshold", by_cosine)):
        rows += [
            (rule, f"{budget:.1%}", one, other) for budget, one, other in zip(budgets, eight, thirty_two, strict=True)
        ]
    return encoders.PrecisionFigures(stream=name, texts=texts, mean_cosine=mean, min_cosine=least, correct=tuple(rows))


def _determinism(material: Material, encoder: Encoder, stages: Stages) -> encoders.DeterminismFigures:
    texts = [question.text for question in material.order(material.tested[0], 1)[:_DETERMINISM_TEXTS]]
    with stages("Determinism", 1) as advance:
        found = encoders.determinism(encoder, texts)
        advance(1)
    return found


def _drift(
    material: Material, name: str, priors: Priors, workers: Workers[Material], stages: Stages
) -> list[drift.DriftFigures]:
    tasks = [
        partial(_drift_once, change, name, seed, priors.of[name])
        for change in drift.CHANGES
        for seed in range(1, material.plan.seeds + 1)
    ]
    total = len(tasks) * min(len(material.order(name, 1)), _DRIFT_QUESTIONS)
    with stages("Drift", total) as advance:
        return workers.run(tasks, advance)


def _drift_once(
    change: drift.Change, name: str, seed: int, prior: Prior, material: Material, on_progress: Progress
) -> drift.DriftFigures:
    questions = material.order(name, seed)[:_DRIFT_QUESTIONS]
    policy = policy_of(_ADVERSARIAL_BUDGET, "prior")
    return drift.measure_drift(change, questions, material.vectors, prior, policy, seed, on_progress)
