"""What a local-linear map would have made of its own pairs had it not seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from retrieval.compat.neighbours import exact
from retrieval.compat.pairs import Float32, Float64, Int64
from retrieval.compat.ridge import Ridge, RidgePath

# Pairs looked up at a time: with 100 neighbours and d = 768, 80 MB of gathered rows.
_BLOCK = 256
# Share of the pairs themselves that may count as off the support.
FLOOR_QUANTILE = 0.01


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """The nearest other pairs of some of the pairs.

    Attributes
    ----------
    rows : (m,) int64
        The pairs looked at.
    scores : (m, k) float32
        Cosines of their nearest others, falling.
    others : (m, k) int64
    """

    rows: Int64
    scores: Float32
    others: Int64

    @classmethod
    def of(cls, source: Float32, rows: Int64, k: int) -> Neighbourhoods:
        """Look up the k nearest others; k is at most n − 1."""
        scores, others = exact(source, source[rows], k + 1)
        is_self = others == rows[:, None]
        # A pair with k duplicates may miss itself in the list; then the last is one too many.
        is_self[~is_self.any(axis=1), -1] = True
        shape = (len(rows), k)
        return cls(rows, scores[~is_self].reshape(shape), others[~is_self].reshape(shape))


@dataclass(frozen=True, eq=False)
class KernelMeans:
    """Kernel-weighted means over the neighbours, for one temperature and number of neighbours."""

    source: Float64
    target: Float64
    levels: Float64

    @classmethod
    def of(cls, source: Float32, target: Float32, near: Neighbourhoods, temperature: float, k: int) -> KernelMeans:
        """Average source and target rows over the first k neighbours with the kernel's weights."""
        weights, levels = kernel(near.scores[:, :k], temperature)
        means = []
        for side in (source, target):
            mean = np.empty((len(near.rows), side.shape[1]))
            for start in range(0, len(near.rows), _BLOCK):
                block = slice(start, start + _BLOCK)
                gathered = side[near.others[block, :k]]
                mean[block] = np.matmul(weights[block, None, :], gathered)[:, 0]
            means.append(mean)
        return cls(means[0], means[1], levels)


@dataclass(frozen=True)
class Choice:
    """The settings with the best leave-one-out cosine."""

    penalty: float
    temperature: float
    n_neighbours: int
    cosine: float


def kernel(scores: Float32, temperature: float) -> tuple[Float32, Float64]:
    """Softmax of scores / T by rows, and the level L = T · log Σ exp(score / T).

    L lies near the best score where one neighbour stands out, and above it where many are near.
    """
    top = scores.max(axis=1, keepdims=True)
    weights = scores - top
    weights *= np.float32(1 / temperature)
    np.exp(weights, out=weights)
    mass = weights.sum(axis=1, keepdims=True)
    levels: Float64 = (top + temperature * np.log(mass.astype(np.float64)))[:, 0]
    weights /= mass
    return weights, levels


def gate(levels: Float64, floor: float, temperature: float) -> Float64:
    """Share of the kernel's weight that the neighbours get against a null neighbour at `floor`.

    1 / (1 + exp((floor − L) / T)): the softmax with one more entry, of score `floor` and residual zero.
    Far off the pairs' support it vanishes, and the map is the ridge alone.
    """
    # Beyond ± 60 the gate is 0 or 1 to float64's precision; further, exp would overflow.
    exponent = np.clip((floor - levels) / temperature, -60.0, 60.0)
    share: Float64 = 1.0 / (1.0 + np.exp(exponent))
    return share


def floor_of(levels: Float64) -> float:
    """Level below which an item counts as off the support: the lowest percent of the pairs' own."""
    return float(np.quantile(levels, FLOOR_QUANTILE))


@dataclass(frozen=True, eq=False)
class Missed:
    """What a ridge makes of pairs that it was fitted on.

    Attributes
    ----------
    ridge : Ridge
    predicted, missed : (m, d_target) float64
        ŷ, and e, the residuals.
    pull : (m, d_source) float64
        (x_i − x̄)ᵀ (XᵀX + λ I)⁻¹, of which leverages are products.
    own : (m,) float64
        h_ii.
    """

    ridge: Ridge
    predicted: Float64
    missed: Float64
    pull: Float64
    own: Float64

    @classmethod
    def of(cls, ridge: Ridge, source: Float32, target: Float32, rows: Int64) -> Missed:
        """Look at some of the pairs: O(m · d_source · (d_source + d_target)) time."""
        X, Y = source[rows].astype(np.float64), target[rows].astype(np.float64)
        predicted, pull = ridge.predict(X), ridge.pull(X)
        return cls(ridge, predicted, Y - predicted, pull, ridge.leverage(pull, X))


def left_out(found: Missed, means: KernelMeans, floor: float, temperature: float) -> Float64:
    """Map each of the pairs as if the map had been fitted without it: exact, without a refit.

    With h the leverages and e the residuals of the full fit, w the kernel's weights on the other pairs
    and g the gate, the map without pair i gives at x_i ::

        ŷ_i + g Σ_j w_j (y_j − ŷ_j) − e_i / (1 − h_ii) · (h_ii − g Σ_j w_j h_ij)

    since leaving pair i out moves every prediction ŷ(x) by − h(x, x_i) e_i / (1 − h_ii), those that
    the residuals are taken from included.
    """
    ridge, own = found.ridge, found.own
    share = gate(means.levels, floor, temperature)
    correction = means.target - ridge.predict(means.source)
    pulled = own - share * ridge.leverage(found.pull, means.source)
    mapped: Float64 = found.predicted + share[:, None] * correction - (pulled / (1.0 - own))[:, None] * found.missed
    return mapped


def choose(
    path: RidgePath,
    source: Float32,
    target: Float32,
    near: Neighbourhoods,
    penalties: Sequence[float],
    temperatures: Sequence[float],
    neighbours: Sequence[int],
) -> Choice:
    """Take the settings whose leave-one-out vectors have the highest mean cosine with the truth.

    O(|T| · |k| · m · (k + |λ| · d_source) · d_target) time for m pairs looked at.
    """
    actual = target[near.rows].astype(np.float64)
    ridges = [(penalty, Missed.of(path.at(penalty), source, target, near.rows)) for penalty in penalties]
    best: Choice | None = None
    for temperature, k in product(temperatures, neighbours):
        means = KernelMeans.of(source, target, near, temperature, k)
        floor = floor_of(means.levels)
        for penalty, found in ridges:
            mapped = left_out(found, means, floor, temperature)
            lengths = np.maximum(np.linalg.norm(mapped, axis=1), np.finfo(np.float64).tiny)
            cosine = float(np.mean(np.einsum("ij,ij->i", mapped, actual) / lengths))
            if best is None or cosine > best.cosine:
                best = Choice(penalty, temperature, k, cosine)
    if best is None:
        raise ValueError("penalties, temperatures and neighbours must each hold a value")
    return best
