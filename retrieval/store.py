"""Connections and transactions of a gallery: one writer at a time, readers on snapshots."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval import segments, watermark
from retrieval.durable import sync_folder
from retrieval.errors import (
    ClosedGalleryError,
    GalleryBusyError,
    GalleryExistsError,
    GalleryNotFoundError,
    RetrievalError,
)
from retrieval.folding import BULK, Folding
from retrieval.rows import Model, State, Storage, write_model, write_state
from retrieval.schema import (
    CHECKPOINT,
    FORMAT,
    check_marks,
    check_watermark,
    connect,
    create_tables,
    database,
    reached,
    translated,
)
from retrieval.snapshot import Snapshot
from retrieval.writing import Writer


class Store:
    """The SQLite file of one gallery, opened.

    Every thread reads through a connection of its own; writes share one connection behind a lock. In WAL mode
    with ``synchronous = FULL`` a commit returns after the log was synced, so a write that returned survives
    kill -9 and power loss; `retrieval.watermark` notices if the log lost one all the same.
    """

    def __init__(self, folder: Path, timeout: float) -> None:
        # The program may go to another folder, where the same path is another gallery.
        self.folder = folder.absolute()
        self.timeout = timeout
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._open_lock = threading.Lock()
        self._writing = threading.RLock()
        self._write_connection: sqlite3.Connection | None = None
        self._write_process = 0
        self._written: tuple[int, int] | None = None
        self._in_write = False
        self._closed = False
        self._folding = Folding(self.folder)

    @classmethod
    def create(
        cls, folder: Path, *, name: str, dim: int, dtype: Storage, encoder: bytes | None, timeout: float
    ) -> Store:
        """Make a folder with an empty gallery of one model.

        Raises
        ------
        GalleryExistsError
            If `folder` exists and is not an empty folder.
        GalleryPathError, ReadOnlyGalleryError
            If it cannot be made, or not be written.
        """
        with reached(folder):
            if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
                raise GalleryExistsError(
                    f"{folder}: exists already; open it with Gallery.open, or choose another name or delete it first"
                )
            folder.mkdir(parents=True, exist_ok=True)
        connection = create_tables(folder, timeout)
        try:
            with translated(folder):
                write_state(connection, State(FORMAT, 0, 0, 0, 0, 1, 1, 1))
                write_model(connection, Model(1, name, dim, dtype, 0, 0))
                if encoder is not None:
                    connection.execute("UPDATE models SET encoder = ? WHERE model = 1", (encoder,))
                connection.execute("COMMIT")
        finally:
            connection.close()
        watermark.write(folder, 0)
        sync_folder(folder)
        sync_folder(folder.absolute().parent)
        return cls(folder, timeout)

    @classmethod
    def open(cls, folder: Path, timeout: float) -> Store:
        """Open an existing gallery.

        Raises
        ------
        GalleryNotFoundError, GalleryPathError, NotAGalleryError, NewerGalleryError, DamagedGalleryError,
        ReadOnlyGalleryError
        """
        with reached(folder):
            if not folder.is_dir():
                what = "a file, not the folder of a gallery" if folder.exists() else "no such folder"
                raise GalleryNotFoundError(f"{folder}: {what}")
            mark = watermark.read(folder)
        store = cls(folder, timeout)
        try:
            check_marks(folder, store._reader())
            with store.snapshot() as snapshot:
                check_watermark(folder, mark, snapshot.state.generation)
        except RetrievalError:
            store.close()
            raise
        return store

    def _reader(self) -> sqlite3.Connection:
        if self._closed:
            raise ClosedGalleryError(f"{self.folder}: the gallery was closed")
        # A connection must not cross a fork.
        if getattr(self._local, "process", None) != os.getpid():
            self._local.connection = self._connect(writable=False)
            self._local.process = os.getpid()
            self._local.depth = 0
        connection: sqlite3.Connection = self._local.connection
        return connection

    def _for_writing(self) -> sqlite3.Connection:
        if self._write_connection is None or self._write_process != os.getpid():
            self._written = self._which()
            self._write_connection = self._connect(writable=True)
            self._write_process = os.getpid()
            # What writers that were killed left behind.
            self._sweep(self._write_connection)
        self._check_place()
        return self._write_connection

    def _check_place(self) -> None:
        # SQLite goes on with the database that it opened, and our files would lie beside another.
        if self._which() != self._written:
            raise RetrievalError(
                f"{self.folder}: the folder was moved or replaced while the gallery was open; nothing of this call was "
                "written. Open it anew"
            )

    def _sweep(self, connection: sqlite3.Connection) -> None:
        # The files of another gallery are none that nobody needs.
        if self._which() == self._written:
            segments.sweep(self.folder, connection)

    def _which(self) -> tuple[int, int] | None:
        """What tells the database in the folder from one that takes its place."""
        try:
            found = database(self.folder).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _connect(self, *, writable: bool) -> sqlite3.Connection:
        connection = connect(self.folder, timeout=self.timeout, writable=writable)
        with self._open_lock:
            self._open.append(connection)
        return connection

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """What was committed last, unchanged by later writes while the context lasts."""
        connection = self._reader()
        if self._local.depth:
            raise RuntimeError("snapshots of one thread do not nest")
        with translated(self.folder, self.timeout):
            connection.execute("BEGIN")
        self._local.depth = 1
        try:
            yield Snapshot(self.folder, connection)
        finally:
            self._local.depth = 0
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    @contextmanager
    def long_snapshot(self) -> Iterator[Snapshot]:
        """A snapshot on a connection of its own, for generators that callers may leave unfinished."""
        self._reader()
        connection = connect(self.folder, timeout=self.timeout, writable=False)
        try:
            with translated(self.folder, self.timeout):
                connection.execute("BEGIN")
            yield Snapshot(self.folder, connection)
        finally:
            connection.close()

    @contextmanager
    def write(self, *, wait: bool = True) -> Iterator[Writer]:
        """One transaction: all that the context writes becomes visible at its end, or nothing does.

        Parameters
        ----------
        wait : bool
            False gives up at once if another writer is at work.

        Raises
        ------
        GalleryBusyError
            If another thread or process keeps the write lock for longer than the timeout.
        """
        self._reader()
        if not self._writing.acquire(timeout=self.timeout if wait else 0):
            raise GalleryBusyError(
                f"{self.folder}: another thread has held the gallery for {self.timeout:g} s; "
                "wait for it to end, or open with a longer timeout"
            )
        try:
            if self._in_write and not wait:
                raise GalleryBusyError(f"{self.folder}: this thread is writing")
            if self._in_write:
                raise RuntimeError("a write was begun inside another write of the same thread")
            connection = self._for_writing()
            with translated(self.folder, self.timeout):
                connection.execute(f"PRAGMA busy_timeout = {int(1000 * self.timeout) if wait else 0}")
                connection.execute("BEGIN IMMEDIATE")
            self._in_write = True
            try:
                writer = Writer(self.folder, connection)
                try:
                    yield writer
                    with translated(self.folder, self.timeout):
                        writer.finish()
                    self._check_place()
                except BaseException:
                    writer.blocks.abandon()
                    raise
                bulk = writer.logged > BULK
                with translated(self.folder, self.timeout):
                    connection.execute(f"PRAGMA wal_autocheckpoint = {0 if bulk else CHECKPOINT}")
                    connection.execute("COMMIT")
                if writer.state.generation != writer.before.generation:
                    watermark.write(self.folder, writer.state.generation)
            finally:
                self._in_write = False
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if writer.blocks.gave_up:
                self._sweep(connection)
            if bulk:
                self._folding.begin(connection)
        finally:
            self._writing.release()

    def shrink(self) -> None:
        """Give free pages, and files that no reader needs any more, back to the file system.

        Raises
        ------
        GalleryBusyError
            If another writer is at work for longer than the timeout.
        """
        with self._writing, translated(self.folder, self.timeout):
            connection = self._for_writing()
            self._folding.wait()
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._sweep(connection)

    def close(self) -> None:
        """Close every connection; the last one to close folds the log into the file."""
        self._closed = True
        self._folding.wait()
        with self._open_lock:
            connections, self._open = self._open, []
        for connection in connections:
            connection.close()
