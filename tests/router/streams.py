"""Streams for tests of protocols: cut anywhere, read to their end."""

from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from router.chat import ChatEvent
from router.protocols import openai
from router.protocols.wire import StreamReader


def events_of(reader: StreamReader, *chunks: bytes) -> list[ChatEvent]:
    """Everything that a reader makes of these bytes, up to the last event. Raises UpstreamError."""
    events: list[ChatEvent] = []
    for chunk in chunks:
        for event in reader.feed(chunk):
            events.append(event)
            if event.is_last:
                return events
    return [*events, *reader.end()]


def body_of(reader: StreamReader, *chunks: bytes) -> dict[str, Any]:
    """The JSON answer that a stream adds up to."""
    return openai.body_from_events(events_of(reader, *chunks))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data cut at these places."""
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 100_000), max_size=12)
