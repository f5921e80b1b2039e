"""An index on one GPU, or in shards on several."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import gpu
from retrieval.gpu import Card, alone

WIDEST = 2048
"""Neighbours of a query, and inverted lists looked into, that FAISS's kernels for GPUs can select."""

WIDEST_GRAPH = 512
"""The same for a graph (CAGRA), which keeps them in a thread block's own memory."""

# Starting points drawn for each query of a graph: with one draw, of 200 clusters of 100 vectors many are never entered
# (recall .33 and .48, without and with links between them, an effort of 64; .98 with eight draws).
_SAMPLINGS = 8
_ADDED = 65_536
# Numbers of neighbours that a GPU gives at a time, 12 bytes each in its memory.
_ANSWERS = 1 << 24


class Placed:
    """An index on one GPU, or in shards on several.

    Attributes
    ----------
    widest : int
        Neighbours of a query and effort of a search that it takes at most.
    grows : bool
        Whether rows can be added; a graph is built whole.

    Parameters
    ----------
    rows : array, optional
        What the index was built from, if FAISS only points to it.
    """

    def __init__(
        self, index: Any, held: tuple[Card, ...], parts: list[Any], kind: str, rows: NDArray[np.float32] | None = None
    ) -> None:
        self.index = index
        self.widest = WIDEST_GRAPH if kind == "graph" else WIDEST
        self.grows = kind != "graph"
        self._cards = held
        self._parts = parts
        self._kind = kind
        self._rows = rows

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
        faiss = gpu.library()
        parameters = None
        if self._kind == "inverted":
            parameters = faiss.SearchParametersIVF(nprobe=min(breadth, self.widest))
        elif self._kind == "graph":
            parameters = faiss.SearchParametersCagra()
            parameters.itopk_size = max(breadth, k)
            parameters.num_random_samplings = _SAMPLINGS
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
        faiss = gpu.library()
        if len(self._cards) == 1 and gpu.device_of(Q) != self._cards[0].number:
            Q = Q.to(f"cuda:{self._cards[0].number}")
        gpu.finished(Q)
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
            return gpu.library().index_gpu_to_cpu(self.index)
