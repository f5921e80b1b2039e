"""Rows of signs, drawn many at once, and weighted sums of them in whole numbers.

Small sums are NumPy's; large ones are those of compiled code where numba is installed, and else of torch. All of them
are of whole numbers below 2**24, which float32 holds, so they are alike to the bit. So are the signs, which are bits of
SHAKE-128 by `hashlib` or compiled.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.hashing import OF_BYTE, packed_signs, unpack_signs

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

FEW = 512
"""As many rows are summed sooner than numba (half a second) or torch (a second) is imported."""

_FEW_NAMES = 16
"""As many rows of signs are drawn sooner one by one."""


@cache
def available() -> bool:
    """Whether numba is installed; it is not imported."""
    return find_spec("numba") is not None


class _Kernel:
    """The compiled functions, where they are there and worth their import."""

    def __init__(self) -> None:
        self._module: Any = None
        self._missing = False

    def worth(self, rows: int) -> Any:
        """`vsa.rowkernel` where it is loaded or so many rows are to be summed; else None."""
        if self._module is None and not self._missing and rows > FEW:
            try:
                from vsa import rowkernel
            except ImportError:  # there is no numba, or it does not fit this Python or NumPy
                self._missing = True
            else:
                self._module = rowkernel
        return self._module


kernel = _Kernel()


def drawn_signs(head: bytes, names: list[bytes], dim: int) -> npt.NDArray[np.uint8]:
    """`vsa.hashing.packed_signs`, by compiled code where there are many."""
    compiled = kernel.worth(len(names)) if len(names) > _FEW_NAMES and sys.byteorder == "little" else None
    if compiled is None:
        return packed_signs(head, names, dim)
    from vsa import keccak

    lengths = np.fromiter(map(len, names), np.int64, len(names))
    longest = keccak.LONGEST - len(head) - 8
    long = np.flatnonzero(lengths > longest)
    lengths[long] = 0
    joined = b"".join(names if not len(long) else [name for name in names if len(name) <= longest])
    size = (dim + 7) // 8
    words = np.empty((len(names), (size + 7) // 8), np.uint64)
    keccak.shake(
        np.frombuffer(head, np.uint8), np.frombuffer(joined or b"\0", np.uint8),
        np.concatenate([[0], np.cumsum(lengths)]), np.zeros(keccak.BLOCK, np.uint8),
        np.empty(keccak.STATES * 25, np.uint64), words,
    )  # fmt: skip
    packed = np.ascontiguousarray(words.view(np.uint8)[:, :size])
    if len(long):
        packed[long] = packed_signs(head, [names[i] for i in long.tolist()], dim)
    return packed


def headed_sums(
    head: bytes,
    dim: int,
    heads: list[bytes],
    head_weights: npt.NDArray[np.float64],
    lengths: Numbers | list[int],
    columns: Numbers,
    packed: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float64],
    unit: int,
    out: Rows | None = None,
) -> Rows:
    """(n, dim) weighted sums of an atom of stream `head`, drawn for each row, and of `lengths` atoms out of `packed`.

    The weights are in units of `unit` and rounded to whole numbers. The sums are put in `out`, where it is given.
    """
    own = drawn_signs(head, heads, dim)
    of_heads, of_others = (np.rint(each * unit).astype(np.float32) for each in (head_weights, weights))
    bounds = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    compiled = kernel.worth(len(heads) + len(columns))
    total = np.empty((len(heads), dim), np.float32) if out is None else out
    if compiled is not None:
        total[:] = 0
        compiled.add_signs(OF_BYTE, own, np.arange(len(heads)), np.arange(len(heads) + 1), of_heads, total)
        compiled.add_signs(OF_BYTE, packed, columns, bounds, of_others, total)
        return total
    np.multiply(unpack_signs(own, dim), of_heads[:, None], out=total)
    held = np.flatnonzero(np.diff(bounds))
    if len(held):
        columns, signs = unpacked(columns, packed, dim)
        total[held] += bag(signs, columns, bounds[held], of_others)
    return total


def unpacked(columns: Numbers, packed: npt.NDArray[np.uint8], dim: int) -> tuple[Numbers, Rows]:
    """The rows of signs that `columns` of `packed` name, each once, and where in them each of `columns` stands."""
    met, places = np.unique(columns, return_inverse=True)
    return places.reshape(-1).astype(np.int64, copy=False), unpack_signs(packed[met], dim)


def add_bags(table: Rows, rows: Numbers, bounds: Numbers, weights: npt.NDArray[np.float32], total: Rows) -> None:
    """Add weighted sums of table rows: to ``total[i]`` that of ``rows[bounds[i]:bounds[i + 1]]``, if there are any."""
    compiled = kernel.worth(len(rows))
    if compiled is not None:
        compiled.add_rows(table, rows, bounds, weights, total)
        return
    held = np.flatnonzero(np.diff(bounds))
    if len(held):
        total[held] += bag(table, rows, bounds[held], weights)


def bag(table: Rows, rows: Numbers, starts: Numbers, weights: npt.NDArray[np.float32] | None = None) -> Rows:
    """Sums of table rows: bag i is ``rows[starts[i]:starts[i + 1]]``, none of them empty."""
    compiled = kernel.worth(len(rows))
    if compiled is not None:
        total = np.zeros((len(starts), table.shape[1]), np.float32)
        bounds = np.append(starts, len(rows))
        if weights is None:
            weights = np.ones(len(rows), np.float32)
        compiled.add_rows(table, rows, bounds, weights, total)
        return total
    if len(rows) <= FEW:
        picked = table[rows]
        if weights is not None:
            picked *= weights[:, None]
        return np.add.reduceat(picked, starts, axis=0)
    import torch

    with torch.no_grad():
        summed = torch.nn.functional.embedding_bag(
            torch.from_numpy(rows),
            torch.from_numpy(table),
            torch.from_numpy(np.ascontiguousarray(starts, np.int64)),
            mode="sum",
            per_sample_weights=None if weights is None else torch.from_numpy(weights),
        )
    return summed.numpy()
