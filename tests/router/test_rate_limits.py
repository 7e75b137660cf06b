"""How providers say when to come back, and that nonsense does no harm."""

import math

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.rate_limits import pause_s
from tests.router.samples import quick

NOW_S = 1_750_000_000.0
"""2025-06-15T15:06:40Z"""


def pause(**headers: str) -> float | None:
    return pause_s(httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), NOW_S)


def test_retry_after_goes_before_all_else() -> None:
    assert pause(retry_after="7", x_ratelimit_reset_requests="6m0s") == 7
    assert pause(retry_after_ms="250", retry_after="7") == 0.25
    assert pause(retry_after="Sun, 15 Jun 2025 15:06:50 GMT", x_ratelimit_reset="99") == 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("2m59.56s", 179.56),
        ("1h2m3s", 3723.0),
        ("1d", 86400.0),
        ("0s", 0.0),
        ("7", 7.0),
        ("7.66", 7.66),
        ("1750000030", 30.0),
        ("1750000030000", 30.0),
        ("1700000000", 0.0),
        ("2025-06-15T15:07:00Z", 20.0),
        ("2025-06-15T17:07:00+02:00", 20.0),
    ],
)
def test_resets_are_durations_numbers_of_seconds_unix_times_or_dates(text: str, seconds: float) -> None:
    assert pause(x_ratelimit_reset_requests=text) == pytest.approx(seconds)
    assert pause(x_ratelimit_reset=text) == pytest.approx(seconds)
    assert pause(anthropic_ratelimit_input_tokens_reset=text) == pytest.approx(seconds)


def test_only_what_is_used_up_holds_us_back() -> None:
    openai = {
        "x_ratelimit_reset_requests": "6m0s",
        "x_ratelimit_remaining_requests": "59",
        "x_ratelimit_reset_tokens": "2s",
        "x_ratelimit_remaining_tokens": "0",
    }
    anthropic = {
        "anthropic_ratelimit_requests_reset": "2025-06-15T15:07:40Z",
        "anthropic_ratelimit_requests_remaining": "0",
        "anthropic_ratelimit_tokens_reset": "2025-06-15T15:06:45Z",
        "anthropic_ratelimit_tokens_remaining": "0",
    }

    assert pause(**openai) == 2
    assert pause(**anthropic) == 60


def test_if_nothing_is_said_to_be_used_up_the_shortest_wait_is_believed() -> None:
    assert pause(x_ratelimit_reset_requests="6m0s", x_ratelimit_reset_tokens="2s") == 2


@pytest.mark.parametrize("text", ["", "soon", "inf", "nan", "-", "1x", "s", "2025-99-99", "1s and more"])
def test_what_makes_no_sense_is_as_if_it_had_not_been_said(text: str) -> None:
    assert pause(x_ratelimit_reset_requests=text, retry_after=text) is None


@quick
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_no_header_gives_anything_but_a_time_to_wait(text: str) -> None:
    found = pause(x_ratelimit_reset_tokens=text)

    assert found is None or (found >= 0 and math.isfinite(found))
