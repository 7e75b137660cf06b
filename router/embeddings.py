"""Requests for embeddings: what a client asks, what of it a call asks, and the answer that both add up to.

Pure. A vector is the JSON that a provider wrote, a list of numbers or base64; it is only rewritten for a client that
asked for the other form. Wire facts: OpenAI API reference, "Create embeddings".
"""

import base64
import hashlib
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from router.chat import ChatRequest
from router.errors import RequestInvalid, UpstreamMalformed
from router.protocols.embeddings import DIALECT
from router.protocols.wire import encoded

Encoding = Literal["float", "base64"]
Input = str | list[int]

_INPUTS_AT_MOST: Final = 2048
_KEY_VERSION: Final = 1
_NOT_IN_KEY: Final = frozenset({"input", "model", "encoding_format", "user"})
"""They change no vector; the model is part of the key under the name that the gateway gives it."""


class _Body(Struct):
    model: Annotated[str, Meta(min_length=1, max_length=256)]
    input: str | list[Any]
    dimensions: Annotated[int, Meta(ge=1, le=65536)] | None = None
    encoding_format: Encoding | None = None
    user: str | None = None


class EmbeddingRequest(Struct, frozen=True):
    """One decoded and checked request. `mapping` is what the client sent."""

    mapping: dict[str, Any]
    model: str
    inputs: tuple[Input, ...]
    """Texts, or lists of tokens."""
    encoding: Encoding
    is_single: bool
    """Whether the client sent its one input without a list around it."""


class Embedding(Struct, frozen=True):
    """One vector, as JSON, and how many tokens its input has."""

    vector: bytes
    tokens: int
    model: str
    """What the provider calls the model that made it."""


def decode_request(body: Mapping[str, Any]) -> EmbeddingRequest:
    """The checked request. Raises RequestInvalid that names the field."""
    try:
        checked = msgspec.convert(body, _Body)
    except msgspec.ValidationError as error:
        raise RequestInvalid.from_validation(error, _Body) from None
    is_single = isinstance(checked.input, str) or _is_tokens(checked.input)
    inputs: list[Any] = [checked.input] if is_single else list(checked.input)
    if not inputs:
        raise RequestInvalid("`input` is empty: a text, a list of texts, tokens, or a list of them.", "input")
    if len(inputs) > _INPUTS_AT_MOST:
        raise RequestInvalid(f"`input` has more than {_INPUTS_AT_MOST} items.", "input")
    for at, item in enumerate(inputs):
        place = "input" if is_single else f"input[{at}]"
        if not isinstance(item, str) and not _is_tokens(item):
            raise RequestInvalid(f"`{place}` must be a text or a list of tokens.", place)
        if not item:
            raise RequestInvalid(f"`{place}` is empty.", place)
    return EmbeddingRequest(
        mapping=dict(body),
        model=checked.model,
        inputs=tuple(inputs),
        encoding=checked.encoding_format or "float",
        is_single=is_single,
    )


def _is_tokens(item: Any) -> bool:
    """Whole numbers, at least one: an empty list may be one of texts as well."""
    return isinstance(item, list) and bool(item) and all(type(token) is int and 0 <= token < 2**31 for token in item)


def key_of(request: EmbeddingRequest, at: int, tenant: Sequence[Any]) -> bytes:
    """What must be equal for a vector to be the same: tenant, model, input, and every field that nobody knows not to
    matter. 32 bytes. Raises RequestInvalid for what JSON has no form for."""
    fields = {name: value for name, value in request.mapping.items() if name not in _NOT_IN_KEY and value is not None}
    parts = {"version": _KEY_VERSION, "tenant": tenant, "model": request.model, "input": request.inputs[at]}
    return hashlib.sha256(encoded({**parts, "fields": dict(sorted(fields.items()))})).digest()


def call_for(request: EmbeddingRequest, places: Sequence[int]) -> ChatRequest:
    """A call for the inputs at these places, in the form in which calls are planned, reserved and sent: without
    messages, and with no output to reserve for. Raises RequestInvalid."""
    inputs: list[Input] = [request.inputs[at] for at in places]
    original = {**request.mapping, "input": inputs[0] if request.is_single and inputs else inputs}
    return ChatRequest(
        mapping={"messages": [], "model": request.model},
        model=request.model,
        stream=False,
        wants_usage=False,
        output_limit=None,
        body_bytes=len(encoded(original)),
        dialect=DIALECT,
        original=original,
    )


def shares(tokens: int, inputs: Sequence[Input]) -> list[int]:
    """The tokens of a call, shared out among its inputs by their length (bytes of a text, tokens of a list): providers
    count them together only. They add up, to the token; what is left of the division goes to the first ones."""
    weights = [len(item.encode(errors="surrogatepass")) if isinstance(item, str) else len(item) for item in inputs]
    whole = sum(weights)
    found = [tokens * weight // whole for weight in weights]
    for at in range(tokens - sum(found)):
        found[at] += 1
    return found


def answer_body(request: EmbeddingRequest, embeddings: Sequence[Embedding], model: str) -> bytes:
    """The whole answer, its vectors in the order of the inputs and in the form that the client asked for."""
    tokens = sum(embedding.tokens for embedding in embeddings)
    data = [
        {"object": "embedding", "index": at, "embedding": msgspec.Raw(written(embedding.vector, request.encoding))}
        for at, embedding in enumerate(embeddings)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": model, "usage": usage})


def is_in(vector: bytes, encoding: Encoding) -> bool:
    """Whether a vector has this form: base64 is a JSON string."""
    return vector.lstrip().startswith(b'"') == (encoding == "base64")


def written(vector: bytes, encoding: Encoding) -> bytes:
    """The vector in this form. Base64 holds 32-bit floats, little endian. Raises UpstreamMalformed for what is none."""
    if is_in(vector, encoding):
        return vector
    try:
        if encoding == "base64":
            packed = _little_endian(array("f", msgspec.json.decode(vector, type=list[float]))).tobytes()
            return msgspec.json.encode(base64.b64encode(packed).decode())
        floats = array("f", base64.b64decode(msgspec.json.decode(vector, type=str), validate=True))
        return msgspec.json.encode(_little_endian(floats).tolist())
    except (ValueError, OverflowError):
        raise UpstreamMalformed("The provider's embedding is no vector.", billed="unknown") from None


def _little_endian(numbers: "array[float]") -> "array[float]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
