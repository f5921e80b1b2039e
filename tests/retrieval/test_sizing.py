"""Estimates against what galleries really take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import Gallery, ann, estimate


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_disk_is_within_a_fifth(tmp_path: Path, storage: str) -> None:
    n, dim = 5000, 96
    X = unit(np.random.default_rng(0).standard_normal((n, dim)))
    with Gallery.create(tmp_path / "g", dim=dim, storage=storage) as gallery:
        gallery.add_vectors([f"item-{row}" for row in range(n)], X, payloads=["x" * 398] * n)
        gallery.compact()
    size = (tmp_path / "g" / "gallery.sqlite").stat().st_size
    assert estimate(n, dim, storage=storage, payload=400).disk == pytest.approx(size, rel=0.2)


@pytest.mark.parametrize("index", ["HNSW16", "IVF16,PQ24x4fsr", "IVF16,SQ8", "IVF16,RaBitQ", "IVF16,Flat"])
def test_an_index_is_within_a_fifth(index: str) -> None:
    n, dim = 3000, 96
    X = unit(np.random.default_rng(0).standard_normal((n, dim)))
    size = ann.size_of(ann.build(index, X, train_on=2000)) + 16 * n
    assert estimate(n, dim, index=index).index == pytest.approx(size, rel=0.2)


def test_what_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(ValueError, match="no formula for the index 'LSH'"):
        estimate(10, 4, index="LSH")
    with pytest.raises(ValueError, match="cannot be negative"):
        estimate(-1, 4)
    assert estimate(0, 4).memory == 0
