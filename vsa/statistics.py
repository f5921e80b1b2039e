"""What `fit` learns: in how many records a token occurs, and how a field's numbers are spread.

Everything here is a count, so the statistics of two halves add up to those of the whole, exactly, in any
order and on any machine.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.histogram import Scale
from vsa.least import Least
from vsa.levels import log2
from vsa.path_counts import PathCounts
from vsa.paths import parse_path

ROWS = 2
WIDTH = 1 << 19
MAX_PATHS = 4096


class Counts:
    """Document frequencies in a count-min sketch: 2 rows of 2**19 counters, 8 MB, whatever the corpus.

    An estimate is never too low; with 300,000 distinct tokens about one in six of the rarest is too high.
    Source: Cormode & Muthukrishnan 2005.
    """

    def __init__(self, table: npt.NDArray[np.int64] | None = None) -> None:
        self.table = np.zeros((ROWS, WIDTH), np.int64) if table is None else table

    @staticmethod
    def buckets(tokens: Iterable[bytes]) -> npt.NDArray[np.int64]:
        """(n, 2) columns of the tokens' counters."""
        return Counts.columns(Counts.hashes(tokens))

    @staticmethod
    def hashes(tokens: Iterable[bytes]) -> npt.NDArray[np.uint64]:
        """(n,) 64-bit hashes of tokens."""
        hashed = b"".join([hashlib.blake2b(token, digest_size=8).digest() for token in tokens])
        return np.frombuffer(hashed, "<u8").astype(np.uint64)

    @staticmethod
    def columns(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """(n, 2) columns of the counters of tokens given by their hashes."""
        halves = hashes.astype("<u8").view("<u4").reshape(-1, ROWS).astype(np.int64)
        halves &= WIDTH - 1
        return halves

    def add(self, buckets: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> None:
        """Add `count` (n,) to the counters of `buckets` (n, 2)."""
        for row in range(ROWS):
            self.table[row] += np.bincount(buckets[:, row], weights=count, minlength=WIDTH).astype(np.int64)

    def of(self, tokens: Iterable[bytes]) -> npt.NDArray[np.int64]:
        """(n,) estimated document frequencies."""
        return self.at(self.buckets(tokens))

    def at(self, buckets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) estimated document frequencies of tokens by their columns (n, 2)."""
        found: npt.NDArray[np.int64] = np.minimum(self.table[0, buckets[:, 0]], self.table[1, buckets[:, 1]])
        return found


@dataclass
class Statistics:
    """Counts over the records that `fit` saw.

    Attributes
    ----------
    records : int
        Records counted.
    tokens : Counts
        Records that hold a token.
    kept : Least
        Counts by path, of at most 4,096 paths: those of least hash.
    """

    records: int = 0
    tokens: Counts = field(default_factory=Counts)
    kept: Least[str, PathCounts] = field(default_factory=lambda: Least(MAX_PATHS))

    @property
    def paths(self) -> dict[str, PathCounts]:
        """Counts by path."""
        return self.kept.values

    def at(self, path: str) -> PathCounts | None:
        """The counts of a path, to add to; None where it is one too many."""
        counts = self.paths.get(path)
        if counts is None and self.kept.admits(path):
            counts = PathCounts()
            self.kept.add(path, counts)
        return counts

    def scales(self) -> dict[str, Scale]:
        """Centre, robust scale and spread of each path's numbers."""
        return {path: counts.numbers.scale() for path, counts in self.paths.items() if counts.numbers.buckets}

    def spreads_of_times(self) -> dict[str, float]:
        """How much each path's times tell records apart, from 0 to 1."""
        return {path: counts.times.spread for path, counts in self.paths.items() if counts.times.buckets}

    def merge(self, other: Statistics) -> Statistics:
        """The statistics of both samples together; neither is changed."""
        total = Counts(self.tokens.table + other.tokens.table)
        merged = Statistics(self.records + other.records, total)
        for part in (self, other):
            for path, counts in part.paths.items():
                held = merged.paths.get(path, PathCounts())
                if merged.kept.admits(path):
                    merged.kept.add(path, held.merge(counts))
        return merged

    def to_state(self) -> dict[str, Any]:
        """JSON-ready state: the sketch as zlib-compressed little-endian int64 in Base64."""
        packed = zlib.compress(self.tokens.table.astype("<i8").tobytes(), 6)
        return {
            "records": self.records,
            "tokens": base64.b64encode(packed).decode(),
            "paths": {path: counts.to_state() for path, counts in sorted(self.paths.items())},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Statistics:
        """Statistics from `to_state`.

        Raises
        ------
        ValueError, KeyError, TypeError
            If the state is not of that form.
        """
        size = ROWS * WIDTH * 8
        unpacker = zlib.decompressobj()
        try:
            packed = unpacker.decompress(base64.b64decode(state["tokens"], validate=True), size)
        except zlib.error as error:
            raise ValueError(f"the token counts do not unpack: {error}") from error
        table = np.frombuffer(packed, "<i8").reshape(ROWS, WIDTH).astype(np.int64)
        records, saved = state["records"], state["paths"]
        if type(records) is not int or records < 1 or table.min() < 0:
            raise ValueError(f"expected counts from 0 and at least one record, got {records!r} records")
        if not isinstance(saved, dict):
            raise TypeError(f"expected counts by path, got {type(saved).__name__}")
        if len(saved) > MAX_PATHS:
            raise ValueError(f"expected {MAX_PATHS:,} paths at most, got {len(saved):,}")
        found = cls(records, Counts(table))
        for path, part in saved.items():
            parse_path(path)
            found.kept.add(path, PathCounts.from_state(part))
        return found


def rarity(frequency: npt.NDArray[np.int64], records: int) -> list[float]:
    """Inverse document frequency from 0 (in every record) to 1 (in none seen).

    ``log₂(1 + N / (df + ½)) / log₂(1 + 2 N)``.
    """
    most = log2(1.0 + 2.0 * records)
    known = {df: log2(1.0 + records / (df + 0.5)) / most for df in set(frequency.tolist())}
    return [known[df] for df in frequency.tolist()]


def offset(value: float, scale: Scale | None) -> float:
    """Where a number lies from its field's centre, in units of its scale; from 0 and in ones where nothing is known."""
    return value if scale is None else (value - scale.centre) / scale.scale
