"""The only file that imports FAISS."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import MissingDependencyError

_CORE_TYPE = "OPENBLAS_CORETYPE"


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
        return importlib.import_module("faiss")
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
