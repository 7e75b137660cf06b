"""How Claude is told to think and to sample, by generation: the same at Anthropic and at Bedrock.

Pure. Wire facts: Claude API reference, "Extended thinking", "Adaptive thinking", "Effort"; "Migration guide" (sampling
parameters).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from router.errors import RequestInvalid
from router.protocols.canonical import Asked

_CANNOT_THINK: Final = re.compile(r"claude-(?:v?[12]\b|instant|3-(?:5-)?(?:haiku|sonnet|opus))")
_THINKS_BY_ITSELF: Final = re.compile(r"claude-(?!3-)(?!(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|\d{8}))")
"""Models of the generations from 4.6 on: they take an effort, and decide how long they think."""
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 32768}
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = {"minimal": "low"}
"""Efforts that have another name there."""

THINKS: Final = ("enabled", "adaptive")
"""Values of `thinking.type` with which it thinks."""
_SAMPLES_AS_TOLD: Final = re.compile(r"claude-(?:[a-z]+-)?(?:v?[123]|instant|4-(?:[0-6](?!\d)|\d{8}))")
"""Models up to 4.6; later ones refuse a request that says how to sample."""
_TAKES_ONE: Final = re.compile(r"claude-(?:[a-z]+-)?4")
"""Models from 4 on refuse a request with both `temperature` and `top_p`."""
_LEAST_TOP_P: Final = 0.95
"""Of a model that thinks; its temperature is 1, and it takes no `top_k`."""


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


def sampling_told(asked: Asked) -> dict[str, float]:
    """What a request says of how to sample: `temperature`, `top_p`, `top_k`."""
    given = {"temperature": asked.temperature, "top_p": asked.top_p, "top_k": asked.top_k}
    return {name: value for name, value in given.items() if value is not None}


def sampling(told: Mapping[str, float], model: str, *, is_thinking: bool) -> dict[str, float]:
    """What of it this model takes together; `model` is Anthropic's name or Bedrock's, which has that in it. Raises
    RequestInvalid for a temperature that no Claude takes."""
    kept = dict(told)
    if "claude-" in model:
        if not _SAMPLES_AS_TOLD.search(model):
            kept = {}
        if is_thinking:
            fits = {"temperature": kept.get("temperature") == 1, "top_p": kept.get("top_p", 0) >= _LEAST_TOP_P}
            kept = {name: value for name, value in kept.items() if fits.get(name)}
        if {"temperature", "top_p"} <= kept.keys() and _TAKES_ONE.search(model):
            del kept["temperature" if kept["temperature"] == 1 else "top_p"]  # a temperature of 1 is the usual one
    if kept.get("temperature", 0) > 1:
        raise RequestInvalid("`temperature`: the provider of this model takes 0 to 1.", "temperature")
    return kept
