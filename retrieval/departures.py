"""Items that were deleted and whose rows still lie in the tables.

A thousand items deleted here and there touch nearly every page of four trees, megabytes for the log to carry. So a
deletion only writes down which items went, in a few pages; readers leave those out, and the rows of many are removed
together: by `compact`, before a gallery gets a second model, or when too many have gathered.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval import marks
from retrieval.checksums import row_crc
from retrieval.errors import RetrievalError
from retrieval.schema import damaged, translated

MOST = 16_384
"""Items that may wait for their rows to be removed; a reader of one id looks through all of them."""

# A part of so many items is some 8 KB, a page: one more deletion writes no more than that anew.
_PART = 500

KEY = "departures"
"""Where the store keeps how many items wait: a part that a damaged page hides would bring its items back."""

Pairs = NDArray[np.int64]


def read(
    folder: Path, connection: sqlite3.Connection, since: int = -1, *, faults: list[RetrievalError] | None = None
) -> Pairs:
    """(generation, item) of what went in generations after `since`, shape (n, 2), in the order of deletion.

    Parameters
    ----------
    faults : list, optional
        Takes the errors of parts that do not match their checksum or are missing, which are then passed over.

    Raises
    ------
    DamagedGalleryError
        If a part does not match its checksum, or some are missing.
    """
    with translated(folder):
        rows = connection.execute(
            "SELECT part, crc, data FROM departures WHERE last > ? ORDER BY part", (since,)
        ).fetchall()
        number = _number(connection) if since < 0 else None
    found: list[RetrievalError] = []
    parts = [np.empty((0, 2), dtype=np.int64)]
    for part, crc, data in rows:
        if not isinstance(data, bytes) or _crc(part, data) != crc or len(data) % 16:
            found.append(damaged(folder, "the list of deleted items does not match its checksum"))
            continue
        parts.append(np.frombuffer(data, dtype="<i8").reshape(-1, 2))
    pairs = np.concatenate(parts).astype(np.int64)
    if number is not None and number != len(pairs):
        found.append(damaged(folder, "the list of deleted items is not whole"))
    if found and faults is None:
        raise found[0]
    if faults is not None:
        faults += found
    return pairs[pairs[:, 0] > since]


def _number(connection: sqlite3.Connection) -> int | None:
    """How many pairs there should be; -1 if that itself is damaged, None where no item ever went."""
    row = connection.execute("SELECT value, crc FROM settings WHERE key = ?", (KEY,)).fetchone()
    if row is None:
        return None
    return int(row[0]) if row_crc(KEY, row[0]) == row[1] else -1


def _keep_number(connection: sqlite3.Connection) -> None:
    (number,) = connection.execute("SELECT coalesce(sum(length(data)), 0) / 16 FROM departures").fetchone()
    value = str(number)
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?, ?)", (KEY, value, row_crc(KEY, value)))


def _crc(part: int, data: bytes) -> int:
    return zlib.crc32(data, part)


def note(folder: Path, connection: sqlite3.Connection, generation: int, items: Iterable[int]) -> None:
    """Write down that items went in a generation."""
    last = connection.execute("SELECT part, crc, data FROM departures ORDER BY part DESC LIMIT 1").fetchone()
    number, begun = 0, b""
    if last is not None:
        number, crc, begun = last
        if not isinstance(begun, bytes) or _crc(number, begun) != crc:
            raise damaged(folder, "the list of deleted items does not match its checksum")
    pairs = np.array([(generation, item) for item in items], dtype="<i8").tobytes()
    room = max(0, 16 * _PART - len(begun))
    rows = [(number, begun + pairs[:room])] if begun and room else []
    for start in range(room if begun else 0, len(pairs), 16 * _PART):
        number += 1
        rows.append((number, pairs[start : start + 16 * _PART]))
    connection.executemany(
        f"INSERT OR REPLACE INTO departures VALUES (?, {generation}, ?, ?)",
        [(part, _crc(part, data), data) for part, data in rows],
    )
    _keep_number(connection)


def settle(folder: Path, connection: sqlite3.Connection, models: Iterable[int]) -> bool:
    """Remove the rows of all that went; whether there were any. Tombstones tell readers that are behind."""
    pairs = read(folder, connection)
    if not len(pairs):
        return False
    for among, part in marks.parts(pairs[:, 1].tolist()):
        # An id may have come back since, as another item.
        rows = connection.execute(f"SELECT id, item FROM records WHERE item {among}", part).fetchall()
        connection.executemany("DELETE FROM ids WHERE id = ? AND item = ?", rows)
        connection.execute(f"DELETE FROM records WHERE item {among}", part)
        for model in models:
            for table in ("placements", "uncertainty"):
                connection.execute(f"DELETE FROM {table} WHERE model = {model} AND item {among}", part)
    for model in models:
        connection.executemany(f"INSERT OR IGNORE INTO tombstones VALUES (?, {model}, ?)", map(tuple, pairs.tolist()))
    connection.execute("DELETE FROM departures")
    _keep_number(connection)
    return True
