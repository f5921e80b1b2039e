"""How the row of a leaf is made: its atoms weighed, added and bound to its path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.atoms import GRAM_SHARE, LEAF_UNIT, WORD_UNIT, Leaf, analyse, exact_share, prior
from vsa.binding import Binding
from vsa.hashing import packed_signs, prefix, unpack_signs
from vsa.leaves import Node
from vsa.operators import PathOperators
from vsa.paths import MEMBER, Path, format_path
from vsa.shares import Shares
from vsa.signcache import SignCache
from vsa.statistics import Statistics, rarity
from vsa.table import RowTable
from vsa.tokens import grams

Rows = npt.NDArray[np.float32]

MEMBER_FACTOR = 0.4
"""Weight of a leaf per array that it is a member of: a tree of a hundred names must not drown the title.

It hangs on the path alone, so that a record stays a sum over its leaves."""

_WORDS_AT_ONCE = 4096
_SPELLED_AT_ONCE = 512
_GRAMS_KEPT = 1 << 16
_LEVELS_KEPT = 1 << 13


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
        self._grams: SignCache[str] = SignCache(
            self._atoms, binding.dim, atom=_gram_name, rarities=self._rarity_of_words, most=_GRAMS_KEPT
        )
        self._levels: SignCache[bytes] = SignCache(
            self._atoms, binding.dim, atom=bytes, rarities=lambda names: [1.0] * len(names), most=_LEVELS_KEPT
        )
        self.peak = 1.0

    def forget(self) -> None:
        """Empty the cache of words."""
        self._words.clear()

    def make(self, places: list[tuple[Node, Any]]) -> Rows:
        """Rows of leaves given as (node, value); leaves of one node are bound together where they come in a row.

        Returns
        -------
        (n, dim) float32
            Whole numbers.
        """
        leaves: list[Leaf] = []
        blocks: list[tuple[Node, int, int]] = []
        for node, members in groupby(places, key=_node_of):
            scale = self._scales.get(format_path(node.path)) if self._scales else None
            leaves += [analyse(value, scale) for _, value in members]
            blocks.append((node, blocks[-1][2] if blocks else 0, len(leaves)))
        shared = self._word_sums(leaves)
        own = self._own_sums(places, leaves)
        own += shared
        shared *= np.float32(self._shares.anywhere)
        for node, start, end in blocks:
            own[start:end] = self._bound(node, own[start:end], shared[start:end])
        self.peak = max(self.peak, float(own.max()), -float(own.min()))
        return own

    def _bound(self, node: Node, block: Rows, anywhere: Rows) -> Rows:
        """Rows of leaves at one node: ``(B · M_path + P · M_place) block + anywhere``, weighed by the path."""
        bound = self._binding.bind(self._operators.of(node.path), block)
        if node.place == node.path:
            bound *= np.float32(self._shares.bound + self._shares.position)
        else:
            bound *= np.float32(self._shares.bound)
            placed = self._binding.bind(self._operators.of(node.place), block)
            placed *= np.float32(self._shares.position)
            bound += placed
        bound += anywhere
        fan_outs = node.path.count(MEMBER)
        if fan_outs:
            bound *= np.float32(MEMBER_FACTOR**fan_outs)
        if fan_outs or not self._binding.exact:
            np.rint(bound, out=bound)
        return bound

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
                end = at + _SPELLED_AT_ONCE
                self._words.rows[fresh[at:end]] = self._spelled(missing[at:end])
        return [known[name] for name in names]

    def _spelled(self, words: list[str]) -> Rows:
        """(n, dim) sums of each word's own atom and its n-grams, which together have norm `GRAM_SHARE`."""
        pieces: list[str] = []
        roots: list[float] = []  # of how often an n-gram is in its word
        distinct, totals = [], []
        for word in words:
            found = grams(word)
            totals.append(len(found))
            if len(set(found)) == len(found):
                pieces += found
                roots += [1.0] * len(found)
                distinct.append(len(found))
            else:
                counts = Counter(found)
                pieces += counts
                roots += np.sqrt(list(counts.values())).tolist()
                distinct.append(len(counts))
        columns, packed, rare = self._grams.of(pieces)
        shares = np.repeat(GRAM_SHARE / np.sqrt(np.maximum(totals, 1)), distinct) * roots
        names = [b"w" + word.encode() for word in words]
        return self._headed_sums(
            names, np.array(self._rarity_of_words(names)), distinct, columns, packed, shares * rare[columns], WORD_UNIT
        )

    def _rarity_of_words(self, names: list[bytes]) -> Sequence[float]:
        if self._statistics is None:
            return [prior(name) for name in names]
        return rarity(self._statistics.tokens.of(names), self._statistics.records)

    def _own_sums(self, places: list[tuple[Node, Any]], leaves: list[Leaf]) -> Rows:
        known: Iterable[float | None] = [None] * len(leaves)
        if self._statistics is not None:
            names = [exact_name(node, leaf) for (node, _), leaf in zip(places, leaves, strict=True)]
            known = rarity(self._statistics.tokens.of(names), self._statistics.records)
        columns, packed, _ = self._levels.of([name for leaf in leaves for name in leaf.levels])
        return self._headed_sums(
            [leaf.exact for leaf in leaves],
            np.array([exact_share(leaf, rare) for leaf, rare in zip(leaves, known, strict=True)]),
            [len(leaf.levels) for leaf in leaves],
            columns,
            packed,
            np.array([share for leaf in leaves for share in leaf.levels.values()]),
            LEAF_UNIT,
        )

    def _headed_sums(
        self,
        heads: list[bytes],
        head_weights: npt.NDArray[np.float64],
        lengths: list[int],
        columns: npt.NDArray[np.int64],
        packed: npt.NDArray[np.uint8],
        weights: npt.NDArray[np.float64],
        unit: int,
    ) -> Rows:
        """(n, dim) weighted sums of an atom drawn for each row and of `lengths` atoms out of `packed`.

        The weights are in units of `unit` and rounded to whole numbers.
        """
        count = len(heads)
        starts = np.cumsum([0] + [length + 1 for length in lengths[:-1]])
        first = np.zeros(count + len(columns), bool)
        first[starts] = True
        rows = np.empty(len(first), np.int64)
        rows[first] = np.arange(count)
        rows[~first] = count + columns
        every = np.empty(len(first))
        every[first] = head_weights
        every[~first] = weights
        dim = self._binding.dim
        atoms = unpack_signs(np.concatenate([packed_signs(self._atoms, heads, dim), packed]), dim)
        return bag(atoms, rows, starts, np.rint(every * unit).astype(np.float32))


def _node_of(place: tuple[Node, Any]) -> Node:
    return place[0]


def _gram_name(gram: str) -> bytes:
    return b"g" + gram.encode()


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
