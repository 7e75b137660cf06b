"""Credentials that expire: fetched where the cloud's own tools fetch them, renewed while requests are served, and never
shown. The places they come from are simulated on loopback, and the official SDKs accept them first."""

import json
import math
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
import httpx
import pytest
from google import genai
from google.auth.exceptions import RefreshError
from google.genai import types
from google.oauth2.service_account import Credentials
from openai import OpenAI

from app.services import models_of
from app.settings import Settings, SettingsInvalid, from_mapping
from router.catalogue import AwsChain, GoogleAccount
from tests.app.configuration import model, route
from tests.app.openai_error import openai_error
from tests.app.provider import Received, Reply, running
from tests.app.simulators import bedrock as aws
from tests.app.simulators import gemini as google
from tests.app.simulators.accounts import (
    ContainerAccounts,
    GoogleAccounts,
    InstanceAccounts,
    Sts,
    running_container_accounts,
    running_google_accounts,
)
from tests.app.simulators.bedrock import REGION, Bedrock
from tests.app.simulators.gemini import LOCATION, PROJECT, Vertex
from tests.running import ROOT, RunningGateway

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture(scope="module")
def google_accounts() -> Iterator[GoogleAccounts]:
    with running_google_accounts() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def container() -> Iterator[ContainerAccounts]:
    with running_container_accounts() as simulator:
        yield simulator


@pytest.fixture
def vertex(google_accounts: GoogleAccounts) -> Iterator[Vertex]:
    google_accounts.reset()
    with running(Vertex(google_accounts.is_good)) as simulator:
        yield simulator


@pytest.fixture
def bedrock(container: ContainerAccounts) -> Iterator[Bedrock]:
    container.reset()

    def account(access_key: str) -> str | None:
        return container.secret_of(access_key) if container.is_good(access_key) else None

    with running(Bedrock(account)) as simulator:
        yield simulator


@pytest.fixture
def key_file(google_accounts: GoogleAccounts, tmp_path: Path) -> Path:
    return google_accounts.write_key(tmp_path / "account.json")


def vertex_provider(vertex: Vertex, credentials: str = "") -> str:
    return (
        f'[providers.vertex]\nprotocol = "gemini"\nregion = "{LOCATION}"\nbase_url = "{vertex.root}/v1"\nretries = 0\n'
        f'[providers.vertex.google]\nproject = "{PROJECT}"\n{credentials}\n'
        + model("pro", "gemini-3-pro", provider="vertex")
        + model("tuned", "endpoints/123", provider="vertex")
        + route("default", "pro", "tuned", cache='mode = "off"')
    )


def bedrock_provider(bedrock: Bedrock, more: str = "") -> str:
    return (
        f'[providers.aws]\nprotocol = "bedrock"\nregion = "{REGION}"\nbase_url = "{bedrock.base_url}"\nretries = 0\n'
        + more
        + model("sonnet", "anthropic.claude", provider="aws")
        + route("default", "sonnet", cache='mode = "off"')
    )


def ask(gateway: RunningGateway, key: str, name: str, **fields: Any) -> httpx.Response:
    return gateway.chat(key, "Hello", model=name, **fields)


def shows_nothing(gateway: RunningGateway, *secrets: str) -> None:
    assert secrets
    for secret in secrets:
        assert secret not in gateway.log


# --- the simulators, as the official SDKs see them ------------------------------------------------------------------


def test_googles_sdk_gets_a_token_and_is_answered(
    google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path
) -> None:
    credentials = Credentials.from_service_account_file(str(key_file), scopes=[SCOPE])  # type: ignore[no-untyped-call]
    options = types.HttpOptions(base_url=vertex.root, api_version="v1")
    vertex.script("gemini-3-pro", google.whole(google.text("Hello")))
    with genai.Client(
        vertexai=True, project=PROJECT, location=LOCATION, credentials=credentials, http_options=options
    ) as client:
        assert client.models.generate_content(model="gemini-3-pro", contents="Hi").text == "Hello"

    assert len(google_accounts.given) == 1


def test_a_token_is_only_for_who_holds_the_key(google_accounts: GoogleAccounts, tmp_path: Path) -> None:
    with running_google_accounts() as others:
        account = json.loads(others.write_key(tmp_path / "other.json").read_text(encoding="utf-8"))
    account["token_uri"] = f"{google_accounts.root}/token"
    credentials = Credentials.from_service_account_info(account, scopes=[SCOPE])  # type: ignore[no-untyped-call]
    from google.auth.transport.requests import Request

    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        credentials.refresh(Request())  # type: ignore[no-untyped-call]


def test_awss_sdk_takes_a_containers_credentials(
    container: ContainerAccounts, bedrock: Bedrock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in container.environment.items():
        monkeypatch.setenv(name, value)
    bedrock.script("anthropic.claude", aws.whole({"text": "Hello"}))
    session = boto3.session.Session()

    with closing(session.client("bedrock-runtime", region_name=REGION, endpoint_url=bedrock.base_url)) as client:
        answer = client.converse(modelId="anthropic.claude", messages=[{"role": "user", "content": [{"text": "Hi"}]}])

    assert answer["output"]["message"]["content"] == [{"text": "Hello"}]
    assert list(container.given) == [session.get_credentials().access_key]


# --- Vertex AI ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["key file", "application default credentials"])
def test_calls_carry_a_token_of_the_account(
    start_gateway: Any, google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path, source: str
) -> None:
    is_named = source == "key file"
    environment = {} if is_named else {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file)}
    configuration = vertex_provider(vertex, f'credentials = "file:{key_file}"' if is_named else "")
    gateway = start_gateway(configuration, **environment)
    key = gateway.key()
    vertex.script("gemini-3-pro", google.whole(google.text("Hello")))
    vertex.script("123", google.whole(google.text("Tuned")))
    assert google_accounts.given == {}

    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        said = [
            client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Hi"}])
            for name in ("pro", "pro", "tuned")
        ]

    assert [answer.choices[0].message.content for answer in said] == ["Hello", "Hello", "Tuned"]
    (token,) = google_accounts.given
    assert {call.received.headers["authorization"] for call in vertex.calls} == {f"Bearer {token}"}
    shows_nothing(gateway, token)


def test_a_token_is_renewed_while_requests_are_served(
    start_gateway: Any, google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path
) -> None:
    google_accounts.lasts_s = 3
    gateway = start_gateway(vertex_provider(vertex, f'credentials = "file:{key_file}"'))
    key = gateway.key()
    vertex.script("gemini-3-pro", google.whole(google.text("Hello")))

    # The simulator turns away every token that has ended.
    while len(google_accounts.given) < 3:
        assert ask(gateway, key, "pro").status_code == 200

    shows_nothing(gateway, *google_accounts.given)


def test_a_token_that_is_turned_down_is_exchanged(
    start_gateway: Any, google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path
) -> None:
    gateway = start_gateway(vertex_provider(vertex, f'credentials = "file:{key_file}"'))
    key = gateway.key()
    vertex.script("gemini-3-pro", google.whole(google.text("Hello")))
    assert ask(gateway, key, "pro").status_code == 200
    (revoked,) = google_accounts.given
    google_accounts.given = {}

    refused = ask(gateway, key, "pro")
    gateway.reset_deployments()
    again = ask(gateway, key, "pro")

    assert (refused.status_code, again.status_code) == (502, 200)
    assert revoked not in refused.text
    shows_nothing(gateway, revoked, *google_accounts.given)


def test_a_refusal_that_repeats_the_token_is_told_without_it(
    start_gateway: Any, google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path
) -> None:
    gateway = start_gateway(vertex_provider(vertex, f'credentials = "file:{key_file}"'))

    def refusing(received: Received) -> Reply:
        return google.failure(400, f"Odd: {received.headers['authorization']}.", "INVALID_ARGUMENT")

    vertex.script("gemini-3-pro", refusing)

    error = openai_error(ask(gateway, gateway.key(), "pro"), 400)

    assert error["message"] == "Odd: Bearer ***."
    shows_nothing(gateway, *google_accounts.given)


def test_without_a_token_the_request_fails_over_and_nothing_is_told(
    start_gateway: Any, google_accounts: GoogleAccounts, vertex: Vertex, key_file: Path
) -> None:
    google_accounts.refuses = True
    gateway = start_gateway(vertex_provider(vertex, f'credentials = "file:{key_file}"'))

    answer = ask(gateway, gateway.key(), "pro")

    error = openai_error(answer, 502, code="upstream_failed")
    assert error["message"].startswith("There are no credentials for provider `vertex` at the moment")
    assert "JWT" not in answer.text
    assert vertex.calls == []
    row = gateway.rows(kind="attempt")[0]
    assert (row.error_class, row.actual_nano) == ("UpstreamUnreachable", 0)


# --- Bedrock --------------------------------------------------------------------------------------------------------


def test_calls_are_signed_with_the_containers_credentials(
    start_gateway: Any, container: ContainerAccounts, bedrock: Bedrock
) -> None:
    gateway = start_gateway(bedrock_provider(bedrock), **container.environment)
    key = gateway.key()
    bedrock.script("anthropic.claude", aws.whole({"text": "Hello"}))

    for _ in range(3):
        assert ask(gateway, key, "sonnet").json()["choices"][0]["message"]["content"] == "Hello"

    (access_key,) = container.given
    tokens = {call.received.headers["x-amz-security-token"] for call in bedrock.calls}
    assert tokens == {container.token_of(access_key)}
    shows_nothing(gateway, container.secret_of(access_key), container.token_of(access_key), container.TOKEN)


def test_temporary_credentials_are_renewed_while_requests_are_served(
    start_gateway: Any, container: ContainerAccounts, bedrock: Bedrock
) -> None:
    container.lasts_s = 4
    gateway = start_gateway(bedrock_provider(bedrock), **container.environment)
    key = gateway.key()
    bedrock.script("anthropic.claude", aws.whole({"text": "Hello"}))

    # The simulator turns away every key that has ended.
    while len(container.given) < 3:
        assert ask(gateway, key, "sonnet").status_code == 200

    shows_nothing(gateway, *(container.secret_of(access_key) for access_key in container.given))


def test_credentials_that_are_turned_down_are_fetched_anew(
    start_gateway: Any, container: ContainerAccounts, bedrock: Bedrock
) -> None:
    gateway = start_gateway(bedrock_provider(bedrock), **container.environment)
    key = gateway.key()
    bedrock.script("anthropic.claude", aws.whole({"text": "Hello"}))
    assert ask(gateway, key, "sonnet").status_code == 200
    container.given = {}

    refused = ask(gateway, key, "sonnet")
    gateway.reset_deployments()
    again = ask(gateway, key, "sonnet")

    assert (refused.status_code, again.status_code) == (502, 200)
    assert len(container.given) == 1


def test_where_there_are_none_the_provider_is_unreachable_and_nothing_is_told(
    start_gateway: Any, container: ContainerAccounts, bedrock: Bedrock
) -> None:
    container.refuses = True
    gateway = start_gateway(bedrock_provider(bedrock), **container.environment)

    answer = ask(gateway, gateway.key(), "sonnet")

    openai_error(answer, 502, code="upstream_failed")
    assert container.TOKEN not in answer.text
    assert bedrock.calls == []
    shows_nothing(gateway, container.TOKEN)


def test_a_profile_of_awss_own_configuration_is_used(
    start_gateway: Any, container: ContainerAccounts, bedrock: Bedrock, tmp_path: Path
) -> None:
    access_key = container._give("AKIA")
    file = tmp_path / "credentials"
    file.write_text(
        f"[batch]\naws_access_key_id = {access_key}\naws_secret_access_key = {container.secret_of(access_key)}\n",
        encoding="utf-8",
    )
    environment = container.environment | {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    gateway = start_gateway(bedrock_provider(bedrock, '[providers.aws.aws]\nprofile = "batch"\n'), **environment)
    bedrock.script("anthropic.claude", aws.whole({"text": "Hello"}))

    assert ask(gateway, gateway.key(), "sonnet").status_code == 200
    assert container.calls == []


def fetched(environment: dict[str, str], profile: str = "") -> tuple[str, float]:
    """What the chain finds there, in a process of its own, and for how many seconds."""
    script = (
        "import sys, time; from router.aws_credentials import fetcher; from router.catalogue import AwsChain\n"
        "lease = fetcher(AwsChain(sys.argv[1] or None, sys.argv[2]))(False)\n"
        "print(lease.value, lease.ends_s - time.time())"
    )
    command = [sys.executable, "-c", script, profile, REGION]
    found = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    value, lasts_s = found.stdout.split()
    return value, float(lasts_s)


@pytest.fixture
def nothing_else(container: ContainerAccounts) -> dict[str, str]:
    """An environment in which only what a test adds has credentials."""
    own = {name: value for name, value in container.environment.items() if "CONTAINER" not in name}
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | own


def test_a_web_identity_becomes_a_role(nothing_else: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(Sts.IDENTITY, encoding="utf-8")
    with running(Sts()) as sts:
        value, lasts_s = fetched(
            nothing_else
            | {
                "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
                "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/gateway",
                "AWS_ENDPOINT_URL_STS": sts.root,
            }
        )

        assert value == f"{next(iter(sts.given))}:secret:session"
    assert 3000 < lasts_s < 3600


def test_a_profiles_role_is_assumed(nothing_else: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile gateway]\nrole_arn = arn:aws:iam::123456789012:role/gateway\nsource_profile = own\n"
        "[profile own]\naws_access_key_id = AKIAOWN\naws_secret_access_key = own\n",
        encoding="utf-8",
    )
    with running(Sts()) as sts:
        added = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ENDPOINT_URL_STS": sts.root}
        value, lasts_s = fetched(nothing_else | added, "gateway")

        assert value == f"{next(iter(sts.given))}:secret:session"
        assert f"/{REGION}/sts/" in sts.calls[0].received.headers["authorization"]
    assert 3000 < lasts_s < 3600


def test_an_instance_has_those_of_its_role(nothing_else: dict[str, str]) -> None:
    with running(InstanceAccounts()) as instance:
        added = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": instance.root, "AWS_EC2_METADATA_DISABLED": "false"}
        value, lasts_s = fetched(nothing_else | added)

        assert value.partition(":")[0] in instance.given
    assert lasts_s > 0


def test_the_environments_own_do_not_say_when_they_end(nothing_else: dict[str, str]) -> None:
    added = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"}

    assert fetched(nothing_else | added) == ("AKIAENV:s:t", math.inf)


# --- settings -------------------------------------------------------------------------------------------------------


def settings_of(text: str) -> Settings:
    return from_mapping(tomllib.loads(text), "test", {"AWS_KEY": "AKIAX", "AWS_SECRET": "s", "GEMINI_KEY": "AIza"})


GOOGLE = '[providers.vertex]\nprotocol = "gemini"\n'
AWS = f'[providers.aws]\nprotocol = "bedrock"\nbase_url = "https://x.invalid"\nregion = "{REGION}"\n'
PROJECT_TABLE = '[providers.vertex.google]\nproject = "p"\n'


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_every_location_has_its_own_address(location: str, host: str) -> None:
    settings = settings_of(f'{GOOGLE}region = "{location}"\n{PROJECT_TABLE}')

    provider = next(iter(models_of(settings).values())).deployments[0].provider

    assert provider.base_url == f"https://{host}/v1/projects/p/locations/{location}"
    assert provider.credentials == GoogleAccount(None)


def test_bedrock_without_keys_takes_what_the_machine_has() -> None:
    def source(text: str) -> Any:
        return next(iter(models_of(settings_of(text)).values())).deployments[0].provider.credentials

    assert source(AWS) == AwsChain(None, REGION)
    assert source(f'{AWS}[providers.aws.aws]\nprofile = "batch"\n') == AwsChain("batch", REGION)
    assert source(f'{AWS}api_key = "env:AWS_KEY"\n') is None
    keys = 'access_key_id = "env:AWS_KEY"\nsecret_access_key = "env:AWS_SECRET"\n'
    assert source(f"{AWS}[providers.aws.aws]\n{keys}") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AWS.replace(f'region = "{REGION}"\n', ""), "providers.aws.region: is missing"),
        (f'{AWS}[providers.aws.aws]\nsecret_access_key = "env:AWS_SECRET"\n', "providers.aws.aws.access_key_id: is m"),
        (f'{AWS}[providers.aws.aws]\nsession_token = "env:AWS_KEY"\n', "providers.aws.aws.session_token: belongs"),
        (f'{AWS}api_key = "env:AWS_KEY"\n[providers.aws.aws]\nprofile = "p"\n', "providers.aws.aws.profile: give"),
        (GOOGLE + PROJECT_TABLE, "providers.vertex.region: is missing"),
        (f'{GOOGLE}region = "eu"\napi_key = "env:GEMINI_KEY"\n{PROJECT_TABLE}', "providers.vertex.google: give cred"),
        (AWS + PROJECT_TABLE.replace("vertex", "aws"), "providers.aws.google: is for"),
        (f'{GOOGLE}region = "eu"\n[providers.vertex.google]\n', "providers.vertex.google.project: is missing"),
        (f'{GOOGLE}region = "eu"\n{PROJECT_TABLE}credentials = "env:X"\n', "providers.vertex.google.credentials: must"),
        (
            f'{GOOGLE}region = "eu"\n{PROJECT_TABLE}credentials = "file:/nonexistent"\n',
            "providers.vertex.google.credentials: the file",
        ),
        (
            f'{GOOGLE}region = "eu"\n{PROJECT_TABLE}[models.m]\ntier = "mid"\nkind = "embedding"\n'
            'deployments = [{ provider = "vertex" }]\n',
            "models.m.deployments[0].provider: its protocol has no embeddings",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_start(text: str, said: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        settings_of(text)

    assert any(problem.startswith(said) for problem in refused.value.problems), refused.value.problems


def test_the_libraries_of_both_clouds_are_loaded_by_who_needs_them() -> None:
    script = (
        "import sys, app.main, router.credentials;"
        "sys.exit(any(name.startswith(('google.auth', 'google.oauth2', 'botocore')) for name in sys.modules))"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_tokens_need_no_library_that_only_the_tests_have(google_accounts: GoogleAccounts, tmp_path: Path) -> None:
    google_accounts.reset()
    file = google_accounts.write_key(tmp_path / "account.json")
    script = (
        "import sys; sys.modules.update(requests=None, google_genai=None)\n"
        "from router.catalogue import GoogleAccount; from router.google_credentials import fetcher\n"
        "sys.exit(not fetcher(GoogleAccount(sys.argv[1]))(False).value.startswith('Bearer ya29'))"
    )

    assert subprocess.run([sys.executable, "-c", script, str(file)], cwd=ROOT, check=False).returncode == 0
