"""Whether the pairs cover what the gallery holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.mapfile import Parts
from retrieval.compat.neighbours import exact
from retrieval.compat.pairs import Float32, Float64, checked_vectors, unit_rows
from retrieval.metrics import Interval
from retrieval.upgrade.queries import SAME
from retrieval.upgrade.trial import Fold

_ANCHORS = 4000
_NEAREST = 3
_RESAMPLES = 1000
# Below this distance between the two kinds of held-out items, there are no two kinds.
_LEAST_CONTRAST = 0.05


@dataclass(frozen=True, eq=False)
class Coverage:
    """How near old vectors are to the pairs, next to held-out pairs and to held-out groups of pairs.

    An item's level is its mean cosine with the three nearest of the pairs kept here. Items of kinds that
    the pairs do not hold are like groups held out as a whole, all others like pairs held out at random;
    the share of the former follows from the mean rank of a sample's levels.

    Attributes
    ----------
    anchors : (≤ 4,000, d_old) float32
        Pairs to which nearness is measured.
    inside, outside : float64
        Rising levels of pairs held out at random, and of those held out in whole groups.
    """

    anchors: Float32
    inside: Float64
    outside: Float64

    @classmethod
    def of(cls, old: Float32, random: list[Fold], groups: list[Fold], seed: int) -> Coverage:
        """Measure both kinds of folds against a sample of what each left to fit on.

        The sample is as large in all folds: levels rise with the number of pairs to be near to.
        """
        rng = np.random.default_rng(seed)
        n = min(_ANCHORS, *(len(fold.fit) for fold in [*random, *groups]))
        levels = [
            [_levels(old[fold.held_out], old[rng.permutation(fold.fit)[:n]]) for fold in folds]
            for folds in (random, groups)
        ]
        anchors = old[np.sort(rng.permutation(len(old))[:n])]
        return cls(anchors, np.sort(np.concatenate(levels[0])), np.sort(np.concatenate(levels[1])))

    def support(self, X: npt.ArrayLike) -> Float64:
        """Share of held-out pairs that lie no nearer to the pairs than each old vector: (n,) in [0, 1]."""
        return self._rank(_levels(self._checked(X), self.anchors))

    def uncovered(self, X: npt.ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Interval:
        """Share of old vectors, like these, that are of kinds that the pairs do not hold.

        With r the mean support, (r_inside − r) / (r_inside − r_outside), kept in [0, 1]; the interval is a
        bootstrap over all three samples. An item of X that is one of the pairs lies on itself, which tells nothing of
        kinds, and counts as a held-out pair. X should hold no more of these than the gallery does.
        """
        rows, inside = self._checked(X), self._rank(self.inside)
        scores, _ = exact(self.anchors, rows, 1)
        support = np.where(scores[:, 0] >= SAME, inside.mean(), self._rank(_levels(rows, self.anchors)))
        sides = [inside, support, self._rank(self.outside)]
        rng = np.random.default_rng(seed)
        drawn = np.array(
            [[side[rng.integers(0, len(side), len(side))].mean() for side in sides] for _ in range(_RESAMPLES)]
        )
        tail = (1 - confidence) / 2
        low, high = np.quantile(_share(*drawn.T), [tail, 1 - tail])
        estimate = float(_share(*(np.array([side.mean()]) for side in sides))[0])
        return Interval(estimate, float(low), float(high), confidence)

    def parts(self) -> Parts:
        """Return what a file holds of it."""
        return {}, {"anchors": self.anchors, "inside": self.inside, "outside": self.outside}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Coverage:
        """Build what `parts` took apart."""
        return cls(**fields, **arrays)

    def _checked(self, X: npt.ArrayLike) -> Float32:
        return unit_rows(checked_vectors(X, self.anchors.shape[1], "gallery vectors"))

    def _rank(self, levels: Float64) -> Float64:
        rank: Float64 = np.searchsorted(self.inside, levels, side="right") / len(self.inside)
        return rank


def _levels(X: Float32, anchors: Float32) -> Float64:
    scores, _ = exact(anchors, X, min(_NEAREST, len(anchors)))
    levels: Float64 = scores.mean(axis=1, dtype=np.float64)
    return levels


def _share(inside: Float64, sample: Float64, outside: Float64) -> Float64:
    contrast = inside - outside
    share: Float64 = np.clip((inside - sample) / np.maximum(contrast, _LEAST_CONTRAST), 0.0, 1.0)
    return share
