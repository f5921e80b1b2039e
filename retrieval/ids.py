"""What an id may be, and where a record holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from retrieval.errors import InvalidIdError

IdOf = str | Callable[[Any], Any]


def checked_id(value: Any, place: str = "") -> str:
    """`value` as an id: text as it is, an integer as its decimal digits.

    Raises
    ------
    InvalidIdError
        For anything else (true and 1.0 are no integers), empty text, and text that is not Unicode.
    """
    if isinstance(value, str):
        if not value:
            raise InvalidIdError(f"{place}the id is empty text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidIdError(f"{place}the id {value!r} holds half a surrogate pair") from None
        return str(value)
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return str(int(value))
    raise InvalidIdError(f"{place}an id is text or an integer, got {_shown(value)}")


def checked_ids(values: Iterable[Any], before: int = 0) -> list[str]:
    """A list of ids, each checked.

    Raises
    ------
    TypeError
        For one text instead of several.
    InvalidIdError
        As `checked_id`, with the position from 1, and `before` ids before it.
    """
    if isinstance(values, (str, bytes)):
        raise TypeError(f"expected several ids, got one: {values!r}; give [{values!r}]")
    values = list(values)
    kinds = set(map(type, values))
    if kinds == {int}:
        return list(map(str, values))
    if kinds == {str} and all(values) and _is_unicode("".join(values)):
        return values
    return [checked_id(value, f"id {number}: ") for number, value in enumerate(values, start=before + 1)]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_reader(id: IdOf) -> Callable[[Any, str], str]:
    """A function of (record, place) that gives the record's id.

    Parameters
    ----------
    id : str or callable
        A field of the record, a dotted path to one (``"meta.id"``, where no field has that very name), or a
        function of the record.
    """
    if callable(id):
        return lambda record, place: checked_id(id(record), place)
    if not isinstance(id, str) or not id:
        raise TypeError(f"id must be a field name or a function of the record, got {id!r}")
    steps = id.split(".")

    def read(record: Any, place: str) -> str:
        if not isinstance(record, dict):
            raise InvalidIdError(f"{place}an object with the field {id!r} was expected, got {_shown(record)}")
        if id in record:
            return checked_id(record[id], f"{place}field {id!r}: ")
        value: Any = record
        for step in steps:
            if not isinstance(value, dict) or step not in value:
                fields = ", ".join(sorted(map(str, record))[:8]) or "none"
                raise InvalidIdError(f"{place}no id field {id!r}; the fields are: {fields}")
            value = value[step]
        return checked_id(value, f"{place}field {id!r}: ")

    return read


def _shown(value: Any) -> str:
    text = repr(value)
    if len(text) > 40:
        text = text[:37] + "..."
    return f"{text} ({type(value).__name__})"
