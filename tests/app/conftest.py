"""What the end-to-end tests share: one scripted provider for each module, without scripts before each test."""

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.app.provider import Provider, running_provider
from tests.running import RunningGateway


@pytest.fixture(scope="module")
def upstream() -> Iterator[Provider]:
    """The provider that a module's gateways call."""
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(upstream: Provider) -> Provider:
    """The same one, with no call noted and no script set."""
    upstream.reset()
    return upstream


@pytest.fixture(scope="module")
def key(gateway: RunningGateway) -> str:
    """A key for the module's gateway."""
    return gateway.key()


@pytest.fixture
def client(gateway: RunningGateway, key: str) -> Iterator[OpenAI]:
    """The official SDK before the module's gateway, of which no deployment rests."""
    gateway.reset_deployments()
    with OpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        yield client
