"""The nearest anchors of a scope, the same as by comparing with every one of them."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cache.index import SMALL, Vector, VectorIndex

DIM = 16
HALF = 3e-4
"""How far a similarity to a half-precision vector may be off."""


def unit(seed: int) -> Vector:
    """A unit vector without negative coordinates, so that every similarity is positive."""
    vector = np.abs(np.random.default_rng(seed).standard_normal(DIM)).astype(np.float32)
    return vector / np.linalg.norm(vector)


def filled(count: int) -> tuple[VectorIndex, dict[int, Vector]]:
    index, anchors = VectorIndex(DIM), {number: unit(number) for number in range(count)}
    for number, vector in anchors.items():
        index.add(b"s", number, vector)
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


@pytest.mark.parametrize("size", [1, 7, SMALL, SMALL + 1, 3 * SMALL])
def test_it_finds_what_brute_force_finds_in_small_and_large_scopes(size: int) -> None:
    index, anchors = filled(size)
    for seed in range(1000, 1020):
        assert same(index.search(b"s", unit(seed), 8), brute_force(anchors, unit(seed), 8))


def test_a_stored_vector_finds_itself_first() -> None:
    for size in (SMALL, SMALL + 1):
        index, _ = filled(size)
        number, similarity = index.search(b"s", unit(5), 1)[0]
        assert number == 5
        assert similarity == pytest.approx(1.0, abs=HALF)


def test_it_gives_at_most_as_many_as_there_are_and_as_were_asked_for() -> None:
    index, _ = filled(3)
    assert len(index.search(b"s", unit(0), 8)) == 3
    assert len(index.search(b"s", unit(0), 2)) == 2


def test_an_unknown_scope_has_no_anchors() -> None:
    index, _ = filled(3)
    assert index.search(b"other", unit(0), 8) == []


def test_scopes_do_not_see_each_others_anchors() -> None:
    index = VectorIndex(DIM)
    index.add(b"one", 1, unit(1))
    index.add(b"two", 2, unit(1))
    assert [number for number, _ in index.search(b"one", unit(1), 8)] == [1]
    assert [number for number, _ in index.search(b"two", unit(1), 8)] == [2]


@pytest.mark.parametrize("size", [5, SMALL + 5])
def test_a_removed_anchor_is_not_found_any_more(size: int) -> None:
    index, anchors = filled(size)
    for number in (0, size - 1, 3):
        index.remove(b"s", number)
        del anchors[number]
        assert same(index.search(b"s", unit(number), 8), brute_force(anchors, unit(number), 8))
    assert len(index) == size - 3


def test_to_remove_what_is_not_there_is_no_error() -> None:
    index, _ = filled(2)
    index.remove(b"s", 99)
    index.remove(b"other", 0)
    index.remove(b"s", 0)
    index.remove(b"s", 0)
    assert len(index) == 1


@pytest.mark.parametrize("size", [5, SMALL + 5])
def test_a_new_anchor_takes_the_place_of_a_removed_one(size: int) -> None:
    index, anchors = filled(size)
    index.remove(b"s", 2)
    index.add(b"s", 100, unit(100))
    anchors = {number: vector for number, vector in anchors.items() if number != 2} | {100: unit(100)}
    for seed in (2, 100, 1000):
        assert same(index.search(b"s", unit(seed), 8), brute_force(anchors, unit(seed), 8))


def test_a_scope_at_its_bound_does_not_grow() -> None:
    index, _ = filled(SMALL + 10)
    scope = index._scopes[b"s"]
    before = scope._flat.ntotal
    for number in range(500):
        index.remove(b"s", number)
        index.add(b"s", number + SMALL + 10, unit(number))
    assert len(index) == SMALL + 10
    assert scope._flat.ntotal == before


def test_an_emptied_scope_is_dropped_and_may_begin_again() -> None:
    index, anchors = filled(SMALL + 3)
    for number in anchors:
        index.remove(b"s", number)
    assert len(index) == 0
    assert index._scopes == {}
    index.add(b"s", 1, unit(1))
    assert [number for number, _ in index.search(b"s", unit(1), 8)] == [1]


def test_there_is_no_faiss_object_up_to_some_dozens_of_anchors() -> None:
    index, _ = filled(SMALL)
    assert index._scopes[b"s"]._flat is None
    index.add(b"s", SMALL, unit(SMALL))
    assert index._scopes[b"s"]._flat is not None


class AddingRemovingSearching(RuleBasedStateMachine):
    """Any history of two scopes leaves the index equal to a dictionary of vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.index = VectorIndex(DIM)
        self.anchors: dict[bytes, dict[int, Vector]] = {b"one": {}, b"two": {}}
        self.next = 0

    @rule(scope=st.sampled_from([b"one", b"two"]), count=st.sampled_from([1, 3, SMALL // 2, SMALL]))
    def add(self, scope: bytes, count: int) -> None:
        for _ in range(count):
            self.index.add(scope, self.next, unit(self.next))
            self.anchors[scope][self.next] = unit(self.next)
            self.next += 1

    @precondition(lambda self: any(self.anchors.values()))
    @rule(data=st.data(), count=st.sampled_from([1, 2, SMALL, 3 * SMALL]))
    def remove(self, data: st.DataObject, count: int) -> None:
        scope = data.draw(st.sampled_from([name for name, anchors in self.anchors.items() if anchors]))
        numbers = sorted(self.anchors[scope])
        first = data.draw(st.integers(0, len(numbers) - 1))
        for number in numbers[first : first + count]:
            self.index.remove(scope, number)
            del self.anchors[scope][number]

    @rule(scope=st.sampled_from([b"one", b"two"]), number=st.integers(0, 50))
    def remove_perhaps_unknown(self, scope: bytes, number: int) -> None:
        self.index.remove(scope, number)
        self.anchors[scope].pop(number, None)

    @rule(scope=st.sampled_from([b"one", b"two"]), seed=st.integers(0, 200), count=st.integers(1, 9))
    def search(self, scope: bytes, seed: int, count: int) -> None:
        found = self.index.search(scope, unit(seed), count)
        assert same(found, brute_force(self.anchors[scope], unit(seed), count))

    @invariant()
    def counts(self) -> None:
        assert len(self.index) == sum(len(anchors) for anchors in self.anchors.values())


TestAddingRemovingSearching = AddingRemovingSearching.TestCase
TestAddingRemovingSearching.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
