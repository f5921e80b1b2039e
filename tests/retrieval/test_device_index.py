"""Indexes on a GPU: chosen by measurement, stored for the CPU, followed through writes; by the stand-in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from gpu_stand_in import Cagra, DeviceTensor, GpuIndex, Library, install
from reference_gallery import unit

import retrieval
from retrieval import Gallery, ann, exact, placing, tuning
from retrieval.plan import FLAT, Plan, Trial

N, DIM = 2400, 32
GB = 1_000_000_000


@pytest.fixture(autouse=True)
def _untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fastest is for each test to say."""
    monkeypatch.setattr(tuning, "_rate", lambda search, n_queries: (search(), 1.0)[1])
    monkeypatch.setattr(tuning, "SMALL", 1000)


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, DIM))
    X = unit(centres[rng.integers(0, 60, N)] + 0.4 * rng.standard_normal((N, DIM)))
    Q = unit(centres[rng.integers(0, 60, 100)] + 0.4 * rng.standard_normal((100, DIM)))
    return X, Q


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Library:
    return install(monkeypatch, Library([8 * GB, 8 * GB]))


@pytest.fixture
def folder(tmp_path: Path, data: tuple[np.ndarray, np.ndarray]) -> Path:
    with Gallery.create(tmp_path / "g", dim=DIM, device="cpu") as gallery:
        gallery.add_vectors(range(N), data[0])
    return tmp_path / "g"


def recall(gallery: Gallery, X: np.ndarray, Q: np.ndarray, k: int = 10) -> float:
    rows, _ = exact.search(Q, X, np.arange(len(X)), k)
    found = gallery.search(Q, k, payloads=False)
    return float(
        np.mean([len({hit.id for hit in hits} & set(map(str, row))) / k for hits, row in zip(found, rows, strict=True)])
    )


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "cuda:0,1"])
@pytest.mark.parametrize("kind", ["IVF64,Flat", "IVF64,SQ8", "IVF64,PQ16"])
def test_a_kind_reaches_its_recall_on_the_gpu_and_from_the_same_folder_on_the_cpu(
    kind: str, device: str, gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, Q = data
    with Gallery.open(folder, device=device) as gallery:
        plan = gallery.optimize(0.9, index=kind, progress=False)
        name = "cuda:0" if device == "cuda" else device
        assert (plan.factory, plan.device) == (kind, name)
        assert plan.chosen is not None
        assert plan.chosen.device == name
        assert f" {name} " in str(plan)
        gpus.searches.clear()
        # 100 queries whose recall spreads by at most .2: the mean is within .05 but for one case in a hundred.
        assert recall(gallery, X, Q) > 0.85
        inner = type(faiss.index_factory(DIM, kind, faiss.METRIC_INNER_PRODUCT)).__name__
        assert {one[0] for one in gpus.searches} == {inner}
        assert {one[1] for one in gpus.searches} == set(map(int, name[5:].split(",")))
        on_gpu = [list(hits) for hits in gallery.search(Q[:50], k=10)]
        assert gallery.info().device == f"{name}; as asked"
    gpus.searches.clear()
    with Gallery.open(folder, device="cpu") as gallery:
        assert [list(hits) for hits in gallery.search(Q[:50], k=10)] == on_gpu
        assert gallery.info().device == "cpu; as asked"
        assert kind in gallery.info().index
    assert not gpus.searches


@pytest.mark.parametrize("device", ["cuda", "cuda:0,1"])
def test_writes_are_seen_at_once_on_the_gpu(
    device: str, gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, Q = data
    with Gallery.open(folder, device=device) as gallery, Gallery.open(folder, device=device) as other:
        gallery.optimize(0.95, index="IVF64,SQ8", progress=False)
        for reader in (gallery, other):
            assert reader.search(X[5], k=1)[0].id == "5"
        gallery.add_vectors(["new"], Q[:1])
        gallery.add_vectors(["5"], -X[5:6])
        gallery.delete(["77"])
        gpus.searches.clear()
        for reader in (gallery, other):
            assert reader.search(Q[0], k=1)[0].id == "new"
            assert reader.search(-X[5], k=1)[0].id == "5"
            assert "5" not in [hit.id for hit in reader.search(X[5], k=5)]
            assert "77" not in [hit.id for hit in reader.search(X[77], k=50)]
        assert gpus.searches
        gpus.searches.clear()
        # Beyond the GPU's limit the CPU's index answers.
        hits = gallery.search(X[77], k=N + 100)
        assert len(hits) == len({hit.id for hit in hits}) == N
        assert not gpus.searches
        gallery.delete(map(str, range(100, 1400)))
        for reader in (gallery, other):
            got = [hit.id for hit in reader.search(X[1600], k=400)]
            assert got[0] == "1600"
            assert len(got) == 400
            assert not set(got) & set(map(str, range(100, 1400)))


def test_tensors_go_to_the_index_by_their_address(
    gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray]
) -> None:
    _, Q = data
    with Gallery.open(folder, device="cuda") as gallery:
        gallery.optimize(0.95, index="IVF64,SQ8", progress=False)
        truth = [list(hits) for hits in gallery.search(Q, k=5)]
        before = gpus.by_address
        assert [list(hits) for hits in gallery.search(DeviceTensor.of(Q), k=5)] == truth
        assert gpus.by_address == before + 1


def test_auto_tries_both_and_each_plan_runs_where_it_was_fastest(
    gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _ = data
    with Gallery.open(folder) as gallery:
        plan = gallery.optimize(0.9, progress=False)
        told = [(trial.factory, trial.device, trial.half) for trial in plan.trials]
        assert told[:3] == [("Flat", "cpu", False), ("Flat", "cuda:0", False), ("Flat", "cuda:0", True)]
        assert {kind for kind, device, _ in told[3:] if device == "cuda:0"} == {
            "IVF128,SQ8",
            "IVF128,Flat",
            "IVF128,PQ16",
        }
        assert ("HNSW32", "cpu", False) in told
        assert Plan.from_text(plan.to_text()) == plan
    for contender, expected in [
        ("HNSW32", "cpu; `optimize` found it faster here than on the GPU"),
        ("Flat on cuda:0, float16", "cuda:0; a GPU is there and the vectors fit; in float16, which `optimize` found"),
        ("IVF128,Flat on cuda:0", "cuda:0; a GPU is there and the vectors fit"),
    ]:
        with monkeypatch.context() as patch:
            tried = tuning._tried
            patch.setattr(
                tuning,
                "_tried",
                lambda one, *args, tried=tried, best=contender: _with_rate(
                    tried(one, *args), 1e9 if str(one) == best else 1.0
                ),
            )
            with Gallery.open(folder) as gallery:
                plan = gallery.optimize(0.9, progress=False)
                assert contender.startswith(plan.factory)
                gallery.search(X[3], k=1)
                assert gallery.info().device.startswith(expected)
                head, *rows = str(plan).splitlines()
                assert "device" in head
                assert sum(row.startswith("*") for row in rows) == 1


def _with_rate(result: Any, rate: float) -> Any:
    live, trial = result
    return live, Trial(**{**vars(trial), "queries_per_second": rate})


def test_kinds_that_no_gpu_takes_are_refused_under_cuda(gpus: Library, folder: Path) -> None:
    with Gallery.open(folder, device="cuda") as gallery:
        for kind in ("HNSW16", "IVF64,RaBitQ", "IVF64,PQ8x4fsr"):
            with pytest.raises(retrieval.DeviceError, match=f"FAISS cannot put '{kind}' on a GPU; it can put IVF"):
                gallery.optimize(index=kind, progress=False)
        plan = gallery.optimize(progress=False, recall=0.9)
        assert {trial.device for trial in plan.trials} == {"cuda:0"}
    with Gallery.open(folder) as gallery:
        plan = gallery.optimize(index="HNSW16", progress=False, recall=0.9)
        assert (plan.factory, plan.device) == ("HNSW16", "cpu")
    with Gallery.open(folder, device="cuda:5") as gallery, pytest.raises(retrieval.DeviceError, match="finds 2 GPUs"):
        gallery.optimize(progress=False)


def test_an_index_from_a_machine_without_a_gpu(
    folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, Q = data
    install(monkeypatch, Library([]))
    monkeypatch.setattr("retrieval.tuning._flat", lambda table, asked: Trial(FLAT, 0, 10, 1, 1, 1, 1e-9, 0, 0, True))
    with Gallery.open(folder) as gallery:
        gallery.optimize(0.9, index="HNSW16", progress=False)
        truth = [list(hits) for hits in gallery.search(Q, k=10)]
    gpus = install(monkeypatch, Library([8 * GB]))
    with Gallery.open(folder) as gallery:
        assert [list(hits) for hits in gallery.search(Q, k=10)] == truth
        assert "FAISS cannot put the index HNSW16 on a GPU" in gallery.info().device
        assert not gpus.searches
    with Gallery.open(folder, device="cuda") as gallery:
        assert recall(gallery, X, Q) == 1.0
        assert "every vector is compared there" in gallery.info().device
        assert {one[0] for one in gpus.searches} == {"IndexFlatIP"}


def test_what_does_not_fit_is_left_out_with_a_remark(
    gpus: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.device.RESERVE", 0)
    monkeypatch.setattr("gpu_stand_in.RESERVED", 0)
    # Room for the vectors that searches go on with meanwhile, 317 kB, and for the smallest codes beside them.
    gpus.free[:] = [450_000, 0]
    with Gallery.open(folder) as gallery:
        plan = gallery.optimize(0.9, progress=False)
        assert {trial.factory for trial in plan.trials if trial.device != "cpu"} == {"IVF128,PQ16"}
        assert any("IVF128,Flat on a GPU: not tried, the vectors and FAISS need" in one for one in plan.remarks)
    # The estimate was too low: the failure itself is the remark.
    monkeypatch.setattr("retrieval.gpu.free_memory", lambda number: None)
    gpus.free[:] = [100, 100]
    with Gallery.open(folder) as gallery:
        plan = gallery.optimize(0.9, progress=False)
        assert {trial.device for trial in plan.trials} == {"cpu"}
        assert any(one.startswith("IVF128,SQ8 on cuda:0: ") and "out of memory" in one for one in plan.remarks)
    with (
        Gallery.open(folder, device="cuda") as gallery,
        pytest.raises(retrieval.DeviceError, match=r'device="cuda": .*out of memory'),
    ):
        gallery.optimize(0.9, progress=False)


def test_a_gpu_that_is_lost_leaves_the_index_to_the_cpu(
    gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray]
) -> None:
    _, Q = data
    with Gallery.open(folder) as gallery:
        gallery.optimize(0.9, index="IVF64,SQ8", progress=False)
        truth = [list(hits) for hits in gallery.search(Q, k=10)]
        gpus.per_query = GB
        assert [list(hits) for hits in gallery.search(Q, k=10)] == truth
        assert gallery.info().device.startswith("cpu; the GPU failed")
        assert gpus.held == [0, 0]
    with Gallery.open(folder, device="cuda") as gallery, pytest.raises(retrieval.DeviceError, match="out of memory"):
        gallery.search(Q, k=10)


@pytest.mark.parametrize("gpus_used", [[0], [0, 1]])
@pytest.mark.parametrize("kind", ["IVF64,Flat", "IVF64,SQ8", "IVF64,PQ16"])
def test_what_is_built_on_gpus_is_what_is_built_on_the_cpu(
    kind: str, gpus_used: list[int], gpus: Library, data: tuple[np.ndarray, np.ndarray]
) -> None:
    X, Q = data
    rows = np.arange(0, N, 2)
    made, placed = placing.built(kind, X, gpus_used, train_on=1200, rows=rows)
    own = ann.build(kind, X, train_on=1200, rows=rows)
    assert made.ntotal == own.ntotal == len(placed) == len(rows)
    wanted = ann.candidates(own, Q, 20, 16)
    assert np.array_equal(ann.candidates(made, Q, 20, 16), wanted)
    assert np.array_equal(placed.search(Q, 20, 16)[1], wanted)


class TestGraphs:
    """CAGRA, which takes no more rows once it is built, and is an HNSW graph on the CPU."""

    @pytest.fixture
    def gpus(self, monkeypatch: pytest.MonkeyPatch) -> Library:
        return install(monkeypatch, Library([8 * GB], graphs=True))

    def test_it_is_built_on_the_gpu_and_kept_for_the_cpu(
        self, gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        X, Q = data
        with Gallery.open(folder, device="cuda") as gallery:
            plan = gallery.optimize(0.95, index="CAGRA32", progress=False)
            assert (plan.factory, plan.device) == ("CAGRA32", "cuda:0")
            assert recall(gallery, X, Q) > 0.9
            assert {one[0] for one in gpus.searches} >= {"IndexHNSWCagra"}
        install(monkeypatch, Library([]))
        with Gallery.open(folder) as gallery:
            assert recall(gallery, X, Q) > 0.9
            assert gallery.info().device == "cpu; this build of FAISS finds no GPU"
            with pytest.raises(ValueError, match=r"CAGRA32 is built on a GPU, .* HNSW16 is its like on the CPU"):
                gallery.optimize(index="CAGRA32", progress=False)
            # Its file is lost: the nearest relative that the CPU can build takes over.
            (file,) = folder.glob("*.faiss")
            file.unlink()
        with Gallery.open(folder) as gallery:
            assert recall(gallery, X, Q) > 0.9

    def test_the_cpu_searches_it_with_the_effort_that_it_needs_there(
        self, gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        X, Q = data
        # As on a real one, where the same number means more: some effort is added to what was asked for.
        search = Cagra.search

        def keen(self: Cagra, Q: np.ndarray, k: int, *, params: Any = None) -> tuple[np.ndarray, np.ndarray]:
            params.itopk_size = min(512, 8 * params.itopk_size)
            return search(self, Q, k, params=params)

        monkeypatch.setattr(Cagra, "search", keen)
        with Gallery.open(folder, device="cuda") as gallery:
            plan = gallery.optimize(0.99, index="CAGRA8", queries=Q, progress=False)
        assert plan.breadth_on_cpu > plan.breadth
        install(monkeypatch, Library([]))
        with Gallery.open(folder) as gallery:
            assert recall(gallery, X, Q) >= 0.99
            (live,) = gallery._searcher._lives.values()
            assert live is not None
            live.plan = replace(plan, breadth_on_cpu=0)
            assert recall(gallery, X, Q) < 0.98

    def test_new_rows_are_compared_beside_it_until_it_is_built_anew(
        self, gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        X, Q = data
        built = []
        train = gpus.GpuIndexCagra.train
        monkeypatch.setattr(gpus.GpuIndexCagra, "train", lambda self, X: built.append(len(X)) or train(self, X))
        with Gallery.open(folder, device="cuda") as gallery:
            gallery.optimize(0.95, index="CAGRA32", progress=False)
            gallery.search(X[0])
            built.clear()
            gallery.add_vectors([f"new-{row}" for row in range(len(Q))], Q)
            gallery.add_vectors(["5"], -X[5:6])
            gallery.delete(["77"])
            assert [hits[0].id for hits in gallery.search(Q, k=1)] == [f"new-{row}" for row in range(len(Q))]
            assert gallery.search(-X[5], k=1)[0].id == "5"
            assert "77" not in [hit.id for hit in gallery.search(X[77], k=20)]
            assert not built
            gallery.add_vectors([f"more-{row}" for row in range(len(Q))], unit(Q + 0.01))
            assert [hits[0].id for hits in gallery.search(unit(Q + 0.01), k=1)] == [f"more-{n}" for n in range(len(Q))]
            assert built == [N + 2 * len(Q) - 1]
            assert gallery.search(-X[5], k=1)[0].id == "5"
            assert "77" not in [hit.id for hit in gallery.search(X[77], k=20)]
            assert gallery.search(X[2000], k=1)[0].id == "2000"

    def test_auto_tries_it(self, gpus: Library, folder: Path) -> None:
        with Gallery.open(folder) as gallery:
            plan = gallery.optimize(0.9, progress=False)
            assert ("CAGRA64", "cuda:0") in {(trial.factory, trial.device) for trial in plan.trials}


def test_no_selector_ever_reaches_the_gpu(
    gpus: Library, folder: Path, data: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, _ = data
    given = []
    search = GpuIndex.search
    monkeypatch.setattr(
        GpuIndex,
        "search",
        lambda self, Q, k, *, params=None: (
            given.append(getattr(params, "sel", None)) or search(self, Q, k, params=params)
        ),
    )
    with Gallery.open(folder, device="cuda") as gallery:
        gallery.set_payloads(range(N), [{"n": row} for row in range(N)])
        gallery.optimize(0.95, index="IVF64,SQ8", progress=False)
        for kept in (10, 1300):
            hits = gallery.search(X[:5], k=8, where={"n": {"<": kept}})
            rows, _ = exact.search(X[:5], X[:kept], np.arange(kept), 8)
            assert [[int(hit.id) for hit in one] for one in hits] == rows.tolist()
        gallery.search(X[:5])
    assert set(given) == {None}


def test_an_index_on_a_gpu_far_beyond_the_memory_is_not_built(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    install(monkeypatch, Library([8 * GB], graphs=True))
    built: list[str] = []
    make = placing.built
    monkeypatch.setattr(
        placing, "built", lambda factory, *rest, **more: built.append(factory) or make(factory, *rest, **more)
    )
    with Gallery.open(folder, device="cuda") as gallery:
        plan = gallery.optimize(0.5, memory=250_000, progress=False)
    assert [factory.partition(",")[2] for factory in built] == ["PQ16", "SQ8"]
    for left_out in ("CAGRA64", "IVF128,Flat"):
        assert any(line.startswith(f"{left_out} on cuda:0: not built; more than") for line in plan.remarks)
