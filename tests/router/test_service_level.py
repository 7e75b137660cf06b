"""What watching a service level promises: a breach is noticed, named and over when the requests are well again."""

import pytest

from router.catalogue import Deployment, Provider
from router.prices import Priced
from router.service_level import REQUESTS_AT_LEAST, WINDOW_S, Breach, ServiceLevel, Watch, asked_last

FAST = ServiceLevel("faster-model", p95_ms=500)
RELIABLE = ServiceLevel("other-provider", error_rate=0.05)


def watched(level: ServiceLevel, *latencies_ms: float, failed: int = 0, at_s: float = 100.0) -> Watch:
    watch = Watch(level)
    for latency_ms in latencies_ms:
        watch.saw(at_s, latency_ms, "acme", is_failed=False)
    for _ in range(failed):
        watch.saw(at_s, 1.0, "shaky", is_failed=True)
    return watch


def test_a_slow_tail_breaks_the_promise_and_says_by_how_much() -> None:
    watch = watched(FAST, *[100.0] * 90, *[900.0] * 10)

    assert watch.breach(100.0) == Breach("faster-model", "p95 is 900 ms, 500 ms promised", "acme")


def test_a_few_slow_answers_do_not() -> None:
    assert watched(FAST, *[100.0] * 97, *[900.0] * 3).breach(100.0) is None


def test_failures_above_the_promised_share_break_it_and_name_the_provider() -> None:
    found = watched(RELIABLE, *[100.0] * 90, failed=10).breach(100.0)

    assert found is not None
    assert (found.action, found.provider) == ("other-provider", "shaky")
    assert "10.0% of requests fail" in found.reason


def test_failed_requests_do_not_count_as_fast_ones() -> None:
    assert watched(FAST, *[900.0] * 30, failed=70).breach(100.0) is not None


def test_too_few_requests_say_nothing() -> None:
    assert watched(FAST, *[9000.0] * (REQUESTS_AT_LEAST - 1)).breach(100.0) is None


def test_a_breach_is_over_when_its_requests_are_long_ago() -> None:
    watch = watched(FAST, *[900.0] * 50)
    assert watch.breach(100.0) is not None

    assert watch.breach(100.0 + WINDOW_S + 1) is None


def test_a_breach_is_over_when_answers_are_fast_again() -> None:
    watch = watched(FAST, *[900.0] * 20)
    assert watch.breach(100.0) is not None
    for _ in range(1000):
        watch.saw(102.0, 10.0, "acme", is_failed=False)

    assert watch.breach(102.0) is None


@pytest.mark.parametrize("late", ["a", "b", None])
def test_a_provider_that_is_asked_last_is_asked_nevertheless(late: str | None) -> None:
    targets = [(n, Deployment(n, Provider(n, "http://x.invalid"), "m", Priced(n, "m"))) for n in ("a", "b", "c")]

    found = [name for name, _ in asked_last(late, targets)]

    assert sorted(found) == ["a", "b", "c"]
    assert found == [name for name in "abc" if name != late] + ([late] if late else [])
