"""What the chaos runs take for right and for wrong."""

import pytest

from benchmarks.tokens import Stamp, answer, flaw_of, is_beginning, question, stamp_of, token_of

TOKEN, OTHER = token_of("one question"), token_of("another question")
STAMP = Stamp("primary", 7)
WHOLE = answer(TOKEN, STAMP)


def test_the_answer_about_a_token_is_right() -> None:
    assert flaw_of(TOKEN, WHOLE) is None


def test_an_answer_says_who_wrote_it_and_under_which_number() -> None:
    assert stamp_of(WHOLE) == STAMP


def test_every_question_has_a_token_of_its_own() -> None:
    assert len({token_of(question(number)) for number in range(1000)}) == 1000


def test_the_answer_about_another_token_is_foreign() -> None:
    assert flaw_of(TOKEN, answer(OTHER, STAMP)) == "foreign"


def test_less_than_the_whole_answer_is_truncated_wherever_it_ends() -> None:
    assert {flaw_of(TOKEN, WHOLE[:length]) for length in range(len(WHOLE))} == {"truncated"}


@pytest.mark.parametrize("text", [WHOLE + WHOLE, WHOLE + WHOLE[-1], WHOLE[:60] + WHOLE])
def test_an_answer_with_a_part_that_comes_twice_is_wrong(text: str) -> None:
    assert flaw_of(TOKEN, text) == "duplicated"


def test_an_answer_with_one_other_character_is_wrong() -> None:
    assert all(flaw_of(TOKEN, f"{WHOLE[:at]}~{WHOLE[at + 1 :]}") for at in range(len(WHOLE)))


def test_an_answer_that_lacks_a_character_is_wrong() -> None:
    assert all(flaw_of(TOKEN, WHOLE[:at] + WHOLE[at + 1 :]) for at in range(len(WHOLE)))


def test_an_answer_under_another_number_than_its_checksum_says_is_wrong() -> None:
    assert flaw_of(TOKEN, WHOLE.replace("primary 7", "primary 8")) == "garbled"


def test_whatever_an_answer_begins_with_is_a_beginning_of_it() -> None:
    assert all(is_beginning(TOKEN, WHOLE[:length]) for length in range(len(WHOLE) + 1))


@pytest.mark.parametrize("text", [answer(OTHER, STAMP)[:30], "Sorry", WHOLE + "!", WHOLE[:-3] + "no"])
def test_nothing_else_is_a_beginning_of_it(text: str) -> None:
    assert not is_beginning(TOKEN, text)
