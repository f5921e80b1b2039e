"""Records as exact sparse rows, which the dense vectors only approximate.

Every pair of a place and an atom is a dimension of its own: the bound copy of an atom at each path, the copy with
the members' numbers at each place, and the copy that counts anywhere. Without dimensions to share there is no
crosstalk, so the cosines of these rows are what the encoder's cosines tend to as its dim grows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from scipy import sparse

from vsa.atoms import GRAM_SHARE, LEAF_UNIT, WORD_UNIT, analyse, exact_share, prior
from vsa.factors import PathFactors, id_factors
from vsa.paths import Path, format_path
from vsa.shares import Shares
from vsa.statistics import Statistics, rarity
from vsa.tokens import WHOLE, grams, word_name

Terms = dict[bytes, float]


class SparseOracle:
    """Unit rows over (path or place, atom), with the weights of an encoder.

    Parameters
    ----------
    statistics : Statistics, optional
        What the encoder learned.
    shares : Shares, optional
        Weights of the three copies.
    arrays : str
        ``"bag"``, ``"sequence"`` or ``"both"``.
    """

    def __init__(
        self, statistics: Statistics | None = None, shares: Shares | None = None, arrays: str = "both"
    ) -> None:
        self._statistics = statistics
        self._scales = statistics.scales() if statistics else {}
        self._shares = shares or Shares()
        self._times = statistics.spreads_of_times() if statistics else {}
        self._factors = PathFactors(id_factors(statistics, self._shares) if statistics else {})
        self._arrays = arrays
        self._columns: dict[tuple[Path | None, bytes], int] = {}
        self._words: dict[str, Terms] = {}

    def rows(self, records: Iterable[Any]) -> sparse.csr_matrix:
        """(n, m) unit rows; m grows with the terms met, so take queries and gallery in one call."""
        weights: list[float] = []
        columns: list[int] = []
        ends = [0]
        for record in records:
            for key, weight in self._record(record):
                columns.append(self._columns.setdefault(key, len(self._columns)))
                weights.append(weight)
            ends.append(len(columns))
        matrix = sparse.csr_matrix((weights, columns, ends), shape=(len(ends) - 1, len(self._columns)))
        matrix.sum_duplicates()
        lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        return sparse.csr_matrix(sparse.diags(1.0 / lengths) @ matrix)

    def _record(self, record: Any) -> Iterator[tuple[tuple[Path | None, bytes], float]]:
        for path, place, value in self._leaves(record, (), ()):
            factor = self._factors.of(path)
            own, words = self._terms(path, value)
            for terms in (own, words):
                for atom, weight in terms.items():
                    yield (path, atom), factor * self._shares.bound * weight
                    yield (place, atom), factor * self._shares.position * weight
            for atom, weight in words.items():
                yield (None, atom), factor * self._shares.anywhere * weight

    def _leaves(self, value: Any, path: Path, place: Path) -> Iterator[tuple[Path, Path, Any]]:
        if isinstance(value, dict) and value:
            for key, member in value.items():
                yield from self._leaves(member, (*path, key), (*place, key))
        elif isinstance(value, list) and value:
            for number, member in enumerate(value):
                inner = (*path, None)
                numbered = self._arrays == "sequence" or (self._arrays == "both" and number < 64)
                yield from self._leaves(member, inner, (*place, number) if numbered else inner)
        else:
            yield path, place, value

    def _terms(self, path: Path, value: Any) -> tuple[Terms, Terms]:
        """Weights of the atoms that belong to the path alone, and of those that count anywhere too."""
        leaf = analyse(value, self._scales.get(format_path(path)), self._times.get(format_path(path), 1.0))
        known = None
        if self._statistics is not None:
            name = leaf.exact
            if not leaf.is_text:
                name = b"p" + format_path(path).encode() + b"\0" + name
            known = self._rarities([name])[0]
        own = {leaf.exact: float(np.rint(exact_share(leaf, known) * LEAF_UNIT))}
        own |= {name: float(np.rint(share * LEAF_UNIT)) for name, share in leaf.levels.items()}
        words: Terms = {}
        for word, count in leaf.words.items():
            for atom, weight in self._spelled(word).items():
                words[atom] = words.get(atom, 0.0) + count * weight
        return own, words

    def _spelled(self, word: str) -> Terms:
        if word not in self._words:
            parts = Counter(grams(word))
            share = GRAM_SHARE / math.sqrt(max(1, sum(parts.values())))
            shares = {word_name(word): 1.0}
            shares |= {b"g" + gram.encode(): share * math.sqrt(count) for gram, count in parts.items()}
            rare = [1.0] if word[0] == WHOLE else self._rarities(list(shares))
            self._words[word] = {
                atom: float(np.rint(part * r * WORD_UNIT)) for (atom, part), r in zip(shares.items(), rare, strict=True)
            }
        return self._words[word]

    def _rarities(self, names: list[bytes]) -> list[float]:
        if self._statistics is None:
            return [prior(name) for name in names]
        return rarity(self._statistics.tokens.of(names), self._statistics.records)
