"""Embeddings with the official SDK: batches, both encodings, each input known by itself, every token booked."""

import json
import struct
import tomllib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from openai import APIStatusError, AsyncOpenAI, NotFoundError, OpenAI

from app.settings import SettingsInvalid, from_mapping
from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import CUT, Provider, Received, Reply, error_reply, json_reply
from tests.running import RunningGateway, running_gateway

NANO_PER_TOKEN = 1000
"""What an embedding model costs in these tests, by its list price."""


def embedding_model(name: str, *upstream: str) -> str:
    return model(name, *upstream).replace('tier = "economy"', 'tier = "economy"\nkind = "embedding"')


def vector_of(text: Any, dimensions: int = 3) -> list[float]:
    """What the scripted provider answers: exact in 32 bits, and another one for every text."""
    seed = sum(json.dumps(text).encode())
    return [(seed + at) / 8 for at in range(dimensions)]


def embedded(received: Received) -> Reply:
    """The embeddings of what was asked, in the form that was asked, last one first."""
    asked = received.json
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    if inputs and isinstance(inputs[0], int):
        inputs = [inputs]
    data = []
    for at, item in enumerate(inputs):
        vector: Any = vector_of(item, asked.get("dimensions") or 3)
        if asked.get("encoding_format") == "base64":
            vector = b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": at, "embedding": vector})
    tokens = sum(len(item) for item in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_reply({"object": "list", "data": data[::-1], "model": "embed-upstream", "usage": usage})


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = (
        scripted(upstream)
        + "[providers.scripted.breaker]\nfailure_share = 2\n"
        + embedding_model("embed", "embed-2025")
        + embedding_model("second", "second-down", "second-up")
        + embedding_model("unused", "unused-2025")
        + embedding_model("limited", "limited-2025")
        + embedding_model("locked", "locked-2025")
        + f'[providers.ollama]\nprotocol = "ollama"\nbase_url = "{upstream.base_url.removesuffix("/v1")}"\n'
        + embedding_model("local", "local-up").replace('"scripted"', '"ollama"')
        + route("default", "embed", "second", "limited", "locked", "local", "small")
        + route("uncached", "embed", cache='mode = "off"')
        + route("together", "embed", cache='shared = "all"')
        + budget("teams.poor", 40 * NANO_PER_TOKEN)
    )
    with running_gateway(tmp_path_factory.mktemp("embeddings"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    return gateway.key()


@pytest.fixture
def asked(provider: Provider) -> Provider:
    """The provider, answering every request for embeddings."""
    for name in ("embed-2025", "second-up"):
        provider.script(name, embedded)
    return provider


@pytest.fixture
def client(gateway: RunningGateway, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        yield client


def post(gateway: RunningGateway, key: str, cache_control: str | None = None, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} | ({"cache-control": cache_control} if cache_control else {})
    return gateway.request("POST", "/v1/embeddings", json={"model": "embed"} | body, headers=headers)


# --- answers ------------------------------------------------------------------------------------------------


def test_a_text_gets_its_vector(client: OpenAI, gateway: RunningGateway, asked: Provider) -> None:
    answer = client.embeddings.with_raw_response.create(model="embed", input="One text, alone.")

    found = answer.parse()
    assert found.data[0].embedding == vector_of("One text, alone.")
    assert (found.model, found.usage.prompt_tokens, found.usage.total_tokens) == ("embed-upstream", 16, 16)
    assert answer.headers["x-thriftgate-cache"] == "miss"
    assert asked.calls[0].received.target == "/v1/embeddings"
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.actual_nano) == (16, 0, 16 * NANO_PER_TOKEN)
    assert (row.served_model, row.deployment, row.disposition) == ("embed", "scripted/embed-2025", "miss")


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_new_answer_reaches_the_client_byte_for_byte(
    gateway: RunningGateway, key: str, asked: Provider, encoding: str
) -> None:
    vector: Any = [0.10000000149011612, -2.5e-8, 1] if encoding == "float" else "AACAPwAAAEAAAEBA"
    raw = json.dumps(
        {"data": [{"index": 0, "embedding": vector, "future": 1}], "usage": {"prompt_tokens": 2}}, indent=2
    ).encode()
    asked.script("embed-2025", json_reply(raw))

    answer = post(gateway, key, input=f"Byte for byte, {encoding}.", encoding_format=encoding, novel={"x": 1})

    assert answer.content == raw
    assert asked.calls[0].received.json["novel"] == {"x": 1}


@pytest.mark.parametrize(
    "inputs",
    [["first", "second", "first", "third"], [[1, 2, 3], [4]], [5, 6, 7], "text"],
    ids=["texts", "lists of tokens", "tokens", "text"],
)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_every_form_of_input_is_known_the_second_time_in_either_encoding(
    gateway: RunningGateway, asked: Provider, inputs: Any, encoding: str
) -> None:
    key = gateway.key(team=f"forms-{encoding}")
    other = "base64" if encoding == "float" else "float"

    first = post(gateway, key, input=inputs, encoding_format=encoding)
    again = post(gateway, key, input=inputs, encoding_format=encoding)
    converted = post(gateway, key, input=inputs, encoding_format=other)

    assert len(asked.calls) == 1
    assert again.json()["data"] == first.json()["data"]
    assert [answer.headers["x-thriftgate-cache"] for answer in (first, again, converted)] == ["miss", "exact", "exact"]
    assert floats(converted.json()) == floats(first.json())
    assert again.json()["usage"] == first.json()["usage"]
    assert [item["index"] for item in again.json()["data"]] == list(range(len(first.json()["data"])))


def floats(body: Any) -> list[list[float]]:
    return [unpacked(item["embedding"]) for item in body["data"]]


def unpacked(vector: Any) -> list[float]:
    if not isinstance(vector, str):
        return list(vector)
    return [number for (number,) in struct.iter_unpack("<f", b64decode(vector))]


def test_of_a_batch_only_the_unknown_inputs_are_asked_for(
    gateway: RunningGateway, client: OpenAI, asked: Provider
) -> None:
    client.embeddings.create(model="embed", input=["apples", "pears"])

    answer = client.embeddings.with_raw_response.create(model="embed", input=["plums", "apples", "figs", "plums"])

    found = answer.parse()
    assert asked.calls[1].received.json["input"] == ["plums", "figs"]
    assert [item.embedding for item in found.data] == [vector_of(t) for t in ("plums", "apples", "figs", "plums")]
    assert found.usage.prompt_tokens == 5 + 6 + 4 + 5
    request_id = answer.headers["x-request-id"]
    call, saved = gateway.row(request_id=request_id), gateway.row(request_id=f"{request_id}/known")
    assert (call.disposition, call.cache_reason, call.input_tokens) == ("miss", "1 of 4 known", 9)
    assert (saved.disposition, saved.refers_to, saved.input_tokens) == ("exact", request_id, 11)
    assert (saved.actual_nano, saved.avoided_exact_nano) == (0, 11 * NANO_PER_TOKEN)
    assert (saved.usage_source, call.usage_source) == ("entry", "provider")
    assert answer.headers["x-thriftgate-cost-usd"] == "0.000009000"
    assert answer.headers["x-thriftgate-saved-usd"] == "0.000011000"


def test_what_is_known_costs_nothing_and_says_so(gateway: RunningGateway, client: OpenAI, asked: Provider) -> None:
    client.embeddings.create(model="embed", input="known before")

    answer = client.embeddings.with_raw_response.create(model="embed", input="known before")

    assert len(asked.calls) == 1
    assert answer.headers["x-thriftgate-cache"] == "exact"
    assert answer.headers["x-thriftgate-cost-usd"] == "0.000000000"
    assert answer.headers["x-thriftgate-saved-usd"] == "0.000012000"
    assert int(answer.headers["age"]) >= 0
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.avoided_exact_nano, row.baseline_nano, row.actual_nano) == (12_000, 12_000, 0)
    assert gateway.verification().problems == []


async def test_the_asynchronous_client_works_likewise(gateway: RunningGateway, key: str, asked: Provider) -> None:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        answer = await client.embeddings.create(model="embed", input=["one of two", "two of two"], dimensions=5)

    assert [item.embedding for item in answer.data] == [vector_of("one of two", 5), vector_of("two of two", 5)]
    assert asked.calls[0].received.json["dimensions"] == 5


def test_the_scripted_answers_are_what_official_clients_accept(asked: Provider) -> None:
    asked.script("local", embedded_by_ollama)

    with OpenAI(base_url=asked.base_url, api_key="none", max_retries=0) as client:
        found = client.embeddings.create(model="embed-2025", input=["a", "b"])
    with ollama.Client(host=asked.base_url.removesuffix("/v1")) as own:
        local = own.embed(model="local", input=["a", "b"])

    assert {item.index: item.embedding for item in found.data} == {0: vector_of("a"), 1: vector_of("b")}
    assert [list(vector) for vector in local.embeddings] == [vector_of("a"), vector_of("b")]


def embedded_by_ollama(received: Received) -> Reply:
    inputs = received.json["input"]
    vectors = [vector_of(item) for item in inputs]
    return json_reply({"model": "local", "embeddings": vectors, "prompt_eval_count": len(inputs)})


def test_a_local_server_of_another_protocol_serves_the_same_client(
    gateway: RunningGateway, client: OpenAI, provider: Provider
) -> None:
    provider.script("local-up", embedded_by_ollama)

    answers = [client.embeddings.create(model="local", input=["first", "second"]) for _ in range(2)]

    for answer in answers:
        assert [item.embedding for item in answer.data] == [vector_of("first"), vector_of("second")]
        assert answer.usage.prompt_tokens == 2
    (call,) = provider.calls
    assert call.received.target == "/api/embed"
    assert call.received.json == {"model": "local-up", "input": ["first", "second"], "truncate": False}


# --- who shares what ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"dimensions": 4}, {"task": "query"}, {"input": [115, 97]}, {"input": "the same text "}],
    ids=["dimensions", "an unknown field", "tokens", "a blank more"],
)
def test_what_may_make_another_vector_is_asked_for_anew(
    gateway: RunningGateway, asked: Provider, other: dict[str, Any]
) -> None:
    key = gateway.key(team=f"apart-{'-'.join(other)}-{len(str(other))}")
    post(gateway, key, input="the same text")

    answer = post(gateway, key, **({"input": "the same text"} | other))

    assert answer.headers["x-thriftgate-cache"] == "miss"


def test_teams_environments_and_routes_know_nothing_of_each_other(gateway: RunningGateway, asked: Provider) -> None:
    keys = [gateway.key(team="a"), gateway.key(team="b"), gateway.key(team="a", env="dev")]
    keys += [gateway.key(team="a", route="together"), gateway.key(team="a", app="other")]

    answers = [post(gateway, key, input="a secret text").headers["x-thriftgate-cache"] for key in keys]

    assert answers == ["miss", "miss", "miss", "miss", "exact"]


def test_a_route_may_share_among_teams(gateway: RunningGateway, asked: Provider) -> None:
    post(gateway, gateway.key(team="c", route="together"), input="a common text")

    answer = post(gateway, gateway.key(team="d", route="together"), input="a common text")

    assert answer.headers["x-thriftgate-cache"] == "exact"


def test_the_cache_directives_of_requests_hold(gateway: RunningGateway, key: str, asked: Provider) -> None:
    def disposed(cache_control: str | None) -> str:
        return str(post(gateway, key, cache_control, input="directed").headers["x-thriftgate-cache"])

    assert disposed("no-store") == "bypass"
    openai_error(post(gateway, key, "only-if-cached", input="directed"), 504, "not_cached")
    assert disposed(None) == "miss"
    assert disposed("no-cache") == "miss"
    assert disposed("only-if-cached") == "exact"
    assert disposed("max-age=0") == "miss"
    assert disposed("no-store") == "bypass"


def test_a_route_without_cache_asks_for_everything(gateway: RunningGateway, asked: Provider) -> None:
    key = gateway.key(route="uncached")

    answers = [post(gateway, key, input=["twice", "twice"]) for _ in range(2)]

    assert {answer.headers["x-thriftgate-cache-reason"] for answer in answers} == {"cache-off"}
    assert [call.received.json["input"] for call in asked.calls] == [["twice", "twice"]] * 2


def test_a_purge_forgets_embeddings_too(gateway: RunningGateway, asked: Provider) -> None:
    key = gateway.key(team="purged")
    post(gateway, key, input="to be forgotten")
    gateway.admin("POST", "/admin/cache/purge", team="purged")

    assert post(gateway, key, input="to be forgotten").headers["x-thriftgate-cache"] == "miss"


# --- refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x", ""]}, "input[1]"),
        ({"input": ["x", 5]}, "input[1]"),
        ({"input": [[1], []]}, "input[1]"),
        ({"input": [1, -2]}, "input[0]"),
        ({"input": [True]}, "input[0]"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "x", "model": 5}, "model"),
        ({"input": "x", "model": "small"}, "model"),
    ],
)
def test_a_bad_field_is_refused_by_name(
    gateway: RunningGateway, key: str, provider: Provider, fields: dict[str, Any], param: str
) -> None:
    openai_error(post(gateway, key, **fields), 400, param=param)
    assert provider.calls == []


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_model_of_embeddings_answers_no_messages_and_counts_none(
    gateway: RunningGateway, key: str, asked: Provider, path: str
) -> None:
    body = {"model": "embed", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}

    answer = gateway.request("POST", path, json=body, headers={"x-api-key": key})

    assert answer.status_code == 400
    assert "POST /v1/embeddings" in answer.json()["error"]["message"]
    assert asked.calls == []


def test_models_are_known_by_what_they_do(gateway: RunningGateway, key: str, client: OpenAI, asked: Provider) -> None:
    for name in ("nonesuch", "unused", "auto"):
        with pytest.raises(NotFoundError):
            client.embeddings.create(model=name, input="x")

    error = openai_error(gateway.chat(key, "Answer me.", model="embed"), 400, param="model")
    assert "/v1/embeddings" in error["message"]
    assert gateway.chat(key, "Answer me, whoever you are.").headers["x-thriftgate-model"] == "small"
    assert "embed" in [found.id for found in client.models.list()]


# --- budgets and failures -----------------------------------------------------------------------------------


def test_a_budget_holds_the_worst_case_of_a_batch(gateway: RunningGateway, asked: Provider) -> None:
    key = gateway.key(team="poor")

    error = openai_error(post(gateway, key, input="x" * 200), 429, "budget_exceeded")

    assert "team:poor" in error["message"]
    assert asked.calls == []
    assert gateway.budget("team:poor")["reserved_nano"] == 0


def test_another_deployment_of_the_same_model_stands_in(gateway: RunningGateway, key: str, asked: Provider) -> None:
    asked.script("second-down", error_reply(503))

    answer = post(gateway, key, model="second", input="fail over")

    assert answer.json()["data"][0]["embedding"] == vector_of("fail over")
    row = gateway.row(request_id=answer.headers["x-request-id"], kind="request")
    assert row.deployment == "scripted/second-up"
    assert [call.received.model for call in asked.calls] == ["second-down", "second-up"]


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (error_reply(400, "Too long an input."), 400),
        (json_reply({"data": []}), 502),
        (json_reply({"data": [{"index": 1, "embedding": [1]}]}), 502),
        (json_reply({"data": [{"index": 0}]}), 502),
        (json_reply(b"["), 502),
        (json_reply({"error": {"message": "no"}}), 502),
        ([CUT], 502),
    ],
)
def test_a_failure_is_an_error_with_a_row(
    gateway: RunningGateway, key: str, provider: Provider, reply: Reply, status: int
) -> None:
    provider.script("embed-2025", reply)

    answer = post(gateway, key, input=f"fail with {status}")

    openai_error(answer, status)
    row = gateway.row(request_id=answer.headers["x-request-id"], kind="request")
    assert row.status in ("upstream_error", "upstream_cut")
    assert gateway.status()["ledger"]["open_reservations"] == 0


@pytest.mark.parametrize(("name", "reply", "status"), [("limited", 429, 429), ("locked", 401, 502)])
def test_what_a_provider_says_of_our_key_is_not_told(
    gateway: RunningGateway, key: str, provider: Provider, name: str, reply: int, status: int
) -> None:
    provider.script(f"{name}-2025", error_reply(reply, "Wrong key sk-123.", retry_after="3"))

    answer = post(gateway, key, model=name, input="x")

    openai_error(answer, status)
    assert answer.headers.get("retry-after") == ("4" if status == 429 else None)


def test_a_wrong_key_is_401(gateway: RunningGateway) -> None:
    with (
        OpenAI(base_url=gateway.base_url, api_key="tg-wrong", max_retries=0) as stranger,
        pytest.raises(APIStatusError) as unknown,
    ):
        stranger.embeddings.create(model="embed", input="x")
    assert unknown.value.status_code == 401


def test_embeddings_are_known_after_a_restart(start_gateway: Any, provider: Provider, tmp_path: Path) -> None:
    provider.script("embed-2025", embedded)
    models = scripted(provider) + embedding_model("embed", "embed-2025")
    gateway = start_gateway(models + route("default", "embed", "small"), **ENVIRONMENT)
    key = gateway.key()
    post(gateway, key, input="kept for later")
    gateway.restart()

    assert post(gateway, key, input="kept for later").headers["x-thriftgate-cache"] == "exact"
    assert len(provider.calls) == 1

    gateway.stop()
    assert gateway.command("cache", "purge", "--env", "prod").returncode == 0
    gateway.start()
    assert post(gateway, key, input="kept for later").headers["x-thriftgate-cache"] == "miss"


def test_settings_that_cannot_hold_are_named() -> None:
    text = (
        '[providers.claude]\nprotocol = "anthropic"\nbase_url = "http://x.invalid"\nresponses = true\n'
        '[models.m]\ntier = "mid"\nkind = "embedding"\ndeployments = [{ provider = "claude" }]\n'
    )

    with pytest.raises(SettingsInvalid) as invalid:
        from_mapping(tomllib.loads(text), "it", {})

    assert [problem.partition(":")[0] for problem in invalid.value.problems] == [
        "providers.claude.responses",
        "models.m.deployments[0].provider",
    ]
