"""What the cache is asked: one request with everything that decides whether a stored answer may serve it."""

from typing import Any, Literal

from msgspec import Struct

Start = Literal["closed", "prior"]
"""`closed`: would-be semantic hits go upstream until the route is certified. `prior`: they are served at the
shipped decision, marked uncertified."""
Disposition = Literal["exact", "semantic", "coalesced", "miss", "bypass"]


class CachePolicy(Struct, frozen=True):
    """How a route uses the cache."""

    is_enabled: bool = True
    start: Start = "closed"
    similarity_floor: float = 0.55
    """Below this cosine no stored answer is served semantically."""
    ttl_s: int = 24 * 3600
    """Counts from the answer's creation; hits do not refresh it."""
    knowledge_version: str = "1"
    """What the answers are based on: a new value leaves all older entries behind at once."""
    shared: str | None = None
    """Name of a group of teams that share answers on this route; None = each team for itself."""
    scope_fields: tuple[str, ...] = ()
    """Which of `user` and `metadata` split the cache."""


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
