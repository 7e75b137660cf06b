"""What slots promise: never more calls than the limit, the important ones first, and nobody waits in vain."""

import asyncio
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.concurrency import AdaptiveLimit, Slots
from router.errors import Overloaded
from tests.router.samples import quick

LONG = 60.0


def slots(at_most: int = 2, queue: int = 10, queue_s: float = LONG) -> Slots:
    return Slots(AdaptiveLimit(at_most), queue, queue_s)


def full(at_most: int = 2, queue: int = 10, queue_s: float = LONG) -> Slots:
    found = slots(at_most, queue, queue_s)
    for _ in range(at_most):
        assert found.take()
    return found


async def settled() -> None:
    """Lets every task go on as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def waiting(found: Slots, *ranks: int, at_most_s: float = LONG) -> list[asyncio.Task[None]]:
    tasks = []
    for rank in ranks:
        tasks.append(asyncio.create_task(found.wait(rank, at_most_s)))
        await settled()
    return tasks


async def fails(awaited: Awaitable[None]) -> bool:
    try:
        await awaited
    except Overloaded:
        return True
    return False


def test_there_are_as_many_slots_as_the_limit_says() -> None:
    found = slots(3)

    assert [found.take() for _ in range(4)] == [True, True, True, False]
    found.give_back(0.1)
    assert found.take()


async def test_who_waits_gets_the_next_free_slot() -> None:
    found = full()
    (task,) = await waiting(found, 1)

    found.give_back(0.1)
    await asyncio.wait_for(task, 5)

    assert (found.in_use, found.waiting) == (2, 0)


async def test_nobody_overtakes_those_who_wait() -> None:
    found = full()
    tasks = await waiting(found, 1, 1)
    found.give_back(0.1)

    assert not found.take()

    await settled()
    assert [task.done() for task in tasks] == [True, False]
    tasks[1].cancel()


async def test_the_more_important_go_first_and_equals_in_their_order() -> None:
    found = full()
    tasks = await waiting(found, 2, 1, 0, 1)
    order = []
    for at, task in enumerate(tasks):
        task.add_done_callback(lambda _, at=at: order.append(at))

    for _ in tasks:
        found.give_back(0.1)
        await settled()

    assert order == [2, 1, 3, 0]


async def test_a_full_queue_sends_equals_away_at_once() -> None:
    found = full(queue=1)
    tasks = await waiting(found, 1)

    assert await fails(found.wait(1, LONG))
    assert not tasks[0].done()
    tasks[0].cancel()


async def test_the_last_of_the_less_important_makes_room_for_a_more_important_one() -> None:
    found = full(queue=2)
    first, last = await waiting(found, 2, 2)

    (important,) = await waiting(found, 0)

    assert await fails(last)
    assert not first.done()
    found.give_back(0.1)
    await asyncio.wait_for(important, 5)
    first.cancel()


async def test_who_would_wait_too_long_is_told_at_once() -> None:
    found = full(at_most=1)
    found.give_back(10.0)  # calls hold their slot for ten seconds
    assert found.take()

    with pytest.raises(Overloaded) as refused:
        await found.wait(1, at_most_s=5.0)

    assert refused.value.retry_after_s == 10.0
    assert found.waiting == 0


async def test_whose_time_is_over_is_sent_away_and_takes_no_slot() -> None:
    found = full()

    assert await fails(found.wait(1, at_most_s=0.01))

    found.give_back(0.1)
    assert (found.in_use, found.waiting) == (1, 0)


async def test_who_leaves_the_queue_leaves_no_trace() -> None:
    found = full()
    tasks = await waiting(found, 1, 1)
    tasks[0].cancel()
    await settled()

    found.give_back(0.1)
    await asyncio.wait_for(tasks[1], 5)

    assert (found.in_use, found.waiting) == (2, 0)


async def test_a_slot_that_came_too_late_goes_to_the_next() -> None:
    found = full()
    left, stays = await waiting(found, 1, 1)
    found.give_back(0.1)
    left.cancel()  # in the very moment in which it got its slot
    await asyncio.wait_for(stays, 5)

    assert (found.in_use, found.waiting) == (2, 0)


async def test_who_would_be_refused_can_be_told_without_being_asked() -> None:
    found = full(queue=1)
    assert not found.would_refuse(1)

    (task,) = await waiting(found, 1)

    assert found.would_refuse(1)
    assert not found.would_refuse(0)  # a more important one would be let in
    found.give_back(0.1)
    await asyncio.wait_for(task, 5)
    assert not found.would_refuse(1)


async def test_without_a_queue_nobody_waits() -> None:
    assert await fails(full(queue=0).wait(0, LONG))


# --- the limit ----------------------------------------------------------------------------------------------------


def test_a_limited_rate_cuts_the_limit_once_for_each_burst() -> None:
    limit = AdaptiveLimit(100)
    for at in (0.0, 0.1, 0.4):
        limit.limited(at)
    assert limit.value == 70

    limit.limited(1.0)
    assert limit.value == 49


def test_it_never_falls_below_two() -> None:
    limit = AdaptiveLimit(100)
    for at in range(100):
        limit.limited(float(at))

    assert limit.value == 2
    assert AdaptiveLimit(1).value == 1


def test_it_grows_by_one_for_every_ten_good_answers_and_faster_while_it_is_small() -> None:
    limit = AdaptiveLimit(100)
    for at in range(4):
        limit.limited(float(at))
    assert limit.value == 24

    for _ in range(20):
        limit.answered(10.0, 0.1, in_use=24)
    assert limit.value == 26

    for at in range(20, 40):
        limit.limited(float(at))
    for _ in range(3):
        limit.answered(50.0, 0.1, in_use=2)
    assert limit.value == 3


def test_it_grows_up_to_where_it_began_and_no_further() -> None:
    limit = AdaptiveLimit(10)
    limit.limited(0.0)
    for _ in range(1000):
        limit.answered(10.0, 0.1, in_use=10)

    assert limit.value == 10


def test_a_limit_that_nobody_uses_is_no_reason_to_raise_it() -> None:
    limit = AdaptiveLimit(100)
    limit.limited(0.0)
    for _ in range(1000):
        limit.answered(10.0, 0.1, in_use=1)

    assert limit.value == 70


def test_answers_that_become_much_slower_under_load_cut_it() -> None:
    limit = AdaptiveLimit(100)
    for _ in range(50):
        limit.answered(0.0, 0.1, in_use=90)
    for at in range(60):
        limit.answered(float(at), 2.0, in_use=90)

    assert 2 <= limit.value < 90


def test_slow_answers_without_load_cut_nothing() -> None:
    limit = AdaptiveLimit(100)
    for _ in range(50):
        limit.answered(0.0, 0.1, in_use=3)
    for at in range(60):
        limit.answered(float(at), 2.0, in_use=3)

    assert limit.value == 100


@quick
@given(st.lists(st.sampled_from(["take", "wait", "give back", "leave", "limited"]), max_size=60))
async def test_whatever_happens_slots_are_neither_lost_nor_made_up(steps: list[str]) -> None:
    found, held, tasks, now = slots(3, queue=4), 0, [], 0.0
    for step in steps:
        now += 1.0
        if step == "take":
            held += found.take()
        elif step == "wait":
            tasks += await waiting(found, len(tasks) % 3)
        elif step == "limited":
            found.limit.limited(now)
        elif step == "leave" and tasks:
            tasks[0].cancel()
        elif step == "give back" and held:
            held -= 1
            found.give_back(0.001)
        await settled()
        held += sum(task.done() and not task.cancelled() and task.exception() is None for task in tasks)
        tasks = [task for task in tasks if not task.done()]
        assert found.in_use == held <= 3
        assert found.waiting == len(tasks) <= 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert found.waiting == 0
