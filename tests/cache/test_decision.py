"""When a stored answer may serve: what speaks for it, what against it, and that nothing else plays a part."""

import ast
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cache
from cache.decision import Decision, Neighbour, decide

RESET = "How do I reset my password?"
FLOOR = 0.55
_ids = count(1)


def near(similarity: float, answer: str = "a", text: str = RESET, *, is_servable: bool = True) -> Neighbour:
    return Neighbour(next(_ids), text, similarity, answer.encode(), is_servable)


def judge(*neighbours: Neighbour, text: str = RESET, floor: float = FLOOR) -> Decision:
    return decide(text, neighbours, floor)


def test_without_neighbours_nothing_is_served() -> None:
    assert judge() == Decision(False, "no-neighbour", None)


def test_a_near_neighbour_without_rival_serves() -> None:
    best = near(0.9)
    assert judge(best) == Decision(True, "near", best)


def test_one_far_neighbour_alone_is_not_enough() -> None:
    far = near(0.7)
    assert judge(far) == Decision(False, "unsure", far)


def test_neighbours_with_the_same_answer_make_up_for_distance() -> None:
    assert judge(near(0.7), near(0.69), near(0.68)).serves
    assert not judge(near(0.7), near(0.69, "b"), near(0.68, "c")).serves


@given(
    similarities=st.lists(st.floats(0, 1), min_size=1, max_size=8),
    answers=st.lists(st.sampled_from("ab"), min_size=8, max_size=8),
    floor=st.floats(0, 1),
)
def test_nothing_below_the_floor_is_ever_served(similarities: list[float], answers: list[str], floor: float) -> None:
    neighbours = [near(*each) for each in zip(sorted(similarities, reverse=True), answers, strict=False)]
    decision = judge(*neighbours, floor=floor)
    assert not (decision.serves and decision.neighbour is not None and decision.neighbour.similarity < floor)


def test_nothing_below_the_floor_is_served_behind_a_blocked_neighbour_above_it() -> None:
    blocked = near(0.9, "b", "Is the 256 GB model in blue?")
    friends = [near(similarity, "a", "Does the 128 GB model come in blue?") for similarity in (0.78, 0.77, 0.76, 0.75)]
    text = "Is the 128 GB model in blue?"
    assert judge(blocked, *friends, text=text, floor=0.7).serves
    assert judge(blocked, *friends, text=text, floor=0.8) == Decision(False, "number-mismatch", blocked)


@given(
    similarities=st.lists(st.floats(0.3, 1), min_size=1, max_size=7),
    answers=st.lists(st.sampled_from("ab"), min_size=7, max_size=7),
    rival=st.floats(0.3, 1),
)
def test_one_more_neighbour_with_another_answer_never_opens(
    similarities: list[float], answers: list[str], rival: float
) -> None:
    ranked = sorted(similarities, reverse=True)
    neighbours = [near(*each) for each in zip(ranked, answers, strict=False)]
    served = judge(*neighbours).serves
    with_rival = sorted([*neighbours, near(rival, "c")], key=lambda each: -each.similarity)
    decision = judge(*with_rival)
    assert served or not decision.serves or (decision.neighbour is not None and decision.neighbour.answer == b"c")


def test_another_answer_nearly_as_near_blocks() -> None:
    best = near(0.9)
    assert judge(best, near(0.88, "b")) == Decision(False, "unsure", best)
    assert judge(best, near(0.6, "b")).serves


def test_another_answer_that_is_nearer_blocks_even_if_its_caller_may_not_have_it() -> None:
    mine = near(0.9)
    assert judge(near(0.93, "b", is_servable=False), mine) == Decision(False, "unsure", mine)


def test_an_entry_that_this_caller_may_not_have_still_speaks_for_its_answer() -> None:
    mine = near(0.72)
    friends = [near(0.74, is_servable=False), near(0.73, is_servable=False)]
    assert judge(*friends, mine) == Decision(True, "near", mine)
    assert not judge(mine).serves


def test_nothing_is_served_that_this_caller_may_not_have() -> None:
    theirs = near(1.0, is_servable=False)
    assert judge(theirs) == Decision(False, "not-acceptable", theirs)


@pytest.mark.parametrize(
    ("text", "other", "reason"),
    [
        ("How do I turn on dark mode?", "How do I turn off dark mode?", "polarity-mismatch"),
        ("Is the 128 GB model in blue?", "Is the 256 GB model in blue?", "number-mismatch"),
        ("Do you accept PayPal?", "Do you accept Klarna?", "entity-mismatch"),
        ("Move it from Drive to Box?", "Move it from Box to Drive?", "role-mismatch"),
    ],
)
def test_a_mismatch_blocks_however_near_the_vector_is(text: str, other: str, reason: str) -> None:
    opposite = near(0.99, text=other)
    assert judge(opposite, text=text) == Decision(False, reason, opposite)


def test_behind_a_blocked_neighbour_the_right_one_serves() -> None:
    other = near(0.93, "b", "Is the 256 GB model in blue?")
    right = near(0.92, "a", "Does the 128 GB model come in blue?")
    assert judge(other, right, text="Is the 128 GB model in blue?") == Decision(True, "near", right)


def test_a_blocked_neighbour_that_is_much_nearer_makes_the_next_one_doubtful() -> None:
    opposite = near(0.97, "b", "How do I turn off dark mode?")
    farther = near(0.81, "a", "Where do I enable night colours?")
    assert judge(opposite, farther, text="How do I turn on dark mode?") == Decision(False, "unsure", farther)


def test_an_answer_whose_only_anchor_is_blocked_is_not_served_by_votes() -> None:
    off = [near(similarity, text="How do I turn off dark mode?") for similarity in (0.97, 0.96, 0.95, 0.94)]
    assert not judge(*off, text="How do I turn on dark mode?").serves


PURE_MODULES = ("scope", "cacheability", "signals", "decision", "query")
PURE_IMPORTS = {
    "collections.abc", "functools", "hashlib", "math", "msgspec", "re", "typing", "unicodedata",
    "cache.query", "cache.scope", "cache.signals",
}  # fmt: skip


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_decision_has_no_clock_no_chance_and_no_file_to_ask(module: str) -> None:
    source = (Path(cache.__path__[0]) / f"{module}.py").read_text(encoding="utf-8")
    imports = {
        name
        for node in ast.walk(ast.parse(source))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imports <= PURE_IMPORTS


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from("abc"), st.sampled_from([RESET, "How do I close my account?"])),
        max_size=8,
    )
)
def test_the_same_neighbours_lead_to_the_same_decision_whatever_was_decided_before(
    found: list[tuple[float, str, str]],
) -> None:
    neighbours = [near(*each) for each in sorted(found, key=lambda each: -each[0])]
    before = list(neighbours)
    first = judge(*neighbours)
    judge(near(0.99, "z", "Something else 42"), text="Another text without 7")
    assert judge(*neighbours) == first
    assert neighbours == before
