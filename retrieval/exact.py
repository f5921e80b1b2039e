"""Exact nearest neighbours under the cosine, with ties in insertion order.

FAISS finds candidates with float32 products, whose rounding differs with the place of a row in the matrix,
so it neither sees ties nor breaks them. The candidates are scored again by `retrieval.scoring`,
which gives equal rows equal scores. A row that FAISS left out can only matter if its product is within
rounding of the k-th score; then the search is widened, in the end to the whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, scoring

Scan = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.int64]]]

_SPARE = 16
_SUBMATRIX_BYTES = 64 << 20
_DENSE = 8


def exact_scores(X: NDArray[np.float32], rows: NDArray[np.int64], q: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of some rows with one query, shape (m,), as `retrieval.scoring` sums them."""
    return scoring.scores_of(q[None, :], X, rows[None, :]).ravel()


def rounding_bound(dim: int) -> float:
    """How far a float32 product of unit vectors can be from the true one, in any order of summation.

    Sum of |x_i y_i| <= 1 by Cauchy-Schwarz, so the error is at most dim * 2^-24 to first order (Higham 2002,
    section 3.1); twice that covers higher orders and lengths that are one only to rounding.
    """
    return 2.0 * max(dim, 16) * 2.0**-24


def search(
    Q: NDArray[np.float32],
    X: NDArray[np.float32],
    order: NDArray[np.int64],
    k: int,
    scan: Scan = ann.inner_products,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest rows for each query.

    Parameters
    ----------
    Q : array, shape (n_queries, dim), float32, unit rows
    X : array, shape (n, dim), float32, unit rows
    order : array, shape (n,), int64
        Insertion order of the rows; the smaller comes first among equal scores.
    k : int
        At least 1.
    scan : callable
        Finds candidates, as `ann.inner_products` does.

    Returns
    -------
    rows : array, shape (n_queries, min(k, n)), int64
    scores : array, of the same shape, float32
        Falling; equal scores by rising `order`.

    Notes
    -----
    O(n_queries * n * dim) time. Many rows within rounding of the k-th score cost that query one more pass
    over X.
    """
    n = len(X)
    k = min(k, n)
    if k == 0 or len(Q) == 0:
        return np.empty((len(Q), k), dtype=np.int64), np.empty((len(Q), k), dtype=np.float32)
    if len(Q) == 1 and scan is ann.inner_products:
        # FAISS gives one query one thread: 87 ms where this takes 28 (69,202 x 1,024, two cores).
        return _one(Q[0], X, X @ Q[0], np.arange(n), order, k)
    width = min(n, k + _SPARE)
    products, candidates = scan(Q, X, width)
    rows, scores = refined(Q, X, order, candidates, k, products)
    if width < n:
        bound = rounding_bound(X.shape[1])
        for open_query in np.flatnonzero(products[:, -1] >= scores[:, -1] - bound).tolist():
            q = Q[open_query]
            near = np.flatnonzero(X @ q >= scores[open_query, -1] - bound)
            rows[open_query], scores[open_query] = best(near, exact_scores(X, near, q), order, k)
    return rows, scores


def _one(
    q: NDArray[np.float32],
    X: NDArray[np.float32],
    products: NDArray[np.float32],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best of some rows by their float32 products with one query, as `search` gives them; k <= len(rows)."""
    kth = np.partition(products, len(rows) - k)[len(rows) - k]
    # Both the k-th product and the one compared with it may be off.
    near = rows[products >= kth - 2 * rounding_bound(X.shape[1])]
    chosen, scores = best(near, exact_scores(X, near, q), order, k)
    return chosen[None, :], scores[None, :]


def search_among(
    Q: NDArray[np.float32],
    X: NDArray[np.float32],
    order: NDArray[np.int64],
    among: NDArray[np.int64],
    k: int,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As `search`, among some rows of X only; gathers them by 64 MB, so that memory stays bounded.

    Parameters
    ----------
    among : array, shape (m,), int64
        Row numbers, no two alike.

    Returns
    -------
    rows, scores : arrays, shape (n_queries, min(k, m))
    """
    if len(Q) == 1 and 0 < k < len(among) and _DENSE * len(among) > len(X):
        # Comparing all rows costs less than copying so many out.
        return _one(Q[0], X, (X @ Q[0])[among], among, order, k)
    rows = np.empty((len(Q), 0), dtype=np.int64)
    scores = np.empty((len(Q), 0), dtype=np.float32)
    step = max(1, _SUBMATRIX_BYTES // (4 * X.shape[1]))
    for start in range(0, len(among), step):
        part = among[start : start + step]
        more_rows, more_scores = search(Q, X[part], order[part], k)
        rows = np.concatenate([rows, part[more_rows]], axis=1)
        scores = np.concatenate([scores, more_scores], axis=1)
        chosen = np.lexsort((order[rows], -scores), axis=1)[:, :k]
        rows = np.take_along_axis(rows, chosen, axis=1)
        scores = np.take_along_axis(scores, chosen, axis=1)
    return rows, scores


def refined(
    Q: NDArray[np.float32],
    X: NDArray[np.float32],
    order: NDArray[np.int64],
    candidates: NDArray[np.int64],
    k: int,
    products: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As `scoring.ranked`, which NumPy does only for candidates that their float32 products leave in question.

    A row whose product is more than twice the rounding bound below the k-th product has k rows above it.

    Parameters
    ----------
    products : array, shape (n_queries, width), float32, optional
        Of the candidates, in any order; -inf for none. Made where they are needed and not given.
    """
    if scoring.compiled():
        return scoring.ranked(Q, X, order, candidates, k)
    if products is None:
        products = ann.products_of(Q, X, candidates)
    width = candidates.shape[1]
    kth = np.partition(products, width - k, axis=1)[:, width - k]
    far = products < kth[:, None] - 2 * rounding_bound(X.shape[1])
    kept = width - int(far.sum(axis=1).min(initial=width))
    if kept < width:
        part = np.argpartition(-products, kept - 1, axis=1)[:, :kept]
        candidates = np.take_along_axis(candidates, part, axis=1)
    return scoring.ranked(Q, X, order, candidates, k)


def best(
    rows: NDArray[np.int64], scores: NDArray[np.float32], order: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k best of scored rows, ties by `order`; shapes (min(k, m),)."""
    if len(rows) > 4 * k:
        kth = np.partition(scores, len(scores) - k)[len(scores) - k]
        kept = np.flatnonzero(scores >= kth)
        rows, scores = rows[kept], scores[kept]
    chosen = np.lexsort((order[rows], -scores))[:k]
    return rows[chosen], scores[chosen]
