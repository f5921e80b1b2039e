"""Threads that share a batch of queries."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class _Pool:
    """The threads of this process, started when first wanted."""

    def __init__(self) -> None:
        self.threads: ThreadPoolExecutor | None = None

    def forked(self) -> None:
        """Forget threads that a child process has not."""
        self.threads = None


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forked)


def share(work: Callable[[int, int], None], n: int, threads: int) -> None:
    """Do ``work(start, stop)`` for 0 to n in some threads at once, this one among them.

    One piece for each, since searches of fewer queries take longer together; a piece that no thread is free for is
    done by one that is done with its own.

    Raises
    ------
    Exception
        What the work raises, once no thread is at it any more.
    """
    threads = min(threads, n)
    if threads < 2:
        work(0, n)
        return
    left = itertools.count()

    def take() -> None:
        while (piece := next(left)) < threads:
            work(n * piece // threads, n * (piece + 1) // threads)

    if _pool.threads is None:
        _pool.threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="retrieval")
    others = [_pool.threads.submit(take) for _ in range(threads - 1)]
    try:
        take()
    finally:
        # Those that have not begun, because other searches hold the threads, have nothing left to do.
        failures = [other.exception() for other in others if not other.cancel()]
    for failure in failures:
        if failure is not None:
            raise failure
