"""Factors of paths, given when encoding."""

from __future__ import annotations

import math

from vsa.leaves import Node
from vsa.paths import Path, parse_path


class PathWeights:
    """Factors of paths and of all that lies under them; the longest path that fits a leaf decides.

    Parameters
    ----------
    weights : dict of str to float
        ``{"title": 3, "contributors[].role": 0.5}``; ``""`` is the whole record, 1 unless given. Members of
        arrays are meant with or without their ``[]`` at the end.

    Raises
    ------
    ValueError
        For a text that is no path, or a factor that is negative or not finite.
    """

    def __init__(self, weights: dict[str, float]) -> None:
        self._factors: dict[Path, float] = {}
        self._known: dict[Path, float] = {}
        for text, factor in weights.items():
            if isinstance(factor, bool) or not isinstance(factor, (int, float)):
                raise TypeError(f"the weight of {text!r} must be a number, got {factor!r}")
            if not math.isfinite(factor) or factor < 0:
                raise ValueError(f"the weight of {text!r} must be finite and at least 0, got {factor!r}")
            path = parse_path(text)
            if any(isinstance(step, int) for step in path):
                raise ValueError(f"weights are by path, without members' numbers: write [] in {text!r}")
            self._factors[path] = float(factor)

    def of(self, node: Node) -> float:
        """The factor of the leaves at `node`."""
        path = node.path
        factor = self._known.get(path)
        if factor is None:
            factor = 1.0
            for end in range(len(path), -1, -1):
                if path[:end] in self._factors:
                    factor = self._factors[path[:end]]
                    break
            self._known[path] = factor
        return factor
