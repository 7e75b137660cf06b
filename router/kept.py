"""Which deployment keeps which answers: a response can be continued by its id only where it was made, and only by the
team that it was made for.

The last ones are remembered, all others are in the ledger file, where other processes find them as well. What has been
forgotten, or was never known, cannot be continued: a wrong deployment would not know it either.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from router.chat import ChatEvent, ChatRequest
from router.ledger.kept import Kept, KeptFile
from router.protocols import responses

_RECENT_AT_MOST: Final = 10_000
_DAY_US: Final = 24 * 3600 * 1_000_000
_RESPONSES_US: Final = 30 * _DAY_US
"""OpenAI and Azure forget responses after 30 days."""
_CONVERSATIONS_US: Final = 365 * _DAY_US
"""Conversations and what is in them they keep until they are deleted."""
_TIDIES_EVERY_S: Final = 3600.0


class KeptAnswers:
    """Team and id -> deployment. `now_us` gives microseconds since the epoch."""

    def __init__(self, file: KeptFile, now_us: Callable[[], int], recent_at_most: int = _RECENT_AT_MOST) -> None:
        self._file = file
        self._now_us = now_us
        self._recent_at_most = recent_at_most
        self._recent: OrderedDict[tuple[str, str], Kept] = OrderedDict()

    def learn(self, team: str, deployment: str, events: Iterable[ChatEvent]) -> tuple[Kept, ...]:
        """Takes note of an answer that has ended, if its provider may keep it; what of that belongs into the file,
        together with the answer's row."""
        found: list[Kept] = []
        for event in events:
            if event.is_last and event.dialect == responses.DIALECT:
                ids, in_conversation = responses.kept_ids(event)
                until_us = self._now_us() + (_CONVERSATIONS_US if in_conversation else _RESPONSES_US)
                found += [Kept(team, known_as, deployment, until_us) for known_as in ids]
        for kept in found:
            self._remember(kept)
        return tuple(found)

    async def deployment_of(self, team: str, known_as: str) -> str | None:
        """The name of the deployment that keeps it for this team. Raises LedgerUnavailable."""
        kept = self._recent.get((team, known_as))
        if kept is None:
            kept = await asyncio.to_thread(self._file.find, team, known_as)
            if kept is not None:
                self._remember(kept)
        return kept.deployment if kept is not None and kept.until_us > self._now_us() else None

    async def placed(self, request: ChatRequest, team: str) -> ChatRequest:
        """The request with the deployment that keeps what it continues. Raises RequestInvalid that names the field
        that refers to nothing known, or to what another deployment keeps; LedgerUnavailable."""
        deployment: str | None = None
        for name, known_as in request.continues.items():
            keeper = await self.deployment_of(team, known_as)
            if keeper is None or keeper != (deployment or keeper):
                raise responses.elsewhere(name)
            deployment = keeper
        return request if deployment is None else msgspec.structs.replace(request, kept_by=deployment)

    async def forget(self, team: str, known_as: str) -> None:
        """Its provider does not keep it any more. Raises LedgerUnavailable."""
        self._recent.pop((team, known_as), None)
        await asyncio.to_thread(self._file.forget, team, known_as)

    async def keep_tidy(self, on_fault: Callable[[Exception], None]) -> None:
        """Keeps the file within its bounds, until it is cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._file.tidy, self._now_us())
            except Exception as error:  # noqa: BLE001  a full or locked disk now is no reason not to try again later
                on_fault(error)
            await asyncio.sleep(_TIDIES_EVERY_S)

    def _remember(self, kept: Kept) -> None:
        self._recent[kept.team, kept.id] = kept
        self._recent.move_to_end((kept.team, kept.id))
        while len(self._recent) > self._recent_at_most:
            self._recent.popitem(last=False)
