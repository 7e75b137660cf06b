"""What becomes of the entries of an export, and that it is told as it is."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from app.filling import curated_answer, take_in
from app.gateway import Route
from app.services import now
from cache import transfer
from cache.query import CachePolicy
from router.catalogue import RoutingPolicy, Tier
from tests.cache.asking import Kept, ask

POLICY = CachePolicy(start="prior")
ROUTES = {"faq": Route(RoutingPolicy((), Tier.MID, "balanced", False, False, ""), POLICY)}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Kept]:
    """A cache with room for five entries."""
    kept = Kept(tmp_path, None, max_entries=5)
    yield kept
    kept.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Kept]:
    """Another one, with room for all."""
    folder = tmp_path / "other"
    folder.mkdir()
    kept = Kept(folder, None)
    yield kept
    kept.close()


async def exported(kept: Kept, count: int) -> bytes:
    for number in range(count):
        question, answer = f"What is the number {number} good for?", f"For {number} things."
        await kept.learn(ask(question), msgspec.json.encode(curated_answer(question, answer, now())).decode())
    kept.store.flush()
    return b"".join(transfer.lines(kept.store))


async def test_that_entries_had_to_make_room_is_told(small: Kept, other: Kept) -> None:
    taken = await take_in(small.cache, ROUTES, await exported(other, 12))
    assert small.count("entries") == 5
    assert {name: count for name, count in taken.items() if count} == {"imported": 12, "evicted": 7}


async def test_that_entries_could_not_be_written_is_told(small: Kept, other: Kept) -> None:
    written = await exported(other, 3)
    with small.engine.begin() as connection:
        connection.exec_driver_sql("create trigger no before insert on entries begin select raise(abort, 'no'); end")
    taken = await take_in(small.cache, ROUTES, written)
    assert {name: count for name, count in taken.items() if count} == {"imported": 3, "unwritten": 3}
