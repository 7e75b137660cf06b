"""Which answers say the same, with the real encoder and the real comparison; and the vector of an answer."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cache.answers import Answers, Comparison, EqualComparison, WordedComparison
from cache.clarity import Clarity
from cache.encoder import Encoder
from cache.groups import Group
from cache.neighbourhood import Neighbourhood
from cache.sameness import Verdict
from tests.cache.asking import PLAIN, ByLabel, Compass, Keep, Kept, ask, pointing

SCOPE = b"s" * 32
REFUND = (
    "You can return unused items within 30 days of delivery for a full refund.",
    "Sure! Within 30 days of delivery you may return unused items for a full refund.",
    "Of course. You can return unused items within 30 days of delivery for a full refund. Is there anything else?",
)
NOT_THE_SAME = (
    "You can return unused items within 14 days of delivery for a full refund.",
    "You cannot return unused items within 30 days of delivery for a full refund.",
    "Delivery takes 3 to 5 working days within Germany.",
)


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Iterator[Encoder]:
    encoder = Encoder.load(encoder_folder)
    yield encoder
    encoder.close()


@pytest.fixture
def real(keep: Keep, encoder: Encoder) -> Kept:
    return keep(encoder, comparison=WordedComparison())


async def learn_all(kept: Kept, answers: tuple[str, ...]) -> None:
    for number, answer in enumerate(answers):
        await kept.learn(ask(f"What is the policy on matter {'abcdef'[number]}?"), answer)


async def test_reworded_answers_form_one_group(real: Kept) -> None:
    await learn_all(real, REFUND)
    assert (real.count("entries"), real.count("groups")) == (3, 1)


async def test_answers_with_another_number_another_polarity_or_another_subject_do_not(real: Kept) -> None:
    await learn_all(real, (REFUND[0], *NOT_THE_SAME))
    assert (real.count("entries"), real.count("groups")) == (4, 4)


async def test_an_answer_joins_the_group_that_says_the_same_and_not_the_nearest_that_does_not(
    encoder: Encoder,
) -> None:
    answers = Answers(Neighbourhood(encoder.dim, PLAIN), encoder, WordedComparison())
    for number, founder in enumerate((*NOT_THE_SAME, REFUND[0])):
        group = Group(number, SCOPE, bytes([number]), founder)
        answers._neighbourhood.groups.add(group, await answers.vector(founder))
    found = await answers.group_of(SCOPE, REFUND[1], await answers.vector(REFUND[1]))
    assert found is not None
    assert found.answer == REFUND[0]
    assert await answers.group_of(b"t" * 32, REFUND[1], await answers.vector(REFUND[1])) is None


async def test_an_audit_tells_the_same_in_other_words_from_something_else(encoder: Encoder) -> None:
    comparison = WordedComparison()
    answers = Answers(Neighbourhood(encoder.dim, PLAIN), encoder, comparison)

    async def verdict(one: str, two: str) -> str:
        cosine = float(await answers.vector(one) @ await answers.vector(two))
        return comparison.verdict(one, two, cosine)

    assert await verdict(REFUND[0], REFUND[0].upper()) == "same"
    assert await verdict(REFUND[0], REFUND[1]) == "same"
    assert await verdict(REFUND[0], NOT_THE_SAME[0]) == "different"
    assert "same" not in {await verdict(REFUND[0], other) for other in NOT_THE_SAME}


@pytest.mark.parametrize("other", ["YES,  within five days", "Yes, within five days!", "  Yes,\nwithin five days."])
def test_case_space_and_punctuation_do_not_make_another_answer(other: str) -> None:
    comparison = WordedComparison()
    assert comparison.identity("Yes, within five days.") == comparison.identity(other)


@pytest.mark.parametrize("other", ["Yes, within 5 weeks.", "No, within five days.", "Yes, after five days."])
def test_other_words_make_another_identity(other: str) -> None:
    comparison = WordedComparison()
    assert comparison.identity("Yes, within five days.") != comparison.identity(other)


def test_labels_say_the_same_only_if_they_are_equal() -> None:
    comparison = EqualComparison()
    assert comparison.sameness("a", "a", 0.0) >= comparison.link_at
    assert comparison.sameness("a", "A", 1.0) < comparison.link_at
    assert comparison.verdict("a", "b", 1.0) == "different"
    assert comparison.identity("a") != comparison.identity("A")


async def test_the_vector_of_an_answer_is_a_function_of_the_text_alone_and_of_unit_norm(encoder: Encoder) -> None:
    answers = Answers(Neighbourhood(encoder.dim, PLAIN), encoder, WordedComparison())
    long = " ".join(f"Step {number}: open the page number {number} and choose what you need." for number in range(80))
    first = await answers.vector(long)
    await answers.vector(REFUND[0])
    assert np.array_equal(first, await answers.vector(long))
    assert float(np.linalg.norm(first)) == pytest.approx(1, abs=1e-5)


async def test_a_question_that_expects_a_group_makes_up_for_a_little_doubt_and_never_for_another_answer() -> None:
    class Doubtful(ByLabel):
        link_at = 0.9
        near_at = -1.0

        def sameness(self, one: str, two: str, cosine: float) -> float:
            return 0.8 * super().sameness(one, two, cosine)

    near = Neighbourhood(2, PLAIN)
    near.groups.add(Group(1, SCOPE, b"1", "forgot: one wording"), pointing(0))
    answers = Answers(near, Compass({}), Doubtful())
    assert await answers.group_of(SCOPE, "forgot: another", pointing(5)) is None
    assert await answers.groups_of(SCOPE, "forgot: another", pointing(5), expected=1, p=0.5) == []
    (alike,) = await answers.groups_of(SCOPE, "forgot: another", pointing(5), expected=1, p=0.95)
    assert (alike.group.id, alike.is_wording) == (1, False)
    assert await answers.groups_of(SCOPE, "forgot: another", pointing(5), expected=2, p=0.95) == []
    assert await answers.groups_of(SCOPE, "gear: something else", pointing(5), expected=1, p=0.999) == []


async def test_what_no_encoder_reads_has_a_vector_near_nothing() -> None:
    answers = Answers(Neighbourhood(2, PLAIN), Compass({"x": None}), EqualComparison())
    assert not (await answers.vector("x")).any()
    assert not (await answers.vector("")).any()


async def test_answers_that_are_far_apart_are_compared_only_if_the_questions_speak_for_it() -> None:
    class Nearby(ByLabel):
        near_at = 0.9

    near = Neighbourhood(2, PLAIN)
    near.groups.add(Group(1, SCOPE, b"1", "forgot: one wording"), pointing(0))
    answers = Answers(near, Compass({}), Nearby())
    assert await answers.group_of(SCOPE, "forgot: another", pointing(20)) == near.groups[1]
    assert await answers.group_of(SCOPE, "forgot: another", pointing(40)) is None
    (alike,) = await answers.groups_of(SCOPE, "forgot: another", pointing(40), expected=1, p=0.95)
    assert alike.group.id == 1


def two_wordings(comparison: Comparison) -> Answers:
    """Knows one group, of two wordings."""
    near = Neighbourhood(2, PLAIN)
    near.groups.add(Group(1, SCOPE, b"1", "one wording"), pointing(0))
    near.groups.add_wording(1, 2, "another", pointing(5))
    return Answers(near, Compass({}), comparison)


class Read(ByLabel):
    """Says of each wording how likely a fresh answer says the same."""

    link_at = same_at = 0.9

    def __init__(self, **sameness: float) -> None:
        self._sameness = sameness

    def set(self, **sameness: float) -> None:
        self._sameness = sameness

    def sameness(self, one: str, two: str, cosine: float) -> float:
        return self._sameness[two.partition(" ")[0]]

    def verdict(self, one: str, two: str, cosine: float) -> Verdict:
        p = self.sameness(one, two, cosine)
        return "different" if p < 0.03 else "same" if p >= self.same_at else "unclear"


async def test_a_group_is_found_once_however_many_of_its_wordings_say_the_same() -> None:
    answers, turns = two_wordings(Read(one=0.95, another=0.95)), []

    async def turn() -> None:
        turns.append(1)

    answers.turn = turn
    (alike,) = await answers.groups_of(SCOPE, "a third", pointing(2))
    assert (alike.group.id, alike.is_wording) == (1, True)
    assert len(turns) == 2


@pytest.mark.parametrize(
    ("one", "another", "is_linked"), [(0.95, 0.95, True), (0.99, 0.85, True), (0.95, 0.3, False), (0.01, 0.99, False)]
)
async def test_an_answer_joins_a_group_if_it_agrees_with_its_wordings_on_the_whole(
    one: float, another: float, is_linked: bool
) -> None:
    answers = two_wordings(Read(one=one, another=another))
    assert (await answers.group_of(SCOPE, "a third", pointing(2)) is not None) == is_linked


@pytest.mark.parametrize(
    ("one", "another", "verdict"),
    [(0.99, 0.85, "same"), (0.01, 0.02, "different"), (0.01, 0.3, "unclear"), (0.05, 0.97, "unclear")],
)
async def test_an_audit_calls_an_answer_different_only_if_it_differs_from_most_of_the_groups_wordings(
    one: float, another: float, verdict: Verdict
) -> None:
    answers = two_wordings(Read(one=one, another=another))
    group = answers._neighbourhood.groups[1]
    assert await answers.verdict(group, "a third", pointing(2)) == verdict


@pytest.mark.parametrize(
    ("served", "verdict"),
    [(0.01, "different"), (0.3, "same"), (0.99, "same")],
    ids=["contradicts", "unclear", "agrees"],
)
async def test_what_differs_from_the_wording_that_was_served_is_different_whatever_the_others_say(
    served: float, verdict: Verdict
) -> None:
    answers = two_wordings(Read(one=0.99, another=0.95, served=served))
    group = answers._neighbourhood.groups[1]
    assert await answers.verdict(group, "a third", pointing(2), "served") == verdict


async def test_what_agrees_with_the_wording_that_was_served_is_never_different() -> None:
    answers = two_wordings(Read(one=0.01, another=0.02, served=0.99))
    group = answers._neighbourhood.groups[1]
    assert await answers.verdict(group, "a third", pointing(2), "served") == "unclear"


def beside_another(comparison: Comparison) -> Answers:
    """Knows two groups, one of them of two wordings."""
    answers = two_wordings(comparison)
    answers._neighbourhood.groups.add(Group(3, SCOPE, b"3", "other side"), pointing(9))
    return answers


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [(0.04, 0.99, "different"), (0.04, 0.8, "unclear"), (0.15, 0.99, "unclear"), (0.25, 0.99, "unclear")],
    ids=["says the other", "perhaps says the other", "may say this, by both", "may say this, by one"],
)
async def test_an_answer_that_plainly_says_what_another_group_says_differs_from_one_that_it_hardly_says(
    one: float, other: float, verdict: Verdict
) -> None:
    answers = beside_another(Read(one=one, another=0.04, other=other, served=0.04))
    group = answers._neighbourhood.groups[1]
    assert await answers.verdict(group, "a third", pointing(2)) == verdict
    assert await answers.verdict(group, "a third", pointing(2), "served") == verdict


@pytest.mark.parametrize(
    ("first", "second", "likeness", "verdict"),
    [
        (range(6), range(20, 26), 0.5, "different"),
        (range(6), range(20, 23), 0.5, "unclear"),
        (range(6), range(100, 106), 0.04, "different"),
        (range(6), range(100, 106), 0.5, "unclear"),
        (range(0, 12, 2), range(1, 13, 2), 0.04, "unclear"),
        (range(3), range(20, 23), 0.04, "unclear"),
        (range(3), range(60, 63), 0.04, "different"),
    ],
    ids=[
        *("near and apart", "too few to tell", "far and unlike", "far and perhaps alike", "among each other"),
        *("few and near", "few and far"),
    ],
)
async def test_what_says_another_group_differs_if_other_questions_lead_there_and_never_if_they_are_the_same(
    first: range, second: range, likeness: float, verdict: Verdict
) -> None:
    answers = beside_another(Read(one=likeness, another=likeness, other=0.99))
    for group, directions in ((1, first), (3, second)):
        for degrees in directions:
            answers._neighbourhood.add(SCOPE, 10 * degrees + group, group, pointing(degrees))
    assert await answers.verdict(answers._neighbourhood.groups[1], "a third", pointing(2)) == verdict


@pytest.mark.parametrize(("one", "verdict"), [(0.45, "different"), (0.97, "unclear")])
async def test_an_answer_that_both_groups_say_differs_from_neither_whatever_else_is_asked(
    one: float, verdict: Verdict
) -> None:
    answers = beside_another(Read(one=one, another=0.01, other=0.99))
    for group, directions in ((1, range(6)), (3, range(20, 26))):
        for degrees in directions:
            answers._neighbourhood.add(SCOPE, 10 * degrees + group, group, pointing(degrees))
    assert await answers.verdict(answers._neighbourhood.groups[1], "a third", pointing(2)) == verdict


async def test_a_group_that_an_answer_has_founded_says_nothing_of_it() -> None:
    answers = beside_another(Read(one=0.04, another=0.04, other=0.99))
    assert await answers.verdict(answers._neighbourhood.groups[1], "a third", pointing(2), own=3) == "unclear"


async def test_two_groups_whose_wordings_are_alike_are_no_evidence_of_a_difference() -> None:
    class Alike(Read):
        def sameness(self, one: str, two: str, cosine: float) -> float:
            return 0.7 if one.startswith("other") else super().sameness(one, two, cosine)

    answers = beside_another(Alike(one=0.04, another=0.04, other=0.99))
    assert await answers.verdict(answers._neighbourhood.groups[1], "a third", pointing(2)) == "unclear"


async def test_an_odd_wording_that_was_linked_with_none_is_not_called_different_from_its_own_group() -> None:
    near = Neighbourhood(2, PLAIN)
    near.groups.add(Group(1, SCOPE, b"1", "one wording"), pointing(0))
    near.groups.add(Group(3, SCOPE, b"3", "other side"), pointing(9))

    class Unlike(Read):
        between = 0.0

        def sameness(self, one: str, two: str, cosine: float) -> float:
            return self.between if one.startswith("other") else super().sameness(one, two, cosine)

    comparison = Unlike(one=0.04, other=0.99)
    answers = Answers(near, Compass({}), comparison)
    comparison.between = 0.05
    assert await answers.verdict(near.groups[1], "a third", pointing(2)) == "unclear"
    comparison.between = 0.005
    assert await answers.verdict(near.groups[1], "a third", pointing(2)) == "different"


async def verdict_after(answers: Answers, repeated: int, reworded: int) -> Verdict:
    """On an answer that may say what the group says, after so many that did."""
    group = answers._neighbourhood.groups[1]
    assert isinstance(answers.comparison, Read)
    for _ in range(repeated):
        answers.repeated(group)
    answers.comparison.set(one=0.95, another=0.95)
    for number in range(reworded):
        assert await answers.verdict(group, f"reworded {number}", pointing(2)) != "different"
    answers.comparison.set(one=0.8, another=0.7)
    return await answers.verdict(group, "a third", pointing(2))


@pytest.mark.parametrize(
    ("repeated", "reworded", "verdict"),
    [(0, 0, "unclear"), (50, 0, "unclear"), (70, 0, "different"), (70, 3, "unclear")],
)
async def test_where_answers_always_come_in_the_same_words_one_in_other_words_is_different(
    repeated: int, reworded: int, verdict: Verdict
) -> None:
    assert await verdict_after(two_wordings(Read(one=0.8, another=0.7)), repeated, reworded) == verdict


async def test_an_answer_that_cannot_be_read_stays_unclear_even_where_answers_come_in_the_same_words() -> None:
    answers = two_wordings(Read(one=0.5, another=0.5))
    for _ in range(100):
        answers.repeated(answers._neighbourhood.groups[1])
    assert await answers.verdict(answers._neighbourhood.groups[1], "ein dritter", pointing(2)) == "unclear"


async def test_what_comes_in_the_words_of_a_stored_answer_is_counted_as_repeated(real: Kept) -> None:
    virtual = "A virtual card is free and can be created in Cards. It is ready for online payments immediately."
    disposable = "A disposable card has a number that changes after each purchase, which protects you when you shop."
    entry = real.store.entry(await real.learn(ask("What is a virtual card?"), virtual))
    learning = real.cache._learning
    assert learning is not None
    assert entry is not None
    assert await learning.verdict(entry.group_id, disposable, virtual) == "unclear"
    for number in range(70):
        worded = virtual if number % 2 else f"Sure! {virtual} I hope this helps!"
        assert await learning.verdict(entry.group_id, worded, virtual) == "same"
    assert await learning.verdict(entry.group_id, disposable, virtual) == "different"


async def test_groups_that_an_answer_has_linked_become_one_unless_their_wordings_speak_against_it() -> None:
    for sameness, is_one in ((0.97, True), (0.85, False)):
        answers = two_wordings(Read(one=sameness, another=sameness, other=sameness))
        groups = answers._neighbourhood.groups
        groups.add(Group(3, SCOPE, b"3", "other side"), pointing(9))
        assert await answers.may_merge(groups[1], groups[3]) == is_one


# --- Scopes -------------------------------------------------------------------------------------------------


def clarity(clear: int, unclear: int) -> Clarity:
    found = Clarity()
    for same in [0.95] * clear + [0.4] * unclear:
        found.add(same)
    return found


def test_in_a_scope_whose_answers_are_alike_or_not_less_is_enough() -> None:
    assert clarity(clear=100, unclear=3).at_least(0.9) < 0.9


def test_in_a_scope_whose_answers_are_all_a_little_alike_more_is_needed() -> None:
    assert clarity(clear=100, unclear=60).at_least(0.9) > 0.9


@pytest.mark.parametrize(("clear", "unclear"), [(20, 0), (5, 20), (85, 15)], ids=["too few", "too few", "between"])
def test_of_a_scope_of_which_little_is_known_or_that_is_between_the_threshold_stays(clear: int, unclear: int) -> None:
    assert clarity(clear, unclear).at_least(0.9) == 0.9


def test_answers_that_are_not_alike_say_nothing_of_their_scope() -> None:
    found = clarity(clear=30, unclear=0)
    for _ in range(1000):
        found.add(0.01)
    assert found.at_least(0.9) == 0.9


def test_what_a_scope_was_like_long_ago_does_not_matter() -> None:
    found = clarity(clear=0, unclear=300)
    for _ in range(6000):
        found.add(0.95)
    assert found.at_least(0.9) < 0.9


def test_a_threshold_that_is_low_anyway_is_not_raised_to_that_of_a_clear_scope() -> None:
    assert clarity(clear=100, unclear=0).at_least(0.5) == 0.5
