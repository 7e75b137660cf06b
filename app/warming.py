"""Curated questions and answers, and the FAQ files they come from: CSV or JSON Lines.

A file is read whole and every mistake is named with its line before anything is done with it. Knows neither the cache
nor the server.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

CSV_COLUMNS: Final = ("question", "answer", "tags", "ttl_s")
LONGEST_TEXT: Final = 100_000
LONGEST_NAME: Final = 200
"""Of a tag, and of whatever else an entry is purged by."""
TTL_AT_MOST_S: Final = 100 * 366 * 86_400
_TAGS: Final = re.compile("[;,]")

Tag = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Ttl = Annotated[int, Meta(ge=1, le=TTL_AT_MOST_S)]


class Curated(Struct, frozen=True, forbid_unknown_fields=True):
    """A question with the answer that the operator vouches for."""

    question: str
    answer: str
    tags: list[Tag] = []
    ttl_s: Ttl | None = None
    """Seconds; None = until it is purged."""
    source: Annotated[str, Meta(max_length=LONGEST_NAME)] = "admin"
    """Where it is from, e.g. `faq.csv:12`."""

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            text = getattr(self, name)
            if not text.strip():
                raise ValueError(f"`{name}` is empty")
            if len(text) > LONGEST_TEXT:
                raise ValueError(f"`{name}` has more than {LONGEST_TEXT} characters")

    @property
    def key(self) -> str:
        """Equal for questions that the cache takes for the same text."""
        return unicodedata.normalize("NFC", self.question).strip()


class FaqInvalid(Exception):
    """Everything that is wrong with a file. `problems` are sentences that begin with a line."""

    def __init__(self, name: str, problems: list[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{name} has {len(problems)} problem{'s'[: len(problems) > 1]}:\n{lines}")
        self.problems = problems


class _Line(Struct):
    """A line of a JSON Lines file; further fields, such as an id, are left alone."""

    question: str
    answer: str
    paraphrases: list[str] = []
    tags: list[Tag] = []
    ttl_s: Ttl | None = None


_Found = Iterator[tuple[int, Curated | str]]
"""Line numbers, each with what stands there or what is wrong with it."""


def read_faq(path: Path) -> list[Curated]:
    """The questions and answers of a `.csv`, `.jsonl` or `.ndjson` file; a paraphrase is a question of its own.
    Raises FaqInvalid with every problem."""
    readers = {".csv": _from_csv, ".jsonl": _from_json_lines, ".ndjson": _from_json_lines}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise FaqInvalid(path.name, [f"its name must end with {', '.join(readers)}, so that its form is known"])
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise FaqInvalid(path.name, [f"it cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FaqInvalid(path.name, [f"line {line}: is not UTF-8; save the file as UTF-8"]) from None
    return _all_good(path.name, reader(text, path.name))


def _all_good(name: str, found: Iterable[tuple[int, Curated | str]]) -> list[Curated]:
    """Every item, if there is no problem, each question once: with all its tags and its shortest time."""
    items: dict[str, tuple[int, Curated]] = {}
    problems = []
    for line, item in found:
        if isinstance(item, str):
            problems.append(f"line {line}: {item}")
            continue
        earlier_line, earlier = items.get(item.key, (line, item))
        if earlier.answer.strip() != item.answer.strip():
            problems.append(f"line {line}: asks the same as line {earlier_line} and answers something else")
        items[item.key] = earlier_line, _joined(earlier, item)
    if not items and not problems:
        problems.append("it has no question")
    if problems:
        raise FaqInvalid(name, problems)
    return [item for _, item in items.values()]


def _joined(one: Curated, other: Curated) -> Curated:
    """One item of two with the same question and answer. What is forgotten with a tag, or after a time, stays no longer
    for having been written twice."""
    times = [item.ttl_s for item in (one, other) if item.ttl_s is not None]
    tags = list(dict.fromkeys([*one.tags, *other.tags]))
    return msgspec.structs.replace(one, tags=tags, ttl_s=min(times, default=None))


def _from_csv(text: str, name: str) -> _Found:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        if problem := _header_problem(header):
            yield 1, problem
            return
        line = rows.line_num + 1
        for row in rows:
            if any(cell.strip() for cell in row):
                yield line, _of_row(dict(zip(header, row, strict=False)), len(row) - len(header), f"{name}:{line}")
            line = rows.line_num + 1
    except csv.Error as error:
        yield line, f"is no CSV from here on: {error}"


def _header_problem(header: list[str]) -> str | None:
    unknown = [cell or "(empty)" for cell in header if cell not in CSV_COLUMNS]
    missing = [column for column in CSV_COLUMNS[:2] if column not in header]
    if not unknown and not missing and len(set(header)) == len(header):
        return None
    return f"must name the columns question,answer[,tags,ttl_s], and not {','.join(header) or 'nothing'}"


def _of_row(cells: dict[str, str], too_many: int, source: str) -> Curated | str:
    if too_many > 0:
        return f"has {too_many} cells more than the header; put texts with commas between double quotes"
    if too_many < 0:
        return f"has {-too_many} cells less than the header"
    ttl = cells.get("ttl_s", "").strip()
    if ttl and not re.fullmatch("[0-9]{1,12}", ttl):
        return f"`ttl_s` must be a whole number of seconds, not {ttl!r}"
    tags = [tag.strip() for tag in _TAGS.split(cells.get("tags", "")) if tag.strip()]
    return _curated(
        {
            "question": cells["question"],
            "answer": cells["answer"],
            "tags": tags,
            "ttl_s": int(ttl) if ttl else None,
            "source": source,
        }
    )


def _from_json_lines(text: str, name: str) -> _Found:
    for number, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            line = msgspec.json.decode(written, type=_Line)
        except msgspec.ValidationError as error:
            yield number, _said(error)
            continue
        except (msgspec.DecodeError, RecursionError) as error:
            yield number, f"is not JSON: {error}"
            continue
        for question in (line.question, *line.paraphrases):
            yield (
                number,
                _curated(
                    {
                        "question": question,
                        "answer": line.answer,
                        "tags": line.tags,
                        "ttl_s": line.ttl_s,
                        "source": f"{name}:{number}",
                    }
                ),
            )


def _curated(fields: dict[str, object]) -> Curated | str:
    try:
        return msgspec.convert(fields, Curated)
    except msgspec.ValidationError as error:
        return _said(error)


def _said(error: msgspec.ValidationError) -> str:
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".").replace("[...]", "")
    said = message[:1].lower() + message[1:]
    return f"`{field}`: {said}" if field else said
