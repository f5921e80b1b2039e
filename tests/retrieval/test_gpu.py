"""On a real GPU: ids and distances against the oracle, where a device and a FAISS that uses it are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reference_gallery import unit

from retrieval import Gallery, ann, estimate, exact, gpu, placing
from retrieval.deviceflat import half_bound
from retrieval.plan import FLAT

pytestmark = pytest.mark.gpu

N, DIM, K = 20_000, 64, 10


@pytest.fixture(scope="module", autouse=True)
def devices() -> int:
    found = gpu.count()
    if not found:
        pytest.skip("FAISS finds no GPU")
    return found


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((200, DIM))
    X = unit(centres[rng.integers(0, 200, N)] + 0.5 * rng.standard_normal((N, DIM)))
    Q = unit(centres[rng.integers(0, 200, 300)] + 0.5 * rng.standard_normal((300, DIM)))
    return X, Q


@pytest.fixture
def folder(tmp_path: Path, data: tuple[np.ndarray, np.ndarray]) -> Path:
    with Gallery.create(tmp_path / "g", dim=DIM, device="cpu") as gallery:
        gallery.add_vectors(range(N), data[0], [{"n": row} for row in range(N)])
    return tmp_path / "g"


def answers(gallery: Gallery, Q: Any, **options: Any) -> tuple[list[list[str]], np.ndarray]:
    found = gallery.search(Q, k=K, **options)
    return [[hit.id for hit in one] for one in found], np.array([[hit.score for hit in one] for one in found])


def oracle(X: np.ndarray, Q: np.ndarray, k: int = K) -> tuple[list[list[str]], np.ndarray]:
    rows, scores = exact.search(Q, X, np.arange(len(X)), k)
    return [[str(row) for row in one] for one in rows], scores


@pytest.mark.parametrize("half", [False, True])
def test_products_are_within_the_bound_that_exactness_rests_on(half: bool, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, Q = data
    products, labels = placing.flat(X, [0], half=half).search(Q, 100)
    true = np.einsum("qd,qkd->qk", Q.astype(np.float64), X[labels].astype(np.float64))
    assert np.abs(products - true).max() <= (half_bound(DIM) if half else exact.rounding_bound(DIM))


@pytest.mark.parametrize("half", [False, True])
def test_exact_search_gives_ids_and_scores_of_the_oracle(
    half: bool, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Q = data
    if half:
        room = estimate(N, DIM).gpu
        assert room is not None
        monkeypatch.setattr("retrieval.device.RESERVE", 0)
        monkeypatch.setattr(gpu, "free_memory", lambda number: room - 1)
    with Gallery.open(folder, device="cuda:0") as gallery:
        ids, scores = answers(gallery, Q)
        assert ids == oracle(X, Q)[0]
        np.testing.assert_array_equal(scores, oracle(X, Q)[1])
        assert ("float16" in gallery.info().device) is half
        gallery.delete(map(str, range(3000)))
        gallery.add_vectors(["new"], Q[:1])
        assert gallery.search(Q[0], k=1)[0].id == "new"
        rows, _ = exact.search(Q[1:], X[3000:], np.arange(N - 3000), 3)
        found = [[int(hit.id) - 3000 for hit in one if hit.id != "new"][:3] for one in gallery.search(Q[1:], k=4)]
        assert found == rows.tolist()


@pytest.mark.parametrize("kept", [30, 15_000])
def test_filters_on_a_gpu_are_exact(kept: int, folder: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, Q = data
    with Gallery.open(folder, device="cuda") as gallery:
        ids, scores = answers(gallery, Q, where={"n": {"<": kept}})
        assert ids == oracle(X[:kept], Q)[0]
        np.testing.assert_array_equal(scores, oracle(X[:kept], Q)[1])


@pytest.mark.parametrize("kind", ["IVF128,Flat", "IVF128,SQ8", "IVF128,PQ32"])
def test_an_index_reaches_its_recall_there_and_from_the_same_folder_on_the_cpu(
    kind: str, folder: Path, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, Q = data
    wanted, _ = oracle(X, Q)
    with Gallery.open(folder, device="cuda") as gallery:
        plan = gallery.optimize(0.9, index=kind, progress=False)
        assert (plan.factory, plan.device) == (kind, "cuda:0")
    for device in ("cuda", "cpu"):
        with Gallery.open(folder, device=device) as gallery:
            ids, scores = answers(gallery, Q)
            shared = np.mean([len(set(one) & set(other)) / K for one, other in zip(ids, wanted, strict=True)])
            # 300 queries whose recall spreads by at most .2: the mean is within .035 but for one case in hundreds.
            assert shared > 0.865
            rows = np.array(ids, dtype=np.int64)
            own = np.einsum("qd,qkd->qk", Q.astype(np.float64), X[rows].astype(np.float64))
            np.testing.assert_allclose(scores, own, rtol=0, atol=1e-6)
            assert gallery.info().device.startswith("cuda:0" if device == "cuda" else "cpu")


@pytest.mark.parametrize("kind", ["IVF128,Flat", "IVF128,SQ8", "IVF128,PQ32"])
def test_what_the_gpu_proposes_is_what_its_form_for_the_cpu_proposes(
    kind: str, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, Q = data
    made, placed = placing.built(kind, X, [0], train_on=N)
    products, labels = placed.search(Q, 50, 16)
    on_cpu = ann.candidates(made, Q, 50, 16)
    # Codes are the same; sums are rounded otherwise, product tables to float16, so that neighbours far down change.
    shared = [len(set(one) & set(other)) / 50 for one, other in zip(labels.tolist(), on_cpu.tolist(), strict=True)]
    assert np.mean(shared) > 0.97
    assert (np.diff(products, axis=1) <= 0).all()


def test_tensors_are_searched_where_they_are(folder: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch was built without CUDA")
    _, Q = data
    with Gallery.open(folder, device="cuda:0") as gallery:
        truth = answers(gallery, Q)
        for made in (lambda: torch.from_numpy(Q).cuda(), lambda: torch.from_numpy(3 * Q).double().cuda()):
            ids, scores = answers(gallery, made())
            assert ids == truth[0]
            np.testing.assert_allclose(scores, truth[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("two", [False, True], ids=["one GPU twice", "two GPUs"])
def test_shards_give_what_one_gpu_gives(
    two: bool, folder: Path, devices: int, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    if two and devices < 2:
        pytest.skip("one GPU only")
    if not two:
        as_twins(monkeypatch)
    X, Q = data
    with Gallery.open(folder, device="cuda:0,1") as gallery:
        ids, scores = answers(gallery, Q)
        assert ids == oracle(X, Q)[0]
        np.testing.assert_array_equal(scores, oracle(X, Q)[1])
        assert gallery.info().device.startswith("cuda:0,1")
        gallery.add_vectors(["new"], Q[:1])
        assert gallery.search(Q[0], k=1)[0].id == "new"
        for kind in ("IVF128,SQ8", "IVF128,PQ32"):
            plan = gallery.optimize(0.9, index=kind, progress=False)
            assert (plan.factory, plan.device) == (kind, "cuda:0,1")
            assert gallery.search(Q[0], k=1)[0].id == "new"
            found, _ = answers(gallery, Q[1:])
            # The oracle knows the new row not, which takes the place of one neighbour at most.
            shared = np.mean([len(set(one) & set(other)) / K for one, other in zip(found, ids[1:], strict=True)])
            assert shared > 0.865
        gallery.add_vectors(["newer"], Q[1:2])
        assert gallery.search(Q[1], k=1)[0].id == "newer"


def as_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the first GPU stand for two, each with working memory and streams of its own."""
    card, free = gpu.Card, gpu.free_memory
    monkeypatch.setattr(gpu, "Card", lambda number: card(0))
    monkeypatch.setattr(gpu, "count", lambda: 2)
    monkeypatch.setattr(gpu, "free_memory", lambda number: free(0))


def test_want_of_memory_is_told_and_auto_goes_on(folder: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, Q = data
    free = gpu.free_memory(0)
    assert free is not None
    try:
        # Never written to: it takes no memory on the host.
        room = np.empty((int(free * 1.2) // (4 * 4096), 4096), dtype=np.float32)
    except MemoryError:
        pytest.skip("the host gives no array larger than the GPU")
    with pytest.raises(RuntimeError, match="memory"):
        placing.flat(room, [0])
    del room
    with Gallery.open(folder) as gallery:
        assert answers(gallery, Q)[0] == oracle(X, Q)[0]


def test_a_graph_built_there_serves_the_cpu_too(folder: Path, data: tuple[np.ndarray, np.ndarray]) -> None:
    if not gpu.has_graphs():
        pytest.skip("this FAISS was built without cuVS, so that it has no CAGRA")
    X, Q = data
    wanted, _ = oracle(X, Q)
    with Gallery.open(folder, device="cuda") as gallery:
        assert gallery.optimize(0.9, index="CAGRA32", progress=False).factory == "CAGRA32"
    for device in ("cuda", "cpu"):
        with Gallery.open(folder, device=device) as gallery:
            ids, _ = answers(gallery, Q)
            shared = np.mean([len(set(one) & set(other)) / K for one, other in zip(ids, wanted, strict=True)])
            assert shared > 0.865


def test_auto_measures_both(folder: Path) -> None:
    with Gallery.open(folder) as gallery:
        plan = gallery.optimize(0.9, progress=False)
        assert {"cpu", "cuda:0"} <= {trial.device for trial in plan.trials}
        assert (FLAT, "cuda:0", True) in {(trial.factory, trial.device, trial.half) for trial in plan.trials}


def test_a_graph_leads_from_cluster_to_cluster(tmp_path: Path) -> None:
    if not gpu.has_graphs():
        pytest.skip("this FAISS was built without cuVS, so that it has no CAGRA")
    rng = np.random.default_rng(1)
    # Farther apart than a graph of nearest neighbours reaches.
    X = unit(np.repeat(rng.standard_normal((150, DIM)), 100, axis=0) + 0.05 * rng.standard_normal((15_000, DIM)))
    Q = unit(X[::50] + 0.02 * rng.standard_normal((300, DIM)))
    wanted, _ = oracle(X, Q)
    placed = placing.graph(X, 0, degree=32)
    _, labels = placed.search(Q, K, 64)
    shared = np.mean(
        [len(set(map(str, one)) & set(other)) / K for one, other in zip(labels.tolist(), wanted, strict=True)]
    )
    assert shared > 0.9
