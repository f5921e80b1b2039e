"""Upgrade: everything that a switch from one embedding model to the next needs, fitted on paired vectors."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.calibration import Calibration
from retrieval.compat.correction import Mapped, Search
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.pairs import Float32, check_model, checked_vectors, unit_pairs, unit_rows
from retrieval.upgrade.fingerprint import Fingerprint
from retrieval.upgrade.trial import (
    KINDS,
    Kind,
    choose_kind,
    fit_map,
    isometric,
    neighbours,
    random_folds,
    recalls,
    same_vectors,
    try_map,
)

_KIND = "upgrade"
_LEAST_PAIRS = 10
_K = 10


@dataclass(frozen=True)
class Fingerprints:
    """What the vectors of both models look like."""

    old: Fingerprint
    new: Fingerprint


@dataclass(frozen=True, eq=False)
class Upgrade:
    """A fitted way from an old model's stored vectors to a new model's queries.

    Searches happen in one space, `search_model`'s: that of the new model, into which stored rows are
    mapped, or under a query map that of the old model, into which new queries are mapped.

    Attributes
    ----------
    kind : {"identity", "isometry", "gallery", "query"}
        "identity" where both models give the same vectors.
    steps : tuple of Isometry or LocalLinearMap
        Applied one after the other: to stored rows, or under a query map to new queries. None for an
        identity, one for a fitted upgrade, several for a chained one.
    calibration : Calibration
        Brings scores of new queries with mapped items to the scale of new queries with native items.
    old_model, new_model : str
    old_dim, new_dim : int
    fingerprints : Fingerprints
        By which drift, and vectors of another model, are noticed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((300, 8)).astype(np.float32)
    >>> upgrade = Upgrade.fit(old, old[:, ::-1], old_model="v1", new_model="v2")
    >>> upgrade.kind, upgrade.name
    ('isometry', 'v1 → v2')
    """

    kind: Kind
    steps: tuple[Isometry | LocalLinearMap, ...]
    calibration: Calibration
    old_model: str
    new_model: str
    old_dim: int
    new_dim: int
    fingerprints: Fingerprints

    @classmethod
    def fit(
        cls,
        old: npt.ArrayLike,
        new: npt.ArrayLike,
        *,
        ids: Sequence[str] | None = None,
        classes: npt.NDArray[Any] | Sequence[Hashable] | None = None,
        old_model: str = "old",
        new_model: str = "new",
        kinds: Sequence[Kind] = KINDS,
        seed: int = 0,
    ) -> Upgrade:
        """Fit on the same items under both models; the kind of map is chosen on held-out pairs.

        Parameters
        ----------
        old, new : (n, d_old) and (n, d_new) float
            Paired rows, 10 or more.
        ids : (n,) of str, optional
            The items' ids, which must differ.
        classes : (n,), optional
            Ground truth, if there is any.
        old_model, new_model : str
            The models' names, which must differ.
        kinds : sequence of {"isometry", "gallery", "query"}
            What to choose among; the first that finds as many of the new model's own neighbours as the
            best, to within half a point, is taken.
        seed : int
            Draws the held-out pairs.

        Raises
        ------
        InvalidPairsError
            If the rows cannot be pairs, are fewer than 10 or all alike, or ids or classes do not fit.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.

        Warns
        -----
        FewPairsWarning, UnrelatedPairsWarning
            As in `retrieval.compat.Isometry.fit`.
        """
        if not kinds or not set(kinds) <= set(KINDS):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}, not {kinds!r}")
        X, Y, _ = unit_pairs(old, new)
        _check(X, Y, ids, classes)
        fingerprints = Fingerprints(Fingerprint.of(X, old_model, seed=seed), Fingerprint.of(Y, new_model, seed=seed))
        rest: tuple[Any, ...] = (old_model, new_model, X.shape[1], Y.shape[1], fingerprints)
        if same_vectors(X, Y):
            return cls("identity", (), _no_calibration(), *rest)
        folds = random_folds(len(X), seed)
        native = Y[np.concatenate([fold.held_out for fold in folds])]
        k = min(_K, len(native) - 1)
        truth = neighbours(native, native, k)
        tried = {kind: try_map(kind, X, Y, folds, seed) for kind in kinds}
        kind = choose_kind(
            [(name, float(recalls(neighbours(t.queries, t.stored, k), truth).mean())) for name, t in tried.items()]
        )
        m = fit_map(kind, X, Y, (old_model, new_model), seed)
        best = tried[kind]
        others = ~np.eye(len(native), dtype=np.bool_)
        shape = (len(native), len(native) - 1)
        calibration = Calibration.fit(
            scores=(best.queries @ best.stored.T)[others].reshape(shape),
            reference=(native @ native.T)[others].reshape(shape),
            by_query=kind != "query",
        )
        return cls(kind, (m,), calibration, *rest)

    @property
    def name(self) -> str:
        """Both models' names."""
        return f"{self.old_model} → {self.new_model}"

    @property
    def map(self) -> Isometry | LocalLinearMap | None:
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

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the upgrade to one file, atomically, with a SHA-256; see `retrieval.compat.mapfile`."""
        fields: dict[str, Any] = {
            name: getattr(self, name) for name in ("kind", "old_model", "new_model", "old_dim", "new_dim")
        }
        arrays: dict[str, npt.NDArray[Any]] = {}
        members: dict[str, Any] = {
            "calibration": self.calibration,
            "old": self.fingerprints.old,
            "new": self.fingerprints.new,
            **{f"step{i}": step for i, step in enumerate(self.steps)},
        }
        fields["steps"] = ["isometry" if isinstance(step, Isometry) else "local-linear" for step in self.steps]
        for name, member in members.items():
            fields[name], own = member.parts()
            arrays |= {f"{name}.{key}": array for key, array in own.items()}
        mapfile.write(path, _KIND, fields, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Upgrade:
        """Read what `save` wrote; raises as `retrieval.compat.mapfile.read`."""
        fields, arrays = mapfile.read(path, _KIND)

        def part(of: Any, name: str) -> Any:
            own = {key.partition(".")[2]: array for key, array in arrays.items() if key.startswith(f"{name}.")}
            return of.of_parts(fields[name], own)

        steps = tuple(
            part(Isometry if kind == "isometry" else LocalLinearMap, f"step{i}")
            for i, kind in enumerate(fields["steps"])
        )
        return cls(
            fields["kind"],
            steps,
            part(Calibration, "calibration"),
            fields["old_model"],
            fields["new_model"],
            fields["old_dim"],
            fields["new_dim"],
            Fingerprints(part(Fingerprint, "old"), part(Fingerprint, "new")),
        )


def _no_calibration() -> Calibration:
    """Leave scores as they are."""
    return Calibration(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]), 0)


def _check(
    old: Float32,
    new: Float32,
    ids: Sequence[str] | None,
    classes: npt.NDArray[Any] | Sequence[Hashable] | None,
) -> None:
    """Refuse pairs that nothing can be learnt from."""
    n = len(old)
    if n < _LEAST_PAIRS:
        raise InvalidPairsError(f"{n} pairs are too few to fit and to test an upgrade on; bring {_LEAST_PAIRS} or more")
    for rows, name in ((old, "old"), (new, "new")):
        if np.abs(rows - rows[0]).max() <= 1e-6:
            raise InvalidPairsError(f"all {name} vectors are alike; there is nothing to map by")
    for given, name in ((ids, "ids"), (classes, "classes")):
        if given is not None and len(given) != n:
            raise InvalidPairsError(f"{len(given)} {name} for {n} pairs; give one for each, in the same order")
    if ids is not None and len(set(ids)) < n:
        seen: set[str] = set()
        twice = next(i for i in ids if i in seen or seen.add(i))  # type: ignore[func-returns-value]
        raise InvalidPairsError(f"id {twice!r} stands for more than one pair; give each item once")
