"""A second deployment is asked when the first is unusually late; the better one serves, and both are in the books."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from router.ledger.row import LedgerRow
from tests.app.configuration import budget, model, route
from tests.app.provider import HANG, Provider, chat_body, error_reply, json_reply, stream_reply, streamed
from tests.running import RunningGateway, eventually, running_gateway

FIRST, SECOND = json_reply(chat_body("The first one answers.")), json_reply(chat_body("The second one answers."))
WELL_KNOWN = 20
"""So many calls tell how late is late."""


def configuration(upstream: Provider) -> str:
    url = f'base_url = "{upstream.base_url}"\npriced_as = "openai"\nretries = 0\nbreaker.failure_share = 2\n'
    return (
        f"[providers.hedged]\n{url}"
        + model("large", "large-a", "large-b", provider="hedged")
        + model("small", "small-a", provider="hedged")
        + route("default", "large", hedge=True, allow_downgrade=False, cache="mode = 'off'")
        + route("plain", "large", cache="mode = 'off'")
        + route("alone", "small", hedge=True, cache="mode = 'off'")
        + budget("teams.support", 10**12)
    )


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("hedge"), configuration(upstream)) as gateway:
        key = gateway.key(route="plain")
        for at in range(WELL_KNOWN):
            assert gateway.chat(key, f"How fast are you {at}?", model="large").status_code == 200
        key = gateway.key(route="alone")
        for at in range(WELL_KNOWN):
            assert gateway.chat(key, f"How fast are you {at}?", model="small").status_code == 200
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture(autouse=True)
def balanced(gateway: RunningGateway) -> Iterator[None]:
    """After every test nothing is reserved, nothing is under way, and the budget is what the ledger says."""
    yield
    eventually(lambda: gateway.budget("team:support")["reserved_nano"] == 0)
    eventually(lambda: not any(state["in_use"] for state in gateway.status()["deployments"]))
    assert gateway.budget("team:support")["spent_nano"] == sum(row.actual_nano or 0 for row in gateway.rows())


def rows_of(gateway: RunningGateway, answer: httpx.Response, count: int = 2) -> list[LedgerRow]:
    """All rows of a request. What was given up is counted while the client has its answer already."""
    request_id = answer.headers["x-request-id"]
    return eventually(lambda: rows if len(rows := gateway.rows(request_id=request_id)) >= count else [])


def called(provider: Provider) -> list[str]:
    return [call.received.model for call in provider.calls]


@pytest.mark.parametrize("streams", [False, True])
def test_a_late_first_deployment_is_overtaken_by_the_second_and_hung_up_on(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool
) -> None:
    provider.script("large-a", [HANG])
    provider.script("large-b", stream_reply(streamed(["The second one answers."])) if streams else SECOND)

    answer = gateway.chat(key, "Who is faster?", model="large", stream=streams)

    assert "The second one answers." in answer.text
    assert called(provider) == ["large-a", "large-b"]
    eventually(lambda: provider.calls_to("large-a")[0].is_hung_up.is_set())


def test_both_are_booked_the_loser_of_a_stream_at_what_is_known_of_it(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", [HANG])
    provider.script("large-b", stream_reply(streamed(["The second one answers."])))

    answer = gateway.chat(key, "What did it cost?", model="large", stream=True)

    lost, served = sorted(rows_of(gateway, answer), key=lambda row: row.kind)
    assert (lost.kind, lost.attempt, lost.error_class, lost.deployment) == ("attempt", 1, "HedgeLost", "hedged/large-a")
    assert (lost.usage_source, lost.pricing) == ("estimated", "priced")
    assert (lost.output_tokens, lost.actual_nano) == (0, lost.input_tokens * 10_000)  # it had not begun to answer
    assert 0 < lost.actual_nano < lost.reserved_nano
    assert (served.kind, served.attempt, served.status, served.deployment) == ("request", 2, "ok", "hedged/large-b")
    assert 'thriftgate_hedges_total{first="hedged/large-a"}' in gateway.request("GET", "/metrics").text


def test_the_loser_of_a_json_race_is_booked_at_its_reservation_since_nobody_knows_what_it_had_written(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", [HANG])
    provider.script("large-b", json_reply(chat_body("The second one answers."), x_request_id="up-b"))

    answer = gateway.chat(key, "What did the other one cost?", model="large")

    lost, served = sorted(rows_of(gateway, answer), key=lambda row: row.kind)
    assert (lost.error_class, lost.usage_source, lost.pricing) == ("HedgeLost", "reserved", "unknown")
    assert lost.actual_nano == lost.reserved_nano > 0
    assert (lost.upstream_request_id, served.upstream_request_id) == (None, "up-b")


def test_the_first_may_still_win(gateway: RunningGateway, key: str, provider: Provider) -> None:
    gate = provider.gate()
    provider.script("large-a", [gate, *FIRST])
    provider.script("large-b", lambda _: (gate.open(), [HANG])[1])  # the first answers as soon as the second is asked

    answer = gateway.chat(key, "Who is first?", model="large")

    assert "The first one answers." in answer.text
    served = next(row for row in rows_of(gateway, answer) if row.kind == "request")
    assert served.deployment == "hedged/large-a"
    eventually(lambda: provider.calls_to("large-b")[0].is_hung_up.is_set())


def test_if_one_of_the_two_fails_the_other_serves(gateway: RunningGateway, key: str, provider: Provider) -> None:
    gate = provider.gate()
    provider.script("large-a", [gate, *error_reply(500)])
    provider.script("large-b", lambda _: (gate.open(), SECOND)[1])

    answer = gateway.chat(key, "Is one of you well?", model="large")

    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "The second one answers.")


def test_if_both_fail_the_client_hears_of_it_and_all_of_it_is_in_the_books(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-a", [gate, *error_reply(500)])
    provider.script("large-b", lambda _: (gate.open(), error_reply(503))[1])

    answer = gateway.chat(key, "Is neither of you well?", model="large")

    assert answer.status_code in (502, 503)
    rows = rows_of(gateway, answer, len(provider.calls) + 1)
    assert [row.kind for row in rows].count("attempt") == len(provider.calls)
    assert rows[-1].kind == "request"


def test_a_client_that_leaves_in_the_middle_of_a_race_ends_both(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    provider.script("large-a", [HANG])
    provider.script("large-b", [HANG])
    connection = gateway.begin(key, "I change my mind.", model="large")
    eventually(lambda: len(provider.calls) == 2)

    connection.close()

    for call in provider.calls:
        eventually(call.is_hung_up.is_set)


@pytest.mark.parametrize(
    ("name", "wanted"), [("plain", "large"), ("alone", "small")], ids=["not asked for", "nobody else"]
)
def test_without_the_switch_or_a_second_deployment_nobody_else_is_asked(
    gateway: RunningGateway, provider: Provider, name: str, wanted: str
) -> None:
    gate = provider.gate()
    provider.script(f"{wanted}-a", [gate, *FIRST])
    connection = gateway.begin(gateway.key(route=name), "Take your time.", model=wanted)
    eventually(lambda: gate.arrived)

    for _ in range(50):  # longer than any of the well-known calls took
        gateway.request("GET", "/health/live")
    gate.open()

    assert b"200 OK" in connection.recv(65536)
    connection.close()
    assert called(provider).count("large-b") == 0


def test_after_all_this_the_ledger_verifies(gateway: RunningGateway) -> None:
    assert gateway.verification().problems == []
