"""`thriftgate budgets`: what is spent, and an alarm when a counter and the ledger disagree."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from router.ledger import tables
from tests.app.configuration import ENVIRONMENT, budget, route, scripted
from tests.app.provider import Provider
from tests.running import RunningGateway, eventually, running_gateway

TEAM = "team:support"


@pytest.fixture(scope="module")
def gateway(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    text = scripted(upstream) + route("default") + budget("organisation", 10**12) + budget("teams.support", 10**12)
    with running_gateway(tmp_path_factory.mktemp("commands"), text, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture
def spent(gateway: RunningGateway) -> int:
    """What the team has spent, after one more request."""
    number = len(gateway.rows())
    assert gateway.chat(gateway.key(), f"What is the number {number}?", model="large").status_code == 200
    return int(gateway.budget(TEAM)["spent_nano"])


def rebook(gateway: RunningGateway, nano: int) -> None:
    """Changes a row behind the server's back."""
    newest = sa.select(sa.func.max(tables.rows.c.seq)).scalar_subquery()
    with gateway.ledger().begin() as connection:
        changed = tables.rows.c.actual_nano + nano
        connection.execute(tables.rows.update().where(tables.rows.c.seq == newest).values(actual_nano=changed))


def test_status_is_what_the_bare_command_says_too(gateway: RunningGateway, spent: int) -> None:
    bare, status = gateway.command("budgets"), gateway.command("budgets", "status")

    assert bare.returncode == status.returncode == 0
    assert bare.stdout == status.stdout
    assert TEAM in status.stdout
    assert "month, UTC" in status.stdout


@pytest.mark.parametrize("arguments", [("budgets", "--json"), ("budgets", "status", "--json")])
def test_status_for_machines_has_every_counter(gateway: RunningGateway, spent: int, arguments: tuple[str, ...]) -> None:
    found = {each["name"]: each for each in json.loads(gateway.command(*arguments).stdout)}

    assert found[TEAM]["spent_nano"] == spent
    assert found[TEAM] | {"name": "organisation"} == found["organisation"]


def test_counters_that_agree_with_the_ledger_are_good(gateway: RunningGateway, spent: int) -> None:
    said = gateway.command("budgets", "reconcile")

    assert said.returncode == 0, said.stderr
    assert "agrees" in said.stdout
    found = json.loads(gateway.command("budgets", "reconcile", "--json").stdout)
    assert found["is_good"]
    assert {each["counter_nano"] for each in found["budgets"] if each["name"] == TEAM} == {spent}


def test_drift_is_an_alarm_and_an_exit_code(gateway: RunningGateway, spent: int) -> None:
    rebook(gateway, 17)
    try:
        said = gateway.command("budgets", "reconcile")
        found = json.loads(gateway.command("budgets", "reconcile", "--json").stdout)
    finally:
        rebook(gateway, -17)

    assert said.returncode == 1
    assert "differ" in said.stderr
    drifts = {each["name"]: each["counter_nano"] - each["ledger_nano"] for each in found["budgets"]}
    assert {name: nano for name, nano in drifts.items() if nano} == {"organisation": -17, TEAM: -17}
    assert f'thriftgate_budget_drift_nano_usd{{budget="{TEAM}"}} -17.0' in gateway.request("GET", "/metrics").text
    assert eventually(lambda: "budget counter differs from the ledger" in gateway.log)
    assert gateway.command("budgets", "reconcile").returncode == 0


def test_a_reservation_that_nobody_holds_is_an_alarm(gateway: RunningGateway, spent: int) -> None:
    orphan = {"id": "req_gone/1", "amount_nano": 5, "draft": msgspec.json.encode(gateway.rows()[-1])}
    with gateway.ledger().begin() as connection:
        connection.execute(tables.reservations.insert().values(**orphan))
    try:
        said = gateway.command("budgets", "reconcile")
    finally:
        with gateway.ledger().begin() as connection:
            connection.execute(tables.reservations.delete())

    assert said.returncode == 1
    assert "req_gone/1" in said.stdout


def test_reconciling_needs_the_admin_token(gateway: RunningGateway) -> None:
    assert gateway.request("POST", "/admin/budgets/reconcile").status_code == 401


def test_without_a_server_there_is_nothing_to_differ(gateway: RunningGateway, spent: int) -> None:
    gateway.stop()
    try:
        said = gateway.command("budgets", "reconcile")
        status = json.loads(gateway.command("budgets", "status", "--json").stdout)
    finally:
        gateway.start()

    assert said.returncode == 0
    assert "No server runs" in said.stdout
    assert {each["spent_nano"] for each in status} == {spent}
