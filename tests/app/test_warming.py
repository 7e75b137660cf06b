"""FAQ files: read whole, every mistake named with its line, nothing taken from a file with a mistake."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.filling import CURATED, curated_answer
from app.services import now
from app.warming import Curated, FaqInvalid, read_faq
from router.protocols.openai import event_from_body, plain_answer
from tests.running import ROOT


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: str | bytes, name: str = "faq.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def problems(path: Path) -> list[str]:
    with pytest.raises(FaqInvalid) as raised:
        read_faq(path)
    assert all(problem in str(raised.value) for problem in raised.value.problems)
    return raised.value.problems


# --- CSV -------------------------------------------------------------------------------------------------------


def test_two_columns_are_enough(write: Any) -> None:
    items = read_faq(write('question,answer\nHow?,So.\nWhy?,"Because, well."\n'))
    assert [(item.question, item.answer, item.tags, item.ttl_s) for item in items] == [
        ("How?", "So.", [], None),
        ("Why?", "Because, well.", [], None),
    ]


def test_each_item_says_where_it_is_from(write: Any) -> None:
    items = read_faq(write('question,answer\nHow?,"So\nand so."\n\nWhy?,Because.\n'))
    assert [item.source for item in items] == ["faq.csv:2", "faq.csv:5"]


def test_tags_and_lifetime_are_columns_too_in_any_order(write: Any) -> None:
    (item,) = read_faq(write('TTL_S, tags ,answer,question\n60," prices; plans ;,old",So.,How?\n'))
    assert (item.tags, item.ttl_s) == (["prices", "plans", "old"], 60)


@pytest.mark.parametrize("content", ["\ufeffquestion,answer\r\nHow?,So.\r\n", "question,answer\nHow?,So."])
def test_files_of_spreadsheets_are_read(write: Any, content: str) -> None:
    assert [(item.question, item.answer) for item in read_faq(write(content))] == [("How?", "So.")]


@pytest.mark.parametrize(
    "header", ["", "question", "answer,question,colour", "question;answer", "question,answer,answer", "How?,So."]
)
def test_a_header_must_name_the_columns(write: Any, header: str) -> None:
    (problem,) = problems(write(f"{header}\nHow?,So.\n"))
    assert problem.startswith("line 1: ")
    assert "question,answer[,tags,ttl_s]" in problem


def test_every_bad_line_is_named_with_its_number(write: Any) -> None:
    lines = [
        "question,answer,tags,ttl_s",
        "How?,So.,,",
        ",So.,,",
        "What?,  ,,",
        "Where?,Here.,,soon",
        "When?,Now.,,0",
        "Who?,Me",
        "Which?,This,,5,6",
        "Why?,Because.,,-5",
        "Whose?,Mine.,,99999999999",
        f"Long?,Yes.,{'x' * 201},",
        "How?,Otherwise.,,",
    ]
    found = problems(write("\n".join(lines)))
    assert [int(problem.split(":")[0].removeprefix("line ")) for problem in found] == [*range(3, 13)]
    for problem, word in zip(
        found,
        ["question", "answer", "ttl_s", "ttl_s", "less", "more", "ttl_s", "ttl_s", "tags", "line 2"],
        strict=True,
    ):
        assert word in problem


@pytest.mark.parametrize("content", ['question,answer\n"How?,So.\n', 'question,answer\nHow?,"So." no\n'])
def test_a_quote_that_does_not_end_is_named(write: Any, content: str) -> None:
    (problem,) = problems(write(content))
    assert problem.startswith("line 2: is no CSV")


def test_an_empty_file_is_refused(write: Any) -> None:
    assert problems(write("question,answer\n\n")) == ["it has no question"]


def test_a_file_in_another_encoding_is_refused_with_its_line(write: Any) -> None:
    (problem,) = problems(write("question,answer\nHow?,Süß.\n".encode("latin-1")))
    assert problem.startswith("line 2: is not UTF-8")


def test_a_file_of_another_kind_is_refused(write: Any) -> None:
    assert ".csv, .jsonl, .ndjson" in problems(write("question,answer\nHow?,So.\n", "faq.xlsx"))[0]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in problems(tmp_path / "faq.csv")[0]


# --- JSON Lines ------------------------------------------------------------------------------------------------


def test_a_paraphrase_is_a_question_of_its_own(write: Any) -> None:
    line = {"id": 7, "question": "How?", "answer": "So.", "paraphrases": ["In what way?"], "tags": ["t"], "ttl_s": 5}
    items = read_faq(write(json.dumps(line), "faq.jsonl"))
    assert [(item.question, item.answer, item.tags, item.ttl_s, item.source) for item in items] == [
        ("How?", "So.", ["t"], 5, "faq.jsonl:1"),
        ("In what way?", "So.", ["t"], 5, "faq.jsonl:1"),
    ]


def test_the_projects_own_faq_is_read() -> None:
    items = read_faq(ROOT / "data" / "faq" / "questions.jsonl")
    assert (len(items), len({item.answer for item in items})) == (1240, 123)


def test_every_bad_json_line_is_named_with_its_number(write: Any) -> None:
    lines = [
        '{"question": "How?", "answer": "So."}',
        "",
        '{"question": "How?"}',
        '{"question": 5, "answer": "So."}',
        "not json",
        "[1]",
        '{"question": "", "answer": "So."}',
        '{"question": "Who?", "answer": "I.", "paraphrases": ["Me?", " "]}',
        '{"question": "Why?", "answer": "So.", "ttl_s": 0}',
        '{"question": "Why?", "answer": "So.", "tags": "x"}',
        '{"question": "How? ", "answer": "Otherwise."}',
        "[" * 100_000,
    ]
    found = problems(write("\n".join(lines), "faq.jsonl"))
    assert [int(problem.split(":")[0].removeprefix("line ")) for problem in found] == [*range(3, 13)]
    assert "asks the same as line 1" in found[-2]


# --- what becomes of them --------------------------------------------------------------------------------------


def test_the_same_question_with_the_same_answer_counts_once(write: Any) -> None:
    assert len(read_faq(write("question,answer\nHow?,So.\n How? ,So.\ncafe\u0301?,Yes.\ncafé?,Yes.\n"))) == 2


@pytest.mark.parametrize("times", [("60", ""), ("", "60"), ("90", "60"), ("60", "60")])
def test_a_question_that_stands_twice_has_all_its_tags_and_its_shorter_time(write: Any, times: tuple[str, str]) -> None:
    first, second = times
    lines = f"question,answer,tags,ttl_s\nHow?,So.,prices,{first}\nHow? ,So.,shop;prices,{second}\n"
    (item,) = read_faq(write(lines))
    assert (item.tags, item.ttl_s, item.source) == (["prices", "shop"], 60, "faq.csv:2")


@pytest.mark.parametrize("text", ["", " \n", "x" * 100_001])
def test_a_curated_answer_is_a_text_that_can_be_asked_for(text: str) -> None:
    for fields in ({"question": text, "answer": "So."}, {"question": "How?", "answer": text}):
        with pytest.raises(ValueError):
            Curated(**fields)


def test_a_curated_answer_is_stored_as_a_provider_would_have_given_it() -> None:
    stored = curated_answer("How do I pay?", "By card – or cash.", now())

    assert plain_answer(stored.body) == "By card – or cash."
    assert (stored.body["object"], stored.body["model"]) == ("chat.completion", CURATED)
    assert (stored.usage.input, stored.usage.output) == (4, 5)
    event = event_from_body(stored.body)
    assert (event.is_last, event.usage) == (True, stored.usage)
