"""Settings: one TOML file and the secrets it points to. The only module that reads the environment.

Every field is documented where it is declared; `thriftgate.example.toml` shows them all. All problems are
reported at once, each with its place.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Struct, field

from app.webhook import signing_key
from cache.query import ASKERS_AT_MOST, Mode, Sampling, Start
from router.balance import Balance
from router.budgets import AtCap, Period
from router.catalogue import Strategy
from router.periods import is_zone
from router.prices import PriceOverride
from router.service_level import Action

Workload = Literal["chat", "extraction", "code", "reasoning", "summarising"]
TierName = Literal["premium", "mid", "economy"]
WEBHOOK: Final = "[cache] webhook_secret"
"""Its place among the secrets, where no provider's name is."""


class SettingsInvalid(Exception):
    """Everything that is wrong with a configuration. `problems` are sentences that begin with a place."""

    def __init__(self, source: str, problems: list[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{source} has {len(problems)} problem{'s'[: len(problems) > 1]}:\n{lines}")
        self.problems = problems


class Server(Struct, frozen=True):
    """[server]"""

    host: str = "127.0.0.1"
    """Address to listen on. Put 0.0.0.0 here only behind TLS."""
    port: int = 8080
    data_dir: str = ".thriftgate"
    """Folder for ledger, cache, keys, encoder and the admin token. One server at a time per folder."""
    max_body_mib: int = 20
    """Larger requests are answered 413."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    shutdown_grace_s: int = 30
    """How long a stopping server waits for open answers."""
    max_in_flight: int = 1000
    """So many requests at the same time; others are answered 503 at once."""
    max_bodies_mib: int = 256
    """Bodies of all requests under way; whoever would exceed it is answered 503."""
    slow_client_s: int = 60
    """A client that neither reads its answer nor sends its request for so long is cut off."""


class LedgerSettings(Struct, frozen=True):
    """[ledger]"""

    fsync: bool = False
    """Whether each commit must also survive a loss of power. Slower on disks without a write cache."""


class EncoderSettings(Struct, frozen=True):
    """[encoder]: the sentence encoder of the semantic cache."""

    model: str = "all-MiniLM-L6-v2"
    """Any sentence-transformers model, by name or path; exported once with `make encoder MODEL=...`. The server
    serves no other model than this one from its folder."""
    folder: str | None = None
    """Where its exported form lies; by default `encoder` in the data folder."""
    threads: int = 2
    """How many texts may be encoded at the same time."""


class CacheSettings(Struct, frozen=True):
    """[cache]: bounds of the whole cache."""

    max_entries: int = 100_000
    """The answers that save least per byte go first; curated ones of their route's `knowledge_version` never."""
    max_mib: int = 4096
    """Of the file: answers, questions and vectors."""
    payload_memory_mib: int = 32
    """How much memory the recently served answers may take; all others are read from the file."""
    embeddings_mib: int = 1024
    """Of the file: stored embeddings. The oldest go first."""
    webhook_secret: str | None = None
    """`env:NAME` or `file:PATH` of the `whsec_...` with which a content system signs `POST /webhooks/cms`; without it
    there is no such path."""


class SimulationSettings(Struct, frozen=True):
    """[providers.NAME.simulation]"""

    first_token_ms: Decimal = Decimal(0)
    tokens_per_s: Decimal = Decimal(0)
    """0 = all at once."""
    answers: str | None = None
    """A JSON Lines file of `{"question": ..., "answer": ..., "paraphrases": [...]}` to answer from."""


class BreakerSettings(Struct, frozen=True):
    """[providers.NAME.breaker]: each deployment has a breaker of its own."""

    window_s: Decimal = Decimal(30)
    """So far back it looks."""
    least_calls: int = 5
    """It does not open on fewer calls than this in the window."""
    failure_share: Decimal = Decimal("0.5")
    """From this share of failed calls on it opens; above 1 = never."""
    failures_in_a_row: int = 10
    """So many, or twice as many slow calls, without a good one between them open it at once, however well it went
    before; 0 = never."""
    slow_after_s: Decimal = Decimal(60)
    """From so long on a first event is slow: a whole answer, if it is not streamed. By default only what is given up
    as too late anyway."""
    slow_share: Decimal = Decimal("0.8")
    """From this share of slow calls on it opens; above 1 = never."""
    open_s: Decimal = Decimal(5)
    """Then one call is let through. If it fails, the breaker stays open for twice as long, up to six times this."""


class AwsSettings(Struct, frozen=True):
    """[providers.NAME.aws]: the credentials that sign calls to Bedrock, each `env:NAME` or `file:PATH`. Without any,
    they come from where AWS's own tools look for them (environment, profiles and their roles, web identity, container,
    instance), and are renewed before they expire."""

    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    """Of temporary credentials. Those that are given here are read at start and not renewed."""
    profile: str | None = None
    """The profile of AWS's own configuration that is used, in place of keys."""


class GoogleSettings(Struct, frozen=True):
    """[providers.NAME.google]: a gemini provider at Vertex AI, called with OAuth access tokens in place of a key. The
    provider's `region` is the location, e.g. `europe-west4` or `global`."""

    project: str
    credentials: str | None = None
    """`file:PATH` of a service account's key. Without it they come from where Google's own tools look for them (the
    application default credentials). Tokens are renewed before they expire."""


class ProviderSettings(Struct, frozen=True):
    """[providers.NAME]: one account at one endpoint."""

    protocol: Literal["openai", "azure", "anthropic", "gemini", "bedrock", "ollama"] = "openai"
    """The wire format that it speaks."""
    api_version: str | None = None
    """Azure's `api-version` or Anthropic's `anthropic-version`, where another than the built-in one is wanted."""
    region: str | None = None
    """The AWS region of Bedrock, the location at Vertex AI."""
    responses: bool | None = None
    """Whether an openai or azure provider offers the Responses API, for clients that speak it: what they send goes
    there unconverted. By default only api.openai.com."""
    base_url: str | None = None
    """Up to and including `/v1`. Not needed for a simulation, nor for Vertex AI."""
    api_key: str | None = None
    """`env:NAME` or `file:PATH`; a key itself is refused here."""
    api_keys: list[str] = []
    """Several of them, of one account or of many: calls go to the least loaded; one that is turned down rests."""
    aws: AwsSettings | None = None
    """Bedrock's credentials, where it is not called with a Bedrock API key as `api_key`."""
    google: GoogleSettings | None = None
    """The project at Vertex AI, and the credentials for it."""
    priced_as: str | None = None
    """The provider's id in the price catalogue; by default the NAME."""
    limit_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """The field for an output limit that the gateway sets; older servers know `max_tokens` only."""
    connect_timeout_s: Decimal = Decimal(5)
    first_event_timeout_s: Decimal = Decimal(60)
    """How long the first event of an answer may take: a whole answer, if it is not streamed."""
    idle_timeout_s: Decimal = Decimal(60)
    """How long a stream may be silent."""
    retries: int = 1
    """Further attempts at the same deployment before another is tried."""
    health_check_s: Decimal = Decimal(60)
    """A deployment that nobody has called for so long is asked for its list of models, which costs nothing; 0 = off."""
    breaker: BreakerSettings = BreakerSettings()
    simulation: SimulationSettings | None = None
    """Makes this the simulated provider: no key, no network."""

    @property
    def has_aws_chain(self) -> bool:
        """Whether its credentials come from where AWS's own tools look for them."""
        has_keys = self.api_key is not None or bool(self.api_keys)
        has_keys |= self.aws is not None and self.aws.access_key_id is not None
        return self.protocol == "bedrock" and self.simulation is None and not has_keys

    @property
    def has_embeddings(self) -> bool:
        """Whether there is a form for them. At Vertex AI they have one of their own, which is not spoken here."""
        return self.protocol not in _NO_EMBEDDINGS and self.google is None


class DeploymentSettings(Struct, frozen=True):
    """[[models.NAME.deployments]]: the model at one provider."""

    provider: str
    model: str | None = None
    """The name that the provider knows; by default the NAME."""
    priced_as: str | None = None
    """The model's name in the price catalogue; by default the provider's name for it."""
    list_price: PriceOverride | None = None
    """Official price in USD per million tokens, where the catalogue has none."""
    negotiated_price: PriceOverride | None = None
    """What you really pay, where that differs from the list price."""
    priority: int | None = None
    """Lower numbers are tried first; deployments with the same number share the load. By default its place in the
    list, so that each stands in for the one before it."""
    weight: Decimal = Decimal(1)
    """Its share among those of the same priority."""
    region: str | None = None
    """By default the provider's."""
    max_concurrency: int = 256
    """So many calls at the same time; fewer while the provider limits our rate or slows down."""
    queue: int = 64
    """So many requests may wait for a turn when every deployment is busy; others are answered 503 at once."""
    queue_s: Decimal = Decimal(2)
    """Nobody waits longer than this: who would have to is answered 503 at once."""


class ModelSettings(Struct, frozen=True):
    """[models.NAME]: a name that clients ask for."""

    tier: TierName
    deployments: list[DeploymentSettings]
    """Tried in this order, unless their `priority` says otherwise."""
    kind: Literal["chat", "embedding"] = "chat"
    """An embedding model serves `/v1/embeddings` and nothing else."""
    context_tokens: int = 128_000
    max_output_tokens: int = 16_384
    """The longest answer the model can give: what a request without a limit may cost at most."""
    tools: bool = True
    accepts: list[str] = field(default_factory=lambda: ["image_url"])
    """Content part types beside text."""


class RouteCacheSettings(Struct, frozen=True):
    """[routes.NAME.cache]"""

    mode: Mode = "semantic"
    """`exact` serves the same words only, `off` nothing."""
    start: Start = "closed"
    """`closed` serves exact matches only, until the route's error rate is certified: until then would-be hits go
    upstream and label themselves. `prior` serves semantic hits from the start, marked uncertified."""
    max_wrong_per_hit: Decimal | None = None
    """Wrong answers that you accept, as a share of the semantic hits; 0.01 unless `max_wrong_per_request` is given."""
    max_wrong_per_request: Decimal | None = None
    """The same as a share of all requests of the route."""
    audit_share: Decimal = Decimal("0.05")
    """The least share of semantic hits that are sent upstream as well, afterwards, to measure how many are wrong."""
    ttl_s: int = 86_400
    """Seconds from the answer's creation; hits do not refresh it."""
    ttl_by_class: dict[Literal["price", "policy", "faq"], int] = {}
    """A shorter time for questions about prices or policies."""
    stale_while_revalidate_s: int = 0
    """How long after its time an answer may still be served while a fresh one is fetched."""
    knowledge_version: str = "1"
    """Change it when the answers' source changes: all older entries are left behind at once."""
    tags: list[str] = []
    """Given to every entry of the route; `thriftgate cache purge --tag` forgets them."""
    sampling: Sampling = "share"
    """Requests that ask for variety (a temperature above 1, several choices): `share` answers as others, `exact`, or
    `bypass`."""
    personal: Literal["bypass", "share"] = "bypass"
    """`share` only for bots that know nothing of who asks: they answer personal questions in general terms."""
    writers: list[str] = []
    """Apps whose answers are stored, and shared with others while they are being made; by default all."""
    min_askers: int = 1
    """So many different end users, 16 at most, must have got an answer before it is served to others. Above 1, who
    asks at the same time does not share an answer with anybody else either."""
    shared: str | None = None
    """A group name under which several teams share the answers of this route."""
    scope_fields: list[Literal["user", "metadata"]] = []
    """Which of these request fields split the cache. By default neither does."""


class RouteSettings(Struct, frozen=True):
    """[routes.NAME]: a policy that keys are bound to."""

    models: list[str]
    """Names of [models]; clients of the route may ask for these and for `auto`."""
    floor: TierName = "economy"
    """No model below this tier stands in for another or answers `auto`."""
    strategy: Strategy = "balanced"
    """How `auto` chooses. `balanced`: expected quality against cost. `cost-first`: cost counts six times as much.
    `performance-first`: the fastest by live latency. `failover-first`: the order of `models`. `pinned`: the best,
    whatever it costs. `weighted`: by `weights`."""
    allow_downgrade: bool = True
    """Whether a cheaper model may stand in for a named one when a budget or a failure forces it."""
    clamp_output: bool = True
    """Whether a request without an output limit gets one when the budget is short."""
    baseline: str | None = None
    """The model that `auto` is compared with in savings; by default the first of `models`."""
    weights: dict[str, Decimal] = {}
    """Under the strategy `weighted`: each model's part of the conversations."""
    classes: dict[Workload, list[str]] = {}
    """Class of work (chat, extraction, code, reasoning, summarising) -> the models that may do it for `auto`; a class
    that is left out goes to all."""
    max_quality_loss: Decimal = Decimal("0.15")
    """How much worse than the best, from 0 to 1, a model may be by the lower bound of its judged answers, before `auto`
    leaves it out for that kind of prompt."""
    judge: str | None = None
    """The model that is asked, after the client has been served, how good answers are: sampled ones of `auto` against
    those of the baseline, and audited hits whose two answers cannot be told apart otherwise. By default nobody."""
    judge_share: Decimal = Decimal("0.02")
    """So many of the answers to `auto` are judged. Each costs an answer of the baseline and two of the judge."""
    explore_share: Decimal = Decimal("0.01")
    """So many of the `auto` requests go to another eligible model than the best, to learn from it."""
    holdout_share: Decimal = Decimal("0.01")
    """So many of the `auto` conversations are served by the baseline: the measure of what routing saves and costs."""
    balance: Balance = "latency"
    """How deployments of the same priority share the load: by `latency` and load, `least-busy`, or `weighted`."""
    region: str | None = None
    """Deployments of this region, or without one, are tried before others."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Who is served first when not all can be. Keys of an env other than `prod` come after all of these."""
    hedge: bool = False
    """Whether a second deployment is asked when the first has not answered by its own 95th percentile. Both cost."""
    short_answer_mode: bool = False
    """Whether an economy model answers in at most 256 tokens, even below the floor, when all better ones have failed.
    The answer says so in `x-thriftgate-mode`."""
    cache: RouteCacheSettings = RouteCacheSettings()


class BudgetSettings(Struct, frozen=True):
    """A hard cap: [organisation.budget], [teams.NAME.budget], [teams.NAME.apps.NAME.budget], [keys.ID.budget]"""

    usd: Decimal
    period: Period = "month"
    """Calendar period; weeks begin on Monday."""
    time_zone: str = "UTC"
    """IANA name of the zone whose midnight begins a period, e.g. Europe/Berlin."""
    pacing: bool = True
    """Whether `auto` chooses cheaper models early enough for the budget to last, by what the ledger has learned of
    when requests come."""
    soft_from: Decimal | None = None
    """From this used share on there is a warning, and money is dearer to `auto`. By default 0.8; `soft_from`,
    `mid_from` and `economy_from` that are left out rest while a paced budget is on its pace (but for the warning)."""
    mid_from: Decimal | None = None
    """From this used share on, premium models are rationed to mid ones. By default 0.8."""
    economy_from: Decimal | None = None
    """From this used share on, only economy models serve. By default 0.95."""
    at_cap: AtCap = "cache-only"
    """What becomes of requests that the cap cannot hold. `cache-only`: stored answers serve, all else is refused;
    `block`: nothing serves; `economy`: economy models serve from an overdraft; `fallback`: `fallback_model` serves."""
    overdraft_share: Decimal = Decimal("0.05")
    """With `at_cap = "economy"`, this share of the cap may be spent beyond it."""
    fallback_model: str | None = None
    """With `at_cap = "fallback"`, the model that is asked when no other fits: one that costs nothing, or little."""
    dev_share: Decimal = Decimal(1)
    """Keys of the environment `dev` may spend at most this share. They are also the first to be rationed: to economy
    models, from the soft limit on."""
    judges_share: Decimal = Decimal("0.02")
    """At most this share of the cap is spent on judges of answers."""
    audits_share: Decimal = Decimal("0.02")
    """At most this share of the cap is spent on audits of semantic hits; none while anything is rationed."""


class KeySettings(Struct, frozen=True):
    """[keys.ID]: a key that `thriftgate keys list` shows."""

    budget: BudgetSettings | None = None


class AppSettings(Struct, frozen=True):
    """[teams.NAME.apps.NAME]"""

    budget: BudgetSettings | None = None


class ServiceLevelSettings(Struct, frozen=True):
    """[teams.NAME.service_level]: over the last five minutes"""

    action: Action
    """What follows when it is broken. `faster-model`: `auto` takes the fastest. `other-provider`: the provider that
    broke it is asked last. `throttle`: keys that are not `prod` are answered 429."""
    p95_ms: Decimal | None = None
    """Of the time until a provider's answer begins."""
    error_rate: Decimal | None = None
    """Share of requests whose answer failed or broke off."""


class TeamSettings(Struct, frozen=True):
    """[teams.NAME]: owns a budget."""

    budget: BudgetSettings | None = None
    service_level: ServiceLevelSettings | None = None
    baseline: str | None = None
    """The model that this team's `auto` requests are compared with in savings."""
    apps: dict[str, AppSettings] = {}


class OrganisationSettings(Struct, frozen=True):
    """[organisation]: stands over all teams."""

    budget: BudgetSettings | None = None


class Settings(Struct, frozen=True):
    """The whole file. Everything has a default: with no file at all the gateway fronts OpenAI if
    OPENAI_API_KEY is set, else it simulates."""

    server: Server = Server()
    ledger: LedgerSettings = LedgerSettings()
    encoder: EncoderSettings = EncoderSettings()
    cache: CacheSettings = CacheSettings()
    organisation: OrganisationSettings = OrganisationSettings()
    providers: dict[str, ProviderSettings] = {}
    models: dict[str, ModelSettings] = {}
    routes: dict[str, RouteSettings] = {}
    teams: dict[str, TeamSettings] = {}
    keys: dict[str, KeySettings] = {}
    secrets: dict[str, str] = {}
    """Provider name -> API key, and `WEBHOOK` -> that of the webhook, resolved from `env:` and `file:`; not a
    part of the file."""

    @property
    def data_dir(self) -> Path:
        return Path(self.server.data_dir)

    def api_keys(self, provider: str) -> tuple[str, ...]:
        """All keys of a provider, `api_key` first."""
        names = (provider, _aws_place(provider))
        one = [self.secrets[name] for name in names if name in self.secrets]
        return (*one, *(self.secrets[_key_place(provider, at)] for at in range(len(self.providers[provider].api_keys))))

    @property
    def encoder_folder(self) -> Path:
        return Path(self.encoder.folder) if self.encoder.folder else self.data_dir / "encoder"

    @property
    def simulates(self) -> bool:
        """Whether every provider is simulated: then nothing can cost real money."""
        return all(provider.simulation is not None for provider in self.providers.values())


def load(path: Path | None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from a file, or the defaults without one. Raises SettingsInvalid with every problem."""
    if path is None:
        return from_mapping({}, "The default configuration", environment)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(str(path), [f"cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise SettingsInvalid(str(path), [f"is not UTF-8 at byte {error.start}"]) from None
    try:
        mapping = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise SettingsInvalid(str(path), [f"is not valid TOML: {error}"]) from None
    return from_mapping(mapping, str(path), environment)


def from_mapping(mapping: Mapping[str, Any], source: str, environment: Mapping[str, str]) -> Settings:
    """Checked settings, completed with the defaults. Raises SettingsInvalid with every problem."""
    problems: list[str] = []
    if "secrets" in mapping:
        problems.append('secrets: is not a table of the file; use api_key = "env:NAME" in [providers.NAME]')
    completed = {
        **_default_catalogue(environment, mapping),
        **{k: v for k, v in mapping.items() if k != "secrets"},
    }
    settings = _convert(completed, Settings, "", problems)
    if settings is None:
        raise SettingsInvalid(source, problems)
    # What one field has for another would be misread where a field is left out because of its form.
    problems += [*_out_of_range(settings), *(() if problems else _inconsistencies(settings))]
    secrets = {}
    for name, provider in settings.providers.items():
        if provider.api_key is not None:
            secrets[name] = _secret(provider.api_key, f"providers.{name}.api_key", environment, problems)
        if provider.aws is not None and provider.aws.access_key_id is not None:
            secrets[_aws_place(name)] = _aws_credentials(provider.aws, _aws_place(name), environment, problems)
        for at, reference in enumerate(provider.api_keys):
            place = _key_place(name, at)
            secrets[place] = _secret(reference, place, environment, problems)
    if settings.cache.webhook_secret is not None:
        secrets[WEBHOOK] = _webhook_secret(settings.cache.webhook_secret, environment, problems)
    if problems:
        raise SettingsInvalid(source, problems)
    return msgspec.structs.replace(settings, secrets=secrets)


# --- defaults --------------------------------------------------------------------------------------------

_DEFAULT_MODELS = {
    "gpt-5": {"tier": "premium", "context_tokens": 400_000, "max_output_tokens": 128_000},
    "gpt-5-mini": {"tier": "mid", "context_tokens": 400_000, "max_output_tokens": 128_000},
    "gpt-5-nano": {"tier": "economy", "context_tokens": 400_000, "max_output_tokens": 128_000},
    "text-embedding-3-small": {"tier": "economy", "kind": "embedding", "context_tokens": 8192},
}


def _default_catalogue(environment: Mapping[str, str], mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Providers, models and a route for whoever configured none."""
    found: dict[str, Any] = {}
    if "providers" not in mapping:
        if environment.get("OPENAI_API_KEY"):
            openai = {"base_url": "https://api.openai.com/v1", "api_key": "env:OPENAI_API_KEY"}
            found["providers"] = {"openai": openai}
        else:
            simulation = {"first_token_ms": Decimal(150), "tokens_per_s": Decimal(400)}
            found["providers"] = {"simulated": {"priced_as": "openai", "simulation": simulation}}
    providers = found.get("providers") or mapping.get("providers")
    provider = next(iter(providers), None) if isinstance(providers, dict) else None
    if "models" not in mapping and provider is not None:
        table = providers[provider]  # type: ignore[index]
        is_openai = isinstance(table, dict) and table.get("protocol", "openai") == "openai"
        found["models"] = {
            name: {**model, "deployments": [{"provider": provider}]}
            for name, model in _DEFAULT_MODELS.items()
            if is_openai or "kind" not in model
        }
    models = found.get("models") or mapping.get("models")
    if "routes" not in mapping and isinstance(models, dict):
        found["routes"] = {"default": {"models": list(models)}}
    return found


# --- conversion with all problems at once ------------------------------------------------------------------

T = TypeVar("T")


_BAD: Final = object()
"""In place of a value that is wrong in itself."""


def _convert(value: Any, kind: type[T], place: str, problems: list[str]) -> T | None:
    """`value` as a Struct; appends a problem for each field that is wrong, and leaves that field out. None if what is
    left is no such Struct."""
    if not isinstance(value, dict):
        problems.append(f"{place or 'the file'}: must be a table, not {_named(value)}")
        return None
    fields = {item.name: item for item in msgspec.structs.fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for name in value.keys() - fields.keys():
        close = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(sorted(fields))}"
        problems.append(f"{_join(place, name)}: no such setting; {hint}")
    found: dict[str, Any] = {}
    is_whole = True
    for name, item in fields.items():
        is_needed = item.default is UNSET or (
            item.default is msgspec.NODEFAULT and item.default_factory is msgspec.NODEFAULT
        )
        if name not in value:
            if is_needed:
                problems.append(f"{_join(place, name)}: is missing")
            is_whole &= not is_needed
        elif (converted := _convert_any(value[name], hints[name], _join(place, name), problems)) is not _BAD:
            found[name] = converted
        else:
            is_whole &= not is_needed
    if not is_whole:
        return None
    try:
        return kind(**found)
    except ValueError as error:
        problems.append(f"{place}: {error}")
        return None


def _convert_any(value: Any, hint: Any, place: str, problems: list[str]) -> Any:
    options = [option for option in get_args(hint) if option is not type(None)] if _is_optional(hint) else [hint]
    target = options[0]
    if isinstance(target, type) and issubclass(target, Struct):
        return _BAD if (found := _convert(value, target, place, problems)) is None else found
    origin, args = get_origin(target), get_args(target)
    if origin is dict and isinstance(args[1], type) and issubclass(args[1], Struct):
        if not isinstance(value, dict):
            problems.append(f"{place}: must be a table, not {_named(value)}")
            return _BAD
        tables = {name: _convert(item, args[1], _join(place, name), problems) for name, item in value.items()}
        return {name: table for name, table in tables.items() if table is not None}
    if origin is list and isinstance(args[0], type) and issubclass(args[0], Struct):
        if not isinstance(value, list):
            problems.append(f"{place}: must be an array of tables, not {_named(value)}")
            return _BAD
        items = [_convert(item, args[0], f"{place}[{at}]", problems) for at, item in enumerate(value)]
        return _BAD if None in items else items
    try:
        converted = msgspec.convert(value, target)
    except msgspec.ValidationError as error:
        said = str(error).partition(" - at ")[0]
        problems.append(f"{place}: {_allowed(target, value) or said[:1].lower() + said[1:]}, not {_named(value)}")
        return _BAD
    for number in converted.values() if isinstance(converted, dict) else [converted]:
        if isinstance(number, Decimal) and not number.is_finite():
            problems.append(f"{place}: must be a finite number, not {number}")
            return _BAD
    return converted


def _is_optional(hint: Any) -> bool:
    return type(None) in get_args(hint)


_FORMS: Final = {
    int: "must be a whole number",
    Decimal: "must be a number",
    str: "must be a text",
    bool: "must be true or false",
}


def _allowed(target: Any, value: Any) -> str | None:
    """What a field takes, where it can be said in a few words."""
    origin, args = get_origin(target), get_args(target)
    if origin is Literal:
        return "must be one of " + ", ".join(f'"{option}"' for option in args)
    if origin is list and isinstance(value, list) and (said := _allowed(args[0], None)):
        return said.replace("must be", "each must be", 1)
    if origin is list:
        return "must be an array, such as [...]"
    if (
        origin is dict
        and isinstance(value, dict)
        and get_origin(args[0]) is Literal
        and value.keys() - get_args(args[0])
    ):
        return f"names {_allowed(args[0], None)}"
    if origin is dict and isinstance(value, dict) and (said := _allowed(args[1], None)):
        return said.replace("must be", "each must be", 1)
    return _FORMS.get(target)


def _named(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def _join(place: str, name: str) -> str:
    quoted = name if _BARE.fullmatch(name) else f'"{name}"'
    return f"{place}.{quoted}" if place else quoted


def _key_place(provider: str, at: int) -> str:
    return f"{_join('providers', provider)}.api_keys[{at}]"


def _aws_place(provider: str) -> str:
    return f"{_join('providers', provider)}.aws"


# --- what a single field can say --------------------------------------------------------------------------


def _out_of_range(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        place = _join("providers", name)
        yield from _out_of_bounds(place, provider, retries=0, health_check_s=0)
        for limit in ("connect_timeout_s", "first_event_timeout_s", "idle_timeout_s"):
            if getattr(provider, limit) <= 0:
                yield f"{place}.{limit}: must be more than 0, not {getattr(provider, limit)}"
        yield from _out_of_bounds(f"{place}.breaker", provider.breaker, window_s=1, least_calls=1, slow_after_s=0)
        yield from _out_of_bounds(f"{place}.breaker", provider.breaker, failure_share=0, slow_share=0, open_s=0)
        yield from _out_of_bounds(f"{place}.breaker", provider.breaker, failures_in_a_row=0)
    for name, model in settings.models.items():
        place = _join("models", name)
        yield from _out_of_bounds(place, model, context_tokens=1, max_output_tokens=1)
        for at, deployment in enumerate(model.deployments):
            where = f"{place}.deployments[{at}]"
            yield from _out_of_bounds(where, deployment, weight=0, max_concurrency=1, queue=0, queue_s=0)
    for name, route in settings.routes.items():
        yield from _route_out_of_range(_join("routes", name), route)
    for place, budget in _budgets(settings):
        yield from _budget_out_of_range(place, budget)
    for name, team in settings.teams.items():
        place, level = _join("teams", name) + ".service_level", team.service_level
        if level is not None and level.p95_ms is not None and level.p95_ms <= 0:
            yield f"{place}.p95_ms: must be more than 0, not {level.p95_ms}"
        if level is not None and level.error_rate is not None and not 0 <= level.error_rate < 1:
            yield f"{place}.error_rate: must be from 0 to less than 1, not {level.error_rate}"
    for place, number in (
        ("server.max_body_mib", settings.server.max_body_mib),
        ("server.max_in_flight", settings.server.max_in_flight),
        ("server.max_bodies_mib", settings.server.max_bodies_mib),
        ("server.slow_client_s", settings.server.slow_client_s),
        ("cache.max_entries", settings.cache.max_entries),
        ("cache.max_mib", settings.cache.max_mib),
        ("cache.embeddings_mib", settings.cache.embeddings_mib),
        ("encoder.threads", settings.encoder.threads),
    ):
        if number < 1:
            yield f"{place}: must be 1 or more, not {number}"
    if not 0 <= settings.server.port <= 65535:
        yield f"server.port: must be from 0 to 65535, not {settings.server.port}"


def _route_out_of_range(place: str, route: RouteSettings) -> Iterator[str]:
    yield from _out_of_bounds(place, route, max_quality_loss=0, explore_share=0, holdout_share=0, judge_share=0)
    for share, most in (("explore_share", "0.1"), ("holdout_share", "0.1"), ("judge_share", "1")):
        if getattr(route, share) > Decimal(most):
            yield f"{place}.{share}: must be at most {most}, not {getattr(route, share)}"
    cache = route.cache
    for field_name in ("max_wrong_per_hit", "max_wrong_per_request"):
        accepted = getattr(cache, field_name)
        if accepted is not None and not Decimal("0.0001") <= accepted <= Decimal("0.2"):
            yield f"{place}.cache.{field_name}: must be from 0.0001 to 0.2 (0.01 is 1 %), not {accepted}"
    if not Decimal("0.001") <= cache.audit_share <= 1:
        yield f"{place}.cache.audit_share: must be from 0.001 to 1, not {cache.audit_share}"
    for field_name, least in (("ttl_s", 1), ("stale_while_revalidate_s", 0), ("min_askers", 1)):
        if getattr(cache, field_name) < least:
            yield f"{place}.cache.{field_name}: must be {least} or more, not {getattr(cache, field_name)}"
    if cache.min_askers > ASKERS_AT_MOST:
        yield f"{place}.cache.min_askers: must be at most {ASKERS_AT_MOST}, not {cache.min_askers}"
    for name_, seconds in cache.ttl_by_class.items():
        if seconds < 1:
            yield f"{place}.cache.ttl_by_class.{name_}: must be 1 or more, not {seconds}"


def _budget_out_of_range(place: str, budget: BudgetSettings) -> Iterator[str]:
    yield from _out_of_bounds(place, budget, usd=0)
    if budget.soft_from is not None and not budget.soft_from > 0:
        yield f"{place}.soft_from: must be more than 0, not {budget.soft_from}"
    for name in ("overdraft_share", "dev_share", "audits_share", "judges_share"):
        if not 0 <= getattr(budget, name) <= 1:
            yield f"{place}.{name}: must be from 0 to 1, not {getattr(budget, name)}"


def _budgets(settings: Settings) -> Iterator[tuple[str, BudgetSettings]]:
    """Each with its place."""
    owners: list[tuple[str, TeamSettings | AppSettings | KeySettings | OrganisationSettings]] = []
    for name, team in settings.teams.items():
        owners.append((_join("teams", name), team))
        owners += [(_join(_join("teams", name) + ".apps", app), each) for app, each in team.apps.items()]
    owners += [(_join("keys", key), each) for key, each in settings.keys.items()]
    owners.append(("organisation", settings.organisation))
    yield from ((f"{place}.budget", owner.budget) for place, owner in owners if owner.budget is not None)


# --- what no single field can say -------------------------------------------------------------------------


_NO_EMBEDDINGS: Final = ("anthropic", "bedrock")


def _inconsistencies(settings: Settings) -> Iterator[str]:
    for name, provider in settings.providers.items():
        place = _join("providers", name)
        is_elsewhere = provider.simulation is not None or (provider.google is not None and provider.base_url is None)
        if not is_elsewhere and not (provider.base_url or "").startswith(("http://", "https://")):
            yield f"{place}.base_url: must be an http(s) URL up to /v1, not {_named(provider.base_url)}"
        yield from _cloud_inconsistencies(place, provider)
        if provider.responses and provider.protocol not in ("openai", "azure"):
            yield f"{place}.responses: only openai and azure providers have the Responses API"
    for name, model in settings.models.items():
        place = _join("models", name)
        if name == "auto":
            yield f"{place}: `auto` is the name with which clients leave the choice to the router"
        if not model.deployments:
            yield f"{place}.deployments: at least one is needed"
        for at, deployment in enumerate(model.deployments):
            if deployment.provider not in settings.providers:
                known = ", ".join(settings.providers) or "none"
                yield f"{place}.deployments[{at}].provider: no provider `{deployment.provider}` (known: {known})"
            elif model.kind == "embedding" and not settings.providers[deployment.provider].has_embeddings:
                yield f"{place}.deployments[{at}].provider: its protocol has no embeddings"
    for name, route in settings.routes.items():
        yield from _route_inconsistencies(settings, name, route)
    for name, team in settings.teams.items():
        if team.baseline is not None and team.baseline not in settings.models:
            yield f"{_join('teams', name)}.baseline: no model `{team.baseline}`"
        yield from _level_inconsistencies(_join("teams", name) + ".service_level", team.service_level)
    for place, budget in _budgets(settings):
        yield from _budget_inconsistencies(settings, place, budget)
    if not settings.routes:
        yield "routes: at least one route is needed"


def _cloud_inconsistencies(place: str, provider: ProviderSettings) -> Iterator[str]:
    """What does not fit about the accounts of AWS and Google."""
    aws, google = provider.aws, provider.google
    if aws is not None and provider.protocol != "bedrock":
        yield f'{place}.aws: is for `protocol = "bedrock"` only'
    if provider.region is None and (aws is not None or provider.has_aws_chain):
        yield f"{place}.region: is missing, and signatures name it"
    if aws is not None and (aws.access_key_id is None) != (aws.secret_access_key is None):
        missing = "access_key_id" if aws.access_key_id is None else "secret_access_key"
        yield f"{place}.aws.{missing}: is missing"
    if aws is not None and aws.session_token is not None and aws.access_key_id is None:
        yield f"{place}.aws.session_token: belongs to an access_key_id"
    if aws is not None and aws.profile is not None and not provider.has_aws_chain:
        yield f"{place}.aws.profile: give a profile or keys, not both"
    if google is None:
        return
    if provider.protocol != "gemini":
        yield f'{place}.google: is for `protocol = "gemini"` only'
    if provider.region is None:
        yield f'{place}.region: is missing: the location at Vertex AI, such as "europe-west4" or "global"'
    if provider.api_key is not None or provider.api_keys:
        yield f"{place}.google: give credentials or keys, not both"
    if google.credentials is not None and (said := _wrong_account(google.credentials)):
        yield f"{place}.google.credentials: {said}"


def _wrong_account(reference: str) -> str | None:
    """What is wrong with a service account's key file. Never repeats its text."""
    scheme, _, path = reference.partition(":")
    if scheme != "file" or not path:
        return 'must be "file:PATH"; a key itself does not belong into the file'
    try:
        account = json.loads(_content(Path(path).expanduser()) or "")
    except ValueError:
        account = None
    if not isinstance(account, dict) or account.get("type") != "service_account":
        return f"the file {path} is no service account's key, or cannot be read"
    return None


def _out_of_bounds(place: str, table: Struct, **least: int) -> Iterator[str]:
    """What is said of each named field that is below its least value."""
    for name, bound in least.items():
        if getattr(table, name) < bound:
            yield f"{place}.{name}: must be {bound} or more, not {getattr(table, name)}"


def _route_inconsistencies(settings: Settings, name: str, route: RouteSettings) -> Iterator[str]:
    place = _join("routes", name)
    for model in route.models:
        if model not in settings.models:
            yield f"{place}.models: no model `{model}` (known: {', '.join(settings.models) or 'none'})"
    if not route.models:
        yield f"{place}.models: at least one is needed"
    if route.baseline is not None and route.baseline not in settings.models:
        yield f"{place}.baseline: no model `{route.baseline}`"
    for model in (*route.weights, *(model for allowed in route.classes.values() for model in allowed)):
        if model not in route.models:
            yield f"{place}: `weights` and `classes` name models of the route, not `{model}`"
    for kind, allowed in route.classes.items():
        if not allowed:
            yield f"{place}.classes.{kind}: at least one model is needed; a class that is left out goes to all"
    if (route.strategy == "weighted") != bool(route.weights):
        yield f"{place}.weights: belongs to the strategy `weighted`"
    if route.weights and not (min(route.weights.values()) >= 0 < max(route.weights.values())):
        yield f"{place}.weights: must be 0 or more, and one of them more than 0"
    if route.judge is not None and route.judge not in settings.models:
        yield f"{place}.judge: no model `{route.judge}`"
    cache = route.cache
    if cache.max_wrong_per_hit is not None and cache.max_wrong_per_request is not None:
        yield f"{place}.cache: give max_wrong_per_hit or max_wrong_per_request, not both"


def _level_inconsistencies(place: str, level: ServiceLevelSettings | None) -> Iterator[str]:
    if level is None:
        return
    if level.p95_ms is None and level.error_rate is None:
        yield f"{place}: give p95_ms, error_rate or both"


def _budget_inconsistencies(settings: Settings, place: str, budget: BudgetSettings) -> Iterator[str]:
    if not is_zone(budget.time_zone):
        yield f"{place}.time_zone: no time zone {_named(budget.time_zone)}; use a name like Europe/Berlin"
    steps = [step for step in (budget.mid_from, budget.economy_from) if step is not None]
    if not all(step > 0 for step in steps) or steps != sorted(steps):
        yield f"{place}: needs 0 < mid_from <= economy_from"
    if budget.at_cap == "fallback" and budget.fallback_model is None:
        yield f"{place}.fallback_model: is missing, and `at_cap` is `fallback`"
    if budget.fallback_model is not None and budget.fallback_model not in settings.models:
        known = ", ".join(settings.models) or "none"
        yield f"{place}.fallback_model: no model `{budget.fallback_model}` (known: {known})"


def _secret(reference: str, place: str, environment: Mapping[str, str], problems: list[str]) -> str:
    """The secret behind `env:NAME` or `file:PATH`. Never repeats its text."""
    scheme, _, target = reference.partition(":")
    if scheme == "env" and target:
        where, value = f"the environment variable {target}", environment.get(target)
    elif scheme == "file" and target:
        where, value = f"the file {target}", _content(Path(target).expanduser())
    else:
        problems.append(f'{place}: must be "env:NAME" or "file:PATH"; a key itself does not belong into the file')
        return ""
    if not value or not value.strip():
        problems.append(f"{place}: {where} is not set, empty or cannot be read")
    elif not value.strip().isascii() or not value.strip().isprintable():
        problems.append(f"{place}: {where} holds characters that no key has")
    return (value or "").strip()


def _aws_credentials(aws: AwsSettings, place: str, environment: Mapping[str, str], problems: list[str]) -> str:
    """`ACCESS_KEY_ID:SECRET[:SESSION_TOKEN]`: one key among others, for whoever balances them."""
    named = [(name, getattr(aws, name)) for name in ("access_key_id", "secret_access_key", "session_token")]
    return ":".join(
        _secret(reference, f"{place}.{name}", environment, problems) for name, reference in named if reference
    )


def _webhook_secret(reference: str, environment: Mapping[str, str], problems: list[str]) -> str:
    place, known = "cache.webhook_secret", len(problems)
    secret = _secret(reference, place, environment, problems)
    if len(problems) == known:
        try:
            signing_key(secret)
        except ValueError as error:
            problems.append(f"{place}: {reference} {error}")
    return secret


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
