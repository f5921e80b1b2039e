"""The metrics, against hand-worked numbers and against oracles that sort in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
import reference_compat as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import metrics


@st.composite
def tied_problems(draw):
    """Small whole numbers, so that ties abound and float32 sums are exact."""
    n, dim = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    X, Y = rng.integers(-2, 3, (n, dim)), rng.integers(-2, 3, (n, dim))
    classes = rng.integers(0, 4, n)
    return X.astype(np.float32), Y.astype(np.float32), classes, draw(st.booleans())


@given(tied_problems(), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_cmc_and_map_equal_the_oracle_with_ties(problem, k):
    X, Y, classes, exclude = problem
    other = np.roll(classes, 1) if not exclude else classes
    if not exclude and not set(classes) & set(other):
        return
    if exclude and max(np.bincount(classes)) < 2:
        return
    got = metrics.rank_by_class(X, Y, classes, other, exclude_same_row=exclude)
    assert got.cmc_at_k(k) == pytest.approx(reference.cmc(X, Y, classes, other, k, exclude), abs=1e-12)
    expected = reference.mean_average_precision(X, Y, classes, other, exclude)
    assert got.mean_average_precision == pytest.approx(expected, abs=1e-12)


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((57, 8)).astype(np.float32)
    classes = rng.integers(0, 6, 57)
    whole = metrics.rank_by_class(X, X, classes, classes, exclude_same_row=True)
    monkeypatch.setattr("retrieval.metrics.ranking._BLOCK_SCORES", 57 * 5)
    blocked = metrics.rank_by_class(X, X, classes, classes, exclude_same_row=True)
    np.testing.assert_array_equal(whole.first_rank, blocked.first_rank)
    np.testing.assert_allclose(whole.average_precision, blocked.average_precision)
    expected = reference.mean_average_precision(X, X, classes, classes, True)
    assert blocked.mean_average_precision == pytest.approx(expected)


def test_worked_by_hand():
    """Scores 3, 2, 1, 0 with classes b a b a: for a query of class a, AP = (1/2 + 2/4) / 2."""
    gallery = np.array([[3.0], [2.0], [1.0], [0.0]])
    got = metrics.rank_by_class([[1.0], [1.0]], gallery, ["a", "b"], ["b", "a", "b", "a"])
    assert got.first_rank.tolist() == [2, 1]
    np.testing.assert_allclose(got.average_precision, [0.5, (1 + 2 / 3) / 2])
    assert metrics.cmc_at_k([[1.0], [1.0]], gallery, ["a", "b"], ["b", "a", "b", "a"]) == 0.5
    value = metrics.mean_average_precision([[1.0], [1.0]], gallery, ["a", "b"], ["b", "a", "b", "a"])
    assert value == pytest.approx((0.5 + 5 / 6) / 2)


def test_of_equal_scores_the_earlier_row_comes_first():
    gallery = np.ones((4, 1))
    got = metrics.rank_by_class([[1.0]], gallery, [1], [0, 0, 1, 1])
    assert got.first_rank.tolist() == [3]
    assert got.average_precision[0] == pytest.approx((1 / 3 + 2 / 4) / 2)


def test_a_class_the_gallery_lacks_is_left_out():
    got = metrics.rank_by_class(np.eye(2), np.eye(2), ["a", "z"], ["a", "b"])
    assert got.first_rank.tolist() == [1, 0]
    assert got.cmc_at_k(1) == 1.0
    assert got.mean_average_precision == 1.0
    nothing = metrics.rank_by_class(np.eye(2), np.eye(2), ["y", "z"], ["a", "b"])
    assert np.isnan(nothing.mean_average_precision)


def test_the_item_itself_is_left_out_wherever_it_ranks():
    X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    got = metrics.rank_by_class(X, X, ["a", "b", "a"], ["a", "b", "a"], exclude_same_row=True)
    assert got.first_rank.tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.eye(2), np.eye(3), [0, 1], [0, 1, 2]), "dim 2 and the gallery 3"),
        ((np.full((2, 2), np.nan), np.eye(2), [0, 1], [0, 1]), "queries hold NaN"),
        ((np.eye(2), np.eye(2), [0], [0, 1]), "as many classes"),
        ((np.ones(3), np.eye(2), [0], [0, 1]), "two-dimensional"),
    ],
)
def test_bad_arguments_say_what_is_wrong(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.rank_by_class(*arguments)


def test_classes_of_two_types_are_refused():
    """Joined, NumPy would make strings of the numbers and match 1 with "1"."""
    with pytest.raises(TypeError, match="two types"):
        metrics.rank_by_class(np.eye(2), np.eye(2), [0, 1], ["0", "1"])


def test_same_row_needs_equal_lengths():
    with pytest.raises(ValueError, match=r"as many queries \(2\)"):
        metrics.rank_by_class(np.eye(2), np.ones((3, 2)), [0, 1], [0, 1, 2], exclude_same_row=True)
    with pytest.raises(ValueError, match="at least 1"):
        metrics.cmc_at_k(np.eye(2), np.eye(2), [0, 1], [0, 1], k=0)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_recall_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)
    retrieved, truth = rng.integers(-1, 9, (6, 4)), rng.integers(-1, 9, (6, 4))
    truth[0, 0] = 3
    assert metrics.recall_at_k(retrieved, truth) == pytest.approx(reference.recall(retrieved, truth))
    expected = reference.recall(retrieved[:, :2], truth[:, :2])
    assert metrics.recall_at_k(retrieved, truth, k=2) == pytest.approx(expected, nan_ok=True)


def test_recall_refuses_what_is_no_row_number():
    with pytest.raises(ValueError, match="row numbers"):
        metrics.recall_at_k([[0.5]], [[1]])
    with pytest.raises(ValueError, match="only 1 columns"):
        metrics.recall_at_k([[1]], [[1]], k=2)


def test_compatibility_rate_reads_the_lower_triangle():
    M = np.array([[0.5, 9.0, 9.0], [0.5, 0.6, 9.0], [0.6, 0.7, 0.8]])
    assert metrics.compatibility_rate(M) == pytest.approx(2 / 3)  # 0.5 > 0.5 fails: the criterion is strict
    with pytest.raises(ValueError, match="square"):
        metrics.compatibility_rate(np.zeros((1, 1)))
    with pytest.raises(ValueError, match="NaN"):
        metrics.compatibility_rate([[1, 0], [np.nan, 1]])


def test_backfill_curve_hands_over_the_first_of_the_order():
    seen = []
    curve = metrics.backfill_curve([2, 0, 1, 3], [0.0, 0.5, 1.0], lambda m: seen.append(m) or float(m.sum()))
    assert curve.tolist() == [0.0, 2.0, 4.0]
    assert seen[1].tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match="permutation"):
        metrics.backfill_curve([0, 0], [0.5], lambda m: 0.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.backfill_curve([0, 1], [1.5], lambda m: 0.0)


def test_area_is_the_mean_height():
    assert metrics.area_under_backfill_curve([0, 1], [3, 3]) == pytest.approx(3)
    assert metrics.area_under_backfill_curve([0.0, 0.25, 1.0], [0, 1, 1]) == pytest.approx(0.875)
    assert metrics.area_under_backfill_curve([0.5, 1.0], [2, 4]) == pytest.approx(3)
    with pytest.raises(ValueError, match="ascending"):
        metrics.area_under_backfill_curve([0, 0], [1, 1])


def test_bootstrap_is_seeded_paired_and_skips_nan():
    after, before = np.array([1.0, 0.0, 1.0, np.nan]), np.array([0.0, 0.0, 1.0, 5.0])
    one = metrics.paired_bootstrap(after, before, seed=3)
    assert one == metrics.paired_bootstrap(after, before, seed=3)
    assert one.estimate == pytest.approx(1 / 3)
    constant = metrics.paired_bootstrap(np.arange(5) + 2.0, np.arange(5.0))
    assert (constant.low, constant.high) == (2.0, 2.0)
    assert constant.excludes_zero
    with pytest.raises(ValueError, match="paired"):
        metrics.paired_bootstrap([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="paired"):
        metrics.paired_bootstrap([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no query"):
        metrics.paired_bootstrap([np.nan])


def test_bootstrap_covers_the_true_mean_as_often_as_it_says():
    """400 trials at 90 %: the count is Binomial(400, p), p ≈ .90; ± 4 standard errors is ± .06.

    The percentile interval at n = 60 falls short by under .01, which the bound takes in.
    """
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(400):
        interval = metrics.paired_bootstrap(rng.normal(size=60), n_resamples=300, confidence=0.9, seed=trial)
        covered += interval.low <= 0 <= interval.high
    assert 0.83 <= covered / 400 <= 0.96
