"""What becomes of request fields at a provider that speaks another protocol: converted, left out and told, or refused.

Never silently lost: a field is named in a 400, or in the warning header.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.errors import RequestInvalid

HARMLESS: Final = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "top_k",
        "user",
        "verbosity",
    }
)
"""Canonical fields that steer speed, price, bookkeeping, style or chance: an answer without them still fits."""


def left_out(mapping: Mapping[str, Any], converted: Iterable[str], protocol: str) -> tuple[str, ...]:
    """The fields that are set, have no form in this protocol and may be missing. Raises RequestInvalid for one whose
    absence would change what the client gets."""
    unknown = sorted(name for name, value in mapping.items() if value is not None and name not in set(converted))
    for name in unknown:
        if name not in HARMLESS:
            raise unconvertible(name, protocol)
    return tuple(unknown)


def unconvertible(param: str, protocol: str) -> RequestInvalid:
    """The refusal of a field or part at this path."""
    return RequestInvalid(
        f"`{param}` has no form in the `{protocol}` protocol that serves this model. Leave it out, or ask for a model "
        "whose provider takes it.",
        param,
    )
