"""Maps tried on pairs that they have not seen, and the choice among them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from retrieval.compat.correction import Mapped
from retrieval.compat.errors import PairsWarning
from retrieval.compat.isometry import Isometry
from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.neighbours import exact
from retrieval.compat.pairs import Float32, Float64, Int64, unit_rows

Kind = Literal["identity", "isometry", "gallery", "query"]
KINDS: tuple[Kind, ...] = ("isometry", "gallery", "query")
# A simpler map is kept where it finds this share of neighbours less, at most.
_PARSIMONY = 0.005
# Rows that are tried on; few enough that all their scores with one another fit into 32 MB.
_TRIED = 2000
_FOLDS = 5
_SAME = 1e-5


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit on, and rows to try on."""

    fit: Int64
    held_out: Int64


def random_folds(n: int, seed: int) -> list[Fold]:
    """Split n pairs at random: one part of 2,000 held out, or where pairs are few, each fifth in turn."""
    order = np.random.default_rng(seed).permutation(n)
    parts = np.array_split(order, _FOLDS) if n <= _TRIED * _FOLDS / 4 else [order[:_TRIED]]
    return [Fold(np.setdiff1d(order, part), np.sort(part)) for part in parts]


def group_folds(groups: Int64, seed: int) -> list[Fold]:
    """Hold out whole groups: a third of them, or where pairs are few, each third in turn."""
    rng = np.random.default_rng(seed)
    parts = np.array_split(rng.permutation(int(groups.max()) + 1), 3)
    if len(groups) > _TRIED * _FOLDS / 4:
        parts = parts[:1]
    folds = []
    for part in parts:
        inside = np.isin(groups, part)
        held_out = np.flatnonzero(inside)
        if len(held_out) > _TRIED:
            held_out = np.sort(rng.permutation(held_out)[:_TRIED])
        folds.append(Fold(np.flatnonzero(~inside), held_out))
    return folds


@dataclass(frozen=True, eq=False)
class Tried:
    """One kind of map on held-out rows: what queries and stored rows look like where they meet.

    Attributes
    ----------
    queries, stored : (m, d) float32
        New queries and old stored rows in the space of the search.
    support, spread : (m,) float64
        Of the stored rows.
    """

    queries: Float32
    stored: Float32
    support: Float64
    spread: Float64


def fit_map(kind: Kind, old: Float32, new: Float32, names: tuple[str, str], seed: int) -> Isometry | LocalLinearMap:
    """Fit a map of one kind on paired rows; a query map goes from new to old."""
    if kind == "isometry":
        return Isometry.fit(source=old, target=new, source_model=names[0], target_model=names[1])
    if kind == "gallery":
        return LocalLinearMap.fit(source=old, target=new, source_model=names[0], target_model=names[1], seed=seed)
    return LocalLinearMap.fit(source=new, target=old, source_model=names[1], target_model=names[0], seed=seed)


def try_map(kind: Kind, old: Float32, new: Float32, folds: Sequence[Fold], seed: int) -> Tried:
    """Fit on each fold's rows and map those it holds out; rows of all folds together, in their order."""
    queries, stored, support, spread = [], [], [], []
    for fold in folds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PairsWarning)
            m = fit_map(kind, old[fold.fit], new[fold.fit], ("old", "new"), seed)
        X, Y = old[fold.held_out], new[fold.held_out]
        if isinstance(m, Isometry):
            part = Mapped(isometric(m, X), np.ones(len(X)), np.zeros(len(X)))
        else:
            part = m.map(X if kind == "gallery" else Y)
        queries.append(part.vectors if kind == "query" else Y)
        stored.append(X if kind == "query" else part.vectors)
        support.append(part.support)
        spread.append(part.spread)
    return Tried(np.concatenate(queries), np.concatenate(stored), np.concatenate(support), np.concatenate(spread))


def isometric(m: Isometry, X: npt.ArrayLike) -> Float32:
    """Map by an isometry, cut to the target's dims and scaled to unit length again."""
    return unit_rows(m.transform(np.asarray(X, dtype=np.float32))[:, : m.info.target_dim])


def neighbours(queries: Float32, stored: Float32, k: int) -> Int64:
    """Nearest k stored rows of each query, the row of its own number left out: (m, k)."""
    _, rows = exact(stored, queries, k + 1)
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(axis=1), -1] = True
    others: Int64 = rows[~own].reshape(len(rows), k)
    return others


def recalls(found: Int64, truth: Int64) -> Float64:
    """Share of each query's true neighbours that were found: (m,)."""
    shares: Float64 = (found[:, :, None] == truth[:, None, :]).any(axis=2).mean(axis=1)
    return shares


def same_vectors(old: Float32, new: Float32) -> bool:
    """Whether both models give the same unit vectors, but for rounding."""
    return old.shape == new.shape and bool(np.abs(old - new).max() <= _SAME)


def choose_kind(scored: Iterator[tuple[Kind, float]] | Sequence[tuple[Kind, float]]) -> Kind:
    """Take the first kind, in the order given, that is within `_PARSIMONY` of the best."""
    listed = list(scored)
    best = max(value for _, value in listed)
    return next(kind for kind, value in listed if value >= best - _PARSIMONY)
