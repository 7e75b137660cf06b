"""Fits the classifier of `cache/prompt_kind.py` on labelled prompts, and measures it on writers that it has not seen.

    python -m eval.prompt_kind fit      writes cache/prompt_kind.json
    python -m eval.prompt_kind check    each writer of the `dev` part in turn is left out, and measured

Multinomial logistic regression with a penalty on the squares of the weights, by Nesterov's accelerated gradient
("Introductory Lectures on Convex Optimization", 2004, section 2.2). Whoever measures the result on `test`
(`thriftgate eval cache`) sees writers that have no prompt in the fit.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cache.cacheability import LIKELY_AT, by_rules
from cache.prompt_kind import KINDS, Weights, grams
from cache.reading import read
from eval.cacheability import Prompt, folded, read_prompts

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
DATA: Final = Path(__file__).parent.parent / "data"
WEIGHTS: Final = Path(__file__).parent.parent / "cache" / "prompt_kind.json"
SEEN_AT_LEAST: Final = 5
"""So many prompts must have a gram: fewer say more of the writer than of the kind."""
PENALTY: Final = 0.2
"""Half of it times the sum of the squared weights is added to the sum of the log losses."""
STEPS: Final = 400
DECIMALS: Final = 2


def prompts_to_fit(folder: Path = DATA) -> list[Prompt]:
    """All labelled prompts that may be looked at, and the questions of our FAQ in all their wordings; none that a
    `test` part has word for word."""
    files = [folder / "cacheability" / f"{name}.jsonl" for name in ("prompts", "others")]
    labelled = [prompt for path in files for prompt in read_prompts(path, "dev")]
    items = [json.loads(line) for line in (folder / "faq" / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = [text for item in items for text in (item["question"], *item["paraphrases"])]
    held_out = {folded(prompt.text) for path in files for prompt in read_prompts(path, "test")}
    return [
        prompt
        for prompt in (*labelled, *(Prompt(text, "cacheable", "dev") for text in asked))
        if not prompt.earlier and prompt.label != "too-short" and folded(prompt.text) not in held_out
    ]


def fit(prompts: Sequence[Prompt]) -> Weights:
    """The weights that explain the prompts best."""
    texts = [grams(read(prompt.text)) for prompt in prompts]
    seen = Counter(gram for text in texts for gram in text)
    names = sorted(gram for gram, count in seen.items() if count >= SEEN_AT_LEAST)
    places = {name: place for place, name in enumerate(names)}
    known = [[*sorted(places[gram] for gram in text if gram in places), len(names)] for text in texts]
    features = _Features(
        rows=np.repeat(np.arange(len(texts)), [len(row) for row in known]),
        columns=np.concatenate(known),
        values=np.concatenate([[*[max(len(row) - 1, 1) ** -0.5] * (len(row) - 1), 1.0] for row in known]),
    )
    labels = ("cacheable", *KINDS)
    is_label = np.array([[prompt.label == label for label in labels] for prompt in prompts], dtype=np.float64)
    found = _fitted(features, is_label)
    found = np.round(found[:, 1:] - found[:, :1], DECIMALS)
    return Weights(dict(zip(names, found[:-1].tolist(), strict=True)), found[-1].tolist())


class _Features:
    """A matrix of a row for each text and a column for each gram, and one of ones; of its numbers only those are
    kept that are not 0, row by row. No row and no column is empty."""

    def __init__(self, rows: Integers, columns: Integers, values: Floats) -> None:
        by_column = np.argsort(columns, kind="stable")
        self._by_row = (columns, values, np.flatnonzero(np.diff(rows, prepend=-1)))
        self._by_column = (
            rows[by_column],
            values[by_column],
            np.flatnonzero(np.diff(columns[by_column], prepend=-1)),
        )

    def times(self, other: Floats) -> Floats:
        places, values, starts = self._by_row
        return np.add.reduceat(values[:, None] * other[places], starts, axis=0)

    def transposed_times(self, other: Floats) -> Floats:
        places, values, starts = self._by_column
        return np.add.reduceat(values[:, None] * other[places], starts, axis=0)


def _fitted(features: _Features, is_label: Floats) -> Floats:
    """Shape (features, labels). The last feature, the intercept, is not penalised."""
    shape = features.transposed_times(is_label).shape
    penalty = np.full((shape[0], 1), PENALTY)
    penalty[-1] = 0
    steepest = _largest_singular_value(features, shape[0]) ** 2 / 2 + PENALTY
    weights = ahead = np.zeros(shape)
    for step in range(STEPS):
        scores = features.times(ahead)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        before, weights = weights, ahead - (features.transposed_times(p - is_label) + penalty * ahead) / steepest
        ahead = weights + step / (step + 3) * (weights - before)
    return weights


def _largest_singular_value(features: _Features, columns: int) -> float:
    """By power iteration, which comes from below; hence a hundredth more."""
    vector = np.ones((columns, 1))
    for _ in range(30):
        vector = features.transposed_times(features.times(vector))
        vector /= np.linalg.norm(vector)
    return 1.01 * float(np.linalg.norm(features.times(vector)))


def to_json(weights: Weights) -> str:
    """A line for each gram, so that a change can be read."""
    rows = (f"  {json.dumps(gram)}: {row}" for gram, row in weights.of.items())
    head = f'{{"kinds": {json.dumps(KINDS)},\n"intercept": {weights.intercept},\n"weights": {{\n'
    return head + ",\n".join(rows) + "\n}}\n"


def check(prompts: Sequence[Prompt]) -> Table:
    """For each writer, measured with the weights of all others: how many prompts of each kind are looked up
    semantically, by the rules alone and with the classifier, in %. In the last row the means over the writers."""
    labels = ("cacheable", *KINDS)
    table = Table("Writer", *labels, title="Looked up semantically, by rules alone -> with the classifier")
    found: dict[str, list[tuple[float, float]]] = {label: [] for label in labels}
    for writer in track(sorted({prompt.writer for prompt in prompts} - {0}), "Writers", console=Console(stderr=True)):
        weights = fit([prompt for prompt in prompts if prompt.writer != writer])
        cells = []
        for label in labels:
            asked = [prompt for prompt in prompts if prompt.writer == writer and prompt.label == label]
            if not asked:
                cells.append("-")
                continue
            passed = [reading for prompt in asked if not by_rules(reading := read(prompt.text))]
            kept = [reading for reading in passed if sum(weights.probabilities(grams(reading)).values()) < LIKELY_AT]
            found[label].append((100 * len(passed) / len(asked), 100 * len(kept) / len(asked)))
            cells.append(_change(found[label][-1:]))
        table.add_row(str(writer), *cells)
    table.add_row("mean", *(_change(each) for each in found.values()))
    return table


def _change(shares: Sequence[tuple[float, float]]) -> str:
    before, after = np.mean(shares, axis=0)
    return f"{before:.0f} -> {after:.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fit", "check"))
    given = parser.parse_args()
    prompts = prompts_to_fit()
    if given.what == "check":
        Console().print(check(prompts))
        return 0
    weights = fit(prompts)
    WEIGHTS.write_text(to_json(weights), encoding="utf-8")
    Console().print(f"Wrote {WEIGHTS.name}: {len(weights.of):,} words and pairs, from {len(prompts):,} prompts.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
