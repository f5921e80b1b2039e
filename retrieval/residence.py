"""Where the vectors of one model, and their index, are searched."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, exact
from retrieval.device import AUTO, Place, checked_device, decide
from retrieval.deviceflat import DeviceFlat
from retrieval.errors import DeviceError
from retrieval.liveindex import LiveIndex
from retrieval.plan import Plan
from retrieval.vectors import VectorTable

# Where fewer rows than this share pass a filter, comparing just those beats asking for enough of all.
_SPARSE = 1 / 8

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


class Residence:
    """Brings the vectors of a model, or their index, to the device that was asked for, and searches there.

    A GPU holds a copy; the CPU keeps its own, takes what a GPU cannot do, and scores what it proposes.
    """

    def __init__(self, device: str) -> None:
        self._asked = checked_device(device)
        self._place: Place | None = None
        self._flat: DeviceFlat | None = None
        self._of: tuple[int, int, Plan | None] | None = None

    def settle(self, table: VectorTable, live: LiveIndex | None, plan: Plan | None) -> None:
        """Choose the device and bring there what is not there yet; not for threads at once.

        Parameters
        ----------
        live : LiveIndex or None
            The index that the plan chose, if it chose one.

        Raises
        ------
        DeviceError
            If a GPU was asked for by name and is not there, too small, or fails.
        """
        state = (table.model.model, table.epoch, plan)
        if state != self._of:
            self._leave(live)
            self._of, self._place = state, None
        if self._place is not None and (not self._place.gpus or self._holds(table, live)):
            return
        self._leave(live)
        self._place = decide(self._asked, plan, len(table), table.model.dim)
        if not self._place.gpus or not len(table):
            return
        try:
            if live is None or self._place.flat:
                self._flat = DeviceFlat(table, self._place)
            else:
                live.place(table, self._place.gpus)
        except RuntimeError as error:
            self._leave(live)
            self._fail(error, live)

    def _holds(self, table: VectorTable, live: LiveIndex | None) -> bool:
        """Whether the GPU has what it is to search, brought to the state of the table."""
        if self._flat is not None:
            return self._flat.follow(table)
        return live is not None and live.placed is not None and not live.lagging

    def _leave(self, live: LiveIndex | None) -> None:
        self._flat = None
        if live is not None:
            live.placed = None

    def _fail(self, error: RuntimeError, live: LiveIndex | None) -> None:
        if self._asked != AUTO:
            # The next search tries again: what did not fit may have been this batch.
            raise DeviceError(f'device="{self._asked}": {ann.first_line(error)}; "auto" would take the CPU') from error
        self._leave(live)
        self._place = Place((), f"the GPU failed: {ann.first_line(error)}")

    def place(self, plan: Plan | None, n: int, dim: int) -> Place:
        """Where searches run, or would run.

        Raises
        ------
        DeviceError
            As `settle`.
        """
        return self._place or decide(self._asked, plan, n, dim)

    def nearest(
        self, table: VectorTable, live: LiveIndex | None, Q: NDArray[np.float32], k: int, tensor: Any = None
    ) -> Found:
        """(rows, scores) of the k nearest, by the index if there is one, shapes (n_queries, min(k, n)).

        Parameters
        ----------
        tensor : torch.Tensor, optional
            The queries on a GPU.

        Raises
        ------
        DeviceError
            If a GPU was asked for by name and fails.
        """
        flat = self._flat
        if flat is not None or (live is not None and live.placed is not None):
            try:
                if flat is not None:
                    return flat.search(table, Q, k, tensor)
                if live is not None:
                    return live.search(table, Q, k, tensor)
            except RuntimeError as error:
                self._fail(error, live)
        if live is not None:
            return live.search(table, Q, k)
        return exact.search(Q, table.matrix, table.items, k)

    def nearest_among(self, table: VectorTable, Q: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> Found:
        """As `exact.search_among`, on the GPU where it holds all vectors and many of them are to be compared.

        No selector is given to FAISS: its kernels for GPUs ignore one.

        Raises
        ------
        DeviceError
            If a GPU was asked for by name and fails.
        """
        if self._flat is not None and len(rows) > _SPARSE * len(table):
            try:
                return self._flat.search_among(table, Q, rows, k)
            except RuntimeError as error:
                self._fail(error, None)
        return exact.search_among(Q, table.matrix, table.items, rows, k)
