"""Lines of JSON Lines: cut from a stream within bounds, and parsed, with the number of each in every complaint."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from vsa.errors import InvalidRecordError, LimitError

_BLOCK = 1 << 20


def cut_lines(
    raw: io.BufferedReader, handle: Callable[[InvalidRecordError], object], longest: int
) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, unparsed; blank ones are passed over and those too long are handed to `handle`.

    Lines come as soon as they have been read, and no more than one of them and a block is held.
    """
    number = 0
    begun = b""  # a line whose end was not yet read
    while block := raw.read1(max(_BLOCK, len(begun))):
        lines = io.BytesIO(begun + block).readlines()
        begun = b"" if lines[-1].endswith(b"\n") else lines.pop()
        for line in lines:
            number += 1
            if len(line) > longest + 1:
                handle(_too_long(longest, number))
            elif line.strip(b" \t\r\n"):
                yield number, line
        if len(begun) > longest:
            while (rest := raw.readline(_BLOCK)) and not rest.endswith(b"\n"):
                pass
            number += 1
            handle(_too_long(longest, number))
            begun = b""
    if begun.strip(b" \t\r\n"):
        yield number + 1, begun


def _too_long(longest: int, number: int) -> LimitError:
    return LimitError(f"longer than {longest:,} bytes (limits.line)", line=number)


def parse_line(line: bytes, number: int) -> Any:
    """The value of a line.

    Raises
    ------
    InvalidRecordError
        For broken JSON or UTF-8, with `line` set; `LimitError` where it is nested deeper than the parser goes.
    """
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _reworded(error, line, number, ended=not line.endswith(b"\n")) from error


def _reworded(error: orjson.JSONDecodeError, line: bytes, number: int, *, ended: bool) -> InvalidRecordError:
    """The parser's complaint with the line's number in the file, and the likely cause."""
    if "ecursion" in error.msg or "depth limit" in error.msg:
        return LimitError("nested deeper than 1024 levels (limits.depth)", line=number)
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as fault:
        return InvalidRecordError(f"not UTF-8: {fault.reason} at byte {fault.start + 1}", line=number)
    reason = f"not JSON: {error.msg} at column {error.pos + 1}"
    if ended and error.pos >= len(line.rstrip()) - 1:
        reason += "; the input ends here, was it cut?"
    elif line.lstrip()[:1] in b"{[" and number == 1 and line.rstrip() in (b"{", b"["):
        reason += "; give one value a line, or one JSON array"
    return InvalidRecordError(reason, line=number)
