"""The rule of vCache, against values worked out by hand from the formulas of its paper."""

import math

import numpy as np
import pytest

from eval.baselines import index_stream, replay
from eval.streams import Question
from eval.vcache import LEAST_OBSERVATIONS, SEPARATED, Boundary, VCache, exploration, fit_boundary


def test_a_certain_boundary_leaves_only_the_logistic_curve() -> None:
    # L = 1 / (1 + exp(-50 * 0.1)) = 0.9933071; tau = 1 - 0.001 / (1 - L) = 0.850586.
    tau = exploration(0.9, Boundary(threshold=0.8, slope=50.0, variance=0.0), delta=0.001)

    assert tau == pytest.approx(0.850586, abs=2e-4)


def test_an_answer_right_often_enough_is_never_asked_for() -> None:
    # 1 - L = 0.0066929 is less than delta.
    assert exploration(0.9, Boundary(0.8, 50.0, 0.0), delta=0.01) < 0


def test_at_the_boundary_half_of_the_answers_are_wrong_and_nearly_all_are_asked_for() -> None:
    # L = 1/2; tau = 1 - 0.02 / 0.5.
    assert exploration(0.8, Boundary(0.8, 50.0, 0.0), delta=0.02) == pytest.approx(0.96, abs=1e-4)


def test_an_unsure_boundary_is_taken_at_the_bound_that_costs_least() -> None:
    # By hand over the same grid: 1 - delta / (1 - (1 - e) L(s; t + z(1 - e) sd, g)).
    threshold, slope, deviation, similarity, delta = 0.7, 40.0, 0.05, 0.9, 0.02
    found = []
    for e in np.linspace(1e-6, 1 - 1e-6, 50).tolist():
        z = math.sqrt(2) * _inverse_erf(1 - 2 * e)
        bound = min(max(threshold + z * deviation, 0.0), 1.0)
        likely = 1 / (1 + math.exp(-slope * (similarity - bound)))
        found.append(1 - delta / (1 - (1 - e) * likely))

    tau = exploration(similarity, Boundary(threshold, slope, deviation**2), delta)

    assert tau == pytest.approx(min(found), abs=1e-6)
    assert tau > exploration(similarity, Boundary(threshold, slope, 0.0), delta)


def _inverse_erf(value: float) -> float:
    low, high = -6.0, 6.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < value else (low, middle)
    return low


def test_the_likelihood_is_greatest_where_its_gradient_vanishes() -> None:
    observations = [(0.2, False), (0.4, True), (0.6, False), (0.8, True), (0.5, True), (0.5, False)]

    found = fit_boundary(observations)

    p = [1 / (1 + math.exp(-found.slope * (s - found.threshold))) for s, _ in observations]
    rests = [right - each for each, (_, right) in zip(p, observations, strict=True)]
    assert sum(rests) == pytest.approx(0, abs=1e-4)
    assert sum(rest * s for rest, (s, _) in zip(rests, observations, strict=True)) == pytest.approx(0, abs=1e-2)
    assert found.threshold == pytest.approx(0.5, abs=1e-3)
    assert found.variance > 0


def test_the_variance_follows_from_the_curvature_by_the_delta_method() -> None:
    # One parameter free in effect: at s = t the weights are p (1 - p) = 1/4 each, so that var(t) = 4 / (n slope^2)
    # + a part of the slope that vanishes at the mean of the similarities.
    observations = [(0.4, False), (0.4, False), (0.4, True), (0.6, True), (0.6, True), (0.6, False)]

    found = fit_boundary(observations)

    p = 1 / (1 + math.exp(-found.slope * 0.1))
    assert p == pytest.approx(2 / 3, abs=2e-3)
    assert found.variance == pytest.approx(1 / (6 * p * (1 - p) * found.slope**2), rel=2e-2)


def test_where_right_and_wrong_are_apart_the_boundary_lies_between_and_stays_unsure() -> None:
    found = fit_boundary([(0.0, False), (1.0, True), (0.5, False), (0.9, True), (0.95, True)])

    assert 0.5 < found.threshold < 0.9
    assert found.variance == SEPARATED / 5


def test_similarity_that_speaks_against_an_answer_is_no_boundary_at_all() -> None:
    assert fit_boundary([(0.1, True), (0.9, False), (0.2, True), (0.8, False)]).slope == 1e-6


def near(count: int, answer: str = "one") -> tuple[list[Question], dict[str, np.ndarray]]:
    """Questions in one direction, a little apart."""
    questions = [Question(f"question {number}", answer) for number in range(count)]
    angles = [number * 1e-3 for number in range(count)]
    vectors = {
        question.text: np.array([math.cos(angle), math.sin(angle)], np.float32)
        for question, angle in zip(questions, angles, strict=True)
    }
    return questions, vectors


def test_it_asks_until_it_has_seen_enough_and_stores_no_question_that_was_right() -> None:
    questions, vectors = near(LEAST_OBSERVATIONS - 1)
    stream = index_stream(questions, vectors)
    rule = VCache(0.5, len(stream.vectors), seed=1)

    replay(stream, [rule])

    assert rule.hits == 0
    assert list(rule._observations) == [0]
    assert len(rule._observations[0]) == LEAST_OBSERVATIONS


def test_it_serves_what_was_always_right() -> None:
    questions, vectors = near(200)
    stream = index_stream(questions, vectors)

    (tally,) = replay(stream, [VCache(0.1, len(stream.vectors), seed=1)])

    assert tally.hits > 50
    assert tally.wrong == 0


def test_it_serves_next_to_nothing_where_the_nearest_is_wrong_every_other_time() -> None:
    questions, vectors = near(200)
    mixed = [Question(each.text, f"{number % 2}") for number, each in enumerate(questions)]
    stream = index_stream(mixed, vectors)

    (tally,) = replay(stream, [VCache(0.01, len(stream.vectors), seed=1)])

    assert tally.hits < 0.1 * tally.asked
