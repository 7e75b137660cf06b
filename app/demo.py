"""The demo: a support bot's traffic through a real gateway with a simulated provider, then the figures.

The traffic is the project's own FAQ, asked in many wordings (Zipf-distributed), mixed with texts that look
like it and must not be answered from it. The demo knows every right answer, so it can count wrong hits.
"""

import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from app.database import LEDGER_MIGRATIONS, open_database
from app.services import DataFolderLocked, now
from app.settings import load
from app.terminal import counted
from eval import savings, savings_html, savings_text
from router.ledger.reader import head, verify

FAQ: Final = Path(__file__).parent.parent / "data" / "faq"
_HITS: Final = ("exact", "semantic", "coalesced")
_CONCURRENCY: Final = 16
_TRAP_SHARE: Final = 0.15
_ZIPF_EXPONENT: Final = 1.0

_TEAMS: Final = (("support", 0.6, "auto"), ("sales", 0.3, "gpt-5-mini"), ("trial", 0.1, "gpt-5"))
"""Who asks, how much of the traffic, and for which model. `trial` has a budget that it comes near to."""

_CONFIGURATION: Final = """\
[server]
port = 0
data_dir = {data_dir}
log_level = "error"

[encoder]
folder = {encoder}

[providers.simulated]
priced_as = "openai"
[providers.simulated.simulation]
first_token_ms = 5
answers = {answers}

[routes.faq]
models = ["gpt-5", "gpt-5-mini", "gpt-5-nano"]
[routes.faq.cache]
start = "prior"

[teams.trial.budget]
usd = {cap}
period = "month"
"""


class Question(Struct, frozen=True):
    """One request of the traffic, and its only right answer."""

    team: str
    model: str
    messages: list[dict[str, str]]
    answer: str
    kind: str


class Outcome(Struct, frozen=True):
    """What came back."""

    question: Question
    status: int
    disposition: str
    is_right: bool
    is_rationed: bool


def run_demo(*, count: int, seed: int, folder: Path | None, out: Console) -> None:
    """Runs the whole demo; takes a minute or two and ends by itself."""
    settings = load(None, {})
    folder = folder or settings.data_dir / "demo"
    if (folder / "lock").exists():
        shutil.rmtree(folder)  # an earlier demo's: nothing else makes a folder of this shape here
    folder.mkdir(parents=True, exist_ok=True)
    configuration = _configure(folder, settings.encoder_folder, count)
    questions = traffic(count, seed)
    with _gateway(configuration, folder) as (url, token):
        keys = {team: _key(url, token, team) for team, *_ in _TEAMS}
        out.print(
            f"Replaying {count} requests of a support bot against a simulated provider on {url}.\n"
            "Answers are made up by no model and nothing costs money; prices are the official list prices.\n"
        )
        started = time.monotonic()
        outcomes = asyncio.run(_replay(url, keys, questions, out))
        took_s = time.monotonic() - started
    _report(folder, outcomes, took_s, out)


def traffic(count: int, seed: int) -> list[Question]:
    """The requests, in order. Deterministic for a seed."""
    chance = random.Random(seed)
    faq = [json.loads(line) for line in (FAQ / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    traps = [json.loads(line) for line in (FAQ / "traps.jsonl").read_text(encoding="utf-8").splitlines()]
    chance.shuffle(faq)
    by_id = {item["id"]: item for item in faq}
    weights = [1 / (rank + 1) ** _ZIPF_EXPONENT for rank in range(len(faq))]
    questions = []
    for _ in range(count):
        team, _, model = chance.choices(_TEAMS, [share for _, share, _ in _TEAMS])[0]
        if chance.random() < _TRAP_SHARE:
            item = chance.choice(traps)
            kind, text, earlier = item["kind"], item["text"], []
            if kind == "follow-up" and chance.random() < 0.5:
                before = by_id[item["near"]]
                earlier = [_message("user", before["question"]), _message("assistant", before["answer"])]
        else:
            item = chance.choices(faq, weights)[0]
            kind, text, earlier = "faq", chance.choice([item["question"], *item["paraphrases"]]), []
        messages = [_message("system", "You are Larkspur's support bot."), *earlier, _message("user", text)]
        questions.append(Question(team, model, messages, item["answer"], kind))
    return questions


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _configure(folder: Path, encoder: Path, count: int) -> Path:
    """The demo's configuration: the trial team can pay for a part of its share at premium prices only."""
    answers = folder / "answers.jsonl"
    answers.write_text("".join((FAQ / name).read_text(encoding="utf-8") for name in ("questions.jsonl", "traps.jsonl")))
    configuration = folder / "thriftgate.toml"
    configuration.write_text(
        _CONFIGURATION.format(
            data_dir=json.dumps(str(folder)),
            encoder=json.dumps(str(encoder)),
            answers=json.dumps(str(answers)),
            cap=f"{max(count * 1.5e-5, 0.01):.4f}",
        ),
        encoding="utf-8",
    )
    return configuration


@contextmanager
def _gateway(configuration: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """A gateway in a process of its own: its address and its admin token."""
    command = [sys.executable, "-m", "app", "--config", str(configuration), "serve"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  our own program
    try:
        address = folder / "server.json"
        for _ in range(600):
            if address.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        if not address.exists():
            raise DataFolderLocked(folder, "a gateway that did not start; see server.log there")
        where = json.loads(address.read_text(encoding="utf-8"))
        token = (folder / "admin-token").read_text(encoding="utf-8").strip()
        yield f"http://127.0.0.1:{where['port']}", token
    finally:
        process.terminate()
        process.wait(timeout=60)


def _key(url: str, token: str, team: str) -> str:
    body = {"team": team, "app": "faq-bot", "route": "faq"}
    headers = {"authorization": f"Bearer {token}"}
    answer = httpx.post(f"{url}/admin/keys", json=body, headers=headers, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["secret"])


async def _replay(url: str, keys: dict[str, str], questions: Sequence[Question], out: Console) -> list[Outcome]:
    columns = (TextColumn("Replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    waiting = iter(questions)
    outcomes: list[Outcome] = []
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        with Progress(*columns, console=out, transient=True) as progress:
            task = progress.add_task("", total=len(questions))

            async def ask_on() -> None:
                for question in waiting:
                    outcomes.append(await _ask(client, keys[question.team], question))
                    progress.advance(task)

            await asyncio.gather(*(ask_on() for _ in range(_CONCURRENCY)))
    return outcomes


async def _ask(client: httpx.AsyncClient, key: str, question: Question) -> Outcome:
    body: dict[str, Any] = {"model": question.model, "messages": question.messages, "max_completion_tokens": 300}
    response = await client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    content = response.json()
    said = content["choices"][0]["message"]["content"] if response.status_code == 200 else None
    return Outcome(
        question=question,
        status=response.status_code,
        disposition=response.headers.get("x-thriftgate-cache", ""),
        is_right=said == question.answer,
        is_rationed="x-thriftgate-rationed" in response.headers,
    )


def _report(folder: Path, outcomes: Sequence[Outcome], took_s: float, out: Console) -> None:
    engine = open_database(folder / "ledger.db", LEDGER_MIGRATIONS)
    found = savings.report(engine, savings.Filters(by="team"))
    out.print(savings_text.as_table(found))

    answered = [outcome for outcome in outcomes if outcome.status == 200]
    hits = [outcome for outcome in answered if outcome.disposition in _HITS]
    wrong = [outcome for outcome in hits if not outcome.is_right]
    table = Table(title="Hits, and how many were wrong (the demo knows the right answers)")
    for column in ("disposition", "requests", "share", "wrong", "wrong per hit"):
        table.add_column(column, justify="left" if column == "disposition" else "right")
    for name in (*_HITS, "miss", "bypass"):
        group = [outcome for outcome in answered if outcome.disposition == name]
        bad = sum(not outcome.is_right for outcome in group)
        rate = f"{bad / len(group):.2%}" if group and name in _HITS else "-"
        table.add_row(name, str(len(group)), f"{len(group) / len(outcomes):.1%}", str(bad), rate)
    rate = f"{len(wrong) / len(hits):.2%}" if hits else "-"
    table.add_section()
    table.add_row("all hits", str(len(hits)), f"{len(hits) / len(outcomes):.1%}", str(len(wrong)), rate)
    out.print(table)
    if wrong:
        kinds = Counter(outcome.question.kind for outcome in wrong)
        out.print("Wrong hits by kind of question: " + ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()))
        for outcome in wrong[:3]:
            out.print(f"  e.g. [italic]{outcome.question.messages[-1]['content']}[/italic]", highlight=False)

    refused = sum(outcome.status == 429 for outcome in outcomes)
    rationed = sum(outcome.is_rationed for outcome in answered)
    out.print(
        f"Team trial has a cap of its own: {counted(rationed, 'answer was', 'answers were')} rationed to a cheaper "
        f"model, {counted(refused, 'request', 'requests')} refused with a 429."
    )
    failed = Counter(outcome.status for outcome in outcomes if outcome.status not in (200, 429))
    if failed:
        out.print(f"[red]Failed requests: {dict(failed)}[/red]")
    verified = verify(engine)
    verdict = "verifies" if not verified.problems else verified.problems[:3]
    out.print(f"Ledger: {counted(verified.rows, 'row', 'rows')}, {verdict}.")
    out.print(f"{counted(len(outcomes), 'request', 'requests')} in {took_s:.0f} s.")

    chain_id, newest = head(engine)
    page = folder / "savings.html"
    page.write_text(savings_html.as_html(found, made_at=now(), head=newest, chain_id=chain_id), encoding="utf-8")
    out.print(f"\nThe report to open and print: [bold]{page.resolve()}[/bold]")
