"""A million vectors of dim 384 switched to another model: time, memory and disk.

    OMP_NUM_THREADS=2 python -m benchmarks.upgrade.million [--items N] [--pairs N] [--folder DIR]

Made vectors in 2,000 clusters, and a new model that is a bent image of them with noise. The map is a local one from
5,000 pairs, which rewrites every stored vector. Peak memory is that of the process that applies the upgrade, which
makes nothing else.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery.results import table, write
from retrieval import Gallery, Upgrade

RESULTS = Path(__file__).with_name("RESULTS.md")
DIM = 384
_CLUSTERS = 2000
_BATCH = 50_000


class World:
    """Vectors of both models for the same items."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._centres = rng.standard_normal((_CLUSTERS, DIM)).astype(np.float32)
        self._bend = rng.standard_normal((DIM, DIM)).astype(np.float32) / np.float32(np.sqrt(DIM))

    def items(self, n: int, seed: int) -> tuple[Any, Any]:
        """Old and new vectors of n items, (n, 384) float32."""
        rng = np.random.default_rng(seed)
        hidden = self._centres[rng.integers(0, _CLUSTERS, n)] + rng.standard_normal((n, DIM), dtype=np.float32)
        new = np.tanh(hidden @ self._bend) + np.float32(0.2) * rng.standard_normal((n, DIM), dtype=np.float32)
        return hidden, new


def switch(folder: str, path: str, measured: Any) -> None:
    """Apply, in a process of its own."""
    upgrade = Upgrade.load(path)
    with Gallery.open(folder) as gallery:
        start = time.perf_counter()
        gallery.apply(upgrade, progress=False)
        seconds = time.perf_counter() - start
    measured.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9))


def main() -> None:
    """Measure and write the section."""
    parser = argparse.ArgumentParser(description="A million vectors switched to another model.")
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5_000)
    parser.add_argument("--folder", type=Path, help="where to put the gallery, some 4 GB; by default a temporary one")
    arguments = parser.parse_args()
    world = World()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as base:
        folder, path = str(Path(base) / "gallery"), str(Path(base) / "upgrade")
        start = time.perf_counter()
        with Gallery.create(folder, dim=DIM, model="v1") as gallery:
            for first in range(0, arguments.items, _BATCH):
                n = min(_BATCH, arguments.items - first)
                gallery.add_vectors([str(first + i) for i in range(n)], world.items(n, first + 1)[0])
        added = time.perf_counter() - start
        start = time.perf_counter()
        old, new = world.items(arguments.pairs, 0)
        upgrade = Upgrade.fit(old, new, old_model="v1", new_model="v2", kinds=["gallery"])
        upgrade.save(path)
        fitted = time.perf_counter() - start
        spawning = multiprocessing.get_context("spawn")
        measured = spawning.Queue()
        worker = spawning.Process(target=switch, args=(folder, path, measured))
        worker.start()
        seconds, peak = measured.get()
        worker.join()
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e9
    solved = upgrade.evidence is not None and upgrade.evidence.random.method == "solve"
    body = table(
        ["items", "pairs", "map", "add", "fit", "apply", "items a second", "peak memory of apply", "gallery after"],
        [
            [
                f"{arguments.items:,}",
                f"{arguments.pairs:,}",
                "kernel ridge" if solved else "kernel-weighted mean",
                f"{added:.0f} s",
                f"{fitted:.0f} s",
                f"{seconds:.0f} s",
                f"{arguments.items / seconds:,.0f}",
                f"{peak:.2f} GB",
                f"{size:.1f} GB",
            ]
        ],
    )
    title = f"A million vectors switched by {arguments.pairs:,} pairs"
    write(RESULTS, title, f"python -m benchmarks.upgrade.million --pairs {arguments.pairs}", body)


if __name__ == "__main__":
    main()
