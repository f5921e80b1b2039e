"""Compiled making of rows: weighted sums of signs and of rows, and leaves bound to their places. Needs numba.

All sums are of whole numbers below 2**24, so their order is free and the rows are those of NumPy to the bit.
"""

from __future__ import annotations

import numpy as np

from vsa.intrinsics import LANES, address_of, plus_eights, plus_times
from vsa.structure import compiled, compiled_without_nan

_BEYOND = np.float32(1 << 30)


@compiled
def add_signs(of_byte, packed, columns, bounds, weights, total):
    """Add weighted rows of signs: to ``total[i]`` those of ``columns[bounds[i]:bounds[i + 1]]``.

    Parameters
    ----------
    of_byte : (256, 8) float32
        The signs that a byte stands for.
    packed : (m, ⌈dim / 8⌉) uint8
    columns : (k,) int64
        Rows of `packed`.
    bounds : (n + 1,) int64
    weights : (k,) float32
    total : (n, dim) float32, contiguous
    """
    dim = total.shape[1]
    whole = dim // 8
    for i in range(len(total)):
        row = total[i]
        n, end = bounds[i], bounds[i + 1]
        while n < end:
            # Of four that are not there the last ones weigh nothing.
            a, wa = columns[n], weights[n]
            b, wb = (columns[n + 1], weights[n + 1]) if n + 1 < end else (a, np.float32(0))
            c, wc = (columns[n + 2], weights[n + 2]) if n + 2 < end else (a, np.float32(0))
            d, wd = (columns[n + 3], weights[n + 3]) if n + 3 < end else (a, np.float32(0))
            for j in range(whole):
                plus_eights(
                    row, 8 * j,
                    address_of(of_byte, np.int64(packed[a, j])), wa, address_of(of_byte, np.int64(packed[b, j])), wb,
                    address_of(of_byte, np.int64(packed[c, j])), wc, address_of(of_byte, np.int64(packed[d, j])), wd,
                )  # fmt: skip
            for j in range(8 * whole, dim):
                lane = j - 8 * whole
                row[j] += wa * of_byte[packed[a, whole], lane] + wb * of_byte[packed[b, whole], lane]
                row[j] += wc * of_byte[packed[c, whole], lane] + wd * of_byte[packed[d, whole], lane]
            n += 4


@compiled
def add_rows(table, rows, bounds, weights, total):
    """Add weighted rows of a table: to ``total[i]`` those of ``rows[bounds[i]:bounds[i + 1]]``.

    Parameters
    ----------
    table : (m, dim) float32, contiguous
    rows : (k,) int64
    bounds : (n + 1,) int64
    weights : (k,) float32
    total : (n, dim) float32, contiguous
    """
    dim = total.shape[1]
    for i in range(len(total)):
        row = total[i]
        for n in range(bounds[i], bounds[i + 1]):
            start = address_of(table, rows[n])
            j = 0
            while j + LANES <= dim:
                plus_times(row, j, start, weights[n])
                j += LANES
            while j < dim:
                row[j] += weights[n] * table[rows[n], j]
                j += 1


@compiled_without_nan
def bind(own, words, index, sign, weight, place_index, place_sign, place_weight, anywhere, factor, out):
    """Rows of leaves at one place: their own atoms and words bound, and words bound to nothing; see `vsa.making`.

    Parameters
    ----------
    own, words : (n, dim) float32
        `own` is overwritten.
    index, sign : (dim,) int32, (dim,) float32
        Signed permutation of the path.
    place_index, place_sign
        The same of the place.
    weight, place_weight, anywhere, factor : float32
        Of the three copies, and of their sum; where `place_weight` is 0 the place is not read.
    out : (n, dim) float32
        Filled in; it may be none of the others.

    Returns
    -------
    int
        The largest entry by amount; 2**30 where it is beyond.
    """
    dim = own.shape[1]
    peak = np.int32(0)
    for i in range(len(own)):
        for j in range(dim):
            own[i, j] += words[i, j]
        if place_weight == 0:
            for j in range(dim):
                out[i, j] = own[i, index[j]] * sign[j] * weight
        else:
            for j in range(dim):
                bound = own[i, index[j]] * sign[j] * weight
                out[i, j] = bound + own[i, place_index[j]] * place_sign[j] * place_weight
        for j in range(dim):
            out[i, j] += anywhere * words[i, j]
        if factor != 1:
            for j in range(dim):
                out[i, j] = np.rint(out[i, j] * factor)
        top = np.int32(0)  # of whole numbers the largest is found many at a time
        for j in range(dim):
            top = max(top, np.int32(min(abs(out[i, j]), _BEYOND)))
        peak = max(peak, top)
    return peak
