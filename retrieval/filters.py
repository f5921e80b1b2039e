"""Conditions on payloads.

A filter is a JSON object. Each key is a path into the payload with a condition; all of them must hold::

    {"classification": "painting",                       # equal
     "dateRange.startYear": {">=": 1900, "<": 1950},     # several conditions on one path
     "contributors[].role": "artist",                    # any element of the array
     "size[0]": {"exists": True},
     "or": [{"title": {"contains": "sea"}}, {"not": {"medium": {"in": ["oil", "ink"]}}}]}

Operators: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``exists``, ``contains``. A dot inside a key is
written ``\\.``; a bracket ``\\[``. ``and`` and ``or`` with an array, and ``not`` with a filter, combine filters.

JSON types stay apart: true is not 1 and "1" is not 1, while 1 equals 1.0. Order is defined between numbers and
between strings (by code point); anything else compares as false. A missing path equals nothing, not even null,
so ``!=``, which is the opposite of ``==``, holds for it. ``contains`` looks for text in a string and for an
element in an array.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from retrieval.errors import FilterError

Predicate = Callable[[Any], bool]

_STEP = re.compile(r"((?:[^.\[\]\\]|\\.)+)|\[(\d*)\]|(\.)")
_ANY = object()
_DEPTH = 64


def canonical(where: Any) -> str:
    """A text that is the same for filters that are written the same; a key for caches."""
    try:
        return json.dumps(where, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise FilterError(f"a filter must be JSON: {error}") from error


def compiled(where: Any) -> Predicate:
    """A function of a payload that tells whether the filter holds.

    Raises
    ------
    FilterError
        If the filter cannot be understood; names the part.
    """
    canonical(where)
    return _filter(where, _DEPTH)


def _filter(where: Any, depth: int) -> Predicate:
    if not isinstance(where, dict) or not depth:
        what = f"nested deeper than {_DEPTH}" if not depth else f"an object was expected, got {where!r}"
        raise FilterError(f"filter: {what}")
    parts = []
    for key, condition in where.items():
        if key in ("and", "or") and isinstance(condition, list):
            parts.append(_joined(key, [_filter(one, depth - 1) for one in condition]))
        elif key == "not" and isinstance(condition, dict) and not _only_operators(condition):
            parts.append(_opposite(_filter(condition, depth - 1)))
        else:
            parts.append(_condition(key, condition))
    return parts[0] if len(parts) == 1 else _joined("and", parts)


def _joined(how: str, parts: list[Predicate]) -> Predicate:
    if how == "and":
        return lambda payload: all(part(payload) for part in parts)
    return lambda payload: any(part(payload) for part in parts)


def _opposite(part: Predicate) -> Predicate:
    return lambda payload: not part(payload)


def _only_operators(condition: dict[str, Any]) -> bool:
    return bool(condition) and all(name in _OPERATORS for name in condition)


def _condition(path: str, condition: Any) -> Predicate:
    steps = _steps(path)
    if not isinstance(condition, dict):
        condition = {"==": condition}
    if not condition:
        raise FilterError(f"filter: {path!r} has no operator; an empty object is written {{'==': {{}}}}")
    parts = []
    for name, wanted in condition.items():
        if name not in _OPERATORS:
            known = " ".join(_OPERATORS)
            raise FilterError(f"filter: {path!r} has the unknown operator {name!r}; known are {known}")
        parts.append(_OPERATORS[name](path, steps, wanted))
    return parts[0] if len(parts) == 1 else _joined("and", parts)


def _steps(path: str) -> tuple[Any, ...]:
    steps: list[Any] = []
    at = 0
    after_dot = True
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or (match[3] and after_dot) or (match[1] and not after_dot):
            raise FilterError(f"filter: the path {path!r} is broken at character {at + 1}")
        if match[1] is not None:
            steps.append(re.sub(r"\\(.)", r"\1", match[1]))
        elif match[2] is not None:
            steps.append(int(match[2]) if match[2] else _ANY)
        after_dot = bool(match[3])
        at = match.end()
    if after_dot:
        raise FilterError(f"filter: the path {path!r} is empty or ends in a dot")
    return tuple(steps)


def reader(path: str) -> Callable[[Any], list[Any]]:
    """A function of a payload that gives the values at a path: none, one, or one for each element.

    Raises
    ------
    FilterError
        If the path cannot be understood.
    """
    steps = _steps(path)
    return lambda payload: list(_values(payload, steps))


def _values(value: Any, steps: tuple[Any, ...]) -> Iterator[Any]:
    """What lies at a path: nothing, one value, or one for each element where the path says so."""
    for number, step in enumerate(steps):
        if step is _ANY:
            if isinstance(value, list):
                for element in value:
                    yield from _values(element, steps[number + 1 :])
            return
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return
        elif not isinstance(value, dict) or step not in value:
            return
        value = value[step]
    yield value


def same(a: Any, b: Any) -> bool:
    """Equality of JSON values, with types kept apart."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def _equal(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
    return lambda payload: any(same(value, wanted) for value in _values(payload, steps))


def _unequal(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
    return _opposite(_equal(path, steps, wanted))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[str, tuple[Any, ...], Any], Predicate]:
    def make(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
        kind = _order_kind(wanted)
        if kind is None:
            raise FilterError(f"filter: {path!r} is compared with {wanted!r}, which has no order")
        return lambda payload: any(
            _order_kind(value) is kind and compare(value, wanted) for value in _values(payload, steps)
        )

    return make


def _order_kind(value: Any) -> type | None:
    if isinstance(value, str):
        return str
    return float if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _among(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
    if not isinstance(wanted, list):
        raise FilterError(f"filter: 'in' on {path!r} needs an array, got {wanted!r}")
    return lambda payload: any(same(value, one) for value in _values(payload, steps) for one in wanted)


def _exists(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
    if not isinstance(wanted, bool):
        raise FilterError(f"filter: 'exists' on {path!r} needs true or false, got {wanted!r}")
    missing = object()
    return lambda payload: (next(_values(payload, steps), missing) is not missing) is wanted


def _contains(path: str, steps: tuple[Any, ...], wanted: Any) -> Predicate:
    def holds(value: Any) -> bool:
        if isinstance(value, str):
            return isinstance(wanted, str) and wanted in value
        return isinstance(value, list) and any(same(one, wanted) for one in value)

    return lambda payload: any(holds(value) for value in _values(payload, steps))


_OPERATORS: dict[str, Callable[[str, tuple[Any, ...], Any], Predicate]] = {
    "==": _equal,
    "!=": _unequal,
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _among,
    "exists": _exists,
    "contains": _contains,
}
