"""How many of the pairs are none: rows out of order, or items that changed between the two models."""

from __future__ import annotations

import numpy as np

from retrieval.compat.pairs import Float64
from retrieval.upgrade.trial import Trial

# Above this share of strangers that match better, a partner is no better than any of them.
_HALF = 0.5


def unmatched(trial: Trial) -> Float64:
    """Tell of each held-out pair whether it is one of those that match no better than strangers do.

    p, the share of the fold's other items that a row matches at least as well as its partner, is near 0 for a pair
    that the map understands, and uniform for rows that are no pair: twice the share of p above ½ is the share of
    such rows, Storey's estimate of true null hypotheses (J. R. Stat. Soc. B 64, 2002). Pairs that are right and that
    the map knows nothing of count among them.

    Returns
    -------
    (m,) float64
        2 where p > ½, else 0; the mean is the estimate.
    """
    told = []
    for rows in trial.folds():
        scores = trial.queries[rows] @ trial.stored[rows].T
        own = np.diag(scores).copy()
        np.fill_diagonal(scores, -np.inf)
        p = (scores >= own[:, None]).sum(axis=1) / (len(scores) - 1)
        told.append(np.where(p > _HALF, 2.0, 0.0))
    return np.concatenate(told)
