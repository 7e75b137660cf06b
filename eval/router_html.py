"""The evaluation of the router as one HTML file that needs nothing else: to open, to print, to send on.

Owns the geometry of its curves; the tables are those of `eval/router_text.py`, the looks those of the cache's page.
"""

import math
from datetime import UTC, datetime
from functools import cache
from typing import Final

import jinja2

from eval.cache_html import Chart, Dot, Line, Tick, page_template
from eval.router_report import BUDGETS, MIXTURE, NEIGHBOURS, ORACLE, OURS, RANDOM, Policy, RouterReport, SetFigures
from eval.router_text import APPROXIMATIONS, chapters, verdicts

SERIES: Final = (
    ("router", "this router"),
    ("nearest", "50 nearest neighbours, no shrinkage"),
    ("mixture", "best mixture of static policies"),
    ("random", "random between cheapest and dearest"),
    ("oracle", "oracle: knows every answer beforehand"),
    ("fixed", "one model for everything"),
)
_CLASSES: Final = {OURS: "router", NEIGHBOURS: "nearest", MIXTURE: "mixture", RANDOM: "random", ORACLE: "oracle"}
_PLOT_PX: Final = 300
_COSTS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_SHARES: Final = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_STEPS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
_MOST_STEPS: Final = 6


def as_html(report: RouterReport, *, made_at: datetime) -> str:
    found = chapters(report)
    return _template().render(
        verdicts=verdicts(report),
        chapters=found,
        charts=[chart(each) for each in report.sets],
        charts_after=found[0].title if report.sets else "",
        axis="cost, as a share of the dearest model for everything",
        series=SERIES,
        approximations=APPROXIMATIONS,
        plan=report.plan,
        encoder=report.encoder,
        made_at=f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


@cache
def _template() -> jinja2.Template:
    return page_template("router.html.j2")


def chart(each: SetFigures) -> Chart:
    """Quality against cost; money on a logarithmic axis, shares of calls on a straight one."""
    shown = [policy for policy in each.policies if not policy.is_fixed]
    lows = min(min(policy.quality) for policy in each.policies)
    highs = max(max(policy.quality) for policy in each.policies)
    step = next((found for found in _STEPS if highs - lows <= found * _MOST_STEPS), _STEPS[-1])
    floor, top = step * math.floor(lows / step), step * math.ceil(highs / step - 1e-9)
    least = min(min(policy.costs) for policy in each.policies)

    def across(cost: float) -> float:
        share = math.log(cost / least) / -math.log(least) if each.is_money else cost
        return round(100 * share, 3)

    def down(quality: float) -> float:
        return round(100 * (top - quality) / (top - floor), 3)

    def line(policy: Policy) -> Line:
        points = zip(policy.costs, policy.quality, strict=True)
        path = " L".join(f"{across(cost)},{down(quality)}" for cost, quality in points)
        return Line(_CLASSES[policy.name], f"M{path}", "")

    dots = [
        Dot(
            "fixed",
            across(policy.costs[0]),
            round(_PLOT_PX * down(policy.quality[0]) / 100, 2),
            f"{policy.name}: quality {policy.quality[0]:.3f} at {100 * policy.costs[0]:.2g} %",
        )
        for policy in each.policies
        if policy.is_fixed
    ]
    marks = [cost for cost in _COSTS if cost >= least] if each.is_money else _SHARES
    return Chart(
        stream=each.name,
        # Ours last: it lies on top.
        lines=[line(policy) for policy in reversed(shown)],
        dots=dots,
        levels=[],
        across=[Tick(across(cost), f"{100 * cost:g} %") for cost in marks],
        down=[
            Tick(round(_PLOT_PX * down(floor + place * step) / 100, 2), f"{floor + place * step:.2f}")
            for place in range(round((top - floor) / step) + 1)
        ],
        budgets=[across(budget) for budget in BUDGETS] if each.is_money else [],
        beyond=[],
        height_px=_PLOT_PX,
    )
