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
    QUESTIONS,
    Family,
    Measurement,
    Row,
    family_pairs,
    fit,
    measure,
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
    return measure(families, shipped_weights(), encoder, with_variations=False, faq=QUESTIONS)


def row(measurement: Measurement, name: str) -> Row:
    return next(each for each in measurement.rows if each.name == name)


# --- What the comparison reaches ------------------------------------------------------------------


def test_hardly_any_answer_that_says_something_else_is_linked(measured: Measurement) -> None:
    assert row(measured, "different").linked.trials >= 3000
    assert (row(measured, "different").linked.value or 0) <= 0.012
    assert (row(measured, "closest different").linked.value or 0) <= 0.012
    assert row(measured, "other question").linked.successes == 0


def test_some_answers_in_entirely_other_words_are_linked(measured: Measurement) -> None:
    assert (row(measured, "reworded").linked.value or 0) >= 0.10


def test_an_audit_calls_no_more_than_two_in_a_thousand_reworded_answers_different(measured: Measurement) -> None:
    assert row(measured, "reworded").different.trials >= 1000
    assert (row(measured, "reworded").different.value or 0) <= 0.002


def test_an_audit_calls_no_more_than_one_in_a_hundred_different_answers_the_same(measured: Measurement) -> None:
    assert (row(measured, "different").same.value or 0) <= 0.01
    assert row(measured, "other question").same.successes == 0


def test_an_audit_recognises_some_of_what_is_different(measured: Measurement) -> None:
    assert (row(measured, "different").different.value or 0) >= 0.21
    assert (row(measured, "closest different").different.value or 0) >= 0.30
    assert (row(measured, "other question").different.value or 0) >= 0.50
    assert (next(kind for kind in measured.kinds if kind.name == "number").different.value or 0) >= 0.45


def test_the_same_core_with_courtesy_in_another_order_or_with_synonyms_is_linked(
    families: list[Family], encoder: Encoder
) -> None:
    varied = row(measure(families[::8], shipped_weights(), encoder), "varied")
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


def test_the_held_back_families_share_no_name_with_the_development_ones(families: list[Family]) -> None:
    assert {family.id for family in families}.isdisjoint(family.id for family in read_families(HELD_BACK))


# --- The fit --------------------------------------------------------------------------------------


def test_the_same_families_give_the_same_weights(families: list[Family], encoder: Encoder, tmp_path: Path) -> None:
    few = families[:10]
    faq = tmp_path / "questions.jsonl"
    faq.write_text("".join(QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)[:12]), encoding="utf-8")
    first, again = fit(few, encoder, faq), fit(few, encoder, faq)
    assert first == again
    assert first.weights["similarity"] > 0
    assert first.weights["numbers of one unit conflict"] < 0


# --- The text -------------------------------------------------------------------------------------


def test_the_text_names_every_sort_of_pair_with_bounds(measured: Measurement) -> None:
    out = io.StringIO()
    Console(file=out, width=160).print(to_text(measured, "development"))
    text = out.getvalue()
    for name in ("reworded", "closest different", "other question", "polarity", "precision", "recall"):
        assert name in text
    assert f"{measured.rows[0].linked.trials}" in text
