"""What lines hold that was not met before, taken in piece by piece: keys become nodes, scalars become rows.

The scan of bytes (`vsa.scanning`) tells where the new keys and scalars of a line are. Each is parsed by itself, checked
as the walker checks it and entered under its own bytes; then the scan understands the line. So a line costs what is
new in it, not what it holds. What is not as it must be is left alone, and so is its line, for the parser and the walker
to say what is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vsa.errors import InvalidRecordError
from vsa.fastpath import KEY, VALUE, FastPath
from vsa.leaves import Arrays, Walker
from vsa.limits import Limits

Token = tuple[int, int, int, int, int]


class FullError(Exception):
    """There is no row left for a new leaf."""


class Meeting:
    """The new keys and scalars of a batch of lines.

    Parameters
    ----------
    fast : FastPath
        Whose tables are to know them.
    walker : Walker
        Whose trie they are to be in, and which says what is no leaf.
    arrays, limits
        As `vsa.JSONEncoder` takes them.
    batch : vsa.summing.Batch
        Lines; those that are known are passed over.
    lines : sequence of bytes
        The same.

    Attributes
    ----------
    tokens : list
        Scalars met, to be entered once their rows are made.
    """

    def __init__(
        self,
        fast: FastPath,
        walker: Walker,
        arrays: Arrays,
        limits: Limits,
        batch: Any,
        lines: Sequence[bytes],
    ) -> None:
        self._fast = fast
        self._depth = limits.depth
        self._walker = walker
        self._arrays = arrays
        self._batch = batch
        self._lines = lines
        self._starts: list[int] = batch.starts.tolist()
        self.tokens: list[Token] = []

    def meet(self) -> None:
        """Take in all that is new.

        Raises
        ------
        FullError
            If there is no row left; what came before stands in `tokens`.
        """
        skip = self._batch.known.astype(np.int8)
        # A level of new nodes a round, of which an array takes two; and one for as many lines as there is room for.
        for _ in range(2 * self._depth + len(skip)):
            left = np.flatnonzero(skip == 0)
            if not len(left) or not self._settled(skip, int(left[0])):
                return

    def _settled(self, skip: npt.NDArray[np.int8], first: int) -> bool:
        """Take in what the next lines hold and mark those that have told all; False if the tables are full."""
        found, bounds, last = self._fast.unknown(self._batch, skip, first)
        cuts = bounds.tolist()
        keys: list[Token] = []
        for line in np.flatnonzero(skip[:last] == 0).tolist():
            new = found[cuts[line] : cuts[line + 1]].tolist()
            deeper = [entry for entry in new if entry[1] != VALUE]
            try:
                if deeper:
                    keys += self._structure(line, deeper)
                else:
                    self._scalars(line, new)
                    skip[line] = 1
            except (InvalidRecordError, orjson.JSONDecodeError):
                skip[line] = -1
        if self._fast.enter(self._batch, keys):
            return True
        self.tokens.clear()  # their nodes have no numbers any more
        return False

    def _structure(self, line: int, entries: list[list[int]]) -> list[Token]:
        """Make the nodes of keys and link those of members; the keys, to be entered."""
        keys = []
        for number, kind, start, end in entries:
            node = self._fast.node(number)
            if kind == KEY:
                key = self._parsed(line, start, end)
                child = node.children.get(key) or self._walker.child(node, key)
                keys.append((number, KEY, start, end, self._fast.number(child)))
            elif self._arrays is Arrays.BAG:
                self._fast.link(number, [node.member()] * 2)
            else:
                self._fast.link(number, self._walker.members(node, end))
        return keys

    def _scalars(self, line: int, entries: list[list[int]]) -> None:
        """Claim rows for the scalars and empty containers that have none."""
        for number, _, start, end in entries:
            row = self._walker.leaf(self._fast.node(number), self._parsed(line, start, end))
            self.tokens.append((number, VALUE, start, end, row))

    def _parsed(self, line: int, start: int, end: int) -> Any:
        begun = self._starts[line]
        return orjson.loads(self._lines[line][start - begun : end - begun])
