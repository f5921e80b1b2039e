"""Local-linear maps: a ridge, corrected by what it misses on the nearest pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from retrieval.compat import mapfile
from retrieval.compat.fitting import Method, Options, fit_correction
from retrieval.compat.local_mapping import LocalMapping
from retrieval.compat.own_pairs import mapped_left_out
from retrieval.compat.pairs import (
    Float32,
    Float64,  # noqa: F401 - named by annotations that are inherited
    Int64,
    PairInfo,
    drawn_rows,
    unit_pairs,
    warn_about,
)

_ARRAYS = ("source_mean", "target_mean", "weights", "anchors", "residuals", "levels")
_NUMBERS = ("temperature", "n_neighbours", "penalty", "floor", "cosine", "width", "scale")


@dataclass(frozen=True, eq=False)
class LocalLinearMap(LocalMapping):
    """Map from one model's space into another's, fitted on paired vectors alone.

    For unit x, with W the ridge and r_i = y_i − ŷ(x_i) what it misses on pair i ::

        f(x) = ŷ(x) + g(x) Σ_i softmax_i(x·x_i / T) r_i        over the k nearest pairs

    and f is scaled to unit length. The gate g gives the softmax a null neighbour, so that far from all
    pairs the ridge alone remains. With few pairs a kernel ridge over all of them is the better correction::

        f(x) = o + x W + g(x) Σ_i exp((x·x_i − 1) / w) α_i      see `retrieval.compat.kernel_ridge`

    and leave-one-out says so. Fitted with source = old and target = new it is a *gallery map*: stored
    vectors are rewritten without an encoder call. With source = new and target = old it is a *query
    map*: the gallery stays as it is. Neither needs labels.

    Attributes
    ----------
    source_mean, target_mean, weights : float64
        The ridge.
    anchors, residuals : (n, d_source) and (n, d_target) float32
        Unit source rows of the pairs, and r_i; α_i under a kernel ridge.
    temperature, n_neighbours, penalty : float, int, float
        T, k, and λ in units of the mean eigenvalue of XᵀX; λ itself under a kernel ridge.
    levels : (m,) float64
        Sorted leave-one-out levels of pairs, by which `support` is measured.
    floor : float
        Level of the null neighbour.
    cosine : float
        Mean leave-one-out cosine between mapped and true target vectors.
    info : PairInfo
        What it was fitted on.
    width : float
        w; 0 where the correction is the kernel-weighted mean.
    scale : float
        Brings the doubt of a mapped vector to its expected squared distance from the true one.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> old = rng.standard_normal((500, 8)).astype(np.float32)
    >>> new = np.tanh(old @ rng.standard_normal((8, 12)).astype(np.float32))
    >>> m = LocalLinearMap.fit(source=old[:400], target=new[:400])
    >>> m.transform(old[400:]).shape, bool(m.cosine > 0.9)
    ((100, 12), True)
    """

    _KIND = "local-linear"

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
        method: Method = "mean",
        widths: Sequence[float] = (0.2, 0.4, 0.8, 1.6),
        solve_penalties: Sequence[float] = (0.1, 0.3, 1.0),
        n_validation: int = 1000,
        seed: int = 0,
    ) -> LocalLinearMap:
        """Fit on paired rows; settings, and the kind of correction, by exact leave-one-out.

        Parameters
        ----------
        source, target : (n, d_source) and (n, d_target) float
            The same items under both models, in the same order; each row is scaled to unit length.
        source_model, target_model : str
            Names by which vectors can be refused later.
        penalties, temperatures, neighbours : sequences
            What to choose from; a single value each means no choice. More neighbours than there are
            other pairs become all of them.
        method : {"mean", "solve", "auto"}
            A kernel-weighted mean of residuals; a kernel ridge over all pairs, for up to 4,096 of them; or,
            of the two, that with the higher leave-one-out cosine (for more pairs, the mean). For a gallery
            map from few pairs "auto" gains points. For a query map the mean ranks better, even where its
            cosine is lower.
        widths, solve_penalties : sequences
            w and λ of a kernel ridge, to choose from.
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
        sides and some 300 MB at 100 neighbours and d = 384. A kernel ridge adds O(n³) time, 16 n² bytes,
        and some three seconds for the choice of its settings.
        """
        options = Options(penalties, temperatures, neighbours, method, widths, solve_penalties, n_validation, seed)
        X, Y, relatedness = unit_pairs(source, target)
        info = PairInfo(source_model, target_model, X.shape[1], Y.shape[1], len(X), relatedness)
        fit = fit_correction(X, Y, options)
        warn_about(info)
        return cls(info=info, **vars(fit))

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
        Exact, by the leverages of the ridge: O(n_pairs · d² + m · n_pairs · d_source) time; under a kernel
        ridge O(n_pairs³).
        """
        rows = drawn_rows(len(self.anchors), n, seed)
        return rows, *mapped_left_out(self, rows)

    def parts(self) -> mapfile.Parts:
        """Return what a file holds of the map: fields for its header, and arrays."""
        fields = {name: getattr(self, name) for name in _NUMBERS}
        return {"info": self.info.to_fields(), **fields}, {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of_parts(cls, fields: dict[str, Any], arrays: dict[str, Any]) -> LocalLinearMap:
        """Build the map that `parts` took apart."""
        numbers = {name: fields[name] for name in _NUMBERS}
        return cls(info=PairInfo(**fields["info"]), **{name: arrays[name] for name in _ARRAYS}, **numbers)
