"""Groups that are fragments of one answer: told by the questions that lead to them."""

import itertools

import numpy as np
import pytest

from cache.fragments import LEAST, Mixture, is_due, take_turns
from cache.index import Vectors
from cache.query import Directives
from cache.sameness import Verdict
from tests.cache.asking import FAR, ByLabel, Compass, Keep, Kept, ask, pointing

DIM = 16


def cloud(seed: int, count: int, centre: int = 0, spread: float = 0.1) -> Vectors:
    """Unit vectors around one of the axes."""
    found = np.random.default_rng(seed).normal(0, spread, (count, DIM)).astype(np.float32)
    found[:, centre] += 1
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "share"), [(60, 0.5), (60, 0.2), (24, 0.5)])
def test_what_chance_has_dealt_of_one_set_is_mostly_found_to_be_one(count: int, share: float) -> None:
    cut = int(count * share)
    found = [
        Mixture(questions[:cut], questions[cut:]).may_be_one for questions in (cloud(at, count) for at in range(50))
    ]
    assert sum(found) > 25


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [LEAST, 24])
def test_what_lies_apart_is_not_one(seed: int, count: int) -> None:
    assert not Mixture(cloud(seed, count), cloud(seed + 100, 24, centre=1)).may_be_one


@pytest.mark.parametrize("seed", range(20))
def test_neighbours_are_not_one_however_near(seed: int) -> None:
    one, two = cloud(seed, 24, spread=0.02), cloud(seed + 100, 24, spread=0.02)
    two[:, 1] += 0.2
    two /= np.linalg.norm(two, axis=1, keepdims=True)
    mixture = Mixture(one, two)
    assert mixture.nearness > 0.95
    assert not mixture.may_be_one


def test_of_a_few_questions_nothing_is_said() -> None:
    questions = cloud(1, 30)
    assert not Mixture(questions[: LEAST - 1], questions[LEAST - 1 :]).may_be_one
    with pytest.raises(ValueError, match="without questions"):
        Mixture(questions[:0], questions)


def test_the_crossings_are_pairs_of_one_question_each() -> None:
    questions = cloud(1, 12)
    assert {(a < 5, b < 5) for a, b in Mixture(questions[:5], questions[5:]).crossings} <= {
        (True, False),
        (False, True),
    }


def test_what_came_after_all_of_the_other_may_be_what_has_changed() -> None:
    one, two = (np.stack([pointing(degrees) for degrees in range(first, 20, 2)]) for first in (0, 1))
    assert Mixture(one, two).may_be_one
    assert not Mixture(one, two, in_turns=False).may_be_one


@pytest.mark.parametrize(
    ("one", "two", "verdict"),
    [
        ([1, 3, 5], [2, 4, 6], True),
        ([1, 2, 3], [4, 5, 6], False),
        ([4, 5, 6], [1, 2, 3], False),
        ([1, 2, 3, 5], [4, 6, 7], False),
        ([1, 2, 3, 6, 8], [4, 5, 7], True),
    ],
)
def test_groups_that_take_turns_have_grown_since_the_other_began(one: list[int], two: list[int], verdict: bool) -> None:
    assert take_turns(one, two) == verdict


def test_a_group_is_looked_at_again_whenever_it_has_grown_by_a_quarter() -> None:
    due = [size for size in range(1000) if is_due(size)]
    assert due[0] == LEAST
    assert all(1 < later / earlier <= 1.25 or later == earlier + 1 for earlier, later in itertools.pairwise(due))


# --- in the cache -------------------------------------------------------------------------------------------


class InStyles(ByLabel):
    """Answers of one label are linked; of those of two labels the test says how alike they are."""

    def __init__(self, alike: float, verdict: Verdict) -> None:
        self._alike, self._verdict = alike, verdict

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return super().sameness(one, two, cosine) or self._alike

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        return "same" if super().verdict(one, two, cosine) == "same" else self._verdict


OPENINGS = (
    *("", "please tell me: ", "could you tell me: ", "i would like to know: ", "can you say: ", "do you know: "),
    *("would you explain: ", "i want to know: ", "may i ask: ", "please explain: ", "i must know: ", "please say: "),
)
SAME = [f"{opening}how do I reset my password?" for opening in OPENINGS]


async def learned(
    keep: Keep, asked: list[str], alike: float, verdict: Verdict, apart: float = 0.0, labels: str = "ab" * 6
) -> Kept:
    """Two labels take turns as answers to these questions, which lie a degree from each other, and those of one label
    this much farther from those of the other."""
    directions: dict[str, float | None] = {text: at + apart * (at % 2) for at, text in enumerate(asked)}
    kept = keep(Compass(directions), comparison=InStyles(alike, verdict))
    for at, text in enumerate(asked):
        await kept.learn(ask(text), f"{labels[at]}: in words of its own, {at}")
    await kept.learn(ask(FAR), "c: something else")
    return kept


async def test_groups_of_which_the_same_is_asked_become_one_if_their_answers_may_say_the_same(keep: Keep) -> None:
    kept = await learned(keep, SAME, 0.3, "unclear")
    assert (kept.count("groups"), kept.faults) == (2, [])


async def test_what_has_become_one_is_one_after_a_restart(keep: Keep) -> None:
    """Answers like those of the group that has gone are found by them."""
    before = await learned(keep, SAME, 0.3, "unclear")
    before.close()
    asked = [f"{opening}can I reset my password?" for opening in OPENINGS[:2]]
    after = keep(Compass(dict.fromkeys(asked, 3.0)), comparison=InStyles(0.0, "unclear"))
    for text, label in zip(asked, "ab", strict=True):
        await after.learn(ask(text, directives=Directives(no_cache=True)), f"{label}: anew")
    assert (after.count("groups"), after.faults) == (2, [])


@pytest.mark.parametrize(("alike", "verdict"), [(0.01, "unclear"), (0.3, "different")])
async def test_answers_that_say_something_else_stay_apart_whatever_is_asked(
    keep: Keep, alike: float, verdict: Verdict
) -> None:
    kept = await learned(keep, SAME, alike, verdict)
    assert (kept.count("groups"), kept.faults) == (3, [])


async def test_groups_of_which_something_else_is_asked_stay_apart(keep: Keep) -> None:
    kept = await learned(keep, SAME, 0.3, "unclear", apart=40)
    assert (kept.count("groups"), kept.faults) == (3, [])


@pytest.mark.parametrize(
    "asked",
    [
        [f"{opening}how do I turn {'on' if at % 2 else 'off'} roaming?" for at, opening in enumerate(OPENINGS)],
        [f"{opening}what does plan {1 + at % 2} cost?" for at, opening in enumerate(OPENINGS)],
        [f"{opening}is it warm in {('Rome', 'Oslo')[at % 2]}?" for at, opening in enumerate(OPENINGS)],
    ],
    ids=["the opposite", "another number", "another name"],
)
async def test_questions_that_differ_in_what_matters_make_no_two_answers_one(keep: Keep, asked: list[str]) -> None:
    kept = await learned(keep, asked, 0.3, "unclear")
    assert (kept.count("groups"), kept.faults) == (3, [])


async def test_an_answer_that_has_changed_does_not_become_one_with_what_it_was(keep: Keep) -> None:
    before, after = SAME[::2], SAME[1::2]
    kept = await learned(keep, [*before, *after], 0.3, "unclear", labels="a" * 6 + "b" * 6)
    assert (kept.count("groups"), kept.faults) == (3, [])
