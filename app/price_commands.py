"""`thriftgate prices`: the list prices in use, and their cross-check against a second catalogue."""

from collections.abc import Iterator
from pathlib import Path

import click

from app.services import models_of, now
from app.terminal import (
    AS_JSON,
    Failure,
    SaysNo,
    counted,
    err,
    new_table,
    out,
    print_json,
    settings_of_command,
    short_usd,
)
from eval.price_check import TOLERATED, CatalogueUnreadable, SecondCatalogue, check
from router.prices import catalogue_models


@click.group("prices", invoke_without_command=True)
@AS_JSON
@click.pass_context
def prices_group(ctx: click.Context, as_json: bool) -> None:
    """The list prices in use now, in USD per million tokens.

    `thriftgate prices check --against FILE` compares them with a second catalogue.
    """
    if ctx.invoked_subcommand is None:
        _listed(as_json)


def _listed(as_json: bool) -> None:
    at = now()
    table = new_table("model", "deployment", "input", "cache read", "output", "from")
    found = []
    for name, model in models_of(settings_of_command()).items():
        for deployment in model.deployments:
            listed = deployment.priced.list_prices(at, 1)
            found.append({"model": name, "deployment": deployment.name, "list": listed})
            figures = [short_usd(n) for n in (listed.input, listed.cache_read, listed.output)] if listed else ["?"] * 3
            table.add_row(name, deployment.name, *figures, listed.version if listed else "unpriced")
    if as_json:
        print_json(found)
        return
    out.print(table)


@prices_group.command("check")
@click.option(
    "--against",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="LiteLLM's model_prices_and_context_window.json, of any version.",
)
@click.option("--all", "is_all", is_flag=True, help="Every model of the catalogue, not only the configured ones.")
@AS_JSON
def check_command(against: Path, is_all: bool, as_json: bool) -> None:
    """List prices that differ by more than 0.5 % from a second catalogue.

    Where two catalogues disagree, look at the provider's page and put the right price into the configuration
    (`list_price`). Exit code 1 if anything differs.
    """
    try:
        second = SecondCatalogue.read(against)
    except CatalogueUnreadable as error:
        raise Failure(str(error)) from None
    found = check(catalogue_models() if is_all else _configured(), second, now())
    if as_json:
        print_json(found)
    else:
        table = new_table("model", "bucket", "ours", "theirs", "difference")
        for each in found.differences:
            name = f"{each.provider}/{each.model}"
            table.add_row(name, each.bucket, short_usd(each.ours), short_usd(each.theirs), f"{each.share:+.1%}")
        if found.differences:
            out.print(table)
        for name in () if is_all else found.missing:
            err.print(f"{name}: in one of the catalogues only")
        out.print(
            f"{counted(found.compared, 'model', 'models')} compared, "
            f"{counted(len(found.differences), 'price differs', 'prices differ')} by more than {TOLERATED:.1%}."
        )
    if found.differences:
        raise SaysNo("The catalogues disagree.")


def _configured() -> Iterator[tuple[str, str]]:
    """What the catalogue prices of the configured deployments; an operator's own list price needs no check."""
    deployments = (each for model in models_of(settings_of_command()).values() for each in model.deployments)
    seen = {(each.priced.provider, each.priced.reference): None for each in deployments if each.priced.listed is None}
    return iter(seen)
