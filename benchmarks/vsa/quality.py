"""Recall@10 of linking two catalogues and of finding artworks by two of their fields.

    python -m benchmarks.vsa.quality

One configuration for all data; the encoder is fitted on the gallery side only. Five seeds; mean and range.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Sequence
from typing import Any

import numpy as np

import vsa
from benchmarks.vsa.data import catalogues, records

SEEDS = range(5)


def recall_at_10(Q: np.ndarray, X: np.ndarray, pairs: Sequence[tuple[int, int]]) -> float:
    """Share of the pairs (query row, gallery row) with at most nine rows nearer than the right one."""
    scores = Q @ X.T
    return float(np.mean([(scores[q] > scores[q, x]).sum() < 10 for q, x in pairs]))


def link(folder: str, left: str, right: str, dim: int, *, fitted: bool) -> list[float]:
    """Recall@10 for each seed."""
    queries, gallery, pairs = catalogues(folder, left, right)
    found = []
    for seed in SEEDS:
        encoder = vsa.JSONEncoder(dim, seed=seed)
        if fitted:
            encoder.fit(gallery)
        found.append(recall_at_10(encoder.encode(queries), encoder.encode(gallery), pairs))
    return found


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


def main() -> None:
    """Print the table."""
    print("| data | dim | fitted | recall@10, mean [range] over 5 seeds |\n|---|---|---|---|")
    for name in (("abt-buy", "abt", "buy"), ("amazon-google", "amazon", "google")):
        for dim in (1024, 4096):
            for fitted in (True, False):
                values = link(*name, dim, fitted=fitted)
                spread = f"{np.mean(values):.4f} [{min(values):.4f}, {max(values):.4f}]"
                print(f"| {name[0]} | {dim} | {'yes' if fitted else 'no'} | {spread} |", flush=True)
    print(f"| 500 artworks by title and medium, seed 0 | 1024 | yes | {artworks(0):.4f} |")


if __name__ == "__main__":
    main()
