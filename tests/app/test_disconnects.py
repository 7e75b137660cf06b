"""What happens when a client leaves early, or a provider breaks off: nothing is lost, nothing stays open."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from router.tokens import input_estimate, token_count
from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import (
    CUT,
    DONE,
    HANG,
    Provider,
    Step,
    chat_body,
    chat_chunk,
    chat_events,
    json_reply,
    stream_reply,
    streamed,
    unfinished,
)
from tests.running import RunningGateway, eventually, running_gateway

NO_CACHE = "uncached"
QUESTION = "How do I reset my password?"
PRICE_IN, PRICE_OUT = 10_000, 40_000


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = (
        scripted(upstream, idle_timeout_s=0.5)
        + route("default", "large")
        + route(NO_CACHE, "large", cache="mode = 'off'")
        + budget("teams.support", 10**15)
    )
    with running_gateway(tmp_path_factory.mktemp("disconnects"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def balanced(gateway: RunningGateway) -> Iterator[None]:
    """After every test the budget is what the ledger says, nothing is reserved, and the chain verifies."""
    gateway.admin("POST", "/admin/cache/purge", all=True)
    yield
    eventually(lambda: gateway.budget("team:support")["reserved_nano"] == 0)
    assert gateway.budget("team:support")["spent_nano"] == sum(row.actual_nano or 0 for row in gateway.rows())
    assert gateway.status()["ledger"]["open_reservations"] == 0
    assert gateway.verification().problems == []


@pytest.fixture
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def uncached(gateway: RunningGateway) -> str:
    """A key of a route without a cache, so that nobody else can want the answer."""
    return gateway.key(route=NO_CACHE)


def has_settled_down(gateway: RunningGateway) -> None:
    """Some round trips through the server's event loop: what had reached it before has been handled."""
    for _ in range(5):
        gateway.status()


# --- the client leaves, and nobody else wants the answer ------------------------------------------------------


def test_who_leaves_in_the_middle_of_an_uncacheable_stream_ends_the_call_upstream(
    gateway: RunningGateway, uncached: str, provider: Provider
) -> None:
    provider.script("large-2025", stream_reply([*chat_events(["Never ", "ending "])[:-1], HANG]))

    with gateway.stream(uncached, QUESTION, model="large") as answer:
        seen = b""
        for part in answer.iter_raw():
            seen += part
            if b"ending" in seen:
                break
    eventually(lambda: provider.calls[0].is_hung_up.is_set())

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.kind, row.status, row.usage_source) == ("request", "client_closed", "estimated")
    assert row.input_tokens == input_estimate({"messages": [{"role": "user", "content": QUESTION}]})
    assert row.output_tokens == token_count("Never ending ")
    assert row.actual_nano == row.input_tokens * PRICE_IN + row.output_tokens * PRICE_OUT


@pytest.mark.parametrize("streams", [False, True])
def test_who_leaves_before_the_first_byte_of_an_uncacheable_answer_ends_the_call_upstream(
    gateway: RunningGateway, uncached: str, provider: Provider, streams: bool
) -> None:
    provider.script("large-2025", [HANG])

    with gateway.begin(uncached, f"{QUESTION} {streams}", model="large", stream=streams):
        eventually(lambda: provider.calls)
    eventually(lambda: provider.calls[0].is_hung_up.is_set())

    row = gateway.row(key_id=last_key(gateway))
    assert (row.status, row.usage_source, row.output_tokens) == ("client_closed", "estimated", 0)
    assert row.served_model == "large"


def test_who_stops_reading_and_leaves_ends_the_call_upstream(
    gateway: RunningGateway, uncached: str, provider: Provider
) -> None:
    much = [chat_chunk({"content": "x" * 65_000})] * 200  # more than all buffers on the way hold
    provider.script("large-2025", stream_reply([*much, HANG]))

    with gateway.begin(uncached, QUESTION, model="large", stream=True) as connection:
        assert connection.recv(1)
        has_settled_down(gateway)
    eventually(lambda: provider.calls[0].is_hung_up.is_set())

    assert gateway.row(key_id=last_key(gateway)).status == "client_closed"


def test_who_leaves_while_the_row_is_being_written_leaves_no_money_reserved(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gate = provider.gate()
    events = streamed(["All ", "said."])
    provider.script("large-2025", stream_reply([*events[:-1], gate, DONE]))
    configuration = scripted(provider) + route("default", "large", cache="mode = 'off'")
    gateway = start_gateway(configuration + budget("teams.support", 10**9), **ENVIRONMENT)

    with gateway.begin(gateway.key(), QUESTION, model="large", stream=True) as connection:
        assert connection.recv(65536)
        eventually(lambda: gate.arrived)
        with locked(gateway.data_dir / "ledger.db"):
            gate.open()
            eventually(lambda: provider.calls[0].is_over)
            has_settled_down(gateway)
            connection.close()
            has_settled_down(gateway)

    row = gateway.row()
    assert (row.usage_source, row.actual_nano) == ("provider", 12 * PRICE_IN + 7 * PRICE_OUT)
    counters = gateway.budget("team:support")
    assert (counters["reserved_nano"], counters["spent_nano"]) == (0, row.actual_nano)


def test_who_leaves_while_a_provider_is_being_connected_is_booked_at_an_estimate(  # nobody knows what was sent
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    with unanswered_port() as port:
        configuration = scripted(provider).replace(f":{provider.port}/", f":{port}/")
        gateway = start_gateway(configuration + route("default", "large", cache="mode = 'off'"), **ENVIRONMENT)

        with gateway.begin(gateway.key(), QUESTION, model="large"):
            eventually(lambda: gateway.status()["ledger"]["open_reservations"] == 1)
            has_settled_down(gateway)
        row = gateway.row()

    assert (row.status, row.usage_source, row.output_tokens) == ("client_closed", "estimated", 0)
    assert row.input_tokens > 0


@contextmanager
def unanswered_port() -> Iterator[int]:
    """A port where connections neither succeed nor fail: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Nobody else can write to this database."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        yield
        connection.execute("rollback")


def last_key(gateway: RunningGateway) -> str:
    return str(gateway.admin("GET", "/admin/keys")[-1]["id"])


# --- the client leaves, and the cache wants the answer --------------------------------------------------------


def test_who_leaves_in_the_middle_of_a_cacheable_stream_leaves_a_stored_answer(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    events = streamed(["Finished ", "all ", "the ", "same."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))

    with gateway.stream(key, QUESTION, model="large") as answer:
        assert next(answer.iter_raw())
    has_settled_down(gateway)
    gate.open()
    eventually(lambda: provider.calls[0].is_over)

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.status, row.usage_source, row.output_tokens) == ("ok", "provider", 7)
    eventually(lambda: gateway.status()["cache"]["entries"])
    again = gateway.chat(key, QUESTION, model="large")
    assert again.headers["x-thriftgate-cache"] == "exact"
    assert again.json()["choices"][0]["message"]["content"] == "Finished all the same."
    assert len(provider.calls) == 1


@pytest.mark.parametrize("streams", [False, True])
def test_who_leaves_before_the_first_byte_of_a_cacheable_answer_leaves_a_stored_answer(
    gateway: RunningGateway, key: str, provider: Provider, streams: bool
) -> None:
    gate = provider.gate()
    reply = stream_reply(streamed(["Finished."])) if streams else json_reply(chat_body("Finished."))
    provider.script("large-2025", [gate, *reply])

    with gateway.begin(key, QUESTION, model="large", stream=streams):
        eventually(lambda: gate.arrived)
    has_settled_down(gateway)
    gate.open()

    row = gateway.row(key_id=last_key(gateway))
    assert (row.status, row.usage_source) == ("ok", "provider")
    eventually(lambda: gateway.status()["cache"]["entries"])
    again = gateway.chat(key, QUESTION, model="large")
    assert again.headers["x-thriftgate-cache"] == "exact"
    assert len(provider.calls) == 1


# --- followers -------------------------------------------------------------------------------------------------


def test_a_follower_that_leaves_hurts_nobody_and_its_row_is_closed(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    events = streamed(["For ", "the ", "leader."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))

    with gateway.stream(key, QUESTION, model="large") as leader:
        parts = leader.iter_raw()
        seen = next(parts)
        with gateway.stream(key, QUESTION, model="large") as follower:
            assert next(follower.iter_raw())
        row = gateway.row(request_id=follower.headers["x-request-id"])
        gate.open()
        seen += b"".join(parts)

    assert seen == b"".join(events[:-2]) + DONE
    assert (row.disposition, row.status, row.actual_nano) == ("coalesced", "client_closed", 0)
    assert gateway.row(request_id=leader.headers["x-request-id"]).status == "ok"


def test_a_follower_that_leaves_before_the_first_byte_has_its_row_closed_too(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-2025", [gate, *stream_reply(streamed(["For ", "the ", "leader."]))])

    with gateway.begin(key, QUESTION, model="large", stream=True) as leader:
        eventually(lambda: gate.arrived)
        with gateway.begin(key, QUESTION, model="large", stream=True):
            has_settled_down(gateway)
        has_settled_down(gateway)
        gate.open()
        seen = b""
        while DONE not in seen:
            part = leader.recv(65536)
            assert part, seen
            seen += part

    rows = eventually(lambda: found if len(found := gateway.rows(key_id=last_key(gateway))) == 2 else None)
    assert sorted((row.disposition, row.status) for row in rows) == [("coalesced", "client_closed"), ("miss", "ok")]


def test_when_everybody_has_left_the_answer_is_still_stored(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    events = streamed(["For ", "later."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))

    with gateway.stream(key, QUESTION, model="large") as leader, gateway.stream(key, QUESTION, model="large") as other:
        assert next(leader.iter_raw())
        assert next(other.iter_raw())
    has_settled_down(gateway)
    gate.open()

    assert gateway.row(request_id=leader.headers["x-request-id"]).status == "ok"
    eventually(lambda: gateway.status()["cache"]["entries"])
    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "exact"


# --- the provider breaks off ---------------------------------------------------------------------------------

BEGUN = chat_events(["Half ", "an "])[:-1]
BROKEN: dict[str, tuple[list[Step], str]] = {
    "reset": (unfinished(stream_reply(BEGUN), CUT), "upstream_cut"),
    "ended without a finish": (stream_reply(BEGUN), "upstream_cut"),
    "silent": (unfinished(stream_reply(BEGUN), HANG), "upstream_error"),
    "not json": (stream_reply([*BEGUN, b"data: {not json\n\n"]), "upstream_error"),
    "not utf-8": (stream_reply([*BEGUN, b'data: {"choices": [], "x": "\xff"}\n\n']), "upstream_error"),
    "half an event": (stream_reply([*BEGUN, chat_chunk({"content": "cut"})[:-9]]), "upstream_cut"),
    "an error": (stream_reply([*BEGUN, b'data: {"error": {"message": "no"}}\n\n']), "upstream_error"),
}


@pytest.mark.parametrize(("reply", "status"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("cached", [True, False], ids=["cacheable", "uncacheable"])
def test_a_stream_that_breaks_off_ends_in_an_error_event_and_a_flagged_row(
    gateway: RunningGateway,
    key: str,
    uncached: str,
    provider: Provider,
    reply: list[Step],
    status: str,
    cached: bool,
) -> None:
    provider.script("large-2025", reply)

    with gateway.stream(key if cached else uncached, QUESTION, model="large") as answer:
        seen = answer.read()

    assert answer.status_code == 200  # it had been sent when nobody knew
    assert seen.startswith(b"".join(BEGUN))
    ending = seen.removeprefix(b"".join(BEGUN))
    assert ending.startswith(b'data: {"error":{"message":')
    assert b"[DONE]" not in seen
    assert ending.count(b"\n\n") == 1
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.kind, row.status, row.usage_source) == ("request", status, "estimated")
    assert row.output_tokens == token_count("Half an ")
    assert row.error_class
    assert len(provider.calls) == 1  # what has begun is not asked for elsewhere


def test_who_joined_an_answer_that_breaks_off_is_told_so_too(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-2025", unfinished(stream_reply([*BEGUN, gate]), CUT))

    with gateway.stream(key, QUESTION, model="large") as leader, gateway.stream(key, QUESTION, model="large") as other:
        answers = [leader.iter_raw(), other.iter_raw()]
        seen = [next(parts) for parts in answers]
        gate.open()
        seen = [first + b"".join(rest) for first, rest in zip(seen, answers, strict=True)]

    for text in seen:
        assert text.startswith(b"".join(BEGUN))
        assert b'data: {"error":' in text
        assert b"[DONE]" not in text
    for answer, how in ((leader, "miss"), (other, "coalesced")):
        row = gateway.row(request_id=answer.headers["x-request-id"])
        assert (row.disposition, row.status) == (how, "upstream_cut")


def test_who_joined_an_answer_that_breaks_off_has_saved_nothing(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("large-2025", unfinished(stream_reply([*BEGUN, gate]), CUT))

    with gateway.stream(key, QUESTION, model="large") as leader, gateway.stream(key, QUESTION, model="large") as other:
        gate.open()
        leader.read(), other.read()

    row = gateway.row(request_id=other.headers["x-request-id"])
    assert (row.disposition, row.status, row.avoided_coalesced_nano) == ("coalesced", "upstream_cut", 0)


def test_an_answer_of_known_length_that_breaks_off_is_no_answer(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    whole = json_reply(chat_body("This never comes in full."))[0]
    assert isinstance(whole, bytes)
    provider.script("large-2025", [whole[:-20], CUT])

    answer = gateway.chat(key, QUESTION, model="large")

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_failed"
    rows = gateway.rows(request_id=answer.headers["x-request-id"])
    assert [(row.kind, row.status) for row in rows] == [("attempt", "upstream_error"), ("request", "upstream_cut")]
    assert [row.pricing for row in rows] == ["unknown", "priced"]  # the attempt may have been billed


# --- the gateway stops ----------------------------------------------------------------------------------------


def test_what_is_left_when_the_time_to_stop_is_over_is_closed_and_flagged(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    provider.script("large-2025", stream_reply([*BEGUN, HANG]))
    configuration = f"shutdown_grace_s = 1\n{scripted(provider)}{route('default', 'large')}"
    gateway = start_gateway(configuration, **ENVIRONMENT)

    with gateway.begin(gateway.key(), QUESTION, model="large", stream=True) as connection:
        assert connection.recv(65536)
        eventually(lambda: len(provider.calls) == 1)
        gateway.stop()

    row = gateway.row(kind="request")
    assert row.status == "client_closed"
    assert row.usage_source == "estimated"
    assert gateway.verification().problems == []


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("chat/completions", b'data: {"error":{"message":'),
        ("messages", b"event: error\ndata: "),
        ("responses", b"event: response.failed\ndata: "),
    ],
)
def test_a_stream_that_is_left_when_the_time_to_stop_is_over_ends_in_its_api_s_error_event(
    start_gateway: Callable[..., RunningGateway], provider: Provider, path: str, ending: bytes
) -> None:
    provider.script("large-2025", stream_reply([*BEGUN, HANG]))
    gateway = start_gateway(f"shutdown_grace_s = 1\n{scripted(provider)}{route('default', 'large')}", **ENVIRONMENT)
    said, limit = ("input", "max_output_tokens") if path == "responses" else ("messages", "max_tokens")
    body = {"model": "large", "stream": True, limit: 50, said: [{"role": "user", "content": QUESTION}]}
    headers = {"authorization": f"Bearer {gateway.key()}"}

    with ExitStack() as open_streams:
        parts = []
        for _ in ("led", "joined"):
            asking = httpx.stream("POST", f"{gateway.base_url}/{path}", json=body, headers=headers, trust_env=False)
            parts.append(open_streams.enter_context(asking).iter_raw())
        begun = [next(each) for each in parts]
        gateway.tell(signal.SIGTERM)
        seen = [first + b"".join(rest) for first, rest in zip(begun, parts, strict=True)]
        assert gateway.wait() == 0

    for answer in seen:
        *_, last, nothing = answer.split(b"\n\n")
        assert last.startswith(ending)
        assert b"The gateway is stopping and gave this answer up. Send the request again." in last
        assert nothing == b""
        assert b"[DONE]" not in answer
    assert [(row.disposition, row.status) for row in gateway.rows(kind="request")] == [
        ("coalesced", "client_closed"),
        ("miss", "client_closed"),
    ]
    assert "Traceback" not in gateway.log
    assert gateway.verification().problems == []


def test_who_reads_nothing_when_the_time_to_stop_is_over_leaves_no_fault_in_the_log(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    much = [chat_chunk({"content": "x" * 65_000})] * 200  # more than all buffers on the way hold
    provider.script("large-2025", stream_reply([*much, HANG]))
    gateway = start_gateway(f"shutdown_grace_s = 1\n{scripted(provider)}{route('default', 'large')}", **ENVIRONMENT)

    with gateway.begin(gateway.key(), QUESTION, model="large", stream=True):
        eventually(lambda: len(provider.calls) == 1)
        assert gateway.stop() == 0

    assert gateway.row(kind="request").status == "client_closed"
    assert "Traceback" not in gateway.log


def test_who_still_waits_when_the_time_to_stop_is_over_is_told_so_and_has_a_row(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    provider.script("large-2025", [HANG])
    gateway = start_gateway(f"shutdown_grace_s = 1\n{scripted(provider)}{route('default', 'large')}", **ENVIRONMENT)
    key = gateway.key()

    with ThreadPoolExecutor() as pool:
        leading = pool.submit(gateway.chat, key, QUESTION, model="large")
        eventually(lambda: len(provider.calls) == 1)
        joined = pool.submit(gateway.chat, key, QUESTION, model="large")
        eventually(lambda: gateway.status()["in_flight"] == 2)
        gateway.stop()

    for answer in (leading.result(), joined.result()):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "stopping")
        assert answer.headers["retry-after"] == "5"
    rows = {row.disposition: row for row in gateway.rows(kind="request")}
    assert rows.keys() == {"miss", "coalesced"}
    assert {row.status for row in rows.values()} == {"client_closed"}
    assert rows["coalesced"].actual_nano == 0


def test_all_that_a_stopping_server_waits_for_has_the_same_time(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    provider.script("large-2025", json_reply(chat_body("Old.")), [HANG])
    stale = route("default", "large", cache="ttl_s = 1\nstale_while_revalidate_s = 600")
    gateway = start_gateway(f"shutdown_grace_s = 5\n{scripted(provider)}{stale}", **ENVIRONMENT)
    key = gateway.key()
    gateway.chat(key, QUESTION, model="large")
    eventually(lambda: gateway.chat(key, QUESTION, model="large").headers["age"] != "0")
    eventually(lambda: len(provider.calls) == 2)  # a refresh, which hangs

    with gateway.begin(key, "What are the opening hours?", model="large"):
        eventually(lambda: len(provider.calls) == 3)
        began = time.monotonic()
        gateway.stop()

    assert time.monotonic() - began < 12, "one after the other they would have three times as long"
    assert {row.status for row in gateway.rows()[-2:]} == {"client_closed"}
    assert gateway.verification().problems == []
