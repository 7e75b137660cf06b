"""`kill -9` at random moments under load, again and again on one data folder.

After each: every answer that reached a client in full is in the ledger once, nothing is there twice, the chain
verifies, what was under way is booked at its reservation, and the budgets hold what the rows add up to. Looks at the
ledger file with SQL, at budgets through the admin API, at the chain with `thriftgate ledger verify`.
"""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.askers import NOT_CACHED, Askers, Checker, Outcome
from benchmarks.faulty import BEFORE_FIRST, Upstream
from benchmarks.gateway import Gateway
from benchmarks.storms import HEALTHY_TIMEOUT_S, key_files, model, provider

CLIENTS: Final = 12
AFTER_S: Final = (0.02, 0.8)
"""When it is killed, counted from the first answer."""
_FLAKY_RATE: Final = 0.2
_KEPT: Final = "How do I open the blue box?"
_MOST_ASKED: Final = [f"Where is box number {number}?" for number in (12, 34, 56)]


@dataclass
class Kills:
    """What was found after all of them."""

    times: int = 0
    acknowledged: int = 0
    lost: int = 0
    """Acknowledged, and not in the ledger."""
    doubled: int = 0
    """In the ledger more than once."""
    wrong: int = 0
    healed: int = 0
    """Reservations that were open in the file and are booked now."""
    problems: list[str] = field(default_factory=list)


async def killed(folder: Path, times: int, advance: Callable[[int], None]) -> Kills:
    """Kills and restarts so many times."""
    flaky, steady = Upstream("flaky", latency_s=0.005), Upstream("steady", latency_s=0.015)
    for upstream in (flaky, steady):
        await upstream.start()
    await flaky.misbehave([fault for fault in BEFORE_FIRST if fault.level == "request"], _FLAKY_RATE)
    files = key_files(folder / "keys")[:1]
    configuration = provider("flaky", flaky.base_url, files) + provider(
        "steady", steady.base_url, files, HEALTHY_TIMEOUT_S
    )
    configuration += model("boxes", "flaky", "steady")
    configuration += '[routes.default]\nmodels = ["boxes"]\n[routes.default.cache]\nstart = "prior"\n'
    configuration += "".join(f"[{owner}.budget]\nusd = 1000\n" for owner in ("organisation", "teams.chaos"))
    found = Kills()
    rounds = _Rounds(Gateway(folder, configuration), found)
    try:
        await rounds.begin()
        for _ in range(times):
            await rounds.run()
            advance(1)
    finally:
        await asyncio.to_thread(rounds.gateway.stop)
        for upstream in (flaky, steady):
            await upstream.stop()
    return found


class _Rounds:
    """One kill after the other, on the same data folder."""

    def __init__(self, gateway: Gateway, found: Kills) -> None:
        self.gateway = gateway
        self._found = found
        self._chance = random.Random(7)
        self._checker = Checker(once=False)  # what the cache answers comes more than once
        self._acknowledged: set[str] = set()
        self._under_way: dict[str, int] = {}
        self._key = ""

    async def begin(self) -> None:
        await asyncio.to_thread(self.gateway.start)
        self._key = await asyncio.to_thread(self.gateway.key, "chaos")

    async def run(self) -> None:
        """Load, kill, look at the file, start, look again."""
        askers = Askers(self.gateway.port, self._checker, seed=self._chance.getrandbits(32))
        acknowledged = await self._load_until_killed(askers)
        askers.close()
        self._found.times += 1
        self._found.acknowledged += len(acknowledged)
        self._acknowledged |= acknowledged
        open_before = self._reservations()
        self._under_way |= open_before
        await asyncio.to_thread(self.gateway.start)
        await asyncio.to_thread(self._look, acknowledged, open_before)

    async def _load_until_killed(self, askers: Askers) -> set[str]:
        """The ids of the requests whose answers came in full before the gateway died."""
        outcomes: list[Outcome] = []
        first = asyncio.Event()
        is_dead = False

        async def run(client: int) -> None:
            turn = 0
            while not is_dead:
                turn += 1
                draw = (client + turn) % 4
                text = [_KEPT, self._chance.choice(_MOST_ASKED)][draw] if draw < 2 else askers.question()
                headers = NOT_CACHED if draw == 3 else {}
                outcomes.append(await askers.ask(self._key, "boxes", text, is_stream=turn % 2 == 0, headers=headers))
                first.set()

        clients = [asyncio.create_task(run(client)) for client in range(CLIENTS)]
        await first.wait()
        await asyncio.sleep(self._chance.uniform(*AFTER_S))
        died_at = asyncio.get_running_loop().time()
        self.gateway.kill()
        is_dead = True
        await asyncio.gather(*clients)
        for outcome in outcomes:
            if outcome.verdict == "wrong":
                self._found.wrong += 1
            elif outcome.verdict in ("refused", "broken off") or (
                outcome.verdict == "lost" and outcome.sent_at + outcome.total_s < died_at - 0.05
            ):
                self._problem(f"before the kill: {outcome.verdict} {outcome.detail}")
        return {outcome.request_id for outcome in outcomes if outcome.verdict == "answered"}

    def _look(self, acknowledged: set[str], open_before: dict[str, int]) -> None:
        """Everything that must hold after a restart."""
        found = self._found
        rows = self._rows()
        times = Counter(row["request_id"] for row in rows if row["kind"] == "request")
        lost = [known for known in acknowledged if not times[known]]
        same = Counter((row["request_id"], row["attempt"], row["kind"]) for row in rows)
        doubled = [key for key, count in same.items() if count > 1]
        doubled += [(known, None, "request") for known, count in times.items() if count > 1]
        found.lost += len(lost)
        found.doubled += len(doubled)
        self._must(not lost, f"acknowledged and not in the ledger: {lost[:3]}")
        self._must(not doubled, f"twice in the ledger: {doubled[:3]}")

        status = json.loads(self.gateway.admin("GET", "/admin/status").body)
        ledger = status["ledger"]
        self._must(ledger["recovered_at_start"] == len(open_before), f"{ledger} where {len(open_before)} were open")
        self._must(ledger["open_reservations"] == 0, "reservations are open after a restart")
        unknown = {f"{row['request_id']}/{row['attempt']}": row["actual_nano"] for row in rows if _is_unknown(row)}
        healed = {name: amount for name, amount in self._under_way.items() if unknown.get(name) == amount}
        self._must(len(healed) == len(self._under_way), "a reservation was not booked at its amount")
        found.healed = len(healed)
        both = {name.rpartition("/")[0] for name in unknown} & self._acknowledged
        self._must(not both, f"acknowledged and booked as unknown: {sorted(both)[:3]}")
        spent = sum(row["actual_nano"] or 0 for row in rows)
        for budget in status["budgets"]:
            is_right = budget["spent_nano"] == spent and budget["reserved_nano"] == 0
            self._must(is_right, f"budget {budget['name']}: {budget['spent_nano']} spent, the rows say {spent}")
        verified = self.gateway.command("ledger", "verify")
        self._must(verified.returncode == 0, f"ledger verify: {(verified.stdout + verified.stderr)[-300:]}")

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self._problem(otherwise)

    def _problem(self, what: str) -> None:
        self._found.problems.append(f"kill {self._found.times}: {what}")

    def _rows(self) -> list[dict[str, Any]]:
        wanted = "SELECT kind, request_id, attempt, status, pricing, actual_nano FROM ledger ORDER BY seq"
        return self._select(wanted)

    def _reservations(self) -> dict[str, int]:
        """What the dead server's file says was under way: id and amount."""
        return {row["id"]: row["amount_nano"] for row in self._select("SELECT id, amount_nano FROM reservations")}

    def _select(self, query: str) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.gateway.data_dir / "ledger.db", timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query)]
        finally:
            connection.close()


def _is_unknown(row: dict[str, Any]) -> bool:
    return bool(row["status"] == "unknown")
