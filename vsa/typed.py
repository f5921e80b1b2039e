"""The leaves that fields have read: their rows, and how much of the ordinary leaf stays beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vsa.errors import FieldError
from vsa.fields.base import Field, Rows, Space, checked_rows
from vsa.leaves import Claimed, Node


@dataclass
class Typed:
    """What fields say of a block of leaves.

    Attributes
    ----------
    rows : (n, dim) float32
        Whole numbers; zero for leaves that no field speaks for.
    read : (n,) bool
        Which leaves a field speaks for; they have no soft levels of their own.
    anywhere : (n,) bool
        Whose rows count at other paths too.
    ordinary : (n,) float32
        Weights of the ordinary leaves.
    """

    rows: Rows
    read: npt.NDArray[np.bool_]
    anywhere: npt.NDArray[np.bool_]
    ordinary: npt.NDArray[np.float32]

    def join(self, own: Rows, words: Rows) -> None:
        """Weigh the ordinary leaves and add the fields' rows, in place."""
        for part in (own, words):
            part *= self.ordinary[:, None]
            np.rint(part, out=part)
        own[~self.anywhere] += self.rows[~self.anywhere]
        words[self.anywhere] += self.rows[self.anywhere]


def typed_rows(places: Sequence[tuple[Node, Any]], space: Space) -> Typed | None:
    """What fields say of the leaves given as (node, value), or None where no field has a word.

    Raises
    ------
    FieldError
        If a field's rows are not what they must be, or zero for an object or array that it read.
    """
    readers: dict[int, tuple[Field, list[int], list[Any]]] = {}
    for i, (node, value) in enumerate(places):
        field = node.field
        if field is None:
            continue
        content = value.content if type(value) is Claimed else field.read(value)
        if content is not None:
            _, members, contents = readers.setdefault(id(field), (field, [], []))
            members.append(i)
            contents.append(content)
    if not readers:
        return None
    n = len(places)
    typed = Typed(
        np.zeros((n, space.dim), np.float32), np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.ones(n, np.float32)
    )
    for field, members, contents in readers.values():
        rows = checked_rows(field.rows(contents, space), len(contents), space.dim, field)
        typed.rows[members] = rows
        spoken = rows.any(axis=1)
        typed.read[members] = spoken
        typed.anywhere[members] = field.anywhere
        typed.ordinary[members] = np.where(spoken, np.float32(field.ordinary), np.float32(1.0))
    for i, (_, value) in enumerate(places):
        if type(value) is Claimed:
            if not typed.read[i]:
                raise FieldError(f"the field of kind {_kind(places[i][0])} read {value.content!r} and gave zero for it")
            typed.ordinary[i] = 0.0
    return typed


def _kind(node: Node) -> str:
    return repr(node.field.kind) if node.field is not None else "none"
