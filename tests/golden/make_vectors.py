"""Writes the golden files of the current format. Run it once, when the format is raised, never to make a test pass."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import orjson

import vsa
from vsa.hashing import FORMAT

HERE = pathlib.Path(__file__).parent

RECORDS = [
    {"title": "Norham Castle, Sunrise", "year": 1845, "medium": "Oil paint on canvas", "gone": None, "ok": True},
    {"a": {"b": [1, 2.5, -3e-9, 10**15, "394"]}, "tags": ["x", {"y": {}}, []], "when": "2020-02-29T12:30:00Z"},
    "東京都",
    [],
    {"": "", "odd.key": False, "url": "https://example.org/picture-book?id=7", "code": "KX-TG9321"},
    [[["deep"]]],
    123456789012345678,
    {"numbers": list(range(70))},
]

CASES = [
    {"options": {"dim": 64, "seed": 0}, "fitted": False},
    {"options": {"dim": 1024, "seed": 7}, "fitted": False},
    {"options": {"dim": 1000, "seed": 2**62, "arrays": "sequence"}, "fitted": False},
    {"options": {"dim": 256, "seed": 7}, "fitted": True},
    {"options": {"dim": 64, "seed": 1, "binding": "hadamard", "arrays": "bag"}, "fitted": False},
]


def embed(texts: list[str]) -> list[list[float]]:
    """A text model in exact arithmetic."""
    return [[len(text), text.count("a"), text.count(" "), 1.5] for text in texts]


def fields() -> dict[str, Any]:
    """One field of each kind."""
    return {
        "at": vsa.fields.LatLong(),
        "geo[]": vsa.fields.LatLong(order="long-lat", weight=2.0),
        "year": vsa.fields.Year(),
        "when": vsa.fields.Timestamp(weekday=0.5, season=0.25, epoch="ms"),
        "text": vsa.fields.TextModel(embed, dim=4, name="golden"),
        "also": vsa.fields.TextModel(embed, dim=4, weight=2.0, ordinary=0.0, anywhere=True),
    }


FIELD_RECORDS = [
    {"at": {"lat": 51.4911, "lon": -0.1276}, "year": 1897, "when": "2020-02-29T12:30:00.25+02:00", "text": "a gallery"},
    {"at": "-89.999, 179.5", "geo": [[-122.4, 37.8], [12.5, 41.9], None], "year": "-44", "when": 1582979400123},
    {"at": [91, 0], "year": "soon", "when": "then", "text": "", "also": "a bat and a cat", "more": [1, "words"]},
]
FIELD_CASES = [{"dim": 64, "seed": 0}, {"dim": 1000, "seed": 7}, {"dim": 3, "seed": 7, "binding": "hadamard"}]

if __name__ == "__main__":
    cases = []
    for options in FIELD_CASES:
        encoder = vsa.JSONEncoder(**options, fields=fields())
        digest = hashlib.sha256(encoder.encode(FIELD_RECORDS).tobytes()).hexdigest()
        cases.append({"options": options, "name": encoder.name, "sha256": digest})
    (HERE / f"fields-{FORMAT}.json").write_bytes(orjson.dumps({"cases": cases}, option=orjson.OPT_INDENT_2) + b"\n")
    cases = []
    for case in CASES:
        encoder = vsa.JSONEncoder(**case["options"])
        if case["fitted"]:
            encoder.fit(RECORDS)
            encoder.save(HERE / f"encoder-{FORMAT}.json")
        digest = hashlib.sha256(encoder.encode(RECORDS).tobytes()).hexdigest()
        cases.append({**case, "name": encoder.name, "sha256": digest})
    document = {"records": RECORDS, "cases": cases}
    (HERE / f"vectors-{FORMAT}.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
