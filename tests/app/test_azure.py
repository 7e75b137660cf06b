"""Azure OpenAI as a provider. First its simulator alone, with the official SDK; then the gateway in front of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import (
    APIError,
    AuthenticationError,
    AzureOpenAI,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from tests.app.configuration import route
from tests.app.provider import HANG_UP, chat_body, chat_events, cut_up, stream_reply, unfinished, usage_chunk
from tests.app.provider import streamed as chat_stream
from tests.app.simulators.azure import (
    KEY,
    REQUEST_ID,
    TOKEN,
    VERSION,
    Azure,
    blocked_prompt,
    failure,
    opening,
    running_azure,
    streamed,
    whole,
)
from tests.running import RunningGateway, running_gateway

UNICODE = "Grüße, 你好, שלום, 👩‍👩‍👧‍👦\u2028\u0085 end"
DEPLOYMENT = "gpt 5/eu"
STREAMS = pytest.mark.parametrize("streams", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def upstream() -> Iterator[Azure]:
    with running_azure() as simulator:
        yield simulator


@pytest.fixture
def azure(upstream: Azure) -> Azure:
    upstream.reset()
    return upstream


def says(content: Any = "Hello") -> Any:
    return [{"role": "user", "content": content}]


# --- the simulator, as the official SDK sees it ---------------------------------------------------------------------


@pytest.fixture(params=["key", "token"])
def own(request: pytest.FixtureRequest, azure: Azure) -> Iterator[AzureOpenAI]:
    credentials: Any = {"key": {"api_key": KEY}, "token": {"azure_ad_token": TOKEN}}[request.param]
    with AzureOpenAI(azure_endpoint=azure.base_url, api_version=VERSION, max_retries=0, **credentials) as client:
        yield client


def test_the_sdk_reads_a_whole_answer(own: AzureOpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, whole(chat_body(UNICODE)))

    answer = own.chat.completions.create(model=DEPLOYMENT, messages=says(), temperature=0.5)

    assert answer.choices[0].message.content == UNICODE
    assert (answer.choices[0].model_extra or {})["content_filter_results"]["hate"]["severity"] == "safe"
    assert answer.usage is not None


def test_the_sdk_reads_a_stream(own: AzureOpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, streamed(chat_events(["Hel", "lo"])))

    with own.chat.completions.create(model=DEPLOYMENT, messages=says(), stream=True) as stream:
        chunks = list(stream)

    assert chunks[0].choices == []
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[1:]) == "Hello"


def test_the_sdk_reads_errors(own: AzureOpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, blocked_prompt(), failure(429, "429", "Rate limit is exceeded.", retry_after="7"))

    with pytest.raises(BadRequestError) as blocked:
        own.chat.completions.create(model=DEPLOYMENT, messages=says())
    assert blocked.value.code == "content_filter"
    with pytest.raises(RateLimitError):
        own.chat.completions.create(model=DEPLOYMENT, messages=says())


def test_the_simulator_turns_away_a_wrong_key_and_another_version(azure: Azure) -> None:
    stranger = AzureOpenAI(azure_endpoint=azure.base_url, api_version=VERSION, api_key="wrong")
    with stranger, pytest.raises(AuthenticationError):
        stranger.chat.completions.create(model=DEPLOYMENT, messages=says())
    outdated = AzureOpenAI(azure_endpoint=azure.base_url, api_version="2020-01-01", api_key=KEY)
    with outdated, pytest.raises(NotFoundError):
        outdated.chat.completions.create(model=DEPLOYMENT, messages=says())


# --- the gateway in front of it -------------------------------------------------------------------------------------

CONFIGURATION = """
[providers.cloud]
protocol = "azure"
base_url = "{url}"
api_key = "env:AZURE_KEY"
retries = 0
[providers.entra]
protocol = "azure"
base_url = "{url}"
api_key = "env:AZURE_TOKEN"
api_version = "{version}"
retries = 0
[models.gpt]
tier = "mid"
[[models.gpt.deployments]]
provider = "cloud"
model = "{deployment}"
list_price = {{ input = 2, output = 12 }}
[models.carried]
tier = "mid"
[[models.carried.deployments]]
provider = "entra"
model = "plain"
list_price = {{ input = 2, output = 12 }}
"""


@pytest.fixture(scope="module")
def gateway(
    upstream: Azure, tmp_path_factory: pytest.TempPathFactory, encoder_folder: object
) -> Iterator[RunningGateway]:
    configuration = CONFIGURATION.format(url=upstream.base_url, deployment=DEPLOYMENT, version=VERSION)
    configuration += route("default", "gpt", "carried", cache='mode = "off"', allow_downgrade=False)
    environment = {"AZURE_KEY": KEY, "AZURE_TOKEN": TOKEN}
    with running_gateway(tmp_path_factory.mktemp("azure"), configuration, environment) as gateway:
        yield gateway


def test_an_answer_is_the_providers_to_the_byte_and_its_row_counts_every_token(
    client: OpenAI, azure: Azure, gateway: RunningGateway
) -> None:
    reply = whole(chat_body(UNICODE))
    azure.script(DEPLOYMENT, reply)

    answer = client.chat.completions.with_raw_response.create(model="gpt", messages=says(), temperature=0.5)

    assert isinstance(reply[0], bytes)
    assert answer.content == reply[0].partition(b"\r\n\r\n")[2]
    received = azure.calls[-1].received
    assert received.target == f"/openai/deployments/gpt%205%2Feu/chat/completions?api-version={VERSION}"
    assert (received.headers["api-key"], "authorization" in received.headers) == (KEY, False)
    assert received.json == {"model": DEPLOYMENT, "messages": says(), "temperature": 0.5}
    row = gateway.row(request_id=answer.headers["x-request-id"])
    assert (row.input_tokens, row.output_tokens, row.usage_source) == (12, 7, "provider")
    assert row.actual_nano == 12 * 2000 + 7 * 12_000
    assert row.upstream_request_id == REQUEST_ID


def test_a_token_of_entra_travels_as_a_bearer_token(client: OpenAI, azure: Azure) -> None:
    azure.script("plain", whole(chat_body("x")))

    client.chat.completions.create(model="carried", messages=says())

    headers = azure.calls[-1].received.headers
    assert (headers["authorization"], "api-key" in headers) == (f"Bearer {TOKEN}", False)


def test_a_stream_passes_with_its_filter_results_however_it_is_cut(client: OpenAI, azure: Azure) -> None:
    raw = b"".join([opening(), *chat_stream(["Some ", UNICODE])])
    azure.script(DEPLOYMENT, stream_reply(cut_up(raw, 7)))

    with client.chat.completions.create(
        model="gpt", messages=says(), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)

    assert "prompt_filter_results" in (chunks[0].model_extra or {})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == f"Some {UNICODE}"
    assert chunks[-1].usage is not None
    assert azure.calls[-1].received.json["stream_options"] == {"include_usage": True}


def test_usage_that_nobody_asked_for_is_kept_back(client: OpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, streamed([*chat_events(["x"]), usage_chunk()]))

    with client.chat.completions.create(model="gpt", messages=says(), stream=True) as stream:
        assert not any(chunk.usage for chunk in stream)


@STREAMS
def test_a_blocked_prompt_is_a_bad_request_with_its_code(client: OpenAI, azure: Azure, streams: bool) -> None:
    azure.script(DEPLOYMENT, blocked_prompt())

    with pytest.raises(BadRequestError, match="filtered") as blocked:
        client.chat.completions.create(model="gpt", messages=says(), stream=streams)

    assert (blocked.value.code, blocked.value.param) == ("content_filter", "prompt")
    assert len(azure.calls) == 1


def test_a_filtered_answer_says_so(client: OpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, whole(chat_body("Some", finish="content_filter")))

    answer = client.chat.completions.create(model="gpt", messages=says())

    assert answer.choices[0].finish_reason == "content_filter"


def test_a_rate_limit_says_when_to_come_back(client: OpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, failure(429, "429", "Exceeded the limit of subscription 7.", retry_after_ms="6500"))

    with pytest.raises(RateLimitError) as failed:
        client.chat.completions.create(model="gpt", messages=says())

    assert int(failed.value.response.headers["retry-after"]) in range(1, 9)
    assert "subscription 7" not in failed.value.response.text


@pytest.mark.parametrize("status", [401, 403])
def test_our_bad_key_is_not_the_clients_fault_and_never_shown(client: OpenAI, azure: Azure, status: int) -> None:
    azure.script(DEPLOYMENT, failure(status, str(status), f"Access denied: {KEY} at {azure.base_url}."))

    with pytest.raises(InternalServerError) as failed:
        client.chat.completions.create(model="gpt", messages=says())

    assert KEY not in failed.value.response.text
    assert azure.base_url not in failed.value.response.text


def test_a_deployment_that_is_not_there_is_not_found(client: OpenAI, azure: Azure) -> None:
    azure.script(DEPLOYMENT, failure(404, "DeploymentNotFound", "The API deployment for this resource does not exist."))

    with pytest.raises(NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt", messages=says())


@pytest.mark.parametrize("ending", [[HANG_UP], []], ids=["hung up", "ended in good order"])
def test_a_cut_stream_never_looks_complete(
    client: OpenAI, azure: Azure, gateway: RunningGateway, ending: list[Any]
) -> None:
    reply = streamed(chat_events(["Half"])[:2], ends=False)
    azure.script(DEPLOYMENT, unfinished(reply, *ending) if ending else reply)

    with client.chat.completions.create(model="gpt", messages=says(), stream=True) as stream:
        seen = []
        with pytest.raises(APIError):
            seen += [chunk.choices[0].finish_reason for chunk in stream if chunk.choices]

    assert not any(seen)
    row = gateway.rows()[-1]
    assert (row.status, row.usage_source) == ("upstream_cut", "estimated")
