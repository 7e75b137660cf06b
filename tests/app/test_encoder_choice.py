"""Which encoder the server serves with: the configured one, or none and a reason."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.services import open_encoder
from app.settings import EncoderSettings, Settings, load


class Log(list[dict[str, Any]]):
    def warning(self, event: str, **fields: Any) -> None:
        self.append({"event": event, **fields})


def configured(model: str, folder: Path) -> Settings:
    return msgspec.structs.replace(load(None, {}), encoder=EncoderSettings(model=model, folder=str(folder)))


@pytest.mark.parametrize("model", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_configured_encoder_serves(model: str, encoder_folder: Path) -> None:
    log = Log()
    encoder = open_encoder(configured(model, encoder_folder), log)
    assert encoder is not None
    assert (encoder.model, log) == ("all-MiniLM-L6-v2", [])
    encoder.close()


def test_another_model_than_the_configured_one_never_serves(encoder_folder: Path) -> None:
    log = Log()
    assert open_encoder(configured("BAAI/bge-small-en-v1.5", encoder_folder), log) is None
    assert "make encoder MODEL=BAAI/bge-small-en-v1.5" in log[0]["reason"]


def test_without_an_export_the_semantic_cache_is_off_and_says_so(tmp_path: Path) -> None:
    log = Log()
    assert open_encoder(configured("all-MiniLM-L6-v2", tmp_path / "none"), log) is None
    assert "make encoder" in log[0]["reason"]
