"""A soak: mixed load for a long time, to see what grows.

New questions, repeated ones that the cache answers, uncached ones, streams and JSON, clients that leave in the middle,
requests that are refused, and an upstream that fails now and then. Looks at memory, file descriptors and threads of the
gateway's process on the way; afterwards, when everybody has left, at what is left of them and of open reservations.
"""

import asyncio
import contextlib
import json
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.askers import ASKING_AT_MOST, NOT_CACHED, PATH, Askers, Checker, Outcome, paced
from benchmarks.faulty import AFTER_FIRST, BEFORE_FIRST, RESTART, Upstream
from benchmarks.gateway import Gateway
from benchmarks.raw_client import prepared
from benchmarks.storms import HEALTHY_TIMEOUT_S, key_files, model, provider
from benchmarks.traffic import new_questions

SAMPLES: Final = 120
WARM_UP_SHARE: Final = 1 / 3
"""Of the measured time, before it, under the same load: bounded memories fill."""
REST_S: Final = 45.0
"""So long after the load: an idle connection to an upstream is kept for half a minute."""
_FAULT_RATE: Final = 0.1
_BOUND_ENTRIES: Final = 1500
_RECENT: Final = 200
_TASKS = re.compile(r"^thriftgate_tasks(?:_\w+)? ([0-9.e+]+)$", re.M)


@dataclass
class Sample:
    """The gateway's process at one moment."""

    at_s: float
    rss_mb: float
    open_files: int
    threads: int
    tasks: int | None
    """Of its event loop; None where /metrics does not tell."""


@dataclass
class Soak:
    """What was found. Slopes are per ten minutes, after the warm-up."""

    minutes: float
    """Measured, after a warm-up of a third more."""
    per_s: float
    samples: list[Sample] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=dict)
    details: dict[str, int] = field(default_factory=dict)
    rss_slope_mb: float | None = None
    files_slope: float | None = None
    before: Sample | None = None
    after: Sample | None = None
    open_reservations: int | None = None
    in_flight: int | None = None
    """Requests that the gateway still counts when nobody asks any more."""
    verifies: bool = False


def lasts_s(minutes: float) -> float:
    """Of the load, with its warm-up."""
    return (1 + WARM_UP_SHARE) * minutes * 60


async def soaked(
    folder: Path, minutes: float, per_s: float, advance: Callable[[int], None], at_most: int = ASKING_AT_MOST
) -> Soak:
    """Loads a gateway for so long, with `at_most` requests under way. `advance` is told seconds."""
    flaky, steady = Upstream("flaky"), Upstream("steady")
    for upstream in (flaky, steady):
        await upstream.start()
    # Not what takes a client's patience: a soak is about what is left behind.
    faults = [f for f in (*BEFORE_FIRST, *AFTER_FIRST) if f.level == "request" and "drip" not in f.name]
    await flaky.misbehave([*faults, RESTART], _FAULT_RATE)
    files = key_files(folder / "keys")[:1]
    configuration = provider("flaky", flaky.base_url, files) + provider(
        "steady", steady.base_url, files, HEALTHY_TIMEOUT_S
    )
    configuration += model("any", "flaky", "steady") + '[routes.default]\nmodels = ["any"]\n'
    configuration += f"[cache]\nmax_entries = {_BOUND_ENTRIES}\n[organisation.budget]\nusd = 100000\n"
    gateway = Gateway(folder, configuration)
    try:
        await asyncio.to_thread(gateway.start)
        key = await asyncio.to_thread(gateway.key, "chaos")
        return await _soaked(gateway, key, Soak(minutes, per_s), advance, at_most)
    finally:
        await asyncio.to_thread(gateway.stop)
        for upstream in (flaky, steady):
            await upstream.stop()


async def _soaked(gateway: Gateway, key: str, soak: Soak, advance: Callable[[int], None], at_most: int) -> Soak:
    load = _Load(Askers(gateway.port, Checker(once=False)), key)
    began = time.monotonic()
    soak.before = await _sample(gateway, began)
    watching = asyncio.create_task(_watch(gateway, soak, began, advance))
    requests = int(lasts_s(soak.minutes) * soak.per_s)
    await paced(soak.per_s, requests, load.ask, random.Random(8080), at_most=at_most)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    load.askers.close()
    await asyncio.sleep(min(REST_S, soak.minutes * 60))
    soak.after = await _sample(gateway, began)
    status = json.loads((await asyncio.to_thread(gateway.admin, "GET", "/admin/status")).body)
    soak.open_reservations, soak.in_flight = status["ledger"]["open_reservations"], status.get("in_flight")
    soak.verifies = (await asyncio.to_thread(gateway.command, "ledger", "verify")).returncode == 0
    soak.verdicts, soak.details = dict(load.verdicts), dict(load.details)
    settled = [found for found in soak.samples if found.at_s >= WARM_UP_SHARE * soak.minutes * 60]
    if len(settled) > 2:
        times = [found.at_s / 600 for found in settled]
        soak.rss_slope_mb = statistics.linear_regression(times, [found.rss_mb for found in settled]).slope
        soak.files_slope = statistics.linear_regression(times, [found.open_files for found in settled]).slope
    return soak


async def _watch(gateway: Gateway, soak: Soak, began: float, advance: Callable[[int], None]) -> None:
    pause_s = lasts_s(soak.minutes) / SAMPLES
    while True:
        await asyncio.sleep(pause_s)
        soak.samples.append(await _sample(gateway, began))
        advance(max(round(pause_s), 1))


async def _sample(gateway: Gateway, began: float) -> Sample:
    said = (await asyncio.to_thread(gateway.admin, "GET", "/metrics")).body.decode()
    tasks = _TASKS.search(said)
    return Sample(
        at_s=time.monotonic() - began,
        rss_mb=gateway.rss_mb(),
        open_files=gateway.open_files(),
        threads=gateway.threads(),
        tasks=int(float(tasks[1])) if tasks else None,
    )


class _Load:
    """What is asked in a soak, and what came of it."""

    def __init__(self, askers: Askers, key: str) -> None:
        self.askers = askers
        self.verdicts: Counter[str] = Counter()
        self.details: Counter[str] = Counter()
        self._key = key
        self._chance = random.Random(42)
        self._new = new_questions()
        self._asked: list[str] = []
        self._numbers = count()

    async def ask(self, _: int) -> None:
        draw, is_stream = self._chance.random(), self._chance.random() < 0.5
        if draw < 0.05:
            await self._leave(is_stream)
        elif draw < 0.10:
            await self._be_refused()
        elif draw < 0.35:
            text = self.askers.question()
            self._note(await self.askers.ask(self._key, "any", text, is_stream=is_stream, headers=NOT_CACHED))
        else:
            text = self._chance.choice(self._asked) if self._asked and draw < 0.65 else next(self._new)
            self._note(await self.askers.ask(self._key, "any", text, is_stream=is_stream, headers={}))
            self._asked = [*self._asked[-_RECENT:], text]

    def _note(self, outcome: Outcome) -> None:
        self.verdicts[outcome.verdict] += 1
        if outcome.verdict != "answered":
            self.details[f"{outcome.verdict}: {outcome.detail}"] += 1

    async def _leave(self, is_stream: bool) -> None:
        """Asks and hangs up at a random moment."""
        self.verdicts["left"] += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._chance.uniform(0.001, 0.03)):
                await self.askers.ask(self._key, "any", self.askers.question(), is_stream=is_stream)

    async def _be_refused(self) -> None:
        """A wrong key, a model that does not exist, a body that is no JSON."""
        body = {"model": "none-such", "messages": [{"role": "user", "content": "Hello"}]}
        key, sent = self._chance.choice([("wrong", body), (self._key, body), (self._key, ["no object"])])
        reply = await self.askers.send(prepared("POST", PATH, key=key, body=sent))
        self.verdicts["refused on purpose" if 400 <= reply.status < 500 else "wrongly not refused"] += 1
