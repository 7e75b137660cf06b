"""The routing decision: which models may serve a request, in which order, and why.

Pure: no clock, no I/O, no randomness but what is passed in. The score is `q(model | prompt) - lambda * cost /
cost_ref`: `q` is what `router/quality.py` has learned, or a first guess from the prompt's surface; `lambda` is the
route's own, or what pacing asks if that is more; `cost_ref` is what the dearest candidate would cost.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from router.catalogue import Deployment, Model, RoutingPolicy, Strategy, Tier
from router.chat import ChatRequest
from router.errors import ModelUnknown, NoCandidate
from router.pacing import score
from router.prices import UnitPrices, cost_nano
from router.usage import Usage

AUTO: Final = "auto"
"""The model name with which a client leaves the choice to the router."""

EMBEDS: Final = "makes embeddings: ask POST /v1/embeddings"
"""Why a model that only makes embeddings answers nothing else."""

TYPICAL_OUTPUT_TOKENS: Final = 300
"""Expected length of an answer where nothing is known: it scales all models alike."""

_LAMBDA: Final[Mapping[Strategy, float]] = {
    "balanced": 0.5,
    "cost-first": 3.0,
}
_SCORED: Final = frozenset(_LAMBDA)
"""The strategies under which scores decide, so that money counts and exploring teaches something."""
_SWITCH_FROM: Final = 0.2
"""A conversation changes its model only for so much more quality, and never for money: an answer in another voice,
without the provider's prompt cache, must be worth it."""

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
    """Expected, 0 to 1."""
    cost_nano: int
    """Expected cost, for ranking only; None of the money is counted with it."""
    prices: UnitPrices | None
    score: float = 0.0

    @property
    def deployments(self) -> tuple[Deployment, ...]:
        return self.model.deployments


class Pin(Struct, frozen=True):
    """The model that has served a conversation so far, and how much of the prompt its provider may remember."""

    model: str
    cached_tokens: int = 0


class Circumstances(Struct, frozen=True):
    """What bears on a decision beside the request and the route. Maps are by model name; what is missing is guessed."""

    quality: Mapping[str, float] = {}
    """Expected quality, 0 to 1."""
    output_tokens: Mapping[str, float] = {}
    """Expected length of the answer."""
    latency_ms: Mapping[str, float] = {}
    """Of recent first events."""
    price: float = 0.0
    """Quality that a nano-dollar must buy, so that the budgets last (`router/pacing.py`)."""
    priced_by: str | None = None
    """The budget whose price it is."""
    least_lambda: float = 0.0
    """From the soft limit of a budget on: no smaller lambda, whatever the route's strategy."""
    last_resorts: tuple[Model, ...] = ()
    """What may be asked when the budgets hold nothing else, whether or not the route offers it."""
    pin: Pin | None = None
    barred: Mapping[str, str] = {}
    """Models that may not serve this request, and why: the floor of its kind was raised, e.g."""
    baseline: str | None = None
    """What serves the held-out conversations."""
    is_held_out: bool = False
    chance: float = 1.0
    """Of this request, from 0 to 1: it explores where this is below the route's share."""
    lot: float = 0.0
    """Of its conversation, from 0 to 1: its part of a weighted split."""
    workload: str | None = None
    """The class of work, where one was told."""


class Plan(Struct, frozen=True):
    """Candidates in the order in which they are tried. `reason` says why the first is first."""

    candidates: tuple[Candidate, ...]
    reason: str
    ceiling: Tier | None
    """The dearest tier that the budgets still allow, if they ration."""
    wanted: str
    """The model that would have served without rationing and failures."""
    price: float = 0.0
    """Quality for a nano-dollar at which they were ranked."""
    asked: float = 0.0
    """What of that the budgets asked for, whatever the route's strategy (`Circumstances.price`)."""
    least_lambda: float = 0.0
    """As in `Circumstances`."""
    propensity: float = 1.0
    """The probability with which the first candidate became the first."""
    is_held_out: bool = False
    last_resorts: tuple[Candidate, ...] = ()
    """What is asked when the budgets hold none of the candidates."""
    brief: tuple[Candidate, ...] = ()
    """Economy models below the floor that may answer in a few words, when all candidates have failed."""

    def is_brief(self, candidate: Candidate, policy: RoutingPolicy, *, failed: bool) -> bool:
        """Whether this model may answer in a few words only: it stands in for better ones that `failed`."""
        model = candidate.model
        stands_in = failed and model.tier is Tier.ECONOMY and model.name != self.wanted
        return (policy.short_answer_mode and stands_in) or candidate in self.brief

    def deployments(self) -> Iterator[tuple[Candidate, Deployment]]:
        """Every deployment of every candidate, in the order in which they are tried."""
        return ((candidate, deployment) for candidate in self.candidates for deployment in candidate.deployments)

    def reason_for(self, model: Model, *, refused: bool, failed: bool) -> str:
        """Why this model serves: the plan's reason for its first, else what became of the better ones."""
        if model.name == self.candidates[0].model.name:
            return self.reason
        causes = [cause for cause, applies in (("budget cannot hold", refused), ("failed", failed)) if applies]
        return f"fallback: {self.candidates[0].model.name} {' and '.join(causes)}" if causes else self.reason

    def because(self, reason: str) -> "Plan":
        """The same plan, with one more reason."""
        return msgspec.structs.replace(self, reason=f"{self.reason}; {reason}")

    def is_rationed(self, model: Model) -> bool:
        """Whether this model serves because a budget ruled the wanted one out, and not because that failed."""
        return model.name != self.wanted and self.candidates[0].model.name != self.wanted


class Choice(Struct, frozen=True):
    """Why the first candidate is the first, and with which probability."""

    reason: str
    propensity: float = 1.0
    is_held_out: bool = False


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


def plan(
    request: ChatRequest,
    policy: RoutingPolicy,
    ceiling: Tier | None,
    at: datetime,
    around: Circumstances = Circumstances(),  # noqa: B008  frozen
) -> Plan:
    """The candidates for this request. `ceiling` is the dearest tier that the budgets allow, None for any.

    Raises ModelUnknown for a name that the route does not offer, NoCandidate when nothing may serve.
    """
    names = tuple(model.name for model in policy.models)
    is_auto = request.model == AUTO
    if not is_auto and request.model not in names:
        raise ModelUnknown(request.model, (AUTO, *names))

    seen = features(request)
    ruled_out = {model.name: why for model in policy.models if (why := _unfit(model, request))}
    scored = [_candidate(model, request, seen, at, around) for model in policy.models if model.name not in ruled_out]
    in_order, price = ranked(scored, policy, around)

    choice = Choice("as requested")
    if is_auto:
        ruled_out = dict(around.barred) | ruled_out
        offered = [
            candidate
            for candidate in in_order
            if candidate.model.tier >= policy.floor and candidate.model.name not in ruled_out
        ]
        offered, choice = _chosen(offered, seen, policy, around)
        if around.priced_by is not None and price == around.price:
            paced = f"{choice.reason}, paced by {around.priced_by} (lambda {price * _reference_nano(scored):.3g})"
            choice = msgspec.structs.replace(choice, reason=paced)
    else:
        if request.model in ruled_out:
            raise NoCandidate({request.model: ruled_out[request.model]})
        offered = [candidate for candidate in in_order if candidate.model.name == request.model]
        if policy.allow_downgrade:
            asked = next(model for model in policy.models if model.name == request.model)
            stand_ins = [candidate for candidate in in_order if policy.floor <= candidate.model.tier < asked.tier]
            # Nearest tier first: a stand-in should be as little worse as possible.
            offered += sorted(stand_ins, key=lambda candidate: -candidate.model.tier)
    if not offered:
        raise NoCandidate(dict.fromkeys(names, f"below the floor {policy.floor.label}") | ruled_out)

    wanted, reason = offered[0].model.name, choice.reason
    kept = around.pin.model if around.pin is not None and is_auto else None
    # The ladder does not change the model of a conversation under way: only the cap itself does.
    allowed = [c for c in offered if ceiling is None or c.model.tier <= ceiling or c.model.name == kept == wanted]
    if not allowed:
        # The ladder never refuses by itself: that is the hard cap's business.
        allowed = [min(offered, key=lambda candidate: candidate.model.tier)]
    if allowed[0].model.name != wanted:
        assert ceiling is not None
        reason = f"rationed: budget allows up to {ceiling.label}, {wanted} wanted"
        choice = Choice(reason, choice.propensity)
    return Plan(
        candidates=tuple(allowed),
        reason=reason,
        ceiling=ceiling,
        wanted=wanted,
        price=price,
        asked=around.price,
        least_lambda=around.least_lambda,
        propensity=choice.propensity,
        is_held_out=choice.is_held_out,
        last_resorts=tuple(
            _candidate(model, request, seen, at, around)
            for model in around.last_resorts
            if model.name not in {candidate.model.name for candidate in allowed} and _unfit(model, request) is None
        ),
        brief=_brief(in_order, allowed, ruled_out, policy),
    )


def _brief(
    ranked: Sequence[Candidate], allowed: Sequence[Candidate], ruled_out: Mapping[str, str], policy: RoutingPolicy
) -> tuple[Candidate, ...]:
    """Economy models that may help out in short-answer mode although they are not among the allowed ones."""
    if not (policy.short_answer_mode and policy.allow_downgrade):
        return ()
    economy = (found for found in ranked if found.model.tier is Tier.ECONOMY and found.model.name not in ruled_out)
    return tuple(found for found in economy if found not in allowed)


def _chosen(
    offered: list[Candidate], seen: Features, policy: RoutingPolicy, around: Circumstances
) -> tuple[list[Candidate], Choice]:
    """What serves `auto` first: the baseline for a conversation that is held out, the model that has served the
    conversation so far, now and then another one to learn from, else the best score."""
    by_name = {candidate.model.name: candidate for candidate in offered}
    if around.is_held_out and around.baseline in by_name:
        reason = f"holdout: {around.baseline} as the baseline"
        return _first(by_name[around.baseline], offered), Choice(reason, is_held_out=True)
    kept = by_name.get(around.pin.model) if around.pin is not None else None
    if kept is not None and offered[0].quality - kept.quality < _SWITCH_FROM:
        return _first(kept, offered), Choice(f"auto: {policy.strategy}, kept for the conversation")
    known = around.workload and f"{around.workload}, expected quality {offered[0].quality:.2f}" if offered else None
    best, share = f"auto: {policy.strategy}, {known or f'difficulty {seen.difficulty:.2f}'}", policy.explore_share
    others = offered[1:]
    if not others or policy.strategy not in _SCORED or around.pin is not None:
        return offered, Choice(best)
    if around.chance >= share:
        return offered, Choice(best, 1.0 - share)
    another = others[min(int(around.chance / share * len(others)), len(others) - 1)]
    return _first(another, offered), Choice(f"explored: {another.model.name}", share / len(others))


def _first(chosen: Candidate, offered: Sequence[Candidate]) -> list[Candidate]:
    return [chosen, *(candidate for candidate in offered if candidate is not chosen)]


def _unfit(model: Model, request: ChatRequest) -> str | None:
    """Why this model cannot serve this request, or None."""
    if not model.deployments:
        return "has no deployment"
    if request.dialect == "embeddings":  # another model's vectors are of another space
        return None if model.embeds and model.name == request.model else "does not make these embeddings"
    if model.embeds:
        return EMBEDS
    if request.uses_tools and not model.takes_tools:
        return "takes no tools"
    if missing := request.modalities - model.accepts:
        return f"takes no {', '.join(sorted(missing))}"
    # A token is at least one byte, and few texts need one token a byte: rule out only what cannot fit.
    if request.body_bytes > model.context_tokens * 8:
        return f"context of {model.context_tokens} tokens is too small"
    return None


def _candidate(model: Model, request: ChatRequest, seen: Features, at: datetime, around: Circumstances) -> Candidate:
    input_tokens = request.body_bytes // 4
    prices = model.deployments[0].priced.effective_prices(at, input_tokens)
    expected = around.output_tokens.get(model.name, TYPICAL_OUTPUT_TOKENS)
    output_tokens = int(min(request.output_limit or expected, expected))
    cached = min(around.pin.cached_tokens, input_tokens) if around.pin and around.pin.model == model.name else 0
    usage = Usage(input=input_tokens - cached, cache_read=cached, output=output_tokens)
    return Candidate(
        model=model,
        quality=around.quality.get(model.name, 1.0 - seen.difficulty * _WEAKNESS[model.tier]),
        cost_nano=(cost_nano(usage, prices) or 0) if prices else 0,
        prices=prices,
    )


def _price(candidates: Sequence[Candidate], strategy: Strategy, around: Circumstances) -> float:
    """Quality that a nano-dollar must buy: by the route's strategy, or by the budgets where they ask for more."""
    if strategy not in _SCORED:
        return 0.0
    return max(max(_LAMBDA[strategy], around.least_lambda) / _reference_nano(candidates), around.price)


def _reference_nano(candidates: Sequence[Candidate]) -> int:
    return max((candidate.cost_nano for candidate in candidates), default=0) or 1


def ranked(
    candidates: Sequence[Candidate], policy: RoutingPolicy, around: Circumstances
) -> tuple[list[Candidate], float]:
    """The candidates in the order of the route's strategy, with their scores, and the quality that a nano-dollar had to
    buy. An unpriced candidate counts as the dearest."""
    reference, price = _reference_nano(candidates), _price(candidates, policy.strategy, around)
    scored = [
        msgspec.structs.replace(each, score=score(each.quality, each.cost_nano if each.prices else reference, price))
        for each in candidates
    ]
    return _ordered(scored, policy, around), price


def _ordered(scored: list[Candidate], policy: RoutingPolicy, around: Circumstances) -> list[Candidate]:
    match policy.strategy:
        case "failover-first":
            return scored  # as the route lists them
        case "performance-first":
            # Where nothing was measured yet, the lower tier is taken for the faster one.
            return sorted(scored, key=lambda c: (around.latency_ms.get(c.model.name, 0.0), c.model.tier))
        case "weighted":
            drawn = _drawn([policy.weights.get(each.model.name, 0.0) for each in scored], around.lot)
            rest = sorted(scored, key=lambda candidate: -candidate.score)
            return _first(scored[drawn], rest) if scored else []
        case _:
            return sorted(scored, key=lambda candidate: -candidate.score)


def _drawn(weights: Sequence[float], lot: float) -> int:
    """The position on which a lot from 0 to 1 falls; the first where all weights are nothing."""
    left = lot * sum(weights)
    for position, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return position
    return 0
