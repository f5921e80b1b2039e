"""Soft levels: numbers and times as a few weighted cells, so that near values share cells.

A ladder of grids covers the line, each coarser than the last. On each grid a value lies between two nodes and
takes both, weighted by nearness and brought to unit length. Moving away from a fixed value, its part on one
grid turns from one node to the next and never back, so the cosine falls monotonically with the distance, grid
by grid: fine grids tell near values apart, coarse ones keep far values in order.

Only comparison, the four operations and square roots are used: IEEE 754 fixes each to the bit, so levels are
alike on every machine. Library logarithms are not.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def log2(x: float) -> float:
    """Binary logarithm of a positive number from IEEE basic operations alone, to about 1e-15.

    ``x = m · 2^e`` with m in [√½, √2), then ``log₂ m = 2/ln 2 · atanh((m − 1)/(m + 1))`` by its series.
    """
    m, e = math.frexp(x)
    if m < 0.7071067811865476:
        m, e = m * 2.0, e - 1
    z = (m - 1.0) / (m + 1.0)
    square, term, total = z * z, z, z
    for k in range(3, 27, 2):
        term *= square
        total += term / k
    return e + 2.8853900817779268 * total


def compress(x: float) -> float:
    """``sign(x) · log₂(1 + |x|)``: linear around 0, logarithmic far out; monotone and odd."""
    size = min(abs(x), 1e300)
    size = log2(1.0 + size) if size > 1e-8 else size * 1.4426950408889634
    return size if x >= 0 else -size


def compress_of(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`compress` of many numbers, to the bit: the same operations in the same order."""
    size = np.minimum(np.abs(x), 1e300)
    m, e = np.frexp(1.0 + size)
    small = m < 0.7071067811865476
    m, e = np.where(small, m * 2.0, m), e - small
    z = (m - 1.0) / (m + 1.0)
    square, term, total = z * z, z.copy(), z.copy()
    for k in range(3, 27, 2):
        term *= square
        total += term / k
    size = np.where(size > 1e-8, e + 2.8853900817779268 * total, size * 1.4426950408889634)
    return np.where(x >= 0, size, -size)


def cells(u: float, grids: tuple[float, ...]) -> list[tuple[int, int, float]]:
    """The nodes that `u` touches.

    Parameters
    ----------
    u : float
        A finite position on the line.
    grids : tuple of float
        Width of a cell on each grid.

    Returns
    -------
    list of (grid, node, weight)
        One or two nodes a grid, whose squared weights sum to 1 on each grid.
    """
    found = []
    for number, width in enumerate(grids):
        place = u / width
        node = math.floor(place)
        right = place - node
        left = 1.0 - right
        norm = math.sqrt(left * left + right * right)
        if left > 0.0:  # a place just below a node may round to it
            found.append((number, node, left / norm))
        if right > 0.0:
            found.append((number, node + 1, right / norm))
    return found


def cells_of(
    u: npt.NDArray[np.float64], grids: tuple[float, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """`cells` of many positions: nodes and weights, (n, 2 grids) each, first the left cells of all grids.

    A cell that `cells` leaves out has weight 0.
    """
    place = u[:, None] / np.array(grids)
    node = np.floor(place)
    right = place - node
    left = 1.0 - right
    norm = np.sqrt(left * left + right * right)
    nodes = node.astype(np.int64)
    return np.concatenate([nodes, nodes + 1], axis=1), np.concatenate([left / norm, right / norm], axis=1)


NUMBER_GRIDS = (16.0, 4.0, 1.0, 0.25, 0.0625, 1 / 64, 1 / 256, 1 / 1024)
"""Widths in doublings, or in units of the field's own scale near its centre."""

DAY_GRIDS = (131072.0, 32768.0, 8192.0, 2048.0, 512.0, 128.0, 32.0, 8.0, 2.0, 0.5, 0.125, 0.03125)
"""Widths in days: from 360 years to 45 minutes."""
