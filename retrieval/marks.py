"""Conditions on many keys: SQLite takes so many parameters in one statement, and one statement a key is slow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

# SQLite's default bound on host parameters was 999 before 3.32; a few are left to the rest of the statement.
MOST = 900

Key = TypeVar("Key")


def parts(keys: Sequence[Key]) -> Iterator[tuple[str, Sequence[Key]]]:
    """``("IN (?,?)", [key, key])`` for every 900 keys.

    Examples
    --------
    >>> list(parts(["a", "b"]))
    [('IN (?,?)', ['a', 'b'])]
    """
    for start in range(0, len(keys), MOST):
        part = keys[start : start + MOST]
        yield f"IN ({','.join('?' * len(part))})", part
