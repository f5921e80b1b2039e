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
    return hashes_of(items, id_crcs(ids))


def id_crcs(ids: Sequence[str]) -> NDArray[np.uint64]:
    """CRC-32 of each id, shape (n,)."""
    return np.fromiter(map(zlib.crc32, map(str.encode, ids)), dtype=np.uint64, count=len(ids))


def hashes_of(items: NDArray[np.int64], crcs: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """As `id_hashes`, for ids of these CRCs."""
    return _mixed(_mixed(items.astype(np.uint64)) ^ crcs)


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


# Odd, so that no two items below 2^32 give the same (2^32 by the golden ratio).
_ITEM = 0x9E3779B1
_WORD = (1 << 32) - 1


def payload_crc(item: int, name: str, codec: int, payload: object) -> int:
    """CRC-32 over a payload, begun with a number made of what it belongs to; -1 for a payload that none has.

    The beginning is crc32(name) + 2654435761 item + codec modulo 2^32.
    """
    if payload is not None and not isinstance(payload, bytes):
        return -1
    return zlib.crc32(payload or b"", (zlib.crc32(name.encode()) + _ITEM * item + codec) & _WORD)


def payload_crcs(
    items: NDArray[np.int64], crcs: NDArray[np.uint64], codecs: Sequence[int], payloads: Sequence[bytes | None]
) -> list[int]:
    """`payload_crc` of many payloads, from the CRCs of their ids."""
    begun = crcs + np.uint64(_ITEM) * items.astype(np.uint64) + np.frombuffer(bytes(codecs), dtype=np.uint8)
    texts = [payload or b"" for payload in payloads] if None in payloads else payloads
    return list(map(zlib.crc32, texts, (begun & np.uint64(_WORD)).tolist()))  # type: ignore[arg-type]
