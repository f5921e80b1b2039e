"""From the bytes of lines straight to vectors, where all that a line holds was met before.

The tables are filled from lines that the parser and the walker took, and the vectors are theirs to the bit. What
they hold is bounded: when a table is full, all of them are emptied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vsa.leaves import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, TRUE, Arrays, Node
from vsa.limits import Limits
from vsa.table import RowTable

_TOKEN_BYTES = 32
_SLOT_BYTES = 32
_SMALLEST = 1 << 10
_NEW_AT_ONCE = 1 << 16
_ROWS_AT_ONCE = 1 << 16
_STRUCTURE = 1 << 16
_CONTAINERS = 1 << 13
_WISHES = 1 << 13
_SEEN_PER_SUM = 32
_SCRATCH = 6 << 20  # bytes of the arrays below


class FastPath:
    """Lines to vectors by the tables of one trie.

    Parameters
    ----------
    root : Node
        Of the trie that the walker goes down.
    table : RowTable
        Rows of the leaves.
    arrays, limits
        As `vsa.JSONEncoder` takes them.
    room : int
        Bytes for the tables, with room for the scan itself: half for tokens, half for sums of whole objects and
        arrays.
    """

    def __init__(self, root: Node, table: RowTable[Any], arrays: Arrays, limits: Limits, room: int) -> None:
        from vsa import scanning, structure, summing, tokentable

        self._scanning, self._summing, self._known = scanning, summing, tokentable
        self._padding = bytes(structure.PADDING)
        self._table = table
        self._arrays = arrays
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

    def encode(
        self, lines: Sequence[bytes], out: npt.NDArray[np.float32] | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Unit vectors of the lines that are understood.

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
        """
        data = np.frombuffer(b"".join([*lines, self._padding]), np.uint8)
        bounds = np.zeros(len(lines) + 1, np.int64)
        np.cumsum([len(line) for line in lines], out=bounds[1:])
        if out is None:
            out = np.empty((len(lines), self._table.dim), np.float32)
        known = np.zeros(len(lines), bool)
        batch = self._summing.Batch(
            data, bounds[:-1], bounds[1:], out, known, self._rows, np.empty(len(lines) + 1, np.int64),
            np.empty(len(lines), np.int64), self._wishes, np.empty(out.shape[1], np.float32), np.empty(out.shape[1]),
        )  # fmt: skip
        leaf_limit = self._limits.leaves
        wished, filled = self._summing.encode(self._tables, self._scratch, self._table.rows, batch, leaf_limit)
        rows = self._rows[:filled]
        self._table.touch(rows[rows >= 0])
        if wished:
            self._admit(data, self._wishes[:wished])
        return out, known

    def _admit(self, data: npt.NDArray[np.uint8], wishes: npt.NDArray[np.int64]) -> None:
        """Sums for objects and arrays that come again."""
        if self._grow(len(wishes), int((wishes[:, 2] - wishes[:, 1]).sum())):
            self._summing.admit(
                self._tables, self._scratch, self._table.rows, data, wishes, np.empty(len(wishes), np.int64),
                self._rows, self._seen, self._used, self._limits.leaves,
            )  # fmt: skip

    def learn(self, line: bytes) -> None:
        """Remember the tokens of a line that the parser and the walker have just taken."""
        data = np.frombuffer(line + self._padding, np.uint8)
        found = np.empty((min(_NEW_AT_ONCE, len(line) + 8), 4), np.int64)
        for _ in range(2 * self._limits.depth):
            _, _, _, _, unknown = self._scanning.rows_of(
                self._tables, self._scratch, data, 0, len(line), 0, self._limits.leaves, self._rows,
                self._wishes[:0], found,
            )  # fmt: skip
            if not unknown or not self._resolve(line, data, found[:unknown].tolist()):
                return

    def _resolve(self, line: bytes, data: npt.NDArray[np.uint8], found: list[list[int]]) -> bool:
        """Enter what can be entered now; whether there is more to find under it."""
        tokens = []
        more = False
        size = 0
        for number, kind, start, end in found:
            node = self._nodes[number]
            if kind == self._known.MEMBER:
                more |= self._link(number, node, start)
                continue
            value = orjson.loads(line[start:end])
            if kind == self._known.KEY:
                child = node.children.get(value)
                if child is not None:
                    tokens.append((number, kind, start, end, self._id(child)))
                    size += end - start
                    more = True
                continue
            row = node.leaves.get(_key(value))
            if row is not None:
                tokens.append((number, kind, start, end, row))
                size += end - start
        self._grow_nodes()
        if tokens:
            if not self._grow(len(tokens), size):
                self._clear()
                return False
            self._known.put_all(self._tables, self._table.rows, data, np.array(tokens, np.int64), self._used)
        return more

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

    def _link(self, number: int, node: Node, member: int) -> bool:
        """Enter the node of an array's member; False if the walker has not been there."""
        if self._arrays is Arrays.BAG:
            child = node.member()
            self._tables.first[number] = self._id(child)
            self._grow_nodes()
            self._tables.following[self._ids[child]] = self._ids[child]
            return True
        if member >= len(node.numbered):
            return False
        place = self._id(node.numbered[member])
        self._grow_nodes()
        if member == 0:
            self._tables.first[number] = place
        else:
            self._tables.following[self._ids[node.numbered[member - 1]]] = place
        return True

    def _id(self, node: Node) -> int:
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


def _key(value: Any) -> Any:
    """Under what a node keeps the row of a parsed scalar or empty container."""
    if value is True or value is False:
        return TRUE if value else FALSE
    if type(value) is dict:
        return EMPTY_OBJECT
    return EMPTY_ARRAY if type(value) is list else value
