"""Batches through an index at recall@10 >= .95: a gallery beside FAISS alone, hnswlib and usearch."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.gallery import peers, results
from benchmarks.gallery.data import Vectors
from benchmarks.gallery.measuring import best_rate, interval, rate, ratio, resident, shares, take_turns
from retrieval import Gallery, exact
from retrieval.plan import FLAT

RECALL, K, ROUNDS = 0.95, 10, 61


def numbers(ids: NDArray[Any]) -> NDArray[np.int64]:
    """Ids of a gallery that was filled with 0, 1, ... as numbers."""
    return ids.astype(np.int64)


def run(data: Vectors, cache: Path) -> str:
    """Build, tune and time all of them; the section's text. Graphs of the peers are kept in the cache."""
    truth, _ = exact.search(data.Q, data.X, np.arange(len(data.X)), K)
    with tempfile.TemporaryDirectory() as folder, Gallery.create(Path(folder) / "g", dim=data.X.shape[1]) as gallery:
        started = time.perf_counter()
        gallery.add_vectors(range(len(data.X)), data.X, [{"title": f"Work {row}"} for row in range(len(data.X))])
        added = time.perf_counter() - started
        started = time.perf_counter()
        # Every contender is tuned on the queries that it is timed with.
        plan = gallery.optimize(RECALL, K, queries=data.Q, progress=False)
        tuned = time.perf_counter() - started
        found = gallery.search(data.Q, K, payloads=False)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            memory = apart.submit(_opened, gallery.path, data.Q).result()
        chosen = plan.chosen
        settings = f"{plan.factory}, breadth {plan.breadth}, {plan.width} re-ranked"
        ours = peers.Contender(
            "gallery.search, payloads=False",
            settings,
            lambda Q: gallery.search(Q, K, payloads=False).ids,
            shares(numbers(found.ids), truth),
            memory,
            chosen.build_seconds if chosen else 0.0,
        )
        with_payloads = peers.Contender(
            "gallery.search",
            settings,
            lambda Q: gallery.search(Q, K).ids,
            ours.recalls,
            memory,
            ours.build_seconds,
        )
        contenders = [ours, with_payloads]
        if plan.factory != FLAT:
            contenders += peers.raw_faiss(plan.factory, (plan.breadth, plan.width), data, truth, RECALL)
        for peer in (peers.hnswlib, peers.usearch):
            contenders += _where_installed(peer, data, truth, cache)
        work = {f"{one.name} {one.settings}": partial(one.search, data.Q) for one in contenders}
        first = next(iter(work))
        times = take_turns(work, ROUNDS)
        singles = _singles(contenders, data)
    rows = [
        [
            one.name,
            one.settings,
            interval(one.recalls),
            f"{best_rate(times, name, len(data.Q)):,.0f}",
            f"{rate(times, name, len(data.Q)):,.0f}",
            "" if name == first else f"{best_rate(times, first, 1) / best_rate(times, name, 1):.2f}",
            "" if name == first else f"{ratio(times, first, name):.2f}",
            single,
            f"{one.megabytes:.0f}",
            f"{one.build_seconds:.1f}",
        ]
        for name, one, single in zip(work, contenders, singles, strict=True)
    ]
    head = [
        "what",
        "settings",
        f"recall@{K} [95 %]",
        "queries/s, best round",
        "median",
        "gallery is × as fast, best rounds",
        "median",
        "one query, p50 ms",
        "RSS + MB",
        "build s",
    ]
    n, dim = data.X.shape
    return (
        f"{n:,} × {dim}, {len(data.Q):,} held-out queries in one batch, all cores, {ROUNDS} rounds "
        f"that take turns. Added in {added:.1f} s, tuned (all kinds) in {tuned:.1f} s. The gallery's MB "
        f"hold vectors and ids, FAISS's only its codes.\n\n{results.table(head, rows)}"
    )


def _opened(path: Path, Q: NDArray[np.float32]) -> float:
    """MB that a gallery takes in a process that opens it and searches."""
    with Gallery.open(path) as gallery:
        gallery.info()
        before = resident()
        gallery.search(Q, K, payloads=False)
        return resident() - before


def _where_installed(
    peer: Callable[..., Iterator[peers.Contender]], data: Vectors, truth: NDArray[np.int64], cache: Path
) -> Iterator[peers.Contender]:
    try:
        yield from peer(data, truth, RECALL, cache)
    except ImportError as error:
        print(f"left out: {error}", flush=True)


def _singles(contenders: list[peers.Contender], data: Vectors) -> list[str]:
    """The middle time in ms of a query by itself, for each."""
    times: list[list[float]] = [[] for _ in contenders]
    for q in data.Q[:200]:
        for one, spent in zip(contenders, times, strict=True):
            started = time.perf_counter()
            one.search(q[None, :])
            spent.append(1e3 * (time.perf_counter() - started))
    return [f"{statistics.median(spent):.2f}" for spent in times]
