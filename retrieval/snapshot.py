"""Reading one committed state of the store, every row checked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval import blocks, departures, marks
from retrieval.checksums import added, id_hashes, payload_crc, row_crc
from retrieval.errors import ModelMismatchError
from retrieval.lineage import Lineage, read_lineage
from retrieval.rows import Model, State, read_models, read_state
from retrieval.schema import damaged, translated

_FETCH = 65536


class Record(NamedTuple):
    """A row of the records table."""

    item: int
    id: str
    codec: int
    payload: bytes | None


Row = tuple[int, str, int, "bytes | None", int]
"""A row of the records table as it was read: item, id, codec, payload, CRC."""


def checked(folder: Path, row: Row) -> Record:
    """The record in a row.

    Raises
    ------
    DamagedGalleryError
        If it does not match its checksum.
    """
    item, name, codec, payload, crc = row
    if not isinstance(name, str) or payload_crc(item, name, codec, payload) != crc:
        raise damaged(folder, f"the record {name!r} (item {item}) does not match its checksum")
    return Record(item, name, codec, payload)


class Snapshot:
    """A read transaction: nothing in it changes while it lasts."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection

    @cached_property
    def state(self) -> State:
        return read_state(self.folder, self.connection)

    @cached_property
    def models(self) -> dict[int, Model]:
        return read_models(self.folder, self.connection)

    @cached_property
    def lineage(self) -> Lineage:
        """The upgrades that the gallery went through."""
        return read_lineage(self.folder, self.connection)

    def model_named(self, name: str) -> Model | None:
        """The model of a name, or None."""
        return next((model for model in self.models.values() if model.name == name), None)

    @property
    def active(self) -> Model:
        """The model that searches use."""
        model = self.models.get(self.state.active)
        if model is None:
            raise damaged(self.folder, "the active model is missing")
        return model

    def encoder(self, model: int) -> bytes | None:
        """The saved encoder of a model, if it came with one."""
        with translated(self.folder):
            row = self.connection.execute("SELECT encoder FROM models WHERE model = ?", (model,)).fetchone()
        return row[0] if row else None

    def setting(self, key: str) -> str | None:
        """A value that was stored under a key, or None."""
        with translated(self.folder):
            row = self.connection.execute("SELECT value, crc FROM settings WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if row_crc(key, row[0]) != row[1]:
            raise damaged(self.folder, f"the setting {key!r} does not match its checksum")
        return str(row[0])

    @cached_property
    def departed(self) -> NDArray[np.int64]:
        """Items that were deleted and whose rows are still there, rising."""
        return np.unique(departures.read(self.folder, self.connection)[:, 1])

    def item(self, name: str) -> int | None:
        """The item number of an id, or None."""
        with translated(self.folder):
            row = self.connection.execute("SELECT item FROM ids WHERE id = ?", (name,)).fetchone()
        return None if row is None or row[0] in self.departed else row[0]

    def records(self, items: Iterable[int]) -> dict[int, Record]:
        """The records of some items, by item number; missing ones are damage."""
        return {item: checked(self.folder, row) for item, row in self.rows(items).items()}

    def rows(self, items: Iterable[int]) -> dict[int, Row]:
        """As `records`, for `checked` to be called on each that is used: half the time for those that are not."""
        wanted = list(dict.fromkeys(items))
        found: dict[int, Row] = {}
        for among, part in marks.parts(wanted):
            with translated(self.folder):
                rows = self.connection.execute(
                    f"SELECT item, id, codec, payload, crc FROM records WHERE item {among}", part
                ).fetchall()
            found.update((row[0], row) for row in rows)
        if len(found) != len(wanted):
            raise damaged(self.folder, f"{len(wanted) - len(found)} records are missing")
        return found

    def all_records(self) -> Iterator[Record]:
        """Every record in insertion order; memory holds one at a time."""
        count = 0
        gone = set(self.departed.tolist())
        with translated(self.folder):
            rows = self.connection.execute("SELECT item, id, codec, payload, crc FROM records ORDER BY item")
            for row in rows:
                if row[0] in gone:
                    continue
                count += 1
                yield checked(self.folder, row)
        if count != self.state.items:
            raise damaged(self.folder, f"{self.state.items} records were expected, {count} are there")

    def ids(self) -> NDArray[np.object_]:
        """Ids by item number: an array of length next_item with None where no item is; checked as a set."""
        names = np.full(self.state.next_item, None, dtype=object)
        digest = count = 0
        with translated(self.folder):
            cursor = self.connection.execute("SELECT item, id FROM ids")
            while rows := cursor.fetchmany(_FETCH):
                items = self._integers([row[0] for row in rows])
                part = np.array([str(row[1]) for row in rows], dtype=object)
                if len(self.departed):
                    there = ~np.isin(items, self.departed)
                    items, part = items[there], part[there]
                if len(items) and (items.min() < 0 or items.max() >= len(names)):
                    raise damaged(self.folder, "an id has an item number that was never given out")
                names[items] = part
                digest = added(digest, id_hashes(items, part.tolist()))
                count += len(items)
        if (count, digest) != (self.state.items, self.state.digest):
            raise damaged(self.folder, "the ids do not match their checksum")
        return names

    def placements(self, model: int, after: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(items, slots) of a model's vectors with a slot beyond `after`, by rising slot."""
        parts: list[NDArray[np.int64]] = []
        with translated(self.folder):
            cursor = self.connection.execute(
                "SELECT item, slot FROM placements WHERE model = ? AND slot > ? ORDER BY slot", (model, after)
            )
            while rows := cursor.fetchmany(_FETCH):
                parts.append(self._integers(rows))
        pairs = np.concatenate(parts) if parts else np.empty((0, 2), dtype=np.int64)
        if len(pairs) and len(self.departed):
            pairs = pairs[~np.isin(pairs[:, 0], self.departed)]
        return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

    def dropped(self, model: int, since: int) -> NDArray[np.int64]:
        """Items whose vector under a model went in a generation after `since`."""
        with translated(self.folder):
            rows = self.connection.execute(
                "SELECT item FROM tombstones WHERE generation > ? AND model = ?", (since, model)
            ).fetchall()
        gone = departures.read(self.folder, self.connection, since)[:, 1]
        return np.concatenate([gone, self._integers([row[0] for row in rows])])

    def _integers(self, values: object) -> NDArray[np.int64]:
        try:
            return np.array(values, dtype=np.int64)
        except (TypeError, ValueError, OverflowError) as error:
            raise damaged(self.folder, "a column of integers holds something else") from error

    def blocks(self, model: Model, first: int = 0) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(first slot, rows) of a model's blocks that begin at `first` or later; rows are float32."""
        for start, data in blocks.stored(self.folder, self.connection, model, first):
            yield start, blocks.decoded(data, model)


def model_of(snapshot: Snapshot, name: str | None) -> Model:
    """The model of a name, or the one that searches use; only such as have made vectors, no mapped ones."""
    if name is None:
        return snapshot.active
    made = {mapping.model for mapping in snapshot.lineage.mappings}
    natives = [model for model in snapshot.models.values() if model.model not in made]
    for model in natives:
        if model.name == name:
            return model
    known = ", ".join(repr(model.name) for model in natives)
    raise ModelMismatchError(f"the gallery has no model {name!r}; it has {known}")
