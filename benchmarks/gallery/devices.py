"""The gallery on a GPU, beside the gallery on the CPU of the same machine and FAISS alone on the same GPU."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import results
from benchmarks.gallery.data import Array, Vectors
from benchmarks.gallery.measuring import interval, rate, ratio, shares, take_turns
from retrieval import Gallery, exact
from retrieval.plan import FLAT

RECALL, K, ROUNDS, SINGLES = 0.95, 10, 15, 100

Search = Callable[[Any], NDArray[Any]]
Contender = tuple[str, str, Search, float]


def run(data: Vectors) -> str:
    """The section's text."""
    import torch

    if not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU")
    truth, _ = exact.search(data.Q, data.X, np.arange(len(data.X)), K)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g"
        with Gallery.create(path, dim=data.X.shape[1], device="cpu") as gallery:
            gallery.add_vectors(range(len(data.X)), data.X)
        contenders, plans, opened = [], [], []
        on_device = torch.from_numpy(data.Q).cuda()
        for name, device, index in (
            ("gallery, CPU", "cpu", FLAT),
            ("gallery, GPU", "cuda", FLAT),
            ("gallery, CPU", "cpu", ""),
            ("gallery, GPU", "cuda", ""),
        ):
            # Each plan is the gallery's own: what was found for one device would serve the other badly.
            own = path if index == FLAT else _copied(path, Path(folder) / device)
            gallery = Gallery.open(own, device=device)
            opened.append(gallery)
            settings, build = "every vector compared, exact", 0.0
            if not index:
                started = time.perf_counter()
                plan = gallery.optimize(RECALL, K, queries=data.Q, progress=False)
                seconds = time.perf_counter() - started
                chosen = plan.chosen
                settings = f"{plan.factory}, breadth {plan.breadth}, {plan.width} re-ranked"
                settings += " (float16)" if plan.half else ""
                build = chosen.build_seconds if chosen else 0.0
                plans.append(f"`optimize` on {plan.device}, {seconds:.1f} s:\n\n```text\n{plan}\n```")
            search = partial(_ask, gallery)
            contenders.append((name, settings, search, build))
            if device == "cuda":
                contenders.append((f"{name}, tensor there", settings, partial(_ask_there, search, on_device), build))
        contenders += _raw(data, truth)
        work = {f"{name} | {settings}": partial(search, data.Q) for name, settings, search, _ in contenders}
        found = {key: np.asarray(one()).astype(np.int64) for key, one in work.items()}
        times = take_turns(work, ROUNDS)
        singles = [_single(search, data.Q) for _, _, search, _ in contenders]
        for gallery in opened:
            gallery.close()
    ours = next(key for key in work if key.startswith("gallery, GPU | every"))
    tuned = [key for key in work if key.startswith("gallery, GPU |")][-1]
    rows = [
        [
            name,
            settings,
            interval(shares(found[key], truth)),
            f"{rate(times, key, len(data.Q)):,.0f}",
            f"{ratio(times, ours, key):.2f}",
            f"{ratio(times, tuned, key):.2f}",
            single,
            f"{build:.1f}",
        ]
        for key, (name, settings, _, build), single in zip(work, contenders, singles, strict=True)
    ]
    head = ["what", "settings", f"recall@{K} [95 %]", "queries/s", "exact gallery on the GPU is × as fast"]
    head += ["indexed gallery on the GPU is × as fast", "one query, p50 ms", "build s"]
    n, dim = data.X.shape
    card = torch.cuda.get_device_name(0)
    return (
        f"{card}. {n:,} × {dim}, {len(data.Q):,} held-out queries in one batch, medians of {ROUNDS} rounds that take "
        f"turns; payloads are left out, ids and exact scores come back to the host.\n\n{results.table(head, rows)}\n\n"
        + "\n\n".join(plans)
    )


def _copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def _ask(gallery: Gallery, Q: Any) -> NDArray[Any]:
    return gallery.search(Q, K, payloads=False).ids


def _ask_there(search: Search, batch: Any, Q: Array) -> NDArray[Any]:
    """Ask with a tensor that is there already; the whole batch, or one query of it."""
    return search(batch if len(Q) == len(batch) else batch[:1])


def _raw(data: Vectors, truth: NDArray[np.int64]) -> Iterator[Contender]:
    """FAISS's own GPU indexes: flat in both widths, inverted files tuned to the recall, a graph where there is one."""
    import faiss

    resources = faiss.StandardGpuResources()
    dim = data.X.shape[1]
    for half in (False, True):
        started = time.perf_counter()
        options = faiss.GpuIndexFlatConfig()
        options.useFloat16 = half
        options.use_cuvs = False
        flat = faiss.GpuIndexFlatIP(resources, dim, options)
        flat.add(data.X)
        name = f"faiss-gpu flat, float{16 if half else 32}"
        yield name, "not re-ranked", partial(_flat, flat), time.perf_counter() - started
    lists = 1024 if len(data.X) > 100_000 else 256
    for kind in ("Flat", "SQ8"):
        started = time.perf_counter()
        cloner = faiss.GpuClonerOptions()
        cloner.use_cuvs = False
        made = faiss.index_factory(dim, f"IVF{lists},{kind}", faiss.METRIC_INNER_PRODUCT)
        index = faiss.index_cpu_to_gpu(resources, 0, made, cloner)
        index.train(data.X)
        index.add(data.X)
        build = time.perf_counter() - started
        for probes in (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 90, 128, 181, 256, 512):
            search = partial(_inverted, index, probes)
            if probes <= lists and shares(search(data.Q), truth).mean() >= RECALL:
                break
        yield f"faiss-gpu IVF{lists},{kind}", f"nprobe {probes}, not re-ranked", search, build
    if hasattr(faiss, "GpuIndexCagra"):
        started = time.perf_counter()
        options = faiss.GpuIndexCagraConfig()
        options.graph_degree, options.intermediate_graph_degree = 64, 128
        graph = faiss.GpuIndexCagra(resources, dim, faiss.METRIC_INNER_PRODUCT, options)
        graph.train(data.X)
        build = time.perf_counter() - started
        for effort in (16, 32, 64, 128, 256, 512):
            search = partial(_graph, graph, effort)
            if shares(search(data.Q), truth).mean() >= RECALL:
                break
        yield "faiss-gpu CAGRA, degree 64", f"itopk {effort}, not re-ranked", search, build


def _flat(index: Any, Q: Array) -> NDArray[np.int64]:
    return np.asarray(index.search(Q, K)[1])


def _inverted(index: Any, probes: int, Q: Array) -> NDArray[np.int64]:
    import faiss

    return np.asarray(index.search(Q, K, params=faiss.SearchParametersIVF(nprobe=probes))[1])


def _graph(index: Any, effort: int, Q: Array) -> NDArray[np.int64]:
    import faiss

    parameters = faiss.SearchParametersCagra()
    parameters.itopk_size = effort
    return np.asarray(index.search(Q, K, params=parameters)[1])


def _single(search: Search, Q: Array) -> str:
    times = []
    for q in Q[:SINGLES]:
        started = time.perf_counter()
        search(q[None, :])
        times.append(1e3 * (time.perf_counter() - started))
    return f"{statistics.median(times):.2f}"
