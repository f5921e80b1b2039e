"""From the bytes of lines straight to vectors, where all that a line holds was met before.

The tables are filled by `vsa.meeting` with what the parser took, and the vectors are those of the parser and the walker
to the bit. What they hold is bounded: when a table is full, all of them are emptied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.leaves import Node
from vsa.limits import Limits
from vsa.table import RowTable

Rows = npt.NDArray[np.float32]

KEY, VALUE, MEMBER = 0, 1, 2
"""What a scan may not know."""

_TOKEN_BYTES = 32
_SLOT_BYTES = 32
_SMALLEST = 1 << 10
_NEW_AT_ONCE = 1 << 16
_ROWS_AT_ONCE = 1 << 16
_STRUCTURE = 1 << 16
_CONTAINERS = 1 << 13
_WISHES = 1 << 13
_SEEN_PER_SUM = 32
_SCRATCH = 8 << 20  # bytes of the arrays below


class FastPath:
    """Lines to vectors by the tables of one trie.

    Parameters
    ----------
    root : Node
        Of the trie that the walker goes down.
    table : RowTable
        Rows of the leaves.
    limits : Limits
        As `vsa.JSONEncoder` takes them.
    room : int
        Bytes for the tables, with room for the scan itself: half for tokens, half for sums of whole objects and
        arrays.
    """

    def __init__(self, root: Node, table: RowTable[Any], limits: Limits, room: int) -> None:
        from vsa import scanning, structure, summing, tokentable

        self._scanning, self._summing, self._known = scanning, summing, tokentable
        self._padding = bytes(structure.PADDING)
        self._table = table
        self._limits = limits
        half = max(0, room - _SCRATCH) // 2
        # The table of what was wished for once has a power of two of places, up to twice as many as are asked for.
        self._sums = max(16, half // (4 * table.dim + 16 + 16 * _SEEN_PER_SUM))
        # Where a table is moved to one of twice its size, both are there: a half more than the larger.
        self._most_slots = 1 << max(_SMALLEST.bit_length() - 1, (half // 3 // _SLOT_BYTES).bit_length() - 1)
        self._most_text = max(2 * _TOKEN_BYTES * _SMALLEST, (half - _SLOT_BYTES * self._most_slots) * 2 // 3)
        self._root = root
        self._rows = np.empty(_ROWS_AT_ONCE, np.int64)
        self._wishes = np.empty((_WISHES, 3), np.int64)
        self._found = np.empty((_NEW_AT_ONCE, 4), np.int64)
        self._scratch = scanning.Scratch(
            places=np.empty(_STRUCTURE, np.int64),
            match=np.zeros(_STRUCTURE, np.int64),
            stack=np.empty(limits.depth, np.int64),
            todo=np.empty((_CONTAINERS, 2), np.int64),
            members=np.empty((_STRUCTURE, 5), np.int64),
            hashes=np.empty(_STRUCTURE, np.uint64),
            stamps=np.zeros(1024, np.int64),
            serial=np.zeros(1, np.int64),
            nothing=np.empty((0, 4), np.int64),
        )
        self._clear()

    def _clear(self) -> None:
        self._nodes: list[Node] = [self._root]
        self._ids: dict[Node, int] = {self._root: 0}
        self._used = np.zeros(3, np.int64)
        self._seen = np.zeros(1 << (_SEEN_PER_SUM * self._sums).bit_length(), np.uint64)
        # Zeroed pages are not taken from the system before they are written.
        self._tables = self._known.Tables(
            tokens=np.zeros((_SMALLEST, 4), np.uint64),
            text=np.zeros(_TOKEN_BYTES * _SMALLEST + len(self._padding), np.uint8),
            first=np.full(1024, -1, np.int32),
            following=np.full(1024, -1, np.int32),
            generation=self._table.generation,
            sums=np.zeros((self._sums, self._table.dim), np.float32),
            leaves=np.zeros(self._sums, np.int64),
            epoch=np.ones(1, np.int64),
        )

    def batch(self, lines: Sequence[bytes], out: Rows | None = None) -> Any:
        """Lines, one JSON value each or anything at all, with room for their vectors: a `vsa.summing.Batch`.

        Parameters
        ----------
        lines : sequence of bytes
        out : (n, dim) float32, optional
            Where to put the vectors.
        """
        data = np.frombuffer(b"".join([*lines, self._padding]), np.uint8)
        bounds = np.zeros(len(lines) + 1, np.int64)
        np.cumsum([len(line) for line in lines], out=bounds[1:])
        if out is None:
            out = np.empty((len(lines), self._table.dim), np.float32)
        known = np.zeros(len(lines), bool)
        return self._summing.Batch(
            data, bounds[:-1], bounds[1:], out, known, self._rows, np.empty(len(lines) + 1, np.int64),
            np.empty(len(lines), np.int64), self._wishes, np.empty(out.shape[1], np.float32), np.empty(out.shape[1]),
        )  # fmt: skip

    def encode(self, batch: Any) -> None:
        """Fill in the unit vectors of the lines that are understood and not known yet, which then are."""
        leaf_limit = self._limits.leaves
        wished, filled = self._summing.encode(self._tables, self._scratch, self._table.rows, batch, leaf_limit)
        rows = self._rows[:filled]
        self._table.touch(rows[rows >= 0])
        if wished:
            self._admit(batch.data, self._wishes[:wished])

    def _admit(self, data: npt.NDArray[np.uint8], wishes: npt.NDArray[np.int64]) -> None:
        """Sums for objects and arrays that come again."""
        if self._grow(len(wishes), int((wishes[:, 2] - wishes[:, 1]).sum())):
            self._summing.admit(
                self._tables, self._scratch, self._table.rows, data, wishes, np.empty(len(wishes), np.int64),
                self._rows, self._seen, self._used, self._limits.leaves,
            )  # fmt: skip

    def _grow(self, tokens: int, size: int) -> bool:
        """Make room for more tokens of `size` bytes in all; False if that would be more than there may be."""
        t = self._tables
        slots, room = len(t.tokens), len(t.text)
        text_used, tokens_held, _ = self._used.tolist()
        while slots < 2 * (tokens_held + tokens):
            slots *= 2
        needed = text_used + size + 2 * len(self._padding)
        while room < needed:
            room *= 2
        room = max(len(t.text), min(room, self._most_text))
        if slots > self._most_slots or needed > room:
            return False
        if slots > len(t.tokens):
            larger = np.zeros((slots, 4), np.uint64)
            self._known.moved(t.tokens, larger)
            t = t._replace(tokens=larger)
        if room > len(t.text):
            text = np.zeros(room, np.uint8)
            text[:text_used] = t.text[:text_used]
            t = t._replace(text=text)
        self._tables = t
        return True

    def enter(self, batch: Any, tokens: list[npt.NDArray[np.int64]]) -> bool:
        """Remember keys and scalars, given as (node, kind, start, end, child or row); False if all had to be forgotten.

        The rows must be in the table, and the nodes must have numbers.
        """
        self._grow_nodes()
        entries = np.concatenate([np.empty((0, 5), np.int64), *tokens])
        if not len(entries):
            return True
        if not self._grow(len(entries), int((entries[:, 3] - entries[:, 2]).sum())):
            self._clear()
            return False
        self._known.put_all(self._tables, self._table.rows, batch.data, entries, self._used)
        return True

    def unknown(
        self, batch: Any, skip: npt.NDArray[np.int8], first: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
        """What the lines from `first` on hold that was not met before; see `vsa.scanning.unknown_of`."""
        bounds = np.zeros(len(skip) + 1, np.int64)
        end = self._scanning.unknown_of(
            self._tables, self._scratch, batch.data, batch.starts, batch.ends, skip, first, self._limits.leaves,
            self._rows, self._wishes[:0], self._found, bounds,
        )  # fmt: skip
        return self._found, bounds, end

    def firsts(self, batch: Any, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Of keys, or scalars, given as (node, kind, start, end), the number of the first that is equal to each."""
        first = np.empty(len(entries), np.int64)
        slots = np.full(1 << (2 * len(entries)).bit_length(), -1, np.int32)
        self._known.firsts(batch.data, entries, slots, first)
        return first

    def node(self, number: int) -> Node:
        """The node that the tables know by a number."""
        return self._nodes[number]

    def link(self, array: int, members: list[Node]) -> None:
        """Enter the nodes of an array's members by number."""
        numbers = [self.number(node) for node in members]
        self._grow_nodes()
        self._tables.first[array] = numbers[0]
        self._tables.following[numbers[:-1]] = numbers[1:]

    def number(self, node: Node) -> int:
        """The number of a node; a new one where it has none."""
        number = self._ids.get(node)
        if number is None:
            number = self._ids[node] = len(self._nodes)
            self._nodes.append(node)
        return number

    def _grow_nodes(self) -> None:
        """Room for the nodes that there are and as many again."""
        t = self._tables
        more = 2 * len(self._nodes) - len(t.first)
        if len(self._nodes) <= len(t.first):
            return
        none = np.full(more, -1, np.int32)
        self._tables = t._replace(first=np.concatenate([t.first, none]), following=np.concatenate([t.following, none]))
        s = self._scratch
        self._scratch = s._replace(stamps=np.concatenate([s.stamps, np.zeros(more, np.int64)]))
