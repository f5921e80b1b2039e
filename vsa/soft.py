"""The soft levels of many leaves at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsa.atoms import Leaf
from vsa.levels import cells_of, compress_of

_KINDS = (b"l", b"d")
_GRID_BITS = 4


@dataclass(frozen=True)
class Levels:
    """Soft levels of leaves.

    Attributes
    ----------
    names : list
        For `level_name`: names, and numbers of cells.
    which : (n,) int64
        Of each level, its place in `names`.
    owners : (n,) int64
        The leaf that it belongs to.
    shares : (n,) float64
        Its weight in units of `vsa.atoms.LEAF_UNIT`.
    """

    names: list[bytes | int]
    which: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]


def soft_levels(leaves: list[Leaf]) -> Levels:
    """The levels of all leaves, leaf after leaf: those of each leaf's `levels`, to the bit."""
    names: list[bytes | int] = [name for leaf in leaves for name in leaf.marks]
    which = [np.arange(len(names))]
    owners = [np.repeat(np.arange(len(leaves)), [len(leaf.marks) for leaf in leaves])]
    shares = [np.array([share for leaf in leaves for share in leaf.marks.values()], np.float64)]
    for number, kind in enumerate(_KINDS):
        lines = [(i, leaf.line) for i, leaf in enumerate(leaves) if leaf.line and leaf.line.kind == kind]
        if not lines:
            continue
        grids = lines[0][1].grids
        at = np.array([line.at for _, line in lines])
        nodes, weights = cells_of(at if kind == b"d" else compress_of(at), grids)
        codes = ((nodes << _GRID_BITS) | np.tile(np.arange(len(grids)), 2)) << 1 | number
        touched = weights > 0.0
        met, places = np.unique(codes[touched], return_inverse=True)
        which.append(len(names) + places.reshape(-1))
        names += met.tolist()
        owners.append(np.repeat([i for i, _ in lines], touched.sum(axis=1)))
        shares.append((weights * np.array([line.share for _, line in lines])[:, None])[touched])
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return Levels(names, np.concatenate(which)[order], owner[order], np.concatenate(shares)[order])


def level_name(name: bytes | int) -> bytes:
    """The atom of a level, given by its name or, as `soft_levels` does, by the number of a cell."""
    if isinstance(name, bytes):
        return name
    grid = name >> 1 & (1 << _GRID_BITS) - 1
    return b"%s%d,%d" % (_KINDS[name & 1], grid, name >> 1 + _GRID_BITS)
