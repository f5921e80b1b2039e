"""A gallery that grows to a million vectors: time and memory at each size. Takes some ten minutes."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.gallery import results
from benchmarks.gallery.data import DIM, Array, clustered
from benchmarks.gallery.measuring import interval, peak, resident, shares
from retrieval import Gallery, gpu
from retrieval.table import sized

K, PART, QUERIES = 10, 10_000, 200
SIZES = (10_000, 100_000, 1_000_000)
MEMORY = 300_000_000


def title() -> str:
    """The section's name: figures from a machine with a GPU, which "auto" takes, stand beside the others."""
    return "A million vectors, where a GPU is" if gpu.count() else "A million vectors"


def run(quick: bool) -> str:
    """The section's text. Vectors wait in a file, so that the memory is the gallery's."""
    sizes = SIZES[:2] if quick else SIZES
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "X.npy"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            apart.submit(_draw, file, sizes[-1] + QUERIES).result()
        Q = _rows(file, sizes[-1], sizes[-1] + QUERIES)
        start = 0
        with Gallery.create(Path(folder) / "g", dim=DIM) as gallery:
            for size in sizes:
                started = time.perf_counter()
                while start < size:
                    stop = min(start + PART, size)
                    part = _rows(file, start, stop)
                    gallery.add_vectors(range(start, stop), part, [{"n": row} for row in range(start, stop)])
                    start = stop
                adding = time.perf_counter() - started
                started = time.perf_counter()
                plan = gallery.optimize(0.95, K, memory=MEMORY, progress=False)
                optimizing = time.perf_counter() - started
                gallery.search(Q, K)
                started = time.perf_counter()
                found = gallery.search(Q, K)
                spent = time.perf_counter() - started
                truth = _truth(file, size, Q)
                disk = sum(file.stat().st_size for file in gallery.path.iterdir())
                rows.append(
                    [
                        f"{size:,}",
                        f"{adding:.1f}",
                        f"{optimizing:.0f}",
                        f"{plan.factory} on {plan.device}",
                        interval(shares(found.ids.astype(np.int64), truth)),
                        f"{len(Q) / spent:,.0f}",
                        f"{resident() / 1e3:.2f}",
                        f"{peak() / 1e3:.2f}",
                        sized(disk),
                    ]
                )
                print(rows[-1], plan, sep="\n", flush=True)
    head = ["vectors", "add s", "optimize s", "index", f"recall@{K} [95 %]", "queries/s", "RSS GB", "peak GB", "disk"]
    return (
        f"Clustered, dim {DIM}, added by {PART:,}; each line adds to the one before, and optimizes anew "
        f"with `memory={MEMORY:,}`. {len(Q)} queries in a batch, payloads included.\n\n{results.table(head, rows)}"
    )


def _draw(file: Path, n: int) -> None:
    np.save(file, clustered(n))


def _rows(file: Path, start: int, stop: int) -> Array:
    """Some rows of the file; a map of the whole, kept open, would count as memory of the gallery."""
    return np.array(np.load(file, mmap_mode="r")[start:stop])


def _truth(file: Path, n: int, Q: Array) -> np.ndarray:
    """By parts, so that memory stays small."""
    best = np.full((len(Q), K), -np.inf, dtype=np.float32)
    rows = np.zeros((len(Q), K), dtype=np.int64)
    for start in range(0, n, 50_000):
        products = Q @ _rows(file, start, min(start + 50_000, n)).T
        part = np.argpartition(-products, K, axis=1)[:, :K]
        scores = np.concatenate([best, np.take_along_axis(products, part, axis=1)], axis=1)
        rows = np.concatenate([rows, part + start], axis=1)
        chosen = np.argsort(-scores, axis=1)[:, :K]
        best, rows = np.take_along_axis(scores, chosen, axis=1), np.take_along_axis(rows, chosen, axis=1)
    return rows
