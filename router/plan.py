"""The routing decision: which models may serve a request, in which order, and why.

Pure: no clock, no I/O, no randomness. The score is `q(model | prompt) - lambda * cost / cost_ref`, where `q`
is a first prior from surface features of the prompt: not calibrated, so it only ever ranks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from router.catalogue import Deployment, Model, RoutingPolicy, Strategy, Tier
from router.chat import ChatRequest
from router.errors import ModelUnknown, NoCandidate
from router.prices import UnitPrices, worst_case_nano

AUTO: Final = "auto"
"""The model name with which a client leaves the choice to the router."""

TYPICAL_OUTPUT_TOKENS: Final = 300
"""Expected length of an answer where nothing is known: it scales all models alike."""

_LAMBDA: Final[Mapping[Strategy, float]] = {"balanced": 0.30, "cost-first": 3.0, "pinned": 0.0}

# How much of its quality a tier loses on the hardest prompt.
_WEAKNESS: Final = {Tier.PREMIUM: 0.05, Tier.MID: 0.30, Tier.ECONOMY: 0.75}

_CODE = re.compile(
    r"```|\bdef \w+\(|\bclass \w+|\bSELECT\b[^\n]{1,400}?\bFROM\b|[{};]\s*$|\b(?:stack ?trace|regex|refactor)\b", re.M
)
_REASONING = re.compile(
    r"\b(?:prove|derive|step by step|analy[sz]e|compare|evaluate|trade-?offs?|explain why|calculate|optimi[sz]e"
    r"|design|strategy|architecture|critique|debug)\b",
    re.I,
)


class Features(Struct, frozen=True):
    """What the scorer sees of a prompt."""

    characters: int
    has_code: bool
    reasoning_cues: int
    turns: int

    @property
    def difficulty(self) -> float:
        """0 for a short plain question, 1 for a long one about code that asks for reasoning."""
        length = min(self.characters / 4000, 1.0)
        cues = min(self.reasoning_cues / 3, 1.0)
        return min(0.05 + 0.35 * length + 0.3 * self.has_code + 0.35 * cues + 0.02 * min(self.turns, 10), 1.0)


class Candidate(Struct, frozen=True):
    """One model that may serve, with the score that ranked it."""

    model: Model
    quality: float
    cost_nano: int
    """Expected cost, for ranking only; None of the money is counted with it."""
    prices: UnitPrices | None

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return self.model.deployments


class Plan(Struct, frozen=True):
    """Candidates in the order in which they are tried. `reason` says why the first is first."""

    candidates: tuple[Candidate, ...]
    reason: str
    ceiling: Tier | None
    """The dearest tier that the budgets still allow, if they ration."""
    wanted: str
    """The model that would have served without rationing and failures."""

    def deployments(self) -> Iterator[tuple[Candidate, Deployment]]:
        """Every deployment of every candidate, in the order in which they are tried."""
        return ((candidate, deployment) for candidate in self.candidates for deployment in candidate.deployments)

    def reason_for(self, model: Model, *, refused: bool, failed: bool) -> str:
        """Why this model serves: the plan's reason for its first, else what became of the better ones."""
        if model.name == self.candidates[0].model.name:
            return self.reason
        causes = [cause for cause, applies in (("budget cannot hold", refused), ("failed", failed)) if applies]
        return f"fallback: {self.candidates[0].model.name} {' and '.join(causes)}" if causes else self.reason

    def is_rationed(self, model: Model) -> bool:
        """Whether this model serves because a budget ruled the wanted one out, and not because that failed."""
        return model.name != self.wanted and self.candidates[0].model.name != self.wanted


def features(request: ChatRequest) -> Features:
    text = "\n".join(_texts(request.messages))
    return Features(
        characters=len(text),
        has_code=bool(_CODE.search(text)),
        reasoning_cues=len({match.lower() for match in _REASONING.findall(text)}),
        turns=sum(message.get("role") == "user" for message in request.messages),
    )


def _texts(messages: Sequence[Mapping[str, Any]]) -> list[str]:
    found: list[str] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found += [part["text"] for part in content if isinstance(part.get("text"), str)]
    return found


def plan(request: ChatRequest, policy: RoutingPolicy, ceiling: Tier | None, at: datetime) -> Plan:
    """The candidates for this request. `ceiling` is the dearest tier that the budgets allow, None for any.

    Raises ModelUnknown for a name that the route does not offer, NoCandidate when nothing may serve.
    """
    names = tuple(model.name for model in policy.models)
    is_auto = request.model == AUTO
    if not is_auto and request.model not in names:
        raise ModelUnknown(request.model, (AUTO, *names))

    seen = features(request)
    ruled_out = {model.name: why for model in policy.models if (why := _unfit(model, request))}
    scored = [_candidate(model, request, seen, at) for model in policy.models if model.name not in ruled_out]
    ranked = _ranked(scored, policy.strategy)

    if is_auto:
        offered = [candidate for candidate in ranked if candidate.model.tier >= policy.floor]
        reason = f"auto: {policy.strategy}, difficulty {seen.difficulty:.2f}"
    else:
        if request.model in ruled_out:
            raise NoCandidate({request.model: ruled_out[request.model]})
        offered = [candidate for candidate in ranked if candidate.model.name == request.model]
        if policy.allow_downgrade:
            asked = next(model for model in policy.models if model.name == request.model)
            stand_ins = [candidate for candidate in ranked if policy.floor <= candidate.model.tier < asked.tier]
            # Nearest tier first: a stand-in should be as little worse as possible.
            offered += sorted(stand_ins, key=lambda candidate: -candidate.model.tier)
        reason = "as requested"
    if not offered:
        raise NoCandidate(dict.fromkeys(names, f"below the floor {policy.floor.label}") | ruled_out)

    wanted = offered[0].model.name
    allowed = offered if ceiling is None else [c for c in offered if c.model.tier <= ceiling]
    if not allowed:
        # The ladder never refuses by itself: that is the hard cap's business.
        allowed = [min(offered, key=lambda candidate: candidate.model.tier)]
    if allowed[0].model.name != wanted:
        assert ceiling is not None
        reason = f"rationed: budget allows up to {ceiling.label}, {wanted} wanted"
    return Plan(candidates=tuple(allowed), reason=reason, ceiling=ceiling, wanted=wanted)


def _unfit(model: Model, request: ChatRequest) -> str | None:
    """Why this model cannot serve this request, or None."""
    if not model.deployments:
        return "has no deployment"
    if request.uses_tools and not model.takes_tools:
        return "takes no tools"
    if missing := request.modalities - model.accepts:
        return f"takes no {', '.join(sorted(missing))}"
    # A token is at least one byte, and few texts need one token a byte: rule out only what cannot fit.
    if request.body_bytes > model.context_tokens * 8:
        return f"context of {model.context_tokens} tokens is too small"
    return None


def _candidate(model: Model, request: ChatRequest, seen: Features, at: datetime) -> Candidate:
    input_tokens = request.body_bytes // 4
    prices = model.deployments[0].priced.effective_prices(at, input_tokens)
    output_tokens = min(request.output_limit or TYPICAL_OUTPUT_TOKENS, TYPICAL_OUTPUT_TOKENS)
    return Candidate(
        model=model,
        quality=1.0 - seen.difficulty * _WEAKNESS[model.tier],
        cost_nano=worst_case_nano(input_tokens, output_tokens, prices) if prices else 0,
        prices=prices,
    )


def _ranked(candidates: Sequence[Candidate], strategy: Strategy) -> list[Candidate]:
    """Best score first; the dearest candidate's cost is the reference, an unpriced one counts as dearest."""
    reference = max((candidate.cost_nano for candidate in candidates), default=0) or 1
    weight = _LAMBDA[strategy]

    def score(candidate: Candidate) -> float:
        cost = candidate.cost_nano if candidate.prices else reference
        return candidate.quality - weight * cost / reference

    return sorted(candidates, key=score, reverse=True)
