"""Everything that a running gateway holds, opened in order and closed in reverse.

`open_services` is the only place where settings become objects.
"""

import asyncio
import fcntl
import itertools
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import msgspec
import sqlalchemy as sa
import structlog
from msgspec import Struct

from app import filling
from app.calls import Calls
from app.certificates import STATES, RouteTrust, open_doubts, trust_of
from app.database import CACHE_MIGRATIONS, LEDGER_MIGRATIONS, open_database
from app.errors import NotFound, RouteUnknown
from app.feedback import Feedback
from app.gateway import Gateway, Route
from app.keys import Caller, Key, Keys, log_action
from app.observer import Observer
from app.settings import BudgetSettings, ProviderSettings, RouteSettings, Settings
from app.warming import Curated
from app.webhook import Received
from cache import transfer
from cache.encoder import Encoder
from cache.entries import Doubt, EntryStore
from cache.errors import EncoderUnavailable
from cache.lookup import Cache
from cache.query import CachePolicy
from router.budgets import AUDITS, Budget, Budgets, Ladder, period_end, period_start
from router.catalogue import Deployment, Model, Provider, RoutingPolicy, Simulation, Tier
from router.chat import ChatEvent
from router.errors import RequestInvalid
from router.ledger.reader import open_reservations, row_count, rows_between, spending_since
from router.ledger.writer import Ledger
from router.prices import Priced
from router.upstream import Upstream, open_transport

DEVELOPMENT_ROUTE: Final = "development"
_DEVELOPMENT_MAX_WRONG: Final = 0.05
"""A wide error budget: somebody who tries the gateway has stored one wording of a question, not several."""
_LINES_AT_ONCE: Final = 64


class DataFolderLocked(Exception):
    """Another server uses the data folder. `holder` is its process id, if known."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"The data folder {folder} is in use by process {holder or '?'}. One server at a time: stop that one, "
            "or set another server.data_dir."
        )


class Services(Struct):
    """What handlers need. One for each app."""

    settings: Settings
    gateway: Gateway
    keys: Keys
    cache: Cache[ChatEvent]
    store: EntryStore
    cache_engine: sa.Engine
    budgets: Budgets
    ledger: Ledger
    ledger_engine: sa.Engine
    observer: Observer
    routes: Mapping[str, Route]
    admin_token: str
    end_user_key: bytes
    recovered: int
    """Requests that were under way when the last process died, booked at start."""
    development_key: str | None
    webhooks: Received = msgspec.field(default_factory=Received)
    is_ready: bool = True

    @property
    def max_body_bytes(self) -> int:
        return self.settings.server.max_body_mib * 1024 * 1024

    def model_names(self, route: str) -> list[str]:
        """The models of a route. Raises RouteUnknown for one that was taken out of the configuration."""
        if route not in self.routes:
            raise RouteUnknown(route)
        return [model.name for model in self.routes[route].routing.models]

    def create_key(self, team: str, app: str, env: str, route: str | None, expires_us: int | None) -> tuple[Key, str]:
        """A new key. Raises RequestInvalid for a route that does not exist."""
        route = route or next(iter(self.routes))
        check_key(team, app, env, route, self.routes)
        return self.keys.create(team=team, app=app, env=env, route=route, now_us=now_us(), expires_us=expires_us)

    def purge(self, criteria: Mapping[str, Any], by: str = "admin") -> int:
        """Forgets the entries that match all criteria of `Cache.purge`, or all entries if there is none."""
        purged = self.cache.purge(**criteria)
        log_purge(self.ledger_engine, criteria, purged, by)
        return purged

    async def warm(self, team: str, route: str, items: Sequence[Curated]) -> int:
        """Stores curated answers; how many. Raises RequestInvalid for a route that would not serve them."""
        check_name(team, "team")
        check_route(route, self.routes)
        stored = await filling.warm(self.cache, self.routes, team, route, items, now())
        with self.ledger_engine.begin() as connection:
            log_action(connection, now_us(), "cache warmed", f"team {team}, route {route}: {stored} entries")
        return stored

    async def export(self) -> AsyncIterator[bytes]:
        """The whole cache as the lines of a file, some at a time. Read in a thread, so that others are served."""
        await asyncio.to_thread(self.store.flush)
        lines = transfer.lines(self.store)
        while part := await asyncio.to_thread(lambda: b"".join(itertools.islice(lines, _LINES_AT_ONCE))):
            yield part

    async def take_in(self, content: bytes) -> dict[str, int]:
        """Stores the entries of an export; how many became what. Raises RequestInvalid before anything is stored."""
        taken = await filling.take_in(self.cache, self.routes, content)
        with self.ledger_engine.begin() as connection:
            log_action(connection, now_us(), "cache imported", f"{taken['imported']} entries")
        return taken

    async def take_feedback(self, caller: Caller, said: Feedback) -> bool:
        """Takes note of what a client says of an answer; whether it counts as evidence, which only complaints about
        semantic hits do. Raises NotFound for an answer that the caller's team has not had."""
        rows = rows_between(self.ledger_engine, request_id=said.request_id, kind="request", team=caller.team)
        if next(rows, None) is None:
            raise NotFound(
                f"Your team has no request `{said.request_id}`. Send the `x-request-id` of an answer that has ended.",
                "request_id",
            )
        is_counted = said.is_complaint and await self.gateway.complain(said.request_id)
        self.observer.feedback(
            said.request_id, caller.team, said.kind, is_counted=is_counted, has_answer=said.preferred is not None
        )
        return is_counted

    async def doubts(self, route: str | None, limit: int) -> list[Doubt]:
        """Hits that wait for a person to judge them, newest first."""
        await asyncio.to_thread(self.store.flush)
        return self.store.doubts(route, limit)

    def rule(self, doubt_id: int, ruling: Literal["right", "wrong"]) -> bool:
        """Takes a person's judgement of a hit; False for an unknown one."""
        is_known = self.cache.rule(doubt_id, ruling)
        if is_known:
            with self.ledger_engine.begin() as connection:
                log_action(connection, now_us(), "cache hit judged", f"doubt {doubt_id}: {ruling}")
        return is_known

    def certificates(self) -> dict[str, RouteTrust]:
        """What is known of each route."""
        return trust_of(self.routes, self.cache.certificates(), open_doubts(self.cache_engine))

    def observe(self) -> None:
        """Brings the gauges up to date."""
        statistics = self.cache.statistics()
        for name, gauge in self.observer.cache.items():
            gauge.set(statistics[name])
        for name, route in self.certificates().items():
            for figure, value in route.figures():
                self.observer.routes[figure].labels(name).set(value)
            if route.certificate is not None:
                for state in STATES:
                    self.observer.route_state.labels(name, state).set(state == route.certificate.state)
        for budget in self.budgets:
            spent = self.budgets.account(budget, now()).spent_nano
            self.observer.budget_used.labels(budget.name).set(spent / budget.cap_nano if budget.cap_nano else 1.0)

    def status(self) -> dict[str, Any]:
        """What `thriftgate status` shows."""
        return {
            "ready": self.is_ready,
            "simulating": self.settings.simulates,
            "routes": {name: route.cache.start for name, route in self.routes.items()},
            "cache": self.cache.statistics(),
            "certificates": self.certificates(),
            "budgets": budget_status(self.budgets, now()),
            "ledger": {
                "chain": self.ledger.chain_id,
                "rows": row_count(self.ledger_engine),
                "open_reservations": open_reservations(self.ledger_engine),
                "recovered_at_start": self.recovered,
            },
        }


def now() -> datetime:
    return datetime.now(UTC)


def now_us() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    encoder: Encoder | None = None,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[Services]:
    """Opens the data folder and all that lies in it. Raises DataFolderLocked, LedgerUnavailable."""
    folder = settings.data_dir
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = structlog.get_logger("thriftgate")
    with lock_data_folder(folder):
        observer = Observer(log)
        ledger_engine = open_database(folder / "ledger.db", LEDGER_MIGRATIONS, fsync=settings.ledger.fsync)
        ledger = Ledger(ledger_engine)
        recovered = ledger.start()
        if recovered:
            log.warning("booked requests that were under way when the last process died", rows=len(recovered))
        budgets = restored_budgets(settings, ledger_engine, clock())
        keys = Keys(ledger_engine, simulates=settings.simulates)
        models = models_of(settings)
        for name in unpriced(models, clock()):
            log.warning("no list price: its requests are recorded as unpriced", deployment=name)
        routes = routes_of(settings, models)

        encoder = encoder or open_encoder(settings, log)
        cache_engine = open_database(folder / "cache.db", CACHE_MIGRATIONS)
        store = open_store(settings, cache_engine, observer.cache_fault)
        cache: Cache[ChatEvent] = Cache(store, encoder, lambda: int(clock().timestamp() * 1e6), observer.cache_fault)
        cache.load()
        for name, route in routes.items():
            if route.cache.mode == "semantic":
                cache.trust.open(name, route.cache)

        providers = {d.provider.name: d.provider for model in models.values() for d in model.deployments}
        upstream = Upstream(transports or {name: open_transport(provider) for name, provider in providers.items()})
        calls = Calls(
            routes={name: route.routing for name, route in routes.items()},
            budgets=budgets,
            ledger=ledger,
            upstream=upstream,
            observer=observer,
        )
        gateway = Gateway(
            routes=routes,
            models=models,
            team_baselines={name: team.baseline for name, team in settings.teams.items() if team.baseline},
            budgets=budgets,
            cache=cache,
            calls=calls,
            ledger=ledger,
            now=clock,
        )
        cache.on_label = gateway.label
        services = Services(
            settings=settings,
            gateway=gateway,
            keys=keys,
            cache=cache,
            store=store,
            cache_engine=cache_engine,
            budgets=budgets,
            ledger=ledger,
            ledger_engine=ledger_engine,
            observer=observer,
            routes=routes,
            admin_token=_private_token(folder / "admin-token"),
            end_user_key=_private_token(folder / "end-user-key").encode(),
            recovered=len(recovered),
            development_key=_development_key(folder, keys) if settings.simulates else None,
        )
        try:
            yield services
        finally:
            services.is_ready = False
            await gateway.drain(settings.server.shutdown_grace_s)
            await upstream.close()
            cache.close()
            if encoder is not None:
                encoder.close()
            ledger.stop()
            cache_engine.dispose()
            ledger_engine.dispose()


# --- settings become objects -------------------------------------------------------------------------------


def models_of(settings: Settings) -> dict[str, Model]:
    providers = {name: _provider(name, provider, settings) for name, provider in settings.providers.items()}
    return {
        name: Model(
            name=name,
            tier=Tier.of(model.tier),
            context_tokens=model.context_tokens,
            max_output_tokens=model.max_output_tokens,
            accepts=frozenset(model.accepts),
            takes_tools=model.tools,
            deployments=tuple(
                Deployment(
                    name=f"{deployment.provider}/{deployment.model or name}",
                    provider=providers[deployment.provider],
                    upstream_model=deployment.model or name,
                    priced=Priced(
                        provider=settings.providers[deployment.provider].priced_as or deployment.provider,
                        reference=deployment.priced_as or deployment.model or name,
                        listed=deployment.list_price,
                        negotiated=deployment.negotiated_price,
                    ),
                )
                for deployment in model.deployments
            ),
        )
        for name, model in settings.models.items()
    }


def unpriced(models: Mapping[str, Model], at: datetime) -> list[str]:
    """Deployments for which neither the catalogue nor the configuration has a list price."""
    deployments = {deployment.name: deployment for model in models.values() for deployment in model.deployments}
    return [name for name, deployment in deployments.items() if deployment.priced.list_prices(at, 1) is None]


def _provider(name: str, provider: ProviderSettings, settings: Settings) -> Provider:
    simulation = provider.simulation
    return Provider(
        name=name,
        protocol=provider.protocol,
        api_version=provider.api_version,
        region=provider.region,
        base_url=(provider.base_url or "http://simulated/v1").rstrip("/"),
        api_key=settings.secrets.get(name),
        simulation=Simulation(
            first_token_ms=float(simulation.first_token_ms),
            tokens_per_s=float(simulation.tokens_per_s),
            answers=_simulated_answers(simulation.answers),
        )
        if simulation is not None
        else None,
        limit_field=provider.limit_field,
        connect_timeout_s=float(provider.connect_timeout_s),
        first_event_timeout_s=float(provider.first_event_timeout_s),
        idle_timeout_s=float(provider.idle_timeout_s),
        retries=provider.retries,
    )


def _simulated_answers(path: str | None) -> dict[str, tuple[str, ...]]:
    """Question -> wordings of its answer, from JSON Lines with `question` (or `text`), `answer`, and perhaps other
    `wordings` of it and `paraphrases` of the question."""
    if path is None:
        return {}
    answers: dict[str, tuple[str, ...]] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        for text in (item.get("question") or item["text"], *item.get("paraphrases", ())):
            answers[text] = (item["answer"], *item.get("wordings", ()))
    return answers


def routes_of(settings: Settings, models: Mapping[str, Model]) -> dict[str, Route]:
    """All configured routes; while everything is simulated also one for the development key, whose cache
    starts at the shipped prior."""
    routes = {name: _route(route, models) for name, route in settings.routes.items()}
    if settings.simulates and DEVELOPMENT_ROUTE not in routes:
        first = next(iter(routes.values()))
        open_cache = msgspec.structs.replace(first.cache, start="prior", max_wrong=_DEVELOPMENT_MAX_WRONG)
        routes[DEVELOPMENT_ROUTE] = Route(first.routing, open_cache)
    return routes


def _route(route: RouteSettings, models: Mapping[str, Model]) -> Route:
    return Route(
        routing=RoutingPolicy(
            models=tuple(models[name] for name in route.models),
            floor=Tier.of(route.floor),
            strategy=route.strategy,
            allow_downgrade=route.allow_downgrade,
            clamp_output=route.clamp_output,
            baseline=route.baseline or route.models[0],
        ),
        cache=CachePolicy(
            mode=route.cache.mode,
            start=route.cache.start,
            max_wrong=float(route.cache.max_wrong_per_hit or route.cache.max_wrong_per_request or Decimal("0.01")),
            per="hit" if route.cache.max_wrong_per_request is None else "request",
            audit_share=float(route.cache.audit_share),
            ttl_s=route.cache.ttl_s,
            ttl_by_class=tuple(route.cache.ttl_by_class.items()),
            stale_s=route.cache.stale_while_revalidate_s,
            knowledge_version=route.cache.knowledge_version,
            tags=tuple(route.cache.tags),
            sampling=route.cache.sampling,
            personal=route.cache.personal,
            writers=tuple(route.cache.writers),
            min_askers=route.cache.min_askers,
            shared=route.cache.shared,
            scope_fields=tuple(route.cache.scope_fields),
        ),
    )


def budgets_of(settings: Settings) -> Budgets:
    found = [_budget("organisation", settings.organisation.budget)]
    for name, team in settings.teams.items():
        found.append(_budget(f"team:{name}", team.budget))
        found += [_budget(f"team:{name}/app:{app}", given.budget) for app, given in team.apps.items()]
    return Budgets(part for budget in found if budget is not None for part in budget)


def _budget(name: str, budget: BudgetSettings | None) -> tuple[Budget, Budget] | None:
    """The budget, and the part of it that audits may spend."""
    if budget is None:
        return None
    cap_nano = int(budget.usd * 1_000_000_000)
    ladder = Ladder(mid=float(budget.mid_from), economy=float(budget.economy_from))
    never = Ladder(mid=2.0, economy=2.0)
    audits = Budget(name + AUDITS, int(cap_nano * budget.audits_share), budget.period, never)
    return Budget(name=name, cap_nano=cap_nano, period=budget.period, ladder=ladder), audits


def restored_budgets(settings: Settings, engine: sa.Engine, at: datetime) -> Budgets:
    """Budgets whose counters say what the ledger says of their present periods."""
    budgets = budgets_of(settings)
    for budget in budgets:
        since_us = int(period_start(budget.period, at).timestamp() * 1e6)
        is_audits = budget.name.endswith(AUDITS)
        for spent in spending_since(engine, since_us, "audit" if is_audits else None):
            if budget.name.removesuffix(AUDITS) in (
                "organisation",
                f"team:{spent.team}",
                f"team:{spent.team}/app:{spent.app}",
            ):
                budgets.restore(budget.name, spent.nano, at)
    return budgets


def budget_status(budgets: Budgets, at: datetime) -> list[dict[str, Any]]:
    """Every budget, with what of it went into audits."""
    audits = {budget.name: budget for budget in budgets if budget.name.endswith(AUDITS)}
    return [
        {
            "name": budget.name,
            "period": budget.period,
            "cap_nano": budget.cap_nano,
            "spent_nano": budgets.account(budget, at).spent_nano,
            "reserved_nano": budgets.account(budget, at).reserved_nano,
            "audits_cap_nano": audits[budget.name + AUDITS].cap_nano,
            "audits_spent_nano": budgets.account(audits[budget.name + AUDITS], at).spent_nano,
            "resets_at": period_end(budget.period, at).isoformat(),
        }
        for budget in budgets
        if budget.name not in audits
    ]


def check_key(team: str, app: str, env: str, route: str, routes: Mapping[str, Any]) -> None:
    """Raises RequestInvalid that names what is wrong with a new key."""
    check_route(route, routes)
    for name, value in (("team", team), ("app", app), ("env", env)):
        check_name(value, name)


def check_route(route: str, routes: Mapping[str, Any]) -> None:
    """Raises RequestInvalid if there is no such route."""
    if route not in routes:
        raise RequestInvalid(f"There is no route `{route}`. Known: {', '.join(routes)}.", "route")


def check_name(value: str, param: str) -> None:
    """Raises RequestInvalid for what can be no name of a team, app or environment."""
    if not value or len(value) > 64 or not all(c.isalnum() or c in "-_." for c in value):
        raise RequestInvalid("Names have letters, digits, `-`, `_` and `.`, at most 64.", param)


def log_purge(ledger_engine: sa.Engine, criteria: Mapping[str, Any], purged: int, by: str) -> None:
    """Keeps in the admin log what was forgotten, and at whose word."""
    wanted = ", ".join(f"{name} {value}" for name, value in criteria.items()) or "everything"
    with ledger_engine.begin() as connection:
        log_action(connection, now_us(), "cache purged", f"{wanted}: {purged} entries, by {by}")


# --- the data folder --------------------------------------------------------------------------------------


@contextmanager
def lock_data_folder(folder: Path) -> Iterator[None]:
    """Holds the folder's lock while the block runs; the kernel frees it if the process dies. Raises
    DataFolderLocked."""
    with os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataFolderLocked(folder, file.read().strip()) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _private_token(path: Path) -> str:
    """The file's content; a new random token if there is no file yet."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _development_key(folder: Path, keys: Keys) -> str:
    """The only key that is kept readable."""
    path = folder / "development-key"
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    _, secret = keys.create(
        team="development",
        app="playground",
        env="dev",
        route=DEVELOPMENT_ROUTE,
        now_us=now_us(),
        is_development=True,
    )
    write_private(path, secret)
    return secret


def open_store(settings: Settings, cache_engine: sa.Engine, on_error: Callable[[Exception], None]) -> EntryStore:
    return EntryStore(
        cache_engine,
        max_entries=settings.cache.max_entries,
        max_bytes=settings.cache.max_mib * 1024 * 1024,
        payload_bytes=settings.cache.payload_memory_mib * 1024 * 1024,
        on_error=on_error,
    )


def open_encoder(settings: Settings, log: Any) -> Encoder | None:
    """The configured encoder, or None, with a warning that says why, if it has not been exported."""
    wanted = settings.encoder.model
    try:
        encoder = Encoder.load(settings.encoder_folder, threads=settings.encoder.threads)
        if encoder.model not in (wanted, wanted.removeprefix("sentence-transformers/"), Path(wanted).name):
            encoder.close()
            raise EncoderUnavailable(
                f"{settings.encoder_folder} holds `{encoder.model}`, the configuration wants `{wanted}`. "
                f"Next step: run `make encoder MODEL={wanted}`."
            )
    except EncoderUnavailable as error:
        log.warning("semantic cache is off, exact matches only", reason=str(error))
        return None
    return encoder
