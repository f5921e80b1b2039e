"""How good a search is, query by query: by labels, or by the new model, foretold for a gallery of the real size.

Without labels the new model says what is right, whatever kind of map is judged. Held-out galleries are small, and small
galleries flatter a mapped search: among few items the nearest is far away, and no search needs be exact. What the last
doubling of the gallery changed, each doubling up to the real size is taken to change: a mapped search loses by these,
the more the less exact it is. A judge that asks with what new queries ask with takes their noise for right; against
labels that weighed less than the size did, and mended only by a judge that is another one for each kind of map.
"""

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
# Nothing is foretold for galleries larger than held-out ones by more than 2⁵: no trend was measured over more.
MOST_DOUBLINGS = 5
LABELLED = ("CMC@1", "mAP")


def unlabelled(k: int) -> tuple[str, str]:
    """Names of the measures that stand in for CMC@1 and mAP where there are no labels."""
    return ("nearness@1", f"nearness@{k}")


def mixed(share: float) -> str:
    """Name of the search over a gallery of which a share is backfilled."""
    return f"mixed {share:.0%}"


def outcomes(
    trial: Trial, calibration: Calibration, shares: Sequence[float], k: int, n_items: int | None = None
) -> Outcomes:
    """Judge staying, switching, re-encoding all, and every share backfilled in order of the spread.

    Each held-out item is a query among the other items of its fold. Measures of each search, in [0, 1]
    but for nearness, which may fall below. In a fold of k items or fewer all of them stand for the first k.

    - recall@k: share of the new model's own k nearest that were found.
    - nearness@1, nearness@k: mean similarity, by the new model, of the first or the first k found, foretold for a
      gallery of `n_items`, or without these for one as large as the fold; see `attained` and `scaled`.
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
        per_fold.append({name: _judge(scores, native, codes, k, n_items) for name, scores in searches.items()})
    return scaled(joined(per_fold), k)


def reach(trial: Trial, n_items: int) -> int:
    """Items of the gallery that nearness is foretold for: `n_items`, between one and 32 held-out galleries."""
    size = int(trial.sizes.min())
    return int(np.clip(n_items, size, size << MOST_DOUBLINGS))


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Queries of several parts, one after the other."""
    return {
        search: {measure: np.concatenate([part[search][measure] for part in parts]) for measure in found}
        for search, found in parts[0].items()
    }


def mean_of(found: Outcomes, other: Outcomes, rows: Int64) -> Outcomes:
    """Mean of two judgements of the same queries, or the one that is known; `rows` are theirs in the other one."""
    return {
        search: {measure: _mean_known(values, other[search][measure][rows]) for measure, values in measures.items()}
        for search, measures in found.items()
    }


def _mean_known(first: Float64, second: Float64) -> Float64:
    return np.where(np.isnan(first), second, np.where(np.isnan(second), first, (first + second) / 2))


def scaled(found: Outcomes, k: int) -> Outcomes:
    """Bring similarities attained to a scale on which 1 is the mean of the new model's own search, 0 random items."""
    for measure in unlabelled(k):
        best = max(float(found[SELF][measure].mean()), LEAST_CONTRAST)
        for measures in found.values():
            measures[measure] = measures[measure] / best
    return found


def _levelled(calibrated: Float32, native: Float32) -> Float32:
    """Bring calibrated scores to each query's own scale, as searches do; the item itself tells nothing of it."""
    others = ~np.eye(len(native), dtype=np.bool_)
    level, aim = (side[others].reshape(len(native), -1) for side in (calibrated, native))
    return at_level(calibrated, level, aim)


def nearest(scores: Float32, n: int) -> Int64:
    """The n best of each row of a square matrix, the item itself left out: (m, n)."""
    return first(_without_own(scores), n)


def first(scores: Float32, n: int) -> Int64:
    """The n best of each row, best first: (m, n)."""
    some = np.argpartition(-scores, n - 1, axis=1)[:, :n]
    order = np.argsort(-np.take_along_axis(scores, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1).astype(np.int64)


def _without_own(scores: Float32) -> Float32:
    others: Float32 = scores.copy()
    np.fill_diagonal(others, -np.inf)
    return others


def needed(k: int, size: int) -> int:
    """How many found items the first k of every random half of a gallery are among, but for one in 10¹⁰."""
    return min(4 * k + 60, size)


def attained(
    found: Int64, judge: Float32, random: Float64 | float, k: int, size: int, n_items: int | None
) -> dict[str, Float64]:
    """Similarity, above that of random items, of the first and the mean of the first k found: (n,) each.

    Foretold for a gallery of N items from one of `size`: v + d · (v − v½), where v½ is the expectation over all halves
    of the gallery, and d = log₂(N / size), from 0 to 5. v is linear in the log of the size where it is exact.

    Parameters
    ----------
    found : (n, needed(k, size)) int64
        Items, best first.
    judge : (n, m) float32
    random : (n, 1) float64 or float
        Similarity of random items, by the judge.
    k, size : int
        `size` is the number of items searched, without the query's own.
    n_items : int or None
        N; `size` where it is not given.
    """
    values = np.take_along_axis(judge, found, axis=1).astype(np.float64) - random
    doublings = 0.0 if n_items is None else float(np.clip(np.log2(max(n_items, 1) / size), 0.0, MOST_DOUBLINGS))
    foretold = []
    for n in (1, k):
        whole = values[:, :n].mean(axis=1)
        half = values[:, : needed(n, size)] @ _in_halves(size, n) if doublings else whole
        foretold.append(whole + doublings * (whole - half))
    return dict(zip(unlabelled(k), foretold, strict=True))


def _in_halves(size: int, k: int) -> Float64:
    """Weights of a gallery's ranking that give the mean of the first k in a random half of it: (needed(k, size),).

    The half is drawn item by item, best first; w_r is the chance that rank r is drawn as one of the first k, over k.
    """
    drawn, k = max(size // 2, 1), min(k, max(size // 2, 1))
    # Chances that 0 ... k − 1 of those before were drawn.
    chances = np.zeros(k)
    chances[0] = 1.0
    weights = np.zeros(needed(k, size))
    for rank in range(len(weights)):
        taken = chances * np.clip((drawn - np.arange(k)) / (size - rank), 0.0, 1.0)
        weights[rank] = taken.sum() / k
        chances = chances - taken
        chances[1:] += taken[:-1]
    return weights


def _judge(scores: Float32, native: Float32, codes: Int64, k: int, n_items: int | None) -> dict[str, Float64]:
    size = len(scores) - 1
    found, true = (nearest(side, needed(k, size)) for side in (scores, native))
    random = float((native.sum(dtype=np.float64) - np.trace(native, dtype=np.float64)) / (len(native) * size))
    measures: dict[str, Float64] = {
        f"recall@{k}": (found[:, :k, None] == true[:, None, :k]).any(axis=2).mean(axis=1),
        **attained(found, native, random, k, size, n_items),
    }
    if codes[0] >= 0:
        measures |= dict(zip(LABELLED, _by_class(scores, codes), strict=True))
    return measures


def _by_class(scores: Float32, codes: Int64) -> tuple[Float64, Float64]:
    """Whether the first found is of the query's class, and the average precision."""
    # The item itself, at −∞, comes last and is cut off.
    order = np.argsort(-_without_own(scores), axis=1, kind="stable")[:, :-1]
    relevant = codes[order] == codes[:, None]
    wanted = relevant.sum(axis=1)
    precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
    with np.errstate(invalid="ignore"):
        average = np.where(wanted > 0, (precision * relevant).sum(axis=1) / np.maximum(wanted, 1), np.nan)
    hit = np.where(wanted > 0, relevant[:, 0].astype(np.float64), np.nan)
    return hit, average
