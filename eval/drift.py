"""What happens when the right answers change while the cache is full of the old ones.

A stream runs as usual; from its middle on, the answers are others. Owns what is counted from that moment on.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cache.decision import Prior
from cache.query import CachePolicy
from eval.cache import Outcome, run_stream
from eval.streams import Question, Vectors

Change = Literal["all answers", "one answer", "all answers, new knowledge version"]
CHANGES: Final[tuple[Change, ...]] = ("all answers", "one answer", "all answers, new knowledge version")
_CHANGED: Final = " (changed)"


class DriftFigures(Struct, frozen=True, kw_only=True):
    """From the change on. `stale` hits are semantic ones with an old answer."""

    change: Change
    seed: int
    asked: int
    """Questions after the change whose answer had changed."""
    hits_before: int
    """Semantic hits before the change."""
    audited_until_closed: int | None
    """Audited hits until the route served nothing any more; None = it never came to that."""
    stale_until_closed: int
    """Stale hits until then, or all."""
    audited_until_last: int
    """Audited hits on changed answers from the first stale one to the last: before the first there is nothing to
    notice."""
    others_audited: int
    """Audited hits on all other answers meanwhile; they show nothing of the change."""
    stale: int
    stale_exact: int
    """Repetitions of an old text: its old answer is served until its time is over or it is purged."""
    stale_last_tenth: int
    """Stale hits in the last tenth of the stream."""
    served_again: int
    """Right semantic hits of changed answers."""


def measure_drift(
    change: Change,
    questions: Sequence[Question],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    seed: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> DriftFigures:
    """Replays the stream, in its order, with the change at its middle."""
    half = len(questions) // 2
    changed = {Counter(question.answer for question in questions).most_common(1)[0][0]}
    if change != "one answer":
        changed = {question.answer for question in questions}
    stream = [
        Question(question.text, question.answer + _CHANGED)
        if place >= half and question.answer in changed
        else question
        for place, question in enumerate(questions)
    ]
    later = policy
    if change == "all answers, new knowledge version":
        later = msgspec.structs.replace(policy, knowledge_version=f"{policy.knowledge_version} (changed)")
    run = asyncio.run(
        run_stream(
            stream,
            vectors,
            prior,
            policy,
            seed=seed,
            policy_at=lambda place: policy if place < half else later,
            on_progress=on_progress,
        )
    )
    after = run.outcomes[half:]
    is_changed = [question.answer.endswith(_CHANGED) for question in stream[half:]]
    return _count(change, seed, run.outcomes[:half], after, is_changed)


def _count(
    change: Change, seed: int, before: Sequence[Outcome], after: Sequence[Outcome], is_changed: Sequence[bool]
) -> DriftFigures:
    stale = [
        place
        for place, (outcome, concerned) in enumerate(zip(after, is_changed, strict=True))
        if concerned and outcome.disposition == "semantic" and _is_old(outcome)
    ]
    closed = next(
        (place for place, outcome in enumerate(after) if outcome.kappa is not None and math.isinf(outcome.kappa)), None
    )
    concerned = [outcome for outcome, counts in zip(after, is_changed, strict=True) if counts]
    meanwhile = slice(stale[0], stale[-1] + 1) if stale else slice(0)
    noticing = _audited([each for each, counts in zip(after[meanwhile], is_changed[meanwhile], strict=True) if counts])
    last_tenth = len(after) - (len(before) + len(after)) // 10
    return DriftFigures(
        change=change,
        seed=seed,
        asked=len(concerned),
        hits_before=sum(outcome.disposition == "semantic" for outcome in before),
        audited_until_closed=None if closed is None else _audited(after[:closed]),
        stale_until_closed=sum(closed is None or place < closed for place in stale),
        audited_until_last=noticing,
        others_audited=_audited(after[meanwhile]) - noticing,
        stale=len(stale),
        stale_exact=sum(outcome.disposition == "exact" and _is_old(outcome) for outcome in concerned),
        stale_last_tenth=sum(place >= last_tenth for place in stale),
        served_again=sum(outcome.disposition == "semantic" and bool(outcome.is_right) for outcome in concerned),
    )


def _is_old(outcome: Outcome) -> bool:
    """Whether what was served was said before the change. A wrong answer can be a new one, too."""
    return outcome.answer is not None and not outcome.answer.endswith(_CHANGED)


def _audited(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.is_audited for outcome in outcomes)
