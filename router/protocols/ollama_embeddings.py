"""Ollama's own embeddings, `POST /api/embed`, in the form of a wire format.

Pure. Wire facts: Ollama API reference, "Generate embeddings".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.protocols.embeddings import STREAM_TYPE, Reader, answered, decoded, texts_of
from router.protocols.fields import left_out
from router.protocols.ollama import authorised, parse_error
from router.protocols.wire import Wire, encoded

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

_CONVERTED: Final = ("model", "input", "dimensions", "encoding_format")


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The texts of the request. Raises RequestInvalid that names a field without a form there."""
    asked = request.original or {}
    dropped = left_out(asked, _CONVERTED, "ollama")
    body: dict[str, Any] = {
        "model": deployment.upstream_model,
        "input": texts_of(asked, "ollama"),
        "truncate": False,  # as everywhere else, a text that is too long is an error
    }
    if asked.get("dimensions") is not None:
        body["dimensions"] = asked["dimensions"]
    return Wire("/api/embed", encoded(body), dropped=dropped, protocol="ollama_embeddings")


class _Answer(Struct):
    embeddings: list[msgspec.Raw]
    model: str | None = None
    prompt_eval_count: Any = None


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, UpstreamRejected."""
    answer = decoded(body, _Answer, parse_error)
    return answered(body, answer.embeddings, answer.model, answer.prompt_eval_count)
