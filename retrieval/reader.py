"""Reading from a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from retrieval.description import GalleryInfo, describe
from retrieval.encoding import Encoder, queries
from retrieval.errors import UnknownIdError
from retrieval.hits import HitLists, Hits
from retrieval.ids import checked_id
from retrieval.opened import OpenGallery
from retrieval.payload import load
from retrieval.rows import Model
from retrieval.tensors import on_device

Where = dict[str, Any]


class GalleryReader(OpenGallery):
    """The half of `retrieval.Gallery` that leaves the gallery as it is."""

    @overload
    def search(
        self,
        query: dict[str, Any],
        k: int = 10,
        *,
        where: Where | None = None,
        payloads: bool = True,
        model: str | None = None,
    ) -> Hits: ...

    @overload
    def search(
        self,
        query: Sequence[Any] | NDArray[Any],
        k: int = 10,
        *,
        where: Where | None = None,
        payloads: bool = True,
        model: str | None = None,
    ) -> Hits | HitLists: ...

    def search(
        self,
        query: Any,
        k: int = 10,
        *,
        where: Where | None = None,
        payloads: bool = True,
        model: str | None = None,
    ) -> Hits | HitLists:
        """The items nearest to a query by the cosine, nearest first.

        Parameters
        ----------
        query : dict, array or sequence
            A record, a vector of shape (dim,), a batch of shape (n_queries, dim), or a sequence of records.
        k : int
            How many; a gallery with fewer items gives fewer.
        where : dict, optional
            A filter on payloads, as `retrieval.filters` describes: only items that pass are found, and k of
            them wherever k pass.
        payloads : bool
            False leaves the payloads out, which is faster for large batches.
        model : str, optional
            The model that a vector comes from, or whose encoder a record is to go through. By default the one that
            searches use; after an upgrade those before it may be named.

        Returns
        -------
        Hits (a list of Hit), or HitLists (a sequence of Hits) for a batch
            Exact: scores are float64 products rounded to float32, ties come in insertion order. Where an upgrade
            left vectors of several models, `Hit.model` says which made the one that matched, and scores of mapped
            vectors are calibrated to the scale of native ones.

        Raises
        ------
        TypeError, ValueError
            If the query is neither records nor vectors, or k is no positive integer.
        InvalidVectorError, NoEncoderError, FilterError
        ModelMismatchError
            If the gallery has no such model.

        Notes
        -----
        O(count * dim) time a query. The first search reads the vectors into memory; later ones read only what
        other calls and processes wrote since.
        """
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
            raise TypeError(f"k must be an integer, got {k!r}")
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        tensor = on_device(query)
        found = None
        while found is None:
            # A switch between the two readings would leave the query to a model that searches no longer use.
            asked = self._model(model)
            Q, single = queries(query, asked.dim, self._encoder_for(query, asked), asked.name)
            found = self._searcher.search(
                Q, int(k), where=where, payloads=payloads, model=asked.name, in_use=model is None, tensor=tensor
            )
        return found[0] if single else found

    def _encoder_for(self, query: Any, model: Model) -> Encoder | None:
        # Loading the encoder costs time that a search for a vector need not pay.
        return self._encoder_of(model) if _asks_for_encoder(query) else None

    def get(self, id: Any) -> Any:
        """The payload of an item; None where it has none.

        Raises
        ------
        UnknownIdError
        """
        name = checked_id(id)
        with self._store.snapshot() as snapshot:
            item = snapshot.item(name)
            if item is None:
                raise UnknownIdError(f"no item {name!r} in {self.path}")
            record = snapshot.records([item])[item]
        return load(record.codec, record.payload)

    def vector(self, id: Any, *, model: str | None = None) -> NDArray[np.float32]:
        """The vector of an item, shape (dim,), of length one.

        Parameters
        ----------
        id : str or int
        model : str, optional
            Gives the vector that this model made. By default the one that searches use, mapped or native.

        Raises
        ------
        UnknownIdError
            If there is no such item, or it has no such vector.
        ModelMismatchError
            If the gallery has no such model.
        """
        name = checked_id(id)
        with self._searcher.current(model) as (snapshot, view):
            item = snapshot.item(name)
            if item is None:
                raise UnknownIdError(f"no item {name!r} in {self.path}")
            for part in view.parts[:1] if model is not None else view.parts:
                row = int(part.table.rows_of(np.array([item]))[0])
                if row >= 0 and part.in_space:
                    return np.array(part.table.matrix[row])
            raise UnknownIdError(f"item {name!r} has no vector in the space of {view.parts[0].origin!r}")

    def __contains__(self, id: object) -> bool:
        with self._store.snapshot() as snapshot:
            return snapshot.item(checked_id(id)) is not None

    def ids(self) -> Iterator[str]:
        """Ids in insertion order, of the state at the first step."""
        return (name for name, _ in self._records(parse=False))

    def items(self) -> Iterator[tuple[str, Any]]:
        """(id, payload) in insertion order, of the state at the first step; memory holds one at a time."""
        return self._records(parse=True)

    def _records(self, *, parse: bool) -> Iterator[tuple[str, Any]]:
        with self._store.long_snapshot() as snapshot:
            for record in snapshot.all_records():
                yield record.id, load(record.codec, record.payload) if parse else None

    def count(self) -> int:
        """Number of items."""
        with self._store.snapshot() as snapshot:
            return snapshot.state.items

    def __len__(self) -> int:
        return self.count()

    def explain(self, query: Any, id: Any) -> list[tuple[str, float]]:
        """Why an item matches a record: (path, contribution), largest first; the sum is the cosine.

        Raises
        ------
        NoEncoderError, UnknownIdError
        """
        return self._required_encoder().explain(query, self.get(id))

    def info(self) -> GalleryInfo:
        """Facts about the gallery, and what runs where and why."""
        with self._store.snapshot() as snapshot:
            model = snapshot.active
            if model.name in self._encoders:
                encoder = type(self._encoders[model.name]).__name__
            elif snapshot.encoder(model.model) is not None:
                encoder = "JSONEncoder, saved in the gallery"
            else:
                encoder = "none: vectors only"
            return describe(snapshot, encoder, self._searcher.home(model.model), self._searcher.threads)


def _asks_for_encoder(query: Any) -> bool:
    if isinstance(query, dict):
        return True
    return isinstance(query, Sequence) and len(query) > 0 and isinstance(query[0], dict)
