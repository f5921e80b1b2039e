from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import objects

import vsa
from vsa.fitting import count
from vsa.limits import Limits
from vsa.statistics import Counts, Statistics, rarity
from vsa.times import days
from vsa.tokens import grams, words

RECORDS = [
    {"title": f"the {word} sea", "year": 1900 + i, "tags": [{"name": "art"}, {"name": word}], "same": "constant"}
    for i, word in enumerate(["red", "blue", "red", "green", "green", "red"])
]


def frequency(statistics: Statistics, token: bytes) -> int:
    return int(statistics.tokens.of([token])[0])


def test_document_frequencies_equal_counting_by_hand():
    found = count(RECORDS, Limits())
    assert found.records == 6
    for token, expected in {
        b"wthe": 6, b"wred": 3, b"wblue": 1, b"wart": 6, b"wabsent": 0, b"gsea": 6, b"g<re": 3, b"gree": 2,
        b"xconstant": 6, b"xthe red sea": 3, b"pyear\0n1900": 1, b"w1900": 1,
    }.items():  # fmt: skip
        assert frequency(found, token) == expected, token


@given(st.lists(objects, min_size=1, max_size=8))
@settings(max_examples=40)
def test_words_and_grams_are_counted_once_a_record(records):
    found = count(records, Limits())
    expected: dict[bytes, int] = {}
    for record in records:
        seen = {word for text in strings(record) if days(text) is None for word in words(text)}
        names = {b"w" + w.encode() for w in seen} | {b"g" + g.encode() for w in seen for g in grams(w)}
        for name in names:
            expected[name] = expected.get(name, 0) + 1
    for name, times in expected.items():
        # Dates have levels in the place of words. Numbers add their digits; collisions in the sketch only ever add.
        assert frequency(found, name) >= times


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for member in members for text in strings(member)]


@given(st.lists(objects, min_size=2, max_size=8), st.integers(1, 7))
@settings(max_examples=30)
def test_halves_merge_to_the_whole(records, cut):
    cut = min(cut, len(records) - 1)
    whole = vsa.JSONEncoder(64, seed=1).fit(records)
    parts = vsa.JSONEncoder(64, seed=1).fit(records[cut:]).partial_fit(records[:cut])
    assert parts.to_bytes() == whole.to_bytes()
    assert parts.name == whole.name
    assert parts.encode(records).tobytes() == whole.encode(records).tobytes()


def test_scales_are_robust():
    values = np.random.default_rng(0).normal(1000, 10, 5000)
    records = [{"x": float(v)} for v in values] + [{"x": 1e12}] * 50
    scale = count(records, Limits()).scales()["x"]
    assert scale.centre == pytest.approx(1000, abs=1)
    assert scale.scale == pytest.approx(10, rel=0.1)
    assert scale.spread > 0.99
    assert count([{"x": 5}] * 10, Limits()).scales()["x"].spread == 0


def test_constants_fade_and_rare_values_stand_out():
    encoder = vsa.JSONEncoder(1024, seed=1).fit(RECORDS * 50)
    same, red, blue = (
        (encoder.encode([record], normalize=False) ** 2).sum() ** 0.5
        for record in ({"same": "constant"}, {"tag": "red"}, {"tag": "blue"})
    )
    assert same < blue / 2
    assert same < red < blue


def test_rarity_runs_from_one_to_nothing():
    values = rarity(np.array([0, 1, 10, 1000]), 1000)
    assert values[0] == pytest.approx(1)
    assert values == sorted(values, reverse=True)
    assert 0 < values[-1] < 0.1


def test_sketch_never_counts_too_little():
    sketch = Counts()
    names = [b"t%d" % i for i in range(50_000)]
    sketch.add(Counts.buckets(names), np.ones(len(names), np.int64))
    found = sketch.of(names)
    assert found.min() == 1
    # A name is counted too high where both its counters are shared: (1 - exp(-50,000/2**19))² = 0.8 %.
    assert (found > 1).mean() < 0.015


def test_fitting_nothing_or_not_json_is_refused_and_forgets_nothing():
    encoder = vsa.JSONEncoder(64, seed=1).fit(RECORDS)
    before = encoder.to_bytes()
    with pytest.raises(ValueError, match="no records to learn from"):
        encoder.fit([])
    with pytest.raises(vsa.InvalidRecordError, match="record 1002: nan is not JSON, at a"):
        encoder.fit([{"a": 1}] * 1002 + [{"a": float("nan")}])
    assert encoder.to_bytes() == before
