"""What the router has learned from its own traffic, and what of it bears on the next decision.

    about      request, vector, conversation -> Circumstances of the plan
    answered   a model has answered: how long, how fast, in which conversation
    scored     somebody says how good an answer was: a client, or a judge

Ties the estimators together and remembers conversations and recent answers, all bounded. Refuses to know where scores
come from and what anything costs.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Struct

from router.catalogue import Model, RoutingPolicy
from router.chat import ChatRequest
from router.output_length import Lengths
from router.plan import Circumstances, Pin
from router.quality import Estimate, Quality, Traits, Vector, traits
from router.workload import Workload

CONVERSATIONS: Final = 20_000
ANSWERS: Final = 5_000
"""So many recent answers can still be scored; who knows a later score finds it in the ledger only."""
_BOUND: Final = 1.645
"""Standard errors below an estimate: one-sided 95 %."""
_JUDGED_AT_LEAST: Final = 10
"""Judged answers of a model to one class of work, before it may be left out of that class for what they show."""
_SPEED_KEPT: Final = 0.9
"""Of the running mean of latencies, when one more comes."""

Scorer = Literal["client", "judge"]
T = TypeVar("T")


class Answered(Struct, frozen=True):
    """What is remembered of an answer until somebody scores it."""

    seen: Traits
    model: str
    scored_by: frozenset[Scorer] = frozenset()


class Experience:
    """In memory, on the event loop. `models` are those whose quality is estimated."""

    def __init__(self, models: Mapping[str, Model], quality: Quality | None = None) -> None:
        self.quality = quality or Quality({name: model.tier for name, model in models.items()})
        self._latency_ms: dict[str, float] = {}
        self._lengths = Lengths()
        self._conversations: OrderedDict[str, Pin] = OrderedDict()
        self._answers: OrderedDict[str, Answered] = OrderedDict()
        self._judged: Counter[tuple[str, Workload]] | None = None

    def know(self, models: Mapping[str, Model]) -> None:
        """These models are there from now on, also those that were not before."""
        self.quality.know({name: model.tier for name, model in models.items()})

    def about(
        self,
        seen: Traits,
        conversation: str,
        policy: RoutingPolicy,
        *,
        baseline: str,
        price: float,
        chance: float,
    ) -> Circumstances:
        """What bears on this decision. `price` is what pacing asks, `chance` a random number from 0 to 1."""
        estimates = self.quality.estimate(seen)
        return Circumstances(
            quality={name: each.q for name, each in estimates.items()},
            output_tokens={name: self._lengths.expect(name, seen.workload).tokens for name in estimates},
            latency_ms=self._latency_ms,
            price=price,
            pin=self._conversations.get(conversation),
            barred=_barred(seen, estimates, self.judged, policy),
            baseline=baseline,
            is_held_out=_lot(conversation, "holdout") < policy.holdout_share,
            chance=chance,
            lot=split_lot(conversation),
            workload=seen.workload.label,
        )

    def answered(
        self,
        request_id: str,
        seen: Traits,
        model: str,
        conversation: str,
        *,
        prompt_tokens: int,
        output_tokens: int,
        first_event_ms: float | None,
    ) -> None:
        """A model's answer has ended well. `first_event_ms` is None where others had failed before: then the time is
        not its own."""
        _remember(self._conversations, conversation, Pin(model, prompt_tokens), CONVERSATIONS)
        _remember(self._answers, request_id, Answered(_packed(seen), model), ANSWERS)
        if first_event_ms is not None:
            _average(self._latency_ms, model, first_event_ms)
        self._lengths.learn(model, seen.workload, output_tokens)

    def scored(self, request_id: str, score: float, by: Scorer = "client") -> bool:
        """Learns from a score, 0 to 1; False for an answer that is not remembered, and for one of a model that is not
        known. One answer teaches once for each who scores it: repeating oneself is no evidence."""
        answer = self._answers.get(request_id)
        if answer is None or by in answer.scored_by or answer.model not in self.quality.tiers:
            return False
        self._answers[request_id] = msgspec.structs.replace(answer, scored_by=answer.scored_by | {by})
        self.judged[answer.model, answer.seen.workload] += 1
        self.quality.learn(answer.seen, answer.model, score)
        return True

    @property
    def judged(self) -> Counter[tuple[str, Workload]]:
        """How many answers of a model to a class of work were judged, those of earlier processes included."""
        if self._judged is None:
            kept = self.quality.snapshot()
            pairs = zip(kept.model.tolist(), kept.workload.tolist(), strict=True)
            self._judged = Counter((kept.names[model], Workload(kind)) for model, kind in pairs)
        return self._judged


def conversation_of(key_id: str, named: str | None, messages: Sequence[Mapping[str, Any]]) -> str:
    """A conversation's id: the client's own, else a hash of the key and the messages up to and including the first user
    turn."""
    if named is not None:
        material: Any = ["named", key_id, named]
    else:
        first = next((at for at, message in enumerate(messages) if message.get("role") == "user"), len(messages) - 1)
        material = ["opened", key_id, messages[: first + 1]]
    return hashlib.sha256(msgspec.json.encode(material)).hexdigest()[:32]


def seen_of(request: ChatRequest, vector: Vector | None) -> Traits:
    """What the estimator sees: the last user turn, and the vector that the cache lookup made of it."""
    last = next((message for message in reversed(request.messages) if message.get("role") == "user"), None)
    return traits(_text(last or {}), vector)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _packed(seen: Traits) -> Traits:
    """The same with a vector of half precision, which is what the estimate itself remembers."""
    return seen if seen.vector is None else msgspec.structs.replace(seen, vector=seen.vector.astype(np.float16))


def _barred(
    seen: Traits, estimates: Mapping[str, Estimate], judged: Counter[tuple[str, Workload]], policy: RoutingPolicy
) -> dict[str, str]:
    """Models that may not serve this kind of work: the route's map of classes, and a floor that rises by itself where
    judged answers show that a model may lose more than the route tolerates."""
    allowed = policy.classes.get(seen.workload.label)
    barred = {}
    best = max((estimates[model.name].q for model in policy.models if model.name in estimates), default=0.0)
    for model in policy.models:
        each = estimates.get(model.name)
        if allowed is not None and model.name not in allowed:
            barred[model.name] = f"not for {seen.workload.label} on this route"
        elif judged[model.name, seen.workload] < _JUDGED_AT_LEAST:
            continue
        elif each is not None and _may_lose(each, best, policy.max_quality_loss):
            barred[model.name] = f"expected quality {each.q:.2f} of {best:.2f} is below what the route tolerates"
    return barred


def _may_lose(each: Estimate, best: float, tolerated: float) -> bool:
    """Whether its lower bound is more than `tolerated` below the best."""
    return each.q < best and max(each.q - _BOUND * each.error, 0.0) < best - tolerated


def split_lot(conversation: str) -> float:
    """A conversation's part of a weighted split, from 0 to 1."""
    return _lot(conversation, "split")


def _lot(conversation: str, purpose: str) -> float:
    """A number from 0 to 1 that stays the same for a conversation."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {conversation}".encode()).digest()[:8]) / 2**64


def _remember(memory: OrderedDict[str, T], key: str, value: T, at_most: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > at_most:
        memory.popitem(last=False)


def _average(means: dict[str, float], name: str, value: float) -> None:
    means[name] = value if name not in means else _SPEED_KEPT * means[name] + (1 - _SPEED_KEPT) * value
