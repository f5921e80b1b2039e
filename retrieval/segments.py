"""Vectors of bulk writes, in files of their own that the transactions of the store vouch for.

SQLite writes what it is given twice, to its log and from there to its file, with sums of its own on the way. So a
transaction of many vectors lays them into a new file beside the database, by a thread, and syncs it before the commit
that names it. Such a file is never written again. One that no state names is what a killed writer left or what
`compact` gave up, and `sweep` removes it once no reader can be in a state that names it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from retrieval.durable import sync_folder
from retrieval.errors import RetrievalError
from retrieval.schema import FAULTS, FILE_NAME, database

LEAST = 4 << 20
"""Bytes of vectors in one transaction from which on they go to a file: one more sync pays for less than that log."""

SMALL = 64 << 20
"""Bytes below which files are put together by compaction."""

# Compaction copies whole files; a larger one would need that much more disk for it.
_MOST = 256 << 20
# What the system has not written yet when the commit comes, the commit waits for.
_UNSYNCED = 32 << 20

# The number of no file: the system refuses to write to it or to read from it.
_CLOSED = -1

_NAME = re.compile(r"vectors-[0-9a-f]{16}\.bin")

# No name is there for a block that is neither in a file nor in the database.
_NAMED = "SELECT DISTINCT coalesce(file, '') FROM blocks WHERE file IS NOT NULL OR data IS NULL"

Placed = tuple[int, int, int, int, str, int]
"""A block in a file: first slot, model, rows, CRC, name and start in it; a row of the blocks table but for its data."""


class NewSegment:
    """A file of vectors that is being written.

    Raises
    ------
    RetrievalError
        By any of its methods, if the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"vectors-{secrets.token_hex(8)}.bin"
        self._length = self._unsynced = 0
        self._blocks: list[Placed] = []
        self._thread: threading.Thread | None = None
        self._idle = threading.Event()
        self._given_up = False
        self._error: BaseException | None = None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            self._file = os.open(folder / self.name, flags, 0o666)
        except OSError as error:
            raise self._failure(error) from error

    @property
    def full(self) -> bool:
        """Whether what follows belongs into another file."""
        return self._length >= _MOST

    def append(self, model: int, first: int, data: memoryview, step: int, width: int) -> None:
        """Lay rows behind those that are there, in blocks of `step` bytes, from slot `first` on.

        Returns while a thread is still at it: the bytes must stay until the next call.
        """
        self._wait()
        arguments = model, first, data, step, width, self._length
        self._length += len(data)
        self._idle.clear()
        # Known before it starts: Ctrl-C may come then, and whoever closes the file has to wait for it.
        self._thread = threading.Thread(target=self._run, args=arguments, name="retrieval-vectors")
        try:
            self._thread.start()
        except RuntimeError:
            self._thread = None
            self._run(*arguments)

    def _run(self, model: int, first: int, data: memoryview, step: int, width: int, start: int) -> None:
        try:
            if not self._given_up:
                self._lay(model, first, data, step, width, start)
        except BaseException as error:  # noqa: BLE001 - the thread that asked for it raises it
            self._error = error
        finally:
            self._idle.set()

    def _lay(self, model: int, first: int, data: memoryview, step: int, width: int, start: int) -> None:
        for at in range(0, len(data), step):
            part = data[at : at + step]
            n = len(part) // width
            self._blocks.append((first, model, n, zlib.crc32(part), self.name, start + at))
            first += n
        self._unsynced += len(data)
        while len(data):
            data = data[os.write(self._file, data) :]
        if self._unsynced >= _UNSYNCED:
            self._sync()

    def _sync(self) -> None:
        getattr(os, "fdatasync", os.fsync)(self._file)
        self._unsynced = 0

    def _wait(self) -> None:
        if self._thread is not None:
            # Python may take a thread for dead once Ctrl-C came while it was joined.
            self._idle.wait()
        if isinstance(self._error, OSError):
            raise self._failure(self._error) from self._error
        if self._error is not None:
            raise self._error

    def _close(self) -> None:
        # Once only: the number may be that of another file by then.
        file, self._file = self._file, _CLOSED
        if file != _CLOSED:
            os.close(file)

    def seal(self) -> list[Placed]:
        """Make the file survive a power loss, and write no more to it; the blocks in it."""
        self._wait()
        try:
            if self._file != _CLOSED:
                if self._unsynced:
                    self._sync()
                self._close()
                sync_folder(self.folder)
        except OSError as error:
            raise self._failure(error) from error
        return self._blocks

    def abandon(self) -> None:
        """Remove the file, which no commit was or will be asked to name."""
        self._given_up = True
        # One that has no number yet has not begun, and finds that it was given up.
        if self._thread is not None and self._thread.ident is not None:
            self._idle.wait()
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            (self.folder / self.name).unlink()

    def _failure(self, error: OSError) -> RetrievalError:
        return RetrievalError(
            f"{self.folder}: the vectors could not be written ({error.strerror}); nothing of this call was written"
        )


class Segments:
    """The files of vectors of a gallery, for reading; holds the last one open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name: str | None = None
        self._file = _CLOSED

    def read(self, name: object, start: object, length: int) -> bytes | None:
        """So many bytes of a file from `start` on; fewer where it ends, None where there is no such file."""
        if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(start, int) or start < 0:
            return None
        try:
            if name != self._name:
                self.close()
                self._file = os.open(self._folder / name, os.O_RDONLY | getattr(os, "O_BINARY", 0))
                self._name = name
            os.lseek(self._file, start, os.SEEK_SET)
            return os.read(self._file, length)
        except OSError:
            return None

    def close(self) -> None:
        """Close the file that is open."""
        file, self._file, self._name = self._file, _CLOSED, None
        if file != _CLOSED:
            os.close(file)

    def __enter__(self) -> Segments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def files(folder: Path) -> Iterator[Path]:
    """The files of vectors in a folder."""
    return (file for file in folder.iterdir() if _NAME.fullmatch(file.name))


def size(folder: Path) -> int:
    """Bytes of the files of vectors; others may remove some meanwhile."""
    total = 0
    for file in files(folder):
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total


def _sync_log(folder: Path) -> None:
    log = os.open(database(folder).with_name(FILE_NAME + "-wal"), os.O_RDWR)
    try:
        os.fsync(log)
    finally:
        os.close(log)


def sweep(folder: Path, connection: sqlite3.Connection) -> None:
    """Remove the files that no state names, if nobody writes and no reader is in an older state.

    Whatever is in the way of that leaves them to the next time; so does a name that no file has, which is damage.
    """
    with contextlib.suppress(*FAULTS, OSError):
        if not any(files(folder)):
            return
        (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")
        try:
            # Who writes holds this lock, so that all names are known, and a name is never given twice.
            connection.execute("BEGIN IMMEDIATE")
            there = {file.name for file in files(folder)}
            named = {row[0] for row in connection.execute(_NAMED)}
            connection.execute("ROLLBACK")
            left = there - named
            # All of the log is in the database only when no reader needs what was there before.
            whole = named <= there and left
            if whole and not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                # A commit that failed may lie in a log whose end is not on disk, and would come back with it.
                _sync_log(folder)
                for name in sorted(left):
                    with contextlib.suppress(OSError):
                        (folder / name).unlink()
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.execute(f"PRAGMA busy_timeout = {patience}")
