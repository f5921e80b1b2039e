"""The rows of many ids and payloads at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval import marks, pathindex
from retrieval.checksums import payload_crcs
from retrieval.payload import Packed


def put_payloads(
    connection: sqlite3.Connection,
    paths: dict[str, int],
    ids: Sequence[str],
    items: NDArray[np.int64],
    crcs: NDArray[np.uint64],
    packed: Packed,
) -> int:
    """Insert or replace the records of items, and what is kept of them at indexed paths; the bytes of the payloads.

    Parameters
    ----------
    crcs : (n,) uint64
        CRC-32 of each id.
    """
    numbers = items.tolist()
    checks = payload_crcs(items, crcs, packed.codecs, packed.texts)
    # JSON is text, and Python hands SQLite text three times as fast as bytes.
    texts = [None if text is None else text.decode() for text in packed.texts]
    columns = numbers, ids, packed.codecs, checks, texts
    marks.insert(connection, "INSERT OR REPLACE INTO records", *columns, values=("?", "?", "?", "?", "CAST(? AS BLOB)"))
    if paths:
        pathindex.put(connection, paths, zip(numbers, ids, packed.codecs, packed.texts, checks, strict=True))
    return sum(map(len, filter(None, packed.texts)))


def put_ids(connection: sqlite3.Connection, first: int, last: int, *, replaces: bool = False) -> None:
    """Let the ids of records, which were just put, be found; an error for one that is, unless it is to be replaced."""
    # In the order of their tree, whose pages are then written once.
    into = "INSERT OR REPLACE INTO ids" if replaces else "INSERT INTO ids"
    connection.execute(
        f"{into} SELECT id, item FROM records WHERE item BETWEEN ? AND ? ORDER BY id, item", (first, last)
    )


def put_placements(connection: sqlite3.Connection, model: int, items: NDArray[np.int64], first: int) -> None:
    """Give items, whose records were just put and whose numbers follow each other, slots from `first` on."""
    connection.execute(
        f"INSERT INTO placements SELECT {model}, item, item + ? FROM records WHERE item BETWEEN ? AND ?",
        (first - int(items[0]), int(items[0]), int(items[-1])),
    )
