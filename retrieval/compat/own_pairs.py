"""A fitted local-linear map's own pairs: their target vectors, and what it makes of them left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from retrieval.compat.kernel_ridge import KernelRidge
from retrieval.compat.leave_one_out import KernelMeans, Missed, Neighbourhoods, gate, kernel, left_out
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Int64, unit_rows
from retrieval.compat.ridge import RidgePath

if TYPE_CHECKING:
    from retrieval.compat.local_mapping import LocalMapping


def targets(m: LocalMapping) -> Float32:
    """Return the pairs' unit target rows, which the map and what it misses add up to."""
    Y: Float32 = np.empty_like(m.residuals)
    for start in range(0, len(Y), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        X = m.anchors[block].astype(np.float64)
        missed = m.residuals[block].astype(np.float64)
        if m.width:
            # (K + λ I) α = Y
            missed *= m.penalty
            missed += np.exp((X @ m.anchors.T.astype(np.float64) - 1) / m.width) @ m.residuals
        Y[block] = m.target_mean + (X - m.source_mean) @ m.weights + missed
    return unit_rows(Y)


def mapped_left_out(m: LocalMapping, rows: Int64) -> tuple[Float32, Float32]:
    """Map some of the pairs as if each had not been fitted on: unit rows, and the pairs' own target rows."""
    Y = targets(m)
    near = Neighbourhoods.of(m.anchors, rows, m.n_neighbours)
    if m.width:
        share = np.zeros(len(Y))
        share[rows] = gate(kernel(near.scores, m.temperature)[1], m.floor, m.temperature)
        solved = KernelRidge.solve(m.anchors, Y, m.width, m.penalty)
        return unit_rows(solved.left_out(m.anchors, Y, share)[rows]), Y[rows]
    means = KernelMeans.of(m.anchors, Y, near, m.temperature, m.n_neighbours)
    ridge = RidgePath.of(m.anchors, Y).at(m.penalty)
    found = Missed.of(ridge, m.anchors, Y, rows)
    return unit_rows(left_out(found, means, m.floor, m.temperature)), Y[rows]
