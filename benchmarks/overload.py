"""Overload: what a gateway does when more is asked of it than the upstream behind it can answer.

The upstream makes a fixed number of answers at a time. First as many clients as that, each waiting for its answer, show
the peak; then requests come at four times that rate, whether or not earlier ones were answered. What matters: right
answers a second, how fast the rest is refused, memory, and how soon it is as before once the load has gone.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.askers import Askers, Checker, Outcome, paced
from benchmarks.faulty import Upstream
from benchmarks.gateway import Gateway
from benchmarks.storms import key_files, lag_noted, model, percentile, provider, route
from benchmarks.traffic import new_questions

CAPACITY: Final = 16
LATENCY_S: Final = 0.2
TIMES: Final = 4
PATIENCE_S: Final = 10.0
_CPU_CLIENTS: Final = 32
_RECOVERED_IN_S: Final = 1.0
"""A second in which all are answered as fast as usual."""


@dataclass(frozen=True)
class Sizes:
    peak_s: float = 5.0
    overload_s: float = 20.0
    watch_s: float = 15.0
    """How long recovery is waited for."""


@dataclass
class Load:
    """One kind of overload. Rates per second, times in milliseconds, memory in megabytes."""

    name: str
    peak_per_s: float = 0.0
    offered_per_s: float = 0.0
    goodput_per_s: float = 0.0
    requests: int = 0
    answered: int = 0
    refused: int = 0
    """With 503 and Retry-After."""
    refused_otherwise: int = 0
    wrong: int = 0
    lost: int = 0
    answered_p99_ms: float | None = None
    refused_p50_ms: float | None = None
    refused_p99_ms: float | None = None
    rss_before_mb: float = 0.0
    rss_most_mb: float = 0.0
    recovery_s: float | None = None
    details: dict[str, int] | None = None
    sent_per_s: float = 0.0
    """What became of `offered_per_s`: this process has to share the processor with the gateway."""
    peak_per_cpu_s: float = 0.0
    """Right answers for each second of the gateway's processor time; all that it does beside them is in it."""
    goodput_per_cpu_s: float = 0.0
    lag_p99_ms: float | None = None
    """How late this process was itself; it is a part of every time that it has measured."""
    lag_most_ms: float | None = None


@contextlib.asynccontextmanager
async def _opened(
    folder: Path, upstream: Upstream, limit: int, *, is_stored: bool = False
) -> AsyncIterator[tuple[Gateway, Askers, str]]:
    await upstream.start()
    files = key_files(folder / "keys")[:1]
    configuration = provider("slow", upstream.base_url, files, first_event_timeout_s=PATIENCE_S)
    configuration += model("slow", "slow", max_concurrency=limit)
    configuration += '[routes.default]\nmodels = ["slow"]\n' if is_stored else route("default", "slow")
    gateway = Gateway(folder, configuration)
    askers: Askers | None = None
    try:
        await asyncio.to_thread(gateway.start)
        key = await asyncio.to_thread(gateway.key, "chaos")
        stored: dict[str, Any] = {"headers": {}, "questions": new_questions()}
        askers = Askers(gateway.port, Checker(), **(stored if is_stored else {}))
        yield gateway, askers, key
    finally:
        if askers is not None:
            askers.close()
        await asyncio.to_thread(gateway.stop)
        await upstream.stop()


async def upstream_bound(folder: Path, sizes: Sizes, advance: Callable[[int], None]) -> Load:
    """At four times what an upstream of fixed concurrency carries, where the gateway was told of it."""
    upstream = Upstream("slow", latency_s=LATENCY_S, capacity=CAPACITY)
    async with _opened(folder, upstream, CAPACITY) as (gateway, askers, key):
        return await _measured("upstream-bound", gateway, askers, key, CAPACITY, sizes, advance)


async def upstream_bound_untold(folder: Path, sizes: Sizes, advance: Callable[[int], None]) -> Load:
    """The same where the gateway has to find out: reported as measured."""
    upstream = Upstream("slow", latency_s=LATENCY_S, capacity=CAPACITY)
    async with _opened(folder, upstream, 256) as (gateway, askers, key):
        return await _measured("upstream-bound, not told", gateway, askers, key, CAPACITY, sizes, advance)


async def cpu_bound(folder: Path, sizes: Sizes, advance: Callable[[int], None]) -> Load:
    """At four times what the gateway's own processor carries: reported as measured."""
    async with _opened(folder, Upstream("fast"), 256) as (gateway, askers, key):
        return await _measured("CPU-bound", gateway, askers, key, _CPU_CLIENTS, sizes, advance)


async def cpu_bound_learning(folder: Path, sizes: Sizes, advance: Callable[[int], None]) -> Load:
    """The same while every answer is stored, and learned from afterwards: reported as measured."""
    async with _opened(folder, Upstream("fast"), 256, is_stored=True) as (gateway, askers, key):
        return await _measured("CPU-bound, stored", gateway, askers, key, _CPU_CLIENTS, sizes, advance)


LOADS: Final = (upstream_bound, upstream_bound_untold, cpu_bound, cpu_bound_learning)


async def _measured(
    name: str, gateway: Gateway, askers: Askers, key: str, clients: int, sizes: Sizes, advance: Callable[[int], None]
) -> Load:
    load, chance = Load(name), random.Random(8080)
    cpu_s = gateway.cpu_s()
    usual = await _closed_loop(askers, key, clients, sizes.peak_s)
    cpu_at_peak_s, cpu_s = gateway.cpu_s() - cpu_s, gateway.cpu_s()
    load.peak_per_s = sum(found.verdict == "answered" for found in usual) / sizes.peak_s
    load.peak_per_cpu_s = load.peak_per_s * sizes.peak_s / cpu_at_peak_s
    usual_p95_s = percentile([found.total_s for found in usual], 0.95) or 0.0
    load.rss_before_mb = load.rss_most_mb = gateway.rss_mb()
    load.offered_per_s = TIMES * load.peak_per_s

    outcomes: list[Outcome] = []
    watching = asyncio.create_task(_watch_memory(gateway, load))
    began = time.monotonic()

    async def ask(number: int) -> None:
        outcomes.append(
            await askers.ask(key, "auto", askers.question(), is_stream=number % 2 == 0, patience_s=PATIENCE_S)
        )
        advance(1)

    until, count = began + sizes.overload_s, int(load.offered_per_s * sizes.overload_s)
    async with lag_noted(load):
        asking = asyncio.create_task(paced(load.offered_per_s, count, ask, chance, until))
        await asyncio.sleep(sizes.overload_s)
        cpu_s = gateway.cpu_s() - cpu_s
    # What is still open has its say below; from here on it is the time after the load.
    load.recovery_s = await _recovery_s(askers, key, load.peak_per_s / 2, 2 * usual_p95_s, sizes.watch_s)
    await asking
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    load.sent_per_s = len(outcomes) / sizes.overload_s
    _count(load, outcomes, began + 1.0, began + sizes.overload_s)
    load.goodput_per_cpu_s = load.goodput_per_s * sizes.overload_s / cpu_s
    return load


async def _closed_loop(askers: Askers, key: str, clients: int, seconds: float) -> list[Outcome]:
    """So many clients, each asking again as soon as it was answered."""
    until, found = time.monotonic() + seconds, []

    async def run(client: int) -> None:
        while time.monotonic() < until:
            found.append(await askers.ask(key, "auto", askers.question(), is_stream=client % 2 == 0))

    await asyncio.gather(*(run(client) for client in range(clients)))
    return found


async def _watch_memory(gateway: Gateway, load: Load) -> None:
    while True:
        load.rss_most_mb = max(load.rss_most_mb, gateway.rss_mb())
        await asyncio.sleep(0.2)


async def _recovery_s(askers: Askers, key: str, per_s: float, usual_s: float, at_most_s: float) -> float | None:
    """Seconds until a second begins in which everything that is asked is answered as fast as usual."""
    began, chance = time.monotonic(), random.Random(1)
    while (passed_s := time.monotonic() - began) < at_most_s:
        window: list[Outcome] = []

        async def ask(number: int, window: list[Outcome] = window) -> None:
            window.append(await askers.ask(key, "auto", askers.question(), is_stream=number % 2 == 0))

        await paced(per_s, max(int(per_s * _RECOVERED_IN_S), 5), ask, chance)
        slow = sum(found.verdict != "answered" for found in window)
        if not slow and (percentile([found.total_s for found in window], 0.95) or 0.0) <= usual_s:
            return passed_s
    return None


def _count(load: Load, outcomes: Sequence[Outcome], since: float, until: float) -> None:
    """Goodput counts the answers that were complete between these times."""
    details: Counter[str] = Counter()
    refused_s: list[float] = []
    answered_s: list[float] = []
    for outcome in outcomes:
        load.requests += 1
        if outcome.verdict == "answered":
            load.answered += 1
            answered_s.append(outcome.total_s)
            load.goodput_per_s += since <= outcome.sent_at + outcome.total_s < until
            continue
        details[f"{outcome.verdict}: {outcome.detail}"] += 1
        if outcome.verdict == "refused" and outcome.detail.startswith("503") and "without" not in outcome.detail:
            load.refused += 1
            refused_s.append(outcome.total_s)
        elif outcome.verdict == "refused":
            load.refused_otherwise += 1
        elif outcome.verdict == "wrong":
            load.wrong += 1
        else:
            load.lost += 1
    load.goodput_per_s /= until - since
    load.answered_p99_ms = _ms(percentile(answered_s, 0.99))
    load.refused_p50_ms, load.refused_p99_ms = _ms(percentile(refused_s, 0.5)), _ms(percentile(refused_s, 0.99))
    load.details = dict(details)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
