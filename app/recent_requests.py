"""The requests behind recent semantic hits, so that a complaint can be settled by asking again.

In memory only, as the bytes that came, bounded in bytes, number and age. Knows nothing of what is asked again, and why.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from app.exchange import Exchange
from app.inbound import Inbound
from app.keys import Caller
from cache.query import Query

KEPT_AT_MOST: Final = 5_000
BYTES_AT_MOST: Final = 8 * 1024 * 1024
KEPT_FOR: Final = timedelta(hours=1)
"""Most complaints come while the answer is still being read."""


class _Kept(Struct, frozen=True):
    at: datetime
    caller: Caller
    inbound: Inbound
    end_user: str | None
    labels: str | None
    conversation: str
    query: Query


class RecentRequests:
    """Call from one thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """Request -> what it was, the oldest first."""
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, exchange: Exchange, inbound: Inbound) -> None:
        """Keeps a request for a while; the oldest make room."""
        self.drop(exchange.request_id)
        self._kept[exchange.request_id] = _Kept(
            at=exchange.arrived_at,
            caller=exchange.caller,
            inbound=msgspec.structs.replace(inbound, disconnected=_never),
            end_user=exchange.end_user,
            labels=exchange.labels,
            conversation=exchange.conversation,
            query=msgspec.structs.replace(exchange.query, mapping={}, echoed={}),
        )
        self._bytes += len(inbound.body)
        while len(self._kept) > KEPT_AT_MOST or self._bytes > BYTES_AT_MOST or self._is_over(exchange.arrived_at):
            self.drop(next(iter(self._kept)))

    def take(self, request_id: str, at: datetime) -> Exchange | None:
        """The request, as it was when it had been answered; None if it is not kept (any more). It is dropped."""
        kept = self.drop(request_id)
        if kept is None or at - kept.at > KEPT_FOR:
            return None
        return Exchange(
            request_id=request_id,
            caller=kept.caller,
            request=kept.inbound.surface.decode_request(kept.inbound.body, kept.inbound.forwarded),
            arrived_at=kept.at,
            started_ns=0,
            baseline=None,
            end_user=kept.end_user,
            labels=kept.labels,
            query=kept.query,
            conversation=kept.conversation,
        )

    def forget(self, criteria: Mapping[str, Any]) -> None:
        """Drops the requests of the team, environment and route that a purge names, all of them if it names nothing.
        What else entries are purged by, requests do not have."""
        if criteria.keys() <= _OF_REQUESTS:
            gone = [name for name, kept in self._kept.items() if _is_of(kept.query, criteria)]
            for request_id in gone:
                self.drop(request_id)

    def drop(self, request_id: str) -> _Kept | None:
        kept = self._kept.pop(request_id, None)
        if kept is not None:
            self._bytes -= len(kept.inbound.body)
        return kept

    def _is_over(self, at: datetime) -> bool:
        return bool(self._kept) and at - next(iter(self._kept.values())).at > KEPT_FOR


_OF_REQUESTS: Final = frozenset(("team", "env", "route"))


def _is_of(query: Query, criteria: Mapping[str, Any]) -> bool:
    return all(getattr(query, name) == value for name, value in criteria.items())


async def _never() -> None:
    """Nobody waits for it any more."""
    await asyncio.Event().wait()
