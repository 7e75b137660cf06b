"""Gemini's embeddings at Google AI, `batchEmbedContents`, in the form of a wire format. Vertex AI has no such method.

Pure. Wire facts: Gemini API reference, "Embeddings".
"""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.protocols.embeddings import STREAM_TYPE, Reader, answered, decoded, texts_of
from router.protocols.fields import left_out
from router.protocols.gemini import authorised, parse_error
from router.protocols.wire import Wire, encoded

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "parse_body", "parse_error"]

_CONVERTED: Final = ("model", "input", "dimensions", "encoding_format")


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The texts of the request, each as a request of its own. Raises RequestInvalid that names a field without a form
    there."""
    asked, model = request.original or {}, deployment.upstream_model
    dropped = left_out(asked, _CONVERTED, "gemini")
    resource = model if "/" in model else f"models/{model}"
    size = {} if asked.get("dimensions") is None else {"outputDimensionality": asked["dimensions"]}
    requests = [
        {"model": resource, "content": {"parts": [{"text": text}]}, **size} for text in texts_of(asked, "gemini")
    ]
    path = f"/{quote(resource)}:batchEmbedContents"
    return Wire(path, encoded({"requests": requests}), dropped=dropped, protocol="gemini_embeddings")


class _Embedding(Struct):
    values: msgspec.Raw


class _Usage(Struct):
    promptTokenCount: Any = None  # noqa: N815  the provider's name


class _Answer(Struct):
    embeddings: list[_Embedding]
    usageMetadata: _Usage | None = None  # noqa: N815  the provider's name


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer; the older models count no tokens. Raises UpstreamMalformed, UpstreamRejected."""
    answer = decoded(body, _Answer, parse_error)
    usage = answer.usageMetadata
    return answered(body, [each.values for each in answer.embeddings], None, usage and usage.promptTokenCount)
