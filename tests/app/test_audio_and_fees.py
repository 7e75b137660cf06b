"""Audio and the providers' own tools through the running gateway, with OpenAI's official SDK: they pass untouched, cost
their own prices, and a price that nobody knows is told, never guessed."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.app.configuration import ENVIRONMENT, budget, route
from tests.app.provider import (
    DONE,
    Provider,
    chat_body,
    chat_chunk,
    json_reply,
    stream_reply,
)
from tests.running import RunningGateway, running_gateway

CAP = 10**12
HEARD = {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF", "format": "wav"}}
SPOKEN: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "pcm16"}}
COUNTS = {
    "prompt_tokens": 120,
    "completion_tokens": 340,
    "total_tokens": 460,
    "prompt_tokens_details": {"audio_tokens": 100, "cached_tokens": 0},
    "completion_tokens_details": {"audio_tokens": 300, "reasoning_tokens": 0},
}
PRICE = "list_price = { input = 1, output = 4"


@pytest.fixture(scope="module")
def gateway(upstream: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    prices = {
        "voice": f"{PRICE}, audio_input = 32, audio_output = 64, tools = {{ web_search = 10, file_search = 2.5 }} }}",
        "mute": f"{PRICE} }}",
    }
    configuration = (
        f'[providers.scripted]\nbase_url = "{upstream.base_url}"\napi_key = "env:SCRIPTED_KEY"\nretries = 0\n'
        + "responses = true\n"
        + "".join(
            f'[models.{name}]\ntier = "mid"\nmax_output_tokens = 1000\naccepts = ["input_audio"]\n'
            f'[[models.{name}.deployments]]\nprovider = "scripted"\n{price}\n'
            for name, price in prices.items()
        )
        + route("default", *prices, allow_downgrade=False)
        + budget("teams.capped", CAP)
    )
    with running_gateway(tmp_path_factory.mktemp("audio"), configuration, ENVIRONMENT) as gateway:
        yield gateway


def says(*parts: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": [{"type": "text", "text": "What is said here?"}, *parts]}]


def spoken(**fields: Any) -> dict[str, Any]:
    return chat_body(None, audio={"id": "audio_1", "data": "AAEC", "transcript": "Yes.", "expires_at": 1}) | fields


def test_a_spoken_answer_is_paid_at_the_prices_of_audio(
    gateway: RunningGateway, client: OpenAI, provider: Provider
) -> None:
    provider.script("voice", json_reply(spoken(usage=COUNTS)))

    raw = client.chat.completions.with_raw_response.create(model="voice", messages=says(HEARD), **SPOKEN)

    message = raw.parse().choices[0].message
    assert message.audio is not None
    assert (message.audio.id, message.audio.data, message.audio.transcript) == ("audio_1", "AAEC", "Yes.")
    assert provider.calls[0].received.json["audio"] == SPOKEN["audio"]
    row = gateway.row(request_id=raw.headers["x-request-id"])
    assert (row.audio_input_tokens, row.audio_output_tokens, row.pricing) == (100, 300, "priced")
    assert row.actual_nano == 20 * 1_000 + 100 * 32_000 + 40 * 4_000 + 300 * 64_000
    assert row.baseline_nano == row.list_nano == row.actual_nano
    assert gateway.verification().problems == []


def test_a_streamed_voice_passes_byte_for_byte(gateway: RunningGateway, client: OpenAI, provider: Provider) -> None:
    pieces = [b"\0", b"\1\2", b"\3\4\5\6"]
    deltas = [{"audio": {"id": "audio_1", "data": base64.b64encode(piece).decode()}} for piece in pieces]
    chunks = [chat_chunk({"role": "assistant"}), *map(chat_chunk, deltas), chat_chunk({}, "stop")]
    provider.script("voice", stream_reply([*chunks, chat_chunk(None, usage=COUNTS), DONE]))

    with client.chat.completions.with_streaming_response.create(
        model="voice", messages=says(HEARD), stream=True, **SPOKEN
    ) as answer:
        seen = answer.read()

    assert seen == b"".join([*chunks, DONE])
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.audio_input_tokens, row.audio_output_tokens, row.usage_source) == (100, 300, "provider")


def test_a_voice_that_broke_off_is_booked_as_audio(gateway: RunningGateway, client: OpenAI, provider: Provider) -> None:
    second = base64.b64encode(bytes(48_000)).decode()
    said = chat_chunk({"audio": {"id": "audio_1", "data": second, "transcript": "Yes, of course."}})
    provider.script("voice", stream_reply([chat_chunk({"role": "assistant"}), said, said]))
    heard = {"type": "input_audio", "input_audio": {"data": second, "format": "pcm16"}}

    with client.chat.completions.with_streaming_response.create(
        model="voice", messages=says(heard), stream=True, **SPOKEN
    ) as answer:
        answer.read()

    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.status, row.usage_source, row.pricing) == ("upstream_cut", "estimated", "priced")
    # Ten tokens for a second that is heard, twenty for one that is spoken; the words beside them are few.
    assert (row.audio_input_tokens, row.audio_output_tokens) == (10, 40)
    assert 10 < row.input_tokens < 40
    assert 40 < row.output_tokens < 60


def test_audio_without_a_price_is_flagged_and_not_priced_as_text(
    gateway: RunningGateway, client: OpenAI, provider: Provider
) -> None:
    provider.script("mute", json_reply(spoken(usage=COUNTS)))

    raw = client.chat.completions.with_raw_response.create(model="mute", messages=says(HEARD), **SPOKEN)

    row = gateway.row(request_id=raw.headers["x-request-id"])
    assert (row.pricing, row.actual_nano, row.list_nano, row.baseline_nano) == ("unpriced", None, None, None)
    assert "x-thriftgate-cost-usd" not in raw.headers
    assert gateway.verification().problems == []


@pytest.mark.parametrize(
    "fields",
    [{"messages": says(HEARD)}, {"messages": says(), **SPOKEN}, {"messages": says(), "web_search_options": {}}],
    ids=["heard", "spoken", "searched"],
)
def test_a_cap_holds_nothing_whose_price_nobody_knows(
    gateway: RunningGateway, provider: Provider, fields: dict[str, Any]
) -> None:
    with (
        OpenAI(base_url=gateway.base_url, api_key=gateway.key(team="capped"), max_retries=0) as capped,
        pytest.raises(BadRequestError, match="is unknown, so a budget cannot hold it"),
    ):
        capped.chat.completions.create(model="mute", **fields)

    assert provider.calls == []


def test_what_was_used_unasked_and_has_no_price_counts_at_its_reservation(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("mute", json_reply(chat_body("Yes.") | {"usage": COUNTS}))
    before = gateway.budget("team:capped")["spent_nano"]

    with OpenAI(base_url=gateway.base_url, api_key=gateway.key(team="capped"), max_retries=0) as capped:
        raw = capped.chat.completions.with_raw_response.create(model="mute", messages=says())

    row = gateway.row(request_id=raw.headers["x-request-id"])
    assert (row.pricing, row.actual_nano) == ("unpriced", None)
    assert row.reserved_nano > 0
    assert gateway.budget("team:capped")["spent_nano"] == before + row.reserved_nano
    gateway.restart()
    assert gateway.budget("team:capped")["spent_nano"] == before + row.reserved_nano


def test_a_worst_case_that_speaks_is_reserved_at_the_price_of_speech(
    gateway: RunningGateway, provider: Provider
) -> None:
    provider.script("voice", json_reply(spoken(usage=COUNTS)))

    with OpenAI(base_url=gateway.base_url, api_key=gateway.key(team="capped"), max_retries=0) as capped:
        raw = capped.chat.completions.with_raw_response.create(
            model="voice", messages=says(), max_completion_tokens=900, **SPOKEN
        )

    row = gateway.row(request_id=raw.headers["x-request-id"])
    assert row.reserved_nano >= 900 * 64_000


@pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])
def test_searches_of_responses_are_paid_by_the_call(
    gateway: RunningGateway, client: OpenAI, provider: Provider, streams: bool
) -> None:
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x"},
    }
    opening = search | {"id": "ws_2", "action": {"type": "open_page", "url": "https://x.invalid"}}
    files = {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["x"], "results": None}
    whole = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "voice",
        "output": [search, opening, files, files],
        "usage": {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110},
    }
    done = f"event: response.completed\ndata: {json.dumps({'type': 'response.completed', 'response': whole})}\n\n"
    provider.script("voice", stream_reply([done.encode()]) if streams else json_reply(whole))

    raw = client.responses.with_raw_response.create(
        model="voice", input="Rain?", tools=[{"type": "web_search"}], stream=streams
    )
    if streams:
        for _ in raw.parse():
            pass

    row = gateway.row(request_id=raw.headers["x-request-id"])
    assert row.usage.tools == {"web_search": 1, "file_search": 2}
    assert row.actual_nano == 100 * 1_000 + 10 * 4_000 + 10_000_000 + 2 * 2_500_000
    assert row.reserved_nano >= 20 * 10_000_000
