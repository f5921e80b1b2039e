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


def share(work: Callable[[int, int], None], n: int, parts: int) -> None:
    """Do ``work(start, stop)`` for 0 to n in so many parts at once, one of them in this thread.

    Raises
    ------
    Exception
        What the work raises, once all parts are over.
    """
    parts = min(parts, n)
    if parts < 2:
        work(0, n)
        return
    if _pool.threads is None:
        _pool.threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="retrieval")
    bounds = [n * part // parts for part in range(parts + 1)]
    others = [_pool.threads.submit(work, start, stop) for start, stop in itertools.pairwise(bounds[1:])]
    try:
        work(0, bounds[1])
    finally:
        failures = [other.exception() for other in others]
    for failure in failures:
        if failure is not None:
            raise failure
