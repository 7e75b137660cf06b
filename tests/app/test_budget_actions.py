"""What happens at a cap and before it: every setting of a budget does what it says."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import Provider, Received, Reply, chat_body, json_reply
from tests.app.test_budgets_endtoend import (
    AROUND_MESSAGES_TOKENS,
    NEVER_RATIONED,
    PLAIN,
    WORST,
    costs_the_worst,
    post,
    question,
    worst_nano,
)
from tests.running import RunningGateway, eventually, running_gateway

SMALL = worst_nano(PLAIN, 100, "small")
FREE = model("free", "free-2025").replace("{ input = 1, output = 4 }", "{ input = 0, output = 0 }")
AWAY = {**NEVER_RATIONED, "soft_from": 4.0}
ZONE = "Asia/Kathmandu"
"""15 minutes off every full hour: no other zone has its midnight."""

CONFIGURATION = (
    FREE
    + route("only", "large", allow_downgrade=False, clamp_output=False)
    + route("cheaper", "large", "medium", "small", clamp_output=False, strategy="pinned")
    + budget("teams.blocked", WORST, **AWAY, at_cap="block")
    + budget("teams.stored", WORST, **AWAY)
    + budget("teams.indebted", 2 * WORST, **AWAY, at_cap="economy", overdraft_share=0.1)
    + budget("teams.falling", WORST, **AWAY, at_cap="fallback", fallback_model="free")
    + budget("teams.steady", 10 * WORST, **AWAY, at_cap="fallback", fallback_model="free")
    + budget("teams.experiments", 10 * WORST, **AWAY, dev_share=0.1)
    + budget("teams.alert", 10 * WORST, mid_from=2.0, economy_from=3.0, soft_from=0.01)
    + budget("teams.zoned", 10**9, time_zone=ZONE, period="day")
)


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    text = scripted(upstream) + CONFIGURATION
    with running_gateway(tmp_path_factory.mktemp("actions"), text, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def dear_answers(provider: Provider) -> None:
    for name in ("large", "medium", "small"):
        provider.script(f"{name}-2025", costs_the_worst)


# --- at the cap ----------------------------------------------------------------------------------------------------


def test_a_budget_that_blocks_serves_nothing_any_more_and_says_until_when(gateway: RunningGateway) -> None:
    key = gateway.key(team="blocked", route="only")
    assert post(gateway, key, question(1)).status_code == 200
    assert post(gateway, key, question(1)).headers["x-thriftgate-cache"] == "exact"
    openai_error(post(gateway, key, question(2)), 429, "budget_exceeded")

    refused = post(gateway, key, question(1))  # stored, but the budget is spent

    assert "resets at" in openai_error(refused, 429, "budget_exceeded")["message"]
    assert int(refused.headers["retry-after"]) > 0
    assert gateway.row(request_id=refused.headers["x-request-id"]).status == "refused"


def test_by_default_stored_answers_serve_on_when_the_budget_is_spent(gateway: RunningGateway) -> None:
    key = gateway.key(team="stored", route="only")
    assert post(gateway, key, question(1)).status_code == 200
    openai_error(post(gateway, key, question(2)), 429, "budget_exceeded")

    assert post(gateway, key, question(1)).headers["x-thriftgate-cache"] == "exact"


def test_economy_models_serve_from_the_overdraft_and_not_beyond_it(gateway: RunningGateway) -> None:
    key = gateway.key(team="indebted", route="cheaper")
    limit = int(2 * WORST * 1.1)
    answers = [post(gateway, key, question(number)) for number in range(10, 40)]
    served = [answer for answer in answers if answer.status_code == 200]

    spent = gateway.budget("team:indebted")["spent_nano"]
    assert 2 * WORST < spent <= limit
    assert limit - spent < SMALL  # not one more would have fitted
    assert served[0].headers["x-thriftgate-model"] == "large"
    assert served[-1].headers["x-thriftgate-model"] == "small"
    assert served[-1].headers["x-thriftgate-rationed"] == "true"
    row = gateway.row(request_id=served[-1].headers["x-request-id"])
    assert row.rationed
    assert row.avoided_downgrade_nano == 0
    assert row.avoided_rationing_nano > 0
    openai_error(answers[-1], 429, "budget_exceeded")


def test_a_fallback_model_serves_when_nothing_else_fits(gateway: RunningGateway, provider: Provider) -> None:
    def nothing(received: Received) -> Reply:
        return json_reply(chat_body("For nothing.", prompt_tokens=len(PLAIN) + AROUND_MESSAGES_TOKENS))

    provider.script("free-2025", nothing)
    key = gateway.key(team="falling", route="only")
    assert post(gateway, key, question(1)).headers["x-thriftgate-model"] == "large"

    answer = post(gateway, key, question(2))

    assert answer.status_code == 200
    assert answer.headers["x-thriftgate-model"] == "free"
    assert answer.headers["x-thriftgate-rationed"] == "true"
    assert "budget cannot hold" in answer.headers["x-thriftgate-route-reason"]
    assert gateway.row(request_id=answer.headers["x-request-id"]).actual_nano == 0


def test_a_fallback_model_is_for_what_the_budget_cannot_hold_and_not_for_failures(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("large-2025", lambda _: json_reply(chat_body("No."), 400))
    key = gateway.key(team="steady", route="only")

    assert post(gateway, key, question(1)).status_code == 400
    assert not provider.calls_to("free-2025")


# --- development first ---------------------------------------------------------------------------------------------


def test_development_keys_end_at_their_share_and_production_goes_on(gateway: RunningGateway) -> None:
    dev = gateway.key(team="experiments", env="dev", route="only")
    prod = gateway.key(team="experiments", route="only")
    assert post(gateway, dev, question(1)).status_code == 200

    error = openai_error(post(gateway, dev, question(2)), 429, "budget_exceeded")

    assert "team:experiments/dev" in error["message"]
    assert post(gateway, prod, question(3)).status_code == 200
    assert gateway.command("budgets", "reconcile").returncode == 0  # the share has a counter of its own


def test_from_the_soft_limit_on_development_is_on_economy_models_and_production_is_not(
    gateway: RunningGateway,
) -> None:
    prod = gateway.key(team="alert", route="cheaper")
    dev = gateway.key(team="alert", env="dev", route="cheaper")
    assert post(gateway, prod, question(1)).status_code == 200  # a tenth of the budget

    assert post(gateway, prod, question(2)).headers["x-thriftgate-model"] == "large"
    answer = post(gateway, dev, question(3))
    assert answer.headers["x-thriftgate-model"] == "small"
    assert answer.headers["x-thriftgate-rationed"] == "true"


def test_a_soft_limit_warns_once_in_the_log_and_in_the_metrics(gateway: RunningGateway) -> None:
    key = gateway.key(team="alert", route="only")
    for number in (11, 12):
        post(gateway, key, question(number))

    metrics = gateway.request("GET", "/metrics").text
    assert 'thriftgate_budget_soft_limits_total{budget="team:alert"} 1.0' in metrics
    warned = eventually(lambda: [line for line in gateway.log.splitlines() if "soft limit" in line])
    assert sum("team:alert" in line for line in warned) == 1


# --- time zone and keys --------------------------------------------------------------------------------------------


def test_a_budget_resets_at_midnight_of_its_time_zone(gateway: RunningGateway) -> None:
    resets_at = datetime.fromisoformat(gateway.budget("team:zoned")["resets_at"])

    assert (resets_at.astimezone(UTC).hour, resets_at.minute) == (18, 15)
    assert gateway.budget("team:zoned")["time_zone"] == ZONE


def test_a_key_may_have_a_budget_of_its_own(gateway: RunningGateway, provider: Provider) -> None:
    """Last of all, because the gateway starts anew with the key's id in its configuration."""
    keys = {key["id"] for key in gateway.admin("GET", "/admin/keys")}
    narrow, wide = gateway.key(team="wide", route="only"), gateway.key(team="wide", route="only")
    narrow_id = next(key["id"] for key in gateway.admin("GET", "/admin/keys") if key["id"] not in keys)
    with gateway.configuration.open("a", encoding="utf-8") as file:
        file.write(budget(f"keys.{narrow_id}", WORST - 1))
    gateway.restart()
    provider.script("large-2025", costs_the_worst)

    error = openai_error(post(gateway, narrow, question(1)), 429, "budget_exceeded")

    assert f"key:{narrow_id}" in error["message"]
    dev = gateway.key(team="experiments", env="dev", route="only")
    openai_error(post(gateway, dev, question(50)), 429, "budget_exceeded")  # what the share had spent is known again
    assert post(gateway, wide, question(1)).status_code == 200
