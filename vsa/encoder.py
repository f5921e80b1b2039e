"""`JSONEncoder`: any JSON record to a vector of fixed length."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from vsa.batches import Batches, Vectors
from vsa.binding import BindingKind
from vsa.bundler import Bundler
from vsa.config import EncoderConfig
from vsa.device import CPU, Place, checked_device
from vsa.exchange import as_tensor
from vsa.fields.base import Field, by_path
from vsa.fitted import Fitted
from vsa.inspection import Inspection
from vsa.leaves import Arrays
from vsa.limits import Limits
from vsa.memory import ItemMemory
from vsa.saving import Saving
from vsa.shares import Shares
from vsa.statistics import Statistics
from vsa.streaming import BATCH, TYPED_BATCH, Streaming

if TYPE_CHECKING:
    import torch


class JSONEncoder(Batches, Fitted, Saving, Inspection, Streaming):
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
        Memory for all that is kept of records met before (rows of leaves and words, names, paths, tables) and for rows
        on their way. What it holds never shows in the vectors. There is a least of each, which small values exceed:
        together 80 MB at dim 1024, 180 MB at 4096. Lines met before are some fifty times as fast while all their values
        are held: at dim 1024 the default holds those of 2,000 artworks of the Tate (25,000 values), a gigabyte those
        of 5,000 (47,000); of more, each is made anew.
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

    Memory is `cache_bytes`, whatever is encoded, beside what was fitted (8 MB and a few KB per path), what typed fields
    and a `memory` keep, and the vectors themselves. Calls from several threads are taken one at a time.

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

    def __getstate__(self) -> dict[str, Any]:
        """All but the lock, the caches and the device that was found here."""
        return {**self.__dict__, "_lock": None, "_bundler": None, "_place": None, "_readers": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()
