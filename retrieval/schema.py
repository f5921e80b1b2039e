"""The SQLite file of a gallery: its tables, its marks, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval import watermark
from retrieval.errors import (
    DamagedGalleryError,
    GalleryBusyError,
    GalleryNotFoundError,
    GalleryPathError,
    NewerGalleryError,
    NotAGalleryError,
    ReadOnlyGalleryError,
    RetrievalError,
)

FILE_NAME = "gallery.sqlite"
APPLICATION_ID = 0x56534147
FORMAT = 1

# A page of 8 KiB holds most payloads without overflow.
_PAGE_SIZE = 8192
_CACHE_KIB = 65536
# Of the log in pages: a commit that finds more folds it in.
CHECKPOINT = 1000
# The file is not cut below this: that takes longer than a small commit, and what is written over is synced faster.
_WAL_LIMIT = 64 << 20

_TABLES = """
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    format INTEGER NOT NULL, generation INTEGER NOT NULL, epoch INTEGER NOT NULL,
    items INTEGER NOT NULL, digest INTEGER NOT NULL,
    next_item INTEGER NOT NULL, next_slot INTEGER NOT NULL, active INTEGER NOT NULL,
    crc INTEGER NOT NULL
);
CREATE TABLE models (
    model INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL, dtype TEXT NOT NULL,
    count INTEGER NOT NULL, digest INTEGER NOT NULL, crc INTEGER NOT NULL, encoder BLOB
);
CREATE TABLE ids (id TEXT PRIMARY KEY, item INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE records (
    item INTEGER PRIMARY KEY, id TEXT NOT NULL, codec INTEGER NOT NULL, crc INTEGER NOT NULL, payload BLOB
);
CREATE TABLE blocks (
    first INTEGER PRIMARY KEY, model INTEGER NOT NULL, n INTEGER NOT NULL, crc INTEGER NOT NULL,
    file TEXT, start INTEGER, data BLOB
);
CREATE TABLE placements (
    model INTEGER NOT NULL, item INTEGER NOT NULL, slot INTEGER NOT NULL, PRIMARY KEY (model, item)
) WITHOUT ROWID;
CREATE UNIQUE INDEX placements_by_slot ON placements (model, slot);
CREATE TABLE upgrades (
    upgrade INTEGER PRIMARY KEY, old INTEGER NOT NULL, new INTEGER NOT NULL, kind TEXT NOT NULL,
    digest TEXT NOT NULL, state TEXT NOT NULL, before INTEGER NOT NULL, turn INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE upgrade_parts (
    upgrade INTEGER NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (upgrade, part)
);
CREATE TABLE mappings (
    model INTEGER PRIMARY KEY, origin INTEGER NOT NULL, space INTEGER NOT NULL, via TEXT NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE uncertainty (
    model INTEGER NOT NULL, item INTEGER NOT NULL, spread REAL NOT NULL, support REAL NOT NULL,
    PRIMARY KEY (model, item)
) WITHOUT ROWID;
CREATE TABLE failures (
    model INTEGER NOT NULL, item INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (model, item)
) WITHOUT ROWID;
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tombstones (
    generation INTEGER NOT NULL, model INTEGER NOT NULL, item INTEGER NOT NULL,
    PRIMARY KEY (generation, model, item)
) WITHOUT ROWID;
CREATE TABLE departures (
    part INTEGER PRIMARY KEY, last INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL
);
"""

_DAMAGE_HINT = "run `retrieval check` to see what can be saved and `retrieval export --salvage` to save it"


# A message that quotes damaged text fails to decode on its way out of the module.
FAULTS = (sqlite3.Error, UnicodeDecodeError)


def database(folder: Path) -> Path:
    """The SQLite file of the gallery in `folder`."""
    return folder / FILE_NAME


@contextmanager
def translated(folder: Path, timeout: float = 0.0) -> Iterator[None]:
    """Turn errors of SQLite into those of this package."""
    try:
        yield
    except FAULTS as error:
        raise _meaning(folder, error, timeout) from error


@contextmanager
def reached(folder: Path) -> Iterator[None]:
    """Turn errors of the file system on the way to a folder into those of this package."""
    try:
        yield
    except RetrievalError:
        raise
    except PermissionError as error:
        raise ReadOnlyGalleryError(f"{folder}: {error.strerror}; check the permissions of the folders") from error
    except OSError as error:
        raise GalleryPathError(f"{folder}: no gallery can be there ({error.strerror}); choose another place") from error


def _meaning(folder: Path, error: Exception, timeout: float) -> RetrievalError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return GalleryBusyError(
            f"{folder}: another writer has held the gallery for {timeout:g} s; wait for it to end, "
            "or open with a longer timeout"
        )
    if "readonly" in text or "read-only" in text:
        return ReadOnlyGalleryError(f"{folder}: cannot be written; check the permissions of the folder")
    if "not a database" in text:
        return NotAGalleryError(f"{database(folder)}: not a gallery, or its first bytes are damaged")
    if "full" in text:
        return RetrievalError(f"{folder}: the disk is full; nothing of this call was written")
    if "unable to open" in text:
        return ReadOnlyGalleryError(f"{folder}: cannot be opened; check the permissions of the folder")
    return DamagedGalleryError(f"{database(folder)}: damaged ({text}); {_DAMAGE_HINT}")


def damaged(folder: Path, what: str) -> DamagedGalleryError:
    """The error for a part that does not match its checksum."""
    return DamagedGalleryError(f"{database(folder)}: {what}; {_DAMAGE_HINT}")


def connect(folder: Path, *, timeout: float, writable: bool) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun and ended by their users.

    Raises
    ------
    GalleryNotFoundError
        If there is no gallery file.
    ReadOnlyGalleryError
        If the folder cannot be written and a write-ahead log waits in it.
    """
    file = database(folder)
    if not file.is_file():
        raise GalleryNotFoundError(f"{folder}: no gallery there (expected {FILE_NAME} in it)")
    uri = file.absolute().as_uri()
    if not os.access(folder, os.W_OK):
        if writable:
            raise ReadOnlyGalleryError(f"{folder}: the folder is read-only")
        log = file.with_name(FILE_NAME + "-wal")
        if log.exists() and log.stat().st_size:
            raise ReadOnlyGalleryError(
                f"{folder}: the folder is read-only and holds writes that were not folded in; "
                "open it once where it can be written"
            )
        # A read-only folder cannot hold the shared-memory file that SQLite's log asks for.
        uri += "?immutable=1"
    with translated(folder, timeout):
        connection = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB if writable else _CACHE_KIB // 8}")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_LIMIT}")
            connection.execute("PRAGMA trusted_schema = OFF")
        except FAULTS:
            connection.close()
            raise
    return connection


def create_tables(folder: Path, timeout: float) -> sqlite3.Connection:
    """Make the file in an existing folder; the caller fills `state` and commits the open transaction."""
    with translated(folder, timeout):
        connection = sqlite3.connect(database(folder), timeout=timeout, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
    return connection


def check_marks(folder: Path, connection: sqlite3.Connection) -> None:
    """Tell a gallery of this format from a newer one, an unfinished one, a damaged one and another thing.

    Raises
    ------
    NotAGalleryError, NewerGalleryError, DamagedGalleryError
    """
    with translated(folder):
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if application == 0 and not tables:
            raise NotAGalleryError(
                f"{folder}: creating this gallery was interrupted; delete the folder and create it again"
            )
        if application != APPLICATION_ID:
            raise NotAGalleryError(f"{database(folder)}: a SQLite file, but not a gallery")
        if "state" not in tables:
            raise damaged(folder, "the state table is missing")
        row = connection.execute("SELECT format FROM state").fetchone()
    stated = row[0] if row else None
    if version != stated:
        raise damaged(folder, f"the format version is {version} in the header but {stated} in the state")
    if version > FORMAT:
        raise NewerGalleryError(
            f"{folder}: written in format {version}; this package reads up to {FORMAT}. Install a later vsa-retrieval"
        )


def check_watermark(folder: Path, mark: int, generation: int) -> None:
    """Refuse a store that lost writes.

    Parameters
    ----------
    folder : Path
    mark : int
        What `retrieval.watermark.read` said before the transaction that saw `generation` began.
    generation : int

    Raises
    ------
    DamagedGalleryError
    """
    if generation < mark:
        raise DamagedGalleryError(
            f"{database(folder)}: writes {generation + 1} to {mark} were committed and are gone: its write-ahead log "
            f"is damaged, or it was replaced by an older copy. Everything up to write {generation} can be read: run "
            f"`retrieval export --salvage` to save it, or delete {watermark.FILE_NAME} to go on without the rest"
        )
