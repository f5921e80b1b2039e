"""The nearest pairs of a vector: all of them compared, or those of the vector's cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrieval.ann import inner_products
from retrieval.compat.pairs import Float32, Int64

# A block's scores against its cell's pairs stay in a second-level cache of 1 MB.
_BLOCK_QUERIES = 1024
_KMEANS_ROUNDS = 8
_BASIS = 128
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
        Orthonormal columns, m ≤ 128, that span most of the centres: cells are told apart in these alone.
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
        width = min(width, len(anchors))
        rng = np.random.default_rng(seed)
        sample = rng.permutation(len(anchors))[: n_cells * _KMEANS_ROWS_PER_CELL]
        centres = spherical_kmeans(anchors[np.sort(sample)], n_cells, rng)
        _, members = inner_products(centres, anchors, width)
        _, _, directions = np.linalg.svd(centres, full_matrices=False)
        basis = np.ascontiguousarray(directions[:_BASIS].T)
        return cls(basis, centres @ basis, members)

    def assign(self, queries: Float32) -> Int64:
        """Return the cell of each of the unit `queries`: (n,) int64."""
        cells: Int64 = np.argmax((queries @ self.basis) @ self.centres.T, axis=1).astype(np.int64)
        return cells

    def batches(self, cells: Int64) -> Iterator[tuple[int, Int64]]:
        """Walk queries cell by cell, given the cell of each: (cell, rows of queries), in bounded pieces."""
        order = np.argsort(cells, kind="stable")
        bounds = np.searchsorted(cells[order], np.arange(len(self.centres) + 1))
        for cell in range(len(self.centres)):
            for start in range(int(bounds[cell]), int(bounds[cell + 1]), _BLOCK_QUERIES):
                stop = min(start + _BLOCK_QUERIES, int(bounds[cell + 1]))
                yield cell, order[start:stop]


def spherical_kmeans(rows: Float32, n_cells: int, rng: np.random.Generator) -> Float32:
    """k-means on the sphere; a cell that runs empty keeps its centre."""
    centres: Float32 = rows[rng.permutation(len(rows))[:n_cells]].copy()
    for _ in range(_KMEANS_ROUNDS):
        _, nearest = inner_products(rows, centres, 1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest[:, 0], rows)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(lengths > 0, sums / np.maximum(lengths, 1e-12), centres).astype(np.float32)
    return centres
