"""How large one record may be."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds on one record; going beyond one raises `vsa.LimitError` that names it.

    Parameters
    ----------
    depth : int
        Levels of nesting (an object in an object is 2). The parser itself stops at 1,024.
    string : int
        Characters in one string or one key.
    leaves : int
        Scalars and empty containers in one record.
    line : int
        Bytes of one line, or characters of one element of a JSON array.

    Raises
    ------
    ValueError
        If a bound is not a positive integer, or `depth` is above 1,024.
    """

    depth: int = 256
    string: int = 1 << 20
    leaves: int = 1_000_000
    line: int = 64 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValueError(f"limits.{field.name} must be a positive integer, got {value!r}")
        if self.depth > 1024:
            raise ValueError(f"limits.depth can be 1024 at most, got {self.depth}")
