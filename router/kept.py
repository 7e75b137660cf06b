"""Which deployment keeps which answers: a response can be continued by its id only where it was made, and only by the
team that it was made for.

Remembers the last ones, in memory. What it has forgotten, or never knew, cannot be continued: a wrong deployment would
not know it either.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

import msgspec

from router.chat import ChatEvent, ChatRequest
from router.protocols import responses

_IDS_AT_MOST: Final = 100_000


class KeptAnswers:
    """Id -> deployment, for each team."""

    def __init__(self, ids_at_most: int = _IDS_AT_MOST) -> None:
        self._ids_at_most = ids_at_most
        self._deployments: OrderedDict[tuple[str, str], str] = OrderedDict()

    def learn(self, team: str, deployment: str, events: Iterable[ChatEvent]) -> None:
        """Takes note of an answer that has ended, if its provider may keep it."""
        for event in events:
            if event.is_last and event.dialect == responses.DIALECT:
                for found in responses.kept_ids(event):
                    self._deployments[team, found] = deployment
                    self._deployments.move_to_end((team, found))
        while len(self._deployments) > self._ids_at_most:
            self._deployments.popitem(last=False)

    def placed(self, request: ChatRequest, team: str) -> ChatRequest:
        """The request with the deployment that keeps what it continues. Raises RequestInvalid that names the field
        that refers to nothing known, or to what another deployment keeps."""
        deployment: str | None = None
        for name, found in request.continues.items():
            keeper = self._deployments.get((team, found))
            if keeper is None or keeper != (deployment or keeper):
                raise responses.elsewhere(name)
            deployment = keeper
        return request if deployment is None else msgspec.structs.replace(request, kept_by=deployment)
