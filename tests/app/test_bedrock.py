"""Bedrock as a provider. First its simulator alone, with AWS's official SDK; then the gateway in front of it, with
OpenAI's."""

import base64
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import ClientError, EventStreamError  # type: ignore[import-untyped]
from openai import APIError, BadRequestError, InternalServerError, OpenAI, RateLimitError
from pydantic import BaseModel

from app.settings import Settings, SettingsInvalid, from_mapping
from tests.app.configuration import route
from tests.app.provider import HANG_UP, cut_up, unfinished
from tests.app.simulators.bedrock import (
    ACCESS_KEY,
    BEARER,
    REGION,
    SECRET,
    TOKEN,
    Bedrock,
    failure,
    running_bedrock,
    streamed,
    whole,
)
from tests.router.aws_events import begin_call, block_stop, delta, exception, metadata, start, stop, text
from tests.running import ROOT, RunningGateway, running_gateway

UNICODE = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
SONNET = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
PROFILE = f"arn:aws:bedrock:{REGION}:123456789012:inference-profile/{SONNET}"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TOOL: Any = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}}},
}
ENVIRONMENT = {"AWS_KEY": ACCESS_KEY, "AWS_SECRET": SECRET, "AWS_TOKEN": TOKEN, "AWS_BEARER": BEARER}
REASONING = [
    delta({"reasoningContent": {"text": "Let me "}}),
    delta({"reasoningContent": {"text": "think."}}),
    delta({"reasoningContent": {"signature": "c2ln"}}),
    block_stop(),
]
SIGNED = {"reasoningContent": {"reasoningText": {"text": "Let me think.", "signature": "c2ln"}}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Bedrock]:
    with running_bedrock() as simulator:
        yield simulator


@pytest.fixture
def bedrock(upstream: Bedrock) -> Bedrock:
    upstream.reset()
    return upstream


# --- the simulator, as AWS's own SDK sees it ------------------------------------------------------------------------


@contextmanager
def aws_client(simulator: Bedrock, secret: str = SECRET) -> Iterator[Any]:
    client = boto3.client(
        "bedrock-runtime",
        region_name=REGION,
        endpoint_url=simulator.base_url,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=secret,
        aws_session_token=TOKEN,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with closing(client):
        yield client


@pytest.fixture
def aws(bedrock: Bedrock) -> Iterator[Any]:
    with aws_client(bedrock) as client:
        yield client


HELLO: Any = [{"role": "user", "content": [{"text": "Hello"}]}]


def test_the_sdk_reads_a_whole_answer(aws: Any, bedrock: Bedrock) -> None:
    call = {"toolUse": {"toolUseId": "t1", "name": "find", "input": {"id": 7}}}
    bedrock.script(SONNET, whole(SIGNED, {"text": UNICODE}, call, reason="tool_use", cacheReadInputTokens=30))

    answer = aws.converse(modelId=SONNET, messages=HELLO, inferenceConfig={"maxTokens": 99})

    assert answer["output"]["message"]["content"] == [SIGNED, {"text": UNICODE}, call]
    assert (answer["stopReason"], answer["usage"]["cacheReadInputTokens"]) == ("tool_use", 30)


def test_the_sdk_sends_audio_as_the_gateway_does(aws: Any, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, whole({"text": "Hi."}))
    heard = {"audio": {"format": "wav", "source": {"bytes": b"RIFF"}}}

    aws.converse(modelId=SONNET, messages=[{"role": "user", "content": [heard, {"text": "What is said?"}]}])

    sent = bedrock.calls[0].received.json["messages"][0]["content"][0]
    assert sent == {"audio": {"format": "wav", "source": {"bytes": "UklGRg=="}}}


def test_the_sdk_reads_a_stream_however_it_is_cut(aws: Any, bedrock: Bedrock) -> None:
    raw = b"".join([start(), *REASONING, text(UNICODE, 1), block_stop(1), stop(), metadata()])
    bedrock.script(SONNET, streamed(*cut_up(raw, 7)))

    with closing(aws.converse_stream(modelId=SONNET, messages=HELLO)["stream"]) as stream:
        events = list(stream)

    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert deltas[-1] == {"text": UNICODE}
    assert deltas[2] == {"reasoningContent": {"signature": "c2ln"}}
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 20


def test_the_sdk_reads_errors_before_and_inside_a_stream(aws: Any, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, failure(429, "ThrottlingException", "Slow down."))
    with pytest.raises(ClientError) as failed:
        aws.converse(modelId=SONNET, messages=HELLO)
    assert failed.value.response["Error"]["Code"] == "ThrottlingException"

    bedrock.script(SONNET, streamed(start(), exception("modelStreamErrorException", "The model failed.")))
    with (
        closing(aws.converse_stream(modelId=SONNET, messages=HELLO)["stream"]) as stream,
        pytest.raises(EventStreamError, match="The model failed"),
    ):
        list(stream)


def test_the_simulator_turns_away_a_wrong_signature(bedrock: Bedrock) -> None:
    with (
        aws_client(bedrock, secret="wrong") as stranger,
        pytest.raises(ClientError, match="UnrecognizedClientException"),
    ):
        stranger.converse(modelId=SONNET, messages=HELLO)


# --- what the configuration says of it ------------------------------------------------------------------------------


def settings_of(text: str) -> Settings:
    aws = '[providers.aws]\nprotocol = "bedrock"\nbase_url = "https://x.invalid"\n'
    return from_mapping(tomllib.loads(aws + text), "test", ENVIRONMENT)


CREDENTIALS = '[providers.aws.aws]\naccess_key_id = "env:AWS_KEY"\nsecret_access_key = "env:AWS_SECRET"\n'


def test_credentials_are_one_key_among_others() -> None:
    text_ = f'region = "{REGION}"\napi_keys = ["env:AWS_BEARER"]\n{CREDENTIALS}'

    assert settings_of(text_).api_keys("aws") == (f"{ACCESS_KEY}:{SECRET}", BEARER)
    with_token = settings_of(f'{text_}session_token = "env:AWS_TOKEN"\n')
    assert with_token.api_keys("aws")[0] == f"{ACCESS_KEY}:{SECRET}:{TOKEN}"


@pytest.mark.parametrize(
    ("text_", "said"),
    [
        (CREDENTIALS, "providers.aws.region: is missing"),
        (f'region = "{REGION}"\n[providers.aws.aws]\naccess_key_id = "env:AWS_KEY"', "providers.aws.aws.secret_access"),
        (
            f'region = "{REGION}"\n' + CREDENTIALS.replace("AWS_KEY", "NOT_SET"),
            "providers.aws.aws.access_key_id: the env",
        ),
        (
            f'region = "{REGION}"\n' + CREDENTIALS.replace("env:AWS_SECRET", SECRET),
            "providers.aws.aws.secret_access_key",
        ),
    ],
)
def test_credentials_that_cannot_sign_are_refused_at_start_and_never_repeated(text_: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings_of(text_)

    assert any(problem.startswith(said) for problem in refused.value.problems)
    assert SECRET not in str(refused.value)


def test_only_the_module_of_the_protocol_loads_aws_code() -> None:
    script = (
        "import sys, app.main; sys.exit(any(name.partition('.')[0] in ('botocore', 'boto3') for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


# --- the gateway in front of it -------------------------------------------------------------------------------------


CONFIGURATION = """
[providers.aws]
protocol = "bedrock"
region = "{region}"
base_url = "{url}"
retries = 0
[providers.aws.aws]
access_key_id = "env:AWS_KEY"
secret_access_key = "env:AWS_SECRET"
session_token = "env:AWS_TOKEN"
[providers.bearer]
protocol = "bedrock"
base_url = "{url}"
api_key = "env:AWS_BEARER"
retries = 0
[models.sonnet]
tier = "premium"
accepts = ["image_url", "file"]
[[models.sonnet.deployments]]
provider = "aws"
model = "{sonnet}"
list_price = {{ input = 3, output = 15, cache_read = 0.3, cache_write_5m = 3.75, cache_write_1h = 6 }}
[models.bearer]
tier = "premium"
[[models.bearer.deployments]]
provider = "bearer"
model = "{sonnet}"
list_price = {{ input = 3, output = 15 }}
[models.profile]
tier = "premium"
[[models.profile.deployments]]
provider = "aws"
model = "{profile}"
list_price = {{ input = 3, output = 15 }}
"""


@pytest.fixture(scope="module")
def gateway(
    upstream: Bedrock, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    models = CONFIGURATION.format(url=upstream.base_url, region=REGION, sonnet=SONNET, profile=PROFILE)
    configuration = models + route(
        "default", "sonnet", "bearer", "profile", cache='mode = "off"', allow_downgrade=False
    )
    with running_gateway(tmp_path_factory.mktemp("bedrock"), configuration, ENVIRONMENT) as gateway:
        yield gateway


def says(content: Any = "Hello") -> Any:
    return [{"role": "user", "content": content}]


def asked(bedrock: Bedrock) -> dict[str, Any]:
    """What the provider was asked last."""
    found: dict[str, Any] = bedrock.calls[-1].received.json
    return found


def test_an_answer_is_the_providers_and_its_row_counts_every_token(
    client: OpenAI, bedrock: Bedrock, gateway: RunningGateway
) -> None:
    hourly = [{"ttl": "1h", "inputTokens": 100}]
    counts: dict[str, Any] = {"cacheReadInputTokens": 30, "cacheWriteInputTokens": 140, "cacheDetails": hourly}
    bedrock.script(SONNET, whole({"text": UNICODE}, **counts))

    answer = client.chat.completions.create(
        model="sonnet", messages=[{"role": "system", "content": "Be kind."}, *says()], temperature=0.5, max_tokens=99
    )

    assert answer.choices[0].message.content == UNICODE
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 12 + 30 + 140
    assert asked(bedrock) == {
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
        "inferenceConfig": {"temperature": 0.5, "maxTokens": 99},
    }
    row = gateway.row(request_id=answer._request_id)
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (12, 30, 8)
    assert row.actual_nano == 12 * 3000 + 30 * 300 + 40 * 3750 + 100 * 6000 + 8 * 15_000


@pytest.mark.parametrize("model", ["sonnet", "profile", "bearer"])
def test_signed_and_carried_credentials_are_accepted_whatever_the_models_name(
    client: OpenAI, bedrock: Bedrock, model: str
) -> None:
    bedrock.script(PROFILE if model == "profile" else SONNET, whole({"text": "x"}))

    assert client.chat.completions.create(model=model, messages=says()).choices[0].message.content == "x"
    headers = bedrock.calls[-1].received.headers
    assert headers["authorization"].startswith("Bearer " if model == "bearer" else "AWS4-HMAC-SHA256 ")


def test_a_stream_is_the_same_answer_with_usage_only_for_who_asks(client: OpenAI, bedrock: Bedrock) -> None:
    raw = b"".join([start(), text("Some "), text(UNICODE), block_stop(), stop(), metadata()])
    bedrock.script(SONNET, streamed(*cut_up(raw, 5)))

    with client.chat.completions.create(
        model="sonnet", messages=says(), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == f"Some {UNICODE}"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 20

    bedrock.script(SONNET, streamed(raw))
    with client.chat.completions.create(model="sonnet", messages=says(), stream=True) as stream:
        assert all(chunk.choices for chunk in stream)


@pytest.mark.parametrize("is_stream", [False, True])
def test_reasoning_and_calls_go_there_and_back_as_they_were_signed(
    client: OpenAI, bedrock: Bedrock, is_stream: bool
) -> None:
    if is_stream:
        calls = [
            begin_call("t1", "find_order", 1),
            delta({"toolUse": {"input": '{"id"'}}, 1),
            delta({"toolUse": {"input": ": 7}"}}, 1),
            block_stop(1),
            begin_call("t2", "now", 2),
            block_stop(2),
        ]
        reply = streamed(start(), *REASONING, *calls, stop("tool_use"), metadata())
    else:
        made = [
            {"toolUseId": "t1", "name": "find_order", "input": {"id": 7}},
            {"toolUseId": "t2", "name": "now", "input": {}},
        ]
        reply = whole(SIGNED, *({"toolUse": one} for one in made), reason="tool_use")
    bedrock.script(SONNET, reply, whole({"text": "Done."}))
    fields: Any = {"model": "sonnet", "tools": [TOOL], "reasoning_effort": "low"}

    if is_stream:
        with client.chat.completions.stream(messages=says(), **fields) as stream:
            message: Any = stream.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.create(messages=says(), **fields).choices[0].message
    assert [(call.id, call.function.name) for call in message.tool_calls] == [("t1", "find_order"), ("t2", "now")]
    assert [call.function.arguments.replace(" ", "") for call in message.tool_calls] == ['{"id":7}', "{}"]
    assert message.reasoning_content == "Let me think."
    assert asked(bedrock)["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 2048}}

    said = {
        "role": "assistant",
        "content": message.content,
        "thinking_blocks": message.thinking_blocks,
        "tool_calls": [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function.name, "arguments": call.function.arguments},
            }
            for call in message.tool_calls
        ],
    }
    results = [{"role": "tool", "tool_call_id": call.id, "content": "found"} for call in message.tool_calls]
    messages: Any = [*says(), said, *results]
    answer = client.chat.completions.create(model="sonnet", tools=[TOOL], messages=messages)

    assert answer.choices[0].message.content == "Done."
    back, returned = asked(bedrock)["messages"][1:]
    assert back["content"][0] == SIGNED
    assert [block["toolUse"]["toolUseId"] for block in back["content"][1:]] == ["t1", "t2"]
    assert [block["toolResult"]["toolUseId"] for block in returned["content"]] == ["t1", "t2"]


def test_pictures_and_documents_are_forwarded_as_bytes(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, whole({"text": "I see."}))

    client.chat.completions.create(
        model="sonnet",
        messages=says(
            [
                {"type": "text", "text": "See:"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
            ]
        ),
    )

    assert asked(bedrock)["messages"][0]["content"] == [
        {"text": "See:"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": "JVBERi0="}}},
    ]


def test_a_picture_behind_a_url_is_refused_by_its_part_and_fetched_by_nobody(client: OpenAI, bedrock: Bedrock) -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/a.png"}}

    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model="sonnet", messages=says([picture]))

    assert refused.value.param == "messages[0].content[0].image_url.url"
    assert bedrock.calls == []


class Verdict(BaseModel):
    is_fine: bool


def test_a_schema_is_kept_to(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, whole({"text": '{"is_fine": true}'}))

    answer = client.chat.completions.parse(model="sonnet", messages=says(), response_format=Verdict)

    assert answer.choices[0].message.parsed == Verdict(is_fine=True)
    assert asked(bedrock)["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["name"] == "Verdict"


def test_an_intervention_of_a_guardrail_is_a_filter(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, whole({"text": "I cannot help with that."}, reason="guardrail_intervened"))

    choice = client.chat.completions.create(model="sonnet", messages=says()).choices[0]

    assert (choice.finish_reason, choice.message.content) == ("content_filter", "I cannot help with that.")


def test_a_rate_limit_says_when_to_come_back(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, failure(429, "ThrottlingException", "Account 123 is too fast.", retry_after="7"))

    with pytest.raises(RateLimitError) as failed:
        client.chat.completions.create(model="sonnet", messages=says())

    assert int(failed.value.response.headers["retry-after"]) in range(1, 9)
    assert "123" not in failed.value.response.text


def test_a_bad_request_keeps_the_providers_words(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, failure(400, "ValidationException", "The image is too large."))

    with pytest.raises(BadRequestError, match="The image is too large"):
        client.chat.completions.create(model="sonnet", messages=says())


def test_bad_credentials_are_not_the_clients_fault_and_never_shown(client: OpenAI, bedrock: Bedrock) -> None:
    said = f"The request signature does not match: {ACCESS_KEY} {SECRET}"
    bedrock.script(SONNET, failure(403, "InvalidSignatureException", said))

    with pytest.raises(InternalServerError) as failed:
        client.chat.completions.create(model="sonnet", messages=says())

    assert ACCESS_KEY not in failed.value.response.text


@pytest.mark.parametrize("ending", [[HANG_UP], []], ids=["hung up", "ended in good order"])
def test_a_cut_stream_never_looks_complete(
    client: OpenAI, bedrock: Bedrock, gateway: RunningGateway, ending: list[Any]
) -> None:
    reply = streamed(start(), text("Half an ans"), text("wer")[:9])
    bedrock.script(SONNET, unfinished(reply, *ending) if ending else reply)

    with client.chat.completions.create(model="sonnet", messages=says(), stream=True) as stream:
        seen = []
        with pytest.raises(APIError):
            seen += [chunk.choices[0].finish_reason for chunk in stream]

    assert not any(seen)
    row = gateway.rows()[-1]
    assert (row.status, row.usage_source) == ("upstream_cut", "estimated")


def test_a_stream_that_fails_before_it_says_anything_is_an_error_with_its_status(
    client: OpenAI, bedrock: Bedrock
) -> None:
    bedrock.script(SONNET, streamed(start(), exception("throttlingException", "Too fast.")))

    with pytest.raises(RateLimitError):
        client.chat.completions.create(model="sonnet", messages=says(), stream=True)


def test_an_exception_in_the_midst_of_a_stream_ends_it(client: OpenAI, bedrock: Bedrock) -> None:
    bedrock.script(SONNET, streamed(start(), text("Half"), exception("modelStreamErrorException", "The model failed.")))

    with (
        client.chat.completions.create(model="sonnet", messages=says(), stream=True) as stream,
        pytest.raises(APIError),
    ):
        list(stream)
