"""Each fault of the chaos runs is what it says, seen from the other end of the wire."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.faulty import (
    AFTER_FIRST,
    BEFORE_FIRST,
    DONE,
    KEY_REVOKED,
    REFUSED,
    RESTART,
    TLS,
    Certificates,
    Fault,
    Met,
    Upstream,
    every_fault,
)
from benchmarks.tokens import flaw_of, is_beginning, question, token_of

TEXT = question(1)
TOKEN = token_of(TEXT)
MIDWAY = [fault for fault in AFTER_FIRST if fault is not RESTART]
SILENT_S = 1.0
"""Who has sent nothing for so long is taken for silent, where silence is expected."""


class Heard(NamedTuple):
    """What came on a connection, and how it ended: `whole` (and open), `closed`, `reset` or `silent`."""

    data: bytes
    end: str

    @property
    def status(self) -> int:
        return int(self.data[9:12])

    @property
    def head(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[0].lower()

    @property
    def body(self) -> bytes:
        return self.data.partition(b"\r\n\r\n")[2]

    @property
    def is_whole(self) -> bool:
        """Whether the HTTP body has come to its end."""
        _, has_length, rest = self.head.partition(b"content-length: ")
        if has_length:
            return len(self.body) >= int(rest.partition(b"\r\n")[0])
        return self.body.endswith(b"0\r\n\r\n")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """That of the stream's whole events."""
        lines = [line for line in self.body.split(b"\r\n") if line.endswith(b"\n\n")]
        found = (json.loads(line[6:]) for line in lines if line != DONE and b'"choices"' in line)
        return "".join(choice["delta"].get("content", "") for chunk in found for choice in chunk["choices"])


@asynccontextmanager
async def upstream(fault: Fault | None, rate: float = 1.0, **fields: Any) -> AsyncIterator[Upstream]:
    server = await Upstream("primary", **fields).start()
    if fault is not None:
        await server.misbehave(fault, rate)
    try:
        yield server
    finally:
        await server.stop()


async def heard(
    server: Upstream,
    *,
    stream: bool = False,
    key: str = "sk-one",
    tls: Any = None,
    line: str = "POST /v1/chat",
    silent_s: float = 10.0,
) -> Heard:
    """One request on a connection of its own, and everything that came until its end or until it was silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls)
    data, end = b"", "closed"
    try:
        asked = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": TEXT}]}).encode()
        head = f"{line} HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Length: {len(asked)}"
        writer.write(f"{head}\r\n\r\n".encode() + asked)
        while not Heard(data, "").is_whole:
            async with asyncio.timeout(silent_s):
                part = await reader.read(65536)
            if not part:
                break
            data += part
        else:
            end = "whole"
    except TimeoutError:
        end = "silent"
    except ConnectionError:
        end = "reset"
    finally:
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
    return Heard(data, end)


async def under_way(server: Upstream) -> None:
    """Waits until a request is being answered."""
    async with asyncio.timeout(10):
        while not server.under_way:  # noqa: ASYNC110  the server tells nobody
            await asyncio.sleep(0.001)


def named(name: str) -> Fault:
    return next(fault for fault in every_fault() if fault.name == name)


async def struck(name: str, *, stream: bool = False, silent_s: float = 10.0) -> tuple[Heard, list[Met]]:
    """What a client hears under this fault, and what the server remembers."""
    async with upstream(named(name)) as server:
        return await heard(server, stream=stream, silent_s=silent_s), server.met.get(TOKEN, [])


# --- without faults ---------------------------------------------------------------------------------------------------


async def test_without_a_fault_it_answers_rightly_and_keeps_the_connection() -> None:
    async with upstream(None) as server:
        whole, stream = await heard(server), await heard(server, stream=True)

    assert flaw_of(TOKEN, whole.json["choices"][0]["message"]["content"]) is None
    assert flaw_of(TOKEN, stream.text) is None
    assert stream.body.endswith(DONE + b"\r\n0\r\n\r\n")
    assert (whole.end, stream.end) == ("whole", "whole")
    assert server.met == {}


async def test_its_list_of_models_is_free_and_fails_as_its_answers_do() -> None:
    async with upstream(None) as server:
        well = await heard(server, line="GET /v1/models")
        await server.misbehave(named("5xx"), 1.0)
        ill = await heard(server, line="GET /v1/models")

    assert (well.status, ill.status) == (200, 503)
    assert server.met == {}


async def test_no_two_answers_have_one_number() -> None:
    async with upstream(None) as server:
        ids = [(await heard(server)).json["id"] for _ in range(3)]

    assert len(set(ids)) == 3


async def test_at_rate_zero_nothing_strikes() -> None:
    async with upstream(named("5xx"), 0.0) as server:
        assert (await heard(server)).status == 200


async def test_a_rate_between_strikes_some() -> None:
    async with upstream(named("5xx"), 0.5, latency_s=0.0) as server:
        statuses = {(await heard(server)).status >= 500 for _ in range(20)}

    assert statuses == {True, False}


async def test_faults_are_switched_while_it_runs() -> None:
    async with upstream(named("429")) as server:
        before = await heard(server)
        await server.behave()
        after = await heard(server)

    assert (before.status, after.status) == (429, 200)


# --- before the first event -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("reset on connect", "reset"),
        ("reset after the request", "reset"),
        ("hung up after the request", "closed"),
        ("hang before headers", "silent"),
    ],
)
async def test_these_say_nothing_at_all_and_end_so(name: str, end: str, stream: bool) -> None:
    found, _ = await struck(name, stream=stream, silent_s=SILENT_S)

    assert (found.data, found.end) == (b"", end)


async def test_a_hang_after_headers_sends_the_head_only() -> None:
    for stream in (False, True):
        found, met = await struck("hang after headers", stream=stream, silent_s=SILENT_S)

        assert (found.status, found.body, found.end) == (200, b"", "silent")
        assert met == [Met("hang after headers", hangs=True)]


async def test_a_drip_sends_one_byte_and_then_waits() -> None:
    found, met = await struck("drip, a byte a second", silent_s=SILENT_S / 2)

    assert (found.data, found.end) == (b"H", "silent")
    assert met[0].hangs


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_hangs_up_within_the_first_event(stream: bool) -> None:
    found, met = await struck("cut within the first event", stream=stream)

    assert found.end == "closed"
    assert b"choices" not in found.body or not found.body.endswith(b"}")
    assert b"\n\n" not in found.body
    assert found.body
    assert not met[0].after_first


async def test_truncated_json_is_proper_http_around_half_a_text() -> None:
    whole, _ = await struck("truncated JSON")
    stream, _ = await struck("truncated JSON", stream=True)

    assert b"content-length: %d" % len(whole.body) in whole.head
    assert stream.body.endswith(b"\n\n\r\n0\r\n\r\n")
    for text in (whole.body, stream.body.split(b"data: ")[1].partition(b"\n")[0]):
        with pytest.raises(ValueError):
            json.loads(text)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_wrong_content_type_is_a_page(stream: bool) -> None:
    found, _ = await struck("wrong content type", stream=stream)

    assert found.status == 200
    assert b"content-type: text/html" in found.head
    assert found.body.startswith(b"<html>")


async def test_an_error_body_comes_with_200_and_in_a_stream_also_as_its_first_event() -> None:
    async with upstream(named("200 with an error body")) as server:
        found = [await heard(server, stream=stream) for stream in [False, *[True] * 12]]

    assert {one.status for one in found} == {200}
    assert found[0].json["error"]["message"]
    assert {b"text/event-stream" in one.head for one in found[1:]} == {True, False}
    assert all(b'"error"' in one.body and b'"choices"' not in one.body for one in found)


@pytest.mark.parametrize(
    ("name", "field"),
    [("429", None), ("429, Retry-After 1", b"retry-after: 1"), ("429, Retry-After 30", b"retry-after: 30")],
)
async def test_a_rate_limit_says_when_to_come_back_or_does_not(name: str, field: bytes | None) -> None:
    found, _ = await struck(name)

    assert found.status == 429
    assert found.json["error"]["message"]
    assert (b"retry-after" in found.head) == (field is not None)
    assert (field or b"") in found.head


async def test_server_errors_are_of_several_kinds() -> None:
    async with upstream(named("5xx")) as server:
        statuses = {(await heard(server)).status for _ in range(20)}

    assert len(statuses) > 2
    assert all(status >= 500 for status in statuses)


async def test_a_share_of_the_keys_is_revoked_and_the_others_work() -> None:
    keys = ["sk-one", "sk-two", "sk-three", "sk-four"]
    async with upstream(KEY_REVOKED, 0.5, keys=keys) as server:
        half = [(await heard(server, key=key)).status for key in keys]
        await server.misbehave(KEY_REVOKED, 1.0)
        every = [(await heard(server, key=key)).status for key in keys]

    assert half == [401, 401, 200, 200]
    assert every == [401] * 4


async def test_twenty_times_the_latency_is_slow_and_right() -> None:
    async with upstream(named("latency x20"), latency_s=0.002) as server:
        found = await heard(server, stream=True)

    assert flaw_of(TOKEN, found.text) is None
    assert server.met == {}


# --- the port ---------------------------------------------------------------------------------------------------------


async def test_a_closed_port_refuses_connections_and_opens_again_as_the_same() -> None:
    async with upstream(None) as server:
        port = server.port
        await server.misbehave(REFUSED, 1.0)
        with pytest.raises(ConnectionRefusedError):
            await heard(server)
        await server.behave()

        assert (await heard(server)).status == 200
        assert server.port == port


async def test_a_port_that_closes_drops_idle_connections_but_lets_an_answer_end() -> None:
    async with upstream(None, latency_s=0.05) as server:
        busy = asyncio.create_task(heard(server, stream=True))
        await under_way(server)
        await server.misbehave(REFUSED, 1.0)
        found = await busy

    assert flaw_of(TOKEN, found.text) is None


async def test_a_restart_breaks_off_what_is_under_way() -> None:
    async with upstream(None, latency_s=5.0) as server:
        busy = asyncio.create_task(heard(server))
        await under_way(server)
        await server.misbehave(RESTART, 1.0)
        found = await busy

    assert found.data == b""
    assert found.end in ("closed", "reset")
    assert server.met[TOKEN] == [Met("upstream restart", hangs=False)]


async def test_faults_of_the_port_may_be_mixed_and_changed_at_any_moment() -> None:
    async with upstream(None) as server:
        port = server.port
        for turn in range(40):
            await server.misbehave([[REFUSED], [REFUSED, RESTART], [RESTART, named("5xx")]][turn % 3], 0.3 + turn / 80)
            await asyncio.sleep(turn % 7 / 100)
        await server.behave()

        assert (await heard(server)).status == 200
        assert server.port == port


async def test_tls_fails_in_several_ways_and_works_otherwise(tmp_path: Path) -> None:
    if not Certificates.can_be_made():
        pytest.skip("there is no openssl command")
    certificates = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificates.trusted))
    ways = set()
    async with upstream(None, certificates=certificates) as server:
        good = await heard(server, tls=trusting)
        await server.misbehave(TLS, 1.0)
        for _ in range(12):
            with pytest.raises(OSError) as failed:  # an SSLError is one
                await heard(server, tls=trusting)
            ways.add(type(failed.value))

    assert good.status == 200
    assert ssl.SSLCertVerificationError in ways
    assert len(ways) > 1


# --- after the first event --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", MIDWAY, ids=lambda fault: fault.name)
async def test_a_fault_in_the_middle_lets_a_right_beginning_through_and_never_the_end(fault: Fault) -> None:
    found, met = await struck(fault.name, stream=True, silent_s=SILENT_S / 2)

    assert found.status == 200
    assert b"\r\n\r\n" in found.data
    assert DONE not in found.body or fault.name == "truncated JSON mid-stream"
    assert met == [Met(fault.name, fault.hangs, after_first=True)]
    if fault.name != "truncated JSON mid-stream":
        assert is_beginning(TOKEN, found.text)
        assert flaw_of(TOKEN, found.text) == "truncated"


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("hang mid-stream", "silent"),
        ("drip mid-stream", "silent"),
        ("cut mid-stream", "closed"),
        ("ended mid-stream", "whole"),
        ("error mid-stream", "whole"),
    ],
)
async def test_a_stream_that_fails_in_the_middle_ends_so(name: str, end: str) -> None:
    found, _ = await struck(name, stream=True, silent_s=SILENT_S / 2)

    assert found.end == end


async def test_a_stream_may_carry_an_error_event_or_half_a_json_text_in_the_middle() -> None:
    error, _ = await struck("error mid-stream", stream=True)
    half, _ = await struck("truncated JSON mid-stream", stream=True)

    assert b'data: {"error"' in error.body
    events = [line for line in half.body.split(b"\r\n") if line.startswith(b"data: {")]
    with pytest.raises(ValueError):
        json.loads(events[3][6:])


@pytest.mark.parametrize("fault", MIDWAY, ids=lambda fault: fault.name)
async def test_in_a_json_answer_a_fault_in_the_middle_strikes_before_its_only_event(fault: Fault) -> None:
    found, met = await struck(fault.name)

    assert found.end == "closed"
    assert met == [Met(fault.name, hangs=False)]


# --- capacity ---------------------------------------------------------------------------------------------------------


async def test_a_server_with_a_capacity_answers_so_many_at_a_time_and_all_in_the_end() -> None:
    async with upstream(None, capacity=2, latency_s=0.005) as server:
        found = await asyncio.gather(*(heard(server) for _ in range(9)))

    assert {one.status for one in found} == {200}
    assert server.most_under_way > 2
    assert server.under_way == 0


def test_every_fault_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in every_fault()]

    assert len(set(names)) == len(names)
    assert all(fault.after_first for fault in AFTER_FIRST)
    assert not any(fault.after_first for fault in BEFORE_FIRST)
