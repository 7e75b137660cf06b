"""How long an answer may live: what it is about decides, since prices and policies change sooner than how-tos."""

from collections.abc import Callable
from functools import lru_cache

from cache.cacheability import content_class
from cache.entries import Facts
from cache.query import CachePolicy

_class_of = lru_cache(maxsize=4096)(content_class)
"""The neighbours of one question are asked about with every lookup near it."""


def lifetime_s(policy: CachePolicy, question: str) -> int:
    """Seconds from creation: the route's, or less if the class of the question has less."""
    if not policy.ttl_by_class:
        return policy.ttl_s
    return min(policy.ttl_s, dict(policy.ttl_by_class).get(_class_of(question), policy.ttl_s))


def expiry_under(policy: CachePolicy) -> Callable[[Facts, str], int]:
    """(entry, the question that it answers) -> from when on (us) it is not served any more, not even while a fresh one
    is fetched: as was said when it was stored, or sooner if its route allows less now. A curated one has a time of its
    own. For the many neighbours of one question."""
    is_uniform = not policy.ttl_by_class
    uniform_us = (policy.ttl_s + policy.stale_s) * 1_000_000

    def expires_us(entry: Facts, question: str) -> int:
        if entry.is_curated:
            return entry.expires_us
        allowed_us = uniform_us if is_uniform else (lifetime_s(policy, question) + policy.stale_s) * 1_000_000
        return min(entry.expires_us, entry.created_us + allowed_us)

    return expires_us
