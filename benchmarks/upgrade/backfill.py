"""Orders to backfill in, and a series of three models, on CLINC150.

OMP_NUM_THREADS=1 python -m benchmarks.upgrade.backfill [n_seeds]

LSA-128 → MiniLM, 12,000 pairs drawn by the seed; query set = gallery = the test set, the item itself left out; mAP
of the mixed search with calibrated scores. A row's gain is what it adds if it is re-encoded: orders know
- *uncertain*: the map's spread, no label and no new vector (what `Gallery.backfill` does);
- *class means*: the row's class, and how far its mapped vector is from the mean of the new vectors of that class;
- *true error*: how far its mapped vector is from its new vector;
- *oracle*: its new vector and all labels: how much re-encoding it raises the scores of queries of its class
  against those of others.
"""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from benchmarks.compat.data import clinc, lsa
from benchmarks.compat.table import Array
from benchmarks.upgrade.scenarios import Codes, views
from retrieval import Upgrade, metrics

N_PAIRS = 12_000
SHARES = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
PerQuery = npt.NDArray[np.float64]


def precisions(scores: Array, classes: Codes) -> PerQuery:
    """Average precision of each row of a square matrix of scores, itself left out; NaN without a class-mate.

    Of equal scores the earlier item comes first, as in `retrieval.metrics`.
    """
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    ordered = np.sort(scores, axis=1)
    found = np.full(len(scores), np.nan)
    for i, row in enumerate(scores):
        wanted = np.flatnonzero(classes == classes[i])
        wanted = wanted[wanted != i]
        if not len(wanted):
            continue
        above = len(row) - np.searchsorted(ordered[i], row[wanted], side="right")
        equal = len(row) - above - np.searchsorted(ordered[i], row[wanted], side="left")
        for j in np.flatnonzero(equal > 1):
            above[j] += np.count_nonzero(row[: wanted[j]] == row[wanted[j]])
        found[i] = np.mean(np.arange(1, len(wanted) + 1) / (np.sort(above) + 1))
    return found


def areas(curve: list[PerQuery]) -> PerQuery:
    """Area under each query's curve."""
    return sum((b - a) * (u + v) / 2 for (a, b), (u, v) in zip(pairwise(SHARES), pairwise(curve), strict=True))


def orders(
    upgrade: Upgrade, old: Array, new: Array, classes: Codes, means: Array, scores: tuple[Array, Array], seed: int
) -> dict[str, Codes]:
    """All orders, first to be re-encoded first."""
    mapped = upgrade.map_gallery(old)
    native, crossed = scores
    same = (classes[:, None] == classes).astype(np.float32)
    np.fill_diagonal(same, 0)
    gain = native - crossed
    np.fill_diagonal(gain, 0)
    own = (gain * same).sum(axis=0) / same.sum(axis=0)
    others = (gain * (1 - same)).sum(axis=0) / (1 - same).sum(axis=0)
    return {
        "uncertain": np.argsort(-mapped.spread, kind="stable"),
        "random": np.random.default_rng(seed).permutation(len(old)),
        "class means": np.argsort(np.einsum("ij,ij->i", mapped.vectors, means[classes]), kind="stable"),
        "true error": np.argsort(np.einsum("ij,ij->i", mapped.vectors, new), kind="stable"),
        "oracle": np.argsort(others - own, kind="stable"),
    }


def one_seed(seed: int) -> dict[str, list[PerQuery]]:
    """The curve of every order: average precision a query at each share."""
    data = clinc()
    v = views(
        lsa(data.train_texts, data.test_texts, 128, seed),
        (data.train_minilm, data.test_minilm),
        (data.train_classes, data.test_classes),
    ).kept(N_PAIRS, seed)
    upgrade = Upgrade.fit(v.old, v.new, kinds=["gallery"], seed=seed)
    native = v.new_gallery @ v.new_gallery.T
    crossed = upgrade.calibration.apply(v.new_gallery @ upgrade.map_gallery(v.old_gallery).vectors.T)
    means = np.stack([v.new[v.classes == c].mean(axis=0) for c in range(150)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    ends = precisions(crossed, v.gallery_classes), precisions(native, v.gallery_classes)
    curves = {}
    known = orders(upgrade, v.old_gallery, v.new_gallery, v.gallery_classes, means, (native, crossed), seed)
    for name, order in known.items():
        between = []
        for share in SHARES[1:-1]:
            encoded = np.zeros(len(order), dtype=np.bool_)
            encoded[order[: round(share * len(order))]] = True
            between.append(precisions(np.where(encoded, native, crossed), v.gallery_classes))
        curves[name] = [ends[0], *between, ends[1]]
    return curves


def share_of_gain(area: dict[str, PerQuery], best: str) -> metrics.Interval:
    """(uncertain − random) / (best − random) of the mean areas, and its bootstrap interval over queries."""
    rng = np.random.default_rng(0)
    n = len(area["random"])
    sides = np.stack([area["uncertain"] - area["random"], area[best] - area["random"]])
    drawn = np.stack([sides[:, rng.integers(0, n, n)].mean(axis=1) for _ in range(2000)])
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    means = sides.mean(axis=1)
    return metrics.Interval(float(means[0] / means[1]), float(low), float(high), 0.95)


def series() -> None:
    """LSA-64 → LSA-128 → MiniLM in one gallery: every later model's queries on every earlier model's rows."""
    data = clinc()
    sides = [lsa(data.train_texts, data.test_texts, dim, 0) for dim in (64, 128)]
    sides.append((data.train_minilm, data.test_minilm))
    train, test = ((np.stack([np.linalg.norm(s[i], axis=1) for s in sides]) > 0).all(axis=0) for i in (0, 1))
    names = ["LSA-64", "LSA-128", "MiniLM"]
    pairs, stored = ([s[i][keep] for s in sides] for i, keep in ((0, train), (1, test)))
    classes = data.test_classes[test]

    def fit(i: int, j: int) -> Upgrade:
        return Upgrade.fit(pairs[i], pairs[j], kinds=["gallery"], old_model=names[i], new_model=names[j])

    def measure(queries: Array, gallery: Array) -> tuple[float, float]:
        found = metrics.rank_by_class(queries, gallery, classes, classes, exclude_same_row=True)
        return 100 * found.cmc_at_k(1), 100 * found.mean_average_precision

    steps = {(0, 1): fit(0, 1), (1, 2): fit(1, 2)}
    ways = {"direct": fit(0, 2), "chained": Upgrade.chain(steps[0, 1], steps[1, 2])}
    print("\n### Three models in one gallery: CMC@1 / mAP of queries (rows) on galleries (columns), gallery maps\n")
    print("| queries by | LSA-64 rows | LSA-128 rows | MiniLM rows |\n|---|---|---|---|")
    rates, far = {}, {}
    for way, upgrade in ways.items():
        matrices = np.zeros((2, 3, 3))
        for i in range(3):
            cells = []
            for j in range(i + 1):
                via = steps.get((j, i), upgrade)
                gallery = stored[i] if i == j else via.map_gallery(stored[j]).vectors
                matrices[:, i, j] = measure(stored[i], gallery)
                cells.append(f"{matrices[0, i, j]:.1f} / {matrices[1, i, j]:.1f}")
            if way == "direct" or i == 2:
                label = f"{names[i]}, {way}" if i == 2 else names[i]
                print(f"| {label} | {' | '.join([*cells, '', ''][:3])} |", flush=True)
        rates[way] = [metrics.compatibility_rate(m) for m in matrices]
        far[way] = matrices[1, 2, 0]
    for way, (cmc, precision) in rates.items():
        print(f"\n- AC over the series, LSA-64 → MiniLM {way}: {cmc:.2f} by CMC@1, {precision:.2f} by mAP")
    print(f"- chained map's mAP over the direct map's: {far['chained'] / far['direct']:.3f}")


def main() -> None:
    """Print all tables."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    runs = []
    for seed in range(n_seeds):
        runs.append(one_seed(seed))
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    curves = {
        name: [100 * np.mean([run[name][i] for run in runs], axis=0) for i in range(len(SHARES))] for name in runs[0]
    }
    area = {name: areas(curve) for name, curve in curves.items()}
    print(f"\n### Backfill, LSA-128 → MiniLM, mAP at each share re-encoded ({n_seeds} seeds)\n")
    print(f"| order | {' | '.join(f'{s:.0%}' for s in SHARES)} | area | area − random [95 %] |")
    print(f"|{'---|' * (len(SHARES) + 3)}")
    for name, curve in curves.items():
        d = metrics.paired_bootstrap(area[name], area["random"])
        gain = "" if name == "random" else f"{d.estimate:+.2f} [{d.low:+.2f}, {d.high:+.2f}]"
        print(f"| {name} | {' | '.join(f'{c.mean():.1f}' for c in curve)} | {area[name].mean():.2f} | {gain} |")
    for best in ("true error", "oracle"):
        share = share_of_gain(area, best)
        print(
            f"\n- of the gain of {best} over random, uncertain takes {100 * share.estimate:.0f} % "
            f"[{100 * share.low:.0f}, {100 * share.high:.0f}]"
        )
    series()


if __name__ == "__main__":
    main()
