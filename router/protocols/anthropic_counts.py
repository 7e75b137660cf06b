"""Anthropic's question how many tokens a message has: asked and answered beside its Messages, at no cost.

Wire facts: Claude API reference, "Count tokens in a Message".
"""

from typing import Final

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.protocols import anthropic
from router.protocols.anthropic import STREAM_TYPE, Reader, authorised, parse_error
from router.protocols.anthropic_answers import DIALECT
from router.protocols.wire import Wire, checked, decoded_object

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

NAME: Final = "anthropic_counts"
PATH: Final = "/messages/count_tokens"


class _Counted(Struct):
    input_tokens: int


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The question for a request of the same dialect, which has no limit."""
    wire = anthropic.encode(request, deployment, None)
    return msgspec.structs.replace(wire, path=PATH, protocol=NAME)


def parse_body(body: bytes) -> ChatEvent:
    """The count, whose bytes are all there is of it. Raises UpstreamMalformed."""
    checked(decoded_object(body), _Counted)
    return ChatEvent(kind="body", raw=body, dialect=DIALECT)
