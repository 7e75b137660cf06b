"""How long a provider asks to be left alone, from the headers of its refusal. Pure.

Wire facts: `Retry-After` (RFC 9110, 10.2.3) and `retry-after-ms` come first. Without them, OpenAI, Azure and Groq say
in `x-ratelimit-reset-requests` and `-tokens` how long it takes (`1s`, `6m0s`, `12ms`, `2m59.56s`), others in
`x-ratelimit-reset` in seconds or as a Unix time in seconds or milliseconds, Anthropic in
`anthropic-ratelimit-*-reset` at which time (RFC 3339). Beside each stands a `remaining`: only what is used up holds
us back.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from router.protocols.wire import number_in, retry_after_s

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_LONGEST_S: Final = 10_000_000.0
"""A larger number is no duration but a time: seconds since 1970, or milliseconds."""
_MILLISECONDS_FROM: Final = 100_000_000_000.0


def pause_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Seconds from now for which the provider wants no more requests; None if it does not say. `now_s` is Unix time,
    `headers` have names in small letters, or do not care."""
    asked = retry_after_s(headers, now_s)
    return asked if asked is not None else _until_reset_s(headers, now_s)


def _until_reset_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """The longest wait among the limits that are used up; if none says that it is, the shortest of all."""
    used_up: list[float] = []
    others: list[float] = []
    for reset, remaining in _limits(headers):
        wait = _wait_s(reset, now_s)
        if wait is not None:
            (used_up if number_in(remaining) == 0 else others).append(wait)
    return max(used_up) if used_up else min(others, default=None)


def _limits(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The values of each `reset` header and of the `remaining` header that belongs to it."""
    for name, value in headers.items():
        name = name.lower()
        if name.startswith("x-ratelimit-reset"):
            yield value, headers.get(name.replace("-reset", "-remaining", 1), "")
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-reset"):
            yield value, headers.get(name.removesuffix("reset") + "remaining", "")


def _wait_s(text: str, now_s: float) -> float | None:
    """Seconds from a duration, a number of seconds, a Unix time or an RFC 3339 time."""
    text = text.strip()
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    if (number := number_in(text)) is not None:
        if number < _LONGEST_S:
            return number
        return max((number / 1000 if number >= _MILLISECONDS_FROM else number) - now_s, 0.0)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now_s, 0.0)
