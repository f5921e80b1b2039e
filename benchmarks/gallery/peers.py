"""Raw FAISS, hnswlib and usearch, each tuned on the queries it is then timed with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery.data import Array, Vectors
from benchmarks.gallery.measuring import resident, shares

Search = Callable[[Array], NDArray[np.int64]]

CORES = len(os.sched_getaffinity(0))
GRAPHS = (16, 32)


def steps(first: int, last: int) -> list[int]:
    """Efforts to try: whole numbers from one to another, each about a fifth above the one before."""
    return sorted({min(last, int(first * 2 ** (power / 4))) for power in range(4 * (last // first).bit_length() + 1)})


EFFORTS = steps(10, 512)


@dataclass
class Contender:
    """One way to search, and what it took to get there."""

    name: str
    settings: str
    search: Search
    recalls: NDArray[np.float64]
    megabytes: float
    build_seconds: float
    keep: list[Any] = field(default_factory=list)


def fastest(
    options: Iterator[tuple[str, Search]], Q: Array, truth: NDArray[np.int64], wanted: float
) -> tuple[str, Search, Any]:
    """Of the settings that reach the recall, the fastest in the best of three; else the one that comes nearest."""
    best: tuple[float, str, Search, Any] | None = None
    nearest: tuple[float, str, Search, Any] | None = None
    for settings, search in options:
        recalls = shares(search(Q), truth)
        if recalls.mean() < wanted:
            if nearest is None or recalls.mean() > nearest[0]:
                nearest = float(recalls.mean()), settings, search, recalls
            continue
        spent = min(_seconds(search, Q) for _ in range(3))
        if best is None or spent < best[0]:
            best = spent, settings, search, recalls
    chosen = best or nearest
    if chosen is None:
        raise ValueError("no settings to try")
    return chosen[1:]


def _seconds(work: Search, Q: Array) -> float:
    started = time.perf_counter()
    work(Q)
    return time.perf_counter() - started


def raw_faiss(
    factory: str, ours: tuple[int, int], data: Vectors, truth: NDArray[np.int64], wanted: float
) -> Iterator[Contender]:
    """The same kind of index by FAISS alone, re-ranked by its own IndexRefineFlat: as the gallery uses it, and tuned.

    `ours` are the lists that the gallery probes and the candidates that it re-ranks, or its efSearch and k.
    """
    import faiss

    before, started = resident(), time.perf_counter()
    index = faiss.index_factory(data.X.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    index.train(data.X)
    index.add(data.X)
    build = time.perf_counter() - started
    refined = faiss.IndexRefineFlat(index, faiss.swig_ptr(data.X))
    # What the index holds; the vectors that it re-ranks from are the caller's.
    memory = max(len(faiss.serialize_index(index)) / 1e6, resident() - before)
    inverted = isinstance(index, faiss.IndexIVF)
    k = truth.shape[1]

    def option(effort: int, width: int) -> tuple[str, Search]:
        if not inverted:
            graph = faiss.SearchParametersHNSW(efSearch=effort)
            return f"efSearch {effort}", lambda Q: np.asarray(index.search(Q, k, params=graph)[1])
        lists = faiss.SearchParametersIVF(nprobe=effort)
        both = faiss.IndexRefineSearchParameters(k_factor=width / k, base_index_params=lists)
        return f"nprobe {effort}, {width} re-ranked", lambda Q: np.asarray(refined.search(Q, k, params=both)[1])

    def options() -> Iterator[tuple[str, Search]]:
        # The least effort that is enough, for each number of candidates to re-rank.
        for factor in (2, 3, 4, 6, 8, 12, 16, 24, 32) if inverted else (1,):
            for effort in steps(1, index.nlist) if inverted else EFFORTS:
                named, search = option(effort, factor * k)
                yield named, search
                if shares(search(data.Q), truth).mean() >= wanted:
                    break

    keep = [index, refined]
    settings, search = option(*ours)
    recalls = shares(search(data.Q), truth)
    yield Contender(f"FAISS, {factory}, the gallery's settings", settings, search, recalls, memory, build, keep)
    settings, search, recalls = fastest(options(), data.Q, truth, wanted)
    yield Contender(f"FAISS, {factory}, tuned", settings, search, recalls, memory, build, keep)


def _efforts(
    ask: Callable[[int, Array], NDArray[np.int64]], Q: Array, truth: NDArray[np.int64], wanted: float
) -> Iterator[tuple[str, Search]]:
    """The least effort that reaches the recall, or the largest there is; more effort never finds less."""
    low, high = 0, len(EFFORTS) - 1
    while low < high:
        middle = (low + high) // 2
        if shares(ask(EFFORTS[middle], Q), truth).mean() >= wanted:
            high = middle
        else:
            low = middle + 1
    yield f"ef {EFFORTS[low]}", partial(ask, EFFORTS[low])


def _ask_hnswlib(index: Any, k: int, effort: int, Q: Array) -> NDArray[np.int64]:
    index.set_ef(effort)
    return np.asarray(index.knn_query(Q, k=k)[0], dtype=np.int64)


def _ask_usearch(index: Any, k: int, effort: int, Q: Array) -> NDArray[np.int64]:
    index.expansion_search = effort
    return np.asarray(index.search(Q, k, threads=CORES).keys, dtype=np.int64).reshape(len(Q), -1)


def _kept(file: Path, make: Callable[[], Any], save: Callable[[Any, str], Any], load: Callable[[str], Any]) -> Any:
    """(index, seconds of its building) from a file, or made and put there."""
    note = file.with_suffix(".json")
    if note.exists():
        return load(str(file)), json.loads(note.read_text())["seconds"]
    started = time.perf_counter()
    index = make()
    seconds = time.perf_counter() - started
    file.parent.mkdir(parents=True, exist_ok=True)
    save(index, str(file))
    note.write_text(json.dumps({"seconds": seconds}))
    return index, seconds


def hnswlib(data: Vectors, truth: NDArray[np.int64], wanted: float, cache: Path) -> Iterator[Contender]:
    """Graphs of hnswlib, efConstruction 200, all cores."""
    import hnswlib as library

    def make(links: int) -> Any:
        index = library.Index(space="ip", dim=data.X.shape[1])
        index.init_index(len(data.X), M=links, ef_construction=200)
        index.set_num_threads(CORES)
        index.add_items(data.X)
        return index

    def load(file: str) -> Any:
        index = library.Index(space="ip", dim=data.X.shape[1])
        index.load_index(file)
        return index

    for links in GRAPHS:
        before = resident()
        file = cache / f"hnswlib-{data.name}-{len(data.X)}-{links}.bin"
        index, build = _kept(file, partial(make, links), lambda index, file: index.save_index(file), load)
        index.set_num_threads(CORES)
        memory = resident() - before
        options = _efforts(partial(_ask_hnswlib, index, truth.shape[1]), data.Q, truth, wanted)
        settings, search, recalls = fastest(options, data.Q, truth, wanted)
        yield Contender("hnswlib", f"M {links}, {settings}", search, recalls, memory, build, [index])


def usearch(data: Vectors, truth: NDArray[np.int64], wanted: float, cache: Path) -> Iterator[Contender]:
    """Graphs of usearch, expansion 200 while building, all cores; the wider one in bf16 only, its faster storage."""
    from usearch.index import Index

    def make(links: int, storage: str) -> Any:
        index = Index(
            ndim=data.X.shape[1], metric="ip", dtype=storage, connectivity=links, expansion_add=200, expansion_search=64
        )
        index.add(np.arange(len(data.X)), data.X, threads=CORES)
        return index

    for storage, links in (("f32", GRAPHS[0]), *(("bf16", links) for links in GRAPHS)):
        before = resident()
        file = cache / f"usearch-{data.name}-{len(data.X)}-{storage}-{links}.bin"
        index, build = _kept(file, partial(make, links, storage), lambda index, file: index.save(file), Index.restore)
        memory = resident() - before
        options = _efforts(partial(_ask_usearch, index, truth.shape[1]), data.Q, truth, wanted)
        settings, search, recalls = fastest(options, data.Q, truth, wanted)
        name = f"usearch {storage}"
        yield Contender(name, f"connectivity {links}, {settings}", search, recalls, memory, build, [index])
