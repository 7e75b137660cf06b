"""What eight bits lose, and that a vector depends on its text alone, with the exported encoder."""

from pathlib import Path

import pytest

from cache.encoder import FP32_FILE, Encoder
from eval.encoders import cosines, determinism, full_precision

TEXTS = ["How do I reset my password?", "turn on 2FA", "Where is my invoice for May?", "cancel", "Do you ship abroad?"]


def test_eight_bits_stay_close_to_full_precision(encoder_folder: Path) -> None:
    full = full_precision(encoder_folder)
    if full is None:
        pytest.fail(f"{encoder_folder} has no {FP32_FILE}: export it with --keep-fp32")
    eight = Encoder.load(encoder_folder)

    texts, mean, least = cosines(
        {text: eight.encode_now(text) for text in TEXTS}, {text: full.encode_now(text) for text in TEXTS}
    )

    assert texts == len(TEXTS)
    assert 0.97 < least <= mean < 1
    assert full.fingerprint != eight.fingerprint
    eight.close()
    full.close()


def test_a_folder_without_full_precision_says_so(tmp_path: Path) -> None:
    assert full_precision(tmp_path) is None


def test_a_vector_is_a_function_of_its_text(encoder_folder: Path) -> None:
    encoder = Encoder.load(encoder_folder)

    found = determinism(encoder, TEXTS * 5)

    assert (found.texts, found.equal) == (25, 25)
    assert found.min_cosine >= 0.9999
    encoder.close()
