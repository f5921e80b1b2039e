"""Recall@10 of linking two catalogues and of finding artworks by two of their fields.

    python -m benchmarks.vsa.quality [dense] [sparse] [bindings] [artworks]

One configuration for all data; the encoder is fitted on the gallery side only. Five seeds; mean and range. Without
names all parts run: `dense`, the encoder; `sparse`, the exact cosine over the same weighted features with a dimension
for each; `bindings`, the other families of operators.
"""

from __future__ import annotations

import collections
import random
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

import vsa
from benchmarks.vsa.data import catalogues, records
from tests.sparse_oracle import SparseOracle

SEEDS = range(5)
PARTS = ("dense", "sparse", "bindings", "artworks")
CATALOGUES = (("abt-buy", "abt", "buy"), ("amazon-google", "amazon", "google"))
OTHER_BINDINGS = {"hadamard": range(3), "haar": range(3)}


def recall_at_10(Q: Any, X: Any, pairs: Sequence[tuple[int, int]]) -> float:
    """Share of the pairs (query row, gallery row) with at most nine rows nearer than the right one."""
    scores = Q @ X.T
    if sparse.issparse(scores):
        scores = scores.toarray()
    return float(np.mean([(scores[q] > scores[q, x]).sum() < 10 for q, x in pairs]))


def link(
    names: tuple[str, str, str], dim: int, *, fitted: bool, binding: str = "permutation", seeds: Sequence[int] = SEEDS
) -> list[float]:
    """Recall@10 for each seed."""
    queries, gallery, pairs = catalogues(*names)
    found = []
    for seed in seeds:
        encoder = vsa.JSONEncoder(dim, seed=seed, binding=binding)
        if fitted:
            encoder.fit(gallery)
        found.append(recall_at_10(encoder.encode(queries), encoder.encode(gallery), pairs))
    return found


def exact(names: tuple[str, str, str], *, fitted: bool) -> float:
    """Recall@10 of the exact sparse cosine over the encoder's features and weights."""
    queries, gallery, pairs = catalogues(*names)
    statistics = vsa.JSONEncoder().fit(gallery).statistics if fitted else None
    S = SparseOracle(statistics).rows([*queries, *gallery])
    return recall_at_10(S[: len(queries)], S[len(queries) :], pairs)


def artworks(seed: int) -> float:
    """Recall@10 of 500 artworks with a title of their own, asked for by title and medium, among 69,202."""
    works = records("tate/artworks.jsonl.gz")
    titles = collections.Counter(work["title"] for work in works)
    single = [i for i, work in enumerate(works) if titles[work["title"]] == 1 and work["title"] and work["medium"]]
    drawn = random.Random(seed).sample(single, 500)
    encoder = vsa.JSONEncoder(1024, seed=seed).fit(vsa.sample(works, 10_000))
    X = encoder.encode(works)
    asked: list[Any] = [{key: works[i][key] for key in ("title", "medium")} for i in drawn]
    return recall_at_10(encoder.encode(asked), X, list(enumerate(drawn)))


def row(what: str, dim: int | str, fitted: bool, values: list[float]) -> None:
    """Print mean and range."""
    spread = f"{np.mean(values):.4f}"
    spread += f" [{min(values):.4f}, {max(values):.4f}]" if len(values) > 1 else ""
    print(f"| {what} | {dim} | {'yes' if fitted else 'no'} | {len(values)} | {spread} |", flush=True)


def main() -> None:
    """Print the table."""
    parts = sys.argv[1:] or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        sys.exit(f"parts are {', '.join(PARTS)}; not {', '.join(sorted(unknown))}")
    print("| data | dim | fitted | seeds | recall@10, mean [range] |\n|---|---|---|---|---|")
    for names in CATALOGUES:
        if "sparse" in parts:
            for fitted in (True, False):
                row(f"{names[0]}, exact sparse", "-", fitted, [exact(names, fitted=fitted)])
        if "dense" in parts:
            for dim in (1024, 4096):
                for fitted in (True, False):
                    row(names[0], dim, fitted, link(names, dim, fitted=fitted))
        if "bindings" in parts:
            for binding, seeds in OTHER_BINDINGS.items():
                values = link(names, 1024, fitted=True, binding=binding, seeds=seeds)
                row(f"{names[0]}, {binding}", 1024, True, values)
    if "artworks" in parts:
        row("500 artworks by title and medium, seed 0", 1024, True, [artworks(0)])


if __name__ == "__main__":
    main()
