"""Embeddings towards providers: OpenAI's endpoint, which compatible ones and Azure have too.

Pure functions over bytes and mappings, in the form of a wire format, so that calls for embeddings are sent, repeated
and booked as all others are. Vectors stay the JSON that the provider wrote. Wire facts: OpenAI API reference, "Create
embeddings"; Azure OpenAI REST API reference, "Embeddings - Create".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from router.catalogue import Deployment
from router.chat import ChatEvent, ChatRequest
from router.errors import RequestInvalid, UpstreamMalformed, UpstreamRejected
from router.protocols import azure, openai
from router.protocols.fields import unconvertible
from router.protocols.openai import parse_error
from router.protocols.wire import Wire, count, encoded, object_or_none
from router.usage import Usage

__all__ = ["STREAM_TYPE", "Reader", "authorised", "encode", "is_ordered", "parse_body", "parse_error", "vectors_of"]

T = TypeVar("T")

DIALECT: Final = "embeddings"
STREAM_TYPE: Final = "no/stream"
_PATH: Final = "/embeddings"


def encode(request: ChatRequest, deployment: Deployment, output_limit: int | None) -> Wire:
    """The client's own request for these inputs, with the deployment's model. Raises RequestInvalid where the provider
    speaks another protocol than OpenAI's."""
    body = encoded({**(request.original or {}), "model": deployment.upstream_model})
    match deployment.provider.protocol:
        case "openai":
            return Wire(_PATH, body, protocol=DIALECT)
        case "azure":
            return Wire(azure.path_of(deployment, _PATH), body, protocol=DIALECT)
        case protocol:
            raise RequestInvalid(f"The gateway has no embeddings in the `{protocol}` protocol of this model.", "model")


def authorised(wire: Wire, url: str, api_key: str | None, at: datetime) -> dict[str, str]:
    """The headers with the key, where this provider wants it."""
    if wire.path == _PATH:
        return openai.authorised(wire, url, api_key, at)
    return azure.authorised(wire, url, api_key, at)


class _Vector(Struct):
    embedding: msgspec.Raw
    index: int


class _Answer(Struct):
    data: list[_Vector]
    model: str | None = None
    usage: dict[str, Any] | None = None


def parse_body(body: bytes) -> ChatEvent:
    """A whole answer. Raises UpstreamMalformed, UpstreamRejected."""
    answer = decoded(body, _Answer, parse_error)
    ordered = sorted(answer.data, key=lambda vector: vector.index)
    if [vector.index for vector in ordered] != list(range(len(ordered))):
        raise UpstreamMalformed("The provider's embeddings are not numbered.", billed="unknown")
    tokens = (answer.usage or {}).get("prompt_tokens")
    vectors = [vector.embedding for vector in ordered]
    return answered(body, vectors, answer.model, tokens, is_ordered=ordered == answer.data)


# --- what all protocols' embeddings share -----------------------------------------------------------------


def texts_of(asked: Mapping[str, Any], protocol: str) -> list[str]:
    """The inputs of a request, for a provider that takes texts only. Raises RequestInvalid for tokens."""
    given = asked["input"]
    texts: list[Any] = [given] if isinstance(given, str) else given
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise unconvertible(f"input[{at}]", protocol)
    return texts


def decoded(body: bytes, kind: type[T], parse_error: Callable[..., UpstreamRejected]) -> T:
    """An answer as this type. Raises UpstreamMalformed, or UpstreamRejected for an error sent as a success."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        if (object_or_none(body) or {}).get("error"):
            raise parse_error(200, {}, body, 0.0) from None
        raise UpstreamMalformed("The provider's answer holds no embeddings.", billed="unknown") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamMalformed("The provider's answer is not valid JSON.", billed="unknown") from None


def answered(
    body: bytes, vectors: Sequence[msgspec.Raw], model: str | None, tokens: Any, *, is_ordered: bool = False
) -> ChatEvent:
    """The event of an answer with these vectors, in the order of the inputs. Raises UpstreamMalformed."""
    written = [bytes(vector) for vector in vectors]
    if not all(vector[:1] in (b"[", b'"') for vector in written):
        raise UpstreamMalformed("The provider's embedding is no vector.", billed="unknown")
    counted = count(tokens)
    return ChatEvent(
        kind="body",
        raw=body,
        data={"model": model, "vectors": written, "is_ordered": is_ordered},
        usage=None if counted is None else Usage(input=counted),
        dialect=DIALECT,
    )


def vectors_of(event: ChatEvent) -> list[bytes]:
    """The vectors of a parsed answer, in the order of the inputs."""
    found: list[bytes] = (event.data or {})["vectors"]
    return found


def is_ordered(event: ChatEvent) -> bool:
    """Whether the provider itself sent them in that order, in the form that clients know."""
    return bool((event.data or {})["is_ordered"])


class Reader:
    """There are no streams of embeddings."""

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        raise UpstreamMalformed("The provider streams embeddings.", billed="unknown")

    def end(self) -> Iterator[ChatEvent]:
        raise UpstreamMalformed("The provider streams embeddings.", billed="unknown")
