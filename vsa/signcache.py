"""Sign rows of atoms that come again and again, one bit an entry, with what is known of each atom."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from vsa.sums import drawn_signs

Name = TypeVar("Name", bound=Hashable)


class SignCache(Generic[Name]):
    """Packed sign rows by name, as `vsa.hashing.signs` would give them, and a rarity each.

    Parameters
    ----------
    head : bytes
        Of the stream that the signs come from.
    dim : int
        Columns.
    atom : callable
        The atom's name in the stream.
    rarities : callable
        Rarity of each of a list of atoms.
    most : int
        Atoms held, of dim / 8 bytes and `vsa.budget.SIGN_BOOKS` each; when they are full, all are forgotten. More
        are held only where one list has more.
    """

    def __init__(
        self,
        head: bytes,
        dim: int,
        *,
        atom: Callable[[Name], bytes],
        rarities: Callable[[list[bytes]], Sequence[float]],
        most: int,
    ) -> None:
        self._head = head
        self._dim = dim
        self._atom = atom
        self._rarities = rarities
        self._most = most
        self._known: dict[Name, int] = {}
        self._held = 0
        self._packed = np.zeros((0, (dim + 7) // 8), np.uint8)
        self._rarity = np.zeros(0)

    def of(self, names: list[Name]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
        """Where the names stand, and the sign rows and rarities of all that are held.

        Returns
        -------
        columns : (n,) int64
            Of each name, its row in the other two.
        packed : (m, ⌈dim / 8⌉) uint8
        rarity : (m,) float64
        """
        slots = list(map(self._known.get, names))
        if None in slots:
            self._grow(names, [name for name, slot in zip(names, slots, strict=True) if slot is None])
            slots = list(map(self._known.get, names))
        return np.array(slots, np.int64), self._packed, self._rarity

    def _grow(self, names: list[Name], missing: list[Name]) -> None:
        """Draw the rows of the names that are missing."""
        fresh = list(dict.fromkeys(missing))
        if self._held + len(fresh) > self._most:
            self._forget()
            fresh = list(dict.fromkeys(names))
        first = self._held
        self._draw([self._atom(name) for name in fresh])
        self._known.update(zip(fresh, range(first, self._held), strict=True))

    def _forget(self) -> None:
        """Make room for `most` rows."""
        self._known = {}
        self._held = 0
        if len(self._packed) > self._most:
            self._packed = self._packed[:0].copy()

    def _draw(self, atoms: list[bytes]) -> None:
        """Take the next rows for the signs and the rarities of atoms."""
        first, needed = self._held, self._held + len(atoms)
        if needed > len(self._packed):
            # Doubled, so that a row is copied a bounded number of times.
            size = max(needed, min(2 * len(self._packed), self._most), 1024)
            packed = np.zeros((size, self._packed.shape[1]), np.uint8)
            packed[:first] = self._packed[:first]
            self._packed = packed
            rarity = np.zeros(size)
            rarity[:first] = self._rarity[:first]
            self._rarity = rarity
        self._packed[first:needed] = drawn_signs(self._head, atoms, self._dim)
        self._rarity[first:needed] = self._rarities(atoms)
        self._held = needed
