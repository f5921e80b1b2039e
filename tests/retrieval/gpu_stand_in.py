"""What FAISS's parts for GPUs do, on the CPU: the same names, options and refusals, and a bounded memory.

Behaviour as FAISS 1.15 documents it or has it in its source: at most 2,048 neighbours and lists; selectors ignored
without a word; no `remove_ids`, no range search; one thread at a time a resource; float16 rounds vectors and queries;
only flat and inverted files of vectors, scalar and product codes can be placed; a CAGRA graph takes no more rows;
`IndexShards` labels on from shard to shard, or keeps the labels of inverted files; want of memory is a RuntimeError.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np
import torch

from retrieval import gpu

RESERVED = 1_610_612_736


class Resources:
    """Of one thread at a time."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._busy = threading.Lock()

    @contextmanager
    def used(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("two threads use the same GPU resources at once")
        try:
            yield
        finally:
            self._busy.release()


class GpuIndex:
    """An index of the CPU behind the manners of a GPU."""

    widest = 2048

    def __init__(self, resources: Resources, index: Any, device: int, half: bool = False) -> None:
        self.inner = index
        self.resources = resources
        self.device = device
        self.half = half
        self.d = index.d
        self._bytes = 0
        library = resources.library
        if not 0 <= device < library.get_num_gpus():
            raise RuntimeError(f"Error: 'config_.device < getNumDevices()' failed: Invalid GPU device {device}")
        self._claim()
        weakref.finalize(self, library.freed, device, lambda held=self.__dict__: held["_bytes"])

    @property
    def ntotal(self) -> int:
        return int(self.inner.ntotal)

    def _row_bytes(self) -> float:
        if isinstance(self.inner, faiss.IndexIVF):
            return float(self.inner.code_size + 8)
        return self.d * (2 if self.half else 4) + 4

    def _claim(self) -> None:
        need = int(self.ntotal * self._row_bytes())
        self.resources.library.claim(self.device, need - self._bytes)
        self._bytes = need

    def _rounded(self, X: np.ndarray) -> np.ndarray:
        return X.astype(np.float16).astype(np.float32) if self.half else X

    def train(self, X: np.ndarray) -> None:
        with self.resources.used():
            self.inner.train(X)

    def add(self, X: np.ndarray) -> None:
        with self.resources.used():
            self.inner.add(self._rounded(X))
            self._claim()

    def add_with_ids(self, X: np.ndarray, ids: np.ndarray) -> None:
        with self.resources.used():
            self.inner.add_with_ids(X, ids)
            self._claim()

    def search(self, Q: np.ndarray, k: int, *, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
        library = self.resources.library
        if k > self.widest:
            raise RuntimeError(f"Error: 'k <= getMaxKSelection()' failed: GPU index only supports min/max-K <= {k}")
        given = None
        if isinstance(params, faiss.SearchParametersIVF):
            if params.nprobe > 2048:
                raise RuntimeError("Error: GPU index only supports nprobe <= 2048")
            # The selector stays behind.
            given = faiss.SearchParametersIVF(nprobe=params.nprobe)
        elif params is not None and not isinstance(self.inner, faiss.IndexHNSW):
            raise RuntimeError("Error: GPU IVF index: passed unhandled SearchParameters class to search function")
        if isinstance(self.inner, faiss.IndexHNSW):
            given = faiss.SearchParametersHNSW(efSearch=params.itopk_size)
        library.searches.append((type(self.inner).__name__, self.device, len(Q), k))
        with self.resources.used():
            library.claim(self.device, library.per_query * len(Q))
            library.freed(self.device, lambda: library.per_query * len(Q))
            return self.inner.search(self._rounded(Q), k, params=given)

    def search_c(self, n: int, queries: Any, k: int, products: Any, labels: Any, params: Any = None) -> None:
        Q = faiss.rev_swig_ptr(queries, n * self.d).reshape(n, self.d)
        self.resources.library.by_address += 1
        found, rows = self.search(Q, k, params=params)
        faiss.rev_swig_ptr(products, n * k)[:] = found.ravel()
        faiss.rev_swig_ptr(labels, n * k)[:] = rows.ravel()

    def remove_ids(self, selector: Any) -> None:
        raise RuntimeError("remove_ids not implemented for this type of index")

    def range_search(self, Q: Any, radius: float) -> None:
        raise RuntimeError("range search not implemented")


class Shards:
    """`faiss.IndexShards` over such indexes."""

    def __init__(self, dim: int, threaded: bool = False, successive_ids: bool = True) -> None:
        self.d = dim
        self.successive = successive_ids
        self.shards: list[GpuIndex] = []
        self.ntotal = 0

    def add_shard(self, index: GpuIndex) -> None:
        self.shards.append(index)
        self.syncWithSubIndexes()

    def syncWithSubIndexes(self) -> None:  # noqa: N802
        self.ntotal = sum(shard.ntotal for shard in self.shards)

    def at(self, number: int) -> GpuIndex:
        return self.shards[number]

    def add(self, X: np.ndarray) -> None:
        raise AssertionError("labels of shards move when all grow")

    def add_with_ids(self, X: np.ndarray, ids: np.ndarray) -> None:
        if self.successive:
            raise RuntimeError("It makes no sense to pass in ids and request them to be shifted")
        for number, shard in enumerate(self.shards):
            part = np.array_split(np.arange(len(X)), len(self.shards))[number]
            shard.add_with_ids(X[part], ids[part])
        self.syncWithSubIndexes()

    def search(self, Q: np.ndarray, k: int, *, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
        found = []
        first = 0
        for shard in self.shards:
            products, labels = shard.search(Q, k, params=params)
            found.append((products, np.where(labels < 0, -1, labels + first)))
            first += shard.ntotal if self.successive else 0
        products = np.concatenate([one for one, _ in found], axis=1)
        labels = np.concatenate([one for _, one in found], axis=1)
        best = np.argsort(-products, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(products, best, axis=1), np.take_along_axis(labels, best, axis=1)

    search_c = GpuIndex.search_c

    @property
    def resources(self) -> Resources:
        return self.shards[0].resources


class CagraConfig:
    def __init__(self) -> None:
        self.device = 0
        self.graph_degree = 64
        self.intermediate_graph_degree = 128
        self.guarantee_connectivity = False

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in ("device", "graph_degree", "intermediate_graph_degree", "guarantee_connectivity"), name
        super().__setattr__(name, value)


class CagraParameters:
    itopk_size = 64
    num_random_samplings = 1


class Cagra(GpuIndex):
    def __init__(self, resources: Resources, dim: int, metric: int, configuration: CagraConfig) -> None:
        assert configuration.intermediate_graph_degree >= configuration.graph_degree
        assert configuration.guarantee_connectivity
        index = faiss.IndexHNSWCagra(dim, configuration.graph_degree // 2, metric)
        super().__init__(resources, index, configuration.device)

    def train(self, X: np.ndarray) -> None:
        assert not self.ntotal
        # It keeps the address of the vectors alone: whoever lets go of them, gets another graph on the CPU.
        self.rows = weakref.ref(X)
        with self.resources.used():
            self.inner.add(X)
            self._claim()

    def add(self, X: np.ndarray) -> None:
        raise RuntimeError("Error: adding vectors is not supported by GpuIndexCagra.")

    def search(self, Q: np.ndarray, k: int, *, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
        if k > params.itopk_size or params.itopk_size > 512:
            raise RuntimeError("Error: itopk_size")
        return super().search(Q, k, params=params)


class Library:
    """The module `faiss` with GPUs of so many bytes each."""

    def __init__(self, free: list[int], graphs: bool = False) -> None:
        self.free = free
        self.held = [0] * len(free)
        self.searches: list[tuple[str, int, int, int]] = []
        self.by_address = 0
        self.per_query = 0
        if graphs:
            self.GpuIndexCagra = Cagra
            self.GpuIndexCagraConfig = CagraConfig
            self.SearchParametersCagra = CagraParameters

    IndexShards = Shards

    def __getattr__(self, name: str) -> Any:
        if "Cagra" in name and name != "IndexHNSWCagra":
            raise AttributeError(name)
        return getattr(faiss, name)

    def get_num_gpus(self) -> int:
        return len(self.free)

    def StandardGpuResources(self) -> Resources:  # noqa: N802
        return Resources(self)

    def GpuIndexFlatIP(self, resources: Resources, dim: int, configuration: Any) -> GpuIndex:  # noqa: N802
        assert not configuration.use_cuvs
        return GpuIndex(resources, faiss.IndexFlatIP(dim), configuration.device, configuration.useFloat16)

    def index_cpu_to_gpu(self, resources: Resources, device: int, index: Any, options: Any) -> GpuIndex:
        assert isinstance(options, faiss.GpuClonerOptions)
        if type(index) not in (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer, faiss.IndexIVFPQ):
            raise RuntimeError("Error: This index type is not implemented on GPU.")
        with resources.used():
            return GpuIndex(resources, faiss.clone_index(index), device)

    def index_cpu_to_gpu_multiple_py(self, resources: list[Resources], index: Any, options: Any, gpus: Any) -> Shards:
        assert isinstance(options, faiss.GpuMultipleClonerOptions)
        assert options.shard
        shards = Shards(index.d, True, False)
        for number, (resource, device) in enumerate(zip(resources, gpus, strict=True)):
            part = faiss.clone_index(index)
            part.reset()
            index.copy_subset_to(part, options.shard_type, len(gpus), number)
            shards.add_shard(GpuIndex(resource, part, device))
        return shards

    def index_gpu_to_cpu(self, index: Any) -> Any:
        if isinstance(index, GpuIndex):
            assert not isinstance(index, Cagra) or index.rows() is not None, "the graph's vectors are gone"
            return faiss.clone_index(index.inner)
        first, *others = [faiss.clone_index(shard.inner) for shard in index.shards]
        for other in others:
            first.merge_from(other, 0)
        return first

    def claim(self, device: int, size: int) -> None:
        if self.held[device] + size + RESERVED > self.free[device]:
            raise RuntimeError(
                "Error in virtual void* faiss::gpu::StandardGpuResourcesImpl::allocMemory(const AllocRequest&)\n"
                f"Error: 'err == cudaSuccess' failed: alloc fail size {size} (cudaMalloc error out of memory [2])"
            )
        self.held[device] += size

    def freed(self, device: int, size: Any) -> None:
        self.held[device] -= size()

    def free_memory(self, device: int) -> int:
        return self.free[device] - self.held[device]


class DeviceTensor(torch.Tensor):
    """A tensor on the CPU that passes for one on a GPU."""

    gpu = 0

    @staticmethod
    def of(X: np.ndarray) -> Any:
        return torch.from_numpy(X.copy()).as_subclass(DeviceTensor)  # type: ignore[no-untyped-call]


def install(monkeypatch: Any, library: Library) -> Library:
    """Let the package find these GPUs."""
    monkeypatch.setattr(gpu, "library", lambda: library)
    monkeypatch.setattr(gpu, "free_memory", library.free_memory)
    monkeypatch.setattr(gpu, "_cards", weakref.WeakValueDictionary())
    monkeypatch.setattr(gpu, "device_of", lambda one: one.gpu if isinstance(one, DeviceTensor) else None)
    monkeypatch.setattr(gpu, "finished", lambda tensor: None)
    return library
