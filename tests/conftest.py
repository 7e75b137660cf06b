"""Fixtures for every package's tests. Sockets beyond loopback are blocked by pytest-socket (`pyproject.toml`)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cache.encoder import NEXT_STEP
from tests.running import ENCODER, ROOT, SIMULATED, RunningGateway, running_gateway

__all__ = ["ROOT"]

# The same examples in every run: what a run says of a change is due to the change. `make explore` draws new ones.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", _UNTIMED, derandomize=True)
settings.register_profile("explore", _UNTIMED, derandomize=False)
settings.load_profile("repeatable")


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
