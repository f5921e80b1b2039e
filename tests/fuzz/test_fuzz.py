"""A short run of the fuzzer, and the inputs that it found to be taken wrongly."""

from __future__ import annotations

import random

import pytest
from fuzz import oracle, properties
from fuzz.inputs import SEEDS, mutated

import vsa


def test_bent_records_are_taken_and_refused_as_strict_json_is():
    draw = random.Random(20)
    for _ in range(1500):
        properties.check(mutated(draw, SEEDS))


def test_spoiled_documents_with_a_right_checksum_are_refused_or_work():
    draw = random.Random(21)
    records = [value for seed in SEEDS for _, value in oracle.lines(seed, 10**6)[0]]
    for _ in range(4):
        properties.check_states(records, draw)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"1\n\x0b \n", "line 2: not JSON"),
        (b"[1, 1e400]", "element 2: not JSON: number is infinity"),
        (b'["\\ud800"]', "element 1: not JSON: no low surrogate"),
        (b'[{"a\\udc00": 1}]', "element 1: not JSON: "),
    ],
)
def test_what_only_lenient_parsers_take_is_refused(data, words):
    with pytest.raises(vsa.InvalidRecordError, match=words):
        list(vsa.iter_json(data))


def test_integers_beyond_64_bits_are_the_same_in_lines_and_arrays():
    for digits in (b"18446744073709551616", b"-9223372036854775809", b"1" + b"0" * 300):
        (line,), (element,) = list(vsa.iter_json(digits)), list(vsa.iter_json(b"[" + digits + b"]"))
        assert repr(line) == repr(element)


@pytest.mark.parametrize("arrays", ["both", "bag"])
def test_only_leaves_count_as_leaves(arrays):
    encoder = vsa.JSONEncoder(16, arrays=arrays, limits=vsa.Limits(leaves=3))
    encoder.encode([[[[1], [[2]]], {"a": {"b": {}}}]])
    for record in ([[1, 2], [3, 4]], [[[1], [2]], {"a": [3], "b": 4}], [[], {}, "", None]):
        with pytest.raises(vsa.LimitError, match=r"more than 3 leaves \(limits.leaves\)"):
            encoder.encode([record])
