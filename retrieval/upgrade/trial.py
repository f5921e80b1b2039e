"""Maps tried on pairs that they have not seen."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrieval.compat.errors import PairsWarning
from retrieval.compat.fitting import Method
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.mapfile import Parts
from retrieval.compat.neighbours import spherical_kmeans
from retrieval.compat.pairs import Float32, Float64, Int64, unit_rows
from retrieval.upgrade.fingerprint import Fingerprint

Kind = Literal["identity", "isometry", "gallery", "query"]
Settings = dict[str, Any]
_SETTINGS = ("penalty", "temperature", "n_neighbours", "width")
# Rows held out at a time; few enough that all their scores with one another fit into 16 MB.
_TRIED = 2000
QUERIES = 1500
PARTS = 5
_GROUP_PARTS = 3
_LEAST_FOLD = 4
_MOST_CLUSTERS = 150
_KMEANS_ROWS = 20_000
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit on, and rows to try on."""

    fit: Int64
    held_out: Int64


def random_folds(codes: Int64, seed: int) -> list[Fold]:
    """Hold out a fifth of the pairs, 2,000 at most, of each class alike; further fifths until 1,500 queries."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    return _folds([order[i::PARTS] for i in range(PARTS)], len(codes), rng)


def half_folds(n: int, seed: int) -> list[Fold]:
    """Hold out one half of n pairs, and then the other."""
    rng = np.random.default_rng(seed)
    return _folds(np.array_split(rng.permutation(n), 2), n, rng)


def group_folds(codes: Int64, seed: int) -> list[Fold]:
    """Hold out whole groups, a third of them at a time, until there are 1,500 queries.

    Where that leaves too little on one side, as where one group is nearly all, a third of the pairs.
    """
    rng = np.random.default_rng(seed)
    groups = np.array_split(rng.permutation(int(codes.max()) + 1), _GROUP_PARTS)
    parts = [np.flatnonzero(np.isin(codes, part)) for part in groups]
    if any(min(len(part), len(codes) - len(part)) < _LEAST_FOLD for part in parts):
        parts = np.array_split(rng.permutation(len(codes)), _GROUP_PARTS)
    return _folds(parts, len(codes), rng)


def _folds(parts: Sequence[Int64], n: int, rng: np.random.Generator) -> list[Fold]:
    folds: list[Fold] = []
    for part in parts:
        held_out = np.sort(rng.permutation(part)[:_TRIED])
        folds.append(Fold(np.setdiff1d(np.arange(n), part), held_out))
        if sum(len(fold.held_out) for fold in folds) >= QUERIES:
            break
    return folds


def clusters(old: Float32, new: Float32, seed: int) -> Int64:
    """Cut the pairs into about √n clusters, 6 to 150, by k-means on both vectors side by side.

    By the old vectors alone clusters are milder than kinds of items are: neighbours that only the new model
    sees stay behind in other clusters (LSA-128 → MiniLM: nearness@1 of mapped search less staying is +3
    points on clusters of old vectors, −13 on clusters of both, −11 on held-out classes).
    """
    rng = np.random.default_rng(seed)
    n = int(np.clip(np.sqrt(len(old)), min(6, len(old)), _MOST_CLUSTERS))
    both = unit_rows(np.concatenate([old, new], axis=1))
    centres = spherical_kmeans(both[rng.permutation(len(old))[:_KMEANS_ROWS]], n, rng)
    _, codes = np.unique(np.argmax(both @ centres.T, axis=1), return_inverse=True)
    return codes.astype(np.int64)


@dataclass(frozen=True, eq=False)
class Trial:
    """Held-out pairs, and where a map that has not seen them puts them; fold by fold.

    Attributes
    ----------
    kind : str
        Of the map.
    old, new : (m, d_old) and (m, d_new) float32
        Unit rows of both models.
    mapped : (m, search_dim) float32
        Stored rows in the new model's space, or under a query map queries in the old model's.
    spread : (m,) float64
        How unsure the map is of each stored row; see `retrieval.compat.Mapped`.
    codes : (m,) int64
        Classes as numbers; -1 for all where there are none.
    sizes : (n_folds,) int64
        Rows of each fold. Only rows of one fold were left out of the fit together, so that queries of
        one fold are searched among its own rows alone.
    seconds : float
        Time to map a row.
    settings : dict
        Penalty, temperature, neighbours and width of a local-linear map; empty for others.
    """

    kind: Kind
    old: Float32
    new: Float32
    mapped: Float32
    spread: Float64
    codes: Int64
    sizes: Int64
    seconds: float
    settings: Settings

    @classmethod
    def of(
        cls,
        kind: Kind,
        old: Float32,
        new: Float32,
        codes: Int64,
        folds: Sequence[Fold],
        seed: int,
        settings: Settings | None = None,
        method: Method = "mean",
    ) -> Trial:
        """Fit on each fold's rows and map those that it holds out.

        What is not given of the settings of a local-linear map is chosen on the first fold, and kept:
        four numbers learn nothing of single pairs, and choosing them takes most of the time of a fit.
        """
        mapped, spread, elapsed = [], [], 0.0
        settings = dict(settings or {})
        for fold in folds:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", PairsWarning)
                m = fit_map(kind, old[fold.fit], new[fold.fit], ("old", "new"), seed, settings, method)
            if isinstance(m, LocalLinearMap):
                settings = {name: getattr(m, name) for name in _SETTINGS}
            X, Y = old[fold.held_out], new[fold.held_out]
            start = time.perf_counter()
            if m is None:
                part = X, np.zeros(len(X))
            elif isinstance(m, Isometry):
                part = isometric(m, X), _surprise(X, old[fold.fit])
            else:
                found = m.map(Y if kind == "query" else X)
                part = found.vectors, _surprise(X, old[fold.fit]) if kind == "query" else found.spread
            elapsed += time.perf_counter() - start
            mapped.append(part[0])
            spread.append(part[1])
        rows = np.concatenate([fold.held_out for fold in folds])
        sizes = np.array([len(fold.held_out) for fold in folds], dtype=np.int64)
        return cls(
            kind,
            old[rows],
            new[rows],
            np.concatenate(mapped),
            np.concatenate(spread),
            codes[rows],
            sizes,
            elapsed / len(rows),
            settings,
        )

    @property
    def method(self) -> Method:
        """How a local-linear map was corrected; "mean" for other kinds."""
        return "solve" if self.settings.get("width") else "mean"

    @property
    def queries(self) -> Float32:
        """New queries in the space of the search: (m, search_dim)."""
        return self.mapped if self.kind == "query" else self.new

    @property
    def stored(self) -> Float32:
        """Old rows in the space of the search: (m, search_dim)."""
        return self.old if self.kind == "query" else self.mapped

    def folds(self) -> Iterator[slice]:
        """Rows of each fold."""
        start = 0
        for size in self.sizes.tolist():
            yield slice(start, start + size)
            start += size

    def parts(self) -> Parts:
        """Return what a file holds of it."""
        arrays = {name: getattr(self, name) for name in ("old", "new", "mapped", "spread", "codes", "sizes")}
        return {"kind": self.kind, "seconds": self.seconds, "settings": self.settings}, arrays

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> Trial:
        """Build the trial that `parts` took apart."""
        return cls(**fields, **arrays)


def fit_map(
    kind: Kind,
    old: Float32,
    new: Float32,
    names: tuple[str, str],
    seed: int,
    settings: Settings | None = None,
    method: Method = "mean",
) -> Isometry | LocalLinearMap | None:
    """Fit a map of one kind on paired rows; a query map goes from new to old, an identity is None.

    A local-linear map chooses its settings, unless they are given; those of a mean fix what a solution has in
    common with it.
    """
    if kind == "identity":
        return None
    sides = (old, new) if kind != "query" else (new, old)
    named = names if kind != "query" else names[::-1]
    if kind == "isometry":
        return Isometry.fit(source=sides[0], target=sides[1], source_model=named[0], target_model=named[1])
    fixed: dict[str, Any] = {"method": method}
    if settings:
        fixed |= {"temperatures": [settings["temperature"]], "neighbours": [settings["n_neighbours"]]}
        width, penalty = settings.get("width", 0.0), settings["penalty"]
        fixed |= {"widths": [width], "solve_penalties": [penalty]} if width else {"penalties": [penalty]}
    return LocalLinearMap.fit(
        source=sides[0], target=sides[1], source_model=named[0], target_model=named[1], seed=seed, **fixed
    )


def isometric(m: Isometry, X: npt.ArrayLike) -> Float32:
    """Map by an isometry, cut to the target's dims and scaled to unit length again."""
    return unit_rows(m.transform(np.asarray(X, dtype=np.float32))[:, : m.info.target_dim])


def same_vectors(old: Float32, new: Float32) -> bool:
    """Whether both models give the same unit vectors, but for rounding."""
    return old.shape == new.shape and bool(np.abs(old - new).max() <= _SAME)


def _surprise(X: Float32, fitted: Float32) -> Float64:
    return Fingerprint.of(fitted, "old").surprise(X)
