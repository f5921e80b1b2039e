"""A bounded table of float32 rows with names, the least recently used thrown out."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from vsa.budget import NAME, row_bytes

Tag = TypeVar("Tag")


class RowTable(Generic[Tag]):
    """Rows that several dictionaries point into.

    A row is claimed under a key of some dictionary, which then holds its number. When the table is full, `evict`
    frees the rows not touched for longest and takes them out of their dictionaries. `touch` is called once a
    batch with all rows in use, so that nothing is done per look-up.

    Parameters
    ----------
    dim : int
        Columns.
    room : int
        Bytes for rows, their books and their names, which are counted where they are texts. The memory is taken as
        rows come into use.

    Attributes
    ----------
    capacity : int
        Most rows held.
    rows : (capacity, dim) float32
        The table.
    tags : list
        What the claimant said of each row.
    generation : (capacity,) int32
        How often each row was freed.
    """

    def __init__(self, dim: int, room: int) -> None:
        self.dim = dim
        self.capacity = capacity = max(1, room // row_bytes(dim))
        self._names = 0
        self.tags: list[Tag | None] = []
        # Apart, for pairs of them would be as many more objects for the garbage collector to go through.
        self._owners: list[dict[Any, int] | None] = []
        self._keys: list[Hashable] = []
        self._free: list[int] = []
        self._clock = 0
        self.generation = np.zeros(capacity, np.int32)
        # Zeroed pages are not taken from the system before they are written.
        self._used = np.zeros(capacity, np.int64)
        self.rows = np.zeros((capacity, dim), np.float32)

    def __len__(self) -> int:
        return len(self._owners) - len(self._free)

    def is_full(self) -> bool:
        """Whether the next claim needs an eviction first."""
        return not self._free and len(self._owners) >= self.capacity

    def is_wordy(self) -> bool:
        """Whether the names have outgrown their room, so that rows should go although there are free ones."""
        return self._names > self.capacity * NAME

    def claim(self, owner: dict[Any, int], key: Hashable, tag: Tag) -> int:
        """A row for `key` of `owner`, which is set to its number; its values are the caller's to fill.

        Raises
        ------
        OverflowError
            If the table is full.
        """
        if self._free:
            row = self._free.pop()
            self._owners[row], self._keys[row], self.tags[row] = owner, key, tag
        elif len(self._owners) < self.capacity:
            row = len(self._owners)
            self._owners.append(owner)
            self._keys.append(key)
            self.tags.append(tag)
        else:
            raise OverflowError(f"all {self.capacity} rows are taken")
        owner[key] = row
        if type(key) is str:
            self._names += sys.getsizeof(key)
        return row

    def touch(self, rows: npt.NDArray[np.int64]) -> None:
        """Mark `rows` as in use now."""
        self._clock += 1
        self._used[rows] = self._clock

    def evict(self) -> None:
        """Free the half of the rows that were touched longest ago."""
        held = np.array([row for row, owner in enumerate(self._owners) if owner is not None], np.int64)
        oldest = held[np.argsort(self._used[held], kind="stable")[: (len(held) + 1) // 2]]
        self.generation[oldest] += 1
        for row in oldest.tolist():
            owner, key = self._owners[row], self._keys[row]
            if owner is not None:
                owner.pop(key, None)
                self._names -= _size(key)
            self._owners[row] = self._keys[row] = self.tags[row] = None
        self._free += oldest.tolist()

    def clear(self) -> None:
        """Forget every row, take them out of their dictionaries and give the memory back."""
        for owner, key in zip(self._owners, self._keys, strict=False):
            if owner is not None:
                owner.pop(key, None)
        self._owners.clear()
        self._keys.clear()
        self.tags.clear()
        self._free.clear()
        self._names = 0
        self._used = np.zeros(self.capacity, np.int64)
        self.rows = np.zeros((0, self.dim), np.float32)  # so that the old ones go before the new ones come
        self.rows = np.zeros((self.capacity, self.dim), np.float32)


def _size(key: Hashable) -> int:
    """Bytes of a name; what is no text is small."""
    return sys.getsizeof(key) if type(key) is str else 0
