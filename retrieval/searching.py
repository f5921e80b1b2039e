"""Searches on one committed state of a gallery, from many threads at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import exact
from retrieval.hits import HitLists
from retrieval.selection import Selector
from retrieval.sharing import SharedLock
from retrieval.snapshot import Record, Snapshot
from retrieval.store import Store
from retrieval.vectors import VectorTable


class Searcher:
    """The vectors of the active model in memory, and searches over them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = SharedLock()
        self._selector = Selector()
        self._table: VectorTable | None = None

    @contextmanager
    def current(self) -> Iterator[tuple[Snapshot, VectorTable]]:
        """A snapshot and the vectors of just that state; both stay as they are while the context lasts."""
        while True:
            with self._store.snapshot() as snapshot:
                if not self._is_at(snapshot):
                    with self._lock.alone():
                        self._refresh(snapshot)
                with self._lock.shared():
                    # Another thread may have moved the table on between the two locks.
                    if self._table is not None and self._is_at(snapshot):
                        yield snapshot, self._table
                        return

    def _is_at(self, snapshot: Snapshot) -> bool:
        table = self._table
        state = snapshot.state
        return table is not None and (table.model.model, table.epoch, table.generation) == (
            state.active,
            state.epoch,
            state.generation,
        )

    def _refresh(self, snapshot: Snapshot) -> None:
        if self._table is not None and self._table.generation > snapshot.state.generation:
            return
        if self._table is None or self._table.model.model != snapshot.state.active:
            self._table = None
            table = VectorTable(snapshot.active)
        else:
            table = self._table
        table.refresh(snapshot)
        self._table = table

    def search(self, Q: NDArray[np.float32], k: int, *, where: Any, payloads: bool) -> HitLists:
        """The k nearest items of each query that pass a filter; Q of shape (n_queries, dim), unit rows."""
        with self.current() as (snapshot, table):
            if where is None:
                rows, scores = exact.search(Q, table.matrix, table.items, k)
            else:
                rows, scores = self._selector.search(snapshot, table, Q, k, where)
            items = table.items[rows]
            found: dict[int, Record] = {}
            if payloads and items.size:
                found = snapshot.records(np.unique(items).tolist())
            return HitLists(table.ids[rows], scores, items, table.model.name, found)
