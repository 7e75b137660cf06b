"""`thriftgate replay`: recorded traffic under another configuration."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.progress import Progress
from rich.text import Text

from app.database import LEDGER_MIGRATIONS, open_database
from app.services import check_route, models_of, routes_of
from app.settings import load
from app.terminal import counted, err, new_table, out
from cache.decision import load_prior
from cache.trust import terms_of
from eval import routing_replay
from eval.replay import APPROXIMATIONS, Comparison, Replayed, recorded_requests, replay
from router.ledger.reader import row_count, rows_between
from router.money import usd_text


@click.command("replay")
@click.option(
    "--ledger",
    "ledger_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The ledger file; by default that of the configuration in use.",
)
@click.option(
    "--config",
    "other_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Another configuration: its routes, models and prices decide anew, its [cache] tables say under which terms.",
)
@click.option(
    "--max-wrong-per-hit", type=click.FloatRange(0.0001, 0.2), help="Instead: this error budget for all routes."
)
@click.option("--route", help="Only this route.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
@click.pass_context
def replay_command(
    context: click.Context,
    ledger_path: Path | None,
    other_path: Path | None,
    max_wrong_per_hit: float | None,
    route: str | None,
    as_json: bool,
) -> None:
    """Decide recorded requests anew, with another error budget or configuration.

    Reads the text-free decision records of the ledger and prints, for each route, what was served and what would have
    been: from the cache, and with --config also by which models and at what cost. Nothing is changed. What is
    approximated is said below the tables.
    """
    if (other_path is None) == (max_wrong_per_hit is None):
        raise click.UsageError("Give --config FILE or --max-wrong-per-hit SHARE.")
    settings = load(context.obj)
    path = ledger_path or settings.data_dir / "ledger.db"
    if not path.exists():
        raise click.ClickException(f"There is no ledger at {path}. `thriftgate serve` makes one.")
    other = load(other_path) if other_path is not None else settings
    all_routes = routes_of(other, models_of(other))
    if route is not None:
        check_route(route, all_routes)
    engine = open_database(path, LEDGER_MIGRATIONS)
    with Progress(console=err, transient=True) as progress:
        task = progress.add_task("Reading the ledger", total=row_count(engine))
        requests = recorded_requests(rows_between(engine), lambda: progress.advance(task))
    routes = {name: each for name, each in all_routes.items() if route in (None, name)}
    routed: list[routing_replay.Comparison] = []
    if other_path is not None:
        with Progress(console=err, transient=True) as progress:
            task = progress.add_task("Choosing models anew", total=row_count(engine))
            routings = {name: each.routing for name, each in routes.items()}
            routed = routing_replay.replay(rows_between(engine), routings, lambda: progress.advance(task))
    engine.dispose()
    prior = load_prior()
    found: list[Comparison] = []
    policies = {name: each.cache for name, each in routes.items()}
    for name in sorted({each.route for each in requests}):
        if name not in policies:
            continue
        policy = policies[name]
        if max_wrong_per_hit is not None:
            policy = msgspec.structs.replace(policy, max_wrong=max_wrong_per_hit, per="hit")
        found.append(replay(requests, name, terms_of(policy, prior)))
    if as_json:
        both = {"cache": found, "routing": routed}
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(both), indent=2) + b"\n")
        return
    _print(found)
    if other_path is not None:
        _print_routing(routed)


_FIGURES: Final[dict[str, Callable[[Replayed], str]]] = {
    "semantic hits": lambda figures: f"{figures.hits:,}",
    "of them wrong, expected": lambda figures: f"{figures.expected_wrong:.1f}",
    "of them labelled": lambda figures: f"{figures.labelled:,}, of them wrong {figures.labelled_wrong:,}",
    "avoided USD": lambda figures: usd_text(figures.avoided_nano),
}


def _print(found: list[Comparison]) -> None:
    if not found:
        out.print("The ledger has no semantic decisions of these routes yet.")
        return
    for each in found:
        made = each.recorded.requests
        table = new_table("", "as recorded", "decided anew")
        for name, figure in _FIGURES.items():
            table.add_row(name, figure(each.recorded), figure(each.replayed))
        table.add_row("last kappa", "-", "none" if (kappa := each.replayed.final_kappa) is None else f"{kappa:.4f}")
        table.add_row("last state", "-", each.replayed.state)
        out.print(Text(f"Route {each.recorded.route}: {counted(made, 'decision', 'decisions')}", style="italic"))
        out.print(table)
    for line in APPROXIMATIONS:
        out.print(f"- {line}")


def _print_routing(found: list[routing_replay.Comparison]) -> None:
    if not found:
        out.print("The ledger has no routing decisions of these routes yet.")
        return
    for each in found:
        out.print(Text(f"Route {each.route}: {counted(each.requests, 'request', 'requests')} routed", style="italic"))
        table = new_table("", "as recorded", "decided anew")
        sides = (each.recorded, each.replayed)
        for model in {name: None for side in sides for name in side.served}:
            table.add_row(model, *(f"{side.served.get(model, 0):,}" for side in sides))
        table.add_row("cost USD", *(usd_text(side.cost_nano) for side in sides))
        table.add_row("expected quality", *(f"{side.expected_quality:.3f}" for side in sides))
        out.print(table)
        saved = each.recorded.cost_nano - each.replayed.cost_nano
        out.print(f"The other configuration would have cost {usd_text(saved)} USD less.")
        if each.skipped:
            out.print(
                f"{each.skipped:,} request{'s'[: each.skipped != 1]} of the holdout, explored or without a common "
                f"model {'stays as it was' if each.skipped == 1 else 'stay as they were'}."
            )
    for line in routing_replay.APPROXIMATIONS:
        out.print(f"- {line}")
