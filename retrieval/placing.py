"""Indexes made on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, gpu
from retrieval.device import graph_degree
from retrieval.gpu import alone, cards
from retrieval.placed import Placed


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
        placed = graph(X if rows is None else X[rows], gpus[0], degree=degree)
        return placed.on_cpu(), placed
    empty = ann.made(factory, X.shape[1])
    first = inverted(empty, gpus[:1])
    n = len(X) if rows is None else len(rows)
    sample = np.linspace(0, n - 1, min(train_on, n)).astype(np.int64)
    first.train(np.ascontiguousarray(X[sample if rows is None else rows[sample]]))
    placed = first if len(gpus) == 1 else inverted(first.on_cpu(), gpus)
    for start in range(0, n, ann.ADDED):
        part = slice(start, start + ann.ADDED)
        placed.add(X[part if rows is None else rows[part]])
    return placed.on_cpu(), placed


def flat(X: NDArray[np.float32], gpus: Sequence[int], *, half: bool = False) -> Placed:
    """The rows of X on one GPU, or an equal part of them on each of several.

    Parameters
    ----------
    half : bool
        In float16: half the memory, and products that are off by up to 1e-3.

    Raises
    ------
    RuntimeError
        If a GPU cannot hold them.
    """
    faiss = gpu.library()
    held = cards(gpus)
    parts = []
    bounds = np.linspace(0, len(X), len(held) + 1).astype(np.int64)
    for card, start, stop in zip(held, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        configuration = faiss.GpuIndexFlatConfig()
        configuration.device = card.number
        configuration.useFloat16 = half
        configuration.use_cuvs = False
        with card.lock:
            part = faiss.GpuIndexFlatIP(card.resources, X.shape[1], configuration)
            part.add(np.ascontiguousarray(X[start:stop]))
        parts.append(part)
    if len(parts) == 1:
        return Placed(parts[0], held, parts, "flat")
    # Each shard is searched by a thread of its own; labels are successive.
    shards = faiss.IndexShards(X.shape[1], True, True)
    for part in parts:
        shards.add_shard(part)
    return Placed(shards, held, parts, "flat")


def inverted(index: Any, gpus: Sequence[int]) -> Placed:
    """An inverted file of the CPU on one GPU, or its entries in turn on each of several.

    Raises
    ------
    RuntimeError
        If a GPU cannot hold it, or FAISS cannot put its kind on one.
    """
    faiss = gpu.library()
    held = cards(gpus)
    options = faiss.GpuClonerOptions() if len(held) == 1 else faiss.GpuMultipleClonerOptions()
    # Tables of inner products in float16, without which codes of more than 48 bytes do not fit.
    options.useFloat16 = True
    options.use_cuvs = False
    with alone(held):
        if len(held) == 1:
            placed = faiss.index_cpu_to_gpu(held[0].resources, held[0].number, index, options)
            return Placed(placed, held, [placed], "inverted")
        options.shard = True
        placed = faiss.index_cpu_to_gpu_multiple_py(
            [card.resources for card in held], index, options, [card.number for card in held]
        )
        return Placed(placed, held, [placed.at(number) for number in range(len(held))], "inverted")


def graph(X: NDArray[np.float32], number: int, *, degree: int) -> Placed:
    """A CAGRA graph over the rows of X, built on one GPU.

    Raises
    ------
    RuntimeError
        If the GPU cannot hold it.
    """
    faiss = gpu.library()
    (card,) = cards([number])
    configuration = faiss.GpuIndexCagraConfig()
    configuration.device = number
    configuration.graph_degree = degree
    configuration.intermediate_graph_degree = 2 * degree
    # Clusters that lie far apart would be islands to each other.
    configuration.guarantee_connectivity = True
    # FAISS keeps the address, and reads them again when the graph goes to the CPU.
    X = np.ascontiguousarray(X)
    with card.lock:
        index = faiss.GpuIndexCagra(card.resources, X.shape[1], faiss.METRIC_INNER_PRODUCT, configuration)
        index.train(X)
    return Placed(index, (card,), [index], "graph", X)
