"""More than can be carried: the important ones first, the rest refused at once, and nobody holds others up."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app.configuration import model, route
from tests.app.openai_error import openai_error
from tests.app.provider import (
    HANG,
    Gate,
    Provider,
    Received,
    Reply,
    chat_body,
    chat_chunk,
    json_reply,
    stream_reply,
    unfinished,
)
from tests.running import RunningGateway, eventually, running_gateway

AT_MOST, QUEUE = 2, 3


def configuration(upstream: Provider) -> str:
    provider = f'[providers.narrow]\nbase_url = "{upstream.base_url}"\npriced_as = "openai"\nretries = 0\n'
    return (
        # [server] is the table that the file begins with.
        "max_in_flight = 12\nmax_bodies_mib = 4\nslow_client_s = 2\n"
        + provider
        + "first_event_timeout_s = 20\n"
        + model("large", "large-a", provider="narrow")
        + f"max_concurrency = {AT_MOST}\nqueue = {QUEUE}\nqueue_s = 15\n"
        + route("default", "large", cache="mode = 'off'")
        + route("payments", "large", priority="high", cache="mode = 'off'")
        + route("summaries", "large", priority="low", cache="mode = 'off'")
    )


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("narrow"), configuration(upstream)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def gate(provider: Provider) -> Iterator[Gate]:
    """Holds every answer back until the test opens it."""
    gate = provider.gate()

    def reply(received: Received) -> Reply:
        return [gate, *json_reply(chat_body(f"Answer to {received.text}"))]

    provider.script("large-a", reply)
    yield gate
    gate.open()


def state(gateway: RunningGateway, name: str) -> int:
    return int(gateway.deployment("narrow/large-a")[name])


class Asking:
    """Clients that ask at the same time, one after the other let in."""

    def __init__(self, gateway: RunningGateway, clients: ThreadPoolExecutor) -> None:
        self._gateway = gateway
        self._clients = clients

    def ask(self, key: str, text: str) -> Future[httpx.Response]:
        return self._clients.submit(self._gateway.chat, key, text, model="large")

    def queue(self, key: str, text: str) -> Future[httpx.Response]:
        """Asks, and returns when the request is in the queue."""
        before = state(self._gateway, "waiting")
        asked = self.ask(key, text)
        eventually(lambda: state(self._gateway, "waiting") > before)
        return asked

    def fill(self, key: str) -> list[Future[httpx.Response]]:
        """Takes every slot."""
        asked = [self.ask(key, f"I hold slot {at}.") for at in range(AT_MOST)]
        eventually(lambda: state(self._gateway, "in_use") == AT_MOST)
        return asked


@pytest.fixture
def asking(gateway: RunningGateway, clients: ThreadPoolExecutor) -> Asking:
    return Asking(gateway, clients)


def test_never_more_calls_are_under_way_than_the_deployment_may_have(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(key) + [asking.queue(key, f"I wait {at}.") for at in range(QUEUE)]
    assert len(provider.calls) == AT_MOST

    gate.open()

    assert [each.result().status_code for each in asked] == [200] * (AT_MOST + QUEUE)
    assert [each.result().json()["choices"][0]["message"]["content"] for each in asked[AT_MOST:]] == [
        f"Answer to I wait {at}." for at in range(QUEUE)
    ]


def test_what_finds_the_queue_full_is_refused_at_once_and_told_to_come_back(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(key) + [asking.queue(key, f"I wait {at}.") for at in range(QUEUE)]

    refused = gateway.chat(key, "One too many.", model="large")

    assert openai_error(refused, 503, "overloaded")["type"] == "server_error"
    assert int(refused.headers["retry-after"]) >= 1
    gate.open()
    assert {each.result().status_code for each in asked} == {200}
    assert gateway.rows(request_id=refused.headers["x-request-id"]) == []  # no work, no row; the metrics count it
    assert 'thriftgate_errors_total{code="overloaded",status="503"}' in gateway.request("GET", "/metrics").text
    assert "One too many." not in [call.received.text for call in provider.calls]


def test_payments_go_before_summaries_and_production_before_development(
    gateway: RunningGateway, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(gateway.key())
    asked.append(asking.queue(gateway.key(route="payments", env="dev"), "development"))
    asked.append(asking.queue(gateway.key(route="summaries"), "summary"))
    asked.append(asking.queue(gateway.key(route="payments"), "payment"))

    gate.open()

    assert {each.result().status_code for each in asked} == {200}
    assert [call.received.text for call in provider.calls[AT_MOST:]] == ["payment", "summary", "development"]


def test_in_a_full_queue_the_least_important_makes_room(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(key) + [asking.queue(key, f"I wait {at}.") for at in range(QUEUE - 1)]
    least = asking.queue(gateway.key(route="summaries"), "summary")

    asked.append(asking.ask(gateway.key(route="payments"), "payment"))

    openai_error(least.result(), 503, "overloaded")
    gate.open()
    assert {each.result().status_code for each in asked} == {200}


def test_a_client_that_leaves_the_queue_is_not_called_for(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(key)
    connection = gateway.begin(key, "I do not wait.", model="large")
    eventually(lambda: state(gateway, "waiting") == 1)

    connection.close()

    eventually(lambda: state(gateway, "waiting") == 0)
    gate.open()
    assert {each.result().status_code for each in asked} == {200}
    assert provider.calls_with("I do not wait.") == []
    eventually(lambda: state(gateway, "in_use") == 0)


def test_half_sent_bodies_take_no_more_memory_than_they_may_together(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    mib = 1024 * 1024
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    head += f"content-length: {9 * mib}\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            held.sendall(head.encode() + b" " * (2 * mib - 1000))
        eventually(lambda: gateway.status()["body_bytes"] >= 4 * mib - 2000)

        refused = gateway.chat(key, "x" * 5000, model="large")

        openai_error(refused, 503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
    eventually(lambda: gateway.status()["body_bytes"] == 0)
    provider.script("large-a", json_reply(chat_body("As before.")))
    assert gateway.chat(key, "x" * 5000, model="large").status_code == 200


def test_only_so_many_requests_are_let_in_and_the_others_are_refused_before_anything_is_done(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 99\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(12):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=10))
            held.sendall(head.encode())  # their bodies are yet to come
        eventually(lambda: gateway.status()["in_flight"] == 12)

        refused = gateway.chat("no key at all", "Let me in.", model="large")

        openai_error(refused, 503, "overloaded")
        assert gateway.request("GET", "/health/ready").status_code == 200
    eventually(lambda: gateway.status()["in_flight"] == 0)
    assert provider.calls == []


# --- clients that do nothing ----------------------------------------------------------------------------------------


def test_a_client_that_does_not_send_the_rest_of_its_request_is_cut_off(gateway: RunningGateway, key: str) -> None:
    for part in (
        "",
        "POST /v1/chat",
        f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {key}\r\ncontent-length: 9\r\n\r\n{{",
    ):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            connection.sendall(part.encode())
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1024) == b""
    eventually(lambda: gateway.status()["in_flight"] == 0)


def test_a_client_that_does_not_read_its_answer_is_cut_off_and_its_call_upstream_too(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    events = [chat_chunk({"content": "x" * 100_000})] * 300
    provider.script("large-a", unfinished(stream_reply(events), HANG))
    body = json.dumps({"model": "large", "stream": True, "messages": [{"role": "user", "content": "Too much."}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", gateway.port))
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())

        eventually(lambda: provider.calls and provider.calls[0].is_hung_up.is_set())

    eventually(lambda: [row.status for row in gateway.rows()][-1:] == ["client_closed"])
    eventually(lambda: state(gateway, "in_use") == 0)


# --- bodies that would hold everybody up ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["{}", "[]", '{"a":[]}'])
def test_a_body_of_countless_values_is_refused_before_it_is_decoded(
    gateway: RunningGateway, key: str, value: str
) -> None:
    values = ",".join([value] * 100_000)
    body = f'{{"model":"large","messages":[{{"role":"user","content":"x"}}],"metadata":[{values}]}}'

    error = openai_error(
        gateway.request("POST", "/v1/chat/completions", content=body, headers={"authorization": f"Bearer {key}"}),
        400,
    )

    assert "lists and objects" in error["message"]


def test_brackets_in_a_text_are_no_values(gateway: RunningGateway, key: str, provider: Provider) -> None:
    assert gateway.chat(key, '{"[' * 100_000, model="large").status_code == 200


def test_while_some_are_refused_others_are_still_told_that_the_server_is_well(
    gateway: RunningGateway, key: str, provider: Provider, gate: Gate, asking: Asking
) -> None:
    asked = asking.fill(key) + [asking.queue(key, f"I wait {at}.") for at in range(QUEUE)]
    refusals: list[int] = []
    done = threading.Event()

    def press(ask: Callable[..., httpx.Response] = gateway.chat) -> None:
        while not done.is_set() and len(refusals) < 200:
            refusals.append(ask(key, "Again.", model="large").status_code)

    pressing = threading.Thread(target=press)
    pressing.start()
    healthy = [gateway.request("GET", "/health/ready").status_code for _ in range(20)]
    done.set()
    pressing.join()
    gate.open()

    assert set(healthy) == {200}
    assert set(refusals) == {503}
    assert {each.result().status_code for each in asked} == {200}
