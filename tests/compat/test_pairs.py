"""Paired rows: what is refused, the held-out check by hand, and what is kept of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_map_parts import rows_of

from retrieval import compat
from retrieval.compat import pairs
from retrieval.errors import InvalidVectorError, ModelMismatchError


def info(n_pairs=100, relatedness=9.0, **changed):
    fields = {"source_model": "v1", "target_model": "v2", "source_dim": 4, "target_dim": 6}
    return pairs.PairInfo(**{**fields, "n_pairs": n_pairs, "relatedness": relatedness, **changed})


def test_models_have_different_names():
    assert info().to_fields()["target_dim"] == 6
    for wrong in ({"source_model": ""}, {"target_model": ""}, {"source_model": 3}, {"target_model": None}):
        with pytest.raises(ValueError, match="must be a non-empty string, not"):
            info(**wrong)
    with pytest.raises(ValueError, match="are both named 'v1'; name them apart"):
        info(target_model="v1")


def test_warnings_begin_where_they_say(recwarn):
    pairs.warn_about(info(6, 3.7))
    pairs.warn_about(info(6, None))
    assert not recwarn.list
    with pytest.warns(compat.FewPairsWarning, match="5 pairs are fewer than 6 dims"):
        pairs.warn_about(info(5, 3.7))
    with pytest.warns(compat.UnrelatedPairsWarning, match=r"z = 3\.6, true pairs exceed 3\.7") as told:
        pairs.warn_about(info(6, 3.6), stacklevel=2)
    assert told[0].filename == __file__


def by_hand(S, T, held, kept):
    """z of the held-out check, pair by pair."""
    mean_s, mean_t = S[kept].mean(axis=0), T[kept].mean(axis=0)
    C = (S[kept] - mean_s).T @ (T[kept] - mean_t) / len(kept)
    gains = []
    for place, row in enumerate(held):
        stranger = held[(place - len(held) // 2) % len(held)]
        gains.append((S[row] - mean_s) @ C @ (T[row] - T[stranger]))
    return np.mean(gains) / (np.std(gains, ddof=1) / math.sqrt(len(gains)))


@pytest.mark.parametrize("cuts", [(), (1, 8, 9, 100)])
def test_relatedness_is_the_held_out_check(cuts):
    S, T = rows_of(110, 4, 0, mean=0.3).astype(np.float64), rows_of(110, 3, 1).astype(np.float64)
    sums = pairs.CrossCovariance()
    for s, t in zip(np.split(S, cuts), np.split(T, cuts), strict=True):
        sums.add(s, t)
    held = np.arange(7, 110, 8)
    assert sums.relatedness() == pytest.approx(by_hand(S, T, held, np.setdiff1d(np.arange(110), held)), rel=1e-9)
    np.testing.assert_allclose(sums.total(), S.T @ T, atol=1e-10)
    np.testing.assert_allclose(sums.total(), S.T @ T, atol=1e-10)
    assert sums.seen == sums.n == 110


def test_relatedness_needs_twelve_held_out_pairs_and_some_spread():
    for n, known in ((95, False), (96, True)):
        sums = pairs.CrossCovariance()
        sums.add(rows_of(n, 4, 0), rows_of(n, 3, 1))
        assert (sums.relatedness() is not None) is known
    assert pairs.CrossCovariance().relatedness() is None
    sums = pairs.CrossCovariance()
    sums.add(np.ones((96, 4)), np.ones((96, 3)))
    assert sums.relatedness() == 0.0
    with pytest.raises(compat.InvalidPairsError, match="there are no pairs"):
        pairs.CrossCovariance().total()


def test_rows_held_out_are_bounded(monkeypatch):
    monkeypatch.setattr(pairs, "_HELD_OUT_MOST", 13)
    S, T = rows_of(400, 4, 0).astype(np.float64), rows_of(400, 3, 1).astype(np.float64)
    held = np.arange(7, 400, 8)[:13]
    for cuts in ((), (100,), (50, 300)):
        sums = pairs.CrossCovariance()
        for s, t in zip(np.split(S, cuts), np.split(T, cuts), strict=True):
            sums.add(s, t)
        assert sums.n == 400 - 13
        assert sums.relatedness() == pytest.approx(by_hand(S, T, held, np.setdiff1d(np.arange(400), held)), rel=1e-9)
        np.testing.assert_allclose(sums.total(), S.T @ T, atol=1e-10)


def test_few_rows_are_kept_up_to_half_the_smaller_dim():
    S, T = rows_of(6, 10, 0), rows_of(6, 12, 1)
    sums = pairs.CrossCovariance()
    assert sums.few_rows() is None
    sums.add(S[:2], T[:2])
    sums.add(S[2:5], T[2:5])
    kept = sums.few_rows()
    assert kept is not None
    np.testing.assert_array_equal(kept[0], S[:5])
    np.testing.assert_array_equal(kept[1], T[:5])
    assert kept[0].dtype == kept[1].dtype == np.float64
    sums.add(S[5:], T[5:])
    assert sums.few_rows() is None
    # Once let go they do not come back.
    sums.add(S[:1], T[:1])
    assert sums.few_rows() is None


def test_blocks_of_pairs_are_refused_where_they_do_not_fit(monkeypatch):
    monkeypatch.setattr(pairs, "BLOCK_ROWS", 4)
    S, T = rows_of(10, 4, 0), rows_of(10, 3, 1)
    blocks = list(pairs.paired_blocks(S, T))
    assert [(s.shape, t.shape) for s, t in blocks] == [((4, 4), (4, 3)), ((4, 4), (4, 3)), ((2, 4), (2, 3))]
    np.testing.assert_array_equal(np.concatenate([t for _, t in blocks]), T)
    with pytest.raises(compat.InvalidPairsError, match=r"2-D, not \(10,\) and \(10, 3\)"):
        next(pairs.paired_blocks(S[:, 0], T))
    with pytest.raises(compat.InvalidPairsError, match=r"2-D, not \(10, 4\) and \(10,\)"):
        next(pairs.paired_blocks(S, T[:, 0]))
    with pytest.raises(compat.InvalidPairsError, match="10 source rows and 9 target"):
        next(pairs.paired_blocks(S, T[1:]))
    sums = pairs.CrossCovariance()
    with pytest.raises(compat.InvalidPairsError, match="10 source rows and 9 target"):
        sums.add(S, T[1:])
    sums.add(S, T)
    with pytest.raises(ModelMismatchError, match="source rows have dim 3, but vectors have dim 4"):
        sums.add(T, T)
    with pytest.raises(ModelMismatchError, match="target rows have dim 4, but vectors have dim 3"):
        sums.add(S, S)


def test_unit_pairs_are_unit_copies_and_at_least_three(monkeypatch):
    monkeypatch.setattr(pairs, "BLOCK_ROWS", 4)
    S, T = 3 * rows_of(10, 4, 0), rows_of(10, 3, 1) / 2
    X, Y, z = pairs.unit_pairs(S, T)
    np.testing.assert_allclose(X, S / 3, atol=1e-6)
    np.testing.assert_allclose(Y, T * 2, atol=1e-6)
    assert (X.dtype, Y.dtype, z) == (np.float32, np.float32, None)
    assert len(pairs.unit_pairs(S[:3], T[:3])[0]) == 3
    with pytest.raises(compat.InvalidPairsError, match="2 pairs are too few"):
        pairs.unit_pairs(S[:2], T[:2])


def test_vectors_are_checked_in_one_pass_and_then_in_another():
    rows = rows_of(4, 3, 0)
    assert pairs.checked_vectors(rows, 3, "rows") is rows
    assert pairs.checked_vectors(rows.astype(np.float64), 3, "rows").dtype == np.float64
    assert pairs.checked_vectors(np.ones((2, 3), dtype=np.int8), None, "rows").dtype == np.float32
    for extreme in (1e-30, 1e30):
        assert pairs.checked_vectors(rows * np.float32(extreme), 3, "rows").shape == (4, 3)
    for wrong in (rows[0], rows > 0, rows.astype(str), rows * 1j):
        with pytest.raises(InvalidVectorError, match="rows must be a 2-D array of numbers, not"):
            pairs.checked_vectors(wrong, None, "rows")
    with pytest.raises(ModelMismatchError, match="rows have dim 3, but vectors have dim 4"):
        pairs.checked_vectors(rows, 4, "rows")
    with pytest.raises(ModelMismatchError, match="rows have dim 3, but vectors of model 'v1' have dim 4"):
        pairs.checked_vectors(rows, 4, "rows", model="v1")
    for value in (np.nan, np.inf, -np.inf):
        broken = rows.copy()
        broken[2:, 1] = value
        with pytest.raises(InvalidVectorError, match="rows hold NaN or infinity, first in row 2"):
            pairs.checked_vectors(broken, 3, "rows")
    empty = rows.copy()
    empty[[1, 3]] = 0
    with pytest.raises(InvalidVectorError, match="rows hold 2 all-zero rows, first row 1"):
        pairs.checked_vectors(empty, 3, "rows")


def test_a_model_that_is_not_told_is_not_checked():
    pairs.check_model(None, "v1")
    pairs.check_model("v1", "v1")
    with pytest.raises(ModelMismatchError, match="expected vectors of model 'v1', and these are of 'v2'"):
        pairs.check_model("v2", "v1")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_rows_are_so_at_every_length(dtype):
    rows = rows_of(3, 2, 0).astype(np.float64)
    lengths = (1e-25, 1e-12, 1e-10, 1.0, 1e10, 1e12, 1e25)
    for length in lengths:
        np.testing.assert_allclose(pairs.unit_rows((rows * length).astype(dtype)), rows, atol=1e-6)
    # Rows of very different lengths side by side, one of them too long or short for its square.
    mixed = rows * np.array([[1e-25], [1.0], [1e25]])
    np.testing.assert_allclose(pairs.unit_rows(mixed.astype(dtype)), rows, atol=1e-6)
    assert not pairs.unit_rows(np.zeros((2, 3), dtype=dtype)).any()
    assert pairs.unit_rows(np.empty((0, 3), dtype=dtype)).shape == (0, 3)


def test_a_warning_names_the_line_that_fitted():
    for fit in (compat.Isometry.fit, compat.LocalLinearMap.fit):
        with pytest.warns(compat.FewPairsWarning) as told:
            fit(source=rows_of(4, 5, 0), target=rows_of(4, 5, 1))
        assert {one.filename for one in told} == {__file__}


def test_drawn_rows_are_ascending_and_different():
    drawn = pairs.drawn_rows(50, 20, 3)
    assert drawn.dtype == np.int64
    assert len({*drawn}) == 20
    assert drawn.tolist() == sorted(drawn)
    assert drawn.tolist() != pairs.drawn_rows(50, 20, 4).tolist()
    assert pairs.drawn_rows(5, 20, 3).tolist() == [0, 1, 2, 3, 4]
