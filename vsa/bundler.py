"""Records to sums: the table of leaf rows, how a missing row is made, and one product a batch.

A record's vector is one linear sum over its leaves, ``x = Σ (B · M_path + P · M_place) a + A · words(a)``, so with
a row cached per (path, value) a batch is a sparse 0/1 matrix times a dense table. Rows hold whole numbers and
every partial sum stays below 2**24, where float32 is exact: batches, cache contents and threads cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.atoms import LEAF_UNIT, WORD_UNIT, Leaf, analyse, own_atoms, prior, spelling
from vsa.binding import Binding
from vsa.errors import InvalidRecordError
from vsa.hashing import prefix, signs
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits
from vsa.operators import PathOperators
from vsa.paths import format_path
from vsa.shares import Shares
from vsa.statistics import Statistics, rarity
from vsa.table import RowTable

Rows = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

_EXACT = float(1 << 24)
_LEAVES_AT_ONCE = 2048
_WORDS_AT_ONCE = 4096
_SPELLED_AT_ONCE = 512
_MAX_NODES = 200_000


class Bundler:
    """Sums of leaf rows for batches of records.

    Parameters
    ----------
    binding : Binding
        Operators of the keys.
    arrays, shares, limits
        As `vsa.JSONEncoder` takes them.
    statistics : Statistics or None
        What was learned of the corpus.
    cache_bytes : int
        Memory for rows: three quarters for leaves, one quarter for words.
    """

    def __init__(
        self,
        binding: Binding[Any],
        *,
        arrays: Arrays,
        shares: Shares,
        limits: Limits,
        statistics: Statistics | None,
        cache_bytes: int,
    ) -> None:
        self._binding = binding
        self._operators = PathOperators(binding)
        self._shares = shares
        self._statistics = statistics
        self._scales = statistics.scales() if statistics else {}
        self._atoms = prefix("atom", binding.seed)
        self._arrays, self._limits = arrays, limits
        row_bytes = 4 * binding.dim
        self._table: RowTable[Node] = RowTable(binding.dim, max(4096, cache_bytes * 3 // 4 // row_bytes))
        self._words: RowTable[None] = RowTable(binding.dim, max(2 * _WORDS_AT_ONCE, cache_bytes // 4 // row_bytes))
        self._word_rows: dict[str, int] = {}
        self._peak = 1.0
        self._keep: Callable[[npt.NDArray[np.int64]], None] = _no_one
        self._forget()

    def sums(self, records: Sequence[Any], weight: Callable[[Node], float] | None = None, first: int = 0) -> Sums:
        """Unnormalised vectors.

        Parameters
        ----------
        records : sequence
            A batch of JSON values.
        weight : callable, optional
            Factor of each leaf by its node.
        first : int
            Number of the batch's first record, for messages.

        Returns
        -------
        (n, dim) float64
            Whole numbers, unless `weight` is given.

        Raises
        ------
        InvalidRecordError
            With `record` set to the number of the record that is not JSON or beyond the limits.
        """
        if self._walker.nodes > _MAX_NODES:
            self._forget()
        self._total = np.zeros((len(records), self._binding.dim))
        self._weight = weight
        number = -1
        try:
            for number, record in enumerate(records):
                self._of.append(number)
                self._starts.append(len(self._rows))
                self._walker.walk(record, self._rows)
            self._flush()
        except InvalidRecordError as error:
            self._forget()
            raise type(error)(error.reason, record=first + number) from error
        except BaseException:
            self._forget()
            raise
        return self._total

    def leaf_rows(self, record: Any) -> tuple[list[Node], Rows]:
        """The leaves of one record, one by one.

        Returns
        -------
        nodes : list of Node
            Where each leaf stands.
        rows : (n_leaves, dim) float32
            What each adds to the sum.
        """
        nodes: list[Node] = []
        parts: list[Rows] = []

        def keep(rows: npt.NDArray[np.int64]) -> None:
            nodes.extend(tag for row in rows.tolist() if (tag := self._table.tags[row]) is not None)
            parts.append(self._table.rows[rows].copy())

        self._keep = keep
        try:
            self.sums([record])
        finally:
            self._keep = _no_one
        return nodes, np.concatenate(parts)

    def _forget(self) -> None:
        """Empty the caches and whatever batch was under way."""
        self._table.clear()
        self._words.clear()
        self._word_rows.clear()
        self._walker = Walker(self._arrays, self._limits, self._miss)
        self._rows: list[int] = []
        self._starts: list[int] = []
        self._of: list[int] = []
        self._pending: list[tuple[int, Node, Any]] = []

    def _miss(self, node: Node, key: Any, value: Any) -> int:
        if self._table.is_full():
            # Mid-record: sum what there is; the rest of the record is added to it later.
            current = self._of[-1]
            self._flush()
            self._table.evict()
            self._of.append(current)
            self._starts.append(0)
        row = self._table.claim(node.leaves, key, node)
        self._pending.append((row, node, value))
        return row

    def _flush(self) -> None:
        """Make the missing rows and add the batch so far to the total."""
        pending, self._pending = self._pending, []
        for at in range(0, len(pending), _LEAVES_AT_ONCE):
            self._fill(pending[at : at + _LEAVES_AT_ONCE])
        if self._rows:
            rows = np.array(self._rows, np.int64)
            self._table.touch(rows)
            self._keep(rows)
            weights = None
            if self._weight is not None:
                tags = self._table.tags
                weigh = self._weight
                weights = np.array([weigh(t) if (t := tags[r]) else 0.0 for r in self._rows], np.float32)
            starts = np.array(self._starts, np.int64)
            pieces, owners = self._pieces(starts, np.array(self._of, np.int64), len(rows))
            sums = bag(self._table.rows, rows, pieces, weights)
            if len(owners) == len(self._total):
                self._total += sums
            else:
                heads = np.flatnonzero(np.diff(owners, prepend=-1))
                self._total[owners[heads]] += np.add.reduceat(sums, heads, axis=0, dtype=np.float64)
        self._rows.clear()
        self._starts.clear()
        self._of.clear()

    def _pieces(
        self, starts: npt.NDArray[np.int64], owners: npt.NDArray[np.int64], end: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Cut bags so short that no float32 sum of theirs can reach 2**24."""
        longest = max(1, int(_EXACT / self._peak))
        lengths = np.diff(starts, append=end)
        cuts = np.maximum(1, -(-lengths // longest))
        if (cuts == 1).all():
            return starts, owners
        which = np.repeat(np.arange(len(starts)), cuts)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        return starts[which] + nth * longest, owners[which]

    def _fill(self, pending: list[tuple[int, Node, Any]]) -> None:
        """Make the rows of missing leaves."""
        leaves = [analyse(value, self._scales.get(format_path(node.path))) for _, node, value in pending]
        shared = self._word_sums(leaves)
        own = self._own_sums(pending, leaves)
        own += shared
        groups: dict[int, list[int]] = {}
        for i, (_, node, _) in enumerate(pending):
            groups.setdefault(id(node), []).append(i)
        for members in groups.values():
            node = pending[members[0]][1]
            rows = [pending[i][0] for i in members]
            block = own[members]
            path = self._operators.of(node.path)
            if node.place == node.path:
                bound = self._binding.bind(path, block)
                bound *= self._shares.bound + self._shares.position
            else:
                bound = self._binding.bind(path, block) * np.float32(self._shares.bound)
                bound += self._binding.bind(self._operators.of(node.place), block) * np.float32(self._shares.position)
            bound += shared[members] * np.float32(self._shares.anywhere)
            np.rint(bound, out=bound)
            self._peak = max(self._peak, float(np.abs(bound).max()))
            self._table.rows[rows] = bound

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

    def _own_sums(self, pending: list[tuple[int, Node, Any]], leaves: list[Leaf]) -> Rows:
        known: Iterable[float | None] = [None] * len(leaves)
        if self._statistics is not None:
            names = [exact_name(node, leaf) for (_, node, _), leaf in zip(pending, leaves, strict=True)]
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


def _no_one(rows: npt.NDArray[np.int64]) -> None:
    """Nobody asked for the rows of single leaves."""


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
