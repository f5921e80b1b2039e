"""The kernel's part of a local-linear map: what the ridge misses on the nearest pairs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from retrieval.compat.leave_one_out import gate, kernel
from retrieval.compat.neighbours import Cells, exact, nearest_only
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Float64, Int64, Vectors, unit_rows

Search = Literal["exact", "cells"]

_CELL_WIDTH = 160
# Vectors sorted into cells at a time: enough that each of a thousand cells fills a block.
_CELL_ROWS = 1 << 18


@dataclass(frozen=True, eq=False)
class Mapped:
    """Mapped vectors, and how far each can be trusted.

    Attributes
    ----------
    vectors : (n, d_target) float32
        Unit rows.
    support : (n,) float64
        Share of the fitting pairs that lie no nearer to the other pairs than this vector does: near
        uniform on [0, 1] for vectors like the pairs, 0 for what is farther off than all of them.
    spread : (n,) float64
        Expected squared length of what the correction misses, by the kernel's own weights; the larger,
        the less sure. Comparable within one map only.
    """

    vectors: Float32
    support: Float64
    spread: Float64


class Corrected(NamedTuple):
    """The correction of a block of vectors, and how sure it is; see `Mapped`."""

    correction: Float32
    support: Float64
    spread: Float64


Take = Callable[["slice | Int64", Float32, Corrected], None]


@dataclass(frozen=True, eq=False)
class Correction:
    """g(x) Σ_i softmax_i(x·x_i / T) r_i over the k nearest pairs; see `LocalLinearMap`."""

    anchors: Float32
    residuals: Float32
    temperature: float
    n_neighbours: int
    levels: Float64
    floor: float

    def run(self, rows: Vectors, neighbours: Search, workers: int, take: Take) -> None:
        """Correct all rows, block by block, and hand each block to `take`: (which rows, unit rows, part).

        With more workers than one, `take` is called from several threads, each time for other rows.
        """
        if neighbours not in ("exact", "cells"):
            raise ValueError(f"neighbours must be 'exact' or 'cells', not {neighbours!r}")
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        if neighbours == "exact":
            # FAISS takes all the threads it may have; a second layer of them would only be in its way.
            for start in range(0, len(rows), BLOCK_ROWS):
                X = unit_rows(rows[start : start + BLOCK_ROWS])
                take(slice(start, start + len(X)), X, self._exactly(X))
            return
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(rows), _CELL_ROWS):
                self._run_cells(rows[start : start + _CELL_ROWS], start, pool, take)

    def _run_cells(self, rows: Vectors, start: int, pool: Executor, take: Take) -> None:
        X: Float32 = np.empty(rows.shape, dtype=np.float32)
        cells: Int64 = np.empty(len(rows), dtype=np.int64)
        found = self._cells

        def assign(first: int) -> None:
            block = slice(first, first + BLOCK_ROWS)
            X[block] = unit_rows(rows[block])
            cells[block] = found.assign(X[block])

        def correct(batch: tuple[int, Int64]) -> None:
            cell, members = batch
            pairs, block = found.members[cell], X[members]
            scores = nearest_only(block @ self.anchors[pairs].T, self.n_neighbours)
            weights, levels = kernel(scores, self.temperature)
            part = self._gated(weights @ self.residuals[pairs], weights @ self._squares[pairs], levels)
            take(start + members, block, part)

        # Exhausted for their effects, and so that an error in a thread is raised here.
        deque(pool.map(assign, range(0, len(rows), BLOCK_ROWS)), maxlen=0)
        deque(pool.map(correct, found.batches(cells)), maxlen=0)

    def _exactly(self, X: Float32) -> Corrected:
        k = self.n_neighbours
        scores, near = exact(self.anchors, X, k)
        weights, levels = kernel(scores, self.temperature)
        # Sparse times dense adds the residuals up without first copying them together.
        shape = (len(X), len(self.anchors))
        mixing = csr_array((weights.ravel(), near.ravel(), np.arange(0, near.size + 1, k)), shape=shape)
        return self._gated(mixing @ self.residuals, mixing @ self._squares, levels)

    def _gated(self, correction: Float32, squares: Float32, levels: Float64) -> Corrected:
        """Weigh the neighbours against the null neighbour, in place.

        The spread is the variance of a residual drawn with the kernel's weights, where the null
        neighbour's is one drawn from all pairs.
        """
        share = gate(levels, self.floor, self.temperature)
        correction *= share[:, None].astype(np.float32)
        explained = np.einsum("ij,ij->i", correction, correction)
        spread = np.maximum(share * squares + (1 - share) * self._mean_square - explained, 0.0)
        support: Float64 = np.searchsorted(self.levels, levels, side="right") / len(self.levels)
        return Corrected(correction, support, spread)

    @cached_property
    def _cells(self) -> Cells:
        return Cells.build(self.anchors, max(_CELL_WIDTH, self.n_neighbours))

    @cached_property
    def _squares(self) -> Float32:
        squares: Float32 = np.einsum("ij,ij->i", self.residuals, self.residuals)
        return squares

    @cached_property
    def _mean_square(self) -> float:
        return float(self._squares.mean(dtype=np.float64))
