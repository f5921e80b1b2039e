"""From the bytes of lines straight to vectors, where all that a line holds was met before.

The tables are filled from lines that the parser and the walker took, and the vectors are theirs to the bit. What
they hold is bounded: when a table is full, all of them are emptied.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vsa.leaves import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, TRUE, Arrays, Node
from vsa.limits import Limits
from vsa.table import RowTable

_TOKEN_BYTES = 32
_SLOT_BYTES = 32 + _TOKEN_BYTES
_NEW_AT_ONCE = 1 << 16
_ROWS_AT_ONCE = 1 << 16


def available() -> bool:
    """Whether numba is installed; it is not imported."""
    return find_spec("numba") is not None


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
        Bytes for the tables: half for tokens, half for sums of subtrees.
    """

    def __init__(self, root: Node, table: RowTable[Any], arrays: Arrays, limits: Limits, room: int) -> None:
        from vsa import scanning

        self._kernel = scanning
        self._table = table
        self._arrays = arrays
        self._limits = limits
        self._sums = max(16, room // 2 // (4 * table.dim + 400))
        self._slots = 1 << max(10, (room // 2 // _SLOT_BYTES).bit_length() - 1)
        self._root = root
        self._rows = np.empty(_ROWS_AT_ONCE, np.int64)
        self._clear()

    def _clear(self) -> None:
        self._nodes: list[Node] = [self._root]
        self._ids: dict[Node, int] = {self._root: 0}
        self._text_used = 0
        lists = 1 << (4 * self._sums - 1).bit_length()
        self._evictions = self._table.evictions
        # Zeroed pages are not taken from the system before they are written.
        self._tables = self._kernel.Tables(
            tokens=np.zeros((self._slots, 4), np.uint64),
            text=np.zeros(_TOKEN_BYTES * self._slots, np.uint8),
            first=np.full(1024, -1, np.int32),
            following=np.full(1024, -1, np.int32),
            stamps=np.zeros(1024, np.int64),
            generation=self._table.generation,
            lists=np.zeros((lists, 4), np.int64),
            sum_rows=np.zeros(4 * lists, np.int64),
            sums=np.zeros((self._sums, self._table.dim), np.float32),
            counters=np.zeros(8, np.int64),
        )

    def encode(self, lines: Sequence[bytes], longest: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Unit vectors of the lines that are understood.

        Parameters
        ----------
        lines : sequence of bytes
            One JSON value each, or anything at all.
        longest : int
            Leaves whose float32 sum cannot reach 2**24.

        Returns
        -------
        rows : (n, dim) float32
            Valid where `known` is True.
        known : (n,) bool
        """
        self._check_sums()
        data = np.frombuffer(b"".join(lines), np.uint8)
        bounds = np.zeros(len(lines) + 1, np.int64)
        np.cumsum([len(line) for line in lines], out=bounds[1:])
        out = np.empty((len(lines), self._table.dim), np.float32)
        known = np.zeros(len(lines), bool)
        used = np.empty(_ROWS_AT_ONCE, np.int64)
        limits = self._limits
        filled = self._kernel.encode(
            self._tables, self._table.rows, data, bounds, limits.depth, limits.leaves, longest, out, known,
            self._rows, used,
        )  # fmt: skip
        self._table.touch(used[:filled])
        return out, known

    def learn(self, line: bytes) -> None:
        """Remember the tokens of a line that the parser and the walker have just taken."""
        self._check_sums()
        data = np.frombuffer(line, np.uint8)
        found = np.empty((min(_NEW_AT_ONCE, len(line) + 8), 4), np.int64)
        for _ in range(2 * self._limits.depth):
            _, _, unknown = self._kernel.scan(
                self._tables, self._table.rows, data, 0, len(data), self._limits.depth, self._limits.leaves, 0,
                self._rows, found,
            )  # fmt: skip
            if not unknown or not self._resolve(line, data, found[:unknown].tolist()):
                return

    def _resolve(self, line: bytes, data: npt.NDArray[np.uint8], found: list[list[int]]) -> bool:
        """Enter what can be entered now; whether there is more to find under it."""
        tokens = []
        more = False
        for number, kind, start, end in found:
            node = self._nodes[number]
            if kind == self._kernel.MEMBER:
                more |= self._link(number, node, start)
                continue
            value = orjson.loads(line[start:end])
            if kind == self._kernel.KEY:
                child = node.children.get(value)
                if child is not None:
                    tokens.append((number, kind, start, end, self._id(child)))
                    more = True
                continue
            row = node.leaves.get(_key(value))
            if row is not None:
                tokens.append((number, kind, start, end, row))
        self._grow_nodes()
        if tokens:
            used = self._kernel.put(self._tables, data, np.array(tokens, np.int64), self._text_used)
            if used < 0:
                self._clear()
                return False
            self._text_used = used
        return more

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
        self._tables = t._replace(
            first=np.concatenate([t.first, none]),
            following=np.concatenate([t.following, none]),
            stamps=np.concatenate([t.stamps, np.zeros(more, np.int64)]),
        )

    def _check_sums(self) -> None:
        """Forget the sums where rows that they hold were freed, and start again where there is no room for more."""
        t = self._tables
        if self._evictions == self._table.evictions and t.counters[1] < len(t.sums):
            return
        self._evictions = self._table.evictions
        t.lists[:] = 0
        t.counters[[1, 2, 4]] = 0


def _key(value: Any) -> Any:
    """Under what a node keeps the row of a parsed scalar or empty container."""
    if value is True or value is False:
        return TRUE if value else FALSE
    if type(value) is dict:
        return EMPTY_OBJECT
    return EMPTY_ARRAY if type(value) is list else value
