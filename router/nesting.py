"""How deep JSON from outside may be nested: the same everywhere, and far from where Python's own stack ends.

A value that could just be read may be too deep to be written, a few calls further down; so the limit is ours.
"""

from typing import Any, Final

DEEPEST: Final = 200
"""Objects and lists within each other. Schemas and answers seen in practice have some twenty."""


def is_too_deep(payload: bytes, data: Any) -> bool:
    """Whether `data`, which was read from `payload`, is nested deeper than that."""
    if payload.count(b"[") + payload.count(b"{") <= DEEPEST:
        return False
    level = [data]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True
