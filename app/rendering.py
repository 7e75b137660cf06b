"""Turns an answer's events into the bytes of a response: one JSON body, or a stream of server-sent events.

Whatever came in the form that the client asked for passes untouched, less a usage chunk that only the gateway
asked for. Everything else takes the canonical form, and the client's surface writes it.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager

from app.gateway import Answer
from router.protocols import openai
from router.surfaces.surface import Failure, Surface


async def json_body(answer: Answer, surface: Surface) -> bytes:
    """The whole answer as one JSON body. Raises what made it fail."""
    events = [event async for event in answer.events]
    whole = next((event for event in events if event.kind == "body"), None)
    if whole is not None and whole.dialect == surface.DIALECT:
        return whole.raw
    if whole is None and all(event.dialect == surface.DIALECT for event in events):
        own = surface.own_body(events)
        if own is not None:
            return own
    return surface.body(openai.body_from_events(events), answer.exchange.request, answer.exchange.request_id)


async def event_stream(
    answer: Answer, surface: Surface, describe: Callable[[Exception], Failure], waiting: AbstractContextManager[None]
) -> AsyncIterator[bytes]:
    """The answer as server-sent events. A failure after the first one ends the stream with an error event, so that
    nobody takes the answer for complete. `waiting` turns what ends the wait for events into such a failure."""
    request = answer.exchange.request
    writer = surface.Writer(request, answer.exchange.request_id)
    try:
        with waiting:
            async for event in answer.events:
                if written := writer.write(event):
                    yield written
    except Exception as error:  # noqa: BLE001  the status has been sent: an error event is all that can be said
        yield surface.failure_frame(describe(error), writer)
