"""Questions about more than the nearest few: all within a score, near-duplicates, every vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import exact
from retrieval.encoding import queries
from retrieval.errors import InvalidVectorError
from retrieval.hits import Hit
from retrieval.payload import load
from retrieval.reader import GalleryReader, Where

Batch = tuple[list[str], list[Any], NDArray[np.float32]]

_ROWS = 1024
_COLUMNS = 16384


class GallerySurveys(GalleryReader):
    """The readings of `retrieval.Gallery` that go through all vectors."""

    def search_range(self, query: Any, min_score: float, *, where: Where | None = None) -> list[Hit]:
        """Every item whose cosine with the query is at least `min_score`, nearest first; exact.

        Parameters
        ----------
        query : dict or array of shape (dim,)
            One record or vector.
        min_score : float
        where : dict, optional
            A filter, as for `search`.

        Raises
        ------
        TypeError, InvalidVectorError, NoEncoderError, FilterError

        Notes
        -----
        O(count * dim) time; memory grows with the number of hits.
        """
        Q, single = queries(query, self.dim, self._encoder_for(query))
        if not single:
            raise InvalidVectorError("search_range takes one query, not a batch")
        with self._searcher.current() as (snapshot, table):
            near = table.matrix @ Q[0] >= min_score - exact.rounding_bound(self.dim)
            if where is not None:
                rows = table.rows_of(self._searcher.passing(snapshot, where))
                passing = np.zeros(len(table), dtype=bool)
                passing[rows[rows >= 0]] = True
                near &= passing
            rows = np.flatnonzero(near)
            scores = exact.exact_scores(table.matrix, rows, Q[0])
            kept = scores >= min_score
            rows, scores = exact.best(rows[kept], scores[kept], table.items, max(1, int(kept.sum())))
            items = table.items[rows].tolist()
            records = snapshot.records(items)
            return [
                Hit(name, score, self.model, records[item])
                for name, score, item in zip(table.ids[rows].tolist(), scores.tolist(), items, strict=True)
            ]

    def near_duplicates(self, min_score: float = 0.95) -> Iterator[tuple[str, str, float]]:
        """Pairs of items with a cosine of at least `min_score`: (earlier id, later id, score), by insertion order.

        Of the state at the first step; writes of this process wait until the iterator is exhausted or closed.

        Notes
        -----
        Exact, O(count^2 * dim) time; about 64 MB beyond the vectors.
        """
        bound = exact.rounding_bound(self.dim)
        with self._searcher.current() as (_, table):
            by_item = np.argsort(table.items)
            ids = table.ids
            for start in range(0, len(by_item), _ROWS):
                left = by_item[start : start + _ROWS]
                found: list[tuple[int, int]] = []
                for other in range(start, len(by_item), _COLUMNS):
                    right = by_item[other : other + _COLUMNS]
                    products = table.matrix[left] @ table.matrix[right].T
                    a, b = np.nonzero(products >= min_score - bound)
                    pairs = zip((a + start).tolist(), (b + other).tolist(), strict=True)
                    found += [(i, j) for i, j in pairs if i < j]
                for i, j in sorted(found):
                    rows = by_item[j : j + 1]
                    score = float(exact.exact_scores(table.matrix, rows, table.matrix[by_item[i]])[0])
                    if score >= min_score:
                        yield ids[by_item[i]], ids[by_item[j]], score

    def vectors(self) -> tuple[list[str], NDArray[np.float32]]:
        """Ids and a copy of their vectors, shape (count, dim), in insertion order."""
        with self._searcher.current() as (_, table):
            order = np.argsort(table.items)
            return table.ids[order].tolist(), table.matrix[order]

    def batches(self, rows: int = 1024) -> Iterator[Batch]:
        """Every item as (ids, payloads, vectors of shape (n, dim)), n up to `rows`, in insertion order; one state.

        Of the state at the first step; writes of this process wait until the iterator is exhausted or closed.
        """
        with self._searcher.current() as (snapshot, table):
            order = np.argsort(table.items)
            for start in range(0, len(order), rows):
                part = order[start : start + rows]
                items = table.items[part].tolist()
                records = snapshot.records(items)
                payloads = [load(records[item].codec, records[item].payload) for item in items]
                yield table.ids[part].tolist(), payloads, table.matrix[part]
