"""What a search gives back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from retrieval.payload import load
from retrieval.snapshot import Record, Row, checked


@dataclass(frozen=True)
class Hit:
    """One neighbour.

    Attributes
    ----------
    id : str
    score : float
        Cosine with the query; larger is nearer.
    model : str
        Name of the model that made the vector which matched.
    payload : JSON value or None
        The record as it was stored at the time of the search; parsed when first asked for.
    """

    id: str
    score: float
    model: str
    _record: Record | None = field(default=None, repr=False, compare=False)

    @cached_property
    def payload(self) -> Any:
        return None if self._record is None else load(self._record.codec, self._record.payload)


class Hits(list[Hit]):
    """The hits of one query, nearest first: a list that a notebook shows as a table."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> Hit: ...

    @overload
    def __getitem__(self, index: slice) -> Hits: ...

    def __getitem__(self, index: SupportsIndex | slice) -> Hit | Hits:
        return Hits(super().__getitem__(index)) if isinstance(index, slice) else super().__getitem__(index)

    def _repr_html_(self) -> str:
        from retrieval.markup import html_table
        from retrieval.table import hits_rows

        return html_table(*hits_rows(self), right=(0, 1))


class HitLists(Sequence[Hits]):
    """The hits of a batch of queries; a query's list is made, and its payloads checked, when it is asked for.

    Attributes
    ----------
    ids : array of str, shape (n_queries, k)
        None where there are fewer than k neighbours.
    scores : array, shape (n_queries, k), float32
        -inf where there are fewer than k neighbours.
    """

    def __init__(
        self,
        ids: NDArray[np.object_],
        scores: NDArray[np.float32],
        items: NDArray[np.int64],
        models: NDArray[np.object_],
        folder: Path,
        rows: dict[int, Row],
    ) -> None:
        self.ids = ids
        self.scores = scores
        self._items = items
        self._models = models
        self._folder = folder
        self._rows = rows

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Hits: ...

    @overload
    def __getitem__(self, index: slice) -> list[Hits]: ...

    def __getitem__(self, index: int | slice) -> Hits | list[Hits]:
        if isinstance(index, slice):
            return [self._one(row) for row in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"query {index} of {len(self)}")
        return self._one(index % len(self))

    def __iter__(self) -> Iterator[Hits]:
        return (self._one(row) for row in range(len(self)))

    def _one(self, row: int) -> Hits:
        return Hits(
            Hit(name, score, model, self._record(item))
            for name, score, item, model in zip(
                self.ids[row].tolist(),
                self.scores[row].tolist(),
                self._items[row].tolist(),
                self._models[row].tolist(),
                strict=True,
            )
            if name is not None
        )

    def _record(self, item: int) -> Record | None:
        row = self._rows.get(item)
        return None if row is None else checked(self._folder, row)
