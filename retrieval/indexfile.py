"""The cache file of an index: written whole or not at all, and used only if the store vouches for it."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

from retrieval import ann
from retrieval.durable import sync_folder
from retrieval.entries import Entries
from retrieval.liveindex import LiveIndex
from retrieval.plan import Plan

_MAGIC = b"VSAINDEX\x01\n"
_TEMPORARY = ".index-"


def index_file(folder: Path, model: int) -> Path:
    """Where the index of a model is kept."""
    return folder / f"index-{model}.faiss"


def write(folder: Path, model: int, live: LiveIndex) -> str:
    """Write the file under a temporary name, sync it, and rename it; its SHA-256 for the store to keep.

    The caller holds the write lock: temporary files of others are what killed processes left, and are removed.

    Raises
    ------
    OSError
    """
    for left in folder.glob(_TEMPORARY + "*"):
        left.unlink(missing_ok=True)
    size = ann.size_of(live.index)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:

            def put(part: bytes) -> None:
                digest.update(part)
                file.write(part)

            put(_MAGIC + struct.pack("<QQQ", len(live.entries), live.trained_on, size))
            put(live.entries.items.astype("<i8").tobytes())
            put(live.entries.slots.astype("<i8").tobytes())
            ann.written_to(live.index, put)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, index_file(folder, model))
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    sync_folder(folder)
    return digest.hexdigest()


def read(folder: Path, model: int, plan: Plan, sha256: str) -> LiveIndex | None:
    """The index of the file, or None if it is missing, stale or altered: not the one of that SHA-256."""
    try:
        data = index_file(folder, model).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data).hexdigest() != sha256 or not data.startswith(_MAGIC):
        return None
    whole, place = memoryview(data), len(_MAGIC)
    n, trained_on, size = struct.unpack_from("<QQQ", whole, place)
    place += 24
    items = np.frombuffer(whole, dtype="<i8", count=n, offset=place).astype(np.int64)
    slots = np.frombuffer(whole, dtype="<i8", count=n, offset=place + 8 * n).astype(np.int64)
    place += 16 * n
    try:
        return LiveIndex(plan, ann.read_from(whole[place : place + size]), Entries(items, slots), trained_on)
    except ValueError:
        # Another version of FAISS: built anew like any other cache that is of no use.
        return None
