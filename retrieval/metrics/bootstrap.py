"""How sure a mean over queries is: paired bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
