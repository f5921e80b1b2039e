"""Time and memory as records grow from 1,000 to 69,202: each row a process of its own.

    python -m benchmarks.vsa.growth [--rounds N] [--modes MODE ...]

`cold` encodes lines with a new encoder; `again` encodes the same lines a second time, with the default cache and with
one of 4 GiB. Vectors are dropped, a thousand at a time, so that the memory is the encoder's alone: the peak less what
the process held before it met its first line. Rounds take turns; medians, and the largest peak. The processor's time
says how the work grows, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import vsa
from benchmarks.gallery.measuring import peak
from benchmarks.gallery.results import table
from benchmarks.vsa.data import find
from benchmarks.vsa.machine import described

DIM = 1024
SIZES = (1_000, 10_000, 69_202)
PIECE = 1000
DEFAULT, LARGE = 384 << 20, 4 << 30
# Whether the lines were met before, and the cache.
MODES = {"cold": (False, DEFAULT), "again": (True, DEFAULT), "again, 4 GiB": (True, LARGE)}


def pieces(lines: list[bytes]) -> Iterator[bytes]:
    """The lines, a thousand at a time."""
    for at in range(0, len(lines), PIECE):
        yield b"".join(lines[at : at + PIECE])


def measure(size: int, mode: str) -> dict[str, float]:
    """Seconds by the clock and of the processor, and mebibytes above what this process held before."""
    again, cache = MODES[mode]
    with gzip.open(find("tate/artworks.jsonl.gz")) as file:
        lines = list(itertools.islice(file, size))
    small = vsa.JSONEncoder(16)
    for _ in range(3):  # imports, and compiles or loads what reads, learns and sums lines
        small.encode_jsonl(b"".join(b'{"a": {"b": [%d, 1, "x%d"]}}\n' % (i, i) for i in range(1000)))
    encoder = vsa.JSONEncoder(DIM, seed=7, cache_bytes=cache)
    before = peak()  # what is resident now may lack pages of libraries that the system has taken back
    if again:
        for piece in pieces(lines):
            encoder.encode_jsonl(piece)
    started, worked = time.perf_counter(), time.process_time()
    for piece in pieces(lines):
        encoder.encode_jsonl(piece)
    return {
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - worked,
        "mebibytes": (peak() - before) * 1000 / 1024,
    }


def in_a_process(size: int, mode: str) -> dict[str, float]:
    """`measure`, in a new process."""
    words = [sys.executable, "-m", "benchmarks.vsa.growth", "--one", str(size), mode]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vsa.growth", description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES), metavar="MODE")
    parser.add_argument("--one", nargs=2, metavar=("SIZE", "MODE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(int(given.one[0]), given.one[1])))
        return
    print(described(("numpy", "torch", "orjson", "numba")) + "\n", flush=True)
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    for _ in range(given.rounds):
        for mode, size in itertools.product(given.modes, SIZES):
            found.setdefault((mode, size), []).append(in_a_process(size, mode))
    rows = []
    for mode in given.modes:
        cache = MODES[mode][1]
        first = 0.0
        for size in SIZES:
            taken, worked = (
                statistics.median(one[kind] for one in found[mode, size]) for kind in ("seconds", "processor")
            )
            first = first or worked / size
            peaks = [one["mebibytes"] for one in found[mode, size]]
            rows.append(
                [
                    mode, f"{cache >> 20:,}", f"{size:,}", f"{taken:.2f}", f"{worked:.2f}",
                    f"{1e6 * worked / size:,.0f}", f"{worked / size / first:.2f}",
                    f"{statistics.median(peaks):,.0f}", f"{max(peaks):,.0f}",
                ]
            )  # fmt: skip
    head = [
        "lines", "cache, MiB", "records", "s", "processor, s", "processor, µs a record", f"against {SIZES[0]:,}",
        "peak above the start, MiB", "largest",
    ]  # fmt: skip
    print(f"Tate lines, dim {DIM}, vectors dropped; {given.rounds} rounds.\n")
    print(table(head, rows))


if __name__ == "__main__":
    main()
