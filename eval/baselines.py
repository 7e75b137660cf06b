"""What the cache is compared with: the same text only, a cosine threshold, and a reader of minds.

Every rule sees the same stream, which starts empty, and keeps a question only if it was not answered from the
cache, as the real cache does. Owns those rules and how a threshold is chosen in hindsight; refuses to know
features, groups and audits.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from cache.scope import normalised
from eval.hindsight import loosest_cuts
from eval.streams import Question, Vectors

THRESHOLDS: Final = (0.80, 0.85, 0.90, 0.95)
"""Fixed cosine thresholds that semantic caches are shipped with."""
_BLOCK: Final = 512
"""Questions whose similarities are computed in one multiplication."""


class Indexed(Struct, frozen=True):
    """A stream as the rules see it: the questions whose text is new, and what the others were. `vectors` (n, dim)
    and `answers` (n,) are of the new ones that have a vector, in the order of the stream."""

    asked: int
    """Questions in all."""
    exact: int
    """Texts asked before."""
    exact_right: int
    """Those whose first answer is right for them too."""
    vectors: NDArray[np.float32]
    answers: NDArray[np.int64]
    known: int
    """Questions whose right answer had been given before, for whatever text."""


def index_stream(questions: Sequence[Question], vectors: Vectors) -> Indexed:
    """Raises ValueError if no question has a vector."""
    numbers: dict[str, int] = {}
    answer_of: dict[str, int] = {}
    rows: list[NDArray[np.float32]] = []
    answers: list[int] = []
    exact = exact_right = known = 0
    for question in questions:
        text = normalised(question.text)
        known += question.answer in numbers
        answer = numbers.setdefault(question.answer, len(numbers))
        if text in answer_of:
            exact += 1
            exact_right += answer_of[text] == answer
            continue
        answer_of[text] = answer
        if (vector := vectors.get(text)) is not None:
            rows.append(vector)
            answers.append(answer)
    if not rows:
        raise ValueError("no question of the stream has a vector")
    return Indexed(len(questions), exact, exact_right, np.stack(rows), np.array(answers), known)


class Tally(Struct, frozen=True):
    """What a rule did with a stream. `hits` are those that were not the same text; `correct` are all right ones."""

    asked: int
    hits: int
    wrong: int
    correct: int

    @property
    def wrong_per_hit(self) -> float:
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def correct_share(self) -> float:
        return self.correct / self.asked if self.asked else 0.0


class Rule(Protocol):
    """What decides on one question after the other."""

    hits: int
    wrong: int

    def ask(self, place: int, similarities: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """The question at `place`; `similarities` (place,) to those before it; `answers` of all."""
        ...


def replay(stream: Indexed, rules: Sequence[Rule], on_progress: Callable[[int], None] = lambda _: None) -> list[Tally]:
    """What each rule does with the stream, all in one pass."""
    for place, similarities in _similarities(stream):
        if place % 100 == 0:
            on_progress(100)
        for rule in rules:
            rule.ask(place, similarities, stream.answers)
    return [Tally(stream.asked, rule.hits, rule.wrong, rule.hits - rule.wrong + stream.exact_right) for rule in rules]


def _similarities(stream: Indexed) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Place and cosines with all places before it."""
    count = len(stream.vectors)
    for start in range(0, count, _BLOCK):
        end = min(start + _BLOCK, count)
        block = stream.vectors[start:end] @ stream.vectors[:end].T
        for place in range(start, end):
            yield place, block[place - start, :place]


class Threshold:
    """Serves the nearest stored answer if its cosine is at least this."""

    def __init__(self, threshold: float, places: int) -> None:
        self._threshold = threshold
        self._penalty = np.full(places, 2.0, np.float32)
        """2 where nothing is stored, taken off the cosine so that it is never the nearest; else 0."""
        self.hits = self.wrong = 0

    def ask(self, place: int, similarities: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        if place:
            seen = similarities - self._penalty[:place]
            nearest = int(seen.argmax())
            if seen[nearest] >= self._threshold:
                self.hits += 1
                self.wrong += bool(answers[nearest] != answers[place])
                return
        self._penalty[place] = 0.0


class Nearest:
    """Serves nothing, stores everything, and notes what the nearest would have been: for choosing in hindsight."""

    def __init__(self) -> None:
        self.hits = self.wrong = 0
        self.scores: list[float] = []
        self.is_right: list[bool] = []

    def ask(self, place: int, similarities: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        if place:
            nearest = int(similarities.argmax())
            self.scores.append(float(similarities[nearest]))
            self.is_right.append(bool(answers[nearest] == answers[place]))


def exact_only(stream: Indexed) -> Tally:
    return Tally(stream.asked, 0, 0, stream.exact_right)


def oracle(stream: Indexed) -> Tally:
    """Knows which stored answer is right, and whether any is."""
    return Tally(stream.asked, stream.known - stream.exact_right, 0, stream.known)


# --- choosing in hindsight ---


class Judged(Struct, frozen=True):
    """What a decision thought of the questions of a stream: `scores` and `is_right`, both (n,), of those for which
    something could have been served."""

    scores: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    asked: int
    exact_right: int


def frontier(judged: Judged, levels: Sequence[float]) -> list[float]:
    """For each level of wrong per hit the correct hits, as a share of all that was asked, at the loosest cut of the
    scores that holds it. Exact repetitions count as correct, and not against the wrong ones. Equal scores are
    served together."""
    base = judged.exact_right / judged.asked
    cuts = loosest_cuts(judged.scores, judged.is_right, levels)
    return [base + (cut.right / judged.asked if cut is not None else 0.0) for cut in cuts]
