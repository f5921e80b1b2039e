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

from retrieval.compat.doubt import disagreement, signs_of
from retrieval.compat.leave_one_out import gate, kernel
from retrieval.compat.neighbours import Cells, exact, nearest_only
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Float64, Int64, Vectors, unit_rows

Search = Literal["exact", "cells"]

_CELL_WIDTH = 160
# By how much the squared length of a unit row in float32 is off 1.
_ROUNDING = 5e-7
# Vectors sorted into cells at a time: enough that each of a thousand cells fills a block.
_CELL_ROWS = 1 << 18
# Scores of a block with 4,096 pairs are 32 MB.
_SOLVED_ROWS = 2048
_UNASKED: Float64 = np.empty(0)


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
        How unsure a vector is: its expected squared distance from the true one, by the pairs' mean, raised
        where the map falls short of unit length and where the neighbours' targets disagree. Comparable
        within one map only.
    """

    vectors: Float32
    support: Float64
    spread: Float64


class Corrected(NamedTuple):
    """The correction of a block of vectors, and, where that was asked for, how sure it is.

    `support` is that of `Mapped`, and `disagreement` the (n,) float64 of `retrieval.compat.doubt`.
    """

    correction: Float32
    support: Float64
    disagreement: Float64


Take = Callable[["slice | Int64", Float32, Corrected], None]


@dataclass(frozen=True, eq=False)
class Correction:
    """g(x) Σ_i softmax_i(x·x_i / T) r_i over the k nearest pairs, or g(x) Σ_i exp((x·x_i − 1) / w) α_i over all.

    See `LocalLinearMap`. A solution needs all of its pairs, whatever neighbours are asked for. `targets`
    returns the pairs' target rows, which only how sure a vector is asks for.
    """

    anchors: Float32
    residuals: Float32
    targets: Callable[[], Float32]
    temperature: float
    n_neighbours: int
    levels: Float64
    floor: float
    width: float

    def run(self, rows: Vectors, neighbours: Search, workers: int, take: Take, *, trust: bool = True) -> None:
        """Correct all rows, block by block, and hand each block to `take`: (which rows, unit rows, part).

        With more workers than one, `take` is called from several threads, each time for other rows.
        """
        if neighbours not in ("exact", "cells"):
            raise ValueError(f"neighbours must be 'exact' or 'cells', not {neighbours!r}")
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        if neighbours == "exact" or self.width:
            # FAISS and BLAS take all the threads they may have; a second layer would only be in their way.
            step, corrected = (_SOLVED_ROWS, self._solved) if self.width else (BLOCK_ROWS, self._exactly)
            for start in range(0, len(rows), step):
                X = _unit(rows[start : start + step])
                take(slice(start, start + len(X)), X, corrected(X, trust))
            return
        with ThreadPoolExecutor(workers) as pool:
            for start in range(0, len(rows), _CELL_ROWS):
                self._run_cells(rows[start : start + _CELL_ROWS], start, pool, take, trust)

    def _run_cells(self, rows: Vectors, start: int, pool: Executor, take: Take, trust: bool) -> None:
        cells: Int64 = np.empty(len(rows), dtype=np.int64)
        found = self._cells

        def assign(first: int) -> None:
            block = slice(first, first + BLOCK_ROWS)
            cells[block] = found.assign(_unit(rows[block]))

        def correct(batch: tuple[int, Int64]) -> None:
            cell, members = batch
            pairs, block = found.members[cell], _unit(rows[members])
            scores = nearest_only(block @ self.anchors[pairs].T, self.n_neighbours)
            weights, levels = kernel(scores, self.temperature)
            share = self._gated(weights, levels)
            part = Corrected(weights @ self.residuals[pairs], _UNASKED, _UNASKED)
            if trust:
                signs = weights @ self._signs[pairs], weights @ self._squares[pairs]
                part = self._trusted(part.correction, share, signs, levels)
            take(start + members, block, part)

        # Exhausted for their effects, and so that an error in a thread is raised here.
        deque(pool.map(assign, range(0, len(rows), BLOCK_ROWS)), maxlen=0)
        deque(pool.map(correct, found.batches(cells)), maxlen=0)

    def _exactly(self, X: Float32, trust: bool) -> Corrected:
        k = self.n_neighbours
        scores, near = exact(self.anchors, X, k)
        weights, levels = kernel(scores, self.temperature)
        share = self._gated(weights, levels)
        # Sparse times dense adds the residuals up without first copying them together.
        shape = (len(X), len(self.anchors))
        mixing = csr_array((weights.ravel(), near.ravel(), np.arange(0, near.size + 1, k)), shape=shape)
        correction = mixing @ self.residuals
        if not trust:
            return Corrected(correction, _UNASKED, _UNASKED)
        return self._trusted(correction, share, (mixing @ self._signs, mixing @ self._squares), levels)

    def _solved(self, X: Float32, trust: bool) -> Corrected:
        scores = X @ self.anchors.T
        weights, levels = kernel(nearest_only(scores, self.n_neighbours), self.temperature)
        share = self._gated(weights, levels)
        scores -= 1
        scores *= np.float32(1 / self.width)
        correction = np.exp(scores, out=scores) @ self.residuals
        correction *= share[:, None].astype(np.float32)
        if not trust:
            return Corrected(correction, _UNASKED, _UNASKED)
        return self._trusted(correction, share, (weights @ self._signs, weights @ self._squares), levels)

    def _gated(self, weights: Float32, levels: Float64) -> Float64:
        """Return the neighbours' share against the null neighbour; the weights become those with it, in place."""
        share = gate(levels, self.floor, self.temperature)
        weights *= share[:, None].astype(np.float32)
        return share

    def _trusted(
        self, correction: Float32, share: Float64, signs: tuple[Float32, Float32], levels: Float64
    ) -> Corrected:
        """Add support and disagreement; `signs` are sums by the gated weights, of signs and of their squares."""
        support: Float64 = np.searchsorted(self.levels, levels, side="right") / len(self.levels)
        return Corrected(correction, support, disagreement(share, *signs, self._mean_square))

    @cached_property
    def _cells(self) -> Cells:
        return Cells.build(self.anchors, max(_CELL_WIDTH, self.n_neighbours))

    @cached_property
    def _signs(self) -> Float32:
        return signs_of(self.targets())

    @cached_property
    def _squares(self) -> Float32:
        squares: Float32 = np.einsum("ij,ij->i", self._signs, self._signs)
        return squares

    @cached_property
    def _mean_square(self) -> float:
        return float(self._squares.mean(dtype=np.float64))


def _unit(rows: Vectors) -> Float32:
    """Unit rows; the same array where all are of unit length already, as most stored vectors are."""
    if rows.dtype == np.float32 and (np.abs(np.einsum("ij,ij->i", rows, rows) - 1) <= _ROUNDING).all():
        return rows
    return unit_rows(rows)
