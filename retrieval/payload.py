"""Payloads as bytes: JSON that reads back as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson

from retrieval.errors import InvalidPayloadError

NONE, FAST, EXACT = 0, 1, 2
"""Codecs: no payload; JSON that `orjson` reads back unchanged; JSON that only `json` does."""

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


def dump_all(values: Iterable[Any], n: int, first: int = 1) -> list[tuple[int, bytes | None]]:
    """`dump` of the payloads of `n` ids.

    Raises
    ------
    InvalidPayloadError
        With the row's number, from `first` on.
    ValueError
        If there are not just n.
    """
    packed: list[tuple[int, bytes | None]] = []
    for value in values:
        try:
            data = orjson.dumps(value, option=_PLAIN)
        except TypeError:
            data = b"null"
        # What is rare is looked at again, with its place.
        packed.append(dump(value, f"row {first + len(packed)}: ") if b"null" in data else (FAST, data))
    if len(packed) != n:
        raise ValueError(f"{len(packed)} payloads for {n} ids")
    return packed


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
