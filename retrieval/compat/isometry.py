"""Isometry: an orthogonal map from one model's space into the other's, in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.pairs import (
    BLOCK_ROWS,
    CrossCovariance,
    Float64,
    PairInfo,
    Vectors,
    check_model,
    checked_vectors,
    paired_blocks,
    warn_about,
)
from retrieval.compat.polar import padded_polar_factor, polar_factor_of_few
from retrieval.compat.saved import Saved
from retrieval.errors import ModelMismatchError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Isometry(Saved):
    """Orthogonal map between two models' spaces: inner products stay what they were.

    Q = argmin ‖S Q − T‖_F over orthogonal Q, that is the polar factor of SᵀT (Schönemann,
    Psychometrika 31, 1966), with S and T padded by zero columns to D = max(d_source, d_target), the
    least dims in which both fit. The shared space is the target's, padded to D: a source vector is
    rotated into it, a target vector enters as it is. Scores among mapped vectors therefore equal the
    scores among the originals, whatever the pairs were; what the pairs decide is how well mapped
    source vectors agree with native target vectors.

    Attributes
    ----------
    rotation : (D, D) float64
        Q. Rows of vectors are multiplied from the right.
    info : PairInfo
        What it was fitted on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((200, 8)).astype(np.float32)
    >>> new = old @ np.linalg.qr(rng.standard_normal((8, 8)))[0].astype(np.float32)
    >>> m = Isometry.fit(source=new, target=old)
    >>> bool(np.abs(m.transform(new) - old).max() < 1e-5)
    True
    """

    _KIND = "isometry"

    rotation: Float64
    info: PairInfo

    @classmethod
    def fit(
        cls,
        *,
        source: npt.ArrayLike,
        target: npt.ArrayLike,
        source_model: str = "source",
        target_model: str = "target",
    ) -> Isometry:
        """Fit on paired rows.

        Parameters
        ----------
        source, target : (n, d_source) and (n, d_target) float
            The same items under both models, in the same order. Memory maps are read in blocks.
        source_model, target_model : str
            Names by which vectors can be refused later.

        Raises
        ------
        InvalidPairsError
            If the rows cannot be pairs.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.

        Warns
        -----
        FewPairsWarning
            If there are fewer pairs than dims.
        UnrelatedPairsWarning
            If held-out rows match no better than strangers.

        Notes
        -----
        O(n · d_source · d_target + D³) time in float64, O(D²) memory beyond the arguments. The singular
        vectors, which are most of the D³, are those of a square matrix of the smaller dim, or of n where n is
        at most half of that; Householder reflections and products fill them up to D.
        """
        return cls._fit(paired_blocks(source, target), source_model, target_model)

    @classmethod
    def fit_blocks(
        cls,
        blocks: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]],
        *,
        source_model: str = "source",
        target_model: str = "target",
    ) -> Isometry:
        """Fit on a stream of (source rows, target rows), each read once; otherwise as `fit`."""
        return cls._fit(blocks, source_model, target_model)

    @classmethod
    def _fit(
        cls, blocks: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]], source_model: str, target_model: str
    ) -> Isometry:
        sums = CrossCovariance()
        for source, target in blocks:
            sums.add(source, target)
        relatedness = sums.relatedness()
        few = sums.few_rows()
        if few is not None:
            (n, d_source), d_target = few[0].shape, few[1].shape[1]
            rotation = polar_factor_of_few(*few)
        else:
            C = sums.total()
            n, (d_source, d_target) = sums.n, C.shape
            rotation = padded_polar_factor(C)
        info = PairInfo(source_model, target_model, d_source, d_target, n, relatedness)
        warn_about(info, stacklevel=4)
        return cls(rotation, info)

    @property
    def dim(self) -> int:
        """Dims of the shared space."""
        return len(self.rotation)

    def transform(self, X: npt.ArrayLike, *, model: str | None = None) -> Vectors:
        """Map source vectors into the shared space.

        Parameters
        ----------
        X : (n, d_source) float
            float64 stays float64; all else is taken as float32.
        model : str, optional
            The model that `X` comes from; refused unless it is the source.

        Returns
        -------
        (n, D) float32, or float64 for float64
            The first d_target columns can be held against native target vectors, and all D columns
            against other mapped vectors.

        Raises
        ------
        ModelMismatchError
            If `X` is of another model or dim.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        check_model(model, self.info.source_model)
        rows = checked_vectors(X, self.info.source_dim, "vectors", model=self.info.source_model)
        return _times(rows, self.rotation[: self.info.source_dim])

    def transform_tensor(self, X: torch.Tensor, *, model: str | None = None) -> torch.Tensor:
        """Map a tensor of source vectors on the device where it lies; otherwise as `transform`.

        Agrees with `transform` to float32's rounding.
        """
        from retrieval.compat.tensors import checked_tensor, rotate

        rows = checked_tensor(X, self.info.source_dim, model, self.info.source_model)
        return rotate(rows, self.rotation[: self.info.source_dim])

    def inverse(self, Y: npt.ArrayLike, *, padded: bool = False) -> Vectors:
        """Map shared-space vectors back into the source's space: the exact inverse, Y Qᵀ.

        Parameters
        ----------
        Y : (n, D) or (n, d_target) float
            Shared-space vectors, or native target vectors.
        padded : bool
            Return all D columns. By default only the first d_source are returned, which loses nothing
            of a mapped source vector, but something of a native target vector if d_target is larger.

        Returns
        -------
        (n, d_source) or (n, D) float32, or float64 for float64

        Raises
        ------
        ModelMismatchError
            If `Y` has neither of these dims.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        rows = checked_vectors(Y, None, "vectors")
        if rows.shape[1] not in (self.dim, self.info.target_dim):
            raise ModelMismatchError(
                f"vectors have dim {rows.shape[1]}; the shared space has {self.dim} and model "
                f"{self.info.target_model!r} has {self.info.target_dim}"
            )
        columns = self.dim if padded else self.info.source_dim
        return _times(rows, self.rotation[:columns, : rows.shape[1]].T)

    def to_shared(self, X: npt.ArrayLike, *, model: str) -> Vectors:
        """Bring vectors of either model into the D-dim shared space.

        Parameters
        ----------
        X : (n, d) float
        model : str
            The source's or the target's name. Dims are never taken for a name: two models may share
            them.

        Returns
        -------
        (n, D) float32, or float64 for float64
            Source vectors rotated, target vectors padded with zeros.

        Raises
        ------
        ModelMismatchError
            If `model` is neither name, or `X` has another dim than that model.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        if model == self.info.source_model:
            return self.transform(X)
        if model != self.info.target_model:
            raise ModelMismatchError(
                f"model {model!r} is neither {self.info.source_model!r} nor {self.info.target_model!r}"
            )
        rows = checked_vectors(X, self.info.target_dim, "vectors", model=model)
        return np.pad(rows, ((0, 0), (0, self.dim - rows.shape[1])))

    def parts(self) -> mapfile.Parts:
        """Return what a file holds of the map: fields for its header, and arrays."""
        return {"info": self.info.to_fields()}, {"rotation": self.rotation}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Isometry:
        """Build the map that `parts` took apart."""
        return cls(arrays["rotation"], PairInfo(**fields["info"]))


def _times(rows: Vectors, matrix: Float64) -> Vectors:
    """rows @ matrix in float64, rounded once, block by block."""
    out: Vectors = np.empty((len(rows), matrix.shape[1]), dtype=rows.dtype)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS].astype(np.float64, copy=False)
        out[start : start + BLOCK_ROWS] = block @ matrix
    return out
