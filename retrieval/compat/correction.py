"""The kernel's part of a local-linear map: what the ridge misses on the nearest pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from retrieval.compat.leave_one_out import gate, kernel
from retrieval.compat.neighbours import Cells, exact, nearest_only
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Float64, Int64, Vectors, unit_rows

Search = Literal["exact", "cells"]

_CELL_WIDTH = 256
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


@dataclass(frozen=True, eq=False)
class Correction:
    """g(x) Σ_i softmax_i(x·x_i / T) r_i over the k nearest pairs; see `LocalLinearMap`."""

    anchors: Float32
    residuals: Float32
    temperature: float
    n_neighbours: int
    levels: Float64
    floor: float

    def walk(self, rows: Vectors, neighbours: Search) -> Iterator[tuple[slice | Int64, Float32, Corrected]]:
        """Yield which rows, their unit vectors, and their correction, until all rows have had theirs."""
        if neighbours not in ("exact", "cells"):
            raise ValueError(f"neighbours must be 'exact' or 'cells', not {neighbours!r}")
        return self._walk_exactly(rows) if neighbours == "exact" else self._walk_cells(rows)

    def _walk_exactly(self, rows: Vectors) -> Iterator[tuple[slice | Int64, Float32, Corrected]]:
        k = self.n_neighbours
        for start in range(0, len(rows), BLOCK_ROWS):
            X = unit_rows(rows[start : start + BLOCK_ROWS])
            scores, near = exact(self.anchors, X, k)
            weights, levels = kernel(scores, self.temperature)
            # Sparse times dense adds the residuals up without first copying them together.
            shape = (len(X), len(self.anchors))
            mixing = csr_array((weights.ravel(), near.ravel(), np.arange(0, near.size + 1, k)), shape=shape)
            part = self._gated(mixing @ self.residuals, mixing @ self._squares, levels)
            yield slice(start, start + len(X)), X, part

    def _walk_cells(self, rows: Vectors) -> Iterator[tuple[slice | Int64, Float32, Corrected]]:
        for start in range(0, len(rows), _CELL_ROWS):
            X = unit_rows(rows[start : start + _CELL_ROWS])
            current, anchors, residuals, squares = -1, self.anchors, self.residuals, self._squares
            for cell, members in self._cells.batches(X):
                if cell != current:
                    pairs = self._cells.members[cell]
                    anchors, residuals = self.anchors[pairs], self.residuals[pairs]
                    squares, current = self._squares[pairs], cell
                block = X[members]
                scores = nearest_only(block @ anchors.T, self.n_neighbours)
                weights, levels = kernel(scores, self.temperature)
                yield start + members, block, self._gated(weights @ residuals, weights @ squares, levels)

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
