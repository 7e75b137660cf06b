"""`kill -9` under load, twenty times: what was acknowledged is in the ledger, once, and everything comes back."""

import http.client
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from router.ledger import tables
from tests.app.configuration import budget, model, route
from tests.app.provider import DONE
from tests.running import RunningGateway, eventually

ROUNDS = 20
CLIENTS = 8
CONFIGURATION = (
    "[providers.scripted.simulation]\nfirst_token_ms = 15\ntokens_per_s = 2000\n"
    + model("large", "large-2025")
    + model("fragile", "sim-503", "fragile-2025")
    + route("default", "large", "fragile", cache='start = "prior"')
    + budget("organisation", 10**12)
    + budget("teams.support", 10**12)
    + budget("teams.support.apps.faq-bot", 10**12)
)
KEPT = "How do I reset my password?"


class Load:
    """Clients that ask until the server is gone. `acknowledged` are the ids of answers that came in full."""

    def __init__(self, port: int, key: str, number: int) -> None:
        self.acknowledged: list[str] = []
        self.unexpected: list[str] = []
        self._port = port
        self._key = key
        self._number = number
        self._threads = [threading.Thread(target=self._run, args=(client,)) for client in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            for turn in range(100_000):
                self._ask(connection, client, turn)
        except (OSError, http.client.HTTPException):
            return  # killed
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, client: int, turn: int) -> None:
        streams = turn % 2 == 1
        # New questions, questions that others ask at the same time, and one that is in the cache.
        text = [
            f"How much is the article of round {self._number}, client {client} and turn {turn}?",
            f"What is the colour of thing {self._number} in turn {turn}?",
            KEPT,
        ][(client + turn // 2) % 3]
        name = "large" if text == KEPT or turn % 3 else "fragile"  # which fails at its first deployment
        body = {"model": name, "stream": streams, "messages": [{"role": "user", "content": text}]}
        headers = {"authorization": f"Bearer {self._key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()  # raises if it broke off
        is_whole = content.endswith(DONE) if streams else "choices" in json.loads(content)
        if answer.status == 200 and is_whole:
            self.acknowledged.append(answer.getheader("x-request-id") or "")
        else:
            self.unexpected.append(content.decode())


def test_after_kill_minus_nine_under_load_twenty_times_nothing_is_lost_and_nothing_is_twice(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    chance = random.Random(7)
    gateway = start_gateway(CONFIGURATION)
    key = gateway.key()
    kept = answer_of(gateway, key)
    gateway.restart()  # the entry is in the file
    acknowledged: list[str] = []
    under_way: dict[str, int] = {}

    for number in range(ROUNDS):
        load = Load(gateway.port, key, number)
        load.start()
        enough = chance.randint(CLIENTS, 60)
        eventually(lambda load=load, enough=enough: len(load.acknowledged) >= enough)
        gateway.kill()
        load.join()
        assert load.unexpected == []
        acknowledged += load.acknowledged
        lost = open_reservations(gateway)
        under_way |= lost

        gateway.start()

        status = gateway.status()
        rows = gateway.rows()
        times = Counter(row.request_id for row in rows if row.kind == "request")
        assert [found for found in acknowledged if times[found] != 1] == []
        assert [
            same for same, count in Counter((r.request_id, r.attempt, r.kind) for r in rows).items() if count > 1
        ] == []
        assert gateway.verification().problems == []

        assert status["ledger"]["recovered_at_start"] == len(lost)
        assert status["ledger"]["open_reservations"] == 0
        spent = sum(row.actual_nano or 0 for row in rows)
        assert {(found["spent_nano"], found["reserved_nano"]) for found in status["budgets"]} == {(spent, 0)}

        unknown = {f"{row.request_id}/{row.attempt}": row for row in rows if row.status == "unknown"}
        assert {found: row.actual_nano for found, row in unknown.items()} == under_way
        assert {row.pricing for row in unknown.values()} <= {"unknown"}
        assert not {row.request_id for row in unknown.values()} & set(acknowledged)

        again = gateway.chat(key, KEPT, model="large")
        assert again.headers["x-thriftgate-cache"] == "exact"
        assert again.json()["choices"][0]["message"]["content"] == kept

    assert len(acknowledged) > ROUNDS * CLIENTS
    assert len(under_way) > ROUNDS  # it was under load
    assert max(row.attempt for row in gateway.rows(kind="request", served_model="fragile")) > 1
    dispositions = {row.disposition for row in gateway.rows(kind="request", status="ok")}
    assert dispositions == {"miss", "exact", "coalesced"} | dispositions & {"semantic"}


def answer_of(gateway: RunningGateway, key: str) -> Any:
    return gateway.chat(key, KEPT, model="large").json()["choices"][0]["message"]["content"]


def open_reservations(gateway: RunningGateway) -> dict[str, int]:
    """What the dead server's file says was under way: reservation id and amount."""
    with gateway.ledger().connect() as connection:
        return {found.id: found.amount_nano for found in connection.execute(sa.select(tables.reservations))}
