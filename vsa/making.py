"""How the row of a leaf is made: its atoms weighed, added and bound to its path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.atoms import LEAF_UNIT, WORD_UNIT, Leaf, analyse, own_atoms, prior, spelling
from vsa.binding import Binding
from vsa.hashing import prefix, signs
from vsa.leaves import Node
from vsa.operators import PathOperators
from vsa.paths import MEMBER, Path, format_path
from vsa.shares import Shares
from vsa.statistics import Statistics, rarity
from vsa.table import RowTable

Rows = npt.NDArray[np.float32]

MEMBER_FACTOR = 0.4
"""Weight of a leaf per array that it is a member of: a tree of a hundred names must not drown the title.

It hangs on the path alone, so that a record stays a sum over its leaves."""

_WORDS_AT_ONCE = 4096
_SPELLED_AT_ONCE = 512


class LeafMaker:
    """Rows of leaves: ``(B · M_path + P · M_place)(own + words) + A · words``.

    Parameters
    ----------
    binding : Binding
        Operators of the keys.
    shares : Shares
        The weights B, P and A.
    statistics : Statistics or None
        What was learned of the corpus.
    cache_bytes : int
        Memory for the vectors of words met before.

    Attributes
    ----------
    peak : float
        Largest entry of any row made so far.
    """

    def __init__(self, binding: Binding[Any], shares: Shares, statistics: Statistics | None, cache_bytes: int) -> None:
        self._binding = binding
        self._operators = PathOperators(binding)
        self._shares = shares
        self._statistics = statistics
        self._scales = statistics.scales() if statistics else {}
        self._atoms = prefix("atom", binding.seed)
        self._words: RowTable[None] = RowTable(binding.dim, max(2 * _WORDS_AT_ONCE, cache_bytes // (4 * binding.dim)))
        self._word_rows: dict[str, int] = {}
        self.peak = 1.0

    def forget(self) -> None:
        """Empty the cache of words."""
        self._words.clear()

    def make(self, places: list[tuple[Node, Any]]) -> Rows:
        """Rows of leaves given as (node, value).

        Returns
        -------
        (n, dim) float32
            Whole numbers.
        """
        leaves = [analyse(value, self._scales.get(format_path(node.path))) for node, value in places]
        shared = self._word_sums(leaves)
        own = self._own_sums(places, leaves)
        own += shared
        made = np.empty_like(own)
        groups: dict[int, list[int]] = {}
        for i, (node, _) in enumerate(places):
            groups.setdefault(id(node), []).append(i)
        for members in groups.values():
            node = places[members[0]][0]
            block = own[members]
            path = self._operators.of(node.path)
            if node.place == node.path:
                bound = self._binding.bind(path, block)
                bound *= self._shares.bound + self._shares.position
            else:
                bound = self._binding.bind(path, block) * np.float32(self._shares.bound)
                bound += self._binding.bind(self._operators.of(node.place), block) * np.float32(self._shares.position)
            bound += shared[members] * np.float32(self._shares.anywhere)
            fan_outs = node.path.count(MEMBER)
            if fan_outs:
                bound *= np.float32(MEMBER_FACTOR**fan_outs)
            if fan_outs or not self._binding.exact:
                np.rint(bound, out=bound)
            self.peak = max(self.peak, float(bound.max()), -float(bound.min()))
            made[members] = bound
        return made

    def unbound(self, path: Path, values: list[Any]) -> Rows:
        """(n, dim) float32: own atoms and words of values at a path, as they are before binding."""
        node = Node(tuple(MEMBER if isinstance(step, int) else step for step in path), path)
        places = [(node, value) for value in values]
        leaves = [analyse(value, self._scales.get(format_path(node.path))) for value in values]
        return self._own_sums(places, leaves) + self._word_sums(leaves)

    def unbind(self, path: Path, X: Rows) -> Rows:
        """(n, dim) float32: rows multiplied by the transpose of the path's operator."""
        return self._binding.unbind(self._operators.of(path), X)

    def _word_sums(self, leaves: list[Leaf]) -> Rows:
        """(n, dim) sums of the leaves' words, before binding."""
        total = np.zeros((len(leaves), self._binding.dim), np.float32)
        flat = [(i, word, weight) for i, leaf in enumerate(leaves) for word, weight in leaf.words]
        for at in range(0, len(flat), _WORDS_AT_ONCE):
            block = flat[at : at + _WORDS_AT_ONCE]
            rows = np.array(self._rows_of_words([word for _, word, _ in block]), np.int64)
            self._words.touch(rows)
            owners = np.array([i for i, _, _ in block], np.int64)
            starts = np.flatnonzero(np.diff(owners, prepend=-1))
            weights = np.array([weight for _, _, weight in block], np.float32)
            total[owners[starts]] += bag(self._words.rows, rows, starts, weights)
        return total

    def _rows_of_words(self, names: list[str]) -> list[int]:
        known = self._word_rows
        missing = [name for name in dict.fromkeys(names) if name not in known]
        if missing:
            present = [known[name] for name in names if name in known]
            self._words.touch(np.array(present, np.int64))
            fresh: list[int] = []
            for name in missing:
                if self._words.is_full():
                    self._words.touch(np.array(fresh, np.int64))
                    self._words.evict()
                fresh.append(self._words.claim(known, name, None))
            for at in range(0, len(missing), _SPELLED_AT_ONCE):
                parts = [spelling(name) for name in missing[at : at + _SPELLED_AT_ONCE]]
                self._words.rows[fresh[at : at + _SPELLED_AT_ONCE]] = self._atom_sums(
                    parts, WORD_UNIT, self._rarity_of_words
                )
        return [known[name] for name in names]

    def _rarity_of_words(self, names: list[bytes]) -> list[float]:
        if self._statistics is None:
            return [prior(name) for name in names]
        return rarity(self._statistics.tokens.of(names), self._statistics.records)

    def _own_sums(self, places: list[tuple[Node, Any]], leaves: list[Leaf]) -> Rows:
        known: Iterable[float | None] = [None] * len(leaves)
        if self._statistics is not None:
            names = [exact_name(node, leaf) for (node, _), leaf in zip(places, leaves, strict=True)]
            known = rarity(self._statistics.tokens.of(names), self._statistics.records)
        parts = [own_atoms(leaf, rare) for leaf, rare in zip(leaves, known, strict=True)]
        return self._atom_sums(parts, LEAF_UNIT, lambda names: [1.0] * len(names))

    def _atom_sums(
        self,
        parts: list[list[tuple[bytes, float]]],
        unit: int,
        rarities: Callable[[list[bytes]], list[float]],
    ) -> Rows:
        """(n, dim) sums of weighted sign atoms, the weights rounded to whole numbers."""
        names: dict[bytes, int] = {}
        columns = [names.setdefault(name, len(names)) for part in parts for name, _ in part]
        rare = np.array(rarities(list(names)))
        weights = np.array([share for part in parts for _, share in part]) * rare[columns]
        weights = np.rint(weights * unit).astype(np.float32)
        starts = np.cumsum([0] + [len(part) for part in parts[:-1]])
        atoms = signs(self._atoms, names, self._binding.dim)
        return bag(atoms, np.array(columns, np.int64), starts, weights)


def exact_name(node: Node, leaf: Leaf) -> bytes:
    """Under what name an exact value is counted: texts wherever they stand, other values by path."""
    return leaf.exact if leaf.is_text else b"p" + format_path(node.path).encode() + b"\0" + leaf.exact


def bag(
    table: Rows,
    rows: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float32] | None = None,
) -> Rows:
    """Sums of table rows: bag i is ``rows[starts[i]:starts[i + 1]]``, none of them empty.

    Few rows are summed by NumPy and many by torch's embedding bag, which needs an import of a second: with whole
    numbers below 2**24 both give the same bits.
    """
    if len(rows) <= 512:
        picked = table[rows]
        if weights is not None:
            picked *= weights[:, None]
        return np.add.reduceat(picked, starts, axis=0)
    import torch

    with torch.no_grad():
        total = torch.nn.functional.embedding_bag(
            torch.from_numpy(rows),
            torch.from_numpy(table),
            torch.from_numpy(np.ascontiguousarray(starts, np.int64)),
            mode="sum",
            per_sample_weights=None if weights is None else torch.from_numpy(weights),
        )
    return total.numpy()
