"""What the labels of an index stand for, as the vectors of a gallery come and go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.vectors import VectorTable


class Entries:
    """The entries of an index by item and slot, so that deleted and replaced vectors are seen.

    An index is only ever added to: an entry whose vector is gone stays in it as a tombstone, and is told here.
    """

    def __init__(self, items: NDArray[np.int64], slots: NDArray[np.int64]) -> None:
        self.items = items
        self.slots = slots
        self._rows = np.empty(0, dtype=np.int64)

    @classmethod
    def of(cls, table: VectorTable, rows: NDArray[np.int64] | None = None) -> Entries:
        """Entries for some rows of a table, in their order; for all by default."""
        if rows is None:
            rows = np.arange(len(table))
        entries = cls(table.items[rows], table.slots[rows])
        entries._rows = rows
        return entries

    def __len__(self) -> int:
        return len(self.items)

    def follow(self, table: VectorTable) -> NDArray[np.int64]:
        """Find out which entries are dead, and which rows of the table have none: those, rising."""
        rows = table.rows_of(self.items)
        alive = rows >= 0
        if len(table):
            # Row -1 is the last one, and counts for nothing.
            alive &= table.slots[rows] == self.slots
        self._rows = np.where(alive, rows, -1)
        # A slot is in no two entries.
        if np.count_nonzero(alive) == len(table):
            return np.empty(0, dtype=np.int64)
        known = np.zeros(len(table), dtype=bool)
        known[rows[alive]] = True
        return np.flatnonzero(~known)

    def append(self, table: VectorTable, rows: NDArray[np.int64]) -> None:
        """Further entries, for rows of the table that was followed last."""
        self.items = np.concatenate([self.items, table.items[rows]])
        self.slots = np.concatenate([self.slots, table.slots[rows]])
        self._rows = np.concatenate([self._rows, rows])

    def rows_of(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows of the table that labels stand for; -1 for no label and for a vector that is gone."""
        # Label -1 reads the last entry, and is put right after.
        rows = self._rows[labels]
        rows[labels < 0] = -1
        return rows

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row of the table for each entry; -1 for one whose vector is gone."""
        return self._rows

    @property
    def dead(self) -> int:
        """Entries whose vector is gone."""
        return int((self._rows < 0).sum())
