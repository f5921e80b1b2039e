"""The index of a gallery: chosen by measurement, measured again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import gpu
from retrieval.encoding import queries as unit_queries
from retrieval.plan import FLAT, Plan
from retrieval.progress import Progress, reporter
from retrieval.tuning import Wanted
from retrieval.upgrading import GalleryUpgrades


class GalleryIndexing(GalleryUpgrades):
    """The choice of an index in `retrieval.Gallery`."""

    def optimize(
        self,
        recall: float = 0.95,
        k: int = 10,
        *,
        memory: int | None = None,
        seconds: float = 300.0,
        queries: Any = None,
        index: str | None = None,
        progress: Progress | bool | None = None,
    ) -> Plan:
        """Measure indexes on this gallery's own vectors and use the fastest that reaches a recall.

        Searches without a filter use it from then on, in every process; new and deleted items are seen at once.
        Candidates come from the index, their order and scores from the gallery's own vectors. Where the gallery was
        opened with a device that may be a GPU, kinds that run there are tried on it, and the fastest runs where it was.

        Parameters
        ----------
        recall : float
            Wanted mean share of the true k nearest; an index must reach it less one standard error of the measurement.
        k : int
        memory : int, optional
            Bytes that the index may take beyond the vectors.
        seconds : float
            No further kind is tried once so much time is spent; the one at work is finished.
        queries : records or vectors, optional
            To measure with. Without them 500 stored vectors are used, themselves excluded as neighbours.
        index : str, optional
            A FAISS factory string: that kind is used if it reaches the recall within the memory, and exact search
            otherwise; ``"Flat"`` goes back to exact search.
        progress : callable, bool or None

        Returns
        -------
        Plan
            What was chosen; ``print`` shows every trial as a table.

        Raises
        ------
        ValueError, TypeError
            For a recall outside (0, 1] and the like, or a string that FAISS cannot build.
        DeviceError
            If the gallery was opened for a GPU by name that is not there, too small, or takes no such index.
        GalleryBusyError

        Notes
        -----
        Searches and writes go on meanwhile. The vectors are those that searches use, copied only when a write deletes
        or replaces some; the indexes on trial take memory one at a time, beside the best so far.
        """
        wanted = Wanted(recall, k, memory, seconds)
        if index is not None and not isinstance(index, str):
            raise TypeError(f"index must be a FAISS factory string such as 'IVF1024,SQ8', got {index!r}")
        kinds = None if index is None else [] if index == FLAT else [index]
        total = None if gpu.count() else 4 if index is None else 1
        with reporter(progress, unit="index", total=total) as report:
            return self._searcher.optimize(wanted, Q=self._asked(queries), kinds=kinds, report=report)

    def measure_recall(self, k: int = 10, n_queries: int = 200, *, queries: Any = None) -> tuple[float, float]:
        """Mean recall@k of the index in use now, and its standard error; 1 for exact search.

        Parameters
        ----------
        k, n_queries : int
        queries : records or vectors, optional
            To measure with. Without them stored vectors are used, which flatters a graph (HNSW): each is linked to its
            own neighbours.
        """
        return self._searcher.measure(k, n_queries, self._asked(queries))

    def _asked(self, queries: Any) -> NDArray[np.float32] | None:
        if queries is None:
            return None
        asked = self._model()
        return np.atleast_2d(unit_queries(queries, asked.dim, self._encoder_for(queries, asked), asked.name)[0])
