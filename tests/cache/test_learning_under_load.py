"""While requests want all of the processor, answers are stored, and what they teach waits; but not without end."""

import asyncio
import time
from typing import Any

from msgspec.structs import replace

from cache.query import Directives
from tests.cache.asking import ANSWER, PARAPHRASE, REWORDED, ByLabel, Keep, Kept, ask


async def store(kept: Kept, query: Any, text: str) -> None:
    """A fresh answer, whatever would have been served."""
    kept.answer(await kept(replace(query, directives=Directives(no_cache=True))), text)


async def rounds(count: int = 50) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_comes_while_it_is_busy_is_stored_and_teaches_once_there_is_time(kept: Kept) -> None:
    await kept.learn(ask())
    kept.cache.is_busy = lambda: True
    await store(kept, ask(PARAPHRASE), REWORDED)
    await rounds()
    assert (kept.count("entries"), kept.count("groups")) == (2, 2)
    assert (await kept(ask(PARAPHRASE))).payload == REWORDED.encode()

    kept.cache.is_busy = lambda: False
    await kept.cache.settle()
    assert (kept.count("groups"), kept.count("lessons_skipped")) == (1, 0)


async def test_what_is_too_much_to_wait_is_stored_and_counted_and_teaches_nothing(kept: Kept) -> None:
    await kept.learn(ask())
    kept.cache.is_busy = lambda: True
    for number in range(510):
        await store(kept, ask(f"{PARAPHRASE} {number}"), f"forgot: wording {number}")

    kept.cache.is_busy = lambda: False
    await kept.cache.settle()
    skipped = kept.count("lessons_skipped")
    assert 0 < skipped <= 10
    assert kept.count("groups") == 1 + skipped


async def test_what_waits_goes_on_waiting_until_there_is_time(kept: Kept) -> None:
    await kept.learn(ask())
    await store(kept, ask(PARAPHRASE), REWORDED)

    kept.cache.is_busy = lambda: True
    await rounds()
    assert kept.count("groups") == 2

    kept.cache.is_busy = lambda: False
    await kept.cache.settle()
    assert (kept.count("groups"), kept.count("lessons_skipped")) == (1, 0)


async def test_whoever_closes_the_cache_does_not_wait_for_quieter_times(keep: Keep) -> None:
    kept = keep()
    await kept.learn(ask())
    await store(kept, ask(PARAPHRASE), ANSWER)
    kept.cache.is_busy = lambda: True

    await asyncio.wait_for(kept.cache.settle(), 10)


async def test_learning_keeps_up_with_requests_that_never_pause(kept: Kept) -> None:
    await kept.learn(ask())
    for number in range(20):
        await store(kept, ask(f"{PARAPHRASE} {number}"), f"forgot: wording {number}")

    for _ in range(20 * 15):  # as often as the event loop turns for so many requests
        until = time.perf_counter() + 3e-4
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)

    assert kept.count("groups") == 1


class Slow(ByLabel):
    """Takes a millisecond for each comparison."""

    def sameness(self, one: str, two: str, cosine: float) -> float:
        work(1e-3)
        return super().sameness(one, two, cosine)


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_where_many_answers_wait_learning_gets_as_much_time_as_requests(keep: Keep) -> None:
    kept = keep(comparison=Slow())
    await kept.learn(ask())
    for number in range(30):
        await store(kept, ask(f"{PARAPHRASE} {number}"), f"forgot: wording {number}")

    for _ in range(800):  # some 250 do; if each comparison waited for a quiet round, it would take thousands
        if kept.count("groups") == 1:
            break
        work(5e-3)
        await asyncio.sleep(0)

    assert kept.count("groups") == 1


async def test_whoever_closes_the_cache_waits_no_longer_than_agreed(kept: Kept) -> None:
    await kept.learn(ask())
    for number in range(300):
        await store(kept, ask(f"{PARAPHRASE} {number}"), f"forgot: wording {number}")
    await kept.cache.settle(0.001)
    assert 0 < kept.count("lessons_skipped") < 300
    assert kept.count("groups") == 1 + kept.count("lessons_skipped")
