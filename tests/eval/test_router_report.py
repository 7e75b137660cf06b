"""The evaluation of the router, on a made data set through the real estimators: figures, tables, page, reading."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eval import router_html, router_report, router_text
from eval.router import Bench, Prices, halves, load_gsm8k, load_mmlu, load_paretobandit, split
from eval.router_report import MIXTURE, NEIGHBOURS, ORACLE, OURS, Plan, RouterReport, Set, Source, interval
from eval.streams import DataMissing
from router.catalogue import Tier
from router.prompt_surface import NAMES
from router.quality import Traits
from router.workload import Workload

PROMPTS = 400
DIM = 8


@contextmanager
def quiet(_: str, __: int) -> Iterator[Callable[[int], None]]:
    yield lambda _: None


def made(name: str, *, is_money: bool) -> Set:
    """The cheap model can do what points one way, the dear one everything; cost is in proportion to price."""
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(PROMPTS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    easy = vectors[:, 0] > 0
    seen = [Traits(vector, np.zeros(len(NAMES), np.float32), Workload.CHAT) for vector in vectors]
    columns = [np.where(easy, 0.9, 0.2), np.full(PROMPTS, 0.9)]
    costs = [0.0, 1.0]
    if is_money:
        columns.insert(1, np.where(easy, 0.9, 0.6))
        costs = [0.0001, 0.001, 0.01]
    bench = Bench(
        name=name,
        models=tuple(f"maker/{place}" for place in range(len(costs))),
        tiers=(Tier.ECONOMY, Tier.MID, Tier.PREMIUM)[: len(costs)],
        prices=tuple(Prices(0.0, 1e4 * cost) for cost in costs) if is_money else (),
        prompts=tuple(f"prompt {place}" for place in range(PROMPTS)),
        reward=np.stack(columns, 1),
        cost=np.tile(costs, (PROMPTS, 1)),
    )
    return Set(Source(name, lambda _: bench, None if is_money else 150, is_money), bench, seen)


@pytest.fixture(scope="module")
def report() -> RouterReport:
    plan = Plan(data=Path("somewhere/data"), splits=2)
    return router_report.evaluate(
        plan, [made("paretobandit", is_money=True), made("MMLU", is_money=False)], "encoder", quiet
    )


def test_the_router_beats_what_reads_no_prompt_and_is_beaten_by_who_knows_everything(report: RouterReport) -> None:
    for each in report.sets:
        areas = {}
        for policy in each.policies:
            if policy.apgr is not None:
                areas[policy.name] = policy.apgr.value

        assert areas[MIXTURE] < areas[OURS] <= areas[ORACLE]
        assert areas[OURS] > areas[NEIGHBOURS] - 0.02


def test_every_static_policy_stands_beside_ours(report: RouterReport) -> None:
    for each in report.sets:
        fixed = [policy.name for policy in each.policies if policy.is_fixed]

        assert fixed == [f"always {model.partition('/')[2]}" for model in each.models]


def test_expected_costs_are_near_what_is_paid(report: RouterReport) -> None:
    for tally in report.sets[0].tallies:
        assert tally.cost_ratio == pytest.approx(1.0, rel=0.15)


def test_what_is_tested_was_not_learned() -> None:
    each = made("made", is_money=True)
    train, test = halves(PROMPTS, 1)

    assert set(train) | set(test) == set(range(PROMPTS))
    assert set(train).isdisjoint(test)
    assert split(each.bench, each.seen, 1).rows.tolist() == test.tolist()


def test_budgets_are_simulated_for_data_with_costs(report: RouterReport) -> None:
    assert {result.budget_share for result in report.budgets} == set(router_report.BUDGETS)
    assert "paced" in {result.policy for result in report.budgets}


def test_verdicts_come_first_in_the_json_and_no_path_is_told(report: RouterReport) -> None:
    text = router_text.as_json(report)
    figures = json.loads(text)

    assert next(iter(figures)) == "verdicts"
    assert figures["plan"]["data"] == "data"
    assert "somewhere" not in text
    assert len(figures["sets"]) == 2


def test_every_table_is_on_screen_and_on_the_page(report: RouterReport) -> None:
    screen = io.StringIO()
    Console(file=screen, width=220).print(router_text.as_tables(report))
    page = router_html.as_html(report, made_at=datetime(2026, 5, 1, 12, 0, tzinfo=UTC))

    for chapter in router_text.chapters(report):
        assert chapter.title in screen.getvalue()
        assert chapter.title in page
        for sheet in chapter.sheets:
            assert sheet.title in screen.getvalue()
            assert sheet.title in page
    assert "made 2026-05-01 12:00:00 UTC" in page
    assert page.count("<figure>") == 2


def test_the_page_loads_nothing(report: RouterReport) -> None:
    page = router_html.as_html(report, made_at=datetime(2026, 5, 1, tzinfo=UTC))

    assert all(each not in page for each in ("<script", "src=", "href=", "url(", "@import"))


def test_curves_lie_inside_their_charts(report: RouterReport) -> None:
    for each in report.sets:
        chart = router_html.chart(each)

        for line in chart.lines:
            points = [tuple(map(float, point.split(","))) for point in line.path.removeprefix("M").split(" L")]
            assert all(-0.01 <= x <= 100.01 and -0.01 <= y <= 100.01 for x, y in points)
        assert all(0 <= dot.across <= 100 and 0 <= dot.down <= chart.height_px for dot in chart.dots)


def test_without_data_the_classifier_and_the_time_of_a_decision_remain() -> None:
    plan = Plan(data=None)
    report = router_report.evaluate(plan, [], "encoder", quiet)
    page = router_html.as_html(report, made_at=datetime(2026, 5, 1, tzinfo=UTC))

    assert [chapter.title for chapter in router_text.chapters(report)] == ["What kind of work a prompt asks for"]
    assert "our own set only" in page
    assert "<figure>" not in page
    assert report.workload.right.trials > 100


def test_an_interval_covers_its_mean_and_a_single_split_has_none() -> None:
    found = interval([1.0, 2.0, 3.0, None])

    assert found is not None
    assert (round(found.low, 3), found.value, round(found.high, 3), found.splits) == (-0.484, 2.0, 4.484, 3)
    single = interval([0.5])
    assert single is not None
    assert (single.low, single.high) == (0.5, 0.5)
    assert interval([None]) is None


def test_paretobandit_is_read_with_its_prices_from_cheap_to_dear(tmp_path: Path) -> None:
    folder = tmp_path / "paretobandit"
    folder.mkdir()
    prices = {"a": 1.0, "b": 2.0, "c": 3.0}
    models = [{"model_id": name, "input_cost_per_m": 0.1, "output_cost_per_m": price} for name, price in prices.items()]
    row = {
        "prompt": "line\u2028separator",
        "arms": {
            name: {"reward": reward, "cost": 10 * reward} for name, reward in (("c", 0.3), ("a", 0.1), ("b", 0.2))
        },
    }
    (folder / "models.json").write_text(json.dumps({"models": models}))
    (folder / "val.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")

    bench = load_paretobandit(tmp_path)

    assert bench.prompts == ("line\u2028separator",)
    assert bench.reward.tolist() == [[0.1, 0.2, 0.3]]
    assert [each.output for each in bench.prices] == [1.0, 2.0, 3.0]


def test_right_and_wrong_answers_are_read_as_rewards(tmp_path: Path) -> None:
    head = "prompt,mistralai/Mixtral-8x7B-Instruct-v0.1,gpt-4-1106-preview\n"
    (tmp_path / "routellm" / "mmlu").mkdir(parents=True)
    (tmp_path / "routellm" / "gsm8k").mkdir()
    (tmp_path / "routellm" / "mmlu" / "mmlu_law.csv").write_text(f'{head}"one\ntwo",False,True\n')
    (tmp_path / "routellm" / "gsm8k" / "gsm8k_responses.csv").write_text(f"{head}three,True,True\n")

    assert load_mmlu(tmp_path).prompts == ("one\ntwo",)
    assert load_mmlu(tmp_path).reward.tolist() == [[0.0, 1.0]]
    assert load_gsm8k(tmp_path).reward.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("load", [load_paretobandit, load_mmlu, load_gsm8k])
def test_a_missing_data_set_is_named(load: Callable[[Path], Bench], tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="is not there"):
        load(tmp_path)
