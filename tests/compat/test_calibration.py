"""Calibration: it matches distributions, keeps order, and puts mapped and native rows on one scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval import compat
from retrieval.compat import calibration
from retrieval.compat.calibration import at_level


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def two_models(n, seed, d_old=12, d_new=16):
    """A new model of 30 clusters, and an old one that sees it blurred: mapped rows are shrunk together."""
    world = np.random.default_rng(99)
    centres, lens = world.standard_normal((30, d_new)), world.standard_normal((d_new, d_old))
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 30, n)
    new = unit(centres[classes] + 0.7 * rng.standard_normal((n, d_new)))
    old = unit(np.tanh(new @ lens) + 0.6 * rng.standard_normal((n, d_old)))
    return old.astype(np.float32), new.astype(np.float32), classes


def test_a_known_monotone_distortion_is_undone():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=200_000)
    c = compat.Calibration.fit(scores=np.sinh(reference) * 0.2 + 3, reference=reference)
    wanted = np.linspace(-3.5, 3.5, 101)
    # The 200 scores beyond ± 3.3 leave the quantiles there uncertain to about .05.
    np.testing.assert_allclose(c.apply(np.sinh(wanted) * 0.2 + 3), wanted, atol=0.1)
    inner = wanted[np.abs(wanted) < 2]
    np.testing.assert_allclose(c.apply(np.sinh(inner) * 0.2 + 3), inner, atol=0.02)


def test_pairing_is_not_used_only_the_distributions():
    rng = np.random.default_rng(0)
    scores, reference = rng.normal(size=3000), rng.gumbel(size=3000)
    one = compat.Calibration.fit(scores=scores, reference=reference)
    other = compat.Calibration.fit(scores=scores, reference=rng.permutation(reference))
    np.testing.assert_array_equal(one.reference, other.reference)


def test_afterwards_both_have_the_same_tail():
    """Of fresh scores, the share above the reference's .999-quantile is .001 ± 4 √(.001 / 200,000)."""
    rng = np.random.default_rng(0)
    c = compat.Calibration.fit(scores=rng.beta(2, 9, 400_000), reference=rng.normal(0.1, 0.2, 400_000))
    fresh = c.apply(rng.beta(2, 9, 200_000))
    threshold = 0.1 + 0.2 * 3.0902323
    assert abs(np.mean(fresh > threshold) - 1e-3) < 4 * np.sqrt(1e-3 / 200_000) * 1.5


@given(st.integers(0, 2**32 - 1), st.integers(2, 400))
@settings(max_examples=100, deadline=None)
def test_order_is_kept(seed, n):
    rng = np.random.default_rng(seed)
    scores, reference = rng.integers(-5, 6, n) / 3, rng.normal(size=n)
    if len(set(scores)) < 2:
        return
    try:
        c = compat.Calibration.fit(scores=scores, reference=reference)
    except compat.InvalidPairsError:
        # All quantiles in one knot: the scores are all but alike.
        assert max(np.unique(scores, return_counts=True)[1]) > n / 2
        return
    x = np.sort(rng.uniform(-4, 4, 300))
    assert (np.diff(c.apply(x)) >= 0).all()
    assert c.apply(x[:1]) < c.apply(x[-1:])


def test_by_query_the_mean_of_each_rank_is_matched():
    """Queries of very different level: pooled, the loud ones alone make the top; by query, all do."""
    rng = np.random.default_rng(0)
    level = rng.normal(0, 1, (400, 1))
    scores, reference = level + 0.1 * rng.normal(size=(400, 500)), rng.normal(size=(400, 500))
    c = compat.Calibration.fit(scores=scores, reference=reference, by_query=True)
    best, wanted = np.sort(scores, axis=1)[:, -3].mean(), np.sort(reference, axis=1)[:, -3].mean()
    # The mean of 400 third-best scores has a standard error of .05 through `level`, a tenth of a step.
    assert c.apply(np.float64(best)) == pytest.approx(wanted, abs=0.15)
    with pytest.raises(compat.InvalidPairsError, match="n_queries, n_items"):
        compat.Calibration.fit(scores=scores.ravel(), reference=reference.ravel(), by_query=True)


def test_beyond_the_ends_the_slope_is_one():
    c = compat.Calibration.fit(scores=np.linspace(0, 1, 500), reference=np.linspace(2, 6, 500))
    low, high = c.scores[0], c.scores[-1]
    np.testing.assert_allclose(c.apply([low - 2.0, high + 2.0]), [c.reference[0] - 2, c.reference[-1] + 2])
    assert np.isnan(c.apply([np.nan])).all()


@pytest.mark.parametrize("role", ["gallery", "query"])
@pytest.mark.parametrize("share", [0.3, 0.5])
def test_in_a_mixed_gallery_each_version_gets_its_share_of_the_top_ten(role, share):
    old, new, _ = two_models(3000, seed=1)
    test_old, test_new, classes = two_models(800, seed=2)
    if role == "gallery":
        m = compat.LocalLinearMap.fit(source=old, target=new)
        scores = test_new @ m.transform(test_old).T
    else:
        m = compat.LocalLinearMap.fit(source=new, target=old)
        scores = m.transform(test_new) @ test_old.T
    native = np.random.default_rng(0).random(800) < share
    calibrated = compat.Calibration.of(m, role).apply(scores)
    off, relevant = {}, classes[:, None] == classes
    np.fill_diagonal(relevant, False)
    wanted = relevant[:, native].sum() / relevant.sum()
    for name, mapped in (("raw", scores), ("calibrated", calibrated)):
        mixed = np.where(native, test_new @ test_new.T, mapped)
        np.fill_diagonal(mixed, -np.inf)
        top = np.argsort(-mixed, axis=1)[:, :10]
        off[name] = abs(native[top].mean() - wanted)
    assert off["calibrated"] < 0.1
    assert off["calibrated"] < off["raw"]


def test_it_is_fitted_on_pairs_mapped_as_if_unseen():
    """With in-sample mapped rows the scores would look sharper than those of new items are."""
    old, new, _ = two_models(600, seed=1)
    m = compat.LocalLinearMap.fit(source=old, target=new, temperatures=[0.02], neighbours=[10])
    rows, mapped, target = m.leave_one_out(300)
    c = compat.Calibration.of(m, "gallery", n=300)

    def apart(scores):
        return scores[~np.eye(300, dtype=bool)].reshape(300, 299)

    native = apart(target @ target.T)
    expected = compat.Calibration.fit(scores=apart(target @ mapped.T), reference=native, by_query=True)
    np.testing.assert_allclose(c.scores, expected.scores, atol=1e-6)
    np.testing.assert_allclose(c.reference, expected.reference, atol=1e-6)
    in_sample = apart(target @ m.transform(old[rows]).T)
    seen = compat.Calibration.fit(scores=in_sample, reference=native, by_query=True)
    assert np.abs(c.apply(seen.scores) - seen.reference).max() > 0.01
    assert c.n_scores == 300 * 299


def test_levels_halve_towards_the_ends():
    """As far out as leaves so many scores beyond; between the ends they are even."""
    for n, least, halvings in ((10, 1, 0), (1000, 4, 0), (100_000, 4, 3), (10**9, 1, calibration._HALVINGS)):
        levels = calibration._levels(n, least)
        gap = 1 / (calibration._BULK - 1)
        tail = [gap / 2**i for i in range(1, calibration._HALVINGS + 1) if gap / 2**i * n >= least]
        assert len(tail) >= halvings
        even = np.arange(1, calibration._BULK - 1) * gap
        expected = np.concatenate([tail[::-1], even, 1 - np.array(tail)])
        np.testing.assert_allclose(levels, expected, rtol=1e-12)


def test_at_level_the_known_items_have_the_mean_and_deviation_of_the_reference():
    rng = np.random.default_rng(0)
    known = (0.3 + 0.1 * rng.standard_normal((4, 50))).astype(np.float32)
    reference = (rng.uniform(0.5, 0.7, (4, 1)) + rng.uniform(0.05, 0.3, (4, 1)) * rng.standard_normal((4, 50))).astype(
        "f4"
    )
    level = at_level(known, known, reference)
    assert level.dtype == np.float32
    np.testing.assert_allclose(level.mean(axis=1), reference.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(level.std(axis=1), reference.std(axis=1), atol=1e-5)
    # Every score goes the way of the known ones, and what stands for no score stays.
    asked = np.array([[0.9, 0.1, -np.inf]] * 4, dtype=np.float32)
    slope = reference.std(axis=1) / known.std(axis=1)
    got = at_level(asked, known, reference)
    np.testing.assert_allclose(got[:, 0] - got[:, 1], 0.8 * slope, rtol=1e-4)
    np.testing.assert_allclose(got[:, 0], reference.mean(axis=1) + (0.9 - known.mean(axis=1)) * slope, rtol=1e-4)
    assert (got[:, 2] == -np.inf).all()
    assert np.isfinite(at_level(asked[:, :2], np.full_like(known, 0.4), reference)).all()


def test_two_levels_are_enough_and_a_run_of_equal_scores_is_no_fault():
    fit = compat.Calibration.fit
    np.testing.assert_allclose(fit(scores=[0.0, 1.0], reference=[0.0, 2.0]).apply([0.5]), [1.0], atol=1e-9)
    # 501 and 500: no quantile falls between the two.
    one_or_other = fit(scores=np.repeat([0.0, 1.0], [501, 500]), reference=np.repeat([0.0, 3.0], [501, 500]))
    assert (one_or_other.scores.tolist(), one_or_other.reference.tolist()) == ([0.0, 1.0], [0.0, 3.0])
    levels = calibration._levels(1000, calibration._LEAST_IN_TAIL)
    mostly = (np.arange(1000) > levels[0] * 999).astype(np.float64)
    assert fit(scores=np.arange(1000.0), reference=mostly).reference[-1] == 1.0


def test_a_saved_calibration_comes_back(tmp_path):
    c = compat.Calibration.fit(scores=np.linspace(0, 1, 500), reference=np.linspace(2, 6, 500))
    c.save(tmp_path / "c.map")
    again = compat.Calibration.load(tmp_path / "c.map")
    np.testing.assert_array_equal(again.apply([0.1, 2]), c.apply([0.1, 2]))
    assert again.n_scores == 500


def test_dtype_and_shape_are_kept():
    c = compat.Calibration.fit(scores=np.linspace(0, 1, 500), reference=np.linspace(2, 6, 500))
    assert c.apply(np.zeros((2, 3), dtype=np.float32)).dtype == np.float32
    assert c.apply(np.zeros((2, 3))).dtype == np.float64
    assert c.apply(np.zeros((2, 3))).shape == (2, 3)


def test_bad_scores_are_refused():
    fit = compat.Calibration.fit
    with pytest.raises(compat.InvalidPairsError, match="shape"):
        fit(scores=[1.0], reference=[1.0, 2.0])
    with pytest.raises(compat.InvalidPairsError, match="NaN"):
        fit(scores=[1.0, np.nan], reference=[1.0, 2.0])
    with pytest.raises(compat.InvalidPairsError, match="too few"):
        fit(scores=[1.0], reference=[1.0])
    with pytest.raises(compat.InvalidPairsError, match="alike"):
        fit(scores=np.ones(100), reference=np.arange(100.0))
    old, new, _ = two_models(300, seed=1)
    m = compat.LocalLinearMap.fit(source=old, target=new)
    with pytest.raises(ValueError, match="'gallery' or 'query'"):
        compat.Calibration.of(m, "both")
    with pytest.raises(TypeError, match="positional"):
        compat.Calibration.of(m, "gallery", 3)


@pytest.mark.parametrize("role", ["gallery", "query"])
def test_three_pairs_are_enough_to_calibrate_by_and_two_are_not(role):
    old, new, _ = two_models(300, seed=1)
    m = compat.LocalLinearMap.fit(source=old, target=new)
    assert compat.Calibration.of(m, role, n=3).n_scores == 6
    with pytest.raises(compat.InvalidPairsError, match="2 pairs are too few to calibrate by"):
        compat.Calibration.of(m, role, n=2)
