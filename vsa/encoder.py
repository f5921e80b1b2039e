"""`JSONEncoder`: any JSON record to a vector of fixed length."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from vsa.binding import BindingKind, binding
from vsa.bundler import Bundler
from vsa.config import EncoderConfig
from vsa.device import CPU, Place, checked_device, choose
from vsa.exchange import as_tensor
from vsa.fields.base import Field, by_path
from vsa.inspection import Inspection
from vsa.leaves import Arrays
from vsa.limits import Limits
from vsa.memory import ItemMemory
from vsa.saving import Saving
from vsa.shares import Shares
from vsa.statistics import Statistics
from vsa.streaming import BATCH, TYPED_BATCH, Streaming
from vsa.weights import PathWeights
from vsa.workers import checked_workers, each

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]


class JSONEncoder(Saving, Inspection, Streaming):
    """JSON records to unit vectors, by binding each leaf to its path and adding up (MBAT).

    Ready as it is; `fit` makes rare words count more and puts numbers on their field's scale. Like records get
    like vectors: strings that share words or n-grams, numbers near on their scale, dates near in time.

    Parameters
    ----------
    dim : int
        Length of the vectors. Crosstalk between the leaves of a record strays by about 1/√dim.
    seed : int
        The same seed gives the same vectors on every machine.
    binding, arrays, shares
        See `EncoderConfig`.
    fields : mapping of str to Field, optional
        Typed encoders by path, such as ``{"at": vsa.fields.LatLong(), "people[].born": vsa.fields.Year()}``.
    limits : Limits, optional
        Bounds on one record.
    cache_bytes : int
        Memory for rows of leaves and words met before. What it holds never shows in the vectors.
    memory : ItemMemory or bool
        Learn the values of the records that `encode` and `encode_jsonl` see, to decode with; True makes a new
        `vsa.ItemMemory`. It changes neither vectors nor `name`, and is saved by ``encoder.memory.save``.
    device : str
        Where rows of leaves lie and are added up: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``, which takes a GPU
        where PyTorch has one with room for the rows; the property `device` says what it took. Vectors agree to 1e-5.
        Not saved.

    Notes
    -----
    With the default binding all arithmetic before normalisation is on whole numbers that float32 holds exactly:
    the vectors are alike to the bit for any order of keys, batch size, cache, thread count and machine.

    Memory is `cache_bytes` and O(dim) per distinct path. Calls from several threads are taken one at a time.

    Sources: Gallant & Okaywe 2013, *Representing Objects, Relations, and Sequences*; Gallant 2022,
    arXiv 2202.04771.

    Examples
    --------
    >>> encoder = JSONEncoder(dim=1024, seed=7)
    >>> X = encoder.encode([{"title": "Sunrise"}, {"title": "Sunrise over the sea"}, {"title": "Portrait"}])
    >>> X.shape, str(X.dtype)
    ((3, 1024), 'float32')
    >>> bool(X[0] @ X[1] > 0.5 > X[0] @ X[2])
    True
    """

    def __init__(
        self,
        dim: int = 1024,
        seed: int = 0,
        *,
        binding: str = BindingKind.PERMUTATION.value,
        arrays: str = Arrays.BOTH.value,
        shares: Shares | None = None,
        fields: Mapping[str, Field] | None = None,
        limits: Limits | None = None,
        cache_bytes: int = 384 << 20,
        memory: ItemMemory | bool = False,
        device: str = CPU,
    ) -> None:
        if type(cache_bytes) is not int or cache_bytes < 0:
            raise ValueError(f"cache_bytes must be an integer from 0, got {cache_bytes!r}")
        self.config = EncoderConfig(dim, seed, binding, arrays, shares or Shares())
        self.limits = limits or Limits()
        self._fields = dict(fields or {})
        self._by_path = by_path(self._fields)
        self._batch = TYPED_BATCH if self._fields else BATCH
        self._cache_bytes = cache_bytes
        self._device = checked_device(device)
        self._place: Place | None = None
        if not isinstance(memory, (bool, ItemMemory)):
            raise TypeError(f"memory must be a vsa.ItemMemory, True or False, got {type(memory).__name__}")
        self.memory = (ItemMemory() if memory else None) if isinstance(memory, bool) else memory
        self._statistics: Statistics | None = None
        self._lock = threading.RLock()
        self._bundler: Bundler | None = None
        self._name: str | None = None

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self.config.dim

    @property
    def seed(self) -> int:
        """The seed."""
        return self.config.seed

    @property
    def statistics(self) -> Statistics | None:
        """What `fit` learned, or None."""
        return self._statistics

    @property
    def fields(self) -> dict[str, Field]:
        """The typed encoders, by path."""
        return dict(self._fields)

    @property
    def device(self) -> str:
        """Where rows of leaves lie and are added up, and why there.

        Raises
        ------
        DeviceError
            If a GPU was asked for that is not there or has no room.
        """
        return str(self._chosen())

    def __repr__(self) -> str:
        fitted = f"fitted on {self._statistics.records:,} records" if self._statistics else "not fitted"
        return f"JSONEncoder(dim={self.dim}, seed={self.seed}, {fitted})"

    def fit(self, records: Iterable[Any]) -> JSONEncoder:
        """Learn how rare words and values are and how numbers spread, forgetting what was learned before.

        Parameters
        ----------
        records : iterable
            JSON values; a sample of a few thousand does.

        Returns
        -------
        JSONEncoder
            This encoder, whose vectors and `name` are other ones from now on.

        Raises
        ------
        InvalidRecordError
            For a value that is not JSON; nothing is learned then.
        ValueError
            If there are no records.
        """
        return self._learn(self._count(records))

    def partial_fit(self, records: Iterable[Any]) -> JSONEncoder:
        """Learn from more records beside those learned from before; parameters and errors as `fit`."""
        more = self._count(records)
        return self._learn(self._statistics.merge(more) if self._statistics else more)

    def _count(self, records: Iterable[Any]) -> Statistics:
        from vsa.fitting import count  # brings SciPy

        return count(records, self.limits)

    def _learn(self, statistics: Statistics) -> JSONEncoder:
        if not statistics.records:
            raise ValueError("no records to learn from")
        with self._lock:
            self._statistics = statistics
            self._bundler = self._name = None
        return self

    @overload
    def encode(
        self,
        records: Iterable[Any],
        *,
        weights: dict[str, float] | None = None,
        normalize: bool = True,
        workers: int = 1,
        as_torch: Literal[False] = False,
    ) -> Vectors: ...

    @overload
    def encode(
        self,
        records: Iterable[Any],
        *,
        weights: dict[str, float] | None = None,
        normalize: bool = True,
        workers: int = 1,
        as_torch: Literal[True],
        device: str | torch.device | None = None,
    ) -> torch.Tensor: ...

    def encode(
        self,
        records: Iterable[Any],
        *,
        weights: dict[str, float] | None = None,
        normalize: bool = True,
        workers: int = 1,
        as_torch: bool = False,
        device: str | torch.device | None = None,
    ) -> Vectors | torch.Tensor:
        """Encode records.

        Parameters
        ----------
        records : iterable
            JSON values: dicts as a rule, but lists and scalars too.
        weights : dict of str to float, optional
            Factors of paths and all that lies under them, such as ``{"title": 3, "price": 0}``.
        normalize : bool
            False gives the plain sums, as float64: exact whole numbers with the default binding.
        workers : int
            Processes to encode in, with the same vectors. Each starts anew, which takes seconds, and has caches of
            `cache_bytes` of its own; programs need an ``if __name__ == "__main__":``.
        as_torch : bool
            Give a torch tensor; on the CPU it is the array itself, without a copy.
        device : str or torch.device, optional
            Where the tensor goes, batch by batch; by default it stays where it was made: on the encoder's `device`,
            or on the CPU where there are several workers. From one device to the same nothing is copied.

        Returns
        -------
        (n, dim) float32
            Unit rows; (n, dim) float64 sums where `normalize` is False.

        Raises
        ------
        InvalidRecordError, LimitError
            For a value that is not JSON or too large, with `record` set to its number. The scalars of NumPy and torch
            are taken for Python's.
        TypeError
            If `records` is a single record rather than an iterable of records.
        ValueError
            If all the leaves of a record have weight 0, or if several workers would have to share a `memory`.
        WorkerError
            If a worker process died.
        DeviceError
            If the encoder was made for a GPU that is not there or has no room.
        """
        if isinstance(records, (str, bytes, dict)):
            raise TypeError(
                f"records must be an iterable of records, got one {type(records).__name__}; "
                "use encode_one for a record, encode_jsonl for bytes and files"
            )
        batches = self._batches(records, weights, normalize, workers, as_torch)
        dtype = np.float32 if normalize else np.float64
        if as_torch:
            if device is None and workers == 1:
                device = self._chosen().target
            return as_tensor(batches, self.dim, dtype, device)
        if device is not None:
            raise ValueError("device is where a tensor goes: give as_torch=True with it")
        parts = list(batches)
        if parts:
            return parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.zeros((0, self.dim), dtype)

    def encode_one(self, record: Any, *, weights: dict[str, float] | None = None) -> Vectors:
        """Encode one record: (dim,) float32 of unit length; parameters and errors as `encode`.

        The encoder's memory learns nothing here: single records are questions as a rule.
        """
        row: Vectors = self._rows([record], 0, weights, True)[0]
        return row

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

    def _learn_lines(self, lines: list[bytes]) -> None:
        with self._lock:
            self._ready().learn(lines)

    def _without_memory(self, workers: int) -> None:
        if self.memory is not None:
            raise ValueError(f"an encoder with a memory learns in one process: workers must be 1, got {workers}")

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, the caches and the device that was found here."""
        return {**self.__dict__, "_lock": None, "_bundler": None, "_place": None, "_readers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def _ready(self) -> Bundler:
        if self._bundler is None:
            self._bundler = Bundler(
                binding(self.config.binding, self.dim, self.seed),
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
            self._place = choose(self._device, max(self._cache_bytes, 4 * self.dim << 12))
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
