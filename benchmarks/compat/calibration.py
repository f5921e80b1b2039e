"""Mixed galleries, 30 % and 50 % backfilled: each version's share of the top 10, and mAP.

python -m benchmarks.compat.calibration [n_seeds]
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from benchmarks.compat.data import clinc, lsa
from benchmarks.compat.real_pair import pairs_of
from retrieval import compat, metrics

Scores = npt.NDArray[np.floating]


def measure(
    scores: Scores, native: npt.NDArray[np.bool_], classes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Average precision per query, share of native rows in the top 10, and among the relevant."""
    n = len(scores)
    masked = scores.copy()
    np.fill_diagonal(masked, -np.inf)
    order = np.argsort(-masked, axis=1, kind="stable")[:, : n - 1]
    relevant = classes[order] == classes[:, None]
    found = np.cumsum(relevant, axis=1) / np.arange(1, n)
    precision = (found * relevant).sum(axis=1) / relevant.sum(axis=1)
    return precision, float(native[order[:, :10]].mean()), float(native[order][relevant].mean())


def main() -> None:
    """Run all seeds and print the table."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    data = clinc()
    rows: dict[tuple[str, float, str], list[tuple[npt.NDArray[np.float64], float, float]]] = defaultdict(list)
    for seed in range(n_seeds):
        p = pairs_of(data, *lsa(data.train_texts, data.test_texts, 128, seed))
        gallery_map = compat.LocalLinearMap.fit(source=p.old, target=p.new, seed=seed)
        query_map = compat.LocalLinearMap.fit(source=p.new, target=p.old, seed=seed)
        scores = {
            "gallery": p.new_test @ gallery_map.transform(p.old_test).T,
            "query": query_map.transform(p.new_test) @ p.old_test.T,
        }
        calibrated = {
            "gallery": compat.Calibration.of(gallery_map, "gallery", seed=seed).apply(scores["gallery"]),
            "query": compat.Calibration.of(query_map, "query", seed=seed).apply(scores["query"]),
        }
        for share in (0.3, 0.5):
            native = np.random.default_rng(seed).random(len(p.classes)) < share
            for role in ("gallery", "query"):
                for name, mapped in (("raw", scores[role]), ("calibrated", calibrated[role])):
                    mixed = np.where(native, p.new_test @ p.new_test.T, mapped)
                    rows[role, share, name].append(measure(mixed, native, p.classes))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    print(f"\n### Calibration, LSA-128 → MiniLM-384, mixed gallery ({n_seeds} seeds)\n")
    print("| map, backfilled | scores | native in top 10 | of relevant | worst gap, points | mAP | − raw [95 %] |")
    print("|---|---|---|---|---|---|---|")
    for (role, share, name), runs in rows.items():
        precision = 100 * np.mean([run[0] for run in runs], axis=0)
        raw = 100 * np.mean([run[0] for run in rows[role, share, "raw"]], axis=0)
        d = metrics.paired_bootstrap(precision, raw)
        top, relevant = (np.mean([run[i] for run in runs]) for i in (1, 2))
        worst = max(abs(run[1] - run[2]) for run in runs)
        change = "" if name == "raw" else f"{d.estimate:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
        print(
            f"| {role} map, {share:.0%} | {name} | {100 * top:.1f} % | {100 * relevant:.1f} % "
            f"| {100 * worst:.1f} | {precision.mean():.2f} | {change} |"
        )


if __name__ == "__main__":
    main()
