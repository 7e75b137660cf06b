"""Every control of routing, budgets and learning that the configuration, a header or a document promises, and that no
other file of this folder shows: through the running server, each by what would differ if it had no effect."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from router.ledger.row import LedgerRow
from router.prices import catalogue_prices
from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import (
    CUT,
    DONE,
    Provider,
    Received,
    Reply,
    chat_body,
    chat_events,
    error_reply,
    json_reply,
    stream_reply,
    unfinished,
    usage_chunk,
)
from tests.running import RunningGateway, eventually, running_gateway

CAP = 10**9
"""One request of `large` with `DEAR` tokens is about a twenty-fifth of it."""
DEAR = 1000
ZONE = "Asia/Kathmandu"
"""15 minutes off every full hour: no other zone has its midnight."""
OPEN: dict[str, Any] = {"soft_from": 4.0, "mid_from": 5.0, "economy_from": 6.0}
CHAT = "What is the delivery time?"
REASONING = "Prove step by step that the sum of two even numbers is even, and derive the general rule."
numbers = count()


def unpaced(owner: str, nano: int, **settings: Any) -> str:
    """A budget without pacing."""
    return budget(owner, nano, pacing="false", **settings).replace("'false'", "false")


def late_zone() -> str:
    """A time zone in which it is about nine in the evening, so that most of the day is over."""
    ahead = (21 - datetime.now(UTC).hour) % 24
    return f"Etc/GMT{(24 if ahead > 14 else 0) - ahead:+d}"


def off(name: str, *models: str, **settings: Any) -> str:
    return route(name, *models, cache='mode = "off"', **settings)


def deployments(name: str, *given: str, tier: str = "economy", **fields: Any) -> str:
    """[models.NAME] with deployments as inline TOML, all at the same price."""
    price = ", list_price = { input = 1, output = 4 }"
    listed = ", ".join(f"{{ {each}{'' if 'price' in each else price} }}" for each in given)
    lines = [f'tier = "{tier}"', *(f"{key} = {value}" for key, value in fields.items()), f"deployments = [{listed}]"]
    return f"[models.{name}]\n" + "\n".join(lines) + "\n"


def at(provider: str, upstream: str, more: str = "") -> str:
    return f'provider = "{provider}", model = "{upstream}"{more}'


SCORED = ("balanced", "cost-first")
GRADED = (
    ("fine", "premium", "10, output = 40"),
    ("fair", "mid", "2, output = 8"),
    ("plain", "economy", "1, output = 4"),
)
GRADES = "".join(model(name, f"{name}-a", tier=tier).replace("1, output = 4", price) for name, tier, price in GRADED)
MODELS = (
    deployments("listed", at("scripted", "listed-a"), at("other", "listed-b"))
    + deployments("ranked", at("scripted", "ranked-a", ", priority = 2"), at("scripted", "ranked-b", ", priority = 1"))
    + deployments(
        "shared",
        at("scripted", "shared-a", ", priority = 0, weight = 1"),
        at("scripted", "shared-b", ", priority = 0, weight = 0"),
    )
    + deployments(
        "even", at("scripted", "even-a", ", priority = 0"), at("scripted", "even-b", ", priority = 0, weight = 0.9")
    )
    + deployments("placed", at("scripted", "placed-us", ', region = "us"'), at("other", "placed-eu"))
    + deployments("twin", at("scripted", "twin-a"), at("other", "twin-b"))
    + deployments("pair", at("scripted", "pair-a"), at("other", "pair-b"))
    + deployments("hurried", at("scripted", "hurried-a", ", max_concurrency = 1, queue = 5, queue_s = 0"))
    + deployments("patient", at("scripted", "patient-a", ", max_concurrency = 1, queue = 5, queue_s = 20"))
    + deployments(
        "haggled",
        at("scripted", "haggled-a", ", list_price = { input = 10, output = 40 }, ")
        + "negotiated_price = { input = 5, output = 20 }",
    )
    + deployments("catalogued", at("other", "our-own-name", ', priced_as = "gpt-5-mini"'))
    + deployments("older", at("other", "older-a"), tier="premium", max_output_tokens=1000)
    + deployments("short", at("scripted", "short-a"), context_tokens=20)
    + deployments("deaf", at("scripted", "deaf-a"), tools="false", accepts="[]")
    + GRADES
    + model("swift", "swift-a", tier="premium")
    + model("slow", "slow-a", tier="economy")
    + model("slower", "slower-a", tier="mid")
)
ROUTES = (
    off("balanced")
    + off("frugal", strategy="cost-first")
    + off("best", strategy="pinned")
    + off("fastest", "slow", "slower", "swift", strategy="performance-first")
    + off("floored", floor="mid")
    + off("measured", "large", "small", strategy="cost-first", baseline="medium")
    + off("deployments", "listed", "ranked", "placed", "twin", "pair", "hurried", "patient", "haggled", "catalogued")
    + off("eu", "placed", region="eu")
    + off("split", "shared", "even", balance="weighted")
    + off("spread", "shared", "even", balance="least-busy")
    + off("unclamped", "older", allow_downgrade=False, clamp_output=False)
    + off("clamped", "older", allow_downgrade=False)
    + off("abilities", "deaf", "short", "medium", strategy="cost-first")
    + off("unjudged", judge_share=1.0)
    + off("shareless", judge="medium", judge_share=0.0)
    + off("judged", judge="medium", judge_share=1.0, baseline="large")
    + "".join(off(f"graded-{strategy}", "fine", "fair", "plain", strategy=strategy) for strategy in SCORED)
)
BROKEN_FROM = 'error_rate = 0.1\naction = "other-provider"\n'
OWNERS = (
    unpaced("teams.soft", CAP, **(OPEN | {"soft_from": 0.01}))
    + unpaced("teams.usual", 50_000_000)
    + budget("teams.steady", 50_000_000, period="day", time_zone=late_zone())
    + "".join(unpaced(f"teams.{unit}ly", 1, **OPEN, period=unit, time_zone=ZONE) for unit in ("day", "week", "month"))
    + "".join(unpaced(f"teams.talking-{form}", CAP, **(OPEN | {"mid_from": 0.01})) for form in ("json", "stream"))
    + "".join(unpaced(f"teams.capped-{form}", 60_000_000, **OPEN) for form in ("json", "stream"))
    + "".join(unpaced(f"teams.broke-{form}", 1, **OPEN) for form in ("json", "stream"))
    + "".join(unpaced(f"teams.brief-{name}", 2_500_000, **OPEN) for name in ("clamped", "unclamped"))
    + '[teams.proud]\nbaseline = "large"\n'
    + "".join(f"[teams.loyal-{form}.service_level]\n{BROKEN_FROM}" for form in ("json", "stream"))
)
ENOUGH = 22


def configuration(provider: Provider) -> str:
    second = f'[providers.other]\nbase_url = "{provider.base_url}"\nretries = 0\nregion = "eu"\n'
    second += 'priced_as = "openai"\nlimit_field = "max_tokens"\n'
    return scripted(provider) + second + MODELS + ROUTES + OWNERS


@pytest.fixture(scope="module")
def gateway(upstream: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("controls"), configuration(upstream), ENVIRONMENT) as gateway:
        yield gateway


def dear(received: Received) -> Reply:
    """As many tokens as the request allows, in the form that it asks for."""
    tokens = received.json.get("max_completion_tokens") or 7
    if received.streams:
        return stream_reply([*chat_events(["Dear."]), usage_chunk(12, tokens), DONE])
    return json_reply(chat_body("Dear.", completion_tokens=tokens))


@pytest.fixture(autouse=True)
def dear_answers(provider: Provider) -> None:
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", dear)


def ask(gateway: RunningGateway, key: str, text: str = CHAT, **fields: Any) -> httpx.Response:
    """In a conversation of its own, unless one is named."""
    named = {"x-thriftgate-conversation": fields.pop("conversation", f"c{next(numbers)}")}
    answer = gateway.chat(key, text, headers=named | fields.pop("headers", {}), **({"model": "auto"} | fields))
    assert answer.status_code == 200, answer.text
    return answer


def served(answer: httpx.Response) -> str:
    return answer.headers["x-thriftgate-model"]


def row_of(gateway: RunningGateway, answer: httpx.Response) -> LedgerRow:
    return gateway.row(request_id=answer.headers["x-request-id"], kind="request")


def lambda_of(row: LedgerRow) -> float:
    """What quality had to buy, over the cost of the dearest candidate."""
    routing = json.loads(row.routing or "")
    return float(routing["price"] * max(cost for _, _, cost in routing["candidates"]))


def _in(form: str) -> dict[str, Any]:
    return {"stream": form == "stream"}


FORMS = pytest.mark.parametrize("form", ["json", "stream"])


# --- strategies ------------------------------------------------------------------------------------------------------


def test_cost_counts_more_under_cost_first_and_nothing_under_pinned(
    gateway: RunningGateway, provider: Provider
) -> None:
    found = {name: served(ask(gateway, gateway.key(route=name), REASONING)) for name in ("frugal", "balanced", "best")}

    assert found == {"frugal": "small", "balanced": "medium", "best": "large"}


def test_performance_first_takes_who_has_been_fastest_whatever_the_tier(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(route="fastest")
    gates = {name: provider.gate() for name in ("slow", "slower")}
    for name, gate in gates.items():
        provider.script(f"{name}-a", [gate, *json_reply(chat_body(name))])
    with ThreadPoolExecutor() as pool:  # each waits for as long as the faster ones take altogether, and longer
        waiting = []
        for name, gate in gates.items():
            waiting.append(pool.submit(ask, gateway, key, model=name))
            eventually(lambda gate=gate: gate.arrived)  # type: ignore[misc]
        assert served(ask(gateway, key, model="swift")) == "swift"
        for name in ("slower", "slow"):
            gates[name].open()
            waiting.pop().result()

    answer = ask(gateway, key)

    assert served(answer) == "swift"
    assert "performance-first" in answer.headers["x-thriftgate-route-reason"]


def test_auto_never_goes_below_the_routes_floor(gateway: RunningGateway, provider: Provider) -> None:
    assert served(ask(gateway, gateway.key(route="frugal"))) == "small"
    assert served(ask(gateway, gateway.key(route="floored"))) == "medium"
    assert served(ask(gateway, gateway.key(route="floored"), model="small")) == "small"  # it was asked for


# --- what a model can do ---------------------------------------------------------------------------------------------


def test_auto_passes_over_models_that_cannot_serve_the_request(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(route="abilities")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    picture = [{"type": "image_url", "image_url": {"url": "https://example.org/cat.jpg"}}]
    long = "word " * 100

    assert served(ask(gateway, key, "Hi")) in ("deaf", "short")
    assert served(ask(gateway, key, long)) == "deaf"
    assert served(ask(gateway, key, long, tools=[tool])) == "medium"
    assert served(ask(gateway, key, messages=[{"role": "user", "content": picture}], user=long)) == "medium"


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("short", {"user": "long " * 100}, "context of 20 tokens"),
        ("deaf", {"tools": [{"type": "function", "function": {"name": "look"}}]}, "takes no tools"),
    ],
)
def test_a_named_model_that_cannot_serve_the_request_is_refused_with_the_reason(
    gateway: RunningGateway, provider: Provider, name: str, fields: dict[str, Any], said: str
) -> None:
    answer = gateway.chat(gateway.key(route="abilities"), "Hi", model=name, **fields)

    assert said in openai_error(answer, 400)["message"]
    assert provider.calls == []


# --- deployments -----------------------------------------------------------------------------------------------------


def called(gateway: RunningGateway, provider: Provider, key: str, name: str, times: int = 6) -> set[str]:
    """The deployments that so many requests for this model went to."""
    before = len(provider.calls)
    for _ in range(times):
        ask(gateway, key, model=name)
    return {call.received.model for call in provider.calls[before:]}


def test_deployments_are_tried_in_their_order_or_by_their_priority(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(route="deployments")

    assert called(gateway, provider, key, "listed") == {"listed-a"}
    assert called(gateway, provider, key, "ranked") == {"ranked-b"}


def test_a_region_goes_before_the_order_and_may_be_the_providers(gateway: RunningGateway, provider: Provider) -> None:
    assert called(gateway, provider, gateway.key(route="deployments"), "placed") == {"placed-us"}
    assert called(gateway, provider, gateway.key(route="eu"), "placed") == {"placed-eu"}


@pytest.mark.parametrize("name", ["split", "spread"])
def test_a_deployment_without_weight_serves_only_when_the_others_are_out(
    gateway: RunningGateway, provider: Provider, name: str
) -> None:
    key = gateway.key(route=name)
    assert called(gateway, provider, key, "shared", times=12) == {"shared-a"}

    provider.script("shared-a", error_reply(503))
    assert called(gateway, provider, key, "shared", times=1) == {"shared-a", "shared-b"}
    gateway.reset_deployments()


def test_least_busy_gives_the_next_request_to_who_has_nothing_to_do(
    gateway: RunningGateway, provider: Provider
) -> None:
    gate = provider.gate()
    for name in ("even-a", "even-b"):
        provider.script(name, [gate, *json_reply(chat_body("At last."))])
    key = gateway.key(route="spread")
    with ThreadPoolExecutor(12) as pool:
        waiting = []
        for at_work in range(1, 13):
            waiting.append(pool.submit(ask, gateway, key, model="even"))
            eventually(lambda so_many=at_work: gate.arrived == so_many)  # type: ignore[misc]
        went_to = [call.received.model for call in provider.calls]
        gate.open()
        for one in waiting:
            one.result()

    assert [set(went_to[at : at + 2]) for at in range(0, 12, 2)] == [{"even-a", "even-b"}] * 6


@pytest.mark.parametrize(("name", "second_gets"), [("hurried", 503), ("patient", 200)])
def test_nobody_waits_longer_for_a_turn_than_the_queue_allows(
    gateway: RunningGateway, provider: Provider, name: str, second_gets: int
) -> None:
    key, gate = gateway.key(route="deployments"), provider.gate()
    provider.script(f"{name}-a", [gate, *json_reply(chat_body("First."))], json_reply(chat_body("Second.")))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(gateway.chat, key, "First", model=name)
        eventually(lambda: gate.arrived)
        second = pool.submit(gateway.chat, key, "Second", model=name)
        eventually(lambda: second.done() or gateway.deployment(f"scripted/{name}-a")["waiting"])
        gate.open()

        assert (first.result().status_code, second.result().status_code) == (200, second_gets)


# --- prices and baselines --------------------------------------------------------------------------------------------


def test_a_negotiated_price_is_what_is_paid_and_is_booked_as_such(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("haggled-a", json_reply(chat_body("Half.", prompt_tokens=100, completion_tokens=10)))

    answer = ask(gateway, gateway.key(route="deployments"), model="haggled")

    row = row_of(gateway, answer)
    assert (row.list_nano, row.actual_nano, row.avoided_negotiated_rate_nano) == (1_400_000, 700_000, 700_000)
    assert answer.headers["x-thriftgate-cost-usd"] == "0.000700000"
    assert answer.headers["x-thriftgate-saved-usd"] == "0.000700000"


def test_what_a_deployment_is_priced_as_is_looked_up_in_the_catalogue(
    gateway: RunningGateway, provider: Provider
) -> None:
    row = row_of(gateway, ask(gateway, gateway.key(route="deployments"), model="catalogued"))

    listed = catalogue_prices("openai", "gpt-5-mini", datetime.now(UTC), 1)
    assert listed is not None
    assert (row.paid_input_price, row.paid_output_price) == (listed.input, listed.output)
    assert [call.received.model for call in provider.calls] == ["our-own-name"]


def test_auto_is_compared_with_the_routes_baseline_or_with_the_teams(
    gateway: RunningGateway, provider: Provider
) -> None:
    found = {}
    for team in ("modest", "proud"):
        answer = ask(gateway, gateway.key(team=team, route="measured"))
        row = row_of(gateway, answer)
        assert served(answer) == "small"
        saved = (row.baseline_nano or 0) - (row.actual_nano or 0)
        assert answer.headers["x-thriftgate-saved-usd"] == f"0.{saved:09d}"
        assert (row.avoided_downgrade_nano, row.avoided_rationing_nano) == (saved, 0)  # nobody was forced to
        found[team] = (row.baseline_model, row.baseline_nano)

    assert found == {
        "modest": ("medium", 12 * 2_000 + 7 * 8_000),
        "proud": ("large", 12 * 10_000 + 7 * 40_000),
    }


def test_an_output_limit_is_set_where_the_route_allows_it_in_the_field_that_the_provider_knows(
    gateway: RunningGateway, provider: Provider
) -> None:
    answer = ask(gateway, gateway.key(team="brief-clamped", route="clamped"), model="older")
    limit = int(answer.headers["x-thriftgate-output-limit"])

    assert 256 <= limit < 1000
    (call,) = provider.calls
    assert (call.received.json["max_tokens"], call.received.json.get("max_completion_tokens")) == (limit, None)
    refused = gateway.chat(gateway.key(team="brief-unclamped", route="unclamped"), CHAT, model="older")
    openai_error(refused, 429, "budget_exceeded")


# --- before the cap --------------------------------------------------------------------------------------------------


def test_from_the_soft_limit_on_lambda_has_a_floor_and_auto_is_cheaper(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("fair-a", json_reply(chat_body("Of the usual length.", completion_tokens=250)))
    key = gateway.key(team="soft", route="graded-balanced")
    before = ask(gateway, key)
    ask(gateway, gateway.key(team="soft", route="best"), model="large", max_completion_tokens=DEAR)
    assert gateway.budget("team:soft")["spent_nano"] > 0.01 * CAP

    after = ask(gateway, key)

    assert lambda_of(row_of(gateway, before)) == pytest.approx(0.5)
    assert lambda_of(row_of(gateway, after)) == pytest.approx(1.0)
    assert (served(before), served(after)) == ("fair", "plain")
    assert "x-thriftgate-rationed" not in after.headers  # chosen, not forced


def test_by_default_an_unpaced_budget_rations_from_80_and_from_95_per_cent(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(team="usual", route="best")

    def used() -> float:
        counters = gateway.budget("team:usual")
        return float(counters["spent_nano"] / counters["cap_nano"])

    seen = [served(ask(gateway, key, max_completion_tokens=tokens)) for tokens in (930, 75)]
    assert 0.80 <= used() < 0.85
    seen += [served(ask(gateway, key, max_completion_tokens=tokens)) for tokens in (20, 900)]
    assert 0.95 <= used() < 1
    last = ask(gateway, key, max_completion_tokens=50)

    assert [*seen, served(last)] == ["large", "large", "medium", "medium", "small"]
    assert last.headers["x-thriftgate-rationed"] == "true"


def test_a_paced_budget_that_is_on_its_pace_warns_and_does_not_ration(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(team="steady", route="best")
    for _ in range(16):  # enough for the pacer to know how much of the day's requests should have come
        ask(gateway, key, model="small", max_completion_tokens=7)
    for tokens in (930, 60):
        ask(gateway, key, model="large", max_completion_tokens=tokens)
    counters = gateway.budget("team:steady")
    assert 0.80 <= counters["spent_nano"] / counters["cap_nano"] < 0.85 < counters["arrivals_over"]

    answer = ask(gateway, key, max_completion_tokens=20)

    assert served(answer) == "large"
    metrics = gateway.request("GET", "/metrics").text
    assert 'thriftgate_budget_soft_limits_total{budget="team:steady"} 1.0' in metrics


@pytest.mark.parametrize("unit", ["day", "week", "month"])
def test_a_refusal_says_when_the_period_ends_in_the_budgets_time_zone(
    gateway: RunningGateway, provider: Provider, unit: str
) -> None:
    refused = gateway.chat(gateway.key(team=f"{unit}ly", route="best"), CHAT, model="large")

    message = openai_error(refused, 429, "budget_exceeded")["message"]
    said = re.search(r"resets at (\S+)\.$", message)
    assert said is not None, message
    resets_at = datetime.fromisoformat(said[1])
    local = resets_at.astimezone(ZoneInfo(ZONE))
    assert (local.hour, local.minute, local.second) == (0, 0, 0)
    assert unit != "week" or local.weekday() == 0
    assert unit != "month" or local.day == 1
    left_s = (resets_at - datetime.now(UTC)).total_seconds()
    assert left_s - 5 <= int(refused.headers["retry-after"]) <= left_s + 60
    assert left_s <= {"day": 1, "week": 7, "month": 31}[unit] * 86_400


# --- conversations under pressure, in both forms ---------------------------------------------------------------------


@FORMS
def test_a_conversation_keeps_its_model_under_the_ladder_and_new_ones_do_not_get_it(
    gateway: RunningGateway, provider: Provider, form: str
) -> None:
    key, fields = gateway.key(team=f"talking-{form}", route="best"), _in(form)
    first = ask(gateway, key, conversation="long talk", max_completion_tokens=DEAR, **fields)
    again = ask(gateway, key, "And then?", conversation="long talk", **fields)
    other = ask(gateway, key, **fields)

    assert (served(first), served(again), served(other)) == ("large", "large", "medium")
    assert again.headers["x-thriftgate-route-reason"].endswith("kept for the conversation")
    assert "x-thriftgate-rationed" not in again.headers
    assert other.headers["x-thriftgate-rationed"] == "true"
    assert other.headers["x-thriftgate-route-reason"] == "rationed: budget allows up to mid, large wanted"
    row = row_of(gateway, other)
    assert (row.rationed, row.avoided_downgrade_nano) == (True, 0)
    assert row.avoided_rationing_nano == (row.baseline_nano or 0) - (row.actual_nano or 0) > 0
    report = gateway.command("report", "savings", "--team", f"talking-{form}", "--format", "json").stdout
    assert str(row.avoided_rationing_nano) in report


@FORMS
def test_the_hard_cap_ends_a_conversations_claim_to_its_model(
    gateway: RunningGateway, provider: Provider, form: str
) -> None:
    key, fields = gateway.key(team=f"capped-{form}", route="best"), _in(form)
    first = ask(gateway, key, conversation="long talk", max_completion_tokens=DEAR, **fields)
    again = ask(gateway, key, "And then?", conversation="long talk", max_completion_tokens=DEAR, **fields)

    assert (served(first), served(again)) == ("large", "medium")
    assert again.headers["x-thriftgate-rationed"] == "true"
    assert again.headers["x-thriftgate-route-reason"] == "fallback: large budget cannot hold"
    row = row_of(gateway, again)
    assert row.avoided_downgrade_nano == 0 < row.avoided_rationing_nano


@FORMS
def test_what_no_budget_holds_is_refused_before_anything_is_sent(
    gateway: RunningGateway, provider: Provider, form: str
) -> None:
    refused = gateway.chat(gateway.key(team=f"broke-{form}", route="best"), CHAT, stream=form == "stream")

    assert f"team:broke-{form}" in openai_error(refused, 429, "budget_exceeded")["message"]
    assert provider.calls == []


# --- service levels --------------------------------------------------------------------------------------------------


@FORMS
def test_the_provider_whose_answers_fail_or_break_off_is_asked_last(
    gateway: RunningGateway, provider: Provider, form: str
) -> None:
    key, name = gateway.key(team=f"loyal-{form}", route="deployments"), {"json": "twin", "stream": "pair"}[form]
    broken_off = unfinished(stream_reply(chat_events(["Half an ans"])[:2]), CUT)
    provider.script(f"{name}-a", broken_off if form == "stream" else error_reply(400))
    for _ in range(ENOUGH):
        gateway.reset_deployments()
        gateway.chat(key, CHAT, model=name, stream=form == "stream")
    gateway.reset_deployments()
    provider.script(f"{name}-a", json_reply(chat_body("Well again.")))

    def knowing() -> httpx.Response | None:
        answer = ask(gateway, key, model=name)
        return answer if "service level" in answer.headers["x-thriftgate-route-reason"] else None

    answer = eventually(knowing)

    assert answer is not None
    assert row_of(gateway, answer).provider == "other"


# --- learning --------------------------------------------------------------------------------------------------------


def feedback(gateway: RunningGateway, key: str, answer: httpx.Response, **said: Any) -> Any:
    body = {"request_id": answer.headers["x-request-id"], **said}
    found = gateway.request("POST", "/v1/feedback", headers={"authorization": f"Bearer {key}"}, json=body)
    assert found.status_code == 200, found.text
    return found.json()


@pytest.mark.parametrize("name", ["unjudged", "shareless"])
def test_nobody_judges_unless_a_judge_and_a_share_are_named(
    gateway: RunningGateway, provider: Provider, name: str
) -> None:
    key = gateway.key(team="unjudged", route=name)
    for _ in range(10):
        ask(gateway, key)

    assert len(provider.calls) == 10
    assert gateway.rows(kind="judge", team="unjudged") == []


def test_a_streamed_answer_is_judged_like_any_other(gateway: RunningGateway, provider: Provider) -> None:
    answer = ask(gateway, gateway.key(route="judged"), "Hi", stream=True)

    asked = answer.headers["x-request-id"]
    eventually(lambda: len(gateway.rows(kind="judge", refers_to=asked)) == 2)  # whose first word tells nothing
    judged = gateway.rows(kind="judge", refers_to=asked)
    assert sorted(row.served_model or "" for row in judged) == ["large", "medium"]


def test_without_shares_nothing_is_explored_or_held_out(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(team="still", route="frugal")
    for _ in range(40):
        assert ask(gateway, key).headers["x-thriftgate-route-reason"].startswith("auto: cost-first")

    routings = [json.loads(row.routing or "") for row in gateway.rows(team="still", kind="request")]
    assert {(each["propensity"], each["held_out"]) for each in routings} == {(1.0, False)}
    assert gateway.command("report", "holdout", "--team", "still").returncode == 0


def test_an_answer_teaches_once_however_often_it_is_scored(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key(team="angry", route="frugal")
    answer = ask(gateway, key)

    counted = [feedback(gateway, key, answer, thumb="up")["counted"] for _ in range(3)]

    assert counted == [True, False, False]
    rows = gateway.rows(kind="feedback", refers_to=answer.headers["x-request-id"])
    assert [row.score for row in rows] == [1.0, 1.0, 1.0]  # the ledger keeps every word


def test_feedback_after_a_restart_is_in_the_ledger_and_teaches_no_more(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key(team="late", route="frugal")
    answer = ask(gateway, key)
    gateway.restart()

    said = feedback(gateway, key, answer, score=0.25)

    assert said["counted"] is False
    row = gateway.row(kind="feedback", refers_to=answer.headers["x-request-id"])
    assert (row.score, row.served_model, row.actual_nano) == (0.25, served(answer), 0)


def test_feedback_on_a_model_that_a_reload_has_added_counts(gateway: RunningGateway, provider: Provider) -> None:
    with gateway.configuration.open("a", encoding="utf-8") as file:
        file.write(model("novel", "novel-a") + off("novel", "novel"))
    gateway.admin("POST", "/admin/reload")
    key = gateway.key(route="novel")

    answer = ask(gateway, key)

    assert feedback(gateway, key, answer, thumb="down")["counted"]
    assert gateway.row(kind="feedback", refers_to=answer.headers["x-request-id"]).served_model == "novel"


def test_judged_answers_raise_the_floor_for_a_model_that_loses_too_much(
    upstream: Provider, provider: Provider, tmp_path: Path
) -> None:
    """In a gateway of its own: what is learned of a model holds for all routes."""
    text = scripted(upstream) + off("tolerant", max_quality_loss=1.0) + off("strict", max_quality_loss=0.05)
    with running_gateway(tmp_path, text, ENVIRONMENT) as gateway:
        tolerant, strict = gateway.key(route="tolerant"), gateway.key(route="strict")
        for score, name in [(0.0, "small"), (1.0, "medium"), (1.0, "large")] * 40:
            assert feedback(gateway, tolerant, ask(gateway, tolerant, model=name), score=score)["counted"]

        offered = {
            key: [name for name, _, _ in json.loads(row_of(gateway, ask(gateway, key)).routing or "")["candidates"]]
            for key in (tolerant, strict)
        }
        assert sorted(offered[tolerant]) == ["large", "medium", "small"]
        assert "small" not in offered[strict]
        assert served(ask(gateway, strict, model="small")) == "small"  # it was asked for


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "first", "other", "then"),
    [
        ("balanced", "fair", "cost-first", "plain"),
        ("cost-first", "plain", "pinned", "fine"),
        ("cost-first", "plain", "balanced", "fair"),
    ],
)
def test_a_replay_decides_by_the_other_configurations_strategy(
    gateway: RunningGateway,
    provider: Provider,
    upstream: Provider,
    tmp_path: Path,
    recorded: str,
    first: str,
    other: str,
    then: str,
) -> None:
    for name, _, _ in GRADED:
        provider.script(f"{name}-a", json_reply(chat_body("Of the usual length.", completion_tokens=500)))
    name = f"graded-{recorded}"
    answer = ask(gateway, gateway.key(team="replayed", route=name), REASONING)
    assert served(answer) == first, answer.headers["x-thriftgate-route-reason"]
    file = tmp_path / "other.toml"
    anew = off(name, "fine", "fair", "plain", strategy=other)
    file.write_text(scripted(upstream) + GRADES + anew, encoding="utf-8")

    found = gateway.command("replay", "--config", str(file), "--route", name, "--json")

    assert found.returncode == 0, found.stderr
    (compared,) = json.loads(found.stdout)["routing"]
    assert then in compared["replayed"]["served"]


def test_prices_that_disagree_with_a_second_catalogue_are_an_exit_code(gateway: RunningGateway, tmp_path: Path) -> None:
    listed = catalogue_prices("openai", "gpt-5-mini", datetime.now(UTC), 1)
    assert listed is not None
    found = {}
    for factor in (1.0, 1.02):
        stated = {"input_cost_per_token": listed.input / 1e15, "output_cost_per_token": factor * listed.output / 1e15}
        file = tmp_path / f"{factor}.json"
        file.write_text(json.dumps({"gpt-5-mini": {"litellm_provider": "openai", **stated}}), encoding="utf-8")
        found[factor] = gateway.command("prices", "check", "--against", str(file), "--json")

    assert (found[1.0].returncode, found[1.02].returncode) == (0, 1), found
    (difference,) = json.loads(found[1.02].stdout)["differences"]
    assert (difference["model"], difference["bucket"]) == ("gpt-5-mini", "output")
