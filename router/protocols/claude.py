"""How Claude is told to think, by generation: the same at Anthropic and at Bedrock.

Pure. Wire facts: Claude API reference, "Extended thinking", "Adaptive thinking", "Effort".
"""

import re
from typing import Any, Final

from msgspec import Struct

_CANNOT_THINK: Final = re.compile(r"claude-(?:v?[12]\b|instant|3-(?:5-)?(?:haiku|sonnet|opus))")
_THINKS_BY_ITSELF: Final = re.compile(r"claude-(?!3-)(?!(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|\d{8}))")
"""Models of the generations from 4.6 on: they take an effort, and decide how long they think."""
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = {"minimal": "low"}
"""Efforts that have another name there."""


class Thinking(Struct, frozen=True):
    """What a reasoning effort becomes; None where nothing is said of it."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None
    is_left_out: bool = False
    """Whether the model cannot do it, or not with this limit or a forced tool call."""


def thinking_of(effort: str | None, model: str, limit: int | None, *, is_forced: bool) -> Thinking:
    """In the form that the model's generation takes: an effort, or a budget of at most half the output's limit.
    `is_forced`: a tool has to be called, which excludes thinking."""
    if effort is None:
        return Thinking()
    can_think = not _CANNOT_THINK.search(model)
    if can_think and _THINKS_BY_ITSELF.search(model):
        if effort == "none":
            return Thinking({"type": "disabled"})
        return Thinking(None if is_forced else {"type": "adaptive"}, _EFFORTS.get(effort, effort))
    if effort == "none":
        return Thinking()
    budget = _BUDGETS.get(effort, 0)
    if limit is not None:
        budget = min(budget, limit // 2)
    if budget < _LEAST_BUDGET or is_forced or not can_think:
        return Thinking(is_left_out=True)
    return Thinking({"type": "enabled", "budget_tokens": budget})
