"""What the retry policy promises: another attempt only where it may help, is not paid twice and comes soon."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import UpstreamError, UpstreamRejected, UpstreamTimeout, UpstreamUnreachable
from router.retry import (
    BACKOFF_BASE_S,
    WAIT_AT_MOST_S,
    RetryBudget,
    client_timeout_s,
    is_about_key,
    wait_before_repeat_s,
)
from tests.router.samples import quick


def failure(status: int = 503, **fields: object) -> UpstreamError:
    return UpstreamRejected("failed", status=status, **fields)  # type: ignore[arg-type]


def test_there_are_as_many_repeats_as_are_allowed() -> None:
    waits = [wait_before_repeat_s(failure(), repeats, 2, jitter=0.5) for repeats in range(4)]

    assert [wait is not None for wait in waits] == [True, True, False, False]


def test_without_retries_there_is_no_repeat() -> None:
    assert wait_before_repeat_s(failure(), 0, 0, jitter=0.5) is None


@pytest.mark.parametrize(
    ("error", "is_repeated"),
    [
        (UpstreamUnreachable("no connection"), True),
        (failure(429), True),
        (failure(500), True),
        (failure(200), True),
        (failure(400, retryable=False), False),
        (failure(401), False),
        (failure(402), False),
        (failure(403), False),
        (failure(307), False),
        (UpstreamTimeout("no answer", billed="unknown"), False),
    ],
    ids=repr,
)
def test_only_what_may_help_and_was_not_billed_is_repeated(error: UpstreamError, is_repeated: bool) -> None:
    assert (wait_before_repeat_s(error, 0, 1, jitter=0.5) is not None) == is_repeated


@pytest.mark.parametrize(
    ("asked_s", "wait_s"), [(0.0, 0.0), (1.5, 1.5), (WAIT_AT_MOST_S, WAIT_AT_MOST_S), (WAIT_AT_MOST_S + 0.1, None)]
)
def test_what_the_provider_asks_for_is_waited_unless_it_is_too_long(asked_s: float, wait_s: float | None) -> None:
    assert wait_before_repeat_s(failure(429, retry_after_s=asked_s), 0, 1, jitter=0.5) == wait_s


def test_the_wait_grows_with_every_repeat_and_has_an_end() -> None:
    waits = [wait_before_repeat_s(failure(), repeats, 100, jitter=1.0) for repeats in range(10)]

    assert waits[:3] == [BACKOFF_BASE_S, 2 * BACKOFF_BASE_S, 4 * BACKOFF_BASE_S]
    assert waits[-1] == WAIT_AT_MOST_S


def test_jitter_spreads_the_waits_from_nothing_to_the_longest() -> None:
    waits = [wait_before_repeat_s(failure(), 0, 1, jitter=jitter) for jitter in (0.0, 0.5, 1.0)]

    assert waits == [0.0, BACKOFF_BASE_S / 2, BACKOFF_BASE_S]


@quick
@given(st.integers(0, 50), st.floats(0, 1))
def test_jitter_only_ever_shortens_a_wait(repeats: int, jitter: float) -> None:
    longest = wait_before_repeat_s(failure(), repeats, 100, jitter=1.0)
    wait = wait_before_repeat_s(failure(), repeats, 100, jitter=jitter)

    assert longest is not None
    assert wait is not None
    assert 0 <= wait <= longest <= WAIT_AT_MOST_S


# --- how many, and for how long ---------------------------------------------------------------------------------


def test_there_is_one_repeat_for_every_five_first_attempts_and_ten_more() -> None:
    budget, repeats = RetryBudget(), 0
    for _ in range(1000):
        budget.earn()
        repeats += budget.spend()

    assert 200 <= repeats <= 210


def test_a_long_quiet_time_saves_no_more_than_ten_repeats() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()

    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize(
    ("status", "is_so"), [(401, True), (402, True), (403, True), (429, True), (500, False), (404, False)]
)
def test_another_key_helps_where_the_provider_turned_the_key_down(status: int, is_so: bool) -> None:
    assert is_about_key(failure(status)) == is_so


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-stainless-read-timeout": "600"}, 600.0),
        ({"x-stainless-read-timeout": "2.5"}, 2.5),
        ({"x-stainless-timeout": "30"}, 30.0),
        ({"x-thriftgate-timeout-s": "1.5", "x-stainless-read-timeout": "600"}, 1.5),
        ({"x-thriftgate-timeout-s": "soon", "x-stainless-timeout": "30"}, 30.0),
        ({"x-thriftgate-timeout-s": "0"}, None),
        ({"x-thriftgate-timeout-s": "-1"}, None),
        ({"x-thriftgate-timeout-s": "inf"}, None),
        ({"x-stainless-read-timeout": "NOT_GIVEN"}, None),
    ],
)
def test_how_long_the_client_waits_is_what_it_says_or_what_its_sdk_says(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert client_timeout_s(headers) == seconds
