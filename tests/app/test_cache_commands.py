"""`thriftgate cache`: the same through a running server and on the files of a stopped one; bad files change nothing."""

import json
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cache_commands import _parts
from app.command_line import main
from app.warming import Curated
from tests.app.configuration import ENVIRONMENT, route, scripted
from tests.app.provider import Provider, chat_body, json_reply
from tests.running import ROOT, RunningGateway, eventually, running_gateway

QUESTION = "How do I reset my password?"
FAQ = ROOT / "data" / "faq" / "questions.jsonl"
PARAPHRASE = "How can I reset my password?"
STORED = "Press “Forgot password”; the link is valid for 5 minutes."
FRESH = "Press “Forgot password”; the link is valid for 60 minutes [bold]at most[/bold]."
AUDITED = [f"audited-{number}" for number in range(6)]
"""One for each test: what a route has learnt would change what the next test sees."""
ROUTES = (
    route("default", cache='start = "prior"\nmax_wrong_per_hit = 0.2\ntags = ["website"]')
    + "".join(route(name, cache='start = "prior"\nmax_wrong_per_hit = 0.2\naudit_share = 1.0') for name in AUDITED)
    + route("other", cache='knowledge_version = "7"')
    + route("exact", cache='mode = "exact"')
    + route("off", cache='mode = "off"')
)


@pytest.fixture(scope="module")
def only(
    upstream: Provider, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("commands"), scripted(upstream) + ROUTES, ENVIRONMENT) as gateway:
        yield gateway


@pytest.fixture
def gateway(only: RunningGateway, provider: Provider) -> RunningGateway:
    """A running one with nothing stored."""
    if not only.is_running:
        only.start()
    only.admin("POST", "/admin/cache/invalidate", all=True)
    return only


@pytest.fixture(params=["running", "stopped"])
def leave(request: pytest.FixtureRequest) -> Callable[[RunningGateway], None]:
    """Leaves the gateway running, or stops it: the commands must do the same."""
    return lambda gateway: None if request.param == "running" else _stop(gateway)


def _stop(gateway: RunningGateway) -> None:
    gateway.stop()


@pytest.fixture(scope="module")
def unused() -> Iterator[str]:
    return iter(AUDITED)


@pytest.fixture
def audited(unused: Iterator[str]) -> str:
    """A route all of whose hits are audited, and that has learnt nothing yet."""
    return next(unused)


Leave = Callable[[RunningGateway], None]


def run(gateway: RunningGateway, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    words = ["--config", str(gateway.configuration), "cache", *map(str, arguments)]
    result = CliRunner().invoke(main, words, env={"COLUMNS": "200", **ENVIRONMENT})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def done(gateway: RunningGateway, *arguments: str | Path) -> str:
    code, out, err = run(gateway, *arguments)
    assert code == 0, (out, err)
    return out


def refused(gateway: RunningGateway, *arguments: str | Path, code: int = 2) -> str:
    found, out, err = run(gateway, *arguments)
    assert (found, out) == (code, ""), (found, out, err)
    assert "Traceback" not in err
    return err


def stored(gateway: RunningGateway) -> int:
    return int(json.loads(done(gateway, "stats", "--json"))["entries"])


def fill(gateway: RunningGateway) -> None:
    """Four entries: two teams on `default`, one of them also in staging, and one team on `other`."""
    for caller in ({}, {"env": "staging"}, {"team": "sales"}, {"route": "other"}):
        answer = gateway.chat(gateway.key(**caller), QUESTION, model="large")
        assert answer.status_code == 200


def make_doubt(gateway: RunningGateway, provider: Provider, audited: str) -> None:
    provider.script("large-2025", json_reply(chat_body(STORED)), json_reply(chat_body(FRESH)))
    key = gateway.key(route=audited)
    gateway.chat(key, QUESTION, model="large")
    assert gateway.chat(key, PARAPHRASE, model="large").headers["x-thriftgate-cache"] == "semantic"
    eventually(lambda: gateway.admin("GET", "/admin/cache/doubts"))


def ask(gateway: RunningGateway, text: str, *, team: str = "support", on: str = "default") -> tuple[str, str]:
    """The disposition and the answer."""
    answer = gateway.chat(gateway.key(team=team, route=on), text, model="large")
    assert answer.status_code == 200, answer.text
    return answer.headers["x-thriftgate-cache"], answer.json()["choices"][0]["message"]["content"]


# --- trust -----------------------------------------------------------------------------------------------------


def test_certify_shows_every_route_with_its_reason_and_the_same_from_the_files(
    gateway: RunningGateway, provider: Provider, audited: str
) -> None:
    make_doubt(gateway, provider, audited)
    found = json.loads(done(gateway, "certify", "--json"))
    shown = done(gateway, "certify")
    gateway.stop()

    assert json.loads(done(gateway, "certify", "--json")) == found
    assert done(gateway, "certify") == shown
    certificate = found[audited]["certificate"]
    assert (certificate["hits"], certificate["audited"], certificate["wrong"]) == (1, 1, 1)
    assert found["exact"] == {"mode": "exact", "start": "closed", "doubts": 0, "certificate": None}
    for heading in (
        "requests",
        "hits",
        "audited",
        "beside them unclear",
        "wrong",
        "estimate",
        "bound",
        "budget",
        "kappa",
        "state",
        "stale",
    ):
        assert heading in shown
    for reason in (certificate["reason"], found["other"]["certificate"]["reason"], "off: It uses no cache."):
        assert reason in shown.replace("\n", " ")
    assert "20.00% per hit" in shown
    assert f"inspect --route {audited}" in shown.replace("\n", " ")


def test_certify_on_files_changes_nothing(gateway: RunningGateway, provider: Provider, audited: str) -> None:
    make_doubt(gateway, provider, audited)
    gateway.stop()
    before = json.loads(done(gateway, "certify", "--json"))
    text = gateway.configuration.read_text(encoding="utf-8")
    gateway.configuration.write_text(text.replace("max_wrong_per_hit = 0.2", "max_wrong_per_hit = 0.1"))

    assert json.loads(done(gateway, "certify", "--json"))[audited]["certificate"]["alarms"] == ["restarted"]

    gateway.configuration.write_text(text, encoding="utf-8")
    assert json.loads(done(gateway, "certify", "--json")) == before


def test_a_doubtful_hit_is_inspected_and_ruled_on(
    gateway: RunningGateway, provider: Provider, audited: str, leave: Leave
) -> None:
    make_doubt(gateway, provider, audited)
    leave(gateway)
    (doubt,) = json.loads(done(gateway, "inspect", "--json"))
    shown = done(gateway, "inspect", "--route", audited, "--limit", "5")

    for text in (QUESTION, PARAPHRASE, STORED, FRESH, f"{doubt['p']:.4f}", doubt["entry_id"], doubt["request_id"]):
        assert text in shown
    assert f"thriftgate cache rule {doubt['id']} right|wrong" in shown
    assert json.loads(done(gateway, "inspect", "--route", "other", "--json")) == []

    assert done(gateway, "rule", str(doubt["id"]), "right") == f"Hit {doubt['id']} was right.\n"

    assert done(gateway, "inspect") == "No hit waits for your judgement.\n"


def test_a_hit_that_is_not_there_cannot_be_ruled_on(gateway: RunningGateway, leave: Leave) -> None:
    leave(gateway)
    assert "`thriftgate cache inspect` shows them all" in refused(gateway, "rule", "17", "wrong")


def test_a_ruling_is_right_or_wrong(gateway: RunningGateway) -> None:
    for arguments in (["x", "right"], ["0", "right"], ["1", "maybe"], ["1"]):
        assert "Usage: " in refused(gateway, "rule", *arguments)


# --- forgetting ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["purge", "invalidate"])
def test_what_matches_every_option_is_forgotten(gateway: RunningGateway, leave: Leave, name: str) -> None:
    fill(gateway)
    leave(gateway)

    for options, purged in (
        (["--knowledge-version", "7", "--tag", "website"], 0),
        (["--knowledge-version", "7"], 1),
        (["--env", "staging", "--route", "default"], 1),
        (["--group", "999999"], 0),
        (["--entry", "none"], 0),
        (["--tag", "website", "--team", "sales"], 1),
        (["--all"], 1),
    ):
        said = "1 entry is gone" if purged == 1 else f"{purged} entries are gone"
        assert done(gateway, name, *options).rstrip(".\n").split(":")[0] == said
    assert stored(gateway) == 0


def test_a_purge_without_a_server_is_in_the_admin_log(gateway: RunningGateway) -> None:
    fill(gateway)
    gateway.stop()
    done(gateway, "purge", "--team", "support")
    with gateway.ledger().connect() as connection:
        subjects = [row.subject for row in connection.exec_driver_sql("SELECT subject FROM admin_log")]
    assert subjects[-1] == "team support: 3 entries, by command"


def test_a_purge_that_the_file_does_not_take_fails(gateway: RunningGateway, leave: Leave) -> None:
    fill(gateway)
    assert stored(gateway) == 4
    leave(gateway)
    with closing(sqlite3.connect(gateway.data_dir / "cache.db", isolation_level=None)) as file:
        file.execute("create trigger no before delete on entries begin select raise(abort, 'no'); end")
        try:
            code, out, err = run(gateway, "purge", "--all")
        finally:
            file.execute("drop trigger no")
    assert (code, out) == (2, "")
    assert "purge again" in err.replace("\n", " ")


def test_a_purge_says_what(gateway: RunningGateway) -> None:
    for arguments in ([], ["--tag", ""], ["--group", "x"], ["--colour", "red"]):
        assert "Usage: " in refused(gateway, "purge", *arguments)


@pytest.mark.parametrize("option", ["--entry", "--tag", "--route", "--team", "--env"])
def test_a_purge_names_the_option_that_is_empty_and_how_to_mend_it(gateway: RunningGateway, option: str) -> None:
    said = refused(gateway, "invalidate", option, "")
    assert f"Invalid value for '{option}': it is empty. Give it a text, or leave the option out." in said


# --- warming ---------------------------------------------------------------------------------------------------


def test_a_csv_file_warms_a_route(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text(f'question,answer,tags\n{QUESTION},"{STORED}",login;help\nWhat is a faq?,"A list, really.",\n')
    leave(gateway)

    said = done(gateway, "warm", faq, "--route", "default", "--team", "support", "--tag", "faq")

    assert said == "2 questions are answered from now on, for team support on route default.\n"
    if not gateway.is_running:
        gateway.start()
    assert ask(gateway, QUESTION) == ("exact", STORED)
    assert ask(gateway, QUESTION, team="sales")[0] == "miss"
    assert gateway.admin("POST", "/admin/cache/invalidate", tag="help")["purged"] == 1
    assert gateway.admin("POST", "/admin/cache/invalidate", tag="faq")["purged"] == 1


def test_questions_that_the_cache_never_answers_are_named(
    gateway: RunningGateway, tmp_path: Path, leave: Leave
) -> None:
    faq = tmp_path / "faq.csv"
    others = "Where is my parcel [b]now[/b]?,On its way.\nCan I return it?,Yes.\n"
    faq.write_text(f'question,answer\n{QUESTION},"{STORED}"\n{others}')
    leave(gateway)
    assert done(gateway, "warm", faq, "--route", "default", "--team", "support").splitlines() == [
        "1 question is answered from now on, for team support on route default.",
        "2 questions are left to the models whatever is stored, since the answer may not be the same for all:",
        "  faq.csv:3 (personal): Where is my parcel [b]now[/b]?",
        "  faq.csv:4 (follow-up): Can I return it?",
    ]


def test_warming_says_if_nobody_can_ask_yet(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text(f'question,answer\n{QUESTION},"{STORED}"\n')
    gateway.key(team="support")
    leave(gateway)

    _, _, said = run(gateway, "warm", faq, "--route", "default", "--team", "suport")
    assert "Team suport has no valid key for route default; teams with one:" in said
    assert "support" in said
    assert "Note" not in run(gateway, "warm", faq, "--route", "default", "--team", "support")[2]


def test_a_purge_that_finds_nothing_says_so(gateway: RunningGateway, leave: Leave) -> None:
    leave(gateway)
    assert (
        done(gateway, "purge", "--tag", "prises") == "0 entries are gone: nothing stored matches all that is given.\n"
    )
    done(gateway, "purge", "--all")
    assert done(gateway, "purge", "--all") == "0 entries are gone.\n"


def test_one_is_spoken_of_as_one(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq, file = tmp_path / "faq.csv", tmp_path / "one.jsonl"
    faq.write_text(f'question,answer\n{QUESTION},"{STORED}"\n')
    done(gateway, "purge", "--all")
    leave(gateway)
    said = done(gateway, "warm", faq, "--route", "default", "--team", "support")
    assert said == "1 question is answered from now on, for team support on route default.\n"
    assert done(gateway, "export", file) == f"1 entry is in {file}.\n"
    assert done(gateway, "import", file) == "0 of 1 entry is stored, 1 was there already.\n"
    assert done(gateway, "purge", "--all") == "1 entry is gone.\n"
    assert done(gateway, "import", file) == "1 of 1 entry is stored.\n"


def test_the_readmes_example_warms_a_default_installation(tmp_path: Path, encoder_folder: Path) -> None:
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^thriftgate (cache warm .*?) *#", shown, re.MULTILINE)
    faq = tmp_path / "faq.csv"
    faq.write_text(f"question,answer\n{QUESTION},{STORED}\n")

    words = command.replace(faq.name, str(faq)).split()
    ran = RunningGateway(tmp_path, "", {}).command(*words)

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "1 question is answered from now on, for team support on route default.\n"


def test_json_lines_warm_a_route_with_all_their_wordings(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    lines = FAQ.read_text(encoding="utf-8").splitlines(keepends=True)[:10]
    faq = tmp_path / "faq.jsonl"
    faq.write_text("".join(lines), encoding="utf-8")
    leave(gateway)

    done(gateway, "warm", faq, "--route", "default", "--team", "support")

    items = [json.loads(line) for line in lines]
    statistics = json.loads(done(gateway, "stats", "--json"))
    assert statistics["curated"] == statistics["entries"] == sum(1 + len(item["paraphrases"]) for item in items)
    if not gateway.is_running:
        gateway.start()
    for text in (items[0]["question"], *items[0]["paraphrases"]):
        assert ask(gateway, text) == ("exact", items[0]["answer"])


def test_long_answers_are_warmed_in_requests_that_a_server_takes() -> None:
    items = [Curated(f"What is {number}?", "€" * 100_000) for number in range(20)]
    parts = list(_parts(items))
    assert [item for part in parts for item in part] == items
    assert max(sum(len(item.answer.encode()) for item in part) for part in parts) <= 512 * 1024
    short = [Curated(f"What is {number}?", "So.") for number in range(130)]
    assert [len(part) for part in _parts(short)] == [64, 64, 2]


def test_what_of_a_file_could_not_be_kept_is_said(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text(f'question,answer\n{QUESTION},"{STORED}"\nWhat is it?,"A faq, really."\n')
    leave(gateway)
    with closing(sqlite3.connect(gateway.data_dir / "cache.db", isolation_level=None)) as file:
        when = "before insert on entries when new.source = 'faq.csv:3'"
        file.execute(f"create trigger no {when} begin select raise(abort, 'no'); end")
        try:
            said = refused(gateway, "warm", faq, "--route", "default", "--team", "support")
        finally:
            file.execute("drop trigger no")
    assert "Only 1 of 2 questions are kept" in said


def test_what_is_purged_while_a_file_is_warmed_is_left_out_and_said(gateway: RunningGateway, tmp_path: Path) -> None:
    faq = tmp_path / "faq.csv"
    os.mkfifo(faq)  # the command has begun once somebody reads it
    with ThreadPoolExecutor() as pool:
        warming = pool.submit(refused, gateway, "warm", faq, "--route", "default", "--team", "support")
        with faq.open("w") as file:
            gateway.admin("POST", "/admin/cache/invalidate", tag="prices")
            file.write(f'question,answer,tags\n{QUESTION},"{STORED}",login\nWhat is the fee?,5 dollars.,prices\n')
        said = warming.result(60)
    assert "Only 1 of 2 questions are kept" in said
    assert "1 was left out because of a purge meanwhile" in said
    assert stored(gateway) == 1


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_server_that_goes_while_a_file_is_warmed_leaves_word_of_what_is_kept_and_that_repeating_is_safe(
    gateway: RunningGateway, tmp_path: Path, how: str
) -> None:
    faq, to = tmp_path / "faq.csv", ("--route", "exact", "--team", "support")
    faq.write_text("question,answer\n" + "".join(f"What is part {number}?,Part {number}.\n" for number in range(640)))
    with ThreadPoolExecutor() as pool:
        warming = pool.submit(refused, gateway, "warm", faq, *to)
        eventually(lambda: gateway.status()["cache"]["entries"] > 64)
        getattr(gateway, how)()
        said = " ".join(warming.result(60).split())

    assert "again, with or without a server: what is there already is not stored twice" in said
    told = re.search("Before that ([0-9]+) of 640 questions were kept, for team support on route exact", said)
    assert told is not None, said
    assert 64 <= int(told[1]) <= stored(gateway) <= int(told[1]) + 64
    done(gateway, "warm", faq, *to)
    assert stored(gateway) == 640


def test_a_bad_line_is_named_and_nothing_is_stored(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text("question,answer\nHow?,So.\n,So.\nWhy?\n")
    leave(gateway)

    said = refused(gateway, "warm", faq, "--route", "default", "--team", "support")

    assert "faq.csv has 2 problems:" in said
    assert "line 3: `question` is empty" in said
    assert "line 4: has 1 cells less than the header" in said
    assert stored(gateway) == 0


def test_warming_needs_a_team_and_a_route_that_serves(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    faq = tmp_path / "faq.csv"
    faq.write_text("question,answer\nHow?,So.\n")
    leave(gateway)
    for options, word in (
        (["--route", "nowhere", "--team", "support"], "no route `nowhere`"),
        (["--route", "off", "--team", "support"], "route `off` is off"),
        (["--route", "default", "--team", "a/b"], "`team`: names have letters"),
        (["--route", "default"], "--team"),
        (["--team", "support"], "--route"),
        (["--route", "default", "--team", "support", "--tag", ""], "Invalid value for '--tag': it is empty. Give it"),
        (["--route", "default", "--team", "support", "--tag", "x" * 201], "'--tag': it has more than 200 characters"),
    ):
        assert word in refused(gateway, "warm", faq, *options)
    assert stored(gateway) == 0


def test_what_is_stored_is_counted_alike_with_and_without_a_server(gateway: RunningGateway) -> None:
    fill(gateway)
    served = eventually(lambda: linked(gateway))
    gateway.stop()
    assert json.loads(done(gateway, "stats", "--json")) == served


def linked(gateway: RunningGateway) -> dict[str, Any] | None:
    """What is stored, once every entry has its vector and its group, and nothing is under way."""
    found: dict[str, Any] = json.loads(done(gateway, "stats", "--json"))
    is_done = found["entries"] == found["vectors"] == found["groups"] and not found["in_flight"]
    return found if is_done else None


# --- out and in ------------------------------------------------------------------------------------------------


def test_an_export_is_imported_into_another_data_folder(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    fill(gateway)
    answer = ask(gateway, QUESTION)[1]
    leave(gateway)
    file = tmp_path / "cache.jsonl"

    assert done(gateway, "export", file) == f"4 entries are in {file}.\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.part"))
    assert done(gateway, "import", file) == "0 of 4 entries are stored, 4 were there already.\n"
    done(gateway, "purge", "--all")
    assert done(gateway, "import", file) == "4 of 4 entries are stored.\n"

    if not gateway.is_running:
        gateway.start()
    assert ask(gateway, QUESTION) == ("exact", answer)
    assert ask(gateway, PARAPHRASE) == ("semantic", answer)


def test_a_file_that_is_no_whole_export_is_refused(gateway: RunningGateway, tmp_path: Path, leave: Leave) -> None:
    fill(gateway)
    leave(gateway)
    file = tmp_path / "cache.jsonl"
    done(gateway, "export", file)
    done(gateway, "purge", "--all")
    text = file.read_text(encoding="utf-8")
    for broken, word in (
        ("", "nothing to import"),
        (text.replace('"version":1', '"version":2'), "reads form 1"),
        (text + '{"id": "x"}\n', "Line 6"),
        (text[:-100], "Line 5"),
        ("question,answer\n", "Line 1"),
    ):
        file.write_text(broken, encoding="utf-8")
        assert word in refused(gateway, "import", file).replace("\n", " ")
    assert stored(gateway) == 0


def test_a_large_export_is_imported_in_parts(gateway: RunningGateway, tmp_path: Path) -> None:
    faq, file = tmp_path / "faq.jsonl", tmp_path / "cache.jsonl"
    items = [{"question": f"What is {n}?", "answer": f"{n} {'is a number. ' * 2000}"} for n in range(40)]
    faq.write_text("\n".join(map(json.dumps, items)), encoding="utf-8")
    done(gateway, "warm", faq, "--route", "default", "--team", "support")
    done(gateway, "export", file)
    assert file.stat().st_size > 1024 * 1024
    done(gateway, "purge", "--all")
    assert done(gateway, "import", file) == "40 of 40 entries are stored.\n"
    assert json.loads(done(gateway, "stats", "--json"))["curated"] == 40


def test_an_export_that_cannot_be_written_leaves_nothing_behind(gateway: RunningGateway, tmp_path: Path) -> None:
    fill(gateway)
    gateway.stop()
    assert "cannot be written" in refused(gateway, "export", tmp_path / "absent" / "cache.jsonl")


def test_a_folder_that_a_server_holds_is_left_alone(gateway: RunningGateway) -> None:
    """Also if the server has not left its address yet."""
    address = gateway.data_dir / "server.json"
    known = address.read_bytes()
    address.unlink()
    assert "in use by process" in refused(gateway, "stats", code=3)
    address.write_bytes(known)
