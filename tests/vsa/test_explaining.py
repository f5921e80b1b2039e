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


RECORD = {
    "title": "sunset over the red red sea", "tags": ["red", "red", 3, 0.25], "when": "2020-01-31", "year": 1845,
    "at": [{"lat": 51.5, "lon": -0.1}], "gone": None,
}  # fmt: skip


@given(objects, json_values)
@settings(max_examples=50)
@pytest.mark.parametrize("binding", ["permutation", "hadamard"])
@pytest.mark.parametrize("fitted", [False, True])
def test_tokens_sum_to_their_paths_and_these_to_the_cosine(binding, fitted, query, record):
    encoder = vsa.JSONEncoder(64, seed=5, binding=binding)
    if fitted:
        encoder.fit([RECORD, {"year": 1900, "tags": [7]}])
    for asked, found in [(query, record), (query, RECORD), (RECORD, 2.5 * encoder.encode_one(record))]:
        parts = encoder.explain(asked, found, tokens=True)
        paths: dict[str, float] = {}
        for path, _, part in parts:
            paths[path] = paths.get(path, 0.0) + part
        assert paths == pytest.approx(dict(encoder.explain(asked, found)), abs=1e-6)
        x, y = encoder.encode_one(asked), found if isinstance(found, np.ndarray) else encoder.encode_one(found)
        assert sum(paths.values()) == pytest.approx(float(x @ y) / float(np.linalg.norm(y)), abs=1e-6)
        assert [part for _, _, part in parts] == sorted((part for _, _, part in parts), reverse=True)


def test_tokens_are_what_matches():
    encoder = vsa.JSONEncoder(4096, seed=5, fields={"year": vsa.fields.Year()})
    near = {"title": "red sun", "year": 1846, "when": "2020-02-01", "at": [{"lat": 51.5, "lon": -0.1}], "tags": [3.5]}
    parts = {(path, token): part for path, token, part in encoder.explain(near, RECORD, tokens=True)}
    for there in ("word red", "n-grams red"):
        assert parts["title", there] > 3 * max(parts["title", there.replace("red", "sea")], 0.003)
    # A word of the query counts at other paths by what is bound to nothing.
    assert parts["title", "word red"] > parts["tags[]", "word red"] > 0
    for path, token in [("year", "field year"), ("when", "within 8 days")]:
        assert parts[path, token] > 0.005
    assert ("year", "level 1") not in parts
    # Rows are rounded below arrays alone; in a thousandth of a token.
    assert {path for path, token in parts if token == "rounding"} <= {"tags[]", "at[].lat", "at[].lon"}
    assert max([abs(part) for (_, token), part in parts.items() if token == "rounding"], default=0.0) < 1e-3


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
