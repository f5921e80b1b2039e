"""Exact search in batches and alone, against FAISS's flat index and NumPy's matrix product."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery import results
from benchmarks.gallery.data import Vectors
from benchmarks.gallery.measuring import best_rate, rate, ratio, take_turns
from retrieval import Gallery

K, COLUMNS, ROUNDS = 10, 16_384, 11
SIZES = (2, 10, 50, 200)
# What FAISS 1.15 comes with.
LOOPS_BELOW, ROWS_AT_A_TIME = 128_000, 1_024


def run(data: Vectors) -> str:
    """The section's text."""
    with tempfile.TemporaryDirectory() as folder, Gallery.create(Path(folder) / "g", dim=data.X.shape[1]) as gallery:
        gallery.add_vectors(range(len(data.X)), data.X, [{"title": f"Work {row}"} for row in range(len(data.X))])
        # FAISS comes after the gallery, which knows how to have its BLAS take the right kernels.
        blas = gallery.info().blas
        gallery.search(data.Q, K)
        import faiss

        flat = faiss.IndexFlatIP(data.X.shape[1])
        flat.add(data.X)
        buffer = np.empty((len(data.Q), COLUMNS), dtype=np.float32)

        def product() -> None:
            for start in range(0, len(data.X), COLUMNS):
                part = data.X[start : start + COLUMNS]
                np.matmul(data.Q, part.T, out=buffer[:, : len(part)])

        names = ["gallery.search, payloads=False", "gallery.search", "FAISS IndexFlatIP", "NumPy sgemm, product alone"]
        times = take_turns(
            {
                names[0]: lambda: gallery.search(data.Q, K, payloads=False),
                names[1]: lambda: gallery.search(data.Q, K),
                names[2]: lambda: flat.search(data.Q, K),
                names[3]: product,
            },
            ROUNDS,
        )
        same = gallery.search(data.Q, K, payloads=False).ids.astype(np.int64) == flat.search(data.Q, K)[1]
        sizes = [_batch(gallery, flat, faiss.cvar, data, n) for n in SIZES]
        alone: dict[str, list[float]] = {"gallery": [], "flat": []}
        for q in data.Q[:100]:
            started = time.perf_counter()
            gallery.search(q, K)
            middle = time.perf_counter()
            flat.search(q[None, :], K)
            alone["gallery"].append(1e3 * (middle - started))
            alone["flat"].append(1e3 * (time.perf_counter() - middle))
    operations = 2.0 * len(data.Q) * data.X.size
    rows = [
        [
            name,
            f"{best_rate(times, name, len(data.Q)):,.0f}",
            f"{rate(times, name, len(data.Q)):,.0f}",
            f"{best_rate(times, name, 1) * operations / 1e9:,.0f}",
            "" if name == names[0] else f"{best_rate(times, names[0], 1) / best_rate(times, name, 1):.2f}",
            "" if name == names[0] else f"{ratio(times, names[0], name):.2f}",
        ]
        for name in names
    ]
    n, dim = data.X.shape
    head = ["what", "queries/s, best round", "median", "GFLOP/s", "gallery is × as fast, best rounds", "median"]
    return (
        f"{n:,} × {dim}, {len(data.Q):,} queries in one batch, k = {K}, {ROUNDS} rounds that take turns. "
        f"{100 * same.mean():.2f} % of FAISS's places hold the same row (the rest are ties and rounding). "
        f"FAISS's BLAS: {blas}.\n\n"
        f"{results.table(head, rows)}\n\n"
        f"One query, p50: gallery with payloads {statistics.median(alone['gallery']):.2f} ms, "
        f"FAISS {statistics.median(alone['flat']):.2f} ms; their difference "
        f"{statistics.median(a - b for a, b in zip(alone['gallery'], alone['flat'], strict=True)):.2f} ms.\n\n"
        "Smaller batches, ms in the best round:\n\n"
        f"{results.table(['queries', 'gallery.search', 'FAISS as the package sets it', 'FAISS as it comes'], sizes)}"
    )


def _batch(gallery: Gallery, flat: Any, settings: Any, data: Vectors, n: int) -> list[str]:
    Q = data.Q[:n]
    ours = settings.distance_compute_blas_threshold, settings.distance_compute_blas_database_bs

    def as_it_comes() -> None:
        settings.distance_compute_blas_threshold = LOOPS_BELOW
        settings.distance_compute_blas_database_bs = ROWS_AT_A_TIME
        try:
            flat.search(Q, K)
        finally:
            settings.distance_compute_blas_threshold, settings.distance_compute_blas_database_bs = ours

    work = {"gallery": lambda: gallery.search(Q, K), "flat": lambda: flat.search(Q, K), "as it comes": as_it_comes}
    times = take_turns(work, ROUNDS)
    return [str(n), *(f"{1e3 * min(times[name]):.1f}" for name in work)]
