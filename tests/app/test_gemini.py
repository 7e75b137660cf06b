"""Gemini as a provider. First its simulator alone, with Google's official SDK; then the gateway in front of it, with
OpenAI's."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from openai import APIError, BadRequestError, InternalServerError, OpenAI, RateLimitError
from pydantic import BaseModel

from tests.app.configuration import route
from tests.app.provider import HANG_UP, cut_up, stream_reply, unfinished
from tests.app.simulators.gemini import (
    COUNTS,
    KEY,
    Gemini,
    called,
    event,
    failure,
    response,
    running_gemini,
    spoken,
    streamed,
    text,
    thought,
    whole,
)
from tests.running import RunningGateway, running_gateway

UNICODE = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
SIGNATURE = base64.b64encode(b"signed thoughts").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TOOL: Any = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}},
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Gemini]:
    with running_gemini() as simulator:
        yield simulator


@pytest.fixture
def gemini(upstream: Gemini) -> Gemini:
    upstream.reset()
    return upstream


# --- the simulator, as Google's own SDK sees it ---------------------------------------------------------------------


@pytest.fixture
def google(gemini: Gemini) -> Iterator[genai.Client]:
    with genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gemini.root)) as client:
        yield client


def test_the_sdk_reads_a_whole_answer(google: genai.Client, gemini: Gemini) -> None:
    gemini.script("m", whole(thought("Hm."), text(UNICODE), called("find", SIGNATURE, id=7)))

    answer = google.models.generate_content(
        model="m",
        contents="Hello",
        config=types.GenerateContentConfig(
            system_instruction="Be kind.",
            temperature=0.5,
            stop_sequences=["END"],
            thinking_config=types.ThinkingConfig(include_thoughts=True),
            response_mime_type="application/json",
            response_json_schema={"type": "object"},
        ),
    )

    assert answer.text == UNICODE
    assert answer.function_calls is not None
    assert answer.function_calls[0].args == {"id": 7}
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.thoughts_token_count == 3


def test_the_sdk_hears_and_is_heard(google: genai.Client, gemini: Gemini) -> None:
    gemini.script("m", whole(spoken("AAEC")))

    answer = google.models.generate_content(
        model="m",
        contents=[types.Part.from_bytes(data=b"RIFF", mime_type="audio/wav"), "What is said?"],
        config=types.GenerateContentConfig(
            response_modalities=["AUDIO"],
            speech_config=types.SpeechConfig(
                voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Kore"))
            ),
        ),
    )

    assert answer.parts is not None
    assert answer.parts[0].inline_data is not None
    assert answer.parts[0].inline_data.data == b"\0\1\2"
    asked = gemini.calls[0].received.json
    assert asked["contents"][0]["parts"][0]["inlineData"]["data"] == "UklGRg=="
    # What the gateway sends for `modalities` and `audio` is what the SDK sends.
    sent = {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
    }
    form = types.GenerationConfig
    assert form.model_validate(asked["generationConfig"]) == form.model_validate(sent)


def test_the_sdk_reads_a_stream(google: genai.Client, gemini: Gemini) -> None:
    gemini.script("m", streamed(response(text("Hel"), reason=None), response(text(f"lo {UNICODE}"))))

    pieces = [piece.text for piece in google.models.generate_content_stream(model="m", contents="Hello")]

    assert "".join(piece or "" for piece in pieces) == f"Hello {UNICODE}"


def test_the_sdks_automatic_calls_go_there_and_back(google: genai.Client, gemini: Gemini) -> None:
    gemini.script("m", whole(called("find_order", SIGNATURE, number=7)), whole(text("It is on its way.")))

    def find_order(number: int) -> str:
        """Finds an order."""
        return f"order {number}"

    answer = google.models.generate_content(
        model="m", contents="Where is it?", config=types.GenerateContentConfig(tools=[find_order])
    )

    assert answer.text == "It is on its way."
    made, returned = gemini.calls[1].received.json["contents"][1:]
    assert made["parts"][0]["thoughtSignature"] == SIGNATURE
    assert returned["parts"][0]["functionResponse"]["response"] == {"result": "order 7"}


def test_the_sdk_reads_errors_and_blocks(google: genai.Client, gemini: Gemini) -> None:
    gemini.script("m", failure(429, "Slow down.", "RESOURCE_EXHAUSTED"))
    with pytest.raises(errors.ClientError) as failed:
        google.models.generate_content(model="m", contents="Hello")
    assert (failed.value.code, failed.value.status) == (429, "RESOURCE_EXHAUSTED")

    gemini.script("m", whole(candidates=[], promptFeedback={"blockReason": "SAFETY"}))
    answer = google.models.generate_content(model="m", contents="Hello")
    assert answer.prompt_feedback is not None
    assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY


def test_the_simulator_turns_away_a_wrong_key(gemini: Gemini) -> None:
    with (
        genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=gemini.root)) as client,
        pytest.raises(errors.ClientError, match="API key not valid"),
    ):
        client.models.generate_content(model="m", contents="Hello")


# --- the gateway in front of it -------------------------------------------------------------------------------------


CONFIGURATION = """
[providers.google]
protocol = "gemini"
base_url = "{url}"
api_key = "env:GEMINI_KEY"
retries = 0
[models.pro]
tier = "premium"
accepts = ["image_url", "file", "input_audio"]
[[models.pro.deployments]]
provider = "google"
model = "gemini-3-pro"
list_price = {{ input = 2, output = 12, cache_read = 0.2 }}
"""


@pytest.fixture(scope="module")
def gateway(
    upstream: Gemini, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    configuration = CONFIGURATION.format(url=upstream.base_url) + route("default", "pro", cache='mode = "off"')
    with running_gateway(tmp_path_factory.mktemp("gemini"), configuration, {"GEMINI_KEY": KEY}) as gateway:
        yield gateway


def says(content: Any = "Hello") -> Any:
    return [{"role": "user", "content": content}]


def asked(gemini: Gemini) -> dict[str, Any]:
    """What the provider was asked last."""
    found: dict[str, Any] = gemini.calls[-1].received.json
    return found


def test_an_answer_is_the_providers_and_its_row_counts_every_token(
    client: OpenAI, gemini: Gemini, gateway: RunningGateway
) -> None:
    counts = {**COUNTS, "cachedContentTokenCount": 10}
    gemini.script("gemini-3-pro", whole(thought("Hm."), text(UNICODE), usageMetadata=counts))

    answer = client.chat.completions.create(
        model="pro",
        messages=[{"role": "system", "content": "Be kind."}, *says()],
        temperature=0.5,
        stop=["END"],
        max_tokens=99,
    )

    assert answer.choices[0].message.content == UNICODE
    assert answer.choices[0].message.model_extra == {"reasoning_content": "Hm."}
    assert (answer.choices[0].finish_reason, answer.model) == ("stop", "gemini-scripted-001")
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 3
    assert asked(gemini) == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "generationConfig": {"temperature": 0.5, "stopSequences": ["END"], "maxOutputTokens": 99},
    }
    row = gateway.row(request_id=answer._request_id)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens, row.usage_source) == (2, 10, 8, "provider")
    assert row.actual_nano == 2 * 2000 + 10 * 200 + 8 * 12_000


def test_a_stream_is_the_same_answer_with_usage_only_for_who_asks(client: OpenAI, gemini: Gemini) -> None:
    responses = [
        response(thought("Hm."), reason=None),
        response(text("Some "), reason=None),
        response(text(UNICODE)),
    ]
    raw = b"".join(event(one) for one in responses)
    gemini.script("gemini-3-pro", stream_reply(cut_up(raw, 5)))

    with client.chat.completions.create(
        model="pro", messages=says(), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == f"Some {UNICODE}"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 20
    assert gemini.calls[-1].received.target.endswith(":streamGenerateContent?alt=sse")

    gemini.script("gemini-3-pro", stream_reply([raw]))
    with client.chat.completions.create(model="pro", messages=says(), stream=True) as stream:
        assert all(chunk.choices for chunk in stream)


@pytest.mark.parametrize("is_stream", [False, True])
def test_calls_and_their_signatures_go_there_and_back(client: OpenAI, gemini: Gemini, is_stream: bool) -> None:
    parts = [called("find_order", SIGNATURE, id=7), called("find_order", id=8), called("now")]
    gemini.script("gemini-3-pro", streamed(response(*parts)) if is_stream else whole(*parts), whole(text("Done.")))
    fields: Any = {"model": "pro", "tools": [TOOL], "tool_choice": "required"}

    if is_stream:
        with client.chat.completions.stream(messages=says(), **fields) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(messages=says(), **fields).choices[0].message
    calls: Any = message.tool_calls
    assert [call.function.arguments for call in calls] == ['{"id":7}', '{"id":8}', "{}"]
    assert len({call.id for call in calls}) == 3
    assert asked(gemini)["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}

    said = message.model_dump(exclude_none=True, exclude={"parsed"})
    for call in said["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
    results = [{"role": "tool", "tool_call_id": call.id, "content": "found"} for call in calls]
    history: Any = [*says(), said, *results]
    answer = client.chat.completions.create(model="pro", tools=[TOOL], messages=history)

    assert answer.choices[0].message.content == "Done."
    made, returned = asked(gemini)["contents"][1:]
    assert [part.get("thoughtSignature") for part in made["parts"]] == [SIGNATURE, None, None]
    assert [part["functionResponse"]["name"] for part in returned["parts"]] == ["find_order", "find_order", "now"]


def test_pictures_files_and_sound_are_forwarded(client: OpenAI, gemini: Gemini) -> None:
    gemini.script("gemini-3-pro", whole(text("I see.")))

    client.chat.completions.create(
        model="pro",
        messages=says(
            [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.jpg"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ]
        ),
    )

    assert asked(gemini)["contents"][0]["parts"] == [
        {"text": "See:"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"fileData": {"fileUri": "https://pictures.invalid/a.jpg", "mimeType": "image/jpeg"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
    ]


class Verdict(BaseModel):
    is_fine: bool


def test_a_schema_is_kept_to(client: OpenAI, gemini: Gemini) -> None:
    gemini.script("gemini-3-pro", whole(text('{"is_fine": true}')))

    answer = client.chat.completions.parse(model="pro", messages=says(), response_format=Verdict)

    assert answer.choices[0].message.parsed == Verdict(is_fine=True)
    config = asked(gemini)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["required"] == ["is_fine"]


def test_reasoning_is_asked_for_and_told(client: OpenAI, gemini: Gemini) -> None:
    gemini.script("gemini-3-pro", whole(thought("Hm."), text("Yes.")))

    answer = client.chat.completions.create(model="pro", messages=says(), reasoning_effort="low")

    assert asked(gemini)["generationConfig"] == {"thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True}}
    assert (answer.choices[0].message.model_extra or {})["reasoning_content"] == "Hm."


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_blocked_prompt_is_a_refusal(client: OpenAI, gemini: Gemini, is_stream: bool) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    reply = streamed(blocked) if is_stream else whole(candidates=[], **blocked)
    gemini.script("gemini-3-pro", reply)

    if is_stream:
        with client.chat.completions.create(model="pro", messages=says(), stream=True) as stream:
            told = [chunk.choices[0] for chunk in stream]
        assert "".join(choice.delta.refusal or "" for choice in told) == "The provider blocked the prompt: SAFETY."
        assert [choice.finish_reason for choice in told if choice.finish_reason] == ["content_filter"]
    else:
        whole_choice = client.chat.completions.create(model="pro", messages=says()).choices[0]
        assert whole_choice.finish_reason == "content_filter"
        assert whole_choice.message.refusal == "The provider blocked the prompt: SAFETY."
        assert whole_choice.message.content is None


def test_a_field_without_a_form_there_is_refused_and_harmless_ones_are_told(client: OpenAI, gemini: Gemini) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="pro", messages=says(), logit_bias={"5": 1})
    assert refused.value.param == "logit_bias"
    assert gemini.calls == []

    gemini.script("gemini-3-pro", whole(text("x")))
    answer = client.chat.completions.with_raw_response.create(model="pro", messages=says(), service_tier="flex")
    assert "service_tier" in answer.headers["x-thriftgate-warning"]


def test_a_rate_limit_says_when_to_come_back(client: OpenAI, gemini: Gemini) -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
    reply = failure(429, "Quota of project 7 exceeded.", "RESOURCE_EXHAUSTED", retry, retry_after="7")
    gemini.script("gemini-3-pro", reply)

    with pytest.raises(RateLimitError) as failed:
        client.chat.completions.create(model="pro", messages=says())

    assert int(failed.value.response.headers["retry-after"]) in range(1, 9)
    assert "project 7" not in failed.value.response.text


def test_a_bad_request_keeps_the_providers_words(client: OpenAI, gemini: Gemini) -> None:
    gemini.script("gemini-3-pro", failure(400, "The image is too large.", "INVALID_ARGUMENT"))

    with pytest.raises(BadRequestError, match="The image is too large"):
        client.chat.completions.create(model="pro", messages=says())


def test_our_bad_key_is_not_the_clients_fault_and_never_shown(client: OpenAI, gemini: Gemini) -> None:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    gemini.script("gemini-3-pro", failure(400, f"API key {KEY} not valid.", "INVALID_ARGUMENT", reason))

    with pytest.raises(InternalServerError) as failed:
        client.chat.completions.create(model="pro", messages=says())

    assert KEY not in failed.value.response.text


@pytest.mark.parametrize(
    "ending",
    [
        [HANG_UP],
        [],
    ],
    ids=["hung up", "ended in good order"],
)
def test_a_cut_stream_never_looks_complete(
    client: OpenAI, gemini: Gemini, gateway: RunningGateway, ending: list[Any]
) -> None:
    reply = stream_reply([event(response(text("Half an ans"), reason=None))])
    gemini.script("gemini-3-pro", unfinished(reply, *ending) if ending else reply)

    with client.chat.completions.create(model="pro", messages=says(), stream=True) as stream:
        seen = []
        with pytest.raises(APIError):
            seen += [chunk.choices[0].finish_reason for chunk in stream]

    assert not any(seen)
    row = gateway.rows()[-1]
    assert (row.status, row.usage_source) == ("upstream_cut", "estimated")


def test_a_stream_that_breaks_off_is_booked_with_what_had_been_counted(
    client: OpenAI, gemini: Gemini, gateway: RunningGateway
) -> None:
    counts = {
        "promptTokenCount": 1_000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 300,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1_000}],
    }
    begun = stream_reply([event(response(text("Half an ans"), reason=None, usageMetadata=counts))])
    gemini.script("gemini-3-pro", begun)

    with client.chat.completions.create(model="pro", messages=says(), stream=True) as stream, pytest.raises(APIError):
        list(stream)

    row = gateway.rows()[-1]
    assert (row.usage_source, row.input_tokens, row.cache_read_tokens) == ("estimated", 600, 400)
    # More was thought than was seen, and that is paid for as well.
    assert (row.output_tokens, row.reasoning_tokens) == (302, 300)


def test_an_error_in_the_midst_of_a_stream_ends_it(client: OpenAI, gemini: Gemini) -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    gemini.script(
        "gemini-3-pro", stream_reply([event(response(text("Half"), reason=None)), json.dumps(error, indent=1).encode()])
    )

    with (
        client.chat.completions.create(model="pro", messages=says(), stream=True) as stream,
        pytest.raises(APIError),
    ):
        list(stream)
