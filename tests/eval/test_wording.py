"""Answers worded ever differently, for streams whose hits are counted."""

import json
import random
from collections import Counter

import pytest

from eval.sameness import NATURAL, Family, read_families, written_wordings
from eval.streams import Question
from eval.wording import (
    SupportAnswer,
    answers_file,
    chat_wordings,
    facts_of,
    only_of,
    read_support,
    stated,
    support_text,
    support_wordings,
    with_another_fact,
    worded,
)

QUESTIONS = [Question(text, label) for label in ("card_arrival", "age limit") for text in ("one", "two", "three")]
SUPPORT = read_support()


def items(**written: tuple[str, ...]) -> list[dict[str, object]]:
    return [json.loads(line) for line in answers_file(QUESTIONS, wordings=5, written=written)]


def test_every_wording_states_the_facts_of_its_label() -> None:
    chance, facts = random.Random(1), facts_of("card_arrival")
    texts = {worded("card_arrival", chance) for _ in range(50)}
    assert len(texts) > 40
    assert all(facts.menu in text and facts.choice in text and facts.team in text for text in texts)


@pytest.mark.parametrize("seed", range(5))
def test_another_fact_is_one_other_fact_that_is_stated(seed: int) -> None:
    chance, facts = random.Random(seed), facts_of("card_arrival")
    other = with_another_fact(facts, chance)
    changed = [name for name in facts.__struct_fields__ if getattr(facts, name) != getattr(other, name)]
    assert len(changed) == 1
    assert changed != ["topic"]
    assert stated(facts, random.Random(0)) != stated(other, random.Random(0))


def test_the_wordings_of_a_label_are_those_of_all_its_questions() -> None:
    for label in ("card_arrival", "age limit"):
        pools = [{each["answer"], *each["wordings"]} for each in items() if each["label"] == label]  # type: ignore[misc]
        assert pools[0] == pools[1] == pools[2]
        assert len(pools[0]) >= 4


def test_written_wordings_take_the_place_of_generated_ones_where_there_are_some() -> None:
    found = items(age_limit=("You must be 18.", "From 18 on."))
    of_age = [each for each in found if each["label"] == "age limit"]
    assert all((each["answer"], each["wordings"]) == ("You must be 18.", ["From 18 on."]) for each in of_age)
    assert all(len(each["wordings"]) == 4 for each in found if each["label"] == "card_arrival")  # type: ignore[arg-type]


def test_of_written_wordings_there_are_no_more_than_asked_for() -> None:
    lines = answers_file(QUESTIONS, wordings=2, written={"card_arrival": ("One.", "Two.", "Three.")})
    of_cards = [each for each in map(json.loads, lines) if each["label"] == "card_arrival"]
    assert all((each["answer"], each["wordings"]) == ("One.", ["Two."]) for each in of_cards)


def test_a_family_is_for_the_label_that_it_is_named_after() -> None:
    families = [
        Family(name, "bank", "?", (name,), ()) for name in ("bank77-card-arrival", "travel-visa", "bitext-review")
    ]
    assert written_wordings("banking77", families) == {"card_arrival": ("bank77-card-arrival",)}
    assert written_wordings("bitext", families) == {"review": ("bitext-review",)}
    assert written_wordings("clinc150", families) == {}


def test_every_intent_of_banking77_has_written_wordings() -> None:
    written = written_wordings("banking77", read_families(NATURAL))
    assert len(written) == 77
    assert min(map(len, written.values())) >= 8


# --- chat models' answers ---


def test_chat_models_have_several_answers_to_each_label_and_none_to_two_labels() -> None:
    found = chat_wordings("banking77")
    assert len(found) >= 30
    texts = [text for wordings in found.values() for text in wordings]
    assert len(set(texts)) == len(texts) == 6 * len(found)
    assert not chat_wordings("clinc150")


# --- a support desk's answers ---


def named(answer: SupportAnswer) -> str:
    return f"{answer.stream} {answer.label}"


@pytest.mark.parametrize("answer", SUPPORT, ids=named)
def test_every_wording_of_a_support_desk_says_each_fact_in_one_of_its_ways(answer: SupportAnswer) -> None:
    texts = support_wordings(answer.stream, [answer], wordings=20)[answer.label]
    assert len(texts) == 20
    assert len(set(texts)) >= 10
    for text in texts:
        assert all(sum(way in text for way in ways) == 1 for ways in answer.facts)


def test_wordings_of_a_support_desk_differ_in_order_and_sometimes_explain() -> None:
    answer = SupportAnswer("bank", "fee", (("It is free.",), ("Write to us.",)), ("Really.",))
    texts = support_wordings("bank", [answer], wordings=50)["fee"]
    assert 0 < sum("It is free. Write to us." in text for text in texts) < 50
    assert 0 < sum("Write to us. It is free." in text for text in texts) < 50
    assert 0 < sum("Really." in text for text in texts) < 50


@pytest.mark.parametrize("seed", range(3))
def test_a_single_wording_of_a_support_desk_is_always_the_same_text(seed: int) -> None:
    answer = SupportAnswer("bank", "fee", (("It is free.", "No fee."), ("Write to us.", "Send a note.")), ("Really.",))
    assert support_wordings("bank", [answer], wordings=1, seed=seed) == {"fee": ("It is free. Write to us.",)}


def test_a_seed_gives_the_same_wordings_again_and_another_seed_others() -> None:
    assert support_wordings("clinc150", SUPPORT, seed=1) == support_wordings("clinc150", SUPPORT, seed=1)
    assert support_wordings("clinc150", SUPPORT, seed=1) != support_wordings("clinc150", SUPPORT, seed=2)


def test_the_wordings_of_a_stream_are_of_its_own_labels() -> None:
    for stream, labels in (("banking77", 58), ("clinc150", 42), ("bitext", 0)):
        found = support_wordings(stream, SUPPORT)
        assert list(found) == [answer.label for answer in SUPPORT if answer.stream == stream]
        assert len(found) == labels


def test_only_the_questions_of_the_labels_are_left_in_their_order() -> None:
    assert only_of({"age limit"}, QUESTIONS) == QUESTIONS[3:]
    assert only_of((), QUESTIONS) == []


def test_every_label_has_one_support_answer() -> None:
    assert max(Counter(map(named, SUPPORT)).values()) == 1
    assert all(answer.label and answer.label == "_".join(answer.label.split()) for answer in SUPPORT)


@pytest.mark.parametrize("answer", SUPPORT, ids=named)
def test_every_fact_of_a_support_answer_is_written_in_some_way(answer: SupportAnswer) -> None:
    assert answer.facts
    assert all(answer.facts)
    texts = [*(way for ways in answer.facts for way in ways), *answer.more]
    assert all(text and text == text.strip() for text in texts)
    assert len(set(texts)) == len(texts)


def test_no_two_labels_have_the_same_support_answer() -> None:
    """Else a hit of the one would count as a right one of the other."""
    for stream in ("banking77", "clinc150"):
        answers = [answer for answer in SUPPORT if answer.stream == stream]
        assert len({support_text(answer) for answer in answers}) == len(answers)
        ways = Counter(way for answer in answers for ways in answer.facts for way in ways)
        assert max(ways.values()) == 1
