"""The query map of a model that was trained to be compatible: its first dims are the old model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from retrieval.compat.mapfile import Parts
from retrieval.compat.pairs import Float32, checked_vectors, unit_rows


@dataclass(frozen=True)
class Truncation:
    """The first `target_dim` of `source_dim` dims, scaled to unit length.

    What BT² (Zhou et al., ICCV 2023) does at search time: both sides are cut to the shorter length.
    """

    source_dim: int
    target_dim: int

    def transform(self, X: npt.ArrayLike) -> Float32:
        """Cut vectors: (n, source_dim) to (n, target_dim) float32, unit rows."""
        return unit_rows(checked_vectors(X, self.source_dim, "queries")[:, : self.target_dim])

    def parts(self) -> Parts:
        """Return what a file holds of it."""
        return {"source_dim": self.source_dim, "target_dim": self.target_dim}, {}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Truncation:
        """Build what `parts` took apart."""
        return cls(**fields)
