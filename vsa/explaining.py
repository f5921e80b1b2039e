"""Exact additive explanations of a cosine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsa.exchange import as_array
from vsa.leaves import Node
from vsa.paths import format_path


def explain(
    query: npt.NDArray[np.floating], nodes: list[Node], rows: npt.NDArray[np.float32]
) -> list[tuple[str, float]]:
    """Contributions of paths: ``⟨q, Σ_leaf∈path row⟩ / (‖q‖ ‖x‖)`` with ``x = Σ rows``.

    Parameters
    ----------
    query : (dim,) array
        Any length.
    nodes : list of Node
        Where each leaf stands.
    rows : (n_leaves, dim) float32
        What each leaf adds to the record's sum.

    Returns
    -------
    list of (str, float)
        Paths, members of an array together, largest contribution first; they sum to the cosine.

    Raises
    ------
    ValueError
        If the query has another dim, is zero or is not finite.
    """
    q = checked_query(query, rows.shape[1])
    exact = rows.astype(np.float64)
    total = exact.sum(axis=0)
    parts = exact @ (q / float(np.sqrt(total @ total)))
    paths: dict[str, float] = {}
    for node, part in zip(nodes, parts.tolist(), strict=True):
        name = format_path(node.path)
        paths[name] = paths.get(name, 0.0) + part
    return sorted(paths.items(), key=lambda item: -item[1])


def checked_query(query: npt.NDArray[np.floating], dim: int) -> npt.NDArray[np.float64]:
    """A query vector at unit length, in float64; ValueError if it has another dim, is zero or is not finite."""
    q = as_array(query)
    if q.shape != (dim,):
        raise ValueError(f"expected a query of shape ({dim},), got {q.shape}")
    size = float(np.sqrt(q @ q))
    if not np.isfinite(size) or size == 0.0:
        raise ValueError("the query vector is zero or not finite")
    unit: npt.NDArray[np.float64] = q / size
    return unit
