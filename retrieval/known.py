"""Which ids a gallery knows while it is being written."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from retrieval import departures, marks
from retrieval.schema import translated


class KnownIds:
    """The ids that were there before a transaction, and that it has put so far."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._connection = connection

    def items(self, ids: Sequence[str]) -> dict[str, int]:
        """Item numbers of those ids that are there, in no order."""
        known: dict[str, int] = {}
        with translated(self._folder):
            for among, part in marks.parts(ids):
                known.update(self._connection.execute(f"SELECT id, item FROM ids WHERE id {among}", part))
        return {name: item for name, item in known.items() if item not in self.gone} if self.gone else known

    @cached_property
    def gone(self) -> set[int]:
        """Items that went, and whose rows may still be there; `delete` adds to them."""
        return set(departures.read(self._folder, self._connection)[:, 1].tolist())
