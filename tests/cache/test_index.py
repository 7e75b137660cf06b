"""The nearest vectors of a scope, the same as by comparing with every one of them, at every size."""

from collections.abc import Iterator, Sequence
from functools import cache
from threading import Event

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cache.index import SMALL, Vector, VectorIndex, Vectors, k_means

DIM = 16
HALF = 3e-4
"""How far a similarity to a half-precision vector may be off."""
EVERYTHING = 10**9
FEW, CELL, CELLS = 8, 30, 200
"""So many vectors are an array, a cell or many cells in the indexes that these tests make."""
SIZES = [1, 7, FEW, FEW + 1, CELL, CELL + 1, CELLS]


@cache
def unit(seed: int) -> Vector:
    """A unit vector without negative coordinates, so that every similarity is positive."""
    vector = np.abs(np.random.default_rng(seed).standard_normal(DIM)).astype(np.float32)
    return vector / np.linalg.norm(vector)


def small_index(scanned: int = EVERYTHING) -> VectorIndex:
    return VectorIndex(DIM, small=FEW, flat=CELL, scanned=scanned)


def filled(count: int) -> tuple[VectorIndex, dict[int, Vector]]:
    index, anchors = small_index(), {number: unit(number) for number in range(count)}
    for number, vector in anchors.items():
        index.add(b"s", number, vector)
    index.settle()
    return index, anchors


def brute_force(anchors: dict[int, Vector], vector: Vector, count: int) -> list[tuple[int, float]]:
    scored = [(number, float(stored @ vector)) for number, stored in anchors.items()]
    return sorted(scored, key=lambda found: -found[1])[:count]


def same(found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """The same similarities, and the same anchors wherever those are not equal."""
    similarities = [similarity for _, similarity in expected]
    distinct = {number for number, each in expected if sum(abs(each - other) < 2 * HALF for other in similarities) == 1}
    return (
        len(found) == len(expected)
        and np.allclose([similarity for _, similarity in found], similarities, atol=HALF)
        and distinct - {number for number, _ in expected[-1:]} <= {number for number, _ in found}
    )


def numbers(found: list[tuple[int, float]]) -> list[int]:
    return [number for number, _ in found]


@pytest.mark.parametrize("size", SIZES)
def test_it_finds_what_brute_force_finds(size: int) -> None:
    index, anchors = filled(size)
    for seed in range(1000, 1020):
        assert same(index.search(b"s", unit(seed), 8), brute_force(anchors, unit(seed), 8))


@pytest.mark.parametrize("size", SIZES)
def test_a_stored_vector_finds_itself_first(size: int) -> None:
    index, _ = filled(size)
    number, similarity = index.search(b"s", unit(size - 1), 1)[0]
    assert number == size - 1
    assert similarity == pytest.approx(1.0, abs=HALF)


@pytest.mark.parametrize("size", SIZES)
def test_it_gives_at_most_as_many_as_there_are_and_as_were_asked_for(size: int) -> None:
    index, _ = filled(size)
    assert len(index.search(b"s", unit(0), size + 5)) == size
    assert len(index.search(b"s", unit(0), 1)) == 1
    assert index.search(b"s", unit(0), 0) == []


def test_it_gives_as_many_as_asked_for_even_where_the_scanned_cells_hold_fewer() -> None:
    index = VectorIndex(DIM, small=FEW, flat=CELL, scanned=1)
    for number in range(600):
        index.add(b"s", number, unit(number))
    index.settle()
    found = numbers(index.search(b"s", -unit(0), 590))
    assert (len(found), len(set(found))) == (590, 590)


@pytest.mark.parametrize("size", SIZES)
def test_the_opposite_of_a_vector_is_found_too(size: int) -> None:
    index, anchors = filled(size)
    assert same(index.search(b"s", -unit(3), 8), brute_force(anchors, -unit(3), 8))


def test_an_unknown_scope_has_no_anchors() -> None:
    index, _ = filled(3)
    assert index.search(b"other", unit(0), 8) == []


@pytest.mark.parametrize("size", SIZES)
def test_scopes_do_not_see_each_others_anchors(size: int) -> None:
    index, anchors = filled(size)
    index.add(b"other", 0, unit(5000))
    index.add(b"other", size, unit(5001))
    assert sorted(numbers(index.search(b"other", unit(0), size + 2))) == [0, size]
    index.remove(b"other", 0)
    assert same(index.search(b"s", unit(5000), size), brute_force(anchors, unit(5000), size))


@pytest.mark.parametrize("size", [size for size in SIZES if size > 4])
def test_a_removed_anchor_is_not_found_any_more(size: int) -> None:
    index, anchors = filled(size)
    for number in (0, size - 1, 3):
        index.remove(b"s", number)
        del anchors[number]
        assert same(index.search(b"s", unit(number), size), brute_force(anchors, unit(number), size))
    assert len(index) == size - 3


def test_to_remove_what_is_not_there_is_no_error() -> None:
    index, _ = filled(2)
    index.remove(b"s", 99)
    index.remove(b"other", 0)
    index.remove(b"s", 0)
    index.remove(b"s", 0)
    assert len(index) == 1


@pytest.mark.parametrize("size", [size for size in SIZES if size > 4])
def test_an_id_may_be_used_again_after_its_removal(size: int) -> None:
    index, anchors = filled(size)
    index.remove(b"s", 2)
    index.add(b"s", 2, unit(100))
    for seed in (2, 100, 1000):
        assert same(index.search(b"s", unit(seed), 8), brute_force(anchors | {2: unit(100)}, unit(seed), 8))


@pytest.mark.parametrize("size", SIZES)
def test_a_second_vector_of_an_id_takes_the_place_of_the_first(size: int) -> None:
    index, anchors = filled(size)
    index.add(b"s", 0, unit(100))
    assert len(index) == size
    assert same(index.search(b"s", unit(0), size + 1), brute_force(anchors | {0: unit(100)}, unit(0), size + 1))


@pytest.mark.parametrize("size", [FEW, CELL, CELLS])
def test_a_scope_at_its_bound_does_not_grow(size: int) -> None:
    index, _ = filled(size)
    for number in range(1000):
        index.remove(b"s", number)
        index.add(b"s", number + size, unit(number + size))
    index.settle()
    assert len(index) == size
    assert sorted(numbers(index.search(b"s", unit(0), size + 1))) == list(range(1000, 1000 + size))


@pytest.mark.parametrize("size", SIZES)
def test_an_emptied_scope_is_dropped_and_may_begin_again(size: int) -> None:
    index, anchors = filled(size)
    for number in anchors:
        index.remove(b"s", number)
    assert len(index) == 0
    assert index._scopes == {}
    index.add(b"s", 1, unit(1))
    assert numbers(index.search(b"s", unit(1), 8)) == [1]


@pytest.mark.parametrize("size", SIZES)
def test_a_dropped_scope_is_empty_and_may_begin_again(size: int) -> None:
    index, _ = filled(size)
    index.add(b"other", 7, unit(7))
    index.drop(b"s")
    index.drop(b"unknown")
    assert len(index) == 1
    assert index.search(b"s", unit(0), 8) == []
    index.add(b"s", 1, unit(1))
    assert numbers(index.search(b"s", unit(1), 8)) == [1]


@pytest.mark.parametrize("size", SIZES)
def test_the_vectors_of_ids_come_in_the_order_of_the_ids(size: int) -> None:
    index, anchors = filled(size)
    asked = [size - 1, 0, size // 2, 0]
    rows = index.vectors(b"s", asked)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, np.stack([anchors[number] for number in asked]), atol=HALF)


@pytest.mark.parametrize("size", SIZES)
def test_the_vectors_of_what_was_found_are_those_stored(size: int) -> None:
    index, anchors = filled(size)
    found = numbers(index.search(b"s", unit(1000), 8))[::-1]
    np.testing.assert_allclose(index.vectors(b"s", found), np.stack([anchors[each] for each in found]), atol=HALF)
    np.testing.assert_allclose(index.vectors(b"s", [0]), [anchors[0]], atol=HALF)


@pytest.mark.parametrize("size", SIZES)
def test_vectors_given_out_change_nothing_in_the_index(size: int) -> None:
    index, anchors = filled(size)
    found = numbers(index.search(b"s", unit(0), 8))
    index.vectors(b"s", found)[:] = 0
    np.testing.assert_allclose(index.vectors(b"s", found), np.stack([anchors[each] for each in found]), atol=HALF)


@pytest.mark.parametrize("size", SIZES)
def test_a_replaced_vector_is_given_out_no_more_though_it_was_found_before(size: int) -> None:
    index, _ = filled(size)
    index.search(b"s", unit(0), 8)
    index.add(b"s", 0, unit(100))
    np.testing.assert_allclose(index.vectors(b"s", [0]), [unit(100)], atol=HALF)


@pytest.mark.parametrize("size", SIZES)
def test_asking_for_the_vector_of_an_unknown_id_is_an_error(size: int) -> None:
    index, _ = filled(size)
    index.search(b"s", unit(0), 8)
    index.remove(b"s", 0)
    for asked in ([0], [size], [*range(1, size), 0]):
        with pytest.raises(KeyError):
            index.vectors(b"s", asked)
    with pytest.raises(KeyError):
        index.vectors(b"other", [1])


@pytest.mark.parametrize("size", SIZES)
def test_the_vectors_of_no_ids_are_no_rows(size: int) -> None:
    index, _ = filled(size)
    assert index.vectors(b"s", []).shape == (0, DIM)
    assert index.vectors(b"other", []).shape == (0, DIM)


def test_there_is_no_faiss_object_up_to_some_dozens_of_anchors() -> None:
    index = VectorIndex(DIM)
    for number in range(SMALL):
        index.add(b"s", number, unit(number))
    few = type(index._scopes[b"s"].store)
    index.add(b"s", SMALL, unit(SMALL))
    assert type(index._scopes[b"s"].store) is not few


class AnyHistory(RuleBasedStateMachine):
    """Any history of two scopes leaves the index equal to a dictionary of vectors, while cells are built too."""

    scanned = EVERYTHING

    def __init__(self) -> None:
        super().__init__()
        self.gate = Event()
        self.gate.set()
        self.faults: list[Exception] = []
        self.index = VectorIndex(
            DIM, small=FEW, flat=CELL, scanned=self.scanned, train=self.train, on_fault=self.faults.append
        )
        self.anchors: dict[bytes, dict[int, Vector]] = {b"one": {}, b"two": {}}
        self.next = 0

    def train(self, sample: Vectors, cells: int) -> Iterator[Vectors]:
        assert self.gate.wait(30)
        return k_means(sample, cells)

    def holds(self, found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
        return same(found, expected)

    def known(self, data: st.DataObject) -> tuple[bytes, Sequence[int]]:
        scope = data.draw(st.sampled_from([name for name, anchors in self.anchors.items() if anchors]))
        return scope, sorted(self.anchors[scope])

    @rule(scope=st.sampled_from([b"one", b"two"]), count=st.sampled_from([1, 3, FEW, CELL, CELLS]))
    def add(self, scope: bytes, count: int) -> None:
        for number in range(self.next, self.next + count):
            self.index.add(scope, number, unit(number))
            self.anchors[scope][number] = unit(number)
        self.next += count

    @precondition(lambda self: any(self.anchors.values()))
    @rule(data=st.data(), count=st.sampled_from([1, 20]), seed=st.integers(0, 1000))
    def replace(self, data: st.DataObject, count: int, seed: int) -> None:
        scope, known = self.known(data)
        first = data.draw(st.integers(0, len(known) - 1))
        for number in known[first : first + count]:
            self.index.add(scope, number, unit(number + seed))
            self.anchors[scope][number] = unit(number + seed)

    @precondition(lambda self: any(self.anchors.values()))
    @rule(data=st.data(), count=st.sampled_from([1, 2, FEW, CELL, CELLS]))
    def remove(self, data: st.DataObject, count: int) -> None:
        scope, known = self.known(data)
        first = data.draw(st.integers(0, len(known) - 1))
        for number in known[first : first + count]:
            self.index.remove(scope, number)
            del self.anchors[scope][number]

    @rule(scope=st.sampled_from([b"one", b"two"]), number=st.integers(0, 50))
    def remove_perhaps_unknown(self, scope: bytes, number: int) -> None:
        self.index.remove(scope, number)
        self.anchors[scope].pop(number, None)

    @rule(scope=st.sampled_from([b"one", b"two"]))
    def drop(self, scope: bytes) -> None:
        self.index.drop(scope)
        self.anchors[scope] = {}

    @rule()
    def hold_builds(self) -> None:
        self.gate.clear()

    @rule()
    def let_builds_go_on(self) -> None:
        self.gate.set()

    @rule()
    def settle(self) -> None:
        self.gate.set()
        self.index.settle()

    @rule(scope=st.sampled_from([b"one", b"two"]), seed=st.integers(0, 200), count=st.sampled_from([1, 2, 8, 32]))
    def search(self, scope: bytes, seed: int, count: int) -> None:
        found = self.index.search(scope, unit(seed), count)
        assert self.holds(found, brute_force(self.anchors[scope], unit(seed), count))
        for number, similarity in found:
            assert similarity == pytest.approx(float(self.anchors[scope][number] @ unit(seed)), abs=HALF)

    @precondition(lambda self: any(self.anchors.values()))
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        scope, known = self.known(data)
        asked = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=32))
        expected = np.stack([self.anchors[scope][number] for number in asked])
        np.testing.assert_allclose(self.index.vectors(scope, asked), expected, atol=HALF)

    @invariant()
    def counts(self) -> None:
        assert len(self.index) == sum(len(anchors) for anchors in self.anchors.values())

    @invariant()
    def no_faults(self) -> None:
        assert not self.faults

    def teardown(self) -> None:
        self.gate.set()
        self.index.close()
        assert not self.faults


class AnyHistoryWhereFewCellsAreScanned(AnyHistory):
    """Neighbours may be missed, but there are as many as there should be, in order, and each is really there."""

    scanned = 1

    def holds(self, found: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
        similarities = [similarity for _, similarity in found]
        return (
            len(found) == len(expected)
            and len(set(numbers(found))) == len(found)
            and similarities == sorted(similarities, reverse=True)
        )


MODERATE = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = MODERATE
TestAnyHistoryWhereFewCellsAreScanned = AnyHistoryWhereFewCellsAreScanned.TestCase
TestAnyHistoryWhereFewCellsAreScanned.settings = MODERATE
