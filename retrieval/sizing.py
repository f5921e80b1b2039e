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

_INVERTED = r"IVF(\d+),(?:PQ(\d+)x4fsr?|PQ(\d+)(?:x8)?|SQ(8|6|4|fp16)|(RaBitQ)|(Flat))"
_ON_GPU = r"Flat|CAGRA\d+|IVF\d+,(?:PQ\d+(?:x8)?|SQ(?:8|6|4|fp16)|Flat)"


@dataclass(frozen=True)
class Estimate:
    """Bytes that a gallery will take.

    Attributes
    ----------
    disk : int
        The SQLite file, the files of vectors and the index file.
    memory : int
        While it is searched: vectors, ids and index.
    index : int
        The part of the index in both.
    gpu : int or None
        On a GPU, beside what FAISS keeps there for its own work (about 1.8 GB); None for an index that does not run
        there.
    """

    disk: int
    memory: int
    index: int
    gpu: int | None = None

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
        ``"Flat"``, or a factory string of one of the kinds that `Gallery.optimize` tries.

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
    codes = index_bytes(n, dim, index)
    row = dim * (4 if Storage(storage) is Storage.FLOAT32 else 2)
    return Estimate(
        disk=int(n * (row + _DISK_ROW + 1.1 * payload)) + codes,
        memory=n * (4 * dim + _MEMORY_ROW) + codes,
        index=codes,
        gpu=gpu_bytes(n, dim, index) if re.fullmatch(_ON_GPU, index) else None,
    )


def gpu_bytes(n: int, dim: int, index: str, *, half: bool = False) -> int:
    """What n vectors take on a GPU, as they are or in an index; for a graph, while it is built.

    Parameters
    ----------
    index : str
        ``"Flat"``, ``"CAGRA64"`` or an inverted file.
    half : bool
        In float16; for ``"Flat"``.
    """
    if index == FLAT:
        # FAISS keeps the length of each.
        return n * ((2 if half else 4) * dim + 4)
    if graph := re.fullmatch(r"CAGRA(\d+)", index):
        # The graph, and one of twice the degree that it is pruned from.
        return n * (4 * dim + 12 * int(graph[1]))
    lists, code = _inverted(index, dim)
    # Lists grow by 32 rows at a time, half of which are empty on average.
    return int(n * (8 + code) + lists * (16 * code + 4 * dim + 4))


def index_bytes(n: int, dim: int, index: str) -> int:
    """Bytes that an index on the CPU takes beyond the vectors, to about a fifth.

    Raises
    ------
    ValueError
        For an index that there is no formula for.
    """
    if index == FLAT:
        return 0
    labels = 16 * n
    if graph := re.fullmatch(r"(HNSW|CAGRA)(\d+)", index):
        # Links at the lowest level, 4 bytes each, and a copy of the vectors.
        links = int(graph[2]) * (2 if graph[1] == "HNSW" else 1)
        return labels + n * (4 * dim + 4 * links + 20)
    lists, code = _inverted(index, dim)
    return labels + int(n * (8 + code)) + lists * dim * 4


def _inverted(index: str, dim: int) -> tuple[int, float]:
    """(lists, bytes of a code) of an inverted file."""
    found = re.fullmatch(_INVERTED, index)
    if found is None:
        raise ValueError(
            f"no formula for the index {index!r}; known are Flat, HNSW, CAGRA and IVF with PQ, SQ, RaBitQ, Flat"
        )
    lists, narrow, products, bits, rabitq, _ = found.groups()
    if narrow or products:
        return int(lists), int(narrow) / 2 if narrow else int(products)
    if bits:
        return int(lists), dim * 2 if bits == "fp16" else dim * int(bits) / 8
    return int(lists), dim / 8 + 8 if rabitq else 4 * dim
