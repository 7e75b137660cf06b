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
from cache.reading import Reading, read
from eval.cacheability import Prompt, read_prompts

Floats = NDArray[np.float64]
DATA: Final = Path(__file__).parent.parent / "data"
WEIGHTS: Final = Path(__file__).parent.parent / "cache" / "prompt_kind.json"
SEEN_AT_LEAST: Final = 5
"""So many prompts must have a gram: fewer say more of the writer than of the kind."""
PENALTY: Final = 0.2
"""Half of it times the sum of the squared weights is added to the sum of the log losses."""
STEPS: Final = 400
DECIMALS: Final = 2


def prompts_to_fit(folder: Path = DATA) -> list[Prompt]:
    """All labelled prompts that may be looked at, and the questions of our FAQ."""
    labelled = [
        prompt
        for name in ("prompts", "others")
        for prompt in read_prompts(folder / "cacheability" / f"{name}.jsonl", "dev")
        if not prompt.earlier and prompt.label != "too-short"
    ]
    questions = (folder / "faq" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return labelled + [Prompt(json.loads(line)["question"], "cacheable", "dev") for line in questions]


def fit(prompts: Sequence[Prompt]) -> Weights:
    """The weights that explain the prompts best."""
    texts = [grams(read(prompt.text)) for prompt in prompts]
    seen = Counter(gram for text in texts for gram in text)
    names = sorted(gram for gram, count in seen.items() if count >= SEEN_AT_LEAST)
    places = {name: place for place, name in enumerate(names)}
    features = np.zeros((len(texts), len(names) + 1), dtype=np.float32)
    features[:, -1] = 1
    for row, text in enumerate(texts):
        known = [places[gram] for gram in text if gram in places]
        features[row, known] = max(len(known), 1) ** -0.5
    labels = ("cacheable", *KINDS)
    is_label = np.array([[prompt.label == label for label in labels] for prompt in prompts], dtype=np.float32)
    found = _fitted(features, is_label)
    found = np.round(found[:, 1:] - found[:, :1], DECIMALS)
    return Weights(dict(zip(names, found[:-1].tolist(), strict=True)), found[-1].tolist())


def _fitted(features: NDArray[np.float32], is_label: NDArray[np.float32]) -> Floats:
    """Shape (features, labels). The last feature, the intercept, is not penalised."""
    penalty = np.full((features.shape[1], 1), PENALTY, dtype=np.float32)
    penalty[-1] = 0
    steepest = _largest_singular_value(features) ** 2 / 2 + PENALTY
    weights = ahead = np.zeros((features.shape[1], is_label.shape[1]), dtype=np.float32)
    for step in range(STEPS):
        scores = features @ ahead
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        before, weights = weights, ahead - (features.T @ (p - is_label) + penalty * ahead) / steepest
        ahead = weights + step / (step + 3) * (weights - before)
    return weights.astype(np.float64)


def _largest_singular_value(features: NDArray[np.float32]) -> float:
    """By power iteration, which comes from below; hence a hundredth more."""
    vector = np.ones(features.shape[1], dtype=np.float32)
    for _ in range(30):
        vector = features.T @ (features @ vector)
        vector /= np.linalg.norm(vector)
    return 1.01 * float(np.linalg.norm(features @ vector))


def to_json(weights: Weights) -> str:
    """A line for each gram, so that a change can be read."""
    rows = (f"  {json.dumps(gram)}: {row}" for gram, row in weights.of.items())
    head = f'{{"kinds": {json.dumps(KINDS)},\n"intercept": {weights.intercept},\n"weights": {{\n'
    return head + ",\n".join(rows) + "\n}}\n"


def check(prompts: Sequence[Prompt]) -> Table:
    """For each writer, measured with the weights of all others: how many prompts of each kind are looked up
    semantically, by the rules alone and with the classifier, in %."""
    table = Table("Writer", "cacheable", *KINDS, title="Looked up semantically, by rules alone -> with the classifier")
    for writer in track(sorted({prompt.writer for prompt in prompts} - {0}), "Writers", console=Console(stderr=True)):
        weights = fit([prompt for prompt in prompts if prompt.writer != writer])
        cells = []
        for label in ("cacheable", *KINDS):
            asked = [prompt for prompt in prompts if prompt.writer == writer and prompt.label == label]
            passed = [reading for reading in map(_reading, asked) if not by_rules(reading)]
            kept = [reading for reading in passed if sum(weights.probabilities(grams(reading)).values()) < LIKELY_AT]
            cells.append(f"{100 * len(passed) / len(asked):.0f} -> {100 * len(kept) / len(asked):.0f}")
        table.add_row(str(writer), *cells)
    return table


def _reading(prompt: Prompt) -> Reading:
    return read(prompt.text)


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
