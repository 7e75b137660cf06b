"""Whether an attempt is repeated at the same deployment, and when; and how long an attempt may take. Pure."""

import math
from collections.abc import Mapping
from typing import Final

from router.errors import UpstreamError
from router.key_pool import REJECTS_KEY

BACKOFF_BASE_S: Final = 0.1
WAIT_AT_MOST_S: Final = 2.0
"""Longer than this no client is made to wait; the next candidate is tried instead."""

# Another attempt with the same key at the same address cannot end differently.
_FOR_ANOTHER_DEPLOYMENT: Final = frozenset({401, 402, 403, *range(300, 400)})

_SHARE: Final = 0.2
_SAVED_AT_MOST: Final = 10.0


class RetryBudget:
    """How many repeats a deployment is asked for: at most one for every five first attempts, and ten more. When
    everything fails, repeats would multiply the load of a provider that has too much of it already."""

    def __init__(self) -> None:
        self._saved = _SAVED_AT_MOST

    def earn(self) -> None:
        """A first attempt is made."""
        if self._saved < _SAVED_AT_MOST:
            self._saved = min(self._saved + _SHARE, _SAVED_AT_MOST)

    def spend(self) -> bool:
        """Whether there may be a repeat now; it counts."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True


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


def is_about_key(error: UpstreamError) -> bool:
    """Whether another key may have more luck at the same deployment."""
    return error.status in REJECTS_KEY


def is_about_account(error: UpstreamError) -> bool:
    """Whether what a request refers to is not known under this key: each account keeps its own answers."""
    return error.status == 404 or error.code == "previous_response_not_found"


def client_timeout_s(headers: Mapping[str, str]) -> float | None:
    """How long the client waits for the first event of its answer; None if it does not say.

    `x-thriftgate-timeout-s` goes before what the SDKs of OpenAI and Anthropic send: `x-stainless-read-timeout` in
    Python (seconds, perhaps with a fraction), `x-stainless-timeout` in TypeScript (whole seconds).
    """
    for name in ("x-thriftgate-timeout-s", "x-stainless-read-timeout", "x-stainless-timeout"):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds > 0:
            return seconds
    return None
