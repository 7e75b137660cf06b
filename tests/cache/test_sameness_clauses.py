"""What is promised of the clauses of an answer: how each is read, and what one shows beside another."""

import pytest

from cache.answer_clauses import Beside, actors, beside, turned_words
from cache.answer_traits import AnswerTraits, Clause, answer_traits


def clause(text: str, word: str) -> Clause:
    """The clause of `text` in which the word stands."""
    return next(each for each in answer_traits(text).clauses if word in each.items)


def seen(one: str, two: str) -> Beside:
    mine, theirs = answer_traits(one), answer_traits(two)
    return beside(mine, theirs, theirs.lacks(mine.said), mine.lacks(theirs.said))


def traits(*texts: str) -> tuple[AnswerTraits, ...]:
    return tuple(map(answer_traits, texts))


@pytest.mark.parametrize(
    ("text", "word", "is_denied"),
    [
        ("Parrots are not allowed.", "parrot", True),
        ("Neither parrots nor snakes are allowed.", "snak", True),
        ("Snakes are no longer allowed.", "snak", True),
        ("It refuses parrots or has not seen any snakes.", "snak", True),
        ("Parrots are allowed, but snakes are not.", "parrot", False),
        ("Parrots are allowed and free.", "parrot", False),
    ],
)
def test_a_clause_is_denied_or_asserted_as_a_whole(text: str, word: str, is_denied: bool) -> None:
    assert clause(text, word).is_denied == is_denied


def test_what_is_not_paid_for_is_free() -> None:
    unpaid, free = clause("You don't pay for the parrot.", "parrot"), clause("The parrot is free.", "parrot")
    assert unpaid.items == free.items
    assert not unpaid.is_denied


@pytest.mark.parametrize(
    "text", ["If the parrot is green, call us.", "Is the parrot green?", "Wait until it's parrots."]
)
def test_a_condition_or_a_question_says_nothing_of_what_is(text: str) -> None:
    assert clause(text, "parrot").is_supposed


def test_a_clause_beside_its_denial_is_turned_and_beside_another_wording_of_itself_is_not() -> None:
    text = "Feed the parrot daily. The green cage is painted at night."
    assert seen(text, "The cage that is green is not painted at night. Feed the parrot daily.").turned > 0.5
    assert seen(text, "The cage that is green is painted at night. Feed the parrot daily.").turned == 0
    assert seen(text, "").turned == 0


def test_two_denials_agree() -> None:
    found = seen("The cage is not locked at night.", "At night no cage is locked.")
    assert (found.agreed, found.turned) == (1, 0)


def test_a_clause_beside_one_with_the_contrary_tie_or_the_opposite_word_is_seen() -> None:
    assert seen("Feed the parrot before noon.", "Feed the parrot after noon.").tied > 0
    assert seen("Lock the green cage.", "Unlock the green cage.").opposed > 0
    assert seen("Lock the green cage.", "Don't unlock the green cage.").opposed == 0


def test_words_that_only_one_answer_denies_are_counted_in_either_order() -> None:
    one, two = traits("Snakes are allowed. Parrots are not allowed.", "Snakes are not allowed. Parrots are forbidden.")
    assert turned_words(one, two) == turned_words(two, one)
    assert turned_words(one, two)[0] >= 1


@pytest.mark.parametrize(
    ("one", "two", "is_other"),
    [
        ("We feed the parrot.", "You feed the parrot.", True),
        ("We feed the parrot.", "The parrot is fed by us.", False),
        ("Feed the parrot.", "You feed the parrot.", False),
        ("The landlord repairs the cage.", "The tenant repairs the cage.", True),
    ],
)
def test_who_acts_is_told_by_word_order(one: str, two: str, is_other: bool) -> None:
    assert (actors(*traits(one, two))[0] > 0) == is_other
