"""What the classifier of work promises."""

import json

import pytest

from router.workload import Workload, workload
from tests.running import ROOT


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("How do I change the name on my ticket?", Workload.CHAT),
        ("Extract all email addresses from the text below as JSON: write to a@b.example", Workload.EXTRACTION),
        ("Write a Python function that reverses a linked list.", Workload.CODE),
        ("Prove step by step that the sum of two even numbers is even.", Workload.REASONING),
        ("Summarise this article in two sentences: The harbour was closed on Monday.", Workload.SUMMARISING),
    ],
)
def test_a_plain_task_is_put_into_its_class(text: str, kind: Workload) -> None:
    assert workload(text) is kind


@pytest.mark.parametrize("text", ["", "   ", "ok", "?", "\ud800", "你好"])
def test_what_says_nothing_is_chat(text: str) -> None:
    assert workload(text) is Workload.CHAT


def test_the_task_counts_and_not_the_material_between() -> None:
    article = "def main(): return 1; " * 200

    assert workload(f"Please summarise the following in one paragraph.\n{article}") is Workload.SUMMARISING


def test_a_task_after_long_material_is_seen() -> None:
    article = "The town lies by a river and has a market. " * 200

    assert workload(f"{article}\nSummarise the above in three bullet points.") is Workload.SUMMARISING


def test_labels_are_stored_and_read_back() -> None:
    assert [Workload.of(kind.label) for kind in Workload] == list(Workload)
    assert [int(kind) for kind in Workload] == [0, 1, 2, 3, 4]


def test_the_labelled_prompts_are_what_their_readme_says() -> None:
    folder = ROOT / "data" / "workload"
    rows = [json.loads(line) for line in (folder / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]

    assert len(rows) >= 200
    assert f"{len(rows)} user prompts" in (folder / "README.md").read_text(encoding="utf-8")
    assert len({row["text"] for row in rows}) == len(rows)
    for kind in Workload:
        counted = [sum(row["class"] == kind.label and row["split"] == part for row in rows) for part in ("dev", "test")]
        assert f"| {counted[0]} | {counted[1]} |" in (folder / "README.md").read_text(encoding="utf-8")
        assert min(counted) >= 20


def test_nine_of_ten_mended_prompts_are_right() -> None:
    lines = (ROOT / "data" / "workload" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == "dev"]

    assert sum(workload(row["text"]).label == row["class"] for row in rows) >= 0.9 * len(rows)
