"""Searches on one committed state of a gallery, from many threads at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import exact, indexfile, tuning
from retrieval.device import DeviceScan
from retrieval.errors import GalleryBusyError, ReadOnlyGalleryError
from retrieval.hits import HitLists
from retrieval.liveindex import LiveIndex
from retrieval.plan import FLAT, Plan, hash_key, plan_key
from retrieval.progress import Progress
from retrieval.selection import Selector
from retrieval.sharing import SharedLock
from retrieval.snapshot import Row, Snapshot
from retrieval.store import Store
from retrieval.tuning import Wanted
from retrieval.vectors import VectorTable


class Searcher:
    """The vectors of the active model in memory, and searches over them."""

    def __init__(self, store: Store, device: str) -> None:
        self.scan = DeviceScan(device)
        self._store = store
        self._lock = SharedLock()
        self._selector = Selector()
        self._live: LiveIndex | None = None
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
            self._table = self._live = None
            table = VectorTable(snapshot.active)
        else:
            table = self._table
        table.refresh(snapshot)
        self._table = table
        self._follow(snapshot, table)
        if self._live is None:
            self.scan.prepare(table)

    def _follow(self, snapshot: Snapshot, table: VectorTable) -> None:
        """Bring the approximate index, if the gallery has one, to the state of the table."""
        model = table.model.model
        text = snapshot.setting(plan_key(model))
        plan = None if text is None else Plan.from_text(text)
        if plan is None or plan.factory == FLAT:
            self._live = None
            return
        if self._live is None or self._live.plan != plan:
            self._live = indexfile.read(snapshot.folder, model, plan, snapshot.setting(hash_key(model)) or "")
        if self._live is not None:
            self._live.follow(table)
        if self._live is None or self._live.outgrown:
            self._live = LiveIndex.built(plan, table)
            self._keep(model, self._live)

    def _keep(self, model: int, live: LiveIndex) -> None:
        """Put an index that was built anew beside the store, if nobody is writing."""
        with (
            suppress(GalleryBusyError, ReadOnlyGalleryError, OSError),
            self._store.write(wait=False) as writer,
        ):
            writer.set(hash_key(model), indexfile.write(self._store.folder, model, live))

    def optimize(
        self, wanted: Wanted, *, Q: NDArray[np.float32] | None, kinds: list[str] | None, report: Progress
    ) -> Plan:
        """Measure indexes on a copy of the vectors, and put the chosen one to use."""
        with self._store.snapshot() as snapshot:
            table = VectorTable(snapshot.active)
            table.refresh(snapshot)
        plan, live = tuning.optimize(table, wanted, Q=Q, kinds=kinds, report=report)
        model = table.model.model
        with self._store.write() as writer:
            writer.set(plan_key(model), plan.to_text())
            if live is not None:
                writer.set(hash_key(model), indexfile.write(self._store.folder, model, live))
        if live is None:
            indexfile.index_file(self._store.folder, model).unlink(missing_ok=True)
        return plan

    def passing(self, snapshot: Snapshot, where: Any) -> NDArray[np.int64]:
        """Numbers of the items that pass a filter."""
        return self._selector.items(snapshot, where)

    def measure(self, k: int, n_queries: int) -> tuple[float, float]:
        """Mean recall@k of the index in use on stored vectors, and its standard error."""
        with self.current() as (_, table):
            if self._live is None or len(table) < 2:
                return 1.0, 0.0
            asked = tuning.questions(table, k, None, n_queries)
            rows, _ = self._live.search(table, asked.Q, k + 1)
            shares = tuning.recalls(asked, table, rows)
            return float(shares.mean()), tuning.standard_error(shares)

    def _nearest(
        self, table: VectorTable, Q: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if self._live is not None:
            return self._live.search(table, Q, k)
        return exact.search(Q, table.matrix, table.items, k, self.scan.function)

    def search(self, Q: NDArray[np.float32], k: int, *, where: Any, payloads: bool) -> HitLists:
        """The k nearest items of each query that pass a filter; Q of shape (n_queries, dim), unit rows."""
        with self.current() as (snapshot, table):
            if where is None:
                rows, scores = self._nearest(table, Q, k)
            else:
                rows, scores = self._selector.search(snapshot, table, Q, k, where)
            items = table.items[rows]
            found: dict[int, Row] = {}
            if payloads and items.size:
                found = snapshot.rows(np.unique(items).tolist())
            return HitLists(table.ids[rows], scores, items, table.model.name, snapshot.folder, found)
