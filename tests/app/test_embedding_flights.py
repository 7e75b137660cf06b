"""Embeddings under way: the same input is asked for once, and nobody's call outlives everybody who wants it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import APIStatusError, AsyncOpenAI, OpenAI

from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import HANG, Gate, Provider, error_reply
from tests.app.test_embeddings import NANO_PER_TOKEN, embedded, embedding_model, vector_of
from tests.running import RunningGateway, eventually, running_gateway


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = (
        scripted(upstream)
        + "[providers.scripted.breaker]\nfailure_share = 2\nfailures_in_a_row = 0\n"
        + embedding_model("embed", "embed-2025")
        + route("default", "embed", "small")
        + route("uncached", "embed", cache='mode = "off"')
        + budget("organisation", 10**12)
    )
    with running_gateway(tmp_path_factory.mktemp("flights"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def balanced(gateway: RunningGateway) -> Iterator[None]:
    """After every test nothing is reserved, and the chain verifies."""
    yield
    eventually(lambda: gateway.budget("organisation")["reserved_nano"] == 0)
    assert gateway.status()["ledger"]["open_reservations"] == 0
    assert gateway.verification().problems == []


def held(gate: Gate) -> Any:
    """The embeddings of what was asked, once the test lets them go."""
    return lambda received: [gate, *embedded(received)]


def asynchronous(gateway: RunningGateway, key: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0)


async def until(look: Any) -> None:
    """Waits, without stopping the other tasks of the test, until this is true."""
    await asyncio.to_thread(eventually, look)


async def test_the_same_inputs_at_the_same_time_are_asked_for_once(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("embed-2025", held(gate))
    async with asynchronous(gateway, key) as client:
        asking = client.embeddings.with_raw_response.create
        first = asyncio.create_task(asking(model="embed", input=["one", "two"]))
        await until(lambda: gate.arrived == 1)
        others = [
            asyncio.create_task(asking(model="embed", input=inputs)) for inputs in ("two", ["one", "three"], ["one"])
        ]
        await until(lambda: gate.arrived == 2)
        # Three round trips later the last one has been handled as well: it waits for the first call.
        for _ in range(5):
            await asyncio.to_thread(gateway.status)
        gate.open()
        answers = [await each for each in (first, *others)]

    assert [call.received.json["input"] for call in provider.calls] == [["one", "two"], ["three"]]
    told = [[item.embedding for item in answer.parse().data] for answer in answers]
    assert told == [
        [vector_of("one"), vector_of("two")],
        [vector_of("two")],
        [vector_of("one"), vector_of("three")],
        [vector_of("one")],
    ]
    dispositions = [answer.headers["x-thriftgate-cache"] for answer in answers]
    assert dispositions == ["miss", "coalesced", "miss", "coalesced"]
    joined = gateway.row(request_id=answers[1].headers["x-request-id"])
    assert (joined.disposition, joined.cache_reason, joined.actual_nano) == ("coalesced", "in-flight", 0)
    assert (joined.input_tokens, joined.avoided_coalesced_nano) == (3, 3 * NANO_PER_TOKEN)
    mixed = answers[2].headers["x-request-id"]
    part = gateway.row(request_id=f"{mixed}/joined")
    assert (part.refers_to, part.input_tokens, part.avoided_coalesced_nano) == (mixed, 3, 3 * NANO_PER_TOKEN)


@pytest.mark.parametrize("how", ["another team", "another route", "no-store", "no-cache"])
async def test_who_shares_nothing_joins_nobody(gateway: RunningGateway, key: str, provider: Provider, how: str) -> None:
    gate = provider.gate()
    provider.script("embed-2025", held(gate))
    other = {"another team": gateway.key(team="others"), "another route": gateway.key(route="uncached")}.get(how, key)
    headers = {"cache-control": how} if how.startswith("no-") else {}
    text = f"Not shared: {how}."
    async with asynchronous(gateway, key) as one, asynchronous(gateway, other) as two:
        first = asyncio.create_task(one.embeddings.create(model="embed", input=text))
        await until(lambda: gate.arrived == 1)
        second = asyncio.create_task(two.embeddings.create(model="embed", input=text, extra_headers=headers))
        await until(lambda: gate.arrived == 2)
        gate.open()
        await asyncio.gather(first, second)

    assert len(provider.calls) == 2


async def test_a_client_that_leaves_ends_its_call(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("embed-2025", [HANG])
    async with asynchronous(gateway, key) as client:
        leaving = asyncio.create_task(client.embeddings.create(model="embed", input="left alone"))
        await until(lambda: provider.calls)
        leaving.cancel()

        await until(lambda: provider.calls[0].is_hung_up.is_set())

    assert gateway.row(deployment="scripted/embed-2025", status="client_closed").error_class is None


async def test_a_client_that_leaves_takes_nothing_from_those_who_wait(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("embed-2025", held(gate))
    async with asynchronous(gateway, key) as client:
        leaving = asyncio.create_task(client.embeddings.create(model="embed", input="wanted by two"))
        await until(lambda: gate.arrived == 1)
        staying = asyncio.create_task(client.embeddings.create(model="embed", input="wanted by two"))
        await until(lambda: gateway.status()["in_flight"] == 2)
        for _ in range(5):
            await asyncio.to_thread(gateway.status)
        leaving.cancel()
        await until(lambda: gateway.status()["in_flight"] == 1)
        for _ in range(5):
            await asyncio.to_thread(gateway.status)
        gate.open()
        found = await staying

    assert found.data[0].embedding == vector_of("wanted by two")
    assert len(provider.calls) == 1
    assert provider.calls[0].is_answered.is_set()


async def test_a_failure_is_its_own_clients_and_others_ask_for_themselves(
    gateway: RunningGateway, key: str, provider: Provider
) -> None:
    gate = provider.gate()
    provider.script("embed-2025", lambda _: [gate, *error_reply(400, "Not this time.")], embedded)
    async with asynchronous(gateway, key) as client:
        first = asyncio.create_task(client.embeddings.create(model="embed", input="fails once"))
        await until(lambda: gate.arrived == 1)
        second = asyncio.create_task(client.embeddings.create(model="embed", input="fails once"))
        await until(lambda: gateway.status()["in_flight"] == 2)
        for _ in range(5):
            await asyncio.to_thread(gateway.status)
        gate.open()
        with pytest.raises(APIStatusError, match="Not this time"):
            await first
        found = await second

    assert found.data[0].embedding == vector_of("fails once")
    assert len(provider.calls) == 2


@pytest.mark.parametrize("purge", [{"team": "support"}, {"route": "default"}, {"all": True}])
async def test_what_is_on_its_way_when_its_team_or_route_is_purged_is_neither_shared_nor_stored(
    gateway: RunningGateway, key: str, provider: Provider, purge: dict[str, Any]
) -> None:
    text, before, after = f"purged on its way: {purge}", provider.gate(), provider.gate()
    provider.script("embed-2025", held(before), held(after))
    async with asynchronous(gateway, key) as client:
        asking = client.embeddings.with_raw_response.create
        first = asyncio.create_task(asking(model="embed", input=text))
        await until(lambda: before.arrived == 1)
        await asyncio.to_thread(gateway.admin, "POST", "/admin/cache/invalidate", **purge)
        second = asyncio.create_task(asking(model="embed", input=text))
        await until(lambda: after.arrived == 1)
        before.open()
        assert (await first).headers["x-thriftgate-cache"] == "miss"
        third = asyncio.create_task(asking(model="embed", input=text))
        for _ in range(5):
            await asyncio.to_thread(gateway.status)
        after.open()
        dispositions = [(await each).headers["x-thriftgate-cache"] for each in (second, third)]
        assert dispositions == ["miss", "coalesced"]
        assert (await asking(model="embed", input=text)).headers["x-thriftgate-cache"] == "exact"

    assert len(provider.calls) == 2


def test_what_is_asked_for_once_is_stored_for_later(gateway: RunningGateway, key: str, provider: Provider) -> None:
    provider.script("embed-2025", embedded)
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        client.embeddings.create(model="embed", input="stored as before")
        again = client.embeddings.with_raw_response.create(model="embed", input="stored as before")

    assert again.headers["x-thriftgate-cache"] == "exact"
    assert len(provider.calls) == 1


def test_the_simulated_provider_makes_embeddings_too(start_gateway: Any) -> None:
    gateway = start_gateway("")
    with OpenAI(base_url=gateway.base_url, api_key=gateway.development_key, max_retries=0) as client:
        answer = client.embeddings.create(
            model="text-embedding-3-small", input=["reset my password", "my password reset", "opening hours"]
        )
        first, second, third = (item.embedding for item in answer.data)
        packed = client.embeddings.create(model="text-embedding-3-small", input="reset my password", dimensions=256)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert (len(first), len(packed.data[0].embedding)) == (1536, 256)
    assert likeness(first, first) == pytest.approx(1.0, abs=1e-4)
    assert likeness(first, second) > 0.99 > 0.3 > abs(likeness(first, third))
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0
