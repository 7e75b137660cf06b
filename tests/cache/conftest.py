"""Fixtures of the cache's tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cache.asking import PARAPHRASE, QUESTION, Compass, Keep, Kept


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Keep]:
    """Opens a cache over one file; opened again, it is the same file. By default the two questions lie close."""
    with ExitStack() as stack:

        def opened(encoder: object = "compass", **bounds: int) -> Kept:
            kept = Kept(tmp_path, Compass({QUESTION: 0, PARAPHRASE: 10}) if encoder == "compass" else encoder, **bounds)
            stack.callback(kept.close)
            return kept

        yield opened


@pytest.fixture
def kept(keep: Keep) -> Kept:
    return keep()
