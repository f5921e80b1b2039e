"""Ids that came twice in one call."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from types import TracebackType

from retrieval.errors import DuplicateIdError


class Seen:
    """The ids of a stream and where each stood in it, in a private file of SQLite's: memory stays bounded."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._connection.execute("BEGIN")

    def refuse_duplicates(self, ids: Sequence[str], numbers: Sequence[int], unit: str) -> None:
        """Remember some ids.

        Raises
        ------
        DuplicateIdError
            If one came before, here or in an earlier call; names both places.
        """
        for name, number in zip(ids, numbers, strict=True):
            try:
                self._connection.execute("INSERT INTO seen VALUES (?, ?)", (name, number))
            except sqlite3.IntegrityError:
                (first,) = self._connection.execute("SELECT number FROM seen WHERE id = ?", (name,)).fetchone()
                raise DuplicateIdError(
                    f"{unit} {number}: the id {name!r} came before, in {unit} {first}; "
                    "ids must be unique within one call"
                ) from None

    def close(self) -> None:
        """Forget them all."""
        self._connection.close()

    def __enter__(self) -> Seen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def refuse_duplicates(ids: Sequence[str]) -> None:
    """As `Seen.refuse_duplicates` for a list that is in memory anyway, its rows counted from 1."""
    if len(set(ids)) != len(ids):
        with Seen() as seen:
            seen.refuse_duplicates(ids, range(1, len(ids) + 1), "row")
