from __future__ import annotations

import datetime
import itertools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sparse_oracle import SparseOracle

import vsa
from vsa.curves import similarity_curve
from vsa.levels import DAY_GRIDS, NUMBER_GRIDS, cells, compress, compress_of, log2
from vsa.statistics import Statistics
from vsa.times import days

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.floats(min_value=5e-324, allow_infinity=False))
def test_log2_agrees_with_the_library(x):
    assert log2(x) == pytest.approx(math.log2(x), rel=1e-14, abs=1e-14)


@given(finite, finite)
def test_compress_is_odd_and_keeps_order(x, y):
    assert compress(-x) == -compress(x)
    if x <= y:
        assert compress(x) <= compress(y) + 1e-12


@given(
    st.lists(finite | st.sampled_from([0.0, -0.0, 1e-8, 1.1e-8, 9e-8, 0.4142135623730951, 1e300, math.inf, -math.inf]))
)
def test_many_are_compressed_as_each_is_to_the_bit(values):
    found = compress_of(np.array(values, np.float64))
    assert found.tobytes() == np.array([compress(value) for value in values], np.float64).tobytes()


def vector(u: float, grids: tuple[float, ...]) -> dict[tuple[int, int], float]:
    return {(grid, node): weight for grid, node, weight in cells(u, grids)}


def cosine(u: float, v: float, grids: tuple[float, ...]) -> float:
    one, two = vector(u, grids), vector(v, grids)
    return sum(weight * two.get(key, 0.0) for key, weight in one.items()) / len(grids)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_kernel_of_cells_falls_monotonically_with_distance(u, near, far):
    near, far = sorted((near, far))
    for sign in (1, -1):
        assert cosine(u, u + sign * near, NUMBER_GRIDS) >= cosine(u, u + sign * far, NUMBER_GRIDS) - 1e-9
    assert cosine(u, u, NUMBER_GRIDS) == pytest.approx(1)


# Parts that two records do not share add a deviation of at most 1/√dim to a cosine of one seed. Over n seeds the
# difference of two means strays by √(2 / (n · dim)) = .0078 at most; steps of the tests may rise by four of that.
SEEDS, STEPS_DIM = range(16), 2048
NOISE = 4 * (2 / (len(SEEDS) * STEPS_DIM)) ** 0.5
# Weights are rounded to whole numbers, which takes up to a half of some 1,500 away from or adds it to a level's.
ROUNDING = 1e-3

CORPORA = {
    "measured": [float(v) for v in np.random.default_rng(0).normal(50, 4, 2000)],
    "whole, a few often": [int(v) for v in np.random.default_rng(0).normal(50, 4, 2000)],
    "years": [int(v) for v in np.random.default_rng(0).normal(1900, 60, 3000)],
    "prices": [round(float(v), 2) for v in np.random.default_rng(0).lognormal(3, 1, 3000)],
    "two values": [0, 50] * 100,
}


def kernel(records: list[dict[str, Any]], statistics: Statistics | None) -> npt.NDArray[np.float64]:
    """Cosines of the first record with the others, without crosstalk."""
    S = SparseOracle(statistics).rows(records)
    found: npt.NDArray[np.float64] = (S[1:] @ S[0].T).toarray().ravel()
    return found


@pytest.mark.parametrize("anchor", [50, 50.5, 4, 1999, 0.01, 0, -3, -0.5, 0.3, 1e9])
@pytest.mark.parametrize("corpus", [None, *CORPORA])
def test_the_likeness_of_numbers_falls_monotonically_over_six_decades(corpus, anchor):
    fitted = None if corpus is None else vsa.JSONEncoder().fit([{"x": v} for v in CORPORA[corpus]]).statistics
    # Where nothing was fitted, the scale of a number is its own size.
    scale = max(1.0, abs(anchor)) if fitted is None else fitted.scales()["x"].scale
    steps = scale * np.logspace(-3, 3, 73)
    for sign in (1, -1):
        found = kernel([{"x": anchor + sign * step} for step in [0.0, *steps.tolist()]], fitted)
        assert np.diff(found).max() <= ROUNDING
        if abs(anchor - 50) < 60:
            # From a tenth of the scale to a hundred times it, each decade falls clearly.
            assert (np.diff(found[24:61:12]) < -0.01).all()


@pytest.mark.parametrize("start", ["2020-01-01T00:00:00", "1900-12-31T23:30:00", "1920-02-29T12:00:00"])
@pytest.mark.parametrize("fitted", [True, False])
def test_the_likeness_of_times_falls_monotonically_from_an_hour_to_a_century(start, fitted):
    first = datetime.datetime.fromisoformat(start)
    hours = [0.0, *np.logspace(0, np.log10(24 * 36525), 120).tolist()]
    records = [{"t": (first + datetime.timedelta(hours=h)).isoformat()} for h in hours]
    # Some of the times are common, some are not in the corpus at all.
    corpus = records[3:40:4] * 9 + records[:2] + records[60::7] * 3
    found = kernel(records, vsa.JSONEncoder().fit(corpus).statistics if fitted else None)
    assert np.diff(found).max() <= ROUNDING
    assert (np.diff(found[20::20]) < -0.02).all()


@pytest.mark.parametrize("fitted", [True, False])
def test_numbers_fall_over_six_decades_of_their_scale(fitted):
    corpus = [{"x": x} for x in np.random.default_rng(0).normal(50, 4, 500)]
    encoders = [vsa.JSONEncoder(STEPS_DIM, seed=seed) for seed in SEEDS]
    if fitted:
        encoders = [encoder.fit(corpus) for encoder in encoders]
    at = [{"x": 50 + 4 * 10.0 ** (k / 4)} for k in range(-12, 13)]
    mean, _ = similarity_curve(encoders, {"x": 50.0}, at)
    assert (np.diff(mean) < NOISE).all()
    assert (mean[4:21:4] < mean[:17:4]).all()
    assert mean[0] > 0.5
    assert mean[-1] < 0.15


@pytest.mark.parametrize("start", ["1920-03-01T00:00:00+00:00", "1899-12-31T23:30:00+00:00"])
def test_times_fall_from_an_hour_to_a_century(start):
    first = datetime.datetime.fromisoformat(start)
    hours = [1, 3, 6, 12, 24, 72, 24 * 7, 24 * 30, 24 * 91, 24 * 365, 24 * 1461, 24 * 3652, 24 * 14610, 24 * 36524]
    at = [{"t": (first + datetime.timedelta(hours=h)).isoformat()} for h in hours]
    mean, _ = similarity_curve([vsa.JSONEncoder(STEPS_DIM, seed=seed) for seed in SEEDS], {"t": start}, at)
    assert (np.diff(mean) < NOISE).all()
    assert (mean[2:] < mean[:-2]).all()
    assert mean[0] > 0.55
    assert mean[-1] < 0.12


def test_a_date_is_found_by_its_year():
    X = vsa.JSONEncoder(8192, seed=1).encode([{"t": "2020"}, {"t": "2020-07-14"}, {"t": "1850-07-14"}])
    # Crosstalk strays by 1/√8192 = .011.
    assert X[0] @ X[1] > X[0] @ X[2] + 4 / 8192**0.5


def test_days_fall_from_an_hour_to_a_century():
    hours = [1, 6, 24, 24 * 7, 24 * 30, 24 * 365, 24 * 3652, 24 * 36524]
    u = days("1950-03-01T00:00:00Z")
    assert u is not None
    kernel = [cosine(u, u + hour / 24, DAY_GRIDS) for hour in hours]
    assert all(one > two for one, two in itertools.pairwise(kernel))
    assert kernel[0] > 0.85
    assert kernel[-1] < 0.2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0001-01-01", 0.0),
        ("2000-01-01", 730119.0),
        ("2000-01", 730119.0),
        ("2000-01-01T12:00", 730119.5),
        ("2000-01-01T12:00:00.25Z", 730119.5 + 0.25 / 86400),
        ("2000-01-01 12:00+02:00", 730119.5 - 2 / 24),
        ("2000-01-01T12:00-0130", 730119.5 + 1.5 / 24),
        ("2000-02-30", None),
        ("2000-13-01", None),
        ("2000-01-01T25:00", None),
        ("20000101", None),
        ("2000-01-01 and more", None),
        ("0000-01-01", None),
    ],
)
def test_dates(text, expected):
    assert days(text) == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.parametrize("x", [2**53, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 5e-324, 1e-300, 1e308, -1e308])
def test_extreme_numbers_differ_from_their_neighbours_and_resemble_them(x):
    encoder = vsa.JSONEncoder(1024, seed=1)
    nearby = x + 2 if isinstance(x, int) and x < 2**63 else (x - 2 if isinstance(x, int) else x * 0.98)
    if x == 5e-324:
        nearby = 1e-323
    X = encoder.encode([{"x": x}, {"x": nearby}, {"x": -1234.5}])
    assert 0.3 < X[0] @ X[1] < 0.999
    assert X[0] @ X[2] < 0.3
