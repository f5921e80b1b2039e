"""Records to sums: the table of leaf rows, how a missing row is made, and one product a batch.

A record's vector is one linear sum over its leaves, ``x = Σ (B · M_path + P · M_place) a + A · words(a)``, so with
a row cached per (path, value) a batch is a sparse 0/1 matrix times a dense table. Rows hold whole numbers and
every partial sum stays below 2**24, where float32 is exact: batches, cache contents and threads cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsa.binding import Binding
from vsa.budget import budget
from vsa.errors import InvalidRecordError
from vsa.fastpath import FastPath
from vsa.fields.base import Field
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits
from vsa.making import EXACT, LeafMaker
from vsa.meeting import FullError, Meeting
from vsa.paths import Path
from vsa.product import DeviceProduct, HostProduct, Product
from vsa.shares import Shares
from vsa.statistics import Statistics
from vsa.sums import available
from vsa.table import RowTable

if TYPE_CHECKING:
    import torch

Rows = npt.NDArray[np.float32]


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
        Memory for all that is kept; see `vsa.budget`.
    fields : mapping, optional
        Typed encoders by path.
    target : torch.device, optional
        Where rows of leaves lie and are added up; on the CPU, as NumPy's, where it is None.
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
        fields: Mapping[Path, Field] | None = None,
        target: torch.device | None = None,
    ) -> None:
        self._binding = binding
        self._fields = fields
        # A typed field takes whole values, which the scan of bytes knows nothing of; it adds up where NumPy's rows are.
        self.reads_bytes = not fields and target is None and available()
        self._budget = budget(cache_bytes, binding.dim, reads_bytes=self.reads_bytes)
        self.maker = LeafMaker(binding, shares, statistics, self._budget, fields)
        self._arrays, self._limits = arrays, limits
        self._table: RowTable[Node] = RowTable(binding.dim, self._budget.leaves)
        self._product: Product = HostProduct(self._table) if target is None else DeviceProduct(self._table, target)
        self._keep: Callable[[npt.NDArray[np.int64]], None] = _no_one
        self._fast_path: FastPath | None = None
        self._walker: Walker
        self._forget()

    def sums(self, records: Sequence[Any], weight: Callable[[Node], float] | None = None, first: int = 0) -> Any:
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
            Whole numbers, unless `weight` is given: an array, or a tensor on `target`.

        Raises
        ------
        InvalidRecordError
            With `record` set to the number of the record that is not JSON or beyond the limits.
        """
        if self._walker.nodes > self._budget.nodes:
            self._forget()
        self._total = self._product.begin(len(records))
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

    def lines(self, lines: Sequence[bytes], out: Rows | None = None) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Unit vectors of lines by what they hold that was met before; what was not is met now.

        Parameters
        ----------
        lines : sequence of bytes
            One JSON value each, or anything at all.
        out : (n, dim) float32, optional
            Where to put the rows.

        Returns
        -------
        rows : (n, dim) float32
            Valid where `known` is True.
        known : (n,) bool
            False for what is no object or array, or not JSON, or beyond the limits: the parser and the walker decide.
        """
        if self._walker.nodes > self._budget.nodes:
            self._forget()
        fast = self._fast()
        batch = fast.batch(lines, out)
        try:
            fast.encode(batch)
            while not batch.known.all() and self._met(fast, batch, lines):
                self._table.evict()
        except BaseException:
            self._forget()
            raise
        return batch.out, batch.known

    def _met(self, fast: FastPath, batch: Any, lines: Sequence[bytes]) -> bool:
        """Take in what is new in lines and encode them; whether there is more, for which rows must go."""
        meeting = Meeting(fast, self._walker, self._arrays, self._limits, batch, lines)
        before = np.count_nonzero(batch.known)
        full = False
        try:
            meeting.meet()
        except FullError:
            full = True
        self._make()
        fast.enter(batch, meeting.tokens)
        fast.encode(batch)
        return full and bool(np.count_nonzero(batch.known) > before)

    def _fast(self) -> FastPath:
        if self._fast_path is None:
            self._fast_path = FastPath(self._walker.root, self._table, self._limits, self._budget.fast)
        return self._fast_path

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
            parts.append(self._product.fetch(rows))

        self._keep = keep
        try:
            self.sums([record])
        finally:
            self._keep = _no_one
        return nodes, np.concatenate(parts)

    def leaves(self, record: Any) -> list[tuple[Node, Any, int]]:
        """The distinct leaves of one record: where, what, and how often; errors as `sums`."""
        found: list[tuple[Node, Any]] = []

        def intern(node: Node, key: Any, value: Any) -> int:
            node.leaves[key] = len(found)
            found.append((node, value))
            return len(found) - 1

        rows: list[int] = []
        Walker(self._arrays, self._limits, intern, self._fields).walk(record, rows)
        times = np.bincount(rows).tolist()
        return [(node, value, count) for (node, value), count in zip(found, times, strict=True)]

    def _forget(self) -> None:
        """Empty the caches and whatever batch was under way."""
        self._table.clear()
        self.maker.forget()
        self._fast_path = None
        self._walker = Walker(self._arrays, self._limits, self._miss, self._fields)
        self._rows: list[int] = []
        self._starts: list[int] = []
        self._of: list[int] = []
        # Rows to be made, where they stand, and what of; apart, for tuples would be objects for the garbage collector.
        self._pending: list[int] = []
        self._nodes: list[Node] = []
        self._values: list[Any] = []

    def _miss(self, node: Node, key: Any, value: Any) -> int:
        if self._table.is_full() or self._table.is_wordy():
            if not self._of:
                raise FullError
            # Mid-record: sum what there is; the rest of the record is added to it later.
            current = self._of[-1]
            if self._starts[-1] == len(self._rows):  # none of its leaves yet
                self._of.pop()
                self._starts.pop()
            self._flush()
            self._table.evict()
            self._of.append(current)
            self._starts.append(0)
        row = self._table.claim(node.leaves, key, node)
        self._pending.append(row)
        self._nodes.append(node)
        self._values.append(value)
        return row

    def _make(self) -> None:
        """Make the missing rows."""
        pending, nodes, values = self._pending, self._nodes, self._values
        self._pending, self._nodes, self._values = [], [], []
        # By node, since its leaves are bound together; fields first, so that a text model gets many texts at once.
        keys = [_field_and_node_of(node) for node in nodes] if self._fields else list(map(id, nodes))
        order = sorted(range(len(pending)), key=keys.__getitem__)
        for at in range(0, len(order), self._budget.block):
            block = order[at : at + self._budget.block]
            made = self.maker.make([(nodes[i], values[i]) for i in block])
            self._product.store(np.array([pending[i] for i in block], np.int64), made)

    def _flush(self) -> None:
        """Make the missing rows and add the batch so far to the total."""
        self._make()
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
            self._product.add(self._total, rows, pieces, owners, weights)
        self._rows.clear()
        self._starts.clear()
        self._of.clear()

    def _longest(self) -> int:
        """How many leaves have a sum below 2**24, whatever they are."""
        return max(1, int(EXACT / self.maker.peak))

    def _pieces(
        self, starts: npt.NDArray[np.int64], owners: npt.NDArray[np.int64], end: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Cut bags so short that no float32 sum of theirs can reach 2**24."""
        longest = self._longest()
        lengths = np.diff(starts, append=end)
        cuts = np.maximum(1, -(-lengths // longest))
        if (cuts == 1).all():
            return starts, owners
        which = np.repeat(np.arange(len(starts)), cuts)
        nth = np.arange(len(which)) - np.repeat(np.cumsum(cuts) - cuts, cuts)
        return starts[which] + nth * longest, owners[which]


def _field_and_node_of(node: Node) -> tuple[bool, int, int]:
    return node.field is None, id(node.field), id(node)


def _no_one(rows: npt.NDArray[np.int64]) -> None:
    """Nobody asked for the rows of single leaves."""
