"""Responses that a provider keeps, with the official SDK: by the team that made them, where they were made, also after
a restart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from tests.app.configuration import model, route
from tests.app.openai_error import openai_error
from tests.app.simulators.responses import KEYS, Responses, running_responses
from tests.running import RunningGateway, running_gateway

ENVIRONMENT = {"FIRST_KEY": KEYS[0], "SECOND_KEY": KEYS[1]}


def natively(keeper: Responses, name: str, *keys: str) -> str:
    named = ", ".join(f'"env:{key}"' for key in keys)
    return f'[providers.{name}]\nbase_url = "{keeper.base_url}"\napi_keys = [{named}]\nretries = 0\nresponses = true\n'


@pytest.fixture(scope="module")
def keepers() -> Iterator[Responses]:
    with running_responses() as provider:
        yield provider


@pytest.fixture
def keeper(keepers: Responses) -> Responses:
    keepers.reset()
    return keepers


@pytest.fixture(scope="module")
def configuration(keepers: Responses) -> str:
    return (
        natively(keepers, "one", "FIRST_KEY")
        + natively(keepers, "other", "SECOND_KEY")
        + natively(keepers, "pool", "FIRST_KEY", "SECOND_KEY")
        + model("kept", "native-1", provider="one")
        + model("elsewhere", "native-2", provider="other")
        + model("pooled", "native-3", provider="pool")
        + route("default", "kept", "elsewhere", "pooled", cache='mode = "off"')
        + route("narrow", "elsewhere", cache='mode = "off"')
    )


@pytest.fixture(scope="module")
def gateway(
    configuration: str, tmp_path_factory: pytest.TempPathFactory, encoder_folder: Path
) -> Iterator[RunningGateway]:
    with running_gateway(tmp_path_factory.mktemp("kept"), configuration, ENVIRONMENT) as gateway:
        yield gateway


def test_the_simulator_is_what_the_official_client_takes(keeper: Responses) -> None:
    with OpenAI(base_url=keeper.base_url, api_key=KEYS[0], max_retries=0) as direct:
        made = direct.responses.create(model="native", input="Directly.")

        assert direct.responses.retrieve(made.id).output_text == made.output_text
        assert [item.id for item in direct.responses.input_items.list(made.id)] == ["msg_in1"]
        with pytest.raises(BadRequestError, match="background"):
            direct.responses.cancel(made.id)
        direct.responses.delete(made.id)
        with pytest.raises(NotFoundError):
            direct.responses.retrieve(made.id)


def test_a_kept_response_is_found_listed_and_deleted(client: OpenAI, keeper: Responses) -> None:
    made = client.responses.create(model="kept", input="Keep this.")

    found = client.responses.retrieve(made.id, include=["message.output_text.logprobs"])
    items = client.responses.input_items.list(made.id, limit=1, order="asc")
    with pytest.raises(BadRequestError, match="background=true") as refusal:
        client.responses.cancel(made.id)
    client.responses.delete(made.id)

    assert found.to_dict() == made.to_dict()
    assert [item.content[0].text for item in items.data] == ["Keep this."]  # type: ignore[union-attr]
    assert refusal.value.body is not None
    asked = [(question.method, urlsplit(question.target)) for question in keeper.questions]
    at = f"/v1/responses/{made.id}"
    assert [(method, target.path) for method, target in asked] == [
        ("GET", at),
        ("GET", f"{at}/input_items"),
        ("POST", f"{at}/cancel"),
        ("DELETE", at),
    ]
    assert parse_qs(asked[0][1].query) == {"include[]": ["message.output_text.logprobs"]}
    assert parse_qs(asked[1][1].query) == {"limit": ["1"], "order": ["asc"]}
    with pytest.raises(NotFoundError, match=f"'{made.id}' not found"):
        client.responses.retrieve(made.id)
    assert len(keeper.questions) == 4


async def test_the_asynchronous_client_works_likewise(gateway: RunningGateway, key: str, keeper: Responses) -> None:
    async with AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        made = await client.responses.create(model="kept", input="Keep this, too.")
        assert (await client.responses.retrieve(made.id)).id == made.id
        assert [item.type async for item in client.responses.input_items.list(made.id)] == ["message"]
        await client.responses.delete(made.id)


@pytest.mark.parametrize(
    ("method", "tail"), [("GET", ""), ("DELETE", ""), ("GET", "/input_items"), ("POST", "/cancel")]
)
def test_for_everybody_else_there_is_no_such_response(
    gateway: RunningGateway, client: OpenAI, keeper: Responses, method: str, tail: str
) -> None:
    made = client.responses.create(model="kept", input="Nobody else's.")

    def asked(secret: str, known_as: str) -> Any:
        headers = {"authorization": f"Bearer {secret}"}
        return gateway.request(method, f"/v1/responses/{known_as}{tail}", headers=headers)

    openai_error(asked(gateway.key(team="others"), made.id), 404)
    openai_error(asked(client.api_key, "resp_of-nobody"), 404)
    openai_error(asked(client.api_key, "%2e%2e%2fmodels"), 404)
    openai_error(asked("tg-wrong", made.id), 401, code="invalid_api_key")
    assert keeper.questions == []
    # Another key of the team has it, whatever its route offers.
    assert asked(gateway.key(route="narrow"), made.id).status_code == (400 if tail == "/cancel" else 200)


def test_a_response_that_was_not_to_be_stored_is_kept_by_nobody(client: OpenAI, keeper: Responses) -> None:
    made = client.responses.create(model="kept", input="Forget this.", store=False)

    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(BadRequestError, match="previous_response_id"):
        client.responses.create(model="kept", input="Go on.", previous_response_id=made.id)
    assert keeper.questions == []


def test_among_several_accounts_the_one_that_knows_it_is_found(client: OpenAI, keeper: Responses) -> None:
    made = [client.responses.create(model="pooled", input=f"Number {number}.") for number in range(4)]

    assert {call.received.headers["authorization"] for call in keeper.calls} == {f"Bearer {key}" for key in KEYS}
    assert [client.responses.retrieve(each.id).id for each in made] == [each.id for each in made]
    for each in made * 2:
        following = client.responses.create(model="pooled", input="Go on.", previous_response_id=each.id)
        assert client.responses.retrieve(following.id).id == following.id


def test_what_only_background_responses_have_is_refused_by_name(client: OpenAI, keeper: Responses) -> None:
    made = client.responses.create(model="kept", input="Not in the background.")

    with pytest.raises(BadRequestError) as refusal:
        client.responses.retrieve(made.id, stream=True)

    assert refusal.value.param == "stream"
    assert keeper.questions == []


def test_what_the_provider_has_forgotten_is_its_404(client: OpenAI, keeper: Responses) -> None:
    made = client.responses.create(model="kept", input="Deleted elsewhere.")
    with OpenAI(base_url=keeper.base_url, api_key=KEYS[0], max_retries=0) as direct:
        direct.responses.delete(made.id)

    with pytest.raises(NotFoundError, match="not found"):
        client.responses.retrieve(made.id)


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_after_a_restart_it_is_continued_and_found_where_it_was_made(
    start_gateway: Any, configuration: str, keeper: Responses, ends: str
) -> None:
    gateway = start_gateway(configuration, **ENVIRONMENT)
    key = gateway.key()
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        made = client.responses.create(model="kept", input="Before the restart.")
    getattr(gateway, ends)()
    gateway.start()

    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        second = client.responses.create(model="kept", input="After it.", previous_response_id=made.id)
        assert client.responses.retrieve(made.id).id == made.id
    with (
        OpenAI(base_url=gateway.base_url, api_key=gateway.key(team="others"), max_retries=0) as stranger,
        pytest.raises(APIStatusError) as refusal,
    ):
        stranger.responses.create(model="kept", input="Mine?", previous_response_id=made.id)

    assert (refusal.value.status_code, refusal.value.param) == (400, "previous_response_id")
    assert keeper.calls[-1].received.json["previous_response_id"] == made.id
    assert second.id != made.id
    assert gateway.verification().problems == []
