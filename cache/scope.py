"""The scope of a request: everything that must be identical for an answer to be reusable.

Deny by default: every field counts, except a short named list that cannot change an answer. A field that
nobody has heard of splits the cache instead of poisoning it.
"""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from cache.query import Query

FORMAT_VERSION: Final = 1

CANNOT_CHANGE_AN_ANSWER: Final = frozenset({"stream", "stream_options", "user", "metadata", "cache_control"})
OUTPUT_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})
"""Not in the scope: an entry serves if and only if it ended by itself within the caller's limit."""

_INSTRUCTING_ROLES: Final = frozenset({"system", "developer"})


class Split(Struct, frozen=True):
    """A conversation taken apart. `text` is the last user turn if it is plain text, else None."""

    text: str | None
    context: list[Mapping[str, Any]]
    """All other messages, and the last one without its text."""
    has_earlier_turns: bool


def split(messages: list[dict[str, Any]]) -> Split:
    """The last user turn and everything before it, as plain as can be."""
    *earlier, last = [_plain(message) for message in messages]
    text = _plain_text(last.get("content")) if last.get("role") == "user" else None
    rest = {**last, "content": None} if text is not None else last
    return Split(
        text=text,
        context=[*earlier, rest],
        has_earlier_turns=any(message.get("role") not in _INSTRUCTING_ROLES for message in earlier),
    )


_MARK: Final = "cache_control"


def _plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message without hints of what its provider should remember, which change what it costs and not what it says,
    and with a single text part as a string."""
    content = message.get("content")
    if _MARK not in message and not isinstance(content, list):
        return message
    found = {name: value for name, value in message.items() if name != _MARK}
    if isinstance(content, list):
        bare = [_without_mark(part) for part in content]
        text = _plain_text(bare)
        found["content"] = bare if text is None else text
    return found


def _without_mark(part: Any) -> Any:
    return {name: value for name, value in part.items() if name != _MARK} if isinstance(part, dict) else part


def _plain_text(content: Any) -> str | None:
    """The text of a string, or of one text part: both say the same. Several parts are not plain."""
    if isinstance(content, str):
        return content
    match content:
        case [{"type": "text", "text": str(text), **rest}] if not rest:
            return text
    return None


def scope_of(query: Query, context: list[Mapping[str, Any]]) -> bytes:
    """A 32-byte hash of everything but the last user turn's text. The tenant is part of it."""
    policy = query.policy
    ignored = (CANNOT_CHANGE_AN_ANSWER - set(policy.scope_fields)) | OUTPUT_LIMITS | {"messages"}
    fields = {name: value for name, value in query.mapping.items() if name not in ignored}
    tenant = ["shared", policy.shared] if policy.shared is not None else ["team", query.team]
    parts = [FORMAT_VERSION, tenant, query.env, query.route, policy.knowledge_version, context, fields]
    if query.headers:
        parts.append(query.headers)
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).digest()


def curated_scope(query: Query) -> bytes:
    """The scope of curated entries: the operator vouches for them whatever the model and its parameters are."""
    policy = query.policy
    tenant = ["shared", policy.shared] if policy.shared is not None else ["team", query.team]
    parts = [FORMAT_VERSION, "curated", tenant, query.route, policy.knowledge_version]
    return hashlib.sha256(msgspec.json.encode(parts)).digest()


def takes_curated(query: Query, parts: Split) -> bool:
    """Whether a curated answer may serve: first turn, plain text, no tools, and nothing asked for but a text."""
    mapping = query.mapping
    wants_more = (
        any(mapping.get(name) for name in _MORE_THAN_TEXT)
        or (mapping.get("response_format") or _TEXT) != _TEXT
        or (mapping.get("modalities") or ["text"]) != ["text"]
    )
    return parts.text is not None and not parts.has_earlier_turns and not wants_more


_MORE_THAN_TEXT: Final = ("tools", "functions", "logprobs", "text.format", "output_config.format")
_TEXT: Final = {"type": "text"}
"""The response format that is one anyway."""


def normalised(text: str) -> str:
    """What counts as the same text: equal after Unicode NFC and outer trim. No case or punctuation folding:
    that already is a semantic judgement."""
    return unicodedata.normalize("NFC", text).strip()


def exact_key(scope: bytes, text: str) -> bytes:
    return hashlib.sha256(scope + normalised(text).encode()).digest()
