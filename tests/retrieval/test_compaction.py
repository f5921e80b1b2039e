"""Compaction: the same answers from a smaller file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference_gallery import unit

from retrieval import Gallery
from retrieval.checking import check


@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_compaction_changes_no_answer_and_shrinks_the_file(tmp_path: Path, storage: str) -> None:
    X = unit(np.random.default_rng(0).standard_normal((6000, 64)))
    with Gallery.create(tmp_path / "g", dim=64, storage=storage) as gallery, Gallery.open(tmp_path / "g") as other:
        gallery.add_vectors(range(5000), X[:5000], payloads=["x" * 200] * 5000)
        for number in range(5000, 5040):
            gallery.add_vectors([number], X[number : number + 1])
        gallery.add_vectors(range(100), X[5500:5600])
        gallery.delete(range(200, 4500))
        assert other.count() == 740
        before = [list(hits) for hits in gallery.search(X[:50], k=7)]
        rows = {number: gallery.vector(number) for number in (3, 150, 4999, 5020)}
        done = gallery.compact()
        assert done.after < 0.4 * done.before
        assert done.after == sum(
            file.stat().st_size for file in (tmp_path / "g").iterdir() if file.suffix in (".sqlite", ".bin")
        )
        for reader in (gallery, other):
            assert [list(hits) for hits in reader.search(X[:50], k=7)] == before
            for number, row in rows.items():
                assert np.array_equal(reader.vector(number), row)
        gallery.add_vectors(["new"], X[:1])
        assert "new" in [hit.id for hit in other.search(X[0], k=2)]
        again = gallery.compact()
        assert again.after <= done.after + 16384
        generation = gallery.info().generation
        gallery.compact()
        assert gallery.info().generation == generation
    assert check(tmp_path / "g").sound
