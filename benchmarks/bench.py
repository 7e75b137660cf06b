"""Measures what the gateway costs, in one run on one machine, and writes bench-results/report.md and .json.

    python -m benchmarks.bench            some minutes: start, latencies at one connection, locust, memory
    python -m benchmarks.bench --quick    about a minute: fewer requests and entries, for trying the rig itself
    python -m benchmarks.bench --long     also 100,000 requests with a full cache: does memory grow?

The gateway runs in a process of its own against the simulated provider, which answers at once: every microsecond
is the gateway's. Latencies below a millisecond are taken by a raw client at one connection, next to a trivial
loopback server in the same run: what that one costs is the client's and the kernel's, not ours. The scenarios take
turns in rounds, so that a noisy neighbour hits all of them alike. A promise that is not kept is reported, not
failed on: the exit code is 1 only if something did not work.
"""

import argparse
import csv
import gc
import itertools
import json
import math
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.gateway import DidNotStart, Gateway, configuration
from benchmarks.loopback import running_loopback
from benchmarks.raw_client import Broken, Connection, Reply, prepared
from benchmarks.traffic import ROOT, answers_file, chat, load_faq, new_questions, questions, worded

PATH = "/v1/chat/completions"
LOADERS = 8
"""Connections that fill the cache at the same time."""
PACKAGES = (
    "litestar",
    "uvicorn",
    "uvloop",
    "httptools",
    "msgspec",
    "onnxruntime",
    "tokenizers",
    "faiss-cpu",
    "SQLAlchemy",
)
GROWTH_LIMIT = 0.01
"""Memory counts as not growing below this share of itself per 100,000 requests: allocators are never quite still."""
WARM_UP_SHARE = 0.3
STORED_WORDINGS = 4
"""In so many wordings each question of the FAQ is stored: the question and some of its paraphrases."""
WARM_UP = 20
"""Requests of each scenario that count nowhere."""
LOAD_WORDINGS = 2000


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    few_entries: int
    many_entries: int
    rounds: int
    hits: int
    """Requests per scenario, over all rounds; likewise below."""
    semantic_hits: int
    misses: int
    streams: int
    users: int
    load_s: int
    starts: int


FULL = Sizes(1000, 10_000, 10, 4000, 2000, 1500, 600, 32, 30, 3)
QUICK = Sizes(300, 1500, 3, 900, 300, 240, 120, 32, 8, 1)


@dataclass
class Samples:
    """What was seen of one scenario."""

    name: str
    first_byte_ns: list[int] = field(default_factory=list)
    total_ns: list[int] = field(default_factory=list)
    own_ms: list[float] = field(default_factory=list)
    """What the gateway itself says it took, from `x-thriftgate-overhead-ms`."""
    cpu_s: float = 0.0
    sent: int = 0
    others: Counter[str] = field(default_factory=Counter)
    """Proper answers that the cache disposed of otherwise: not in the figures."""
    errors: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Scenario:
    """One thing to measure. `wanted` is the disposition that counts; empty for answers without one."""

    name: str
    connection: Connection
    requests: Iterator[bytes]
    count: int
    wanted: str = ""
    may_miss: bool = False
    """Whether a 504 of `only-if-cached` is a proper answer."""
    is_stream: bool = False
    cpu: Callable[[], float] | None = None


class Bench:
    """One run. Collects what goes into the report."""

    def __init__(self, sizes: Sizes, progress: Progress) -> None:
        self._sizes = sizes
        self._progress = progress
        self._chance = random.Random(8080)
        self._wordings = list(itertools.islice(worded(questions(), self._chance), self._wordings_wanted()))
        """(wording that was never sent, question): those of the raw client's scenarios, then those of the load."""
        self._sent_wordings = 0
        self._stored: list[str] = []
        self._new = new_questions()
        self.samples: list[Samples] = []
        self.start_s: dict[str, list[float]] = {}
        self.rss_mb: dict[str, float] = {}
        self.entries: dict[str, int] = {}
        self.load_rows: list[dict[str, Any]] = []
        self.growth: dict[str, Any] | None = None
        self.failures: list[str] = []

    def _wordings_wanted(self) -> int:
        return 4 * self._sizes.semantic_hits + LOAD_WORDINGS

    def _next_wording(self) -> str:
        """One whose question is stored."""
        while True:
            wording, question = self._wordings[self._sent_wordings % len(self._wordings)]
            self._sent_wordings += 1
            if question in self._stored:
                return wording

    # --- the stages ---

    def run(self, folder: Path, long_requests: int) -> None:
        """Everything, in order."""
        answers = folder / "answers.jsonl"
        answers.write_text(answers_file(self._wordings), encoding="utf-8")
        self._configuration = configuration(answers)
        self._measure_first_starts(folder)
        with Gateway(folder / "main", self._configuration) as gateway:
            try:
                self._run_with(gateway, folder)
            except (Broken, OSError) as error:
                self.failures.append(
                    f"{type(error).__name__}: {error}; the server's last words: {gateway.last_words()}"
                )
                return
        if long_requests:
            self._measure_growth(folder / "long", long_requests)

    def _run_with(self, gateway: Gateway, folder: Path) -> None:
        self._start(gateway, "first start, empty data folder")
        self.rss_mb["after start"] = gateway.rss_mb()
        key, capped_key = gateway.key("support"), gateway.key("capped")
        self._learn(gateway, key)
        self._fill(gateway, key, self._sizes.few_entries)
        self._measure(gateway, key, few=True)
        self._fill(gateway, key, self._sizes.many_entries)
        self._note_memory(gateway, "with the entries")
        self._measure(gateway, key, few=False)
        self._load(gateway, key, capped_key, folder)
        self._note_memory(gateway, "after the load")
        gateway.stop()
        self._start(gateway, "second start, full data folder")
        self._note_memory(gateway, "after the second start")

    def _measure_first_starts(self, folder: Path) -> None:
        """All first starts but the one that stays."""
        for at in range(self._sizes.starts - 1):
            with Gateway(folder / f"start-{at}", self._configuration) as gateway:
                self._start(gateway, "first start, empty data folder")

    def _start(self, gateway: Gateway, name: str) -> None:
        task = self._progress.add_task(name, total=1)
        self.start_s.setdefault(name, []).append(gateway.start())
        self._progress.advance(task)

    def _learn(self, gateway: Gateway, key: str) -> None:
        """Stores the FAQ's questions, each in several wordings, and finds out which of them are answered from the cache
        from now on. `no-cache`: each is asked upstream, whatever the cache knows, and says nothing of what it would
        have served; how a route learns is not what is measured here."""
        asked_upstream = {"cache-control": "no-cache"}
        with gateway.connect() as connection:
            for item in load_faq():
                for text in (item["question"], *item["paraphrases"][: STORED_WORDINGS - 1]):
                    connection.send(prepared("POST", PATH, key=key, body=chat(text), headers=asked_upstream))
            asked = [(text, prepared("POST", PATH, key=key, body=chat(text))) for text in questions()]
            self._stored = [text for text, request in asked if _is_exact(connection, request)]
        if len(self._stored) < len(asked) // 2:
            raise DidNotStart(f"only {len(self._stored)} of {len(asked)} questions are answered from the cache")

    def _fill(self, gateway: Gateway, key: str, entries: int) -> None:
        """Asks new questions in the same scope until the cache holds so many entries."""
        missing = entries - gateway.entries()
        texts = list(itertools.islice(self._new, max(missing, 0)))
        task = self._progress.add_task(f"filling the cache up to {entries:,} entries", total=len(texts))

        def send(part: list[str]) -> Counter[str]:
            seen: Counter[str] = Counter()
            with gateway.connect() as connection:
                for text in part:
                    seen[connection.send(prepared("POST", PATH, key=key, body=chat(text))).cache] += 1
                    self._progress.advance(task)
            return seen

        with ThreadPoolExecutor(LOADERS) as pool:
            seen = sum(pool.map(send, [texts[at::LOADERS] for at in range(LOADERS)]), Counter())
        if seen["miss"] < 0.99 * len(texts):
            self.failures.append(f"filling the cache: {dict(seen)} where misses were expected")

    def _note_memory(self, gateway: Gateway, when: str) -> None:
        time.sleep(1.0)  # writers finish, the allocator settles
        self.rss_mb[when] = gateway.rss_mb()
        self.entries[when] = gateway.entries()

    def _measure(self, gateway: Gateway, key: str, *, few: bool) -> None:
        """The raw client's scenarios, in rounds."""
        sizes, chance, stored = self._sizes, self._chance, self._stored
        entries = sizes.few_entries if few else sizes.many_entries
        cached_only = {"cache-control": "only-if-cached"}

        def exact(stream: bool) -> Iterator[bytes]:
            made = [prepared("POST", PATH, key=key, body=chat(text, stream=stream)) for text in stored]
            return iter(lambda: chance.choice(made), None)

        def semantic() -> Iterator[bytes]:
            # only-if-cached: a wording that is not recognised is refused instead of becoming an entry.
            while True:
                yield prepared("POST", PATH, key=key, body=chat(self._next_wording()), headers=cached_only)

        def missing(*, stream: bool = False, headers: dict[str, str] | None = None) -> Iterator[bytes]:
            # In a scope of their own, so that the scope of the hits keeps its size.
            bodies = (chat(text, system="You sell hardware.", stream=stream) for text in self._new)
            return (prepared("POST", PATH, key=key, body=body, headers=headers) for body in bodies)

        with running_loopback() as port, Connection("127.0.0.1", port) as echo, gateway.connect() as ours:
            echoed = itertools.repeat(prepared("POST", "/echo", key=key, body=chat(stored[0])))
            live = itertools.repeat(prepared("GET", "/health/live"))
            cpu, hits = gateway.cpu_s, sizes.hits
            scenarios = [
                Scenario(
                    f"semantic hit, {entries:,} entries",
                    ours,
                    semantic(),
                    sizes.semantic_hits,
                    "semantic",
                    may_miss=True,
                    cpu=cpu,
                )
            ]
            if not few:
                no_store = {"cache-control": "no-store"}
                scenarios = [
                    Scenario("loopback server (noise floor)", echo, echoed, hits),
                    Scenario("/health/live (framework floor)", ours, live, hits, cpu=cpu),
                    Scenario(f"exact hit, {entries:,} entries", ours, exact(False), hits, "exact", cpu=cpu),
                    *scenarios,
                    Scenario("miss, stored", ours, missing(), sizes.misses, "miss", cpu=cpu),
                    Scenario("miss, bypass", ours, missing(headers=no_store), sizes.misses, "bypass", cpu=cpu),
                    Scenario("stream, exact hit", ours, exact(True), sizes.streams, "exact", is_stream=True, cpu=cpu),
                    Scenario(
                        "stream, miss", ours, missing(stream=True), sizes.streams, "miss", is_stream=True, cpu=cpu
                    ),
                ]
            self._take_turns(scenarios)

    def _take_turns(self, scenarios: list[Scenario]) -> None:
        rounds = self._sizes.rounds
        samples = {scenario.name: Samples(scenario.name) for scenario in scenarios}
        title = "one connection: " + (scenarios[0].name if len(scenarios) == 1 else f"{len(scenarios)} scenarios")
        task = self._progress.add_task(title, total=rounds * sum(s.count // rounds for s in scenarios))
        for scenario in scenarios:  # a warm-up that counts nowhere
            _measure_block(scenario, WARM_UP, Samples(""))
        gc.collect()
        gc.disable()
        try:
            for _ in range(rounds):
                for scenario in scenarios:
                    count = scenario.count // rounds
                    _measure_block(scenario, count, samples[scenario.name])
                    self._progress.advance(task, count)
        finally:
            gc.enable()
        for scenario in scenarios:
            seen = samples[scenario.name]
            self.samples.append(seen)
            if seen.errors:
                self.failures.append(f"{scenario.name}: {dict(seen.errors)}")
            if len(seen.total_ns) < seen.sent * (0.3 if scenario.may_miss else 0.95):
                self.failures.append(f"{scenario.name}: only {len(seen.total_ns)} of {seen.sent} were that")

    def _load(self, gateway: Gateway, key: str, capped_key: str, folder: Path) -> None:
        """locust with its whole mix."""
        sizes = self._sizes
        command = [sys.executable, "-m", "locust", "-f", str(ROOT / "benchmarks" / "locustfile.py")]
        command += ["--host", gateway.url, "--headless", "-u", str(sizes.users), "-r", str(sizes.users)]
        command += ["-t", f"{sizes.load_s}s", "--csv", str(folder / "load"), "--only-summary"]
        wordings = folder / "wordings.txt"
        wordings.write_text("\n".join(self._next_wording() for _ in range(LOAD_WORDINGS)), encoding="utf-8")
        environment = {"THRIFTGATE_KEY": key, "THRIFTGATE_CAPPED_KEY": capped_key, "THRIFTGATE_WORDINGS": str(wordings)}
        task = self._progress.add_task(f"locust, {sizes.users} users", total=sizes.load_s)
        with (folder / "locust.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log)
            began = time.monotonic()
            while process.poll() is None:
                time.sleep(0.2)
                self._progress.update(task, completed=min(int(time.monotonic() - began), sizes.load_s))
                if time.monotonic() - began > sizes.load_s + 60:
                    process.kill()
        self._progress.update(task, completed=sizes.load_s)
        said = (folder / "locust.log").read_text(encoding="utf-8", errors="replace")
        if process.returncode:
            self.failures.append(f"locust ended with {process.returncode}: {said[-2000:]}")
        try:
            with (folder / "load_stats.csv").open(encoding="utf-8", newline="") as file:
                self.load_rows = _load_rows(list(csv.DictReader(file)))
        except OSError as error:
            self.failures.append(f"locust left no figures: {error}")
            return
        missing = {"exact", "semantic", "miss", "stream hit", "stream miss", "capped"} - {
            r["name"] for r in self.load_rows
        }
        if missing:
            self.failures.append(f"the load has no {', '.join(sorted(missing))}")

    def _measure_growth(self, folder: Path, requests: int) -> None:
        """Many requests with the cache at its bound, memory looked at on the way."""
        bound, step = 2000, max(min(5000, requests // 20), LOADERS)
        task = self._progress.add_task(f"{requests:,} requests, cache bound to {bound:,} entries", total=requests)
        with Gateway(folder, self._configuration + f"\n[cache]\nmax_entries = {bound}\n") as gateway:
            gateway.start()
            key = gateway.key("support")
            self._learn(gateway, key)
            points = [{"requests": 0, "rss_mb": gateway.rss_mb()}]
            seen: Counter[str] = Counter()
            lock = threading.Lock()

            def send(count: int) -> None:
                found: Counter[str] = Counter()
                with gateway.connect() as connection:
                    for _ in range(count):
                        with lock:
                            body = self._any_request()
                        reply = connection.send(prepared("POST", PATH, key=key, body=body))
                        found[reply.cache if reply.status == 200 else f"status {reply.status}"] += 1
                        self._progress.advance(task)
                with lock:
                    seen.update(found)

            with ThreadPoolExecutor(LOADERS) as pool:
                for done in range(step, requests + 1, step):
                    list(pool.map(send, [step // LOADERS] * LOADERS))
                    points.append({"requests": done, "rss_mb": gateway.rss_mb()})
            entries = gateway.entries()
        if bad := {name: count for name, count in seen.items() if name.startswith("status")}:
            self.failures.append(f"the long run: {bad}")
        settled = [(p["requests"], p["rss_mb"]) for p in points if p["requests"] >= WARM_UP_SHARE * requests]
        slope = statistics.linear_regression(*zip(*settled, strict=True)).slope if len(settled) > 2 else math.nan
        self.growth = {
            "requests": requests,
            "entries": entries,
            "dispositions": dict(seen),
            "points": points,
            "slope_mb_per_100000": slope * 100_000,
            "settled_mb": statistics.fmean(rss for _, rss in settled),
            "first_settled_mb": settled[0][1],
            "last_mb": settled[-1][1],
        }

    def _any_request(self) -> dict[str, Any]:
        """Mostly new questions, so that something is stored and evicted all the time."""
        draw = self._chance.random()
        if draw < 0.55:
            return chat(next(self._new))
        if draw < 0.60:
            return chat(next(self._new), stream=True)
        if draw < 0.70:
            return chat(self._next_wording())
        return chat(self._chance.choice(self._stored), stream=draw < 0.75)


def _is_exact(connection: Connection, request: bytes) -> bool:
    return connection.send(request).cache == "exact"


def _measure_block(scenario: Scenario, count: int, into: Samples) -> None:
    """Sends so many requests, one after the other, and sorts the answers."""
    made = list(itertools.islice(scenario.requests, count))
    cpu_before = scenario.cpu() if scenario.cpu else 0.0
    for request in made:
        try:
            reply = scenario.connection.send(request)
        except (Broken, OSError) as error:
            into.errors[type(error).__name__] += 1
            return
        _sort_in(scenario, reply, into)
    into.cpu_s += (scenario.cpu() if scenario.cpu else 0.0) - cpu_before
    into.sent += len(made)


def _sort_in(scenario: Scenario, reply: Reply, into: Samples) -> None:
    if reply.status == 504 and scenario.may_miss:
        into.others["not recognised"] += 1
    elif reply.status != 200:
        into.errors[f"status {reply.status}"] += 1
    elif scenario.is_stream and not reply.body.endswith(b"data: [DONE]\n\n"):
        into.errors["cut"] += 1
    elif reply.cache != scenario.wanted:
        into.others[reply.cache] += 1
    else:
        into.total_ns.append(reply.total_ns)
        if scenario.is_stream:
            into.first_byte_ns.append(reply.first_byte_ns)
        if own := reply.headers.get("x-thriftgate-overhead-ms"):
            into.own_ms.append(float(own))


def _load_rows(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """locust's rows; in the sum a stream counts once, not also for its first byte."""
    found = [_load_row(row) for row in rows if row["Name"] != "Aggregated"]
    whole = [row for row in found if not row["name"].endswith(", first byte")]
    total = {name: sum(row[name] for row in whole) for name in ("requests", "errors", "per_s")}
    return [*found, {"name": "together", **total, "p50_ms": None, "p95_ms": None, "p99_ms": None}]


def _load_row(row: dict[str, str]) -> dict[str, Any]:
    return {
        "name": row["Name"],
        "requests": int(row["Request Count"]),
        "errors": int(row["Failure Count"]),
        "per_s": float(row["Requests/s"]),
        "p50_ms": _number(row["50%"]),
        "p95_ms": _number(row["95%"]),
        "p99_ms": _number(row["99%"]),
    }


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


# --- figures -------------------------------------------------------------------------------------------------


def _percentile(ordered: list[int], share: float) -> float:
    """Nearest rank, in milliseconds."""
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] / 1e6


def _figures(name: str, values_ns: list[int], seen: Samples) -> dict[str, Any]:
    ordered = sorted(values_ns)
    found: dict[str, Any] = {"name": name, "requests": len(ordered), "errors": sum(seen.errors.values())}
    if ordered:
        found |= {f"p{share}_ms": _percentile(ordered, share / 100) for share in (50, 95, 99)}
        found |= {"per_s": len(ordered) / (sum(ordered) / 1e9)}
    found["own_p50_ms"] = statistics.median(seen.own_ms) if seen.own_ms else None
    found["cpu_us"] = seen.cpu_s / seen.sent * 1e6 if seen.sent and seen.cpu_s else None
    found["others"] = dict(seen.others)
    return found


def _latency_rows(samples: list[Samples]) -> list[dict[str, Any]]:
    rows = []
    for seen in samples:
        if seen.first_byte_ns:
            rows.append(_figures(f"{seen.name}, first byte", seen.first_byte_ns, seen))
            rows.append(_figures(f"{seen.name}, end", seen.total_ns, seen))
        else:
            rows.append(_figures(seen.name, seen.total_ns, seen))
    return rows


def _promises(bench: Bench, sizes: Sizes, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was promised, with the figure beside it; `kept` is None where it was not measured."""
    p50 = {row["name"]: row.get("p50_ms") for row in rows}
    few, many = f"{sizes.few_entries:,}", f"{sizes.many_entries:,}"
    start_s = {name: statistics.median(found) for name, found in bench.start_s.items()}
    promises = [
        _promise("exact hit, p50 at one connection", 1.0, p50.get(f"exact hit, {many} entries"), "ms"),
        _promise(f"semantic hit, p50, {few} entries", 3.5, p50.get(f"semantic hit, {few} entries"), "ms"),
        _promise(f"semantic hit, p50, {many} entries", 3.5, p50.get(f"semantic hit, {many} entries"), "ms"),
        _promise(f"memory with {many} entries (RSS)", 300.0, bench.rss_mb.get("with the entries"), "MB"),
        _promise("second start, until ready", 3.0, start_s.get("second start, full data folder"), "s"),
    ]
    growth = bench.growth
    limit = growth["settled_mb"] * GROWTH_LIMIT if growth else None
    what = "growth per 100,000 requests, after warm-up"
    return [*promises, _promise(what, limit, growth["slope_mb_per_100000"] if growth else None, "MB")]


def _promise(what: str, below: float | None, found: float | None, unit: str) -> dict[str, Any]:
    kept = None if found is None or below is None else found < below
    return {"what": what, "below": below, "found": found, "unit": unit, "kept": kept}


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "cpu": cpu or platform.processor() or "unknown",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in (*PACKAGES, "locust")},
        "commit": commit.stdout.strip() or None,
        "load_before": round(os.getloadavg()[0], 2),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


# --- the report ----------------------------------------------------------------------------------------------


def report(bench: Bench, sizes: Sizes, where: dict[str, Any]) -> dict[str, Any]:
    """Everything as plain data."""
    rows = _latency_rows(bench.samples)
    return {
        "promises": _promises(bench, sizes, rows),
        "latencies": rows,
        "load": bench.load_rows,
        "start_s": bench.start_s,
        "rss_mb": bench.rss_mb,
        "entries": bench.entries,
        "growth": bench.growth,
        "failures": bench.failures,
        "machine": where,
        "sizes": vars(sizes),
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The report for people."""
    sizes, where = found["sizes"], found["machine"]
    parts = ["# Benchmark", ""]
    if sizes == vars(QUICK):
        parts += ["A quick run: too few requests and entries for its figures to be quoted.", ""]
    parts += [
        "## Promises",
        "",
        *_table(["what", "target", "measured", ""], [_promise_cells(p) for p in found["promises"]]),
    ]
    parts += ["", "## One connection, raw client", ""]
    headings = ["scenario", "requests", "p50 ms", "p95 ms", "p99 ms", "requests/s", "own p50 ms", "CPU µs", "errors"]
    parts += _table(headings, [_latency_cells(row) for row in found["latencies"]])
    parts += [
        "",
        "`own` is what the gateway says of itself in `x-thriftgate-overhead-ms`, `CPU` the processor time of all its",
        "threads for one request, upstream simulation included. Every semantic hit is a wording that was never sent",
        "before. Wordings that were not recognised, and other dispositions than the named one, are left out:",
    ]
    parts += [f"- {row['name']}: {_counts(row['others'])}" for row in found["latencies"] if row["others"]] or ["- none"]
    parts += ["", f"## Load: locust, {sizes['users']} users without pauses for {sizes['load_s']} s", ""]
    headings = ["row", "requests", "p50 ms", "p95 ms", "p99 ms", "requests/s", "errors"]
    parts += _table(headings, [_load_cells(row) for row in found["load"]])
    parts += [
        "",
        "locust shares the processors with the gateway and rounds to milliseconds; at saturation latencies are queues.",
        "`capped` are refusals with `budget_exceeded`, as expected of a team that has spent its budget.",
        "",
        "## Start and memory",
        "",
    ]
    starts = [(name, f"{statistics.median(s):.2f} s", f"median of {len(s)}") for name, s in found["start_s"].items()]
    memory = [
        (f"RSS {when}", f"{mb:.0f} MB", f"{found['entries'][when]:,} entries" if when in found["entries"] else "")
        for when, mb in found["rss_mb"].items()
    ]
    parts += _table(["what", "measured", ""], [*starts, *memory])
    if found["growth"]:
        parts += ["", "## Long run", "", *_growth_lines(found["growth"])]
    if found["failures"]:
        parts += ["", "## What did not work", "", *[f"- {failure}" for failure in found["failures"]]]
    parts += ["", "## Machine", ""]
    parts += [f"- {where['cpu']}, {where['cores']} cores, {where['memory_gb']} GB, {where['system']}"]
    parts += [f"- Python {where['python']}, " + ", ".join(f"{n} {v}" for n, v in where["versions"].items())]
    load = f"load average before {where['load_before']}, after {where['load_after']}"
    parts += [f"- commit {where['commit']}, {where['at']}, {load}"]
    return "\n".join(parts) + "\n"


def _table(headings: list[str], rows: list[Any]) -> list[str]:
    aligned = ["---"] + ["---:"] * (len(headings) - 1)
    return [f"| {' | '.join(cells)} |" for cells in (headings, aligned, *rows)]


def _promise_cells(promise: dict[str, Any]) -> list[str]:
    unit = promise["unit"]
    verdict = {True: "kept", False: "**missed**", None: "not measured"}[promise["kept"]]
    below = f"< {promise['below']:.3g} {unit}" if promise["below"] is not None else "none"
    measured = f"{promise['found']:.2f} {unit}" if promise["found"] is not None else ""
    return [promise["what"], below, measured, verdict]


def _latency_cells(row: dict[str, Any]) -> list[str]:
    latencies = [f"{row[f'p{share}_ms']:.3f}" if f"p{share}_ms" in row else "" for share in (50, 95, 99)]
    rate = f"{row['per_s']:,.0f}" if "per_s" in row else ""
    own = f"{row['own_p50_ms']:.3f}" if row["own_p50_ms"] is not None else ""
    cpu = f"{row['cpu_us']:,.0f}" if row["cpu_us"] is not None else ""
    return [row["name"], f"{row['requests']:,}", *latencies, rate, own, cpu, str(row["errors"])]


def _load_cells(row: dict[str, Any]) -> list[str]:
    latencies = [f"{row[f'p{share}_ms']:.0f}" if row[f"p{share}_ms"] is not None else "" for share in (50, 95, 99)]
    return [row["name"], f"{row['requests']:,}", *latencies, f"{row['per_s']:,.0f}", str(row["errors"])]


def _growth_lines(growth: dict[str, Any]) -> list[str]:
    seen = _counts(growth["dispositions"])
    lines = [
        f"{growth['requests']:,} requests ({seen}), {growth['entries']:,} entries at the end.",
        f"After the first {WARM_UP_SHARE:.0%}: {growth['first_settled_mb']:.1f} MB; "
        f"at the end: {growth['last_mb']:.1f} MB;",
        f"the slope between is {growth['slope_mb_per_100000']:+.2f} MB per 100,000 requests.",
        "",
    ]
    return lines + _table(
        ["requests", "RSS MB"], [[f"{p['requests']:,}", f"{p['rss_mb']:.1f}"] for p in growth["points"]]
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


# --- the command ---------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench",
        description=(__doc__ or "").partition("\n")[0],
        epilog="A missed promise is reported and does not change the exit code; 1 means that something did not work.",
    )
    parser.add_argument("--quick", action="store_true", help="about a minute, for trying the rig itself")
    parser.add_argument("--long", action="store_true", help="also look for growth over many requests")
    parser.add_argument(
        "--requests",
        type=int,
        default=100_000,
        help="how many with --long (default: 100000; with fewer, memory has hardly settled)",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "bench-results", help="folder for the report")
    asked = parser.parse_args()

    out = Console(highlight=False)
    sizes = QUICK if asked.quick else FULL
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    where = machine()
    with tempfile.TemporaryDirectory(prefix="thriftgate-bench-") as folder, Progress(*columns, console=out) as progress:
        bench = Bench(sizes, progress)
        try:
            bench.run(Path(folder), asked.requests if asked.long else 0)
        except (DidNotStart, Broken, OSError) as error:
            bench.failures.append(f"{type(error).__name__}: {error}")
    where["load_after"] = round(os.getloadavg()[0], 2)

    found = report(bench, sizes, where)
    text = as_markdown(found)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "report.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (asked.out / "report.md").write_text(text, encoding="utf-8")
    out.print(Markdown(text))
    out.print(f"\nWritten: {asked.out / 'report.md'} and report.json")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
