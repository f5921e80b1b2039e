"""Words to their n-grams, and the sign rows of these, kept for the n-grams that come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vsa.signcache import SignCache
from vsa.tokens import WHOLE, grams

Numbers = npt.NDArray[np.int64]

_SURELY_SPELLED = 24  # shorter words are neither opaque nor cut


class Pieces(NamedTuple):
    """The distinct n-grams of words.

    Attributes
    ----------
    columns : (m,) int64
        Of each n-gram, word after word, its row among the signs.
    roots : (m,) float64
        Of how often it is in its word.
    distinct, totals : (n,) int64
        How many n-grams a word has, equal ones once, and all of them.
    packed : (k, ⌈dim / 8⌉) uint8
        Rows of signs.
    rarity : (k,) float64
        How rare the n-gram of each row is.
    """

    columns: Numbers
    roots: npt.NDArray[np.float64]
    distinct: Numbers
    totals: Numbers
    packed: npt.NDArray[np.uint8]
    rarity: npt.NDArray[np.float64]


class GramSigns(SignCache[str]):
    """Sign rows of n-grams.

    Parameters
    ----------
    head, dim, rarities, most
        As for `SignCache`.
    """

    def __init__(self, head: bytes, dim: int, *, rarities: Callable[[list[bytes]], Sequence[float]], most: int) -> None:
        super().__init__(head, dim, atom=_gram_name, rarities=rarities, most=most)
        self._clear()

    def _clear(self, entries: int = 0) -> None:
        """An empty table with two places for each of the n-grams that are kept, or of so many more."""
        size = 1 << (2 * max(self._most, entries)).bit_length()
        # Zeroed pages are not taken from the system before they are written.
        self._keys = np.zeros(size, np.uint32)
        self._rows = np.zeros(size, np.int32)
        self._is_whole = True

    def _forget(self) -> None:
        super()._forget()
        self._clear()

    def pieces(self, words: list[str]) -> Pieces:
        """The n-grams of any words."""
        names: list[str] = []
        roots: list[float] = []
        distinct, totals = [], []
        for word in words:
            found = grams(word)
            totals.append(len(found))
            if len(set(found)) == len(found):
                names += found
                roots += [1.0] * len(found)
                distinct.append(len(found))
            else:
                counts = Counter(found)
                names += counts
                roots += np.sqrt(list(counts.values())).tolist()
                distinct.append(len(counts))
        columns, packed, rarity = self.of(names)
        return Pieces(columns, np.array(roots), np.array(distinct), np.array(totals), packed, rarity)

    def plain_pieces(self, words: list[str]) -> Pieces:
        """The n-grams of words that `is_plain`, by compiled code; needs numba."""
        from vsa import gramtable

        text = np.frombuffer(f"<{'><'.join(words)}>".encode(), np.uint8)
        bounds = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, words), np.int64, len(words)) + 2, out=bounds[1:])
        most = 2 * len(text)
        spelled, fresh = np.empty(most, np.uint32), np.empty(most, np.uint32)
        columns, counts = np.empty(most, np.int64), np.empty(most, np.int64)
        distinct, totals = np.empty(len(words), np.int64), np.empty(len(words), np.int64)
        while True:
            # Interrupted between entering n-grams and drawing their rows, or too small.
            if not self._is_whole or self._held + most >= len(self._keys):
                self._forget()
                self._clear(most)
            self._is_whole = False
            filled, entered = gramtable.spell(
                text, bounds, self._keys, self._rows, self._held, spelled, columns, counts, distinct, totals, fresh
            )
            if not self._held or self._held + entered <= self._most:
                break
            self._forget()
        self._draw([b"g" + gram.to_bytes(4, "little").rstrip(b"\0") for gram in fresh[:entered].tolist()])
        self._is_whole = True
        roots = np.sqrt(counts[:filled])
        return Pieces(columns[:filled], roots, distinct, totals, self._packed, self._rarity)


def is_plain(word: str) -> bool:
    """Whether `GramSigns.plain_pieces` takes a word: it is spelled, short, and in ASCII."""
    return len(word) < _SURELY_SPELLED and word.isascii() and word[0] != WHOLE


def _gram_name(gram: str) -> bytes:
    return b"g" + gram.encode()
