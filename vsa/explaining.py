"""Exact additive explanations of a cosine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
    q = np.asarray(query, np.float64)
    if q.shape != (rows.shape[1],):
        raise ValueError(f"expected a query of shape ({rows.shape[1]},), got {q.shape}")
    size = float(np.sqrt(q @ q))
    if not np.isfinite(size) or size == 0.0:
        raise ValueError("the query vector is zero or not finite")
    exact = rows.astype(np.float64)
    total = exact.sum(axis=0)
    parts = exact @ (q / (size * float(np.sqrt(total @ total))))
    paths: dict[str, float] = {}
    for node, part in zip(nodes, parts.tolist(), strict=True):
        name = format_path(node.path)
        paths[name] = paths.get(name, 0.0) + part
    return sorted(paths.items(), key=lambda item: -item[1])
