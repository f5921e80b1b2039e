"""LSA-128 → MiniLM-384 and MBAT → MiniLM-384 on CLINC150: maps from all pairs, 2,000 pairs, open classes.

python -m benchmarks.compat.real_pair [n_seeds] [lsa|mbat]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import vsa
from benchmarks.compat.data import Clinc, clinc, lsa
from benchmarks.compat.table import Array, Table, unit
from retrieval import compat
from retrieval.compat.fitting import SOLVED_UP_TO

FEW = 2000
CHOSEN = "chosen by leave-one-out, gallery map"
MBAT_DIM = 1024


@dataclass(frozen=True, eq=False)
class Pairs:
    """Train rows of both models, their classes for the open split only, and the test rows."""

    old: Array
    new: Array
    train_classes: npt.NDArray[np.int64]
    old_test: Array
    new_test: Array
    classes: npt.NDArray[np.int64]


def kernel_ridge(source: Array, target: Array, queries: Array) -> Array:
    """Peer: kernel ridge regression, k(x, z) = x·z + exp((x·z − 1) / .4), λ = .3, over all pairs at once."""

    def k(A: Array, B: Array) -> npt.NDArray[np.float64]:
        s = A.astype(np.float64) @ B.T
        return s + np.exp((s - 1) / 0.4)

    mean = target.mean(axis=0)
    weights = np.linalg.solve(k(source, source) + 0.3 * np.eye(len(source)), target - mean)
    return unit(k(queries, source) @ weights + mean)


def spread_out(rows: Array, n: int, seed: int) -> npt.NDArray[np.int64]:
    """Choose pairs by k-means on the old vectors alone: the row nearest each of n centres."""
    rng = np.random.default_rng(seed)
    centres = rows[rng.permutation(len(rows))[:n]].copy()
    for _ in range(6):
        nearest = np.concatenate([np.argmax(part @ centres.T, axis=1) for part in np.array_split(rows, 16)])
        for cell in range(n):
            members = rows[nearest == cell]
            if len(members):
                centres[cell] = members.mean(axis=0) / np.linalg.norm(members.mean(axis=0))
    return np.unique(np.concatenate([np.argmax(part @ rows.T, axis=1) for part in np.array_split(centres, 8)]))


def closed_form(table: Table, p: Pairs, rows: npt.NDArray[np.int64], label: str, seed: int) -> None:
    """Fit Procrustes, ridge and the local-linear maps on some of the pairs; add them to the table."""
    old, new = p.old[rows], p.new[rows]
    table.add(
        f"Procrustes, gallery map{label}",
        p.new_test,
        compat.Isometry.fit(source=old, target=new).transform(p.old_test),
        p.classes,
    )
    gallery_map = compat.LocalLinearMap.fit(source=old, target=new, seed=seed, method="mean")
    ridge = unit(gallery_map.target_mean + (p.old_test - gallery_map.source_mean) @ gallery_map.weights)
    table.add(f"ridge, gallery map{label}", p.new_test, ridge, p.classes)
    table.add(f"kernel mean, gallery map{label}", p.new_test, gallery_map.transform(p.old_test), p.classes)
    by_cells = gallery_map.transform(p.old_test, neighbours="cells")
    table.add(f"kernel mean by cells, gallery map{label}", p.new_test, by_cells, p.classes)
    query_map = compat.LocalLinearMap.fit(source=new, target=old, seed=seed)
    table.add(f"kernel mean, query map{label}", query_map.transform(p.new_test), p.old_test, p.classes)
    if len(old) > SOLVED_UP_TO:
        return
    gallery_map = compat.LocalLinearMap.fit(source=old, target=new, seed=seed, method="auto")
    table.add(f"chosen by leave-one-out, gallery map{label}", p.new_test, gallery_map.transform(p.old_test), p.classes)
    query_map = compat.LocalLinearMap.fit(source=new, target=old, seed=seed, method="auto")
    table.add(f"chosen by leave-one-out, query map{label}", query_map.transform(p.new_test), p.old_test, p.classes)


def baselines(table: Table, p: Pairs) -> None:
    """Add the old and the new model by themselves."""
    table.add("old/old", p.old_test, p.old_test, p.classes)
    table.add("new/new", p.new_test, p.new_test, p.classes)


def pairs_of(data: Clinc, old: Array, old_test: Array) -> Pairs:
    """Drop the few texts without any known word, which have no old vector."""
    train, test = (np.linalg.norm(part, axis=1) > 0 for part in (old, old_test))
    return Pairs(
        old[train],
        data.train_minilm[train],
        data.train_classes[train],
        old_test[test],
        data.test_minilm[test],
        data.test_classes[test],
    )


def lsa_tables(data: Clinc, n_seeds: int) -> None:
    """LSA → MiniLM, with the classes of the queries among those of the pairs, and open."""
    whole = Table("LSA-128 → MiniLM-384, 15,000 pairs and 2,000")
    opened = Table(
        "LSA-128 → MiniLM-384, open classes: pairs from 100 intents, test on the other 50", same_queries=False
    )
    for seed in range(n_seeds):
        rng = np.random.default_rng(seed)
        p = pairs_of(data, *lsa(data.train_texts, data.test_texts, 128, seed))
        few = rng.permutation(len(p.old))[:FEW]
        paired = rng.permutation(150)[:100]
        baselines(whole, p)
        closed_form(whole, p, np.arange(len(p.old)), "", seed)
        closed_form(whole, p, few, f", {FEW} pairs", seed)
        peer = kernel_ridge(p.old[few], p.new[few], p.old_test)
        whole.add(f"peer: one kernel ridge, gallery map, {FEW} pairs", p.new_test, peer, p.classes)
        chosen = spread_out(p.old, FEW, seed)
        m = compat.LocalLinearMap.fit(source=p.old[chosen], target=p.new[chosen], seed=seed, method="auto")
        mapped = m.transform(p.old_test)
        whole.add(f"{CHOSEN}, ≤ {FEW} pairs by k-means", p.new_test, mapped, p.classes)
        test = ~np.isin(p.classes, paired)
        q = Pairs(p.old, p.new, p.train_classes, p.old_test[test], p.new_test[test], p.classes[test])
        baselines(opened, q)
        open_rows = np.flatnonzero(np.isin(p.train_classes, paired))
        closed_form(opened, q, open_rows, "", seed)
        closed_form(opened, q, rng.permutation(open_rows)[:FEW], f", {FEW} pairs", seed)
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    whole.show("old/old")
    share_of_full(whole)
    whole.compare(f"{CHOSEN}, {FEW} pairs", f"kernel mean, gallery map, {FEW} pairs")
    whole.compare(f"{CHOSEN}, {FEW} pairs", f"peer: one kernel ridge, gallery map, {FEW} pairs")
    opened.show("old/old")
    opened.compare(f"{CHOSEN}, {FEW} pairs", f"kernel mean, gallery map, {FEW} pairs")


def mbat_table(data: Clinc, n_seeds: int) -> None:
    """MBAT vectors of the utterances → MiniLM."""
    mbat = Table(f"MBAT-{MBAT_DIM} → MiniLM-384, 15,000 pairs and 2,000")
    for seed in range(n_seeds):
        encoder = vsa.JSONEncoder(dim=MBAT_DIM, seed=seed)
        vectors = [encoder.encode({"text": t} for t in texts) for texts in (data.train_texts, data.test_texts)]
        p = pairs_of(data, vectors[0], vectors[1])
        few = np.random.default_rng(seed).permutation(len(p.old))[:FEW]
        baselines(mbat, p)
        closed_form(mbat, p, np.arange(len(p.old)), "", seed)
        closed_form(mbat, p, few, f", {FEW} pairs", seed)
        print(f"seed {seed} done", file=sys.stderr, flush=True)
        mbat.show("old/old")
    share_of_full(mbat)
    mbat.compare(f"{CHOSEN}, {FEW} pairs", f"kernel mean, gallery map, {FEW} pairs")


def main() -> None:
    """Run all seeds and print the tables."""
    n_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    data = clinc()
    if sys.argv[2:] != ["mbat"]:
        lsa_tables(data, n_seeds)
    if sys.argv[2:] != ["lsa"]:
        mbat_table(data, n_seeds)


def share_of_full(table: Table) -> None:
    """Print how much of the full-pairs mAP the few pairs reach."""
    full = table.mean("kernel mean, gallery map")[1]
    for name in table.precision:
        if name.startswith((CHOSEN, "kernel mean, gallery map,")):
            print(f"- {name}: {100 * table.mean(name)[1] / full:.1f} % of the full-pairs mAP", flush=True)


if __name__ == "__main__":
    main()
