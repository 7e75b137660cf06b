"""Fixtures of the cache's tests."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cache.asking import FAR, PARAPHRASE, QUESTION, Compass, Keep, Kept


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Keep]:
    """Opens a cache over one file; opened again, it is the same file. By default two questions lie close and a third
    one far from them."""
    with ExitStack() as stack:

        def opened(encoder: Any = "compass", **given: Any) -> Kept:
            if encoder == "compass":
                encoder = Compass({QUESTION: 0, PARAPHRASE: 10, FAR: 80})
            kept = Kept(tmp_path, encoder, **given)
            stack.callback(kept.close)
            return kept

        yield opened


@pytest.fixture
def kept(keep: Keep) -> Kept:
    return keep()
