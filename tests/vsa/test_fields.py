"""What holds for every kind of field: how it joins the sum, what it leaves alone, and how it is saved."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
import pytest
from golden import make_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import dense, naive_sum
from strategies import json_values

import vsa
from vsa import fields
from vsa.binding import binding
from vsa.operators import step_name

DIM = 64


@dataclass(frozen=True)
class Totals:
    """Takes whole arrays of whole numbers and stands for their sum: one coordinate set to it."""

    scale: int = 1
    ordinary: float = 0.0
    anywhere: bool = False
    kind = "totals"

    def read(self, value: Any) -> int | None:
        whole = isinstance(value, list) and all(type(member) is int for member in value)
        return sum(value) if whole else None

    def rows(self, contents: Any, space: fields.Space) -> np.ndarray:
        rows = np.zeros((len(contents), space.dim), np.float32)
        rows[:, 3] = np.array(contents) * self.scale
        return rows

    def config(self) -> dict[str, Any]:
        return {"scale": self.scale}


def sums(encoder: vsa.JSONEncoder, *records: object) -> np.ndarray:
    return encoder.encode(list(records), normalize=False)


def matrix(*steps: str | int | None) -> np.ndarray:
    family = binding("permutation", DIM, 5)
    product = np.eye(DIM)
    for step in steps:
        product = product @ dense(family, step_name(step))
    return product


def test_a_row_is_bound_to_its_path_and_added():
    encoder = vsa.JSONEncoder(DIM, seed=5, fields={"a.b": Totals()})
    row = np.zeros(DIM)
    row[3] = 7000.0
    rest = naive_sum({"c": "words"}, binding("permutation", DIM, 5), encoder.config.shares, "both")
    expected = 3 * matrix("a", "b") @ row + rest  # the bound and the positioned copy are one: 2 + 1
    np.testing.assert_array_equal(sums(encoder, {"a": {"b": [3000, 4000]}, "c": "words"})[0], expected)


def test_members_of_arrays_are_bound_in_place_and_by_any_member_and_weigh_less():
    encoder = vsa.JSONEncoder(DIM, seed=5, fields={"a[]": Totals()})
    row = np.zeros(DIM)
    row[3] = 5000.0
    expected = np.rint(0.4 * (2 * matrix("a", None) @ row + matrix("a", 1) @ row))
    got = sums(encoder, {"a": [[1, 2], [5000]]})[0] - sums(encoder, {"a": [[1, 2]]})[0]
    np.testing.assert_array_equal(got, expected)


def test_an_array_that_a_field_took_has_no_ordinary_leaf_beside_it():
    alone, beside = (vsa.JSONEncoder(DIM, seed=5, fields={"a": Totals(ordinary=share)}) for share in (0.0, 1.0))
    np.testing.assert_array_equal(sums(alone, {"a": [1, 2]}), sums(beside, {"a": [1, 2]}))


def test_a_row_that_counts_anywhere_is_also_added_unbound():
    bound = vsa.JSONEncoder(DIM, seed=5, fields={"a": Totals()})
    both = vsa.JSONEncoder(DIM, seed=5, fields={"a": Totals(anywhere=True)})
    row = np.zeros(DIM)
    row[3] = 1000.0
    np.testing.assert_array_equal(sums(both, {"a": [1000]})[0] - sums(bound, {"a": [1000]})[0], 3 * row)


def test_a_field_at_the_root_takes_whole_records():
    encoder = vsa.JSONEncoder(DIM, seed=5, fields={"": Totals()})
    got = sums(encoder, [2000, 1], {"a": 1})
    assert got[0, 3] == 3 * 2001
    assert (np.delete(got[0], 3) == 0).all()
    np.testing.assert_array_equal(got[1], sums(vsa.JSONEncoder(DIM, seed=5), {"a": 1})[0])


@pytest.fixture(scope="module")
def declining() -> list[vsa.JSONEncoder]:
    given = {"a": Totals(), "b": fields.LatLong(), "c[]": fields.Timestamp()}
    return [vsa.JSONEncoder(32, seed=5, fields=chosen) for chosen in (None, given)]


@given(json_values)
@settings(max_examples=60)
def test_values_that_a_field_declines_are_ordinary_to_the_bit(declining, value):
    plain, typed = declining
    record = {"a": {"x": value}, "b": {"lat": 91, "lon": value}, "c": [[value]]}
    np.testing.assert_array_equal(sums(typed, record), sums(plain, record))


ALL = {
    "at": fields.LatLong(),
    "year": fields.Year(weight=2.0),
    "when": fields.Timestamp(weekday=0.5, season=0.5, epoch="s"),
    "text": fields.TextModel(lambda texts: [[len(t), t.count("a"), 1.0] for t in texts], dim=3, name="lengths"),
}
RECORDS = [
    {"at": [i * 0.3, -i * 0.7], "year": 1800 + i, "when": 86400 * i, "text": f"a text {'a' * i}", "n": [i, "plain"]}
    for i in range(40)
]


@given(st.lists(st.integers(0, 39), min_size=1, max_size=8))
@settings(max_examples=15)
def test_batches_and_caches_do_not_show(drawn):
    records = [RECORDS[i] for i in drawn]
    one = vsa.JSONEncoder(DIM, seed=5, fields=ALL)
    together = one.encode(records)
    again = np.stack([one.encode_one(record) for record in reversed(records)])[::-1]
    small = vsa.JSONEncoder(DIM, seed=5, fields=ALL, cache_bytes=0)
    fresh = np.stack([small.encode_one(record) for record in records])
    assert together.tobytes() == again.tobytes() == fresh.tobytes()


def test_a_record_with_fields_is_the_sum_of_its_fields_and_changes_by_delta():
    encoder = vsa.JSONEncoder(DIM, seed=5, fields=ALL)
    record, other = RECORDS[7], RECORDS[9]
    parts = sums(encoder, *[{key: value} for key, value in record.items()])
    np.testing.assert_array_equal(parts.sum(axis=0), sums(encoder, record)[0])
    for key in record:
        changed = {**record, key: other[key]}
        moved = sums(encoder, record)[0] + encoder.delta(removed={key: record[key]}, added={key: other[key]})
        np.testing.assert_array_equal(moved, sums(encoder, changed)[0])


@pytest.mark.parametrize("kind", ["permutation", "hadamard"])
def test_explanations_sum_to_the_cosine_and_name_the_fields(kind):
    encoder = vsa.JSONEncoder(1024, seed=5, fields=ALL, binding=kind)
    query, record = {"at": [2.2, -5.1], "text": "a text aaaaaaaa"}, RECORDS[7]
    parts = dict(encoder.explain(query, record))
    X = encoder.encode([query, record])
    assert abs(sum(parts.values()) - X[0] @ X[1]) < 1e-6
    assert set(parts) == {"at", "year", "when", "text", "n[]"}
    assert min(parts["at"], parts["text"]) > 0.05 > parts["year"]


def test_values_of_fields_are_decoded_among_candidates():
    encoder = vsa.JSONEncoder(2048, seed=5, fields=ALL).fit(RECORDS)
    x = encoder.encode_one(RECORDS[20])
    (year, score), (near, less), _ = encoder.decode(x, "year", range(1700, 1900))
    assert year == 1820
    assert near in (1819, 1821)
    assert score > less
    assert encoder.decode(x, "text", [r["text"] for r in RECORDS])[0][0] == RECORDS[20]["text"]


def test_fitting_and_weights_go_with_fields():
    encoder = vsa.JSONEncoder(DIM, seed=5, fields=ALL).fit(RECORDS)
    only = encoder.encode(RECORDS[:3], weights={"": 0, "at": 2}, normalize=False)
    np.testing.assert_array_equal(only, 2 * sums(encoder, *[{"at": r["at"]} for r in RECORDS[:3]]))


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            {"a": fields.Year},
            TypeError,
            r"fields\['a'\] must be a field .*, got the class Year",
        ),
        ({"a": "year"}, TypeError, "got str"),
        ({"a[0]": fields.Year()}, ValueError, r"write \[\] in 'a\[0\]'"),
        ({"a..b": fields.Year()}, ValueError, "not a path"),
    ],
)
def test_bad_fields_are_named(given, error, words):
    with pytest.raises(error, match=words):
        vsa.JSONEncoder(fields=given)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (lambda n, d: np.ones((n + 1, d)), r"'totals' gave rows of shape \(3, 64\) for 2 values; not \(2, 64\)"),
        (lambda n, d: np.full((n, d), 0.5), "not whole numbers"),
        (lambda n, d: np.full((n, d), np.nan), "not whole numbers"),
        (lambda n, d: np.full((n, d), 2.0**20), "below 2\\*\\*20"),
        (lambda n, d: np.zeros((n, d)), "read 1 and gave zero for it"),
    ],
)
def test_rows_that_would_break_the_sum_are_refused_and_the_encoder_lives_on(rows, words):
    class Bad(Totals):
        def rows(self, contents: Any, space: fields.Space) -> np.ndarray:
            return rows(len(contents), space.dim)

    encoder = vsa.JSONEncoder(DIM, seed=5, fields={"a": Bad()})
    with pytest.raises(vsa.FieldError, match=words):
        encoder.encode([{"a": [1]}, {"a": [2]}])
    np.testing.assert_array_equal(sums(encoder, {"b": 1}), sums(vsa.JSONEncoder(DIM, seed=5), {"b": 1}))


def test_weights_that_would_leave_the_whole_numbers_are_refused():
    encoder = vsa.JSONEncoder(DIM, shares=vsa.Shares(16, 16, 16), fields={"a": Totals(scale=2**19, anywhere=True)})
    with pytest.raises(vsa.FieldError, match="beyond 2\\*\\*24"):
        encoder.encode([{"a": [1]}])


def test_sums_of_thousands_of_large_rows_stay_exact():
    encoder = vsa.JSONEncoder(DIM, seed=5, arrays="bag", fields={"[]": Totals(scale=2**19)})
    one = sums(encoder, [[1]])[0]
    np.testing.assert_array_equal(sums(encoder, [[1]] * 5000)[0], 5000 * one)


def test_saved_encoders_ask_for_their_text_models_and_come_back_to_the_bit(tmp_path):
    encoder = vsa.JSONEncoder(DIM, seed=5, fields=ALL).fit(RECORDS)
    encoder.save(tmp_path / "encoder.json")
    embed = ALL["text"]._embed
    for again in (embed, fields.TextModel(embed, dim=3, name="lengths")):
        back = vsa.JSONEncoder.load(tmp_path / "encoder.json", fields={"text": again})
        assert back.name == encoder.name
        assert back.encode(RECORDS).tobytes() == encoder.encode(RECORDS).tobytes()
    for wrong, error, words in [
        (None, vsa.MissingFieldError, r"a text model \(name 'lengths', dim 3\) at 'text'.*fields=\{'text': your_call"),
        ({"text": 3}, vsa.FieldError, "no field nor the callable of a text model: int"),
        ({"text": fields.TextModel(embed, dim=3)}, vsa.FieldError, "expected text-model .*'lengths'.*got text-model"),
        ({"text": lambda t: [[0, 1, 0]] * len(t)}, vsa.FieldError, "this text model is not the one"),
        ({"text": lambda t: [[1, 0]] * len(t)}, vsa.FieldError, "gave an array of shape"),
        ({"text": embed, "x": embed}, vsa.FieldError, "has no field at 'x'"),
        ({"text": embed, "year": fields.Year()}, vsa.FieldError, r"fields\['year'\] is not as the encoder was saved"),
    ]:
        with pytest.raises(error, match=words):
            vsa.JSONEncoder.load(tmp_path / "encoder.json", fields=wrong)


def test_fields_of_your_own_are_asked_for_as_well():
    data = vsa.JSONEncoder(DIM, fields={"a": Totals(scale=2)}).to_bytes()
    assert vsa.JSONEncoder.from_bytes(data, fields={"a": Totals(scale=2)}).fields == {"a": Totals(scale=2)}
    for wrong, error in [(None, vsa.EncoderStateError), ({"a": Totals(scale=3)}, vsa.FieldError)]:
        with pytest.raises(error):
            vsa.JSONEncoder.from_bytes(data, fields=wrong)


def test_golden_hashes_of_fields():
    """Vectors of format 1, to the bit. A change here breaks every gallery in the field: raise FORMAT."""
    for case in orjson.loads((make_vectors.HERE / "fields-1.json").read_bytes())["cases"]:
        encoder = vsa.JSONEncoder(**case["options"], fields=make_vectors.fields())
        digest = hashlib.sha256(encoder.encode(make_vectors.FIELD_RECORDS).tobytes()).hexdigest()
        assert (encoder.name, digest) == (case["name"], case["sha256"])


def test_names_tell_fields_apart():
    def name(**given: Any) -> str:
        return vsa.JSONEncoder(DIM, fields=given).name

    text = ALL["text"]
    names = [
        vsa.JSONEncoder(DIM).name,
        name(a=fields.Year()),
        name(b=fields.Year()),
        name(a=fields.Year(weight=2)),
        name(a=fields.LatLong()),
        name(a=fields.LatLong(order="long-lat")),
        name(a=fields.Timestamp()),
        name(a=fields.Timestamp(season=1)),
        name(a=text),
        name(a=fields.TextModel(text._embed, dim=3, name="other")),
        name(a=fields.TextModel(text._embed, dim=4, name="lengths")),
        name(a=Totals()),
        name(a=replace(Totals(), scale=2)),
    ]
    assert len(set(names)) == len(names)
    assert name(a=fields.Year(), b=fields.LatLong()) == name(b=fields.LatLong(), a=fields.Year())
    assert vsa.JSONEncoder(DIM, fields={}).name == vsa.JSONEncoder(DIM).name
