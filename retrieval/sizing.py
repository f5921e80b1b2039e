"""How much memory and disk a gallery will take, before it is built."""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrieval.plan import FLAT
from retrieval.rows import Storage
from retrieval.table import sized

# Rows of ids, records and placements with their trees; a test holds the sum to a fifth.
_DISK_ROW = 110
# The item and slot numbers of a row, its place by item, and its id as a Python string.
_MEMORY_ROW = 24 + 8 + 64


@dataclass(frozen=True)
class Estimate:
    """Bytes that a gallery will take.

    Attributes
    ----------
    disk : int
        The SQLite file and the index file.
    memory : int
        While it is searched: vectors, ids and index.
    index : int
        The part of the index in both.
    """

    disk: int
    memory: int
    index: int

    def __str__(self) -> str:
        return f"{sized(self.disk)} on disk, {sized(self.memory)} in memory ({sized(self.index)} of each for the index)"


def estimate(n: int, dim: int, *, storage: str = "float32", payload: float = 0.0, index: str = FLAT) -> Estimate:
    """Memory and disk of a gallery, to about a fifth.

    Parameters
    ----------
    n, dim : int
        Number and width of the vectors.
    storage : {"float32", "float16"}
    payload : float
        Mean bytes of a payload as compact JSON.
    index : str
        ``"Flat"``, or one of the factory strings that `Gallery.optimize` tries.

    Raises
    ------
    ValueError
        For a negative size, or an index that it has no formula for.

    Examples
    --------
    >>> print(estimate(1_000_000, 256, index="IVF2048,PQ64x4fsr"))
    1.2 GB on disk, 1.2 GB in memory (58.1 MB of each for the index)
    """
    if n < 0 or dim < 1 or payload < 0:
        raise ValueError(f"n and payload cannot be negative and dim must be positive, got {n}, {payload}, {dim}")
    codes = _index_bytes(n, dim, index)
    row = dim * (4 if Storage(storage) is Storage.FLOAT32 else 2)
    return Estimate(
        disk=int(n * (row + _DISK_ROW + 1.1 * payload)) + codes,
        memory=n * (4 * dim + _MEMORY_ROW) + codes,
        index=codes,
    )


def _index_bytes(n: int, dim: int, index: str) -> int:
    if index == FLAT:
        return 0
    labels = 16 * n
    if graph := re.fullmatch(r"HNSW(\d+)", index):
        # Twice the links at the lowest level, 4 bytes each, and a copy of the vectors.
        return labels + n * (4 * dim + 8 * int(graph[1]) + 20)
    inverted = re.fullmatch(r"IVF(\d+),(?:PQ(\d+)x4fsr?|(SQ8)|(RaBitQ)|(Flat))", index)
    if inverted is None:
        raise ValueError(f"no formula for the index {index!r}; known are Flat, HNSW and IVF with PQ, SQ8, RaBitQ, Flat")
    lists, products, scalar, bits, _ = inverted.groups()
    code = int(products) / 2 if products else dim if scalar else dim / 8 + 8 if bits else 4 * dim
    return labels + int(n * (8 + code)) + int(lists) * dim * 4
