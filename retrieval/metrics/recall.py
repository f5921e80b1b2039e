"""How many of the true neighbours were found: recall@k."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from retrieval.metrics.defined import check_k, mean_of_defined


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
        check_k(k)
        if min(found.shape[1], true.shape[1]) < k:
            raise ValueError(f"k is {k}, but only {min(found.shape[1], true.shape[1])} columns are there")
        found, true = found[:, :k], true[:, :k]
    shares = np.full(len(true), np.nan)
    for i, (mine, theirs) in enumerate(zip(found, true, strict=True)):
        wanted = np.unique(theirs[theirs >= 0])
        if wanted.size:
            shares[i] = np.isin(wanted, mine).mean()
    return mean_of_defined(shares)
