"""Writes the golden files of the current format. Run it once, when the format is raised, never to make a test pass."""

from __future__ import annotations

import hashlib
import pathlib

import orjson

import vsa
from vsa.hashing import FORMAT

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

if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    cases = []
    for case in CASES:
        encoder = vsa.JSONEncoder(**case["options"])
        if case["fitted"]:
            encoder.fit(RECORDS)
            encoder.save(here / f"encoder-{FORMAT}.json")
        digest = hashlib.sha256(encoder.encode(RECORDS).tobytes()).hexdigest()
        cases.append({**case, "name": encoder.name, "sha256": digest})
    document = {"records": RECORDS, "cases": cases}
    (here / f"vectors-{FORMAT}.json").write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
