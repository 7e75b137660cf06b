"""What is learnt from fresh answers in the background."""

import pytest

from cache.answers import COMPARED_AT_MOST, WordedComparison
from cache.groups import LONGEST_FOUNDER
from cache.learning import _WAITING_AT_MOST
from cache.query import Directives
from cache.sameness import Verdict
from tests.cache.asking import ANSWER, FAR, OTHER, PARAPHRASE, QUESTION, REWORDED, Keep, Kept, ask, disposed, served

COLOURS = "red blue green white black brown amber olive pearl coral".split()
STEPS = [
    f"{at + 1}. For the {colour} {plan} plan open the settings and set its limit to {7 * at + 3} requests per day."
    for at, (plan, colour) in enumerate(
        (plan, colour) for plan in ("team", "home", "farm", "port", "mine") for colour in COLOURS
    )
]
LONG = " ".join(STEPS)
LAST_CHANGED = LONG.replace(STEPS[-1], STEPS[-1].replace("346", "500"))
MUCH_LONGER = " ".join(STEPS * (COMPARED_AT_MOST // len(LONG) + 1))


async def test_answers_are_learnt_from_in_their_order(kept: Kept) -> None:
    texts, answers = (QUESTION, PARAPHRASE, FAR), (ANSWER, REWORDED, OTHER)
    lookups = [await kept(ask(text), may_join=False) for text in texts]
    for lookup, answer in zip(lookups, answers, strict=True):
        kept.answer(lookup, answer)
    assert kept.count("groups") == 3
    await kept.cache.settle()
    assert (kept.count("entries"), kept.count("groups"), kept.faults) == (3, 2, [])


async def test_what_there_is_no_time_to_learn_is_stored_and_served_all_the_same(kept: Kept) -> None:
    lookups = [await kept(ask(f"What is matter {number}?"), may_join=False) for number in range(_WAITING_AT_MOST + 9)]
    for lookup in lookups:
        kept.answer(lookup, ANSWER)
    assert kept.count("entries") == len(lookups)
    await kept.cache.settle()
    assert disposed(await kept(ask(f"What is matter {_WAITING_AT_MOST + 8}?"))) == ("exact", "same-text")


async def test_an_answer_in_the_place_of_another_leaves_one_entry_however_much_waits(kept: Kept) -> None:
    first = [await kept(ask(f"What is matter {number}?"), may_join=False) for number in range(_WAITING_AT_MOST + 9)]
    for lookup in (*first, first[-1]):
        kept.answer(lookup, ANSWER)
    await kept.cache.settle()
    assert kept.count("entries") == len(first)


async def test_an_answer_in_the_place_of_another_leaves_one_entry_when_there_is_no_time_to_learn(kept: Kept) -> None:
    texts = [f"What is matter {number}?" for number in range(9)]
    for answer in (ANSWER, OTHER):
        lookups = [await kept(ask(text, directives=Directives(no_cache=True))) for text in texts]
        for lookup in lookups:
            kept.answer(lookup, answer)
        await kept.cache.settle(0 if answer == OTHER else None)
    assert kept.count("lessons_skipped") > 0
    assert kept.count("entries") == len(texts)
    assert served(await kept(ask(texts[-1]))) == OTHER


@pytest.mark.parametrize(
    ("served", "fresh", "verdict"),
    [
        (LONG, f"Sure! {LONG}", "same"),
        (LONG, f"Sure! {LAST_CHANGED}", "different"),
        (MUCH_LONGER, f"Sure! {MUCH_LONGER}", "unclear"),
    ],
)
async def test_a_long_answer_is_compared_to_its_end_or_not_at_all(
    keep: Keep, served: str, fresh: str, verdict: Verdict
) -> None:
    assert len(served) > LONGEST_FOUNDER
    assert LAST_CHANGED != LONG
    kept = keep(comparison=WordedComparison())
    await kept.learn(ask(QUESTION), served)

    hit = await kept(ask(PARAPHRASE, may_audit=True))

    assert (hit.disposition, await kept.audit(hit, fresh)) == ("semantic", verdict)
