"""Threads that share a batch."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval import pool


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_number_is_done_once(n: int, threads: int) -> None:
    done = np.zeros(n, dtype=int)
    calls: list[tuple[int, int]] = []

    def work(start: int, stop: int) -> None:
        done[start:stop] += 1
        calls.append((start, stop))

    pool.share(work, n, threads)
    assert (done == 1).all()
    assert len(calls) == max(1, min(threads, n))


def test_threads_work_at_once_and_this_one_is_among_them() -> None:
    both = threading.Barrier(2, timeout=30)
    names: set[str] = set()

    def work(start: int, stop: int) -> None:
        both.wait()
        names.add(threading.current_thread().name)

    pool.share(work, 2, 2)
    assert len(names) == 2
    assert threading.current_thread().name in names


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_is_raised_once_no_thread_is_at_it(failing: int) -> None:
    over: list[int] = []
    begun: list[int] = []

    def work(start: int, stop: int) -> None:
        begun.append(start)
        if start == failing:
            raise MemoryError("no room")
        time.sleep(0.05)
        over.append(start)

    with pytest.raises(MemoryError, match="no room"):
        pool.share(work, 3, 3)
    assert sorted(over) == sorted(set(begun) - {failing})


def test_a_batch_does_not_wait_for_the_threads_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    with ThreadPoolExecutor(1) as busy:
        monkeypatch.setattr(pool._pool, "threads", busy)
        busy.submit(done.wait, 30)
        try:
            calls: list[int] = []
            pool.share(lambda start, stop: calls.append(start), 4, 2)
            assert calls == [0, 2]
        finally:
            done.set()


def _in_a_child(place: multiprocessing.Queue[int]) -> None:
    both = threading.Barrier(2, timeout=30)
    names: set[str] = set()

    def work(start: int, stop: int) -> None:
        both.wait()
        names.add(threading.current_thread().name)

    pool.share(work, 2, 2)
    place.put(len(names))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    place: multiprocessing.Queue[int] = context.Queue()
    _in_a_child(place)
    child = context.Process(target=_in_a_child, args=(place,))
    child.start()
    try:
        assert [place.get(timeout=60), place.get(timeout=60)] == [2, 2]
    finally:
        child.join(timeout=60)
        child.kill()
    assert child.exitcode == 0
