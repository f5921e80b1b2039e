"""Over a series of models and on the way from one to the next: AC, and backfill curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from retrieval.metrics.defined import FloatArray


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
