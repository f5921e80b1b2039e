"""Compiled scores of rows, in the order of summation that `retrieval.scoring` lays down. Needs numba."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 32

_FLOAT, _DOUBLE, _INT, _WORD = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
_LINE = 16
"""Float32 numbers in a cache line."""
_ASKED = 2048
"""Numbers asked of memory before they are needed.

40 of 200,000 rows of 256 for each of 1,000 queries take .98 ms so, 1.53 with two rows ahead (two cores).
"""


def _address(context: Any, builder: Any, array_type: Any, array: Any, row: Any) -> Any:
    """Where a row of a two-dimensional contiguous array begins."""
    view = cgutils.create_struct_proxy(array_type)(context, builder, array)
    width = cgutils.unpack_tuple(builder, view.shape)[1]
    return builder.gep(view.data, [builder.mul(row, width)])


@intrinsic
def _near(typing, X, row, dim):
    """Have the cache lines of a row brought near."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, row, dim = arguments
        start = _address(context, builder, signature.args[0], array, row)
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _INT, _INT, _INT])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        with cgutils.for_range_slice(builder, ir.Constant(_WORD, 0), dim, ir.Constant(_WORD, _LINE)) as (place, _):
            pointer = builder.bitcast(builder.gep(start, [place]), byte)
            builder.call(function, [pointer, *(ir.Constant(_INT, value) for value in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(X, types.int64, types.int64), codegen


@intrinsic
def _score(typing, X, row, Q, query, dim):
    """The inner product of a row of X (float32) and one of Q (float64), summed in lanes."""
    narrow, wide = ir.VectorType(_FLOAT, LANES), ir.VectorType(_DOUBLE, LANES)
    # A product of two float32 numbers is exact in float64: whether it is fused with the sum changes nothing.
    fused = ("contract",)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, row, asked, query, dim = arguments
        x = _address(context, builder, signature.args[0], array, row)
        q = _address(context, builder, signature.args[2], asked, query)
        sums = cgutils.alloca_once_value(builder, ir.Constant(wide, [0.0] * LANES))
        zero, step = ir.Constant(_WORD, 0), ir.Constant(_WORD, LANES)
        whole = builder.and_(dim, ir.Constant(_WORD, -LANES))
        with cgutils.for_range_slice(builder, zero, whole, step) as (place, _):
            part = builder.load(builder.bitcast(builder.gep(x, [place]), narrow.as_pointer()), align=4)
            other = builder.load(builder.bitcast(builder.gep(q, [place]), wide.as_pointer()), align=8)
            product = builder.fmul(builder.fpext(part, wide), other, flags=fused)
            builder.store(builder.fadd(builder.load(sums), product, flags=fused), sums)
        lanes = builder.bitcast(sums, _DOUBLE.as_pointer())
        with cgutils.for_range_slice(builder, whole, dim, ir.Constant(_WORD, 1)) as (place, _):
            lane = builder.gep(lanes, [builder.sub(place, whole)])
            one = builder.fpext(builder.load(builder.gep(x, [place])), _DOUBLE)
            product = builder.fmul(one, builder.load(builder.gep(q, [place])), flags=fused)
            builder.store(builder.fadd(builder.load(lane), product, flags=fused), lane)
        total, left = builder.load(sums), LANES
        while left > 1:
            left //= 2
            low = ir.Constant(ir.VectorType(_INT, left), list(range(left)))
            high = ir.Constant(ir.VectorType(_INT, left), list(range(left, 2 * left)))
            total = builder.fadd(builder.shuffle_vector(total, total, low), builder.shuffle_vector(total, total, high))
        return builder.fptrunc(builder.extract_element(total, ir.Constant(_INT, 0)), _FLOAT)

    return types.float32(X, types.int64, Q, types.int64, types.int64), codegen


def _compiled(function: Any) -> Any:
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep the compiled code
        return numba.njit(nogil=True)(function)


@_compiled
def score(Q, X, rows, scores, start, stop):
    """Fill ``scores[start:stop]``, float32, with the scores of rows; those of rows below 0 are -inf.

    Parameters
    ----------
    Q : (n_queries, dim) float64, contiguous
    X : (n, dim) float32, contiguous
    rows : (n_queries, width) int64
    """
    dim = X.shape[1]
    width = rows.shape[1]
    flat = rows.reshape(-1)
    ahead = max(1, min(16, _ASKED // dim))
    for query in range(start, stop):
        for place in range(width):
            coming = query * width + place + ahead
            if coming < stop * width and flat[coming] >= 0:
                _near(X, flat[coming], dim)
            row = rows[query, place]
            scores[query, place] = _score(X, row, Q, query, dim) if row >= 0 else np.float32(-np.inf)


@_compiled
def rank(Q, X, order, rows, best, scores, start, stop):
    """Fill ``best[start:stop]`` and ``scores[start:stop]`` with the best of rows: the highest scores, ties by `order`.

    Parameters
    ----------
    Q, X, rows
        As for `score`.
    order : (n,) int64
        No two alike.
    best : (n_queries, k) int64
        Rows; -1 where there are too few.
    scores : (n_queries, k) float32
        -inf where there are too few.
    """
    dim = X.shape[1]
    width = rows.shape[1]
    flat = rows.reshape(-1)
    ahead = max(1, min(16, _ASKED // dim))
    k = best.shape[1]
    for query in range(start, stop):
        held = 0
        for place in range(width):
            coming = query * width + place + ahead
            if coming < stop * width and flat[coming] >= 0:
                _near(X, flat[coming], dim)
            row = rows[query, place]
            if row < 0:
                continue
            own = _score(X, row, Q, query, dim)
            if held == k:
                last = scores[query, k - 1]
                if own < last or (own == last and order[row] > order[best[query, k - 1]]):
                    continue
                at = k - 1
            else:
                at = held
                held += 1
            while at > 0:
                before = scores[query, at - 1]
                if before > own or (before == own and order[best[query, at - 1]] < order[row]):
                    break
                scores[query, at] = before
                best[query, at] = best[query, at - 1]
                at -= 1
            scores[query, at] = own
            best[query, at] = row
        for at in range(held, k):
            scores[query, at] = np.float32(-np.inf)
            best[query, at] = -1
