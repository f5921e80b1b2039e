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
_AXES = 64
_AXES_ROWS = 4000
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
        How unsure a vector is: its expected squared distance from the true one, by the pairs' mean, raised
        where the map falls short of unit length and where the neighbours' targets disagree. Comparable
        within one map only.
    """

    vectors: Float32
    support: Float64
    spread: Float64


class Corrected(NamedTuple):
    """The correction of a block of vectors, its support (see `Mapped`), and how far the neighbours disagree.

    `disagreement` is (n,) float64; see the function of this name.
    """

    correction: Float32
    support: Float64
    disagreement: Float64


Take = Callable[["slice | Int64", Float32, Corrected], None]


@dataclass(frozen=True, eq=False)
class Correction:
    """g(x) Σ_i softmax_i(x·x_i / T) r_i over the k nearest pairs; see `LocalLinearMap`.

    `signs` are the pairs' targets in their main axes: (n_pairs, m) float32; see `signs_of`.
    """

    anchors: Float32
    residuals: Float32
    signs: Float32
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
            signs = weights @ self.signs[pairs], weights @ self._squares[pairs]
            take(start + members, block, self._gated(weights @ self.residuals[pairs], signs, levels))

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
        signs = mixing @ self.signs, mixing @ self._squares
        return self._gated(mixing @ self.residuals, signs, levels)

    def _gated(self, correction: Float32, signs: tuple[Float32, Float32], levels: Float64) -> Corrected:
        """Weigh the neighbours against the null neighbour, in place; `signs` are the sums of `disagreement`."""
        share = gate(levels, self.floor, self.temperature)
        correction *= share[:, None].astype(np.float32)
        support: Float64 = np.searchsorted(self.levels, levels, side="right") / len(self.levels)
        return Corrected(correction, support, disagreement(share, *signs, self._mean_square))

    @cached_property
    def _cells(self) -> Cells:
        return Cells.build(self.anchors, max(_CELL_WIDTH, self.n_neighbours))

    @cached_property
    def _squares(self) -> Float32:
        squares: Float32 = np.einsum("ij,ij->i", self.signs, self.signs)
        return squares

    @cached_property
    def _mean_square(self) -> float:
        return float(self._squares.mean(dtype=np.float64))


def signs_of(targets: Float32) -> Float32:
    """Return targets, less their mean, in the axes along which they vary most: (n, m) float32, m ≤ 64.

    The axes come from a randomised range finder with two power iterations (Halko, Martinsson & Tropp, SIAM Review 53,
    2011) on 4,000 rows at most. O(n · d_target · m) time.
    """
    rng = np.random.default_rng(0)
    mean = targets.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = targets[np.sort(rng.permutation(len(targets))[:_AXES_ROWS])] - mean
    width = min(_AXES, *rows.shape)
    axes = rng.standard_normal((rows.shape[1], width)).astype(np.float32)
    for _ in range(3):
        axes = np.linalg.qr(rows.T @ (rows @ axes))[0]
    signs: Float32 = (targets - mean) @ axes
    return signs


def disagreement(share: Float64, mean: Float32, squares: Float32, everywhere: float) -> Float64:
    """Variance of a sign drawn by the kernel's weights, where the null neighbour's is one drawn from all pairs.

    Parameters
    ----------
    share : (n,) float64
        The neighbours' share against the null neighbour.
    mean, squares : (n, m) and (n,) float32
        Weighted means of the neighbours' signs and of their squared lengths.
    everywhere : float
        Mean squared length of all signs, whose mean is 0.
    """
    explained = share**2 * np.einsum("ij,ij->i", mean, mean)
    apart: Float64 = np.maximum(share * squares + (1.0 - share) * everywhere - explained, 0.0)
    return apart


def doubt(mapped: Vectors, apart: Float64) -> Float64:
    """How unsure mapped vectors are, up to a factor: 1 − |f|² before they are scaled, plus the disagreement.

    A least-squares map shrinks towards the mean where it knows little; where the neighbours' targets point to several
    places, the mean of them is none.
    """
    short = 1.0 - np.einsum("ij,ij->i", mapped, mapped, dtype=np.float64)
    unsure: Float64 = np.maximum(short, 0.0) + apart
    return unsure
