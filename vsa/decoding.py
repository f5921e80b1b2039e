"""Reading values back out of vectors: one Gaussian model of crosstalk, solved by explaining away.

A record's vector is ``x = α Σ_leaf R(path, value)`` with ``α = 1/‖Σ R‖``. Against one leaf the others are crosstalk,
Gaussian with a variance of ``σ² = ‖rest‖²/dim`` a direction, so that a value with row R and energy ``E = ‖R‖²`` has the
log-likelihood ratio to an absent one of ``(α ⟨R, rest⟩ − α² E/2) / σ²``. R is the whole row: the copy bound to the path
and the copy of its words that is bound to nothing. A word in *another* field brings the second copy only, so each
candidate is weighed against having stood elsewhere as well.

With priors from the item memory this gives a posterior for each path; its mean row is taken out of x before the next
path is read, and the round is repeated: what is clear makes the rest clearer. This is soft interference cancellation
(Wang & Poor 1999, eq. 36-39, for CDMA) over the leaves of a record, and for one path without rounds it is the
matched filter of cleanup.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.candidates import Candidates
from vsa.making import LeafMaker

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

ELSEWHERE = 0.03
"""Prior of a candidate's words standing in some field that is not being read."""

SPREAD = 0.25
"""Relative standard deviation of α where it is taken for known: a first guess must not rule out what is there."""

FLOOR = 1e-6
"""Least share of the squared length that counts as unexplained: rounding leaves some even where all is known."""

_BRANCHES = 3
_LEAST = 0.05
_GENEROUS = 1.3


@dataclass(frozen=True)
class Answer:
    """A value read out of a vector. Unpacks as ``value, score = answer``.

    Attributes
    ----------
    value : JSON scalar or empty container
        The value.
    score : float
        Cosine of the value's copy bound to the path and the vector, less what other paths explain.
    trust : float
        Probability that the value is right, 0 to 1.
    interval : (float, float) or None
        Of a number read by `vsa.JSONEncoder.decode`: the error bar of the number at the path, whichever it is; see
        `vsa.JSONEncoder.decode_number`.
    """

    value: Any
    score: float
    trust: float
    interval: tuple[float, float] | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.value, self.score))

    def __getitem__(self, item: int) -> Any:
        return (self.value, self.score)[item]


class Reading:
    """Posteriors of several paths in m vectors at once.

    Parameters
    ----------
    maker : LeafMaker
        Binds and unbinds.
    X : (m, dim) array
        Unit vectors.
    fields : list of Candidates
        The paths; all that the records may hold, as far as they are known.
    scale : float, optional
        α to begin with. By default that of a record with all the fields as likely as their priors say.
    """

    def __init__(self, maker: LeafMaker, X: Floats, fields: list[Candidates], scale: float | None = None) -> None:
        self._maker = maker
        self._X = X.astype(np.float32)
        self.fields = fields
        self.dim = X.shape[1]
        if scale is None:
            expected = sum(float(f.prior @ f.energy) for f in fields)
            scale = 1.0 / math.sqrt(expected) if expected > 0 else 1.0
        self._first = scale
        self.scale: Floats = np.full((len(X), 1), scale)
        self.noise: Floats = np.full((len(X), 1), 1.0 / self.dim)
        self.rest = self._X.copy()
        self._means: list[Rows] = [np.zeros_like(self._X) for _ in fields]
        self.P: list[Floats] = [np.zeros((len(X), len(f.values))) for f in fields]
        self.occam = 0.0
        self.single = False
        self.absent: list[Floats] = [np.ones(len(X)) for _ in fields]

    def sweep(self, rounds: int = 4) -> Reading:
        """Read every path so many times, each against what the others leave."""
        for _ in range(rounds):
            for at in range(len(self.fields)):
                self._read(at)
            known = np.sum(self._means, axis=0, dtype=np.float64)
            power = np.einsum("md,md->m", known, known)
            fitted = np.einsum("md,md->m", self._X, known) / np.maximum(power, 1e-300)
            # α is refitted as far as the record is known: a doubtful mean leans on the noise it was read from.
            doubt = np.sum([self._variance(at) for at in range(len(self.fields))], axis=0)
            sure = power / (power + doubt + 1e-300)
            scale = self._first * (fitted / self._first) ** sure if (fitted > 0).all() else self.scale[:, 0]
            self.scale = scale[:, None]
            self.rest = self._X - (self.scale * known).astype(np.float32)
            left = np.einsum("md,md->m", self.rest, self.rest, dtype=np.float64)
            # What the posteriors leave open is noise too: a wrong mean also makes the rest small.
            left = np.minimum(np.maximum(left, scale**2 * doubt), 1.0)
            self.noise = np.maximum(left, FLOOR)[:, None] / self.dim
        return self

    def _variance(self, at: int) -> Floats:
        """(m,) variance of a path's row under its posterior."""
        field, P = self.fields[at], self.P[at]
        if field.many:
            spread: Floats = (P * (1.0 - P)) @ field.energy
            return spread
        mean = self._means[at]
        single: Floats = np.maximum(P @ field.energy - np.einsum("md,md->m", mean, mean, dtype=np.float64), 0.0)
        return single

    def _read(self, at: int) -> None:
        field = self.fields[at]
        alone = self.rest + (self.scale * self._means[at]).astype(np.float32)
        for _ in range(_BRANCHES if field.many else 1):
            if field.many:
                mean = field.mean(self._maker, self.P[at])
                left = alone - (self.scale * mean).astype(np.float32)
                own = self.scale * self.P[at]
                fresh = self._members(field, left, own)
                self.P[at] = (self.P[at] + fresh) / 2.0
            else:
                self.P[at], self.absent[at] = self._single(field, alone)
        self._means[at] = field.mean(self._maker, self.P[at])
        self.rest = alone - (self.scale * self._means[at]).astype(np.float32)

    def ratios(self, field: Candidates, whole: Floats, loose: Floats) -> tuple[Floats, Floats]:
        """Log-likelihood ratios (m, n) to absence: of the value standing here, and of its standing elsewhere or not.

        In sweeps other paths take their loose copies out, rightly or wrongly, and the row is judged as a whole. Where
        one path is read alone, the bound copy speaks for here alone; the loose copies count once more if the value
        stands here too, as often as it stands elsewhere: c times with probability `ELSEWHERE` ** ((c + 1)/2).
        """
        if not self.single:
            standing = math.log(ELSEWHERE) + self._ratio(loose, field.loose_energy)
            return self._ratio(whole, field.energy), np.logaddexp(math.log1p(-ELSEWHERE), standing)
        chances = [1.0 - ELSEWHERE] + [ELSEWHERE ** ((c + 1) / 2) for c in (1, 2)]
        loose_ratios = [self._ratio(loose, field.loose_energy, times) for times in range(len(chances) + 1)]
        logs = np.log(chances)
        here = np.logaddexp.reduce([log + loose_ratios[c + 1] for c, log in enumerate(logs)])
        elsewhere = np.logaddexp.reduce([log + loose_ratios[c] for c, log in enumerate(logs)])
        return self._ratio(whole - loose, field.bound_length**2) + here, elsewhere

    def _ratio(self, inner: Floats, energy: Floats, times: int = 1) -> Floats:
        """That of a row held so many times, its inner product known, and α give or take `SPREAD`."""
        length = np.sqrt(np.maximum(energy, 1e-9))
        z = inner / length / np.sqrt(self.noise)
        size = times * self.scale * length / np.sqrt(self.noise)
        wide = 1.0 + (SPREAD * size) ** 2
        ratio: Floats = (z**2 - (z - size) ** 2 / wide - np.log(wide)) / 2.0
        return ratio

    def _members(self, field: Candidates, left: Rows, own: Floats) -> Floats:
        from scipy.special import expit

        whole, loose = field.correlate(self._maker, left)
        L, elsewhere = self.ratios(field, whole + own * field.energy, loose + own * field.loose_energy)
        prior = np.clip(field.prior, 1e-9, 0.999)
        found: Floats = expit(np.log(prior / (1.0 - prior)) + L - elsewhere)
        return found

    def _single(self, field: Candidates, alone: Rows) -> tuple[Floats, Floats]:
        # Here, not above: it takes longer to import than all the rest of vsa.
        from scipy.special import log_ndtr, logsumexp

        whole, loose = field.correlate(self._maker, alone)
        L, elsewhere = self.ratios(field, whole, loose)
        with np.errstate(divide="ignore"):
            prior = np.log(field.prior)
            nothing = np.log(field.absent + field.unseen / 2.0)
            near = np.log(field.unseen / 2.0) + prior - np.log(field.prior.sum())
        # A value not in the memory looks like its nearest kin there, weaker by a factor uniform on 0 to 1.
        size = np.sqrt(field.energy) * self.scale / np.sqrt(self.noise)
        z = whole / np.sqrt(field.energy * self.noise)
        tail = np.maximum(log_ndtr(z) + np.log1p(-np.exp(np.minimum(log_ndtr(z - size) - log_ndtr(z), -1e-12))), -700.0)
        near = near + z**2 / 2.0 + tail + 0.5 * math.log(2.0 * math.pi) - np.log(size)
        terms = np.concatenate(
            [prior + L + self.occam - elsewhere, near - elsewhere, np.full((len(L), 1), nothing)], axis=1
        )
        P = np.exp(terms - logsumexp(terms, axis=1, keepdims=True))
        n = len(field.values)
        return P[:, :n], P[:, -1]


def alone(maker: LeafMaker, X: Floats, field: Candidates) -> Reading:
    """A reading of one path with nothing known of the rest: α is what fits the likeliest value best.

    That choice is paid for by Occam's factor: a free amplitude between 0 and √dim standard deviations of noise makes
    a present value less likely by √(2π/dim).
    """
    reading = Reading(maker, X, [field], scale=1.0)
    whole, loose = field.correlate(maker, X.astype(np.float32))
    # A word of several other fields has a long loose part; its bound part says no.
    bound = (whole - loose) / np.maximum(field.bound_length, 1e-9) ** 2
    amplitude = np.minimum(whole / field.energy, _GENEROUS * bound)
    best = np.argmax(amplitude * np.sqrt(field.energy), axis=1)
    fitted = amplitude[np.arange(len(X)), best]
    held = (loose / np.maximum(field.loose_energy, 1e-9)).max(axis=1) / _GENEROUS / 2.0
    least = 1e-9 / np.sqrt(field.energy.max())
    reading.scale = np.maximum(np.maximum(fitted, held), least)[:, None]
    reading.single = True
    reading.occam = min(0.0, 0.5 * math.log(2.0 * math.pi / reading.dim))
    reading._read(0)
    reading.rest = reading._X
    reading._means[0] = np.zeros_like(reading._X)
    return reading


def answers(reading: Reading, at: int, *, likely: bool = False) -> list[Answer]:
    """The values at path number `at` in the first vector, best first; with `likely` only those believed."""
    field, P = reading.fields[at], reading.P[at][0]
    left = reading.rest[:1] + (reading.scale[:1] * reading._means[at][:1]).astype(np.float32)
    whole, loose = field.correlate(reading._maker, left)
    size = float(np.linalg.norm(left[0].astype(np.float64))) or 1.0
    score = (whole - loose)[0] / np.maximum(field.bound_length, 1e-9) / size
    # Trusts below the least float are told apart by score.
    order = np.lexsort((-score, -P)).tolist()
    if likely:
        bar = 0.5 if field.many else max(float(reading.absent[at][0]), _LEAST)
        order = [i for i in order if P[i] >= bar][: None if field.many else 1]
    return [Answer(field.values[i], float(score[i]), float(P[i])) for i in order]
