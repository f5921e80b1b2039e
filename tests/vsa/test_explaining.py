from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import json_values, objects

import vsa


@given(objects, json_values)
@settings(max_examples=100)
def test_contributions_sum_to_the_cosine(query, record):
    encoder = vsa.JSONEncoder(64, seed=5)
    parts = encoder.explain(query, record)
    cosine = float(encoder.encode_one(query) @ encoder.encode_one(record))
    assert sum(part for _, part in parts) == pytest.approx(cosine, abs=1e-6)
    assert [part for _, part in parts] == sorted((part for _, part in parts), reverse=True)


def test_the_path_that_matches_comes_first():
    encoder = vsa.JSONEncoder(1024, seed=5)
    record = {"title": "sunset over the sea", "price": 12, "makers": [{"name": "Turner"}, {"name": "Constable"}]}
    assert encoder.explain({"title": "sunset"}, record)[0][0] == "title"
    assert encoder.explain({"makers": [{"name": "Constable"}]}, record)[0][0] == "makers[].name"
    from_vector = encoder.explain(3 * encoder.encode_one({"title": "sunset"}), record)
    assert dict(from_vector) == pytest.approx(dict(encoder.explain({"title": "sunset"}, record)), abs=1e-6)


def test_explaining_a_record_larger_than_the_table():
    encoder = vsa.JSONEncoder(16, seed=5, cache_bytes=0)
    record = {f"k{i}": i for i in range(5000)}
    parts = encoder.explain(record, record)
    assert len(parts) == 5000
    assert sum(part for _, part in parts) == pytest.approx(1, abs=1e-6)


def test_bad_queries_are_named():
    encoder = vsa.JSONEncoder(16, seed=5)
    with pytest.raises(ValueError, match=r"expected a query of shape \(16,\), got \(8,\)"):
        encoder.explain(np.ones(8), {"a": 1})
    with pytest.raises(ValueError, match="zero or not finite"):
        encoder.explain(np.zeros(16), {"a": 1})


@given(objects, json_values)
@settings(max_examples=50)
def test_a_stored_vector_is_explained_by_the_paths_of_the_query(query, record):
    encoder = vsa.JSONEncoder(64, seed=5)
    x = encoder.encode_one(record)
    parts = encoder.explain(query, 2.5 * x)
    assert {path for path, _ in parts} == {path for path, _ in encoder.explain(x, query)}
    assert sum(part for _, part in parts) == pytest.approx(float(encoder.encode_one(query) @ x), abs=1e-6)


def test_two_vectors_cannot_be_explained():
    with pytest.raises(ValueError, match="give one of them as its record"):
        vsa.JSONEncoder(16).explain(np.ones(16), np.ones(16))
