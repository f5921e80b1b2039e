"""Vectors put one after the other into room taken beforehand, so that few are ever copied."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]

_ROWS = 1024
_MOST_BYTES = 1 << 30


class Gathered:
    """Rows as they come.

    Parameters
    ----------
    dim : int
    expected : int
        How many rows there will be, as far as is known. Room for them is taken in advance, up to a gigabyte: memory
        that is not written to is not taken from the system.
    """

    def __init__(self, dim: int, expected: int = 0) -> None:
        self._dim = dim
        self._done: list[Vectors] = []
        self._filled = 0
        self._room = self._new(expected)

    def _new(self, rows: int) -> Vectors:
        return np.empty((max(_ROWS, min(rows, _MOST_BYTES // (4 * self._dim))), self._dim), np.float32)

    def ahead(self, count: int) -> Vectors:
        """(count, dim) where the next rows may be written before they are given to `take`."""
        if self._filled + count > len(self._room):
            self._done.append(self._room[: self._filled])
            self._room, self._filled = self._new(max(count, 2 * len(self._room))), 0
        return self._room[self._filled : self._filled + count]

    def take(self, rows: Vectors) -> None:
        """Put rows behind those that there are."""
        place = self.ahead(len(rows))
        if not np.may_share_memory(place, rows):
            place[:] = rows
        self._filled += len(rows)

    def all(self) -> Vectors:
        """(n, dim) all rows in the order in which they were taken."""
        last = self._room[: self._filled]
        return np.concatenate([*self._done, last]) if self._done else last
