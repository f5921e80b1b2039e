"""What maps are fitted on: paired rows, checked, described, and tested for being pairs at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.compat.errors import FewPairsWarning, InvalidPairsError, UnrelatedPairsWarning
from retrieval.errors import InvalidVectorError, ModelMismatchError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.floating[Any]]

BLOCK_ROWS = 8192
# One row of every eight is held out for the check, up to this many: enough for a z of 100 on true
# pairs, and 25 MB at the most at d = 2048 for both sides.
_HELD_OUT_EVERY = 8
_HELD_OUT_MOST = 1536
_HELD_OUT_LEAST = 12
# Under unrelated rows z is nearly N(0, 1): false alarms that pairs are fine come once in 10,000.
_RELATED_Z = 3.7


@dataclass(frozen=True)
class PairInfo:
    """The pairs that a map was fitted on.

    Attributes
    ----------
    source_model, target_model : str
        Names of the two models.
    source_dim, target_dim : int
    n_pairs : int
    relatedness : float or None
        z of the held-out check: by how many standard errors held-out rows match their own partner
        better than a stranger. About 0 for shuffled rows; None where the pairs are too few to tell.
    """

    source_model: str
    target_model: str
    source_dim: int
    target_dim: int
    n_pairs: int
    relatedness: float | None

    def __post_init__(self) -> None:
        for name in (self.source_model, self.target_model):
            if not isinstance(name, str) or not name:
                raise ValueError(f"a model's name must be a non-empty string, not {name!r}")
        if self.source_model == self.target_model:
            raise ValueError(f"source and target model are both named {self.source_model!r}; name them apart")

    def to_fields(self) -> dict[str, Any]:
        """Return what a map file's header holds."""
        return asdict(self)


def checked_vectors(X: npt.ArrayLike, dim: int | None, what: str, *, model: str | None = None) -> Vectors:
    """Return `X` as a finite 2-D float array: float64 stays, all else becomes float32.

    Raises
    ------
    InvalidVectorError
        If `X` is not 2-D numbers, or holds NaN, infinity or an all-zero row.
    ModelMismatchError
        If `X` has another dim than `dim`.
    """
    array = np.asarray(X)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise InvalidVectorError(f"{what} must be a 2-D array of numbers, not {array.dtype} {array.shape}")
    if dim is not None and array.shape[1] != dim:
        name = "" if model is None else f" of model {model!r}"
        raise ModelMismatchError(f"{what} have dim {array.shape[1]}, but vectors{name} have dim {dim}")
    rows: Vectors = array if array.dtype == np.float64 else array.astype(np.float32, copy=False)
    # Squared lengths tell all three faults in one pass. In float32 they may overflow or vanish where the
    # rows do not, which a second look in float64 settles; doing it at once would take five times as long.
    with np.errstate(over="ignore", under="ignore"):
        lengths = np.einsum("ij,ij->i", rows, rows)
    if not (np.isfinite(lengths).all() and lengths.all()):
        lengths = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    if not np.isfinite(lengths).all():
        row = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise InvalidVectorError(f"{what} hold NaN or infinity, first in row {row}; remove or repair it")
    if not lengths.all():
        zero = np.flatnonzero(lengths == 0)
        raise InvalidVectorError(
            f"{what} hold {len(zero)} all-zero rows, first row {zero[0]}; a zero row has no direction to map"
        )
    return rows


def paired_blocks(source: npt.ArrayLike, target: npt.ArrayLike) -> Iterator[tuple[Vectors, Vectors]]:
    """Walk two paired arrays, or memory maps, block by block, without copying them whole."""
    S, T = np.asanyarray(source), np.asanyarray(target)
    if S.ndim != 2 or T.ndim != 2:
        raise InvalidPairsError(f"paired rows must be 2-D, not {S.shape} and {T.shape}")
    if len(S) != len(T):
        raise InvalidPairsError(f"{len(S)} source rows and {len(T)} target rows cannot be pairs")
    for start in range(0, len(S), BLOCK_ROWS):
        yield S[start : start + BLOCK_ROWS], T[start : start + BLOCK_ROWS]


def check_model(model: str | None, expected: str) -> None:
    """Refuse vectors that are said to come from another model; None says nothing."""
    if model is not None and model != expected:
        raise ModelMismatchError(f"expected vectors of model {expected!r}, and these are of {model!r}")


@dataclass
class CrossCovariance:
    """Running sums over paired blocks, in float64: means, source-target products, and held-out rows.

    Memory O((d_source + d_target) · d_min), whatever the number of pairs. Every eighth row is set aside for
    the held-out check, up to a bound, and added at the end: `total` has seen all rows. The rows themselves
    are kept only as long as there are no more than half the smaller of the dims.
    """

    n: int = 0
    seen: int = 0
    _sum_source: Float64 | None = None
    _sum_target: Float64 | None = None
    _product: Float64 | None = None
    _held: list[tuple[Vectors, Vectors]] | None = None
    _few: list[tuple[Vectors, Vectors]] | None = None

    def add(self, source: npt.ArrayLike, target: npt.ArrayLike) -> None:
        """Take in a block of paired rows."""
        ds = None if self._sum_source is None else len(self._sum_source)
        dt = None if self._sum_target is None else len(self._sum_target)
        S = checked_vectors(source, ds, "source rows")
        T = checked_vectors(target, dt, "target rows")
        if len(S) != len(T):
            raise InvalidPairsError(f"{len(S)} source rows and {len(T)} target rows cannot be pairs")
        if self._held is None:
            self._held, self._few = [], []
        held = (np.arange(self.seen, self.seen + len(S)) % _HELD_OUT_EVERY) == _HELD_OUT_EVERY - 1
        room = _HELD_OUT_MOST - sum(len(s) for s, _ in self._held)
        held[np.flatnonzero(held)[max(room, 0) :]] = False
        self.seen += len(S)
        if 2 * self.seen > min(S.shape[1], T.shape[1]):
            self._few = None
        elif self._few is not None:
            self._few.append((S.copy(), T.copy()))
        if held.any():
            self._held.append((S[held].copy(), T[held].copy()))
            S, T = S[~held], T[~held]
        self._accumulate(S, T)

    def _accumulate(self, S: Vectors, T: Vectors) -> None:
        if self._product is None or self._sum_source is None or self._sum_target is None:
            self._sum_source, self._sum_target = np.zeros(S.shape[1]), np.zeros(T.shape[1])
            self._product = np.zeros((S.shape[1], T.shape[1]))
        S64, T64 = S.astype(np.float64, copy=False), T.astype(np.float64, copy=False)
        self._sum_source += S64.sum(axis=0)
        self._sum_target += T64.sum(axis=0)
        self._product += S64.T @ T64
        self.n += len(S)

    def relatedness(self) -> float | None:
        """z of the held-out check, or None where there are too few rows.

        With C the centred cross-covariance of the other rows, m(s, t) = (s − s̄) C (t − t̄)ᵀ is large
        for partners and 0 on average for strangers. z is the mean of m(s_i, t_i) − m(s_i, t_j) over
        held-out i, with j half a turn away, in standard errors.
        """
        if not self._held or self._product is None or self._sum_source is None or self._sum_target is None:
            return None
        S = np.concatenate([s for s, _ in self._held]).astype(np.float64)
        T = np.concatenate([t for _, t in self._held]).astype(np.float64)
        if len(S) < _HELD_OUT_LEAST:
            return None
        mean_s, mean_t = self._sum_source / self.n, self._sum_target / self.n
        C = self._product / self.n - np.outer(mean_s, mean_t)
        predicted, actual = (S - mean_s) @ C, T - mean_t
        strangers = np.roll(actual, len(S) // 2, axis=0)
        gain = np.einsum("ij,ij->i", predicted, actual - strangers)
        spread = float(gain.std(ddof=1))
        # No spread at all means constant rows: nothing tells partners from strangers.
        return float(gain.mean()) / (spread / np.sqrt(len(gain))) if spread > 0 else 0.0

    def few_rows(self) -> tuple[Float64, Float64] | None:
        """Return all rows of both sides, as given, where they are no more than half the smaller of the dims."""
        if not self._few:
            return None
        S, T = (np.concatenate(side).astype(np.float64) for side in zip(*self._few, strict=True))
        return S, T

    def total(self) -> Float64:
        """Return SᵀT over all rows, the held-out ones included."""
        for S, T in self._held or []:
            self._accumulate(S, T)
        self._held = []
        if self._product is None:
            raise InvalidPairsError("there are no pairs to fit on")
        return self._product


def warn_about(info: PairInfo, stacklevel: int = 3) -> None:
    """Warn of pairs that are too few or do not look like pairs."""
    most = max(info.source_dim, info.target_dim)
    if info.n_pairs < most:
        warnings.warn(
            f"{info.n_pairs} pairs are fewer than {most} dims: directions that no pair spans are mapped "
            f"arbitrarily or to zero; bring {most} pairs or more",
            FewPairsWarning,
            stacklevel=stacklevel,
        )
    if info.relatedness is not None and info.relatedness < _RELATED_Z:
        warnings.warn(
            f"held-out rows match their partner no better than a stranger (z = {info.relatedness:.1f}, "
            f"true pairs exceed {_RELATED_Z}): are the two arrays in the same order?",
            UnrelatedPairsWarning,
            stacklevel=stacklevel,
        )


def unit_rows(rows: Vectors) -> Float32:
    """Scale rows to unit length. A mapped row of length zero stays zero: it points nowhere."""
    if rows.dtype == np.float64:
        longest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0.0)
    else:
        longest = np.ones((len(rows), 1), dtype=np.float32)
        squares = np.einsum("ij,ij->i", rows, rows)
        if squares.size and not (squares.min() > 1e-20 and squares.max() < 1e20):
            longest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0.0)
    # Dividing by the largest entry first keeps squares in range; for common vectors it is left out.
    scaled = rows if (longest == 1).all() else rows / np.where(longest > 0, longest, 1)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    unit: Float32 = (scaled / np.where(lengths > 0, lengths, 1)).astype(np.float32, copy=False)
    return unit


def drawn_rows(n: int, most: int, seed: int) -> Int64:
    """Draw up to `most` of n rows without replacement, ascending."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most]).astype(np.int64)


def unit_pairs(source: npt.ArrayLike, target: npt.ArrayLike) -> tuple[Float32, Float32, float | None]:
    """Check paired rows block by block; return unit float32 copies and the held-out check's z."""
    sums = CrossCovariance()
    X, Y = (np.empty(np.shape(side), dtype=np.float32) for side in (source, target))
    for S, T in paired_blocks(source, target):
        block = slice(sums.seen, sums.seen + len(S))
        sums.add(S, T)
        X[block] = unit_rows(checked_vectors(S, None, "source rows"))
        Y[block] = unit_rows(checked_vectors(T, None, "target rows"))
    if sums.seen < 3:
        raise InvalidPairsError(f"{sums.seen} pairs are too few; a local map needs 3, and many to be any good")
    return X, Y, sums.relatedness()
