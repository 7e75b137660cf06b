"""What judging promises: both orders are asked, and only a word that was asked for, said twice, is a judgement."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router.catalogue import Model, Tier
from router.judge import is_seen_whole, is_word, preference, preference_requests, sameness, sameness_requests
from tests.router.samples import quick

JUDGE = Model(
    name="judge",
    tier=Tier.MID,
    context_tokens=128_000,
    max_output_tokens=16_384,
    deployments=(),
    accepts=frozenset(),
    takes_tools=False,
)


def said(**fields: Any) -> str:
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ("A", "B", "better"),
        ("B", "A", "worse"),
        ("same", "same", "same"),
        ("A", "A", None),  # it favours a position
        ("B", "B", None),
        ("A", "same", None),
        ("a", "b", None),
    ],
)
def test_a_preference_must_survive_the_other_order(first: str, second: str, verdict: str | None) -> None:
    assert preference(said(better=first), said(better=second)) == verdict


@pytest.mark.parametrize(
    ("first", "second", "verdict"), [(True, True, "same"), (False, False, "different"), (True, False, None)]
)
def test_sameness_must_be_said_twice(first: bool, second: bool, verdict: str | None) -> None:
    assert sameness(said(same=first), said(same=second)) == verdict


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "same",
        "true",
        "[]",
        '{"better": "A", "why": "it is longer"}',
        '{"better": ["A"]}',
        'I think {"better": "A"}',
        '{"same": 1}',
        '{"same": "true"}',
        "{" * 10_000,
        "[" * 100_000,
        '[["same", true]]',
        '{"same": true, "same": true}',
        '{"same": {"same": true}}',
        '{"better": "A", "better": "A"}',
    ],
)
def test_anything_else_is_no_judgement(text: str) -> None:
    assert preference(text, text) is None
    assert sameness(text, text) is None


@pytest.mark.parametrize(
    ("text", "is_one"), [('{"same": true}', True), ('{"same": false}', True), ('{"better": "A"}', False), ("", False)]
)
def test_who_has_no_word_in_the_first_order_need_not_be_asked_again(text: str, is_one: bool) -> None:
    assert is_word(text, "same") is is_one


def test_of_an_answer_that_is_not_shown_to_its_end_nobody_can_say_that_it_is_the_same() -> None:
    longest = json.loads(json.loads(sameness_requests(JUDGE, "", "x" * 99_999, "")[0])["messages"][1]["content"])["A"]
    assert is_seen_whole(longest, "short")
    assert not is_seen_whole("short", longest + "x")


def test_a_fence_around_the_json_does_no_harm() -> None:
    assert sameness('```json\n{"same": true}\n```', '{"same": true}') == "same"


@quick
@given(text=st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert preference(text, text) in (None, "same")
    assert sameness(text, text) in (None, "same", "different")


@quick
@given(question=st.text(), one=st.text(), other=st.text())
def test_both_orders_hold_both_answers_as_material(question: str, one: str, other: str) -> None:
    for make in (preference_requests, sameness_requests):
        bodies = [json.loads(body) for body in make(JUDGE, question, one, other)]
        materials = [json.loads(body["messages"][1]["content"]) for body in bodies]

        assert [(m["request"], m["A"], m["B"]) for m in materials] == [(question, one, other), (question, other, one)]
        assert all(body["model"] == "judge" for body in bodies)


@pytest.mark.parametrize(("longest", "limit"), [(512, 512), (2_000, 2_000), (128_000, 2_000)])
def test_a_judge_is_asked_for_no_more_than_its_model_can_write(longest: int, limit: int) -> None:
    model = replace(JUDGE, max_output_tokens=longest)
    for make in (preference_requests, sameness_requests):
        assert [json.loads(body)["max_completion_tokens"] for body in make(model, "", "", "")] == [limit, limit]
