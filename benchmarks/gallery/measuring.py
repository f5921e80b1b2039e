"""Times that take turns, recalls with intervals, memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROUNDS = 5

Times = dict[str, list[float]]


def take_turns(work: Mapping[str, Callable[[], Any]], rounds: int = ROUNDS) -> Times:
    """Seconds of each piece of work in each round, after one that does not count.

    Every round has an order of its own, drawn from a seed: threads that one library leaves spinning slow down what
    comes next, which must not always be the same.
    """
    names = list(work)
    times: Times = {name: [] for name in names}
    rng = np.random.default_rng(0)
    for number in range(-1, rounds):
        for name in rng.permutation(names).tolist():
            started = time.perf_counter()
            work[name]()
            if number >= 0:
                times[name].append(time.perf_counter() - started)
    return times


def ratio(times: Times, fast: str, slow: str) -> float:
    """How many times as fast the first is as the second: the median over rounds."""
    return statistics.median(b / a for a, b in zip(times[fast], times[slow], strict=True))


def rate(times: Times, name: str, n: int) -> float:
    """Pieces a second, where one round is n pieces; the median."""
    return n / statistics.median(times[name])


def best_rate(times: Times, name: str, n: int) -> float:
    """As `rate` in the best round: what is left where other programs disturb some rounds."""
    return n / min(times[name])


def shares(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each query the share of its true neighbours that were found; both of shape (n_queries, k)."""
    hits = (found[:, :, None] == truth[:, None, :]).any(axis=1)
    return hits.mean(axis=1)


def interval(recalls: NDArray[np.float64]) -> str:
    """Mean and 95 % interval over queries."""
    error = 1.96 * recalls.std(ddof=1) / np.sqrt(len(recalls))
    return f"{recalls.mean():.3f} [{recalls.mean() - error:.3f}, {min(1.0, recalls.mean() + error):.3f}]"


def resident() -> float:
    """MB of this process in memory now."""
    return _status("VmRSS")


def peak() -> float:
    """MB of this process in memory at the most."""
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1e3
    raise LookupError(name)
