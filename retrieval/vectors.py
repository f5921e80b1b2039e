"""The vectors of one model in memory, brought up to date as the store moves on."""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from retrieval.checksums import added, id_hashes, placement_hashes, removed
from retrieval.rows import Model
from retrieval.schema import damaged
from retrieval.snapshot import Snapshot

_GROWTH = 1.5
_ARRAYS = ("_matrix", "_items", "_slots", "_ids")


class VectorTable:
    """Rows of one model version as a matrix without holes.

    A vector that goes is overwritten by the last row, so rows are in no order; `items` tells the insertion
    order. 4 * dim + 24 bytes and one id a vector, and 8 bytes for every item number ever given out.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.generation = -1
        self.epoch = -1
        self._n = 0
        self._digest = 0
        self._next_slot = 0
        self._sharers: weakref.WeakSet[VectorTable] = weakref.WeakSet()
        self._allocate(0, 1)

    def _allocate(self, capacity: int, next_item: int) -> None:
        self._matrix = np.empty((capacity, self.model.dim), dtype=np.float32)
        self._items = np.empty(capacity, dtype=np.int64)
        self._slots = np.empty(capacity, dtype=np.int64)
        self._ids = np.empty(capacity, dtype=object)
        self._row_of = np.full(next_item, -1, dtype=np.int64)

    def __len__(self) -> int:
        return self._n

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Shape (n, dim), float32, unit rows."""
        return self._matrix[: self._n]

    @property
    def items(self) -> NDArray[np.int64]:
        """Item number of each row, shape (n,); rises with insertion order."""
        return self._items[: self._n]

    @property
    def slots(self) -> NDArray[np.int64]:
        """Slot of each row, shape (n,): which writing of the vector it is."""
        return self._slots[: self._n]

    @property
    def ids(self) -> NDArray[np.object_]:
        """Id of each row, shape (n,)."""
        return self._ids[: self._n]

    def frozen(self) -> VectorTable:
        """This state, which stays as this table moves on; to be read only.

        Shares the memory of the vectors. They are copied when this table next overwrites a row, if the frozen one is
        still in use then: new vectors alone never copy.
        """
        frozen = VectorTable(self.model)
        for name in ("generation", "epoch", "_n", "_digest", "_next_slot", *_ARRAYS):
            setattr(frozen, name, getattr(self, name))
        frozen._row_of = self._row_of.copy()
        self._sharers.add(frozen)
        return frozen

    def rows_of(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Row of each item, -1 for those without a vector."""
        if len(items) and items.min() >= 0 and items.max() < len(self._row_of):
            return self._row_of[items]
        known = (items >= 0) & (items < len(self._row_of))
        rows = np.full(len(items), -1, dtype=np.int64)
        rows[known] = self._row_of[items[known]]
        return rows

    def refresh(self, snapshot: Snapshot) -> None:
        """Bring the rows to the state of a snapshot, reading only what changed where that is possible.

        Raises
        ------
        DamagedGalleryError
            If what was read does not match its checksums.
        """
        state = snapshot.state
        model = snapshot.models.get(self.model.model)
        if model is None:
            raise damaged(snapshot.folder, f"the model {self.model.name!r} is missing")
        if self.generation == state.generation and self.epoch == state.epoch:
            return
        if self.epoch == state.epoch and self.generation < state.generation:
            self._drop(snapshot.dropped(model.model, self.generation))
            self._take(snapshot, model, self._next_slot - 1)
            if not self._matches(model):
                self._reload(snapshot, model)
        else:
            self._reload(snapshot, model)
        if not self._matches(model):
            raise damaged(snapshot.folder, f"the vectors of model {model.name!r} do not match their checksum")
        self.model = model
        self.generation, self.epoch, self._next_slot = state.generation, state.epoch, state.next_slot

    def _matches(self, model: Model) -> bool:
        return (self._n, self._digest) == (model.count, model.digest)

    def _reload(self, snapshot: Snapshot, model: Model) -> None:
        self.generation = -1
        self._n = self._digest = 0
        self._allocate(model.count, snapshot.state.next_item)
        self._take(snapshot, model, 0)

    def _take(self, snapshot: Snapshot, model: Model, after: int) -> None:
        """Append the vectors in slots beyond `after`."""
        items, slots = snapshot.placements(model.model, after)
        if not len(items):
            return
        if items.min() < 1 or items.max() >= snapshot.state.next_item or not np.all(slots[1:] > slots[:-1]):
            raise damaged(snapshot.folder, "the placements of vectors name items or slots that cannot be")
        # A scan of all ids is cheaper than many lookups, which also pull payloads through the cache.
        if after == 0 or len(items) > snapshot.state.items // 8:
            names = snapshot.ids()[items]
        else:
            records = snapshot.records(items.tolist())
            names = np.array([records[item].id for item in items.tolist()], dtype=object)
        if any(name is None for name in names):
            raise damaged(snapshot.folder, "a vector belongs to an id that is missing")
        self._make_room(len(items), snapshot.state.next_item)
        new = slice(self._n, self._n + len(items))
        self._fill(snapshot, model, after + 1, slots)
        self._items[new], self._slots[new], self._ids[new] = items, slots, names
        self._row_of[items] = np.arange(new.start, new.stop)
        self._digest = added(self._digest, placement_hashes(id_hashes(items, names.tolist()), slots))
        self._n = new.stop

    def _fill(self, snapshot: Snapshot, model: Model, first: int, slots: NDArray[np.int64]) -> None:
        """Copy the vectors of rising `slots` behind the rows there are."""
        done = 0
        for start, rows in snapshot.blocks(model, first):
            stop = int(np.searchsorted(slots, start + len(rows)))
            wanted = slots[done:stop] - start
            if len(wanted) and wanted[0] < 0:
                break
            self._matrix[self._n + done : self._n + stop] = rows if len(wanted) == len(rows) else rows[wanted]
            done = stop
        if done != len(slots):
            raise damaged(snapshot.folder, f"{len(slots) - done} vectors of model {model.name!r} are missing")

    def _make_room(self, more: int, next_item: int) -> None:
        if len(self._row_of) < next_item:
            longer = np.full(max(next_item, int(len(self._row_of) * _GROWTH)), -1, dtype=np.int64)
            longer[: len(self._row_of)] = self._row_of
            self._row_of = longer
        need = self._n + more
        if need <= len(self._matrix):
            return
        capacity = max(need, int(len(self._matrix) * _GROWTH))
        for name in _ARRAYS:
            old = getattr(self, name)
            new = np.empty((capacity, *old.shape[1:]), dtype=old.dtype)
            new[: self._n] = old[: self._n]
            setattr(self, name, new)

    def _drop(self, items: NDArray[np.int64]) -> None:
        """Overwrite the rows of `items` with rows from the end."""
        rows = np.sort(self.rows_of(items))
        # An item may have gone more than once.
        rows = rows[(rows >= 0) & (np.diff(rows, prepend=-1) != 0)]
        if not len(rows):
            return
        gone = id_hashes(self._items[rows], self._ids[rows].tolist())
        self._digest = removed(self._digest, placement_hashes(gone, self._slots[rows]))
        self._row_of[self._items[rows]] = -1
        if self._sharers:
            for name in _ARRAYS:
                setattr(self, name, getattr(self, name).copy())
            self._sharers.clear()
        left = self._n - len(rows)
        holes = rows[rows < left]
        stays = np.ones(len(rows), dtype=bool)
        stays[rows[len(holes) :] - left] = False
        tail = left + np.flatnonzero(stays)
        for name in _ARRAYS:
            values = getattr(self, name)
            values[holes] = values[tail]
        self._row_of[self._items[holes]] = holes
        self._ids[left : self._n] = None
        self._n = left
