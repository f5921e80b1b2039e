"""The walk against a recursion: which leaves come, under which paths and places, and what is refused at which count."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import json_values

import vsa
from vsa.leaves import EMPTY_ARRAY, EMPTY_OBJECT, FALSE, POSITIONS, TRUE, Arrays, Claimed, Node, Walker
from vsa.limits import Limits

Leaf = tuple[tuple[Any, ...], tuple[Any, ...], Any, Any]


class Recorder:
    """Remembers each leaf under a new row, as the encoder does, and what it was called with."""

    def __init__(self, arrays: str = "both", fields: Any = None, **limits: int) -> None:
        self.leaves: list[Leaf] = []
        self.walker = Walker(Arrays(arrays), Limits(**limits), self.miss, fields)

    def miss(self, node: Node, key: Any, value: Any) -> int:
        assert key not in node.leaves
        node.leaves[key] = len(self.leaves)
        self.leaves.append((node.path, node.place, key, value))
        return node.leaves[key]

    def walk(self, record: Any) -> list[Leaf]:
        rows: list[int] = []
        self.walker.walk(record, rows)
        return [self.leaves[row] for row in rows]


def recursion(value: Any, arrays: str, path: tuple[Any, ...] = (), place: tuple[Any, ...] = ()) -> list[Leaf]:
    """Leaves by the definition, one after the other."""
    if isinstance(value, dict) and value:
        return [leaf for k, v in value.items() for leaf in recursion(v, arrays, (*path, k), (*place, k))]
    if isinstance(value, list) and value:
        inner, found = (*path, None), []
        for number, member in enumerate(value):
            numbered = arrays == "sequence" or (arrays == "both" and number < 64)
            found += recursion(member, arrays, inner, (*place, number) if numbered else inner)
        return found
    key: Any = value
    if value is True or value is False:
        key = (1,) if value else (0,)
    elif isinstance(value, dict | list):
        key = ("{}",) if isinstance(value, dict) else ("[]",)
    return [(path, place, key, value)]


def ordered(leaves: list[Leaf]) -> list[str]:
    # Of 0.0 and -0.0, and of 1 and 1.0, the one met first stands for both.
    return sorted(
        repr((path, place, key + 0 if isinstance(key, float | int) else key)) for path, place, key, _ in leaves
    )


def whole(value: Any) -> Any:
    """Floats that are whole numbers as integers, so that equal keys are written alike."""
    if isinstance(value, dict):
        return {key: whole(member) for key, member in value.items()}
    if isinstance(value, list):
        return [whole(member) for member in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**64:
        return int(value)
    return value


@pytest.mark.parametrize("arrays", ["both", "bag", "sequence"])
@pytest.mark.parametrize("count", [POSITIONS - 1, POSITIONS, POSITIONS + 1, POSITIONS + 9])
def test_members_keep_their_number_up_to_the_64th(arrays: str, count: int) -> None:
    recorder = Recorder(arrays)
    record = {"a": [{"b": n} for n in range(count)]}
    recorder.walk({"a": [{"b": 0}, {"b": 0}]})  # a shorter array first: nodes are added to those that are there
    leaves = recorder.walk(record)
    assert ordered(leaves) == ordered(recursion(record, arrays))
    numbered = {leaf[1] for leaf in leaves if leaf[1] != leaf[0]}
    assert len(numbered) == {"both": min(count, 64), "bag": 0, "sequence": count}[arrays]


def test_the_last_levels_are_walked_too() -> None:
    record = {"a": [1, {"b": {"c": [2, {}, "x"]}}, []], "d": {"e": None}}
    assert len(Recorder().walk(record)) == 6


@pytest.mark.parametrize("arrays", ["both", "bag", "sequence"])
def test_nodes_are_counted(arrays: str) -> None:
    recorder = Recorder(arrays)
    assert recorder.walker.nodes == 1
    for record in ({"a": 1, "b": {"c": 2}}, {"b": {"c": 3, "d": None}}, {"b": {"c": 4}, "e": [1, 2, 3]}):
        recorder.walk(record)
    # The root, a, b, c, d, e; and the three members where they have numbers.
    assert recorder.walker.nodes == 6 + (0 if arrays == "bag" else 3)
    recorder.walk({"e": [1, 2, 3, 4, 5]})
    assert recorder.walker.nodes == 6 + (0 if arrays == "bag" else 5)


def test_a_value_met_before_is_not_missed_again() -> None:
    recorder = Recorder()
    record = {"a": 1, "b": [True, {}, [], 10**30, None, "x"], "c": {"d": 1.5}}
    first = recorder.walk(record)
    assert recorder.walk(record) == first
    assert len(recorder.leaves) == len(first) == 8


def test_keys_of_values_that_python_takes_for_equal_differ() -> None:
    leaves = Recorder("bag").walk([True, 1, False, 0, {}, [], "", None, "{}", "[]"])
    assert [(key, value) for _, _, key, value in leaves] == [
        (TRUE, True), (1, 1), (FALSE, False), (0, 0), (EMPTY_OBJECT, {}), (EMPTY_ARRAY, []), ("", ""), (None, None),
        ("{}", "{}"), ("[]", "[]"),
    ]  # fmt: skip
    assert len({TRUE, FALSE, EMPTY_OBJECT, EMPTY_ARRAY, 0, 1, "", None}) == 8


def test_scalars_of_other_libraries_and_subclasses_become_what_they_stand_for() -> None:
    class Name(str):
        pass

    leaves = Recorder("bag").walk([np.float32(0.1), np.int8(3), np.bool_(True), Name("x"), HTTPStatus.OK])
    values = [value for _, _, _, value in leaves]
    assert values == [0.1, 3, True, "x", 200]
    assert [type(value) for value in values] == [float, int, bool, str, int]


@pytest.mark.parametrize("whole_number", [2**64 - 1, -(2**64) + 1])
def test_integers_within_64_bits_stay_integers(whole_number: int) -> None:
    ((_, _, key, value),) = Recorder().walk(whole_number)
    assert (type(key), type(value), key) == (int, int, whole_number)


@pytest.mark.parametrize("large", [2**64, -(2**64), 10**300])
def test_larger_integers_become_the_floats_that_parsers_make_of_them(large: int) -> None:
    for record in (large, {"a": large}):
        ((_, _, key, value),) = Recorder().walk(record)
        assert (type(key), type(value), key) == (float, float, float(large))


@pytest.mark.parametrize("record", ["x" * 6, ["x" * 6], {"a": "x" * 6}, {"x" * 6: 1}, {"a": {"x" * 6: 1}}])
def test_strings_and_keys_may_have_as_many_characters_as_the_limit_and_no_more(record: Any) -> None:
    Recorder(string=6).walk(record)
    with pytest.raises(vsa.LimitError, match=r"of 6 characters, above 5 \(limits.string\)"):
        Recorder(string=5).walk(record)


def nested(levels: int, kind: type) -> Any:
    record: Any = 1
    for _ in range(levels):
        record = {"a": record} if kind is dict else [record]
    return record


@pytest.mark.parametrize("kind", [dict, list])
def test_nesting_may_reach_the_limit_and_no_more(kind: type) -> None:
    Recorder(depth=3).walk(nested(3, kind))
    with pytest.raises(vsa.LimitError, match=r"nested deeper than 3 levels \(limits.depth\) at (a.a.a|\[\]\[\]\[\])$"):
        Recorder(depth=3).walk(nested(4, kind))
    # One branch that is too deep, beside others that are not.
    with pytest.raises(vsa.LimitError, match="deeper than 3"):
        Recorder(depth=3).walk({"a": 1, "b": [nested(2, dict)], "c": {"d": 2}})


@pytest.mark.parametrize(
    "record",
    [
        [1] * 6,
        {"a": 1, "b": [2, 3], "c": {"d": {"e": [4, {}]}, "f": []}},
        [[1, 2, 3], [4, 5, 6]],
        [[[1]], [[2]], [[3]], [[4]], [[5]], [[6]]],
        {"a": [[], [], []], "b": [{}, {}, {}]},
        [1, 2, [3, 4], [5, 6]],
        [{"a": 1, "b": 2, "c": [3, 4]}, 5, 6],
    ],
)
def test_leaves_may_be_as_many_as_the_limit_and_no_more(record: Any) -> None:
    assert len(recursion(record, "both")) == 6
    for arrays in ("both", "bag", "sequence"):
        assert len(Recorder(arrays, leaves=6).walk(record)) == 6
        with pytest.raises(vsa.LimitError, match=r"more than 5 leaves \(limits.leaves\)"):
            Recorder(arrays, leaves=5).walk(record)


@pytest.mark.parametrize("record", [[1, 2, 3, 4], {"a": [1], "b": [2], "c": [3], "d": {"e": 4}}])
def test_nothing_of_a_container_with_too_many_members_is_walked(record: Any) -> None:
    recorder = Recorder(leaves=3)
    with pytest.raises(vsa.LimitError):
        recorder.walk(record)
    assert recorder.leaves == []
    assert recorder.walker.nodes == 1


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (math.nan, "nan is not JSON, at the root"),
        ([1, math.inf], r"inf is not JSON, at \[\]"),
        ({"a": {"b": -math.inf}}, "-inf is not JSON, at a.b"),
        ({"a": b"x"}, "bytes is not JSON, at a; expected dict, list, str, int, float, bool or None"),
        ({"a": {2: 1}}, "keys must be str, got int 2 at a"),
        ({"b": 1, None: 2}, "keys must be str, got NoneType None at the root"),
        ({"a": ["\udc00"]}, r"a string with a lone surrogate, at a\[\]"),
        ({"a": {"é\ud800": 1}}, "a key with a lone surrogate, at a"),
        ({"a": -(10**400)}, "an integer too large for a float at a"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(record: Any, words: str) -> None:
    with pytest.raises(vsa.InvalidRecordError, match=f"^{words}$"):
        Recorder().walk(record)


def test_long_paths_are_cut_in_messages() -> None:
    for length, shown in [(100, "k" * 100), (101, "k" * 60 + "…" + "k" * 30)]:
        with pytest.raises(vsa.InvalidRecordError, match=f"^nan is not JSON, at {shown}$"):
            Recorder().walk({"k" * length: math.nan})


def test_a_key_that_was_refused_leaves_the_walker_as_it_was() -> None:
    recorder = Recorder()
    with pytest.raises(vsa.InvalidRecordError):
        recorder.walk({"good": 1, 3: 2, "later": 3})
    assert recorder.walker.nodes == 2
    assert ordered(recorder.walk({"good": 1, "later": 3})) == ordered(recursion({"good": 1, "later": 3}, "both"))
    assert recorder.walker.nodes == 3


class Pair(vsa.fields.Year):
    """Reads any container of two members whole."""

    def read(self, value: Any) -> Any:
        return tuple(value) if isinstance(value, dict | list) and len(value) == 2 else None


@pytest.mark.parametrize("path", [(), ("a",), ("a", None)])
def test_a_field_takes_containers_whole_and_leaves_others_to_the_walk(path: tuple[Any, ...]) -> None:
    recorder = Recorder("both", {path: Pair()}, leaves=3)

    def at(value: Any) -> Any:
        for step in reversed(path):
            value = [value] if step is None else {step: value}
        return value

    for _ in range(2):
        ((where, _, key, value),) = recorder.walk(at([7, 8]))
        assert (where, key, value) == (path, Claimed((7, 8)), Claimed((7, 8)))
        assert len(recorder.walk(at([7, 8, 9]))) == 3
    assert len(recorder.leaves) == 4


def test_containers_that_a_field_takes_cost_one_leaf_each() -> None:
    record = {"a": [[1, 2], [3, 4]], "b": 5}
    assert len(Recorder("both", {("a", None): Pair()}, leaves=3).walk(record)) == 3
    with pytest.raises(vsa.LimitError):
        Recorder("both", {("a", None): Pair()}, leaves=2).walk(record)


def test_arrays_are_one_of_three_words() -> None:
    assert [Arrays(word).value for word in ("bag", "sequence", "both")] == ["bag", "sequence", "both"]
    assert issubclass(Arrays, str)


@given(st.lists(json_values, min_size=1, max_size=4), st.sampled_from(["both", "bag", "sequence"]))
def test_leaves_are_those_of_a_recursion_whatever_was_walked_before(records: list[Any], arrays: str) -> None:
    recorder = Recorder(arrays)
    for record in map(whole, records + records):
        assert ordered(recorder.walk(record)) == ordered(recursion(record, arrays))


@given(json_values)
def test_the_count_of_leaves_is_exact_on_any_value(record: Any) -> None:
    count = len(recursion(record, "both"))
    assert len(Recorder(leaves=count).walk(record)) == count
    if count > 1:
        with pytest.raises(vsa.LimitError, match="leaves"):
            Recorder(leaves=count - 1).walk(record)
