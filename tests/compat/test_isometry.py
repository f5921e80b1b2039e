"""The isometry: exactness, recovery of a planted rotation, unequal dims, and what it refuses."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes

from retrieval import compat
from retrieval.compat import isometry
from retrieval.compat.polar import orthogonal_polar_factor
from retrieval.errors import InvalidVectorError, ModelMismatchError

# Measured worst over 20 seeds, times about ten.
SCORE_TOLERANCE = 1e-6  # 1.2e-7
ORTHOGONALITY_TOLERANCE = 1e-12  # 4e-15 up to d = 2048
ROUND_TRIP_TOLERANCE = 1e-12  # 3e-14, float64


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def noisy_pairs(n, d_source, d_target, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    source = unit(rng.standard_normal((n, d_source)))
    bridge = rng.standard_normal((d_source, d_target)) / np.sqrt(d_source)
    target = unit(source @ bridge + noise / np.sqrt(d_target) * rng.standard_normal((n, d_target)))
    return source.astype(np.float32), target.astype(np.float32)


@pytest.mark.parametrize(("d_source", "d_target"), [(24, 24), (32, 20), (20, 32)])
def test_self_scores_are_those_of_the_source_model(d_source, d_target):
    source, target = noisy_pairs(500, d_source, d_target)
    m = compat.Isometry.fit(source=source, target=target)
    mapped = m.transform(source)
    assert mapped.dtype == np.float32
    assert mapped.shape == (500, max(d_source, d_target)) == (500, m.dim)
    exact = source.astype(np.float64) @ source.T.astype(np.float64)
    assert np.abs(mapped.astype(np.float64) @ mapped.T - exact).max() <= SCORE_TOLERANCE
    native, shared = target.astype(np.float64), m.to_shared(target, model="target").astype(np.float64)
    np.testing.assert_array_equal(shared @ shared.T, native @ native.T)


@pytest.mark.parametrize(("d_source", "d_target"), [(24, 24), (32, 20), (20, 32)])
def test_inverse_is_exact(d_source, d_target):
    source, target = noisy_pairs(300, d_source, d_target)
    m = compat.Isometry.fit(source=source, target=target)
    X = source.astype(np.float64)
    assert np.abs(m.inverse(m.transform(X)) - X).max() <= ROUND_TRIP_TOLERANCE
    Y = target.astype(np.float64)
    there = m.inverse(Y, padded=True)
    assert there.shape == (300, m.dim)
    np.testing.assert_allclose(there @ there.T, Y @ Y.T, atol=1e-12)
    np.testing.assert_allclose(m.inverse(Y), there[:, :d_source], atol=0)


@pytest.mark.parametrize(("d_source", "d_target"), [(24, 24), (32, 20), (20, 32)])
def test_it_is_the_orthogonal_procrustes_solution(d_source, d_target):
    """Oracle: SciPy on the padded arrays, held together; ours has streamed and held rows out."""
    source, target = noisy_pairs(700, d_source, d_target)
    D = max(d_source, d_target)
    padded = [np.pad(a.astype(np.float64), ((0, 0), (0, D - a.shape[1]))) for a in (source, target)]
    expected, _ = orthogonal_procrustes(*padded)
    m = compat.Isometry.fit(source=source, target=target)
    got = m.transform(source.astype(np.float64))[:, :d_target]
    np.testing.assert_allclose(got, (padded[0] @ expected)[:, :d_target], atol=1e-9)


@pytest.mark.parametrize(("d_source", "d_target"), [(40, 40), (64, 40), (40, 64)])
@pytest.mark.parametrize("n", [7, 20, 21, 39])
def test_few_pairs_give_the_procrustes_solution_on_their_span(n, d_source, d_target):
    """Oracle: the partial isometry U_r V_rᵀ of a full SVD, all that n pairs determine; the rest is free."""
    source, target = noisy_pairs(n, d_source, d_target)
    with pytest.warns(compat.FewPairsWarning):
        m = compat.Isometry.fit(source=source, target=target)
    S, T = source.astype(np.float64), target.astype(np.float64)
    U, _, Vt = np.linalg.svd(S.T @ T)
    np.testing.assert_allclose(m.transform(S)[:, :d_target], S @ U[:, :n] @ Vt[:n], atol=1e-9)
    assert np.abs(m.rotation.T @ m.rotation - np.eye(m.dim)).max() <= ORTHOGONALITY_TOLERANCE
    assert m.info.n_pairs == n
    pieces = ((source[a : a + 4], target[a : a + 4]) for a in range(0, n, 4))
    with pytest.warns(compat.FewPairsWarning):
        streamed = compat.Isometry.fit_blocks(pieces)
    np.testing.assert_allclose(streamed.transform(S)[:, :d_target], S @ U[:, :n] @ Vt[:n], atol=1e-9)


def test_pairs_that_repeat_still_give_an_isometry():
    source, target = noisy_pairs(4, 40, 64)
    with pytest.warns(compat.FewPairsWarning):
        m = compat.Isometry.fit(source=np.repeat(source, 5, axis=0), target=np.repeat(target, 5, axis=0))
    assert np.abs(m.rotation.T @ m.rotation - np.eye(64)).max() <= ORTHOGONALITY_TOLERANCE


def test_a_planted_rotation_is_recovered():
    rng = np.random.default_rng(1)
    planted, _ = np.linalg.qr(rng.standard_normal((40, 40)))
    source = rng.standard_normal((400, 40))
    m = compat.Isometry.fit(source=source, target=source @ planted)
    np.testing.assert_allclose(m.rotation, planted, atol=1e-10)
    np.testing.assert_allclose(m.inverse(source @ planted), source, atol=1e-10)


def test_blocks_of_any_size_give_the_same_map():
    source, target = noisy_pairs(1000, 16, 12)
    whole = compat.Isometry.fit(source=source, target=target)
    pieces = ((source[a : a + 37], target[a : a + 37]) for a in range(0, 1000, 37))
    streamed = compat.Isometry.fit_blocks(pieces)
    assert streamed.info.n_pairs == 1000
    np.testing.assert_allclose(streamed.transform(source), whole.transform(source), atol=1e-6)
    assert streamed.info.relatedness == pytest.approx(whole.info.relatedness)


def test_the_polish_repairs_a_sloppy_svd(monkeypatch):
    """An SVD with errors of 1e-7 leaves QᵀQ − I near 1e-7; one Newton–Schulz step squares that."""
    rng = np.random.default_rng(0)
    true_svd = np.linalg.svd

    def sloppy(C):
        U, s, Vt = true_svd(C)
        return U + 1e-7 * rng.standard_normal(U.shape), s, Vt

    monkeypatch.setattr(np.linalg, "svd", sloppy)
    Q = orthogonal_polar_factor(rng.standard_normal((50, 50)))
    assert np.abs(Q.T @ Q - np.eye(50)).max() < 1e-11


def test_orthogonality_in_float64():
    source, target = noisy_pairs(300, 256, 200)
    m = compat.Isometry.fit(source=source, target=target)
    assert np.abs(m.rotation.T @ m.rotation - np.eye(256)).max() <= ORTHOGONALITY_TOLERANCE


def test_few_pairs_warn_and_still_give_an_isometry():
    source, target = noisy_pairs(20, 32, 32)
    with pytest.warns(compat.FewPairsWarning, match="20 pairs are fewer than 32 dims"):
        m = compat.Isometry.fit(source=source, target=target)
    assert np.abs(m.rotation.T @ m.rotation - np.eye(32)).max() <= ORTHOGONALITY_TOLERANCE


def test_shuffled_pairs_warn_and_true_pairs_do_not():
    source, target = noisy_pairs(2000, 16, 24, noise=2.0)
    assert compat.Isometry.fit(source=source, target=target).info.relatedness > 10
    shuffled = np.random.default_rng(0).permutation(2000)
    with pytest.warns(compat.UnrelatedPairsWarning, match="same order"):
        m = compat.Isometry.fit(source=source, target=target[shuffled])
    assert abs(m.info.relatedness) < 3.7


def test_the_check_for_shuffled_rows_raises_few_false_alarms_and_misses_none():
    """z of unrelated rows is about N(0, 1): of 200, |z| > 3.7 has p = 2e-4 each, 3 or more has 1e-5."""
    fooled, missed = 0, 0
    for seed in range(200):
        source, target = noisy_pairs(400, 8, 8, seed=seed, noise=1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", compat.UnrelatedPairsWarning)
            missed += compat.Isometry.fit(source=source, target=target).info.relatedness < 3.7
            strangers = np.roll(target, 57, axis=0)
            fooled += compat.Isometry.fit(source=source, target=strangers).info.relatedness >= 3.7
    assert fooled <= 2
    assert missed == 0


def test_a_common_mean_does_not_pass_for_a_relation():
    """Vectors of real models share a large mean; shuffled rows still agree in it, and must not pass."""
    rng = np.random.default_rng(0)
    source, target = rng.standard_normal((900, 8)) + 5, rng.standard_normal((900, 8)) - 3
    with pytest.warns(compat.UnrelatedPairsWarning):
        compat.Isometry.fit(source=source, target=target)


def test_a_common_mean_does_not_drown_a_relation():
    source, target = noisy_pairs(4000, 8, 8, noise=3.0)
    far = 100 * np.ones(8, dtype=np.float32)
    near = compat.Isometry.fit(source=source, target=target).info.relatedness
    moved = compat.Isometry.fit(source=source + far, target=target - far).info.relatedness
    assert near > 5
    assert moved == pytest.approx(near, rel=0.05)


def test_a_step_along_the_rows_is_no_relation():
    """Held-out rows stop at some 12,000, all before the step; the means take in what comes after."""
    rng = np.random.default_rng(0)
    step = np.where(np.arange(40_000) < 13_000, 1.0, -1.0)[:, None]
    source, target = rng.standard_normal((2, 40_000, 4)) + step
    with pytest.warns(compat.UnrelatedPairsWarning):
        compat.Isometry.fit(source=source, target=target)


@pytest.mark.parametrize(
    ("source", "target", "error", "message"),
    [
        (np.ones((4, 2)), np.ones((3, 2)), compat.InvalidPairsError, "4 source rows and 3 target rows"),
        (np.ones(4), np.ones((4, 2)), compat.InvalidPairsError, "must be 2-D"),
        (np.ones((0, 2)), np.ones((0, 2)), compat.InvalidPairsError, "no pairs"),
        (np.array([[1.0, np.nan]]), np.ones((1, 2)), InvalidVectorError, "NaN or infinity, first in row 0"),
        (np.ones((2, 2)), np.array([[1.0, 0], [0, 0]]), InvalidVectorError, "1 all-zero rows, first row 1"),
        (np.array([["a"]]), np.ones((1, 1)), InvalidVectorError, "2-D array of numbers"),
    ],
)
def test_bad_pairs_are_refused(source, target, error, message):
    with pytest.raises(error, match=message):
        compat.Isometry.fit(source=source, target=target)


def test_vectors_of_another_model_or_dim_are_refused():
    source, target = noisy_pairs(300, 12, 8)
    m = compat.Isometry.fit(source=source, target=target, source_model="v2", target_model="v1")
    with pytest.raises(ModelMismatchError, match="dim 8, but vectors of model 'v2' have dim 12"):
        m.transform(target)
    with pytest.raises(ModelMismatchError, match="expected vectors of model 'v2', and these are of 'v1'"):
        m.transform(source, model="v1")
    with pytest.raises(ModelMismatchError, match="neither 'v2' nor 'v1'"):
        m.to_shared(source, model="v3")
    with pytest.raises(ModelMismatchError, match="shared space has 12"):
        m.inverse(np.ones((1, 9)))
    with pytest.raises(ValueError, match="name them apart"):
        compat.Isometry.fit(source=source, target=target, source_model="x", target_model="x")


@pytest.mark.parametrize(("d_source", "d_target"), [(7, 4), (4, 7), (5, 5)])
def test_either_model_is_brought_into_the_shared_space_by_name_alone(d_source, d_target, monkeypatch):
    source, target = noisy_pairs(300, d_source, d_target)
    m = compat.Isometry.fit(source=source, target=target, source_model="m2", target_model="m4")
    # Names that are equal and not the same object; rows in blocks that do not divide them.
    monkeypatch.setattr(isometry, "BLOCK_ROWS", 4)
    rotated = m.to_shared(source[:10], model="".join(["m", "2"]))
    np.testing.assert_allclose(rotated, source[:10].astype(np.float64) @ m.rotation[:d_source], atol=1e-6)
    padded = m.to_shared(target[:10], model="".join(["m", "4"]))
    assert padded.shape == (10, max(d_source, d_target))
    np.testing.assert_array_equal(padded[:, :d_target], target[:10])
    assert not padded[:, d_target:].any()
    for name in ("m1", "m3", "m5"):
        with pytest.raises(ModelMismatchError, match=f"model '{name}' is neither 'm2' nor 'm4'"):
            m.to_shared(target, model=name)
    with pytest.raises(TypeError, match="positional"):
        m.transform(source, "m2")
    with pytest.raises(TypeError, match="positional"):
        compat.Isometry.fit_blocks([(source, target)], "m2", "m4")


def test_arguments_are_left_as_they_were():
    source, target = noisy_pairs(300, 12, 8)
    before = source.copy(), target.copy()
    m = compat.Isometry.fit(source=source, target=target)
    m.transform(source)
    np.testing.assert_array_equal(source, before[0])
    np.testing.assert_array_equal(target, before[1])


def test_a_saved_map_comes_back_whole(tmp_path):
    source, target = noisy_pairs(300, 12, 8)
    m = compat.Isometry.fit(source=source, target=target, source_model="v2", target_model="v1")
    m.save(tmp_path / "m.map")
    again = compat.Isometry.load(tmp_path / "m.map")
    assert again.info == m.info
    np.testing.assert_array_equal(again.transform(source), m.transform(source))
