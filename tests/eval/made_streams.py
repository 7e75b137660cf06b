"""Streams that are made up, for tests: answers are directions, questions lie near the one of their answer."""

import numpy as np
from numpy.typing import NDArray

from cache.decision import Prior
from eval import fitting
from eval.streams import Question, Vectors

DIM = 24
WORDS = "refund invoice parcel router password contract battery camera ticket voucher passport printer".split()


def made_stream(answers: int, each: int, seed: int, spread: float = 0.25) -> tuple[list[Question], Vectors]:
    """`answers` * `each` questions in a random order, with their vectors of unit norm."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(answers, DIM))
    questions, vectors = [], {}
    for place in rng.permutation(answers * each).tolist():
        answer, number = place % answers, place // answers
        thing, kind = WORDS[answer % len(WORDS)], "abcdefgh"[answer // len(WORDS)]
        text = f"what about the {thing} of kind {kind}, {_word(number)}"
        questions.append(Question(text, f"answer {answer}"))
        vectors[text] = unit(
            centres[answer] / np.linalg.norm(centres[answer]) + spread * rng.normal(size=DIM) / DIM**0.5
        )
    return questions, vectors


def _word(number: int) -> str:
    return "".join("abcdefghij"[int(digit)] for digit in f"{number:03}")


def unit(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (vector / np.linalg.norm(vector)).astype(np.float32)
    return found


def hopeless(questions: list[Question], seed: int) -> list[Question]:
    """The same questions, each with any of the answers: nothing of them can be served."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(questions)).tolist()
    return [Question(each.text, questions[other].answer) for each, other in zip(questions, order, strict=True)]


def made_prior(seed: int = 9) -> Prior:
    """Fitted on two made streams, and on one of which nothing can be served."""
    fitted = {}
    for number, spread in enumerate((0.4, 1.2, 1.0)):
        questions, vectors = made_stream(20, 40, seed + number, spread)
        questions = questions if number < 2 else hopeless(questions, seed)
        fitted[f"made {number}"] = fitting.stream_examples(questions, vectors, fitting.blank_prior())
    return fitting.prior_without(None, fitted, fitted)
