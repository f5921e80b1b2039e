"""What a model's vectors look like, so that drift and a wrong model's vectors are noticed later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from retrieval.compat.mapfile import Parts
from retrieval.compat.pairs import Float64, checked_vectors, unit_rows

_AXES = 64
_ROWS = 20_000
_ROWS_PER_AXIS = 8


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """A Gaussian of low rank around one model's unit vectors: mean, main axes, one variance for the rest.

    The density is that of probabilistic PCA (Tipping & Bishop, J. R. Stat. Soc. B 61, 1999). It is fitted
    on every other row; `levels` are the surprises of the rows between, which the fit has not seen.

    Attributes
    ----------
    model : str
    dim : int
    n : int
        Vectors it was made from.
    mean : (dim,) float64
    axes : (dim, m) float64
        Orthonormal columns, m ≤ 64.
    variances : (m,) float64
        Along the axes, falling.
    rest : float
        Variance of each direction that no axis spans.
    levels : (≤ n / 2,) float64
        Rising surprises of vectors like those it was made from.
    """

    model: str
    dim: int
    n: int
    mean: Float64
    axes: Float64
    variances: Float64
    rest: float
    levels: Float64

    @classmethod
    def of(cls, X: npt.ArrayLike, model: str, *, seed: int = 0) -> Fingerprint:
        """Take the fingerprint of (n, dim) vectors, n ≥ 4; of more than 20,000 a sample.

        O(n · dim² + dim³) time.

        Raises
        ------
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        ValueError
            If there are fewer than 4 rows.
        """
        rows = checked_vectors(X, None, f"vectors of model {model!r}")
        if len(rows) < 4:
            raise ValueError(f"{len(rows)} vectors are too few for a fingerprint; it needs 4")
        drawn = np.random.default_rng(seed).permutation(len(rows))[:_ROWS]
        seen, unseen = (unit_rows(rows[np.sort(part)]).astype(np.float64) for part in (drawn[::2], drawn[1::2]))
        mean = seen.mean(axis=0)
        values, vectors = np.linalg.eigh((seen - mean).T @ (seen - mean) / len(seen))
        dim = rows.shape[1]
        m = int(np.clip(min(len(seen) // _ROWS_PER_AXIS, dim - 1), 0, _AXES))
        # Vectors of single precision have no variance below this; it keeps constant directions in bounds.
        least = 1e-12
        variances = np.maximum(values[::-1][:m], least)
        rest = max(float(values[: dim - m].mean()), least)
        made = cls(
            model, dim, len(rows), mean, np.ascontiguousarray(vectors[:, ::-1][:, :m]), variances, rest, np.empty(0)
        )
        return cls(**{**vars(made), "levels": np.sort(made.surprise(unseen))})

    def surprise(self, X: npt.ArrayLike) -> Float64:
        """Negative log density of each row of (n, dim), in nats a dim; larger is less like the model.

        Raises
        ------
        ModelMismatchError
            If the rows have another dim.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        rows = checked_vectors(X, self.dim, "vectors", model=self.model)
        centred = unit_rows(rows).astype(np.float64) - self.mean
        along = centred @ self.axes
        outside = np.maximum(np.einsum("ij,ij->i", centred, centred) - np.einsum("ij,ij->i", along, along), 0.0)
        squares = (along**2 / self.variances).sum(axis=1) + outside / self.rest
        spread = np.log(self.variances).sum() + (self.dim - len(self.variances)) * np.log(self.rest)
        surprise: Float64 = 0.5 * (squares + spread + self.dim * np.log(2 * np.pi)) / self.dim
        return surprise

    def typicality(self, X: npt.ArrayLike) -> Float64:
        """Share of the model's own vectors that are at least as surprising: (n,) in [0, 1].

        Near uniform for vectors like those the fingerprint was made from, 0 for what is none of them.
        """
        above = len(self.levels) - np.searchsorted(self.levels, self.surprise(X), side="left")
        return np.asarray(above / len(self.levels), dtype=np.float64)

    def drift(self, X: npt.ArrayLike) -> float:
        """p-value of the hypothesis that the rows come from where the fingerprint was taken.

        Two-sample Kolmogorov–Smirnov over surprises; small is drift. Items must be independent: a
        thousand copies of one row are not a thousand rows.
        """
        return float(stats.ks_2samp(self.surprise(X), self.levels).pvalue)

    def parts(self) -> Parts:
        """Return what a file holds of it."""
        fields = {"model": self.model, "dim": self.dim, "n": self.n, "rest": self.rest}
        return fields, {name: getattr(self, name) for name in ("mean", "axes", "variances", "levels")}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Fingerprint:
        """Build the fingerprint that `parts` took apart."""
        return cls(**fields, **arrays)


@dataclass(frozen=True)
class Fingerprints:
    """What the vectors of both models look like."""

    old: Fingerprint
    new: Fingerprint
