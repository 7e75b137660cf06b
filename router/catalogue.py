"""What can be called: tiers, providers, models and their deployments, and what a route lets the router do."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Literal

from msgspec import Struct

from router.balance import Balance
from router.breaker import BreakerPolicy
from router.prices import Priced

Strategy = Literal["balanced", "cost-first", "performance-first", "failover-first", "pinned", "weighted"]


class Tier(IntEnum):
    """A rank of quality and price; higher is better and dearer."""

    ECONOMY = 1
    MID = 2
    PREMIUM = 3

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> "Tier":
        return cls[label.upper()]


class Simulation(Struct, frozen=True):
    """How the simulated provider behaves. `answers` maps a question to the wordings of its answer; any other question
    gets a made-up one."""

    first_token_ms: float = 0.0
    tokens_per_s: float = 0.0
    """0 = all at once."""
    answers: dict[str, tuple[str, ...]] = {}


class AwsChain(Struct, frozen=True):
    """AWS credentials from wherever the machine has them: botocore's own chain, under a profile if one is named."""

    profile: str | None
    region: str | None


class GoogleAccount(Struct, frozen=True):
    """A Google Cloud account: a service account's key file, or the application default credentials."""

    file: str | None


CredentialSource = AwsChain | GoogleAccount


class Provider(Struct, frozen=True):
    """One account at one endpoint, or several: each has its key. Keys never appear in a log, an error or a repr."""

    name: str
    base_url: str
    api_keys: tuple[str, ...] = ()
    """None of them = the endpoint wants none."""
    credentials: CredentialSource | None = None
    """Where credentials come from that end and are renewed, in place of keys."""
    protocol: str = "openai"
    """The wire format: a module of `router/protocols`."""
    api_version: str | None = None
    """Azure's `api-version`, Anthropic's `anthropic-version`."""
    region: str | None = None
    """Where Bedrock signs for."""
    responses: bool = False
    """Whether it offers OpenAI's Responses API beside chats, for clients that speak it."""
    simulation: Simulation | None = None
    """Set for the provider that needs no network; `base_url` is then not used."""
    limit_field: str = "max_completion_tokens"
    """In which field an output limit is sent that the client did not set."""
    connect_timeout_s: float = 5.0
    first_event_timeout_s: float = 60.0
    idle_timeout_s: float = 60.0
    retries: int = 1
    """Further attempts at the same deployment, before the first byte and where nothing was billed."""
    health_check_s: float = 0.0
    """After so long without a call it is asked for its models, which costs nothing. 0 = never."""

    def __repr__(self) -> str:
        return f"Provider({self.name}, {self.base_url})"


class Deployment(Struct, frozen=True):
    """One model at one provider. `upstream_model` is the name that the provider knows."""

    name: str
    provider: Provider
    upstream_model: str
    priced: Priced
    priority: int = 0
    """Lower numbers are tried first; those with the same share the load."""
    weight: float = 1.0
    """Its share of that load. 0 = only when the others are out."""
    region: str | None = None
    max_concurrency: int = 256
    """So many calls at the same time, fewer while the provider limits our rate."""
    queue: int = 64
    """So many requests may wait for a turn, if no other deployment is free."""
    queue_s: float = 2.0
    """None that would wait longer is let in."""
    breaker: BreakerPolicy = BreakerPolicy()
    max_output_tokens: int = 4096
    """The model's longest answer, for protocols in which every request has a limit."""


class Model(Struct, frozen=True):
    """A name that clients ask for. `accepts` lists the content part types it takes beside text."""

    name: str
    tier: Tier
    context_tokens: int
    max_output_tokens: int
    deployments: tuple[Deployment, ...]
    accepts: frozenset[str]
    takes_tools: bool
    embeds: bool = False
    """It makes embeddings, and answers no chats."""


class RoutingPolicy(Struct, frozen=True):
    """What a route lets the router do."""

    models: tuple[Model, ...]
    floor: Tier
    """No model below this tier answers on the route, unless a client names it."""
    strategy: Strategy
    allow_downgrade: bool
    """Whether a cheaper model may stand in for a named one, when a budget or a failure forces it."""
    clamp_output: bool
    """Whether the gateway may set an output limit where the client set none and the budget is short."""
    baseline: str
    """The model that `auto` is compared with in savings, where the team declares none."""
    weights: Mapping[str, float] = {}
    """Under the strategy `weighted`: a model's part of the conversations."""
    classes: Mapping[str, tuple[str, ...]] = {}
    """Class of work -> the models that may do it (`router/workload.py`); other classes go to all."""
    max_quality_loss: float = 1.0
    """How much worse than the best a model may be expected to be, where enough answers of it were judged."""
    judge: str | None = None
    """The model that is asked how good answers are; it need not be one that the route offers."""
    judge_share: float = 0.0
    """So many of the answers to `auto` are judged against the baseline's."""
    explore_share: float = 0.0
    """So many of the `auto` requests go to another eligible model than the best, to learn from it."""
    holdout_share: float = 0.0
    """So many of the `auto` conversations are served by the baseline, to measure what routing saves and costs."""
    balance: Balance = "latency"
    """How the load is shared among deployments of the same priority."""
    region: str | None = None
    """Deployments of this region, or of none, go first."""
    rank: int = 1
    """How important the route is when not all can be served: 0 before 1 before 2."""
    hedge: bool = False
    """Whether a second deployment is asked when the first has not answered by its own 95th percentile."""
    short_answer_mode: bool = False
    """Whether an economy model that stands in for failed better ones answers briefly, below the floor if need be."""
