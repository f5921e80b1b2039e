from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import json_values, objects

import vsa
from vsa.budget import LEAST_LEAVES, Budget, budget, row_bytes
from vsa.fastpath import VALUE, FastPath
from vsa.sums import available

pytestmark = pytest.mark.skipif(not available(), reason="numba is not installed")

DIM = 16


def outcome(encoder: vsa.JSONEncoder, data: bytes) -> tuple[bytes, list[str]]:
    told: list[str] = []
    rows = encoder.encode_jsonl(data, format="jsonl", on_error=lambda error: told.append(str(error)))
    return rows.tobytes(), told


def by_parser(data: bytes, **options: object) -> tuple[bytes, list[str]]:
    encoder = vsa.JSONEncoder(DIM, seed=5, **options)
    encoder._ready().reads_bytes = False
    return outcome(encoder, data)


def known(encoder: vsa.JSONEncoder, lines: list[bytes]) -> list[bool]:
    found = encoder._known_lines(lines)
    assert found is not None
    return found[1].tolist()


@pytest.fixture(scope="module")
def encoder() -> vsa.JSONEncoder:
    return vsa.JSONEncoder(DIM, seed=5)


@given(st.lists(st.one_of(objects, json_values), min_size=1, max_size=5), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=150)
def test_lines_seen_again_give_the_bytes_of_the_parser(encoder, records, indent, ascii_only):
    lines = [json.dumps(r, indent=indent, ensure_ascii=ascii_only).replace("\n", " ").encode() for r in records]
    data = b"\n".join(lines)
    expected = by_parser(data)
    for _ in range(4):  # learned; tokens known; subtrees summed; sums used
        assert outcome(encoder, data) == expected
    again = known(encoder, lines)
    assert again == [isinstance(record, (dict, list)) and bool(record) for record in records]


ODD = [
    b'{"a": 1, "a": 1, "b": {"a": 1}}',
    b'{"a": 1, "\\u0061": 1, "b": {"a": 1}}',
    b'{"a": 1,}',
    b'{"a": 1}}',
    b'{"a": 1} x',
    b'{"a" 1}',
    b'{"a":: 1}',
    b'{"a": 1.0}',
    b'{"a": 1e0}',
    b'{"a": -0}',
    b'{"a": 0}',
    b'{"a": 1e5}',
    b'{"a": 100000}',
    b'{"a": 01}',
    b'{"a": 1.}',
    b'{"a": NaN}',
    b'{"a": "\xff"}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\""}',
    b'{"a": "\\\\"}',
    b'{"a": "x\\',
    b'{"a": "',
    b'{"a": [1, 1, ]}',
    b'{"a": [1 1]}',
    b'{"a": [,1]}',
    b'{"a": [1]',
    b'{"a": [1, 1}}',
    b'{"a": {"a": 1]}',
    b'{"a": {]}',
    b'{"a": [}}',
    b'{"a": { }}',
    b'{"a": {}}',
    b'{"a": [ ]}',
    b'{"a": "1"}',
    b'{"a": true}',
    b'{"a": tru}',
    b'{"a": truex}',
    b' {"a":1}\t',
    b'{"a":\x0b1}',
    b"[1, [1]]",
    b"[[1], 1]",
    b'{"a": 1}{"a": 1}',
    b'{"b": {"a": 1}}',
    b'{"a": {"a": 1}}',
    b"{1: 1}",
    b"{,}",
    b'{"a"}',
    b'{"a": }',
    b"1",
    b'"a"',
    b'{"a": 18446744073709551615}',
    b'{"a": 18446744073709551616}',
    b'{"\xc3\xa9": "\xc3\xa9"}',
    b'{"a": "\x01"}',
    b'{"a": 1e999}',
    b'{"a": 1\x00}',
    b'{"a":"\\/"}',
    b'{"a":"/"}',
    b"[" * 300 + b"]" * 300,
    b"[" * 8 + b"1" + b"]" * 8,
]


def test_odd_lines_are_taken_and_refused_as_the_parser_does(encoder):
    plain = [b'{"a": 1}', b'{"a": [1, 1]}', b'{"a": {"a": 1, "b": [[1], {"c": "x"}]}, "b": {"a": 1}}']
    for _ in range(2):
        outcome(encoder, b"\n".join(plain + ODD))
    for line in ODD:
        data = b"\n".join([plain[0], line, plain[1]])
        expected = by_parser(data)
        for _ in range(3):
            assert outcome(encoder, data) == expected, line


@given(st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_mutated_lines_are_taken_and_refused_as_the_parser_does(encoder, rng):
    record = {
        "t": "Ab",
        "n": [1, 2.5, None, {"k": "Ab", "m": ""}],
        "o": {"t": "Ab", "u": {}},
        "é": "\n",
        "z": [[], [1]],
    }
    line = json.dumps(record).encode()
    outcome(encoder, line)
    pieces = [line]
    for _ in range(6):
        changed = bytearray(line)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(changed))
            kind = rng.randrange(4)
            if kind == 0:
                changed[at] = rng.choice(b'{}[]",:\\ 01eE.-ntu\x00\xff')
            elif kind == 1:
                del changed[at : at + rng.randint(1, 4)]
            elif kind == 2:
                end = at + rng.randint(1, 12)
                changed[at:at] = changed[at:end]
            else:
                other = rng.randrange(len(changed))
                changed[at], changed[other] = changed[other], changed[at]
        pieces.append(bytes(changed).replace(b"\n", b" "))
    data = b"\n".join(pieces)
    expected = by_parser(data)
    for _ in range(3):
        assert outcome(encoder, data) == expected


@pytest.mark.parametrize("arrays", ["both", "bag", "sequence"])
def test_long_arrays_and_records_of_many_leaves(arrays):
    records = [{"a": list(range(n)), "b": [["x"] * n]} for n in (1, 63, 64, 65, 66, 700)]
    records += [{"a": ["the same words"] * n} for n in (400, 800, 1200, 1600, 20_000)]  # sums that pass 2**24
    data = b"\n".join(json.dumps(record).encode() for record in records)
    encoder = vsa.JSONEncoder(DIM, seed=5, arrays=arrays)
    expected = by_parser(data, arrays=arrays)
    for _ in range(4):
        assert outcome(encoder, data) == expected
    assert all(known(encoder, data.split(b"\n")[:8]))


def test_a_key_and_a_value_of_the_same_bytes_at_one_node_are_told_apart():
    data = b'[{"k": 1, "": 2}]\n["k"]\n[""]'
    encoder = vsa.JSONEncoder(DIM, seed=5)
    for _ in range(2):
        assert outcome(encoder, data) == by_parser(data)
    assert all(known(encoder, data.split(b"\n")))


def test_limits_hold_for_lines_that_are_known():
    lines = [b'{"a": {"a": {"a": 1}}}', b'{"a": [1, 1, 1, 1]}', b'{"a": 1}']
    for limits in (vsa.Limits(depth=2), vsa.Limits(leaves=3), vsa.Limits(line=20)):
        encoder = vsa.JSONEncoder(DIM, seed=5, limits=limits)
        data = b"\n".join(lines)
        expected = by_parser(data, limits=limits)
        assert len(expected[1]) == 1
        for _ in range(3):
            assert outcome(encoder, data) == expected


def test_evicted_rows_are_not_used(monkeypatch: pytest.MonkeyPatch):
    # 4,096 rows for 5,000 values, with room for the tokens of all.
    def narrow(*sizes: Any, **options: Any) -> Budget:
        return replace(budget(*sizes, **options), leaves=LEAST_LEAVES * row_bytes(DIM))

    monkeypatch.setattr("vsa.bundler.budget", narrow)
    records = [{"a": i % 5000, "b": {"c": i % 5, "d": [1, i % 3]}} for i in range(6000)]
    data = b"\n".join(json.dumps(record).encode() for record in records)
    expected = vsa.JSONEncoder(DIM, seed=5).encode(records).tobytes()
    encoder = vsa.JSONEncoder(DIM, seed=5)
    for _ in range(2):
        assert encoder.encode_jsonl(data).tobytes() == expected
    assert encoder._ready()._table.generation.max() > 1


def test_a_changed_encoder_forgets():
    data = b'{"a": "red sea"}\n{"a": "blue sea"}'
    encoder = vsa.JSONEncoder(DIM, seed=5)
    before = encoder.encode_jsonl(data)
    encoder.encode_jsonl(data)
    encoder.fit([{"a": "red sky"}] * 5)
    after = encoder.encode_jsonl(data)
    np.testing.assert_array_equal(after, encoder.encode([json.loads(line) for line in data.split(b"\n")]))
    assert (before != after).any()


def test_what_is_new_in_a_line_is_met_without_the_walk(monkeypatch: pytest.MonkeyPatch):
    lines = [b'{"a": {"b": [1, {"c": "x"}, [[]]]}, "\\u00e9": %d}' % i for i in range(300)]
    expected = by_parser(b"\n".join(lines))

    def walk(*_: object) -> None:
        raise AssertionError("walked")

    monkeypatch.setattr("vsa.leaves.Walker.walk", walk)
    for arrays in ("both", "bag", "sequence"):
        encoder = vsa.JSONEncoder(DIM, seed=5, arrays=arrays)
        assert known(encoder, lines) == [True] * 300
    assert outcome(vsa.JSONEncoder(DIM, seed=5), b"\n".join(lines)) == expected


@given(
    st.text("ab", max_size=24).map(str.encode),
    st.lists(st.tuples(*[st.integers(0, n) for n in (2, 24, 9)]), max_size=40),
)
def test_equal_pieces_are_found_at_their_first(data, drawn):
    from vsa.structure import PADDING
    from vsa.tokentable import firsts

    spans = [(node, min(at, len(data)), min(at + size, len(data))) for node, at, size in drawn]
    entries = np.array([(node, VALUE, start, end) for node, start, end in spans], np.int64).reshape(-1, 4)
    found = np.empty(len(spans), np.int64)
    padded = np.frombuffer(data + bytes(PADDING), np.uint8)
    firsts(padded, entries, np.full(1 << len(spans).bit_length(), -1, np.int32), found)
    pieces = [(node, data[start:end]) for node, start, end in spans]
    assert found.tolist() == [pieces.index(piece) for piece in pieces]


@pytest.mark.parametrize("bad", [b'{"12345": 1}', b'{"\xff": 1}', b'{"a": tru}', b'{"a": {"b": [tru, {"12345": 1}]}}'])
def test_a_line_is_refused_at_once_however_often_what_it_holds_was(monkeypatch: pytest.MonkeyPatch, bad: bytes):
    encoder = vsa.JSONEncoder(DIM, seed=5, limits=vsa.Limits(string=4))
    scans = []
    scan = FastPath.unknown
    monkeypatch.setattr(FastPath, "unknown", lambda *given: scans.append(1) or scan(*given))
    good = [b'{"a": {"b": [%d]}}' % n for n in range(9)]
    assert known(encoder, [bad, *good, bad, bad]) == [False, *[True] * 9, False, False]
    assert len(scans) <= 5  # four levels of nodes, and the scalars


def test_arrays_of_several_lengths_are_met_at_once(monkeypatch: pytest.MonkeyPatch):
    lines = [b'{"a": [%s]}' % b", ".join([b"1"] * n) for n in (1, 5, 3, 70)]
    scans = []
    scan = FastPath.unknown
    monkeypatch.setattr(FastPath, "unknown", lambda *given: scans.append(1) or scan(*given))
    assert known(vsa.JSONEncoder(DIM, seed=5), lines) == [True] * 4
    assert len(scans) == 3  # keys, members, scalars


def test_strings_and_keys_beyond_the_limits_are_refused_when_they_are_met():
    limits = vsa.Limits(string=4)
    lines = [
        b'{"a": "1234"}',
        b'{"a": "12345"}',
        b'{"12345": 1}',
        b'{"a": {"1234": 1}, "b": {"12345": "x"}}',
        b'{"b": 1}',
    ]
    expected = by_parser(b"\n".join(lines), limits=limits)
    assert len(expected[1]) == 3
    encoder = vsa.JSONEncoder(DIM, seed=5, limits=limits)
    for _ in range(2):
        assert outcome(encoder, b"\n".join(lines)) == expected


@pytest.mark.parametrize("fast", [0, 9 << 20])
def test_tables_and_rows_that_are_too_few_change_nothing(monkeypatch: pytest.MonkeyPatch, fast: int):
    def narrow(*sizes: Any, **options: Any) -> Budget:
        return replace(budget(*sizes, **options), leaves=LEAST_LEAVES * row_bytes(DIM), fast=fast)

    monkeypatch.setattr("vsa.bundler.budget", narrow)
    long = {"long": list(range(9000, 14_500))}  # more values than there are rows
    records = [{"a": i, "b": {f"k{i % 700}": [i % 5, f"word{i % 11}"]}} for i in range(2500)]
    records = [*records[:1200], long, *records[1200:], long]
    data = b"\n".join(json.dumps(record).encode() for record in records)
    expected = vsa.JSONEncoder(DIM, seed=5).encode(records).tobytes()
    encoder = vsa.JSONEncoder(DIM, seed=5)
    for _ in range(2):
        assert encoder.encode_jsonl(data).tobytes() == expected


def test_rows_that_could_not_be_made_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    data = b'{"a": "red sea", "b": [1, 2]}\n{"a": "blue sea", "b": [3]}'
    expected = by_parser(data)
    encoder = vsa.JSONEncoder(DIM, seed=5)
    maker = encoder._ready().maker

    def interrupted(places: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(maker, "make", interrupted)
        with pytest.raises(KeyboardInterrupt):
            encoder.encode_jsonl(data)
    assert outcome(encoder, data) == expected


def test_tables_that_overflow_amid_a_batch_leave_nothing_half_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vsa.bundler.budget", lambda *sizes, **options: replace(budget(*sizes, **options), fast=0))
    one = [b'{"p": %d}' % i for i in range(20)]
    many = [b"{" + b", ".join(b'"k%d_%d": %d' % (i, j, j) for j in range(30)) + b"}" for i in range(60)]
    other = [b'{"q": %d, "r": {"s": %d}}' % (i, i) for i in range(20)]
    encoder = vsa.JSONEncoder(DIM, seed=5)
    encoder.encode_jsonl(b'{"p": "met"}')
    for lines in (one + many, other, one, other):
        assert outcome(encoder, b"\n".join(lines)) == by_parser(b"\n".join(lines))
