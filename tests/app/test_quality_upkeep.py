"""What the router has learned of its models' quality: it is fitted while the server runs, and outlives it."""

import asyncio
from pathlib import Path

import pytest
import structlog

from app.quality_upkeep import QualityUpkeep
from router.catalogue import Tier
from router.quality import Quality, traits

TIERS = {"large": Tier.PREMIUM, "small": Tier.ECONOMY}
LOG = structlog.get_logger()
SEEN = traits("How do I change my address?")


def taught(answers: int = 40) -> Quality:
    quality = Quality(TIERS)
    for _ in range(answers):
        quality.learn(SEEN, "small", 0.1)
    return quality


async def test_a_fit_that_is_due_is_made_beside_other_work(tmp_path: Path) -> None:
    quality = taught()
    assert quality.is_fit_due
    upkeep = QualityUpkeep(quality, tmp_path / "quality.npz", "space", LOG)

    upkeep.start()
    async with asyncio.timeout(30):
        while quality.is_fit_due:  # noqa: ASYNC110  it tells nobody
            await asyncio.sleep(0.01)
    await upkeep.stop()

    assert quality.estimate(SEEN)["small"].q < 0.4


async def test_what_was_learned_outlives_the_process(tmp_path: Path) -> None:
    before = QualityUpkeep(taught(), tmp_path / "quality.npz", "space", LOG)
    before.start()
    await before.stop()

    quality = Quality(TIERS)
    after = QualityUpkeep(quality, tmp_path / "quality.npz", "space", LOG)
    after.start()
    await after.stop()

    assert len(quality) == 40
    assert quality.estimate(SEEN)["small"].q < 0.4


@pytest.mark.parametrize("content", [b"", b"half a file", b"PK\x03\x04"])
async def test_a_file_that_cannot_be_read_does_not_keep_the_server_from_starting(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "quality.npz").write_bytes(content)
    quality = Quality(TIERS)
    upkeep = QualityUpkeep(quality, tmp_path / "quality.npz", "space", LOG)

    upkeep.start()
    await upkeep.stop()

    assert len(quality) == 0


async def test_nothing_learned_writes_nothing(tmp_path: Path) -> None:
    upkeep = QualityUpkeep(Quality(TIERS), tmp_path / "quality.npz", "space", LOG)
    upkeep.start()
    await upkeep.stop()

    assert not (tmp_path / "quality.npz").exists()
