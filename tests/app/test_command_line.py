"""The command line: teaches, works on a running and on a stopped server, and says what was wrong."""

import csv
import io
import json
import os
import re
import shlex
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from app import __version__
from app.command_line import main
from tests.app.configuration import ENVIRONMENT, SECRET, budget, model, route, scripted
from tests.app.provider import Provider, chat_body, error_reply, json_reply
from tests.running import SIMULATED, RunningGateway, clean_environment, eventually, running_gateway

PRIVATE_TEXT = "How do I tame a zebra?"
QUIET = "[providers.scripted.simulation]\n" + model("large", "large-2025") + model("small", "small-2025")
CONFIGURATION = QUIET + route("default", "large", "small") + route("other", "small") + budget("teams.support", 10**9)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path) -> RunningGateway:
    """A data folder with some requests, whose server has been stopped."""
    with running_gateway(tmp_path_factory.mktemp("stopped"), CONFIGURATION) as gateway:
        for team in ("support", "sales"):
            key = gateway.key(team=team)
            for text in ("How do I reset my password?", "How do I reset my password?", "Which plans are there?"):
                assert gateway.chat(key, text, model="large", user="ann@example.org").is_success
    return gateway


@pytest.fixture(scope="module")
def running(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = scripted(upstream) + route("default") + route("other") + budget("teams.support", 10**9)
    with running_gateway(tmp_path_factory.mktemp("running"), configuration, ENVIRONMENT) as gateway:
        yield gateway


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def run(gateway: RunningGateway, *arguments: str) -> Outcome:
    """The command: in this process where no server has to be talked to, because starting one takes a second."""
    if gateway.is_running and arguments[0] in ("status", "keys", "budgets", "cache"):
        finished = gateway.command(*arguments)
        return Outcome(finished.returncode, finished.stdout, finished.stderr)
    result = CliRunner().invoke(
        main, ["--config", str(gateway.configuration), *arguments], env={"COLUMNS": "200", **ENVIRONMENT}
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


def done(gateway: RunningGateway, *arguments: str) -> str:
    """What it prints, after it has said that all went well."""
    result = run(gateway, *arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


# --- help ------------------------------------------------------------------------------------------------------


def commands(
    group: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))


EVERY = {" ".join(path) or "thriftgate": (path, command) for path, command in commands()}


@pytest.mark.parametrize(("path", "command"), EVERY.values(), ids=EVERY)
def test_every_command_explains_itself(path: tuple[str, ...], command: click.Command) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])

    assert result.exit_code == 0
    assert result.output == CliRunner().invoke(main, [*path, "-h"]).output
    assert re.match(r"[A-Z].{10,}[.:]", command.help or "", re.S), "a sentence says what it does"


@pytest.mark.parametrize("command", [pytest.param(command, id=name) for name, (_, command) in EVERY.items()])
def test_every_option_explains_itself(command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []


def test_the_design_s_commands_are_there() -> None:
    assert {
        "serve",
        "demo",
        "check",
        "status",
        "keys",
        "teams",
        "budgets",
        "cache",
        "prices",
        "report",
        "ledger",
    } <= set(EVERY)


def test_the_version_is_the_packages(stopped: RunningGateway) -> None:
    assert done(stopped, "--version") == f"thriftgate, version {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [["serv"], ["keys", "make"], ["keys", "create"], ["status", "--jsn"], ["report", "savings", "--by", "moon"]],
)
def test_wrong_use_is_exit_code_two(stopped: RunningGateway, arguments: list[str]) -> None:
    result = run(stopped, *arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output


# --- configuration ---------------------------------------------------------------------------------------------

MISTAKES = """
[server]
port = 99999
prot = 8080
[providers.open]
api_key = "sk-live-this-must-not-be-repeated"
[providers.closed]
base_url = "ftp://example.org"
api_key = "env:NOT_SET_ANYWHERE"
[models.auto]
tier = "premium"
deployments = []
[models.large]
tier = "superb"
[[models.large.deployments]]
provider = "nobody"
[routes.default]
models = ["large", "absent"]
[routes.default.cache]
start = "ajar"
max_wrong_per_hit = 3
[teams.support.budget]
usd = -5
"""
NAMED_BEFORE = [
    "server.prot",
    "models.large.tier",
    "routes.default.cache.start",
    "server.port",
    "routes.default.cache.max_wrong_per_hit",
    "teams.support.budget.usd",
    "providers.open.api_key",
]
NAMED_AFTER = [
    "server.port",
    "providers.open.base_url",
    "providers.open.api_key",
    "providers.closed.base_url",
    "providers.closed.api_key",
    "models.auto",
    "models.auto.deployments",
    "models.large.deployments[0].provider",
    "routes.default.models",
    "routes.default.cache.max_wrong_per_hit",
    "teams.support.budget.usd",
]


def check(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "bad.toml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["--config", str(file), "check"])


def test_check_lists_every_mistake_of_form_with_its_place(tmp_path: Path) -> None:
    result = check(tmp_path, MISTAKES)

    assert result.exit_code != 0
    assert [place for place in NAMED_BEFORE if f"- {place}: " not in result.output] == []
    assert "no model `large`" not in result.output  # it is there, and only of the wrong form
    assert "did you mean `port`?" in result.output
    assert "sk-live" not in result.output


def test_check_lists_every_mistake_of_sense_with_its_place(tmp_path: Path) -> None:
    mended = MISTAKES.replace("prot = 8080\n", "").replace("superb", "premium").replace("ajar", "prior")
    result = check(tmp_path, mended)

    assert result.exit_code != 0
    assert [place for place in NAMED_AFTER if f"- {place}: " not in result.output] == []
    assert result.output.count("\n  - ") == len(NAMED_AFTER)
    assert "sk-live" not in result.output
    assert "Traceback" not in result.output


def test_a_wrong_configuration_is_exit_code_two_as_the_module_says(tmp_path: Path) -> None:
    assert check(tmp_path, MISTAKES).exit_code == 2


@pytest.mark.parametrize("text", ["[server", "port = 1\n[server]\n[server]", "\x00"])
def test_what_is_not_toml_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    result = check(tmp_path, text)
    assert result.exit_code != 0
    assert "is not valid TOML" in result.output


def test_a_missing_file_is_said_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "absent.toml"), "check"])
    assert result.exit_code != 0
    assert "cannot be read" in result.output


def test_check_says_that_all_is_well(stopped: RunningGateway) -> None:
    assert "good" in done(stopped, "check")
    assert json.loads(done(stopped, "check", "--json")) == {
        "ok": True,
        "simulating": True,
        "unpriced": [],
        "encoder": True,
    }


# --- keys ------------------------------------------------------------------------------------------------------


def test_a_key_made_while_the_server_runs_is_valid_at_once_and_ends_at_once(running: RunningGateway) -> None:
    made = done(running, "keys", "create", "--team", "support", "--app", "bot", "--env", "dev", "--route", "other")
    secret = made.split()[-1]
    assert "team support" in made
    assert "route other" in made
    assert running.chat(secret, "Is this key valid?", model="small").status_code == 200

    listed = {found["id"]: found for found in json.loads(done(running, "keys", "list", "--json"))}
    key_id = re.search(r"key_[0-9a-f]+", made).group()  # type: ignore[union-attr]
    assert (listed[key_id]["env"], listed[key_id]["route"]) == ("dev", "other")
    assert secret not in json.dumps(listed)

    done(running, "keys", "revoke", key_id)
    assert running.chat(secret, "Is this key still valid?", model="small").status_code == 401
    assert "revoked" in next(line for line in done(running, "keys", "list").splitlines() if key_id in line)


def test_keys_are_made_and_revoked_without_a_server_too(start_gateway: Callable[..., RunningGateway]) -> None:
    gateway = start_gateway(CONFIGURATION)
    gateway.kill()  # its address is still in the folder, and nobody is there
    made = [json.loads(done(gateway, "keys", "create", "--team", "a", "--app", name, "--json")) for name in ("x", "y")]
    done(gateway, "keys", "revoke", made[1]["key"]["id"])

    gateway.start()

    assert [gateway.chat(key["secret"], "Who may ask?", model="small").status_code for key in made] == [200, 401]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--team", "suport"],
            "Note: team suport is not configured (known: support): no team's budget limits this key.",
        ),
        (["--team", "support", "--env", "production"], "Note: production is none of dev, staging and prod"),
    ],
)
def test_what_looks_like_a_slip_in_a_new_key_is_noted_and_the_key_made(
    stopped: RunningGateway, options: list[str], said: str
) -> None:
    result = run(stopped, "keys", "create", "--app", "bot", "--json", *options)
    assert said in result.stderr
    assert json.loads(result.stdout)["key"]["app"] == "bot"
    assert run(stopped, "keys", "create", "--app", "bot", "--team", "support", "--env", "dev").stderr == ""


def test_a_key_that_expires_says_when(running: RunningGateway) -> None:
    options = ("--team", "support", "--app", "bot", "--expires-in-days", "2", "--json")
    made = json.loads(done(running, "keys", "create", *options))["key"]
    assert made["expires_us"] - made["created_us"] == pytest.approx(2 * 86_400_000_000, abs=60_000_000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--team", "support", "--app", "bot", "--route", "nowhere"], "There is no route `nowhere`"),
        (["create", "--team", "a/b", "--app", "bot"], "`team`: names have letters"),
        (["revoke", "key_none"], "no valid key"),
    ],
)
@pytest.mark.parametrize("where", ["running", "stopped"])
def test_what_is_wrong_with_a_key_is_said_in_one_line(
    request: pytest.FixtureRequest, where: str, arguments: list[str], said: str
) -> None:
    result = run(request.getfixturevalue(where), "keys", *arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert result.stderr.startswith("Error: ")
    assert "Traceback" not in result.output


def test_a_key_is_kept_as_a_hash_only(running: RunningGateway) -> None:
    secret = running.key()
    files = b"".join(file.read_bytes() for file in running.data_dir.iterdir() if file.name.startswith("ledger"))
    assert secret.encode() not in files
    assert secret.removeprefix("tg-").encode() not in files


# --- what is there ---------------------------------------------------------------------------------------------


def test_status_says_whether_the_server_runs(running: RunningGateway, stopped: RunningGateway) -> None:
    told = done(running, "status")
    assert "not running" not in told
    assert "default: Nothing is served semantically until" in told
    assert "{" not in told
    assert json.loads(done(running, "status", "--json"))["ready"] is True
    assert "not running" in done(stopped, "status")
    found = json.loads(done(stopped, "status", "--json"))
    assert (found["ready"], found["ledger"]) == (False, {"rows": 6, "open_reservations": 0})


def test_budgets_say_the_same_with_and_without_a_server(start_gateway: Callable[..., RunningGateway]) -> None:
    gateway = start_gateway(CONFIGURATION)
    gateway.chat(gateway.key(), "What does this cost?", model="large")

    with_server = json.loads(done(gateway, "budgets", "--json"))
    gateway.stop()

    assert json.loads(done(gateway, "budgets", "--json")) == with_server
    assert with_server[0]["spent_nano"] == sum(row.actual_nano or 0 for row in gateway.rows()) > 0
    assert "team:support" in done(gateway, "budgets")


def test_teams_and_prices_are_listed(stopped: RunningGateway) -> None:
    assert "support: $1.000000000 per month" in done(stopped, "teams")
    assert json.loads(done(stopped, "teams", "--json"))["support"]["budget"]["usd"] == "1.000000000"
    assert "large" in done(stopped, "prices")
    found = {item["model"]: item["list"] for item in json.loads(done(stopped, "prices", "--json"))}
    assert (found["large"]["input"], found["large"]["output"]) == (10 * 10**9, 40 * 10**9)
    assert found["large"]["version"] == "configuration"


def test_without_teams_one_learns_what_a_budget_needs(tmp_path: Path) -> None:
    configuration = tmp_path / "thriftgate.toml"
    configuration.write_text("")
    said = CliRunner().invoke(main, ["--config", str(configuration), "teams"], env=ENVIRONMENT).stdout
    assert said.endswith("a budget needs [teams.NAME.budget].\n")


def test_the_cache_is_counted_and_purged_with_and_without_a_server(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(CONFIGURATION)
    for team in ("support", "sales"):
        gateway.chat(gateway.key(team=team), "How do I reset my password?", model="large")

    assert json.loads(done(gateway, "cache", "stats", "--json"))["entries"] == 2
    assert done(gateway, "cache", "purge", "--team", "sales") == "1 entry is gone.\n"
    gateway.stop()
    assert json.loads(done(gateway, "cache", "stats", "--json"))["entries"] == 1
    assert (
        done(gateway, "cache", "purge", "--team", "sales")
        == "0 entries are gone: nothing stored matches all that is given.\n"
    )
    assert done(gateway, "cache", "purge", "--all") == "1 entry is gone.\n"
    assert json.loads(done(gateway, "cache", "stats", "--json"))["entries"] == 0
    gateway.start()
    assert gateway.status()["cache"]["entries"] == 0


def test_a_purge_says_what(stopped: RunningGateway) -> None:
    result = run(stopped, "cache", "purge")
    assert (result.exit_code, "--all" in result.output) == (2, True)


# --- the ledger ------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(stopped: RunningGateway, tmp_path: Path, encoder_folder: Path) -> RunningGateway:
    """The same ledger in a folder of its own, for tampering."""
    copy = RunningGateway(tmp_path, CONFIGURATION, {})
    copy.data_dir.mkdir()
    (copy.data_dir / "ledger.db").write_bytes((stopped.data_dir / "ledger.db").read_bytes())
    return copy


def test_a_ledger_that_nobody_touched_verifies(copied: RunningGateway) -> None:
    assert "6 rows, verifies" in done(copied, "ledger", "verify")
    found = json.loads(done(copied, "ledger", "verify", "--json"))
    assert (found["rows"], found["problems"]) == (6, [])
    assert re.fullmatch("[0-9a-f]{64}", found["head"])


TAMPERED: dict[str, tuple[str, int]] = {
    "a cost": ("update ledger set actual_nano = actual_nano - 1 where seq = 1", 1),
    "a team": ("update ledger set team = 'sales' where seq = 3", 3),
    "a status": ("update ledger set status = 'refused' where seq = 4", 4),
    "a removed row": ("delete from ledger where seq = 2", 3),
    "an added row": ("update ledger set seq = 9 where seq = 6", 9),
    "a hash": ("update ledger set hash = zeroblob(32) where seq = 5", 5),
    "a swapped order": ("update ledger set seq = 99 where seq = 1", 2),
}


@pytest.mark.parametrize(("change", "row"), TAMPERED.values(), ids=TAMPERED)
def test_a_ledger_that_was_tampered_with_is_exit_code_one_and_names_the_row(
    copied: RunningGateway, change: str, row: int
) -> None:
    with closing(sqlite3.connect(copied.data_dir / "ledger.db")) as connection:
        connection.execute(change)
        connection.commit()

    result = run(copied, "ledger", "verify")
    assert result.exit_code == 1
    assert f"row {row} " in result.output
    found = run(copied, "ledger", "verify", "--json")
    assert found.exit_code == 1
    assert row in [problem["seq"] for problem in json.loads(found.stdout)["problems"]]


def test_a_file_that_is_no_ledger_is_said_in_one_line(copied: RunningGateway) -> None:
    (copied.data_dir / "ledger.db").write_bytes(b"no database " * 1000)
    result = run(copied, "ledger", "verify")
    assert result.exit_code != 0
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output


def test_a_ledger_that_is_not_there_does_not_verify(copied: RunningGateway) -> None:
    (copied.data_dir / "ledger.db").unlink()
    assert run(copied, "ledger", "verify").exit_code != 0
    assert not (copied.data_dir / "ledger.db").exists()


def test_a_running_servers_ledger_verifies_too(running: RunningGateway) -> None:
    running.chat(running.key(), "Does the ledger verify meanwhile?", model="small")
    assert "verifies" in done(running, "ledger", "verify")


# --- the report ------------------------------------------------------------------------------------------------


def report(gateway: RunningGateway, *arguments: str) -> str:
    return done(gateway, "report", "savings", *arguments)


def test_the_report_adds_up_to_the_ledger_in_every_format(stopped: RunningGateway) -> None:
    rows = stopped.rows()
    spend = sum(row.actual_nano or 0 for row in rows)
    baseline = sum(row.baseline_nano or 0 for row in rows)
    exact = sum(row.avoided_exact_nano for row in rows)
    assert baseline - spend == exact > 0

    lines = list(csv.DictReader(io.StringIO(report(stopped, "--format", "csv", "--by", "team"))))
    total = lines[-1]
    assert [line["name"] for line in lines[:-1]] == ["sales", "support"]
    assert (int(total["requests"]), int(total["spend_nano"]), int(total["baseline_nano"])) == (6, spend, baseline)
    assert int(total["avoided_exact_nano"]) == int(total["avoided_nano"]) == exact
    assert sum(int(line["spend_nano"]) for line in lines[:-1]) == spend

    assert str(spend) in report(stopped, "--format", "json")
    assert json.loads(report(stopped, "--format", "json", "--by", "model"))
    assert "Exact cache hits" in report(stopped)


def test_the_report_is_filtered(stopped: RunningGateway) -> None:
    def requests(*arguments: str) -> int:
        lines = list(csv.DictReader(io.StringIO(report(stopped, "--format", "csv", *arguments))))
        return int(lines[-1]["requests"])

    assert requests("--team", "support") == 3
    assert requests("--team", "nobody") == 0
    assert requests("--app", "faq-bot", "--model", "large") == 6
    assert requests("--model", "small") == 0
    assert requests("--until", "2020-01-01") == 0
    assert requests("--since", "2020-01-01") == 6


def test_a_report_of_simulated_providers_says_that_nobody_was_billed(
    stopped: RunningGateway, running: RunningGateway, tmp_path: Path
) -> None:
    for gateway, is_said in ((stopped, True), (running, False)):
        page = tmp_path / "savings.html"
        report(gateway, "--format", "html", "--output", str(page))
        for text in (report(gateway), page.read_text(encoding="utf-8")):
            assert ("are simulated: " in text and "nobody was billed" in text) is is_said


def test_the_page_stands_on_its_own(stopped: RunningGateway, tmp_path: Path) -> None:
    page = tmp_path / "savings.html"
    report(stopped, "--format", "html", "--output", str(page))

    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>") or html.startswith("<!DOCTYPE html>")
    assert "<svg" in html
    assert "@media print" in html
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html) == []
    assert re.findall(r"url\((?!#|['\"]?data:)|@import|<script[^>]+src", html) == []


@pytest.mark.parametrize("arguments", [["--since", "2026-02-02", "--until", "2026-02-01"], ["--since", "yesterday"]])
def test_a_period_that_makes_no_sense_is_wrong_use(stopped: RunningGateway, arguments: list[str]) -> None:
    result = run(stopped, "report", "savings", *arguments)
    assert (result.exit_code, "Error: " in result.output) == (2, True)


# --- serving ---------------------------------------------------------------------------------------------------


def test_a_simulating_server_says_so_and_its_greeting_can_be_pasted(
    start_gateway: Callable[..., RunningGateway],
) -> None:
    gateway = start_gateway(SIMULATED)

    eventually(lambda: "OPENAI_API_KEY" in gateway.log)  # what to change for a real provider
    assert "SIMULATING" in gateway.log
    pasted = re.search(r"^curl .*?'$", gateway.log, re.M | re.S)
    assert pasted is not None
    words = shlex.split(pasted.group().replace("\\\n", " "))
    url = next(word for word in words if word.startswith("http"))
    headers = dict(words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H")
    answer = httpx.post(url, headers=headers, content=words[words.index("-d") + 1], trust_env=False)
    assert answer.status_code == 200
    again = httpx.post(
        url,
        headers=headers,
        json={"model": "auto", "messages": [{"role": "user", "content": "How can I reset my password?"}]},
        trust_env=False,
    )
    assert again.headers["x-thriftgate-cache"] == "semantic"
    assert again.headers["x-thriftgate-cache-reason"] == "uncertified"


def test_a_server_with_a_real_provider_does_not_say_that_it_simulates(running: RunningGateway) -> None:
    assert "SIMULATING" not in running.log
    assert not (running.data_dir / "development-key").exists()


def test_a_port_that_is_taken_is_said_in_one_line(stopped: RunningGateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = stopped.command("serve", "--port", str(taken.getsockname()[1]))

    assert result.returncode != 0
    assert "address already in use" in result.stderr.lower()
    assert "Traceback" not in result.stderr


def test_without_any_configuration_it_simulates_and_with_openais_key_it_fronts_openai(tmp_path: Path) -> None:
    def check(**environment: str) -> Any:
        finished = subprocess.run(
            [sys.executable, "-m", "app", "check", "--json"],
            cwd=tmp_path,
            env=clean_environment() | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(finished.stdout)

    assert check()["simulating"] is True
    fronting = check(OPENAI_API_KEY="sk-of-the-environment")
    assert fronting["simulating"] is False
    assert "sk-of-the-environment" not in json.dumps(fronting)
    assert list(tmp_path.iterdir()) == []  # a check makes nothing


def test_only_the_owner_can_read_the_data_folder(running: RunningGateway, stopped: RunningGateway) -> None:
    for gateway in (running, stopped):
        assert mode(gateway.data_dir) == 0o700
        files = {file.name: mode(file) for file in gateway.data_dir.iterdir()}
        assert {"admin-token", "ledger.db", "cache.db", "end-user-key"} <= set(files)
        assert {name: oct(bits) for name, bits in files.items() if bits & 0o077} == {}
    assert "development-key" in os.listdir(stopped.data_dir)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- what stays secret -----------------------------------------------------------------------------------------


def test_no_secret_and_no_prompt_is_in_any_output_or_log(running: RunningGateway, provider: Provider) -> None:
    key = running.key()
    running.chat(key, PRIVATE_TEXT, model="small", user="ann@example.org")
    provider.script("large-2025", error_reply(401, f"Wrong key {SECRET}"))
    provider.script("medium-2025", json_reply(chat_body(f"{PRIVATE_TEXT} {SECRET}")))
    running.chat(key, PRIVATE_TEXT, model="large", headers={"x-thriftgate-labels": "use-case=faq"})
    running.chat(key, PRIVATE_TEXT, model="absent")
    shown = [
        done(running, *command)
        for command in (
            ["check"],
            ["status"],
            ["keys", "list"],
            ["teams"],
            ["prices"],
            ["ledger", "verify", "--json"],
            ["report", "savings", "--format", "json"],
        )
    ]
    shown += [running.log, running.request("GET", "/metrics").text, json.dumps(running.status())]

    for secret in (SECRET, key, running.admin_token, "zebra", "ann@example.org"):
        assert [text for text in shown if secret in text] == []
    ledger = b"".join(file.read_bytes() for file in running.data_dir.iterdir() if file.name.startswith("ledger"))
    for secret in (SECRET, key, running.admin_token, "zebra", "ann@example.org"):
        assert secret.encode() not in ledger


def test_end_users_are_told_apart_without_being_named(running: RunningGateway, provider: Provider) -> None:
    key = running.key(app="users")
    for user in ("ann@example.org", "bob@example.org", "ann@example.org"):
        running.chat(key, f"{PRIVATE_TEXT} {user}", model="small", user=user)

    ann, bob, again = [row.end_user for row in running.rows(app="users", kind="request")]
    assert ann == again != bob
    assert re.fullmatch("[0-9a-f]{32}", ann or "")


@pytest.mark.parametrize("lines", [["use-case=faq, Feature = search box"], ["use-case=faq", "Feature = search box"]])
def test_labels_are_in_the_row(running: RunningGateway, lines: list[str]) -> None:
    headers = [("authorization", f"Bearer {running.key()}"), *(("x-thriftgate-labels", line) for line in lines)]
    body = {"model": "small", "messages": [{"role": "user", "content": "Where do labels go?"}]}
    answer = running.request("POST", "/v1/chat/completions", json=body, headers=headers)
    row: Any = running.row(request_id=answer.headers["x-request-id"])
    assert json.loads(row.labels) == {"use-case": "faq", "Feature": "search box"}
