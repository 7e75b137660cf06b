"""What a lookup hands to those who act on it later: to whoever asks upstream, stores the answer or audits a hit."""

from typing import Literal

from msgspec import Struct, structs

from cache.decision import Judgement
from cache.index import Vector
from cache.query import Query


class Fresh(Struct, frozen=True):
    """A cleanly finished answer."""

    model: str
    tier: int
    is_rationed: bool
    output_tokens: int
    text: str
    payload: bytes
    worth: int = 1
    """What one hit of it saves, in any unit."""


class Ticket(Struct, frozen=True):
    """What is needed to store the answer of a miss, and to let others join while it is being made."""

    query: Query
    scope: bytes
    key: bytes
    joining: tuple[bytes, ...]
    """Under which to look for an answer that is being made; others may join this one under the last. Empty:
    it neither joins nor is joined."""
    text: str
    vector: Vector | None
    purges: int
    """How many purges there had been when the request came: an answer from before one is not stored after it."""
    asked_us: int
    """When the answer was asked for: one that was asked for later is not replaced by it."""
    judgement: Judgement | None = None
    """What would have been served, had it been trusted."""

    def trimmed(self) -> "Ticket":
        """Without what only the lookup needed, for tickets that wait or are remembered: there are many of them."""
        judgement = self.judgement
        if judgement is not None:
            judgement = structs.replace(judgement, around=(), features=())
        return structs.replace(self, query=structs.replace(self.query, mapping={}, echoed={}), judgement=judgement)


class FollowUp(Struct, frozen=True):
    """What is to be done after a hit has been served: ask upstream for a fresh answer."""

    purpose: Literal["audit", "refresh"]
    ticket: Ticket
    propensity: float = 1.0
    entry_id: str = ""
    leader_key: bytes | None = None
    """Of the question whose answer was shared, where that was still being made."""
    complained_by: str | None = None
    """Of an audit that chance did not choose: who called the hit wrong, hashed."""


class Complaint(Struct, frozen=True):
    """What becomes of a complaint about an answer."""

    is_counted: bool = False
    audit: FollowUp | None = None
    """What would settle it; whoever cannot make it says so."""
