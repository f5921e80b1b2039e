"""Searches on one committed state of a gallery, from many threads at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import asking, drift, indexfile, tuning
from retrieval.asked import Asked
from retrieval.carrying import Upgrades
from retrieval.drift import Measured
from retrieval.engine import limited
from retrieval.errors import GalleryBusyError, ModelMismatchError, ReadOnlyGalleryError
from retrieval.hits import HitLists
from retrieval.liveindex import LiveIndex
from retrieval.plan import FLAT, Plan, hash_key, plan_key
from retrieval.progress import Progress
from retrieval.residence import Residence
from retrieval.selection import Selector
from retrieval.sharing import SharedLock
from retrieval.snapshot import Row, Snapshot, model_of
from retrieval.store import Store
from retrieval.tuning import Wanted
from retrieval.vectors import VectorTable
from retrieval.views import Found, Part, View

_NONE_HIDDEN = np.zeros(1, dtype=bool)


def plan_of(snapshot: Snapshot, model: int) -> Plan | None:
    """The plan of a model's index, if `optimize` made one."""
    text = snapshot.setting(plan_key(model))
    return None if text is None else Plan.from_text(text)


class Searcher:
    """The vectors that queries of a model can find, in memory, and searches over them."""

    def __init__(self, store: Store, device: str, threads: int | None = None) -> None:
        self._device = device
        self.threads = threads
        self._store = store
        self._lock = SharedLock()
        self._selector = Selector()
        self.upgrades = Upgrades()
        self.asked = Asked()
        self._tables: dict[int, VectorTable] = {}
        self._lives: dict[int, LiveIndex | None] = {}
        self._homes: dict[int, Residence] = {}
        self._plans: dict[int, Plan | None] = {}
        self._measured: dict[int, Measured | None] = {}
        self._unsettled: set[int] = set()
        self._views: dict[int, View] = {}
        self._state = (-1, -1)

    @contextmanager
    def current(self, model: str | None = None) -> Iterator[tuple[Snapshot, View]]:
        """A snapshot and what a model's queries can find in just that state; both stay as they are meanwhile.

        Parameters
        ----------
        model : str, optional
            By default the model that searches use.

        Raises
        ------
        ModelMismatchError
            If the gallery has no such model.
        """
        while True:
            with self._store.snapshot() as snapshot:
                space = model_of(snapshot, model).model
                if not self._is_at(snapshot, space):
                    with self._lock.alone(), limited(self.threads):
                        self._refresh(snapshot, space)
                with self._lock.shared():
                    # Another thread may have moved on between the two locks.
                    if self._is_at(snapshot, space):
                        yield snapshot, self._views[space]
                        return

    def _is_at(self, snapshot: Snapshot, space: int) -> bool:
        state = snapshot.state
        return self._state == (state.epoch, state.generation) and space in self._views

    def _refresh(self, snapshot: Snapshot, space: int) -> None:
        state = (snapshot.state.epoch, snapshot.state.generation)
        if self._state[1] > state[1]:
            return
        if self._state != state:
            self._views = {}
            self._state = state
        try:
            self._views[space] = self._view(snapshot, space)
        except BaseException:
            self._views = {}
            self._state = (-1, -1)
            raise

    def _view(self, snapshot: Snapshot, space: int) -> View:
        legs = snapshot.lineage.legs(space)
        used = {leg.model for leg in legs}
        if space == snapshot.state.active:
            # The tables of a model that was left are of no more use.
            for gone in self._tables.keys() - used:
                del self._tables[gone]
                self._lives.pop(gone, None)
                self._homes.pop(gone, None)
        parts: list[Part] = []
        taken = np.zeros(snapshot.state.next_item, dtype=bool)
        for leg in legs:
            table = self._table(snapshot, leg.model)
            hidden = taken[table.items] if parts else _NONE_HIDDEN
            parts.append(
                Part(
                    leg,
                    snapshot.models[leg.origin].name,
                    table,
                    self._lives.get(leg.model),
                    self._homes[leg.model],
                    tuple((self.upgrades.get(snapshot, number), back) for number, back in leg.roads),
                    tuple(self.upgrades.get(snapshot, number) for number in leg.scales),
                    np.flatnonzero(~hidden) if hidden.any() else None,
                )
            )
            if len(legs) > 1:
                taken[table.items] = True
        return View(parts)

    def _table(self, snapshot: Snapshot, model: int) -> VectorTable:
        """The vectors of a model at the state of a snapshot, and its index if it has one."""
        table = self._tables.pop(model, None) or VectorTable(snapshot.models[model])
        if (table.epoch, table.generation) != (snapshot.state.epoch, snapshot.state.generation):
            table.refresh(snapshot)
            plan = plan_of(snapshot, model)
            self._follow(snapshot, table, plan)
            self._plans[model] = plan
            self._unsettled.add(model)
        self._tables[model] = table
        if model in self._unsettled:
            self._homes[model] = home = self.home(model)
            home.settle(table, self._lives[model], self._plans[model])
            self._unsettled.discard(model)
        return table

    def home(self, model: int) -> Residence:
        """Where the vectors of a model are searched, or would be."""
        return self._homes.get(model) or Residence(self._device)

    def _follow(self, snapshot: Snapshot, table: VectorTable, plan: Plan | None) -> None:
        """Bring the approximate index, if the model has one, to the state of the table."""
        model = table.model.model
        if plan is None or plan.factory == FLAT:
            self._lives[model] = None
            return
        if plan != self._plans.get(model):
            self._measured[model] = None
        live = self._lives.get(model)
        if live is None or live.plan != plan:
            live = indexfile.read(snapshot.folder, model, plan, snapshot.setting(hash_key(model)) or "")
        before = self._measured.get(model) or drift.last(snapshot.setting(drift.recall_key(model)), plan)
        due = drift.due(plan, before, len(table))
        fresh = np.empty(0, dtype=np.int64) if live is None else live.entries.follow(table)
        measured = None
        if live is None or live.outgrown(len(fresh)):
            live, measured = drift.rebuilt(plan, table) if due else (LiveIndex.built(plan, table), None)
            self._keep(model, live, measured)
        elif due and len(fresh):
            measured = drift.taken_up(live, table, fresh)
            self._keep(model, None, measured)
        else:
            live.take(table, fresh)
        self._lives[model] = live
        self._measured[model] = measured or before

    def _keep(self, model: int, live: LiveIndex | None, measured: Measured | None) -> None:
        """Put an index that was built anew, and how good it was found, beside the store, if nobody is writing."""
        with (
            suppress(GalleryBusyError, ReadOnlyGalleryError, OSError),
            self._store.write(wait=False) as writer,
        ):
            if measured is not None:
                writer.set(drift.recall_key(model), measured.to_text())
            if live is not None:
                writer.set(hash_key(model), indexfile.write(self._store.folder, model, live))

    def optimize(
        self, wanted: Wanted, *, Q: NDArray[np.float32] | None, kinds: list[str] | None, report: Progress
    ) -> Plan:
        """Measure indexes on the vectors of now, and put the chosen ones to use; the plan of the largest part."""
        with self.current() as (_, view):
            tables = [part.table.frozen() for part in view.parts]
        tables = sorted((table for table in tables if len(table)), key=len) or tables[:1]
        for table in tables:
            asked = Q if Q is None or Q.shape[1] == table.model.dim else None
            with limited(self.threads):
                plan, live = tuning.optimize(table, wanted, Q=asked, kinds=kinds, report=report, device=self._device)
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

    def measure(self, k: int, n_queries: int, Q: NDArray[np.float32] | None) -> tuple[float, float]:
        """Mean recall@k of the largest index in use, and its standard error; on stored vectors if Q is None."""
        with self.current() as (_, view), limited(self.threads):
            part = max(view.parts, key=lambda part: len(part.table))
            table = part.table
            if part.live is None or len(table) < 2:
                return 1.0, 0.0
            asked = asking.questions(table, k, Q, n_queries)
            # One more where the query itself is among the vectors.
            rows, _ = part.live.search(table, asked.Q, k + int(Q is None))
            shares = asking.recalls(asked, table, rows)
            return float(shares.mean()), asking.standard_error(shares)

    def search(
        self,
        Q: NDArray[np.float32],
        k: int,
        *,
        where: Any,
        payloads: bool,
        model: str,
        in_use: bool,
        tensor: Any = None,
    ) -> HitLists | None:
        """The k nearest items of each query that pass a filter; Q of shape (n_queries, dim), unit rows.

        `tensor` holds the same queries on a GPU, if they are there. Where the queries are taken to be of the model in
        use, which `model` is no longer, None: the caller asks again.
        """
        with self.current(model) as (snapshot, view), limited(self.threads):
            if in_use and snapshot.active.name != model:
                return None
            if Q.shape[1] != (dim := view.parts[0].table.model.dim):
                raise ModelMismatchError(
                    f"the gallery was switched to {view.parts[0].origin!r} with dim {dim} meanwhile; ask again"
                )
            if snapshot.lineage.steps:
                self.asked.keep(view.parts[0].origin, Q)
            found = self._found(snapshot, view, Q, k, where, tensor)
            rows: dict[int, Row] = {}
            if payloads and found.items.size:
                items = np.unique(found.items)
                rows = snapshot.rows(items[items >= 0].tolist())
            return HitLists(*view.named(found), snapshot.folder, rows)

    def _found(self, snapshot: Snapshot, view: View, Q: NDArray[np.float32], k: int, where: Any, tensor: Any) -> Found:
        if where is None:
            return view.search(Q, k, tensor=tensor)
        if not view.plain:
            return view.search(Q, k, among=self._selector.items(snapshot, where))
        part = view.parts[0]
        table = part.table
        rows, scores = self._selector.search(snapshot, table, part.home, Q, k, where)
        return Found(np.zeros(rows.shape, dtype=np.int64), rows, table.items[rows], scores)
