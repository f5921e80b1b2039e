from __future__ import annotations

import collections
import random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import json_values

import vsa
from vsa.leaves import Arrays, Walker
from vsa.limits import Limits
from vsa.paths import format_path

bounds = st.tuples(st.integers(1, 12), st.integers(1, 8), st.integers(1, 6)).map(
    lambda t: {"max_items": t[0] + t[2], "max_per_path": t[1], "max_paths": t[2]}
)
# Few keys and values, so that places fill up and overflow.
small = st.dictionaries(st.sampled_from("abcdefgh"), st.one_of(st.integers(0, 30), st.lists(st.integers(0, 9))))


@given(st.lists(st.one_of(small, json_values), max_size=40), bounds, st.randoms(use_true_random=False), st.integers(0))
@settings(max_examples=200)
def test_order_batches_and_merging_do_not_show_and_the_bounds_hold(records, limits, shuffle, cut):
    whole = vsa.ItemMemory(**limits).learn(records)
    assert len(whole) <= limits["max_items"]
    assert len(whole.paths()) <= limits["max_paths"]
    assert all(len(whole.items(path)) <= limits["max_per_path"] for path in whole.paths())
    mixed = list(records)
    shuffle.shuffle(mixed)
    one_by_one = vsa.ItemMemory(**limits)
    for record in mixed:
        one_by_one.learn([record])
    assert one_by_one == whole
    cut %= len(records) + 1
    halves = [vsa.ItemMemory(**limits).learn(part) for part in (mixed[:cut], mixed[cut:])]
    assert halves[0].merge(halves[1]) == whole == halves[1].merge(halves[0])
    assert vsa.ItemMemory.from_bytes(whole.to_bytes()) == whole


@given(st.lists(json_values, max_size=10))
def test_within_the_bounds_every_value_is_counted(records):
    """Against a count by the walk alone: type and value tell values apart, and 1 is 1.0."""
    expected: collections.Counter[Any] = collections.Counter()

    def see(node: Any, key: Any, value: Any) -> int:
        expected[format_path(node.path), _form(value)] += 1
        return 0

    walker = Walker(Arrays.BAG, Limits(), see)
    for record in records:
        walker.walk(record, [])
    memory = vsa.ItemMemory().learn(records)
    found = {(path, _form(value)): n for path in memory.paths() for value, n in memory.items(path)}
    assert found == dict(expected)


def _form(value: Any) -> str:
    return repr(float(value) + 0.0) if type(value) in (int, float) and float(value) == value else repr(value)


def test_frequent_values_outlive_rare_ones_and_come_first():
    rng = random.Random(1)
    records = [{"kind": rng.choice("xyz"), "id": f"n{i}"} for i in range(5000)]
    memory = vsa.ItemMemory(max_items=200, max_per_path=100, max_paths=10).learn(records)
    assert {value for value, _ in memory.items("kind")} == set("xyz")
    assert sum(count for _, count in memory.items("kind")) == 5000
    assert 0 < len(memory.items("id")) <= 100
    crowd = [{"v": f"common{i % 40 // 2}" if i % 2 else f"rare{i}", "i": i} for i in range(4000)]
    kept = vsa.ItemMemory(max_items=200, max_per_path=100, max_paths=10).learn(crowd).items("v")
    # Each of the 20 has 100 records; at 1 in 32 one is missed with probability (31/32)**100 = .04, fixed by the hash.
    assert sum(value.startswith("common") for value, _ in kept) >= 17
    assert [count for _, count in kept] == sorted((count for _, count in kept), reverse=True)


def test_long_strings_are_counted_and_not_kept():
    memory = vsa.ItemMemory(max_length=5).learn([{"a": "short"}, {"a": "longer"}])
    assert memory.items("a") == [("short", 1)]
    place = memory.place("a")
    assert place is not None
    assert (place.sampled(), place.total(), place.records) == (2, 2, 2)


def test_learning_while_encoding_changes_no_vector_and_no_name():
    records = [{"town": name, "n": i} for i, name in enumerate(["Bath", "Leeds", "Bath"])]
    plain, learner = vsa.JSONEncoder(64, seed=5), vsa.JSONEncoder(64, seed=5, memory=True)
    assert learner.encode(records).tobytes() == plain.encode(records).tobytes()
    assert learner.name == plain.name
    assert learner.to_bytes() == plain.to_bytes()
    assert learner.memory is not None
    assert learner.memory.items("town") == [("Bath", 2), ("Leeds", 1)]
    learner.encode_jsonl(b"\n".join(map(orjson.dumps, records)))
    assert learner.memory.items("town") == [("Bath", 4), ("Leeds", 2)]
    before = learner.memory.to_bytes()
    x = learner.encode_one({"town": "Hull"})
    learner.encode([{"town": "Hull"}], weights={"town": 2})
    learner.explain({"town": "Hull"}, {"town": "York"})
    learner.delta(added={"town": "Hull"})
    learner.decode(x, "town", ["Hull", "York"])
    with pytest.raises(vsa.InvalidRecordError):
        learner.encode([{"town": "Hull"}, {"town": float("nan")}])
    assert learner.memory.to_bytes() == before


def test_saved_beside_the_encoder_and_back(tmp_path):
    encoder = vsa.JSONEncoder(64, seed=5, memory=vsa.ItemMemory(max_per_path=10))
    encoder.encode([{"a": [1, 2.5, "x", None, True, {}, [], ""], "b": 2**64 - 1, "c": -(2**63)}])
    assert encoder.memory is not None
    encoder.save(tmp_path / "encoder.json")
    encoder.memory.save(tmp_path / "encoder.memory")
    back = vsa.JSONEncoder.load(tmp_path / "encoder.json", memory=vsa.ItemMemory.load(tmp_path / "encoder.memory"))
    assert back.memory == encoder.memory
    assert back.name == encoder.name
    kept = back.memory.items("a[]")
    assert sorted(map(repr, kept)) == sorted(map(repr, encoder.memory.items("a[]")))
    assert len(kept) == 8
    back.encode([{"a": [1, 2.5, "x", None, True, {}, [], ""]}])
    assert {count for _, count in back.memory.items("a[]")} == {2}


def test_damaged_and_foreign_memories_are_refused():
    data = vsa.ItemMemory().learn([{"a": i} for i in range(50)]).to_bytes()
    newer = orjson.dumps({**orjson.loads(data), "format": 99})
    with pytest.raises(vsa.NewerFormatError, match=r"the memory has format 99"):
        vsa.ItemMemory.from_bytes(newer)
    for damaged, words in [
        (data[:-9], "not a saved memory, or a damaged one"),
        (vsa.JSONEncoder(64).to_bytes(), "not a saved memory: expected"),
        (data.replace(b'"records":50', b'"records":51'), "checksum does not match"),
    ]:
        with pytest.raises(vsa.EncoderStateError, match=words):
            vsa.ItemMemory.from_bytes(damaged)
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 200).tolist():
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        try:
            back = vsa.ItemMemory.from_bytes(bytes(changed))
        except vsa.EncoderStateError:
            continue
        assert back.to_bytes() == data


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="max_items must be a positive integer, got 0"):
        vsa.ItemMemory(max_items=0)
    with pytest.raises(ValueError, match="max_paths must be at most max_items"):
        vsa.ItemMemory(max_items=10)
    with pytest.raises(TypeError, match=r"memory must be a vsa.ItemMemory, True or False, got int"):
        vsa.JSONEncoder(64, memory=5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be merged"):
        vsa.ItemMemory().merge(vsa.ItemMemory(max_items=5000))
    with pytest.raises(vsa.InvalidRecordError, match="record 1: "):
        vsa.ItemMemory().learn([{}, {"a": {1}}])
