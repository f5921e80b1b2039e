"""Dense cosines against the exact sparse ones that they approximate."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from sparse_oracle import SparseOracle

import vsa

WORDS = (
    "sony",
    "turntable",
    "kx-tg9321",
    "black",
    "harbour",
    "Sunrise",
    "over",
    "sea",
    "東京都",
    "oil",
    "élan",
    "42",
    "3.5",
)


def mixed(count: int) -> list[Any]:
    """Records with words that come again across fields, numbers, dates, constants, arrays and objects in them."""
    draw = random.Random(3)

    def text(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(1, most)))

    return [
        {
            "title": text(4),
            "about": {"text": text(9), "title": text(2)},
            "price": round(draw.lognormvariate(3, 1), 2),
            "when": f"20{draw.randint(10, 20)}-0{draw.randint(1, 9)}-11",
            "ok": draw.choice([True, False, None, "", [], {}]),
            "parts": [{"name": text(2), "of": [draw.randint(0, 9), text(1)]} for _ in range(draw.randint(1, 3))],
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    ("binding", "arrays", "dims"),
    [
        ("permutation", "both", (1024, 16384)),
        ("permutation", "bag", (16384,)),
        ("permutation", "sequence", (16384,)),
        ("hadamard", "both", (4096,)),
    ],
)
def test_dense_cosines_tend_to_the_sparse_ones(fitted, binding, arrays, dims):
    # Over random signs the cosine of two dense rows has variance (1 - c²)² / dim about the sparse cosine c, up to
    # terms in 1/dim²: at most 1/dim. The pairs share terms, so that one seed's mean square strays from it by up to
    # half: three seeds are pooled, and the worst of all their pairs lies within five deviations.
    records = mixed(40)
    pairs = np.triu_indices(len(records), k=1)
    for dim in dims:
        strays = []
        for seed in range(3):
            encoder = vsa.JSONEncoder(dim, seed=seed, binding=binding, arrays=arrays)
            if fitted:
                encoder.fit(records)
            S = SparseOracle(encoder.statistics, arrays=arrays).rows(records)
            X = encoder.encode(records).astype(np.float64)
            strays.append(((X @ X.T) - (S @ S.T).toarray())[pairs])
        assert np.sqrt(np.mean(np.square(strays))) <= 1.15 * dim**-0.5
        assert np.abs(strays).max() <= 5 * dim**-0.5
