from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vsa
from vsa.fields import LatLong
from vsa.fields.lat_long import RADIUS, sine


def encode(*places: object, **options: str) -> np.ndarray:
    return vsa.JSONEncoder(2048, seed=7, fields={"at": LatLong(**options)}).encode([{"at": p} for p in places])


@given(st.floats(-360, 360))
def test_sines_are_right_to_the_last_bits(degrees):
    assert abs(sine(degrees) - np.sin(np.radians(degrees))) < 2e-15


def moved(lat: np.ndarray, long: np.ndarray, bearing: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a great circle leads (the direct formula of spherical trigonometry)."""
    lat, long, bearing, arc = np.radians(lat), np.radians(long), np.radians(bearing), distance / RADIUS
    there = np.arcsin(np.sin(lat) * np.cos(arc) + np.cos(lat) * np.sin(arc) * np.cos(bearing))
    turn = np.arctan2(np.sin(bearing) * np.sin(arc) * np.cos(lat), np.cos(arc) - np.sin(lat) * np.sin(there))
    return np.degrees(there), (np.degrees(long + turn) + 180) % 360 - 180


@pytest.mark.parametrize("where", ["everywhere", "the pole", "the date line"])
def test_cosines_fall_with_the_great_circle_distance_from_10_m_to_20_000_km(where):
    rng = np.random.default_rng(0)
    n = 100
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, n))) if where != "the pole" else np.full(n, 89.99)
    long = rng.uniform(-180, 180, n) if where != "the date line" else np.full(n, 179.999)
    bearing = rng.uniform(0, 360, n)
    here = encode(*np.stack([lat, long], 1).tolist())
    means = []
    for distance in (0.01, 0.1, 1, 10, 100, 1000, 10_000, 20_000):
        there = encode(*np.stack(moved(lat, long, bearing, distance), 1).tolist())
        means.append(float((here * there).sum(axis=1).mean()))
    # A mean of 100 cosines strays by about .02/√100 from crosstalk and .02/√100 from where in its cube a place is.
    assert (np.diff(means) < -0.015).all(), means
    assert means[0] > 0.9
    assert means[-1] < 0.08


def test_every_notation_of_a_place_is_the_same_vector():
    forms = [
        {"lat": 48.85, "lon": 2.35},
        {"Latitude": 48.85, "LONGITUDE": "2.35"},
        {"lng": 2.35, "lat": 48.85},
        [48.85, 2.35],
        "48.85,2.35",
        " 48.85 , +2.35 ",
        {"type": "Point", "coordinates": [2.35, 48.85]},
        [48.85, np.float64(2.35)],
        [48.85, 362.35 - 360],
    ]
    X = encode(*forms[:-1])
    assert (X[0] == X).all()
    swapped = encode([2.35, 48.85], "2.35,48.85", {"lat": 48.85, "lon": 2.35}, order="long-lat")
    assert (swapped == X[0]).all()


def test_the_date_line_the_poles_and_whole_turns_are_no_edges():
    X = encode([10, 180], [10, -180], [10, 540 - 360], [90, 17], [90, -120], [-0.0, 0.0], [0.0, -0.0], [0.0, 360])
    assert (X[0] == X[1]).all()
    assert (X[0] == X[2]).all()
    assert (X[3] == X[4]).all()
    assert (X[5] == X[6]).all()
    assert (X[5] == X[7]).all()
    turned = encode([10, 170], [10, -190], [10, 530 - 360])
    assert (turned[0] == turned).all()
    near = encode([10, 179.999], [10, -179.999])
    assert near[0] @ near[1] > 0.75


def test_neighbours_are_told_from_each_other():
    X = encode([10, 10], [10, 10.0000001])
    assert 0.9 < X[0] @ X[1] < 0.999


@pytest.mark.parametrize(
    "value",
    [
        [91, 0], [0, 361], [1], [1, 2, 3], [True, 1], ["a", 1], [None, None], [[1, 2], [3, 4]], "1,2,3", "1;2", "", "x",
        12.5, None, True, {}, [], {"lat": 1}, {"lat": 1, "lon": 2, "alt": 3}, {"lat": 1, "latitude": 1},
        {"type": "Point", "coordinates": [1]}, {"type": "Polygon", "coordinates": [1, 2]}, "1e3,2", "nan,0",
    ],
)  # fmt: skip
def test_what_is_no_place_is_an_ordinary_leaf(value):
    plain = vsa.JSONEncoder(64, seed=7).encode([{"at": value}])
    typed = vsa.JSONEncoder(64, seed=7, fields={"at": LatLong()}).encode([{"at": value}])
    assert typed.tobytes() == plain.tobytes()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"order": "xy"}, ValueError, 'order must be "lat-long" or "long-lat"'),
        ({"weight": 0}, ValueError, "above 0"),
        ({"weight": 17}, ValueError, "from 0 to 16"),
        ({"weight": "2"}, TypeError, "must be a number"),
    ],
)
def test_bad_parameters_are_named(options, error, words):
    with pytest.raises(error, match=words):
        LatLong(**options)


@pytest.mark.data
def test_the_nearest_countries_are_neighbours_on_the_globe(data: Callable[[str], Path]):
    countries = orjson.loads(data("countries/countries.json").read_bytes())
    places = np.array([c["latlng"] for c in countries])
    X = encode(*[c["latlng"] for c in countries])
    lat, long = np.radians(places).T
    space = np.stack([np.cos(lat) * np.cos(long), np.cos(lat) * np.sin(long), np.sin(lat)], 1)
    near, cosines = space @ space.T, X @ X.T
    np.fill_diagonal(near, -2)
    np.fill_diagonal(cosines, -2)
    true = np.argsort(-near, axis=1)[:, :10]
    found = cosines.argmax(axis=1)
    assert np.mean([f in t for f, t in zip(found, true, strict=True)]) > 0.9
