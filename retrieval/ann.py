"""The only file that imports FAISS."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MissingDependencyError

_CORE_TYPE = "OPENBLAS_CORETYPE"
_ADDED = 65_536

# A batch whose queries hold fewer numbers than the first is compared row by row, else by matrix products over as many
# rows at a time as the second says. FAISS 1.15 comes with 128,000 and 1,024: 64 queries against 100,000 rows of 256
# take 126 ms then, and 20 with these; 128 queries 229 and 36 (two cores).
_PRODUCTS_FROM = 256
_PRODUCT_ROWS = 4096


@dataclass(frozen=True)
class Engine:
    """What computes the searches.

    Attributes
    ----------
    version : str
        Of FAISS.
    gpus : int
        Devices that this build of FAISS can use.
    threads : int
        OpenMP threads of a search on the CPU.
    blas : str
        Which kernel FAISS's own OpenBLAS was told to use, and why.
    """

    version: str
    gpus: int
    threads: int
    blas: str


def _has_avx512() -> bool:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return any(line.startswith("flags") and " avx512f " in f"{line} " for line in file)
    except OSError:
        return False


@lru_cache(maxsize=1)
def _loaded() -> tuple[Any, str]:
    """FAISS, and a word on its BLAS.

    The OpenBLAS that the Linux wheels bundle is of 2021 and takes later AMD cores for a processor without
    AVX: flat search then runs at a quarter of its speed. It reads the name of the kernel from the
    environment, once, while it is loaded.
    """
    chosen = os.environ.get(_CORE_TYPE)
    if chosen:
        return _imported(), f"{chosen}, as {_CORE_TYPE} says"
    if "faiss" in sys.modules:
        return _imported(), "its own choice; FAISS was imported before this package could speak"
    if not _has_avx512():
        return _imported(), "its own choice; no AVX-512 on Linux x86-64 here"
    os.environ[_CORE_TYPE] = "SkylakeX"
    try:
        return _imported(), "SkylakeX; the processor has AVX-512, which the bundled OpenBLAS may not see"
    finally:
        # Only FAISS's library is meant, not one that is loaded later or a child process.
        del os.environ[_CORE_TYPE]


def _imported() -> Any:
    try:
        faiss = importlib.import_module("faiss")
        # They hold for the whole process, as FAISS has them.
        faiss.cvar.distance_compute_blas_threshold = _PRODUCTS_FROM
        faiss.cvar.distance_compute_blas_database_bs = _PRODUCT_ROWS
        return faiss
    except ImportError as error:
        raise MissingDependencyError(
            "FAISS is not installed; install it with `pip install faiss-cpu` "
            "(or faiss-gpu on Linux x86-64 with CUDA 12)"
        ) from error


def engine() -> Engine:
    """What FAISS there is.

    Raises
    ------
    MissingDependencyError
        If FAISS is not installed.
    """
    faiss, blas = _loaded()
    gpus = faiss.get_num_gpus() if hasattr(faiss, "StandardGpuResources") else 0
    return Engine(str(faiss.__version__), int(gpus), int(faiss.omp_get_max_threads()), blas)


def checked_threads(threads: int | None) -> int | None:
    """`threads`, if it is a positive integer or None.

    Raises
    ------
    ValueError
    """
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads must be a positive integer, or None for all cores, got {threads!r}")
    return threads


@contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Let FAISS use so many threads in what this thread does within; None leaves it as it is."""
    if threads is None:
        yield
        return
    faiss, _ = _loaded()
    # OpenMP keeps the number for each thread that asks by itself.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


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
    faiss, _ = _loaded()
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
    faiss, _ = _loaded()
    try:
        index = faiss.index_factory(X.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            n = len(X) if rows is None else len(rows)
            sample = np.linspace(0, n - 1, min(train_on, n)).astype(np.int64)
            _quiet(index)
            index.train(X[sample if rows is None else rows[sample]])
        if rows is None:
            index.add(X)
        else:
            for start in range(0, len(rows), _ADDED):
                index.add(X[rows[start : start + _ADDED]])
    except RuntimeError as error:
        raise ValueError(f"FAISS cannot build {factory!r}: {first_line(error)}") from error
    return index


def _quiet(index: Any) -> None:
    # FAISS warns on standard error about small training sets, which is no news to the caller.
    clustering = getattr(index, "cp", None)
    if clustering is not None:
        clustering.min_points_per_centroid = 1


def first_line(error: Exception) -> str:
    """What an error of FAISS says, without its place in the source."""
    return str(error).strip().splitlines()[-1]


def candidates(index: Any, Q: NDArray[np.float32], width: int, breadth: int) -> NDArray[np.int64]:
    """Labels of the rows that an index takes for the nearest, shape (n_queries, width); -1 for none.

    Parameters
    ----------
    breadth : int
        ``nprobe`` of an inverted file, ``efSearch`` of a graph; no meaning for others.
    """
    faiss, _ = _loaded()
    if isinstance(index, faiss.IndexIVF):
        parameters = faiss.SearchParametersIVF(nprobe=min(breadth, index.nlist))
    elif isinstance(index, faiss.IndexHNSW):
        parameters = faiss.SearchParametersHNSW(efSearch=max(breadth, width))
    else:
        parameters = None
    _, labels = index.search(Q, width, params=parameters)
    return np.asarray(labels, dtype=np.int64)


def products_of(Q: NDArray[np.float32], X: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Inner products of each query with some rows of X, shape (n_queries, width); -inf where a row is -1.

    The same two vectors give the same product wherever they stand.
    """
    faiss, _ = _loaded()
    rows = np.ascontiguousarray(rows)
    products = np.empty(rows.shape, dtype=np.float32)
    pointer = faiss.swig_ptr
    faiss.fvec_inner_products_by_idx(
        pointer(products), pointer(Q), pointer(X), pointer(rows), X.shape[1], len(Q), rows.shape[1]
    )
    return products


def breadths(index: Any) -> list[int]:
    """Values of `breadth` worth trying, rising."""
    faiss, _ = _loaded()
    if isinstance(index, faiss.IndexIVF):
        steps = {2**power * part // 2 for power in range(int(index.nlist).bit_length()) for part in (2, 3)}
        return sorted(step for step in steps if step <= index.nlist)
    if isinstance(index, faiss.IndexHNSW):
        return [16, 24, 32, 48, 64, 96, 128, 192, 256, 512]
    return [1]


def nested(index: Any) -> bool:
    """Whether asking for fewer candidates gives the first of more; a graph looks less far for fewer."""
    faiss, _ = _loaded()
    return not isinstance(index, faiss.IndexHNSW)


def to_bytes(index: Any) -> NDArray[np.uint8]:
    """An index as bytes."""
    faiss, _ = _loaded()
    return np.asarray(faiss.serialize_index(index), dtype=np.uint8)


def from_bytes(data: NDArray[np.uint8]) -> Any:
    """The index that `to_bytes` wrote. The caller has checked the bytes: FAISS believes what it reads.

    Raises
    ------
    ValueError
        If FAISS of this version cannot read it.
    """
    faiss, _ = _loaded()
    try:
        return faiss.deserialize_index(data)
    except RuntimeError as error:
        raise ValueError(f"FAISS cannot read the index: {first_line(error)}") from error


def free_memory(gpu: int) -> int | None:
    """Free bytes of a GPU, or None where that cannot be told."""
    try:
        torch = importlib.import_module("torch")
        free, _ = torch.cuda.mem_get_info(gpu)
    except (ImportError, RuntimeError, AssertionError):
        return None
    return int(free)


def resident(X: NDArray[np.float32], gpu: int) -> Any:
    """The rows of X on a GPU, with a method ``search(Q, k)`` that gives inner products and rows.

    Raises
    ------
    RuntimeError
        If the GPU cannot hold them.
    """
    faiss, _ = _loaded()
    resources = faiss.StandardGpuResources()
    configuration = faiss.GpuIndexFlatConfig()
    configuration.device = gpu
    index = faiss.GpuIndexFlatIP(resources, X.shape[1], configuration)
    index.add(X)
    # The index uses the resources without owning them.
    index.kept_resources = resources
    return index
