"""Curves of cost and quality, and their figures, on choices that can be reckoned by hand."""

import numpy as np
import pytest

from eval.frontier import Frontier, apgr, between, cpt, neighbours, recovered, sweep
from router.prompt_surface import NAMES
from router.quality import Traits
from router.workload import Workload

CHEAPEST, DEAREST = (0.0, 0.5), (1.0, 1.0)
REWARD = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
"""The dear model is needed for two of four prompts."""
COST = np.tile([0.0, 1.0], (4, 1))


def test_who_knows_everything_pays_only_where_it_helps() -> None:
    curve = sweep(REWARD, COST, REWARD, COST)

    assert curve.cost_of(1.0) == pytest.approx(0.5)
    assert curve.at(0.25) == pytest.approx(0.75)
    assert curve.at(0.0) == 0.5


def test_who_knows_nothing_closes_half_of_the_gap() -> None:
    random = Frontier(np.array([0.0, 1.0]), np.array([0.5, 1.0]))

    assert apgr(random, CHEAPEST, DEAREST) == pytest.approx(0.5)
    assert cpt(random, 0.8, CHEAPEST, DEAREST) == pytest.approx(0.8)


def test_who_is_wrong_about_every_prompt_closes_less_than_half() -> None:
    curve = sweep(REWARD[:, ::-1] + [[0, 1], [1, 0], [1, 0], [0, 1]], COST, REWARD, COST)

    assert apgr(curve, CHEAPEST, DEAREST) < 0.5


def test_the_figures_of_the_literature_are_those_of_all_thresholds() -> None:
    chance = np.random.default_rng(1)
    reward = (chance.random((3000, 2)) < [0.6, 0.8]).astype(float)
    q = reward * 0.2 + chance.random((3000, 2))
    order = np.argsort(-(q[:, 1] - q[:, 0]))
    gains = np.concatenate(([0.0], np.cumsum((reward[:, 1] - reward[:, 0])[order])))
    exact = np.trapezoid(gains / gains[-1], dx=1 / len(order))
    cost = np.tile([0.0, 1.0], (3000, 1))

    found = apgr(sweep(q, cost, reward, cost), (0.0, float(reward[:, 0].mean())), (1.0, float(reward[:, 1].mean())))

    assert found == pytest.approx(exact, abs=0.003)


def test_a_quality_that_is_never_reached_has_no_cost() -> None:
    curve = Frontier(np.array([0.1, 1.0]), np.array([0.5, 0.8]))

    assert curve.cost_of(0.9) is None
    assert curve.cost_of(0.4) == pytest.approx(0.1)


def test_a_mixture_leaves_out_what_two_others_beat() -> None:
    mixture = between([(0.0, 0.5), (0.5, 0.6), (1.0, 1.0)])

    assert mixture.at(0.5) == pytest.approx(0.75)
    assert between([(0.0, 0.5), (0.1, 0.9), (1.0, 0.8)]).at(1.0) == pytest.approx(0.9)


def test_beyond_the_dearest_more_than_the_gap_is_recovered() -> None:
    assert recovered(1.1, 0.5, 1.0) == pytest.approx(1.2)
    assert recovered(0.5, 0.5, 1.0) == 0


def test_neighbours_are_the_plain_mean_of_the_nearest_that_were_learned() -> None:
    def seen(angle: float | None) -> Traits:
        vector = None if angle is None else np.array([np.cos(angle), np.sin(angle)], np.float32)
        return Traits(vector, np.zeros(len(NAMES), np.float32), Workload.CHAT)

    prompts = [*(seen(0.001 * place) for place in range(50)), *(seen(3 + 0.001 * place) for place in range(50))]
    prompts += [seen(0.0), seen(3.0), seen(None)]
    reward = np.array([[0.0]] * 50 + [[1.0]] * 50 + [[9.0]] * 3)

    found = neighbours(prompts, reward, np.arange(100), np.arange(100, 103))

    assert found.tolist() == [[0.0], [1.0], [0.5]]
