"""The nearest pairs of a vector: all of them compared, or those of the vector's cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from retrieval.ann import inner_products
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Int64

# A block's scores against its cell's pairs stay in a second-level cache of 1 MB.
_BLOCK_QUERIES = 1024
_KMEANS_ROUNDS = 8
_BASIS, _BASIS_SHARE, _BASIS_ROWS = 128, 0.9, 1024
_KMEANS_ROWS_PER_CELL = 64


def exact(anchors: Float32, queries: Float32, k: int) -> tuple[Float32, Int64]:
    """Return the k anchors of largest inner product: (n, k) scores, falling, and rows.

    O(n · n_anchors · dim) time in FAISS, O(n · k) memory.
    """
    return inner_products(np.ascontiguousarray(queries), anchors, k)


def nearest_only(scores: Float32, k: int) -> Float32:
    """Set all but the k largest scores of each row to −∞; ties with the k-th stay."""
    if k >= scores.shape[1]:
        return scores
    least = np.partition(scores, scores.shape[1] - k, axis=1)[:, scores.shape[1] - k, None]
    return np.where(scores >= least, scores, np.float32(-np.inf))


@dataclass(frozen=True, eq=False)
class Cells:
    """Pairs by cell: the space cut by k-means, and for each cell the pairs nearest its centre.

    The lists overlap, as each holds the same number of pairs whatever falls into the cell, so that a
    vector finds neighbours across the border of its cell, and all work on a cell is dense.

    Attributes
    ----------
    basis : (dim, m) float32
        Orthonormal columns, m ≤ 128, in which cells are told apart: those that hold nine tenths of the
        pairs' squared length, in which the cells are then cut too, or else the centres' first 128.
    centres : (n_cells, m) float32
        Centres in that basis.
    members : (n_cells, width) int64
        Rows of the pairs nearest each centre.
    """

    basis: Float32
    centres: Float32
    members: Int64

    @classmethod
    def build(cls, anchors: Float32, width: int, *, seed: int = 0) -> Cells:
        """Cut the space of unit `anchors` into about 4 √n cells of `width` pairs each.

        O(n · √n · dim) time.
        """
        n_cells = int(np.clip(4 * np.sqrt(len(anchors)), 1, min(len(anchors), 1024)))
        rng = np.random.default_rng(seed)
        sample = np.sort(rng.permutation(len(anchors))[: n_cells * _KMEANS_ROWS_PER_CELL])
        rows = anchors[sample]
        basis = principal(rows[:: max(1, len(rows) // _BASIS_ROWS)], _BASIS_SHARE)
        if basis.shape[1] <= _BASIS:
            centres = spherical_kmeans(rows @ basis, n_cells, rng)
            sums = _sums(rows, _nearest(rows @ basis, centres), n_cells)
            # A cell that ran empty has no mean of its own.
            whole = np.where(sums.any(axis=1, keepdims=True), sums, centres @ basis.T)
        else:
            # No few directions hold such rows; those of the centres are the next best.
            whole = spherical_kmeans(rows, n_cells, rng)
            basis = principal(whole, 1.0)[:, :_BASIS].copy()
            centres = whole @ basis
        _, members = inner_products(whole, anchors, min(width, len(anchors)))
        return cls(basis, centres, members)

    def assign(self, queries: Float32) -> Int64:
        """Return the cell of each of the unit `queries`: (n,) int64."""
        return _nearest(queries @ self.basis, self.centres)

    def batches(self, cells: Int64) -> Iterator[tuple[int, Int64]]:
        """Walk queries cell by cell, given the cell of each: (cell, rows of queries), in bounded pieces."""
        order = np.argsort(cells, kind="stable")
        bounds = np.searchsorted(cells[order], np.arange(len(self.centres) + 1))
        for cell in range(len(self.centres)):
            for start in range(int(bounds[cell]), int(bounds[cell + 1]), _BLOCK_QUERIES):
                stop = min(start + _BLOCK_QUERIES, int(bounds[cell + 1]))
                yield cell, order[start:stop]


def principal(rows: Float32, share: float) -> Float32:
    """As few orthonormal columns as hold a share of the rows' squared length: (dim, m)."""
    _, values, directions = np.linalg.svd(rows, full_matrices=False)
    held = np.cumsum(values**2, dtype=np.float64)
    m = int(np.searchsorted(held, share * held[-1])) + 1
    return np.ascontiguousarray(directions[:m].T)


def spherical_kmeans(rows: Float32, n_cells: int, rng: np.random.Generator) -> Float32:
    """k-means by inner product, with centres of unit length; a cell that runs empty keeps its centre."""
    centres: Float32 = rows[rng.permutation(len(rows))[:n_cells]].copy()
    for _ in range(_KMEANS_ROUNDS):
        sums = _sums(rows, _nearest(rows, centres), n_cells)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    return centres


def _nearest(rows: Float32, centres: Float32) -> Int64:
    """Return the centre of largest inner product of each row."""
    cells: Int64 = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        cells[block] = np.argmax(rows[block] @ centres.T, axis=1)
    return cells


def _sums(rows: Float32, cells: Int64, n_cells: int) -> Float32:
    """Sum of the rows of each cell: (n_cells, dim) float32."""
    ones = np.ones(len(rows), dtype=np.float32)
    sums: Float32 = csr_array((ones, (cells, np.arange(len(rows)))), shape=(n_cells, len(rows))) @ rows
    return sums
