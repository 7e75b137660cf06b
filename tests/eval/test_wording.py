"""Answers worded ever differently, for streams whose hits are counted."""

import json
import random

import pytest

from eval.sameness import NATURAL, Family, read_families, written_wordings
from eval.streams import Question
from eval.wording import answers_file, facts_of, stated, with_another_fact, worded

QUESTIONS = [Question(text, label) for label in ("card_arrival", "age limit") for text in ("one", "two", "three")]


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
