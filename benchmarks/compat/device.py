"""Maps between models on a GPU: time, and agreement with the CPU.

    python -m benchmarks.compat.device [n_vectors]

Needs a GPU that PyTorch can use. 384 to 384 dimensions, 20,000 pairs, vectors made from a seed.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import numpy as np
import torch

from benchmarks.compat.table import unit
from retrieval import compat

N_PAIRS, DIM, SAMPLE, ROUNDS = 20_000, 384, 20_000, 5


def main() -> None:
    """Print the figures."""
    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((300, DIM), dtype=np.float32)
    made = centres[rng.integers(0, 300, N_PAIRS + n)]
    made += 0.7 * rng.standard_normal(made.shape, dtype=np.float32)
    made = unit(made)
    bend = rng.standard_normal((DIM, DIM), dtype=np.float32)
    source, stored = made[:N_PAIRS], made[N_PAIRS:]
    target = unit(np.tanh(2 * source @ bend))
    rotation = compat.Isometry.fit(source=source, target=target)
    local = compat.LocalLinearMap.fit(source=source, target=target)
    there = torch.from_numpy(stored).cuda()
    print(f"{torch.cuda.get_device_name(0)}, {os.cpu_count()} cores; torch {torch.__version__}\n")
    print(f"| map | CPU, s a million | GPU, s a million | × the CPU | farthest numbers apart, of {SAMPLE:,} rows |")
    print("|---|---|---|---|---|")
    sample = stored[:SAMPLE]
    for name, m, options in (
        ("isometry", rotation, {}),
        ("local-linear, all pairs compared", local, {"neighbours": "exact", "workers": os.cpu_count() or 1}),
    ):
        started = time.perf_counter()
        mapped = m.transform(sample, **options)
        on_cpu = (time.perf_counter() - started) / SAMPLE * 1e6
        off = float(np.abs(m.transform_tensor(there[:SAMPLE]).cpu().numpy() - mapped).max())
        times = []
        for _ in range(ROUNDS):
            torch.cuda.synchronize()
            started = time.perf_counter()
            m.transform_tensor(there)
            torch.cuda.synchronize()
            times.append((time.perf_counter() - started) / n * 1e6)
        on_gpu = statistics.median(times)
        print(f"| {name} | {on_cpu:.1f} | {on_gpu:.2f} | {on_cpu / on_gpu:.0f} | {off:.1e} |", flush=True)


if __name__ == "__main__":
    main()
