"""The evaluation of the router in tables: the same for the screen and for the page, and all figures as JSON.

Owns the words, the rounding and the aims; refuses to count.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from eval.budget_simulation import Interval as Drawn
from eval.budget_simulation import Result
from eval.cache_text import Chapter, Sheet, as_table, bounded, percent
from eval.router_report import BUDGETS, MIXTURE, NEIGHBOURS, OURS, Interval, Policy, RouterReport, SetFigures

_NOTHING: Final = "–"
_PACED: Final = "paced"
DECISION_US: Final = 200.0
"""What a decision may take."""
SAVED: Final = 0.5
"""Of the dearest model's cost, at its quality."""
APGR_AIMS: Final = {"MMLU": 0.655, "GSM8K": 0.645}


class Aim(Struct, frozen=True):
    """Of pacing a budget. No request may be refused and no cap exceeded in any case."""

    quality: float
    least_spent: float = 0.0
    """Of the budget, in every split."""
    beats_mid: bool = False
    """Whether the interval of the difference to always asking the middle tier must lie above 0."""


BUDGET_AIMS: Final = {0.03: Aim(0.917, least_spent=0.95), 0.10: Aim(0.925, beats_mid=True)}
"""By the budget's share of what premium alone would cost."""

APPROXIMATIONS: Final = (
    "Curves are read in hindsight: a point is what one lambda brings on the test half, and which lambda meets a wish "
    "is known only afterwards. That holds for the router, the nearest neighbours and the oracle alike; budgets, where "
    "lambda is found on the way, are simulated apart.",
    "Static policies and their best mixture are given the test half's means, which favours them.",
    "Splits of one data set share prompts. Intervals over splits are Student's t with that blemish; those of budgets "
    "draw prompts again.",
    "The estimator's constants were chosen by cross-validation inside training parts. What is read of a prompt's "
    "surface was chosen while looking at other splits of these same data sets.",
    "Rewards of paretobandit are one model's judgement. What was paid is recorded there; tokens are inferred from it.",
    "The sets with a weak and a strong model have no costs: a call of the strong one counts 1, of the weak one 0.",
    "One hand wrote the prompts and the cues of the classifier: figures on other people's prompts will be lower.",
    "Prompts too long for the encoder are estimated from their surface alone, as in production.",
)


def as_json(report: RouterReport) -> str:
    """All figures, the verdicts first. Of a folder only the name is told."""
    figures = msgspec.to_builtins(report, enc_hook=_told)
    content = {"verdicts": verdicts(report), "budget_shares": BUDGETS, **figures}
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode() + "\n"


def _told(path: object) -> str:
    return getattr(path, "name", "")


def as_tables(report: RouterReport) -> RenderableType:
    """For a terminal."""
    parts: list[RenderableType] = [Text(line) for line in verdicts(report)]
    for chapter in chapters(report):
        parts.append(Text(f"\n{chapter.title}", style="bold"))
        parts += [as_table(sheet) for sheet in chapter.sheets]
    parts.append(Text("\nHow this is counted", style="bold"))
    parts += [Text(f"- {line}") for line in APPROXIMATIONS]
    return Lines(*parts)


# --- what to read first ---


def verdicts(report: RouterReport) -> list[str]:
    """The aims, each with what came of it."""
    found = []
    for each in report.sets:
        found.append(_saving(each) if each.is_money else _gap(each))
    found += [_budget(result) for result in report.budgets if result.policy == _PACED]
    speed = report.speed
    found.append(
        f"{_mark(speed.median_us < DECISION_US)}: a decision among {speed.models} models with {speed.remembered:,} "
        f"remembered answers takes {speed.median_us:.0f} µs (95 of 100 under {speed.p95_us:.0f}); it may take "
        f"{DECISION_US:.0f}."
    )
    right = report.workload.right
    found.append(f"Measured: {bounded(right, 1)} % of held-out prompts are put into the right class of work.")
    return found


def _mark(is_met: bool) -> str:
    return "Kept" if is_met else "Missed"


def policy_of(each: SetFigures, name: str) -> Policy:
    return next(policy for policy in each.policies if policy.name == name)


def _saving(each: SetFigures) -> str:
    ours, near, static = (policy_of(each, name).saved for name in (OURS, NEIGHBOURS, MIXTURE))
    value = ours.value if ours else 0.0
    return (
        f"{_mark(value >= SAVED)}: on {each.name} {written(ours)} % of the dearest model's cost is saved at its "
        f"quality (wanted {percent(SAVED, 0)}; nearest neighbours {written(near)}, best static mixture "
        f"{written(static)})."
    )


def _gap(each: SetFigures) -> str:
    ours, near = policy_of(each, OURS).apgr, policy_of(each, NEIGHBOURS).apgr
    aim = APGR_AIMS[each.name]
    assert ours is not None
    return (
        f"{_mark(round(ours.value, 3) >= aim)}: on {each.name}, {each.learned:,} prompts learned, APGR "
        f"{written(ours, 3, 1)} (wanted {aim}; nearest neighbours {written(near, 3, 1)}, random 0.5)."
    )


def _budget(result: Result) -> str:
    aim = BUDGET_AIMS[result.budget_share]
    is_met = (
        result.quality.value >= aim.quality
        and result.refused_share == 0
        and aim.least_spent <= result.spent_least
        and result.spent_most <= 1
        and (result.over_mid.low > 0 or not aim.beats_mid)
    )
    return (
        f"{_mark(is_met)}: pacing a budget of {percent(result.budget_share, 0)} % of premium, {result.pattern} "
        f"arrivals: quality {_drawn(result.quality)} (wanted {aim.quality}), "
        f"over always mid {_drawn(result.over_mid)}, {percent(result.refused_share)} % refused, "
        f"{percent(result.spent_least)} to {percent(result.spent_most)} % spent."
    )


# --- the tables ---


def chapters(report: RouterReport) -> list[Chapter]:
    found = [Chapter(_title(each), tuple(_set_sheets(each))) for each in report.sets]
    if report.budgets:
        found.append(Chapter("Budgets that are met while requests come", tuple(_budget_sheets(report.budgets))))
    found.append(Chapter("What kind of work a prompt asks for", (_workload(report), _confusions(report))))
    return found


def _title(each: SetFigures) -> str:
    return f"{each.name}: quality for money" if each.is_money else f"{each.name}: few labels, a weak and a strong model"


def written(found: Interval | None, digits: int = 1, unit: int = 100) -> str:
    """`57.1 (50.2 to 64.0)`; with `unit` 100 in percent."""
    if found is None:
        return _NOTHING
    # Plus zero: what rounds to nothing shall not be written as minus nothing.
    value, low, high = (
        f"{round(unit * each, digits) + 0.0:.{digits}f}" for each in (found.value, found.low, found.high)
    )
    return value if low == high else f"{value} ({low} to {high})"


def _drawn(found: Drawn, digits: int = 4) -> str:
    return f"{found.value:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _set_sheets(each: SetFigures) -> list[Sheet]:
    return [_curves(each), *([_at_budgets(each)] if each.is_money else []), _fixed(each), _tallies(each)]


def _curves(each: SetFigures) -> Sheet:
    cost = "of the dearest model's cost" if each.is_money else "of calls to the strong model"
    return Sheet(
        "Policies with a curve",
        f"{each.prompts:,} prompts, {each.learned:,} learned from, the others tested; {each.without_vector:,} are too "
        f"long for a vector. Means over splits and 95 % intervals. CPT: per cent {cost} for that share of the gap. "
        "Oracle: it knows every answer before it is given.",
        ("policy", "APGR", "CPT 50 %", "CPT 80 %", "saved at the dearest's quality %", "of oracle's gain %"),
        tuple(
            (
                policy.name,
                written(policy.apgr, 3, 1),
                written(policy.cpt_50, 2 if each.is_money else 1),
                written(policy.cpt_80, 2 if each.is_money else 1),
                written(policy.saved),
                written(policy.of_oracle),
            )
            for policy in each.policies
            if not policy.is_fixed
        ),
    )


def _at_budgets(each: SetFigures) -> Sheet:
    return Sheet(
        "Quality at a given cost",
        "Cost as a share of what the dearest model costs for everything.",
        ("policy", *(f"at {percent(budget, 0)} %" for budget in BUDGETS)),
        tuple(
            (policy.name, *(written(found, 4, 1) for found in policy.at_budgets))
            for policy in each.policies
            if not policy.is_fixed
        ),
    )


def _fixed(each: SetFigures) -> Sheet:
    return Sheet(
        "Static policies",
        "One model for everything: each is a point.",
        ("policy", "cost %", "quality"),
        tuple(
            (policy.name, percent(policy.costs[0], 2), written(policy.at_budgets[0], 4, 1))
            for policy in each.policies
            if policy.is_fixed
        ),
    )


def _tallies(each: SetFigures) -> Sheet:
    bins = len(each.tallies[0].bins)
    return Sheet(
        "Whether estimates are true",
        "Fifths of the prompts by estimated quality, lowest first: mean estimate → mean reward."
        + (" Cost: what was expected over what was paid." if each.is_money else ""),
        ("model", *(f"fifth {place + 1}" for place in range(bins)), *(("cost",) if each.is_money else ())),
        tuple(
            (
                tally.model,
                *(f"{estimate:.3f} → {reward:.3f}" for estimate, reward in tally.bins),
                *((f"{tally.cost_ratio:.2f}",) if tally.cost_ratio is not None else ()),
            )
            for tally in each.tallies
        ),
    )


def _budget_sheets(results: Sequence[Result]) -> list[Sheet]:
    found = []
    for share in dict.fromkeys(result.budget_share for result in results):
        part = [result for result in results if result.budget_share == share]
        found.append(
            Sheet(
                f"A budget of {percent(share, 0)} % of what premium alone would cost",
                "Refused requests count 0. Over mid: the paired difference to always asking the middle tier. Spent: of "
                "the budget, the least and most of the splits.",
                ("policy", "arrivals:", "quality", "over mid", "refused %", "spent %", "premium %", "mid %"),
                tuple(
                    (
                        result.policy,
                        result.pattern,
                        _drawn(result.quality),
                        _drawn(result.over_mid),
                        percent(result.refused_share),
                        f"{percent(result.spent_mean)} ({percent(result.spent_least)} to {percent(result.spent_most)})",
                        percent(result.premium_share),
                        percent(result.mid_share),
                    )
                    for result in part
                ),
            )
        )
    return found


def _workload(report: RouterReport) -> Sheet:
    figures = report.workload
    return Sheet(
        "Classes on the held-out half",
        f"Our own labelled prompts. Right: {bounded(figures.right, 1)} % of {figures.right.trials}; on the half that "
        f"cues were mended on {bounded(figures.right_dev, 1)} % of {figures.right_dev.trials}.",
        ("class", "prompts", "precision %", "recall %"),
        tuple(
            (each.kind, str(each.recall.trials), bounded(each.precision, 1), bounded(each.recall, 1))
            for each in figures.kinds
        ),
    )


def _confusions(report: RouterReport) -> Sheet:
    return Sheet(
        "What was taken for what",
        "",
        ("is", "called:", "prompts"),
        tuple((kind, name, str(count)) for kind, name, count in report.workload.confusions),
    )
