"""The choice of a device, and searches through one; on the CPU by a stand-in with the same methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_gallery import unit

import retrieval
from retrieval import Gallery, ann, engine, exact
from retrieval.device import choose


class StandIn:
    """What `ann.resident` gives, with the limits of a GPU and a record of its use."""

    uploads = 0
    searches = 0

    def __init__(self, X: np.ndarray, gpu: int) -> None:
        StandIn.uploads += 1
        self.X = X.copy()

    def search(self, Q: np.ndarray, k: int) -> Any:
        assert k <= 2048
        StandIn.searches += 1
        return ann.inner_products(Q, self.X, k)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    found = engine.engine()
    monkeypatch.setattr(engine, "engine", lambda: replace(found, gpus=2))
    monkeypatch.setattr(ann, "free_memory", lambda gpu: 4_000_000_000)
    monkeypatch.setattr(ann, "resident", StandIn)
    StandIn.uploads = StandIn.searches = 0
    return monkeypatch


def test_the_choice(gpus: pytest.MonkeyPatch) -> None:
    assert str(choose("auto", 1000)) == "cuda:0; a GPU is there and the vectors fit"
    assert str(choose("cuda:1", 1000)) == "cuda:1; as asked"
    assert str(choose("cpu", 1000)) == "cpu; as asked"
    assert str(choose("auto", 3_000_000_000)) == "cpu; the vectors and FAISS need 4.6 GB of the GPU, 4.0 GB are free"
    with pytest.raises(retrieval.DeviceError, match=r'device="cuda": .* need 4\.6 GB .*; "auto" would take the CPU'):
        choose("cuda", 3_000_000_000)
    with pytest.raises(retrieval.DeviceError, match="FAISS finds 2 GPUs"):
        choose("cuda:2", 0)
    gpus.setattr(ann, "free_memory", lambda gpu: None)
    assert choose("auto", 10**15).gpu == 0


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = engine.engine()
    monkeypatch.setattr(engine, "engine", lambda: replace(found, gpus=0))
    with Gallery.create(tmp_path / "g", dim=2, device="auto") as gallery:
        gallery.add_vectors(["a"], [[1, 0]])
        assert gallery.search([1, 0])[0].id == "a"
        assert gallery.info().device == "cpu; this build of FAISS finds no GPU"
    with Gallery.open(tmp_path / "g", device="cuda") as gallery:
        with pytest.raises(retrieval.DeviceError, match="finds no GPU"):
            gallery.search([1, 0])
        assert gallery.info().device.startswith("none; device=")
    for wrong in ("gpu", "cuda:", "CPU", 0):
        with pytest.raises(ValueError, match="device must be"):
            Gallery.open(tmp_path / "g", device=wrong)  # type: ignore[arg-type]


def test_searches_through_a_device_follow_every_write(gpus: pytest.MonkeyPatch, tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((3000, 8)))
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(2900), X[:2900])
        for _ in range(2):
            assert [hits[0].id for hits in gallery.search(X[:50], k=3)] == [str(row) for row in range(50)]
        assert (StandIn.uploads, StandIn.searches) == (1, 2)
        gallery.delete([0])
        gallery.add_vectors(range(2900, 3000), X[2900:])
        rows, _ = exact.search(X[:1], X[1:], np.arange(2999), 10)
        assert [int(hit.id) - 1 for hit in gallery.search(X[0], k=10)] == rows[0].tolist()
        assert StandIn.uploads == 2
        before = StandIn.searches
        assert len(gallery.search(X[0], k=2500)) == 2500
        assert StandIn.searches == before
        assert gallery.info().device.startswith("cuda:0")


def test_a_device_that_fails_is_left_under_auto_only(gpus: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(X: np.ndarray, gpu: int) -> Any:
        raise RuntimeError("Error in somewhere\nout of memory")

    gpus.setattr(ann, "resident", broken)
    with Gallery.create(tmp_path / "g", dim=2) as gallery:
        gallery.add_vectors(["a"], [[1, 0]])
        assert gallery.search([1, 0])[0].id == "a"
        assert gallery.info().device == "cpu; the GPU failed: out of memory"
    with (
        Gallery.open(tmp_path / "g", device="cuda") as gallery,
        pytest.raises(retrieval.DeviceError, match="out of memory"),
    ):
        gallery.search([1, 0])


@pytest.mark.gpu
@pytest.mark.skipif(not engine.engine().gpus, reason="FAISS finds no GPU")
def test_a_gpu_gives_what_the_cpu_gives(tmp_path: Path) -> None:
    X = unit(np.random.default_rng(0).standard_normal((20_000, 128)))
    with Gallery.create(tmp_path / "g", dim=128, device="cuda") as gallery:
        gallery.add_vectors(range(20_000), X)
        on_gpu = [list(hits) for hits in gallery.search(X[:100], k=20)]
    with Gallery.open(tmp_path / "g", device="cpu") as gallery:
        assert [list(hits) for hits in gallery.search(X[:100], k=20)] == on_gpu
