from __future__ import annotations

import numpy as np
import pytest

import vsa
from vsa.fields import Timestamp, Year


def encode(field: object, *values: object, dim: int = 2048) -> np.ndarray:
    return vsa.JSONEncoder(dim, seed=7, fields={"t": field}).encode([{"t": v} for v in values])


def test_years_fall_off_with_the_years_between():
    means = []
    starts = np.arange(1500, 1900, 7)
    here = encode(Year(), *starts.tolist())
    for apart in (1, 3, 10, 30, 100, 300):
        means.append(float((here * encode(Year(), *(starts + apart).tolist())).sum(axis=1).mean()))
    assert (np.diff(means) < -0.02).all(), means
    assert means[0] > 0.45
    plain = vsa.JSONEncoder(2048, seed=7).encode([{"t": 1845}, {"t": 1846}, {"t": 1990}])
    assert plain[0] @ plain[1] - plain[0] @ plain[2] < means[0] - means[4]


def test_years_are_years_in_any_notation_and_lie_on_the_line_of_dates():
    X = encode(Year(), 1845, 1845.0, "1845", " 1845 ")
    assert X[0].tobytes() == X[1].tobytes()
    # Digits given as text weigh more as a word than those of a number.
    assert min(X[0] @ X[2], X[0] @ X[3]) > 0.75
    # A field of years and dates both: the date finds its year.
    mixed = encode(Year(), "1845-06-30", 1845, 1945)
    assert mixed[0] @ mixed[1] > mixed[0] @ mixed[2] + 0.15
    assert encode(Year(), -44, -43, 1900) @ encode(Year(), -44)[0] @ [0, 1, -1] > 0.2


@pytest.mark.parametrize("value", ["c. 1845", "12345", "18 45", "", 1845.5, 10_000, 1e300, None, True, {}, {"y": 1845}])
def test_what_is_no_year_is_an_ordinary_leaf(value):
    assert encode(Year(), value, dim=64).tobytes() == vsa.JSONEncoder(64, seed=7).encode([{"t": value}]).tobytes()


def test_moments_fall_off_from_an_hour_to_a_hundred_years():
    hours = (1, 6, 24, 24 * 7, 24 * 30, 24 * 365, 24 * 3650, 24 * 36500)
    start = np.arange(0, 10**9, 23_456_789)
    field = Timestamp(epoch="s")
    here = encode(field, *start.tolist())
    means = [float((here * encode(field, *(start + h * 3600).tolist())).sum(axis=1).mean()) for h in hours]
    assert (np.diff(means) < -0.02).all(), means


def test_epochs_are_the_moments_they_count_to():
    iso, seconds, millis = "2020-02-29T12:30:00Z", 1582979400, 1582979400000
    one = encode(Timestamp(epoch="s"), iso, seconds, str(seconds), seconds + 86400 * 3000)
    assert one[0].tobytes() == one[1].tobytes() == one[2].tobytes()
    assert one[0] @ one[3] < 0.5
    two = encode(Timestamp(epoch="ms"), iso, millis)
    assert two[0].tobytes() == two[1].tobytes()
    assert Timestamp(epoch="s").read(seconds) == Timestamp(epoch="ms").read(millis) == Timestamp().read(iso)
    assert Timestamp().read(seconds) is None
    assert Timestamp(epoch="s").read(1e30) is None


def test_weekdays_and_seasons_count_as_asked():
    monday, other_monday, tuesday = "2023-01-02", "1923-07-09", "1923-07-10"
    bare = encode(Timestamp(), monday, other_monday, tuesday)
    week = encode(Timestamp(weekday=1.0), monday, other_monday, tuesday)
    assert abs(bare[0] @ bare[1] - bare[0] @ bare[2]) < 0.1
    assert week[0] @ week[1] > week[0] @ week[2] + 0.15
    days = ["2019-12-31", "1980-01-01", "1980-02-15", "1980-04-01", "1980-07-01"]
    season = encode(Timestamp(season=1.5), *days) @ encode(Timestamp(season=1.5), days[0])[0]
    assert (np.diff(season[1:4]) < -0.05).all(), season
    assert season[4] < season[1] - 0.2


def test_a_weekday_alone_is_a_field():
    X = encode(Timestamp(weight=0, weekday=2.0), "2023-01-02", "1923-07-09")
    assert X[0] @ X[1] > 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Year(weight=0), "above 0"),
        (lambda: Timestamp(weight=0), "one of weight, weekday and season"),
        (lambda: Timestamp(weekday=-1), "weekday must be from 0 to 16"),
        (lambda: Timestamp(epoch="min"), 'epoch must be None, "s" or "ms"'),
    ],
)
def test_bad_parameters_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
