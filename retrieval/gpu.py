"""FAISS on GPUs: what devices there are, and indexes placed on them.

Whatever needs a device is reached through `library`, which tests replace by a stand-in. What FAISS cannot do on a GPU
is not asked of it here: it removes nothing, searches no ranges, takes at most 2,048 neighbours and lists, and ignores a
selector without a word, so none is ever passed.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from retrieval.engine import loaded

WIDEST = 2048
"""Neighbours of a query, and inverted lists looked into, that FAISS's kernels for GPUs can select."""

WIDEST_GRAPH = 512
"""The same for a graph (CAGRA), which keeps them in a thread block's own memory."""

_ADDED = 65_536
# Numbers of neighbours that a GPU gives at a time, 12 bytes each in its memory.
_ANSWERS = 1 << 24


def library() -> Any:
    """FAISS, with the parts that need a device."""
    return loaded()[0]


def count() -> int:
    """Devices that this build of FAISS can use."""
    faiss = library()
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def has_graphs() -> bool:
    """Whether this build of FAISS makes CAGRA graphs, as that with cuVS does."""
    return hasattr(library(), "GpuIndexCagra")


def free_memory(gpu: int) -> int | None:
    """Free bytes of a GPU, or None where that cannot be told."""
    return _free_by_runtime(gpu) or _free_by_torch(gpu)


def _free_by_runtime(gpu: int) -> int | None:
    # FAISS for GPUs has the runtime loaded already.
    for version in (12, 13):
        try:
            runtime = ctypes.CDLL(f"libcudart.so.{version}")
        except OSError:
            continue
        before, free, total = ctypes.c_int(), ctypes.c_size_t(), ctypes.c_size_t()
        if runtime.cudaGetDevice(ctypes.byref(before)) or runtime.cudaSetDevice(gpu):
            return None
        failed = runtime.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total))
        runtime.cudaSetDevice(before.value)
        return None if failed else int(free.value)
    return None


def _free_by_torch(gpu: int) -> int | None:
    try:
        module = importlib.import_module("torch")
        free, _ = module.cuda.mem_get_info(gpu)
    except (ImportError, RuntimeError, AssertionError):
        return None
    return int(free)


def torch() -> Any:
    """PyTorch, which the caller of a tensor has imported."""
    return sys.modules["torch"]


def device_of(tensor: Any) -> int | None:
    """The number of the GPU that holds a tensor of torch; None for everything else."""
    module = sys.modules.get("torch")
    if module is None or not isinstance(tensor, module.Tensor) or tensor.device.type != "cuda":
        return None
    return int(tensor.device.index)


def finished(tensor: Any) -> None:
    """Wait until a tensor holds what was computed for it: FAISS works on streams of its own."""
    torch().cuda.current_stream(tensor.device).synchronize()


class Card:
    """FAISS's working memory and streams on one GPU, which serve one thread at a time."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.resources = library().StandardGpuResources()
        self.lock = threading.Lock()


_cards: WeakValueDictionary[int, Card] = WeakValueDictionary()
_cards_lock = threading.Lock()


def cards(gpus: Sequence[int]) -> tuple[Card, ...]:
    """The cards of some GPUs, by rising number: the same ones for all indexes of the process, while any is in use."""
    with _cards_lock:
        found = []
        for number in sorted(gpus):
            card = _cards.get(number)
            if card is None:
                card = _cards[number] = Card(number)
            found.append(card)
        return tuple(found)


@contextmanager
def alone(held: Sequence[Card]) -> Iterator[None]:
    """Keep other threads off some cards, which must come in rising order."""
    with ExitStack() as stack:
        for card in held:
            stack.enter_context(card.lock)
        yield


class Placed:
    """An index on one GPU, or in shards on several.

    Attributes
    ----------
    widest : int
        Neighbours of a query and effort of a search that it takes at most.
    grows : bool
        Whether rows can be added; a graph is built whole.
    """

    def __init__(self, index: Any, held: tuple[Card, ...], parts: list[Any], kind: str) -> None:
        self.index = index
        self.widest = WIDEST_GRAPH if kind == "graph" else WIDEST
        self.grows = kind != "graph"
        self._cards = held
        self._parts = parts
        self._kind = kind

    def __len__(self) -> int:
        return int(self.index.ntotal)

    def search(self, Q: Any, k: int, breadth: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Inner products and labels of the k nearest, shapes (n_queries, k); label -1 for none.

        Parameters
        ----------
        Q : (n_queries, dim) float32
            An array, or a tensor on a GPU, which goes to FAISS by its address. Both contiguous.
        k, breadth : int
            At most `widest`. `breadth` is the number of inverted lists, or the effort in a graph.

        Raises
        ------
        RuntimeError
            If the GPU fails; usually for want of memory.
        """
        faiss = library()
        parameters = None
        if self._kind == "inverted":
            parameters = faiss.SearchParametersIVF(nprobe=min(breadth, self.widest))
        elif self._kind == "graph":
            parameters = faiss.SearchParametersCagra()
            parameters.itopk_size = max(breadth, k)
        products = np.empty((len(Q), k), dtype=np.float32)
        labels = np.empty((len(Q), k), dtype=np.int64)
        step = max(1, _ANSWERS // k)
        with alone(self._cards):
            for start in range(0, len(Q), step):
                part = slice(start, start + step)
                if isinstance(Q, np.ndarray):
                    products[part], labels[part] = self.index.search(Q[part], k, params=parameters)
                else:
                    self._search_there(Q[part], k, products[part], labels[part], parameters)
        return products, labels

    def _search_there(
        self, Q: Any, k: int, products: NDArray[np.float32], labels: NDArray[np.int64], parameters: Any
    ) -> None:
        faiss = library()
        if len(self._cards) == 1 and device_of(Q) != self._cards[0].number:
            Q = Q.to(f"cuda:{self._cards[0].number}")
        finished(Q)
        pointer = faiss.swig_ptr
        queries = faiss.cast_integer_to_float_ptr(Q.data_ptr())
        self.index.search_c(len(Q), queries, k, pointer(products), pointer(labels), parameters)

    def add(self, X: NDArray[np.float32]) -> None:
        """Append rows, labelled on from those there are.

        Raises
        ------
        RuntimeError
            If there is no room, or the kind of index takes none.
        """
        first = len(self)
        with alone(self._cards):
            for start in range(0, len(X), _ADDED):
                rows = np.ascontiguousarray(X[start : start + _ADDED])
                if len(self._parts) < 2:
                    self.index.add(rows)
                elif self._kind == "flat":
                    # Labels of shards go on from one to the next, so that only the last may grow.
                    self._parts[-1].add(rows)
                    self.index.syncWithSubIndexes()
                else:
                    self.index.add_with_ids(rows, np.arange(first + start, first + start + len(rows)))

    def train(self, X: NDArray[np.float32]) -> None:
        """Train the index."""
        with alone(self._cards):
            self.index.train(X)

    def on_cpu(self) -> Any:
        """The same index for the CPU."""
        with alone(self._cards):
            return library().index_gpu_to_cpu(self.index)


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
    faiss = library()
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
    faiss = library()
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


def graph(X: NDArray[np.float32], gpu: int, *, degree: int) -> Placed:
    """A CAGRA graph over the rows of X, built on one GPU.

    Raises
    ------
    RuntimeError
        If the GPU cannot hold it.
    """
    faiss = library()
    (card,) = cards([gpu])
    configuration = faiss.GpuIndexCagraConfig()
    configuration.device = gpu
    configuration.graph_degree = degree
    configuration.intermediate_graph_degree = 2 * degree
    with card.lock:
        index = faiss.GpuIndexCagra(card.resources, X.shape[1], faiss.METRIC_INNER_PRODUCT, configuration)
        index.train(np.ascontiguousarray(X))
    return Placed(index, (card,), [index], "graph")
