"""One write transaction: upserts and deletions, with every count and checksum kept in step."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval import departures, marks, pathindex, recording
from retrieval.checksums import added, hashes_of, id_crcs, id_hashes, placement_hashes, removed, row_crc
from retrieval.known import KnownIds
from retrieval.laying import BlockWriter
from retrieval.payload import Packed, Payload
from retrieval.rows import Model, Storage, read_models, read_state, write_model, write_state
from retrieval.schema import damaged, translated
from retrieval.snapshot import Snapshot

_ROW = 128  # bytes of an item in the log, beside its vector and payload


class Writer:
    """What happens between BEGIN IMMEDIATE and COMMIT; `retrieval.store.Store.write` makes one."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection
        self.state = read_state(folder, connection)
        self.models = read_models(folder, connection)
        self.before = self.state
        self._all_new = self.state.items == 0
        self._changed = False
        self._renumbered = False
        self._leaving: list[int] = []
        self._known = KnownIds(folder, connection)
        self.blocks = BlockWriter(folder, connection)
        self._bytes = 0

    @property
    def logged(self) -> int:
        """Bytes of vectors and payloads that went through the log."""
        return self._bytes + self.blocks.logged

    @property
    def active(self) -> Model:
        """The model that searches use."""
        model = self.models.get(self.state.active)
        if model is None:
            raise damaged(self.folder, "the active model is missing")
        return model

    def put(
        self,
        model: Model,
        ids: Sequence[str],
        payloads: Sequence[Payload] | None,
        X: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Insert or replace rows, and give their item numbers; an id keeps its place in the insertion order.

        Parameters
        ----------
        model : Model
            Whose vectors they are. Vectors of the same items under other models are dropped: they belong to
            what the item was before.
        ids : sequence of str, length n
            No two alike.
        payloads : sequence of (codec, bytes), length n, or None
            None leaves the payloads of known ids as they are.
        X : array, shape (n, dim), float32, unit rows
        """
        # First, for a thread may be at it while the rest is done.
        slots = self._put_blocks(model, X)
        items, fresh = self._items(ids)
        crcs = id_crcs(ids)
        hashes = hashes_of(items, crcs)
        with translated(self.folder):
            self._forget(items[~fresh], hashes[~fresh])
            self._put_records(ids, items, crcs, fresh, payloads)
            if fresh.all() and len(items):
                recording.put_placements(self.connection, model.model, items, int(slots[0]))
            else:
                self._put_placements(model.model, items, slots)
            self._count(model.model, hashes, slots)
        self.state = replace(
            self.state,
            items=self.state.items + int(fresh.sum()),
            digest=added(self.state.digest, hashes[fresh]),
        )
        self._changed = True
        return items

    def _items(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Item numbers of ids, and which of them were given out just now."""
        known = {} if self._all_new else self._known.items(ids)
        fresh = np.ones(len(ids), dtype=bool)
        items = np.empty(len(ids), dtype=np.int64)
        if known:
            fresh[:] = [name not in known for name in ids]
            items[~fresh] = [known[name] for name in ids if name in known]
        following = self.state.next_item + int(fresh.sum())
        items[fresh] = np.arange(self.state.next_item, following)
        self.state = replace(self.state, next_item=following)
        return items, fresh

    def _put_records(
        self,
        ids: Sequence[str],
        items: NDArray[np.int64],
        crcs: NDArray[np.uint64],
        fresh: NDArray[np.bool_],
        payloads: Sequence[Payload] | None,
    ) -> None:
        new = items[fresh]
        if payloads is None:
            ids, items, crcs = [ids[row] for row in np.flatnonzero(fresh).tolist()], new, crcs[fresh]
            payloads = Packed.none(len(new))
        packed = Packed.of(payloads)
        self._bytes += recording.put_payloads(self.connection, self._paths, ids, items, crcs, packed)
        self._bytes += _ROW * len(items)
        if len(new):
            # An id that was deleted may still have its row.
            recording.put_ids(self.connection, int(new[0]), int(new[-1]), replaces=bool(self._known.gone))

    @cached_property
    def _paths(self) -> dict[str, int]:
        return pathindex.indexed(Snapshot(self.folder, self.connection))

    def _put_blocks(self, model: Model, X: NDArray[np.float32]) -> NDArray[np.int64]:
        """Write rows into new blocks; their slots, shape (n,)."""
        start = self.state.next_slot
        rows = np.ascontiguousarray(X, dtype="<f4" if model.dtype is Storage.FLOAT32 else "<f2")
        with translated(self.folder):
            self.insert_blocks(model, rows.reshape(-1).view(np.uint8).data)
        return np.arange(start, start + len(X), dtype=np.int64)

    def insert_blocks(self, model: Model, data: bytes | memoryview) -> None:
        """Write the bytes of rows into new blocks, from slot `state.next_slot` on."""
        first = self.state.next_slot
        self.state = replace(self.state, next_slot=first + len(data) // model.row_bytes)
        self.blocks.write(model, first, data)

    def _forget(self, items: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
        """Take the vectors of items out of every model."""
        if not len(items):
            return
        for number in self.models:
            self.displace(number, items, hashes)

    def displace(self, number: int, items: NDArray[np.int64], hashes: NDArray[np.uint64]) -> None:
        """Take the vectors that items have under one model out of it; `hashes` are those of their ids."""
        there = self._uncount(number, items, hashes)
        if not there:
            return
        for among, part in marks.parts(there):
            self.connection.execute(f"DELETE FROM placements WHERE model = {number} AND item {among}", part)
            self.connection.execute(f"DELETE FROM uncertainty WHERE model = {number} AND item {among}", part)
        generation = self.before.generation + 1
        self.connection.executemany(
            f"INSERT OR IGNORE INTO tombstones VALUES ({generation}, {number}, ?)", [(item,) for item in there]
        )

    def _uncount(self, number: int, items: NDArray[np.int64], hashes: NDArray[np.uint64]) -> list[int]:
        """Take items out of the count and the digest of a model; those of them that have a vector there."""
        slot_of: dict[int, int] = {}
        for among, part in marks.parts(items.tolist()):
            slot_of.update(
                self.connection.execute(
                    f"SELECT item, slot FROM placements WHERE model = {number} AND item {among}", part
                )
            )
        gone = [position for position, item in enumerate(items.tolist()) if item in slot_of]
        if not gone:
            return []
        there: list[int] = items[gone].tolist()
        slots = np.array([slot_of[item] for item in there], dtype=np.int64)
        went = placement_hashes(hashes[gone], slots)
        model = self.models[number]
        self.models[number] = replace(model, count=model.count - len(gone), digest=removed(model.digest, went))
        self._changed = True
        return there

    def place(self, number: int, items: NDArray[np.int64], hashes: NDArray[np.uint64], X: NDArray[np.float32]) -> None:
        """Give items, which have none there, vectors under one model; `hashes` are those of their ids."""
        slots = self._put_blocks(self.models[number], X)
        self._put_placements(number, items, slots)
        self._count(number, hashes, slots)

    def _put_placements(self, number: int, items: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        marks.insert(self.connection, "INSERT INTO placements", [number] * len(items), items.tolist(), slots.tolist())

    def _count(self, number: int, hashes: NDArray[np.uint64], slots: NDArray[np.int64]) -> None:
        """Take vectors that came into the count and the digest of a model."""
        model = self.models[number]
        came = placement_hashes(hashes, slots)
        self.models[number] = replace(model, count=model.count + len(slots), digest=added(model.digest, came))
        self._changed = True

    def clear(self, number: int) -> None:
        """Drop every vector of one model; readers load everything anew."""
        for table in ("placements", "uncertainty"):
            self.connection.execute(f"DELETE FROM {table} WHERE model = ?", (number,))
        self.blocks.drop_all(number)
        self.models[number] = replace(self.models[number], count=0, digest=0)
        self._changed = self._renumbered = True

    def settle(self) -> None:
        """Remove the rows of all items that were deleted."""
        with translated(self.folder):
            if departures.settle(self.folder, self.connection, self.models):
                self._changed = True

    def new_model(self, name: str, dim: int, dtype: Storage, encoder: bytes | None = None) -> Model:
        """Make the row of a model without vectors."""
        # Rows of several models are joined with those of items by SQLite, which knows nothing of departures.
        self.settle()
        model = Model(max(self.models, default=0) + 1, name, dim, dtype, 0, 0)
        self.models[model.model] = model
        write_model(self.connection, model)
        if encoder is not None:
            self.set_encoder(model.model, encoder)
        self._changed = True
        return model

    def set_encoder(self, number: int, encoder: bytes) -> None:
        """Keep the saved encoder of a model."""
        self.connection.execute("UPDATE models SET encoder = ? WHERE model = ?", (encoder, number))
        self._changed = True

    def activate(self, number: int) -> None:
        """Let searches use another model."""
        self.state = replace(self.state, active=number)
        self._changed = True

    def touch(self) -> None:
        """Count this transaction as a change, though no row of a model did."""
        self._changed = True

    def set_payloads(self, ids: Sequence[str], payloads: Sequence[Payload]) -> list[str]:
        """Replace the payloads of known items; the ids that are not there, and then nothing was replaced."""
        with translated(self.folder):
            found = self._known.items(ids)
            missing = [name for name in ids if name not in found]
            if missing:
                return missing
            items = np.array([found[name] for name in ids], dtype=np.int64)
            self._put_records(ids, items, id_crcs(ids), np.zeros(len(ids), dtype=bool), payloads)
        self._changed = True
        return []

    def delete(self, ids: Sequence[str]) -> list[str]:
        """Remove items; the ids that were there."""
        with translated(self.folder):
            found = self._known.items(ids)
            if not found:
                return []
            names = list(found)
            items = np.array(list(found.values()), dtype=np.int64)
            hashes = id_hashes(items, names)
            for number in self.models:
                self._uncount(number, items, hashes)
            self._leaving += found.values()
            self._known.gone.update(self._leaving)
            pathindex.forget(self.connection, self._paths, found.values())
        self.state = replace(self.state, items=self.state.items - len(names), digest=removed(self.state.digest, hashes))
        self._changed = True
        return names

    def set(self, key: str, value: str) -> None:
        """Store a value under a key."""
        with translated(self.folder):
            self.connection.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (key, value, row_crc(key, value))
            )
        self._changed = True

    def mark_renumbered(self) -> None:
        """Slots moved: readers that are behind load everything anew."""
        self._changed = self._renumbered = True

    def finish(self) -> None:
        """Write the state and the models back; the commit is the caller's."""
        if not self._changed:
            return
        if self.state.items < 0 or any(model.count < 0 for model in self.models.values()):
            raise damaged(self.folder, "the counts do not add up")
        self.blocks.finish()
        if self._leaving:
            departures.note(self.folder, self.connection, self.before.generation + 1, self._leaving)
            if len(self.models) > 1 or len(self._known.gone) > departures.MOST:
                self.settle()
        epoch = self.before.epoch + int(self._renumbered)
        self.state = replace(self.state, generation=self.before.generation + 1, epoch=epoch)
        write_state(self.connection, self.state)
        for model in self.models.values():
            write_model(self.connection, model)
