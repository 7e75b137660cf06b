"""Trees that are grown from labelled rows, and what they then say of others."""

import numpy as np
import pytest

from cache.answer_trees import DEPTH, Tree, Trees
from eval.boosting import grow

NAMES = ("left", "right", "noise")


def rows(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The label is whether exactly one of the first two is above a half: no sum of amounts says so."""
    amounts = np.random.default_rng(seed).random((number, 3))
    return amounts, ((amounts[:, 0] > 0.5) != (amounts[:, 1] > 0.5)).astype(float)


def said(trees: list[Tree], amounts: np.ndarray) -> np.ndarray:
    summed = Trees(trees)
    return np.array([summed.log_odds(dict(zip(NAMES, row, strict=True))) for row in amounts.tolist()])


def test_trees_learn_what_no_sum_of_amounts_could_say() -> None:
    amounts, labels = rows(1500)
    trees = grow(amounts, labels, np.ones(len(labels)), NAMES, trees=60)
    other, truth = rows(500, seed=1)
    assert np.mean((said(trees, other) > 0) == (truth > 0.5)) > 0.95


def test_the_same_rows_give_the_same_trees() -> None:
    amounts, labels = rows(300)
    weights = np.ones(len(labels))
    assert grow(amounts, labels, weights, NAMES, trees=5) == grow(amounts, labels, weights, NAMES, trees=5)


def test_a_row_that_weighs_more_is_believed_more() -> None:
    amounts = np.tile([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]], (100, 1))
    labels = np.array([1.0, 0.0] * 50 + [0.0, 1.0] * 50)  # the second half contradicts the first
    for first, sign in ((3.0, 1), (0.3, -1)):
        trees = grow(amounts, labels, np.array([first] * 100 + [1.0] * 100), NAMES, trees=60)
        assert np.sign(said(trees, amounts[:1])[0]) == sign


def test_an_amount_that_never_changes_is_never_asked_about() -> None:
    amounts, labels = rows(300)
    amounts[:, 2] = 7.0
    trees = grow(amounts, labels, np.ones(len(labels)), NAMES, trees=20)
    assert all("noise" not in tree.asked for tree in trees)


def test_the_leaf_is_numbered_by_the_answers_and_a_missing_amount_is_nothing() -> None:
    tree = Tree(("a", "b", "c"), (0.5, 0.5, 0.5), tuple(float(leaf) for leaf in range(1 << DEPTH)))
    trees = Trees([tree])
    assert trees.log_odds({"a": 1.0, "c": 1.0}) == 0b101
    assert trees.log_odds({}) == 0
    assert Trees([tree, tree]).log_odds({"b": 1.0}) == pytest.approx(2 * 0b010)


def test_without_trees_nothing_speaks_for_or_against() -> None:
    assert Trees([]).log_odds({"a": 1.0}) == 0
