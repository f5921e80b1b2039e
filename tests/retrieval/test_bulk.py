"""What is done to many ids, payloads and rows at once is what is done to one."""

from __future__ import annotations

import sqlite3
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval import InvalidIdError, InvalidPayloadError, marks
from retrieval.checksums import id_crcs, payload_crc, payload_crcs
from retrieval.ids import checked_id, checked_ids
from retrieval.payload import NONE, Packed, dump, dump_all

IDS: list[list[Any]] = [
    [],
    ["a", "é", "null", "😀"],
    [3, 0, -7, 10**30],
    [3, "3x", np.int64(5)],
    range(4),
    np.arange(3),
    ("x", "y"),
    [type("Text", (str,), {})("sub"), "plain"],
]
PAYLOADS: list[list[Any]] = [
    [],
    [{"title": "a"}, [1, 2.5, "é"], "text", 0, False],
    [{"a": 1}, None, {"b": None}, "null"],
    [2**70, {"a": [1]}, float("1e300")],
    [{"x": "\ud800"}, 1],
    ["nu", "ll"],
    ["\0", "\0\0", ["\0", "\0"], [1, "\0", 2], '"\0"', ',"\\u0000",', {"\0": "\0"}],
    list(range(2000)),
]
TRICKY = st.sampled_from(["\0", ',"\\u0000",', '"', "\\", ",", "null", "[", "x"])
VALUES = st.recursive(
    TRICKY | st.integers(-3, 3) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=3),
)


@pytest.mark.parametrize("ids", IDS, ids=repr)
def test_many_ids_are_checked_as_one(ids: Any) -> None:
    checked = checked_ids(ids)
    assert checked == [checked_id(one) for one in ids]
    assert {type(one) for one in checked} <= {str}


@pytest.mark.parametrize("bad", ["", "half \ud83d", True, 1.0, None, b"x"], ids=repr)
@pytest.mark.parametrize("others", [["a", "b"], [1, 2]], ids=repr)
def test_a_bad_id_among_many_is_named(bad: Any, others: list[Any]) -> None:
    with pytest.raises(InvalidIdError, match="id 13"):
        checked_ids([*others, bad], before=10)


@pytest.mark.parametrize("values", PAYLOADS, ids=repr)
def test_many_payloads_are_packed_as_one(values: list[Any]) -> None:
    packed = dump_all(iter(values), len(values))
    assert list(packed) == [dump(value) for value in values]
    assert Packed.of(list(packed)) == packed
    assert list(packed[1:]) == list(packed)[1:]
    with pytest.raises(ValueError, match=f"{len(values)} payloads for {len(values) + 1} ids"):
        dump_all(values, len(values) + 1)


@given(st.lists(VALUES, max_size=8))
def test_payloads_are_told_apart_whatever_is_in_them(values: list[Any]) -> None:
    assert list(dump_all(values, len(values))) == [dump(value) for value in values]


@pytest.mark.parametrize("bad", [float("nan"), {"a": {1}}, {1: 2}, object()], ids=["nan", "set", "key", "object"])
def test_a_bad_payload_among_many_is_named(bad: Any) -> None:
    with pytest.raises(InvalidPayloadError, match="row 7"):
        dump_all([{"a": 1}, "b", bad, 3], 4, first=5)


def test_checksums_of_many_payloads_are_those_of_one() -> None:
    items = np.array([1, 2, 3, 2**31, 2**40])
    names = ["a", "b", "é", "a", "long " * 50]
    texts = [b"{}", None, b"x" * 100, b"{}", b""]
    codecs = [1, NONE, 2, 1, 1]
    checks = payload_crcs(items, id_crcs(names), codecs, texts)
    assert checks == [payload_crc(*row) for row in zip(items.tolist(), names, codecs, texts, strict=True)]
    assert len(set(checks)) == 5


def test_a_checksum_tells_what_a_payload_belongs_to() -> None:
    sound = payload_crc(7, "name", 1, b'{"n": 1}')
    others = [(item, "name", 1, b'{"n": 1}') for item in (0, 6, 8, 7 + 2**16, 1 << 31)]
    others += [(7, name, 1, b'{"n": 1}') for name in ("nam", "namf", "Name", "name ")]
    others += [(7, "name", codec, b'{"n": 1}') for codec in (0, 2)]
    others += [(7, "name", 1, payload) for payload in (b'{"n": 0}', b'{"n": 1} ', b"", None)]  # type: ignore[list-item]
    assert sound not in [payload_crc(*other) for other in others]
    # Every flipped bit of the number and of the name.
    flips = [payload_crc(7 ^ 1 << bit, "name", 1, b'{"n": 1}') for bit in range(32)]
    flips += [payload_crc(7, chr(ord("n") ^ 1 << bit) + "ame", 1, b'{"n": 1}') for bit in range(7)]
    assert sound not in flips
    assert len(set(flips)) == 39
    assert payload_crc(7, "name", 1, "text") == -1


@pytest.mark.parametrize("width", [1, 2, 5])
def test_rows_are_inserted_whatever_their_number(width: int) -> None:
    step = marks.MOST // width
    for n in (0, 1, step - 1, step, step + 1, 2 * step + 3):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.execute(f"CREATE TABLE t ({', '.join(f'c{place}' for place in range(width))})")
        columns = [[f"{place} {row}" for row in range(n)] for place in range(width)]
        marks.insert(connection, "INSERT INTO t", *columns)
        assert connection.execute("SELECT * FROM t").fetchall() == list(zip(*columns, strict=True))
        connection.close()
