"""Moving a large log into the database beside other work."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

from retrieval.errors import RetrievalError
from retrieval.schema import connect, database

BULK = 4 << 20
"""A transaction of more bytes than this leaves its log to the thread; smaller ones, to SQLite's own checkpoints."""

# Writers that leave the thread no time to come to an end wait for it from here on, or the log would grow with them.
_LONGEST = 256 << 20


class Folding:
    """A thread that folds the log in after a bulk write, one at a time; nothing that was written waits for it.

    SQLite may be killed in the middle: the log is only begun anew when all of it is in the database, and synced.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread: threading.Thread | None = None

    def begin(self, connection: sqlite3.Connection) -> None:
        """Fold the log in; the connection is that of the writer, whose transaction has ended."""
        if self._length() > _LONGEST:
            self.wait()
            with contextlib.suppress(sqlite3.Error):
                # A reader may hold a part of the log back for as long as it likes, in this very thread.
                (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.execute(f"PRAGMA busy_timeout = {patience}")
            return
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._fold, name="retrieval-log")
            # No thread may be to be had; then a later write or closing folds the log in.
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    def wait(self) -> None:
        """Until the thread, if there is one, has come to its end."""
        thread, self._thread = self._thread, None
        if thread is not None and thread.is_alive():
            thread.join()

    def _length(self) -> int:
        file = database(self._folder)
        with contextlib.suppress(OSError):
            return file.with_name(file.name + "-wal").stat().st_size
        return 0

    def _fold(self) -> None:
        # Whoever reads or writes meanwhile is not in the way; what is left then is folded in another time.
        with contextlib.suppress(sqlite3.Error, RetrievalError):
            connection = connect(self._folder, timeout=0.0, writable=True)
            with contextlib.closing(connection):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
