"""Fitted maps between two models, and the vectors, queries and scores that go through them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.compat.calibration import Calibration, at_level
from retrieval.compat.correction import Mapped, Search
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.pairs import Float32, check_model, checked_vectors, unit_rows
from retrieval.upgrade.evidence import Evidence
from retrieval.upgrade.fingerprint import Fingerprints
from retrieval.upgrade.trial import Kind, isometric
from retrieval.upgrade.truncation import Truncation

# Held-out pairs by which a query's own scale is known.
_LEVELLED_BY = 500


@dataclass(frozen=True, eq=False)
class Bridge:
    """What leads from an old model's stored vectors to a new model's queries.

    `Upgrade` is one that was fitted, and says what the attributes are.
    """

    kind: Kind
    steps: tuple[Isometry | LocalLinearMap | Truncation, ...]
    calibration: Calibration
    old_model: str
    new_model: str
    old_dim: int
    new_dim: int
    fingerprints: Fingerprints
    evidence: Evidence | None

    @property
    def name(self) -> str:
        """Both models' names."""
        return f"{self.old_model} → {self.new_model}"

    @property
    def map(self) -> Isometry | LocalLinearMap | Truncation | None:
        """The one map, None for an identity.

        Raises
        ------
        ValueError
            If the upgrade is chained from several; they are `steps`.
        """
        if len(self.steps) > 1:
            raise ValueError(f"upgrade {self.name!r} is chained from {len(self.steps)} maps; see its steps")
        return self.steps[0] if self.steps else None

    @property
    def search_model(self) -> str:
        """The model in whose space mapped and native vectors meet."""
        return self.old_model if self.kind == "query" else self.new_model

    @property
    def search_dim(self) -> int:
        """Dims of that space."""
        return self.old_dim if self.kind == "query" else self.new_dim

    def map_gallery(
        self, X: npt.ArrayLike, *, model: str | None = None, neighbours: Search = "exact", workers: int = 1
    ) -> Mapped:
        """Bring stored old vectors, or queries by the old model, into the space of the search.

        Parameters
        ----------
        X : (n, d_old) float
        model : str, optional
            The model that `X` comes from; refused unless it is the old one.
        neighbours, workers
            As in `retrieval.compat.LocalLinearMap.transform`.

        Returns
        -------
        Mapped
            Unit rows; under a query map the given ones, scaled. Where no local map judges stored rows,
            `support` is their typicality among the old model's vectors, and `spread` their surprise.

        Raises
        ------
        ModelMismatchError
            If `X` is of another model or dim.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        check_model(model, self.old_model)
        rows = checked_vectors(X, self.old_dim, "vectors", model=self.old_model)
        mapped: Mapped | None = None
        vectors = unit_rows(rows)
        for step in self.steps if self.kind != "query" else ():
            if isinstance(step, Isometry):
                vectors = isometric(step, vectors)
                continue
            if isinstance(step, Truncation):
                raise TypeError("a truncation maps queries, not stored rows; its upgrade is of kind 'query'")
            part = step.map(vectors, neighbours=neighbours, workers=workers)
            vectors = part.vectors
            # Through several maps, an item is as well supported as where it is worst, and errors add up.
            mapped = Mapped(
                vectors,
                part.support if mapped is None else np.minimum(mapped.support, part.support),
                part.spread if mapped is None else mapped.spread + part.spread,
            )
        if mapped is not None:
            return Mapped(vectors, mapped.support, mapped.spread)
        return Mapped(vectors, self.fingerprints.old.typicality(rows), self.fingerprints.old.surprise(rows))

    def map_query(self, Q: npt.ArrayLike, *, model: str | None = None) -> Float32:
        """Bring queries by the new model into the space of the search: (n, d_new) to (n, search_dim).

        Unit rows; only a query map changes their direction. Raises as `map_gallery`.
        """
        check_model(model, self.new_model)
        vectors = unit_rows(checked_vectors(Q, self.new_dim, "queries", model=self.new_model))
        for step in self.steps if self.kind == "query" else ():
            vectors = step.transform(vectors).astype(np.float32, copy=False)
        return vectors

    def levelled(self, scores: Float32, Q: Float32, T: Float32) -> Float32:
        """Fit calibrated scores of mapped items to each query: (n_queries, k), and of the same shape.

        The calibration is one map for all queries. A query that is unlike the pairs, such as a partial record,
        scores lower throughout, on mapped and native vectors not alike. Over the held-out pairs both are known:
        s' = μ_native + (s − μ_mapped) σ_native / σ_mapped, by the query's own means and deviations there.

        Parameters
        ----------
        scores : (n_queries, k) float32
            Calibrated; -inf stays.
        Q, T : (n_queries, d_new) and (n_queries, search_dim) float32
            The queries, and where `map_query` puts them.

        Notes
        -----
        O(500 · dim) time a query.
        """
        if self.evidence is None or not self.steps:
            return scores
        trial = self.evidence.random
        step = max(1, len(trial.new) // _LEVELLED_BY)
        mapped = self.calibration.apply(T @ trial.stored[::step].T)
        native = Q @ trial.new[::step].T
        return at_level(scores, mapped, native)

    def comparable(self, scores: Float32, Q: Float32, T: Float32) -> Float32:
        """Bring raw scores of mapped items to the scale of native ones, as searches do; arguments as `levelled`."""
        return self.levelled(self.calibration.apply(scores).astype(np.float32, copy=False), Q, T)
