"""The orthogonal matrix nearest to another: its polar factor, of square matrices and of padded ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrieval.compat.pairs import Float64


def polar_factor_of_few(S: Float64, T: Float64) -> Float64:
    """Polar factor of SᵀT, padded to a square, from n rows, fewer than either dim.

    With Sᵀ = L [A; 0] and Tᵀ = M [B; 0] by Householder reflections, SᵀT = L diag(A Bᵀ, 0) Mᵀ, and the
    factor of the n × n core is that of the whole.
    """
    left, A = np.linalg.qr(S.T, mode="complete")
    right, B = np.linalg.qr(T.T, mode="complete")
    n = len(S)
    return _around(orthogonal_polar_factor(A[:n] @ B[:n].T), left, right)


def padded_polar_factor(C: Float64) -> Float64:
    """Polar factor of a d_source × d_target matrix, padded to a square, by way of its shorter side."""
    d_source, d_target = C.shape
    if d_source == d_target:
        return orthogonal_polar_factor(C)
    if d_source < d_target:
        return np.ascontiguousarray(padded_polar_factor(C.T).T)
    left, R = np.linalg.qr(C, mode="complete")
    return _around(orthogonal_polar_factor(R[:d_target]), left, None)


def _around(core: Float64, left: Float64, right: Float64 | None) -> Float64:
    """L diag(core, I) Mᵀ, with both sides filled up by the identity to the larger of their dims."""
    D = max(len(left), 0 if right is None else len(right))
    out: Float64 = np.eye(D)
    out[: len(core), : len(core)] = core
    out[: len(left)] = left @ out[: len(left)]
    if right is not None:
        out[:, : len(right)] = out[:, : len(right)] @ right.T
    return out


def orthogonal_polar_factor(C: Float64) -> Float64:
    """Polar factor U Vᵀ of C = U S Vᵀ, with one Newton–Schulz step against rounding.

    Q ← Q (3 I − QᵀQ) / 2 squares the distance to orthogonality (Björck & Bowie, SIAM J. Numer. Anal.
    8, 1971). Where C is singular, the singular vectors of the null space complete Q to an orthogonal
    matrix in an arbitrary way.
    """
    U, _, Vt = np.linalg.svd(C)
    Q: Any = U @ Vt
    polished: Float64 = 1.5 * Q - 0.5 * (Q @ (Q.T @ Q))
    return polished
