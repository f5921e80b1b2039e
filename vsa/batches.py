"""Batches of records to their sums and unit vectors, by the caches of one encoder."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsa.binding import binding
from vsa.bundler import Bundler
from vsa.config import EncoderConfig
from vsa.device import Place, choose
from vsa.fields.base import Field
from vsa.leaves import Arrays
from vsa.limits import Limits
from vsa.memory import ItemMemory
from vsa.paths import Path
from vsa.statistics import Statistics
from vsa.weights import PathWeights
from vsa.workers import checked_workers, each

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]


class Batches:
    """The part of `vsa.JSONEncoder` that makes vectors, a batch at a time."""

    config: EncoderConfig
    limits: Limits
    memory: ItemMemory | None
    _batch: int
    _by_path: Mapping[Path, Field]
    _statistics: Statistics | None
    _cache_bytes: int
    _device: str
    _place: Place | None
    _lock: threading.RLock
    _bundler: Bundler | None

    def _batches(
        self, records: Iterable[Any], weights: dict[str, float] | None, normalize: bool, workers: int, tensors: bool
    ) -> Iterator[Any]:
        calls = ((batch, first, weights, normalize) for first, batch in _numbered(records, self._batch))
        if checked_workers(workers) > 1:
            self._without_memory(workers)
            yield from each(self, "_rows", calls, workers)
            return
        for call in calls:
            yield self._made(*call) if tensors else self._rows(*call)
            if self.memory is not None and not weights:
                with self._lock:
                    self.memory.learn(call[0], limits=self.limits)

    def _rows(
        self, batch: list[Any], first: int, weights: dict[str, float] | None, normalize: bool
    ) -> npt.NDArray[Any]:
        """Vectors of a batch, whose first record has the number `first`."""
        made = self._made(batch, first, weights, normalize)
        rows: npt.NDArray[Any] = made if isinstance(made, np.ndarray) else made.cpu().numpy()
        return rows

    def _made(self, batch: list[Any], first: int, weights: dict[str, float] | None, normalize: bool) -> Any:
        """As `_rows`, but left where they were made: an array, or a tensor on another device."""
        with self._lock:
            sums = self._ready().sums(batch, PathWeights(weights).of if weights else None, first)
        if not normalize:
            return sums
        return self._unit(sums, first) if isinstance(sums, np.ndarray) else self._unit_tensor(sums, first)

    def _sums(self, records: list[Any]) -> npt.NDArray[np.float64]:
        """(n, dim) plain sums of records that are not to be remembered."""
        return np.concatenate(
            [self._rows(batch, first, None, False) for first, batch in _numbered(records, self._batch)]
        )

    def _unit(self, sums: npt.NDArray[np.float64], first: int) -> Vectors:
        """Unit float32 rows; the squares of whole numbers add up exactly below 2**53."""
        norms = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        if not norms.all():
            raise _weightless(first + int(np.argmin(norms)))
        sums *= (1.0 / norms)[:, None]
        return sums.astype(np.float32)

    def _unit_tensor(self, sums: torch.Tensor, first: int) -> torch.Tensor:
        """`_unit` where the sums lie."""
        norms = (sums * sums).sum(dim=1).sqrt()
        if not bool(norms.all()):
            raise _weightless(first + int(norms.argmin()))
        return (sums * (1.0 / norms)[:, None]).float()

    def _known_lines(
        self, lines: list[bytes], out: Vectors | None = None
    ) -> tuple[Vectors, npt.NDArray[np.bool_]] | None:
        if self.memory is not None:  # wants the values
            return None
        with self._lock:
            bundler = self._ready()
            return bundler.lines(lines, out) if bundler.reads_bytes else None

    def _without_memory(self, workers: int) -> None:
        if self.memory is not None:
            raise ValueError(f"an encoder with a memory learns in one process: workers must be 1, got {workers}")

    def _ready(self) -> Bundler:
        if self._bundler is None:
            self._bundler = Bundler(
                binding(self.config.binding, self.config.dim, self.config.seed),
                arrays=Arrays(self.config.arrays),
                shares=self.config.shares,
                limits=self.limits,
                statistics=self._statistics,
                cache_bytes=self._cache_bytes,
                fields=self._by_path,
                target=self._chosen().target,
            )
        return self._bundler

    def _chosen(self) -> Place:
        if self._place is None:
            self._place = choose(self._device, max(self._cache_bytes, 4 * self.config.dim << 12))
        return self._place


def _weightless(record: int) -> ValueError:
    return ValueError(f"record {record} has no leaf of a weight above 0")


def _numbered(records: Iterable[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    """Batches of records with the number of each one's first."""
    stream = iter(records)
    first = 0
    while batch := list(islice(stream, size)):
        yield first, batch
        first += len(batch)
