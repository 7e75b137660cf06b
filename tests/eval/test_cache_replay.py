"""Streams through the real cache: what is counted, and that what is served keeps to its budget."""

import math
import random

import numpy as np
import pytest

from cache.answers import EqualComparison
from cache.cacheability import cacheability
from cache.decision import Prior
from eval.cache import Outcome, Precomputed, Run, judge_everything, open_cache, policy_of, query_of, run_stream
from eval.streams import Question, Vectors
from tests.cache.asking import PLAIN, ByLabel, pointing, weights_of

TOPICS, WORDINGS = 8, 45
_WEIGHTS = weights_of(best=50, other=-5, intercept=-42.24)
NEARNESS = Prior(_WEIGHTS, _WEIGHTS, {0.01: 0.9}, "nearness")
"""p is 0.96 at 5 degrees from an answer and 40 from another, 0.86 at 10 and 35."""


def stream(seed: int = 1, spread: float = 4.0) -> tuple[list[Question], Vectors]:
    """Questions around some directions, in a shuffled order, with the direction as their answer."""
    chance = random.Random(seed)
    questions, vectors = [], {}
    for topic in range(TOPICS):
        for wording in range(WORDINGS):
            text = f"What about topic {chr(ord('a') + topic)} in the wording {chr(ord('A') + wording)}?"
            questions.append(Question(text, f"{topic}: the answer"))
            vectors[text] = pointing(45.0 * topic + chance.gauss(0, spread))
    chance.shuffle(questions)
    return questions, vectors


async def test_a_stream_of_clear_topics_is_mostly_served_and_rarely_wrongly() -> None:
    questions, vectors = stream()
    run = await run_stream(questions, vectors, NEARNESS, policy_of(0.01, "prior"))
    assert (run.requests, run.faults) == (TOPICS * WORDINGS, 0)
    assert run.correct >= 0.6 * run.requests
    assert run.wrong <= 0.02 * run.hits
    assert run.certificate is not None
    assert run.certificate.hits == run.hits


async def test_a_closed_stream_serves_nothing_until_it_has_learnt_and_says_what_it_would_have_served() -> None:
    questions, vectors = stream()
    run = await run_stream(questions, vectors, NEARNESS, policy_of(0.01, "closed"))
    assert run.hits == 0
    assert sum(bool(outcome.is_right) for outcome in run.outcomes) > 0.6 * run.requests
    assert run.sweep(0.01)[0] > 0.6


async def test_the_same_seed_gives_the_same_run() -> None:
    questions, vectors = stream()
    runs = [await run_stream(questions, vectors, NEARNESS, policy_of(0.01, "prior"), seed=3) for _ in range(2)]
    assert runs[0].outcomes == runs[1].outcomes


async def test_repeated_questions_are_exact_hits_and_no_semantic_ones() -> None:
    questions, vectors = stream()
    different = list({question.answer: question for question in questions}.values())[:5]
    run = await run_stream(different * 10, vectors, NEARNESS, policy_of(0.01, "prior"))
    assert sum(outcome.disposition == "exact" for outcome in run.outcomes) == 45
    assert (run.correct, run.hits) == (45, 0)


async def test_answers_may_be_worded_anew_each_time() -> None:
    questions, vectors = stream()
    chance = random.Random(2)

    def worded(answer: str) -> str:
        return f"{answer} {chance.choice(('indeed', 'as you ask', 'of course', 'gladly'))}"

    linked = await run_stream(
        questions, vectors, NEARNESS, policy_of(0.01, "prior"), worded=worded, comparison=ByLabel(),
        encode=lambda text: pointing(float(int(text.partition(":")[0]) * 45)),
    )  # fmt: skip
    unlinked = await run_stream(
        questions, vectors, NEARNESS, policy_of(0.01, "prior"), worded=worded, comparison=EqualComparison(),
        encode=lambda text: pointing(float(int(text.partition(":")[0]) * 45)),
    )  # fmt: skip
    assert linked.faults == unlinked.faults == 0
    assert linked.correct >= 0.6 * linked.requests
    assert linked.correct > 2 * unlinked.correct  # without links the wordings speak against each other


async def test_where_right_and_wrong_cannot_be_told_apart_the_cache_goes_quiet() -> None:
    """Answers that have nothing to do with what is near."""
    questions, vectors = stream(spread=2.0)
    chance = random.Random(3)
    mixed = [Question(question.text, f"{chance.randrange(5)}: x") for question in questions]
    run = await run_stream(mixed, vectors, NEARNESS, policy_of(0.01, "prior"))
    assert run.hits < 0.25 * run.requests
    later = run.outcomes[len(run.outcomes) // 2 :]
    assert sum(outcome.disposition == "semantic" for outcome in later) <= 0.02 * len(later)


async def test_a_stream_hears_of_its_progress_and_of_each_request() -> None:
    questions, vectors = stream()
    steps: list[int] = []
    places: list[int] = []
    await run_stream(
        questions[:250], vectors, NEARNESS, policy_of(0.01, "prior"),
        on_progress=steps.append, on_request=lambda place, _: places.append(place),
    )  # fmt: skip
    assert sum(steps) == 300
    assert places == list(range(250))


# --- Counting -----------------------------------------------------------------------------------------------------


def run_of(*outcomes: Outcome) -> Run:
    return Run(list(outcomes), None, 0)


def test_a_run_counts_right_hits_of_all_kinds_and_wrong_semantic_ones() -> None:
    run = run_of(
        Outcome("exact", 0.0, True, None),
        Outcome("semantic", 0.99, True, 0.95),
        Outcome("semantic", 0.98, False, 0.95, is_audited=True),
        Outcome("miss", 0.5, True, 0.95),
    )
    assert (run.requests, run.hits, run.correct, run.wrong, run.audited) == (4, 2, 2, 1, 1)


def test_hindsight_takes_the_loosest_kappa_that_keeps_the_budget() -> None:
    claims = [(0.99, True), (0.98, True), (0.97, False), (0.96, True), (0.95, False)]
    run = run_of(*(Outcome("miss", p, right, math.inf) for p, right in claims), Outcome("exact", 0.0, True, None))
    assert run.sweep(0.0) == (3 / 6, 0.98)
    assert run.sweep(0.3) == (4 / 6, 0.96)
    assert run.sweep(0.5) == (4 / 6, 0.95)


def test_hindsight_serves_all_that_are_as_sure_or_none_of_them() -> None:
    claims = [(0.99, True), (0.98, True), (0.98, False), (0.97, True)]
    run = run_of(*(Outcome("miss", p, right, math.inf) for p, right in claims))
    assert run.sweep(0.0) == (1 / 4, 0.99)
    assert run.sweep(0.25) == (3 / 4, 0.97)


def test_hindsight_serves_nothing_semantically_where_the_surest_is_wrong() -> None:
    assert run_of(Outcome("miss", 0.99, False, math.inf)).sweep(0.01) == (0.0, 1.0)


# --- The cache of a replay ----------------------------------------------------------------------------------------


async def test_precomputed_vectors_are_looked_up_and_others_asked_for_once() -> None:
    asked: list[str] = []

    def encode(text: str) -> np.ndarray:
        asked.append(text)
        return pointing(45)

    encoder = Precomputed({"known": pointing(0)}, encode=encode)
    assert np.allclose(await encoder.encode("known"), pointing(0))
    for _ in range(2):
        assert np.allclose(await encoder.encode("new"), pointing(45))
    assert asked == ["new"]


@pytest.mark.parametrize(("screen", "disposition"), [(judge_everything, "miss"), (cacheability, "bypass")])
async def test_streams_are_judged_whatever_they_ask_and_the_gateway_is_not(screen: object, disposition: str) -> None:
    cache = open_cache({"Where is my parcel?": pointing(0)}, PLAIN, screen=screen)  # type: ignore[arg-type]
    found = await cache.lookup(query_of("Where is my parcel?", policy_of(0.01, "prior"), "1"))
    assert found.disposition == disposition
    cache.close()
