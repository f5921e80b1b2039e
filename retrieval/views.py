"""One search over vectors of several models: each part is searched in its own space, scores meet on one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval import exact
from retrieval.lineage import Leg
from retrieval.liveindex import LiveIndex
from retrieval.residence import Residence
from retrieval.vectors import VectorTable

if TYPE_CHECKING:
    from retrieval.upgrade import Upgrade

# Where fewer rows than this share are in sight, comparing just those beats searching all for enough of them.
_SPARSE = 1 / 8
_SPARE = 16


class Found(NamedTuple):
    """Neighbours of a batch of queries, nearest first.

    Attributes
    ----------
    parts, rows : (n_queries, k) int64
        Which part of the view, and which row of its table; -1 where there are fewer than k neighbours.
    items : (n_queries, k) int64
    scores : (n_queries, k) float32
        On the scale of native vectors of the query's model; -inf where there is no neighbour.
    """

    parts: NDArray[np.int64]
    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """The rows of one table that a query can find, and what it takes to compare with them.

    Attributes
    ----------
    leg : Leg
    origin : str
        Name of the model that made the vectors.
    table : VectorTable
    live : LiveIndex or None
        An index over the table.
    home : Residence
        Where both are searched.
    roads : tuple of (Upgrade, bool)
        Maps for the query; True for the way from new to old.
    scales : tuple of Upgrade
        Whose calibrations the scores go through.
    visible : (m,) int64 or None
        Rising rows that no part before this one has an item of; None for all.
    """

    leg: Leg
    origin: str
    table: VectorTable
    live: LiveIndex | None
    home: Residence
    roads: tuple[tuple[Upgrade, bool], ...]
    scales: tuple[Upgrade, ...]
    visible: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.table) if self.visible is None else len(self.visible)

    @property
    def in_space(self) -> bool:
        """Whether the vectors lie in the space of the query's model."""
        return not self.roads

    def carried(self, Q: NDArray[np.float32]) -> NDArray[np.float32]:
        """Queries in the space of the table."""
        for upgrade, back in self.roads:
            Q = upgrade.map_query(Q) if back else upgrade.map_gallery(Q).vectors
        return np.ascontiguousarray(Q, dtype=np.float32)

    def calibrated(
        self, scores: NDArray[np.float32], Q: NDArray[np.float32], T: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Scores (n_queries, k) on the scale of native vectors; T are the queries Q in the space of the table."""
        for upgrade in self.scales:
            scores = upgrade.calibration.apply(scores).astype(np.float32, copy=False)
        # Through several upgrades, or from an older model, there are no pairs that show both scales.
        if len(self.scales) == 1 and all(back for _, back in self.roads):
            scores = self.scales[0].levelled(scores, Q, T)
        return scores

    def rows_among(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows in sight of some items."""
        rows = self.table.rows_of(items)
        rows = rows[rows >= 0]
        return rows if self.visible is None else np.intersect1d(rows, self.visible, assume_unique=True)

    def nearest(
        self, Q: NDArray[np.float32], k: int, tensor: Any = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(rows, uncalibrated scores) of the k nearest in sight, shapes (n_queries, min(k, len(self))).

        `tensor` holds the same queries on a GPU, if they are there.
        """
        table = self.table
        if self.visible is None:
            return self._of_all(Q, k, tensor)
        wanted = min(k, len(self.visible))
        share = len(self.visible) / max(len(table), 1)
        if share > _SPARSE:
            seen = np.zeros(len(table), dtype=bool)
            seen[self.visible] = True
            width = int(k / share * 1.5) + _SPARE
            while width < len(table) / 2:
                rows, scores = self._of_all(Q, width, tensor)
                hidden = ~seen[rows]
                if (rows.shape[1] - hidden.sum(axis=1) >= wanted).all():
                    first = np.argsort(hidden, axis=1, kind="stable")[:, :wanted]
                    return np.take_along_axis(rows, first, axis=1), np.take_along_axis(scores, first, axis=1)
                width *= 4
        return exact.search_among(Q, table.matrix, table.items, self.visible, wanted)

    def _of_all(self, Q: NDArray[np.float32], k: int, tensor: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        return self.home.nearest(self.table, self.live, Q, k, tensor)


class View:
    """Everything that a query of one model can find.

    Parameters
    ----------
    parts : list of Part
        The first holds the model's own vectors. An item belongs to the first part that has it.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = [part for number, part in enumerate(parts) if not number or len(part)]

    @property
    def plain(self) -> bool:
        """Whether all vectors are the model's own."""
        return len(self.parts) == 1

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def search(
        self, Q: NDArray[np.float32], k: int, among: NDArray[np.int64] | None = None, tensor: Any = None
    ) -> Found:
        """The k nearest over all parts, of some items only if `among` is given; shapes (n_queries, min(k, n)).

        `tensor` holds the queries on a GPU, if they are there.
        """
        found: list[Found] = []
        for number, part in enumerate(self.parts):
            T = part.carried(Q)
            if among is None:
                rows, scores = part.nearest(T, k, None if part.roads else tensor)
            else:
                rows, scores = exact.search_among(T, part.table.matrix, part.table.items, part.rows_among(among), k)
            items = part.table.items[rows]
            items[rows < 0] = -1
            scores = part.calibrated(scores, Q, T)
            found.append(Found(np.full(rows.shape, number), rows, items, scores))
        if len(found) == 1:
            return found[0]
        return _ranked(found, k)

    def within(self, q: NDArray[np.float32], least: float, among: NDArray[np.int64] | None) -> Found:
        """Every item of a score of at least `least` for one query, nearest first; shapes (1, m)."""
        found: list[Found] = []
        for number, part in enumerate(self.parts):
            table = part.table
            t = part.carried(q[None, :])[0]
            rows = np.arange(len(table)) if part.visible is None else part.visible
            if among is not None:
                rows = part.rows_among(among)
            if not part.scales:
                rows = rows[(table.matrix @ t)[rows] >= least - exact.rounding_bound(table.model.dim)]
            scores = part.calibrated(exact.exact_scores(table.matrix, rows, t)[None, :], q[None, :], t[None, :])[0]
            rows, scores = rows[scores >= least][None, :], scores[scores >= least][None, :]
            found.append(Found(np.full(rows.shape, number), rows, table.items[rows], scores))
        return _ranked(found, sum(one.rows.shape[1] for one in found))

    def named(
        self, found: Found
    ) -> tuple[NDArray[np.object_], NDArray[np.float32], NDArray[np.int64], NDArray[np.object_]]:
        """(ids, scores, items, names of the models that the vectors came from), of the shape of `found`."""
        if self.plain:
            part = self.parts[0]
            ids = part.table.ids[found.rows]
            ids[found.rows < 0] = None
            return ids, found.scores, found.items, np.broadcast_to(np.array(part.origin, dtype=object), ids.shape)
        ids = np.full(found.rows.shape, None, dtype=object)
        names = np.full(found.rows.shape, None, dtype=object)
        for number, part in enumerate(self.parts):
            here = (found.parts == number) & (found.rows >= 0)
            ids[here] = part.table.ids[found.rows[here]]
            names[here] = part.origin
        return ids, found.scores, found.items, names


def _ranked(found: list[Found], k: int) -> Found:
    """The k best of what the parts found, ties in insertion order."""
    parts = np.concatenate([one.parts for one in found], axis=1)
    rows = np.concatenate([one.rows for one in found], axis=1)
    items = np.concatenate([one.items for one in found], axis=1)
    scores = np.concatenate([one.scores for one in found], axis=1)
    best = np.lexsort((items, -scores), axis=1)[:, :k]
    return Found(
        np.take_along_axis(parts, best, axis=1),
        np.take_along_axis(rows, best, axis=1),
        np.take_along_axis(items, best, axis=1),
        np.take_along_axis(scores, best, axis=1),
    )
