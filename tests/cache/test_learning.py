"""What is learnt from fresh answers in the background."""

from cache.learning import _WAITING_AT_MOST
from tests.cache.asking import ANSWER, FAR, OTHER, PARAPHRASE, QUESTION, REWORDED, Kept, ask, disposed


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
