"""Batches of records to several processes and their vectors back, in order and within bounded memory."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from vsa.errors import WorkerError

_AHEAD = 2
"""Batches under way per worker: one at work and one waiting."""

_encoder: Any = None


def checked_workers(workers: int) -> int:
    """The number of worker processes; ValueError if it is no positive integer."""
    if type(workers) is not int or workers < 1:
        raise ValueError(f"workers must be a positive integer, got {workers!r}")
    return workers


def each(encoder: Any, method: str, calls: Iterable[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """What ``encoder.method(*arguments)`` gives for each of `calls`, in order, worked out by several processes.

    Parameters
    ----------
    encoder : object
        Pickled once for each worker.
    method : str
        Name of a method.
    calls : iterable of tuple
        Arguments; at most two for each worker are drawn ahead of the results that were taken.
    workers : int
        Processes. They are started afresh (``spawn``), so that no thread or lock is copied.

    Raises
    ------
    WorkerError
        If a worker died. What `calls` and `method` raise comes in the order of the calls, too.
    """
    waiting: deque[Future[Any]] = deque()
    stream = iter(calls)
    fault: Exception | None = None
    more = True
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start, initargs=(pickle.dumps(encoder),)
    )
    try:
        while more or waiting:
            while more and len(waiting) < _AHEAD * workers:
                try:
                    arguments = next(stream)
                    with _undisturbed():
                        waiting.append(pool.submit(_call, method, arguments))
                except StopIteration:
                    more = False
                except BrokenProcessPool:
                    raise
                except Exception as error:  # noqa: BLE001 - raised below, after the results that come before it
                    fault, more = error, False
            if waiting:
                yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process died: killed for want of memory (take fewer workers or a smaller cache_bytes), or the "
            'program that called has no `if __name__ == "__main__":` around what it does'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if fault is not None:
        raise fault


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Processes started in here are born deaf to Ctrl-C, which this process answers afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # would lift the mask, were it started within
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(pickled: bytes) -> None:
    """Begin a worker: Ctrl-C is for the parent to answer, and the cores are for the other workers."""
    global _encoder
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is first needed
    _encoder = pickle.loads(pickled)


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_encoder, method)(*arguments)
