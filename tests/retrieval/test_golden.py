"""Galleries of every released format read as they did when they were written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from reference_gallery import brute_force, unit

from retrieval import Gallery
from retrieval.checking import check

GOLDEN = Path(__file__).parent / "golden"


def content() -> tuple[list[str], np.ndarray, list[object]]:
    """What the golden galleries hold."""
    X = unit(np.random.Generator(np.random.PCG64(11)).integers(-5, 6, (20, 6)) + 0.25)
    payloads: list[object] = [{"n": number, "tags": ["a", "é"], "big": 2**70 + number} for number in range(20)]
    payloads[4] = None
    payloads[5] = "text"
    return [f"item-{number}" for number in range(20)], X, payloads


def write(folder: Path, storage: str) -> None:
    """How a golden gallery was made; run once for each format, and with `segments.LEAST` of -1 for "files"."""
    ids, X, payloads = content()
    with Gallery.create(folder, dim=6, model="golden", storage=storage) as gallery:
        gallery.add_vectors(ids, X, payloads=payloads)
        gallery.add_vectors(["gone", ids[3]], X[:2], payloads=[1, 2])
        gallery.add_vectors([ids[3]], X[3:4], payloads=[payloads[3]])
        gallery.delete(["gone"])


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_golden_gallery_reads_as_ever(name: str, tmp_path: Path) -> None:
    ids, X, payloads = content()
    shutil.copytree(GOLDEN / name, tmp_path / "g")
    assert check(tmp_path / "g").sound
    with Gallery.open(tmp_path / "g", dim=6) as gallery:
        assert list(gallery.items()) == list(zip(ids, payloads, strict=True))
        stored_ids, stored = gallery.vectors()
        assert stored_ids == ids
        if name.endswith("float32"):
            assert np.array_equal(stored, X)
        np.testing.assert_allclose(stored, X, atol=5e-4)
        wanted, _ = brute_force(X, stored, 5)
        assert [[hit.id for hit in hits] for hits in gallery.search(X, k=5)] == [
            [ids[i] for i in one] for one in wanted
        ]
        gallery.delete(ids[:1])
        gallery.add_vectors(["new"], X[:1])
        assert gallery.count() == 20


def test_there_is_a_golden_gallery_of_this_format() -> None:
    from retrieval.schema import FORMAT

    assert {path.name for path in GOLDEN.iterdir()} >= {
        f"format-{FORMAT}-{kind}" for kind in ("float32", "float16", "files-float32", "files-float16")
    }
