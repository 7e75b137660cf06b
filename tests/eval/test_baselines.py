"""What the cache is compared with, on streams small enough to follow by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from eval.baselines import (
    Judged,
    Nearest,
    Threshold,
    exact_only,
    frontier,
    index_stream,
    oracle,
    replay,
)
from eval.streams import Question


def vector(degrees: float) -> NDArray[np.float32]:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


STREAM = [Question(*each) for each in (("a", "1"), ("b", "1"), ("c", "2"), ("a", "1"), ("d", "2"), ("c", "1"))]
VECTORS = {"a": vector(0), "b": vector(10), "c": vector(25), "d": vector(28)}


def test_repetitions_are_counted_apart_and_can_be_wrong() -> None:
    stream = index_stream(STREAM, VECTORS)

    assert (stream.asked, stream.exact, stream.exact_right) == (6, 2, 1)
    assert stream.answers.tolist() == [0, 0, 1, 1]
    assert exact_only(stream).correct_share == pytest.approx(1 / 6)


def test_the_oracle_serves_whatever_has_been_answered_before() -> None:
    assert oracle(index_stream(STREAM, VECTORS)).correct == 4


def test_a_stream_without_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="no question"):
        index_stream(STREAM, {})


@pytest.mark.parametrize(
    ("degrees", "hits", "wrong"),
    [
        (1, 0, 0),
        (4, 1, 0),  # d by c
        (11, 2, 0),  # b by a as well
        (16, 2, 0),  # c not by b, which was served and so not stored
        (26, 2, 1),  # c by a, wrongly; d by nothing: c was not stored, and a is 28 degrees away
    ],
)
def test_a_threshold_serves_the_nearest_stored_question(degrees: float, hits: int, wrong: int) -> None:
    stream = index_stream(STREAM, VECTORS)

    (found,) = replay(stream, [Threshold(float(np.cos(np.radians(degrees))), len(stream.vectors))])

    assert (found.hits, found.wrong) == (hits, wrong)
    assert found.correct == hits - wrong + stream.exact_right


def test_choosing_in_hindsight_sees_every_question_stored() -> None:
    stream, nearest = index_stream(STREAM, VECTORS), Nearest()

    (found,) = replay(stream, [nearest])

    assert found.hits == 0
    assert nearest.scores == pytest.approx([np.cos(np.radians(each)) for each in (10, 15, 3)], abs=1e-5)
    assert nearest.is_right == [True, False, True]


def judged(*pairs: tuple[float, bool], asked: int = 10, exact: int = 0) -> Judged:
    return Judged(np.array([each[0] for each in pairs]), np.array([each[1] for each in pairs], bool), asked, exact)


def test_the_frontier_is_the_loosest_cut_that_holds_each_level() -> None:
    found = judged((0.9, True), (0.8, True), (0.7, False), (0.6, True), (0.5, False))

    assert frontier(found, [0.0, 0.25, 0.4]) == pytest.approx([0.2, 0.3, 0.3])


def test_equal_scores_are_served_together() -> None:
    assert frontier(judged((0.9, True), (0.9, False)), [0.0, 0.5]) == [0.0, 0.1]


def test_right_repetitions_count_as_correct_and_hide_no_error() -> None:
    found = judged((0.9, False), (0.8, True), exact=4)

    assert frontier(found, [0.1, 0.5]) == pytest.approx([0.4, 0.5])


def test_nothing_judged_leaves_the_repetitions() -> None:
    assert frontier(judged(exact=2), [0.01]) == [0.2]


def test_a_long_stream_is_compared_in_blocks_as_if_it_were_not() -> None:
    rng = np.random.default_rng(1)
    questions = [Question(f"{number}", f"{number % 7}") for number in range(1300)]
    rows = rng.normal(size=(1300, 8)).astype(np.float32)
    vectors = {each.text: row / np.linalg.norm(row) for each, row in zip(questions, rows, strict=True)}
    stream, nearest = index_stream(questions, vectors), Nearest()

    replay(stream, [nearest])

    every = stream.vectors @ stream.vectors.T
    expected = [int(every[place, :place].argmax()) for place in range(1, 1300)]
    right = [stream.answers[other] == stream.answers[place] for place, other in enumerate(expected, start=1)]
    assert nearest.is_right == right
