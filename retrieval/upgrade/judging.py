"""How good a search is, query by query: by labels, or by two judges that need none.

Without labels nothing but the models says what is right. The new model as a judge asks with the very vector that new
queries search with, so that what is noise in it counts as right for them: the judge flatters the mapped search. The
mapped search turned round, which asks with the old model's query, mapped, among the new model's items, shares no
vector with the mapped search, and its query with staying: it flatters staying. What is the same to both is the truth
of the items, and the mean of the two is taken; the span between them is how little can be known without labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.compat.calibration import Calibration, at_level
from retrieval.compat.pairs import Float32, Float64, Int64
from retrieval.upgrade.trial import Trial

# By search, then by measure: one value a query, or one by each of two judges.
Outcomes = dict[str, dict[str, Float64]]
STAY, CROSS, SELF = "old/old", "mapped", "new/new"
# Where the new model tells its nearest from random items by less, all are alike to it.
LEAST_CONTRAST = 1e-6
LABELLED = ("CMC@1", "mAP")


def unlabelled(k: int) -> tuple[str, str]:
    """Names of the measures that stand in for CMC@1 and mAP where there are no labels."""
    return ("nearness@1", f"nearness@{k}")


def mixed(share: float) -> str:
    """Name of the search over a gallery of which a share is backfilled."""
    return f"mixed {share:.0%}"


def outcomes(trial: Trial, calibration: Calibration, shares: Sequence[float], k: int) -> Outcomes:
    """Judge staying, switching, re-encoding all, and every share backfilled in order of the spread.

    Each held-out item is a query among the other items of its fold. Measures of each search, in [0, 1]
    but for nearness, which may fall below:

    In a fold of k items or fewer all of them stand for the first k.

    - recall@k: share of the new model's own k nearest that were found.
    - nearness@1, nearness@k: (n, 2), mean similarity of the first or the first k found by either judge, the new model
      and the mapped search turned round; see `scaled`.
    - CMC@1, mAP: with classes alone; NaN for a query with no other item of its class in the fold.
    """
    per_fold: list[Outcomes] = []
    for rows in trial.folds():
        native = trial.new[rows] @ trial.new[rows].T
        mapped = trial.queries[rows] @ trial.stored[rows].T
        searches = {STAY: trial.old[rows] @ trial.old[rows].T, CROSS: mapped, SELF: native}
        comparable = _levelled(calibration.apply(mapped).astype(np.float32, copy=False), native)
        # Least sure first; among equals the earlier.
        order = np.argsort(-trial.spread[rows], kind="stable")
        for share in shares:
            encoded = np.zeros(len(native), dtype=np.bool_)
            encoded[order[: round(share * len(order))]] = True
            searches[mixed(share)] = np.where(encoded, native, comparable)
        judges, codes = (native, mapped.T), trial.codes[rows]
        per_fold.append({name: _judge(scores, judges, codes, k) for name, scores in searches.items()})
    return scaled(joined(per_fold), k)


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Queries of several parts, one after the other."""
    return {
        search: {measure: np.concatenate([part[search][measure] for part in parts]) for measure in found}
        for search, found in parts[0].items()
    }


def scaled(found: Outcomes, k: int) -> Outcomes:
    """Bring similarities attained, (n, 2) by two judges, to one scale: staying and mapped together are worth the same.

    Were neither search better and both flattered alike, each judge would favour its own by as much, and the means be
    equal. 1 is the mean of the new model's own search, and 0 what items drawn at random attain. Where a judge tells
    what was found from random items no better than by chance, the new model judges alone.
    """
    for measure in unlabelled(k):
        stay, cross, own = (found[search][measure].mean(axis=0) for search in (STAY, CROSS, SELF))
        both = stay + cross
        alone = min(both) < LEAST_CONTRAST
        weights = np.array([1.0, 0.0 if alone else both[0] / both[1]])
        best = own @ weights / np.count_nonzero(weights)
        for measures in found.values():
            values = measures[measure] * weights
            measures[measure] = (values[:, [0, 0]] if alone else values) / max(best, LEAST_CONTRAST)
    return found


def _levelled(calibrated: Float32, native: Float32) -> Float32:
    """Bring calibrated scores to each query's own scale, as searches do; the item itself tells nothing of it."""
    others = ~np.eye(len(native), dtype=np.bool_)
    level, aim = (side[others].reshape(len(native), -1) for side in (calibrated, native))
    return at_level(calibrated, level, aim)


def nearest(scores: Float32, k: int) -> Int64:
    """The k best of each row, best first, the item itself left out: (m, k)."""
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    some = np.argpartition(-others, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(others, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1).astype(np.int64)


def attained(found: Int64, judges: Sequence[Float32], random: Sequence[Float64 | float], k: int) -> dict[str, Float64]:
    """Mean similarity of the first and of the first k found, above that of random items: (n, 2) by two judges."""
    values = [
        np.take_along_axis(judge, found, axis=1).astype(np.float64) - level
        for judge, level in zip(judges, random, strict=True)
    ]
    both = np.stack(values, axis=-1)
    return dict(zip(unlabelled(k), (both[:, 0], both.mean(axis=1)), strict=True))


def _judge(scores: Float32, judges: Sequence[Float32], codes: Int64, k: int) -> dict[str, Float64]:
    n = len(scores)
    found, true = (nearest(side, min(k, n - 1)) for side in (scores, judges[0]))
    random = [float((j.sum(dtype=np.float64) - np.trace(j, dtype=np.float64)) / (n * (n - 1))) for j in judges]
    measures: dict[str, Float64] = {
        f"recall@{k}": (found[:, :, None] == true[:, None, :]).any(axis=2).mean(axis=1),
        **attained(found, judges, random, k),
    }
    if codes[0] >= 0:
        measures |= dict(zip(LABELLED, _by_class(scores, codes), strict=True))
    return measures


def _by_class(scores: Float32, codes: Int64) -> tuple[Float64, Float64]:
    """Whether the first found is of the query's class, and the average precision."""
    others = scores.copy()
    np.fill_diagonal(others, -np.inf)
    # The item itself, at −∞, comes last and is cut off.
    order = np.argsort(-others, axis=1, kind="stable")[:, :-1]
    relevant = codes[order] == codes[:, None]
    wanted = relevant.sum(axis=1)
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    with np.errstate(invalid="ignore"):
        average = np.where(wanted > 0, (precision * relevant).sum(axis=1) / np.maximum(wanted, 1), np.nan)
    hit = np.where(wanted > 0, relevant[:, 0].astype(np.float64), np.nan)
    return hit, average
