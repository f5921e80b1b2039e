"""Filters that keep ever less: the same ids as brute force, and the time."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import results
from benchmarks.gallery.data import Vectors
from retrieval import Gallery

K, ALONE, BATCH = 10, 20, 100
SHARES = (0.5, 0.05, 0.005, 0.00005)


def run(data: Vectors) -> str:
    """The section's text; the program fails where ids differ."""
    n, dim = data.X.shape
    draw = np.random.default_rng(1).permutation(n)
    rows = []
    with tempfile.TemporaryDirectory() as folder, Gallery.create(Path(folder) / "g", dim=dim) as gallery:
        gallery.add_vectors(range(n), data.X, [{"title": f"Work {row}", "draw": int(draw[row])} for row in range(n)])
        plan = gallery.optimize(index="IVF1024,PQ64x4fsr" if dim == 256 else None, progress=False)
        gallery.search(data.Q[0], K)
        for share in SHARES:
            below = max(1, round(share * n))
            kept = np.flatnonzero(draw < below)
            times: dict[str, list[float]] = {"alone": []}
            found = []
            for number, q in enumerate(data.Q[:ALONE]):
                # A new filter each time, so that nothing is remembered.
                found.append(_timed(gallery, q, below, number, times["alone"]))
            wanted = brute_force(data.Q[:BATCH], data.X, kept)
            _same(found, wanted[:ALONE], share)
            spent: list[float] = []
            first = _timed(gallery, data.Q[:BATCH], below, ALONE, spent)
            for _ in range(5):
                _timed(gallery, data.Q[:BATCH], below, ALONE, spent)
            _same(first, wanted, share)
            rows.append(
                [
                    f"{100 * share:g} %",
                    f"{len(kept):,}",
                    f"{1e3 * statistics.median(times['alone']):.1f}",
                    f"{1e3 * spent[0]:.0f}",
                    f"{1e3 * statistics.median(spent[1:]):.1f}",
                ]
            )
    head = ["kept", "items", "one query, filter not seen before, p50 ms", f"first batch of {BATCH}, ms", "later, ms"]
    return (
        f"{n:,} × {dim}, k = {K}, index {plan.factory}. Ids equal those of float64 brute force for every query."
        f"\n\n{results.table(head, rows)}"
    )


def _timed(gallery: Gallery, Q: NDArray[np.float32], below: int, number: int, times: list[float]) -> Any:
    where = {"draw": {"<": below, ">=": -number}}
    started = time.perf_counter()
    found = gallery.search(Q, K, where=where)
    times.append(time.perf_counter() - started)
    return [hit.id for hit in found] if Q.ndim == 1 else [[hit.id for hit in hits] for hits in found]


def _same(found: list[list[str]], wanted: list[list[str]], share: float) -> None:
    if found != wanted:
        raise SystemExit(f"filter that keeps {share:%}: ids differ from brute force")


def brute_force(Q: NDArray[np.float32], X: NDArray[np.float32], kept: NDArray[np.int64]) -> list[list[str]]:
    """Ids by float64 products with every row that is kept, rounded to float32; ties by row."""
    part = X[kept].astype(np.float64)
    ids = []
    for q in Q:
        scores = (part @ q.astype(np.float64)).astype(np.float32)
        ids.append([str(row) for row in kept[np.lexsort((kept, -scores))[:K]]])
    return ids
