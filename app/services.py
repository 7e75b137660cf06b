"""Everything that a running gateway holds, opened in order and closed in reverse.

`open_services` is the only place where settings become objects.
"""

import fcntl
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import sqlalchemy as sa
import structlog
from msgspec import Struct

from app.database import CACHE_MIGRATIONS, LEDGER_MIGRATIONS, open_database
from app.errors import RouteUnknown
from app.gateway import Gateway, Route
from app.keys import Key, Keys, log_action
from app.observer import Observer
from app.settings import BudgetSettings, ProviderSettings, RouteSettings, Settings
from cache.encoder import Encoder
from cache.entries import EntryStore
from cache.errors import EncoderUnavailable
from cache.lookup import Cache
from cache.query import CachePolicy
from router.budgets import Budget, Budgets, Ladder, period_end, period_start
from router.catalogue import Deployment, Model, Provider, RoutingPolicy, Simulation, Tier
from router.chat import ChatEvent
from router.errors import RequestInvalid
from router.ledger.reader import open_reservations, row_count, spending_since
from router.ledger.writer import Ledger
from router.prices import Priced
from router.upstream import Upstream, open_transport

DEVELOPMENT_ROUTE: Final = "development"


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

    def purge(self, **equal: str | None) -> int:
        """Forgets matching entries, and keeps in the admin log that this was done."""
        purged = self.cache.purge(**equal)
        wanted = ", ".join(f"{name} {value}" for name, value in equal.items() if value is not None) or "everything"
        with self.ledger_engine.begin() as connection:
            log_action(connection, now_us(), "cache purged", f"{wanted}: {purged} entries")
        return purged

    def observe(self) -> None:
        """Brings the gauges up to date."""
        self.observer.entries.set(self.cache.statistics()["entries"])
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
        store = EntryStore(
            cache_engine,
            settings.cache.max_entries,
            settings.cache.payload_memory_mib * 1024 * 1024,
            observer.cache_fault,
        )
        cache: Cache[ChatEvent] = Cache(store, encoder, lambda: int(clock().timestamp() * 1e6), observer.cache_fault)
        cache.load()

        providers = {d.provider.name: d.provider for model in models.values() for d in model.deployments}
        upstream = Upstream(transports or {name: open_transport(provider) for name, provider in providers.items()})
        gateway = Gateway(
            routes=routes,
            models=models,
            team_baselines={name: team.baseline for name, team in settings.teams.items() if team.baseline},
            budgets=budgets,
            cache=cache,
            ledger=ledger,
            upstream=upstream,
            observer=observer,
            now=clock,
        )
        services = Services(
            settings=settings,
            gateway=gateway,
            keys=keys,
            cache=cache,
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


def _simulated_answers(path: str | None) -> dict[str, str]:
    """Question -> answer, from JSON Lines with `question` (or `text`), `answer` and `paraphrases`."""
    if path is None:
        return {}
    answers: dict[str, str] = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        for text in (item.get("question") or item["text"], *item.get("paraphrases", ())):
            answers[text] = item["answer"]
    return answers


def routes_of(settings: Settings, models: Mapping[str, Model]) -> dict[str, Route]:
    """All configured routes; while everything is simulated also one for the development key, whose cache
    starts at the shipped prior."""
    routes = {name: _route(route, models) for name, route in settings.routes.items()}
    if settings.simulates and DEVELOPMENT_ROUTE not in routes:
        first = next(iter(routes.values()))
        open_cache = msgspec.structs.replace(first.cache, start="prior")
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
            is_enabled=route.cache.enabled,
            start=route.cache.start,
            similarity_floor=float(route.cache.similarity_floor),
            ttl_s=route.cache.ttl_s,
            knowledge_version=route.cache.knowledge_version,
            shared=route.cache.shared,
            scope_fields=tuple(route.cache.scope_fields),
        ),
    )


def budgets_of(settings: Settings) -> Budgets:
    found = [_budget("organisation", settings.organisation.budget)]
    for name, team in settings.teams.items():
        found.append(_budget(f"team:{name}", team.budget))
        found += [_budget(f"team:{name}/app:{app}", given.budget) for app, given in team.apps.items()]
    return Budgets(budget for budget in found if budget is not None)


def _budget(name: str, budget: BudgetSettings | None) -> Budget | None:
    if budget is None:
        return None
    return Budget(
        name=name,
        cap_nano=int(budget.usd * 1_000_000_000),
        period=budget.period,
        ladder=Ladder(mid=float(budget.mid_from), economy=float(budget.economy_from)),
    )


def restored_budgets(settings: Settings, engine: sa.Engine, at: datetime) -> Budgets:
    """Budgets whose counters say what the ledger says of their present periods."""
    budgets = budgets_of(settings)
    for budget in budgets:
        since_us = int(period_start(budget.period, at).timestamp() * 1e6)
        for spent in spending_since(engine, since_us):
            if budget.name in ("organisation", f"team:{spent.team}", f"team:{spent.team}/app:{spent.app}"):
                budgets.restore(budget.name, spent.nano, at)
    return budgets


def budget_status(budgets: Budgets, at: datetime) -> list[dict[str, Any]]:
    return [
        {
            "name": budget.name,
            "period": budget.period,
            "cap_nano": budget.cap_nano,
            "spent_nano": budgets.account(budget, at).spent_nano,
            "reserved_nano": budgets.account(budget, at).reserved_nano,
            "resets_at": period_end(budget.period, at).isoformat(),
        }
        for budget in budgets
    ]


def check_key(team: str, app: str, env: str, route: str, routes: Mapping[str, Any]) -> None:
    """Raises RequestInvalid that names what is wrong with a new key."""
    if route not in routes:
        raise RequestInvalid(f"There is no route `{route}`. Known: {', '.join(routes)}.", "route")
    for name, value in (("team", team), ("app", app), ("env", env)):
        if not value or len(value) > 64 or not all(c.isalnum() or c in "-_." for c in value):
            raise RequestInvalid("Names have letters, digits, `-`, `_` and `.`, at most 64.", name)


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
