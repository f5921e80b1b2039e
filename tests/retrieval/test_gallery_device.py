"""The choice of a device, and exact searches through one; on the CPU by a stand-in with a GPU's manners."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
import torch
from gpu_stand_in import DeviceTensor, GpuIndex, Library, Resources, Shards, install
from reference_gallery import brute_force, unit

import retrieval
from retrieval import Gallery, estimate, exact, gpu, placing
from retrieval.device import choose, decide, placeable
from retrieval.deviceflat import half_bound
from retrieval.encoding import queries
from retrieval.plan import Plan, Trial
from retrieval.tensors import on_device

RNG = np.random.default_rng(0)
GB = 1_000_000_000


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Library:
    return install(monkeypatch, Library([4 * GB, 4 * GB]))


def ids(hits: Any) -> list[list[int]]:
    return [[int(hit.id) for hit in one] for one in hits]


def test_the_choice(gpus: Library) -> None:
    assert str(choose("auto", 1000)) == "cuda:0; a GPU is there and the vectors fit"
    assert str(choose("cuda:1", 1000)) == "cuda:1; as asked"
    assert str(choose("cuda:0,1", 1000)) == "cuda:0,1; as asked"
    assert str(choose("cpu", 1000)) == "cpu; as asked"
    lack = r"the vectors and FAISS need 6.8 GB of the GPU, 4.0 GB are free"
    assert str(choose("cuda:0", 5 * GB, half=2 * GB)) == (
        f"cuda:0; as asked, in float16 ({lack} in float32); scores are exact all the same"
    )
    assert choose("auto", 4 * GB, half=2 * GB).gpus == (0,)
    assert str(choose("auto", 4 * GB)).startswith("cuda:0,1; sharded, since the vectors and FAISS need 5.8 GB")
    assert choose("auto", 8 * GB, half=4 * GB).half
    assert choose("auto", 8 * GB, half=4 * GB).gpus == (0, 1)
    assert str(choose("auto", 9 * GB)) == "cpu; the vectors and FAISS need 10.8 GB of the GPU, 4.0 GB are free"
    assert choose("auto", 4 * GB, graph=True).gpus == ()
    for device, needed, message in [
        ("cuda", 9 * GB, r'device="cuda": .* need 10\.8 GB .*; "auto" would take the CPU'),
        ("cuda:1", 4 * GB, "4.0 GB are free"),
        ("cuda:2", 0, "FAISS finds 2 GPUs"),
        ("cuda:0,2", 0, "FAISS finds 2 GPUs"),
    ]:
        with pytest.raises(retrieval.DeviceError, match=message):
            choose(device, needed)
    with pytest.raises(retrieval.DeviceError, match="a graph cannot be split"):
        choose("cuda:0,1", 0, graph=True)


def test_a_gpu_that_does_not_tell_its_memory_is_tried(gpus: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "free_memory", lambda number: None)
    assert choose("auto", 10**15).gpus == (0,)


def test_the_room_is_what_the_estimate_says(gpus: Library) -> None:
    n, dim = 2_000_000, 256
    needed = estimate(n, dim).gpu
    assert needed is not None
    gpus.free[:] = [needed + 1_800_000_000, 0]
    assert decide("auto", None, n, dim).name == "cuda:0"
    gpus.free[0] -= 1
    assert decide("auto", None, n, dim).half
    assert estimate(n, dim, index="HNSW32").gpu is None


PLAN = Plan("HNSW32", 64, 20, 10, 0.95, 1000)
TRIAL = Trial("HNSW32", 64, 20, 1.0, 1.0, 1.0, 1.0, 0, 0.0, True)


@pytest.mark.parametrize(
    ("asked", "plan", "expected"),
    [
        ("auto", PLAN, "cpu; FAISS cannot put the index HNSW32 on a GPU; `optimize` tries kinds that it can"),
        ("cuda", PLAN, "cuda:0; FAISS cannot put the index HNSW32 on a GPU; every vector is compared there"),
        ("auto", replace(PLAN, factory="IVF16,SQ8"), "cuda:0; a GPU is there and the vectors fit"),
        ("cpu", replace(PLAN, factory="IVF16,SQ8"), "cpu; as asked"),
        (
            "auto",
            replace(PLAN, factory="IVF16,SQ8", trials=(replace(TRIAL, device="cuda:0"),)),
            "cpu; `optimize` found it faster here than on the GPU",
        ),
        ("cuda:1", replace(PLAN, factory="IVF16,SQ8", trials=(replace(TRIAL, device="cuda:0"),)), "cuda:1; as asked"),
        ("cuda", replace(PLAN, factory="Flat"), "cuda:0; as asked"),
        (
            "auto",
            replace(PLAN, factory="Flat", device="cuda:0", half=True),
            "cuda:0; a GPU is there and the vectors fit; in float16, which `optimize` found fastest",
        ),
    ],
)
def test_the_place_of_each_plan(asked: str, plan: Plan, expected: str, gpus: Library) -> None:
    assert str(decide(asked, plan, 1000, 64)) == expected


def test_kinds_that_a_gpu_takes(gpus: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("IVF64,Flat", "IVF64,SQ8", "IVF64,SQfp16", "IVF64,PQ32", "IVF64,PQ16x8"):
        assert placeable(kind, 128), kind
        made = faiss.index_factory(128, kind, faiss.METRIC_INNER_PRODUCT)
        assert len(placing.inverted(made, [0])) == 0
    for kind in ("IVF64,PQ32x4fsr", "IVF64,RaBitQ", "HNSW32", "IVF64,SQ8,RFlat", "IVF64,PQ10", "IVF64_HNSW8,Flat"):
        assert not placeable(kind, 128), kind
    assert not placeable("IVF64,PQ64", 96)
    assert not placeable("CAGRA64", 128)
    install(monkeypatch, Library([4 * GB], graphs=True))
    assert placeable("CAGRA64", 128)


def test_what_is_used_of_faiss_for_gpus_is_there() -> None:
    """The stand-in has no part that the real thing lacks, and the options are the real ones."""
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("this FAISS was built without GPU support")
    for name in ("index_cpu_to_gpu", "index_cpu_to_gpu_multiple_py", "index_gpu_to_cpu", "GpuIndexFlatIP"):
        assert hasattr(faiss, name)
    for made, fields in [
        (faiss.GpuIndexFlatConfig(), ("device", "useFloat16", "use_cuvs")),
        (faiss.GpuClonerOptions(), ("useFloat16", "use_cuvs")),
        (faiss.GpuMultipleClonerOptions(), ("useFloat16", "use_cuvs", "shard")),
    ]:
        for field in fields:
            assert hasattr(made, field)
    for method in ("add", "add_with_ids", "search", "search_c", "train", "ntotal"):
        assert hasattr(faiss.GpuIndexIVFFlat, method)
        assert hasattr(faiss.GpuIndexFlatIP, method)
        assert hasattr(GpuIndex, method)
    assert faiss.GpuMultipleClonerOptions().shard_type == 1


def test_the_stand_in_has_the_manners_of_a_gpu(gpus: Library) -> None:
    X = unit(RNG.standard_normal((50, 8)))
    index = GpuIndex(Resources(gpus), faiss.IndexFlatIP(8), 0)
    index.add(X)
    with pytest.raises(RuntimeError, match="getMaxKSelection"):
        index.search(X, 2049)
    with pytest.raises(RuntimeError, match="remove_ids"):
        index.remove_ids(faiss.IDSelectorRange(0, 1))
    with pytest.raises(RuntimeError, match="range search"):
        index.range_search(X, 0.5)
    inverted = faiss.index_factory(8, "IVF4,Flat", faiss.METRIC_INNER_PRODUCT)
    inverted.train(X)
    inverted.add(X)
    placed = gpus.index_cpu_to_gpu(Resources(gpus), 0, inverted, faiss.GpuClonerOptions())
    chosen = faiss.SearchParametersIVF(nprobe=4, sel=faiss.IDSelectorRange(40, 50))
    assert placed.search(X[:1], 1, params=chosen)[1] == [[0]]
    # Labels of successive shards move when any but the last grows; FAISS's own do as well.
    for kind, made in ((Shards, GpuIndex), (faiss.IndexShards, lambda _, index, __: index)):
        shards = kind(8, False, True)
        parts = [made(Resources(gpus), faiss.IndexFlatIP(8), 0) for _ in range(2)]
        parts[0].add(X[:20])
        parts[1].add(X[20:40])
        for part in parts:
            shards.add_shard(part)
        parts[1].add(X[40:])
        shards.syncWithSubIndexes()
        assert shards.search(X, 1)[1][:, 0].tolist() == list(range(50))


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(monkeypatch, Library([]))
    with Gallery.create(tmp_path / "g", dim=2, device="auto") as gallery:
        gallery.add_vectors(["a"], [[1, 0]])
        assert gallery.search([1, 0])[0].id == "a"
        assert gallery.info().device == "cpu; this build of FAISS finds no GPU"
    with Gallery.open(tmp_path / "g", device="cuda") as gallery:
        for _ in range(2):
            with pytest.raises(retrieval.DeviceError, match="finds no GPU"):
                gallery.search([1, 0])
        assert gallery.info().device.startswith("none; device=")
    for wrong in ("gpu", "cuda:", "CPU", "cuda:1,", "cuda:a", 0):
        with pytest.raises(ValueError, match="device must be"):
            Gallery.open(tmp_path / "g", device=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("device", ["cuda:1", "cuda:0,1"])
@pytest.mark.parametrize("half", [False, True])
def test_every_write_is_followed_and_every_answer_exact(
    device: str, half: bool, gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = unit(RNG.standard_normal((900, 8)))
    X[[5, 77, 300]] = X[6]
    if half:
        n_gpus = 2 if device == "cuda:0,1" else 1
        monkeypatch.setattr("retrieval.device.RESERVE", 0)
        monkeypatch.setattr(gpu, "free_memory", lambda number: 800 * (4 * 8 + 4) // n_gpus - 1)
    with Gallery.create(tmp_path / "g", dim=8, device=device) as gallery:
        gallery.add_vectors(range(800), X[:800])
        assert ids(gallery.search(X[:60], k=9)) == brute_force(X[:60], X[:800], 9)[0]
        assert {one[0] for one in gpus.searches} == {"IndexFlatIP"}
        assert {one[1] for one in gpus.searches} == ({1} if device == "cuda:1" else {0, 1})
        info = gallery.info().device
        assert info.startswith(device)
        assert ("float16" in info) is half
        # Tombstones: more are asked for, none comes back, and scores stay the oracle's.
        alive = np.setdiff1d(np.arange(800), np.arange(0, 800, 10))
        gallery.delete(range(0, 800, 10))
        rows, scores = brute_force(X[:60], X[alive], 9)
        found = gallery.search(X[:60], k=9)
        assert ids(found) == alive[rows].tolist()
        assert [[hit.score for hit in one] for one in found] == scores
        before = {shard: sum(one[1] == shard for one in gpus.searches) for shard in (0, 1)}
        # A replaced vector and new ones, without sending the others again.
        gallery.add_vectors([*range(800, 900), 77], [*X[800:], -X[77]])
        now = np.vstack([X[:900]])
        now[77] = -X[77]
        alive = np.setdiff1d(np.arange(900), np.arange(0, 800, 10))
        rows, _ = brute_force(now[800:860], now[alive], 9)
        assert ids(gallery.search(now[800:860], k=9)) == alive[rows].tolist()
        assert any(sum(one[1] == shard for one in gpus.searches) > before[shard] for shard in (0, 1))
        # So many gone that all are sent again.
        gallery.delete(alive[alive < 500].tolist())
        alive = alive[alive >= 500]
        rows, _ = brute_force(now[alive[:40]], now[alive], 9)
        assert ids(gallery.search(now[alive[:40]], k=9)) == alive[rows].tolist()


def test_vectors_are_sent_once_and_then_only_what_is_new(
    gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    add = GpuIndex.add
    monkeypatch.setattr(GpuIndex, "add", lambda self, X: sent.append(len(X)) or add(self, X))
    X = unit(RNG.standard_normal((1000, 8)))
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(900), X[:900])
        for _ in range(2):
            gallery.search(X[:3])
        gallery.add_vectors(range(900, 1000), X[900:])
        gallery.search(X[:3])
        gallery.delete(range(100))
        gallery.search(X[:3])
        assert sent == [900, 100]
        gallery.delete(range(100, 400))
        gallery.search(X[:3])
        assert sent == [900, 100, 600]
        held = sum(gpus.held)
        assert held == 600 * 36


def test_more_neighbours_than_a_gpu_selects_are_the_cpus(gpus: Library, tmp_path: Path) -> None:
    X = unit(RNG.standard_normal((3000, 4)))
    with Gallery.create(tmp_path / "g", dim=4) as gallery:
        gallery.add_vectors(range(3000), X)
        assert ids([gallery.search(X[0], k=2500)]) == exact.search(X[:1], X, np.arange(3000), 2500)[0].tolist()
        assert not gpus.searches
        assert ids([gallery.search(X[0], k=2040)]) == exact.search(X[:1], X, np.arange(3000), 2040)[0].tolist()
        assert max(one[3] for one in gpus.searches) == 2048


def test_rows_that_float16_cannot_tell_apart_are_told_apart(
    gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred rows within 1e-4 of each other: the GPU's order is noise, the answer is not."""
    centre = RNG.standard_normal(16)
    X = unit(np.vstack([centre + 1e-4 * RNG.standard_normal((300, 16)), RNG.standard_normal((3000, 16))]))
    monkeypatch.setattr("retrieval.device.RESERVE", 0)
    monkeypatch.setattr(gpu, "free_memory", lambda number: 3300 * (4 * 16 + 4) - 1)
    with Gallery.create(tmp_path / "g", dim=16, device="cuda") as gallery:
        gallery.add_vectors(range(3300), X)
        assert ids(gallery.search(X[:20], k=10)) == brute_force(X[:20], X, 10)[0]
        assert "float16" in gallery.info().device
        assert len({one[3] for one in gpus.searches}) > 1


@pytest.mark.parametrize("dim", [2, 16, 300, 1024])
def test_products_in_float16_stay_within_their_bound(dim: int) -> None:
    X = unit(RNG.standard_normal((200, dim)) * np.exp(3 * RNG.standard_normal((200, dim))))
    narrow = X.astype(np.float16).astype(np.float32)
    off = np.abs(narrow.astype(float) @ narrow.astype(float).T - X.astype(float) @ X.astype(float).T).max()
    assert 0 < off < half_bound(dim) < 2e-3


@pytest.mark.parametrize("kept", [900, 300, 20, 0])
def test_filters_are_exact_and_no_selector_is_used(kept: int, gpus: Library, tmp_path: Path) -> None:
    X = unit(RNG.standard_normal((1000, 8)))
    chosen = np.sort(RNG.permutation(1000)[:kept])
    payloads = [{"in": bool(flag)} for flag in np.isin(np.arange(1000), chosen)]
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(1000), X, payloads)
        rows = brute_force(X[:30], X[chosen], 10)[0]
        assert ids(gallery.search(X[:30], k=10, where={"in": True})) == [chosen[row].tolist() for row in rows]
        assert bool(gpus.searches) is (kept > 125)


def test_a_filter_that_keeps_the_farthest_half_is_asked_for_more(gpus: Library, tmp_path: Path) -> None:
    X = unit(RNG.standard_normal((1000, 8)))
    far = np.flatnonzero(X @ X[0] < 0)
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(1000), X, [{"far": bool(flag)} for flag in X @ X[0] < 0])
        rows = brute_force(X[:2], X[far], 20)[0]
        assert ids(gallery.search(X[:2], k=20, where={"far": True})) == [far[row].tolist() for row in rows]
        assert max(one[3] for one in gpus.searches) > 100


def test_a_tensor_is_brought_to_length_one_where_it_is(gpus: Library) -> None:
    X = np.vstack([RNG.standard_normal((9, 24)) * 7, unit(RNG.standard_normal((9, 24)))]).astype(np.float32)
    made = on_device(DeviceTensor.of(X))
    assert isinstance(made, DeviceTensor)
    np.testing.assert_allclose(np.asarray(made), queries(X, 24, None)[0], rtol=0, atol=2**-24)
    assert on_device(torch.from_numpy(X)) is None
    assert on_device(X) is None


def test_a_tensor_on_the_gpu_is_searched_by_its_address(gpus: Library, tmp_path: Path) -> None:
    X = unit(RNG.standard_normal((2000, 24)))
    Q = RNG.standard_normal((40, 24)).astype(np.float32)
    with Gallery.create(tmp_path / "g", dim=24) as gallery:
        gallery.add_vectors(range(2000), X)
        truth = [list(hits) for hits in gallery.search(Q, k=7)]
        assert gpus.by_address == 0
        for tensor in (DeviceTensor.of(Q), DeviceTensor.of(Q).double(), DeviceTensor.of(np.asfortranarray(Q))):
            before = gpus.by_address
            assert [list(hits) for hits in gallery.search(tensor, k=7)] == truth
            assert gpus.by_address > before
        assert list(gallery.search(DeviceTensor.of(Q)[3], k=7)) == truth[3]
        with pytest.raises(retrieval.InvalidVectorError, match="NaN"):
            gallery.search(DeviceTensor.of(np.full((1, 24), np.nan, dtype=np.float32)))
        assert len(gallery.search(DeviceTensor.of(Q[:0]), k=7)) == 0


def test_large_batches_go_in_parts(gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X = unit(RNG.standard_normal((500, 8)))
    monkeypatch.setattr("retrieval.placed._ANSWERS", 1000)
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(500), X)
        truth = brute_force(X[:150], X, 4)[0]
        assert ids(gallery.search(X[:150], k=4)) == truth
        assert ids(gallery.search(DeviceTensor.of(X[:150]), k=4)) == truth
        assert max(one[2] * one[3] for one in gpus.searches) <= 1000
        assert sum(one[2] for one in gpus.searches) >= 300


def test_memory_that_cannot_be_told() -> None:
    if gpu.count():
        free = gpu.free_memory(0)
        assert free is not None
        assert free > 0
    else:
        assert gpu.free_memory(0) is None


def test_a_gpu_that_fails_is_left_under_auto_only(
    gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = unit(RNG.standard_normal((500, 8)))
    truth = brute_force(X[:100], X, 3)[0]
    with Gallery.create(tmp_path / "g", dim=8) as gallery:
        gallery.add_vectors(range(500), X)
        gallery.search(X[:3])
        gpus.per_query = GB
        assert ids(gallery.search(X[:100], k=3)) == truth
        assert "the GPU failed: " in gallery.info().device
        assert "out of memory" in gallery.info().device
        assert gpus.held == [0, 0]
    with Gallery.open(tmp_path / "g", device="cuda") as gallery:
        with pytest.raises(retrieval.DeviceError, match=r'device="cuda": .*out of memory.*"auto" would take'):
            gallery.search(X[:100], k=3)
        gpus.per_query = 0
        assert ids(gallery.search(X[:100], k=3)) == truth
        assert gallery.info().device == "cuda:0; as asked"
    monkeypatch.setattr(gpu, "free_memory", lambda number: None)
    gpus.free[:] = [0, 0]
    with Gallery.open(tmp_path / "g") as gallery:
        assert ids(gallery.search(X[:100], k=3)) == truth
        assert "the GPU failed" in gallery.info().device
    with Gallery.open(tmp_path / "g", device="cuda") as gallery:
        for _ in range(2):
            with pytest.raises(retrieval.DeviceError, match="out of memory"):
                gallery.search(X[:3])


def test_a_gallery_that_outgrows_the_gpu_goes_on_in_float16_and_then_on_the_cpu(
    gpus: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = unit(RNG.standard_normal((3000, 32)))
    monkeypatch.setattr("retrieval.device.RESERVE", 0)
    monkeypatch.setattr("gpu_stand_in.RESERVED", 0)
    gpus.free[:] = [1000 * 132, 0]
    told = []
    with Gallery.create(tmp_path / "g", dim=32) as gallery:
        for stop in (800, 1600, 2400):
            gallery.add_vectors(range(stop - 800, stop), X[stop - 800 : stop])
            assert ids(gallery.search(X[:10], k=4)) == brute_force(X[:10], X[:stop], 4)[0]
            told.append(gallery.info().device)
    assert told[0] == "cuda:0; a GPU is there and the vectors fit"
    assert told[1].startswith("cuda:0; a GPU is there and the vectors fit, in float16 (the vectors and FAISS need 211")
    assert told[2].startswith("cpu; the vectors and FAISS need 163.2 kB of the GPU, 132.0 kB are free")


def test_threads_take_turns_on_a_gpu(gpus: Library, tmp_path: Path) -> None:
    X = unit(RNG.standard_normal((3000, 16)))
    truth = brute_force(X[:8], X, 5)[0]
    wrong: list[Any] = []

    def ask(gallery: Gallery) -> None:
        for _ in range(20):
            try:
                if ids(gallery.search(X[:8], k=5)) != truth:
                    wrong.append("another answer")
            except retrieval.DeviceError as error:
                wrong.append(error)

    # Two galleries share the resources of the device, and its lock.
    for name in ("g", "h"):
        with Gallery.create(tmp_path / name, dim=16) as gallery:
            gallery.add_vectors(range(3000), X)
    with Gallery.open(tmp_path / "g", device="cuda") as g, Gallery.open(tmp_path / "h", device="cuda:0") as h:
        threads = [threading.Thread(target=ask, args=(one,)) for one in (g, g, h)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
    assert {one[1] for one in gpus.searches} == {0}
