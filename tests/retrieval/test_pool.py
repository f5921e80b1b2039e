"""Threads that share a batch."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

import numpy as np
import pytest

from retrieval import pool


@pytest.mark.parametrize("n", [0, 1, 2, 7, 100])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_every_number_is_done_once_and_one_part_here(n: int, parts: int) -> None:
    done = np.zeros(n, dtype=int)
    names: list[str] = []

    def work(start: int, stop: int) -> None:
        done[start:stop] += 1
        names.append(threading.current_thread().name)

    pool.share(work, n, parts)
    assert (done == 1).all()
    assert len(names) == max(1, min(parts, n))
    assert threading.current_thread().name in names


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_is_raised_once_all_parts_are_over(failing: int) -> None:
    over = []

    def work(start: int, stop: int) -> None:
        if start == failing:
            raise MemoryError("no room")
        time.sleep(0.05)
        over.append(start)

    with pytest.raises(MemoryError, match="no room"):
        pool.share(work, 3, 3)
    assert sorted(over) == sorted({0, 1, 2} - {failing})


def _in_a_child(place: multiprocessing.Queue[list[str]]) -> None:
    names: list[str] = []
    pool.share(lambda start, stop: names.append(threading.current_thread().name), 2, 2)
    place.put(names)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    context = multiprocessing.get_context("fork")
    place: multiprocessing.Queue[list[str]] = context.Queue()
    _in_a_child(place)
    child = context.Process(target=_in_a_child, args=(place,))
    child.start()
    try:
        assert sorted(map(len, place.get(timeout=60))) == sorted(map(len, place.get(timeout=60)))
    finally:
        child.join(timeout=60)
        child.kill()
    assert child.exitcode == 0
