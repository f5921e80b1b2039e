"""Fingerprints: own vectors look typical, drifted ones and another model's do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from worlds import World, rotated, unit

from retrieval.errors import ModelMismatchError
from retrieval.upgrade import Fingerprint


def test_the_surprise_is_the_gaussians_negative_log_density():
    """Against SciPy's density with the covariance built in full: V diag(v) Vᵀ + rest · (I − V Vᵀ)."""
    _, X, _ = World(d_new=40).items(600, seed=0)
    f = Fingerprint.of(X, "m")
    assert f.axes.shape == (40, 37)
    covariance = (f.axes * f.variances) @ f.axes.T + f.rest * (np.eye(40) - f.axes @ f.axes.T)
    expected = -stats.multivariate_normal(f.mean, covariance).logpdf(X.astype(np.float64)) / 40
    np.testing.assert_allclose(f.surprise(X), expected, rtol=1e-5)


def test_own_vectors_are_uniformly_typical():
    """KS distance of 2,000 against 2,000 exceeds 1.95 / √1000 = .062 with p = .001."""
    _, X, _ = World().items(6000, seed=0)
    own = np.sort(Fingerprint.of(X[:4000], "m").typicality(X[4000:]))
    assert np.abs(own - np.arange(1, 2001) / 2000).max() < 0.062


def test_another_model_of_the_same_dim_is_noticed():
    _, X, _ = World().items(3000, seed=0)
    f = Fingerprint.of(X[:2000], "m")
    other = rotated(X[2000:2900])
    # One vector of 16 nearly even dims says little; thirty together say enough.
    assert max(f.drift(batch) for batch in other.reshape(-1, 30, 16)[:30]) < 1e-3
    right = Fingerprint.of(rotated(X[:2000]), "n").surprise(other)
    assert (f.surprise(other) > right).mean() > 0.8


def test_drift_is_noticed_and_no_drift_is_not():
    _, X, _ = World().items(3000, seed=0)
    f = Fingerprint.of(X[:2000], "m")
    assert f.drift(X[2000:]) > 1e-3
    noise = np.random.default_rng(0).standard_normal(X[2000:].shape)
    assert f.drift(unit(X[2000:] + 0.1 * noise)) < 1e-4


def test_length_does_not_matter_and_dims_do():
    _, X, _ = World().items(200, seed=0)
    f = Fingerprint.of(X, "m")
    np.testing.assert_allclose(f.surprise(5 * X), f.surprise(X), atol=1e-4)
    with pytest.raises(ModelMismatchError, match="model 'm' have dim 16"):
        f.surprise(X[:, :8])
    with pytest.raises(ValueError, match="needs 4"):
        Fingerprint.of(X[:3], "m")
