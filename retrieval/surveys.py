"""Questions about more than the nearest few: all within a score, near-duplicates, every vector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval import exact
from retrieval.encoding import queries
from retrieval.errors import InvalidVectorError, UpgradeError
from retrieval.hits import HitLists, Hits
from retrieval.payload import load
from retrieval.reader import GalleryReader, Where
from retrieval.snapshot import Snapshot
from retrieval.views import View

Batch = tuple[list[str], list[Any], NDArray[np.float32]]

_ROWS = 1024
_REGIONS = 64
_DRAWN_AT_ONCE = 65536
_COLUMNS = 16384


class Sample(NamedTuple):
    """Some items of a gallery, in insertion order.

    Attributes
    ----------
    ids : list of str, length n
    payloads : list of JSON values, length n
    X : (n, dim) float32
        Their vectors in the space that searches use.
    """

    ids: list[str]
    payloads: list[Any]
    X: NDArray[np.float32]


class GallerySurveys(GalleryReader):
    """The readings of `retrieval.Gallery` that go through all vectors."""

    def search_range(self, query: Any, min_score: float, *, where: Where | None = None) -> Hits:
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
        asked = self._model()
        Q, single = queries(query, asked.dim, self._encoder_for(query, asked), asked.name)
        if not single:
            raise InvalidVectorError("search_range takes one query, not a batch")
        with self._searcher.current(asked.name) as (snapshot, view):
            among = None if where is None else self._searcher.passing(snapshot, where)
            found = view.within(Q[0], min_score, among)
            rows = snapshot.rows(found.items[0].tolist())
            return HitLists(*view.named(found), snapshot.folder, rows)[0]

    def near_duplicates(self, min_score: float = 0.95) -> Iterator[tuple[str, str, float]]:
        """Pairs of items with a cosine of at least `min_score`: (earlier id, later id, score), by insertion order.

        Of the state at the first step; writes of this process wait until the iterator is exhausted or closed.

        Notes
        -----
        Exact, O(count^2 * dim) time; memory for a copy of the vectors and about 64 MB.
        """
        with self._searcher.current() as (snapshot, view):
            everything = _one_space(snapshot, view)
            X, ids = everything.X(slice(None)), everything.ids
            bound = exact.rounding_bound(X.shape[1])
            for start in range(0, len(X), _ROWS):
                found: list[tuple[int, int]] = []
                for other in range(start, len(X), _COLUMNS):
                    products = X[start : start + _ROWS] @ X[other : other + _COLUMNS].T
                    a, b = np.nonzero(products >= min_score - bound)
                    pairs = zip((a + start).tolist(), (b + other).tolist(), strict=True)
                    found += [(i, j) for i, j in pairs if i < j]
                for i, j in sorted(found):
                    score = float(exact.exact_scores(X, np.array([j]), X[i])[0])
                    if score >= min_score:
                        yield ids[i], ids[j], score

    def vectors(self, *, model: str | None = None) -> tuple[list[str], NDArray[np.float32]]:
        """Ids and a copy of their vectors, shape (count, dim), in insertion order.

        After an upgrade that rewrote vectors, those that were not encoded anew are the rewritten ones.

        Parameters
        ----------
        model : str, optional
            Gives the vectors that this model made, of the items that have one.

        Raises
        ------
        ModelMismatchError
            If the gallery has no such model.
        UpgradeError
            If, without `model`, some items have no vector in the space of the model that searches use.
        """
        with self._searcher.current(model) as (snapshot, view):
            found = _in_order(View(view.parts[:1])) if model is not None else _one_space(snapshot, view)
            return found.ids.tolist(), found.X(slice(None))

    def batches(self, rows: int = 1024) -> Iterator[Batch]:
        """Every item as (ids, payloads, vectors of shape (n, dim)), n up to `rows`, in insertion order; one state.

        Of the state at the first step; writes of this process wait until the iterator is exhausted or closed.
        Vectors and errors as `vectors` gives them.
        """
        with self._searcher.current() as (snapshot, view):
            found = _one_space(snapshot, view)
            for start in range(0, len(found.items), rows):
                part = slice(start, start + rows)
                items = found.items[part].tolist()
                records = snapshot.records(items)
                payloads = [load(records[item].codec, records[item].payload) for item in items]
                yield found.ids[part].tolist(), payloads, found.X(part)

    def sample(self, n: int, *, seed: int = 0) -> Sample:
        """Items drawn evenly from everywhere: the same share of each of 64 regions of the space.

        Parameters
        ----------
        n : int
            How many; all if there are fewer.
        seed : int
            The same seed draws the same items from the same state.

        Raises
        ------
        ValueError
            If n is no positive integer.
        UpgradeError
            As `vectors`.

        Notes
        -----
        O(64 * count * dim) time; memory for 65,536 vectors.
        """
        if type(n) is not int or n < 1:
            raise ValueError(f"n must be a positive integer, got {n!r}")
        with self._searcher.current() as (snapshot, view):
            everything = _one_space(snapshot, view)
            count = len(everything.items)
            rng = np.random.default_rng(seed)
            centres = np.concatenate(
                [everything.X(slice(row, row + 1)) for row in np.sort(rng.permutation(count)[:_REGIONS]).tolist()]
                or [everything.X(slice(0))]
            )
            regions = np.concatenate(
                [
                    (everything.X(slice(start, start + _DRAWN_AT_ONCE)) @ centres.T).argmax(axis=1)
                    for start in range(0, count, _DRAWN_AT_ONCE)
                ]
                or [np.empty(0, dtype=np.int64)]
            )
            # Every (count / n)-th in the order of regions takes its share of each.
            shuffled = rng.permutation(count)
            by_region = shuffled[np.argsort(regions[shuffled], kind="stable")]
            rows = np.sort(by_region[np.arange(min(n, count)) * count // max(min(n, count), 1)])
            items = everything.items[rows].tolist()
            records = snapshot.records(items)
            payloads = [load(records[item].codec, records[item].payload) for item in items]
            return Sample(everything.ids[rows].tolist(), payloads, everything.X(rows))


class _Ordered(NamedTuple):
    """Rows of a view in insertion order, each as the number of its part and its row there."""

    view: View
    parts: NDArray[np.int64]
    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    ids: NDArray[np.object_]

    def X(self, part: slice | NDArray[np.int64]) -> NDArray[np.float32]:  # noqa: N802 - the field's name for a matrix
        """The vectors of some of them, copied."""
        numbers, rows = self.parts[part], self.rows[part]
        X = np.empty((len(rows), self.view.parts[0].table.model.dim), dtype=np.float32)
        for number, one in enumerate(self.view.parts):
            X[numbers == number] = one.table.matrix[rows[numbers == number]]
        return X


def _one_space(snapshot: Snapshot, view: View) -> _Ordered:
    """Everything in a view, which must be in one space."""
    beyond = [part for part in view.parts if not part.in_space and len(part)]
    if beyond:
        raise UpgradeError(
            f"{snapshot.folder}: {sum(map(len, beyond)):,} items have vectors of {beyond[0].origin!r} only, which "
            f"do not compare with those of {view.parts[0].origin!r}; name a model, or backfill them"
        )
    return _in_order(view)


def _in_order(view: View) -> _Ordered:
    rows = [np.arange(len(part.table)) if part.visible is None else part.visible for part in view.parts]
    numbers = np.concatenate([np.full(len(at), number) for number, at in enumerate(rows)])
    items = np.concatenate([part.table.items[at] for part, at in zip(view.parts, rows, strict=True)])
    ids = np.concatenate([part.table.ids[at] for part, at in zip(view.parts, rows, strict=True)])
    order = np.argsort(items)
    return _Ordered(view, numbers[order], np.concatenate(rows)[order], items[order], ids[order])
