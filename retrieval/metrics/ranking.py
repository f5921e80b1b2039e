"""Where a query's own class stands in the ranking of a gallery: CMC@k and mAP.

Scores live one block of queries at a time; nothing here holds a query-by-gallery matrix.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.metrics.defined import FloatArray, IntArray, check_k, mean_of_defined

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
        check_k(k)
        hit = (self.first_rank <= k).astype(np.float64)
        hit[self.first_rank == 0] = np.nan
        return hit

    def cmc_at_k(self, k: int) -> float:
        """Share of the queries with a row of their class among the first `k`; see `cmc_at_k`."""
        return mean_of_defined(self.hits_at_k(k))

    @property
    def mean_average_precision(self) -> float:
        """Mean of `average_precision` over the queries that have one."""
        return mean_of_defined(self.average_precision)


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
    check_k(k)
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
