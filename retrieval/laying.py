"""Writing blocks of vectors: a few into the table of blocks, many into a file that it names."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from retrieval import blocks, segments
from retrieval.rows import Model


class BlockWriter:
    """The blocks that one transaction writes and gives up.

    Attributes
    ----------
    logged : int
        Bytes of vectors that went through SQLite's log.
    gave_up : bool
        Whether a block went, and a file with it perhaps.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection
        self._segments: list[segments.NewSegment] = []
        self._bytes = 0
        self.logged = 0
        self.gave_up = False

    def write(self, model: Model, first: int, data: bytes | memoryview) -> None:
        """Write rows, as bytes, into slots from `first` on; nobody may change them until the transaction ends."""
        if not len(data):
            return
        width = model.row_bytes
        step = max(1, blocks.BYTES // width) * width
        self._bytes += len(data)
        if self._bytes > segments.LEAST:
            self._segment().append(model.model, first, memoryview(data), step, width)
            return
        for at in range(0, len(data), step):
            part = data[at : at + step]
            self._connection.execute(
                "INSERT INTO blocks VALUES (?, ?, ?, ?, NULL, NULL, ?)",
                (first + at // width, model.model, len(part) // width, zlib.crc32(part), part),
            )
        self.logged += len(data)

    def _segment(self) -> segments.NewSegment:
        if not self._segments or self._segments[-1].full:
            if self._segments:
                # One file is open at a time: a process may not have many.
                self._segments[-1].seal()
            self._segments.append(segments.NewSegment(self._folder))
        return self._segments[-1]

    def move(self, model: Model, first: int) -> None:
        """Write the block that begins at a slot somewhere else."""
        data = blocks.one(self._folder, self._connection, model, first)
        self.drop(first)
        self.write(model, first, data)

    def drop(self, first: int) -> None:
        """Forget the block that begins at a slot."""
        self._connection.execute("DELETE FROM blocks WHERE first = ?", (first,))
        self.gave_up = True

    def drop_all(self, number: int) -> None:
        """Forget the blocks of a model."""
        self._connection.execute("DELETE FROM blocks WHERE model = ?", (number,))
        self.gave_up = True

    def finish(self) -> None:
        """Have all files synced, and named by the transaction."""
        for segment in self._segments:
            self._connection.executemany("INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, NULL)", segment.seal())

    def abandon(self) -> None:
        """Remove the files of a transaction that is not going to be committed."""
        for segment in self._segments:
            segment.abandon()
