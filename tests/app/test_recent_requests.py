"""Recent requests: kept as they came, for as long and in as much memory as is stated."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.exchange import Exchange
from app.inbound import Inbound
from app.keys import Caller
from app.recent_requests import BYTES_AT_MOST, KEPT_AT_MOST, KEPT_FOR, RecentRequests
from cache.query import Acceptance, CachePolicy, Directives, Query
from router.surfaces import openai

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def never() -> None:
    raise AssertionError


def keep(kept: RecentRequests, request_id: str, at: datetime = NOW, text: str = "How do I reset my password?") -> bytes:
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": text}], "user": "ann"})
    inbound = Inbound(
        request_id=request_id,
        surface=openai,
        body=body,
        forwarded={},
        started_ns=0,
        cache_control=None,
        labels='{"use-case":"faq"}',
        conversation=None,
        end_user_key=b"key",
        disconnected=never,
    )
    request = openai.decode_request(body, {})
    caller = Caller("support", "bot", "prod", "key_1", "faq")
    query = Query("support", "prod", "faq", request.mapping, None, Acceptance("auto", 1), CachePolicy(), Directives())
    exchange = Exchange(
        request_id=request_id,
        caller=caller,
        request=request,
        arrived_at=at,
        started_ns=0,
        baseline=None,
        end_user="hashed",
        labels=inbound.labels,
        query=query,
        conversation="conversation",
    )
    kept.keep(exchange, inbound)
    return body


def test_a_request_is_given_back_once_as_it_came() -> None:
    kept = RecentRequests()
    body = keep(kept, "req_1")
    found = kept.take("req_1", NOW)
    assert found is not None
    assert found.request == openai.decode_request(body, {})
    assert (found.request_id, found.caller.team, found.end_user) == ("req_1", "support", "hashed")
    assert (found.labels, found.conversation) == ('{"use-case":"faq"}', "conversation")
    assert kept.take("req_1", NOW) is None
    assert kept.take("req_never", NOW) is None


def test_nothing_is_kept_longer_than_is_stated() -> None:
    kept = RecentRequests()
    keep(kept, "req_1")
    keep(kept, "req_2", NOW + KEPT_FOR)
    assert len(kept) == 2
    assert kept.take("req_1", NOW + KEPT_FOR + timedelta(seconds=1)) is None
    keep(kept, "req_3", NOW + 3 * KEPT_FOR)
    assert len(kept) == 1


def test_the_oldest_make_room() -> None:
    kept = RecentRequests()
    for number in range(KEPT_AT_MOST + 10):
        keep(kept, f"req_{number}")
    assert len(kept) == KEPT_AT_MOST
    assert kept.take("req_0", NOW) is None
    for number in range(10):
        keep(kept, f"long_{number}", text="x" * (BYTES_AT_MOST // 4))
    assert len(kept) == 3
    keep(kept, "too long", text="x" * BYTES_AT_MOST)
    assert len(kept) == 0


@pytest.mark.parametrize("criteria", [{}, {"team": "support"}, {"env": "prod", "route": "faq"}])
def test_a_purge_takes_the_requests_that_it_names(criteria: dict[str, str]) -> None:
    kept = RecentRequests()
    keep(kept, "req_1")
    kept.forget(criteria)
    assert len(kept) == 0
    assert kept.take("req_1", NOW) is None


@pytest.mark.parametrize("criteria", [{"team": "sales"}, {"team": "support", "route": "other"}, {"tag": "prices"}])
def test_a_purge_of_something_else_leaves_them(criteria: dict[str, str]) -> None:
    kept = RecentRequests()
    keep(kept, "req_1")
    kept.forget(criteria)
    assert len(kept) == 1
