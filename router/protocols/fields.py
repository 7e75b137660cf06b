"""What becomes of request fields at a provider that speaks another protocol: converted, left out and told, or refused.

Never silently lost: a field is named in a 400, or in the warning header.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from router.chat import ChatRequest
from router.errors import RequestInvalid

T = TypeVar("T")

HARMLESS: Final = frozenset(
    {
        "annotations",
        "cache_control",
        "citations",
        "context_management",
        "diagnostics",
        "encrypted_content",
        "id",
        "include",
        "max_tool_calls",
        "metadata",
        "phase",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning.context",
        "reasoning.generate_summary",
        "reasoning.summary",
        "safety_identifier",
        "seed",
        "service_tier",
        "speed",
        "store",
        "top_k",
        "truncation",
        "user",
        "verbosity",
    }
)
"""Canonical fields that steer speed, price, bookkeeping, style or chance, and what comes back of an earlier answer that
only its provider can read: an answer without them still fits."""


_USUAL: Final[Mapping[str, Any]] = {
    "frequency_penalty": 0,
    "function_call": "none",
    "functions": [],
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "n": 1,
    "presence_penalty": 0,
    "store": False,
    "top_logprobs": 0,
}
"""Values that say what is so anyway: nothing is lost without them."""


def left_out(
    mapping: Mapping[str, Any],
    converted: Iterable[str],
    protocol: str,
    *,
    within: str = "",
    harmless: Iterable[str] = HARMLESS,
) -> tuple[str, ...]:
    """The fields that are set, have no form in this protocol and may be missing. `within` is the path of the mapping
    in the request. Raises RequestInvalid for a field whose absence would change what the client gets."""
    known, may_miss = set(converted), set(harmless)
    unknown = sorted(name for name, value in mapping.items() if name not in known and not _says_nothing(name, value))
    paths = [f"{within}.{name}" if within else name for name in unknown]
    for name, path in zip(unknown, paths, strict=True):
        # What another dialect has inside a message is kept under its path there: `messages[2].content[0].citations`.
        # The warning is a header, which not every name of a client's can stand in.
        if not (name.isascii() and name.isprintable() and {name, name.rpartition(".")[2]} & may_miss):
            raise unconvertible(path, protocol)
    return tuple(paths)


def _says_nothing(name: str, value: Any) -> bool:
    return value is None or (name in _USUAL and value == _USUAL[name])


def typed(value: Any, kind: type[T], path: str) -> T:
    """The value at this path of the request as this type. Raises RequestInvalid that names the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        inner = RequestInvalid.from_validation(error)
        param = path if inner.param is None else f"{path}.{inner.param}".replace(".[", "[")
        raise RequestInvalid(f"`{param}`: {str(inner).removeprefix(f'`{inner.param}`: ')}", param) from None


_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "anthropic": {
        "max_completion_tokens": "max_tokens",
        "messages[].tool_calls[]": "messages[].content[]",
        "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
        "reasoning_effort": "output_config.effort",
        "response_format": "output_config.format",
        "response_format.json_schema": "output_config.format",
        "stop": "stop_sequences",
        "user": "metadata.user_id",
    },
    "responses": {
        "messages[]": "input[]",
        "messages[].tool_calls[]": "input[]",
    },
}
"""Dialect -> path in the canonical form -> what its clients call it, for every request. What depends on the request is
in its own `names`."""
_INSIDE: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "anthropic": (
        (".image_url.detail", ""),
        (".image_url.url", ".source"),
        (".file.file_data", ".source"),
        (".file.file_url", ".source"),
        (".file.file_id", ".source.file_id"),
        (".file.filename", ".title"),
        (".function.parameters", ".input_schema"),
        (".function.arguments", ".input"),
        (".function.", "."),
        (".tool_call_id", ".tool_use_id"),
        (".reasoning_content", ".thinking"),
        (".thinking_blocks", ".thinking"),
    ),
    "responses": (
        (".image_url.detail", ".detail"),
        (".image_url.url", ".image_url"),
        (".file.", "."),
        (".function.", "."),
        (".tool_call_id", ".call_id"),
        (".reasoning_content", ".reasoning"),
        (".thinking_blocks", ".reasoning"),
    ),
}
"""Dialect -> what parts, calls and tools have inside, and its clients' names for that."""


def client_path(path: str, request: ChatRequest) -> str:
    """What the client calls this path of the canonical form, as far as that is known. A path that the canonical form
    has only taken over from the client's dialect is one of the client's already."""
    if request.dialect not in _INSIDE or (path in request.mapping and ("." in path or "[" in path)):
        return path
    names = {**_NAMES[request.dialect], **request.names}
    around = [each for each in names if path == each or path.startswith((f"{each}.", f"{each}["))]
    ours = max(around, key=len, default="")
    inside = path.removeprefix(ours)
    for name, theirs in _INSIDE[request.dialect]:
        if name in inside:
            inside = inside.replace(name, theirs, 1)
            break
    return names.get(ours, "") + inside


def as_sent(error: RequestInvalid, request: ChatRequest) -> RequestInvalid:
    """The refusal in the client's own words."""
    if error.param is None or (theirs := client_path(error.param, request)) == error.param:
        return error
    return RequestInvalid(str(error).replace(f"`{error.param}`", f"`{theirs}`"), theirs)


def unconvertible(param: str, protocol: str) -> RequestInvalid:
    """The refusal of a field or part at this path."""
    return RequestInvalid(
        f"`{param}` has no form in the `{protocol}` protocol that serves this model. Leave it out, or ask for a model "
        "whose provider takes it.",
        param,
    )
