"""A dictionary of the keys of least hash: bounded, and the same whatever came first."""

from __future__ import annotations

import hashlib
import heapq
from typing import Generic, TypeVar

K = TypeVar("K", str, int)
V = TypeVar("V")


class Least(Generic[K, V]):
    """Values of at most `most` keys: those whose hashes are least.

    A key that stays was among the least ever since it first came, so nothing that was counted under it is lost, and
    what two samples come to is what the whole comes to (a bottom-k sample, Cohen & Kaplan 2007).

    Parameters
    ----------
    most : int
        Keys kept.

    Attributes
    ----------
    values : dict
        What is kept, by key.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.values: dict[K, V] = {}
        self._largest: list[tuple[int, K]] = []

    def admits(self, key: K) -> bool:
        """Whether the key is kept, or would be."""
        return key in self.values or len(self.values) < self._most or _order(key) < -self._largest[0][0]

    def add(self, key: K, value: V) -> None:
        """Set the value of a key, which throws out the key of the largest hash where there are too many.

        Cost: O(log most) for a new key.
        """
        if key not in self.values:
            heapq.heappush(self._largest, (-_order(key), key))
        self.values[key] = value
        if len(self.values) > self._most:
            del self.values[heapq.heappop(self._largest)[1]]

    def __len__(self) -> int:
        return len(self.values)


def _order(key: str | int) -> int:
    """The hash of a text; whole numbers are hashes already."""
    if isinstance(key, int):
        return key
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8, person=b"vsa-least").digest(), "little")
