"""How many input tokens a request has: asked of the model's provider where it speaks the client's dialect, which costs
nothing, else estimated here. Writes no row: nothing is answered and nothing billed.
"""

from collections.abc import Sequence

import msgspec

from app.token_counter import TokenCounter
from router.catalogue import Deployment, Model
from router.chat import ChatRequest
from router.errors import ModelUnknown, NoCandidate, UpstreamError
from router.fleet import Fleet
from router.plan import AUTO, EMBEDS
from router.protocols import anthropic, anthropic_counts
from router.upstream import Upstream
from router.usage import estimated_tokens


async def counted(
    request: ChatRequest, models: Sequence[Model], fleet: Fleet, upstream: Upstream, counter: TokenCounter
) -> bytes:
    """The answer's JSON. `models` are those of the route. Raises ModelUnknown, NoCandidate for a model that only makes
    embeddings, or UpstreamError where the provider refuses the request itself; one that cannot be reached leaves us to
    estimate."""
    offered = {model.name: model for model in models}
    if request.model != AUTO and request.model not in offered:
        raise ModelUnknown(request.model, (AUTO, *offered))
    chosen = offered.get(request.model)
    if chosen is not None and chosen.embeds:
        raise NoCandidate({chosen.name: EMBEDS})
    for deployment in chosen.deployments if chosen else ():
        if deployment.provider.protocol != anthropic.NAME:
            continue
        try:
            answer = await _asked(request, deployment, fleet, upstream)
        except UpstreamError as error:
            if not error.retryable:
                raise
            continue
        if answer is not None:
            return answer
    counts = await counter.count(request.mapping)
    return msgspec.json.encode({"input_tokens": counts[0] if counts else estimated_tokens(request.body_bytes)})


async def _asked(request: ChatRequest, deployment: Deployment, fleet: Fleet, upstream: Upstream) -> bytes | None:
    """What the provider says; None while it may not be called."""
    permit = fleet.permit(deployment)
    if permit is None:
        return None
    try:
        wire = anthropic_counts.encode(request, deployment, None)
        call = await upstream.open(deployment, wire, is_stream=False, api_key=permit.api_key)
        permit.answered()
        return [event async for event in call.events()][-1].raw
    except UpstreamError as error:
        permit.failed(error)
        raise
    finally:
        permit.close()
