from __future__ import annotations

import json
import subprocess
import sys
from http import HTTPStatus

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import naive_sum
from strategies import json_values, objects, texts

import vsa
from vsa.binding import binding

DIM = 64


def sums(encoder: vsa.JSONEncoder, *records: object) -> np.ndarray:
    return encoder.encode(list(records), normalize=False)


@pytest.fixture(scope="module")
def encoder() -> vsa.JSONEncoder:
    return vsa.JSONEncoder(DIM, seed=5)


@given(json_values, st.sampled_from(["both", "bag", "sequence"]))
@settings(max_examples=60)
def test_sums_equal_the_naive_recursion_over_dense_matrices(record, arrays):
    encoder = vsa.JSONEncoder(32, seed=5, arrays=arrays)
    expected = naive_sum(record, binding("permutation", 32, 5), encoder.config.shares, arrays)
    np.testing.assert_array_equal(sums(encoder, record)[0], expected)


def test_members_beyond_the_64th_lose_their_place_in_both_but_not_in_sequence():
    record = list(range(70))
    for arrays in ("both", "sequence"):
        encoder = vsa.JSONEncoder(32, seed=5, arrays=arrays)
        expected = naive_sum(record, binding("permutation", 32, 5), encoder.config.shares, arrays)
        np.testing.assert_array_equal(sums(encoder, record)[0], expected)


@pytest.mark.parametrize("kind", ["hadamard", "haar"])
def test_other_bindings_equal_the_naive_recursion_to_rounding(kind):
    record = {"a": [{"b": "some words"}, 3.5], "c": {"d": None}}
    encoder = vsa.JSONEncoder(48, seed=5, binding=kind)
    expected = naive_sum(record, binding(kind, 48, 5), encoder.config.shares, "both")
    # Each of the four leaves is rounded to whole numbers in sums of some thousands.
    np.testing.assert_allclose(sums(encoder, record)[0], expected, atol=4)


@given(st.lists(st.tuples(texts, json_values), min_size=2, max_size=5, unique_by=lambda item: item[0]))
def test_a_record_is_the_sum_of_its_fields(encoder, fields):
    parts = sums(encoder, *[{key: value} for key, value in fields])
    np.testing.assert_array_equal(sums(encoder, dict(fields))[0], parts.sum(axis=0))


@given(objects)
def test_the_order_of_keys_does_not_matter(encoder, record):
    backwards = dict(reversed(list(record.items())))
    np.testing.assert_array_equal(sums(encoder, record), sums(encoder, backwards))


@given(st.lists(json_values, min_size=1, max_size=6))
def test_batches_and_caches_do_not_show(records):
    one = vsa.JSONEncoder(DIM, seed=5)
    together = one.encode(records)
    fresh = np.stack([vsa.JSONEncoder(DIM, seed=5).encode_one(record) for record in records])
    again = np.stack([one.encode_one(record) for record in reversed(records)])[::-1]
    assert together.tobytes() == fresh.tobytes() == again.tobytes()


def test_a_table_too_small_for_one_record_gives_the_same_bits():
    record = {f"k{i}": [f"word{i} w{i % 7}", i, i / 3] for i in range(3000)}
    small = vsa.JSONEncoder(DIM, seed=5, cache_bytes=0)
    large = vsa.JSONEncoder(DIM, seed=5)
    others = [{"x": f"filler {i}"} for i in range(5000)]
    small.encode(others)
    assert small.encode([{"a": 1}, record, {"b": 2}]).tobytes() == large.encode([{"a": 1}, record, {"b": 2}]).tobytes()


def test_a_table_that_fills_up_at_the_first_leaf_of_a_record_gives_the_same_bits():
    records = [{"a": i % 4500, "b": i % 3} for i in range(9100)]
    small = vsa.JSONEncoder(DIM, seed=5, cache_bytes=0)
    assert small.encode(records).tobytes() == vsa.JSONEncoder(DIM, seed=5).encode(records).tobytes()


def test_thousands_of_equal_leaves_stay_exact():
    record = ["the same words"] * 20_000
    encoder = vsa.JSONEncoder(DIM, seed=5, arrays="bag")
    np.testing.assert_array_equal(sums(encoder, record)[0], 20_000 * sums(encoder, ["the same words"])[0])


@given(json_values, json_values)
@settings(max_examples=300)
def test_distinct_records_get_distinct_vectors(encoder, one, two):
    same = json.dumps(canonical(one), sort_keys=True) == json.dumps(canonical(two), sort_keys=True)
    assert (sums(encoder, one) == sums(encoder, two)).all() == same


def canonical(value: object) -> object:
    """JSON with 1.0 and 1, and 0.0 and -0.0, as one."""
    if isinstance(value, dict):
        return {key: canonical(member) for key, member in value.items()}
    if isinstance(value, list):
        return [canonical(member) for member in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**64:
        return int(value)
    return value


ALIKE = [None, True, False, 0, 1, "", "0", "1", "null", "true", "false", {}, [], "{}", "[]", [None], [[]], {"": ""}]


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"a": v}, lambda v: [v], lambda v: {"a": {"b": [v]}}])
def test_values_that_look_alike_differ(wrap):
    encoder = vsa.JSONEncoder(1024, seed=5)
    X = encoder.encode([wrap(value) for value in ALIKE] + [{"z": 1}])
    cosines = X @ X.T - np.eye(len(X))
    assert cosines.max() < 0.97


def test_missing_differs_from_null_and_nesting_from_its_reverse():
    encoder = vsa.JSONEncoder(1024, seed=5)
    X = encoder.encode([{"a": {"b": "x y"}}, {"b": {"a": "x y"}}, {"a": {"b": "x y"}, "c": None}, {"ab": "x y"}])
    assert (X @ X.T - np.eye(4)).max() < 0.999


def test_arrays_share_members_anywhere_and_more_in_place():
    encoder = vsa.JSONEncoder(4096, seed=5, shares=vsa.Shares(anywhere=0))
    X = encoder.encode([["red", "green", "blue"], ["red", "blue", "green"], ["blue", "red", "green"], ["one", "two"]])
    one_in_place, none_in_place, nothing = X[0] @ X[1], X[0] @ X[2], X[0] @ X[3]
    assert 1 > one_in_place > none_in_place + 0.03 > nothing + 0.2
    bag = vsa.JSONEncoder(1024, seed=5, arrays="bag").encode([["a", "b"], ["b", "a"]])
    np.testing.assert_array_equal(bag[0], bag[1])


@pytest.mark.parametrize("dim", [1, 7, 1000, 1024])
def test_rows_are_unit_float32(dim):
    X = vsa.JSONEncoder(dim, seed=5).encode([{"a": 1}, {}, "x"])
    assert X.shape == (3, dim)
    assert X.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)


def test_no_records_give_no_rows(encoder):
    assert encoder.encode([]).shape == (0, DIM)
    assert encoder.encode_jsonl(b"").shape == (0, DIM)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"a": float("nan")}, "record 1: nan is not JSON, at a"),
        ({"a": [1, float("-inf")]}, r"record 1: -inf is not JSON, at a\[\]"),
        ({"a": (1, 2)}, "record 1: tuple is not JSON, at a"),
        ({"a": {1: 2}}, "record 1: keys must be str, got int 1 at a"),
        ({"a": "\ud800"}, "record 1: a string with a lone surrogate, at a"),
        ({"\ud800": 1}, "record 1: a key with a lone surrogate, at the root"),
        ({"a": 10**400}, "record 1: an integer too large for a float at a"),
        ({"a": np.zeros(2)}, "record 1: ndarray is not JSON, at a"),
        ({"a": np.float32("nan")}, "record 1: nan is not JSON, at a"),
    ],
)
def test_what_is_not_json_is_named_with_its_place(encoder, record, words):
    with pytest.raises(vsa.InvalidRecordError, match=words) as caught:
        encoder.encode([{}, record])
    assert caught.value.record == 1
    assert encoder.encode([{"a": 1}]).tobytes() == vsa.JSONEncoder(DIM, seed=5).encode([{"a": 1}]).tobytes()


def test_subclasses_of_json_types_are_what_they_inherit(encoder):
    odd = {"a": np.float64(1.5), "b": np.str_("x"), "c": HTTPStatus.OK}
    assert encoder.encode_one(odd).tobytes() == encoder.encode_one({"a": 1.5, "b": "x", "c": 200}).tobytes()
    with pytest.raises(vsa.InvalidRecordError, match="nan is not JSON"):
        encoder.encode_one({"a": np.float64("nan")})


def test_limits_are_named():
    encoder = vsa.JSONEncoder(DIM, limits=vsa.Limits(depth=3, string=10, leaves=5))
    encoder.encode([[[["x" * 10]]], [1] * 5])
    for record, words in [
        ([[[[1]]]], "deeper than 3 levels .limits.depth. at "),
        ("x" * 11, "a string of 11 characters, above 10 .limits.string., at the root"),
        ({"x" * 11: 1}, "a key of 11 characters"),
        ([1] * 6, "more than 5 leaves .limits.leaves."),
    ]:
        with pytest.raises(vsa.LimitError, match=words):
            encoder.encode([record])


def test_a_hundred_thousand_levels_are_refused_not_survived_by_luck(encoder):
    record: object = 1
    for _ in range(100_000):
        record = [record]
    with pytest.raises(vsa.LimitError, match="nested deeper than 256 levels"):
        encoder.encode([record])


def test_a_single_record_for_many_is_refused(encoder):
    with pytest.raises(TypeError, match="use encode_one"):
        encoder.encode({"a": 1})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dim": 0}, "dim must be a positive integer"),
        ({"dim": 2**21}, "dim can be 1,048,576 at most"),
        ({"seed": 2**63}, "seed must be"),
        ({"arrays": "set"}, 'arrays must be one of "bag", "sequence", "both"'),
        ({"binding": "xor"}, "binding must be one of"),
        ({"cache_bytes": -1}, "cache_bytes"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        vsa.JSONEncoder(**options)


def test_another_process_gives_the_same_bytes():
    program = (
        "import vsa, sys, json; "
        "sys.stdout.write(vsa.JSONEncoder(64, seed=5).encode(json.loads(sys.argv[1])).tobytes().hex())"
    )
    records = [{"title": "Norham Castle, Sunrise", "year": 1845, "tags": ["a", None, {}], "ok": True}, "東京"]
    run = subprocess.run(
        [sys.executable, "-c", program, json.dumps(records)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77", "PATH": "/usr/bin"},
    )
    assert run.stdout == vsa.JSONEncoder(64, seed=5).encode(records).tobytes().hex()


def test_weights_scale_fields_at_query_time(encoder):
    record = {"title": "red sea", "price": 10, "tags": [{"name": "x"}, {"name": "y"}]}
    parts = {key: sums(encoder, {key: value})[0] for key, value in record.items()}
    weighted = encoder.encode([record], weights={"title": 3, "price": 0, "tags[].name": 0.5}, normalize=False)[0]
    np.testing.assert_allclose(weighted, 3 * parts["title"] + 0.5 * parts["tags"])
    only = encoder.encode_one(record, weights={"": 0, "title": 1})
    np.testing.assert_allclose(only, encoder.encode_one({"title": "red sea"}), atol=1e-6)


def test_bad_weights_are_named(encoder):
    for weights, error, words in [
        ({"a..b": 1}, ValueError, "not a path"),
        ({"a": -1}, ValueError, "at least 0"),
        ({"a": "high"}, TypeError, "must be a number"),
        ({"a[0]": 1}, ValueError, "write \\[\\]"),
        ({"a": 0}, ValueError, "record 0 has no leaf of a weight above 0"),
    ]:
        with pytest.raises(error, match=words):
            encoder.encode([{"a": "x"}], weights=weights)
