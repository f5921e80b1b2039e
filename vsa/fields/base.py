"""What a typed encoder of a field is: the door that all kinds of them come in by.

A field reads the values at its path that are its own and turns them into rows of whole numbers, which join the
record's sum like any other leaf's: bound to their path, scaled by the same weights, explained and subtracted
alike. Because the rows are whole numbers, everything that the encoder promises of exactness holds with fields too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from vsa.errors import FieldError
from vsa.paths import Path, parse_path

Rows = npt.NDArray[np.float32]
Atoms = Sequence[tuple[bytes, float]]

LARGEST = float(1 << 20)
"""Entries of a field's rows must stay below this, so that the weights of bound copies keep them below 2**24."""


@dataclass(frozen=True)
class Space:
    """What the rows of a field are made in.

    Parameters
    ----------
    dim : int
        Length of a row.
    seed : int
        The encoder's.
    unit : int
        The size of an ordinary leaf: a row of ±`unit` counts as much as one word as rare as can be.
    sums : callable
        ``sums(parts)``: (n, dim) whole numbers; row i is the sum of the sign atoms named in ``parts[i]``, each
        times its weight in units of `unit`, rounded. Names that begin with ``@`` are left to fields.
    """

    dim: int
    seed: int
    unit: int
    sums: Callable[[Sequence[Atoms]], Rows]


@runtime_checkable
class Field(Protocol):
    """A typed encoder, given to `vsa.JSONEncoder` for a path.

    Attributes
    ----------
    kind : str
        Names the class in saved encoders.
    ordinary : float
        Weight of what the value would be without the field (its words and its exact value) beside the field's row.
        Values whose row is all zero, and values that `read` declines, are ordinary leaves of full weight.
    anywhere : bool
        Whether the row is also added bound to nothing, as words are, so that fields of one kind at different
        paths meet.
    """

    @property
    def kind(self) -> str:
        """Names the class in saved encoders."""
        ...

    @property
    def ordinary(self) -> float:
        """Weight of what the value would be without the field, beside the field's row."""
        ...

    @property
    def anywhere(self) -> bool:
        """Whether the row is also added bound to nothing, as words are."""
        ...

    def read(self, value: Any) -> Hashable | None:
        """What a value means, or None where it is not of this kind.

        Parameters
        ----------
        value : JSON value
            A scalar, or a whole object or array that is not empty. It need not be checked any further.

        Returns
        -------
        hashable or None
            Equal for values that shall have equal rows. None leaves the value to the ordinary encoder, which
            goes into objects and arrays.
        """

    def rows(self, contents: Sequence[Any], space: Space) -> Rows:
        """(n, dim) whole numbers for n contents that `read` gave; each row depends on its own content alone."""

    def config(self) -> dict[str, Any]:
        """All that decides the rows, ready for JSON; the encoder's name depends on it."""


def by_path(fields: Mapping[str, Field] | None) -> dict[Path, Field]:
    """Fields by parsed path.

    Raises
    ------
    TypeError
        For a value that is no field.
    ValueError
        For a text that is no path, or names a member of an array by its number.
    """
    parsed: dict[Path, Field] = {}
    for text, field in (fields or {}).items():
        path = parse_path(text)
        if any(isinstance(step, int) for step in path):
            raise ValueError(f"fields are by path, without members' numbers: write [] in {text!r}")
        if isinstance(field, type) or not isinstance(field, Field):
            raise TypeError(
                f"fields[{text!r}] must be a field such as vsa.fields.Year(), got "
                + (f"the class {field.__name__}" if isinstance(field, type) else type(field).__name__)
            )
        parsed[path] = field
    return parsed


def checked_rows(rows: Any, n: int, dim: int, field: Field) -> Rows:
    """A field's rows, if they are what they must be.

    Raises
    ------
    FieldError
        If they are of another shape, or not whole numbers below 2**20.
    """
    found: Rows = np.asarray(rows, np.float32)
    if found.shape != (n, dim):
        raise FieldError(f"the field {field.kind!r} gave rows of shape {found.shape} for {n} values; not ({n}, {dim})")
    if not (np.abs(found) < LARGEST).all() or (found != np.rint(found)).any():
        raise FieldError(f"the field {field.kind!r} gave rows that are not whole numbers below 2**20 in size")
    return found


def share(value: Any, name: str) -> float:
    """A weight of a field: a number from 0 to 16.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(value) or not 0 <= value <= 16:
        raise ValueError(f"{name} must be from 0 to 16, got {value!r}")
    return float(value)
