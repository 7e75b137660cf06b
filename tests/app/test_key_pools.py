"""Several keys for one provider: all carry load, one that is turned down rests, and no client notices."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app.configuration import model, route
from tests.app.provider import Provider, Received, Reply, chat_body, error_reply, json_reply
from tests.running import RunningGateway, eventually, running_gateway

KEYS = {"KEY_A": "sk-pool-aaaa-qjxv", "KEY_B": "sk-pool-bbbb-wzkj", "KEY_C": "sk-pool-cccc-vxqz"}


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    pool = ", ".join(f'"env:{name}"' for name in list(KEYS)[1:])
    text = (
        f'[providers.pooled]\nbase_url = "{upstream.base_url}"\nretries = 0\n'
        f'api_key = "env:KEY_A"\napi_keys = [{pool}]\nbreaker.least_calls = 1\n'
        + model("large", "large-a", provider="pooled")
        + route("default", "large", cache="mode = 'off'")
    )
    with running_gateway(tmp_path_factory.mktemp("pool"), text, KEYS) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def fresh(gateway: RunningGateway) -> None:
    gateway.reset_deployments()


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


def used(provider: Provider) -> list[str]:
    """The key of each call, in order."""
    return [call.received.headers["authorization"].removeprefix("Bearer ") for call in provider.calls]


def turning_down(provider: Provider, status: int, *keys: str, **headers: str) -> None:
    """From now on these keys are answered with this status."""

    def reply(received: Received) -> Reply:
        is_bad = received.headers["authorization"].removeprefix("Bearer ") in keys
        return error_reply(status, **headers) if is_bad else json_reply(chat_body("Fine."))

    provider.script("large-a", reply)


def test_all_keys_of_a_pool_carry_the_load(gateway: RunningGateway, key: str, provider: Provider) -> None:
    for at in range(9):
        assert gateway.chat(key, f"Question {at}?", model="large").status_code == 200

    assert Counter(used(provider)) == dict.fromkeys(KEYS.values(), 3)


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_a_key_that_is_turned_down_is_replaced_at_once_and_rests(
    gateway: RunningGateway, key: str, provider: Provider, status: int
) -> None:
    turning_down(provider, status, KEYS["KEY_B"])

    answers = [gateway.chat(key, f"Question {at}?", model="large") for at in range(9)]

    assert [answer.status_code for answer in answers] == [200] * 9
    assert Counter(used(provider))[KEYS["KEY_B"]] == 1
    assert len(provider.calls) == 10


def test_several_keys_that_were_revoked_in_the_middle_of_it_cost_no_answer(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    assert gateway.chat(key, "Before?", model="large").status_code == 200
    turning_down(provider, 401, KEYS["KEY_A"], KEYS["KEY_C"])

    assert [gateway.chat(key, f"After {at}?", model="large").status_code for at in range(6)] == [200] * 6

    assert used(provider)[-3:] == [KEYS["KEY_B"]] * 3


def test_a_limited_key_comes_back_when_its_provider_said_so(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    turning_down(provider, 429, KEYS["KEY_A"], retry_after="1")
    for at in range(3):
        gateway.chat(key, f"Question {at}?", model="large")
    provider.reset()

    def is_back() -> bool:
        gateway.chat(key, "Is it back?", model="large")
        return KEYS["KEY_A"] in used(provider)

    assert eventually(is_back)


def test_when_every_key_is_turned_down_the_client_hears_so_and_the_next_one_waits_for_none(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    turning_down(provider, 429, *KEYS.values(), retry_after="30")

    first = gateway.chat(key, "Is any key left?", model="large")
    second = gateway.chat(key, "And now?", model="large")

    assert (first.status_code, first.json()["error"]["code"]) == (429, "upstream_rate_limited")
    assert len(provider.calls) == len(KEYS)
    assert (second.status_code, second.json()["error"]["code"]) == (503, "unavailable")
    assert 25 <= int(second.headers["retry-after"]) <= 30


def test_a_dead_key_is_an_alarm_in_the_log_the_metrics_and_the_status_and_none_shows_it(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    turning_down(provider, 401, KEYS["KEY_B"])
    for at in range(3):
        gateway.chat(key, f"Question {at}?", model="large")

    metrics = gateway.request("GET", "/metrics").text
    states = gateway.deployment("pooled/large-a")["keys"]
    shown = gateway.command("status").stdout

    assert [state["is_dead"] for state in states] == [False, True, False]
    assert 'thriftgate_upstream_keys{deployment="pooled/large-a",state="dead"} 1.0' in metrics
    assert "key died" in gateway.log
    assert "dead" in shown
    everything = metrics + str(states) + shown + gateway.log
    assert not any(secret in everything or secret[-4:] in str(states) for secret in KEYS.values())


def test_every_attempt_with_another_key_has_its_row(gateway: RunningGateway, key: str, provider: Provider) -> None:
    turning_down(provider, 401, *list(KEYS.values())[:2])

    answers = [gateway.chat(key, f"Question {at}?", model="large") for at in range(3)]

    rows = [row for answer in answers for row in gateway.rows(request_id=answer.headers["x-request-id"])]
    assert len(rows) == len(provider.calls) == 5
    assert sorted(row.kind for row in rows) == ["attempt", "attempt", "request", "request", "request"]
    assert gateway.verification().problems == []
