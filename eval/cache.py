"""Replaying a stream of questions through the cache, as production would run it, and counting what it served.

The cache is the real one, over a file in memory; only the vectors are computed beforehand. A miss is answered by
the label of the question, or by a wording of its answer; an audit likewise. Streams start empty.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.pool import StaticPool

from cache import tables
from cache.answers import Comparison, EqualComparison
from cache.cacheability import Cacheability, cacheability
from cache.certificate import Certificate
from cache.decision import Prior
from cache.entries import EntryStore
from cache.errors import TextTooLong
from cache.index import Vector
from cache.lookup import Cache, Fresh, Screen
from cache.query import Acceptance, CachePolicy, Directives, Query
from cache.scope import Split
from eval.hindsight import loosest_cuts
from eval.streams import Question, Vectors

_MODEL: Final = "model"
_START_US: Final = 1_700_000_000_000_000


class Precomputed:
    """An encoder that looks its vectors up, and asks a real one for those that it does not know."""

    def __init__(
        self, vectors: Vectors, fingerprint: str = "precomputed", encode: Callable[[str], Vector] | None = None
    ):
        self._vectors = vectors
        self._encode = encode
        self.dim = len(next(iter(vectors.values())))
        self.fingerprint = fingerprint
        self.model = "precomputed"

    async def encode(self, text: str, *, here: bool = False) -> Vector:
        found = self._vectors.get(text)
        if found is not None:
            return found
        if self._encode is None:
            raise TextTooLong(len(text), 0)
        found = self._vectors[text] = self._encode(text)
        return found

    def close(self) -> None:
        pass


class Outcome(Struct, frozen=True):
    """One request of a replay."""

    disposition: str
    p: float
    """The claim: 0 if nothing may have served."""
    is_right: bool | None
    """Of a hit, whether its answer is the right one; of a miss, whether what might have been served was."""
    kappa: float | None
    is_audited: bool = False
    answer: str | None = None
    """What was served from the cache."""


class Run(Struct, frozen=True):
    """What a replay brought."""

    outcomes: list[Outcome]
    certificate: Certificate | None
    faults: int

    @property
    def requests(self) -> int:
        return len(self.outcomes)

    @property
    def hits(self) -> int:
        """Semantic hits; exact ones are counted apart."""
        return sum(each.disposition == "semantic" for each in self.outcomes)

    @property
    def wrong(self) -> int:
        return sum(each.disposition == "semantic" and not each.is_right for each in self.outcomes)

    @property
    def correct(self) -> int:
        """Right hits of all kinds."""
        return sum(each.disposition in ("semantic", "exact") and bool(each.is_right) for each in self.outcomes)

    @property
    def audited(self) -> int:
        return sum(each.is_audited for each in self.outcomes)

    def sweep(self, max_wrong: float) -> tuple[float, float]:
        """(correct hits per request, kappa) in hindsight, with at most `max_wrong` wrong per semantic hit, over what
        was judged in this run. Approximate: another kappa would have made another history."""
        exact = sum(each.disposition == "exact" and bool(each.is_right) for each in self.outcomes)
        judged = [
            each for each in self.outcomes if each.disposition != "exact" and each.is_right is not None and each.p > 0
        ]
        scores = np.array([each.p for each in judged])
        is_right = np.array([bool(each.is_right) for each in judged], dtype=np.bool_)
        (cut,) = loosest_cuts(scores, is_right, [max_wrong])
        return ((exact + cut.right) / self.requests, cut.score) if cut is not None else (exact / self.requests, 1.0)


def judge_everything(query: Query, parts: Split) -> Cacheability:
    """No question is too personal, volatile or short: data sets of intents are about matching."""
    return Cacheability("semantic", "") if parts.text else Cacheability("none", "empty")


def open_store(on_fault: Callable[[Exception], None], max_entries: int = 1_000_000) -> EntryStore:
    """An empty store in memory."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    tables.metadata.create_all(engine)
    return EntryStore(engine, max_entries=max_entries, max_bytes=2**40, payload_bytes=2**24, on_error=on_fault)


def open_cache(
    vectors: Vectors, prior: Prior, *, comparison: Comparison | None = None, screen: Screen = cacheability,
    encode: Callable[[str], Vector] | None = None, seed: int = 1, on_fault: Callable[[Exception], None] | None = None,
    clock: Callable[[], int] | None = None, max_entries: int = 1_000_000,
    read: Callable[[bytes], str | None] = bytes.decode,
) -> Cache[Any]:  # fmt: skip
    """An empty cache in memory, whose payloads are texts, or what `read` makes of them."""

    def fail(error: Exception) -> None:
        raise error

    ticks = iter(range(_START_US, 2**62, 1000))
    return Cache(
        open_store(on_fault or fail, max_entries),
        Precomputed(vectors, encode=encode),
        clock or (lambda: next(ticks)),
        on_fault or fail,
        prior=prior,
        comparison=comparison or EqualComparison(),
        chance=random.Random(seed),
        screen=screen,
        read=read,
    )


def query_of(text: str, policy: CachePolicy, request_id: str, mapping: Mapping[str, Any] | None = None) -> Query:
    return Query(
        team="team",
        env="prod",
        route="route",
        mapping={"model": _MODEL, "messages": [{"role": "user", "content": text}], **(mapping or {})},
        output_limit=None,
        acceptance=Acceptance(_MODEL, 1),
        policy=policy,
        directives=Directives(),
        request_id=request_id,
    )


async def run_stream(
    questions: Sequence[Question],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    *,
    worded: Callable[[str], str] = str,
    comparison: Comparison | None = None,
    screen: Screen = judge_everything,
    encode: Callable[[str], Vector] | None = None,
    seed: int = 1,
    on_progress: Callable[[int], None] = lambda _: None,
    on_request: Callable[[int, Cache[Any]], None] = lambda _, __: None,
    policy_at: Callable[[int], CachePolicy] | None = None,
) -> Run:
    """Replays the stream. `worded` turns a label into the text of an answer, anew for each call. With `policy_at`
    the policy depends on how many requests there were before."""
    faults: list[Exception] = []
    cache = open_cache(
        dict(vectors),
        prior,
        comparison=comparison,
        screen=screen,
        encode=encode,
        seed=seed,
        on_fault=faults.append,
        read=lambda payload: _said(payload).text,
    )
    outcomes = []
    for place, question in enumerate(questions):
        if place % 100 == 0:
            on_progress(100)
        on_request(place, cache)
        current = policy_at(place) if policy_at is not None else policy
        outcomes.append(await _ask(cache, question, current, worded, f"{place}"))
    certificate = cache.certificates().get("route")
    cache.close()
    return Run(outcomes, certificate, len(faults))


async def _ask(
    cache: Cache[Any], question: Question, policy: CachePolicy, worded: Callable[[str], str], request_id: str
) -> Outcome:
    found = await cache.lookup(query_of(question.text, policy, request_id))
    judgement = found.judgement
    claim = judgement.claim if judgement is not None else 0.0
    if found.entry is not None:
        assert found.payload is not None
        served = _said(found.payload).label
        if found.follow_up is not None:
            await cache.followed(found.follow_up, _fresh(question, worded))
            await cache.settle()
        is_right, is_audited = served == question.answer, found.follow_up is not None
        return Outcome(found.disposition, claim, is_right, found.kappa, is_audited, served)
    right = None
    if judgement is not None and judgement.group is not None and judgement.neighbour is not None:
        stored = cache.payload_of_group(judgement.group)
        right = stored is not None and _said(stored).label == question.answer
    if found.ticket is not None:
        cache.store(found.ticket, _fresh(question, worded))
        if found.flight is not None:
            cache.land(found.ticket, found.flight)
        await cache.settle()
    return Outcome(found.disposition, claim, right, found.kappa)


class _Said(Struct, frozen=True, array_like=True):
    """The payload of a replayed answer."""

    label: str
    text: str


def _said(payload: bytes) -> _Said:
    return msgspec.json.decode(payload, type=_Said)


def _fresh(question: Question, worded: Callable[[str], str]) -> Fresh:
    text = worded(question.answer)
    return Fresh(_MODEL, 2, False, 20, text, msgspec.json.encode(_Said(question.answer, text)))


def policy_of(max_wrong: float, start: str, **others: Any) -> CachePolicy:
    return msgspec.structs.replace(CachePolicy(max_wrong=max_wrong, start=start), **others)  # type: ignore[arg-type]
