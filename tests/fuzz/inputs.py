"""Inputs near JSON: real records and awkward tokens, cut, spliced and bent."""

from __future__ import annotations

import gzip
import random
from collections.abc import Sequence

SEEDS: tuple[bytes, ...] = (
    b'{"title": "Norham Castle, Sunrise", "year": 1845, "gone": null, "ok": true}\n{"a": {"b": [1, 2.5, -3e-9]}}\n',
    b'[{"id": 1, "tags": ["x", {"y": {}}, []]}, "\xe6\x9d\xb1\xe4\xba\xac\xe9\x83\xbd", -0.0, 1e15]',
    b'{"": "", "odd.key": false, "when": "2020-02-29T12:30:00+02:00", "url": "https://example.org/a-b?id=7"}',
    b'{"n": 18446744073709551615, "m": -9223372036854775808, "big": 12345678901234567890123}\n\n  \n[[[[["d"]]]]]',
    b'"just text"\n12\nnull\nfalse\n[]\n{}\n',
)

TOKENS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\r\n", b" ", b"\t", b"\x0b", b"\x0c", b"\x00", b"\x1f",
    b"null", b"true", b"false", b"NaN", b"Infinity", b"-Infinity", b"nan", b"-", b"+1", b"01", b"-0", b"-0.0", b"1.",
    b".5", b"1e5", b"1e400", b"-1e400", b"5e-324", b"1e-400", b"9" * 400, b"1" + b"0" * 5000, b"18446744073709551616",
    b"9007199254740993", b"-9223372036854775809", b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b"\\u0000",
    b"\\x41", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\x1f\x8b",
    b"[" * 300, b'{"a":' * 300, b"[" * 2000, b'"' + b"x" * 50 + b'"', b"x" * 3000, b'{"a":1,"a":2}', b'{"a":1,}',
    b"[1,]", b"[1 2]", b"//c\n", b"'a'", b"2020-01-31", b"0000-01-01", b"9999-12-31T24:00:00Z",
    b"2016-12-31T23:59:60.999999999+14:00",
    b'"0"', b'"1e400"', b'"-0.000000000000"', b"\xc2\xa0", b'"\xcc\x81"', b'"\xef\xb7\xba"', b"[" + b"0," * 40 + b"0]",
)  # fmt: skip


def mutated(draw: random.Random, corpus: Sequence[bytes]) -> bytes:
    """One input: a text of the corpus after a few changes."""
    data = bytearray(draw.choice(corpus))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 6))):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(7)
        if kind <= 2:
            data[at:at] = draw.choice(TOKENS)
        elif kind == 3 and data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        elif kind == 4:
            del data[at : at + draw.choice((1, 2, 5, 40))]
        elif kind == 5:
            other = draw.choice(corpus)
            data[at:at] = other[draw.randrange(len(other)) :][: draw.choice((3, 30, 300))]
        else:
            end = at + draw.choice((1, 4, 30))
            data[at : at + draw.choice((0, 4, 30))] = bytes(data[at:end]) * draw.choice((2, 3, 20))
    shape = draw.randrange(8)
    if shape == 0:
        data = bytearray(b"[" + b",".join(line for line in bytes(data).split(b"\n") if line.strip()) + b"]")
    elif shape == 1:
        data = bytearray(gzip.compress(bytes(data), 1))
        if draw.random() < 0.5 and data:
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data[:20_000])
