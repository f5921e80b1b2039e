"""What real queries find: in the gallery as it is, mapped, encoded anew, and in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from retrieval.compat.local_linear import LocalLinearMap
from retrieval.compat.pairs import Float32, Float64, Int64, checked_vectors, unit_rows
from retrieval.errors import InvalidVectorError
from retrieval.upgrade.judging import (
    CROSS,
    SELF,
    STAY,
    Outcomes,
    attained,
    first,
    joined,
    mixed,
    needed,
    scaled,
)
from retrieval.upgrade.queries import SAME, Bools, Both, Queries, check_dims, same_items

if TYPE_CHECKING:
    from retrieval.upgrade.bridge import Bridge
    from retrieval.upgrade.trial import Trial

# Queries judged, and gallery rows searched, at a time.
_QUERIES = 1000
_ROWS = 8192
# Scores nearer than this are a tie, which the item wanted wins: copies of it are no rivals.
_TIE = 1e-6


def known_item(k: int) -> tuple[str, str]:
    """Names of the measures where the items wanted are known."""
    return ("found@1", f"found@{k}")


@dataclass(frozen=True, eq=False)
class Stage:
    """What queries are tried on: the items wanted and the held-out pairs, which the maps have not seen.

    Attributes
    ----------
    queries : Queries
        Those whose item the maps have not seen.
    unfit : int
        Queries left out, as the item that each wants is one of the pairs that the map was fitted on.
    old, new, stored : (n, d_old), (n, d_new) and (n, search_dim) float32
        Items under both models, and where the search sees them before a backfill.
    spread : (n,) float64
    wanted : (n_queries,) int64
        Row of the item that each query wants; empty where it is not known.
    """

    queries: Queries
    unfit: int
    old: Float32
    new: Float32
    stored: Float32
    spread: Float64
    wanted: Int64

    def __len__(self) -> int:
        return len(self.old)

    @classmethod
    def of(cls, upgrade: Bridge, queries: Queries) -> Stage:
        """Set the stage.

        Raises
        ------
        ModelMismatchError
            If the queries' dims are not the upgrade's.
        InvalidVectorError
            If there are no queries, or each wants an item that the map was fitted on.
        """
        check_dims(queries, (upgrade.old_dim, upgrade.old_model), (upgrade.new_dim, upgrade.new_model))
        if upgrade.evidence is None:
            raise ValueError(f"{upgrade.name!r} holds no pairs to search among")
        trial = upgrade.evidence.random
        if queries.wanted is None:
            none = np.empty(0, dtype=np.int64)
            return cls(queries, 0, trial.old, trial.new, trial.stored, trial.spread, none)
        return _with_items(upgrade, trial, queries, queries.wanted)

    def outcomes(self, upgrade: Bridge, shares: Sequence[float], k: int, n_items: int | None = None) -> Outcomes:
        """Judge every search, query by query: values in [0, 1], but that nearness may fall below.

        - found@1, found@k: whether the item wanted is the first, or among the first k, found; copies of it tie.
        - nearness@1, nearness@k, where no item is known: mean similarity to the query, by the new model, of the first
          or the first k found, foretold for a gallery of `n_items`; see `judging.attained`.
        """
        order = np.argsort(-self.spread, kind="stable")
        parts: list[Outcomes] = []
        for start in range(0, len(self.queries), _QUERIES):
            block = slice(start, start + _QUERIES)
            Q = self.queries.new[block]
            T = upgrade.map_query(Q)
            native, crossed = Q @ self.new.T, T @ self.stored.T
            searches = {STAY: self.queries.old[block] @ self.old.T, CROSS: crossed, SELF: native}
            comparable = upgrade.comparable(crossed, Q, T) if shares else crossed
            for share in shares:
                encoded = np.zeros(len(self), dtype=np.bool_)
                encoded[order[: round(share * len(order))]] = True
                searches[mixed(share)] = np.where(encoded, native, comparable)
            if self.queries.known:
                wanted = self.wanted[block]
                parts.append({name: _found_by(scores, wanted, k) for name, scores in searches.items()})
            else:
                parts.append({name: _judged(scores, native, k, n_items) for name, scores in searches.items()})
        return joined(parts) if self.queries.known else scaled(joined(parts), k)

    def among(self, upgrade: Bridge, gallery: npt.ArrayLike, k: int) -> Outcomes:
        """Look for the items wanted among stored old vectors, staying and mapped: what only a large gallery shows.

        Stored rows are mapped as they would be, whether they are pairs or not. O(n_queries · n_rows · dim) time.
        """
        rows = unit_rows(checked_vectors(gallery, upgrade.old_dim, "gallery vectors"))
        W = self.old[self.wanted]
        Q, T = self.queries.old, upgrade.map_query(self.queries.new)
        own = {
            STAY: np.einsum("ij,ij->i", Q, W),
            CROSS: np.einsum("ij,ij->i", T, self.stored[self.wanted]),
        }
        above = {name: np.zeros(len(Q), dtype=np.int64) for name in own}
        for start in range(0, len(rows), _ROWS):
            block = rows[start : start + _ROWS]
            rivals = W @ block.T < SAME
            for name, queries, stored in ((STAY, Q, block), (CROSS, T, upgrade.map_gallery(block).vectors)):
                better = queries @ stored.T > own[name][:, None] + _TIE
                above[name] += (better & rivals).sum(axis=1)
        return {name: _found(rank, k) for name, rank in above.items()}


def _with_items(upgrade: Bridge, trial: Trial, queries: Queries, wanted: Both) -> Stage:
    held_out = same_items(wanted, (trial.old, trial.new))
    on_stage = held_out.any(axis=1)
    fit = on_stage | ~_seen(upgrade, *wanted)
    if not fit.any():
        raise InvalidVectorError(
            f"each of the {len(queries)} queries wants an item that the upgrade was fitted on; give queries for other "
            "items, or give them to Upgrade.fit or from_gallery, which keep what they want out of the fit"
        )
    rows = np.where(on_stage, np.argmax(held_out, axis=1), -1)[fit].astype(np.int64)
    kept, unfit = queries.kept(fit), int(np.count_nonzero(~fit))
    fresh = np.flatnonzero(rows < 0)
    if not len(fresh):
        return Stage(kept, unfit, trial.old, trial.new, trial.stored, trial.spread, rows)
    X, Y = (side[fit][fresh] for side in wanted)
    # Several queries may want one item, which stands on the stage once.
    first, which = np.unique(np.argmax(same_items((X, Y), (X, Y)), axis=1), return_inverse=True)
    rows[fresh] = len(trial.old) + which
    X, Y = X[first], Y[first]
    mapped = upgrade.map_gallery(X)
    return Stage(
        kept,
        unfit,
        np.concatenate([trial.old, X]),
        np.concatenate([trial.new, Y]),
        np.concatenate([trial.stored, mapped.vectors]),
        np.concatenate([trial.spread, mapped.spread]),
        rows,
    )


def _seen(upgrade: Bridge, old: Float32, new: Float32) -> Bools:
    """Whether items are pairs that a local map of the upgrade was fitted on: (n,) bool."""
    seen = np.zeros(len(old), dtype=np.bool_)
    X = new if upgrade.kind == "query" else old
    for step in upgrade.steps:
        if isinstance(step, LocalLinearMap):
            for start in range(0, len(step.anchors), _ROWS):
                seen |= (X @ step.anchors[start : start + _ROWS].T >= SAME).any(axis=1)
    return seen


def _found_by(scores: Float32, wanted: Int64, k: int) -> dict[str, Float64]:
    own = np.take_along_axis(scores, wanted[:, None], axis=1)
    return _found((scores > own + _TIE).sum(axis=1), k)


def _judged(scores: Float32, native: Float32, k: int, n_items: int | None) -> dict[str, Float64]:
    size = scores.shape[1]
    random = native.mean(axis=1, dtype=np.float64, keepdims=True)
    return attained(first(scores, needed(k, size)), native, random, k, size, n_items)


def _found(above: Int64, k: int) -> dict[str, Float64]:
    return {name: (above < most).astype(np.float64) for name, most in zip(known_item(k), (1, k), strict=True)}
