"""The evaluation of the cache as one HTML file that needs nothing else: to open, to print, to send on.

Owns the geometry of its curves; the tables are those of `eval/cache_text.py`, the looks are in
`templates/cache.html.j2`. Refuses to load anything: no script, font or image from elsewhere.

Positions across are shares of the chart's width in percent, so that curves stretch with the page while text keeps
its size. Lines are drawn in a box of 100 by 100 that is stretched over the plot.
"""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

import jinja2
from msgspec import Struct

from eval.cache_report import LEVELS, CacheReport, Curve, StreamFigures
from eval.cache_text import APPROXIMATIONS, Chapter, chapters, percent, verdicts

_PLOT_PX: Final = 250
_TICKS_ACROSS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
_STEPS: Final = (0.05, 0.1, 0.2, 0.25)
_MOST_STEPS: Final = 5


class Line(Struct, frozen=True):
    series: str
    path: str
    band: str
    """The area between least and most; empty if there is one order only."""


class Dot(Struct, frozen=True):
    series: str
    across: float
    down: float
    title: str


class Level(Struct, frozen=True):
    """A line across the whole plot: what needs no cut."""

    series: str
    down: float
    title: str


class Tick(Struct, frozen=True):
    at: float
    text: str


class Chart(Struct, frozen=True, kw_only=True):
    stream: str
    lines: Sequence[Line]
    dots: Sequence[Dot]
    levels: Sequence[Level]
    across: Sequence[Tick]
    """Wrong per hit, positions in percent of the width."""
    down: Sequence[Tick]
    """Correct hits, positions in pixels from the top."""
    budgets: Sequence[float]
    beyond: Sequence[str]
    """Rules that are wrong too often for the chart."""
    height_px: int = _PLOT_PX


SERIES: Final = (
    ("cache", "this cache, cut in hindsight; the band is least to most over the orders"),
    ("own", "this cache at its own setting, start = prior"),
    ("cosine", "best cosine threshold in hindsight"),
    ("fixed", "fixed cosine 0.80 to 0.95"),
    ("vcache", "vCache"),
    ("oracle", "oracle"),
    ("exact", "same text only"),
)


def as_html(report: CacheReport, *, made_at: datetime) -> str:
    found = chapters(report)
    return _template().render(
        verdicts=verdicts(report),
        chapters=found,
        charts=[chart(stream) for stream in report.streams],
        charts_after=_place_of_charts(found),
        series=SERIES,
        approximations=APPROXIMATIONS,
        plan=report.plan,
        encoder=report.encoder,
        made_at=f"{made_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


@cache
def _template() -> jinja2.Template:
    return page_template("cache.html.j2")


def page_template(name: str) -> jinja2.Template:
    """One of the pages in `templates`, with strict names and escaped values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def _place_of_charts(found: Sequence[Chapter]) -> str:
    """The title of the chapter that the curves follow."""
    return next(chapter.title for chapter in found if "hindsight" in chapter.title)


def chart(stream: StreamFigures) -> Chart:
    """Correct hits against wrong per hit, the latter on a logarithmic axis."""
    highest = max(
        stream.oracle, *stream.cache_curve.high, *stream.cosine_curve.high, *(p.correct for p in stream.points)
    )
    step = next((each for each in _STEPS if highest <= each * _MOST_STEPS), _STEPS[-1])
    top = step * math.ceil(max(highest, 1e-9) / step - 1e-9)

    def down(share: float) -> float:
        return round(100 * (1 - share / top), 3)

    dots, beyond = [], []
    for point in stream.points:
        series = "vcache" if point.name.startswith("vCache") else "fixed"
        dots.append((series, point.name, point.wrong.value, point.correct))
    for setting in stream.settings:
        if setting.start == "prior" and setting.hits:
            name = f"accepted {100 * setting.max_wrong:g} %"
            dots.append(("own", name, setting.wrong.value, setting.correct_share))
    shown = []
    for series, name, wrong, correct in dots:
        title = f"{name}: {percent(correct)} % correct, {percent(wrong, 2)} % wrong per hit"
        if wrong is not None and wrong > LEVELS[-1]:
            beyond.append(title)
        elif wrong is not None:
            shown.append(Dot(series, _across(wrong), round(_PLOT_PX * down(correct) / 100, 2), title))
    ticks = round(top / step)
    return Chart(
        stream=stream.name,
        lines=[_line("cosine", stream.cosine_curve, down), _line("cache", stream.cache_curve, down)],
        dots=shown,
        levels=[
            Level("oracle", down(stream.oracle), f"oracle: {percent(stream.oracle)} %"),
            Level("exact", down(stream.exact), f"same text only: {percent(stream.exact)} %"),
        ],
        across=[Tick(_across(level), f"{100 * level:g} %") for level in _TICKS_ACROSS],
        down=[
            Tick(round(_PLOT_PX * (1 - place / ticks), 2), f"{100 * place * step:.0f} %") for place in range(ticks + 1)
        ],
        budgets=[_across(setting.max_wrong) for setting in stream.settings if setting.start == "prior"],
        beyond=beyond,
    )


def _across(wrong: float) -> float:
    """Percent of the width; what is below the first level stands at the edge."""
    least, most = math.log(LEVELS[0]), math.log(LEVELS[-1])
    share = (math.log(max(wrong, LEVELS[0])) - least) / (most - least)
    return round(100 * share, 3)


def _line(series: str, curve: Curve, down: Callable[[float], float]) -> Line:
    def points(values: Sequence[float]) -> list[str]:
        return [f"{_across(level)},{down(value)}" for level, value in zip(LEVELS, values, strict=True)]

    band = f"M{' L'.join([*points(curve.high), *reversed(points(curve.low))])} Z" if curve.low != curve.high else ""
    return Line(series, f"M{' L'.join(points(curve.mean))}", band)
