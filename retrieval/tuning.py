"""Choosing an index by measurement: the fastest that reaches a wanted recall."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval import ann, exact
from retrieval.asking import Questions, held_out, questions, recalls, recalls_upto, standard_error
from retrieval.device import CPU, Place
from retrieval.deviceflat import DeviceFlat
from retrieval.errors import DeviceError
from retrieval.kinds import Contender, contenders
from retrieval.liveindex import LiveIndex
from retrieval.plan import FLAT, Plan, Trial
from retrieval.progress import Progress
from retrieval.sizing import index_bytes
from retrieval.table import sized
from retrieval.vectors import VectorTable

SMALL = 5_000
"""Below this many vectors flat search is fast enough not to ask."""

# Candidates to re-rank, as multiples of k.
_WIDTHS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_ROUNDS = 3
_LONG = 3.0


@dataclass(frozen=True)
class Wanted:
    """What an index must reach: mean recall@k less one standard error, in so much memory, tried in so many seconds."""

    recall: float
    k: int
    memory: int | None
    seconds: float

    def __post_init__(self) -> None:
        for name, value in (("recall", self.recall), ("seconds", self.seconds), ("memory", self.memory or 0)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"{name} must be a number, got {value!r}")
        if not 0 < self.recall <= 1:
            raise ValueError(f"recall must be above 0 and at most 1, got {self.recall!r}")
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ValueError(f"k must be a positive integer, got {self.k!r}")
        if not self.seconds > 0:
            raise ValueError(f"seconds must be positive, got {self.seconds!r}")
        if self.memory is not None and self.memory < 0:
            raise ValueError(f"memory is a number of bytes, or None for no limit, got {self.memory!r}")


def optimize(
    table: VectorTable,
    wanted: Wanted,
    *,
    Q: NDArray[np.float32] | None,
    kinds: list[str] | None,
    report: Progress,
    device: str = CPU,
) -> tuple[Plan, LiveIndex | None]:
    """Try indexes and keep the fastest that is good enough; flat search always is.

    Parameters
    ----------
    device : str
        Where searches are to run: "auto" tries the CPU and a GPU.

    Returns
    -------
    Plan
        With every trial.
    LiveIndex or None
        The chosen index, on the CPU only; None for flat search.

    Raises
    ------
    DeviceError
        As `retrieval.kinds.contenders`.
    """
    started = time.perf_counter()
    n = len(table)
    if n < 2 or (n < SMALL and kinds is None):
        remark = f"{n:,} vectors are compared in no time; other indexes were not tried"
        return Plan(FLAT, 0, wanted.k, wanted.k, wanted.recall, n, (), (remark,)), None
    found, remarks = contenders(device, n, table.model.dim, kinds)
    asked, without = held_out(table, wanted.k) if Q is None else (questions(table, wanted.k, Q), None)
    trials: list[Trial] = []
    best: LiveIndex | None = None
    chosen: Trial | None = None
    for number, contender in enumerate(found):
        spent = time.perf_counter() - started
        if spent > wanted.seconds and chosen is not None:
            remarks.append(f"{contender}: not tried, {spent:.0f} of {wanted.seconds:.0f} s were spent")
            continue
        if wanted.memory is not None:
            would = _at_least(contender.factory, table)
            if would > wanted.memory:
                remarks.append(f"{contender}: not built; more than {sized(would)}, {sized(wanted.memory)} are allowed")
                continue
        try:
            live, trial = _tried(contender, table, asked, wanted, without)
        except RuntimeError as error:
            remarks.append(f"{contender}: {ann.first_line(error)}")
            continue
        trials.append(trial)
        if wanted.memory is not None and trial.bytes > wanted.memory:
            remarks.append(f"{contender}: takes {sized(trial.bytes)}, {sized(wanted.memory)} are allowed")
        elif not trial.enough:
            remarks.append(f"{contender}: does not reach the recall")
        elif (
            chosen is None or trial.queries_per_second > chosen.queries_per_second or (kinds and best is None and live)
        ):
            # Who names a kind of index wants it where it is good enough, however fast flat search is.
            best, chosen = live, trial
        report(number)
    if chosen is None:
        raise DeviceError(f'device="{device}": no index could be tried; {"; ".join(remarks)}')
    plan = Plan(
        chosen.factory,
        chosen.breadth,
        chosen.width,
        wanted.k,
        wanted.recall,
        n,
        tuple(trials),
        tuple(remarks),
        chosen.device,
        chosen.half,
        chosen.breadth_on_cpu,
    )
    if best is not None:
        best.plan = plan
        best.follow(table)
    return plan, best


def _at_least(factory: str, table: VectorTable) -> float:
    """Bytes that an index is sure to take, which is known before it is built; 0 where there is no formula."""
    try:
        return index_bytes(len(table), table.model.dim, factory) / 1.5
    except ValueError:
        return 0.0


def _tried(
    contender: Contender, table: VectorTable, asked: Questions, wanted: Wanted, without: NDArray[np.int64] | None
) -> tuple[LiveIndex | None, Trial]:
    if contender.factory != FLAT:
        return _trial(contender, table, asked, wanted, without)
    return None, _flat_on_gpu(table, asked, contender.place) if contender.place.gpus else _flat(table, asked)


def _flat(table: VectorTable, asked: Questions) -> Trial:
    rate = _rate(lambda: exact.search(asked.Q, table.matrix, table.items, asked.k), len(asked.Q))
    return Trial(FLAT, 0, asked.k, 1.0, 1.0, 1.0, rate, 0, 0.0, True)


def _flat_on_gpu(table: VectorTable, asked: Questions, place: Place) -> Trial:
    started = time.perf_counter()
    flat = DeviceFlat(table, place)
    build = time.perf_counter() - started
    rate = _rate(lambda: flat.search(table, asked.Q, asked.k), len(asked.Q))
    return Trial(FLAT, 0, asked.k, 1.0, 1.0, 1.0, rate, 0, build, True, place.name, place.half)


def _trial(
    contender: Contender, table: VectorTable, asked: Questions, wanted: Wanted, without: NDArray[np.int64] | None
) -> tuple[LiveIndex, Trial]:
    factory, place = contender
    started = time.perf_counter()
    plan = Plan(factory, 1, wanted.k, wanted.k, wanted.recall, len(table))
    live = LiveIndex.built(plan, table, without, place.gpus)
    build = time.perf_counter() - started
    size = ann.size_of(live.index) + 24 * len(live.entries)
    options = list(_options(live, table, asked, wanted))
    timed = []
    for breadth, width, share in options:
        live.plan = replace(plan, breadth=breadth, width=width)
        rate = _rate(lambda: live.search(table, asked.Q, asked.k), len(asked.Q))
        timed.append((rate, breadth, width, share))
    rate, breadth, width, shares = max(timed, key=lambda one: one[0])
    graph_on_gpu = live.placed is not None and not ann.nested(live.index)
    # The GPU is needed for the next trial.
    live.placed = None
    # A graph is searched in another way on the CPU; inverted lists are the same there.
    on_cpu = _enough(live, table, asked, wanted) if graph_on_gpu else 0
    mean, error = float(shares.mean()), standard_error(shares)
    enough = mean - error >= wanted.recall and (wanted.memory is None or size <= wanted.memory)
    low, high = max(0.0, mean - 1.96 * error), min(1.0, mean + 1.96 * error)
    return live, Trial(
        factory, breadth, width, mean, low, high, rate, size, build, enough, place.name, breadth_on_cpu=on_cpu
    )


def _options(
    live: LiveIndex, table: VectorTable, asked: Questions, wanted: Wanted
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """(breadth, width, recalls): for each width the least breadth that is enough, or the best there is."""
    widest = len(live.entries) if live.placed is None else min(len(live.entries), live.placed.widest)
    widths = sorted({min(wanted.k * times, widest) for times in _WIDTHS})
    if not ann.nested(live.index):
        # More candidates would be more effort too, which is what breadth stands for.
        widths = widths[:1]
    last: tuple[int, int, NDArray[np.float64]] | None = None
    yielded = False
    breadths = ann.breadths(live.index)
    if live.placed is not None:
        breadths = [breadth for breadth in breadths if breadth <= live.placed.widest]
    for breadth in breadths:
        # One search serves all widths, since a narrower one gives the first of a wider one.
        rows = live.proposed(table, asked.Q, max(widths), breadth)
        upto = recalls_upto(asked, table, rows)
        for width in list(widths):
            shares = upto[:, width - 1]
            if shares.mean() - standard_error(shares) >= wanted.recall:
                widths.remove(width)
                yielded = True
                yield breadth, width, shares
            elif last is None or shares.mean() > last[2].mean():
                last = breadth, width, shares
        if not widths:
            break
    if not yielded and last is not None:
        yield last


def _enough(live: LiveIndex, table: VectorTable, asked: Questions, wanted: Wanted) -> int:
    """The least breadth on the CPU that reaches the wanted recall, or the largest there is."""
    width = min(wanted.k * _WIDTHS[0], len(live.entries))
    for breadth in ann.breadths(live.index):
        shares = recalls(asked, table, live.proposed(table, asked.Q, width, breadth))
        if shares.mean() - standard_error(shares) >= wanted.recall:
            break
    return breadth


def _rate(search: Callable[[], object], n_queries: int) -> float:
    """Queries a second, the best of a few rounds; of fewer where one is long, as noise matters less there."""
    times: list[float] = []
    while len(times) < _ROUNDS and sum(times) < _LONG:
        started = time.perf_counter()
        search()
        times.append(time.perf_counter() - started)
    return n_queries / min(times)
