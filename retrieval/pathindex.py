"""The values at chosen paths of the payloads, kept apart so that a filter on them reads no payload.

A row for each item and path holds the values found there as JSON, with a checksum; it is written in the transaction
that writes the payload. A filter asks these rows with the same predicates as it would the payloads, so that the answers
are the scan's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.checksums import payload_crc
from retrieval.filters import Predicate, compiled, reader
from retrieval.payload import dump, load
from retrieval.schema import damaged, translated
from retrieval.snapshot import Record, Row, Snapshot, checked

KEY = "paths"
"""Where the store keeps which paths are indexed, as a JSON object of path and number."""

_TABLE = """
CREATE TABLE IF NOT EXISTS path_values (
    path INTEGER NOT NULL, item INTEGER NOT NULL, codec INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (path, item)
) WITHOUT ROWID
"""
_BATCH = 4096


def indexed(snapshot: Snapshot) -> dict[str, int]:
    """Paths that are indexed, and their numbers."""
    text = snapshot.setting(KEY)
    return {} if text is None else dict(json.loads(text))


def add(snapshot: Snapshot, paths: Sequence[str]) -> str:
    """Fill the rows of further paths on a writer's connection; the new value of the setting.

    Raises
    ------
    FilterError
        For a path that cannot be understood.
    """
    known = indexed(snapshot)
    fresh = {path: number for number, path in enumerate(dict.fromkeys(paths), 1 + max(known.values(), default=0))}
    fresh = {path: number for path, number in fresh.items() if path not in known}
    for path in fresh:
        reader(path)
    with translated(snapshot.folder):
        snapshot.connection.execute(_TABLE)
    batch: list[Row] = []
    for item, name, codec, payload in snapshot.all_records():
        batch.append((item, name, codec, payload, 0))
        if len(batch) == _BATCH:
            put(snapshot.connection, fresh, batch)
            batch = []
    put(snapshot.connection, fresh, batch)
    return json.dumps(known | fresh)


def drop(snapshot: Snapshot, paths: Sequence[str] | None) -> str:
    """Remove the rows of some paths, or of all, on a writer's connection; the new value of the setting."""
    known = indexed(snapshot)
    for path in list(known) if paths is None else paths:
        if path not in known:
            raise ValueError(f"the path {path!r} is not indexed; indexed are {', '.join(known) or 'none'}")
        with translated(snapshot.folder):
            snapshot.connection.execute("DELETE FROM path_values WHERE path = ?", (known.pop(path),))
    return json.dumps(known)


def put(connection: sqlite3.Connection, paths: dict[str, int], rows: Iterable[Row]) -> None:
    """Write the values of records, whose CRCs do not matter, at each path."""
    readers = [(number, reader(path)) for path, number in paths.items()]
    if not readers:
        return
    values = []
    for item, _, codec, payload, _ in rows:
        record = load(codec, payload)
        for number, read in readers:
            kind, data = dump(read(record), checked=True)
            values.append((number, item, kind, payload_crc(item, str(number), kind, data), data))
    connection.executemany("INSERT OR REPLACE INTO path_values VALUES (?, ?, ?, ?, ?)", values)


def forget(connection: sqlite3.Connection, paths: dict[str, int], items: Iterable[int]) -> None:
    """Remove the values of items at each path."""
    if not paths:
        return
    pairs = [(number, item) for item in items for number in paths.values()]
    connection.executemany("DELETE FROM path_values WHERE path = ? AND item = ?", pairs)


def passing(snapshot: Snapshot, where: dict[str, Any], passes: Predicate) -> NDArray[np.int64] | None:
    """Items that pass a filter, rising; None where none of its parts at the top is a condition on an indexed path.

    Parameters
    ----------
    passes : callable
        The whole filter, for the payloads of the items that pass the indexed parts where there are other parts.
    """
    paths = indexed(snapshot)
    # A key that is one of these words may be a path as well; it is then read from the payloads.
    parts = {path: wanted for path, wanted in where.items() if path in paths and path not in ("and", "or", "not")}
    if not parts:
        return None
    found = [_at(snapshot, paths[path], compiled({"values[]": wanted})) for path, wanted in parts.items()]
    left = reduce(partial(np.intersect1d, assume_unique=True), found)
    if len(parts) == len(where):
        return left
    kept = []
    for start in range(0, len(left), _BATCH):
        records: dict[int, Record] = snapshot.records(left[start : start + _BATCH].tolist())
        kept += [item for item, record in records.items() if passes(load(record.codec, record.payload))]
    return np.array(sorted(kept), dtype=np.int64)


def _at(snapshot: Snapshot, number: int, passes: Predicate) -> NDArray[np.int64]:
    count = 0
    kept = []
    with translated(snapshot.folder):
        rows = snapshot.connection.execute(
            "SELECT item, codec, data, crc FROM path_values WHERE path = ? ORDER BY item", (number,)
        )
        for item, codec, data, crc in rows:
            count += 1
            record = checked(snapshot.folder, (item, str(number), codec, data, crc))
            if passes({"values": load(record.codec, record.payload)}):
                kept.append(item)
    if count != snapshot.state.items:
        raise damaged(snapshot.folder, f"{snapshot.state.items} values of an indexed path were expected, not {count}")
    return np.array(kept, dtype=np.int64)


def verify(snapshot: Snapshot) -> None:
    """Compare what is kept of every path with the payloads.

    Raises
    ------
    DamagedGalleryError
    """
    for path, number in indexed(snapshot).items():
        read = reader(path)
        kept = snapshot.connection.execute(
            "SELECT item, codec, data FROM path_values WHERE path = ? ORDER BY item", (number,)
        )
        for record in snapshot.all_records():
            if next(kept, None) != (record.item, *dump(read(load(record.codec, record.payload)), checked=True)):
                raise damaged(snapshot.folder, f"the values at the indexed path {path!r} are not those of the payloads")
        if next(kept, None) is not None:
            raise damaged(snapshot.folder, f"the indexed path {path!r} has values of items that are not there")
