"""How good a model's answer to a prompt will be: learned from judged answers, from a prior where there are none.

    traits    text, vector -> what the estimator sees of a prompt
    learn     one judged answer, of one model
    estimate  q of each model, with its standard error
    refit     learns anew from all that is remembered; `snapshot`, `fit` and `adopt` do it beside other work

q is the prior of tier and workload class, plus what the judged answers say about the model and the class, plus a
kernel ridge regression on vector and surface features, plus what was learned since the last fit. Owns the memory of
judged answers and its file format. Refuses to know where scores come from, prices, clocks and chance.

The regression rests on landmarks, a sample of the remembered prompts ("subset of regressors", Rasmussen and Williams,
Gaussian Processes for Machine Learning, section 8.3.1): a decision costs one product with them, however many answers
are remembered. Each model has few labels of its own, so a first regression learns what all models share, a hard
prompt, and one for each model learns what is left.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from router.catalogue import Tier
from router.prompt_surface import NAMES, Surface, surface
from router.workload import Workload, workload

FORMAT: Final = 1
"""Of `export`."""
REMEMBERED: Final = 20_000
"""Judged answers that are remembered; the oldest give way."""
LANDMARKS: Final = 1024

# Chosen by cross-validation inside the training parts of the public sets; the curves are flat around them.
_BANDWIDTH: Final = 0.85
"""h in exp(-distance^2 / 2h), between unit vectors that are joined with the scaled surface features."""
_SURFACE_SCALE: Final = 0.18
"""Weight of one standard deviation of a surface feature beside a unit vector."""
_RIDGE: Final = 15.0
"""Labels that it takes to believe half of what they say about a place."""
_NEIGHBOURS: Final = 4
"""Power of nearness with which labels near by are counted: a regression may lean on what is far, a count may not."""
_SURFACE_BOUND: Final = 3.0
"""Standard deviations at which a surface feature is cut."""
_JITTER: Final = 1e-4
_PART: Final = 2048
"""Examples that are summed up at a time."""

_MODEL_LABELS: Final = 25.0
"""Labels that the prior is worth against a model's own mean: one bad score does not serve everybody another model. The
few-label figures are flat from 5 to 50."""
_CLASS_LABELS: Final = 50.0
"""Labels that a model's mean is worth against its mean in one class."""
_PRIOR_VARIANCE: Final = 0.06
"""Of a score around its expectation, where nothing is known."""
_CLASSES: Final = [int(kind) for kind in Workload]
_FIRST_FIT: Final = 16
_GROWTH: Final = 0.05
"""A fit is due when this share of the labels is new."""

Vector = NDArray[np.float32]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.integer]

PRIOR: Final[Mapping[Tier, Mapping[Workload, float]]] = {
    Tier.ECONOMY: {
        Workload.CHAT: 0.86,
        Workload.EXTRACTION: 0.85,
        Workload.CODE: 0.68,
        Workload.REASONING: 0.66,
        Workload.SUMMARISING: 0.84,
    },
    Tier.MID: {
        Workload.CHAT: 0.92,
        Workload.EXTRACTION: 0.92,
        Workload.CODE: 0.86,
        Workload.REASONING: 0.85,
        Workload.SUMMARISING: 0.91,
    },
    Tier.PREMIUM: {
        Workload.CHAT: 0.94,
        Workload.EXTRACTION: 0.94,
        Workload.CODE: 0.93,
        Workload.REASONING: 0.93,
        Workload.SUMMARISING: 0.93,
    },
}
"""What a tier is expected to score before any answer was judged: an opinion that a few labels overrule."""


class Traits(Struct, frozen=True):
    """What the estimator sees of a prompt."""

    vector: Vector | None
    """The unit vector that the cache lookup computed, if it computed one."""
    surface: Surface
    workload: Workload


class Estimate(Struct, frozen=True):
    """The expected score of one model's answer to one prompt."""

    q: float
    """0 to 1."""
    error: float
    """Standard error of q."""
    labels: float
    """How many judged answers of this model are near, each counted by its nearness."""


class Examples(Struct, frozen=True):
    """Judged answers, oldest first. All arrays have one row for each."""

    names: tuple[str, ...]
    """Models, as `model` numbers them."""
    vectors: NDArray[np.float16]
    """Shape (n, dim); a row of zeros where there was no vector."""
    surface: Floats
    workload: NDArray[np.int8]
    model: NDArray[np.int16]
    score: Floats
    learned: int = 0
    """How many had ever been learned when this was taken."""

    def __len__(self) -> int:
        return len(self.score)

    @property
    def has_vector(self) -> NDArray[np.bool_]:
        """Shape (n,)."""
        return np.asarray(self.vectors.any(1))


def traits(text: str, vector: Vector | None = None) -> Traits:
    """Of the last user turn, and its vector of shape (dim,) and norm 1 if the lookup computed one."""
    return Traits(vector, surface(text), workload(text))


# --- fitting ---


class Fitted(Struct, frozen=True):
    """What a fit learned: enough to estimate, nothing of the answers it was learned from but the landmarks."""

    learned: int
    """Labels ever learned when its examples were taken."""
    names: tuple[str, ...]
    center: Floats
    """Mean vector: stands in where a prompt has none."""
    shift: Floats
    scale: Floats
    """Surface features are shifted, then scaled, then cut."""
    landmarks: Floats
    """Shape (landmarks, dim + surface features)."""
    offsets: Floats
    """Minus half the squared norms of the landmarks."""
    level: Floats
    """Shape (models, classes): expected score of a class."""
    weights: Floats
    """Shape (models, landmarks): the regressions."""
    settled: Floats
    """Shape (models, landmarks): labels whose nearest landmark this is."""
    heard: Floats
    """Shape (models,): labels of each."""
    variance: Floats
    """Shape (models,): of a score around its estimate."""

    def read(self, seen: Traits) -> tuple[Floats, Floats]:
        """(expected scores, labels near by), each of shape (models,)."""
        level: Floats = self.level[:, seen.workload]
        if not len(self.landmarks):
            return level, np.zeros(len(level), np.float32)
        vector = self.center if seen.vector is None else seen.vector
        point = np.concatenate((vector, _scaled(seen.surface, self.shift, self.scale)))
        near = np.exp((self.landmarks @ point + (self.offsets - 0.5 * (point @ point))) / np.float32(_BANDWIDTH))
        return level + self.weights @ near, self.settled @ near**_NEIGHBOURS


def untaught(tiers: Mapping[str, Tier], dim: int) -> Fitted:
    """What is expected before anything was learned."""
    empty = np.zeros((0, dim + len(NAMES)), np.float32)
    return Fitted(
        learned=0,
        names=tuple(tiers),
        center=np.zeros(dim, np.float32),
        shift=np.zeros(len(NAMES), np.float32),
        scale=np.zeros(len(NAMES), np.float32),
        landmarks=empty,
        offsets=np.zeros(0, np.float32),
        level=_prior(tuple(tiers), tiers),
        weights=np.zeros((len(tiers), 0), np.float32),
        settled=np.zeros((len(tiers), 0), np.float32),
        heard=np.zeros(len(tiers), np.float32),
        variance=np.full(len(tiers), _PRIOR_VARIANCE, np.float32),
    )


def fit(examples: Examples, tiers: Mapping[str, Tier], landmarks: int = LANDMARKS) -> Fitted:
    """Learns from all examples: a second or two for 20,000, mostly in numpy, which lets other threads run. `tiers`
    must name every model of the examples. The same examples give the same fit."""
    prior = _prior(examples.names, tiers)
    if not len(examples):
        return untaught(tiers, examples.vectors.shape[1])
    points, center, shift, scale = _points(examples)
    marks = points[_spread(examples, landmarks)]
    level = _level(examples, prior)
    residual = examples.score - level[examples.model, examples.workload]
    rows = [examples.model == number for number in range(len(examples.names))]
    of_models = [_summed(points[each], residual[each], marks) for each in rows]
    weights = _weights(of_models, _near(marks, marks).astype(np.float64))
    return Fitted(
        learned=examples.learned,
        names=examples.names,
        center=center,
        shift=shift,
        scale=scale,
        landmarks=marks,
        offsets=-0.5 * (marks**2).sum(1),
        level=level,
        weights=np.array(weights, np.float32),
        settled=np.array([each.settled for each in of_models], np.float32),
        heard=np.array([each.count for each in of_models], np.float32),
        variance=np.array([_variance(*each) for each in zip(of_models, weights, strict=True)], np.float32),
    )


def widened(fitted: Fitted, tiers: Mapping[str, Tier]) -> Fitted:
    """The same fit for these models, of which its own are the first: the others are what is expected of their tiers."""
    new = untaught(dict(list(tiers.items())[len(fitted.names) :]), 0)
    none = np.zeros((len(new.names), len(fitted.landmarks)), np.float32)
    return msgspec.structs.replace(
        fitted,
        names=tuple(tiers),
        level=np.vstack((fitted.level, new.level)),
        weights=np.vstack((fitted.weights, none)),
        settled=np.vstack((fitted.settled, none)),
        heard=np.concatenate((fitted.heard, new.heard)),
        variance=np.concatenate((fitted.variance, new.variance)),
    )


def _prior(names: Sequence[str], tiers: Mapping[str, Tier]) -> Floats:
    table = [[PRIOR[tiers[name]][each] for each in Workload] for name in names]
    return np.array(table, np.float32).reshape(len(names), len(Workload))


def _points(examples: Examples) -> tuple[Floats, Floats, Floats, Floats]:
    """(points, center, shift, scale), as `Fitted` explains them."""
    vectors = examples.vectors.astype(np.float32)
    given = examples.has_vector
    center = vectors[given].mean(0) if given.any() else np.zeros(vectors.shape[1], np.float32)
    vectors[~given] = center
    shift = examples.surface.mean(0)
    # A feature that never varied says nothing yet; the floor keeps it from shouting when it first does.
    scale = _SURFACE_SCALE / np.maximum(examples.surface.std(0), 0.05)
    return np.hstack((vectors, _scaled(examples.surface, shift, scale))), center, shift, scale


def _scaled(seen: Floats, shift: Floats, scale: Floats) -> Floats:
    bound = _SURFACE_BOUND * _SURFACE_SCALE
    scaled: Floats = np.minimum(np.maximum((seen - shift) * scale, -bound), bound)
    return scaled


def _spread(examples: Examples, most: int) -> NDArray[np.intp]:
    """Rows of at most so many different prompts, evenly over time."""
    first: dict[bytes, int] = {}
    for row, (vector, seen) in enumerate(zip(examples.vectors, examples.surface, strict=True)):
        first.setdefault(vector.tobytes() + seen.tobytes(), row)
    rows = np.fromiter(first.values(), np.intp)
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)]


def _near(points: Floats, marks: Floats) -> Floats:
    """exp(-distance^2 / 2h), shape (points, marks)."""
    distance = (points**2).sum(1)[:, None] + (marks**2).sum(1) - 2 * (points @ marks.T)
    near: Floats = np.exp(np.maximum(distance, 0) / np.float32(-2 * _BANDWIDTH))
    return near


def _level(examples: Examples, prior: Floats) -> Floats:
    """Expected scores of shape (models, classes): the prior moved to a model's mean, which gives way to what was
    learned of the class; a class of which little is known follows its model."""
    cells = (examples.model, examples.workload, prior.shape)
    counts, sums = _counts(*cells), _counts(*cells, examples.score)
    count, total = counts.sum(1, keepdims=True), sums.sum(1, keepdims=True)
    opinion = prior + (total - (counts * prior).sum(1, keepdims=True)) / (count + _MODEL_LABELS)
    mean = total / np.maximum(count, 1)
    learned = mean + (sums - counts * mean) / (counts + _CLASS_LABELS)
    found: Floats = ((_MODEL_LABELS * opinion + counts * learned) / (_MODEL_LABELS + counts)).astype(np.float32)
    return found


def _counts(rows: Integers, columns: Integers, shape: tuple[int, int], values: Floats | None = None) -> Doubles:
    """How many fall into each cell of this shape, or the sums of their values."""
    cells = rows.astype(np.intp) * shape[1] + columns
    return np.bincount(cells, values, shape[0] * shape[1]).astype(np.float64).reshape(shape)


def _shrunken(sums: Doubles, counts: Doubles) -> Floats:
    """Means by model and class, those of classes shrunken to those of models, and these to 0."""
    of_model = (sums.sum(1) / (counts.sum(1) + _MODEL_LABELS))[:, None]
    found: Floats = (of_model + (sums - counts * of_model) / (counts + _CLASS_LABELS)).astype(np.float32)
    return found


class _Sums(Struct, frozen=True):
    """What a regression needs of the examples of one model."""

    gram: Doubles
    target: Doubles
    square: float
    """Of what is to be explained."""
    settled: Doubles
    count: int


def _summed(points: Floats, residual: Floats, marks: Floats) -> _Sums:
    """In parts: the landmarks near all points at once would need a hundred megabytes."""
    gram, target, settled = np.zeros((len(marks), len(marks))), np.zeros(len(marks)), np.zeros(len(marks))
    for start in range(0, len(points), _PART):
        near = _near(points[start : start + _PART], marks)
        gram += near.T @ near
        target += near.T @ residual[start : start + _PART]
        settled += np.bincount(near.argmax(1), minlength=len(marks))
    return _Sums(gram, target, float(residual @ residual), settled, len(points))


def _weights(of_models: Sequence[_Sums], among: Doubles) -> list[Doubles]:
    """One regression for what all models share, and one for each that learns what this leaves."""
    ridge = _RIDGE * (among + _JITTER * np.eye(len(among)))
    shared = np.linalg.solve(
        np.sum([each.gram for each in of_models], 0) + ridge, np.sum([each.target for each in of_models], 0)
    )
    return [shared + np.linalg.solve(each.gram + ridge, each.target - each.gram @ shared) for each in of_models]


def _variance(sums: _Sums, weights: Doubles) -> float:
    """Mean square of what the regression leaves, shrunken to the prior's."""
    left = sums.square + float((sums.gram @ weights - 2 * sums.target) @ weights)
    return (_MODEL_LABELS * _PRIOR_VARIANCE + max(left, 0.0)) / (_MODEL_LABELS + sums.count)


# --- learning ---


class Quality:
    """Estimates of several models over one encoder's vectors. Belongs to one thread; `fit` may run in another."""

    def __init__(self, tiers: Mapping[str, Tier], dim: int = 384, *, remembered: int = REMEMBERED) -> None:
        """`tiers` names the models; `dim` is the length of vectors, `remembered` how many labels are kept."""
        self._tiers = dict(tiers)
        self._numbers = {name: number for number, name in enumerate(self._tiers)}
        self._memory = Examples(
            names=tuple(self._tiers),
            vectors=np.zeros((remembered, dim), np.float16),
            surface=np.zeros((remembered, len(NAMES)), np.float32),
            workload=np.zeros(remembered, np.int8),
            model=np.zeros(remembered, np.int16),
            score=np.zeros(remembered, np.float32),
        )
        self._learned = 0
        self._adopt(untaught(self._tiers, dim))

    def __len__(self) -> int:
        """How many judged answers are remembered."""
        return min(self._learned, len(self._memory))

    def estimate(self, seen: Traits) -> dict[str, Estimate]:
        """By model name. Without any label of a model it is the prior, moved by what others taught."""
        level, near = self._fitted.read(seen)
        q = np.clip(level + self._news[:, seen.workload], 0.0, 1.0)
        # Two parts: of what the place adds, and of the model's level.
        error = np.sqrt(self._fitted.variance * (1 / (near + _RIDGE) + 1 / (self._heard + _MODEL_LABELS)))
        return {
            name: Estimate(*found)
            for name, *found in zip(self._tiers, q.tolist(), error.tolist(), near.tolist(), strict=True)
        }

    def learn(self, seen: Traits, model: str, score: float) -> None:
        """One judged answer: what was seen of the prompt, who answered, and how good it was, 0 to 1. It counts at
        once for its model and class, near its prompt after the next fit. Raises KeyError for a model that was not
        named, ValueError for a score out of range."""
        number = self._numbers[model]
        if not 0 <= score <= 1:
            raise ValueError(f"a score lies between 0 and 1, not {score}")
        self._remember(seen, number, score)
        self._hear(seen, number, score)

    def _remember(self, seen: Traits, number: int, score: float) -> None:
        row = self._learned % len(self._memory)
        self._memory.vectors[row] = 0 if seen.vector is None else seen.vector
        self._memory.surface[row] = seen.surface
        self._memory.workload[row] = seen.workload
        self._memory.model[row] = number
        self._memory.score[row] = score
        self._learned += 1

    def _hear(self, seen: Traits, number: int, score: float) -> None:
        """What the fit did not know: how far it was off, by model and class."""
        expected = self._fitted.read(seen)[0][number]
        self._heard[number] += 1
        self._news_counts[number, seen.workload] += 1
        self._news_sums[number, seen.workload] += score - expected
        self._news = _shrunken(self._news_sums, self._news_counts)

    @property
    def is_fit_due(self) -> bool:
        """Whether enough is new since the last fit."""
        return self._learned - self._fitted.learned >= max(_FIRST_FIT, _GROWTH * len(self))

    def snapshot(self) -> Examples:
        """A copy of what is remembered, oldest first, to hand to `fit`."""
        start = self._learned - len(self)
        rows = np.arange(start, self._learned) % len(self._memory)
        memory = self._memory
        return Examples(
            names=memory.names,
            vectors=memory.vectors[rows],
            surface=memory.surface[rows],
            workload=memory.workload[rows],
            model=memory.model[rows],
            score=memory.score[rows],
            learned=self._learned,
        )

    def adopt(self, fitted: Fitted) -> None:
        """Takes a fit over, and what was learned after its examples were taken on top; also one that was made before
        there were more models."""
        self._adopt(widened(fitted, self._tiers))
        late = min(self._learned - fitted.learned, len(self))
        if late:
            for seen, number, score in _rows(self.snapshot(), late):
                self._hear(seen, number, score)

    def _adopt(self, fitted: Fitted) -> None:
        self._fitted = fitted
        self._heard = fitted.heard.copy()
        self._news_sums = np.zeros((len(self._tiers), len(Workload)))
        self._news_counts = np.zeros((len(self._tiers), len(Workload)))
        self._news = np.zeros((len(self._tiers), len(Workload)), np.float32)

    def know(self, tiers: Mapping[str, Tier]) -> None:
        """These models are to be estimated as well from now on, at first as their tier; one that is known and now of
        another tier is expected to be as much better or worse as those are. None is forgotten: it may come back."""
        moved = {name: tier for name, tier in tiers.items() if self._tiers.get(name, tier) != tier}
        level = self._fitted.level.copy()
        for name, tier in moved.items():
            level[self._numbers[name]] += _prior([name], {name: tier})[0] - _prior([name], self._tiers)[0]
        known = len(self._tiers)
        self._tiers = self._tiers | dict(tiers)
        self._numbers = {name: number for number, name in enumerate(self._tiers)}
        self._memory = msgspec.structs.replace(self._memory, names=tuple(self._tiers))
        self._fitted = widened(msgspec.structs.replace(self._fitted, level=level), self._tiers)
        more = ((0, len(self._tiers) - known), (0, 0))
        self._heard = np.pad(self._heard, more[0])
        self._news_sums, self._news_counts = np.pad(self._news_sums, more), np.pad(self._news_counts, more)
        self._news = np.pad(self._news, more)

    def refit(self) -> None:
        """Learns anew from all that is remembered, here and now."""
        self.adopt(fit(self.snapshot(), self._tiers))

    # --- keeping ---

    def export(self, space: str) -> bytes:
        """What is remembered, for `restore`; `space` names the encoder whose vectors these are."""
        kept = self.snapshot()
        target = io.BytesIO()
        np.savez(
            target,
            about=np.array([str(FORMAT), space, *kept.names]),
            vectors=kept.vectors,
            surface=kept.surface,
            workload=kept.workload,
            model=kept.model,
            score=kept.score,
        )
        return target.getvalue()

    def restore(self, content: bytes, space: str) -> int:
        """Takes what an `export` kept, in the place of what was remembered; a fit is due afterwards, until then it
        counts by model and class. Answers of models that are not named here are left out, and vectors of another
        encoder. Gives how many answers were taken; raises ValueError where this is no such content, or was kept by a
        version that reads other things of a prompt."""
        kept, kept_space = _unpacked(content)
        is_same_space = kept_space == space and kept.vectors.shape[1] == self.dim
        self._learned = 0
        for seen, number, score in _rows(kept, len(kept)):
            name = kept.names[number]
            if name in self._numbers:
                known = seen if is_same_space else Traits(None, seen.surface, seen.workload)
                self._remember(known, self._numbers[name], score)
        self.adopt(untaught(self._tiers, self.dim))
        return self._learned

    @property
    def tiers(self) -> Mapping[str, Tier]:
        """The models whose quality is estimated."""
        return self._tiers

    @property
    def learned(self) -> int:
        """How many judged answers were ever taken."""
        return self._learned

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return int(self._memory.vectors.shape[1])


def _rows(examples: Examples, newest: int) -> Iterator[tuple[Traits, int, float]]:
    """The newest so many, oldest first: (what was seen, number of the model, score)."""
    given = examples.has_vector
    for row in range(len(examples) - newest, len(examples)):
        vector = examples.vectors[row].astype(np.float32) if given[row] else None
        seen = Traits(vector, examples.surface[row], Workload(int(examples.workload[row])))
        yield seen, int(examples.model[row]), float(examples.score[row])


def _unpacked(content: bytes) -> tuple[Examples, str]:
    """(examples, encoder) of an export. Raises ValueError."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            written, space, *names = (str(each) for each in kept["about"])
            arrays = {name: kept[name] for name in ("vectors", "surface", "workload", "model", "score")}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"this is no export of judged answers ({error})") from error
    if written != str(FORMAT) or arrays["surface"].shape[1:] != (len(NAMES),):
        raise ValueError(f"judged answers were kept by another version (format {written}, here {FORMAT})")
    if len({len(array) for array in arrays.values()}) != 1 or not (
        np.all((arrays["model"] >= 0) & (arrays["model"] < len(names))) and np.isin(arrays["workload"], _CLASSES).all()
    ):
        raise ValueError("this is no export of judged answers (its parts do not fit together)")
    return Examples(names=tuple(names), **arrays), space
