"""The checks of the chaos runs can fail: each kind of bad answer is called what it is."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from benchmarks.askers import Askers, Checker, Line, Outcome, Reply, dechunked
from benchmarks.faulty import DONE, Answered
from benchmarks.tokens import Stamp, answer, token_of

TOKEN, OTHER = token_of("one question"), token_of("another question")
RIGHT = Answered(1, answer(TOKEN, Stamp("primary", 1)))
FOREIGN = Answered(2, answer(OTHER, Stamp("primary", 2)))
ERROR = b'data: {"error": {"message": "It broke off.", "type": "server_error", "param": null, "code": null}}\n\n'


def judged(
    body: bytes, *, is_stream: bool = False, status: int = 200, head: bytes = b"", trouble: str = ""
) -> tuple[str, str]:
    outcome = Checker().judge(TOKEN, is_stream, Reply(status, head, body, 0.1, 0.2, trouble))
    return outcome.verdict, outcome.detail


def changed(**fields: Any) -> bytes:
    """The right JSON answer with other fields in its choice."""
    body = json.loads(RIGHT.body())
    body["choices"][0] |= fields
    return json.dumps(body).encode()


def says(text: str) -> bytes:
    return changed(message={"role": "assistant", "content": text})


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_the_right_json_answer_is_answered() -> None:
    assert judged(RIGHT.body()) == ("answered", "")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (FOREIGN.body(), "foreign"),
        (says(RIGHT.text[:-5]), "truncated"),
        (says(RIGHT.text * 2), "duplicated"),
        (says("Sorry, no."), "garbled"),
        (changed(finish_reason="length"), "finish length"),
        (b"{}", "no answer in the body"),
        (RIGHT.body()[:-9], "no answer in the body"),
        (b'{"error": {"message": "no"}}', "no answer in the body"),
        (b"<html></html>", "no answer in the body"),
    ],
)
def test_a_success_that_is_not_the_right_answer_is_wrong(body: bytes, detail: str) -> None:
    assert judged(body) == ("wrong", detail)


def test_an_answer_that_comes_to_two_requests_is_wrong_the_second_time() -> None:
    checker, reply = Checker(), Reply(200, b"", RIGHT.body(), 0.1, 0.2)

    assert [checker.judge(TOKEN, False, reply).detail for _ in range(2)] == ["", "repeated"]


def test_an_answer_from_the_cache_may_come_again() -> None:
    checker, reply = Checker(once=False), Reply(200, b"", RIGHT.body(), 0.1, 0.2)

    assert [checker.judge(TOKEN, False, reply).verdict for _ in range(2)] == ["answered", "answered"]


def test_a_proper_error_is_a_refusal_with_its_status_and_code() -> None:
    body = b'{"error": {"message": "Busy.", "type": "server_error", "param": null, "code": "overloaded"}}'

    assert judged(body, status=503, head=b"\r\nretry-after: 1\r\n") == ("refused", "503 overloaded")
    assert judged(body, status=503) == ("refused", "503 overloaded without Retry-After")


def test_an_error_without_a_proper_body_is_lost() -> None:
    assert judged(b"Internal Server Error", status=500) == ("lost", "500 without a proper error")


def test_an_answer_whose_connection_broke_is_lost() -> None:
    assert judged(RIGHT.body()[:50], trouble="closed") == ("lost", "closed")


# --- streams ---------------------------------------------------------------------------------------------------------


def streamed(*events: bytes, trouble: str = "") -> tuple[str, str]:
    return judged(b"".join(events), is_stream=True, trouble=trouble)


def test_the_right_stream_is_answered() -> None:
    assert streamed(*RIGHT.events()) == ("answered", "")


def test_comments_in_a_stream_say_nothing() -> None:
    assert streamed(b": still there\n\n", *RIGHT.events()) == ("answered", "")


@pytest.mark.parametrize("length", range(1, len(RIGHT.events()) - 2))
def test_a_stream_that_ends_early_in_an_error_event_is_broken_off(length: int) -> None:
    assert streamed(*RIGHT.events()[:length], ERROR) == ("broken off", "")


@pytest.mark.parametrize("length", range(1, len(RIGHT.events()) - 3))
def test_a_stream_that_lacks_a_piece_and_says_done_is_wrong(length: int) -> None:
    assert streamed(*RIGHT.events()[:length], DONE)[0] == "wrong"


@pytest.mark.parametrize("length", range(len(RIGHT.events())))
def test_a_stream_that_ends_without_a_word_is_lost(length: int) -> None:
    assert streamed(*RIGHT.events()[:length]) == ("lost", "a stream without an end")


@pytest.mark.parametrize("at", range(1, len(RIGHT.events()) - 3))
def test_a_stream_with_a_piece_that_comes_twice_is_wrong(at: int) -> None:
    events = RIGHT.events()

    assert streamed(*events[: at + 1], *events[at:])[0] == "wrong"


def test_a_stream_that_goes_on_in_another_answer_is_wrong() -> None:
    assert streamed(*RIGHT.events()[:3], *FOREIGN.events()[3:])[0] == "wrong"


def test_a_stream_of_another_answer_is_wrong_even_if_it_breaks_off() -> None:
    assert streamed(*FOREIGN.events()) == ("wrong", "foreign")
    assert streamed(*FOREIGN.events()[:3], ERROR)[0] == "wrong"


@pytest.mark.parametrize("more", [RIGHT.events()[2], DONE, ERROR])
def test_a_stream_that_says_more_after_its_end_is_wrong(more: bytes) -> None:
    assert streamed(*RIGHT.events(), more)[0] == "wrong"


def test_a_stream_of_anything_else_is_wrong() -> None:
    assert streamed(b"data: {half\n\n", DONE) == ("wrong", "no proper events")


def test_a_stream_whose_error_has_no_proper_form_is_wrong() -> None:
    assert streamed(*RIGHT.events()[:3], b'data: {"error": "broke"}\n\n') == ("wrong", "no proper events")


def test_a_stream_that_says_done_but_whose_connection_broke_is_lost() -> None:
    assert streamed(*RIGHT.events(), trouble="broken chunks") == ("lost", "broken chunks")


# --- the wire ------------------------------------------------------------------------------------------------------


async def sent_back(*parts: bytes, closes: bool = False, patience_s: float = 5.0) -> Reply:
    """What a client makes of these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        if not closes:
            with suppress(ConnectionError):
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port)
    reply = await line.send(b"GET / HTTP/1.1\r\n\r\n", patience_s)
    line.close()
    await ended.wait()
    server.close()
    await server.wait_closed()
    return reply


HEAD = b"HTTP/1.1 200 OK\r\nX-Request-Id: r1\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


async def test_an_answer_with_a_length_is_read_however_it_is_cut() -> None:
    whole = HEAD + b"content-length: 5\r\n\r\nHello"

    reply = await sent_back(*(whole[at : at + 1] for at in range(len(whole))))

    assert (reply.status, reply.body, reply.trouble) == (200, b"Hello", "")


async def test_an_answer_in_chunks_is_put_together() -> None:
    reply = await sent_back(CHUNKED, b"3\r\nHel\r\n", b"2\r\nlo\r\n0\r\n", b"\r\n")

    assert (reply.body, reply.trouble) == (b"Hello", "")


@pytest.mark.parametrize("parts", [(), (HEAD,), (HEAD + b"content-length: 5\r\n\r\nHell",), (CHUNKED, b"3\r\nHel\r\n")])
async def test_a_connection_that_is_closed_within_an_answer_is_trouble(parts: tuple[bytes, ...]) -> None:
    assert (await sent_back(*parts, closes=True)).trouble == "closed"


async def test_an_answer_that_never_ends_is_trouble_once_patience_is_over() -> None:
    reply = await sent_back(CHUNKED, b"3\r\nHel\r\n", patience_s=0.05)

    assert (reply.trouble, reply.body) == ("no end in time", b"Hel")


def test_chunks_without_their_last_one_are_not_whole() -> None:
    assert dechunked(b"3\r\nHel\r\n") == (b"Hel", False)
    assert dechunked(b"3\r\nHel\r\n0\r\n\r\n") == (b"Hel", True)
    assert dechunked(b"zz\r\n") == (b"", False)


async def test_a_server_that_is_not_there_loses_the_request() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

    outcome: Outcome = await Askers(port, Checker()).ask("key", "auto", "Hello?", is_stream=False)

    assert (outcome.verdict, outcome.detail) == ("lost", "ConnectionRefusedError")
