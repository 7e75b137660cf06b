"""What the end-to-end tests share: one scripted provider for each module, without scripts before each test."""

from collections.abc import Iterator

import pytest

from tests.app.provider import Provider, running_provider


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
