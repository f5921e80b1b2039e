"""Ridge regression between two models, streamed in float64, with its exact leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrieval.compat.pairs import BLOCK_ROWS, Float32, Float64


@dataclass(frozen=True, eq=False)
class Ridge:
    """y = ȳ + (x − x̄) W with W = (XᵀX + λ I)⁻¹ XᵀY over centred pairs.

    Attributes
    ----------
    source_mean : (d_source,) float64
    target_mean : (d_target,) float64
    weights : (d_source, d_target) float64
        W.
    precision : (d_source, d_source) float64
        (XᵀX + λ I)⁻¹, which leverages are made of.
    n : int
    """

    source_mean: Float64
    target_mean: Float64
    weights: Float64
    precision: Float64
    n: int

    def predict(self, X: Float64) -> Float64:
        """Map (n, d_source) rows."""
        mapped: Float64 = self.target_mean + (X - self.source_mean) @ self.weights
        return mapped

    def pull(self, X: Float64) -> Float64:
        """(x − x̄)ᵀ (XᵀX + λ I)⁻¹, row by row: (n, d_source)."""
        pull: Float64 = (X - self.source_mean) @ self.precision
        return pull

    def leverage(self, pull: Float64, Z: Float64) -> Float64:
        """h(x, z) = 1/n + (x − x̄)ᵀ (XᵀX + λ I)⁻¹ (z − x̄), row by row, with x given by its `pull`.

        Without pair i, the prediction at x is ŷ(x) − h(x, x_i) e_i / (1 − h(x_i, x_i)), with e_i the
        residual of the fit that has seen pair i (Sherman–Morrison).
        """
        product: Float64 = np.einsum("ij,ij->i", pull, Z - self.source_mean)
        return product + 1.0 / self.n


@dataclass(frozen=True, eq=False)
class RidgePath:
    """Sums over the pairs and their spectrum, from which a ridge of any penalty costs O(d³)."""

    source_mean: Float64
    target_mean: Float64
    eigenvalues: Float64
    eigenvectors: Float64
    product: Float64
    n: int

    @classmethod
    def of(cls, source: Float32, target: Float32) -> RidgePath:
        """Accumulate over paired unit rows, block by block.

        O(n · d_source · (d_source + d_target)) time, O(d²) memory beyond the arguments.
        """
        n, ds, dt = len(source), source.shape[1], target.shape[1]
        gram, product = np.zeros((ds, ds)), np.zeros((ds, dt))
        source_mean = source.mean(axis=0, dtype=np.float64)
        target_mean = target.mean(axis=0, dtype=np.float64)
        for start in range(0, n, BLOCK_ROWS):
            # Centred before the product: afterwards, a large mean would cancel digits away.
            X = source[start : start + BLOCK_ROWS].astype(np.float64) - source_mean
            Y = target[start : start + BLOCK_ROWS].astype(np.float64) - target_mean
            gram += X.T @ X
            product += X.T @ Y
        values, vectors = np.linalg.eigh(gram)
        return cls(source_mean, target_mean, np.maximum(values, 0.0), vectors, product, n)

    @property
    def scale(self) -> float:
        """Mean eigenvalue of XᵀX: the unit that penalties are given in."""
        return float(self.eigenvalues.mean())

    def at(self, penalty: float) -> Ridge:
        """Return the ridge with λ = penalty · `scale`."""
        shrunk = 1.0 / (self.eigenvalues + penalty * self.scale)
        precision = (self.eigenvectors * shrunk) @ self.eigenvectors.T
        return Ridge(self.source_mean, self.target_mean, precision @ self.product, precision, self.n)
