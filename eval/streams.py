"""Streams of questions with known answers, for evaluating the cache, and their vectors.

A stream is a data set in a shuffled order. Two questions have the same answer if and only if their labels are
equal. Reads public data sets from a folder, and our own files; changes nothing.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.encoder import Encoder
from cache.errors import TextTooLong
from cache.scope import normalised

OUT_OF_SCOPE: Final = "out-of-scope"


class Question(Struct, frozen=True):
    """A text and the label of its one right answer."""

    text: str
    answer: str


class DataMissing(Exception):
    """A data set is not where it should be."""


def load_banking77(folder: Path) -> list[Question]:
    """Each intent is one answer: 77."""
    rows = [row for name in ("train.csv", "test.csv") for row in _csv(folder / "banking77" / name)]
    return [Question(row["text"], row["category"]) for row in rows]


def load_clinc150(folder: Path) -> list[Question]:
    """Each intent is one answer: 150. Each question out of scope has an answer of its own."""
    data = json.loads((folder / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    inside = [Question(text, label) for part in ("train", "val", "test") for text, label in data[part]]
    outside = [text for part in ("oos_train", "oos_val", "oos_test") for text, _ in data[part]]
    return inside + [Question(text, f"{OUT_OF_SCOPE} {number}") for number, text in enumerate(outside)]


def load_bitext(folder: Path) -> list[Question]:
    """Strict: the answer depends on the intent and on the value of its entity (an order id, a name, a city)."""
    rows = _csv(folder / "bitext" / "Bitext_Sample_Customer_Support_Training_Dataset.csv")
    return [Question(row["instruction"], f"{row['intent']} {row['entity_value'].strip().lower()}") for row in rows]


def load_stackfaq(folder: Path) -> list[Question]:
    """109 questions, each with the paraphrases that were generated for it."""
    path = folder / "stackfaq_paraphrases" / "StackFAQ-paraphrases.tsv"
    pairs = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line]
    originals = list(dict.fromkeys(original for original, _ in pairs))
    return [Question(text, text) for text in originals] + [Question(text, original) for original, text in pairs]


def load_nlupp(folder: Path) -> list[Question]:
    """Banking queries; the answer depends on all intents and all slots, so most have one of their own."""
    found = []
    for path in sorted((folder / "nlupp" / "banking").glob("*.json")):
        for row in json.loads(path.read_text(encoding="utf-8")):
            slots = sorted((name, slot["text"].lower()) for name, slot in row.get("slots", {}).items())
            found.append(Question(row["text"], json.dumps([sorted(row.get("intents", [])), slots])))
    return found


def load_faq(path: Path) -> list[Question]:
    """JSON Lines with `question`, `paraphrases` and `answer`: our own `data/faq/questions.jsonl`, or a user's."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        texts = (item["question"], *item.get("paraphrases", ()))
        found += [Question(text, item.get("id") or item["answer"]) for text in texts]
    return found


STREAMS: Final[dict[str, Callable[[Path], list[Question]]]] = {
    "banking77": load_banking77,
    "clinc150": load_clinc150,
    "bitext": load_bitext,
    "stackfaq": load_stackfaq,
    "nlupp": load_nlupp,
}


def load_stream(name: str, folder: Path) -> list[Question]:
    """The questions of a public data set under `folder`. Raises DataMissing with what was looked for."""
    try:
        return STREAMS[name](folder)
    except FileNotFoundError as error:
        raise DataMissing(f"{error.filename} is not there; give the folder that holds `{name}`") from None


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shuffled(questions: Sequence[Question], seed: int) -> list[Question]:
    order = np.random.RandomState(seed).permutation(len(questions))
    return [questions[place] for place in order]


# --- vectors ---

Vectors = dict[str, NDArray[np.float32]]


def embed(
    texts: Sequence[str],
    encoder: Encoder,
    keep: Path | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Vectors:
    """Text -> vector of shape (dim,), for each text that is not too long. With `keep`, vectors are read from and
    written to a file in that folder, one for each encoder and set of texts."""
    unique = list(dict.fromkeys(normalised(text) for text in texts))
    file = None
    if keep is not None:
        digest = hashlib.sha256("\x00".join([encoder.fingerprint, *unique]).encode()).hexdigest()[:16]
        file = keep / f"vectors-{digest}.npy"
        if file.exists():
            on_progress(len(unique))
            return {text: vector for text, vector in zip(unique, np.load(file), strict=True) if vector.any()}
    found = np.zeros((len(unique), encoder.dim), np.float32)

    def encode(place: int) -> None:
        with suppress(TextTooLong):
            found[place] = encoder.encode_now(unique[place])

    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(encode, range(len(unique))), start=1):
            if done % 100 == 0 or done == len(unique):
                on_progress(100 if done % 100 == 0 else done % 100)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, found)
    return {text: vector for text, vector in zip(unique, found, strict=True) if vector.any()}
