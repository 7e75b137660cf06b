"""Responses that a provider keeps: shown, listed, cancelled and deleted at the deployment that made them, on behalf of
the team that they were made for. For everybody else there are none. Writes no row: nothing is made, and nothing costs.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from app.errors import NotFound
from router.catalogue import Deployment, Model
from router.errors import RequestInvalid, Unavailable, UpstreamError
from router.fleet import Fleet
from router.kept import KeptAnswers
from router.protocols.kept_responses import Action, question
from router.retry import is_about_account, is_about_key
from router.upstream import Upstream

_COMES_BACK_S: Final = 1.0

Query = Sequence[tuple[str, str]]


class KeptResponses:
    """`models` are those of all routes: a response stays where it is, whoever may ask for that model now."""

    def __init__(self, kept: KeptAnswers, models: Mapping[str, Model], fleet: Fleet, upstream: Upstream) -> None:
        self._kept = kept
        self._models = models
        self._fleet = fleet
        self._upstream = upstream

    async def ask(self, team: str, action: Action, response_id: str, query: Query = ()) -> bytes:
        """The provider's answer, as it is. Raises NotFound for what this team does not have, UpstreamError for what the
        provider refuses, RequestInvalid, Unavailable."""
        if dict(query).get("stream", "").lower() == "true":
            raise RequestInvalid("Only what runs in the background can be streamed again; nothing here does.", "stream")
        deployment = self._named(await self._kept.deployment_of(team, response_id))
        if deployment is None:
            raise NotFound(f"Response with id '{response_id[:256]}' not found.", "response_id")
        answer = await self._asked(deployment, action, response_id, query)
        if action == "delete":
            await self._kept.forget(team, response_id)
        return answer

    def _named(self, name: str | None) -> Deployment | None:
        deployments = (deployment for model in self._models.values() for deployment in model.deployments)
        return next((deployment for deployment in deployments if deployment.name == name), None)

    async def _asked(self, deployment: Deployment, action: Action, response_id: str, query: Query) -> bytes:
        """Asks with one key after the other, until one knows it."""
        for keys_left in range(max(len(deployment.provider.api_keys), 1) - 1, -1, -1):
            try:
                return await self._once(deployment, action, response_id, query)
            except UpstreamError as error:
                if not keys_left or not (is_about_key(error) or is_about_account(error)):
                    raise
        raise AssertionError("the last attempt answers or raises")

    async def _once(self, deployment: Deployment, action: Action, response_id: str, query: Query) -> bytes:
        permit = self._fleet.permit(deployment)
        if permit is None:
            raise Unavailable(_COMES_BACK_S, "The provider that keeps this response is not available now.")
        wire = question(deployment, action, response_id, query)
        try:
            call = await self._upstream.open(deployment, wire, is_stream=False, api_key=permit.api_key)
            return [event async for event in call.events()][-1].raw
        except UpstreamError as error:
            permit.failed(error)
            raise
        finally:  # how fast this was says nothing of how fast the deployment makes answers
            permit.close()
