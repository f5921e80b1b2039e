"""What the pictures of `vsa.plots` show, as arrays: similarities, a capacity in theory, a plane through vectors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.encoder import JSONEncoder

Floats = npt.NDArray[np.float64]


def similarity_curve(encoders: Iterable[JSONEncoder], anchor: Any, others: Sequence[Any]) -> tuple[Floats, Floats]:
    """Cosines of a record with others, over encoders of different seeds.

    Parameters
    ----------
    encoders : iterable of JSONEncoder
        One a seed. Of n encoders the mean strays from the kernel by about 1/√(n · dim).
    anchor : JSON value
        The record compared with.
    others : sequence of JSON values
        The records compared.

    Returns
    -------
    mean, deviation : (len(others),) float64
        Over the encoders; the deviation is 0 for a single one.

    Examples
    --------
    >>> mean, _ = similarity_curve([JSONEncoder(1024)], {"x": 5}, [{"x": 5}, {"x": 6}, {"x": 500}])
    >>> bool(mean[0] > mean[1] > mean[2])
    True
    """
    cosines = []
    for encoder in encoders:
        X = encoder.encode([anchor, *others]).astype(np.float64)
        cosines.append(X[1:] @ X[0])
    if not cosines:
        raise ValueError("expected at least one encoder")
    return np.mean(cosines, axis=0), np.std(cosines, axis=0)


def capacity_in_theory(n_bound: npt.ArrayLike, dim: int, n_candidates: int) -> Floats:
    """Probability that cleanup finds the right one of the candidates after unbinding a sum of bound vectors.

    ``p = E_z[Φ((√(dim) + z √(n − 1)) / √n)^(m − 1)]`` with z standard normal, n vectors of equal norm in the sum and
    m candidates: the right one scores 1 with variance (n − 1)/dim, each wrong one 0 with variance n/dim.

    Parameters
    ----------
    n_bound : (k,) array of int
        Vectors in the sum, from 1.
    dim : int
        Dimensions.
    n_candidates : int
        Candidates, the right one among them.

    Returns
    -------
    (k,) float64
        Between 1/m and 1.

    Notes
    -----
    Source: Frady, Kleyko & Sommer 2018, *A theory of sequence indexing and working memory in recurrent neural
    networks*, equation 2.13; the wrong scores are taken for independent.

    Examples
    --------
    >>> [round(float(p), 3) for p in capacity_in_theory([5, 50, 500], dim=512, n_candidates=1000)]
    [1.0, 0.486, 0.017]
    """
    from scipy.special import ndtr

    n = np.atleast_1d(np.asarray(n_bound, np.float64))
    if dim < 1 or n_candidates < 1 or (n < 1).any():
        raise ValueError("n_bound, dim and n_candidates must be at least 1")
    # Φ(·)^(m − 1) is steep: a fine grid over ±8 is surer than a quadrature of few nodes.
    z = np.linspace(-8.0, 8.0, 4001)
    density = np.exp(-z * z / 2)
    density /= density.sum()
    right = (np.sqrt(dim) + z[None] * np.sqrt(n - 1)[:, None]) / np.sqrt(n)[:, None]
    found: Floats = (ndtr(right) ** (n_candidates - 1)) @ density
    return found


def principal_plane(X: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Rows in the plane of their two widest directions, by singular value decomposition.

    Parameters
    ----------
    X : (n, dim) array
        At least two rows and two columns.

    Returns
    -------
    points : (n, 2) float64
        Coordinates around the mean; each axis points to where its largest coordinate is positive.
    shares : (2,) float64
        Share of the variance that each axis holds, from 0 to 1.

    Raises
    ------
    ValueError
        For another shape.
    """
    rows = np.asarray(X, np.float64)
    if rows.ndim != 2 or min(rows.shape) < 2:
        raise ValueError(f"expected at least two rows and two columns, got an array of shape {rows.shape}")
    U, S, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    points = U[:, :2] * S[:2]
    signs = np.sign(points[np.abs(points).argmax(axis=0), [0, 1]])
    total = float((S**2).sum())
    return points * np.where(signs == 0, 1.0, signs), S[:2] ** 2 / (total or 1.0)
