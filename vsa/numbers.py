"""Numbers read off their levels, with an error bar: a posterior over the whole line of a field.

Against a number the rest of a record is crosstalk, Gaussian with a variance that is what the number leaves of the
vector. A number with the row R then has the log-likelihood ratio ``-dim/2 · log(‖x − α R‖² / ‖x‖²)`` to there being
none, where α is the weight of the record's leaves in its unit vector. Numbers met by `fit` are judged by their whole
rows, all others by their levels alone; α is summed over, since nothing is known of the rest of the record. The line is
cut coarsely first and finely where the mass is, with no level finer than the cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsa.atoms import LEAF_UNIT
from vsa.candidates import candidates
from vsa.histogram import Histogram
from vsa.leaves import Arrays
from vsa.levels import NUMBER_GRIDS, compress
from vsa.making import LeafMaker
from vsa.paths import Path
from vsa.shares import Shares

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

COVERAGE = 0.9
"""Probability that an error bar holds the number, unless another is asked for."""

_STEPS = (1 / 8, 1 / 32, 1 / 128, 1 / 512, 1 / 2048, 1 / 8192)
_FINEST = 1 / 4096
"""A quarter of the finest level: what is nearer than that is not told apart."""

_FARTHEST = 64.0
_BEYOND = 4.0
_SMOOTH = 0.5
_STRAY = 0.02
_MASS = 1e-4
_MOST_POINTS = 2048
_ALPHAS = 24
_FAINTEST = 2.0


@dataclass(frozen=True)
class NumberReading:
    """What a vector says of the number at a path.

    Attributes
    ----------
    value : int or float
        The median where it is no number that `fit` met, else the likeliest of those.
    low, high : float
        The error bar: from the quantile ``(1 − coverage)/2`` to its counterpart, given that a number is there.
    present : float
        Probability that a number is there.
    trust : float
        Probability that `value` is the very number where it was met by `fit`, else that the error bar holds it.
    """

    value: int | float
    low: float
    high: float
    present: float
    trust: float


@dataclass
class _Line:
    """Points on a field's line, with the logarithm of their share in the prior, and their values."""

    at: Floats
    prior: Floats
    step: float


class NumberReader:
    """Reads the number at one path out of vectors.

    Parameters
    ----------
    maker : LeafMaker
        Binds and unbinds.
    shares, arrays
        Of the encoder.
    path : Path
        Where; members of arrays by their number.
    met : Histogram, optional
        The numbers that `fit` met at the path.
    """

    def __init__(self, maker: LeafMaker, shares: Shares, arrays: Arrays, path: Path, met: Histogram | None) -> None:
        self._maker = maker
        self._path = path
        self._met = met
        self._scale = None if met is None else met.scale()
        known, counts = _known(met)
        self._whole = met is not None and not met.shift and all(value.is_integer() for value in known)
        values = [int(value) if value.is_integer() and abs(value) < 2.0**63 else value for value in known] or [0]
        self._known = candidates(maker, shares, arrays, path, values)
        self._copies = self._known.copies
        once = sum(1 for count in counts if count == 1)
        total = sum(counts)
        # Good 1953: the chance of a new value is the share of the values that came once.
        self._unseen = min(max(once / total, _STRAY), 1.0) if total else 1.0
        with np.errstate(divide="ignore"):
            self._known_prior = (
                np.log(np.array(counts) / total) + math.log1p(-self._unseen) if self._unseen < 1.0 else None
            )

    def read(self, x: Floats, power: float, alphas: Floats | None, present: float, coverage: float) -> NumberReading:
        """The number in a vector.

        Parameters
        ----------
        x : (dim,) array
            A vector, or what other paths leave of it.
        power : float
            Squared length of what is not explained.
        alphas : (k,) array, optional
            Weights that the record's leaves may have in x, equally likely; all that can be told where None.
        present : float
            Prior probability that a number is there.
        coverage : float
            Probability of the error bar.
        """
        row = x.astype(np.float32)[None]
        y = sum((np.float32(w) * self._maker.unbind(path, row)[0] for path, w in self._copies), np.zeros_like(row[0]))
        dim, power = x.shape[0], max(power, 1e-9)
        line = self._coarse()
        inner, energy = self._levels(line, y)
        if alphas is None:
            largest = math.sqrt(power / float(energy.max()))
            least = min(_FAINTEST * math.sqrt(power / dim / float(energy.max())), largest / 2.0)
            alphas = np.geomspace(least, largest, _ALPHAS)

        def evidence(inner: Floats, energy: Floats) -> Floats:
            """(n,) log-likelihood ratios to absence, over all α."""
            taken = (2.0 * inner[:, None] * alphas - energy[:, None] * alphas**2) / power
            each = -dim / 2.0 * np.log(np.maximum(1.0 - taken, 1.0 / dim))
            peak = each.max(axis=1)
            found: Floats = peak + np.log(np.exp(each - peak[:, None]).mean(axis=1))
            return found

        new = line.prior + math.log(self._unseen) + evidence(inner, energy)
        line, new = self._refined(line, new, y, evidence)
        logs, values = [new], [self._values(line.at)]
        if self._known_prior is not None:
            whole, _ = self._known.correlate(self._maker, row)
            logs.append(self._known_prior + evidence(whole[0], self._known.energy))
            values.append(np.array(self._known.values, np.float64))
        return self._summary(line, np.concatenate(logs), np.concatenate(values), present, coverage)

    def _summary(self, line: _Line, logs: Floats, values: Floats, present: float, coverage: float) -> NumberReading:
        top = float(logs.max())
        mass = np.exp(logs - top)
        total = float(mass.sum())
        there = present * total
        nothing = (1.0 - present) * math.exp(min(-top, 700.0))
        mass /= total
        n = len(line.at)
        # A point stands for what is nearer to it than to the next, and for what levels do not tell from it.
        order = np.argsort(values, kind="stable")
        summed = np.cumsum(mass[order])
        ends: list[float] = []
        for quantile, side in (((1.0 - coverage) / 2.0, -1.0), ((1.0 + coverage) / 2.0, 1.0)):
            at = int(order[min(int(np.searchsorted(summed, quantile)), len(order) - 1)])
            ends.append(
                float(self._values(line.at[at : at + 1] + side * max(line.step / 2.0, _FINEST))[0])
                if at < n
                else float(values[at])
            )
        low, high = ends
        best = n + int(np.argmax(mass[n:])) if len(mass) > n else 0
        is_there = there / (there + nothing)
        if len(mass) > n and mass[best] >= 0.5:
            return NumberReading(self._known.values[best - n], low, high, is_there, is_there * float(mass[best]))
        middle = float(values[order[min(int(np.searchsorted(summed, 0.5)), len(order) - 1)]])
        value: int | float = round(middle) if self._whole and abs(middle) < 2.0**63 else middle
        return NumberReading(value, low, high, is_there, is_there * coverage)

    def _coarse(self) -> _Line:
        """The whole line in the coarsest steps, with the prior of a number that was not met."""
        step = _STEPS[0]
        if self._met is None or self._scale is None:
            at = np.arange(-_FARTHEST, _FARTHEST + step, step)
            density = 1.0 / (1.0 + (at / 8.0) ** 2)
            return _Line(at, np.log(density / density.sum()), step)
        places = np.array([compress((v - self._scale.centre) / self._scale.scale) for v in self._met.values()])
        weights = np.array(list(self._met.counts()), np.float64)
        at = np.arange(places.min() - _BEYOND, places.max() + _BEYOND + step, step)
        near = np.maximum(0.0, 1.0 - np.abs(at[:, None] - places) / _SMOOTH)
        density = near @ (weights / np.maximum(near.sum(axis=0), 1e-9)) / weights.sum()
        return _Line(at, np.log((1.0 - _STRAY) * density + _STRAY / len(at)), step)

    def _refined(
        self, line: _Line, logs: Floats, y: Rows, evidence: Callable[[Floats, Floats], Floats]
    ) -> tuple[_Line, Floats]:
        """The line cut finer where nearly all the mass is, and the logarithms of the mass there."""
        for step in _STEPS[1:]:
            order = np.argsort(-logs)
            mass = np.exp(logs[order] - logs[order[0]])
            enough = int(np.searchsorted(np.cumsum(mass), (1.0 - _MASS) * mass.sum())) + 1
            # A peak between two points shows at both, less than it is.
            kept = np.unique(np.concatenate([order[:enough] + shift for shift in (-1, 0, 1)]))
            kept = kept[(kept >= 0) & (kept < len(logs))]
            parts = round(line.step / step)
            if len(kept) * parts > _MOST_POINTS:
                break
            offsets = (np.arange(parts) - (parts - 1) / 2.0) * step
            finer = (line.at[kept, None] + offsets).ravel()
            prior = np.repeat(line.prior[kept] - math.log(parts), parts)
            line = _Line(finer, prior, step)
            inner, energy = self._levels(line, y)
            logs = prior + math.log(self._unseen) + evidence(inner, energy)
        return line, logs

    def _levels(self, line: _Line, y: Rows) -> tuple[Floats, Floats]:
        """(n,) products of y with the levels of the points, and the squared lengths of these in a record's sum."""
        names: dict[bytes, int] = {}
        columns: list[int] = []
        weights: list[float] = []
        owners: list[int] = []
        wide = [b"l%d," % grid for grid, width in enumerate(NUMBER_GRIDS) if width >= line.step]
        grids = (*wide, b"m+", b"m-")
        for owner, leaf in enumerate(self._maker.analysed(self._path, self._values(line.at).tolist())):
            for name, share in leaf.levels.items():
                if name.startswith(grids):
                    columns.append(names.setdefault(name, len(names)))
                    weights.append(round(share * LEAF_UNIT))
                    owners.append(owner)
        shares, rows = np.array(weights), np.array(owners)
        products = self._maker.products(list(names), y)
        n = len(line.at)
        inner = np.bincount(rows, weights=shares * products[columns], minlength=n).astype(np.float64)
        square = np.bincount(rows, weights=shares**2, minlength=n).astype(np.float64)
        copies = sum(weight**2 for _, weight in self._copies)
        energy: Floats = np.maximum(square * copies * len(y), 1e-9)
        return inner, energy

    def _values(self, at: Floats) -> Floats:
        """The numbers at places on the line."""
        size: Floats = np.sign(at) * np.expm1(np.minimum(np.abs(at), 1000.0) * math.log(2.0))
        return size if self._scale is None else np.clip(self._scale.centre + self._scale.scale * size, -1e300, 1e300)


def _known(met: Histogram | None) -> tuple[list[float], list[int]]:
    """The numbers that were met, each by itself, where there are so few; their counts."""
    if met is None or met.shift:
        return [], []
    return list(met.values()), list(met.counts())
