from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from strategies import json_values, texts

import vsa


@given(texts, json_values, json_values)
def test_delta_equals_encoding_again_to_the_bit(key, old, new):
    encoder = vsa.JSONEncoder(64, seed=5)
    rest = {"kept" + key: 1.5}
    before, after = encoder.encode([{**rest, key: old}, {**rest, key: new}], normalize=False)
    change = encoder.delta(removed={key: old}, added={key: new})
    np.testing.assert_array_equal(before + change, after)
    whole, bare = encoder.encode([{**rest, key: new}, rest], normalize=False)
    np.testing.assert_array_equal(bare + encoder.delta(added={key: new}), whole)
    np.testing.assert_array_equal(whole + encoder.delta(removed={key: new}), bare)


RECORD = {
    "title": "Norham Castle",
    "year": 1845,
    "studio": {"country": "France", "open": True},
    "tags": ["red", "green", "blue"],
    "gone": None,
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize(
    ("path", "candidates", "expected"),
    [
        ("title", ["Snow Storm", "Norham Castle", "Sunrise"], "Norham Castle"),
        ("studio.country", ["Spain", "France", "Norham Castle"], "France"),
        ("studio.open", [False, True, None], True),
        ("year", [1700, 1845, 2000], 1845),
        ("gone", [True, {}, None], None),
        ("tags[1]", ["red", "green", "blue"], "green"),
        ("tags[2]", ["red", "green", "blue"], "blue"),
    ],
)
def test_values_come_back_from_their_path(fitted, path, candidates, expected):
    encoder = vsa.JSONEncoder(8192, seed=5)
    if fitted:
        encoder.fit([RECORD, {"title": "other", "year": 1700}, {"studio": {"country": "Spain"}}])
    answers = encoder.decode(encoder.encode_one(RECORD), path, candidates, k=2)
    assert answers[0][0] is expected or answers[0][0] == expected
    assert len(answers) == 2
    # A single member weighs little, so 2 standard deviations of chance rather than 4.
    assert answers[0][1] > 2 / 8192**0.5
    assert answers[0][1] > answers[1][1]


def test_all_members_of_an_array_are_found_and_absent_values_score_about_nothing():
    encoder = vsa.JSONEncoder(8192, seed=5)
    answers = encoder.decode(encoder.encode_one(RECORD), "tags[]", ["red", "cat", "green", "dog", "blue"], k=5)
    assert {value for value, _ in answers[:3]} == {"red", "green", "blue"}
    absent = encoder.decode(encoder.encode_one(RECORD), "nowhere", [f"w{i}" for i in range(200)], k=200)
    # Standard deviation 1/sqrt(8192) = 0.011; the largest of 200 stays below five of them.
    assert max(abs(score) for _, score in absent) < 5 / 8192**0.5


def test_bad_questions_are_named():
    encoder = vsa.JSONEncoder(64, seed=5)
    x = encoder.encode_one(RECORD)
    for arguments, words in [
        ((x, "a..b", ["x"]), "not a path"),
        ((x, "a", []), "no candidates"),
        ((x[:5], "a", ["x"]), r"expected a query of shape \(64,\)"),
        ((x * np.nan, "a", ["x"]), "zero or not finite"),
        ((x, "a", [["x"]]), "candidates are scalars"),
        ((x, "a", [float("inf")]), "inf is not JSON"),
    ]:
        with pytest.raises(ValueError, match=words):
            encoder.decode(*arguments)
