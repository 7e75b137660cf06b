"""How well it is told what may be cached: the measure, and what our own labelled prompts say."""

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from rich.console import Console, RenderableType

from eval.cacheability import (
    ALLOWED,
    Label,
    Part,
    Prompt,
    cacheability_table,
    follow_ups_table,
    measure,
    measure_cacheability,
    measure_follow_ups,
)
from tests.running import ROOT

PROMPTS = ROOT / "data" / "cacheability" / "prompts.jsonl"
OTHERS = ROOT / "data" / "cacheability" / "others.jsonl"

SHARKS = ["What are the different types of sharks?", "Are they endangered?", "Tell me about whales."]
CANCER = ["What is throat cancer?", "Is it treatable?", "What are its symptoms?"]


def prompts() -> list[Prompt]:
    return [msgspec.json.decode(line, type=Prompt) for line in PROMPTS.read_bytes().splitlines()]


def shown(table: RenderableType) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def topic(number: int, *raw: str, **fields: list[str]) -> dict[str, Any]:
    turns = [
        {"number": at + 1, "raw_utterance": text, **{name: values[at] for name, values in fields.items()}}
        for at, text in enumerate(raw)
    ]
    return {"number": number, "turn": turns}


def write(folder: Path, *topics: dict[str, Any], name: str = "topics.json") -> Path:
    (folder / name).write_text(json.dumps(topics), encoding="utf-8")
    return folder


# --- Our own prompts ----------------------------------------------------------------------------------------


def test_our_own_prompts_are_as_many_as_promised_and_none_occurs_twice() -> None:
    counts = Counter(prompt.label for prompt in prompts())
    least = {"cacheable": 160, "personal": 70, "volatile": 60, "follow-up": 60, "too-short": 20, "sampling": 30}
    assert all(counts[label] >= number for label, number in least.items())  # type: ignore[index]
    assert len({(prompt.text, prompt.earlier != ()) for prompt in prompts()}) == len(prompts())


@pytest.mark.parametrize("label", get_args(Label))
def test_each_class_is_halved_between_dev_and_test(label: Label) -> None:
    halves = Counter(prompt.part for prompt in prompts() if prompt.label == label)
    assert abs(halves["dev"] - halves["test"]) <= 1


@pytest.mark.parametrize("part", get_args(Part))
@pytest.mark.parametrize("label", get_args(Label))
def test_of_each_class_nine_in_ten_get_the_right_level(label: Label, part: Part) -> None:
    found = next(row for row in measure_cacheability(PROMPTS, part).classes if row.label == label)
    assert found.handled.value is not None
    assert found.handled.value >= (0.90 if label == "cacheable" else 0.95)


def test_hardly_anything_that_is_served_semantically_ought_not_to_be() -> None:
    found = next(row for row in measure_cacheability(PROMPTS).classes if row.label == "cacheable")
    assert found.precision.value is not None
    assert found.precision.value >= 0.95


# --- Prompts by others --------------------------------------------------------------------------------------


def others() -> list[Prompt]:
    return [msgspec.json.decode(line, type=Prompt) for line in OTHERS.read_bytes().splitlines()]


def test_each_writer_is_in_one_part_only_and_who_wrote_the_rules_in_none() -> None:
    writers = {part: {prompt.writer for prompt in others() if prompt.part == part} for part in get_args(Part)}
    assert writers == {"dev": {1, *range(3, 13), 14}, "test": {2, 13}}


def test_the_prompts_by_others_are_as_many_as_promised_and_no_text_is_twice() -> None:
    assert Counter(prompt.part for prompt in others()) == {"dev": 6215, "test": 903}
    folded = ("".join(filter(str.isalnum, prompt.text.casefold())) for prompt in others())
    assert max(Counter(folded).values()) == 1


@pytest.mark.parametrize(
    ("label", "least"),
    [("cacheable", 0.92), ("personal", 0.78), ("volatile", 0.84), ("follow-up", 0.92), ("sampling", 0.78)],
)
def test_of_the_part_that_was_in_view_most_get_the_right_level(label: Label, least: float) -> None:
    found = next(row for row in measure_cacheability(OTHERS, "dev").classes if row.label == label)
    assert found.handled.value is not None
    assert found.handled.value >= least


# --- The measure --------------------------------------------------------------------------------------------


def test_precision_and_recall_are_counted_per_class() -> None:
    report = measure(
        [
            Prompt("Where is my parcel?", "personal", "dev"),
            Prompt("Is Ada there?", "personal", "dev"),  # not seen
            Prompt("Where is my parcel now?", "volatile", "dev"),  # seen as personal
            Prompt("How do I reset my password?", "cacheable", "dev"),
        ]
    )
    rows = {row.label: row for row in report.classes}
    assert (rows["personal"].recall.successes, rows["personal"].recall.trials) == (1, 2)
    assert (rows["personal"].precision.successes, rows["personal"].precision.trials) == (1, 2)
    assert rows["volatile"].recall.successes == 0
    assert rows["volatile"].handled.successes == 1  # none is right for it, too
    assert rows["sampling"].recall.value is None
    assert [mistake.prompt.text for mistake in report.mistakes] == ["Is Ada there?"]


def test_earlier_turns_are_part_of_a_prompt() -> None:
    earlier = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"})
    report = measure([Prompt("How do I reset my password?", "follow-up", "dev", earlier)])
    assert next(row for row in report.classes if row.label == "follow-up").recall.value == 1


def test_a_line_that_is_no_prompt_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "Hi", "class": "greeting", "split": "dev"}\n', encoding="utf-8")
    with pytest.raises(msgspec.ValidationError):
        measure_cacheability(path)


def test_every_class_says_which_levels_are_right_for_it() -> None:
    assert set(ALLOWED) == set(get_args(Label))
    assert all("semantic" not in levels for label, levels in ALLOWED.items() if label != "cacheable")


def test_the_table_shows_every_class_with_bounds() -> None:
    text = shown(cacheability_table(measure_cacheability(PROMPTS, "dev"), "dev"))
    assert all(label in text for label in get_args(Label))
    assert "100.0 (" in text


# --- Conversations ------------------------------------------------------------------------------------------


def test_a_follow_up_with_its_own_turns_is_in_no_other_conversations_scope(tmp_path: Path) -> None:
    report = measure_follow_ups(write(tmp_path, topic(1, *SHARKS), topic(2, *CANCER), topic(3, "Hi.", *CANCER[1:])))
    assert (report.conversations, report.follow_ups) == (3, 6)
    assert (report.semantic_in_context, report.crossings, report.same_openings) == (0, 0, 0)


def test_two_topics_that_begin_with_the_same_words_are_named_as_such(tmp_path: Path) -> None:
    report = measure_follow_ups(write(tmp_path, topic(1, "Hello.", "Is it new?"), topic(2, "Hello.", "Is it old?")))
    assert (report.crossings, report.same_openings) == (0, 2)


def test_answers_set_conversations_apart(tmp_path: Path) -> None:
    topics = [topic(n, "Hello.", "Is it new?", passage=[f"Answer {n}.", "Yes."]) for n in (1, 2)]
    report = measure_follow_ups(write(tmp_path, *topics))
    assert (report.follow_ups, report.same_openings) == (2, 0)


def test_a_branch_is_counted_once(tmp_path: Path) -> None:
    report = measure_follow_ups(write(tmp_path, topic(1, *SHARKS), topic(1, *SHARKS[:2], "Why?")))
    assert report.follow_ups == 3


def test_bare_follow_ups_are_told_apart_by_whether_they_need_their_context(tmp_path: Path) -> None:
    rewritten = [CANCER[0], "Is throat cancer treatable?", "What are the symptoms of throat cancer?"]
    folder = write(
        tmp_path, topic(1, *CANCER, manual_rewritten_utterance=rewritten), topic(2, *SHARKS), topic(3, "A?", "B?")
    )
    (folder / "rewritten.tsv").write_text(
        f"2_1\t{SHARKS[0]}\n2_2\tAre sharks endangered?\n2_3\t{SHARKS[2]}\n", encoding="utf-8"
    )
    rows = {row.kind: row for row in measure_follow_ups(folder).bare}
    assert (rows["needs its context"].semantic.successes, rows["needs its context"].semantic.trials) == (0, 3)
    assert rows["stands alone"].examples == (SHARKS[2],)
    assert rows["rewritten to stand alone"].semantic.value == 1
    assert rows["not annotated"].semantic.trials == 1


def test_turns_called_utterance_are_read_as_well(tmp_path: Path) -> None:
    turns = [
        {"number": "1-1", "utterance": "What is COP26?", "response": "A summit."},
        {"number": "1-3", "utterance": "Why?"},
    ]
    report = measure_follow_ups(write(tmp_path, {"number": 132, "turn": turns}))
    assert report.follow_ups == 1


def test_a_folder_without_conversations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no conversation"):
        measure_follow_ups(tmp_path)


def test_the_table_says_what_is_looked_up(tmp_path: Path) -> None:
    text = shown(follow_ups_table(measure_follow_ups(write(tmp_path, topic(1, *CANCER)))))
    assert "not annotated" in text
    assert "0 in the scope of a conversation that went otherwise" in text
