"""A thousand requests at once over four levels of budgets: no cap is exceeded by one nano-dollar, and nothing is left
behind, also if the process is killed in the middle."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

import httpx

from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider
from tests.app.test_budgets_endtoend import NEVER_RATIONED, ROUNDING_NANO, WORST, costs_the_worst, question
from tests.running import RunningGateway, eventually

REQUESTS = 1000
PLAIN: dict[str, str | float] = {**NEVER_RATIONED, "soft_from": 4.0, "pacing": "false"}
CAPS = {
    "organisation": 120 * WORST + 1,
    "team:support": 90 * WORST + WORST // 2,
    "team:support/app:faq-bot": 60 * WORST - 1,
    "key": 25 * WORST,
}
"""In whole requests: 120, 90, 59 and 25."""


def capped(key_id: str) -> str:
    text = budget("organisation", CAPS["organisation"], **PLAIN)
    text += budget("teams.support", CAPS["team:support"], **PLAIN)
    text += budget("teams.support.apps.faq-bot", CAPS["team:support/app:faq-bot"], **PLAIN)
    return (text + budget(f"keys.{key_id}", CAPS["key"], **PLAIN)).replace("'false'", "false")


def start(start_gateway: Callable[..., RunningGateway], provider: Provider) -> tuple[RunningGateway, list[str], str]:
    """A gateway with four caps, four keys, and the id of the first, which has a cap of its own."""
    only = route("only", "large", allow_downgrade=False, clamp_output=False, cache='mode = "off"')
    text = scripted(provider, max_concurrency=2000) if False else scripted(provider)
    gateway = start_gateway(text + only, **ENVIRONMENT)
    owners = [("support", "faq-bot"), ("support", "faq-bot"), ("support", "other"), ("sales", "mailer")]
    secrets = [gateway.key(team=team, app=app, route="only") for team, app in owners]
    key_id = str(gateway.admin("GET", "/admin/keys")[-4]["id"])
    with gateway.configuration.open("a", encoding="utf-8") as file:
        file.write(capped(key_id))
    gateway.restart()
    return gateway, secrets, key_id


def in_bounds(gateway: RunningGateway) -> bool:
    """Whether every cap holds right now; raises if one does not."""
    for counters in gateway.status()["budgets"]:
        taken = counters["spent_nano"] + counters["reserved_nano"]
        assert 0 <= taken <= counters["cap_nano"], counters
    return True


async def ask(gateway: RunningGateway, secrets: list[str], meanwhile: Callable[[], Any]) -> list[httpx.Response | None]:
    """All requests on connections of their own, by turns with each key; None for one that was cut off."""
    limits = httpx.Limits(max_connections=None)
    url = f"{gateway.base_url}/chat/completions"

    async def one(number: int) -> httpx.Response | None:
        headers = {"authorization": f"Bearer {secrets[number % len(secrets)]}"}
        try:
            return await client.post(url, content=question(number), headers=headers)
        except httpx.TransportError:
            return None

    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=120) as client:
        tasks = [asyncio.create_task(one(number)) for number in range(REQUESTS)]
        await asyncio.to_thread(meanwhile)
        return list(await asyncio.gather(*tasks))


def spent(gateway: RunningGateway, **equal: str) -> int:
    return sum(row.actual_nano or 0 for row in gateway.rows(**equal))


def by_name(gateway: RunningGateway) -> dict[str, Any]:
    return {found["name"]: found for found in gateway.status()["budgets"]}


def ledger_agrees(gateway: RunningGateway, key_id: str) -> None:
    assert {name: (found["spent_nano"], found["reserved_nano"]) for name, found in by_name(gateway).items()} == {
        "organisation": (spent(gateway), 0),
        "team:support": (spent(gateway, team="support"), 0),
        "team:support/app:faq-bot": (spent(gateway, team="support", app="faq-bot"), 0),
        f"key:{key_id}": (spent(gateway, key_id=key_id), 0),
    }
    assert gateway.status()["ledger"]["open_reservations"] == 0
    assert gateway.command("budgets", "reconcile").returncode == 0
    assert gateway.verification().problems == []


async def test_a_thousand_at_once_fill_four_caps_and_exceed_none(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    provider.script("large-2025", costs_the_worst)
    gateway, secrets, key_id = start(start_gateway, provider)

    answers = await ask(gateway, secrets, lambda: [in_bounds(gateway) for _ in range(20)])

    served = [answer for answer in answers if answer is not None and answer.status_code == 200]
    for answer in answers:
        assert answer is not None
        if answer.status_code != 200:
            openai_error(answer, answer.status_code, "budget_exceeded" if answer.status_code == 429 else None)
    assert in_bounds(gateway)
    ledger_agrees(gateway, key_id)
    assert spent(gateway) == len(served) * (WORST - ROUNDING_NANO)

    numbers = count(REQUESTS)
    for secret in secrets:  # then one by one, until nothing fits any more
        while gateway.request(
            "POST",
            "/v1/chat/completions",
            content=question(next(numbers) % 1000),
            headers={"authorization": f"Bearer {secret}"},
        ).is_success:
            pass
    free = {name: found["cap_nano"] - found["spent_nano"] for name, found in by_name(gateway).items()}
    chain = ["organisation", "team:support", "team:support/app:faq-bot", f"key:{key_id}"]
    for length in range(1, 5):  # what stopped each of them is one of its own caps
        assert min(free[name] for name in chain[:length]) < WORST
    assert in_bounds(gateway)
    ledger_agrees(gateway, key_id)


async def test_a_thousand_at_once_and_kill_minus_nine_leave_no_reservation_and_no_cap_exceeded(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gate = provider.gate()
    gateway, secrets, key_id = start(start_gateway, provider)
    provider.script("large-2025", costs_the_worst, costs_the_worst, lambda received: [gate, *costs_the_worst(received)])

    def kill() -> None:
        eventually(lambda: in_bounds(gateway) and gate.arrived >= 50, seconds=60)
        gateway.kill()

    answers = await ask(gateway, secrets, kill)
    gate.open()
    gateway.start()

    acknowledged = {answer.headers["x-request-id"] for answer in answers if answer is not None and answer.is_success}
    rows = {row.request_id: row for row in gateway.rows(kind="request")}
    assert acknowledged <= rows.keys()
    unknown = [row for row in rows.values() if row.status == "unknown"]
    assert len(unknown) >= 50
    assert {row.actual_nano for row in unknown} == {WORST}
    assert in_bounds(gateway)
    ledger_agrees(gateway, key_id)
