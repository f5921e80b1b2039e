"""How unsure a mapped vector is: what it lacks in length, and how far its neighbours' targets disagree."""

from __future__ import annotations

import numpy as np

from retrieval.compat.pairs import Float32, Float64, Int64, Vectors

_AXES = 64
_AXES_ROWS = 4000


def signs_of(targets: Float32) -> Float32:
    """Return targets, less their mean, in the axes along which they vary most: (n, m) float32, m ≤ 64.

    The axes come from a randomised range finder with two power iterations (Halko, Martinsson & Tropp, SIAM Review 53,
    2011) on 4,000 rows at most. O(n · d_target · m) time.
    """
    rng = np.random.default_rng(0)
    mean = targets.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = targets[np.sort(rng.permutation(len(targets))[:_AXES_ROWS])] - mean
    width = min(_AXES, *rows.shape)
    axes = rng.standard_normal((rows.shape[1], width)).astype(np.float32)
    for _ in range(3):
        axes = np.linalg.qr(rows.T @ (rows @ axes))[0]
    signs: Float32 = (targets - mean) @ axes
    return signs


def disagreement(share: Float64, mean: Float32, squares: Float32, everywhere: float) -> Float64:
    """Variance of a sign drawn by the kernel's weights, where the null neighbour's is one drawn from all pairs.

    Parameters
    ----------
    share : (n,) float64
        The neighbours' share against the null neighbour.
    mean, squares : (n, m) and (n,) float32
        Sums of the neighbours' signs and of their squared lengths, by weights that add up to `share`.
    everywhere : float
        Mean squared length of all signs, whose mean is 0.
    """
    explained = np.einsum("ij,ij->i", mean, mean)
    apart: Float64 = np.maximum(squares + (1.0 - share) * everywhere - explained, 0.0)
    return apart


def doubt(mapped: Vectors, apart: Float64) -> Float64:
    """How unsure mapped vectors are, up to a factor: 1 − |f|² before they are scaled, plus the disagreement.

    A least-squares map shrinks towards the mean where it knows little; where the neighbours' targets point to several
    places, the mean of them is none.
    """
    short = 1.0 - np.einsum("ij,ij->i", mapped, mapped, dtype=np.float64)
    unsure: Float64 = np.maximum(short, 0.0) + apart
    return unsure


def scale_of(
    mapped: Float64, cosine: float, targets: Float32, others: Int64, weights: Float32, share: Float64
) -> float:
    """Ratio of the mean squared distance of left-out pairs, mapped and scaled, from their targets to the mean doubt.

    Parameters
    ----------
    mapped : (m, d_target) float64
        Pairs mapped as if they had been left out, before they are scaled; `cosine` is their mean one with the truth.
    targets : (n, d_target) float32
        Target rows of all pairs.
    others, weights : (m, k) int64 and float32
        The nearest other pairs of each, and the kernel's weights on them.
    share : (m,) float64
        The neighbours' share against the null neighbour.
    """
    signs = signs_of(targets)
    gathered = signs[others]
    gated = weights * share[:, None].astype(np.float32)
    mean = np.matmul(gated[:, None, :], gathered)[:, 0]
    squares = np.einsum("ik,ikj,ikj->i", gated, gathered, gathered)
    everywhere = float(np.einsum("ij,ij->i", signs, signs).mean(dtype=np.float64))
    unsure = float(doubt(mapped, disagreement(share, mean, squares, everywhere)).mean())
    return (2.0 - 2.0 * cosine) / max(unsure, float(np.finfo(np.float64).tiny))
