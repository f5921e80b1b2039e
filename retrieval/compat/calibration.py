"""Calibration: scores of mapped items on the scale of native ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.pairs import Float32, Float64, Vectors
from retrieval.compat.saved import Saved

# Quantile levels: even through the bulk, then halving the distance to both ends, since a ranking is
# decided in the last thousandth.
_BULK = 33
_HALVINGS = 16
_LEAST_IN_TAIL = 20

Role = Literal["gallery", "query"]


@dataclass(frozen=True, eq=False)
class Calibration(Saved):
    """Monotone piecewise-linear map from scores of one kind to the scale of another.

    The p-quantile of the one goes to the p-quantile of the other, over the same (query, item) pairs:
    quantile matching, the one monotone map after which both kinds have the same distribution, and so
    the same chance of a place in a ranking that holds both. It needs no labels. A regression of one
    score on the other would shrink towards the mean, and mapped items would vanish from the top.

    Attributes
    ----------
    scores, reference : (m,) float64
        Knots, both rising. Beyond the ends the map goes on with slope 1.
    n_scores : int
        (query, item) pairs that it was fitted on.

    Examples
    --------
    >>> reference = np.linspace(-1, 1, 10_001)
    >>> c = Calibration.fit(scores=0.3 + 0.5 * reference, reference=reference)
    >>> c.apply([0.3, 0.55]).round(3).tolist()
    [0.0, 0.5]
    """

    _KIND = "calibration"

    scores: Float64
    reference: Float64
    n_scores: int

    @classmethod
    def fit(cls, *, scores: npt.ArrayLike, reference: npt.ArrayLike, by_query: bool = False) -> Calibration:
        """Fit on the scores of the same (query, item) pairs under both.

        Parameters
        ----------
        scores, reference : arrays of one shape
            What is to be calibrated, and what it is to be comparable with. Only the two distributions
            are used; the pairing makes them distributions over the same things.
        by_query : bool
            The arrays are (n_queries, n_items), and it is the mean over queries of each row's quantiles
            that is matched: the r-th best of a query then scores the same on average under both. By
            default all scores are one heap, where a few queries with high scores throughout can make up
            the top.

        Raises
        ------
        InvalidPairsError
            If the shapes differ, a score is not finite, or all scores of a kind are alike.

        Notes
        -----
        O(n log n) time and O(n) memory.
        """
        mine, theirs = (np.asarray(a, dtype=np.float64) for a in (scores, reference))
        if mine.shape != theirs.shape:
            raise InvalidPairsError(f"scores have shape {mine.shape} and the reference {theirs.shape}")
        if not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
            raise InvalidPairsError("scores hold NaN or infinity")
        if mine.size < 2:
            raise InvalidPairsError(f"{mine.size} scores are too few to calibrate by")
        if by_query:
            if mine.ndim != 2:
                raise InvalidPairsError(f"by_query needs (n_queries, n_items) scores, not {mine.shape}")
            # One score in the tail will do, as it is averaged over the queries.
            levels = _levels(mine.shape[1], 1)
            x, y = (np.quantile(side, levels, axis=1).mean(axis=1) for side in (mine, theirs))
        else:
            levels = _levels(mine.size, _LEAST_IN_TAIL)
            x, y = (np.quantile(side, levels) for side in (mine, theirs))
        # A run of equal scores is one knot, at the middle of what it stands for.
        knots, first, counts = np.unique(x, return_index=True, return_counts=True)
        if len(knots) < 2 or y[0] == y[-1]:
            raise InvalidPairsError("all scores are alike; there is nothing to calibrate by")
        heights = (np.add.reduceat(y, first)) / counts
        return cls(knots, heights, int(mine.size))

    @classmethod
    def of(cls, m: LocalLinearMap, role: Role, *, n: int = 2000, seed: int = 0) -> Calibration:
        """Fit on a map's own pairs, each mapped as if it had not been fitted on.

        Parameters
        ----------
        m : LocalLinearMap
        role : {"gallery", "query"}
            A gallery map (old → new) scores native new queries against mapped rows; a query map
            (new → old) scores mapped queries against native old rows. Both are brought to the scale of
            native new queries against native new rows.
        n, seed : int
            Pairs used, and the seed that draws them; n² scores are held at 8 bytes, twice.

        Raises
        ------
        ValueError
            If `role` is another word.
        InvalidPairsError
            If there are fewer than three pairs.
        """
        if role not in ("gallery", "query"):
            raise ValueError(f"role must be 'gallery' or 'query', not {role!r}")
        rows, mapped, target = m.leave_one_out(n, seed=seed)
        native = target if role == "gallery" else m.anchors[rows]
        if len(rows) < 3:
            raise InvalidPairsError(f"{len(rows)} pairs are too few to calibrate by")
        scores = target @ mapped.T if role == "gallery" else mapped @ target.T
        # Mapped rows are smoothed, more so for some queries than for others, which is to be evened out
        # query by query. A mapped query stands in all scores of its own ranking, and what sets it apart
        # from other queries should not be averaged away: measured, pooling gives the higher mAP there.
        return cls.fit(
            scores=_off_diagonal(scores),
            reference=_off_diagonal(native @ native.T),
            by_query=role == "gallery",
        )

    def apply(self, scores: npt.ArrayLike) -> Vectors:
        """Bring scores to the reference's scale; any shape. Order is kept, ties stay ties.

        float64 stays float64; all else gives float32. NaN stays NaN.
        """
        given = np.asarray(scores)
        x = given.astype(np.float64)
        y: Float64 = np.interp(x, self.scores, self.reference)
        y = y + np.minimum(x - self.scores[0], 0.0) + np.maximum(x - self.scores[-1], 0.0)
        calibrated: Vectors = y if given.dtype == np.float64 else y.astype(np.float32)
        return calibrated

    def parts(self) -> mapfile.Parts:
        """Return what a file holds of the calibration: fields for its header, and arrays."""
        return {"n_scores": self.n_scores}, {"scores": self.scores, "reference": self.reference}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Calibration:
        """Build the calibration that `parts` took apart."""
        return cls(arrays["scores"], arrays["reference"], fields["n_scores"])


def at_level(scores: Float32, known: Float32, reference: Float32) -> Float32:
    """Move and stretch each query's scores such that those of known items have the reference's mean and deviation.

    s' = μ_reference + (s − μ_known) σ_reference / σ_known, query by query.

    Parameters
    ----------
    scores : (n_queries, k) float32
        -inf stays.
    known, reference : (n_queries, m) float32
        Each query's scores of the same items, of the kind of `scores` and of the kind wanted.
    """
    spread = np.maximum(known.std(axis=1, keepdims=True), 1e-6)
    scaled = (scores - known.mean(axis=1, keepdims=True)) * (reference.std(axis=1, keepdims=True) / spread)
    level: Float32 = (reference.mean(axis=1, keepdims=True) + scaled).astype(np.float32)
    return level


def _levels(n: int, least: int) -> Float64:
    """Quantile levels for n scores; the outermost leaves `least` scores beyond it on either side."""
    tail = 0.5 / (_BULK - 1) * 0.5 ** np.arange(_HALVINGS)
    tail = tail[tail * n >= least]
    levels: Float64 = np.unique(np.concatenate([tail, np.linspace(0, 1, _BULK)[1:-1], 1 - tail]))
    return levels


def _off_diagonal(scores: Float32) -> Float64:
    """All scores of a square matrix but those of an item with itself: (n, n − 1)."""
    n = len(scores)
    others: Float64 = scores[~np.eye(n, dtype=np.bool_)].reshape(n, n - 1).astype(np.float64)
    return others
