"""How good a ranking is: recall@k, CMC@k, mAP, AC, backfill curves, and intervals for them.

Scores are inner products, larger is nearer; on unit rows that is the cosine. Ties are broken by
insertion order: of two gallery rows with one score, the earlier comes first. Nothing here holds a
query-by-gallery matrix; scores live one block of queries at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Classes = npt.NDArray[Any] | Sequence[Hashable]

# Scores of one block: 2**24 float32 numbers are 64 MB, and their sorted copy as much again.
_BLOCK_SCORES = 1 << 24


@dataclass(frozen=True)
class ClassRanking:
    """Where the items of a query's own class stand in its ranking, query by query.

    Attributes
    ----------
    first_rank : (n_queries,) int64
        Rank, from 1, of the first gallery row of the query's class; 0 where the gallery has none.
    average_precision : (n_queries,) float64
        Average precision over the full ranking; NaN where the gallery has none of the class.
    """

    first_rank: IntArray
    average_precision: FloatArray

    def hits_at_k(self, k: int) -> FloatArray:
        """1.0 where a row of the class is among the first `k`, else 0.0; NaN where there is none at all."""
        _check_k(k)
        hit = (self.first_rank <= k).astype(np.float64)
        hit[self.first_rank == 0] = np.nan
        return hit

    def cmc_at_k(self, k: int) -> float:
        """Share of the queries with a row of their class among the first `k`; see `cmc_at_k`."""
        return _mean_of_defined(self.hits_at_k(k))

    @property
    def mean_average_precision(self) -> float:
        """Mean of `average_precision` over the queries that have one."""
        return _mean_of_defined(self.average_precision)


@dataclass(frozen=True)
class Interval:
    """An estimate and its bootstrap percentile interval."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def rank_by_class(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_classes: Classes,
    gallery_classes: Classes,
    *,
    exclude_same_row: bool = False,
) -> ClassRanking:
    """Rank the whole gallery for every query and find the query's own class in it.

    Parameters
    ----------
    queries, gallery : (n_queries, dim) and (n_gallery, dim) float
        Compared by inner product, in float32.
    query_classes, gallery_classes : (n_queries,) and (n_gallery,)
        Ground truth, of any one sortable type.
    exclude_same_row : bool
        Leave gallery row i out for query i: the protocol where the query set is the gallery.

    Raises
    ------
    ValueError
        On wrong shapes, on NaN or infinity, or where `exclude_same_row` meets unequal lengths.

    Notes
    -----
    O(n_queries · n_gallery · (dim + log n_gallery)) time, about 130 MB beyond the arguments: rows are
    sorted by value alone, and ranks of the relevant rows are read off by bisection, so no
    permutation of the gallery is ever made.

    Examples
    --------
    >>> X = np.eye(3, dtype=np.float32)
    >>> ranking = rank_by_class(X[:1], X, ["b"], ["a", "b", "b"])
    >>> ranking.first_rank.tolist(), ranking.average_precision.round(3).tolist()
    ([2], [0.583])
    """
    Q, G = _finite_rows(queries, "queries"), _finite_rows(gallery, "gallery")
    if Q.shape[1] != G.shape[1]:
        raise ValueError(f"queries have dim {Q.shape[1]} and the gallery {G.shape[1]}; they must be equal")
    if exclude_same_row and len(Q) != len(G):
        raise ValueError(f"exclude_same_row needs as many queries ({len(Q)}) as gallery rows ({len(G)})")
    query_codes, rows_of_class = _rows_of_class(query_classes, gallery_classes, len(Q), len(G))
    first_rank = np.zeros(len(Q), dtype=np.int64)
    average_precision = np.full(len(Q), np.nan)
    step = max(1, _BLOCK_SCORES // max(1, len(G)))
    for start in range(0, len(Q), step):
        scores = Q[start : start + step] @ G.T
        if exclude_same_row:
            # Below every finite score, so that the item itself precedes nothing.
            here = np.arange(len(scores))
            scores[here, here + start] = -np.inf
        ordered = np.sort(scores, axis=1)
        for i, row in enumerate(range(start, start + len(scores))):
            relevant = rows_of_class[query_codes[row]]
            if exclude_same_row:
                relevant = relevant[relevant != row]
            if relevant.size:
                ranks = _ranks(scores[i], ordered[i], relevant)
                first_rank[row] = ranks[0]
                average_precision[row] = float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return ClassRanking(first_rank, average_precision)


def _ranks(scores: npt.NDArray[np.float32], ordered: npt.NDArray[np.float32], rows: IntArray) -> IntArray:
    """Return the ranks, ascending from 1, of `rows` under `scores`, whose ascending sort is `ordered`."""
    wanted = scores[rows]
    above = len(ordered) - np.searchsorted(ordered, wanted, side="right")
    equal = len(ordered) - above - np.searchsorted(ordered, wanted, side="left")
    ranks = above + 1
    for j in np.flatnonzero(equal > 1):
        ranks[j] += int(np.count_nonzero(scores[: rows[j]] == wanted[j]))
    return np.sort(ranks).astype(np.int64)


def cmc_at_k(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_classes: Classes,
    gallery_classes: Classes,
    k: int = 1,
    *,
    exclude_same_row: bool = False,
) -> float:
    """Cumulative match characteristic: share of queries with a row of their class in the first `k`.

    Queries whose class the gallery does not hold are left out of the mean. For several values at
    once, call `rank_by_class` and ask its result. Shapes, errors and cost as there.
    """
    _check_k(k)
    return rank_by_class(queries, gallery, query_classes, gallery_classes, exclude_same_row=exclude_same_row).cmc_at_k(
        k
    )


def mean_average_precision(
    queries: npt.ArrayLike,
    gallery: npt.ArrayLike,
    query_classes: Classes,
    gallery_classes: Classes,
    *,
    exclude_same_row: bool = False,
) -> float:
    """Mean over queries of AP = 1/R · Σ_j j / rank_j, over the full ranking and its R relevant rows.

    Queries whose class the gallery does not hold are left out of the mean. Shapes, errors and cost
    as in `rank_by_class`.
    """
    return rank_by_class(
        queries, gallery, query_classes, gallery_classes, exclude_same_row=exclude_same_row
    ).mean_average_precision


def recall_at_k(retrieved: npt.ArrayLike, truth: npt.ArrayLike, k: int | None = None) -> float:
    """Mean share of the true neighbours that were retrieved.

    Parameters
    ----------
    retrieved, truth : (n_queries, ≥ k) int
        Row numbers, nearest first; -1 marks an absent neighbour. A row found twice counts once.
    k : int, optional
        Look at the first `k` columns of both; by default at all columns of each.

    Returns
    -------
    float
        Queries without any true neighbour are left out; NaN where none is left.

    Examples
    --------
    >>> recall_at_k([[4, 2, -1]], [[2, 3, 4]])
    0.6666666666666666
    """
    found, true = np.asarray(retrieved), np.asarray(truth)
    for name, rows in (("retrieved", found), ("truth", true)):
        if rows.ndim != 2 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(f"{name} must be a 2-D array of row numbers, not {rows.dtype} {rows.shape}")
    if len(found) != len(true):
        raise ValueError(f"retrieved has {len(found)} queries and truth {len(true)}")
    if k is not None:
        _check_k(k)
        if min(found.shape[1], true.shape[1]) < k:
            raise ValueError(f"k is {k}, but only {min(found.shape[1], true.shape[1])} columns are there")
        found, true = found[:, :k], true[:, :k]
    shares = np.full(len(true), np.nan)
    for i, (mine, theirs) in enumerate(zip(found, true, strict=True)):
        wanted = np.unique(theirs[theirs >= 0])
        if wanted.size:
            shares[i] = np.isin(wanted, mine).mean()
    return _mean_of_defined(shares)


def compatibility_rate(matrix: npt.ArrayLike) -> float:
    """AC: share of the (later, earlier) pairs of a series that pass the compatibility criterion.

    AC = 2 / (T (T − 1)) · Σ_{i > j} [M_ij > M_jj], with M_ij the metric of queries by model i on
    the gallery of model j (Biondi et al., CoReS, TPAMI 2023, eq. 12; the criterion is that of Shen
    et al., BCT, CVPR 2020).

    Parameters
    ----------
    matrix : (T, T) float
        Only the diagonal and what is below it are read; T ≥ 2.

    Examples
    --------
    >>> compatibility_rate([[0.5, 0, 0], [0.6, 0.7, 0], [0.4, 0.8, 0.9]])
    0.6666666666666666
    """
    M = np.asarray(matrix, dtype=np.float64)
    if M.ndim != 2 or M.shape[0] != M.shape[1] or len(M) < 2:
        raise ValueError(f"matrix must be square with two models or more, not {M.shape}")
    later, earlier = np.tril_indices(len(M), -1)
    if not (np.isfinite(M[later, earlier]).all() and np.isfinite(np.diag(M)).all()):
        raise ValueError("matrix holds NaN or infinity on or below its diagonal")
    return float(np.mean(M[later, earlier] > M[earlier, earlier]))


def backfill_curve(
    order: npt.ArrayLike, shares: npt.ArrayLike, measure: Callable[[npt.NDArray[np.bool_]], float]
) -> FloatArray:
    """Measure a gallery at several shares backfilled.

    Parameters
    ----------
    order : (n_gallery,) int
        A permutation of the rows, first to be re-encoded first.
    shares : (m,) float
        Shares β in [0, 1].
    measure : callable
        Takes the (n_gallery,) mask of the re-encoded rows and returns the metric.

    Returns
    -------
    (m,) float64
    """
    rows, betas = np.asarray(order), np.asarray(shares, dtype=np.float64)
    if rows.ndim != 1 or not np.array_equal(np.sort(rows), np.arange(len(rows))):
        raise ValueError("order must be a permutation of the gallery's row numbers")
    if betas.ndim != 1 or not ((betas >= 0) & (betas <= 1)).all():
        raise ValueError("shares must be numbers between 0 and 1")
    values = np.empty(len(betas))
    for i, beta in enumerate(betas):
        mask = np.zeros(len(rows), dtype=np.bool_)
        mask[rows[: round(beta * len(rows))]] = True
        values[i] = measure(mask)
    return values


def area_under_backfill_curve(shares: npt.ArrayLike, values: npt.ArrayLike) -> float:
    """Area under M(β) by the trapezoid rule, over the span of β: the mean metric on the way.

    Examples
    --------
    >>> area_under_backfill_curve([0.0, 0.5, 1.0], [0.25, 0.75, 0.75])
    0.625
    """
    x, y = np.asarray(shares, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError("shares must be two or more ascending numbers, with one value for each")
    if not np.isfinite(y).all():
        raise ValueError("values hold NaN or infinity")
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


def paired_bootstrap(
    after: npt.ArrayLike,
    before: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 2_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of the mean per-query difference, queries drawn with replacement.

    Parameters
    ----------
    after, before : (n_queries,) float
        Per-query values of two systems on the same queries, in the same order; without `before`
        the interval is that of the mean of `after`. Queries with a NaN in either are left out.
    n_resamples, confidence, seed
        Resamples drawn, coverage of the interval, and the seed of the draw.

    Notes
    -----
    Efron & Tibshirani (1993), ch. 13. O(n_queries · n_resamples) time, O(n_queries) memory a step.

    Examples
    --------
    >>> paired_bootstrap([1.0, 1.0, 0.0], [0.0, 0.0, 0.0], seed=1).estimate
    0.6666666666666666
    """
    values = np.asarray(after, dtype=np.float64)
    if before is not None:
        other = np.asarray(before, dtype=np.float64)
        if other.shape != values.shape:
            raise ValueError(f"after has shape {values.shape} and before {other.shape}; they must be paired")
        values = values - other
    if values.ndim != 1:
        raise ValueError(f"per-query values must be one-dimensional, not of shape {values.shape}")
    values = values[~np.isnan(values)]
    if not values.size:
        raise ValueError("no query has a value in both systems")
    if n_resamples < 1 or not 0 < confidence < 1:
        raise ValueError("n_resamples must be at least 1 and confidence between 0 and 1")
    rng = np.random.default_rng(seed)
    means = np.empty(n_resamples)
    for i in range(n_resamples):
        means[i] = values[rng.integers(0, len(values), len(values))].mean()
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high), confidence)


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")


def _mean_of_defined(values: FloatArray) -> float:
    """Mean of what is not NaN; NaN, without a warning, where nothing is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _finite_rows(array: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    rows = np.ascontiguousarray(array, dtype=np.float32)
    if rows.ndim != 2:
        raise ValueError(f"{name} must be two-dimensional, not of shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} hold NaN or infinity")
    return rows


def _rows_of_class(
    query_classes: Classes, gallery_classes: Classes, n_queries: int, n_gallery: int
) -> tuple[IntArray, list[IntArray]]:
    """Code the classes of both sides together; list the gallery's rows, ascending, of each code."""
    mine, theirs = np.asarray(query_classes), np.asarray(gallery_classes)
    if mine.shape != (n_queries,) or theirs.shape != (n_gallery,):
        raise ValueError(
            f"{n_queries} queries and {n_gallery} gallery rows need as many classes, "
            f"not {mine.shape} and {theirs.shape}"
        )
    if mine.dtype.kind != theirs.dtype.kind and not {mine.dtype.kind, theirs.dtype.kind} <= set("iu"):
        raise TypeError(f"classes are of two types: {mine.dtype} for queries, {theirs.dtype} for the gallery")
    names, codes = np.unique(np.concatenate([mine, theirs]), return_inverse=True)
    gallery_codes = codes[n_queries:]
    by_code = np.argsort(gallery_codes, kind="stable")
    bounds = np.searchsorted(gallery_codes[by_code], np.arange(len(names) + 1))
    rows = [by_code[a:b].astype(np.int64) for a, b in pairwise(bounds)]
    return codes[:n_queries].astype(np.int64), rows
