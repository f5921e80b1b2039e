"""Sums that tell lost, altered and stray rows of the store from sound ones.

SQLite does not check what it reads. Payloads and vector blocks carry a CRC-32 of their own. For small rows
the store keeps a count and a digest of the set: the sum of one 64-bit hash a row, modulo 2^64, which a write
changes in O(1) and a reader recomputes while it loads.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_SIGN = 1 << 63


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def id_hashes(items: NDArray[np.int64], ids: Sequence[str]) -> NDArray[np.uint64]:
    """One hash for each (item, id) pair, shape (n,)."""
    crc = np.fromiter((zlib.crc32(name.encode()) for name in ids), dtype=np.uint64, count=len(ids))
    return _mixed(_mixed(items.astype(np.uint64)) ^ crc)


def placement_hashes(of_ids: NDArray[np.uint64], slots: NDArray[np.int64]) -> NDArray[np.uint64]:
    """One hash for each placement of an item (by its id hash) in a slot, shape (n,)."""
    return _mixed(of_ids ^ _mixed(slots.astype(np.uint64) ^ np.uint64(_SIGN)))


def added(digest: int, hashes: NDArray[np.uint64]) -> int:
    """`digest` after rows of these hashes came."""
    return _signed((digest + int(hashes.sum(dtype=np.uint64))) & _MASK)


def removed(digest: int, hashes: NDArray[np.uint64]) -> int:
    """`digest` after rows of these hashes went."""
    return _signed((digest - int(hashes.sum(dtype=np.uint64))) & _MASK)


def _signed(value: int) -> int:
    # SQLite's integers are signed.
    return value - (1 << 64) if value & _SIGN else value


def row_crc(*values: object) -> int:
    """CRC-32 over the values of one row."""
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))


def payload_crc(item: int, name: str, codec: int, payload: object) -> int:
    """CRC-32 over a payload and what it belongs to; -1 for a payload of a type that none has."""
    if payload is not None and not isinstance(payload, bytes):
        return -1
    return zlib.crc32(payload or b"", zlib.crc32(f"{item}\0{codec}\0{name}".encode()))
