"""Lines of JSON Lines: cut from a stream within bounds, and parsed, with the number of each in every complaint."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from vsa.errors import InvalidRecordError, LimitError

_REST = 1 << 20


def cut_lines(
    raw: io.BufferedReader, handle: Callable[[InvalidRecordError], object], longest: int
) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, unparsed; blank ones are passed over and those too long are handed to `handle`."""
    number = 0
    while line := raw.readline(longest + 1):
        number += 1
        if len(line) > longest and not line.endswith(b"\n"):
            while (rest := raw.readline(_REST)) and not rest.endswith(b"\n"):
                pass
            handle(LimitError(f"longer than {longest:,} bytes (limits.line)", line=number))
        elif line.strip(b" \t\r\n"):
            yield number, line


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
