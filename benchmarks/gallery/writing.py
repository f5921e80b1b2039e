"""What writing costs: a million vectors from threads and processes, one commit, the wait of a second writer.

Run as ``python -m benchmarks.gallery.writing [--quick]``; some three minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np

from benchmarks.gallery import results
from benchmarks.gallery.measuring import peak
from retrieval import Gallery
from retrieval.checking import check
from retrieval.table import sized
from vsa import JSONEncoder

DIM, PART, WRITERS = 256, 10_000, 4
COMMITS = 400


def main() -> int:
    """Measure and write the section."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fifty times less, and no file written")
    quick = parser.parse_args().quick
    n = 20_000 if quick else 1_000_000
    bulk = [_bulk("one thread", n, lambda: ThreadPoolExecutor(1)), _bulk("4 threads", n, _threads)]
    bulk.append(_bulk("4 processes", n, _processes))
    head = ["writers", "seconds", "vectors a second", "peak GB of a process", "disk"]
    body = (
        f"{n:,} × {DIM} float32 with a payload each, in calls of {PART:,}, each a transaction of its own; writers "
        f"take turns. The gallery was then checked whole.\n\n{results.table(head, bulk)}\n\n"
        f"{_one_commit(40 if quick else COMMITS)}\n\n{_second_writer(2_000 if quick else 20_000)}"
    )
    if quick:
        print(body)
    else:
        file = Path(__file__).with_name("RESULTS.md")
        results.write(file, "Writing", "python -m benchmarks.gallery.writing", body)
    return 0


def _threads() -> Executor:
    return ThreadPoolExecutor(WRITERS)


def _processes() -> Executor:
    return ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn"))


def _bulk(name: str, n: int, workers: Callable[[], Executor]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g"
        with Gallery.create(path, dim=DIM, timeout=600) as gallery, workers() as pool:
            starts = range(0, n, PART)
            # Starting a process, and its imports, are not writing.
            list(pool.map(_nothing, range(2 * WRITERS)))
            started = time.perf_counter()
            if isinstance(pool, ThreadPoolExecutor):
                peaks = list(pool.map(lambda start: _add(gallery, start), starts))
            else:
                peaks = list(pool.map(_add_there, [str(path)] * len(starts), starts))
            seconds = time.perf_counter() - started
            assert gallery.count() == n
        disk = sum(file.stat().st_size for file in path.iterdir())
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            # It holds all vectors, which would count for the next writers.
            assert apart.submit(check, path).result().sound
    return [name, f"{seconds:.1f}", f"{n / seconds:,.0f}", f"{max(peaks) / 1e3:.2f}", sized(disk)]


def _nothing(number: int) -> None:
    time.sleep(0.1)


def _add_there(path: str, start: int) -> float:
    with Gallery.open(path, timeout=600) as gallery:
        return _add(gallery, start)


def _add(gallery: Gallery, start: int) -> float:
    X = np.random.default_rng(start).standard_normal((PART, DIM), dtype=np.float32)
    rows = range(start, start + PART)
    gallery.add_vectors(rows, X, [{"n": row} for row in rows])
    return peak()


def _one_commit(n: int) -> str:
    """Median times of adding one vector, with the watermark and without, taken in turns."""
    times: dict[bool, list[float]] = {True: [], False: []}
    x = np.ones((1, DIM), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder, Gallery.create(Path(folder) / "g", dim=DIM) as gallery:
        for number in range(n):
            marked = number % 2 == 0
            with contextlib.nullcontext() if marked else patch("retrieval.watermark.write"):
                started = time.perf_counter()
                gallery.add_vectors([number], x)
                times[marked].append(time.perf_counter() - started)
    with_mark, without = (1e3 * statistics.median(times[marked]) for marked in (True, False))
    return (
        f"One vector a call: {with_mark:.2f} ms, of which {with_mark - without:.2f} ms are for the watermark and its "
        f"sync (medians of {n // 2} calls)."
    )


def _second_writer(n: int) -> str:
    """Waits of a writer of single vectors beside one `add` of n records."""
    encoder = JSONEncoder(dim=DIM, seed=1)
    waits: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g"
        with Gallery.create(path, encoder=encoder) as gallery, Gallery.open(path, timeout=600) as other:
            done = threading.Event()

            def write() -> None:
                gallery.add({"id": f"r{row}", "title": f"boat {row} on the sea", "year": row} for row in range(n))
                done.set()

            writer = threading.Thread(target=write)
            started = time.perf_counter()
            writer.start()
            x = np.ones((1, DIM), dtype=np.float32)
            while not done.is_set():
                before = time.perf_counter()
                other.add_vectors([f"single {len(waits)}"], x)
                waits.append(time.perf_counter() - before)
                time.sleep(0.02)
            whole = time.perf_counter() - started
            writer.join()
    return (
        f"Beside one `add` of {n:,} records, {whole:.1f} s: another writer's single vectors took "
        f"{1e3 * statistics.median(waits):.1f} ms in the median and {max(waits):.2f} s at the most "
        f"({len(waits)} of them)."
    )


if __name__ == "__main__":
    sys.exit(main())
