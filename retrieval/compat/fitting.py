"""Fit a local-linear map's correction by either method, and choose between them by leave-one-out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrieval.compat.doubt import scale_of
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.kernel_ridge import CHOSEN_ON, KernelRidge, choose_solution, mean_cosine
from retrieval.compat.leave_one_out import (
    Choice,
    KernelMeans,
    Missed,
    Neighbourhoods,
    choose,
    floor_of,
    gate,
    kernel,
    left_out,
)
from retrieval.compat.pairs import BLOCK_ROWS, Float32, Float64, drawn_rows
from retrieval.compat.ridge import RidgePath

Method = Literal["auto", "mean", "solve"]
# Beyond this many pairs a solution takes seconds and mapping a vector as long as a hundredth of encoding it.
SOLVED_UP_TO = 4096


@dataclass(frozen=True)
class Options:
    """What `LocalLinearMap.fit` chooses from; see there."""

    penalties: Sequence[float]
    temperatures: Sequence[float]
    neighbours: Sequence[int]
    method: Method
    widths: Sequence[float]
    solve_penalties: Sequence[float]
    n_validation: int
    seed: int

    def __post_init__(self) -> None:
        grids = (self.penalties, self.temperatures, self.neighbours, self.widths, self.solve_penalties)
        if not all(len(grid) for grid in grids):
            raise ValueError("penalties, temperatures, neighbours, widths and solve_penalties must each hold a value")
        if min(map(min, (self.penalties, self.temperatures, self.widths, self.solve_penalties))) <= 0:
            raise ValueError("penalties, temperatures, widths and solve_penalties must be above 0")
        if min(self.neighbours) < 1 or self.n_validation < 1:
            raise ValueError("neighbours and n_validation must be at least 1")
        if self.method not in ("auto", "mean", "solve"):
            raise ValueError(f"method must be 'auto', 'mean' or 'solve', not {self.method!r}")


@dataclass(frozen=True, eq=False)
class Fit:
    """The fitted numbers of a `LocalLinearMap`; see there."""

    source_mean: Float64
    target_mean: Float64
    weights: Float64
    anchors: Float32
    residuals: Float32
    temperature: float
    n_neighbours: int
    penalty: float
    levels: Float64
    floor: float
    cosine: float
    width: float
    scale: float


def fit_correction(X: Float32, Y: Float32, options: Options) -> Fit:
    """Fit on paired unit rows; `Y` is overwritten."""
    path = RidgePath.of(X, Y)
    # Unit rows in float32 differ from their mean by 1e-7 through rounding alone.
    if path.scale <= 1e-12 * len(X):
        raise InvalidPairsError("all source rows are alike; there is nothing to map by")
    if options.method == "solve" and len(X) > SOLVED_UP_TO:
        raise InvalidPairsError(f"{len(X)} pairs are too many to solve for; method='solve' takes up to {SOLVED_UP_TO}")
    sizes = sorted({min(k, len(X) - 1) for k in options.neighbours})
    near = Neighbourhoods.of(X, drawn_rows(len(X), options.n_validation, options.seed), sizes[-1])
    best = choose(path, X, Y, near, options.penalties, options.temperatures, sizes)
    weights, unsorted = kernel(near.scores[:, : best.n_neighbours], best.temperature)
    levels, others = np.sort(unsorted), near.others[:, : best.n_neighbours]
    floor = floor_of(levels)
    share = gate(unsorted, floor, best.temperature)
    if options.method != "mean" and len(X) <= SOLVED_UP_TO:
        solved, mapped = _solved(X, Y, best, floor, options)
        cosine = mean_cosine(mapped[near.rows], Y[near.rows])
        if options.method == "solve" or cosine > best.cosine:
            return Fit(
                source_mean=np.zeros(X.shape[1]),
                target_mean=solved.offset,
                weights=solved.weights,
                anchors=X,
                residuals=solved.coefficients.astype(np.float32),
                temperature=best.temperature,
                n_neighbours=best.n_neighbours,
                penalty=solved.penalty,
                levels=levels,
                floor=floor,
                cosine=cosine,
                width=solved.width,
                scale=scale_of(mapped[near.rows], cosine, Y, others, weights, share),
            )
    ridge = path.at(best.penalty)
    means = KernelMeans.of(X, Y, near, best.temperature, best.n_neighbours)
    mapped = left_out(Missed.of(ridge, X, Y, near.rows), means, floor, best.temperature)
    scale = scale_of(mapped, best.cosine, Y, others, weights, share)
    for start in range(0, len(X), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        Y[block] -= ridge.predict(X[block].astype(np.float64)).astype(np.float32)
    return Fit(
        source_mean=ridge.source_mean,
        target_mean=ridge.target_mean,
        weights=ridge.weights,
        anchors=X,
        residuals=Y,
        temperature=best.temperature,
        n_neighbours=best.n_neighbours,
        penalty=best.penalty,
        levels=levels,
        floor=floor,
        cosine=best.cosine,
        width=0.0,
        scale=scale,
    )


def _solved(X: Float32, Y: Float32, best: Choice, floor: float, options: Options) -> tuple[KernelRidge, Float64]:
    """Solve with the best settings; return the solution, and all pairs mapped left out."""
    every = Neighbourhoods.of(X, np.arange(len(X)), best.n_neighbours)
    share = gate(kernel(every.scores, best.temperature)[1], floor, best.temperature)
    rows = drawn_rows(len(X), CHOSEN_ON, options.seed)
    setting = choose_solution(X, Y, share, rows, options.widths, options.solve_penalties)
    solved = KernelRidge.solve(X, Y, *setting)
    return solved, solved.left_out(X, Y, share)
