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
from app.admission import Gate
from app.books import Books
from app.budget_upkeep import BudgetUpkeep
from app.budgets import budget_status, restored_budgets
from app.calls import Calls
from app.certificates import STATES, RouteTrust, open_doubts, trust_of
from app.database import CACHE_MIGRATIONS, LEDGER_MIGRATIONS, open_database
from app.embeddings import Embeddings
from app.errors import NotFound, PurgeUnwritten, RouteUnknown
from app.exchange import answer_text
from app.feedback import Feedback
from app.gateway import Gateway, Route
from app.judging import Judging
from app.kept_responses import KeptResponses
from app.keys import Caller, Key, Keys, log_action
from app.observer import Observer
from app.planning import Planning
from app.quality_upkeep import QualityUpkeep
from app.settings import BreakerSettings, ProviderSettings, RouteSettings, ServiceLevelSettings, Settings
from app.token_counter import TokenCounter
from app.warming import Curated
from app.webhook import Received
from cache import transfer
from cache.embeddings import EmbeddingStore
from cache.encoder import Encoder
from cache.entries import Doubt, EntryStore
from cache.errors import EncoderUnavailable
from cache.lookup import Cache, Stored
from cache.query import CachePolicy
from router.breaker import BreakerPolicy
from router.budgets import Budgets
from router.catalogue import (
    AwsChain,
    CredentialSource,
    Deployment,
    GoogleAccount,
    Model,
    Provider,
    RoutingPolicy,
    Simulation,
    Tier,
)
from router.chat import ChatEvent
from router.errors import RequestInvalid
from router.experience import Experience
from router.fleet import Fleet
from router.health import keep_checking
from router.kept import KeptAnswers
from router.ledger.kept import KeptFile
from router.ledger.reader import open_reservations, row_count, rows_between
from router.ledger.row import opinion
from router.ledger.writer import Closing, Ledger
from router.prices import Priced
from router.service_level import ServiceLevel, Watch
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
    embeddings: Embeddings
    keys: Keys
    cache: Cache[ChatEvent]
    store: EntryStore
    cache_engine: sa.Engine
    budgets: Budgets
    upkeep: BudgetUpkeep
    ledger: Ledger
    ledger_engine: sa.Engine
    observer: Observer
    fleet: Fleet
    experience: Experience
    kept_responses: KeptResponses
    gate: Gate
    upstream: Upstream
    counter: TokenCounter
    routes: dict[str, Route]
    policies: dict[str, RoutingPolicy]
    """The routing part of every route."""
    models: dict[str, Model]
    team_baselines: dict[str, str]
    watches: dict[str, Watch]
    reread: Callable[[], Settings]
    """Reads the configuration again."""
    webhooks: Received
    admin_token: str
    end_user_key: bytes
    recovered: int
    """Requests that were under way when the last process died, booked at start."""
    development_key: str | None
    reloading: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    """Held while a new configuration is put in force."""
    is_ready: bool = True
    stops_at: float | None = None
    """When open answers are given up, in monotonic seconds, once somebody has said that the server is to stop."""

    def stop(self) -> None:
        """Readiness goes at once. The time for open answers begins with the first such word."""
        self.is_ready = False
        if self.stops_at is None:
            self.stops_at = time.monotonic() + self.settings.server.shutdown_grace_s

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

    async def purge(self, wanted: Sequence[Mapping[str, Any]], by: str = "admin") -> int:
        """Forgets, for each of these, the entries that match all its criteria of `Cache.purge`, or all entries if it
        has none; how many, once they are out of the file. Raises PurgeUnwritten."""
        purged: list[int] = []
        refused = self.store.refused
        try:
            for criteria in wanted:
                purged.append(await self.cache.purge_in_turns(**criteria))
                self.gateway.forget(criteria)
                await asyncio.sleep(0)  # others may be served between two that find nothing
            for at, criteria in enumerate(wanted):
                purged[at] += await self.embeddings.purge(criteria)
        except sa.exc.DatabaseError:
            raise PurgeUnwritten from None
        finally:
            for criteria, count in zip(wanted, purged, strict=False):  # it may have been cut short
                log_purge(self.ledger_engine, criteria, count, by)
        is_written = await asyncio.wrap_future(self.store.hurry())
        if not is_written or self.store.refused > refused:
            raise PurgeUnwritten
        return sum(purged)

    async def warm(self, team: str, route: str, items: Sequence[Curated], since_us: int | None = None) -> Stored:
        """As `filling.warm`. Raises RequestInvalid for a route that would not serve them."""
        check_name(team, "team")
        check_route(route, self.routes)
        stored = await filling.warm(self.cache, self.routes, team, route, items, now(), since_us)
        with self.ledger_engine.begin() as connection:
            log_action(connection, now_us(), "cache warmed", f"team {team}, route {route}: {stored.written} entries")
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
        """Takes note of what a client says of an answer, in a row of its own; whether it counts as evidence: against a
        semantic hit, or about the model that answered. Raises NotFound for an answer that the caller's team has not
        had."""
        rows = rows_between(self.ledger_engine, request_id=said.request_id, kind="request", team=caller.team)
        answered = next(rows, None)
        if answered is None:
            raise NotFound(
                f"Your team has no request `{said.request_id}`. Send the `x-request-id` of an answer that has ended.",
                "request_id",
            )
        is_counted = said.is_complaint and await self.gateway.complain(said.request_id)
        if answered.disposition in ("miss", "bypass"):
            is_counted |= self.experience.scored(said.request_id, said.value)
        await self.ledger.record(Closing(opinion(answered, "feedback", said.value, now_us())))
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
        self.observer.fleet(self.fleet.states())
        self.observer.gate(self.gate.in_flight, self.gate.lag_s, is_overload=self.gate.lateness.is_overload)
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
            "routes": {name: _begins(route.cache) for name, route in self.routes.items()},
            "in_flight": self.gate.in_flight,
            "body_bytes": self.gate.body_bytes,
            "deployments": self.fleet.states(),
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
    reread: Callable[[], Settings] | None = None,
) -> AsyncIterator[Services]:
    """Opens the data folder and all that lies in it. `reread` reads the configuration again. Raises DataFolderLocked,
    LedgerUnavailable."""
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
        observer.unpriced(unpriced(models, clock()))
        routes = routes_of(settings, models)
        policies = {name: route.routing for name, route in routes.items()}
        team_baselines = team_baselines_of(settings)

        encoder = encoder or open_encoder(settings, log)
        cache_engine = open_database(folder / "cache.db", CACHE_MIGRATIONS)
        store = open_store(settings, cache_engine, observer.cache_fault)
        cache: Cache[ChatEvent] = Cache(
            store, encoder, lambda: int(clock().timestamp() * 1e6), observer.cache_fault, read=answer_text
        )
        cache.load()
        for name, route in routes.items():
            if route.cache.mode == "semantic":
                cache.trust.open(name, route.cache)

        providers = {d.provider.name: d.provider for model in models.values() for d in model.deployments}
        fleet = Fleet(deployments_of(models), on_event=observer.fleet_event)
        upstream = Upstream(transports or {name: open_transport(provider) for name, provider in providers.items()})
        experience = Experience(models)
        counter = TokenCounter()
        kept = KeptAnswers(KeptFile(ledger_engine), lambda: int(clock().timestamp() * 1e6))
        watches = watches_of(settings)
        planning = Planning(routes=policies, models=models, budgets=budgets, experience=experience, watches=watches)
        books = Books(
            budgets=budgets,
            ledger=ledger,
            experience=experience,
            watches=watches,
            kept=kept,
            observer=observer,
            counter=counter,
            now=clock,
        )
        calls = Calls(
            planning=planning,
            books=books,
            budgets=budgets,
            fleet=fleet,
            upstream=upstream,
            kept=kept,
            observer=observer,
        )
        judging = Judging(calls=calls, books=books, routes=policies, models=models, experience=experience, now=clock)
        gateway = Gateway(
            routes=routes,
            models=models,
            team_baselines=team_baselines,
            budgets=budgets,
            cache=cache,
            calls=calls,
            books=books,
            judging=judging,
            ledger=ledger,
            now=clock,
        )
        cache.on_label = gateway.label
        embeddings = Embeddings(
            routes=routes,
            budgets=budgets,
            calls=calls,
            books=books,
            store=EmbeddingStore(cache_engine, settings.cache.embeddings_mib * 1024 * 1024),
            on_fault=observer.cache_fault,
            now=clock,
        )
        space = encoder.fingerprint if encoder is not None else ""
        quality_upkeep = QualityUpkeep(experience.quality, folder / "quality.npz", space, log)
        upkeep = BudgetUpkeep(budgets, ledger_engine, ledger, observer, clock, log)
        services = Services(
            settings=settings,
            gateway=gateway,
            embeddings=embeddings,
            keys=keys,
            cache=cache,
            store=store,
            cache_engine=cache_engine,
            budgets=budgets,
            upkeep=upkeep,
            ledger=ledger,
            ledger_engine=ledger_engine,
            observer=observer,
            fleet=fleet,
            experience=experience,
            kept_responses=KeptResponses(kept, models, fleet, upstream),
            gate=Gate(settings.server.max_in_flight, settings.server.max_bodies_mib * 1024 * 1024),
            upstream=upstream,
            counter=counter,
            routes=routes,
            policies=policies,
            models=models,
            team_baselines=team_baselines,
            watches=watches,
            reread=reread or (lambda: settings),
            webhooks=Received(cache_engine),
            admin_token=_private_token(folder / "admin-token"),
            end_user_key=_private_token(folder / "end-user-key").encode(),
            recovered=len(recovered),
            development_key=_development_key(folder, keys) if settings.simulates else None,
        )
        cache.is_busy = lambda: services.gate.lateness.is_overload
        cache.is_alone = lambda: services.gate.in_flight <= 1
        beside = [
            asyncio.create_task(keep_checking(fleet, upstream)),
            asyncio.create_task(services.gate.watch()),
            asyncio.create_task(
                kept.keep_tidy(lambda error: log.warning("kept answers not tidied", reason=repr(error)))
            ),
        ]
        try:
            await upkeep.start()
            quality_upkeep.start()
            yield services
        finally:
            services.stop()
            assert services.stops_at is not None
            await upkeep.stop()
            await quality_upkeep.stop()
            for task in beside:
                task.cancel()
            left_s = max(services.stops_at - time.monotonic(), 0.0)
            await asyncio.gather(gateway.drain(left_s), embeddings.drain(left_s))
            await calls.settle()
            await counter.close()
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
            max_output_tokens=0 if model.kind == "embedding" else model.max_output_tokens,
            accepts=frozenset(model.accepts),
            takes_tools=model.tools,
            embeds=model.kind == "embedding",
            deployments=tuple(
                Deployment(
                    name=f"{deployment.provider}/{deployment.model or name}",
                    provider=providers[deployment.provider],
                    upstream_model=deployment.model or name,
                    priority=at if deployment.priority is None else deployment.priority,
                    weight=float(deployment.weight),
                    region=deployment.region or settings.providers[deployment.provider].region,
                    max_concurrency=deployment.max_concurrency,
                    queue=deployment.queue,
                    queue_s=float(deployment.queue_s),
                    breaker=_breaker(settings.providers[deployment.provider].breaker),
                    max_output_tokens=model.max_output_tokens,
                    priced=Priced(
                        provider=settings.providers[deployment.provider].priced_as or deployment.provider,
                        reference=deployment.priced_as or deployment.model or name,
                        listed=deployment.list_price,
                        negotiated=deployment.negotiated_price,
                        writes=model.kind == "chat",
                    ),
                )
                for at, deployment in enumerate(model.deployments)
            ),
        )
        for name, model in settings.models.items()
    }


def team_baselines_of(settings: Settings) -> dict[str, str]:
    return {name: team.baseline for name, team in settings.teams.items() if team.baseline}


def watches_of(settings: Settings) -> dict[str, Watch]:
    """By team."""
    return {name: Watch(_level(team.service_level)) for name, team in settings.teams.items() if team.service_level}


def _level(given: ServiceLevelSettings) -> ServiceLevel:
    return ServiceLevel(
        action=given.action,
        p95_ms=None if given.p95_ms is None else float(given.p95_ms),
        error_rate=None if given.error_rate is None else float(given.error_rate),
    )


def deployments_of(models: Mapping[str, Model]) -> list[Deployment]:
    return [deployment for model in models.values() for deployment in model.deployments]


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
        responses=_offers_responses(provider),
        base_url=_address(provider),
        api_keys=settings.api_keys(name),
        credentials=_credentials(provider),
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
        health_check_s=float(provider.health_check_s) if simulation is None else 0.0,
    )


def _address(provider: ProviderSettings) -> str:
    """What every path of the provider follows."""
    given = (provider.base_url or "http://simulated/v1").rstrip("/")
    if provider.google is None:
        return given
    root = given if provider.base_url else f"https://{_vertex_host(provider.region or '')}/v1"
    return f"{root}/projects/{provider.google.project}/locations/{provider.region}"


def _vertex_host(location: str) -> str:
    """Each location has a host of its own, but `global`; the multi-regions stand under another name."""
    if location == "global":
        return "aiplatform.googleapis.com"
    in_several = location in ("us", "eu")
    return f"aiplatform.{location}.rep.googleapis.com" if in_several else f"{location}-aiplatform.googleapis.com"


def _credentials(provider: ProviderSettings) -> CredentialSource | None:
    """Those that are renewed, where the provider has no keys."""
    if provider.google is not None:
        reference = provider.google.credentials
        return GoogleAccount(str(Path(reference.removeprefix("file:")).expanduser()) if reference else None)
    if provider.has_aws_chain:
        return AwsChain(provider.aws.profile if provider.aws else None, provider.region)
    return None


def _offers_responses(provider: ProviderSettings) -> bool:
    """As configured; else only what is known to."""
    if provider.simulation is not None or provider.protocol not in ("openai", "azure"):
        return False
    if provider.responses is not None:
        return provider.responses
    return httpx.URL(provider.base_url or "").host == "api.openai.com"


def _breaker(breaker: BreakerSettings) -> BreakerPolicy:
    return BreakerPolicy(
        window_s=float(breaker.window_s),
        least_calls=breaker.least_calls,
        failure_share=float(breaker.failure_share),
        failures_in_a_row=breaker.failures_in_a_row,
        slow_after_s=float(breaker.slow_after_s),
        slow_share=float(breaker.slow_share),
        open_s=float(breaker.open_s),
        open_at_most_s=6 * float(breaker.open_s),
    )


def _simulated_answers(path: str | None) -> dict[str, tuple[str, ...]]:
    """Question -> wordings of its answer, from JSON Lines with `question` (or `text`), `answer`, and perhaps other
    `wordings` of it and `paraphrases` of the question. Equal answers are kept once."""
    if path is None:
        return {}
    answers: dict[str, tuple[str, ...]] = {}
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)
            wordings = (item["answer"], *item.get("wordings", ()))
            for text in (item.get("question") or item["text"], *item.get("paraphrases", ())):
                answers[text] = known.setdefault(wordings, wordings)
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
            baseline=route.baseline or _best_chat_model(route, models),
            balance=route.balance,
            region=route.region,
            rank=("high", "normal", "low").index(route.priority),
            hedge=route.hedge,
            short_answer_mode=route.short_answer_mode,
            weights={name: float(weight) for name, weight in route.weights.items()},
            classes={kind: tuple(allowed) for kind, allowed in route.classes.items()},
            max_quality_loss=float(route.max_quality_loss),
            judge=route.judge,
            judge_share=float(route.judge_share),
            explore_share=float(route.explore_share),
            holdout_share=float(route.holdout_share),
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


def _best_chat_model(route: RouteSettings, models: Mapping[str, Model]) -> str:
    """The first of the route's models that answers chats, if any does."""
    return next((name for name in route.models if not models[name].embeds), route.models[0])


def _begins(policy: CachePolicy) -> str:
    """How a route serves hits before anything is known: `closed` or `prior`, and `exact` or `off` by its mode."""
    return policy.start if policy.mode == "semantic" else policy.mode


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
        raise RequestInvalid(f"`{param}`: names have letters, digits, `-`, `_` and `.`, at most 64.", param)


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
    """The store over this file, with the bounds and the knowledge versions of the settings."""
    store = EntryStore(
        cache_engine,
        max_entries=settings.cache.max_entries,
        max_bytes=settings.cache.max_mib * 1024 * 1024,
        payload_bytes=settings.cache.payload_memory_mib * 1024 * 1024,
        on_error=on_error,
    )
    store.know_versions(versions_of(settings))
    return store


def versions_of(settings: Settings) -> dict[str, str]:
    """Route -> the knowledge version that its answers are based on."""
    return {name: route.cache.knowledge_version for name, route in settings.routes.items()}


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
