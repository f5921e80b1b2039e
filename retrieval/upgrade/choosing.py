"""Which map to take of those tried: a jury says, the same for every kind.

No labels are asked, as in a few hundred held-out items most classes have hardly two. Each judge leans to some kind of
map: the new model to maps that leave the noise of its queries as it is; a map turned round, such as old queries mapped
among new items, to maps that err where it errs. So the new model judges, a gallery map turned round and a query map
turned round, whichever of these were tried, each counting the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.compat.pairs import Float32, Float64
from retrieval.upgrade.judging import LEAST_CONTRAST, nearest
from retrieval.upgrade.trial import Trial

# A simpler map is kept where it loses this much, at most.
_PARSIMONY = 0.005
_K = 10


def best_of(trials: Sequence[Trial]) -> Trial:
    """Return the first of the trials, all of the same folds, that comes up to the best; see `scores`."""
    found = scores(trials)
    return next(trial for trial, score in zip(trials, found, strict=True) if score >= found.max() - _PARSIMONY)


def scores(trials: Sequence[Trial]) -> Float64:
    """Nearness of the first and the first ten found in the mapped gallery, a mean over both and the judges: (n,).

    By each judge 1 is what it finds itself, and 0 what random items attain: one that hardly tells what was found from
    random items, as of shuffled pairs, hardly counts.
    """
    turned = {trial.kind: trial for trial in trials if trial.kind in ("gallery", "query")}
    # By trial, and in the end by judge for itself: similarities attained.
    found: list[list[Float64]] = [[] for _ in range(len(trials) + 1)]
    for rows in trials[0].folds():
        new = trials[0].new[rows]
        crossed = [trial.queries[rows] @ trial.stored[rows].T for trial in trials]
        judges = [new @ new.T, *((trial.queries[rows] @ trial.stored[rows].T).T for trial in turned.values())]
        for values, scored in zip(found, crossed, strict=False):
            values.append(np.stack([_attained(scored, judge) for judge in judges]))
        found[-1].append(np.stack([_attained(judge, judge) for judge in judges]))
    told = np.stack([np.concatenate(values, axis=1).mean(axis=1) for values in found])
    return np.asarray((told[:-1] / np.maximum(told[-1], LEAST_CONTRAST)).mean(axis=(1, 2)))


def _attained(scored: Float32, judge: Float32) -> Float64:
    """Similarity, above that of random items, of the first and of the first ten: (n, 2)."""
    n = len(scored)
    found = nearest(scored, min(_K, n - 1))
    random = (judge.sum(dtype=np.float64) - np.trace(judge, dtype=np.float64)) / (n * (n - 1))
    values = np.take_along_axis(judge, found, axis=1).astype(np.float64) - random
    return np.stack([values[:, 0], values.mean(axis=1)], axis=1)
