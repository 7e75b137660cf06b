"""The evaluation of the cache, on made streams through the real cache: its figures, its tables, its page."""

import io
import json
import math
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cache.decision import Prior
from eval import cache_html, cache_report, cache_text, drift, fitting
from eval.adversarial import CATEGORIES, SEVERAL, TRAPS, Pair, Scene, Trial, by_category
from eval.cache import Outcome, Run
from eval.cache_report import LEVELS, CacheReport, Material, Plan, Priors, RunFigures
from eval.cacheability import follow_up_report, measure_cacheability
from eval.conversations import ConversationFigures
from eval.encoders import DeterminismFigures, PrecisionFigures
from eval.intervals import share
from eval.sameness import Links, Measurement, Row
from tests.eval.made_streams import hopeless, made_prior, made_stream
from tests.running import ROOT

PLAN = Plan(data=Path("somewhere/data"), streams=("clear", "blurred"), seeds=2, budgets=(0.01, 0.05))
MADE_AT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def nothing(_: int) -> None:
    pass


@pytest.fixture(scope="module")
def material() -> Material:
    clear, vectors = made_stream(12, 40, seed=1, spread=0.8)
    blurred, others = made_stream(12, 20, seed=2, spread=1.0)
    others = {f"{text} now": vector for text, vector in others.items()}
    blurred = [msgspec.structs.replace(each, text=f"{each.text} now") for each in hopeless(blurred, seed=2)]
    return Material(
        plan=PLAN,
        streams={"clear": clear, "blurred": blurred},
        tested=("clear", "blurred"),
        pairs=[],
        traps=[],
        several=[],
        scenes=[],
        vectors=vectors | others,
    )


@pytest.fixture(scope="module")
def report(material: Material) -> CacheReport:
    """All that the command measures, put together from the same functions."""
    prior = made_prior()
    checked = {
        name: fitting.stream_examples(material.order(name, 2), material.vectors, fitting.blank_prior())
        for name in material.tested
    }
    priors = Priors(shipped=prior, of=dict.fromkeys(material.tested, prior), whole=prior, checked=checked)
    baselines = [
        cache_report.compare_once(name, seed, material, nothing) for name in material.tested for seed in (1, 2)
    ]
    runs = [
        cache_report.run_once(name, seed, start, budget, prior, material, nothing)
        for name in material.tested
        for seed in (1, 2)
        for start in cache_report.STARTS
        for budget in PLAN.budgets
    ]
    trials = [
        Trial(Pair(category, "How do I <open> it?", "How do I close it?", category == "harmless"), (scene,))
        for category in dict.fromkeys((*CATEGORIES, *SEVERAL, *TRAPS))
        for scene in (Scene(0, False, False, False), Scene(2, category == "number", False, False))
    ]
    rows = tuple(Row(name, True, *(share(9, 10) for _ in range(4))) for name in ("reworded", "different"))
    links = Links("different", share(99, 100), share(95, 100), (0.98, 1.0), (0.9, 0.97))
    questions = material.order("clear", 1)
    return CacheReport(
        plan=PLAN,
        encoder="made",
        streams=tuple(
            cache_report.stream_figures(
                name,
                material,
                priors,
                [each for each in baselines if each.stream == name],
                [each for each in runs if each.stream == name],
            )
            for name in material.tested
        ),
        pooled=tuple(
            cache_report.setting_figures(
                "", start, budget, [each for each in runs if (each.start, each.max_wrong) == (start, budget)]
            )
            for start in cache_report.STARTS
            for budget in PLAN.budgets
        ),
        pairs=tuple(by_category(trials, CATEGORIES)),
        pairs_kappa=0.97,
        several=tuple(by_category(trials, SEVERAL)),
        traps=tuple(by_category(trials, TRAPS)),
        traps_in_full=tuple(by_category(trials, TRAPS)),
        traps_kappa=0.98,
        are_traps_in_view=False,
        cacheability=measure_cacheability(ROOT / "data" / "cacheability" / "prompts.jsonl", "test"),
        cacheability_of_others=measure_cacheability(ROOT / "data" / "cacheability" / "others.jsonl", "test"),
        follow_ups=follow_up_report([]),
        conversations=ConversationFigures(
            conversations=2, turns=9, follow_ups=7, semantic=0, crossed=0, bare=3, bare_crossed=0, examples=()
        ),
        answers={"made up": Measurement(rows, rows, (links,), {})},
        precision=PrecisionFigures(
            stream="clear", texts=5, mean_cosine=0.99, min_cosine=0.98, correct=(("this cache", "1 %", 0.5, 0.6),)
        ),
        determinism=DeterminismFigures(10, 1.0, 10),
        drift=tuple(
            drift.measure_drift(change, questions, material.vectors, prior, PLAN_POLICY, 1) for change in drift.CHANGES
        ),
        drift_stream="clear",
        prior_changes=(("alone: best", 1.0, 2.0),),
        fitted_on=("clear", "blurred"),
    )


PLAN_POLICY = cache_report.policy_of(0.05, "prior")


# --- figures ------------------------------------------------------------------------------------------------


def test_a_clear_stream_is_served_and_a_blurred_one_is_not(report: CacheReport) -> None:
    clear, blurred = report.streams

    served = next(each for each in clear.settings if each.start == "prior" and each.max_wrong == 0.05)
    assert served.hit_share > 0.3
    assert served.correct == served.hits - served.wrong.successes
    assert not served.is_over
    assert all(setting.is_quiet for setting in blurred.settings)


def test_every_rule_lies_between_the_same_text_and_the_oracle(report: CacheReport) -> None:
    for stream in report.streams:
        for values in [*(each.correct for each in stream.chosen), stream.cache_curve.mean, stream.cosine_curve.mean]:
            assert list(values) == sorted(values)
            assert stream.exact <= values[0]
            assert values[-1] <= stream.oracle + 1e-9
        assert all(point.correct <= stream.oracle for point in stream.points)


def test_curves_have_a_band_over_the_orders(report: CacheReport) -> None:
    curve = report.streams[0].cosine_curve

    assert len(curve.mean) == len(LEVELS)
    for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True):
        assert low <= mean + 1e-12 <= high + 2e-12


def test_pooled_figures_are_the_sums_of_the_streams(report: CacheReport) -> None:
    for pooled in report.pooled:
        parts = [
            each
            for stream in report.streams
            for each in stream.settings
            if (each.start, each.max_wrong) == (pooled.start, pooled.max_wrong)
        ]
        assert pooled.requests == sum(each.requests for each in parts)
        assert (pooled.hits, pooled.correct) == (sum(each.hits for each in parts), sum(each.correct for each in parts))
        assert pooled.wrong.successes == sum(each.wrong.successes for each in parts)
        assert pooled.wrong.trials == pooled.hits


def outcome(disposition: str, p: float, is_right: bool | None, kappa: float | None = 0.9) -> Outcome:
    return Outcome(disposition, p, is_right, kappa)


def test_one_run_is_counted_as_it_went() -> None:
    run = Run(
        [
            outcome("miss", 0.0, None),
            outcome("miss", 0.95, True, math.inf),
            outcome("semantic", 0.99, True),
            outcome("exact", 0.0, True),
            outcome("semantic", 0.97, False),
            outcome("miss", 0.5, False),
        ],
        None,
        0,
    )

    found = cache_report.run_figures(run, "made", 1, "closed", 0.01, [0.01, 0.5])

    assert (found.requests, found.hits, found.wrong, found.correct, found.exact_right) == (6, 2, 1, 2, 1)
    assert found.best == pytest.approx(2 / 6)  # the hit at 0.99 and the same text; the one at 0.97 is wrong
    assert found.at_budgets == pytest.approx((2 / 6, 3 / 6))
    assert (found.learning, found.late_requests, found.late_correct) == (2, 4, 2)
    assert found.late_best == pytest.approx(2 / 4)
    assert (found.kappa, found.state) == (None, "none")


def run_of(hits: int, wrong: int, **others: object) -> RunFigures:
    found = RunFigures(
        stream="made", seed=1, start="prior", max_wrong=0.01, requests=1000, exact_right=0, hits=hits, wrong=wrong,
        correct=hits - wrong, audited=0, best=0.5, learning=0, late_requests=500, late_correct=200, late_best=0.5,
        kappa=0.97, state="certified", bound=0.01, faults=0, at_budgets=(), curve=(),
    )  # fmt: skip
    return msgspec.structs.replace(found, **others)


def test_a_setting_is_over_its_budget_only_beyond_chance() -> None:
    lucky = cache_report.setting_figures("made", "prior", 0.01, [run_of(400, 5)])
    broken = cache_report.setting_figures("made", "prior", 0.01, [run_of(400, 5), run_of(400, 12)])

    assert lucky.wrong.value == 0.0125
    assert not lucky.is_over
    assert broken.is_over
    assert broken.wrong.trials == 800


def test_the_share_of_the_best_counts_from_the_first_hit_on_where_the_route_starts_closed() -> None:
    prior = cache_report.setting_figures("made", "prior", 0.01, [run_of(400, 0)])
    closed = cache_report.setting_figures("made", "closed", 0.01, [run_of(200, 0)])
    silent = cache_report.setting_figures("made", "closed", 0.01, [run_of(0, 0, learning=None, late_requests=0)])

    assert prior.of_best == pytest.approx(400 / 500)
    assert closed.of_best == pytest.approx(200 / 250)
    assert silent.of_best is None
    assert silent.lowest == 0.0


# --- what is shown ------------------------------------------------------------------------------------------

PROMISED = (
    "What was replayed",
    "Correct hits, % of requests, at no more than 1 % wrong per hit",
    "Correct hits, % of requests, at no more than 5 % wrong per hit",
    "Fixed thresholds and vCache",
    "start = prior: served from the first request on, at the shipped kappa",
    "start = closed: nothing is served until the route is certified",
    "All streams together",
    "Adversarial pairs, test half, in sparse scopes",
    "Questions beside several wordings of another, test part",
    "Traps of the FAQ in sparse scopes",
    "Traps of the FAQ beside the whole FAQ",
    "Served wrongly, at least once",
    "Cacheability, 327 prompts of the test half",
    "Cacheability, 903 prompts by writers who had not seen the rules",
    "Follow-ups of TREC CAsT, by wording alone",
    "Conversations of TREC CAsT, replayed",
    "Answers of the test half, made up, by sort of pair",
    "Different answers, made up, by what differs",
    "Links, half of the pairs reworded and half of them different",
    "Eight bits against full precision, clear",
    "The same text alone and beside others",
    "Answers change in the middle of clear",
    "The shipped prior against one fitted now on all streams",
)


def titles(report: CacheReport) -> list[str]:
    return [sheet.title for chapter in cache_text.chapters(report) for sheet in chapter.sheets]


def test_every_promised_table_is_there(report: CacheReport) -> None:
    assert titles(report) == list(PROMISED)


def test_every_row_has_a_cell_for_every_heading(report: CacheReport) -> None:
    for chapter in cache_text.chapters(report):
        for sheet in chapter.sheets:
            assert sheet.rows or sheet.title.startswith("Follow-ups")
            assert {len(row) for row in sheet.rows} <= {len(sheet.headings)}, sheet.title


def test_rules_stand_at_a_level_only_if_they_kept_it(report: CacheReport) -> None:
    sheet = next(
        sheet
        for chapter in cache_text.chapters(report)
        for sheet in chapter.sheets
        if sheet.title.endswith("at no more than 1 % wrong per hit")
    )
    row = next(row for row in sheet.rows if row[0].startswith("cosine 0.80"))
    point = report.streams[1].points[0]

    assert row[0] == f"{point.name}, if it keeps it"
    assert (row[2] == "–") == ((point.wrong.value or 0) > 0.01)


def test_the_verdicts_name_what_was_broken(report: CacheReport) -> None:
    found = "\n".join(cache_text.verdicts(report))
    settings = report.streams[0].settings
    broken = msgspec.structs.replace(settings[0], lowest=0.2)
    stream = msgspec.structs.replace(report.streams[0], settings=(broken, *settings[1:]))

    assert "Left alone, since too little can be served safely: blurred." in found
    assert "Broken: adversarial pairs served wrongly in more than 1 % of scenes: number 50.00 %." in found
    assert "Kept: 0 stale hits after a new knowledge version." in found
    assert "on clear at 1 %, start = prior" not in found
    assert "on clear at 1 %, start = prior." in "\n".join(
        cache_text.verdicts(msgspec.structs.replace(report, streams=(stream, *report.streams[1:])))
    )


def test_serving_much_less_than_possible_on_a_large_stream_is_a_broken_promise(report: CacheReport) -> None:
    def verdict(of_best: float | None) -> str:
        settings = [
            msgspec.structs.replace(each, stream="bitext", of_best=of_best) for each in report.streams[0].settings
        ]
        stream = msgspec.structs.replace(report.streams[0], name="bitext", settings=tuple(settings))
        return "\n".join(cache_text.verdicts(msgspec.structs.replace(report, streams=(stream,))))

    assert "Kept: at least 80 % of the best in hindsight" in verdict(0.8)
    assert "Broken: less than 80 % of the best in hindsight on bitext at 1 %, start = prior: 79 %" in verdict(0.79)
    assert "start = closed: nothing served" in verdict(None)
    assert "best in hindsight" not in "\n".join(cache_text.verdicts(report))


def test_what_was_not_measured_has_no_table(report: CacheReport) -> None:
    less = msgspec.structs.replace(
        report, follow_ups=None, conversations=None, answers={}, precision=None, prior_changes=()
    )

    missing = set(titles(report)) - set(titles(less))
    assert missing == {*PROMISED[14:20], PROMISED[22]}
    assert cache_html.as_html(less, made_at=MADE_AT)


def test_the_screen_shows_every_table_without_cutting(report: CacheReport) -> None:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(cache_text.as_tables(report))
    text = " ".join(console.export_text().split())

    assert [title for title in PROMISED if title not in text] == []
    assert "…" not in text
    assert "changed history is approximated" in text


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_has_every_table_and_needs_nothing_else(report: CacheReport) -> None:
    page = cache_html.as_html(report, made_at=MADE_AT)
    parsed = _Page()
    parsed.feed(page)

    assert {attributes["aria-label"] for tag, attributes in parsed.tags if tag == "table"} == set(PROMISED)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "img", "iframe", "object"}
    assert not any({"src", "href"} & set(attributes) for _, attributes in parsed.tags)
    assert not re.search(r"url\(|@import", page)
    assert "<open>" not in page
    assert "How do I <open> it?" in parsed.texts


def test_the_page_draws_a_curve_with_its_band_and_every_rule(report: CacheReport) -> None:
    chart = cache_html.chart(report.streams[0])

    assert [line.series for line in chart.lines] == ["cosine", "cache"]
    assert chart.lines[0].path.count(",") == len(LEVELS)
    assert chart.lines[0].band.count(",") == 2 * len(LEVELS)
    assert {level.series for level in chart.levels} == {"oracle", "exact"}
    assert len(chart.dots) + len(chart.beyond) >= len(report.streams[0].points) - 4
    assert all(0 <= dot.across <= 100 and 0 <= dot.down <= chart.height_px for dot in chart.dots)


def test_the_axis_is_logarithmic_and_keeps_zero_at_its_edge(report: CacheReport) -> None:
    chart = cache_html.chart(report.streams[0])

    assert (chart.across[0].at, chart.across[-1].at) == (0, 100)
    assert [tick.at for tick in chart.across if tick.text == "1 %"] == [50]
    assert chart.budgets == [50, pytest.approx(84.949)]


def test_the_figures_are_json_with_the_verdicts_first_and_no_path(report: CacheReport) -> None:
    figures = json.loads(cache_text.as_json(report))

    assert next(iter(figures)) == "verdicts"
    assert figures["plan"]["data"] == "data"
    assert [stream["name"] for stream in figures["streams"]] == ["clear", "blurred"]
    assert figures["levels"] == list(LEVELS)


# --- priors -------------------------------------------------------------------------------------------------


def examples(seed: int, spread: float) -> fitting.Examples:
    questions, vectors = made_stream(12, 30, seed, spread)
    return fitting.stream_examples(questions, vectors, fitting.blank_prior())


@pytest.fixture(scope="module")
def sources() -> dict[str, fitting.Examples]:
    return {name: examples(seed, spread) for seed, (name, spread) in enumerate({"a": 0.5, "b": 0.9, "c": 1.5}.items())}


def test_a_stream_left_out_has_no_say_in_its_prior(sources: dict[str, fitting.Examples]) -> None:
    other = examples(17, 2.5)

    one = fitting.prior_without("a", sources, sources)
    two = fitting.prior_without("a", sources | {"a": other}, sources | {"a": other})
    whole = fitting.prior_without(None, sources, sources)

    assert one.fingerprint == two.fingerprint
    assert one.kappas == two.kappas
    assert whole.fingerprint != one.fingerprint


def test_kappas_fall_with_the_budget_and_hold_it_on_the_strictest_stream(sources: dict[str, fitting.Examples]) -> None:
    prior: Prior = fitting.prior_without(None, sources, sources)
    kappas = [prior.kappas[budget] for budget in fitting.BUDGETS]

    assert kappas == sorted(kappas, reverse=True)
    assert max(kappas) <= fitting.STRICTEST


def test_a_prior_needs_another_stream_to_be_fitted_on(sources: dict[str, fitting.Examples]) -> None:
    with pytest.raises(ValueError, match="no stream but a"):
        fitting.prior_without("a", {"a": sources["a"]}, {})


def test_what_changed_between_two_priors_is_named(sources: dict[str, fitting.Examples]) -> None:
    one = fitting.prior_without(None, sources, sources)
    two = msgspec.structs.replace(one, kappas=one.kappas | {0.01: 0.5})

    assert fitting.changes(one, one) == []
    assert fitting.changes(one, two) == [("kappa at 0.01", one.kappas[0.01], 0.5)]
