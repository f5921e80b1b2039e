"""What strict JSON is, by Python's own parser: the judge of what `vsa` reads."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

GZIP = b"\x1f\x8b"
PARSER_DEPTH = 1024
_BOM = b"\xef\xbb\xbf"


class RejectedError(Exception):
    """Not JSON, and why."""


def strict(text: bytes) -> Any:
    """The value of one JSON text; integers beyond 64 bits are floats.

    Raises
    ------
    RejectedError
        For broken UTF-8 or JSON, NaN and Infinity, numbers beyond floats, and lone surrogates.
    """
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_no_constant, parse_int=_integer, parse_float=_float)
    except (ValueError, RecursionError) as error:
        raise RejectedError(str(error)) from error
    _no_surrogates(value)
    return value


def plain(data: bytes) -> bytes:
    """The input decompressed and without its byte order mark; `RejectedError` where it does not unpack."""
    if data[:2] == GZIP:
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise RejectedError(str(error)) from error
    return data.removeprefix(_BOM)


def lines(data: bytes, longest: int) -> tuple[list[tuple[int, Any]], list[int]]:
    """Numbered values of JSON Lines, and the numbers of the lines that are bad or too long."""
    good: list[tuple[int, Any]] = []
    bad: list[int] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > longest:
            bad.append(number)
        elif line.strip(b" \t\r"):
            try:
                good.append((number, strict(line)))
            except RejectedError:
                bad.append(number)
    return good, bad


def size(value: Any) -> tuple[int, int, int]:
    """(levels, longest string or key, leaves) of a value."""
    if isinstance(value, dict) and value:
        inner = [size(member) for member in value.values()]
        return 1 + max(d for d, _, _ in inner), max(*map(len, value), *(s for _, s, _ in inner), 0), sum(
            n for _, _, n in inner
        )  # fmt: skip
    if isinstance(value, list) and value:
        inner = [size(member) for member in value]
        return 1 + max(d for d, _, _ in inner), max(s for _, s, _ in inner), sum(n for _, _, n in inner)
    return 0, len(value) if isinstance(value, str) else 0, 1


def nesting(data: bytes) -> int:
    """No less than the depth that a parser of `data` can reach."""
    return data.count(b"[") + data.count(b"{")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int | float:
    if len(digits) <= 20 and -(2**63) <= int(digits) < 2**64:
        return int(digits)
    return _float(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is beyond floats")
    return value


def _no_surrogates(value: Any) -> None:
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise RejectedError("a lone surrogate") from error
    elif isinstance(value, dict):
        for key, member in value.items():
            _no_surrogates(key)
            _no_surrogates(member)
    elif isinstance(value, list):
        for member in value:
            _no_surrogates(member)
