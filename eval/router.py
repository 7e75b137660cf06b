"""Judged answers of several models to the same prompts, and what the router's estimators make of them.

A `Bench` is a data set with its vectors; a `Split` is its test half as estimated by what was learned from the other.
Learning and estimating are done by the functions of production. Reads public data sets from a folder; changes nothing.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.scope import normalised
from eval.streams import DataMissing, Vectors
from router.catalogue import Tier
from router.output_length import Lengths
from router.quality import Quality, Traits, traits

Doubles = NDArray[np.float64]

TIERS: Final = (Tier.ECONOMY, Tier.MID, Tier.PREMIUM)
_CHARACTERS_PER_TOKEN: Final = 4
_WEAK_AND_STRONG: Final = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")


class Prices(Struct, frozen=True):
    """USD for a million tokens."""

    input: float
    output: float


class Bench(Struct, frozen=True):
    """Prompts, each answered by every model. Rows are prompts, columns models from cheap to dear."""

    name: str
    models: tuple[str, ...]
    tiers: tuple[Tier, ...]
    prices: tuple[Prices, ...]
    """Empty where the data set knows no money."""
    prompts: tuple[str, ...]
    reward: Doubles
    """Judged quality, 0 to 1."""
    cost: Doubles
    """USD. Without prices, 0 for the first model and 1 for the last: a share of calls."""

    def __len__(self) -> int:
        return len(self.prompts)


class Split(Struct, frozen=True):
    """The test half: arrays of shape (prompts, models)."""

    rows: NDArray[np.intp]
    """Which prompts of the bench these are."""
    reward: Doubles
    cost: Doubles
    q: Doubles
    """As estimated before the answer was known."""
    error: Doubles
    """Standard error of q."""
    expected_cost: Doubles
    """As estimated before the answer was known."""


def load_paretobandit(folder: Path) -> Bench:
    """1,785 prompts, three models, judged by a model, with what each answer cost. Raises DataMissing."""
    here = folder / "paretobandit"
    try:
        # Not splitlines: a prompt may hold other separators of lines.
        rows = [json.loads(line) for line in (here / "val.jsonl").read_text(encoding="utf-8").split("\n") if line]
        known = json.loads((here / "models.json").read_text(encoding="utf-8"))["models"]
    except FileNotFoundError as error:
        raise DataMissing(f"{error.filename} is not there; give the folder that holds `paretobandit`") from None
    models = tuple(each["model_id"] for each in known)
    return Bench(
        name="paretobandit",
        models=models,
        tiers=TIERS,
        prices=tuple(Prices(each["input_cost_per_m"], each["output_cost_per_m"]) for each in known),
        prompts=tuple(row["prompt"] for row in rows),
        reward=np.array([[row["arms"][model]["reward"] for model in models] for row in rows]),
        cost=np.array([[row["arms"][model]["cost"] for model in models] for row in rows]),
    )


def load_mmlu(folder: Path) -> Bench:
    """14,042 questions with four answers, right or wrong by a weak and a strong model. Raises DataMissing."""
    found = sorted((folder / "routellm" / "mmlu").glob("*.csv"))
    return _weak_and_strong("MMLU", folder, [row for path in found for row in _rows(path)])


def load_gsm8k(folder: Path) -> Bench:
    """1,319 sums in words, right or wrong by a weak and a strong model. Raises DataMissing."""
    path = folder / "routellm" / "gsm8k" / "gsm8k_responses.csv"
    return _weak_and_strong("GSM8K", folder, _rows(path) if path.exists() else [])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _weak_and_strong(name: str, folder: Path, rows: Sequence[Mapping[str, str]]) -> Bench:
    if not rows:
        raise DataMissing(f"{folder / 'routellm' / name.lower()} is not there; give the folder that holds `routellm`")
    return Bench(
        name=name,
        models=_WEAK_AND_STRONG,
        tiers=(Tier.MID, Tier.PREMIUM),
        prices=(),
        prompts=tuple(row["prompt"] for row in rows),
        reward=np.array([[float(row[model] == "True") for model in _WEAK_AND_STRONG] for row in rows]),
        cost=np.tile([0.0, 1.0], (len(rows), 1)),
    )


def halves(count: int, seed: int, first: int | None = None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(train, test) rows in random order; `first` is how many train, by default half."""
    order = np.random.RandomState(seed).permutation(count)
    cut = count // 2 if first is None else first
    return order[:cut], order[cut:]


def read_prompts(bench: Bench, vectors: Vectors) -> list[Traits]:
    """What the estimators see of each prompt; those too long for the encoder have no vector."""
    return [traits(prompt, vectors.get(normalised(prompt))) for prompt in bench.prompts]


def taught(bench: Bench, seen: Sequence[Traits], train: NDArray[np.intp]) -> tuple[Quality, Lengths]:
    """Estimators that learned every answer to these prompts."""
    dim = next((len(each.vector) for each in seen if each.vector is not None), 1)
    quality, lengths = Quality(dict(zip(bench.models, bench.tiers, strict=True)), dim), Lengths()
    written = _output_tokens(bench) if bench.prices else None
    for row in train:
        for column, model in enumerate(bench.models):
            quality.learn(seen[row], model, float(bench.reward[row, column]))
            if written is not None:
                lengths.learn(model, seen[row].workload, int(written[row, column]))
    quality.refit()
    return quality, lengths


def split(bench: Bench, seen: Sequence[Traits], seed: int, first: int | None = None) -> Split:
    """Learns from one part and estimates the other."""
    train, test = halves(len(bench), seed, first)
    return estimated(bench, seen, test, taught(bench, seen, train))


def estimated(
    bench: Bench, seen: Sequence[Traits], rows: NDArray[np.intp], estimators: tuple[Quality, Lengths]
) -> Split:
    """These rows as the estimators see them."""
    quality, lengths = estimators
    found = [quality.estimate(seen[row]) for row in rows]
    return Split(
        rows=rows,
        reward=bench.reward[rows],
        cost=bench.cost[rows],
        q=np.array([[each[model].q for model in bench.models] for each in found]),
        error=np.array([[each[model].error for model in bench.models] for each in found]),
        expected_cost=_expected_cost(bench, seen, rows, lengths),
    )


def _input_tokens(bench: Bench) -> Doubles:
    return np.array([len(prompt) / _CHARACTERS_PER_TOKEN for prompt in bench.prompts])


def _output_tokens(bench: Bench) -> Doubles:
    """From what was paid: the data set has no token counts."""
    paid = bench.cost - np.outer(_input_tokens(bench), [each.input for each in bench.prices]) / 1e6
    return np.maximum(1e6 * paid / [each.output for each in bench.prices], 1.0)


def _expected_cost(bench: Bench, seen: Sequence[Traits], rows: NDArray[np.intp], lengths: Lengths) -> Doubles:
    if not bench.prices:
        return bench.cost[rows]
    written = [[lengths.expect(model, seen[row].workload).tokens for model in bench.models] for row in rows]
    given = np.outer(_input_tokens(bench)[rows], [each.input for each in bench.prices])
    found: Doubles = (given + np.array(written) * [each.output for each in bench.prices]) / 1e6
    return found
