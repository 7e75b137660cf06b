"""What a provider of OpenAI's Responses keeps of them, asked for by id: nothing is made anew, and nothing costs.

In the form of a wire format, so that it is sent as all calls are. Wire facts: OpenAI API reference, "Get a model
response", "Delete a model response", "Cancel a response", "List input items".
"""

from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import quote, urlencode

from router.catalogue import Deployment
from router.chat import ChatEvent
from router.protocols import responses
from router.protocols.openai import parse_error
from router.protocols.responses import DIALECT, STREAM_TYPE, Reader, authorised
from router.protocols.wire import Wire, decoded_object

__all__ = ["STREAM_TYPE", "Reader", "authorised", "parse_body", "parse_error", "question"]

NAME: Final = "kept_responses"

Action = Literal["retrieve", "delete", "cancel", "input_items"]
_METHODS: Final[dict[Action, str]] = {"retrieve": "GET", "delete": "DELETE", "cancel": "POST", "input_items": "GET"}


def question(deployment: Deployment, action: Action, response_id: str, query: Sequence[tuple[str, str]] = ()) -> Wire:
    """What is asked of the deployment that keeps the response. `query` is passed on as the client sent it."""
    own_path = f"/{action}" if action in ("cancel", "input_items") else ""
    path = f"{responses.path_at(deployment)}/{quote(response_id, safe='')}{own_path}"
    asked = f"?{urlencode(query)}" if query else ""
    return Wire(path + asked, b"", protocol=NAME, method=_METHODS[action])


def parse_body(body: bytes) -> ChatEvent:
    """The answer, whose bytes are all there is of it: a response in any state, a page of items, a deletion. Raises
    UpstreamMalformed."""
    decoded_object(body)
    return ChatEvent(kind="body", raw=body, dialect=DIALECT)
