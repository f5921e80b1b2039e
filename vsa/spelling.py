"""Rows of words: each one's own atom and its n-grams, kept for the words that come again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vsa.atoms import GRAM_SHARE, WORD_UNIT, Leaf, prior
from vsa.budget import LEAST_WORDS, Budget
from vsa.gramsigns import GramSigns, is_plain
from vsa.statistics import Statistics, rarity
from vsa.sums import bag, headed_sums, kernel
from vsa.table import RowTable
from vsa.tokens import WHOLE, word_name

Rows = npt.NDArray[np.float32]

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

    def sums(self, leaves: list[Leaf]) -> Rows:
        """(n, dim) sums of the leaves' words, before binding."""
        total = np.zeros((len(leaves), self._dim), np.float32)
        words = [word for leaf in leaves for word in leaf.words]
        weights = np.array([weight for leaf in leaves for weight in leaf.words.values()], np.float32)
        owners = np.repeat(np.arange(len(leaves)), [len(leaf.words) for leaf in leaves])
        for at in range(0, len(words), _WORDS_AT_ONCE):
            end = at + _WORDS_AT_ONCE
            rows = np.array(self._rows_of_words(words[at:end]), np.int64)
            self._words.touch(rows)
            starts = np.flatnonzero(np.diff(owners[at:end], prepend=-1))
            total[owners[at:end][starts]] += bag(self._words.rows, rows, starts, weights[at:end])
        return total

    def _rows_of_words(self, names: list[str]) -> list[int]:
        if self._words.is_wordy():
            self._words.evict()
        known = self._word_rows
        missing = [name for name in dict.fromkeys(names) if name not in known]
        if missing:
            missing.sort(key=is_plain)
            odd = len(missing) - sum(map(is_plain, missing))
            present = [known[name] for name in names if name in known]
            self._words.touch(np.array(present, np.int64))
            fresh: list[int] = []
            for name in missing:
                if self._words.is_full():
                    self._words.touch(np.array(fresh, np.int64))
                    self._words.evict()
                fresh.append(self._words.claim(known, name, None))
            for start, stop in ((0, odd), (odd, len(missing))):
                for at in range(start, stop, self._at_once):
                    end = min(at + self._at_once, stop)
                    self._words.rows[fresh[at:end]] = self._spelled(missing[at:end], plain=at >= odd)
        return [known[name] for name in names]

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
