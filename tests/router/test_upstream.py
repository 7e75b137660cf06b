"""What a call promises whatever the provider does: the answer byte for byte, or a typed error to act upon."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest

from router.catalogue import Deployment, Provider, Simulation
from router.chat import ChatEvent
from router.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamMalformed,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from router.prices import Priced
from router.protocols import openai
from router.protocols.wire import Wire as WireRequest
from router.retry import wait_before_repeat_s
from router.simulated import SimulatedProvider
from router.sse import MAX_BLOCK_BYTES
from router.upstream import MAX_ANSWER_BYTES, OpenCall, Upstream, open_transport
from router.usage import Usage
from tests.router.misbehaving import (
    DONE,
    FINISH,
    STREAM,
    USAGE,
    MisbehavingProvider,
    Script,
    Wire,
    body,
    chunk,
    misbehaving,
)

KEY = "sk-very-secret-key"
REQUEST = WireRequest(
    "/chat/completions", json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}]}).encode()
)
EVENTS = "text/event-stream"


class Line:
    """A gateway's line to one script of a misbehaving provider."""

    def __init__(self, provider: MisbehavingProvider, upstream: Upstream, deployment: Deployment) -> None:
        self.provider = provider
        self._upstream = upstream
        self._deployment = deployment

    async def open(self, *, stream: bool = True) -> OpenCall:
        return await self._upstream.open(self._deployment, REQUEST, is_stream=stream, api_key=KEY)

    async def events(self, *, stream: bool = True) -> list[ChatEvent]:
        return [event async for event in (await self.open(stream=stream)).events()]

    @property
    def attempts(self) -> int:
        return len(self.provider.requests)


@asynccontextmanager
async def line_to(script: Script | None, **fields: Any) -> AsyncIterator[Line]:
    """A line to this script, or to a port where nobody listens. Once it is closed, no connection may be left."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(misbehaving({"script": script} if script else {}))
        url = provider.url("script") if script else f"http://127.0.0.1:{closed_port()}"
        settings = Provider(**({"name": "acme", "base_url": url, "api_keys": (KEY,)} | fields))
        upstream = Upstream({"acme": open_transport(settings)})
        stack.push_async_callback(provider.until, lambda seen: seen.open_connections == 0)
        stack.push_async_callback(upstream.close)
        await stack.enter_async_context(asyncio.timeout(20))  # what hangs fails
        yield Line(provider, upstream, Deployment("acme/m", settings, "m", Priced("acme", "m")))


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def read(call: OpenCall, into: list[ChatEvent]) -> None:
    async for event in call.events():
        into.append(event)


def raw(events: list[ChatEvent]) -> bytes:
    return b"".join(event.raw for event in events)


def text(events: list[ChatEvent]) -> Any:
    return openai.body_from_events(events)["choices"][0]["message"]["content"]


# --- answers that are fine, however they come ---------------------------------------------------------------


async def test_a_json_answer_passes_byte_for_byte() -> None:
    odd = body("é 🙂").replace(b", ", b" ,\n\t")

    async with line_to(lambda wire: wire.answer(odd)) as line:
        (event,) = await line.events(stream=False)

    assert (event.kind, event.raw, event.usage) == ("body", odd, Usage(input=3, output=2))


async def test_a_stream_passes_byte_for_byte() -> None:
    odd = STREAM.replace(b"\n\n", b"\r\n\r\n: still here\r\n\r\n", 1).replace(b"data: ", b"id: 7\ndata:", 1)

    async with line_to(lambda wire: wire.chunked(odd)) as line:
        events = await line.events()

    assert raw(events) == odd
    assert [event.kind for event in events] == ["chunk", "comment", "chunk", "chunk", "chunk", "done"]
    assert events[-2].usage == Usage(input=3, output=2)


async def test_a_stream_that_comes_byte_by_byte_passes_byte_for_byte() -> None:
    async def script(wire: Wire) -> None:
        await wire.head(200, EVENTS)
        await wire.slowly(STREAM)

    async with line_to(script) as line:
        events = await line.events()

    assert raw(events) == STREAM
    assert text(events) == "Hello 🙂 é"


async def test_a_character_that_is_cut_by_a_chunks_edge_stays_whole() -> None:
    middle = STREAM.index("🙂".encode()) + 2

    async with line_to(lambda wire: wire.chunked(STREAM[:middle], STREAM[middle:])) as line:
        events = await line.events()

    assert text(events) == "Hello 🙂 é"


async def test_a_stream_that_ends_after_its_finish_without_done_gets_its_end_from_us() -> None:
    async with line_to(lambda wire: wire.chunked(chunk("Hi"), FINISH, USAGE)) as line:
        events = await line.events()

    assert raw(events) == chunk("Hi") + FINISH + USAGE + DONE
    assert events[-1].is_last


async def test_a_done_without_its_blank_line_is_completed() -> None:
    async with line_to(lambda wire: wire.chunked(chunk("Hi"), FINISH, b"data: [DONE]")) as line:
        events = await line.events()

    assert raw(events) == chunk("Hi") + FINISH + DONE


async def test_a_finish_without_its_blank_line_is_completed() -> None:
    async with line_to(lambda wire: wire.chunked(chunk("Hi"), FINISH.rstrip())) as line:
        events = await line.events()

    assert raw(events) == chunk("Hi") + FINISH + DONE


async def test_half_an_event_behind_the_finish_is_dropped() -> None:
    async with line_to(lambda wire: wire.chunked(chunk("Hi"), FINISH, USAGE[:20])) as line:
        events = await line.events()

    assert raw(events) == chunk("Hi") + FINISH + DONE


async def test_what_comes_behind_done_is_not_read() -> None:
    async with line_to(lambda wire: wire.chunked(STREAM, b"data: garbage\n\n")) as line:
        assert raw(await line.events()) == STREAM


async def test_a_json_answer_to_a_request_for_a_stream_is_taken_as_it_is() -> None:
    async with line_to(lambda wire: wire.answer(body())) as line:
        (event,) = await line.events(stream=True)

    assert (event.kind, event.is_last) == ("body", True)


@pytest.mark.parametrize("content_type", ["text/event-stream; charset=utf-8", "Text/Event-Stream"])
async def test_a_stream_is_known_by_its_content_type_however_that_is_written(content_type: str) -> None:
    async with line_to(lambda wire: wire.chunked(STREAM, content_type=content_type)) as line:
        assert raw(await line.events()) == STREAM


async def test_the_request_is_sent_as_given_with_our_key_and_for_an_uncompressed_answer() -> None:
    async with line_to(lambda wire: wire.answer(body())) as line:
        await line.events(stream=False)
        (seen,) = line.provider.requests

    assert seen.body == REQUEST.body
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.headers["accept-encoding"], seen.headers["content-type"]) == ("identity", "application/json")


# --- failures before the first event ------------------------------------------------------------------------


async def reset(wire: Wire) -> None:
    wire.reset()


async def hang_up(wire: Wire) -> None:
    pass


async def hang(wire: Wire) -> None:
    await wire.hang()


async def half_a_head(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


async def no_http(wire: Wire) -> None:
    await wire.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")


async def head_then_reset(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    wire.reset()


async def head_then_hang(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.hang()


async def head_then_end(wire: Wire) -> None:
    await wire.head(200, EVENTS)


async def short_of_its_length(wire: Wire) -> None:
    await wire.head(200, "application/json", "content-length: 1000")
    await wire.send(body()[:50])


async def json_within_chunks(wire: Wire) -> None:
    await wire.chunked(body()[:50], content_type="application/json", ends=False)


async def truncated(wire: Wire) -> None:
    await wire.answer(body()[:-20])


async def html(wire: Wire) -> None:
    await wire.answer(b"<html>Welcome</html>", 200, "text/html")


async def compressed(wire: Wire) -> None:
    await wire.answer(b"\x1f\x8b\x08\x00\x00", 200, "application/json", "content-encoding: gzip")


async def nothing(wire: Wire) -> None:
    await wire.answer(b"")


async def garbled_event(wire: Wire) -> None:
    await wire.chunked(b"data: {garbled\n\n")


async def error_as_a_success(wire: Wire) -> None:
    await wire.answer(b'{"error": {"message": "Overloaded", "type": "server_error"}}')


async def error_as_an_event(wire: Wire) -> None:
    await wire.chunked(b'data: {"error": {"message": "Overloaded"}}\n\n')


def status(code: int, *more: str) -> Script:
    """An error that repeats what it should keep to itself."""

    async def script(wire: Wire) -> None:
        said = f"Bad key {wire.seen.headers['authorization']} for http://{wire.seen.headers['host']}"
        await wire.answer(
            json.dumps({"error": {"message": said, "code": said}}).encode(), code, "application/json", *more
        )

    return script


def patience(script: Script | None) -> dict[str, float]:
    """How long to wait for a script that hangs."""
    if script is hang:
        return {"first_event_timeout_s": 0.25}
    return {"idle_timeout_s": 0.25} if script in (head_then_hang, hang_midway) else {}


FAILURES: dict[str, tuple[Script | None, type[UpstreamError], bool, str, bool]] = {
    # script, error, retryable, billed, whether it may be repeated at the same place
    "nobody listens": (None, UpstreamUnreachable, True, "no", True),
    "reset before the head": (reset, UpstreamCut, True, "unknown", False),
    "hangs up before the head": (hang_up, UpstreamCut, True, "unknown", False),
    "hangs before the head": (hang, UpstreamTimeout, True, "unknown", False),
    "half a head": (half_a_head, UpstreamCut, True, "unknown", False),
    "does not speak HTTP": (no_http, UpstreamCut, True, "unknown", False),
    "hangs behind the head": (head_then_hang, UpstreamTimeout, True, "unknown", False),
    "shorter than its length": (short_of_its_length, UpstreamCut, True, "unknown", False),
    "broken off within chunks": (json_within_chunks, UpstreamCut, True, "unknown", False),
    "truncated JSON": (truncated, UpstreamMalformed, True, "unknown", False),
    "a web page": (html, UpstreamMalformed, True, "unknown", False),
    "compressed all the same": (compressed, UpstreamMalformed, True, "unknown", False),
    "nothing at all": (nothing, UpstreamMalformed, True, "unknown", False),
    "an error as a success": (error_as_a_success, UpstreamRejected, True, "no", True),
    "400": (status(400), UpstreamRejected, False, "no", False),
    "401": (status(401), UpstreamRejected, True, "no", False),
    "402": (status(402), UpstreamRejected, True, "no", False),
    "403": (status(403), UpstreamRejected, True, "no", False),
    "404": (status(404), UpstreamRejected, False, "no", False),
    "408": (status(408), UpstreamRejected, True, "no", True),
    "422": (status(422), UpstreamRejected, False, "no", False),
    "429": (status(429), UpstreamRejected, True, "no", True),
    "429 with a long wait": (status(429, "retry-after: 60"), UpstreamRejected, True, "no", False),
    "500": (status(500), UpstreamRejected, True, "no", True),
    "503": (status(503), UpstreamRejected, True, "no", True),
    "529": (status(529), UpstreamRejected, True, "no", True),
    "a redirect": (status(307, "location: http://127.0.0.1:9/secret-path"), UpstreamRejected, True, "no", False),
}
STREAM_FAILURES = FAILURES | {
    "reset behind the head": (head_then_reset, UpstreamCut, True, "unknown", False),
    "nothing behind the head": (head_then_end, UpstreamCut, True, "unknown", False),
    "a garbled event": (garbled_event, UpstreamMalformed, True, "unknown", False),
    "an error as an event": (error_as_an_event, UpstreamRejected, True, "no", True),
}
CASES = [
    *(pytest.param(False, *case, id=f"JSON: {name}") for name, case in FAILURES.items()),
    *(pytest.param(True, *case, id=f"stream: {name}") for name, case in STREAM_FAILURES.items()),
]


@pytest.mark.parametrize(("stream", "script", "kind", "retryable", "billed", "repeatable"), CASES)
async def test_a_failure_before_the_first_event_is_typed_and_says_whether_it_may_be_repeated(
    stream: bool, script: Script | None, kind: type[UpstreamError], retryable: bool, billed: str, repeatable: bool
) -> None:
    async with line_to(script, **patience(script)) as line:
        with pytest.raises(UpstreamError) as failed:
            await line.open(stream=stream)
        attempts = line.attempts

    error = failed.value
    may_be_repeated = wait_before_repeat_s(error, repeats=0, retries=1, jitter=0.0) is not None
    assert (type(error), error.retryable, error.billed, may_be_repeated) == (kind, retryable, billed, repeatable)
    assert attempts == (0 if script is None else 1)
    assert error.__cause__ is not error
    for secret in (KEY, "127.0.0.1"):
        assert secret not in f"{error!r} {error.code} {error.param} {error.error_type}"


async def test_a_provider_that_takes_no_connection_in_time_got_nothing_to_bill() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        with socket.socket() as first, socket.socket() as second:
            for client in (first, second):  # fill the queue of connections that nobody accepts
                client.setblocking(False)
                client.connect_ex(deaf.getsockname())
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
            async with line_to(None, base_url=url, connect_timeout_s=0.2) as line:
                with pytest.raises(UpstreamTimeout) as failed:
                    await line.open()

    assert (failed.value.retryable, failed.value.billed) == (True, "no")


async def test_what_a_provider_asks_to_wait_is_told() -> None:
    async with line_to(status(429, "retry-after: 60")) as line:
        with pytest.raises(UpstreamRejected) as failed:
            await line.open()

    assert (failed.value.status, failed.value.retry_after_s) == (429, 60.0)


async def test_a_sign_of_life_is_not_the_first_event_so_that_an_error_behind_it_is_not_too_late() -> None:
    alive = b": processing\n\n" * 3
    async with line_to(lambda wire: wire.chunked(alive, b'data: {"error": {"message": "Overloaded"}}\n\n')) as line:
        with pytest.raises(UpstreamRejected):
            await line.open()
    async with line_to(lambda wire: wire.chunked(alive, STREAM)) as line:
        assert raw(await line.events()) == alive + STREAM


async def test_signs_of_life_alone_do_not_keep_a_client_waiting_for_ever() -> None:
    async def script(wire: Wire) -> None:
        await wire.head(200, EVENTS)
        while not wire.writer.is_closing():
            await wire.send(b": processing\n\n")
            await asyncio.sleep(0.01)

    async with line_to(script, first_event_timeout_s=0.25) as line:
        with pytest.raises(UpstreamTimeout):
            await line.open()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_end_is_given_up(stream: bool) -> None:
    async def script(wire: Wire) -> None:
        await wire.head(200, EVENTS if stream else "application/json")
        filler = b": " + b"x" * 1_000_000 + b"\n\n" if stream else b" " * 1_000_000
        for _ in range(MAX_ANSWER_BYTES // 1_000_000 + 2):
            await wire.send(filler)

    async with line_to(script) as line:
        with pytest.raises(UpstreamMalformed, match="too long"):
            await line.events(stream=stream)


async def test_an_event_without_end_is_given_up() -> None:
    async with line_to(lambda wire: wire.chunked(b"data: " + b"x" * (MAX_BLOCK_BYTES + 1))) as line:
        with pytest.raises(UpstreamMalformed):
            await line.open()


# --- failures after the first event -------------------------------------------------------------------------


async def hang_midway(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.send(chunk("Hel"))
    await wire.hang()


async def reset_midway(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.send(chunk("Hel"))
    await wire.go_on()  # a reset takes with it what has not been read
    wire.reset()


async def end_midway(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.send(chunk("Hel"))


async def end_within_an_event(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.send(chunk("Hel") + chunk("lo 🙂").partition("🙂".encode()[2:])[0])


async def end_within_chunks(wire: Wire) -> None:
    await wire.chunked(chunk("Hel"), ends=False)


async def garbled_midway(wire: Wire) -> None:
    await wire.chunked(chunk("Hel"), b"data: {garbled\n\n", DONE)


async def error_midway(wire: Wire) -> None:
    await wire.chunked(chunk("Hel"), b'data: {"error": {"message": "Overloaded"}}\n\n')


async def done_without_a_finish(wire: Wire) -> None:
    await wire.chunked(chunk("Hel"), USAGE)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (hang_midway, UpstreamTimeout),
        (reset_midway, UpstreamCut),
        (end_midway, UpstreamCut),
        (end_within_an_event, UpstreamCut),
        (end_within_chunks, UpstreamCut),
        (garbled_midway, UpstreamMalformed),
        (error_midway, UpstreamRejected),
        (done_without_a_finish, UpstreamCut),
    ],
)
async def test_a_stream_that_breaks_gives_what_came_and_then_a_typed_error(
    script: Script, kind: type[UpstreamError]
) -> None:
    events: list[ChatEvent] = []
    async with line_to(script, **patience(script)) as line:
        call = await line.open()
        line.provider.may_go_on.set()
        with pytest.raises(UpstreamError) as failed:
            await read(call, events)

    assert type(failed.value) is kind
    assert failed.value.__cause__ is not failed.value
    assert events[0].raw == chunk("Hel")
    assert not any(event.is_last for event in events)


async def told_midway(wire: Wire) -> None:
    """What is wrong with the request, in the middle of a stream of Anthropic's."""
    host, key = wire.seen.headers["host"], wire.seen.headers["x-api-key"]
    error = {"type": "invalid_request_error", "message": f"No picture at http://{host}/internal for {key}."}
    start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {}}
    await wire.head(200, EVENTS, "request-id: req_up")
    for data in ({"type": "message_start", "message": start}, {"type": "error", "error": error}):
        await wire.send(f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode())


async def test_an_error_within_a_stream_repeats_neither_the_key_nor_the_address_and_names_the_call() -> None:
    async with line_to(told_midway, protocol="anthropic") as line:
        call = await line.open()
        with pytest.raises(UpstreamRejected) as failed:
            await read(call, [])

    assert (str(failed.value), failed.value.status) == ("No picture at *** for ***.", 400)
    assert (call.request_id, failed.value.request_id) == ("req_up", "req_up")


async def malformed_with_id(wire: Wire) -> None:
    await wire.answer(b"<html>Welcome</html>", 200, "text/html", "x-request-id: up_1")


async def silent_with_id(wire: Wire) -> None:
    await wire.head(200, EVENTS, "x-request-id: up_1")
    await wire.hang()


async def cut_with_id(wire: Wire) -> None:
    await wire.head(200, EVENTS, "x-request-id: up_1")
    await wire.send(chunk("Hel"))


@pytest.mark.parametrize(
    ("script", "fields"),
    [
        (status(400, "x-request-id: up_1"), {}),
        (status(429, "x-amzn-requestid: up_1"), {}),
        (status(500, "apim-request-id: up_1"), {}),
        (malformed_with_id, {}),
        (silent_with_id, {"idle_timeout_s": 0.25}),
        (silent_with_id, {"first_event_timeout_s": 0.25}),
        (cut_with_id, {}),
    ],
    ids=["400", "429", "500", "malformed", "nothing for too long", "nothing in time", "cut"],
)
async def test_every_failure_after_the_head_has_the_providers_id_of_the_call(
    script: Script, fields: dict[str, Any]
) -> None:
    async with line_to(script, **fields) as line:
        with pytest.raises(UpstreamError) as failed:
            await line.events()

    assert failed.value.request_id == "up_1"


# --- hanging up ---------------------------------------------------------------------------------------------


async def endless(wire: Wire) -> None:
    await wire.head(200, EVENTS)
    await wire.send(chunk("Hel"))
    await wire.hang()


async def test_closing_a_call_hangs_up_at_the_provider() -> None:
    async with line_to(endless) as line:
        call = await line.open()
        assert line.provider.open_connections == 1

        await call.close()

        await line.provider.until(lambda provider: provider.open_connections == 0)
        await call.close()  # does nothing after the end


async def test_leaving_an_answer_half_read_hangs_up_at_the_provider() -> None:
    async with line_to(endless) as line:
        call = await line.open()
        async with aclosing(call.events()) as events:  # type: ignore[type-var]
            async for _ in events:
                break

        await line.provider.until(lambda provider: provider.open_connections == 0)


@pytest.mark.parametrize("script", [hang, head_then_hang])
async def test_a_call_that_is_cancelled_before_its_first_event_hangs_up_at_the_provider(script: Script) -> None:
    async with line_to(script) as line:
        call = asyncio.create_task(line.open())
        await line.provider.until(lambda provider: len(provider.requests) == 1)
        await asyncio.sleep(0.05)

        call.cancel()

        with pytest.raises(asyncio.CancelledError):
            await call
        await line.provider.until(lambda provider: provider.open_connections == 0)


async def test_a_reader_that_is_cancelled_midway_hangs_up_at_the_provider() -> None:
    async with line_to(endless) as line:
        reader = asyncio.create_task(line.events())
        await line.provider.until(lambda provider: len(provider.requests) == 1)
        await asyncio.sleep(0.05)

        reader.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reader
        await line.provider.until(lambda provider: provider.open_connections == 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_is_used_again_after_a_whole_answer(stream: bool) -> None:
    async with line_to(lambda wire: wire.chunked(STREAM) if stream else wire.answer(body())) as line:
        for _ in range(3):
            await line.events(stream=stream)

        assert (line.provider.connections, line.attempts) == (1, 3)


async def test_a_connection_is_used_again_though_the_end_of_the_body_comes_after_the_last_event() -> None:
    async def script(wire: Wire) -> None:
        await wire.chunked(STREAM, ends=False)
        await wire.go_on()
        await wire.send(b"0\r\n\r\n")
        wire.stays_open = True

    async with line_to(script) as line:
        for _ in range(3):
            async for event in (await line.open()).events():
                if event.is_last:
                    line.provider.may_go_on.set()
            line.provider.may_go_on.clear()

        assert (line.provider.connections, line.attempts) == (1, 3)


async def test_a_provider_that_never_ends_the_body_does_not_keep_the_answer_from_ending() -> None:
    async def script(wire: Wire) -> None:
        await wire.chunked(STREAM, ends=False)
        await wire.hang()

    async with line_to(script) as line:
        assert raw(await line.events()) == STREAM


async def test_a_connection_is_used_again_after_an_error_that_was_read_whole() -> None:
    async with line_to(status(500)) as line:
        for _ in range(2):
            with pytest.raises(UpstreamRejected):
                await line.open()

        assert (line.provider.connections, line.attempts) == (1, 2)


async def test_a_connection_that_broke_is_not_used_again() -> None:
    async def script(wire: Wire) -> None:
        await (end_within_chunks(wire) if wire.attempt == 1 else wire.chunked(STREAM))

    async with line_to(script) as line:
        with pytest.raises(UpstreamCut):
            await line.events()
        assert raw(await line.events()) == STREAM

        assert line.provider.connections == 2


async def test_no_failure_leaves_a_task_behind() -> None:
    before = asyncio.all_tasks()

    for script, *_ in STREAM_FAILURES.values():
        async with line_to(script, **patience(script)) as line:
            with pytest.raises(UpstreamError):
                await line.events()

    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_closing_the_upstream_closes_its_idle_connections() -> None:
    async with misbehaving({"script": lambda wire: wire.answer(body())}) as provider:
        settings = Provider("acme", provider.url("script"))
        upstream = Upstream({"acme": open_transport(settings)})
        call = await upstream.open(Deployment("acme/m", settings, "m", Priced("acme", "m")), REQUEST, is_stream=False)
        assert [event.kind async for event in call.events()] == ["body"]
        assert provider.open_connections == 1

        await upstream.close()

        await provider.until(lambda seen: seen.open_connections == 0)


# --- which transport ----------------------------------------------------------------------------------------


async def test_a_simulated_provider_needs_no_network() -> None:
    settings = Provider("sim", "http://nowhere.invalid/v1", simulation=Simulation(answers={"Hello": ("Hi there.",)}))
    upstream = Upstream({"sim": open_transport(settings)})

    call = await upstream.open(Deployment("sim/m", settings, "m", Priced("sim", "m")), REQUEST, is_stream=False)

    assert isinstance(open_transport(settings), SimulatedProvider)
    assert text([event async for event in call.events()]) == "Hi there."


def test_a_provider_does_not_show_its_key() -> None:
    assert KEY not in repr(Provider("acme", "http://127.0.0.1", api_keys=(KEY,)))
