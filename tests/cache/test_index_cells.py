"""Large scopes: what cells find, and how they are built while everything goes on."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cache.encoder import Encoder
from cache.index import FLAT, Vector, VectorIndex, Vectors, k_means
from tests.cache.test_index import CELL, CELLS, DIM, EVERYTHING, FEW, brute_force, numbers, same, unit
from tests.conftest import ROOT


class HeldTraining:
    """Stops a build where it looks for centroids, until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()

    def __call__(self, sample: Vectors, cells: int) -> Iterator[Vectors]:
        self.begun.set()
        assert self.gate.wait(30)
        yield from k_means(sample, cells)


class FailingTraining:
    """Fails until `broken` is cleared."""

    def __init__(self) -> None:
        self.broken = True

    def __call__(self, sample: Vectors, cells: int) -> Iterator[Vectors]:
        if self.broken:
            raise MemoryError
        return k_means(sample, cells)


@pytest.fixture
def training() -> HeldTraining:
    return HeldTraining()


@pytest.fixture
def held(training: HeldTraining) -> Iterator[VectorIndex]:
    """An index whose scope `s` of CELL + 1 vectors is just being built."""
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=EVERYTHING, train=training)
    for number in range(CELL + 1):
        index.add(b"s", number, unit(number))
    assert training.begun.wait(30)
    yield index
    training.gate.set()
    index.close()


def agrees(index: VectorIndex, anchors: dict[int, Vector]) -> bool:
    return len(index) == len(anchors) and all(
        same(index.search(b"s", unit(seed), 8), brute_force(anchors, unit(seed), 8)) for seed in range(0, 300, 7)
    )


def cell_count(index: VectorIndex, scope: bytes = b"s") -> int:
    return int(index._scopes[scope].store._centroids.ntotal)


# --- building ---


def test_searches_are_answered_while_cells_are_being_built(held: VectorIndex) -> None:
    assert agrees(held, {number: unit(number) for number in range(CELL + 1)})
    assert cell_count(held) == 1


def test_what_is_added_replaced_and_removed_during_a_build_is_so_at_once_and_after_it(
    held: VectorIndex, training: HeldTraining
) -> None:
    anchors = {number: unit(number) for number in range(CELL + 1)}
    for number in (0, 5, CELL):
        held.remove(b"s", number)
        del anchors[number]
    for number, seed in ((5, 105), (6, 106), (500, 500)):  # used again, replaced, new
        held.add(b"s", number, unit(seed))
        anchors[number] = unit(seed)
    assert agrees(held, anchors)
    training.gate.set()
    held.settle()
    assert cell_count(held) > 1
    assert agrees(held, anchors)
    np.testing.assert_allclose(held.vectors(b"s", [5, 6, 500]), [unit(105), unit(106), unit(500)], atol=3e-4)


def test_a_build_goes_well_though_nearly_all_it_began_with_is_removed(
    held: VectorIndex, training: HeldTraining
) -> None:
    for number in range(CELL):
        held.remove(b"s", number)
    training.gate.set()
    held.settle()
    assert agrees(held, {CELL: unit(CELL)})


def test_a_scope_that_is_dropped_during_a_build_stays_dropped_and_may_begin_again(
    held: VectorIndex, training: HeldTraining
) -> None:
    held.drop(b"s")
    held.add(b"s", 3, unit(300))
    training.gate.set()
    held.settle()
    assert agrees(held, {3: unit(300)})


def test_a_scope_that_is_emptied_during_a_build_stays_empty(held: VectorIndex, training: HeldTraining) -> None:
    for number in range(CELL + 1):
        held.remove(b"s", number)
    training.gate.set()
    held.settle()
    assert agrees(held, {})


def test_a_scope_that_outgrows_a_build_is_built_for_its_size(held: VectorIndex, training: HeldTraining) -> None:
    cells = round(4 * (CELLS + 1) ** 0.5)
    for number in range(CELL + 1, CELLS + 1):
        held.add(b"s", number, unit(number))
    training.gate.set()
    held.settle()
    assert cell_count(held) == cells
    assert agrees(held, {number: unit(number) for number in range(CELLS + 1)})


def test_scopes_wait_for_each_other_to_be_built(held: VectorIndex, training: HeldTraining) -> None:
    for number in range(CELLS):
        held.add(b"other", number, unit(number + 1000))
    training.gate.set()
    held.settle()
    assert cell_count(held) > 1
    assert cell_count(held, b"other") > 1
    assert numbers(held.search(b"other", unit(1042), 1)) == [42]


def test_several_threads_may_add_remove_and_search_during_builds() -> None:
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=EVERYTHING)

    def work(worker: int) -> None:
        for number in range(worker * 1000, worker * 1000 + 300):
            index.add(b"s", number, unit(number))
            assert numbers(index.search(b"s", unit(number), 1)) == [number]
            if number % 3 == 0:
                index.remove(b"s", number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    index.settle()
    kept = [number for worker in range(4) for number in range(worker * 1000, worker * 1000 + 300) if number % 3]
    assert agrees(index, {number: unit(number) for number in kept})


def test_nothing_that_is_removed_while_cells_are_filled_comes_out_of_them() -> None:
    count = 40 * CELLS
    training = HeldTraining()
    index = VectorIndex(DIM, small=FEW, flat=count - 1, scanned=EVERYTHING, train=training)
    for number in range(count):
        index.add(b"s", number, unit(number % 1000))
    assert training.begun.wait(30)
    training.gate.set()
    removed: set[int] = set()
    for number in np.random.default_rng(0).permutation(count)[: count // 2].tolist():
        if cell_count(index) > 1:
            break
        index.remove(b"s", number)
        removed.add(number)
        index.search(b"s", unit(0), 1)
    index.settle()
    assert cell_count(index) > 1
    assert removed.isdisjoint(numbers(index.search(b"s", unit(0), count)))
    assert len(index.search(b"s", unit(0), count)) == len(index) == count - len(removed)


def test_no_thread_is_left_when_everything_is_built() -> None:
    index = VectorIndex(DIM, small=FEW, flat=CELL)
    for number in range(CELLS):
        index.add(b"s", number, unit(number))
    index.settle()
    assert "vector-index" not in {thread.name for thread in threading.enumerate()}


def test_one_history_gives_one_index() -> None:
    def found() -> list[list[tuple[int, float]]]:
        index = VectorIndex(DIM, small=FEW, flat=10 * CELLS, scanned=1)
        for number in range(10 * CELLS + 1):
            index.add(b"s", number, unit(number))
        index.settle()
        return [index.search(b"s", unit(seed), 8) for seed in range(5000, 5100)]

    assert found() == found()


def test_a_scope_that_has_shrunk_is_one_cell_again() -> None:
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=1)
    for number in range(CELLS):
        index.add(b"s", number, unit(number))
    index.settle()
    for number in range(CELLS - 5):
        index.remove(b"s", number)
    index.settle()
    assert cell_count(index) == 1
    assert agrees(index, {number: unit(number) for number in range(CELLS - 5, CELLS)})


# --- faults and the end ---


def test_a_failed_build_is_reported_and_leaves_an_exact_index() -> None:
    faults: list[Exception] = []
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=1, train=FailingTraining(), on_fault=faults.append)
    for number in range(CELLS):
        index.add(b"s", number, unit(number))
    index.settle()
    assert faults
    assert {type(fault) for fault in faults} == {MemoryError}
    assert cell_count(index) == 1
    assert agrees(index, {number: unit(number) for number in range(CELLS)})


def test_a_failed_build_is_tried_again_only_when_the_scope_has_grown_by_half() -> None:
    faults: list[Exception] = []
    training = FailingTraining()
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=1, train=training, on_fault=faults.append)
    for number in range(CELL + 1):
        index.add(b"s", number, unit(number))
    index.settle()
    training.broken = False
    for number in range(CELL + 1, CELL + 1 + CELL // 2):
        index.add(b"s", number, unit(number))
        index.settle()
    assert (len(faults), cell_count(index)) == (1, 1)
    index.add(b"s", 999, unit(999))
    index.settle()
    assert (len(faults), cell_count(index) > 1) == (1, True)


def test_a_failed_build_without_a_listener_is_survived() -> None:
    index = VectorIndex(DIM, small=FEW, flat=CELL, train=FailingTraining())
    for number in range(CELL + 1):
        index.add(b"s", number, unit(number))
    index.settle()
    assert numbers(index.search(b"s", unit(7), 1)) == [7]


def test_close_ends_a_build_and_the_index_serves_on(held: VectorIndex, training: HeldTraining) -> None:
    threading.Timer(0.1, training.gate.set).start()
    held.close()
    held.close()
    assert "vector-index" not in {thread.name for thread in threading.enumerate()}
    for number in range(CELL + 1, CELLS):
        held.add(b"s", number, unit(number))
    held.settle()
    assert cell_count(held) == 1
    assert agrees(held, {number: unit(number) for number in range(CELLS)})


def test_close_of_an_index_that_has_built_nothing_is_no_error() -> None:
    VectorIndex(DIM).close()


# --- what cells find ---


def wordings() -> list[str]:
    lines = (ROOT / "data" / "faq" / "questions.jsonl").read_text().splitlines()
    return [text for line in map(json.loads, lines) for text in (line["question"], *line["paraphrases"])]


@pytest.fixture(scope="module")
def real(encoder_folder: Path) -> Vectors:
    """Embeddings of questions and their paraphrases, in a fixed random order."""
    encoder = Encoder.load(encoder_folder)
    rows = np.stack([encoder.encode_now(text) for text in wordings()])
    encoder.close()
    return np.random.default_rng(0).permutation(rows)


def mixed(rows: Vectors, count: int, seed: int) -> Vectors:
    """Unit vectors somewhere between two of the rows each, with some noise: cosine 0.7 to 0.98 to the nearer."""
    random = np.random.default_rng(seed)
    first, second = rows[random.integers(0, len(rows), (2, count))]
    share = random.uniform(0.6, 0.95, (count, 1))
    noise = random.standard_normal(first.shape) * 0.2 / np.sqrt(first.shape[1])
    made = (share * first + (1 - share) * second + noise).astype(np.float32)
    normal: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
    return normal


def recall(
    search: Callable[[Vector, int], list[tuple[int, float]]], stored: Vectors, queries: Vectors, count: int
) -> float:
    """Share of the true `count` nearest that are found, or others as near."""
    similarities = np.sort(queries @ stored.T, axis=1)[:, ::-1]
    found = 0
    for query, nearest in zip(queries, similarities, strict=True):
        found += sum(similarity >= nearest[count - 1] - 3e-4 for _, similarity in search(query, count))
    return found / (count * len(queries))


@pytest.fixture(scope="module")
def large(real: Vectors) -> tuple[VectorIndex, Vectors]:
    """An index as in production with real embeddings, mixed ones, and the first hundred kept back as queries."""
    stored = np.concatenate([real[100:], mixed(real[100:], 3 * FLAT, seed=1)])
    index = VectorIndex(stored.shape[1])
    for number, vector in enumerate(stored):
        index.add(b"s", number, vector)
    index.settle()
    return index, stored


@pytest.mark.parametrize(("count", "least"), [(1, 0.98), (8, 0.97), (32, 0.95)])
def test_most_of_the_true_neighbours_are_found_among_many_thousands(
    large: tuple[VectorIndex, Vectors], real: Vectors, count: int, least: float
) -> None:
    index, stored = large
    queries = np.concatenate([real[:100], mixed(real, 200, seed=2)])
    assert cell_count(index) > 400
    assert recall(lambda query, count: index.search(b"s", query, count), stored, queries, count) >= least


def test_nearly_all_are_found_that_are_near_enough_to_decide(large: tuple[VectorIndex, Vectors], real: Vectors) -> None:
    index, stored = large
    near = found = 0
    for query in np.concatenate([real[:100], mixed(real, 200, seed=2)]):
        deciding = np.array([similarity for similarity in np.sort(stored @ query)[-8:] if similarity >= 0.7])
        near += len(deciding)
        least = deciding.min(initial=1.0) - 3e-4
        found += sum(similarity >= least for _, similarity in index.search(b"s", query, len(deciding)))
    assert near > 500
    assert found / near >= 0.995


def test_what_comes_after_a_build_is_found_though_it_is_about_something_else(real: Vectors) -> None:
    random = np.random.default_rng(3)
    subjects = random.standard_normal((60, real.shape[1])).astype(np.float32)
    subjects /= np.linalg.norm(subjects, axis=1, keepdims=True)
    old, new = mixed(real, FLAT + 1, seed=4), mixed(subjects, 600, seed=6)
    index = VectorIndex(real.shape[1], scanned=1)
    for number, vector in enumerate(old):
        index.add(b"s", number, vector)
    index.settle()
    index.close()  # no second build shall help
    for number, vector in enumerate(new, start=len(old)):
        index.add(b"s", number, vector)
    stored, queries = np.concatenate([old, new]), mixed(subjects, 200, seed=7)
    assert recall(lambda query, count: index.search(b"s", query, count), stored, queries, 8) >= 0.95
