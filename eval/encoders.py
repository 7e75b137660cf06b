"""What the eight-bit encoder loses against full precision, and whether a vector is a function of its text alone."""

import dataclasses
import hashlib
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from msgspec import Struct

from cache.encoder import FP32_FILE, Encoder, open_session, open_tokenizer, read_folder
from eval.streams import Vectors


class PrecisionFigures(Struct, frozen=True, kw_only=True):
    """int8 against fp32 over the texts of one stream."""

    stream: str
    texts: int
    mean_cosine: float
    min_cosine: float
    correct: tuple[tuple[str, str, float, float], ...]
    """(rule, wrong per hit, correct hits of int8, of fp32), as shares of the stream."""


class DeterminismFigures(Struct, frozen=True):
    texts: int
    min_cosine: float
    """Between a text encoded alone and the same one encoded while others were."""
    equal: int
    """Texts whose two vectors are equal to the bit."""


def full_precision(folder: Path) -> Encoder | None:
    """The encoder of the folder before it was quantised; None if the export kept no such file."""
    path = folder / FP32_FILE
    if not path.is_file():
        return None
    description, _, tokenizer = read_folder(folder)
    graph = path.read_bytes()
    described = dataclasses.replace(description, onnx_sha256=hashlib.sha256(graph).hexdigest())
    return Encoder(described, open_tokenizer(tokenizer), open_session(graph))


def cosines(one: Vectors, other: Vectors) -> tuple[int, float, float]:
    """(texts that both have, mean, least) cosine of unit vectors."""
    found = [float(vector @ other[text]) for text, vector in one.items() if text in other]
    return len(found), float(np.mean(found)), min(found)


def determinism(encoder: Encoder, texts: Sequence[str], seed: int = 1) -> DeterminismFigures:
    """Each text alone, then all of them in another order, four at a time."""
    alone = [encoder.encode_now(text) for text in texts]
    order = list(range(len(texts)))
    random.Random(seed).shuffle(order)
    with ThreadPoolExecutor(4) as pool:
        beside = dict(zip(order, pool.map(lambda place: encoder.encode_now(texts[place]), order), strict=True))
    return DeterminismFigures(
        len(texts),
        min(float(vector @ beside[place]) for place, vector in enumerate(alone)),
        sum(bool(np.array_equal(vector, beside[place])) for place, vector in enumerate(alone)),
    )
