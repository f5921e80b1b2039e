"""What a score is: a sum of float64 products in a fixed order, rounded to float32.

The products of two float32 vectors are exact in float64. Products 0, 32, 64, ... are summed in that order, so are
1, 33, 65, ... and so on; of the 32 sums the second half is added to the first, until one is left. So the same two
vectors give the same score on every machine, wherever they stand and however many are scored at a time, by NumPy and by
the compiled kernel, which takes over where numba is installed once a process has scored a good many rows.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.engine import threads
from retrieval.pool import share

_LANES = 32
# Gathered rows are read again at once: they stay in the processor's cache.
_GATHERED = 1 << 18
# Numbers scored before the kernel is loaded, which takes half a second, or two the first time on a machine.
_LOADED_FROM = 1 << 26
# Numbers that are worth a thread.
_SHARED_FROM = 1 << 19


class _Kernel:
    """The compiled functions, if they are there."""

    def __init__(self) -> None:
        self.module: Any = None
        self._before = 0 if find_spec("numba") is not None else None

    def takes(self, numbers: int) -> bool:
        """Whether the kernel is to score so many numbers more; it is loaded when enough came by."""
        if self.module is not None:
            return True
        if self._before is None:
            return False
        self._before += numbers
        if self._before < _LOADED_FROM:
            return False
        try:
            from retrieval import scorekernel
        except ImportError:  # numba does not fit this Python or NumPy
            self._before = None
            return False
        self.module = scorekernel
        return True


_kernel = _Kernel()


def _parts(numbers: int) -> int:
    """Threads that so much work is worth, as far as they may be used here."""
    return min(threads(), 1 + numbers // _SHARED_FROM)


def compiled() -> bool:
    """Whether the compiled kernel is loaded."""
    return _kernel.module is not None


def scores_of(Q: NDArray[np.float32], X: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores of each query with some rows of X, shape (n_queries, width); -inf where a row is -1.

    Parameters
    ----------
    Q : (n_queries, dim) float32
    X : (n, dim) float32, contiguous
    rows : (n_queries, width) int64

    Notes
    -----
    O(rows.size * dim) time, O(rows.size + Q.size) memory.
    """
    numbers = rows.size * X.shape[1]
    if _kernel.takes(numbers):
        wide = np.ascontiguousarray(Q, dtype=np.float64)
        scores = np.empty(rows.shape, dtype=np.float32)
        rows = np.ascontiguousarray(rows)
        score = _kernel.module.score
        share(lambda start, stop: score(wide, X, rows, scores, start, stop), len(Q), _parts(numbers))
        return scores
    return _by_numpy(Q, X, rows)


def ranked(
    Q: NDArray[np.float32],
    X: NDArray[np.float32],
    order: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best of each query's candidates, ties by `order`; shapes (n_queries, k).

    Parameters
    ----------
    candidates : (n_queries, width) int64
        Row numbers, width at least k; -1 stands for none and comes out last, with score -inf.
    """
    numbers = candidates.size * X.shape[1]
    if _kernel.takes(numbers):
        wide = np.ascontiguousarray(Q, dtype=np.float64)
        candidates, order = np.ascontiguousarray(candidates), np.ascontiguousarray(order)
        best = np.empty((len(Q), k), dtype=np.int64)
        scores = np.empty((len(Q), k), dtype=np.float32)
        rank = _kernel.module.rank
        share(lambda start, stop: rank(wide, X, order, candidates, best, scores, start, stop), len(Q), _parts(numbers))
        return best, scores
    scores = _by_numpy(Q, X, candidates)
    chosen = np.lexsort((order[candidates], -scores), axis=1)[:, :k]
    return np.take_along_axis(candidates, chosen, axis=1), np.take_along_axis(scores, chosen, axis=1)


def _by_numpy(Q: NDArray[np.float32], X: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """As `scores_of`: some queries at a time, and of one query some rows at a time."""
    width, dim = rows.shape[1], X.shape[1]
    scores = np.empty(rows.shape, dtype=np.float32)
    if not rows.size:
        return scores
    wide = Q.astype(np.float64)
    most = max(1, _GATHERED // dim)
    queries, across = max(1, most // width), min(width, most)
    room = np.empty((queries * across, dim), dtype=np.float32)
    for start in range(0, len(Q), queries):
        asked = wide[start : start + queries, None, :]
        for left in range(0, width, across):
            part = rows[start : start + queries, left : left + across]
            # "wrap" takes the last row for -1, as an index would, and needs no second look at the numbers.
            x = np.take(X, part.ravel(), axis=0, out=room[: part.size], mode="wrap").reshape(*part.shape, dim)
            scores[start : start + queries, left : left + across] = _summed(asked, x)
    scores[rows < 0] = -np.inf
    return scores


def _summed(Q: NDArray[np.float64], X: NDArray[np.float32]) -> NDArray[np.float64]:
    """Inner products over the last axis, in the order of summation that scores have."""
    dim = X.shape[-1]
    sums = np.zeros((*X.shape[:-1], _LANES))
    products = np.empty_like(sums)
    for start in range(0, dim, _LANES):
        lanes = slice(0, min(_LANES, dim - start))
        part = slice(start, start + _LANES)
        sums[..., lanes] += np.multiply(X[..., part], Q[..., part], out=products[..., lanes])
    left = _LANES
    while left > 1:
        left //= 2
        sums[..., :left] += sums[..., left : 2 * left]
    return sums[..., 0]
