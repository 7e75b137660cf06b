"""Storms: while one deployment of a model fails in some way, is every request still answered, rightly and soon?

`Storms` runs one row for each fault and rate, each at a deployment of its own beside a healthy one, and a mixed run in
which several deployments fail in ways that change all the time. Every answer is checked; faults after an answer has
begun must end in an error event and are counted apart.
"""

import asyncio
import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from benchmarks.askers import ASKING_AT_MOST, Askers, Checker, Outcome, paced
from benchmarks.faulty import (
    AFTER_FIRST,
    BEFORE_FIRST,
    DNS,
    UNRESOLVABLE,
    Certificates,
    Fault,
    Met,
    Upstream,
)
from benchmarks.gateway import Gateway
from benchmarks.raw_client import Broken

FIRST_EVENT_TIMEOUT_S: Final = 0.5
HEALTHY_TIMEOUT_S: Final = 5.0
"""Of the deployment that never fails: what keeps a busy machine must not pass for a failure of it. Whatever it takes
longer is in the times of the failovers."""
SLOW_AFTER_S: Final = 0.1
"""An upstream of these runs answers in some 10 ms."""
IDLE_TIMEOUT_S: Final = 1.0
RATES: Final = (0.1, 0.5, 1.0)
KEYS: Final = ("sk-chaos-one", "sk-chaos-two", "sk-chaos-three", "sk-chaos-four")
LOAD_SHARE: Final = 0.2
"""Of what the gateway carries at most on this machine: latencies at saturation would be queues."""
FASTEST_PER_S: Final = 120.0
_LAG_EVERY_S: Final = 0.01
OPEN_AFTER_S: Final = 2.0
"""So long after the begin of an outage its timeouts have been counted: a breaker should be open."""
_BACK_AFTER_AT_MOST_S: Final = 40.0
_CALM_AT_LEAST: Final = 50
_BACK_SHARE: Final = 0.5
"""A deployment is back when it answers this part of what it answered before."""
_CHANGES_EVERY_S: Final = (0.5, 3.0)

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    single: int
    """Requests of each fault, shared by its rates."""
    mixed: int
    rates: tuple[float, ...] = RATES
    back_after_at_most_s: float = _BACK_AFTER_AT_MOST_S


@dataclass
class Row:
    """What was seen under one fault at one rate. Times in milliseconds; None where there was nothing to see."""

    fault: str
    rate: float | None
    """None = it changed all the time."""
    requests: int = 0
    answered: int = 0
    """Right, whole, once."""
    wrong: int = 0
    lost: int = 0
    """Neither answered nor broken off for a cause."""
    broken_off: int = 0
    """Streams that ended in an error event because the fault struck after their first event."""
    failed_over: int = 0
    """Answered by another deployment than the first."""
    calm_p50_ms: float | None = None
    calm_p99_ms: float | None = None
    failover_p50_ms: float | None = None
    """What a failover adds to the median without faults."""
    failover_p99_ms: float | None = None
    beyond_timeouts_p99_ms: float | None = None
    """The same less the time that hanging upstreams were waited for."""
    open_p99_ms: float | None = None
    """The same in a full outage, once a breaker has had its time to open."""
    back_after_s: float | None = None
    """From the end of the fault until the first deployment answers as before."""
    is_back_expected: bool = True
    hangs: bool = False
    lag_p99_ms: float | None = None
    """How late this process itself was woken: what the machine was too busy for, and no fault of the gateway."""
    lag_most_ms: float | None = None
    details: dict[str, int] = field(default_factory=dict)
    """What the wrong and the lost ones were."""

    @property
    def answerable(self) -> int:
        """Requests that could be answered: all whose answer had not begun when the fault struck."""
        return self.requests - self.broken_off


# --- the configuration under test -----------------------------------------------------------------------------------


def provider(
    name: str,
    base_url: str,
    key_files: Sequence[Path],
    first_event_timeout_s: float = FIRST_EVENT_TIMEOUT_S,
    slow_after_s: float | None = None,
) -> str:
    """[providers.NAME] with the timeouts of these runs."""
    lines = [f"[providers.{name}]", f'base_url = "{base_url}"']
    keys = ", ".join(f'"file:{file}"' for file in key_files)
    lines += [f"api_keys = [{keys}]", "connect_timeout_s = 0.5", "retries = 1"]
    idle_timeout_s = max(IDLE_TIMEOUT_S, first_event_timeout_s)  # also before the first event a silence is one
    lines += [f"first_event_timeout_s = {first_event_timeout_s}", f"idle_timeout_s = {idle_timeout_s}"]
    if slow_after_s is not None:
        lines += [f"[providers.{name}.breaker]", f"slow_after_s = {slow_after_s}"]
    return "\n".join(lines) + "\n"


def model(name: str, *providers: str, tier: str = "mid", max_concurrency: int = 256) -> str:
    """[models.NAME], tried at these providers in this order."""
    lines = [f"[models.{name}]", f'tier = "{tier}"', "max_output_tokens = 4000"]
    for known in providers:
        lines += [f"[[models.{name}.deployments]]", f'provider = "{known}"', 'model = "chaos-1"']
        lines += ["list_price = { input = 1, output = 4 }", f"max_concurrency = {max_concurrency}"]
    return "\n".join(lines) + "\n"


def route(name: str, *models: str) -> str:
    """[routes.NAME] without a cache: every request goes upstream."""
    names = ", ".join(f'"{known}"' for known in models)
    return f'[routes.{name}]\nmodels = [{names}]\n[routes.{name}.cache]\nmode = "off"\n'


def key_files(folder: Path) -> list[Path]:
    """The upstream keys, each in a file, as the configuration wants them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{key}.key" for key in KEYS]
    for file, key in zip(files, KEYS, strict=True):
        file.write_text(key, encoding="utf-8")
    return files


# --- one row for each fault and rate ----------------------------------------------------------------------------------


@dataclass
class Case:
    """One row to be: a fault at a rate, at a deployment that nobody else uses."""

    fault: Fault
    rate: float
    primary: Upstream | None
    """None where no server is behind the address."""
    name: str
    requests: int
    key: str = ""


def cases(sizes: Sizes, certificates: Certificates | None, faults: Iterable[Fault] | None = None) -> list[Case]:
    """Every fault at every rate. A name that does not resolve never does; a slow server is not a failing one."""
    found: list[Case] = []
    for fault in (*BEFORE_FIRST, DNS, *AFTER_FIRST) if faults is None else faults:
        if fault.needs_tls and certificates is None:
            continue
        rates = (1.0,) if fault is DNS else sizes.rates
        for rate in rates:
            name = f"case{len(found)}"
            primary = None
            if fault is not DNS:
                primary = Upstream(name, certificates=certificates if fault.needs_tls else None, keys=list(KEYS))
            found.append(Case(fault, rate, primary, name, math.ceil(sizes.single / len(rates))))
    return found


class Storms:
    """A gateway, its upstreams and its clients. `opened` starts all of it and ends it."""

    def __init__(
        self,
        gateway: Gateway,
        askers: Askers,
        upstreams: list[Upstream],
        healthy_key: str,
        per_s: float,
        at_most: int,
    ) -> None:
        self.gateway = gateway
        self._healthy_key = healthy_key
        self.askers = askers
        self.per_s = per_s
        self._at_most = at_most
        self._upstreams = upstreams
        self._chance = random.Random(8080)

    def met(self, token: str) -> list[Met]:
        """Every fault that this request met, at whichever upstream."""
        return [met for upstream in self._upstreams for met in upstream.met.get(token, ())]

    async def ask(self, key: str, into: list[Outcome], model_name: str = "auto") -> None:
        is_stream = self._chance.random() < 0.5
        into.append(await self.askers.ask(key, model_name, self.askers.question(), is_stream=is_stream))

    async def run_case(self, case: Case, sizes: Sizes, advance: Advance) -> Row:
        """Calm, storm, and how long until it is as before."""
        fault, row = case.fault, Row(case.fault.name, case.rate, hangs=case.fault.hangs)
        calm: list[Outcome] = []
        # Behind a name that does not resolve it is never calm: that is compared with the healthy deployment.
        calm_key = self._healthy_key if case.primary is None else case.key
        few = max(case.requests // 10, min(case.requests, _CALM_AT_LEAST))
        await self._ask_many(calm_key, few, calm, lambda count: None)
        if case.primary is not None:
            await case.primary.misbehave(fault, case.rate)
        outcomes: list[Outcome] = []
        async with lag_noted(row):
            await self._ask_many(case.key, case.requests, outcomes, advance)
        if case.primary is not None:
            await case.primary.behave()
        self._count(row, outcomes, case.name)
        baseline = _latencies(calm)
        self._time(row, outcomes, baseline, case.name)
        if case.rate == 1.0:
            late = [found for found in outcomes if found.sent_at >= outcomes[0].sent_at + OPEN_AFTER_S]
            row.open_p99_ms = percentile(_added_ms(late, baseline), 0.99)
        if case.primary is not None:
            share = _share(calm, case.name)
            row.back_after_s, after = await self._until_back(case, share, sizes.back_after_at_most_s)
            self._count(row, [found for found in after if found.verdict != "answered"], case.name)
        row.is_back_expected = case.primary is not None
        return row

    async def _ask_many(self, key: str, count: int, into: list[Outcome], advance: Advance) -> None:
        async def ask(_: int) -> None:
            await self.ask(key, into)
            advance(1)

        await paced(self.per_s, count, ask, self._chance, at_most=self._at_most)
        into.sort(key=lambda found: found.sent_at)

    async def _until_back(self, case: Case, share: float, at_most_s: float) -> tuple[float | None, list[Outcome]]:
        """(seconds, what was asked meanwhile); None if it never came back in that time."""
        began, seen = time.monotonic(), []
        while time.monotonic() - began < at_most_s:
            window: list[Outcome] = []
            asked_at = time.monotonic()
            await self._ask_many(case.key, max(int(self.per_s / 4), 5), window, lambda count: None)
            seen += window
            if _share(window, case.name) >= _BACK_SHARE * share:
                return asked_at - began, seen
        return None, seen

    def _count(self, row: Row, outcomes: Sequence[Outcome], primary: str) -> None:
        details = Counter(row.details)
        for outcome in outcomes:
            row.requests += 1
            is_caused = any(met.after_first for met in self.met(outcome.token))
            if outcome.verdict == "answered":
                row.answered += 1
                row.failed_over += outcome.server != primary
            elif outcome.verdict == "wrong":
                row.wrong += 1
            elif outcome.verdict == "broken off" and is_caused:
                row.broken_off += 1
                continue
            else:
                row.lost += 1
            if outcome.verdict != "answered":
                details[f"{outcome.verdict}: {outcome.detail or 'for no cause'}"] += 1
        row.details = dict(details)

    def _time(self, row: Row, outcomes: Sequence[Outcome], calm: dict[bool, list[float]], primary: str) -> None:
        """What a failover took. `calm` are the latencies without faults, of streams and of JSON."""
        everything = [value for values in calm.values() for value in values]
        row.calm_p50_ms = _ms(percentile(everything, 0.5))
        row.calm_p99_ms = _ms(percentile(everything, 0.99))
        moved = [found for found in outcomes if found.verdict == "answered" and found.server != primary]
        added = _added_ms(moved, calm)
        row.failover_p50_ms, row.failover_p99_ms = percentile(added, 0.5), percentile(added, 0.99)
        waited = [
            FIRST_EVENT_TIMEOUT_S * 1000 * sum(met.hangs and not met.after_first for met in self.met(found.token))
            for found in moved
        ]
        beyond = [more - less for more, less in zip(added, waited, strict=True)]
        row.beyond_timeouts_p99_ms = percentile(beyond, 0.99)

    # --- the mixed run ------------------------------------------------------------------------------------------------

    async def run_mixed(self, mixed: "Mixed", requests: int, advance: Advance) -> Row:
        """Everything at once, changing all the time."""
        calm: list[Outcome] = []
        row = Row("mixed", None, is_back_expected=False, hangs=True)
        await self._ask_mixed(mixed, max(min(requests // 20, 1000), 20), calm, lambda count: None)
        has_ended = asyncio.Event()
        changing = asyncio.create_task(self._change(mixed.upstreams, has_ended))
        outcomes: list[Outcome] = []
        try:
            async with lag_noted(row):
                await self._ask_mixed(mixed, requests, outcomes, advance)
        finally:
            has_ended.set()
            await changing
            for upstream in mixed.upstreams:
                await upstream.behave()
        self._count(row, outcomes, "")
        moved = [found for found in outcomes if found.verdict == "answered" and found.server not in mixed.firsts]
        row.failed_over = len(moved)
        self._time(row, moved, _latencies(calm), "")
        return row

    async def _ask_mixed(self, mixed: "Mixed", count: int, into: list[Outcome], advance: Advance) -> None:
        async def ask(number: int) -> None:
            await self.ask(mixed.keys[number % len(mixed.keys)], into, mixed.models[number % len(mixed.keys)])
            advance(1)

        await paced(self.per_s, count, ask, self._chance, at_most=self._at_most)

    async def _change(self, upstreams: Sequence[Upstream], has_ended: asyncio.Event) -> None:
        """Gives every now and then one upstream other faults, at another rate; a restart may hit any of them."""
        while not has_ended.is_set():
            upstream = self._chance.choice(upstreams)
            options = [f for f in BEFORE_FIRST if f.needs_tls <= (upstream.certificates is not None)]
            faults = self._chance.sample(options, self._chance.randint(1, 4))
            if self._chance.random() < 0.25:
                faults.append(self._chance.choice(AFTER_FIRST))
            rate = self._chance.choice([0.0, 0.05, 0.1, 0.25, 0.5, 0.5, 1.0, self._chance.random()])
            await upstream.misbehave(faults, rate)
            await asyncio.sleep(self._chance.uniform(*_CHANGES_EVERY_S) / len(upstreams))


@dataclass
class Mixed:
    """Two routes: four deployments of one model, all but the last failing; and two models, the better one failing."""

    upstreams: list[Upstream]
    keys: list[str] = field(default_factory=list)
    models: tuple[str, str] = ("mixed", "better")
    firsts: tuple[str, str] = ("plain", "other")
    """The upstreams that answer while nothing fails."""


def _mixed(certificates: Certificates | None) -> Mixed:
    upstreams = [Upstream("plain", keys=list(KEYS)), Upstream("other", keys=list(KEYS))]
    if certificates is not None:
        upstreams.append(Upstream("secure", certificates=certificates, keys=list(KEYS)))
    return Mixed(upstreams)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    found: Sequence[Case],
    certificates: Certificates | None,
    per_s: float | None = None,
    at_most: int = ASKING_AT_MOST,
) -> AsyncIterator[tuple[Storms, Mixed]]:
    """A gateway with a route for each case and those of the mixed run, its upstreams and clients. `per_s` is the rate
    of requests, with `at_most` of one run under way; by default a part of what the gateway carries on this machine at
    this moment."""
    mixed, backup = _mixed(certificates), Upstream("backup")
    primaries = [case.primary for case in found if case.primary is not None]
    upstreams = [backup, *primaries, *mixed.upstreams]
    for upstream in upstreams:
        await upstream.start()
    environment = {} if certificates is None else {"SSL_CERT_FILE": str(certificates.trusted)}
    gateway = Gateway(folder, _configuration(folder, found, mixed, backup), environment)
    askers: Askers | None = None
    try:
        await asyncio.to_thread(gateway.start)
        for case in found:
            case.key = await asyncio.to_thread(gateway.key, "chaos", case.name)
        mixed.keys = [await asyncio.to_thread(gateway.key, "chaos", name) for name in ("mixed", "tiers")]
        healthy = await asyncio.to_thread(gateway.key, "chaos", "healthy")
        askers = Askers(gateway.port, Checker())
        if per_s is None:
            per_s = min(LOAD_SHARE * await _capacity_per_s(askers, healthy), FASTEST_PER_S)
        yield Storms(gateway, askers, upstreams, healthy, per_s, at_most), mixed
        if end := gateway.ended_by_itself():
            raise Broken(end)
    finally:
        if askers is not None:
            askers.close()
        await asyncio.to_thread(gateway.stop)
        for upstream in upstreams:
            await upstream.stop()


def _configuration(folder: Path, found: Sequence[Case], mixed: Mixed, backup: Upstream) -> str:
    files = key_files(folder / "keys")
    parts = [provider("backup", backup.base_url, files[:1], HEALTHY_TIMEOUT_S)]
    parts += [provider("nowhere", UNRESOLVABLE, files[:1])]
    parts += [provider(upstream.name, upstream.base_url, files) for upstream in mixed.upstreams]
    for case in found:
        first = "nowhere"
        if case.primary is not None:
            parts.append(provider(case.name, case.primary.base_url, files, slow_after_s=SLOW_AFTER_S))
            first = case.name
        parts += [model(case.name, first, "backup"), route(case.name, case.name)]
    names = [upstream.name for upstream in mixed.upstreams if upstream.name != "other"]
    parts += [model("mixed", *names, "nowhere", "backup"), route("mixed", "mixed")]
    parts += [model("better", "other", tier="premium"), model("healthy", "backup", tier="economy")]
    parts += [route("tiers", "better", "healthy"), route("healthy", "healthy")]
    return "".join(parts)


async def _capacity_per_s(askers: Askers, key: str, seconds: float = 2.0, clients: int = 16) -> float:
    """Requests a second that a closed loop gets through."""
    until, done = time.monotonic() + seconds, 0

    async def run(client: int) -> None:
        nonlocal done
        while time.monotonic() < until:
            await askers.ask(key, "auto", askers.question(), is_stream=client % 2 == 0)
            done += 1

    await asyncio.gather(*(run(client) for client in range(clients)))
    return done / seconds


class Lagging(Protocol):
    """What has room for how late this process was."""

    lag_p99_ms: float | None
    lag_most_ms: float | None


@contextlib.asynccontextmanager
async def lag_noted(row: Lagging) -> AsyncIterator[None]:
    """Measures meanwhile how late the event loop is."""
    late_ms: list[float] = []

    async def watch() -> None:
        while True:
            due = time.monotonic() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            late_ms.append((time.monotonic() - due) * 1000)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        row.lag_p99_ms, row.lag_most_ms = percentile(late_ms, 0.99), max(late_ms, default=None)


# --- figures --------------------------------------------------------------------------------------------------------


def percentile(values: Iterable[float], share: float) -> float | None:
    """Nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None


def _latencies(outcomes: Iterable[Outcome]) -> dict[bool, list[float]]:
    """Seconds of the right answers, of streams (True) and JSON."""
    found: dict[bool, list[float]] = {True: [], False: []}
    for outcome in outcomes:
        if outcome.verdict == "answered":
            found[outcome.is_stream].append(outcome.latency_s)
    return found


def _added_ms(outcomes: Iterable[Outcome], calm: dict[bool, list[float]]) -> list[float]:
    """What each right answer took longer than the calm median of its kind."""
    usual = {kind: percentile(values, 0.5) or 0.0 for kind, values in calm.items()}
    return [(o.latency_s - usual[o.is_stream]) * 1000 for o in outcomes if o.verdict == "answered"]


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _share(outcomes: Sequence[Outcome], server: str) -> float:
    return sum(found.server == server for found in outcomes) / max(len(outcomes), 1)
