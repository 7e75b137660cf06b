"""Audio on its way: what is heard reaches providers that take it, what is spoken comes back whole, and nobody is given
something else than was asked for."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import RequestInvalid
from router.protocols import audio, bedrock_requests, gemini_answers, gemini_requests, openai
from router.protocols.canonical import InputAudio
from tests.router.samples import quick, request

SPOKEN: dict[str, Any] = {"modalities": ["text", "audio"], "audio": {"voice": "Kore", "format": "pcm16"}}
samples = st.lists(st.binary(max_size=9), max_size=6)


@quick
@given(samples)
def test_pieces_that_were_written_one_by_one_are_joined_to_the_same_bytes(pieces: list[bytes]) -> None:
    whole = audio.joined([base64.b64encode(piece).decode() for piece in pieces])

    assert base64.b64decode(whole, validate=True) == b"".join(pieces)


@quick
@given(st.lists(st.text(max_size=6), max_size=4))
def test_pieces_that_are_no_base64_are_lost_by_nobody(pieces: list[str]) -> None:
    found = audio.joined(pieces)

    assert isinstance(found, str)
    assert bool(found) == bool("".join(pieces))


@quick
@given(samples.filter(any))
def test_a_streamed_voice_is_one_sound_in_the_whole_answer(pieces: list[bytes]) -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    said = [{"audio": {"id": "audio_1", "data": base64.b64encode(piece).decode()}} for piece in pieces]
    words = [{"audio": {"id": "audio_1", "transcript": word}} for word in ("Yes, ", "please.")]
    ends = [{"audio": {"id": "audio_1", "expires_at": 7}}]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, *said, *words, *ends]
    chunks = [*(chunk(delta) for delta in deltas), chunk({}, "stop")]
    before = json.dumps(chunks)

    message = openai.body_from_chunks(chunks)["choices"][0]["message"]

    assert base64.b64decode(message["audio"].pop("data")) == b"".join(pieces)
    assert message["audio"] == {"id": "audio_1", "transcript": "Yes, please.", "expires_at": 7}
    assert json.dumps(chunks) == before


def test_an_answer_that_was_spoken_is_not_one_of_plain_text() -> None:
    message = {"role": "assistant", "content": "x", "audio": {"id": "a", "data": "AA=="}}

    assert openai.plain_answer({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}) is None


@pytest.mark.parametrize(
    ("heard", "media_type"), [("wav", "audio/wav"), ("MP3", "audio/mp3"), ("pcm16", "audio/L16;rate=24000")]
)
def test_audio_is_told_by_its_media_type(heard: str, media_type: str) -> None:
    assert audio.media_type(InputAudio("AAAA", heard), "messages[0].content[0]") == media_type


@pytest.mark.parametrize("data", ["", "%", "AAA", "AA AA", "é"])
def test_audio_that_is_no_base64_is_refused_by_its_place(data: str) -> None:
    with pytest.raises(RequestInvalid) as refused:
        audio.media_type(InputAudio(data, "wav"), "messages[0].content[0]")

    assert refused.value.param == "messages[0].content[0].input_audio.data"


# --- Gemini ----------------------------------------------------------------------------------------------------------


def test_gemini_is_asked_to_speak_in_the_clients_voice() -> None:
    body, dropped = gemini_requests.body(request(**SPOKEN), "gemini-2.5-flash-preview-tts", None)

    assert body["generationConfig"] == {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    assert dropped == ("modalities[0]",)


def test_a_voice_for_an_answer_in_text_is_left_out_and_told() -> None:
    body, dropped = gemini_requests.body(request(**(SPOKEN | {"modalities": ["text"]})), "gemini-2.5-flash", None)

    assert "generationConfig" not in body
    assert dropped == ("audio",)


def blob(media_type: str, data: str = "AAEC") -> dict[str, Any]:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def message_of(*parts: dict[str, Any]) -> dict[str, Any]:
    steps = gemini_answers.Steps()
    chunk = steps.chunk({"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]})
    found: dict[str, Any] = openai.body_from_chunks([*([chunk] if chunk else []), *steps.closing()])
    message: dict[str, Any] = found["choices"][0]["message"]
    return message


@pytest.mark.parametrize("media_type", ["audio/L16;codec=pcm;rate=24000", "audio/l16; rate=24000", "audio/pcm"])
def test_what_gemini_speaks_is_heard_as_the_format_that_was_asked_for(media_type: str) -> None:
    message = message_of(blob(media_type, "AA=="), blob(media_type, "AQI="))

    assert base64.b64decode(message["audio"]["data"]) == b"\x00\x01\x02"
    assert message["audio"]["id"].startswith("audio_")
    assert "unconverted" not in message


@pytest.mark.parametrize("media_type", ["audio/L16;rate=16000", "audio/mpeg", "image/png", "audio/L16;channels=2"])
def test_sound_of_another_kind_is_not_passed_off_as_it(media_type: str) -> None:
    message = message_of(blob(media_type))

    assert "audio" not in message
    assert message["unconverted"] == [blob(media_type)]


# --- Bedrock ---------------------------------------------------------------------------------------------------------


def heard(**part: Any) -> Any:
    asked = request(messages=[{"role": "user", "content": [part]}])
    return bedrock_requests.body(asked, "amazon.nova", None)[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"format": "mp3", "source": {"bytes": "AAAA"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "pcm16"}},
            {"format": "pcm", "source": {"bytes": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:audio/mpeg;base64,AAAA"}},
            {"format": "mp3", "source": {"bytes": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_url": "s3://bucket/a.mp3"}},
            {"format": "mp3", "source": {"s3Location": {"uri": "s3://bucket/a.mp3"}}},
        ),
    ],
)
def test_bedrock_hears_parts_and_files(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert heard(**part) == [{"audio": block}]


def test_a_format_that_bedrock_does_not_know_is_refused_by_its_name() -> None:
    with pytest.raises(RequestInvalid) as refused:
        heard(type="input_audio", input_audio={"data": "AAAA", "format": "midi"})

    assert refused.value.param == "messages[0].content[0].input_audio.format"
