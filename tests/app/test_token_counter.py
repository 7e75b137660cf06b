"""What counting in a process of its own promises: numbers, or none, and nobody is kept waiting or left over."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.token_counter import TokenCounter
from router.tokens import input_estimate, token_count

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello world, 你好"}]}


@pytest.fixture
async def counter() -> AsyncIterator[TokenCounter]:
    counter = TokenCounter()
    yield counter
    await counter.close()


async def test_a_request_and_its_answer_have_the_tokens_of_the_vocabulary(counter: TokenCounter) -> None:
    assert await counter.count(ASKED, "Half an answer") == (input_estimate(ASKED), token_count("Half an answer"))


@pytest.mark.parametrize("written", ["", "\u2028\n\u0085", "\ud800", "x" * 100_000])
async def test_any_text_is_counted(counter: TokenCounter, written: str) -> None:
    assert await counter.count(ASKED, written) == (input_estimate(ASKED), token_count(written))


@pytest.mark.parametrize("odd", [{}, {"messages": None}, {"messages": [1]}])
async def test_what_cannot_be_counted_is_none_and_the_next_one_is_counted(
    counter: TokenCounter, odd: dict[str, Any]
) -> None:
    assert await counter.count(odd) is None
    assert await counter.count(ASKED) == (input_estimate(ASKED), 0)


async def test_a_very_long_answer_is_counted_by_its_beginning(counter: TokenCounter) -> None:
    written = "All of it is like this. " * 100_000

    counts = await counter.count(ASKED, written)

    assert counts is not None
    assert counts[1] == pytest.approx(token_count(written), rel=0.01)


async def test_many_at_once_get_each_their_own(counter: TokenCounter) -> None:
    texts = ["a " * size for size in range(50)]

    found = await asyncio.gather(*(counter.count(ASKED, text) for text in texts))

    assert found == [(input_estimate(ASKED), token_count(text)) for text in texts]


async def test_who_gives_up_leaves_no_answer_to_the_next_one(counter: TokenCounter) -> None:
    await counter.count(ASKED)
    waiting = asyncio.create_task(counter.count(ASKED, "x" * 3_000_000))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await counter.count(ASKED, "Hello") == (input_estimate(ASKED), 1)


async def test_a_process_that_died_is_started_anew(counter: TokenCounter) -> None:
    await counter.count(ASKED)
    assert counter.pid is not None
    os.kill(counter.pid, signal.SIGKILL)

    found = [await counter.count(ASKED, "Hello") for _ in range(2)]

    assert found[-1] == (input_estimate(ASKED), 1)


async def test_there_is_no_process_before_the_first_question_and_none_after_the_end(counter: TokenCounter) -> None:
    assert counter.pid is None

    await counter.count(ASKED)
    pid = counter.pid
    assert pid is not None
    await counter.close()

    assert counter.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
