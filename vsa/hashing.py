"""Seeded randomness that is alike on every machine: SHAKE-128 over length-prefixed parts.

No generator state, no BLAS, no floating point and no salted hash: what comes out depends on the format
version, the seed and the named parts alone. The parts are length-prefixed, so that ``("ab", "c")`` and
``("a", "bc")`` name different streams.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

FORMAT = 1
"""Version of everything that decides a vector. Raised when any vector would change."""

MAX_SEED = 2**63 - 1


def prefix(kind: str, seed: int) -> bytes:
    """The head of a stream's name: format version, seed and kind.

    Parameters
    ----------
    kind : str
        What is drawn, such as ``"atom"``; streams of different kinds are independent.
    seed : int
        0 to 2**63 - 1.

    Raises
    ------
    ValueError
        If the seed is not an integer in that range.
    """
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed must be an integer from 0 to 2**63 - 1, got {seed!r}")
    name = kind.encode()
    return b"vsa" + FORMAT.to_bytes(2, "little") + seed.to_bytes(8, "little") + bytes([len(name)]) + name


def stream(head: bytes, *parts: bytes, size: int) -> bytes:
    """`size` bytes of the stream named by `head` and `parts`."""
    name = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return hashlib.shake_128(head + name).digest(size)


def signs(head: bytes, names: Iterable[bytes], dim: int) -> npt.NDArray[np.float32]:
    """One row of signs per name.

    Parameters
    ----------
    head : bytes
        From `prefix`.
    names : iterable of bytes
        One name a row.
    dim : int
        Columns.

    Returns
    -------
    (n, dim) float32
        Entries -1 or 1, each with probability 1/2.

    Notes
    -----
    About 1 µs a row for the hash and 1 µs for unpacking at dim 1,024.
    """
    return unpack_signs(packed_signs(head, names, dim), dim)


def packed_signs(head: bytes, names: Iterable[bytes], dim: int) -> npt.NDArray[np.uint8]:
    """The rows of `signs` with one bit an entry, the first in the highest: (n, ⌈dim / 8⌉) uint8."""
    size = (dim + 7) // 8
    shake = hashlib.shake_128
    packed = b"".join([shake(head + len(name).to_bytes(8, "little") + name).digest(size) for name in names])
    return np.frombuffer(packed, np.uint8).reshape(-1, size)


def unpack_signs(packed: npt.NDArray[np.uint8], dim: int) -> npt.NDArray[np.float32]:
    """(n, dim) float32 rows of -1 and 1 from those of `packed_signs`."""
    rows = OF_BYTE.take(packed.reshape(-1), axis=0).reshape(len(packed), 8 * packed.shape[1])
    return rows if rows.shape[1] == dim else np.ascontiguousarray(rows[:, :dim])


OF_BYTE = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32)
"""(256, 8) float32: the eight signs that a byte stands for."""


def permutation(head: bytes, name: bytes, dim: int) -> npt.NDArray[np.int32]:
    """A uniformly random order of ``range(dim)``: the sorting order of 64-bit words of the stream.

    Returns
    -------
    (dim,) int32
        Uniform but for ties, which are broken by position and have probability below dim² / 2**65.
    """
    return sorting_order(np.frombuffer(stream(head, name, size=8 * dim), "<u8").astype(np.uint64))


def sorting_order(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.int32]:
    """``np.argsort(words, kind="stable")`` of evenly spread words, by a sort of the words themselves."""
    bits = np.uint64(len(words).bit_length())
    # Places take the lowest bits of the words, which decide nothing where the other bits differ.
    placed: npt.NDArray[np.uint64] = words >> bits << bits
    placed |= np.arange(len(words), dtype=np.uint64)
    placed.sort()
    heads = placed >> bits
    if (heads[1:] == heads[:-1]).any():
        return np.argsort(words, kind="stable").astype(np.int32)
    placed -= heads << bits
    return placed.astype(np.int32)
