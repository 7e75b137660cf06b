"""What deciding whether two answers say the same promises."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.answer_traits import answer_traits
from cache.encoder import Encoder
from cache.sameness import Weights, chunks, compare_audit, compare_link, evidence, sameness, shipped_weights
from tests.conftest import ROOT

NEAR = 0.95
"""A cosine as two wordings of one answer have it."""

BASE = (
    "You can return unused items within 30 days. Print the label from your account and take the parcel to any shop."
    " The refund of 25 euros arrives after 5 working days."
)


def p(one: str, two: str, similarity: float = NEAR) -> float:
    return sameness(answer_traits(one), answer_traits(two), similarity)


def links(one: str, two: str, similarity: float = NEAR) -> bool:
    return compare_link(answer_traits(one), answer_traits(two), similarity)


def verdict(one: str, two: str, similarity: float = NEAR) -> str:
    return compare_audit(answer_traits(one), answer_traits(two), similarity)


def quantities(text: str) -> set[tuple[str, str]]:
    return {quantity[:2] for quantity in answer_traits(text).quantities}


# --- Any text -------------------------------------------------------------------------------------


_WORDS = st.sampled_from(
    [
        *"yes no not the a of half past quarter every single one two hundred and thousand".split(),
        *'EUR € 5 1,234.5 007 1.2.3 % 2 pm p.m. 14:00 24/7 1/2 ½ -3 > -> `code` ``` " * ( ) : . , - +'.split(),
        *"Settings refund cancel enable disable café 日本 ٣ ² \u202e \n".split(" "),
    ]
)
_TEXTS = st.one_of(st.text(max_size=80), st.lists(_WORDS, max_size=25).map(" ".join))


@given(one=_TEXTS, two=_TEXTS, similarity=st.floats(-1, 1))
@settings(max_examples=300, deadline=None)
def test_any_two_texts_have_one_probability_whichever_comes_first(one: str, two: str, similarity: float) -> None:
    found = p(one, two, similarity)
    assert 0 <= found <= 1
    assert found == p(two, one, similarity)
    left, right = answer_traits(one), answer_traits(two)
    amounts = evidence(left, right, similarity)
    assert amounts == evidence(right, left, similarity)
    assert all(math.isfinite(amount) for amount in amounts.values())


@given(_TEXTS)
@settings(max_examples=150, deadline=None)
def test_a_text_says_the_same_as_itself(text: str) -> None:
    assert p(text, text, 0.0) == 1.0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("5", "-5"),
        ("C", "C#"),
        ("✅", "❌"),
        ("Online: ✅", "Online: ❌"),
        ("🙂", "🎉"),
        ("1.5", "15"),
        ("x <= 3", "x >= 3"),
    ],
)
def test_signs_that_mean_something_are_never_dropped(one: str, two: str) -> None:
    assert p(one, two, 1.0) < 1.0


@pytest.mark.parametrize(
    "text", ["a" * 50_000, "1 " * 20_000, "x." * 20_000, "`" * 20_000, '("' * 20_000, "-" * 50_000]
)
def test_of_a_huge_text_only_the_beginning_is_read_and_it_says_the_same_as_no_other(text: str) -> None:
    assert answer_traits(text).length <= 12_000
    assert verdict(text, f"{text}!", 1.0) == "unclear"
    assert not links(text, f"{text}!", 1.0)


# --- The same -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        f"Sure! {BASE}",
        f"Thank you for reaching out to us! {BASE}",
        f"I'm happy to help. {BASE} Is there anything else I can do for you?",
        f"Here is what you need to know:\n\n{BASE}\n\nLet me know if you have any other questions.",
        f"No problem at all. {BASE} Do you have any other questions?",
        f"Hello, and thanks for reaching out. {BASE} Would you like me to explain any of this?",
        f"I apologize for the inconvenience. {BASE} If you need further assistance, our team is available 24/7.",
        f"I can certainly help you with that. {BASE} Reach out to us any time!",
        f"Don't worry! I see. {BASE} Is there something else?",
        f"Congratulations on the new card! {BASE} Shall I explain how to activate it?",
        f"Great question, and good of you to check! {BASE} If you get stuck, tell me and I'll walk you through it.",
        f"{BASE} I hope this helps!",
        f"Of course. {BASE} Have a great day!",
        BASE.upper(),
        BASE.replace(". ", ".\n\n"),
        f"**{BASE}**",
        "- " + BASE.replace(". ", ".\n- "),
    ],
)
def test_courtesy_case_and_markup_change_nothing(other: str) -> None:
    assert p(BASE, other) == 1.0
    assert links(BASE, other)
    assert verdict(BASE, other) == "same"


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("30 days", "thirty days"),
        BASE.replace("25 euros", "€25"),
        BASE.replace("25 euros", "EUR 25"),
        BASE.replace("working days", "business days"),
        BASE.replace("You can", "Sure, you can").replace("within", "in"),
        " ".join(reversed([f"{sentence.rstrip('.')}." for sentence in BASE.split(". ")])),
        "Press Save, then Close. It does not cost anything.",
    ],
)
def test_another_way_of_writing_it_is_linked(other: str) -> None:
    base = "Press Save, then Close. It doesn't cost anything." if other.startswith("Press") else BASE
    assert links(base, other)
    assert verdict(base, other) == "same"


def test_a_short_answer_and_its_sentence_are_never_called_different() -> None:
    assert verdict("Paris", "The capital of France is Paris.", 0.6) != "different"
    assert verdict("Six minutes.", "Boil it for 6 minutes.", 0.6) != "different"


# --- Not the same ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("30 days", "14 days"),
        ("30 days", "30 months"),
        ("30 days", "three days"),
        ("25 euros", "52 euros"),
        ("25 euros", "25 dollars"),
        ("5 working days", "5 minutes"),
        ("You can return", "You cannot return"),
        ("unused items", "items only if they were a gift and"),
        ("any shop", "the Berlin warehouse"),
    ],
)
def test_one_changed_fact_keeps_answers_apart(part: str, instead: str) -> None:
    other = BASE.replace(part, instead)
    assert not links(BASE, other)
    assert verdict(BASE, other) != "same"
    assert not links(BASE, f"Sure! {other} Anything else?")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Open Settings > Appearance and choose Dark.", "Open Settings > Appearance and choose Light."),
        ("Adults pay EUR 14, students EUR 9.", "Adults pay EUR 9, students EUR 14."),
        ("Yes, dogs are allowed on a leash.", "No, dogs are not allowed, not even on a leash."),
        ("Paris", "Lyon"),
        ("Six minutes.", "Nine minutes."),
        ("The fee is 5 euros.", "There is no fee."),
        ("```\nrm -r build\n```", "```\nrm -rf build\n```"),
        ("Run `git reset --soft HEAD~1`.", "Run `git reset --hard HEAD~1`."),
        ("Cancel it before you leave.", "Cancel it after you leave."),
    ],
)
def test_opposites_and_exchanged_places_are_not_linked(one: str, two: str) -> None:
    assert not links(one, two)
    assert verdict(one, two) != "same"


LONG = (
    "Prepaid cards are accepted at all our shops, and you can also pay in cash. The shop sends you a receipt by email"
    " within 2 days. You must keep it for 14 days. Gift cards are valid before the sale ends and never expire later."
)


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("cards are accepted", "cards are not accepted"),
        ("you can also pay", "you cannot pay"),
        ("You must keep", "You don't have to keep"),
        ("before the sale", "after the sale"),
        ("by email", "by letter"),
    ],
)
def test_a_contrary_clause_keeps_long_answers_apart_wherever_it_stands(part: str, instead: str) -> None:
    other = LONG.replace(part, instead)
    assert other != LONG
    assert not links(LONG, other)
    assert not links(LONG, f"Of course! {other}")
    assert not links(LONG, " ".join(reversed([f"{sentence.rstrip('.')}." for sentence in other.split(". ")])))


def test_a_number_of_one_unit_against_another_is_different_to_an_audit() -> None:
    assert verdict("The notice period is 3 months.", "The notice period is 6 months.", 0.9) == "different"


def test_a_refusal_says_nothing_that_another_answer_says() -> None:
    refusal = "I'm sorry, but I don't have any information about that."
    assert not links(refusal, BASE, 0.9)
    assert verdict(refusal, BASE, 0.9) != "same"
    assert verdict(refusal, "I can't say how long it takes.", 0.9) == "unclear"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (
            "Sie können die Ware innerhalb von 30 Tagen zurückgeben.",
            "Die Ware kann bis zu 30 Tage lang zurückgegeben werden.",
        ),
        ("Sie können die Ware innerhalb von 30 Tagen zurückgeben.", "You can return the goods within 30 days."),
        ("30日以内に返品できます。", "返品は30日以内です。"),
    ],
)
def test_other_languages_are_linked_only_where_the_text_is_equal(one: str, two: str) -> None:
    assert not links(one, two, 1.0)
    assert verdict(one, two, 1.0) == "unclear"
    assert links(one, f"  {one.upper()} ", 1.0)


# --- Numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("2 weeks", "14 days"),
        ("24 hours", "one day"),
        ("two years", "24 months"),
        ("half an hour", "30 minutes"),
        ("a quarter of an hour", "15 min"),
        ("1½ cups", "one and a half cups"),
        ("2 pm", "14:00"),
        ("half past six in the morning", "6:30"),
        ("six in the evening", "18:00"),
        ("€1,500", "one thousand five hundred euros"),
        ("22 cents", "0.22 EUR"),
        ("1 500 km", "1,500 kilometres"),
        ("9.9 percent", "9,9 %"),
        ("one hundred and fifty", "150"),
        ("55 x 40 x 20 cm", "55 by 40 by 20 centimetres"),
        ("from 5 to 10 kg", "5 kg to 10 kg"),
        ("2 GB", "2000 MB"),
        ("an hour and a half", "90 minutes"),
        ("1 h 30 min", "1.5 hours"),
        ("19 euros and 50 cents", "€19.50"),
        ("1 m 40", "140 cm"),
        ("two thirds", "67 %"),
        ("2.400 €", "2,400 euros"),
        ("7.5k", "7,500"),
        ("seven and a half thousand", "7500"),
        ("quarter to nine in the evening", "20:45"),
        ("the first thousand euros", "the first €1,000"),
        ("55x40x20 cm", "55 by 40 by 20 cm"),
        ("fourteen minutes past ten in the evening", "22:14"),
    ],
)
def test_a_quantity_is_the_same_however_it_is_written(one: str, two: str) -> None:
    assert quantities(f"It is {one}.") == quantities(f"It is {two}.")


@pytest.mark.parametrize(
    ("one", "two"), [("2 weeks", "2 months"), ("5 EUR", "5 USD"), ("8 kg", "8 lb"), ("2 am", "2 pm")]
)
def test_another_unit_is_another_quantity(one: str, two: str) -> None:
    assert quantities(f"It is {one}.").isdisjoint(quantities(f"It is {two}."))


def test_so_many_times_a_day_is_every_so_many_hours() -> None:
    assert answer_traits("Take it three times a day.").rates == answer_traits("Take it every 8 hours.").rates


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Open from nine to half past five.", "Open from 9:00 to 17:30."),
        ("Open 9 to 5.", "Open from 9 am to 5 pm."),
        ("30 degrees at most.", "No more than 30 °C."),
        ("In 6, 12 or 24 monthly instalments.", "Over half a year, one year or two years."),
        ("The market ends on 23.12.", "The market ends on December 23."),
        ("No deliveries on Sundays.", "Deliveries are made from Monday to Saturday."),
    ],
)
def test_what_may_be_the_same_in_another_form_is_no_contradiction(one: str, two: str) -> None:
    assert verdict(one, two, 0.7) != "different"


def test_how_often_is_no_duration() -> None:
    for often in ("monthly", "every month", "per month", "each month", "once a month"):
        assert answer_traits(f"You pay 5 euros {often}.").rates == {("1", "month")}


# --- Vectors of long answers ----------------------------------------------------------------------


def test_a_short_answer_is_one_chunk_without_its_courtesy() -> None:
    assert chunks("Sure! The fee is 5 euros. Anything else?") == ["The fee is 5 euros."]
    assert chunks("") == []


def test_chunks_keep_every_word_in_order() -> None:
    text = " ".join(f"This is sentence number {number} of a long answer." for number in range(200))
    parts = chunks(text)
    assert len(parts) > 5
    assert " ".join(parts).split() == text.split()
    assert chunks(text) == parts


@pytest.mark.parametrize(
    "text",
    ["word " * 3000, "x" * 4000, "日" * 3000, "1234567890 " * 800, "internationalisation " * 500, "a, b; c. " * 1000],
)
def test_every_chunk_fits_the_encoder(encoder_folder: Path, text: str) -> None:
    encoder = Encoder.load(encoder_folder)
    parts = chunks(text)
    assert parts
    assert all(encoder.token_count(part) <= encoder.max_tokens for part in parts)
    encoder.close()


# --- The shipped weights --------------------------------------------------------------------------


def test_the_shipped_weights_have_room_for_three_outcomes() -> None:
    weights = shipped_weights()
    assert 0 < weights.audit_different < 0.5 < weights.audit_same <= 1
    assert weights.link > 0.5


def test_weights_of_ones_own_are_used() -> None:
    nothing = Weights("", link=0.9, audit_same=0.9, audit_different=0.1, audit_improbable=0.05, intercept=0.0, trees=())
    left, right = answer_traits("The fee is 5 euros."), answer_traits("Bring a photo.")
    assert sameness(left, right, 0.1, nothing) == 0.5
    assert not compare_link(left, right, 0.1, nothing)
    assert compare_audit(left, right, 0.1, nothing) == "unclear"


def test_answers_to_different_questions_of_the_faq_are_hardly_ever_the_same() -> None:
    lines = (ROOT / "data" / "faq" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [answer_traits(json.loads(line)["answer"]) for line in lines]
    wrong = sum(
        compare_link(one, two, 0.9) for at, one in enumerate(answers) for two in answers[at + 1 :]
    )  # as if all lay close
    assert wrong <= len(answers) ** 2 / 2 * 0.002
