"""Lines to vectors with the table on a GPU, beside the CPU.

    python -m benchmarks.vsa.device

Needs a GPU that PyTorch can use. Warm encoders, rounds that take turns, medians.
"""

from __future__ import annotations

import gzip
import itertools
import statistics
from functools import partial

import numpy as np
import orjson
import torch

import vsa
from benchmarks.gallery.measuring import ROUNDS, take_turns
from benchmarks.gallery.results import table
from benchmarks.vsa.data import find
from benchmarks.vsa.machine import described

DIMS, LINES = (1024, 4096), 1_500


def main() -> None:
    """Print the table."""
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    with gzip.open(find("tate/artworks.jsonl.gz")) as file:
        lines = list(itertools.islice(file, LINES))
    records = [orjson.loads(line) for line in lines]
    rows = []
    for dim in DIMS:
        host = vsa.JSONEncoder(dim, seed=7, cache_bytes=1 << 30)
        device = vsa.JSONEncoder(dim, seed=7, cache_bytes=1 << 30, device="cuda")
        work = {
            "CPU": partial(host.encode, records),
            "GPU, vectors to the host": partial(device.encode, records),
            "GPU, a tensor there": lambda device=device: (
                device.encode(records, as_torch=True),
                torch.cuda.synchronize(),
            ),
        }
        off = float(np.abs(host.encode(records) - device.encode(records)).max())
        times = take_turns(work)
        for name in work:
            rate = len(records) / statistics.median(times[name])
            times_cpu = statistics.median(a / b for a, b in zip(times["CPU"], times[name], strict=True))
            rows.append([str(dim), name, f"{rate:,.0f}", f"{times_cpu:.2f}", "" if name == "CPU" else f"{off:.1e}"])
    print(f"{torch.cuda.get_device_name(0)}; {LINES:,} Tate records, parsed beforehand; medians of {ROUNDS} rounds.\n")
    print(table(["dim", "table and sums", "records/s", "× the CPU", "farthest from the CPU's numbers"], rows))
    print(f"\n{described(('numpy', 'torch', 'orjson', 'numba'))}")


if __name__ == "__main__":
    main()
