"""The rows of many ids and payloads at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval import marks, pathindex
from retrieval.checksums import payload_crcs
from retrieval.payload import Packed


def put_ids(
    connection: sqlite3.Connection, names: Sequence[str], items: NDArray[np.int64], *, replaces: bool = False
) -> None:
    """Give ids their item numbers; an error for one that has one, unless it is to be replaced."""
    # In the order of their tree.
    order = sorted(range(len(names)), key=names.__getitem__)
    into = "INSERT OR REPLACE INTO ids" if replaces else "INSERT INTO ids"
    marks.insert(connection, into, [names[place] for place in order], items[order].tolist())


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
    marks.insert(connection, "INSERT OR REPLACE INTO records", numbers, ids, packed.codecs, checks, packed.texts)
    if paths:
        pathindex.put(connection, paths, zip(numbers, ids, packed.codecs, packed.texts, checks, strict=True))
    return sum(map(len, filter(None, packed.texts)))
