"""What lines hold that was not met before, taken in piece by piece: keys become nodes, scalars become rows.

The scan of bytes (`vsa.scanning`) tells where the new keys and scalars of a line are. Each is parsed by itself, checked
as the walker checks it and entered under its own bytes; then the scan understands the line. So a line costs what is
new in it, not what it holds. What is not as it must be is left alone, and so is its line, for the parser and the walker
to say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from vsa.errors import InvalidRecordError
from vsa.fastpath import KEY, MEMBER, VALUE, FastPath
from vsa.leaves import Arrays, Node, Walker
from vsa.limits import Limits

Numbers = npt.NDArray[np.int64]
_REFUSED = -1


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
    tokens : list of (n, 5) int64
        Scalars met, as `vsa.fastpath.FastPath.enter` takes them once their rows are made.
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
        self._text = b"".join(lines)
        self.tokens: list[Numbers] = []

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
        lines = np.flatnonzero(skip[:last] == 0)
        entries, owners = found[: bounds[last]], np.repeat(lines, np.diff(bounds[: last + 1])[lines])
        deeper = np.zeros(len(skip), bool)
        deeper[owners[entries[:, 1] != VALUE]] = True
        skip[lines[~deeper[lines]]] = 1
        self._link(entries[entries[:, 1] == MEMBER])
        keys: list[Numbers] = []
        self._take(entries[:, 1] == KEY, entries, owners, skip, self._child, keys)
        self._take(~deeper[owners], entries, owners, skip, self._walker.leaf, self.tokens)
        if self._fast.enter(self._batch, keys):
            return True
        self.tokens.clear()  # their nodes have no numbers any more
        return False

    def _take(
        self,
        which: npt.NDArray[np.bool_],
        entries: Numbers,
        owners: Numbers,
        skip: npt.NDArray[np.int8],
        take: Callable[[Node, Any], int],
        tokens: list[Numbers],
    ) -> None:
        """Take equal keys or scalars once, to be entered; lines with one that is not as it must be are marked -1."""
        some = entries[which]
        first = self._fast.firsts(self._batch, some)
        once = np.flatnonzero(first == np.arange(len(some)))
        values: list[int] = []
        text, node = self._text, self._fast.node
        try:
            for number, _, start, end in some[once].tolist():
                try:
                    values.append(take(node(number), orjson.loads(text[start:end])))
                except (InvalidRecordError, orjson.JSONDecodeError):
                    values.append(_REFUSED)
        finally:  # where no row is left for one of them, those before it have theirs
            taken = np.array(values, np.int64)
            tokens.append(np.column_stack([some[once[: len(taken)]], taken])[taken != _REFUSED])
        skip[owners[which][np.isin(first, once[taken == _REFUSED])]] = -1

    def _link(self, entries: Numbers) -> None:
        """Make and link the nodes of the members of arrays, given as (array, MEMBER, number, members)."""
        longest: dict[int, int] = {}
        for number, _, _, members in entries.tolist():
            longest[number] = max(members, longest.get(number, 0))
        for number, members in longest.items():
            node = self._fast.node(number)
            bag = self._arrays is Arrays.BAG
            self._fast.link(number, [node.member()] * 2 if bag else self._walker.members(node, members))

    def _child(self, node: Node, key: Any) -> int:
        """The number of a key's node; made where it is new."""
        return self._fast.number(node.children.get(key) or self._walker.child(node, key))
