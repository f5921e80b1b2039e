"""One iterative walk over a JSON value: each scalar or empty container becomes a row number.

The walk goes down a trie of paths in step with the value. Each trie node remembers the rows of the values seen
at it, so that a leaf met before costs one dictionary look-up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from vsa.errors import InvalidRecordError, LimitError
from vsa.exchange import plain
from vsa.fields.base import Field
from vsa.limits import Limits
from vsa.paths import MEMBER, Path, format_path

POSITIONS = 64
"""Members of an array beyond this many count without their place where arrays are both bag and sequence."""

# Keys for values that Python's equality would mix up with others (True == 1) or that cannot be keys.
TRUE, FALSE, EMPTY_OBJECT, EMPTY_ARRAY = (1,), (0,), ("{}",), ("[]",)

_LARGEST_INT = 2**64
_JSON_TYPES = frozenset({str, float, int, bool, dict, list, type(None)})


class Arrays(str, Enum):
    """How the members of an array are bound."""

    BAG = "bag"
    SEQUENCE = "sequence"
    BOTH = "both"


@dataclass(frozen=True)
class Claimed:
    """A whole object or array that a field has read, as a leaf of its own.

    Attributes
    ----------
    content : hashable
        What the field read.
    """

    content: Hashable


class Node:
    """A place in the trie of paths.

    Attributes
    ----------
    path : tuple
        Steps from the root, with `MEMBER` for any member of an array.
    place : tuple
        The same with the members' numbers; equal to `path` where no numbered array is on the way.
    leaves : dict
        Row of each value seen here.
    field : Field or None
        The typed encoder of the values here.
    """

    __slots__ = ("_fields", "_members", "children", "field", "leaves", "numbered", "path", "place")

    def __init__(self, path: Path, place: Path, fields: Mapping[Path, Field] | None = None) -> None:
        self.path = path
        self.place = place
        self.field = fields.get(path) if fields else None
        self._fields = fields
        self.children: dict[str, Node] = {}
        self.leaves: dict[Any, int] = {}
        self.numbered: list[Node] = []
        self._members: Node | None = None

    def child(self, key: str) -> Node:
        """The node of a key of an object; made when missing."""
        node = self.children[key] = Node((*self.path, key), (*self.place, key), self._fields)
        return node

    def member(self) -> Node:
        """The node of any member of an array."""
        if self._members is None:
            self._members = Node((*self.path, MEMBER), (*self.path, MEMBER), self._fields)
        return self._members

    def numbered_members(self, count: int, most: int | None) -> list[Node]:
        """At least `count` nodes for the members by number; beyond `most` they are one and the same."""
        while len(self.numbered) < count:
            number = len(self.numbered)
            if most is not None and number >= most:
                self.numbered.append(self.member())
            else:
                self.numbered.append(Node((*self.path, MEMBER), (*self.place, number), self._fields))
        return self.numbered


Miss = Callable[[Node, Any, Any], int]


class Walker:
    """Walks records down one trie.

    Parameters
    ----------
    arrays : Arrays
        Whether members keep their numbers.
    limits : Limits
        Bounds on depth, string length and leaves.
    miss : callable
        Called as ``miss(node, key, value)`` with a checked leaf that its node does not know; gives its row.
    fields : mapping, optional
        Typed encoders by path. What they read of objects and arrays comes as one leaf, `Claimed`.
    """

    def __init__(self, arrays: Arrays, limits: Limits, miss: Miss, fields: Mapping[Path, Field] | None = None) -> None:
        self._arrays = arrays
        self._limits = limits
        self._miss = miss
        self.root = Node((), (), fields)
        self.nodes = 1

    def walk(self, record: Any, rows: list[int]) -> None:
        """Append the rows of the record's leaves to `rows`; at least one, in no promised order.

        Raises
        ------
        InvalidRecordError
            If something in the record is not JSON; the message names its path.
        LimitError
            If the record is larger than the limits.
        """
        if (type(record) is not dict and type(record) is not list) or not record:
            rows.append(self.leaf(self.root, record))
            return
        append = rows.append
        if self.root.field is not None and (row := self._claim(self.root, record)) is not None:
            append(row)
            return
        budget = self._limits.leaves
        deepest = self._limits.depth
        stack: list[tuple[Node, Any, int]] = [(self.root, record, 1)]
        while stack:
            node, container, depth = stack.pop()
            if depth > deepest:
                raise LimitError(f"nested deeper than {deepest} levels (limits.depth) at {_name(node)}")
            budget -= len(container)
            # Each member is a leaf or holds one at least; for those that hold others one comes back as they are met.
            if budget < 0:
                raise LimitError(f"more than {self._limits.leaves:,} leaves (limits.leaves)")
            for child, value in self._members(node, container):
                kind = type(value)
                if kind is str or kind is int or kind is float or value is None:
                    row = child.leaves.get(value)
                    append(self.leaf(child, value) if row is None else row)
                elif (kind is dict or kind is list) and value:
                    if child.field is None or (row := self._claim(child, value)) is None:
                        stack.append((child, value, depth + 1))
                        budget += 1
                    else:
                        append(row)
                else:
                    append(self.leaf(child, value))

    def _members(self, node: Node, container: Any) -> Any:
        """Pairs of (node, value) of a container that is not empty."""
        if type(container) is dict:
            children = node.children
            try:
                return zip([children[key] for key in container], container.values(), strict=True)
            except KeyError:
                for key in container:
                    if key not in children:
                        self.child(node, key)
                return zip([children[key] for key in container], container.values(), strict=True)
        if self._arrays is Arrays.BAG:
            return ((node.member(), value) for value in container)
        return zip(self.members(node, len(container)), container, strict=False)

    def child(self, node: Node, key: Any) -> Node:
        """The node of a key that `node` does not know, made; errors as `walk`."""
        if type(key) is not str:
            raise InvalidRecordError(f"keys must be str, got {type(key).__name__} {key!r} at {_name(node)}")
        if len(key) > self._limits.string:
            raise LimitError(
                f"a key of {len(key):,} characters, above {self._limits.string:,} (limits.string), at {_name(node)}"
            )
        _check_text(key, node, "a key")
        self.nodes += 1
        return node.child(key)

    def members(self, node: Node, count: int) -> list[Node]:
        """At least `count` nodes for the members of an array by number; made where they are missing."""
        before = len(node.numbered)
        nodes = node.numbered_members(count, POSITIONS if self._arrays is Arrays.BOTH else None)
        self.nodes += len(nodes) - before
        return nodes

    def _claim(self, node: Node, container: Any) -> int | None:
        """The row of an object or array that the node's field takes whole, or None."""
        content = node.field.read(container) if node.field is not None else None
        if content is None:
            return None
        claimed = Claimed(content)
        row = node.leaves.get(claimed)
        return self._miss(node, claimed, claimed) if row is None else row

    def leaf(self, node: Node, value: Any) -> int:
        """The row of a scalar or empty container, checked and looked up under a key that mixes up no two values.

        Errors as `walk`.
        """
        kind = type(value)
        if kind not in _JSON_TYPES:
            value = plain(value)
            kind = type(value)
        key = value
        if kind is str:
            if len(value) > self._limits.string:
                raise LimitError(
                    f"a string of {len(value):,} characters, above {self._limits.string:,} (limits.string), "
                    f"at {_name(node)}"
                )
            _check_text(value, node, "a string")
        elif kind is bool:
            key = TRUE if value else FALSE
        elif kind is dict:
            key = EMPTY_OBJECT
        elif kind is list:
            key = EMPTY_ARRAY
        elif kind is int and not -_LARGEST_INT < value < _LARGEST_INT:
            # Parsers of JSON text read such numbers as floats; both roads give one vector.
            try:
                key = value = float(value)
            except OverflowError:
                raise InvalidRecordError(f"an integer too large for a float at {_name(node)}") from None
        elif kind is float:
            if not math.isfinite(value):
                raise InvalidRecordError(f"{value} is not JSON, at {_name(node)}")
        elif kind is not int and value is not None:
            raise InvalidRecordError(
                f"{kind.__name__} is not JSON, at {_name(node)}; expected dict, list, str, int, float, bool or None"
            )
        row = node.leaves.get(key)
        return self._miss(node, key, value) if row is None else row


def _name(node: Node) -> str:
    """The path for a message, cut where it is long."""
    text = format_path(node.path)
    if not text:
        return "the root"
    return text if len(text) <= 100 else text[:60] + "…" + text[-30:]


def _check_text(text: str, node: Node, what: str) -> None:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRecordError(f"{what} with a lone surrogate, at {_name(node)}") from None
