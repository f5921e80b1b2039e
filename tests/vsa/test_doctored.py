"""Saved encoders and memories that somebody else wrote: the checksum is right, and what they say makes no sense."""

from __future__ import annotations

import base64
import copy
import zlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

import vsa
from vsa import state

RECORDS = [{"title": f"word{i} sea", "year": 1800 + i} for i in range(50)]
Change = Callable[[dict[str, Any]], Any]


def body_of(data: bytes) -> dict[str, Any]:
    document = orjson.loads(data)
    return {part: value for part, value in document.items() if part not in ("kind", "format", "sha256")}


SAVED = body_of(vsa.JSONEncoder(64).fit(RECORDS).to_bytes())


def at(*path: Any, to: Any) -> Change:
    """A change of one place of the document."""

    def change(body: dict[str, Any]) -> None:
        inner: Any = body
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to

    return change


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


PATHS = SAVED["statistics"]["paths"]
WORDS = next(path for path, part in PATHS.items() if part["words"])
NUMBERS = next(path for path, part in PATHS.items() if part["numbers"])
TABLE = zlib.decompress(base64.b64decode(SAVED["statistics"]["tokens"]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (at("config", "dim", to=0), "dim must be a positive integer"),
        (at("config", "colour", to="red"), "colour"),
        (at("config", "shares", "bound", to=17), "shares.bound must be an integer from 0 to 16, got 17"),
        (at("config", "shares", to={"bound": 0, "position": 0}), "cannot both be 0: records would lose their keys"),
        (at("statistics", "records", to=0), "at least one record, got 0"),
        (at("statistics", "tokens", to=packed(b"no zlib")), "the token counts do not unpack"),
        (at("statistics", "tokens", to=packed(zlib.compress(b"\xff" * len(TABLE)))), "expected counts from 0"),
        (at("statistics", "tokens", to=packed(zlib.compress(b"\0" * 80))), "reshape"),
        (at("statistics", "paths", to=[1]), "expected counts by path, got list"),
        (at("statistics", "paths", WORDS, "leaves", to=[-1, 0, 0]), "a count of a path's leaves is out of range"),
        (at("statistics", "paths", WORDS, "words", to=[["7", 0, 0]]), "a counted word of a path is out of range"),
        (at("statistics", "paths", WORDS, "words", to=[[str(1 << 64), 1, 0]]), "a counted word of a path is out of"),
        (at("statistics", "paths", NUMBERS, "numbers", "shift", to=-1), "a histogram of numbers is out of range"),
        (at("statistics", "paths", NUMBERS, "numbers", "buckets", to=[]), "a histogram of numbers is out of range"),
        (at("statistics", "paths", NUMBERS, "numbers", "buckets", to=[["1", 0]]), "a bucket of a histogram"),
        (at("statistics", "paths", NUMBERS, "numbers", "buckets", to=[[str(1 << 70), 1]]), "a bucket of a histogram"),
    ],
)
def test_an_encoder_that_makes_no_sense_is_refused(change: Change, words: str) -> None:
    body = copy.deepcopy(SAVED)
    vsa.JSONEncoder.from_bytes(state.dump(body))
    change(body)
    with pytest.raises(vsa.EncoderStateError, match="the saved encoder does not make sense: .*" + words):
        vsa.JSONEncoder.from_bytes(state.dump(body))


def test_a_word_counted_twice_and_too_many_paths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = copy.deepcopy(SAVED)
    words = body["statistics"]["paths"][WORDS]["words"]
    words.append(words[0])
    with pytest.raises(vsa.EncoderStateError, match="distinct words of a path at most"):
        vsa.JSONEncoder.from_bytes(state.dump(body))
    monkeypatch.setattr("vsa.statistics.MAX_PATHS", 1)
    with pytest.raises(vsa.EncoderStateError, match="expected 1 paths at most, got"):
        vsa.JSONEncoder.from_bytes(state.dump(SAVED))


def test_a_memory_that_makes_no_sense_is_refused() -> None:
    encoder = vsa.JSONEncoder(64, memory=True)
    encoder.encode(RECORDS)
    assert encoder.memory is not None
    body = body_of(encoder.memory.to_bytes())
    assert repr(vsa.ItemMemory.from_bytes(state.dump(body, state.MEMORY))).endswith("2 paths, 50 records)")
    for part, to in (("bounds", {"colour": 1}), ("records", None), ("paths", [1]), ("paths", {"title": {}})):
        with pytest.raises(vsa.EncoderStateError, match="the saved memory does not make sense"):
            vsa.ItemMemory.from_bytes(state.dump({**body, part: to}, state.MEMORY))
