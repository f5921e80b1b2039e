"""Numbers read off their levels: right, and as sure as they say."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import vsa

N = 40
WORDS = ["".join(random.Random(i).choices("bcdfghklmnprstaeiou", k=7)) for i in range(500)]


def made(n: int, seed: int, n_fields: int = 8, **number: Any) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    kinds = {"price": lambda: round(draw.lognormvariate(3, 1), 2), "year": lambda: round(draw.gauss(1900, 40))}
    return [
        {f"f{i}": draw.choice(WORDS) for i in range(n_fields)} | {key: kinds[kind]() for key, kind in number.items()}
        for _ in range(n)
    ]


@pytest.mark.parametrize("kind", ["price", "year"])
@pytest.mark.parametrize(("coverage", "n_fields"), [(0.9, 8), (0.5, 40)])
def test_error_bars_hold_as_many_numbers_as_they_say(kind, coverage, n_fields):
    encoder = vsa.JSONEncoder(512, seed=2).fit(made(1000, 1, n_fields, x=kind))
    held = made(N, 2, n_fields, x=kind)
    found = [encoder.decode_number(x, "x", coverage=coverage) for x in encoder.encode(held)]
    inside = np.mean([r["x"] >= f.low and r["x"] <= f.high for r, f in zip(held, found, strict=True)])
    # A share over N readings strays by √(c (1 − c) / N) from c; whole numbers lie in a bar or not, and are held more.
    assert inside > coverage - 4 * (coverage * (1 - coverage) / N) ** 0.5
    every = np.array([r["x"] for r in held])
    if coverage == 0.5:
        assert inside < 0.98
    else:
        # And the bars say much more than the field alone does.
        spread = np.subtract(*np.quantile(every, [0.95, 0.05]))
        assert np.median([f.high - f.low for f in found]) < spread / 4
    assert np.median([abs(f.value - v) for f, v in zip(found, every, strict=True)]) < np.std(every) / 4
    assert np.mean([f.present for f in found]) > 0.9


def test_the_number_itself_is_no_noise():
    # Counted as noise it made these bars .36 wide in the median.
    encoder = vsa.JSONEncoder(512, seed=2).fit(made(1000, 1, 15, x="price"))
    held = made(N, 2, 15, x="price")
    found = [encoder.decode_number(x, "x", coverage=0.5) for x in encoder.encode(held)]
    assert np.median([f.high - f.low for f in found]) < 0.2
    inside = np.mean([f.low <= r["x"] <= f.high for r, f in zip(held, found, strict=True)])
    assert 0.5 - 4 * (0.25 / N) ** 0.5 < inside < 0.5 + 4 * (0.25 / N) ** 0.5


def test_numbers_that_fit_met_come_back_themselves():
    encoder = vsa.JSONEncoder(1024, seed=2).fit(made(1000, 1, x="year"))
    held = made(N, 3, x="year")
    found = [encoder.decode_number(x, "x") for x in encoder.encode(held)]
    right = np.array([type(f.value) is int and f.value == r["x"] for r, f in zip(held, found, strict=True)])
    assert right.mean() > 0.8
    assert all(f.low <= f.value <= f.high for f in found)


def test_the_bar_shrinks_with_the_dim_and_grows_with_the_fields():
    widths = []
    for dim, n_fields in ((2048, 2), (512, 8), (512, 40)):
        encoder = vsa.JSONEncoder(dim, seed=2).fit(made(1000, 1, n_fields, x="price"))
        X = encoder.encode(made(10, 2, n_fields, x="price"))
        widths.append(np.median([(f := encoder.decode_number(x, "x")).high - f.low for x in X]))
    assert widths[0] < widths[1] < widths[2]


def test_where_no_number_is_the_bar_is_that_of_the_field():
    corpus = made(1000, 1, 8, x="year")
    for record in corpus[::2]:
        del record["x"]
    encoder = vsa.JSONEncoder(512, seed=2).fit(corpus)
    years = [record["x"] for record in corpus if "x" in record]
    found = [encoder.decode_number(x, "x") for x in encoder.encode(made(10, 2, 8))]
    assert np.mean([f.present for f in found]) < 0.25
    assert all(f.trust <= f.present for f in found)
    low, high = np.quantile(years, [0.05, 0.95])
    assert np.median([f.high - f.low for f in found]) > (high - low) / 2


@pytest.mark.parametrize("value", [0, 7, -3.25, 1e-4, 19.99, 1845, 6.5e9])
def test_a_bare_encoder_reads_numbers_of_any_size(value):
    encoder = vsa.JSONEncoder(2048, seed=1)
    for record, path in (({"x": value}, "x"), (value, ""), ({"size": ["red", value]}, "size[1]")):
        found = encoder.decode_number(7.0 * encoder.encode_one(record), path)
        # The finest level is 1/1024 of a doubling.
        assert found.value == pytest.approx(value, rel=2e-3, abs=2e-3)
        assert found.low <= value <= found.high
        assert found.high - found.low < 0.02 * max(1.0, abs(value))
        assert found.present > 0.95


def test_the_best_of_all_numbers_one_by_one_lies_in_the_bar():
    corpus = made(300, 1, 3, x="price")
    encoder = vsa.JSONEncoder(1024, seed=4).fit(corpus)
    x = encoder.encode_one(corpus[7] | {"x": 31.4159})
    numbers = np.linspace(1, 100, 991).tolist()
    near = encoder.encode([{"x": number} for number in numbers]) @ x
    found = encoder.decode_number(x, "x")
    assert found.low - 0.2 <= numbers[int(near.argmax())] <= found.high + 0.2


def test_a_memory_narrows_the_bar():
    corpus = made(300, 1, 40, x="price")
    held = made(8, 2, 40, x="price")
    widths = []
    for memory in (False, True):
        encoder = vsa.JSONEncoder(512, seed=2, memory=memory).fit(corpus)
        encoder.encode(corpus)
        found = [encoder.decode_number(encoder.encode_one(r), "x") for r in held]
        widths.append(np.median([f.high - f.low for f in found]))
        assert sum(f.low <= r["x"] <= f.high for r, f in zip(held, found, strict=True)) >= 5
    assert widths[1] < widths[0]


def test_decode_gives_numbers_their_bar_and_texts_none():
    encoder = vsa.JSONEncoder(1024, seed=7, memory=True)
    X = encoder.encode([{"town": town, "year": year} for town in ("Bath", "Leeds") for year in range(1800, 1900, 10)])
    year = encoder.decode(X[3], "year")[0]
    assert year.value == 1830
    assert year.interval is not None
    assert year.interval[0] <= 1830 <= year.interval[1]
    assert encoder.decode(X[3], "town")[0].interval is None
    given = encoder.decode(X[3], "year", [1830, 1990, "1830", None])
    assert [answer.interval is None for answer in given] == [type(answer.value) is not int for answer in given]


def test_what_cannot_be_read_is_refused():
    encoder = vsa.JSONEncoder(64, seed=1)
    x = encoder.encode_one({"x": [1, 2]})
    with pytest.raises(ValueError, match=r"'x\[\]' leads to any member of an array; say which one, such as 'x\[0\]'"):
        encoder.decode_number(x, "x[]")
    for coverage in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="coverage must lie between 0 and 1"):
            encoder.decode_number(x, "x[0]", coverage=coverage)
    with pytest.raises(ValueError, match=r"expected a query of shape \(64,\)"):
        encoder.decode_number(np.ones(3), "x[0]")
