"""What becomes of request fields at a provider that speaks another protocol: converted, left out and told, or refused.

Never silently lost: a field is named in a 400, or in the warning header.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from router.errors import RequestInvalid

T = TypeVar("T")

HARMLESS: Final = frozenset(
    {
        "cache_control",
        "citations",
        "context_management",
        "diagnostics",
        "include",
        "max_tool_calls",
        "metadata",
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
"""Canonical fields that steer speed, price, bookkeeping, style or chance: an answer without them still fits."""


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
        if name not in may_miss and name.rpartition(".")[2] not in may_miss:
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


def as_sent(error: RequestInvalid, names: Mapping[str, str]) -> RequestInvalid:
    """The refusal in the client's own words. `names` maps paths in the canonical form to the client's."""
    param = error.param or ""
    ours = next((path for path in names if param == path or param.startswith((f"{path}.", f"{path}["))), None)
    if ours is None:
        return error
    theirs = names[ours] + param.removeprefix(ours)
    return RequestInvalid(str(error).replace(f"`{param}`", f"`{theirs}`"), theirs)


def unconvertible(param: str, protocol: str) -> RequestInvalid:
    """The refusal of a field or part at this path."""
    return RequestInvalid(
        f"`{param}` has no form in the `{protocol}` protocol that serves this model. Leave it out, or ask for a model "
        "whose provider takes it.",
        param,
    )
