"""The highest generation that was acknowledged, outside the log that carries the write.

SQLite stops at the first frame of its write-ahead log that fails a checksum, and takes what follows for the torn end
of an unfinished write. After a crash one flipped byte there would take acknowledged writes back without a word, as
would an older copy of the database. So each commit, once it is on disk, leaves its generation in a small file beside
the database, and a gallery that is found behind it says so.

A number goes into the file only after its commit was synced, and readers look here before they look at the store:
the store is never behind the mark unless writes were lost. Two slots in sectors of their own take turns, so that a
write torn by a power loss leaves the one before it.
"""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

FILE_NAME = "gallery.watermark"

_MAGIC = b"VSAMARK\x01"
_SLOT = struct.Struct("<8sQI")
_APART = 4096


def read(folder: Path) -> int:
    """The highest generation known to be committed; 0 where nothing is known."""
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError:
        return 0
    return max(_generation(data[start : start + _SLOT.size]) for start in (0, _APART))


def _generation(slot: bytes) -> int:
    if len(slot) != _SLOT.size:
        return 0
    magic, generation, crc = _SLOT.unpack(slot)
    return int(generation) if magic == _MAGIC and zlib.crc32(slot[:-4]) == crc else 0


def write(folder: Path, generation: int) -> None:
    """Note that a generation was committed, and sync the note.

    A failure is no error: the write that it tells of is safe, and the mark of an earlier one stays.
    """
    slot = struct.pack("<8sQ", _MAGIC, generation)
    slot += struct.pack("<I", zlib.crc32(slot))
    with suppress(OSError):
        file = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            os.lseek(file, generation % 2 * _APART, os.SEEK_SET)
            os.write(file, slot)
            getattr(os, "fdatasync", os.fsync)(file)
        finally:
            os.close(file)
