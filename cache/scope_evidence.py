"""What is known of a scope beyond its anchors and groups: how its answers are worded, and what its labels have shown of
the probabilities. Small, one for each scope that was learnt from lately; kept in the cache file by `Holdings`.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct, field

from cache.clarity import Clarity
from cache.groups import Evidence

_SCOPES_KNOWN: Final = 10_000


class ScopeEvidence(Struct):
    """Of one scope."""

    clarity: Clarity = field(default_factory=Clarity)
    alone: Evidence = field(default_factory=Evidence)
    """What labels have shown of groups of one anchor;"""
    company: Evidence = field(default_factory=Evidence)
    """and of larger ones."""

    def of_group(self, anchors: int) -> Evidence:
        """What labels have shown of groups with so many anchors."""
        return self.company if anchors > 1 else self.alone

    @property
    def offsets(self) -> tuple[float, float]:
        """What is added to the logit: for a group of one anchor, and for a larger one."""
        return self.alone.offset, self.company.offset

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)


_NOTHING: Final = ScopeEvidence().to_json()


class ScopeEvidences:
    """Of the scopes that were learnt from last."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, ScopeEvidence] = OrderedDict()

    def of(self, scope: bytes) -> ScopeEvidence:
        """To be learnt into: an unknown scope is known from now on."""
        known = self._known.setdefault(scope, ScopeEvidence())
        self._known.move_to_end(scope)
        if len(self._known) > _SCOPES_KNOWN:
            self._known.popitem(last=False)
        return known

    def offsets(self, scope: bytes) -> tuple[float, float]:
        known = self._known.get(scope)
        return known.offsets if known is not None else (0.0, 0.0)

    def stored(self, scope: bytes) -> bytes | None:
        """As JSON; None while nothing is known."""
        known = self._known.get(scope)
        stored = known.to_json() if known is not None else _NOTHING
        return stored if stored != _NOTHING else None

    def load(self, stored: Mapping[bytes, bytes]) -> None:
        """What was stored, the oldest first."""
        for scope, evidence in stored.items():
            self._known[scope] = msgspec.json.decode(evidence, type=ScopeEvidence)
