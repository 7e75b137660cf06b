"""Budgets hold, to the nano-dollar and under any concurrency, and say what they did."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, MAX_OUTPUT_TOKENS, PRICES, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider, Received, Reply, chat_body, json_reply, stream_reply, streamed, usage_chunk
from tests.running import RunningGateway, eventually, running_gateway

AROUND_MESSAGES_TOKENS = 64
ROUNDING_NANO = 2
NEVER_RATIONED = {"mid_from": 2.0, "economy_from": 3.0}


def question(number: int, **fields: Any) -> bytes:
    """A request whose size does not depend on its number."""
    fields = {"model": "large", "max_completion_tokens": 100} | fields
    text = f"What does the article number {number:03d} cost per month?"
    return json.dumps({**fields, "messages": [{"role": "user", "content": text}]}).encode()


def worst_nano(body: bytes, output_tokens: int, name: str = "large") -> int:
    """What this request may cost at most."""
    tokens_in, tokens_out = (price * 1000 for price in PRICES[name])
    return (len(body) + AROUND_MESSAGES_TOKENS) * tokens_in + output_tokens * tokens_out + ROUNDING_NANO


PLAIN = question(0)
WORST = worst_nano(PLAIN, 100)
OPEN_ENDED = question(0, max_completion_tokens=None)

CONFIGURATION = (
    route("only", "large", allow_downgrade=False, clamp_output=False)
    + route("cheaper", "large", "medium", "small", clamp_output=False, strategy="pinned")
    + route("shorter", "large", allow_downgrade=False)
    + budget("teams.crowd", 50 * WORST, **NEVER_RATIONED)
    + budget("teams.flow", 50 * WORST, **NEVER_RATIONED)
    + budget("teams.exact", WORST, **NEVER_RATIONED)
    + budget("teams.short", WORST - 1, **NEVER_RATIONED)
    + budget("teams.none", 0)
    + budget("teams.middle", worst_nano(PLAIN, 100, "medium"), **NEVER_RATIONED)
    + budget("teams.cheap", worst_nano(PLAIN, 100, "small"), **NEVER_RATIONED)
    + budget("teams.frugal", worst_nano(PLAIN, 100, "small"), **NEVER_RATIONED)
    + budget("teams.split.apps.poor", worst_nano(PLAIN, 100, "small"), **NEVER_RATIONED)
    + budget("teams.ladder", 10**9, mid_from=0.0001, economy_from=0.01)
    + budget("teams.tight", worst_nano(OPEN_ENDED, 400), **NEVER_RATIONED)
    + budget("teams.tighter", worst_nano(OPEN_ENDED, 200), **NEVER_RATIONED)
    + budget("teams.wide", 10**12)
    + budget("teams.wide.apps.narrow", WORST - 1)
    + budget("teams.mixed.apps.rationed", 10**9, mid_from=0.0001)
)


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    text = scripted(upstream) + CONFIGURATION
    with running_gateway(tmp_path_factory.mktemp("budgets"), text, ENVIRONMENT) as gateway:
        yield gateway


def post(gateway: RunningGateway, key: str, body: bytes) -> httpx.Response:
    return gateway.request("POST", "/v1/chat/completions", content=body, headers={"authorization": f"Bearer {key}"})


def costs_the_worst(received: Received) -> Reply:
    """As much as was reserved for it, less the room for rounding."""
    limit = received.json["max_completion_tokens"]
    return json_reply(chat_body("Dear.", prompt_tokens=len(PLAIN) + AROUND_MESSAGES_TOKENS, completion_tokens=limit))


def spent_nano(gateway: RunningGateway, team: str) -> int:
    return sum(row.actual_nano or 0 for row in gateway.rows(team=team))


# --- under concurrency -----------------------------------------------------------------------------------------


async def all_at_once(
    gateway: RunningGateway, key: str, bodies: list[bytes], meanwhile: Callable[[list[asyncio.Task[Any]]], Any]
) -> list[httpx.Response]:
    """All requests on connections of their own; `meanwhile` runs in a thread and may look at them."""
    headers = {"authorization": f"Bearer {key}"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=120, headers=headers) as client:
        url = f"{gateway.base_url}/chat/completions"
        tasks = [asyncio.create_task(client.post(url, content=body)) for body in bodies]
        await asyncio.to_thread(meanwhile, tasks)
        return list(await asyncio.gather(*tasks))


def never_over(gateway: RunningGateway, team: str) -> int:
    """What is spent and reserved now, after checking that it is within the cap."""
    counters = gateway.budget(f"team:{team}")
    taken = int(counters["spent_nano"] + counters["reserved_nano"])
    assert 0 <= taken <= counters["cap_nano"]
    return taken


def refused(answers: list[httpx.Response]) -> list[httpx.Response]:
    for answer in (found := [answer for answer in answers if answer.status_code != 200]):
        error = openai_error(answer, 429, "budget_exceeded")
        assert "budget" in error["message"]
    return found


def each_has_its_row(gateway: RunningGateway, team: str, answers: list[httpx.Response]) -> None:
    rows = {row.request_id: row for row in gateway.rows(team=team, kind="request")}
    assert len(rows) == len(answers) == len({answer.headers["x-request-id"] for answer in answers})
    for answer in answers:
        row = rows[answer.headers["x-request-id"]]
        assert row.status == ("ok" if answer.status_code == 200 else "refused")
        assert answer.status_code == 200 or row.actual_nano == 0


async def test_of_three_hundred_at_once_exactly_the_fifty_that_fit_are_served(
    gateway: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-2025", lambda received: [gate, *costs_the_worst(received)])
    cap = 50 * WORST

    def meanwhile(tasks: list[asyncio.Task[Any]]) -> None:
        # The fifty are held at the provider until all others have their refusal.
        eventually(lambda: never_over(gateway, "crowd") and sum(task.done() for task in tasks) == 250, seconds=60)
        assert never_over(gateway, "crowd") == cap  # not one nano-dollar over, and none left
        assert gateway.budget("team:crowd")["reserved_nano"] == cap
        gate.open()

    answers = await all_at_once(
        gateway, gateway.key(team="crowd", route="only"), [question(number) for number in range(300)], meanwhile
    )

    assert len(refused(answers)) == 250
    assert len(provider.calls) == gate.arrived == 50
    each_has_its_row(gateway, "crowd", answers)
    counters = gateway.budget("team:crowd")
    assert counters["spent_nano"] == spent_nano(gateway, "crowd") == cap - 50 * ROUNDING_NANO
    assert counters["reserved_nano"] == 0
    assert gateway.status()["ledger"]["open_reservations"] == 0


async def test_while_three_hundred_come_and_go_the_cap_holds_at_every_moment(
    gateway: RunningGateway, provider: Provider
) -> None:
    def cheaper_than_feared(received: Received) -> Reply:
        if received.streams:
            return stream_reply([*streamed(["Cheap."])[:-2], usage_chunk(60, 40), *streamed([])[-1:]])
        return json_reply(chat_body("Cheap.", prompt_tokens=60, completion_tokens=40))

    provider.script("large-2025", cheaper_than_feared)
    bodies = [question(number, stream=True) if number % 2 else question(number) for number in range(300)]

    def meanwhile(tasks: list[asyncio.Task[Any]]) -> None:
        eventually(lambda: never_over(gateway, "flow") and all(task.done() for task in tasks), seconds=60)

    key = gateway.key(team="flow", route="only")
    answers = await all_at_once(gateway, key, bodies, meanwhile)

    each_has_its_row(gateway, "flow", answers)
    for number in range(300, 600):  # then one by one, until nothing fits any more
        answers.append(post(gateway, key, question(number)))
        if answers[-1].status_code != 200:
            break
    served = [answer for answer in answers if answer.status_code == 200]
    assert len(served) + len(refused(answers)) == len(answers)
    cost = 60 * 10_000 + 40 * 40_000
    assert gateway.budget("team:flow")["spent_nano"] == spent_nano(gateway, "flow") == len(served) * cost
    # What was reserved and not spent could be spent by others: less is left than one more request could cost.
    assert 0 <= 50 * WORST - len(served) * cost < WORST
    assert gateway.verification().problems == []


# --- to the nano-dollar ----------------------------------------------------------------------------------------


def test_a_budget_that_is_just_enough_is_enough(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("large-2025", costs_the_worst)
    key = gateway.key(team="exact", route="only")

    assert post(gateway, key, question(1)).status_code == 200
    assert gateway.budget("team:exact")["spent_nano"] == WORST - ROUNDING_NANO
    openai_error(post(gateway, key, question(2)), 429, "budget_exceeded")

    # What costs nothing is served all the same.
    again = post(gateway, key, question(1))
    assert (again.status_code, again.headers["x-thriftgate-cache"]) == (200, "exact")


@pytest.mark.parametrize("team", ["short", "none"])
def test_a_budget_that_lacks_a_nano_dollar_is_not_enough(
    gateway: RunningGateway, provider: Provider, team: str
) -> None:
    error = openai_error(post(gateway, gateway.key(team=team, route="only"), question(1)), 429, "budget_exceeded")

    assert f"team:{team}" in error["message"]
    assert "max_completion_tokens" in error["message"]  # how to mend it
    assert provider.calls == []


def test_several_choices_are_reserved_for_each(gateway: RunningGateway, provider: Provider) -> None:
    body = question(3, n=3)
    key = gateway.key(team="wide", route="only")

    row = gateway.row(request_id=post(gateway, key, body).headers["x-request-id"])

    assert row.reserved_nano == worst_nano(body, 300)


def test_a_request_without_a_limit_is_reserved_at_the_models_maximum(
    gateway: RunningGateway, provider: Provider
) -> None:
    body = question(4, max_completion_tokens=None)
    key = gateway.key(team="wide", route="only")

    row = gateway.row(request_id=post(gateway, key, body).headers["x-request-id"])

    assert row.reserved_nano == worst_nano(body, MAX_OUTPUT_TOKENS)
    assert "max_completion_tokens" not in {k for k, v in provider.calls[0].received.json.items() if v is not None}


def test_of_two_limits_the_larger_is_reserved(gateway: RunningGateway, provider: Provider) -> None:
    body = question(8, max_completion_tokens=1, max_tokens=900)  # a provider may know only one of the two
    key = gateway.key(team="wide", route="only")

    row = gateway.row(request_id=post(gateway, key, body).headers["x-request-id"])

    assert row.reserved_nano == worst_nano(body, 900)


def test_a_provider_that_bills_beyond_the_reservation_is_booked_as_billed_and_flagged(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("large-2025", json_reply(chat_body("Too dear.", prompt_tokens=10, completion_tokens=100_000)))
    before = gateway.budget("team:wide")["spent_nano"]

    answer = post(gateway, gateway.key(team="wide", route="only"), question(5))

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.actual_nano, row.error_class) == (10 * 10_000 + 100_000 * 40_000, "BilledBeyondReservation")
    assert gateway.budget("team:wide")["spent_nano"] == before + row.actual_nano
    assert "billed beyond reservation" in gateway.log
    assert "thriftgate_billed_beyond_reservation_total 1.0" in gateway.request("GET", "/metrics").text


def test_a_pictures_tokens_are_reserved(gateway: RunningGateway, provider: Provider) -> None:
    # OpenAI: a 2048 x 2048 picture at high detail is 765 tokens for gpt-4o and up to 1536 x 1.62 for later models.
    provider.script("large-2025", json_reply(chat_body("A cat.", prompt_tokens=2488, completion_tokens=3)))
    parts = [
        {"type": "text", "text": "What is in the picture?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg", "detail": "high"}},
    ]
    body = json.dumps(
        {"model": "large", "messages": [{"role": "user", "content": parts}], "max_completion_tokens": 10}
    ).encode()

    answer = post(gateway, gateway.key(team="wide", route="only"), body)

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert row.actual_nano is not None
    assert row.actual_nano <= row.reserved_nano


# --- cheaper and shorter instead of refused --------------------------------------------------------------------


@pytest.mark.parametrize(("team", "name", "tier"), [("middle", "medium", "mid"), ("cheap", "small", "economy")])
def test_what_does_not_fit_is_served_by_the_best_model_that_does(
    gateway: RunningGateway, provider: Provider, team: str, name: str, tier: str
) -> None:
    answer = post(gateway, gateway.key(team=team, route="cheaper"), PLAIN)

    assert answer.status_code == 200, answer.text
    assert answer.headers["x-thriftgate-rationed"] == "true"
    assert (answer.headers["x-thriftgate-model"], answer.headers["x-thriftgate-tier"]) == (name, tier)
    assert [call.received.model for call in provider.calls] == [f"{name}-2025"]
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.rationed, row.requested_model, row.served_model) == (True, "large", name)
    assert row.avoided_rationing_nano > 0
    assert row.avoided_downgrade_nano == 0


def test_the_route_reason_says_that_the_cap_chose_another_model(gateway: RunningGateway, provider: Provider) -> None:
    answer = post(gateway, gateway.key(team="frugal", route="cheaper"), PLAIN)

    assert (answer.status_code, answer.headers["x-thriftgate-model"]) == (200, "small")
    assert answer.headers["x-thriftgate-route-reason"] != "as requested"


def test_the_ladder_moves_to_cheaper_tiers_before_the_cap(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body("Large.", prompt_tokens=100, completion_tokens=100)))
    key = gateway.key(team="ladder", route="cheaper")

    answers = [post(gateway, key, question(number)) for number in range(2)]
    first, second = answers
    assert (first.headers["x-thriftgate-model"], first.headers["x-thriftgate-route-reason"]) == (
        "large",
        "as requested",
    )
    assert "x-thriftgate-rationed" not in first.headers
    assert (second.headers["x-thriftgate-model"], second.headers["x-thriftgate-rationed"]) == ("medium", "true")
    assert second.headers["x-thriftgate-route-reason"] == "rationed: budget allows up to mid, large wanted"

    for number in range(2, 4):  # each costs half a per cent of the budget
        provider.script("medium-2025", json_reply(chat_body("M.", prompt_tokens=100, completion_tokens=600)))
        post(gateway, key, question(number, max_completion_tokens=700))
    last = post(gateway, key, question(4))
    assert (last.headers["x-thriftgate-model"], last.headers["x-thriftgate-rationed"]) == ("small", "true")
    assert "economy" in last.headers["x-thriftgate-route-reason"]
    named = post(gateway, key, question(5, model="small"))
    assert "x-thriftgate-rationed" not in named.headers  # it asked for the small one


def test_what_was_rationed_is_not_served_to_who_is_not(gateway: RunningGateway, provider: Provider) -> None:
    rationed = gateway.key(team="mixed", app="rationed", route="cheaper")
    free = gateway.key(team="mixed", app="free", route="cheaper")
    provider.script("large-2025", json_reply(chat_body("Large.", prompt_tokens=100, completion_tokens=100)))
    post(gateway, rationed, question(1))

    seen = [post(gateway, key, question(2)).headers for key in (rationed, rationed, free, free)]

    assert [(found["x-thriftgate-cache"], found["x-thriftgate-model"]) for found in seen] == [
        ("miss", "medium"),
        ("exact", "medium"),
        ("miss", "large"),
        ("exact", "large"),
    ]
    assert [found.get("x-thriftgate-rationed") for found in seen] == ["true", "true", None, None]


def test_what_is_rationed_because_of_the_cap_is_not_joined_by_who_is_not(
    gateway: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("small-2025", [gate, *json_reply(chat_body("Small."))])
    poor, free = (gateway.key(team="split", app=app, route="cheaper") for app in ("poor", "free"))

    with ThreadPoolExecutor() as pool:
        first = pool.submit(post, gateway, poor, PLAIN)
        eventually(lambda: gate.arrived)
        second = pool.submit(post, gateway, free, PLAIN)
        for _ in range(5):
            gateway.status()
        gate.open()
        seen = [future.result().headers for future in (first, second)]

    assert [found["x-thriftgate-model"] for found in seen] == ["small", "large"]
    assert [found.get("x-thriftgate-rationed") for found in seen] == ["true", None]


def test_an_answer_without_a_limit_is_given_one_when_the_budget_is_short(
    gateway: RunningGateway, provider: Provider
) -> None:
    answer = post(gateway, gateway.key(team="tight", route="shorter"), OPEN_ENDED)

    assert answer.status_code == 200
    limit = int(answer.headers["x-thriftgate-output-limit"])
    assert 395 <= limit <= 400
    assert provider.calls[0].received.json["max_completion_tokens"] == limit
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert row.reserved_nano <= worst_nano(OPEN_ENDED, 400)


def test_an_answer_is_not_made_shorter_than_is_of_use(gateway: RunningGateway, provider: Provider) -> None:
    openai_error(post(gateway, gateway.key(team="tighter", route="shorter"), OPEN_ENDED), 429, "budget_exceeded")
    assert provider.calls == []


def test_a_limit_that_the_client_set_is_never_changed(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(team="tighter", route="shorter")

    openai_error(post(gateway, key, question(1, max_completion_tokens=900)), 429, "budget_exceeded")
    answer = post(gateway, key, question(1, max_completion_tokens=100))

    assert "x-thriftgate-output-limit" not in answer.headers
    assert provider.calls[0].received.json["max_completion_tokens"] == 100


# --- whose budgets ---------------------------------------------------------------------------------------------


def test_an_app_has_a_budget_of_its_own_and_its_refusal_takes_nothing_from_its_team(
    gateway: RunningGateway, provider: Provider
) -> None:
    error = openai_error(
        post(gateway, gateway.key(team="wide", app="narrow", route="only"), question(6)), 429, "budget_exceeded"
    )

    assert "team:wide/app:narrow" in error["message"]
    assert gateway.budget("team:wide")["reserved_nano"] == 0
    assert post(gateway, gateway.key(team="wide", app="other", route="only"), question(6)).status_code == 200


def test_a_team_without_a_budget_is_not_limited(gateway: RunningGateway, provider: Provider) -> None:
    assert post(gateway, gateway.key(team="unlimited", route="only"), question(7)).status_code == 200


def test_the_organisation_stands_over_all_teams_and_everything_comes_back_after_a_restart(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    configuration = (
        scripted(provider)
        + route("only", "large", allow_downgrade=False, clamp_output=False)
        + budget("organisation", 2 * WORST, **NEVER_RATIONED)
        + budget("teams.sales", WORST, **NEVER_RATIONED)
        + budget("teams.sales.apps.bot", WORST, **NEVER_RATIONED)
        + budget("teams.legal", 10**12)
    )
    gateway = start_gateway(configuration, **ENVIRONMENT)
    sales, legal = gateway.key(team="sales", app="bot"), gateway.key(team="legal")
    gate = provider.gate()
    provider.script("large-2025", lambda received: [gate, *costs_the_worst(received)])

    def counters() -> dict[str, tuple[int, int]]:
        return {found["name"]: (found["spent_nano"], found["reserved_nano"]) for found in gateway.status()["budgets"]}

    with gateway.begin(sales, "", **json.loads(question(1))) as connection:
        eventually(lambda: gate.arrived)
        assert counters() == {
            "organisation": (0, WORST),
            "team:sales": (0, WORST),
            "team:sales/app:bot": (0, WORST),
            "team:legal": (0, 0),
        }
        gate.open()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert post(gateway, legal, question(2)).status_code == 200
    assert "organisation" in openai_error(post(gateway, legal, question(3)), 429, "budget_exceeded")["message"]
    assert counters()["team:legal"][1] == 0
    before = counters()
    assert before["organisation"][0] == sum(row.actual_nano or 0 for row in gateway.rows()) > WORST

    gateway.restart()

    assert counters() == before
    assert "organisation" in openai_error(post(gateway, legal, question(3)), 429, "budget_exceeded")["message"]
    gateway.stop()
    listed = json.loads(gateway.command("budgets", "--json").stdout)
    assert {found["name"]: (found["spent_nano"], found["reserved_nano"]) for found in listed} == before


# --- without a price -------------------------------------------------------------------------------------------


def test_a_model_without_a_price_cannot_be_held_by_a_budget_and_is_never_free(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    unpriced = model("novel", "novel-1").replace("list_price = { input = 1, output = 4 }\n", "")
    gateway = start_gateway(
        f'[providers.scripted]\nbase_url = "{provider.base_url}"\n'
        + unpriced
        + route("default", "novel")
        + budget("teams.capped", 10**9)
    )

    error = openai_error(post(gateway, gateway.key(team="capped"), question(1, model="novel")), 400)
    assert "price" in error["message"]
    answer = post(gateway, gateway.key(team="free"), question(1, model="novel"))

    assert answer.status_code == 200
    assert "x-thriftgate-cost-usd" not in answer.headers
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.pricing, row.actual_nano, row.list_nano) == ("unpriced", None, None)
    assert gateway.verification().problems == []


def test_a_stream_is_refused_with_the_same_status_and_body(gateway: RunningGateway) -> None:
    answer = post(gateway, gateway.key(team="none", route="only"), question(1, stream=True))
    openai_error(answer, 429, "budget_exceeded")
