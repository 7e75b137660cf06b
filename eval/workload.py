"""How well the cues of `router/workload.py` tell what kind of work a prompt asks for, on our own labelled prompts."""

import json
from collections import Counter
from pathlib import Path

from msgspec import Struct

from eval.intervals import Share, share
from router.workload import Workload, workload


class Labelled(Struct, frozen=True):
    text: str
    kind: Workload
    is_test: bool


class KindFigures(Struct, frozen=True):
    """One class on the held-out half."""

    kind: str
    precision: Share
    """Of those called so, how many are."""
    recall: Share
    """Of those that are, how many are called so."""


class WorkloadFigures(Struct, frozen=True):
    kinds: tuple[KindFigures, ...]
    right: Share
    """All classes of the held-out half."""
    right_dev: Share
    """Of the half on which cues were mended."""
    confusions: tuple[tuple[str, str, int], ...]
    """(what it is, what it was called, how often), on the held-out half."""


def read_labelled(path: Path) -> list[Labelled]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Labelled(row["text"], Workload.of(row["class"]), row["split"] == "test") for row in rows]


def measure_workload(prompts: list[Labelled]) -> WorkloadFigures:
    called = Counter((each.is_test, each.kind, workload(each.text)) for each in prompts)

    def count(is_test: bool, kind: Workload | None = None, name: Workload | None = None) -> int:
        return sum(
            found for (t, k, n), found in called.items() if t is is_test and kind in (None, k) and name in (None, n)
        )

    def right(is_test: bool) -> Share:
        return share(sum(count(is_test, kind, kind) for kind in Workload), count(is_test))

    return WorkloadFigures(
        kinds=tuple(
            KindFigures(
                kind.label,
                precision=share(count(True, kind, kind), count(True, None, kind)),
                recall=share(count(True, kind, kind), count(True, kind)),
            )
            for kind in Workload
        ),
        right=right(True),
        right_dev=right(False),
        confusions=tuple(
            (kind.label, name.label, found)
            for (is_test, kind, name), found in sorted(called.items())
            if is_test and kind != name
        ),
    )
