"""Queries as users ask them, under both models, and the items that they are to find where that is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.mapfile import Parts
from retrieval.compat.pairs import Float32, checked_vectors, unit_rows
from retrieval.errors import InvalidVectorError, ModelMismatchError

# Unit rows that agree so well are one item: float32 leaves a few 1e-7.
SAME = 1.0 - 1e-5
_BLOCK = 4096
Bools = npt.NDArray[np.bool_]
Both = tuple[Float32, Float32]


@dataclass(frozen=True, eq=False)
class Queries:
    """The same queries under the old and the new model.

    Attributes
    ----------
    old, new : (n, d_old) and (n, d_new) float32
        Unit rows.
    wanted : (old, new) of the same shapes, or None
        The item that each query is to find, under both models; several queries may want the same one.

    Examples
    --------
    >>> Queries.of([[3.0, 4.0]], [[1.0, 0.0, 0.0]]).known
    False
    """

    old: Float32
    new: Float32
    wanted: Both | None = None

    @classmethod
    def of(
        cls,
        old: npt.ArrayLike,
        new: npt.ArrayLike,
        *,
        wanted_old: npt.ArrayLike | None = None,
        wanted_new: npt.ArrayLike | None = None,
    ) -> Queries:
        """Check, and scale to unit length.

        Parameters
        ----------
        old, new : (n, d_old) and (n, d_new) float
            The queries.
        wanted_old, wanted_new : (n, d_old) and (n, d_new) float, optional
            The item that each is to find, as both models see it.

        Raises
        ------
        InvalidVectorError
            If a side is not (n, dim) finite numbers or holds an all-zero row, sides differ in length or in dim, or the
            items wanted are given under one model only.
        """
        if (wanted_old is None) != (wanted_new is None):
            lacking = "old" if wanted_old is None else "new"
            raise InvalidVectorError(f"the items wanted are given under one model only; give wanted_{lacking}= too")
        sides = [_unit(old, "queries of the old model"), _unit(new, "queries of the new model")]
        wanted = None
        if wanted_old is not None and wanted_new is not None:
            wanted = (
                _unit(wanted_old, "items wanted, of the old model,"),
                _unit(wanted_new, "items wanted, of the new model,"),
            )
            sides.extend(wanted)
            for side, item in zip(sides[:2], wanted, strict=True):
                if side.shape[1] != item.shape[1]:
                    raise InvalidVectorError(f"queries have dim {side.shape[1]}, the items wanted dim {item.shape[1]}")
        if len({len(side) for side in sides}) > 1:
            lengths = ", ".join(str(len(side)) for side in sides)
            raise InvalidVectorError(f"queries, and the items that they want, must be equally many, not {lengths}")
        return cls(sides[0], sides[1], wanted)

    def __len__(self) -> int:
        return len(self.old)

    @property
    def known(self) -> bool:
        """Whether it is known what each is to find."""
        return self.wanted is not None

    @property
    def n_wanted(self) -> int:
        """Most items that they can want together."""
        return len(self) if self.known else 0

    def kept(self, rows: npt.NDArray[Any]) -> Queries:
        """Return the queries of some rows: a mask of (n_queries,) bool, or row numbers."""
        wanted = None if self.wanted is None else (self.wanted[0][rows], self.wanted[1][rows])
        return Queries(self.old[rows], self.new[rows], wanted)

    def want(self, old: Float32, new: Float32) -> Bools:
        """Whether each item, given as unit rows of both models, is wanted by some query: (n_items,) bool."""
        found = np.zeros(len(old), dtype=np.bool_)
        if self.wanted is not None:
            for start in range(0, len(old), _BLOCK):
                block = slice(start, start + _BLOCK)
                found[block] = same_items((old[block], new[block]), self.wanted).any(axis=1)
        return found

    def parts(self) -> Parts:
        """Return what a file holds of them."""
        arrays = {"old": self.old, "new": self.new}
        if self.wanted is not None:
            arrays |= dict(zip(("wanted_old", "wanted_new"), self.wanted, strict=True))
        return {}, arrays

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Queries:
        """Build the queries that `parts` took apart."""
        wanted = (arrays["wanted_old"], arrays["wanted_new"]) if "wanted_old" in arrays else None
        return cls(arrays["old"], arrays["new"], wanted)


def check_dims(queries: Queries, old: tuple[int, str], new: tuple[int, str]) -> None:
    """Refuse queries of other dims than the models', given as (dim, name), and none at all.

    Raises
    ------
    ModelMismatchError
    InvalidVectorError
        If there are no queries.
    """
    for side, (dim, model) in ((queries.old, old), (queries.new, new)):
        if side.shape[1] != dim:
            raise ModelMismatchError(f"queries have dim {side.shape[1]}, vectors of model {model!r} dim {dim}")
    if not len(queries):
        raise InvalidVectorError("there are no queries to judge by")


def same_items(some: Both, others: Both) -> Bools:
    """Whether items, given as unit rows of both models, are alike under both: (n_some, n_others) bool."""
    same: Bools = (some[0] @ others[0].T >= SAME) & (some[1] @ others[1].T >= SAME)
    return same


def _unit(rows: npt.ArrayLike, what: str) -> Float32:
    return unit_rows(checked_vectors(rows, None, what))
