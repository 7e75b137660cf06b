"""Questions that only look alike: how scenes are played, and how they are counted."""

import numpy as np
import pytest

from cache.decision import Prior
from eval.adversarial import (
    CATEGORIES,
    SEVERAL,
    TRAPS,
    Pair,
    Scene,
    Trial,
    by_category,
    measure_in_full,
    measure_pairs,
    read_adversarial,
    read_several,
    read_traps,
)
from eval.cache import policy_of
from eval.streams import Question
from tests.eval.made_streams import DIM, made_prior, unit
from tests.running import ROOT

DATA = ROOT / "data"
POLICY = policy_of(0.01, "prior")


@pytest.fixture(scope="module")
def prior() -> Prior:
    return made_prior()


def test_every_pair_is_read_in_both_directions() -> None:
    pairs = read_adversarial(DATA / "adversarial" / "pairs.jsonl", "test")

    assert len(pairs) == 748
    assert {pair.category for pair in pairs} == set(CATEGORIES)
    assert pairs[0].stored == pairs[1].asked
    assert pairs[0].asked == pairs[1].stored
    assert all(pair.is_same == (pair.category == "harmless") for pair in pairs)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_several_wordings_stand_beside_what_is_asked(split: str) -> None:
    pairs = read_several(DATA / "adversarial" / "several.jsonl", split)

    assert {pair.category for pair in pairs} == set(SEVERAL)
    assert all(pair.is_same == (pair.category == "harmless") for pair in pairs)
    assert all(len({pair.stored, *pair.wordings, pair.asked}) == 4 for pair in pairs)


def test_every_trap_stands_beside_the_question_that_it_resembles() -> None:
    traps = read_traps(DATA / "faq" / "questions.jsonl", DATA / "faq" / "traps.jsonl")

    assert {trap.category for trap in traps} == set(TRAPS)
    assert not any(trap.is_same for trap in traps)
    assert all(trap.stored.endswith("?") and trap.near for trap in traps[:10])


def test_scenes_are_counted_by_category_and_bounds_belong_on_questions() -> None:
    wrong, quiet = Scene(2, True, False, False), Scene(0, False, False, True)
    trials = [
        Trial(Pair("number", "a", "b", False), (quiet, wrong)),
        Trial(Pair("number", "b", "a", False), (quiet, quiet)),
        Trial(Pair("harmless", "c", "d", True), (Scene(0, True, True, False),)),
    ]

    number, harmless = by_category(trials, CATEGORIES)

    assert (number.category, number.directed, number.scenes, number.kept_out) == ("number", 2, 4, 3)
    assert (number.wrong.successes, number.wrong.trials) == (1, 4)
    assert (number.any_wrong.successes, number.any_wrong.trials) == (1, 2)
    assert number.wrong_by_context == ((0, 3, 0), (2, 1, 1))
    assert number.examples == (("a", "b"),)
    assert (harmless.right.successes, harmless.wrong.successes) == (1, 0)


def test_a_pair_is_played_in_every_context_and_a_personal_one_is_kept_out(prior: Prior) -> None:
    near = unit(np.eye(DIM)[0])
    others = [Question(f"where is hall {'abcdefgh'[number]} of the museum", f"{number}") for number in range(8)]
    pairs = [
        Pair("opposite", "How do I open the gate?", "How do I close the gate?", False),
        Pair("personal", "How do I open the gate?", "Where is my parcel with the number 1234567?", False),
    ]
    vectors = {other.text: unit(np.eye(DIM)[number + 1]) for number, other in enumerate(others)}
    vectors |= {text: near for pair in pairs for text in (pair.stored, pair.asked)}
    seen: list[int] = []

    opposite, personal = measure_pairs(pairs, others, vectors, prior, POLICY, (0, 2, 8), seen.append)

    assert [scene.others for scene in opposite.scenes] == [0, 2, 8]
    assert not any(scene.is_kept_out or scene.is_served for scene in opposite.scenes)
    assert all(scene.is_kept_out and not scene.is_served for scene in personal.scenes)
    assert sum(seen) == 2


def test_all_wordings_are_stored_though_one_would_answer_the_next(prior: Prior) -> None:
    wordings = ("How is the gate opened?", "Which way does the gate open?")
    pair = Pair("harmless", "How do I open the gate?", "How do I open this gate?", True, wordings=wordings)
    vectors = {text: unit(np.eye(DIM)[number]) for number, text in enumerate((pair.stored, *wordings))}
    asked_like_the_last = {pair.asked: vectors[wordings[-1]]}

    (alone,) = measure_pairs(
        [Pair("harmless", pair.stored, pair.asked, True)], [], vectors | asked_like_the_last, prior, POLICY, (0,)
    )
    (several,) = measure_pairs([pair], [], vectors | asked_like_the_last, prior, POLICY, (0,))

    assert not alone.scenes[0].is_served
    assert several.scenes[0].is_right


def test_the_same_text_is_served_and_is_wrong_where_the_answers_differ(prior: Prior) -> None:
    pair = Pair("entity", "How do I open the gate?", "How do I open the gate?", False)
    vectors = {pair.stored: unit(np.eye(DIM)[0])}

    (trial,) = measure_pairs([pair], [], vectors, prior, POLICY, (0,))
    (full,) = measure_in_full([pair], [Question(pair.stored, "old")], vectors, prior, POLICY)

    assert trial.scenes == (Scene(0, True, False, False),)
    assert full.scenes == (Scene(1, True, False, False),)


def test_what_is_asked_leaves_nothing_behind(prior: Prior) -> None:
    pair = Pair("number", "x", "How do I open the gate?", False)
    vectors = {pair.asked: unit(np.eye(DIM)[0])}

    trials = measure_in_full([pair, pair], [], vectors, prior, POLICY)

    assert not any(trial.scenes[0].is_served for trial in trials)
