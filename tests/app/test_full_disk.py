"""A ledger that cannot be written: nothing is acknowledged, nothing is lost, and it goes on when there is room."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.openai_error import error_object, openai_error
from tests.app.provider import DONE, Provider, stream_reply, streamed
from tests.running import RunningGateway, eventually

QUESTION = "How do I reset my password?"


@pytest.fixture
def gateway(start_gateway: Callable[..., RunningGateway], provider: Provider) -> RunningGateway:
    configuration = scripted(provider) + route("default", "large") + budget("teams.support", 10**12)
    return start_gateway(configuration, **ENVIRONMENT)


ROOM_FOR_THE_LOG_BYTES = 8192
"""More than the log has by then, and less than the write-ahead log of either database."""


@contextmanager
def no_room(gateway: RunningGateway, up_to: int = ROOM_FOR_THE_LOG_BYTES) -> Iterator[None]:
    """The server cannot write behind this place of any file: for its databases that is a full disk."""
    limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (up_to, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)


def is_refused(answer: httpx.Response) -> None:
    error = openai_error(answer, 503, "ledger_unavailable")
    assert error["type"] == "server_error"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("streams", [False, True])
def test_without_room_for_the_reservation_nothing_is_sent_upstream(
    gateway: RunningGateway, provider: Provider, streams: bool
) -> None:
    key = gateway.key()
    with no_room(gateway):
        is_refused(gateway.chat(key, QUESTION, model="large", stream=streams))
        assert provider.calls == []
        assert gateway.budget("team:support")["reserved_nano"] == 0
        assert gateway.request("GET", "/health/live").status_code == 200

    served = gateway.chat(key, QUESTION, model="large", stream=streams)
    assert served.status_code == 200
    assert gateway.verification().problems == []
    assert {
        row.status: row.actual_nano for row in gateway.rows() if row.request_id != served.headers["x-request-id"]
    } in (
        {},
        {"refused": 0},
    )
    counters = gateway.budget("team:support")
    assert (counters["reserved_nano"], counters["spent_nano"]) == (0, gateway.row(status="ok").actual_nano)


def test_without_room_for_its_row_a_stored_answer_is_not_given_either(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = gateway.key()
    gateway.chat(key, QUESTION, model="large")

    with no_room(gateway):
        is_refused(gateway.chat(key, QUESTION, model="large"))
        with gateway.stream(key, QUESTION, model="large") as answer:
            seen = answer.read()

    assert error_object(seen.removeprefix(b"data: "))["code"] == "ledger_unavailable"
    assert DONE not in seen
    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "exact"
    assert gateway.verification().problems == []


def test_a_log_that_cannot_be_written_changes_no_answer(gateway: RunningGateway, provider: Provider) -> None:
    key = gateway.key()
    with no_room(gateway, up_to=1):
        is_refused(gateway.chat(key, QUESTION, model="large"))


def run_out_in_the_middle(gateway: RunningGateway, provider: Provider) -> str:
    """A streamed request whose reservation still fits and whose row does not. Returns the key."""
    gate = provider.gate()
    events = streamed(["Not ", "acknowledged."])
    provider.script("large-2025", stream_reply([*events[:-1], gate, DONE]))
    key = gateway.key()
    with gateway.stream(key, QUESTION, model="large") as answer:
        parts = answer.iter_raw()
        seen = next(parts)
        eventually(lambda: gate.arrived)
        with no_room(gateway):
            gate.open()
            seen += b"".join(parts)
    assert answer.status_code == 200
    assert DONE not in seen
    assert b'"code":"ledger_unavailable"' in seen
    provider.reset()
    return key


def test_an_answer_whose_row_does_not_fit_is_not_acknowledged_and_not_stored(
    gateway: RunningGateway, provider: Provider
) -> None:
    key = run_out_in_the_middle(gateway, provider)

    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "miss"
    assert gateway.verification().problems == []


@pytest.mark.parametrize("how", ["a request", "a stop"])
def test_a_row_that_did_not_fit_is_written_when_there_is_room_again(
    gateway: RunningGateway, provider: Provider, how: str
) -> None:
    key = run_out_in_the_middle(gateway, provider)
    assert gateway.rows() == []

    if how == "a request":
        gateway.chat(key, "Is there room again?", model="large")
    else:
        gateway.restart()

    row = gateway.rows()[0]
    assert (row.kind, row.usage_source, row.actual_nano) == ("request", "provider", 12 * 10_000 + 7 * 40_000)
    status = gateway.status()
    assert (status["ledger"]["open_reservations"], status["ledger"]["recovered_at_start"]) == (0, 0)
    spent = sum(row.actual_nano or 0 for row in gateway.rows())
    assert [(found["spent_nano"], found["reserved_nano"]) for found in status["budgets"]] == [(spent, 0)]
    assert gateway.verification().problems == []


def test_a_row_that_did_not_fit_and_was_lost_with_the_process_is_booked_at_the_next_start(
    gateway: RunningGateway, provider: Provider
) -> None:
    run_out_in_the_middle(gateway, provider)

    gateway.kill()
    gateway.start()

    row = gateway.row()
    assert (row.status, row.pricing, row.actual_nano) == ("unknown", "unknown", row.reserved_nano)
    assert gateway.status()["ledger"]["recovered_at_start"] == 1
    assert gateway.budget("team:support")["spent_nano"] == row.actual_nano
