"""Weighted sums of rows of signs, in whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsa.hashing import packed_signs, unpack_signs

Rows = npt.NDArray[np.float32]


def headed_sums(
    head: bytes,
    dim: int,
    heads: list[bytes],
    head_weights: npt.NDArray[np.float64],
    lengths: list[int],
    columns: npt.NDArray[np.int64],
    packed: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float64],
    unit: int,
) -> Rows:
    """(n, dim) weighted sums of an atom of stream `head`, drawn for each row, and of `lengths` atoms out of `packed`.

    The weights are in units of `unit` and rounded to whole numbers.
    """
    count = len(heads)
    starts = np.cumsum([0] + [length + 1 for length in lengths[:-1]])
    first = np.zeros(count + len(columns), bool)
    first[starts] = True
    rows = np.empty(len(first), np.int64)
    rows[first] = np.arange(count)
    rows[~first] = count + columns
    every = np.empty(len(first))
    every[first] = head_weights
    every[~first] = weights
    atoms = unpack_signs(np.concatenate([packed_signs(head, heads, dim), packed]), dim)
    return bag(atoms, rows, starts, np.rint(every * unit).astype(np.float32))


def bag(
    table: Rows,
    rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32] | None = None,
) -> Rows:
    """Sums of table rows: bag i is ``rows[starts[i]:starts[i + 1]]``, none of them empty.

    Few rows are summed by NumPy and many by torch's embedding bag, which needs an import of a second: with whole
    numbers below 2**24 both give the same bits.
    """
    if len(rows) <= 512:
        picked = table[rows]
        if weights is not None:
            picked *= weights[:, None]
        return np.add.reduceat(picked, starts, axis=0)
    import torch

    with torch.no_grad():
        total = torch.nn.functional.embedding_bag(
            torch.from_numpy(rows),
            torch.from_numpy(table),
            torch.from_numpy(np.ascontiguousarray(starts, np.int64)),
            mode="sum",
            per_sample_weights=None if weights is None else torch.from_numpy(weights),
        )
    return total.numpy()
