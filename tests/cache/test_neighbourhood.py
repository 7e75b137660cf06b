"""What lies near a question: anchors in and out, and the groups that live and die with them."""

import numpy as np
import pytest

from cache.decision import Judgement
from cache.groups import Group
from cache.neighbourhood import Neighbourhood
from tests.cache.asking import PARAPHRASE, PLAIN, QUESTION, pointing

SCOPE, ELSEWHERE = b"s" * 32, b"t" * 32


@pytest.fixture
def near() -> Neighbourhood:
    """With two groups and no anchor."""
    near = Neighbourhood(2, PLAIN)
    for group_id, scope in ((1, SCOPE), (2, SCOPE), (3, ELSEWHERE)):
        near.groups.add(Group(group_id, scope, bytes([group_id]), f"answer {group_id}"), None)
    return near


class Known(dict[int, tuple[str, int, bool]]):
    """What the cache tells of anchors."""

    def __call__(self, anchor_id: int) -> tuple[str, int, bool] | None:
        return self.get(anchor_id)


def judge(near: Neighbourhood, known: Known, degrees: float = 0, scope: bytes = SCOPE) -> Judgement:
    return near.judge(scope, PARAPHRASE, pointing(degrees), known)


def test_an_anchor_is_found_in_its_scope_only(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(10))
    known = Known({7: (QUESTION, 1, True)})
    assert judge(near, known).group == 1
    assert judge(near, known, scope=ELSEWHERE) == Judgement()


def test_an_anchor_that_has_gone_meanwhile_counts_no_more(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(10))
    assert judge(near, Known()) == Judgement()


def test_a_group_without_any_vector_is_no_neighbour_but_lives_until_its_last_anchor_goes(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, None)
    near.add(SCOPE, 8, 1, None)
    assert len(near) == 0
    assert near.remove(SCOPE, 7, 1) is False
    assert near.remove(SCOPE, 8, 1) is True
    assert near.groups.get(1) is None


@pytest.mark.parametrize("without", [(), (8,), (7, 8, 9, 10)])
def test_the_latest_anchors_of_a_group_are_those_that_came_last_and_have_a_vector(
    near: Neighbourhood, without: tuple[int, ...]
) -> None:
    for anchor_id in (7, 9, 8, 10):
        near.add(SCOPE, anchor_id, 1, None if anchor_id in without else pointing(anchor_id))
    near.add(SCOPE, 11, 2, pointing(11))

    latest = near.latest(near.groups[1], 3)

    assert [anchor_id for anchor_id, _ in latest] == [each for each in (9, 8, 10) if each not in without]
    assert all(np.allclose(vector, pointing(anchor_id), atol=1e-3) for anchor_id, vector in latest)


def test_with_the_last_anchor_its_group_goes_and_the_scope_is_empty_again(near: Neighbourhood) -> None:
    for anchor_id in (7, 8):
        near.add(SCOPE, anchor_id, 1, pointing(anchor_id))
    assert [near.remove(SCOPE, anchor_id, 1) for anchor_id in (7, 8)] == [False, True]
    assert len(near) == 0
    assert near.groups.get(1) is None
    assert judge(near, Known({7: (QUESTION, 1, True)})) == Judgement()


def test_removing_what_is_not_there_is_no_error(near: Neighbourhood) -> None:
    assert near.remove(SCOPE, 99, 77) is False


def test_regrouping_moves_an_anchor_and_the_group_it_leaves_empty_goes(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(0))
    near.add(SCOPE, 8, 2, pointing(10))
    near.add(SCOPE, 9, 2, pointing(20))
    assert near.regroup(SCOPE, 8, 2, 1) is False
    assert near.regroup(SCOPE, 9, 2, 1) is True
    assert near.groups.get(2) is None
    view = near.groups[1].to_view()
    assert view.anchors == 3
    assert view.direction is not None
    assert np.allclose(view.direction, pointing(0) + pointing(10) + pointing(20), atol=1e-3)


def test_the_direction_of_a_group_is_that_of_the_anchors_it_has_now(near: Neighbourhood) -> None:
    for anchor_id, degrees in ((7, 0), (8, 40), (9, 80)):
        near.add(SCOPE, anchor_id, 1, pointing(degrees))
    near.remove(SCOPE, 9, 1)
    direction = near.groups[1].to_view().direction
    assert direction is not None
    assert np.allclose(direction, pointing(0) + pointing(40), atol=1e-3)


def test_a_label_teaches_the_group_and_the_others_of_its_scope_less(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(0))
    near.add(SCOPE, 8, 2, pointing(90))
    known = Known({7: (QUESTION, 1, True), 8: (QUESTION, 2, True)})
    before, other_before = judge(near, known, 20), judge(near, known, 70)
    assert before.p == pytest.approx(other_before.p)
    assert near.learn(SCOPE, before, is_right=False, weight=3.0) is near.groups[1]
    assert judge(near, known, 20).p < judge(near, known, 70).p < other_before.p


def test_a_scope_learns_nothing_from_another(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(10))
    near.add(ELSEWHERE, 8, 3, pointing(10))
    known = Known({7: (QUESTION, 1, True), 8: (QUESTION, 3, True)})
    before = judge(near, known, scope=ELSEWHERE)
    for _ in range(5):
        near.learn(SCOPE, judge(near, known), is_right=False, weight=3.0)
    assert judge(near, known, scope=ELSEWHERE) == before


def test_a_label_of_a_group_that_has_gone_teaches_nobody(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(10))
    judgement = judge(near, Known({7: (QUESTION, 1, True)}))
    near.remove(SCOPE, 7, 1)
    assert near.learn(SCOPE, judgement, is_right=False) is None
    assert near.learn(SCOPE, Judgement(), is_right=False) is None


def test_a_blocked_question_teaches_what_blocked_it(near: Neighbourhood) -> None:
    asked, stored = "Is the 128 GB model in blue?", "Is the 256 GB model in blue?"
    near.add(SCOPE, 7, 1, pointing(0))

    def judgement() -> Judgement:
        return near.judge(SCOPE, asked, pointing(0), Known({7: (stored, 1, True)}))

    for _ in range(3):
        assert judgement().reason == "number-mismatch"
        near.learn(SCOPE, judgement(), is_right=True)
    assert (judgement().reason, judgement().overruled) == ("near", "number")


def test_a_mismatch_that_was_overruled_blocks_again_once_a_hit_in_spite_of_it_was_wrong(near: Neighbourhood) -> None:
    asked, stored = "Is the 128 GB model in blue?", "Is the 256 GB model in blue?"
    near.add(SCOPE, 7, 1, pointing(0))
    for _ in range(3):
        near.groups[1].evidence.add_blocked("number", is_right=True)
    known = Known({7: (stored, 1, True)})
    near.learn(SCOPE, near.judge(SCOPE, asked, pointing(0), known), is_right=False)
    assert near.judge(SCOPE, asked, pointing(0), known).reason == "number-mismatch"


# --- Answers that are still being made ----------------------------------------------------------------------


def pending(near: Neighbourhood, degrees: float, *, asked_at: float = 0, text: str = QUESTION) -> float:
    known = judge(near, Known({7: (PARAPHRASE, 1, True)}), asked_at)
    return near.judge_pending(PARAPHRASE, pointing(asked_at), known, SCOPE, text, pointing(degrees))


def test_an_answer_in_the_making_is_judged_as_if_it_were_stored(near: Neighbourhood) -> None:
    assert pending(near, 5) > pending(near, 20) > pending(near, 60)
    assert pending(near, 5) > 0.99


def test_a_stored_other_answer_speaks_against_one_in_the_making(near: Neighbourhood) -> None:
    alone = pending(near, 5)
    near.add(SCOPE, 7, 1, pointing(6))
    assert pending(near, 5) < alone


def test_an_answer_in_the_making_to_another_number_is_never_good_enough(near: Neighbourhood) -> None:
    found = near.judge_pending(
        "Can I pay 20 euros?", pointing(0), Judgement(), SCOPE, "Can I pay 50 euros?", pointing(0)
    )
    assert found == 0


def test_nothing_is_left_of_a_judgement_about_an_answer_in_the_making(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(30))
    before = judge(near, Known({7: (PARAPHRASE, 1, True)}))
    pending(near, 5)
    assert judge(near, Known({7: (PARAPHRASE, 1, True)})) == before
    assert len(near) == 1


def test_a_text_is_judged_alike_whether_it_was_read_when_it_was_stored_or_is_read_now(near: Neighbourhood) -> None:
    known = Known({7: (QUESTION, 1, True)})
    near.add(SCOPE, 7, 1, pointing(10), QUESTION)
    read_before = judge(near, known)
    near.remove(SCOPE, 7, 1)
    near.groups.add(Group(1, SCOPE, b"1", "answer 1"), None)
    near.add(SCOPE, 7, 1, pointing(10))
    assert [judge(near, known), judge(near, known)] == [read_before] * 2


def test_a_text_with_half_a_character_is_a_neighbour_as_any_other(near: Neighbourhood) -> None:
    near.add(SCOPE, 7, 1, pointing(10), f"{QUESTION} \ud800")
    assert judge(near, Known({7: (f"{QUESTION} \ud800", 1, True)})).group == 1
