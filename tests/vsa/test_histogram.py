from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsa.histogram import MOST, Histogram, _place, _value

finite = st.floats(allow_nan=False, allow_infinity=False)


def histogram(values: list[float]) -> Histogram:
    found = Histogram()
    for value in values:
        found.add(value, 1)
    return found


@given(finite, finite)
def test_places_keep_the_order_of_floats_and_come_back(x, y):
    assert (_place(x) < _place(y)) == (x < y)
    if abs(x) < 1e308:
        assert _value(_place(x)) == x


@pytest.mark.parametrize(("seed", "spread"), [(0, 1.0), (1, 1e-6), (2, 1e200)])
@pytest.mark.parametrize("cut", [10, 900, 3000])
def test_parts_of_any_size_merge_to_the_whole_in_any_order(seed, spread, cut):
    rng = random.Random(seed)
    values = [1.6e9 + spread * rng.gauss(0, 1) if rng.random() < 0.9 else rng.gauss(0, 1) for _ in range(4000)]
    whole = histogram(values)
    assert len(whole.buckets) <= MOST
    one, two = histogram(values[:cut]), histogram(values[cut:])
    shuffled = histogram(rng.sample(values, len(values)))
    for other in (one.merge(two), two.merge(one), shuffled, Histogram.from_state(whole.to_state())):
        assert other.to_state() == whole.to_state()
    assert one.shift <= whole.shift


@given(st.lists(finite, min_size=1, max_size=60))
def test_centre_is_the_lower_median_and_scales_are_positive(values):
    scale = histogram(values).scale()
    expected = sorted(values)[(len(values) - 1) // 2]
    if abs(expected) < 1e308:
        assert scale.centre == expected
    assert scale.scale > 0
    assert 0 <= scale.spread < 1
