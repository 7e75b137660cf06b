"""`thriftgate budgets`: what is spent, what is left, and whether the counters are true."""

from typing import Any

import click

from app.budgets import budget_status, restored_budgets
from app.remote import running_server
from app.services import now
from app.terminal import (
    AS_JSON,
    SaysNo,
    counted,
    new_table,
    opened_ledger,
    out,
    print_json,
    settings_of_command,
    short_usd,
)
from router.ledger.reader import open_reservations


@click.group("budgets", invoke_without_command=True)
@AS_JSON
@click.pass_context
def budgets_group(ctx: click.Context, as_json: bool) -> None:
    """What each budget has spent, and whether its counter agrees with the ledger.

    \b
    thriftgate budgets             the same as `budgets status`
    thriftgate budgets reconcile   compares counters with the ledger; exit code 1 if they differ
    """
    if ctx.invoked_subcommand is None:
        _status(as_json=as_json)


@budgets_group.command("status")
@AS_JSON
def budgets_status(as_json: bool) -> None:
    """What each budget has spent and reserved in its present period."""
    _status(as_json=as_json)


def _status(*, as_json: bool) -> None:
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        found = server.call("GET", "/admin/status")["budgets"]
    else:
        with opened_ledger(settings) as engine:
            found = budget_status(restored_budgets(settings, engine, now()), now())
    if as_json:
        print_json(found)
    else:
        print_budgets(found)


def print_budgets(found: list[dict[str, Any]]) -> None:
    if not found:
        out.print("No budgets are configured: spending is recorded and not limited.")
        return
    table = new_table("budget", "period", "cap USD", "spent USD", "reserved USD", "used", "arrivals over", "resets at")
    for budget in found:
        used = budget["spent_nano"] / budget["cap_nano"] if budget["cap_nano"] else 1.0
        over = "?" if budget["arrivals_over"] is None else f"{budget['arrivals_over']:.1%}"
        money = [short_usd(budget[f"{name}_nano"]) for name in ("cap", "spent", "reserved")]
        period = f"{budget['period']}, {budget['time_zone']}"
        table.add_row(budget["name"], period, *money, f"{used:.1%}", over, budget["resets_at"])
    out.print(table)


@budgets_group.command("reconcile")
@AS_JSON
def budgets_reconcile(as_json: bool) -> None:
    """Compare the counters of the running server with the ledger. They may never differ: if they do, the exit code is
    1, and the server's log and metrics raise an alarm."""
    settings = settings_of_command()
    if (server := running_server(settings)) is None:
        _without_server(as_json=as_json)
        return
    found = server.call("POST", "/admin/budgets/reconcile")
    if as_json:
        print_json(found)
    else:
        table = new_table("budget", "since", "counter USD", "ledger USD", "drift USD")
        for each in found["budgets"]:
            drift = each["counter_nano"] - each["ledger_nano"]
            money = [short_usd(nano) for nano in (each["counter_nano"], each["ledger_nano"], drift)]
            table.add_row(each["name"], each["period_start"], *money, style="red" if drift else None)
        out.print(table)
        for orphan in found["orphans"]:
            out.print(f"[red]Nobody holds the reservation {orphan}.[/red]")
    if not found["is_good"]:
        raise SaysNo("The counters differ from the ledger. A restart rebuilds them from it; then find out why.")
    if not as_json:
        out.print("Every counter agrees with the ledger.")


def _without_server(*, as_json: bool) -> None:
    with opened_ledger(settings_of_command()) as engine:
        left = open_reservations(engine)
    if as_json:
        print_json({"budgets": [], "orphans": [], "is_good": True, "open_reservations": left})
        return
    out.print("No server runs, so there are no counters to compare: the next start rebuilds them from the ledger.")
    if left:
        said = counted(left, "reservation was", "reservations were")
        them = "it" if left == 1 else "them"
        out.print(f"{said} open when the last server died; the next start books {them} in full.")
