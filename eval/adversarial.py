"""How often the cache serves a question that only looks like a stored one, by what makes the difference.

One scene is a scope of its own: some other questions are stored, then one question of a pair, and the other one is
asked. It goes through the real cache with its rules for what may be cached, at the kappa that the route starts
with; nothing is learnt from one scene to the next.
"""

import asyncio
import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from cache.decision import Prior
from cache.lookup import Cache, Fresh
from cache.query import CachePolicy, Directives
from eval.cache import open_cache, query_of
from eval.intervals import Share, share
from eval.streams import Question, Vectors

CONTEXTS: Final = (0, 2, 8, 30)
"""How many other questions a scene has."""
CATEGORIES: Final = ("opposite", "number", "entity", "role", "language", "harmless")
SEVERAL: Final = ("negation", "opposite", "number", "entity", "role", "scope", "condition", "quantity", "harmless")
"""Categories of what is asked where several wordings are stored."""
TRAPS: Final = ("opposite", "number", "entity", "role", "follow-up", "personal", "volatile")
_STORED: Final = "the stored answer"
_SEED: Final = 1


class Pair(Struct, frozen=True):
    """`stored` has been answered, `asked` comes next. `near` names the item that others must not repeat."""

    category: str
    stored: str
    asked: str
    is_same: bool
    near: str = ""
    wordings: tuple[str, ...] = ()
    """More questions that have the stored answer."""


class Scene(Struct, frozen=True):
    """How one scene ended."""

    others: int
    is_served: bool
    is_right: bool
    """Whether what was served is a right answer."""
    is_kept_out: bool
    """Whether the rules of cacheability kept the question or its pair from the semantic cache."""


class Trial(Struct, frozen=True):
    """One directed question of a pair, in all its scenes."""

    pair: Pair
    scenes: tuple[Scene, ...]


class CategoryFigures(Struct, frozen=True, kw_only=True):
    """One category. `any_wrong` counts directed questions that were served wrongly in any context: their bounds are
    the honest ones, since the scenes of one question are not independent."""

    category: str
    is_same: bool
    directed: int
    scenes: int
    kept_out: int
    """Scenes in which the rules of cacheability spoke first."""
    wrong: Share
    """Of all scenes, those that served a wrong answer."""
    right: Share
    any_wrong: Share
    wrong_by_context: tuple[tuple[int, int, int], ...]
    """(others, scenes, served wrongly)."""
    examples: tuple[tuple[str, str], ...]
    """(stored, asked) of those served wrongly."""


def read_adversarial(path: Path, split: str) -> list[Pair]:
    """Both directions of every pair of the split."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [
        Pair(row["category"], stored, asked, row["same"])
        for row in rows
        if row["split"] == split
        for stored, asked in ((row["a"], row["b"]), (row["b"], row["a"]))
    ]


def read_traps(questions: Path, traps: Path) -> list[Pair]:
    """Each trap of the FAQ beside the question that it resembles."""
    items = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines() if line]
    question_of = {item["id"]: item["question"] for item in items}
    rows = [json.loads(line) for line in traps.read_text(encoding="utf-8").splitlines() if line]
    return [Pair(row["kind"], question_of[row["near"]], row["text"], False, row["near"]) for row in rows]


def read_several(path: Path, split: str) -> list[Pair]:
    """What is asked beside several wordings of another question."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    return [
        Pair(row["category"], row["stored"][0], row["asked"], row["same"], wordings=tuple(row["stored"][1:]))
        for row in rows
        if row["split"] == split
    ]


def measure_pairs(
    pairs: Sequence[Pair],
    others: Sequence[Question],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    contexts: Sequence[int] = CONTEXTS,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Trial]:
    """Every pair in every context; progress counts pairs."""

    async def run() -> list[Trial]:
        found = []
        for number, pair in enumerate(pairs):
            rng = random.Random(f"{_SEED} {number} {pair.stored}")
            candidates = [other for other in others if other.answer != pair.near]
            scenes = []
            for count in contexts:
                context = rng.sample(candidates, min(count, len(candidates)))
                scenes.append(await _scene(pair, context, count, vectors, prior, policy))
            found.append(Trial(pair, tuple(scenes)))
            on_progress(1)
        return found

    return asyncio.run(run())


async def _scene(
    pair: Pair, context: Sequence[Question], count: int, vectors: Vectors, prior: Prior, policy: CachePolicy
) -> Scene:
    cache = open_cache(vectors, prior)
    try:
        for question in context:
            await _store(cache, question, policy)
        texts, is_anew = (pair.stored, *pair.wordings), bool(pair.wordings)
        can_hit = [await _store(cache, Question(text, _STORED), policy, is_anew=is_anew) for text in texts]
        return await _asked(cache, pair, count, policy, can_hit=any(can_hit))
    finally:
        cache.close()


async def _store(cache: Cache[Any], question: Question, policy: CachePolicy, *, is_anew: bool = False) -> bool:
    """Whether its like may be served semantically from now on. `is_anew`: it is answered, whatever is stored."""
    query = msgspec.structs.replace(query_of(question.text, policy, ""), directives=Directives(no_cache=is_anew))
    found = await cache.lookup(query)
    if found.ticket is not None:
        cache.store(found.ticket, Fresh("model", 2, False, 20, question.answer, question.answer.encode()))
        if found.flight is not None:
            cache.land(found.ticket, found.flight)
        await cache.settle()
    return found.judgement is not None or (is_anew and found.ticket is not None and found.ticket.vector is not None)


async def _asked(cache: Cache[Any], pair: Pair, count: int, policy: CachePolicy, *, can_hit: bool) -> Scene:
    found = await cache.lookup(query_of(pair.asked, policy, ""))
    if found.ticket is not None and found.flight is not None:
        cache.land(found.ticket, found.flight)
    served = found.payload.decode() if found.payload is not None else None
    is_semantic = found.judgement is not None
    return Scene(
        others=count,
        is_served=served is not None,
        is_right=served == _STORED and pair.is_same,
        is_kept_out=served is None and not (is_semantic and can_hit),
    )


def measure_in_full(
    pairs: Sequence[Pair],
    stored: Sequence[Question],
    vectors: Vectors,
    prior: Prior,
    policy: CachePolicy,
    on_progress: Callable[[int], None] = lambda _: None,
) -> list[Trial]:
    """Every pair asked of one cache that has all of `stored`; nothing that is asked is stored."""

    async def run() -> list[Trial]:
        cache = open_cache(vectors, prior)
        for question in stored:
            await _store(cache, question, policy)
        found = []
        for pair in pairs:
            scene = await _asked(cache, pair, len(stored), policy, can_hit=True)
            found.append(Trial(pair, (scene,)))
            on_progress(1)
        cache.close()
        return found

    return asyncio.run(run())


def by_category(trials: Iterable[Trial], order: Sequence[str]) -> list[CategoryFigures]:
    """Figures of each category that occurs, in this order."""
    trials = list(trials)
    return [
        _category(name, members)
        for name in order
        if (members := [each for each in trials if each.pair.category == name])
    ]


def _category(name: str, trials: Sequence[Trial]) -> CategoryFigures:
    scenes = [scene for trial in trials for scene in trial.scenes]
    wrong = [trial for trial in trials if any(_is_wrong(scene) for scene in trial.scenes)]
    contexts = sorted({scene.others for scene in scenes})
    return CategoryFigures(
        category=name,
        is_same=trials[0].pair.is_same,
        directed=len(trials),
        scenes=len(scenes),
        kept_out=sum(scene.is_kept_out for scene in scenes),
        wrong=share(sum(map(_is_wrong, scenes)), len(scenes)),
        right=share(sum(scene.is_served and scene.is_right for scene in scenes), len(scenes)),
        any_wrong=share(len(wrong), len(trials)),
        wrong_by_context=tuple(
            (
                others,
                sum(scene.others == others for scene in scenes),
                sum(_is_wrong(scene) for scene in scenes if scene.others == others),
            )
            for others in contexts
        ),
        examples=tuple((trial.pair.stored, trial.pair.asked) for trial in wrong),
    )


def _is_wrong(scene: Scene) -> bool:
    return scene.is_served and not scene.is_right
