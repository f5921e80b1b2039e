"""Values out of JSON Lines and JSON arrays, one at a time, from files, pipes and compressed files."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import IO, Any

import orjson

from vsa.errors import InvalidRecordError, LimitError
from vsa.limits import Limits
from vsa.lines import cut_lines, parse_line

Source = str | os.PathLike[str] | bytes | IO[bytes]
OnError = str | Callable[[InvalidRecordError], object]

_CHUNK = 1 << 20
_BOM = codecs.BOM_UTF8


class Format(str, Enum):
    """How the values lie in the input."""

    AUTO = "auto"
    JSONL = "jsonl"
    ARRAY = "array"


def iter_json(
    source: Source, *, format: str = "auto", on_error: OnError = "raise", limits: Limits | None = None
) -> Iterator[tuple[int, Any]]:
    """Read JSON values one at a time, never holding more than one line of the input.

    Parameters
    ----------
    source : path, bytes or binary file object
        ``"-"`` is standard input. Gzip is known by its first two bytes, whatever the name.
    format : {"auto", "jsonl", "array"}
        ``"auto"`` takes input whose first byte is ``[`` for one JSON array and all else for JSON Lines.
    on_error : {"raise", "skip"} or callable
        What to do with a line that does not parse. A callable gets the error and reading goes on. An array
        ends at its first error whatever is given: after it there is no telling where the next element begins.
    limits : Limits, optional
        Only `limits.line` applies here; the other bounds are the encoder's.

    Yields
    ------
    (int, value)
        Line number from 1 (blank lines count, and are passed over), or the element's number from 1.

    Raises
    ------
    InvalidRecordError
        For broken JSON, broken UTF-8, NaN and Infinity, or a compressed stream that ends early.
    LimitError
        For a line longer than `limits.line` or nested deeper than the parser goes (1,024).
    OSError
        As opening and reading the file does.

    Examples
    --------
    >>> list(iter_json(b'{"a": 1}\\n\\n[2]\\n'))
    [(1, {'a': 1}), (3, [2])]
    >>> list(iter_json(b'[{"a": 1}, 2]'))
    [(1, {'a': 1}), (2, 2)]
    """
    handle = handler(on_error)
    for number, item in iter_items(source, format=format, on_error=on_error, limits=limits):
        try:
            value = parse_line(item, number) if type(item) is bytes else item
        except InvalidRecordError as error:
            handle(error)
            continue
        yield number, value


def iter_items(
    source: Source, *, format: str = "auto", on_error: OnError = "raise", limits: Limits | None = None
) -> Iterator[tuple[int, Any]]:
    """As `iter_json`, but the lines of JSON Lines come as bytes, for `vsa.lines.parse_line` to parse."""
    kind = Format(format)
    handle = handler(on_error)
    bounds = limits or Limits()
    with _opened(source) as raw:
        first = raw.peek(1)[:1]
        if raw.peek(3)[:3] == _BOM:
            raw.read(3)
            first = raw.peek(1)[:1]
        if kind is Format.ARRAY or (kind is Format.AUTO and first == b"["):
            yield from _elements(raw, handle, bounds.line)
        else:
            yield from cut_lines(raw, handle, bounds.line)


def handler(on_error: OnError) -> Callable[[InvalidRecordError], object]:
    """What to call with an error."""
    if callable(on_error):
        return on_error
    if on_error == "skip":
        return lambda error: None
    if on_error != "raise":
        raise ValueError(f'on_error must be "raise", "skip" or a callable, got {on_error!r}')

    def stop(error: InvalidRecordError) -> None:
        raise error

    return stop


@contextmanager
def _opened(source: Source) -> Iterator[io.BufferedReader]:
    """A buffered binary reader over `source`, decompressed; closes only what it opened."""
    own: list[IO[bytes]] = []
    try:
        if isinstance(source, bytes):
            raw: Any = io.BytesIO(source)
        elif isinstance(source, (str, os.PathLike)):
            if os.fspath(source) == "-":
                raw = sys.stdin.buffer
            else:
                raw = open(source, "rb")  # noqa: SIM115 - closed below
                own.append(raw)
        elif hasattr(source, "read"):
            raw = source
        else:
            raise TypeError(f"expected a path, bytes or a binary file object, got {type(source).__name__}")
        reader = raw if hasattr(raw, "peek") else _Buffered(_ReadOnly(raw), _CHUNK)
        if reader.peek(2)[:2] == b"\x1f\x8b":
            reader = _Buffered(_ReadOnly(gzip.GzipFile(fileobj=reader)), _CHUNK)
        yield reader
    finally:
        for handle in own:
            handle.close()


class _Buffered(io.BufferedReader):
    """A buffer that leaves the file beneath it open, since the caller may own it."""

    def __del__(self) -> None:
        return


class _ReadOnly(io.RawIOBase):
    """Lets `io.BufferedReader` stand on anything that has `read`, and names what a bad stream is."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise InvalidRecordError(f"the compressed input is damaged or cut: {error}") from error
        if isinstance(data, str):
            raise TypeError("the file is open in text mode; open it in binary mode ('rb')")
        buffer[: len(data)] = data
        return len(data)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _elements(
    raw: io.BufferedReader, handle: Callable[[InvalidRecordError], object], longest: int
) -> Iterator[tuple[int, Any]]:
    """Elements of one JSON array, decoded from a window that grows until the next one is whole."""
    text = _Window(raw, longest)
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    if text.skip_space() != "[":
        raise InvalidRecordError("not a JSON array: expected '['")
    text.drop(1)
    number = 0
    mark = text.skip_space()
    while mark != "]":
        number += 1
        try:
            value = text.take(decoder)
        except InvalidRecordError as error:
            raise type(error)(error.reason, line=number, unit="element") from error
        if value is _TOO_LONG:
            raise LimitError(f"longer than {longest:,} characters (limits.line)", line=number, unit="element")
        yield number, value
        mark = text.skip_space()
        if mark == ",":
            text.drop(1)
            mark = text.skip_space()
            if mark == "]":
                raise InvalidRecordError("a comma before the closing ']'", line=number, unit="element")
        elif mark != "]":
            found = repr(mark) if mark else "the end of the input; was it cut?"
            raise InvalidRecordError(f"expected ',' or ']' after it, got {found}", line=number, unit="element")
    text.drop(1)
    if text.skip_space():
        handle(InvalidRecordError("more input after the closing ']'; for lines that are arrays give format=\"jsonl\""))


_TOO_LONG = object()


class _Window:
    """The undecoded part of the input: characters from `at` on in `text`."""

    def __init__(self, raw: io.BufferedReader, longest: int) -> None:
        self._raw = raw
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._longest = longest
        self.text = ""
        self.at = 0

    def grow(self, size: int = _CHUNK) -> bool:
        """Read on; False at the end of the input."""
        data = self._raw.read(size)
        try:
            more = self._decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InvalidRecordError(f"not UTF-8: {error.reason}") from error
        self.text = self.text[self.at :] + more
        self.at = 0
        return bool(data)

    def drop(self, count: int) -> None:
        self.at += count

    def skip_space(self) -> str:
        """The next character that is not white space, or "" at the end; `at` is left on it."""
        while True:
            while self.at < len(self.text):
                if self.text[self.at] not in " \t\r\n":
                    return self.text[self.at]
                self.at += 1
            if not self.grow():
                return ""

    def take(self, decoder: json.JSONDecoder) -> Any:
        """Decode one value at `at`, reading on while it may be incomplete.

        Python's parser finds where the value ends and orjson, which is stricter, says what it is: so arrays and
        lines hold the same values, without infinities and lone surrogates.
        """
        size = _CHUNK
        while True:
            fault: Exception | None = None
            try:
                value, end = decoder.raw_decode(self.text, self.at)
                # A number that touches the end of the window may go on in the next one.
                length = end - self.at
                if end < len(self.text) or isinstance(value, (dict, list, str)) or not self.grow(size):
                    self.at += length
                    return orjson.loads(self.text[self.at - length : self.at])
            except RecursionError:
                raise LimitError("nested deeper than the parser goes (limits.depth)") from None
            except orjson.JSONDecodeError as error:
                raise InvalidRecordError(f"not JSON: {error.msg}") from error
            except json.JSONDecodeError as error:
                fault = error
            except ValueError as error:
                raise InvalidRecordError(f"not JSON: {error}") from error
            if fault is not None:
                if len(self.text) - self.at > self._longest:
                    return _TOO_LONG
                if not self.grow(size):
                    raise InvalidRecordError(f"not JSON: {fault}; was the input cut?") from fault
            size *= 2
