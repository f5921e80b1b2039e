"""Searches among the items that a filter keeps: exact at any selectivity."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import exact, pathindex
from retrieval.filters import Predicate, canonical, compiled
from retrieval.payload import load
from retrieval.residence import Residence
from retrieval.snapshot import Record, Snapshot
from retrieval.vectors import VectorTable

_REMEMBERED = 16
# Parsing a payload costs some 10 microseconds: this many are tried before all are read.
_TRIED = 4096

Found = tuple[NDArray[np.int64], NDArray[np.float32]]


class Selector:
    """Which items pass a filter; remembers the answers for the state of the gallery that it saw last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, int, int], NDArray[np.int64]] = OrderedDict()

    def search(
        self,
        snapshot: Snapshot,
        table: VectorTable,
        home: Residence,
        Q: NDArray[np.float32],
        k: int,
        where: Any,
    ) -> Found:
        """The k nearest of the items that pass, (rows, scores) as from `exact.search`.

        One query first tries the payloads of its nearest neighbours, and is done when k of them pass; that
        answers filters that keep much without reading the payloads of all. Otherwise every payload, or what
        `pathindex` holds of it, is read once, and the vectors of the items that pass are compared.
        """
        passes = compiled(where)
        key = (canonical(where), snapshot.state.generation, snapshot.state.epoch)
        if key not in self._answers and len(Q) == 1 and len(table) > _TRIED:
            found = self._nearest_that_pass(snapshot, table, Q, k, passes)
            if found is not None:
                return found
        rows = table.rows_of(self._items(snapshot, key, where, passes))
        return home.nearest_among(table, Q, rows[rows >= 0], k)

    def items(self, snapshot: Snapshot, where: Any) -> NDArray[np.int64]:
        """Numbers of the items that pass, rising."""
        key = (canonical(where), snapshot.state.generation, snapshot.state.epoch)
        return self._items(snapshot, key, where, compiled(where))

    def _items(
        self, snapshot: Snapshot, key: tuple[str, int, int], where: dict[str, Any], passes: Predicate
    ) -> NDArray[np.int64]:
        known = self._answers.get(key)
        if known is None:
            known = pathindex.passing(snapshot, where, passes)
            if known is None:
                known = np.fromiter(_passing(snapshot.all_records(), passes), dtype=np.int64)
            with self._lock:
                self._answers[key] = known
                while len(self._answers) > _REMEMBERED:
                    self._answers.popitem(last=False)
        return known

    def _nearest_that_pass(
        self, snapshot: Snapshot, table: VectorTable, Q: NDArray[np.float32], k: int, passes: Predicate
    ) -> Found | None:
        tried = 0
        width = 4 * k
        kept: list[int] = []
        while tried < width <= _TRIED:
            rows, scores = exact.search(Q, table.matrix, table.items, width)
            fresh = table.items[rows[0, tried:]]
            records = snapshot.records(fresh.tolist())
            passing = set(_passing((records[item] for item in fresh.tolist()), passes))
            kept += [tried + place for place, item in enumerate(fresh.tolist()) if item in passing]
            if len(kept) >= k:
                return rows[:, kept[:k]], scores[:, kept[:k]]
            if len(kept) * _TRIED < k * width:
                # At this rate the bound will not give k.
                return None
            tried, width = width, min(4 * width, max(_TRIED, width + 1))
        return None


def _passing(records: Iterable[Record], passes: Predicate) -> Iterable[int]:
    return (record.item for record in records if passes(load(record.codec, record.payload)))
