"""How long an answer may live: what it is about decides, since prices and policies change sooner than how-tos."""

from cache.cacheability import content_class
from cache.query import CachePolicy


def lifetime_s(policy: CachePolicy, question: str) -> int:
    """Seconds from creation: the route's, or less if the class of the question has less."""
    return min(policy.ttl_s, dict(policy.ttl_by_class).get(content_class(question), policy.ttl_s))
