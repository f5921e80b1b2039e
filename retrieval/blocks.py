"""Blocks of vectors: where their bytes lie, whether they are what was written, and what they say."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.rows import Model, Storage
from retrieval.schema import damaged, translated
from retrieval.segments import Segments

BYTES = 4 << 20
"""Of one block, or a row if that is longer."""

_COLUMNS = "first, n, crc, file, start, data"

Row = tuple[int, int, int, "str | None", "int | None", "bytes | None"]


def stored(folder: Path, connection: sqlite3.Connection, model: Model, first: int = 0) -> Iterator[tuple[int, bytes]]:
    """(first slot, bytes) of a model's blocks that begin at `first` or later, by rising slot.

    Raises
    ------
    DamagedGalleryError
        If one does not match its checksum.
    """
    with translated(folder), Segments(folder) as segments:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM blocks WHERE first >= ? AND model = ? ORDER BY first", (first, model.model)
        )
        for row in rows:
            yield row[0], _checked(folder, segments, model, row)


def one(folder: Path, connection: sqlite3.Connection, model: Model, first: int) -> bytes:
    """The bytes of the block that begins at a slot; errors as `stored`."""
    with translated(folder), Segments(folder) as segments:
        row = connection.execute(f"SELECT {_COLUMNS} FROM blocks WHERE first = ?", (first,)).fetchone()
        return _checked(folder, segments, model, row)


def sound(folder: Path, connection: sqlite3.Connection, model: Model) -> Iterator[int]:
    """Rows of each block of a model that matches its checksum, past those that do not."""
    with Segments(folder) as segments:
        for row in connection.execute(f"SELECT {_COLUMNS} FROM blocks WHERE model = ?", (model.model,)):
            if _bytes(segments, model, row) is not None:
                yield row[1]


def _checked(folder: Path, segments: Segments, model: Model, row: Row) -> bytes:
    data = _bytes(segments, model, row)
    if data is None:
        first, n, file = row[0], row[1], row[3]
        last = first + n - 1 if isinstance(n, int) else "?"
        where = "" if file is None else f", in {file}"
        raise damaged(folder, f"the vectors of model {model.name!r}, slots {first} to {last}{where}")
    return data


def believable(n: object, model: Model) -> bool:
    """Whether a block may have so many rows."""
    return isinstance(n, int) and 0 < n * model.row_bytes <= max(BYTES, model.row_bytes)


def _bytes(segments: Segments, model: Model, row: Row) -> bytes | None:
    """The bytes of a block, if they are what was written."""
    _, n, crc, file, start, data = row
    if not believable(n, model):
        return None
    if file is not None:
        data = segments.read(file, start, n * model.row_bytes)
    whole = isinstance(data, bytes) and zlib.crc32(data) == crc and len(data) == n * model.row_bytes
    return data if whole else None


def decoded(data: bytes, model: Model) -> NDArray[np.float32]:
    """Rows of a block as float32, of length one where they were stored narrower; shape (n, dim)."""
    if model.dtype is Storage.FLOAT32:
        return np.frombuffer(data, dtype="<f4").reshape(-1, model.dim)
    rows = np.frombuffer(data, dtype="<f2").reshape(-1, model.dim).astype(np.float32)
    # Rounding to 11 bits moves the length by up to 5e-4, which a cosine must not show.
    rows /= np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))[:, None].astype(np.float32)
    return rows
