"""Weights of paths: unique ids must not drown the rest, nor arrays in arrays vanish."""

from __future__ import annotations

import random
import uuid
from typing import Any

import numpy as np
import pytest
from sparse_oracle import SparseOracle

import vsa
from vsa.factors import ID_SHARE, id_factors, member_factor
from vsa.fitting import count
from vsa.limits import Limits
from vsa.shares import Shares

WORDS = ["red", "blue", "green", "sea", "ship", "harbour", "castle", "sunrise", "storm", "river", "garden", "woman"]


def shop(n: int, seed: int = 0, **added: Any) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    made = {
        "uid": lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        "code": lambda: f"N{draw.getrandbits(40):x}7",
    }
    return [
        {
            "name": " ".join(draw.choices(WORDS, k=5)),
            "about": " ".join(draw.choices(WORDS, k=9)),
            "price": round(draw.lognormvariate(3, 1), 2),
            **{key: made[value]() for key, value in added.items()},
        }
        for _ in range(n)
    ]


def factors(records: list[dict[str, Any]]) -> dict[str, float]:
    return id_factors(count(records, Limits()), Shares())


def test_unique_ids_are_cut_and_nothing_else_is():
    found = factors(shop(1000, id="uid", sku="code"))
    assert set(found) == {"id", "sku"}
    assert all(0.25 <= factor < 0.8 for factor in found.values())
    assert factors(shop(1000)) == {}


def test_a_cut_path_holds_the_share_that_ids_may_have():
    records = shop(1000, id="uid")
    rows = SparseOracle(vsa.JSONEncoder().fit(records).statistics).rows(
        [*records[:200], *({"id": r["id"]} for r in records[:200])]
    )
    cosines = np.asarray(rows[:200].multiply(rows[200:]).sum(axis=1)).ravel()
    # Without the id's own share the cosine of a record with its id is the root of the share of its length.
    assert np.mean(cosines**2) == pytest.approx(ID_SHARE, rel=0.35)


@pytest.mark.parametrize("n", [1, 5, 50])
def test_few_records_say_nothing_of_uniqueness(n):
    assert factors(shop(n, id="uid")) == {}


def test_ids_that_come_again_and_words_and_numbers_are_no_unique_ids():
    again = shop(500, id="uid") * 2
    assert factors(again) == {}
    draw = random.Random(3)
    letters = "abcdefghijklmnopqrstuvwxyz"
    towns = [{**record, "town": "".join(draw.choices(letters, k=9))} for record in shop(1000)]
    assert factors(towns) == {}
    assert factors([{**record, "id": number} for number, record in enumerate(shop(1000))]) == {}


def test_ids_that_hold_little_of_a_record_are_left_alone():
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(20_000)]
    rich = [
        {f"field{i}": " ".join(draw.choices(words, k=6)) for i in range(40)} | {"id": record["id"]}
        for record in shop(500, id="uid")
    ]
    assert factors(rich) == {}


def test_nothing_but_ids_is_not_cut():
    assert factors([{"id": record["id"]} for record in shop(500, id="uid")]) == {}


def test_records_are_found_by_their_id_alone_and_better_by_the_rest():
    gallery = shop(1000, id="uid")
    others = shop(1000, seed=1, id="uid")  # ids that the gallery does not hold
    asked = [{**record, "id": other["id"]} for record, other in zip(gallery, others, strict=True)]
    encoder = vsa.JSONEncoder(1024, seed=1).fit(gallery)
    assert encoder._ready().maker.factors.of(("id",)) < 0.7
    X = encoder.encode(gallery)
    by_id = encoder.encode([{"id": record["id"]} for record in gallery]) @ X.T
    assert (by_id.argmax(axis=1) == np.arange(len(gallery))).all()
    uncut = np.mean(
        np.sum(encoder.encode(asked, weights={"id": 2.0}) * encoder.encode(gallery, weights={"id": 2.0}), axis=1)
    )
    assert np.mean(np.sum(encoder.encode(asked) * X, axis=1)) > uncut + 0.05


def test_factors_of_halves_are_those_of_the_whole():
    records = shop(1200, id="uid")
    for cut in (1, 600, 1100):
        merged = count(records[cut:], Limits()).merge(count(records[:cut], Limits()))
        assert merged.to_state() == count(records, Limits()).to_state()
        assert id_factors(merged, Shares()) == factors(records)


def test_explanations_and_decoding_know_of_the_cut():
    records = shop(1000, id="uid")
    encoder = vsa.JSONEncoder(2048, seed=1).fit(records)
    query, record = records[0], records[1] | {"id": records[0]["id"]}
    x = encoder.encode_one(record)
    cosine = float(encoder.encode_one(query) @ x)
    for tokens in (False, True):
        parts: list[Any] = encoder.explain(query, record, tokens=tokens)
        assert sum(part[-1] for part in parts) == pytest.approx(cosine, abs=1e-6)
    assert not [
        part for part in encoder.explain(query, record, tokens=True) if part[1] == "rounding" and abs(part[2]) > 0.01
    ]
    ids = [r["id"] for r in records[:50]]
    assert encoder.decode(x, "id", ids)[0].value == records[0]["id"]


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def test_arrays_in_arrays_weigh_less_and_never_nothing():
    weights = [member_factor((None,) * depth) for depth in range(300)]
    assert weights[:4] == pytest.approx([1, 0.4, 0.16, 0.064])
    assert weights == sorted(weights, reverse=True)
    assert min(weights) > 0.01


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("depth", [4, 12, 100, 255])
def test_leaves_in_deep_arrays_have_vectors(depth, fitted):
    values: list[Any] = ["sunrise over the sea", "sunrise over a sea", "portrait", 7, 8, None, True, "", {}, []]
    encoder = vsa.JSONEncoder(2048, seed=1)
    records = [nested(value, depth) for value in values]
    if fitted:
        encoder.fit(records * 30)
    X = encoder.encode(records)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), 1, atol=1e-6)
    near = X @ X.T
    assert near[0, 1] > 0.5 > near[0, 2]
    assert near[3, 4] > near[3, 0] + 0.1
    # Different values differ, and the same value in one array more differs too.
    assert np.triu(near, 1).max() < 0.99
    assert encoder.encode_one(nested("portrait", depth - 1)) @ X[2] < 0.8
    sums = encoder.encode(records, normalize=False)
    assert (sums == np.rint(sums)).all()
    assert np.abs(sums).max(axis=1).min() >= 1
