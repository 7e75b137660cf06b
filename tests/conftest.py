"""Fixtures for every package's tests. Sockets beyond loopback are blocked by pytest-socket (`pyproject.toml`)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cache.encoder import NEXT_STEP
from tests.running import ENCODER, ROOT, SIMULATED, RunningGateway, running_gateway

__all__ = ["ROOT"]


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    """The exported default encoder: THRIFTGATE_ENCODER_DIR, else where `make encoder` puts it."""
    if not (ENCODER / "encoder.json").is_file():
        pytest.fail(f"The tests need an exported encoder, there is none at {ENCODER}: {NEXT_STEP}.")
    return ENCODER


@pytest.fixture
def start_gateway(tmp_path: Path, encoder_folder: Path) -> Iterator[Callable[..., RunningGateway]]:
    """Starts a real gateway with this configuration; all are stopped at the end of the test."""
    with ExitStack() as stack:
        yield lambda configuration=SIMULATED, **environment: stack.enter_context(
            running_gateway(tmp_path, configuration, environment)
        )
