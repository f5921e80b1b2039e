"""Compiled sums of rows, and unit vectors of the lines that a scan understood. Needs numba."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vsa.fastpath import VALUE
from vsa.intrinsics import LANES, address_of, plus, plus_one, prefetch
from vsa.scanning import rows_of
from vsa.structure import PADDING, compiled, compiled_in_any_order, hash_of
from vsa.tokentable import EXACT, LOW, SUMS, TEXT, find, peak_of, put

AHEAD = 8
"""How many rows before its turn a row is asked for: time for memory to answer."""

_LINE = 16  # float32 numbers to a cache line
_EXACT_SQUARES = 9007199254740992.0  # 2**53
_LONGEST_SPAN = 1 << 14
_LOOK_BACK = 32


class Batch(NamedTuple):
    """Lines to be encoded, and room for what comes of them.

    Attributes
    ----------
    data : uint8
        With `vsa.structure.PADDING` bytes after the last line.
    starts, ends : int64
        Line n is ``data[starts[n]:ends[n]]``.
    out : (lines, dim) float32
        Filled in where `known` is set to True.
    known : (lines,) bool
        Lines for which it is True already are passed over.
    rows : int64
        Rows of all lines, one line after the other.
    bounds : (lines + 1,) int64
        Where in `rows` the lines begin.
    peaks : (lines,) int64
        What no entry of any sum of a line's rows exceeds.
    wishes : (m, 3) int64
        See `vsa.scanning.rows_of`.
    total, exact : (dim,) float32, (dim,) float64
        Room for a sum.
    """

    data: Any
    starts: Any
    ends: Any
    out: Any
    known: Any
    rows: Any
    bounds: Any
    peaks: Any
    wishes: Any
    total: Any
    exact: Any


@compiled
def encode(t, s, table, b, leaf_limit):
    """Unit vectors of the lines that are understood; how many entries of `wishes` and of `rows` are filled.

    Parameters
    ----------
    t, s : Tables, Scratch
    table : (n, dim) float32
        Rows of leaves.
    b : Batch
    leaf_limit : int
    """
    data, starts, ends, known, rows, bounds, peaks = b.data, b.starts, b.ends, b.known, b.rows, b.bounds, b.peaks
    wished = 0
    filled = 0
    for n in range(len(starts)):
        bounds[n] = filled
        if known[n]:
            continue
        count, _, peaks[n], more, _ = rows_of(
            t, s, data, starts[n], ends[n], 0, leaf_limit, rows[filled:], b.wishes[wished:], s.nothing
        )
        known[n] = count > 0
        if count > 0:
            filled += count
            wished += more
    bounds[len(starts)] = filled
    total, exact = b.total, b.exact
    for n in range(len(starts)):
        first, end = bounds[n], bounds[n + 1]
        if end > first:
            if peaks[n] < EXACT:
                add(table, t.sums, rows, first, end, filled, total)
                known[n] = to_unit(total, b.out[n])
            else:
                exact[:] = 0
                for i in range(first, end):
                    add(table, t.sums, rows, i, i + 1, filled, total)
                    exact += total
                known[n] = to_unit(exact, b.out[n])
    return wished, filled


@compiled
def _row(table, sums, number):
    """Address of a row of the table, or of the sums where the number is -1 - its own."""
    return address_of(table, number) if number >= 0 else address_of(sums, -1 - number)


@compiled
def _ask(table, sums, number):
    for column in range(0, table.shape[1], LANES):
        if number >= 0:
            prefetch(table, number, column)
        else:
            prefetch(sums, -1 - number, column)


@compiled
def add(table, sums, rows, start, end, last, total):
    """Set `total` to the sum of rows[start:end], which are whole numbers, so that the order is free.

    Those that come next, up to `last`, are asked for meanwhile.
    """
    dim = len(total)
    for j in range(dim):
        total[j] = 0
    n = start
    while n + 4 <= end:
        for i in range(n + AHEAD, min(n + AHEAD + 4, last)):
            _ask(table, sums, rows[i])
        a, b = _row(table, sums, rows[n]), _row(table, sums, rows[n + 1])
        c, d = _row(table, sums, rows[n + 2]), _row(table, sums, rows[n + 3])
        j = 0
        while j + LANES <= dim:
            plus(total, j, a, b, c, d)
            j += LANES
        while j < dim:
            plus_one(total, j, a)
            plus_one(total, j, b)
            plus_one(total, j, c)
            plus_one(total, j, d)
            j += 1
        n += 4
    while n < end:
        if n + AHEAD < last:
            _ask(table, sums, rows[n + AHEAD])
        a = _row(table, sums, rows[n])
        for j in range(dim):
            plus_one(total, j, a)
        n += 1


@compiled_in_any_order
def to_unit(total, out):
    """Fill `out` with the unit vector; False where the squares are 0 or might not add up exactly.

    Squares of whole numbers add up exactly below 2**53, whatever the order, like those that they must equal.
    """
    squares = 0.0
    for j in range(len(total)):
        x = np.float64(total[j])
        squares += x * x
    if squares == 0 or squares >= _EXACT_SQUARES:
        return False
    scale = 1.0 / np.sqrt(squares)
    for j in range(len(total)):
        out[j] = np.float32(np.float64(total[j]) * scale)
    return True


@compiled
def _is_within(wishes, granted, count, start):
    """Whether what begins at `start` lies within one of the last of those granted; a line's wishes come together."""
    for i in range(count - 1, max(-1, count - _LOOK_BACK), -1):
        if wishes[granted[i], 1] <= start < wishes[granted[i], 2]:
            return True
    return False


@compiled
def admit(t, s, table, data, wishes, granted, rows, seen, used, leaf_limit):
    """Give the objects and arrays that were wished for a second time sums of their own, where there is room.

    What lies within one of them gets none for it: the whole stands for its parts.

    Parameters
    ----------
    wishes : (n, 3) int64
    granted : (n,) int64
        Filled with the numbers of those that are granted.
    rows : int64
        Room for the rows of one of them.
    seen : (2**k,) uint64
        Hashes of those wished for once.
    used : (3,) int64
        See `vsa.tokentable.TEXT`.
    """
    count = 0
    for n in range(len(wishes)):
        node, start, end = wishes[n]
        if _is_within(wishes, granted, count, start):
            continue
        if end - start > _LONGEST_SPAN or used[TEXT] + end - start + PADDING > len(t.text):
            continue
        h = hash_of(data, start, end, 2 * node + VALUE)
        place = np.int64(h >> np.uint64(20)) & (len(seen) - 1)
        if seen[place] != h:
            seen[place] = h
            continue
        slot = find(t.tokens, t.text, data, start, end, node, VALUE)
        if t.tokens[slot, 0] != 0 and (t.tokens[slot, 3] & LOW) == np.uint64(t.epoch[0]):
            continue
        if used[SUMS] == len(t.sums):
            t.epoch[0] += 1
            used[SUMS] = 0
        size, leaves, bound, _, _ = rows_of(t, s, data, start, end, node, leaf_limit, rows, wishes[:0], s.nothing)
        if size < 2 or bound >= EXACT:
            continue
        granted[count] = n
        count += 1
        number = used[SUMS]
        add(table, t.sums, rows, 0, size, size, t.sums[number])
        t.leaves[number] = leaves
        put(t, data, start, end, node, VALUE, number, t.epoch[0], peak_of(t.sums[number]), used)
        used[SUMS] += 1
