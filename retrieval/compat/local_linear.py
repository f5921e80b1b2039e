"""Local-linear maps: a ridge, corrected by what it misses on the nearest pairs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.correction import Corrected, Correction, Mapped, Search, disagreement, doubt, signs_of
from retrieval.compat.errors import InvalidPairsError
from retrieval.compat.leave_one_out import (
    Choice,
    KernelMeans,
    Neighbourhoods,
    check_grid,
    choose,
    floor_of,
    gate,
    kernel,
    left_out,
)
from retrieval.compat.pairs import (
    BLOCK_ROWS,
    Float32,
    Float64,
    Int64,
    PairInfo,
    check_model,
    checked_vectors,
    drawn_rows,
    unit_pairs,
    unit_rows,
    warn_about,
)
from retrieval.compat.ridge import Ridge, RidgePath

_KIND = "local-linear"
_ARRAYS = ("source_mean", "target_mean", "weights", "anchors", "residuals", "levels")
_NUMBERS = ("temperature", "n_neighbours", "penalty", "floor", "cosine", "scale")


@dataclass(frozen=True, eq=False)
class LocalLinearMap:
    """Map from one model's space into another's, fitted on paired vectors alone.

    For unit x, with W the ridge and r_i = y_i − ŷ(x_i) what it misses on pair i ::

        f(x) = ŷ(x) + g(x) Σ_i softmax_i(x·x_i / T) r_i        over the k nearest pairs

    and f is scaled to unit length. The gate g gives the softmax a null neighbour, so that far from all
    pairs the ridge alone remains. Fitted with source = old and target = new it is a *gallery map*: stored
    vectors are rewritten without an encoder call. With source = new and target = old it is a *query
    map*: the gallery stays as it is. Neither needs labels.

    Attributes
    ----------
    source_mean, target_mean, weights : float64
        The ridge.
    anchors, residuals : (n, d_source) and (n, d_target) float32
        Unit source rows of the pairs, and r_i.
    temperature, n_neighbours, penalty : float, int, float
        T, k, and λ in units of the mean eigenvalue of XᵀX.
    levels : (m,) float64
        Sorted leave-one-out levels of pairs, by which `support` is measured.
    floor : float
        Level of the null neighbour.
    cosine : float
        Mean leave-one-out cosine between mapped and true target vectors.
    scale : float
        Brings the doubt of a mapped vector to its expected squared distance from the true one.
    info : PairInfo
        What it was fitted on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((500, 8)).astype(np.float32)
    >>> new = np.tanh(old @ rng.standard_normal((8, 12)).astype(np.float32))
    >>> m = LocalLinearMap.fit(source=old[:400], target=new[:400])
    >>> m.transform(old[400:]).shape, bool(m.cosine > 0.9)
    ((100, 12), True)
    """

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
    scale: float
    info: PairInfo

    @classmethod
    def fit(
        cls,
        *,
        source: npt.ArrayLike,
        target: npt.ArrayLike,
        source_model: str = "source",
        target_model: str = "target",
        penalties: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
        temperatures: Sequence[float] = (0.02, 0.05, 0.1, 0.2),
        neighbours: Sequence[int] = (10, 30, 100),
        n_validation: int = 1000,
        seed: int = 0,
    ) -> LocalLinearMap:
        """Fit on paired rows; penalty, temperature and neighbours by exact leave-one-out.

        Parameters
        ----------
        source, target : (n, d_source) and (n, d_target) float
            The same items under both models, in the same order; each row is scaled to unit length.
        source_model, target_model : str
            Names by which vectors can be refused later.
        penalties, temperatures, neighbours : sequences
            What to choose from; a single value each means no choice. More neighbours than there are
            other pairs become all of them.
        n_validation : int
            Pairs that the choice and `support` look at, drawn by `seed`.

        Raises
        ------
        InvalidPairsError
            If the rows cannot be pairs, or there are fewer than 3, or all source rows are alike.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.

        Warns
        -----
        FewPairsWarning, UnrelatedPairsWarning
            As in `Isometry.fit`.

        Notes
        -----
        O(n · d_source · (d_source + d_target + n_validation)) time; memory for a float32 copy of both
        sides and some 300 MB at 100 neighbours and d = 384.
        """
        check_grid(penalties, temperatures, neighbours, n_validation)
        X, Y, relatedness = unit_pairs(source, target)
        info = PairInfo(source_model, target_model, X.shape[1], Y.shape[1], len(X), relatedness)
        path = RidgePath.of(X, Y)
        # Unit rows in float32 differ from their mean by 1e-7 through rounding alone.
        if path.scale <= 1e-12 * len(X):
            raise InvalidPairsError("all source rows are alike; there is nothing to map by")
        warn_about(info)
        sizes = sorted({min(k, len(X) - 1) for k in neighbours})
        near = Neighbourhoods.of(X, drawn_rows(len(X), n_validation, seed), sizes[-1])
        best = choose(path, X, Y, near, penalties, temperatures, sizes)
        levels = np.sort(kernel(near.scores[:, : best.n_neighbours], best.temperature)[1])
        ridge = path.at(best.penalty)
        scale = _scale(ridge, X, Y, near, best, floor_of(levels))
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            # Y is ours, and of no further use but through the residuals.
            Y[block] -= ridge.predict(X[block].astype(np.float64)).astype(np.float32)
        return cls(
            source_mean=ridge.source_mean,
            target_mean=ridge.target_mean,
            weights=ridge.weights,
            anchors=X,
            residuals=Y,
            temperature=best.temperature,
            n_neighbours=best.n_neighbours,
            penalty=best.penalty,
            levels=levels,
            floor=floor_of(levels),
            cosine=best.cosine,
            scale=scale,
            info=info,
        )

    def transform(
        self,
        X: npt.ArrayLike,
        *,
        model: str | None = None,
        neighbours: Search = "exact",
        workers: int = 1,
    ) -> Float32:
        """Map source vectors into the target's space.

        Parameters
        ----------
        X : (n, d_source) float
        model : str, optional
            The model that `X` comes from; refused unless it is the source.
        neighbours : {"exact", "cells"}
            Compare with all pairs, or with the 160 nearest the centre of the vector's cell:
            O(n · n_pairs · d_source) against O(n · (√n_pairs + 160) · (d_source + d_target)).
        workers : int
            Threads that work on cells, beside what BLAS does by itself; with `OMP_NUM_THREADS=1` one a
            core is best. The result does not depend on them.

        Returns
        -------
        (n, d_target) float32
            Unit rows.

        Raises
        ------
        ModelMismatchError
            If `X` is of another model or dim.
        InvalidVectorError
            If a row holds NaN or infinity, or is all zero.
        """
        return self.map(X, model=model, neighbours=neighbours, workers=workers).vectors

    def support(self, X: npt.ArrayLike, *, model: str | None = None, neighbours: Search = "exact") -> Float64:
        """How near the vectors are to the pairs, as a share of the pairs; see `Mapped.support`."""
        check_model(model, self.info.source_model)
        rows = checked_vectors(X, self.info.source_dim, "vectors", model=self.info.source_model)
        support = np.empty(len(rows))

        def take(where: slice | Int64, _: Float32, part: Corrected) -> None:
            support[where] = part.support

        self._correction.run(rows, neighbours, 1, take)
        return support

    def map(
        self,
        X: npt.ArrayLike,
        *,
        model: str | None = None,
        neighbours: Search = "exact",
        workers: int = 1,
    ) -> Mapped:
        """Map source vectors, and say how far each can be trusted; arguments as `transform`."""
        check_model(model, self.info.source_model)
        rows = checked_vectors(X, self.info.source_dim, "vectors", model=self.info.source_model)
        out = Mapped(
            np.empty((len(rows), self.info.target_dim), dtype=np.float32),
            np.empty(len(rows)),
            np.empty(len(rows)),
        )
        # W, and the offset ȳ − x̄ W, so that the ridge is one product in float32.
        W = self.weights.astype(np.float32)
        offset = (self.target_mean - self.source_mean @ self.weights).astype(np.float32)

        def take(where: slice | Int64, unit: Float32, part: Corrected) -> None:
            mapped = part.correction
            mapped += unit @ W
            mapped += offset
            out.vectors[where] = unit_rows(mapped)
            out.support[where] = part.support
            out.spread[where] = self.scale * doubt(mapped, part.disagreement)

        self._correction.run(rows, neighbours, workers, take)
        return out

    def leave_one_out(self, n: int = 2000, *, seed: int = 0) -> tuple[Int64, Float32, Float32]:
        """Map some of the pairs as if each had not been fitted on.

        What calibration and reports need: a pair that the map has seen is mapped too well.

        Returns
        -------
        rows : (m,) int64
            Which pairs, ascending; all of them if `n` is that large.
        mapped, target : (m, d_target) float32
            Unit rows: mapped without the pair, and the pair's own target vector.

        Notes
        -----
        Exact, by the leverages of the ridge: O(n_pairs · d² + m · n_pairs · d_source) time.
        """
        rows = drawn_rows(len(self.anchors), n, seed)
        Y = self._targets()
        near = Neighbourhoods.of(self.anchors, rows, self.n_neighbours)
        means = KernelMeans.of(self.anchors, Y, near, self.temperature, self.n_neighbours)
        ridge = RidgePath.of(self.anchors, Y).at(self.penalty)
        mapped = left_out(ridge, self.anchors, Y, rows, means, self.floor, self.temperature)
        return rows, unit_rows(mapped), Y[rows]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map to one file, atomically, with a SHA-256; see `retrieval.compat.mapfile`."""
        mapfile.write(path, _KIND, *self.parts())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LocalLinearMap:
        """Read a map that `save` wrote; raises as `retrieval.compat.mapfile.read`."""
        return cls.of_parts(*mapfile.read(path, _KIND))

    def parts(self) -> mapfile.Parts:
        """Return what a file holds of the map: fields for its header, and arrays."""
        fields = {name: getattr(self, name) for name in _NUMBERS}
        return {"info": self.info.to_fields(), **fields}, {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> LocalLinearMap:
        """Build the map that `parts` took apart."""
        numbers = {name: fields[name] for name in _NUMBERS}
        return cls(info=PairInfo(**fields["info"]), **{name: arrays[name] for name in _ARRAYS}, **numbers)

    def _targets(self) -> Float32:
        """Return the pairs' unit target rows, which residuals and ridge add up to."""
        Y = self.residuals.copy()
        for start in range(0, len(Y), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            centred = self.anchors[block].astype(np.float64) - self.source_mean
            Y[block] += (self.target_mean + centred @ self.weights).astype(np.float32)
        return unit_rows(Y)

    @cached_property
    def _correction(self) -> Correction:
        return Correction(
            self.anchors,
            self.residuals,
            signs_of(self._targets()),
            self.temperature,
            self.n_neighbours,
            self.levels,
            self.floor,
        )


def _scale(ridge: Ridge, X: Float32, Y: Float32, near: Neighbourhoods, best: Choice, floor: float) -> float:
    """Ratio of the mean squared distance of left-out pairs, mapped and scaled, from their targets to the mean doubt."""
    weights, _ = kernel(near.scores[:, : best.n_neighbours], best.temperature)
    means = KernelMeans.of(X, Y, near, best.temperature, best.n_neighbours)
    mapped = left_out(ridge, X, Y, near.rows, means, floor, best.temperature)
    signs = signs_of(Y)
    gathered = signs[near.others[:, : best.n_neighbours]]
    mean = np.matmul(weights[:, None, :], gathered)[:, 0]
    squares = np.einsum("ik,ikj,ikj->i", weights, gathered, gathered)
    share = gate(means.levels, floor, best.temperature)
    everywhere = float(np.einsum("ij,ij->i", signs, signs).mean(dtype=np.float64))
    unsure = float(doubt(mapped, disagreement(share, mean, squares, everywhere)).mean())
    return (2.0 - 2.0 * best.cosine) / max(unsure, float(np.finfo(np.float64).tiny))
