from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import vsa
from vsa.candidates import candidates
from vsa.leaves import Arrays

SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


def made_words(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(SYLLABLES) for _ in range(3))] = None
    return list(found)


def made_records(n: int, fields: int, words: list[str], seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [{f"f{i}": rng.choice(words) for i in range(fields)} for _ in range(n)]


def encoder_with(records: list[Any], dim: int = 512) -> vsa.JSONEncoder:
    encoder = vsa.JSONEncoder(dim, seed=3, memory=True)
    encoder.encode(records)
    return encoder


@pytest.mark.parametrize("shares", [vsa.Shares(), vsa.Shares(1, 2, 0), vsa.Shares(0, 1, 2)])
@pytest.mark.parametrize("binding", ["permutation", "hadamard"])
@pytest.mark.parametrize("path", [("a",), ("a", "b"), ("t", 2), ("t", 70), ("t", 1, "x")])
def test_correlations_are_those_with_the_rows_that_the_encoder_adds(shares, binding, path):
    encoder = vsa.JSONEncoder(256, seed=3, binding=binding, shares=shares)
    values: list[Any] = ["red sea", 12.5, None, "2020-01-31", {}]
    asked = candidates(encoder._ready().maker, shares, Arrays.BOTH, path, values)
    X = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)
    whole, _ = asked.correlate(encoder._ready().maker, X)
    for at, value in enumerate(values):
        record: Any = value
        for step in reversed(path):
            record = {step: record} if isinstance(step, str) else [*([0] * step), record]
        nodes, rows = encoder._ready().leaf_rows(record)
        place = ("t", None) if path == ("t", 70) else path  # beyond the 64th, members have no number
        row = [r for n, r in zip(nodes, rows, strict=True) if n.place == place][-1]
        # Rows are rounded to whole numbers below arrays and with other bindings: half a unit a coordinate.
        np.testing.assert_allclose(whole[:, at], X.astype(float) @ row, atol=0.5 * 256)
        assert asked.energy[at] == pytest.approx(float(row.astype(float) @ row), rel=5e-3)


def test_twenty_fields_among_a_thousand_candidates():
    """About 1 in 500 is wrong at dim 1024: 3 or more of 40 with probability below 1e-4."""
    words = made_words(1000, 0)
    encoder = vsa.JSONEncoder(1024, seed=3)
    records = made_records(40, 20, words, 1)
    X = encoder.encode(records)
    right = sum(encoder.decode(x, "f7", words, k=1)[0].value == r["f7"] for x, r in zip(X, records, strict=True))
    assert right >= 38


def test_a_value_of_another_field_is_not_taken_for_this_ones():
    words = made_words(40, 0)
    encoder = vsa.JSONEncoder(2048, seed=3)
    for record in made_records(20, 8, words, 2):
        found = encoder.decode(encoder.encode_one(record), "f0", words)[0]
        assert found.value == record["f0"]
        absent = encoder.decode(encoder.encode_one(record), "nowhere", list(record.values()))
        assert max(answer.trust for answer in absent) < 0.5


def test_explaining_away_reads_what_one_look_cannot():
    words = made_words(100, 0)
    train, held = made_records(300, 36, words, 3), made_records(25, 36, words, 4)
    encoder = encoder_with(train)
    blind = vsa.JSONEncoder(512, seed=3)
    seen, single, trusted, wrong = 0, 0, 0, 0
    for record in held:
        x = encoder.encode_one(record)
        for path, found in encoder.decode_record(x).items():
            seen += bool(found) and found[0].value == record[path]
            trusted += bool(found) and found[0].trust >= 0.95
            wrong += bool(found) and found[0].trust >= 0.95 and found[0].value != record[path]
        single += blind.decode(x, "f3", words, k=1)[0].value == record["f3"]
    assert seen >= 0.93 * 25 * 36
    assert single <= 0.85 * 25
    # Trust of .95 means at most 1 in 20 wrong; 3 standard deviations on top.
    assert wrong <= 0.05 * trusted + 3 * (0.05 * 0.95 * trusted) ** 0.5
    assert trusted > 0.5 * 25 * 36


def test_records_with_arrays_constants_and_missing_fields():
    rng = random.Random(5)
    tags = made_words(12, 9)

    def make() -> dict[str, Any]:
        record = {"kind": rng.choice(["alpha", "omega", None, True, 1]), "in": {"town": rng.choice(["Bath", "Leeds"])}}
        record["tags"] = rng.sample(tags, 2)
        if rng.random() < 0.5:
            record["note"] = rng.choice(tags)
        return record

    encoder = encoder_with([make() for _ in range(400)], 4096)
    for _ in range(12):
        record = make()
        found = encoder.decode_record(encoder.encode_one(record))
        assert [a.value for a in found["kind"]] == [record["kind"]]
        assert type(found["kind"][0].value) is type(record["kind"])
        assert found["in.town"][0].value == record["in"]["town"]
        assert sorted(a.value for a in found["tags[]"]) == sorted(record["tags"])
        assert [a.value for a in found["note"]] == ([record["note"]] if "note" in record else [])
        x = encoder.encode_one(record)
        assert encoder.decode(x, "tags[1]", tags)[0].value == record["tags"][1]
        note = encoder.decode(x, "note")[0]
        assert (note.trust > 0.5) == ("note" in record)


def test_an_answer_unpacks_as_value_and_score():
    answer = vsa.Answer("Bath", 0.5, 0.9)
    value, score = answer
    assert (value, score, answer[0], answer[1]) == ("Bath", 0.5, "Bath", 0.5)


def test_questions_without_an_answer_are_named():
    blind, encoder = vsa.JSONEncoder(64), encoder_with([{"a": "x"}], 64)
    x = blind.encode_one({"a": "x"})
    with pytest.raises(ValueError, match="give candidates, or make the encoder with memory=True"):
        blind.decode(x, "a")
    with pytest.raises(ValueError, match=r"knows no values at 'b'.*one of its paths \(a"):
        encoder.decode(x, "b")
    with pytest.raises(ValueError, match="knows no values at 'b'"):
        encoder.decode_record(x, ["b"])
    with pytest.raises(ValueError, match="has no memory, or an empty one"):
        blind.decode_record(x)
    with pytest.raises(ValueError, match=r"expected a query of shape \(64,\)"):
        encoder.decode_record(x[:3])
