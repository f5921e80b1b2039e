"""Indexes made on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, gpu
from retrieval.device import graph_degree
from retrieval.gpu import Placed


def built(
    factory: str,
    X: NDArray[np.float32],
    gpus: Sequence[int],
    *,
    train_on: int,
    rows: NDArray[np.int64] | None = None,
) -> tuple[Any, Placed]:
    """An index over rows of X, made on GPUs: (its form for the CPU, its form there).

    Parameters
    ----------
    factory : str
        Of a kind that `retrieval.device.placeable` knows.
    gpus : sequence of int
        It is trained on the first, and lies on all.
    train_on, rows
        As for `ann.build`.

    Raises
    ------
    ValueError
        If FAISS does not know the kind.
    RuntimeError
        If a GPU fails.
    """
    degree = graph_degree(factory)
    if degree is not None:
        placed = gpu.graph(X if rows is None else X[rows], gpus[0], degree=degree)
        return placed.on_cpu(), placed
    empty = ann.made(factory, X.shape[1])
    first = gpu.inverted(empty, gpus[:1])
    n = len(X) if rows is None else len(rows)
    sample = np.linspace(0, n - 1, min(train_on, n)).astype(np.int64)
    first.train(np.ascontiguousarray(X[sample if rows is None else rows[sample]]))
    placed = first if len(gpus) == 1 else gpu.inverted(first.on_cpu(), gpus)
    for start in range(0, n, ann.ADDED):
        part = slice(start, start + ann.ADDED)
        placed.add(X[part if rows is None else rows[part]])
    return placed.on_cpu(), placed
