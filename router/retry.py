"""Whether an attempt is repeated at the same deployment, and when. Pure."""

from typing import Final

from router.errors import UpstreamError

BACKOFF_BASE_S: Final = 0.1
WAIT_AT_MOST_S: Final = 2.0
"""Longer than this no client is made to wait; the next candidate is tried instead."""

# Another attempt with the same key at the same address cannot end differently.
_FOR_ANOTHER_DEPLOYMENT: Final = frozenset({401, 402, 403, *range(300, 400)})


def wait_before_repeat_s(error: UpstreamError, repeats: int, retries: int, jitter: float) -> float | None:
    """Seconds to wait before the next attempt at this deployment: what the provider asks for, else exponential
    backoff with full jitter (`jitter` from 0 to 1). None if there should be none here: the retries are used up,
    it cannot help, or the failed attempt may have been billed."""
    may_help = error.retryable and error.billed == "no" and error.status not in _FOR_ANOTHER_DEPLOYMENT
    if repeats >= retries or not may_help:
        return None
    if error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= WAIT_AT_MOST_S else None
    return jitter * min(BACKOFF_BASE_S * 2.0**repeats, WAIT_AT_MOST_S)
