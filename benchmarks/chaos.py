"""Proves that the gateway stays up: breaks everything around it, checks every answer, and writes what it found.

    python -m benchmarks.chaos                     everything but the soak: about an hour
    python -m benchmarks.chaos --quick             the same in some minutes, for trying it out
    python -m benchmarks.chaos faults              one fault after the other, at 10, 50 and 100 %
    python -m benchmarks.chaos faults --fault 429  only faults whose name has this in it
    python -m benchmarks.chaos mixed               100,000 requests while several deployments fail in changing ways
    python -m benchmarks.chaos overload            four times as much as the upstream can answer
    python -m benchmarks.chaos kill --times 100    kill -9 under load, again and again on one data folder
    python -m benchmarks.chaos soak --minutes 30   mixed load for a long time: does anything grow?

The gateway runs in a process of its own with a data folder of its own; upstreams and clients are in this one, on
loopback. Each run replaces its part of bench-results/chaos.json, and bench-results/chaos.md is written anew from all
parts. The exit code is 1 if an answer was wrong or something did not work; a promise that is missed is reported.
"""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks import kills, overload, soak, storms
from benchmarks.bench import machine
from benchmarks.chaos_report import REQUESTS_OF_A_RUN, as_markdown, promises, summary
from benchmarks.faulty import Certificates, every_fault
from benchmarks.gateway import DidNotStart
from benchmarks.raw_client import Broken
from benchmarks.traffic import ROOT

RUNS: Final = ("faults", "mixed", "overload", "kill", "soak")
_QUICK: Final = {"single": 600, "mixed": 5000, "kills": 5, "soak": 1}
_SOAK_PER_S: Final = 60.0

Found = dict[str, Any]


class Chaos:
    """One call of the command. Each run gives what goes into its part of the report."""

    def __init__(self, asked: argparse.Namespace, folder: Path, progress: Progress) -> None:
        self._asked = asked
        self._folder = folder
        self._progress = progress
        counts = _QUICK if asked.quick else REQUESTS_OF_A_RUN
        self._sizes = storms.Sizes(asked.requests or counts["single"], asked.requests or counts["mixed"])
        if asked.rate:
            self._sizes = dataclasses.replace(self._sizes, rates=tuple(asked.rate))
        self._loads = overload.Sizes(2.0, 6.0) if asked.quick else overload.Sizes()
        self._times = asked.times or counts["kills"]
        self._minutes = asked.minutes or counts["soak"]

    async def run(self, name: str) -> Found:
        runs: dict[str, Callable[[], Coroutine[Any, Any, Found]]] = {
            "faults": self._faults,
            "mixed": self._mixed,
            "overload": self._overload,
            "kill": self._kill,
            "soak": self._soak,
        }
        return await runs[name]()

    def _task(self, description: str, total: int) -> Callable[[int], None]:
        task = self._progress.add_task(description, total=total)
        return lambda count: self._progress.advance(task, count)

    async def _faults(self) -> Found:
        wanted = [fault for fault in every_fault() if self._asked.fault in fault.name]
        certificates = self._certificates("faults")
        found = storms.cases(self._sizes, certificates, wanted)
        rows: list[storms.Row] = []
        async with storms.opened(self._folder / "faults", found, certificates, self._asked.per_s) as (storm, _):
            for case in found:
                advance = self._task(f"{case.fault.name} at {case.rate:.0%}", case.requests)
                rows.append(await storm.run_case(case, self._sizes, advance))
            return {"rows": [vars(row) for row in rows], "per_s": storm.per_s}

    async def _mixed(self) -> Found:
        certificates = self._certificates("mixed")
        async with storms.opened(self._folder / "mixed", [], certificates, self._asked.per_s) as (storm, mixed):
            advance = self._task("mixed faults", self._sizes.mixed)
            row = await storm.run_mixed(mixed, self._sizes.mixed, advance)
            return {"row": vars(row), "per_s": storm.per_s}

    async def _overload(self) -> Found:
        loads = []
        for measure in overload.LOADS:
            advance = self._task((measure.__doc__ or "").partition(",")[0].strip("."), None)  # type: ignore[arg-type]
            loads.append(await measure(self._folder / measure.__name__, self._loads, advance))
        return {"loads": [vars(load) for load in loads]}

    async def _kill(self) -> Found:
        found = await kills.killed(self._folder / "kill", self._times, self._task("kill -9", self._times))
        return {"kills": vars(found)}

    async def _soak(self) -> Found:
        per_s = self._asked.per_s or _SOAK_PER_S
        advance = self._task(f"soak, {self._minutes:g} minutes", round(soak.lasts_s(self._minutes)))
        found = await soak.soaked(self._folder / "soak", self._minutes, per_s, advance)
        return {"soak": dataclasses.asdict(found)}

    def _certificates(self, name: str) -> Certificates | None:
        return Certificates(self._folder / f"certificates-{name}") if Certificates.can_be_made() else None


def main() -> int:
    asked = _parser().parse_args()
    _end_in_order()
    out = Console(highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    failures: list[str] = []
    path = asked.out / "chaos.json"
    for name in asked.runs or [run for run in RUNS if run != "soak"]:
        where, began = machine(), time.monotonic()
        with (
            tempfile.TemporaryDirectory(prefix="thriftgate-chaos-") as folder,
            Progress(*columns, TimeRemainingColumn(), console=out) as progress,
        ):
            try:
                found = uvloop.run(Chaos(asked, Path(folder), progress).run(name))
            except (DidNotStart, Broken, OSError) as error:
                failures.append(f"{name}: {type(error).__name__}: {error}")
                continue
        where["load_after"] = round(os.getloadavg()[0], 2)
        command = shlex.join(["python", "-m", "benchmarks.chaos", *sys.argv[1:]])
        _keep(path, name, found | {"command": command, "took_s": time.monotonic() - began, "machine": where})

    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "chaos.md").write_text(as_markdown(report), encoding="utf-8")
    out.print(Markdown(summary(report)))
    out.print(f"\nWritten: {asked.out / 'chaos.md'} and chaos.json")
    for failure in failures:
        out.print(f"[red]did not work:[/red] {failure}")
    is_wrong = any(promise["kept"] is False and promise["target"] == "none" for promise in promises(report))
    return 1 if failures or is_wrong else 0


def _end_in_order() -> None:
    """SIGTERM ends as Ctrl-C does, also in the background: the gateway under test must not stay behind."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def _keep(path: Path, name: str, found: Found) -> None:
    """Replaces one part of the figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | {name: found}, indent=2) + "\n", encoding="utf-8")


def _run_name(text: str) -> str:
    if text not in RUNS:
        raise argparse.ArgumentTypeError(f"no run {text!r}; known: {', '.join(RUNS)}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Faults: " + ", ".join(fault.name for fault in every_fault()) + ".",
    )
    runs = f"{', '.join(RUNS)} (default: all but soak)"
    parser.add_argument("runs", nargs="*", type=_run_name, metavar="RUN", help=runs)
    parser.add_argument("--quick", action="store_true", help="far fewer requests, kills and minutes")
    parser.add_argument("--requests", type=int, metavar="N", help="per fault, and of the mixed run (2,000 and 100,000)")
    parser.add_argument("--fault", default="", metavar="TEXT", help="only faults with this in their name")
    parser.add_argument("--rate", type=float, action="append", metavar="SHARE", help="instead of 0.1, 0.5 and 1")
    parser.add_argument(
        "--per-s", type=float, metavar="N", help="requests a second (default: measured, see the report)"
    )
    parser.add_argument("--times", type=int, metavar="N", help="how many kills (default: 100)")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long a soak (default: 30)")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-results", help="folder for chaos.md and chaos.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
