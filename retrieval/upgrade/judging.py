"""How good a search is, query by query: by labels, or by the new model's own neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.compat.calibration import Calibration, at_level
from retrieval.compat.pairs import Float32, Float64, Int64
from retrieval.upgrade.trial import Trial

# By search, then by measure: one value a query.
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
    - nearness@1, nearness@k: mean similarity, by the new model, of the first or the first k found; 1 is
      that of the new model's own first k, 0 that of items drawn at random.
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
        codes = trial.codes[rows]
        per_fold.append({name: _judge(scores, native, codes, k) for name, scores in searches.items()})
    return {
        search: {
            measure: np.concatenate([fold[search][measure] for fold in per_fold]) for measure in per_fold[0][search]
        }
        for search in per_fold[0]
    }


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


def _judge(scores: Float32, native: Float32, codes: Int64, k: int) -> dict[str, Float64]:
    n = len(scores)
    found, true = (nearest(side, min(k, n - 1)) for side in (scores, native))
    random = float((native.sum(dtype=np.float64) - np.trace(native, dtype=np.float64)) / (n * (n - 1)))
    attained, best = (np.take_along_axis(native, rows, axis=1).astype(np.float64) - random for rows in (found, true))
    first, top = unlabelled(k)
    measures: dict[str, Float64] = {
        f"recall@{k}": (found[:, :, None] == true[:, None, :]).any(axis=2).mean(axis=1),
        first: attained[:, 0] / max(best[:, 0].mean(), LEAST_CONTRAST),
        top: attained.mean(axis=1) / max(best.mean(), LEAST_CONTRAST),
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
