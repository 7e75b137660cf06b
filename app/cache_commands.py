"""`thriftgate cache`: what is stored, whether it can be trusted, and how it is filled and emptied.

Each command goes through the admin API of the server on the data folder if one runs, else it works on the files.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlencode

import click
import msgspec
import sqlalchemy as sa
from msgspec import Struct
from rich.text import Text

from app import filling
from app.admin import Purge
from app.certificates import RouteTrust, open_doubts, restored, trust_of
from app.database import CACHE_MIGRATIONS, open_database
from app.errors import PurgeUnwritten
from app.gateway import Route
from app.keys import log_action
from app.remote import ServerFailed, all_keys, running_server
from app.services import (
    check_name,
    check_route,
    log_purge,
    models_of,
    now,
    now_us,
    open_encoder,
    open_store,
    routes_of,
)
from app.settings import Settings
from app.terminal import (
    AS_JSON,
    Failure,
    counted,
    err,
    locked,
    opened_ledger,
    out,
    print_json,
    progress,
    settings_of_command,
    tables_of,
)
from app.warming import LONGEST_NAME, Curated, FaqInvalid, read_faq
from cache import transfer
from cache.embeddings import EmbeddingStore
from cache.entries import Doubt, EntryStore
from cache.lookup import Cache

_ITEMS_AT_ONCE: Final = 64
_UNANSWERED_SHOWN: Final = 20
_BYTES_AT_ONCE: Final = 512 * 1024
"""Of an import or of what is warmed; one entry may be more."""


class _Files(Struct):
    """The cache of a data folder on which no server runs."""

    cache: Cache[Any]
    store: EntryStore
    engine: sa.Engine


class _Warnings:
    """Stands in for the server's log."""

    def warning(self, said: str, **about: Any) -> None:
        err.print(Text(f"{said}: {', '.join(map(str, about.values()))}", style="yellow"))


@contextmanager
def _opened(settings: Settings, *, with_encoder: bool = False) -> Iterator[_Files]:
    """Holds the data folder meanwhile. Raises DataFolderLocked."""
    with locked(settings):
        encoder = open_encoder(settings, _Warnings()) if with_encoder else None
        engine = open_database(settings.data_dir / "cache.db", CACHE_MIGRATIONS)
        store = open_store(settings, engine, _report)
        cache: Cache[Any] = Cache(store, encoder, now_us, _report)
        cache.load()
        try:
            yield _Files(cache, store, engine)
        finally:
            cache.close()
            engine.dispose()
            if encoder is not None:
                encoder.close()


def _report(error: Exception) -> None:
    err.print(Text(str(getattr(error, "orig", None) or error), style="red"))


def _routes(settings: Settings) -> dict[str, Route]:
    return routes_of(settings, models_of(settings))


@click.group("cache")
def cache_group() -> None:
    """Stored answers: how far to trust them, and how to fill, empty and move them.

    \b
    thriftgate cache certify                                      how often hits are wrong, route by route
    thriftgate cache inspect                                      the hits that you should look at
    thriftgate cache warm faq.csv --route default --team support  answers that you vouch for
    thriftgate cache invalidate --tag prices                      what has changed is forgotten
    """


# --- trust -----------------------------------------------------------------------------------------------------


@cache_group.command("certify")
@AS_JSON
def certify(as_json: bool) -> None:
    """How many hits were wrong, and how many there may be at most: for each route, with the reason of its state.

    `estimate` is the best guess of wrong answers per hit (or per request), `bound` is what they may be at most:
    in one stretch of evidence (some 20,000 labels) the chance that it is ever shown too low is 5 % or less, so over a
    life of many stretches some will. `with unclear` counts every unclear label as wrong. `learnt unserved` are fresh
    answers to questions that were not served from the cache: they say whether a stored one would have been right, and
    open a route that is `learning`. How many more that takes its reason tells, as far as they show. A route serves what
    is at least `kappa` probably right. Without a server: what one would start with.
    """
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        found = msgspec.convert(server.call("GET", "/admin/cache/certificates"), dict[str, RouteTrust])
    else:
        routes = _routes(settings)
        with _opened(settings) as files:
            found = trust_of(routes, restored(files.store, routes, now_us()), open_doubts(files.engine))
    if as_json:
        print_json(found)
        return
    # Figures go down and routes across: more figures than a terminal has room for beside each other.
    for table in tables_of(_FIGURES, {name: _certificate_cells(route) for name, route in found.items()}, out.width):
        out.print(table)
    print_trust(found)


def print_trust(routes: Mapping[str, RouteTrust]) -> None:
    """A line for each route: what it does, and why."""
    for name, route in routes.items():
        out.print(Text(f"{name}: {_reason(name, route)}"))


_FIGURES: Final = (
    *("state", "kappa", "requests", "semantic hits", "audited", "wrong", "unclear"),
    *("learnt unserved", "of them wrong", "beside them unclear"),
    *("estimate", "bound", "with unclear", "budget", "stale", "alarms", "doubts"),
)


def _certificate_cells(route: RouteTrust) -> list[str]:
    known = route.certificate
    if known is None:
        return [route.mode, *["-"] * (len(_FIGURES) - 2), str(route.doubts)]
    of_hits = (known.requests, known.hits, known.audited, known.wrong, known.unclear)
    unserved = (known.free, known.free_wrong, known.free_unclear)
    return [
        known.state,
        "-" if known.kappa is None else f"{known.kappa:.4g}",
        *map(str, of_hits + unserved),
        "-" if known.estimate is None else f"{known.estimate:.2%}",
        f"{known.bound:.2%}",
        f"{known.bound_with_unclear:.2%}",
        f"{known.max_wrong:.2%} per {known.per}",
        "yes" if known.is_stale else "no",
        ", ".join(known.alarms) or "-",
        str(route.doubts),
    ]


def _reason(name: str, route: RouteTrust) -> str:
    if route.certificate is None:
        return "It serves the same words only." if route.mode == "exact" else "It uses no cache."
    hits = "a doubtful hit" if route.doubts == 1 else f"{route.doubts} doubtful hits"
    doubts = f" `thriftgate cache inspect --route {name}` shows {hits}." if route.doubts else ""
    return route.certificate.reason + doubts


@cache_group.command("inspect")
@click.option("--route", help="Only this route.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@AS_JSON
def inspect(route: str | None, limit: int, as_json: bool) -> None:
    """The hits that nobody is sure of: what was asked, what was served, and what a fresh answer said.

    Say of each whether it was right: `thriftgate cache rule ID right`. Shows what your users wrote.
    """
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        asked = urlencode({"limit": limit} | ({"route": route} if route is not None else {}))
        found = msgspec.convert(server.call("GET", f"/admin/cache/doubts?{asked}"), list[Doubt])
    else:
        with _opened(settings) as files:
            found = files.store.doubts(route, limit)
    if as_json:
        print_json(found)
        return
    for doubt in found:
        _print_doubt(doubt)
    if not found:
        out.print("No hit waits for your judgement.")
        return
    count = f"{len(found)} hits. Judge each one" if len(found) > 1 else "Judge it"
    out.print(f"{count}: thriftgate cache rule {found[0].id} right|wrong")


def _print_doubt(doubt: Doubt) -> None:
    at = datetime.fromtimestamp(doubt.at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")
    found = "an audit calls it wrong" if doubt.verdict == "wrong" else "unclear"
    head = f"{doubt.id}  {at}  route {doubt.route}, team {doubt.team}, p = {doubt.p:.4f}: {found}"
    out.print(Text(head, style="bold"))
    for label, text in (
        ("asked", doubt.asked),
        ("served for", doubt.stored_question),
        ("served", doubt.stored_answer),
        ("fresh answer", doubt.fresh_answer or "(none)"),
    ):
        out.print(Text(f"  {label:<13} {text}"))
    out.print(Text(f"  {'':<13} entry {doubt.entry_id}, request {doubt.request_id}\n", style="dim"))


@cache_group.command("rule")
@click.argument("doubt_id", metavar="ID", type=click.IntRange(1))
@click.argument("ruling", type=click.Choice(["right", "wrong"]))
def rule(doubt_id: int, ruling: Literal["right", "wrong"]) -> None:
    """Say whether a doubtful hit was right. `thriftgate cache inspect` shows the IDs.

    A right one is served again, unless another hit for the same stored question was wrong; a wrong one never, but for a
    curated answer to its own question. Its answer group is trusted more or less from then on. A wrong one of which no
    audit could tell counts against its route.
    """
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        server.call("POST", f"/admin/cache/doubts/{doubt_id}", {"ruling": ruling})
    else:
        with _opened(settings, with_encoder=True) as files:
            for name, each in _routes(settings).items():
                if each.cache.mode == "semantic":
                    files.cache.trust.open(name, each.cache)
            is_known = files.cache.rule(doubt_id, ruling)
        if not is_known:
            raise Failure(f"There is no doubtful hit {doubt_id}; `thriftgate cache inspect` shows them all.")
        _log(settings, "cache hit judged", f"doubt {doubt_id}: {ruling}")
    out.print(f"Hit {doubt_id} was {ruling}.")


# --- forgetting ------------------------------------------------------------------------------------------------


class _Named(click.ParamType[str]):
    """What something is called: a text that is not empty and not too long."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty. Give it a text, or leave the option out.", param, ctx)
        if len(value) > LONGEST_NAME:
            self.fail(f"it has more than {LONGEST_NAME} characters. Give it a shorter text.", param, ctx)
        return str(value)


_NAMED: Final = _Named()


@cache_group.command("purge")
@click.option("--entry", type=_NAMED, help="One entry: the x-thriftgate-entry of an answer.")
@click.option("--group", type=int, help="All entries whose answers say the same.")
@click.option("--tag", type=_NAMED, help="Everything with this tag.")
@click.option("--route", type=_NAMED, help="Everything of a route.")
@click.option("--team", type=_NAMED, help="Everything of a team.")
@click.option("--env", type=_NAMED, help="Everything of an environment; curated answers belong to none.")
@click.option("--knowledge-version", help="Everything that is based on this version.")
@click.option("--all", "everything", is_flag=True, help="Everything.")
def purge(everything: bool, **given: Any) -> None:
    """Forget stored answers that match all that is given, with the doubts about them.

    `thriftgate cache invalidate` is the same command. Answers that are being made are not stored either.
    """
    try:
        wanted = msgspec.convert({**given, "all": everything}, Purge)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"{error}.") from None
    if not wanted.criteria() and not everything:
        raise click.UsageError(
            "Say what to purge: --entry, --group, --tag, --route, --team, --env, --knowledge-version or --all."
        )
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        purged = server.call("POST", "/admin/cache/invalidate", wanted)["purged"]
    else:
        with _opened(settings) as files:
            criteria = wanted.criteria()
            embeddings = EmbeddingStore(files.engine, settings.cache.embeddings_mib * 1024 * 1024)
            purged = files.cache.purge(**criteria) + embeddings.purge(criteria)
            is_written = files.store.hurry().result() and not files.store.refused
        with opened_ledger(settings) as ledger:
            log_purge(ledger, criteria, purged, "command")
        if not is_written:
            raise Failure(str(PurgeUnwritten()))
    matched = "" if purged or everything else ": nothing stored matches all that is given"
    out.print(f"{counted(purged, 'entry is', 'entries are')} gone{matched}.")


cache_group.add_command(purge, "invalidate")


@cache_group.command("stats")
@AS_JSON
def stats(as_json: bool) -> None:
    """How many answers are stored, how much room they take, and how many are on their way."""
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        found = server.call("GET", "/admin/status")["cache"]
    else:
        with _opened(settings, with_encoder=True) as files:
            found = files.cache.statistics()
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        out.print(f"{name}: {value}")


# --- filling ---------------------------------------------------------------------------------------------------

_FILE: Final = click.Path(path_type=Path, dir_okay=False)


@cache_group.command("warm")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--route", required=True, help="The route that is to serve them.")
@click.option("--team", required=True, help="The team that is to get them; a shared route serves its whole group.")
@click.option(
    "--tag", "tags", type=_NAMED, multiple=True, help="Given to all, besides the file's own; may be repeated."
)
def warm(file: Path, route: str, team: str, tags: tuple[str, ...]) -> None:
    """Store questions and answers that you vouch for, before anybody has asked.

    \b
    FILE is one of
      *.csv     with the header question,answer[,tags,ttl_s]; `;` or `,` separates tags
      *.jsonl   a line is {"question": ..., "answer": ...}, also "paraphrases", "tags" (lists) and "ttl_s"

    They serve first questions in plain text that want no more than a text (no tools, response format, logprobs or
    audio), whatever the model and its parameters are, are found before all other answers and are never evicted while
    their route has the same `knowledge_version`; under another one they make room like any other. Asked again in the
    same words, the newer answer takes the place of the older. A question that stands twice in FILE with one answer has
    the tags of both lines and the shorter ttl_s.
    A question that is no longer in FILE stays until it is purged, as by a tag. What is purged meanwhile does not come
    back with the rest of FILE. The whole file is checked first: if a line is bad, nothing is stored.
    """
    since_us = now_us()
    try:
        items = [_tagged(item, tags) for item in read_faq(file)]
    except FaqInvalid as error:
        raise Failure(str(error)) from None
    settings = settings_of_command()
    check_name(team, "team")
    check_route(route, routes := _routes(settings))
    done = purged = 0
    with progress("Warming", len(items)) as show:
        if (server := running_server(settings)) is not None:
            for part in _parts(items):
                wanted = {"team": team, "route": route, "items": part, "since_us": since_us}
                try:
                    became = server.call("POST", "/admin/cache/warm", wanted)
                except ServerFailed as error:
                    raise Failure(
                        f"{str(error).rstrip('.')}. Before that {done:,} of {len(items):,} questions were kept, for "
                        f"team {team} on route {route}, and some of the next {len(part)} may have been. Warm the file "
                        "again, with or without a server: what is there already is not stored twice."
                    ) from None
                done, purged = done + became["stored"], purged + became["purged"]
                show(done + purged, len(items))
        else:
            with _opened(settings, with_encoder=True) as files:
                done = asyncio.run(_warm_files(files, routes, team, route, items, show))
            _log(settings, "cache warmed", f"team {team}, route {route}: {done} entries")
    if done < len(items):
        unwritten = len(items) - done - purged
        left_out = f" {counted(purged, 'was', 'were')} left out because of a purge meanwhile." if purged else ""
        lost = f" {unwritten:,} could not be written to the cache file." if unwritten else ""
        raise Failure(
            f"Only {done:,} of {len(items):,} questions are kept, for team {team} on route {route}.{left_out}{lost} "
            f"Warm the file again{' once it is up to date' if purged else ''}."
        )
    unanswered = list(filling.unanswered(routes[route].cache, items))
    said = counted(done - len(unanswered), "question is", "questions are")
    out.print(f"{said} answered from now on, for team {team} on route {route}.")
    _print_unanswered(unanswered)
    askers = {key.team for key in all_keys(settings) if key.route == route and key.state(now_us()).startswith("valid")}
    if team not in askers and not (askers and routes[route].cache.shared):
        others = f"; teams with one: {', '.join(sorted(askers))}" if askers else ""
        note = f"Note: nobody can ask them yet. Team {team} has no valid key for route {route}{others}."
        err.print(Text(note, style="yellow"))


def _print_unanswered(unanswered: list[tuple[Curated, str]]) -> None:
    if not unanswered:
        return
    said = counted(len(unanswered), "question is", "questions are")
    out.print(f"{said} left to the models whatever is stored, since the answer may not be the same for all:")
    for item, reason in unanswered[:_UNANSWERED_SHOWN]:
        out.print(Text(f"  {item.source} ({reason}): {item.question.strip()[:100]}"))
    if len(unanswered) > _UNANSWERED_SHOWN:
        out.print(f"  and {len(unanswered) - _UNANSWERED_SHOWN} more.")


def _tagged(item: Curated, tags: tuple[str, ...]) -> Curated:
    fields = msgspec.to_builtins(item)
    return msgspec.convert({**fields, "tags": [*item.tags, *tags]}, Curated)


def _parts(items: list[Curated]) -> Iterator[list[Curated]]:
    """In their order, so many as fit one request."""
    part, size = list[Curated](), 0
    for item in items:
        item_bytes = len(msgspec.json.encode(item))
        if part and (len(part) == _ITEMS_AT_ONCE or size + item_bytes > _BYTES_AT_ONCE):
            yield part
            part, size = [], 0
        part.append(item)
        size += item_bytes
    if part:
        yield part


async def _warm_files(
    files: _Files, routes: dict[str, Route], team: str, route: str, items: list[Curated], show: Any
) -> int:
    done = 0
    for part in _parts(items):
        done += (await filling.warm(files.cache, routes, team, route, part, now())).written
        show(done, len(items))
    return done


@cache_group.command("export")
@click.argument("file", type=_FILE)
def export(file: Path) -> None:
    """Write all stored answers to FILE as JSON Lines, with their questions, scopes and expiry.

    The file holds what your users asked and what they were told: only you can read it. Vectors are not in it.
    """
    settings = settings_of_command()
    if (server := running_server(settings)) is not None:
        total = server.call("GET", "/admin/status")["cache"]["entries"]
        written = _write(file, (line + b"\n" for line in server.lines("/admin/cache/export")), total)
    else:
        with _opened(settings) as files:
            written = _write(file, transfer.lines(files.store), len(files.store))
    out.print(f"{counted(written, 'entry is', 'entries are')} in {file}.")


def _write(file: Path, lines: Iterable[bytes], total: int) -> int:
    """All or nothing: the file appears when it is whole. Returns the number of entries."""
    partial = file.with_name(file.name + ".part")
    written = -1  # the first line is no entry
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with progress("Exporting", total) as show, os.fdopen(handle, "wb") as target:
            for line in lines:
                target.write(line)
                written += 1
                show(written, total)
        partial.replace(file)
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
    return written


@cache_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def import_(file: Path) -> None:
    """Store the answers of an export, each with its scope, age and expiry; what is there already stays.

    Questions are encoded anew. The whole file is checked first. May be repeated: nothing is stored twice. Where there
    is no room for all of them, others make room, as always.
    """
    try:
        parts, total = _parts_of(file)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from None
    except transfer.TransferInvalid as error:
        raise Failure(f"{file}: {error}") from None
    settings = settings_of_command()
    taken: Counter[str] = Counter()
    with progress("Importing", total) as show:

        def add(part: dict[str, int]) -> None:
            taken.update(part)
            show(taken["imported"] + sum(taken[outcome] for outcome in _TAKEN), total)

        if (server := running_server(settings)) is not None:
            for part in parts:
                add(server.call("POST", "/admin/cache/import", content=part))
        else:
            routes = _routes(settings)
            with _opened(settings, with_encoder=True) as files:
                for part in parts:
                    add(asyncio.run(filling.take_in(files.cache, routes, part)))
            _log(settings, "cache imported", f"{taken['imported']} entries")
    said = [counted(count, *_TAKEN[outcome]) for outcome, count in taken.items() if count and outcome in _TAKEN]
    are_stored = f"{counted(total, 'entry is', 'entries are')} stored"
    out.print(f"{taken['imported']} of {are_stored}{''.join(f', {each}' for each in said)}.")
    if taken["evicted"]:
        evicted = counted(taken["evicted"], "entry has", "entries have")
        out.print(f"The cache is full, so that {evicted} had to make room: see `max_entries` and `max_mib`.")
    if taken["unwritten"]:
        unwritten = counted(taken["unwritten"], "entry", "entries")
        raise Failure(f"{unwritten} could not be written to the cache file. Import again when it can be.")


_TAKEN: Final = {
    "present": ("was there already", "were there already"),
    "expired": ("has expired", "have expired"),
    "unknown-route": ("belongs to a route that is not configured", "belong to routes that are not configured"),
    "other-version": (
        "is based on another knowledge version than its route",
        "are based on other knowledge versions than their routes",
    ),
    "other-group": (
        "was stored for another `shared` group than its route has",
        "were stored for other `shared` groups than their routes have",
    ),
    "purged": ("was left out because of a purge meanwhile", "were left out because of a purge meanwhile"),
}


def _parts_of(file: Path) -> tuple[Iterator[bytes], int]:
    """The file in parts that fit one request, each below the file's first line, and the number of its entries. Raises
    TransferInvalid, if any line is no entry that can be served."""
    with file.open("rb") as lines:
        total = sum(1 for _ in filling.servable(lines))

    def parts() -> Iterator[bytes]:
        with file.open("rb") as lines:
            written = (line for line in lines if line.strip())
            head = next(written)
            part, size = [head], len(head)
            for line in written:
                if len(part) > 1 and size + len(line) > _BYTES_AT_ONCE:
                    yield b"".join(part)
                    part, size = [head], len(head)
                part.append(line)
                size += len(line)
            if len(part) > 1:
                yield b"".join(part)

    return parts(), total


def _log(settings: Settings, action: str, subject: str) -> None:
    with opened_ledger(settings) as ledger, ledger.begin() as connection:
        log_action(connection, now_us(), action, subject)
