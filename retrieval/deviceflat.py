"""Every vector of a gallery on a GPU: exact answers by comparing all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import exact, placing, scoring
from retrieval.device import Place
from retrieval.entries import Entries
from retrieval.vectors import VectorTable

_SPARE = 16
# Products in float16 leave more rows in question.
_SPARE_HALF = 48
# Tombstones, of the entries: more of them, and the vectors are sent again.
_DEAD = 0.2
# A tensor on a GPU is brought to length one there, a query on the host in float64: both are one to this.
_LENGTHS = 2.5e-6


def half_bound(dim: int) -> float:
    """How far a product of unit vectors in float16 can be from the true one, if it is summed in float32.

    Each number is rounded by at most 2^-11 of itself or, below 2^-14, by 2^-25. Over a product of unit vectors that is
    2 * 2^-11 + 2^-22 for both factors by Cauchy-Schwarz, and 2 * 2^-25 * sqrt(dim) + dim * 2^-50 for the small ones,
    beside the rounding of the sum.
    """
    narrow = 2.0**-10 + 2.0**-22 + 2.0**-24 * math.sqrt(dim) + dim * 2.0**-50
    return narrow + exact.rounding_bound(dim)


class DeviceFlat:
    """The vectors of a table on GPUs, which propose; the order and the scores are those of `exact.search`.

    New rows are added on the GPU; one that goes stays there as a tombstone, and more neighbours are asked for to make
    up for it, until so many are dead that `follow` asks for a new start.

    Raises
    ------
    RuntimeError
        If a GPU cannot hold the vectors.
    """

    def __init__(self, table: VectorTable, place: Place) -> None:
        self._placed = placing.flat(table.matrix, place.gpus, half=place.half)
        self._entries = Entries.of(table)
        self._half = place.half
        dim = table.model.dim
        self._bound = half_bound(dim) if place.half else exact.rounding_bound(dim)

    def follow(self, table: VectorTable) -> bool:
        """Take up what is new in a table; False where the vectors had better be sent again."""
        fresh = self._entries.follow(table)
        if self._entries.dead > _DEAD * len(self._entries):
            return False
        if len(fresh):
            try:
                self._placed.add(table.matrix[fresh])
            except RuntimeError:
                return False
            self._entries.append(table, fresh)
        return True

    def search(
        self, table: VectorTable, Q: NDArray[np.float32], k: int, tensor: Any = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(rows, scores) as `exact.search` gives them, shapes (n_queries, min(k, n)).

        The k-th score proves itself where the last product that the GPU gave is below it by more than products can be
        off. Queries that are left are asked again for more, and in the end answered by the CPU.

        Parameters
        ----------
        tensor : torch.Tensor, optional
            The queries on a GPU, (n_queries, dim) float32 and contiguous.

        Raises
        ------
        RuntimeError
            If a GPU fails.
        """
        X, order = table.matrix, table.items
        k = min(k, len(table))
        if not k or not len(Q):
            return exact.search(Q, X, order, k or 1)
        rows = np.empty((len(Q), k), dtype=np.int64)
        scores = np.empty((len(Q), k), dtype=np.float32)
        unproven = np.arange(len(Q))
        bound = self._bound + (0.0 if tensor is None else _LENGTHS)
        entries = len(self._entries)
        width = int((k + (_SPARE_HALF if self._half else _SPARE)) * entries / len(table)) + 1
        width = min(width, entries, self._placed.widest)
        while len(unproven) and width >= k:
            asked = Q if tensor is None else tensor
            if len(unproven) < len(Q):
                asked = asked[unproven.tolist()]
            products, labels = self._placed.search(asked, width)
            candidates = self._entries.rows_of(labels)
            found, exactly = scoring.ranked(Q[unproven], X, order, candidates, k)
            rows[unproven], scores[unproven] = found, exactly
            proven = (products[:, -1] < exactly[:, -1] - bound) | (width == entries)
            unproven = unproven[~proven]
            if width == min(entries, self._placed.widest):
                break
            width = min(4 * width, entries, self._placed.widest)
        if len(unproven):
            rows[unproven], scores[unproven] = exact.search(Q[unproven], X, order, k)
        return rows, scores

    def search_among(
        self, table: VectorTable, Q: NDArray[np.float32], among: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `exact.search_among`: more neighbours are asked for and checked, until k of each query are among the rows.

        Parameters
        ----------
        among : (m,) int64
            Row numbers, no two alike.
        """
        wanted = min(k, len(among))
        seen = np.zeros(len(table), dtype=bool)
        seen[among] = True
        width = int(wanted * len(table) / max(len(among), 1) * 1.5) + _SPARE
        while wanted and width <= min(self._placed.widest, len(table)):
            rows, scores = self.search(table, Q, width)
            passing = seen[rows]
            if (passing.sum(axis=1) >= wanted).all():
                first = np.argsort(~passing, axis=1, kind="stable")[:, :wanted]
                return np.take_along_axis(rows, first, axis=1), np.take_along_axis(scores, first, axis=1)
            width *= 4
        return exact.search_among(Q, table.matrix, table.items, among, k)
