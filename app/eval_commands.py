"""`thriftgate eval`: offline measures of what the gateway decides. Reads data, changes nothing but what it is told to.

Owns the options, the progress bars and the files that are written; the measures are in `eval/`.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.terminal import AS_JSON, Failure, counted, err, out, settings_of_command
from cache import decision
from cache.encoder import Encoder
from cache.errors import EncoderUnavailable
from eval import (
    cache_html,
    cache_report,
    cache_text,
    fitting,
    router_html,
    router_report,
    router_text,
    sameness,
    wording,
)
from eval.streams import STREAMS, DataMissing, load_stream, shuffled
from eval.workers import Workers

_PRIOR: Final = Path(decision.__file__).parent / "prior.json"


@click.group("eval")
def eval_group() -> None:
    """Measure offline how good the decisions are."""


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if unknown := [name for name in names if name not in STREAMS]:
        raise click.BadParameter(f"{', '.join(unknown)}: known are {', '.join(STREAMS)}.")
    return names


def _shares(_: click.Context, __: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        found = tuple(sorted({float(each) for each in value.split(",")}))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of numbers such as 0.005,0.01.") from None
    if not all(0 < each < 0.5 for each in found):
        raise click.BadParameter("each must lie between 0 and 0.5.")
    return found


@eval_group.command("cache")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the public data sets, one folder each. Without it only our own sets are evaluated.",
)
@click.option(
    "--streams", default=",".join(STREAMS), callback=_names, help="Data sets to test; the others are fitted on only."
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 20), help="Random orders of each stream.")
@click.option(
    "--budgets",
    default="0.005,0.01,0.02",
    show_default=True,
    callback=_shares,
    help="Accepted wrong answers per semantic hit.",
)
@click.option("--fit", is_flag=True, help="Fit the prior on all data sets and write it into the package.")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for report.html, figures.json and vectors. Default: `eval-cache` in the data folder.",
)
@click.option("--quick", is_flag=True, help="One order, the first 3,000 questions of each: a first impression.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes. Default: one for each processor, at most 2.")
@AS_JSON
def eval_cache(
    data: Path | None,
    streams: tuple[str, ...],
    seeds: int,
    budgets: tuple[float, ...],
    fit: bool,
    folder: Path | None,
    quick: bool,
    workers: int | None,
    as_json: bool,
) -> None:
    """How many hits the cache serves, and how many of them are wrong.

    \b
    Replays streams of questions through the cache as production would run it, each with a prior that was
    fitted on the others, and compares it with fixed thresholds, vCache and an oracle. Then adversarial pairs,
    follow-ups, the encoder, and answers that change.

    \b
      thriftgate eval cache                       our own sets, some minutes
      thriftgate eval cache --data FOLDER         everything, about half an hour
      thriftgate eval cache --data FOLDER --fit   fits the shipped prior anew
    """
    if fit and (data is None or quick):
        raise click.UsageError("--fit needs --data, and no --quick: the shipped prior is fitted on all of it.")
    settings = settings_of_command()
    folder = folder or settings.data_dir / "eval-cache"
    plan = cache_report.Plan(data=data, streams=streams, seeds=1 if quick else seeds, budgets=budgets, is_quick=quick)
    try:
        encoder = Encoder.load(settings.encoder_folder, threads=settings.encoder.threads)
        with _stages() as stages:
            material = cache_report.gather(plan, encoder, folder, stages)
            with Workers(material, workers or min(os.cpu_count() or 1, 2)) as pool:
                try:
                    priors = cache_report.fit_priors(material, pool, stages)
                except ValueError as error:
                    raise Failure(f"{error}.") from None
                if fit:
                    priors = write_prior(priors)
                report = cache_report.evaluate(
                    material, priors, encoder, settings.encoder_folder, pool, stages, keep=folder
                )
    except (DataMissing, EncoderUnavailable) as error:
        raise Failure(str(error)) from None
    page = cache_html.as_html(report, made_at=datetime.now(UTC))
    _write(folder, cache_text.as_json(report), page, cache_text.as_tables(report), as_json=as_json)


def write_prior(priors: cache_report.Priors, path: Path = _PRIOR) -> cache_report.Priors:
    """Says what changes, and replaces the shipped prior."""
    assert priors.whole is not None
    if priors.shipped is priors.whole:
        err.print("The shipped prior was fitted for other features.")
    changes = fitting.changes(priors.shipped, priors.whole)
    for what, before, after in changes:
        was = "new" if math.isnan(before) else f"{before:.4f}"
        err.print(f"{what:28} {was:>10} -> {'gone' if math.isnan(after) else f'{after:.4f}'}")
    streams = [name for name in priors.sources if not name.startswith(fitting.SCENES)]
    scenes = [name for name in priors.sources if name.startswith(fitting.SCENES)]
    path.write_text(fitting.to_json(priors.whole, streams, {"scenes": scenes}), encoding="utf-8")
    err.print(
        f"{counted(len(changes), 'figure', 'figures')} changed. Written to {path}; restart the gateway to use it."
    )
    return msgspec.structs.replace(priors, shipped=priors.whole)


@eval_group.command("wordings")
@click.argument("stream", type=click.Choice(list(STREAMS)))
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the public data sets, one folder each.",
)
@click.option("--questions", type=click.IntRange(1), help="So many of them, in a random order. Default: all.")
@click.option("--seed", default=1, show_default=True, type=int, help="Of the order and of the wordings.")
@click.option(
    "--natural", is_flag=True, help="Use the wordings that were written by hand, for the labels that have some."
)
@click.option(
    "--support", is_flag=True, help="Use a support desk's answers, and ask only what they answer (banking77, clinc150)."
)
@click.option(
    "--chat", is_flag=True, help="Use answers as chat models give them, and ask only what they answer (banking77)."
)
@click.option(
    "--wordings",
    default=12,
    show_default=True,
    type=click.IntRange(1),
    help="So many of each answer; of those written by hand, at most. 1: the same text each time.",
)
def eval_wordings(
    stream: str,
    data: Path,
    questions: int | None,
    seed: int,
    natural: bool,
    support: bool,
    chat: bool,
    wordings: int,
) -> None:
    """Writes a stream of questions whose answers are worded differently each time, as JSON Lines.

    \b
      thriftgate eval wordings bitext --data FOLDER --questions 4000 > bitext.jsonl
      python -m benchmarks.stream bitext.jsonl

    The second command, in the source tree, sends them through a running gateway whose simulated provider knows these
    answers, and counts the right hits and the wrong ones.

    The answers state invented facts, which differ plainly. Those of a support desk are about similar matters, so that
    audits have a harder task, and many desks send the same text each time:

    \b
      thriftgate eval wordings banking77 --data FOLDER --support --wordings 1 > support.jsonl
      python -m benchmarks.stream support.jsonl

    Chat models reword most: one sentence today, a page with headings and advice tomorrow (--chat).
    """
    if natural + support + chat > 1:
        raise click.UsageError("--natural, --support and --chat exclude each other: each brings answers of its own.")
    try:
        asked = shuffled(load_stream(stream, data), seed)
    except DataMissing as error:
        raise Failure(f"{error}.") from None
    written = None
    if support:
        written = wording.support_wordings(stream, wording.read_support(), wordings, seed)
        if not written:
            raise Failure(f"No support desk's answers were written for the labels of {stream}.")
        asked = wording.only_of(written, asked)
    if chat:
        written = wording.chat_wordings(stream)
        if not written:
            raise Failure(f"No chat models' answers were written for the labels of {stream}.")
        asked = wording.only_of(written, asked)
    if natural:
        written = sameness.written_wordings(stream, sameness.read_families(sameness.NATURAL))
        if not written:
            raise Failure(f"No wordings were written for the labels of {stream}.")
    for line in wording.answers_file(asked[:questions], wordings, seed, written):
        click.echo(line)


@eval_group.command("router")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the public data sets `paretobandit` and `routellm`. Without it only the classifier of work and "
    "the time of a decision are measured.",
)
@click.option(
    "--splits", default=5, show_default=True, type=click.IntRange(1, 10), help="Times that each data set is halved."
)
@click.option("--no-budgets", is_flag=True, help="Leave out the simulation of budgets, which takes longest.")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for report.html, figures.json and vectors. Default: `eval-router` in the data folder.",
)
@AS_JSON
def eval_router(data: Path | None, splits: int, no_budgets: bool, folder: Path | None, as_json: bool) -> None:
    """How much quality the router gets for the money.

    \b
    Learns from one part of judged answers and decides on the other, for every price of money; beside it random
    choice, each model alone, their best mixture, nearest neighbours and an oracle. Then budgets: pacing against
    premium until the cap, against an 80/95 % ladder and against the best fixed choice. Then whether the kind of
    work that a prompt asks for is told, and how long a decision takes.

    \b
    APGR   how much of the gap between the cheapest and the dearest model is closed, as a mean over all costs;
           random choice closes 0.5
    CPT    the cost at which 50 or 80 % of that gap is closed: lower is better

    \b
      thriftgate eval router                      our own set, seconds
      thriftgate eval router --data FOLDER        everything, some minutes
    """
    settings = settings_of_command()
    folder = folder or settings.data_dir / "eval-router"
    plan = router_report.Plan(data=data, splits=splits, has_budgets=not no_budgets)
    try:
        encoder = Encoder.load(settings.encoder_folder, threads=settings.encoder.threads)
        with _stages() as stages:
            sets = router_report.gather(plan, encoder, folder, stages)
            report = router_report.evaluate(plan, sets, f"{encoder.model} {encoder.fingerprint}", stages)
    except (DataMissing, EncoderUnavailable) as error:
        raise Failure(str(error)) from None
    page = router_html.as_html(report, made_at=datetime.now(UTC))
    _write(folder, router_text.as_json(report), page, router_text.as_tables(report), as_json=as_json)


def _write(folder: Path, figures: str, page: str, tables: RenderableType, *, as_json: bool) -> None:
    """The page and the figures into the folder; the figures or the tables on standard output."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.json").write_text(figures, encoding="utf-8")
    (folder / "report.html").write_text(page, encoding="utf-8")
    if as_json:
        click.echo(figures, nl=False)
    else:
        out.print(tables)
    err.print(f"Written to {folder / 'report.html'} and {folder / 'figures.json'}.")


@contextmanager
def _stages() -> Iterator[cache_report.Stages]:
    """Progress bars on standard error, one for each stage; done ones stay with their time."""
    columns = (
        TextColumn("{task.description:26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err) as progress:

        @contextmanager
        def stage(what: str, total: int) -> Iterator[Callable[[int], None]]:
            task = progress.add_task(what, total=total)
            yield lambda steps: progress.advance(task, steps)
            progress.update(task, completed=total)

        yield stage
