"""The only file that imports FAISS: which build there is, and what it computes with."""

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

from retrieval.errors import MissingDependencyError

_CORE_TYPE = "OPENBLAS_CORETYPE"

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
    threads : int
        OpenMP threads of a search on the CPU.
    blas : str
        Which kernel FAISS's own OpenBLAS was told to use, and why.
    """

    version: str
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
def loaded() -> tuple[Any, str]:
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
    faiss, blas = loaded()
    return Engine(str(faiss.__version__), int(faiss.omp_get_max_threads()), blas)


def threads() -> int:
    """How many threads FAISS may use in what this thread does, and other work for the same search."""
    return int(loaded()[0].omp_get_max_threads())


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
    faiss, _ = loaded()
    # OpenMP keeps the number for each thread that asks by itself.
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
