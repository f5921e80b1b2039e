"""Rows of words: each one's own atom and its n-grams, kept for the words that come again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from vsa.atoms import GRAM_SHARE, WORD_UNIT, Leaf, prior
from vsa.budget import LEAST_WORDS, Budget
from vsa.gramsigns import GramSigns, is_plain
from vsa.statistics import Statistics, rarity
from vsa.sums import add_bags, headed_sums, kernel
from vsa.table import RowTable
from vsa.tokens import WHOLE, word_name

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_WORDS_AT_ONCE = LEAST_WORDS // 2  # so that none of them has to go for another


class Words:
    """Rows of words, before binding.

    Parameters
    ----------
    head : bytes
        Of the stream that atoms come from.
    dim : int
    statistics : Statistics or None
        What was learned of the corpus.
    budget : Budget
        How much is kept.
    """

    def __init__(self, head: bytes, dim: int, statistics: Statistics | None, budget: Budget) -> None:
        self._head = head
        self._dim = dim
        self._statistics = statistics
        self._words: RowTable[None] = RowTable(dim, budget.words)
        self._at_once = max(16, budget.block // 4)
        self._word_rows: dict[str, int] = {}
        self._grams = GramSigns(head, dim, rarities=self._rarity_of_names, most=budget.grams)

    def forget(self) -> None:
        """Empty the cache of words."""
        self._words.clear()

    def sums(self, leaves: list[Leaf], out: Rows | None = None) -> Rows:
        """(n, dim) sums of the leaves' words, before binding; put in `out`, where it is given."""
        total = np.empty((len(leaves), self._dim), np.float32) if out is None else out
        total[:] = 0
        each = [leaf.words for leaf in leaves]
        words = list(chain.from_iterable(each))
        weights = np.fromiter(chain.from_iterable(map(dict.values, each)), np.float32, len(words))
        bounds = np.zeros(len(leaves) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, each), np.int64, len(each)), out=bounds[1:])
        for at in range(0, len(words), _WORDS_AT_ONCE):
            end = at + _WORDS_AT_ONCE
            rows = self._rows_of_words(words[at:end])
            self._words.touch(rows)
            add_bags(self._words.rows, rows, np.clip(bounds - at, 0, len(rows)), weights[at:end], total)
        return total

    def _rows_of_words(self, names: list[str]) -> Numbers:
        """The row of each word; made where it has none."""
        if self._words.is_wordy():
            self._words.evict()
        rows = list(map(self._word_rows.get, names))
        if None in rows:
            self._words.touch(np.array([row for row in rows if row is not None], np.int64))
            self._make(list(dict.fromkeys(name for name, row in zip(names, rows, strict=True) if row is None)))
            rows = list(map(self._word_rows.get, names))
        return np.array(rows, np.int64)

    def _make(self, missing: list[str]) -> None:
        """Make the rows of words."""
        missing.sort(key=is_plain)
        odd = len(missing) - sum(map(is_plain, missing))
        fresh: list[int] = []
        for name in missing:
            if self._words.is_full():
                self._words.touch(np.array(fresh, np.int64))
                self._words.evict()
            fresh.append(self._words.claim(self._word_rows, name, None))
        for start, stop in ((0, odd), (odd, len(missing))):
            for at in range(start, stop, self._at_once):
                end = min(at + self._at_once, stop)
                self._words.rows[fresh[at:end]] = self._spelled(missing[at:end], plain=at >= odd)

    def _spelled(self, words: list[str], *, plain: bool) -> Rows:
        """(n, dim) sums of each word's own atom and its n-grams, which together have norm `GRAM_SHARE`.

        Words that are `vsa.gramsigns.is_plain` are spelled by compiled code where it is loaded.
        """
        compiled = plain and kernel.worth(len(words)) is not None
        found = self._grams.plain_pieces(words) if compiled else self._grams.pieces(words)
        shares = np.repeat(GRAM_SHARE / np.sqrt(np.maximum(found.totals, 1)), found.distinct) * found.roots
        return headed_sums(
            self._head,
            self._dim,
            [word_name(word) for word in words],
            np.array(self.rarities(words)),
            found.distinct,
            found.columns,
            found.packed,
            shares * found.rarity[found.columns],
            WORD_UNIT,
        )

    def rarities(self, words: list[str]) -> list[float]:
        """How rare words are, from 0 to 1; those that stand for numbers and times are weighed by their field alone."""
        known = self._rarity_of_names([word_name(word) for word in words])
        return [1.0 if word[0] == WHOLE else rare for word, rare in zip(words, known, strict=True)]

    def _rarity_of_names(self, names: list[bytes]) -> Sequence[float]:
        if self._statistics is None:
            return [prior(name) for name in names]
        return rarity(self._statistics.tokens.of(names), self._statistics.records)
