"""What fitting and measuring the comparison of answers promises, and what the comparison reaches on our own families.

The figures are those of the development families, on which the weights were fitted; the held-back families are not
looked at here.
"""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cache.encoder import Encoder
from cache.sameness import shipped_weights
from eval.sameness import (
    DEVELOPMENT,
    HELD_BACK,
    LONG,
    LONG_HELD_BACK,
    NATURAL,
    NATURAL_HELD_BACK,
    OTHERS,
    QUESTIONS,
    WORDINGS,
    Family,
    Measurement,
    Row,
    Texts,
    altered_pairs,
    family_pairs,
    fit,
    measure,
    neighbour_pairs,
    read_families,
    to_text,
    variations,
    varied_pairs,
)


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> Iterator[Encoder]:
    loaded = Encoder.load(encoder_folder)
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def families() -> list[Family]:
    return read_families(DEVELOPMENT)


@pytest.fixture(scope="module")
def measured(families: list[Family], encoder: Encoder) -> Measurement:
    return measure(families, shipped_weights(), encoder, faq=QUESTIONS)


@pytest.fixture(scope="module")
def natural(encoder: Encoder) -> Measurement:
    return measure(read_families(NATURAL), shipped_weights(), encoder, with_neighbours=True)


def row(measurement: Measurement, name: str) -> Row:
    return next(each for each in measurement.rows if each.name == name)


# --- What the comparison reaches ------------------------------------------------------------------


def test_answers_as_models_word_them_are_linked_and_never_with_the_answer_to_another_question(
    natural: Measurement,
) -> None:
    assert (row(natural, "reworded").linked.value or 0) >= 0.85
    assert (row(natural, f"reworded, {WORDINGS} wordings").linked.value or 0) >= 0.9
    assert row(natural, "neighbour").linked.trials >= 5000
    assert (row(natural, "neighbour").linked.value or 0) <= 0.001
    assert all((links.precision.value or 0) >= 0.99 for links in natural.links if links.against.startswith("neighbour"))


def test_most_answers_as_chat_models_give_them_are_linked_and_hardly_any_with_what_they_contradict(
    encoder: Encoder,
) -> None:
    found = measure(read_families(LONG)[::3], shipped_weights(), encoder, with_neighbours=True)
    assert row(found, "reworded").linked.trials >= 500
    assert (row(found, "reworded").linked.value or 0) >= 0.5
    assert (row(found, "reworded").different.value or 0) <= 0.002
    assert (row(found, "neighbour").linked.value or 0) <= 0.01
    assert (row(found, "different").linked.value or 0) <= 0.08


def test_an_exchanged_number_keeps_long_answers_apart(natural: Measurement) -> None:
    assert row(natural, "altered").linked.trials >= 300
    assert (row(natural, "altered").linked.value or 0) <= 0.01


def test_an_answer_in_which_a_few_words_were_exchanged_is_seldom_linked_with_the_one_it_was_made_from(
    natural: Measurement,
) -> None:
    assert row(natural, "closest different").linked.trials >= 300
    assert (row(natural, "closest different").linked.value or 0) <= 0.06


def test_the_mixture_of_neighbours_and_exchanged_words_is_as_its_parts_are(natural: Measurement) -> None:
    mixed = next(links for links in natural.links if " and " in links.against)
    parts = [links.precision.value or 0 for links in natural.links[:2]]
    assert mixed.against == "80 % neighbour and 20 % different"
    assert min(parts) < (mixed.precision.value or 0) < max(parts)


def test_few_answers_that_were_made_to_be_mistaken_are_linked(measured: Measurement) -> None:
    assert row(measured, "different").linked.trials >= 3000
    assert (row(measured, "different").linked.value or 0) <= 0.11
    assert (row(measured, "closest different").linked.value or 0) <= 0.05
    numbers = next(each for each in measured.kinds if each.name == "number")
    assert (numbers.linked.value or 0) <= 0.01


def test_an_audit_calls_no_more_than_two_in_a_thousand_reworded_answers_different(
    measured: Measurement, natural: Measurement
) -> None:
    for found in (measured, natural):
        assert row(found, "reworded").different.trials >= 1000
        assert (row(found, "reworded").different.value or 0) <= 0.002


def test_an_audit_recognises_most_answers_to_other_questions_as_different(natural: Measurement) -> None:
    assert (row(natural, "neighbour").different.value or 0) >= 0.6
    assert (row(natural, "neighbour").same.value or 0) <= 0.001


def test_the_same_core_with_courtesy_in_another_order_or_with_synonyms_is_linked(
    families: list[Family], encoder: Encoder
) -> None:
    varied = row(measure(families[::8], shipped_weights(), encoder, with_variations=True), "varied")
    assert varied.linked.trials >= 600
    assert (varied.linked.value or 0) >= 0.97
    assert varied.different.successes == 0


# --- Pairs ----------------------------------------------------------------------------------------


def test_every_two_answers_and_every_different_text_with_each_answer_are_pairs(families: list[Family]) -> None:
    family = families[0]
    sorts = Counter(pair.relation for pair in family_pairs([family]))
    size = len(family.same)
    assert sorts == {"reworded": size * (size - 1) // 2, "different": len(family.different) * size}
    assert sum(pair.is_closest for pair in family_pairs([family])) == len(family.different)


def test_there_are_more_pairs_than_the_promises_need(families: list[Family]) -> None:
    sorts = Counter(pair.relation for pair in family_pairs(families))
    assert min(sorts["reworded"], sorts["different"]) >= 1000


def test_variations_never_touch_code_and_differ_from_the_text() -> None:
    text = "Run `git add 5`, then press Save. It takes 5 minutes."
    found = dict(variations(text, 0))
    assert found
    assert all("`git add 5`" in varied and varied != text for varied in found.values())
    assert dict(variations(text, 0)) == found


def test_variations_are_paired_with_their_text_and_with_each_other() -> None:
    pairs = list(varied_pairs([("fee", "The fee is 5 euros. Pay it by card.")]))
    assert all(pair.is_same and pair.family == "fee" for pair in pairs)
    assert any(pair.kind.endswith("twice") for pair in pairs)


@pytest.mark.parametrize(
    ("development", "held_back"),
    [(DEVELOPMENT, HELD_BACK), (NATURAL, NATURAL_HELD_BACK), (NATURAL, OTHERS), (LONG, LONG_HELD_BACK)],
)
def test_the_held_back_families_share_no_name_with_the_development_ones(development: Path, held_back: Path) -> None:
    names = {family.id for family in read_families(development)}
    assert names.isdisjoint(family.id for family in read_families(held_back))


def test_a_neighbour_is_an_answer_to_another_question_and_an_altered_answer_has_another_number(
    encoder: Encoder,
) -> None:
    families = read_families(NATURAL)[:6]
    family_of = {text: family.id for family in families for text in family.same}
    neighbours = neighbour_pairs(families, Texts(encoder))
    assert len(neighbours) == 8 * len(family_of)
    assert all(family_of[pair.one] != family_of[pair.two] for pair in neighbours)
    assert all(pair.two not in family_of for pair in altered_pairs(families))


# --- The fit --------------------------------------------------------------------------------------


def test_the_same_families_give_the_same_weights(families: list[Family], encoder: Encoder, tmp_path: Path) -> None:
    few = families[:10]
    faq = tmp_path / "questions.jsonl"
    faq.write_text("".join(QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)[:12]), encoding="utf-8")
    natural = read_families(NATURAL)[:8]
    long = read_families(LONG)[:4]
    first, again = (fit(few, natural, long, encoder, faq, trees=60) for _ in range(2))
    assert first == again
    assert 0 < first.audit_different < first.link


# --- The text -------------------------------------------------------------------------------------


def test_the_text_names_every_sort_of_pair_with_bounds(measured: Measurement) -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(to_text(measured, "development"))
    text = out.getvalue()
    for name in ("reworded", "closest different", "other question", "polarity", "precision", "recall"):
        assert name in text
    assert f"{measured.rows[0].linked.trials}" in text
