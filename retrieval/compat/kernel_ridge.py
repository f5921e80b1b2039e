"""Kernel ridge regression between two models, over all pairs at once, with its exact leave-one-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.linalg import lapack

from retrieval.compat.pairs import Float32, Float64, Int64

# Pairs that the settings are chosen on: a solution takes a fifth of a second for them.
CHOSEN_ON = 2000


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """f(x) = Σ_i α_i (1 + x·x_i + exp((x·x_i − 1) / w)) with α = (K + λ I)⁻¹ Y, for unit x.

    The first two terms are an affine map, o + x W with o = Σ α_i and W = Xᵀ α; the third vanishes far
    from the pairs. A kernel ridge weighs the pairs against each other, where a kernel-weighted mean
    counts a cluster of alike pairs once for each: with few pairs that is worth several points (Saunders,
    Gammerman & Vovk, ICML 1998; leave-one-out: Rasmussen & Williams 2006, sec. 5.4.2).

    Attributes
    ----------
    coefficients : (n, d_target) float64
        α.
    offset, weights : (d_target,) and (d_source, d_target) float64
        o and W.
    own : (n,) float64
        Diagonal of (K + λ I)⁻¹.
    pull : (n,) float64
        Diagonal of (1 + X Xᵀ)(K + λ I)⁻¹.
    width, penalty : float
        w and λ.
    """

    coefficients: Float64
    offset: Float64
    weights: Float64
    own: Float64
    pull: Float64
    width: float
    penalty: float

    @classmethod
    def solve(cls, source: Float32, target: Float32, width: float, penalty: float) -> KernelRidge:
        """Solve for paired unit rows: O(n³) time, 16 n² bytes."""
        X, Y = source.astype(np.float64), target.astype(np.float64)
        scores = X @ X.T
        K = np.exp((scores - 1.0) / width)
        K += scores
        K += 1.0
        K[np.diag_indices_from(K)] += penalty
        factor, failed = lapack.dpotrf(K.T, lower=1, overwrite_a=1)
        if failed:
            raise np.linalg.LinAlgError(f"the kernel of {len(X)} pairs is singular at penalty {penalty}; raise it")
        coefficients, _ = lapack.dpotrs(factor, Y, lower=1)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        pull = inverse.sum(axis=1) + np.einsum("ij,ij->i", inverse @ X, X)
        return cls(
            np.ascontiguousarray(coefficients),
            coefficients.sum(axis=0),
            X.T @ coefficients,
            np.diagonal(inverse).copy(),
            pull,
            width,
            penalty,
        )

    def left_out(self, source: Float32, target: Float32, share: Float64) -> Float64:
        """Map each pair as if it had not been solved with, the kernel's part times `share`: exact.

        Without pair i the coefficients are α − G⁻¹ e_i α_i / G⁻¹_ii with G = K + λ I, so that the whole at
        x_i is y_i − α_i / G⁻¹_ii, and its affine part falls by ((1 + X Xᵀ) G⁻¹)_ii α_i / G⁻¹_ii.
        """
        whole = target.astype(np.float64) - self.coefficients / self.own[:, None]
        affine = self.offset + source.astype(np.float64) @ self.weights
        affine -= (self.pull / self.own)[:, None] * self.coefficients
        mapped: Float64 = affine + share[:, None] * (whole - affine)
        return mapped


def choose_solution(
    source: Float32, target: Float32, share: Float64, rows: Int64, widths: Sequence[float], penalties: Sequence[float]
) -> tuple[float, float]:
    """Take the width and penalty whose leave-one-out vectors have the highest mean cosine with the truth.

    O(|w| · |λ| · m³) time for the m pairs of `rows`, which are solved for by themselves.
    """
    X, Y, gates = source[rows], target[rows], share[rows]
    settings = list(product(widths, penalties))
    if len(settings) == 1:
        return settings[0]
    cosines = [mean_cosine(KernelRidge.solve(X, Y, *setting).left_out(X, Y, gates), Y) for setting in settings]
    return settings[int(np.argmax(cosines))]


def mean_cosine(mapped: Float64, target: Float32) -> float:
    """Mean cosine of mapped rows, of any length, with unit target rows."""
    lengths = np.maximum(np.linalg.norm(mapped, axis=1), np.finfo(np.float64).tiny)
    return float(np.mean(np.einsum("ij,ij->i", mapped, target.astype(np.float64)) / lengths))
