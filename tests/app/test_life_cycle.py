"""A server that goes on: through a changed configuration, a locked file, and providers that nobody has called yet."""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Final

import pytest

from tests.app.configuration import ENVIRONMENT, budget, model, route, scripted
from tests.app.openai_error import openai_error
from tests.app.provider import DONE, Provider, chat_body, error_reply, json_reply, stream_reply, streamed
from tests.running import RunningGateway, eventually

QUESTION = "How do I reset my password?"
QUESTION_TO_AUTO: Final = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}]}


def configuration(provider: Provider, *routes: str) -> str:
    return (
        scripted(provider) + "".join(routes or [route("default", "large", "small")]) + budget("teams.support", 10**12)
    )


def rewritten(gateway: RunningGateway, old: str, new: str) -> None:
    """Changes the configuration file."""
    text = gateway.configuration.read_text(encoding="utf-8")
    assert old in text
    gateway.configuration.write_text(text.replace(old, new), encoding="utf-8")


def hang_up(gateway: RunningGateway) -> None:
    """Sends the signal and waits until the server has dealt with it."""
    before = gateway.log.count("configuration reloaded") + gateway.log.count("configuration not reloaded")
    gateway.tell(signal.SIGHUP)
    eventually(
        lambda: gateway.log.count("configuration reloaded") + gateway.log.count("configuration not reloaded") > before
    )


def by_admin(gateway: RunningGateway) -> None:
    gateway.request("POST", "/admin/reload", headers={"authorization": f"Bearer {gateway.admin_token}"})


RELOADS = pytest.mark.parametrize("reload", [hang_up, by_admin], ids=["SIGHUP", "admin"])


# --- a changed configuration --------------------------------------------------------------------------------------


@RELOADS
def test_a_reload_takes_up_new_routes_models_and_providers(
    start_gateway: Callable[..., RunningGateway], provider: Provider, reload: Callable[[RunningGateway], None]
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    more = (
        f'[providers.another]\nbase_url = "{provider.base_url}"\npriced_as = "openai"\n'
        + model("fresh", "fresh-a", provider="another")
        + route("second", "fresh")
    )
    gateway.configuration.write_text(gateway.configuration.read_text(encoding="utf-8") + more, encoding="utf-8")

    reload(gateway)

    answer = gateway.chat(gateway.key(route="second"), QUESTION, model="fresh")
    assert (answer.status_code, answer.headers["x-thriftgate-model"]) == (200, "fresh")
    assert gateway.chat(gateway.key(), QUESTION, model="large").status_code == 200


def test_of_a_model_that_a_reload_brings_is_learned_at_once(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    more = model("fresh", "fresh-a") + route("second", "fresh", "small", cache="mode = 'off'")
    gateway.configuration.write_text(gateway.configuration.read_text(encoding="utf-8") + more, encoding="utf-8")
    hang_up(gateway)
    headers = {"authorization": f"Bearer {gateway.key(route='second')}"}

    def expected() -> float:
        """The quality that is expected of the new model's next answer."""
        answer = gateway.request("POST", "/v1/chat/completions", json=QUESTION_TO_AUTO, headers=headers)
        row = gateway.row(request_id=answer.headers["x-request-id"])
        qualities = {name: quality for name, quality, _ in json.loads(row.routing or "")["candidates"]}
        return float(qualities["fresh"])

    before = expected()
    answer = gateway.request(
        "POST", "/v1/chat/completions", json=QUESTION_TO_AUTO | {"model": "fresh"}, headers=headers
    )
    bad = {"request_id": answer.headers["x-request-id"], "thumb": "down"}
    said = gateway.request("POST", "/v1/feedback", json=bad, headers=headers).json()

    assert said["counted"]
    assert expected() < before


def test_a_reload_names_models_without_a_price(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    more = '[models.odd]\ntier = "economy"\n[[models.odd.deployments]]\nprovider = "scripted"\nmodel = "odd-a"\n'
    gateway.configuration.write_text(gateway.configuration.read_text(encoding="utf-8") + more, encoding="utf-8")

    hang_up(gateway)

    told = [line for line in gateway.log.splitlines() if "no list price" in line]
    assert [json.loads(line)["deployment"] for line in told] == ["scripted/odd-a"]


def test_a_provider_that_was_simulated_is_called_after_a_reload(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    simulated = "[providers.scripted.simulation]\n"
    gateway = start_gateway(configuration(provider) + simulated, **ENVIRONMENT)
    assert gateway.chat(gateway.key(), QUESTION, model="large").status_code == 200
    assert not provider.calls
    rewritten(gateway, simulated, "")

    hang_up(gateway)

    assert gateway.chat(gateway.key(), "And how do I change my address?", model="large").status_code == 200
    assert len(provider.calls) == 1


@RELOADS
def test_a_reload_keeps_the_cache_the_counters_and_the_keys(
    start_gateway: Callable[..., RunningGateway], provider: Provider, reload: Callable[[RunningGateway], None]
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    key = gateway.key()
    gateway.chat(key, QUESTION, model="large")
    spent = gateway.budget("team:support")["spent_nano"]
    rewritten(gateway, "retries = 0", "retries = 1")

    reload(gateway)

    assert gateway.chat(key, QUESTION, model="large").headers["x-thriftgate-cache"] == "exact"
    assert gateway.budget("team:support")["spent_nano"] == spent > 0
    assert len(provider.calls) == 1


def test_a_reload_keeps_the_breakers_of_what_has_not_changed(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider, route("default", "large", cache="mode = 'off'")), **ENVIRONMENT)
    provider.script("large-2025", error_reply(500))
    key = gateway.key()
    for at in range(6):
        gateway.chat(key, f"Broken {at}?", model="large")
    rewritten(gateway, "mode = 'off'", "mode = 'exact'")

    hang_up(gateway)

    assert gateway.deployment("scripted/large-2025")["breaker"] != "closed"


def test_an_answer_under_way_goes_on_through_a_reload_that_takes_its_model_away(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    gate = provider.gate()
    events = streamed(["Still ", "here."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))

    with gateway.stream(gateway.key(), QUESTION, model="large") as answer:
        parts = answer.iter_raw()
        seen = next(parts)
        rewritten(gateway, 'models = ["large", "small"]', 'models = ["small"]')
        hang_up(gateway)
        gate.open()
        seen += b"".join(parts)

    assert seen.endswith(DONE)
    assert gateway.chat(gateway.key(), "And now?", model="large").status_code == 404
    assert gateway.verification().problems == []


@RELOADS
def test_a_wrong_file_changes_nothing_and_is_told(
    start_gateway: Callable[..., RunningGateway], provider: Provider, reload: Callable[[RunningGateway], None]
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    rewritten(gateway, 'models = ["large", "small"]', 'models = ["large", "nobody"]\nflor = "mid"')

    reload(gateway)

    assert gateway.chat(gateway.key(), QUESTION, model="small").status_code == 200
    assert "not reloaded" in gateway.log
    assert "routes.default.flor" in gateway.log


def test_the_admin_hears_every_mistake_of_a_wrong_file_at_once(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    rewritten(gateway, 'models = ["large", "small"]', 'models = ["large", "nobody"]')
    rewritten(gateway, "retries = 0", "retries = -1")

    headers = {"authorization": f"Bearer {gateway.admin_token}"}
    said = openai_error(gateway.request("POST", "/admin/reload", headers=headers), 400)["message"]

    assert "nobody" in said
    assert "providers.scripted.retries" in said


def test_the_admin_hears_what_has_changed_and_what_only_a_start_can_change(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    rewritten(gateway, "port = 0", "port = 1\nmax_in_flight = 7")
    rewritten(gateway, "retries = 0", "retries = 1")

    first, second = gateway.admin("POST", "/admin/reload"), gateway.admin("POST", "/admin/reload")

    assert first == {"changed": ["providers.scripted", "server.max_in_flight"], "needs_restart": ["server.port"]}
    assert second == {"changed": [], "needs_restart": ["server.port"]}


def test_a_key_that_was_changed_in_its_file_is_used_after_a_reload(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider, route("default", "large", cache="mode = 'off'")), **ENVIRONMENT)
    secret = gateway.folder / "secret"
    secret.write_text("sk-rotated-9999", encoding="utf-8")
    rewritten(gateway, '"env:SCRIPTED_KEY"', f'"file:{secret}"')

    said = gateway.admin("POST", "/admin/reload")
    gateway.chat(gateway.key(), QUESTION, model="large")

    assert provider.calls[-1].received.headers["authorization"] == "Bearer sk-rotated-9999"
    assert "sk-rotated" not in str(said) + gateway.log


# --- budgets that change while requests run ---------------------------------------------------------------------


@RELOADS
def test_a_reload_raises_and_lowers_caps(
    start_gateway: Callable[..., RunningGateway], provider: Provider, reload: Callable[[RunningGateway], None]
) -> None:
    gateway = start_gateway(configuration(provider, route("default", "large", cache="mode = 'off'")), **ENVIRONMENT)
    key = gateway.key()
    gateway.chat(key, QUESTION, model="large")
    spent = gateway.budget("team:support")["spent_nano"]
    rewritten(gateway, "usd = 1000.000000000", "usd = 0.000000001")
    reload(gateway)
    refused = gateway.chat(key, QUESTION, model="large")

    rewritten(gateway, "usd = 0.000000001", "usd = 5.000000000")
    reload(gateway)

    assert refused.status_code == 429
    assert gateway.chat(key, QUESTION, model="large").status_code == 200
    assert gateway.budget("team:support")["spent_nano"] == 2 * spent > 0


def test_a_budget_that_is_new_knows_what_was_spent_before_and_is_under_way(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider, route("default", "large", cache="mode = 'off'")), **ENVIRONMENT)
    key = gateway.key()
    gateway.chat(key, QUESTION, model="large")
    gate, events = provider.gate(), streamed(["Still ", "here."])
    provider.script("large-2025", stream_reply([*events[:2], gate, *events[2:]]))
    with gateway.stream(key, QUESTION, model="large") as answer:
        parts = answer.iter_raw()
        next(parts)
        more = budget("organisation", 10**12, period="day")
        gateway.configuration.write_text(gateway.configuration.read_text(encoding="utf-8") + more, encoding="utf-8")

        said = gateway.admin("POST", "/admin/reload")

        under_way = gateway.budget("organisation")
        gate.open()
        assert b"".join(parts).endswith(DONE)

    after = gateway.budget("organisation")
    assert said == {"changed": ["organisation.budget"], "needs_restart": []}
    assert (under_way["spent_nano"] > 0, under_way["reserved_nano"] > 0) == (True, True)
    assert (after["reserved_nano"], after["spent_nano"]) == (0, gateway.budget("team:support")["spent_nano"])
    assert gateway.command("budgets", "reconcile").returncode == 0


def test_a_reload_bounds_the_cache_anew(start_gateway: Callable[..., RunningGateway], provider: Provider) -> None:
    gateway = start_gateway(configuration(provider) + "[cache]\nmax_entries = 50\n", **ENVIRONMENT)
    key = gateway.key()
    questions = [f"How do I bake {bread} bread?" for bread in ("rye", "wheat", "corn", "spelt")]
    for question in questions[:3]:
        gateway.chat(key, question, model="large")
    eventually(lambda: gateway.status()["cache"]["entries"] == 3)
    rewritten(gateway, "max_entries = 50", "max_entries = 1")
    assert gateway.admin("POST", "/admin/reload")["changed"] == ["cache.max_entries"]

    gateway.chat(key, questions[3], model="large")

    eventually(lambda: gateway.status()["cache"]["entries"] == 1)


def test_curated_answers_that_a_reload_has_superseded_make_room_for_others(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    versioned = route("default", "large", cache='start = "prior"\nknowledge_version = "v0"')
    gateway = start_gateway(f"{scripted(provider)}{versioned}[cache]\nmax_entries = 3\n", **ENVIRONMENT)
    key = gateway.key(team="support")
    items = [{"question": question, "answer": "So."} for question in ("What is rye?", "What is spelt?")]
    for number in range(3):
        if number:
            rewritten(gateway, f'"v{number - 1}"', f'"v{number}"')
            gateway.admin("POST", "/admin/reload")
        gateway.admin("POST", "/admin/cache/warm", team="support", route="default", items=items)
    assert gateway.status()["cache"]["entries"] == 3

    asked = [gateway.chat(key, "How do I bake bread?", model="large") for _ in range(2)]

    assert [answer.headers["x-thriftgate-cache"] for answer in asked] == ["miss", "exact"]
    assert gateway.chat(key, "What is rye?", model="large").json()["choices"][0]["message"]["content"] == "So."
    assert gateway.status()["cache"]["curated"] == 2


# --- files that others hold ---------------------------------------------------------------------------------------


def test_while_somebody_else_locks_the_ledger_nothing_is_acknowledged_and_then_it_goes_on(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    key = gateway.key()
    with closing(sqlite3.connect(gateway.data_dir / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        openai_error(gateway.chat(key, QUESTION, model="large"), 503, "ledger_unavailable")

        assert provider.calls == []
        assert gateway.request("GET", "/health/live").status_code == 200
        other.execute("ROLLBACK")

    assert gateway.chat(key, QUESTION, model="large").status_code == 200
    assert gateway.verification().problems == []
    assert gateway.budget("team:support")["reserved_nano"] == 0


def test_while_somebody_else_locks_the_cache_requests_are_answered(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(configuration(provider), **ENVIRONMENT)
    key = gateway.key()
    with closing(sqlite3.connect(gateway.data_dir / "cache.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert gateway.chat(key, QUESTION, model="large").status_code == 200
        assert gateway.chat(key, "Another one?", model="large").status_code == 200

        other.execute("ROLLBACK")

    assert gateway.verification().problems == []


# --- providers that nobody calls ------------------------------------------------------------------------------------


def idle(provider: Provider) -> str:
    settings = 'health_check_s = 1\nbreaker.least_calls = 2\nbreaker.open_s = 600\npriced_as = "openai"\nretries = 0\n'
    second = f'[providers.spare]\nbase_url = "{provider.base_url}"\n{settings}'
    deployment = '[[models.large.deployments]]\nprovider = "spare"\nmodel = "large-b"\n'
    return scripted(provider, health_check_s=0).replace(
        "[models.medium]", deployment + second + "[models.medium]"
    ) + route("default", "large", cache="mode = 'off'")


def test_an_idle_provider_is_asked_for_its_models_and_never_for_an_answer(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    gateway = start_gateway(idle(provider), **ENVIRONMENT)

    eventually(lambda: provider.checks >= 2)

    assert provider.calls == []
    assert gateway.rows() == []
    assert gateway.deployment("spare/large-b")["breaker"] == "closed"


def test_an_idle_provider_that_is_down_is_out_before_a_client_asks_and_in_again_when_it_is_back(
    start_gateway: Callable[..., RunningGateway], provider: Provider
) -> None:
    provider.check_status = 503
    gateway = start_gateway(idle(provider), **ENVIRONMENT)
    eventually(lambda: gateway.deployment("spare/large-b")["breaker"] == "open")

    provider.check_status = 200
    eventually(lambda: gateway.deployment("spare/large-b")["breaker"] == "half_open")

    provider.script("large-2025", error_reply(500))
    provider.script("large-b", json_reply(chat_body("I am back.")))
    assert "I am back." in gateway.chat(gateway.key(), QUESTION, model="large").text
    assert gateway.deployment("spare/large-b")["breaker"] == "closed"
