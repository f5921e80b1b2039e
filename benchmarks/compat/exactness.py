"""The isometry: self-scores and top-k, orthogonality, round trip, and time and memory of a large fit.

python -m benchmarks.compat.exactness [n_seeds]
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
from scipy.linalg import orthogonal_procrustes

from benchmarks.compat.data import clinc, lsa
from retrieval import compat


def large_fit() -> None:
    """100,000 pairs at d = 768, beside SciPy on the same float64 arrays."""
    rng = np.random.default_rng(0)
    source = rng.standard_normal((100_000, 768), dtype=np.float32)
    target = source[:, ::-1] + rng.standard_normal((100_000, 768), dtype=np.float32)
    start = time.perf_counter()
    compat.Isometry.fit(source=source, target=target)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"- 100,000 pairs, d = 768: {seconds:.1f} s; peak of the process {peak:.2f} GB, .61 GB of it the arrays")
    start = time.perf_counter()
    orthogonal_procrustes(source.astype(np.float64), target.astype(np.float64))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"- peer, scipy.linalg.orthogonal_procrustes in float64: {seconds:.1f} s; peak {peak:.2f} GB", flush=True)


def orthogonality() -> None:
    """‖QᵀQ − I‖max and the float64 round trip, by dims."""
    for d in (128, 384, 768, 1024, 2048):
        rng = np.random.default_rng(d)
        source = rng.standard_normal((2 * d, d))
        start = time.perf_counter()
        m = compat.Isometry.fit(source=source, target=source[:, ::-1] + rng.standard_normal((2 * d, d)))
        seconds = time.perf_counter() - start
        error = np.abs(m.rotation.T @ m.rotation - np.eye(d)).max()
        trip = np.abs(m.inverse(m.transform(source[:500])) - source[:500]).max()
        print(f"| {d} | {error:.1e} | {trip:.1e} | {seconds:.1f} |", flush=True)


def self_scores(n_seeds: int) -> None:
    """MiniLM rotated towards LSA: its own scores and top 10 must not change."""
    data = clinc()
    test = data.test_minilm.astype(np.float64)
    worst, differ = 0.0, 0
    for seed in range(n_seeds):
        old, _ = lsa(data.train_texts, data.test_texts, 128, seed)
        # Texts without any known word have no LSA vector.
        known = np.linalg.norm(old, axis=1) > 0
        m = compat.Isometry.fit(source=data.train_minilm[known], target=old[known])
        mapped = m.transform(data.test_minilm)
        before, after = test @ test.T, mapped.astype(np.float64) @ mapped.T.astype(np.float64)
        worst = max(worst, float(np.abs(before - after).max()))
        for scores in (before, after):
            np.fill_diagonal(scores, -np.inf)
        ranked = [np.argsort(-scores, axis=1, kind="stable")[:, :10] for scores in (before, after)]
        for row in np.flatnonzero((ranked[0] != ranked[1]).any(axis=1)):
            # Two items whose true scores agree to rounding may change places; anything else is a failure.
            a, b = before[row, ranked[0][row]], before[row, ranked[1][row]]
            differ += int(np.abs(a - b).max() > 1e-7)
    print(f"- self-scores, worst of {n_seeds} × 4,500²: {worst:.1e}; queries with another top 10: {differ}")


def main() -> None:
    """Print all figures."""
    large_fit()
    self_scores(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
    print("\n| d | max abs of QᵀQ − I | round trip, float64 | fit of 2 d pairs, s |\n|---|---|---|---|")
    orthogonality()


if __name__ == "__main__":
    main()
