"""Nearest vectors by inner product, one index for each scope. Knows ids and vectors, nothing else.

A scope grows through three stages. Up to a few dozen vectors it is one small array. Up to some thousands it is one
cell of half-precision vectors that is scanned whole: half the memory of full precision and two thirds of its time.
Above, the vectors lie in cells around k-means centroids and a search scans the cells nearest to the query: as many
as hold about `SCANNED` vectors, so that its time hardly grows and a scope no larger than that is searched exactly.

Cells instead of a graph (HNSW): at 100,000 vectors a graph finds a little more in the same time (0.994 of the eight
nearest against 0.989; of those above cosine 0.7, 0.9998 against 0.998). But a vector is taken out of a cell at once,
not marked and kept; one more costs 40 microseconds, not 200; and all is built anew in half the time.

Cells are built by a thread while the old ones keep serving. It copies under the lock in small portions, and what was
added or removed meanwhile is brought up to date before the new cells take over. If it fails, the old ones stay.
"""

import math
import mmap
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from cache.memory import return_freed

Vector = NDArray[np.float32]
Vectors = NDArray[np.float32]
"""Rows of vectors, shape (n, dim)."""
Training = Callable[[Vectors, int], Iterator[Vectors]]
"""(sample, cells) -> centroids of shape (cells, dim), better with every step; the last ones are used."""

SMALL: Final = 48
"""Up to so many vectors a scope has no FAISS object."""
FLAT: Final = 6_000
"""Up to so many vectors a scope is one cell, which is scanned whole in 0.2 ms."""
SCANNED: Final = 2_000
"""About so many vectors are compared in a search of many cells."""
MIN_PROBES: Final = 24
"""At least so many cells are scanned: of a scope so large that fewer would do, a neighbour's could be missed."""

# Measured on sentence embeddings: more of either changes recall by less than 0.002.
_SAMPLE_PER_CELL: Final = 16
_ITERATIONS: Final = 8
_STRAY_SHARE: Final = 0.02
"""A vector is a stray that is less near to a centroid than all but this share of those it was built from."""
# The lock is held for so many vectors: some 0.1 ms.
_PORTION: Final = 64
_LAST_PORTION: Final = 8

_HALF: Final = faiss.ScalarQuantizer.QT_fp16
_IP: Final = faiss.METRIC_INNER_PRODUCT
_BY_ID: Final = faiss.DirectMap.Hashtable  # type: ignore[attr-defined]  # which FAISS's stubs leave out

faiss.omp_set_num_threads(1)  # a search is short; threads would only wait for each other
faiss.cvar.distance_compute_blas_query_bs = 256  # else k-means takes 16 MB for products, and malloc keeps them


def k_means(sample: Vectors, cells: int) -> Iterator[Vectors]:
    """Centroids of unit norm by Lloyd's iterations. One seed: the same sample gives the same centroids."""
    parameters = faiss.ClusteringParameters()
    parameters.niter = 1
    parameters.spherical = True
    parameters.seed = 1
    # The sample is taken as it is, neither thinned out nor found too small.
    parameters.min_points_per_centroid = 1
    parameters.max_points_per_centroid = len(sample)
    dim = sample.shape[1]
    clustering = faiss.Clustering(dim, cells, parameters)
    for _ in range(_ITERATIONS):
        clustering.train(sample, faiss.IndexFlatIP(dim))  # goes on from the centroids that it has
        yield faiss.vector_to_array(clustering.centroids).reshape(cells, dim)


class VectorIndex:
    """Vectors of all scopes: float32 of shape (dim,) and unit norm. An id is an int >= 0, one vector in its scope.

    Safe to call from several threads, one at a time gets in. `small`, `flat` and `scanned` are the sizes described
    at `SMALL`, `FLAT`, `SCANNED`. `on_fault` hears, in the building thread, of a build that failed.
    """

    def __init__(
        self,
        dim: int,
        *,
        small: int = SMALL,
        flat: int = FLAT,
        scanned: int = SCANNED,
        train: Training = k_means,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        self._dim = dim
        self._small = small
        self._flat = flat
        self._scanned = scanned
        self._train = train
        self._on_fault = on_fault
        self._scopes: dict[bytes, _Scope] = {}
        self._lock = threading.Lock()
        """Held for every use of a scope. New cells are the builder's own until they take over."""
        self._due: deque[_Scope] = deque()
        self._builder: threading.Thread | None = None
        self._is_closed = False
        self._recent: _Recent | None = None

    def add(self, scope: bytes, vector_id: int, vector: Vector) -> None:
        """Stores a vector, in place of an earlier one of this id."""
        with self._lock:
            held = self._scopes.get(scope)
            if held is None:
                held = self._scopes[scope] = _Scope(self._dim)
            self._recent = None
            held.add(vector_id, np.ascontiguousarray(vector, np.float32), self._small)
            self._build_if_due(held)

    def remove(self, scope: bytes, vector_id: int) -> None:
        """Forgets a vector; an unknown one is no error. An emptied scope is dropped."""
        with self._lock:
            held = self._scopes.get(scope)
            if held is None:
                return
            self._recent = None
            held.remove(vector_id)
            if not held.ids:
                del self._scopes[scope]
            else:
                self._build_if_due(held)

    def drop(self, scope: bytes) -> None:
        """Forgets all vectors of a scope; an unknown one is no error."""
        with self._lock:
            held = self._scopes.pop(scope, None)
            self._recent = None
            if held is not None:
                held.ids.clear()  # by which the builder sees that nobody waits for its work

    def search(self, scope: bytes, vector: Vector, count: int) -> list[tuple[int, float]]:
        """The `count` nearest of the scope with their similarity, nearest first; all, if there are fewer."""
        with self._lock:
            held = self._scopes.get(scope)
            if held is None or count < 1:
                return []
            found, rows = held.store.search(vector, min(count, len(held.ids)), self._scanned)
            self._recent = None if rows is None else _Recent(held, found, rows)
            return found

    def vectors(self, scope: bytes, vector_ids: Sequence[int]) -> Vectors:
        """The stored vectors of these ids, in their order, shape (n, dim); half precision in all but small scopes.
        Raises KeyError if one is not there. Fastest for what the last search found."""
        with self._lock:
            held = self._scopes.get(scope)
            if held is None:
                if len(vector_ids):
                    raise KeyError(vector_ids[0])
                return np.empty((0, self._dim), np.float32)
            if self._recent is not None and (rows := self._recent.vectors(held, vector_ids)) is not None:
                return rows
            return held.vectors(vector_ids)

    def __len__(self) -> int:
        with self._lock:
            return sum(len(held.ids) for held in self._scopes.values())

    def settle(self) -> None:
        """Waits until no scope is being built or waits for it, as after filling the index at start."""
        while True:
            with self._lock:
                builder = self._builder
            if builder is None or not builder.is_alive():
                return
            builder.join()

    def close(self) -> None:
        """Abandons what is being built and waits for the thread to end. The index serves on as it is."""
        with self._lock:
            self._is_closed = True
        self.settle()

    # --- building ---

    def _build_if_due(self, held: "_Scope") -> None:
        if self._is_closed or held.changed is not None or not held.is_due(self._flat):
            return
        held.changed = set()
        self._due.append(held)
        if self._builder is None or not self._builder.is_alive():
            # Not a daemon: one that is inside FAISS when the interpreter ends would bring the process down.
            self._builder = threading.Thread(target=self._build_all, name="vector-index")
            self._builder.start()

    def _build_all(self) -> None:
        faiss.omp_set_num_threads(1)  # counts for the calling thread only; the other cores are for requests
        while (held := self._next_due()) is not None:
            try:
                self._build(held)
            except _AbandonedError:
                pass
            except Exception as error:  # noqa: BLE001  whatever it is, the old cells serve on; counted by on_fault
                self._report(error)
            finally:
                with self._lock:
                    held.changed = None
                    self._build_if_due(held)  # it may have grown by much meanwhile
            return_freed()  # cells are thousands of small pieces

    def _next_due(self) -> "_Scope | None":
        with self._lock:
            if self._due and not self._is_closed:
                return self._due.popleft()
            self._builder = None
            return None

    def _report(self, error: Exception) -> None:
        if self._on_fault is not None:
            self._on_fault(error)

    def _build(self, held: "_Scope") -> None:
        """Copies a scope into new cells, which then take over. Raises _AbandonedError if nobody wants them."""
        while True:
            with self._lock:
                ids = held.begin_build()
            if not len(ids):
                raise _AbandonedError
            ids.sort()  # a set's order depends on its history
            centroids = self._centroids(held, ids)
            if len(held.ids) <= 1.1 * len(ids):
                break  # else a start-up fills the scope faster than centroids are found: once more, with all of it
        built = _Cells(centroids)
        nearest = [built.nearest(self._read(held, portion)[1]) for portion in _portions(ids)]
        built.reserve(np.concatenate([cells for _, cells in nearest]))
        for portion in _portions(ids):
            built.add(*self._read(held, portion))
        built.filled(np.concatenate([similarities for similarities, _ in nearest]))
        self._catch_up(held, built)

    def _catch_up(self, held: "_Scope", built: "_Cells") -> None:
        retired = held.store
        while True:
            with self._lock:
                assert held.changed is not None
                portion = [held.changed.pop() for _ in range(min(len(held.changed), _PORTION))]
                if len(portion) <= _LAST_PORTION:
                    built.replace(portion, *held.present(portion))
                    held.store = built
                    break
            built.replace(portion, *self._read(held, portion))
        del retired  # which takes a while and needs no lock

    def _centroids(self, held: "_Scope", ids: NDArray[np.int64]) -> Vectors:
        """Of as many cells as so many vectors need; a scope that has shrunk becomes one cell again."""
        centroids = np.zeros((1, self._dim), np.float32)
        if len(ids) <= self._flat:
            return centroids
        cells = _cells_for(len(ids))
        places = np.linspace(0, len(ids) - 1, min(len(ids), cells * _SAMPLE_PER_CELL)).astype(np.int64)
        sample = _returned_when_freed((len(places), self._dim))
        size = 0
        for portion in _portions(ids[places]):
            _, rows = self._read(held, portion)
            sample[size : size + len(rows)] = rows
            size += len(rows)
        # What has been removed meanwhile is missing from the sample.
        for step in self._train(sample[:size], min(cells, size)) if size else ():
            if self._is_closed:
                raise _AbandonedError
            centroids = step
        return centroids

    def _read(self, held: "_Scope", ids: list[int]) -> tuple[list[int], Vectors]:
        """Those of the ids that are still there, with their vectors."""
        with self._lock:
            if self._is_closed or not held.ids:
                raise _AbandonedError
            return held.present(ids)


def _cells_for(size: int) -> int:
    """To find the nearest centroids then takes about as long as to scan their cells (FAISS's rule of thumb)."""
    return round(4 * math.sqrt(size))


def _returned_when_freed(shape: tuple[int, int]) -> Vectors:
    """An array outside of malloc, which would keep as much for the thread's next one."""
    return np.ndarray(shape, np.float32, mmap.mmap(-1, math.prod(shape) * np.dtype(np.float32).itemsize))


def _portions(ids: NDArray[np.int64]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _PORTION):
        yield ids[start : start + _PORTION].tolist()


class _AbandonedError(Exception):
    """The scope that is being built is gone, or the index closed."""


class _Recent:
    """What the last search found, with its vectors: to look up by id where each lies in the cells takes longer."""

    __slots__ = ("_held", "_ids", "_rows")

    def __init__(self, held: "_Scope", found: list[tuple[int, float]], rows: Vectors) -> None:
        self._held = held
        self._ids = [vector_id for vector_id, _ in found]
        self._rows = rows

    def vectors(self, held: "_Scope", ids: Sequence[int]) -> Vectors | None:
        """None if it does not have them all."""
        if held is not self._held:
            return None
        if ids == self._ids:
            return self._rows.copy()
        places = {vector_id: place for place, vector_id in enumerate(self._ids)}
        return self._rows[[places[vector_id] for vector_id in ids]] if places.keys() >= set(ids) else None


class _Scope:
    """The vectors of one scope, and what the builder needs to know of their history."""

    __slots__ = ("_added", "_built", "changed", "ids", "store")

    def __init__(self, dim: int) -> None:
        self.ids: set[int] = set()
        self.store: _Few | _Cells = _Few(dim)
        self.changed: set[int] | None = None
        """Ids added or removed since a build began or was asked for; None = there is none."""
        self._built = 0
        """How many vectors the last build began with, `_added` since."""
        self._added = 0

    def add(self, vector_id: int, vector: Vector, small: int) -> None:
        self.remove(vector_id)
        if isinstance(self.store, _Few) and len(self.ids) >= small:
            cell = _Cells(np.zeros((1, len(vector)), np.float32))
            cell.add(*self.present(list(self.ids)))
            cell.filled(np.empty(0, np.float32))
            self.store = cell
        self.store.add([vector_id], vector.reshape(1, -1))
        self.ids.add(vector_id)
        self._added += 1
        if self.changed is not None:
            self.changed.add(vector_id)

    def remove(self, vector_id: int) -> None:
        if vector_id not in self.ids:
            return
        self.ids.remove(vector_id)
        self.store.remove([vector_id])
        if self.changed is not None:
            self.changed.add(vector_id)

    def vectors(self, ids: Sequence[int]) -> Vectors:
        if not self.ids.issuperset(ids):
            raise KeyError(next(vector_id for vector_id in ids if vector_id not in self.ids))
        return self.store.vectors(ids)

    def present(self, ids: list[int]) -> tuple[list[int], Vectors]:
        known = [vector_id for vector_id in ids if vector_id in self.ids]
        return known, self.store.vectors(known)

    def is_due(self, flat: int) -> bool:
        """Outgrown or much of it replaced, so that centroids no longer lie where vectors do; or shrunk to a
        quarter: only new cells give memory back."""
        size = len(self.ids)
        share = 32 if isinstance(self.store, _Cells) and self.store.is_out_of_spare else 2
        return (size > flat and share * self._added >= self._built) or 0 < 4 * size < self._built

    def begin_build(self) -> NDArray[np.int64]:
        """The ids of now. Whether the build fails or not, the next is due by what comes from now on."""
        self.changed = set()
        self._built = len(self.ids)
        self._added = 0
        return np.fromiter(self.ids, np.int64, len(self.ids))


class _Few:
    """Some dozens of vectors in one array, of which the first `len(self._ids)` rows count."""

    __slots__ = ("_ids", "_rows")

    def __init__(self, dim: int) -> None:
        self._ids: list[int] = []
        self._rows: Vectors = np.empty((1, dim), np.float32)

    def add(self, ids: Sequence[int], rows: Vectors) -> None:
        for vector_id, row in zip(ids, rows, strict=True):
            size = len(self._ids)
            if size == len(self._rows):
                self._rows = np.resize(self._rows, (2 * size, self._rows.shape[1]))
            self._rows[size] = row
            self._ids.append(vector_id)

    def remove(self, ids: Sequence[int]) -> None:
        for vector_id in ids:
            at, last_id = self._ids.index(vector_id), self._ids.pop()
            if last_id != vector_id:
                self._ids[at] = last_id
                self._rows[at] = self._rows[len(self._ids)]

    def search(self, vector: Vector, count: int, scanned: int) -> tuple[list[tuple[int, float]], None]:
        similarities = self._rows[: len(self._ids)] @ vector
        nearest = np.argsort(-similarities, kind="stable")[:count]
        return [(self._ids[at], float(similarities[at])) for at in nearest.tolist()], None

    def vectors(self, ids: Sequence[int]) -> Vectors:
        return self._rows[[self._ids.index(vector_id) for vector_id in ids]]


class _Cells:
    """Half-precision vectors in one cell around each centroid, in FAISS's inverted lists. The only copy.

    A new vector that is far from every centroid, as most are when a scope turns to a new subject, founds a cell of
    its own, while spare ones last. Its like follow; among the old cells a search would hardly find them.
    """

    __slots__ = ("_centroids", "_exact_centroids", "_index", "_spare", "_stray_below")

    def __init__(self, centroids: Vectors) -> None:
        cells, dim = centroids.shape
        self._centroids: Any = faiss.IndexScalarQuantizer(dim, _HALF, _IP)
        self._centroids.add(centroids)
        self._exact_centroids: Any = faiss.IndexFlatIP(dim)
        """While cells are filled: five times as fast for many vectors, slower for one than half precision."""
        self._exact_centroids.add(centroids)
        self._spare = cells // 2
        self._stray_below = -math.inf
        by_residual = False
        self._index: Any = faiss.IndexIVFScalarQuantizer(
            self._centroids, dim, cells + self._spare, _HALF, _IP, by_residual
        )
        self._index.is_trained = True  # half precision has nothing to learn
        self._index.set_direct_map_type(_BY_ID)  # finds an id's place, to take it out or to read it

    @property
    def is_out_of_spare(self) -> bool:
        return self._spare == 0 and bool(self._index.nlist > 1)

    def nearest(self, rows: Vectors) -> tuple[Vector, NDArray[np.int64]]:
        """Each vector's cell, and its similarity to the centroid; both of shape (n,)."""
        centroids = self._centroids if self._exact_centroids is None else self._exact_centroids
        similarities, cells = centroids.search(rows, 1)
        return similarities[:, 0], cells[:, 0]

    def reserve(self, cells: NDArray[np.int64]) -> None:
        """Memory for vectors in these cells, and for as many as come until the next build; else it grows by doubling
        at the first that comes."""
        for cell, size in enumerate(np.bincount(cells).tolist()):
            self._index.invlists.resize(cell, size + size // 2)
            self._index.invlists.resize(cell, 0)

    def filled(self, similarities: Vector) -> None:
        """From now on a vector is a stray that is less near to a centroid than nearly all of these, of which there are
        none if the scope was emptied meanwhile."""
        self._exact_centroids = None
        if self._index.nlist > 1 and len(similarities):
            self._stray_below = float(np.quantile(similarities, _STRAY_SHARE))

    def add(self, ids: Sequence[int], rows: Vectors) -> None:
        if not ids:
            return
        similarities, cells = self.nearest(rows)
        for stray in np.flatnonzero(similarities < self._stray_below)[: self._spare].tolist():
            cells[stray] = self._centroids.ntotal
            self._centroids.add(rows[stray : stray + 1])
            self._spare -= 1
        numbers = np.array(ids, np.int64)
        self._index.add_core(len(ids), faiss.swig_ptr(rows), faiss.swig_ptr(numbers), faiss.swig_ptr(cells))

    def remove(self, ids: Sequence[int]) -> None:
        """Unknown ones are no error."""
        numbers = np.array(ids, np.int64)
        self._index.remove_ids(faiss.IDSelectorArray(len(numbers), faiss.swig_ptr(numbers)))

    def replace(self, gone: Sequence[int], ids: Sequence[int], rows: Vectors) -> None:
        self.remove(gone)
        self.add(ids, rows)

    def search(self, vector: Vector, count: int, scanned: int) -> tuple[list[tuple[int, float]], Vectors]:
        """What was found, and its vectors."""
        index, cells = self._index, self._centroids.ntotal
        probes = max(MIN_PROBES, math.ceil(scanned * cells / index.ntotal))
        while True:
            index.nprobe = min(probes, cells)
            similarities, ids, rows = index.search_and_reconstruct(vector.reshape(1, -1), count)
            found = ids[0].tolist()
            if found[-1] >= 0 or probes >= cells:
                break
            probes *= 4  # the cells nearest to a query far from everything may hold less than `count`
        return list(zip(found, similarities[0].tolist(), strict=True)), rows[0]

    def vectors(self, ids: Sequence[int]) -> Vectors:
        rows: Vectors = self._index.reconstruct_batch(np.array(ids, np.int64))
        return rows
