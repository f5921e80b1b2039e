"""The product of a batch: sums of table rows, by NumPy and torch on the CPU or by torch on another device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from vsa.errors import DeviceError
from vsa.sums import bag
from vsa.table import RowTable

if TYPE_CHECKING:
    import torch

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]


class Product(Protocol):
    """What `vsa.bundler` asks of the place where rows lie and are added."""

    def store(self, rows: Numbers, made: Rows) -> None:
        """Fill in rows of the table."""

    def fetch(self, rows: Numbers) -> Rows:
        """A copy of rows of the table."""

    def begin(self, n: int) -> Any:
        """(n, dim) float64 zeros."""

    def add(
        self, total: Any, rows: Numbers, starts: Numbers, owners: Numbers, weights: npt.NDArray[np.float32] | None
    ) -> None:
        """Add bag i, ``rows[starts[i]:starts[i + 1]]``, to row ``owners[i]`` of `total`; owners ascend."""


class HostProduct:
    """On the CPU, from the rows of the table itself."""

    def __init__(self, table: RowTable[Any]) -> None:
        self._table = table

    def store(self, rows: Numbers, made: Rows) -> None:
        self._table.rows[rows] = made

    def fetch(self, rows: Numbers) -> Rows:
        return self._table.rows[rows]

    def begin(self, n: int) -> npt.NDArray[np.float64]:
        return np.zeros((n, self._table.dim))

    def add(
        self,
        total: npt.NDArray[np.float64],
        rows: Numbers,
        starts: Numbers,
        owners: Numbers,
        weights: npt.NDArray[np.float32] | None,
    ) -> None:
        sums = bag(self._table.rows, rows, starts, weights)
        if np.array_equal(owners, np.arange(len(total))):
            total += sums
        else:
            heads = np.flatnonzero(np.diff(owners, prepend=-1))
            total[owners[heads]] += np.add.reduceat(sums, heads, axis=0, dtype=np.float64)


class DeviceProduct:
    """On a device of torch, which holds rows of its own; the table keeps the books.

    The same whole numbers as the CPU's with the default binding: each sum of a bag stays below 2**24 in float32, and
    bags are added in float64. Memory of the device: that of the whole table, taken at once.

    Parameters
    ----------
    table : RowTable
        Whose numbers the rows have. Its own memory is never written, and so never taken from the system.
    target : torch.device

    Raises
    ------
    DeviceError
        If the device has no room for the rows.
    """

    def __init__(self, table: RowTable[Any], target: torch.device) -> None:
        import torch

        self._target = target
        try:
            self._rows = torch.zeros((table.capacity, table.dim), dtype=torch.float32, device=target)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"{target} has no room for {table.capacity:,} rows of {table.dim} numbers; take a smaller cache_bytes"
            ) from error

    def _sent(self, array: npt.NDArray[Any]) -> torch.Tensor:
        import torch

        return torch.from_numpy(np.ascontiguousarray(array)).to(self._target)

    def store(self, rows: Numbers, made: Rows) -> None:
        self._rows[self._sent(rows)] = self._sent(made)

    def fetch(self, rows: Numbers) -> Rows:
        return self._rows[self._sent(rows)].cpu().numpy()

    def begin(self, n: int) -> torch.Tensor:
        import torch

        return torch.zeros((n, self._rows.shape[1]), dtype=torch.float64, device=self._target)

    def add(
        self,
        total: torch.Tensor,
        rows: Numbers,
        starts: Numbers,
        owners: Numbers,
        weights: npt.NDArray[np.float32] | None,
    ) -> None:
        import torch

        sums = torch.nn.functional.embedding_bag(
            self._sent(rows),
            self._rows,
            self._sent(starts),
            mode="sum",
            per_sample_weights=None if weights is None else self._sent(weights),
        )
        total.index_add_(0, self._sent(owners), sums.double())
