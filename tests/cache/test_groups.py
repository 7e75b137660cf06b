"""Answer groups: what belongs together, and what labels have shown of it."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.answers import Verdict
from cache.groups import (
    OFFSET_AT_LEAST,
    OFFSET_AT_MOST,
    STRAINS_AT_MOST,
    WORDINGS_AT_MOST,
    Evidence,
    Group,
    Groups,
)
from cache.index import VectorIndex
from tests.cache.asking import (
    ANSWER,
    FAR,
    NORWAY,
    OTHER,
    PARAPHRASE,
    QUESTION,
    REWORDED,
    ByLabel,
    Compass,
    Keep,
    Kept,
    ask,
    pointing,
)

SCOPE = b"s" * 32


def blocked(*labels: bool, kind: str = "number") -> Evidence:
    evidence = Evidence()
    for is_right in labels:
        evidence.add_blocked(kind, is_right=is_right)
    return evidence


# --- Evidence -----------------------------------------------------------------------------------------------


def test_without_labels_nothing_is_added_and_nothing_overruled() -> None:
    assert (Evidence().offset, Evidence().overruled) == (0, frozenset())


def test_a_wrong_label_of_a_sure_answer_lowers_much_and_a_right_one_raises_little() -> None:
    wrong, right = Evidence(), Evidence()
    wrong.add(0.99, is_right=False)
    right.add(0.99, is_right=True)
    assert wrong.offset < -0.3
    assert 0 < right.offset < 0.01


def test_one_label_moves_the_offset_less_than_half_the_way_to_what_it_says() -> None:
    evidence = Evidence()
    evidence.add(0.5, is_right=False)
    assert -0.5 / 0.25 / 2 < evidence.offset < 0


def test_a_heavier_label_counts_more() -> None:
    light, heavy = Evidence(), Evidence()
    light.add(0.9, is_right=False)
    heavy.add(0.9, is_right=False, weight=3.0)
    assert heavy.offset < light.offset


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.1, 5)), max_size=60))
def test_the_offset_stays_within_its_bounds_whatever_comes(labels: list[tuple[float, bool, float]]) -> None:
    evidence = Evidence()
    for p, is_right, weight in labels:
        evidence.add(p, is_right=is_right, weight=weight)
        assert OFFSET_AT_LEAST <= evidence.offset <= OFFSET_AT_MOST
    assert evidence.labels == len(labels)


def test_the_state_of_an_evidence_does_not_grow_with_its_labels() -> None:
    evidence = Evidence()
    for number in range(10_000):
        evidence.add(0.9, is_right=number % 10 != 0)
        evidence.add_blocked("number", is_right=True)
    assert set(evidence.kinds) == {"number"}
    assert abs(evidence.offset) < 0.5  # right as often as thought


@pytest.mark.parametrize("is_right", [False, True])
def test_a_label_that_is_taken_back_leaves_what_was_before(is_right: bool) -> None:
    evidence = Evidence()
    for outcome in (True, False, True):
        evidence.add(0.8, is_right=outcome)
    offset, variance = evidence.offset, evidence.variance
    evidence.add(0.8, is_right=is_right, weight=3.0)
    evidence.retract(0.8, is_right=is_right, weight=3.0)
    assert (evidence.offset, evidence.variance) == pytest.approx((offset, variance))
    assert evidence.labels == 3


def test_a_wrong_label_that_is_taken_back_leaves_no_suspicion() -> None:
    evidence = Evidence()
    evidence.add(0.97, is_right=False, weight=3.0)
    assert evidence.is_doubted
    evidence.retract(0.97, is_right=False, weight=3.0)
    assert evidence.suspicion == 0


@pytest.mark.parametrize(
    ("labels", "is_doubted"),
    [
        ([(0.97, False)], True),
        ([(0.8, False)], False),
        ([(0.8, False), (0.8, False)], True),
        ([(0.8, False), (0.8, True), (0.8, False)], False),
        ([(0.55, False)] * 50, False),
        ([(0.99, True)] * 50 + [(0.97, False)], True),
        ([(0.97, False), (0.97, True)], False),
        ([(0.97, False)] * 50 + [(0.97, True)], True),
        ([(0.97, False)] * 50 + [(0.97, True)] * 2, False),
    ],
)
def test_an_answer_is_doubted_once_labels_say_that_it_has_become_wrong_until_fresh_ones_confirm_it(
    labels: list[tuple[float, bool]], is_doubted: bool
) -> None:
    evidence = Evidence()
    for p, is_right in labels:
        evidence.add(p, is_right=is_right)
    assert evidence.is_doubted is is_doubted


def test_an_answer_that_is_wrong_as_often_as_thought_is_seldom_doubted() -> None:
    rng = np.random.default_rng(1)
    evidence, doubted = Evidence(), 0
    for p, draw in zip(rng.uniform(0.6, 1.0, 20_000).tolist(), rng.random(20_000).tolist(), strict=True):
        evidence.add(p, is_right=draw < p)
        doubted += evidence.is_doubted
    assert doubted < 0.05 * 20_000


@pytest.mark.parametrize(
    ("labels", "is_overruled"),
    [
        ([True, True], False),
        ([True, True, True], True),
        ([False, True, True, True], False),
        ([True, True, True, False], False),
        ([True] * 29 + [False], False),
        ([True] * 30 + [False], True),
        ([True] * 30 + [False, False], False),
    ],
    ids=["two", "three", "wrong first", "wrong last", "one in 30", "one in 31", "two in 32"],
)
def test_a_mismatch_is_overruled_by_three_right_labels_and_blocks_again_when_wrong_ones_come(
    labels: list[bool], is_overruled: bool
) -> None:
    assert blocked(*labels).overruled == ({"number"} if is_overruled else frozenset())


def test_each_kind_of_mismatch_is_overruled_by_its_own_labels() -> None:
    evidence = blocked(True, True, True, kind="role")
    evidence.add_blocked("number", is_right=True)
    assert evidence.overruled == {"role"}


def test_labels_of_blocked_questions_do_not_move_the_offset() -> None:
    assert blocked(False, False).offset == 0


def test_two_groups_do_not_share_their_evidence() -> None:
    one, two = Group(1, SCOPE, b"a", "a"), Group(2, SCOPE, b"b", "b")
    one.evidence.add_blocked("number", is_right=True)
    one.wordings[1] = "A"
    assert (two.evidence.kinds, two.wordings) == ({}, {})


@pytest.mark.parametrize("answer", ["", "Plain.", "“Quoted” – 5 €", "half a character: \ud83d"])
def test_a_group_has_the_answer_that_founded_it(answer: str) -> None:
    assert Group(1, SCOPE, b"a", answer).answer == answer


# --- Finding ------------------------------------------------------------------------------------------------


@pytest.fixture
def groups() -> Groups:
    return Groups(VectorIndex(2))


def test_a_group_is_found_by_its_identity_in_its_scope_only(groups: Groups) -> None:
    groups.add(Group(1, SCOPE, b"a", "A"), None)
    found = groups.of_identity(SCOPE, b"a")
    assert found is not None
    assert found.id == 1
    assert groups.of_identity(b"t" * 32, b"a") is None
    assert groups.of_identity(SCOPE, b"b") is None


def test_a_group_is_found_by_its_founders_vector_once_that_is_known(groups: Groups) -> None:
    groups.add(Group(1, SCOPE, b"a", "A"), None)
    assert groups.near(SCOPE, pointing(0), 3) == []
    assert groups.vector(1) is None
    groups.describe(1, pointing(10))
    groups.add(Group(2, SCOPE, b"b", "B"), pointing(40))
    assert [group.id for group, _ in groups.near(SCOPE, pointing(0), 3)] == [1, 2]
    assert groups.near(b"t" * 32, pointing(0), 3) == []
    assert np.allclose(groups.vector(1), pointing(10))  # type: ignore[arg-type]


def test_what_was_removed_is_found_in_no_way_and_removing_it_again_is_no_error(groups: Groups) -> None:
    groups.add(Group(1, SCOPE, b"a", "A"), pointing(0))
    groups.remove(1)
    groups.remove(1)
    groups.describe(1, pointing(0))
    assert (groups.get(1), groups.of_identity(SCOPE, b"a"), groups.near(SCOPE, pointing(0), 3)) == (None, None, [])
    assert len(groups) == 0


def test_of_two_groups_of_one_identity_the_first_is_found_and_survives_the_second(groups: Groups) -> None:
    groups.add(Group(1, SCOPE, b"a", "A"), None)
    groups.add(Group(2, SCOPE, b"a", "A"), None)
    groups.remove(2)
    found = groups.of_identity(SCOPE, b"a")
    assert found is not None
    assert found.id == 1


# --- In the cache -------------------------------------------------------------------------------------------


async def group_of(kept: Kept, text: str) -> int:
    entry = (await kept(ask(text))).entry
    assert entry is not None
    return entry.group_id


async def test_answers_worded_differently_form_one_group_also_if_their_questions_lie_far_apart(kept: Kept) -> None:
    await kept.learn(ask(), ANSWER)
    await kept.learn(ask(FAR), REWORDED)
    assert kept.count("groups") == 1
    assert await group_of(kept, QUESTION) == await group_of(kept, FAR)


async def test_answers_that_say_something_else_form_groups_of_their_own(kept: Kept) -> None:
    await kept.learn(ask(), ANSWER)
    await kept.learn(ask(PARAPHRASE), OTHER)
    assert kept.count("groups") == 2


async def test_answers_that_are_equal_but_for_case_are_one_group_without_any_comparison(kept: Kept) -> None:
    await kept.learn(ask(), "UNCLEAR: nobody could compare this.")
    await kept.learn(ask(FAR), "unclear: nobody could compare this.")
    assert kept.count("groups") == 1


async def test_a_chain_of_small_differences_does_not_go_on_and_on(keep: Keep) -> None:
    """At most one other wording lies between an answer and the one that founded its group."""

    class Chain(ByLabel):
        def sameness(self, one: str, two: str, cosine: float) -> float:
            return float(abs(int(one) - int(two)) <= 1)

    kept = keep(comparison=Chain())
    questions = [QUESTION, PARAPHRASE, FAR, "How do I paint a fence?", "Which colours are there?"]
    for number, text in enumerate(questions, 1):
        await kept.learn(ask(text), str(number))
    assert await group_of(kept, questions[0]) == await group_of(kept, questions[1])
    assert await group_of(kept, questions[3]) != await group_of(kept, questions[0])
    assert await group_of(kept, questions[4]) != await group_of(kept, questions[0])


@pytest.mark.parametrize(("founders", "groups"), [(0.0, 2), (0.9, 1)], ids=["speak against it", "say almost the same"])
async def test_an_answer_that_says_the_same_as_two_groups_makes_them_one_unless_their_founders_speak_against_it(
    keep: Keep, founders: float, groups: int
) -> None:
    class Bridge(ByLabel):
        link_at = 0.95
        near_at = -1.0

        def sameness(self, one: str, two: str, cosine: float) -> float:
            return 1.0 if "between" in (one, two) else founders

    kept = keep(comparison=Bridge())
    for text, answer in ((QUESTION, "one side"), (FAR, "other side"), (PARAPHRASE, "between")):
        await kept.learn(ask(text), answer)
    assert kept.count("groups") == groups
    kept.cache.purge()
    assert kept.count("groups") == 0


async def test_who_joins_a_group_takes_all_anchors_along(kept: Kept) -> None:
    """Two equal answers come before the first of them has been compared with the older group."""
    await kept.learn(ask(FAR), ANSWER)
    first, second = await kept(ask(), may_join=False), await kept(ask(PARAPHRASE), may_join=False)
    kept.answer(first, REWORDED)
    kept.answer(second, REWORDED)
    assert kept.count("groups") == 2
    await kept.cache.settle()
    assert kept.count("groups") == 1
    assert len({await group_of(kept, text) for text in (QUESTION, PARAPHRASE, FAR)}) == 1


async def test_a_group_goes_with_its_last_anchor(kept: Kept) -> None:
    first = await kept.learn(ask(), ANSWER)
    second = await kept.learn(ask(FAR), REWORDED)
    kept.cache.purge(id=first)
    assert kept.count("groups") == 1
    kept.cache.purge(id=second)
    assert kept.count("groups") == 0
    kept.store.flush()
    assert list(kept.store.load_groups("compass-1")) == []


async def test_groups_of_different_scopes_never_meet(kept: Kept) -> None:
    for team in ("support", "sales"):
        await kept.learn(ask(team=team), ANSWER)
        await kept.learn(ask(PARAPHRASE, team=team), REWORDED)
    assert kept.count("groups") == 2


def stored_evidence(kept: Kept) -> list[Evidence]:
    kept.store.flush()
    return [msgspec.json.decode(group.evidence, type=Evidence) for group, _ in kept.store.load_groups("compass-1")]


async def test_a_restart_keeps_groups_and_what_their_labels_have_shown(keep: Keep) -> None:
    before = keep()
    await before.learn(ask(), ANSWER)
    await before.learn(ask(FAR), REWORDED)
    assert await before.audit(await before(ask(PARAPHRASE, may_audit=True)), OTHER) == "different"
    before.close()
    after = keep()
    assert after.count("groups") == 2
    assert [evidence.offset < 0 for evidence in stored_evidence(after)] == [True, False]
    # The group is found by its founding answer, whose vector was kept, and goes on with its evidence.
    await after.learn(ask("Which countries do you ship to?"), "forgot: once more.")
    assert after.count("groups") == 2
    assert [evidence.offset < 0 for evidence in stored_evidence(after)] == [True, False]


async def test_a_group_from_another_encoders_time_is_compared_by_a_vector_made_anew(keep: Keep) -> None:
    class ByNearness(ByLabel):
        def verdict(self, one: str, two: str, cosine: float) -> Verdict:
            return "same" if cosine > 0.9 else "different"

    directions: dict[str, float | None] = {
        PARAPHRASE: 10,
        "How might one reset a password?": 12,
        ANSWER: 230,
        REWORDED: 232,
    }
    before = keep(Compass(directions), comparison=ByNearness())
    await before.learn(ask(), ANSWER)
    before.close()
    after = keep(Compass(directions, "compass-2"), comparison=ByNearness())
    await after.learn(ask(PARAPHRASE), ANSWER)  # joins the old group, since it says literally the same
    await after.learn(ask(FAR), NORWAY)
    hit = await after(ask("How might one reset a password?", may_audit=True))
    assert hit.disposition == "semantic"
    assert await after.audit(hit, REWORDED) == "same"


# --- strains ------------------------------------------------------------------------------------------------


def test_a_group_keeps_so_many_wordings_of_each_of_so_many_strains() -> None:
    groups = Groups(VectorIndex(2))
    groups.add(Group(1, SCOPE, b"1", "the founder"), pointing(0))
    for wording_id in range(2, 100):
        strain = 1 if wording_id < 40 else wording_id // 20 * 20
        groups.add_wording(1, wording_id, f"wording {wording_id}", pointing(wording_id), strain)

    strains = Counter(wording.strain for wording in groups.wordings(1))

    assert strains == {1: 1 + WORDINGS_AT_MOST, 40: WORDINGS_AT_MOST, 60: WORDINGS_AT_MOST}
    assert len(strains) == STRAINS_AT_MOST
    assert {wording.strain for _, wording in groups.near(SCOPE, pointing(45), 1)} == {40}
