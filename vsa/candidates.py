"""What may stand at a path of a record, with the rows and the prior of each value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.leaves import POSITIONS, Arrays
from vsa.making import LeafMaker
from vsa.paths import MEMBER, Path
from vsa.places import Place
from vsa.shares import Shares

Rows = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

MOST_UNSEEN = 0.9
"""Where nearly all values are new, as titles are, those in the memory keep a chance yet."""


@dataclass
class Candidates:
    """What may stand at a path.

    Attributes
    ----------
    path : Path
        Where.
    values : sequence
        n values.
    atoms, words : (n, dim) float32
        Their sums before binding: all, and of the words alone.
    copies : list of (Path, float)
        Operators that `atoms` are bound by in a row, with their weights.
    anywhere : float
        Weight of the unbound `words` in a row.
    prior : (n,) float64
        Probability of each; for members of arrays, of each being among them.
    absent, unseen : float
        Probability of nothing at the path, and of a value that is not among the candidates.
    many : bool
        Whether several can stand there at once.
    """

    path: Path
    values: Sequence[Any]
    atoms: Rows
    words: Rows
    copies: Sequence[tuple[Path, float]]
    anywhere: float
    prior: Floats
    absent: float
    unseen: float
    many: bool = False
    loose: int = 1

    def __post_init__(self) -> None:
        self.energy = np.zeros(0)
        self.loose_energy = np.zeros(0)
        self.bound_length = np.zeros(0)

    def measure(self, maker: LeafMaker) -> None:
        """Energies of the rows, and of what a value that stands elsewhere has in common with them."""
        loose = self.anywhere * self.words
        rows = loose.copy()
        for at, (path, weight) in enumerate(self.copies):
            bound = weight * maker.bind(path, self.atoms)
            rows += bound
            if at >= self.loose:
                loose += bound
        self.energy = np.maximum(np.einsum("nd,nd->n", rows, rows, dtype=np.float64), 1e-9)
        length = np.linalg.norm(self.atoms.astype(np.float64), axis=1)
        self.bound_length = length * np.sqrt(sum(weight**2 for _, weight in self.copies[: self.loose]))
        self.loose_energy = np.einsum("nd,nd->n", loose, loose, dtype=np.float64)

    def correlate(self, maker: LeafMaker, X: Rows) -> tuple[Floats, Floats]:
        """(m, n) inner products of vectors (m, dim) with the rows, and with their loose parts."""
        loose = self.anywhere * (X @ self.words.T).astype(np.float64)
        whole = loose.copy()
        for at, (path, weight) in enumerate(self.copies):
            part = weight * (maker.unbind(path, X) @ self.atoms.T)
            whole += part
            if at >= self.loose:
                loose += part
        return whole, loose

    def mean(self, maker: LeafMaker, P: Floats) -> Rows:
        """(m, dim) rows weighed by P (m, n)."""
        weights = P.astype(np.float32)
        total: Rows = np.float32(self.anywhere) * (weights @ self.words)
        atoms = weights @ self.atoms
        for path, weight in self.copies:
            total += np.float32(weight) * maker.bind(path, atoms)
        return total


def candidates(
    maker: LeafMaker, shares: Shares, arrays: Arrays, path: Path, values: list[Any], *, present: float = 0.5
) -> Candidates:
    """A closed set of equally likely values at a path, there with probability `present`."""
    atoms, words = maker.unbound(path, values)
    bag: Path = tuple(MEMBER if isinstance(step, int) else step for step in path)
    factor = maker.factors.of(bag)
    numbered = arrays is Arrays.SEQUENCE or all(not isinstance(step, int) or step < POSITIONS for step in path)
    if bag.count(MEMBER) == 0 or arrays is Arrays.BAG or not numbered:
        copies = [(bag, factor * (shares.bound + shares.position))]
    elif path == bag:
        copies = [(bag, factor * shares.bound)]
    else:
        copies = [(path, factor * shares.position), (bag, factor * shares.bound)]
    prior = np.full(len(values), present / len(values))
    found = Candidates(path, values, atoms, words, copies, factor * shares.anywhere, prior, 1.0 - present, 0.0)
    found.measure(maker)
    return found


def remembered(
    maker: LeafMaker, shares: Shares, arrays: Arrays, path: Path, place: Place, records: int, most: int
) -> Candidates:
    """The values that a memory knows of a path, with their frequencies as priors.

    The chance of a value that is not among them is Good's and Turing's: the share of the leaves whose value was seen
    once (Good 1953), and the share of those left out here.
    """
    ranked = place.ranked()[:most]
    counts = np.array([count for _, count in ranked], np.float64)
    sampled = place.sampled()
    present = (place.records + 0.5) / (records + 1.0)
    once = float((counts == 1).sum())
    unseen = min(max(1.0 - (counts.sum() - once) / sampled, 0.5 / (sampled + 1.0)), MOST_UNSEEN) if sampled else 1.0
    found = candidates(maker, shares, arrays, path, [value for value, _ in ranked], present=present)
    if MEMBER in path:
        # Each record draws its members anew; the sample stands for this many records.
        found.many = True
        found.prior = counts * (place.total() / max(1, sampled)) / (records + 1.0)
    else:
        found.prior = present * (1.0 - unseen) * counts / counts.sum()
        found.unseen = present * unseen
    return found
