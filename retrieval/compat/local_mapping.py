"""Mapping by a fitted local-linear map: vectors, tensors, and how far each can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrieval.compat.correction import Corrected, Correction, Mapped, Search
from retrieval.compat.doubt import doubt
from retrieval.compat.own_pairs import targets
from retrieval.compat.pairs import (
    Float32,
    Float64,
    Int64,
    PairInfo,
    Vectors,
    check_model,
    checked_vectors,
    unit_rows,
)
from retrieval.compat.saved import Saved

if TYPE_CHECKING:
    import torch

    from retrieval.compat.tensors import Tables


@dataclass(frozen=True, eq=False)
class LocalMapping(Saved):
    """A ridge, its correction, and what they make of vectors; see `LocalLinearMap`, which is fitted."""

    source_mean: Float64
    target_mean: Float64
    weights: Float64
    anchors: Float32
    residuals: Float32
    temperature: float
    n_neighbours: int
    penalty: float
    levels: Float64
    floor: float
    cosine: float
    info: PairInfo
    width: float
    scale: float

    def transform(
        self,
        X: npt.ArrayLike,
        *,
        model: str | None = None,
        neighbours: Search = "exact",
        workers: int = 1,
    ) -> Float32:
        """Map source vectors into the target's space.

        Parameters
        ----------
        X : (n, d_source) float
        model : str, optional
            The model that `X` comes from; refused unless it is the source.
        neighbours : {"exact", "cells"}
            Compare with all pairs, or with the 160 nearest the centre of the vector's cell:
            O(n · n_pairs · d_source) against O(n · (√n_pairs + 160) · (d_source + d_target)).
        workers : int
            Threads that work on cells, beside what BLAS does by itself; with `OMP_NUM_THREADS=1` one a
            core is best. The result does not depend on them.

        Returns
        -------
        (n, d_target) float32
            Unit rows.

        Raises
        ------
        ModelMismatchError
            If `X` is of another model or dim.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        rows = self._rows(X, model)
        vectors: Float32 = np.empty((len(rows), self.info.target_dim), dtype=np.float32)

        def take(where: slice | Int64, unit: Float32, part: Corrected) -> None:
            vectors[where] = unit_rows(self._added(unit, part))

        self._correction.run(rows, neighbours, workers, take, trust=False)
        return vectors

    def transform_tensor(self, X: torch.Tensor, *, model: str | None = None) -> torch.Tensor:
        """Map a tensor of source vectors on the device where it lies, comparing with all pairs.

        Returns float32 unit rows on that device, which agree with `transform` to 1e-5. Products are
        float32's, unless torch was told to use TF32, whose error is 1e-3. The map's arrays are copied to a
        device once and kept there.
        """
        from retrieval.compat.tensors import Kernel, Tables, checked_tensor, map_rows

        rows = checked_tensor(X, self.info.source_dim, model, self.info.source_model)
        device = str(rows.device)
        if device not in self._tables:
            self._tables[device] = Tables.of(rows.device, self.anchors, self.residuals, self._affine)
        return map_rows(rows, self._tables[device], Kernel(self.temperature, self.n_neighbours, self.floor, self.width))

    def support(self, X: npt.ArrayLike, *, model: str | None = None, neighbours: Search = "exact") -> Float64:
        """How near the vectors are to the pairs, as a share of the pairs; see `Mapped.support`."""
        rows = self._rows(X, model)
        support = np.empty(len(rows))

        def take(where: slice | Int64, _: Float32, part: Corrected) -> None:
            support[where] = part.support

        self._correction.run(rows, neighbours, 1, take)
        return support

    def map(
        self,
        X: npt.ArrayLike,
        *,
        model: str | None = None,
        neighbours: Search = "exact",
        workers: int = 1,
    ) -> Mapped:
        """Map source vectors, and say how far each can be trusted; arguments as `transform`."""
        rows = self._rows(X, model)
        out = Mapped(
            np.empty((len(rows), self.info.target_dim), dtype=np.float32),
            np.empty(len(rows)),
            np.empty(len(rows)),
        )

        def take(where: slice | Int64, unit: Float32, part: Corrected) -> None:
            mapped = self._added(unit, part)
            out.support[where] = part.support
            out.spread[where] = self.scale * doubt(mapped, part.disagreement)
            out.vectors[where] = unit_rows(mapped)

        self._correction.run(rows, neighbours, workers, take)
        return out

    def _rows(self, X: npt.ArrayLike, model: str | None) -> Vectors:
        check_model(model, self.info.source_model)
        return checked_vectors(X, self.info.source_dim, "vectors", model=self.info.source_model)

    def _added(self, unit: Float32, part: Corrected) -> Float32:
        """Add the ridge to the correction, in place."""
        W, offset = self._affine
        mapped = part.correction
        mapped += unit @ W
        mapped += offset
        return mapped

    @cached_property
    def _tables(self) -> dict[str, Tables]:
        """The map's arrays on each device that tensors came from."""
        return {}

    @cached_property
    def _affine(self) -> tuple[Float32, Float32]:
        """W, and the offset ȳ − x̄ W, so that the ridge is one product in float32."""
        offset = self.target_mean - self.source_mean @ self.weights
        return self.weights.astype(np.float32), offset.astype(np.float32)

    @cached_property
    def _correction(self) -> Correction:
        return Correction(
            self.anchors,
            self.residuals,
            partial(targets, self),
            self.temperature,
            self.n_neighbours,
            self.levels,
            self.floor,
            self.width,
        )
