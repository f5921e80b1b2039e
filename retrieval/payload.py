"""Payloads as bytes: JSON that reads back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, overload

import orjson

from retrieval.errors import InvalidPayloadError

NONE, FAST, EXACT = 0, 1, 2
"""Codecs: no payload; JSON that `orjson` reads back unchanged; JSON that only `json` does."""

Payload = tuple[int, "bytes | None"]
"""Codec and bytes."""

# Values are written so many at a time, with this between them. It may be in a value too, and then cuts once too often.
_TOGETHER = 512
_BETWEEN, _CUT = "\0", b',"\\u0000",'

# orjson would turn these into text without a word.
_PLAIN = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def dump(value: Any, place: str = "", *, checked: bool = False) -> tuple[int, bytes | None]:
    """(codec, bytes) of a JSON value.

    Parameters
    ----------
    value : JSON value
        None gives no payload at all.
    place : str
        Where it stands, for the message.
    checked : bool
        The caller knows that it holds no NaN and no infinity (an encoder took it).

    Raises
    ------
    InvalidPayloadError
        If the value is not JSON.
    """
    if value is None:
        return NONE, None
    try:
        data = orjson.dumps(value, option=_PLAIN)
    except TypeError:
        return EXACT, _dump_exactly(value, place)
    # orjson writes NaN and infinity as null.
    if not checked and b"null" in data:
        _strict_text(value, place)
    return FAST, data


@dataclass(frozen=True)
class Packed(Sequence[Payload]):
    """What `dump` gives, of many payloads: columns, which Python's search for garbage passes by."""

    codecs: list[int]
    texts: list[bytes | None]

    @classmethod
    def of(cls, payloads: Sequence[Payload]) -> Packed:
        """The same payloads as columns."""
        if isinstance(payloads, cls):
            return payloads
        return cls([codec for codec, _ in payloads], [text for _, text in payloads])

    @classmethod
    def none(cls, n: int) -> Packed:
        """No payload, n times."""
        return cls([NONE] * n, [None] * n)

    def __len__(self) -> int:
        return len(self.codecs)

    @overload
    def __getitem__(self, index: int) -> Payload: ...

    @overload
    def __getitem__(self, index: slice) -> Packed: ...

    def __getitem__(self, index: int | slice) -> Payload | Packed:
        if isinstance(index, slice):
            return Packed(self.codecs[index], self.texts[index])
        return self.codecs[index], self.texts[index]


def dump_all(values: Iterable[Any], n: int, first: int = 1) -> Packed:
    """`dump` of the payloads of `n` ids.

    Raises
    ------
    InvalidPayloadError
        With the row's number, from `first` on.
    ValueError
        If there are not just n.
    """
    values = list(values)
    texts = _dumped_together(values)
    # What is rare is looked at one by one.
    if texts is None:
        packed = Packed.of([dump(value, f"row {number}: ") for number, value in enumerate(values, start=first)])
    else:
        packed = Packed([FAST] * len(texts), texts)
    if len(packed) != n:
        raise ValueError(f"{len(packed)} payloads for {n} ids")
    return packed


def _dumped_together(values: Sequence[Any]) -> list[bytes | None] | None:
    """What `orjson` makes of each value, by one call for many; None if that is not sure to be right for all.

    A call of its own leaves a kilobyte behind each small value (orjson 3.11: it asks for so much, and keeps what it
    needs), of which a process that is new has to be given every page: 100 ms for 50,000 titles, 4 like this.
    """
    texts: list[bytes | None] = []
    for start in range(0, len(values), _TOGETHER):
        some = values[start : start + _TOGETHER]
        between: list[Any] = [_BETWEEN] * (2 * len(some) - 1)
        between[::2] = some
        try:
            whole = orjson.dumps(between, option=_PLAIN)[1:-1]
        except TypeError:
            return None
        parts = whole.split(_CUT)
        if len(parts) != len(some) or b"null" in whole:
            return None
        texts += parts
    return texts


def _dump_exactly(value: Any, place: str) -> bytes:
    # Integers beyond 64 bits, halves of surrogate pairs and more than 254 levels are JSON, but not orjson's.
    text = _strict_text(value, place)
    if json.loads(text) != value:
        raise InvalidPayloadError(f"{place}the payload would not read back as it is; keys must be text")
    return text.encode("ascii")


def _strict_text(value: Any, place: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise InvalidPayloadError(f"{place}the payload is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidPayloadError(f"{place}the payload is nested too deeply") from error


def load(codec: int, data: bytes | None) -> Any:
    """The value that `dump` took."""
    if codec == NONE or data is None:
        return None
    return orjson.loads(data) if codec == FAST else json.loads(data)
