"""Operators of whole paths, composed from those of their steps and kept while they are in use."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from vsa.binding import Binding
from vsa.budget import MOST_OPERATORS
from vsa.paths import MEMBER, Path, Step


class PathOperators:
    """``M_path = M_first · … · M_last``.

    Parameters
    ----------
    binding : Binding
        The family that the steps' operators come from.
    most : int
        Operators kept; the least recently used go first.
    """

    def __init__(self, binding: Binding[Any], most: int = MOST_OPERATORS) -> None:
        self._binding = binding
        self._most = most
        self._kept: OrderedDict[Path, Any] = OrderedDict()

    def of(self, path: Path) -> Any:
        """The operator of a path; O(dim) where its parent's is kept."""
        found = self._kept.get(path)
        if found is not None:
            self._kept.move_to_end(path)
            return found
        # Iterative, since paths can be deeper than Python's stack likes.
        known = len(path)
        while known and path[:known] not in self._kept:
            known -= 1
        op = self._kept[path[:known]] if known else self._binding.identity()
        for end in range(known, len(path)):
            op = self._binding.compose(op, self._of_step(path[end])) if end else self._of_step(path[end])
            self._keep(path[: end + 1], op)
        return op

    def _of_step(self, step: Step) -> Any:
        """The operator of a step, which is that of the path of it alone."""
        op = self._kept.get((step,))
        if op is None:
            op = self._binding.operator(step_name(step))
            self._keep((step,), op)
        return op

    def _keep(self, path: Path, op: Any) -> None:
        self._kept[path] = op
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def step_name(step: Step) -> bytes:
    """Name of a step's operator; keys, numbers and any-member never collide."""
    if step is MEMBER:
        return b"a"
    if isinstance(step, int):
        return b"i" + str(step).encode()
    return b"k" + step.encode()
