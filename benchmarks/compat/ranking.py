"""CMC and mAP of 100,000 queries over a gallery of 100,000: time, and memory beyond the vectors.

python -m benchmarks.compat.ranking [n]
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from benchmarks.compat.table import unit
from retrieval import metrics

DIM, N_CLASSES = 64, 1000


def main() -> None:
    """Print the figures."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rng = np.random.default_rng(0)
    classes = rng.integers(0, N_CLASSES, n)
    centres = rng.standard_normal((N_CLASSES, DIM), dtype=np.float32)
    X = unit(centres[classes] + np.float32(1.5) * rng.standard_normal((n, DIM), dtype=np.float32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, processor = time.perf_counter(), time.process_time()
    ranking = metrics.rank_by_class(X, X, classes, classes, exclude_same_row=True)
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"- {n} × {n}, d = {DIM}, {N_CLASSES} classes: {wall:.0f} s wall, {processor:.0f} s of one core; memory "
        f"{before / 1e3:.0f} MB before, {peak / 1e3:.0f} MB at the peak; "
        f"all scores at once would be {4e-9 * n * n:.0f} GB; "
        f"CMC@1 {100 * ranking.cmc_at_k(1):.2f}, mAP {100 * ranking.mean_average_precision:.2f}"
    )


if __name__ == "__main__":
    main()
