"""At the door of a process that is late: a proper refusal at once, on a connection that goes on being one."""

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from app.door import Door, guarded_protocol
from app.lateness import Lateness
from app.main import create_app
from app.services import Services
from app.settings import from_mapping

CONFIGURATION = """
[providers.simulated]
priced_as = "openai"
[providers.simulated.simulation]
[models.small]
tier = "economy"
deployments = [{ provider = "simulated", list_price = { input = 1, output = 4 } }]
[routes.payments]
models = ["small"]
priority = "high"
cache.mode = "off"
[routes.summaries]
models = ["small"]
priority = "low"
cache.mode = "off"
"""


class Late(Lateness):
    """So late, whatever is measured, that all from this place on go without."""

    def __init__(self, place: int) -> None:
        super().__init__()
        self._place = place
        self.is_overload = True

    def took(self, round_s: float, now: float) -> None:
        pass

    def comes_in(self, place: int, now: float) -> bool:
        return place < self._place


class Running:
    """A gateway in this process."""

    def __init__(self, services: Services, port: int) -> None:
        self.services = services
        self.port = port

    def be_late_for(self, place: int) -> None:
        self.services.gate.lateness = Late(place)

    def key(self, route: str, env: str = "prod") -> str:
        return self.services.create_key("support", "bot", env, route, None)[1]

    async def exchange(self, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
        """Sends these one after the other on one connection; every answer as status, headers and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answers = []
        for request in requests:
            writer.write(request)
            answers.append(await answer_in(reader))
        writer.close()
        return answers


async def answer_in(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def chat(
    key: str, path: str = "/v1/chat/completions", text: str = "Hello?", version: str = "1.1", **more: str
) -> bytes:
    body = json.dumps({"model": "small", "max_tokens": 50, "messages": [{"role": "user", "content": text}]}).encode()
    fields = {"host": "localhost", "authorization": f"Bearer {key}", "content-length": str(len(body))} | more
    lines = [f"POST {path} HTTP/{version}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    places: dict[str, Any] = {"server": {"data_dir": str(tmp_path / "data")}}
    app = create_app(from_mapping(tomllib.loads(CONFIGURATION) | places, "test", {}))
    config = uvicorn.Config(app, port=0, http=guarded_protocol(5, Door(app)), lifespan="on", log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  it tells nobody
        await asyncio.sleep(0.01)
    yield Running(app.state.services, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving


async def test_who_is_turned_away_gets_a_proper_error_and_may_ask_again_on_the_same_connection(
    gateway: Running,
) -> None:
    key = gateway.key("summaries")
    gateway.be_late_for(0)

    (status, headers, body), again, alive = await gateway.exchange(
        chat(key), chat(key), b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    )

    assert (status, again[0], alive[0]) == (503, 503, 200)
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == ("overloaded", "server_error")
    assert int(headers["retry-after"]) >= 1
    assert headers["x-request-id"].startswith("req_")
    assert headers["x-request-id"] != again[1]["x-request-id"]
    assert b'thriftgate_errors_total{code="overloaded",status="503"} 2.0' in gateway.services.observer.exposition()


async def test_when_the_process_has_caught_up_the_same_connection_is_served(gateway: Running) -> None:
    key = gateway.key("summaries")
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    gateway.be_late_for(0)
    writer.write(chat(key))
    assert (await answer_in(reader))[0] == 503

    gateway.services.gate.lateness = Lateness()
    writer.write(chat(key))
    assert (await answer_in(reader))[0] == 200
    writer.close()


async def test_the_important_are_let_in_while_others_go_without(gateway: Running) -> None:
    keys = [gateway.key("payments"), gateway.key("summaries"), gateway.key("payments", "dev"), "sk-tg-nobody"]

    async def let_in(place: int) -> list[bool]:
        gateway.be_late_for(place)
        return [status != 503 for status, _, _ in await gateway.exchange(*(chat(key) for key in keys))]

    assert await let_in(1) == [True, False, False, False]
    assert await let_in(3) == [True, True, False, False]
    assert await let_in(6) == [True, True, True, False]
    assert await let_in(7) == [True, True, True, True]  # the unknown key gets its 401


async def test_probes_and_operators_get_through_whatever_happens(gateway: Running) -> None:
    gateway.be_late_for(0)

    found = await gateway.exchange(
        *(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode() for path in ("/health/ready", "/metrics"))
    )

    assert [status for status, _, _ in found] == [200, 200]


async def test_a_body_of_many_parts_is_read_and_forgotten(gateway: Running) -> None:
    key = gateway.key("summaries")
    gateway.be_late_for(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    long = chat(key, text="word " * 100_000)

    writer.write(long[:1000])
    assert (await answer_in(reader))[0] == 503  # before the rest has come
    writer.write(long[1000:] + chat(key))

    assert (await answer_in(reader))[0] == 503
    writer.close()


@pytest.mark.parametrize(
    "request_", [{"version": "1.0"}, {"connection": "close"}, {"expect": "100-continue"}], ids=lambda given: str(given)
)
async def test_a_connection_that_cannot_go_on_is_closed(gateway: Running, request_: dict[str, str]) -> None:
    gateway.be_late_for(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    asked = chat(gateway.key("summaries"), **request_)
    writer.write(asked if "expect" not in request_ else asked.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")

    status, headers, _ = await answer_in(reader)

    assert (status, headers["connection"]) == (503, "close")
    assert await reader.read() == b""
    writer.close()


async def test_anthropics_clients_read_it_in_their_own_form(gateway: Running) -> None:
    gateway.be_late_for(0)

    ((status, headers, body),) = await gateway.exchange(chat(gateway.key("summaries"), "/v1/messages"))

    assert status == 503
    assert json.loads(body)["type"] == "error"
    assert headers["request-id"] == headers["x-request-id"]
