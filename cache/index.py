"""Nearest anchors by inner product, one index for each scope. Knows ids and vectors, nothing else.

Below a few dozen anchors a scope is a short list; above, a flat FAISS index of half-precision vectors, which
take half the memory and two thirds of the time of full precision. A removed anchor leaves a zeroed slot that the
next one takes, so that a cache at its bound neither grows nor shifts memory.
"""

from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

SMALL: Final = 48
"""Up to so many anchors a scope has no FAISS object."""

faiss.omp_set_num_threads(1)  # a search is short; threads would only wait for each other


class VectorIndex:
    """Anchors of all scopes. Vectors are float32 of shape (dim,) and unit norm."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._scopes: dict[bytes, _ScopeIndex] = {}

    def add(self, scope: bytes, anchor_id: int, vector: Vector) -> None:
        index = self._scopes.get(scope)
        if index is None:
            index = self._scopes[scope] = _ScopeIndex(self._dim)
        index.add(anchor_id, vector)

    def remove(self, scope: bytes, anchor_id: int) -> None:
        """Forgets an anchor; an unknown one is no error. An emptied scope is dropped."""
        index = self._scopes.get(scope)
        if index is None:
            return
        index.remove(anchor_id)
        if len(index) == 0:
            del self._scopes[scope]

    def search(self, scope: bytes, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Up to `count` anchors of the scope with their similarity, nearest first."""
        index = self._scopes.get(scope)
        return index.search(vector, count) if index is not None else []

    def __len__(self) -> int:
        return sum(len(index) for index in self._scopes.values())


class _ScopeIndex:
    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._ids: list[int | None] = []
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._small: list[Vector | None] = []
        self._flat: faiss.IndexScalarQuantizer | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def add(self, anchor_id: int, vector: Vector) -> None:
        if self._free:
            slot = self._free.pop()
            self._ids[slot] = anchor_id
            self._write(slot, vector)
        else:
            slot = len(self._ids)
            self._ids.append(anchor_id)
            self._append(vector)
        self._slots[anchor_id] = slot

    def remove(self, anchor_id: int) -> None:
        slot = self._slots.pop(anchor_id, None)
        if slot is None:
            return
        self._ids[slot] = None
        self._free.append(slot)
        self._write(slot, None)

    def search(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        if self._flat is None:
            scored = [
                (anchor_id, float(stored @ vector))
                for anchor_id, stored in zip(self._ids, self._small, strict=True)
                if anchor_id is not None and stored is not None
            ]
            return sorted(scored, key=lambda found: -found[1])[:count]
        # Zeroed slots score 0, so they can only displace anchors that nobody would serve.
        similarities, slots = self._flat.search(vector.reshape(1, -1), min(count, self._flat.ntotal))
        pairs = zip(slots[0].tolist(), similarities[0].tolist(), strict=True)
        return [(found, similarity) for slot, similarity in pairs if (found := self._ids[slot]) is not None]

    def _append(self, vector: Vector) -> None:
        if self._flat is not None:
            self._flat.add(vector.reshape(1, -1))
            return
        self._small.append(vector)
        if len(self._small) > SMALL:
            self._flat = faiss.IndexScalarQuantizer(
                self._dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
            )
            zero = np.zeros(self._dim, dtype=np.float32)
            self._flat.add(np.stack([zero if stored is None else stored for stored in self._small]))
            self._small = []

    def _write(self, slot: int, vector: Vector | None) -> None:
        if self._flat is None:
            self._small[slot] = vector
            return
        size = self._flat.code_size
        codes = faiss.rev_swig_ptr(self._flat.codes.data(), self._flat.ntotal * size)
        half = np.zeros(self._dim, np.float16) if vector is None else vector.astype(np.float16)
        codes[slot * size : (slot + 1) * size] = half.view(np.uint8)
