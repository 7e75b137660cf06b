"""Turns an answer's events into the bytes of a response: one JSON body, or server-sent events.

Whatever came in the form that the client asked for passes untouched, less a usage chunk that only the gateway
asked for. The other form is converted.
"""

from collections.abc import AsyncIterator, Callable

import msgspec

from app.errors import Described
from app.gateway import Answer
from router.protocols import openai
from router.sse import data_block


async def json_body(answer: Answer) -> bytes:
    """The whole answer as one JSON body. Raises what made it fail."""
    events = [event async for event in answer.events]
    whole = next((event for event in events if event.kind == "body"), None)
    return whole.raw if whole is not None else msgspec.json.encode(openai.body_from_events(events))


async def event_stream(answer: Answer, describe: Callable[[Exception], Described]) -> AsyncIterator[bytes]:
    """The answer as server-sent events. A failure after the first one ends the stream with an error event and
    without `[DONE]`, so that nobody takes the answer for complete."""
    wants_usage = answer.exchange.request.wants_usage
    try:
        async for event in answer.events:
            if event.kind == "body":
                for chunk in openai.chunks_from_body(event.data or {}, wants_usage):
                    yield data_block(msgspec.json.encode(chunk))
                yield openai.DONE
            elif wants_usage or not event.is_usage_only:
                yield event.raw
    except Exception as error:  # noqa: BLE001  the status has been sent: an error event is all that can be said
        yield describe(error).frame
