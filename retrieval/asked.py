"""The queries that a handle asked last."""

from __future__ import annotations

import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray

_QUERIES = 2000


class Asked:
    """The last queries of a handle, by model; what `health` looks at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[NDArray[np.float32]]] = {}

    def keep(self, model: str, Q: NDArray[np.float32]) -> None:
        """Remember queries; O(n) time, at most 2,000 rows a model."""
        with self._lock:
            kept = self._kept.setdefault(model, deque(maxlen=_QUERIES))
            kept.extend(Q[-_QUERIES:].copy())

    def last(self, model: str, dim: int) -> NDArray[np.float32]:
        """The queries remembered for a model, oldest first; shape (n, dim)."""
        with self._lock:
            rows = list(self._kept.get(model, ()))
        return np.stack(rows) if rows else np.empty((0, dim), dtype=np.float32)
