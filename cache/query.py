"""What the cache is asked: one request with everything that decides whether a stored answer may serve it."""

from typing import Any, Final, Literal

from msgspec import Struct

Start = Literal["closed", "prior"]
"""`closed`: would-be semantic hits go upstream until the route is certified. `prior`: they are served at the
shipped decision, marked uncertified."""
Mode = Literal["semantic", "exact", "off"]
Sampling = Literal["share", "exact", "bypass"]
ASKERS_AT_MOST: Final = 16
"""Of the end users who got an answer so many are remembered, so no route can ask for more."""
Disposition = Literal["exact", "semantic", "coalesced", "miss", "bypass"]


class CachePolicy(Struct, frozen=True):
    """How a route uses the cache."""

    mode: Mode = "semantic"
    start: Start = "closed"
    max_wrong: float = 0.01
    """Wrong answers that the operator accepts, as a share of `per`."""
    per: Literal["hit", "request"] = "hit"
    audit_share: float = 0.05
    """The least share of semantic hits that are also sent upstream afterwards."""
    ttl_s: int = 24 * 3600
    """Counts from the answer's creation; hits do not refresh it."""
    ttl_by_class: tuple[tuple[str, int], ...] = ()
    """Seconds for the classes of `cache.cacheability.content_class`; a shorter `ttl_s` wins."""
    stale_s: int = 0
    """How long after its time an answer may still be served while a new one is fetched."""
    knowledge_version: str = "1"
    """What the answers are based on: a new value leaves all older entries behind at once."""
    tags: tuple[str, ...] = ()
    """Given to every entry of the route; entries are purged by tag."""
    shared: str | None = None
    """Name of a group of teams that share answers on this route; None = each team for itself."""
    scope_fields: tuple[str, ...] = ()
    """Which of `user` and `metadata` split the cache."""
    sampling: Sampling = "share"
    """What becomes of requests that ask for variety: a temperature above 1, or several choices."""
    personal: Literal["bypass", "share"] = "bypass"
    """`share` is for bots that know nothing of who asks: their answers to personal questions are general ones."""
    writers: tuple[str, ...] = ()
    """Apps whose answers are stored, and shared with others while they are being made; empty = all."""
    min_askers: int = 1
    """How many different end users must have got the same answer before others are served it; up to
    `ASKERS_AT_MOST`. Above 1, nobody joins what somebody else is being answered either."""


class Directives(Struct, frozen=True):
    """`Cache-Control` request directives (RFC 9111, 5.2.1). Callers may only tighten."""

    no_cache: bool = False
    """Ask upstream, but the answer may be stored."""
    no_store: bool = False
    """Neither serve nor store."""
    max_age_s: int | None = None
    only_if_cached: bool = False


class Acceptance(Struct, frozen=True):
    """Whose answers are good enough now. Tiers are ranks: higher is better."""

    model: str
    """The model that the client asked for: its own answers are always acceptable."""
    lowest_tier: int
    rationed_to: int | None = None
    """The dearest tier that the caller's budgets allow, if they ration."""

    def takes(self, model: str, tier: int, *, is_rationed: bool) -> bool:
        """Whether an answer of this model may be served: a rationed one only to callers rationed as much."""
        if is_rationed:
            return self.rationed_to is not None and self.rationed_to <= tier
        return model == self.model or tier >= self.lowest_tier


class Query(Struct, frozen=True):
    """One request as the cache sees it. `mapping` is the canonical chat request, never changed."""

    team: str
    env: str
    route: str
    mapping: dict[str, Any]
    output_limit: int | None
    acceptance: Acceptance
    policy: CachePolicy
    directives: Directives
    app: str = ""
    asker: str = ""
    """Who asks, hashed; equal for the same end user."""
    request_id: str = ""
    headers: dict[str, str] = {}
    """Those that belong to the request as its fields do. A field of their name is something else."""
    echoed: dict[str, Any] = {}
    """Fields outside the scope that may come back in an answer as it is made: others' are nobody's business."""
    may_audit: bool = True
    """Whether there is money for sending a hit upstream as well."""

    @property
    def may_write(self) -> bool:
        """Whether the answer may be stored: the route may name the apps whose answers are."""
        return not self.policy.writers or self.app in self.policy.writers
