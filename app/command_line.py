"""`thriftgate`: the command line. Says what was done, or what was wrong and how to mend it.

Exit codes: 0 done, 1 the answer is no (a ledger that does not verify), 2 wrong use or configuration,
3 the server could not start.
"""

import io
import itertools
import json
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import click
import msgspec
import sqlalchemy as sa
from rich.console import Console
from rich.text import Text

from app import __version__
from app.budget_commands import budgets_group, print_budgets
from app.budgets import budget_status, restored_budgets
from app.cache_commands import cache_group, print_trust
from app.certificates import RouteTrust
from app.eval_commands import eval_group
from app.keys import Keys
from app.price_commands import prices_group
from app.remote import ServerRefused, all_keys, running_server
from app.replay_commands import replay_command
from app.server import serve as serve_app
from app.services import (
    DataFolderLocked,
    check_key,
    lock_data_folder,
    models_of,
    now,
    now_us,
    routes_of,
    unpriced,
)
from app.settings import Settings, SettingsInvalid
from app.terminal import (
    AS_JSON,
    Failure,
    NotStarted,
    SaysNo,
    counted,
    err,
    locked,
    new_table,
    opened_ledger,
    out,
    print_json,
    progress,
    settings_of_command,
)
from eval import holdout, savings, savings_html, savings_text
from router.errors import RouterError
from router.ledger.reader import head, open_reservations, row_count, rows_between, verify
from router.plan import AUTO

_DEFAULT_CONFIGURATION: Final = Path("thriftgate.toml")


class _Group(click.Group):
    """Turns our errors into one line and an exit code, everywhere."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (SettingsInvalid, ServerRefused, RouterError) as error:
            raise Failure(str(error)) from None
        except DataFolderLocked as error:
            raise NotStarted(str(error)) from None
        except savings.FiguresDisagree as error:
            raise SaysNo(str(error)) from None
        except sa.exc.DatabaseError as error:
            raise Failure(f"A file in the data folder cannot be read: {error.orig}") from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="THRIFTGATE_CONFIG",
    help="Configuration file. Default: thriftgate.toml in this folder if there is one, else the built-in defaults.",
)
@click.version_option(__version__, prog_name="thriftgate")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Thriftgate makes model calls cheaper without making answers worse.

    \b
    First steps:
      thriftgate serve                                       start the gateway
      thriftgate keys create --team support --app faq-bot    make a key for an app
      thriftgate report savings                              what it saved
      thriftgate ledger verify                               recompute every figure

    Applications change one thing: base_url = http://127.0.0.1:8080/v1
    """
    ctx.obj = config or (_DEFAULT_CONFIGURATION if _DEFAULT_CONFIGURATION.exists() else None)


# --- running -----------------------------------------------------------------------------------------------


@main.command()
@click.option("--host", help="Address to listen on (server.host).")
@click.option("--port", type=int, help="Port to listen on (server.port).")
@click.option("--data-dir", help="Data folder (server.data_dir).")
def serve(host: str | None, port: int | None, data_dir: str | None) -> None:
    """Start the gateway. Without configuration it simulates, or fronts OpenAI if OPENAI_API_KEY is set."""
    given = {"host": host, "port": port, "data_dir": data_dir}

    def read() -> Settings:
        settings = settings_of_command()
        server = msgspec.structs.replace(settings.server, **{k: v for k, v in given.items() if v is not None})
        return msgspec.structs.replace(settings, server=server)

    settings = read()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_data_folder(settings.data_dir):
        pass  # refuse early, in one line, if another server is there
    try:
        listening = socket.create_server((settings.server.host, settings.server.port), backlog=2048)
    except OSError as error:
        where = f"{settings.server.host}:{settings.server.port}"
        raise NotStarted(f"Cannot listen on {where} ({error.strerror}). Try another --port.") from None
    sys.exit(serve_app(settings, listening, read))


@main.command()
@click.option(
    "--requests", "count", default=3000, show_default=True, type=click.IntRange(100), help="How many to replay."
)
@click.option("--seed", default=7, show_default=True, help="Seed of the traffic.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Keep the demo's data here instead of a fresh folder."
)
def demo(count: int, seed: int, data_dir: Path | None) -> None:
    """Replay a support bot's day against a simulated provider, then report savings and wrong hits."""
    from app.demo import run_demo

    run_demo(count=count, seed=seed, folder=data_dir, out=out)


@main.command()
@AS_JSON
def check(as_json: bool) -> None:
    """Check the configuration: everything that is wrong, at once, with its place."""
    settings = settings_of_command()
    routes_of(settings, models := models_of(settings))
    missing = unpriced(models, now())
    encoder = (settings.encoder_folder / "encoder.json").exists()
    if as_json:
        print_json({"ok": True, "simulating": settings.simulates, "unpriced": missing, "encoder": encoder})
        return
    out.print("The configuration is [green]good[/green].")
    out.print(f"Providers: {', '.join(settings.providers)}{' (simulating)' if settings.simulates else ''}")
    out.print(f"Models: {', '.join(settings.models)}. Routes: {', '.join(settings.routes)}.")
    for name in missing:
        out.print(f"[yellow]No list price for {name}: its requests are recorded as unpriced. Set list_price.[/yellow]")
    if not encoder:
        out.print(f"[yellow]No encoder in {settings.encoder_folder}: exact matches only. Run `make encoder`.[/yellow]")


@main.command()
@AS_JSON
def status(as_json: bool) -> None:
    """What the gateway is doing, or what its files say if it does not run."""
    settings = settings_of_command()
    server = running_server(settings)
    found = server.call("GET", "/admin/status") if server else _status_of_files(settings)
    if as_json:
        print_json(found)
        return
    out.print(f"Server: {'[green]running[/green]' if server else '[yellow]not running[/yellow]'}")
    for name, value in found.items():
        if name == "budgets":
            print_budgets(value)
        elif name == "deployments":
            _print_deployments(value)
        elif name == "certificates":
            print_trust(msgspec.convert(value, dict[str, RouteTrust]))
        elif isinstance(value, dict):
            parts = (f"{part.replace('_', ' ')} {_said(each)}" for part, each in value.items())
            out.print(Text(f"{name}: {', '.join(parts)}"))
        else:
            out.print(Text(f"{name.replace('_', ' ')}: {_said(value)}"))


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _print_deployments(states: list[dict[str, Any]]) -> None:
    table = new_table("deployment", "breaker", "failing", "calls", "waiting", "first event", "keys")
    for state in states:
        keys = [f"{key['name']}{' [red]dead[/red]' if key['is_dead'] else ''}" for key in state["keys"]]
        breaker = state["breaker"].replace("_", "-")
        table.add_row(
            state["deployment"],
            breaker if breaker == "closed" else f"[red]{breaker}[/red], {state['opens_again_s']:.0f} s",
            f"{state['failure_share']:.0%}",
            f"{state['in_use']} of {state['limit']}",
            str(state["waiting"]),
            f"{state['latency_s']:.2f} s",
            ", ".join(keys),
        )
    out.print(table)


def _status_of_files(settings: Settings) -> dict[str, Any]:
    with opened_ledger(settings) as engine:
        return {
            "ready": False,
            "simulating": settings.simulates,
            "budgets": budget_status(restored_budgets(settings, engine, now()), now()),
            "ledger": {"rows": row_count(engine), "open_reservations": open_reservations(engine)},
        }


# --- keys, teams, budgets ----------------------------------------------------------------------------------


@main.group()
def keys() -> None:
    """Virtual keys: one for each app and environment."""


@keys.command("create")
@click.option("--team", required=True, help="Who pays, e.g. support.")
@click.option("--app", "app_name", required=True, help="Which product, e.g. faq-bot.")
@click.option("--env", default="prod", show_default=True, help="dev, staging or prod.")
@click.option("--route", help="The policy that applies. Default: the first route of the configuration.")
@click.option("--expires-in-days", type=click.IntRange(1), help="Default: never.")
@AS_JSON
def keys_create(
    team: str, app_name: str, env: str, route: str | None, expires_in_days: int | None, as_json: bool
) -> None:
    """Make a key. Its secret is shown once and cannot be had again."""
    settings = settings_of_command()
    expires = now_us() + int(timedelta(days=expires_in_days).total_seconds() * 1e6) if expires_in_days else None
    if (server := running_server(settings)) is not None:
        wanted = {"team": team, "app": app_name, "env": env, "route": route, "expires_us": expires}
        made = server.call("POST", "/admin/keys", wanted)
    else:
        routes = routes_of(settings, models_of(settings))
        route = route or next(iter(routes))
        check_key(team, app_name, env, route, routes)
        with locked(settings), opened_ledger(settings) as engine:
            key, secret = Keys(engine, simulates=settings.simulates).create(
                team=team, app=app_name, env=env, route=route, now_us=now_us(), expires_us=expires
            )
        made = {"key": msgspec.to_builtins(key), "secret": secret}
    for note in _doubtful(settings, team, env):
        err.print(Text(note, style="yellow"))
    if as_json:
        print_json(made)
        return
    out.print(f"Key {made['key']['id']} for app {app_name} of team {team} ({env}), route {made['key']['route']}.")
    out.print("Its secret, shown only now:\n")
    click.echo(made["secret"])


def _doubtful(settings: Settings, team: str, env: str) -> Iterator[str]:
    """What may be a slip of the pen, and lets a key spend more, or be served later, than its maker thinks."""
    if settings.teams and team not in settings.teams:
        known = ", ".join(settings.teams)
        yield f"Note: team {team} is not configured (known: {known}): no team's budget limits this key."
    if env not in ("dev", "staging", "prod"):
        yield f"Note: {env} is none of dev, staging and prod: the key is served as one of staging is."


@keys.command("list")
@AS_JSON
def keys_list(as_json: bool) -> None:
    """All keys, without their secrets."""
    settings = settings_of_command()
    found = all_keys(settings)
    if as_json:
        print_json(found)
        return
    table = new_table("id", "team", "app", "env", "route", "created", "state")
    for key in found:
        table.add_row(key.id, key.team, key.app, key.env, key.route, _day(key.created_us), key.state(now_us()))
    out.print(table)


@keys.command("revoke")
@click.argument("key_id")
def keys_revoke(key_id: str) -> None:
    """End a key at once."""
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        server.call("DELETE", f"/admin/keys/{key_id}")
    else:
        with locked(settings), opened_ledger(settings) as engine:
            if not Keys(engine, simulates=settings.simulates).revoke(key_id, now_us()):
                raise Failure(f"There is no valid key {key_id}; `thriftgate keys list` shows them all.")
    out.print(f"Key {key_id} is revoked.")


@main.command()
@AS_JSON
def teams(as_json: bool) -> None:
    """The configured teams and their budgets."""
    found = {
        name: msgspec.to_builtins(team, builtin_types=(Decimal,)) for name, team in settings_of_command().teams.items()
    }
    if as_json:
        click.echo(json.dumps(found, default=str, indent=2))
        return
    if not found:
        out.print(Text("No teams are configured. Keys may name any team; a budget needs [teams.NAME.budget]."))
    for name, team in settings_of_command().teams.items():
        budget = f"${team.budget.usd} per {team.budget.period}" if team.budget else "no budget"
        apps = f", apps: {', '.join(team.apps)}" if team.apps else ""
        out.print(f"{name}: {budget}{apps}")


main.add_command(budgets_group)


# --- cache, prices -----------------------------------------------------------------------------------------


main.add_command(cache_group)
main.add_command(prices_group)


# --- reports and the ledger ----------------------------------------------------------------------------------


def _held_out(
    engine: sa.Engine, since: datetime | None, until: datetime | None, team: str | None, app_name: str | None
) -> holdout.Holdout | None:
    """What the held-out conversations of this time show. Feedback may have come later than `until`."""
    since_us, until_us = (int(at.timestamp() * 1e6) if at else None for at in (_utc(since), _utc(until)))
    rows = rows_between(engine, since_us, None, team=team, app=app_name, requested_model=AUTO)
    return holdout.holdout(row for row in rows if row.kind != "request" or until_us is None or row.at_us < until_us)


_SIMULATED: Final = (
    "All providers of this configuration are simulated: the amounts are what real ones would charge, and nobody was "
    "billed."
)


@main.group()
def report() -> None:
    """Reports from the ledger."""


@report.command("holdout")
@click.option("--team", help="Only this team.")
@click.option("--app", "app_name", help="Only this app.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC, inclusive.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC, exclusive.")
@AS_JSON
def report_holdout(
    team: str | None, app_name: str | None, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """What routing saves and what it costs in quality, measured on held-out conversations.

    A random part of the `auto` conversations (`holdout_share` of a route) is served by the baseline. The difference
    between them and all others is the effect of routing, with a 95 % interval.
    """
    with opened_ledger(settings_of_command(), must_exist=True) as engine:
        found = _held_out(engine, since, until, team, app_name)
    if as_json:
        print_json(found)
        return
    for line in holdout.lines(found):
        out.print(line)


@report.command("savings")
@click.option("--team", help="Only this team.")
@click.option("--app", "app_name", help="Only this app.")
@click.option("--model", help="The model that was asked for.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC, inclusive.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="UTC, exclusive.")
@click.option(
    "--by",
    type=click.Choice(["day", "team", "app", "model", "route"]),
    default="day",
    show_default=True,
    help="One line for each.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "html"]),
    default="table",
    show_default=True,
    help="html is one page to open and print.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of the screen."
)
def report_savings(
    team: str | None,
    app_name: str | None,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    by: str,
    form: str,
    output: Path | None,
) -> None:
    """What was spent, what it would have cost at list prices, and what avoided the difference.

    The parts of the avoided cost add up to the whole, to the nano-dollar.
    """
    try:
        filters = savings.Filters(
            team=team,
            app=app_name,
            model=model,
            since=_utc(since),
            until=_utc(until),
            by=by,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    settings = settings_of_command()
    caution = _SIMULATED if settings.simulates else None
    with opened_ledger(settings, must_exist=True) as engine:
        with progress("Adding up", 0) as show:
            found = savings.report(engine, filters, show)
        chain_id, newest = head(engine)
        effect = holdout.lines(_held_out(engine, since, until, team, app_name)) if form in ("table", "html") else []
    if form == "table" and output is None:
        out.print(savings_text.as_table(found))
        for line in effect:
            out.print(line)
        if caution is not None:
            out.print(Text(caution, style="yellow"))
        return
    if form == "html":
        text = savings_html.as_html(
            found, made_at=now(), head=newest, chain_id=chain_id, routing=effect, caution=caution
        )
    elif form == "csv":
        text = savings_text.as_csv(found)
    else:
        text = savings_text.as_json(found) if form == "json" else _plain(savings_text.as_table(found))
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
    else:
        output.write_text(text, encoding="utf-8", newline="")
        err.print(f"Written to {output}.")


@main.group()
def ledger() -> None:
    """The append-only record of every request."""


@ledger.command("verify")
@AS_JSON
def ledger_verify(as_json: bool) -> None:
    """Recompute the hash chain, and every cost from its stored unit prices."""
    with (
        opened_ledger(settings_of_command(), must_exist=True) as engine,
        progress("Verifying", total := row_count(engine)) as show,
    ):
        done = itertools.count(1)
        found = verify(engine, lambda: show(next(done), total))
    if as_json:
        print_json(found)
    else:
        for problem in found.problems[:50]:
            out.print(f"[red]row {problem.seq}[/red] ({problem.request_id}): {problem.what}")
        verdict = (
            "[green]verifies[/green]"
            if not found.problems
            else f"[red]{counted(len(found.problems), 'problem', 'problems')}[/red]"
        )
        out.print(f"Chain {found.chain_id}: {counted(found.rows, 'row', 'rows')}, {verdict}.\nHead {found.head}")
        out.print("Keep the head elsewhere: a ledger that was cut or rewritten does not lead to it any more.")
    sys.exit(1 if found.problems else 0)


main.add_command(eval_group)
main.add_command(replay_command)


# --- shared ------------------------------------------------------------------------------------------------


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None else None


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).date().isoformat()


def _plain(renderable: Any) -> str:
    text = io.StringIO()
    Console(width=160, highlight=False, color_system=None, file=text).print(renderable)
    return text.getvalue()
