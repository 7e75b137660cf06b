"""Health, metrics, the headers of an answer, and a stop that loses nothing."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.provider import CUT, DONE, Provider, chat_body, json_reply, stream_reply, streamed
from tests.running import SIMULATED, RunningGateway, eventually, running_gateway

QUESTION = "How do I reset my password?"


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    lenient = 'start = "prior"\nmax_wrong_per_hit = 0.2'  # so that one stored question is enough for a semantic hit
    configuration = scripted(upstream) + route("default", cache=lenient) + budget("teams.support", 10**12)
    with running_gateway(tmp_path_factory.mktemp("health"), configuration, ENVIRONMENT) as gateway:
        yield gateway


# --- health ----------------------------------------------------------------------------------------------------


def test_a_running_server_is_live_and_ready_without_any_key(gateway: RunningGateway) -> None:
    live, ready = (gateway.request("GET", f"/health/{name}") for name in ("live", "ready"))

    assert (live.status_code, live.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "simulating": False})


def test_readiness_says_when_everything_is_simulated(start_gateway: Callable[..., RunningGateway]) -> None:
    gateway = start_gateway(SIMULATED)
    assert gateway.request("GET", "/health/ready").json()["simulating"] is True


# --- metrics ---------------------------------------------------------------------------------------------------


def samples(gateway: RunningGateway) -> dict[str, float]:
    """Every sample of the exposition; checks its form."""
    answer = gateway.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"(\w+(?:\{.*\})?) (\S+)", line)
        assert match, line
        found[match.group(1)] = float(match.group(2))
    return found


def test_metrics_count_what_happened(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("large-2025", json_reply(chat_body("Counted.", prompt_tokens=100, completion_tokens=10)))
    key = gateway.key(team="metered")
    before = samples(gateway)
    gateway.chat(key, QUESTION, model="large")
    gateway.chat(key, QUESTION, model="large")
    gateway.chat(key, QUESTION, model="absent")
    provider.script("large-2025", [CUT])
    gateway.chat(key, "Where is my order ORD-48213?", model="large")
    after = samples(gateway)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grew('thriftgate_requests_total{disposition="miss",status="ok",team="metered"}') == 1
    assert grew('thriftgate_requests_total{disposition="exact",status="ok",team="metered"}') == 1
    assert grew('thriftgate_cost_nano_usd_total{model="large",team="metered"}') >= 100 * 10_000 + 10 * 40_000
    assert grew('thriftgate_avoided_nano_usd_total{reason="exact",team="metered"}') == 1_400_000
    assert grew('thriftgate_errors_total{code="model_not_found",status="404"}') == 1
    assert grew('thriftgate_upstream_attempts_failed_total{error="UpstreamCut",provider="scripted"}') == 1
    assert grew('thriftgate_latency_seconds_count{disposition="exact"}') == 1
    assert after["thriftgate_cache_entries"] == gateway.status()["cache"]["entries"] >= 1
    assert 'thriftgate_budget_used_ratio{budget="team:support"}' in after


# --- headers ---------------------------------------------------------------------------------------------------

SHAPES = {
    "x-request-id": r"req_[0-9a-f]{32}",
    "x-thriftgate-cache": r"exact|semantic|coalesced|miss|bypass",
    "x-thriftgate-cache-reason": r"[a-z-]+",
    "x-thriftgate-confidence": r"[01]\.\d{4}",
    "x-thriftgate-entry": r"[0-9a-f]{32}",
    "age": r"\d+",
    "x-thriftgate-model": r"large|medium|small",
    "x-thriftgate-tier": r"premium|mid|economy",
    "x-thriftgate-route-reason": r"\S.*\S",
    "x-thriftgate-cost-usd": r"\d+\.\d{9}",
    "x-thriftgate-saved-usd": r"-?\d+\.\d{9}",
    "x-thriftgate-overhead-ms": r"\d+\.\d{3}",
}
ALWAYS = {"x-request-id", "x-thriftgate-cache", "x-thriftgate-model", "x-thriftgate-tier"}
OF_A_HIT = ALWAYS | {"x-thriftgate-cache-reason", "x-thriftgate-confidence", "x-thriftgate-entry", "age"}
OF_A_CALL = ALWAYS | {"x-thriftgate-route-reason"}
OF_MONEY = {"x-thriftgate-cost-usd", "x-thriftgate-saved-usd", "x-thriftgate-overhead-ms"}


def shaped(answer: httpx.Response) -> set[str]:
    """The names of the gateway's headers on an answer, after checking the form of each."""
    assert answer.status_code == 200, answer.text
    found = {name: value for name, value in answer.headers.items() if name in SHAPES or name.startswith("x-")}
    for name, value in found.items():
        assert re.fullmatch(SHAPES[name], value), (name, value)
    return set(found)


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_an_answers_headers_say_where_it_is_from(gateway: RunningGateway, provider: Provider, streams: bool) -> None:
    gateway.admin("POST", "/admin/cache/purge", all=True)
    key = gateway.key()
    miss = gateway.chat(key, QUESTION, model="large", stream=streams)
    exact = gateway.chat(key, QUESTION, model="large", stream=streams)
    semantic = gateway.chat(key, "How can I reset my password?", model="large", stream=streams)
    bypass = gateway.chat(key, "Where is my order ORD-48213?", model="auto", stream=streams)

    known_before_the_end = set() if streams else OF_MONEY
    assert OF_A_CALL | known_before_the_end <= shaped(miss)
    assert OF_A_CALL | known_before_the_end | {"x-thriftgate-cache-reason"} <= shaped(bypass)
    for hit in (exact, semantic):
        assert shaped(hit) >= OF_A_HIT | OF_MONEY
        assert Decimal(hit.headers["x-thriftgate-cost-usd"]) == 0
        assert Decimal(hit.headers["x-thriftgate-saved-usd"]) > 0
        assert hit.headers["x-thriftgate-entry"] == exact.headers["x-thriftgate-entry"]
    if streams:
        assert miss.headers["cache-control"] == "no-store"
    assert [answer.headers["x-thriftgate-cache"] for answer in (miss, exact, semantic, bypass)] == [
        "miss",
        "exact",
        "semantic",
        "bypass",
    ]
    assert bypass.headers["x-thriftgate-cache-reason"] == "personal"
    assert bypass.headers["x-thriftgate-route-reason"].startswith("auto: balanced")
    for answer in (miss, exact, semantic, bypass):
        row = gateway.row(request_id=answer.headers["x-request-id"])
        assert (row.disposition, row.served_model) == (
            answer.headers["x-thriftgate-cache"],
            answer.headers["x-thriftgate-model"],
        )


def test_a_stream_that_has_only_begun_does_not_say_what_it_cost(gateway: RunningGateway, provider: Provider) -> None:
    gate = provider.gate()
    first, *rest = streamed(["Not ", "done."])
    provider.script("large-2025", stream_reply([first, gate, *rest]))

    with gateway.stream(gateway.key(), "Is a stream's cost known before its end?", model="large") as begun:
        said = shaped(begun)
        gate.open()
        begun.read()

    assert said >= OF_A_CALL
    assert not OF_MONEY & said


def test_the_money_in_the_headers_is_the_rows(gateway: RunningGateway, provider: Provider) -> None:
    provider.script("small-2025", json_reply(chat_body("Cheap.", prompt_tokens=1000, completion_tokens=1)))

    answer = gateway.chat(gateway.key(), "Where is my order ORD-77777?", model="small")

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert row.actual_nano == 1000 * 1000 + 1 * 4000
    assert answer.headers["x-thriftgate-cost-usd"] == "0.001004000"
    assert answer.headers["x-thriftgate-saved-usd"] == "0.000000000"


def test_a_client_cannot_choose_its_own_request_id(gateway: RunningGateway, provider: Provider) -> None:
    answers = [gateway.chat(gateway.key(), QUESTION, model="small", headers={"x-request-id": "mine"}) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids - {"mine"}) == 2


@pytest.mark.parametrize("fields", [{"model": "absent"}, {"model": 5}])
def test_an_error_has_a_request_id_too(gateway: RunningGateway, fields: dict[str, object]) -> None:
    answer = gateway.chat(gateway.key(), QUESTION, **fields)
    assert answer.status_code in (400, 404)
    assert re.fullmatch(SHAPES["x-request-id"], answer.headers["x-request-id"])


def test_a_model_may_be_named_in_any_script(start_gateway: Callable[..., RunningGateway], provider: Provider) -> None:
    named = model("large", "large-2025").replace("models.large", 'models."大型"')
    gateway = start_gateway(
        f'[providers.scripted]\nbase_url = "{provider.base_url}"\n' + named + route("default", "大型")
    )

    answer = gateway.chat(gateway.key(), QUESTION, model="大型")

    assert answer.status_code == 200


def test_requests_that_are_sent_before_the_answer_has_come_are_answered_in_order(gateway: RunningGateway) -> None:
    key = gateway.key()
    requests = b""
    for name in ("small", "absent", "large"):
        body = json.dumps({"model": name, "messages": [{"role": "user", "content": QUESTION}]}).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        requests += f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    answers = gateway.send(requests + b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", ends=False)

    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"200", b"200"]


# --- stopping --------------------------------------------------------------------------------------------------


def test_a_stopping_server_finishes_what_it_has_begun(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(scripted(provider) + route("default", "large"), **ENVIRONMENT)
    gate = provider.gate()
    events = streamed(["Begun ", "before, ", "ended ", "after."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))
    key = gateway.key()

    with gateway.stream(key, QUESTION, model="large") as answer:
        parts = answer.iter_raw()
        seen = next(parts)
        gateway.tell(signal.SIGTERM)
        eventually(lambda: refuses_connections(gateway))
        gate.open()
        seen += b"".join(parts)
    gateway.wait()

    assert seen == b"".join(events[:-2]) + DONE
    row = gateway.row()
    assert (row.status, row.usage_source) == ("ok", "provider")
    gateway.start()
    assert gateway.status()["ledger"]["recovered_at_start"] == 0
    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "exact"


def test_a_stopping_server_finishes_what_the_cache_wants_although_its_client_has_left(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(scripted(provider) + route("default", "large"), **ENVIRONMENT)
    gate = provider.gate()
    provider.script("large-2025", [gate, *json_reply(chat_body("For later."))])
    key = gateway.key()

    with gateway.begin(key, QUESTION, model="large"):
        eventually(lambda: gate.arrived)
    gateway.tell(signal.SIGTERM)
    eventually(lambda: refuses_connections(gateway))
    gate.open()
    gateway.wait()

    assert gateway.row().status == "ok"
    gateway.start()
    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "exact"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_is_exit_code_zero_and_leaves_no_address_behind(
    start_gateway: Callable[..., RunningGateway], how: signal.Signals
) -> None:
    gateway = start_gateway(SIMULATED)
    gateway.tell(how)

    assert gateway.wait() == 0
    assert not (gateway.data_dir / "server.json").exists()
    assert "Traceback" not in gateway.log


def refuses_connections(gateway: RunningGateway) -> bool:
    try:
        gateway.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
    except ConnectionError:
        return True
    return False
