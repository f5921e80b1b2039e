"""An approximate index in memory that follows the vectors of a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, exact, placing
from retrieval.device import graph_degree
from retrieval.engine import limited, threads
from retrieval.entries import Entries
from retrieval.placed import Placed
from retrieval.plan import Plan
from retrieval.pool import share
from retrieval.vectors import VectorTable

# Of the index's entries, or of the rows it has yet to learn of.
_OUTGROWN = 0.5
# Of the entries that a GPU holds.
_LAGGING = 0.05
# Queries.
_WORTH_A_THREAD = 16


class LiveIndex:
    """FAISS codes whose labels are told from items and slots.

    FAISS only proposes rows; which of them are alive, and how near they are, is told by the table.

    Attributes
    ----------
    index : faiss.Index
        On the CPU, and whole.
    placed : Placed or None
        The same codes on a GPU, which then proposes what it can.
    """

    def __init__(self, plan: Plan, index: Any, entries: Entries, trained_on: int | None = None) -> None:
        self.plan = plan
        self.index = index
        self.entries = entries
        self.placed: Placed | None = None
        # How many entries the GPU has, and which one each of its labels is where they are not the first of all.
        self._held = 0
        self._labels: NDArray[np.int64] | None = None
        self.trained_on = len(entries) if trained_on is None else trained_on

    @classmethod
    def built(
        cls, plan: Plan, table: VectorTable, without: NDArray[np.int64] | None = None, gpus: Sequence[int] = ()
    ) -> LiveIndex:
        """Train and fill an index from a table, on GPUs if any are given, where it then lies too.

        Rows `without` are left out until it next follows the table.

        Raises
        ------
        ValueError
            If FAISS cannot build it.
        RuntimeError
            If a GPU fails.
        """
        rows = None if without is None else np.delete(np.arange(len(table)), without)
        n = len(table) if rows is None else len(rows)
        train_on = training_rows(plan.factory, n)
        if not gpus:
            degree = graph_degree(plan.factory)
            factory = plan.factory if degree is None else f"HNSW{degree // 2}"
            return cls(plan, ann.build(factory, table.matrix, train_on=train_on, rows=rows), Entries.of(table, rows))
        index, placed = placing.built(plan.factory, table.matrix, gpus, train_on=train_on, rows=rows)
        live = cls(plan, index, Entries.of(table, rows))
        live.placed, live._held = placed, len(live.entries)
        return live

    def place(self, table: VectorTable, gpus: Sequence[int]) -> None:
        """Bring the codes to GPUs. A graph is built there anew, from the vectors that are left.

        Raises
        ------
        RuntimeError
            If a GPU fails.
        """
        self.placed = self._labels = None
        degree = graph_degree(self.plan.factory)
        if degree is None:
            self.placed = placing.inverted(self.index, gpus)
        else:
            labels = np.flatnonzero(self.entries.rows >= 0)
            self.placed = placing.graph(table.matrix[self.entries.rows[labels]], gpus[0], degree=degree)
            self._labels = labels
        self._held = len(self.entries)

    def follow(self, table: VectorTable) -> None:
        """Take up the rows that are new in the table, and find out which entries are dead."""
        self.take(table, self.entries.follow(table))

    def take(self, table: VectorTable, fresh: NDArray[np.int64]) -> None:
        """Take up rows of the table that was followed last."""
        if len(fresh):
            rows = np.ascontiguousarray(table.matrix[fresh])
            self.index.add(rows)
            if self.placed is not None and self.placed.grows:
                try:
                    self.placed.add(rows)
                    self._held += len(fresh)
                except RuntimeError:
                    # No room: whoever placed it finds another place.
                    self.placed = None
            self.entries.append(table, fresh)

    @property
    def dead(self) -> int:
        """Entries whose vector is gone."""
        return self.entries.dead

    def outgrown(self, more: int = 0) -> bool:
        """Whether so much came or went since the training, with so many rows to come, that building anew pays."""
        grown = len(self.entries) + more - self.trained_on
        return max(self.dead, grown) > _OUTGROWN * max(self.trained_on, 1)

    @property
    def lagging(self) -> bool:
        """Whether the GPU lacks so many entries that placing all anew pays."""
        return self.placed is not None and len(self.entries) - self._held > _LAGGING * self._held

    def proposed(
        self, table: VectorTable, Q: NDArray[np.float32], width: int, breadth: int | None = None, tensor: Any = None
    ) -> NDArray[np.int64]:
        """Rows for each query, shape (n_queries, width or more), the nearest by their codes first; -1 for none.

        The GPU proposes, if it holds the codes and takes so wide a search; entries that it lacks are compared. The
        breadth is the plan's where none is given.
        """
        placed = self.placed
        there = self.plan.breadth if breadth is None else breadth
        if placed is None or max(width, there) > placed.widest:
            here = (self.plan.breadth_on_cpu or there) if breadth is None else breadth
            return self.entries.rows_of(ann.candidates(self.index, Q, width, here))
        _, labels = placed.search(Q if tensor is None else tensor, min(width, len(placed)), there)
        if self._labels is not None:
            labels = np.where(labels < 0, -1, self._labels[labels])
        rows = self.entries.rows_of(labels)
        beyond = self.entries.rows[self._held :]
        beyond = beyond[beyond >= 0]
        if not len(beyond):
            return rows
        X = np.ascontiguousarray(table.matrix[beyond])
        _, nearest = ann.inner_products(Q, X, min(width, len(beyond)))
        return np.concatenate([rows, beyond[nearest]], axis=1)

    def search(
        self, table: VectorTable, Q: NDArray[np.float32], k: int, tensor: Any = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(rows, scores) of the k nearest of what the index proposes, shapes (n_queries, min(k, n)).

        A query for which too few live rows are proposed is answered by comparing every vector. `tensor` holds the
        queries on a GPU, if they are there.
        """
        k = min(k, len(table))
        if not k or not len(Q):
            return exact.search(Q, table.matrix, table.items, k or 1)
        share_alive = min(1.0, len(table) / len(self.entries))
        width = min(len(self.entries), int(np.ceil(self.plan.width_for(k) / share_alive)))
        rows = np.empty((len(Q), k), dtype=np.int64)
        scores = np.empty((len(Q), k), dtype=np.float32)

        def search(start: int, stop: int) -> None:
            part = slice(start, stop)
            there = None if tensor is None else tensor[part]
            found = self.proposed(table, Q[part], width, tensor=there)
            rows[part], scores[part] = exact.refined(Q[part], table.matrix, table.items, found, k)

        if self.placed is not None:
            search(0, len(Q))
        else:
            # Each thread goes through all steps with its queries: none waits for another between them, and none of
            # FAISS's own is left spinning beside the next step. One query is too little work to share: threads gain
            # nothing alone, and beside other programs they wait for one another (300 queries on a busy machine, p50:
            # 83 ms by two threads, 1 ms by one).
            def alone(start: int, stop: int) -> None:
                with limited(1):
                    search(start, stop)

            share(alone, len(Q), min(threads(), 1 + len(Q) // _WORTH_A_THREAD))
        for short in np.flatnonzero(rows[:, -1] < 0).tolist():
            rows[short : short + 1], scores[short : short + 1] = exact.search(
                Q[short : short + 1], table.matrix, table.items, k
            )
        return rows, scores


def training_rows(factory: str, n: int) -> int:
    """How many rows to train on: as many as FAISS looks at, 256 a centroid.

    Fewer cost recall: 1,024 lists over 200,000 vectors in 2,000 clusters find .927 of the ten nearest in 6 lists when
    trained on 64 a centroid, .934 on 128, .951 on 256.
    """
    centroids = 256
    if factory.startswith("IVF"):
        centroids = int("".join(digit for digit in factory[3:].split(",")[0] if digit.isdigit()) or 256)
    return min(n, max(20_000, 256 * centroids))
