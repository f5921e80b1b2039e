"""Indexes of FAISS on the CPU: built, searched, kept as bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.engine import loaded

ADDED = 65_536
"""Rows that are copied out and added at a time."""


def inner_products(
    Q: NDArray[np.float32], X: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k rows of X with the largest inner products with each row of Q, largest first.

    Parameters
    ----------
    Q : array, shape (n_queries, dim), float32, C order
    X : array, shape (n, dim), float32, C order
    k : int
        At most n.

    Returns
    -------
    products : array, shape (n_queries, k), float32
    rows : array, shape (n_queries, k), int64

    Notes
    -----
    O(n_queries * n * dim) time, O(n_queries * k) memory. Among equal products the choice is FAISS's.
    """
    faiss, _ = loaded()
    products, rows = faiss.knn(Q, X, k, metric=faiss.METRIC_INNER_PRODUCT)
    return products, rows


def build(factory: str, X: NDArray[np.float32], *, train_on: int, rows: NDArray[np.int64] | None = None) -> Any:
    """An index over rows of X, labelled 0, 1, ... in their order, for inner products.

    Parameters
    ----------
    factory : str
        As FAISS's index factory understands.
    X : array, shape (n, dim), float32, unit rows
    train_on : int
        Rows to train on, drawn evenly.
    rows : array, shape (m,), int64, optional
        Which rows; all of them by default. They are copied out by 65,536.

    Raises
    ------
    ValueError
        If FAISS cannot build it.
    """
    index = made(factory, X.shape[1])
    try:
        if not index.is_trained:
            n = len(X) if rows is None else len(rows)
            if train_on >= n and rows is None:
                index.train(X)
            else:
                sample = np.linspace(0, n - 1, min(train_on, n)).astype(np.int64)
                index.train(X[sample if rows is None else rows[sample]])
        if rows is None:
            index.add(X)
        else:
            for start in range(0, len(rows), ADDED):
                index.add(X[rows[start : start + ADDED]])
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot build {factory!r}: {first_line(error)}") from error
    return index


def made(factory: str, dim: int) -> Any:
    """An index without rows, for inner products.

    Raises
    ------
    ValueError
        If FAISS does not know the kind.
    """
    faiss, _ = loaded()
    try:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"FAISS cannot build {factory!r}: {first_line(error)}") from error
    inner = _within(index)
    # FAISS warns on standard error about small training sets, which is no news to the caller.
    if hasattr(inner, "cp"):
        inner.cp.min_points_per_centroid = 1
    # Minutes of training for a filter on codes that no search here uses.
    if hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False
    return index


def first_line(error: Exception) -> str:
    """What an error of FAISS says, without its place in the source."""
    return re.sub(r"^Error in .*? at \S+:\d+: ", "", str(error).strip().splitlines()[-1])


def candidates(index: Any, Q: NDArray[np.float32], width: int, breadth: int) -> NDArray[np.int64]:
    """Labels of the rows that an index takes for the nearest, shape (n_queries, width); -1 for none.

    Parameters
    ----------
    breadth : int
        ``nprobe`` of an inverted file, ``efSearch`` of a graph; no meaning for others.
    """
    faiss, _ = loaded()
    if isinstance(index, faiss.IndexRefine):
        # Ranking again is the gallery's part, which knows better what is nearest and how many to look at.
        index = faiss.downcast_index(index.base_index)
    _, labels = index.search(Q, width, params=_parameters(index, width, breadth))
    return np.asarray(labels, dtype=np.int64)


def _parameters(index: Any, width: int, breadth: int) -> Any:
    """How an index is to be searched, down through what wraps it."""
    faiss, _ = loaded()
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=min(breadth, index.nlist))
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=max(breadth, width))
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=_parameters(_within(index), width, breadth))
    return None


def _within(index: Any) -> Any:
    """The index inside one that rotates vectors first, or ranks candidates again; else the index."""
    faiss, _ = loaded()
    while isinstance(index, (faiss.IndexPreTransform, faiss.IndexRefine)):
        wrapped = index.index if isinstance(index, faiss.IndexPreTransform) else index.base_index
        index = faiss.downcast_index(wrapped)
    return index


def products_of(Q: NDArray[np.float32], X: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Inner products of each query with some rows of X, shape (n_queries, width); -inf where a row is -1.

    The same two vectors give the same product wherever they stand.
    """
    faiss, _ = loaded()
    rows = np.ascontiguousarray(rows)
    products = np.empty(rows.shape, dtype=np.float32)
    pointer = faiss.swig_ptr
    faiss.fvec_inner_products_by_idx(
        pointer(products), pointer(Q), pointer(X), pointer(rows), X.shape[1], len(Q), rows.shape[1]
    )
    return products


def breadths(index: Any) -> list[int]:
    """Values of `breadth` worth trying, rising."""
    faiss, _ = loaded()
    index = _within(index)
    if isinstance(index, faiss.IndexIVF):
        return _steps(1, int(index.nlist))
    if isinstance(index, faiss.IndexHNSW):
        return _steps(16, 512)
    return [1]


def _steps(first: int, last: int) -> list[int]:
    """Whole numbers from one to another, each about a fifth above the one before."""
    quarters = 4 * (last // first).bit_length()
    return sorted({step for power in range(quarters + 1) if (step := int(first * 2 ** (power / 4))) <= last} | {last})


def nested(index: Any) -> bool:
    """Whether asking for fewer candidates gives the first of more; a graph looks less far for fewer."""
    faiss, _ = loaded()
    return not isinstance(_within(index), faiss.IndexHNSW)


def written_to(index: Any, out: Callable[[bytes], object]) -> None:
    """Hand an index as bytes to `out`, a megabyte at a time, so that no second index lies in memory.

    Raises
    ------
    BaseException
        What `out` raised.
    """
    faiss, _ = loaded()
    raised: list[BaseException] = []

    def take(part: bytes) -> int:
        # FAISS would turn an exception into one of its own, and goes on whatever number of bytes is told.
        try:
            if not raised:
                out(part)
        except BaseException as error:  # noqa: BLE001 - raised below
            raised.append(error)
        return len(part)

    faiss.write_index(index, faiss.PyCallbackIOWriter(take))
    if raised:
        raise raised[0]


def size_of(index: Any) -> int:
    """Bytes that `written_to` hands on."""
    sizes: list[int] = []
    written_to(index, lambda part: sizes.append(len(part)))
    return sum(sizes)


def read_from(data: memoryview) -> Any:
    """The index that `written_to` wrote. The caller has checked the bytes: FAISS believes what it reads.

    Raises
    ------
    ValueError
        If FAISS of this version cannot read it.
    """
    faiss, _ = loaded()
    place = 0

    def give(n: int) -> bytes:
        nonlocal place
        place += n
        return bytes(data[place - n : place])

    reader = faiss.PyCallbackIOReader(give)
    try:
        return faiss.read_index(reader)
    except RuntimeError as error:
        raise ValueError(f"FAISS cannot read the index: {first_line(error)}") from error
